//! Lives of messages in a spool, with its keeper's work done in between on the same thread.

use std::collections::VecDeque;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::{Disk, RealDisk};
use tidegate_store::index::LegId;
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::names::NameId;
use tidegate_store::quote::Quote;
use tidegate_store::record::{EntryKind, Envelope, Form, Sink};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::{Begin, Ending, Keeper, NewEntry, NewLeg, Options, Spool};
use tidegate_store::usage::Period;

use crate::report::now;

/// 2026-11-24, in unix milliseconds.
const NOW_MS: u64 = 1_795_478_400_000;
/// Octets of a submit_sm's body with a text of 100, and of a DLR's.
pub(crate) const BODY: usize = 160;
pub(crate) const DLR: usize = 180;

pub(crate) struct Lives {
    spool: Spool<RealDisk>,
    keeper: Keeper<RealDisk>,
    rng: ChaCha20Rng,
    now_ms: u64,
    account: SystemId,
    carrier: NameId,
    /// Lives lived, and octets of all batches.
    count: u64,
    octets: u64,
}

impl Lives {
    pub(crate) fn new(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let (disk, mut rng) = (RealDisk, ChaCha20Rng::seed_from_u64(1));
        let keys = dir.join("keys");
        disk.create_dir_all(&keys)?;
        let kek = Kek::create(&disk, &dir.join("kek"), &mut rng)?;
        let ring = KeyRing::create(&disk, &keys, kek, NOW_MS, &mut rng)?;
        let options = Options {
            dir: dir.join("spool"),
            node: 0,
            segment_size: 64 << 20,
            limit: 4 << 30,
            reserve_segments: 4,
            max_legs: 1_000_000,
            waiting_dir: dir.join("waiting"),
            outbox_dir: dir.join("outbox"),
            usage_dir: dir.join("usage"),
            standing_dir: dir.join("standing"),
            history_dir: dir.join("history"),
            history_index: None,
            accept_damage: false,
            receipt_hot_ms: 600_000,
        };
        let (mut spool, keeper, _) = Spool::open(disk, options, ring, NOW_MS, &mut rng)?;
        let carrier = spool.intern("sink").ok_or("too many names")?;
        Ok(Self {
            spool,
            keeper,
            rng,
            now_ms: NOW_MS,
            account: SystemId::new(b"load")?,
            carrier,
            count: 0,
            octets: 0,
        })
    }

    /// Octets of all batches, for each life so far.
    pub(crate) fn stored(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let each = self.octets as f64 / self.count.max(1) as f64;
        each
    }

    /// Commits what is staged; the keeper's work first.
    fn commit(&mut self) -> usize {
        while let Some(chore) = self.spool.next_chore(self.now_ms) {
            let done = self.keeper.run(chore, &mut self.rng);
            let _ = black_box(self.spool.chore_done(done, self.now_ms));
        }
        match self.spool.begin_commit(self.now_ms) {
            Begin::Commit(commit) => {
                let octets = commit.octets();
                self.octets += octets;
                black_box(self.spool.finish_commit(commit.run()));
                usize::try_from(octets).unwrap_or(usize::MAX)
            }
            Begin::NoSegment | Begin::Nothing => 0,
        }
    }

    fn accept(&mut self) -> Option<LegId> {
        self.count += 1;
        let (now_ms, id) = (self.now_ms, self.spool.next_id(self.now_ms));
        let body = [b'x'; BODY];
        let new = NewLeg {
            id,
            leg: 0,
            account: self.account,
            envelope: envelope(now_ms),
            due_ms: now_ms,
            quote: Quote::NONE,
            body: &body,
            period: Period {
                day: 20_700,
                month: 24_320,
            },
            takes_a_place: false,
            held: false,
        };
        self.spool.accept(now_ms, new, &mut self.rng).ok()
    }

    fn hand_over(&mut self, leg: LegId, number: usize) {
        let id = MessageIdText::new(number.to_string().as_bytes()).unwrap_or_default();
        let _ = self
            .spool
            .hand_over(self.now_ms, leg, self.carrier, id, NOW_MS * 2, &mut self.rng);
    }

