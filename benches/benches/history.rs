//! What the history costs: octets of disk and of filters a record, the CPU of filing one, and the time to find one again.
//!
//!     cargo bench -p tidegate-benches --bench history [-- --write | --records 20000000 | --accounts 4]
//!
//! A look is one question from its beginning to its end on one thread, in the page cache. In the gateway two hand-overs
//! between threads are added for each slice.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidegate_benches::readme;
use tidegate_benches::rig::per;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::{Clock, process_cpu};
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{Bucket, Cursor, Direction, Finished, History, Keep, Kept, Place, Query};
use tidegate_store::keyring::{Kek, KeyRing, Owner};
use tidegate_store::message_id::{MessageId, MessageIds};
use tidegate_store::record::{Envelope, Final, Form};
use tidegate_store::seal::Purpose;
use tidegate_store::service_type::ServiceType;

/// Records without `--records`.
const RECORDS: u64 = 1_000_000;
const DAYS: u64 = 90;
/// Messages of one number.
const OF_NUMBER: u64 = 5;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 2026-08-31, midnight.
const START_MS: u64 = 1_788_134_400_000;
/// Time of the messages between two syncs; on the last day as in a gateway.
const SYNC_MS: u64 = 10 * 60_000;
const SYNC_LAST_MS: u64 = 60_000;
/// Looks of each kind.
const LOOKS: usize = 2_000;
const OPENING_LOOKS: usize = 300;

type Fallible<T> = Result<T, Box<dyn Error>>;

struct Options {
    records: u64,
    accounts: u64,
    write: bool,
}

impl Options {
    fn read() -> Fallible<Option<Self>> {
        let mut options = Self {
            records: RECORDS,
            accounts: 1,
            write: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> Fallible<u64> {
                let text = arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a number"))?;
                Ok(text.replace('_', "").parse()?)
            };
            match argument.as_str() {
                "--records" => options.records = number()?.max(DAYS * 100),
                "--accounts" => options.accounts = number()?.clamp(1, 1_000),
                "--write" => options.write = true,
                // `cargo bench` says so, and `cargo test` runs benches too, to see that they start.
                "--bench" => {}
                "--test" => return Ok(None),
                other => {
                    return Err(format!("{other} is no option: --records N, --accounts N, --write").into());
                }
            }
        }
        Ok(Some(options))
    }
}

struct Site {
    ring: KeyRing<RealDisk>,
    history: History<RealDisk>,
    rng: ChaCha20Rng,
    clock: Clock,
    accounts: Vec<SystemId>,
    numbers: u64,
}

fn plan(finished: &Finished, class: Kept, _: u64) -> Option<Keep> {
    (class == Kept::Meta).then(|| Keep {
        anchor_ms: finished.envelope.accepted_ms,
        bucket: Bucket::Day,
        length: "P90D".into(),
        place: Place {
            country: *b"GB",
            network: 234_015,
        },
    })
}

fn number(n: u64) -> String {
    format!("447{n:09}")
}

/// What a day's record is made of: when it was accepted, whose, and to whom.
struct Draw {
    accepted_ms: u64,
    account: usize,
    to: u64,
}

impl Site {
    fn open(dir: &Path, options: &Options, ring: KeyRing<RealDisk>) -> Fallible<Self> {
        let root = dir.join("history");
        let history = History::open(RealDisk, root.clone(), Some(root.join("index")))?;
        let accounts = (0..options.accounts).map(|n| SystemId::new(format!("account-{n}").as_bytes()));
        Ok(Self {
            ring,
            history,
            rng: ChaCha20Rng::seed_from_u64(1),
            clock: Clock::machine(),
            accounts: accounts.collect::<Result<_, _>>()?,
            numbers: (options.records / OF_NUMBER).max(1),
        })
    }

