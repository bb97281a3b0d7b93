//! The log itself, what goes wrong with it, and its checkpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_config::Audit as Rules;
use tidegate_store::audit::{
    Actor, Appended, Audit, AuditError, Entry, Field, Kind, Report, Signer, Source, Value as Detail, Word,
};
use tidegate_store::disk::Disk;
use tokio::sync::{Notify, oneshot};

use super::drops::{Drops, Outcome};
use super::{IsOver, Request};
use crate::clock::Clock;
use crate::http::Health;
use crate::telemetry::{AuditMetrics, Telemetry};

/// How long a log that could not be opened is left alone before it is tried again: so long at first, twice as long each
/// time, and so long at most.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Openings that fail before files that cannot be read are passed over: some two minutes.
const PATIENCE: u32 = 8;
/// The same for checkpoints that could not be dropped.
const DROP_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long a request for a checkpoint waits to hear that it was dropped.
const DROP_AWAITED: Duration = Duration::from_secs(3);

/// Waits longer after each failure.
#[derive(Debug)]
struct BackOff {
    bounds: (Duration, Duration),
    /// `None` without a failure.
    after: Option<Duration>,
    /// Monotonic; not before then.
    at: Duration,
}

impl BackOff {
    const fn new(bounds: (Duration, Duration)) -> Self {
        Self {
            bounds,
            after: None,
            at: Duration::ZERO,
        }
    }

    fn failed(&mut self, now: Duration) {
        let (first, most) = self.bounds;
        let after = self.after.map_or(first, |after| (after * 2).min(most));
        (self.after, self.at) = (Some(after), now + after);
    }

    fn succeeded(&mut self) {
        (self.after, self.at) = (None, Duration::ZERO);
    }

    fn is_due(&self, now: Duration) -> bool {
        now >= self.at
    }
}

type CheckpointAnswer = oneshot::Sender<Result<Map<String, Value>, String>>;

/// The audit log, open or waiting to be opened again. Belongs to the keeper's thread.
pub struct Log<D: Disk> {
    place: Place<D>,
    rules: Rules,
    clock: Clock,
    metrics: AuditMetrics,
    health: Arc<Health>,
    /// `None` until it could be opened once.
    open: Option<Audit<D>>,
    opening: BackOff,
    /// Openings that failed since one did not.
    failures: u32,
    /// What must come before everything else as soon as entries hold: the start, made keys, damage, and that it failed.
    first: Vec<Entry>,
    /// The numbers of those of them that were taken; they hold with the next sync.
    taken: Vec<u64>,
    /// Whether it is known how the process before ended.
    is_begun: bool,
    /// Monotonic: since when there has been an entry that no checkpoint signs.
    unsigned_since: Option<Duration>,
    drops: Drops,
    dropping: BackOff,
    /// The checkpoint that is to be dropped where the operator wants it.
    undropped: Option<(u64, String)>,
    /// Whether it is being dropped.
    is_dropping: bool,
    /// Who waits for it, until when.
    awaited: Vec<(CheckpointAnswer, Map<String, Value>, Duration)>,
}

/// Where the log lies, and who signs it.
pub struct Place<D: Disk> {
    /// Its disk.
    pub disk: D,
    /// Its directory.
    pub dir: PathBuf,
    /// With its key.
    pub signer: Signer,
}

