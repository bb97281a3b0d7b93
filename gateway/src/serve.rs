//! The loop: one thread that owns all links and drives the gate in turns.
//!
//! A task per link reads and feeds the gate ([`crate::link`]). One task runs the turns: it waits until
//! somebody has fed the gate or a date has come, lets all ready links go first, then commits, hands on, and
//! writes once per link. Nothing here is shared with another thread.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::Order;
use tidegate_store::spool::{Begin, Chore, ChoreDone, Finished};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::abuse::Cases;
use crate::access::Access;
use crate::admin::Tokens;
use crate::asked::Asked;
use crate::board::Board;
use crate::clock::{Clock, Now};
use crate::connect::Slots;
use crate::disclosures::Disclosures;
use crate::exports::Exports;
use crate::gate::{BindCheck, Gate, Input};
use crate::http::Seal;
use crate::keeper::{KeeperHandle, RingOrder};
use crate::last_timer::LastTimer;
use crate::legal::Legal;
use crate::link::{Pool, Writer};
use crate::links::{End, LinkId};
use crate::listen::Listeners;
use crate::notices::Notices;
use crate::orders::OrdersFile;
use crate::register;
use crate::subjects::Subjects;
use crate::sweep::SweepOrder;
use crate::trace::{Files, Records};
use crate::withheld::JUDGED_MAX;

/// How long an orderly end waits for the history at most.
const LAST_HISTORY: Duration = Duration::from_secs(5);
/// How often it is looked whether finished messages are synced that somebody waits for.
const SYNC_LOOK: Duration = Duration::from_millis(20);
/// And how long at most.
const SYNC_MAX: Duration = Duration::from_mins(1);
/// Chores that wait for room in the keeper's inbox: reading back may ask for more than the spool's own.
const CHORES_WAITING_MAX: usize = 64;

/// How often a test's clock is read.
#[cfg(feature = "test-clock")]
const CLOCK_EVERY: Duration = Duration::from_millis(20);

/// What the tasks of the loop share: the gate, and what is needed around it.
pub struct Hub<D: Disk> {
    gate: RefCell<Gate<D>>,
    clock: Clock,
    keeper: KeeperHandle<D>,
    waiting_chores: RefCell<VecDeque<Chore<D>>>,
    /// What is asked of history, and who waits for an answer.
    pub(crate) history: Asked,
    writers: RefCell<HashMap<LinkId, Rc<Writer>>>,
    paused: RefCell<Vec<Rc<Writer>>>,
    wake: Notify,
    bind_checks: mpsc::Sender<BindCheck>,
    /// Where ESMEs connect.
    pub(crate) listeners: Listeners,
    /// Carriers' links, and who keeps them.
    pub(crate) slots: Slots,
    /// The shortest time between two turns.
    pacing: Cell<Duration>,
    /// Read buffers of all links.
    pub(crate) pool: Pool,
    dirty: RefCell<Vec<LinkId>>,
    last_turn: Cell<Duration>,
    /// Where opt-outs and consents are looked up; a gateway of tests may have none.
    register: OnceCell<register::Handle>,
    /// Orders about the key ring go there; a gateway of tests may have none.
    key_ring: OnceCell<mpsc::Sender<RingOrder>>,
    /// The register of holds and erasures; a gateway of tests may have none.
    legal: OnceCell<Arc<Legal>>,
    /// The register of disclosures; a gateway of tests may have none.
    disclosures: OnceCell<Arc<Disclosures>>,
    /// Who was let at records that his role does not open; a gateway of tests may have none.
    access: OnceCell<Arc<Access>>,
    /// The register of people's requests; a gateway of tests may have none.
    subjects: OnceCell<Arc<Subjects>>,
    /// Orders for the retention sweep go there; a gateway of tests may have none.
    sweep: OnceCell<mpsc::Sender<SweepOrder>>,
    /// Tokens of the admin listener, where there is one.
    tokens: OnceCell<Arc<Tokens>>,
    /// Where the operator's orders are kept; a gateway of tests may have none.
    orders: OnceCell<Arc<OrdersFile>>,
    /// Wakes who makes carriers' links: there may be more to be made.
    pub(crate) relink: Notify,
    /// Where PDU traces are kept, and where records are read; a gateway of tests may have neither.
    traces: OnceCell<Arc<Files>>,
    records: OnceCell<Arc<Records>>,
    /// The exports that there are; a gateway of tests may have none.
    exports: OnceCell<Arc<Exports>>,
    /// Cases of abuse; a gateway of tests may have none.
    cases: OnceCell<Arc<Cases>>,
    /// Wakes who suspends accounts: a signal asks for it.
    pub(crate) tripped: Notify,
    /// What accounts are to be told; a gateway of tests may have none.
    notices: OnceCell<Arc<Notices>>,
    /// Wakes who ends PDU traces: one was stopped.
    pub(crate) trace_stopped: Notify,
    /// Gives the log its first filter back.
    pub(crate) log_timer: LastTimer,
    /// What its connections are protected by.
    admin_seal: OnceCell<watch::Sender<Seal>>,
    /// Where who watches finds what there is to see; a gateway of tests may have none.
    board: OnceCell<Arc<Board>>,
    /// How many turns there were, for who watches the loop from another thread; a gateway of tests may have nobody.
    turned: OnceCell<Arc<AtomicU64>>,
    /// Room for decisions about held messages that are not known to be on disk.
    pub(crate) judging: Arc<Semaphore>,
}

