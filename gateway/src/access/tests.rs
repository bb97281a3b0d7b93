//! Which grants run and for whom, over a restart too.

use super::*;
use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};
use crate::small_file::summed;

const FROM_MS: u64 = 1_000_000;

fn grant(token: &str, class: Depth, seconds: u64) -> Grant {
    Grant {
        token: token.to_owned(),
        print: "7a".to_owned(),
        account: "load".to_owned(),
        class,
        reason: "nothing is delivered".to_owned(),
        ticket: "INC-7".to_owned(),
        from_ms: FROM_MS,
        until_ms: FROM_MS + seconds * 1_000,
        who: "operator uid=0".to_owned(),
        notice: Some(1),
        ended: None,
    }
}

async fn with(access: &Access, grant: Grant) -> u64 {
    let mut register = access.register();
    assert!(register.make_room(grant.from_ms));
    register.last += 1;
    let number = register.last;
    register.grants.insert(number, grant);
    access.write(register).await.unwrap();
    number
}

#[tokio::test]
async fn a_grant_is_one_token_s_for_one_account_until_its_time_over_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path()).unwrap();
    with(&access, grant("ops", Depth::Meta, 600)).await;
    with(&access, grant("ops", Depth::Body, 60)).await;
    let again = Access::open(dir.path()).unwrap();
    assert_eq!(again.list(None), access.list(None));
    for (token, account, after_ms, expected) in [
        ("ops", "load", 0, Some((2, Depth::Body))),
        ("ops", "load", 59_999, Some((2, Depth::Body))),
        ("ops", "load", 60_000, Some((1, Depth::Meta))),
        ("ops", "load", 600_000, None),
        ("others", "load", 0, None),
        // What begins then has not begun, whatever clock says so.
        ("ops", "load", u64::MAX, None),
        ("ops", "other", 0, None),
    ] {
        assert_eq!(
            again.covers((token, "7a"), account, FROM_MS.wrapping_add(after_ms)),
            expected,
            "{token} {after_ms}"
        );
    }
    assert_eq!(
        again.covers(("ops", "7b"), "load", FROM_MS),
        None,
        "another of that name"
    );
    assert!(again.list(Some("other")).is_empty());
}

#[tokio::test]
async fn so_many_run_and_what_ended_makes_room_but_for_what_an_account_was_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path()).unwrap();
    let mut register = access.register();
    for number in 0..RUNNING_MAX as u64 {
        register.grants.insert(number, grant("ops", Depth::Meta, 60));
    }
    assert!(!register.clone().make_room(FROM_MS));
    assert!(register.make_room(FROM_MS + 60_000), "their time is over");
    let ended = |notice: Option<u64>| Grant {
        notice,
        ended: Some(Ended {
            at_ms: FROM_MS,
            who: "system".to_owned(),
        }),
        ..grant("ops", Depth::Meta, 60)
    };
    register.grants = (0..ROWS_MAX as u64)
        .map(|number| (number, ended(Some(1))))
        .collect();
    register.grants.insert(0, ended(None));
    assert!(register.make_room(FROM_MS));
    assert!(register.grants.contains_key(&0) && !register.grants.contains_key(&1));
    assert!(register.make_room(FROM_MS + KEPT_MS));
    assert_eq!(register.grants.len(), 1);
}

#[tokio::test]
async fn what_ended_a_year_ago_is_forgotten_without_another_grant_but_for_what_an_account_was_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path()).unwrap();
    let ended = |at_ms: u64, notice: Option<u64>| Grant {
        notice,
        ended: Some(Ended {
            at_ms,
            who: "system".to_owned(),
        }),
        ..grant("ops", Depth::Meta, 600)
    };
    for grant in [
        ended(FROM_MS, Some(1)),
        ended(FROM_MS, None),
        ended(FROM_MS + 1, Some(2)),
        grant("ops", Depth::Meta, 600),
    ] {
        with(&access, grant).await;
    }
    access.forget(FROM_MS + KEPT_MS - 1).await.unwrap();
    assert_eq!(access.numbers(|_| true), [1, 2, 3, 4]);
    access.forget(FROM_MS + KEPT_MS).await.unwrap();
    let again = Access::open(dir.path()).unwrap();
    assert_eq!(again.numbers(|_| true), [2, 3, 4]);
}

#[test]
fn a_token_is_let_in_so_often_a_day_and_others_as_well() {
    let mut register = Register::default();
    for number in 0..A_DAY_MAX as u64 {
        assert!(!register.has_had_enough("ops", FROM_MS));
        let mut grant = grant("ops", Depth::Meta, 600);
        grant.from_ms += number;
        register.grants.insert(number, grant);
    }
    assert!(register.has_had_enough("ops", FROM_MS) && !register.has_had_enough("others", FROM_MS));
    assert!(register.has_had_enough("ops", FROM_MS + DAY_MS - 1));
    assert!(!register.has_had_enough("ops", FROM_MS + DAY_MS));
}

#[test]
fn only_what_was_written_is_read_and_it_is_written_as_ever() {
    let ended = Grant {
        notice: None,
        ended: Some(Ended {
            at_ms: FROM_MS,
            who: "system".to_owned(),
        }),
        ..grant("ops", Depth::Meta, 60)
    };
    let grants = [(2, grant("ops", Depth::Body, 60)), (10, ended)].into();
    only_what_was_written_is_read(&[Register { last: 10, grants }]);
    is_written_to_the_octet::<Register>(&summed(
        r#"{"version":1,"register":{"last":3,"grants":{"3":{"token":"ops","print":"7a","account":"load","class":"body","reason":"nothing is delivered","ticket":"INC-7","from_ms":1000000,"until_ms":1060000,"who":"operator uid=0","notice":null,"ended":{"at_ms":1000000,"who":"system"}}}}}"#,
    ));
}
