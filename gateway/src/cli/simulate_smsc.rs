//! `tidegate simulate-smsc`: a carrier to develop and test against, until it is told to end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

pub(super) use super::carrier_args::Args;
use super::{Outcome, Refusal};
use crate::clock::{Clock, process_cpu};
use crate::simulator::{Counts, Simulator};

/// How often it is looked whether the end has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often the live line changes.
const SHOW_EVERY: u32 = 25;

pub(super) fn run(args: &Args, json: bool) -> Result<Outcome, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before anything starts, so that a signal that comes early ends it in order too.
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let cpu_before = process_cpu();
    let mut options = args.options();
    let exposed;
    (options.credentials, exposed) = args.credentials()?;
    let carrier = Simulator::start(options).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::InvalidInput => error.to_string(),
            _ => format!("cannot listen on {}: {error}", args.listen),
        };
        Refusal::new(&reason, json!({ "problem": &reason }))
    })?;
    let mut stderr = io::stderr();
    // Whoever closed it does not want to know.
    let _ = writeln!(stderr, "listening on {}", carrier.addr());
    let is_live = stderr.is_terminal() && !json;
    let ended = runtime
        .block_on(async {
            let mut end = End::new(args, Clock::machine());
            let mut look = tokio::time::interval(LOOK_EVERY);
            let mut looks = 0;
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Ok(Ended::Told),
                    _ = interrupt.recv() => return Ok(Ended::Told),
                    _ = look.tick() => {
                        let counts = carrier.counts();
                        if let Some(ended) = end.look(counts) {
                            return Ok(ended);
                        }
                        looks += 1;
                        if is_live && looks % SHOW_EVERY == 0 {
                            write!(stderr, "\r\x1b[K{}", line(&counts))?;
                            stderr.flush()?;
                        }
                    }
                }
            }
        })
        .map_err(|error: io::Error| error)?;
    if is_live {
        write!(stderr, "\r\x1b[K")?;
    }
    let mut report = carrier.stop()?;
    report.cpu_us_per_message = per_message(process_cpu().saturating_sub(cpu_before), report.submitted);
    report.gave_up = ended == Ended::GaveUp;
    report.asked = args.messages;
    let mut outcome = Outcome::new(report.to_string(), json!({}));
    outcome.failed = report.problem().is_some();
    outcome.fields = report.json();
    if exposed {
        outcome
            .warnings
            .push("others than its owner can read the password's file".to_owned());
    }
    Ok(outcome)
}

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Told,
    Done,
    GaveUp,
}

/// Looks for the end.
struct End {
    clock: Clock,
    over: Option<Duration>,
    messages: Option<u64>,
    patience: Duration,
    seen: Counts,
    quiet_since: Duration,
}

impl End {
    fn new(args: &Args, clock: Clock) -> Self {
        let now = clock.now().monotonic;
        Self {
            over: args.duration.map(|duration| now.saturating_add(duration)),
            messages: args.messages,
            patience: args.patience,
            seen: Counts::default(),
            quiet_since: now,
            clock,
        }
    }

    fn look(&mut self, counts: Counts) -> Option<Ended> {
        let now = self.clock.now().monotonic;
        if self.over.is_some_and(|over| now >= over) {
            return Some(Ended::Done);
        }
        let messages = self.messages?;
        if counts.taken >= messages && counts.owed == 0 {
            return Some(Ended::Done);
        }
        if counts != self.seen {
            (self.seen, self.quiet_since) = (counts, now);
        }
        (now - self.quiet_since >= self.patience).then_some(Ended::GaveUp)
    }
}

fn line(counts: &Counts) -> String {
    format!(
        "bound {}, submitted {}, receipts {}, owed {}, repeated {}, MO {}",
        counts.bound, counts.submitted, counts.receipts, counts.owed, counts.repeated, counts.mo
    )
}

/// Microseconds of a processor for each message.
#[expect(clippy::cast_precision_loss, reason = "shown, never counted with")]
fn per_message(cpu: Duration, messages: u64) -> f64 {
    if messages == 0 {
        return 0.0;
    }
    cpu.as_secs_f64() * 1e6 / messages as f64
}
