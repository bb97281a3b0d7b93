//! The PDU traces that run, as the gate knows them.

use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::Limits;
use tidegate_store::disk::Disk;
use tokio::sync::oneshot;

use super::RUNNING_MAX;
use super::file::{Why, Writer};
use super::seen::{Direction, Seen};
use crate::clock::Now;
use crate::control::Answer;
use crate::gate::Gate;
use crate::links::{LinkId, Peer};

/// Whose links are traced, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOf {
    /// An account's.
    Account(usize),
    /// A carrier's.
    Carrier(usize),
}

impl TraceOf {
    fn is_about(self, peer: Peer) -> bool {
        match (self, peer) {
            (Self::Account(account), Peer::Esme { account: its, .. }) => its == Some(account),
            (Self::Carrier(carrier), Peer::Carrier { carrier: its, .. }) => its == carrier,
            _ => false,
        }
    }
}

/// The same by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Account(SystemId),
    Carrier(String),
}

impl Whose {
    /// The account's name, or the carrier's.
    pub(crate) fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Account(account) => (Some(account.as_str()), None),
            Self::Carrier(carrier) => (None, Some(carrier)),
        }
    }
}

/// A trace that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// For people: from 1 on, of no other trace of this process.
    pub(crate) number: u64,
    pub(crate) of: TraceOf,
    pub(crate) whose: Whose,
    /// The name of its file.
    pub(crate) file: String,
    /// Unix milliseconds.
    pub(crate) begun_ms: u64,
    /// The same, when it ends at the latest; and by the clock that nobody sets.
    pub(crate) until_ms: u64,
    pub(crate) until: Duration,
    /// Octets that its file may have.
    pub(crate) limit: u64,
    pub(crate) writer: Writer,
    /// Who stopped it waits here for what it came to.
    pub(crate) stopped: Option<oneshot::Sender<Answer>>,
}

impl Running {
    fn is_over(&self, now: Now) -> bool {
        now.monotonic >= self.until || self.writer.counts().why().is_some()
    }
}

/// A trace that runs no more, but whose last line is still to be written.
#[derive(Debug)]
pub(crate) struct Finished(pub(crate) Running, pub(crate) Why);

/// All that run.
#[derive(Debug, Default)]
pub struct Traces {
    /// What traffic asks.
    is_on: bool,
    running: Vec<Running>,
    /// How many there have been.
    made: u64,
    /// Whether the gateway ends: what began now would have nobody to end it.
    is_closed: bool,
}

impl Traces {
    /// Whether any runs: all that it costs while none does is to ask this.
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// How many run.
    pub const fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none runs.
    pub const fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.running.len() >= RUNNING_MAX
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Running> {
        self.running.iter()
    }

    /// The number of the next one.
    pub(crate) const fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// Takes one in.
    ///
    /// # Errors
    ///
    /// The trace itself, where the gateway ends.
    pub(crate) fn add(&mut self, running: Running) -> Result<(), Box<Running>> {
        if self.is_closed {
            return Err(Box::new(running));
        }
        self.running.push(running);
        self.is_on = true;
        Ok(())
    }

    /// Marks the one of this number as stopped; what it came to is told when it is taken over. `None` where none of this
    /// number runs, or its end is decided.
    pub(crate) fn stop(&mut self, now: Now, number: u64) -> Option<oneshot::Receiver<Answer>> {
        let mut running = self.running.iter_mut();
        let running = running.find(|running| running.number == number && !running.is_over(now))?;
        let (told, hears) = oneshot::channel();
        running.stopped = Some(told);
        running.writer.counts().end(Why::Stopped, now.unix_ms);
        Some(hears)
    }

    /// From now on none is taken in.
    pub(crate) const fn close(&mut self) {
        self.is_closed = true;
    }

    /// Takes out what is over; all of it where the gateway ends, and then nothing comes after it.
    pub(crate) fn take_over(&mut self, now: Now, is_last: bool) -> Vec<Finished> {
        self.is_closed |= is_last;
        let over = self
            .running
            .extract_if(.., |running| is_last || running.is_over(now));
        let over = over.map(|running| {
            let why = if now.monotonic >= running.until {
                Why::Time
            } else {
                Why::Shutdown
            };
            Finished(running, why)
        });
        let over = over.collect();
        self.is_on = !self.running.is_empty();
        over
    }

