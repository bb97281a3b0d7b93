//! Where traces lie: `traces/` of the data directory, a file each, mode 0600, written by a thread of the trace's own.
//!
//! The first line says of whom the trace is, the last why it ended. A file's time of modification is set to the end of its
//! trace, so that a start knows how old it is; of one that was cut off it is the last write.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{FILES_MAX, KEPT_FOR, LINES_MAX, Seen};
use crate::control::instant;

const DIR: &str = "traces";
const SUFFIX: &str = ".jsonl";
/// Octets that are left for the last line.
const LAST_LINE: u64 = 256;

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Why {
    /// Its time was over.
    Time = 1,
    /// Its file has as many octets as it may.
    Octets = 2,
    /// An operator stopped it.
    Stopped = 3,
    /// Its file could not be written.
    Failed = 4,
    /// The gateway ended.
    Shutdown = 5,
}

impl Why {
    const ALL: [Self; 5] = [
        Self::Time,
        Self::Octets,
        Self::Stopped,
        Self::Failed,
        Self::Shutdown,
    ];

    /// For people, and for the audit log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Octets => "octets",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What a trace has come to, told between its thread and the loop.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    octets: AtomicU64,
    lines: AtomicU64,
    dropped: AtomicU64,
    /// 0 while it runs.
    why: AtomicU8,
    ended_ms: AtomicU64,
}

impl Counts {
    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// PDUs that are written.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// PDUs that were not, as there was no room on the way to the thread.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Why it has ended, if it has.
    pub(crate) fn why(&self) -> Option<Why> {
        let octet = self.why.load(Ordering::Acquire);
        Why::ALL.into_iter().find(|why| *why as u8 == octet)
    }

    pub(crate) fn ended_ms(&self) -> u64 {
        self.ended_ms.load(Ordering::Relaxed)
    }

    /// Notes the end; the first that is noted counts.
    pub(super) fn end(&self, why: Why, now_ms: u64) {
        if self.why().is_none() {
            self.ended_ms.store(now_ms, Ordering::Relaxed);
        }
        let _ = self
            .why
            .compare_exchange(0, why as u8, Ordering::Release, Ordering::Relaxed);
    }
}

/// The loop's end of a trace's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: SyncSender<Seen>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread, over a file that was made for it and takes `limit` octets; `first` is its first line.
    ///
    /// # Errors
    ///
    /// The first line cannot be written, or there is no thread to be had.
    pub(crate) fn start(file: File, first: &Value, limit: u64) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut sheet = Sheet {
            file: BufWriter::new(file),
            left: limit.saturating_sub(LAST_LINE),
            counts: Arc::clone(&counts),
        };
        sheet.put(first)?;
        sheet.file.flush()?;
        let (lines, inbox) = sync_channel(LINES_MAX);
        let thread = std::thread::Builder::new()
            .name("trace".into())
            .spawn(move || sheet.write(&inbox))?;
        Ok(Self {
            lines,
            counts,
            thread,
        })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Gives it a line and never waits; says whether there was no room for it.
    pub(crate) fn give(&self, seen: Seen) -> bool {
        let is_dropped = matches!(self.lines.try_send(seen), Err(TrySendError::Full(_)));
        if is_dropped {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_dropped
    }

    /// Ends it, and waits until all is written. Blocks.
    pub(crate) fn end(self, why: Why, now_ms: u64) -> Arc<Counts> {
        self.counts.end(why, now_ms);
        drop(self.lines);
        // A thread that panicked has said so.
        let _ = self.thread.join();
        self.counts
    }
}

/// The thread's end.
struct Sheet {
    file: BufWriter<File>,
    left: u64,
    counts: Arc<Counts>,
}

