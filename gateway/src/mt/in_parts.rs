//! A message whose carrier wants its text in parts: cut when it is about to be handed over, each part a leg of its own,
//! and what becomes of them is one outcome.
//!
//! The leg that was accepted stays, without body, as the whole: its DLR, its id and its end are the message's. Its parts
//! are handed over like any leg, on one link, tried again and taken over by other carriers like any, and end without a
//! DLR. What a part's end means for the whole is recorded in the batch that ends the part.

use std::ops::Range;

use bytes::Bytes;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::values::MessageState;
use tidegate_config::PartsOutcome;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::MessageId;
use tidegate_store::names::NameId;
use tidegate_store::progress::{Outcome, Progress};
use tidegate_store::spool::{NewPart, Refused};

use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;
use crate::life::Standing;
use crate::router::CarrierIndex;
use crate::turn::Promise;

/// How long the whole waits beyond the last date that a part can have, and for how long it waits again while one is left.
const AFTER_MS: u64 = 3 * 3_600_000;
/// The last of those dates, behind the end of validity: the longest wait for a receipt that can be configured, 31 days, and
/// a day in which its file is passed.
const LAST_MS: u64 = 32 * 24 * 3_600_000;

/// The parts of a message that was cut, until they are on disk.
#[derive(Clone, Debug)]
pub struct Cut {
    /// For whom.
    carrier: usize,
    /// Whose, and for whom.
    of: (NameId, AddressBuf),
    /// An operator has put the whole in line there, wherever its route leads.
    is_pinned: bool,
    /// In their order, and where their bodies lie in the turn's hot octets; `None` when they are to be read back.
    parts: Vec<(LegId, Option<Range<usize>>)>,
}

impl Cut {
    /// The batch was staged again, and its octets are gone.
    pub(crate) fn without_bodies(mut self) -> Self {
        self.parts.iter_mut().for_each(|(_, body)| *body = None);
        self
    }
}

impl<D: Disk> Gate<D> {
    /// Whether so many more legs may be in memory. Work that goes on may exceed its bound by a quarter; what does not
    /// fit waits in line, uncut.
    pub(crate) fn has_room_for_parts(&self, parts: usize) -> bool {
        let index = self.spool.index();
        index.len() + parts <= index.max().saturating_add(index.max() / 4).max(1_024)
    }