impl<D: Disk> Hub<D> {
    /// Where opt-outs and consents are looked up, from now on.
    pub fn set_register(&self, register: register::Handle) {
        // Once, at the start.
        let _ = self.register.set(register);
    }

    pub(crate) fn listed(&self) -> Option<&register::Handle> {
        self.register.get()
    }

    /// Where orders about the key ring go, from now on.
    pub fn set_key_ring(&self, orders: mpsc::Sender<RingOrder>) {
        // Once, at the start.
        let _ = self.key_ring.set(orders);
    }

    pub(crate) fn key_ring(&self) -> Option<&mpsc::Sender<RingOrder>> {
        self.key_ring.get()
    }

    /// The register of holds and erasures, from now on.
    pub fn set_legal(&self, legal: Arc<Legal>) {
        // Once, at the start.
        let _ = self.legal.set(legal);
    }

    pub(crate) fn legal(&self) -> Option<&Arc<Legal>> {
        self.legal.get()
    }

    /// The register of disclosures, from now on.
    pub fn set_disclosures(&self, disclosures: Arc<Disclosures>) {
        // Once, at the start.
        let _ = self.disclosures.set(disclosures);
    }

    pub(crate) fn disclosures(&self) -> Option<Arc<Disclosures>> {
        self.disclosures.get().cloned()
    }

    /// Who was let at records that his role does not open, from now on.
    pub fn set_access(&self, access: Arc<Access>) {
        // Once, at the start.
        let _ = self.access.set(access);
    }

    pub(crate) fn access(&self) -> Option<Arc<Access>> {
        self.access.get().cloned()
    }

    /// The register of people's requests, from now on.
    pub fn set_subjects(&self, subjects: Arc<Subjects>) {
        // Once, at the start.
        let _ = self.subjects.set(subjects);
    }

    pub(crate) fn subjects(&self) -> Option<&Arc<Subjects>> {
        self.subjects.get()
    }

