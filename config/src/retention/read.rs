//! Reads profiles and overlays, from the program's own file and from a configuration alike.

use std::collections::HashMap;

use toml::de::DeValue;

use super::words::{ACTIONS, ANCHORS, KINDS, STANDINGS};
use super::{
    AgeRule, CLASSES, DataClass, MinTls, Notice, Period, RetentionOverlay, RetentionProfile, RetentionRule,
    RuleAction, RuleAfter, RuleKind, period,
};
use crate::country::Country;
use crate::hours::{Jurisdiction, date, source};
use crate::problem::Fault;
use crate::route::route_name;
use crate::section::Section;
use crate::value::{boolean, choice, integer, shown, text, text_of};

const PROFILES_MAX: usize = 64;
const OVERLAYS_MAX: usize = 512;
const RULES_MAX: usize = 128;
const AGES_MAX: usize = 64;
/// Countries that may be named at most: all there are.
const COUNTRIES_MAX: usize = 256;
/// Characters of `why`, at most.
const WHY_MAX: usize = 200;

const NOTICES: &[(&str, Notice)] = &[
    ("posted", Notice::Posted),
    ("advance-notice", Notice::Advance),
    ("email-if-rights-change", Notice::EmailIfRightsChange),
];
const MIN_TLS: &[(&str, MinTls)] = &[
    (MinTls::Tls12.word(), MinTls::Tls12),
    (MinTls::Tls13.word(), MinTls::Tls13),
    (MinTls::Secure.word(), MinTls::Secure),
];

/// Profiles whose names are none of `taken`.
pub(super) fn profiles(section: &mut Section<'_>, taken: &[RetentionProfile]) -> Vec<RetentionProfile> {
    let sections = section.each_up_to("profile", PROFILES_MAX);
    let mut seen = HashMap::new();
    let mut profiles = Vec::new();
    for mut section in sections.into_iter().take(PROFILES_MAX) {
        let name = section.required("name", "name the profile: `name = \"…\"`", text(name));
        if let Some(name) = &name {
            if taken.iter().any(|profile| profile.name == *name) {
                let fault = Fault::new("is one of the program's own profiles", "give yours another name");
                section.problem("name", fault);
            }
            section.once(
                "name",
                &mut seen,
                name.clone(),
                "is taken",
                "give each profile its own name",
            );
        }
        let erasure_sla = section.required("erasure_sla", "write `erasure_sla = \"P30D\"`", period);
        let request_due = section.required("request_due", "write `request_due = \"P30D\"`", period);
        let request_due_max = section.optional("request_due_max", period);
        if let (Some(due), Some(max)) = (request_due, request_due_max)
            && due.may_exceed(max)
        {
            let fault = format!("{max} is less than request_due = \"{due}\"");
            section.problem(
                "request_due_max",
                Fault::new(fault, "give the longest time in total"),
            );
        }
        let remedy = "write \"posted\", \"advance-notice\", \"email-if-rights-change\" or a duration, such as \"P30D\"";
        let notice = section.required("notice_before_change", remedy, notice);
        let ages = section.each_up_to("age", AGES_MAX);
        let ages = ages.into_iter().filter_map(age).collect();
        let min_tls = section.required("min_tls", "write \"1.2\", \"1.3\" or \"secure\"", choice(MIN_TLS));
        let rules = rules(&mut section);
        let remedy = "say where the profile comes from: `source = \"…\"`";
        let source = section.required("source", remedy, text(source));
        let remedy = "say when that was: `checked = \"2026-11-29\"`";
        let checked = section.required("checked", remedy, text(date));
        section.finish(&[
            ("rules", "write `rule = [{ … }]`"),
            ("ages", "write `age = [{ … }]`"),
        ]);
        let read = || {
            Some(RetentionProfile {
                name: name?,
                rules,
                erasure_sla: erasure_sla?,
                request_due: request_due?,
                request_due_max,
                notice: notice?,
                ages,
                min_tls: min_tls?,
                source: source?,
                checked: checked?,
            })
        };
        profiles.extend(read());
    }
    profiles
}

pub(super) fn overlays(section: &mut Section<'_>) -> Vec<RetentionOverlay> {
    let sections = section.each_up_to("overlay", OVERLAYS_MAX);
    let read = |mut section: Section<'_>| {
        let remedy = "name whose rule it is: `jurisdiction = \"US\"`, or a state's, \"US-FL\"";
        let jurisdiction = section.required("jurisdiction", remedy, text(Jurisdiction::parse));
        let rule = rule(&mut section);
        if rule.as_ref().is_some_and(|rule| rule.kind == RuleKind::Limit) {
            let fault = Fault::new(
                "a jurisdiction has floors and ceilings; limits are a profile's",
                "write \"floor\" or \"ceiling\"",
            );
            section.problem("kind", fault);
        }
        section.finish(&[]);
        Some(RetentionOverlay {
            jurisdiction: jurisdiction?,
            rule: rule?,
        })
    };
    sections.into_iter().take(OVERLAYS_MAX).filter_map(read).collect()
}