impl<D: Disk> Log<D> {
    /// Opens the log, and enters the start. One that cannot be opened or is damaged does not keep the gateway
    /// from starting: messages of people wait behind it. It is an alarm, and deeds that must be entered are refused until
    /// the log can be opened; then the start is entered first. Behind damage it goes on with an entry that says so.
    pub fn start(
        place: Place<D>,
        rules: Rules,
        clock: Clock,
        telemetry: &Telemetry,
        health: Arc<Health>,
        also: Vec<Entry>,
    ) -> Self {
        let started = Entry::new(Kind::Started, Actor::System).with(
            Field::Version,
            Detail::Word(Word::of_name(env!("CARGO_PKG_VERSION"))),
        );
        let mut first = vec![started];
        first.extend(also);
        let mut log = Self {
            drops: Drops::new(place.disk.clone()),
            place,
            rules,
            clock,
            metrics: AuditMetrics::new(telemetry),
            health,
            open: None,
            opening: BackOff::new(RETRY_AFTER),
            failures: 0,
            first,
            taken: Vec::new(),
            is_begun: false,
            unsigned_since: None,
            dropping: BackOff::new(DROP_AGAIN_AFTER),
            undropped: None,
            is_dropping: false,
            awaited: Vec::new(),
        };
        if let Err(error) = log.enter(&[]) {
            tracing::error!(%error, "the start cannot be entered in the audit log yet");
        }
        log
    }

    /// Opens the log, for the first time or again. What is found damaged is entered before anything else.
    fn reopen(&mut self) {
        let is_past = self.failures >= PATIENCE;
        let opened = match &mut self.open {
            Some(audit) if is_past => audit.reopen_past(),
            Some(audit) => audit.reopen(),
            None => {
                let Place { disk, dir, signer } = &self.place;
                let open = if is_past { Audit::open_past } else { Audit::open };
                open(disk.clone(), dir, signer.clone()).map(|(audit, report)| {
                    self.open = Some(audit);
                    report
                })
            }
        };
        match opened {
            Ok(report) => {
                self.failures = 0;
                self.opened(&report);
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.failed(&error);
            }
        }
    }

    fn opened(&mut self, report: &Report) {
        if report.torn_octets > 0 {
            tracing::info!(octets = report.torn_octets, "audit log: a write that was cut off");
        }
        // A sync that failed may have written them all the same.
        self.settle_first(report.entries);
        if !self.is_begun {
            self.is_begun = true;
            self.metrics.damaged.set(0.0);
            let is_clean = report.last == Some(Kind::Stopped);
            if let Some(started) = self.first.first_mut().filter(|_| report.entries > 0) {
                started.details.push((Field::Clean, Detail::Flag(is_clean)));
            }
        }
        let mut damaged = Vec::new();
        if let Some(bad) = &report.damage {
            let (sequence, file, why) = (bad.sequence, &bad.file, bad.why);
            tracing::error!(sequence, file, %why, "the audit log is damaged: `tidegate audit verify`");
            damaged.push(
                Entry::new(Kind::LogDamaged, Actor::System)
                    .with(Field::Sequence, Detail::Count(sequence))
                    .with(Field::File, Detail::Word(Word::of_name(file))),
            );
        }
        if report.is_unsigned {
            let why = "no checkpoint beside it is signed by its key";
            tracing::error!(why, "the audit log is damaged: `tidegate audit verify`");
            let why = Detail::Word(Word::of_name(why));
            damaged.push(Entry::new(Kind::LogDamaged, Actor::System).with(Field::Reason, why));
        }
        if !damaged.is_empty() {
            self.metrics.damaged.set(1.0);
            self.first.splice(0..0, damaged);
        }
    }

    fn failed(&mut self, error: &AuditError) {
        tracing::error!(%error, "the audit log cannot be written");
        self.metrics.failures.increment(1);
        self.metrics.failing.set(1.0);
        let now = self.clock.now();
        self.health.audit_failed(now);
        self.opening.failed(now.monotonic);
        if let Some(audit) = self.open.as_ref().filter(|audit| !audit.is_broken()) {
            // What was buffered is lost with it.
            let entries = audit.entries();
            self.settle_first(entries);
        }
        // Once for all failures until one succeeds, which it also tries out.
        if !self.first.iter().any(|entry| entry.kind == Kind::LogFailed) {
            let since = Detail::Time(now.unix_ms);
            self.first
                .push(Entry::new(Kind::LogFailed, Actor::System).with(Field::First, since));
        }
    }

