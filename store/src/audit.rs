//! The audit log: what was done, by whom, in a chain that nobody can edit unseen (compliance AUD-1 to AUD-6).
//!
//! Each [`Entry`] is hashed with the hash of the one before it, and a Merkle tree stands over all of them. Now and then
//! its root is signed: a [`SignedCheckpoint`]. Whoever keeps checkpoints where this machine's owner cannot reach them can
//! later say whether the files still hold what was signed, and where they leave it ([`verify()`]); without one, entries
//! at the end can be cut off and nobody can tell.
//!
//! Entries are buffered by [`Audit::append`] and hold after [`Audit::sync`]; several wait for one fdatasync. After one
//! that failed nothing is known about what was written, so the log takes no more until it is opened again. An opening
//! reads everything (a further one of the same process the newest file only), and writes and syncs the newest file's
//! octets anew: what an earlier process has seen fail counts only from then on. What a power cut left of entries that
//! nobody was promised is cut off; everything else that is not as it was written is damage, which stays where it is, for
//! [`verify()`] to name, and new entries go on behind it.
//!
//! A file that cannot be read is no damage: it may be read the next time, so the opening fails ([`AuditError::Io`]). Only
//! who has tried for long goes on without it ([`Audit::open_past`]), in a file above all numbers that it may hold, and
//! never writes to it.

mod age;
mod entry;
mod frame;
mod kind;
mod note;
mod seed;
mod tree;
mod verify;
mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_age;
#[cfg(test)]
mod tests_forged;
#[cfg(test)]
mod tests_unread;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

pub use age::Aged;
pub use entry::{
    Actor, DETAILS_MAX, Detail, ENTRY_MAX, Entry, Logged, SEALED_MAX, Source, Value, WORD_MAX, WORDS_MAX,
    Word,
};
pub use kind::{Field, Kind};
pub use note::{Checkpoint, NOTE_MAX, NoteError, PublicKey, SignedCheckpoint, Signer, is_name};
pub use seed::{Made, SeedError, public_key, signer};
pub use tree::Hash;
pub use verify::{Tail, Verdict, checkpoints, read, verify};
pub use walk::{Bad, Why};

use age::Anchor;
use frame::{ENTRIES_MAX, HEADER_LEN, Header, SEGMENT_LEN};
use verify::{checkpoint_path, files, walk_file};
use walk::{Chain, Walk};

use crate::disk::{Access, Disk, DiskFile as _};
use crate::keyring::create_whole;

/// Directory of the log's own checkpoints, inside its directory.
pub const CHECKPOINTS_DIR: &str = "checkpoints";
/// Leftovers of a file that was being made when the power went.
const UNFINISHED: &str = ".new";
/// Checkpoints between two looks at which are not needed any more.
const THIN_EVERY: u64 = 64;
/// The next file, made ahead: with its blocks reserved a full disk stops the log one file later.
const AHEAD: &str = "next";

/// Why something could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A sync has failed, and nothing is known about what was written: open the log again.
    #[error("the audit log could not be synced and takes nothing until it is opened again")]
    Broken,
    /// The entry is over a bound.
    #[error("an audit entry over its bounds")]
    TooLong,
    /// A file.
    #[error("audit log {}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> AuditError + use<> {
    let path = path.to_path_buf();
    move |source| AuditError::Io { path, source }
}

/// What an opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries, those that are missing included.
    pub entries: u64,
    /// The first entry that is not as it was written: an alarm.
    pub damage: Option<Bad>,
    /// Checkpoints lie beside the log, and none is signed by its key: an alarm. What they sign may be missing.
    pub is_unsigned: bool,
    /// Octets of entries that nobody was promised, cut off.
    pub torn_octets: u64,
    /// The kind of the last entry: whether the process before ended in good order.
    pub last: Option<Kind>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It has this number, and holds after the next sync.
    At(u64),
    /// It was entered before: its [`Source`] is not behind the last one.
    Known,
}

