//! Signs that somebody pumps codes through an account, and what follows from them (compliance.md §15).
//!
//! ```text
//! may_submit ─► watch ─┬─ fits ──────────────────────────► note_watched, once it has come in
//!                      └─ signal ─► observe: counted
//!                                   throttle: 0x0409
//!                                   suspend: 0x0409 and a trip ─► tend: audit, case, order, notice
//! end_leg ─► watched_ended ─► how many arrive
//! ```
//!
//! All of it is in memory, in tables with named bounds, by hashes under a key of this process; of a number only the last four
//! digits stand beside the hash of the rest (FRD-7). A restart forgets it; cases ([`cases`]) and suspensions it does not.
//! Signals name people by pseudonyms of the span of 30 days that they fall in.

pub(crate) mod cases;
mod completion;
mod file;
mod runs;
mod table;
mod tend;
mod velocity;

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::Reference;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_config::{AbuseAction, AbuseRules, Country, Watch};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;

use crate::admission::{Admitted, Submission};
use crate::clock::Now;
use crate::gate::Gate;
use crate::number::plan;
use crate::refusal::Refusal;
use crate::standing::Recipient;
use crate::telemetry::words::{AbuseRule, AbuseTable, Word as _};

pub use cases::{Case, Cases, Decision, Outcome, Register};
pub use file::Unreadable;
pub(crate) use tend::decide;
pub use tend::tend;

use completion::Completion;
use runs::Lately;
use table::Table;
use velocity::{Limited, Number, Pace};

/// Numbers that are remembered, over all accounts, at about 120 octets each.
const NUMBERS_MAX: usize = 200_000;
/// Prefixes, at about 250 octets each.
const PREFIXES_MAX: usize = 50_000;
/// Countries and prefixes of which it is known how many arrive, at about 80 octets each.
const COMPLETIONS_MAX: usize = 100_000;
/// Accounts' countries that have a budget, at about 80 octets each.
const COUNTRIES_MAX: usize = 50_000;
/// Signals of late that an operator can look at.
pub const SIGNALS_MAX: usize = 1_000;
/// Accounts that wait for their suspension. What is over that waits for its next signal.
const TRIPS_MAX: usize = 1_000;
/// What the last digits of a number are that its prefix is without.
const END: usize = 4;
/// Digits of a prefix at least: what is shorter is no number of the public network.
const PREFIX_MIN: usize = 3;
/// The window of a prefix's limit and of runs.
const HOUR: Duration = Duration::from_secs(3_600);
/// The window of an account's score.
const DAY: Duration = Duration::from_secs(24 * 3_600);
const DAY_MS: u64 = 24 * 3_600_000;
/// An account's signals of one rule are logged once in so long; all are counted.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What an account has shown.
#[derive(Debug, Default)]
pub(crate) struct AccountWatch {
    /// What was noted under another one is forgotten.
    epoch: u32,
    /// Signals of a day, each once however long it lasts.
    score: velocity::Sliding,
    /// Since when no more signals of a rule are logged, by its place.
    logged: [Option<Duration>; AbuseRule::ALL.len()],
    /// A signal has it suspended; until that holds nothing that is watched comes in.
    is_tripped: bool,
}

/// Whom a signal is about, if it is about people: a pseudonym of a number, or of what it is without its last four digits.
pub type Subject = Option<[u8; 16]>;

/// One sign, told once however long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Through which account.
    pub account: SystemId,
    /// Which rule saw it.
    pub rule: AbuseRule,
    /// What followed.
    pub action: AbuseAction,
    /// About whom.
    pub subject: Subject,
    /// To which country, where that is known.
    pub country: Option<Country>,
    /// How many there were; of [`AbuseRule::Completion`] how many arrived.
    pub count: u32,
    /// How many may be, or were to follow each other; of [`AbuseRule::Completion`] how many had ended.
    pub limit: u32,
    /// Signals of this account in 24 hours, with this one.
    pub score: u32,
    /// When, in unix milliseconds.
    pub at_ms: u64,
}

/// What a rule found.
#[derive(Clone, Copy)]
struct Found {
    rule: AbuseRule,
    action: AbuseAction,
    count: u32,
    limit: u32,
    is_new: bool,
}

#[derive(Clone, Copy, Default)]
struct Day {
    day: u64,
    count: u32,
    is_told: bool,
}

/// A message that is watched, by its keys in the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    number: u64,
    prefix: Option<(u64, u16)>,
    completions: [Option<u64>; 2],
    budget: Option<(u64, u32)>,
    part: u64,
}

