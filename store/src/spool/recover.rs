//! The start: reading the disk until memory knows again what is unfinished.
//!
//! Segments are read in order. A closed one is read by its footer; one without, and that is always the
//! last, is scanned batch by batch. Nothing is ever appended to an old segment: a new one is opened, and
//! what a torn tail holds is left where it is.

use std::io::{self, IoSlice};
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use rand_core::CryptoRng;

use crate::chain;
use crate::disk::{Access, Disk, DiskFile};
use crate::footer::{self, Event, Item, LivingEntry, LivingLeg};
use crate::history::{History, Stats};
use crate::index::{Index, LegId, Location};
use crate::keyring::{KeyRing, KeyRingError, Owner};
use crate::message_id::{MessageId, MessageIds};
use crate::names::Names;
use crate::outbox::{Entry, Outbox};
use crate::pseudonym::Secret;
use crate::record::{self, RecordError, Stage};
use crate::seal::{KeyId, Purpose};
use crate::segment::{
    self, BATCH_HEADER_LEN, BatchHeader, Found, HEADER_LEN, Scan, SegmentHeader, TRAILER_LEN, Trailer,
};
use crate::standing::{Change, Holds, Intake, Journal, JournalError, Standing};
use crate::usage::{Usage, UsageFiles};
use crate::waiting::entries::Span;
use crate::waiting::files::Files;
use crate::waiting::open::OpenFailed;
use crate::waiting::table::Waits;

use super::chores::ChoreError;
use super::filing::Filing;
use super::parked::Parked;
use super::rebuild::Rebuild;
use super::search::Search;
use super::segments::{Segment, Segments};
use super::staging::Staging;
use super::upkeep::Outstanding;
use super::{Keeper, Options, SEGMENT_MAX, Spool};

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read.
    #[error("cannot read the spool: {0}")]
    Io(#[from] io::Error),
    /// The key ring refused.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The journal of standing data.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Opt-outs without the secret under which they stand.
    #[error(
        "{} holds opt-outs, but the key ring has no secret to find them by: restore the key ring that belongs to this data; \
         without it everybody who has opted out could be sent to",
        dir.display()
    )]
    SecretGone {
        /// Where they lie.
        dir: std::path::PathBuf,
    },
    /// The first segment could not be made.
    #[error(transparent)]
    Chore(#[from] ChoreError),
    /// A segment of another node lies here.
    #[error("segment {number} was written by node {node}: this is another node's spool")]
    ForeignNode {
        /// Which segment.
        number: u64,
        /// Which node wrote it.
        node: u8,
    },
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were read.
    pub segments: usize,
    /// Of these by their footer.
    pub by_footer: usize,
    /// Unfinished legs.
    pub legs: usize,
    /// Unsettled outbox entries.
    pub entries: usize,
    /// Stretches of damage inside segments: an alarm.
    pub damaged: usize,
    /// Numbers of batches that are missing between others: an alarm.
    pub gaps: u64,
    /// Records that do not open or make no sense: an alarm (ENC-4).
    pub unreadable: usize,
    /// Octets behind the last whole batch of a segment: a write that a crash cut off. Nothing of it was
    /// promised to anybody.
    pub torn_octets: usize,
    /// Keys that were destroyed because nothing lies under them.
    pub keys_destroyed: usize,
    /// Legs that wait for their receipt in files.
    pub waiting: u64,
    /// Waiting files, filters and pages of marks that cannot be read: an alarm.
    pub waiting_damaged: u64,
    /// Changes of standing data in the journal.
    pub standing: u64,
    /// Stretches of the journal that cannot be read: an alarm.
    pub standing_damaged: u64,
    /// The counts of used parts were lost, but for what the segments still say: an alarm. Accounts may use their
    /// quota of this day and month again, up to what segments that are gone held.
    pub usage_lost: bool,
}