/// The log, open for writing. One process has it (the data directory's lock sees to that).
pub struct Audit<D: Disk> {
    disk: D,
    dir: PathBuf,
    signer: Signer,
    segment: Segment<D::File>,
    /// With what is buffered.
    chain: Chain,
    /// Without it.
    synced: Chain,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    /// Entries that the newest checkpoint signs.
    signed: u64,
    /// What was found bad when it was opened.
    damage: Option<Bad>,
    /// Checkpoints since it was looked which are not needed.
    unthinned: u64,
    is_broken: bool,
    /// What stands for entries that went.
    anchor: Option<Anchor>,
}

/// The newest file.
struct Segment<F> {
    file: F,
    path: PathBuf,
    /// Where the next frame goes.
    at: usize,
    begun: Begun,
}

/// What is known before a file: from there a walk can begin.
#[derive(Clone)]
struct Begun {
    /// The number in the file's name.
    first: u64,
    chain: Chain,
    bad: Option<Bad>,
}

impl Begun {
    /// Before the first file.
    fn new() -> Self {
        Self {
            first: 0,
            chain: Chain::new(),
            bad: None,
        }
    }
}

/// What an opening has led to.
struct Opened<F> {
    segment: Segment<F>,
    chain: Chain,
    damage: Option<Bad>,
    torn: usize,
}

/// How an opening takes files that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// It fails.
    Refused,
    /// It goes on without them.
    Past,
}

impl<D: Disk> Audit<D> {
    /// Opens the log in `dir`, or begins one.
    ///
    /// # Errors
    ///
    /// A file or directory cannot be read, the anchor is not as it was written, or the newest file cannot be written. Nothing of the log has changed; it may be tried
    /// again.
    pub fn open(disk: D, dir: &Path, signer: Signer) -> Result<(Self, Report), AuditError> {
        Self::open_with(disk, dir, signer, Unread::Refused)
    }

    /// The same past files that cannot be read. They are left as they are, count as damage, and no number that may stand in
    /// one is given to another entry. For who has tried [`Audit::open`] for long: checkpoints that are signed from then on
    /// sign their entries as missing.
    ///
    /// # Errors
    ///
    /// As [`Audit::open`], but for those files.
    pub fn open_past(disk: D, dir: &Path, signer: Signer) -> Result<(Self, Report), AuditError> {
        Self::open_with(disk, dir, signer, Unread::Past)
    }

    fn open_with(disk: D, dir: &Path, signer: Signer, unread: Unread) -> Result<(Self, Report), AuditError> {
        let own = dir.join(CHECKPOINTS_DIR);
        for dir in [dir, &own] {
            disk.create_dir_all(dir).map_err(failed(dir))?;
            sweep(&disk, dir).map_err(failed(dir))?;
        }
        let is_past = unread == Unread::Past;
        let signed = verify::newest(&disk, &own, &signer.public_key(), is_past).map_err(failed(&own))?;
        let (signed, is_unsigned) = (signed.unwrap_or(0), signed.is_none());
        let anchor = match age::anchor(&disk, dir) {
            // Roots would be signed as if what went had been lost.
            Err(error) if !is_past => return Err(failed(&dir.join(age::FILE))(error)),
            read => read.ok().flatten(),
        };
        let key = signer.public_key();
        // Whoever made it, it stands for nothing here: what it says went is missing.
        let (anchor, is_foreign) = match anchor {
            Some(anchor) if !anchor.is_signed_by(&key) => (None, true),
            anchor => (anchor, false),
        };
        let opened = open_from(&disk, dir, Anchor::begun(anchor.as_ref()), None, signed, unread)?;
        let report = Report {
            is_unsigned: is_unsigned || is_foreign,
            ..opened.report(None)
        };
        let audit = Self {
            disk,
            dir: dir.to_path_buf(),
            signer,
            segment: opened.segment,
            synced: opened.chain.clone(),
            chain: opened.chain,
            buffer: Vec::new(),
            scratch: Vec::new(),
            signed,
            damage: opened.damage,
            // A process that never makes many is followed by others.
            unthinned: THIN_EVERY,
            is_broken: false,
            anchor,
        };
        audit.make_ahead();
        Ok((audit, report))
    }

    /// Opens the log again after a failure. All before the newest file is known: only that one is read. Of damage the report
    /// names what was not known.
    ///
    /// # Errors
    ///
    /// As [`Audit::open`]; the log stays broken.
    pub fn reopen(&mut self) -> Result<Report, AuditError> {
        self.reopen_with(Unread::Refused)
    }

