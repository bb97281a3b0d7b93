//! Message ids: how they are made, and how they are shown so that they tell nothing (design §4).
//!
//! Inside, an id is the moment it was made, the node and a number: sorted by id is sorted by time.
//! Outside, a permutation under a key of its own scrambles it; from an id nobody reads how busy we are
//! or what the next one is.

use blowfish::Blowfish;
use blowfish::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::fmt;

/// 2025-01-01T00:00:00Z in milliseconds since 1970: where ids start to count.
pub const EPOCH_MS: u64 = 1_735_689_600_000;

const MS_BITS: u32 = 41;
const NODE_BITS: u32 = 8;
const SEQUENCE_BITS: u32 = 14;
const MAX_MS: u64 = (1 << MS_BITS) - 1;

/// The id of a message, as the store keeps it: 0, 41 bits of milliseconds since [`EPOCH_MS`], 8 bits
/// node, 14 bits sequence. The ids of a node are strictly increasing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u64);

impl MessageId {
    /// The millisecond it was made in, since 1970 UTC.
    pub fn ms(self) -> u64 {
        EPOCH_MS + (self.0 >> (NODE_BITS + SEQUENCE_BITS))
    }

    /// The node (and shard) that made it.
    pub fn node(self) -> u8 {
        self.0.to_be_bytes()[5] << 2 | self.0.to_be_bytes()[6] >> 6
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({:016x})", self.0)
    }
}

/// Where new ids come from.
#[derive(Debug)]
pub struct MessageIds {
    node: u8,
    /// The next id without its node: milliseconds ‖ sequence.
    next: u64,
}

impl MessageIds {
    /// Starts above `floor_ms`, see [`MessageIds::raise_floor`].
    pub fn new(node: u8, floor_ms: u64) -> Self {
        let mut ids = Self { node, next: 0 };
        ids.raise_floor(floor_ms);
        ids
    }

    /// From now on no id is from before `ms` (since 1970 UTC), whatever the clock says. Moments before
    /// 2025 and after 2094, where 41 bits end, count as the first and the last that there is.
    pub fn raise_floor(&mut self, ms: u64) {
        let ms = ms.saturating_sub(EPOCH_MS).min(MAX_MS);
        self.next = self.next.max(ms << SEQUENCE_BITS);
    }

    /// The next id; `now_ms` since 1970 UTC. A clock that stands, or runs back, does not stop ids from
    /// increasing: after 16 384 in a millisecond they go on in the next one.
    pub fn next(&mut self, now_ms: u64) -> MessageId {
        self.raise_floor(now_ms);
        let (ms, sequence) = (self.next >> SEQUENCE_BITS, self.next & ((1 << SEQUENCE_BITS) - 1));
        self.next += 1;
        MessageId((ms << NODE_BITS | u64::from(self.node)) << SEQUENCE_BITS | sequence)
    }

    /// The first millisecond since 1970 UTC in which no id was made yet: a start with this floor, or a
    /// later one, repeats none. Batches carry it, some seconds ahead.
    pub fn current_ms(&self) -> u64 {
        EPOCH_MS + self.next.div_ceil(1 << SEQUENCE_BITS)
    }
}

/// An id as the world sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PublicId(pub u64);

/// The keyed permutation between the two. Its key never changes: ids stay valid over every rotation.
#[derive(Clone)]
pub struct Permutation(Box<Blowfish>);

impl Permutation {
    /// Sets the permutation up; the caller wipes its copy of the key. Outside tests it comes from
    /// [`KeyRing::permutation`](crate::keyring::KeyRing::permutation).
    pub fn new(key: &[u8; 32]) -> Self {
        let mut whole = zeroize::Zeroizing::new([0; 56]);
        // A key of the cipher's full length, ours and the front of it again, cannot be refused.
        whole[..32].copy_from_slice(key);
        whole[32..].copy_from_slice(&key[..24]);
        Self(Box::new(Blowfish::new((&*whole).into())))
    }

    /// What to show for an id.
    pub fn public(&self, id: MessageId) -> PublicId {
        let mut block = id.0.to_be_bytes().into();
        self.0.encrypt_block(&mut block);
        PublicId(u64::from_be_bytes(block.into()))
    }

