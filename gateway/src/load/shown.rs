//! The figures that running clients show.

use std::sync::atomic::{AtomicU64, Ordering};

/// The figures that running clients show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages sent at least once.
    pub submitted: u64,
    /// Messages answered with success.
    pub acknowledged: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Messages whose receipt came.
    pub receipts: u64,
    /// Answers that said "not now".
    pub throttled: u64,
    /// Connections that are bound now.
    pub bound: u64,
    /// Milliseconds since the first submit.
    pub elapsed_ms: u64,
    /// Microseconds from submit to answer that all but one in a hundred took at most; a fifth of a second
    /// old at most.
    pub p99_us: u64,
    /// Messages that are due and not sent, where there is a rate.
    pub backlog: u64,
}

/// Where the thread writes its figures, once per wake.
#[derive(Debug, Default)]
pub(super) struct Shown([AtomicU64; 9]);

impl Shown {
    pub(super) fn set(&self, counts: Counts) {
        let Counts {
            submitted,
            acknowledged,
            refused,
            receipts,
            throttled,
            bound,
            elapsed_ms,
            p99_us,
            backlog,
        } = counts;
        let counts = [
            submitted,
            acknowledged,
            refused,
            receipts,
            throttled,
            bound,
            elapsed_ms,
            p99_us,
            backlog,
        ];
        for (shown, count) in self.0.iter().zip(counts) {
            shown.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> Counts {
        let [
            submitted,
            acknowledged,
            refused,
            receipts,
            throttled,
            bound,
            elapsed_ms,
            p99_us,
            backlog,
        ] = self.0.each_ref().map(|shown| shown.load(Ordering::Relaxed));
        Counts {
            submitted,
            acknowledged,
            refused,
            receipts,
            throttled,
            bound,
            elapsed_ms,
            p99_us,
            backlog,
        }
    }
}
