//! What is kept of finished messages because a rule says so (design §4 "History").
//!
//! The spool hands over what has ended; [`History::file`] gathers it by account, class and period and closes a block at
//! 256 records or 64 KiB, and [`History::checkpoint`] closes all of them, syncs them, and notes up
//! to which batch of the spool everything is here. What was filed behind the last checkpoint is cut off when it is opened
//! again and is to be filed anew: so each finished leg stands here once, whatever was killed when.

mod block;
mod columns;
mod drafts;
mod files;
mod filter;
mod filters;
#[cfg(test)]
pub(crate) mod held;
mod index;
mod keep;
mod look;
mod meta;
mod note;
mod orders;
mod rebuild;
mod rekey;
#[cfg(test)]
mod rig;
mod stats;
mod sweep;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_filters;
#[cfg(test)]
mod tests_rekey;
#[cfg(test)]
mod tests_sweep;
#[cfg(test)]
mod tests_unused;
mod unused;
mod vault;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use rand_core::CryptoRng;
use siphasher::sip::SipHasher24;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::keyring::{KeyRing, PeriodOwner};
use crate::message_id::MessageId;
use crate::seal::KeyId;
use crate::waiting::Failed;

use block::Header;
use columns::Columns;
use files::{At, Files};
use filters::Filters;
use keep::HOUR_MS;
use look::Indexes;
use meta::{MetaRef, TextRef};

pub use crate::record::Direction;
pub use files::PeriodKey;
pub use filters::FilterCounts;
pub use keep::{Bucket, Finished, Keep, Kept, Plan};
pub use look::{Cursor, Looked, Query};
pub use meta::{Meta, Place, Text};
pub use note::sweep_note;
pub use orders::{AddUp, Erased, Order, OrderError, Report};
pub use rebuild::Rebuild;
pub use rekey::{Fate, Fates, Judge, Passed, Record, Rekey};
pub use stats::{Stats, StatsError};
pub use sweep::{Cell, Cells, Lot};
pub use vault::{VaultCursor, VaultOrder, VaultReport, whom};

/// Octets that all gathers may take before they are closed, however few records each has.
const GATHERED_MAX: usize = 32 << 20;
/// Gathers whose room is kept for others, and octets that one has had at most for that.
const SPARES_MAX: usize = 16;
const SPARE_OCTETS_MAX: usize = 2 * block::OCTETS_MAX;

/// Records of one account, class and period that are being gathered.
struct Gather {
    /// What hashes its recipients; none of texts, and without the secret.
    printer: Option<SipHasher24>,
    columns: Columns,
    ids: Vec<MessageId>,
    recipients: Vec<u16>,
    first_id: MessageId,
    last_id: MessageId,
    first_ms: u64,
    last_ms: u64,
}

/// Whose gather it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct GatherKey {
    account: SystemId,
    class: Kept,
    length: Arc<str>,
    bucket: Bucket,
    /// The first hour of the period, counted from 1970.
    period: u32,
    /// Tells gathers of the same from each other: beside one that is full and cannot be written another begins.
    serial: u32,
}

impl GatherKey {
    fn file(&self) -> PeriodKey {
        PeriodKey {
            class: self.class,
            length: Arc::clone(&self.length),
            day: self.period / 24,
        }
    }

    fn owner(&self) -> PeriodOwner {
        PeriodOwner {
            account: self.account,
            class: self.class as u8,
            bucket: self.bucket as u8,
            length: length_number(&self.length),
            start: self.period,
            part: 0,
        }
    }
}

/// What was found, and what could not be read, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were filed.
    pub records: u64,
    /// Blocks that were written.
    pub blocks: u64,
    /// Checkpoints that went well.
    pub checkpoints: u64,
    /// Blocks that do not open or make no sense (ENC-4), stretches of files that hold none, and each time that a block was
    /// written under another key because its period's cannot be read.
    pub unreadable: u64,
    /// Indexes that were made anew from the files.
    pub rebuilt: u64,
}

