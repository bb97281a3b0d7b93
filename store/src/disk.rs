//! The seam between the store and a file system (design §3): [`RealDisk`] and its twin in memory,
//! [`FaultyDisk`], which forgets what was not synced and fails on command.
//!
//! Nothing in the store touches a file except through these two traits, so every promise about what
//! survives a power cut can be tested on one thread in microseconds.

use std::io::{self, IoSlice};
use std::path::Path;

mod contents;
mod faulty;
mod real;
mod state;

pub use faulty::{Counts, FaultyDisk, FaultyFile, Op};
pub use real::{RealDisk, RealFile};

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing in place.
    ReadWrite,
}

/// One regular file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File name without its directory. A file whose name is not UTF-8 is none of ours and not listed.
    pub name: String,
    /// Length in octets, preallocated ones included.
    pub len: u64,
    /// Octets that the file takes from the disk, which is what a budget counts.
    pub allocated: u64,
}

/// A file system, as much of it as the store needs.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes `dir` and what is missing above it (mode 0700) and syncs each parent, so that it is there
    /// after a power cut. Does nothing if it exists.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file of `allocate` octets, all zero, open for reading and writing; `mode` as in
    /// `open(2)`. The blocks are really reserved: a full disk says so now ([`is_full`]) and not at a
    /// later write, and leaves no file behind. Fails with `AlreadyExists` if the name is taken. Neither
    /// the name (until [`Disk::sync_dir`]) nor the length (until a sync) survives a power cut.
    fn create(&self, path: &Path, mode: u32, allocate: u64) -> io::Result<Self::File>;

    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;

    /// The regular files of a directory, sorted by name. A directory that is missing is empty.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Gives a file another name, replacing a file that has it. Not durable until [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name. Not durable until [`Disk::sync_dir`].
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// An error of the kind [`io::ErrorKind::ResourceBusy`] says that it could not even begin (no file descriptor is
    /// left, perhaps): nothing was lost, and it may be tried again. After any other nobody knows which names last.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Positions are explicit, so one handle serves several readers.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all parts one behind the other at `offset`, in one system call where the system takes it
    /// whole. After an error any of the octets may have been written.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Fills `buf` from `offset`; returns fewer octets only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// fdatasync: what was written, and the length, survive a power cut once this returned.
    ///
    /// After an error nothing is known about what was written since the last success, and a later
    /// success says nothing about it either: the system may have marked the octets clean. Give the file
    /// up (design §4).
    fn sync_data(&self) -> io::Result<()>;

    /// fsync: as [`DiskFile::sync_data`], with times and rights.
    fn sync_all(&self) -> io::Result<()>;

    /// Length in octets, preallocated ones included.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no octet.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros) to `len` octets. Not durable until a sync.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// Whether an error means that the disk, or the quota, is full. That is not a broken disk: intake is
/// answered 0x14 and resumes when there is space (design §4).
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests;
