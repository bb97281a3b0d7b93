//! One connection of the simulated clients: bound, and bound again whenever it ends.

use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_codec::values::BindKind;
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::load::book::Book;
use crate::load::connection::{Connection, Past};
use crate::load::options::Options;
use crate::load::submit::Submits;
use crate::load::trouble::Trouble;
use crate::traffic::wire::{Bell, Wire};

/// A connection that takes longer than this to come about does not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before a new connection grows to so many times the first one.
const BACK_OFF_MAX: u32 = 100;

/// What all connections of a run share.
pub(super) struct Run {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) book: RefCell<Book>,
    pub(super) submits: RefCell<Submits>,
}

/// Whom a connection binds as.
#[derive(Clone, Copy)]
pub(super) struct Who {
    /// Which of the accounts.
    pub(super) account: u16,
    pub(super) system_id: SystemId,
    pub(super) kind: BindKind,
}

/// Keeps one connection bound until the run is over.
pub(super) async fn keep_bound(run: Rc<Run>, who: Who, bell: Rc<Bell>) {
    let first = run.options.reconnect;
    let (mut pause, mut attempt, mut hopeless, mut past) = (first, 0, false, Past::default());
    while !run.is_over() {
        let mut connection = Connection::new(&run, who, past, &bell);
        let ended = match connect(&run, &bell).await {
            Some(Ok(socket)) => {
                let ended = drive(&run, socket, &bell, &mut connection).await;
                past.bound |= connection.was_bound();
                past.tried |= past.bound;
                connection.leave(&mut run.book.borrow_mut());
                ended
            }
            Some(Err(trouble)) => Err(trouble),
            None => Ok(()),
        };
        if connection.was_bound() {
            (pause, attempt) = (first, 0);
        } else {
            (pause, attempt) = ((pause * 2).min(first * BACK_OFF_MAX), attempt + 1);
        }
        if let Err(trouble) = ended {
            hopeless = run.book.borrow_mut().failed(&trouble, attempt, hopeless);
        }
        if !std::mem::replace(&mut past.tried, true) {
            run.book.borrow_mut().tried();
        }
        let until = run.clock.instant(run.clock.now().monotonic + pause);
        // The bell also rings for messages to be sent, which others do meanwhile.
        while !run.is_over() && tokio::time::timeout_at(until, bell.rung()).await.is_ok() {}
    }
}

impl Run {
    fn is_over(&self) -> bool {
        self.book.borrow().is_over()
    }
}

/// An error in words, those of this system's own limits included.
fn in_words(error: &io::Error) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::MFILE) => "this process may open no more files (see ulimit -n)".to_owned(),
        Some(rustix::io::Errno::NFILE) => "this system may open no more files".to_owned(),
        Some(rustix::io::Errno::ADDRNOTAVAIL) => "this system has no free port left for it".to_owned(),
        _ => error.kind().to_string(),
    }
}

/// Connects; `None` when the run is over before.
async fn connect(run: &Run, bell: &Bell) -> Option<Result<TcpStream, Trouble>> {
    let mut connecting = pin!(tokio::time::timeout(
        CONNECT_TIMEOUT,
        TcpStream::connect(run.options.server)
    ));
    loop {
        tokio::select! {
            connected = &mut connecting => return Some(match connected {
                Ok(Ok(socket)) => Ok(socket),
                // In words without the number, which says nothing more.
                Ok(Err(error)) => Err(Trouble::Unreachable(in_words(&error))),
                Err(_) => Err(Trouble::Unreachable("no answer".to_owned())),
            }),
            () = bell.rung() => if run.is_over() {
                return None;
            },
        }
    }
}

/// Drives a connection to its end; an error if it ended on its own.
async fn drive(
    run: &Run,
    socket: TcpStream,
    bell: &Rc<Bell>,
    connection: &mut Connection,
) -> Result<(), Trouble> {
    let mut wire = Wire::new(socket, &run.clock).map_err(|error| connection.ended(&error))?;
    wire.bell = Rc::clone(bell);
    connection.bind(run.clock.now(), &run.options, &mut wire.out);
    wire.flush().map_err(|error| connection.ended(&error))?;
    loop {
        let waited = wire.wait(Some(connection.next_timer())).await;
        waited.map_err(|error| connection.ended(&error))?;
        let now = run.clock.now();
        let turned = connection.turn(
            now,
            &mut wire,
            &mut run.book.borrow_mut(),
            &mut run.submits.borrow_mut(),
        );
        // What the peer is told about its fault may be the last thing that it reads.
        let flushed = wire.flush();
        if !turned? {
            return Ok(());
        }
        flushed.map_err(|error| connection.ended(&error))?;
    }
}
