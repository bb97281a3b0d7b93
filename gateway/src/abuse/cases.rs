//! Cases: accounts, or single senders of theirs, that a signal has suspended, with the evidence, until a person has decided (FRD-6).
//!
//! What stands in one is a count, a date, a name of the configuration or a pseudonym (FRD-7). Each step is on disk before the
//! next one, so that a start goes on where a crash came between.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;
use tidegate_store::audit::WORD_MAX;

use super::{Signal, Subject, file};
use crate::orders::Sender;
use crate::small_file::register::{OnDisk, Unreadable};
use crate::telemetry::words::AbuseRule;

/// Cases at a time, those that are decided and kept included.
pub(crate) const CASES_MAX: usize = 10_000;
/// Octets of a reviewer's name and of a reason: what the audit log holds of each.
pub(crate) const TEXT_MAX: usize = WORD_MAX;

/// What a person has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The suspension was right, and stays.
    Upheld,
    /// It is taken back.
    Reversed,
}

impl Outcome {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Upheld, Self::Reversed];

    /// For files and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upheld => "upheld",
            Self::Reversed => "reversed",
        }
    }
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub outcome: Outcome,
    /// Who decided, by name.
    pub reviewer: String,
    /// Who entered it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When, in unix milliseconds.
    pub at_ms: u64,
}

/// Why nothing could be suspended where a case was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuspended {
    /// The secret is gone that the sender's pseudonym was made under: nobody knows any more which one it is.
    SecretGone,
}

impl Unsuspended {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::SecretGone];

    /// For files and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SecretGone => "secret gone",
        }
    }

    /// For people.
    pub const fn why(self) -> &'static str {
        match self {
            Self::SecretGone => {
                "the secret is gone that the sender was named under, so that nobody can tell which one it is"
            }
        }
    }
}

/// That nothing was suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSuspended {
    /// Why.
    pub why: Unsuspended,
    /// Since when that is known, in unix milliseconds.
    pub at_ms: u64,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whose.
    pub account: SystemId,
    /// The sender that is suspended, or was to be; `None`: the account is.
    pub sender: Option<Sender>,
    /// Which rule saw it.
    pub rule: AbuseRule,
    /// Of [`AbuseRule::Content`] the id of the rule about content.
    pub content: Option<Arc<str>>,
    /// Signals of the account in the 24 hours before.
    pub score: u32,
    /// About whom.
    pub subject: Subject,
    /// To which country.
    pub country: Option<Country>,
    /// How many there were.
    pub count: u32,
    /// How many may be.
    pub limit: u32,
    /// When it was seen, in unix milliseconds.
    pub opened_ms: u64,
    /// Until when a person is to decide.
    pub review_ms: u64,
    /// Since when the suspension holds; `None`: not yet, or never.
    pub suspended_ms: Option<u64>,
    /// That it cannot be suspended, so that it never will be.
    pub not_suspended: Option<NotSuspended>,
    /// The number of the account's notice; `None`: not yet.
    pub notice: Option<u64>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// The number of the notice of that; `None`: not yet.
    pub answer: Option<u64>,
    /// Since when a reversal holds; `None`: not yet.
    pub restored_ms: Option<u64>,
}

/// What is left to be done of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The account, or its sender, is to be suspended.
    Suspend,
    /// It cannot be, and that is to be noted in its place.
    Leave,
    /// It is to be told.
    Notify,
    /// It is to be restored.
    Restore,
    /// It was never suspended: what led to the case is to count no longer.
    Forget,
    /// It is to be told what was decided.
    Answer,
    /// It is over, and goes from the register.
    Remove,
}

impl Step {
    /// What the audit log holds where it is done, and where that failed.
    pub(super) const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Suspend => ["suspended", "suspension failed"],
            Self::Leave => ["not suspended", "case not written"],
            Self::Notify | Self::Answer => ["notice", "notice failed"],
            Self::Restore => ["restored", "restore failed"],
            Self::Forget => ["signals forgotten", "signals not forgotten"],
            Self::Remove => ["removed", "removal failed"],
        }
    }
}