    /// The same past a newest file that cannot be read, as [`Audit::open_past`].
    ///
    /// # Errors
    ///
    /// As [`Audit::reopen`], but for that file.
    pub fn reopen_past(&mut self) -> Result<Report, AuditError> {
        self.reopen_with(Unread::Past)
    }

    fn reopen_with(&mut self, unread: Unread) -> Result<Report, AuditError> {
        self.is_broken = true;
        self.forget();
        let (begun, known) = (self.segment.begun.clone(), self.synced.clone());
        let promised = self.signed.max(known.tree.size());
        let opened = open_from(&self.disk, &self.dir, begun, Some(&known), promised, unread)?;
        let report = opened.report(self.damage.as_ref());
        self.segment = opened.segment;
        self.synced = opened.chain.clone();
        self.chain = opened.chain;
        self.damage = opened.damage;
        self.is_broken = false;
        self.make_ahead();
        Ok(report)
    }

    /// Takes an entry, which holds once a [`Audit::sync`] has succeeded. `now_ms` in unix milliseconds.
    ///
    /// # Errors
    ///
    /// Where a new file is needed and cannot be had, or what is buffered cannot be synced before it, what was buffered is
    /// lost with it.
    pub fn append(&mut self, now_ms: u64, entry: &Entry) -> Result<Appended, AuditError> {
        if self.is_broken {
            return Err(AuditError::Broken);
        }
        if entry.source.is_some() && entry.source <= self.chain.source {
            return Ok(Appended::Known);
        }
        let sequence = self.chain.next();
        self.scratch.clear();
        let encoded = entry.encode(sequence, now_ms, &mut self.scratch);
        encoded.ok_or(AuditError::TooLong)?;
        let len = frame::len_of(self.scratch.len());
        if self.segment.at + self.buffer.len() + len > SEGMENT_LEN {
            self.sync()?;
            match begin(&self.disk, &self.dir, &self.chain, self.damage.clone()) {
                Ok(segment) => self.segment = segment,
                Err(Begin::NotMade(error)) => return Err(error),
                // Whether the file is there nobody knows; an entry that still fits into the old one would have its number.
                Err(Begin::Unknown(error)) => {
                    self.is_broken = true;
                    self.forget();
                    return Err(error);
                }
            }
            self.make_ahead();
        }
        let synced = self.synced.tree.size();
        let hash = frame::put(
            &mut self.buffer,
            sequence,
            synced,
            &self.chain.hash,
            &self.scratch,
        );
        self.chain.enter(&hash, entry.kind, entry.source);
        Ok(Appended::At(sequence))
    }