    /// Has all that ended before stand in the history behind a checkpoint.
    ///
    /// # Errors
    ///
    /// In words for an operator: it does not come to be within a minute.
    pub(crate) async fn checkpoint_history(&self) -> Result<(), String> {
        let before = self.look(|gate, _| gate.spool().history_syncs());
        let mut waited = Duration::ZERO;
        loop {
            // One may have been under way.
            let is_synced = self.with_gate(|gate, _| {
                gate.spool_mut().sync_history();
                match (before, gate.spool().history_syncs()) {
                    (Some(before), Some(now)) => now >= before + 2,
                    (_, now) => now.is_none(),
                }
            });
            if is_synced {
                return Ok(());
            }
            if waited > SYNC_MAX {
                return Err("finished messages cannot be synced: see the log".to_owned());
            }
            tokio::time::sleep(SYNC_LOOK).await;
            waited += SYNC_LOOK;
        }
    }

    /// Where orders for the retention sweep go, from now on.
    pub fn set_sweep(&self, orders: mpsc::Sender<SweepOrder>) {
        // Once, at the start.
        let _ = self.sweep.set(orders);
    }

    pub(crate) fn sweep(&self) -> Option<&mpsc::Sender<SweepOrder>> {
        self.sweep.get()
    }

    /// The admin listener's tokens, from now on.
    pub fn set_tokens(&self, tokens: Arc<Tokens>) {
        // Once, at the start.
        let _ = self.tokens.set(tokens);
    }

    /// Where turns are counted, from now on.
    pub fn set_turned(&self, turned: Arc<AtomicU64>) {
        // Once, at the start.
        let _ = self.turned.set(turned);
    }

    /// Where it is told what the admin listener's connections are protected by, from now on.
    pub fn set_admin_seal(&self, seal: watch::Sender<Seal>) {
        // Once, at the start.
        let _ = self.admin_seal.set(seal);
    }

    pub(crate) fn seal_admin(&self, seal: Seal) {
        if let Some(there) = self.admin_seal.get() {
            there.send_replace(seal);
        }
    }

