//! One connection: octets between a socket and the gate. Both sides use it, over any stream.
//!
//! Reading is this task's: it feeds the gate and never waits for a commit. Writing is the turn's, once per
//! link and turn; only what the socket does not take at once is left to this task. Read buffers come from
//! a bounded pool, so an idle link holds none.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidegate_store::disk::Disk;
use tokio::io::{AsyncRead, AsyncWrite, WriteHalf};
use tokio::sync::{Notify, watch};
use tokio_util::io::poll_read_buf;
use zeroize::Zeroize as _;

use crate::gate::ReadFlow;
use crate::links::{End, LinkId};
use crate::serve::Hub;

/// Octets of a read buffer: what one read takes at most.
const READ_LEN: usize = 64 << 10;
/// Room that a read needs at least; a shorter buffer is extended first.
const READ_MIN: usize = 4 << 10;
/// Read buffers that are kept for reuse.
const POOL_MAX: usize = 64;
/// How long a link at its limit of unanswered requests is not read before what follows is throttled.
const SATURATED_WAIT: Duration = Duration::from_secs(1);
/// How long a peer may take none of the octets that wait for it.
const STALL: Duration = Duration::from_secs(30);
/// How long a connection that we have closed waits for the peer to close it, too.
const LINGER: Duration = Duration::from_secs(1);
/// Octets that may wait behind the socket before the gate keeps the rest.
const BACKLOG_MAX: usize = 256 << 10;

/// Read buffers for reuse.
#[derive(Debug, Default)]
pub struct Pool(RefCell<Vec<Vec<u8>>>);

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.0
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(READ_LEN))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut pool = self.0.borrow_mut();
        if pool.len() < POOL_MAX && buffer.capacity() <= 2 * READ_LEN {
            buffer.clear();
            pool.push(buffer);
        }
    }
}

/// The writing end of a connection, shared by the turn and the link's own task.
pub struct Writer {
    half: RefCell<Pin<Box<dyn AsyncWrite>>>,
    /// Whether what the half takes may still wait in it, as records of TLS do: it is flushed then.
    holds_back: bool,
    /// Something waits there. While it does nothing else is given to the half: of two that poll it only the last is woken.
    unflushed: Cell<bool>,
    /// Octets that the socket did not take yet.
    backlog: RefCell<Vec<u8>>,
    /// A buffer for the gate to fill next.
    spare: Cell<Vec<u8>>,
    /// Whether what was written is wiped: a bind of ours holds a password, and nothing behind it does.
    wipes: Cell<bool>,
    /// Set when the connection is to be closed once the backlog is written.
    closing: Cell<bool>,
    failed: Cell<bool>,
    /// Wakes the link's task: there is a backlog, or the end has come.
    work: Notify,
    /// Wakes whoever waits for the end of the link.
    over: watch::Sender<bool>,
    /// Wakes the writing half: the peer has nothing more to say.
    read_out: Notify,
    /// Wakes the link's task: a turn has passed, a paused link may be read again.
    pub(crate) resume: Notify,
}

