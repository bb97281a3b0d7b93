use jiff::Timestamp;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;

use super::span::DAY_MS;
use super::*;
use crate::message_id::MessageId;
use crate::pseudonym::Pseudonym;

fn ms(text: &str) -> u64 {
    let at: Timestamp = text.parse().unwrap();
    at.as_millisecond().try_into().unwrap()
}

fn span(text: &str) -> Span {
    text.parse().unwrap()
}

fn account() -> SystemId {
    "shop".parse().unwrap()
}

pub(super) fn rule(kind: Kind, anchor: Anchor, after: After, action: Action) -> Rule {
    Rule {
        class: Class::Body,
        kind,
        anchor,
        after,
        action,
        extend: false,
        shorten: false,
        from: "test".into(),
        why: "".into(),
    }
}

fn limit(after: &str, action: Action) -> Rule {
    rule(Kind::Limit, Anchor::Accepted, After::Span(span(after)), action)
}

fn floor(after: &str) -> Rule {
    rule(
        Kind::Floor,
        Anchor::Accepted,
        After::Span(span(after)),
        Action::Keep,
    )
}

/// A body that was accepted at 0 and final a day later.
fn body() -> Facts<'static> {
    let mut facts = Facts::new(account(), Class::Body);
    facts.at.accepted_ms = Some(0);
    facts.at.final_ms = Some(DAY_MS);
    facts
}

fn instruction(wish: Wish, effective_ms: u64) -> Instruction {
    Instruction {
        account: account(),
        class: Class::Body,
        senders: None,
        category: None,
        message: None,
        wish,
        version: 1,
        given_ms: effective_ms,
        effective_ms,
    }
}

fn erasure(requested_ms: u64) -> Erasure {
    Erasure {
        request: "e1".into(),
        scope: Scope::default(),
        requested_ms,
    }
}

fn hold(taken_ms: u64, released_ms: Option<u64>) -> Hold {
    Hold {
        matter: "m1".into(),
        scope: Scope::default(),
        future: false,
        taken_ms,
        released_ms,
    }
}

fn words(decision: &Decision<'_>) -> String {
    let words: Vec<String> = decision.by.iter().map(ToString::to_string).collect();
    words.join("\n")
}

