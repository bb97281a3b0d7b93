//! The keeper's side of the way to the history: bodies are read back from their segments, and all is filed.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_core::CryptoRng;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::history::{self, Plan};
use crate::index::Location;
use crate::message_id::MessageId;
use crate::record::{Direction, Kind, Payload, RecordError};
use crate::waiting::{KeptBody, Order};

use super::chores::ChoreError;
use super::filing::{Filed, Source, Unfiled};
use super::keeper::{Keeper, Reader};
use super::search::EndFound;

/// Octets of records that are read before they are filed, and one record more.
const BUNCH_OCTETS: u64 = 1 << 20;

/// What was read of a leg that is to be filed.
enum Read {
    /// Its body; of one that memory knows.
    Body(Vec<u8>),
    /// All of it.
    Whole(history::Finished, Vec<u8>),
    /// Nothing.
    Lost,
}

impl<D: Disk> Keeper<D> {
    /// Gives legs to the history in their order. Behind one that it could not write it is given the rest of that batch only:
    /// what it syncs next are whole batches.
    pub(super) fn file(
        &mut self,
        items: Vec<Unfiled>,
        plan: &Plan,
        give_up: bool,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Filed {
        let mut left = VecDeque::from(items);
        let (mut done, mut unreadable, mut stopped) = (Vec::new(), 0, None);
        let mut failed: Option<(u64, ChoreError)> = None;
        'bunches: while !left.is_empty() && stopped.is_none() {
            let mut bunch = self.read_bunch(&mut left, give_up, &mut unreadable, &mut stopped);
            while let Some((unfiled, read)) = bunch.pop_front() {
                if failed.as_ref().is_some_and(|(batch, _)| *batch != unfiled.batch) {
                    stopped = None;
                    bunch.push_front((unfiled, read));
                    bunch
                        .into_iter()
                        .rev()
                        .for_each(|(unfiled, _)| left.push_front(unfiled));
                    break 'bunches;
                }
                done.push((unfiled.batch, unfiled.owed_in));
                let (finished, body) = match (&unfiled.source, &read) {
                    (Source::Known { finished, .. }, Read::Body(body)) => (finished, body),
                    (_, Read::Whole(finished, body)) => (finished, body),
                    _ => continue,
                };
                let body = (!body.is_empty()).then_some(body.as_slice());
                let filed = self
                    .history
                    .file(finished, body, plan, &mut self.ring, now_ms, rng);
                if let Err(error) = filed {
                    failed.get_or_insert((unfiled.batch, ChoreError::history(error)));
                }
            }
        }
        Filed {
            done,
            left: left.into(),
            unreadable,
            stopped,
            result: failed.map_or(Ok(()), |(_, error)| Err(error)),
        }
    }

    /// Reads what the next legs need; it ends before one that the disk does not give now.
    fn read_bunch(
        &self,
        left: &mut VecDeque<Unfiled>,
        give_up: bool,
        unreadable: &mut u64,
        stopped: &mut Option<RecordError>,
    ) -> VecDeque<(Unfiled, Read)> {
        let mut reader = self.reader();
        let (mut bunch, mut octets) = (VecDeque::new(), 0);
        while octets < BUNCH_OCTETS
            && let Some(unfiled) = left.pop_front()
        {
            let read = match reader.read(&unfiled) {
                Ok((read, lost)) => {
                    *unreadable += lost;
                    read
                }
                Err(error @ RecordError::Io(_)) if !give_up => {
                    *stopped = Some(error);
                    left.push_front(unfiled);
                    break;
                }
                Err(error) => {
                    *unreadable += 1;
                    tracing::error!(segment = unfiled.owed_in, %error, "a record that the history is to hold cannot be read");
                    match unfiled.source {
                        Source::Known { .. } => Read::Body(Vec::new()),
                        Source::Found(_) => Read::Lost,
                    }
                }
            };
            octets += match &read {
                Read::Body(body) | Read::Whole(_, body) => body.len() as u64,
                Read::Lost => 0,
            };
            bunch.push_back((unfiled, read));
        }
        bunch
    }

    /// Reads the bodies of legs that move to waiting files and are to take them along; says how many cannot be had.
    pub(super) fn fetch_bodies(&self, order: &mut Order, give_up: bool) -> Result<u64, RecordError> {
        let mut lost = 0;
        let Order::Move { items, .. } = order else {
            return Ok(lost);
        };
        let mut reader = self.reader();
        for item in items.iter_mut().filter(|item| item.keeps_body) {
            let whose = (item.leg.message, item.leg.leg);
            let body = reader.kept_body(item.leg.at, whose, give_up, &mut lost)?;
            item.body = KeptBody(body.into());
        }
        Ok(lost)
    }
}

impl<D: Disk> Reader<'_, D> {
    /// Reads what a leg's source does not say, and how much of that could not be.
    fn read(&mut self, unfiled: &Unfiled) -> Result<(Read, u64), RecordError> {
        match &unfiled.source {
            Source::Known { at, .. } if !unfiled.with_body || at.segment() == 0 => {
                Ok((Read::Body(Vec::new()), 0))
            }
            Source::Known { finished, at, .. } => {
                let body = self.body_of(*at, (finished.id, finished.leg))?;
                Ok((Read::Body(body), 0))
            }
            Source::Found(end) => {
                let (finished, mut body, lost) = self.read_found(end)?;
                if !unfiled.with_body {
                    body.clear();
                }
                Ok((Read::Whole(finished, body), lost))
            }
        }
    }

    fn read_found(&mut self, end: &EndFound) -> Result<(history::Finished, Vec<u8>, u64), RecordError> {
        let whose = (end.id, end.leg, end.account);
        let at = end.at.ok_or(RecordError::Malformed)?;
        let (mut finished, body) = self.open_at(at, |head, payload| {
            let (end, leg) = match (payload, end.end) {
                (Payload::Leg(leg), Some(end)) => (end, leg),
                (Payload::Finished(finished), None) => (finished.end, finished.leg),
                _ => return Err(RecordError::Malformed),
            };
            if (head.id, head.leg, head.account) != whose {
                return Err(RecordError::Malformed);
            }
            let finished = history::Finished {
                id: head.id,
                leg: head.leg,
                account: head.account,
                direction: match head.kind {
                    Kind::Received => Direction::Mo,
                    _ => Direction::Mt,
                },
                envelope: leg.envelope,
                end,
                carrier: Arc::from(leg.carrier),
                carrier_id: MessageIdText::new(leg.carrier_id).unwrap_or_default(),
            };
            Ok((finished, leg.body.to_vec()))
        })?;
        // Without what the carrier said of it the rest is as true.
        let lost = match end.handed_over.map(|at| self.carrier_of(at, (end.id, end.leg))) {
            None => 0,
            Some(Ok((carrier, carrier_id))) => {
                (finished.carrier, finished.carrier_id) = (carrier, carrier_id);
                0
            }
            Some(Err(_)) => 1,
        };
        Ok((finished, body, lost))
    }

    fn carrier_of(
        &mut self,
        at: Location,
        whose: (MessageId, u16),
    ) -> Result<(Arc<str>, MessageIdText), RecordError> {
        self.open_at(at, |head, payload| match payload {
            Payload::HandedOver(step) if (head.id, head.leg) == whose => Ok((
                Arc::from(step.carrier),
                MessageIdText::new(step.carrier_id).unwrap_or_default(),
            )),
            _ => Err(RecordError::Malformed),
        })
    }
}