impl Writer {
    fn new<S: AsyncRead + AsyncWrite + 'static>(half: WriteHalf<S>, holds_back: bool) -> Self {
        Self {
            half: RefCell::new(Box::pin(half)),
            holds_back,
            unflushed: Cell::new(false),
            backlog: RefCell::new(Vec::new()),
            spare: Cell::new(Vec::new()),
            wipes: Cell::new(true),
            closing: Cell::new(false),
            failed: Cell::new(false),
            work: Notify::new(),
            over: watch::Sender::new(false),
            read_out: Notify::new(),
            resume: Notify::new(),
        }
    }

    /// The link is over.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Done when the link is over.
    pub(crate) async fn gone(&self) {
        // The sender lives in `self`.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// A buffer for the gate to fill, if this writer takes more octets now.
    pub(crate) fn spare(&self) -> Option<Vec<u8>> {
        (self.backlog.borrow().len() < BACKLOG_MAX).then(|| self.spare.take())
    }

    /// Writes what a turn has for this link; what the socket does not take waits.
    pub(crate) fn write(&self, mut octets: Vec<u8>, close: bool) {
        if close {
            self.closing.set(true);
        }
        let mut backlog = self.backlog.borrow_mut();
        let taken = if backlog.is_empty() && !self.unflushed.get() {
            self.write_now(&octets)
        } else {
            0
        };
        if taken < octets.len() {
            backlog.extend_from_slice(&octets[taken..]);
        }
        if self.wipes.get() {
            octets.as_mut_slice().zeroize();
        }
        octets.clear();
        self.spare.set(octets);
        let waits = !backlog.is_empty() || self.unflushed.get() || (self.holds_back && self.flush_now());
        if close || self.failed.get() || waits {
            self.work.notify_one();
        }
    }

    /// Offers octets without waiting; how many were taken.
    fn write_now(&self, octets: &[u8]) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let mut half = self.half.borrow_mut();
        let mut taken = 0;
        while taken < octets.len() {
            match half.as_mut().poll_write(&mut context, &octets[taken..]) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    self.failed.set(true);
                    break;
                }
                Poll::Ready(Ok(count)) => taken += count,
                Poll::Pending => break,
            }
        }
        taken
    }

    /// Flushes without waiting; whether something is left.
    fn flush_now(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.half.borrow_mut().as_mut().poll_flush(&mut context) {
            Poll::Ready(Ok(())) => self.unflushed.set(false),
            Poll::Ready(Err(_)) => self.failed.set(true),
            Poll::Pending => self.unflushed.set(true),
        }
        self.unflushed.get()
    }

    /// One step of writing the backlog: `Ready` when it is empty.
    fn poll_backlog(&self, context: &mut Context<'_>, progress: &mut bool) -> Poll<io::Result<()>> {
        let mut backlog = self.backlog.borrow_mut();
        let mut half = self.half.borrow_mut();
        let mut taken = 0;
        let outcome = loop {
            if taken == backlog.len() {
                break Poll::Ready(Ok(()));
            }
            match half.as_mut().poll_write(context, &backlog[taken..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => taken += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        *progress = taken > 0;
        take_front(&mut backlog, taken, self.wipes.get());
        outcome
    }

    /// Writes backlogs as they come, until the end.
    async fn run<D: Disk>(&self, hub: &Hub<D>, id: LinkId) -> End {
        loop {
            self.work.notified().await;
            while !self.backlog.borrow().is_empty() {
                let mut progress = false;
                let step = poll_fn(|context| {
                    match self.poll_backlog(context, &mut progress) {
                        // Some of it went: the clock of the stall starts anew.
                        Poll::Pending if progress => Poll::Ready(Ok(())),
                        other => other,
                    }
                });
                match tokio::time::timeout(STALL, step).await {
                    Err(_) => return End::Stalled,
                    Ok(Err(_)) => return End::Lost,
                    Ok(Ok(())) => {}
                }
            }
            if self.holds_back && !self.failed.get() {
                // Up to 64 KiB, of which it is not seen how much has gone: all of it has one time.
                let flushed = poll_fn(|context| self.half.borrow_mut().as_mut().poll_flush(context));
                match tokio::time::timeout(STALL, flushed).await {
                    Err(_) => return End::Stalled,
                    Ok(Err(_)) => return End::Lost,
                    Ok(Ok(())) => self.unflushed.set(false),
                }
                if !self.backlog.borrow().is_empty() {
                    // More came meanwhile.
                    self.work.notify_one();
                    continue;
                }
            }
            if self.failed.get() {
                return End::Lost;
            }
            if self.closing.get() {
                let shut = poll_fn(|context| self.half.borrow_mut().as_mut().poll_shutdown(context));
                // TLS says good-bye, and a peer that reads nothing takes no word of it.
                let _ = tokio::time::timeout(LINGER, shut).await;
                let _ = tokio::time::timeout(LINGER, self.read_out.notified()).await;
                return End::Closed;
            }
            // The gate may hold back what did not fit here before.
            hub.touch(id);
        }
    }
}

/// Runs a connection to its end; the gate knows the link by `id` and forgets it at the end. Returns why it
/// ended and whether it had been bound.
pub async fn run<D, S>(hub: Rc<Hub<D>>, id: LinkId, stream: S) -> (End, bool)
where
    D: Disk,
    S: AsyncRead + AsyncWrite + 'static,
{
    run_over(hub, id, stream, false).await
}

/// The same of a connection that holds octets back until it is flushed: TLS.
pub async fn run_sealed<D, S>(hub: Rc<Hub<D>>, id: LinkId, stream: S) -> (End, bool)
where
    D: Disk,
    S: AsyncRead + AsyncWrite + 'static,
{
    run_over(hub, id, stream, true).await
}

async fn run_over<D, S>(hub: Rc<Hub<D>>, id: LinkId, stream: S, holds_back: bool) -> (End, bool)
where
    D: Disk,
    S: AsyncRead + AsyncWrite + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let writer = Rc::new(Writer::new(writer, holds_back));
    hub.register(id, Rc::clone(&writer));
    let end = {
        let reading = pin!(read(&hub, id, reader, &writer));
        let writing = pin!(writer.run(&hub, id));
        // Not by chance, so that one seed is one run in virtual time.
        tokio::select! {
            biased;
            end = reading => end,
            end = writing => end,
        }
    };
    hub.closed(id, end)
}

/// Reads until the end, feeding the gate.
async fn read<D: Disk, R: AsyncRead>(hub: &Hub<D>, id: LinkId, reader: R, writer: &Rc<Writer>) -> End {
    let mut reader = pin!(reader);
    // What was read and not consumed yet; no capacity while there is none.
    let mut held: Vec<u8> = Vec::new();
    loop {
        let received = poll_fn(|context| poll_read(reader.as_mut(), context, &hub.pool, &mut held)).await;
        match received {
            Ok(0) | Err(_) => {
                take_all(&mut held, writer.wipes.get());
                return End::Lost;
            }
            Ok(_) => {}
        }
        let mut paused_since = None;
        loop {
            let now = hub.now().monotonic;
            let force = paused_since.is_some_and(|since| now >= since + SATURATED_WAIT);
            let input = hub.input(id, &held, force);
            take_front(&mut held, input.used, writer.wipes.get());
            if writer.wipes.get() {
                writer.wipes.set(!hub.look(|gate, _| gate.is_bound(id)));
            }
            if input.used > 0 {
                paused_since = None;
            }
            match input.flow {
                ReadFlow::Continue => break,
                // The session has said its last word; the writer closes behind it.
                ReadFlow::End => {
                    take_all(&mut held, writer.wipes.get());
                    return read_out(hub, reader, held, writer).await;
                }
                ReadFlow::Pause => {
                    paused_since.get_or_insert(now);
                    hub.pause(writer);
                    // A turn wakes it; should none come, the moment is over all the same.
                    let _ = tokio::time::timeout(SATURATED_WAIT, writer.resume.notified()).await;
                }
                ReadFlow::Hold => {
                    // It is no fault of what lies here: it is not to be throttled for having waited.
                    paused_since = None;
                    hub.pause(writer);
                    let _ = tokio::time::timeout(SATURATED_WAIT, writer.resume.notified()).await;
                }
            }
        }
        if held.is_empty() {
            hub.pool.give(std::mem::take(&mut held));
        }
    }
}

/// Reads what still comes and drops it. A connection that is closed with octets unread is reset, and a reset takes from
/// the peer what it has not read yet: our last answers (smpp-session.md §9).
async fn read_out<D: Disk, R: AsyncRead>(
    hub: &Hub<D>,
    mut reader: Pin<&mut R>,
    mut held: Vec<u8>,
    writer: &Writer,
) -> End {
    loop {
        held.clear();
        let received = poll_fn(|context| poll_read(reader.as_mut(), context, &hub.pool, &mut held)).await;
        if !matches!(received, Ok(1..)) {
            break;
        }
    }
    hub.pool.give(held);
    writer.read_out.notify_one();
    std::future::pending().await
}

/// Takes octets away in front. With `wipes` nothing of them stays in the buffer, which another link gets.
fn take_front(buffer: &mut Vec<u8>, count: usize, wipes: bool) {
    if !wipes {
        buffer.drain(..count);
        return;
    }
    let rest = buffer.len() - count;
    buffer.copy_within(count.., 0);
    buffer[rest..].zeroize();
    buffer.truncate(rest);
}

fn take_all(buffer: &mut Vec<u8>, wipes: bool) {
    take_front(buffer, buffer.len(), wipes);
}

/// Reads into `held`, which borrows a buffer from the pool only while there is something to hold.
fn poll_read<R: AsyncRead>(
    reader: Pin<&mut R>,
    context: &mut Context<'_>,
    pool: &Pool,
    held: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    if held.capacity() == 0 {
        *held = pool.take();
    }
    if held.capacity() - held.len() < READ_MIN {
        // The beginning of a PDU that is longer than the buffer; the frame's maximum bounds it.
        held.reserve(READ_LEN);
    }
    let polled = poll_read_buf(reader, context, held);
    if polled.is_pending() && held.is_empty() {
        pool.give(std::mem::take(held));
    }
    polled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken out of a buffer does not stay behind its end, where the next link's octets will not reach.
    #[test]
    fn what_was_taken_is_wiped_behind_the_end_too() {
        let mut buffer = b"bind with secret|and the next".to_vec();
        let all = buffer.len();
        take_front(&mut buffer, 17, true);
        assert_eq!(buffer, b"and the next");
        buffer.resize(all, 0xff);
        buffer.truncate(12);
        take_all(&mut buffer, true);
        assert!(buffer.is_empty());
        let mut plain = b"abc".to_vec();
        take_front(&mut plain, 2, false);
        assert_eq!(plain, b"c");
    }
}
