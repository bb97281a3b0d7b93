//! The two addresses of a message in as little memory as they need: every unfinished leg holds a pair.

use std::fmt;

use tidegate_codec::address::{AddressBuf, Npi, SHORT_MAX, Ton};

/// Octets for both addresses of the small form: two numbers of E.164 with 15 digits take 20, the widest
/// alphanumeric sender (11 characters) and such a number 23.
const SMALL_MAX: usize = 23;

/// Set in an address's first octet when its characters are written two to an octet.
const TWO_BY_TWO: u8 = 0x80;

/// What numbers are written with, two to an octet.
const SIGNS: &[u8; 16] = b"0123456789+*#abc";

/// No sign.
const NONE: u8 = 0xFF;

/// Of each character, its place among [`SIGNS`].
const PLACES: [u8; 256] = {
    let mut places = [NONE; 256];
    let mut place = 0;
    while place < 16 {
        places[SIGNS[place as usize] as usize] = place;
        place += 1;
    }
    places
};

/// Of each octet, the two signs that it holds.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut octet = 0;
    while octet < 256 {
        pairs[octet] = [SIGNS[octet >> 4], SIGNS[octet & 0x0F]];
        octet += 1;
    }
    pairs
};

/// Sender and recipient of a message, as submitted: 24 octets, and an allocation only for what no number
/// and no sender name of the usual kinds needs (more than 23 octets in the small form, or a TON or NPI above 15).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Addresses(Form);

// A pair is always of the smaller form that holds it, so that equal ones are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// For each: its length with [`TWO_BY_TWO`], TON and NPI, its characters; then zeros.
    Small([u8; SMALL_MAX]),
    Large(Box<[AddressBuf; 2]>),
}

impl Addresses {
    /// Takes two addresses in.
    pub fn new(source: &AddressBuf, destination: &AddressBuf) -> Self {
        let mut small = [0; SMALL_MAX];
        let rest = put(&mut small, source).and_then(|rest| put(rest, destination));
        Self(match rest {
            Some(_) => Form::Small(small),
            None => Form::Large(Box::new([source.clone(), destination.clone()])),
        })
    }

    /// The sender.
    pub fn source(&self) -> AddressBuf {
        match &self.0 {
            Form::Small(octets) => get(octets).0,
            Form::Large(pair) => pair[0].clone(),
        }
    }

    /// The recipient.
    pub fn destination(&self) -> AddressBuf {
        match &self.0 {
            Form::Small(octets) => {
                let source = octets[0];
                let behind = octets.get(2 + octets_of(source)..).unwrap_or_default();
                get(behind).0
            }
            Form::Large(pair) => pair[1].clone(),
        }
    }

    /// The same numbers with neither TON nor NPI: pairs that differ in those only are equal in this.
    #[must_use]
    pub fn bare(&self) -> Self {
        match &self.0 {
            Form::Small(octets) => {
                let mut octets = *octets;
                let destination = 2 + octets_of(octets[0]);
                for place in [1, destination + 1] {
                    if let Some(kind) = octets.get_mut(place) {
                        *kind = 0;
                    }
                }
                Self(Form::Small(octets))
            }
            Form::Large(pair) => {
                let [source, destination] = pair.each_ref().map(|address| {
                    let (ton, npi) = (Ton::UNKNOWN, Npi::UNKNOWN);
                    AddressBuf::new(ton, npi, address.as_bytes()).unwrap_or_default()
                });
                Self::new(&source, &destination)
            }
        }
    }

    /// Characters of both together.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::Small(octets) => {
                let source = octets[0];
                let destination = octets.get(2 + octets_of(source)).copied().unwrap_or(0);
                chars_of(source) + chars_of(destination)
            }
            Form::Large(pair) => pair.iter().map(|address| address.as_bytes().len()).sum(),
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {:?}", self.source(), self.destination())
    }
}

/// How many characters an address has whose first octet this is.
fn chars_of(first: u8) -> usize {
    usize::from(first & !TWO_BY_TWO)
}

/// How many octets they take.
fn octets_of(first: u8) -> usize {
    match first & TWO_BY_TWO {
        0 => chars_of(first),
        _ => chars_of(first).div_ceil(2),
    }
}

fn sign(octet: u8) -> u8 {
    PLACES[usize::from(octet)]
}

/// Writes an address and returns the room behind it; `None` when it does not fit.
fn put<'a>(room: &'a mut [u8], address: &AddressBuf) -> Option<&'a mut [u8]> {
    let (ton, npi, octets) = (address.ton().0, address.npi().0, address.as_bytes());
    let len = u8::try_from(octets.len()).ok().filter(|len| *len < TWO_BY_TWO)?;
    if ton > 0x0F || npi > 0x0F {
        return None;
    }
    let [first, kind, room @ ..] = room else {
        return None;
    };
    *kind = ton << 4 | npi;
    let is_number = octets.iter().fold(0, |all, octet| all | sign(*octet)) != NONE;
    if !is_number {
        *first = len;
        let (place, rest) = room.split_at_mut_checked(octets.len())?;
        place.copy_from_slice(octets);
        return Some(rest);
    }
    *first = len | TWO_BY_TWO;
    let (place, rest) = room.split_at_mut_checked(octets.len().div_ceil(2))?;
    let (pairs, odd) = octets.as_chunks();
    for ([high, low], place) in pairs.iter().zip(place.iter_mut()) {
        *place = sign(*high) << 4 | sign(*low);
    }
    if let ([high], [.., place]) = (odd, place) {
        *place = sign(*high) << 4;
    }
    Some(rest)
}