#[test]
fn spans_are_of_the_calendar_and_end_on_the_last_day_of_a_short_month() {
    for (text, from, until) in [
        ("P1M", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("P1M", "2028-01-31T12:34:56.789Z", "2028-02-29T12:34:56.789Z"),
        ("P24M", "2026-01-31T00:00:00Z", "2028-01-31T00:00:00Z"),
        ("P24M", "2024-02-29T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("P7Y", "2026-03-31T00:00:00Z", "2033-03-31T00:00:00Z"),
        ("P1M1D", "2026-01-31T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("P90D", "2026-01-31T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("P2W", "2026-01-31T00:00:00Z", "2026-02-14T00:00:00Z"),
        ("PT10M", "2026-01-31T23:55:00Z", "2026-02-01T00:05:00Z"),
        ("P0D", "2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"),
    ] {
        assert_eq!(span(text).after(ms(from)), ms(until), "{from} + {text}");
    }
    assert_eq!(Span::ZERO.after(u64::MAX), u64::MAX);
    assert_eq!(
        span("P1M").after(u64::MAX),
        u64::MAX,
        "what no calendar has is never"
    );
    assert_eq!(span("P1D").after(u64::MAX), u64::MAX);
}

#[test]
fn spans_are_read_in_one_way_only_and_written_as_they_are_read() {
    for text in [
        "P24M", "P30D", "PT10M", "P0D", "P7Y", "P1M1D", "PT90S", "PT36H", "P12M", "P1M1DT1H",
    ] {
        assert_eq!(span(text).to_string(), text);
    }
    for text in [
        "",
        "P",
        "PT",
        "30D",
        "-P30D",
        "+P30D",
        "P-30D",
        "p30d",
        "PT1.5S",
        "P1.5D",
        "30 days",
        "P1001Y",
        "P400000D",
        "P99999999999999D",
        "P30D ",
        "forever",
    ] {
        assert_eq!(text.parse::<Span>(), Err(SpanError), "{text:?}");
    }
}

#[test]
fn buckets_are_a_thirtieth_at_most_and_a_day_at_most_up_to_ninety_days() {
    for (text, of) in [
        ("PT10M", Bucket::Hour),
        ("P14D", Bucket::Hour),
        ("P1M", Bucket::Hour),
        ("P30D", Bucket::Day),
        ("P90D", Bucket::Day),
        ("P210D", Bucket::Day),
        ("P211D", Bucket::IsoWeek),
        ("P7M", Bucket::IsoWeek),
        ("P24M", Bucket::IsoWeek),
        ("P7Y", Bucket::IsoWeek),
    ] {
        assert_eq!(bucket(span(text)), of, "{text}");
    }
    let at = ms("2026-11-29T17:45:00Z");
    let around = |bucket: Bucket| bucket.around(at);
    assert_eq!(
        around(Bucket::Hour),
        ms("2026-11-29T17:00:00Z")..ms("2026-11-29T18:00:00Z")
    );
    assert_eq!(
        around(Bucket::Day),
        ms("2026-11-29T00:00:00Z")..ms("2026-11-30T00:00:00Z")
    );
    // A Sunday, whose week began on Monday the 23rd.
    assert_eq!(
        around(Bucket::IsoWeek),
        ms("2026-11-23T00:00:00Z")..ms("2026-11-30T00:00:00Z")
    );
    let monday = ms("2026-11-30T00:00:00Z");
    assert_eq!(Bucket::IsoWeek.around(monday).start, monday);
    assert_eq!(Bucket::IsoWeek.around(0), 0..4 * DAY_MS);
    assert_eq!(Bucket::IsoWeek.around(u64::MAX).end, u64::MAX);
}

#[test]
fn a_message_is_final_when_its_validity_ends_at_the_latest() {
    let mut facts = Facts::new(account(), Class::Body);
    let of = |facts: &Facts<'_>| facts.instant(Anchor::Final, None);
    assert_eq!(of(&facts), None);
    facts.at.accepted_ms = Some(1_000);
    assert_eq!(of(&facts), None, "nobody knows how long it is valid");
    facts.at.validity_ms = Some(500);
    assert_eq!(of(&facts), Some(1_500));
    facts.at.final_ms = Some(1_200);
    assert_eq!(of(&facts), Some(1_200));
    facts.at.final_ms = Some(9_000);
    assert_eq!(of(&facts), Some(1_500), "a receipt that came late moves nothing");
}

#[test]
fn due_is_from_the_instant_on_and_not_before() {
    let rules = RuleSet::new("test", [limit("P90D", Action::Purge)]);
    let at = |now_ms| decide(&body(), &rules, &[], &[], &[], None, now_ms);
    let due = 90 * DAY_MS;
    assert_eq!((at(0).state, at(0).due_ms), (State::Live, Some(due)));
    assert_eq!(at(due - 1).state, State::Live);
    assert_eq!((at(due).state, at(due).due_ms), (State::Due, Some(due)));
    assert_eq!(at(due).action, Action::Purge);
    assert_eq!(words(&at(0)), "test: limit, purge at accepted+P90D");
}

#[test]
fn at_one_instant_purge_beats_deidentify_and_the_earlier_beats_both() {
    let deidentify = limit("P30D", Action::Deidentify);
    let same = rule(Kind::Ceiling, Anchor::Accepted, deidentify.after, Action::Purge);
    let rules = RuleSet::new("test", [deidentify.clone(), same]);
    let decision = decide(&body(), &rules, &[], &[], &[], None, 0);
    assert_eq!(
        (decision.action, decision.due_ms),
        (Action::Purge, Some(30 * DAY_MS))
    );
    let rules = RuleSet::new("test", [deidentify, limit("P31D", Action::Purge)]);
    let decision = decide(&body(), &rules, &[], &[], &[], None, 0);
    assert_eq!(
        (decision.action, decision.due_ms),
        (Action::Deidentify, Some(30 * DAY_MS))
    );
}

#[test]
fn an_instruction_counts_where_the_limit_lets_it() {
    let own = |extend, shorten| {
        let limit = Rule {
            extend,
            shorten,
            ..limit("P90D", Action::Purge)
        };
        RuleSet::new("test", [limit])
    };
    let week = [instruction(Wish::After(span("P7D")), 0)];
    let decade = [instruction(Wish::After(span("P10Y")), 0)];
    let due = |rules: &RuleSet, instructions: &[Instruction]| {
        decide(&body(), rules, instructions, &[], &[], None, 0).due_ms
    };
    assert_eq!(due(&own(false, true), &week), Some(7 * DAY_MS));
    assert_eq!(due(&own(true, false), &week), Some(90 * DAY_MS));
    assert_eq!(due(&own(false, true), &decade), Some(90 * DAY_MS));
    assert_eq!(due(&own(true, false), &decade), Some(span("P10Y").after(0)));
    let rules = own(false, true);
    let refused = decide(&body(), &rules, &decade, &[], &[], None, 0);
    assert!(words(&refused).contains("does not count"), "{}", words(&refused));
    // Nothing to move: a class without a rule stays without one.
    let other = RuleSet::new("test", []);
    assert_eq!(
        decide(&body(), &other, &decade, &[], &[], None, 0).state,
        State::NotStored
    );
}

#[test]
fn a_closure_overrides_what_was_instructed() {
    let limit = Rule {
        extend: true,
        ..rule(Kind::Limit, Anchor::Final, After::NoStore, Action::Purge)
    };
    let closed = rule(
        Kind::Ceiling,
        Anchor::Closed,
        After::Span(Span::ZERO),
        Action::Purge,
    );
    let rules = RuleSet::new("test", [limit, closed]);
    let decade = [instruction(Wish::After(span("P10Y")), 0)];
    let due = |closure| decide(&body(), &rules, &decade, &[], &[], closure, 0).due_ms;
    assert_eq!(due(None), Some(span("P10Y").after(DAY_MS)));
    assert_eq!(due(Some(365 * DAY_MS)), Some(365 * DAY_MS));
}

#[test]
fn no_store_means_gone_at_delivery_unless_a_floor_or_a_hold_keeps_it() {
    let no_store = rule(Kind::Limit, Anchor::Final, After::NoStore, Action::Purge);
    let rules = RuleSet::new("test", [no_store.clone()]);
    let at = |now_ms| decide(&body(), &rules, &[], &[], &[], None, now_ms);
    assert_eq!(
        (at(DAY_MS - 1).state, at(DAY_MS).state),
        (State::Live, State::NotStored)
    );
    assert_eq!(at(0).due_ms, Some(DAY_MS));
    let floored = RuleSet::new("test", [no_store, floor("P5Y")]);
    let decision = decide(&body(), &floored, &[], &[], &[], None, DAY_MS);
    assert_eq!(decision.state, State::Live);
    let holds = [hold(5, None)];
    let decision = decide(&body(), &rules, &[], &holds, &[], None, DAY_MS);
    assert_eq!(decision.state, State::Sealed);
    // Instructed when the record has been there for long, it is due from then on.
    let own = Rule {
        shorten: true,
        ..limit("P90D", Action::Purge)
    };
    let rules = RuleSet::new("test", [own]);
    let later = [instruction(Wish::NoStore, 10 * DAY_MS)];
    let decision = decide(&body(), &rules, &later, &[], &[], None, 10 * DAY_MS);
    assert_eq!((decision.state, decision.due_ms), (State::Due, Some(10 * DAY_MS)));
}

#[test]
fn an_instruction_holds_from_its_date_on_for_what_is_there_and_brings_nothing_back() {
    let own = Rule {
        extend: true,
        shorten: true,
        ..limit("P30D", Action::Purge)
    };
    let rules = RuleSet::new("test", [own]);
    let due = |instructions: &[Instruction]| decide(&body(), &rules, instructions, &[], &[], None, 0).due_ms;
    // Older than the new span when it takes effect: due now, not in the past.
    let shorter = instruction(Wish::After(span("P7D")), 20 * DAY_MS);
    assert_eq!(due(std::slice::from_ref(&shorter)), Some(20 * DAY_MS));
    let longer = instruction(Wish::After(span("P60D")), 20 * DAY_MS);
    assert_eq!(due(std::slice::from_ref(&longer)), Some(60 * DAY_MS));
    let too_late = instruction(Wish::After(span("P60D")), 30 * DAY_MS);
    assert_eq!(due(std::slice::from_ref(&too_late)), Some(30 * DAY_MS));
    // The later of two for the same records holds, in whatever order they stand.
    let back = Instruction {
        version: 2,
        ..instruction(Wish::After(span("P40D")), 25 * DAY_MS)
    };
    assert_eq!(due(&[back.clone(), longer.clone()]), Some(40 * DAY_MS));
    assert_eq!(due(&[longer, back]), Some(40 * DAY_MS));
    // What was said last holds, although what was said before had to wait longer.
    let waiting = Instruction {
        given_ms: 5 * DAY_MS,
        ..instruction(Wish::After(span("P60D")), 25 * DAY_MS)
    };
    let last = instruction(Wish::After(span("P28D")), 10 * DAY_MS);
    assert_eq!(due(&[waiting, last]), Some(28 * DAY_MS));
}

#[test]
fn of_instructions_the_closest_holds() {
    let own = Rule {
        shorten: true,
        ..limit("P90D", Action::Purge)
    };
    let rules = RuleSet::new("test", [own]);
    let days = |days| Wish::After(Span::new(0, days, 0).unwrap());
    let senders = |text: &[u8], is_prefix| {
        Some(Senders {
            text: text.into(),
            is_prefix,
        })
    };
    let mut all = vec![
        Instruction {
            message: Some(MessageId(7)),
            ..instruction(days(1), 0)
        },
        Instruction {
            senders: senders(b"Shop", false),
            ..instruction(days(2), 0)
        },
        Instruction {
            senders: senders(b"Sho", true),
            ..instruction(days(3), 0)
        },
        Instruction {
            senders: senders(b"S", true),
            ..instruction(days(4), 0)
        },
        Instruction {
            category: Some(Category::Otp),
            ..instruction(days(5), 0)
        },
        instruction(days(6), 0),
    ];
    let mut facts = body().of_sender(b"Shop");
    facts.message = Some(MessageId(7));
    facts.category = Some(Category::Otp);
    for expected in 1..=6 {
        all.rotate_left(1);
        let due_ms = decide(&facts, &rules, &all, &[], &[], None, 0).due_ms;
        assert_eq!(due_ms, Some(expected * DAY_MS));
        all.retain(|one| one.wish != days(u32::try_from(expected).unwrap()));
    }
    let others = [
        Instruction {
            senders: senders(b"shop", false),
            ..instruction(days(1), 0)
        },
        Instruction {
            account: "other".parse().unwrap(),
            ..instruction(days(1), 0)
        },
        Instruction {
            class: Class::Meta,
            ..instruction(days(1), 0)
        },
        Instruction {
            category: Some(Category::Marketing),
            ..instruction(days(1), 0)
        },
        Instruction {
            message: Some(MessageId(8)),
            ..instruction(days(1), 0)
        },
    ];
    let decision = decide(&facts, &rules, &others, &[], &[], None, 0);
    assert_eq!(decision.due_ms, Some(90 * DAY_MS));
}

#[test]
fn an_erasure_that_a_floor_refuses_restricts_from_its_day_on() {
    let rules = RuleSet::new("test", [limit("P90D", Action::Purge), floor("P60D")]);
    let erasures = [erasure(10 * DAY_MS)];
    let at = |day| decide(&body(), &rules, &[], &[], &erasures, None, day * DAY_MS);
    assert_eq!(at(9).state, State::Live);
    assert_eq!(
        (at(10).state, at(10).due_ms),
        (State::Restricted, Some(60 * DAY_MS))
    );
    assert_eq!(at(59).state, State::Restricted);
    assert_eq!(at(60).state, State::Due);
    let said = words(&at(10));
    assert!(
        said.contains("request to erase e1") && said.contains("floor"),
        "{said}"
    );
    // Without the floor it goes at once, and one of another person does nothing.
    let rules = RuleSet::new("test", [limit("P90D", Action::Purge)]);
    let decision = decide(&body(), &rules, &[], &[], &erasures, None, 10 * DAY_MS);
    assert_eq!((decision.state, decision.due_ms), (State::Due, Some(10 * DAY_MS)));
    let of_other = [Erasure {
        scope: Scope {
            recipient: Some(Pseudonym::from_octets([1; 16])),
            ..Scope::default()
        },
        ..erasure(0)
    }];
    let decision = decide(&body(), &rules, &[], &[], &of_other, None, 0);
    assert_eq!(decision.due_ms, Some(90 * DAY_MS));
}

#[test]
fn what_is_kept_without_end_outlives_an_erasure_and_what_is_kept_until_deleted_does_not() {
    let ever = rule(Kind::Floor, Anchor::Created, After::Never, Action::Keep);
    let rules = RuleSet::new("test", [ever]);
    let at = |erasures: &[Erasure]| {
        let decision = decide(&body(), &rules, &[], &[], erasures, Some(5), u64::MAX);
        (decision.state, decision.due_ms)
    };
    assert_eq!(at(&[]), (State::Live, None));
    assert_eq!(at(&[erasure(7)]), (State::Restricted, None));
    let until_deleted = rule(Kind::Limit, Anchor::Accepted, After::Never, Action::Purge);
    let rules = RuleSet::new("test", [until_deleted]);
    let at = |erasures: &[Erasure]| {
        let decision = decide(&body(), &rules, &[], &[], erasures, Some(5), u64::MAX);
        (decision.state, decision.due_ms)
    };
    assert_eq!(at(&[]), (State::Live, None));
    assert_eq!(at(&[erasure(7)]), (State::Due, Some(7)));
    let said = words(&decide(&body(), &rules, &[], &[], &[], None, 0));
    assert_eq!(said, "test: limit, until deleted");
}

#[test]
fn several_holds_seal_until_the_last_is_released_and_none_that_came_too_late_does() {
    let rules = RuleSet::new("test", [limit("P90D", Action::Purge)]);
    let at = |holds: &[Hold], day: u64| {
        let decision = decide(&body(), &rules, &[], holds, &[], None, day * DAY_MS);
        (decision.state, decision.due_ms.map(|due_ms| due_ms / DAY_MS))
    };
    let first = hold(10 * DAY_MS, Some(100 * DAY_MS));
    // Taken while the first kept it.
    let second = hold(95 * DAY_MS, Some(120 * DAY_MS));
    let late = hold(90 * DAY_MS, None);
    assert_eq!(at(std::slice::from_ref(&first), 89), (State::Live, Some(90)));
    assert_eq!(at(std::slice::from_ref(&first), 90), (State::Sealed, Some(90)));
    assert_eq!(at(std::slice::from_ref(&first), 100), (State::Due, Some(100)));
    let both = [second.clone(), first];
    assert_eq!(at(&both, 119), (State::Sealed, Some(90)));
    assert_eq!(at(&both, 120), (State::Due, Some(120)));
    assert_eq!(at(&[second], 95), (State::Due, Some(90)));
    assert_eq!(at(&[late], 90), (State::Due, Some(90)));
}

#[test]
fn a_hold_covers_what_it_says_and_nothing_else() {
    let mut facts = body();
    facts.recipient = Some(Pseudonym::from_octets([1; 16]));
    facts.message = Some(MessageId(7));
    facts.at.accepted_ms = Some(1_000);
    let covers = |scope: Scope, future| {
        let hold = Hold {
            scope,
            future,
            ..hold(500, None)
        };
        hold.covers(&facts)
    };
    let all = Scope::default();
    assert!(covers(all.clone(), true));
    assert!(!covers(all, false), "it came later");
    let scope = |change: fn(&mut Scope)| {
        let mut scope = Scope::default();
        change(&mut scope);
        scope
    };
    for (change, covered) in [
        (
            (|scope| scope.account = Some("shop".parse().unwrap())) as fn(&mut Scope),
            true,
        ),
        (|scope| scope.account = Some("other".parse().unwrap()), false),
        (
            |scope| scope.recipient = Some(Pseudonym::from_octets([1; 16])),
            true,
        ),
        (
            |scope| scope.recipient = Some(Pseudonym::from_octets([2; 16])),
            false,
        ),
        (|scope| scope.message = Some(MessageId(7)), true),
        (|scope| scope.message = Some(MessageId(8)), false),
        (|scope| scope.class = Some(Class::Body), true),
        (|scope| scope.class = Some(Class::Meta), false),
        (|scope| scope.from_ms = Some(1_000), true),
        (|scope| scope.from_ms = Some(1_001), false),
        (|scope| scope.until_ms = Some(1_001), true),
        (|scope| scope.until_ms = Some(1_000), false),
    ] {
        let scope = scope(change);
        assert_eq!(covers(scope.clone(), true), covered, "{scope:?}");
    }
}

#[test]
fn an_erasure_of_what_is_held_waits_for_the_release_and_then_needs_no_second_request() {
    let rules = RuleSet::new("test", [limit("P90D", Action::Deidentify)]);
    let erasures = [erasure(20 * DAY_MS)];
    let at = |released: Option<u64>, day: u64| {
        let holds = [hold(10 * DAY_MS, released.map(|day| day * DAY_MS))];
        let decision = decide(&body(), &rules, &[], &holds, &erasures, None, day * DAY_MS);
        (decision.state, decision.action)
    };
    assert_eq!(at(None, 20), (State::Sealed, Action::Purge));
    assert_eq!(at(Some(30), 30), (State::Due, Action::Purge));
}

#[test]
fn of_a_class_whose_rule_is_gone_a_hold_keeps_what_was_written() {
    let rules = RuleSet::new("none", []);
    let state = |holds: &[Hold]| decide(&body(), &rules, &[], holds, &[], None, 5).state;
    assert_eq!(state(&[]), State::NotStored);
    assert_eq!(state(&[hold(1, None)]), State::Sealed);
    assert_eq!(state(&[hold(1, Some(3))]), State::NotStored);
    assert_eq!(rules.missing().count(), Class::ALL.len());
}

#[test]
fn a_floor_alone_keeps_until_its_end_and_no_longer() {
    let rules = RuleSet::new("test", [floor("P5Y")]);
    let due = span("P5Y").after(0);
    let at = |now_ms| decide(&body(), &rules, &[], &[], &[], None, now_ms);
    assert_eq!((at(0).state, at(0).due_ms), (State::Live, Some(due)));
    assert_eq!((at(due).state, at(due).action), (State::Due, Action::Purge));
    let late = [erasure(due + 1)];
    let decision = decide(&body(), &rules, &[], &[], &late, None, due);
    assert_eq!(decision.state, State::Due, "asked for when it was gone");
    // One whose anchor has not happened has not passed.
    let open = rule(Kind::Floor, Anchor::Closed, After::Span(Span::ZERO), Action::Keep);
    let rules = RuleSet::new("test", [limit("P1D", Action::Purge), open]);
    let due = |closure| decide(&body(), &rules, &[], &[], &[], closure, 0).due_ms;
    assert_eq!((due(None), due(Some(9 * DAY_MS))), (None, Some(9 * DAY_MS)));
}

#[test]
fn words_are_read_as_they_are_written() {
    for class in Class::ALL {
        assert_eq!(Class::from_word(class.word()), Some(*class));
    }
    assert_eq!(Class::ALL.len(), 23);
    assert_eq!(Anchor::ALL.len(), 9);
    assert_eq!(Class::from_word("Body"), None);
    assert!(Action::Purge > Action::Deidentify && Action::Deidentify > Action::Keep);
}
