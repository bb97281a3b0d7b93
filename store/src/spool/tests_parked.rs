//! Entries that nobody fetches lie in files and come back in their turn. What counts is what an ESME sees: every
//! entry, in order, and none again that it was said to have.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk, DiskFile, FaultyDisk, Op};
use crate::keyring::Owner;
use crate::names::NameId;
use crate::outbox::EntryId;
use crate::record::{EntryKind, Form, Sink};
use crate::waiting::{HOUR_MS, RunFault, verify_runs};

use super::rig::Rig;
use super::tests_waits::waits;
use super::{CommitOutcome, Finished, NewEntry, Options, Refused, Target};

const ACCOUNT: &str = "load";
const TTL_MS: u64 = 4 * HOUR_MS;

/// A spool with an account that fetches when told to.
pub(super) struct World {
    pub(super) rig: Rig,
    /// For which sink entries are made, and of which they are fetched.
    pub(super) sink: Sink,
    /// Entries that were made, numbered from 0, and synced.
    made: u32,
    /// What this process has delivered, in order.
    pub(super) seen: Vec<u32>,
    /// All that was ever delivered.
    ever: BTreeSet<u32>,
    /// What is delivered and not synced as such; what is.
    unsynced: Vec<u32>,
    settled: BTreeSet<u32>,
    expired: u64,
    failed: usize,
}

