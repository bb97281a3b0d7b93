//! One SMPP session, either side, without socket or clock.
//!
//! The owner feeds it what arrives ([`Session::handle`]) and what time it is
//! ([`Session::handle_timeout`], due at [`Session::poll_timeout`]); it appends what must be sent to a
//! buffer and returns one [`Event`] for the owner to act on. What is the session's own business
//! (enquire_link, unbind, wrong states, unknown commands, malformed bodies, too many unanswered
//! requests) it answers itself and only reports, so that it can be counted.
//!
//! Four kinds of calls:
//! - input: [`Session::handle`], [`Session::handle_timeout`], [`Session::set_partial`];
//! - answers that the owner owes: [`Session::accept_bind`], [`Session::refuse_bind`], [`Session::respond`];
//! - requests of ours: [`Session::bind`], [`Session::request`], [`Session::unbind`];
//! - questions: [`Session::state`], [`Session::version`], [`Session::room`], [`Session::poll_timeout`].

mod state;
mod timers;
mod window;

use std::time::Duration;

use crate::error::BodyError;
use crate::frame::FrameError;
use crate::header::{CommandId, Header};
use crate::identity::SystemId;
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::{Operation, Pdu, encode, encode_empty};
use crate::status::CommandStatus;
use crate::tlv::{self, Tag, Tlvs};
use crate::values::{BindKind, InterfaceVersion};

pub use state::{Role, State};
pub use timers::{Monotonic, Timing};
pub use window::Window;

/// So many requests in a row that cannot be read (broken bodies, ids of no command) end a session: the
/// peer speaks something else. The reference suggests 10 (smpp-session.md §3); a client whose one template
/// is broken should still get its other messages through, and an error answer costs us next to nothing.
pub const FAULTS_IN_A_ROW_MAX: u32 = 100;

/// The bounds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Requests of ours that may wait for their answer.
    pub window: usize,
    /// Requests of the peer that may wait for ours. Behind it they are answered with RTHROTTLED (as SMSC) or
    /// RX_T_APPN (as ESME).
    pub unanswered_max: usize,
    /// The timers.
    pub timing: Timing,
    /// As ESME: the version to assume when the bind response does not name one (smpp-session.md §7.4).
    pub assume_version: InterfaceVersion,
}

/// What the owner has to know or do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Event<'a, T> {
    /// Nothing.
    None,
    /// An ESME wants to bind: answer with [`Session::accept_bind`] or [`Session::refuse_bind`].
    BindRequested {
        /// What kind of bind.
        kind: BindKind,
        /// Who, with which secret.
        bind: Bind<'a>,
    },
    /// Our bind was accepted.
    Bound {
        /// What the session is bound as.
        kind: BindKind,
        /// What both sides speak.
        version: InterfaceVersion,
    },
    /// Our bind was refused; the session is open again.
    BindRefused(CommandStatus),
    /// The peer wants something that only the owner can answer: [`Session::respond`], exactly once.
    Request {
        /// Goes into the answer.
        sequence: u32,
        /// submit_sm, data_sm or deliver_sm.
        operation: Operation<'a>,
    },
    /// One of our requests is done with.
    Answered {
        /// What the owner gave with the request.
        ticket: T,
        /// Its number: should its answer have been given up, it may still come, as [`Event::Unexpected`].
        sequence: u32,
        /// How long the answer took.
        took: Duration,
        /// What came.
        answer: Answer<'a>,
    },
    /// A response that nobody waits for: late, or for a number that was never used. Its message_id may
    /// still be worth knowing (interop quirk 36).
    Unexpected(Pdu<'a>),
    /// A request that the session answered with an error of its own accord.
    Refused {
        /// What came.
        command_id: CommandId,
        /// What was answered.
        status: CommandStatus,
    },
    /// Something that has no answer and means nothing here: alert_notification, an unknown response.
    Dropped(CommandId),
    /// The peer unbinds: send no new requests. Owed answers may still go out, then unbind_resp follows.
    PeerUnbound,
    /// Close the connection once what was written is sent.
    Close(CloseReason),
}

