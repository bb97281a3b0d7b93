//! What a row says of itself, and a register of both kinds of it.

use super::*;
use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};

fn step(at_ms: u64) -> Step {
    Step {
        at_ms,
        who: "operator uid=0".to_owned(),
    }
}

fn scope() -> Scope {
    Scope {
        texts: true,
        since_ms: 10,
        until_ms: 20,
        fields: vec!["to".to_owned(), "text".to_owned()],
    }
}

/// A register with one that is open and one that is over.
fn some() -> Register {
    let open = Row {
        authority: "a court".to_owned(),
        basis: Basis::Law,
        account: "shop".to_owned(),
        sealed: vec![0, 255, 7],
        asked: scope(),
        opened: step(1),
        approvals: Vec::new(),
        decided: None,
        notified: None,
        produced: Vec::new(),
        completed: None,
        review_due_ms: None,
        reviewed: None,
    };
    let over = Row {
        basis: Basis::Emergency,
        approvals: vec![Approval {
            name: "ana".to_owned(),
            step: step(2),
        }],
        decided: Some(Decided {
            decision: Decision::Complied,
            reason: "danger to life".to_owned(),
            reviewer: "ana, ben".to_owned(),
            scope: Some(scope()),
            step: step(3),
        }),
        notified: Some(Notified {
            told: Told::Delayed { until_ms: 9 },
            step: step(4),
            is_made: true,
            notice: Some(3),
        }),
        produced: vec![Produced {
            export: u64::MAX,
            fields: scope().fields,
            rows: 2,
            held: 1,
            unreadable: 0,
            sha256: "00".repeat(32),
            fetched_ms: Some(6),
            step: step(5),
        }],
        completed: Some(step(6)),
        review_due_ms: Some(3 + REVIEW_MS),
        reviewed: Some(Reviewed {
            finding: "it was right".to_owned(),
            reviewer: "cy".to_owned(),
            step: step(7),
        }),
        ..open.clone()
    };
    Register {
        last: 2,
        rows: BTreeMap::from([(1, open), (2, over)]),
    }
}

#[test]
fn only_what_was_written_is_read_and_it_is_written_as_ever() {
    only_what_was_written_is_read(&[some()]);
    is_written_to_the_octet::<Register>(include_str!(
        "../../../tests/fixtures/formats/0.1.0/data/disclosure-register"
    ));
}

#[test]
fn one_ends_with_its_last_step_and_an_emergency_not_before_its_review() {
    let mut row = some().rows[&2].clone();
    assert_eq!((row.state(), row.ended_ms()), ("completed", Some(7)));
    assert_eq!(row.overdue_ms(u64::MAX), 0);
    row.reviewed = None;
    assert_eq!(row.ended_ms(), None);
    assert_eq!(
        (row.overdue_ms(3 + REVIEW_MS), row.overdue_ms(4 + REVIEW_MS)),
        (0, 1)
    );
    let mut objected = some().rows[&1].clone();
    assert_eq!((objected.state(), objected.ended_ms()), ("open", None));
    objected.decided = Some(Decided {
        decision: Decision::Objected,
        reason: "too broad".to_owned(),
        reviewer: "ana".to_owned(),
        scope: None,
        step: step(8),
    });
    assert_eq!((objected.state(), objected.ended_ms()), ("objected", Some(8)));
}

#[test]
fn what_is_narrower_is_within_and_what_is_more_in_one_way_is_not() {
    let asked = scope();
    assert!(asked.is_within(&asked));
    let narrow = Scope {
        texts: false,
        since_ms: 11,
        until_ms: 19,
        fields: vec!["to".to_owned()],
    };
    assert!(narrow.is_within(&asked) && !asked.is_within(&narrow));
    for more in [
        Scope {
            since_ms: 9,
            ..narrow.clone()
        },
        Scope {
            until_ms: 21,
            ..narrow.clone()
        },
        Scope {
            fields: vec!["from".to_owned()],
            ..narrow.clone()
        },
    ] {
        assert!(!more.is_within(&asked), "{more:?}");
    }
}
