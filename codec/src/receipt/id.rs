//! Comparing the id of a receipt with the id of the submit response.

use std::fmt;

use smallvec::SmallVec;

use crate::message_id::MESSAGE_ID_MAX;

/// In which base a carrier writes its ids at one place, as configured for the carrier.
///
/// Never guessed: `10` read as hex is 16, the id of another message (interop quirk 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum IdBase {
    /// Ids are opaque text; response and receipt agree but for leading zeros and letter case.
    #[default]
    AsGiven,
    /// A decimal number.
    Decimal,
    /// A hexadecimal number.
    Hex,
}

/// An id in the form in which ids are indexed and compared: at most 64 octets, empty for an id that
/// nothing can match.
///
/// Ids of up to 22 octets need no allocation. `Debug` shows the length only.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CanonicalId(SmallVec<[u8; 22]>);

impl Clone for CanonicalId {
    fn clone(&self) -> Self {
        // Whole: smallvec's own way is octet by octet.
        Self(SmallVec::from_slice(&self.0))
    }
}

impl CanonicalId {
    /// The octets to index.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for CanonicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalId[{}]", self.0.len())
    }
}

/// The comparable form of an id that a carrier wrote in `base`.
///
/// Blanks and NULs around it, leading zeros and letter case go; all of these are lossless in practice
/// (interop quirk 2). Decimal numbers become hexadecimal, so that one configured as decimal meets one
/// configured as hex. What is no decimal number keeps its text: a carrier that mixes forms still matches
/// its own spelling. Hexadecimal needs no step of its own: its digits in lower case are the result.
///
/// An id of more than 64 octets after that fits no message_id field and becomes the empty id.
pub fn canonical(id: &[u8], base: IdBase) -> CanonicalId {
    let id = trim(id);
    let zeros = id.iter().take_while(|&&octet| octet == b'0').count();
    // A number that is all zeros keeps one.
    let id = &id[zeros.min(id.len().saturating_sub(1))..];
    if id.len() >= MESSAGE_ID_MAX {
        return CanonicalId::default();
    }
    if base == IdBase::Decimal && !id.is_empty() && id.iter().all(u8::is_ascii_digit) {
        return CanonicalId(hex_of_decimal(id));
    }
    let mut lower = SmallVec::from_slice(id);
    lower.make_ascii_lowercase();
    CanonicalId(lower)
}

fn trim(mut id: &[u8]) -> &[u8] {
    let filler = |octet: &u8| *octet == 0 || octet.is_ascii_whitespace();
    while let Some((_, rest)) = id.split_first().filter(|(octet, _)| filler(octet)) {
        id = rest;
    }
    while let Some((_, rest)) = id.split_last().filter(|(octet, _)| filler(octet)) {
        id = rest;
    }
    id
}

