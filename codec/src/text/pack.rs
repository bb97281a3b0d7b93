//! Packed septets, the form of the air interface and of peers that say so (3GPP TS 23.038 §6.1.2.1).
//!
//! Septet `i` begins at bit `7·i`, least significant bit first. Behind a user data header the text begins on
//! the next septet boundary, so up to six fill bits come before it (23.040 §9.2.3.24).
//!
//! ```
//! use tidegate_codec::text::pack::{fill_bits, pack, septets_in, unpack};
//!
//! let mut packed = Vec::new();
//! pack(b"hellohello", 0, &mut packed);
//! assert_eq!(packed, [0xe8, 0x32, 0x9b, 0xfd, 0x46, 0x97, 0xd9, 0xec, 0x37]);
//! let mut septets = Vec::new();
//! unpack(&packed, 0, 10, &mut septets);
//! assert_eq!(septets, b"hellohello");
//! // 140 octets are 160 septets; behind a header of six octets 153 are left.
//! assert_eq!((septets_in(140, 0), septets_in(134, fill_bits(6))), (160, 153));
//! ```
//!
//! **Errors.** None.
//!
//! **Limits.** The number of septets does not travel along in SMPP: [`guess_count`] says what can be done
//! without.

/// Spare bits at the end may be a septet of their own: what a packer puts there, an unpacker may read.
const PAD: u8 = b'\r';

/// Bits between a header of so many octets (with its length octet) and the first septet: 0 to 6.
pub const fn fill_bits(header_octets: usize) -> u8 {
    // The table is (7 − 8h mod 7) mod 7, and 8h mod 7 is h mod 7.
    const FILL: [u8; 7] = [0, 6, 5, 4, 3, 2, 1];
    FILL[header_octets % 7]
}

/// TP-User-Data-Length of a header (0 without one) and so many septets: in septets, header and fill bits
/// counted.
pub const fn user_data_length(header_octets: usize, septets: usize) -> usize {
    (header_octets * 8).div_ceil(7) + septets
}

/// Number of whole septets in packed octets behind `fill` bits.
pub const fn septets_in(octets: usize, fill: u8) -> usize {
    (octets * 8).saturating_sub(fill as usize) / 7
}

/// Appends `septets`, one per octet, as packed octets behind `fill` zero bits (at most 6). Bit 7 of a septet
/// is left out.
///
/// Spare bits are zero, so whoever unpacks must be told the number of septets: seven spare bits look like an
/// `@`. Where no number travels along, use [`pack_without_count`].
pub fn pack(septets: &[u8], fill: u8, out: &mut Vec<u8>) {
    let from = out.len();
    out.reserve(septets.len() + 1);
    out.extend_from_slice(septets);
    pack_from(from, fill, out);
}

/// Packs in place the septets that stand in `out` from the index `from` on. See [`pack`].
pub fn pack_from(from: usize, fill: u8, out: &mut Vec<u8>) {
    let fill = fill.min(6);
    let septets = out.len().saturating_sub(from);
    // A fill without any septet is nothing to send.
    if septets == 0 {
        return;
    }
    let octets = (usize::from(fill) + 7 * septets).div_ceil(8);
    // Whole blocks for the loop: what is read lies always ahead of what is written.
    out.resize(from + septets.next_multiple_of(8) + 8, 0);
    // Bits that were begun but do not fill an octet yet: `fill` of them, the same number before every block.
    let mut begun = 0;
    for block in 0..=septets.div_ceil(8) {
        let (read, write) = (from + 8 * block, from + 7 * block);
        let Some(septets) = out.get(read..).and_then(<[u8]>::first_chunk) else {
            break;
        };
        let bits = squeeze(u64::from_le_bytes(*septets)) << fill | begun;
        begun = bits >> 56;
        if let Some(place) = out.get_mut(write..).and_then(<[u8]>::first_chunk_mut) {
            let [octets @ .., _] = bits.to_le_bytes();
            *place = octets;
        }
    }
    out.truncate(from + octets);
}

