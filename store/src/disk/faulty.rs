//! A disk in memory that forgets what was not synced and fails on command.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_core::Rng;
use rustix::io::Errno;

use super::contents::{Contents, coin};
use super::state::{Fault, NameChange, Node, Power, State, Step};
use super::{Access, Disk, DiskFile, Entry};

/// A kind of operation, to make it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::write_at`]; when it fails, the first half has been written.
    Write,
    /// [`DiskFile::sync_data`] and [`DiskFile::sync_all`]; when it fails, what was dirty is marked
    /// clean, as Linux does: readers see it, no later sync makes it durable.
    Sync,
    /// [`DiskFile::truncate`].
    Truncate,
    /// [`Disk::create`].
    Create,
    /// [`Disk::open`].
    Open,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::unlink`].
    Unlink,
    /// [`Disk::sync_dir`].
    SyncDir,
}

/// How often the disk was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `write_at`.
    pub writes: u64,
    /// Octets given to them.
    pub octets: u64,
    /// Calls of `sync_data` and `sync_all`.
    pub syncs: u64,
    /// Calls of `sync_dir`.
    pub dir_syncs: u64,
    /// Everything that changes the disk: the measure of [`FaultyDisk::cut_power_after`].
    pub changes: u64,
}

/// A disk in memory for tests; clones share it.
///
/// What is written is seen at once and durable only after a sync; names likewise, after
/// [`Disk::sync_dir`]. Directories are durable at once. [`FaultyDisk::crash`] gives the disk as it would
/// be found after a power cut and leaves this one as it is.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

/// An open file of it.
pub struct FaultyFile {
    disk: FaultyDisk,
    node: u64,
    path: PathBuf,
    access: Access,
}

impl FaultyDisk {
    /// An empty disk without limit. `/` and the empty path exist, other directories must be made.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk of `capacity` octets, counted in blocks of 4 096.
    pub fn with_capacity(capacity: u64) -> Self {
        let disk = Self::new();
        disk.set_capacity(Some(capacity));
        disk
    }

    /// Changes the limit: a disk that fills up or gets space again. Below what is used, every write
    /// that needs a block fails.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Octets taken, in whole blocks, by files that have a name or are open.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// The next `n` operations of this kind fail.
    pub fn fail_next(&self, op: Op, n: u64, kind: io::ErrorKind) {
        self.fail_on(op, "", 0, n, kind);
    }

    /// Of the operations of this kind on paths that contain `path_part`, `skip` succeed, then `n` fail.
    pub fn fail_on(&self, op: Op, path_part: &str, skip: u64, n: u64, kind: io::ErrorKind) {
        self.state().faults.push(Fault {
            op,
            path_part: path_part.to_owned(),
            skip,
            times: n,
            kind,
        });
    }

    /// Forgets every fault not yet used up.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Lets `changes` more changing operations happen; the power goes while the next one runs and
    /// everything fails from then on. Counting up from 0 visits every point at which a procedure can be
    /// cut; take [`FaultyDisk::crash`] or [`FaultyDisk::crash_with`] and start from there.
    pub fn cut_power_after(&self, changes: u64) {
        self.state().power = Power::Left(changes);
    }

    /// How often the disk was asked since it was made.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// The disk after a power cut that kept nothing unsynced. Faults are gone, the capacity stays.
    pub fn crash(&self) -> Self {
        let state = self.state();
        let found = state.found(state.kept_names.clone(), Contents::after_cut);
        Self(Arc::new(Mutex::new(found)))
    }

    /// The disk after a power cut by chance: of what was not synced, each sector of 512 octets and each
    /// change of a name survives or not, so writes are torn. Changes of one name survive in order.
    pub fn crash_with(&self, rng: &mut impl Rng) -> Self {
        let state = self.state();
        let mut names = state.kept_names.clone();
        let mut dropped: Vec<&NameChange> = Vec::new();
        for change in &state.pending {
            let depends = |other: &&NameChange| {
                other
                    .touches()
                    .any(|path| change.touches().any(|own| own == path))
            };
            if !dropped.iter().any(depends) && coin(rng) {
                change.apply(&mut names);
            } else {
                dropped.push(change);
            }
        }
        let found = state.found(names, |contents| contents.after_cut_with(rng));
        Self(Arc::new(Mutex::new(found)))
    }

    /// What a reader sees in a file; `None` if there is none.
    pub fn octets(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let octets = state.nodes.get(state.names.get(path)?)?.contents.seen();
        let mut all = vec![0; usize::try_from(octets.len()).ok()?];
        octets.read(0, &mut all);
        Some(all)
    }

    /// All files, by path.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Changes octets of a file behind everyone's back, on the disk and in the cache; whether it exists.
    pub fn damage(&self, path: &Path, offset: u64, octets: &[u8]) -> bool {
        let mut state = self.state();
        let node = state.names.get(path).copied();
        match node.and_then(|node| state.nodes.get_mut(&node)) {
            Some(node) => {
                node.contents.damage(offset, octets);
                true
            }
            None => false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.power_is_on()?;
        state.dirs.extend(dir.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn create(&self, path: &Path, _mode: u32, allocate: u64) -> io::Result<FaultyFile> {
        let mut state = self.state();
        let step = state.step(Op::Create, path)?;
        if let Step::Fault(error) = step {
            return Err(error);
        }
        state.parent_exists(path)?;
        if state.names.contains_key(path) || state.dirs.contains(path) {
            return Err(Errno::EXIST.into());
        }
        let node = state.next_node;
        state.next_node += 1;
        state.nodes.insert(node, Node::default());
        if state.charge(node, allocate)? < allocate {
            state.release();
            return Err(Errno::NOSPC.into());
        }
        let file = state.node(node)?;
        file.contents.set_len(allocate);
        file.handles = 1;
        state.change(NameChange {
            remove: None,
            insert: Some((path.to_path_buf(), node)),
        });
        drop(state);
        let file = FaultyFile {
            disk: self.clone(),
            node,
            path: path.to_path_buf(),
            access: Access::ReadWrite,
        };
        if let Step::Cut(error) = step {
            Err(error)
        } else {
            Ok(file)
        }
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<FaultyFile> {
        let mut state = self.state();
        if let Step::Fault(error) | Step::Cut(error) = state.step(Op::Open, path)? {
            return Err(error);
        }
        let node = *state.names.get(path).ok_or(Errno::NOENT)?;
        state.node(node)?.handles += 1;
        drop(state);
        Ok(FaultyFile {
            disk: self.clone(),
            node,
            path: path.to_path_buf(),
            access,
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.power_is_on()?;
        let mut entries = Vec::new();
        for (path, number) in &state.names {
            let name = path.file_name().and_then(|name| name.to_str());
            if let (true, Some(name), Some(node)) =
                (path.parent() == Some(dir), name, state.nodes.get(number))
            {
                entries.push(Entry {
                    name: name.to_owned(),
                    len: node.contents.seen().len(),
                    allocated: node.charged,
                });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let step = state.step(Op::Rename, from)?;
        if let Step::Fault(error) = step {
            return Err(error);
        }
        state.parent_exists(to)?;
        let node = *state.names.get(from).ok_or(Errno::NOENT)?;
        if from != to {
            state.change(NameChange {
                remove: Some(from.to_path_buf()),
                insert: Some((to.to_path_buf(), node)),
            });
        }
        if let Step::Cut(error) = step {
            Err(error)
        } else {
            Ok(())
        }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let step = state.step(Op::Unlink, path)?;
        if let Step::Fault(error) = step {
            return Err(error);
        }
        if !state.names.contains_key(path) {
            return Err(Errno::NOENT.into());
        }
        state.change(NameChange {
            remove: Some(path.to_path_buf()),
            insert: None,
        });
        if let Step::Cut(error) = step {
            Err(error)
        } else {
            Ok(())
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Step::Fault(error) | Step::Cut(error) = state.step(Op::SyncDir, dir)? {
            return Err(error);
        }
        // A rename between directories is durable with either.
        let here = |change: &NameChange| change.touches().any(|path| path.parent() == Some(dir));
        let pending = std::mem::take(&mut state.pending);
        let (durable, pending): (Vec<_>, _) = pending.into_iter().partition(here);
        state.pending = pending;
        for change in durable {
            change.apply(&mut state.kept_names);
        }
        state.release();
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step(Op::Write, &self.path)?;
        if self.access == Access::Read {
            return Err(Errno::BADF.into());
        }
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        state.counts.octets += total;
        let wanted = if matches!(step, Step::Fault(_)) {
            total / 2
        } else {
            total
        };
        let granted = match wanted {
            0 => 0,
            _ => state
                .charge(self.node, offset + wanted)?
                .saturating_sub(offset)
                .min(wanted),
        };
        let mut at = offset;
        for part in parts {
            let room = usize::try_from(offset + granted - at).unwrap_or(usize::MAX);
            let part = &part[..part.len().min(room)];
            if !part.is_empty() {
                state.node(self.node)?.contents.write(at, part);
            }
            at += part.len() as u64;
        }
        match step {
            Step::Fault(error) | Step::Cut(error) => Err(error),
            Step::Go if granted < wanted => Err(Errno::NOSPC.into()),
            Step::Go => Ok(()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if let Step::Fault(error) | Step::Cut(error) = state.step(Op::Read, &self.path)? {
            return Err(error);
        }
        Ok(state.node(self.node)?.contents.seen().read(offset, buf))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step(Op::Sync, &self.path)?;
        let contents = &mut state.node(self.node)?.contents;
        match step {
            Step::Go => {
                contents.sync();
                Ok(())
            }
            Step::Fault(error) => {
                contents.lose();
                Err(error)
            }
            Step::Cut(error) => Err(error),
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.power_is_on()?;
        Ok(state.node(self.node)?.contents.seen().len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step(Op::Truncate, &self.path)?;
        if let Step::Fault(error) = step {
            return Err(error);
        }
        if self.access == Access::Read {
            return Err(Errno::BADF.into());
        }
        state.node(self.node)?.contents.set_len(len);
        state.refund(self.node, len);
        if let Step::Cut(error) = step {
            Err(error)
        } else {
            Ok(())
        }
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Some(node) = state.nodes.get_mut(&self.node) {
            node.handles -= 1;
        }
        state.release();
    }
}
