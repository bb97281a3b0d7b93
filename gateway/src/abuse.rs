//! Signs that somebody pumps codes through an account, and what follows from them (compliance.md §15).
//!
//! ```text
//! may_submit ─► watch ─┬─ fits ──────────────────────────► note_watched, once it has come in
//!                      └─ signal ─► observe: counted
//!                                   hold: taken in, and held until a person has released it (crate::withheld)
//!                                   throttle: 0x0409
//!                                   suspend_sender, suspend: 0x0409 and a trip ─► tend: audit, case, order, notice
//! end_leg ─► watched_ended ─► how many arrive
//! ```
//!
//! All of it is in memory, in tables with named bounds, by hashes under a key of this process; of a number only the last four
//! digits stand beside the hash of the rest (FRD-7). A restart forgets it; cases ([`cases`]) and suspensions it does not.
//! Signals name people by pseudonyms of the span of 30 days that they fall in.

pub(crate) mod cases;
mod completion;
mod content;
mod file;
mod runs;
mod table;
mod tend;
mod usual;
mod velocity;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::{Place, Reference};
use tidegate_config::{AbuseAction, AbuseRules, Country, Watch};

use crate::clock::Now;
use crate::orders::Sender;
use crate::telemetry::words::{AbuseRule, AbuseTable, Word as _};

pub use crate::small_file::register::Unreadable;
pub use cases::{Case, Cases, Decision, NotSuspended, Outcome, Register, Unsuspended};
pub(crate) use tend::decide;
pub use tend::tend;

use completion::Completion;
use content::Spread;
use runs::Lately;
use table::{Row, Table};
use usual::Usual;
use velocity::{Limited, Number, PARTS, PARTS_MAX, Pace, Part};

/// Numbers that are remembered, over all accounts, at about 150 octets each, and up to as many more where texts in parts go.
const NUMBERS_MAX: usize = 200_000;
/// Prefixes, at about 400 octets each.
const PREFIXES_MAX: usize = 50_000;
/// Countries and prefixes of which it is known how many arrive, at about 80 octets each.
const COMPLETIONS_MAX: usize = 100_000;
/// Accounts' countries that have a budget, at about 80 octets each.
const COUNTRIES_MAX: usize = 50_000;
/// Texts of which it is known who sends them, at about 150 octets each.
const TEXTS_MAX: usize = 50_000;
/// Signals of late that an operator can look at.
pub const SIGNALS_MAX: usize = 1_000;
/// The same of one account, so that it pushes out those of few others.
const OWN_SIGNALS_MAX: usize = 100;
/// Accounts that wait for their suspension. What is over that waits for its next signal.
const TRIPS_MAX: usize = 1_000;
/// Senders of one account that cases are about which nobody has decided: one account's must not use up the room for those of all.
const UNDECIDED_MAX: usize = 10;
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
    usual: Usual,
    /// Signals of a day, each once however long it lasts.
    score: velocity::Sliding,
    /// Since when no more signals of a rule are logged, by its place.
    logged: [Option<Duration>; AbuseRule::ALL.len()],
    /// A signal has it suspended; until that holds nothing that is watched comes in.
    is_tripped: bool,
    /// Rules about content that were told in the last hour, by hashes of their ids.
    told: SmallVec<[(u64, Duration); 2]>,
    /// What was accepted until this unix time in milliseconds says nothing any more of how many arrive.
    forgotten_ms: u64,
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
    /// Of [`AbuseRule::Content`] the id of the rule about content.
    pub content: Option<Arc<str>>,
    /// What followed.
    pub action: AbuseAction,
    /// Whose messages are refused for it: of [`AbuseAction::SuspendSender`] alone.
    pub sender: Option<Sender>,
    /// About whom.
    pub subject: Subject,
    /// To which country, where that is known.
    pub country: Option<Country>,
    /// How many there were; of [`AbuseRule::Completion`] and [`AbuseRule::Delivered`] how many arrived, of [`AbuseRule::Content`] the rule's score.
    pub count: u32,
    /// How many may be, or were to follow each other; of these two how many had ended, of
    /// [`AbuseRule::Content`] the score from which a message is refused, 0 for none.
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

impl Row for Day {
    fn is_closed(&self, _: Duration) -> bool {
        self.is_told
    }
}

impl Row for (Limited, Lately) {
    fn is_closed(&self, _: Duration) -> bool {
        self.0.is_told()
    }
}

/// A message that is watched, by its keys in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Whose, by its place.
    account: usize,
    number: u64,
    prefix: Option<(u64, u16)>,
    completions: [Option<u64>; 2],
    budget: Option<(u64, u32)>,
    country: Option<Country>,
    part: Option<Part>,
    /// It is held, and so is what belongs to it.
    is_held: bool,
}

impl Watched {
    /// Whether a rule has it held.
    pub(crate) const fn is_held(&self) -> bool {
        self.is_held
    }
}

/// See the [module](self).
pub(crate) struct Abuse {
    keys: (u64, u64),
    numbers: Table<Number>,
    prefixes: Table<(Limited, Lately)>,
    completions: Table<Completion>,
    days: Table<Day>,
    texts: Table<Spread>,
    signals: VecDeque<Signal>,
    trips: VecDeque<Signal>,
    /// Cases about single senders that nobody has decided, by account.
    undecided: BTreeMap<SystemId, usize>,
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
    Text,
    Sender,
    Told,
}