/// Reads what [`put`] wrote, and returns what is behind it.
fn get(octets: &[u8]) -> (AddressBuf, &[u8]) {
    let [first, kind, octets @ ..] = octets else {
        return (AddressBuf::default(), &[]);
    };
    let (chars, len) = (chars_of(*first), octets_of(*first));
    let (octets, rest) = octets.split_at_checked(len).unwrap_or_default();
    let (ton, npi) = (Ton(kind >> 4), Npi(kind & 0x0F));
    let mut signs = [0; SHORT_MAX];
    if first & TWO_BY_TWO == 0 {
        // A name, or what is too long for a submit_sm.
        let address = match signs.get_mut(..chars) {
            Some(place) if octets.len() == chars => {
                place.copy_from_slice(octets);
                AddressBuf::short(ton, npi, signs, chars)
            }
            _ => AddressBuf::new(ton, npi, octets).ok(),
        };
        return (address.unwrap_or_default(), rest);
    }
    if chars > SHORT_MAX {
        let signs: Vec<u8> = octets
            .iter()
            .flat_map(|octet| PAIRS[usize::from(*octet)])
            .collect();
        let address = AddressBuf::new(ton, npi, signs.get(..chars).unwrap_or_default());
        return (address.unwrap_or_default(), rest);
    }
    let (pairs, _) = signs.as_chunks_mut();
    for (octet, pair) in octets.iter().zip(pairs) {
        *pair = PAIRS[usize::from(*octet)];
    }
    (
        AddressBuf::short(ton, npi, signs, chars).unwrap_or_default(),
        rest,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(ton: u8, npi: u8, octets: &[u8]) -> AddressBuf {
        AddressBuf::new(Ton(ton), Npi(npi), octets).unwrap()
    }

    #[test]
    fn usual_pairs_need_no_allocation_and_are_24_octets() {
        assert_eq!(size_of::<Addresses>(), 24);
        for (source, destination) in [
            (&b"447700900123"[..], &b"4915112345678"[..]),
            (b"123456789012345", b"123456789012345"),
            (b"Tidegate123", b"123456789012345"),
            (b"+447700900123", b"+4915112345678"),
            (b"", b"12345678901234567890"),
        ] {
            let pair = Addresses::new(&address(5, 0, source), &address(1, 1, destination));
            assert!(matches!(pair.0, Form::Small(_)), "{source:?}");
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_comes_back_too() {
        for (source, destination) in [
            (address(0x10, 1, b"1"), address(1, 1, b"2")),
            (address(1, 0x10, b"1"), address(1, 1, b"2")),
            (address(1, 1, &[b'1'; 64]), address(1, 1, &[b'x'; 64])),
            (address(5, 0, b"Tidegate 12"), address(1, 1, b"12345678901234567")),
            (address(5, 0, b"0x"), address(1, 1, b"ABC")),
        ] {
            let pair = Addresses::new(&source, &destination);
            assert_eq!((pair.source(), pair.destination()), (source, destination));
        }
    }

    #[test]
    fn a_pair_shows_its_shape_and_never_its_digits() {
        let pair = Addresses::new(&address(5, 0, b"Tide"), &address(1, 1, b"447700900123"));
        assert_eq!(
            format!("{pair:?}"),
            "Address[ton=5 npi=0 len=4] -> Address[ton=1 npi=1 len=12]"
        );
    }

    fn any_address() -> impl Strategy<Value = AddressBuf> {
        let digits = "[0-9+*#a-c]{0,22}".prop_map(String::into_bytes);
        let octets = proptest::collection::vec(1u8.., 0..30);
        (0u8..18, 0u8..18, prop_oneof![3 => digits, 1 => octets])
            .prop_map(|(ton, npi, octets)| address(ton, npi, &octets))
    }

    proptest! {
        #[test]
        fn every_pair_comes_back(source in any_address(), destination in any_address(), other in any_address()) {
            let pair = Addresses::new(&source, &destination);
            prop_assert_eq!(pair.source(), source.clone());
            prop_assert_eq!(pair.destination(), destination.clone());
            prop_assert_eq!(pair.len(), source.as_bytes().len() + destination.as_bytes().len());
            prop_assert_eq!(pair == Addresses::new(&source, &other), destination == other);
            let bare = |of: &AddressBuf| address(0, 0, of.as_bytes());
            prop_assert_eq!(pair.bare(), Addresses::new(&bare(&source), &bare(&destination)));
        }
    }
}
