//! Cutting a long message into parts (sms-text.md §9, §10).

use super::charset::Charset;
use super::count::Carriage;
use super::pack;
use super::place::{Place, Reference};
use super::shift::Shifts;
use super::ucs2::ByteOrder;
use super::udh::{self, Element, Udh};
use crate::octets::Body;

/// Units below which a part might hold no character: a UTF-8 one has up to four.
const ROOM_MIN: usize = 4;

/// Longest message_payload: what the length of a TLV can count.
const PAYLOAD_MAX: usize = 65_535;

/// How a message is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitRules {
    /// How the parts are told to belong together.
    pub carriage: Carriage,
    /// What the parts have in common: best a counter per destination. [`Carriage::Udh8`] uses its low octet.
    pub reference: u16,
    /// Most parts that are wanted, 1 to 255. Handsets and networks stop far below what a reference allows.
    pub parts_max: u8,
}

impl Default for SplitRules {
    fn default() -> Self {
        Self {
            carriage: Carriage::Udh8,
            reference: 0,
            parts_max: 10,
        }
    }
}

/// Why a message cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// More parts than the rules allow; ESME_RINVMSGLEN is the answer.
    #[error("the message takes more than {max} parts")]
    TooManyParts {
        /// Most parts that are allowed.
        max: u8,
    },
    /// A message_payload cannot hold it.
    #[error("{octets} octets do not fit a message_payload")]
    TooLong {
        /// Octets with the header.
        octets: usize,
    },
    /// It is a part of a longer message already; cutting it again would lose its place.
    #[error("the message is itself a part and too long for one")]
    IsPart,
    /// The header leaves no room for text.
    #[error("a header of {octets} octets leaves no room for text")]
    NoRoom {
        /// Octets of the header with its length octet.
        octets: usize,
    },
    /// SAR parameters do not go together with a header.
    #[error("a message with a header cannot be cut by SAR parameters")]
    HeaderWithSar,
    /// Packed septets, or UCS-2 that is little endian by its mark: to be converted first, because a part
    /// would not be readable by itself.
    #[error("packed or little endian text cannot be cut as it is")]
    Unready,
}

/// A message cut into parts; the parts come in their order.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    charset: Charset,
    heading: Heading<'a>,
    rest: Body<'a>,
    rules: SplitRules,
    total: u8,
    /// Sequence of the part to come; 0 when all have come.
    next: u8,
    /// Units of text in the first part and in the others; none when the message goes as it is.
    rooms: Option<(usize, usize)>,
}

/// What stands in front of the text besides the concatenation element.
#[derive(Clone, Copy, Debug)]
enum Heading<'a> {
    /// The tables of the charset; no header at all when it needs none.
    Shifts(Shifts),
    /// A header that came with the message.
    Given(Udh<'a>),
}

/// Where an element of a given header goes when the message is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// Ports and tables say how each part is to be treated (sms-text.md §8).
    Everywhere,
    /// Formatting, security and reply addresses belong where the text begins.
    First,
    /// Concatenation without sense, which everybody ignores.
    Nowhere,
}

const fn goes(element: &Element<'_>) -> Goes {
    match element.id() {
        0x04 | 0x05 | 0x24 | 0x25 => Goes::Everywhere,
        0x00 | 0x08 => Goes::Nowhere,
        _ => Goes::First,
    }
}

impl Heading<'_> {
    /// Octets in front of the text when the message stands alone.
    const fn octets_alone(&self) -> usize {
        match self {
            Self::Shifts(Shifts::NONE) => 0,
            Self::Shifts(shifts) => 1 + shifts.header_octets(),
            Self::Given(header) => header.octets(),
        }
    }

    /// Octets of elements that go there when the message is cut.
    fn octets_of(&self, there: Goes) -> usize {
        match self {
            Self::Shifts(shifts) if there == Goes::Everywhere => shifts.header_octets(),
            Self::Shifts(_) => 0,
            Self::Given(header) => {
                let elements = header.elements().filter(|element| goes(element) == there);
                elements.map(|element| element.octets()).sum()
            }
        }
    }
}

impl<'a> Split<'a> {
    /// Cuts `text`, the octets behind the header that the message came with, if any. Each part takes as much
    /// as it can: a cut never parts an escape from its code nor the halves of a surrogate pair, but may part
    /// a letter from a combining mark, or an emoji from what it is joined with (rule 3, which is optional).
    ///
    /// A message that fits one SMS, or that goes as [`Carriage::Payload`], is one part and keeps its header
    /// as it is. Otherwise ports and tables go into every part and other elements into the first. A message
    /// that came without a header gets one where the tables of its charset need it.
    ///
    /// # Errors
    ///
    /// See [`SplitError`]: the message cannot be sent by these rules.
    pub fn new(
        charset: Charset,
        header: Option<Udh<'a>>,
        text: &'a [u8],
        rules: SplitRules,
    ) -> Result<Self, SplitError> {
        let heading = match (header, charset) {
            (Some(header), _) => Heading::Given(header),
            (None, Charset::Gsm7(shifts)) => Heading::Shifts(shifts),
            (None, _) => Heading::Shifts(Shifts::NONE),
        };
        let split = Self {
            charset,
            heading,
            rest: Body(text),
            rules,
            total: 1,
            next: 1,
            rooms: None,
        };
        let alone = heading.octets_alone();
        if rules.carriage == Carriage::Payload {
            let octets = alone + text.len();
            return if octets > PAYLOAD_MAX {
                Err(SplitError::TooLong { octets })
            } else {
                Ok(split)
            };
        }
        if charset.units(text) <= charset.unit().room(alone) {
            return Ok(split);
        }
        split.in_parts()
    }

