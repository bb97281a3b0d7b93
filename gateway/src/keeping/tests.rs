//! What rules say of lots, and of a clock that is set back.

use tidegate_store::history::{AddUp, Direction, Lot};
use tidegate_store::rules::{Hold, Scope as Covered};
use tidegate_store::seal::KeyId;
use tidegate_store::standing::Scope;

use super::*;

const DAY_MS: u64 = 24 * 3_600_000;
/// 1 November 2026.
const NOVEMBER_MS: u64 = 20_758 * DAY_MS;

fn keeping(profile: &str, more: &str) -> (Keeping, SystemId) {
    let text = include_str!("../../../config/tidegate.toml");
    // What profiles ask of binds is not looked at here.
    let text = text
        .replacen("min_transport = \"clear\"", "min_transport = \"tls1.3\"", 1)
        .replacen(
            "state = \"active\"",
            &format!("{profile}\n{more}\nstate = \"active\""),
            1,
        );
    let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let account = config.accounts[0].system_id;
    let tables = Arc::new(Tables::default());
    (
        Keeping::new(&config, tables, Believed::since(NOVEMBER_MS), Closures::default()),
        account,
    )
}

/// Of the first of November, its last message ended so long behind the day's beginning.
fn lot(account: SystemId, class: Kept, last: u64) -> Lot {
    Lot {
        account,
        class,
        bucket: Bucket::Day,
        length: "P90D".into(),
        period: 20_758 * 24,
        key: KeyId(7),
        blocks: 1,
        records: 1,
        octets: 1,
        made_ms: 0,
        first_ms: NOVEMBER_MS,
        last_ms: NOVEMBER_MS + last,
        is_there: true,
    }
}

/// Long after everything.
const LATER_MS: u64 = NOVEMBER_MS + 5_000 * DAY_MS;

fn due(keeping: &Keeping, lot: &Lot) -> (u64, AddUp) {
    let Stands::Due { since_ms, add_up } = keeping.lot(lot, LATER_MS) else {
        panic!("{:?}", keeping.lot(lot, LATER_MS));
    };
    assert_eq!(keeping.lot(lot, since_ms - 1), Stands::Until(since_ms));
    assert!(matches!(keeping.lot(lot, since_ms), Stands::Due { .. }));
    (since_ms - NOVEMBER_MS, add_up)
}

#[test]
fn a_lot_is_due_with_the_record_of_it_that_is_kept_longest() {
    let (fixed, account) = keeping("retention_profile = \"fixed-term\"", "");
    let hour = DAY_MS / 24;
    // By its acceptance: at the end of its period at the latest, however late it ended.
    let ended_late = lot(account, Kept::Body, 3 * DAY_MS);
    assert_eq!(due(&fixed, &ended_late), (91 * DAY_MS - 1, AddUp::No));
    // And never later than it ended.
    assert_eq!(
        due(&fixed, &lot(account, Kept::Body, hour)),
        (90 * DAY_MS + hour, AddUp::No)
    );
    // By its end.
    let (anonymise, account) = keeping("retention_profile = \"anonymise-30\"", "");
    let of_final = lot(account, Kept::Meta, 23 * hour);
    assert_eq!(due(&anonymise, &of_final), (30 * DAY_MS + 23 * hour, AddUp::Yes));
    let (until_deleted, account) = keeping("retention_profile = \"until-deleted\"", "");
    assert_eq!(
        until_deleted.lot(&lot(account, Kept::Meta, 0), LATER_MS),
        Stands::Undated
    );
    let (none, account) = keeping("", "");
    assert_eq!(
        none.lot(&lot(account, Kept::Meta, 0), LATER_MS),
        Stands::WithoutRule
    );
    let nobody = lot("nobody".parse().unwrap(), Kept::Meta, 0);
    assert_eq!(fixed.lot(&nobody, LATER_MS), Stands::WithoutRule);
}