    fn finished(&self, draw: &Draw, id: MessageId) -> Fallible<Finished> {
        let accepted_ms = draw.accepted_ms;
        let source = AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate")?;
        let destination = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, number(draw.to).as_bytes())?;
        Ok(Finished {
            id,
            leg: 0,
            account: *self.accounts.get(draw.account).ok_or("no account")?,
            direction: Direction::Mt,
            envelope: Envelope {
                addresses: Addresses::new(&source, &destination),
                form: Form::Sm,
                interface_version: 0x34,
                id_form: 0,
                registered_delivery: 1,
                priority: 0,
                category: 1,
                parts: 1,
                data_coding: 0,
                lot: 0,
                service_type: ServiceType::default(),
                charge: 0,
                accepted_ms,
                expires_ms: accepted_ms + DAY_MS,
            },
            end: Final {
                state: MessageState::Delivered,
                at_ms: accepted_ms + 2_000 + id.0 % 9_000,
                attempts: 1,
                settled: 0,
                released: 0,
            },
            carrier: "carrier-1".into(),
            carrier_id: MessageIdText::new(
                format!("{:016x}", id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)).as_bytes(),
            )?,
        })
    }

    /// Files a day; the CPU of filing and of syncing, and some of its ids.
    fn file_day(
        &mut self,
        day: u64,
        count: u64,
        ids: &mut MessageIds,
    ) -> Fallible<(Duration, Duration, Vec<MessageId>)> {
        let every_ms = if day + 1 == DAYS { SYNC_LAST_MS } else { SYNC_MS };
        let (mut filing, mut syncing, mut some) = (Duration::ZERO, Duration::ZERO, Vec::new());
        let begin_ms = START_MS + day * DAY_MS;
        let mut next = 0;
        for sync in 1..=DAY_MS / every_ms {
            let until = count * sync / (DAY_MS / every_ms);
            let mut batch = Vec::new();
            for n in next..until {
                let draw = Draw {
                    accepted_ms: begin_ms + n * (DAY_MS - 1) / count,
                    account: usize::try_from(self.rng.next_u64() % self.accounts.len() as u64)?,
                    to: self.rng.next_u64() % self.numbers,
                };
                let id = ids.next(draw.accepted_ms);
                if n % (count / 40).max(1) == 0 {
                    some.push(id);
                }
                batch.push(self.finished(&draw, id)?);
            }
            next = until;
            let now_ms = begin_ms + sync * every_ms;
            let (history, ring, rng) = (&mut self.history, &mut self.ring, &mut self.rng);
            let begin = process_cpu();
            for finished in &batch {
                history.take_in(finished, None, &plan, ring, now_ms, rng)?;
            }
            let filed = process_cpu();
            history.settle(day * DAY_MS + sync, ring, now_ms, rng)?;
            filing += filed.saturating_sub(begin);
            syncing += process_cpu().saturating_sub(filed);
        }
        Ok((filing, syncing, some))
    }

    /// Asks one question to its end; how long that took, and how many it found.
    fn look(&mut self, query: &Query) -> Fallible<(Duration, usize)> {
        let begin = self.clock.now().monotonic;
        let (mut cursor, mut found) = (Some(Cursor::default()), 0);
        while let Some(at) = cursor {
            let looked = self
                .history
                .look(query, Kept::Meta, at, &self.ring, Purpose::Support)?;
            found += looked.metas.len();
            cursor = looked.next;
        }
        Ok((self.clock.now().monotonic.saturating_sub(begin), found))
    }

    /// Looks for each of these, as often as is wanted.
    fn look_for(&mut self, queries: &[Query], must_be: bool) -> Fallible<Times> {
        let mut times = Vec::with_capacity(queries.len());
        let mut all = 0;
        for query in queries {
            let (took, found) = self.look(query)?;
            if must_be && found == 0 {
                return Err(format!("{query:?} is not found").into());
            }
            all += found;
            times.push(took);
        }
        times.sort_unstable();
        Ok(Times { times, found: all })
    }
}

struct Times {
    times: Vec<Duration>,
    found: usize,
}

impl Times {
    /// Milliseconds, half and 99 of 100 of them.
    fn shown(&self) -> String {
        let at = |part: usize| {
            let place = (self.times.len() * part / 100).min(self.times.len().saturating_sub(1));
            self.times.get(place).copied().unwrap_or_default().as_secs_f64() * 1_000.0
        };
        format!("{:.2} / {:.2}", at(50), at(99))
    }
}

