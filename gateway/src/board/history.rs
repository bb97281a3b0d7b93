//! The last hour, a point every ten seconds; and of each account and carrier one a minute.

use std::sync::OnceLock;
use std::time::Duration;

use serde::Serialize;

use super::ring::Ring;

/// Points of the last hour.
pub const POINTS: usize = 360;
/// From point to point.
pub const POINT_EVERY: Duration = Duration::from_secs(10);
/// Minutes of the last hour.
pub(super) const MINUTES: usize = 60;

/// What was in the ten seconds before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Point {
    /// Unix time in seconds.
    pub(super) at_s: u64,
    /// Messages accepted, a second.
    pub(super) accepted: f32,
    /// Messages that ended delivered, a second.
    pub(super) delivered: f32,
    /// Messages refused, a second.
    pub(super) refused: f32,
    /// MOs that ESMEs took, a second.
    pub(super) mo: f32,
    /// Messages that waited for carriers at its end.
    pub(super) queue: usize,
    /// Opt-outs that came.
    pub(super) opt_outs: u64,
}

/// The last hour as it is shown.
#[derive(Debug, Default, Serialize)]
pub struct History {
    /// From point to point, in seconds, if the loop was never late.
    pub(super) every_s: u64,
    /// From the oldest to the newest.
    pub(super) points: Vec<Point>,
    /// Messages accepted a second, by account and minute, in the order of the configuration.
    pub(super) accounts: Vec<Vec<f32>>,
    /// Messages handed over a second, by carrier and minute.
    pub(super) carriers: Vec<Vec<f32>>,
    #[serde(skip)]
    pub(super) json: OnceLock<String>,
}

/// A rate for each of the last sixty minutes.
pub(super) type Minutes = Ring<f32, MINUTES>;

impl History {
    pub(super) fn new(
        points: &Ring<Point, POINTS>,
        accounts: Vec<Vec<f32>>,
        carriers: Vec<Vec<f32>>,
    ) -> Self {
        Self {
            every_s: POINT_EVERY.as_secs(),
            points: points.iter().copied().collect(),
            accounts,
            carriers,
            json: OnceLock::new(),
        }
    }
}
