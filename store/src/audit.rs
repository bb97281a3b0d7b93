//! The audit log: what was done, by whom, in a chain that nobody can edit unseen (compliance AUD-1 to AUD-6).
//!
//! Each [`Entry`] is hashed with the hash of the one before it, and a Merkle tree stands over all of them. Now and then
//! its root is signed: a [`SignedCheckpoint`]. Whoever keeps checkpoints where this machine's owner cannot reach them can
//! later say whether the files still hold what was signed, and where they leave it ([`verify()`]); without one, entries
//! at the end can be cut off and nobody can tell.
//!
//! Entries are buffered by [`Audit::append`] and hold after [`Audit::sync`]; several wait for one fdatasync. After one
//! that failed nothing is known about what was written, so the log takes no more until it is opened again. An opening
//! reads everything, and writes and syncs the newest file's octets anew: what an earlier process has seen fail counts
//! only from then on. What a power cut left of entries that nobody was promised is cut off; everything else that is not
//! as it was written is damage, which stays where it is, for [`verify()`] to name, and new entries go on behind it.

mod entry;
mod frame;
mod note;
mod seed;
mod tree;
mod verify;
mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_forged;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

pub use entry::{
    Actor, DETAILS_MAX, Detail, ENTRY_MAX, Entry, Field, Kind, Logged, SEALED_MAX, Source, Value, WORD_MAX,
    WORDS_MAX, Word,
};
pub use note::{Checkpoint, NOTE_MAX, NoteError, PublicKey, SignedCheckpoint, Signer, is_name};
pub use seed::{SeedError, public_key, signer};
pub use tree::Hash;
pub use verify::{Tail, Verdict, checkpoints, read, verify};
pub use walk::{Bad, Why};

use frame::{HEADER_LEN, Header, SEGMENT_LEN};
use verify::{checkpoint_path, files, walk_file};
use walk::{Chain, Walk};

use crate::disk::{Access, Disk, DiskFile as _};
use crate::keyring::create_whole;

/// Directory of the log's own checkpoints, inside its directory.
pub const CHECKPOINTS_DIR: &str = "checkpoints";
/// Leftovers of a file that was being made when the power went.
const UNFINISHED: &str = ".new";

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
    is_broken: bool,
}

/// The newest file.
struct Segment<F> {
    file: F,
    path: PathBuf,
    /// Where the next frame goes.
    at: usize,
}

impl<D: Disk> Audit<D> {
    /// Opens the log in `dir`, or begins one.
    ///
    /// # Errors
    ///
    /// A file or directory cannot be read, or the newest one not be written.
    pub fn open(disk: D, dir: &Path, signer: Signer) -> Result<(Self, Report), AuditError> {
        let own = dir.join(CHECKPOINTS_DIR);
        for dir in [dir, &own] {
            disk.create_dir_all(dir).map_err(failed(dir))?;
            sweep(&disk, dir).map_err(failed(dir))?;
        }
        let signed = verify::newest(&disk, &own, &signer.public_key()).map_err(failed(&own))?;

        let mut visit = |_: &Logged, _: &Chain| {};
        let mut walk = Walk::new(&mut visit);
        let found = files(&disk, dir).map_err(failed(dir))?;
        for file in &found {
            walk_file(&disk, dir, file, &mut walk);
        }
        let stop = walk.stop.take();
        let (mut chain, mut bad) = (walk.chain.clone(), walk.bad.clone());
        let (mut at, mut torn, mut goes_on) = (walk.end, 0, true);
        if let Some(stop) = stop {
            // Of what nobody was promised a power cut may have left anything: neither a later frame nor a checkpoint knows
            // of it.
            if stop.synced.max(signed) < stop.chain.next() {
                (chain, bad, at, torn) = (stop.chain, stop.bad, stop.at, stop.octets);
            } else {
                goes_on = false;
            }
        }
        if chain.tree.size() < signed {
            let file = found.last().map_or(String::new(), |file| file.name.clone());
            let sequence = chain.next();
            bad.get_or_insert(Bad {
                sequence,
                up_to: signed,
                file,
                why: Why::Missing,
            });
            // A number that was signed is not given to another entry.
            chain.skip_to(signed + 1);
            goes_on = false;
        }
        if !goes_on && found.iter().any(|file| file.first == chain.next()) {
            // The damaged file stays, and so does its name.
            chain.skip_to(chain.next() + 1);
        }
        let report = Report {
            entries: chain.tree.size(),
            damage: bad,
            torn_octets: torn as u64,
            last: chain.last,
        };
        let newest = found.last().filter(|_| goes_on).map(|file| dir.join(&file.name));
        let segment = match newest {
            Some(path) => write_anew(&disk, &path, at).map_err(failed(&path))?,
            None => begin(&disk, dir, &chain)?,
        };
        disk.sync_dir(dir).map_err(failed(dir))?;
        let audit = Self {
            disk,
            dir: dir.to_path_buf(),
            signer,
            segment,
            synced: chain.clone(),
            chain,
            buffer: Vec::new(),
            scratch: Vec::new(),
            signed,
            is_broken: false,
        };
        Ok((audit, report))
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
            self.segment = begin(&self.disk, &self.dir, &self.chain)?;
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
        let Segment { file, path, at } = &mut self.segment;
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
        let name = publish(&self.disk, &self.dir.join(CHECKPOINTS_DIR), size, &note)?;
        self.signed = size;
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

/// Opens the newest file to go on behind `at`. All before it is written once more: of an fdatasync that failed in another
/// process nothing is known, and only octets that are written anew are synced by the next one.
fn write_anew<D: Disk>(disk: &D, path: &Path, at: usize) -> io::Result<Segment<D::File>> {
    let file = disk.open(path, Access::ReadWrite)?;
    let mut octets = vec![0; SEGMENT_LEN];
    file.read_at(octets.get_mut(..at).unwrap_or_default(), 0)?;
    file.write_at(&[IoSlice::new(&octets)], 0)?;
    file.sync_data()?;
    Ok(Segment {
        file,
        path: path.to_path_buf(),
        at,
    })
}

/// Makes the file for what comes next. It appears with its header or not at all.
fn begin<D: Disk>(disk: &D, dir: &Path, chain: &Chain) -> Result<Segment<D::File>, AuditError> {
    let header = Header {
        first: chain.next(),
        previous: chain.hash,
    };
    let path = frame::path(dir, header.first);
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let make = || {
        match disk.unlink(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&unfinished, 0o600, SEGMENT_LEN as u64)?;
        file.write_at(&[IoSlice::new(&header.encode())], 0)?;
        file.sync_all()?;
        disk.rename(&unfinished, &path)?;
        disk.sync_dir(dir)?;
        Ok(file)
    };
    let file = make().map_err(failed(&path))?;
    Ok(Segment {
        file,
        path,
        at: HEADER_LEN,
    })
}