/// Up to 64 decimal digits as hexadecimal without leading zeros. 10^64 stays below 2^213, so four limbs of
/// 64 bits hold every id; ids of 22 digits and more, which overflow one, are real (interop quirk 2).
fn hex_of_decimal(digits: &[u8]) -> SmallVec<[u8; 22]> {
    // Most significant last.
    let mut limbs = [0_u64; 4];
    // Eighteen digits at a time stay below 10^18 < 2^64.
    for chunk in digits.chunks(18) {
        let mut scale = 1;
        let mut carry = 0;
        for digit in chunk {
            scale *= 10;
            carry = carry * 10 + u64::from(digit - b'0');
        }
        for limb in &mut limbs {
            (*limb, carry) = limb.carrying_mul(scale, carry);
        }
    }
    let mut out = SmallVec::new();
    for limb in limbs.iter().rev() {
        for shift in (0..16).rev() {
            let nibble = limb >> (4 * shift) & 0xf;
            if nibble > 0 || !out.is_empty() {
                out.push(b"0123456789abcdef"[nibble as usize]);
            }
        }
    }
    if out.is_empty() {
        out.push(b'0');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(id: &[u8], base: IdBase) -> String {
        String::from_utf8(canonical(id, base).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn ids_meet_in_spite_of_zeros_case_blanks_and_nuls() {
        assert_eq!(text(b"0000436949", IdBase::AsGiven), "436949");
        assert_eq!(text(b"00A0-bC \0", IdBase::AsGiven), "a0-bc");
        assert_ne!(
            canonical(b"10", IdBase::AsGiven),
            canonical(b"100", IdBase::AsGiven)
        );
    }

    #[test]
    fn ten_is_sixteen_only_for_a_carrier_that_says_hex() {
        assert_eq!(canonical(b"10", IdBase::Hex), canonical(b"16", IdBase::Decimal));
        assert_ne!(canonical(b"10", IdBase::Decimal), canonical(b"10", IdBase::Hex));
    }

    #[test]
    fn zero_stays_zero_and_nothing_stays_nothing() {
        for base in [IdBase::AsGiven, IdBase::Decimal, IdBase::Hex] {
            assert_eq!(text(b"0000", base), "0");
            assert_eq!(text(b"0", base), "0");
            assert!(canonical(b"", base).is_empty());
            assert!(canonical(b" \0", base).is_empty());
        }
    }

    #[test]
    fn numbers_beyond_sixty_four_bits_convert_exactly() {
        assert_eq!(text(b"18446744073709551615", IdBase::Decimal), "ffffffffffffffff");
        assert_eq!(
            text(b"18446744073709551616", IdBase::Decimal),
            "10000000000000000"
        );
        // 2^128 + 1, past two limbs; and the largest id of all.
        assert_eq!(
            text(b"340282366920938463463374607431768211457", IdBase::Decimal),
            "100000000000000000000000000000001"
        );
        assert_eq!(
            text(&[b'9'; 64], IdBase::Decimal),
            "184f03e93ff9f4daa797ed6e38ed64bf6a1f00ffffffffffffffff"
        );
    }

    #[test]
    fn what_is_no_number_of_its_base_keeps_its_text() {
        let uuid = b"74E02ee1-4e2f-4a6e-a78b-4b247d756a22";
        for base in [IdBase::AsGiven, IdBase::Decimal, IdBase::Hex] {
            assert_eq!(text(uuid, base), "74e02ee1-4e2f-4a6e-a78b-4b247d756a22");
        }
        assert_eq!(
            canonical(b"5F3A21", IdBase::Decimal),
            canonical(b"5f3a21", IdBase::Hex)
        );
    }

    #[test]
    fn an_id_too_long_for_any_message_matches_nothing_rather_than_its_beginning() {
        assert_eq!(canonical(&[b'a'; 64], IdBase::AsGiven).as_bytes().len(), 64);
        assert!(canonical(&[b'a'; 65], IdBase::AsGiven).is_empty());
        assert!(canonical(&[b'9'; 65], IdBase::Decimal).is_empty());
    }

    #[test]
    fn a_canonical_id_shows_its_length_only() {
        assert_eq!(format!("{:?}", canonical(b"0abc", IdBase::Hex)), "CanonicalId[3]");
    }

    proptest! {
        #[test]
        fn decimal_and_hex_spellings_of_a_number_meet(number in any::<u128>(), zeros in 0_usize..20) {
            let decimal = format!("{}{number}", "0".repeat(zeros));
            let hex = format!("{}{number:X}", "0".repeat(zeros));
            prop_assert_eq!(
                canonical(decimal.as_bytes(), IdBase::Decimal),
                canonical(hex.as_bytes(), IdBase::Hex)
            );
        }

        #[test]
        fn no_octets_upset_an_id_and_none_makes_it_longer(
            octets in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            for base in [IdBase::AsGiven, IdBase::Decimal, IdBase::Hex] {
                prop_assert!(canonical(&octets, base).as_bytes().len() <= octets.len().min(64));
            }
        }
    }
}