impl Sheet {
    fn write(mut self, lines: &Receiver<Seen>) {
        let mut last_ms = 0;
        while let Some(seen) = self.next(lines) {
            last_ms = seen.at_ms();
            match self.put(&Value::Object(seen.shown())) {
                Ok(true) => {
                    self.counts.lines.fetch_add(1, Ordering::Relaxed);
                }
                Ok(false) => {
                    self.counts.end(Why::Octets, last_ms);
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "a trace cannot be written");
                    self.counts.end(Why::Failed, last_ms);
                    break;
                }
            }
        }
        self.last_line(last_ms);
    }

    /// The next line; what was written goes to the file before it is waited for.
    fn next(&mut self, lines: &Receiver<Seen>) -> Option<Seen> {
        match lines.try_recv() {
            Ok(seen) => Some(seen),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                // Should it fail, the next line says so.
                let _ = self.file.flush();
                lines.recv().ok()
            }
        }
    }

    /// Writes a line; `false` where it has no room.
    fn put(&mut self, line: &Value) -> io::Result<bool> {
        let mut text = line.to_string();
        text.push('\n');
        let octets = text.len() as u64;
        if octets > self.left {
            return Ok(false);
        }
        self.file.write_all(text.as_bytes())?;
        self.left -= octets;
        self.counts.octets.fetch_add(octets, Ordering::Relaxed);
        Ok(true)
    }

    fn last_line(mut self, last_ms: u64) {
        let ended_ms = self.counts.ended_ms().max(last_ms);
        self.left = LAST_LINE;
        let line = json!({
            "ended": instant(ended_ms),
            "why": self.counts.why().map(Why::word),
            "pdus": self.counts.lines(),
            "dropped": self.counts.dropped(),
        });
        let written = self.put(&line).and_then(|_| self.file.flush());
        let dated = written.and_then(|()| {
            let ended = UNIX_EPOCH + Duration::from_millis(ended_ms);
            self.file.get_ref().set_modified(ended)
        });
        if let Err(error) = dated {
            tracing::error!(%error, "the end of a trace cannot be written");
        }
    }
}

/// A file whose trace has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name in the directory.
    pub name: String,
    /// When its trace ended, in unix milliseconds.
    pub ended_ms: u64,
    /// Octets that it has.
    pub octets: u64,
}

impl Kept {
    /// When it goes, in unix milliseconds.
    pub(crate) fn goes_ms(&self) -> u64 {
        self.ended_ms.saturating_add(kept_ms())
    }

    /// Whether it has had its time. One that ended in a far future was written by a clock that was wrong.
    fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.goes_ms() || self.ended_ms > now_ms.saturating_add(kept_ms())
    }
}

fn kept_ms() -> u64 {
    u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX)
}

/// The files of traces.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    kept: Mutex<Vec<Kept>>,
    /// Traces are begun one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Files {
    /// Looks at what lies in a data directory, and removes what has had its time.
    ///
    /// # Errors
    ///
    /// The directory is there and cannot be read.
    pub fn open(data: &Path, now_ms: u64) -> io::Result<Self> {
        let dir = data.join(DIR);
        let kept = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries?.filter_map(|entry| kept(&entry.ok()?)).collect(),
        };
        let files = Self {
            dir,
            kept: Mutex::new(kept),
            turn: tokio::sync::Mutex::new(()),
        };
        files.remove_due(now_ms);
        Ok(files)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Traces are begun one after the other.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Those whose traces have ended, by name, and so by age.
    pub fn kept(&self) -> Vec<Kept> {
        let mut kept = self.list().clone();
        kept.sort_by(|one, other| one.name.cmp(&other.name));
        kept
    }

    /// Whether there may be one more beside those that are written.
    pub(crate) fn has_room(&self, running: usize) -> bool {
        self.list().len() + running < FILES_MAX
    }

    /// Makes a file of a name that no other has, for its owner alone. Blocks.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn create(&self, now_ms: u64, number: u64) -> io::Result<(String, File)> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let name = format!("{now_ms}-{number}{SUFFIX}");
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.dir.join(&name))?;
        Ok((name, file))
    }

    /// Forgets files that somebody has removed. Blocks.
    pub(crate) fn forget_gone(&self) {
        self.list().retain(|kept| self.dir.join(&kept.name).exists());
    }

    /// Removes a file that no trace came of. Blocks.
    pub(crate) fn discard(&self, name: &str) {
        let _ = fs::remove_file(self.dir.join(name));
    }

    /// A trace has ended.
    pub(crate) fn keep(&self, kept: Kept) {
        self.list().push(kept);
    }

    /// Whether something has had its time.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.list().iter().any(|kept| kept.is_due(now_ms))
    }

    /// Removes what has had its time; what cannot be removed is tried again. Blocks.
    pub(crate) fn remove_due(&self, now_ms: u64) {
        let due: Vec<Kept> = self
            .list()
            .iter()
            .filter(|kept| kept.is_due(now_ms))
            .cloned()
            .collect();
        for kept in due {
            match fs::remove_file(self.dir.join(&kept.name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(file = kept.name, %error, "the file of a trace cannot be removed");
                }
                _ => self.list().retain(|other| other.name != kept.name),
            }
        }
    }
}