fn octets_below(dir: &Path) -> Fallible<u64> {
    let mut octets = 0;
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(0);
    };
    for entry in entries {
        let entry = entry?;
        let meta = entry.metadata()?;
        octets += if meta.is_dir() {
            octets_below(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(octets)
}

fn us(time: Duration, count: u64) -> f64 {
    per(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), count) / 1_000.0
}

fn run(options: &Options) -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let (keys, kek) = (dir.path().join("keys"), dir.path().join("kek"));
    let kek = Kek::create(&RealDisk, &kek, &mut rng)?;
    let mut ring = KeyRing::create(&RealDisk, &keys, kek, START_MS, &mut rng)?;
    ring.make(Owner::Pseudonyms, START_MS, &mut rng)?;
    let mut site = Site::open(dir.path(), options, ring)?;
    let per_day = options.records / DAYS;
    let records = per_day * DAYS;
    let mut ids = MessageIds::new(1, 0);
    let (mut filing, mut syncing, mut before_last) = (Duration::ZERO, Duration::ZERO, 0);
    let mut sampled: Vec<Vec<MessageId>> = Vec::new();
    let mut rows = String::new();
    let mut row = |what: &str, value: String| writeln!(rows, "| {what} | {value} |");
    for day in 0..DAYS {
        if day + 1 == DAYS {
            before_last = site.history.octets();
        }
        let (filed, synced, some) = site.file_day(day, per_day, &mut ids)?;
        filing += filed;
        syncing += synced;
        sampled.push(some);
    }
    row(
        "disk, octets a record",
        format!("{:.1}", per(before_last, records - per_day)),
    )?;
    let last = site.history.octets() - before_last;
    row("the same of the last day", format!("{:.1}", per(last, per_day)))?;
    row(
        "filing, µs of CPU a record",
        format!("{:.2}", us(filing, records)),
    )?;
    row(
        "syncs and indexes, µs of CPU a record",
        format!("{:.2}", us(syncing, records)),
    )?;
    let end_ms = START_MS + (DAYS - 1) * DAY_MS + 2 * HOUR_MS;
    let begin = process_cpu();
    while site.history.tend_filters(&site.ring, end_ms) {}
    let made = process_cpu().saturating_sub(begin);
    let filters = site.history.filter_counts();
    row(
        "filters, octets a record",
        format!("{:.2}", per(filters.octets, filters.records)),
    )?;
    row(
        "making them, µs of CPU a record",
        format!("{:.2}", us(made, filters.records)),
    )?;
    // A start: nothing is open.
    let Site { history, ring, .. } = site;
    drop(history);
    let begin = process_cpu();
    let mut site = Site::open(dir.path(), options, ring)?;
    while site.history.tend_filters(&site.ring, end_ms) {}
    let read = process_cpu().saturating_sub(begin);
    row(
        "a start with all of them, ms of CPU",
        format!("{:.0}", read.as_secs_f64() * 1_000.0),
    )?;
    let (open, closed) = sampled.split_last().ok_or("no days")?;
    let id = |of: &[MessageId], n: usize| of.get(n % of.len().max(1)).copied().map(Query::Id);
    let queries: Vec<Query> = (0..LOOKS).filter_map(|n| id(open, n)).collect();
    // The first opens the database.
    site.look_for(queries.get(..1).unwrap_or_default(), true)?;
    let times = site.look_for(&queries, true)?;
    row("look by id, open day, p50 / p99 ms", times.shown())?;
    // Day after day: none of the sixteen that are open.
    let queries: Vec<Query> = (0..OPENING_LOOKS)
        .filter_map(|n| id(closed.get(n * 17 % closed.len())?, n / closed.len()))
        .collect();
    let mut made_first = site.look_for(&queries, true)?;
    row(
        "look by id, a closed day, its index made first, p50 / p99 ms",
        made_first.shown(),
    )?;
    made_first = site.look_for(&queries, true)?;
    row(
        "look by id, a database opened first, p50 / p99 ms",
        made_first.shown(),
    )?;
    let numbers: Vec<u64> = (0..OPENING_LOOKS)
        .map(|_| site.rng.next_u64() % site.numbers)
        .collect();
    let account = *site.accounts.first().ok_or("no account")?;
    let queries: Vec<Query> = numbers
        .iter()
        .map(|n| Query::Recipient {
            account,
            digits: number(*n).into_bytes(),
        })
        .collect();
    let before = site.history.filter_counts();
    let times = site.look_for(&queries, false)?;
    let after = site.history.filter_counts();
    row("look by number, 90 days, p50 / p99 ms", times.shown())?;
    row(
        "messages that it finds",
        format!("{:.1}", per(times.found as u64, queries.len() as u64)),
    )?;
    let asked = after.asked - before.asked;
    row(
        "days opened in vain, of 1 000",
        format!("{:.1}", 1_000.0 * per(after.in_vain - before.in_vain, asked)),
    )?;
    let index = octets_below(&dir.path().join("history/index"))?;
    row("indexes, octets a record", format!("{:.1}", per(index, records)))?;
    let head = format!(
        "| records: {records}, accounts: {} | |\n|---|--:|\n",
        options.accounts
    );
    let table = format!("{head}{rows}");
    writeln!(std::io::stdout().lock(), "{table}")?;
    if options.write {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        readme::write(&file, "history", table.trim_end())?;
    }
    Ok(())
}

fn main() -> Fallible<()> {
    match Options::read()? {
        Some(options) => run(&options),
        None => Ok(()),
    }
}
