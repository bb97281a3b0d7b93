//! Starting and ending a gateway: opens what is on disk, starts the keeper's thread and the loop's, and
//! listens last (design §6).

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use tidegate_codec::identity::{Password, SystemId};
use tidegate_config::Config;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Made, SeedError, Value, Word};
use tidegate_store::disk::{Disk as _, RealDisk};
use tidegate_store::keyring::{Attached, Kek, Keks, KeyRing};
use tidegate_store::lock::DirLock;
use tidegate_store::message_id::Permutation;
use tidegate_store::spool::{self, ChoreDone, Keeper, Options, Recovered, Spool};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

use crate::abuse::{self, Cases};
use crate::access::{self, Access};
use crate::admin::{self, Desk, Tokens};
use crate::audit::{self, AuditHandle, Log, note_binds};
use crate::board::{Board, Page, Recorder};
use crate::clock::Clock;
use crate::connect::{self, link_kinds};
use crate::credentials::{Bounds, Verdict, Verifier};
use crate::disclosures::{self, Disclosures};
use crate::exports::{self, Exports};
use crate::gate::{BindCheck, Gate};
use crate::http::{CarrierLinks, Health, HttpServer, Phase, Seal};
use crate::installation::{self, Installation, tiers};
use crate::keeper::{Inbox, KeeperHandle, RingOrder};
use crate::keeping::{Closures, Keeping};
use crate::legal::Legal;
use crate::notices::{self, Notices};
use crate::orders::{Orders, OrdersFile};
use crate::publish::Publisher;
use crate::random::{self, NoRandomness, fork};
use crate::reload::{self, Reloader};
use crate::secret::SecretError;
use crate::serve::Hub;
use crate::small_file::register::Unreadable;
use crate::subjects::Subjects;
use crate::sweep::{self, Sweep};
use crate::tables::{TableProblems, Tables};
use crate::telemetry::{
    AbuseMetrics, AccessMetrics, AdminMetrics, DisclosureMetrics, ExportMetrics, HistoryMetrics, HttpMetrics,
    KeyMetrics, NoticeMetrics, SubjectMetrics, SweepMetrics, Telemetry,
};
use crate::tls::{Tls, TlsProblems};
use crate::trace::{self, Files, Records};
use crate::{control, filters, keeper, listen, orders, register, subjects};

