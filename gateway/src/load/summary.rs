//! The report in writing: a table for people, fields for programs.

use std::fmt;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;

use crate::load::report::{Report, float};
use crate::load::trouble::status_name;

/// The quantiles that are told, and what they are called.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];

impl Report {
    /// Everything, as one JSON object. Latencies are in milliseconds; `response_ms`, `receipt_ms` and
    /// `cpu_us_per_message` are null where there was nothing to measure.
    pub fn json(&self) -> Value {
        let refused: Map<String, Value> = self
            .refused
            .iter()
            .map(|(status, count)| (status_name(CommandStatus(*status)), json!(count)))
            .collect();
        let states: Map<String, Value> = self
            .states()
            .map(|(state, count)| (state.stat().to_owned(), json!(count)))
            .collect();
        json!({
            "run": self.run,
            "messages": self.messages,
            "not_sent": self.not_sent,
            "cut_short": self.cut_short,
            "submitted": self.submitted,
            "acknowledged": self.acknowledged,
            "without_id": self.without_id,
            "refused": self.refused_in_all(),
            "refused_by_status": refused,
            "throttled": self.throttled,
            "in_doubt": self.in_doubt,
            "resubmitted": self.resubmitted,
            "unanswered": self.unanswered(),
            "receipts": self.receipts,
            "receipts_by_state": states,
            "lost": self.lost(),
            "not_delivered": self.not_delivered,
            "repeated_receipts": self.repeated_receipts,
            "unknown_receipts": self.unknown_receipts,
            "repeated_ids": self.repeated_ids,
            "oversized_ids": self.oversized_ids,
            "late_answers": self.late_answers,
            "mobile_originated": self.mobile_originated,
            "unexpected": self.unexpected,
            "unreadable": self.unreadable,
            "binds_asked": self.binds_asked,
            "binds_ever": self.binds_ever,
            "bound": self.bound,
            "binds_refused": self.binds_refused,
            "disconnects": self.disconnects,
            "elapsed_s": rounded(self.elapsed.as_secs_f64(), 1e6),
            "msgs_per_s": rounded(self.msgs_per_s(), 10.0),
            "response_ms": latencies(&self.latency_us),
            "receipt_ms": latencies(&self.receipt_us),
            "late": self.lateness.late,
            "backlog_max": self.lateness.backlog_max,
            "cpu_us_per_message": self.cpu_us_per_message().map(|cpu| rounded(cpu, 1000.0)),
            "gave_up": self.gave_up,
            "problem": self.problem(),
        })
    }

    /// The states that receipts named.
    fn states(&self) -> impl Iterator<Item = (MessageState, u64)> {
        MessageState::ALL
            .into_iter()
            .map(|state| {
                let count = self.receipts_by_state.get(usize::from(state.octet()));
                (state, count.copied().unwrap_or(0))
            })
            .filter(|(_, count)| *count > 0)
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

fn millis(micros: u64) -> f64 {
    float(micros) / 1000.0
}

fn latencies(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut fields: Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, quantile)| {
            let value = millis(histogram.value_at_quantile(*quantile));
            ((*name).to_owned(), json!(value))
        })
        .collect();
    fields.insert("max".to_owned(), json!(millis(histogram.max())));
    Value::Object(fields)
}

/// `20 000`: digits in threes.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Report {
    /// The table, with a row for what is unusual only where there is something to tell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String, meaning: &str| {
            writeln!(f, "{}", format!("  {name:<22}{value:>14}  {meaning}").trim_end())
        };
        writeln!(f, "run {} at {}", self.run, self.server)?;
        row(f, "messages", grouped(self.messages), "")?;
        row(
            f,
            "acknowledged",
            grouped(self.acknowledged),
            "answered with success",
        )?;
        if self.wants_receipts || self.receipts > 0 {
            row(f, "receipts", grouped(self.receipts), "")?;
            for (state, count) in self.states() {
                row(f, &format!("  {}", state.stat()), grouped(count), "")?;
            }
        }
        if self.wants_receipts {
            row(
                f,
                "lost",
                grouped(self.lost()),
                "acknowledged, and no receipt came",
            )?;
        }
        for (status, count) in &self.refused {
            let name = format!("refused {}", status_name(CommandStatus(*status)));
            row(f, &name, grouped(*count), "")?;
        }
        for (name, count, meaning) in [
            ("unanswered", self.unanswered(), ""),
            ("not sent", self.not_sent, "were due before the end"),
            (
                "throttled",
                self.throttled,
                "answered \"not now\", submitted again",
            ),
            ("in doubt", self.in_doubt, "no answer came; submitted again"),
            ("resubmitted", self.resubmitted, "may have been taken twice"),
            (
                "without id",
                self.without_id,
                "acknowledged, and no receipt can be known",
            ),
            ("repeated receipts", self.repeated_receipts, "delivered again"),
            (
                "unknown receipts",
                self.unknown_receipts,
                "for ids that no answer named, or long finished",
            ),
            ("repeated ids", self.repeated_ids, "given to two messages"),
            ("oversized ids", self.oversized_ids, "longer than 64 octets"),
            (
                "late answers",
                self.late_answers,
                "to submits that were given up before",
            ),
            (
                "mobile originated",
                self.mobile_originated,
                "deliveries that are no receipts",
            ),
            (
                "unexpected answers",
                self.unexpected,
                "to requests that were never made",
            ),
            ("unreadable requests", self.unreadable, ""),
            ("binds refused", self.binds_refused, ""),
            ("disconnects", self.disconnects, "of bound connections"),
            (
                "late",
                self.lateness.late,
                "sent more than 10 ms after they were due",
            ),
            (
                "backlog",
                self.lateness.backlog_max,
                "most that were due and not sent",
            ),
        ] {
            if count > 0 {
                row(f, name, grouped(count), meaning)?;
            }
        }
        row(f, "binds", grouped(self.bound), "accepted")?;
        row(f, "took", format!("{:.1} s", self.elapsed.as_secs_f64()), "")?;
        row(
            f,
            "messages/s",
            format!("{:.0}", self.msgs_per_s()),
            "acknowledged",
        )?;
        for (name, histogram) in [("response", &self.latency_us), ("receipt", &self.receipt_us)] {
            if !histogram.is_empty() {
                let quantiles = QUANTILES
                    .map(|(_, quantile)| format!("{:.1}", millis(histogram.value_at_quantile(quantile))));
                let value = format!("{} ms", quantiles.join(" / "));
                let max = millis(histogram.max());
                writeln!(
                    f,
                    "  {name:<10}{value:>26}  p50 / p90 / p99 / p99.9, longest {max:.1} ms"
                )?;
            }
        }
        if let Some(cpu) = self.cpu_us_per_message() {
            row(
                f,
                "CPU",
                format!("{cpu:.2} us"),
                "of this process for each message",
            )?;
        }
        match self.problem() {
            Some(problem) => write!(f, "problem: {problem}"),
            None => f.write_str("every message was followed to its end"),
        }
    }
}