/// As [`pack`], for a receiver that counts octets only: seven spare bits hold a carriage return, which
/// [`unpack_without_count`] drops.
pub fn pack_without_count(septets: &[u8], fill: u8, out: &mut Vec<u8>) {
    let from = out.len();
    out.reserve(septets.len() + 1);
    out.extend_from_slice(septets);
    pack_from_without_count(from, fill, out);
}

/// As [`pack_from`], with the padding of [`pack_without_count`].
pub fn pack_from_without_count(from: usize, fill: u8, out: &mut Vec<u8>) {
    let septets = out.len().saturating_sub(from);
    pack_from(from, fill, out);
    let bits = usize::from(fill.min(6)) + 7 * septets;
    if let (1, true, Some(last)) = (bits % 8, septets > 0, out.last_mut()) {
        *last |= PAD << 1;
    }
}

/// The septets of packed octets behind `fill` bits (at most 6), `count` of them or as many as there are.
pub fn septets(octets: &[u8], fill: u8, count: usize) -> impl Iterator<Item = u8> {
    let fill = fill.min(6);
    let count = count.min(septets_in(octets.len(), fill));
    (0..count).map(move |index| {
        let bit = usize::from(fill) + 7 * index;
        let octet = |at| octets.get(at).copied().unwrap_or(0);
        let pair = u16::from_le_bytes([octet(bit / 8), octet(bit / 8 + 1)]);
        (pair >> (bit % 8)).to_le_bytes()[0] & 0x7f
    })
}

/// Appends the septets of packed octets, one per octet: `count` of them, or as many as there are.
pub fn unpack(octets: &[u8], fill: u8, count: usize, out: &mut Vec<u8>) {
    let fill = fill.min(6);
    let count = count.min(septets_in(octets.len(), fill));
    out.reserve(count + 8);
    let end = out.len() + count;
    let mut rest = octets;
    while out.len() < end {
        // Eight octets hold the fill bits and eight septets; fewer are the end.
        let bits = match rest.first_chunk::<8>() {
            Some(octets) => u64::from_le_bytes(*octets),
            None => {
                let mut block = [0; 8];
                block
                    .iter_mut()
                    .zip(rest)
                    .for_each(|(place, octet)| *place = *octet);
                u64::from_le_bytes(block)
            }
        };
        out.extend_from_slice(&stretch(bits >> fill).to_le_bytes());
        rest = rest.get(7..).unwrap_or_default();
    }
    out.truncate(end);
}

/// Number of septets where nobody counted them: a last septet that fills the last octet and is a carriage
/// return was put there as padding. A message that really ends so loses it; that is why the count is better
/// kept.
pub fn guess_count(octets: &[u8], fill: u8) -> usize {
    let count = septets_in(octets.len(), fill);
    let padded = (usize::from(fill) + 7 * count).is_multiple_of(8)
        && octets.last().is_some_and(|last| last >> 1 == PAD);
    count - usize::from(padded && count > 0)
}

/// As [`unpack`] with the number of [`guess_count`].
pub fn unpack_without_count(octets: &[u8], fill: u8, out: &mut Vec<u8>) {
    unpack(octets, fill, guess_count(octets, fill.min(6)), out);
}

