//! What a message costs that waits long for its receipt: octets of memory and of disk, the time to find it again,
//! and what a receipt for nothing we know costs the loop.
//!
//!     WAITING_LEGS=50000000 cargo bench -p tidegate-benches --bench waiting
//!
//! The legs' deadlines are spread over 72 hours. What is timed is one question from beginning to end on one thread:
//! asked, looked for in the files (in the page cache, unless they are larger than memory), back in the index. In the
//! gateway two hand-overs between threads are added.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rand_core::Rng as _;
use tidegate_benches::rig::{Rig, per, resident};
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_gateway::clock::{Clock, process_cpu};
use tidegate_store::addresses::Addresses;
use tidegate_store::names::NameId;
use tidegate_store::quote::Quote;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::{Back, Finished, NewLeg};
use tidegate_store::usage::Period;

/// Legs without `WAITING_LEGS`.
const LEGS: u64 = 1_000_000;
/// Messages of one batch.
const BATCH: u64 = 500;
/// Hours over which deadlines are spread.
const HOURS: u64 = 72;
/// Legs that are looked for, and foreign ids.
const SAMPLES: u64 = 20_000;
const MAX_LEGS: usize = 1_000_000;
const HOUR_MS: u64 = 3_600_000;
const START_MS: u64 = 1_795_478_400_000;

type Fallible<T> = Result<T, Box<dyn Error>>;

struct Waiting {
    rig: Rig,
    now_ms: u64,
    account: SystemId,
    carrier: NameId,
}

impl Waiting {
    fn on(mut rig: Rig, now_ms: u64) -> Fallible<Self> {
        Ok(Self {
            carrier: rig.spool.intern("sink").ok_or("too many names")?,
            account: SystemId::new(b"load")?,
            rig,
            now_ms,
        })
    }

    fn turn(&mut self) -> Fallible<bool> {
        self.rig.turn(self.now_ms)
    }

    /// Hands legs over under these numbers, and lets them move.
    fn hand_over(&mut self, numbers: std::ops::Range<u64>, deadline_ms: u64) -> Fallible<()> {
        let mut next = numbers.start;
        while next < numbers.end {
            let batch = next..(next + BATCH).min(numbers.end);
            next = batch.end;
            let mut legs = Vec::new();
            for number in batch {
                let (id, now_ms) = (self.rig.spool.next_id(self.now_ms), self.now_ms);
                let new = NewLeg {
                    id,
                    leg: 0,
                    account: self.account,
                    envelope: envelope(now_ms),
                    due_ms: now_ms,
                    quote: Quote::NONE,
                    body: &[b'x'; 100],
                    period: Period::default(),
                    takes_a_place: false,
                    held: false,
                };
                let leg = self.rig.spool.accept(now_ms, new, &mut self.rig.rng)?;
                legs.push((number, leg));
            }
            self.turn()?;
            for (number, leg) in legs {
                let (carrier, id) = (self.carrier, id_of(number)?);
                self.rig
                    .spool
                    .hand_over(self.now_ms, leg, carrier, id, deadline_ms, &mut self.rig.rng)?;
            }
            self.now_ms += 100;
            self.turn()?;
        }
        Ok(())
    }

    /// Looks a leg up, and lets it go again; how long that took.
    fn look_up(&mut self, clock: &Clock, number: u64) -> Fallible<Duration> {
        let id = id_of(number)?;
        let begin = clock.now().monotonic;
        if !self.rig.spool.ask(1, self.carrier, &[id])? {
            return Err(format!("leg {number} is not known").into());
        }
        let chore = self.rig.spool.next_chore(self.now_ms).ok_or("no chore")?;
        let done = self.rig.keeper.run(chore, &mut self.rig.rng);
        let Finished::Found(mut answers) = self.rig.spool.chore_done(done, self.now_ms) else {
            return Err("no answer".into());
        };
        let found = answers.pop().ok_or("no answer")?.found?;
        let back = found.map(|leg| self.rig.spool.bring_back(leg));
        let took = clock.now().monotonic.saturating_sub(begin);
        match back {
            Some(Back::Fresh(leg)) => self.rig.spool.let_go(leg),
            other => return Err(format!("leg {number}: {other:?}").into()),
        }
        Ok(took)
    }
}

