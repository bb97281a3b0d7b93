//! Responses whose body is a message_id and TLVs: submit_sm_resp, deliver_sm_resp, data_sm_resp (3.4 §4.4.2,
//! §4.6.2, §4.7.2), broadcast_sm_resp and query_broadcast_sm_resp (5.0 §4.4, §4.6).
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::response::MessageIdResp;
//! use tidegate_codec::pdu::{Limits, Operation, Read, encode, encode_empty, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! let body = MessageIdResp { message_id: COctets::new(b"4711")?, ..MessageIdResp::default() };
//! let mut octets = Vec::new();
//! encode(CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, 1, &mut octets, |out| body.encode(out));
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! assert_eq!(pdu.operation, Operation::SubmitSmResp(Some(body)));
//!
//! // Many peers leave the body out behind an error, and that is no error of reading.
//! octets.clear();
//! encode_empty(CommandId::SUBMIT_SM_RESP, CommandStatus::RTHROTTLED, 2, &mut octets);
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! assert_eq!(pdu.operation, Operation::SubmitSmResp(None));
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```

use crate::error::{BodyError, Field};
use crate::field::c_octets;
use crate::header::Header;
use crate::message_id::MessageIdField;
use crate::tlv::Tlvs;

/// The body of submit_sm_resp, deliver_sm_resp (where the id is unused and empty), data_sm_resp,
/// broadcast_sm_resp and query_broadcast_sm_resp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageIdResp<'a> {
    /// The id that the answering side gave the message.
    pub message_id: MessageIdField<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> MessageIdResp<'a> {
    /// The body is optional whatever the status (interop quirks 15 and 17), and one that cannot be read
    /// behind a status other than zero is ignored: the status is all that counts there. An id without its
    /// NUL ends with the PDU (interop quirk 19): were it refused, the message would be handed over again
    /// for ever.
    pub(crate) fn decode(header: Header, body: &'a [u8]) -> Result<Option<Self>, BodyError> {
        if body.is_empty() {
            return Ok(None);
        }
        match c_octets(Field::MessageId, body) {
            Ok((rest, message_id)) => Ok(Some(Self {
                message_id,
                tlvs: Tlvs::new(rest),
            })),
            Err(_) if !header.status.is_ok() => Ok(None),
            Err(error) => match MessageIdField::new(body) {
                Ok(message_id) => Ok(Some(Self {
                    message_id,
                    tlvs: Tlvs::default(),
                })),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::CommandId;
    use crate::message_id::MESSAGE_ID_MAX;
    use crate::status::CommandStatus;

    fn decode(body: &[u8]) -> Result<Option<MessageIdResp<'_>>, BodyError> {
        let header = Header {
            length: 16,
            command_id: CommandId::SUBMIT_SM_RESP,
            status: CommandStatus::ROK,
            sequence: 1,
        };
        MessageIdResp::decode(header, body)
    }

    #[test]
    fn an_id_without_its_nul_ends_with_the_pdu_and_one_that_is_too_long_is_none() {
        for body in [&b"4711"[..], b"4711\0"] {
            let read = decode(body).unwrap().unwrap();
            assert_eq!(
                (read.message_id.as_bytes(), read.tlvs.is_empty()),
                (&b"4711"[..], true)
            );
        }
        let longest = [b'7'; MESSAGE_ID_MAX - 1];
        assert_eq!(decode(&longest).unwrap().unwrap().message_id.as_bytes(), longest);
        assert!(decode(&[b'7'; MESSAGE_ID_MAX]).is_err());
    }
}
