//! The log itself, what goes wrong with it, and its checkpoints.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_config::Audit as Rules;
use tidegate_store::audit::{
    Actor, Audit, AuditError, Entry, Field, Kind, Report, Signer, Source, Value as Detail, Word, publish,
};
use tidegate_store::disk::Disk;

use super::Request;
use crate::clock::Clock;
use crate::telemetry::{AuditMetrics, Telemetry};

/// How long a log that cannot be opened is left alone before an entry tries it again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The audit log, open or waiting to be opened again. Belongs to the keeper's thread.
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    signer: Signer,
    rules: Rules,
    clock: Clock,
    metrics: AuditMetrics,
    /// `None` after a failure.
    open: Option<Audit<D>>,
    /// Monotonic; not before then.
    retry_at: Duration,
    /// Monotonic: since when there has been an entry that no checkpoint signs.
    unsigned_since: Option<Duration>,
    /// The checkpoint that could not be dropped where the operator wants it.
    undropped: Option<(u64, String)>,
}

impl<D: Disk> Log<D> {
    /// Opens the log of `dir`, and enters the start. One that cannot be opened or is damaged does not keep the gateway
    /// from starting: messages of people wait behind it. It is an alarm, and deeds that must be entered are refused until
    /// the log can be opened. Behind damage it goes on with an entry that says so.
    pub fn start(
        disk: D,
        dir: PathBuf,
        signer: Signer,
        rules: Rules,
        clock: Clock,
        telemetry: &Telemetry,
        also: Vec<Entry>,
    ) -> Self {
        let mut log = Self {
            disk,
            dir,
            signer,
            rules,
            clock,
            metrics: AuditMetrics::new(telemetry),
            open: None,
            retry_at: Duration::ZERO,
            unsigned_since: None,
            undropped: None,
        };
        let report = log.reopen();
        let mut started = Entry::new(Kind::Started, Actor::System).with(
            Field::Version,
            Detail::Word(Word::of_name(env!("CARGO_PKG_VERSION"))),
        );
        if let Some(report) = report.filter(|report| report.entries > 0) {
            let is_clean = report.last == Some(Kind::Stopped);
            started = started.with(Field::Clean, Detail::Flag(is_clean));
        }
        let mut entries = vec![started];
        entries.extend(also);
        if let Err(error) = log.enter(&entries) {
            tracing::error!(%error, "the start cannot be entered in the audit log");
        }
        log
    }

