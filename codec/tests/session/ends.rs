//! Two ends of a link, and what they saw.

use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::SystemId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::{Limits, Read, encode, read};
use tidegate_codec::session::{
    Answer, CloseReason, Event, Monotonic, RequestError, Role, Rules, Session, Timing,
};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::bodies::body_of;

/// What an event was, without what it borrows.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Seen {
    BindRequested(BindKind),
    Bound(InterfaceVersion),
    BindRefused(CommandStatus),
    Outbind,
    Request(u32),
    Notified(CommandId),
    Response(u32, CommandStatus),
    Nack(u32, CommandStatus),
    Expired(u32),
    Unreadable(u32),
    Unexpected,
    Refused(CommandId, CommandStatus),
    Dropped(CommandId),
    PeerUnbound,
    Close(CloseReason),
}

pub(crate) fn seen(event: Event<'_, u32>) -> Option<Seen> {
    Some(match event {
        Event::None => return None,
        Event::BindRequested { kind, .. } => Seen::BindRequested(kind),
        Event::Bound { version, .. } => Seen::Bound(version),
        Event::BindRefused(status) => Seen::BindRefused(status),
        Event::Outbind(_) => Seen::Outbind,
        Event::Request { sequence, .. } => Seen::Request(sequence),
        Event::Notified(operation) => Seen::Notified(operation.command_id()),
        Event::Answered { ticket, answer, .. } => match answer {
            Answer::Response(status, _) => Seen::Response(ticket, status),
            Answer::Nack(status) => Seen::Nack(ticket, status),
            Answer::Expired => Seen::Expired(ticket),
            Answer::Unreadable(_) => Seen::Unreadable(ticket),
        },
        Event::Unexpected(_) => Seen::Unexpected,
        Event::Refused { command_id, status } => Seen::Refused(command_id, status),
        Event::Dropped(id) => Seen::Dropped(id),
        Event::PeerUnbound => Seen::PeerUnbound,
        Event::Close(reason) => Seen::Close(reason),
    })
}

/// One end: a session, what it wrote, what it saw.
pub(crate) struct End {
    pub(crate) session: Session<u32>,
    pub(crate) out: Vec<u8>,
    pub(crate) seen: Vec<Seen>,
}

impl End {
    pub(crate) fn new(role: Role) -> Self {
        Self::with(Session::new(role, rules(), Monotonic::ZERO))
    }

