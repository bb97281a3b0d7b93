//! A guide for whoever knows SMPP but not this crate. There is no code here besides the examples, and all of
//! them run.
//!
//! 1. [Reading a stream](#reading-a-stream)
//! 2. [Writing](#writing)
//! 3. [Optional parameters](#optional-parameters)
//! 4. [Versions](#versions)
//! 5. [Strict and lenient](#strict-and-lenient)
//! 6. [Two sessions](#two-sessions)
//! 7. [Long text](#long-text)
//! 8. [Receipts and times](#receipts-and-times)
//! 9. [Limits and memory](#limits-and-memory)
//! 10. [Privacy](#privacy)
//!
//! # Reading a stream
//!
//! [`pdu::read`](crate::pdu::read) looks at the octets that have come so far and says one of four things
//! ([`Read`](crate::pdu::Read)). Each is one thing to do:
//!
//! - `NeedMore(n)`: wait until `n` octets are there, counted from where this PDU begins.
//! - `Pdu(pdu)`: act on it, and go on behind `command_length` octets.
//! - `BadBody(header, error)`: the framing is whole, the body is not. Answer with
//!   [`error.status()`](crate::error::BodyError::status) and go on behind `header.length` octets. The session
//!   lives. What has no response ([`CommandId::response`](crate::header::CommandId::response): responses,
//!   outbind, alert_notification) is not answered.
//! - `Broken(error)`: nobody knows where the next PDU begins. Answer with generic_nack and close the
//!   connection.
//!
//! What you keep is one buffer for each connection. A PDU borrows from it: its fields are slices of the
//! buffer, so the compiler sees to it that the buffer does not change while the PDU is in use. What is to
//! live longer is copied ([`AddressBuf`](crate::address::AddressBuf),
//! [`MessageIdText`](crate::message_id::MessageIdText), [`SystemId`](crate::identity::SystemId)). `NeedMore`
//! never asks for more than [`Limits::pdu_max`](crate::pdu::Limits::pdu_max), so neither need the buffer grow
//! beyond it.
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
//! Whoever wants to look at the header before the body does the two steps one by one:
//! [`frame::cut`](crate::frame::cut) finds the frame, [`Pdu::decode`](crate::pdu::Pdu::decode) reads it. A
//! reader that skips what it does not need, or that passes frames on unread, stops after the first:
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
//! Everything that writes appends to a `Vec` of yours and touches nothing in front of it. Cleared and used
//! again, the buffer grows to the size of the largest PDU and stays there. Several PDUs in one buffer go out
//! in one write.
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
//! Mandatory fields cannot be too long: their types refuse it when they are made
//! ([`OctetsError`](crate::octets::OctetsError)). Whether a value makes sense is not asked; a simulator has
//! to say what real peers say wrongly. Nor is the length of the whole: with many optional parameters a PDU
//! may become longer than a peer takes.
//!
//! # Optional parameters
//!
//! [`Tlvs`](crate::tlv::Tlvs) are the octets behind the mandatory fields, in their order and as they came.
//! Nothing is taken apart before it is asked for, so what is unknown, repeated or a vendor's own goes through
//! byte for byte. Each parameter of 3.4 and 5.0 has a getter under its own name; any other is read by its
//! tag.
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
//! Reading does not ask for versions: a PDU of any of the three is read whoever sends it. Nor does writing,
//! so ask before it: [`Pdu::fits`](crate::pdu::Pdu::fits) names the first thing that a peer must not be sent.
//! To a peer of 3.3 that is above all: any optional parameter, bind_transceiver, data_sm, outbind,
//! alert_notification and the broadcasts, a message_id that is not of at most eight hexadecimal digits, a
//! priority above 1, a registered_delivery above 1, a text of 255 octets, and a status of 5.0.
//! [`Sm::plain`](crate::pdu::message::Sm::plain) and [`DataSm::plain`](crate::pdu::message::DataSm::plain)
//! give a message without optional parameters, its text where 3.3 looks for it, its priority and its wish for
//! receipts as 3.3 knows them. A delivery with a schedule or a validity keeps them, so ask `fits` again.
//!
//! ```
//! use tidegate_codec::error::Field;
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::message::{DataSm, Sm};
//! use tidegate_codec::pdu::{Operation, Pdu};
//! use tidegate_codec::status::CommandStatus;
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
//! // So does a value of a later version.
//! let urgent = Sm { priority_flag: 3, ..plain };
//! let no_value = Err(Unfit::Value(Field::PriorityFlag));
//! assert_eq!(fits(Operation::DeliverSm(urgent), InterfaceVersion::V3_3), no_value);
//! assert_eq!(urgent.plain().map(|sm| sm.priority_flag), Some(1));
//! # Ok::<(), &str>(())
//! ```
//!
//! # Strict and lenient
//!
//! [`pdu::read`](crate::pdu::read) takes what does no harm: octets behind a body that are no TLV, TLVs of odd
//! lengths, octets in a response that has no body. There are two ways to be stricter. [`Operation::strict`]
//! asks a PDU that was read for faults of its TLVs; ask it where you would rather refuse than guess, with
//! submits above all. [`pdu::strict::read`](crate::pdu::strict::read) judges the octets themselves, names the
//! class of the fault, and says what is to be done; it is for tests and for telling a peer what is wrong with
//! its PDUs.
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
//!
//! # Two sessions
//!
//! A [`Session`](crate::session::Session) is the rules of one link, of either side: who may send what and
//! when, what is answered by itself, what waits for an answer, what has run out. It has no socket and no
//! clock. You give it what came and what time it is; it appends what is to be sent and tells you what
//! happened ([`Event`](crate::session::Event)). Below, an ESME and an SMSC talk through two vectors; in a
//! program these are sockets, and the time is a monotonic clock.
//!
//! A loop does three things: it reads and handles what has come; it calls `handle_timeout` until that returns
//! `None`; and it sleeps until something comes or until `poll_timeout`. After
//! [`Event::Close`](crate::session::Event::Close), and when the connection breaks, it takes back with
//! [`drain`](crate::session::Session::drain) what still waits.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::identity::SystemId;
//! use tidegate_codec::message_id::MessageIdText;
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::bind::Bind;
//! use tidegate_codec::pdu::message::{ShortMessage, Sm};
//! use tidegate_codec::pdu::{Limits, Operation, Read, read};
//! use tidegate_codec::session::{
//!     Answer, CloseReason, Event, Monotonic, RequestError, Role, Rules, Session, State, Timing,
//! };
//! use tidegate_codec::address::{Npi, Ton};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::tlv::Tlvs;
//! use tidegate_codec::values::{BindKind, InterfaceVersion};
//!
//! /// One side: its session, what has come for it, what it has written, and what it has seen.
//! struct Side {
//!     session: Session<&'static str>,
//!     inbox: Vec<u8>,
//!     out: Vec<u8>,
//!     seen: Vec<String>,
//! }
//!
//! impl Side {
//!     fn new(role: Role, now: Monotonic) -> Self {
//!         let rules = Rules {
//!             window: 10,
//!             unanswered_max: 100,
//!             timing: Timing::default(),
//!             assume_version: InterfaceVersion::V3_4,
//!         };
//!         let session = Session::new(role, rules, now);
//!         Self { session, inbox: Vec::new(), out: Vec::new(), seen: Vec::new() }
//!     }
//!
//!     /// Handles everything that has come.
//!     fn read(&mut self, now: Monotonic) {
//!         let Self { session, inbox, out, seen } = self;
//!         let mut at = 0;
//!         loop {
//!             let octets = &inbox[at..];
//!             let length = octets.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
//!             let (length, event) = match read(octets, &Limits::default()) {
//!                 Read::NeedMore(_) => break,
//!                 Read::Pdu(pdu) => (length, session.handle(now, Ok(pdu), out)),
//!                 Read::BadBody(header, error) => (length, session.handle(now, Err((header, error)), out)),
//!                 // What is left means nothing.
//!                 Read::Broken(error) => (octets.len(), session.handle_broken(error, out)),
//!             };
//!             at += length;
//!             session.set_partial(now, false);
//!             seen.extend(act(session, now, event, out));
//!         }
//!         // Half a PDU must not lie here for ever: the timer pdu_read runs.
//!         session.set_partial(now, at < inbox.len());
//!         inbox.drain(..at);
//!     }
//!
//!     /// Acts on every timer that is due.
//!     fn time(&mut self, now: Monotonic) {
//!         while let Some(event) = self.session.handle_timeout(now, &mut self.out) {
//!             self.seen.extend(act(&mut self.session, now, event, &mut self.out));
//!         }
//!     }
//! }
//!
//! /// What the owner of a session does about an event, and a line about it.
//! fn act(
//!     session: &mut Session<&'static str>,
//!     now: Monotonic,
//!     event: Event<'_, &'static str>,
//!     out: &mut Vec<u8>,
//! ) -> Option<String> {
//!     match event {
//!         Event::None => None,
//!         Event::BindRequested { bind, .. } => {
//!             let is_known = bind.system_id.as_bytes() == b"shop" && bind.password.as_bytes() == b"secret";
//!             if is_known {
//!                 let name = SystemId::new(b"tidegate").ok()?;
//!                 session.accept_bind(now, &name, out);
//!             } else {
//!                 session.refuse_bind(CommandStatus::RBINDFAIL, out);
//!             }
//!             Some(format!("bind: {is_known}"))
//!         }
//!         Event::Bound { version, .. } => Some(format!("bound, {:x}", version.0)),
//!         Event::Request { sequence, operation: Operation::SubmitSm(message) } => {
//!             // An answer may be given at once or much later; the sequence number is all that it needs.
//!             let id = MessageIdText::new(b"4711").ok()?;
//!             session.respond(CommandId::SUBMIT_SM_RESP, sequence, CommandStatus::ROK, out, |out| {
//!                 id.as_field().encode(out);
//!             });
//!             Some(format!("submit of {} octets", message.text().0.len()))
//!         }
//!         Event::Request { sequence, operation } => {
//!             // We do nothing else; whatever else is asked for must be answered all the same.
//!             let response = operation.command_id().response()?;
//!             session.respond(response, sequence, CommandStatus::RSYSERR, out, |_| {});
//!             Some(format!("{} refused", operation.command_id()))
//!         }
//!         Event::Answered { ticket, took, answer, .. } => Some(match answer {
//!             Answer::Response(status, _) => format!("{ticket}: {status} after {took:?}"),
//!             Answer::Nack(status) => format!("{ticket}: nack, {status}"),
//!             // Both are in doubt: the peer may have taken the message.
//!             Answer::Unreadable(_) | Answer::Expired => format!("{ticket}: in doubt"),
//!         }),
//!         Event::Close(reason) => Some(format!("close: {}", reason.label())),
//!         // Refusals, strays, the peer's unbind: to be counted; nothing need be done.
//!         other => Some(format!("{other:?}")),
//!     }
//! }
//!
//! /// What each has written reaches the other, until both are silent.
//! fn exchange(esme: &mut Side, smsc: &mut Side, now: Monotonic) {
//!     while !(esme.out.is_empty() && smsc.out.is_empty()) {
//!         smsc.inbox.append(&mut esme.out);
//!         smsc.read(now);
//!         esme.inbox.append(&mut smsc.out);
//!         esme.read(now);
//!     }
//! }
//!
//! let mut now = Monotonic::ZERO;
//! let (mut esme, mut smsc) = (Side::new(Role::Esme, now), Side::new(Role::Smsc, now));
//!
//! // Before the bind nothing goes out, and the ticket comes back.
//! let early = esme.session.request(now, CommandId::SUBMIT_SM, "early", &mut esme.out, |_| {});
//! assert_eq!(early, Err(RequestError::NotBound("early")));
//!
//! // Bind.
//! let bind = Bind {
//!     system_id: COctets::new(b"shop")?,
//!     password: COctets::new(b"secret")?,
//!     system_type: COctets::EMPTY,
//!     interface_version: InterfaceVersion::V5_0,
//!     addr_ton: Ton::UNKNOWN,
//!     addr_npi: Npi::UNKNOWN,
//!     address_range: COctets::EMPTY,
//!     tlvs: Tlvs::NONE,
//! };
//! esme.session.bind(now, BindKind::Transceiver, &bind, &mut esme.out);
//! exchange(&mut esme, &mut smsc, now);
//! assert_eq!((&smsc.seen[..], &esme.seen[..]), (&["bind: true".into()][..], &["bound, 50".into()][..]));
//! assert_eq!(smsc.session.state(), State::Bound(BindKind::Transceiver));
//!
//! // Submit and answer. The network takes its time.
//! let hello = Sm { short_message: ShortMessage::new(b"hello").unwrap_or_default(), ..Sm::default() };
//! let sent = esme.session.request(now, CommandId::SUBMIT_SM, "first", &mut esme.out, |out| {
//!     hello.encode(out);
//! });
//! assert_eq!((sent, esme.session.waiting()), (Ok(2), 1));
//! now = now + Duration::from_millis(40);
//! exchange(&mut esme, &mut smsc, now);
//! assert_eq!(smsc.seen.last().map(String::as_str), Some("submit of 5 octets"));
//! assert_eq!(esme.seen.last().map(String::as_str), Some("first: ESME_ROK(0x0) after 40ms"));
//! assert_eq!(esme.session.waiting(), 0);
//!
//! // Half a minute of silence: each asks whether the other is there. That is the sessions' own business.
//! let due = esme.session.poll_timeout().ok_or("a timer always runs")?;
//! assert_eq!(due.since(now), Duration::from_secs(30));
//! now = due;
//! esme.time(now);
//! assert_eq!(esme.out.len(), 16, "an enquire_link");
//! let seen = (esme.seen.len(), smsc.seen.len());
//! exchange(&mut esme, &mut smsc, now);
//! assert_eq!((esme.seen.len(), smsc.seen.len()), seen);
//! assert_eq!(esme.session.poll_timeout(), Some(now + Duration::from_secs(30)));
//!
//! // Unbind. The ESME closes the connection once it is answered.
//! esme.session.unbind(now, &mut esme.out);
//! exchange(&mut esme, &mut smsc, now);
//! esme.time(now);
//! smsc.time(now);
//! assert_eq!(esme.seen.last(), Some(&format!("close: {}", CloseReason::Unbound.label())));
//! assert_eq!((esme.session.state(), esme.session.poll_timeout()), (State::Closed, None));
//! // The SMSC leaves the closing to the ESME, for as long as the timer unbind_wait has.
//! assert!(smsc.session.poll_timeout().is_some_and(|at| at > now));
//! smsc.time(now + Duration::from_secs(5));
//! assert_eq!(smsc.session.state(), State::Closed);
//! // The connection is gone. Nothing waited; had anything, it would come back here.
//! assert_eq!(esme.session.drain().count() + smsc.session.drain().count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## When things go wrong
//!
//! A session takes PDUs as values, so a test can let a peer say what it likes. The side of the SMSC below may have
//! one request under way, and owe one answer:
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::pdu::message::Sm;
//! use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode, encode_empty, read};
//! use tidegate_codec::session::{
//!     Answer, CloseReason, Event, Monotonic, RequestError, Role, Rules, Session, State, Timing,
//! };
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::values::InterfaceVersion;
//!
//! let rules = Rules {
//!     window: 1,
//!     unanswered_max: 1,
//!     timing: Timing::default(),
//!     assume_version: InterfaceVersion::V3_4,
//! };
//! let (now, limits) = (Monotonic::ZERO, Limits::default());
//! let (mut octets, mut out) = (Vec::new(), Vec::new());
//! let mut smsc: Session<&str> = Session::new(Role::Smsc, rules, now);
//! encode(CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1, &mut octets, |out| {
//!     out.extend_from_slice(b"shop\0secret\0\0\x34\0\0\0");
//! });
//! let Read::Pdu(bind) = read(&octets, &limits) else { panic!("it is whole") };
//! assert!(matches!(smsc.handle(now, Ok(bind), &mut out), Event::BindRequested { .. }));
//! smsc.accept_bind(now, &"tidegate".parse()?, &mut out);
//!
//! // The window is full: nothing is written, and the ticket comes back.
//! let body = |out: &mut Vec<u8>| Sm::default().encode(out);
//! assert_eq!(smsc.request(now, CommandId::DELIVER_SM, "first", &mut out, body), Ok(1));
//! let second = smsc.request(now, CommandId::DELIVER_SM, "second", &mut out, body);
//! assert_eq!(second, Err(RequestError::WindowFull("second")));
//!
//! // Nobody answers. Whether the ESME has the message is not known, and it may still say so.
//! let later = now + rules.timing.response;
//! let mut given_up = Vec::new();
//! while let Some(event) = smsc.handle_timeout(later, &mut out) {
//!     if let Event::Answered { ticket, answer: Answer::Expired, .. } = event {
//!         given_up.push(ticket);
//!     }
//! }
//! assert_eq!((given_up, smsc.room()), (vec!["first"], 1));
//! let late = Pdu { status: CommandStatus::ROK, sequence: 1, operation: Operation::DeliverSmResp(None) };
//! assert_eq!(smsc.handle(later, Ok(late), &mut out), Event::Unexpected(late));
//!
//! // A body that cannot be read has been answered when the event comes.
//! octets.clear();
//! out.clear();
//! encode_empty(CommandId::SUBMIT_SM, CommandStatus::ROK, 2, &mut octets);
//! let Read::BadBody(header, error) = read(&octets, &limits) else { panic!("it has no body") };
//! let refused = Event::Refused { command_id: CommandId::SUBMIT_SM, status: CommandStatus::RINVCMDLEN };
//! assert_eq!(smsc.handle(later, Err((header, error)), &mut out), refused);
//! let Read::Pdu(answer) = read(&out, &limits) else { panic!("it is whole") };
//! assert_eq!((answer.operation, answer.sequence), (Operation::SubmitSmResp(None), 2));
//!
//! // So has a request that is one too many.
//! let submit = |sequence| {
//!     Ok(Pdu { status: CommandStatus::ROK, sequence, operation: Operation::SubmitSm(Sm::default()) })
//! };
//! assert!(matches!(smsc.handle(later, submit(3), &mut out), Event::Request { sequence: 3, .. }));
//! assert!(smsc.is_saturated(), "the time to stop reading");
//! let refused = Event::Refused { command_id: CommandId::SUBMIT_SM, status: CommandStatus::RTHROTTLED };
//! assert_eq!(smsc.handle(later, submit(4), &mut out), refused);
//!
//! // Lost framing ends it at once.
//! let Read::Broken(error) = read(&[0, 0, 0, 3], &limits) else { panic!("no PDU is so short") };
//! assert_eq!(smsc.handle_broken(error, &mut out), Event::Close(CloseReason::Broken(error)));
//! assert_eq!((smsc.state(), smsc.poll_timeout()), (State::Closed, None));
//! assert_eq!(smsc.drain().count(), 0, "nothing of ours was under way");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Long text
//!
//! Choose and write ([`text::encode`](crate::text::encode)), cut ([`Split`](crate::text::Split)), and on the
//! other side take apart ([`text::read`](crate::text::read)), collect
//! ([`Reassembly`](crate::text::Reassembly)) and read ([`decode_parts`](crate::text::decode_parts)):
//!
//! ```
//! use tidegate_codec::pdu::message::{ShortMessage, Sm};
//! use tidegate_codec::text::{
//!     Added, Bounds, Carriage, Peer, Reassembly, Split, SplitRules, choose, decode_parts, encode, read,
//! };
//! use tidegate_codec::tlv::Tlvs;
//! use tidegate_codec::values::EsmClass;
//!
//! let text = "Der Zug fällt aus; wer will, bekommt 5 € zurück. ".repeat(4);
//! // How much it costs can be asked before anything is written.
//! assert_eq!(choose(&text, &[], Carriage::Udh8).count.parts, 2);
//!
//! let mut octets = Vec::new();
//! let choice = encode(&text, &[], Carriage::Udh8, &mut octets);
//! let rules = SplitRules { reference: 42, ..SplitRules::default() };
//!
//! let mut kept = Reassembly::new(Bounds::default());
//! let (mut ended, mut whole) = (Vec::new(), None);
//! let mut short_message = Vec::new();
//! for part in Split::new(choice.charset, None, &octets, rules)? {
//!     short_message.clear();
//!     part.write(&mut short_message);
//!     let sm = Sm {
//!         esm_class: EsmClass(if part.has_header() { EsmClass::UDHI } else { 0 }),
//!         data_coding: choice.data_coding(),
//!         short_message: ShortMessage::new(&short_message).ok_or("parts are short")?,
//!         ..Sm::default()
//!     };
//!
//!     // The other side.
//!     let part = read(sm.data_coding, sm.esm_class, sm.text().0, Peer::default());
//!     let place = part.place(&Tlvs::NONE).ok_or("each part has its place")?;
//!     // The key says between whom; the tag is what is to be known of the part later on.
//!     let added = kept.add("from, to", place, part.text.0, part.charset, 0, &mut ended);
//!     if let Added::Complete(parts) = added {
//!         whole = Some(parts);
//!     }
//! }
//!
//! let parts = whole.ok_or("all parts came")?;
//! let (mut scratch, mut read_again) = (Vec::new(), String::new());
//! let pieces = parts.iter().map(|part| (part.tag, &part.octets[..]));
//! assert_eq!(decode_parts(pieces, &mut scratch, &mut read_again), Some(0), "nothing was replaced");
//! assert_eq!(read_again, text);
//! assert!(ended.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Receipts and times
//!
//! [`read_receipt`](crate::receipt::read_receipt) tells a receipt from a message and puts together what its
//! TLVs and its text say; [`ReceiptText`](crate::receipt::ReceiptText) writes one. Carriers write the id of
//! the response in decimal and that of the receipt in hexadecimal, or the other way round:
//! [`canonical`](crate::receipt::canonical) makes both the same, by a setting and never by a guess. Times are
//! [`SmppTime`](crate::time::SmppTime); `now` is an argument.
//!
//! ```
//! use tidegate_codec::receipt::{IdBase, ReceiptText, canonical, read_receipt};
//! use tidegate_codec::time::{SmppTime, write_absolute};
//! use tidegate_codec::values::{EsmClass, MessageState};
//!
//! // 2026-11-24T12:00:00Z.
//! let now = 1_795_521_600_000;
//! let minute = 60_000;
//!
//! let mut text = Vec::new();
//! ReceiptText::new(b"4711", MessageState::Delivered, now - 2 * minute, now).write(&mut text);
//! assert!(text.starts_with(b"id:4711 sub:001 dlvrd:001 submit date:2611241158 done date:2611241200 stat:"));
//!
//! let receipt = read_receipt(EsmClass::RECEIPT, &text, None, None, None, false).ok_or("it is declared")?;
//! assert_eq!((receipt.id(), receipt.state), (&b"4711"[..], MessageState::Delivered));
//! assert!(receipt.is_final);
//! // Without the bits of esm_class the same text is what somebody wrote.
//! assert_eq!(read_receipt(EsmClass(0), &text, None, None, None, false), None);
//!
//! assert_eq!(canonical(b"4711", IdBase::Decimal), canonical(b"00001267", IdBase::Hex));
//! assert_ne!(canonical(b"4711", IdBase::AsGiven), canonical(b"1267", IdBase::AsGiven));
//!
//! let validity = SmppTime::parse(b"000002000000000R", now)?;
//! assert_eq!(validity.resolve(now), Some(now + 2 * 24 * 60 * minute));
//! assert_eq!(&write_absolute(now), b"261124120000000+");
//! assert_eq!(SmppTime::parse(b"", now)?.resolve(now), None, "at once, or the default");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits and memory
//!
//! - Reading a PDU, its TLVs and its lists allocates nothing, whatever lengths and counts the octets claim.
//!   Writing a PDU into a buffer with room allocates nothing. Tests count allocations to hold this.
//! - The longest PDU is [`Limits::pdu_max`](crate::pdu::Limits::pdu_max), 70 000 octets by default; a longer
//!   command_length is refused as soon as its four octets are there.
//! - A session keeps what waits in its [`Window`](crate::session::Window), which grows with the window that
//!   it is given, and of the peer's requests only their number.
//! - [`Reassembly`](crate::text::Reassembly) copies parts, within its [`Bounds`](crate::text::Bounds):
//!   messages, messages of one key, octets, time.
//! - Owned forms of ids hold up to 22 octets, and owned addresses up to 20, without allocating.
//!
//! ```
//! use tidegate_codec::frame::{Cut, FrameError, PDU_MAX_DEFAULT, cut};
//!
//! let claims = 1_u32 << 31;
//! let refused = FrameError { length: claims, max: PDU_MAX_DEFAULT, sequence: 0 };
//! assert_eq!(cut(&claims.to_be_bytes(), PDU_MAX_DEFAULT), Cut::Broken(refused));
//! ```
//!
//! # Privacy
//!
//! Of texts, numbers, passwords and message ids `Debug` shows the length and nothing else, alone or inside a
//! PDU, an event of a session or an error. What is to be logged has to be taken out by name (`as_bytes`,
//! `expose`). The one exception is [`SystemId`](crate::identity::SystemId), the name of an account: it shows
//! itself.
//!
//! ```
//! use tidegate_codec::address::{Address, Npi, Ton};
//! use tidegate_codec::identity::{PASSWORD_MAX, Password};
//! use tidegate_codec::pdu::message::{ShortMessage, Sm};
//!
//! let message = Sm {
//!     destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?,
//!     short_message: ShortMessage::new(b"your code is 1234").unwrap_or_default(),
//!     ..Sm::default()
//! };
//! let shown = format!("{message:?}");
//! assert!(!shown.contains("4477") && !shown.contains("1234"));
//! assert!(shown.contains("Body[17]"), "{shown}");
//!
//! let password = Password::new(b"secret", PASSWORD_MAX)?;
//! assert!(!format!("{password:?}").contains("secret"));
//! assert_eq!(password.expose(), b"secret");
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```
