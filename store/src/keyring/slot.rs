//! The form of the ring's files: a header of 512 octets, then slots of 160.
//!
//! Numbers are big-endian; what is not named is zero. Everything ends with the CRC-32 of what is before it.
//!
//! | header | | slot | |
//! |---|---|---|---|
//! | 0 | magic `TGKEYRNG` | 0 | generation u64 |
//! | 8 | version u32 | 8 | state u8: 0 free, 1 live, 2 destroyed |
//! | 12 | slot size u32 | 9 | owner kind u8 |
//! | 16 | generation u64 | 10 | length of owner text u8 |
//! | 24 | ring id, 16 octets | 12 | key id u32 |
//! | 40 | slots u32 | 16 | KEK number u32 |
//! | 44 | next key id u32 | 20 | made at, unix ms, u64 |
//! | 48 | KEK number u32, check value (60) | 28 | owner text, 48 octets |
//! | 112 | room for a second KEK (64) | 76 | wrapped key (60) |
//! | 508 | CRC-32 | 156 | CRC-32 |
//!
//! The room for a second KEK and its number in each slot are for the KEK's rotation (ENC-2).

use super::kek::WRAPPED_LEN;

pub(super) const HEADER_LEN: usize = 512;
pub(super) const SLOT_LEN: usize = SLOT_SIZE as usize;
/// Longest text that says whose key it is.
pub(super) const OWNER_TEXT_MAX: usize = 48;

const MAGIC: &[u8; 8] = b"TGKEYRNG";
const VERSION: u32 = 1;
const SLOT_SIZE: u32 = 160;

/// What the ring says of itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) generation: u64,
    pub(super) ring: [u8; 16],
    pub(super) slots: u32,
    pub(super) next_key: u32,
    pub(super) kek_number: u32,
    pub(super) kek_check: [u8; WRAPPED_LEN],
}

/// Why a header is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Missing, torn or damaged.
    Damaged,
    /// Whole, and of a form that this program does not know.
    Version(u32),
}

/// Whose key it is, as the file says it. A kind that a later version added stays as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnerTag {
    pub(super) kind: u8,
    len: u8,
    text: [u8; OWNER_TEXT_MAX],
}

impl OwnerTag {
    pub(super) fn plain(kind: u8) -> Self {
        Self {
            kind,
            len: 0,
            text: [0; OWNER_TEXT_MAX],
        }
    }

    /// With a name of at most [`OWNER_TEXT_MAX`] octets.
    pub(super) fn named(kind: u8, name: &[u8]) -> Self {
        let mut tag = Self::plain(kind);
        for (to, from) in tag.text.iter_mut().zip(name) {
            *to = *from;
            tag.len += 1;
        }
        tag
    }

    /// The text; of a length that no version writes, all there is.
    pub(super) fn text(&self) -> &[u8] {
        self.text.get(..self.len.into()).unwrap_or(&self.text)
    }
}

/// One slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) generation: u64,
    pub(super) content: Content,
}

/// What is in a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Free,
    Live(Wrapped),
    /// Nothing is left of the key, its id included.
    Destroyed,
}

/// A key as the file holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrapped {
    pub(super) key: u32,
    pub(super) kek_number: u32,
    pub(super) owner: OwnerTag,
    pub(super) made_ms: u64,
    pub(super) octets: [u8; WRAPPED_LEN],
}

/// Where a slot begins.
pub(super) fn place(slot: usize) -> usize {
    HEADER_LEN + slot * SLOT_LEN
}

/// Reads fields one behind the other; past the end there is nothing.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

/// Puts fields one behind the other, then zeros, then the checksum.
fn fill<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut octets = [0; N];
    let mut at = 0;
    for field in fields {
        octets[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    let sum = crc32fast::hash(&octets[..N - 4]);
    octets[N - 4..].copy_from_slice(&sum.to_be_bytes());
    octets
}

/// The octets before the checksum, if it is right.
fn checked<const N: usize>(octets: &[u8]) -> Option<Fields<'_>> {
    let octets: &[u8; N] = octets.first_chunk()?;
    let (body, sum) = octets.split_last_chunk()?;
    (crc32fast::hash(body) == u32::from_be_bytes(*sum)).then_some(Fields(body))
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        fill(&[
            MAGIC,
            &VERSION.to_be_bytes(),
            &SLOT_SIZE.to_be_bytes(),
            &self.generation.to_be_bytes(),
            &self.ring,
            &self.slots.to_be_bytes(),
            &self.next_key.to_be_bytes(),
            &self.kek_number.to_be_bytes(),
            &self.kek_check,
        ])
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, HeaderFault> {
        let mut fields = checked::<HEADER_LEN>(octets).ok_or(HeaderFault::Damaged)?;
        if fields.take().as_ref() != Some(MAGIC) {
            return Err(HeaderFault::Damaged);
        }
        let version = fields.u32().ok_or(HeaderFault::Damaged)?;
        if version != VERSION || fields.u32() != Some(SLOT_SIZE) {
            return Err(HeaderFault::Version(version));
        }
        let mut rest = || {
            Some(Self {
                generation: fields.u64()?,
                ring: fields.take()?,
                slots: fields.u32()?,
                next_key: fields.u32()?,
                kek_number: fields.u32()?,
                kek_check: fields.take()?,
            })
        };
        rest().ok_or(HeaderFault::Damaged)
    }
}

