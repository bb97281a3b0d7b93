//! The story of one MT: submitted, stored, promised, put in line for a carrier.

mod duplicates;
mod in_parts;
mod instead;
mod multi;
mod quote;

pub use duplicates::Duplicates;
pub use in_parts::Cut;
pub(crate) use instead::Replaced;
pub use multi::Multi;
use quote::quote;

use bytes::Bytes;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{DataCoding, InterfaceVersion, MessageState, ReceiptWish};
use tidegate_config::OptedOut;
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::quote::Quote;
use tidegate_store::record::{Envelope, Stage};
use tidegate_store::spool::NewLeg;

use crate::admission::{self, Admitted, Applicant, Submission, admit};
use crate::carrier::{CarrierState, Ready};
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::{AccountState, Gate};
use crate::ids::Id;
use crate::life::is_in_line;
use crate::links::LinkId;
use crate::quota;
use crate::refusal::Refusal;
use crate::router::{CarrierIndex, Facts, Place, Way, World};
use crate::standing::opt_out::OPTED_OUT;
use crate::telemetry::words::SpoolCause;
use crate::turn::{Owed, Promise};

/// Octets of bodies that wait for a carrier in memory; what is beyond is read back from the spool.
pub(crate) const HOT_MAX: usize = 64 << 20;

/// Places of a carrier's queue that may be taken by legs that have ended, beyond as many as there are living
/// ones.
const QUEUE_SLACK: usize = 1024;

