//! What both ends of a demo have counted, put together.

use std::fmt;

use crate::load::{self, grouped};
use crate::simulator;

/// The result of a run, as its table and its last line tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Messages submitted at least once.
    pub submitted: u64,
    /// Messages answered with an id.
    pub acknowledged: u64,
    /// Messages that the carrier took, each counted once.
    pub handed_over: u64,
    /// Messages whose receipt reached the clients.
    pub receipts: u64,
    /// Messages that were acknowledged and did not reach the carrier, or whose receipt did not come back.
    pub lost: u64,
    /// Messages that the carrier took once more.
    pub doubled: u64,
    /// Messages done with, per second.
    pub msgs_per_s: f64,
    /// From submit to answer: half of all were quicker.
    pub p50_ms: f64,
    /// From submit to answer: all but one in a hundred were quicker.
    pub p99_ms: f64,
    /// Messages that arrived other than they were sent.
    pub altered: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Answers "not now", after which the message was submitted again.
    pub throttled: u64,
    /// Submits of a message that may have been taken before.
    pub resubmitted: u64,
    /// Receipts that came again.
    pub repeated_receipts: u64,
    /// Seconds from the first submit to the last receipt.
    pub elapsed_s: f64,
}

impl Outcome {
    /// Puts both reports together. Without a carrier's, as when another program plays it, every
    /// acknowledged message is taken to have reached it once.
    pub fn new(clients: &load::Report, carrier: Option<&simulator::Report>) -> Self {
        let acknowledged = &clients.acknowledged_marks;
        let (handed_over, doubled, altered, done) = match carrier {
            Some(carrier) => {
                let taken = carrier.taken.get(&clients.run).cloned().unwrap_or_default();
                let done = if clients.wants_receipts {
                    taken.and(&clients.receipt_marks)
                } else {
                    taken.clone()
                };
                (taken.len(), carrier.repeated, carrier.altered, done)
            }
            None if clients.wants_receipts => (clients.acknowledged, 0, 0, clients.receipt_marks.clone()),
            None => (clients.acknowledged, 0, 0, acknowledged.clone()),
        };
        let elapsed_s = clients.elapsed.as_secs_f64();
        let finished = acknowledged.and(&done).len();
        Self {
            submitted: clients.submitted,
            acknowledged: clients.acknowledged,
            handed_over,
            receipts: clients.receipts,
            lost: acknowledged.missing_in(&done),
            doubled,
            msgs_per_s: if elapsed_s > 0.0 {
                float(finished) / elapsed_s
            } else {
                0.0
            },
            p50_ms: float(clients.latency_us.value_at_quantile(0.5)) / 1000.0,
            p99_ms: float(clients.latency_us.value_at_quantile(0.99)) / 1000.0,
            altered,
            refused: clients.refused.values().sum(),
            throttled: clients.throttled,
            resubmitted: clients.resubmitted,
            repeated_receipts: clients.repeated_receipts,
            elapsed_s,
        }
    }

    /// Whether nothing that was acknowledged is lost, and nothing arrived other than it was sent.
    pub const fn is_whole(&self) -> bool {
        self.lost == 0 && self.altered == 0
    }

    /// The last line of a demo: one JSON object.
    pub fn json(&self) -> String {
        format!(
            concat!(
                r#"{{"submitted":{},"acknowledged":{},"handed_over":{},"receipts":{},"#,
                r#""lost":{},"doubled":{},"msgs_per_s":{:.0},"p50_ms":{:.3},"p99_ms":{:.3}}}"#
            ),
            self.submitted,
            self.acknowledged,
            self.handed_over,
            self.receipts,
            self.lost,
            self.doubled,
            self.msgs_per_s,
            self.p50_ms,
            self.p99_ms,
        )
    }
}

/// Counts of messages are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "shown, never counted with")]
const fn float(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Outcome {
    /// The table, with a row for what is unusual only where there is something to tell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String, meaning: &str| {
            writeln!(f, "  {name:<18}{value:>12}  {meaning}").map(|()| ())
        };
        row("submitted", grouped(self.submitted), "")?;
        row(
            "acknowledged",
            grouped(self.acknowledged),
            "on disk before the answer left",
        )?;
        row("handed over", grouped(self.handed_over), "reached the carrier")?;
        row("receipts", grouped(self.receipts), "came back to the clients")?;
        row("lost", grouped(self.lost), "")?;
        row("doubled", grouped(self.doubled), "")?;
        for (name, count, meaning) in [
            ("altered", self.altered, "arrived other than they were sent"),
            ("refused", self.refused, "for good"),
            (
                "throttled",
                self.throttled,
                "answered \"not now\", submitted again",
            ),
            ("resubmitted", self.resubmitted, "after no answer; may double"),
            ("receipts again", self.repeated_receipts, ""),
        ] {
            if count > 0 {
                row(name, grouped(count), meaning)?;
            }
        }
        row(
            "messages/s",
            format!("{:.0}", self.msgs_per_s),
            "whole life, receipt included",
        )?;
        row("p50", format!("{:.3} ms", self.p50_ms), "submit_sm to its answer")?;
        row("p99", format!("{:.3} ms", self.p99_ms), "")?;
        row("took", format!("{:.1} s", self.elapsed_s), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            submitted: 20_000,
            acknowledged: 20_000,
            handed_over: 20_000,
            receipts: 20_000,
            lost: 0,
            doubled: 0,
            msgs_per_s: 123_456.7,
            p50_ms: 1.25,
            p99_ms: 8.0,
            altered: 0,
            refused: 0,
            throttled: 3,
            resubmitted: 0,
            repeated_receipts: 0,
            elapsed_s: 0.16,
        }
    }

    #[test]
    fn the_last_line_is_the_object_that_scripts_read() {
        assert_eq!(
            outcome().json(),
            r#"{"submitted":20000,"acknowledged":20000,"handed_over":20000,"receipts":20000,"lost":0,"doubled":0,"msgs_per_s":123457,"p50_ms":1.250,"p99_ms":8.000}"#
        );
    }

    #[test]
    fn the_table_tells_what_happened_and_not_what_did_not() {
        let table = outcome().to_string();
        assert!(table.contains("20 000") && table.contains("throttled"));
        assert!(!table.contains("altered") && !table.contains("refused"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
