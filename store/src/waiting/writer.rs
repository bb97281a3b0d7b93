//! Writes a run from beginning to end: records that come in the order of their hashes.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::seal::KeyId;

use super::format::{HASH_KEY_LEN, HEADER_LEN, Header, Line, records_at, table_at};
use super::prints::{Prints, PrintsBuilder};

/// Octets of table or records that are held back before they are written.
const FLUSH_AT: usize = 256 << 10;

/// Octets of records after which a long run is synced, and not only at its end.
const SYNC_AT: u64 = 4 << 20;

/// What a run's header says that its writer does not know.
pub(crate) struct Title {
    pub(crate) node: u8,
    pub(crate) hour: u32,
    pub(crate) number: u64,
    pub(crate) key: KeyId,
    pub(crate) hash_key: [u8; HASH_KEY_LEN],
    pub(crate) replaces: Vec<u64>,
}

/// See the [module](self).
pub(crate) struct RunWriter<D: Disk> {
    file: D::File,
    path: PathBuf,
    room: u32,
    count: u32,
    prints: PrintsBuilder,
    table: Vec<u8>,
    table_len: u64,
    records: Vec<u8>,
    records_len: u64,
    /// Octets of records that were synced.
    synced_len: u64,
}

impl<D: Disk> RunWriter<D> {
    /// Begins a run of at most `room` records of at most `octets` together, for which the disk has space from
    /// here on. What an earlier try left under the name goes.
    pub(crate) fn begin(disk: &D, path: PathBuf, room: u32, octets: u64) -> io::Result<Self> {
        let allocate = records_at(room) + octets + (Prints::len_for(room, room) + HEADER_LEN) as u64;
        let file = match disk.create(&path, 0o600, allocate) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.unlink(&path)?;
                disk.create(&path, 0o600, allocate)?
            }
            made => made?,
        };
        Ok(Self {
            file,
            path,
            room,
            count: 0,
            prints: PrintsBuilder::new(room),
            table: Vec::new(),
            table_len: 0,
            records: Vec::new(),
            records_len: 0,
            synced_len: 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record; what is beyond the room is an error.
    pub(crate) fn push(&mut self, hash: u64, record: &[u8]) -> io::Result<()> {
        if self.count >= self.room {
            return Err(io::Error::other("a run holds no more records"));
        }
        let line = Line {
            hash,
            offset: self.records_len + self.records.len() as u64,
            len: u16::try_from(record.len()).map_err(io::Error::other)?,
        };
        self.table.extend_from_slice(&line.octets());
        self.records.extend_from_slice(record);
        self.prints.push(hash);
        self.count += 1;
        if self.table.len() >= FLUSH_AT || self.records.len() >= FLUSH_AT {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let at = table_at(self.room) + self.table_len;
        self.file.write_at(&[IoSlice::new(&self.table)], at)?;
        self.table_len += self.table.len() as u64;
        self.table.clear();
        let at = records_at(self.room) + self.records_len;
        self.file.write_at(&[IoSlice::new(&self.records)], at)?;
        self.records_len += self.records.len() as u64;
        self.records.clear();
        Ok(())
    }

    /// Syncs what is written if that is much, so that no sync takes long.
    pub(crate) fn sync_some(&mut self) -> io::Result<()> {
        if self.records_len - self.synced_len < SYNC_AT {
            return Ok(());
        }
        self.synced_len = self.records_len;
        self.file.sync_data()
    }

    /// Writes what is left and syncs the file; its name is the caller's business.
    pub(crate) fn finish(mut self, title: Title) -> io::Result<(Header, Prints, D::File)> {
        self.flush()?;
        let prints = self.prints.finish();
        let octets = prints.octets();
        let header = Header {
            node: title.node,
            hour: title.hour,
            number: title.number,
            count: self.count,
            room: self.room,
            key: title.key,
            hash_key: title.hash_key,
            records_len: self.records_len,
            prints_crc: crc32fast::hash(&octets),
            replaces: title.replaces,
        };
        let head = header.octets();
        let tail = [IoSlice::new(&octets), IoSlice::new(&head)];
        self.file.write_at(&tail, header.prints_at())?;
        self.file.write_at(&[IoSlice::new(&head)], 0)?;
        let len = header.prints_at() + (octets.len() + HEADER_LEN) as u64;
        self.file.truncate(len)?;
        self.file.sync_all()?;
        Ok((header, prints, self.file))
    }
}
