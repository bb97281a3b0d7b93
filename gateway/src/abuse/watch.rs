//! What the gate asks of the watch for abuse, and tells it: of messages that come in, of those that a receipt ends, and of
//! accounts that are to be suspended or are restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_codec::address::{AddressBuf, Ton};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_config::{AbuseAction, AccountState, Country};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;

use super::{
    AccountWatch, Cases, DAY, Found, LOG_EVERY, Signal, TRIPS_MAX, UNDECIDED_MAX, Watched, is_watched, split,
};
use crate::admission::{Admitted, Submission};
use crate::clock::Now;
use crate::gate::Gate;
use crate::number::{SHORT_CODE_MAX, plan};
use crate::orders::Sender;
use crate::refusal::Refusal;
use crate::standing::Recipient;
use crate::telemetry::words::{AbuseRule, Word as _};

/// Whether the digits of a recipient are those of an international number, of which country or of none.
fn is_international(to: &Recipient) -> bool {
    let address = to.address();
    let is_written_so = address.ton() == Ton::INTERNATIONAL || address.as_bytes().starts_with(b"+");
    to.subscriber().is_some() || (is_written_so && address.as_bytes().len() > SHORT_CODE_MAX)
}

impl<D: Disk> Gate<D> {
    /// Whether a message may come in as far as signs of abuse go, and what is to be noted of it once it has.
    ///
    /// # Errors
    ///
    /// [`Refusal::Pumping`], also of what is to be held where no more may be.
    pub(crate) fn watch(
        &mut self,
        now: Now,
        account: usize,
        submission: &Submission<'_>,
        to: &Recipient,
        admitted: &Admitted,
    ) -> Result<Option<Watched>, Refusal> {
        if !is_watched(&self.config.accounts[account].abuse, Some(admitted.category)) {
            return Ok(None);
        }
        let config = Arc::clone(&self.config);
        let rules = &config.accounts[account].abuse;
        let of = &self.accounts[account].abuse;
        if of.is_tripped {
            return Err(Refusal::Pumping);
        }
        let country = self.watched_country(account, to, admitted.place);
        let person = to.person();
        let believed = self.at_believed(now);
        let usual = &mut self.accounts[account].abuse.usual;
        let number = is_international(to).then_some(&*person);
        let found = usual.ask(now.monotonic, rules, number, country);
        let source = &admitted.source;
        let is_over = found.iter().any(|found| found.action.refuses());
        let mut is_held = found.iter().any(|found| found.action == AbuseAction::Hold);
        for found in found {
            self.signalled(believed, (account, source), found, &person, country);
        }
        if is_over {
            return Err(Refusal::Pumping);
        }
        let whose = (account, self.accounts[account].abuse.epoch);
        let mut watched = self
            .abuse
            .watched(whose, &person, country, rules, submission.part_of);
        let now = believed;
        let Some(found) = self.abuse.ask(now, rules, &mut watched) else {
            return Err(Refusal::Pumping);
        };
        is_held |= found.iter().any(|found| found.action == AbuseAction::Hold);
        let is_over = found.iter().any(|found| found.action.refuses());
        for found in found {
            self.signalled(now, (account, source), found, &person, country);
        }
        watched.is_held |= is_held;
        if is_over || (watched.is_held && !self.may_hold(account)) {
            return Err(Refusal::Pumping);
        }
        Ok(Some(watched))
    }

    /// A watched message has come in.
    pub(crate) fn note_watched(&mut self, now: Now, account: usize, watched: &Watched) {
        let config = Arc::clone(&self.config);
        let now = self.at_believed(now);
        self.accounts[account].abuse.usual.note(watched.country);
        self.abuse.note(now, &config.accounts[account].abuse, watched);
    }

    /// Now, by the wall clock that is believed: one that has jumped neither gives a budget anew nor dates a signal.
    pub(super) fn at_believed(&self, now: Now) -> Now {
        let unix_ms = self.keeping().map_or(now.unix_ms, |keeping| {
            let believed = keeping.believed();
            match believed.seen_ms() {
                // 0: nobody knows.
                seen_ms if seen_ms != 0 && believed.doubts(now.unix_ms) => seen_ms,
                _ => believed.at(now.unix_ms),
            }
        });
        Now { unix_ms, ..now }
    }

    /// How late it is for cases, in unix milliseconds.
    pub(crate) fn case_time(&self, now: Now) -> u64 {
        self.at_believed(now).unix_ms
    }

