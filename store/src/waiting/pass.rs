//! The end of an hour: what is left comes back in bunches, then the files and their key go.

use std::io;

use crate::disk::Disk;
use crate::keyring::{KeyRing, KeyRingError};
use crate::record::RecordError;
use crate::seal::Purpose;

use super::files::Files;
use super::format::file_name;
use super::{At, FoundLeg, PASS_MAX};

/// A bunch of legs of an hour that is over.
#[derive(Debug)]
pub(crate) struct Bunch {
    pub(crate) legs: Vec<FoundLeg>,
    /// Whether these were the last.
    pub(crate) is_last: bool,
}

/// Why files could not be taken away.
#[derive(Debug)]
pub(crate) enum DropFailed {
    Io(io::Error),
    Ring(KeyRingError),
}

impl<D: Disk> Files<D> {
    /// The next legs of an hour that have not ended. A file that cannot be read now stops it; it goes on there.
    pub(crate) fn pass(&mut self, hour: u32) -> io::Result<Bunch> {
        if self.merge.as_ref().is_some_and(|merge| merge.hour == hour) {
            let merge = self.merge.take();
            self.abandon(merge);
        }
        let mut legs = Vec::new();
        loop {
            let Some(found) = self.hours.get_mut(&hour) else {
                return Ok(Bunch { legs, is_last: true });
            };
            let Some((number, run)) = found.runs.range(found.next.run..).next() else {
                return Ok(Bunch { legs, is_last: true });
            };
            let first = if *number == found.next.run {
                found.next.rank
            } else {
                0
            };
            let rank = (first..run.header.count).find(|rank| !run.done.is_done(*rank));
            let Some(rank) = rank else {
                found.next = At {
                    run: number + 1,
                    rank: 0,
                };
                continue;
            };
            let at = At { run: *number, rank };
            if legs.len() == PASS_MAX {
                found.next = at;
                return Ok(Bunch { legs, is_last: false });
            }
            let next = At {
                run: at.run,
                rank: rank + 1,
            };
            match self.leg(hour, at, Purpose::Dlr) {
                Ok(leg) => legs.push(leg),
                Err(RecordError::Io(kind)) if legs.is_empty() => return Err(kind.into()),
                Err(RecordError::Io(_)) => return Ok(Bunch { legs, is_last: false }),
                Err(error) => {
                    self.unreadable(hour, at, error);
                    if let Some(found) = self.hours.get_mut(&hour) {
                        found.unreadable += 1;
                    }
                }
            }
            if let Some(found) = self.hours.get_mut(&hour) {
                found.next = next;
            }
        }
    }

    /// Takes an hour away, files first, then the key; false when legs of it have not ended after all: then the
    /// pass begins anew.
    pub(crate) fn drop_hour(&mut self, hour: u32, ring: &mut KeyRing<D>) -> Result<bool, DropFailed> {
        let Some(found) = self.hours.get_mut(&hour) else {
            return Ok(true);
        };
        let left: u64 = found
            .runs
            .values()
            .map(|run| u64::from(run.header.count.saturating_sub(run.done.count())))
            .sum();
        if left != found.unreadable {
            found.next = At { run: 0, rank: 0 };
            found.unreadable = 0;
            return Ok(false);
        }
        let key = found.key.id();
        self.clear_remains().map_err(DropFailed::Io)?;
        let Some(found) = self.hours.get(&hour) else {
            return Ok(true);
        };
        let names: Vec<(u64, String)> = found
            .runs
            .iter()
            .map(|(number, run)| (*number, file_name(hour, *number, run.form)))
            .collect();
        for (number, name) in names {
            self.close(number);
            match self.disk.unlink(&self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DropFailed::Io(error)),
                Ok(()) | Err(_) => {}
            }
        }
        self.sync_dir().map_err(DropFailed::Io)?;
        // A file of the hour that was set aside may need it.
        if !self.aside.contains(&hour) {
            ring.destroy(key).map_err(DropFailed::Ring)?;
        }
        self.hours.remove(&hour);
        Ok(true)
    }
}
