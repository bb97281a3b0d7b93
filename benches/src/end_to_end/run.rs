//! One run: a carrier, the gateway or the relay, clients; and what all of them and the kernel counted.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_gateway::clock::Clock;
use tokio::time::{sleep, timeout};

use super::figures::{self, Figures, key};
use super::gateway::{ACCOUNT, Gateway, LINK, PUBLISHED};
use super::matrix::Cell;
use super::process::{DEADLINE, Ended, Process};
use super::summary::short;
use super::system::{self, Usage};
use super::{Fallible, Places, relay};

/// Clients slower than this many messages a second are not waited for.
const RATE_MIN: u32 = 500;
/// Used in [`QUIET`], less CPU than this is what a process uses that has nothing to do.
const QUIET_CPU: Duration = Duration::from_millis(1);
const QUIET: Duration = Duration::from_millis(50);

/// What stands between clients and carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Gateway,
    Relay,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Relay => "relay",
        })
    }
}

/// One run and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) cell: Cell,
    pub(super) subject: Subject,
    pub(super) messages: u32,
    pub(super) repetition: u32,
    pub(super) figures: Figures,
    /// Why it does not count.
    pub(super) faults: Vec<String>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: ", self.cell, self.subject)?;
        if let Some(fault) = self.faults.first() {
            return write!(f, "FAILED: {fault}");
        }
        let figure = |name| {
            self.figures
                .get(name)
                .copied()
                .map_or_else(|| "n/a".to_owned(), short)
        };
        write!(f, "{} msg/s, {} µs/msg", figure(key::RATE), figure(key::CPU))
    }
}

impl Run {
    /// Runs one. Whatever goes wrong is a fault of this run, and the others go on.
    pub(super) async fn of(
        places: &Places,
        cell: &Cell,
        subject: Subject,
        messages: u32,
        repetition: u32,
    ) -> Self {
        let mut run = Self {
            cell: cell.clone(),
            subject,
            messages,
            repetition,
            figures: Figures::new(),
            faults: Vec::new(),
        };
        if let Err(error) = run.measure(places).await {
            run.faults.push(error.to_string());
        }
        run
    }

    /// Its faults, each with what it is a fault of.
    pub(super) fn faults_named(&self) -> impl Iterator<Item = String> {
        let of = |fault| {
            format!(
                "{}, {}, repetition {}: {fault}",
                self.cell, self.subject, self.repetition
            )
        };
        self.faults.iter().map(of)
    }

    async fn measure(&mut self, places: &Places) -> Fallible<()> {
        places.empty()?;
        let login = match self.subject {
            Subject::Gateway => LINK,
            // The clients bind to the carrier themselves, whatever carries their octets there.
            Subject::Relay => ACCOUNT,
        };
        let (carrier, address) = carrier(places, login).await?;
        let clients = match self.subject {
            Subject::Gateway => self.through_gateway(places, address).await?,
            Subject::Relay => self.through_relay(places, address).await?,
        };
        let carrier = carrier.stop().await?;
        self.faults
            .extend([&clients.fault, &carrier.fault].into_iter().flatten().cloned());
        let clients = figures::report("the load", &clients.output)?;
        let carrier = figures::report("the carrier", &carrier.output)?;
        self.faults.extend(figures::faults(
            &clients,
            &carrier,
            &self.cell,
            self.messages,
            false,
        )?);
        self.figures
            .extend(figures::read(&clients, &carrier, &self.cell)?);
        if let Some(syncs) = self.figures.get(key::SYNCS) {
            let rate = syncs / self.figures.get(key::ELAPSED).copied().unwrap_or(f64::NAN);
            self.figures.insert(key::SYNC_RATE, rate);
        }
        Ok(())
    }

    async fn through_gateway(&mut self, places: &Places, carrier: SocketAddr) -> Fallible<Ended> {
        let mut gateway = Gateway::start(places, carrier, self.cell.pacing_us).await?;
        let watchers = match self.cell.watched {
            true => Some(gateway.watched(places, 1).await?),
            false => None,
        };
        let earlier = gateway.metrics().await?;
        let written = system::written(gateway.process.id())?;
        let clients = self
            .load_and_watch(places, gateway.smpp, &mut gateway.process)
            .await?;
        if let Some(watchers) = watchers {
            watchers.stop()?;
        }
        let written = system::written(gateway.process.id())?.saturating_sub(written);
        sleep(PUBLISHED).await;
        let later = gateway.metrics().await?;
        gateway.process.kill().await?;
        let added = |name| Fallible::Ok(later.sum(name)? - earlier.sum(name)?);
        let stored = added("tidegate_spool_batch_bytes_total")?;
        let syncs = added("tidegate_spool_batches_total")?;
        let messages = f64::from(self.messages);
        self.figures.insert(key::SYNCS, syncs);
        self.figures.insert(key::STORED_PER_MESSAGE, stored / messages);
        // Some file systems and devices account nothing: then nothing is known, which is not nought.
        if written > 0 {
            let device = float(written);
            self.figures.insert(key::DEVICE_PER_STORED, device / stored);
            self.figures.insert(key::DEVICE_PER_MESSAGE, device / messages);
        }
        Ok(clients)
    }

    async fn through_relay(&mut self, places: &Places, carrier: SocketAddr) -> Fallible<Ended> {
        let args = [
            "relay".to_owned(),
            carrier.to_string(),
            self.cell.pacing_us.to_string(),
        ];
        let mut relay = Process::start("the relay", &places.this, args, &places.scratch)?;
        let server = relay.says(relay::LISTENING).await?.parse()?;
        let clients = self.load_and_watch(places, server, &mut relay).await?;
        relay.kill().await?;
        Ok(clients)
    }