    /// Opens the log again. What is found damaged is entered at once.
    fn reopen(&mut self) -> Option<Report> {
        match Audit::open(self.disk.clone(), &self.dir, self.signer.clone()) {
            Ok((audit, report)) => {
                self.open = Some(audit);
                self.metrics
                    .damaged
                    .set(f64::from(u8::from(report.damage.is_some())));
                if report.torn_octets > 0 {
                    tracing::info!(octets = report.torn_octets, "audit log: a write that was cut off");
                }
                if let Some(bad) = &report.damage {
                    let (sequence, file, why) = (bad.sequence, &bad.file, bad.why);
                    tracing::error!(sequence, file, %why, "the audit log is damaged: `tidegate audit verify`");
                    let damaged = Entry::new(Kind::LogDamaged, Actor::System)
                        .with(Field::Sequence, Detail::Count(sequence))
                        .with(Field::File, Detail::Word(Word::of_name(file)));
                    if let Err(error) = self.enter(&[damaged]) {
                        tracing::error!(%error, "damage cannot be entered in the audit log");
                    }
                }
                Some(report)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&mut self, error: &AuditError) {
        tracing::error!(%error, "the audit log cannot be written");
        self.metrics.failures.increment(1);
        self.retry_at = self.clock.now().monotonic + RETRY_AFTER;
    }

    /// The log, opened again if it can be.
    fn usable(&mut self) -> Result<&mut Audit<D>, String> {
        if self.open.as_ref().is_some_and(Audit::is_broken) {
            self.open = None;
        }
        if self.open.is_none() && self.clock.now().monotonic >= self.retry_at {
            self.reopen();
        }
        self.open
            .as_mut()
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
        for entry in entries {
            match self.usable()?.append(now_ms, entry) {
                Ok(_) => self.metrics.entered(entry.kind),
                Err(error) => {
                    self.failed(&error);
                    return Err(error.to_string());
                }
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), String> {
        if let Err(error) = self.usable()?.sync() {
            self.failed(&error);
            return Err(error.to_string());
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
        let (mut entered, mut asked) = (Vec::new(), Vec::new());
        for request in group {
            match request {
                Request::Enter(entries, answer) => entered.push((answer, self.append(&entries))),
                Request::Checkpoint(answer) => asked.push(answer),
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
        for answer in asked {
            let _ = answer.send(self.checkpoint());
        }
    }

    /// Signs a checkpoint over all that is entered, and says which.
    fn checkpoint(&mut self) -> Result<Map<String, Value>, String> {
        self.usable()?;
        let (note, file) = self
            .sign()
            .ok_or("the checkpoint cannot be written: see the log")?;
        let size = self.open.as_ref().map_or(0, Audit::signed);
        let shown = json!({
            "size": size,
            "checkpoint": note,
            "file": self.dir.join(tidegate_store::audit::CHECKPOINTS_DIR).join(file).display().to_string(),
            "dropped": self.rules.checkpoint_directory.as_ref().map(|_| self.undropped.is_none()),
        });
        match shown {
            Value::Object(shown) => Ok(shown),
            _ => Ok(Map::new()),
        }
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

    /// Puts the newest checkpoint where the operator wants it (AUD-3).
    fn drop_checkpoint(&mut self) {
        let (Some((size, note)), Some(dir)) = (&self.undropped, &self.rules.checkpoint_directory) else {
            self.undropped = None;
            return;
        };
        match publish(&self.disk, dir, *size, note) {
            Ok(_) => self.undropped = None,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint cannot be dropped");
                self.metrics.checkpoint_failures.increment(1);
            }
        }
    }

    /// Signs what is due, and tries once more what has failed.
    pub(super) fn tend(&mut self) {
        if self.usable().is_err() {
            return;
        }
        let monotonic = self.clock.now().monotonic;
        let interval = self.rules.checkpoint_interval;
        let is_due = |since: Duration| monotonic.saturating_sub(since) >= interval;
        if self.unsigned_since.is_some_and(is_due) {
            self.sign();
        } else if self.undropped.is_some() {
            self.drop_checkpoint();
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
        let signer = Signer::new("tidegate/node-0", &[1; 32]).unwrap();
        let telemetry = Telemetry::new();
        Log::start(
            disk.clone(),
            DIR.into(),
            signer,
            rules(every),
            clock.clone(),
            &telemetry,
            Vec::new(),
        )
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
        let mut log = log(&disk, &clock, 3);
        log.enter(&[read_entry()]).unwrap();
        assert!(dropped(&disk).is_empty());
        log.enter(&[read_entry()]).unwrap();
        assert_eq!(dropped(&disk), [3]);
        log.enter(&[read_entry()]).unwrap();
        for seconds in [59, 2] {
            log.tend();
            assert_eq!(dropped(&disk), [3]);
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        log.tend();
        assert_eq!(dropped(&disk), [3, 4]);
        tokio::time::advance(Duration::from_secs(600)).await;
        log.tend();
        assert_eq!(dropped(&disk), [3, 4], "nothing new, nothing to sign");
        // A directory that is away for a while gets it later.
        disk.fail_on(Op::Create, "away", 0, 1, ErrorKind::Other);
        log.end();
        assert_eq!(dropped(&disk), [3, 4]);
        log.tend();
        assert_eq!(dropped(&disk), [3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deed_is_refused_while_the_log_cannot_be_written_and_allowed_afterwards() {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        let mut log = log(&disk, &clock, 1_000);
        disk.fail_on(Op::Sync, "audit", 0, 2, ErrorKind::Other);
        let ask = |log: &mut Log<FaultyDisk>| {
            let (answer, mut answered) = oneshot::channel();
            log.answer(vec![Request::Enter(vec![read_entry()], answer)]);
            answered.try_recv().unwrap()
        };
        assert!(ask(&mut log).unwrap_err().contains("audit log"));
        assert!(ask(&mut log).is_err(), "not at once");
        tokio::time::advance(RETRY_AFTER).await;
        assert!(ask(&mut log).is_err(), "the second fault");
        tokio::time::advance(RETRY_AFTER).await;
        assert_eq!(ask(&mut log), Ok(()));
        let crashed = disk.crash();
        assert_eq!(kinds(&crashed).first(), Some(&Kind::Started));
        assert_eq!(kinds(&crashed).last(), Some(&Kind::Read));
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
