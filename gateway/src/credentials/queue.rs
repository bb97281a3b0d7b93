//! Who is checked when: a machine without clock, threads or passwords.
//!
//! `J` is a check to be made, `W` someone who waits for its outcome. In good times checks run in the order
//! they came. When the oldest has waited longer than clients do, most of those in front have given up or
//! are about to, and serving them in order would serve nobody; then the newest runs first.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Bounds, Credential, REMEMBERED};

/// An HMAC of a credential.
pub(super) type Tag = [u8; 32];

pub(super) struct Queue<J, W> {
    bounds: Bounds,
    /// By number, which is the order of arrival. Those that run stay until they are done.
    jobs: BTreeMap<u64, Job<J, W>>,
    by_tag: HashMap<Tag, u64>,
    /// Credentials that were right, and until when that holds. At most two for each account, since no
    /// account has more hashes; those of before a reload fall away in their time.
    remembered: HashMap<Tag, (Duration, Credential)>,
    waiting: usize,
    running: usize,
    next: u64,
}

struct Job<J, W> {
    tag: Tag,
    /// `None` while it runs.
    work: Option<J>,
    /// Oldest first; never empty while the job waits.
    waiters: Vec<Waiter<W>>,
}

struct Waiter<W> {
    number: u64,
    since: Duration,
    who: W,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    job: u64,
    waiter: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Right, as was found out not long ago.
    Remembered(Credential),
    /// The outcome will come.
    Waiting(Ticket),
    /// No place.
    Full,
}

