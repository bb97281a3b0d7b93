//! Random lives of a spool, through commits that are slow, chores that are late, faults and power cuts, held
//! against the model at every start.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::disk::{FaultyDisk, Op};

use super::rig::{Rig, SEGMENT, options};
use super::{Begin, Chore, ChoreDone, Commit, Finished, Options, Target};

/// Chores and a commit that take their time.
#[derive(Default)]
struct Late {
    commit: Option<Commit<FaultyDisk>>,
    chores: VecDeque<Chore<FaultyDisk>>,
    done: VecDeque<ChoreDone<FaultyDisk>>,
}

impl Late {
    fn step(&mut self, rig: &mut Rig) {
        match rig.below(8) {
            0 | 1 if self.commit.is_none() => {
                if let Begin::Commit(commit) = rig.begin() {
                    self.commit = Some(commit);
                }
            }
            0..=3 => {
                if let Some(commit) = self.commit.take() {
                    rig.finish(commit.run());
                }
            }
            4 | 5 => self.chores.extend(rig.spool.next_chore(rig.now_ms)),
            6 => {
                if let Some(chore) = self.chores.pop_front() {
                    self.done.push_back(rig.keeper.run(chore, &mut rig.rng));
                }
            }
            _ => {
                if let Some(done) = self.done.pop_front() {
                    let finished = rig.done(done);
                    assert!(!matches!(finished, Finished::Unreadable(_)), "nothing is damaged");
                }
            }
        }
    }
}

