//! Legs that wait in files: moved, found, ended at the hour's end, through power cuts, faults and damage. What
//! counts is how many DLRs a leg has made in the end: one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use rand_core::Rng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::disk::{Access, Disk, FaultyDisk, Op};
use crate::index::LegId;
use crate::keyring::Owner;
use crate::record::{EntryKind, Form, Stage};
use crate::testing::envelope;
use crate::waiting::HOUR_MS;

use super::rig::{NOW, Rig, options};
use super::{Back, Begin, CommitOutcome, Ending, Finished, NewEntry, Options, Target};

const CARRIER: &str = "sink";

/// A spool whose legs a carrier has.
struct World {
    rig: Rig,
    /// Legs that were handed over, and that is synced.
    legs: u32,
    tokens: u64,
}

fn waits(segment_size: u64) -> Options {
    Options {
        segment_size,
        limit: 400 << 20,
        receipt_hot_ms: 600_000,
        ..options()
    }
}

fn id_of(leg: u32) -> MessageIdText {
    MessageIdText::new(format!("c{leg}").as_bytes()).unwrap()
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        Self {
            rig: Rig::with(seed, options),
            legs: 0,
            tokens: 0,
        }
    }

    /// Hands legs over whose receipts may come for so long, and syncs that.
    fn hand_over(&mut self, count: u32, deadline_ms: u64) {
        let rig = &mut self.rig;
        let account = SystemId::new(b"load").unwrap();
        let carrier = rig.spool.intern(CARRIER).unwrap();
        let mut handed = 0;
        while handed < count {
            let mut legs = Vec::new();
            while handed < count && rig.spool.has_batch_room() {
                let id = rig.spool.next_id(rig.now_ms);
                let (now, due) = (rig.now_ms, rig.now_ms);
                let leg = rig
                    .spool
                    .accept(now, id, 0, account, envelope(), due, b"text", &mut rig.rng)
                    .unwrap();
                legs.push((leg, self.legs + handed));
                handed += 1;
            }
            rig.turn();
            for (leg, number) in legs {
                let (now, deadline) = (rig.now_ms, rig.now_ms + deadline_ms);
                rig.spool
                    .hand_over(now, leg, carrier, id_of(number), deadline, &mut rig.rng)
                    .unwrap();
            }
            while rig.turn().is_some() {}
        }
        self.legs += count;
    }

    /// Ends a leg with a DLR that names it.
    fn end(&mut self, leg: LegId, state: MessageState) {
        let rig = &mut self.rig;
        let body = rig.spool.index().get(leg).unwrap().carrier_id.as_bytes().to_vec();
        let entry = NewEntry {
            kind: EntryKind::Dlr,
            form: Form::Sm,
            expires_ms: u64::MAX / 2,
            body: &body,
        };
        let at_ms = rig.now_ms;
        let ending = Ending { state, at_ms };
        // A spool that is broken refuses, and the next start sees to it.
        let _ = rig
            .spool
            .settle(rig.now_ms, leg, ending, Some(&entry), true, &mut rig.rng);
    }

    /// A receipt of a leg; whether it is known.
    fn receipt(&mut self, number: u32) -> bool {
        let carrier = self.rig.spool.intern(CARRIER).unwrap();
        let id = id_of(number);
        if let Some(leg) = self.rig.spool.index().find_carrier_id(carrier, id.as_bytes()) {
            self.end(leg, MessageState::Delivered);
            return true;
        }
        self.tokens += 1;
        if !self.rig.spool.ask(self.tokens, carrier, &[id]).unwrap_or(false) {
            return false;
        }
        self.chores() > 0
    }

    /// Runs chores until none is left; how many legs were found and ended.
    fn chores(&mut self) -> usize {
        let mut ended = 0;
        for _ in 0..10_000 {
            let Some(chore) = self.rig.spool.next_chore(self.rig.now_ms) else {
                return ended;
            };
            let done = self.rig.keeper.run(chore, &mut self.rig.rng);
            ended += self.done(done);
        }
        panic!("chores go round and round");
    }

    fn done(&mut self, done: super::ChoreDone<FaultyDisk>) -> usize {
        let Finished::Found(answers) = self.rig.done(done) else {
            return 0;
        };
        let mut ended = 0;
        for answer in answers {
            let Ok(Some(found)) = answer.found else { continue };
            if let Back::Fresh(leg) | Back::There(leg) = self.rig.spool.bring_back(found) {
                self.end(leg, MessageState::Delivered);
                self.rig.spool.let_go(leg);
                ended += 1;
            }
        }
        ended
    }

    /// Ends legs whose date has come, as the gateway does.
    fn dates(&mut self) {
        let due = self.rig.spool.index().due(self.rig.now_ms, 1000);
        for leg in due {
            if self.rig.spool.index().get(leg).unwrap().stage == Stage::HandedOver {
                self.end(leg, MessageState::Unknown);
            }
        }
    }

    fn turn(&mut self) -> Option<CommitOutcome> {
        self.rig.now_ms += 10;
        let outcome = self.rig.commit();
        self.chores();
        self.dates();
        outcome
    }

    /// Turns until nothing happens any more.
    fn rest(&mut self) {
        let mut idle = 0;
        for _ in 0..10_000 {
            idle = if self.turn().is_some() { 0 } else { idle + 1 };
            if idle > 3 {
                let waits = &self.rig.spool.waits;
                if waits.to_mark.is_empty() && waits.marking.is_empty() {
                    return;
                }
                self.rig.now_ms += 6_000;
            }
        }
        panic!("it never comes to rest");
    }

    fn pass_time(&mut self, ms: u64) {
        self.rig.now_ms += ms;
        self.rest();
        // What failed waits a moment; moves are looked for once a second.
        self.rig.now_ms += 2_000;
        self.rest();
    }

    /// Lets legs wait until they lie in files.
    fn cool(&mut self) {
        self.pass_time(700_000);
        self.pass_time(2_000);
    }

    fn crash(self) -> Self {
        let disk = self.rig.disk.crash();
        self.start(disk)
    }

    fn start(self, disk: FaultyDisk) -> Self {
        let Self { rig, legs, tokens } = self;
        let rig = rig.reopen(disk);
        Self { rig, legs, tokens }
    }

    fn waiting(&self) -> u64 {
        self.rig.spool.waiting().legs
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut paths = self.rig.disk.paths();
        paths.retain(|path| path.starts_with("/data/waiting"));
        paths
    }

    /// How many DLRs each leg has made.
    fn dlrs(&mut self) -> BTreeMap<String, usize> {
        let rig = &mut self.rig;
        let mut dlrs = BTreeMap::new();
        let ids: Vec<_> = rig.spool.outbox().iter().map(|entry| entry.id).collect();
        let targets = ids
            .into_iter()
            .map(|id| Target::Entry(rig.spool.outbox().find(id).unwrap()));
        let targets: Vec<Target> = targets.collect();
        let Some(chore) = rig.spool.read_back(targets) else {
            return dlrs;
        };
        let done = rig.keeper.run(chore, &mut rig.rng);
        let Finished::Read(found) = rig.done(done) else {
            panic!("not read")
        };
        for read in found {
            let body = String::from_utf8(read.body.unwrap()).unwrap();
            *dlrs.entry(body).or_default() += 1;
        }
        dlrs
    }

    /// Lets all time pass, and looks at what became of every leg: it has ended once, and nothing is left.
    fn check_all_ended_once(mut self, context: &str) {
        self.rig.disk.heal();
        for _ in 0..40 {
            self.pass_time(HOUR_MS / 2);
        }
        let dlrs = self.dlrs();
        for leg in 0..self.legs {
            let made = dlrs.get(&format!("c{leg}")).copied().unwrap_or(0);
            assert_eq!(made, 1, "DLRs of leg {leg}, {context}");
        }
        assert!(self.rig.spool.index().is_empty(), "{context}");
        assert_eq!(self.waiting(), 0, "{context}");
        assert_eq!(self.files(), Vec::<PathBuf>::new(), "{context}");
        let keys = self.rig.keeper.ring().live(Owner::Waiting);
        assert!(keys.is_empty(), "{} keys are left, {context}", keys.len());
        assert_eq!(self.rig.spool.waiting().octets, 0, "{context}");
    }
}