    /// For a message that does not fit one SMS.
    fn in_parts(mut self) -> Result<Self, SplitError> {
        let rules = self.rules;
        match self.heading {
            Heading::Given(header) if header.place().is_some() => return Err(SplitError::IsPart),
            heading if heading.octets_alone() > 0 && !rules.carriage.allows_header() => {
                return Err(SplitError::HeaderWithSar);
            }
            _ => {}
        }
        match self.charset {
            Charset::Gsm7Packed { .. } => return Err(SplitError::Unready),
            Charset::Ucs2(ByteOrder::ByMark) if self.rest.0.starts_with(&[0xff, 0xfe]) => {
                return Err(SplitError::Unready);
            }
            _ => {}
        }
        let everywhere = 1 + rules.carriage.element_octets() + self.heading.octets_of(Goes::Everywhere);
        let first = everywhere + self.heading.octets_of(Goes::First);
        let unit = self.charset.unit();
        let rooms = (unit.room(first), unit.room(everywhere));
        if rooms.0 < ROOM_MIN {
            return Err(SplitError::NoRoom { octets: first });
        }
        self.rooms = Some(rooms);
        let mut rest = self.rest.0;
        self.total = 0;
        while !rest.is_empty() {
            self.total = self
                .total
                .checked_add(1)
                .filter(|total| *total <= rules.parts_max)
                .ok_or(SplitError::TooManyParts { max: rules.parts_max })?;
            let at = self.cut(rest, self.total);
            rest = rest.get(at..).unwrap_or_default();
        }
        Ok(self)
    }

    /// Octets of the part of this sequence, of those that are left.
    fn cut(&self, rest: &[u8], sequence: u8) -> usize {
        match self.rooms {
            None => rest.len(),
            Some((room, _)) if sequence == 1 => self.charset.cut(rest, room),
            Some((_, room)) => self.charset.cut(rest, room),
        }
    }

    /// Number of parts, 1 to 255.
    pub const fn total(&self) -> u8 {
        self.total
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let sequence = self.next;
        if sequence == 0 {
            return None;
        }
        let at = self.cut(self.rest.0, sequence);
        let (text, rest) = self.rest.0.split_at_checked(at)?;
        let reference = match self.rules.carriage {
            Carriage::Udh8 => Reference::Udh8(self.rules.reference.to_be_bytes()[1]),
            Carriage::Udh16 => Reference::Udh16(self.rules.reference),
            Carriage::Sar | Carriage::SarWide | Carriage::Payload => Reference::Sar(self.rules.reference),
        };
        self.rest = Body(rest);
        self.next = if sequence == self.total { 0 } else { sequence + 1 };
        Some(Part {
            text: Body(text),
            place: self
                .rooms
                .and_then(|_| Place::new(reference, self.total, sequence)),
            heading: self.heading,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self.next {
            0 => 0,
            next => usize::from(self.total - next) + 1,
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Split<'_> {}

/// One part of a message, or all of it.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its octets without the header.
    pub text: Body<'a>,
    place: Option<Place>,
    heading: Heading<'a>,
}

impl Part<'_> {
    /// Which part this is; `None` when the message is not cut.
    pub const fn place(&self) -> Option<Place> {
        self.place
    }

    /// The SAR parameters that are to go with it: [`Place::append_tlvs`] writes them.
    pub fn sar(&self) -> Option<Place> {
        self.place
            .filter(|place| matches!(place.reference(), Reference::Sar(_)))
    }

    /// Whether [`Part::write`] begins with a header: esm_class must then have its bit 6, and must not
    /// otherwise.
    pub fn has_header(&self) -> bool {
        self.heading.octets_alone() > 0 || (self.place.is_some() && self.sar().is_none())
    }

    /// Appends header and text: a short_message of at most 160 octets, or all of a message_payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_header(out);
        out.extend_from_slice(self.text.0);
    }

    /// As [`Part::write`] for a peer that takes its septets packed. The text must be septets, one per octet.
    pub fn write_packed(&self, out: &mut Vec<u8>) {
        let fill = pack::fill_bits(self.write_header(out));
        let from = out.len();
        out.extend_from_slice(self.text.0);
        pack::pack_from_without_count(from, fill, out);
    }

    /// Appends the header, if there is one, and returns its octets.
    fn write_header(&self, out: &mut Vec<u8>) -> usize {
        if !self.has_header() {
            return 0;
        }
        let before = out.len();
        let concatenation = self.place.map(Element::Concatenation);
        // None is longer than was reckoned with when the message was cut.
        let _ = match (self.heading, self.place) {
            (Heading::Given(header), None) => {
                out.push(u8::try_from(header.as_bytes().len()).unwrap_or(u8::MAX));
                out.extend_from_slice(header.as_bytes());
                Ok(())
            }
            (Heading::Given(header), Some(place)) => {
                let elements = header.elements().filter(|element| match goes(element) {
                    Goes::Everywhere => true,
                    Goes::First => place.sequence() == 1,
                    Goes::Nowhere => false,
                });
                udh::write(concatenation.into_iter().chain(elements), out)
            }
            (Heading::Shifts(shifts), _) => {
                let single = shifts
                    .single
                    .map(|table| Element::SingleShift(table.identifier()));
                let locking = shifts
                    .locking
                    .map(|table| Element::LockingShift(table.identifier()));
                udh::write([concatenation, single, locking].into_iter().flatten(), out)
            }
        };
        out.len() - before
    }
}