    /// The id behind what was shown. Any number has one; whether there is such a message is for the
    /// index to say, so unknown and foreign ids look alike (design §5).
    pub fn private(&self, id: PublicId) -> MessageId {
        let mut block = id.0.to_be_bytes().into();
        self.0.decrypt_block(&mut block);
        MessageId(u64::from_be_bytes(block.into()))
    }
}

impl fmt::Debug for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permutation(***)")
    }
}

/// An id as text, on the stack.
#[derive(Clone, Copy)]
pub struct IdText {
    octets: [u8; DECIMAL_MAX],
    start: u8,
}

/// Digits of the largest 64-bit number.
const DECIMAL_MAX: usize = 20;

impl IdText {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a digit is below 16, a place below 20"
    )]
    fn hex(mut value: u64, min_digits: usize) -> Self {
        let mut octets = [b'0'; DECIMAL_MAX];
        let mut at = DECIMAL_MAX;
        while value > 0 {
            at -= 1;
            octets[at] = b"0123456789abcdef"[(value % 16) as usize];
            value /= 16;
        }
        let start = at.min(DECIMAL_MAX - min_digits) as u8;
        Self { octets, start }
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[usize::from(self.start)..]
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        // Digits only.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PublicId {
    /// As decimal digits, 1 to 20, without leading zeros: the form that we give out unless an account
    /// asks for another.
    pub fn decimal(self) -> IdText {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(self.0).as_bytes();
        let start = DECIMAL_MAX - text.len();
        let mut octets = [0; DECIMAL_MAX];
        octets[start..].copy_from_slice(text);
        let start = u8::try_from(start).unwrap_or_default();
        IdText { octets, start }
    }

    /// As 16 lower-case hex digits.
    pub fn hex(self) -> IdText {
        IdText::hex(self.0, 16)
    }

    /// The last 8 of the 16 hex digits, for 3.3 clients. Unique among an account's live messages only if
    /// whoever gives it out makes sure.
    pub fn hex8(self) -> IdText {
        IdText::hex(self.0 & 0xFFFF_FFFF, 8)
    }

    /// Reads what [`PublicId::decimal`] writes; `None` for what cannot be an id of ours (0x0C).
    pub fn parse_decimal(text: &[u8]) -> Option<Self> {
        if text.first() == Some(&b'0') && text.len() > 1 {
            return None;
        }
        Some(Self(digits(text, 10, 1..=DECIMAL_MAX)?))
    }

    /// Reads what [`PublicId::hex`] writes, in either case, since clients change it.
    pub fn parse_hex(text: &[u8]) -> Option<Self> {
        Some(Self(digits(text, 16, 16..=16)?))
    }

    /// Reads what [`PublicId::hex8`] writes, in either case: the low 32 bits of the id.
    pub fn parse_hex8(text: &[u8]) -> Option<u32> {
        u32::try_from(digits(text, 16, 8..=8)?).ok()
    }
}

