//! Reading as a strict judge: which class of fault an input has, and what a peer does about it
//! (smpp-session.md §3, the classes of the public vectors).
//!
//! [`crate::pdu::read`] is for traffic: it takes whatever does no harm. This is for tests, for conformance
//! checks and for telling a peer what is wrong with its PDUs: nothing that has a fault is a PDU here. What
//! the reference calls valid though odd stays valid: unknown types of number, TLVs out of place, sequence
//! number 0, a response without its body.

use crate::error::{BodyError, Fault, Field};
use crate::field::c_octets;
use crate::frame::{Cut, cut};
use crate::header::{CommandId, HEADER_LEN, Header};
use crate::message_id::MessageIdField;
use crate::octets::Body;
use crate::pdu::operation::Operation;
use crate::pdu::{Limits, Pdu};
use crate::status::CommandStatus;

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
    faultless(header, body, limits).map_err(|error| Finding {
        class: error.class(),
        action: match header.command_id.response() {
            Some(response) => Action::Reject(answer(response, error.status(), header.sequence)),
            None => Action::Drop,
        },
    })
}

fn answer(command_id: CommandId, status: CommandStatus, sequence: u32) -> Header {
    Header {
        length: 16,
        command_id,
        status,
        sequence,
    }
}

fn faultless<'a>(header: Header, body: Body<'a>, limits: &Limits) -> Result<Pdu<'a>, BodyError> {
    let pdu = Pdu::decode(header, body, limits)?;
    pdu.operation.strict()?;
    if header.command_id.is_response() && !body.0.is_empty() {
        judge_response(header, body, limits)?;
    }
    Ok(pdu)
}

/// The lenient reader leaves out what stands behind an error status, and completes ids that end with the
/// PDU and lists that were not begun. Here all of it is read as if it counted.
fn judge_response(header: Header, body: Body<'_>, limits: &Limits) -> Result<(), BodyError> {
    let counted = Header {
        status: CommandStatus::ROK,
        ..header
    };
    let operation = Operation::decode(counted, body, limits)?;
    operation.tlvs().strict()?;
    match operation {
        Operation::SubmitSmResp(_)
        | Operation::DeliverSmResp(_)
        | Operation::DataSmResp(_)
        | Operation::BroadcastSmResp(_)
        | Operation::QueryBroadcastSmResp(_) => {
            let (_, _): (_, MessageIdField<'_>) = c_octets(Field::MessageId, body.0)?;
            Ok(())
        }
        Operation::SubmitMultiResp(Some(resp)) if !resp.has_list() => Err(BodyError {
            field: Field::NoUnsuccess,
            fault: Fault::Truncated,
        }),
        _ => Ok(()),
    }
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
        assert_eq!(class(CommandId::SUBMIT_MULTI_RESP, ok, b"4711\0"), truncated);
        assert_eq!(class(CommandId::QUERY_SM_RESP, throttled, b"4711\0\0"), truncated);
        assert_eq!(
            class(CommandId::QUERY_SM_RESP, throttled, b"4711\0\0\x02\0"),
            None
        );
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
