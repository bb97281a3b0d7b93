//! Reading the log without changing it: is it what was written, and what was.

use std::io;
use std::path::{Path, PathBuf};

use super::Begun;
use super::age::{self, Anchor};
use super::entry::Logged;
use super::frame::{SEGMENT_LEN, first_of};
use super::note::{NOTE_MAX, PublicKey, SignedCheckpoint};
use super::seed::read_some;
use super::walk::{Bad, Chain, Walk, Why};
use crate::disk::Disk;

const SUFFIX: &str = ".checkpoint";
/// Checkpoints of a directory that are read at most, the newest.
const SERIES_MAX: usize = 100_000;
/// Stretches into which the way back to a checkpoint is divided.
const STRETCHES: u64 = 64;
/// Files that are tried for the newest checkpoint: others may have been put in front of it.
const NEWEST_TRIED_MAX: usize = 1_000;

/// How often the log may drop files while it is gone through, until that is not begun anew.
const AGEINGS_MAX: usize = 3;

/// The file of the checkpoint over so many entries.
pub(super) fn checkpoint_path(dir: &Path, size: u64) -> PathBuf {
    dir.join(format!("{size:020}{SUFFIX}"))
}

/// What can be said of a log's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// A checkpoint of a trusted place signs all up to this entry, and they are as they were. What was entered later may
    /// have been cut off; nobody can tell.
    Proven(u64),
    /// No checkpoint was given: entries at the end may have been cut off.
    CannotTell,
    /// The checkpoint is signed by the log's key, and all that it signs, up to this entry, has come to its end: ask with a newer one.
    Aged(u64),
    /// The checkpoint does not hold: not signed by the log's key, or signs what is not there.
    Refuted,
}

/// What is found of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries from the first on that came to their end by the rules: a signed anchor stands for them.
    pub aged: u64,
    /// The last entry's number.
    pub entries: u64,
    /// Files.
    pub segments: u64,
    /// Checkpoints, given and found beside the log, that hold.
    pub checkpoints: u64,
    /// Checkpoints found beside the log that are none, or not signed by its key.
    pub foreign: u64,
    /// The first entry that is not as it was written.
    pub first_bad: Option<Bad>,
    /// What can be said of the end.
    pub tail: Tail,
    /// Octets behind the last entry of a write that was cut off, or is going on.
    pub torn_octets: u64,
}

/// One file of the log.
pub(super) struct File {
    pub(super) name: String,
    pub(super) first: u64,
    len: u64,
}

/// The log's files in their order.
pub(super) fn files<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<File>> {
    let entries = disk.list(dir)?.into_iter();
    Ok(entries
        .filter_map(|entry| {
            Some(File {
                first: first_of(&entry.name)?,
                len: entry.len,
                name: entry.name,
            })
        })
        .collect())
}

/// Goes through one file. Of one that cannot be read nothing is known: it is noted, and the error comes back.
pub(super) fn walk_file<D: Disk>(
    disk: &D,
    dir: &Path,
    file: &File,
    walk: &mut Walk<'_>,
) -> io::Result<Vec<u8>> {
    let read = read_some(disk, &dir.join(&file.name), SEGMENT_LEN);
    let octets = match read.and_then(|octets| octets.ok_or_else(|| io::ErrorKind::NotFound.into())) {
        Ok(octets) => octets,
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::NotFound => Why::Missing,
                kind => Why::Unreadable(kind),
            };
            walk.unread(&file.name, why);
            return Err(error);
        }
    };
    walk.segment(&file.name, file.first, &octets);
    if file.len > SEGMENT_LEN as u64 {
        walk.bad(&file.name, Why::Behind);
    }
    Ok(octets)
}

/// Calls `visit` with each entry that is as it was written, in their order; says what is not.
///
/// # Errors
///
/// The directory cannot be read.
pub fn read<D: Disk>(disk: &D, dir: &Path, mut visit: impl FnMut(&Logged)) -> io::Result<Option<Bad>> {
    let mut each = |logged: &Logged, _: &Chain| visit(logged);
    let begun = Anchor::begun(age::anchor_if_whole(disk, dir)?.as_ref());
    let mut walk = Walk::from(begun.chain, None, &mut each);
    for file in files(disk, dir)?
        .into_iter()
        .filter(|file| file.first >= begun.first)
    {
        // It says itself what it could not read.
        let _ = walk_file(disk, dir, &file, &mut walk);
    }
    Ok(walk.bad)
}

