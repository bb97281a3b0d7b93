//! A message that lies in a waiting file is found by its id, with its story, and one that has ended is not.

use tidegate_codec::identity::SystemId;

use super::rig::Rig;
use super::tests_waits::{World, waits};
use super::{Step, Wanted, story};
use crate::message_id::MessageId;
use crate::record::Stage;
use crate::waiting::lookup::look_within;
use crate::waiting::{Filed, HOUR_MS, Sought, look_up};

fn sought(message: MessageId, near_ms: u64) -> Sought {
    Sought {
        messages: vec![message],
        near_ms: vec![near_ms],
    }
}

fn look(rig: &Rig, message: MessageId) -> Filed {
    let ring = rig.keeper.ring();
    let sought = sought(message, rig.now_ms + 3 * HOUR_MS);
    look_up(&rig.disk, &rig.options.waiting_dir, |id| ring.get(id), &sought).unwrap()
}

/// The messages in memory, in the order in which they were accepted.
fn messages(world: &World) -> Vec<MessageId> {
    let mut all: Vec<MessageId> = world
        .rig
        .spool
        .index()
        .iter()
        .map(|(_, leg)| leg.message)
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn each_message_in_a_waiting_file_is_found_until_it_has_ended() {
    // 2 KiB of batch: many runs, which are merged.
    let mut world = World::new(21, waits(8 * 1024));
    world.hand_over(600, 3 * HOUR_MS);
    let messages = messages(&world);
    world.cool();
    for _ in 0..100 {
        world.pass_time(1_000);
    }
    assert_eq!(world.waiting(), 600);
    for message in &messages {
        let filed = look(&world.rig, *message);
        let [leg] = &filed.legs[..] else {
            panic!("{message:?}: {filed:?}");
        };
        assert!(!filed.has_more && filed.damaged == 0, "{filed:?}");
        let leg = world.rig.spool.filed(leg).unwrap();
        assert_eq!((leg.message, leg.stage), (*message, Stage::HandedOver));
        let names = world.rig.spool.names();
        assert_eq!(
            (names.name(leg.account), leg.carrier.map(|name| names.name(name))),
            ("load", Some("sink"))
        );
        assert!(leg.due_ms > world.rig.now_ms);
    }
    assert!(look(&world.rig, MessageId(messages[599].0 + 1)).legs.is_empty());
    // Its end is staged only: the file says nothing yet, memory does.
    assert!(world.receipt(7));
    let filed = look(&world.rig, messages[7]);
    assert!(
        filed.legs.iter().all(|leg| world.rig.spool.filed(leg).is_none()),
        "{filed:?}"
    );
    world.rest();
    world.pass_time(10_000);
    assert!(look(&world.rig, messages[7]).legs.is_empty());
    assert_eq!(look(&world.rig, messages[8]).legs.len(), 1);
}

#[test]
fn its_story_is_told_though_memory_does_not_know_where_it_begins() {
    let mut world = World::new(22, waits(8 * 1024));
    world.hand_over(400, 3 * HOUR_MS);
    let messages = messages(&world);
    // What is in memory keeps its segments.
    for _ in 0..400 {
        world.rig.accept().unwrap();
        world.rig.turn();
    }
    world.cool();
    let ring = world.rig.keeper.ring();
    let mut whole = 0;
    for message in [messages[0], messages[200], messages[399]] {
        let wanted = Wanted {
            message,
            account: SystemId::new(b"load").unwrap(),
            called: b"ddd".to_vec(),
            first: None,
        };
        let told = story(
            &world.rig.disk,
            &world.rig.options.dir,
            |id| ring.get(id),
            &wanted,
        )
        .unwrap();
        let steps: Vec<&Step> = told.steps.iter().map(|told| &told.step).collect();
        assert!(matches!(steps.last(), Some(Step::Filed)), "{told:?}");
        whole += usize::from(matches!(
            steps[..],
            [
                Step::Written { is_first: true, .. },
                Step::HandedOver { .. },
                Step::Filed
            ]
        ));
    }
    // Segments in which nothing lives any more are gone.
    assert!(whole >= 1);
}

#[test]
fn what_is_near_its_date_is_read_first_and_no_more_than_may_be() {
    let mut world = World::new(23, waits(1 << 20));
    world.hand_over(200, 30 * HOUR_MS);
    let later = messages(&world);
    world.hand_over(200, 3 * HOUR_MS);
    let sooner: Vec<MessageId> = messages(&world)
        .into_iter()
        .filter(|id| !later.contains(id))
        .collect();
    world.cool();
    let ring = world.rig.keeper.ring();
    let look = |message, hours: u64| {
        let sought = sought(message, world.rig.now_ms + hours * HOUR_MS);
        let dir = &world.rig.options.waiting_dir;
        look_within(&world.rig.disk, dir, |id| ring.get(id), &sought, 4_096).unwrap()
    };
    for (message, hours) in [(later[3], 30), (sooner[3], 3)] {
        assert_eq!(look(message, hours).legs.len(), 1);
        let filed = look(message, 33 - hours);
        assert!(filed.legs.is_empty() && filed.has_more, "{filed:?}");
    }
}

#[test]
fn what_is_damaged_is_counted_and_hides_nothing_else() {
    let mut world = World::new(24, waits(1 << 20));
    world.hand_over(50, 3 * HOUR_MS);
    let messages = messages(&world);
    world.cool();
    let paths = world.files();
    let [path] = &paths[..] else {
        panic!("one run: {paths:?}")
    };
    let octets = world.rig.disk.octets(path).unwrap();
    let header = crate::waiting::format::Header::read(&octets).unwrap();
    // One line of the table, and what a record has sealed.
    for at in [header.table_at() + 16 * 5, header.records_at() + 100] {
        assert!(world.rig.disk.damage(path, at, b"damage"));
    }
    let filed: Vec<Filed> = messages
        .iter()
        .map(|message| look(&world.rig, *message))
        .collect();
    let found = filed.iter().filter(|filed| filed.legs.len() == 1).count();
    assert_eq!(found, 48);
    assert!(filed.iter().all(|filed| filed.damaged >= 1));
    assert!(filed.iter().any(|filed| filed.damaged == 2));
}