    /// A waiting leg with this body goes on as parts with these, in their order.
    pub(crate) fn go_in_parts(
        &mut self,
        now: Now,
        carrier: usize,
        leg: LegId,
        (body, bodies): (&[u8], &[Vec<u8>]),
    ) -> Result<(), Refused> {
        let Some(found) = self.spool.index().get(leg) else {
            return Ok(());
        };
        let policy = self.parts_outcome(found.account);
        let registered_delivery = found.envelope.registered_delivery;
        let parts: Vec<NewPart<'_>> = (1..)
            .zip(bodies)
            .map(|(part, body)| NewPart {
                // Where one part decides, no receipt of another is waited for.
                registered_delivery: if decides_alone(policy, part, bodies.len()).unwrap_or(true) {
                    registered_delivery
                } else {
                    registered_delivery & !0x03
                },
                body,
            })
            .collect();
        let deadlines = self
            .config
            .carriers
            .iter()
            .map(|carrier| carrier.receipt_deadline);
        let deadline = deadlines.max().unwrap_or_default();
        let due_ms = found
            .envelope
            .expires_ms
            .saturating_add(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
            .saturating_add(AFTER_MS);
        let is_pinned = self.pinned.has(leg);
        let of = (found.account, found.envelope.addresses.destination());
        let legs = self
            .spool
            .cut(now.unix_ms, leg, due_ms, &parts, body, &mut self.rng)?;
        let parts: Vec<_> = legs
            .into_iter()
            .zip(bodies)
            .map(|(leg, body)| (leg, Some(self.hot.keep(body))))
            .collect();
        self.carriers[carrier].cutting.begin(&of, parts.len());
        self.promises.push(Promise::InParts(Cut {
            carrier,
            of,
            is_pinned,
            parts,
        }));
        Ok(())
    }

    /// The parts are on disk: they stand in line where the whole stood.
    pub(crate) fn cut_stored(&mut self, now: Now, cut: Cut, hot: &Bytes) {
        let carrier = &mut self.carriers[cut.carrier];
        carrier.cutting.end(&cut.of, cut.parts.len());
        let to = (carrier.is_up(now) || carrier.removed).then_some(CarrierIndex(cut.carrier));
        for (leg, body) in cut.parts {
            // A copy, since one that waits would hold back all octets of its batch.
            let body = body.and_then(|body| hot.get(body)).map(Bytes::copy_from_slice);
            let body = body.filter(|_| self.hot_octets < super::HOT_MAX);
            if cut.is_pinned {
                self.pinned.set(leg, true, self.spool.index());
            }
            self.place(now, leg, body, to, true);
        }
    }

    /// A part has ended: the whole has come so much further, or to its end.
    pub(crate) fn part_ended(&mut self, now: Now, part: &Leg, note: &ReceiptNote, urgent: bool) {
        let index = self.spool.index();
        let whole = index.find(part.message, part.whole());
        let (Some(whole), Some(number)) = (whole, part.part()) else {
            // Its outcome was known before.
            return;
        };
        let Some(progress) = index.progress(whole) else {
            return;
        };
        let policy = self.parts_outcome(part.account);
        let total = progress.total;
        let ended = progress.ended.saturating_add(1);
        // What nobody knows has not failed.
        let has_failed = badness(note.state) > badness(MessageState::Unknown);
        let is_over = match decides_alone(policy, usize::from(number), usize::from(total)) {
            Some(decides) => decides,
            None => policy == PartsOutcome::All && has_failed,
        };
        let so_far = match progress.so_far.clone().map(ReceiptNote::from) {
            Some(before) if badness(before.state) >= badness(note.state) => before,
            _ => note.clone(),
        };
        if is_over || ended >= total {
            let note = if is_over { note } else { &so_far };
            let message = part.message;
            // A spool that is broken notes nothing, and a restart finds the part as it was.
            let _ = self.end_leg(now, whole, note, urgent);
            if policy == PartsOutcome::All && has_failed {
                self.end_parts(now, message, part.whole());
            }
            return;
        }
        let progress = Progress {
            total,
            ended,
            so_far: Some(so_far.into()),
        };
        let _ = self
            .spool
            .set_progress(now.unix_ms, whole, progress, urgent, &mut self.rng);
    }

    /// Ends a leg that may not leave. Of a text in parts none of the others leaves either, whatever its account's policy.
    pub(crate) fn end_for_all_parts(&mut self, now: Now, leg: LegId, note: &ReceiptNote) {
        let index = self.spool.index();
        let whole = index
            .get(leg)
            .filter(|found| found.part().is_some())
            .and_then(|part| {
                Some((
                    part.message,
                    part.whole(),
                    index.find(part.message, part.whole())?,
                ))
            });
        let Some((message, number, whole)) = whole else {
            return self.end_quietly(now, leg, note);
        };
        self.end_quietly(now, whole, note);
        self.end_parts(now, message, number);
        // One that was being read back, or offered, is none of those.
        self.end_quietly(now, leg, note);
    }

    /// What no carrier has yet of a message whose outcome is known is not sent any more.
    fn end_parts(&mut self, now: Now, message: MessageId, whole: u16) {
        let is_left = |leg: &Leg| Standing::of(leg, now.unix_ms).is_ours();
        let legs = self.spool.index().parts_of(message, whole);
        let left: Vec<LegId> = legs.filter(|(_, leg)| is_left(leg)).map(|(id, _)| id).collect();
        for leg in left {
            self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Deleted));
        }
    }

    /// The date of a whole has come. Its parts have ended by now, or their ends are lost.
    pub(crate) fn parts_overdue(&mut self, now: Now, whole: LegId) {
        let index = self.spool.index();
        let Some(found) = index.get(whole) else { return };
        // Those that lie in files come back when their hour is over; whether one is there nobody knows without a look.
        let last_ms = found.envelope.expires_ms.saturating_add(LAST_MS);
        let may_come = self.spool.waiting().legs > 0 && now.unix_ms < last_ms;
        if may_come || index.parts_of(found.message, found.leg).next().is_some() {
            return self.spool.set_due(whole, now.unix_ms.saturating_add(AFTER_MS));
        }
        let note = index
            .progress(whole)
            .and_then(|progress| progress.so_far.clone())
            .map(ReceiptNote::from)
            .filter(|note| badness(note.state) > badness(MessageState::Unknown))
            .unwrap_or_else(|| ReceiptNote::new(MessageState::Unknown));
        self.end_quietly(now, whole, &note);
    }

    /// Ends a leg that is still ours, parts and all.
    pub(crate) fn end_ours(
        &mut self,
        now: Now,
        leg: LegId,
        note: &ReceiptNote,
        urgent: bool,
    ) -> Result<(), Refused> {
        let Some(found) = self.spool.index().get(leg) else {
            return Ok(());
        };
        let (message, whole) = (found.message, found.whole());
        self.end_leg(now, leg, note, urgent)?;
        self.end_parts(now, message, whole);
        Ok(())
    }

    /// Whether nobody but us has a leg now, nor any of its parts: it can be called back.
    pub(crate) fn is_ours(&self, now: Now, id: LegId, leg: &Leg) -> bool {
        match Standing::of(leg, now.unix_ms) {
            Standing::InParts => {
                let index = self.spool.index();
                let ours = index
                    .parts_of(leg.message, leg.leg)
                    .filter(|(_, part)| Standing::of(part, now.unix_ms).is_ours());
                let total = index.progress(id).map_or(0, |progress| progress.total);
                ours.count() == usize::from(total)
            }
            standing => standing.is_ours(),
        }
    }

    /// Whether a leg is a part that nobody wants any more: its message has ended as a whole.
    pub(crate) fn is_moot(&self, leg: &Leg) -> bool {
        leg.part().is_some()
            && self.parts_outcome(leg.account) == PartsOutcome::All
            && self.spool.index().find(leg.message, leg.whole()).is_none()
    }

    fn parts_outcome(&self, account: NameId) -> PartsOutcome {
        self.account_named(account).map_or(PartsOutcome::All, |account| {
            self.config.accounts[account].long_message_outcome
        })
    }
}

