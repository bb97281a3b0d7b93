//! A gateway in memory, on the test's own thread and in virtual time: it is started, killed, stopped in order,
//! and loses its power.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tidegate_codec::identity::Password;
use tidegate_codec::values::BindKind;
use tidegate_config::Config;
use tidegate_gateway::audit::{self, AuditHandle};
use tidegate_gateway::clock::Clock;
use tidegate_gateway::gate::Gate;
use tidegate_gateway::http::Health;
use tidegate_gateway::links::{End, LinkId};
use tidegate_gateway::serve::Hub;
use tidegate_gateway::telemetry::{KeyMetrics, Telemetry};
use tidegate_gateway::{keeper, link};
use tidegate_store::audit::Signer;
use tidegate_store::disk::FaultyDisk;
use tidegate_store::keyring::{Kek, KeyRing, Tier};
use tidegate_store::spool::{ChoreDone, Options, Recovered, Spool};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::pipe::Pipes;
use crate::wire::Wire;

/// 2026-11-24, in unix milliseconds.
pub(crate) const START_MS: u64 = 1_795_478_400_000;
/// What a pipe between a peer and the gateway holds.
const PIPE: usize = 1 << 16;

/// The bench's configuration with a receipt deadline that virtual time reaches in a moment.
pub(crate) fn bench_config() -> Config {
    bench_config_with("20m")
}

/// The same with another receipt deadline.
pub(crate) fn bench_config_with(receipt_deadline: &str) -> Config {
    let key = format!("receipt_deadline = \"{receipt_deadline}\"");
    bench_config_lines(&[("name = \"sink\"", &key)])
}

/// The bench's configuration with lines behind others.
pub(crate) fn bench_config_lines(lines: &[(&str, &str)]) -> Config {
    let mut text = include_str!("../../config/bench.toml").to_owned();
    for (line, behind) in lines {
        text = text.replacen(line, &format!("{line}\n{behind}"), 1);
    }
    tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What a gateway is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: Arc<Config>,
    pub(crate) options: Options,
    /// How long the outcome of a chore is on its way to the loop, in milliseconds: the keeper is another thread. Where
    /// it may be nothing, it mostly is.
    pub(crate) keeper_late_ms: RangeInclusive<u64>,
    /// With an audit log, in the directory `audit`.
    pub(crate) is_audited: bool,
}

impl Setup {
    pub(crate) fn new(config: Config, segment_size: u64, limit: u64) -> Self {
        Self {
            config: Arc::new(config),
            keeper_late_ms: 0..=0,
            is_audited: false,
            options: Options {
                dir: "spool".into(),
                node: 0,
                segment_size,
                limit,
                reserve_segments: 4,
                max_legs: 20_000,
                waiting_dir: "waiting".into(),
                outbox_dir: "outbox".into(),
                usage_dir: "usage".into(),
                standing_dir: "standing".into(),
                history_dir: "history".into(),
                history_index: None,
                accept_damage: false,
                receipt_hot_ms: 60_000,
            },
        }
    }
}

/// A gateway in memory.
pub(crate) struct World {
    pub(crate) hub: Rc<Hub<FaultyDisk>>,
    pub(crate) disk: FaultyDisk,
    pub(crate) clock: Clock,
    pub(crate) recovered: Recovered,
    // Dropping it would ask for the end.
    stop: watch::Sender<bool>,
    turns: JoinHandle<()>,
    pub(crate) pipes: Pipes,
    pub(crate) health: Arc<Health>,
    /// As long as somebody may ask it, the audit log is tended.
    pub(crate) audit: AuditHandle,
    tasks: RefCell<Vec<JoinHandle<()>>>,
}

impl World {
    /// Starts a gateway on what `disk` holds.
    pub(crate) fn start(disk: FaultyDisk, clock: Clock, seed: u64) -> Self {
        let setup = Setup::new(bench_config(), 1 << 20, 1 << 28);
        Self::start_with(&setup, disk, clock, seed).unwrap()
    }

