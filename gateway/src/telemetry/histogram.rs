//! Histograms of durations and sizes, in fixed space.
//!
//! The exporter's own keep every value until somebody renders; at 300 000 answers a second and no scrape
//! that is no bound (P6), and it takes values one by one only. Here the loop counts into a [`Spread`], plain
//! numbers, and what was added since the last publishing goes over in one step for each bucket.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Label;

use super::names::Metric;

/// Buckets of each histogram that have a bound; one more has none.
const BOUNDED: usize = 18;

/// What a histogram counts by.
pub trait Scale: 'static {
    /// Upper bounds of the buckets: as they are printed, in the metric's unit, and as they are counted. They grow.
    const BOUNDS: &'static [(&'static str, u64); BOUNDED];
    /// Decimals that a value has when it is printed in the metric's unit.
    const DECIMALS: usize;
}

/// Durations in microseconds: from a fast disk's sync to a carrier that is about to be given up.
#[derive(Clone, Copy, Debug)]
pub struct Short;

impl Scale for Short {
    const BOUNDS: &'static [(&'static str, u64); BOUNDED] = &[
        ("0.0001", 100),
        ("0.00025", 250),
        ("0.0005", 500),
        ("0.001", 1_000),
        ("0.0025", 2_500),
        ("0.005", 5_000),
        ("0.01", 10_000),
        ("0.025", 25_000),
        ("0.05", 50_000),
        ("0.1", 100_000),
        ("0.25", 250_000),
        ("0.5", 500_000),
        ("1", 1_000_000),
        ("2.5", 2_500_000),
        ("5", 5_000_000),
        ("10", 10_000_000),
        ("30", 30_000_000),
        ("60", 60_000_000),
    ];
    const DECIMALS: usize = 6;
}

/// Durations in milliseconds: from a message that goes out at once to a receipt after the weekend.
#[derive(Clone, Copy, Debug)]
pub struct Long;

impl Scale for Long {
    const BOUNDS: &'static [(&'static str, u64); BOUNDED] = &[
        ("0.005", 5),
        ("0.01", 10),
        ("0.025", 25),
        ("0.05", 50),
        ("0.1", 100),
        ("0.25", 250),
        ("0.5", 500),
        ("1", 1_000),
        ("2.5", 2_500),
        ("5", 5_000),
        ("10", 10_000),
        ("30", 30_000),
        ("60", 60_000),
        ("300", 300_000),
        ("1800", 1_800_000),
        ("7200", 7_200_000),
        ("43200", 43_200_000),
        ("259200", 259_200_000),
    ];
    const DECIMALS: usize = 3;
}

/// How many there are of something.
#[derive(Clone, Copy, Debug)]
pub struct Sizes;

impl Scale for Sizes {
    const BOUNDS: &'static [(&'static str, u64); BOUNDED] = &[
        ("1", 1),
        ("2", 2),
        ("4", 4),
        ("8", 8),
        ("16", 16),
        ("32", 32),
        ("64", 64),
        ("128", 128),
        ("256", 256),
        ("512", 512),
        ("1024", 1_024),
        ("2048", 2_048),
        ("4096", 4_096),
        ("8192", 8_192),
        ("16384", 16_384),
        ("32768", 32_768),
        ("65536", 65_536),
        ("131072", 131_072),
    ];
    const DECIMALS: usize = 0;
}

/// What the loop counts of a histogram.
#[derive(Debug)]
pub struct Spread<S> {
    counts: [u64; BOUNDED + 1],
    sum: u64,
    scale: PhantomData<S>,
}

impl<S> Clone for Spread<S> {
    fn clone(&self) -> Self {
        Self {
            counts: self.counts,
            sum: self.sum,
            scale: PhantomData,
        }
    }
}

impl<S> Default for Spread<S> {
    fn default() -> Self {
        Self {
            counts: [0; BOUNDED + 1],
            sum: 0,
            scale: PhantomData,
        }
    }
}