    fn end(&mut self, leg: LegId) -> Option<tidegate_store::outbox::EntryId> {
        let dlr = NewEntry {
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form: Form::Sm,
            expires_ms: NOW_MS * 2,
            document: &[],
            body: &[b'r'; DLR],
        };
        let ending = Ending {
            state: MessageState::Delivered,
            at_ms: self.now_ms,
        };
        let settled = self
            .spool
            .settle(self.now_ms, leg, ending, Some(&dlr), true, &mut self.rng);
        settled.ok().flatten()?.1
    }

    /// So many lives, in batches of `batch`: accepts are one sync, endings another; what is lazy rides along.
    pub(crate) fn run(&mut self, batch: u32, messages: u32) {
        let mut fetched = Vec::new();
        for _ in 0..messages / batch {
            self.now_ms += 2;
            for entry in fetched.drain(..) {
                let _ = self.spool.fetched(self.now_ms, entry, &mut self.rng);
            }
            let legs: Vec<_> = (0..batch).filter_map(|_| self.accept()).collect();
            self.commit();
            for (number, leg) in legs.iter().enumerate() {
                self.hand_over(*leg, number);
            }
            fetched.extend(legs.into_iter().filter_map(|leg| self.end(leg)));
            self.commit();
        }
    }

    /// So many lives begun at a rate: each ends in the commit behind the one that accepted it.
    pub(crate) fn run_paced(&mut self, rate: u32, messages: u32) {
        let began = now();
        let every = Duration::from_secs(1) / rate;
        let (mut under_way, mut fetched) = (Vec::new(), Vec::new());
        let mut next = 0;
        while next < messages || !under_way.is_empty() {
            let due = began + every * next;
            if next < messages
                && under_way.is_empty()
                && let Some(wait) = due.checked_duration_since(now())
            {
                std::thread::park_timeout(wait);
            }
            self.now_ms += 1;
            for entry in fetched.drain(..) {
                let _ = self.spool.fetched(self.now_ms, entry, &mut self.rng);
            }
            for (number, leg) in under_way.drain(..).enumerate() {
                self.hand_over(leg, number);
                fetched.extend(self.end(leg));
            }
            while next < messages && began + every * next <= now() {
                under_way.extend(self.accept());
                next += 1;
            }
            self.commit();
        }
    }

    /// Accepts at a rate, each commit as soon as the last is done: how long each took from its append to its release,
    /// and what a batch has in octets.
    pub(crate) fn accept_paced(&mut self, rate: u32, lasting: Duration) -> (Vec<Duration>, usize) {
        let began = now();
        let every = Duration::from_secs(1) / rate;
        let (mut next, mut took, mut sizes) = (0, Vec::new(), Vec::new());
        let mut staged = VecDeque::new();
        while began.elapsed() < lasting {
            while began + every * next <= now() {
                staged.extend(self.accept().map(|leg| (leg, now())));
                next += 1;
            }
            if staged.is_empty() {
                std::hint::spin_loop();
                continue;
            }
            sizes.push(self.commit());
            let released = now();
            for (leg, appended) in staged.drain(..) {
                took.push(released - appended);
                let _ = self.end(leg);
            }
        }
        sizes.sort_unstable();
        (took, sizes.get(sizes.len() / 2).copied().unwrap_or(0))
    }
}

fn envelope(now_ms: u64) -> Envelope {
    Envelope {
        addresses: Addresses::new(
            &AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap_or_default(),
            &AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap_or_default(),
        ),
        form: Form::Sm,
        interface_version: 0x34,
        id_form: 0,
        registered_delivery: 1,
        priority: 0,
        category: 0,
        parts: 1,
        data_coding: 0,
        lot: 0,
        service_type: ServiceType::DEFAULT,
        charge: 0,
        accepted_ms: now_ms,
        expires_ms: now_ms + 3_600_000,
    }
}