/// Eight septets in eight octets to 56 bits, by halves: pairs, fours, eight.
const fn squeeze(septets: u64) -> u64 {
    let pairs = septets & 0x007f_007f_007f_007f | (septets & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4
}

/// The inverse of [`squeeze`]; bits above 56 are left out.
const fn stretch(bits: u64) -> u64 {
    let fours = bits & 0x0fff_ffff | (bits & 0x00ff_ffff_f000_0000) << 4;
    let pairs = fours & 0x0000_3fff_0000_3fff | (fours & 0x0fff_c000_0fff_c000) << 2;
    pairs & 0x007f_007f_007f_007f | (pairs & 0x3f80_3f80_3f80_3f80) << 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(septets: &[u8], fill: u8) -> Vec<u8> {
        let mut out = Vec::new();
        pack(septets, fill, &mut out);
        out
    }

    /// Bit by bit, as the specification draws it.
    fn drawn(septets: &[u8], fill: u8) -> Vec<u8> {
        let mut octets = vec![0; (usize::from(fill) + 7 * septets.len()).div_ceil(8)];
        for (index, septet) in septets.iter().enumerate() {
            for bit in 0..7 {
                let at = usize::from(fill) + 7 * index + bit;
                octets[at / 8] |= (septet >> bit & 1) << (at % 8);
            }
        }
        octets
    }

    #[test]
    fn the_example_of_the_reference_packs_and_unpacks() {
        assert_eq!(packed(b"hello", 0), [0xe8, 0x32, 0x9b, 0xfd, 0x06]);
        let mut out = Vec::new();
        unpack(&[0xe8, 0x32, 0x9b, 0xfd, 0x06], 0, 5, &mut out);
        assert_eq!(out, b"hello");
    }

    #[test]
    fn text_begins_on_the_septet_boundary_behind_its_header() {
        for (header, fill, length) in [(0, 0, 0), (4, 3, 5), (5, 2, 6), (6, 1, 7), (7, 0, 8), (9, 5, 11)] {
            assert_eq!(fill_bits(header), fill, "{header}");
            assert_eq!(user_data_length(header, 0), length, "{header}");
        }
        for header in 0..140 {
            let bits = header * 8 + usize::from(fill_bits(header));
            assert_eq!((bits % 7, bits / 7), (0, user_data_length(header, 0)));
        }
    }

    #[test]
    fn seven_spare_bits_are_an_at_sign_with_zeros_and_nothing_with_a_carriage_return() {
        let mut out = Vec::new();
        unpack(&packed(b"abcdefg", 0), 0, usize::MAX, &mut out);
        assert_eq!(out, b"abcdefg\0");
        let mut octets = Vec::new();
        pack_without_count(b"abcdefg", 0, &mut octets);
        out.clear();
        unpack_without_count(&octets, 0, &mut out);
        assert_eq!(out, b"abcdefg");
        // Elsewhere a carriage return is text.
        out.clear();
        unpack_without_count(&packed(b"abcde\r", 0), 0, &mut out);
        assert_eq!(out, b"abcde\r");
    }

    #[test]
    fn nothing_packs_to_nothing() {
        for fill in 0..=7 {
            assert_eq!(packed(b"", fill), b"");
            let mut out = Vec::new();
            pack_without_count(b"", fill, &mut out);
            unpack_without_count(b"", fill, &mut out);
            assert_eq!(out, b"");
        }
    }

    proptest! {
        #[test]
        fn packing_is_what_the_specification_draws_and_comes_back(
            septets in proptest::collection::vec(0u8..128, 1..200),
            fill in 0u8..7,
        ) {
            let octets = packed(&septets, fill);
            prop_assert_eq!(&octets, &drawn(&septets, fill));
            let mut out = vec![9];
            unpack(&octets, fill, septets.len(), &mut out);
            prop_assert_eq!(&out[1..], &septets);
            let one_by_one: Vec<u8> = super::septets(&octets, fill, septets.len()).collect();
            prop_assert_eq!(&one_by_one, &septets);
            if septets.last() != Some(&PAD) {
                let (mut octets, mut out) = (Vec::new(), Vec::new());
                pack_without_count(&septets, fill, &mut octets);
                unpack_without_count(&octets, fill, &mut out);
                prop_assert_eq!(out, septets);
            }
        }

        #[test]
        fn any_octets_unpack_to_septets(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            fill in any::<u8>(),
            count in any::<usize>(),
        ) {
            let mut out = Vec::new();
            unpack(&octets, fill, count, &mut out);
            prop_assert!(out.len() <= septets_in(octets.len(), 0));
            prop_assert!(out.iter().all(|septet| *septet < 128));
            let one_by_one: Vec<u8> = septets(&octets, fill, count).collect();
            prop_assert_eq!(&one_by_one, &out);
            unpack_without_count(&octets, fill, &mut out);
        }
    }
}