impl<S: Scale> Spread<S> {
    /// Counts one value, in the unit that the scale counts by.
    pub fn add(&mut self, value: u64) {
        self.counts[S::BOUNDS.partition_point(|(_, bound)| *bound < value)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The value below which this share lies of what was added since `old`, between the bounds of its bucket as if values
    /// were even there, in the unit that the scale counts by; `None` where nothing was added. What is beyond all bounds
    /// counts as the last of them.
    pub fn quantile_since(&self, old: &Self, share: f64) -> Option<f64> {
        let added = self
            .counts
            .iter()
            .zip(&old.counts)
            .map(|(new, old)| new.saturating_sub(*old));
        let total: u64 = added.clone().sum();
        if total == 0 {
            return None;
        }
        let float = |number: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts and bounds far below 2^53")]
            let float = number as f64;
            float
        };
        let (sought, mut below, mut floor) = (share * float(total), 0.0, 0.0);
        for ((_, bound), count) in S::BOUNDS.iter().zip(added) {
            let (bound, count) = (float(*bound), float(count));
            if count > 0.0 && below + count >= sought {
                return Some(floor + (bound - floor) * ((sought - below) / count).clamp(0.0, 1.0));
            }
            below += count;
            floor = bound;
        }
        Some(floor)
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Spread<Short> {
    /// Counts a duration.
    pub fn took(&mut self, span: Duration) {
        self.add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What was published of one histogram; the last bucket has no bound.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [AtomicU64; BOUNDED + 1],
    sum: AtomicU64,
}

/// The handle of a histogram.
#[derive(Clone, Debug)]
pub struct Histogram<S> {
    buckets: Arc<Buckets>,
    scale: PhantomData<S>,
}

impl<S: Scale> Histogram<S> {
    pub(super) const fn new(buckets: Arc<Buckets>) -> Self {
        Self {
            buckets,
            scale: PhantomData,
        }
    }

    /// Publishes what was added since `old`.
    pub fn publish(&self, new: &Spread<S>, old: &Spread<S>) {
        for ((bucket, new), old) in self.buckets.counts.iter().zip(&new.counts).zip(&old.counts) {
            // Most are what they were: reading costs less than an addition that other threads must see.
            if new != old {
                bucket.fetch_add(new - old, Ordering::Relaxed);
            }
        }
        self.buckets.sum.fetch_add(new.sum - old.sum, Ordering::Relaxed);
    }
}

/// A histogram with its name and labels.
pub(super) struct Series {
    pub(super) metric: &'static Metric,
    pub(super) labels: Vec<Label>,
    pub(super) bounds: &'static [(&'static str, u64); BOUNDED],
    pub(super) decimals: usize,
    pub(super) buckets: Arc<Buckets>,
}

impl Series {
    pub(super) fn new<S: Scale>(metric: &'static Metric, labels: Vec<Label>) -> Self {
        Self {
            metric,
            labels,
            bounds: S::BOUNDS,
            decimals: S::DECIMALS,
            buckets: Arc::default(),
        }
    }
}

/// All histograms, those of one name together; by their names and the order in which they came.
#[derive(Default)]
pub(super) struct Histograms(Vec<Vec<Series>>);

impl Histograms {
    /// The buckets of a histogram: made at the first question, the same from then on.
    pub(super) fn buckets<S: Scale>(&mut self, metric: &'static Metric, labels: Vec<Label>) -> Arc<Buckets> {
        let family = self
            .0
            .iter()
            .position(|family| family[0].metric.name == metric.name);
        let Some(family) = family else {
            let series = Series::new::<S>(metric, labels);
            let buckets = Arc::clone(&series.buckets);
            self.0.push(vec![series]);
            return buckets;
        };
        let family = &mut self.0[family];
        if let Some(series) = family.iter().find(|series| series.labels == labels) {
            return Arc::clone(&series.buckets);
        }
        let series = Series::new::<S>(metric, labels);
        let buckets = Arc::clone(&series.buckets);
        family.push(series);
        buckets
    }

    /// Appends all of them in Prometheus' text form.
    pub(super) fn render(&self, text: &mut String) {
        for family in &self.0 {
            let Metric { name, help, .. } = family[0].metric;
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
            for series in family {
                render_one(series, text);
            }
            text.push('\n');
        }
    }
}

fn render_one(series: &Series, text: &mut String) {
    let name = series.metric.name;
    let labels: Vec<String> = series
        .labels
        .iter()
        .map(|label| format!("{}=\"{}\"", label.key(), escaped(label.value())))
        .collect();
    let labels = labels.join(",");
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    let bounds = series.bounds.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
    for (bound, bucket) in bounds.zip(&series.buckets.counts) {
        count += bucket.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    let braced = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    let sum = series.buckets.sum.load(Ordering::Relaxed);
    let _ = match series.decimals {
        0 => writeln!(text, "{name}_sum{braced} {sum}"),
        decimals => {
            let unit = 10_u64.pow(u32::try_from(decimals).unwrap_or_default());
            let (whole, rest) = (sum / unit, sum % unit);
            writeln!(text, "{name}_sum{braced} {whole}.{rest:0decimals$}")
        }
    };
    // The buckets' own sum: a separate counter could disagree with them under load.
    let _ = writeln!(text, "{name}_count{braced} {count}");
}

/// A label's value as it stands between quotes: a system_id may hold any printable octet.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names::{ACCOUNT_RECEIPT_SECONDS, BATCH_RECORDS, SYNC_SECONDS};

    fn rendered<S: Scale>(metric: &'static Metric, labels: Vec<Label>, spread: &Spread<S>) -> String {
        let mut all = Histograms::default();
        let buckets = all.buckets::<S>(metric, labels);
        Histogram::new(buckets).publish(spread, &Spread::default());
        let mut text = String::new();
        all.render(&mut text);
        text
    }

    fn assert_lines(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_quantile_lies_where_its_values_do_and_only_new_ones_count() {
        let mut spread = Spread::<Long>::default();
        (0..1_000).for_each(|_| spread.add(200_000));
        let old = spread.clone();
        assert_eq!(spread.quantile_since(&old, 0.5), None);
        (0..100).for_each(|_| spread.add(7));
        assert_eq!(spread.quantile_since(&old, 0.5), Some(7.5));
        assert_eq!(spread.quantile_since(&old, 1.0), Some(10.0));
        (0..100).for_each(|_| spread.add(u64::MAX / 1_000));
        assert_eq!(spread.quantile_since(&old, 0.99), Some(259_200_000.0));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_buckets_add_up() {
        let mut spread = Spread::<Short>::default();
        for us in [1_000, 1_001, 99_000_000, 250_000, 250_000, 250_000] {
            spread.took(Duration::from_micros(us));
        }
        assert_eq!(spread.count(), 6);
        let lines = [
            "# TYPE tidegate_spool_sync_seconds histogram",
            "tidegate_spool_sync_seconds_bucket{le=\"0.0005\"} 0",
            "tidegate_spool_sync_seconds_bucket{le=\"0.001\"} 1",
            "tidegate_spool_sync_seconds_bucket{le=\"0.0025\"} 2",
            "tidegate_spool_sync_seconds_bucket{le=\"0.25\"} 5",
            "tidegate_spool_sync_seconds_bucket{le=\"60\"} 5",
            "tidegate_spool_sync_seconds_bucket{le=\"+Inf\"} 6",
            "tidegate_spool_sync_seconds_sum 99.752001",
            "tidegate_spool_sync_seconds_count 6",
        ];
        assert_lines(&rendered(&SYNC_SECONDS, Vec::new(), &spread), &lines);
    }

    #[test]
    fn sizes_are_whole_and_names_are_escaped() {
        let mut spread = Spread::<Sizes>::default();
        [1, 3, 200_000].into_iter().for_each(|size| spread.add(size));
        let lines = [
            "tidegate_spool_batch_records_bucket{le=\"2\"} 1",
            "tidegate_spool_batch_records_bucket{le=\"131072\"} 2",
            "tidegate_spool_batch_records_sum 200004",
        ];
        assert_lines(&rendered(&BATCH_RECORDS, Vec::new(), &spread), &lines);
        let mut spread = Spread::<Long>::default();
        spread.add(1_050);
        let labels = vec![Label::new("account", "a\"b\\")];
        let line = "tidegate_account_receipt_seconds_sum{account=\"a\\\"b\\\\\"} 1.050";
        assert_lines(&rendered(&ACCOUNT_RECEIPT_SECONDS, labels, &spread), &[line]);
    }

    #[test]
    fn only_what_was_added_is_published() {
        let (mut all, mut old) = (Histograms::default(), Spread::<Short>::default());
        let histogram = Histogram::new(all.buckets::<Short>(&SYNC_SECONDS, Vec::new()));
        let mut new = old.clone();
        for _ in 0..3 {
            new.add(7);
            histogram.publish(&new, &old);
            old = new.clone();
        }
        let mut text = String::new();
        all.render(&mut text);
        assert_lines(&text, &["tidegate_spool_sync_seconds_count 3"]);
        assert_lines(&text, &["tidegate_spool_sync_seconds_sum 0.000021"]);
    }

    #[test]
    fn a_value_beyond_all_bounds_counts_and_does_not_overflow() {
        let mut spread = Spread::<Short>::default();
        spread.took(Duration::MAX);
        spread.took(Duration::MAX);
        assert_eq!((spread.count(), spread.sum), (2, u64::MAX));
    }

    #[test]
    fn printed_bounds_are_the_bounds() {
        fn check<S: Scale>() {
            let unit = 10_f64.powi(i32::try_from(S::DECIMALS).unwrap());
            for (text, bound) in S::BOUNDS {
                let printed: f64 = text.parse().unwrap();
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let counted = *bound as f64 / unit;
                assert!((printed - counted).abs() < 1e-9, "{text}");
            }
            assert!(S::BOUNDS.is_sorted_by_key(|(_, bound)| *bound));
        }
        check::<Short>();
        check::<Long>();
        check::<Sizes>();
    }
}
