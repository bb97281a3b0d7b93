//! The index of one period: where its blocks lie, found by message id, by account and time, and by recipient. It is made
//! of the blocks' headers, lies in a sled database of its own, and is made anew whenever it is in doubt.
//!
//! ```text
//! "m"                                                        → version, how far the files are indexed, widths that occur
//! "i" │ width u8 │ first id u64 │ part u32 │ offset u64      → the block's header
//! "a" │ account 16 octets │ first end u64 │ part │ offset    → width, first id, last end
//! ```
//!
//! *Width* is how many bits the difference of a block's last and first id needs: blocks of one width that hold an id begin
//! within that distance before it, so that a few short scans find them.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_codec::identity::SystemId;

use super::block::Header;
use super::files::At;
use crate::message_id::MessageId;
use crate::tree::{self, BATCH_MAX, Batch, Tree, TreeError};

const VERSION: u8 = 1;
const MARKER: &[u8] = b"m";
/// Octets of a key of a block by id.
const BY_ID_LEN: usize = 1 + 1 + 8 + 4 + 8;

/// Where an index is kept.
enum Kept {
    Sled(Tree),
    /// Where there is no directory for it: it is made of the files when it is opened.
    Memory(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// See the [module](self).
pub(super) struct Index {
    kept: Kept,
    /// Up to where the files are indexed.
    upto: At,
    /// Bit w is set when there is a block of width w.
    widths: u128,
}

/// What is looked for in a period.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// A message, by its id and the print of that.
    Id(MessageId, u16),
    /// What ended for an account in a span of unix milliseconds, both ends included.
    Account(SystemId, u64, u64),
    /// What went to a recipient for an account, by the hash that is keyed for that.
    Recipient(SystemId, u64),
}

impl Asked {
    /// Whether a block may hold it.
    pub(super) fn may_be_in(&self, header: &Header) -> bool {
        match self {
            Self::Id(id, print) => {
                (header.first_id..=header.last_id).contains(id) && header.ids.contains(print)
            }
            Self::Account(account, from_ms, to_ms) => {
                header.account == *account && header.first_ms <= *to_ms && header.last_ms >= *from_ms
            }
            Self::Recipient(account, hash) => {
                header.account == *account && header.recipients.contains(&super::print(*hash))
            }
        }
    }
}

impl Index {
    /// Opens the one in a directory, or an empty one; one that cannot be used is dropped, and the caller makes it anew from
    /// the files. `end` is where these end: an index that goes further is of others.
    pub(super) fn open(dir: Option<&Path>, end: At) -> Result<Self, TreeError> {
        let Some(dir) = dir else {
            return Ok(Self::empty(Kept::Memory(BTreeMap::new())));
        };
        match Self::opened(dir, end) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(error) if error.is_of_disk() => return Err(error),
            Err(error) => {
                tracing::error!(%error, dir = %dir.display(), "an index of finished messages is made anew");
            }
        }
        tree::remove(dir)?;
        let mut index = Self::empty(Kept::Sled(Tree::open(dir)?));
        index.apply(&[], index.upto)?;
        Ok(index)
    }

    fn opened(dir: &Path, end: At) -> Result<Option<Self>, TreeError> {
        let is_new = !dir.try_exists()?;
        let tree = Tree::open(dir)?;
        if is_new {
            let mut index = Self::empty(Kept::Sled(tree));
            index.apply(&[], index.upto)?;
            return Ok(Some(index));
        }
        let marker = tree.get(MARKER)?;
        let Some((upto, widths)) = marker.as_deref().and_then(read_marker) else {
            return Ok(None);
        };
        Ok((upto <= end).then_some(Self {
            kept: Kept::Sled(tree),
            upto,
            widths,
        }))
    }

    fn empty(kept: Kept) -> Self {
        Self {
            kept,
            upto: At { part: 1, offset: 0 },
            widths: 0,
        }
    }

