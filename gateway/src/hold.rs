//! A link that goes on submitting past 0x58: it is not read for a while, and in the end it is unbound.
//!
//! Clients that slow down when they are told so never get here: what counts is how many more were answered with 0x58
//! than were taken, and a window's worth of those is on its way before the first answer arrives.

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::session::Session;
use tidegate_codec::status::CommandStatus;
use tidegate_config::Limits;
use tidegate_store::disk::Disk;

use crate::clock::Now;
use crate::gate::{Gate, at};
use crate::links::{LinkId, Peer};

/// Who has been good for so long after a hold begins anew with a short one.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// What is put up with.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So many more answered with 0x58 than taken.
    after: u32,
    /// The first hold; zero is none at all.
    hold: Duration,
    hold_max: Duration,
    /// Holds in a row before the link is unbound.
    close_after: Option<u32>,
}

impl From<&Limits> for Patience {
    fn from(limits: &Limits) -> Self {
        // No timer may end, or give up on, a link whose answers lie unread.
        let inactivity = limits.inactivity.unwrap_or(Duration::MAX);
        let most = limits.response.min(inactivity) / 2;
        Self {
            after: limits.throttle_after,
            hold: limits.throttle_hold.unwrap_or_default().min(most),
            hold_max: limits.throttle_hold_max.min(most),
            close_after: limits.throttle_close_after,
        }
    }
}

/// What is to be done with a link before more of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read,
    Held,
    Begin,
    Close,
}

/// How a link behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold {
    /// How many more were answered with 0x58 than were taken, since the last hold.
    excess: u32,
    until: Duration,
    in_a_row: u32,
    /// It is to be unbound; what is answered meanwhile changes nothing.
    is_over: bool,
}

impl Hold {
    /// Something was answered to the ESME.
    pub fn answered(&mut self, response: CommandId, status: CommandStatus) {
        let is_submission = matches!(
            response,
            CommandId::SUBMIT_SM_RESP | CommandId::DATA_SM_RESP | CommandId::SUBMIT_MULTI_RESP
        );
        if status == CommandStatus::RTHROTTLED {
            self.throttled();
        } else if status.is_ok() && is_submission {
            self.excess = self.excess.saturating_sub(1);
        }
    }

    /// The session itself has answered 0x58.
    pub const fn throttled(&mut self) {
        self.excess = self.excess.saturating_add(1);
    }

    /// When the link is read again.
    pub const fn until(&self) -> Duration {
        self.until
    }

    fn step(&mut self, now: Duration, patience: &Patience) -> Step {
        if self.is_over {
            return Step::Close;
        }
        if now < self.until {
            return Step::Held;
        }
        if self.excess < patience.after || patience.hold.is_zero() {
            return Step::Read;
        }
        if now.saturating_sub(self.until) >= FORGIVEN_AFTER {
            self.in_a_row = 0;
        }
        if patience.close_after.is_some_and(|most| self.in_a_row >= most) {
            self.is_over = true;
            return Step::Close;
        }
        self.excess = 0;
        let doubled = 2u32.saturating_pow(self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.until = now + patience.hold.saturating_mul(doubled).min(patience.hold_max);
        Step::Begin
    }
}

impl<D: Disk> Gate<D> {
    /// Whether a link is not to be read now, because it went on past 0x58. What it wants to say meanwhile lies in its
    /// socket, its answers too, so it counts as heard.
    pub(crate) fn is_held(&mut self, now: Now, id: LinkId) -> bool {
        let Some(link) = self.links.get_mut(id) else {
            return false;
        };
        let Peer::Esme {
            ip,
            account: Some(account),
        } = link.peer
        else {
            return false;
        };
        let step = link.hold.step(now.monotonic, &self.patience);
        let tally = &mut self.accounts[account].tally;
        match step {
            Step::Read => return false,
            Step::Held => {}
            Step::Begin => {
                tally.holds += 1;
                // It could not be heard to answer.
                link.deliver_after = link.deliver_after.max(link.hold.until());
            }
            // What was taken is acknowledged first: clients exist that hear nothing behind an unbind.
            Step::Close if link.session.unanswered() > 0 => {}
            Step::Close => {
                tally.flooders_unbound += 1;
                let name = self.config.accounts[account].system_id;
                let link = link.number;
                tracing::warn!(account = %name, link, %ip, "a link that goes on past 0x58 is unbound");
                self.leave_esme(now, id, ip, account);
                return false;
            }
        }
        quiet(&mut link.session, now);
        true
    }
}

fn quiet<T>(session: &mut Session<T>, now: Now) {
    session.set_partial(at(now), false);
    session.set_heard(at(now));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        after: 100,
        hold: SECOND,
        hold_max: Duration::from_secs(8),
        close_after: None,
    };

