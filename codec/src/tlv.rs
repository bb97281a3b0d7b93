//! Optional parameters (TLVs), kept in their order and byte for byte (SMPP 3.4 §5.3, 5.0 §4.8).
//!
//! Reading never fails a PDU: a gateway passes on what it does not need (interop #40). Where strictness
//! is wanted, [`Tlvs::strict`] reports the first fault. Unknown and vendor TLVs are like any other.
//!
//! Every TLV of 3.4 and 5.0 has a getter under its own name, which is `Ok(None)` where the TLV is not
//! there and an error where its length is none that its type can have:
//!
//! ```
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//!
//! let mut octets = Vec::new();
//! assert!(append(&mut octets, Tag::USER_MESSAGE_REFERENCE, &[0, 9]));
//! assert!(append(&mut octets, Tag::SOURCE_PORT, &[1, 2, 3]));
//! assert!(append(&mut octets, Tag(0x1400), b"a vendor's"));
//!
//! let tlvs = Tlvs::new(&octets);
//! assert_eq!(tlvs.user_message_reference(), Ok(Some(9)));
//! assert_eq!(tlvs.dest_port(), Ok(None));
//! assert_eq!(tlvs.source_port().unwrap_err().to_string(), "source_port of 3 octets");
//! assert_eq!(tlvs.get(Tag(0x1400)), Some(&b"a vendor's"[..]));
//! assert!(tlvs.strict().is_err(), "because of source_port");
//! ```
//!
//! **Errors.** [`TlvError`](crate::error::TlvError) from a getter, and [`BodyError`] from [`Tlvs::strict`]. A
//! walk ends where the framing is broken.
//!
//! **Limits.** A value has at most 65 535 octets; [`append`] leaves out a longer one and says so. Getters
//! walk from the front each time: whoever needs many parameters walks once, with [`Tlvs::iter`].

mod get;
mod tag;
mod value;

use std::fmt;

use crate::error::{BodyError, Fault, Field};
use crate::octets::Body;

pub use get::{END_TIME_MAX, Got, NETWORK_ID_MAX, STATUS_TEXT_MAX};
pub use tag::Tag;
pub use value::{
    BroadcastArea, BroadcastContentType, BroadcastFrequencyInterval, CallbackNum, CallbackNumAtag,
    Congestion, ItsSessionInfo, MsValidity, NetworkErrorCode, Subaddress,
};

/// One optional parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'a> {
    /// What it is.
    pub tag: Tag,
    /// Its octets; the length is all that is ever shown of them.
    pub value: Body<'a>,
}

/// The optional parameters of a PDU as they stand on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// No optional parameters.
    pub const NONE: Tlvs<'static> = Tlvs(&[]);

    /// The octets from the end of the mandatory fields to the end of the PDU, well formed or not.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The same octets.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing follows the mandatory fields.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters in their order, up to the first fault in the framing.
    pub fn iter(&self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The first parameter with this tag. Duplicates of single-valued ones: the first counts
    /// (smpp-tlvs.md, rule 7).
    pub fn get(&self, tag: Tag) -> Option<&'a [u8]> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value.0)
    }

    /// A one-octet parameter; `None` when absent or of another length.
    pub fn octet(&self, tag: Tag) -> Option<u8> {
        match self.get(tag)? {
            [octet] => Some(*octet),
            _ => None,
        }
    }

    /// A two-octet parameter; `None` when absent or of another length.
    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.get(tag)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A four-octet parameter; `None` when absent or of another length.
    pub fn long(&self, tag: Tag) -> Option<u32> {
        self.get(tag)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The first fault: broken framing, or a known tag with a length that it cannot have, but for those that
    /// [`Tag::tolerates`].
    ///
    /// # Errors
    ///
    /// A [`BodyError`] in [`Field::Tlvs`]; its fault says which of these it is.
    pub fn strict(&self) -> Result<(), BodyError> {
        let fault = |fault| {
            Err(BodyError {
                field: Field::Tlvs,
                fault,
            })
        };
        let mut iter = self.iter();
        for tlv in iter.by_ref() {
            let length = tlv.value.0.len();
            if !tlv.tag.allows(length) && !tlv.tag.tolerates(length) {
                return fault(Fault::TlvLength);
            }
        }
        match iter.0.len() {
            0 => Ok(()),
            1..=3 => fault(Fault::TlvHeader),
            _ => fault(Fault::TlvOverrun),
        }
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks the parameters; ends at the first fault in the framing.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let tag = Tag(u16::from_be_bytes([head[0], head[1]]));
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Tlv {
            tag,
            value: Body(value),
        })
    }
}

/// Appends one parameter to a body under construction. A value longer than 65 535 octets does not fit a
/// TLV and is left out: `false`.
#[must_use]
pub fn append(out: &mut Vec<u8>, tag: Tag, value: &[u8]) -> bool {
    let Ok(length) = u16::try_from(value.len()) else {
        return false;
    };
    out.extend_from_slice(&tag.0.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tags_and_their_order_survive() {
        let mut octets = Vec::new();
        for (tag, value) in [(0x1400, &b"dlt"[..]), (0x0204, &[0, 9]), (0x8081, &[])] {
            assert!(append(&mut octets, Tag(tag), value));
        }
        let tlvs = Tlvs::new(&octets);
        let tags: Vec<u16> = tlvs.iter().map(|tlv| tlv.tag.0).collect();
        assert_eq!(tags, [0x1400, 0x0204, 0x8081]);
        assert_eq!(tlvs.short(Tag::USER_MESSAGE_REFERENCE), Some(9));
        assert_eq!(tlvs.strict(), Ok(()));
    }

    #[test]
    fn faults_are_reported_only_when_asked_for() {
        for (octets, fault) in [
            (&[0x02, 0x04, 0][..], Fault::TlvHeader),
            (&[0x02, 0x04, 0, 2, 1], Fault::TlvOverrun),
            (&[0x02, 0x04, 0, 1, 1], Fault::TlvLength),
            (&[0x12, 0x04, 0, 2, 1, 1], Fault::TlvLength),
        ] {
            let strict = Tlvs::new(octets).strict();
            assert_eq!(
                strict,
                Err(BodyError {
                    field: Field::Tlvs,
                    fault
                }),
                "{octets:?}"
            );
        }
    }

    #[test]
    fn a_receipted_message_id_is_read_with_and_without_its_nul() {
        for value in [&b"abc"[..], b"abc\0"] {
            let mut octets = Vec::new();
            assert!(append(&mut octets, Tag::RECEIPTED_MESSAGE_ID, value));
            let id = Tlvs::new(&octets).receipted_message_id().unwrap().unwrap();
            assert_eq!(id.as_bytes(), b"abc");
        }
    }
}
