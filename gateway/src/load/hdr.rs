//! The latencies as a log of HDR histograms, one a second for each kind: the interval log that
//! HdrHistogram's own tools read (V2, compressed, in microseconds, tags `response` and `receipt`).

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::clock::Now;
use crate::load::report::latencies;

/// How long an interval is, at least; it ends with the first wake after that.
const INTERVAL: Duration = Duration::from_secs(1);
/// The kinds of latency, in the order of the histograms.
const TAGS: [&str; 2] = ["response", "receipt"];

/// A log that is being written.
pub(super) struct HdrLog {
    file: BufWriter<File>,
    serializer: V2DeflateSerializer,
    began: Duration,
    since: Duration,
    /// From submit to answer, and from submit to receipt.
    pub(super) response: Histogram<u64>,
    pub(super) receipt: Histogram<u64>,
}

impl HdrLog {
    pub(super) fn create(path: &Path, now: Now) -> io::Result<Self> {
        let mut log = Self {
            file: BufWriter::new(File::create(path)?),
            serializer: V2DeflateSerializer::new(),
            began: now.monotonic,
            since: now.monotonic,
            response: latencies()?,
            receipt: latencies()?,
        };
        log.file.write_all(b"#[Histogram log format version 1.2]\n")?;
        IntervalLogWriterBuilder::new()
            .add_comment("latencies in microseconds")
            .with_start_time(UNIX_EPOCH + Duration::from_millis(now.unix_ms))
            .with_base_time(UNIX_EPOCH + Duration::from_millis(now.unix_ms))
            .begin_log_with(&mut log.file, &mut log.serializer)?;
        log.file.write_all(
            b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        )?;
        Ok(log)
    }

    /// Whether an interval is over.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= INTERVAL
    }

    /// The log, with what was recorded since the last time written to it.
    pub(super) fn written(mut self, now: Duration) -> io::Result<Self> {
        self.write(now)?;
        Ok(self)
    }

    fn write(&mut self, now: Duration) -> io::Result<()> {
        let start = self.since.saturating_sub(self.began);
        let length = now.saturating_sub(self.since);
        let builder = IntervalLogWriterBuilder::new();
        let mut writer = builder.begin_log_with(&mut self.file, &mut self.serializer)?;
        for (tag, histogram) in TAGS.into_iter().zip([&mut self.response, &mut self.receipt]) {
            if !histogram.is_empty() {
                writer
                    .write_histogram(histogram, start, length, Tag::new(tag))
                    .map_err(|error| io::Error::other(error.to_string()))?;
                histogram.reset();
            }
        }
        self.since = now;
        Ok(())
    }

    /// Writes the rest.
    pub(super) fn finish(mut self, now: Duration) -> io::Result<()> {
        self.write(now)?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_reads_back_interval_by_interval() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latencies.hlog");
        let at = |seconds| Duration::from_secs(seconds);
        let now = Now {
            monotonic: at(5),
            unix_ms: 1_795_521_630_000,
        };
        let mut log = HdrLog::create(&path, now).unwrap();
        log.response.record(1500).unwrap();
        assert!(!log.is_due(at(5)) && log.is_due(at(6)));
        log.write(at(6)).unwrap();
        log.response.record(2500).unwrap();
        log.receipt.record(9000).unwrap();
        log.finish(at(7)).unwrap();
        let text = std::fs::read(&path).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&text).map(Result::unwrap).collect();
        let read: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some((
                    interval.tag().unwrap().as_str(),
                    interval.start_timestamp().as_secs(),
                    interval.duration().as_secs(),
                    (interval.max() / 100.0).round(),
                )),
                _ => None,
            })
            .collect();
        assert_eq!(
            read,
            [
                ("response", 0, 1, 15.0),
                ("response", 1, 1, 25.0),
                ("receipt", 1, 1, 90.0)
            ]
        );
        assert!(
            entries
                .iter()
                .any(|entry| matches!(entry, LogEntry::StartTime(_)))
        );
    }
}