    /// So many entries hold: what of those that come first is among them is done.
    fn settle_first(&mut self, entries: u64) {
        let held = self.taken.iter().filter(|sequence| **sequence <= entries).count();
        self.first.drain(..held.min(self.first.len()));
        self.taken.clear();
    }

    /// The log, opened again if it can be.
    fn usable(&mut self) -> Result<&mut Audit<D>, String> {
        if self.open.as_ref().is_none_or(Audit::is_broken) && self.opening.is_due(self.clock.now().monotonic)
        {
            self.reopen();
        }
        self.open
            .as_mut()
            .filter(|audit| !audit.is_broken())
            .ok_or_else(|| "the audit log cannot be written, so nothing is done: see the log".to_owned())
    }

    /// Enters entries and syncs them.
    ///
    /// # Errors
    ///
    /// In words for an operator; nothing of it may have an effect.
    pub fn enter(&mut self, entries: &[Entry]) -> Result<(), String> {
        self.append(entries)?;
        self.sync()
    }

    /// The greatest place of the spool that entries were copied from; `None` where there are none, or the log is closed.
    /// What bears a place up to this is known, and entering it again does nothing.
    pub fn last_source(&self) -> Option<Source> {
        self.open.as_ref().and_then(Audit::last_source)
    }

    /// Takes entries, which hold after [`Log::sync`].
    fn append(&mut self, entries: &[Entry]) -> Result<(), String> {
        let now_ms = self.clock.now().unix_ms;
        self.usable()?;
        if self.taken.is_empty() {
            for entry in self.first.clone() {
                if let Appended::At(sequence) = self.append_one(now_ms, &entry)? {
                    self.taken.push(sequence);
                }
            }
        }
        for entry in entries {
            self.append_one(now_ms, entry)?;
        }
        Ok(())
    }

    fn append_one(&mut self, now_ms: u64, entry: &Entry) -> Result<Appended, String> {
        match self.usable()?.append(now_ms, entry) {
            Ok(appended) => {
                self.metrics.entered(entry.kind);
                Ok(appended)
            }
            Err(error) => {
                self.failed(&error);
                Err(error.to_string())
            }
        }
    }

    fn sync(&mut self) -> Result<(), String> {
        if let Err(error) = self.usable()?.sync() {
            self.failed(&error);
            return Err(error.to_string());
        }
        let entries = self.open.as_ref().map_or(0, Audit::entries);
        self.settle_first(entries);
        // That it failed is entered before all else, so nothing was tried out yet where that is left.
        if self.first.is_empty() {
            self.opening.succeeded();
            self.metrics.failing.set(0.0);
            self.health.audit_works();
        }
        let monotonic = self.clock.now().monotonic;
        let (unsigned, every) = (
            self.open.as_ref().map_or(0, Audit::unsigned),
            self.rules.checkpoint_every,
        );
        self.metrics.unsigned.set(shown_as(unsigned));
        if unsigned > 0 {
            self.unsigned_since.get_or_insert(monotonic);
        }
        if unsigned >= every {
            self.sign();
        }
        Ok(())
    }

    /// Answers requests that came together: all their entries share one sync.
    pub(super) fn answer(&mut self, group: Vec<Request>) {
        let (mut entered, mut asked, mut ageing) = (Vec::new(), Vec::new(), Vec::new());
        for request in group {
            match request {
                Request::Enter(entries, answer) => entered.push((answer, self.append(&entries))),
                Request::Checkpoint(answer) => asked.push(answer),
                Request::Age(is_over, answer) => ageing.push((is_over, answer)),
                Request::Rules(rules) => self.rules = *rules,
            }
        }
        if !entered.is_empty() {
            // One that failed has taken with it what was buffered before.
            let has_failed = entered.iter().find_map(|(_, appended)| appended.clone().err());
            let synced = self.sync();
            for (answer, appended) in entered {
                let whole = has_failed.clone().map_or(Ok(()), Err);
                let _ = answer.send(appended.and(whole).and_then(|()| synced.clone()));
            }
        }
        for (is_over, answer) in ageing {
            // Who asked may be gone.
            let _ = answer.send(self.age(&is_over));
        }
        for answer in asked {
            match self.checkpoint() {
                Ok(shown) if self.is_dropping => {
                    let until = self.clock.now().monotonic + DROP_AWAITED;
                    self.awaited.push((answer, shown, until));
                }
                Ok(shown) => self.answer_checkpoint(answer, shown),
                Err(error) => drop(answer.send(Err(error))),
            }
        }
    }

