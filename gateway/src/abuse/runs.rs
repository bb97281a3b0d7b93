//! Runs of numbers that follow each other (FRD-3), in whatever order they come: of what goes to one prefix, the last four
//! digits of late are remembered, which say nothing without it.

use std::time::Duration;

/// Numbers of a prefix that are remembered; no longer run is seen.
const LATELY_MAX: usize = 32;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lately {
    ends: [Option<End>; LATELY_MAX],
    next: usize,
    /// When there was a run last; the next one is news only where that is long ago.
    told: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    digits: u16,
    /// When something went there last, in seconds.
    at_s: u32,
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl Lately {
    /// How many follow each other with this one among them, and whether that it is `limit` or more is news.
    pub(super) fn ask(&mut self, now: Duration, window: Duration, end: u16, limit: u8) -> (u32, bool) {
        let (now_s, window_s) = (seconds(now), seconds(window));
        let is_over = |end: &mut End| now_s.saturating_sub(end.at_s) >= window_s;
        for end in &mut self.ends {
            end.take_if(is_over);
        }
        let has = |digits: &u16| self.ends.iter().flatten().any(|end| end.digits == *digits);
        let below = (0..end).rev().take_while(&has).count();
        let above = (end.saturating_add(1)..=9_999).take_while(&has).count();
        let run = u32::try_from(below + above + 1).unwrap_or(u32::MAX);
        let is_one = run >= u32::from(limit);
        let is_lasting = self.told.is_some_and(|at| now.saturating_sub(at) < window);
        if is_one {
            self.told = Some(now);
        }
        (run, is_one && !is_lasting)
    }

    /// One went there.
    pub(super) fn note(&mut self, now: Duration, end: u16) {
        let at_s = seconds(now);
        let mut known = self.ends.iter_mut().flatten();
        if let Some(known) = known.find(|known| known.digits == end) {
            known.at_s = at_s;
            return;
        }
        if let Some(place) = self.ends.get_mut(self.next) {
            *place = Some(End { digits: end, at_s });
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

    #[test]
    fn each_number_is_forgotten_by_itself_and_a_run_is_news_once_an_hour() {
        let mut lately = Lately::default();
        let at = |minute: u64| Duration::from_secs(60 * minute);
        // Something goes to the prefix all the time, and 7 was an hour ago by then.
        for (minute, end) in [(0, 7), (30, 100), (59, 200)] {
            lately.note(at(minute), end);
        }
        assert_eq!(lately.ask(at(60), HOUR, 8, 2), (1, false));
        // Neighbours and others by turns.
        for minute in 60..90 {
            let is_first = minute == 60;
            assert_eq!(lately.ask(at(minute), HOUR, 201, 2), (2, is_first));
            lately.note(at(minute), 200);
            assert_eq!(lately.ask(at(minute), HOUR, 5_000, 2), (1, false));
        }
        lately.note(at(148), 200);
        assert_eq!(lately.ask(at(148), HOUR, 201, 2), (2, false));
        lately.note(at(208), 200);
        assert_eq!(lately.ask(at(208), HOUR, 201, 2), (2, true));
    }
}
