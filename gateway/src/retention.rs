//! Rules of retention as the store decides by them, made of what the configuration says.
//!
//! Neither crate knows the other's words, so that each is matched here, one by one.

use tidegate_config::{
    Account, DataClass, Period, Retention, RetentionInstruction, RetentionRule, RuleAction, RuleAfter,
    RuleAnchor, RuleKind, SenderPattern,
};
use tidegate_store::rules::{
    Action, After, Anchor, Class, Instruction, Kind, Rule, RuleSet, Senders, Span, Wish,
};

/// What holds for an account: its profile, and what its jurisdictions add. Without a profile no class has a rule, and
/// nothing of the account is stored beyond delivery (RET-1).
pub fn rules_of(retention: &Retention, account: &Account) -> RuleSet {
    let terms = &account.retention;
    let profile = terms.profile.as_deref().and_then(|name| retention.profile(name));
    let Some(profile) = profile else {
        return RuleSet::new("an account without a retention_profile", []);
    };
    let own = profile.rules.iter().map(|row| rule(row, profile.name.clone()));
    let overlays = retention.overlays_of(&terms.jurisdiction);
    let added = overlays.map(|overlay| rule(&overlay.rule, format!("jurisdiction {}", overlay.jurisdiction)));
    RuleSet::new(&profile.name, own.chain(added))
}

/// What an account instructs, with the day from which each holds: what may keep longer waits for the profile's
/// `notice_before_change` (RET-5).
pub fn instructions_of(retention: &Retention, account: &Account) -> Vec<Instruction> {
    let terms = &account.retention;
    let profile = terms.profile.as_deref().and_then(|name| retention.profile(name));
    let Some(profile) = profile else {
        return Vec::new();
    };
    let mut given: Vec<(&RetentionInstruction, Instruction)> = Vec::new();
    // They stand in the order in which they were given.
    for (row, version) in terms.instructions.iter().zip(1..) {
        let Some(mut instruction) = instruction(account, row, version) else {
            continue;
        };
        let is_before = |(other, before): &&(&RetentionInstruction, Instruction)| {
            before.effective_ms <= instruction.given_ms && other.given_ms < row.given_ms && other.covers(row)
        };
        let in_force = given
            .iter()
            .filter(is_before)
            .max_by_key(|(_, before)| before.rank());
        let before = match (in_force, profile.limit(row.class)) {
            (Some((other, _)), _) => other.wish,
            (None, Some(limit)) => limit.after,
            // The configuration has none without a limit.
            (None, None) => RuleAfter::Never,
        };
        if let Some(notice) = profile.notice.period()
            && row.given_ms.is_some()
            && row.wish.may_exceed(before)
        {
            instruction.effective_ms = span(notice).after(instruction.given_ms);
        }
        given.push((row, instruction));
    }
    given.into_iter().map(|(_, instruction)| instruction).collect()
}

fn instruction(account: &Account, row: &RetentionInstruction, version: u32) -> Option<Instruction> {
    let given_ms = row.given_ms.unwrap_or(0);
    let senders = row.sender.as_ref().map(|sender| match sender {
        SenderPattern::Exact(text) => Senders {
            text: text.as_bytes().into(),
            is_prefix: false,
        },
        SenderPattern::Prefix(text) => Senders {
            text: text.as_bytes().into(),
            is_prefix: true,
        },
    });
    Some(Instruction {
        account: account.system_id,
        class: class(row.class),
        senders,
        category: row.category,
        message: None,
        wish: match after(row.wish) {
            After::Span(span) => Wish::After(span),
            After::NoStore => Wish::NoStore,
            // The configuration has none: nothing is instructed so.
            After::Never => return None,
        },
        version,
        given_ms,
        effective_ms: given_ms,
    })
}