    /// Drops what is over, entered before and behind.
    fn age(&mut self, IsOver(is_over): &IsOver) -> Result<(), String> {
        let Some(aged) = self.usable()?.aged(is_over).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let of = |outcome: &str| {
            let word = |text: &str| Detail::Word(Word::of_name(text));
            Entry::new(Kind::Sweep, Actor::System)
                .with(Field::Scope, word("audit log"))
                .with(Field::Outcome, word(outcome))
                .with(Field::Sequence, Detail::Count(aged.up_to))
                .with(Field::Count, Detail::Count(aged.files))
        };
        let (begun, ended) = (of("begun"), of("dropped"));
        self.enter(&[begun])?;
        let up_to = aged.up_to;
        self.usable()?
            .drop_aged(aged)
            .map_err(|error| error.to_string())?;
        tracing::info!(up_to, "entries of the audit log have come to their end");
        self.enter(&[ended])
    }

    /// Signs a checkpoint over all that is entered, and says which.
    fn checkpoint(&mut self) -> Result<Map<String, Value>, String> {
        self.usable()?;
        let (note, file) = self
            .sign()
            .ok_or("the checkpoint cannot be written: see the log")?;
        let size = self.open.as_ref().map_or(0, Audit::signed);
        let own = self.place.dir.join(tidegate_store::audit::CHECKPOINTS_DIR);
        let shown = json!({
            "size": size,
            "checkpoint": note,
            "file": own.join(file).display().to_string(),
        });
        match shown {
            Value::Object(shown) => Ok(shown),
            _ => Ok(Map::new()),
        }
    }

    fn answer_checkpoint(&self, answer: CheckpointAnswer, mut shown: Map<String, Value>) {
        let wanted = self.rules.checkpoint_directory.as_ref();
        let dropped = wanted.map(|_| self.undropped.is_none());
        shown.insert("dropped".to_owned(), json!(dropped));
        // Who asked may be gone.
        let _ = answer.send(Ok(shown));
    }

    fn sign(&mut self) -> Option<(String, String)> {
        let audit = self.open.as_mut()?;
        match audit.checkpoint() {
            Ok((note, file)) => {
                let size = audit.signed();
                self.unsigned_since = None;
                self.metrics.unsigned.set(0.0);
                self.metrics.signed.set(shown_as(size));
                self.metrics
                    .signed_at
                    .set(shown_as(self.clock.now().unix_ms / 1000));
                self.undropped = Some((size, note.clone()));
                // A new one is worth a try, whatever became of the one before.
                self.drop_checkpoint();
                Some((note, file))
            }
            Err(error) => {
                tracing::error!(%error, "a checkpoint cannot be written");
                self.metrics.checkpoint_failures.increment(1);
                // Not again at once.
                self.unsigned_since = Some(self.clock.now().monotonic);
                None
            }
        }
    }

    /// Has the newest checkpoint put where the operator wants it (AUD-3), by a thread that may hang there.
    fn drop_checkpoint(&mut self) {
        let (Some((size, note)), Some(dir)) = (&self.undropped, &self.rules.checkpoint_directory) else {
            self.undropped = None;
            return;
        };
        // One is under way: the newest comes when that has ended.
        if !self.is_dropping {
            self.is_dropping = true;
            self.drops.ask(dir.clone(), *size, note.clone());
        }
    }

    /// What to wait for: then [`Log::hear_drops`].
    pub(super) fn drops_told(&self) -> Arc<Notify> {
        self.drops.told()
    }

