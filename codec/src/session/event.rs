//! What a session tells its owner.

use std::time::Duration;

use crate::error::BodyError;
use crate::frame::FrameError;
use crate::header::CommandId;
use crate::pdu::bind::Bind;
use crate::pdu::{Operation, Pdu};
use crate::status::CommandStatus;
use crate::values::{BindKind, InterfaceVersion};

/// What the owner has to know or do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Event<'a, T> {
    /// Nothing.
    None,
    /// An ESME wants to bind: answer with [`accept_bind`](super::Session::accept_bind) or
    /// [`refuse_bind`](super::Session::refuse_bind).
    BindRequested {
        /// What kind of bind.
        kind: BindKind,
        /// Who, with which secret.
        bind: Bind<'a>,
    },
    /// As ESME on a connection that the SMSC opened ([`await_outbind`](super::Session::await_outbind)): its outbind.
    /// Bind if it names whom we expect, or close the connection; there is no response (smpp-session.md §8).
    Outbind(Operation<'a>),
    /// Our bind was accepted.
    Bound {
        /// What the session is bound as.
        kind: BindKind,
        /// What both sides speak.
        version: InterfaceVersion,
    },
    /// Our bind was refused; the session is open again.
    BindRefused(CommandStatus),
    /// The peer wants something that only the owner can answer: [`respond`](super::Session::respond), exactly
    /// once.
    Request {
        /// Goes into the answer.
        sequence: u32,
        /// What it wants; never a command of the session itself.
        operation: Operation<'a>,
    },
    /// The peer tells something that it wants no answer to: alert_notification.
    Notified(Operation<'a>),
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
    /// A response that nobody waits for: late, for a number that was never used, or of another command than the
    /// request with its number, which goes on waiting. Its message_id may still be worth knowing (interop quirk 36).
    Unexpected(Pdu<'a>),
    /// A request that the session answered with an error of its own accord.
    Refused {
        /// What came.
        command_id: CommandId,
        /// What was answered.
        status: CommandStatus,
    },
    /// Something that has no answer and means nothing here: alert_notification or outbind out of place, a response
    /// that is unknown or unreadable.
    Dropped(CommandId),
    /// Send no new requests: the peer unbinds, or too many of its requests could not be read while answers are owed
    /// to it ([`FAULTS_IN_A_ROW_MAX`](super::FAULTS_IN_A_ROW_MAX)). Those may still go out; then unbind_resp follows,
    /// or the end.
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
    /// An outbind on a connection that waits for none (smpp-session.md §2).
    Outbind,
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
            Self::Outbind => "outbind",
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