/// Small segments: runs of 32 entries.
fn small() -> Options {
    waits(8 << 10)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rig: Rig::with(seed, small()),
            sink: Sink::Bind,
            made: 0,
            seen: Vec::new(),
            ever: BTreeSet::new(),
            unsynced: Vec::new(),
            settled: BTreeSet::new(),
            expired: 0,
            failed: 0,
        }
    }

    pub(super) fn account(&mut self) -> NameId {
        self.rig.spool.intern(ACCOUNT).unwrap()
    }

    pub(super) fn make(&mut self, count: u32) {
        for _ in 0..count {
            let body = self.made.to_be_bytes();
            let entry = NewEntry {
                kind: EntryKind::Mo,
                sink: self.sink,
                form: Form::Sm,
                expires_ms: self.rig.now_ms + TTL_MS,
                document: &[],
                body: &body,
            };
            let account = SystemId::new(ACCOUNT.as_bytes()).unwrap();
            let made = self
                .rig
                .spool
                .deliver(self.rig.now_ms, account, &entry, &mut self.rig.rng);
            if made == Err(Refused::Broken) || self.turn() != Some(CommitOutcome::Synced) {
                return;
            }
            self.made += 1;
        }
    }

    fn turn(&mut self) -> Option<CommitOutcome> {
        self.rig.now_ms += 10;
        let outcome = self.rig.commit();
        if outcome == Some(CommitOutcome::Synced) {
            self.settled.extend(self.unsynced.drain(..));
        }
        for _ in 0..1_000 {
            let Some(chore) = self.rig.spool.next_chore(self.rig.now_ms) else {
                return outcome;
            };
            let done = self.rig.keeper.run(chore, &mut self.rig.rng);
            self.hear(done);
        }
        panic!("chores go round and round");
    }

    fn hear(&mut self, done: super::ChoreDone<FaultyDisk>) {
        match self.rig.done(done) {
            Finished::Expired(counts) => self.expired += counts.iter().map(|(_, count)| count).sum::<u64>(),
            Finished::Failed(_) => self.failed += 1,
            _ => {}
        }
    }

    fn rest(&mut self, turns: u32) {
        for _ in 0..turns {
            self.turn();
        }
    }

    /// Time passes until what nobody fetches lies in files, but for less than a run.
    pub(super) fn cool(&mut self) {
        for _ in 0..90 {
            self.rig.now_ms += 10_000;
            self.turn();
        }
    }

    fn body(&mut self, entry: EntryId) -> Option<u32> {
        let chore = self.rig.spool.read_back([Target::Entry(entry)])?;
        let done = self.rig.keeper.run(chore, &mut self.rig.rng);
        let Finished::Read(found) = self.rig.done(done) else {
            panic!("not read")
        };
        assert!(self.rig.spool.is_at(&found[0]));
        let body = found[0].body.clone().ok()?;
        Some(u32::from_be_bytes(body.try_into().unwrap()))
    }

    /// A bind of the account takes what it gets, up to `max`; each is settled at once.
    pub(super) fn fetch(&mut self, max: usize) {
        let account = self.account();
        let mut idle = 0;
        let mut fetched = 0;
        while idle < 4 && fetched < max && !self.rig.spool.is_broken() {
            let Some(entry) = self.rig.spool.take_entry(account, self.sink) else {
                idle += 1;
                self.rig.now_ms += 1_100;
                self.turn();
                continue;
            };
            idle = 0;
            let Some(number) = self.body(entry) else { return };
            self.seen.push(number);
            self.ever.insert(number);
            if self
                .rig
                .spool
                .fetched(self.rig.now_ms, entry, &mut self.rig.rng)
                .is_ok()
            {
                self.unsynced.push(number);
            }
            fetched += 1;
            if fetched % 7 == 0 {
                self.turn();
            }
        }
        self.turn();
    }

    fn start(mut self, disk: FaultyDisk) -> Self {
        self.rig = self.rig.reopen(disk);
        self.seen.clear();
        self.unsynced.clear();
        self.failed = 0;
        self
    }

    pub(super) fn crash(self) -> Self {
        let disk = self.rig.disk.crash();
        self.start(disk)
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut paths = self.rig.disk.paths();
        paths.retain(|path| path.starts_with("/data/outbox"));
        paths
    }

    pub(super) fn in_files(&mut self) -> usize {
        let account = self.account();
        self.rig.spool.outbox().in_files(account)
    }

    pub(super) fn waiting(&mut self) -> usize {
        let account = self.account();
        self.rig.spool.outbox().waiting_for(account)
    }

    /// Fetches all: it comes in order, nothing that was settled comes again, and in the end nothing is left anywhere.
    fn check_all_come(mut self, context: &str) {
        self.rig.disk.heal();
        let settled = self.settled.clone();
        self.fetch(usize::MAX);
        assert!(
            self.seen.is_sorted_by(|a, b| a < b),
            "in order, {context}: {:?}",
            self.seen
        );
        let again: Vec<&u32> = self
            .seen
            .iter()
            .filter(|number| settled.contains(number))
            .collect();
        assert!(again.is_empty(), "{again:?} again, {context}");
        let all: BTreeSet<u32> = (0..self.made).collect();
        let missing: Vec<&u32> = all.difference(&self.ever).collect();
        assert!(missing.is_empty(), "{missing:?} never came, {context}");
        self.check_nothing_is_left(context);
    }

    pub(super) fn check_nothing_is_left(&mut self, context: &str) {
        for _ in 0..20 {
            self.rig.now_ms += 6_000;
            self.rest(2);
        }
        assert_eq!(self.waiting(), 0, "{context}");
        assert_eq!(self.rig.spool.outbox().len(), 0, "{context}");
        assert_eq!(self.rig.spool.returned(), 0, "{context}");
        assert_eq!(self.files(), Vec::<PathBuf>::new(), "{context}");
        assert_eq!(self.rig.keeper.ring().live(Owner::Outbox), [], "{context}");
        assert_eq!(self.rig.spool.parked().octets, 0, "{context}");
    }
}

#[test]
fn what_nobody_fetches_leaves_memory_and_comes_back_in_order() {
    let mut world = World::new(1);
    world.make(300);
    world.cool();
    let memory = world.rig.spool.outbox().iter().count();
    assert!(memory < 40, "{memory} in memory");
    assert_eq!(world.in_files(), 300 - memory);
    assert_eq!(world.waiting(), 300);
    assert_eq!(world.rig.spool.parked().legs, (300 - memory) as u64);
    // What comes meanwhile stands behind it.
    world.make(50);
    world.check_all_come("at once");
}

#[test]
fn a_start_finds_them_and_leaves_out_what_was_settled() {
    let mut world = World::new(2);
    world.make(300);
    world.cool();
    assert!(world.in_files() > 250);
    world.fetch(100);
    assert_eq!(world.settled.len(), 100);
    let mut world = world.crash();
    assert!(!world.rig.found.is_alarming(), "{:?}", world.rig.found);
    assert_eq!(world.rig.found.entries, 200);
    assert_eq!(world.waiting(), 200);
    world.fetch(50);
    world.crash().check_all_come("after two starts");
}

