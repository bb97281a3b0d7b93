//! The decision on one record, and what it goes by (RET-3).

use std::fmt;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::class::{Action, Class, Kind};
use super::facts::{Erasure, Facts, Hold};
use super::instruction::{Instruction, Wish};
use super::rule::{After, Rule, RuleSet};

/// How a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It may be read, for the purposes of its class.
    Live,
    /// Somebody has a right to have it gone and a floor forbids that: readable for the floor's reason only.
    Restricted,
    /// It is due and a hold keeps it: gone for everyone but `legal` (LEG-2).
    Sealed,
    /// It is gone for every reader, and what is left of it is to be removed (RET-4).
    Due,
    /// It may not be written: its class has no rule (RET-1), or it is not stored beyond delivery (RET-5).
    NotStored,
}

impl State {
    /// As it is written for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restricted => "restricted",
            Self::Sealed => "sealed",
            Self::Due => "due",
            Self::NotStored => "not-stored",
        }
    }
}

/// What holds for one record at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// How it stands.
    pub state: State,
    /// From when on it is due, in milliseconds since 1970 UTC; `None` where nothing says so yet. What a hold has kept
    /// past that date is due from the release on.
    pub due_ms: Option<u64>,
    /// What becomes of it then.
    pub action: Action,
    /// What decided.
    pub by: SmallVec<[By<'a>; 4]>,
}

/// What decided. `Display` says it in words, without a number or a text of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// A rule.
    Rule(&'a Rule),
    /// An instruction of the account, in place of a limit.
    Instruction(&'a Instruction, &'a Rule),
    /// An instruction that does not count, because the limit lets nobody move it there.
    Refused(&'a Instruction, &'a Rule),
    /// A request to erase.
    Erasure(&'a Erasure),
    /// A hold.
    Hold(&'a Hold),
    /// The class has no rule among these.
    NoRule(Class, &'a RuleSet),
}

/// Something that wants a record gone at an instant.
#[derive(Clone, Copy)]
struct Want<'a> {
    at_ms: u64,
    action: Action,
    is_no_store: bool,
    by: By<'a>,
}

type Wants<'a> = SmallVec<[Want<'a>; 4]>;

/// All that does not depend on the time of asking.
struct Reckoned<'a> {
    due_ms: Option<u64>,
    wants: Wants<'a>,
    /// An instruction that does not count.
    refused: Option<By<'a>>,
}

struct Question<'q, 'a> {
    facts: &'q Facts<'q>,
    rules: &'a [Rule],
    erasures: &'a [Erasure],
    closure: Option<u64>,
}

/// Decides on one record (RET-3): what its limits want, or an instruction in their place, or a ceiling or an erasure
/// before that; but not before any floor; and what a hold covers stays sealed until the last is released. `closure`
/// is when the account was closed, `now_ms` when it is asked, both in milliseconds since 1970 UTC.
///
/// The date depends on everything but `now_ms`, so that what is due stays due whatever the clock does (RET-9). An
/// instruction that takes effect when a record is gone brings nothing back; one that shortens makes due from then on
/// what is older.
pub fn decide<'a>(
    facts: &Facts<'_>,
    rules: &'a RuleSet,
    instructions: &'a [Instruction],
    holds: &'a [Hold],
    erasures: &'a [Erasure],
    closure: Option<u64>,
    now_ms: u64,
) -> Decision<'a> {
    let question = Question {
        facts,
        rules: rules.of(facts.class),
        erasures,
        closure,
    };
    if question.rules.is_empty() {
        return without_a_rule(facts, rules, holds);
    }
    let Reckoned {
        due_ms,
        wants,
        refused,
    } = question.reckon(instructions);
    let mut by: SmallVec<[By<'a>; 4]> = SmallVec::new();
    let Some(due_ms) = due_ms else {
        by.extend(question.standing(&wants));
        by.extend(refused);
        let (state, refusing) = question.restricted(u64::MAX, now_ms);
        let refusing: SmallVec<[By<'a>; 2]> = refusing.filter(|erasure| !by.contains(erasure)).collect();
        by.extend(refusing);
        return Decision {
            state,
            due_ms: None,
            action: strongest(&wants, u64::MAX),
            by,
        };
    };
    let (gone_ms, sealing) = gone(facts, holds, due_ms);
    let wanted_ms = wants.iter().map(|want| want.at_ms).min().unwrap_or(0);
    by.extend(
        wants
            .iter()
            .filter(|want| want.at_ms == wanted_ms && want.at_ms <= due_ms)
            .map(|want| want.by),
    );
    by.extend(question.floors_at(due_ms));
    by.extend(refused);
    let (state, refusing) = question.restricted(due_ms, now_ms);
    let refusing: SmallVec<[By<'a>; 2]> = refusing.filter(|erasure| !by.contains(erasure)).collect();
    by.extend(refusing);
    by.extend(sealing.into_iter().map(By::Hold));
    let is_no_store = wants.iter().any(|want| want.is_no_store && want.at_ms == due_ms);
    let (state, due_ms) = if now_ms < due_ms {
        (state, due_ms)
    } else if now_ms < gone_ms {
        (State::Sealed, due_ms)
    } else if gone_ms == due_ms && is_no_store {
        (State::NotStored, due_ms)
    } else {
        (State::Due, gone_ms)
    };
    // What was held may be wanted by more than what made it due.
    let until_ms = if gone_ms == u64::MAX { now_ms } else { gone_ms };
    let action = match strongest(&wants, until_ms.max(due_ms)) {
        // Only a floor kept it.
        Action::Keep => Action::Purge,
        action => action,
    };
    Decision {
        state,
        due_ms: Some(due_ms),
        action,
        by,
    }
}

/// Nothing of the class may be written. What was written while there was a rule is not lost to a hold.
fn without_a_rule<'a>(facts: &Facts<'_>, rules: &'a RuleSet, holds: &'a [Hold]) -> Decision<'a> {
    let mut by = SmallVec::from_iter([By::NoRule(facts.class, rules)]);
    let holding = holds
        .iter()
        .filter(|hold| hold.released_ms.is_none() && hold.covers(facts));
    by.extend(holding.map(By::Hold));
    Decision {
        state: if by.len() > 1 {
            State::Sealed
        } else {
            State::NotStored
        },
        due_ms: None,
        action: Action::Purge,
        by,
    }
}

