//! Reading as a strict judge: which class of fault an input has, and what a peer does about it
//! (smpp-session.md §3, the classes of the public vectors).
//!
//! [`crate::pdu::read`] is for traffic: it takes whatever does no harm. This is for tests, for conformance
//! checks and for telling a peer what is wrong with its PDUs: nothing that has a fault is a PDU here. What
//! the reference calls valid though odd stays valid: unknown types of number, TLVs out of place, sequence
//! number 0, a response without its body.
//!
//! ```
//! use tidegate_codec::pdu::strict::{Action, FaultClass, read};
//! use tidegate_codec::pdu::{self, Limits, Read};
//!
//! // An enquire_link_resp with an octet behind it: peers are known for that.
//! let octets = [0, 0, 0, 17, 0x80, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
//! let finding = read(&octets, &Limits::default()).unwrap_err();
//! assert_eq!((finding.class, finding.class.name()), (FaultClass::TlvTruncatedHeader, "tlv_truncated_header"));
//! assert_eq!(finding.action, Action::Tolerate);
//! assert!(matches!(pdu::read(&octets, &Limits::default()), Read::Pdu(_)));
//! ```
//!
//! **Errors.** A [`Finding`]: the first fault, with what to do about it. [`FaultClass::Incomplete`] is no
//! fault.

use crate::error::{BodyError, Fault, Field};
use crate::field::c_octets;
use crate::frame::{Cut, cut};
use crate::header::{CommandId, HEADER_LEN, Header};
use crate::identity::SYSTEM_ID_MAX;
use crate::message_id::MessageIdField;
use crate::octets::{Body, COctets};
use crate::pdu::operation::Operation;
use crate::pdu::{Limits, Pdu};
use crate::status::CommandStatus;
use crate::tlv::Tlv;

/// What can be wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// Not a whole PDU yet, which is no fault of anybody's.
    Incomplete,
    /// command_length below 16.
    CommandLengthTooSmall,
    /// command_length above [`Limits::pdu_max`].
    CommandLengthTooLarge,
    /// An id of no PDU.
    UnknownCommandId,
    /// The body ends before or inside a field.
    TruncatedBody,
    /// A C-Octet String without its NUL.
    UnterminatedCString,
    /// A C-Octet String longer than its field.
    CStringTooLong,
    /// A `dest_flag` that is neither of the two.
    InvalidDestFlag,
    /// A `number_of_dests` of none.
    InvalidNumberOfDests,
    /// One to three octets where a TLV begins.
    TlvTruncatedHeader,
    /// A TLV longer than what is left of the PDU.
    TlvLengthOverrun,
    /// A known TLV of a length that its type cannot have.
    TlvBadLength,
    /// A TLV that the PDU must have is not there.
    TlvMissing,
}

impl FaultClass {
    /// The class as the public vectors spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::CommandLengthTooSmall => "command_length_too_small",
            Self::CommandLengthTooLarge => "command_length_too_large",
            Self::UnknownCommandId => "unknown_command_id",
            Self::TruncatedBody => "truncated_body",
            Self::UnterminatedCString => "unterminated_cstring",
            Self::CStringTooLong => "cstring_too_long",
            Self::InvalidDestFlag => "invalid_dest_flag",
            Self::InvalidNumberOfDests => "invalid_number_of_dests",
            Self::TlvTruncatedHeader => "tlv_truncated_header",
            Self::TlvLengthOverrun => "tlv_length_overrun",
            Self::TlvBadLength => "tlv_bad_length",
            Self::TlvMissing => "tlv_missing",
        }
    }
}

impl BodyError {
    /// The class of this fault.
    pub const fn class(self) -> FaultClass {
        match self.fault {
            Fault::Truncated => FaultClass::TruncatedBody,
            Fault::Unterminated => FaultClass::UnterminatedCString,
            Fault::TooLong => FaultClass::CStringTooLong,
            Fault::Value => match self.field {
                Field::NumberOfDests => FaultClass::InvalidNumberOfDests,
                _ => FaultClass::InvalidDestFlag,
            },
            Fault::TlvHeader => FaultClass::TlvTruncatedHeader,
            Fault::TlvOverrun => FaultClass::TlvLengthOverrun,
            Fault::TlvLength => FaultClass::TlvBadLength,
            Fault::TlvMissing => FaultClass::TlvMissing,
        }
    }
}

