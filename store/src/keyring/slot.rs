//! The form of the ring's files: a header of 512 octets, then slots of 128.
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
//! | 48 | KEK number u32, check value (60) | 28 | owner text, 36 octets |
//! | 112 | the next KEK's, during a rotation (64) | 64 | wrapped key (60) |
//! | 176 | since when the KEK wraps, unix ms, u64 | 124 | CRC-32 |
//! | 184 | the next KEK's, during a rotation, u64 | | |
//! | 508 | CRC-32 | | |
//!
//! Rings of the first version have slots of 160 octets, with 48 for the owner's text. They stay as they are.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kek::{Kek, WRAPPED_LEN};
use crate::seal::KEY_LEN;

pub(super) const HEADER_LEN: usize = 512;
/// Longest text that says whose key it is, in any version; what keys are bound to has this length.
pub(super) const OWNER_TEXT_MAX: usize = 48;

const MAGIC: &[u8; 8] = b"TGKEYRNG";

/// Which version's slots a ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Of 160 octets: rings that the first version made.
    Wide,
    /// Of 128 octets, so that a million keys fit 128 MB.
    Narrow,
}

impl Form {
    pub(super) const fn version(self) -> u32 {
        match self {
            Self::Wide => 1,
            Self::Narrow => 2,
        }
    }

    /// Octets of a slot.
    pub(super) const fn slot_len(self) -> usize {
        match self {
            Self::Wide => 160,
            Self::Narrow => 128,
        }
    }

    /// Octets of the owner's text in a slot.
    const fn text_len(self) -> usize {
        match self {
            Self::Wide => OWNER_TEXT_MAX,
            Self::Narrow => 36,
        }
    }

    /// Where a slot begins.
    pub(super) const fn place(self, slot: usize) -> usize {
        HEADER_LEN + slot * self.slot_len()
    }
}

/// What the ring says of itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) form: Form,
    pub(super) generation: u64,
    pub(super) ring: [u8; 16],
    pub(super) slots: u32,
    pub(super) next_key: u32,
    pub(super) kek: KekMark,
    /// The one that takes over, while keys are wrapped anew.
    pub(super) next_kek: Option<KekMark>,
}