/// See the [module](self).
pub struct History<D: Disk> {
    files: Files<D>,
    indexes: Indexes,
    filters: Filters,
    /// A map that is walked in order: one seed is one run.
    gathers: BTreeMap<GatherKey, Gather>,
    /// Octets of all gathers.
    gathered: usize,
    /// Which gathers of the same take more.
    serial: u32,
    /// Blocks that no index has yet, in the order of the files.
    fresh: HashMap<PeriodKey, Vec<(At, Header)>>,
    /// Prints of recipients, by account.
    printers: HashMap<SystemId, SipHasher24>,
    position: u64,
    counts: Counts,
    /// The pass through lots that is under way.
    pass: Option<rekey::Pass<D>>,
    /// Where blocks have come to stand that were sealed anew, for looks that began before.
    moved: HashMap<(PeriodKey, At), (At, u64)>,
    /// How many passes have sealed blocks anew.
    passes: u64,
    /// How far lots are added up that are to go.
    sums: BTreeMap<(PeriodKey, KeyId), sweep::Sum>,
    /// A buffer for the next block.
    buffer: Vec<u8>,
    /// Room of gathers that were written, wiped, for the next ones.
    spares: Vec<Columns>,
    /// Octets of the vault's volumes.
    vault_octets: u64,
    /// The next legs that are filed fail behind it.
    #[cfg(test)]
    pub(crate) fail_files: usize,
}

impl<D: Disk> History<D> {
    /// Opens what was kept, and cuts off what was filed behind the last checkpoint. `index` is the directory of the
    /// indexes, which are made anew where they are in doubt; without one they are kept in memory.
    ///
    /// Fails when a file cannot be read, and when the note of the last checkpoint is damaged: what counts is not known then.
    pub fn open(disk: D, dir: PathBuf, index: Option<PathBuf>) -> io::Result<Self> {
        let (files, position, found) = Files::open(disk, dir)?;
        let vault_octets = vault::octets(files.disk(), files.dir())?;
        let counts = Counts {
            unreadable: found.damaged,
            ..Counts::default()
        };
        Ok(Self {
            files,
            indexes: Indexes::new(index),
            filters: Filters::default(),
            gathers: BTreeMap::new(),
            gathered: 0,
            serial: 0,
            fresh: HashMap::new(),
            printers: HashMap::new(),
            position,
            counts,
            pass: None,
            moved: HashMap::new(),
            passes: 0,
            sums: BTreeMap::new(),
            buffer: Vec::new(),
            spares: Vec::new(),
            vault_octets,
            #[cfg(test)]
            fail_files: 0,
        })
    }

    /// Everything that ended in batches of the spool up to this one is here; 0 before the first checkpoint.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether there has never been a checkpoint here.
    pub(crate) const fn is_new(&self) -> bool {
        self.files.is_new
    }

    /// Begins behind a batch of the spool: nothing that ended before is to be here.
    pub(crate) fn begin(&mut self, batch: u64) -> io::Result<()> {
        self.files.checkpoint(batch)?;
        self.position = batch;
        Ok(())
    }

    /// Octets of the files and of the vault, for the disk's budget. Indexes, which are made anew, do not count.
    pub const fn octets(&self) -> u64 {
        self.files.octets() + self.vault_octets
    }

    /// What there was to count since it was opened.
    pub const fn counts(&self) -> Counts {
        let mut counts = self.counts;
        counts.unreadable += self.indexes.damaged;
        counts.rebuilt += self.indexes.rebuilt;
        counts
    }