    /// Tells of the PDUs in some octets, as far as they are whole and `most` allows; says how many lines had no room.
    pub(crate) fn note(
        &self,
        now: Now,
        link: (u64, Peer),
        direction: Direction,
        octets: &[u8],
        limits: &Limits,
        most: usize,
    ) -> u64 {
        let (number, peer) = link;
        let meant = |running: &&Running| running.of.is_about(peer) && !running.is_over(now);
        if !self.running.iter().any(|running| meant(&running)) {
            return 0;
        }
        let (mut rest, mut dropped) = (octets, 0);
        for _ in 0..most {
            let Some((seen, took)) = Seen::first(rest, limits, now.unix_ms, number, direction) else {
                break;
            };
            for running in self.running.iter().filter(meant) {
                dropped += u64::from(running.writer.give(seen.clone()));
            }
            rest = rest.get(took..).unwrap_or_default();
        }
        dropped
    }
}

impl<D: Disk> Gate<D> {
    /// The PDU traces that run.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Tells of what is about to be written to a link.
    pub(crate) fn note_written(&mut self, now: Now, id: LinkId, octets: &[u8]) {
        if let Some(link) = self.links.get(id) {
            let link = (link.number, link.peer);
            let limits = &self.limits;
            self.tally.trace_dropped +=
                self.traces
                    .note(now, link, Direction::Out, octets, limits, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running(traces: &mut Traces, now: Now) -> Running {
        Running {
            number: traces.next_number(),
            of: TraceOf::Carrier(0),
            whose: Whose::Carrier("c0".to_owned()),
            file: "1-1.jsonl".to_owned(),
            begun_ms: now.unix_ms,
            until_ms: now.unix_ms + 60_000,
            until: now.monotonic + Duration::from_mins(1),
            limit: 1 << 20,
            writer: Writer::start(tempfile::tempfile().unwrap(), &json!({}), 1 << 20).unwrap(),
            stopped: None,
        }
    }

    fn now() -> Now {
        crate::clock::Clock::virtual_from(1_000).now()
    }

    #[test]
    fn none_comes_in_once_all_were_taken_over_for_the_last_time() {
        let (mut traces, now) = (Traces::default(), now());
        let [early, late, later] = [(); 3].map(|()| running(&mut traces, now));
        assert!(traces.add(early).is_ok());
        assert!(traces.take_over(now, false).is_empty() && traces.is_on());
        let over = traces.take_over(now, true);
        assert_eq!((over.len(), over[0].1), (1, Why::Shutdown));
        let given_back = traces.add(late).unwrap_err();
        assert_eq!(given_back.number, 2);
        assert!(traces.is_empty() && !traces.is_on());
        // Who closes it before that gets those that came until then.
        let mut traces = Traces::default();
        traces.close();
        assert!(traces.add(later).is_err());
    }

    #[test]
    fn a_stop_only_marks_and_whoever_takes_over_tells_who_stopped_it() {
        let (mut traces, now) = (Traces::default(), now());
        let one = running(&mut traces, now);
        traces.add(one).unwrap();
        assert!(traces.stop(now, 2).is_none());
        let mut hears = traces.stop(now, 1).unwrap();
        // It is there until it is taken over, and cannot be stopped twice.
        assert!(traces.stop(now, 1).is_none());
        assert_eq!(traces.len(), 1);
        let mut over = traces.take_over(now, true);
        let Finished(mut running, _) = over.pop().unwrap();
        assert!(over.is_empty());
        running
            .stopped
            .take()
            .unwrap()
            .send(Ok(serde_json::Map::new()))
            .unwrap();
        assert!(hears.try_recv().unwrap().is_ok());
        // The reason is the operator's, though the gateway ended it.
        let counts = running.writer.end(Why::Shutdown, now.unix_ms);
        assert_eq!(counts.why(), Some(Why::Stopped));
    }
}
