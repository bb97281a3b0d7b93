//! What the tables hold of messages, and what the rules say of them.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_config::{AbuseAction, AbuseRules};

use super::*;

const WHOSE: (usize, u32) = (3, 0);

fn abuse() -> Abuse {
    Abuse::with_room(&mut ChaCha20Rng::seed_from_u64(7), [64; 5])
}

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix_ms: seconds * 1_000,
    }
}

/// The rules of an account with this for its `country_day`.
fn with_budgets(budgets: &str) -> AbuseRules {
    let text = include_str!("../../../config/tidegate.toml")
        .replace("country_day = {} ", &format!("country_day = {budgets} "));
    tidegate_config::parse(&text).unwrap().abuse.rules
}

pub(super) fn signal(account: &str, count: u32) -> Signal {
    Signal {
        account: account.parse().unwrap(),
        rule: AbuseRule::Run,
        content: None,
        action: AbuseAction::Suspend,
        sender: None,
        subject: None,
        country: None,
        count,
        limit: 5,
        score: 1,
        at_ms: 7,
    }
}

/// What is said to a message, by rule; it is noted if it comes in.
fn send(
    abuse: &mut Abuse,
    now: Now,
    rules: &AbuseRules,
    number: &str,
    country: &str,
) -> Vec<(AbuseRule, u32, bool)> {
    let mut watched = abuse.watched(WHOSE, number.as_bytes(), Country::new(country), rules, None);
    let found = abuse.ask(now, rules, &mut watched).unwrap();
    if found.iter().all(|found| !found.action.refuses()) {
        abuse.note(now, rules, &watched);
    }
    found
        .iter()
        .map(|found| (found.rule, found.count, found.is_new))
        .collect()
}

#[test]
fn codes_to_numbers_in_a_row_are_seen_at_five_and_stopped_at_twenty() {
    let (mut abuse, rules) = (abuse(), AbuseRules::default());
    let told: Vec<_> = (0..25)
        .map(|n| {
            send(
                &mut abuse,
                at(n),
                &rules,
                &format!("25470012{:04}", 100 + n),
                "KE",
            )
        })
        .collect();
    assert!(told[..4].iter().all(Vec::is_empty), "{told:?}");
    assert_eq!(told[4], [(AbuseRule::Run, 5, true)]);
    assert_eq!(told[19], [(AbuseRule::Run, 20, false)]);
    assert_eq!(told[20], [(AbuseRule::Prefix, 20, true)]);
    assert_eq!(told[24], [(AbuseRule::Prefix, 20, false)]);
    // Elsewhere the account goes on, and so does another one there.
    assert!(send(&mut abuse, at(25), &rules, "254711120100", "KE").is_empty());
    let mut other = abuse.watched((4, 0), b"254700120100", Country::new("KE"), &rules, None);
    assert!(abuse.ask(at(25), &rules, &mut other).unwrap().is_empty());
    // What was noted of an account is forgotten with its epoch.
    let mut anew = abuse.watched((3, 1), b"254700120130", Country::new("KE"), &rules, None);
    assert!(abuse.ask(at(25), &rules, &mut anew).unwrap().is_empty());
    // And an hour later it has gone by itself.
    assert!(send(&mut abuse, at(4_200), &rules, "254700120130", "KE").is_empty());
}

#[test]
fn a_country_has_a_budget_of_a_day_and_those_without_one_share_what_is_said_of_the_rest() {
    let (mut abuse, rules) = (abuse(), with_budgets("{ KE = 2, \"*\" = 1 }"));
    let mut send = |seconds, number: &str, country| send(&mut abuse, at(seconds), &rules, number, country);
    let over = |count, is_new| vec![(AbuseRule::Country, count, is_new)];
    assert_eq!(send(1, "254700120100", "KE"), []);
    assert_eq!(send(2, "254711120200", "KE"), []);
    assert_eq!(send(3, "254722120300", "KE"), over(2, true));
    assert_eq!(send(4, "254722120300", "KE"), over(2, false));
    assert_eq!(send(5, "255700120100", "TZ"), []);
    assert_eq!(send(6, "256700120100", "UG"), over(1, true));
    assert_eq!(send(24 * 3_600, "254722120300", "KE"), [], "a day later");
}

#[test]
fn tables_stay_within_their_bounds_and_what_they_forget_is_counted() {
    let (mut abuse, rules) = (abuse(), AbuseRules::default());
    for n in 0..1_000_u64 {
        let number = format!("2547{n:04}0100");
        send(&mut abuse, at(n / 100), &rules, &number, "KE");
    }
    assert_eq!(abuse.evicted(AbuseTable::Numbers), 1_000 - 64);
    assert_eq!(abuse.evicted(AbuseTable::Prefixes), 1_000 - 64);
    assert_eq!(abuse.evicted(AbuseTable::Countries), 0);
}

#[test]
fn a_number_is_split_where_its_neighbours_differ() {
    assert_eq!(split(b"254700120100"), Some((&b"25470012"[..], 100)));
    assert_eq!(split(b"1234567"), Some((&b"123"[..], 4_567)));
    for short in [&b"123456"[..], b"55555", b"", b"+254700x100"] {
        assert_eq!(split(short), None);
    }
}

#[test]
fn one_account_does_not_push_out_the_signals_of_another() {
    let mut abuse = abuse();
    abuse.keep_signal(signal("quiet", 5));
    for count in 0..5_000 {
        abuse.keep_signal(signal("loud", count));
    }
    let left: Vec<u32> = abuse.signals().map(|signal| signal.count).collect();
    assert_eq!((left.len(), left[0], left[1]), (1 + OWN_SIGNALS_MAX, 5, 4_900));
}

#[test]
fn a_clock_that_is_set_back_gives_no_budget_anew() {
    let (mut abuse, rules) = (abuse(), with_budgets("{ KE = 1 }"));
    let mut on = |day: u64| {
        let now = Now {
            unix_ms: day * DAY_MS,
            ..at(7)
        };
        send(&mut abuse, now, &rules, "254700120100", "KE")
    };
    assert_eq!(on(9), []);
    let over = [(AbuseRule::Country, 1, true)];
    assert_eq!(on(8), over);
    assert_eq!(on(10), []);
}

/// A reference is for the sender to choose: one that stays the same must not make codes parts of one text.
#[test]
fn a_part_that_comes_again_counts_by_all_rules_and_the_rest_of_a_text_by_none() {
    let rules = AbuseRules::default();
    let told = |places: &[(u8, u8)]| {
        let mut abuse = abuse();
        let mut told = Vec::new();
        for (total, sequence) in places {
            let place = Place::new(Reference::Udh8(1), *total, *sequence);
            let mut watched = abuse.watched(WHOSE, b"254700120100", Country::new("KE"), &rules, place);
            let found = abuse.ask(at(7), &rules, &mut watched).unwrap();
            told.push(found.first().map(|found| (found.rule, found.count)));
            if found.is_empty() {
                abuse.note(at(7), &rules, &watched);
            }
        }
        told
    };
    let over = Some((AbuseRule::Number, 3));
    assert_eq!(told(&[(2, 1); 4]), [None, None, None, over]);
    let long: Vec<_> = (1..=PARTS_MAX).map(|part| (PARTS_MAX, part)).collect();
    assert_eq!(told(&long), [None; PARTS_MAX as usize]);
    // Of more parts than that each one counts.
    let longer: Vec<_> = (1..=4).map(|part| (PARTS_MAX + 1, part)).collect();
    assert_eq!(told(&longer), [None, None, None, over]);
}
