//! What is kept of each account and carrier between two seconds.

use std::time::Duration;

use super::counts::{AccountCounts, CarrierCounts, Grows};
use super::history::Minutes;
use super::ring::Ring;
use super::shot::Latency;
use crate::tally::{AccountTally, CarrierTally};
use crate::telemetry::histogram::{Long, Short, Spread};

/// Seconds over which a rate is taken: as many marks, since a shot is told before its own second is noted.
pub(super) const SECONDS: usize = 5;
/// Minutes over which is counted what happens now and then, the one that is under way among them.
pub(super) const RECENT: usize = 10;

/// Counters as they were.
#[derive(Clone, Debug)]
pub(super) struct Marks<C> {
    seconds: Ring<C, SECONDS>,
    minutes: Ring<C, RECENT>,
}

impl<C: Grows> Default for Marks<C> {
    /// As if nothing had ever been counted before.
    fn default() -> Self {
        let (mut seconds, mut minutes) = (Ring::default(), Ring::default());
        (0..SECONDS).for_each(|_| seconds.push(C::default()));
        (0..RECENT).for_each(|_| minutes.push(C::default()));
        Self { seconds, minutes }
    }
}

impl<C: Grows> Marks<C> {
    /// Notes a second; and a minute, where one is over.
    pub(super) fn note(&mut self, counts: C, is_minute: bool) {
        self.seconds.push(counts);
        if is_minute {
            self.minutes.push(counts);
        }
    }

    /// What was added in the last five seconds.
    pub(super) fn lately(&self, now: &C) -> C {
        self.seconds
            .oldest()
            .map_or_else(C::default, |old| now.since(old))
    }

    /// What was added in the last nine to ten minutes: the last is under way.
    pub(super) fn recently(&self, now: &C) -> C {
        self.minutes
            .oldest()
            .map_or_else(C::default, |old| now.since(old))
    }

    /// What was added since the last minute was over.
    pub(super) fn in_minute(&self, now: &C) -> C {
        self.minutes
            .iter()
            .last()
            .map_or_else(C::default, |old| now.since(old))
    }
}

/// Histograms as they were 30 and 60 seconds ago at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Spreads<S>([S; 2]);

impl<S: Clone> Spreads<S> {
    pub(super) fn turn(&mut self, new: &S) {
        self.0.swap(0, 1);
        self.0[1].clone_from(new);
    }

    pub(super) const fn old(&self) -> &S {
        &self.0[0]
    }
}

/// From acceptance to hand-over, and to the last receipt.
pub(super) type AccountSpread = (Spread<Long>, Spread<Long>);
/// Until the carrier's answer, and from acceptance to the last receipt.
pub(super) type CarrierSpread = (Spread<Short>, Spread<Long>);

/// An account's row.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountRow {
    pub(super) marks: Marks<AccountCounts>,
    pub(super) spreads: Spreads<AccountSpread>,
    pub(super) minutes: Minutes,
}

/// A carrier's row.
#[derive(Clone, Debug, Default)]
pub(super) struct CarrierRow {
    pub(super) marks: Marks<CarrierCounts>,
    pub(super) spreads: Spreads<CarrierSpread>,
    pub(super) minutes: Minutes,
    /// Since when it has had no link, on the monotonic clock.
    pub(super) down_since: Option<Duration>,
}

impl AccountRow {
    pub(super) fn turn(&mut self, tally: &AccountTally) {
        self.spreads
            .turn(&(tally.handover.clone(), tally.receipt.clone()));
    }
}

impl CarrierRow {
    pub(super) fn turn(&mut self, tally: &CarrierTally) {
        self.spreads
            .turn(&(tally.response.clone(), tally.receipt.clone()));
    }
}

/// Of a spread that counts microseconds.
pub(super) fn short(new: &Spread<Short>, old: &Spread<Short>) -> Latency {
    let at = |share| new.quantile_since(old, share).map(|us| rounded(us / 1_000.0));
    Latency {
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    }
}

/// Of a spread that counts milliseconds.
pub(super) fn long(new: &Spread<Long>, old: &Spread<Long>) -> Latency {
    let at = |share| new.quantile_since(old, share).map(rounded);
    Latency {
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    }
}

/// So many in a span, a second.
pub(super) fn rate(count: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let count = count as f64;
        rounded(count / seconds)
    } else {
        0.0
    }
}

/// Two decimals: nobody reads more, and a line is shorter.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
