//! The simulated clients: binds of one or more accounts that submit numbered messages and follow each to its
//! answer and its receipt. `tidegate load` from the command line, [`Load`] from programs.
//!
//! One thread does everything, and is made to cost less than what it measures: [`connection`] reads and writes
//! many PDUs at a time, [`submit`] patches prepared ones, [`work`] knows what is next, [`book`] counts, [`ids`] knows which id is whose.

mod bind;
mod book;
mod connection;
mod display;
mod hdr;
mod ids;
mod links;
mod options;
mod pace;
mod receipt;
mod report;
mod seen;
mod shown;
mod silence;
mod submit;
mod summary;
mod template;
mod ticker;
mod trouble;
mod window;
mod work;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::Clock;
pub use crate::traffic::coding::Coding;
use crate::traffic::wire::{Bell, on_a_thread};
use bind::{Run, Who};
use book::Book;
use submit::Submits;
use ticker::Ticker;

pub use options::{Binding, Options};
pub use pace::Lateness;
pub use report::{Report, STATES};
pub use shown::Counts;
pub use template::TemplateError;

pub(crate) use display::Display;
pub(crate) use summary::grouped;

use shown::Shown;

/// Clients that run on a thread of their own until they are done, give up, are stopped or dropped.
#[derive(Debug)]
pub struct Load {
    shown: Arc<Shown>,
    stop: watch::Sender<bool>,
    done: Receiver<()>,
    is_done: AtomicBool,
    thread: Option<JoinHandle<io::Result<Report>>>,
}

impl Load {
    /// Starts; the server need not be reachable yet. Fails with `InvalidInput` when a template cannot be, or an
    /// account's number makes its name too long.
    pub fn start(options: Options) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        Submits::new(&options).map_err(|(number, error)| invalid(format!("template {number}: {error}")))?;
        options
            .system_ids()
            .map_err(|error| invalid(format!("the last account: {error}")))?;
        let shown = Arc::new(Shown::default());
        let theirs = Arc::clone(&shown);
        let (stop, stopped) = watch::channel(false);
        let (finished, done) = sync_channel(1);
        let thread = on_a_thread("clients", move || async move {
            let report = run(options, theirs, stopped).await;
            let _ = finished.try_send(());
            report
        })?;
        Ok(Self {
            shown,
            stop,
            done,
            is_done: AtomicBool::new(false),
            thread: Some(thread),
        })
    }

    /// Runs to the end.
    pub fn run(options: Options) -> io::Result<Report> {
        Self::start(options)?.join()
    }

    /// The figures so far.
    pub fn counts(&self) -> Counts {
        self.shown.get()
    }

    /// Waits for the end, at most so long; tells whether it has come.
    pub fn wait(&self, at_most: Duration) -> bool {
        if !self.is_done.load(Ordering::Relaxed) {
            let ended = self.done.recv_timeout(at_most) != Err(RecvTimeoutError::Timeout);
            self.is_done.store(ended, Ordering::Relaxed);
        }
        self.is_done.load(Ordering::Relaxed)
    }

    /// Submits no more and unbinds; [`Load::join`] tells what was done until then.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end.
    pub fn join(mut self) -> io::Result<Report> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(report)) => report,
            _ => Err(io::Error::other("the clients' thread has panicked")),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(options: Options, shown: Arc<Shown>, mut stopped: watch::Receiver<bool>) -> io::Result<Report> {
    let clock = Clock::machine();
    let names = options.system_ids().map_err(io::Error::other)?;
    let kinds = options.binding.kinds();
    let connections = names.len() * options.binds * kinds.len();
    let submits = Submits::new(&options).map_err(|(_, error)| io::Error::other(error))?;
    let mut signals = options.heeds_signals.then(Signals::new).transpose()?;
    let book = Book::new(&options, connections, clock.now(), shown)?;
    let run = Rc::new(Run {
        options,
        clock: clock.clone(),
        book: RefCell::new(book),
        submits: RefCell::new(submits),
    });
    let mut binds = tokio::task::JoinSet::new();
    // Bind by bind through the accounts, so that all of them are at work early.
    for _ in 0..run.options.binds {
        for (account, system_id) in (0..).zip(&names) {
            for kind in kinds {
                let who = Who {
                    account,
                    system_id: *system_id,
                    kind: *kind,
                };
                let bell = Rc::<Bell>::default();
                run.book.borrow_mut().joined(&bell);
                binds.spawn_local(bind::keep_bound(Rc::clone(&run), who, bell));
            }
        }
    }
    if run.options.rate > 0.0 {
        tokio::task::spawn_local(keep_pace(Rc::clone(&run)));
    }
    let over = Rc::clone(&run.book.borrow().over_bell);
    let mut was_told = false;
    loop {
        let now = clock.now();
        let look_again = clock.instant(run.book.borrow().look_again_at(now));
        tokio::select! {
            () = over.rung() => {}
            () = tokio::time::sleep_until(look_again) => run.book.borrow_mut().look_at(clock.now()),
            // The sender lives as long as `Load`.
            _ = stopped.wait_for(|stopped| *stopped) => run.book.borrow_mut().stop(),
            () = Signals::came(&mut signals) => {
                let mut book = run.book.borrow_mut();
                if std::mem::replace(&mut was_told, true) {
                    book.stop();
                } else {
                    book.wind_down(clock.now());
                }
            }
        }
        if run.book.borrow().is_over() {
            break;
        }
    }
    // Every connection unbinds by itself, and none takes longer than its timer for that.
    while binds.join_next().await.is_some() {}
    Ok(run.book.borrow_mut().take_report(clock.now()))
}

/// Wakes connections when messages are due.
async fn keep_pace(run: Rc<Run>) -> io::Result<()> {
    let mut ticker = Ticker::new()?;
    while !run.book.borrow().is_over() {
        let now = run.clock.now();
        let next = run.book.borrow_mut().keep_pace(now);
        ticker.wait(next.saturating_sub(now.monotonic)).await?;
    }
    Ok(())
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them; for ever, if nobody heeds them.
    async fn came(signals: &mut Option<Self>) {
        match signals {
            Some(Self { interrupt, terminate }) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            None => std::future::pending().await,
        }
    }
}