impl Recovered {
    /// Whether the disk held less than it must.
    pub const fn is_alarming(&self) -> bool {
        self.damaged > 0
            || self.gaps > 0
            || self.unreadable > 0
            || self.waiting_damaged > 0
            || self.standing_damaged > 0
            || self.usage_lost
    }
}

impl<D: Disk> Spool<D> {
    /// Reads the disk and makes a spool that goes on where the last one stopped, with a new segment.
    /// The key ring is the keeper's from here on.
    pub fn open(
        disk: D,
        mut options: Options,
        mut ring: KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Keeper<D>, Recovered), OpenError> {
        options.segment_size = options.segment_size.min(SEGMENT_MAX);
        disk.create_dir_all(&options.dir)?;
        let mut history = History::open(
            disk.clone(),
            options.history_dir.clone(),
            options.history_index.clone(),
        )?;
        let stats = Stats::open(&disk, &options.history_dir)?;
        let (mut waiting, files) = Files::open(
            disk.clone(),
            options.waiting_dir.clone(),
            options.node,
            Owner::Waiting,
            &ring,
            now_ms,
        )?;
        let (mut parked, outbox_files) = Files::open(
            disk.clone(),
            options.outbox_dir.clone(),
            options.node,
            Owner::Outbox,
            &ring,
            now_ms,
        )?;
        let secrets = secrets(&disk, &options, &mut ring, now_ms, rng)?;
        let (newest, older) = secrets.split_last().ok_or(KeyRingError::Cipher)?;
        let mut rebuild = Rebuild {
            names: Names::default(),
            index: Index::new(options.max_legs),
            outbox: Outbox::default(),
            segments: Segments::default(),
            found: Recovered::default(),
            last_batch: 0,
            floor_ms: 0,
            empty: Vec::new(),
            moving: waiting.moving().into_iter().chain(parked.moving()).collect(),
            moved: HashSet::new(),
            marks: Vec::new(),
            entry_marks: Vec::new(),
            last_runs: [0; 2],
            usage: Usage::default(),
            first_batch: 0,
            standing: Standing::new(newest, older),
            journaled: MessageId(0),
            journaled_sent: MessageId(0),
            generation_gone: None,
        };
        let mut usage_files = UsageFiles::open(disk.clone(), options.usage_dir.clone())?;
        rebuild.snapshot(&usage_files);
        let saved = rebuild.usage.saved();
        let journals = rebuild.journals(&disk, &options, &secrets, ring.has_opt_outs())?;
        let numbers: Vec<u64> = disk
            .list(&options.dir)?
            .iter()
            .filter_map(|entry| segment::number_of(&entry.name))
            .collect();
        for number in &numbers {
            rebuild.segment(&disk, &options, &ring, *number, now_ms)?;
        }
        if let Some(generation) = rebuild.generation_gone {
            let dir = options.standing_dir.clone();
            return Err(OpenError::Journal(JournalError::GenerationGone {
                dir,
                generation,
            }));
        }
        // Begun by a process that did not come to it: what the journal holds is for ever.
        for (generation, _) in journals.iter().flat_map(Journal::retired) {
            // The verb does it again; nobody is known by it any more.
            if let Err(error) = ring.destroy_generation(*generation, &[], now_ms, rng) {
                tracing::error!(%error, generation, "a retired generation of the suppression key cannot be destroyed");
            }
        }
        rebuild.outbox.enqueue_all();
        rebuild.standing.forget(now_ms);
        rebuild.found.waiting_damaged = files.damaged
            + waiting.reconcile(&rebuild.moved)?
            + outbox_files.damaged
            + parked.reconcile(&rebuild.moved)?;
        for (files, last) in [&mut waiting, &mut parked].into_iter().zip(rebuild.last_runs) {
            files.next_run = files.next_run.max(last + 1);
        }
        let waits = rebuild.waits(&waiting, now_ms);
        let filed = rebuild.parked(&mut parked)?;
        // What is counted up to a number is counted once, though the segments may be gone.
        let number = numbers.last().copied().unwrap_or_default().max(saved) + 1;
        // If there are batches, the newest of them states the floor of message ids; if there are none, an
        // empty segment does, and it stays until the next one does too.
        if rebuild.segments.len() > rebuild.empty.len() {
            rebuild.remove_empty(&disk, &options)?;
        }
        let size = options.segment_size;
        rebuild.heal_usage(&mut usage_files, number - 1, now_ms);
        // A history that begins now has nothing to look for: what has ended until now ended under no rule.
        if history.is_new() {
            match history.begin(rebuild.last_batch) {
                // What ends work must go on: then it is looked for, and finds no rule.
                Err(error) if crate::disk::is_full(&error) => {}
                begun => begun?,
            }
        }
        let search = Search::new(&rebuild.segments, history.position(), rebuild.last_batch);
        // Segments may all be gone, and with them the number of the last batch: what ends from now on ends behind all that
        // the history holds.
        let last_batch = rebuild.last_batch.max(history.position());
        let files = (waiting, parked, usage_files, journals, (history, stats));
        let mut keeper = Keeper::new(disk, &options, ring, files);
        let floor_ms = rebuild.floor_ms;
        let active = match keeper.prepare(number, now_ms, floor_ms, size, rng) {
            // What ends work must go on: a segment for which nothing is reserved takes what there is.
            Err(error) if error.is_full() => {
                keeper.prepare(number, now_ms, floor_ms, HEADER_LEN as u64, rng)?
            }
            made => made?,
        };
        rebuild.remove_empty(&keeper.disk, &options)?;
        rebuild
            .segments
            .insert(number, Segment::new(active.octets, &active.key));
        rebuild.destroy_idle_keys(&mut keeper)?;
        let Rebuild {
            names,
            index,
            outbox,
            segments,
            mut found,
            usage,
            standing,
            ..
        } = rebuild;
        found.legs = index.len();
        found.entries = outbox.len();
        let spool = Self {
            ids: MessageIds::new(options.node, floor_ms),
            options,
            names,
            index,
            outbox,
            segments,
            active,
            next: None,
            staging: Staging::default(),
            spare: Staging::default(),
            batch: last_batch + 1,
            synced: last_batch,
            floor_ms,
            committing: false,
            copies_committing: false,
            waits_for_segment: false,
            broken: false,
            out: Outstanding::default(),
            unfooted: Vec::new(),
            waits,
            parked: filed,
            usage,
            standing,
            filing: Filing::new(keeper.history.position(), search),
            kept_octets: keeper.history.octets(),
            other_octets: 0,
        };
        Ok((spool, keeper, found))
    }
}

