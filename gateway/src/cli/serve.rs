//! `tidegate serve`: the gateway, until it is told to end.

use std::time::Duration;

use sd_notify::NotifyState;
use serde_json::json;
use tidegate_store::disk::RealDisk;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::Answer;
use crate::hardening::harden;
use crate::kek::{self, OtherKeks};
use crate::run::{self, Running, StartError};
use crate::start_remedy::remedy;
use crate::telemetry::{Telemetry, log};

/// How often the main thread looks whether the loop still runs, at least.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// And at most, however little patience the service manager has.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    new: OtherKeks,
    /// Tests only: go by this file's time, one RFC 3339 instant, or two lines: what the wall clock says, and where the
    /// monotonic clock stands. Read again at least every 50 ms.
    #[cfg(feature = "test-clock")]
    #[arg(long, value_name = "FILE")]
    clock: Option<std::path::PathBuf>,
}

impl Args {
    /// The clock that the gateway goes by.
    #[cfg(not(feature = "test-clock"))]
    fn clock(&self) -> Clock {
        let Self { file: _, new: _ } = self;
        Clock::machine()
    }

    /// The same where a test may set it.
    #[cfg(feature = "test-clock")]
    fn clock(&self) -> Result<Clock, crate::clock::ToldError> {
        tracing::warn!(
            file = ?self.clock,
            "THIS IS A TEST BUILD (feature test-clock): whoever may write the file given by --clock says how late it is. Do not \
             run it with anybody's messages"
        );
        self.clock
            .clone()
            .map_or_else(|| Ok(Clock::machine()), Clock::told)
    }
}

pub(super) fn run(args: &Args, json: bool) -> Result<Outcome, Refusal> {
    // Before there is anything to hide.
    let hardened = harden();
    let config = read_config(&args.file.config)?;
    let others = args.new.sources().map_err(|why| Refusal::new(why, json!({})))?;
    let others = others.iter().map(|source| kek::read(&RealDisk, source));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    log::init(json)?;
    hardened.log();
    let clock = args.clock();
    #[cfg(feature = "test-clock")]
    let clock = clock?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before anything starts, so that a signal that comes early ends it in order too.
    let (mut terminate, mut interrupt, mut hang_up) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    let file = Some(args.file.config.clone());
    let running = run::start_with(file, others, config, &Telemetry::new(), clock).map_err(not_started)?;
    tracing::info!(listening = ?running.listening, http = %running.http, "serving");
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let mut watchdog = Watchdog::wanted(sd_notify::watchdog_enabled());
    let every = watchdog.as_ref().map_or(LOOK_EVERY, |watchdog| watchdog.every);
    let failed = runtime.block_on(async {
        let mut look = tokio::time::interval(every);
        // One at a time; a signal that comes meanwhile is another one behind it.
        let mut reloading = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => return false,
                _ = interrupt.recv() => return false,
                _ = hang_up.recv(), if reloading.is_none() => {
                    reloading = running.reload();
                    if reloading.is_some() {
                        tell_of_reload();
                    } else {
                        tracing::warn!("the gateway is busy with other requests: not reloaded");
                    }
                }
                // What became of it stands in the log.
                () = ended(&mut reloading) => tell(&[NotifyState::Ready]),
                _ = look.tick() => {
                    if running.has_ended() {
                        return true;
                    }
                    if let Some(watchdog) = &mut watchdog {
                        watchdog.look(&running);
                    }
                }
            }
        }
    });
    if failed {
        return Err(Refusal::new("the loop has failed: see the log", json!({})));
    }
    tracing::info!("told to end");
    tell(&[NotifyState::Stopping, NotifyState::Status("ending in order")]);
    if let Some(watchdog) = &mut watchdog {
        // Clients have their grace, in which the loop turns as ever.
        running.ask_to_end();
        runtime.block_on(async {
            let mut look = tokio::time::interval(every);
            while !running.is_over() {
                look.tick().await;
                watchdog.look(&running);
            }
        });
    }
    running.stop();
    Ok(Outcome::new("ended in order", json!({ "ended": true })))
}

/// What a service manager hears that wants to know that the loop lives (`WatchdogSec=`): of a loop that has turned since it heard it
/// last, and of no other. That this thread lives says nothing of that one.
#[derive(Debug)]
struct Watchdog {
    /// How often it is looked.
    every: Duration,
    /// How many turns there were when it heard of it last.
    told: u64,
    /// It could not be told, and the log says so.
    is_deaf: bool,
}

impl Watchdog {
    /// One for a manager that waits so long at most; `None` where it does not wait.
    fn wanted(patience: Option<Duration>) -> Option<Self> {
        patience.map(|patience| Self {
            // Thrice in that time, so that one that is late is not missed.
            every: (patience / 3).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY),
            told: 0,
            is_deaf: false,
        })
    }

    /// Whether it is to hear of so many turns.
    fn is_news(&mut self, turns: u64) -> bool {
        std::mem::replace(&mut self.told, turns) != turns
    }

    fn look(&mut self, running: &Running) {
        if !self.is_news(running.turns()) {
            return;
        }
        let told = sd_notify::notify(&[NotifyState::Watchdog]);
        if let Err(error) = &told
            && !self.is_deaf
        {
            tracing::warn!(%error, "the service manager cannot be told that the loop lives");
        }
        self.is_deaf = told.is_err();
    }
}

/// Tells the service manager that started us, if there is one (sd_notify(3), `NOTIFY_SOCKET`).
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told how far the gateway is");
    }
}

/// The same of a reload that begins, with the instant that systemd asks for from its version 253 on.
fn tell_of_reload() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
    }
}

/// Why it does not start, and what to do: where the error leaves that to the system's words, a remedy is added.
fn not_started(error: StartError) -> Refusal {
    match remedy(&error) {
        Some(remedy) => Refusal::new(format!("{error}; {remedy}"), json!({})),
        None => error.into(),
    }
}

/// Done when the reload that is under way has ended, if there is one.
async fn ended(reloading: &mut Option<oneshot::Receiver<Answer>>) {
    match reloading {
        Some(answered) => {
            let _ = answered.await;
            *reloading = None;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_has_not_turned_is_not_told_to_live() {
        let mut watchdog = Watchdog::wanted(Some(Duration::from_secs(1))).unwrap();
        assert!(watchdog.every < Duration::from_millis(500));
        let told = [1, 2, 2, 2, 3].map(|turns| watchdog.is_news(turns));
        assert_eq!(told, [true, true, false, false, true]);
        // Nor does one that never turned.
        assert!(!Watchdog::wanted(Some(Duration::from_secs(1))).unwrap().is_news(0));
        for (patience, every) in [
            (Duration::ZERO, LOOK_AT_MOST_EVERY),
            (Duration::from_mins(2), LOOK_EVERY),
        ] {
            assert_eq!(Watchdog::wanted(Some(patience)).unwrap().every, every);
        }
        assert!(Watchdog::wanted(None).is_none());
    }
}