    pub(crate) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.tokens.get().cloned()
    }

    /// Where the operator's orders are kept, from now on.
    pub fn set_orders(&self, orders: Arc<OrdersFile>) {
        // Once, at the start.
        let _ = self.orders.set(orders);
    }

    pub(crate) fn orders(&self) -> Option<Arc<OrdersFile>> {
        self.orders.get().cloned()
    }

    /// Where who watches finds what there is to see, from now on.
    pub fn set_board(&self, board: Arc<Board>) {
        // Once, at the start.
        let _ = self.board.set(board);
    }

    pub(crate) fn board(&self) -> Option<Arc<Board>> {
        self.board.get().cloned()
    }

    /// The exports that there are, from now on.
    pub fn set_exports(&self, exports: Arc<Exports>) {
        // Once, at the start.
        let _ = self.exports.set(exports);
    }

    pub(crate) fn exports(&self) -> Option<Arc<Exports>> {
        self.exports.get().cloned()
    }

    /// Cases of abuse, from now on.
    pub fn set_cases(&self, cases: Arc<Cases>) {
        // Once, at the start.
        let _ = self.cases.set(cases);
    }

    pub(crate) fn cases(&self) -> Option<Arc<Cases>> {
        self.cases.get().cloned()
    }

    /// What accounts are to be told, from now on.
    pub fn set_notices(&self, notices: Arc<Notices>) {
        // Once, at the start.
        let _ = self.notices.set(notices);
    }

    pub(crate) fn notices(&self) -> Option<Arc<Notices>> {
        self.notices.get().cloned()
    }

    /// Where PDU traces are kept, from now on.
    pub fn set_traces(&self, files: Arc<Files>) {
        // Once, at the start.
        let _ = self.traces.set(files);
    }

    pub(crate) fn traces(&self) -> Option<Arc<Files>> {
        self.traces.get().cloned()
    }

    /// Where records are read to tell a message's story, from now on.
    pub fn set_records(&self, records: Arc<Records>) {
        // Once, at the start.
        let _ = self.records.set(records);
    }

    pub(crate) fn records(&self) -> Option<Arc<Records>> {
        self.records.get().cloned()
    }

    /// A hub around a gate. Binds to be checked go into `bind_checks`; the answers come back through
    /// [`Hub::bind_checked`].
    pub fn new(
        gate: Gate<D>,
        clock: Clock,
        keeper: KeeperHandle<D>,
        bind_checks: mpsc::Sender<BindCheck>,
    ) -> Rc<Self> {
        Rc::new(Self {
            gate: RefCell::new(gate),
            clock,
            keeper,
            waiting_chores: RefCell::default(),
            history: Asked::default(),
            writers: RefCell::default(),
            paused: RefCell::default(),
            wake: Notify::new(),
            bind_checks,
            listeners: Listeners::default(),
            slots: Slots::default(),
            pacing: Cell::new(Duration::ZERO),
            pool: Pool::default(),
            dirty: RefCell::default(),
            last_turn: Cell::new(Duration::ZERO),
            register: OnceCell::new(),
            key_ring: OnceCell::new(),
            legal: OnceCell::new(),
            disclosures: OnceCell::new(),
            access: OnceCell::new(),
            subjects: OnceCell::new(),
            sweep: OnceCell::new(),
            tokens: OnceCell::new(),
            orders: OnceCell::new(),
            relink: Notify::new(),
            exports: OnceCell::new(),
            cases: OnceCell::new(),
            tripped: Notify::new(),
            notices: OnceCell::new(),
            traces: OnceCell::new(),
            records: OnceCell::new(),
            trace_stopped: Notify::new(),
            log_timer: LastTimer::default(),
            admin_seal: OnceCell::new(),
            board: OnceCell::new(),
            turned: OnceCell::new(),
            judging: Arc::new(Semaphore::new(JUDGED_MAX)),
        })
    }

    /// Both clocks, now.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// How late it is for all that goes by rules, in unix milliseconds: never earlier than it was.
    pub(crate) fn believed_ms(&self) -> u64 {
        self.look(|gate, now| {
            let keeping = gate.keeping();
            keeping.map_or(now.unix_ms, |keeping| keeping.believed().at(now.unix_ms))
        })
    }

    /// Whether the wall clock has jumped and nobody has said yet that it is right (RET-9).
    pub(crate) fn is_doubted(&self) -> bool {
        self.look(|gate, now| {
            let keeping = gate.keeping();
            keeping.is_some_and(|keeping| keeping.believed().doubts(now.unix_ms))
        })
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets the shortest time between two turns; none at first.
    pub fn set_pacing(&self, pacing: Duration) {
        self.pacing.set(pacing);
    }

    /// Looks at the gate, or changes it, between turns; a turn follows.
    pub fn with_gate<T>(&self, with: impl FnOnce(&mut Gate<D>, Now) -> T) -> T {
        let out = with(&mut self.gate.borrow_mut(), self.now());
        self.wake.notify_one();
        out
    }

    /// Looks at the gate without waking the loop.
    pub fn look<T>(&self, with: impl FnOnce(&mut Gate<D>, Now) -> T) -> T {
        with(&mut self.gate.borrow_mut(), self.now())
    }

    /// Feeds the gate. What takes nothing in makes no turn: a link at a bound asks again after every turn, and the
    /// two would keep each other going until the keeper, or a timer, lifts the bound.
    pub(crate) fn input(&self, id: LinkId, octets: &[u8], force: bool) -> Input {
        let input = self.look(|gate, now| gate.input(now, id, octets, force));
        if input.used > 0 {
            self.wake.notify_one();
        }
        input
    }

    pub(crate) fn register(&self, id: LinkId, writer: Rc<Writer>) {
        self.writers.borrow_mut().insert(id, writer);
        // The gate may have had something to say before there was a writer: a bind.
        self.touch(id);
    }

    pub(crate) fn closed(&self, id: LinkId, end: End) -> (End, bool) {
        if let Some(writer) = self.writers.borrow_mut().remove(&id) {
            writer.end();
        }
        self.with_gate(|gate, now| gate.closed(now, id, end))
            .unwrap_or((end, false))
    }

    pub(crate) fn touch(&self, id: LinkId) {
        self.with_gate(|gate, _| gate.touch(id));
    }

    /// Notes that a link is to be woken after the next turn.
    pub(crate) fn pause(&self, writer: &Rc<Writer>) {
        self.paused.borrow_mut().push(Rc::clone(writer));
    }

    /// A password was checked.
    pub fn bind_checked(&self, link: LinkId, system_id: Option<SystemId>, granted: Option<bool>) {
        self.with_gate(|gate, now| gate.bind_checked(now, link, system_id, granted));
    }

    /// Done when a link is gone.
    pub async fn gone(&self, link: LinkId) {
        let writer = self.writers.borrow().get(&link).map(Rc::clone);
        if let Some(writer) = writer {
            writer.gone().await;
        }
    }

    /// One turn: commit, hand on, write, give chores away.
    fn turn(&self) {
        let mut gate = self.gate.borrow_mut();
        let now = self.now();
        self.last_turn.set(now.monotonic);
        match gate.begin_turn(now) {
            Begin::Commit(commit) => {
                // Inline: measured, a commit thread costs more CPU than the sync it hides (ARCHITECTURE.md).
                let done = commit.run();
                let after = self.now();
                gate.commit_done(after, done, after.monotonic.saturating_sub(now.monotonic));
            }
            // The keeper makes the next segment; its outcome wakes the loop.
            Begin::NoSegment | Begin::Nothing => {}
        }
        gate.finish_turn(now);
        if gate.has_trips() {
            self.tripped.notify_one();
        }
        self.give_chores(&mut gate, now);
        self.give_bind_checks(&mut gate, now);
        self.write(&mut gate, now);
        drop(gate);
        for writer in self.paused.borrow_mut().drain(..) {
            writer.resume.notify_one();
        }
    }

    /// Has the keeper do something that is asked of history, between its other chores.
    pub(crate) fn give_history(&self, number: u64, order: Order) {
        self.waiting_chores
            .borrow_mut()
            .push_back(Chore::history(number, order));
        self.wake.notify_one();
    }

    fn give_chores(&self, gate: &mut Gate<D>, now: Now) {
        let mut waiting = self.waiting_chores.borrow_mut();
        let wanted = gate.take_wanted();
        if let Some(chore) = gate.spool().read_back(wanted) {
            waiting.push_back(chore);
        }
        while waiting.len() < CHORES_WAITING_MAX {
            let Some(chore) = gate.spool_mut().next_chore(now.unix_ms) else {
                break;
            };
            waiting.push_back(chore);
        }
        while self.keeper.has_room() {
            let Some(chore) = waiting.pop_front() else { break };
            self.keeper.give(chore);
        }
    }

    fn give_bind_checks(&self, gate: &mut Gate<D>, now: Now) {
        for check in gate.take_bind_checks() {
            if let Err(refused) = self.bind_checks.try_send(check) {
                // The queue is full: nobody has time for this bind.
                let check = refused.into_inner();
                gate.bind_checked(now, check.link, check.system_id, None);
            }
        }
    }

    fn write(&self, gate: &mut Gate<D>, now: Now) {
        let mut dirty = self.dirty.borrow_mut();
        gate.take_dirty(&mut dirty);
        let writers = self.writers.borrow();
        for id in dirty.iter() {
            // Without a writer yet, `register` touches the link again; with a full one, the writer does.
            let Some(writer) = writers.get(id) else { continue };
            let Some(spare) = writer.spare() else { continue };
            if let Some((octets, close)) = gate.take_output(*id, spare) {
                if gate.traces().is_on() {
                    gate.note_written(now, *id, &octets);
                }
                writer.write(octets, close);
            }
        }
    }

    /// Takes the outcome of a chore in.
    fn chore_done(&self, done: ChoreDone<D>) {
        self.with_gate(|gate, now| match gate.spool_mut().chore_done(done, now.unix_ms) {
            Finished::Nothing | Finished::Ready | Finished::Unlinked(_) | Finished::Journaled(_) => {}
            Finished::History(number, told) => self.history.answered(number, told),
            Finished::Moved(legs) => gate.legs_moved(legs),
            Finished::Found(answers) => gate.late_found(now, answers),
            Finished::Parked(entries) => gate.entries_parked(&entries),
            Finished::Returned(account, entries) => gate.entries_returned(now, account, entries),
            Finished::Expired(entries) => gate.entries_expired(&entries),
            Finished::NotReady(error) => tracing::warn!(%error, "the next segment cannot be made"),
            Finished::Failed(error) => tracing::error!(%error, "a chore failed"),
            Finished::NotRead(error) => tracing::warn!(%error, "a segment cannot be read now"),
            Finished::Read(found) => gate.read_back(now, found),
            Finished::Unreadable(targets) => {
                for target in targets {
                    gate.unreadable(now, target);
                }
            }
        });
    }

    /// Takes outcomes of chores in until the keeper is gone.
    pub async fn hear_keeper(self: Rc<Self>, mut done: mpsc::Receiver<ChoreDone<D>>) {
        while let Some(done) = done.recv().await {
            self.chore_done(done);
        }
    }

    /// Follows the file that says how late it is, where a test has one.
    #[cfg(feature = "test-clock")]
    pub async fn follow_clock(self: Rc<Self>) {
        let mut every = tokio::time::interval(CLOCK_EVERY);
        loop {
            every.tick().await;
            if self.clock.read_again() {
                self.wake.notify_one();
            }
        }
    }

    /// Runs turns until the end: asked for by `stop`, and then as long as `limits.shutdown_grace` and what is under
    /// way last.
    pub async fn run_turns(self: Rc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ends_at = None;
        loop {
            let deadline = self.gate.borrow().next_deadline(self.now());
            // In this order and not by chance, so that one seed is one run in virtual time. Nothing starves: each
            // leads to the same turn.
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if ends_at.is_none() => {
                    let now = self.now();
                    let mut gate = self.gate.borrow_mut();
                    gate.stop(now);
                    let grace = gate.config().limits.shutdown_grace;
                    ends_at = Some(now.monotonic + grace);
                }
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(self.clock.instant(deadline)) => {}
            }
            self.clock.pace(self.last_turn.get() + self.pacing.get());
            // All links that are ready go first: the more a turn holds, the less each message costs.
            tokio::task::yield_now().await;
            self.turn();
            // Behind it: one that does not come back is none.
            if let Some(turned) = self.turned.get() {
                turned.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(ends_at) = ends_at
                && (self.now().monotonic >= ends_at || self.gate.borrow().links() == 0)
            {
                break;
            }
        }
        self.last_sync();
        self.last_history().await;
    }

    /// What has ended goes into the history, so that the next start need not look for it; what does not get there in time,
    /// or cannot be written, that start finds.
    async fn last_history(&self) {
        let until = self.now().monotonic + LAST_HISTORY;
        loop {
            let now = self.now();
            {
                let mut gate = self.gate.borrow_mut();
                if now.monotonic >= until || gate.spool_mut().end_history() {
                    return;
                }
                self.give_chores(&mut gate, now);
            }
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(self.clock.instant(until)) => {}
            }
        }
    }

    /// What was staged and nobody waits for is written before the end.
    fn last_sync(&self) {
        let mut gate = self.gate.borrow_mut();
        for _ in 0..3 {
            let now = self.now();
            match gate.spool_mut().begin_commit(now.unix_ms) {
                Begin::Commit(commit) => {
                    let done = commit.run();
                    let _ = gate.spool_mut().finish_commit(done);
                }
                Begin::NoSegment | Begin::Nothing => return,
            }
        }
    }
}