    /// Writes and syncs what is buffered: those entries hold from now on.
    ///
    /// # Errors
    ///
    /// None of them holds. After a write that failed the log goes on without them; after a sync that failed it is broken.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        if self.is_broken {
            return Err(AuditError::Broken);
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Segment { file, path, at, .. } = &mut self.segment;
        let offset = *at as u64;
        let written = file.write_at(&[IoSlice::new(&self.buffer)], offset);
        let synced = match &written {
            Ok(()) => file.sync_data(),
            Err(_) => Ok(()),
        };
        let len = self.buffer.len();
        if let Err(error) = synced {
            let error = failed(path)(error);
            self.is_broken = true;
            self.forget();
            return Err(error);
        }
        if let Err(error) = written {
            // Part of it may stand there, and must not be taken for something.
            let zeros = vec![0; len];
            self.is_broken = file.write_at(&[IoSlice::new(&zeros)], offset).is_err();
            let error = failed(path)(error);
            self.forget();
            return Err(error);
        }
        *at += len;
        self.buffer.clear();
        self.synced = self.chain.clone();
        Ok(())
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.chain = self.synced.clone();
    }

    /// Makes the next file, if it is not there. Without it nothing is lost: it is made when it is needed.
    fn make_ahead(&self) {
        let path = self.dir.join(AHEAD);
        let make = || {
            let found = self
                .disk
                .list(&self.dir)?
                .into_iter()
                .find(|entry| entry.name == AHEAD);
            match found {
                Some(entry) if entry.len == SEGMENT_LEN as u64 => return Ok(()),
                Some(_) => self.disk.unlink(&path)?,
                None => {}
            }
            let file = self.disk.create(&path, 0o600, SEGMENT_LEN as u64)?;
            file.sync_all()
        };
        if let Err(error) = make() {
            tracing::debug!(%error, "the next file of the audit log cannot be made ahead");
        }
    }

    /// Entries that no checkpoint signs yet.
    pub const fn unsigned(&self) -> u64 {
        self.synced.tree.size().saturating_sub(self.signed)
    }

    /// Entries that the newest checkpoint signs.
    pub const fn signed(&self) -> u64 {
        self.signed
    }

    /// Entries that hold.
    pub const fn entries(&self) -> u64 {
        self.synced.tree.size()
    }

    /// The greatest place of the spool that was copied from, buffered entries included.
    pub const fn last_source(&self) -> Option<Source> {
        self.chain.source
    }

    /// Whether nothing is taken until the log is opened again.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Signs all entries that hold, and keeps the checkpoint beside the log. Says the signed note and its file's name.
    ///
    /// # Errors
    ///
    /// The file cannot be written; the log itself is as it was.
    pub fn checkpoint(&mut self) -> Result<(String, String), AuditError> {
        let size = self.synced.tree.size();
        let note = self.signer.sign(size, self.synced.tree.root());
        let own = self.dir.join(CHECKPOINTS_DIR);
        let name = publish(&self.disk, &own, size, &note)?;
        self.signed = size;
        self.unthinned += 1;
        if self.unthinned >= THIN_EVERY {
            self.unthinned = 0;
            // Too many are no harm.
            if let Err(error) = verify::thin_out(&self.disk, &own) {
                tracing::warn!(%error, "old checkpoints of the audit log cannot be removed");
            }
        }
        Ok((note, name))
    }

    /// What the checkpoints are checked with.
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }
}

impl<D: Disk> std::fmt::Debug for Audit<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audit({} entries)", self.entries())
    }
}

/// Writes a checkpoint into a directory, under a name that says its size: whole or not at all. Says the name.
///
/// # Errors
///
/// The file cannot be made.
pub fn publish<D: Disk>(disk: &D, dir: &Path, size: u64, note: &str) -> Result<String, AuditError> {
    let path = checkpoint_path(dir, size);
    create_whole(disk, &path, note.as_bytes()).map_err(failed(&path))?;
    let name = path.file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// Removes what was never finished.
fn sweep<D: Disk>(disk: &D, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)? {
        if entry.name.ends_with(UNFINISHED) {
            disk.unlink(&dir.join(&entry.name))?;
        }
    }
    Ok(())
}

impl<F> Opened<F> {
    fn report(&self, known: Option<&Bad>) -> Report {
        Report {
            entries: self.chain.tree.size(),
            is_unsigned: false,
            damage: self.damage.clone().filter(|bad| Some(bad) != known),
            torn_octets: self.torn as u64,
            last: self.chain.last,
        }
    }
}

