//! submit_multi, one message for up to 255 recipients, and its response (SMPP 3.4 §4.5, smpp-pdus.md §4.4).
//!
//! ```
//! use tidegate_codec::address::{Address, Npi, Ton};
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
//!
//! let one = Destination::Sme(Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?);
//! let list = Destination::List(COctets::new(b"friends")?);
//! let mut octets = Vec::new();
//! one.encode(&mut octets);
//! list.encode(&mut octets);
//!
//! let destinations = Destinations::new(2, &octets).ok_or("two whole ones")?;
//! assert!(destinations.iter().eq([one, list]));
//! assert_eq!(Destinations::new(3, &octets), None);
//! let multi = SubmitMulti { destinations, ..SubmitMulti::default() };
//! let mut body = Vec::new();
//! multi.encode(&mut body);
//! assert_eq!(body[3], 0, "the end of source_addr");
//! assert_eq!(body[4], 2, "number_of_dests");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Errors.** No destination at all, or one of an unknown kind, refuses the whole body. So does a list that
//! ends early.
//!
//! **Limits.** A count of one octet: 255 destinations. What a version allows says
//! [`destinations_max`](crate::values::InterfaceVersion::destinations_max).

use crate::address::Address;
use crate::error::{BodyError, Fault, Field};
use crate::field::{self, Parsed, c_octets, fail, octet, word};
use crate::header::Header;
use crate::message_id::MessageIdField;
use crate::octets::COctets;
use crate::pdu::message::Sm;
use crate::status::CommandStatus;
use crate::tlv::Tlvs;

/// Size of a distribution list's name with its NUL (3.4 §5.2.27).
pub const DL_NAME_MAX: usize = 21;

/// `dest_flag` of an SME address.
const SME: u8 = 1;
/// `dest_flag` of a distribution list.
const LIST: u8 = 2;

/// One of submit_multi's `dest_address` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A recipient.
    Sme(Address<'a>),
    /// The name of a list that the message centre keeps.
    List(COctets<'a, DL_NAME_MAX>),
}

impl Destination<'_> {
    /// Appends the field, its `dest_flag` in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sme(address) => {
                out.push(SME);
                address.encode(out);
            }
            Self::List(name) => {
                out.push(LIST);
                name.encode(out);
            }
        }
    }
}

/// `number_of_dests` destinations as they stand in the frame, read when they are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Destinations<'a> {
    count: u8,
    octets: &'a [u8],
}

impl<'a> Destinations<'a> {
    /// Reads `count` destinations off the start of `octets`.
    fn cut(count: u8, octets: &'a [u8]) -> Result<(&'a [u8], Self), BodyError> {
        let mut rest = octets;
        for _ in 0..count {
            (rest, _) = destination(rest)?;
        }
        let (octets, rest) = octets.split_at(octets.len() - rest.len());
        Ok((rest, Self { count, octets }))
    }

    /// From destinations that were encoded one behind the other; `None` unless they are `count` whole ones.
    pub fn new(count: u8, octets: &'a [u8]) -> Option<Self> {
        match Self::cut(count, octets) {
            Ok((&[], destinations)) if count > 0 => Some(destinations),
            _ => None,
        }
    }

    /// How many there are; at least one.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none, which no submit_multi that was read has.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The destinations, in order.
    pub fn iter(&self) -> impl Iterator<Item = Destination<'a>> + use<'a> {
        let mut rest = self.octets;
        std::iter::from_fn(move || {
            // They were read once, so this ends with the last of them.
            let (behind, destination) = destination(rest).ok()?;
            rest = behind;
            Some(destination)
        })
    }
}

impl std::fmt::Debug for Destinations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Destinations[{}]", self.count)
    }
}

