//! The user data header: information elements in front of the text (3GPP TS 23.040 §9.2.3.24).
//!
//! ```
//! use tidegate_codec::text::udh::{self, Element, Udh};
//! use tidegate_codec::text::{Place, Reference};
//!
//! let place = Place::new(Reference::Udh8(42), 3, 1).ok_or("1 of 3")?;
//! let ports = Element::Ports16 { destination: 2948, source: 9200 };
//! let mut octets = Vec::new();
//! udh::write([Element::Concatenation(place), ports], &mut octets)?;
//! octets.extend_from_slice(b"text");
//!
//! let (header, text) = Udh::split(&octets)?;
//! assert_eq!((header.octets(), text), (12, &b"text"[..]));
//! assert_eq!((header.place(), header.ports()), (Some(place), Some((2948, 9200))));
//! // A header that is longer than the message is none.
//! assert!(Udh::split(&octets[..8]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Errors.** [`UdhError`]. Elements that are unknown, or known and of a wrong length, are no error: they
//! are kept as they are.
//!
//! **Limits.** A header that is written has to leave room in the 140 octets of an SMS.

use std::fmt;

use super::place::{Place, Reference};
use super::shift::{Language, Shifts};
use crate::octets::Body;

/// Octets that one SMS has for header and text together.
pub const USER_DATA_MAX: usize = 140;

/// The elements of a header, borrowed, with their framing checked.
///
/// Elements may hold addresses and ports, so `Debug` shows the number of octets only.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Udh<'a>(&'a [u8]);

/// Why octets do not begin with a header. The message is then to be taken for opaque octets, forwarded as it
/// is and never reassembled (sms-text.md §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UdhError {
    /// Not even the length octet.
    #[error("no octet where a header should begin")]
    Missing,
    /// The header is longer than the message.
    #[error("a header of {length} octets where {have} are left")]
    Overrun {
        /// Octets that the header claims behind its length octet.
        length: u8,
        /// Octets behind its length octet.
        have: usize,
    },
    /// An element does not end where the header ends.
    #[error("the element at octet {at} runs over the end of the header")]
    Element {
        /// Where the element begins, from the first octet behind the length octet.
        at: usize,
    },
    /// Elements to be written that do not fit one SMS.
    #[error("{octets} octets do not fit a header")]
    TooLong {
        /// Octets of the elements up to the one that did not fit.
        octets: usize,
    },
}

/// One information element. What this crate does not read is kept byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// 0x00 or 0x08, with a place that makes sense.
    Concatenation(Place),
    /// 0x04: ports of 8 bits.
    Ports8 {
        /// Port of the recipient.
        destination: u8,
        /// Port of the sender.
        source: u8,
    },
    /// 0x05: ports of 16 bits.
    Ports16 {
        /// Port of the recipient.
        destination: u16,
        /// Port of the sender.
        source: u16,
    },
    /// 0x24: identifier of a single shift table, known or not.
    SingleShift(u8),
    /// 0x25: identifier of a locking shift table, known or not.
    LockingShift(u8),
    /// Any other element, and one of the above that has a wrong length or a place without sense.
    Unread {
        /// Its identifier.
        id: u8,
        /// Its octets, at most 255.
        data: Body<'a>,
    },
}

impl<'a> Udh<'a> {
    /// Reads the header at the start of `octets`, and what follows it. For a message whose esm_class says
    /// that it has one.
    ///
    /// # Errors
    ///
    /// The octets do not begin with a whole header: see [`UdhError`].
    pub fn split(octets: &'a [u8]) -> Result<(Self, &'a [u8]), UdhError> {
        let (length, behind) = octets.split_first().ok_or(UdhError::Missing)?;
        let (elements, text) = behind
            .split_at_checked(usize::from(*length))
            .ok_or(UdhError::Overrun {
                length: *length,
                have: behind.len(),
            })?;
        let mut iter = Elements(elements);
        while iter.next().is_some() {}
        if iter.0.is_empty() {
            Ok((Self(elements), text))
        } else {
            let at = elements.len() - iter.0.len();
            Err(UdhError::Element { at })
        }
    }

