//! Runs of numbers that follow each other (FRD-3), in whatever order they come: of what goes to one prefix, the last four
//! digits of late are remembered, which say nothing without it.

use std::time::Duration;

/// Numbers of a prefix that are remembered; no longer run is seen.
const LATELY_MAX: usize = 32;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lately {
    ends: [Option<u16>; LATELY_MAX],
    next: usize,
    at: Duration,
    is_told: bool,
}

impl Lately {
    /// How many follow each other with this one among them, and whether that it is `limit` or more is news.
    pub(super) fn ask(&mut self, now: Duration, window: Duration, end: u16, limit: u8) -> (u32, bool) {
        if now.saturating_sub(self.at) >= window {
            *self = Self::default();
        }
        let has = |end: &u16| self.ends.contains(&Some(*end));
        let below = (0..end).rev().take_while(&has).count();
        let above = (end.saturating_add(1)..=9_999).take_while(&has).count();
        let run = u32::try_from(below + above + 1).unwrap_or(u32::MAX);
        let is_one = run >= u32::from(limit);
        let is_new = is_one && !self.is_told;
        self.is_told = is_one;
        (run, is_new)
    }

    /// One went there.
    pub(super) fn note(&mut self, now: Duration, end: u16) {
        self.at = now;
        if self.ends.contains(&Some(end)) {
            return;
        }
        if let Some(place) = self.ends.get_mut(self.next) {
            *place = Some(end);
        }
        self.next = (self.next + 1) % LATELY_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn runs(ends: &[u16]) -> Vec<(u32, bool)> {
        let mut lately = Lately::default();
        let one = |(at, end): (usize, &u16)| {
            let now = Duration::from_secs(at as u64);
            let run = lately.ask(now, HOUR, *end, 3);
            lately.note(now, *end);
            run
        };
        ends.iter().enumerate().map(one).collect()
    }

    #[test]
    fn numbers_follow_each_other_in_whatever_order_they_come() {
        assert_eq!(
            runs(&[7, 8, 9, 10]),
            [(1, false), (2, false), (3, true), (4, false)]
        );
        assert_eq!(runs(&[10, 8, 9]), [(1, false), (1, false), (3, true)]);
        assert_eq!(
            runs(&[0, 0, 0, 1]),
            [(1, false), (1, false), (1, false), (2, false)]
        );
        // No number follows the last one, and none that was long ago.
        assert_eq!(runs(&[9_998, 9_999, 0]).last(), Some(&(1, false)));
        let far: Vec<u16> = (0..40).map(|n| n * 2).chain([1, 79]).collect();
        assert_eq!(runs(&far)[40..], [(1, false), (2, false)]);
        let mut lately = Lately::default();
        lately.note(Duration::ZERO, 7);
        assert_eq!(lately.ask(HOUR, HOUR, 8, 2), (1, false));
    }
}
