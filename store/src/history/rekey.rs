//! A pass through lots: each record is judged, what stays is sealed anew under another key, what is held is copied to the
//! [vault](super::vault), and the old keys go (ERA-4, ENC-2, RET-7).
//!
//! What stays of a block is one new block, in a *draft* beside the parts of its period. When all blocks are through, one
//! note of history makes the drafts parts and names the old keys *superseded*: before it a start removes the drafts, behind
//! it nobody reads what lies under the old keys. So each record stands once at every instant. Then the old keys are
//! destroyed, and forgotten by the next note. New keys are made first: what is filed meanwhile lies under them.
//!
//! Only what a checkpoint covers is taken, for what stands behind it is filed anew after a crash, and would stand twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use rand_core::CryptoRng;
use smallvec::SmallVec;
use tidegate_codec::identity::SystemId;

use super::block::{self, Header};
use super::columns::{Columns, Reading};
use super::drafts::Draft;
use super::files::{At, Files, PeriodKey};
use super::meta::{Meta, Text, TextRef};
use super::vault::Volume;
use super::{History, Kept, OrderError};
use crate::disk::Disk;
use crate::keyring::{Destroyed, KeyRing, Owner, PeriodOwner};
use crate::seal::{KeyId, Purpose, SealKey};

/// Blocks that are judged in one step.
const BLOCKS_MAX: usize = 32;
/// Headers that are looked at in one step.
const HEADERS_MAX: usize = 4_096;
/// Moves that are kept in mind for looks; what has been looking for longer may miss what was sealed anew.
const MOVED_MAX: usize = 1 << 16;

/// A record that is judged.
#[derive(Clone, Copy, Debug)]
pub enum Record<'r> {
    /// Of a message.
    Meta(&'r Meta),
    /// Of a text.
    Text(&'r Text),
}

/// Numbers of the holds that cover a record.
pub type Fates = SmallVec<[u32; 2]>;

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays where it is, under another key.
    Stay,
    /// It goes.
    Go,
    /// It goes from here, and is sealed in the vault under the keys of these holds.
    Vault(Fates),
}

