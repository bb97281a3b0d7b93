//! How long what is stored of an account is kept: its profile, its jurisdictions, and what it instructs (RET-5).

use std::collections::HashMap;

use tidegate_codec::category::Category;

use super::CATEGORIES;
use crate::country::Country;
use crate::hours::Jurisdiction;
use crate::problem::Fault;
use crate::retention::{
    CLASSES, DataClass, Retention, RetentionProfile, RetentionRule, RuleAfter, is_delivered, period,
};
use crate::route::service_type;
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::value::{boolean, choice, day, shown, text};

const UNSTORED: &str = "no_store_service_types";
const UNSTORED_MAX: usize = 16;
/// Instructions of one account, and jurisdictions, at most.
const INSTRUCTIONS_MAX: usize = 256;
const JURISDICTIONS_MAX: usize = 64;

/// How long what is stored of an account is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionTerms {
    /// Key `retention_profile`, default absent: nothing of the account is stored beyond delivery. The name of a
    /// profile.
    pub profile: Option<String>,
    /// Key `jurisdiction`, at most 64, default that of `country`: whose floors and ceilings hold beside the profile.
    pub jurisdiction: Vec<Jurisdiction>,
    /// Key `no_store_service_types`, at most 16, default `[]`, of up to 5 characters: a message with one of these as its
    /// `service_type` says of itself that its body is not stored beyond delivery (RET-5). The profile must let the account
    /// shorten what it keeps of bodies.
    pub no_store_service_types: Vec<String>,
    /// Tables `retention`, at most 256, sorted by `given`; each is one that the profile lets the account give.
    pub instructions: Vec<RetentionInstruction>,
}

/// One table `[[account.retention]]`: how long the account wants some of its records kept, in place of its profile's
/// limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionInstruction {
    /// Key `class`, required: of what.
    pub class: DataClass,
    /// Key `after`, a duration from the limit's own anchor, or `no_store = true`, not stored beyond delivery (of
    /// `body` and `attach` only): one of the two is required. Never [`RuleAfter::Never`].
    pub wish: RuleAfter,
    /// Key `sender`, default any: of messages of these source addresses, as in `senders`.
    pub sender: Option<SenderPattern>,
    /// Key `category`, default any: of messages that are for this.
    pub category: Option<Category>,
    /// Key `given`, a day in UTC such as `2026-01-31`, default absent (before all others): when the account said so.
    /// In unix milliseconds. Of several for the same records the later holds from then on; what keeps longer than
    /// what held before waits for the profile's `notice_before_change`.
    pub given_ms: Option<u64>,
}

impl RetentionInstruction {
    /// Whether it is about all records that another is about.
    pub fn covers(&self, other: &Self) -> bool {
        self.class == other.class
            && self
                .category
                .is_none_or(|category| other.category == Some(category))
            && match (&self.sender, &other.sender) {
                (None, _) => true,
                (
                    Some(SenderPattern::Prefix(text)),
                    Some(SenderPattern::Exact(of) | SenderPattern::Prefix(of)),
                ) => of.starts_with(text),
                (own, of) => own == of,
            }
    }
}

pub(super) fn read(section: &mut Section<'_>, known: &Retention, country: Option<Country>) -> RetentionTerms {
    let name = section.optional(
        "retention_profile",
        text(|name: &str| match known.profile(name) {
            Some(_) => Ok(name.to_owned()),
            None => Err(Fault::new(
                format!("no profile is called {}", shown::value(name)),
                format!("write one of {}", names(known.profiles.iter())),
            )),
        }),
    );
    let profile = name.as_deref().and_then(|name| known.profile(name));
    let jurisdiction = section.list("jurisdiction", 0..=JURISDICTIONS_MAX, text(Jurisdiction::parse));
    let home = country.map(|country| Jurisdiction {
        country,
        region: None,
    });
    let unstored = section.list(UNSTORED, 0..=UNSTORED_MAX, text(service_type));
    let unstored = unstored.unwrap_or_default();
    let shortens = |profile: &RetentionProfile| {
        profile
            .limit(DataClass::Body)
            .is_none_or(|limit| limit.shorten || limit.after == RuleAfter::NoStore)
    };
    if let Some(profile) = profile.filter(|profile| !unstored.is_empty() && !shortens(profile)) {
        let fault = Fault::new(
            format!("{} lets nobody shorten what is kept of bodies", profile.name),
            "remove it, or define a `[[retention.profile]]` whose limit for body may be shortened",
        );
        section.problem(UNSTORED, fault);
    }
    let entries = section.each_up_to("retention", INSTRUCTIONS_MAX);
    if !entries.is_empty() && !section.has("retention_profile") {
        let fault = Fault::new(
            "the account has no profile, so nothing of it is stored",
            "add `retention_profile = \"…\"`, or remove these",
        );
        section.problem("retention", fault);
    }
    let mut instructions: Vec<RetentionInstruction> = Vec::new();
    let mut seen = HashMap::new();
    let mut read: Vec<_> = entries
        .into_iter()
        .take(INSTRUCTIONS_MAX)
        .filter_map(|mut entry| Some((instruction(&mut entry)?, entry)))
        .collect();
    // In the file's order where none says when.
    read.sort_by_key(|(instruction, _)| instruction.given_ms);
    for (instruction, entry) in read {
        let subject = (
            instruction.class,
            instruction.sender.clone(),
            instruction.category,
        );
        entry.once(
            "class",
            &mut seen,
            (subject, instruction.given_ms),
            "the same is instructed",
            "keep one of the two, or say when each was given: `given = 2026-01-31`",
        );
        if let Some(profile) = profile {
            judge(&entry, &instruction, profile, known);
        }
        entry.finish(&[]);
        instructions.push(instruction);
    }
    RetentionTerms {
        profile: name,
        jurisdiction: jurisdiction.unwrap_or_else(|| home.into_iter().collect()),
        no_store_service_types: unstored,
        instructions,
    }
}

