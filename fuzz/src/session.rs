//! A session driven by octets as its wire, or by octets as a list of operations with its wire between them.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::identity::SystemId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode, encode_empty, read};
use tidegate_codec::session::{Event, Monotonic, RequestError, Role, Rules, Session, State, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion};

/// Most of either that may be under way, whatever the operations say.
const LIMIT_MAX: usize = 4;

/// What a peer may say without a body.
const BARE: [CommandId; 16] = [
    CommandId::UNBIND,
    CommandId::UNBIND_RESP,
    CommandId::ENQUIRE_LINK,
    CommandId::ENQUIRE_LINK_RESP,
    CommandId::GENERIC_NACK,
    CommandId::SUBMIT_SM_RESP,
    CommandId::DELIVER_SM_RESP,
    CommandId::BIND_TRANSCEIVER_RESP,
    CommandId::BIND_RECEIVER_RESP,
    CommandId::BIND_TRANSMITTER_RESP,
    CommandId::OUTBIND,
    CommandId::ALERT_NOTIFICATION,
    CommandId::SUBMIT_SM,
    CommandId::QUERY_SM_RESP,
    CommandId(0x0000_0104),
    CommandId(0x8000_000b),
];

/// A session and the books that are kept on it.
struct Driven {
    session: Session<u32>,
    role: Role,
    now: Monotonic,
    out: Vec<u8>,
    /// Numbers of our requests under way, with their tickets.
    waiting: BTreeMap<u32, u32>,
    tickets: u32,
    /// Requests of the peer that are to be answered: with what, under which number.
    owed: Vec<(CommandId, u32)>,
    /// Whether a request is answered as it comes.
    prompt: bool,
    /// Answers that may be written at most since the last look.
    may_answer: usize,
    is_closed: bool,
}

/// A session fed with anything answers every request at most once, keeps its window, gives each ticket back once, and
/// ends for good. The first octet chooses; with its third bit each octet that follows is an operation, and some of them
/// read a PDU from the octets behind.
pub fn session(octets: &[u8]) {
    let Some((choice, mut rest)) = octets.split_first() else {
        return;
    };
    let by_operations = choice & 4 != 0;
    let mut driven = Driven::new(*choice);
    loop {
        let operation = if by_operations {
            let Some((operation, behind)) = rest.split_first() else {
                break;
            };
            rest = behind;
            *operation
        } else {
            driven.pass(Duration::from_millis(u64::from(*choice) * 100));
            0
        };
        let Some(used) = driven.operate(operation, rest) else {
            break;
        };
        rest = rest.get(used..).unwrap_or_default();
        driven.check();
    }
    driven.end();
}

impl Driven {
    fn new(choice: u8) -> Self {
        let role = if choice & 1 == 0 { Role::Smsc } else { Role::Esme };
        let rules = Rules {
            window: LIMIT_MAX,
            unanswered_max: LIMIT_MAX,
            timing: Timing {
                inactivity: Duration::from_secs(100),
                ..Timing::default()
            },
            assume_version: InterfaceVersion::V3_4,
        };
        let now = Monotonic::ZERO;
        let session = match role {
            Role::Esme if choice & 8 != 0 => Session::await_outbind(rules, now),
            _ => Session::new(role, rules, now),
        };
        Self {
            session,
            role,
            now,
            out: Vec::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            owed: Vec::new(),
            prompt: choice & 2 == 0,
            may_answer: 0,
            is_closed: false,
        }
    }