#[test]
fn a_leg_that_waits_long_leaves_memory_and_a_late_receipt_finds_it_after_a_restart_too() {
    let mut world = World::new(1, waits(1 << 20));
    world.hand_over(100, 3 * HOUR_MS);
    world.pass_time(590_000);
    assert_eq!(
        (world.rig.spool.index().len(), world.waiting()),
        (100, 0),
        "still hot"
    );
    world.cool();
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (0, 100));
    assert!(world.receipt(7));
    world.rest();
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 99);
    assert!(!world.rig.found.is_alarming());
    assert!(!world.receipt(7), "it has ended");
    assert!(world.receipt(8) && !world.receipt(100) && !world.receipt(8));
    world.rest();
    assert_eq!(world.waiting(), 98);
    let dlrs = world.dlrs();
    assert_eq!(dlrs, [("c7".to_owned(), 1), ("c8".to_owned(), 1)].into());
    world.check_all_ended_once("at the end");
}

#[test]
fn what_stands_in_a_waiting_file_tells_nothing() {
    let mut world = World::new(2, waits(1 << 20));
    world.hand_over(50, 3 * HOUR_MS);
    world.cool();
    for path in world.files() {
        let octets = world.rig.disk.octets(&path).unwrap();
        for word in ["447700900123", "Tide", "sink", "c49", "text"] {
            let seen = memchr::memmem::find(&octets, word.as_bytes());
            assert!(seen.is_none(), "{word} in a waiting file");
        }
    }
}

