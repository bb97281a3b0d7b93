//! When to try a carrier again after its link ended (design §6, interop #35, quirk 33).

use std::time::Duration;

use rand_core::Rng;
use tidegate_codec::status::CommandStatus;

use crate::links::End;

/// Pauses after a refused password; the last one repeats. Carriers lock accounts that hammer.
const REFUSED_PASSWORD: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30 * 60),
];
/// Pause after a bind that was refused for another reason: an old session may linger.
const REFUSED_BIND: Duration = Duration::from_secs(30);

/// The pauses of one link slot.
#[derive(Debug)]
pub struct Reconnect {
    min: Duration,
    max: Duration,
    /// Tries since the link was last bound.
    failed: u32,
    /// Passwords refused since then.
    denied: usize,
}

impl Reconnect {
    /// Pauses from `min`, doubling to `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failed: 0,
            denied: 0,
        }
    }

    /// Other pauses, from the next on.
    pub const fn set_pauses(&mut self, min: Duration, max: Duration) {
        self.min = min;
        self.max = max;
    }

    /// How long to wait after this end, jitter included.
    pub fn after(&mut self, end: End, was_bound: bool, rng: &mut impl Rng) -> Duration {
        if was_bound {
            self.failed = 0;
            self.denied = 0;
        }
        let pause = match end {
            End::BindRefused(CommandStatus::RINVPASWD | CommandStatus::RINVSYSID) => {
                let pause = REFUSED_PASSWORD[self.denied.min(REFUSED_PASSWORD.len() - 1)];
                self.denied += 1;
                pause
            }
            // A carrier that means "wrong password" by the general word is not hammered either.
            End::BindRefused(_) => REFUSED_BIND,
            _ => {
                let factor = 1u32.checked_shl(self.failed).unwrap_or(u32::MAX);
                self.failed = self.failed.saturating_add(1);
                self.min.saturating_mul(factor).min(self.max)
            }
        };
        // Up to a fifth more, so that links that fell together do not come back together.
        let fifth = u32::try_from(pause.as_millis() / 5).unwrap_or(u32::MAX);
        pause + Duration::from_millis(u64::from(rng.next_u32() % (fifth + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn around(pause: Duration, secs: u64) -> bool {
        pause >= Duration::from_secs(secs) && pause <= Duration::from_secs(secs) * 6 / 5
    }

    #[test]
    fn lost_links_come_back_in_doubling_pauses_until_bound_again() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut reconnect = Reconnect::new(Duration::from_secs(5), Duration::from_secs(60));
        for secs in [5, 10, 20, 40, 60, 60] {
            let pause = reconnect.after(End::Lost, false, &mut rng);
            assert!(around(pause, secs), "{pause:?}");
        }
        assert!(around(reconnect.after(End::Lost, true, &mut rng), 5));
    }

    #[test]
    fn a_refused_password_is_never_hammered() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut reconnect = Reconnect::new(Duration::from_millis(10), Duration::from_secs(60));
        for secs in [5, 10, 20, 1800, 1800] {
            let end = End::BindRefused(CommandStatus::RINVPASWD);
            let pause = reconnect.after(end, false, &mut rng);
            assert!(around(pause, secs), "{pause:?}");
        }
        let other = End::BindRefused(CommandStatus::RALYBND);
        assert!(around(reconnect.after(other, false, &mut rng), 30));
    }
}
