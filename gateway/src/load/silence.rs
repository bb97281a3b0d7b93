//! Whether a peer is still there: when it was heard last, when to ask it, and when to believe that it is gone.

use std::time::Duration;

/// After so long a silence the peer is asked whether it is still there.
const ENQUIRE: Duration = Duration::from_secs(30);
/// The same while submits wait for their answer: a link that is half open is found before patience ends
/// (interop 30).
const ENQUIRE_WAITING: Duration = Duration::from_secs(5);
/// An enquire_link waits no longer for its answer, or for anything else.
const ENQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// The silence of one peer. Any PDU of its ends it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    heard: Duration,
    asked: Option<Duration>,
}

/// What a silence has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    Nothing,
    /// The peer is to be asked, now.
    Ask,
    /// It was asked, and did not answer in time.
    Gone,
}

impl Silence {
    /// Something came.
    pub(super) const fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// When something came last.
    pub(super) const fn heard_at(&self) -> Duration {
        self.heard
    }

    /// When it comes to something; earlier if submits wait.
    pub(super) fn until(&self, submits_wait: bool) -> Duration {
        let allowed = if submits_wait { ENQUIRE_WAITING } else { ENQUIRE };
        self.asked
            .map_or(self.heard + allowed, |asked| asked + ENQUIRE_TIMEOUT)
    }

    /// What it has come to by now.
    pub(super) fn look(&mut self, now: Duration, submits_wait: bool) -> Means {
        if self.asked.is_some_and(|asked| self.heard > asked) {
            self.asked = None;
        }
        if now < self.until(submits_wait) {
            return Means::Nothing;
        }
        if self.asked.is_some() {
            return Means::Gone;
        }
        self.asked = Some(now);
        Means::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_half_open_link_with_submits_is_found_within_twenty_seconds() {
        let mut silence = Silence::default();
        silence.heard(s(100));
        assert_eq!(silence.look(s(104), true), Means::Nothing);
        assert_eq!(silence.until(true), s(105));
        assert_eq!(silence.look(s(105), true), Means::Ask);
        assert_eq!(silence.look(s(119), true), Means::Nothing);
        assert_eq!(silence.until(true), s(120));
        assert_eq!(silence.look(s(120), true), Means::Gone);
    }

    #[test]
    fn an_idle_link_is_asked_every_half_minute_and_anything_that_comes_is_an_answer() {
        let mut silence = Silence::default();
        silence.heard(s(100));
        assert_eq!(silence.look(s(129), false), Means::Nothing);
        assert_eq!(silence.look(s(130), false), Means::Ask);
        silence.heard(s(131));
        assert_eq!(silence.look(s(145), false), Means::Nothing);
        assert_eq!((silence.heard_at(), silence.until(false)), (s(131), s(161)));
        assert_eq!(silence.look(s(161), false), Means::Ask);
    }
}