fn rules(section: &mut Section<'_>) -> Vec<RetentionRule> {
    let sections = section.each_up_to("rule", RULES_MAX);
    let mut limits = HashMap::new();
    let mut rules = Vec::new();
    for mut section in sections.into_iter().take(RULES_MAX) {
        let read = rule(&mut section);
        if let Some(rule) = &read
            && rule.kind == RuleKind::Limit
        {
            let what = format!("{} has a limit already", rule.class.word());
            section.once("class", &mut limits, rule.class, &what, "keep one of the two");
        }
        section.finish(&[]);
        rules.extend(read);
    }
    rules
}

/// The keys of a rule; what else stands in its table is the caller's.
fn rule(section: &mut Section<'_>) -> Option<RetentionRule> {
    let class = section.required("class", "say of what: `class = \"body\"`", choice(CLASSES));
    let kind = section.required("kind", "write \"limit\", \"floor\" or \"ceiling\"", choice(KINDS));
    let remedy = "say from when it counts: `anchor = \"accepted\"`";
    let anchor = section.required("anchor", remedy, choice(ANCHORS));
    let remedy = "say how long after: `after = \"P90D\"`, \"never\" or \"no-store\"";
    let after = section.required("after", remedy, after);
    let remedy = "say what happens then: \"purge\", \"deidentify\" or \"keep\"";
    let action = section.required("action", remedy, choice(ACTIONS));
    let extend = section.or("extend", false, boolean);
    let shorten = section.or("shorten", false, boolean);
    let why = section.optional("why", text(why)).unwrap_or_default();
    let remedy = "say where the rule comes from: `source = \"…\"`";
    let source = section.required("source", remedy, text(source));
    let standing = section.required("standing", "say how sure it is", choice(STANDINGS));
    let remedy = "say when somebody looked there: `checked = \"2026-11-29\"`";
    let checked = section.required("checked", remedy, text(date));
    let rule = RetentionRule {
        class: class?,
        kind: kind?,
        anchor: anchor?,
        after: after?,
        action: action?,
        extend,
        shorten,
        why,
        source: source?,
        standing: standing?,
        checked: checked?,
    };
    contradictions(section, &rule);
    Some(rule)
}

/// Keys that do not go together.
fn contradictions(section: &Section<'_>, rule: &RetentionRule) {
    let of = rule.kind.word();
    let is_floor = rule.kind == RuleKind::Floor;
    if is_floor != (rule.action == RuleAction::Keep) {
        let (what, remedy) = if is_floor {
            ("a floor only keeps", "write `action = \"keep\"`")
        } else {
            (
                "what keeps is a floor",
                "write `kind = \"floor\"`, or `after = \"never\"` with \"purge\": until deleted",
            )
        };
        section.problem("action", Fault::new(what, remedy));
    }
    if rule.kind != RuleKind::Limit && (rule.extend || rule.shorten) {
        let key = if rule.extend { "extend" } else { "shorten" };
        let what = format!("instructions move limits, and this is a {of}");
        section.problem(key, Fault::new(what, format!("remove `{key}`")));
    }
    match rule.after {
        RuleAfter::NoStore if rule.kind != RuleKind::Limit || !is_delivered(rule.class) => {
            let what = "only a limit of body or attach is \"no-store\"";
            section.problem("after", Fault::new(what, "write a duration, such as \"P0D\""));
        }
        RuleAfter::Never if rule.kind == RuleKind::Ceiling => {
            let fault = Fault::new(
                "a ceiling without a date is none",
                "write a duration, such as \"P7Y\"",
            );
            section.problem("after", fault);
        }
        RuleAfter::NoStore | RuleAfter::Never | RuleAfter::Period(_) => {}
    }
}

/// Whether it is what a message delivers, so that it can be gone with the delivery.
pub(crate) const fn is_delivered(class: DataClass) -> bool {
    matches!(class, DataClass::Body | DataClass::Attach)
}

fn after(value: &DeValue<'_>) -> Result<RuleAfter, Fault> {
    match text_of(value)? {
        "never" => Ok(RuleAfter::Never),
        "no-store" => Ok(RuleAfter::NoStore),
        _ => period(value).map(RuleAfter::Period),
    }
}

fn notice(value: &DeValue<'_>) -> Result<Notice, Fault> {
    let word = text_of(value)?;
    let known = NOTICES.iter().find(|(known, _)| *known == word);
    match (known, Period::parse(word)) {
        (Some((_, notice)), _) => Ok(*notice),
        (None, Some(period)) => Ok(Notice::Period(period)),
        // In the words of the other choice.
        (None, None) => choice(NOTICES)(value).map_err(|fault| Fault {
            remedy: format!("{}, or a duration such as \"P30D\"", fault.remedy),
            ..fault
        }),
    }
}

fn age(mut section: Section<'_>) -> Option<AgeRule> {
    let years = section.required("years", "say how old: `years = 16`", integer(1..=99_u8));
    let countries = section.list("countries", 0..=COUNTRIES_MAX, text(Country::parse));
    let or_local = section.or("or_local", false, boolean);
    section.finish(&[]);
    Some(AgeRule {
        years: years?,
        countries: countries.unwrap_or_default(),
        or_local,
    })
}

fn name(text: &str) -> Result<String, Fault> {
    route_name(text).map_err(|fault| Fault {
        what: format!("{} is no name of a profile", shown::value(text)),
        ..fault
    })
}

fn why(text: &str) -> Result<String, Fault> {
    if text.chars().count() <= WHY_MAX && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        "too long, or with control characters",
        format!("write up to {WHY_MAX} characters on one line"),
    ))
}
