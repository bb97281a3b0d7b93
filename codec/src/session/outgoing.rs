//! What we say: the answers that the owner owes, and requests of ours.

use crate::header::CommandId;
use crate::identity::SystemId;
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::{Operation, Pdu, encode, encode_empty};
use crate::session::event::RequestError;
use crate::session::{Monotonic, Session, State};
use crate::status::CommandStatus;
use crate::tlv::{self, Tag, Tlvs};
use crate::values::BindKind;

impl<T> Session<T> {
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
}