#[test]
fn what_is_instructed_for_a_sender_or_a_category_holds_the_lot_back() {
    let days = |rows: &str| {
        let rows = format!("retention = [{rows}]");
        let (keeping, account) = keeping("retention_profile = \"fixed-term\"", &rows);
        let (after_ms, _) = due(&keeping, &lot(account, Kept::Body, 0));
        after_ms / DAY_MS
    };
    let week = "{ class = \"body\", after = \"P7D\" }";
    assert_eq!(days(week), 7);
    assert_eq!(
        days(&format!(
            "{week}, {{ class = \"body\", after = \"P60D\", sender = \"Shop\" }}"
        )),
        60
    );
    assert_eq!(
        days(&format!(
            "{week}, {{ class = \"body\", after = \"P30D\", category = \"otp\" }}"
        )),
        30
    );
    // What only begins like an address that has one of its own.
    let both = "{ class = \"body\", after = \"P60D\", sender = \"Sh*\" }, \
                { class = \"body\", after = \"P1D\", sender = \"Sh\" }";
    assert_eq!(days(&format!("{week}, {both}")), 60);
    // Shorter for some leaves the others as they were.
    assert_eq!(
        days("{ class = \"body\", after = \"P7D\", sender = \"Shop*\" }"),
        90
    );
    assert_eq!(
        days("{ class = \"body\", no_store = true, category = \"otp\" }"),
        90
    );
    assert_eq!(
        days(&format!(
            "{week}, {{ class = \"meta\", after = \"P60D\", sender = \"Shop\" }}"
        )),
        7
    );
}

#[test]
fn what_is_due_stays_due_when_the_clock_is_set_back() {
    let (keeping, account) = keeping("retention_profile = \"fixed-term\"", "");
    let accepted_ms = NOVEMBER_MS - 90 * DAY_MS + 1_000;
    let ended = Ended {
        account,
        id: MessageId(1),
        source: b"Shop",
        to: None,
        category: 0,
        service_type: ServiceType::DEFAULT,
        accepted_ms,
        expires_ms: accepted_ms + DAY_MS,
        final_ms: accepted_ms,
    };
    let due_ms = accepted_ms + 90 * DAY_MS;
    // To the millisecond, with no sweep.
    assert!(keeping.may_be_read(&ended, Kept::Body, due_ms - 1));
    assert!(!keeping.may_be_read(&ended, Kept::Body, due_ms));
    assert!(keeping.may_be_read(&ended, Kept::Meta, due_ms));
    assert!(
        !keeping.may_be_read(&ended, Kept::Body, due_ms - 3_600_000),
        "set back"
    );
    // A jump hides what is due by it for as long as it lasts.
    let jumped_ms = due_ms + 1_000 * DAY_MS;
    assert!(!keeping.may_be_read(&ended, Kept::Meta, jumped_ms));
    assert!(keeping.may_be_read(&ended, Kept::Meta, due_ms));
}

/// A message that ended on the first of November, and whom it is of.
fn finished(account: SystemId) -> Finished {
    use tidegate_codec::address::{AddressBuf, Npi, Ton};
    use tidegate_codec::values::MessageState;
    use tidegate_store::addresses::Addresses;
    use tidegate_store::record::{Envelope, Final, Form};
    use tidegate_store::service_type::ServiceType;
    Finished {
        id: MessageId(1),
        leg: 0,
        account,
        direction: Direction::Mt,
        envelope: Envelope {
            addresses: Addresses::new(
                &AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Shop").unwrap(),
                &AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            ),
            form: Form::Sm,
            interface_version: 0x34,
            id_form: 0,
            registered_delivery: 1,
            priority: 0,
            category: 0,
            parts: 1,
            data_coding: 0,
            lot: 0,
            service_type: ServiceType::DEFAULT,
            charge: 0,
            accepted_ms: NOVEMBER_MS,
            expires_ms: NOVEMBER_MS + DAY_MS,
        },
        end: Final {
            state: MessageState::Delivered,
            at_ms: NOVEMBER_MS + 5_000,
            attempts: 1,
            settled: 0,
            released: 0,
        },
        carrier: "c".into(),
        carrier_id: tidegate_codec::message_id::MessageIdText::default(),
    }
}