/// See the [module](self).
pub(crate) struct Abuse {
    keys: (u64, u64),
    numbers: Table<Number>,
    prefixes: Table<(Limited, Lately)>,
    completions: Table<Completion>,
    days: Table<Day>,
    signals: VecDeque<Signal>,
    trips: VecDeque<Signal>,
}

impl fmt::Debug for Abuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Abuse[{} signals]", self.signals.len())
    }
}

/// What tells keys of one table, and of what shares one, apart.
#[derive(Clone, Copy)]
enum Of {
    Number,
    Prefix,
    ToCountry,
    ToPrefix,
    Budget,
    Part,
}

impl Abuse {
    /// Nothing noted; the key of this process's life is drawn here.
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        Self::with_room(rng, [NUMBERS_MAX, PREFIXES_MAX, COMPLETIONS_MAX, COUNTRIES_MAX])
    }

    fn with_room(rng: &mut impl Rng, room: [usize; 4]) -> Self {
        let [numbers, prefixes, completions, days] = room;
        Self {
            keys: (rng.next_u64(), rng.next_u64()),
            numbers: Table::new(numbers),
            prefixes: Table::new(prefixes),
            completions: Table::new(completions),
            days: Table::new(days),
            signals: VecDeque::new(),
            trips: VecDeque::new(),
        }
    }

    /// How much a table had to forget before its time.
    pub(crate) const fn evicted(&self, table: AbuseTable) -> u64 {
        match table {
            AbuseTable::Numbers => self.numbers.evicted(),
            AbuseTable::Prefixes => self.prefixes.evicted(),
            AbuseTable::Completions => self.completions.evicted(),
            AbuseTable::Countries => self.days.evicted(),
        }
    }

    /// Signals of late, the oldest first.
    pub(crate) fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.signals.iter()
    }

    fn key(&self, of: Of, (account, epoch): (usize, u32), what: &[u8]) -> u64 {
        let mut hash = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hash.write_u8(of as u8);
        hash.write_usize(account);
        hash.write_u32(epoch);
        hash.write(what);
        hash.finish()
    }

    /// The keys of a message to a person.
    fn watched(
        &self,
        account: (usize, u32),
        person: &[u8],
        country: Option<Country>,
        rules: &AbuseRules,
        part_of: Option<Reference>,
    ) -> Watched {
        let split = split(person);
        let letters = country.map(Country::octets);
        let budget = rules.budget_of(letters).map(|(most, is_shared)| {
            let letters = letters.filter(|_| !is_shared);
            let key = self.key(Of::Budget, account, letters.as_ref().map_or(&[], |two| two));
            (key, most.get())
        });
        let to_country = letters.map(|letters| self.key(Of::ToCountry, account, &letters));
        let to_prefix = split.map(|(prefix, _)| self.key(Of::ToPrefix, account, prefix));
        Watched {
            number: self.key(Of::Number, account, person),
            prefix: split.map(|(prefix, end)| (self.key(Of::Prefix, account, prefix), end)),
            completions: [to_country, to_prefix],
            budget,
            part: part_of.map_or(0, |part| self.key(Of::Part, account, &part_octets(part)) | 1),
        }
    }

    /// What the rules say to it; what is behind one for which it is refused is not asked. `None` is the rest of a text that
    /// was refused before.
    fn ask(&mut self, now: Now, rules: &AbuseRules, watched: &Watched) -> Option<SmallVec<[Found; 2]>> {
        let mut found = SmallVec::new();
        let time = now.monotonic;
        // The rest of a text has been asked about with its first part.
        let number = self.numbers.get(watched.number);
        let pace = number.map_or(Pace::Fits, |number| number.ask(time, rules, watched.part));
        match pace {
            Pace::RestOfOne => return Some(found),
            Pace::RestOfNone => return None,
            Pace::Fits | Pace::Over { .. } => {}
        }
        let is_over = |found: &[Found]| found.iter().any(|found| found.action >= AbuseAction::Throttle);
        if let Some((key, most)) = watched.budget
            && let Some(day) = self.days.get(key)
            && day.day == now.unix_ms / DAY_MS
            && day.count >= most
        {
            let is_new = !std::mem::replace(&mut day.is_told, true);
            found.push(Found {
                rule: AbuseRule::Country,
                action: rules.country_action,
                count: day.count,
                limit: most,
                is_new,
            });
        }
        let is_closed = |completion: &mut Completion| completion.is_closed(time);
        let closed = watched
            .completions
            .iter()
            .flatten()
            .any(|key| self.completions.get(*key).is_some_and(is_closed));
        if closed && rules.completion_action >= AbuseAction::Throttle && !is_over(&found) {
            found.push(Found {
                rule: AbuseRule::Completion,
                action: AbuseAction::Throttle,
                count: 0,
                limit: 0,
                is_new: false,
            });
        }
        if let Some((key, end)) = watched.prefix
            && let Some((limited, lately)) = self.prefixes.get(key)
            && !is_over(&found)
        {
            if let Some(limit) = rules.prefix_limit
                && let Pace::Over { count, is_new } = limited.ask(time, HOUR, limit.get())
            {
                found.push(Found {
                    rule: AbuseRule::Prefix,
                    action: rules.prefix_action,
                    count,
                    limit: u32::from(limit.get()),
                    is_new,
                });
            }
            if let Some(limit) = rules.run.filter(|_| !is_over(&found)) {
                let (count, is_new) = lately.ask(time, HOUR, end, limit.get());
                if count >= u32::from(limit.get()) {
                    found.push(Found {
                        rule: AbuseRule::Run,
                        action: rules.run_action,
                        count,
                        limit: u32::from(limit.get()),
                        is_new,
                    });
                }
            }
        }
        if let Pace::Over { count, is_new } = pace {
            self.numbers
                .touch(time, watched.number, time.saturating_add(kept(rules)));
            let limit = rules.number_limit.map_or(0, std::num::NonZeroU16::get);
            found.push(Found {
                rule: AbuseRule::Number,
                action: rules.number_action,
                count,
                limit: u32::from(limit),
                is_new,
            });
        }
        Some(found)
    }

    /// It has come in.
    fn note(&mut self, now: Now, rules: &AbuseRules, watched: &Watched) {
        let time = now.monotonic;
        let number = self
            .numbers
            .touch(time, watched.number, time.saturating_add(kept(rules)));
        if number.is_rest(time, watched.part) {
            return;
        }
        number.note(time, rules, watched.part);
        if let Some((key, end)) = watched.prefix {
            let over = time.saturating_add(HOUR).saturating_add(HOUR / 8);
            let (limited, lately) = self.prefixes.touch(time, key, over);
            limited.note(time, HOUR);
            lately.note(time, end);
        }
        if let Some((key, _)) = watched.budget {
            let today = now.unix_ms / DAY_MS;
            let day = self.days.touch(time, key, time.saturating_add(DAY));
            if day.day != today {
                *day = Day {
                    day: today,
                    ..Day::default()
                };
            }
            day.count = day.count.saturating_add(1);
        }
    }
}