/// The checkpoints that lie in a directory, the smallest first, those of `key` only; and how many others there are.
///
/// # Errors
///
/// The directory cannot be read.
pub fn checkpoints<D: Disk>(
    disk: &D,
    dir: &Path,
    key: &PublicKey,
) -> io::Result<(Vec<SignedCheckpoint>, u64)> {
    let mut names = disk.list(dir)?;
    names.retain(|entry| entry.name.ends_with(SUFFIX));
    let older = names.len().saturating_sub(SERIES_MAX);
    let (mut series, mut foreign) = (Vec::new(), 0);
    for entry in names.drain(older..) {
        let octets = read_some(disk, &dir.join(&entry.name), NOTE_MAX + 1)?.unwrap_or_default();
        let note = String::from_utf8(octets).ok().and_then(|text| text.parse().ok());
        match note.filter(|note: &SignedCheckpoint| note.is_signed_by(key)) {
            Some(note) => series.push(note),
            None => foreign += 1,
        }
    }
    series.sort_by_key(|note| note.checkpoint.size);
    Ok((series, foreign))
}

/// The size of the newest checkpoint in a directory that `key` signed; `None` where none of those that lie there is, and 0
/// where none lies there. One signature is checked, unless others lie in front of it. One that cannot be read is passed
/// over with `is_past` only.
pub(super) fn newest<D: Disk>(
    disk: &D,
    dir: &Path,
    key: &PublicKey,
    is_past: bool,
) -> io::Result<Option<u64>> {
    let mut names = disk.list(dir)?;
    names.retain(|entry| entry.name.ends_with(SUFFIX));
    for entry in names.iter().rev().take(NEWEST_TRIED_MAX) {
        let octets = match read_some(disk, &dir.join(&entry.name), NOTE_MAX + 1) {
            Err(_) if is_past => continue,
            read => read?.unwrap_or_default(),
        };
        let note = String::from_utf8(octets).ok().and_then(|text| text.parse().ok());
        if let Some(note) = note.filter(|note: &SignedCheckpoint| note.is_signed_by(key)) {
            return Ok(Some(note.checkpoint.size));
        }
    }
    Ok(names.is_empty().then_some(0))
}