impl<D: Disk> Gate<D> {
    /// Takes a submission in: the answer leaves with the turn's commit, a refusal at once.
    pub(crate) fn submit(
        &mut self,
        now: Now,
        link: LinkId,
        account: usize,
        sequence: u32,
        response: CommandId,
        submission: &Submission<'_>,
    ) {
        let owed = Owed {
            link,
            sequence,
            response,
        };
        let version = submission.version;
        let fingerprint = self.fingerprint(account, submission);
        if let Some(id) = fingerprint.and_then(|found| self.duplicates.find(now.monotonic, found)) {
            return self.submitted_before(owed, account, id);
        }
        let admitted = match self.may_submit(now, Some(link), account, submission) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse_submission(owed, account, refusal, version),
        };
        let id = self.new_id(now, account, version);
        let takes_a_place = !admitted.replaces.is_empty();
        match self.store(now, account, submission, admitted, id, 0) {
            Ok(leg) => {
                self.note_fingerprint(now, account, fingerprint, id);
                let body = Some(self.hot.keep(submission.body.0));
                self.promises.push(Promise::Submit {
                    owed,
                    account,
                    leg,
                    id,
                    body,
                    takes_a_place,
                });
            }
            Err(refusal) => {
                self.forget_id(account, id);
                self.refuse_submission(owed, account, refusal, version);
            }
        }
    }

    /// Says no to a whole submission.
    pub(super) fn refuse_submission(
        &mut self,
        owed: Owed,
        account: usize,
        refusal: Refusal,
        version: InterfaceVersion,
    ) {
        self.count_intake(refusal);
        self.submission_failed(owed, account, refusal.status(version));
    }

    /// A whole submission came to nothing.
    pub(crate) fn submission_failed(&mut self, owed: Owed, account: usize, status: CommandStatus) {
        self.log_refused(owed.link, account, status);
        self.accounts[account].tally.refused.add(status);
        self.respond(owed.link, owed.response, owed.sequence, status, |_| {});
    }

    /// Counts what the spool did not take in.
    pub(crate) fn count_intake(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Full => self.tally.intake_refused.add(SpoolCause::Full),
            Refusal::Broken => self.tally.intake_refused.add(SpoolCause::Broken),
            _ => {}
        }
    }

    /// May it come in, and with which dates? Nothing is stored yet.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may_submit(
        &mut self,
        now: Now,
        link: Option<LinkId>,
        account: usize,
        submission: &Submission<'_>,
    ) -> Result<Admitted, Refusal> {
        if self.stopping {
            return Err(Refusal::Broken);
        }
        // Before the rate: what cannot be stored must not cost the account its tokens.
        self.spool.intake()?;
        self.has_room_for(account)?;
        if submission.replace == 1 {
            self.may_change()?;
        }
        self.with_buckets(link, account, |buckets| buckets.fits(now.monotonic, 1))?;
        let Self {
            config,
            accounts,
            carriers,
            mt,
            addressing,
            tables,
            standing,
            spool,
            ..
        } = self;
        let world = World {
            is_up: |CarrierIndex(place): CarrierIndex| carriers[place].is_up(now),
            tables,
        };
        let mut taken_by = None;
        let route = |facts: &Facts<'_>| {
            let way = mt.find(facts, &world);
            taken_by = way.route();
            let CarrierIndex(first) = way.first()?;
            Some(config.carriers[first].default_validity)
        };
        let configured = &config.accounts[account];
        let AccountState { name, calendar, .. } = &mut accounts[account];
        let quota_left = if configured.quota.is_none() {
            u64::MAX
        } else {
            let period = calendar.period(&configured.quota, now);
            quota::left(&configured.quota, spool.used(*name, period))
        };
        let addressing = addressing.of_account(account, &configured.numbering);
        let applicant = Applicant {
            account: configured,
            addressing,
            standing: standing.of_account(account, addressing),
            tables,
            quota_left,
        };
        let admitted = admit(applicant, route, submission, now);
        let mut admitted = admitted.inspect_err(|refusal| self.note_standing(account, *refusal))?;
        if self.is_sender_closed(account, &admitted.source) {
            self.note_standing(account, Refusal::SenderSuspended);
            return Err(Refusal::SenderSuspended);
        }
        self.note_pool_of(now, account, &admitted.source)?;
        let recipient = self.recipient(Some(account), admitted.destination.clone());
        if self.is_restricted(account, &recipient) {
            self.note_standing(account, Refusal::Restricted);
            return Err(Refusal::Restricted);
        }
        let source = || admitted.source.clone();
        if self.has_opted_out(account, source, &recipient, Some(admitted.category)) {
            let refusal = self.opted_out_refusal(account);
            self.note_standing(account, refusal);
            if self.config.accounts[account].opt_outs.opted_out != OptedOut::Accept {
                return Err(refusal);
            }
            admitted.opted_out = true;
        }
        if !admitted.opted_out {
            let asked = self
                .consent_to(account, &recipient, admitted.category)
                .and_then(|()| self.keep_caps(account, submission, &recipient, &mut admitted))
                .and_then(|()| self.put_off(account, &recipient, &mut admitted));
            asked.inspect_err(|refusal| self.note_standing(account, *refusal))?;
        }
        // What is opted out goes nowhere, and an operator's own message says nothing of the account.
        if !admitted.opted_out && link.is_some() {
            let watched = self.watch(now, account, submission, &recipient, &admitted);
            admitted.watched = watched.inspect_err(|refusal| self.note_standing(account, *refusal))?;
            admitted.held = admitted
                .watched
                .as_ref()
                .is_some_and(crate::abuse::Watched::is_held);
        }
        if submission.replace == 1 {
            admitted.replaces = self.replaced_by(account, submission, &admitted)?;
        }
        let country = self.rated_country(account, &admitted);
        self.take_rates(now, link, account, country, admitted.parts)?;
        // Behind the rates: texts cost to be looked at, and whoever is refused for them would have it for nothing.
        if !admitted.opted_out && link.is_some() {
            let screened = self.screen(now, account, submission, &admitted.source);
            admitted.held |= screened.inspect_err(|refusal| self.note_standing(account, *refusal))?;
        }
        // Only what comes in has a turn, each route's own: else what others send, or what is refused, would decide.
        if submission.part_of.is_none()
            && let Some(route) = taken_by
        {
            admitted.lot = self.mt.take_turn(route);
        }
        if admitted.deferred {
            self.accounts[account].tally.deferred += 1;
        }
        if admitted.noted.monitored {
            self.accounts[account].tally.monitored.add(country);
        }
        Ok(admitted)
    }

    /// The country of a recipient, if a rate asks for it, or it is counted.
    fn rated_country(&self, account: usize, admitted: &Admitted) -> Option<admission::Country> {
        let is_rated = self.accounts[account].rates.countries.has_names() || self.country_rates.has_names();
        if !is_rated && !admitted.noted.monitored {
            return None;
        }
        self.country_of(Some(account), &admitted.destination, admitted.place)
    }

    /// The country of a leg's recipient, if it has a rate of its own at this carrier.
    pub(crate) fn rated_at(&self, carrier: usize, leg: &Leg) -> Option<admission::Country> {
        let countries = &self.carriers[carrier].countries;
        if !countries.has_names() {
            return None;
        }
        let destination = leg.envelope.addresses.destination();
        countries.named(self.country_of(self.account_named(leg.account), &destination, None))
    }

    pub(crate) fn country_of(
        &self,
        account: Option<usize>,
        destination: &AddressBuf,
        place: Option<Place>,
    ) -> Option<admission::Country> {
        let look = || Place::of(&self.tables, destination.ton(), destination.as_bytes());
        let there = place.unwrap_or_else(look);
        // An account that writes national numbers says of which country.
        let by_account = || self.addressing_of(account?).country_of(destination);
        there
            .country
            .or_else(by_account)
            .map(tidegate_config::Country::octets)
    }

    /// Stages a leg of a message, and the end of what it stands for.
    pub(crate) fn store(
        &mut self,
        now: Now,
        account: usize,
        submission: &Submission<'_>,
        admitted: Admitted,
        id: Id,
        leg: u16,
    ) -> Result<LegId, Refusal> {
        let envelope = Envelope {
            addresses: Addresses::new(&admitted.source, &admitted.destination),
            form: submission.form,
            interface_version: submission.version.0,
            id_form: id.form,
            registered_delivery: submission.registered_delivery.0,
            priority: submission.priority,
            category: admitted.category.octet() | if admitted.opted_out { OPTED_OUT } else { 0 },
            // What goes nowhere costs nothing (OPT-16).
            parts: if admitted.opted_out { 0 } else { admitted.parts },
            data_coding: submission.data_coding.0,
            lot: admitted.lot,
            service_type: submission.service_type,
            charge: 0,
            accepted_ms: now.unix_ms,
            expires_ms: admitted.expires_ms,
        };
        let quote = self.quote_of(account, submission);
        let period = self.accounts[account]
            .calendar
            .period(&self.config.accounts[account].quota, now);
        let new = NewLeg {
            id: id.message,
            leg,
            account: self.config.accounts[account].system_id,
            envelope,
            due_ms: admitted.due_ms,
            quote,
            body: submission.body.0,
            period,
            takes_a_place: !admitted.replaces.is_empty(),
            held: admitted.held,
        };
        let accepted = self.spool.accept(now.unix_ms, new, &mut self.rng)?;
        if let Some(watched) = &admitted.watched {
            self.note_watched(now, account, watched);
        }
        self.end_replaced(now, admitted.replaces);
        Ok(accepted)
    }

    /// What of it is kept for its receipts: nothing where none can come, or the account does not ask.
    pub(crate) fn quote_of(&self, account: usize, submission: &Submission<'_>) -> Quote {
        let wish = submission.registered_delivery;
        let is_receipted = wish.wish(submission.version) != ReceiptWish::Never || wish.wants_intermediate();
        if !is_receipted || !self.config.accounts[account].receipt_text {
            return Quote::NONE;
        }
        quote(submission.text, submission.data_coding, submission.esm_class)
    }

    /// The message is on disk: answers, and puts it in line unless it is scheduled for later.
    pub(crate) fn submitted(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        leg: LegId,
        id: Id,
        body: Option<Bytes>,
    ) {
        self.answer_id(owed, id);
        self.accepted(now, account, leg, body);
    }

    /// A leg is on disk: it is in line from now on, unless it is scheduled for later.
    pub(crate) fn accepted(&mut self, now: Now, account: usize, leg: LegId, body: Option<Bytes>) {
        self.accounts[account].tally.accepted += 1;
        let is_over = |leg: &Leg| leg.envelope.category & OPTED_OUT != 0;
        if self.spool.index().get(leg).is_some_and(is_over) {
            let status = self.opted_out_refusal(account).status(InterfaceVersion::V3_4);
            let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
            return self.end_quietly(now, leg, &note);
        }
        if self
            .spool
            .index()
            .get(leg)
            .is_some_and(|leg| leg.stage == Stage::Held)
        {
            // Until somebody releases it; its body is read back then.
            self.accounts[account].tally.held += 1;
            return;
        }
        self.set_out(now, leg, body);
    }

    /// Puts a leg in line, with the body that is on disk if it is still at hand, unless it is scheduled for later.
    pub(crate) fn set_out(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        if self
            .spool
            .index()
            .get(leg)
            .is_some_and(|leg| leg.due_ms <= now.unix_ms)
        {
            let body = body.filter(|_| self.hot_octets < HOT_MAX);
            let body = body.map(|body| self.hot.to_wait(body));
            self.line_up(now, leg, body);
        }
    }

    /// The same for a leg whose body was just read back: nothing of its queue is to overtake it again.
    pub(crate) fn line_up_in_front(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        self.place(now, leg, body, None, true);
    }

    /// Puts a leg in line for a carrier: the first of its route that is up, from the one whose turn it is
    /// after the tries that failed.
    pub(crate) fn line_up(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        self.place(now, leg, body, None, false);
    }

    /// Puts a leg in line for the carrier that is given, or that its route gives. One that has gone another way
    /// since it last stood in line is left alone: whoever leased it gives it back, and a receipt deadline stands. What an
    /// operator has put in line for a carrier is so no longer once its route is asked.
    pub(crate) fn place(
        &mut self,
        now: Now,
        leg: LegId,
        body: Option<Bytes>,
        to: Option<CarrierIndex>,
        in_front: bool,
    ) {
        let Some(found) = self.spool.index().get(leg).filter(|leg| is_in_line(leg, now)) else {
            return;
        };
        let (account, priority) = (found.account, found.envelope.priority);
        let (message, number) = (found.message, found.leg);
        let expires_ms = found.envelope.expires_ms;
        let was_pinned = self.pinned.has(leg);
        let is_taken_over = to.is_some_and(|to| self.carriers[to.0].removed);
        // What was meant for a carrier that a reload took away goes to who takes over, or its route says.
        let to = to.and_then(|to| match &self.carriers[to.0] {
            CarrierState {
                removed: true,
                goes_to,
                ..
            } => *goes_to,
            _ => Some(to),
        });
        // Neither an operator nor who takes over for another puts it where it must not go.
        let to = to.filter(|to| !self.is_kept_out(found, *to));
        let chosen = match to {
            Some(to) => Some((to, false)),
            None => self.choose_place(now, found, in_front),
        };
        let country = chosen.and_then(|(CarrierIndex(place), _)| self.rated_at(place, found));
        let is_pinned = to.is_some() && (was_pinned || is_taken_over);
        self.spool.set_due(leg, expires_ms);
        if is_pinned != was_pinned {
            self.pinned.set(leg, is_pinned, self.spool.index());
        }
        let Some((CarrierIndex(place), is_behind)) = chosen else {
            return self.note_unrouted(leg);
        };
        self.hot_octets += body.as_ref().map_or(0, Bytes::len);
        let index = self.spool.index();
        let waiting = &mut self.carriers[place].waiting;
        waiting.has_pinned |= is_pinned;
        let queue = if is_behind {
            waiting.aside_mut()
        } else {
            &mut waiting.queue
        };
        // Legs that expire while their carrier is down end, but stand in its queue until they are met.
        if queue.len() > 2 * index.len() + QUEUE_SLACK {
            let shed = queue.shed(|leg| index.get(leg).is_some());
            self.hot_octets = self.hot_octets.saturating_sub(shed);
        }
        let ready = Ready {
            leg,
            message,
            number,
            body,
        };
        if in_front {
            queue.put_back(account, country, priority, ready);
        } else {
            queue.push_back(account, country, priority, ready);
        }
    }

    /// No route leads to its recipient: it waits for other routes, or the end of its validity.
    fn note_unrouted(&mut self, leg: LegId) {
        let index = self.spool.index();
        if self.unrouted.len() > 2 * index.len() + QUEUE_SLACK {
            self.unrouted.retain(|leg| index.get(*leg).is_some());
            self.unrouted_left = self.unrouted_left.min(self.unrouted.len());
        }
        self.unrouted.push_back(leg);
    }

    /// Looks at some of those to which no route led, after the routes have changed.
    pub(crate) fn route_again(&mut self, now: Now, max: usize) {
        for _ in 0..self.unrouted_left.min(max) {
            self.unrouted_left -= 1;
            if let Some(leg) = self.unrouted.pop_front() {
                self.line_up(now, leg, None);
            }
        }
    }

    /// For which carrier a leg stands in line, and whether behind what is being looked at there: while what waits for
    /// its first carrier is, it goes the way of those before it. `None` when no route leads to the recipient any more.
    fn choose_place(&self, now: Now, leg: &Leg, in_front: bool) -> Option<(CarrierIndex, bool)> {
        let mut in_order = self.in_order(now, leg);
        let first = in_order.next()?;
        let CarrierState { waiting, .. } = &self.carriers[first.0];
        if !in_front && waiting.is_looked_at() {
            return Some((first, true));
        }
        let up = std::iter::once(first)
            .chain(in_order)
            .find(|CarrierIndex(place)| self.carriers[*place].is_up(now));
        Some((up.unwrap_or(first), false))
    }

    /// The first carrier of a leg's route that is up.
    pub(crate) fn choose_up(&self, now: Now, leg: &Leg) -> Option<CarrierIndex> {
        self.in_order(now, leg)
            .find(|CarrierIndex(place)| self.carriers[*place].is_up(now))
    }

    /// Whether any route leads to a leg's recipient.
    pub(crate) fn is_routed(&self, now: Now, leg: &Leg) -> bool {
        self.in_order(now, leg).next().is_some()
    }

    /// Whether this carrier is on a leg's route.
    pub(crate) fn is_routed_to(&self, now: Now, leg: &Leg, carrier: CarrierIndex) -> bool {
        self.in_order(now, leg).any(|there| there == carrier)
    }

    /// Whether a carrier is not for a leg: it is in clear text, and its account asks for TLS 1.3 (SEC-1).
    pub(crate) fn is_kept_out(&self, leg: &Leg, carrier: CarrierIndex) -> bool {
        let account = self.account_named(leg.account);
        let account = account.map(|account| self.config.accounts[account].system_id);
        self.mt.kept_out().keeps(account, carrier)
    }

    /// The carriers of a leg's route, from the one whose turn it is.
    pub(crate) fn in_order(&self, now: Now, leg: &Leg) -> impl Iterator<Item = CarrierIndex> {
        self.way_of(now, leg).in_order(leg.attempts)
    }

    /// The way that a leg's route leads.
    pub(crate) fn way_of(&self, now: Now, leg: &Leg) -> Way<'_> {
        let envelope = &leg.envelope;
        let (source, destination) = (envelope.addresses.source(), envelope.addresses.destination());
        let account = self.account_named(leg.account);
        let facts = Facts {
            account: account.map(|account| self.config.accounts[account].system_id),
            source_ton: source.ton(),
            source: source.as_bytes(),
            destination_ton: destination.ton(),
            destination: destination.as_bytes(),
            service_type: envelope.service_type,
            data_coding: DataCoding(envelope.data_coding),
            category: Category::from_octet(envelope.category),
            place: None,
            parts: envelope.parts,
            lot: envelope.lot,
        };
        let world = World {
            is_up: |CarrierIndex(place): CarrierIndex| self.carriers[place].is_up(now),
            tables: &self.tables,
        };
        self.mt.find(&facts, &world)
    }
}
