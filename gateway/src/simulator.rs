//! The simulated carrier: takes every bind with the right password, gives every message an id, and sends
//! a receipt for it over any of its receiver links.

mod centre;
mod link;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::status::CommandStatus;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::traffic::marks::Marks;
use crate::traffic::wire::on_a_thread;
use centre::Centre;

/// Commands that may wait for the carrier's thread.
const COMMANDS_MAX: usize = 16;

/// How a carrier behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may bind.
    pub system_id: SystemId,
    /// With which password.
    pub password: Password,
    /// Receipts that may be unanswered on one link.
    pub window: usize,
    /// The first id; `None` takes the date, so that ids stay unique over restarts of the carrier.
    pub first_id: Option<u64>,
    /// How long a submit waits for its answer. Receipts do not wait for it.
    pub response_delay: Duration,
    /// How long a receipt is held back.
    pub receipt_delay: Duration,
    /// After what pause a receipt is sent again that was refused.
    pub receipt_retry: Duration,
    /// Statuses to refuse messages with, each for one in so many.
    pub refusals: Vec<(CommandStatus, u64)>,
    /// The status that every bind is refused with.
    pub refuse_binds: Option<CommandStatus>,
}

impl Options {
    /// A quick and obliging carrier on a free port of this machine.
    pub const fn new(system_id: SystemId, password: Password) -> Self {
        Self {
            listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            system_id,
            password,
            window: 500,
            first_id: None,
            response_delay: Duration::ZERO,
            receipt_delay: Duration::ZERO,
            receipt_retry: Duration::from_millis(200),
            refusals: Vec::new(),
            refuse_binds: None,
        }
    }
}

/// What a carrier has seen and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections.
    pub links: u64,
    /// Binds that were accepted.
    pub binds: u64,
    /// Messages submitted, refused ones included.
    pub submitted: u64,
    /// Messages refused.
    pub refused: u64,
    /// Messages taken that carry a token not seen before.
    pub unique: u64,
    /// Messages taken whose token was taken before.
    pub repeated: u64,
    /// Messages taken whose text or recipient does not fit its token.
    pub altered: u64,
    /// Messages taken without a token.
    pub unmarked: u64,
    /// Receipts that were answered with success.
    pub receipts: u64,
    /// Receipts sent again, because they were refused or their link ended first.
    pub receipts_resent: u64,
    /// Receipts not answered when the carrier stopped.
    pub receipts_owed: u64,
    /// The messages taken, by run.
    pub taken: BTreeMap<u32, Marks>,
}

/// The figures that a running carrier shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken, each counted once.
    pub unique: u64,
    /// Messages taken again.
    pub repeated: u64,
    /// Receipts that were answered with success.
    pub receipts: u64,
    /// Connections that are bound now.
    pub bound: u64,
}

/// Where the thread writes its figures, once per wake.
#[derive(Debug, Default)]
pub(super) struct Shown {
    unique: AtomicU64,
    repeated: AtomicU64,
    receipts: AtomicU64,
    bound: AtomicU64,
}

impl Shown {
    pub(super) fn set(&self, counts: Counts) {
        self.unique.store(counts.unique, Ordering::Relaxed);
        self.repeated.store(counts.repeated, Ordering::Relaxed);
        self.receipts.store(counts.receipts, Ordering::Relaxed);
        self.bound.store(counts.bound, Ordering::Relaxed);
    }

    fn get(&self) -> Counts {
        Counts {
            unique: self.unique.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            receipts: self.receipts.load(Ordering::Relaxed),
            bound: self.bound.load(Ordering::Relaxed),
        }
    }
}

/// What a running carrier may be told.
#[derive(Debug)]
enum Command {
    DropLinks,
    RefuseBinds(Option<CommandStatus>),
    Stop,
}

/// A carrier that runs on a thread of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    shown: Arc<Shown>,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<io::Result<Report>>>,
}

impl Simulator {
    /// Listens, and serves from then on. It is reachable when this returns.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let shown = Arc::new(Shown::default());
        let (commands, orders) = mpsc::channel(COMMANDS_MAX);
        let theirs = Arc::clone(&shown);
        let thread = on_a_thread("carrier", move || serve(listener, options, theirs, orders))?;
        Ok(Self {
            addr,
            shown,
            commands,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its figures so far.
    pub fn counts(&self) -> Counts {
        self.shown.get()
    }

    /// Ends every connection at once, without unbind. New ones are taken.
    pub fn drop_links(&self) {
        self.tell(Command::DropLinks);
    }

    /// Refuses every further bind with this status, or accepts them again.
    pub fn refuse_binds(&self, status: Option<CommandStatus>) {
        self.tell(Command::RefuseBinds(status));
    }

    /// Ends every connection and the carrier, and tells what it has seen.
    pub fn stop(mut self) -> io::Result<Report> {
        self.tell(Command::Stop);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(report)) => report,
            _ => Err(io::Error::other("the carrier's thread has panicked")),
        }
    }

    fn tell(&self, command: Command) {
        // Nobody can send 16 commands before the thread takes the first, and one that has ended needs none.
        let _ = self.commands.try_send(command);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: TcpListener,
    options: Options,
    shown: Arc<Shown>,
    mut orders: mpsc::Receiver<Command>,
) -> io::Result<Report> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let clock = Clock::machine();
    let centre = Rc::new(RefCell::new(Centre::new(options, clock.now(), shown)));
    tokio::task::spawn_local(link::send_held_back(Rc::clone(&centre), clock.clone()));
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that ended before it was taken is nobody's loss.
                if let Ok((socket, _)) = accepted {
                    let key = centre.borrow_mut().arrive();
                    tokio::task::spawn_local(link::serve(socket, key, Rc::clone(&centre), clock.clone()));
                }
            }
            command = orders.recv() => match command {
                Some(Command::DropLinks) => centre.borrow_mut().drop_links(),
                Some(Command::RefuseBinds(status)) => centre.borrow_mut().options.refuse_binds = status,
                Some(Command::Stop) | None => return Ok(centre.borrow_mut().take_report()),
            },
        }
    }
}