    /// The elements in their order.
    pub const fn elements(&self) -> Elements<'a> {
        Elements(self.0)
    }

    /// The octets of the elements, without the length octet in front.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Octets in front of the text: those of the elements and the length octet.
    pub const fn octets(&self) -> usize {
        1 + self.0.len()
    }

    /// Which part this is, by the last concatenation element that makes sense.
    pub fn place(&self) -> Option<Place> {
        let place = |element| match element {
            Element::Concatenation(place) => Some(place),
            _ => None,
        };
        self.elements().filter_map(place).last()
    }

    /// (destination, source) of the last port element.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let ports = |element| match element {
            Element::Ports8 { destination, source } => Some((u16::from(destination), u16::from(source))),
            Element::Ports16 { destination, source } => Some((destination, source)),
            _ => None,
        };
        self.elements().filter_map(ports).last()
    }

    /// The tables that the text is written with; the last element of each kind counts, and an identifier that
    /// nobody knows, or that has no such table (Spanish has none to lock), leaves the default one in force.
    pub fn shifts(&self) -> Shifts {
        let mut shifts = Shifts::NONE;
        for element in self.elements() {
            match element {
                Element::SingleShift(identifier) => shifts.single = Language::from_identifier(identifier),
                Element::LockingShift(identifier) => {
                    shifts.locking =
                        Language::from_identifier(identifier).filter(|language| language.has_locking());
                }
                _ => {}
            }
        }
        shifts
    }
}

impl fmt::Debug for Udh<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Udh[{}]", self.0.len())
    }
}

/// Walks the elements of a header.
#[derive(Clone)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let ([id, length], rest) = self.0.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(Element::of(*id, data))
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elements[{}]", self.0.len())
    }
}

impl<'a> Element<'a> {
    fn of(id: u8, data: &'a [u8]) -> Self {
        let place =
            |reference, total, sequence| Place::new(reference, total, sequence).map(Self::Concatenation);
        let read = match (id, data) {
            (0x00, [reference, total, sequence]) => place(Reference::Udh8(*reference), *total, *sequence),
            (0x08, [high, low, total, sequence]) => place(
                Reference::Udh16(u16::from_be_bytes([*high, *low])),
                *total,
                *sequence,
            ),
            (0x04, [destination, source]) => Some(Self::Ports8 {
                destination: *destination,
                source: *source,
            }),
            (0x05, [d0, d1, s0, s1]) => Some(Self::Ports16 {
                destination: u16::from_be_bytes([*d0, *d1]),
                source: u16::from_be_bytes([*s0, *s1]),
            }),
            (0x24, [identifier]) => Some(Self::SingleShift(*identifier)),
            (0x25, [identifier]) => Some(Self::LockingShift(*identifier)),
            _ => None,
        };
        read.unwrap_or(Self::Unread { id, data: Body(data) })
    }

    /// The element's identifier.
    pub const fn id(&self) -> u8 {
        match self {
            Self::Concatenation(place) => match place.reference() {
                Reference::Udh8(_) => 0x00,
                Reference::Udh16(_) | Reference::Sar(_) => 0x08,
            },
            Self::Ports8 { .. } => 0x04,
            Self::Ports16 { .. } => 0x05,
            Self::SingleShift(_) => 0x24,
            Self::LockingShift(_) => 0x25,
            Self::Unread { id, .. } => *id,
        }
    }

    /// Octets on the wire: identifier, length and data.
    pub const fn octets(&self) -> usize {
        match self {
            Self::Concatenation(place) => match place.reference() {
                Reference::Udh8(_) => 5,
                Reference::Udh16(_) | Reference::Sar(_) => 6,
            },
            Self::Ports8 { .. } => 4,
            Self::Ports16 { .. } => 6,
            Self::SingleShift(_) | Self::LockingShift(_) => 3,
            Self::Unread { data, .. } => 2 + data.0.len(),
        }
    }

