//! SMPP 3.3, 3.4 and 5.0 as values and rules, without I/O, clock or randomness.
//!
//! SMPP is how applications (ESMEs) and message centres (SMSCs) hand short messages to each other. This crate
//! is for both ends of it, and for what stands between them. A client sent this; it is read where it lies,
//! and answered:
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::{Limits, Operation, Read, encode, encode_empty, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! let octets = b"\0\0\0\x36\0\0\0\x04\0\0\0\0\0\0\0\x07\0\x05\0Shop\0\x01\x01447700900123\0\
//!     \0\0\0\0\0\x01\0\0\0\x05hello";
//! let mut out = Vec::new();
//! match read(octets, &Limits::default()) {
//!     Read::NeedMore(octets) => panic!("wait until {octets} octets are there"),
//!     Read::Pdu(pdu) => {
//!         let Operation::SubmitSm(message) = pdu.operation else { panic!("{pdu:?}") };
//!         assert_eq!(message.destination.addr.as_bytes(), b"447700900123");
//!         assert_eq!(message.text().0, b"hello");
//!         encode(CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, pdu.sequence, &mut out, |out| {
//!             out.extend_from_slice(b"4711\0");
//!         });
//!     }
//!     Read::BadBody(header, error) => {
//!         // Responses have no response, and two requests have none either.
//!         if let Some(response) = header.command_id.response() {
//!             encode_empty(response, error.status(), header.sequence, &mut out);
//!         }
//!     }
//!     Read::Broken(error) => panic!("nack, then close: {error}"),
//! }
//! assert_eq!(out, b"\0\0\0\x15\x80\0\0\x04\0\0\0\0\0\0\0\x074711\0");
//! ```
//!
//! # What there is
//!
//! - **PDUs**: all 33 commands of 3.4 and 5.0. Reading borrows from the octets and allocates nothing; a bad
//!   body comes with the status to answer it with. A strict judge names the fault. ([`frame`], [`header`],
//!   [`pdu`], [`error`])
//! - **Optional parameters**: every one of 3.4 and 5.0 under its own name, any other byte for byte. ([`tlv`])
//! - **Versions**: what a peer of 3.3, 3.4 or 5.0 may be sent. ([`version`])
//! - **Sessions** of either side: bind, outbind, window, timers, unbind, faults. You bring the octets and the
//!   time, so a test needs neither socket nor clock. ([`session`])
//! - **Text**: what each `data_coding` says; GSM 7-bit with the tables of 13 languages, packed or not, UCS-2,
//!   ASCII, ISO-8859-1, -5 and -8; counting, splitting, reassembling. ([`text`])
//! - **Receipts and times**: the dialects of carriers read, the form of the specification written.
//!   ([`receipt`], [`time`])
//! - **Vocabulary** that the others share: [`address`], [`category`], [`identity`], [`message_id`], [`octets`], [`status`],
//!   [`values`].
//!
//! The [`guide`] goes through all of it with examples: start there.
//!
//! # What there is not
//!
//! - No sockets, no TLS, no async runtime, and nothing that connects again, tries again, stores or routes.
//! - The three commands that only 3.3 had (param_retrieve, query_last_msgs, query_msg_details) are read as
//!   unknown ones. Broadcasts are read and written, but a [`session::Session`] declines them.
//! - Text in the Japanese and Korean alphabets and compressed text is carried, not read.
//!
//! # Errors and limits
//!
//! What a peer sends is never a reason to panic; property tests and fuzz targets look for the contrary. Where
//! a call can fail, the type of its error says what is wrong, and that of a broken body also which
//! `command_status` to answer with ([`error::BodyError::status`]). Every length, list and table has a bound:
//! [`pdu::Limits`], [`session::Rules`], [`text::Bounds`], or a constant beside the field.
//!
//! Nothing here can print a message body, a number or a password: such types show their length only.
//!
//! Sections of SMPP 3.4 and 5.0 and of 3GPP TS 23.038 and 23.040 are named where a rule comes from. Other
//! references (`smpp-pdus.md §4`, interop quirk 9 and the like) are to our own notes, which do not come with
//! the crate.

#![deny(missing_docs, rustdoc::broken_intra_doc_links)]

pub mod address;
pub mod category;
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