fn instruction(entry: &mut Section<'_>) -> Option<RetentionInstruction> {
    let class = entry.required("class", "say of what: `class = \"body\"`", choice(CLASSES));
    let after = entry.optional("after", period);
    let no_store = entry.or("no_store", false, boolean);
    let sender = entry.optional("sender", text(SenderPattern::parse));
    let category = entry.optional("category", choice(CATEGORIES));
    let given_ms = entry.optional("given", day);
    match (entry.has("after"), no_store) {
        (false, false) => entry.missing("after", "write `after = \"P7D\"` or `no_store = true`"),
        (true, true) => {
            let fault = Fault::new("what is not stored is not kept for a time", "keep one of the two");
            entry.problem("no_store", fault);
        }
        (true, false) | (false, true) => {}
    }
    let wish = if no_store {
        RuleAfter::NoStore
    } else {
        RuleAfter::Period(after?)
    };
    Some(RetentionInstruction {
        class: class?,
        wish,
        sender,
        category,
        given_ms,
    })
}

/// Whether the profile lets the account say so.
fn judge(
    entry: &Section<'_>,
    instruction: &RetentionInstruction,
    profile: &RetentionProfile,
    known: &Retention,
) {
    let (class, wish) = (instruction.class, instruction.wish);
    let word = class.word();
    if wish == RuleAfter::NoStore && !is_delivered(class) {
        let fault = Fault::new(
            format!("{word} is not what a message delivers"),
            "write `after = \"…\"`",
        );
        entry.problem("no_store", fault);
        return;
    }
    let Some(limit) = profile.limit(class) else {
        let is_there = profile.rules.iter().any(|rule| rule.class == class);
        let what = if is_there {
            format!(
                "{} has no limit for {word} that an instruction could move",
                profile.name
            )
        } else {
            format!(
                "{} has no rule for {word}, so nothing of it is stored",
                profile.name
            )
        };
        let remedy = "remove it, or define a `[[retention.profile]]` with a limit for it";
        entry.problem("class", Fault::new(what, remedy));
        return;
    };
    let key = if wish == RuleAfter::NoStore {
        "no_store"
    } else {
        "after"
    };
    if wish.may_exceed(limit.after) && !limit.extend {
        entry.problem(
            key,
            refused(limit, profile, wish, "longer", known, |rule| rule.extend),
        );
        return;
    }
    if limit.after.may_exceed(wish) && !limit.shorten {
        entry.problem(
            key,
            refused(limit, profile, wish, "shorter", known, |rule| rule.shorten),
        );
        return;
    }
    if wish.may_exceed(limit.after)
        && instruction.given_ms.is_none()
        && let Some(period) = profile.notice.period()
    {
        let remedy = format!(
            "say when it was given: `given = 2026-01-31`; what keeps longer waits for notice_before_change ({period})"
        );
        entry.missing("given", &remedy);
    }
}

fn refused(
    limit: &RetentionRule,
    profile: &RetentionProfile,
    wish: RuleAfter,
    how: &str,
    known: &Retention,
    allows: impl Fn(&RetentionRule) -> bool,
) -> Fault {
    let word = limit.class.word();
    let what = format!(
        "{wish} is {how} than {} keeps {word} ({}), and that no instruction may change",
        profile.name, limit.after
    );
    let others = known
        .profiles
        .iter()
        .filter(|other| other.limit(limit.class).is_some_and(&allows));
    let bound = if how == "longer" { "at most" } else { "at least" };
    let mut remedy = format!("write {bound} {}, or remove it", limit.after);
    let others = names(others);
    if !others.is_empty() {
        remedy.push_str(&format!("; profiles that allow it: {others}"));
    }
    Fault::new(what, remedy)
}

fn names<'r>(profiles: impl Iterator<Item = &'r RetentionProfile>) -> String {
    let names: Vec<String> = profiles.map(|profile| format!("\"{}\"", profile.name)).collect();
    names.join(", ")
}
