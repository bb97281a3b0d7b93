//! The whole gateway as a process under load, as an outside test drives it: `config/bench.toml`, a simulated
//! carrier on 127.0.0.1:2900, simulated clients. Prints one JSON object per run: what was counted, messages
//! per second, and CPU time of the gateway's process per message.
//!
//!     cargo build --release
//!     cargo bench -p tidegate-benches --bench end_to_end -- --messages 200000 --runs 3 [--kills 5]
//!
//! The carrier and the clients share the machine with the gateway; CPU per message is the figure to compare.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::values::RegisteredDelivery;
use tidegate_gateway::demo::report::Outcome;
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::simulator::{self, Simulator};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// What is to be run.
struct Options {
    messages: u32,
    binds: usize,
    window: usize,
    runs: u32,
    kills: u32,
    receipts: bool,
}

impl Options {
    fn read() -> Fallible<Self> {
        let mut options = Self {
            messages: 200_000,
            binds: 8,
            window: 100,
            runs: 1,
            kills: 0,
            receipts: true,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--messages" => options.messages = value()?.parse()?,
                "--binds" => options.binds = value()?.parse()?,
                "--window" => options.window = value()?.parse()?,
                "--runs" => options.runs = value()?.parse()?,
                "--kills" => options.kills = value()?.parse()?,
                "--no-receipts" => options.receipts = false,
                // What cargo adds.
                "--bench" => {}
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(options)
    }
}

/// The gateway's process; killed when dropped.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    fn start(top: &Path) -> Fallible<Self> {
        let child = Command::new(top.join("target/release/tidegate"))
            .args(["serve", "--config", "config/bench.toml"])
            .current_dir(top)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    /// CPU seconds of the process so far, in user and kernel mode.
    fn cpu_seconds(&self) -> Fallible<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| {
            fields
                .get(at)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or_default()
        };
        // Fields 14 and 15 of proc(5), counted behind the name; a tick is 10 ms on Linux.
        Ok((ticks(11) + ticks(12)) / 100.0)
    }
}

fn main() -> Fallible<()> {
    let options = Options::read()?;
    // A plain `cargo bench` runs the others; without the program there is nothing to measure here.
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !top.join("target/release/tidegate").exists() {
        writeln!(
            std::io::stderr(),
            "SKIPPED: build the program first: cargo build --release"
        )?;
        return Ok(());
    }
    for run in 1..=options.runs {
        let line = once(&top, &options, run)?;
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

fn once(top: &Path, options: &Options, run: u32) -> Fallible<String> {
    for dir in ["bench-data", "bench-keys", "bench-kek"] {
        let _ = std::fs::remove_dir_all(top.join("target").join(dir));
    }
    let secret = Password::new(b"secret", PASSWORD_MAX)?;
    let listen: SocketAddr = "127.0.0.1:2900".parse()?;
    let carrier = Simulator::start(simulator::Options {
        listen,
        ..simulator::Options::new("tidegate".parse()?, secret.clone())
    })?;
    let mut gateway = Gateway::start(top)?;
    let server: SocketAddr = "127.0.0.1:2775".parse()?;
    let wish = if options.receipts {
        RegisteredDelivery::FINAL
    } else {
        RegisteredDelivery::NONE
    };
    let clients = Load::start(load::Options {
        binds: options.binds,
        window: options.window,
        messages: options.messages,
        run,
        registered_delivery: wish,
        ..load::Options::new(server, "load".parse()?, secret)?
    })?;
    // CPU of the start (key ring, argon2) is no message's.
    while clients.counts().acknowledged == 0 && !clients.wait(Duration::from_millis(1)) {}
    let before = gateway.cpu_seconds()?;
    for kill in 1..=options.kills {
        let at = u64::from(options.messages) * u64::from(kill) / u64::from(options.kills + 2);
        while clients.counts().acknowledged < at && !clients.wait(Duration::from_millis(1)) {}
        drop(gateway);
        gateway = Gateway::start(top)?;
    }
    while !clients.wait(Duration::from_millis(20)) {}
    let after = gateway.cpu_seconds()?;
    let clients = clients.join()?;
    let outcome = Outcome::new(&clients, Some(&carrier.stop()?));
    drop(gateway);
    let json = outcome.json();
    let cpu = if options.kills == 0 {
        format!("{:.2}", (after - before) * 1e6 / f64::from(options.messages))
    } else {
        "null".to_owned()
    };
    let Options {
        binds, window, kills, ..
    } = options;
    Ok(format!(
        "{},\"cpu_us_per_msg\":{cpu},\"binds\":{binds},\"window\":{window},\"kills\":{kills},\"resubmitted\":{},\"gave_up\":{}}}",
        json.trim_end_matches('}'),
        outcome.resubmitted,
        clients.gave_up,
    ))
}
