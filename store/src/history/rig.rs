//! What the history's tests share: a history with its ring on some disk, and messages that it is handed.

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use super::*;
use crate::addresses::Addresses;
use crate::disk::FaultyDisk;
use crate::keyring::{Kek, Owner};
use crate::record::Final;
use crate::seal::Purpose;
use crate::testing::{envelope, rng};

/// 2026-03-02, a Monday, at noon.
pub(super) const NOON_MS: u64 = 1_772_452_800_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) fn account(name: &str) -> SystemId {
    SystemId::new(name.as_bytes()).unwrap()
}

/// Meta by its acceptance for ninety days, texts by their end for thirty; of account `none` nothing.
pub(super) fn plan(finished: &Finished, class: Kept, _: u64) -> Option<Keep> {
    if finished.account == account("none") {
        return None;
    }
    let (anchor_ms, length) = match class {
        Kept::Meta => (finished.envelope.accepted_ms, "P90D"),
        Kept::Body => (finished.end.at_ms, "P30D"),
    };
    Some(Keep {
        anchor_ms,
        bucket: Bucket::Day,
        length: length.into(),
        place: Place {
            country: *b"GB",
            network: 234_015,
        },
    })
}

/// The n-th message of an account, one a second.
pub(super) fn finished(name: &str, n: u64) -> Finished {
    let accepted_ms = NOON_MS + n * 1_000;
    let mut ids = crate::message_id::MessageIds::new(1, 0);
    let digits = format!("4477009{:05}", n % 100_000);
    let mut envelope = envelope();
    envelope.accepted_ms = accepted_ms;
    envelope.expires_ms = accepted_ms + DAY_MS;
    envelope.addresses = Addresses::new(
        &AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        &AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, digits.as_bytes()).unwrap(),
    );
    Finished {
        id: ids.next(accepted_ms),
        leg: 0,
        account: account(name),
        direction: Direction::Mt,
        envelope,
        end: Final {
            state: MessageState::Delivered,
            at_ms: accepted_ms + 5_000,
            attempts: 1,
            settled: 2,
            released: 0,
        },
        carrier: "p".into(),
        carrier_id: MessageIdText::new(format!("c-{n}").as_bytes()).unwrap(),
    }
}

pub(super) fn body(n: u64) -> Vec<u8> {
    format!("text number {n} that nobody else may read").into_bytes()
}

/// A history, and where it lies.
pub(super) struct Site<D: Disk> {
    pub(super) disk: D,
    pub(super) root: PathBuf,
    pub(super) index: Option<PathBuf>,
    pub(super) ring: KeyRing<D>,
    pub(super) history: History<D>,
    pub(super) rng: ChaCha20Rng,
}

pub(super) fn kek() -> Kek {
    let disk = FaultyDisk::new();
    Kek::create(&disk, Path::new("kek"), &mut rng()).unwrap()
}

impl<D: Disk> Site<D> {
    pub(super) fn new(disk: D, root: &Path, index: Option<PathBuf>) -> Self {
        let mut ring = KeyRing::create(&disk, &root.join("keys"), kek(), NOON_MS, &mut rng()).unwrap();
        ring.make(Owner::Pseudonyms, NOON_MS, &mut rng()).unwrap();
        Self::with(disk, root, index, ring)
    }

    pub(super) fn with(disk: D, root: &Path, index: Option<PathBuf>, ring: KeyRing<D>) -> Self {
        let history = History::open(disk.clone(), root.join("history"), index.clone()).unwrap();
        Self {
            disk,
            root: root.to_owned(),
            index,
            ring,
            history,
            rng: rng(),
        }
    }

    /// Closed without a checkpoint, and opened again.
    pub(super) fn again(self) -> Self {
        let Self {
            disk, root, index, ..
        } = self;
        drop(self.history);
        let ring = KeyRing::open(&disk, &root.join("keys"), kek()).unwrap();
        Self::with(disk, &root, index, ring)
    }

    pub(super) fn file(&mut self, name: &str, n: u64) -> Result<(), Failed> {
        let (finished, body) = (finished(name, n), body(n));
        let now_ms = finished.end.at_ms;
        let (ring, rng) = (&mut self.ring, &mut self.rng);
        self.history
            .file(&finished, Some(&body), &plan, ring, now_ms, rng)
    }

    pub(super) fn checkpoint(&mut self, batch: u64) -> Result<(), Failed> {
        self.history
            .checkpoint(batch, &mut self.ring, NOON_MS, &mut self.rng)
    }

    pub(super) fn look(&mut self, query: &Query, class: Kept) -> Looked {
        let mut all = Looked::default();
        let mut cursor = Cursor::default();
        loop {
            let looked = self
                .history
                .look(query, class, cursor, &self.ring, Purpose::Support);
            let looked = looked.unwrap();
            all.metas.extend(looked.metas);
            all.texts.extend(looked.texts);
            all.unreadable += looked.unreadable;
            match looked.next {
                Some(next) => cursor = next,
                None => return all,
            }
        }
    }

    pub(super) fn metas(&mut self, query: &Query) -> Vec<MessageId> {
        let looked = self.look(query, Kept::Meta);
        let mut ids: Vec<_> = looked.metas.iter().map(|(_, meta)| meta.id).collect();
        ids.sort();
        ids
    }

    pub(super) fn all_of(&mut self, name: &str) -> Vec<MessageId> {
        self.metas(&Query::Account {
            account: account(name),
            from_ms: 0,
            to_ms: u64::MAX / 2,
        })
    }
}

pub(super) fn ids(name: &str, range: std::ops::Range<u64>) -> Vec<MessageId> {
    range.map(|n| finished(name, n).id).collect()
}