    /// A carrier's receipt has ended a message, or a part of one that was cut here. What nobody asked a receipt for says
    /// nothing of whether it has arrived, and neither does one of which the carrier knows nothing.
    pub(crate) fn watched_ended(&mut self, now: Now, account: usize, leg: &Leg, state: MessageState) {
        let envelope = &leg.envelope;
        if !is_watched(
            &self.config.accounts[account].abuse,
            Category::from_octet(envelope.category),
        ) {
            return;
        }
        let wish = RegisteredDelivery(envelope.registered_delivery)
            .wish(InterfaceVersion(envelope.interface_version));
        let is_telling = matches!(
            state,
            MessageState::Delivered
                | MessageState::Expired
                | MessageState::Undeliverable
                | MessageState::Rejected
        );
        if wish != ReceiptWish::Always || !is_telling {
            return;
        }
        let config = Arc::clone(&self.config);
        let rules = &config.accounts[account].abuse;
        let of = &self.accounts[account].abuse;
        if envelope.accepted_ms <= of.forgotten_ms {
            return;
        }
        let now = self.at_believed(now);
        let source = envelope.addresses.source();
        let is_delivered = state == MessageState::Delivered;
        let usual = &mut self.accounts[account].abuse.usual;
        if let Some((count, limit)) = usual.ended(now.monotonic, rules, is_delivered) {
            let found = Found {
                rule: AbuseRule::Delivered,
                action: rules.delivered_action,
                count,
                limit,
                is_new: true,
            };
            self.signalled(now, (account, &source), found, &[], None);
        }
        let Some(least) = rules.completion else { return };
        let to = self.recipient(Some(account), envelope.addresses.destination());
        let country = self.watched_country(account, &to, None);
        let whose = (account, self.accounts[account].abuse.epoch);
        let person = to.person();
        let watched = self.abuse.watched(whose, &person, country, rules, None);
        let over = now
            .monotonic
            .saturating_add(rules.completion_block)
            .saturating_add(DAY);
        let bounds = (least, rules.completion_over, rules.completion_block);
        let mut about: &[u8] = &[];
        for key in watched.completions.into_iter().flatten() {
            let completion = self.abuse.completions.touch(now.monotonic, account, key, over);
            if let Some((count, limit)) = completion.ended(now.monotonic, bounds, is_delivered) {
                let found = Found {
                    rule: AbuseRule::Completion,
                    action: rules.completion_action,
                    count,
                    limit,
                    is_new: true,
                };
                self.signalled(now, (account, &source), found, about, country);
            }
            // The country is first; the second is about these numbers.
            about = &person;
        }
    }

    fn watched_country(
        &self,
        account: usize,
        to: &Recipient,
        place: Option<crate::router::Place>,
    ) -> Option<Country> {
        let octets = self.country_of(Some(account), to.address(), place);
        let known = octets.and_then(|octets| Country::new(std::str::from_utf8(&octets).ok()?));
        known.or_else(|| plan().country_of(to.number()?))
    }

    /// Counts a signal, and tells it if it is a new one.
    fn signalled(
        &mut self,
        now: Now,
        (account, source): (usize, &AddressBuf),
        found: Found,
        person: &[u8],
        country: Option<Country>,
    ) {
        let Found {
            rule,
            action,
            count,
            limit,
            is_new,
        } = found;
        let (suspended, trips) = self.suspends(account, action, source);
        let state = &mut self.accounts[account];
        state.tally.abuse_signals.add(rule);
        if !is_new && !trips {
            return;
        }
        if is_new {
            state.abuse.score.add(now.monotonic, DAY);
        }
        let score = state.abuse.score.count(now.monotonic, DAY);
        let about = match rule {
            AbuseRule::Number | AbuseRule::Suspect => Some(person),
            AbuseRule::Country | AbuseRule::Content | AbuseRule::NewCountry | AbuseRule::Delivered => None,
            AbuseRule::Prefix | AbuseRule::Run | AbuseRule::Completion => {
                split(person).map(|(prefix, _)| prefix)
            }
        };
        let sent = self.spool.standing().sent();
        let signal = Signal {
            account: self.config.accounts[account].system_id,
            rule,
            content: None,
            action,
            sender: suspended,
            subject: about.map(|digits| *sent.who(digits, now.unix_ms).now.octets()),
            country,
            count,
            limit,
            score,
            at_ms: now.unix_ms,
        };
        self.tell(now, account, signal, trips);
    }

    /// Whom an action suspends, if that is one sender, and whether that is news: nobody is suspended a second time.
    pub(super) fn suspends(
        &self,
        account: usize,
        action: AbuseAction,
        source: &AddressBuf,
    ) -> (Option<Sender>, bool) {
        let may_trip = || !self.accounts[account].abuse.is_tripped && !self.is_suspended(account);
        match action {
            AbuseAction::Observe | AbuseAction::Hold | AbuseAction::Throttle | AbuseAction::Refuse => {
                (None, false)
            }
            AbuseAction::Suspend => (None, may_trip()),
            AbuseAction::SuspendSender => {
                let trips = may_trip() && !self.is_sender_closed(account, source);
                (self.sender_by_name(account, source), trips)
            }
        }
    }

