//! A timer finer than tokio's, which counts whole milliseconds: the pace of an open loop shows in every
//! latency.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the system.
pub(super) struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; a descriptor that nobody else has keeps the promise asked for"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(
            TimerfdClockId::Monotonic,
            flags,
        )?)?))
    }

    /// Waits so long; at least a nanosecond.
    pub(super) async fn wait(&mut self, period: Duration) -> io::Result<()> {
        let period = period.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(period.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: period.subsec_nanos().into(),
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut expirations) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn it_goes_off_again_and_again_and_never_early() {
        let clock = Clock::machine();
        let mut ticker = Ticker::new().unwrap();
        for micros in [0, 300, 1500] {
            let before = clock.now().monotonic;
            ticker.wait(Duration::from_micros(micros)).await.unwrap();
            assert!(clock.now().monotonic - before >= Duration::from_micros(micros));
        }
    }
}
