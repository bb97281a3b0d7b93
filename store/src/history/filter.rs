//! The filter of a period that is closed: whether the period may hold a message's id, or a number of an account, without a
//! look into its index. It lies beside the period's file and is kept in memory whole, 2.3 octets a record or a little more.
//!
//! ```text
//! magic u32 │ crc u32 │ version, class, whole u8 each, 0 u8 │ day u32 │ number of the length u32 │ up to: part u32, offset u64 │
//! keys u32, each u32 │ pieces u32, each: records u32 │ first and last id u64 │ filter of ids │ filter of recipients
//! filter: octets u32 │ descriptor 20 octets, as `xorf` writes it │ prints u8 each; or 0 octets and no more
//! ```
//!
//! A filter is made of the records themselves, for the blocks' headers hold 16 bits of an id, and among a million every
//! 16 bits are. Recipients are in it by 64 bits of a hash that is keyed for their account, never by a number. It is
//! bound to the keys of all that is in it: with the first that is destroyed it is dropped, so that it tells nothing of who
//! was erased.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter as _, FilterRef as _};

use super::files::{At, PeriodKey};
use super::index::Asked;
use super::{Kept, length_number};
use crate::message_id::MessageId;
use crate::seal::KeyId;

const MAGIC: &[u8; 4] = b"TGHF";
const VERSION: u8 = 1;
/// Where the part begins that the checksum covers.
const SUMMED_AT: usize = 8;
/// Records behind which a piece is closed: making one takes some 60 octets a record for a moment.
const PIECE_MIN: usize = if cfg!(test) { 300 } else { 1 << 18 };
/// Prints of one filter at most; there is none of that size.
const PRINTS_MAX: usize = 1 << 28;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Filter {
    /// Up to where the period's files are in it.
    pub(super) upto: At,
    /// Everything could be read that lies there. Else it knows nothing: who asks must look, and see that.
    pub(super) is_whole: bool,
    /// The keys of all that is in it, in order.
    keys: Vec<KeyId>,
    pieces: Vec<Piece>,
}

/// Some records that lie one behind the other.
#[derive(Debug)]
struct Piece {
    records: u32,
    first_id: MessageId,
    last_id: MessageId,
    /// `None`: nothing is in it.
    ids: Option<Prints>,
    recipients: Option<Prints>,
}

/// Eight bits of each of some hashes, by which one is known again; of those that it does not hold it takes one in 256 for
/// its own.
struct Prints {
    descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN],
    prints: Box<[u8]>,
}

impl std::fmt::Debug for Prints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prints({} octets)", self.prints.len())
    }
}

impl Prints {
    /// Of hashes that are in order, each once.
    fn of(hashes: &[u64]) -> Result<Option<Self>, &'static str> {
        if hashes.is_empty() {
            return Ok(None);
        }
        let made = BinaryFuse8::try_from(hashes)?;
        let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
        made.dma_copy_descriptor_to(&mut descriptor);
        Ok(Some(Self {
            descriptor,
            prints: made.fingerprints,
        }))
    }

    fn may_hold(&self, hash: u64) -> bool {
        BinaryFuse8Ref::from_dma(&self.descriptor, &self.prints).contains(&hash)
    }

    fn put(this: Option<&Self>, out: &mut Vec<u8>) {
        out.extend_from_slice(&count(this.map_or(0, |this| this.prints.len())));
        if let Some(Self { descriptor, prints }) = this {
            out.extend_from_slice(descriptor);
            out.extend_from_slice(prints);
        }
    }

    /// One whose lengths do not go together would be asked for prints that it does not have.
    fn fits(&self) -> bool {
        let Some((_seed, lengths)) = self.descriptor.split_first_chunk::<8>() else {
            return false;
        };
        let (lengths, _) = lengths.as_chunks::<4>();
        let [segment, mask, counted] = lengths else {
            return false;
        };
        let [segment, mask, counted] = [segment, mask, counted].map(|octets| u32::from_le_bytes(*octets));
        segment.is_power_of_two()
            && mask == segment - 1
            && counted > 0
            && counted.is_multiple_of(segment)
            && self.prints.len() <= PRINTS_MAX
            && u64::from(counted) + 2 * u64::from(segment) == self.prints.len() as u64
    }
}

