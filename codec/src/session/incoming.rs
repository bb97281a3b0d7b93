//! What arrives: judged, answered where it is the session's own business, handed to the owner where it is not.

use crate::error::BodyError;
use crate::frame::FrameError;
use crate::header::{CommandId, Header};
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::{Operation, Pdu, encode_empty};
use crate::session::event::{Answer, CloseReason, Event};
use crate::session::{
    CONGESTION_MAX, Congestion, FAULTS_IN_A_ROW_MAX, Monotonic, Role, Session, State, matrix,
};
use crate::status::CommandStatus;
use crate::tlv::Tag;
use crate::values::BindKind;

impl<T> Session<T> {
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
        self.set_heard(now);
        let (command_id, sequence) = match &pdu {
            Ok(pdu) => (pdu.operation.command_id(), pdu.sequence),
            Err((header, _)) => (header.command_id, header.sequence),
        };
        if matrix::is_broadcast(command_id) {
            return self.decline(command_id, sequence, out);
        }
        match pdu {
            Ok(pdu) if pdu.operation.command_id().is_response() => self.handle_response(now, pdu),
            Ok(pdu) => self.handle_request(now, pdu, out),
            Err((header, error)) if header.command_id.is_response() => {
                self.handle_unreadable(now, header, error)
            }
            // However it reads: who waits for none is told by it that the other end is not what it was taken for.
            Err((header, _)) if header.command_id == CommandId::OUTBIND && self.is_surprised_by_outbind() => {
                self.close(CloseReason::Outbind)
            }
            Err((header, error)) => {
                let event = self.refuse(header.command_id, header.sequence, error.status(), out);
                self.faulty(event)
            }
        }
    }

    /// The framing is lost: nacks and closes.
    pub fn handle_broken(&mut self, error: FrameError, out: &mut Vec<u8>) -> Event<'static, T> {
        if self.state == State::Closed {
            return Event::None;
        }
        encode_empty(
            CommandId::GENERIC_NACK,
            CommandStatus::RINVCMDLEN,
            error.sequence,
            out,
        );
        self.close(CloseReason::Broken(error))
    }

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
            operation if command_id == CommandId::OUTBIND => self.handle_outbind(operation),
            operation if command_id.response().is_none() => {
                if !matrix::peer_may_send(self.role, self.state, command_id) {
                    return Event::Dropped(command_id);
                }
                self.faults = 0;
                Event::Notified(operation)
            }
            _ if !matrix::peer_may_send(self.role, self.state, command_id) => {
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
        let status = if matrix::peer_may_send(self.role, self.state, command_id) {
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
            (Role::Smsc, State::Open | State::Outbound) => {
                self.faults = 0;
                self.version = bind.interface_version.normalised();
                self.state = State::Binding { kind, sequence };
                self.bind_asked = self.heard;
                return Event::BindRequested { kind, bind };
            }
            (Role::Smsc, State::Binding { .. } | State::Bound(_)) => CommandStatus::RALYBND,
            _ => CommandStatus::RINVBNDSTS,
        };
        self.refuse(Operation::Bind(kind, bind).command_id(), sequence, refusal, out)
    }

    /// Only an ESME that waits for it has a use for outbind. Who opened its connection itself is told by it that the
    /// other end is not what it was taken for, unless a bind is under way or done already.
    fn handle_outbind<'a>(&mut self, operation: Operation<'a>) -> Event<'a, T> {
        match (self.role, self.state) {
            (Role::Esme, State::Open) if self.awaits_outbind => {
                self.faults = 0;
                self.outbound = true;
                self.state = State::Outbound;
                Event::Outbind(operation)
            }
            _ if self.is_surprised_by_outbind() => self.close(CloseReason::Outbind),
            _ => Event::Dropped(operation.command_id()),
        }
    }

    fn is_surprised_by_outbind(&self) -> bool {
        (self.role, self.state, self.awaits_outbind) == (Role::Esme, State::Open, false)
    }

    fn handle_unbind<'a>(&mut self, now: Monotonic, sequence: u32, out: &mut Vec<u8>) -> Event<'a, T> {
        match self.state {
            State::Bound(kind) => {
                self.state = State::Unbinding {
                    kind,
                    owed: Some(sequence),
                    asked: None,
                    left: true,
                };
                self.unbinding = now;
                self.settle_unbind(out);
                Event::PeerUnbound
            }
            // Both sides unbind at once: each answers, then it is over.
            State::Unbinding {
                kind,
                asked,
                left: false,
                ..
            } => {
                self.state = State::Unbinding {
                    kind,
                    owed: Some(sequence),
                    asked,
                    left: true,
                };
                self.settle_unbind(out);
                Event::PeerUnbound
            }
            // Once is enough: what follows an unbind is answered as what it is (smpp-session.md §9).
            State::Open
            | State::Outbound
            | State::Binding { .. }
            | State::Unbinding { left: true, .. }
            | State::Closed => self.refuse(CommandId::UNBIND, sequence, CommandStatus::RINVBNDSTS, out),
        }
    }

    /// unbind_resp leaves behind everything that is owed, never before (smpp-session.md §9).
    pub(super) fn settle_unbind(&mut self, out: &mut Vec<u8>) {
        if let State::Unbinding { owed, .. } = &mut self.state
            && self.unanswered == 0
            && let Some(sequence) = owed.take()
        {
            // The peer closes next; should it not, the timer does.
            encode_empty(CommandId::UNBIND_RESP, CommandStatus::ROK, sequence, out);
        }
    }

    /// The peer has answered our unbind. What we still owe it goes out first, and what it still owes us may lie right
    /// behind, until the timer ends that too: an answer that is not sent makes the peer ask again, and one that is not
    /// read makes us.
    fn unbind_answered<'a>(&mut self, kind: BindKind, owed: Option<u32>) -> Event<'a, T> {
        if self.is_settled() {
            return self.close(CloseReason::Unbound);
        }
        self.ends = Some(CloseReason::Unbound);
        self.state = State::Unbinding {
            kind,
            owed,
            asked: None,
            left: true,
        };
        Event::None
    }

    /// A response that cannot be read ends the request that it answers (smpp-session.md §3).
    fn handle_unreadable<'a>(&mut self, now: Monotonic, header: Header, error: BodyError) -> Event<'a, T> {
        if !self.window.awaits(header.sequence, header.command_id) {
            return Event::Dropped(header.command_id);
        }
        self.answered(now, header.sequence, Answer::Unreadable(error))
            .unwrap_or(Event::Dropped(header.command_id))
    }

    fn handle_response<'a>(&mut self, now: Monotonic, pdu: Pdu<'a>) -> Event<'a, T> {
        if let Some(state) = pdu.operation.tlvs().octet(Tag::CONGESTION_STATE)
            && state <= CONGESTION_MAX
        {
            self.congestion = Some(Congestion { state, said: now });
        }
        match (self.state, pdu.operation) {
            (State::Binding { kind, sequence }, Operation::BindResp(answered, body))
                if self.role == Role::Esme && sequence == pdu.sequence && kind == answered =>
            {
                self.bind_answered(now, kind, pdu.status, body.as_ref())
            }
            (State::Binding { sequence, .. }, Operation::GenericNack(_))
                if self.role == Role::Esme && (sequence == pdu.sequence || pdu.sequence == 0) =>
            {
                self.state = self.unbound();
                // A nack that says "no error" is none the less a no.
                Event::BindRefused(if pdu.status.is_ok() {
                    CommandStatus::RSYSERR
                } else {
                    pdu.status
                })
            }
            (
                State::Unbinding {
                    kind,
                    owed,
                    asked: Some(sequence),
                    ..
                },
                Operation::UnbindResp(_) | Operation::GenericNack(_),
            ) if sequence == pdu.sequence => self.unbind_answered(kind, owed),
            // Some peers answer enquire_link with a sequence number of their own (interop quirk 21): any
            // answer is life.
            (_, Operation::EnquireLinkResp(_)) => {
                self.enquiry = None;
                Event::None
            }
            (_, Operation::GenericNack(_)) => {
                match self.answered(now, pdu.sequence, Answer::Nack(pdu.status)) {
                    Some(event) => event,
                    // A peer that does not know enquire_link is there all the same.
                    None if self
                        .enquiry
                        .take_if(|asked| asked.sequence == pdu.sequence)
                        .is_some() =>
                    {
                        Event::None
                    }
                    None => Event::Unexpected(pdu),
                }
            }
            (_, Operation::Unknown(id, _)) => Event::Dropped(id),
            (_, operation) if self.window.awaits(pdu.sequence, operation.command_id()) => {
                match self.answered(now, pdu.sequence, Answer::Response(pdu.status, operation)) {
                    Some(event) => event,
                    None => Event::Unexpected(pdu),
                }
            }
            _ => Event::Unexpected(pdu),
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
            self.state = self.unbound();
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
    pub(super) fn answered<'a>(
        &mut self,
        now: Monotonic,
        sequence: u32,
        answer: Answer<'a>,
    ) -> Option<Event<'a, T>> {
        let (ticket, sent) = self.window.take(sequence)?;
        if answer != Answer::Expired {
            self.active = now;
        }
        if matches!(answer, Answer::Response(..)) {
            self.faults = 0;
        }
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

    /// Counts a request that could not be read; enough of them replace `event` by the end. What is owed for requests
    /// that were good goes out first.
    fn faulty<'a>(&mut self, event: Event<'a, T>) -> Event<'a, T> {
        self.faults += 1;
        match self.state {
            _ if self.faults < FAULTS_IN_A_ROW_MAX => event,
            State::Bound(kind) if self.unanswered > 0 => {
                self.state = State::Unbinding {
                    kind,
                    owed: None,
                    asked: None,
                    left: true,
                };
                self.unbinding = self.heard;
                self.ends = Some(CloseReason::Faults);
                Event::PeerUnbound
            }
            State::Unbinding { .. } if self.unanswered > 0 || self.ends.is_some() => {
                self.ends.get_or_insert(CloseReason::Faults);
                event
            }
            _ => self.close(CloseReason::Faults),
        }
    }

    pub(super) fn close<'a>(&mut self, reason: CloseReason) -> Event<'a, T> {
        self.state = State::Closed;
        Event::Close(reason)
    }
}
