//! The end of entries by the rules (AUD-5): whole files go from the beginning of the log, and an anchor stands for them, from which
//! what is left is verified.
//!
//! ```text
//! anchor   "TGAA" │ version u8 │ 0 × 3 │ hash of the last entry that went 32 × u8 │ has a source u8 │ source u64, u64
//!          n u16 │ a signed checkpoint over all entries that went │ n u8 │ n × 32: the whole subtrees over them │ crc32 u32
//! ```
//!
//! The subtrees are what the next root needs, and they add up to the root that the checkpoint signs: with another past no later
//! checkpoint holds. The anchor is there before a file goes, so what a kill leaves of these is dropped by the next run and read by
//! nobody.

use std::io;
use std::path::Path;

use super::note::{NOTE_MAX, PublicKey, SignedCheckpoint};
use super::seed::read_some;
use super::tree::Tree;
use super::verify::{files, walk_file};
use super::walk::{Chain, Walk};
use super::{Audit, AuditError, Begun, Logged, Source, failed, frame};
use crate::disk::Disk;
use crate::keyring::create_whole;
use crate::record;

pub(super) const FILE: &str = "anchor";
const MAGIC: &[u8; 8] = b"TGAA\x01\0\0\0";
/// Octets of an anchor at most.
const LEN_MAX: usize = NOTE_MAX + 4096;
/// Files that one run drops at most.
const FILES_MAX: u64 = 256;

/// What stands for the entries that went.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    /// Where the log stood behind them.
    pub(super) chain: Chain,
    note: SignedCheckpoint,
    text: String,
}

impl Anchor {
    /// How many went.
    pub(super) const fn size(&self) -> u64 {
        self.chain.tree.size()
    }

    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.note.is_signed_by(key)
    }

    /// From where a log is gone through.
    pub(super) fn begun(anchor: Option<&Self>) -> Begun {
        match anchor {
            None => Begun::new(),
            Some(anchor) => Begun {
                first: anchor.chain.next(),
                chain: anchor.chain.clone(),
                bad: None,
            },
        }
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = MAGIC.to_vec();
        octets.extend_from_slice(&self.chain.hash);
        let Source(segment, place) = self.chain.source.unwrap_or(Source(0, 0));
        octets.push(u8::from(self.chain.source.is_some()));
        octets.extend_from_slice(&segment.to_be_bytes());
        octets.extend_from_slice(&place.to_be_bytes());
        let len = u16::try_from(self.text.len()).unwrap_or(u16::MAX);
        octets.extend_from_slice(&len.to_be_bytes());
        octets.extend_from_slice(self.text.as_bytes());
        let whole = self.chain.tree.whole();
        // One for each bit of the size.
        octets.push(u8::try_from(whole.len()).unwrap_or(u8::MAX));
        whole.iter().for_each(|hash| octets.extend_from_slice(hash));
        let crc = crc32fast::hash(&octets);
        octets.extend_from_slice(&crc.to_be_bytes());
        octets
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        let (body, crc) = octets.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (hash, mut fields) = body.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
        let has_source = record::get_u8(&mut fields).ok()? == 1;
        let source = Source(
            record::get_u64(&mut fields).ok()?,
            record::get_u64(&mut fields).ok()?,
        );
        let len = usize::from(record::get_u16(&mut fields).ok()?);
        let (text, mut fields) = fields.split_at_checked(len)?;
        let text = std::str::from_utf8(text).ok()?.to_owned();
        let note: SignedCheckpoint = text.parse().ok()?;
        let count = usize::from(record::get_u8(&mut fields).ok()?);
        let (whole, rest) = fields.as_chunks::<32>();
        let tree = Tree::of_whole(note.checkpoint.size, whole.to_vec())?;
        let is_whole = rest.is_empty() && whole.len() == count && tree.root() == note.checkpoint.root;
        is_whole.then(|| Self {
            chain: Chain {
                hash: *hash,
                tree,
                source: has_source.then_some(source),
                last: None,
            },
            note,
            text,
        })
    }
}

/// The anchor of the log in a directory; one that is not as it was written is none, and then the entries that went are missing.
pub(super) fn anchor<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<Anchor>> {
    let octets = read_some(disk, &dir.join(FILE), LEN_MAX)?;
    Ok(octets.and_then(|octets| Anchor::from_octets(&octets)))
}

/// Entries that may go.
#[derive(Debug)]
pub struct Aged {
    /// Files.
    pub files: u64,
    /// The number of the last entry in them.
    pub up_to: u64,
    chain: Chain,
}

impl<D: Disk> Audit<D> {
    /// Which files may go: from the oldest on those of which the newest entry's time, in unix milliseconds, is over. Never the one
    /// that is written, and none from the first on that is not as it was written: of what is damaged nothing is dropped.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or what an earlier run has left not be removed.
    pub fn aged(&self, is_over: impl Fn(u64) -> bool) -> Result<Option<Aged>, AuditError> {
        self.drop_files()?;
        let Begun { first, chain, .. } = Anchor::begun(self.anchor.as_ref());
        let newest_ms = std::cell::Cell::new(0);
        let mut visit = |logged: &Logged, _: &Chain| newest_ms.set(newest_ms.get().max(logged.time_ms));
        let mut walk = Walk::from(chain, None, &mut visit);
        let mut aged = None;
        let mut found = files(&self.disk, &self.dir).map_err(failed(&self.dir))?;
        found.retain(|file| (first..self.segment.begun.first).contains(&file.first));
        for (file, files) in found.iter().zip(1..=FILES_MAX) {
            walk_file(&self.disk, &self.dir, file, &mut walk).map_err(failed(&self.dir.join(&file.name)))?;
            if walk.bad.is_some() || walk.torn > 0 || !is_over(newest_ms.get()) {
                break;
            }
            aged = Some(Aged {
                files,
                up_to: walk.chain.tree.size(),
                chain: walk.chain.clone(),
            });
        }
        Ok(aged)
    }

    /// Has an anchor stand for them, and removes them.
    ///
    /// # Errors
    ///
    /// A file cannot be written or removed. With the anchor they are gone; what is left of them goes the next time.
    pub fn drop_aged(&mut self, aged: Aged) -> Result<(), AuditError> {
        let text = self.signer.sign(aged.up_to, aged.chain.tree.root());
        let path = self.dir.join(FILE);
        let unreadable = |_| failed(&path)(io::ErrorKind::InvalidData.into());
        let note = text.parse().map_err(unreadable)?;
        let anchor = Anchor {
            chain: aged.chain,
            note,
            text,
        };
        create_whole(&self.disk, &path, &anchor.octets()).map_err(failed(&path))?;
        self.anchor = Some(anchor);
        self.drop_files()
    }

    fn drop_files(&self) -> Result<(), AuditError> {
        let Some(anchor) = &self.anchor else {
            return Ok(());
        };
        let of_dir = || failed(&self.dir);
        let found = files(&self.disk, &self.dir).map_err(of_dir())?;
        let mut gone = found.iter().filter(|file| file.first <= anchor.size()).peekable();
        if gone.peek().is_none() {
            return Ok(());
        }
        for file in gone {
            let path = frame::path(&self.dir, file.first);
            self.disk.unlink(&path).map_err(failed(&path))?;
        }
        self.disk.sync_dir(&self.dir).map_err(of_dir())
    }
}