type Judging = dyn Fn(SystemId, Record<'_>) -> Fate + Send + Sync;

/// Says what becomes of each record.
#[derive(Clone)]
pub struct Judge(Arc<Judging>);

impl Judge {
    /// By a function of the account and the record.
    pub fn new(judge: impl Fn(SystemId, Record<'_>) -> Fate + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// All stay: only the key is another.
    pub fn all_stay() -> Self {
        Self::new(|_, _| Fate::Stay)
    }

    pub(super) fn of(&self, account: SystemId, record: Record<'_>) -> Fate {
        (self.0)(account, record)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

/// What is done with lots of one file; one pass is under way at a time, and another that begins takes its place.
#[derive(Clone, Debug)]
pub enum Rekey {
    /// Begins to seal lots anew. Behind it everything is to be checkpointed, then come the steps.
    Begin {
        /// The file.
        period: PeriodKey,
        /// The lots, by their keys. Those that are gone are left out.
        keys: Vec<KeyId>,
        /// A key that is there and was made at this time or later is used again, in unix milliseconds.
        fresh_since_ms: u64,
        /// Whether the keys are to be others also where every record stays.
        even_if_all_stay: bool,
        /// When it is.
        now_ms: u64,
    },
    /// Begins to copy what is held of lots to the vault; the lots stay as they are.
    Copy {
        /// The file.
        period: PeriodKey,
        /// The lots, by their keys.
        keys: Vec<KeyId>,
    },
    /// Judges some blocks more; with the last of them all of it is done.
    Step(Judge),
    /// Destroys keys that are superseded, where that was cut off.
    Settle,
}

/// How far a pass has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// It is through.
    pub is_done: bool,
    /// Records that stay.
    pub stayed: u64,
    /// Records that go.
    pub gone: u64,
    /// Records that have gone to the vault; one that several holds cover counts once.
    pub vaulted: u64,
    /// Keys that were destroyed with its end.
    pub destroyed: Vec<Destroyed>,
}

/// A pass that is under way.
pub(super) struct Pass<D: Disk> {
    period: PeriodKey,
    keys: BTreeSet<KeyId>,
    /// The new key of each old one; none where the lots stay.
    seals: Option<BTreeMap<KeyId, Arc<SealKey>>>,
    even_if_all_stay: bool,
    /// Where to go on.
    at: At,
    drafts: Vec<Draft<D::File>>,
    /// Blocks that were there, and in which draft and where they are now.
    moved: Vec<(At, usize, u64)>,
    volumes: BTreeMap<(u32, KeyId), Volume<D>>,
    passed: Passed,
}

/// What is gathered of one block.
#[derive(Default)]
struct Part {
    columns: Columns,
    header: Option<Header>,
}

impl Part {
    fn push(&mut self, from: &Header, place: usize, record: Record<'_>) {
        let (id, final_ms) = match record {
            Record::Meta(meta) => {
                self.columns.push_meta(&meta.by_ref());
                (meta.id, meta.final_ms)
            }
            Record::Text(text) => {
                self.columns.push_text(&TextRef {
                    id: text.id,
                    leg: text.leg,
                    accepted_ms: text.accepted_ms,
                    final_ms: text.final_ms,
                    form: text.form,
                    body: &text.body,
                });
                (text.id, text.final_ms)
            }
        };
        let header = self.header.get_or_insert_with(|| Header {
            first_id: id,
            last_id: id,
            first_ms: final_ms,
            last_ms: final_ms,
            ids: Vec::new(),
            recipients: Vec::new(),
            ..from.clone()
        });
        header.first_id = header.first_id.min(id);
        header.last_id = header.last_id.max(id);
        header.first_ms = header.first_ms.min(final_ms);
        header.last_ms = header.last_ms.max(final_ms);
        header.ids.extend(from.ids.get(place));
        header.recipients.extend(from.recipients.get(place));
    }

    /// The block under a key; `None` when nothing was gathered.
    fn sealed(self, key: &SealKey, rng: &mut impl CryptoRng) -> io::Result<Option<Vec<u8>>> {
        let Some(mut header) = self.header else {
            return Ok(None);
        };
        let mut octets = Vec::new();
        block::write(&mut header, &self.columns, key, rng, &mut octets).map_err(io::Error::other)?;
        Ok(Some(octets))
    }
}

impl<D: Disk> History<D> {
    /// See [`Rekey`].
    pub(super) fn rekey(
        &mut self,
        rekey: Rekey,
        ring: &mut KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<Passed, OrderError> {
        match rekey {
            Rekey::Begin {
                period,
                keys,
                fresh_since_ms,
                even_if_all_stay,
                now_ms,
            } => {
                let keys: BTreeSet<KeyId> = keys.into_iter().filter(|key| ring.has(*key)).collect();
                let mut seals = BTreeMap::new();
                let mut made: BTreeMap<PeriodOwner, Arc<SealKey>> = BTreeMap::new();
                for key in &keys {
                    let Some((owner, _)) = ring.period_of(*key) else {
                        continue;
                    };
                    let seal = match made.get(&owner) {
                        Some(seal) => Arc::clone(seal),
                        None => another_key(ring, owner, &keys, fresh_since_ms, now_ms, rng)?,
                    };
                    made.insert(owner, Arc::clone(&seal));
                    seals.insert(*key, seal);
                }
                self.begin_pass(period, keys, Some(seals), even_if_all_stay);
                Ok(Passed::default())
            }
            Rekey::Copy { period, keys } => {
                let keys = keys.into_iter().filter(|key| ring.has(*key)).collect();
                self.begin_pass(period, keys, None, false);
                Ok(Passed::default())
            }
            Rekey::Step(judge) => {
                let mut pass = self.pass.take().ok_or(OrderError::NoPass)?;
                let done = self.step(&mut pass, &judge, ring, rng);
                match done {
                    Ok(false) => {
                        let passed = pass.passed.clone();
                        self.pass = Some(pass);
                        Ok(passed)
                    }
                    Ok(true) => self.finish_pass(pass, ring),
                    Err(error) => {
                        self.discard(pass);
                        Err(error)
                    }
                }
            }
            Rekey::Settle => {
                if self.files.has_superseded() {
                    // What they were in nobody remembers: no filter outlives what it is made of.
                    let periods: Vec<PeriodKey> = self.files.periods().cloned().collect();
                    for period in &periods {
                        // Who cannot be removed now goes with the next look at filters; the keys wait for none.
                        if let Err(error) = self.drop_filter(period) {
                            tracing::error!(%error, "a filter of the history cannot be removed");
                        }
                    }
                }
                Ok(Passed {
                    is_done: true,
                    destroyed: self.settle_superseded(ring)?,
                    ..Passed::default()
                })
            }
        }
    }

    fn begin_pass(
        &mut self,
        period: PeriodKey,
        keys: BTreeSet<KeyId>,
        seals: Option<BTreeMap<KeyId, Arc<SealKey>>>,
        even_if_all_stay: bool,
    ) {
        if let Some(before) = self.pass.take() {
            self.discard(before);
        }
        self.pass = Some(Pass {
            period,
            keys,
            seals,
            even_if_all_stay,
            at: At { part: 1, offset: 0 },
            drafts: Vec::new(),
            moved: Vec::new(),
            volumes: BTreeMap::new(),
            passed: Passed::default(),
        });
    }

    fn discard(&self, pass: Pass<D>) {
        self.files.discard(pass.drafts);
        pass.volumes.into_values().for_each(Volume::discard);
    }

    /// Judges some blocks; whether that was all.
    fn step(
        &mut self,
        pass: &mut Pass<D>,
        judge: &Judge,
        ring: &KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, OrderError> {
        let (mut blocks, mut looked_at, mut next, mut is_unsynced) = (Vec::new(), 0, None, false);
        let files = &self.files;
        let damaged = files.scan(&pass.period, pass.at, |at, header| {
            if blocks.len() == BLOCKS_MAX || looked_at == HEADERS_MAX {
                next = Some(at);
                return ControlFlow::Break(());
            }
            looked_at += 1;
            if pass.keys.contains(&header.key) && !files.is_superseded(header.key) {
                if pass.seals.is_some() && !files.is_noted(&pass.period, at) {
                    is_unsynced = true;
                    return ControlFlow::Break(());
                }
                blocks.push((at, header));
            }
            ControlFlow::Continue(())
        })?;
        self.counts.unreadable += damaged;
        if is_unsynced {
            return Err(OrderError::NotSynced(pass.period.to_string()));
        }
        for (at, header) in blocks {
            self.judge_block(pass, at, &header, judge, ring, rng)?;
        }
        if let Some(next) = next {
            pass.at = next;
        }
        Ok(next.is_none())
    }

    fn judge_block(
        &mut self,
        pass: &mut Pass<D>,
        at: At,
        header: &Header,
        judge: &Judge,
        ring: &KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), OrderError> {
        // One that cannot be read now must not go for that.
        let seal = ring.get(header.key).ok_or_else(|| ring.key_is_lost(header.key))?;
        let sealed_at = At {
            part: at.part,
            offset: at.offset + header.header_len() as u64,
        };
        let mut sealed = self
            .files
            .read(&pass.period, sealed_at, header.sealed_len as usize)?;
        let mut staying = Part::default();
        let mut held: BTreeMap<u32, Part> = BTreeMap::new();
        let (mut judged, passed) = (0, &mut pass.passed);
        let opened = header.open(&mut sealed, &seal, Purpose::Sweep, |mut reading| {
            each_record(&mut reading, header.class, |record| {
                match judge.of(header.account, record) {
                    Fate::Stay => {
                        staying.push(header, judged, record);
                        passed.stayed += 1;
                    }
                    Fate::Go => passed.gone += 1,
                    Fate::Vault(holds) => {
                        for hold in holds {
                            held.entry(hold).or_default().push(header, judged, record);
                        }
                        passed.vaulted += 1;
                    }
                }
                judged += 1;
            });
        });
        // What does not open is as good as gone, and takes no other with it (ENC-4).
        if !matches!(opened, Ok(true)) || judged < usize::from(header.count()) {
            tracing::error!(account = %header.account, "a block of finished messages does not open");
            self.counts.unreadable += 1;
        }
        for (hold, part) in held {
            let volume = match pass.volumes.remove(&(hold, header.key)) {
                Some(volume) => volume,
                None => self.volume(hold, header.class, header.key, ring)?,
            };
            let volume = pass.volumes.entry((hold, header.key)).or_insert(volume);
            if let Some(octets) = part.sealed(volume.seal(), rng)? {
                volume.write(&octets)?;
            }
        }
        let new = pass.seals.as_ref().and_then(|seals| seals.get(&header.key));
        if let Some(new) = new
            && let Some(octets) = staying.sealed(new, rng)?
        {
            let is_full = |draft: &Draft<D::File>| draft.is_full_with(octets.len());
            if pass.drafts.last().is_none_or(is_full) {
                let draft = self.files.draft(&pass.period, pass.drafts.len() + 1)?;
                pass.drafts.push(draft);
            }
            if let Some(draft) = pass.drafts.last_mut() {
                let offset = Files::<D>::write_draft(draft, &octets)?;
                pass.moved.push((at, pass.drafts.len() - 1, offset));
            }
        }
        Ok(())
    }

    /// The vault first, then the note, then the keys (RET-7).
    fn finish_pass(&mut self, pass: Pass<D>, ring: &mut KeyRing<D>) -> Result<Passed, OrderError> {
        let Pass {
            period,
            keys,
            seals,
            even_if_all_stay,
            drafts,
            moved,
            volumes,
            mut passed,
            ..
        } = pass;
        passed.is_done = true;
        self.keep_volumes(volumes.into_values())?;
        let Some(seals) = seals else {
            return Ok(passed);
        };
        if passed.gone + passed.vaulted == 0 && !even_if_all_stay {
            self.files.discard(drafts);
            self.drop_unused(&period, seals.into_values(), ring)?;
            return Ok(passed);
        }
        if drafts.is_empty() {
            // Nothing stays: the keys are all that there is to it.
            self.drop_filter(&period)?;
            passed.destroyed = ring.destroy_many(&keys.iter().copied().collect::<Vec<_>>())?;
            self.drop_unused(&period, seals.into_values(), ring)?;
            return Ok(passed);
        }
        let first = match self.files.adopt(&period, &drafts, keys.into_iter()) {
            Ok(first) => first,
            Err(error) => {
                self.files.discard(drafts);
                return Err(error.into());
            }
        };
        self.has_moved(&period, first, &moved)?;
        self.drop_filter(&period)?;
        passed.destroyed = self.settle_superseded(ring)?;
        Ok(passed)
    }

    /// Looks and indexes learn of blocks in parts from `first` on.
    fn has_moved(&mut self, period: &PeriodKey, first: u32, moved: &[(At, usize, u64)]) -> io::Result<()> {
        if self.moved.len() + moved.len() > MOVED_MAX {
            self.moved.clear();
        }
        self.passes += 1;
        self.sums.clear();
        for (at, draft, offset) in moved.iter().take(MOVED_MAX) {
            let part = first.saturating_add(u32::try_from(*draft).unwrap_or(u32::MAX));
            let there = At {
                part,
                offset: *offset,
            };
            self.moved.insert((period.clone(), *at), (there, self.passes));
        }
        // What waits for the index waits in the order of the files; an index takes no more than what is noted.
        let waits_noted =
            |blocks: &[(At, Header)]| blocks.iter().all(|(at, _)| self.files.is_noted(period, *at));
        match self.fresh.get(period) {
            None => return Ok(()),
            Some(blocks) if waits_noted(blocks) => {
                self.fresh.remove(period);
                return Ok(());
            }
            Some(_) => {}
        }
        let mut found = Vec::new();
        let from = At {
            part: first,
            offset: 0,
        };
        let scanned = self.files.scan(period, from, |at, header| {
            found.push((at, header));
            ControlFlow::Continue(())
        });
        match scanned {
            Ok(_) => self.fresh.entry(period.clone()).or_default().extend(found),
            // What stays must be found: its index is made anew from all of the file.
            Err(error) => {
                tracing::error!(%error, "blocks that were sealed anew are indexed with all others of their file");
                self.fresh.remove(period);
                self.indexes.drop_index(period);
            }
        }
        Ok(())
    }

    /// Destroys what is superseded, and forgets it.
    fn settle_superseded(&mut self, ring: &mut KeyRing<D>) -> Result<Vec<Destroyed>, OrderError> {
        let keys = self.files.write_superseded()?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let destroyed = ring.destroy_many(&keys)?;
        self.files.forget_superseded()?;
        Ok(destroyed)
    }

    /// Of keys that were made for nothing, those go under which nothing lies.
    fn drop_unused(
        &self,
        period: &PeriodKey,
        seals: impl Iterator<Item = Arc<SealKey>>,
        ring: &mut KeyRing<D>,
    ) -> Result<(), OrderError> {
        let mut unused: BTreeSet<KeyId> = seals.map(|seal| seal.id()).collect();
        self.files.scan(period, At { part: 1, offset: 0 }, |_, header| {
            unused.remove(&header.key);
            ControlFlow::Continue(())
        })?;
        ring.destroy_many(&unused.into_iter().collect::<Vec<_>>())?;
        Ok(())
    }
}

/// The key that an owner's records come to lie under: the newest, if it is none of those that go and not too old, or
/// another.
fn another_key<D: Disk>(
    ring: &mut KeyRing<D>,
    owner: PeriodOwner,
    going: &BTreeSet<KeyId>,
    fresh_since_ms: u64,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<Arc<SealKey>, OrderError> {
    let newest = ring.period_key_of(owner).filter(|key| !going.contains(key));
    let newest = newest.filter(|key| {
        ring.period_of(*key)
            .is_some_and(|(_, made_ms)| made_ms >= fresh_since_ms)
    });
    match newest.and_then(|key| ring.get(key)) {
        Some(seal) => Ok(seal),
        None => Ok(ring.make(Owner::Period(owner), now_ms, rng)?),
    }
}

/// Goes through what a block holds.
pub(super) fn each_record(reading: &mut Reading<'_>, class: Kept, mut each: impl FnMut(Record<'_>)) {
    match class {
        Kept::Meta => {
            while let Some(meta) = reading.meta() {
                each(Record::Meta(&meta));
            }
        }
        Kept::Body => {
            while let Some(text) = reading.next_text() {
                each(Record::Text(&text));
            }
        }
    }
}
