//! Outbox files of several accounts, through faults: what fails for one holds up no other, and nothing is lost.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tidegate_codec::identity::SystemId;

use crate::disk::Op;
use crate::keyring::Owner;
use crate::names::NameId;
use crate::outbox::EntryId;
use crate::record::{EntryKind, Form, Sink};
use crate::waiting::HOUR_MS;

use super::rig::Rig;
use super::tests_waits::waits;
use super::{CommitOutcome, Finished, NewEntry, Options, Target};

const TTL_MS: u64 = 4 * HOUR_MS;
/// A spool with accounts that fetch when told to.
struct World {
    rig: Rig,
    expired: u64,
    failed: Vec<String>,
}
fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

fn opts() -> Options {
    waits(8 << 10)
}
impl World {
    fn new(o: Options) -> Self {
        Self {
            rig: Rig::with(1, o),
            expired: 0,
            failed: vec![],
        }
    }
    fn acc(&mut self, a: &str) -> NameId {
        self.rig.spool.intern(a).unwrap()
    }
    fn make(&mut self, a: &str, range: std::ops::Range<u32>, ttl: u64, pad: usize) {
        for n in range {
            let mut body = n.to_be_bytes().to_vec();
            body.resize(4 + pad, 0);
            let e = NewEntry {
                kind: EntryKind::Mo,
                sink: Sink::Bind,
                form: Form::Sm,
                expires_ms: self.rig.now_ms + ttl,
                document: &[],
                body: &body,
            };
            let account = SystemId::new(a.as_bytes()).unwrap();
            self.rig
                .spool
                .deliver(self.rig.now_ms, account, &e, &mut self.rig.rng)
                .unwrap();
            assert_eq!(self.turn(), Some(CommitOutcome::Synced));
        }
    }
    fn turn(&mut self) -> Option<CommitOutcome> {
        self.rig.now_ms += 10;
        let o = self.rig.commit();
        for _ in 0..100_000 {
            let Some(c) = self.rig.spool.next_chore(self.rig.now_ms) else {
                return o;
            };
            let d = self.rig.keeper.run(c, &mut self.rig.rng);
            match self.rig.done(d) {
                Finished::Expired(c) => self.expired += c.iter().map(|x| x.1).sum::<u64>(),
                Finished::Failed(e) => self.failed.push(e.to_string()),
                _ => {}
            }
        }
        panic!("round and round");
    }
    fn cool(&mut self) {
        for _ in 0..90 {
            self.rig.now_ms += 10_000;
            self.turn();
        }
    }
    fn body(&mut self, e: EntryId) -> Option<u32> {
        let c = self.rig.spool.read_back([Target::Entry(e)])?;
        let d = self.rig.keeper.run(c, &mut self.rig.rng);
        let Finished::Read(f) = self.rig.done(d) else {
            panic!()
        };
        let b = f[0].body.clone().ok()?;
        Some(u32::from_be_bytes(b[..4].try_into().unwrap()))
    }
    fn fetch(&mut self, a: &str, max: usize) -> Vec<u32> {
        let acc = self.acc(a);
        let (mut idle, mut seen) = (0, vec![]);
        while idle < 4 && seen.len() < max {
            let Some(e) = self.rig.spool.take_entry(acc, Sink::Bind) else {
                idle += 1;
                self.rig.now_ms += 1_100;
                self.turn();
                continue;
            };
            idle = 0;
            seen.push(self.body(e).unwrap());
            self.rig
                .spool
                .fetched(self.rig.now_ms, e, &mut self.rig.rng)
                .unwrap();
            if seen.len() % 7 == 0 {
                self.turn();
            }
        }
        self.turn();
        seen
    }
    fn start(mut self) -> Self {
        let d = self.rig.disk.crash();
        self.rig = self.rig.reopen(d);
        self
    }
    fn files(&self) -> Vec<PathBuf> {
        let mut p = self.rig.disk.paths();
        p.retain(|p| p.starts_with("/data/outbox"));
        p
    }
    fn in_files(&mut self, a: &str) -> usize {
        let a = self.acc(a);
        self.rig.spool.outbox().in_files(a)
    }
}

