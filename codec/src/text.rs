//! The text of messages: what its octets mean (3GPP TS 23.038 and 23.040 as SMPP uses them).
//!
//! [`read`] takes a message as it stands in a PDU apart: `data_coding` ([`Coding`]), header ([`Udh`]), text.
//! [`Charset`] reads and writes text in any alphabet there is: [`gsm7`] with its national tables ([`Shifts`]),
//! [`pack`]ed or not, [`SingleOctet`], [`ucs2`]. Everything writes into the caller's buffers and allocates nothing
//! else.

mod charset;
mod coding;
pub mod gsm7;
mod locking_tables;
pub mod pack;
mod place;
mod reading;
mod shift;
mod single_octet;
mod single_tables;
mod table;
pub mod ucs2;
pub mod udh;

pub use charset::{Charset, DefaultAlphabet, Peer, Unit};
pub use coding::{Alphabet, Class, Coding, Waiting, WaitingKind};
pub use place::{Place, Reference};
pub use reading::{Reading, decode_parts, read};
pub use shift::{Language, Shifts};
pub use single_octet::SingleOctet;
pub use udh::{Element, Udh, UdhError};

/// A text that an alphabet cannot write. It says where, and not what: the character is part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the character at octet {at} is not in the alphabet")]
pub struct NotEncodable {
    /// Where the character begins, in octets of UTF-8.
    pub at: usize,
}
