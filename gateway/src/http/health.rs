//! What the probes ask for: noted by the loop and the tasks, read by HTTP.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tidegate_config::CarrierName;

use crate::clock::{Clock, Now};

/// The loop turns at least once a second, whatever happens. After this long without a turn it hangs, and
/// only a restart helps.
pub const TURN_MISSING: Duration = Duration::from_secs(10);

/// How far the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Reads its disk; does not listen yet.
    Starting = 0,
    /// Listens.
    Serving = 1,
    /// Takes nothing new and ends what it has.
    Stopping = 2,
}

/// Whether the spool takes messages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpoolState {
    /// It does.
    Open = 0,
    /// At its bound; it passes.
    Full = 1,
    /// A sync failed; a restart is needed.
    Broken = 2,
}

/// Links of one carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierLinks {
    /// Links that are bound.
    pub bound: usize,
    /// Links that the configuration asks for.
    pub wanted: usize,
}

/// Shared between who knows and who is asked. All of it is one atomic write for the loop, but for carriers,
/// whose links come and go rarely.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    phase: AtomicU8,
    spool: AtomicU8,
    /// Milliseconds of the monotonic clock.
    last_turn: AtomicU64,
    /// Milliseconds of the monotonic clock at which the audit log began to fail, and one more; 0 while it works.
    audit_failing: AtomicU64,
    /// By name; as many as the configuration has.
    carriers: DashMap<String, CarrierLinks>,
}