/// When a record that is due is gone, and the holds that keep it past that date: each was taken before it was gone.
fn gone<'a>(facts: &Facts<'_>, holds: &'a [Hold], due_ms: u64) -> (u64, SmallVec<[&'a Hold; 2]>) {
    let mut covering: SmallVec<[&Hold; 2]> = holds.iter().filter(|hold| hold.covers(facts)).collect();
    covering.sort_by_key(|hold| hold.taken_ms);
    let mut gone_ms = due_ms;
    covering.retain(|hold| {
        let released_ms = hold.released_ms.unwrap_or(u64::MAX);
        let keeps = hold.taken_ms < gone_ms && released_ms > due_ms;
        if keeps {
            gone_ms = gone_ms.max(released_ms);
        }
        keeps
    });
    (gone_ms, covering)
}

/// Of what wants a record gone up to an instant: purge beats deidentify beats keep.
fn strongest(wants: &[Want<'_>], until_ms: u64) -> Action {
    let by_then = wants.iter().filter(|want| want.at_ms <= until_ms);
    by_then.map(|want| want.action).max().unwrap_or(Action::Keep)
}

impl<'a> Question<'_, 'a> {
    /// Time falls into stretches, in each of which one instruction or none is in force. A record is due when it first
    /// is by what is in force then.
    fn reckon(&self, instructions: &'a [Instruction]) -> Reckoned<'a> {
        let about: SmallVec<[&Instruction; 4]> = instructions
            .iter()
            .filter(|instruction| instruction.is_about(self.facts))
            .collect();
        let mut starts: SmallVec<[u64; 4]> = about.iter().map(|about| about.effective_ms).collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let mut starts = starts.into_iter().peekable();
        loop {
            let start_ms = starts.next().unwrap_or(0);
            let in_force = about
                .iter()
                .copied()
                .filter(|about| about.effective_ms <= start_ms);
            let (wants, refused) = self.wants(in_force.max_by_key(|about| about.rank()));
            let due_ms = self.due(&wants).map(|due_ms| due_ms.max(start_ms));
            let end_ms = starts.peek().copied();
            if end_ms.is_none_or(|end_ms| due_ms.is_some_and(|due_ms| due_ms <= end_ms)) {
                return Reckoned {
                    due_ms,
                    wants,
                    refused,
                };
            }
        }
    }

    /// All that wants the record gone while this instruction is in force, and what was not listened to.
    fn wants(&self, in_force: Option<&'a Instruction>) -> (Wants<'a>, Option<By<'a>>) {
        let mut wants = Wants::new();
        let mut refused = None;
        for rule in self.rules {
            let own = self.instant(rule).map(|at_ms| Want {
                at_ms,
                action: rule.action,
                is_no_store: rule.after == After::NoStore,
                by: By::Rule(rule),
            });
            // A limit to keep acts never.
            let own = own.filter(|want| want.action != Action::Keep);
            match (rule.kind, in_force) {
                (Kind::Floor, _) => {}
                (Kind::Limit, Some(instruction)) => match self.instructed(rule, instruction, own) {
                    Ok(instructed) => wants.extend(instructed),
                    Err(by) => {
                        refused = Some(by);
                        wants.extend(own);
                    }
                },
                (Kind::Limit | Kind::Ceiling, _) => wants.extend(own),
            }
        }
        let erasures = self.erasures.iter().filter(|erasure| erasure.covers(self.facts));
        wants.extend(erasures.map(|erasure| Want {
            at_ms: erasure.requested_ms,
            action: Action::Purge,
            is_no_store: false,
            by: By::Erasure(erasure),
        }));
        (wants, refused)
    }

    /// What an instruction makes of a limit, if the limit lets it.
    fn instructed(
        &self,
        rule: &'a Rule,
        instruction: &'a Instruction,
        own: Option<Want<'a>>,
    ) -> Result<Option<Want<'a>>, By<'a>> {
        let after = match instruction.wish {
            Wish::After(span) => After::Span(span),
            Wish::NoStore => After::NoStore,
        };
        let at_ms = self.instant_of(rule, after);
        let date = |at_ms: Option<u64>| at_ms.unwrap_or(u64::MAX);
        let allowed = match date(at_ms).cmp(&date(own.map(|own| own.at_ms))) {
            std::cmp::Ordering::Less => rule.shorten,
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => rule.extend,
        };
        if !allowed {
            return Err(By::Refused(instruction, rule));
        }
        Ok(at_ms.map(|at_ms| Want {
            at_ms,
            // What is not to be stored leaves nothing behind.
            action: match (instruction.wish, rule.action) {
                (Wish::NoStore, _) | (_, Action::Keep) => Action::Purge,
                (Wish::After(_), action) => action,
            },
            is_no_store: instruction.wish == Wish::NoStore,
            by: By::Instruction(instruction, rule),
        }))
    }

    fn instant(&self, rule: &Rule) -> Option<u64> {
        self.instant_of(rule, rule.after)
    }

    /// `None` where it has no date, or none yet.
    fn instant_of(&self, rule: &Rule, after: After) -> Option<u64> {
        match after {
            After::Span(span) => {
                let from_ms = self.facts.instant(rule.anchor, self.closure)?;
                Some(span.after(from_ms))
            }
            After::NoStore => self.facts.instant(super::Anchor::Final, self.closure),
            After::Never => None,
        }
        .filter(|at_ms| *at_ms != u64::MAX)
    }

    fn floors(&self) -> impl Iterator<Item = (u64, &'a Rule)> {
        let floors = self.rules.iter().filter(|rule| rule.kind == Kind::Floor);
        // One whose date is not known yet has not passed.
        floors.map(|rule| (self.instant(rule).unwrap_or(u64::MAX), rule))
    }

    fn due(&self, wants: &[Want<'_>]) -> Option<u64> {
        let floor_ms = self.floors().map(|(at_ms, _)| at_ms).max().unwrap_or(0);
        let wanted_ms = wants.iter().map(|want| want.at_ms).min();
        // What only a floor keeps nobody else wants.
        let only_floors = self.rules.iter().all(|rule| rule.kind == Kind::Floor);
        let wanted_ms = if only_floors { Some(0) } else { wanted_ms }?;
        Some(wanted_ms.max(floor_ms)).filter(|due_ms| *due_ms != u64::MAX)
    }

    /// Floors because of which it is due no earlier.
    fn floors_at(&self, due_ms: u64) -> impl Iterator<Item = By<'a>> {
        let floors = self.floors().filter(move |(at_ms, _)| *at_ms == due_ms);
        floors.map(|(_, rule)| By::Rule(rule))
    }

    /// Why there is no date: what wants it gone behind a floor without end, or all rules, none of which has a date.
    fn standing(&self, wants: &[Want<'a>]) -> SmallVec<[By<'a>; 4]> {
        let mut by: SmallVec<[By<'a>; 4]> = wants.iter().map(|want| want.by).collect();
        let undated = self.rules.iter().filter(|rule| self.instant(rule).is_none());
        by.extend(undated.map(By::Rule));
        by
    }

    /// How it stands before it is due, and the requests to erase that have to wait: any that was made by now is
    /// refused by a floor, or it would be due.
    fn restricted(&self, due_ms: u64, now_ms: u64) -> (State, impl Iterator<Item = By<'a>>) {
        let facts = self.facts;
        let refused = self
            .erasures
            .iter()
            .filter(move |erasure| erasure.requested_ms < due_ms && erasure.covers(facts));
        let is_restricted = refused.clone().any(|erasure| erasure.requested_ms <= now_ms);
        let state = if is_restricted {
            State::Restricted
        } else {
            State::Live
        };
        (state, refused.map(By::Erasure))
    }
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{rule}"),
            Self::Instruction(instruction, rule) => write!(f, "{instruction}, in place of {rule}"),
            Self::Refused(instruction, rule) => {
                write!(f, "{instruction}, which does not count against {rule}")
            }
            Self::Erasure(erasure) => {
                write!(f, "request to erase {} of ", erasure.request)?;
                put_time(f, erasure.requested_ms)
            }
            Self::Hold(hold) => {
                write!(f, "hold {} of ", hold.matter)?;
                put_time(f, hold.taken_ms)?;
                match hold.released_ms {
                    Some(released_ms) => {
                        f.write_str(", released ")?;
                        put_time(f, released_ms)
                    }
                    None => Ok(()),
                }
            }
            Self::NoRule(class, rules) => {
                write!(
                    f,
                    "{} has no rule for {class}, so it is not stored (RET-1)",
                    rules.name()
                )
            }
        }
    }
}

fn put_time(f: &mut fmt::Formatter<'_>, unix_ms: u64) -> fmt::Result {
    let at = i64::try_from(unix_ms).ok();
    match at.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        Some(at) => write!(f, "{at}"),
        None => f.write_str("a time beyond the calendar"),
    }
}
