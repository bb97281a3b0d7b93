//! The log itself, and what goes wrong with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_config::Audit as Rules;
use tidegate_store::audit::{
    Actor, Appended, Audit, AuditError, Entry, Field, Kind, Report, Signer, Source, Value as Detail, Word,
};
use tidegate_store::disk::Disk;
use tokio::sync::Notify;

use super::back_off::BackOff;
use super::checkpoints::Checkpoints;
use super::{IsOver, Request};
use crate::clock::Clock;
use crate::http::Health;
use crate::telemetry::{AuditMetrics, Telemetry};

/// How long a log that could not be opened is left alone before it is tried again: so long at first, twice as long each
/// time, and so long at most.
pub(super) const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Openings that fail before files that cannot be read are passed over: some two minutes.
const PATIENCE: u32 = 8;

/// The audit log, open or waiting to be opened again. Belongs to the keeper's thread.
pub struct Log<D: Disk> {
    place: Place<D>,
    clock: Clock,
    metrics: Arc<AuditMetrics>,
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
    checkpoints: Checkpoints,
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
        let metrics = Arc::new(AuditMetrics::new(telemetry));
        let mut log = Self {
            checkpoints: Checkpoints::new(place.disk.clone(), rules, clock.clone(), Arc::clone(&metrics)),
            place,
            clock,
            metrics,
            health,
            open: None,
            opening: BackOff::new(RETRY_AFTER),
            failures: 0,
            first,
            taken: Vec::new(),
            is_begun: false,
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
        let unsigned = self.open.as_ref().map_or(0, Audit::unsigned);
        if self.checkpoints.entered(unsigned) {
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
                Request::Rules(rules) => self.checkpoints.set_rules(*rules),
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
                Ok(shown) => self.checkpoints.answer(answer, shown),
                Err(error) => drop(answer.send(Err(error))),
            }
        }
    }

    /// Drops what is over, entered before and behind.
    pub(super) fn age(&mut self, IsOver(is_over): &IsOver) -> Result<(), String> {
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

    fn sign(&mut self) -> Option<(String, String)> {
        self.checkpoints.sign(self.open.as_mut()?)
    }

    /// What to wait for: then [`Log::hear_drops`].
    pub(super) fn drops_told(&self) -> Arc<Notify> {
        self.checkpoints.told()
    }

    /// Whether a checkpoint is being dropped.
    pub(super) const fn is_dropping(&self) -> bool {
        self.checkpoints.is_dropping()
    }

    /// Hears what became of a checkpoint that was to be dropped.
    pub(super) fn hear_drops(&mut self) {
        self.checkpoints.hear();
    }

    /// Enters what must come first, signs what is due, and tries once more what has failed.
    pub(super) fn tend(&mut self) {
        self.checkpoints.tend();
        if self.usable().is_err() {
            return;
        }
        if !self.first.is_empty() && self.opening.is_due(self.clock.now().monotonic) {
            // What failed may go well by now, and whoever looks at health learns it.
            let _ = self.enter(&[]);
        }
        if self.checkpoints.is_due() {
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
