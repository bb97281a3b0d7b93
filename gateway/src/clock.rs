//! The only place that reads a clock. Everything else is told the time.

#[cfg(any(test, feature = "test-clock"))]
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(test, feature = "test-clock"))]
pub use told::{Told, ToldError};

/// Monotonic and wall time, read together once per turn and passed on as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the clock was made; never goes back. Timers and rates run on it.
    pub monotonic: Duration,
    /// Milliseconds since 1970-01-01 UTC. Dates, deadlines that survive a restart and ids run on it.
    pub unix_ms: u64,
}

/// Longest pause between two turns.
const PACE_MAX: Duration = Duration::from_millis(5);

/// Where time comes from: the machine, or a test's virtual time.
///
/// Both follow tokio's clock, so that `tokio::time::pause` moves timers and dates together.
#[derive(Clone, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    wall: Wall,
}

#[derive(Clone, Debug)]
enum Wall {
    Machine,
    /// Starts at this date and follows the (paused) monotonic clock, but for how far it was set apart from it.
    Virtual {
        start_unix_ms: u64,
        set_by_ms: Arc<AtomicI64>,
    },
    /// Stands where a test's file says.
    #[cfg(any(test, feature = "test-clock"))]
    Told(Arc<Told>),
}

impl Clock {
    /// The machine's clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
    pub fn machine() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            wall: Wall::Machine,
        }
    }

    /// Wall time that begins at `start_unix_ms` and moves with tokio's clock only.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
    pub fn virtual_from(start_unix_ms: u64) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            wall: Wall::Virtual {
                start_unix_ms,
                set_by_ms: Arc::default(),
            },
        }
    }

    /// Dates that stand where a test's file says ([`Told`]), and are read from it again by [`Clock::read_again`]. The
    /// monotonic clock is the machine's, so that timers of links, pauses and rates run on real time.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or does not say.
    #[cfg(any(test, feature = "test-clock"))]
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
    pub fn told(file: std::path::PathBuf) -> Result<Self, ToldError> {
        Ok(Self {
            start: tokio::time::Instant::now(),
            wall: Wall::Told(Arc::new(Told::open(file)?)),
        })
    }

    /// Reads the file again that a test sets it by. Says whether it says something else now.
    #[cfg(any(test, feature = "test-clock"))]
    pub fn read_again(&self) -> bool {
        match &self.wall {
            Wall::Told(told) => told.read_again(),
            Wall::Machine | Wall::Virtual { .. } => false,
        }
    }

    /// How much time has passed since the clock was made, whatever the wall clock claims: the monotonic time, but for a
    /// test's, where its file says how much. What is wrong with a wall clock shows against this.
    pub fn passed(&self) -> Duration {
        match &self.wall {
            #[cfg(any(test, feature = "test-clock"))]
            Wall::Told(told) => told.passed(),
            Wall::Machine | Wall::Virtual { .. } => self.now().monotonic,
        }
    }

    /// Sets a virtual wall clock, and that of every clone, forward or back by so many milliseconds, as an operator or
    /// NTP does to a machine's. That of the machine is left alone: it is not ours to set.
    pub fn set_wall_by(&self, by_ms: i64) {
        if let Wall::Virtual { set_by_ms, .. } = &self.wall {
            set_by_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Both clocks, now.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
    pub fn now(&self) -> Now {
        let monotonic = tokio::time::Instant::now().saturating_duration_since(self.start);
        let unix_ms = match &self.wall {
            Wall::Machine => {
                // A machine that believes to live before 1970 gets 0 and fails the checks on dates.
                millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
            }
            Wall::Virtual {
                start_unix_ms,
                set_by_ms,
            } => (start_unix_ms + millis(monotonic)).saturating_add_signed(set_by_ms.load(Ordering::Relaxed)),
            #[cfg(any(test, feature = "test-clock"))]
            Wall::Told(told) => told.unix_ms(),
        };
        Now { monotonic, unix_ms }
    }

    /// Holds the calling thread until `monotonic`, if that is less than a few milliseconds away: the pause
    /// between two turns. It blocks on purpose. tokio's timers count whole milliseconds, a pause is half of
    /// one, and nothing that could run meanwhile would get an answer before the turn anyway. Virtual time
    /// does not pass by blocking, so there it does nothing.
    #[expect(
        clippy::disallowed_methods,
        reason = "a pause of less than a millisecond; it synchronises nothing"
    )]
    pub fn pace(&self, monotonic: Duration) {
        if !matches!(self.wall, Wall::Virtual { .. }) {
            let left = monotonic.saturating_sub(self.now().monotonic);
            if !left.is_zero() {
                std::thread::sleep(left.min(PACE_MAX));
            }
        }
    }

    /// The tokio instant that a monotonic time names, for `sleep_until`.
    pub fn instant(&self, monotonic: Duration) -> tokio::time::Instant {
        self.start + monotonic
    }
}

/// Processor time that this process has used so far, in user and kernel mode, all its threads together.
pub fn process_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // A clock that counts up from zero has no negative parts.
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(spent.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_moves_both_clocks_alike() {
        let clock = Clock::virtual_from(1_000_000);
        let before = clock.now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        let after = clock.now();
        assert_eq!(after.unix_ms - before.unix_ms, 1500);
        assert_eq!(
            after.monotonic.checked_sub(before.monotonic),
            Some(Duration::from_millis(1500))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_moves_no_timer() {
        let clock = Clock::virtual_from(1_000_000);
        let clone = clock.clone();
        clock.set_wall_by(60_000);
        assert_eq!(clone.now().unix_ms, 1_060_000);
        clock.set_wall_by(-90_000);
        assert_eq!(
            (clone.now().unix_ms, clone.now().monotonic),
            (970_000, Duration::ZERO)
        );
    }
}