#[test]
fn a_run_s_number_is_given_to_no_other_while_records_name_it() {
    let mut w = World::new(waits(64 << 10));
    w.rig.now_ms -= w.rig.now_ms % HOUR_MS;
    w.rig.now_ms += HOUR_MS;
    w.make("pin", 0..200, 3 * TTL_MS, 0); // stays in the first segments
    w.make("load", 0..300, TTL_MS, 0);
    w.cool();
    assert!(w.in_files("load") >= 256);
    let a = w.fetch("load", usize::MAX);
    assert_eq!(a.len(), 300);
    w.make("pin2", 0..120, 3 * TTL_MS, 400);
    w.make("pin3", 0..120, 3 * TTL_MS, 400);
    for _ in 0..10 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    assert!(w.files().is_empty());
    let mut w = w.start();
    for _ in 0..10 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    w.make("load", 1000..1300, TTL_MS, 0);
    w.cool();
    let mut w = w.start();
    for _ in 0..10 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    let b = w.fetch("load", usize::MAX);
    assert_eq!(b.len(), 300, "LOST");
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other_account() {
    let mut starved = 0;
    for n in 0..10 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let mut w = World::new(opts());
        w.make(&a, 0..40, TTL_MS, 0);
        w.cool();
        let bad = w.files();
        w.make(&b, 0..40, TTL_MS, 0);
        w.cool();
        assert!(w.in_files(&a) > 0 && w.in_files(&b) > 0);
        for f in &bad {
            w.rig
                .disk
                .fail_on(Op::Read, stem(f), 0, u64::MAX, ErrorKind::Other);
        }
        let (aa, bb) = (w.acc(&a), w.acc(&b));
        let t0 = w.rig.now_ms;
        let mut got = None;
        w.rig.spool.take_entry(aa, Sink::Bind);
        w.turn();
        for _ in 0..2000 {
            w.rig.spool.take_entry(aa, Sink::Bind);
            if w.rig.spool.take_entry(bb, Sink::Bind).is_some() {
                got = Some(w.rig.now_ms - t0);
                break;
            }
            w.rig.now_ms += 100;
            w.turn();
        }
        if got.is_none_or(|ms| ms > 10_000) {
            starved += 1;
        }
    }
    assert_eq!(starved, 0);
}

#[test]
fn a_segment_that_cannot_be_read_stops_no_other_account_from_moving() {
    let mut bad = 0;
    for n in 0..10 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let mut w = World::new(waits(8 << 10));
        w.make(&a, 0..200, TTL_MS, 0);
        let segs: Vec<PathBuf> = w
            .rig
            .disk
            .paths()
            .into_iter()
            .filter(|p| p.starts_with("/data/spool") || p.to_str().unwrap().contains("spool"))
            .collect();
        w.rig
            .disk
            .fail_on(Op::Read, stem(&segs[0]), 0, u64::MAX, ErrorKind::Other);
        w.make(&b, 0..200, TTL_MS, 0);
        w.cool();
        if w.in_files(&b) == 0 {
            bad += 1;
        }
    }
    assert_eq!(bad, 0);
}

#[test]
fn a_disk_that_was_away_for_minutes_loses_nothing() {
    let mut w = World::new(opts());
    w.make("load", 0..100, TTL_MS, 0);
    w.cool();
    let filed = w.in_files("load");
    w.rig
        .disk
        .fail_on(Op::Read, "outbox", 0, u64::MAX, ErrorKind::Other);
    let account = w.acc("load");
    let mut taken = Vec::new();
    for _ in 0..200 {
        taken.extend(w.rig.spool.take_entry(account, Sink::Bind));
        w.rig.now_ms += 1_100;
        w.turn();
    }
    // After a minute what is younger no longer waits.
    assert_eq!(taken.len() + filed, 100);
    w.rig.disk.heal();
    taken
        .iter()
        .rev()
        .for_each(|entry| w.rig.spool.return_entry(*entry));
    w.rig.now_ms += 61_000;
    let mut seen = w.fetch("load", usize::MAX);
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..100));
}

