//! `tidegate demo`: a gateway, a simulated carrier and simulated clients on loopback, in one go, with
//! everything in a temporary directory. It ends with a table and, as its last line, one JSON object.

use std::fs;
use std::io::{self, IsTerminal as _};

use rand_core::Rng as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_codec::identity::{PASSWORD_MAX, Password, SystemId};
use tidegate_config::Config;

use super::{Outcome, Refusal};
use crate::clock::Clock;
use crate::credentials::hash_password;
use crate::demo::progress::Progress;
use crate::demo::report;
use crate::load::{self, Load};
use crate::random;
use crate::run;
use crate::simulator::{self, Simulator};
use crate::telemetry::Telemetry;

/// What the demo is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Messages to send, each with a receipt.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// Binds of the clients.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    binds: u16,
    /// Submits that each bind may have unanswered.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2000))]
    window: u16,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let mut rng = random::generator()?;
    let dir = TempDir::with_prefix("tidegate-demo-")?;
    let secret = Password::new(format!("{:08x}", rng.next_u32()).as_bytes(), PASSWORD_MAX)?;
    let carrier = Simulator::start(simulator::Options::new(
        "tidegate".parse::<SystemId>()?,
        secret.clone(),
    ))?;
    let config = config(&dir, &secret, &carrier, &hash_password(&secret, &mut rng)?)?;
    let gateway = run::start(config, &Telemetry::new(), Clock::machine())?;
    let Some(server) = gateway.listening.first().copied() else {
        return Err(Refusal::new("the gateway listens nowhere", json!({})));
    };
    let clients = Load::start(load::Options {
        binds: usize::from(args.binds),
        window: usize::from(args.window),
        messages: args.messages,
        run: rng.next_u32(),
        ..load::Options::new(server, "demo".parse::<SystemId>()?, secret)?
    })?;
    let stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    Progress::new(stderr, is_terminal).follow(args.messages.into(), &clients, Some(&carrier))?;
    let clients = clients.join()?;
    gateway.stop();
    let carrier = carrier.stop()?;
    let result = report::Outcome::new(&clients, Some(&carrier));
    let line = result.json();
    let fields: Value = serde_json::from_str(&line)?;
    let mut outcome = Outcome::new(format!("{result}\n{line}"), fields);
    let unfinished = u64::from(args.messages) - result.acknowledged;
    if result.lost > 0 || unfinished > 0 || result.altered > 0 {
        outcome.failed = true;
        let reason = format!(
            "lost: {}, not acknowledged: {unfinished}, altered: {}",
            result.lost, result.altered
        );
        outcome.fields.insert("reason".to_owned(), json!(reason));
    }
    Ok(outcome)
}

/// A gateway for the demo: everything as in production, but for where it lies.
fn config(dir: &TempDir, secret: &Password, carrier: &Simulator, hash: &str) -> Result<Config, Refusal> {
    let path = |name: &str| dir.path().join(name);
    let password_file = path("carrier.password");
    fs::write(&password_file, secret.expose())?;
    let quoted = |name: &str| Value::from(path(name).display().to_string()).to_string();
    let text = format!(
        r#"
[[listen]]
address = "127.0.0.1:0"
[http]
address = "127.0.0.1:0"
[storage]
data = {data}
key_ring = {keys}
kek_file = {kek}
auto_init = true
[[account]]
system_id = "demo"
password_hashes = ["{hash}"]
max_binds = 64
window = 2000
delivery_window = 2000
[[carrier]]
name = "simulated"
addresses = ["{carrier}"]
system_id = "tidegate"
password_file = {password}
links = 4
window = 500
[[route.mt]]
prefix = ""
carriers = ["simulated"]
"#,
        data = quoted("data"),
        keys = quoted("keys"),
        kek = quoted("kek/kek"),
        password = quoted("carrier.password"),
        carrier = carrier.addr(),
    );
    tidegate_config::parse(&text).map_err(|problems| Refusal::new(problems.to_string(), json!({})))
}
