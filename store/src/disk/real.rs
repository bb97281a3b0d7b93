//! The disk of the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::{Access, Disk, DiskFile, Entry};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// An open file of it.
#[derive(Debug)]
pub struct RealFile(File);

/// Zeros written at a time where the file system cannot reserve blocks.
const ZEROS: usize = 64 * 1024;

impl Disk for RealDisk {
    type File = RealFile;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent();
        if let Some(parent) = parent {
            self.create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            // Another process was quicker; if it is no directory, the next use says so.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        parent.map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn create(&self, path: &Path, mode: u32, allocate: u64) -> io::Result<RealFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        if let Err(error) = reserve(&file, allocate) {
            // The caller must not find a half-reserved file at the next start. The first error counts.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(RealFile(file))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<RealFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .open(path)?;
        Ok(RealFile(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let found = match fs::read_dir(dir) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry?;
            let data = match entry.metadata() {
                Ok(data) => data,
                // Unlinked since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let (true, Ok(name)) = (data.is_file(), entry.file_name().into_string()) {
                entries.push(Entry {
                    name,
                    len: data.len(),
                    allocated: data.blocks() * 512,
                });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // The parent of a relative name with one part is "".
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        let not_begun = |error| io::Error::new(io::ErrorKind::ResourceBusy, error);
        File::open(dir).map_err(not_begun)?.sync_all()
    }
}

/// Takes the blocks from the disk now, so that no write inside `len` can meet a full disk later.
fn reserve(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < len {
        let piece = usize::try_from(len - at).map_or(ZEROS, |left| left.min(ZEROS));
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

impl DiskFile for RealFile {
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut done = write_some(&self.0, parts, offset)?;
        while done < total {
            // Rare: a signal, more parts than one call takes, or the disk is nearly full.
            let mut skip = done;
            let mut rest = Vec::with_capacity(parts.len());
            for part in parts {
                let from = skip.min(part.len());
                skip -= from;
                if from < part.len() {
                    rest.push(IoSlice::new(&part[from..]));
                }
            }
            match write_some(&self.0, &rest, offset + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                more => done += more,
            }
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.0)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// One pwritev; how many octets it took.
fn write_some(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    loop {
        match rustix::io::pwritev(file, parts, offset) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_file_has_its_mode_and_its_blocks() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("kek");
        RealDisk.create(&path, 0o600, 1 << 20).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(RealDisk.list(root.path()).unwrap()[0].allocated >= 1 << 20);
    }

    #[test]
    fn a_file_too_large_for_the_disk_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        // More than any file system holds: ENOSPC or EFBIG, by file system.
        let error = RealDisk.create(&root.path().join("huge"), 0o600, 1 << 60);
        assert!(error.is_err());
        assert_eq!(RealDisk.list(root.path()).unwrap(), []);
    }
}