#[test]
fn what_has_ended_is_not_delivered_any_more() {
    let mut w = World::new(opts());
    let begin_ms = w.rig.now_ms;
    for n in 0..40 {
        w.make("slow", n..n + 1, TTL_MS, 0);
        w.rig.now_ms += 130_000;
    }
    w.cool();
    assert_eq!(w.in_files("slow"), 32);
    // Some of what lies in the file has ended, some has not.
    w.rig.now_ms = begin_ms + TTL_MS + 40 * 60_000;
    let account = w.acc("slow");
    let (mut seen, mut ended) = (0, 0);
    for _ in 0..10 {
        for entry in w.rig.spool.outbox().expired(w.rig.now_ms, 500) {
            w.rig.spool.fetched(w.rig.now_ms, entry, &mut w.rig.rng).unwrap();
            ended += 1;
        }
        while let Some(entry) = w.rig.spool.take_entry(account, Sink::Bind) {
            assert!(w.rig.spool.outbox().get(entry).unwrap().expires_ms > w.rig.now_ms);
            seen += 1;
        }
        w.rig.now_ms += 10;
        w.turn();
    }
    assert!(seen > 10 && ended > 10, "{seen} {ended}");
    assert_eq!(seen + ended, 40);
}

#[test]
fn a_file_that_cannot_be_removed_holds_up_no_other() {
    let mut w = World::new(opts());
    w.make("load", 0..200, TTL_MS, 0);
    w.cool();
    let files = w.files();
    w.rig.disk.fail_on(
        Op::Unlink,
        stem(&files[0]),
        0,
        u64::MAX,
        ErrorKind::PermissionDenied,
    );
    w.fetch("load", usize::MAX);
    for _ in 0..100 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    assert!(w.files().len() <= 1);
}

#[test]
fn a_file_that_takes_no_marks_holds_up_no_other() {
    let mut w = World::new(opts());
    w.make("a", 0..40, TTL_MS, 0);
    w.cool();
    let bad = w.files();
    w.make("b", 0..100, TTL_MS, 0);
    w.cool();
    for f in &bad {
        w.rig
            .disk
            .fail_on(Op::Write, stem(f), 0, u64::MAX, ErrorKind::Other);
    }
    w.fetch("a", usize::MAX);
    w.fetch("b", usize::MAX);
    for _ in 0..100 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    assert!(w.files().len() <= bad.len());
    // Nor does it, or its key, outlive its hour.
    w.rig.now_ms += TTL_MS + HOUR_MS;
    for _ in 0..20 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    assert_eq!(w.files(), Vec::<PathBuf>::new());
    assert_eq!(w.rig.keeper.ring().live(Owner::Outbox), []);
    assert_eq!(w.rig.spool.parked.waits.ending(), 0);
}

#[test]
fn an_entry_too_long_for_a_file_comes_where_it_stood() {
    let mut w = World::new(waits(1 << 20));
    w.make("load", 0..1500, TTL_MS, 0);
    w.make("load", 1500..1501, TTL_MS, 61_000);
    w.make("load", 1501..3500, TTL_MS, 0);
    w.cool();
    let seen = w.fetch("load", usize::MAX);
    assert!(seen.is_sorted());
}

#[test]
fn while_one_file_takes_no_marks_another_account_moves_and_fetches() {
    let mut w = World::new(opts());
    w.make("a", 0..40, TTL_MS, 0);
    w.cool();
    let bad = w.files();
    for f in &bad {
        w.rig
            .disk
            .fail_on(Op::Write, stem(f), 0, u64::MAX, ErrorKind::Other);
    }
    w.fetch("a", usize::MAX);
    for _ in 0..10 {
        w.rig.now_ms += 2_000;
        w.turn();
    }
    w.make("b", 0..100, TTL_MS, 0);
    w.make("c", 0..100, TTL_MS, 0);
    w.cool();
    let seen = (w.fetch("b", usize::MAX).len(), w.fetch("c", usize::MAX).len());
    println!(
        "in files b {} c {}; fetched {seen:?}",
        w.in_files("b"),
        w.in_files("c")
    );
    assert_eq!(seen, (100, 100));
}
