//! One SMPP session, either side, without socket or clock.
//!
//! # How it is driven
//!
//! The owner feeds it what arrives ([`Session::handle`]) and what time it is
//! ([`Session::handle_timeout`], due at [`Session::poll_timeout`]); it appends what must be sent to a
//! buffer and returns one [`Event`] for the owner to act on. What is the session's own business
//! (enquire_link, unbind, wrong states, unknown commands, malformed bodies, too many unanswered
//! requests) it answers itself and only reports, so that it can be counted.
//!
//! Four kinds of calls:
//! - input: [`Session::handle`], [`Session::handle_broken`], [`Session::handle_timeout`], [`Session::set_partial`];
//! - answers that the owner owes: [`Session::accept_bind`], [`Session::refuse_bind`], [`Session::respond`];
//! - requests of ours: [`Session::bind`], [`Session::request`], [`Session::unbind`], and two that nobody answers:
//!   [`Session::outbind`], [`Session::alert`];
//! - questions: [`Session::state`], [`Session::version`], [`Session::room`], [`Session::may_send`],
//!   [`Session::congestion`], [`Session::poll_timeout`].
//!
//! Octets become PDUs by [`crate::pdu::read`]; its outcomes are the calls above. Of time a session knows what it is
//! told, so an hour passes in a test as fast as it is said:
//!
//! ```
//! use std::time::Duration;
//! use tidegate_codec::address::{Npi, Ton};
//! use tidegate_codec::error::BodyError;
//! use tidegate_codec::header::{CommandId, Header};
//! use tidegate_codec::identity::SystemId;
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::bind::Bind;
//! use tidegate_codec::pdu::message::Sm;
//! use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
//! use tidegate_codec::session::{Answer, Event, Monotonic, Role, Rules, Session, State, Timing};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::tlv::Tlvs;
//! use tidegate_codec::values::{BindKind, InterfaceVersion};
//!
//! let rules = Rules {
//!     window: 10,
//!     unanswered_max: 100,
//!     timing: Timing::default(),
//!     assume_version: InterfaceVersion::V3_4,
//! };
//! let now = Monotonic::ZERO;
//! let mut esme: Session<&str> = Session::new(Role::Esme, rules, now);
//! let mut smsc: Session<&str> = Session::new(Role::Smsc, rules, now);
//! // What lies on the wire; here each side writes one PDU at a time.
//! let (mut to_smsc, mut to_esme) = (Vec::new(), Vec::new());
//! fn pdu(octets: &[u8]) -> Result<Pdu<'_>, (Header, BodyError)> {
//!     match read(octets, &Limits::default()) {
//!         Read::Pdu(pdu) => Ok(pdu),
//!         Read::BadBody(header, error) => Err((header, error)),
//!         // More octets are needed, or the framing is lost: `Session::handle_broken`.
//!         other => panic!("{other:?}"),
//!     }
//! }
//!
//! // The ESME binds, and the owner of the SMSC's session says yes.
//! let bind = Bind {
//!     system_id: COctets::new(b"load")?,
//!     password: COctets::new(b"secret")?,
//!     system_type: COctets::EMPTY,
//!     interface_version: InterfaceVersion::V3_4,
//!     addr_ton: Ton::UNKNOWN,
//!     addr_npi: Npi::UNKNOWN,
//!     address_range: COctets::EMPTY,
//!     tlvs: Tlvs::NONE,
//! };
//! esme.bind(now, BindKind::Transceiver, &bind, &mut to_smsc);
//! let event = smsc.handle(now, pdu(&to_smsc), &mut to_esme);
//! assert!(matches!(event, Event::BindRequested { bind, .. } if bind.system_id.as_bytes() == b"load"));
//! smsc.accept_bind(now, &SystemId::new(b"tidegate")?, &mut to_esme);
//! let event = esme.handle(now, pdu(&to_esme), &mut to_smsc);
//! assert!(matches!(event, Event::Bound { version: InterfaceVersion::V3_4, .. }));
//!
//! // A message, and its answer. The ticket comes back with it.
//! to_smsc.clear();
//! to_esme.clear();
//! let sent = esme.request(now, CommandId::SUBMIT_SM, "ticket", &mut to_smsc, |out| Sm::default().encode(out));
//! assert_eq!(sent, Ok(2));
//! let Event::Request { sequence, operation: Operation::SubmitSm(_) } =
//!     smsc.handle(now, pdu(&to_smsc), &mut to_esme)
//! else {
//!     panic!("not handed on")
//! };
//! smsc.respond(CommandId::SUBMIT_SM_RESP, sequence, CommandStatus::ROK, &mut to_esme, |out| {
//!     out.extend_from_slice(b"4711\0");
//! });
//! let Event::Answered { ticket, answer: Answer::Response(status, _), .. } =
//!     esme.handle(now, pdu(&to_esme), &mut to_smsc)
//! else {
//!     panic!("not answered")
//! };
//! assert_eq!((ticket, status), ("ticket", CommandStatus::ROK));
//!
//! // Half a minute later both ask whether the other is still there.
//! let later = now + Duration::from_secs(30);
//! to_smsc.clear();
//! assert_eq!(esme.poll_timeout(), Some(later));
//! assert_eq!(esme.handle_timeout(later, &mut to_smsc), Some(Event::None));
//! assert_eq!(pdu(&to_smsc).unwrap().operation.command_id(), CommandId::ENQUIRE_LINK);
//! assert_eq!(smsc.state(), State::Bound(BindKind::Transceiver));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! Nothing that a peer sends is an error of a call. What is wrong with a request is answered and told as
//! [`Event::Refused`]; after too many in a row ([`FAULTS_IN_A_ROW_MAX`]; owed answers leave first), after lost
//! framing and when a timer says so the event is [`Event::Close`], after which the session neither reads nor
//! writes. Errors that a peer reports about our requests end those requests and nothing else: whoever holds the
//! tickets knows what they mean, and to close would leave the rest of the window in doubt. Calls that the state
//! does not allow do nothing ([`Session::bind`], [`Session::outbind`], [`Session::accept_bind`]) or say so
//! ([`RequestError`]).
//!
//! # Limits
//!
//! Requests of ours wait in a [`Window`]; requests of the peer are only counted, up to [`Rules::unanswered_max`].
//! A session's memory is bounded by its window, and every PDU that comes is answered by one of 16 octets at
//! most, besides what the owner says. Every ticket comes back exactly once: by [`Event::Answered`], by
//! [`RequestError`], or from [`Session::drain`]. Of commands only the peer's are judged; [`Session::request`] sends
//! what it is given, since a simulator has to say what real peers say wrongly: ask [`Session::may_send`].

