//! What is counted of people's requests.

use metrics::Gauge;

use super::{Telemetry, names};
use crate::subjects::{RequestRow, STATES};

/// Handles of the metrics of people's requests; what each counts stands in [`names`].
pub struct SubjectMetrics {
    states: Vec<(&'static str, Gauge)>,
    due_seconds: Gauge,
}

impl SubjectMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let state = |state| {
            let gauge = telemetry.gauge(&names::SUBJECT_REQUESTS, &[("state", state)]);
            (state, gauge)
        };
        Self {
            states: STATES.into_iter().map(state).collect(),
            due_seconds: telemetry.gauge(&names::SUBJECT_REQUEST_DUE, &[]),
        }
    }

    /// How open requests stand at a time, unix milliseconds.
    pub fn publish(&self, open: &[&RequestRow], now_ms: u64) {
        for (state, gauge) in &self.states {
            let count = open.iter().filter(|row| row.state() == *state).count();
            gauge.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
        self.due_seconds.set(nearest_s(open, now_ms));
    }
}

/// Seconds until the nearest date of a request that is not answered: less than 0 behind it, without end where there is none.
fn nearest_s(open: &[&RequestRow], now_ms: u64) -> f64 {
    let waiting = open.iter().filter(|row| row.waits());
    let due_ms = waiting.map(|row| row.due_ms).min();
    let seconds = |ms: u64| f64::from(u32::try_from(ms / 1_000).unwrap_or(u32::MAX));
    due_ms.map_or(f64::INFINITY, |due_ms| match due_ms.checked_sub(now_ms) {
        Some(ms) => seconds(ms),
        None => -seconds(now_ms - due_ms).max(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::some_row;

    #[test]
    fn the_nearest_date_counts_and_one_that_is_over_is_below_nothing() {
        let near = |open: &[&RequestRow]| nearest_s(open, 100_000);
        assert!(near(&[]).is_infinite());
        let due = |due_ms, answered_ms| RequestRow {
            due_ms,
            answered_ms,
            ended: None,
            ..some_row()
        };
        let (far, next) = (due(900_000, None), due(160_000, None));
        let (answered, over) = (due(1_000, Some(500)), due(99_999, None));
        assert!((near(&[&far, &next, &answered]) - 60.0).abs() < 0.1);
        assert!(near(&[&far, &over]) < 0.0, "by a millisecond, too");
    }
}
