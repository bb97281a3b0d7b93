//! What the spool costs per message: accepted, handed over, ended with its DLR, fetched; sealed, written and
//! synced in batches.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;
use tidegate_store::disk::{Disk, RealDisk};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::record::{EntryKind, Envelope, Form};
use tidegate_store::spool::{Begin, Ending, Keeper, NewEntry, Options, Spool};

/// Messages of one batch.
const BATCH: u64 = 500;

struct Rig {
    spool: Spool<RealDisk>,
    keeper: Keeper<RealDisk>,
    rng: ChaCha20Rng,
    now_ms: u64,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (disk, mut rng) = (RealDisk, ChaCha20Rng::seed_from_u64(1));
        let keys = dir.path().join("keys");
        disk.create_dir_all(&keys)?;
        let kek = Kek::create(&disk, &dir.path().join("kek"), &mut rng)?;
        let now_ms = 1_795_478_400_000;
        let ring = KeyRing::create(&disk, &keys, kek, now_ms, &mut rng)?;
        let options = Options {
            dir: dir.path().join("spool"),
            node: 0,
            segment_size: 64 << 20,
            limit: 4 << 30,
            reserve_segments: 4,
            max_legs: 1_000_000,
            waiting_dir: dir.path().join("waiting"),
            receipt_hot_ms: 600_000,
        };
        let (spool, keeper, _) = Spool::open(disk, options, ring, now_ms, &mut rng)?;
        Ok(Self {
            spool,
            keeper,
            rng,
            now_ms,
            _dir: dir,
        })
    }

    fn commit(&mut self) {
        while let Some(chore) = self.spool.next_chore(self.now_ms) {
            let done = self.keeper.run(chore, &mut self.rng);
            let _ = black_box(self.spool.chore_done(done, self.now_ms));
        }
        if let Begin::Commit(commit) = self.spool.begin_commit(self.now_ms) {
            black_box(self.spool.finish_commit(commit.run()));
        }
    }

    /// The whole life of one batch of messages.
    fn lives(&mut self) {
        let Ok(account) = SystemId::new(b"load") else {
            return;
        };
        let Some(carrier) = self.spool.intern("sink") else {
            return;
        };
        self.now_ms += 2;
        let legs: Vec<_> = (0..BATCH)
            .filter_map(|_| {
                let id = self.spool.next_id(self.now_ms);
                let due = self.now_ms;
                self.spool
                    .accept(
                        due,
                        id,
                        0,
                        account,
                        envelope(due),
                        due,
                        &[b'x'; 160],
                        &mut self.rng,
                    )
                    .ok()
            })
            .collect();
        self.commit();
        for (number, leg) in legs.iter().enumerate() {
            let id = MessageIdText::new(number.to_string().as_bytes()).unwrap_or_default();
            let _ = self
                .spool
                .hand_over(self.now_ms, *leg, carrier, id, u64::MAX >> 1, &mut self.rng);
        }
        let mut entries = Vec::new();
        for leg in legs {
            let dlr = NewEntry {
                kind: EntryKind::Dlr,
                form: Form::Sm,
                expires_ms: u64::MAX >> 1,
                body: &[b'r'; 180],
            };
            let ending = Ending {
                state: MessageState::Delivered,
                at_ms: self.now_ms,
            };
            let settled = self
                .spool
                .settle(self.now_ms, leg, ending, Some(&dlr), true, &mut self.rng);
            if let Ok(Some((_, Some(entry)))) = settled {
                entries.push(entry);
            }
        }
        self.commit();
        for entry in entries {
            let _ = self.spool.fetched(self.now_ms, entry, &mut self.rng);
        }
    }
}

fn envelope(now_ms: u64) -> Envelope {
    Envelope {
        source: AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap_or_default(),
        destination: AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap_or_default(),
        form: Form::Sm,
        interface_version: 0x34,
        id_form: 0,
        registered_delivery: 1,
        priority: 0,
        category: 0,
        parts: 1,
        charge: 0,
        accepted_ms: now_ms,
        expires_ms: now_ms + 3_600_000,
    }
}

fn spool(criterion: &mut Criterion) {
    let Ok(mut rig) = Rig::new() else { return };
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("life of a message, receipts on, two syncs per 500", |bencher| {
        bencher.iter_batched(|| (), |()| rig.lives(), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, spool);
criterion_main!(benches);
