//! A spool with its keeper on one thread, as benches of the store drive it.

use std::error::Error;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tidegate_store::disk::{Disk as _, RealDisk};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::spool::{Begin, Finished, Keeper, Options, Spool};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// An opened spool. Everything lies in one directory.
#[expect(
    missing_debug_implementations,
    reason = "of a spool of a bench there is nothing to print"
)]
pub struct Rig {
    /// The spool.
    pub spool: Spool<RealDisk>,
    /// Does its chores.
    pub keeper: Keeper<RealDisk>,
    /// For keys and nonces; the same in every run.
    pub rng: ChaCha20Rng,
}

impl Rig {
    /// With new keys, and nothing in it.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub fn create(dir: &Path, max_legs: usize, now_ms: u64) -> Fallible<Self> {
        let (keys, kek) = (dir.join("keys"), dir.join("kek"));
        RealDisk.create_dir_all(&keys)?;
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let kek = Kek::create(&RealDisk, &kek, &mut rng)?;
        let ring = KeyRing::create(&RealDisk, &keys, kek, now_ms, &mut rng)?;
        Self::on(dir, ring, max_legs, now_ms)
    }

    /// On what lies there.
    ///
    /// # Errors
    ///
    /// The disk's, and whatever is an alarm.
    pub fn open(dir: &Path, max_legs: usize, now_ms: u64) -> Fallible<Self> {
        let kek = Kek::read(&RealDisk, &dir.join("kek"))?;
        let ring = KeyRing::open(&RealDisk, &dir.join("keys"), kek)?;
        Self::on(dir, ring, max_legs, now_ms)
    }

    fn on(dir: &Path, ring: KeyRing<RealDisk>, max_legs: usize, now_ms: u64) -> Fallible<Self> {
        let options = Options {
            dir: dir.join("spool"),
            node: 0,
            segment_size: 64 << 20,
            limit: 1 << 40,
            reserve_segments: 4,
            max_legs,
            waiting_dir: dir.join("waiting"),
            outbox_dir: dir.join("outbox"),
            usage_dir: dir.join("usage"),
            standing_dir: dir.join("standing"),
            history_dir: dir.join("history"),
            history_index: None,
            accept_damage: false,
            receipt_hot_ms: 1_000,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let (spool, keeper, found) = Spool::open(RealDisk, options, ring, now_ms, &mut rng)?;
        if found.is_alarming() {
            return Err(format!("{found:?}").into());
        }
        Ok(Self { spool, keeper, rng })
    }

    /// Commits what is staged and does the chores that there are; whether there was anything.
    ///
    /// # Errors
    ///
    /// A chore's.
    pub fn turn(&mut self, now_ms: u64) -> Fallible<bool> {
        let mut busy = false;
        if let Begin::Commit(commit) = self.spool.begin_commit(now_ms) {
            let _ = self.spool.finish_commit(commit.run());
            busy = true;
        }
        while let Some(chore) = self.spool.next_chore(now_ms) {
            let done = self.keeper.run(chore, &mut self.rng);
            match self.spool.chore_done(done, now_ms) {
                Finished::Failed(error) | Finished::NotReady(error) => return Err(error.into()),
                _ => busy = true,
            }
        }
        Ok(busy)
    }
}

/// Octets of memory that this process has resident; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// So many of these for each of those.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 of anything")]
pub fn per(octets: u64, count: u64) -> f64 {
    octets as f64 / count.max(1) as f64
}