    /// Gathers a finished leg, each of its classes for which `plan` has a rule; `body` where its account keeps bodies and
    /// it is still there. A block that is full is written (not synced). On an error the leg is gathered all the same and is
    /// not to be filed again; nothing more is to be filed until a [`History::checkpoint`] has gone well.
    pub(crate) fn file(
        &mut self,
        finished: &Finished,
        body: Option<&[u8]>,
        plan: &Plan,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed> {
        // A carrier's clock says when it ended, and rules count from that: never before it was accepted, nor in the future.
        let accepted_ms = finished.envelope.accepted_ms;
        let end_ms = finished.end.at_ms.clamp(accepted_ms, now_ms.max(accepted_ms));
        let mut corrected = None;
        let finished = if end_ms == finished.end.at_ms {
            finished
        } else {
            let mut other = finished.clone();
            other.end.at_ms = end_ms;
            &*corrected.insert(other)
        };
        let mut result = Ok(());
        for class in Kept::ALL {
            let body = match (class, body) {
                (Kept::Meta, _) => &[][..],
                (Kept::Body, Some(body)) => body,
                (Kept::Body, None) => continue,
            };
            let Some(keep) = plan(finished, class, now_ms) else {
                continue;
            };
            let key = GatherKey {
                account: finished.account,
                class,
                period: keep.bucket.first_hour(keep.anchor_ms),
                bucket: keep.bucket,
                length: keep.length,
                serial: self.serial,
            };
            let Some(is_full) = self.gather(&key, finished, keep.place, body, ring) else {
                continue;
            };
            self.counts.records += 1;
            if is_full {
                let closed = self.close(&[key], ring, now_ms, rng);
                // No block grows past what can be read again.
                self.serial = self.serial.wrapping_add(u32::from(closed.is_err()));
                result = result.and(closed);
            }
        }
        if result.is_ok() && self.gathered > GATHERED_MAX {
            result = self.close_all(ring, now_ms, rng);
        }
        #[cfg(test)]
        if self.fail_files > 0 {
            self.fail_files -= 1;
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        result
    }

    /// Adds a record to its gather; whether that is full then. `None` where nothing of it may be kept.
    fn gather(
        &mut self,
        key: &GatherKey,
        finished: &Finished,
        place: Place,
        body: &[u8],
        ring: &KeyRing<D>,
    ) -> Option<bool> {
        let end_ms = finished.end.at_ms;
        let gather = match self.gathers.get_mut(key) {
            Some(gather) => gather,
            None => {
                if let Some(other) = self.files.length_like(&key.length) {
                    // Their keys would be one: what is kept longer would go with the other.
                    tracing::error!(%other, length = %key.length, "lengths that cannot be told apart: not kept");
                    self.counts.unreadable += 1;
                    return None;
                }
                let gather = Gather {
                    printer: match key.class {
                        Kept::Meta => self.printer(ring, finished.account),
                        Kept::Body => None,
                    },
                    columns: self.spares.pop().unwrap_or_default(),
                    ids: Vec::new(),
                    recipients: Vec::new(),
                    first_id: finished.id,
                    last_id: finished.id,
                    first_ms: end_ms,
                    last_ms: end_ms,
                };
                self.gathers.entry(key.clone()).or_insert(gather)
            }
        };
        let before = gather.columns.len();
        match key.class {
            Kept::Meta => {
                let addresses = &finished.envelope.addresses;
                let (source, destination) = (addresses.source(), addresses.destination());
                let person = match finished.direction {
                    Direction::Mt => &destination,
                    Direction::Mo => &source,
                };
                // 16 bits of a keyed hash: enough to pass over nearly all blocks that have none of a person's messages, and
                // nothing by which to find a number. The account's key is of its own (PSN-2); without the secret nobody
                // finds anything by a number.
                let printer = gather.printer.as_ref();
                let recipient = printer.map(|printer| print(recipient_hash(printer, person.as_bytes())));
                gather.recipients.push(recipient.unwrap_or_default());
                gather
                    .columns
                    .push_meta(&meta_of(finished, &source, &destination, place));
            }
            Kept::Body => gather.columns.push_text(&TextRef {
                id: finished.id,
                leg: finished.leg,
                accepted_ms: finished.envelope.accepted_ms,
                final_ms: end_ms,
                form: finished.envelope.form,
                body,
            }),
        }
        gather.ids.push(finished.id);
        gather.first_id = gather.first_id.min(finished.id);
        gather.last_id = gather.last_id.max(finished.id);
        gather.first_ms = gather.first_ms.min(end_ms);
        gather.last_ms = gather.last_ms.max(end_ms);
        self.gathered += gather.columns.len() - before;
        Some(gather.columns.count() >= block::RECORDS_MAX || gather.columns.len() >= block::OCTETS_MAX)
    }

    /// What hashes the recipients of an account; none without the secret.
    fn printer(&mut self, ring: &KeyRing<D>, account: SystemId) -> Option<SipHasher24> {
        if let Some(printer) = self.printers.get(&account) {
            return Some(*printer);
        }
        let key = ring.index_of(account)?.of(b"recipients of history");
        let printer = SipHasher24::new_with_key(key.octets());
        self.printers.insert(account, printer);
        Some(printer)
    }

    /// Finds an account's recipients by the key that the ring has from now on.
    pub(crate) fn forget_printer(&mut self, account: SystemId) {
        self.printers.remove(&account);
    }

    /// Accounts whose recipients were hashed since the start.
    pub(crate) fn printed(&self) -> Vec<SystemId> {
        self.printers.keys().copied().collect()
    }

    /// Writes gathers as blocks, their keys made first, all in one pass.
    fn close(
        &mut self,
        keys: &[GatherKey],
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed> {
        let mut owners: Vec<PeriodOwner> = keys.iter().map(GatherKey::owner).collect();
        for owner in &mut owners {
            self.counts.unreadable += ring.pass_unreadable(owner);
        }
        let seals = ring.period_keys(&owners, now_ms, rng)?;
        for (key, seal) in keys.iter().zip(seals) {
            let Some(gather) = self.gathers.get(key) else {
                continue;
            };
            let mut header = Header {
                class: key.class,
                bucket: key.bucket,
                account: key.account,
                key: seal.id(),
                period: key.period,
                first_id: gather.first_id,
                last_id: gather.last_id,
                first_ms: gather.first_ms,
                last_ms: gather.last_ms,
                ids: gather.ids.iter().map(|id| id_print(*id)).collect(),
                recipients: gather.recipients.clone(),
                sealed_len: 0,
            };
            self.buffer.clear();
            block::write(&mut header, &gather.columns, &seal, rng, &mut self.buffer)
                .map_err(|error| Failed::Io("seal", io::Error::other(error)))?;
            let file = key.file();
            self.filters.touch(file.clone(), now_ms);
            let at = self.files.append(&file, &self.buffer)?;
            self.gathered -= gather.columns.len();
            if let Some(Gather { mut columns, .. }) = self.gathers.remove(key)
                && self.spares.len() < SPARES_MAX
                && columns.len() <= SPARE_OCTETS_MAX
            {
                columns.wipe();
                self.spares.push(columns);
            }
            self.counts.blocks += 1;
            self.fresh.entry(file).or_default().push((at, header));
        }
        Ok(())
    }

    fn close_all(
        &mut self,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed> {
        let keys: Vec<GatherKey> = self.gathers.keys().cloned().collect();
        self.close(&keys, ring, now_ms, rng)
    }

    /// Closes all blocks, syncs them, and notes that everything that ended in batches up to `batch` is here. After an error
    /// it may be called again; until it goes well the position stays.
    pub(crate) fn checkpoint(
        &mut self,
        batch: u64,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Failed> {
        self.close_all(ring, now_ms, rng)?;
        self.files.checkpoint(batch)?;
        self.position = batch;
        self.counts.checkpoints += 1;
        self.index_fresh();
        Ok(())
    }
}

/// The way in for who has no spool: benches.
impl<D: Disk> History<D> {
    /// Gathers a finished leg as the keeper does, each of its classes for which `plan` has a rule.
    ///
    /// # Errors
    ///
    /// A block or its key cannot be written.
    pub fn take_in(
        &mut self,
        finished: &Finished,
        body: Option<&[u8]>,
        plan: &Plan,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> io::Result<()> {
        let filed = self.file(finished, body, plan, ring, now_ms, rng);
        filed.map_err(io::Error::from)
    }

    /// Closes all blocks and syncs them; all up to a batch is there then.
    ///
    /// # Errors
    ///
    /// A block or its key cannot be written or synced.
    pub fn settle(
        &mut self,
        batch: u64,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> io::Result<()> {
        let settled = self.checkpoint(batch, ring, now_ms, rng);
        settled.map_err(io::Error::from)
    }
}

/// What stands for a length in the key ring. Lengths are few, and two of one number are refused where they meet.
fn length_number(length: &str) -> u32 {
    crc32fast::hash(length.as_bytes())
}

/// A finished leg as its record keeps it.
fn meta_of<'a>(
    finished: &'a Finished,
    source: &'a AddressBuf,
    destination: &'a AddressBuf,
    place: Place,
) -> MetaRef<'a> {
    let (envelope, end) = (&finished.envelope, finished.end);
    MetaRef {
        id: finished.id,
        leg: finished.leg,
        direction: finished.direction,
        source,
        destination,
        accepted_ms: envelope.accepted_ms,
        final_ms: end.at_ms,
        expires_ms: envelope.expires_ms,
        state: end.state,
        attempts: end.attempts,
        form: envelope.form,
        interface_version: envelope.interface_version,
        id_form: envelope.id_form,
        registered_delivery: envelope.registered_delivery,
        priority: envelope.priority,
        category: envelope.category,
        parts: envelope.parts,
        data_coding: envelope.data_coding,
        service_type: envelope.service_type.padded(),
        carrier: &finished.carrier,
        carrier_id: finished.carrier_id.as_bytes(),
        settled: end.settled,
        released: end.released,
        place,
    }
}

/// The hash of a recipient, as its account's key makes it.
fn recipient_hash(printer: &SipHasher24, digits: &[u8]) -> u64 {
    printer.hash(digits.strip_prefix(b"+").unwrap_or(digits))
}

/// 16 bits of a hash.
fn print(hash: u64) -> u16 {
    let [high, low, ..] = hash.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// The print of a message's id. Ids are no secret, and near each other.
fn id_print(id: MessageId) -> u16 {
    print(id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
