//! The simulated clients: binds of one account that submit numbered messages and wait for their receipts.

mod bind;
mod book;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::octets::OctetsError;
use tidegate_codec::values::RegisteredDelivery;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::traffic::marks::{MARKS_MAX, Marks};
use crate::traffic::wire::on_a_thread;
use book::Book;

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the gateway listens.
    pub server: SocketAddr,
    /// The account.
    pub system_id: SystemId,
    /// Its password.
    pub password: Password,
    /// How many binds, all TRX.
    pub binds: usize,
    /// Submits that may be unanswered on one bind.
    pub window: usize,
    /// How many messages, over all binds; at most [`MARKS_MAX`].
    pub messages: u32,
    /// What tells this run from others that the same carrier sees.
    pub run: u32,
    /// Octets of a message.
    pub length: usize,
    /// Who sends.
    pub sender: AddressBuf,
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// How long a bind waits after an answer that says "slow down".
    pub throttle_pause: Duration,
    /// How long a bind waits before it connects again; doubled each time, up to a hundredfold.
    pub reconnect: Duration,
    /// When nothing has happened for so long, the clients give up.
    pub patience: Duration,
}

impl Options {
    /// Four binds with a window of 100 and 10 000 messages of 100 octets, receipts asked for.
    pub fn new(server: SocketAddr, system_id: SystemId, password: Password) -> Result<Self, OctetsError> {
        Ok(Self {
            server,
            system_id,
            password,
            binds: 4,
            window: 100,
            messages: 10_000,
            run: 1,
            length: 100,
            sender: AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900999")?,
            registered_delivery: RegisteredDelivery::FINAL,
            throttle_pause: Duration::from_millis(50),
            reconnect: Duration::from_millis(20),
            patience: Duration::from_secs(30),
        })
    }
}

/// What the clients have seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run.
    pub run: u32,
    /// Messages that were to be sent.
    pub messages: u64,
    /// Messages sent at least once.
    pub submitted: u64,
    /// Messages answered with an id.
    pub acknowledged: u64,
    /// Messages refused for good, by status.
    pub refused: BTreeMap<u32, u64>,
    /// Answers that said "not now" (0x58, 0x14, 0x08); the message was submitted again.
    pub throttled: u64,
    /// Submits whose answer never came; the message was submitted again.
    pub in_doubt: u64,
    /// Submits of a message that had been submitted before and may have been taken then: after no answer,
    /// or after 0x08.
    pub resubmitted: u64,
    /// Messages whose receipt came.
    pub receipts: u64,
    /// Of these, those with a state other than delivered.
    pub not_delivered: u64,
    /// Receipts with the id of a message whose receipt had come.
    pub repeated_receipts: u64,
    /// Receipts with an id that no answer named. Messages in doubt have such.
    pub unknown_receipts: u64,
    /// Ids that were given to two messages.
    pub repeated_ids: u64,
    /// Deliveries that are no receipts.
    pub mobile_originated: u64,
    /// Binds accepted.
    pub bound: u64,
    /// Binds refused.
    pub binds_refused: u64,
    /// Connections that ended on their own.
    pub disconnects: u64,
    /// From submit to answer, in microseconds.
    pub latency_us: Histogram<u64>,
    /// From the first submit to the last answer or receipt.
    pub elapsed: Duration,
    /// Nothing happened any more before everything was done.
    pub gave_up: bool,
    /// The messages answered with an id.
    pub acknowledged_marks: Marks,
    /// The messages whose receipt came.
    pub receipt_marks: Marks,
    /// Whether receipts were asked for.
    pub wants_receipts: bool,
}

/// The figures that running clients show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages sent at least once.
    pub submitted: u64,
    /// Messages answered with an id.
    pub acknowledged: u64,
    /// Messages whose receipt came.
    pub receipts: u64,
    /// Answers that said "not now".
    pub throttled: u64,
    /// Connections that are bound now.
    pub bound: u64,
    /// Milliseconds since the first submit.
    pub elapsed_ms: u64,
}

/// Where the thread writes its figures, once per wake.
#[derive(Debug, Default)]
pub(super) struct Shown([AtomicU64; 6]);

impl Shown {
    pub(super) fn set(&self, counts: Counts) {
        let counts = [
            counts.submitted,
            counts.acknowledged,
            counts.receipts,
            counts.throttled,
            counts.bound,
            counts.elapsed_ms,
        ];
        for (shown, count) in self.0.iter().zip(counts) {
            shown.store(count, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Counts {
        let [submitted, acknowledged, receipts, throttled, bound, elapsed_ms] =
            self.0.each_ref().map(|shown| shown.load(Ordering::Relaxed));
        Counts {
            submitted,
            acknowledged,
            receipts,
            throttled,
            bound,
            elapsed_ms,
        }
    }
}

/// Load that run on a thread of their own until they are done, give up, are stopped or dropped.
#[derive(Debug)]
pub struct Load {
    shown: Arc<Shown>,
    stop: watch::Sender<bool>,
    done: Receiver<()>,
    is_done: AtomicBool,
    thread: Option<JoinHandle<io::Result<Report>>>,
}

impl Load {
    /// Starts; the server need not be reachable yet.
    pub fn start(options: Options) -> io::Result<Self> {
        if options.messages > MARKS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("more than {MARKS_MAX} messages"),
            ));
        }
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
    let options = Rc::new(options);
    let book = Rc::new(RefCell::new(Book::new(&options, clock.now(), shown)?));
    let mut binds = tokio::task::JoinSet::new();
    for _ in 0..options.binds {
        binds.spawn_local(bind::keep_bound(
            Rc::clone(&options),
            Rc::clone(&book),
            clock.clone(),
        ));
    }
    let over = Rc::clone(&book.borrow().over_bell);
    loop {
        let impatient = clock.instant(book.borrow().gives_up_at());
        tokio::select! {
            () = over.rung() => {}
            () = tokio::time::sleep_until(impatient) => book.borrow_mut().look_at(clock.now()),
            // The sender lives as long as `Load`.
            _ = stopped.wait_for(|stopped| *stopped) => book.borrow_mut().stop(),
        }
        if book.borrow().is_over() {
            break;
        }
    }
    // Every bind unbinds by itself, and none takes longer than its session's timer for that.
    while binds.join_next().await.is_some() {}
    Ok(book.borrow_mut().take_report())
}