#[test]
fn a_repeated_receipt_is_none_whether_or_not_the_first_is_synced_and_marked() {
    let mut world = World::new(3, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    // Staged only.
    assert!(world.receipt(3) && !world.receipt(3));
    // Synced, and the process dies before the mark is set.
    assert_eq!(world.rig.commit(), Some(CommitOutcome::Synced));
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 20, "not marked yet");
    assert!(!world.receipt(3));
    world.rest();
    assert_eq!(world.waiting(), 19);
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 19, "marked");
    assert!(!world.receipt(3));
    world.check_all_ended_once("after two crashes");
}

#[test]
fn a_mark_that_could_not_be_synced_is_synced_by_the_next_try() {
    let mut world = World::new(12, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    assert!(world.receipt(3));
    assert_eq!(world.rig.commit(), Some(CommitOutcome::Synced));
    // After a start it is known by its hash only.
    let mut world = world.crash();
    world
        .rig
        .disk
        .fail_on(Op::Sync, "waiting", 0, 2, ErrorKind::Other);
    world.rest();
    assert_eq!(world.waiting(), 19);
    let path = world.files().remove(0);
    let octets = world.rig.disk.crash().octets(&path).unwrap();
    let header = crate::waiting::format::Header::read(&octets).unwrap();
    let file = world.rig.disk.crash().open(&path, Access::Read).unwrap();
    let (done, _) = crate::waiting::done::Done::read(&file, header.room).unwrap();
    assert_eq!(done.count(), 1, "on the platters");
    world.check_all_ended_once("after two failed syncs");
}

#[test]
fn a_damaged_line_takes_no_other_along_when_runs_are_merged() {
    let mut world = World::new(13, waits(8 * 1024));
    world.hand_over(128, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    let mut damaged = false;
    for _ in 0..100 {
        world.rig.now_ms += 1_000;
        world.rig.commit();
        if !damaged && let Some(path) = world.files().first() {
            let octets = world.rig.disk.octets(path).unwrap();
            let header = crate::waiting::format::Header::read(&octets).unwrap();
            damaged = world.rig.disk.damage(path, header.table_at() + 32, &[0x00, 0xff]);
        }
        world.chores();
    }
    assert_eq!(
        (world.waiting(), world.files().len()),
        (127, 1),
        "one was left behind"
    );
    assert_eq!(world.rig.spool.waiting().damaged, 1);
    let found = (0..128).filter(|leg| world.receipt(*leg)).count();
    assert_eq!(found, 127);
}

#[test]
fn a_leg_that_came_back_for_nothing_goes_back() {
    let mut world = World::new(4, waits(1 << 20));
    world.hand_over(5, 3 * HOUR_MS);
    world.cool();
    let carrier = world.rig.spool.intern(CARRIER).unwrap();
    assert!(world.rig.spool.ask(9, carrier, &[id_of(2)]).unwrap());
    let chore = world.rig.spool.next_chore(world.rig.now_ms).unwrap();
    let done = world.rig.keeper.run(chore, &mut world.rig.rng);
    let Finished::Found(mut answers) = world.rig.done(done) else {
        panic!("not found")
    };
    let found = answers.pop().unwrap().found.unwrap().unwrap();
    let Back::Fresh(leg) = world.rig.spool.bring_back(found.clone()) else {
        panic!("not fresh")
    };
    assert_eq!(world.rig.spool.bring_back(found), Back::There(leg));
    world.rig.spool.let_go(leg);
    assert!(world.rig.spool.index().is_empty());
    assert!(world.receipt(2));
    world.check_all_ended_once("after it was let go");
}

#[test]
fn a_leg_whose_end_is_near_stays_where_it_is() {
    let mut world = World::new(5, waits(1 << 20));
    world.hand_over(10, HOUR_MS);
    world.cool();
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (10, 0));
    world.check_all_ended_once("on time");
}

#[test]
fn a_leg_that_ends_while_it_is_moved_ends_once() {
    let mut world = World::new(6, waits(1 << 20));
    world.hand_over(30, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    let mut moving = None;
    while let Some(chore) = world.rig.spool.next_chore(world.rig.now_ms) {
        if world.rig.spool.waits.under.moving {
            moving = Some(chore);
            break;
        }
        let done = world.rig.keeper.run(chore, &mut world.rig.rng);
        world.done(done);
    }
    // One ends before the keeper has written it, one before the loop hears of it.
    assert!(world.receipt(1));
    let done = world.rig.keeper.run(moving.unwrap(), &mut world.rig.rng);
    assert!(world.receipt(2));
    world.done(done);
    assert!(!world.receipt(1) && !world.receipt(2) && world.receipt(3));
    world.rest();
    let mut world = world.crash();
    assert!((1..=3).all(|leg| !world.receipt(leg)));
    world.check_all_ended_once("moved and ended at once");
}

#[test]
fn many_small_runs_of_an_hour_become_few_and_keep_every_leg() {
    // 2 KiB of batch: 32 legs a move.
    let mut world = World::new(7, waits(8 * 1024));
    world.hand_over(1500, 3 * HOUR_MS);
    world.cool();
    for _ in 0..100 {
        world.pass_time(1_000);
    }
    assert_eq!(world.waiting(), 1500);
    let runs = world.files().len();
    assert!(runs <= 10, "{runs} runs");
    for leg in (0..1500).step_by(100) {
        assert!(world.receipt(leg), "leg {leg}");
    }
    let mut world = world.crash();
    assert!(!world.rig.found.is_alarming());
    for leg in (1..1500).step_by(100) {
        assert!(world.receipt(leg), "leg {leg}");
    }
    world.rest();
    let counts = world.rig.spool.waiting();
    assert!(counts.memory < 10 * 1500 + 4096 * counts.files as u64);
    world.check_all_ended_once("merged");
}

#[test]
fn marks_that_come_while_runs_are_merged_are_kept() {
    let mut world = World::new(8, waits(8 * 1024));
    world.hand_over(128, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    // Until the merge is written but for its end.
    let mut turns = 0;
    loop {
        let chore = world.rig.spool.next_chore(world.rig.now_ms);
        let merging = world.rig.spool.waits.under.merge_out;
        match chore {
            Some(chore) if merging => {
                // A receipt's mark overtakes the merge, which has begun with its first step.
                let hour = *world.rig.keeper.waiting.hours.keys().next().unwrap();
                let runs: Vec<u64> = world.rig.keeper.waiting.hours[&hour]
                    .runs
                    .keys()
                    .copied()
                    .collect();
                let merge = world.rig.keeper.waiting.begin_merge(hour, &runs).unwrap();
                world.rig.keeper.waiting.merge = Some(merge);
                let marks: Vec<_> = (0..5)
                    .map(|rank| {
                        let at = crate::waiting::At { run: runs[1], rank };
                        let leg = world
                            .rig
                            .keeper
                            .waiting
                            .leg(hour, at, crate::seal::Purpose::Dlr)
                            .unwrap();
                        let (id, leg, place) = (leg.id, leg.leg, leg.place);
                        crate::waiting::Mark { id, leg, place }
                    })
                    .collect();
                world.rig.keeper.waiting.mark(&marks).unwrap();
                let done = world.rig.keeper.run(chore, &mut world.rig.rng);
                world.done(done);
                break;
            }
            Some(chore) => {
                let done = world.rig.keeper.run(chore, &mut world.rig.rng);
                world.done(done);
            }
            None => {
                world.rig.now_ms += 1_000;
                world.rig.commit();
            }
        }
        turns += 1;
        assert!(turns < 10_000, "no merge");
    }
    assert_eq!(world.waiting(), 123);
    let world = world.crash();
    assert_eq!(world.rig.found.waiting, 123);
}

#[test]
fn an_hour_that_is_over_comes_back_in_bounded_bunches() {
    let mut world = World::new(9, waits(1 << 20));
    world.hand_over(5000, 3 * HOUR_MS);
    world.cool();
    assert_eq!(world.waiting(), 5000);
    let mut most = 0;
    for _ in 0..5 {
        world.rig.now_ms += HOUR_MS;
        for _ in 0..100 {
            world.turn();
            most = most.max(world.rig.spool.index().len());
        }
    }
    assert!(most > 0 && most <= 2 * crate::waiting::PASS_MAX, "{most}");
    world.check_all_ended_once("bunch by bunch");
}

#[test]
fn waiting_files_count_in_the_budget_and_are_not_made_beyond_it() {
    let mut world = World::new(10, waits(1 << 20));
    world.hand_over(2000, 3 * HOUR_MS);
    let before = world.rig.spool.octets();
    world.rig.spool.options.limit = before + (5 << 20);
    world.cool();
    assert_eq!(world.waiting(), 0, "the reserve is not for moving");
    world.rig.spool.options.limit = 400 << 20;
    world.cool();
    let counts = world.rig.spool.waiting();
    assert_eq!(counts.legs, 2000);
    let files: u64 = world
        .rig
        .disk
        .list("/data/waiting".as_ref())
        .unwrap()
        .iter()
        .map(|file| file.len)
        .sum();
    assert_eq!(counts.octets, files);
    let segments: u64 = world.rig.spool.segments.octets() + world.rig.spool.next.as_ref().unwrap().octets;
    assert_eq!(world.rig.spool.octets(), segments + files);
    world.check_all_ended_once("within the budget");
}

#[test]
fn a_full_disk_stops_a_move_and_nothing_else() {
    let mut world = World::new(11, waits(1 << 20));
    world.hand_over(300, 3 * HOUR_MS);
    world
        .rig
        .disk
        .fail_on(Op::Create, "waiting", 0, 3, ErrorKind::StorageFull);
    world
        .rig
        .disk
        .fail_on(Op::Write, "waiting", 1, 1, ErrorKind::StorageFull);
    world.rig.now_ms += 700_000;
    world.rest();
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (300, 0));
    assert_eq!(world.files().len(), 0, "what failed is gone");
    for _ in 0..10 {
        world.pass_time(1_000);
    }
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (0, 300));
    world.check_all_ended_once("after a full disk");
}

// ===== power cuts =====

/// Everything that changes a file: several moves, merges, late receipts, the end of hours.
fn script(world: &mut World) {
    world.rig.now_ms += 700_000;
    for step in 0..60 {
        world.rig.now_ms += 1_000;
        if world.rig.spool.is_broken() {
            return;
        }
        world.rig.commit();
        world.chores();
        world.dates();
        if step >= 20 && step % 4 == 0 {
            world.receipt(step);
            world.receipt(step);
        }
        if step == 45 {
            world.rig.now_ms += 4 * HOUR_MS;
        }
    }
}

fn handed(seed: u64) -> World {
    let mut world = World::new(seed, waits(8 * 1024));
    world.hand_over(160, 3 * HOUR_MS);
    world.rig.now_ms = NOW + 40_000;
    world.hand_over(20, 2 * HOUR_MS);
    world.rest();
    world
}

#[test]
fn wherever_the_power_goes_each_leg_ends_once() {
    let mut whole = handed(1);
    let before = whole.rig.disk.counts().changes;
    script(&mut whole);
    let changes = whole.rig.disk.counts().changes - before;
    assert!(changes > 100, "{changes}");
    let counts = whole.rig.spool.waiting();
    assert!(counts.moved == 180 && counts.passed > 100, "{counts:?}");
    for cut in 0..changes {
        let mut world = handed(1);
        world.rig.disk.cut_power_after(cut);
        script(&mut world);
        let disk = if cut % 2 == 0 {
            world.rig.disk.crash()
        } else {
            let mut rng = crate::testing::rng();
            (0..cut).for_each(|_| _ = rng.next_u32());
            world.rig.disk.crash_with(&mut rng)
        };
        let world = world.start(disk);
        assert!(
            !world.rig.found.is_alarming(),
            "cut after {cut}: {:?}",
            world.rig.found
        );
        world.check_all_ended_once(&format!("cut after {cut}"));
    }
}

#[test]
fn faults_and_restarts_at_any_time_end_each_leg_once() {
    for seed in 0..80 {
        let mut world = handed(seed);
        for _ in 0..4 {
            let with_faults = world.rig.one_in(2);
            for _ in 0..60 {
                world.rig.now_ms += u64::from(world.rig.below(30_000));
                if with_faults && world.rig.one_in(5) {
                    let ops = [
                        Op::Write,
                        Op::Sync,
                        Op::Create,
                        Op::Unlink,
                        Op::SyncDir,
                        Op::Rename,
                        Op::Read,
                    ];
                    let op = world.rig.pick(&ops).unwrap();
                    let skip = u64::from(world.rig.below(4));
                    let place = if world.rig.one_in(4) { "spool" } else { "waiting" };
                    let kind = if world.rig.one_in(2) {
                        ErrorKind::StorageFull
                    } else {
                        ErrorKind::Other
                    };
                    world.rig.disk.fail_on(op, place, skip, 1, kind);
                }
                match world.rig.below(5) {
                    0 => {
                        if let Begin::Commit(commit) = world.rig.begin() {
                            world.rig.finish(commit.run());
                        }
                    }
                    1 => {
                        if let Some(chore) = world.rig.spool.next_chore(world.rig.now_ms) {
                            let done = world.rig.keeper.run(chore, &mut world.rig.rng);
                            world.done(done);
                        }
                    }
                    2 => {
                        let leg = world.rig.below(200);
                        world.receipt(leg);
                    }
                    3 => world.dates(),
                    _ => _ = world.turn(),
                }
            }
            let disk = match world.rig.below(3) {
                0 => world.rig.disk.clone(),
                1 => world.rig.disk.crash(),
                _ => world.rig.disk.crash_with(&mut world.rig.rng),
            };
            world = world.start(disk);
            assert!(
                !world.rig.found.is_alarming(),
                "seed {seed}: {:?}",
                world.rig.found
            );
        }
        world.check_all_ended_once(&format!("seed {seed}"));
    }
}

// ===== damage =====

fn moved(seed: u64) -> World {
    let mut world = World::new(seed, waits(1 << 20));
    world.hand_over(60, 3 * HOUR_MS);
    world.cool();
    assert_eq!((world.waiting(), world.files().len()), (60, 1));
    world
}

#[test]
fn a_header_is_read_where_it_is_whole_and_a_file_without_one_is_set_aside() {
    let world = moved(20);
    let path = world.files().remove(0);
    let end = world.rig.disk.octets(&path).unwrap().len() as u64;
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, 20, b"damage"));
    let world = world.start(disk);
    assert_eq!(
        (world.rig.found.waiting, world.rig.found.is_alarming()),
        (60, false)
    );
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, end - 100, b"damage"));
    let mut world = world.start(disk);
    assert_eq!((world.rig.found.waiting, world.rig.found.waiting_damaged), (0, 1));
    assert!(!world.receipt(1));
    // Its key stays as long as the file does.
    assert_eq!(world.rig.keeper.ring().live(Owner::Waiting).len(), 1);
    assert!(world.files()[0].to_string_lossy().ends_with(".damaged"));
}

#[test]
fn a_damaged_filter_is_made_anew() {
    let world = moved(21);
    let path = world.files().remove(0);
    let octets = world.rig.disk.octets(&path).unwrap();
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, octets.len() as u64 - 512 - 9, b"damage"));
    let mut world = world.start(disk);
    assert_eq!(
        (world.rig.found.waiting, world.rig.found.waiting_damaged),
        (60, 1)
    );
    assert!((0..60).all(|leg| world.receipt(leg)));
}

#[test]
fn a_damaged_record_is_counted_and_the_others_end() {
    let mut world = moved(22);
    let path = world.files().remove(0);
    let octets = world.rig.disk.octets(&path).unwrap();
    let header = crate::waiting::format::Header::read(&octets).unwrap();
    let disk = world.rig.disk.clone();
    assert!(disk.damage(&path, header.records_at() + 100, b"damage"));
    for _ in 0..10 {
        world.pass_time(HOUR_MS / 2);
    }
    assert_eq!(world.dlrs().len(), 59);
    assert_eq!((world.waiting(), world.rig.spool.waiting().damaged), (0, 1));
    assert!(world.files().is_empty() && world.rig.keeper.ring().live(Owner::Waiting).is_empty());
}