fn id_of(number: u64) -> Fallible<MessageIdText> {
    Ok(MessageIdText::new(
        format!("{:010}", 7_000_000 + number).as_bytes(),
    )?)
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
        expires_ms: now_ms + HOUR_MS,
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a short list"
)]
fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let place = ((sorted.len() as f64) * part) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn run() -> Fallible<()> {
    let legs: u64 = match std::env::var("WAITING_LEGS") {
        Ok(text) => text.parse()?,
        Err(_) => LEGS,
    };
    let mut out = std::io::stdout().lock();
    let clock = Clock::machine();
    let dir = tempfile::tempdir()?;
    let mut waiting = Waiting::on(Rig::create(dir.path(), MAX_LEGS, START_MS)?, START_MS)?;

    let begin = clock.now().monotonic;
    // Hour by hour, the last first; all lie ahead by more than the time that passes meanwhile.
    for hour in 0..HOURS {
        let numbers = legs * hour / HOURS..legs * (hour + 1) / HOURS;
        let ahead = legs / BATCH / 36_000 + 3;
        let deadline_ms = START_MS + (ahead + HOURS - hour) * HOUR_MS;
        waiting.hand_over(numbers, deadline_ms)?;
    }
    let mut idle = 0;
    while idle < 1_000 {
        waiting.now_ms += 5_000;
        idle = if waiting.turn()? { 0 } else { idle + 1 };
    }
    let took = clock.now().monotonic.saturating_sub(begin);
    let counts = waiting.rig.spool.waiting();
    if counts.legs != legs || !waiting.rig.spool.index().is_empty() {
        return Err(format!("not all have moved: {counts:?}").into());
    }
    writeln!(
        out,
        "{legs} legs accepted, handed over and moved in {took:.1?}: {} files, {:.0} octets of disk each",
        counts.files,
        per(counts.octets, legs)
    )?;
    // What stands for them in memory shows in a process that had nothing else to do.
    let (now_ms, dir) = (waiting.now_ms.to_string(), dir.path().to_owned());
    drop(waiting);
    let status = std::process::Command::new(std::env::current_exe()?)
        .args(["--start", &legs.to_string(), &now_ms])
        .arg(dir)
        .status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the start failed".into())
}

/// A start with what is there, and questions.
fn start(legs: u64, now_ms: u64, dir: &Path) -> Fallible<()> {
    let mut out = std::io::stdout().lock();
    let clock = Clock::machine();
    let before = resident();
    let begin = clock.now().monotonic;
    let mut waiting = Waiting::on(Rig::open(dir, MAX_LEGS, now_ms)?, now_ms)?;
    let took = clock.now().monotonic.saturating_sub(begin);
    let memory = waiting.rig.spool.waiting().memory;
    writeln!(
        out,
        "start with them in {took:.1?}; memory {:.2} octets a leg by its own count",
        per(memory, legs)
    )?;
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before);
        writeln!(
            out,
            "resident {:.1} MB, {:.1} MB before the start: {:.2} octets a leg",
            per(after, 1_000_000),
            per(before, 1_000_000),
            per(grown, legs)
        )?;
    }

    let mut times = Vec::new();
    for _ in 0..SAMPLES.min(legs) {
        let number = waiting.rig.rng.next_u64() % legs;
        times.push(waiting.look_up(&clock, number)?);
    }
    times.sort_unstable();
    writeln!(
        out,
        "late receipt: p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, most {:.1?}",
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        percentile(&times, 0.999),
        percentile(&times, 1.0)
    )?;

    // In processor time: a machine that is shared doubles the other.
    let begin = process_cpu();
    let mut wrong = 0;
    for number in 0..SAMPLES {
        let id = id_of(legs + number)?;
        wrong += u64::from(waiting.rig.spool.may_wait(waiting.carrier, &[id]));
    }
    let took = process_cpu().saturating_sub(begin);
    writeln!(
        out,
        "an unknown id: {:.2?} of CPU on the loop, {wrong} of {SAMPLES} looked for in vain",
        took / u32::try_from(SAMPLES)?
    )?;
    Ok(())
}

fn main() -> std::process::ExitCode {
    // `cargo test` runs benches too, to see that they start.
    if std::env::args().any(|arg| arg == "--test") {
        return std::process::ExitCode::SUCCESS;
    }
    let args: Vec<String> = std::env::args().collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--start", legs, now_ms, dir] => match (legs.parse(), now_ms.parse()) {
            (Ok(legs), Ok(now_ms)) => start(legs, now_ms, Path::new(dir)),
            _ => Err("these are no numbers".into()),
        },
        _ => run(),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
