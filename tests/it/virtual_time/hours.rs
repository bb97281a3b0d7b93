//! Sending hours in the data path: the acceptance cases of compliance.md §4, each by its id. The start is 19:00 in New York,
//! a Monday.

use std::time::Duration;

use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::tlv::append;
use tidegate_config::Config;

use super::rig::*;
use super::*;

const OUTSIDE_HOURS: CommandStatus = CommandStatus(0x0402);
const NEW_YORK: &[u8] = b"12125550123";
const FLORIDA: &[u8] = b"13055550123";
/// Boise is an hour ahead of Los Angeles.
const TWO_ZONES: &[u8] = b"12082550123";

/// A time by the clock of New York, on the day of the start and on those behind it.
const fn new_york(day: u64, hour: u64, minute: u64, second: u64) -> Duration {
    Duration::from_secs(day * 86_400 + hour * 3_600 + minute * 60 + second - 19 * 3_600)
}

fn exact(lines: &str) -> Config {
    config(&[(OF_A, lines)])
}

fn deferred(rig: &Rig) -> u64 {
    rig.world
        .hub
        .with_gate(|gate, _| gate.accounts()[0].tally.deferred)
}

async fn takes(rig: &mut Rig, to: &[u8]) {
    assert_eq!(rig.take().await.sm().destination.addr.as_bytes(), to);
}

#[test]
fn qh_c01_both_edges_of_the_window() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(0, 20, 59, 58), 101).await;
        rig.until(new_york(0, 20, 59, 59)).await;
        rig.sees_next(S, NEW_YORK).await;
        rig.until(new_york(0, 21, 0, 0)).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, CommandStatus::ROK);
        assert_eq!(deferred(&rig), 1);
        let mut rig = rig.killed_until(new_york(1, 7, 59, 58), 113).await;
        rig.until(new_york(1, 7, 59, 59)).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, CommandStatus::ROK);
        rig.until(new_york(1, 8, 0, 0)).await;
        takes(&mut rig, NEW_YORK).await;
        takes(&mut rig, NEW_YORK).await;
        rig.sees_next(S, NEW_YORK).await;
        assert_eq!(deferred(&rig), 1, "each was put off once");
    });
}

#[test]
fn qh_c02_florida_ends_an_hour_before_the_federation() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(0, 19, 59, 58), 102).await;
        rig.until(new_york(0, 20, 0, 0)).await;
        assert_eq!(rig.submit(S, FLORIDA).await, CommandStatus::ROK);
        rig.sees_next(S, NEW_YORK).await;
        assert_eq!(deferred(&rig), 1);
    });
}

#[test]
fn qh_c03_both_zones_of_a_prefix_are_to_be_open() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(1, 10, 29, 58), 103).await;
        // 07:30 in Los Angeles and 08:30 in Boise.
        rig.until(new_york(1, 10, 30, 0)).await;
        assert_eq!(rig.submit(S, TWO_ZONES).await, CommandStatus::ROK);
        assert_eq!(deferred(&rig), 1);
        let mut rig = rig.killed_until(new_york(1, 10, 59, 58), 114).await;
        rig.until(new_york(1, 11, 0, 0)).await;
        takes(&mut rig, TWO_ZONES).await;
    });
}

#[test]
fn qh_c04_a_number_of_no_place_waits_for_all_four_zones() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(1, 10, 29, 58), 104).await;
        rig.until(new_york(1, 10, 30, 0)).await;
        assert_eq!(rig.submit(S, b"18885550123").await, CommandStatus::ROK);
        assert_eq!(deferred(&rig), 1);
        let mut rig = rig.killed_until(new_york(1, 10, 59, 58), 115).await;
        rig.until(new_york(1, 11, 0, 0)).await;
        takes(&mut rig, b"18885550123").await;
        rig.sees_next(S, b"18885550124").await;
    });
}

#[test]
fn qh_c06_what_ends_before_its_hours_expires_and_is_never_sent() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact("default_validity = \"3m\""), new_york(0, 20, 59, 58), 105).await;
        rig.until(new_york(0, 21, 0, 0)).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, CommandStatus::ROK);
        // A restart finds it, asks again, and leaves it.
        let mut rig = rig.killed(106).await;
        assert_eq!(rig.waiting(), 1);
        rig.until(new_york(0, 21, 2, 0)).await;
        assert_eq!(rig.waiting(), 1);
        let alive = rig.smsc.keep_alive();
        let (_, state) = tokio::select! { dlr = rig.a.take_dlr() => dlr, _ = alive => unreachable!() };
        assert_eq!(state, MessageState::Expired);
        let now_ms = rig.world.hub.with_gate(|_, now| now.unix_ms);
        assert!(now_ms >= START_MS + u64::try_from(new_york(0, 21, 3, 0).as_millis()).unwrap());
        let mut rig = rig.killed_until(new_york(1, 8, 0, 0), 116).await;
        rig.sees_next(S, FLORIDA).await;
    });
}

