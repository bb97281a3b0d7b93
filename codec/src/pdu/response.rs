//! Responses whose body is a message_id: submit_sm_resp, deliver_sm_resp, data_sm_resp.

use crate::error::{BodyError, Field};
use crate::field::c_octets;
use crate::header::Header;
use crate::message_id::MessageIdField;
use crate::tlv::Tlvs;

/// The body of submit_sm_resp, deliver_sm_resp (where the id is unused and empty) and data_sm_resp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageIdResp<'a> {
    /// The id that the answering side gave the message.
    pub message_id: MessageIdField<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> MessageIdResp<'a> {
    /// The body is optional whatever the status (interop quirks 15 and 17), and one that cannot be read
    /// behind a status other than zero is ignored: the status is all that counts there.
    pub(crate) fn decode(header: Header, body: &'a [u8]) -> Result<Option<Self>, BodyError> {
        if body.is_empty() {
            return Ok(None);
        }
        match c_octets(Field::MessageId)(body) {
            Ok((rest, message_id)) => Ok(Some(Self {
                message_id,
                tlvs: Tlvs::new(rest),
            })),
            Err(_) if !header.status.is_ok() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}
