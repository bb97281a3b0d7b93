//! The PDU traces that run, as the gate knows them.

use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::Limits;
use tidegate_store::disk::Disk;

use super::RUNNING_MAX;
use super::file::{Why, Writer};
use super::seen::{Direction, Seen};
use crate::clock::Now;
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

    pub(crate) fn add(&mut self, running: Running) {
        self.running.push(running);
        self.is_on = true;
    }

    /// Takes the one of this number out.
    pub(crate) fn take(&mut self, number: u64) -> Option<Finished> {
        let place = self.running.iter().position(|running| running.number == number)?;
        let running = self.running.swap_remove(place);
        self.is_on = !self.running.is_empty();
        Some(Finished(running, Why::Stopped))
    }

    /// Takes out what is over; all of it where the gateway ends.
    pub(crate) fn take_over(&mut self, now: Now, is_last: bool) -> Vec<Finished> {
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