/// Goes through the files from one on, and opens the newest to go on in, or begins another. `known` is where the chain
/// stands at least, if that is known; numbers up to `promised` are given to nobody else.
fn open_from<D: Disk>(
    disk: &D,
    dir: &Path,
    begun: Begun,
    known: Option<&Chain>,
    promised: u64,
    unread: Unread,
) -> Result<Opened<D::File>, AuditError> {
    let mut found = files(disk, dir).map_err(failed(dir))?;
    found.retain(|file| file.first >= begun.first);
    let mut visit = |_: &Logged, _: &Chain| {};
    let mut walk = Walk::from(begun.chain, begun.bad, &mut visit);
    let mut newest = None;
    for file in &found {
        let begun = Begun {
            first: file.first,
            chain: walk.chain.clone(),
            bad: walk.bad.clone(),
        };
        newest = match walk_file(disk, dir, file, &mut walk) {
            Ok(octets) => Some((begun, dir.join(&file.name), octets)),
            Err(error) if unread == Unread::Refused => return Err(failed(&dir.join(&file.name))(error)),
            Err(_) => {
                if let Some(known) = known.filter(|known| known.next() > walk.chain.next()) {
                    walk.chain = known.clone();
                }
                None
            }
        };
    }
    let stop = walk.stop.take();
    let (mut chain, mut bad) = (walk.chain.clone(), walk.bad.clone());
    let (mut at, mut torn, mut goes_on) = (walk.end, 0, true);
    if let Some(stop) = stop {
        // Of what nobody was promised a power cut may have left anything: neither a later frame nor a checkpoint knows
        // of it.
        if stop.synced.max(promised) < stop.chain.next() {
            (chain, bad, at, torn) = (stop.chain, stop.bad, stop.at, stop.octets);
        } else {
            goes_on = false;
        }
    }
    let mut next = chain.next();
    if let Some(file) = found.last().filter(|_| newest.is_none()) {
        // Its numbers stay its own.
        next = next.max(file.first).saturating_add(ENTRIES_MAX);
    }
    if chain.tree.size() < promised {
        let file = found.last().map_or(String::new(), |file| file.name.clone());
        let sequence = chain.next();
        bad.get_or_insert(Bad {
            sequence,
            up_to: promised,
            file,
            why: Why::Missing,
        });
        // A number that was signed is not given to another entry.
        next = next.max(promised.saturating_add(1));
        goes_on = false;
    }
    if !goes_on && found.iter().any(|file| file.first == next) {
        // The damaged file stays, and so does its name.
        next += 1;
    }
    if !chain.skip_to(next) {
        return Err(failed(dir)(io::Error::other("too many entries are missing")));
    }
    let segment = match newest.filter(|_| goes_on) {
        Some((begun, path, octets)) => {
            let (file, at) = (write_anew(disk, &path, octets, at).map_err(failed(&path))?, at);
            Segment {
                file,
                path,
                at,
                begun,
            }
        }
        None => begin(disk, dir, &chain, bad.clone()).map_err(Begin::into_error)?,
    };
    disk.sync_dir(dir).map_err(failed(dir))?;
    Ok(Opened {
        segment,
        chain,
        damage: bad,
        torn,
    })
}

/// Opens the newest file, whose `octets` were gone through, to go on behind `at`. All before it is written once more: of an
/// fdatasync that failed in another process nothing is known, and only octets that are written anew are synced by the next
/// one.
fn write_anew<D: Disk>(disk: &D, path: &Path, mut octets: Vec<u8>, at: usize) -> io::Result<D::File> {
    let file = disk.open(path, Access::ReadWrite)?;
    octets.truncate(at);
    octets.resize(SEGMENT_LEN, 0);
    file.write_at(&[IoSlice::new(&octets)], 0)?;
    file.sync_data()?;
    Ok(file)
}

/// How a file could not be begun.
enum Begin {
    /// It is not there.
    NotMade(AuditError),
    /// Nobody knows whether it is there.
    Unknown(AuditError),
}

impl Begin {
    fn into_error(self) -> AuditError {
        match self {
            Self::NotMade(error) | Self::Unknown(error) => error,
        }
    }
}

/// Begins the file for what comes next. It appears with its header or not at all.
fn begin<D: Disk>(disk: &D, dir: &Path, chain: &Chain, bad: Option<Bad>) -> Result<Segment<D::File>, Begin> {
    let header = Header {
        first: chain.next(),
        previous: chain.hash,
    };
    let path = frame::path(dir, header.first);
    let ahead = dir.join(AHEAD);
    let make = || {
        let found = disk.open(&ahead, Access::ReadWrite).ok();
        let found = found.filter(|file| file.len().is_ok_and(|len| len == SEGMENT_LEN as u64));
        let file = match found {
            Some(file) => file,
            None => match disk.unlink(&ahead) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => disk.create(&ahead, 0o600, SEGMENT_LEN as u64)?,
            },
        };
        file.write_at(&[IoSlice::new(&header.encode())], 0)?;
        file.sync_all()?;
        Ok(file)
    };
    let file = make().map_err(|error| Begin::NotMade(failed(&path)(error)))?;
    let place = || {
        disk.rename(&ahead, &path)?;
        disk.sync_dir(dir)
    };
    place().map_err(|error| Begin::Unknown(failed(&path)(error)))?;
    Ok(Segment {
        file,
        path,
        at: HEADER_LEN,
        begun: Begun {
            first: header.first,
            chain: chain.clone(),
            bad,
        },
    })
}