impl Piece {
    fn octets(&self) -> usize {
        let prints = |of: &Option<Prints>| of.as_ref().map_or(0, |of| of.prints.len());
        size_of::<Self>() + prints(&self.ids) + prints(&self.recipients)
    }

    fn may_hold(&self, asked: &Asked) -> bool {
        let has = |of: &Option<Prints>, hash| of.as_ref().is_some_and(|of| of.may_hold(hash));
        match asked {
            Asked::Id(id, _) => (self.first_id..=self.last_id).contains(id) && has(&self.ids, id.0),
            Asked::Recipient(_, hash) => has(&self.recipients, *hash),
            Asked::Account(..) => true,
        }
    }
}

impl Filter {
    /// Octets of memory that it takes.
    pub(super) fn octets(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(Piece::octets).sum();
        size_of::<Self>() + self.keys.len() * size_of::<KeyId>() + pieces
    }

    /// Records that are in it.
    pub(super) fn records(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.records)).sum()
    }

    /// The keys of all that is in it.
    pub(super) fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// Whether what is asked for may be in it.
    pub(super) fn may_hold(&self, asked: &Asked) -> bool {
        !self.is_whole || self.pieces.iter().any(|piece| piece.may_hold(asked))
    }

    /// As its file has it.
    pub(super) fn put(&self, key: &PeriodKey) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[VERSION, key.class as u8, u8::from(self.is_whole), 0]);
        out.extend_from_slice(&key.day.to_be_bytes());
        out.extend_from_slice(&length_number(&key.length).to_be_bytes());
        out.extend_from_slice(&self.upto.part.to_be_bytes());
        out.extend_from_slice(&self.upto.offset.to_be_bytes());
        out.extend_from_slice(&count(self.keys.len()));
        for key in &self.keys {
            out.extend_from_slice(&key.0.to_be_bytes());
        }
        out.extend_from_slice(&count(self.pieces.len()));
        for piece in &self.pieces {
            out.extend_from_slice(&piece.records.to_be_bytes());
            out.extend_from_slice(&piece.first_id.0.to_be_bytes());
            out.extend_from_slice(&piece.last_id.0.to_be_bytes());
            Prints::put(piece.ids.as_ref(), &mut out);
            Prints::put(piece.recipients.as_ref(), &mut out);
        }
        let crc = crc32fast::hash(out.get(SUMMED_AT..).unwrap_or_default());
        if let Some(place) = out.get_mut(4..SUMMED_AT) {
            place.copy_from_slice(&crc.to_be_bytes());
        }
        out
    }

    /// Reads the file of a period; `None` when it is damaged, of another version, or another's.
    pub(super) fn read(octets: &[u8], key: &PeriodKey) -> Option<Self> {
        let body = octets.strip_prefix(MAGIC)?;
        let (crc, body) = body.split_first_chunk()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut fields = Fields(body);
        let [version, class, whole, _] = fields.take()?;
        let is_its = version == VERSION
            && Kept::from_octet(class) == Some(key.class)
            && fields.word()? == key.day
            && fields.word()? == length_number(&key.length);
        if !is_its {
            return None;
        }
        let upto = At {
            part: fields.word()?,
            offset: fields.long()?,
        };
        let keys = (0..fields.word()?).map(|_| fields.word().map(KeyId));
        let keys = keys.collect::<Option<_>>()?;
        let pieces = (0..fields.word()?).map(|_| {
            Some(Piece {
                records: fields.word()?,
                first_id: MessageId(fields.long()?),
                last_id: MessageId(fields.long()?),
                ids: fields.prints()?,
                recipients: fields.prints()?,
            })
        });
        let pieces = pieces.collect::<Option<_>>()?;
        fields.0.is_empty().then_some(Self {
            upto,
            is_whole: whole != 0,
            keys,
            pieces,
        })
    }
}

