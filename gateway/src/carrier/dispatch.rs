//! Handing legs over to a carrier: who goes next, on which link, and in which words.

use std::time::Duration;

use bytes::Bytes;
use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::record::{Form, Stage};
use tidegate_store::spool::Target;

use super::cuts::Cuts;
use super::read_ahead::ReadAhead;
use super::submit::{asked_for, write_submit};
use super::{Popped, READ_BACK_MAX, Ready};
use crate::admission::Country;
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::{Gate, at};
use crate::life::is_in_line;
use crate::links::{LinkId, Ticket};
use crate::mt::HOT_MAX;
use crate::plain::plain;
use crate::refusal::Refusal;
use crate::router::CarrierIndex;
use crate::standing::caps::Capped;
use crate::wording::{Rules, Wording, word};

impl<D: Disk> Gate<D> {
    /// Hands over what waits, as far as links have room and the carriers' rates allow.
    pub(crate) fn dispatch_all(&mut self, now: Now) {
        // What a broken spool hands over it could not note, and would hand over again after the restart.
        if self.stopping || self.spool.is_broken() {
            return;
        }
        for carrier in 0..self.carriers.len() {
            self.dispatch(now, carrier);
        }
    }

    pub(super) fn dispatch(&mut self, now: Now, carrier: usize) {
        if self.carriers[carrier].halted.is_some() {
            return;
        }
        let (mut sent, mut ahead) = (false, ReadAhead::default());
        let mut cuts = Cuts::new(self, carrier);
        while !self.carriers[carrier].waiting.queue.is_empty()
            && self.spool.has_batch_room()
            && self.spool.has_progress_room()
        {
            let state = &mut self.carriers[carrier];
            let Some(link) = state.next_link(&self.links) else {
                break;
            };
            // Only what is written costs the carrier's rate, not what is read back first or has ended.
            if state.flow.ready_at() > now.monotonic {
                break;
            }
            // And only that counts as its account's share. Whether a long text goes as it is, and a part at all, shows later.
            let index = self.spool.index();
            let parts = |leg, has_body: bool| match index.get(leg) {
                Some(leg) if has_body && !cuts.shows_later(leg) => leg.parts(),
                _ => 0,
            };
            let countries = &state.countries;
            let is_open = |country| {
                countries.ready_at(country) <= now.monotonic && !ahead.is_enough(country, countries)
            };
            let popped = state.waiting.queue.pop(&self.weights, is_open, parts);
            let Some(Popped { leg, body, country }) = popped else {
                break;
            };
            let Some((account, later, part_of)) =
                index.get(leg).filter(|leg| is_in_line(leg, now)).map(|leg| {
                    (
                        leg.account,
                        cuts.shows_later(leg),
                        leg.part().map(|_| leg.message),
                    )
                })
            else {
                self.hot_octets = self.hot_octets.saturating_sub(body.map_or(0, |body| body.len()));
                continue;
            };
            match body {
                Some(body) => {
                    // The parts of a text go on one link, in their order; while that is full others go on.
                    let link = match part_of {
                        Some(message) => state.link_of(message, &self.links),
                        None => index
                            .get(leg)
                            .is_none_or(|leg| state.cutting.lets_go(leg))
                            .then_some(link),
                    };
                    let offered = match link {
                        Some(link) => self.offer(now, carrier, (link, country), leg, body, cuts.room > 0),
                        None => Offered::Held(body),
                    };
                    let queue = &mut self.carriers[carrier].waiting.queue;
                    match offered {
                        Offered::Sent(parts) if later => queue.charge(parts, &self.weights),
                        Offered::Sent(_) | Offered::Over => {}
                        Offered::Cut(parts) => cuts.room = cuts.room.saturating_sub(parts),
                        Offered::Held(body) => {
                            self.hot_octets = self.hot_octets.saturating_sub(body.len());
                            self.put_back(carrier, leg, Some(body));
                            self.carriers[carrier].waiting.queue.pass_over(account, country);
                        }
                    }
                    sent = true;
                }
                None if self.reading + self.wanted.len() < READ_BACK_MAX => {
                    self.spool.set_leased(leg, true);
                    self.wanted.push(Target::Leg(leg));
                    ahead.note(country);
                    self.note_reading(carrier, leg);
                }
                // As much as may be is being read back; the rest keeps its place, and those go on whose bodies are here.
                None => {
                    self.put_back(carrier, leg, None);
                    self.carriers[carrier].waiting.queue.pass_over(account, country);
                }
            }
        }
        self.carriers[carrier].waiting.queue.resume();
        if sent {
            self.carriers[carrier].next_link += 1;
        }
    }