/// Whether this part, from 1 on, alone is the outcome of so many; `None` where all count.
const fn decides_alone(policy: PartsOutcome, part: usize, total: usize) -> Option<bool> {
    match policy {
        PartsOutcome::First => Some(part == 1),
        PartsOutcome::Last => Some(part == total),
        PartsOutcome::All | PartsOutcome::Worst => None,
    }
}

/// How bad an outcome is beside others: what failed for certain is worse than what nobody knows.
const fn badness(state: MessageState) -> u8 {
    match state {
        MessageState::Delivered => 0,
        MessageState::Accepted => 1,
        MessageState::Scheduled | MessageState::Enroute => 2,
        MessageState::Unknown => 3,
        MessageState::Skipped => 4,
        MessageState::Deleted => 5,
        MessageState::Expired => 6,
        MessageState::Undeliverable => 7,
        MessageState::Rejected => 8,
    }
}

impl From<Outcome> for ReceiptNote {
    fn from(outcome: Outcome) -> Self {
        Self {
            state: outcome.state,
            is_final: true,
            err: outcome.err,
            done_ms: outcome.done_ms,
            network_error: outcome.network_error,
        }
    }
}

impl From<ReceiptNote> for Outcome {
    fn from(note: ReceiptNote) -> Self {
        Self {
            state: note.state,
            err: note.err,
            network_error: note.network_error,
            done_ms: note.done_ms,
        }
    }
}
