//! Finding what is kept: by message, by account and time, by recipient; a slice at a time, because whoever looks shares a
//! thread with who writes.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;

use tidegate_codec::identity::SystemId;

use super::block::Header;
use super::columns::{Reading, Text};
use super::files::{At, Files, PeriodKey};
use super::index::{Asked, Index};
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
/// Blocks that are opened in one slice.
const BLOCKS_MAX: usize = 64;
/// Days behind its acceptance in which a message may end; what ends later is looked for by its account.
const LATEST_DAYS: u32 = 31;

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
    /// The period that is looked through; `None` before the first.
    period: Option<PeriodKey>,
    /// Blocks of it that were opened.
    blocks: usize,
}

/// What a slice of a look has found.
#[derive(Debug, Default)]
pub struct Looked {
    /// Messages, with their accounts; where [`Kept::Meta`] was asked for.
    pub metas: Vec<(SystemId, Meta)>,
    /// Texts, where [`Kept::Body`] was asked for.
    pub texts: Vec<(SystemId, Text)>,
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

    fn path(&self, key: &PeriodKey) -> Option<PathBuf> {
        let dir = self.dir.as_ref()?;
        Some(dir.join(key.group()).join(key.name()))
    }

    /// The index of a period, brought up to `end` from the files.
    fn of<D: Disk>(&mut self, key: &PeriodKey, files: &Files<D>, end: At) -> Result<&mut Index, TreeError> {
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
            let damaged = files.scan(key, index.upto(), |at, header| {
                if at < end {
                    blocks.push((at, header));
                }
                Ok(())
            })?;
            self.damaged += damaged;
            index.apply(&blocks, end)?;
        }
        Ok(index)
    }

    /// Lets go of the index of a period that is removed.
    pub(super) fn forget(&mut self, key: &PeriodKey) -> std::io::Result<()> {
        self.open.retain(|(there, _)| there != key);
        self.path(key).map_or(Ok(()), |path| crate::tree::remove(&path))
    }

    /// Drops an index with its directory: it is made anew when it is asked next.
    fn drop_index(&mut self, key: &PeriodKey) {
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
            let applied = self
                .indexes
                .of(&key, &self.files, first)
                .and_then(|index| index.apply(&blocks, end));
            if let Err(error) = applied {
                tracing::warn!(%error, "finished messages cannot be indexed now");
                if !error.is_of_disk() {
                    self.indexes.drop_index(&key);
                }
                self.fresh.insert(key, blocks);
            }
        }
    }

    /// Looks for what is kept of one class, a slice at a time: one period, and a bounded number of its blocks. Keys that
    /// were destroyed open nothing: what they sealed is not found.
    pub fn look(
        &mut self,
        query: &Query,
        class: Kept,
        cursor: &Cursor,
        ring: &KeyRing<D>,
        purpose: Purpose,
    ) -> Result<Looked, TreeError> {
        let mut looked = Looked::default();
        let Some(period) = self.next_period(query, class, cursor) else {
            return Ok(looked);
        };
        // One that goes on stands in the period that it names.
        let skip = if cursor.period.as_ref() == Some(&period) {
            cursor.blocks
        } else {
            0
        };
        let Some(asked) = self.asked(query, ring) else {
            return Ok(looked);
        };
        let candidates = self.candidates(&period, &asked)?;
        let here: Vec<_> = candidates.iter().skip(skip).take(BLOCKS_MAX).cloned().collect();
        for (at, header) in &here {
            self.open_block(&period, *at, header, query, ring, purpose, &mut looked);
        }
        let blocks = skip + here.len();
        let is_through = blocks >= candidates.len();
        if is_through {
            self.look_at_gathers(&period, query, &mut looked);
        }
        let next = Cursor {
            period: Some(period),
            // More than there are: it goes on behind it.
            blocks: if is_through { usize::MAX } else { blocks },
        };
        looked.next = self.next_period(query, class, &next).is_some().then_some(next);
        Ok(looked)
    }

    /// The period to look through: that of the cursor while it is not through, or the next that may hold something.
    fn next_period(&self, query: &Query, class: Kept, cursor: &Cursor) -> Option<PeriodKey> {
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
        let gathered = self.gathers.keys().map(GatherKey::file);
        let known = self.files.periods().cloned().chain(gathered);
        let behind = |key: &PeriodKey| match &cursor.period {
            Some(period) if cursor.blocks == usize::MAX => key > period,
            Some(period) => key >= period,
            None => true,
        };
        known
            .filter(|key| key.class == class && days.contains(&key.day) && behind(key))
            .min()
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
                Asked::Recipient(*account, self.recipient_print(ring, *account, digits)?)
            }
        })
    }

    /// Blocks of a period that may hold what is asked for, in a fixed order.
    fn candidates(&mut self, period: &PeriodKey, asked: &Asked) -> Result<Vec<(At, Header)>, TreeError> {
        let mut found = Vec::new();
        if self.files.has(period) {
            let fresh = self.fresh.get(period).and_then(|blocks| blocks.first());
            let end = fresh.map_or_else(|| self.files.end(period), |(at, _)| *at);
            let find = |indexes: &mut Indexes, found: &mut Vec<(At, Header)>| {
                found.clear();
                indexes.of(period, &self.files, end)?.find(asked, |at, header| {
                    found.push((at, header));
                    ControlFlow::Continue(())
                })
            };
            match find(&mut self.indexes, &mut found) {
                Err(error) if !error.is_of_disk() => {
                    tracing::error!(%error, "an index of finished messages is made anew");
                    self.indexes.drop_index(period);
                    find(&mut self.indexes, &mut found)?;
                }
                done => done?,
            }
        }
        let fresh = self.fresh.get(period).into_iter().flatten();
        found.extend(fresh.filter(|(_, header)| asked.may_be_in(header)).cloned());
        Ok(found)
    }

    #[expect(clippy::too_many_arguments, reason = "a step of `look` with all that it has")]
    fn open_block(
        &mut self,
        period: &PeriodKey,
        at: At,
        header: &Header,
        query: &Query,
        ring: &KeyRing<D>,
        purpose: Purpose,
        looked: &mut Looked,
    ) {
        let Some(key) = ring.get(header.key) else {
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
                return;
            }
        };
        if !matches!(opened, Ok(true)) {
            tracing::error!(account = %header.account, "a block of finished messages does not open");
            self.counts.unreadable += 1;
        }
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
                if is_meant(meta.id, meta.final_ms, meta.destination.as_bytes()) {
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