    fn answer(hold: &mut Hold, status: CommandStatus, times: u32) {
        for _ in 0..times {
            hold.answered(CommandId::SUBMIT_SM_RESP, status);
        }
    }

    /// Sends on past 0x58 until it is held or closed: what was done, and for how long.
    fn flood(hold: &mut Hold, now: Duration, patience: &Patience) -> (Step, Duration) {
        answer(hold, CommandStatus::RTHROTTLED, 99);
        assert_eq!(hold.step(now, patience), Step::Read);
        answer(hold, CommandStatus::RTHROTTLED, 1);
        (hold.step(now, patience), hold.until().saturating_sub(now))
    }

    #[test]
    fn holds_grow_to_their_longest_and_who_was_good_for_a_minute_begins_anew() {
        let (mut hold, mut now) = (Hold::default(), SECOND * 100);
        for seconds in [1, 2, 4, 8, 8, 8] {
            assert_eq!(flood(&mut hold, now, &PATIENCE), (Step::Begin, SECOND * seconds));
            let ends = hold.until();
            assert_eq!(hold.step(ends - Duration::from_millis(1), &PATIENCE), Step::Held);
            assert_eq!(hold.step(ends, &PATIENCE), Step::Read);
            now = ends + SECOND * 59;
        }
        now += SECOND;
        assert_eq!(flood(&mut hold, now, &PATIENCE), (Step::Begin, SECOND));
    }

    #[test]
    fn who_slows_down_is_never_held() {
        let mut hold = Hold::default();
        // A window's worth that was on its way, then half as many refused as taken, for ever.
        answer(&mut hold, CommandStatus::RTHROTTLED, 99);
        for _ in 0..10_000 {
            assert_eq!(hold.step(SECOND, &PATIENCE), Step::Read);
            answer(&mut hold, CommandStatus::ROK, 2);
            answer(&mut hold, CommandStatus::RTHROTTLED, 1);
        }
        assert!(hold.excess <= 1, "{}", hold.excess);
    }

    #[test]
    fn only_messages_that_were_taken_make_up_for_those_that_were_not() {
        let mut hold = Hold::default();
        for _ in 0..100 {
            hold.answered(CommandId::SUBMIT_SM_RESP, CommandStatus::RTHROTTLED);
            hold.answered(CommandId::QUERY_SM_RESP, CommandStatus::ROK);
            hold.answered(CommandId::SUBMIT_SM_RESP, CommandStatus::RINVDSTADR);
        }
        assert_eq!(hold.step(SECOND, &PATIENCE), Step::Begin);
    }

    #[test]
    fn a_link_is_unbound_behind_so_many_holds_and_not_before() {
        let patience = Patience {
            close_after: Some(3),
            ..PATIENCE
        };
        let (mut hold, mut now) = (Hold::default(), SECOND * 100);
        for _ in 0..3 {
            assert_eq!(flood(&mut hold, now, &patience).0, Step::Begin);
            now = hold.until();
        }
        assert_eq!(flood(&mut hold, now, &patience).0, Step::Close);
        // Answers that were under way do not change that.
        answer(&mut hold, CommandStatus::ROK, 500);
        assert_eq!(hold.step(now, &patience), Step::Close);
    }

    #[test]
    fn no_hold_is_longer_than_half_of_what_a_timer_waits_for_an_answer_that_lies_unread() {
        let text = include_str!("../../config/bench.toml");
        let keys = "response = \"1s\"\nthrottle_hold = \"900ms\"\nthrottle_hold_max = \"10s\"";
        let text = text.replacen("[limits]", &format!("[limits]\n{keys}"), 1);
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let patience = Patience::from(&config.limits);
        assert_eq!((patience.hold, patience.hold_max), (SECOND / 2, SECOND / 2));
    }
}