#[test]
fn what_a_bind_has_does_not_move_and_what_it_gives_back_stays_in_front() {
    let mut world = World::new(3);
    world.make(100);
    let account = world.account();
    let taken: Vec<EntryId> = (0..5)
        .map(|_| world.rig.spool.take_entry(account, Sink::Bind).unwrap())
        .collect();
    world.cool();
    assert!(world.in_files() >= 64);
    for entry in taken.iter().rev() {
        world.rig.spool.return_entry(*entry);
    }
    assert_eq!(world.rig.spool.take_entry(account, Sink::Bind), Some(taken[0]));
    world.rig.spool.return_entry(taken[0]);
    world.check_all_come("in front");
}

#[test]
fn an_entry_that_is_taken_or_settled_while_it_is_written_to_a_file_stays_what_it_is() {
    let mut world = World::new(4);
    world.make(64);
    let chore = loop {
        let Some(chore) = world.rig.spool.next_chore(world.rig.now_ms) else {
            world.rig.now_ms += 10_000;
            continue;
        };
        if world.rig.spool.parked.waits.under.moving {
            break chore;
        }
        let done = world.rig.keeper.run(chore, &mut world.rig.rng);
        world.hear(done);
    };
    let account = world.account();
    let settled = world.rig.spool.take_entry(account, Sink::Bind).unwrap();
    let taken = world.rig.spool.take_entry(account, Sink::Bind).unwrap();
    let now_ms = world.rig.now_ms;
    world
        .rig
        .spool
        .fetched(now_ms, settled, &mut world.rig.rng)
        .unwrap();
    world.ever.insert(0);
    world.settled.insert(0);
    let done = world.rig.keeper.run(chore, &mut world.rig.rng);
    world.hear(done);
    assert_eq!(world.in_files(), 30);
    world.rig.spool.return_entry(taken);
    world.rest(5);
    world.crash().check_all_come("after a start");
}

#[test]
fn when_the_hour_is_over_the_files_go_and_what_was_in_them_is_counted() {
    let mut world = World::new(5);
    world.make(200);
    world.cool();
    world.fetch(10);
    let left = world.in_files() as u64;
    assert!(left > 50, "{left}");
    let world_crashed = |mut world: World| {
        world.rig.now_ms += TTL_MS + HOUR_MS;
        // What is in memory ends by its own date, as the gateway does it.
        for _ in 0..20 {
            let due = world.rig.spool.outbox().expired(world.rig.now_ms, 1000);
            for entry in due {
                let now_ms = world.rig.now_ms;
                world
                    .rig
                    .spool
                    .fetched(now_ms, entry, &mut world.rig.rng)
                    .unwrap();
            }
            world.rig.now_ms += 1_100;
            world.rest(3);
        }
        world
    };
    let mut world = world_crashed(world);
    assert_eq!(world.expired, left);
    world.check_nothing_is_left("over");
}