    /// Appends identifier, length and octets. A SAR reference is written as one of 16 bits; data beyond 255
    /// octets is left out, and [`write`](fn@write) refuses it before.
    fn append(&self, out: &mut Vec<u8>) {
        let mut element = |data: &[u8]| {
            out.push(self.id());
            let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
            out.push(length);
            out.extend(data.iter().take(usize::from(length)));
        };
        match self {
            Self::Concatenation(place) => match place.reference() {
                Reference::Udh8(reference) => element(&[reference, place.total(), place.sequence()]),
                Reference::Udh16(reference) | Reference::Sar(reference) => {
                    let [high, low] = reference.to_be_bytes();
                    element(&[high, low, place.total(), place.sequence()]);
                }
            },
            Self::Ports8 { destination, source } => element(&[*destination, *source]),
            Self::Ports16 { destination, source } => {
                let ([d0, d1], [s0, s1]) = (destination.to_be_bytes(), source.to_be_bytes());
                element(&[d0, d1, s0, s1]);
            }
            Self::SingleShift(identifier) | Self::LockingShift(identifier) => element(&[*identifier]),
            Self::Unread { data, .. } => element(data.0),
        }
    }
}

/// Appends a header of these elements, length octet first.
///
/// # Errors
///
/// [`UdhError::TooLong`] when no SMS has room for the header; `out` is then as it was.
pub fn write<'a>(elements: impl IntoIterator<Item = Element<'a>>, out: &mut Vec<u8>) -> Result<(), UdhError> {
    let at = out.len();
    out.push(0);
    let mut octets = 0;
    for element in elements {
        octets += element.octets();
        if octets >= USER_DATA_MAX {
            out.truncate(at);
            return Err(UdhError::TooLong { octets });
        }
        element.append(out);
    }
    if let (Some(place), Ok(length)) = (out.get_mut(at), u8::try_from(octets)) {
        *place = length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(octets: &[u8]) -> Udh<'_> {
        let (udh, text) = Udh::split(octets).unwrap();
        assert_eq!(text, b"");
        udh
    }

    #[test]
    fn a_language_without_a_locking_table_locks_nothing() {
        let (header, _) = Udh::split(b"\x06\x25\x01\x02\x24\x01\x02").unwrap();
        let shifts = header.shifts();
        assert_eq!((shifts.locking, shifts.single), (None, Some(Language::Spanish)));
    }

    #[test]
    fn elements_are_read_in_the_layouts_of_23_040() {
        let udh = header(
            b"\x16\x00\x03\x2a\x02\x01\x05\x04\x0b\x84\x23\xf0\x24\x01\x01\x70\x00\x25\x01\x03\x01\x01\xc0",
        );
        let elements: Vec<Element<'_>> = udh.elements().collect();
        assert_eq!(
            elements,
            [
                Element::Concatenation(Place::new(Reference::Udh8(0x2a), 2, 1).unwrap()),
                // Destination first: 2948 is WAP push, 9200 its usual source.
                Element::Ports16 {
                    destination: 2948,
                    source: 9200
                },
                Element::SingleShift(1),
                Element::Unread {
                    id: 0x70,
                    data: Body(b"")
                },
                Element::LockingShift(3),
                Element::Unread {
                    id: 0x01,
                    data: Body(b"\xc0")
                },
            ]
        );
        assert_eq!(udh.ports(), Some((2948, 9200)));
        assert_eq!(udh.octets(), 23);
        let shifts = Shifts {
            single: Some(Language::Turkish),
            locking: Some(Language::Portuguese),
        };
        assert_eq!(udh.shifts(), shifts);
        let mut out = Vec::new();
        write(elements, &mut out).unwrap();
        assert_eq!(out[1..], *udh.as_bytes());
    }

    #[test]
    fn every_malformed_form_is_an_error_with_its_place() {
        for (octets, error) in [
            (&b""[..], UdhError::Missing),
            (b"\x05\x00\x03\x2a\x02", UdhError::Overrun { length: 5, have: 4 }),
            (b"\xff", UdhError::Overrun { length: 255, have: 0 }),
            (b"\x01\x00text", UdhError::Element { at: 0 }),
            (b"\x05\x00\x04\x2a\x02\x01text", UdhError::Element { at: 0 }),
            (b"\x06\x00\x03\x2a\x02\x01\x24", UdhError::Element { at: 5 }),
        ] {
            assert_eq!(Udh::split(octets), Err(error), "{octets:x?}");
        }
        // A header without elements is one, and its text begins behind the length octet.
        assert_eq!(Udh::split(b"\0a"), Ok((Udh::default(), &b"a"[..])));
    }

    #[test]
    fn concatenation_without_sense_or_of_a_wrong_length_is_kept_and_ignored() {
        for octets in [
            &b"\x05\x00\x03\x2a\x00\x00"[..],
            b"\x05\x00\x03\x2a\x02\x00",
            b"\x05\x00\x03\x2a\x02\x03",
            b"\x04\x00\x02\x2a\x02",
            b"\x06\x08\x04\x00\x2a\x02\x03",
            b"\x06\x00\x04\x00\x2a\x02\x01",
        ] {
            let udh = header(octets);
            assert_eq!(udh.place(), None);
            let mut out = Vec::new();
            write(udh.elements(), &mut out).unwrap();
            assert_eq!(out, octets);
        }
    }

    #[test]
    fn of_repeated_elements_the_last_that_makes_sense_counts() {
        let udh = header(b"\x10\x00\x03\x01\x02\x01\x08\x04\x00\x02\x03\x03\x00\x03\x05\x00\x00");
        assert_eq!(udh.place(), Place::new(Reference::Udh16(2), 3, 3));
        let udh = header(b"\x0a\x04\x02\xf0\xf1\x05\x04\x00\x01\x00\x02");
        assert_eq!(udh.ports(), Some((1, 2)));
    }

    #[test]
    fn a_table_that_nobody_knows_leaves_the_default_one() {
        assert_eq!(header(b"\x06\x24\x01\x0e\x25\x01\x00").shifts(), Shifts::NONE);
        assert_eq!(header(b"\x06\x24\x01\x01\x24\x01\x63").shifts(), Shifts::NONE);
    }

    #[test]
    fn a_header_that_fits_no_sms_is_not_written() {
        let data = [7; 300];
        let unread = |octets| Element::Unread {
            id: 0x20,
            data: Body(&data[..octets]),
        };
        let mut out = b"x".to_vec();
        for (octets, fits) in [
            (137, true),
            (138, false),
            (255, false),
            (256, false),
            (300, false),
        ] {
            assert_eq!(write([unread(octets)], &mut out).is_ok(), fits, "{octets}");
            assert_eq!(out.len(), if fits { 1 + 140 } else { 1 });
            out.truncate(1);
        }
        assert!(write((0..100).map(Element::SingleShift), &mut out).is_err());
        assert_eq!(out, b"x");
    }

    #[test]
    fn a_header_shows_its_length_only() {
        assert_eq!(format!("{:?}", header(b"\x04\x22\x02\x31\x32")), "Udh[4]");
        let element = header(b"\x04\x22\x02\x31\x32").elements().next().unwrap();
        assert_eq!(format!("{element:?}"), "Unread { id: 34, data: Body[2] }");
    }

    proptest! {
        #[test]
        fn any_octets_are_a_header_that_comes_back_or_an_error(
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..10], 0..160),
        ) {
            if let Ok((udh, text)) = Udh::split(&octets) {
                prop_assert_eq!(udh.octets() + text.len(), octets.len());
                let mut out = Vec::new();
                match write(udh.elements(), &mut out) {
                    Ok(()) => prop_assert_eq!(out, &octets[..udh.octets()]),
                    Err(_) => prop_assert!(udh.octets() > USER_DATA_MAX),
                }
                let _ = (udh.place(), udh.ports(), udh.shifts());
            }
        }
    }
}