#[test]
fn qh_c07_a_stop_at_night_drops_what_waits_for_the_morning() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(0, 21, 30, 0), 107).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, CommandStatus::ROK);
        assert_eq!(rig.submit(S, FLORIDA).await, CommandStatus::ROK);
        let mut rig = rig.killed_until(new_york(1, 3, 0, 0), 117).await;
        // The answer is no marketing, and goes at night.
        rig.stop(NEW_YORK, S).await;
        let mut rig = rig.killed_until(new_york(1, 7, 59, 58), 108).await;
        rig.until(new_york(1, 7, 59, 59)).await;
        assert_eq!(rig.waiting(), 2);
        takes(&mut rig, FLORIDA).await;
        assert_eq!(rig.a.take_dlr().await.1, MessageState::Rejected);
    });
}

/// What waited for a carrier when the hours ended comes back in the morning, after a kill as well, and does not hold up what may
/// go at night.
#[test]
fn what_waits_for_a_carrier_past_its_hours_goes_in_the_morning() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact(""), new_york(0, 20, 59, 50), 109).await;
        rig.smsc = rig.world.smsc_of(1);
        for _ in 0..3 {
            assert_eq!(rig.submit(S, NEW_YORK).await, CommandStatus::ROK);
        }
        let a = &mut rig.a;
        let _ = tokio::time::timeout(Duration::from_secs(20), a.keep_alive()).await;
        assert_eq!(deferred(&rig), 0, "no carrier asked");
        let mut rig = rig.killed(110).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, CATEGORY, &[Category::Otp.octet()]));
        let code = Sm {
            tlvs: Tlvs::new(&tlvs),
            ..sm(S, FLORIDA)
        };
        assert!(submit_as(&mut rig.a, 3, code).await.is_ok());
        takes(&mut rig, FLORIDA).await;
        assert_eq!((deferred(&rig), rig.waiting()), (3, 4));
        let mut rig = rig.killed_until(new_york(1, 7, 59, 58), 118).await;
        rig.until(new_york(1, 8, 0, 0)).await;
        for _ in 0..3 {
            takes(&mut rig, NEW_YORK).await;
        }
    });
}

/// By its own date where it has one, and with the status of it.
#[test]
fn an_account_may_have_it_refused_instead() {
    scenario(|| async {
        let mut rig = Rig::new_at(exact("outside_hours = \"reject\""), new_york(0, 20, 59, 0), 111).await;
        let at_night = Sm {
            schedule_delivery_time: COctets::new(b"000000030000000R").unwrap(),
            ..sm(S, NEW_YORK)
        };
        assert_eq!(submit_as(&mut rig.a, 2, at_night).await, OUTSIDE_HOURS);
        rig.sees_next(S, NEW_YORK).await;
        rig.until(new_york(0, 21, 0, 0)).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, OUTSIDE_HOURS);
        let in_the_morning = Sm {
            schedule_delivery_time: COctets::new(b"000000120000000R").unwrap(),
            ..sm(S, NEW_YORK)
        };
        assert_eq!(submit_as(&mut rig.a, 3, in_the_morning).await, CommandStatus::ROK);
        assert_eq!((rig.refused(), deferred(&rig)), (2, 0));
        rig.sees_next(S, DUTCH).await;
    });
}

/// A night's messages do not all go in the first second.
#[test]
fn what_was_put_off_comes_out_over_a_while() {
    scenario(|| async {
        let mut spread = config(&[]);
        spread.sending_hours.jitter = Duration::from_mins(5);
        let mut rig = Rig::new_at(spread, new_york(0, 21, 0, 0), 112).await;
        // To each of ten two, which stay in their order.
        for n in 0..20 {
            let to = format!("1212555{:04}", 100 + n % 10).into_bytes();
            let text = format!("{}", n / 10);
            let sm = Sm {
                short_message: ShortMessage::new(text.as_bytes()).unwrap(),
                ..sm(S, &to)
            };
            assert_eq!(submit_as(&mut rig.a, 100 + n, sm).await, CommandStatus::ROK);
        }
        let mut rig = rig.killed_until(new_york(1, 7, 59, 59), 119).await;
        let (mut minutes, mut first) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let frame = rig.take().await;
            let (to, text) = (frame.sm().destination.addr.as_bytes().to_vec(), text_of(&frame));
            assert_eq!(text == "0", !first.contains(&to), "as they came");
            first.push(to);
            let now_ms = rig.world.hub.with_gate(|_, now| now.unix_ms);
            minutes.push((now_ms - START_MS) / 60_000 % 60);
        }
        minutes.dedup();
        assert!(
            minutes.len() > 2 && minutes.iter().all(|minute| *minute < 5),
            "{minutes:?}"
        );
    });
}
