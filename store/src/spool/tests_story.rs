//! The story of one message is read from its records, wherever they lie, and from nothing else.

use tidegate_codec::identity::SystemId;

use super::rig::{CARRIERS, Rig};
use super::{Step, Story, Told, Wanted, story};
use crate::disk::{Disk, FaultyDisk};
use crate::index::LegId;
use crate::record::Stage;

fn read(rig: &Rig, disk: &FaultyDisk, wanted: &Wanted) -> Story {
    let ring = rig.keeper.ring();
    story(disk, &rig.options.dir, |id| ring.get(id), wanted).unwrap()
}

fn wanted(rig: &Rig, leg: LegId) -> Wanted {
    let index = rig.spool.index();
    let found = index.get(leg).unwrap();
    let account = rig.spool.names().name(found.account);
    Wanted {
        message: found.message,
        account: SystemId::new(account.as_bytes()).unwrap(),
        called: b"ddd".to_vec(),
        first: Some(rig.spool.first_segment(found.message).unwrap()),
    }
}

/// Other messages, over several segments; they stay, so that these stay as well.
fn traffic(rig: &mut Rig, turns: usize) {
    for _ in 0..turns {
        for _ in 0..8 {
            rig.accept().unwrap();
        }
        rig.turn();
    }
}

#[test]
fn the_steps_of_a_message_are_found_in_order_over_many_segments() {
    let mut rig = Rig::new(3);
    let leg = rig.accept().unwrap();
    rig.turn();
    let accepted_ms = rig.now_ms;
    traffic(&mut rig, 12);
    rig.retry(leg).unwrap();
    rig.turn();
    let tried_ms = rig.now_ms;
    traffic(&mut rig, 12);
    rig.hand_over(leg).unwrap();
    rig.turn();
    let handed_ms = rig.now_ms;
    traffic(&mut rig, 12);
    assert!(rig.spool.segments() > 4, "{}", rig.spool.segments());
    let wanted = wanted(&rig, leg);
    let told = read(&rig, &rig.disk, &wanted);
    assert!(!told.has_more && told.damaged == 0);
    let near = |told: &Told, at_ms: u64| at_ms - 1 <= told.at_ms && told.at_ms <= at_ms + 1;
    let [first, second, third] = &told.steps[..] else {
        panic!("{told:?}");
    };
    let was = Step::Written {
        stage: Stage::Waiting,
        attempts: 0,
        is_first: true,
    };
    assert!(first.step == was && near(first, accepted_ms), "{first:?}");
    assert!(
        matches!(second.step, Step::PutOff { .. }) && near(second, tried_ms),
        "{second:?}"
    );
    assert!(
        matches!(&third.step, Step::HandedOver { carrier, .. } if CARRIERS.contains(&carrier.as_str()))
            && near(third, handed_ms),
        "{third:?}"
    );
    // Of another one, in the same files, nothing.
    let mut other = wanted.clone();
    other.message.0 += 1;
    assert_eq!(read(&rig, &rig.disk, &other).steps, []);
}

#[test]
fn a_receipt_about_it_and_its_end_are_told() {
    let mut rig = Rig::new(8);
    let leg = rig.accept().unwrap();
    rig.turn();
    let wanted = wanted(&rig, leg);
    rig.settle(leg, Some(40)).unwrap();
    rig.turn();
    traffic(&mut rig, 6);
    rig.fetch_all();
    rig.turn();
    let told = read(&rig, &rig.disk, &wanted);
    let words: Vec<&str> = told
        .steps
        .iter()
        .map(|told| match told.step {
            Step::Written { .. } => "written",
            Step::Ended { .. } => "ended",
            Step::Receipt(_) => "receipt",
            Step::ReceiptDone(_) => "receipt done",
            _ => "other",
        })
        .collect();
    assert_eq!(words.first(), Some(&"written"), "{told:?}");
    for word in ["ended", "receipt", "receipt done"] {
        assert_eq!(
            words.iter().filter(|is| **is == word).count(),
            1,
            "{word}: {told:?}"
        );
    }
}

/// A batch without a new id says when it was made by the floor of ids, and must not carry them away with the clock.
#[test]
fn a_clock_that_is_far_ahead_for_a_moment_carries_no_ids_along() {
    let mut rig = Rig::new(6);
    let leg = rig.accept().unwrap();
    rig.turn();
    let now_ms = rig.now_ms;
    rig.now_ms += 365 * 24 * 3_600 * 1_000;
    rig.retry(leg).unwrap();
    rig.turn();
    rig.now_ms = now_ms;
    let leg = rig.accept().unwrap();
    let id = rig.spool.index().get(leg).unwrap().message;
    assert!((now_ms..now_ms + 3_600_000).contains(&id.ms()), "{id:?}");
}

#[test]
fn what_cannot_be_read_is_counted_and_the_rest_is_told() {
    let mut rig = Rig::new(5);
    let leg = rig.accept().unwrap();
    rig.turn();
    traffic(&mut rig, 12);
    rig.retry(leg).unwrap();
    rig.turn();
    let wanted = wanted(&rig, leg);
    let disk = rig.disk.crash();
    // The batch of its acceptance, the first of the segment: the next one is found again.
    assert!(disk.damage(&rig.file(wanted.first.unwrap()), 100, &[0xff, 0, 0xff]));
    let told = read(&rig, &disk, &wanted);
    assert_eq!(told.damaged, 1);
    assert!(
        matches!(
            told.steps[..],
            [Told {
                step: Step::PutOff { .. },
                ..
            }]
        ),
        "{told:?}"
    );
    // Segments that are gone are passed over.
    disk.unlink(&rig.file(wanted.first.unwrap())).unwrap();
    let told = read(&rig, &disk, &wanted);
    assert_eq!((told.damaged, told.steps.len()), (0, 1));
}