impl<J, W> Queue<J, W> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            jobs: BTreeMap::new(),
            by_tag: HashMap::new(),
            remembered: HashMap::new(),
            waiting: 0,
            running: 0,
            next: 0,
        }
    }

    /// Other bounds, for those who come from now on.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Someone comes with a credential. `work` is asked for only if nobody waits for the same.
    pub(super) fn enter(&mut self, now: Duration, tag: Tag, who: W, work: impl FnOnce() -> J) -> Entered {
        if let Some((until, by)) = self.remembered.get(&tag)
            && now < *until
        {
            return Entered::Remembered(*by);
        }
        if self.waiting >= self.bounds.queue {
            return Entered::Full;
        }
        let number = self.next;
        self.next += 1;
        self.waiting += 1;
        let job = *self.by_tag.entry(tag).or_insert(number);
        let waiter = Waiter {
            number,
            since: now,
            who,
        };
        self.jobs
            .entry(job)
            .or_insert_with(|| Job {
                tag,
                work: Some(work()),
                waiters: Vec::with_capacity(1),
            })
            .waiters
            .push(waiter);
        Entered::Waiting(Ticket { job, waiter: number })
    }

    /// Someone goes, or has got the outcome. A check that nobody waits for any more is not made. What falls
    /// away is handed back, to be dropped elsewhere.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<(W, Option<J>)> {
        let job = self.jobs.get_mut(&ticket.job)?;
        let place = job
            .waiters
            .iter()
            .position(|waiter| waiter.number == ticket.waiter)?;
        let who = job.waiters.remove(place).who;
        self.waiting -= 1;
        if !job.waiters.is_empty() || job.work.is_none() {
            return Some((who, None));
        }
        let job = self.jobs.remove(&ticket.job)?;
        self.by_tag.remove(&job.tag);
        Some((who, job.work))
    }

    /// The next check, if one may run. [`Queue::done`] must follow.
    pub(super) fn next(&mut self, now: Duration) -> Option<(u64, J)> {
        if self.running >= self.bounds.workers.max(1) {
            return None;
        }
        let mut waiting = self.jobs.iter().filter(|(_, job)| job.work.is_some());
        let (oldest, job) = waiting.next()?;
        let since = job.waiters.first().map_or(now, |waiter| waiter.since);
        let number = if now.saturating_sub(since) > self.bounds.wait {
            // All are looked at, but only once for each check, which takes a thousand times as long.
            let newest = |job: &Job<J, W>| job.waiters.last().map(|waiter| waiter.number);
            let newer = waiting.max_by_key(|(_, job)| newest(job));
            newer
                .filter(|(_, other)| newest(other) > newest(job))
                .map_or(*oldest, |(number, _)| *number)
        } else {
            *oldest
        };
        let work = self.jobs.get_mut(&number)?.work.take()?;
        self.running += 1;
        Some((number, work))
    }

    /// A check is done. Who waited for it, to be told; those who come now count as new.
    pub(super) fn done(&mut self, now: Duration, number: u64, right: Option<Credential>) -> Vec<W> {
        let Some(job) = self.jobs.remove(&number) else {
            return Vec::new();
        };
        self.running -= 1;
        self.waiting -= job.waiters.len();
        self.by_tag.remove(&job.tag);
        self.remembered.retain(|_, (until, _)| now < *until);
        if let Some(by) = right {
            self.remembered.insert(job.tag, (now + REMEMBERED, by));
        }
        job.waiters.into_iter().map(|waiter| waiter.who).collect()
    }

    /// Those who wait, for checks that run included.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Credential = Credential(7);
    const WAIT: Duration = Duration::from_secs(5);

    fn queue(places: usize) -> Queue<u8, &'static str> {
        Queue::new(Bounds {
            queue: places,
            wait: WAIT,
            workers: 1,
        })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Enters with a credential that is told apart by one octet.
    fn enter(queue: &mut Queue<u8, &'static str>, second: u64, credential: u8, who: &'static str) -> Entered {
        queue.enter(at(second), [credential; 32], who, || credential)
    }

    fn waits(entered: Entered) -> Ticket {
        match entered {
            Entered::Waiting(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_credential_is_computed_once_for_all_who_wait() {
        let mut queue = queue(10);
        for who in ["a", "b", "c"] {
            waits(enter(&mut queue, 0, 1, who));
        }
        let (number, work) = queue.next(at(0)).unwrap();
        assert_eq!(work, 1);
        // One who comes while it runs shares it as well.
        waits(enter(&mut queue, 0, 1, "d"));
        assert!(queue.next(at(0)).is_none());
        assert_eq!(queue.done(at(1), number, None), ["a", "b", "c", "d"]);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.next(at(1)).is_none(), "nothing is left to compute");
    }

    #[test]
    fn what_was_right_is_remembered_for_five_minutes_and_what_was_wrong_is_not() {
        let mut queue = queue(10);
        for (credential, right) in [(1, Some(BY)), (2, None)] {
            waits(enter(&mut queue, 0, credential, "a"));
            let (number, _) = queue.next(at(0)).unwrap();
            queue.done(at(0), number, right);
        }
        assert_eq!(enter(&mut queue, 299, 1, "b"), Entered::Remembered(BY));
        let wrong = waits(enter(&mut queue, 299, 2, "b"));
        queue.leave(wrong);
        waits(enter(&mut queue, 300, 1, "c"));
    }

    #[test]
    fn the_bound_counts_people_and_not_checks() {
        let mut queue = queue(3);
        let first = waits(enter(&mut queue, 0, 1, "a"));
        waits(enter(&mut queue, 0, 1, "b"));
        waits(enter(&mut queue, 0, 2, "c"));
        assert_eq!(enter(&mut queue, 0, 1, "d"), Entered::Full);
        assert_eq!(enter(&mut queue, 0, 3, "d"), Entered::Full);
        queue.leave(first);
        waits(enter(&mut queue, 0, 3, "d"));
        assert_eq!(queue.waiting(), 3);
    }

    #[test]
    fn a_check_whose_people_have_gone_is_not_made() {
        let mut queue = queue(10);
        let tickets = ["a", "b"].map(|who| waits(enter(&mut queue, 0, 1, who)));
        waits(enter(&mut queue, 0, 2, "c"));
        assert_eq!(queue.leave(tickets[0]), Some(("a", None)));
        assert_eq!(queue.leave(tickets[1]), Some(("b", Some(1))));
        assert_eq!(queue.leave(tickets[1]), None, "nobody goes twice");
        assert_eq!(queue.next(at(0)).map(|(_, work)| work), Some(2));
        // And who comes back begins anew.
        waits(enter(&mut queue, 0, 1, "a"));
        assert_eq!(queue.waiting(), 2);
    }

    #[test]
    fn leaving_a_check_that_runs_does_not_end_it() {
        let mut queue = queue(10);
        let ticket = waits(enter(&mut queue, 0, 1, "a"));
        let (number, _) = queue.next(at(0)).unwrap();
        assert_eq!(queue.leave(ticket), Some(("a", None)));
        assert!(queue.done(at(0), number, Some(BY)).is_empty());
        assert_eq!(enter(&mut queue, 1, 1, "a"), Entered::Remembered(BY));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn in_good_times_the_first_comes_first_and_in_bad_ones_the_last() {
        let mut queue = queue(10);
        for credential in 1..=4 {
            waits(enter(&mut queue, u64::from(credential), credential, "x"));
        }
        // Oldest since second 1: at 6 it has waited 5 s, which is still what clients wait.
        let (number, work) = queue.next(at(6)).unwrap();
        assert_eq!(work, 1);
        queue.done(at(6), number, None);
        // Somebody joins an old check: that makes it the newest.
        waits(enter(&mut queue, 7, 3, "y"));
        for (second, expected) in [(8, 3), (8, 4), (7, 2)] {
            let (number, work) = queue.next(at(second)).unwrap();
            assert_eq!(work, expected);
            queue.done(at(second), number, None);
        }
    }

    #[test]
    fn no_more_run_at_a_time_than_there_are_workers() {
        let mut queue = Queue::new(Bounds {
            queue: 10,
            wait: WAIT,
            workers: 2,
        });
        for credential in 1..=3 {
            waits(enter(&mut queue, 0, credential, "x"));
        }
        let (first, _) = queue.next(at(0)).unwrap();
        let (_, _) = queue.next(at(0)).unwrap();
        assert!(queue.next(at(0)).is_none());
        queue.done(at(0), first, None);
        assert_eq!(queue.next(at(0)).map(|(_, work)| work), Some(3));
    }
}