    /// Logs a signal, keeps it, and has its account, or its sender, suspended if it trips.
    pub(super) fn tell(&mut self, now: Now, account: usize, signal: Signal, trips: bool) {
        let (rule, action) = (signal.rule, signal.action);
        let logged = self.accounts[account].abuse.logged.get_mut(rule.index());
        if let Some(logged) = logged
            && logged.is_none_or(|at| now.monotonic.saturating_sub(at) >= LOG_EVERY)
        {
            *logged = Some(now.monotonic);
            let (account, rule, action) = (&signal.account, rule.label(), action.word());
            let (count, limit, score) = (signal.count, signal.limit, signal.score);
            tracing::warn!(%account, rule, action, count, limit, score, "a sign of abuse");
        }
        self.abuse.keep_signal(signal.clone());
        if trips && self.abuse.trips.len() < TRIPS_MAX {
            let undecided = self.abuse.undecided.get(&signal.account).copied();
            let state = &mut self.accounts[account];
            let is_closed = match signal.sender {
                None => {
                    state.abuse.is_tripped = true;
                    true
                }
                Some(sender) => {
                    undecided.unwrap_or(0) + state.senders.tripped() < UNDECIDED_MAX
                        && state.senders.trip(sender)
                }
            };
            // Of an account with as many suspended senders as there may be, or as many that nobody has decided, what breaks a rule
            // is refused and no more.
            if is_closed {
                self.abuse.trips.push_back(signal);
            }
        }
    }

    /// Whether an account is suspended or closed already: what ends late suspends it no second time.
    pub(super) fn is_suspended(&self, account: usize) -> bool {
        self.config.accounts[account].state == AccountState::Suspended
    }

    /// Whether an account waits for its suspension.
    pub(crate) fn has_trips(&self) -> bool {
        !self.abuse.trips.is_empty()
    }

    /// Those that wait for their suspension, who waits longest first.
    pub(super) fn trips(&self) -> Vec<Signal> {
        self.abuse.trips.iter().cloned().collect()
    }

    /// Takes the one of an account, or of a sender of it, off the line; whether it was there still. Until its suspension holds
    /// nothing that is watched, or of that sender, comes in all the same.
    pub(super) fn take_trip(&mut self, of: &Signal) -> bool {
        let before = self.abuse.trips.len();
        self.abuse
            .trips
            .retain(|trip| (trip.account, trip.sender) != (of.account, of.sender));
        self.abuse.trips.len() < before
    }

    /// Puts one that could not be seen to at the end of the line.
    pub(super) fn put_trip_back(&mut self, trip: Signal) {
        self.abuse.trips.push_back(trip);
    }

    /// The place of an account, of one that a reload took away as well.
    fn place_named(&self, name: &str) -> Option<usize> {
        let mut accounts = self.config.accounts.iter();
        accounts.position(|account| account.system_id.as_str() == name)
    }

    /// Its suspension holds.
    pub(super) fn end_trip(&mut self, account: SystemId, sender: Option<Sender>) {
        if let Some(place) = self.place_named(account.as_str()) {
            let state = &mut self.accounts[place];
            match sender {
                None => state.abuse.is_tripped = false,
                Some(sender) => state.senders.end_trip(&sender),
            }
        }
    }

    /// Forgets what an account has shown, and what is still on its way (FRD-6), as it, or one sender of it, is suspended no
    /// longer. Nothing is counted by senders, so what counted towards one suspension goes whole; the others stay.
    pub(crate) fn forget_signals(&mut self, now: Now, account: &str, sender: Option<Sender>) {
        let forgotten_ms = self.case_time(now);
        if let Some(place) = self.place_named(account) {
            let state = &mut self.accounts[place];
            let watch = &mut state.abuse;
            *watch = AccountWatch {
                epoch: watch.epoch.wrapping_add(1),
                forgotten_ms,
                is_tripped: watch.is_tripped && sender.is_some(),
                ..AccountWatch::default()
            };
            if let Some(sender) = sender {
                state.senders.end_trip(&sender);
            }
        }
        let is_its = |signal: &Signal| signal.account.as_str() == account;
        self.abuse.signals.retain(|signal| !is_its(signal));
        self.abuse
            .trips
            .retain(|trip| !is_its(trip) || trip.sender != sender);
    }

    /// So many cases about senders nobody has decided.
    pub(super) fn heed_undecided(&mut self, undecided: BTreeMap<SystemId, usize>) {
        self.abuse.undecided = undecided;
    }

    /// What the register says before anything comes in: nothing that is watched does from an account whose suspension does not
    /// hold yet, nothing at all from such a sender, and what was accepted before a reversal counts no longer.
    pub fn heed_cases(&mut self, cases: &Cases) {
        self.heed_undecided(cases.of_senders());
        cases.look(|register| {
            for case in register.cases.values() {
                let Some(place) = self.place_named(case.account.as_str()) else {
                    continue;
                };
                let state = &mut self.accounts[place];
                let watch = &mut state.abuse;
                match case.sender {
                    None => watch.is_tripped |= case.is_begun(),
                    Some(sender) if case.is_begun() => {
                        state.senders.trip(sender);
                    }
                    Some(_) => {}
                }
                watch.forgotten_ms = watch.forgotten_ms.max(case.restored_ms.unwrap_or(0));
            }
        });
    }
}