/// Binds on their way from the loop to who checks their passwords, and bounds there: `limits.bind_queue` at its most.
const BIND_CHECKS_MAX: usize = 100_000;
/// How often counts are published to the metrics.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory, the key ring or the key-encryption key.
    #[error(transparent)]
    Installation(#[from] installation::OpenError),
    /// A carrier's password cannot be had.
    #[error("password of carrier {carrier}: {source}")]
    Secret {
        /// Which carrier.
        carrier: String,
        /// Why.
        source: SecretError,
    },
    /// The key that signs the audit log's checkpoints.
    #[error("the audit log's key: {0}")]
    Audit(#[from] SeedError),
    /// Keys of tiers are made or moved only when the audit log says so (AUD-6).
    #[error(
        "key rings of tiers are to be made or to take keys over, and the audit log cannot be written: {0}"
    )]
    NotEntered(String),
    /// A file of networks, ported numbers or prices.
    #[error("the tables cannot be used:\n{0}")]
    Tables(#[from] TableProblems),
    /// A file of a certificate or key.
    #[error("TLS cannot be used:\n{0}")]
    Tls(#[from] TlsProblems),
    /// What operators have halted and suspended cannot be known.
    #[error(transparent)]
    Orders(#[from] orders::Unreadable),
    /// A register, of cases, notices, holds, break-glass, disclosures or people's requests, is not as it was written.
    #[error(transparent)]
    Register(#[from] Unreadable),
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    /// A socket, runtime or thread cannot be made.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// More accounts and carriers than can be numbered.
    #[error("too many names of accounts and carriers")]
    TooManyNames,
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io {
        what: what.into(),
        source,
    }
}

/// A gateway that runs, on two threads of its own.
#[derive(Debug)]
pub struct Running {
    /// Where ESMEs connect, in the order of the configuration.
    pub listening: Vec<SocketAddr>,
    /// Where metrics and health are.
    pub http: SocketAddr,
    /// Where verbs are done over HTTP, if anywhere.
    pub admin: Option<SocketAddr>,
    /// What the start found on disk.
    pub recovered: Recovered,
    asked: mpsc::Sender<control::Request>,
    stop: watch::Sender<bool>,
    turned: Arc<AtomicU64>,
    loop_thread: JoinHandle<()>,
    keeper_thread: JoinHandle<()>,
    register_thread: JoinHandle<()>,
}

impl Running {
    /// How many turns the loop has come to the end of since the start. It turns some fifty times a second when nobody asks for
    /// anything, so one that stays the same is of a loop that hangs.
    pub fn turns(&self) -> u64 {
        self.turned.load(Ordering::Relaxed)
    }

    /// Asks for the end, and waits for nothing.
    pub fn ask_to_end(&self) {
        let _ = self.stop.send(true);
    }

    /// Whether all of it has ended.
    pub fn is_over(&self) -> bool {
        let threads = [&self.loop_thread, &self.keeper_thread, &self.register_thread];
        threads.iter().all(|thread| thread.is_finished())
    }

    /// Asks for the end and waits for it: at most the configured grace period and a last sync.
    pub fn stop(self) {
        self.ask_to_end();
        // A thread that panicked has said so; there is nothing left to end.
        let _ = self.loop_thread.join();
        let _ = self.keeper_thread.join();
        let _ = self.register_thread.join();
    }

    /// Asks for a reload, as SIGHUP does; what became of it comes back. Dropping that gives it up. `None` where too many
    /// requests wait.
    pub fn reload(&self) -> Option<oneshot::Receiver<control::Answer>> {
        let (answer, answered) = oneshot::channel();
        let verb = control::Verb::Reload {
            dry_run: false,
            file: None,
        };
        let request = control::Request {
            verb,
            who: Actor::Operator(None),
            role: None,
            answer,
        };
        self.asked.try_send(request).ok().map(|()| answered)
    }

    /// Whether the loop or the keeper has ended without being asked: a panic. Without the keeper there is no
    /// next segment, and everything would wait for it.
    pub fn has_ended(&self) -> bool {
        self.loop_thread.is_finished() || self.keeper_thread.is_finished()
    }
}

/// Starts a gateway and returns once it listens. It cannot be reloaded: nobody knows from where.
pub fn start(config: Config, telemetry: &Telemetry, clock: Clock) -> Result<Running, StartError> {
    start_from(None, config, telemetry, clock)
}

/// The same with the file of the configuration, which a reload reads again.
pub fn start_from(
    file: Option<PathBuf>,
    config: Config,
    telemetry: &Telemetry,
    clock: Clock,
) -> Result<Running, StartError> {
    start_with(file, Vec::new(), config, telemetry, clock)
}

/// The same with the other key-encryption keys of interrupted rotations, which then go on.
pub fn start_with(
    file: Option<PathBuf>,
    other_keks: Vec<Kek>,
    config: Config,
    telemetry: &Telemetry,
    clock: Clock,
) -> Result<Running, StartError> {
    let mut rng = random::generator()?;
    let config = Arc::new(config);
    let tables = Arc::new(Tables::load(&config)?);
    let passwords = reload::passwords(&config).map_err(|mut failed| failed.swap_remove(0))?;
    let tls = Tls::load(&config, &clock)?;
    let now = clock.now();
    let (Installation { lock, ring, .. }, (orders, notices, cases, access, health, log)) =
        installation::open(
            &config.storage,
            other_keks,
            now.unix_ms,
            &mut rng,
            |ring, made, rng| {
                let data = &config.storage.data;
                let (orders, notices) = (OrdersFile::open(data)?, Notices::open(data)?);
                let (cases, access) = (Cases::open(data)?, Arc::new(Access::open(data)?));
                let health = Arc::new(Health::new(clock.clone()));
                let mut log = open_audit(&config, ring, made.0, &clock, (telemetry, &health), rng)?;
                if made.1.iter().any(|(_, comes)| *comes != Attached::default()) {
                    // Otherwise a log that cannot be written yet holds no start up.
                    log.enter(&[]).map_err(StartError::NotEntered)?;
                }
                Ok::<_, StartError>((orders, notices, cases, access, health, log))
            },
            |(.., log), tier, step| {
                log.enter(&[tiers::entry(tier, step)])
                    .map_err(StartError::NotEntered)
            },
        )?;
    if let Some(file) = config.storage.kek.file() {
        KeyMetrics::new(telemetry).publish_kek(file);
    }
    let keks = ring.keks();
    // Both threads hold it: a chore that outlives the loop must not meet another process's files.
    let lock = Arc::new(lock);
    let permutation = ring.permutation();
    let (spool, own, recovered) = Spool::open(RealDisk, spool_options(&config), ring, now.unix_ms, &mut rng)?;
    let living = spool.standing().generations();
    let living: Vec<u8> = living.into_iter().map(|(generation, _)| generation).collect();
    orders.0.known(&orders.1, &living)?;
    let legal = Legal::open(&config.storage.data, own.ring())?;
    let disclosures = Disclosures::open(&config.storage.data, own.ring())?;
    let subjects = Subjects::open(&config.storage.data, own.ring())?;
    if recovered.is_alarming() {
        tracing::error!(found = ?recovered, "the spool has lost something");
    } else {
        tracing::info!(found = ?recovered, "spool opened");
    }
    if spool.is_filled_by_history() {
        tracing::error!(
            octets = spool.occupied(),
            intake_limit = spool.intake_limit(),
            "what is kept of finished messages leaves no room for new ones: nothing is taken in until storage.limit is raised \
             or enough of it is due"
        );
    }
    for carrier in &config.carriers {
        let wanted = link_kinds(carrier.binds, carrier.links).len();
        health.set_carrier(&carrier.name, CarrierLinks { bound: 0, wanted });
    }

    let http = bind(config.http.address)?;
    let http_address = http.local_addr().map_err(io_error("name the HTTP socket"))?;
    let admin = match config.http.admin_address {
        Some(address) => Some(open_admin(&config, address)?),
        None => None,
    };
    let admin_address = admin.as_ref().map(|(_, _, address)| *address);
    let tokens = admin.as_ref().map(|(_, tokens, _)| Arc::clone(tokens));
    // Made whether or not there is one: what is 0 is shown as 0.
    let admin_metrics = Arc::new(AdminMetrics::new(telemetry));
    let board = Arc::new(Board::default());
    let listeners = config
        .listen
        .iter()
        .map(|listen| bind(listen.address))
        .collect::<Result<Vec<_>, _>>()?;
    let listening = listeners
        .iter()
        .map(std::net::TcpListener::local_addr)
        .collect::<io::Result<Vec<_>>>()
        .map_err(io_error("name a listening socket"))?;

    // Without it the gateway carries traffic all the same.
    let control = control::Listener::bind(&config.storage.data)
        .inspect_err(|error| tracing::error!(%error, "the control socket cannot be made"))
        .ok();
    let (asked, to_answer) = control::ends();

    let (stop, stopped) = watch::channel(false);
    let (admin_seal, admin_sealed) = watch::channel(tls.admin_seal(&config, &clock));
    let ends = keeper::ends();
    let (audit, to_enter) = audit::ends();
    // Both runtimes are made here, so that a failure is an answer and not a dead thread.
    let keeper_runtime = runtime()?;
    let loop_runtime = runtime()?;
    let verifier = Verifier::new(
        &config.accounts,
        Bounds::from(&config.limits),
        clock.clone(),
        Handle::clone(keeper_runtime.handle()),
        &mut rng,
    );
    let (register, to_look_up) = register::ends();
    let register_thread = {
        let index = own.register(installation::register_dir(&config.storage));
        let (config, lock, keks) = (Arc::clone(&config), Arc::clone(&lock), keks.clone());
        thread("register", move || {
            // Held as long as anything may touch the data.
            let _lock = lock;
            register::run(index, &to_look_up, || opening_keys(&config, &keks));
        })?
    };
    let keeper_thread = {
        let work = KeeperWork {
            own,
            log,
            to_enter,
            inbox: ends.inbox,
            rng: fork(&mut rng),
            http,
            admin: admin.map(|(socket, tokens, _)| {
                let desk = Desk {
                    tokens,
                    access: Arc::clone(&access),
                    asked: asked.clone(),
                    clock: clock.clone(),
                    metrics: admin_metrics,
                    board: Arc::clone(&board),
                    page: Arc::new(Page::new()),
                };
                (socket, desk, admin_sealed)
            }),
            control,
            asked: asked.clone(),
            health: Arc::clone(&health),
            telemetry: telemetry.clone(),
            stopped: stopped.clone(),
            lock: Arc::clone(&lock),
        };
        thread("keeper", move || keep(&keeper_runtime, work))?
    };
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let turned = Arc::new(AtomicU64::new(0));
    let loop_thread = {
        let work = LoopWork {
            turned: Arc::clone(&turned),
            publisher: Publisher::new(&config, telemetry, Arc::clone(&health), &recovered),
            recorder: Recorder::new(
                Arc::clone(&board),
                Arc::clone(&health),
                recovered.is_alarming(),
                clock.now(),
            ),
            board,
            config,
            spool,
            permutation,
            passwords,
            tables,
            tls,
            clock,
            rng,
            health,
            file,
            verifier,
            keeper: ends.handle,
            key_ring: ends.ring,
            keks,
            register,
            tokens,
            orders,
            legal,
            access,
            disclosures,
            subjects,
            notices,
            cases,
            admin_seal,
            audit,
            sweep_metrics: SweepMetrics::new(telemetry),
            export_metrics: ExportMetrics::new(telemetry),
            subject_metrics: SubjectMetrics::new(telemetry),
            notice_metrics: NoticeMetrics::new(telemetry),
            abuse_metrics: AbuseMetrics::new(telemetry),
            access_metrics: AccessMetrics::new(telemetry),
            disclosure_metrics: DisclosureMetrics::new(telemetry),
            history_metrics: HistoryMetrics::new(telemetry),
            done: ends.done,
            to_answer,
            listeners,
            stopped,
            ready,
            _lock: lock,
        };
        thread("loop", move || run_loop(&loop_runtime, work))?
    };
    match started.recv() {
        Ok(Ok(())) => Ok(Running {
            listening,
            http: http_address,
            admin: admin_address,
            recovered,
            asked,
            stop,
            turned,
            loop_thread,
            keeper_thread,
            register_thread,
        }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io_error("run the loop")(io::Error::other(
            "its thread ended before it listened",
        ))),
    }
}

/// The admin listener's socket, its tokens, and where it listens.
fn open_admin(
    config: &Config,
    address: SocketAddr,
) -> Result<(std::net::TcpListener, Arc<Tokens>, SocketAddr), StartError> {
    let socket = bind(address)?;
    let address = socket.local_addr().map_err(io_error("name the admin socket"))?;
    let tokens = Tokens::open(&config.storage.data).map_err(io_error("read the admin listener's tokens"))?;
    Ok((socket, Arc::new(tokens), address))
}

/// The keys as they are in the ring, to open numbers for lists.
fn opening_keys(config: &Config, keks: &Keks) -> Result<register::Keys, String> {
    KeyRing::look(&RealDisk, &config.storage.key_ring, keks).map_err(|error| error.to_string())
}

/// Opens the audit log and enters the start, and the keys that were made for it.
fn open_audit(
    config: &Config,
    ring: &mut KeyRing<RealDisk>,
    is_made: bool,
    clock: &Clock,
    (telemetry, health): (&Telemetry, &Arc<Health>),
    rng: &mut ChaCha20Rng,
) -> Result<Log<RealDisk>, StartError> {
    let dir = installation::audit_dir(&config.storage);
    RealDisk
        .create_dir_all(&dir)
        .map_err(io_error("make the audit log's directory"))?;
    let (origin, now_ms) = (config.audit.origin(&config.node), clock.now().unix_ms);
    let (signer, key) = tidegate_store::audit::signer(&RealDisk, &dir, ring, &origin, now_ms, rng)?;
    let key_made = |what: &str| {
        let reason = Value::Word(Word::of_name(what));
        Entry::new(Kind::KeyEvent, Actor::System).with(Field::Reason, reason)
    };
    let mut also = audit::exceptions::standing(config, now_ms);
    if is_made {
        also.push(key_made("key ring made"));
    }
    match key {
        Made::Found => {}
        Made::New => also.push(key_made("signing key made")),
        Made::InPlaceOfAnother => {
            tracing::error!(
                "the audit log's signing key does not open: it is moved aside, and another one signs now"
            );
            also.push(key_made("signing key made in place of one that does not open"));
        }
    }
    let (rules, clock) = (config.audit.clone(), clock.clone());
    let place = audit::Place {
        disk: RealDisk,
        dir,
        signer,
    };
    Ok(Log::start(
        place,
        rules,
        clock,
        telemetry,
        Arc::clone(health),
        also,
    ))
}

/// The spool's options as the configuration has them.
pub(crate) fn spool_options(config: &Config) -> Options {
    let storage = &config.storage;
    Options {
        dir: installation::spool_dir(storage),
        node: config.node.id,
        segment_size: storage.segment_size,
        limit: storage.limit,
        reserve_segments: storage.reserve_segments,
        max_legs: storage.max_unfinished,
        waiting_dir: installation::waiting_dir(storage),
        outbox_dir: installation::outbox_dir(storage),
        usage_dir: installation::usage_dir(storage),
        standing_dir: installation::standing_dir(storage),
        history_dir: installation::history_dir(storage),
        history_index: Some(installation::history_index_dir(storage)),
        accept_damage: storage.accept_damaged_opt_outs,
        receipt_hot_ms: u64::try_from(storage.receipt_hot.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let what = || format!("listen on {address}");
    let listener = std::net::TcpListener::bind(address).map_err(io_error(what()))?;
    listener.set_nonblocking(true).map_err(io_error(what()))?;
    Ok(listener)
}

fn runtime() -> Result<Runtime, StartError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_error("make a runtime"))
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(io_error("start a thread"))
}

/// What the keeper's thread is given.
struct KeeperWork {
    own: Keeper<RealDisk>,
    log: Log<RealDisk>,
    to_enter: mpsc::Receiver<audit::Request>,
    inbox: Inbox<RealDisk>,
    rng: ChaCha20Rng,
    http: std::net::TcpListener,
    admin: Option<(std::net::TcpListener, Desk, watch::Receiver<Seal>)>,
    control: Option<control::Listener>,
    asked: mpsc::Sender<control::Request>,
    health: Arc<Health>,
    telemetry: Telemetry,
    stopped: watch::Receiver<bool>,
    /// Held as long as anything may touch the data.
    lock: Arc<DirLock>,
}

/// The keeper's thread: chores and HTTP; the checks of passwords run on its blocking threads.
fn keep(runtime: &Runtime, work: KeeperWork) {
    // Let go last of all: the control socket's file, which goes with its listener, may be another process's then.
    let _lock = Arc::clone(&work.lock);
    runtime.block_on(LocalSet::new().run_until(async move {
        let KeeperWork {
            own,
            log,
            to_enter,
            inbox,
            rng,
            http,
            admin,
            control,
            asked,
            health,
            telemetry,
            mut stopped,
            ..
        } = work;
        if let Some(listener) = control {
            spawn_local(control::serve(listener, asked, stopped.clone()));
        }
        if let Some((socket, desk, seal)) = admin {
            match HttpServer::from_std(socket) {
                Ok(server) => {
                    let mut stopped = stopped.clone();
                    let stop = async move {
                        let _ = stopped.wait_for(|stopped| *stopped).await;
                    };
                    let counted = (HttpMetrics::new(&telemetry, "admin"), seal);
                    spawn_local(server.serve_router(admin::router(desk), admin::LIMITS, counted, stop));
                }
                Err(error) => tracing::error!(%error, "the admin listener cannot be served"),
            }
        }
        let keys = KeyMetrics::new(&telemetry);
        match HttpServer::from_std(http) {
            Ok(server) => {
                let stop = async move {
                    // The answer says "shutting down" until the very end.
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                };
                spawn_local(server.serve(health, telemetry, stop));
            }
            Err(error) => tracing::error!(%error, "metrics and health cannot be served"),
        }
        let log = Rc::new(RefCell::new(log));
        let written = Some(Rc::clone(&log));
        let audited = spawn_local(audit::run(log, to_enter));
        // Both end when the loop does: its handles are dropped then.
        keeper::run(own, inbox, written, rng, keys).await;
        if let Err(error) = audited.await {
            tracing::error!(%error, "the audit log has failed");
        }
    }));
}

/// What the loop's thread is given.
struct LoopWork {
    config: Arc<Config>,
    turned: Arc<AtomicU64>,
    spool: Spool<RealDisk>,
    permutation: Permutation,
    passwords: Vec<Password>,
    tables: Arc<Tables>,
    tls: Tls,
    clock: Clock,
    rng: ChaCha20Rng,
    health: Arc<Health>,
    file: Option<PathBuf>,
    publisher: Publisher,
    recorder: Recorder,
    board: Arc<Board>,
    verifier: Verifier,
    keeper: KeeperHandle<RealDisk>,
    key_ring: mpsc::Sender<RingOrder>,
    keks: Keks,
    register: register::Handle,
    tokens: Option<Arc<Tokens>>,
    orders: (OrdersFile, Orders),
    legal: Legal,
    access: Arc<Access>,
    disclosures: Disclosures,
    subjects: Subjects,
    notices: Notices,
    cases: Cases,
    admin_seal: watch::Sender<Seal>,
    audit: AuditHandle,
    sweep_metrics: SweepMetrics,
    export_metrics: ExportMetrics,
    subject_metrics: SubjectMetrics,
    notice_metrics: NoticeMetrics,
    abuse_metrics: AbuseMetrics,
    access_metrics: AccessMetrics,
    disclosure_metrics: DisclosureMetrics,
    history_metrics: HistoryMetrics,
    done: mpsc::Receiver<ChoreDone<RealDisk>>,
    to_answer: mpsc::Receiver<control::Request>,
    listeners: Vec<std::net::TcpListener>,
    stopped: watch::Receiver<bool>,
    ready: std::sync::mpsc::SyncSender<Result<(), StartError>>,
    /// Held as long as anything may touch the data.
    _lock: Arc<DirLock>,
}

/// The loop's thread.
fn run_loop(runtime: &Runtime, work: LoopWork) {
    let LoopWork {
        config,
        mut rng,
        stopped,
        health,
        ..
    } = work;
    let gate_rng = fork(&mut rng);
    let mut gate = match Gate::new(
        Arc::clone(&config),
        work.spool,
        work.permutation,
        work.passwords,
        gate_rng,
    ) {
        Ok(gate) => gate,
        Err(_) => {
            let _ = work.ready.send(Err(StartError::TooManyNames));
            return;
        }
    };
    // Those that were there have no rows.
    let place = sweep::Place::new(RealDisk, &config.storage);
    let found = sweep::Found::read(&place, work.clock.now().unix_ms);
    let keeping = Arc::new(Keeping::new(
        &config,
        Arc::clone(&work.tables),
        found.believed.clone(),
        Closures::default(),
    ));
    let mut legal = work.legal;
    let keeping = Arc::new(keeping.with_claims(legal.claims_at_start()));
    drop(gate.replace_tables(work.tables));
    gate.set_keeping(&keeping);
    gate.set_certificates(work.tls.certificates(&config));
    gate.set_exceptions(config.exceptions());
    let (orders_file, orders) = work.orders;
    // Before anything is handed over, or a carrier connected to.
    gate.obey(work.clock.now(), orders);
    gate.heed_cases(&work.cases);
    runtime.block_on(LocalSet::new().run_until(async move {
        let (checks, to_check) = mpsc::channel(BIND_CHECKS_MAX);
        let hub = Hub::new(gate, work.clock, work.keeper, checks);
        hub.set_turned(work.turned);
        hub.set_register(work.register);
        hub.set_key_ring(work.key_ring);
        hub.set_legal(Arc::new(legal));
        hub.set_access(work.access);
        hub.set_subjects(Arc::new(work.subjects));
        hub.set_orders(Arc::new(orders_file));
        hub.set_notices(Arc::new(work.notices));
        hub.set_cases(Arc::new(work.cases));
        hub.set_records(Arc::new(Records::new(RealDisk, &config.storage, work.keks)));
        match Files::open(&config.storage.data, hub.now().unix_ms) {
            Ok(files) => hub.set_traces(Arc::new(files)),
            Err(error) => tracing::error!(%error, "PDU traces cannot be kept"),
        }
        match Exports::open(&config.storage.data, work.export_metrics) {
            Ok(exports) => {
                // What a kill left between a file and its row in the register is nobody's.
                let mut disclosures = work.disclosures;
                let register = disclosures.register_at_start();
                exports.keep_disclosed(|disclosure, export| register.has(disclosure, export));
                hub.set_disclosures(Arc::new(disclosures));
                hub.set_exports(Arc::new(exports));
                // Before anything is taken in.
                exports::count(&hub);
            }
            Err(error) => tracing::error!(%error, "exports cannot be kept"),
        }
        if let Some(tokens) = work.tokens {
            hub.set_tokens(tokens);
        }
        hub.set_admin_seal(work.admin_seal);
        hub.set_board(work.board);
        spawn_local(Rc::clone(&hub).hear_keeper(work.done));
        hub.set_pacing(config.storage.turn_pacing);
        spawn_local(check_binds(Rc::clone(&hub), work.verifier.clone(), to_check));
        spawn_local(publish(Rc::clone(&hub), work.publisher, work.recorder));
        #[cfg(feature = "test-clock")]
        spawn_local(Rc::clone(&hub).follow_clock());
        let turns = spawn_local(Rc::clone(&hub).run_turns(stopped.clone()));
        hub.slots.set_tls(&config.carriers, &work.tls.carriers);
        // A close that was cut off.
        spawn_local(control::end_closed(Rc::clone(&hub)));
        // Carriers are started, not waited for; ESMEs come last.
        connect::fill(&hub, &mut rng, &stopped);
        spawn_local(connect::refill(Rc::clone(&hub), fork(&mut rng), stopped.clone()));
        let (ended, has_ended) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let tending = spawn_local(trace::tend(Rc::clone(&hub), work.audit.clone(), is_over));
        spawn_local(exports::tend(Rc::clone(&hub), work.audit.clone()));
        let subject_metrics = work.subject_metrics;
        spawn_local(subjects::tend(
            Rc::clone(&hub),
            work.audit.clone(),
            subject_metrics,
        ));
        spawn_local(notices::watch(Rc::clone(&hub), work.notice_metrics));
        spawn_local(abuse::tend(
            Rc::clone(&hub),
            work.audit.clone(),
            work.abuse_metrics,
        ));
        spawn_local(access::tend(
            Rc::clone(&hub),
            work.audit.clone(),
            work.access_metrics,
        ));
        spawn_local(disclosures::tend(Rc::clone(&hub), work.disclosure_metrics));
        let (sweeps, to_sweep) = sweep::ends();
        hub.set_sweep(sweeps);
        let audit = work.audit.clone();
        let sweep = Sweep::new(Rc::clone(&hub), audit, place, found, work.sweep_metrics);
        spawn_local(sweep::tend(sweep, to_sweep));
        spawn_local(filters::tend(Rc::clone(&hub), work.history_metrics));
        let noting = spawn_local(note_binds(Rc::clone(&hub), work.audit.clone(), has_ended));
        let listen = config.listen.clone();
        let reloader = Reloader::new(
            Rc::clone(&hub),
            work.file,
            (config, work.tls.clone()),
            work.verifier,
            work.audit.clone(),
            rng,
            stopped.clone(),
        );
        spawn_local(control::answer(
            Rc::clone(&hub),
            reloader,
            work.audit,
            work.to_answer,
        ));
        let listeners = work.listeners.into_iter().zip(&listen).zip(work.tls.listen);
        for ((listener, configured), tls) in listeners {
            if let Err(source) = listen::open(&hub, configured.address, listener, tls, &stopped) {
                let _ = work.ready.send(Err(io_error("listen")(source)));
                return;
            }
        }
        health.set_phase(Phase::Serving);
        let _ = work.ready.send(Ok(()));
        let mut stopping = stopped.clone();
        spawn_local(async move {
            let _ = stopping.wait_for(|stopped| *stopped).await;
            health.set_phase(Phase::Stopping);
        });
        if let Err(error) = turns.await {
            tracing::error!(%error, "the loop has failed");
        }
        let _ = ended.send(());
        let _ = over.send(());
        if let Err(error) = noting.await {
            tracing::error!(%error, "the last binds cannot be entered in the audit log");
        }
        if let Err(error) = tending.await {
            tracing::error!(%error, "PDU traces have not ended in order");
        }
        tracing::info!("stopped");
    }));
}

/// Has passwords checked; a check whose link is gone is given up.
async fn check_binds(hub: Rc<Hub<RealDisk>>, verifier: Verifier, mut to_check: mpsc::Receiver<BindCheck>) {
    while let Some(BindCheck {
        link,
        system_id,
        password,
        ..
    }) = to_check.recv().await
    {
        let name = system_id.as_ref().map_or(&[][..], SystemId::as_bytes);
        let check = verifier.check(name, password);
        let hub = Rc::clone(&hub);
        spawn_local(async move {
            let verdict = tokio::select! {
                verdict = check => verdict,
                () = hub.gone(link) => return,
            };
            let granted = match verdict {
                Verdict::Granted(by) => {
                    hub.look(|gate, _| gate.set_credential(link, by));
                    Some(true)
                }
                Verdict::Denied => Some(false),
                Verdict::Busy => None,
            };
            hub.bind_checked(link, system_id, granted);
        });
    }
}

async fn publish(hub: Rc<Hub<RealDisk>>, mut publisher: Publisher, mut recorder: Recorder) {
    let mut every = tokio::time::interval(PUBLISH_EVERY);
    loop {
        every.tick().await;
        hub.look(|gate, now| {
            publisher.publish(gate, now);
            recorder.note(gate, publisher.measured(), now);
        });
    }
}