    /// One operation; how many octets of `rest` it used, or `None` when there are too few.
    fn operate(&mut self, operation: u8, rest: &[u8]) -> Option<usize> {
        let argument = usize::from(operation >> 4);
        match operation & 0x0f {
            0..=2 => return self.hear(rest),
            3 | 4 => {
                let (sequence, _) = rest.split_first()?;
                let mut octets = Vec::new();
                encode_empty(
                    BARE[argument],
                    CommandStatus::ROK,
                    u32::from(*sequence),
                    &mut octets,
                );
                self.hear(&octets)?;
                return Some(1);
            }
            5 => self.pass(Duration::from_millis(700 * u64::from(operation >> 4))),
            6 => self.pass(Duration::from_secs(u64::from(operation >> 4))),
            7 => self.request(),
            8 => self.bind(argument),
            9 => self.accept(),
            10 => self.session.refuse_bind(CommandStatus::RBINDFAIL, &mut self.out),
            11 => self.session.unbind(self.now, &mut self.out),
            12 => self.answer(argument),
            13 => self.session.set_limits(argument & 3, 1 + (argument >> 2)),
            14 => {
                let is_sent = match self.role {
                    Role::Smsc if argument & 1 == 0 => self.session.outbind(&mut self.out, |_| {}),
                    _ => self.session.alert(&mut self.out, |_| {}),
                };
                assert!(!is_sent || self.role == Role::Smsc);
            }
            _ => self.session.set_partial(self.now, argument & 1 == 0),
        }
        Some(0)
    }

    /// Reads what the octets begin with.
    fn hear(&mut self, octets: &[u8]) -> Option<usize> {
        let (used, event) = match read(octets, &Limits::default()) {
            Read::NeedMore(_) => return None,
            Read::Broken(error) => (octets.len(), self.session.handle_broken(error, &mut self.out)),
            Read::BadBody(header, error) => {
                let event = self.session.handle(self.now, Err((header, error)), &mut self.out);
                (header.length as usize, event)
            }
            Read::Pdu(pdu) => {
                let length = octets.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
                let event = self.session.handle(self.now, Ok(pdu), &mut self.out);
                (length as usize, event)
            }
        };
        self.may_answer += 1;
        self.note(&event);
        Some(used)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.time();
    }

    fn time(&mut self) {
        while let Some(event) = self.session.handle_timeout(self.now, &mut self.out) {
            self.note(&event);
        }
        assert!(
            self.session.poll_timeout().is_none_or(|at| at > self.now),
            "due, and not done"
        );
    }

    fn note(&mut self, event: &Event<'_, u32>) {
        assert!(!self.is_closed || *event == Event::None, "a word behind the end");
        match event {
            Event::BindRequested { .. } if self.prompt => self.accept(),
            Event::Request { sequence, operation } => {
                let response = operation.command_id().response();
                self.owed.extend(response.map(|response| (response, *sequence)));
                assert!(response.is_some(), "what has no response is no request");
                if self.prompt {
                    self.answer(0);
                }
            }
            Event::Answered { ticket, sequence, .. } => {
                assert_eq!(self.waiting.remove(sequence), Some(*ticket), "another's answer");
            }
            Event::Close(_) => self.is_closed = true,
            _ => {}
        }
    }

    fn request(&mut self) {
        let command = match self.role {
            Role::Esme => CommandId::SUBMIT_SM,
            Role::Smsc => CommandId::DELIVER_SM,
        };
        let room = self.session.room();
        self.tickets += 1;
        match self
            .session
            .request(self.now, command, self.tickets, &mut self.out, |_| {})
        {
            Ok(sequence) => {
                let before = self.waiting.insert(sequence, self.tickets);
                assert!(before.is_none() && room > 0 && sequence != 0 && sequence >> 31 == 0);
            }
            Err(RequestError::WindowFull(ticket) | RequestError::NotBound(ticket)) => {
                assert!(ticket == self.tickets && room == 0);
            }
        }
    }

