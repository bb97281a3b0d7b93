//! The simulated carrier: takes binds and messages, sends receipts and MOs, shows the faults and the oddities
//! that it is told to show, and accounts for every message.
//!
//! One thread serves all links. What the links share stands in [`centre`]; [`link`] drives one session, and
//! [`disguise`] changes its octets where an oddity asks for what no tidy session writes.

mod body;
mod centre;
mod delivery;
mod disguise;
mod id;
mod intake;
mod link;
mod mo;
mod options;
mod quirk;
mod receipt;
mod report;
mod throttle;

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::traffic::wire::on_a_thread;
use centre::Centre;
pub use id::IdForm;
pub use options::{Delay, Faults, MoOptions, Options, Profile, Share, VersionShown};
pub use quirk::{Quirk, Quirks};
pub use receipt::Dialect;
use report::Shown;
pub use report::{Counts, Report};

/// Commands that may wait for the carrier's thread.
const COMMANDS_MAX: usize = 16;
/// How long nothing is accepted when that has just failed: what is short, files mostly, stays short for a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    /// Listens, and serves from then on. It is reachable when this returns. Fails with `InvalidInput` when the
    /// options contradict each other, and otherwise when it cannot listen.
    pub fn start(options: Options) -> io::Result<Self> {
        options
            .check()
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
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
                match accepted {
                    Ok((socket, _)) => {
                        let key = centre.borrow_mut().arrive();
                        tokio::task::spawn_local(link::serve(socket, key, Rc::clone(&centre), clock.clone()));
                    }
                    Err(_) => {
                        centre.borrow_mut().report.accept_failures += 1;
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
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
