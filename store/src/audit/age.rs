//! The end of entries by the rules (AUD-5): whole files go from the beginning of the log, and an anchor stands for them, from which
//! what is left is verified.
//!
//! ```text
//! anchor   "TGAA" │ version u8 │ 0 × 3 │ hash of the last entry that went 32 × u8 │ has a source u8 │ source u64, u64
//!          how many went u64 │ n u8 │ n × 32: the whole subtrees over them │ signature 64 × u8 │ crc32 u32
//! ```
//!
//! The subtrees are what the next root needs: with another past no later checkpoint holds. The signature is the log's, over all
//! octets before it, under a label of its own: a checkpoint, which everybody may read, makes no anchor. The anchor is there before
//! a file goes, so what a kill leaves of these is dropped by the next run and read by nobody.

use std::io;
use std::path::Path;

use super::note::PublicKey;
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
const LEN_MAX: usize = 4096;
/// Octets of a signature.
const SIGNATURE_LEN: usize = 64;
/// Files that one run drops at most.
const FILES_MAX: u64 = 256;

/// What stands for the entries that went.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    /// Where the log stood behind them.
    pub(super) chain: Chain,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

impl Anchor {
    /// How many went.
    pub(super) const fn size(&self) -> u64 {
        self.chain.tree.size()
    }

    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.has_signed_anchor(&body(&self.chain), &self.signature)
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

    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = body(&self.chain);
        octets.extend_from_slice(&self.signature);
        let crc = crc32fast::hash(&octets);
        octets.extend_from_slice(&crc.to_be_bytes());
        octets
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        let (signed, crc) = octets.split_last_chunk::<4>()?;
        if crc32fast::hash(signed) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (whole, signature) = signed.split_last_chunk::<SIGNATURE_LEN>()?;
        let (hash, mut fields) = whole.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
        let has_source = record::get_u8(&mut fields).ok()? == 1;
        let source = Source(
            record::get_u64(&mut fields).ok()?,
            record::get_u64(&mut fields).ok()?,
        );
        let size = record::get_u64(&mut fields).ok()?;
        let count = usize::from(record::get_u8(&mut fields).ok()?);
        let (subtrees, rest) = fields.as_chunks::<32>();
        let tree = Tree::of_whole(size, subtrees.to_vec())?;
        let anchor = Self {
            chain: Chain {
                hash: *hash,
                tree,
                source: has_source.then_some(source),
                last: None,
            },
            signature: *signature,
        };
        let is_whole = rest.is_empty() && subtrees.len() == count && body(&anchor.chain) == whole;
        is_whole.then_some(anchor)
    }
}

/// What is signed of an anchor: all of it.
fn body(chain: &Chain) -> Vec<u8> {
    let mut octets = MAGIC.to_vec();
    octets.extend_from_slice(&chain.hash);
    let Source(segment, place) = chain.source.unwrap_or(Source(0, 0));
    octets.push(u8::from(chain.source.is_some()));
    octets.extend_from_slice(&segment.to_be_bytes());
    octets.extend_from_slice(&place.to_be_bytes());
    octets.extend_from_slice(&chain.tree.size().to_be_bytes());
    let whole = chain.tree.whole();
    // One for each bit of the size.
    octets.push(u8::try_from(whole.len()).unwrap_or(u8::MAX));
    whole.iter().for_each(|hash| octets.extend_from_slice(hash));
    octets
}

/// The anchor of the log in a directory.
///
/// # Errors
///
/// It cannot be read, or is not as it was written.
pub(super) fn anchor<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<Anchor>> {
    let Some(octets) = read_some(disk, &dir.join(FILE), LEN_MAX)? else {
        return Ok(None);
    };
    let read = Anchor::from_octets(&octets);
    read.map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an anchor as it was written"))
}

/// The same for who only reads: one that is not as it was written is none, and then the entries that went are missing.
pub(super) fn anchor_if_whole<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<Anchor>> {
    match anchor(disk, dir) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        read => read,
    }
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
    /// A clock may have been wrong: a file's time is not before that of the file in front of it, and, but for that, not behind that
    /// of the next.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or what an earlier run has left not be removed.
    pub fn aged(&self, is_over: impl Fn(u64) -> bool) -> Result<Option<Aged>, AuditError> {
        self.drop_files()?;
        let Begun { first, chain, .. } = Anchor::begun(self.anchor.as_ref());
        let of_file = std::cell::Cell::new(0);
        let mut visit = |logged: &Logged, _: &Chain| of_file.set(of_file.get().max(logged.time_ms));
        let mut walk = Walk::from(chain, None, &mut visit);
        let (mut aged, mut before_ms) = (None, 0);
        // A file waits for the time of the next.
        let mut waits: Option<(Aged, u64)> = None;
        let mut found = files(&self.disk, &self.dir).map_err(failed(&self.dir))?;
        let written = self.segment.begun.first;
        found.retain(|file| (first..=written).contains(&file.first));
        for (file, files) in found.iter().zip(1..=FILES_MAX + 1) {
            of_file.set(0);
            walk_file(&self.disk, &self.dir, file, &mut walk).map_err(failed(&self.dir.join(&file.name)))?;
            let is_whole = walk.bad.is_none() && walk.torn == 0;
            // Of one with no time, or none that can be trusted, nothing follows for the one in front of it.
            let its_ms = of_file.get();
            let next_ms = if is_whole && its_ms > 0 { its_ms } else { u64::MAX };
            if let Some((waiting, newest_ms)) = waits.take() {
                before_ms = newest_ms.min(next_ms).max(before_ms);
                if !is_over(before_ms) {
                    break;
                }
                aged = Some(waiting);
            }
            if !is_whole || file.first >= written {
                break;
            }
            let waiting = Aged {
                files,
                up_to: walk.chain.tree.size(),
                chain: walk.chain.clone(),
            };
            waits = Some((waiting, its_ms));
        }
        Ok(aged)
    }

    /// Has an anchor stand for them, and removes them.
    ///
    /// # Errors
    ///
    /// A file cannot be written or removed. With the anchor they are gone; what is left of them goes the next time.
    pub fn drop_aged(&mut self, aged: Aged) -> Result<(), AuditError> {
        let path = self.dir.join(FILE);
        let anchor = Anchor {
            signature: self.signer.sign_anchor(&body(&aged.chain)),
            chain: aged.chain,
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
