//! Time as the session sees it: a value that its owner passes in, and the deadlines that follow from it.

use std::time::Duration;

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
