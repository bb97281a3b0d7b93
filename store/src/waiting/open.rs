//! The start: headers, filters and marks are read, and what a crash left half done is made whole or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::disk::{Access, Disk, DiskFile};
use crate::keyring::{KeyRing, Owner};
use crate::message_id::MessageId;
use crate::record::RecordError;
use crate::seal::{KeyId, Purpose};

use super::done::Done;
use super::entries::FIRST_RUN;
use super::files::{Files, Hour, Run};
use super::format::{self, Form, HEADER_LEN, Header, LINE_LEN, file_name, parse_name};
use super::prints::PrintsBuilder;
use super::{At, HOUR_MS, HashKey, Prints};

/// How long a file that was set aside stays, with its key, after its hour: so long somebody may mend it, and no longer
/// may what it holds be read.
const ASIDE_MS: u64 = 7 * 24 * HOUR_MS;

/// Why the files cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenFailed {
    Io(io::Error),
    ForeignNode { number: u64, node: u8 },
}

impl From<io::Error> for OpenFailed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Files that were set aside, pages and filters that could not be read, of runs that count.
    pub(crate) damaged: u64,
}

enum Loaded {
    Run,
    Unreadable,
    Foreign(u8),
}

impl<D: Disk> Files<D> {
    /// Reads headers, prints and marks. Runs that were being moved stand there as such until
    /// [`Files::reconcile`].
    pub(crate) fn open(
        disk: D,
        dir: PathBuf,
        node: u8,
        owner: Owner,
        ring: &KeyRing<D>,
        now_ms: u64,
    ) -> Result<(Self, Found), OpenFailed> {
        disk.create_dir_all(&dir)?;
        let mut files = Self {
            disk,
            dir,
            node,
            owner,
            hours: BTreeMap::new(),
            merge: None,
            next_run: if owner == Owner::Outbox { FIRST_RUN } else { 1 },
            open: HashMap::new(),
            remains: Vec::new(),
            unsynced: BTreeSet::new(),
            lost_marks: 0,
            damaged: 0,
            torn: Vec::new(),
            aside: HashSet::new(),
            in_doubt: HashMap::new(),
            stuck: false,
            is_behind: false,
        };
        let mut found = Found::default();
        let mut changed = false;
        for entry in files.disk.list(&files.dir)? {
            if let Some(hour) = format::parse_aside(&entry.name) {
                if now_ms >= (u64::from(hour) + 1) * HOUR_MS + ASIDE_MS {
                    tracing::warn!(hour, "a waiting file that was set aside goes");
                    files.disk.unlink(&files.dir.join(&entry.name))?;
                    changed = true;
                } else {
                    files.aside.insert(hour);
                }
                continue;
            }
            let Some((hour, number, form)) = parse_name(&entry.name) else {
                continue;
            };
            files.next_run = files.next_run.max(number + 1);
            let path = files.dir.join(&entry.name);
            if form == Form::Merging {
                files.disk.unlink(&path)?;
                changed = true;
                continue;
            }
            match files.load(&path, (hour, number, form), ring, &mut found)? {
                Loaded::Run => {}
                Loaded::Foreign(node) => return Err(OpenFailed::ForeignNode { number, node }),
                // Cut off while it was written, most likely: the spool knows.
                Loaded::Unreadable if form == Form::Moving => files.torn.push((hour, number)),
                Loaded::Unreadable => {
                    files.set_aside(hour, number, form)?;
                    found.damaged += 1;
                    changed = true;
                }
            }
        }
        for hour in files.hours.values_mut() {
            let replaced: BTreeSet<u64> = hour
                .runs
                .values()
                .flat_map(|run| run.header.replaces.iter().copied())
                .collect();
            for number in replaced {
                if let Some(run) = hour.runs.remove(&number) {
                    let name = file_name(run.header.hour, number, run.form);
                    files.disk.unlink(&files.dir.join(name))?;
                    changed = true;
                }
            }
        }
        if changed {
            files.disk.sync_dir(&files.dir)?;
        }
        Ok((files, found))
    }

    fn load(
        &mut self,
        path: &std::path::Path,
        (hour, number, form): (u32, u64, Form),
        ring: &KeyRing<D>,
        found: &mut Found,
    ) -> io::Result<Loaded> {
        let file = self.disk.open(path, Access::ReadWrite)?;
        let len = file.len()?;
        let mut octets = [0; HEADER_LEN];
        let mut header = None;
        for at in [0, len.saturating_sub(HEADER_LEN as u64)] {
            let read = file.read_at(&mut octets, at)?;
            header = header.or_else(|| Header::read(&octets[..read]));
        }
        let Some(header) = header.filter(|header| (header.hour, header.number) == (hour, number)) else {
            return Ok(Loaded::Unreadable);
        };
        if header.node != self.node {
            return Ok(Loaded::Foreign(header.node));
        }
        let Some(key) = ring.get(header.key) else {
            return Ok(Loaded::Unreadable);
        };
        let mut sealed = header.hash_key;
        let opened = key.open(&format::aad(hour), &mut sealed, Purpose::Sweep);
        let Ok(Some(hash_key)) = opened.map(|plain| plain.first_chunk::<16>()) else {
            return Ok(Loaded::Unreadable);
        };
        let hash_key = HashKey(*hash_key);
        let mut octets = vec![0; Prints::len_for(header.count, header.room)];
        let read = file.read_at(&mut octets, header.prints_at())?;
        octets.truncate(read);
        let whole = crc32fast::hash(&octets) == header.prints_crc;
        let mut damaged = 0;
        let prints = match Prints::read(&octets, header.count, header.room) {
            Some(prints) if whole => prints,
            _ => {
                tracing::warn!(hour, run = number, "a waiting file's filter is made anew");
                damaged += 1;
                prints_of_table(&file, &header)?
            }
        };
        let (done, pages) = Done::read(&file, header.room)?;
        if pages > 0 {
            tracing::warn!(
                hour,
                run = number,
                pages,
                "done marks are lost: receipts may double"
            );
            damaged += pages;
        }
        if form == Form::Moving {
            self.in_doubt.insert(number, damaged);
        } else {
            found.damaged += damaged;
        }
        let run = Run {
            prints: Arc::new(prints),
            done,
            form,
            octets: len,
            header,
        };
        self.keep_open(number, file);
        let sealed_hash_key = run.header.hash_key;
        let fresh = || Hour::new(key, hash_key, sealed_hash_key);
        let hour = self.hours.entry(hour).or_insert_with(fresh);
        hour.runs.insert(number, run);
        Ok(Loaded::Run)
    }

