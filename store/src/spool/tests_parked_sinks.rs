//! A sink to which nothing goes for now, and others of its account: each has its line, in memory and in files.

use std::io::ErrorKind;
use std::num::NonZeroU32;

use crate::disk::Op;
use crate::record::Sink;

use super::tests_parked::World;

const KITCHEN: Sink = Sink::BindOf(NonZeroU32::MIN);

/// A world in which the first `stuck` entries are for the kitchen and as many behind them for any bind, all but a few of
/// each in files.
fn parked(seed: u64, stuck: u32) -> World {
    let mut world = World::new(seed);
    world.sink = KITCHEN;
    world.make(stuck);
    world.sink = Sink::Bind;
    world.make(stuck);
    world.cool();
    let (memory, filed) = (world.rig.spool.outbox().iter().count(), world.in_files());
    assert!(
        memory < 80 && memory + filed == 2 * stuck as usize,
        "{memory} {filed}"
    );
    world
}

#[test]
fn what_lies_in_files_for_one_sink_holds_up_no_other() {
    for restarted in [false, true] {
        let mut world = parked(1, 200);
        if restarted {
            world = world.crash();
            assert!(!world.rig.found.is_alarming(), "{:?}", world.rig.found);
        }
        // What is younger than all in files, too.
        world.make(20);
        world.fetch(usize::MAX);
        assert!(
            world.seen.iter().copied().eq(200..420),
            "{restarted}: {:?}",
            world.seen
        );
        assert_eq!(world.waiting(), 200);
        world = world.crash();
        world.sink = KITCHEN;
        world.fetch(usize::MAX);
        assert!(
            world.seen.iter().copied().eq(0..200),
            "{restarted}: {:?}",
            world.seen
        );
        world.check_nothing_is_left("both");
    }
}

#[test]
fn of_a_sink_that_takes_nothing_no_more_comes_back_than_it_asks_for() {
    let mut world = parked(2, 200);
    let account = world.account();
    assert_eq!(world.rig.spool.next_sink(account, &[]), Some(KITCHEN));
    assert_eq!(world.rig.spool.next_sink(account, &[KITCHEN]), Some(Sink::Bind));
    let filed = world.in_files();
    world.fetch(100);
    let memory = world.rig.spool.outbox();
    let kitchen = memory.iter().filter(|entry| entry.sink == KITCHEN).count();
    assert!(kitchen < 40, "{kitchen} in memory");
    assert!(world.in_files() < filed);
}

#[test]
fn a_file_of_one_sink_that_cannot_be_read_holds_up_no_other() {
    let mut world = World::new(3);
    world.sink = KITCHEN;
    world.make(100);
    world.cool();
    let bad = world.files();
    world.sink = Sink::Bind;
    world.make(100);
    world.cool();
    for path in &bad {
        let name = path.file_stem().unwrap().to_str().unwrap();
        world
            .rig
            .disk
            .fail_on(Op::Read, name, 0, u64::MAX, ErrorKind::Other);
    }
    let account = world.account();
    assert_eq!(world.rig.spool.take_entry(account, KITCHEN), None);
    world.fetch(usize::MAX);
    assert!(world.seen.iter().copied().eq(100..200), "{:?}", world.seen);
}