impl Abuse {
    /// Nothing noted; the key of this process's life is drawn here.
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        let room = [
            NUMBERS_MAX,
            PREFIXES_MAX,
            COMPLETIONS_MAX,
            COUNTRIES_MAX,
            TEXTS_MAX,
        ];
        Self::with_room(rng, room)
    }

    fn with_room(rng: &mut impl Rng, room: [usize; 5]) -> Self {
        let [numbers, prefixes, completions, days, texts] = room;
        Self {
            keys: (rng.next_u64(), rng.next_u64()),
            numbers: Table::new(numbers),
            prefixes: Table::new(prefixes),
            completions: Table::new(completions),
            days: Table::new(days),
            texts: Table::new(texts),
            signals: VecDeque::new(),
            trips: VecDeque::new(),
            undecided: BTreeMap::new(),
        }
    }

    /// How much a table had to forget before its time.
    pub(crate) const fn evicted(&self, table: AbuseTable) -> u64 {
        match table {
            AbuseTable::Numbers => self.numbers.evicted(),
            AbuseTable::Prefixes => self.prefixes.evicted(),
            AbuseTable::Completions => self.completions.evicted(),
            AbuseTable::Countries => self.days.evicted(),
            AbuseTable::Texts => self.texts.evicted(),
        }
    }

    /// Signals of late, the oldest first.
    pub(crate) fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.signals.iter()
    }

    /// Keeps one of late; over the bounds the account's oldest goes, or the oldest of all.
    fn keep_signal(&mut self, signal: Signal) {
        let is_its = |old: &Signal| old.account == signal.account;
        if self.signals.iter().filter(|old| is_its(old)).count() >= OWN_SIGNALS_MAX
            && let Some(oldest) = self.signals.iter().position(is_its)
        {
            self.signals.remove(oldest);
        } else if self.signals.len() >= SIGNALS_MAX {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
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
        part_of: Option<Place>,
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
            account: account.0,
            number: self.key(Of::Number, account, person),
            prefix: split.map(|(prefix, end)| (self.key(Of::Prefix, account, prefix), end)),
            completions: [to_country, to_prefix],
            budget,
            country,
            part: part_of.filter(|part| part.total() <= PARTS_MAX).map(|part| Part {
                text: self.key(Of::Part, account, &part_octets(part)),
                place: part.sequence() - 1,
            }),
            is_held: false,
        }
    }

    /// What the rules say to it; what is behind one for which it is refused is not asked. `None` is the rest of a text that
    /// was refused before.
    fn ask(&mut self, now: Now, rules: &AbuseRules, watched: &mut Watched) -> Option<SmallVec<[Found; 2]>> {
        let mut found = SmallVec::new();
        let time = now.monotonic;
        // The rest of a text has been asked about with its first part.
        let number = self.numbers.get(watched.number);
        let pace = number.map_or(Pace::Fits, |number| number.ask(time, rules, watched.part));
        match pace {
            Pace::RestOfOne { is_held } => {
                watched.is_held |= is_held;
                return Some(found);
            }
            Pace::RestOfNone => return None,
            Pace::Fits | Pace::Over { .. } => {}
        }
        let is_over = |found: &[Found]| found.iter().any(|found| found.action.refuses());
        if let Some((key, most)) = watched.budget
            && let Some(day) = self.days.get(key)
            && day.day >= now.unix_ms / DAY_MS
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
        if closed && rules.completion_action.closes() && !is_over(&found) {
            found.push(Found {
                rule: AbuseRule::Completion,
                action: rules.completion_action.of_closed(),
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
            self.numbers.touch(
                time,
                watched.account,
                watched.number,
                time.saturating_add(kept(rules)),
            );
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
        let number = self.numbers.touch(
            time,
            watched.account,
            watched.number,
            time.saturating_add(kept(rules)),
        );
        if !number.note(time, rules, watched.part, watched.is_held) {
            return;
        }
        let is_asked = rules.prefix_limit.is_some() || rules.run.is_some();
        if let Some((key, end)) = watched.prefix.filter(|_| is_asked) {
            let over = time.saturating_add(HOUR).saturating_add(HOUR / 8);
            let (limited, lately) = self.prefixes.touch(time, watched.account, key, over);
            limited.note(time, HOUR);
            lately.note(time, end);
        }
        if let Some((key, _)) = watched.budget {
            let today = now.unix_ms / DAY_MS;
            let day = self
                .days
                .touch(time, watched.account, key, time.saturating_add(DAY));
            // A clock that is set back gives no budget anew.
            if day.day < today {
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
        .max(PARTS)
}

/// A number without its last four digits, and these.
fn split(person: &[u8]) -> Option<(&[u8], u16)> {
    let (prefix, end) = person.split_at_checked(person.len().checked_sub(END)?)?;
    let end = std::str::from_utf8(end).ok()?;
    let is_number = prefix.len() >= PREFIX_MIN && end.bytes().all(|octet| octet.is_ascii_digit());
    Some((prefix, end.parse().ok().filter(|_| is_number)?))
}

fn part_octets(part: Place) -> [u8; 4] {
    let (kind, number) = match part.reference() {
        Reference::Udh8(number) => (0, u16::from(number)),
        Reference::Udh16(number) => (1, number),
        Reference::Sar(number) => (2, number),
    };
    let [high, low] = number.to_be_bytes();
    [kind, high, low, part.total()]
}

/// Whether messages of a category are watched.
fn is_watched(rules: &AbuseRules, category: Option<Category>) -> bool {
    match rules.watch {
        Watch::Off => false,
        Watch::Otp => category == Some(Category::Otp),
        Watch::All => true,
    }
}

#[cfg(test)]
mod tests;
