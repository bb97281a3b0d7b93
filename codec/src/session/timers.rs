//! Time as the session sees it: a value that its owner passes in, the deadlines that follow from it, and what is due.

use std::time::Duration;

use crate::header::CommandId;
use crate::pdu::encode_empty;
use crate::session::event::{Answer, CloseReason, Event};
use crate::session::{Role, Session, State};
use crate::status::CommandStatus;

/// A point on the owner's monotonic clock, counted from wherever that clock began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Where the clock began.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Time since `earlier`; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The timers of a session (SMPP 3.4 §7.2, smpp-session.md §6). The specification fixes no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Connection opened → bound. Expiry closes.
    pub session_init: Duration,
    /// Silence of the peer in a bound state → we send enquire_link.
    pub enquire_link: Duration,
    /// enquire_link sent → answered (any PDU from the peer counts as life). Expiry is a miss.
    pub enquire_link_response: Duration,
    /// So many misses in a row close the link; at least 1.
    pub enquire_link_misses: u32,
    /// No message in either direction, enquire_link not counted → unbind. Zero: off.
    pub inactivity: Duration,
    /// Request sent → answered. Expiry hands the ticket back as in doubt.
    pub response: Duration,
    /// First octet of a PDU → its last. Expiry closes.
    pub pdu_read: Duration,
    /// unbind sent or received → connection closed.
    pub unbind_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            session_init: Duration::from_secs(5),
            enquire_link: Duration::from_secs(30),
            enquire_link_response: Duration::from_secs(10),
            enquire_link_misses: 2,
            inactivity: Duration::ZERO,
            response: Duration::from_secs(30),
            pdu_read: Duration::from_secs(10),
            unbind_wait: Duration::from_secs(5),
        }
    }
}

/// An enquire_link of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enquiry {
    /// Its number.
    pub(super) sequence: u32,
    sent: Monotonic,
    /// Anything at all came since.
    pub(super) heard: bool,
}

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    SessionInit,
    Enquire,
    EnquireResponse,
    Inactivity,
    Response,
    PduRead,
    UnbindWait,
}

impl<T> Session<T> {
    /// Tells whether the buffer holds the beginning of a PDU, for the timer that ends slow senders. A
    /// PDU that was partial before stays as old as it was: call with `false` after each whole one.
    pub fn set_partial(&mut self, now: Monotonic, partial: bool) {
        self.partial = if partial { self.partial.or(Some(now)) } else { None };
    }

    /// Something of the peer has come, be it that its owner cannot take it yet: a sign of life.
    pub const fn set_heard(&mut self, now: Monotonic) {
        self.heard = now;
        self.misses = 0;
        if let Some(enquiry) = &mut self.enquiry {
            enquiry.heard = true;
        }
    }

    /// When the peer last said anything at all.
    pub const fn heard_at(&self) -> Monotonic {
        self.heard
    }

    /// Acts on one timer that is due; call until it returns `None`.
    pub fn handle_timeout(&mut self, now: Monotonic, out: &mut Vec<u8>) -> Option<Event<'static, T>> {
        let (at, timer) = self.next_deadline()?;
        if at > now {
            return None;
        }
        Some(match timer {
            Timer::SessionInit => {
                // Whoever asked to be bound gets an answer before the end; the owner had no time for it.
                self.refuse_bind(CommandStatus::RSYSERR, out);
                self.close(CloseReason::SessionInit)
            }
            Timer::PduRead => self.close(CloseReason::PduRead),
            Timer::UnbindWait => self.close(match (self.ends, self.state) {
                (Some(reason), _) if self.unanswered == 0 => reason,
                // A peer that unbound and left the closing to us did nothing wrong.
                (None, State::Unbinding { left: true, .. }) if self.unanswered == 0 => CloseReason::Unbound,
                _ => CloseReason::UnbindWait,
            }),
            Timer::Enquire => {
                self.enquire(now, out);
                Event::None
            }
            Timer::EnquireResponse => {
                self.enquiry = None;
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

    fn enquire(&mut self, now: Monotonic, out: &mut Vec<u8>) {
        let sequence = self.window.next_sequence();
        self.enquiry = Some(Enquiry {
            sequence,
            sent: now,
            heard: false,
        });
        encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence, out);
    }

    /// The earliest timer that runs.
    pub(super) fn next_deadline(&mut self) -> Option<(Monotonic, Timer)> {
        let timing = self.rules.timing;
        let mut next: Option<(Monotonic, Timer)> = None;
        let mut consider = |at: Monotonic, timer: Timer| {
            if next.is_none_or(|(earliest, _)| at < earliest) {
                next = Some((at, timer));
            }
        };
        match self.state {
            State::Closed => return None,
            // A bind that is being checked has the time of its own.
            State::Binding { .. } if self.role == Role::Smsc => {
                consider(self.bind_asked + timing.session_init, Timer::SessionInit);
            }
            State::Open | State::Outbound | State::Binding { .. } => {
                consider(self.opened + timing.session_init, Timer::SessionInit);
            }
            State::Bound(_) => {
                match &self.enquiry {
                    // Whatever came since is life, whether or not it was the answer.
                    Some(enquiry) if !enquiry.heard => {
                        consider(
                            enquiry.sent + timing.enquire_link_response,
                            Timer::EnquireResponse,
                        );
                    }
                    _ => consider(self.heard + timing.enquire_link, Timer::Enquire),
                }
                // While something is under way, nobody is inactive.
                if !timing.inactivity.is_zero() && self.is_settled() {
                    consider(self.active + timing.inactivity, Timer::Inactivity);
                }
            }
            // The end was near, and now everything is answered.
            State::Unbinding { .. } if self.ends.is_some() && self.is_settled() => {
                consider(self.unbinding, Timer::UnbindWait);
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
