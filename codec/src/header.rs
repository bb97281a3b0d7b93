//! The 16 octets that begin every PDU (SMPP 3.4 §3.2), and the command ids.
//!
//! ```
//! use tidegate_codec::header::{CommandId, Header};
//! use tidegate_codec::status::CommandStatus;
//!
//! let octets = [0, 0, 0, 16, 0x80, 0, 0, 4, 0, 0, 0, 0x58, 0, 0, 0, 9];
//! let header = Header::read(&octets);
//! assert_eq!((header.command_id, header.sequence), (CommandId::SUBMIT_SM_RESP, 9));
//! assert_eq!(header.status, CommandStatus::RTHROTTLED);
//! assert_eq!(header.command_id.request().response(), Some(header.command_id));
//! let mut out = Vec::new();
//! header.write(&mut out);
//! assert_eq!(out, octets);
//! ```
//!
//! **Errors.** None: any 16 octets are a header. [`crate::frame::cut`] judges the length.

use std::fmt;

use crate::status::CommandStatus;

/// Octets of a header, and of the shortest PDU.
pub const HEADER_LEN: usize = 16;

/// Bit 31 of a command_id: set in responses.
const RESPONSE: u32 = 0x8000_0000;

/// A `command_id`. Any 32-bit value may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u32);

macro_rules! commands {
    ($($value:literal $name:ident $text:literal)*) => {
        impl CommandId {
            $(#[doc = concat!("`", $text, "`.")] pub const $name: Self = Self($value);)*

            /// The command's name in the specification, or `None` for ids of no PDU.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

// SMPP 3.4 §5.1.2.1 and 5.0 §4.7.5; the three commands of 3.3 that 3.4 dropped are unknown ids here.
commands! {
    0x8000_0000 GENERIC_NACK "generic_nack"
    0x0000_0001 BIND_RECEIVER "bind_receiver"
    0x8000_0001 BIND_RECEIVER_RESP "bind_receiver_resp"
    0x0000_0002 BIND_TRANSMITTER "bind_transmitter"
    0x8000_0002 BIND_TRANSMITTER_RESP "bind_transmitter_resp"
    0x0000_0003 QUERY_SM "query_sm"
    0x8000_0003 QUERY_SM_RESP "query_sm_resp"
    0x0000_0004 SUBMIT_SM "submit_sm"
    0x8000_0004 SUBMIT_SM_RESP "submit_sm_resp"
    0x0000_0005 DELIVER_SM "deliver_sm"
    0x8000_0005 DELIVER_SM_RESP "deliver_sm_resp"
    0x0000_0006 UNBIND "unbind"
    0x8000_0006 UNBIND_RESP "unbind_resp"
    0x0000_0007 REPLACE_SM "replace_sm"
    0x8000_0007 REPLACE_SM_RESP "replace_sm_resp"
    0x0000_0008 CANCEL_SM "cancel_sm"
    0x8000_0008 CANCEL_SM_RESP "cancel_sm_resp"
    0x0000_0009 BIND_TRANSCEIVER "bind_transceiver"
    0x8000_0009 BIND_TRANSCEIVER_RESP "bind_transceiver_resp"
    0x0000_000b OUTBIND "outbind"
    0x0000_0015 ENQUIRE_LINK "enquire_link"
    0x8000_0015 ENQUIRE_LINK_RESP "enquire_link_resp"
    0x0000_0021 SUBMIT_MULTI "submit_multi"
    0x8000_0021 SUBMIT_MULTI_RESP "submit_multi_resp"
    0x0000_0102 ALERT_NOTIFICATION "alert_notification"
    0x0000_0103 DATA_SM "data_sm"
    0x8000_0103 DATA_SM_RESP "data_sm_resp"
    0x0000_0111 BROADCAST_SM "broadcast_sm"
    0x8000_0111 BROADCAST_SM_RESP "broadcast_sm_resp"
    0x0000_0112 QUERY_BROADCAST_SM "query_broadcast_sm"
    0x8000_0112 QUERY_BROADCAST_SM_RESP "query_broadcast_sm_resp"
    0x0000_0113 CANCEL_BROADCAST_SM "cancel_broadcast_sm"
    0x8000_0113 CANCEL_BROADCAST_SM_RESP "cancel_broadcast_sm_resp"
}

impl CommandId {
    /// Whether bit 31 says "response". generic_nack is one.
    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE != 0
    }

    /// Whether a PDU with this id exists.
    pub const fn is_known(self) -> bool {
        self.name().is_some()
    }

    /// The request that a response belongs to; a request is its own.
    pub const fn request(self) -> Self {
        Self(self.0 & 0x7fff_ffff)
    }

    /// The response that answers this request; `None` for responses, for outbind and
    /// alert_notification, which have none, and for unknown ids.
    pub const fn response(self) -> Option<Self> {
        if self.is_response() || !self.is_known() {
            return None;
        }
        let response = Self(self.0 | RESPONSE);
        if response.is_known() { Some(response) } else { None }
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A header as it stood on the wire; `length` has been checked by [`crate::frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Octets of the whole PDU, these 16 included.
    pub length: u32,
    /// What the PDU is.
    pub command_id: CommandId,
    /// Result in responses; whatever a peer wrote in requests, to be ignored.
    pub status: CommandStatus,
    /// Ties a response to its request. Peers use 0 and all 32 bits (interop quirk 21): echo it as it came.
    pub sequence: u32,
}

impl Header {
    /// Reads the 16 octets.
    pub fn read(octets: &[u8; HEADER_LEN]) -> Self {
        let word =
            |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        Self {
            length: word(0),
            command_id: CommandId(word(4)),
            status: CommandStatus(word(8)),
            sequence: word(12),
        }
    }

    /// Appends the 16 octets.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut octets = [0; HEADER_LEN];
        let words = [self.length, self.command_id.0, self.status.0, self.sequence];
        for (octets, word) in octets.as_chunks_mut().0.iter_mut().zip(words) {
            *octets = word.to_be_bytes();
        }
        out.extend_from_slice(&octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbind_and_alert_notification_have_no_response() {
        assert_eq!(CommandId::SUBMIT_SM.response(), Some(CommandId::SUBMIT_SM_RESP));
        assert_eq!(CommandId::OUTBIND.response(), None);
        assert_eq!(CommandId::ALERT_NOTIFICATION.response(), None);
        assert!(!CommandId(0x8000_000b).is_known() && !CommandId(0x8000_0102).is_known());
        assert_eq!(CommandId::GENERIC_NACK.response(), None);
    }

    #[test]
    fn a_header_survives_the_wire() {
        let header = Header {
            length: 16,
            command_id: CommandId::ENQUIRE_LINK_RESP,
            status: CommandStatus::ROK,
            sequence: 0xffff_ffff,
        };
        let mut octets = Vec::new();
        header.write(&mut octets);
        assert_eq!(Header::read(octets.as_slice().try_into().unwrap()), header);
    }
}