/// How a step stands in the audit log, of those that were begun in this process's life and are not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// That it is done.
    Begun,
    /// And that it failed.
    Failed,
}

impl Case {
    /// Of a signal, to be reviewed until this unix time in milliseconds.
    pub(super) fn new(signal: &Signal, review_ms: u64) -> Self {
        Self {
            account: signal.account,
            sender: signal.sender,
            rule: signal.rule,
            content: signal.content.clone(),
            score: signal.score,
            subject: signal.subject,
            country: signal.country,
            count: signal.count,
            limit: signal.limit,
            opened_ms: signal.at_ms,
            review_ms,
            suspended_ms: None,
            not_suspended: None,
            notice: None,
            decision: None,
            answer: None,
            restored_ms: None,
        }
    }

    /// Whom it is about is to be suspended, and is not yet.
    pub const fn is_begun(&self) -> bool {
        self.suspended_ms.is_none() && self.not_suspended.is_none()
    }

    /// What is to be done next; `None`: nothing, or a person is to decide.
    pub fn next(&self) -> Option<Step> {
        let is_reversed = self
            .decision
            .as_ref()
            .is_some_and(|decision| decision.outcome == Outcome::Reversed);
        if self.is_begun() {
            Some(Step::Suspend)
        } else if is_reversed && self.restored_ms.is_none() {
            // Whoever was suspended wrongly waits for no notice.
            Some(match self.not_suspended {
                None => Step::Restore,
                Some(_) => Step::Forget,
            })
        } else if self.notice.is_none() {
            Some(Step::Notify)
        } else if !self.is_open() && self.answer.is_none() {
            Some(Step::Answer)
        } else {
            None
        }
    }

    /// Nobody has decided.
    pub const fn is_open(&self) -> bool {
        self.decision.is_none()
    }
}

/// All of them, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The last number that was given.
    pub last: u32,
    /// Cases.
    #[serde(with = "file::rows")]
    pub cases: BTreeMap<u32, Case>,
}

/// An account, or a sender of it.
pub(super) type Suspended = (SystemId, Option<Sender>);

/// What is asked again and again, so that the loop does not go through all of them for it.
#[derive(Debug, Default)]
struct Sums {
    /// Those that nobody has decided, by whom they have suspended.
    open: BTreeMap<Suspended, u32>,
    /// How many of those are about single senders that are suspended, or are to be, by account.
    of_senders: BTreeMap<SystemId, usize>,
    /// Those of which something is left to be done.
    left: Vec<u32>,
    /// When the first was decided of those of which nothing is.
    decided_ms: Option<u64>,
}

impl Sums {
    fn of(register: &Register) -> Self {
        let mut sums = Self::default();
        for (id, case) in &register.cases {
            if case.is_open() {
                sums.open.insert((case.account, case.sender), *id);
                if case.sender.is_some() && case.not_suspended.is_none() {
                    *sums.of_senders.entry(case.account).or_default() += 1;
                }
            }
            if case.next().is_some() {
                sums.left.push(*id);
            } else if let Some(decision) = &case.decision {
                let first_ms = sums.decided_ms.get_or_insert(decision.at_ms);
                *first_ms = decision.at_ms.min(*first_ms);
            }
        }
        sums
    }
}

#[derive(Debug, Default)]
struct Held {
    register: Arc<Register>,
    sums: Sums,
    entered: BTreeMap<(u32, Step), Entered>,
    /// Numbers of those that the audit log names and that could not be written yet.
    numbers: BTreeMap<Suspended, u32>,
}

