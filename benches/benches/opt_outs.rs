//! What millions of opt-outs cost: a start with them, octets of memory, and the question that every message asks.
//!
//!     OPT_OUTS=10000000 cargo bench -p tidegate-benches --bench opt_outs
//!
//! They are made as a gateway makes them, through the spool and the journal; then another process starts on what lies there.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use rand_core::Rng as _;
use tidegate_benches::rig::{Rig, per, resident};
use tidegate_codec::identity::SystemId;
use tidegate_gateway::clock::{Clock, process_cpu};
use tidegate_store::disk::{Disk as _, RealDisk};
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Change, Origin, Private, Scope, Via, What};

/// Opt-outs without `OPT_OUTS`.
const OPT_OUTS: u64 = 1_000_000;
/// Changes of one batch.
const BATCH: u64 = 2_000;
/// Questions of each kind, and how often they are all asked.
const SAMPLES: usize = 1 << 16;
const ROUNDS: usize = 15;
const MAX_LEGS: usize = 1_000;
const START_MS: u64 = 1_795_478_400_000;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// The canonical form of a number of +1.
fn number(n: u64) -> [u8; 11] {
    let mut digits = *b"12000000000";
    let mut rest = n;
    for digit in digits.iter_mut().rev().take(9) {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits
}

fn opt_out(rig: &mut Rig, n: u64, account: SystemId) -> Fallible<()> {
    let digits = number(n);
    let change = Change {
        who: rig.spool.standing().who(&digits),
        at_ms: START_MS,
        event: 0,
        via: Via::File,
        what: What::Suppress {
            scope: Scope::account(account.as_str()),
            origin: Origin::Import,
            categories: 0,
        },
        private: Private::number(&digits),
    };
    rig.spool
        .remember(START_MS, account, change, true, &mut rig.rng)?;
    Ok(())
}

fn run() -> Fallible<()> {
    let count: u64 = match std::env::var("OPT_OUTS") {
        Ok(text) => text.parse()?,
        Err(_) => OPT_OUTS,
    };
    let mut out = std::io::stdout().lock();
    let clock = Clock::machine();
    let dir = tempfile::tempdir()?;
    let mut rig = Rig::create(dir.path(), MAX_LEGS, START_MS)?;
    let account = SystemId::new(b"A")?;
    let begin = clock.now().monotonic;
    let mut next = 0;
    while next < count {
        let end = (next + BATCH).min(count);
        for n in next..end {
            opt_out(&mut rig, n, account)?;
        }
        next = end;
        rig.turn(START_MS)?;
    }
    while rig.turn(START_MS)? {}
    let took = clock.now().monotonic.saturating_sub(begin);
    let octets: u64 = RealDisk
        .list(&dir.path().join("standing"))?
        .iter()
        .map(|entry| entry.len)
        .sum();
    writeln!(
        out,
        "{count} opt-outs taken in and journaled in {took:.1?}: {:.0} octets of disk each",
        per(octets, count)
    )?;
    let dir = dir.path().to_owned();
    drop(rig);
    let status = std::process::Command::new(std::env::current_exe()?)
        .args(["--start", &count.to_string()])
        .arg(dir)
        .status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the start failed".into())
}

/// A start with what is there, and questions.
fn start(count: u64, dir: &Path) -> Fallible<()> {
    let mut out = std::io::stdout().lock();
    let clock = Clock::machine();
    let before = resident();
    let begin = clock.now().monotonic;
    let mut rig = Rig::open(dir, MAX_LEGS, START_MS)?;
    let took = clock.now().monotonic.saturating_sub(begin);
    let found = rig.spool.standing().opt_outs().len();
    if found as u64 != count {
        return Err(format!("{found} of {count} were found").into());
    }
    writeln!(out, "start with them in {took:.2?}")?;
    if let (Some(before), Some(after)) = (before, resident()) {
        writeln!(
            out,
            "resident {:.1} MB, {:.1} MB before: {:.1} octets each",
            per(after, 1_000_000),
            per(before, 1_000_000),
            per(after.saturating_sub(before), count)
        )?;
    }
    // Half of those who are asked for have opted out.
    let mut numbers = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        numbers.push(number(rig.rng.next_u64() % (2 * count)));
    }
    let standing = rig.spool.standing();
    let people: Vec<Pseudonym> = numbers.iter().map(|digits| standing.who(digits)).collect();
    let knows = |who: &Pseudonym| standing.opt_outs().knows(who);
    let (mut given, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = process_cpu();
        let hits = people.iter().filter(|who| knows(who)).count();
        given.push(process_cpu().saturating_sub(begin));
        let begin = process_cpu();
        let same = numbers
            .iter()
            .filter(|digits| knows(&standing.who(*digits)))
            .count();
        whole.push(process_cpu().saturating_sub(begin));
        if black_box(hits) != same {
            return Err("two answers to one question".into());
        }
    }
    for (what, mut times) in [("given the pseudonym", given), ("with it", whole)] {
        times.sort_unstable();
        let ns = |place: usize| {
            let time = times.get(place).copied().unwrap_or_default();
            per(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), SAMPLES as u64)
        };
        writeln!(
            out,
            "check {what}: {:.0} ns of CPU ({:.0}–{:.0})",
            ns(ROUNDS / 2),
            ns(0),
            ns(ROUNDS - 1)
        )?;
    }
    Ok(())
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test` runs benches too, to see that they start.
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--start", count, dir] => start(count.parse()?, Path::new(dir)),
        _ => run(),
    }
}