    /// Up to where the files are indexed.
    pub(super) const fn upto(&self) -> At {
        self.upto
    }

    /// Takes blocks in, in the order of the files; `upto` is where these end then.
    pub(super) fn apply(&mut self, blocks: &[(At, Header)], upto: At) -> Result<(), TreeError> {
        // Two entries a block, and the marker with the last ones.
        let mut bunches = blocks.chunks((BATCH_MAX - 1) / 2).peekable();
        loop {
            let bunch = bunches.next().unwrap_or_default();
            let next = bunches.peek().and_then(|bunch| bunch.first());
            let upto = next.map_or(upto, |(at, _)| *at);
            self.apply_bunch(bunch, upto)?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn apply_bunch(&mut self, blocks: &[(At, Header)], upto: At) -> Result<(), TreeError> {
        let mut puts = Vec::with_capacity(blocks.len() * 2 + 1);
        let mut widths = self.widths;
        for (at, header) in blocks {
            let width = width_of(header);
            widths |= 1 << width;
            let mut value = Vec::new();
            header.put(&mut value);
            puts.push((by_id(width, header.first_id, *at), value));
            let mut value = vec![width];
            value.extend_from_slice(&header.first_id.0.to_be_bytes());
            value.extend_from_slice(&header.last_ms.to_be_bytes());
            puts.push((by_account(header, *at), value));
        }
        let mut marker = vec![VERSION];
        put_at(&mut marker, upto);
        marker.extend_from_slice(&widths.to_be_bytes());
        puts.push((MARKER.to_vec(), marker));
        match &mut self.kept {
            Kept::Memory(map) => map.extend(puts),
            Kept::Sled(tree) => {
                let mut batch = Batch::default();
                puts.iter().for_each(|(key, value)| batch.put(key, value));
                tree.apply(batch)?;
            }
        }
        (self.upto, self.widths) = (upto, widths);
        Ok(())
    }

    fn scan_from(&self, from: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), TreeError> {
        match &self.kept {
            Kept::Memory(map) => {
                for (key, value) in map.range(from.to_vec()..) {
                    if !each(key, value) {
                        break;
                    }
                }
                Ok(())
            }
            Kept::Sled(tree) => tree.scan_from(from, each),
        }
    }

    /// The blocks that may hold what is asked for. Blocks of an account are gone through from `from` on, at most `max` of them:
    /// what is given back is where to go on, `None` at the end. An entry that makes no sense is an error: the index is to
    /// be made anew.
    pub(super) fn find(
        &self,
        asked: &Asked,
        from: Option<&[u8]>,
        max: usize,
        mut each: impl FnMut(At, Header),
    ) -> Result<Option<Vec<u8>>, TreeError> {
        match asked {
            Asked::Id(id, _) => {
                for width in (0..=64u8).filter(|width| self.widths & 1 << width != 0) {
                    self.find_by_id(width, *id, asked, &mut each)?;
                }
                Ok(None)
            }
            Asked::Recipient(account, _) => self.find_of(*account, u64::MAX, from, max, asked, each),
            Asked::Account(account, _, to_ms) => self.find_of(*account, *to_ms, from, max, asked, each),
        }
    }

    /// Blocks of an account that begin until then.
    fn find_of(
        &self,
        account: SystemId,
        to_ms: u64,
        from: Option<&[u8]>,
        max: usize,
        asked: &Asked,
        mut each: impl FnMut(At, Header),
    ) -> Result<Option<Vec<u8>>, TreeError> {
        let mut prefix = vec![b'a'];
        prefix.extend_from_slice(&padded(&account));
        let (mut places, mut next, mut whole) = (Vec::new(), None, true);
        self.scan_from(from.unwrap_or(&prefix), |key, value| {
            if !key.starts_with(&prefix) {
                return false;
            }
            if places.len() == max {
                next = Some(key.to_vec());
                return false;
            }
            match read_by_account(key, value) {
                Some((first_ms, _)) if first_ms > to_ms => return false,
                Some((_, place)) => places.push(place),
                None => whole = false,
            }
            whole
        })?;
        for (width, first_id, at) in places {
            let key = by_id(width, first_id, at);
            let Some(header) = self.get(&key)?.and_then(|value| Header::read(&value)) else {
                return Err(TreeError::Garbled);
            };
            if asked.may_be_in(&header) {
                each(at, header);
            }
        }
        if whole { Ok(next) } else { Err(TreeError::Garbled) }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        match &self.kept {
            Kept::Memory(map) => Ok(map.get(key).cloned()),
            Kept::Sled(tree) => tree.get(key),
        }
    }

    /// Blocks of a width that may hold an id.
    fn find_by_id(
        &self,
        width: u8,
        id: MessageId,
        asked: &Asked,
        each: &mut impl FnMut(At, Header),
    ) -> Result<(), TreeError> {
        let reach = 1u64.checked_shl(width.into()).map_or(u64::MAX, |reach| reach - 1);
        let first = MessageId(id.0.saturating_sub(reach));
        let from = by_id(width, first, At { part: 0, offset: 0 });
        let mut whole = true;
        self.scan_from(&from, |key, value| {
            if key.first() != Some(&b'i') {
                return false;
            }
            let Some((at, header)) = read_by_id(key).zip(Header::read(value)) else {
                whole = false;
                return false;
            };
            if header.first_id > id || width_of(&header) != width {
                return false;
            }
            if asked.may_be_in(&header) {
                each(at, header);
            }
            true
        })?;
        if whole { Ok(()) } else { Err(TreeError::Garbled) }
    }
}

fn width_of(header: &Header) -> u8 {
    let difference = header.last_id.0.wrapping_sub(header.first_id.0);
    u8::try_from(u64::BITS - difference.leading_zeros()).unwrap_or(64)
}

fn padded(account: &SystemId) -> [u8; 16] {
    let mut name = [0; 16];
    let octets = account.as_bytes();
    name[..octets.len()].copy_from_slice(octets);
    name
}

fn put_at(out: &mut Vec<u8>, at: At) {
    out.extend_from_slice(&at.part.to_be_bytes());
    out.extend_from_slice(&at.offset.to_be_bytes());
}

fn read_at(octets: &[u8]) -> Option<At> {
    let (part, offset) = octets.split_first_chunk()?;
    Some(At {
        part: u32::from_be_bytes(*part),
        offset: u64::from_be_bytes(*offset.first_chunk()?),
    })
}

fn by_id(width: u8, first_id: MessageId, at: At) -> Vec<u8> {
    let mut key = vec![b'i', width];
    key.extend_from_slice(&first_id.0.to_be_bytes());
    put_at(&mut key, at);
    key
}

fn read_by_id(key: &[u8]) -> Option<At> {
    let key: &[u8; BY_ID_LEN] = key.try_into().ok()?;
    read_at(&key[10..])
}

fn by_account(header: &Header, at: At) -> Vec<u8> {
    let mut key = vec![b'a'];
    key.extend_from_slice(&padded(&header.account));
    key.extend_from_slice(&header.first_ms.to_be_bytes());
    put_at(&mut key, at);
    key
}

type Place = (u8, MessageId, At);

fn read_by_account(key: &[u8], value: &[u8]) -> Option<(u64, Place)> {
    let first_ms = u64::from_be_bytes(*key.get(17..)?.first_chunk()?);
    let at = read_at(key.get(25..)?)?;
    let (width, rest) = value.split_first()?;
    let first_id = MessageId(u64::from_be_bytes(*rest.first_chunk()?));
    Some((first_ms, (*width, first_id, at)))
}

fn read_marker(octets: &[u8]) -> Option<(At, u128)> {
    let (version, rest) = octets.split_first()?;
    let widths = u128::from_be_bytes(*rest.get(12..)?.first_chunk()?);
    (*version == VERSION).then_some((read_at(rest)?, widths))
}