fn count(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

/// What is still to be read of a file.
struct Fields<'o>(&'o [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn prints(&mut self) -> Option<Option<Prints>> {
        let octets = self.word()? as usize;
        if octets == 0 {
            return Some(None);
        }
        let descriptor = self.take()?;
        let (prints, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        let prints = Prints {
            descriptor,
            prints: prints.into(),
        };
        prints.fits().then_some(Some(prints))
    }
}

/// A filter that is being made, block by block in the order of the files.
#[derive(Debug)]
pub(super) struct Making {
    filter: Filter,
    ids: Vec<u64>,
    recipients: Vec<u64>,
    records: u32,
}

impl Making {
    /// Begins with nothing.
    pub(super) const fn new() -> Self {
        Self::behind(Filter {
            upto: At { part: 1, offset: 0 },
            is_whole: true,
            keys: Vec::new(),
            pieces: Vec::new(),
        })
    }

    /// Begins with what is in another one, where that is sound and not in too many pieces.
    pub(super) fn on(filter: Filter) -> Self {
        let whole = usize::try_from(filter.records()).unwrap_or(usize::MAX) / PIECE_MIN;
        if filter.is_whole && filter.pieces.len() <= whole + 8 {
            Self::behind(filter)
        } else {
            Self::new()
        }
    }

    const fn behind(filter: Filter) -> Self {
        Self {
            filter,
            ids: Vec::new(),
            recipients: Vec::new(),
            records: 0,
        }
    }

    /// Where the next block lies.
    pub(super) const fn upto(&self) -> At {
        self.filter.upto
    }

    /// A block cannot be read: nobody knows what is in it.
    pub(super) const fn is_not_whole(&mut self) {
        self.filter.is_whole = false;
    }

    /// Takes a record of the next block in; a text has no recipient.
    pub(super) fn push(&mut self, id: MessageId, recipient: Option<u64>) {
        self.ids.push(id.0);
        self.recipients.extend(recipient);
        self.records += 1;
    }

    /// A block is in it with all its records, sealed with a key; the next lies behind it.
    ///
    /// # Errors
    ///
    /// The filter cannot be made of these, which has not been met: there are a thousand tries in it.
    pub(super) fn end_block(&mut self, key: KeyId, upto: At) -> Result<(), &'static str> {
        if let Err(place) = self.filter.keys.binary_search(&key) {
            self.filter.keys.insert(place, key);
        }
        self.filter.upto = upto;
        if self.ids.len() >= PIECE_MIN {
            self.end_piece()?;
        }
        Ok(())
    }

    /// The next block lies there; nothing is between.
    pub(super) const fn skip_to(&mut self, upto: At) {
        self.filter.upto = upto;
    }

    fn end_piece(&mut self) -> Result<(), &'static str> {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.recipients.sort_unstable();
        self.recipients.dedup();
        if let (Some(first), Some(last)) = (self.ids.first(), self.ids.last()) {
            let piece = Piece {
                records: self.records,
                first_id: MessageId(*first),
                last_id: MessageId(*last),
                ids: Prints::of(&self.ids)?,
                recipients: Prints::of(&self.recipients)?,
            };
            self.filter.pieces.push(piece);
        }
        self.ids.clear();
        self.recipients.clear();
        self.records = 0;
        Ok(())
    }

    /// The filter with all that was taken in.
    ///
    /// # Errors
    ///
    /// As [`Making::end_block`].
    pub(super) fn end(mut self) -> Result<Filter, &'static str> {
        self.end_piece()?;
        Ok(self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng as _;
    use tidegate_codec::identity::SystemId;

    fn key() -> PeriodKey {
        PeriodKey {
            class: Kept::Meta,
            length: "P90D".into(),
            day: 20_514,
        }
    }

    fn of(count: u64, per_block: u64) -> (Filter, Vec<(MessageId, u64)>) {
        let mut rng = crate::testing::rng();
        let mut making = Making::new();
        let mut records = Vec::new();
        for n in 0..count {
            // Two legs of each.
            let record = (MessageId((1 << 50) + ((n / 2) << 22)), rng.next_u64());
            making.push(record.0, Some(record.1));
            records.push(record);
            if (n + 1) % per_block == 0 {
                let upto = At {
                    part: 1,
                    offset: n * 90,
                };
                making
                    .end_block(KeyId(u32::try_from(n % 7).unwrap()), upto)
                    .unwrap();
            }
        }
        (making.end().unwrap(), records)
    }

    fn id(id: MessageId) -> Asked {
        Asked::Id(id, 0)
    }

    fn to(hash: u64) -> Asked {
        Asked::Recipient(SystemId::new(b"acme").unwrap(), hash)
    }

    #[test]
    fn all_that_is_in_it_is_found_and_nearly_nothing_else() {
        for (count, per_block) in [(1, 1), (2, 1), (5, 5), (10_000, 50)] {
            let (filter, records) = of(count, per_block);
            let read = Filter::read(&filter.put(&key()), &key()).unwrap();
            assert_eq!(
                (read.records(), read.upto, read.keys()),
                (count, filter.upto, filter.keys())
            );
            for filter in [&filter, &read] {
                assert!(
                    records
                        .iter()
                        .all(|(of, hash)| filter.may_hold(&id(*of)) && filter.may_hold(&to(*hash)))
                );
            }
            let mut rng = crate::testing::rng();
            rng.next_u64();
            let others = (0..1_000)
                .filter(|n| read.may_hold(&to(rng.next_u64() ^ n << 7 ^ 1)))
                .count();
            // One in 256, by each of 34 pieces here.
            assert!(others < 250, "{others} of {count}");
            assert!(!read.may_hold(&id(MessageId(1))) && !read.may_hold(&id(MessageId(1 << 60))));
        }
    }

    #[test]
    fn damage_makes_it_none_and_so_does_another_period() {
        let (filter, _) = of(700, 50);
        let octets = filter.put(&key());
        for place in 0..octets.len() {
            let mut octets = octets.clone();
            octets[place] ^= 0x10;
            assert!(Filter::read(&octets, &key()).is_none(), "{place}");
        }
        assert!(Filter::read(&octets[..octets.len() - 1], &key()).is_none());
        let other = |change: fn(&mut PeriodKey)| {
            let mut key = key();
            change(&mut key);
            Filter::read(&octets, &key).is_none()
        };
        assert!(other(|key| key.day += 1) && other(|key| key.class = Kept::Body));
        assert!(other(|key| key.length = "P91D".into()));
        // A checksum is no signature: what lies about its lengths is not asked for prints that it does not have.
        let words = (0..octets.len() - 4).step_by(2);
        for place in words {
            let mut octets = octets.clone();
            octets[place..place + 4].copy_from_slice(&0x0001_0000u32.to_be_bytes());
            let crc = crc32fast::hash(&octets[SUMMED_AT..]);
            octets[4..SUMMED_AT].copy_from_slice(&crc.to_be_bytes());
            if let Some(read) = Filter::read(&octets, &key()) {
                (0..200).for_each(|n| _ = read.may_hold(&to((n << 55) | n)));
            }
        }
    }

    #[test]
    fn it_costs_what_the_documents_say() {
        // ARCHITECTURE.md: 2.3 octets a record in pieces of 262 144.
        let (mut ids, mut hashes, mut rng) = (Vec::new(), Vec::new(), crate::testing::rng());
        for n in 0..1u64 << 18 {
            ids.push(n << 20);
            hashes.push(rng.next_u64());
        }
        hashes.sort_unstable();
        let octets = |of: &[u64]| Prints::of(of).unwrap().unwrap().prints.len();
        let octets = octets(&ids) + octets(&hashes);
        assert!(octets <= (1 << 18) * 24 / 10, "{octets}");
    }

    #[test]
    fn one_that_could_not_read_all_knows_nothing() {
        let mut making = Making::new();
        making.push(MessageId(5), Some(9));
        making.is_not_whole();
        let filter = making.end().unwrap();
        assert!(filter.may_hold(&id(MessageId(77))) && filter.may_hold(&to(1)));
        // What is added to it begins anew.
        assert_eq!(Making::on(filter).end().unwrap().records(), 0);
    }
}