    fn bind(&mut self, argument: usize) {
        let kinds = [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver];
        let versions = [
            InterfaceVersion::V3_3,
            InterfaceVersion::V3_4,
            InterfaceVersion::V5_0,
        ];
        let bind = Bind {
            system_id: COctets::EMPTY,
            password: COctets::EMPTY,
            system_type: COctets::EMPTY,
            interface_version: versions[argument / 3 % 3],
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        self.session
            .bind(self.now, kinds[argument % 3], &bind, &mut self.out);
    }

    fn accept(&mut self) {
        let Ok(name) = SystemId::new(b"tidegate") else {
            return;
        };
        self.may_answer += 1;
        self.session.accept_bind(self.now, &name, &mut self.out);
    }

    fn answer(&mut self, which: usize) {
        if self.owed.is_empty() {
            return;
        }
        let (response, sequence) = self.owed.remove(which % self.owed.len());
        // An empty message_id, and behind it what query_sm_resp has besides.
        let body: &[u8] = match response {
            CommandId::QUERY_SM_RESP => &[0; 4],
            CommandId::CANCEL_SM_RESP | CommandId::REPLACE_SM_RESP => &[],
            _ => &[0],
        };
        self.may_answer += 1;
        let status = CommandStatus::ROK;
        self.session
            .respond(response, sequence, status, &mut self.out, |out| {
                out.extend_from_slice(body);
            });
    }

    fn check(&mut self) {
        self.time();
        assert_eq!(self.session.waiting(), self.waiting.len());
        assert_eq!(self.session.unanswered(), self.owed.len());
        assert!(self.waiting.len() <= LIMIT_MAX && self.owed.len() <= LIMIT_MAX);
        assert!(self.session.room() <= LIMIT_MAX);
        assert_eq!(self.is_closed, self.session.state() == State::Closed);
        assert!(!self.is_closed || self.session.poll_timeout().is_none());
        self.look();
    }

    /// What we write is whole PDUs of known commands, and no more answers than there were questions.
    fn look(&mut self) {
        let mut written = self.out.as_slice();
        let mut answers = 0;
        while let Some(length) = written
            .first_chunk()
            .map(|word| u32::from_be_bytes(*word) as usize)
        {
            match read(written, &Limits::default()) {
                Read::Pdu(Pdu { operation, .. }) => {
                    assert!(!matches!(operation, Operation::Unknown(..)), "an unknown command");
                    answers += usize::from(operation.command_id().is_response());
                }
                // Our own requests have no bodies here.
                Read::BadBody(header, _) => assert!(!header.command_id.is_response()),
                Read::NeedMore(_) | Read::Broken(_) => break,
            }
            written = &written[length.max(HEADER_LEN)..];
        }
        // Whole PDUs; and an unbind may wait for the answers before it.
        assert!(written.is_empty() && answers <= self.may_answer);
        self.may_answer -= answers;
        self.out.clear();
    }

    /// The connection is gone: what waits comes back, oldest first, and nothing else.
    fn end(mut self) {
        let left: Vec<u32> = self.session.drain().collect();
        assert!(left.is_sorted());
        let mut waiting: Vec<u32> = self.waiting.into_values().collect();
        waiting.sort_unstable();
        assert_eq!(left, waiting);
        assert_eq!((self.session.state(), self.session.waiting()), (State::Closed, 0));
    }
}

/// PDUs that take a session through its life: which operations stand between them is the caller's choice.
pub fn lives() -> Vec<Vec<u8>> {
    let pdu = |id, sequence, body: &[u8]| {
        let mut octets = Vec::new();
        encode(CommandId(id), CommandStatus::ROK, sequence, &mut octets, |out| {
            out.extend_from_slice(body);
        });
        octets
    };
    let bind = b"load\0secret\0\0\x34\0\0\0";
    let sm = b"\0\0\0\0\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\x05hello";
    vec![
        pdu(0x09, 1, bind),
        pdu(0x02, u32::MAX, bind),
        pdu(0x04, 0, sm),
        pdu(0x05, 0x8000_0000, sm),
        pdu(0x0b, 5, b"smsc\0secret\0"),
        pdu(0x8000_0009, 1, b"smsc\0\x02\x10\0\x01\x34"),
        pdu(0x8000_0004, 2, b"id\0"),
        pdu(0x8000_0005, 1, b"\0"),
        pdu(0x15, 7, b""),
        pdu(0x06, 8, b""),
    ]
}