    /// A carrier did not take a leg: back to its place in the queue, or to another carrier if this one is down.
    pub(super) fn give_back(&mut self, now: Now, carrier: usize, leg: LegId, body: Bytes) {
        let state = &self.carriers[carrier];
        let to = if state.is_up(now) {
            None
        } else if state.removed {
            Some(CarrierIndex(carrier))
        } else {
            self.spool
                .index()
                .get(leg)
                .and_then(|found| self.choose_up(now, found))
        };
        let here = CarrierIndex(carrier);
        let is_elsewhere = |found: &Leg| {
            !self.pinned.has(leg) && self.is_routed(now, found) && !self.is_routed_to(now, found, here)
        };
        // A reload may have taken this carrier off its route since.
        if to.is_none() && !self.spool.index().get(leg).is_some_and(is_elsewhere) {
            return self.put_back(carrier, leg, Some(body));
        }
        self.spool.set_leased(leg, false);
        self.pinned.set(leg, false, self.spool.index());
        let body = (self.hot_octets < HOT_MAX).then_some(body);
        self.place(now, leg, body, to, false);
    }

    /// Whether the carrier was asked for a receipt of this leg.
    pub(super) fn is_receipt_asked_for(&self, carrier: usize, leg: LegId) -> bool {
        self.spool.index().get(leg).is_some_and(|found| {
            let request = self.config.carriers[carrier].request_receipts;
            let version = InterfaceVersion(found.envelope.interface_version);
            asked_for(request, found.envelope.registered_delivery).wish(version) != ReceiptWish::Never
        })
    }