/// Removes checkpoints that others stand in for: the further back, the fewer are left, so that there are never more than
/// some thousands. Kept are the first, all of the last entries, and of older ones the last in each stretch of a sixty-fourth
/// of how far it lies back. Says how many went.
pub(super) fn thin_out<D: Disk>(disk: &D, dir: &Path) -> io::Result<usize> {
    let size_of = |name: &str| name.strip_suffix(SUFFIX)?.parse::<u64>().ok();
    let entries = disk.list(dir)?;
    let sizes: Vec<u64> = entries.iter().filter_map(|entry| size_of(&entry.name)).collect();
    let Some(newest) = sizes.last().copied() else {
        return Ok(0);
    };
    let mut gone = 0;
    for pair in sizes.windows(2).skip(1) {
        let [size, next] = *pair else { continue };
        // Stretches are powers of two, so that those of today are whole in those of later.
        let stretch = ((newest - size) / STRETCHES).checked_ilog2().unwrap_or(0);
        if size >> stretch == next >> stretch {
            disk.unlink(&checkpoint_path(dir, size))?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Checks the log in `dir` from its first entry to its last, against one checkpoint from a trusted place if there is
/// one, and against those that lie in `beside`: they can be swept away together with what they sign, so they prove
/// nothing, but while they are there they narrow down where a log leaves what was signed.
///
/// Changes nothing, and may run beside a gateway.
///
/// # Errors
///
/// A directory cannot be read.
pub fn verify<D: Disk>(
    disk: &D,
    dir: &Path,
    beside: &[&Path],
    against: Option<&SignedCheckpoint>,
    key: &PublicKey,
) -> io::Result<Verdict> {
    let mut anchor = age::anchor_if_whole(disk, dir)?;
    for _ in 0..AGEINGS_MAX {
        let verdict = verify_from(disk, dir, beside, (against, key), anchor.clone())?;
        // Files that went meanwhile are no damage.
        let now = age::anchor_if_whole(disk, dir)?;
        let size_of = |anchor: &Option<Anchor>| anchor.as_ref().map_or(0, Anchor::size);
        if size_of(&now) == size_of(&anchor) {
            return Ok(verdict);
        }
        anchor = now;
    }
    verify_from(disk, dir, beside, (against, key), anchor)
}

fn verify_from<D: Disk>(
    disk: &D,
    dir: &Path,
    beside: &[&Path],
    (against, key): (Option<&SignedCheckpoint>, &PublicKey),
    anchor: Option<Anchor>,
) -> io::Result<Verdict> {
    let (mut series, mut foreign) = (Vec::new(), 0);
    for beside in beside {
        let (found, others) = checkpoints(disk, beside, key)?;
        series.extend(found);
        foreign += others;
    }
    let signed = against.filter(|against| against.is_signed_by(key));
    series.extend(signed.cloned());
    series.sort_by_key(|note| note.checkpoint.size);

    // Files first, and then only what was there: a gateway may go on writing.
    let Begun { first, chain, .. } = Anchor::begun(anchor.as_ref());
    let mut files = files(disk, dir)?;
    files.retain(|file| file.first >= first);
    let mut compared = Compared::default();
    compared.with(&series, &chain);
    let mut each = |_: &Logged, chain: &Chain| compared.with(&series, chain);
    let mut walk = Walk::from(chain, None, &mut each);
    if let Some(anchor) = anchor.as_ref().filter(|anchor| !anchor.is_signed_by(key)) {
        walk.bad = Some(Bad {
            sequence: 1,
            up_to: anchor.size(),
            file: age::FILE.to_owned(),
            why: Why::Forked,
        });
    }
    let aged = anchor.map_or(0, |anchor| anchor.size());
    for file in &files {
        // It says itself what it could not read.
        let _ = walk_file(disk, dir, file, &mut walk);
    }
    let (chain, torn, mut first_bad) = (walk.chain.clone(), walk.torn, walk.bad.clone());
    compared.with(&series, &chain);

    let name_of = |sequence: u64| {
        let before = files.iter().rev().find(|file| file.first <= sequence);
        before
            .or(files.first())
            .map_or(String::new(), |file| file.name.clone())
    };
    let entries = chain.tree.size();
    let unmet = series.get(compared.next..).unwrap_or_default();
    // The first that does not hold, be it that the log ends before it.
    let refuting = compared
        .refuting
        .or(unmet.first().map(|note| note.checkpoint.size));
    if let Some(size) = refuting {
        let from = if size > entries { entries } else { compared.held };
        let why = if size > entries { Why::Missing } else { Why::Forked };
        let is_earlier = first_bad.as_ref().is_none_or(|bad| size < bad.sequence);
        if is_earlier {
            let sequence = from + 1;
            first_bad = Some(Bad {
                sequence,
                up_to: size,
                file: name_of(sequence),
                why,
            });
        }
    }
    let tail = match (against, signed) {
        (None, _) => Tail::CannotTell,
        (Some(_), None) => Tail::Refuted,
        (Some(_), Some(note)) => {
            let size = note.checkpoint.size;
            let is_refuted = refuting.is_some_and(|refuting| refuting <= size)
                || first_bad.as_ref().is_some_and(|bad| bad.sequence <= size);
            if is_refuted {
                Tail::Refuted
            } else if size <= aged {
                Tail::Aged(size)
            } else {
                Tail::Proven(size)
            }
        }
    };
    Ok(Verdict {
        aged,
        entries,
        segments: files.len() as u64,
        checkpoints: compared.count,
        foreign,
        first_bad,
        tail,
        torn_octets: torn as u64,
    })
}

/// Checkpoints beside the log as it goes by.
#[derive(Default)]
struct Compared {
    /// The first of the series that was not met yet.
    next: usize,
    count: u64,
    /// The size of the last that held before one did not.
    held: u64,
    /// The size of the first that did not.
    refuting: Option<u64>,
}

impl Compared {
    fn with(&mut self, series: &[SignedCheckpoint], chain: &Chain) {
        let size = chain.tree.size();
        while let Some(note) = series.get(self.next) {
            let note = &note.checkpoint;
            if note.size > size {
                return;
            }
            // Of a size that was passed over, in a gap or as an entry that could not be read, nothing can be said.
            if note.size == size && self.refuting.is_none() {
                if note.root == chain.tree.root() {
                    (self.held, self.count) = (size, self.count + 1);
                } else {
                    self.refuting = Some(size);
                }
            }
            self.next += 1;
        }
    }
}
