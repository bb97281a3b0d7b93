//! SIGKILL in the middle, several times: what was acknowledged must still reach the carrier and be receipted.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::gateway::{Gateway, LINK};
use super::options::Options;
use super::process::DEADLINE;
use super::{Fallible, Places, figures, run, say, system};

/// Octets that the gateway stores of a message besides its text, at the least.
const STORED_BESIDES: u64 = 200;

/// Returns one line of JSON with all that was counted, and what is wrong with it.
pub(super) async fn run(options: &Options, places: &Places) -> Fallible<(serde_json::Value, Vec<String>)> {
    let cell = options.cells.first().ok_or("no cell")?;
    let messages = options.messages_of(cell);
    let (carrier, address) = run::carrier(places, LINK).await?;
    let mut gateway = Gateway::start(places, address, cell.pacing_us).await?;
    let mut clients = run::load(places, cell, messages, gateway.smpp)?;
    // Spread over the run by what is stored: that is to be had without asking the gateway.
    let stored = u64::from(messages) * (u64::from(cell.length) + STORED_BESIDES);
    let stretch = stored / u64::from(options.kills.saturating_add(2));
    for kill in 1..=options.kills {
        let id = gateway.process.id();
        let begin = system::given(id)?;
        let reaching = async {
            while system::given(id)?.saturating_sub(begin) < stretch {
                if clients.has_ended()? {
                    return Err("the clients were done before the last kill: give more messages".into());
                }
                sleep(Duration::from_millis(1)).await;
            }
            Fallible::Ok(())
        };
        timeout(DEADLINE, reaching)
            .await
            .map_err(|_| gateway.process.fault("stores nothing any more"))??;
        say(&format!("kill {kill} of {}", options.kills));
        gateway = gateway.restart(places).await?;
    }
    let clients = clients.finish(run::patience(cell, messages)).await?;
    gateway.process.must_run()?;
    gateway.process.kill().await?;
    let carrier = carrier.stop().await?;
    let mut faults: Vec<String> = [clients.fault, carrier.fault].into_iter().flatten().collect();
    let clients = figures::report("the load", &clients.output)?;
    let carrier = figures::report("the carrier", &carrier.output)?;
    faults.extend(figures::faults(&clients, &carrier, cell, messages, true)?);
    let line = serde_json::json!({
        "cell": cell.to_string(),
        "messages": messages,
        "kills": options.kills,
        "load": clients,
        "carrier": carrier,
        "faults": faults,
    });
    Ok((line, faults))
}