/// What a floor keeps lies with what is kept as long, not with what goes before it.
#[test]
fn a_floor_behind_the_limit_says_where_a_record_lies_and_one_before_it_does_not() {
    let filed = |floor: &str, instructed: &str| {
        let floor = format!(
            "overlay = [{{ jurisdiction = \"GB\", class = \"body\", kind = \"floor\", anchor = \"accepted\", after = \"{floor}\", \
             action = \"keep\", extend = false, shorten = false, why = \"w\", source = \"s\", standing = \"decided\", \
             checked = \"2026-11-29\" }}]"
        );
        let text = include_str!("../../../config/tidegate.toml")
            .replacen("[retention]", &format!("[retention]\n{floor}"), 1)
            .replacen("min_transport = \"clear\"", "min_transport = \"tls1.3\"", 1)
            .replacen(
                "state = \"active\"",
                &format!(
                    "retention_profile = \"fixed-term\"\njurisdiction = [\"GB\"]\n{instructed}\nstate = \"active\""
                ),
                1,
            );
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let account = config.accounts[0].system_id;
        let keeping = Keeping::new(
            &config,
            Arc::new(Tables::default()),
            Believed::since(NOVEMBER_MS),
            Closures::default(),
        );
        let keep = keeping.plan(&finished(account), Kept::Body, NOVEMBER_MS + 6_000);
        let keep = keep.map(|keep| (keep.length.to_string(), keep.bucket));
        (keep, keeping.keeps(account).body)
    };
    // The limit is ninety days from its acceptance.
    assert_eq!(filed("P30D", ""), (Some(("P90D".to_owned(), Bucket::Day)), true));
    assert_eq!(filed("P1Y", ""), (Some(("P12M".to_owned(), Bucket::Week)), true));
    assert_eq!(
        filed("never", ""),
        (Some((FOR_EVER.to_owned(), Bucket::Week)), true)
    );
    // What is not to be stored is stored all the same where a floor says so.
    let no_store = "retention = [{ class = \"body\", no_store = true }]";
    assert_eq!(
        filed("P1Y", no_store),
        (Some(("P12M".to_owned(), Bucket::Week)), true)
    );
}

#[test]
fn a_consent_goes_five_years_after_it_was_taken_back_whenever_it_is_asked_about() {
    let (fixed, account) = keeping("retention_profile = \"fixed-term\"", "");
    let of = |times| {
        let scope = Scope::account(account.as_str());
        fixed.consent(account, &scope, times, NOVEMBER_MS).unwrap()
    };
    // Given on 1 March 2022 and taken back a year later.
    let (given_ms, back_ms) = (19_052 * DAY_MS, 19_417 * DAY_MS);
    let told = of((given_ms, Some(back_ms)));
    // 1 March 2028.
    assert_eq!((told.state, told.due_ms), (State::Live, Some(21_244 * DAY_MS)));
    assert_eq!(of((given_ms, None)).due_ms, None, "as long as it holds");
}

/// RET-3 and CON-2: what the sweep takes for over is what `retention explain` and the reader say of it, to the millisecond, by profile,
/// floor, withdrawal and closure.
#[test]
fn a_consent_is_over_for_the_sweep_when_the_rules_explain_that_it_is() {
    let given_ms = NOVEMBER_MS + 10 * DAY_MS;
    for (terms, more) in [
        ("retention_profile = \"fixed-term\"", ""),
        ("retention_profile = \"instruction-bound\"", "country = \"US\""),
        ("retention_profile = \"until-deleted\"", ""),
    ] {
        let (keeping, account) = keeping(terms, more);
        let keeping = Arc::new(keeping);
        let own = Scope::account(account.as_str());
        for back_ms in [None, Some(given_ms - DAY_MS), Some(given_ms + 400 * DAY_MS)] {
            for closed_ms in [None, Some(given_ms + 30 * DAY_MS), Some(given_ms + 900 * DAY_MS)] {
                let closed = closed_ms.map(|closed_ms| (account, closed_ms));
                keeping.closures().replace(closed.into_iter());
                let mut facts = Facts::new(account, Class::Consent);
                facts.at.created_ms = Some(given_ms);
                facts.at.purpose_ended_ms = back_ms.into_iter().chain(closed_ms).min();
                let explained = |now_ms| {
                    let terms = &keeping.accounts[&account];
                    decide(
                        &facts,
                        &terms.rules,
                        &terms.instructions,
                        &[],
                        &[],
                        closed_ms,
                        now_ms,
                    )
                };
                let due_ms = explained(0).due_ms;
                let is_open = back_ms.is_none() && closed_ms.is_none();
                assert_eq!(due_ms.is_none(), is_open, "{terms} {back_ms:?} {closed_ms:?}");
                let due_ms = due_ms.unwrap_or(given_ms + 9_000 * DAY_MS);
                for now_ms in [given_ms, due_ms - 1, due_ms, due_ms + DAY_MS] {
                    let is_over = explained(now_ms).state == State::Due;
                    assert_eq!(is_over, !is_open && now_ms >= due_ms);
                    let times = (given_ms, back_ms);
                    assert_eq!(keeping.may_read_consent(account, &own, times, now_ms), !is_over);
                    let ends = keeping.ends_of_consents(now_ms);
                    assert_eq!(
                        ends.is_over(account, &own, given_ms, back_ms),
                        is_over,
                        "{terms} {now_ms}"
                    );
                }
            }
        }
    }
}

