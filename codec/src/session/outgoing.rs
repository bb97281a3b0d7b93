//! What we say: the answers that the owner owes, and requests of ours.

use crate::header::CommandId;
use crate::identity::SystemId;
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::{Operation, Pdu, encode, encode_empty};
use crate::session::event::RequestError;
use crate::session::{Monotonic, Role, Session, State};
use crate::status::CommandStatus;
use crate::tlv::{self, Tag, Tlvs};
use crate::values::{BindKind, InterfaceVersion};

impl<T> Session<T> {
    // ===== answers that the owner owes =====

    /// As SMSC: the bind is good. From here on the session is bound; nothing may be sent to the peer
    /// before this response (smpp-session.md §1). Without a bind request it does nothing.
    pub fn accept_bind(&mut self, now: Monotonic, our_system_id: &SystemId, out: &mut Vec<u8>) {
        let (Role::Smsc, State::Binding { kind, sequence }) = (self.role, self.state) else {
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

    /// As SMSC: the bind is refused; the session is open again, and the ESME may try until session_init ends it.
    pub fn refuse_bind(&mut self, status: CommandStatus, out: &mut Vec<u8>) {
        let (Role::Smsc, State::Binding { kind, sequence }) = (self.role, self.state) else {
            return;
        };
        self.state = self.unbound();
        self.version = InterfaceVersion::V3_4;
        encode_empty(
            Operation::BindResp(kind, None).command_id(),
            status,
            sequence,
            out,
        );
    }

    /// Answers a request that [`Event::Request`](super::Event::Request) handed out; each exactly once. The body is
    /// appended by `body`, and must be none where the status is not zero (3.4 §4.4.2). The answer that our unbind, or
    /// the peer's, waits for is the last one: then unbind_resp follows, or the end.
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

    /// As SMSC on a connection that we opened: asks the ESME to bind. `body` appends whom we are and our secret
    /// (smpp-pdus.md §4.1). There is no response; the ESME binds, or closes the connection. Only in [`State::Open`]:
    /// anywhere else nothing is sent, and it returns `false`.
    pub fn outbind(&mut self, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> bool {
        if (self.role, self.state) != (Role::Smsc, State::Open) {
            return false;
        }
        self.outbound = true;
        self.state = State::Outbound;
        let sequence = self.window.next_sequence();
        encode(CommandId::OUTBIND, CommandStatus::ROK, sequence, out, body);
        true
    }

    /// As ESME: asks to be bound. Only in [`State::Open`] and [`State::Outbound`].
    pub fn bind(&mut self, now: Monotonic, kind: BindKind, bind: &Bind<'_>, out: &mut Vec<u8>) {
        if self.role != Role::Esme || !matches!(self.state, State::Open | State::Outbound) {
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

    /// As SMSC: sends alert_notification, which has no response and so takes no place in the window. Where the bind or
    /// its version has none, nothing is sent, and it returns `false`.
    pub fn alert(&mut self, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> bool {
        if !self.may_send(CommandId::ALERT_NOTIFICATION) {
            return false;
        }
        let sequence = self.window.next_sequence();
        encode(
            CommandId::ALERT_NOTIFICATION,
            CommandStatus::ROK,
            sequence,
            out,
            body,
        );
        true
    }

    /// Sends a request that has a response. `body` appends what stands behind the header.
    ///
    /// # Errors
    ///
    /// The window is full, or the session is not bound. Nothing was written, and the ticket comes back.
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
            .insert(now, command_id, ticket)
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
                left: false,
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
}