#[test]
fn wherever_the_power_goes_all_come_and_none_twice_that_was_settled() {
    let script = |world: &mut World| {
        world.make(80);
        world.cool();
        world.make(20);
        world.fetch(70);
        world.rig.now_ms += 6_000;
        world.rest(3);
        world.fetch(10);
        world.rest(3);
    };
    let mut whole = World::new(6);
    script(&mut whole);
    let changes = whole.rig.disk.counts().changes;
    assert!(changes > 100 && whole.settled.len() == 80, "{changes}");
    assert_eq!(whole.rig.spool.parked().moved, 64);
    let start = World::new(6).rig.disk.counts().changes;
    for cut in 0..changes - start {
        let mut world = World::new(6);
        world.rig.disk.cut_power_after(cut);
        script(&mut world);
        let disk = if cut % 2 == 0 {
            world.rig.disk.crash()
        } else {
            let mut rng = crate::testing::rng();
            (0..cut).for_each(|_| _ = rand_core::Rng::next_u32(&mut rng));
            world.rig.disk.crash_with(&mut rng)
        };
        // What was not said to be synced may be there all the same.
        let made = world.made;
        let mut world = world.start(disk);
        assert!(
            !world.rig.found.is_alarming(),
            "cut after {cut}: {:?}",
            world.rig.found
        );
        world.made = made;
        world.check_all_come(&format!("cut after {cut}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_holds_the_line_up_and_loses_nothing() {
    let mut world = World::new(7);
    world.make(100);
    world.cool();
    world
        .rig
        .disk
        .fail_on(Op::Read, "outbox", 0, u64::MAX, ErrorKind::Other);
    world.fetch(usize::MAX);
    assert!(world.seen.is_empty() && world.failed > 2, "{:?}", world.seen);
    world.check_all_come("healed");
}

#[test]
fn a_damaged_record_is_counted_and_takes_no_other_with_it() {
    let mut world = World::new(8);
    world.make(100);
    world.cool();
    let path = world.files().remove(0);
    let file = world.rig.disk.open(&path, Access::Read).unwrap();
    let len = file.len().unwrap();
    // In the middle of the records.
    let at = len / 2;
    let mut octet = [0];
    file.read_at(&mut octet, at).unwrap();
    world.rig.disk.damage(&path, at, &[octet[0] ^ 0x10]);
    world.fetch(usize::MAX);
    assert_eq!(world.seen.len(), 99, "{:?}", world.seen);
    assert_eq!(world.rig.spool.parked().damaged, 1);
    world.rig.now_ms += TTL_MS + HOUR_MS;
    world.check_nothing_is_left("damaged");
}

#[test]
fn a_file_that_somebody_removed_is_passed_over() {
    let mut world = World::new(9);
    world.make(100);
    world.cool();
    world.rig.disk.unlink(&world.files()[0]).unwrap();
    // Opened before, it would still be there for us.
    let mut world = world.crash();
    world.fetch(usize::MAX);
    assert!(world.seen.len() >= 60, "{:?}", world.seen);
    assert_eq!(world.seen.last(), Some(&99));
}

#[test]
fn a_full_disk_moves_nothing_and_keeps_all() {
    let mut world = World::new(10);
    world.make(100);
    let used = world.rig.disk.used();
    world.rig.disk.set_capacity(Some(used));
    world.cool();
    assert_eq!(world.in_files(), 0);
    world.rig.disk.set_capacity(None);
    world.cool();
    assert!(world.in_files() >= 64);
    world.check_all_come("room again");
}

#[test]
fn every_kind_of_damage_to_a_run_is_named_and_a_sound_one_has_none() {
    let mut world = World::new(11);
    world.make(100);
    world.cool();
    world.fetch(10);
    world.rig.now_ms += 6_000;
    world.rest(3);
    let read = |world: &World, disk: &FaultyDisk| {
        let mut reports = Vec::new();
        let ring = world.rig.keeper.ring();
        verify_runs(
            disk,
            Path::new("/data/outbox"),
            |id| ring.get(id),
            |report| {
                reports.push(report);
            },
        )
        .unwrap();
        reports
    };
    let sound = read(&world, &world.rig.disk);
    let records: u64 = sound.iter().map(|report| report.records).sum();
    let done: u64 = sound.iter().map(|report| report.done).sum();
    assert_eq!((sound.len(), records, done), (3, 96, 10));
    assert!(sound.iter().all(|report| report.faults.is_empty()), "{sound:?}");
    let path = world.files().remove(1);
    let len = usize::try_from(sound[1].octets).unwrap();
    let mut named = Vec::new();
    for at in (0..len).step_by(61) {
        let disk = world.rig.disk.crash();
        let octets = disk.octets(&path).unwrap();
        disk.damage(&path, at as u64, &[octets[at] ^ 0x04]);
        let reports = read(&world, &disk);
        assert!(reports[0].faults.is_empty() && reports[2].faults.is_empty());
        named.extend(reports[1].faults.clone());
    }
    assert!(
        named.iter().any(|fault| matches!(fault, RunFault::Line { .. })),
        "{named:?}"
    );
    assert!(
        named.iter().any(|fault| matches!(fault, RunFault::Record { .. })),
        "{named:?}"
    );
    assert!(named.contains(&RunFault::Filter), "{named:?}");
    // A header that is damaged in one place is read in the other.
    assert!(!named.contains(&RunFault::Header), "{named:?}");
    let disk = world.rig.disk.crash();
    for at in [10, len - 500] {
        disk.damage(&path, at as u64, &[0x55]);
    }
    assert_eq!(read(&world, &disk)[1].faults, [RunFault::Header]);
    world.rig.disk = disk.clone();
    assert!(world.rig.try_open().unwrap().waiting_damaged > 0);
    assert_eq!(read(&world, &disk)[1].faults, [RunFault::Aside]);
}