pub(super) fn traffic(rig: &mut Rig) {
    let kind = rig.below(17);
    let legs = if kind < 6 { Vec::new() } else { rig.legs() };
    let leg = rig.pick(&legs);
    // What fails because the disk does is refused; the model hears of what was staged only.
    let _ = match (kind, leg) {
        (4, _) if rig.spool.has_batch_room() && rig.one_in(2) => rig.accept_held().map(|_| ()),
        (0..=4, _) if rig.spool.has_batch_room() => rig.accept().map(|_| ()),
        (5, _) if rig.spool.has_batch_room() => rig.deliver(40).map(|_| ()),
        (6..=7, Some(leg)) if rig.is_held(leg) => rig.release(leg).map(|_| ()),
        (8 | 9, Some(leg)) if rig.is_held(leg) => Ok(()),
        (6..=8, Some(leg)) => rig.hand_over(leg),
        (9, Some(leg)) if rig.one_in(2) => rig.retry(leg),
        (9, Some(leg)) if rig.one_in(3) => rig.go_in_parts(leg),
        (9, Some(leg)) => rig.replace(leg).map(|_| ()),
        (10, Some(leg)) => {
            let leased = rig.one_in(2);
            rig.spool.set_leased(leg, leased);
            Ok(())
        }
        (11 | 12, Some(leg)) if rig.one_in(4) && rig.spool.has_batch_room() => {
            rig.accept_instead(leg, Some(60)).map(|_| ())
        }
        (11 | 12, Some(leg)) => {
            let dlr = if rig.one_in(3) { None } else { Some(60) };
            rig.settle(leg, dlr)
        }
        (16, _) if rig.spool.has_batch_room() => rig.remember(),
        (13..=15, _) => {
            let account = rig.pick(&super::rig::ACCOUNTS).unwrap();
            let account = rig.spool.intern(account).unwrap();
            match rig.take_entry(account) {
                Some(entry) if rig.one_in(6) => {
                    rig.spool.return_entry(entry);
                    Ok(())
                }
                Some(entry) => rig.fetched(entry),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    };
}

fn fault(rig: &mut Rig) {
    let ops = [
        Op::Write,
        Op::Sync,
        Op::Create,
        Op::Unlink,
        Op::SyncDir,
        Op::Truncate,
        Op::Read,
    ];
    let op = rig.pick(&ops).unwrap();
    let kind = if rig.one_in(2) {
        ErrorKind::StorageFull
    } else {
        ErrorKind::Other
    };
    let skip = u64::from(rig.below(6));
    let places = if rig.keeps.is_empty() {
        &["standing", "spool", "spool", "spool"][..]
    } else {
        &["standing", "spool", "recorded"]
    };
    let place = rig.pick(places).unwrap();
    rig.disk.fail_on(op, place, skip, 1, kind);
}

fn restart(mut rig: Rig) -> Rig {
    if rig.one_in(3) {
        // Hours back, or forward.
        let hours = u64::from(rig.below(12)) * 3_600_000;
        rig.now_ms = if rig.one_in(2) {
            rig.now_ms - hours
        } else {
            rig.now_ms + 8 * hours
        };
    }
    rig = match rig.below(3) {
        0 => rig.kill(),
        1 => rig.crash(),
        _ => rig.crash_by_chance(),
    };
    rig.check_bodies();
    rig
}

fn life(seed: u64, options: Options, steps: u32, with_faults: bool) {
    live(Rig::with(seed, options), steps, with_faults);
}

/// Lives, ends everything, and gives what is there then.
pub(super) fn live(mut rig: Rig, steps: u32, with_faults: bool) -> Rig {
    for _ in 0..6 {
        let mut late = Late::default();
        let cut = rig.one_in(2);
        if cut {
            let after = u64::from(rig.below(steps / 4));
            rig.disk.cut_power_after(after);
        }
        for _ in 0..steps {
            rig.now_ms += u64::from(rig.below(20));
            if with_faults && rig.one_in(100) {
                fault(&mut rig);
            }
            if rig.one_in(3) {
                late.step(&mut rig);
            } else {
                traffic(&mut rig);
            }
            if rig.spool.is_broken() {
                break;
            }
        }
        // A batch on its way may have reached the disk, or may be lost with the process.
        if rig.one_in(2)
            && let Some(commit) = late.commit.take()
        {
            drop(commit.run());
        }
        drop(late);
        if cut {
            // The power is off, whatever was on: only what the platters hold is found.
            let disk = rig.disk.crash_with(&mut rig.rng);
            rig = rig.start_on(disk);
            rig.check_bodies();
        } else {
            rig = restart(rig);
        }
    }
    empty(rig)
}

/// Ends everything: then nothing may be left but the active segment and the one made ahead.
fn empty(mut rig: Rig) -> Rig {
    rig.disk.heal();
    for _ in 0..200 {
        for leg in rig.legs() {
            rig.settle(leg, None).unwrap();
        }
        rig.fetch_all();
        rig.settle_down();
        rig.now_ms += 60_000;
        if rig.spool.index().is_empty() && rig.spool.outbox().is_empty() && rig.files().len() <= 2 {
            break;
        }
    }
    rig.check_counts();
    assert!(rig.spool.outbox().is_empty() && rig.spool.index().is_empty());
    // Every change that was promised is in the journal once, in order, and its number opens.
    assert_eq!(rig.spool.standing().waiting(), 0);
    let (journaled, promised) = (rig.journaled(), &rig.synced.changes);
    assert_eq!(journaled.len(), promised.len());
    assert!(journaled.iter().eq(promised), "in order, with what is private");
    assert!(rig.files().len() <= 2, "{} files", rig.files().len());
    assert!(rig.keeper.ring().live(crate::keyring::Owner::Spool).len() <= 2 + rig.spool.segments());
    rig
}

fn small(segment_size: u64) -> Options {
    Options {
        segment_size,
        ..options()
    }
}

#[test]
fn what_was_promised_is_there_after_every_kill_and_power_cut() {
    for seed in 0..70 {
        life(seed, small(SEGMENT), 400, false);
    }
}

#[test]
fn what_was_promised_is_there_when_the_disk_fails_as_well() {
    for seed in 1000..1070 {
        life(seed, small(2 * SEGMENT), 400, true);
    }
}

#[test]
fn a_tight_budget_loses_nothing() {
    for seed in 2000..2060 {
        let options = Options {
            limit: 10 * 4096,
            max_legs: 60,
            ..small(4096)
        };
        life(seed, options, 400, false);
    }
}

#[test]
fn two_targets_of_one_name_are_read_as_what_they_are() {
    // A leg and an entry may have equal slots: the kind tells them apart.
    let mut rig = Rig::new(1);
    let leg = rig.accept().unwrap();
    let entry = rig.deliver(30).unwrap();
    rig.turn();
    let chore = rig
        .spool
        .read_back([Target::Entry(entry), Target::Leg(leg)])
        .unwrap();
    let done = rig.keeper.run(chore, &mut rig.rng);
    let Finished::Read(found) = rig.done(done) else {
        panic!("not read")
    };
    assert_eq!(found[0].body.as_ref().unwrap(), &[b'm'; 30]);
    assert_eq!(found[1].target, Target::Leg(leg));
    rig.check_bodies();
}

#[test]
fn of_a_leg_that_was_replaced_the_newest_body_is_found_wherever_its_records_lie() {
    let mut rig = Rig::with(5, small(4096));
    let legs: Vec<_> = (0..6).map(|_| rig.accept().unwrap()).collect();
    rig.turn();
    let mut legs: Vec<_> = legs.into_iter().map(Some).collect();
    for round in 0..40 {
        for leg in &mut legs {
            // One stays as it was accepted.
            if let Some(id) = leg.filter(|_| round % 3 != 0) {
                *leg = rig.replace(id).unwrap();
            }
            rig.accept().unwrap();
        }
        rig.turn();
        rig.check_bodies();
        if round % 7 == 6 {
            let keys: Vec<_> = legs.iter().map(|leg| rig.key(leg.unwrap())).collect();
            rig = if round % 2 == 0 { rig.crash() } else { rig.kill() };
            rig.check_bodies();
            let found = keys
                .iter()
                .map(|(message, leg)| rig.spool.index().find(*message, *leg));
            legs = found.collect();
        }
    }
    assert!(rig.files().len() > 5, "records of one leg lie in many segments");
    empty(rig);
}

#[test]
fn a_replacement_that_did_not_fit_is_written_with_the_next_batch_and_not_lost() {
    let mut rig = Rig::new(6);
    let leg = rig.accept().unwrap();
    rig.turn();
    let leg = rig.replace(leg).unwrap().unwrap();
    rig.disk.fail_next(Op::Write, 1, ErrorKind::StorageFull);
    assert_eq!(rig.commit(), Some(super::CommitOutcome::Full));
    // Before the next batch a power cut finds the text of before.
    let (found, _, _) = rig.look(&rig.disk.crash());
    rig.assert_same(&found, &rig.synced);
    assert_eq!(rig.commit(), Some(super::CommitOutcome::Synced));
    assert!(!rig.spool.index().get(leg).unwrap().leased, "it may go on");
    rig.check_bodies();
    let mut rig = rig.crash();
    rig.check_bodies();
}