/// The secrets behind pseudonyms. The first is made with the first start; never again (PSN-4).
fn secrets<D: Disk>(
    disk: &D,
    options: &Options,
    ring: &mut KeyRing<D>,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Secret>, OpenError> {
    if ring.secrets().is_empty() {
        if !disk.list(&options.standing_dir)?.is_empty() {
            return Err(OpenError::SecretGone {
                dir: options.standing_dir.clone(),
            });
        }
        ring.make(Owner::Pseudonyms, now_ms, rng)?;
    }
    Ok(ring.secrets().to_vec())
}

impl From<OpenFailed> for OpenError {
    fn from(failed: OpenFailed) -> Self {
        match failed {
            OpenFailed::Io(error) => Self::Io(error),
            OpenFailed::ForeignNode { number, node } => Self::ForeignNode { number, node },
        }
    }
}

impl Rebuild {
    /// Begins with the journals: what is kept for ever, and what counts for a while.
    fn journals<D: Disk>(
        &mut self,
        disk: &D,
        options: &Options,
        secrets: &[Secret],
        had_entries: bool,
    ) -> Result<[Journal<D>; 2], OpenError> {
        let octets = disk
            .list(&options.standing_dir)?
            .iter()
            .map(|file| file.len)
            .sum();
        let mut intake = Intake::new(&mut self.standing, octets);
        let mut open = |holds, retired: &[_], had_entries| {
            let found = |id, change: &Change| intake.found(id, change);
            let (dir, kind) = (options.standing_dir.clone(), (holds, options.node));
            Journal::open(disk.clone(), dir, kind, secrets, retired, had_entries, found)
        };
        let (lasting, found) = open(Holds::Lasting, &[], had_entries)?;
        let (passing, counted) = open(Holds::Passing, lasting.retired(), false)?;
        drop(intake);
        if found.damaged > 0 && !options.accept_damage {
            return Err(OpenError::Journal(JournalError::Damaged {
                dir: options.standing_dir.clone(),
                stretches: found.damaged,
            }));
        }
        (self.journaled, self.journaled_sent) = (lasting.last(), passing.last());
        // Ids of later changes are above those of the journals, even if nothing is left of the spool that gave them.
        let last = self.journaled.max(self.journaled_sent);
        if last > MessageId(0) {
            self.floor_ms = self.floor_ms.max(last.ms() + 1);
        }
        self.found.standing = found.changes;
        self.found.standing_damaged = found.damaged + counted.damaged;
        Ok([lasting, passing])
    }

    /// Begins with the counts of used parts that were saved last.
    fn snapshot<D: Disk>(&mut self, files: &UsageFiles<D>) {
        let Some(snapshot) = files.newest() else { return };
        for (account, counted) in &snapshot.accounts {
            if let Some(account) = self.names.intern(account) {
                self.usage.restore(account, *counted);
            }
        }
        self.usage.set_saved(snapshot.segment);
    }

    /// Saves the counts of used parts where a copy is missing or cannot be read. When the disk does not take them now,
    /// they are saved before the next segment goes.
    fn heal_usage<D: Disk>(&mut self, files: &mut UsageFiles<D>, segment: u64, now_ms: u64) {
        // With both copies gone, what was in segments that are gone is not known.
        if files.newest().is_none() && (files.is_damaged() || self.first_batch > 1) {
            self.found.usage_lost = true;
            tracing::error!(
                "the counts of used parts are lost: quotas begin with what the spool still holds"
            );
        }
        if files.is_whole() {
            return;
        }
        match files.save(&self.usage.snapshot(&self.names, segment, now_ms)) {
            Ok(()) => self.usage.set_saved(segment),
            Err(error) => tracing::warn!(%error, "the counts of used parts cannot be saved now"),
        }
    }

    /// The waiting files as the loop will know them; and all that carriers have is hot from now on.
    fn waits<D: Disk>(&mut self, files: &Files<D>, now_ms: u64) -> Waits {
        let mut waits = Waits::default();
        files.infos().into_iter().for_each(|run| waits.add(run, true));
        for (mark, segment) in std::mem::take(&mut self.marks) {
            waits.end(&mark);
            waits.to_mark.push((mark, segment));
        }
        let handed_over: Vec<LegId> = self
            .index
            .iter()
            .filter(|(_, leg)| leg.stage == Stage::HandedOver)
            .map(|(id, _)| id)
            .collect();
        handed_over
            .into_iter()
            .for_each(|leg| self.index.set_handed_over(leg, now_ms));
        self.found.waiting = waits.counts().legs;
        waits
    }

    /// The outbox files as the loop will know them.
    fn parked<D: Disk>(&mut self, files: &mut Files<D>) -> io::Result<Parked> {
        let mut parked = Parked::default();
        let mut unmarked: HashMap<u64, HashSet<u32>> = HashMap::new();
        for (mark, segment) in std::mem::take(&mut self.entry_marks) {
            let Some(at) = mark.place.at else { continue };
            let Some(run) = files.run(mark.place.hour, at.run) else {
                // Its run is gone, and with it all that was to be marked.
                self.segments.paid(segment);
                continue;
            };
            if !run.done.is_done(at.rank) {
                unmarked.entry(at.run).or_default().insert(at.rank);
            }
            parked.waits.end(&mark);
            parked.waits.to_mark.push((mark, segment));
        }
        for run in files.infos() {
            let span = files.span_of(run.hour, run.number)?.and_then(|found| {
                Some(Span {
                    account: self.names.intern(found.account.as_str())?,
                    sink: found.sink,
                    first: found.first,
                    last: found.last,
                })
            });
            let unmarked = unmarked.get(&run.number).map_or(0, HashSet::len);
            parked.found(run, span, u32::try_from(unmarked).unwrap_or(u32::MAX));
        }
        for line in parked.lines() {
            let (left, first) = parked.left_of(line);
            self.outbox.set_in_files(line, left, first);
        }
        Ok(parked)
    }

    fn segment<D: Disk>(
        &mut self,
        disk: &D,
        options: &Options,
        ring: &KeyRing<D>,
        number: u64,
        now_ms: u64,
    ) -> Result<(), OpenError> {
        let path = options.dir.join(segment::file_name(number));
        let file = disk.open(&path, Access::Read)?;
        let mut head = [0; HEADER_LEN];
        let read = file.read_at(&mut head, 0)?;
        let mut made_ms = now_ms;
        match SegmentHeader::read(&head[..read]) {
            Some(header) if header.node != options.node => {
                return Err(OpenError::ForeignNode {
                    number,
                    node: header.node,
                });
            }
            Some(header) => {
                self.floor_ms = self.floor_ms.max(header.floor_ms);
                made_ms = header.created_ms;
            }
            // A damaged header takes nothing with it: every batch says itself what it is.
            None => {}
        }
        self.found.segments += 1;
        let len = file.len()?;
        // When it was closed is not known without its footer; restarts must not keep it young.
        self.segments.insert(number, Segment::found(len, made_ms));
        if let Some(footer) = read_footer(&file, len)?
            && self.apply_footer(number, footer, ring)
        {
            self.found.by_footer += 1;
            return Ok(());
        }
        let mut octets = segment::read_all(&file)?;
        let batches = self.find_batches(number, &octets, ring);
        match batches.last() {
            Some((header, at)) => {
                let end = make_durable(disk, &path, &octets, header, *at)?;
                self.segments.set_octets(number, end);
            }
            None if octets.iter().skip(HEADER_LEN).all(|octet| *octet == 0) => self.empty.push(number),
            None => {}
        }
        self.apply_batches(number, batches, &mut octets, ring);
        Ok(())
    }

    /// Applies a footer; `false` when it does not open or make sense, and then nothing was applied.
    fn apply_footer<D: Disk>(&mut self, number: u64, mut sealed: Vec<u8>, ring: &KeyRing<D>) -> bool {
        let Some((key, sealed)) = sealed.split_first_chunk_mut::<4>() else {
            return false;
        };
        let Some(key) = ring.get(KeyId(u32::from_be_bytes(*key))) else {
            return false;
        };
        let Ok(plain) = key.open(&footer::aad(number), sealed, Purpose::Sweep) else {
            return false;
        };
        let mut fields = plain;
        let Ok(summary) = footer::read_summary(&mut fields) else {
            return false;
        };
        let mut items = Vec::new();
        while let Some(item) = footer::next(&mut fields, number) {
            match item {
                Ok(item) => items.push(item),
                Err(_) => return false,
            }
        }
        self.count_batches(summary.first_batch, summary.last_batch);
        self.floor_ms = self.floor_ms.max(summary.floor_ms);
        if let Some(segment) = self.segments.get_mut(number) {
            segment.first_batch = summary.first_batch;
            segment.last_batch = summary.last_batch;
            segment.closed_ms = Some(summary.closed_ms);
            segment.keys = summary.keys;
            segment.add_key(key.id());
        }
        for item in items {
            match item {
                Item::Event { id, leg, event } => match event {
                    Event::HandedOver(step) => self.handed_over(id, leg, &step),
                    Event::Retry(step) => self.retry(id, leg, step),
                    Event::Progressed(progress) => self.progressed(id, leg, progress),
                    Event::Final => self.ended(id, leg),
                    Event::Settled => self.settled(id),
                    Event::Moved(run) => self.moved(id, leg, run),
                    Event::FinalMoved { hour, hash } => self.ended_elsewhere(id, leg, hour, hash, number),
                    Event::SettledMoved(place) => self.settled_elsewhere(id, place, number),
                },
                Item::Leg(LivingLeg {
                    id,
                    leg,
                    account,
                    born,
                    at,
                    record,
                }) => {
                    self.leg(id, leg, account, &record, born, at);
                }
                Item::Counted { account, counted } => self.counted(account, counted, number),
                Item::Standing { id, account, change } => self.standing(id, account, change, number),
                Item::Entry(LivingEntry {
                    id,
                    account,
                    born,
                    at,
                    kind,
                    sink,
                    form,
                    expires_ms,
                }) => {
                    let Some(account) = self.names.intern(account.as_str()) else {
                        continue;
                    };
                    let revision = 0;
                    self.entry(Entry {
                        id,
                        account,
                        kind,
                        sink,
                        form,
                        expires_ms,
                        at,
                        born: chain::key(born),
                        revision,
                        taken: false,
                        in_file: false,
                    });
                }
            }
        }
        true
    }

    fn find_batches<D: Disk>(
        &mut self,
        number: u64,
        octets: &[u8],
        ring: &KeyRing<D>,
    ) -> Vec<(BatchHeader, usize)> {
        let mut scan = Scan::new(octets, number);
        let mut batches = Vec::new();
        for found in scan.by_ref() {
            match found {
                Found::Batch { header, at } => batches.push((header, at)),
                Found::Damage { from, to } => {
                    self.found.damaged += 1;
                    self.keep_all_keys(number, ring);
                    tracing::error!(segment = number, from, to, "damage inside a segment");
                }
            }
        }
        let tail = octets.get(scan.end()..).unwrap_or_default();
        self.found.torn_octets += tail
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |last| last + 1);
        batches
    }

    fn apply_batches<D: Disk>(
        &mut self,
        number: u64,
        batches: Vec<(BatchHeader, usize)>,
        octets: &mut [u8],
        ring: &KeyRing<D>,
    ) {
        for (header, at) in batches {
            self.count_batches(header.number, header.number);
            self.floor_ms = self.floor_ms.max(header.floor_ms);
            if let Some(segment) = self.segments.get_mut(number) {
                segment.add_batch(header.number);
            }
            if let Some(records) = octets.get_mut(at..at + header.len as usize) {
                self.batch(number, at, records, ring);
            }
        }
    }

    fn batch<D: Disk>(&mut self, number: u64, mut at: usize, mut records: &mut [u8], ring: &KeyRing<D>) {
        debug_assert!(at >= BATCH_HEADER_LEN);
        while !records.is_empty() {
            // `cut` knows the length of a record even if nothing else of it is readable.
            let before = records.len();
            let Some((raw, rest)) = record::cut(records) else {
                self.unreadable(number, at, RecordError::Malformed);
                self.keep_all_keys(number, ring);
                return;
            };
            let len = before - rest.len();
            records = rest;
            let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let location = Location::new(number, word(at), word(len));
            match raw {
                Ok(raw) => {
                    if let (Some(key), Some(segment)) = (raw.key(), self.segments.get_mut(number)) {
                        segment.add_key(key);
                    }
                    let (id, leg, account) = (raw.head.id, raw.head.leg, raw.head.account);
                    match raw.open(Purpose::Sweep, |key| ring.get(key)) {
                        Ok(payload) => self.apply(id, leg, account, payload, location),
                        Err(error) => self.unreadable(number, at, error),
                    }
                }
                Err(error) => {
                    self.unreadable(number, at, error);
                    self.keep_all_keys(number, ring);
                }
            }
            at += len;
        }
    }

    /// Nobody knows under which keys damaged records lie: none goes before their segment does.
    fn keep_all_keys<D: Disk>(&mut self, number: u64, ring: &KeyRing<D>) {
        if let Some(segment) = self.segments.get_mut(number) {
            let keys = ring.live(Owner::Spool);
            keys.into_iter().for_each(|key| segment.add_key(key));
        }
    }

    fn unreadable(&mut self, segment: u64, at: usize, error: RecordError) {
        self.found.unreadable += 1;
        tracing::error!(segment, at, %error, "a record cannot be read: skipped");
    }

    /// Batches `first..=last` were found; what lies between them and the ones before is missing.
    fn count_batches(&mut self, first: u64, last: u64) {
        if first == 0 {
            return;
        }
        // The oldest segments were unlinked: the first batch ever met may have any number.
        if self.last_batch != 0 && first > self.last_batch + 1 {
            self.found.gaps += first - self.last_batch - 1;
            tracing::error!(from = self.last_batch + 1, to = first, "batches are missing");
        }
        if self.last_batch == 0 {
            self.first_batch = first;
        }
        self.last_batch = self.last_batch.max(last);
    }

    /// Removes segments to which nothing was written: made ahead, or by starts that came to nothing. They end
    /// nothing, so they need not wait for older ones.
    fn remove_empty<D: Disk>(&mut self, disk: &D, options: &Options) -> io::Result<()> {
        let empty = std::mem::take(&mut self.empty);
        if empty.is_empty() {
            return Ok(());
        }
        for number in empty {
            disk.unlink(&options.dir.join(segment::file_name(number)))?;
            self.segments.remove(number);
        }
        disk.sync_dir(&options.dir)
    }

    /// A key that was made just before a crash, or whose destruction a crash cut off, has no record.
    fn destroy_idle_keys<D: Disk>(&mut self, keeper: &mut Keeper<D>) -> Result<(), KeyRingError> {
        let filed = keeper.parked.idle_keys(keeper.ring());
        for key in keeper.waiting.idle_keys(keeper.ring()).into_iter().chain(filed) {
            keeper.destroy(key)?;
            self.found.keys_destroyed += 1;
        }
        for key in keeper.ring().live(Owner::Spool) {
            if !self
                .segments
                .iter()
                .any(|(_, segment)| segment.keys.contains(&key))
            {
                keeper.destroy(key)?;
                self.found.keys_destroyed += 1;
            }
        }
        Ok(())
    }
}

