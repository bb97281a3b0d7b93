//! Legs that wait in files: moved, found, merged, ended at the hour's end. What counts is how many DLRs a leg has
//! made in the end: one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::disk::{Disk, FaultyDisk};
use crate::index::LegId;
use crate::keyring::Owner;
use crate::quote::Quote;
use crate::record::{EntryKind, Form, Sink, Stage};
use crate::testing::envelope;
use crate::waiting::HOUR_MS;

use super::rig::{Rig, options};
use super::{Back, CommitOutcome, Ending, Finished, NewEntry, NewLeg, Options, Target};

const CARRIER: &str = "sink";

/// A spool whose legs a carrier has.
pub(super) struct World {
    pub(super) rig: Rig,
    /// Legs that were handed over, and that is synced.
    pub(super) legs: u32,
    tokens: u64,
}

pub(super) fn waits(segment_size: u64) -> Options {
    Options {
        segment_size,
        limit: 400 << 20,
        receipt_hot_ms: 600_000,
        ..options()
    }
}

pub(super) fn id_of(leg: u32) -> MessageIdText {
    MessageIdText::new(format!("c{leg}").as_bytes()).unwrap()
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        Self {
            rig: Rig::with(seed, options),
            legs: 0,
            tokens: 0,
        }
    }

    /// Hands legs over whose receipts may come for so long, and syncs that.
    pub(super) fn hand_over(&mut self, count: u32, deadline_ms: u64) {
        let rig = &mut self.rig;
        let account = SystemId::new(b"load").unwrap();
        let carrier = rig.spool.intern(CARRIER).unwrap();
        let mut handed = 0;
        while handed < count {
            let mut legs = Vec::new();
            while handed < count && rig.spool.has_batch_room() {
                let id = rig.spool.next_id(rig.now_ms);
                let (now, due) = (rig.now_ms, rig.now_ms);
                let new = NewLeg {
                    id,
                    leg: 0,
                    account,
                    envelope: envelope(),
                    due_ms: due,
                    quote: Quote::of(*b"quoted"),
                    body: b"text",
                    period: crate::usage::Period::default(),
                    takes_a_place: false,
                    held: false,
                };
                let leg = rig.spool.accept(now, new, &mut rig.rng).unwrap();
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
    pub(super) fn end(&mut self, leg: LegId, state: MessageState) {
        let rig = &mut self.rig;
        let index = rig.spool.index();
        let quote = index.quote(leg);
        assert_eq!(
            quote.as_bytes(),
            b"quoted",
            "it comes along wherever the leg goes"
        );
        let body = index.carrier_id(index.get(leg).unwrap()).to_vec();
        let entry = NewEntry {
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form: Form::Sm,
            expires_ms: u64::MAX / 2,
            document: &[],
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
    pub(super) fn receipt(&mut self, number: u32) -> bool {
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
    pub(super) fn chores(&mut self) -> usize {
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

    pub(super) fn done(&mut self, done: super::ChoreDone<FaultyDisk>) -> usize {
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
    pub(super) fn dates(&mut self) {
        let due = self.rig.spool.index().due(self.rig.now_ms, 1000);
        for leg in due {
            if self.rig.spool.index().get(leg).unwrap().stage == Stage::HandedOver {
                self.end(leg, MessageState::Unknown);
            }
        }
    }

    pub(super) fn turn(&mut self) -> Option<CommitOutcome> {
        self.rig.now_ms += 10;
        let outcome = self.rig.commit();
        self.chores();
        self.dates();
        outcome
    }

    /// Turns until nothing happens any more.
    pub(super) fn rest(&mut self) {
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

    pub(super) fn pass_time(&mut self, ms: u64) {
        self.rig.now_ms += ms;
        self.rest();
        // What failed waits a moment; moves are looked for once a second.
        self.rig.now_ms += 2_000;
        self.rest();
    }

    /// Lets legs wait until they lie in files.
    pub(super) fn cool(&mut self) {
        self.pass_time(700_000);
        self.pass_time(2_000);
    }

    pub(super) fn crash(self) -> Self {
        let disk = self.rig.disk.crash();
        self.start(disk)
    }

    pub(super) fn start(self, disk: FaultyDisk) -> Self {
        let Self { rig, legs, tokens } = self;
        let rig = rig.reopen(disk);
        Self { rig, legs, tokens }
    }

    pub(super) fn waiting(&self) -> u64 {
        self.rig.spool.waiting().legs
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut paths = self.rig.disk.paths();
        paths.retain(|path| path.starts_with("/data/waiting"));
        paths
    }

    /// A bind takes all entries, so that none stays in an outbox file.
    fn take_all(&mut self) {
        let account = self.rig.spool.intern("load").unwrap();
        for _ in 0..10_000 {
            while self.rig.spool.take_entry(account, Sink::Bind).is_some() {}
            if self.rig.spool.outbox().in_files(account) == 0 {
                return;
            }
            self.rig.now_ms += 10;
            self.rig.commit();
            self.chores();
        }
        panic!("not all come back");
    }

    /// How many DLRs each leg has made.
    pub(super) fn dlrs(&mut self) -> BTreeMap<String, usize> {
        self.take_all();
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
    pub(super) fn check_all_ended_once(mut self, context: &str) {
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