/// What the ring says of a key-encryption key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KekMark {
    /// Which one it is.
    pub(super) number: u32,
    /// Zeros, wrapped under it.
    pub(super) check: [u8; WRAPPED_LEN],
    /// Since when it wraps, in unix milliseconds; 0 in rings of the first version.
    pub(super) since_ms: u64,
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

    /// The number of an owner that has one.
    pub(super) fn number(&self) -> Option<u32> {
        self.text()
            .first_chunk()
            .map(|number| u32::from_be_bytes(*number))
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
fn fill(octets: &mut [u8], fields: &[&[u8]]) {
    octets.fill(0);
    let mut at = 0;
    for field in fields {
        octets[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    let (body, sum) = octets.split_at_mut(octets.len() - 4);
    sum.copy_from_slice(&crc32fast::hash(body).to_be_bytes());
}

/// The octets before the checksum, if it is right.
fn checked(octets: &[u8], len: usize) -> Option<Fields<'_>> {
    let (body, sum) = octets.get(..len)?.split_last_chunk()?;
    (crc32fast::hash(body) == u32::from_be_bytes(*sum)).then_some(Fields(body))
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        let slot_len = u32::try_from(self.form.slot_len()).unwrap_or_default();
        let (number, check, since_ms) = match &self.next_kek {
            Some(next) => (next.number, next.check, next.since_ms),
            None => (0, [0; WRAPPED_LEN], 0),
        };
        fill(
            &mut octets,
            &[
                MAGIC,
                &self.form.version().to_be_bytes(),
                &slot_len.to_be_bytes(),
                &self.generation.to_be_bytes(),
                &self.ring,
                &self.slots.to_be_bytes(),
                &self.next_key.to_be_bytes(),
                &self.kek.number.to_be_bytes(),
                &self.kek.check,
                &number.to_be_bytes(),
                &check,
                &self.kek.since_ms.to_be_bytes(),
                &since_ms.to_be_bytes(),
            ],
        );
        octets
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, HeaderFault> {
        let mut fields = checked(octets, HEADER_LEN).ok_or(HeaderFault::Damaged)?;
        if fields.take().as_ref() != Some(MAGIC) {
            return Err(HeaderFault::Damaged);
        }
        let version = fields.u32().ok_or(HeaderFault::Damaged)?;
        let slot_len = fields.u32().and_then(|len| usize::try_from(len).ok());
        let form = [Form::Wide, Form::Narrow]
            .into_iter()
            .find(|form| form.version() == version && Some(form.slot_len()) == slot_len)
            .ok_or(HeaderFault::Version(version))?;
        let mut rest = || {
            let (generation, ring, slots, next_key) =
                (fields.u64()?, fields.take()?, fields.u32()?, fields.u32()?);
            let mut kek = KekMark {
                number: fields.u32()?,
                check: fields.take()?,
                since_ms: 0,
            };
            let mut next = KekMark {
                number: fields.u32()?,
                check: fields.take()?,
                since_ms: 0,
            };
            kek.since_ms = fields.u64()?;
            next.since_ms = fields.u64()?;
            Some(Self {
                form,
                generation,
                ring,
                slots,
                next_key,
                kek,
                next_kek: (next.number != 0).then_some(next),
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

    /// Appends the slot's octets.
    pub(super) fn encode(&self, form: Form, out: &mut Vec<u8>) {
        let from = out.len();
        out.resize(from + form.slot_len(), 0);
        let octets = &mut out[from..];
        let generation = self.generation.to_be_bytes();
        match &self.content {
            Content::Free => fill(octets, &[&generation, &[0]]),
            Content::Destroyed => fill(octets, &[&generation, &[2]]),
            Content::Live(wrapped) => fill(
                octets,
                &[
                    &generation,
                    &[1, wrapped.owner.kind, wrapped.owner.len, 0],
                    &wrapped.key.to_be_bytes(),
                    &wrapped.kek_number.to_be_bytes(),
                    &wrapped.made_ms.to_be_bytes(),
                    &wrapped.owner.text[..form.text_len()],
                    &wrapped.octets,
                ],
            ),
        }
    }

    /// `None` if the slot is missing, torn or damaged.
    pub(super) fn decode(octets: &[u8], form: Form) -> Option<Self> {
        let mut fields = checked(octets, form.slot_len())?;
        let generation = fields.u64()?;
        let [state, kind, len, _] = fields.take()?;
        let content = match state {
            0 => Content::Free,
            1 => {
                let key = fields.u32()?;
                let kek_number = fields.u32()?;
                let made_ms = fields.u64()?;
                let (own, rest) = fields.0.split_at_checked(form.text_len())?;
                let mut text = [0; OWNER_TEXT_MAX];
                for (to, from) in text.iter_mut().zip(own) {
                    *to = *from;
                }
                Content::Live(Wrapped {
                    key,
                    kek_number,
                    owner: OwnerTag { kind, len, text },
                    made_ms,
                    octets: Fields(rest).take()?,
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

impl KekMark {
    /// Of a key-encryption key that wraps from now on; `None` only if the cipher refuses.
    pub(super) fn make(
        kek: &Kek,
        number: u32,
        ring: &[u8; 16],
        since_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Option<Self> {
        Some(Self {
            number,
            check: kek.wrap(&[0; KEY_LEN], ring, rng)?,
            since_ms,
        })
    }

    /// Whether this is the one.
    pub(super) fn is_of(&self, kek: &Kek, ring: &[u8; 16]) -> bool {
        kek.unwrap(&self.check, ring).is_some()
    }
}

impl Wrapped {
    /// The key; `None` under another KEK, or of another ring.
    pub(super) fn open(&self, kek: &Kek, ring: &[u8; 16]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let aad = Self::aad(self.key, self.kek_number, &self.owner, ring);
        kek.unwrap(&self.octets, &aad)
    }

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

    const FORMS: [Form; 2] = [Form::Wide, Form::Narrow];

    fn header(form: Form) -> Header {
        let mark = |number| KekMark {
            number,
            check: [9; WRAPPED_LEN],
            since_ms: 1 << 33,
        };
        Header {
            form,
            generation: 3,
            ring: [7; 16],
            slots: 64,
            next_key: 12,
            kek: mark(1),
            next_kek: (form == Form::Narrow).then_some(mark(2)),
        }
    }

    fn live() -> Slot {
        Slot {
            generation: u64::MAX,
            content: Content::Live(Wrapped {
                key: 5,
                kek_number: 1,
                owner: OwnerTag::named(200, &[b'x'; 36]),
                made_ms: 1 << 40,
                octets: [6; WRAPPED_LEN],
            }),
        }
    }

    fn encoded(slot: &Slot, form: Form) -> Vec<u8> {
        let mut octets = Vec::new();
        slot.encode(form, &mut octets);
        octets
    }

    #[test]
    fn header_and_slots_keep_their_places() {
        let octets = header(Form::Wide).encode();
        assert_eq!(octets[..16], *b"TGKEYRNG\0\0\0\x01\0\0\0\xA0");
        assert_eq!(octets[40..48], [0, 0, 0, 64, 0, 0, 0, 12]);
        assert_eq!(octets[52..112], [9; WRAPPED_LEN]);
        assert!(octets[112..176].iter().all(|octet| *octet == 0));
        let octets = encoded(&live(), Form::Wide);
        assert_eq!(octets.len(), 160);
        assert_eq!(octets[12..16], [0, 0, 0, 5]);
        assert_eq!(octets[76..136], [6; WRAPPED_LEN]);

        let octets = header(Form::Narrow).encode();
        assert_eq!(octets[..16], *b"TGKEYRNG\0\0\0\x02\0\0\0\x80");
        assert_eq!(octets[112..117], [0, 0, 0, 2, 9]);
        assert_eq!(octets[184..192], (1_u64 << 33).to_be_bytes());
        let octets = encoded(&live(), Form::Narrow);
        assert_eq!(octets.len(), 128);
        assert_eq!(octets[64..124], [6; WRAPPED_LEN]);
        assert_eq!(Slot::likely_key(&octets), Some(5));
    }

    #[test]
    fn a_destroyed_slot_keeps_its_generation_and_nothing_else() {
        let slot = Slot {
            generation: 2,
            content: Content::Destroyed,
        };
        for form in FORMS {
            let mut expected = vec![0; form.slot_len() - 4];
            expected[7] = 2;
            expected[8] = 2;
            assert_eq!(encoded(&slot, form)[..form.slot_len() - 4], expected);
        }
    }

    #[test]
    fn a_newer_form_is_told_from_damage() {
        let mut octets = header(Form::Narrow).encode();
        octets[11] = 3;
        assert!(Header::decode(&octets) == Err(HeaderFault::Damaged));
        let sum = crc32fast::hash(&octets[..508]);
        octets[508..].copy_from_slice(&sum.to_be_bytes());
        assert!(Header::decode(&octets) == Err(HeaderFault::Version(3)));
        assert!(Header::decode(&[0; HEADER_LEN]) == Err(HeaderFault::Damaged));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_damage_does_not(place in 0..128_usize, change in 1..=255u8) {
            for form in FORMS {
                prop_assert!(Header::decode(&header(form).encode()) == Ok(header(form)));
                for slot in [live(), Slot::FREE, Slot { generation: 9, content: Content::Destroyed }] {
                    let mut octets = encoded(&slot, form);
                    prop_assert!(Slot::decode(&octets, form) == Some(slot));
                    prop_assert!(Slot::decode(&octets[..place], form).is_none());
                    octets[place] ^= change;
                    prop_assert!(Slot::decode(&octets, form).is_none());
                }
                prop_assert!(Slot::decode(&[0; 160], form).is_none(), "zeros are no slot: they are lost octets");
            }
        }
    }
}
