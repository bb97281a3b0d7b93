//! Frequency caps in the data path: the acceptance case of compliance.md §5 by its id. Florida's law has three in 24 hours.

use std::time::Duration;

use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::tlv::append;
use tidegate_codec::values::EsmClass;

use super::rig::*;
use super::*;

const OVER_CAP: CommandStatus = CommandStatus(0x0406);
const FLORIDA: &[u8] = b"13055550123";
const DAY: Duration = Duration::from_hours(24);

async fn time_of(rig: &Rig) -> Duration {
    let now_ms = rig.world.hub.with_gate(|_, now| now.unix_ms);
    Duration::from_millis(now_ms - START_MS)
}

/// A text in five parts, cut by the ESME.
async fn in_parts(rig: &mut Rig, to: &[u8]) {
    for number in 1..=5 {
        let text = [&[5, 0, 3, 77, 5, number][..], b"part"].concat();
        let sequence = rig.next();
        let part = Sm {
            esm_class: EsmClass(0x40),
            short_message: ShortMessage::new(&text).unwrap(),
            ..sm(S, to)
        };
        assert!(submit_as(&mut rig.a, sequence, part).await.is_ok(), "{number}");
        rig.take().await;
    }
}

#[test]
fn cap_c01_the_fourth_in_a_day_is_refused_whatever_parts_the_others_had() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 301).await;
        let begun = time_of(&rig).await;
        rig.sees_next(S, FLORIDA).await;
        let first = time_of(&rig).await;
        rig.until(begun + Duration::from_mins(10)).await;
        in_parts(&mut rig, FLORIDA).await;
        rig.sees_next(S, FLORIDA).await;
        for _ in 0..3 {
            assert_eq!(rig.submit(S, FLORIDA).await, OVER_CAP);
        }
        // Others, and what is no marketing, may go; other people have caps of their own.
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, CATEGORY, &[Category::Otp.octet()]));
        let code = Sm {
            tlvs: Tlvs::new(&tlvs),
            ..sm(S, FLORIDA)
        };
        let sequence = rig.next();
        assert!(submit_as(&mut rig.a, sequence, code).await.is_ok());
        rig.take().await;
        rig.sees_next(S, b"13055550124").await;
        // A kill forgets none that was on disk.
        let mut rig = rig.killed_until(begun + DAY - Duration::from_secs(3), 302).await;
        assert_eq!(rig.submit(S, FLORIDA).await, OVER_CAP);
        rig.until(begun + DAY - Duration::from_secs(1)).await;
        assert_eq!(rig.submit(S, FLORIDA).await, OVER_CAP);
        rig.until(first + DAY).await;
        rig.sees_next(S, FLORIDA).await;
        assert_eq!(
            rig.submit(S, FLORIDA).await,
            OVER_CAP,
            "the refused count for nothing"
        );
    });
}

/// The account's own caps, of any category and place, over the day and over the week, and over restarts that read the files
/// of days.
#[test]
fn cap_c01_an_account_has_caps_of_its_own() {
    scenario(|| async {
        let caps = "category = \"otp\"\ncaps = [{ category = \"otp\", per_day = 2, per_week = 3 }]";
        let mut rig = Rig::new(config(&[(OF_A, caps)]), 303).await;
        rig.sees_next(S, DUTCH).await;
        rig.sees_next(S, DUTCH).await;
        assert_eq!(rig.submit(S, DUTCH).await, OVER_CAP);
        let mut rig = rig.killed_until(DAY + Duration::from_mins(1), 304).await;
        rig.sees_next(S, DUTCH).await;
        assert_eq!(rig.submit(S, DUTCH).await, OVER_CAP, "three in a week");
        let mut rig = rig.killed_until(6 * DAY, 305).await;
        // No carrier has said what became of them.
        for _ in 0..3 {
            rig.a.take_dlr().await;
        }
        assert_eq!(rig.submit(S, DUTCH).await, OVER_CAP);
        let mut rig = rig.killed_until(7 * DAY + Duration::from_secs(30), 308).await;
        rig.sees_next(S, DUTCH).await;
        rig.sees_next(S, DUTCH).await;
        assert_eq!(
            rig.submit(S, DUTCH).await,
            OVER_CAP,
            "two and the one of the second day"
        );
    });
}

/// What came in under the cap while others were still waiting is asked again before it leaves.
#[test]
fn what_waits_is_counted_when_it_leaves() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 306).await;
        rig.smsc = rig.world.smsc_of(1);
        for _ in 0..4 {
            assert_eq!(rig.submit(S, FLORIDA).await, CommandStatus::ROK);
        }
        rig.smsc.accept_bind().await;
        for _ in 0..3 {
            rig.take().await;
        }
        assert_eq!(rig.a.take_dlr().await.1, MessageState::Rejected);
        assert_eq!(rig.refused(), 1);
    });
}

#[test]
fn an_account_may_have_it_put_off() {
    scenario(|| async {
        let mut rig = Rig::new(
            config(&[(OF_A, "over_cap = \"defer\"\ndefault_validity = \"48h\"")]),
            307,
        )
        .await;
        for _ in 0..3 {
            rig.sees_next(S, FLORIDA).await;
        }
        assert_eq!(rig.submit(S, FLORIDA).await, CommandStatus::ROK);
        let mut rig = rig.killed_until(DAY - Duration::from_secs(3), 309).await;
        rig.until(DAY - Duration::from_secs(1)).await;
        let taken = rig.take().await;
        assert_eq!(taken.sm().destination.addr.as_bytes(), FLORIDA);
    });
}