    /// Has the clients send all of their messages through a process, and notes what it used for them.
    async fn load_and_watch(
        &mut self,
        places: &Places,
        server: SocketAddr,
        process: &mut Process,
    ) -> Fallible<Ended> {
        let clock = Clock::machine();
        let before = Usage::read(process.id())?;
        let clients = load(places, &self.cell, self.messages, server)?;
        let ended = clients.finish(patience(&self.cell, self.messages)).await?;
        let at = clock.now().monotonic;
        let after = quiet(process.id()).await?;
        let drained = (clock.now().monotonic - at).saturating_sub(QUIET);
        process.must_run()?;
        let cpu = after.since(&before).as_secs_f64() * 1e6 / f64::from(self.messages);
        self.figures.insert(key::CPU, cpu);
        self.figures.insert(key::DRAINED, drained.as_secs_f64());
        self.figures
            .insert(key::RSS, float(system::memory_peak(process.id())?));
        Ok(ended)
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let mut fields = Map::new();
        for (name, value) in &self.figures {
            fields.insert((*name).to_owned(), json!(value));
        }
        let cell = &self.cell;
        for (name, value) in [
            ("cell", json!(cell.to_string())),
            ("subject", json!(self.subject.to_string())),
            ("repetition", json!(self.repetition)),
            ("messages", json!(self.messages)),
            ("binds", json!(cell.binds)),
            ("window", json!(cell.window)),
            ("receipts", json!(cell.receipts.word())),
            ("rate", json!(cell.rate)),
            ("turn_pacing_us", json!(cell.pacing_us)),
            ("length", json!(cell.length)),
            ("watched", json!(cell.watched)),
            ("faults", json!(self.faults)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Value::Object(fields)
    }
}

/// Starts a simulated carrier, on a port that it picks.
pub(super) async fn carrier(
    places: &Places,
    (system_id, password): (&str, &str),
) -> Fallible<(Process, SocketAddr)> {
    let args = [
        "simulate-smsc",
        "--listen",
        "127.0.0.1:0",
        "--system-id",
        system_id,
        "--password",
        password,
        "--json",
    ];
    let mut carrier = Process::start("the carrier", &places.tidegate, args, &places.scratch)?;
    let address = carrier.says(relay::LISTENING).await?.parse()?;
    Ok((carrier, address))
}

/// Clients of one account or of several.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// What each account's do.
    pub(super) cell: Cell,
    pub(super) accounts: u32,
}

impl Clients {
    /// Starts them with so many messages.
    pub(super) fn start(&self, places: &Places, messages: u32, server: SocketAddr) -> Fallible<Process> {
        let messages = messages.to_string();
        self.start_with(places, server, &["--messages", &messages])
    }

    /// The same with options that say how many, or how long.
    pub(super) fn start_with(
        &self,
        places: &Places,
        server: SocketAddr,
        options: &[&str],
    ) -> Fallible<Process> {
        let Self { cell, accounts } = self;
        let numbers = [
            ("--accounts", *accounts),
            ("--binds", cell.binds),
            ("--window", cell.window),
            ("--rate", cell.rate),
            ("--length", cell.length),
        ];
        let (system_id, password) = ACCOUNT;
        let server = server.to_string();
        let mut args = vec!["load".to_owned(), "--json".to_owned()];
        for (name, value) in [
            ("--server", server.as_str()),
            ("--system-id", system_id),
            ("--password", password),
            ("--bind-kind", "trx"),
            ("--coding", "gsm7"),
            ("--receipts", cell.receipts.word()),
            ("--patience", "30s"),
        ] {
            args.extend([name, value].map(str::to_owned));
        }
        args.extend(
            numbers
                .iter()
                .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]),
        );
        args.extend(options.iter().map(|option| (*option).to_owned()));
        Process::start("the load", &places.tidegate, args, &places.scratch)
    }
}

/// Starts clients of one account.
pub(super) fn load(places: &Places, cell: &Cell, messages: u32, server: SocketAddr) -> Fallible<Process> {
    let clients = Clients {
        cell: cell.clone(),
        accounts: 1,
    };
    clients.start(places, messages, server)
}

/// How long the clients may take.
pub(super) fn patience(cell: &Cell, messages: u32) -> Duration {
    let rate = match cell.rate {
        0 => RATE_MIN,
        rate => rate.min(RATE_MIN),
    };
    2 * DEADLINE + Duration::from_secs(u64::from(messages / rate))
}

/// Waits until the process has done what it still owes after the last message, settlements mostly.
pub(super) async fn quiet(id: u32) -> Fallible<Usage> {
    quiet_within(id, DEADLINE).await
}

/// The same with a time of its own.
pub(super) async fn quiet_within(id: u32, deadline: Duration) -> Fallible<Usage> {
    let waiting = async {
        let mut last = Usage::read(id)?;
        loop {
            sleep(QUIET).await;
            let now = Usage::read(id)?;
            if now.since(&last) < QUIET_CPU {
                return Fallible::Ok(now);
            }
            last = now;
        }
    };
    match timeout(deadline, waiting).await {
        Ok(usage) => usage,
        Err(_) => Err(format!("it is still busy after {deadline:?}").into()),
    }
}

/// Octets and counts far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "shown, never counted with")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}