/// Writes the last batch of a segment again and syncs it, and gives back what was reserved behind it.
/// Returns how long the file is.
///
/// An earlier process may have died between its write and its sync, or its sync may have failed: then the
/// system shows octets that are not on the disk, and what follows from them must not outlive them. All
/// batches before the last were synced before it was written.
fn make_durable<D: Disk>(
    disk: &D,
    path: &Path,
    octets: &[u8],
    header: &BatchHeader,
    at: usize,
) -> io::Result<u64> {
    let (start, end) = (at - BATCH_HEADER_LEN, at + header.len as usize);
    let file = disk.open(path, Access::ReadWrite)?;
    let batch = octets.get(start..end).unwrap_or_default();
    file.write_at(&[IoSlice::new(batch)], start as u64)?;
    // A torn tail is left where it is.
    let torn = octets.iter().skip(end).any(|octet| *octet != 0);
    if !torn && end < octets.len() {
        file.truncate(end as u64)?;
    }
    file.sync_data()?;
    file.len()
}

/// The sealed footer of a segment that was closed in order.
fn read_footer<F: DiskFile>(file: &F, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut tail = [0; TRAILER_LEN];
    let Some(at) = len.checked_sub(TRAILER_LEN as u64) else {
        return Ok(None);
    };
    if file.read_at(&mut tail, at)? < TRAILER_LEN {
        return Ok(None);
    }
    let Some(trailer) = Trailer::read(&tail, len) else {
        return Ok(None);
    };
    let mut octets = vec![0; trailer.footer_len as usize];
    let read = file.read_at(&mut octets, trailer.footer_at)?;
    Ok((read == octets.len()).then_some(octets))
}
