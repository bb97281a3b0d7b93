//! A guide for whoever knows SMPP but not this crate. There is no code here besides the examples, and all of them run.
//!
//! 1. [Reading a stream](#reading-a-stream)
//! 2. [Writing](#writing)
//! 3. [Optional parameters](#optional-parameters)
//! 4. [Versions](#versions)
//! 5. [Strict and lenient](#strict-and-lenient)
//!
//! # Reading a stream
//!
//! [`pdu::read`](crate::pdu::read) looks at the octets that have come so far and says one of four things
//! ([`Read`](crate::pdu::Read)). Each is one thing to do:
//!
//! - `NeedMore(n)`: wait until `n` octets are there, counted from where this PDU begins.
//! - `Pdu(pdu)`: act on it, and go on behind `command_length` octets.
//! - `BadBody(header, error)`: the framing is whole, the body is not. Answer with
//!   [`error.status()`](crate::error::BodyError::status) and go on behind `header.length` octets. The session lives.
//! - `Broken(error)`: nobody knows where the next PDU begins. Answer with generic_nack and close the connection.
//!
//! What you keep is one buffer for each connection. A PDU borrows from it: its fields are slices of the buffer, so the
//! compiler sees to it that the buffer does not change while the PDU is in use. What is to live longer is copied
//! ([`AddressBuf`](crate::address::AddressBuf), [`MessageIdText`](crate::message_id::MessageIdText),
//! [`SystemId`](crate::identity::SystemId)). `NeedMore` never asks for more than
//! [`Limits::pdu_max`](crate::pdu::Limits::pdu_max), so neither need the buffer grow beyond it.
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::{Limits, Read, encode_empty, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! #[derive(Debug, PartialEq)]
//! enum Seen {
//!     Pdu(CommandId, u32),
//!     Bad(CommandId, CommandStatus),
//!     Broken,
//! }
//!
//! /// Takes every whole PDU off the front of the buffer.
//! fn take(buffer: &mut Vec<u8>) -> Vec<Seen> {
//!     let (mut seen, mut at) = (Vec::new(), 0);
//!     loop {
//!         let octets = &buffer[at..];
//!         match read(octets, &Limits::default()) {
//!             Read::NeedMore(_) => break,
//!             Read::Pdu(pdu) => {
//!                 seen.push(Seen::Pdu(pdu.operation.command_id(), pdu.sequence));
//!                 // A whole PDU is there, and so is its length.
//!                 at += octets.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
//!             }
//!             Read::BadBody(header, error) => {
//!                 seen.push(Seen::Bad(header.command_id, error.status()));
//!                 at += header.length as usize;
//!             }
//!             Read::Broken(_) => {
//!                 seen.push(Seen::Broken);
//!                 at = buffer.len();
//!             }
//!         }
//!     }
//!     buffer.drain(..at);
//!     seen
//! }
//!
//! let mut wire = Vec::new();
//! encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 7, &mut wire);
//! // A submit_sm without a body.
//! encode_empty(CommandId::SUBMIT_SM, CommandStatus::ROK, 8, &mut wire);
//! encode_empty(CommandId::UNBIND, CommandStatus::ROK, 9, &mut wire);
//! // And a length that no PDU has.
//! wire.extend_from_slice(&[0, 0, 0, 3]);
//!
//! // The network cuts where it likes: here every five octets.
//! let (mut buffer, mut seen) = (Vec::new(), Vec::new());
//! for piece in wire.chunks(5) {
//!     buffer.extend_from_slice(piece);
//!     seen.extend(take(&mut buffer));
//! }
//! assert_eq!(
//!     seen,
//!     [
//!         Seen::Pdu(CommandId::ENQUIRE_LINK, 7),
//!         Seen::Bad(CommandId::SUBMIT_SM, CommandStatus::RINVCMDLEN),
//!         Seen::Pdu(CommandId::UNBIND, 9),
//!         Seen::Broken,
//!     ]
//! );
//! ```
//!
//! Whoever wants to look at the header before the body does the two steps one by one: [`frame::cut`](crate::frame::cut)
//! finds the frame, [`Pdu::decode`](crate::pdu::Pdu::decode) reads it. A reader that skips what it does not need, or
//! that passes frames on unread, stops after the first:
//!
//! ```
//! use tidegate_codec::frame::{Cut, cut};
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::{Limits, Operation, Pdu};
//!
//! let octets = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 7];
//! assert_eq!(cut(&octets[..10], 1_000), Cut::NeedMore(16));
//! let Cut::Frame { header, body } = cut(&octets, 1_000) else { panic!("it is whole") };
//! assert_eq!((header.command_id, header.sequence, body.0.len()), (CommandId::ENQUIRE_LINK, 7, 0));
//!
//! let pdu = Pdu::decode(header, body, &Limits::default())?;
//! assert!(matches!(pdu.operation, Operation::EnquireLink(_)));
//! # Ok::<(), tidegate_codec::error::BodyError>(())
//! ```
//!
//! # Writing
//!
//! Everything that writes appends to a `Vec` of yours and touches nothing in front of it. Cleared and used again, the
//! buffer grows to the size of the largest PDU and stays there. Several PDUs in one buffer go out in one write.
//!
//! ```
//! use tidegate_codec::address::{Address, Npi, Ton};
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::message_id::MessageIdText;
//! use tidegate_codec::pdu::message::{ShortMessage, Sm};
//! use tidegate_codec::pdu::{Operation, Pdu, encode, encode_empty};
//! use tidegate_codec::status::CommandStatus;
//!
//! let message = Sm {
//!     source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Shop")?,
//!     destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?,
//!     short_message: ShortMessage::new(b"hello").ok_or("too long")?,
//!     ..Sm::default()
//! };
//!
//! let mut out = Vec::with_capacity(256);
//! let room = out.capacity();
//! for sequence in 1..=100 {
//!     out.clear();
//!     // A PDU as a value,
//!     let operation = Operation::SubmitSm(message);
//!     Pdu { status: CommandStatus::ROK, sequence, operation }.encode(&mut out);
//!     // one whose body is written where it goes,
//!     let id = MessageIdText::new(b"4711")?;
//!     encode(CommandId::DELIVER_SM_RESP, CommandStatus::ROK, sequence, &mut out, |out| {
//!         id.as_field().encode(out);
//!     });
//!     // and one that is only a header.
//!     encode_empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence, &mut out);
//! }
//! assert_eq!(out.capacity(), room, "it never had to grow");
//! assert_eq!(&out[out.len() - 4..], [0, 0, 0, 100]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Fields cannot be too long: their types refuse it when they are made ([`OctetsError`](crate::octets::OctetsError)).
//! Whether a value makes sense is not asked; a simulator has to say what real peers say wrongly.
//!
//! # Optional parameters
//!
//! [`Tlvs`](crate::tlv::Tlvs) are the octets behind the mandatory fields, in their order and as they came. Nothing is
//! taken apart before it is asked for, so what is unknown, repeated or a vendor's own goes through byte for byte. Each
//! parameter of 3.4 and 5.0 has a getter under its own name; any other is read by its tag.
//!
//! ```
//! use tidegate_codec::pdu::message::Sm;
//! use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//!
//! const VENDOR: Tag = Tag(0x1401);
//!
//! let mut tlvs = Vec::new();
//! assert!(append(&mut tlvs, VENDOR, b"campaign 7"));
//! assert!(append(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0x12, 0x34]));
//! assert!(append(&mut tlvs, Tag::SOURCE_PORT, &[9]), "of the wrong length");
//! assert!(!append(&mut tlvs, VENDOR, &[0; 65_536]), "longer than a TLV can be: left out");
//!
//! let operation = Operation::SubmitSm(Sm { tlvs: Tlvs::new(&tlvs), ..Sm::default() });
//! let mut octets = Vec::new();
//! Pdu { status: CommandStatus::ROK, sequence: 1, operation }.encode(&mut octets);
//!
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! let read = pdu.operation.tlvs();
//! assert_eq!(read.user_message_reference(), Ok(Some(0x1234)));
//! assert_eq!(read.dest_port(), Ok(None));
//! assert_eq!(read.get(VENDOR), Some(&b"campaign 7"[..]));
//! // What a getter refuses is still there.
//! assert_eq!(read.source_port().map_err(|error| error.length), Err(1));
//! assert_eq!(read.get(Tag::SOURCE_PORT), Some(&[9][..]));
//! assert_eq!(read.as_bytes(), tlvs, "byte for byte, and in their order");
//!
//! // Passing on all but one.
//! let mut passed = Vec::new();
//! for tlv in read.iter().filter(|tlv| tlv.tag != Tag::SOURCE_PORT) {
//!     assert!(append(&mut passed, tlv.tag, tlv.value.0));
//! }
//! assert_eq!(passed, tlvs[..tlvs.len() - 5]);
//! ```
//!
//! # Versions
//!
//! Reading does not ask for versions: a PDU of any of the three is read whoever sends it. Writing does:
//! [`Pdu::fits`](crate::pdu::Pdu::fits) names the first thing that a peer must not be sent. To a peer of 3.3 that is above all:
//! any optional parameter, bind_transceiver, data_sm, outbind, alert_notification and the broadcasts, a message_id
//! that is not of at most eight hexadecimal digits, a priority above 1, a registered_delivery above 1, a text of 255
//! octets, and a status of 5.0. [`Sm::plain`](crate::pdu::message::Sm::plain) and
//! [`DataSm::plain`](crate::pdu::message::DataSm::plain) make of a message what 3.3 can hold.
//!
//! ```
//! use tidegate_codec::pdu::message::{DataSm, Sm};
//! use tidegate_codec::pdu::{Operation, Pdu};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//! use tidegate_codec::values::InterfaceVersion;
//! use tidegate_codec::version::Unfit;
//!
//! fn pdu(operation: Operation<'_>) -> Pdu<'_> {
//!     Pdu { status: CommandStatus::ROK, sequence: 1, operation }
//! }
//!
//! let mut tlvs = Vec::new();
//! assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"hello"));
//! let data = DataSm { tlvs: Tlvs::new(&tlvs), ..DataSm::default() };
//! let message = Sm { tlvs: Tlvs::new(&tlvs), ..Sm::default() };
//!
//! let fits = |operation, version| pdu(operation).fits(version);
//! assert_eq!(fits(Operation::DataSm(data), InterfaceVersion::V3_4), Ok(()));
//! let no_command = Err(Unfit::Command(CommandId::DATA_SM));
//! assert_eq!(fits(Operation::DataSm(data), InterfaceVersion::V3_3), no_command);
//! let no_tlv = Err(Unfit::Tlv(Tag::MESSAGE_PAYLOAD));
//! assert_eq!(fits(Operation::DeliverSm(message), InterfaceVersion::V3_3), no_tlv);
//!
//! // The text moves to where 3.3 looks for it.
//! let plain = message.plain().ok_or("no room for the text")?;
//! assert_eq!((plain.short_message.as_bytes(), plain.tlvs), (&b"hello"[..], Tlvs::NONE));
//! assert_eq!(data.plain(), Some(plain));
//! assert_eq!(fits(Operation::DeliverSm(plain), InterfaceVersion::V3_3), Ok(()));
//! # Ok::<(), &str>(())
//! ```
//!
//! # Strict and lenient
//!
//! [`pdu::read`](crate::pdu::read) takes what does no harm: octets behind a body that are no TLV, TLVs of odd lengths,
//! octets in a response that has no body. There are two ways to be stricter. [`Operation::strict`] asks a PDU that was
//! read for faults of its TLVs; ask it where you would rather refuse than guess, with submits above all.
//! [`pdu::strict::read`](crate::pdu::strict::read) judges the octets themselves, names the class of the fault, and
//! says what is to be done; it is for tests and for telling a peer what is wrong with its PDUs.
//!
//! [`Operation::strict`]: crate::pdu::Operation::strict
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::message::Sm;
//! use tidegate_codec::pdu::strict::{self, Action, FaultClass};
//! use tidegate_codec::pdu::{Limits, Read, encode, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! let mut octets = Vec::new();
//! encode(CommandId::SUBMIT_SM, CommandStatus::ROK, 5, &mut octets, |out| {
//!     Sm::default().encode(out);
//!     // A TLV that says 9 octets and has 1.
//!     out.extend_from_slice(&[0x14, 0x01, 0, 9, 1]);
//! });
//!
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("the fields are fine") };
//! let refusal = pdu.operation.strict().map_err(|error| error.status());
//! assert_eq!(refusal, Err(CommandStatus::RINVOPTPARSTREAM));
//!
//! let finding = strict::read(&octets, &Limits::default()).unwrap_err();
//! assert_eq!(finding.class, FaultClass::TlvLengthOverrun);
//! let Action::Reject(answer) = finding.action else { panic!("{finding:?}") };
//! assert_eq!((answer.command_id, answer.sequence), (CommandId::SUBMIT_SM_RESP, 5));
//! ```
