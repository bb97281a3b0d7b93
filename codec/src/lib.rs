//! SMPP 3.3, 3.4 and 5.0 as values and rules, without I/O, clock or randomness.
//!
//! The way of the data reads off the modules: [`frame`] cuts one PDU out of a stream, [`header`] and
//! [`pdu`] read it (borrowing from the frame, allocating nothing), [`tlv`] keeps optional parameters
//! byte for byte and reads them, [`version`] says what a peer may be sent, [`session`] what may happen next
//! on the link and when. [`text`] reads, cuts and joins what messages say; [`receipt`] and [`time`] read and
//! write the two formats inside them. The rest is vocabulary that every crate shares: [`address`],
//! [`identity`], [`message_id`], [`status`], [`values`].
//!
//! The [`guide`] goes through all of it with examples: start there.
//!
//! Nothing here can print a message body, a number or a password: such types show their length only.

pub mod address;
pub mod error;
mod field;
pub mod frame;
pub mod guide;
pub mod header;
pub mod identity;
pub mod message_id;
pub mod octets;
pub mod pdu;
pub mod receipt;
pub mod session;
pub mod status;
pub mod text;
pub mod time;
pub mod tlv;
pub mod values;
pub mod version;