fn destination(input: &[u8]) -> Parsed<'_, Destination<'_>> {
    let (input, flag) = octet(Field::DestFlag, input)?;
    match flag {
        SME => {
            let (input, address) = field::destination(input)?;
            Ok((input, Destination::Sme(address)))
        }
        LIST => {
            let (input, name) = c_octets(Field::DlName, input)?;
            Ok((input, Destination::List(name)))
        }
        _ => Err(fail(Field::DestFlag, Fault::Value)),
    }
}

/// The body of submit_multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SubmitMulti<'a> {
    /// What each recipient gets; its `destination` is empty.
    pub message: Sm<'a>,
    /// The recipients.
    pub destinations: Destinations<'a>,
}

impl<'a> SubmitMulti<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, source) = field::source(body)?;
        let (body, count) = octet(Field::NumberOfDests, body)?;
        if count == 0 {
            return Err(BodyError {
                field: Field::NumberOfDests,
                fault: Fault::Value,
            });
        }
        let (body, destinations) = Destinations::cut(count, body)?;
        Ok(Self {
            message: Sm::decode_from_esm_class(service_type, source, Address::default(), body)?,
            destinations,
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message.service_type.encode(out);
        self.message.source.encode(out);
        out.push(self.destinations.count);
        out.extend_from_slice(self.destinations.octets);
        self.message.encode_from_esm_class(out);
    }
}

/// A destination that was not taken, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuccess<'a> {
    /// Which.
    pub address: Address<'a>,
    /// What submit_sm would have been answered with.
    pub status: CommandStatus,
}

impl Unsuccess<'_> {
    /// Appends the field.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.address.encode(out);
        out.extend_from_slice(&self.status.0.to_be_bytes());
    }
}

/// Appends the body of a submit_multi_resp: the id, and `count` encoded [`Unsuccess`] fields.
pub fn write_resp(out: &mut Vec<u8>, message_id: MessageIdField<'_>, count: u8, unsuccess: &[u8]) {
    message_id.encode(out);
    out.push(count);
    out.extend_from_slice(unsuccess);
}

fn unsuccess(input: &[u8]) -> Parsed<'_, Unsuccess<'_>> {
    let (input, address) = field::destination(input)?;
    let (input, status) = word(Field::ErrorStatusCode, input)?;
    let status = CommandStatus(status);
    Ok((input, Unsuccess { address, status }))
}

/// What is left behind `count` fields.
fn behind_unsuccess(count: u8, list: &[u8]) -> Result<&[u8], BodyError> {
    let mut rest = list;
    for _ in 0..count {
        (rest, _) = unsuccess(rest)?;
    }
    Ok(rest)
}

