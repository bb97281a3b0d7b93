//! One side of a link, and the books that are kept on it.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{Limits, Read, read};
use tidegate_codec::session::{Answer, CloseReason, Event, Monotonic, RequestError, Role, Session, State};
use tidegate_codec::status::CommandStatus;

use crate::bodies::body_of;
use crate::ends::rules;

/// Octets that may lie unread at one end: more than all steps together can write.
const WIRE_MAX: usize = 64 << 10;

/// A side, and the books that are kept on it.
pub(crate) struct Party {
    pub(crate) session: Session<u32>,
    role: Role,
    pub(crate) out: Vec<u8>,
    pub(crate) inbox: Vec<u8>,
    /// Tickets under way by number.
    pub(crate) waiting: BTreeMap<u32, u32>,
    /// Numbers whose answer was given up and may still come.
    pub(crate) given_up: BTreeSet<u32>,
    pub(crate) next_ticket: u32,
    /// Tickets that came back in some way.
    pub(crate) back: BTreeSet<u32>,
    /// The peer's requests that wait for our answer.
    pub(crate) owed: Vec<(CommandId, u32)>,
    pub(crate) window: usize,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) lost: bool,
}

impl Party {
    pub(crate) fn new(role: Role, session: Session<u32>) -> Self {
        Self {
            session,
            role,
            out: Vec::new(),
            inbox: Vec::new(),
            waiting: BTreeMap::new(),
            given_up: BTreeSet::new(),
            next_ticket: 0,
            back: BTreeSet::new(),
            owed: Vec::new(),
            window: rules().window,
            closed: None,
            lost: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closed.is_some() || self.lost
    }

    fn settled(&mut self, sequence: u32, ticket: u32) {
        assert_eq!(self.waiting.remove(&sequence), Some(ticket), "another's answer");
        assert!(self.back.insert(ticket), "{ticket} came back twice");
    }

    pub(crate) fn request(&mut self, now: Monotonic) {
        let command = match self.role {
            Role::Esme => CommandId::SUBMIT_SM,
            Role::Smsc => CommandId::DELIVER_SM,
        };
        let (room, before, ticket) = (self.session.room(), self.out.len(), self.next_ticket);
        let sent = self.session.request(now, command, ticket, &mut self.out, |out| {
            out.extend_from_slice(&body_of(command));
        });
        match sent {
            Ok(sequence) => {
                assert!(room > 0 && matches!(self.session.state(), State::Bound(_)));
                assert!((1..=0x7fff_ffff).contains(&sequence));
                assert_eq!(
                    self.waiting.insert(sequence, ticket),
                    None,
                    "{sequence} still waits"
                );
                assert!(self.waiting.len() <= self.window, "the window was exceeded");
                self.next_ticket += 1;
            }
            Err(RequestError::WindowFull(back) | RequestError::NotBound(back)) => {
                assert_eq!((back, room, self.out.len()), (ticket, 0, before));
            }
        }
    }

    pub(crate) fn answer(&mut self, which: usize, yes: bool) {
        let (response, sequence) = self.owed.remove(which);
        let (status, body): (_, &[u8]) = match yes {
            true => (CommandStatus::ROK, b"\0"),
            false => (CommandStatus::RSYSERR, b""),
        };
        self.session
            .respond(response, sequence, status, &mut self.out, |out| {
                out.extend_from_slice(body);
            });
    }

    /// Reads what has arrived, like a link.
    pub(crate) fn read(&mut self, now: Monotonic) {
        let inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        loop {
            let (length, event) = match read(&inbox[at..], &Limits::default()) {
                Read::NeedMore(_) => break,
                Read::Pdu(pdu) => {
                    let length = u32::from_be_bytes(*inbox[at..].first_chunk().unwrap()) as usize;
                    (length, self.session.handle(now, Ok(pdu), &mut self.out))
                }
                other => panic!("what we write is readable: {other:?}"),
            };
            at += length;
            self.session.set_partial(now, false);
            self.note(event);
        }
        self.session.set_partial(now, at < inbox.len());
        self.inbox = inbox[at..].to_vec();
    }

    /// Acts on every timer that is due; afterwards none is.
    fn time(&mut self, now: Monotonic) {
        for turn in 0.. {
            assert!(turn < 1_000, "timers without end");
            let Some(event) = self.session.handle_timeout(now, &mut self.out) else {
                break;
            };
            self.note(event);
        }
        assert!(
            self.session.poll_timeout().is_none_or(|at| at > now),
            "due, and not done"
        );
    }

    /// Keeps the books, and finds what cannot be.
    fn note(&mut self, event: Event<'_, u32>) {
        assert!(self.closed.is_none(), "{event:?} behind the end");
        match event {
            Event::None | Event::PeerUnbound | Event::Bound { .. } | Event::BindRefused(_) => {}
            Event::BindRequested { .. } => assert_eq!(self.role, Role::Smsc),
            Event::Request { sequence, operation } => {
                let response = operation.command_id().response().unwrap();
                self.owed.push((response, sequence));
            }
            Event::Answered {
                ticket,
                sequence,
                answer,
                ..
            } => {
                self.settled(sequence, ticket);
                match answer {
                    Answer::Response(..) => {}
                    Answer::Expired => assert!(self.given_up.insert(sequence)),
                    other => panic!("{other:?}"),
                }
            }
            // Late, and once: a second answer would not be on the list any more.
            Event::Unexpected(pdu) => {
                assert!(self.given_up.remove(&pdu.sequence), "{pdu:?} answers nothing");
            }
            Event::Refused { status, .. } => assert!(matches!(
                status,
                CommandStatus::RINVBNDSTS
                    | CommandStatus::RALYBND
                    | CommandStatus::RTHROTTLED
                    | CommandStatus::RX_T_APPN
            )),
            Event::Close(reason) => {
                assert!(!matches!(
                    reason,
                    CloseReason::Broken(_) | CloseReason::Faults | CloseReason::Outbind
                ));
                self.closed = Some(reason);
            }
            Event::Dropped(_) | Event::Outbind(_) | Event::Notified(_) => panic!("{event:?}"),
        }
    }

    /// The connection is gone: what waits comes back, oldest first.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        let tickets: Vec<u32> = self.session.drain().collect();
        assert!(tickets.is_sorted());
        let left: BTreeSet<u32> = std::mem::take(&mut self.waiting).into_values().collect();
        assert_eq!(tickets, left.iter().copied().collect::<Vec<_>>());
        assert!(tickets.iter().all(|ticket| self.back.insert(*ticket)));
    }

    pub(crate) fn check(&mut self, now: Monotonic) {
        self.time(now);
        let waiting = self.waiting.len();
        assert_eq!(self.session.waiting(), waiting);
        assert_eq!(self.session.unanswered(), self.owed.len());
        assert!(self.out.len() + self.inbox.len() < WIRE_MAX);
        let is_bound = matches!(self.session.state(), State::Bound(_));
        let room = if is_bound {
            self.window.saturating_sub(waiting)
        } else {
            0
        };
        assert_eq!(self.session.room(), room);
        if self.is_over() {
            assert_eq!(
                (self.session.state(), self.session.poll_timeout()),
                (State::Closed, None)
            );
        }
    }
}