/// CON-3: a consent to a brand is needed as long as one of its accounts is open; a hold on whomever of an account keeps all of its
/// consents (LEG-2), and one on messages none.
#[test]
fn a_consent_to_a_brand_outlives_one_of_its_accounts_and_a_hold_keeps_it() {
    let (keeping, account) = keeping("retention_profile = \"fixed-term\"", "brand = \"tide\"");
    let (own, brand) = (Scope::account(account.as_str()), Scope::brand("tide"));
    let (given_ms, closed_ms) = (NOVEMBER_MS + 10 * DAY_MS, NOVEMBER_MS + 60 * DAY_MS);
    let due = |scope: &Scope, keeping: &Keeping| {
        keeping
            .consent(account, scope, (given_ms, None), closed_ms)
            .unwrap()
            .due_ms
    };
    keeping.closures().replace([(account, closed_ms)].into_iter());
    assert!(due(&own, &keeping).is_some());
    assert_eq!(due(&own, &keeping), due(&brand, &keeping), "its only account");
    assert_eq!(due(&Scope::brand("other"), &keeping), None);
    let due_ms = due(&own, &keeping).unwrap();
    let hold = |class, recipient| Hold {
        matter: "17".into(),
        scope: Covered {
            account: Some(account),
            class,
            recipient,
            ..Covered::default()
        },
        future: true,
        taken_ms: closed_ms,
        released_ms: None,
    };
    let somebody = Some(tidegate_store::pseudonym::Pseudonym::from_octets([7; 16]));
    for (hold, state) in [
        (hold(None, somebody), State::Sealed),
        (hold(Some(Class::Consent), None), State::Sealed),
        (hold(Some(Class::Body), None), State::Due),
    ] {
        let held = keeping.with_claims(Arc::new(Claims::of_holds(vec![hold])));
        let told = held.consent(account, &own, (given_ms, None), due_ms).unwrap();
        assert_eq!(told.state, state);
    }
}

/// AUD-5 and LEG-2: seven years by the profile, and not while a hold may be about it.
#[test]
fn the_audit_log_is_over_after_seven_years_and_not_while_it_is_held() {
    let (without, _) = keeping("", "");
    let (keeping, account) = keeping("retention_profile = \"fixed-term\"", "");
    let entered_ms = NOVEMBER_MS;
    // 1 November 2033.
    let due_ms = entered_ms + 2_557 * DAY_MS;
    let states = [due_ms - 1, due_ms].map(|now_ms| keeping.is_audit_over(entered_ms, now_ms));
    assert_eq!(states, [false, true]);
    let held = |class, message| {
        let hold = Hold {
            matter: "17".into(),
            scope: Covered {
                account: Some(account),
                class,
                message,
                ..Covered::default()
            },
            future: true,
            taken_ms: entered_ms,
            released_ms: None,
        };
        let held = keeping.with_claims(Arc::new(Claims::of_holds(vec![hold])));
        !held.is_audit_over(entered_ms, due_ms)
    };
    assert!(held(None, None) && held(Some(Class::Audit), None));
    assert!(!held(Some(Class::Body), None) && !held(None, Some(MessageId(7))));
    assert!(
        !without.is_audit_over(entered_ms, due_ms),
        "without a rule nothing goes"
    );
}