    /// The same with a setup of its own; an error when the disk does not let it start.
    pub(crate) fn start_with(
        setup: &Setup,
        disk: FaultyDisk,
        clock: Clock,
        seed: u64,
    ) -> Result<Self, String> {
        let rng = |number: u64| ChaCha20Rng::seed_from_u64(seed.wrapping_mul(8).wrapping_add(number));
        let mut start_rng = rng(0);
        let now_ms = clock.now().unix_ms;
        let ring = key_ring(&disk, now_ms, &mut start_rng)?;
        let permutation = ring.permutation();
        let options = setup.options.clone();
        let (spool, own, recovered) = Spool::open(disk.clone(), options, ring, now_ms, &mut start_rng)
            .map_err(|error| error.to_string())?;
        let config = Arc::clone(&setup.config);
        let passwords = vec![Password::new(b"secret", 9).unwrap(); config.carriers.len()];
        let gate = Gate::new(config, spool, permutation, passwords, rng(1));
        let gate = gate.unwrap_or_else(|_| panic!("few names"));
        let ends = keeper::ends();
        let health = Arc::new(Health::new(clock.clone()));
        let (audit, to_enter) = audit::ends();
        let log = setup.is_audited.then(|| {
            let place = audit::Place {
                disk: disk.clone(),
                dir: "audit".into(),
                signer: Signer::new("tidegate/node-0", &[1; 32]).unwrap(),
            };
            let (rules, telemetry) = (setup.config.audit.clone(), Telemetry::new());
            let health = Arc::clone(&health);
            let log = audit::Log::start(place, rules, clock.clone(), &telemetry, health, Vec::new());
            Rc::new(RefCell::new(log))
        });
        let (checks, mut to_check) = mpsc::channel(64);
        let hub = Hub::new(gate, clock.clone(), ends.handle, checks);
        let (stop, stopped) = watch::channel(false);
        let (relayed, late) = mpsc::channel(keeper::CHORES_MAX);
        let turns = spawn_local(Rc::clone(&hub).run_turns(stopped));
        let checker = Rc::clone(&hub);
        let tended = log.clone();
        let tasks = vec![
            spawn_local(async move {
                if let Some(log) = tended {
                    audit::run(log, to_enter).await;
                }
            }),
            spawn_local(keeper::run(
                own,
                ends.inbox,
                log,
                rng(2),
                KeyMetrics::new(&Telemetry::new()),
            )),
            spawn_local(Rc::clone(&hub).hear_keeper(late)),
            spawn_local(relay(ends.done, relayed, setup.keeper_late_ms.clone(), rng(3))),
            spawn_local(async move {
                while let Some(check) = to_check.recv().await {
                    let granted = check.password.expose() == b"secret";
                    checker.bind_checked(check.link, check.system_id, Some(granted));
                }
            }),
        ];
        Ok(Self {
            hub,
            disk,
            clock,
            recovered,
            stop,
            turns,
            pipes: Pipes::default(),
            health,
            audit,
            tasks: RefCell::new(tasks),
        })
    }

