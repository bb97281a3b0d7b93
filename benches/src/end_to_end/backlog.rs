//! Messages by the million that wait for a carrier: what each takes of memory, what the others pay for it, and how
//! long a start takes. Beside it the same with a spool that holds next to nothing.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_gateway::clock::Clock;
use tokio::time::timeout;

use super::gateway::{Gateway, LINK};
use super::matrix::Cell;
use super::process::{Process, free_addr};
use super::{Fallible, Places, run, say, system};

/// Messages over which CPU is measured: those of some seconds.
const SAMPLE: u32 = 400_000;
/// Least rate at which the carrier takes them, in messages a second: a deadline.
const RATE_MIN: u32 = 2_000;

/// What was measured with so many messages in the spool.
struct Figures {
    waiting: u32,
    /// CPU of the last [`SAMPLE`] that were accepted, each, in microseconds.
    accept_us: f64,
    /// CPU of the first that were handed over after a start, their bodies read back; their answers and ends with it.
    dispatch_us: f64,
    /// Octets resident for each before and after a start, beyond those of a gateway with nothing in it.
    resident: [f64; 2],
    start: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.resident;
        write!(
            f,
            "| {} | {:.2} | {:.2} | {before:.0} | {after:.0} | {:.2} |",
            self.waiting,
            self.accept_us,
            self.dispatch_us,
            self.start.as_secs_f64()
        )
    }
}

/// Measures with next to nothing, with `waiting`, and with next to nothing again; a table.
pub(super) async fn run(waiting: u32, places: &Places) -> Fallible<String> {
    let mut text =
        "| messages waiting | accept, CPU µs | dispatch after a start, CPU µs | resident octets each | \
                    the same after a start | start, s |\n|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for waiting in [SAMPLE, waiting.max(SAMPLE), SAMPLE] {
        places.empty()?;
        let figures = measure(waiting, places).await?;
        say(&figures.to_string());
        text.push_str(&format!("{figures}\n"));
    }
    places.empty()?;
    Ok(text)
}

async fn measure(waiting: u32, places: &Places) -> Fallible<Figures> {
    let cell: Cell = "8x100,receipts=none".parse()?;
    let carrier = free_addr()?;
    let mut gateway = Gateway::start_for(places, carrier, waiting + 100_000).await?;
    let empty = system::memory(gateway.process.id())?;
    let each = |now: u64| per(now.saturating_sub(empty), waiting);
    submit(places, &cell, waiting - SAMPLE, &mut gateway).await?;
    let accept_us = submit(places, &cell, SAMPLE, &mut gateway).await?;
    let before = each(system::memory(gateway.process.id())?);

    let clock = Clock::machine();
    let begin = clock.now().monotonic;
    let mut gateway = gateway.restart(places).await?;
    let start = clock.now().monotonic.saturating_sub(begin);
    let after = each(system::memory(gateway.process.id())?);

    let dispatch_us = dispatch(places, carrier, &mut gateway).await?;
    gateway.process.kill().await?;
    Ok(Figures {
        waiting,
        accept_us,
        dispatch_us,
        resident: [before, after],
        start,
    })
}

/// Has the clients submit so many; the gateway's CPU for each, in microseconds.
async fn submit(places: &Places, cell: &Cell, messages: u32, gateway: &mut Gateway) -> Fallible<f64> {
    if messages == 0 {
        return Ok(0.0);
    }
    let before = system::Usage::read(gateway.process.id())?;
    let clients = run::load(places, cell, messages, gateway.smpp)?;
    let ended = clients.finish(run::patience(cell, messages)).await?;
    if let Some(fault) = ended.fault {
        return Err(fault.into());
    }
    gateway.process.must_run()?;
    let after = run::quiet(gateway.process.id()).await?;
    Ok(micros(after.since(&before), messages))
}

/// Lets the carrier come up for so many messages; the gateway's CPU for each, in microseconds.
async fn dispatch(places: &Places, address: SocketAddr, gateway: &mut Gateway) -> Fallible<f64> {
    let (system_id, password) = LINK;
    let (address, messages) = (address.to_string(), SAMPLE.to_string());
    let args = [
        "simulate-smsc",
        "--listen",
        &address,
        "--system-id",
        system_id,
        "--password",
        password,
        "--messages",
        &messages,
        "--json",
    ];
    let before = system::Usage::read(gateway.process.id())?;
    let carrier = Process::start("the carrier", &places.tidegate, args, &places.scratch)?;
    let deadline = Duration::from_secs((SAMPLE / RATE_MIN).into());
    let ended = timeout(deadline, carrier.finish(deadline)).await??;
    if let Some(fault) = ended.fault {
        return Err(fault.into());
    }
    gateway.process.must_run()?;
    let after = run::quiet(gateway.process.id()).await?;
    Ok(micros(after.since(&before), SAMPLE))
}

fn micros(cpu: Duration, messages: u32) -> f64 {
    cpu.as_secs_f64() * 1e6 / f64::from(messages)
}

fn per(octets: u64, messages: u32) -> f64 {
    run::float(octets) / f64::from(messages)
}
