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

mod event;
mod incoming;
mod matrix;
mod outgoing;
mod state;
mod timers;
mod window;

use crate::values::InterfaceVersion;

pub use event::{Answer, CloseReason, Event, RequestError};
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
}