    /// Puts a leg back into its carrier's queue, where it stood.
    pub(super) fn put_back(&mut self, carrier: usize, leg: LegId, body: Option<Bytes>) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let (account, priority) = (found.account, found.envelope.priority);
        let (message, number) = (found.message, found.leg);
        let country = self.rated_at(carrier, found);
        self.carriers[carrier].waiting.has_pinned |= self.pinned.has(leg);
        self.spool.set_leased(leg, false);
        let body = body.filter(|_| self.hot_octets < HOT_MAX);
        self.hot_octets += body.as_ref().map_or(0, Bytes::len);
        self.carriers[carrier].waiting.queue.put_back(
            account,
            country,
            priority,
            Ready {
                leg,
                message,
                number,
                body,
            },
        );
    }

    /// A body that was read back: back in front, with it.
    pub(crate) fn leg_read(&mut self, now: Now, leg: LegId, body: Bytes) {
        let stood_at = self.reading_for.remove(&leg);
        // A late answer may have said meanwhile that a carrier has it.
        let Some(found) = self
            .spool
            .index()
            .get(leg)
            .filter(|leg| leg.stage == Stage::Waiting)
        else {
            return;
        };
        let is_kept = |to: &CarrierIndex| {
            let state = &self.carriers[to.0];
            // Who takes over for one that is gone, `place` knows.
            state.goes_to.is_some() || (self.pinned.has(leg) && state.is_up(now))
        };
        // Read for somebody else, while a carrier has it, or is about to.
        if stood_at.is_none() && found.leased {
            return;
        }
        let kept = stood_at.filter(is_kept);
        let to = kept.or_else(|| self.choose_up(now, found));
        // Nobody takes it now: then it need not fill memory either.
        let body = Some(body).filter(|_| to.is_some() || self.hot_octets < HOT_MAX);
        self.spool.set_leased(leg, false);
        if kept.is_none() {
            self.pinned.set(leg, false, self.spool.index());
        }
        self.place(now, leg, body, to, true);
    }

    /// A body is read back for a carrier. What an operator has put in line there goes there, whatever the route says, and
    /// where another has taken over, to that.
    fn note_reading(&mut self, carrier: usize, leg: LegId) {
        if self.reading_for.len() >= 2 * READ_BACK_MAX {
            let index = self.spool.index();
            self.reading_for
                .retain(|leg, _| index.get(*leg).is_some_and(|leg| leg.leased));
        }
        self.reading_for.insert(leg, CarrierIndex(carrier));
    }

    /// Writes a leg to a link, or its text in parts into the next batch. `body` was counted as hot memory while it waited,
    /// and is until the answer.
    fn offer(
        &mut self,
        now: Now,
        carrier: usize,
        (id, country): (LinkId, Option<Country>),
        leg: LegId,
        body: Bytes,
        may_cut: bool,
    ) -> Offered {
        let Some(found) = self.spool.index().get(leg) else {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            return Offered::Over;
        };
        if self.is_moot(found) {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Deleted));
            return Offered::Over;
        }
        // It was not in line when its account was closed: read back, in doubt, put off.
        let account = self.account_named(found.account);
        if account.is_some_and(|account| self.accounts[account].is_closed) {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.end_for_all_parts(now, leg, &ReceiptNote::new(MessageState::Deleted));
            return Offered::Over;
        }
        // It stood in line before its account asked for more, or the carrier for less.
        if self.is_kept_out(found, CarrierIndex(carrier)) {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.spool.set_leased(leg, false);
            let body = (self.hot_octets < HOT_MAX).then_some(body);
            self.place(now, leg, body, None, false);
            return Offered::Over;
        }
        let (form, expires_ms) = (found.envelope.form, found.envelope.expires_ms);
        let parts = found.parts();
        let (sender, is_retry) = (found.account, found.attempts > 0);
        if expires_ms <= now.unix_ms {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
            return Offered::Over;
        }
        let leaving = self.leaving(found);
        if let Some((account, refusal)) = self.stands_in_the_way(now, &leaving) {
            let status = refusal.status(InterfaceVersion(found.envelope.interface_version));
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            if let Some(account) = account {
                self.note_standing(account, refusal);
            }
            let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
            self.end_for_all_parts(now, leg, &note);
            return Offered::Over;
        }
        if let Some(opens_ms) = self.opens_later(now, &leaving) {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.defer(now, leg, opens_ms);
            return Offered::Over;
        }
        let counted = match self.capped(now, &leaving, &body) {
            Capped::May(counted) => counted,
            Capped::Later(until_ms) => {
                self.hot_octets = self.hot_octets.saturating_sub(body.len());
                self.defer(now, leg, until_ms);
                return Offered::Over;
            }
            Capped::Never(account) => {
                let status = Refusal::OverCap.status(InterfaceVersion(found.envelope.interface_version));
                self.hot_octets = self.hot_octets.saturating_sub(body.len());
                self.note_standing(account, Refusal::OverCap);
                let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
                self.end_for_all_parts(now, leg, &note);
                return Offered::Over;
            }
        };
        let config = &self.config.carriers[carrier];
        let registered = asked_for(config.request_receipts, found.envelope.registered_delivery);
        let Some(link) = self.links.get_mut(id) else {
            return Offered::Held(body);
        };
        let version = link.session.version();
        let with_tlvs = version.has_tlvs();
        // A peer that knows no SAR parameters gets parts with a header, whatever it takes otherwise.
        let wording = if config.texts.is_as_received() && with_tlvs {
            Wording::AsItCame
        } else {
            let account = self.account_by_name.get(&found.account);
            let rules = Rules {
                texts: config.texts,
                account: account
                    .map(|place| self.config.accounts[*place].default_alphabet)
                    .unwrap_or_default(),
                version,
                reference: self.next_reference,
            };
            word(&rules, form, &body)
        };
        let rewritten = match wording {
            Wording::AsItCame => None,
            Wording::Rewritten(octets) => Some(octets),
            Wording::Cut(_) if !may_cut => return Offered::Held(body),
            Wording::Cut(bodies) => return self.offer_parts(now, carrier, leg, body, &bodies),
        };
        let remaining = Duration::from_millis(expires_ms - now.unix_ms);
        let ticket = Ticket::Leg(leg, body.clone());
        let octets = rewritten.as_deref().unwrap_or(&body);
        let words = self
            .addressing
            .towards(carrier, &config.writing, &found.envelope.addresses);
        // 3.3 has no data_sm, and room for a short text only (smpp-session.md §7).
        let (command, unwritable) = match form {
            Form::Sm => {
                let fits = with_tlvs || plain(form, octets).is_some();
                (CommandId::SUBMIT_SM, (!fits).then_some(CommandStatus::RINVMSGLEN))
            }
            Form::DataSm => (
                CommandId::DATA_SM,
                (!with_tlvs).then_some(CommandStatus::RINVCMDID),
            ),
        };
        let words = match (words, unwritable) {
            (Ok(words), None) => words,
            (Err(status), _) | (Ok(_), Some(status)) => {
                self.hot_octets = self.hot_octets.saturating_sub(body.len());
                let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
                self.end_quietly(now, leg, &note);
                return Offered::Over;
            }
        };
        let sent = link
            .session
            .request(at(now), command, ticket, &mut link.out, |out| {
                write_submit(out, form, octets, &words, registered, remaining, version);
            });
        match sent {
            Ok(_) => {
                self.links.touch(id);
                self.spool.set_leased(leg, true);
                let state = &mut self.carriers[carrier];
                state.flow.take(now.monotonic, parts);
                state.countries.book(now.monotonic, country, parts);
                state.tally.offered += 1;
                if is_retry {
                    state.tally.retries += 1;
                    if let Some(place) = self.account_by_name.get(&sender) {
                        self.accounts[*place].tally.retries += 1;
                    }
                }
                if let Some(counted) = counted {
                    self.count_sent(now, &counted);
                }
                Offered::Sent(parts)
            }
            Err(_) => Offered::Held(body),
        }
    }

    /// Stages the parts of a text in place of the whole; they stand in line once they are on disk.
    fn offer_parts(
        &mut self,
        now: Now,
        carrier: usize,
        leg: LegId,
        body: Bytes,
        bodies: &[Vec<u8>],
    ) -> Offered {
        if !self.has_room_for_parts(bodies.len()) {
            return Offered::Held(body);
        }
        self.next_reference = self.next_reference.wrapping_add(1);
        match self.go_in_parts(now, carrier, leg, (&body, bodies)) {
            Ok(()) => {
                self.hot_octets = self.hot_octets.saturating_sub(body.len());
                self.carriers[carrier].tally.cut += 1;
                Offered::Cut(bodies.len())
            }
            // A restart finds the whole.
            Err(_) => Offered::Held(body),
        }
    }
}

/// What became of a leg that a link had room for.
enum Offered {
    /// It was written, so many parts of it.
    Sent(u32),
    /// It goes on in so many parts, which stand in line once they are on disk.
    Cut(usize),
    /// It cannot be written now: it keeps its place, and its account lets others go first.
    Held(Bytes),
    /// It has ended, or goes another way.
    Over,
}
