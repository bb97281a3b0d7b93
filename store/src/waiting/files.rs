//! The waiting files as the keeper has them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::disk::{Access, Disk};
use crate::keyring::{KeyRing, KeyRingError, Owner};
use crate::record::RecordError;
use crate::seal::SealKey;

use super::done::Done;
use super::format::{self, Form, HASH_KEY_LEN, Header, file_name};
use super::merge::Merge;
use super::{At, HashKey, Mark, Prints, RunDone, RunInfo, TRIES_MAX};

/// Files that are kept open at most.
const OPEN_MAX: usize = 256;

/// A run that exists.
pub(crate) struct Run {
    pub(crate) header: Header,
    pub(crate) prints: Arc<Prints>,
    pub(crate) done: Done,
    pub(crate) form: Form,
    pub(crate) octets: u64,
}

/// All runs of an hour.
pub(crate) struct Hour {
    pub(crate) key: Arc<SealKey>,
    pub(crate) hash_key: HashKey,
    pub(crate) sealed_hash_key: [u8; HASH_KEY_LEN],
    pub(crate) runs: BTreeMap<u64, Run>,
    /// Where the pass over the hour, once it is over, goes on.
    pub(crate) next: At,
    /// Records that this pass could not read.
    pub(crate) unreadable: u64,
    /// How often in a row nothing could be read.
    pub(crate) failed: u32,
    /// The first record that was given up because the disk did not give it.
    pub(crate) given_up: Option<At>,
}

impl Hour {
    /// An hour without runs.
    pub(crate) const fn new(
        key: Arc<SealKey>,
        hash_key: HashKey,
        sealed_hash_key: [u8; HASH_KEY_LEN],
    ) -> Self {
        Self {
            key,
            hash_key,
            sealed_hash_key,
            runs: BTreeMap::new(),
            next: At { run: 0, rank: 0 },
            unreadable: 0,
            failed: 0,
            given_up: None,
        }
    }

    /// The pass begins anew.
    pub(crate) const fn rewind(&mut self) {
        self.next = At { run: 0, rank: 0 };
        (self.unreadable, self.failed) = (0, 0);
        self.given_up = None;
    }
}

/// See the [module](self).
pub(crate) struct Files<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) node: u8,
    /// Whose the keys are: legs that wait for their receipt, or entries.
    pub(crate) owner: Owner,
    pub(crate) hours: BTreeMap<u32, Hour>,
    pub(crate) merge: Option<Merge<D>>,
    pub(crate) next_run: u64,
    pub(crate) open: HashMap<u64, Arc<D::File>>,
    /// Files of runs that others stand for.
    pub(crate) remains: Vec<String>,
    /// Runs with marks that are not synced.
    pub(crate) unsynced: BTreeSet<(u32, u64)>,
    /// How often in a row a mark could not be placed because a record could not be read.
    pub(crate) lost_marks: u32,
    /// What could not be read since it was last asked for.
    pub(crate) damaged: u64,
    /// Runs that were being moved and whose header cannot be read.
    pub(crate) torn: Vec<(u32, u64)>,
    /// Hours of files that were set aside.
    pub(crate) aside: HashSet<u32>,
    /// Of those whose header can be, what else cannot: damage only if the spool says that they were synced.
    pub(crate) in_doubt: HashMap<u64, u64>,
    /// A sync of the directory failed: nobody knows which names are there, so none changes any more; and no mark
    /// either, for it could be in a run that the next start takes away.
    pub(crate) stuck: bool,
    /// A sync of the directory could not even begin: names may be other than they are on disk.
    pub(crate) is_behind: bool,
}

impl<D: Disk> Files<D> {
    // ===== marking =====