mod event;
mod incoming;
mod matrix;
mod outgoing;
mod state;
mod timers;
mod window;

use crate::header::CommandId;
use crate::values::InterfaceVersion;

pub use event::{Answer, CloseReason, Event, RequestError};
pub use state::{Role, State};
pub use timers::{Monotonic, Timing};
pub use window::Window;

use timers::Enquiry;

/// So many requests in a row that cannot be read (broken bodies, ids of no command) end a session: the
/// peer speaks something else. The reference suggests 10 (smpp-session.md §3); a client whose one template
/// is broken should still get its other messages through, and an error answer costs us next to nothing.
pub const FAULTS_IN_A_ROW_MAX: u32 = 100;

/// Highest `congestion_state`; what lies above is reserved and says nothing (smpp-tlvs.md, 0x0428).
const CONGESTION_MAX: u8 = 100;

/// What a peer says of its load in a response (`congestion_state`, 5.0): 0 idle, 80 to 90 as it should be, 100
/// congested (smpp-session.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congestion {
    /// 0 to 100.
    pub state: u8,
    /// When it was said: it is worth less with every second.
    pub said: Monotonic,
}

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
    /// Our enquire_link that waits for its answer.
    enquiry: Option<Enquiry>,
    /// enquire_links in a row that nothing came after.
    misses: u32,
    /// When an unfinished PDU began to arrive.
    partial: Option<Monotonic>,
    /// When the unbind was sent or received.
    unbinding: Monotonic,
    /// Why it ends as soon as nothing is owed any more on either side: our unbind was answered, or the peer's faults
    /// were too many.
    ends: Option<CloseReason>,
    /// As SMSC: when the ESME asked to be bound.
    bind_asked: Monotonic,
    /// As ESME: the SMSC opened the connection and is to say outbind.
    awaits_outbind: bool,
    /// outbind was sent or received.
    outbound: bool,
    /// What the peer said of its load last.
    congestion: Option<Congestion>,
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
            enquiry: None,
            misses: 0,
            partial: None,
            unbinding: now,
            ends: None,
            bind_asked: now,
            awaits_outbind: false,
            outbound: false,
            congestion: None,
        }
    }

    /// A session of an ESME that was connected to at `now`: the SMSC is to say outbind, handed on as
    /// [`Event::Outbind`], before session_init runs out (smpp-session.md §8). Any other session of an ESME that hears
    /// an outbind before it binds is closed.
    pub fn await_outbind(rules: Rules, now: Monotonic) -> Self {
        Self {
            awaits_outbind: true,
            ..Self::new(Role::Esme, rules, now)
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

    /// Whether neither side owes the other an answer.
    const fn is_settled(&self) -> bool {
        self.unanswered == 0 && self.window.waiting() == 0
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

    /// Whether a request may be sent now by the letter of the version that is spoken (smpp-pdus.md §3). Before a bind
    /// that is 3.4. The window is another question: [`Session::room`].
    pub const fn may_send(&self, command_id: CommandId) -> bool {
        matrix::we_may_send(self.role, self.version, self.state, command_id)
    }

    /// What the peer said of its load last, in a response of any kind; `None` while it has said nothing.
    pub const fn congestion(&self) -> Option<Congestion> {
        self.congestion
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

    /// Sets the timers. They count from where they began: what has lasted longer than a new one allows is due at once.
    pub const fn set_timing(&mut self, timing: Timing) {
        self.rules.timing = timing;
    }

    // ===== inside =====

    /// Where a session stands whose bind was refused.
    const fn unbound(&self) -> State {
        if self.outbound {
            State::Outbound
        } else {
            State::Open
        }
    }
}