/// A file of a trace; what else lies there is nobody's here.
fn kept(entry: &fs::DirEntry) -> Option<Kept> {
    let name = entry.file_name().into_string().ok()?;
    let known = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    let (time, number) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number(time) || !is_number(number) {
        return None;
    }
    let ended = known
        .modified()
        .ok()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Some(Kept {
        name,
        ended_ms: u64::try_from(ended.as_millis()).unwrap_or(u64::MAX),
        octets: known.len(),
    })
}

#[cfg(test)]
mod tests {
    use tidegate_codec::header::CommandId;
    use tidegate_codec::pdu::{Limits, encode_empty};
    use tidegate_codec::status::CommandStatus;

    use super::*;
    use crate::trace::Direction;

    fn seen() -> Seen {
        let mut octets = Vec::new();
        encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1, &mut octets);
        let first = Seen::first(&octets, &Limits::default(), 1_795_478_400_000, 1, Direction::In);
        first.unwrap().0
    }

    #[test]
    fn what_has_no_room_is_dropped_and_counted_and_nobody_waits() {
        let (lines, inbox) = sync_channel(1);
        let writer = Writer {
            lines,
            counts: Arc::default(),
            thread: std::thread::spawn(|| {}),
        };
        assert!(!writer.give(seen()) && writer.give(seen()) && writer.give(seen()));
        assert_eq!(writer.counts().dropped(), 2);
        // Of a trace that is over nothing is missed.
        drop(inbox);
        assert!(!writer.give(seen()));
        assert_eq!(writer.end(Why::Time, 7).why(), Some(Why::Time));
    }

    #[test]
    fn a_file_that_takes_nothing_begins_no_trace() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(Writer::start(full, &json!({ "trace": 1 }), 4_096).is_err());
    }

    #[test]
    fn the_first_end_counts_and_its_date_is_the_file_s() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path(), 1_000).unwrap();
        let (name, file) = files.create(1_000, 1).unwrap();
        assert!(files.create(1_000, 1).is_err(), "no file is written over");
        let writer = Writer::start(file, &json!({ "trace": 1 }), 4_096).unwrap();
        assert!(!writer.give(seen()));
        writer.counts.end(Why::Failed, 1_795_478_400_500);
        let counts = writer.end(Why::Stopped, 1_795_478_409_000);
        assert_eq!((counts.why(), counts.lines()), (Some(Why::Failed), 1));
        let again = Files::open(dir.path(), 1_795_478_401_000).unwrap();
        let kept = again.kept();
        assert_eq!((kept.len(), &kept[0].name), (1, &name));
        assert_eq!(kept[0].ended_ms, 1_795_478_400_500);
        let day = kept_ms();
        assert!(!again.is_due(kept[0].ended_ms + day - 1) && again.is_due(kept[0].ended_ms + day));
        again.remove_due(kept[0].ended_ms + day);
        assert_eq!(
            (again.kept(), fs::read_dir(dir.path().join(DIR)).unwrap().count()),
            (vec![], 0)
        );
    }
}
