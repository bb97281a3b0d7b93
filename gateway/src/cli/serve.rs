//! `tidegate serve`: the gateway, until it is told to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
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
use crate::run::{self, StartError};
use crate::start_remedy::remedy;
use crate::telemetry::{Telemetry, log};

/// How often the main thread looks whether the loop still runs, at least.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// And at most, however little patience the service manager has.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);
/// How much may wait to be told to a service manager that does not read.
const TO_TELL_MAX: usize = 8;
/// How long the end waits at most for what is not told yet.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Looks in a row that find the one before not told yet, until the log says so.
const MISSED_MAX: u32 = 3;

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
    let manager = Manager::of_system()?;
    let running = run::start_with(file, others, config, &Telemetry::new(), clock).map_err(not_started)?;
    tracing::info!(listening = ?running.listening, http = %running.http, "serving");
    manager.tell(vec![NotifyState::Ready, NotifyState::Status("serving")]);
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
                        manager.tell_of_reload();
                    } else {
                        tracing::warn!("the gateway is busy with other requests: not reloaded");
                    }
                }
                // What became of it stands in the log.
                () = ended(&mut reloading) => manager.tell(vec![NotifyState::Ready]),
                _ = look.tick() => {
                    if running.has_ended() {
                        return true;
                    }
                    if let Some(watchdog) = &mut watchdog {
                        watchdog.look(running.turns(), || manager.lives());
                    }
                }
            }
        }
    });
    if failed {
        return Err(Refusal::new("the loop has failed: see the log", json!({})));
    }
    tracing::info!("told to end");
    manager.tell(vec![
        NotifyState::Stopping,
        NotifyState::Status("ending in order"),
    ]);
    if let Some(watchdog) = &mut watchdog {
        // Clients have their grace, in which the loop turns as ever.
        running.ask_to_end();
        runtime.block_on(async {
            let mut look = tokio::time::interval(every);
            while !running.is_over() {
                look.tick().await;
                watchdog.look(running.turns(), || manager.lives());
            }
        });
    }
    running.stop();
    manager.end(LAST_WORDS);
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
    /// Looks in a row that found the one before not told yet.
    missed: u32,
}

impl Watchdog {
    /// One for a manager that waits so long at most; `None` where it does not wait.
    fn wanted(patience: Option<Duration>) -> Option<Self> {
        patience.map(|patience| Self {
            // Thrice in that time, so that one that is late is not missed.
            every: (patience / 3).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY),
            told: 0,
            missed: 0,
        })
    }

    /// Has it told, by `tell`, that the loop lives, if there were other turns than when it was told last. `tell` says whether it
    /// takes that: what it does not is tried again at the next look.
    fn look(&mut self, turns: u64, tell: impl FnOnce() -> bool) {
        if turns == self.told {
            return;
        }
        if tell() {
            (self.told, self.missed) = (turns, 0);
            return;
        }
        self.missed = self.missed.saturating_add(1);
        if self.missed == MISSED_MAX {
            tracing::warn!("the service manager does not take in that the loop lives");
        }
    }
}

/// Tells the service manager that started us, if there is one (sd_notify(3), `NOTIFY_SOCKET`). That is done by a thread of its own,
/// one thing behind the other: a manager that does not read holds up whoever tells it, and signals are heard by this one.
#[derive(Debug)]
struct Manager {
    to_tell: SyncSender<Vec<NotifyState<'static>>>,
    /// It is to be told that the loop lives, and has not been yet.
    is_telling: Arc<AtomicBool>,
    /// Closed when the thread has ended.
    over: Receiver<()>,
}

impl Manager {
    /// The one that the system's environment names.
    fn of_system() -> io::Result<Self> {
        Self::told_by(|states| sd_notify::notify(states))
    }