    /// Whether a checkpoint is being dropped.
    pub(super) const fn is_dropping(&self) -> bool {
        self.is_dropping
    }

    /// Hears what became of a checkpoint that was to be dropped.
    pub(super) fn hear_drops(&mut self) {
        let Some(Outcome { size, failed }) = self.drops.outcome() else {
            return;
        };
        self.is_dropping = false;
        let is_newest = self.undropped.as_ref().is_none_or(|(newest, _)| *newest == size);
        match failed {
            None => {
                if self.dropping.after.is_some() {
                    tracing::info!("checkpoints of the audit log are dropped again");
                }
                self.dropping.succeeded();
                if is_newest {
                    self.undropped = None;
                } else {
                    self.drop_checkpoint();
                }
            }
            Some(error) => {
                // Said once, until it changes.
                if self.dropping.after.is_none() {
                    tracing::warn!(error, "a checkpoint cannot be dropped and is tried again");
                }
                self.metrics.checkpoint_failures.increment(1);
                self.dropping.failed(self.clock.now().monotonic);
            }
        }
        if !self.is_dropping {
            for (answer, shown, _) in std::mem::take(&mut self.awaited) {
                self.answer_checkpoint(answer, shown);
            }
        }
    }

    /// Enters what must come first, signs what is due, and tries once more what has failed.
    pub(super) fn tend(&mut self) {
        self.hear_drops();
        let monotonic = self.clock.now().monotonic;
        let awaited = std::mem::take(&mut self.awaited);
        for (answer, shown, until) in awaited {
            if monotonic < until {
                self.awaited.push((answer, shown, until));
            } else {
                self.answer_checkpoint(answer, shown);
            }
        }
        if self.undropped.is_some() && !self.is_dropping && self.dropping.is_due(monotonic) {
            self.drop_checkpoint();
        }
        if self.usable().is_err() {
            return;
        }
        if !self.first.is_empty() && self.opening.is_due(monotonic) {
            // What failed may go well by now, and whoever looks at health learns it.
            let _ = self.enter(&[]);
        }
        let interval = self.rules.checkpoint_interval;
        let is_due = |since: Duration| monotonic.saturating_sub(since) >= interval;
        if self.unsigned_since.is_some_and(is_due) {
            self.sign();
        }
    }