/// What to do about it. The header is the whole answer: a refusal has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Wait until this many octets are there, counted from the same start.
    Wait(usize),
    /// Answer with this generic_nack, then close: the framing is lost.
    NackAndClose(Header),
    /// Answer with this generic_nack; the session lives.
    Nack(Header),
    /// Answer with this response; the session lives.
    Reject(Header),
    /// Take it as if it had no fault: peers are known for it, and it does no harm.
    Tolerate,
    /// Answer nothing: responses and one-way PDUs have no answer. What a malformed response belongs to
    /// has failed.
    Drop,
}

/// A fault and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub class: FaultClass,
    /// What a peer that finds it does.
    pub action: Action,
}

/// Reads the first PDU of a stream if it has no fault at all.
///
/// ```
/// use tidegate_codec::pdu::strict::{Action, FaultClass, read};
/// use tidegate_codec::pdu::Limits;
///
/// // An unbind with one octet too many. A lenient reader takes it.
/// let octets = [0, 0, 0, 17, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
/// let finding = read(&octets, &Limits::default()).unwrap_err();
/// assert_eq!(finding.class, FaultClass::TlvTruncatedHeader);
/// let Action::Reject(answer) = finding.action else { panic!("{finding:?}") };
/// assert_eq!(answer.command_id.to_string(), "unbind_resp");
/// ```
///
/// # Errors
///
/// The first fault, with what to do about it. A PDU that is to be taken all the same ([`Action::Tolerate`]) is not
/// handed out here: [`crate::pdu::read`] reads it.
pub fn read<'a>(octets: &'a [u8], limits: &Limits) -> Result<Pdu<'a>, Finding> {
    let (header, body) = match cut(octets, limits.pdu_max) {
        Cut::NeedMore(whole) => {
            return Err(Finding {
                class: FaultClass::Incomplete,
                action: Action::Wait(whole),
            });
        }
        Cut::Broken(error) => {
            let is_short = (error.length as usize) < HEADER_LEN;
            return Err(Finding {
                class: if is_short {
                    FaultClass::CommandLengthTooSmall
                } else {
                    FaultClass::CommandLengthTooLarge
                },
                action: Action::NackAndClose(answer(
                    CommandId::GENERIC_NACK,
                    CommandStatus::RINVCMDLEN,
                    error.sequence,
                )),
            });
        }
        Cut::Frame { header, body } => (header, body),
    };
    if !header.command_id.is_known() {
        return Err(Finding {
            class: FaultClass::UnknownCommandId,
            action: if header.command_id.is_response() {
                Action::Drop
            } else {
                let status = CommandStatus::RINVCMDID;
                Action::Nack(answer(CommandId::GENERIC_NACK, status, header.sequence))
            },
        });
    }
    let pdu = judge(header, body, limits).map_err(|error| Finding {
        class: error.class(),
        action: match header.command_id.response() {
            Some(response) => Action::Reject(answer(response, error.status(), header.sequence)),
            None => Action::Drop,
        },
    })?;
    match harmless(&pdu.operation) {
        Some(fault) => Err(Finding {
            class: fault.class(),
            action: Action::Tolerate,
        }),
        None => Ok(pdu),
    }
}

fn answer(command_id: CommandId, status: CommandStatus, sequence: u32) -> Header {
    Header {
        length: 16,
        command_id,
        status,
        sequence,
    }
}

/// A fault that the PDU is taken with all the same.
fn harmless(operation: &Operation<'_>) -> Option<BodyError> {
    let tlvs = operation.tlvs();
    if operation.is_bare_response()
        && let Err(fault) = tlvs.strict()
    {
        return Some(fault);
    }
    let is_tolerated = |tlv: Tlv<'_>| tlv.tag.tolerates(tlv.value.0.len());
    tlvs.iter().any(is_tolerated).then_some(BodyError {
        field: Field::Tlvs,
        fault: Fault::TlvLength,
    })
}

fn judge<'a>(header: Header, body: Body<'a>, limits: &Limits) -> Result<Pdu<'a>, BodyError> {
    let pdu = Pdu::decode(header, body, limits)?;
    if !header.command_id.is_response() {
        pdu.operation.strict()?;
    } else if !pdu.operation.is_bare_response() && !body.0.is_empty() {
        judge_response(header, body, limits)?;
    }
    Ok(pdu)
}

