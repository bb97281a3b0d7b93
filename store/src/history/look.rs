//! Finding what is kept: by message, by account and time, by recipient; a slice at a time, because whoever looks shares a
//! thread with who writes.

use std::collections::{BTreeSet, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::path::PathBuf;

use tidegate_codec::identity::SystemId;

use super::columns::Reading;
use super::files::{At, Files, PeriodKey};
use super::index::{Asked, Index};
use super::meta::Text;
use super::{GatherKey, History, Kept, Meta, id_print};
use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::message_id::MessageId;
use crate::seal::Purpose;
use crate::tree::TreeError;

/// Indexes that are open at a time.
const OPEN_MAX: usize = 16;
/// Blocks without an index before they are given to it: each time costs two syncs.
const FRESH_MIN: usize = 64;
/// And how many may wait for one that cannot be written.
const FRESH_MAX: usize = 4_096;
/// Blocks that an index takes in at once where it lies behind its files.
const CATCH_UP: usize = 4_096;
/// Blocks that are opened in one slice.
const BLOCKS_MAX: usize = 64;
/// Blocks of an account that are looked up in an index in one slice.
const SCAN_MAX: usize = if cfg!(test) { 50 } else { 512 };
/// Periods that are passed over for their filters in one slice.
const PASS_MAX: usize = 1_024;
/// Days behind its acceptance in which a message may end; what ends later is looked for by its account.
const LATEST_DAYS: u32 = 70;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All legs of a message.
    Id(MessageId),
    /// What ended for an account in a span of unix milliseconds, both ends included.
    Account {
        /// Whose.
        account: SystemId,
        /// From when on.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// What went to a number for an account.
    Recipient {
        /// Whose.
        account: SystemId,
        /// The number's digits, as submitted but for a plus.
        digits: Vec<u8>,
    },
}

/// How far a look has come; begins with the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The period that is looked through, or the last that was; `None` before the first.
    period: Option<PeriodKey>,
    /// What is still to be done in it; `None` when it is through.
    within: Option<Within>,
}

/// How far a look has come in a period. Both are about what was there when it was begun with, so that nothing is passed
/// over or opened twice whatever is written meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Within {
    /// Blocks that are still to be opened.
    rest: VecDeque<At>,
    /// Where its index is gone on with; `None` when all its blocks are known.
    scan: Option<Vec<u8>>,
    /// Where what its index was asked about ends.
    end: At,
    /// How many passes had sealed blocks anew then.
    since: u64,
    /// The filter has said that the period may hold it.
    was_filtered: bool,
    /// And it does.
    has_found: bool,
}

impl Cursor {
    /// Behind a period.
    const fn behind(period: PeriodKey) -> Self {
        Self {
            period: Some(period),
            within: None,
        }
    }
}

/// What a slice of a look has found.
#[derive(Debug, Default)]
pub struct Looked {
    /// Messages, with their accounts; where [`Kept::Meta`] was asked for.
    pub metas: Vec<(SystemId, Meta)>,
    /// Texts, where [`Kept::Body`] was asked for.
    pub texts: Vec<(SystemId, Text)>,
    /// Blocks that do not open, and may hold more.
    pub unreadable: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// The indexes that are open, the one used last in front.
pub(super) struct Indexes {
    dir: Option<PathBuf>,
    open: VecDeque<(PeriodKey, Index)>,
    pub(super) rebuilt: u64,
    /// Stretches of files that hold no block, as they were met.
    pub(super) damaged: u64,
}

impl Indexes {
    pub(super) const fn new(dir: Option<PathBuf>) -> Self {
        Self {
            dir,
            open: VecDeque::new(),
            rebuilt: 0,
            damaged: 0,
        }
    }

    /// Those that are open, the one used last in front.
    #[cfg(test)]
    pub(super) fn opened(&self) -> impl Iterator<Item = &PeriodKey> {
        self.open.iter().map(|(key, _)| key)
    }

    fn path(&self, key: &PeriodKey) -> Option<PathBuf> {
        let dir = self.dir.as_ref()?;
        Some(dir.join(key.group()).join(key.name()))
    }

    /// The index of a period, brought up to `end` from the files; `None` when that took as much as is done at once, and there is
    /// more to do.
    pub(super) fn of<D: Disk>(
        &mut self,
        key: &PeriodKey,
        files: &Files<D>,
        end: At,
    ) -> Result<Option<&mut Index>, TreeError> {
        if let Some(place) = self.open.iter().position(|(there, _)| there == key) {
            if let Some(found) = self.open.remove(place) {
                self.open.push_front(found);
            }
        } else {
            let path = self.path(key);
            let index = Index::open(path.as_deref(), end)?;
            self.open.truncate(OPEN_MAX - 1);
            self.open.push_front((key.clone(), index));
        }
        let (_, index) = self.open.front_mut().ok_or(TreeError::Garbled)?;
        if index.upto() < end {
            let mut blocks = Vec::new();
            let mut stopped = None;
            let damaged = files.scan(key, index.upto(), |at, header| {
                if at >= end {
                    return ControlFlow::Break(());
                }
                if blocks.len() == CATCH_UP {
                    stopped = Some(at);
                    return ControlFlow::Break(());
                }
                blocks.push((at, header));
                ControlFlow::Continue(())
            })?;
            self.damaged += damaged;
            index.apply(&blocks, stopped.unwrap_or(end))?;
            if stopped.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(index))
    }