    /// We cannot read it: it is out of the way, and stays, with its key, for whoever can mend or remove it.
    fn set_aside(&mut self, hour: u32, number: u64, form: Form) -> io::Result<()> {
        tracing::error!(hour, run = number, "a waiting file cannot be read: set aside");
        self.aside.insert(hour);
        let path = self.dir.join(file_name(hour, number, form));
        self.disk.rename(&path, &path.with_extension(format::ASIDE))
    }

    /// Runs of which only the spool knows whether their legs have left it.
    pub(crate) fn moving(&self) -> HashSet<u64> {
        let torn = self.torn.iter().map(|(_, number)| *number);
        self.moving_runs().map(|(_, number)| number).chain(torn).collect()
    }

    fn moving_runs(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let all = self.hours.iter();
        let runs = all.flat_map(|(hour, found)| found.runs.iter().map(|(number, run)| (*hour, *number, run)));
        runs.filter(|(_, _, run)| run.form == Form::Moving)
            .map(|(hour, number, _)| (hour, number))
    }

    /// Keeps of runs that were being moved the legs that have left the spool by its own word; returns how many
    /// of these runs cannot be read.
    pub(crate) fn reconcile(&mut self, moved: &HashSet<(u64, MessageId, u16)>) -> io::Result<u64> {
        let named: HashSet<u64> = moved.iter().map(|(run, _, _)| *run).collect();
        let (mut damaged, mut changed) = (0, false);
        for (hour, number) in std::mem::take(&mut self.torn) {
            if named.contains(&number) {
                self.set_aside(hour, number, Form::Moving)?;
                damaged += 1;
            } else {
                self.disk
                    .unlink(&self.dir.join(file_name(hour, number, Form::Moving)))?;
            }
            changed = true;
        }
        let moving: Vec<(u32, u64)> = self.moving_runs().collect();
        for (hour, number) in &moving {
            if !named.contains(number) {
                self.forget(*hour, *number);
                changed = true;
                continue;
            }
            damaged += self.in_doubt.get(number).copied().unwrap_or(0);
            let count = self.run(*hour, *number).map_or(0, |run| run.header.count);
            let mut missing = moved.iter().filter(|(run, _, _)| run == number).count() as u64;
            for rank in 0..count {
                let at = At { run: *number, rank };
                let stays = match self.head(*hour, at) {
                    Ok(head) => moved.contains(&(*number, head.id, head.leg)),
                    Err(RecordError::Io(kind)) => return Err(kind.into()),
                    Err(_) => false,
                };
                missing = missing.saturating_sub(u64::from(stays));
                if !stays && let Some(run) = self.run_mut(*hour, *number) {
                    run.done.mark(rank);
                }
            }
            if missing > 0 {
                tracing::error!(
                    hour,
                    run = number,
                    missing,
                    "legs that have moved to a file are not there"
                );
                damaged += missing;
            }
            self.flush(*hour, *number)?;
        }
        self.hours.retain(|_, hour| !hour.runs.is_empty());
        self.confirm(&moving)?;
        if changed {
            self.sync_dir()?;
        }
        Ok(damaged)
    }

    /// Hours whose files hold nothing any more, or never did, have no key. But nobody knows which key a file needs
    /// that was set aside: while one is there, a week at most and until the next start, all stay.
    pub(crate) fn idle_keys(&self, ring: &KeyRing<D>) -> Vec<KeyId> {
        if !self.aside.is_empty() {
            return Vec::new();
        }
        let mut keys = ring.live(self.owner);
        keys.retain(|key| !self.hours.values().any(|hour| hour.key.id() == *key));
        keys
    }
}

fn prints_of_table<F: DiskFile>(file: &F, header: &Header) -> io::Result<Prints> {
    let mut octets = vec![0; header.count as usize * LINE_LEN];
    file.read_at(&mut octets, header.table_at())?;
    let mut prints = PrintsBuilder::new(header.room);
    let mut last = 0;
    for line in octets.chunks_exact(LINE_LEN) {
        // One that is damaged keeps its rank.
        last = format::Line::read(line).map_or(last, |line| line.hash.max(last));
        prints.push(last);
    }
    Ok(prints.finish())
}
