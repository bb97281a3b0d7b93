//! What the key ring costs with a key for each account, class and week: octets of a copy, memory, a start, the rotation of the
//! key-encryption key, and what a record pays to be sealed and opened.
//!
//!     cargo bench -p tidegate-benches --bench keyring [-- --write | --accounts 10000]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tidegate_benches::readme;
use tidegate_benches::rig::{per, resident};
use tidegate_codec::identity::SystemId;
use tidegate_gateway::clock::{Clock, process_cpu};
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::{Kek, KeyRing, PIECE, PeriodOwner};
use tidegate_store::seal::{Aad, Purpose};

/// Accounts without `--accounts`.
const ACCOUNTS: u32 = 10_000;
/// 24 months of weeks.
const WEEKS: u32 = 104;
const WEEK_HOURS: u32 = 7 * 24;
/// 2024-12-02, a Monday, in hours since 1970.
const FIRST_HOUR: u32 = 481_416;
const NOW_MS: u64 = 1_796_000_000_000;
/// Keys made at a time: those of one week of so many accounts.
const AT_ONCE: usize = 1_000;
/// Records that are sealed and opened, and octets of each: a short text with what stands around it.
const RECORDS: u64 = 1_000_000;
const RECORD_LEN: usize = 160;
/// Turns of `RECORDS`; the spread is that between them.
const TURNS: usize = 5;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let mut write = false;
    let mut accounts = ACCOUNTS;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--write" => write = true,
            "--accounts" => {
                accounts = arguments
                    .next()
                    .ok_or("--accounts needs a number")?
                    .replace('_', "")
                    .parse()?;
            }
            "--bench" => {}
            // `cargo test` runs benches too, to see that they start.
            "--test" => return Ok(()),
            other => return Err(format!("{other} is no option: --write, --accounts N").into()),
        }
    }
    let table = table(accounts)?;
    write!(std::io::stdout(), "{table}")?;
    if write {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        readme::write(&file, "keyring", table.trim_end())?;
    }
    Ok(())
}

fn owners(accounts: u32) -> Fallible<Vec<PeriodOwner>> {
    let mut owners = Vec::new();
    for account in 0..accounts {
        let account = SystemId::new(format!("account-{account}").as_bytes())?;
        owners.extend((0..WEEKS).map(|week| PeriodOwner {
            account,
            class: 0,
            bucket: 2,
            length: 1,
            start: FIRST_HOUR + week * WEEK_HOURS,
            part: 0,
        }));
    }
    Ok(owners)
}

fn table(accounts: u32) -> Fallible<String> {
    let dir = tempfile::tempdir()?;
    let (keys, old, new) = ["keys", "kek", "next_kek"]
        .map(|name| dir.path().join(name))
        .into();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let clock = Clock::machine();
    let kek = Kek::create(&RealDisk, &old, &mut rng)?;
    let mut ring = KeyRing::create(&RealDisk, &keys, kek, NOW_MS, &mut rng)?;
    let owners = owners(accounts)?;
    let (making, _) = timed(&clock, || -> Fallible<()> {
        for some in owners.chunks(AT_ONCE) {
            ring.period_keys(some, NOW_MS, &mut rng)?;
        }
        Ok(())
    })?;
    drop(ring);
    let copy = std::fs::read_dir(&keys)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .collect::<Fallible<Vec<u64>>>()?;
    let copy = copy.into_iter().max().unwrap_or_default();

    let before = resident();
    let (start, mut ring) = timed(&clock, || {
        Ok(KeyRing::open(&RealDisk, &keys, Kek::read(&RealDisk, &old)?)?)
    })?;
    let memory = resident()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));

    let mut found = 0;
    let (opening, ()) = timed(&clock, || {
        for owner in &owners {
            let id = ring.period_key_of(*owner).ok_or("a key is not there")?;
            found += u64::from(ring.get(id).is_some());
        }
        Ok(())
    })?;
    if found != owners.len() as u64 {
        return Err(format!("{found} of {} keys open", owners.len()).into());
    }

    let mut slowest = Duration::ZERO;
    let (rotation, ()) = timed(&clock, || {
        ring.begin_rotation(Kek::create(&RealDisk, &new, &mut rng)?, NOW_MS, &mut rng)?;
        while ring.is_rotating() {
            let begin = clock.now().monotonic;
            ring.rotate_piece(PIECE, &mut rng)?;
            slowest = slowest.max(clock.now().monotonic.saturating_sub(begin));
        }
        Ok(())
    })?;
    drop(ring);
    KeyRing::open(&RealDisk, &keys, Kek::read(&RealDisk, &new)?)?;

    let mut out = String::new();
    writeln!(
        out,
        "| keys: {}, of {accounts} accounts and {WEEKS} weeks | |\n|---|--:|",
        owners.len()
    )?;
    let mut row = |what: &str, shown: String| writeln!(out, "| {what} | {shown} |");
    row("a copy of the ring, MB", format!("{:.0}", copy as f64 / 1e6))?;
    let mb = memory.map(|octets| format!("{:.0}", octets as f64 / 1e6));
    row("memory of an open ring, MB", mb.unwrap_or_else(|| "n/a".into()))?;
    row(
        "making them, µs each, both copies synced each 1 000",
        us(making, owners.len() as u64),
    )?;
    row(
        "a start, both copies read, s",
        format!("{:.1}", start.as_secs_f64()),
    )?;
    row(
        "opening a key that is not open, µs",
        us(opening, owners.len() as u64),
    )?;
    row(
        "rotation of the key-encryption key, s",
        format!("{:.1}", rotation.as_secs_f64()),
    )?;
    row(
        "the slowest of its pieces, ms",
        format!("{:.0}", slowest.as_secs_f64() * 1e3),
    )?;
    let (sealing, opening) = records(&mut rng)?;
    row(
        &format!("sealing a record of {RECORD_LEN} octets, µs of CPU"),
        sealing,
    )?;
    row("opening it", opening)?;
    Ok(out)
}