    /// Enters the end, and signs it.
    pub(super) fn end(&mut self) {
        match self.enter(&[Entry::new(Kind::Stopped, Actor::System)]) {
            Ok(()) => drop(self.sign()),
            Err(error) => tracing::error!(%error, "the end cannot be entered in the audit log"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn shown_as(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;
    use std::sync::{Mutex, mpsc};

    use tidegate_store::audit::{SignedCheckpoint, read};
    use tidegate_store::disk::{FaultyDisk, Op};
    use tokio::sync::oneshot;

    use super::*;

    const DIR: &str = "/data/audit";

    fn rules(every: u64) -> Rules {
        Rules {
            checkpoint_every: every,
            checkpoint_interval: Duration::from_secs(60),
            checkpoint_directory: Some("/away".into()),
            origin: None,
        }
    }

    fn log(disk: &FaultyDisk, clock: &Clock, every: u64) -> Log<FaultyDisk> {
        log_with(disk, clock, every, &Arc::new(Health::new(clock.clone())))
    }

    fn log_with(disk: &FaultyDisk, clock: &Clock, every: u64, health: &Arc<Health>) -> Log<FaultyDisk> {
        let place = Place {
            disk: disk.clone(),
            dir: DIR.into(),
            signer: Signer::new("tidegate/node-0", &[1; 32]).unwrap(),
        };
        let (telemetry, health) = (Telemetry::new(), Arc::clone(health));
        let made = Entry::new(Kind::KeyEvent, Actor::System);
        Log::start(place, rules(every), clock.clone(), &telemetry, health, vec![made])
    }

    /// Hears of a checkpoint that is being dropped, if one is.
    async fn hear(log: &mut Log<FaultyDisk>) {
        let told = log.drops_told();
        while log.is_dropping() {
            told.notified().await;
            log.hear_drops();
        }
    }

    fn kinds(disk: &FaultyDisk) -> Vec<Kind> {
        let mut kinds = Vec::new();
        read(disk, Path::new(DIR), |logged| kinds.push(logged.entry.kind)).unwrap();
        kinds
    }

    fn dropped(disk: &FaultyDisk) -> Vec<u64> {
        let notes = disk.paths().into_iter().filter(|path| path.starts_with("/away"));
        notes
            .map(|path| {
                let text = String::from_utf8(disk.octets(&path).unwrap()).unwrap();
                text.parse::<SignedCheckpoint>().unwrap().checkpoint.size
            })
            .collect()
    }

    fn read_entry() -> Entry {
        Entry::new(Kind::Read, Actor::Operator(Some(7)))
    }

    #[tokio::test(start_paused = true)]
    async fn checkpoints_come_after_so_many_entries_and_after_so_long() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut log = log(&disk, &clock, 4);
        log.enter(&[read_entry()]).unwrap();
        assert!(!log.is_dropping());
        log.enter(&[read_entry()]).unwrap();
        hear(&mut log).await;
        assert_eq!(dropped(&disk), [4]);
        log.enter(&[read_entry()]).unwrap();
        for seconds in [59, 2] {
            log.tend();
            assert!(!log.is_dropping());
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        log.tend();
        hear(&mut log).await;
        assert_eq!(dropped(&disk), [4, 5]);
        tokio::time::advance(Duration::from_secs(600)).await;
        log.tend();
        assert!(!log.is_dropping(), "nothing new, nothing to sign");
    }

    /// AUD-5 and AUD-1: what goes is entered before and behind, and nothing that is not over goes.
    #[tokio::test(start_paused = true)]
    async fn entries_that_are_over_go_between_two_entries_that_say_so() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut log = log(&disk, &clock, 100_000);
        let first_of = || {
            let (mut first, mut told) = (None, Vec::new());
            let bad = read(&disk, Path::new(DIR), |logged| {
                first.get_or_insert(logged.sequence);
                if logged.entry.kind == Kind::Sweep {
                    told.push(logged.entry.details.clone());
                }
            });
            assert_eq!(bad.unwrap(), None);
            (first.unwrap(), told)
        };
        // More than a file holds.
        log.enter(&vec![read_entry(); 5_000]).unwrap();
        log.age(&IsOver::new(|entered_ms| entered_ms < 1_000_000))
            .unwrap();
        assert_eq!(first_of(), (1, Vec::new()));
        log.age(&IsOver::new(|entered_ms| entered_ms <= 1_000_000))
            .unwrap();
        let (first, told) = first_of();
        assert!(first > 1_000, "{first}");
        let outcome = |details: &[(Field, Detail)], word: &str| {
            details.contains(&(Field::Outcome, Detail::Word(Word::of_name(word))))
                && details.contains(&(Field::Sequence, Detail::Count(first - 1)))
        };
        assert!(
            told.len() == 2 && outcome(&told[0], "begun") && outcome(&told[1], "dropped"),
            "{told:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_is_away_for_a_while_gets_the_newest_later_and_is_tried_less_and_less() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut log = log(&disk, &clock, 3);
        disk.fail_on(Op::Create, "away", 0, 3, ErrorKind::Other);
        log.enter(&[read_entry()]).unwrap();
        hear(&mut log).await;
        for seconds in [1, 2] {
            log.tend();
            assert!(!log.is_dropping(), "not at once");
            tokio::time::advance(Duration::from_secs(seconds)).await;
            log.tend();
            assert!(log.is_dropping(), "after {seconds} s");
            hear(&mut log).await;
        }
        assert!(dropped(&disk).is_empty());
        log.enter(&[read_entry()]).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        log.tend();
        assert!(!log.is_dropping());
        tokio::time::advance(Duration::from_secs(1)).await;
        log.tend();
        hear(&mut log).await;
        assert_eq!(dropped(&disk), [3], "of four entries three are signed");
    }

    /// A directory that takes nothing and says nothing, until it is let go.
    #[derive(Clone)]
    struct Hanging(FaultyDisk, Arc<Mutex<mpsc::Receiver<()>>>);

    impl Disk for Hanging {
        type File = <FaultyDisk as Disk>::File;

        fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
            self.0.create_dir_all(dir)
        }

        fn create(&self, path: &Path, mode: u32, allocate: u64) -> std::io::Result<Self::File> {
            if path.starts_with("/away") {
                // Until the other end is gone.
                let _ = self.1.lock().unwrap().recv();
            }
            self.0.create(path, mode, allocate)
        }

        fn open(&self, path: &Path, access: tidegate_store::disk::Access) -> std::io::Result<Self::File> {
            self.0.open(path, access)
        }

        fn list(&self, dir: &Path) -> std::io::Result<Vec<tidegate_store::disk::Entry>> {
            self.0.list(dir)
        }

        fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
            self.0.rename(from, to)
        }

        fn unlink(&self, path: &Path) -> std::io::Result<()> {
            self.0.unlink(path)
        }

        fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
            self.0.sync_dir(dir)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_hangs_keeps_nobody_waiting() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let (held, hangs) = mpsc::sync_channel(1);
        let place = Place {
            disk: Hanging(disk.clone(), Arc::new(Mutex::new(hangs))),
            dir: DIR.into(),
            signer: Signer::new("tidegate/node-0", &[1; 32]).unwrap(),
        };
        let health = Arc::new(Health::new(clock.clone()));
        let mut log = Log::start(
            place,
            rules(1),
            clock.clone(),
            &Telemetry::new(),
            health,
            Vec::new(),
        );
        let (answer, mut answered) = oneshot::channel();
        log.answer(vec![Request::Checkpoint(answer)]);
        assert!(answered.try_recv().is_err(), "it waits to hear of it");
        for _ in 0..10 {
            log.enter(&[read_entry()]).unwrap();
        }
        tokio::time::advance(DROP_AWAITED).await;
        log.tend();
        assert_eq!(answered.try_recv().unwrap().unwrap()["dropped"], false);
        assert!(dropped(&disk).is_empty());
        drop(held);
        let told = log.drops_told();
        while log.is_dropping() {
            told.notified().await;
            log.hear_drops();
        }
        assert_eq!(dropped(&disk), [1, 11], "the one that hung, and the newest");
    }

    fn ask(log: &mut Log<FaultyDisk>) -> Result<(), String> {
        let (answer, mut answered) = oneshot::channel();
        log.answer(vec![Request::Enter(vec![read_entry()], answer)]);
        answered.try_recv().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deed_is_refused_while_the_log_cannot_be_written_and_allowed_afterwards() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let health = Arc::new(Health::new(clock.clone()));
        let mut log = log_with(&disk, &clock, 1_000, &health);
        assert!(!health.ready().1.contains("audit"));
        disk.fail_on(Op::Sync, "audit", 0, 2, ErrorKind::Other);
        assert!(ask(&mut log).unwrap_err().contains("audit log"));
        assert!(ask(&mut log).is_err(), "not at once");
        let (first, _) = RETRY_AFTER;
        tokio::time::advance(first).await;
        assert!(ask(&mut log).is_err(), "the second fault");
        tokio::time::advance(first).await;
        assert!(ask(&mut log).is_err(), "twice as long");
        assert!(health.ready().1.contains("audit log failing for 2 s"));
        tokio::time::advance(first).await;
        assert_eq!(ask(&mut log), Ok(()));
        assert!(!health.ready().1.contains("audit"));
        let kinds = kinds(&disk.crash());
        assert_eq!(kinds[..2], [Kind::Started, Kind::KeyEvent]);
        let failed = kinds.iter().filter(|kind| **kind == Kind::LogFailed);
        assert_eq!((failed.count(), kinds.last()), (1, Some(&Kind::Read)));
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_full_disk_it_says_that_it_fails_until_it_does_no_more() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let health = Arc::new(Health::new(clock.clone()));
        let mut log = log_with(&disk, &clock, 1 << 40, &health);
        disk.set_capacity(Some(disk.used()));
        let mut held = 0;
        while ask(&mut log).is_ok() {
            held += 1;
        }
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(100)).await;
            log.tend();
            assert!(health.ready().1.contains("audit log failing"));
        }
        disk.set_capacity(None);
        tokio::time::advance(Duration::from_secs(100)).await;
        log.tend();
        assert!(!health.ready().1.contains("audit"), "nobody had to ask");
        let kinds = kinds(&disk);
        let of = |kind: Kind| kinds.iter().filter(|found| **found == kind).count();
        assert_eq!(
            (of(Kind::Read), of(Kind::LogFailed), of(Kind::Started)),
            (held, 1, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_start_and_the_keys_are_entered_first_and_once_whenever_the_log_opens() {
        let begin = [Kind::Started, Kind::KeyEvent, Kind::LogFailed];
        // The file is not opened, or not written anew; its first entries are not written, or not synced.
        for (op, skip) in [
            (Op::Open, 0),
            (Op::Write, 0),
            (Op::Sync, 0),
            (Op::Write, 1),
            (Op::Sync, 1),
        ] {
            let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
            log(&disk, &clock, 1_000).end();
            let old = kinds(&disk).len();
            disk.fail_on(op, ".log", skip, 1, ErrorKind::Other);
            let health = Arc::new(Health::new(clock.clone()));
            let mut log = log_with(&disk, &clock, 1_000, &health);
            assert!(health.ready().1.contains("audit log failing"));
            tokio::time::advance(Duration::from_secs(2)).await;
            log.tend();
            assert_eq!(kinds(&disk.crash())[old..], begin, "{op:?}: without being asked");
            assert!(!health.ready().1.contains("audit"));
            ask(&mut log).unwrap();
            assert_eq!(kinds(&disk.crash())[old + 3..], [Kind::Read], "{op:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_stays_unreadable_stops_the_log_for_some_minutes_only() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut first = log(&disk, &clock, 1_000);
        first.end();
        hear(&mut first).await;
        drop(first);
        let path = Path::new(DIR).join("00000000000000000001.log");
        let before = disk.octets(&path);
        disk.fail_on(Op::Read, path.to_str().unwrap(), 0, 1 << 20, ErrorKind::Other);
        let mut second = log(&disk, &clock, 1_000);
        let mut seconds = 0;
        while ask(&mut second).is_err() {
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            assert!(seconds < 600);
        }
        assert!(seconds > 60, "{seconds} s");
        disk.heal();
        assert_eq!(disk.octets(&path), before);
        let kinds = kinds(&disk);
        let (old, new) = kinds.split_at(3);
        assert_eq!(old, [Kind::Started, Kind::KeyEvent, Kind::Stopped]);
        let start = [Kind::LogDamaged, Kind::Started, Kind::KeyEvent, Kind::LogFailed];
        assert_eq!(new, [&start[..], &[Kind::Read]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_log_does_not_keep_the_gateway_from_starting_and_says_so() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut first = log(&disk, &clock, 1_000);
        first.enter(&[read_entry()]).unwrap();
        first.end();
        let path = Path::new(DIR).join("00000000000000000001.log");
        disk.damage(&path, 100, &[0xFF; 4]);
        let mut second = log(&disk, &clock, 1_000);
        assert!(second.enter(&[read_entry()]).is_ok());
        assert_eq!(
            kinds(&disk)
                .iter()
                .filter(|kind| **kind == Kind::LogDamaged)
                .count(),
            1
        );
    }
}