/// The end of a request of ours.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Its response.
    Response(CommandStatus, Operation<'a>),
    /// A generic_nack with its sequence number.
    Nack(CommandStatus),
    /// A response whose body cannot be read: what the peer did is unknown.
    Unreadable(BodyError),
    /// No answer in time: what the peer did is unknown.
    Expired,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The framing was lost; generic_nack has been written.
    Broken(FrameError),
    /// Not bound in time.
    SessionInit,
    /// enquire_link was not answered.
    EnquireLink,
    /// A PDU was begun and not finished in time.
    PduRead,
    /// The unbind was answered, by whichever side it was asked.
    Unbound,
    /// The peer did not answer our unbind in time.
    UnbindWait,
    /// Too many faulty requests in a row.
    Faults,
}

impl CloseReason {
    /// Label for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Broken(_) => "broken_framing",
            Self::SessionInit => "session_init",
            Self::EnquireLink => "enquire_link",
            Self::PduRead => "pdu_read",
            Self::Unbound => "unbound",
            Self::UnbindWait => "unbind_wait",
            Self::Faults => "faults",
        }
    }
}

/// Why a request cannot be sent; the ticket comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestError<T> {
    /// The window is full.
    WindowFull(T),
    /// Not bound, or no longer.
    NotBound(T),
}

/// One session. `T` is what the owner wants back with the answer to a request.
#[derive(Debug)]
pub struct Session<T> {
    role: Role,
    rules: Rules,
    state: State,
    version: InterfaceVersion,
    window: Window<T>,
    /// Requests of the peer that the owner has not answered yet.
    unanswered: usize,
    /// Unreadable requests since the last readable one.
    faults: u32,
    opened: Monotonic,
    /// Last PDU from the peer.
    heard: Monotonic,
    /// Last message in either direction.
    active: Monotonic,
    /// Our enquire_link that waits for its answer: number, when it was sent.
    enquired: Option<(u32, Monotonic)>,
    misses: u32,
    /// When an unfinished PDU began to arrive.
    partial: Option<Monotonic>,
    /// When the unbind was sent or received.
    unbinding: Monotonic,
}

impl<T> Session<T> {
    /// A session on a connection that was opened at `now`.
    pub fn new(role: Role, rules: Rules, now: Monotonic) -> Self {
        Self {
            role,
            rules,
            state: State::Open,
            version: InterfaceVersion::V3_4,
            window: Window::new(rules.window),
            unanswered: 0,
            faults: 0,
            opened: now,
            heard: now,
            active: now,
            enquired: None,
            misses: 0,
            partial: None,
            unbinding: now,
        }
    }

    // ===== questions =====

    /// Where the session stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What both sides speak; 3.4 until a bind says otherwise.
    pub const fn version(&self) -> InterfaceVersion {
        self.version
    }

    /// How many requests may be sent now: zero unless bound.
    pub const fn room(&self) -> usize {
        match self.state {
            State::Bound(_) => self.window.room(),
            _ => 0,
        }
    }

    /// Requests of ours that wait for their answer.
    pub const fn waiting(&self) -> usize {
        self.window.waiting()
    }

    /// When the request of ours that waits longest was sent.
    pub fn waiting_since(&mut self) -> Option<Monotonic> {
        self.window.oldest().map(|(_, sent)| sent)
    }

    /// Requests of the peer that the owner has not answered yet.
    pub const fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Whether the peer has as many unanswered requests as it may: the time to stop reading.
    pub const fn is_saturated(&self) -> bool {
        self.unanswered >= self.rules.unanswered_max
    }

    /// When [`Session::handle_timeout`] is due next; `None` once closed.
    pub fn poll_timeout(&mut self) -> Option<Monotonic> {
        self.next_deadline().map(|(at, _)| at)
    }

    /// Sets how many requests of ours, and of the peer's, may be unanswered. Who the peer is, and so what
    /// it is allowed, is known only once it binds; it may change while it is bound.
    pub fn set_limits(&mut self, window: usize, unanswered_max: usize) {
        self.rules.unanswered_max = unanswered_max;
        self.window.set_limit(window);
    }

    // ===== input =====

