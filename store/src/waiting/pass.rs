//! The end of an hour: what is left comes back in bunches, then the files and their key go.

use std::io;

use crate::disk::Disk;
use crate::keyring::{KeyRing, KeyRingError};
use crate::record::RecordError;
use crate::seal::Purpose;

use super::files::{Files, Hour};
use super::format::file_name;
use super::{At, FoundLeg, PASS_MAX, PASS_OCTETS_MAX, TRIES_MAX};

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
    /// The next legs of an hour that have not ended. A file that cannot be read now stops it; it goes on there, and
    /// behind it once that was tried often enough. One that cannot be opened now holds it up, one that is gone does not.
    pub(crate) fn pass(&mut self, hour: u32) -> io::Result<Bunch> {
        if self.merge.as_ref().is_some_and(|merge| merge.hour == hour) {
            let merge = self.merge.take();
            self.abandon(merge);
        }
        let (mut legs, mut bad, mut octets) = (Vec::new(), 0, 0);
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
            if legs.len() + bad == PASS_MAX || octets >= PASS_OCTETS_MAX {
                found.next = at;
                return Ok(Bunch { legs, is_last: false });
            }
            let next = At {
                run: at.run,
                rank: rank + 1,
            };
            let opened = match self.file(hour, at.run) {
                // Somebody has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.run_is_gone(hour, at);
                    continue;
                }
                opened => opened,
            };
            // What was found before goes first; the next try says again what is wrong here.
            if opened.is_err() && !legs.is_empty() {
                return Ok(Bunch { legs, is_last: false });
            }
            opened?;
            let read = self.leg(hour, at, Purpose::Dlr);
            let Some(found) = self.hours.get_mut(&hour) else {
                continue;
            };
            match read {
                Ok(leg) => {
                    found.failed = 0;
                    octets += leg.body.0.len();
                    legs.push(leg);
                }
                Err(RecordError::Io(_)) if !legs.is_empty() => return Ok(Bunch { legs, is_last: false }),
                Err(RecordError::Io(kind)) if found.failed + 1 < TRIES_MAX => {
                    found.failed += 1;
                    return Err(kind.into());
                }
                Err(error) => {
                    if matches!(error, RecordError::Io(_)) {
                        found.given_up.get_or_insert(at);
                    }
                    found.unreadable += 1;
                    self.damaged += 1;
                    if bad == 0 {
                        let At { run, rank } = at;
                        tracing::error!(hour, run, rank, %error, "a waiting record, and perhaps more, cannot be read");
                    }
                    bad += 1;
                }
            }
            if let Some(found) = self.hours.get_mut(&hour) {
                found.next = next;
            }
        }
    }

    /// The file of a run is not there any more.
    fn run_is_gone(&mut self, hour: u32, at: At) {
        let Some(found) = self.hours.get_mut(&hour) else {
            return;
        };
        let (mut first, mut lost) = (at.rank, 0);
        if let Some(run) = found.runs.get(&at.run) {
            while first < run.header.count {
                lost += u64::from(!run.done.is_done(first));
                first += 1;
            }
        }
        found.unreadable += lost;
        found.next = At {
            run: at.run + 1,
            rank: 0,
        };
        self.damaged += lost;
        tracing::error!(hour, run = at.run, lost, "a waiting file is gone");
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
            found.rewind();
            return Ok(false);
        }
        // Perhaps the disk was away for a while only: then nothing is given up.
        if let Some(at) = found.given_up
            && self.leg(hour, at, Purpose::Dlr).is_ok()
        {
            self.hours.get_mut(&hour).into_iter().for_each(Hour::rewind);
            return Ok(false);
        }
        let Some(found) = self.hours.get(&hour) else {
            return Ok(true);
        };
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
        self.unsynced.retain(|(of, _)| *of != hour);
        Ok(true)
    }
}