    /// Lets go of the index of a period that is removed.
    pub(super) fn forget(&mut self, key: &PeriodKey) -> std::io::Result<()> {
        self.open.retain(|(there, _)| there != key);
        self.path(key).map_or(Ok(()), |path| crate::tree::remove(&path))
    }

    /// Drops an index with its directory: it is made anew when it is asked next.
    pub(super) fn drop_index(&mut self, key: &PeriodKey) {
        self.open.retain(|(there, _)| there != key);
        self.rebuilt += 1;
        if let Some(path) = self.path(key)
            && let Err(error) = crate::tree::remove(&path)
        {
            tracing::error!(%error, "an index of finished messages cannot be removed");
        }
    }
}

impl<D: Disk> History<D> {
    /// Gives blocks that are synced to their indexes, where there are enough of them. What cannot be indexed now stays
    /// in memory, and is found there.
    pub(super) fn index_fresh(&mut self) {
        let ready: Vec<PeriodKey> = self
            .fresh
            .iter()
            .filter(|(_, blocks)| blocks.len() >= FRESH_MIN)
            .map(|(key, _)| key.clone())
            .collect();
        for key in ready {
            let Some(blocks) = self.fresh.remove(&key) else {
                continue;
            };
            let first = blocks.first().map_or_else(|| self.files.end(&key), |(at, _)| *at);
            let end = self.files.end(&key);
            let applied = match self.indexes.of(&key, &self.files, first) {
                Ok(Some(index)) => index.apply(&blocks, end).map(|()| true),
                Ok(None) => Ok(false),
                Err(error) => Err(error),
            };
            if let Err(error) = &applied {
                tracing::warn!(%error, "finished messages cannot be indexed now");
                if !error.is_of_disk() {
                    self.indexes.drop_index(&key);
                }
            }
            // What is let go of is read from the files when the index is made.
            if !matches!(applied, Ok(true)) && blocks.len() < FRESH_MAX {
                self.fresh.insert(key, blocks);
            }
        }
    }

    /// Looks for what is kept of one class, a slice at a time: periods that their filters let pass over, then one more, and
    /// a bounded number of its blocks. Keys that were destroyed open nothing: what they sealed is not found.
    ///
    /// # Errors
    ///
    /// An index cannot be read or made.
    pub fn look(
        &mut self,
        query: &Query,
        class: Kept,
        mut cursor: Cursor,
        ring: &KeyRing<D>,
        purpose: Purpose,
    ) -> Result<Looked, TreeError> {
        let mut looked = Looked::default();
        let Some(asked) = self.asked(query, ring) else {
            return Ok(looked);
        };
        let gathered = self
            .gathers
            .keys()
            .map(GatherKey::file)
            .filter(|key| key.class == class);
        let gathered: BTreeSet<PeriodKey> = gathered.collect();
        for _ in 0..PASS_MAX {
            let (period, within) = match cursor {
                Cursor {
                    period: Some(period),
                    within: Some(within),
                } => (period, within),
                Cursor { period: before, .. } => {
                    let Some(period) = self.next_period(query, class, before.as_ref(), &gathered) else {
                        return Ok(looked);
                    };
                    let may_hold = self.filters.ask(&period, self.files.end(&period), &asked);
                    if may_hold == Some(false) {
                        self.look_at_gathers(&period, query, &mut looked);
                        cursor = Cursor::behind(period);
                        continue;
                    }
                    let Some(within) = self.enter(&period, &asked, may_hold.is_some())? else {
                        // Its index is being made: the same again, until it is there.
                        cursor = Cursor {
                            period: before,
                            within: None,
                        };
                        break;
                    };
                    // With the blocks: what is gathered now may lie in a block by the next slice.
                    self.look_at_gathers(&period, query, &mut looked);
                    (period, within)
                }
            };
            cursor = self.go_on(period, within, (query, &asked), ring, purpose, &mut looked)?;
            let is_through = cursor.within.is_none();
            if is_through
                && self
                    .next_period(query, class, cursor.period.as_ref(), &gathered)
                    .is_none()
            {
                return Ok(looked);
            }
            break;
        }
        looked.next = Some(cursor);
        Ok(looked)
    }

