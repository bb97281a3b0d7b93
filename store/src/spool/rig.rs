//! The driver of the spool's tests: a spool on a disk in memory with its keeper, and beside them a model of
//! what was promised, which every start is held against.
//!
//! Here is how it starts, turns and ends; `rig_steps` has what can be staged, `rig_model` the model, and `rig_checks`
//! what is held against it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::disk::FaultyDisk;
use crate::history::held::plan;
use crate::keyring::{Kek, KeyRing};
use crate::message_id::MessageId;
use crate::usage::Period;

use super::rig_model::{State, Step, snapshot};
use super::{
    Begin, ChoreDone, CommitDone, CommitOutcome, Finished, Keeper, Keeps, Options, Recovered, Spool,
};

pub(super) const NOW: u64 = 1_800_000_000_000;
pub(super) const SEGMENT: u64 = 8 * 1024;
pub(super) const ACCOUNTS: [&str; 3] = ["load", "bank", "shop"];
pub(super) const CARRIERS: [&str; 2] = ["sink", "other"];

/// See the [module](self).
pub(super) struct Rig {
    pub(super) disk: FaultyDisk,
    pub(super) options: Options,
    pub(super) spool: Spool<FaultyDisk>,
    pub(super) keeper: Keeper<FaultyDisk>,
    pub(super) found: Recovered,
    pub(super) rng: ChaCha20Rng,
    pub(super) now_ms: u64,
    /// What was promised.
    pub(super) synced: State,
    /// What is on its way, and what is staged behind it.
    pub(super) committing: Vec<Step>,
    pub(super) staged: Vec<Step>,
    /// What every leg and entry ever had as its body; those that replaced one another by their priority.
    pub(super) bodies: BTreeMap<(MessageId, u16, u8), Vec<u8>>,
    pub(super) highest: MessageId,
    /// What is kept of accounts' finished messages.
    pub(super) keeps: Vec<(&'static str, Keeps)>,
}

pub(super) fn options() -> Options {
    Options {
        dir: PathBuf::from("/data/spool"),
        node: 7,
        segment_size: SEGMENT,
        limit: 1000 * SEGMENT,
        reserve_segments: 4,
        max_legs: 100_000,
        waiting_dir: "/data/waiting".into(),
        outbox_dir: "/data/outbox".into(),
        usage_dir: "/data/usage".into(),
        standing_dir: "/data/standing".into(),
        history_dir: "/data/history".into(),
        history_index: None,
        accept_damage: false,
        receipt_hot_ms: 600_000,
    }
}

/// The day and, for a month, 30 days.
pub(super) fn period(now_ms: u64) -> Period {
    let day = u32::try_from(now_ms / 86_400_000).unwrap();
    Period { day, month: day / 30 }
}

pub(super) fn kek() -> Kek {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    Kek::create(&FaultyDisk::new(), Path::new("kek"), &mut rng).unwrap()
}

impl Rig {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, options())
    }

    pub(super) fn with(seed: u64, options: Options) -> Self {
        let disk = FaultyDisk::new();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys = Path::new("/keys");
        let ring = KeyRing::create(&disk, keys, kek(), NOW, &mut rng).unwrap();
        let (spool, keeper, found) = Spool::open(disk.clone(), options.clone(), ring, NOW, &mut rng).unwrap();
        Self {
            disk,
            options,
            spool,
            keeper,
            found,
            rng,
            now_ms: NOW,
            synced: State::default(),
            committing: Vec::new(),
            staged: Vec::new(),
            bodies: BTreeMap::new(),
            highest: MessageId(0),
            keeps: Vec::new(),
        }
    }

    /// Says what is kept, and again after every start.
    pub(super) fn keep(&mut self, keeps: &[(&'static str, Keeps)]) {
        self.keeps = keeps.to_vec();
        for (account, keeps) in keeps {
            let account = self.spool.intern(account).unwrap();
            self.spool.set_keeps(account, *keeps);
        }
        self.spool.set_plan(Arc::new(plan));
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.rng.next_u32() % n.max(1)
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(super) fn rng_bit(&mut self) -> u8 {
        self.rng.next_u32().to_be_bytes()[0] & 1
    }

    /// One of some, by chance.
    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(u32::try_from(from.len()).unwrap()) as usize;
        from.get(at).cloned()
    }

    // ===== turns =====

    pub(super) fn begin(&mut self) -> Begin<FaultyDisk> {
        let begin = self.spool.begin_commit(self.now_ms);
        if let Begin::Commit(_) = &begin {
            self.committing = std::mem::take(&mut self.staged);
        }
        begin
    }

    pub(super) fn finish(&mut self, done: CommitDone<FaultyDisk>) -> CommitOutcome {
        let outcome = self.spool.finish_commit(done);
        match outcome {
            CommitOutcome::Synced => {
                for step in self.committing.drain(..) {
                    self.synced.apply(&step);
                    if let Step::Accept((id, _), ..) | Step::Entry(id, _, _) = step {
                        self.highest = self.highest.max(id);
                    }
                }
            }
            CommitOutcome::Full => {
                let is_intake = |step: &Step| {
                    matches!(
                        step,
                        Step::Accept(_, _, true) | Step::Entry(_, _, true) | Step::Change(_)
                    )
                };
                let mut steps: Vec<Step> = self
                    .committing
                    .drain(..)
                    .filter(|step| !is_intake(step))
                    .collect();
                steps.append(&mut self.staged);
                self.staged = steps;
            }
            CommitOutcome::Broken => {}
        }
        outcome
    }

    /// Commits what is staged; `None` if there was nothing, or no segment for it.
    pub(super) fn commit(&mut self) -> Option<CommitOutcome> {
        match self.begin() {
            Begin::Commit(commit) => Some(self.finish(commit.run())),
            Begin::Nothing | Begin::NoSegment => None,
        }
    }

    /// Runs chores until none is left; what they said. Nothing but a commit may be needed between two.
    pub(super) fn chores(&mut self) -> Vec<Finished> {
        let mut finished = Vec::new();
        while let Some(chore) = self.spool.next_chore(self.now_ms) {
            let done = self.keeper.run(chore, &mut self.rng);
            finished.push(self.done(done));
            assert!(finished.len() < 1000, "chores go round and round");
        }
        finished
    }

    pub(super) fn done(&mut self, done: ChoreDone<FaultyDisk>) -> Finished {
        self.spool.chore_done(done, self.now_ms)
    }

    /// Turns until there is neither anything staged nor a chore.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..10_000 {
            let chores = self.chores().len();
            if self.commit().is_none() && chores == 0 {
                return;
            }
            self.now_ms += 10;
        }
        panic!("it never comes to rest");
    }

    /// A turn: commit, chores.
    pub(super) fn turn(&mut self) -> Option<CommitOutcome> {
        self.now_ms += 10;
        let outcome = self.commit();
        self.chores();
        outcome
    }

    // ===== ends and starts =====

    /// A process that was killed: what was written is in the system's cache.
    pub(super) fn kill(self) -> Self {
        let disk = self.disk.clone();
        self.start_on(disk)
    }

    /// A power cut that kept nothing unsynced.
    pub(super) fn crash(self) -> Self {
        let disk = self.disk.crash();
        self.start_on(disk)
    }

    /// A power cut that kept some of it.
    pub(super) fn crash_by_chance(mut self) -> Self {
        let disk = self.disk.crash_with(&mut self.rng);
        self.start_on(disk)
    }

    /// The same while a commit is not written, written and not synced, synced and not heard of, or synced: by the seed.
    pub(super) fn crash_in_commit(mut self, seed: u64) -> Self {
        if seed % 4 == 1 {
            let (sync, other) = (crate::disk::Op::Sync, std::io::ErrorKind::Other);
            self.disk.fail_on(sync, "spool", 0, 2, other);
        }
        if !seed.is_multiple_of(4) {
            let Begin::Commit(commit) = self.begin() else {
                panic!("nothing to commit")
            };
            let done = commit.run();
            if seed % 4 != 2 {
                self.finish(done);
            }
        }
        self.crash_by_chance()
    }

    /// Starts on a disk as it was found, and holds what is there against the model.
    pub(super) fn start_on(self, disk: FaultyDisk) -> Self {
        let rig = self.start_unchecked(disk);
        assert!(!rig.found.is_alarming(), "{:?}", rig.found);
        rig
    }

    pub(super) fn start_unchecked(mut self, disk: FaultyDisk) -> Self {
        let committing = std::mem::take(&mut self.committing);
        let mut rig = self.reopen(disk);
        if !rig.found.is_alarming() {
            rig.check_state(&committing);
        }
        rig.check_counts();
        rig
    }

    /// Starts on a disk as it was found; the model is not asked.
    pub(super) fn reopen(self, disk: FaultyDisk) -> Self {
        let Self {
            options,
            mut rng,
            now_ms,
            synced,
            bodies,
            highest,
            keeps,
            spool,
            keeper,
            ..
        } = self;
        drop((spool, keeper));
        disk.heal();
        let ring = KeyRing::open(&disk, Path::new("/keys"), kek()).unwrap();
        let (spool, keeper, found) =
            Spool::open(disk.clone(), options.clone(), ring, now_ms, &mut rng).unwrap();
        let mut rig = Self {
            disk,
            options,
            spool,
            keeper,
            found,
            rng,
            now_ms,
            synced,
            committing: Vec::new(),
            staged: Vec::new(),
            bodies,
            highest,
            keeps: Vec::new(),
        };
        rig.keep(&keeps);
        rig
    }

    /// Whether the spool opens with the options as they are now.
    pub(super) fn try_open(&mut self) -> Result<Recovered, super::OpenError> {
        let ring = KeyRing::open(&self.disk, Path::new("/keys"), kek()).unwrap();
        let options = self.options.clone();
        Spool::open(self.disk.clone(), options, ring, self.now_ms, &mut self.rng).map(|(_, _, found)| found)
    }

    /// What a start would find on a disk, and what would live where; this spool stays as it is.
    pub(super) fn look(&self, disk: &FaultyDisk) -> (State, Vec<(u64, u32, u64)>, Recovered) {
        let ring = KeyRing::open(disk, Path::new("/keys"), kek()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let options = self.options.clone();
        let (spool, _, found) = Spool::open(disk.clone(), options, ring, self.now_ms, &mut rng).unwrap();
        let lives = spool.segments.iter();
        let lives = lives.map(|(number, segment)| (number, segment.live(), segment.live_octets()));
        let lives = lives.filter(|(_, live, _)| *live > 0).collect();
        (snapshot(&spool), lives, found)
    }
}