/// The body of submit_multi_resp.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmitMultiResp<'a> {
    /// One id for all destinations that were taken.
    pub message_id: MessageIdField<'a>,
    /// `None` where the body ends behind the id, which peers do who have nothing to complain of.
    count: Option<u8>,
    unsuccess: &'a [u8],
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> SubmitMultiResp<'a> {
    /// From [`Unsuccess`] fields that were encoded one behind the other; `None` unless they are `count`
    /// whole ones.
    pub fn new(
        message_id: MessageIdField<'a>,
        count: u8,
        unsuccess: &'a [u8],
        tlvs: Tlvs<'a>,
    ) -> Option<Self> {
        let rest = behind_unsuccess(count, unsuccess).ok()?;
        rest.is_empty().then_some(Self {
            message_id,
            count: Some(count),
            unsuccess,
            tlvs,
        })
    }

    /// The body is optional whatever the status, and one that cannot be read behind a status other than zero is
    /// ignored: the status is all that counts there (3.4 §4.5.2).
    pub(crate) fn decode(header: Header, body: &'a [u8]) -> Result<Option<Self>, BodyError> {
        if body.is_empty() {
            return Ok(None);
        }
        match Self::decode_body(body) {
            Ok(body) => Ok(Some(body)),
            Err(_) if !header.status.is_ok() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn decode_body(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        if body.is_empty() {
            return Ok(Self {
                message_id,
                ..Self::default()
            });
        }
        let (list, count) = octet(Field::NoUnsuccess, body)?;
        let rest = behind_unsuccess(count, list)?;
        Ok(Self {
            message_id,
            count: Some(count),
            unsuccess: &list[..list.len() - rest.len()],
            tlvs: Tlvs::new(rest),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        out.extend(self.count);
        out.extend_from_slice(self.unsuccess);
        out.extend_from_slice(self.tlvs.as_bytes());
    }

    /// Whether the body has a list at all, be it an empty one; some peers leave it out.
    pub const fn has_list(&self) -> bool {
        self.count.is_some()
    }

    /// The destinations that were not taken, in order.
    pub fn unsuccess(&self) -> impl Iterator<Item = Unsuccess<'a>> + use<'a> {
        let mut rest = self.unsuccess;
        std::iter::from_fn(move || {
            let (behind, found) = unsuccess(rest).ok()?;
            rest = behind;
            Some(found)
        })
    }
}

impl std::fmt::Debug for SubmitMultiResp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubmitMultiResp")
            .field("message_id", &self.message_id)
            .field("no_unsuccess", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Npi, Ton};
    use crate::header::CommandId;

    fn sme(digits: &[u8]) -> Destination<'_> {
        Destination::Sme(Address::new(Ton::INTERNATIONAL, Npi::ISDN, digits).unwrap())
    }

    #[test]
    fn destinations_come_back_in_order_and_only_whole() {
        let all = [
            sme(b"447700900123"),
            Destination::List(COctets::new(b"friends").unwrap()),
            sme(b""),
        ];
        let mut octets = Vec::new();
        for destination in all {
            destination.encode(&mut octets);
        }
        let read = Destinations::new(3, &octets).unwrap();
        assert_eq!((read.len(), read.iter().collect::<Vec<_>>()), (3, all.to_vec()));
        assert_eq!(Destinations::new(2, &octets), None, "octets are left");
        assert_eq!(Destinations::new(4, &octets), None, "one is missing");
        assert_eq!(Destinations::new(0, &[]), None);
        assert_eq!(format!("{read:?}"), "Destinations[3]");
    }

    #[test]
    fn no_destination_and_one_of_no_kind_have_their_own_statuses() {
        let mut body = b"\0\x01\x01447700900100\0".to_vec();
        let status = |body: &[u8]| SubmitMulti::decode(body).unwrap_err().status();
        body.push(0);
        assert_eq!(status(&body), CommandStatus::RINVNUMDESTS);
        body.pop();
        body.extend_from_slice(&[1, 3, 0]);
        assert_eq!(status(&body), CommandStatus::RINVDESTFLAG);
    }

    #[test]
    fn a_response_names_who_was_not_taken_and_may_end_behind_the_id() {
        let header = Header {
            length: 16,
            command_id: CommandId::SUBMIT_MULTI_RESP,
            status: CommandStatus::ROK,
            sequence: 1,
        };
        let refused = Unsuccess {
            address: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            status: CommandStatus::RINVDSTADR,
        };
        let mut body = b"id\0\x02".to_vec();
        refused.encode(&mut body);
        refused.encode(&mut body);
        let read = SubmitMultiResp::decode(header, &body).unwrap().unwrap();
        assert_eq!(read.unsuccess().collect::<Vec<_>>(), [refused, refused]);
        let list = &body[b"id\0\x02".len()..];
        assert_eq!(
            SubmitMultiResp::new(read.message_id, 2, list, Tlvs::NONE),
            Some(read)
        );
        assert_eq!(SubmitMultiResp::new(read.message_id, 1, list, Tlvs::NONE), None);
        body.pop();
        assert!(SubmitMultiResp::decode(header, &body).is_err());
        let short = SubmitMultiResp::decode(header, b"id\0").unwrap().unwrap();
        assert_eq!(
            (short.message_id.as_bytes(), short.unsuccess().count()),
            (&b"id"[..], 0)
        );
    }
}