/// The register on disk, and as it is.
#[derive(Debug)]
pub struct Cases {
    file: OnDisk<Register>,
    held: Mutex<Held>,
    /// Held from before the register is looked at until what was made of it is on disk. Taken before that of the orders.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Cases {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written: nothing is started then, for who waits for a review would be forgotten.
    pub fn open(data: &Path) -> Result<Self, Unreadable> {
        let (file, register) = OnDisk::<Register>::open(data)?;
        let held = Held {
            sums: Sums::of(&register),
            register: Arc::new(register),
            ..Held::default()
        };
        Ok(Self {
            file,
            held: Mutex::new(held),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// As it is.
    pub fn register(&self) -> Arc<Register> {
        Arc::clone(&self.lock().register)
    }

    /// Asks it something without a copy.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Register) -> T) -> T {
        with(&self.lock().register)
    }

    /// The case of an account, or of a sender of it, that nobody has decided.
    pub fn open_of(&self, account: &str, sender: Option<Sender>) -> Option<u32> {
        let account: SystemId = account.parse().ok()?;
        self.lock().sums.open.get(&(account, sender)).copied()
    }

    /// How many nobody has decided that are about single senders, by account; but those that could suspend nobody.
    pub(super) fn of_senders(&self) -> BTreeMap<SystemId, usize> {
        self.lock().sums.of_senders.clone()
    }

    /// Those that nobody has decided that are about single senders.
    pub(super) fn open_of_senders(&self) -> Vec<u32> {
        let held = self.lock();
        let open = held.sums.open.iter();
        let of_senders = open.filter(|((_, sender), _)| sender.is_some());
        of_senders.map(|(_, id)| *id).collect()
    }

    /// How many are to suspend a sender and have not yet, by a pseudonym of a generation.
    pub(crate) fn begun_under(&self, generation: u8) -> usize {
        let is_meant = |case: &&Case| {
            let sender = case.sender.filter(|_| case.is_begun());
            sender.is_some_and(|sender| sender.generation() == generation)
        };
        self.look(|register| register.cases.values().filter(is_meant).count())
    }

    /// How many nobody has decided.
    pub(crate) fn open_count(&self) -> usize {
        self.lock().sums.open.len()
    }

    /// How many nobody has decided, how many of them are past their review, and when the oldest was opened.
    pub(super) fn waiting(&self, now_ms: u64) -> (usize, usize, Option<u64>) {
        let held = self.lock();
        let open = held.sums.open.values();
        let open = open.filter_map(|id| held.register.cases.get(id));
        let past = open.clone().filter(|case| case.review_ms <= now_ms).count();
        let oldest_ms = open.map(|case| case.opened_ms).min();
        (held.sums.open.len(), past, oldest_ms)
    }

    /// Those of which something is left to be done.
    pub(super) fn left(&self) -> Vec<u32> {
        self.lock().sums.left.clone()
    }

    /// When the first was decided of those of which nothing is.
    pub(super) fn first_decided_ms(&self) -> Option<u64> {
        self.lock().sums.decided_ms
    }

    /// The number that the next case of somebody is to have; the same until it is written.
    pub(super) fn number_for(&self, whom: Suspended) -> u32 {
        let mut held = self.lock();
        let last = held.register.last;
        let last = held.numbers.values().fold(last, |last, given| last.max(*given));
        *held.numbers.entry(whom).or_insert(last.saturating_add(1))
    }

    /// How a step stands in the audit log.
    pub(super) fn entered(&self, id: u32, step: Step) -> Option<Entered> {
        self.lock().entered.get(&(id, step)).copied()
    }

    /// It stands so from now on; `None`: it is done.
    pub(super) fn set_entered(&self, id: u32, step: Step, entered: Option<Entered>) {
        let mut held = self.lock();
        match entered {
            Some(entered) => held.entered.insert((id, step), entered),
            None => held.entered.remove(&(id, step)),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the register: made and written on another thread, as there may be many cases, and waited for until it is on
    /// disk. In its turn.
    ///
    /// # Errors
    ///
    /// In words for an operator; the file may hold it all the same, which the next write puts right.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Register) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let before = self.register();
        let changed = move || {
            let mut register = Register::clone(&before);
            change(&mut register)?;
            let sums = Sums::of(&register);
            Ok((register, sums))
        };
        let (register, sums) = self.file.write_made(changed).await?;
        let mut held = self.lock();
        held.numbers
            .retain(|_, number| !register.cases.contains_key(number));
        let numbers = std::mem::take(&mut held.numbers);
        let is_there =
            |id: &u32| register.cases.contains_key(id) || numbers.values().any(|given| given == id);
        held.entered.retain(|(id, _), _| is_there(id));
        held.numbers = numbers;
        (held.register, held.sums) = (Arc::new(register), sums);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::signal;
    use super::*;

    fn case(account: &str) -> Case {
        Case::new(&signal(account, 5), 9)
    }

    fn decided(outcome: Outcome, at_ms: u64) -> Option<Decision> {
        Some(Decision {
            outcome,
            reviewer: "ana".to_owned(),
            who: "token a".to_owned(),
            reason: "a campaign".to_owned(),
            at_ms,
        })
    }

    #[test]
    fn who_was_suspended_wrongly_is_restored_before_any_notice() {
        let mut case = case("shop");
        assert_eq!(case.next(), Some(Step::Suspend));
        case.suspended_ms = Some(8);
        assert_eq!(case.next(), Some(Step::Notify));
        case.decision = decided(Outcome::Reversed, 9);
        assert_eq!(case.next(), Some(Step::Restore));
        case.restored_ms = Some(10);
        assert_eq!(case.next(), Some(Step::Notify));
        case.notice = Some(1);
        assert_eq!(case.next(), Some(Step::Answer));
        case.answer = Some(2);
        assert_eq!(case.next(), None);
    }

    #[test]
    fn whoever_could_not_be_suspended_is_told_and_never_restored() {
        let mut case = case("shop");
        case.not_suspended = Some(NotSuspended {
            why: Unsuspended::SecretGone,
            at_ms: 8,
        });
        assert!(!case.is_begun());
        assert_eq!(case.next(), Some(Step::Notify));
        case.decision = decided(Outcome::Reversed, 9);
        assert_eq!(case.next(), Some(Step::Forget));
        case.restored_ms = Some(10);
        (case.notice, case.answer) = (Some(1), Some(2));
        assert_eq!(case.next(), None);
    }

    #[tokio::test]
    async fn what_is_asked_again_and_again_follows_each_change_and_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let cases = Cases::open(dir.path()).unwrap();
        let mut late = case("late");
        late.suspended_ms = Some(8);
        late.notice = Some(1);
        let mut over = late.clone();
        over.account = "over".parse().unwrap();
        let sender = Sender::read("00112233445566778899aabbccddeeff").unwrap();
        let mut of_sender = late.clone();
        of_sender.sender = Some(sender);
        (over.decision, over.answer) = (decided(Outcome::Upheld, 20), Some(2));
        // One that could suspend nobody, which is none of the account's.
        let mut of_nobody = of_sender.clone();
        of_nobody.sender = Sender::read("ffeeddccbbaa99887766554433221100");
        of_nobody.suspended_ms = None;
        of_nobody.not_suspended = Some(NotSuspended {
            why: Unsuspended::SecretGone,
            at_ms: 8,
        });
        let of = [
            (3, case("new")),
            (4, late),
            (5, of_sender),
            (6, over),
            (7, of_nobody),
        ];
        let filled = cases.change(move |register| {
            register.cases.extend(of);
            register.last = 7;
            Ok(())
        });
        filled.await.unwrap();
        for cases in [&cases, &Cases::open(dir.path()).unwrap()] {
            assert_eq!(
                ["new", "late", "over"].map(|name| cases.open_of(name, None)),
                [Some(3), Some(4), None]
            );
            // Of one account the case of itself and those of its senders are apart.
            assert_eq!(cases.open_of("late", Some(sender)), Some(5));
            assert_eq!((cases.left(), cases.first_decided_ms()), (vec![3], Some(20)));
            assert_eq!(cases.waiting(9), (4, 4, Some(7)));
            let of_late = BTreeMap::from([("late".parse().unwrap(), 1)]);
            assert_eq!(cases.of_senders(), of_late);
            assert_eq!(cases.open_of_senders(), [5, 7]);
        }
        // A number that the audit log names is given to nobody else, and is the same when it is tried again.
        let [a, b] = ["a", "b"].map(|name| name.parse().unwrap());
        let of_b = (b, Some(sender));
        let all = [(a, None), of_b, (a, None), (b, None), of_b];
        assert_eq!(all.map(|whom| cases.number_for(whom)), [8, 9, 8, 10, 9]);
    }
}