/// The lenient reader leaves out what cannot be read behind an error status, and completes ids that end with the
/// PDU. Here all of it is read as if it counted, but for the lone NUL that peers write where a body would be.
fn judge_response(header: Header, body: Body<'_>, limits: &Limits) -> Result<(), BodyError> {
    if !header.status.is_ok() && body.0 == [0] {
        return Ok(());
    }
    let counted = Header {
        status: CommandStatus::ROK,
        ..header
    };
    let operation = Operation::decode(counted, body, limits)?;
    match operation {
        Operation::SubmitSmResp(_)
        | Operation::DeliverSmResp(_)
        | Operation::DataSmResp(_)
        | Operation::BroadcastSmResp(_)
        | Operation::QueryBroadcastSmResp(_) => {
            let (_, _): (_, MessageIdField<'_>) = c_octets(Field::MessageId, body.0)?;
        }
        Operation::BindResp(..) => {
            let (_, _): (_, COctets<'_, SYSTEM_ID_MAX>) = c_octets(Field::SystemId, body.0)?;
        }
        _ => {}
    }
    operation.tlvs().strict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::encode;

    fn class(command_id: CommandId, status: CommandStatus, body: &[u8]) -> Option<FaultClass> {
        let mut octets = Vec::new();
        encode(command_id, status, 1, &mut octets, |out| {
            out.extend_from_slice(body);
        });
        read(&octets, &Limits::default())
            .err()
            .map(|finding| finding.class)
    }

    #[test]
    fn what_the_lenient_reader_leaves_out_of_a_response_is_judged_here() {
        let (ok, throttled) = (CommandStatus::ROK, CommandStatus::RTHROTTLED);
        let unterminated = Some(FaultClass::UnterminatedCString);
        assert_eq!(class(CommandId::SUBMIT_SM_RESP, ok, b"4711"), unterminated);
        assert_eq!(class(CommandId::SUBMIT_SM_RESP, throttled, b"4711"), unterminated);
        assert_eq!(class(CommandId::SUBMIT_SM_RESP, throttled, b""), None);
        assert_eq!(class(CommandId::DELIVER_SM_RESP, ok, b""), None);
        let truncated = Some(FaultClass::TruncatedBody);
        // Peers who have nothing to complain of leave the list out, and some write a NUL where a body would be.
        assert_eq!(class(CommandId::SUBMIT_MULTI_RESP, ok, b"4711\0"), None);
        assert_eq!(class(CommandId::QUERY_SM_RESP, throttled, b"\0"), None);
        assert_eq!(class(CommandId::QUERY_BROADCAST_SM_RESP, throttled, b"\0"), None);
        assert_eq!(
            class(CommandId::QUERY_BROADCAST_SM_RESP, ok, b"bc-1"),
            unterminated
        );
        assert_eq!(class(CommandId::QUERY_SM_RESP, throttled, b"4711\0\0"), truncated);
        assert_eq!(
            class(CommandId::QUERY_SM_RESP, throttled, b"4711\0\0\x02\0"),
            None
        );
    }

    #[test]
    fn what_peers_are_known_for_is_tolerated_and_named() {
        let mut octets = Vec::new();
        let mut action = |command_id, body: &[u8]| {
            octets.clear();
            encode(command_id, CommandStatus::ROK, 1, &mut octets, |out| {
                out.extend_from_slice(body);
            });
            read(&octets, &Limits::default()).err()
        };
        let tolerated = |class| {
            Some(Finding {
                class,
                action: Action::Tolerate,
            })
        };
        let node = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\x0f\0\x0512345";
        let bad_length = tolerated(FaultClass::TlvBadLength);
        assert_eq!(action(CommandId::SUBMIT_SM, node), bad_length);
        let stray = tolerated(FaultClass::TlvTruncatedHeader);
        assert_eq!(action(CommandId::ENQUIRE_LINK_RESP, b"\0"), stray);
        assert_eq!(action(CommandId::GENERIC_NACK, b"\0\0\0"), stray);
        // A request has no such excuse.
        let refused = action(CommandId::ENQUIRE_LINK, b"\0").unwrap();
        assert!(matches!(refused.action, Action::Reject(_)), "{refused:?}");
    }

    #[test]
    fn a_broadcast_without_its_area_lacks_a_tlv() {
        let body = b"\0\x01\x01447700900100\0\0\0\0\0\0\0\0";
        assert_eq!(
            class(CommandId::BROADCAST_SM, CommandStatus::ROK, body),
            Some(FaultClass::TlvMissing)
        );
        let none = b"\0\x01\x01447700900100\0\0";
        assert_eq!(
            class(CommandId::SUBMIT_MULTI, CommandStatus::ROK, none),
            Some(FaultClass::InvalidNumberOfDests)
        );
    }
}
