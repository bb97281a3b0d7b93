//! Reading: the leg that a question means, and records by their place.

use std::io;
use std::sync::Arc;

use tidegate_codec::message_id::MessageIdText;

use crate::disk::{Disk, DiskFile};
use crate::record::{self, Head, Payload, RecordError};
use crate::seal::Purpose;

use super::files::{Files, Run};
use super::format::{LINE_LEN, Line};
use super::{Answer, At, FoundLeg, KeptBody, Place, Question};

/// Records of one run that may be read for one question: what so many legs bear is no leg's id.
const MATCHES_MAX: usize = 16;

impl<D: Disk> Files<D> {
    pub(crate) fn answer(&mut self, question: &Question) -> Answer {
        Answer {
            token: question.token,
            found: self.find(question),
        }
    }

    fn find(&mut self, question: &Question) -> Result<Option<FoundLeg>, RecordError> {
        let mut best: Option<FoundLeg> = None;
        for (id, places) in &question.ids {
            for (hour, hash) in places {
                for at in self.matches(*hour, *hash, MATCHES_MAX) {
                    let Some(line) = self.line(*hour, at).map_err(io_error)? else {
                        continue;
                    };
                    if line.hash != *hash {
                        continue;
                    }
                    match self.leg(*hour, at, Purpose::Dlr) {
                        Ok(leg) if leg.carrier == question.carrier && leg.carrier_id == *id => {
                            // Carriers give ids again: the younger leg is meant.
                            if best.as_ref().is_none_or(|best| best.due_ms < leg.due_ms) {
                                best = Some(leg);
                            }
                        }
                        Ok(_) => {}
                        Err(error @ RecordError::Io(_)) => return Err(error),
                        Err(error) => self.unreadable(*hour, at, error),
                    }
                }
            }
            if best.is_some() {
                break;
            }
        }
        Ok(best)
    }

    /// Records that may have a hash and are not done, so many of each run at most.
    pub(crate) fn matches(&self, hour: u32, hash: u64, max: usize) -> Vec<At> {
        let Some(hour) = self.hours.get(&hour) else {
            return Vec::new();
        };
        let of_run = |(number, run): (&u64, &Run)| {
            let ranks = run.prints.ranks(hash).filter(|rank| !run.done.is_done(*rank));
            let run = *number;
            let found: Vec<At> = ranks.take(max).map(|rank| At { run, rank }).collect();
            found
        };
        hour.runs.iter().flat_map(of_run).collect()
    }

    /// A leg as its record has it.
    pub(crate) fn leg(&mut self, hour: u32, at: At, purpose: Purpose) -> Result<FoundLeg, RecordError> {
        let line = self
            .line(hour, at)
            .map_err(io_error)?
            .ok_or(RecordError::Malformed)?;
        let mut octets = self.record(hour, at, &line)?;
        let key = self.hours.get(&hour).map(|hour| Arc::clone(&hour.key));
        let raw = record::cut(&mut octets).ok_or(RecordError::Malformed)?.0?;
        let head = raw.head;
        let found = raw.open(purpose, |id| key.filter(|key| key.id() == id))?;
        let Payload::Leg(leg) = found else {
            return Err(RecordError::Malformed);
        };
        Ok(FoundLeg {
            id: head.id,
            leg: head.leg,
            account: head.account,
            attempts: leg.attempts,
            due_ms: leg.due_ms,
            carrier: leg.carrier.to_owned(),
            carrier_id: MessageIdText::new(leg.carrier_id).map_err(|_| RecordError::Malformed)?,
            quote: leg.quote,
            body: KeptBody(leg.body.into()),
            envelope: leg.envelope,
            place: Place {
                hour,
                hash: line.hash,
                at: Some(at),
            },
        })
    }

    /// Whose a record is.
    pub(crate) fn head(&mut self, hour: u32, at: At) -> Result<Head, RecordError> {
        let mut octets = self.record_at(hour, at)?;
        Ok(record::cut(&mut octets).ok_or(RecordError::Malformed)?.0?.head)
    }

    /// The octets of a record by its place.
    pub(crate) fn record_at(&mut self, hour: u32, at: At) -> Result<Vec<u8>, RecordError> {
        let line = self
            .line(hour, at)
            .map_err(io_error)?
            .ok_or(RecordError::Malformed)?;
        self.record(hour, at, &line)
    }

    /// A line of a run's table.
    pub(crate) fn line(&mut self, hour: u32, at: At) -> io::Result<Option<Line>> {
        let Some(header) = self.run(hour, at.run).map(|run| &run.header) else {
            return Ok(None);
        };
        if at.rank >= header.count {
            return Ok(None);
        }
        let place = header.table_at() + u64::from(at.rank) * LINE_LEN as u64;
        let mut octets = [0; LINE_LEN];
        let read = self.file(hour, at.run)?.read_at(&mut octets, place)?;
        Ok(Line::read(&octets[..read]))
    }

    fn record(&mut self, hour: u32, at: At, line: &Line) -> Result<Vec<u8>, RecordError> {
        let header = self.run(hour, at.run).map(|run| &run.header);
        let (records_at, len) = header.map_or((0, 0), |header| (header.records_at(), header.records_len));
        let end = line.offset.saturating_add(line.len.into());
        if end > len {
            return Err(RecordError::Malformed);
        }
        let mut octets = vec![0; line.len.into()];
        let file = self.file(hour, at.run).map_err(io_error)?;
        let read = file
            .read_at(&mut octets, records_at + line.offset)
            .map_err(io_error)?;
        if read < octets.len() {
            return Err(RecordError::Malformed);
        }
        Ok(octets)
    }

    pub(crate) fn unreadable(&mut self, hour: u32, at: At, error: RecordError) {
        tracing::error!(hour, run = at.run, rank = at.rank, %error, "a waiting record cannot be read");
        self.damaged += 1;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn io_error(error: io::Error) -> RecordError {
    RecordError::Io(error.kind())
}
