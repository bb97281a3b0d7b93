//! The board between loop and watchers.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::response::Response;

use super::alarms::{Seen, alarms};
use super::counts::{Grows as _, States};
use super::rows::Marks;
use super::shot::{Account, Carrier, Latency, More, Severity, Totals};
use super::*;
use crate::clock::Clock;
use crate::http::{Health, Leave};
use crate::telemetry::words::Side;
use crate::telemetry::{AdminMetrics, Telemetry};
use crate::tls::Certificate;

fn shot(taken: Duration) -> Shot {
    Shot {
        at_ms: 7,
        version: "1",
        up_for_s: 0,
        alarms: Vec::new(),
        more_alarms: More::default(),
        totals: Totals::default(),
        accounts: Vec::new(),
        carriers: Vec::new(),
        point: None,
        taken,
        history: Arc::default(),
        json: std::sync::OnceLock::new(),
    }
}

#[test]
fn what_is_kept_is_bounded_and_as_much_as_is_told() {
    let octets = Recorder::octets(200, 20);
    assert!(octets < 700_000, "{octets}");
    println!("kept for 200 accounts and 20 carriers: {octets} octets");
}

#[test]
fn so_many_watch_and_a_place_is_given_back() {
    let board = Arc::new(Board::default());
    let now = Clock::virtual_from(0).now();
    assert!(!board.is_watched(now));
    let name = |place: usize| format!("board{}", place / WATCHERS_EACH);
    let mut watching: Vec<Watch> = (0..WATCHERS_MAX)
        .map(|place| board.watch(&name(place)).unwrap())
        .collect();
    assert_eq!(board.watch("other").unwrap_err(), "8 watch already");
    assert!(board.is_watched(now));
    watching.pop();
    assert_eq!(board.watchers(), WATCHERS_MAX - 1);
    assert_eq!(
        board.watch(&name(0)).unwrap_err(),
        "3 watch with this token already"
    );
    watching.remove(0);
    assert!(board.watch(&name(0)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_gets_the_newest_and_who_comes_late_no_old_one() {
    let board = Arc::new(Board::default());
    board.show(shot(Duration::from_secs(1)));
    let mut watch = board.watch("board").unwrap();
    (2..10).for_each(|second| board.show(shot(Duration::from_secs(second))));
    assert_eq!(watch.next().await.unwrap().taken, Duration::from_secs(9));
    board.end();
    assert!(watch.next().await.is_none());
}

/// A stream of a board with one shot, and what ends its connection.
fn streaming(board: &Arc<Board>, may_see: MaySee) -> (Leave, Response) {
    let leave = Leave::new(None);
    let streamed = Streamed {
        watch: board.watch("board").unwrap(),
        counted: AdminMetrics::new(&Telemetry::new()).watching(),
        leave: leave.clone(),
        may_see,
    };
    (leave, stream(streamed))
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_cut_within_seconds_of_its_tokens_end() {
    let board = Arc::new(Board::default());
    let is_good = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_good);
    let (leave, _unread) = streaming(&board, Box::new(move || seen.load(Ordering::Relaxed)));
    // What is told when nothing is new fills what may wait; then the token ends.
    tokio::time::sleep(Duration::from_secs(5)).await;
    is_good.store(false, Ordering::Relaxed);
    let cut = tokio::time::timeout(Duration::from_secs(3), leave.ended());
    assert!(cut.await.is_ok());
    assert_eq!(board.watchers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_board_that_has_ended_ends_and_has_some_time_for_what_was_told() {
    let board = Arc::new(Board::default());
    let (leave, response) = streaming(&board, Box::new(|| true));
    board.end();
    let body = axum::body::to_bytes(response.into_body(), 1_000).await;
    assert!(body.unwrap().is_empty(), "ended at once for who reads");
    assert_eq!(board.watchers(), 0);
    let early = tokio::time::timeout(STALLED - Duration::from_secs(1), leave.ended());
    assert!(early.await.is_err());
    let cut = tokio::time::timeout(Duration::from_secs(2), leave.ended());
    assert!(cut.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_question_has_the_next_second_made_and_a_fresh_one_answers_at_once() {
    let board = Arc::new(Board::default());
    let clock = Clock::virtual_from(0);
    let asking = tokio::spawn({
        let (board, now) = (Arc::clone(&board), clock.now());
        async move { board.look(now).await }
    });
    tokio::task::yield_now().await;
    assert!(board.is_watched(clock.now()));
    board.show(shot(clock.now().monotonic));
    assert!(asking.await.unwrap().is_ok());
    assert!(board.look(clock.now()).await.is_ok());
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(!board.is_watched(clock.now()), "who asks no more watches no more");
    let refused = board.look(clock.now()).await.unwrap_err();
    assert_eq!(refused, "the loop tells nothing");
    drop(Recorder::new(
        Arc::clone(&board),
        Arc::new(Health::new(clock.clone())),
        false,
        clock.now(),
    ));
    assert!(
        board.watch("board").unwrap().next().await.is_none(),
        "the loop has ended"
    );
}

#[test]
fn rates_span_five_seconds_and_counts_ten_minutes() {
    let mut marks = Marks::<States>::default();
    let mut now = States::default();
    for second in 1..=3_600_u64 {
        now.0[2] += 4;
        marks.note(now, second % 60 == 0);
    }
    now.0[2] += 4;
    assert_eq!(marks.lately(&now).0[2], 5 * 4);
    assert_eq!(marks.recently(&now).0[2], 540 * 4 + 4);
    assert_eq!(marks.in_minute(&now).0[2], 4);
    // The next second is told with all of the minute, before that is noted to be over.
    for _ in 1..60 {
        marks.note(now, false);
        now.0[2] += 4;
    }
    assert_eq!(marks.recently(&now).0[2], 600 * 4);
    // A restart of the counting is no negative rate.
    assert_eq!(States::default().since(&now), States::default());
}

fn carrier() -> Carrier {
    Carrier {
        name: "west".to_owned(),
        health: "up",
        links: [2, 2],
        down_for_s: None,
        window: [0, 0],
        handed_over_s: 0.0,
        delivered_s: 0.0,
        mo_s: 0.0,
        queue: 0,
        oldest_ms: 0,
        response: Latency::default(),
        receipt: Latency::default(),
        answers_10m: 1_000,
        refused_10m: 100,
        unanswered_10m: 0,
        slowed_10m: 0,
        retries_10m: 0,
        delivered_10m: 0,
        failed_10m: 0,
    }
}

fn account(overflow_10m: u64) -> Account {
    Account {
        name: "load".to_owned(),
        health: "bound",
        binds: [0; 3],
        max_binds: 1,
        window: [0; 2],
        accepted_s: 0.0,
        delivered_s: 0.0,
        refused_s: 0.0,
        receipts_s: 0.0,
        mo_s: 0.0,
        unfinished: 0,
        oldest_ms: 0,
        outbox: 0,
        handover: Latency::default(),
        receipt: Latency::default(),
        accepted_10m: 0,
        refused_10m: 0,
        throttled_10m: 0,
        standing_refused_10m: 0,
        opted_out_refused_10m: 0,
        delivered_10m: 0,
        failed_10m: 0,
        retries_10m: 0,
        overflow_10m,
        used: [0; 2],
    }
}

const CALM: Seen<'static> = Seen {
    is_audit_failing: false,
    is_damaged: false,
    broken_10m: 0,
    full_10m: 0,
    is_filling: false,
    certificates: &[],
    now_s: 1_000_000,
};

#[test]
fn every_alarm_has_its_alert_and_the_urgent_stand_first() {
    let told = alarms(&Totals::default(), &[account(0)], &[carrier()], &CALM);
    assert_eq!(
        told,
        (Vec::new(), More::default()),
        "a tenth of refusals is in order"
    );
    let full = Totals {
        spool: "full",
        ..Totals::default()
    };
    let (told, _) = alarms(&full, &[], &[], &CALM);
    assert_eq!(told, [], "a spool that is full and refuses nobody");

    let totals = Totals {
        sync: Latency {
            p50_ms: None,
            p99_ms: Some(251.0),
        },
        ..Totals::default()
    };
    let certificate = |expires_s| Certificate {
        side: Side::Esme,
        name: "127.0.0.1:2775".to_owned(),
        expires_s,
    };
    let certificates = [
        certificate(CALM.now_s + 13 * 86_400 + 1),
        certificate(CALM.now_s),
        certificate(CALM.now_s + 15 * 86_400),
    ];
    let seen = Seen {
        is_audit_failing: true,
        is_damaged: true,
        broken_10m: 1,
        full_10m: 1,
        is_filling: true,
        certificates: &certificates,
        ..CALM
    };
    let carriers = [
        Carrier {
            links: [0, 2],
            ..carrier()
        },
        Carrier {
            oldest_ms: 300_001,
            refused_10m: 101,
            ..carrier()
        },
    ];
    let (told, more) = alarms(&totals, &[account(1)], &carriers, &seen);
    let mut names: Vec<&str> = told.iter().map(|alarm| alarm.alert).collect();
    assert!(told.is_sorted_by_key(|alarm| alarm.severity));
    assert_eq!(
        told.iter()
            .filter(|alarm| alarm.severity == Severity::Page)
            .count(),
        5
    );
    names.sort_unstable();
    assert_eq!(
        (names, more),
        (
            vec![
                "TidegateAuditFailing",
                "TidegateCarrierDown",
                "TidegateCarrierRefuses",
                "TidegateCertificateEnds",
                "TidegateCertificateEnds",
                "TidegateCommitSlow",
                "TidegateOutboxOverflow",
                "TidegateQueueOld",
                "TidegateSpoolBroken",
                "TidegateSpoolDamage",
                "TidegateSpoolFull",
                "TidegateStorageFilling",
            ],
            More::default()
        )
    );
    let rules = include_str!("../../../docs/alerts.yml");
    for alarm in &told {
        assert!(
            rules.contains(&format!("alert: {}\n", alarm.alert)),
            "{}",
            alarm.alert
        );
    }
}

#[test]
fn of_very_many_alarms_some_are_counted_only() {
    let accounts: Vec<Account> = (0..200).map(|_| account(1)).collect();
    let down = || Carrier {
        links: [0, 2],
        ..carrier()
    };
    let carriers: Vec<Carrier> = (0..40).map(|_| down()).collect();
    let (told, more) = alarms(&Totals::default(), &accounts, &carriers, &CALM);
    assert_eq!(told.len(), 32);
    assert_eq!((more.page, more.ticket), (8, 200));
}