    /// The next period behind another that may hold what is looked for.
    fn next_period(
        &self,
        query: &Query,
        class: Kept,
        before: Option<&PeriodKey>,
        gathered: &BTreeSet<PeriodKey>,
    ) -> Option<PeriodKey> {
        let days = |from_ms: u64, to_ms: u64| {
            let day = |ms: u64| u32::try_from(ms / (24 * super::HOUR_MS)).unwrap_or(u32::MAX);
            // A file holds a week at most, and what counts from its acceptance may have ended long behind it.
            day(from_ms).saturating_sub(LATEST_DAYS + 7)..=day(to_ms)
        };
        let days = match query {
            Query::Id(id) => days(
                id.ms(),
                id.ms()
                    .saturating_add(u64::from(LATEST_DAYS) * 24 * super::HOUR_MS),
            ),
            Query::Account { from_ms, to_ms, .. } => days(*from_ms, *to_ms),
            Query::Recipient { .. } => 0..=u32::MAX,
        };
        let from = before.map_or(Bound::Unbounded, |before| Bound::Excluded(before.clone()));
        let is_meant = |key: &&PeriodKey| key.class == class && days.contains(&key.day);
        let filed = self.files.periods_from(from.clone()).find(is_meant);
        let gathered = gathered.range((from, Bound::Unbounded)).find(is_meant);
        filed.into_iter().chain(gathered).min().cloned()
    }

    /// Goes on in a period: with the blocks that are known, or with what its index knows more.
    fn go_on(
        &mut self,
        period: PeriodKey,
        mut within: Within,
        (query, asked): (&Query, &Asked),
        ring: &KeyRing<D>,
        purpose: Purpose,
        looked: &mut Looked,
    ) -> Result<Cursor, TreeError> {
        if within.rest.is_empty() && within.scan.is_some() {
            let mut found = Vec::new();
            let from = within.scan.take();
            // `None`: its index was dropped and is being made; then it goes on where it was.
            within.scan = match self.scan(&period, asked, from.as_deref(), within.end, &mut found)? {
                Some(scan) => scan,
                None => from,
            };
            within.rest = found.into();
        }
        let count = within.rest.len().min(BLOCKS_MAX);
        for at in within.rest.drain(..count) {
            let at = self.now_at(&period, at, within.since);
            self.open_block(&period, at, query, ring, purpose, looked);
        }
        within.has_found |= !(looked.metas.is_empty() && looked.texts.is_empty());
        if !within.rest.is_empty() || within.scan.is_some() {
            return Ok(Cursor {
                period: Some(period),
                within: Some(within),
            });
        }
        self.filters.counts.in_vain += u64::from(within.was_filtered && !within.has_found);
        Ok(Cursor::behind(period))
    }

    fn asked(&mut self, query: &Query, ring: &KeyRing<D>) -> Option<Asked> {
        Some(match query {
            Query::Id(id) => Asked::Id(*id, id_print(*id)),
            Query::Account {
                account,
                from_ms,
                to_ms,
            } => Asked::Account(*account, *from_ms, *to_ms),
            Query::Recipient { account, digits } => {
                let printer = self.printer(ring, *account)?;
                Asked::Recipient(*account, super::recipient_hash(&printer, digits))
            }
        })
    }

    /// Begins with a period: which of its blocks may hold what is asked for, as far as its index says at once; `None` while
    /// that is being made.
    fn enter(
        &mut self,
        period: &PeriodKey,
        asked: &Asked,
        was_filtered: bool,
    ) -> Result<Option<Within>, TreeError> {
        let end = self.indexed_upto(period);
        let mut found = Vec::new();
        let Some(scan) = self.scan(period, asked, None, end, &mut found)? else {
            return Ok(None);
        };
        let fresh = self.fresh.get(period).into_iter().flatten();
        let fresh = fresh.filter(|(_, header)| asked.may_be_in(header));
        found.extend(fresh.map(|(at, _)| *at));
        found.sort_unstable();
        Ok(Some(Within {
            rest: found.into(),
            scan,
            end,
            since: self.passes,
            was_filtered,
            has_found: false,
        }))
    }

    /// Up to where an index is to know a period: what lies behind is in memory.
    pub(super) fn indexed_upto(&self, period: &PeriodKey) -> At {
        let fresh = self.fresh.get(period);
        let first = fresh.and_then(|blocks| blocks.first()).map(|(at, _)| *at);
        first.unwrap_or_else(|| self.files.end(period))
    }