fn timed<T>(clock: &Clock, what: impl FnOnce() -> Fallible<T>) -> Fallible<(Duration, T)> {
    let begin = clock.now().monotonic;
    let made = what()?;
    Ok((clock.now().monotonic.saturating_sub(begin), made))
}

fn us(time: Duration, count: u64) -> String {
    format!(
        "{:.1}",
        per(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), count) / 1e3
    )
}

/// CPU of sealing and of opening one record, as median, least and most of the turns.
fn records(rng: &mut ChaCha20Rng) -> Fallible<(String, String)> {
    let dir = tempfile::tempdir()?;
    let kek = Kek::create(&RealDisk, &dir.path().join("kek"), rng)?;
    let mut ring = KeyRing::create(&RealDisk, &dir.path().join("keys"), kek, NOW_MS, rng)?;
    let account = SystemId::new(b"account-1")?;
    let owner = PeriodOwner {
        account,
        class: 0,
        bucket: 2,
        length: 1,
        start: FIRST_HOUR,
        part: 0,
    };
    let key = ring.period_keys(&[owner], NOW_MS, rng)?.pop().ok_or("no key")?;
    let aad = |id| Aad {
        account: Some(account),
        kind: 1,
        version: 1,
        id,
        leg: 0,
    };
    let text = [b'a'; RECORD_LEN];
    let (mut sealing, mut opening) = (Vec::new(), Vec::new());
    let mut out = Vec::with_capacity(2 * RECORD_LEN);
    key.seal(&aad(0), rng, &mut out, |out| out.extend_from_slice(&text))?;
    let sealed = out.clone();
    for _ in 0..TURNS {
        let begin = process_cpu();
        for id in 0..RECORDS {
            out.clear();
            key.seal(&aad(id), rng, &mut out, |out| {
                out.extend_from_slice(black_box(&text));
            })?;
            black_box(&out);
        }
        let between = process_cpu();
        for _ in 0..RECORDS {
            out.clear();
            out.extend_from_slice(black_box(&sealed));
            black_box(key.open(&aad(0), &mut out, Purpose::Support)?);
        }
        sealing.push(between.saturating_sub(begin));
        opening.push(process_cpu().saturating_sub(between));
    }
    let spread = |turns: &mut Vec<Duration>| {
        turns.sort_unstable();
        let at = |place: usize| {
            let turn = turns.get(place).copied().unwrap_or_default();
            per(u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX), RECORDS) / 1e3
        };
        format!("{:.2} ({:.2}–{:.2})", at(TURNS / 2), at(0), at(TURNS - 1))
    };
    Ok((spread(&mut sealing), spread(&mut opening)))
}
