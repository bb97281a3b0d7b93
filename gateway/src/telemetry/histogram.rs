//! Histograms of durations, in fixed space.
//!
//! The exporter's own keep every value until somebody renders; at 300 000 answers a second and no scrape
//! that is no bound (P6). These are a handful of counters each. They are reached through the facade's
//! [`metrics::Histogram`] like any other, and rendered here.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{HistogramFn, Label};

use super::names::Metric;

/// Upper bounds of the buckets, in seconds, as they are printed: from a fast disk's sync to a carrier that
/// is about to be given up.
const BOUNDS: [(&str, Duration); 17] = [
    ("0.0001", Duration::from_micros(100)),
    ("0.00025", Duration::from_micros(250)),
    ("0.0005", Duration::from_micros(500)),
    ("0.001", Duration::from_millis(1)),
    ("0.0025", Duration::from_micros(2_500)),
    ("0.005", Duration::from_millis(5)),
    ("0.01", Duration::from_millis(10)),
    ("0.025", Duration::from_millis(25)),
    ("0.05", Duration::from_millis(50)),
    ("0.1", Duration::from_millis(100)),
    ("0.25", Duration::from_millis(250)),
    ("0.5", Duration::from_millis(500)),
    ("1", Duration::from_secs(1)),
    ("2.5", Duration::from_millis(2_500)),
    ("5", Duration::from_secs(5)),
    ("10", Duration::from_secs(10)),
    ("30", Duration::from_secs(30)),
];

/// The counts of one histogram; the last bucket has no bound.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Buckets {
    fn add(&self, seconds: f64, times: u64) {
        // Negative, infinite or not a number: a fault of the caller that must not end the loop.
        let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let bucket = BOUNDS.partition_point(|(_, bound)| *bound < span);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us.saturating_mul(times), Ordering::Relaxed);
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        self.add(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.add(value, count as u64);
    }
}

/// A histogram with its name and labels.
pub(super) struct Series {
    pub(super) metric: &'static Metric,
    pub(super) labels: Vec<Label>,
    pub(super) buckets: Arc<Buckets>,
}

impl Series {
    pub(super) fn is(&self, metric: &Metric, labels: &[Label]) -> bool {
        self.metric.name == metric.name && self.labels == labels
    }
}

/// Appends all histograms in Prometheus' text form, those of one name together.
pub(super) fn render(all: &[Series], text: &mut String) {
    let mut done: Vec<&str> = Vec::new();
    for first in all {
        let name = first.metric.name;
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let _ = writeln!(text, "# HELP {name} {}", first.metric.help);
        let _ = writeln!(text, "# TYPE {name} histogram");
        for series in all.iter().filter(|series| series.metric.name == name) {
            render_one(series, text);
        }
        text.push('\n');
    }
}

fn render_one(series: &Series, text: &mut String) {
    let name = series.metric.name;
    // Names from the configuration: no quote, backslash or line end can be in a carrier's.
    let labels: Vec<String> = series
        .labels
        .iter()
        .map(|label| format!("{}=\"{}\"", label.key(), label.value()))
        .collect();
    let labels = labels.join(",");
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
    for (bound, bucket) in bounds.zip(&series.buckets.counts) {
        count += bucket.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    let braced = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    let us = series.buckets.sum_us.load(Ordering::Relaxed);
    let _ = writeln!(
        text,
        "{name}_sum{braced} {}.{:06}",
        us / 1_000_000,
        us % 1_000_000
    );
    // The buckets' own sum: a separate counter could disagree with them under load.
    let _ = writeln!(text, "{name}_count{braced} {count}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names::SYNC_SECONDS;

    fn rendered(buckets: Arc<Buckets>) -> String {
        let mut text = String::new();
        let series = Series {
            metric: &SYNC_SECONDS,
            labels: Vec::new(),
            buckets,
        };
        render(&[series], &mut text);
        text
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_buckets_add_up() {
        let buckets = Arc::new(Buckets::default());
        buckets.record(0.001);
        buckets.record(0.001_001);
        buckets.record(99.0);
        buckets.record_many(0.25, 3);
        let text = rendered(buckets);
        for line in [
            "tidegate_spool_sync_seconds_bucket{le=\"0.0005\"} 0",
            "tidegate_spool_sync_seconds_bucket{le=\"0.001\"} 1",
            "tidegate_spool_sync_seconds_bucket{le=\"0.0025\"} 2",
            "tidegate_spool_sync_seconds_bucket{le=\"0.25\"} 5",
            "tidegate_spool_sync_seconds_bucket{le=\"30\"} 5",
            "tidegate_spool_sync_seconds_bucket{le=\"+Inf\"} 6",
            "tidegate_spool_sync_seconds_sum 99.752001",
            "tidegate_spool_sync_seconds_count 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_value_that_is_no_duration_counts_as_none() {
        let buckets = Arc::new(Buckets::default());
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            buckets.record(value);
        }
        let text = rendered(buckets);
        assert!(text.contains("_sum 0.000000"), "{text}");
        assert!(text.contains("le=\"0.0001\"} 3"), "{text}");
    }

    #[test]
    fn printed_bounds_are_the_bounds() {
        for (text, bound) in BOUNDS {
            assert_eq!(Duration::from_secs_f64(text.parse().unwrap()), bound);
        }
        assert!(BOUNDS.is_sorted_by_key(|(_, bound)| *bound));
    }
}