    /// Asks the index of a period for blocks before `end` that may hold what is asked for, and where to go on. `None` while it
    /// is being made.
    fn scan(
        &mut self,
        period: &PeriodKey,
        asked: &Asked,
        from: Option<&[u8]>,
        end: At,
        found: &mut Vec<At>,
    ) -> Result<Option<Option<Vec<u8>>>, TreeError> {
        if !self.files.has(period) {
            return Ok(Some(None));
        }
        let upto = self.indexed_upto(period);
        let find = |indexes: &mut Indexes, found: &mut Vec<At>| {
            found.clear();
            let Some(index) = indexes.of(period, &self.files, upto)? else {
                return Ok(None);
            };
            let next = index.find(asked, from, SCAN_MAX, |at, _| {
                // An index that was half made knows some of what is in memory; and of what is new since it was begun
                // with, that was looked at then.
                if at < end {
                    found.push(at);
                }
            })?;
            Ok(Some(next))
        };
        match find(&mut self.indexes, found) {
            Err(error) if !TreeError::is_of_disk(&error) => {
                tracing::error!(%error, "an index of finished messages is made anew");
                self.indexes.drop_index(period);
                find(&mut self.indexes, found)
            }
            done => done,
        }
    }

    fn open_block(
        &mut self,
        period: &PeriodKey,
        at: At,
        query: &Query,
        ring: &KeyRing<D>,
        purpose: Purpose,
        looked: &mut Looked,
    ) {
        let header = match self.files.header(period, at) {
            Ok(Some(header)) => header,
            Ok(None) | Err(_) => {
                // The whole file may have gone since, with its keys; else it is damaged.
                let is_there = self.files.has(period);
                self.counts.unreadable += u64::from(is_there);
                looked.unreadable += u64::from(is_there);
                return;
            }
        };
        let is_superseded = self.files.is_superseded(header.key);
        let Some(key) = ring.get(header.key).filter(|_| !is_superseded) else {
            // Its slot cannot be read, which is not gone.
            let is_lost = !is_superseded && ring.has(header.key);
            self.counts.unreadable += u64::from(is_lost);
            looked.unreadable += u64::from(is_lost);
            return;
        };
        let sealed_at = At {
            part: at.part,
            offset: at.offset + header.header_len() as u64,
        };
        let opened = match self.files.read(period, sealed_at, header.sealed_len as usize) {
            Ok(mut sealed) => header.open(&mut sealed, &key, purpose, |reading| {
                take(reading, header.class, header.account, query, looked);
            }),
            Err(error) => {
                tracing::error!(%error, "finished messages cannot be read");
                self.counts.unreadable += 1;
                looked.unreadable += 1;
                return;
            }
        };
        if !matches!(opened, Ok(true)) {
            tracing::error!(account = %header.account, "a block of finished messages does not open");
            self.counts.unreadable += 1;
            looked.unreadable += 1;
        }
    }

    /// Where a block stands that was found at a place before so many passes: what of it stays may have been sealed anew
    /// since, and then stands elsewhere.
    fn now_at(&self, period: &PeriodKey, mut at: At, since: u64) -> At {
        while let Some((there, pass)) = self.moved.get(&(period.clone(), at))
            && *pass > since
        {
            at = *there;
        }
        at
    }

    /// What is not in a block yet.
    fn look_at_gathers(&self, period: &PeriodKey, query: &Query, looked: &mut Looked) {
        for (key, gather) in self.gathers.iter().filter(|(key, _)| key.file() == *period) {
            let may_be_here = match query {
                Query::Id(id) => gather.ids.contains(id),
                Query::Account { account, .. } | Query::Recipient { account, .. } => key.account == *account,
            };
            if may_be_here {
                let octets = zeroize::Zeroizing::new(gather.columns.octets());
                if let Some(reading) = Reading::new(&octets, gather.columns.count()) {
                    take(reading, key.class, key.account, query, looked);
                }
            }
        }
    }
}

/// Takes the records that are meant.
fn take(mut reading: Reading<'_>, class: Kept, account: SystemId, query: &Query, looked: &mut Looked) {
    let is_meant = |id: MessageId, final_ms: u64, digits: &[u8]| match query {
        Query::Id(meant) => id == *meant,
        Query::Account {
            account: meant,
            from_ms,
            to_ms,
        } => account == *meant && (*from_ms..=*to_ms).contains(&final_ms),
        Query::Recipient {
            account: meant,
            digits: of,
        } => account == *meant && digits.strip_prefix(b"+").unwrap_or(digits) == of.as_slice(),
    };
    match class {
        Kept::Meta => {
            while let Some(meta) = reading.meta() {
                if is_meant(meta.id, meta.final_ms, meta.person().as_bytes()) {
                    looked.metas.push((account, meta));
                }
            }
        }
        Kept::Body => {
            while let Some(text) = reading.next_text() {
                if is_meant(text.id, text.final_ms, &[]) {
                    looked.texts.push((account, text));
                }
            }
        }
    }
}