/// How long what is noted of a number may say something.
fn kept(rules: &AbuseRules) -> Duration {
    rules
        .back_off_max
        .saturating_add(rules.number_within.saturating_mul(2))
}

/// A number without its last four digits, and these.
fn split(person: &[u8]) -> Option<(&[u8], u16)> {
    let (prefix, end) = person.split_at_checked(person.len().checked_sub(END)?)?;
    let end = std::str::from_utf8(end).ok()?;
    let is_number = prefix.len() >= PREFIX_MIN && end.bytes().all(|octet| octet.is_ascii_digit());
    Some((prefix, end.parse().ok().filter(|_| is_number)?))
}

fn part_octets(part: Reference) -> [u8; 3] {
    let (kind, number) = match part {
        Reference::Udh8(number) => (0, u16::from(number)),
        Reference::Udh16(number) => (1, number),
        Reference::Sar(number) => (2, number),
    };
    let [high, low] = number.to_be_bytes();
    [kind, high, low]
}

/// Whether messages of a category are watched.
fn is_watched(rules: &AbuseRules, category: Option<Category>) -> bool {
    match rules.watch {
        Watch::Off => false,
        Watch::Otp => category == Some(Category::Otp),
        Watch::All => true,
    }
}

impl<D: Disk> Gate<D> {
    /// Whether a message may come in as far as signs of abuse go, and what is to be noted of it once it has.
    ///
    /// # Errors
    ///
    /// [`Refusal::Pumping`].
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
        let whose = (account, self.accounts[account].abuse.epoch);
        let person = to.person();
        let watched = self
            .abuse
            .watched(whose, &person, country, rules, submission.part_of);
        let Some(found) = self.abuse.ask(now, rules, &watched) else {
            return Err(Refusal::Pumping);
        };
        let is_over = found.iter().any(|found| found.action >= AbuseAction::Throttle);
        for found in found {
            self.signalled(now, account, found, &person, country);
        }
        if is_over {
            return Err(Refusal::Pumping);
        }
        Ok(Some(watched))
    }

    /// A watched message has come in.
    pub(crate) fn note_watched(&mut self, now: Now, account: usize, watched: &Watched) {
        let config = Arc::clone(&self.config);
        self.abuse.note(now, &config.accounts[account].abuse, watched);
    }

    /// A message has ended. What nobody asked a receipt for says nothing of whether it has arrived, and neither does what
    /// no carrier had.
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
        let is_telling = !matches!(state, MessageState::Accepted | MessageState::Deleted);
        if wish != ReceiptWish::Always || !is_telling {
            return;
        }
        let config = Arc::clone(&self.config);
        let rules = &config.accounts[account].abuse;
        let to = self.recipient(Some(account), envelope.addresses.destination());
        let country = self.watched_country(account, &to, None);
        let whose = (account, self.accounts[account].abuse.epoch);
        let person = to.person();
        let watched = self.abuse.watched(whose, &person, country, rules, None);
        let over = now
            .monotonic
            .saturating_add(rules.completion_block)
            .saturating_add(DAY);
        let is_delivered = state == MessageState::Delivered;
        let mut about: &[u8] = &[];
        for key in watched.completions.into_iter().flatten() {
            let completion = self.abuse.completions.touch(now.monotonic, key, over);
            if let Some((count, limit)) = completion.ended(now.monotonic, rules, is_delivered) {
                let found = Found {
                    rule: AbuseRule::Completion,
                    action: rules.completion_action,
                    count,
                    limit,
                    is_new: true,
                };
                self.signalled(now, account, found, about, country);
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
    fn signalled(&mut self, now: Now, account: usize, found: Found, person: &[u8], country: Option<Country>) {
        let Found {
            rule,
            action,
            count,
            limit,
            is_new,
        } = found;
        let state = &mut self.accounts[account];
        state.tally.abuse_signals.add(rule);
        let trips = action == AbuseAction::Suspend && !state.abuse.is_tripped;
        if !is_new && !trips {
            return;
        }
        if is_new {
            state.abuse.score.add(now.monotonic, DAY);
        }
        let score = state.abuse.score.count(now.monotonic, DAY);
        let about = match rule {
            AbuseRule::Number => Some(person),
            AbuseRule::Country => None,
            AbuseRule::Prefix | AbuseRule::Run | AbuseRule::Completion => {
                split(person).map(|(prefix, _)| prefix)
            }
        };
        let sent = self.spool.standing().sent();
        let signal = Signal {
            account: self.config.accounts[account].system_id,
            rule,
            action,
            subject: about.map(|digits| *sent.who(digits, now.unix_ms).now.octets()),
            country,
            count,
            limit,
            score,
            at_ms: now.unix_ms,
        };
        let logged = self.accounts[account].abuse.logged.get_mut(rule.index());
        if let Some(logged) = logged
            && logged.is_none_or(|at| now.monotonic.saturating_sub(at) >= LOG_EVERY)
        {
            *logged = Some(now.monotonic);
            let (account, rule, action) = (&signal.account, rule.label(), action.word());
            tracing::warn!(%account, rule, action, count, limit, score, "a sign of abuse");
        }
        if self.abuse.signals.len() >= SIGNALS_MAX {
            self.abuse.signals.pop_front();
        }
        self.abuse.signals.push_back(signal.clone());
        if trips && self.abuse.trips.len() < TRIPS_MAX {
            self.accounts[account].abuse.is_tripped = true;
            self.abuse.trips.push_back(signal);
        }
    }

    /// Whether an account waits for its suspension.
    pub(crate) fn has_trips(&self) -> bool {
        !self.abuse.trips.is_empty()
    }

    /// The account that waits longest for its suspension.
    pub(crate) fn next_trip(&self) -> Option<&Signal> {
        self.abuse.trips.front()
    }

    /// The place of an account, of one that a reload took away as well.
    fn place_named(&self, name: &str) -> Option<usize> {
        let mut accounts = self.config.accounts.iter();
        accounts.position(|account| account.system_id.as_str() == name)
    }

    /// Its suspension holds, or there is nothing left to suspend.
    pub(crate) fn end_trip(&mut self) {
        if let Some(trip) = self.abuse.trips.pop_front()
            && let Some(place) = self.place_named(trip.account.as_str())
        {
            self.accounts[place].abuse.is_tripped = false;
        }
    }

    /// Forgets what an account has shown (FRD-6).
    pub(crate) fn forget_signals(&mut self, account: &str) {
        if let Some(place) = self.place_named(account) {
            let watch = &mut self.accounts[place].abuse;
            *watch = AccountWatch {
                epoch: watch.epoch.wrapping_add(1),
                ..AccountWatch::default()
            };
        }
        self.abuse
            .signals
            .retain(|signal| signal.account.as_str() != account);
    }
}

#[cfg(test)]
mod tests;