fn rule(row: &RetentionRule, from: String) -> Rule {
    Rule {
        class: class(row.class),
        kind: match row.kind {
            RuleKind::Limit => Kind::Limit,
            RuleKind::Floor => Kind::Floor,
            RuleKind::Ceiling => Kind::Ceiling,
        },
        anchor: match row.anchor {
            RuleAnchor::Accepted => Anchor::Accepted,
            RuleAnchor::Received => Anchor::Received,
            RuleAnchor::Final => Anchor::Final,
            RuleAnchor::Created => Anchor::Created,
            RuleAnchor::LastUsed => Anchor::LastUsed,
            RuleAnchor::Closed => Anchor::Closed,
            RuleAnchor::Disconnected => Anchor::Disconnected,
            RuleAnchor::Instructed => Anchor::Instructed,
            RuleAnchor::PurposeEnded => Anchor::PurposeEnded,
        },
        after: after(row.after),
        action: match row.action {
            RuleAction::Keep => Action::Keep,
            RuleAction::Deidentify => Action::Deidentify,
            RuleAction::Purge => Action::Purge,
        },
        extend: row.extend,
        shorten: row.shorten,
        from: from.into(),
        why: row.why.as_str().into(),
    }
}

fn after(after: RuleAfter) -> After {
    match after {
        RuleAfter::Period(period) => After::Span(span(period)),
        RuleAfter::NoStore => After::NoStore,
        RuleAfter::Never => After::Never,
    }
}

/// The store's span of the configuration's.
pub(crate) fn span(period: Period) -> Span {
    let (months, days, seconds) = period.parts();
    // Both crates keep to a thousand years; a test holds it.
    Span::new(months, days, seconds.saturating_mul(1_000)).unwrap_or(Span::ZERO)
}