    /// Takes one PDU of the peer, or one that could not be read.
    pub fn handle<'a>(
        &mut self,
        now: Monotonic,
        pdu: Result<Pdu<'a>, (Header, BodyError)>,
        out: &mut Vec<u8>,
    ) -> Event<'a, T> {
        if self.state == State::Closed {
            return Event::None;
        }
        self.heard = now;
        self.misses = 0;
        let (command_id, sequence) = match &pdu {
            Ok(pdu) => (pdu.operation.command_id(), pdu.sequence),
            Err((header, _)) => (header.command_id, header.sequence),
        };
        if state::is_not_offered(command_id) {
            return self.decline(command_id, sequence, out);
        }
        match pdu {
            Ok(pdu) if pdu.operation.command_id().is_response() => self.handle_response(now, pdu),
            Ok(pdu) => self.handle_request(now, pdu, out),
            Err((header, error)) if header.command_id.is_response() => self
                .answered(now, header.sequence, Answer::Unreadable(error))
                .unwrap_or(Event::Dropped(header.command_id)),
            Err((header, error)) => {
                let event = self.refuse(header.command_id, header.sequence, error.status(), out);
                self.faulty(event)
            }
        }
    }

    /// The framing is lost: nacks and closes.
    pub fn handle_broken(&mut self, error: FrameError, out: &mut Vec<u8>) -> Event<'static, T> {
        encode_empty(
            CommandId::GENERIC_NACK,
            CommandStatus::RINVCMDLEN,
            error.sequence,
            out,
        );
        self.close(CloseReason::Broken(error))
    }

    /// Tells whether the buffer holds the beginning of a PDU, for the timer that ends slow senders. A
    /// PDU that was partial before stays as old as it was: call with `false` after each whole one.
    pub fn set_partial(&mut self, now: Monotonic, partial: bool) {
        self.partial = if partial { self.partial.or(Some(now)) } else { None };
    }

    /// Acts on one timer that is due; call until it returns `None`.
    pub fn handle_timeout(&mut self, now: Monotonic, out: &mut Vec<u8>) -> Option<Event<'static, T>> {
        let (at, timer) = self.next_deadline()?;
        if at > now {
            return None;
        }
        Some(match timer {
            Timer::SessionInit => self.close(CloseReason::SessionInit),
            Timer::PduRead => self.close(CloseReason::PduRead),
            // A peer that unbound and left the closing to us did nothing wrong.
            Timer::UnbindWait if matches!(self.state, State::Unbinding { owed: Some(_), .. }) => {
                self.close(CloseReason::Unbound)
            }
            Timer::UnbindWait => self.close(CloseReason::UnbindWait),
            Timer::Enquire => {
                self.enquire(now, out);
                Event::None
            }
            Timer::EnquireResponse => {
                self.enquired = None;
                self.misses += 1;
                if self.misses >= self.rules.timing.enquire_link_misses {
                    self.close(CloseReason::EnquireLink)
                } else {
                    self.enquire(now, out);
                    Event::None
                }
            }
            Timer::Inactivity => {
                self.unbind(now, out);
                Event::None
            }
            Timer::Response => {
                let sequence = self.window.oldest()?.0;
                self.answered(now, sequence, Answer::Expired)?
            }
        })
    }

    // ===== answers that the owner owes =====

    /// As SMSC: the bind is good. From here on the session is bound; nothing may be sent to the peer
    /// before this response (smpp-session.md §1). Without a bind request it does nothing.
    pub fn accept_bind(&mut self, now: Monotonic, our_system_id: &SystemId, out: &mut Vec<u8>) {
        let State::Binding { kind, sequence } = self.state else {
            return;
        };
        self.state = State::Bound(kind);
        self.active = now;
        // We speak what the ESME speaks, so its version comes back: peers exist that give up on any
        // other answer, and 3.3 must see no TLV at all (interop quirk 34).
        let mut tlvs = Vec::with_capacity(5);
        if self.version.has_tlvs() {
            // One octet always fits.
            let _ = tlv::append(&mut tlvs, Tag::SC_INTERFACE_VERSION, &[self.version.0]);
        }
        let body = BindResp {
            system_id: our_system_id.as_field(),
            tlvs: Tlvs::new(&tlvs),
        };
        let operation = Operation::BindResp(kind, Some(body));
        Pdu {
            status: CommandStatus::ROK,
            sequence,
            operation,
        }
        .encode(out);
    }

    /// As SMSC: the bind is refused; the session is open again and may try until session_init ends it.
    pub fn refuse_bind(&mut self, status: CommandStatus, out: &mut Vec<u8>) {
        let State::Binding { kind, sequence } = self.state else {
            return;
        };
        self.state = State::Open;
        encode_empty(
            Operation::BindResp(kind, None).command_id(),
            status,
            sequence,
            out,
        );
    }

    /// Answers a request that [`Event::Request`] handed out; each exactly once. The body is appended by
    /// `body`, and must be none where the status is not zero (3.4 §4.4.2).
    pub fn respond(
        &mut self,
        command_id: CommandId,
        sequence: u32,
        status: CommandStatus,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        debug_assert!(self.unanswered > 0, "an answer that nobody asked for");
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.state != State::Closed {
            encode(command_id, status, sequence, out, body);
            self.settle_unbind(out);
        }
    }

    // ===== requests of ours =====

    /// As ESME: asks to be bound. Only in [`State::Open`].
    pub fn bind(&mut self, now: Monotonic, kind: BindKind, bind: &Bind<'_>, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        let sequence = self.window.next_sequence();
        self.opened = now;
        self.version = bind.interface_version.normalised();
        self.state = State::Binding { kind, sequence };
        let operation = Operation::Bind(kind, *bind);
        Pdu {
            status: CommandStatus::ROK,
            sequence,
            operation,
        }
        .encode(out);
    }

    /// Sends a request. `body` appends what stands behind the header.
    pub fn request(
        &mut self,
        now: Monotonic,
        command_id: CommandId,
        ticket: T,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, RequestError<T>> {
        if !matches!(self.state, State::Bound(_)) {
            return Err(RequestError::NotBound(ticket));
        }
        let sequence = self
            .window
            .insert(now, ticket)
            .map_err(RequestError::WindowFull)?;
        self.active = now;
        encode(command_id, CommandStatus::ROK, sequence, out, body);
        Ok(sequence)
    }

    /// Says that we leave. Owed answers may still go out, the peer's answers still come in.
    pub fn unbind(&mut self, now: Monotonic, out: &mut Vec<u8>) {
        if let State::Bound(kind) = self.state {
            let sequence = self.window.next_sequence();
            self.state = State::Unbinding {
                kind,
                owed: None,
                asked: Some(sequence),
            };
            self.unbinding = now;
            encode_empty(CommandId::UNBIND, CommandStatus::ROK, sequence, out);
        }
    }

    /// The connection is gone: hands back every ticket that waits, oldest first. What the peer did with
    /// those requests is unknown.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.state = State::Closed;
        self.window.drain()
    }

    // ===== inside =====

    fn handle_request<'a>(&mut self, now: Monotonic, pdu: Pdu<'a>, out: &mut Vec<u8>) -> Event<'a, T> {
        let command_id = pdu.operation.command_id();
        // Strict with what ESMEs send; deliveries of a carrier must not be lost to a bad TLV (design §5.8).
        if self.role == Role::Smsc
            && let Err(error) = pdu.operation.strict()
        {
            let event = self.refuse(command_id, pdu.sequence, error.status(), out);
            return self.faulty(event);
        }
        match pdu.operation {
            Operation::EnquireLink(_) => {
                self.faults = 0;
                encode_empty(
                    CommandId::ENQUIRE_LINK_RESP,
                    CommandStatus::ROK,
                    pdu.sequence,
                    out,
                );
                Event::None
            }
            Operation::Bind(kind, bind) => self.handle_bind(kind, bind, pdu.sequence, out),
            Operation::Unbind(_) => self.handle_unbind(now, pdu.sequence, out),
            Operation::Unknown(..) => {
                let event = self.refuse(command_id, pdu.sequence, CommandStatus::RINVCMDID, out);
                self.faulty(event)
            }
            _ if !state::peer_may_send(self.role, self.state, command_id) => {
                self.refuse(command_id, pdu.sequence, CommandStatus::RINVBNDSTS, out)
            }
            operation => {
                self.faults = 0;
                self.active = now;
                if self.is_saturated() {
                    // Both mean "later"; each side has its own word for it (smpp-status.md).
                    let status = match self.role {
                        Role::Smsc => CommandStatus::RTHROTTLED,
                        Role::Esme => CommandStatus::RX_T_APPN,
                    };
                    return self.refuse(command_id, pdu.sequence, status, out);
                }
                self.unanswered += 1;
                Event::Request {
                    sequence: pdu.sequence,
                    operation,
                }
            }
        }
    }

    /// A command that no session of ours takes part in is answered by its name, whatever its body.
    fn decline<'a>(&mut self, command_id: CommandId, sequence: u32, out: &mut Vec<u8>) -> Event<'a, T> {
        let status = if state::peer_may_send(self.role, self.state, command_id) {
            CommandStatus::RINVCMDID
        } else {
            CommandStatus::RINVBNDSTS
        };
        self.refuse(command_id, sequence, status, out)
    }

    fn handle_bind<'a>(
        &mut self,
        kind: BindKind,
        bind: Bind<'a>,
        sequence: u32,
        out: &mut Vec<u8>,
    ) -> Event<'a, T> {
        let refusal = match (self.role, self.state) {
            (Role::Smsc, State::Open) => {
                self.faults = 0;
                self.version = bind.interface_version.normalised();
                self.state = State::Binding { kind, sequence };
                return Event::BindRequested { kind, bind };
            }
            (Role::Smsc, State::Binding { .. } | State::Bound(_)) => CommandStatus::RALYBND,
            _ => CommandStatus::RINVBNDSTS,
        };
        self.refuse(Operation::Bind(kind, bind).command_id(), sequence, refusal, out)
    }

    fn handle_unbind<'a>(&mut self, now: Monotonic, sequence: u32, out: &mut Vec<u8>) -> Event<'a, T> {
        match self.state {
            State::Bound(kind) => {
                self.state = State::Unbinding {
                    kind,
                    owed: Some(sequence),
                    asked: None,
                };
                self.unbinding = now;
                self.settle_unbind(out);
                Event::PeerUnbound
            }
            // Both sides unbind at once: each answers, then it is over.
            State::Unbinding { kind, asked, .. } => {
                self.state = State::Unbinding {
                    kind,
                    owed: Some(sequence),
                    asked,
                };
                self.settle_unbind(out);
                Event::PeerUnbound
            }
            State::Open | State::Binding { .. } | State::Closed => {
                self.refuse(CommandId::UNBIND, sequence, CommandStatus::RINVBNDSTS, out)
            }
        }
    }

    /// unbind_resp leaves behind everything that is owed, never before (smpp-session.md §9).
    fn settle_unbind(&mut self, out: &mut Vec<u8>) {
        if let State::Unbinding {
            owed: Some(sequence), ..
        } = self.state
            && self.unanswered == 0
        {
            // The peer closes next; should it not, the timer does.
            encode_empty(CommandId::UNBIND_RESP, CommandStatus::ROK, sequence, out);
        }
    }

    fn handle_response<'a>(&mut self, now: Monotonic, pdu: Pdu<'a>) -> Event<'a, T> {
        match (self.state, pdu.operation) {
            (State::Binding { kind, sequence }, Operation::BindResp(answered, body))
                if self.role == Role::Esme && sequence == pdu.sequence && kind == answered =>
            {
                self.bind_answered(now, kind, pdu.status, body.as_ref())
            }
            (State::Binding { sequence, .. }, Operation::GenericNack(_))
                if self.role == Role::Esme && (sequence == pdu.sequence || pdu.sequence == 0) =>
            {
                self.state = State::Open;
                Event::BindRefused(pdu.status)
            }
            (
                State::Unbinding {
                    asked: Some(sequence),
                    ..
                },
                Operation::UnbindResp(_) | Operation::GenericNack(_),
            ) if sequence == pdu.sequence => self.close(CloseReason::Unbound),
            // Some peers answer enquire_link with a sequence number of their own (interop quirk 21): any
            // answer is life.
            (_, Operation::EnquireLinkResp(_)) => {
                self.enquired = None;
                Event::None
            }
            (_, Operation::GenericNack(_)) => self
                .answered(now, pdu.sequence, Answer::Nack(pdu.status))
                .unwrap_or(Event::Unexpected(pdu)),
            (_, Operation::Unknown(id, _)) => Event::Dropped(id),
            (_, operation) => {
                match self.answered(now, pdu.sequence, Answer::Response(pdu.status, operation)) {
                    Some(event) => event,
                    None => Event::Unexpected(pdu),
                }
            }
        }
    }

    fn bind_answered<'a>(
        &mut self,
        now: Monotonic,
        kind: BindKind,
        status: CommandStatus,
        body: Option<&BindResp<'a>>,
    ) -> Event<'a, T> {
        if !status.is_ok() {
            self.state = State::Open;
            return Event::BindRefused(status);
        }
        let theirs = body
            .and_then(BindResp::sc_interface_version)
            .unwrap_or(self.rules.assume_version);
        self.version = self.version.min(theirs.normalised());
        self.state = State::Bound(kind);
        self.active = now;
        Event::Bound {
            kind,
            version: self.version,
        }
    }

    /// Takes the request with this number out of the window and makes its event.
    fn answered<'a>(&mut self, now: Monotonic, sequence: u32, answer: Answer<'a>) -> Option<Event<'a, T>> {
        let (ticket, sent) = self.window.take(sequence)?;
        self.active = now;
        Some(Event::Answered {
            ticket,
            sequence,
            took: now.since(sent),
            answer,
        })
    }

    /// Answers a request with an error: its own response, or generic_nack where it has none.
    fn refuse<'a>(
        &mut self,
        command_id: CommandId,
        sequence: u32,
        status: CommandStatus,
        out: &mut Vec<u8>,
    ) -> Event<'a, T> {
        if command_id.is_known() && command_id.response().is_none() {
            return Event::Dropped(command_id);
        }
        let response = command_id.response().unwrap_or(CommandId::GENERIC_NACK);
        encode_empty(response, status, sequence, out);
        Event::Refused { command_id, status }
    }

    /// Counts a request that could not be read; enough of them replace `event` by the end.
    fn faulty<'a>(&mut self, event: Event<'a, T>) -> Event<'a, T> {
        self.faults += 1;
        if self.faults >= FAULTS_IN_A_ROW_MAX {
            self.close(CloseReason::Faults)
        } else {
            event
        }
    }

    fn enquire(&mut self, now: Monotonic, out: &mut Vec<u8>) {
        let sequence = self.window.next_sequence();
        self.enquired = Some((sequence, now));
        encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence, out);
    }

    fn close<'a>(&mut self, reason: CloseReason) -> Event<'a, T> {
        self.state = State::Closed;
        Event::Close(reason)
    }

    /// The earliest timer that runs.
    fn next_deadline(&mut self) -> Option<(Monotonic, Timer)> {
        let timing = self.rules.timing;
        let mut next: Option<(Monotonic, Timer)> = None;
        let mut consider = |at: Monotonic, timer: Timer| {
            if next.is_none_or(|(earliest, _)| at < earliest) {
                next = Some((at, timer));
            }
        };
        match self.state {
            State::Closed => return None,
            State::Open | State::Binding { .. } => {
                consider(self.opened + timing.session_init, Timer::SessionInit);
            }
            State::Bound(_) => {
                match self.enquired {
                    // Whatever came since is life, whether or not it was the answer.
                    Some((_, sent)) if self.heard <= sent => {
                        consider(sent + timing.enquire_link_response, Timer::EnquireResponse);
                    }
                    _ => consider(self.heard + timing.enquire_link, Timer::Enquire),
                }
                if !timing.inactivity.is_zero() {
                    consider(self.active + timing.inactivity, Timer::Inactivity);
                }
            }
            State::Unbinding { .. } => consider(self.unbinding + timing.unbind_wait, Timer::UnbindWait),
        }
        if let Some(began) = self.partial {
            consider(began + timing.pdu_read, Timer::PduRead);
        }
        if let Some((_, sent)) = self.window.oldest() {
            consider(sent + timing.response, Timer::Response);
        }
        next
    }
}

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    SessionInit,
    Enquire,
    EnquireResponse,
    Inactivity,
    Response,
    PduRead,
    UnbindWait,
}