impl Health {
    /// Starting, with a turn just done.
    pub fn new(clock: Clock) -> Self {
        let health = Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            spool: AtomicU8::new(SpoolState::Open as u8),
            last_turn: AtomicU64::new(0),
            audit_failing: AtomicU64::new(0),
            carriers: DashMap::new(),
            clock,
        };
        health.turned(health.clock.now());
        health
    }

    /// A turn was done, or a step of a start that takes long.
    pub fn turned(&self, now: Now) {
        self.last_turn.store(millis(now.monotonic), Ordering::Relaxed);
    }

    /// Notes how far the gateway is.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes whether the spool takes messages in.
    pub fn set_spool(&self, state: SpoolState) {
        self.spool.store(state as u8, Ordering::Relaxed);
    }

    /// Notes that the audit log cannot be written. Since when, is known from the first time.
    pub fn audit_failed(&self, now: Now) {
        let since = millis(now.monotonic).saturating_add(1);
        let kept = (Ordering::Relaxed, Ordering::Relaxed);
        // It failed before.
        let _ = self.audit_failing.compare_exchange(0, since, kept.0, kept.1);
    }

    /// Notes that the audit log takes entries.
    pub fn audit_works(&self) {
        self.audit_failing.store(0, Ordering::Relaxed);
    }

    /// Whether the audit log cannot be written.
    pub fn is_audit_failing(&self) -> bool {
        self.audit_failing.load(Ordering::Relaxed) != 0
    }

    /// Forgets a carrier that the configuration no longer has.
    pub fn forget_carrier(&self, name: &CarrierName) {
        self.carriers.remove(name.as_str());
    }

    /// Notes a carrier's links. Each configured carrier is noted once at the start, with none bound.
    pub fn set_carrier(&self, name: &CarrierName, links: CarrierLinks) {
        self.carriers.insert(name.as_str().to_owned(), links);
    }

    /// Whether the loop turns, with one line of text.
    pub fn alive(&self) -> (bool, String) {
        let age = millis(self.clock.now().monotonic).saturating_sub(self.last_turn.load(Ordering::Relaxed));
        if Duration::from_millis(age) < TURN_MISSING {
            (true, "alive\n".to_owned())
        } else {
            (false, format!("the loop has not turned for {} s\n", age / 1000))
        }
    }

    /// Whether messages are taken in, with one line for each reason why not, for each carrier that lacks links, and for an
    /// audit log that cannot be written. A carrier that is down leaves us ready: its messages wait for it. So does the
    /// audit log, as long as the spool has room for what waits to be entered.
    pub fn ready(&self) -> (bool, String) {
        let (alive, mut reasons) = self.alive();
        if alive {
            reasons.clear();
        }
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Starting as u8 => reasons.push_str("starting\n"),
            phase if phase == Phase::Stopping as u8 => reasons.push_str("shutting down\n"),
            _ => {}
        }
        match self.spool.load(Ordering::Relaxed) {
            state if state == SpoolState::Full as u8 => reasons.push_str("spool full\n"),
            state if state == SpoolState::Broken as u8 => {
                reasons.push_str("spool broken: restart needed\n");
            }
            _ => {}
        }
        let ready = reasons.is_empty();
        let mut text = if ready {
            "ready\n".to_owned()
        } else {
            format!("not ready\n{reasons}")
        };
        match self.audit_failing.load(Ordering::Relaxed) {
            0 => {}
            since => {
                let now = millis(self.clock.now().monotonic);
                let seconds = now.saturating_sub(since - 1) / 1000;
                let _ = writeln!(
                    text,
                    "audit log failing for {seconds} s: operators are refused, opt-outs and consents wait in the spool"
                );
            }
        }
        let mut carriers: Vec<(String, CarrierLinks)> = self
            .carriers
            .iter()
            .filter(|carrier| carrier.bound < carrier.wanted)
            .map(|carrier| (carrier.key().clone(), *carrier.value()))
            .collect();
        carriers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, CarrierLinks { bound, wanted }) in carriers {
            let how = if bound == 0 { "down" } else { "degraded" };
            let _ = writeln!(text, "carrier {name}: {how}, {bound} of {wanted} links bound");
        }
        (ready, text)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving() -> Health {
        let health = Health::new(Clock::virtual_from(0));
        health.set_phase(Phase::Serving);
        health
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_neither_alive_nor_ready() {
        let health = serving();
        assert!(health.alive().0 && health.ready().0);
        tokio::time::advance(TURN_MISSING).await;
        let (alive, text) = health.alive();
        assert!(!alive);
        assert_eq!(text, "the loop has not turned for 10 s\n");
        assert!(!health.ready().0);
        health.turned(health.clock.now());
        assert!(health.alive().0 && health.ready().0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_named_and_none_hides_another() {
        let health = Health::new(Clock::virtual_from(0));
        assert_eq!(health.ready(), (false, "not ready\nstarting\n".to_owned()));
        health.set_phase(Phase::Stopping);
        health.set_spool(SpoolState::Full);
        assert_eq!(
            health.ready(),
            (false, "not ready\nshutting down\nspool full\n".to_owned())
        );
        health.set_phase(Phase::Serving);
        health.set_spool(SpoolState::Broken);
        assert_eq!(
            health.ready(),
            (false, "not ready\nspool broken: restart needed\n".to_owned())
        );
        health.set_spool(SpoolState::Open);
        assert_eq!(health.ready(), (true, "ready\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_audit_log_that_fails_is_named_since_its_first_failure_and_we_stay_ready() {
        let health = serving();
        health.audit_failed(health.clock.now());
        tokio::time::advance(Duration::from_secs(7)).await;
        health.audit_failed(health.clock.now());
        let (ready, text) = health.ready();
        assert!(
            ready && text.starts_with("ready\naudit log failing for 7 s: "),
            "{text}"
        );
        health.audit_works();
        assert_eq!(health.ready(), (true, "ready\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_carrier_that_is_down_is_named_and_we_stay_ready() {
        let text = include_str!("../../../config/tidegate.toml");
        let name = tidegate_config::parse(text).unwrap().carriers[0].name.clone();
        let health = serving();
        for (bound, line) in [
            (0, "carrier example: down, 0 of 4 links bound\n"),
            (3, "carrier example: degraded, 3 of 4 links bound\n"),
            (4, ""),
        ] {
            health.set_carrier(&name, CarrierLinks { bound, wanted: 4 });
            assert_eq!(health.ready(), (true, format!("ready\n{line}")));
        }
    }
}