/// The store's class of the configuration's.
pub const fn class(class: DataClass) -> Class {
    match class {
        DataClass::Body => Class::Body,
        DataClass::Attach => Class::Attach,
        DataClass::Meta => Class::Meta,
        DataClass::Usage => Class::Usage,
        DataClass::Stats => Class::Stats,
        DataClass::Billing => Class::Billing,
        DataClass::AccountCore => Class::AccountCore,
        DataClass::AccountOther => Class::AccountOther,
        DataClass::Cred => Class::Cred,
        DataClass::Subrec => Class::Subrec,
        DataClass::Support => Class::Support,
        DataClass::Access => Class::Access,
        DataClass::Audit => Class::Audit,
        DataClass::Optout => Class::Optout,
        DataClass::Consent => Class::Consent,
        DataClass::Contact => Class::Contact,
        DataClass::Convo => Class::Convo,
        DataClass::Route => Class::Route,
        DataClass::Fraud => Class::Fraud,
        DataClass::Otp => Class::Otp,
        DataClass::Legal => Class::Legal,
        DataClass::Export => Class::Export,
        DataClass::Trace => Class::Trace,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_store::rules::{Facts, State, decide};

    use super::*;

    const DAY_MS: u64 = 86_400_000;
    /// 1 November 2026.
    const NOVEMBER_MS: u64 = 20_758 * DAY_MS;

    fn terms(profile: &str, more: &str) -> (RuleSet, Vec<Instruction>, Account) {
        let text = include_str!("../../config/tidegate.toml")
            .replacen("min_transport = \"clear\"", "min_transport = \"tls1.3\"", 1)
            .replacen(
                "state = \"active\"",
                &format!("{profile}\n{more}\nstate = \"active\""),
                1,
            );
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let account = config.accounts[0].clone();
        (
            rules_of(&config.retention, &account),
            instructions_of(&config.retention, &account),
            account,
        )
    }

    #[test]
    fn both_crates_have_the_same_words() {
        for known in Class::ALL {
            let of_file = DataClass::from_word(known.word()).unwrap_or_else(|| panic!("{known}"));
            assert_eq!(class(of_file), *known);
        }
        for text in [
            "P1000Y",
            "P366000D",
            "P7Y",
            "P24M",
            "P1M1D",
            "PT10M",
            "P0D",
            "PT8784000H",
        ] {
            let period = Period::parse(text).unwrap();
            assert_eq!(span(period).to_string(), text);
            assert_eq!(text.parse::<Span>(), Ok(span(period)));
            assert_eq!(period.to_string(), text);
        }
        for text in ["P1001Y", "P366001D", "PT8784001H", "-P1D", "p1d"] {
            assert_eq!(Period::parse(text), None, "{text}");
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(
            RuleAnchor::from_word("purpose_ended"),
            Some(RuleAnchor::PurposeEnded)
        );
        for anchor in Anchor::ALL {
            assert!(RuleAnchor::from_word(anchor.word()).is_some(), "{anchor}");
        }
    }

    #[test]
    fn without_a_profile_nothing_has_a_rule() {
        let (rules, instructions, _) = terms("", "country = \"US\"");
        assert_eq!(
            rules.missing().count(),
            Class::ALL.len(),
            "an overlay alone stores nothing"
        );
        assert!(instructions.is_empty());
    }

    #[test]
    fn what_keeps_longer_waits_for_the_notice_and_what_keeps_shorter_does_not() {
        let rows = "retention = [{ class = \"body\", after = \"P7D\" }, { class = \"body\", after = \"P60D\", given = \
                    2026-11-01 }, { class = \"meta\", after = \"P1D\", given = 2026-11-01 }]";
        let (rules, instructions, account) = terms("retention_profile = \"fixed-term\"", rows);
        let effective: Vec<u64> = instructions.iter().map(|one| one.effective_ms).collect();
        assert_eq!(effective, [0, NOVEMBER_MS + 30 * DAY_MS, NOVEMBER_MS]);
        assert_eq!(instructions[1].given_ms, NOVEMBER_MS);
        // What is a week old before the change holds does not come back.
        let due = |accepted_ms: u64| {
            let mut facts = Facts::new(account.system_id, Class::Body);
            facts.at.accepted_ms = Some(accepted_ms);
            let decision = decide(&facts, &rules, &instructions, &[], &[], None, accepted_ms);
            assert_eq!(decision.state, State::Live);
            decision.due_ms.map(|due_ms| (due_ms - accepted_ms) / DAY_MS)
        };
        assert_eq!(due(NOVEMBER_MS), Some(7));
        assert_eq!(due(NOVEMBER_MS + 25 * DAY_MS), Some(60));
    }

    #[test]
    fn what_held_before_is_what_is_in_force_and_about_all_of_it() {
        let effective = |rows: &str| {
            let rows = format!("retention = [{rows}]");
            let (_, instructions, _) = terms("retention_profile = \"fixed-term\"", &rows);
            let days = instructions
                .iter()
                .map(|one| one.effective_ms.saturating_sub(NOVEMBER_MS) / DAY_MS);
            days.collect::<Vec<_>>()
        };
        let week = "{ class = \"body\", after = \"P7D\" }";
        // Longer than the account's own week, for one sender.
        let shop = "{ class = \"body\", after = \"P60D\", sender = \"Shop\", given = 2026-11-01 }";
        assert_eq!(effective(&format!("{week}, {shop}")), [0, 30]);
        assert_eq!(effective(shop), [0]);
        // Shorter than what still waits, and longer than what is in force.
        let longer = "{ class = \"body\", after = \"P60D\", given = 2026-11-01 }";
        let between = "{ class = \"body\", after = \"P10D\", given = 2026-11-11 }";
        assert_eq!(effective(&format!("{week}, {longer}, {between}")), [0, 30, 40]);
        let afterwards = "{ class = \"body\", after = \"P10D\", given = 2026-12-11 }";
        assert_eq!(effective(&format!("{week}, {longer}, {afterwards}")), [0, 30, 40]);
        let shorter = "{ class = \"body\", after = \"P10D\", given = 2026-12-21 }";
        assert_eq!(effective(&format!("{longer}, {shorter}")), [0, 50]);
    }

    #[test]
    fn a_jurisdiction_adds_its_floor() {
        let consent = |country: &str| {
            let (rules, ..) = terms("retention_profile = \"fixed-term\"", country);
            rules.of(Class::Consent).len()
        };
        assert_eq!((consent(""), consent("country = \"US\"")), (1, 2));
    }
}