    pub(crate) fn with(session: Session<u32>) -> Self {
        Self {
            session,
            out: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Takes one PDU, written here octet by octet.
    pub(crate) fn hear(&mut self, now: Monotonic, command: CommandId, status: CommandStatus, sequence: u32) {
        let mut octets = Vec::new();
        encode(command, status, sequence, &mut octets, |out| {
            if !command.is_response() {
                out.extend_from_slice(&body_of(command));
            }
        });
        self.take(now, &octets);
    }

    /// Says yes to a request with an id that any response can bear.
    pub(crate) fn answer(&mut self, command: CommandId, sequence: u32) {
        self.session
            .respond(command, sequence, CommandStatus::ROK, &mut self.out, |out| {
                out.extend_from_slice(b"id\0");
            });
    }

    pub(crate) fn accept(&mut self, now: Monotonic) {
        let name = SystemId::new(b"tidegate").unwrap();
        self.session.accept_bind(now, &name, &mut self.out);
    }

    /// What was seen since the last look.
    pub(crate) fn news(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Reads every PDU in `octets`.
    pub(crate) fn take(&mut self, now: Monotonic, octets: &[u8]) {
        let mut at = 0;
        while at < octets.len() {
            let (length, event) = match read(&octets[at..], &Limits::default()) {
                Read::Pdu(pdu) => {
                    let length = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap()) as usize;
                    (length, self.session.handle(now, Ok(pdu), &mut self.out))
                }
                Read::BadBody(header, error) => (
                    header.length as usize,
                    self.session.handle(now, Err((header, error)), &mut self.out),
                ),
                Read::Broken(error) => (octets.len(), self.session.handle_broken(error, &mut self.out)),
                Read::NeedMore(_) => panic!("a whole PDU was expected"),
            };
            self.seen.extend(seen(event));
            at += length;
        }
    }

    pub(crate) fn time(&mut self, now: Monotonic) {
        while let Some(event) = self.session.handle_timeout(now, &mut self.out) {
            self.seen.extend(seen(event));
        }
    }

    pub(crate) fn submit(&mut self, now: Monotonic, ticket: u32) -> Result<u32, RequestError<u32>> {
        self.session
            .request(now, CommandId::SUBMIT_SM, ticket, &mut self.out, |out| {
                sm().encode(out);
            })
    }

    pub(crate) fn deliver(&mut self, now: Monotonic, ticket: u32) -> Result<u32, RequestError<u32>> {
        self.session
            .request(now, CommandId::DELIVER_SM, ticket, &mut self.out, |out| {
                sm().encode(out);
            })
    }

    /// The command_ids, statuses and sequence numbers written since the last look.
    pub(crate) fn written(&mut self) -> Vec<(CommandId, CommandStatus, u32)> {
        let octets = std::mem::take(&mut self.out);
        let (mut at, mut found) = (0, Vec::new());
        while let Read::Pdu(pdu) = read(&octets[at..], &Limits::default()) {
            found.push((pdu.operation.command_id(), pdu.status, pdu.sequence));
            at += u32::from_be_bytes(octets[at..at + 4].try_into().unwrap()) as usize;
        }
        assert_eq!(at, octets.len(), "what we write is always whole PDUs");
        found
    }
}

pub(crate) fn rules() -> Rules {
    Rules {
        window: 2,
        unanswered_max: 3,
        timing: timing(),
        assume_version: InterfaceVersion::V3_4,
    }
}

pub(crate) fn timing() -> Timing {
    Timing {
        inactivity: Duration::from_secs(300),
        ..Timing::default()
    }
}

pub(crate) fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

pub(crate) fn sm() -> Sm<'static> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}

pub(crate) fn bind(version: InterfaceVersion) -> Bind<'static> {
    Bind {
        system_id: COctets::new(b"load").unwrap(),
        password: COctets::new(b"secret").unwrap(),
        system_type: COctets::EMPTY,
        interface_version: version,
        addr_ton: Ton::UNKNOWN,
        addr_npi: Npi::UNKNOWN,
        address_range: COctets::EMPTY,
        tlvs: Tlvs::NONE,
    }
}

pub(crate) struct Pair {
    pub(crate) esme: End,
    pub(crate) smsc: End,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            esme: End::new(Role::Esme),
            smsc: End::new(Role::Smsc),
        }
    }

    /// Carries octets both ways until nobody has anything to say.
    pub(crate) fn settle(&mut self, now: Monotonic) {
        loop {
            let to_smsc = std::mem::take(&mut self.esme.out);
            let to_esme = std::mem::take(&mut self.smsc.out);
            if to_smsc.is_empty() && to_esme.is_empty() {
                return;
            }
            self.smsc.take(now, &to_smsc);
            self.esme.take(now, &to_esme);
        }
    }

    pub(crate) fn bound(kind: BindKind, version: InterfaceVersion) -> Self {
        let mut pair = Self::new();
        pair.esme
            .session
            .bind(at(0), kind, &bind(version), &mut pair.esme.out);
        pair.settle(at(0));
        assert_eq!(pair.smsc.seen, [Seen::BindRequested(kind)]);
        pair.smsc
            .session
            .accept_bind(at(0), &SystemId::new(b"tidegate").unwrap(), &mut pair.smsc.out);
        pair.settle(at(0));
        assert!(
            matches!(pair.esme.seen[..], [Seen::Bound(_)]),
            "{:?}",
            pair.esme.seen
        );
        pair.esme.seen.clear();
        pair.smsc.seen.clear();
        pair
    }

    pub(crate) fn trx() -> Self {
        Self::bound(BindKind::Transceiver, InterfaceVersion::V3_4)
    }
}