impl Slot {
    pub(super) const FREE: Self = Self {
        generation: 0,
        content: Content::Free,
    };

    pub(super) fn encode(&self) -> [u8; SLOT_LEN] {
        let generation = self.generation.to_be_bytes();
        match &self.content {
            Content::Free => fill(&[&generation, &[0]]),
            Content::Destroyed => fill(&[&generation, &[2]]),
            Content::Live(wrapped) => fill(&[
                &generation,
                &[1, wrapped.owner.kind, wrapped.owner.len, 0],
                &wrapped.key.to_be_bytes(),
                &wrapped.kek_number.to_be_bytes(),
                &wrapped.made_ms.to_be_bytes(),
                &wrapped.owner.text,
                &wrapped.octets,
            ]),
        }
    }

    /// `None` if the slot is missing, torn or damaged.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut fields = checked::<SLOT_LEN>(octets)?;
        let generation = fields.u64()?;
        let [state, kind, len, _] = fields.take()?;
        let content = match state {
            0 => Content::Free,
            1 => {
                let key = fields.u32()?;
                let kek_number = fields.u32()?;
                let made_ms = fields.u64()?;
                let text = fields.take()?;
                Content::Live(Wrapped {
                    key,
                    kek_number,
                    owner: OwnerTag { kind, len, text },
                    made_ms,
                    octets: fields.take()?,
                })
            }
            2 => Content::Destroyed,
            _ => return None,
        };
        Some(Self { generation, content })
    }

    /// The key id that a damaged slot seems to have had, to name it to the operator.
    pub(super) fn likely_key(octets: &[u8]) -> Option<u32> {
        let id = octets.get(12..16)?.first_chunk()?;
        Some(u32::from_be_bytes(*id)).filter(|id| *id != 0)
    }
}

impl Wrapped {
    /// What a wrapped key is bound to: its ring, its name, its KEK and its owner.
    pub(super) fn aad(key: u32, kek_number: u32, owner: &OwnerTag, ring: &[u8; 16]) -> [u8; 74] {
        let mut octets = [0; 74];
        octets[..16].copy_from_slice(ring);
        octets[16..20].copy_from_slice(&key.to_be_bytes());
        octets[20..24].copy_from_slice(&kek_number.to_be_bytes());
        octets[24] = owner.kind;
        octets[25] = owner.len;
        octets[26..].copy_from_slice(&owner.text);
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            generation: 3,
            ring: [7; 16],
            slots: 64,
            next_key: 12,
            kek_number: 1,
            kek_check: [9; WRAPPED_LEN],
        }
    }

    fn live() -> Slot {
        Slot {
            generation: u64::MAX,
            content: Content::Live(Wrapped {
                key: 5,
                kek_number: 1,
                owner: OwnerTag {
                    kind: 200,
                    len: 48,
                    text: [b'x'; OWNER_TEXT_MAX],
                },
                made_ms: 1 << 40,
                octets: [6; WRAPPED_LEN],
            }),
        }
    }

    #[test]
    fn header_and_slots_keep_their_places() {
        let octets = header().encode();
        assert_eq!(octets[..12], *b"TGKEYRNG\0\0\0\x01");
        assert_eq!(octets[40..48], [0, 0, 0, 64, 0, 0, 0, 12]);
        assert_eq!(octets[52..112], [9; WRAPPED_LEN]);
        assert!(octets[112..508].iter().all(|octet| *octet == 0));
        let octets = live().encode();
        assert_eq!(octets[12..16], [0, 0, 0, 5]);
        assert_eq!(octets[76..136], [6; WRAPPED_LEN]);
        assert_eq!(Slot::likely_key(&octets), Some(5));
    }

    #[test]
    fn a_destroyed_slot_keeps_its_generation_and_nothing_else() {
        let octets = Slot {
            generation: 2,
            content: Content::Destroyed,
        }
        .encode();
        let mut expected = [0; SLOT_LEN - 4];
        expected[7] = 2;
        expected[8] = 2;
        assert_eq!(octets[..SLOT_LEN - 4], expected);
    }

    #[test]
    fn a_newer_form_is_told_from_damage() {
        let mut octets = header().encode();
        octets[11] = 2;
        assert!(Header::decode(&octets) == Err(HeaderFault::Damaged));
        let sum = crc32fast::hash(&octets[..508]);
        octets[508..].copy_from_slice(&sum.to_be_bytes());
        assert!(Header::decode(&octets) == Err(HeaderFault::Version(2)));
        assert!(Header::decode(&[0; HEADER_LEN]) == Err(HeaderFault::Damaged));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_damage_does_not(place in 0..SLOT_LEN, change in 1..=255u8) {
            prop_assert!(Header::decode(&header().encode()) == Ok(header()));
            for slot in [live(), Slot::FREE, Slot { generation: 9, content: Content::Destroyed }] {
                let mut octets = slot.encode();
                prop_assert!(Slot::decode(&octets) == Some(slot));
                prop_assert!(Slot::decode(&octets[..place]).is_none());
                octets[place] ^= change;
                prop_assert!(Slot::decode(&octets).is_none());
            }
            prop_assert!(Slot::decode(&[0; SLOT_LEN]).is_none(), "zeros are no slot: they are lost octets");
        }
    }
}