    /// One that is told so.
    fn told_by(
        tell: impl Fn(&[NotifyState<'static>]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (to_tell, told) = sync_channel::<Vec<NotifyState<'static>>>(TO_TELL_MAX);
        // Nothing is ever sent there.
        let (end, over) = sync_channel(0);
        let is_telling = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&is_telling);
        let work = move || {
            let _end = end;
            // It could not be told that the loop lives, and the log says so.
            let mut is_deaf = false;
            for states in told {
                let done = tell(&states);
                let lives = matches!(states.as_slice(), [NotifyState::Watchdog]);
                if let Err(error) = &done
                    && !(lives && is_deaf)
                {
                    tracing::warn!(%error, ?states, "the service manager cannot be told");
                }
                if lives {
                    is_deaf = done.is_err();
                    is_told.store(false, Ordering::Release);
                }
            }
        };
        thread::Builder::new().name("notify".to_owned()).spawn(work)?;
        Ok(Self {
            to_tell,
            is_telling,
            over,
        })
    }

    /// Has it told, and waits for nothing.
    fn tell(&self, states: Vec<NotifyState<'static>>) {
        if self.to_tell.try_send(states).is_err() {
            tracing::warn!("the service manager does not read: it is not told how far the gateway is");
        }
    }

    /// The same of a reload that begins, with the instant that systemd asks for from its version 253 on.
    fn tell_of_reload(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(vec![NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
        }
    }

    /// That the loop lives; `false` while it has not taken in that it did. One at a time, so that there is room for the rest.
    fn lives(&self) -> bool {
        if self.is_telling.swap(true, Ordering::AcqRel) {
            return false;
        }
        let is_taken = self.to_tell.try_send(vec![NotifyState::Watchdog]).is_ok();
        if !is_taken {
            self.is_telling.store(false, Ordering::Release);
        }
        is_taken
    }

    /// Waits until all is told, so long at most.
    fn end(self, within: Duration) {
        let Self { to_tell, over, .. } = self;
        drop(to_tell);
        // Nobody sends there: it is closed, or time is up.
        let _ = over.recv_timeout(within);
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
        let mut heard = |turns, is_taken| {
            let mut is_told = false;
            watchdog.look(turns, || {
                is_told = true;
                is_taken
            });
            is_told
        };
        // One that never turned is silent, and so is one that hangs, however often it is looked.
        let told = [0, 0, 1, 2, 2, 2, 3].map(|turns| heard(turns, true));
        assert_eq!(told, [false, false, true, true, false, false, true]);
        // What was not taken is told at the next look, although the loop hangs since; once.
        let told = [(4, false), (4, true), (4, true)].map(|(turns, is_taken)| heard(turns, is_taken));
        assert_eq!(told, [true, true, false]);
        for (patience, every) in [
            (Duration::ZERO, LOOK_AT_MOST_EVERY),
            (Duration::from_mins(2), LOOK_EVERY),
        ] {
            assert_eq!(Watchdog::wanted(Some(patience)).unwrap().every, every);
        }
        assert!(Watchdog::wanted(None).is_none());
    }

    #[test]
    fn a_manager_that_does_not_read_holds_up_nobody_and_hears_all_in_order_when_it_does() {
        let (tell, told) = sync_channel(2 + TO_TELL_MAX);
        let (reads, to_read) = sync_channel::<()>(2 + TO_TELL_MAX);
        let manager = Manager::told_by(move |states| {
            tell.send(format!("{states:?}")).unwrap();
            // It reads no more until the test lets it.
            to_read.recv().unwrap();
            Ok(())
        })
        .unwrap();
        assert!(manager.lives());
        assert_eq!(told.recv().unwrap(), "[Watchdog]");
        // That it lives is told once, and takes no room from the rest, which is bounded.
        assert!(!manager.lives() && !manager.lives());
        for _ in 0..2 * TO_TELL_MAX {
            manager.tell(vec![NotifyState::Stopping]);
        }
        for _ in 0..=TO_TELL_MAX {
            reads.send(()).unwrap();
        }
        manager.end(Duration::from_mins(1));
        assert_eq!(told.iter().collect::<Vec<_>>(), ["[Stopping]"; TO_TELL_MAX]);
    }
}