    /// Marks entries done and syncs that, run by run: one that takes no writes holds up no other. Says how much of each
    /// is done, and which failed and why.
    pub(crate) fn mark_entries(&mut self, marks: &[Mark]) -> (Vec<RunDone>, Vec<(u64, io::Error)>) {
        let mut touched = BTreeSet::new();
        for mark in marks {
            let hour = mark.place.hour;
            let Some(at) = mark.place.at else { continue };
            if let Some(run) = self.run_mut(hour, at.run) {
                run.done.mark(at.rank);
                touched.insert((hour, at.run));
            }
        }
        touched.extend(std::mem::take(&mut self.unsynced));
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (hour, number) in touched {
            if self.run(hour, number).is_none() {
                continue;
            }
            match self.flush(hour, number) {
                // Somebody has removed the file: nothing of it comes back.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.unsynced.insert((hour, number));
                    failed.push((number, error));
                }
                Ok(()) | Err(_) => {
                    let count = self.run(hour, number).map_or(0, |run| run.done.count());
                    done.push(RunDone {
                        hour,
                        number,
                        done: count,
                    });
                }
            }
        }
        (done, failed)
    }

    /// Marks legs done and syncs that; says of the runs that hold them how much of each is done. Legs that no run
    /// has any more are done with.
    pub(crate) fn mark(&mut self, marks: &[Mark]) -> io::Result<Vec<RunDone>> {
        for mark in marks {
            let hour = mark.place.hour;
            let known = mark.place.at.filter(|at| self.run(hour, at.run).is_some());
            let at = match known {
                Some(at) => Some(at),
                None => self.place_of(mark)?,
            };
            if let Some(at) = at
                && let Some(run) = self.run_mut(hour, at.run)
            {
                run.done.mark(at.rank);
                self.unsynced.insert((hour, at.run));
            }
        }
        // Those of a try before that failed are among them: by now nothing else would find them.
        let touched = self.unsynced.clone();
        for (hour, run) in &touched {
            if self.run(*hour, *run).is_none() {
                continue;
            }
            match self.flush(*hour, *run) {
                // Somebody has removed the file: nothing of it comes back.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                flushed => flushed?,
            }
        }
        self.unsynced.clear();
        let of = |(hour, number): (u32, u64)| {
            let done = self.run(hour, number)?.done.count();
            Some(RunDone { hour, number, done })
        };
        Ok(touched.into_iter().filter_map(of).collect())
    }

    /// Where a leg that is to be marked lies. One bad place must not hold all marks back for ever: after some tries a
    /// record that the disk does not give is none that can come back either.
    fn place_of(&mut self, mark: &Mark) -> io::Result<Option<At>> {
        let place = self.locate(mark, self.lost_marks >= TRIES_MAX);
        self.lost_marks = match place {
            Ok(_) => 0,
            Err(_) => self.lost_marks + 1,
        };
        place
    }

    /// Where a leg lies now. What cannot be read is an error, or is passed over.
    pub(crate) fn locate(&mut self, mark: &Mark, pass_over: bool) -> io::Result<Option<At>> {
        // All of them: a mark that is not set would bring back a leg that has ended.
        for at in self.matches(mark.place.hour, mark.place.hash, usize::MAX) {
            match self.head(mark.place.hour, at) {
                Ok(head) if (head.id, head.leg) == (mark.id, mark.leg) => return Ok(Some(at)),
                Err(RecordError::Io(kind)) if !pass_over => return Err(kind.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    pub(crate) fn flush(&mut self, hour: u32, number: u64) -> io::Result<()> {
        if self.stuck {
            return Err(stuck());
        }
        // A mark must not be in a run that the next start takes away.
        if self.is_behind {
            self.sync_dir()?;
        }
        let file = self.file(hour, number)?;
        match self.run_mut(hour, number) {
            Some(run) => run.done.flush(&*file),
            None => Ok(()),
        }
    }

    /// The legs of these runs have left the spool: they are runs like any other from here on.
    pub(crate) fn confirm(&mut self, runs: &[(u32, u64)]) -> io::Result<()> {
        for (hour, number) in runs {
            let moving = self.dir.join(file_name(*hour, *number, Form::Moving));
            let whole = self.dir.join(file_name(*hour, *number, Form::Whole));
            let Some(run) = self.run_mut(*hour, *number) else {
                continue;
            };
            if run.form == Form::Moving {
                run.form = Form::Whole;
                self.disk.rename(&moving, &whole).inspect_err(|_| {
                    if let Some(run) = self
                        .hours
                        .get_mut(hour)
                        .and_then(|hour| hour.runs.get_mut(number))
                    {
                        run.form = Form::Moving;
                    }
                })?;
            }
        }
        if runs.is_empty() { Ok(()) } else { self.sync_dir() }
    }

    pub(crate) fn sync_dir(&mut self) -> io::Result<()> {
        if self.stuck {
            return Err(stuck());
        }
        let synced = self.disk.sync_dir(&self.dir);
        self.is_behind = synced.is_err();
        synced.inspect_err(|error| {
            if error.kind() != io::ErrorKind::ResourceBusy {
                self.stuck = true;
                tracing::error!(%error, "the waiting files' directory could not be synced: they stay as they are before a restart");
            }
        })
    }

    // ===== inside =====

    /// An hour for new runs, with a key.
    pub(crate) fn hour_for(
        &mut self,
        hour: u32,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<&Hour, KeyRingError> {
        match self.hours.entry(hour) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => {
                let key = ring.make(self.owner, now_ms, rng)?;
                let mut hash_key = Zeroizing::new([0; 16]);
                rng.fill_bytes(&mut hash_key[..]);
                let mut sealed = Vec::with_capacity(HASH_KEY_LEN);
                key.seal(&format::aad(hour), rng, &mut sealed, |out| {
                    out.extend_from_slice(&hash_key[..]);
                })
                .map_err(|_| KeyRingError::Cipher)?;
                let sealed_hash_key = sealed.first_chunk().ok_or(KeyRingError::Cipher)?;
                Ok(place.insert(Hour::new(key, HashKey(*hash_key), *sealed_hash_key)))
            }
        }
    }

    pub(crate) fn run(&self, hour: u32, number: u64) -> Option<&Run> {
        self.hours.get(&hour)?.runs.get(&number)
    }

    pub(crate) fn run_mut(&mut self, hour: u32, number: u64) -> Option<&mut Run> {
        self.hours.get_mut(&hour)?.runs.get_mut(&number)
    }

    /// The open file of a run.
    pub(crate) fn file(&mut self, hour: u32, number: u64) -> io::Result<Arc<D::File>> {
        if let Some(file) = self.open.get(&number) {
            return Ok(Arc::clone(file));
        }
        let form = self.run(hour, number).map_or(Form::Whole, |run| run.form);
        let path = self.dir.join(file_name(hour, number, form));
        let file = self.disk.open(&path, Access::ReadWrite)?;
        Ok(self.keep_open(number, file))
    }

    pub(crate) fn keep_open(&mut self, number: u64, file: D::File) -> Arc<D::File> {
        if self.open.len() >= OPEN_MAX {
            self.open.clear();
        }
        let file = Arc::new(file);
        self.open.insert(number, Arc::clone(&file));
        file
    }

    pub(crate) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    pub(crate) fn info(&self, hour: u32, number: u64) -> Option<RunInfo> {
        let found = self.hours.get(&hour)?;
        let run = found.runs.get(&number)?;
        Some(RunInfo {
            hour,
            number,
            hash_key: found.hash_key.clone(),
            prints: Arc::clone(&run.prints),
            count: run.header.count,
            done: run.done.count(),
            octets: run.octets,
        })
    }

    /// All runs.
    pub(crate) fn infos(&self) -> Vec<RunInfo> {
        self.hours
            .iter()
            .flat_map(|(hour, found)| found.runs.keys().filter_map(|number| self.info(*hour, *number)))
            .collect()
    }
}

fn stuck() -> io::Error {
    io::Error::other("the directory could not be synced")
}