/// A number of digits only: no sign, no space.
fn digits(text: &[u8], base: u32, len: std::ops::RangeInclusive<usize>) -> Option<u64> {
    if !len.contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0u64, |value, octet| {
        let digit = char::from(*octet).to_digit(base)?;
        value.checked_mul(base.into())?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = EPOCH_MS + 1_000;

    #[test]
    fn an_id_tells_its_moment_and_its_node() {
        let mut ids = MessageIds::new(0xA5, 0);
        let id = ids.next(NOW);
        assert_eq!((id.ms(), id.node(), id.0 & 0x3FFF), (NOW, 0xA5, 0));
        assert_eq!(id.0, 1_000 << 22 | 0xA5 << 14);
        assert_eq!(ids.next(NOW).0, id.0 + 1);
    }

    #[test]
    fn ids_increase_when_the_clock_stands_or_runs_back() {
        let mut ids = MessageIds::new(255, 0);
        let mut last = ids.next(NOW);
        for n in 0..100_000 {
            let id = ids.next(NOW - n % 500);
            assert!(id > last);
            last = id;
        }
        assert_eq!(
            (last.ms(), last.node()),
            (NOW + 6, 255),
            "100 001 ids at 16 384 a millisecond"
        );
        assert_eq!(ids.next(NOW + 100).ms(), NOW + 100);
    }

    #[test]
    fn no_id_is_below_the_floor_and_a_start_at_the_current_one_repeats_none() {
        let mut ids = MessageIds::new(1, NOW + 10);
        assert_eq!(ids.current_ms(), NOW + 10);
        assert_eq!(ids.next(NOW).ms(), NOW + 10);
        ids.raise_floor(NOW);
        let last = ids.next(NOW);
        assert_eq!(last.ms(), NOW + 10);
        assert_eq!(ids.current_ms(), NOW + 11, "this millisecond is in use");
        assert!(MessageIds::new(1, ids.current_ms()).next(0) > last);
    }

    #[test]
    fn a_clock_out_of_all_bounds_makes_ids_with_the_top_bit_clear() {
        assert_eq!(MessageIds::new(1, 0).next(0).0, 1 << 14);
        let mut ids = MessageIds::new(1, u64::MAX);
        assert_eq!(ids.next(u64::MAX).0 >> 63, 0);
    }

    #[test]
    fn the_permutation_stays_what_it_is() {
        // Ids already given out must still resolve after an update. (The figure agrees with another
        // implementation of Blowfish.)
        let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let public = Permutation::new(&key).public(MessageId(0x0102_0304_0506_0708));
        assert_eq!(public.hex().as_str(), "8ca50140bfda2afb");
    }

    #[test]
    fn ids_in_a_row_look_unrelated_and_depend_on_the_key() {
        let (one, two) = (Permutation::new(&[1; 32]), Permutation::new(&[2; 32]));
        let mut ids = MessageIds::new(0, NOW);
        let shown: Vec<u64> = (0..1000).map(|_| one.public(ids.next(NOW)).0).collect();
        let changed: u32 = shown
            .windows(2)
            .map(|pair| (pair[0] ^ pair[1]).count_ones())
            .sum();
        assert!(
            (30_000..34_000).contains(&changed),
            "half of 64 bits change: {changed} of 63 936"
        );
        assert_ne!(one.public(MessageId(1)), two.public(MessageId(1)));
        assert_eq!(format!("{one:?}"), "Permutation(***)");
    }

    #[test]
    fn what_cannot_be_an_id_of_ours_is_told_apart() {
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1x",
            "18446744073709551616",
            "100000000000000000000",
        ] {
            assert_eq!(PublicId::parse_decimal(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(PublicId::parse_decimal(b"0"), Some(PublicId(0)));
        assert_eq!(
            PublicId::parse_decimal(b"18446744073709551615"),
            Some(PublicId(u64::MAX))
        );
        for text in [
            "",
            "123456789abcdef",
            "0123456789abcdef0",
            "0123456789abcdeg",
            "+123456789abcdef",
        ] {
            assert_eq!(PublicId::parse_hex(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(
            PublicId::parse_hex(b"0123456789ABCDEF"),
            Some(PublicId(0x0123_4567_89AB_CDEF))
        );
        assert_eq!(PublicId::parse_hex8(b"89abcdef"), Some(0x89AB_CDEF));
        assert_eq!(PublicId::parse_hex8(b"9abcdef"), None);
    }

    proptest! {
        #[test]
        fn every_form_reads_back(value in any::<u64>(), key in any::<[u8; 32]>()) {
            let permutation = Permutation::new(&key);
            let public = permutation.public(MessageId(value));
            prop_assert_eq!(permutation.private(public), MessageId(value));
            let id = PublicId(value);
            prop_assert_eq!(id.decimal().to_string(), value.to_string());
            prop_assert_eq!(id.hex().to_string(), format!("{value:016x}"));
            prop_assert_eq!(id.hex8().to_string(), &format!("{value:016x}")[8..]);
            prop_assert_eq!(PublicId::parse_decimal(id.decimal().as_bytes()), Some(id));
            prop_assert_eq!(PublicId::parse_hex(id.hex().as_bytes()), Some(id));
            prop_assert_eq!(PublicId::parse_hex8(id.hex8().as_bytes()).map(u64::from), Some(value & 0xFFFF_FFFF));
        }

        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = (PublicId::parse_decimal(&text), PublicId::parse_hex(&text), PublicId::parse_hex8(&text));
        }
    }
}