    /// Runs something as long as this gateway lives.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(spawn_local(task));
    }

    /// An ESME's connection.
    pub(crate) fn esme(&self) -> Wire {
        self.numbered_esme().1
    }

    /// The same, and its link.
    pub(crate) fn numbered_esme(&self) -> (LinkId, Wire) {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let theirs = self.pipes.add(theirs);
        let id = self
            .hub
            .with_gate(|gate, now| gate.open_esme(now, [127, 0, 0, 1].into()));
        let hub = Rc::clone(&self.hub);
        self.spawn(async move {
            link::run(hub, id, theirs).await;
        });
        (id, Wire::new(ours))
    }

    /// The same of one that holds so many octets back until it is flushed, as TLS does, over a pipe that takes half of that.
    pub(crate) fn esme_that_is_flushed(&self, held: usize) -> Wire {
        let (ours, theirs) = tokio::io::duplex(held / 2);
        let theirs = tokio::io::BufStream::with_capacity(PIPE, held, self.pipes.add(theirs));
        let id = self
            .hub
            .with_gate(|gate, now| gate.open_esme(now, [127, 0, 0, 1].into()));
        let hub = Rc::clone(&self.hub);
        self.spawn(async move {
            link::run_sealed(hub, id, theirs).await;
        });
        Wire::new(ours)
    }

    /// The other end of a link to the first carrier.
    pub(crate) fn smsc(&self) -> Wire {
        self.smsc_of(0)
    }

    /// The same of any carrier.
    pub(crate) fn smsc_of(&self, carrier: usize) -> Wire {
        let (wire, run) = carrier_link(&self.hub, &self.pipes, carrier, BindKind::Transceiver);
        self.spawn(async move {
            run.await;
        });
        wire
    }

    /// Ends it as a kill does: from one instruction to the next. What it wrote is in the system's cache.
    pub(crate) fn kill(self) -> FaultyDisk {
        self.pipes.close();
        self.turns.abort();
        for task in self.tasks.borrow().iter() {
            task.abort();
        }
        self.disk
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) -> FaultyDisk {
        self.stop.send_replace(true);
        // A turn that panicked has failed the test already.
        let _ = self.turns.await;
        self.pipes.close();
        for task in self.tasks.borrow().iter() {
            task.abort();
        }
        self.disk
    }
}

/// Passes outcomes of chores on, late.
async fn relay(
    mut from: mpsc::Receiver<ChoreDone<FaultyDisk>>,
    to: mpsc::Sender<ChoreDone<FaultyDisk>>,
    late_ms: RangeInclusive<u64>,
    mut rng: ChaCha20Rng,
) {
    while let Some(done) = from.recv().await {
        let (min, max) = (*late_ms.start(), *late_ms.end());
        let late = min + u64::from(rng.next_u32()) % (max - min + 1);
        if min > 0 || (max > 0 && rng.next_u32().is_multiple_of(3)) {
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        if to.send(done).await.is_err() {
            return;
        }
    }
}

/// Where the key-encryption key of tier `legal` is, for a disk that is to have its ring.
pub(crate) const LEGAL_KEK: &str = "kek-legal";

pub(crate) fn key_ring(
    disk: &FaultyDisk,
    now_ms: u64,
    rng: &mut ChaCha20Rng,
) -> Result<KeyRing<FaultyDisk>, String> {
    let (kek, ring) = (Path::new("kek"), Path::new("keys"));
    let mut ring = if disk.octets(kek).is_some() {
        let kek = Kek::read(disk, kek).map_err(|error| error.to_string())?;
        KeyRing::open(disk, ring, kek).map_err(|error| error.to_string())?
    } else {
        let kek = Kek::create(disk, kek, rng).map_err(|error| error.to_string())?;
        KeyRing::create(disk, ring, kek, now_ms, rng).map_err(|error| error.to_string())?
    };
    let legal = Path::new(LEGAL_KEK);
    if disk.octets(legal).is_some() {
        let kek = Kek::read(disk, legal).map_err(|error| error.to_string())?;
        ring.attach(disk, Tier::Legal, kek, now_ms, rng)
            .map_err(|error| error.to_string())?;
    }
    Ok(ring)
}

/// A new link to a carrier: its far end, and what runs ours until it ends.
pub(crate) fn carrier_link(
    hub: &Rc<Hub<FaultyDisk>>,
    pipes: &Pipes,
    carrier: usize,
    kind: BindKind,
) -> (Wire, impl Future<Output = (End, bool)> + use<>) {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let id = hub.with_gate(|gate, now| gate.open_carrier(now, carrier, kind).unwrap());
    (Wire::new(ours), link::run(Rc::clone(hub), id, pipes.add(theirs)))
}

/// Runs a scenario on one thread in virtual time.
pub(crate) fn scenario<F: Future<Output = ()>>(run: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async { run().await });
}
