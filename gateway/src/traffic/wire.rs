//! A socket as both simulated ends use it: one read and one write per wake, however many PDUs they hold.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tidegate_codec::error::BodyError;
use tidegate_codec::frame::{Cut, FrameError, PDU_MAX_DEFAULT, cut};
use tidegate_codec::header::Header;
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::pdu::{Limits, Pdu};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Sleep;

use crate::clock::Clock;

/// What a wire buffers of what arrives: the longest PDU, and at least as much again to read into.
const INBOX_LEN: usize = 160 * 1024;
/// So much free space a read finds at least.
const READ_MIN: usize = 64 * 1024;
/// What may wait to be written; behind it nothing is read, so that nothing more is answered.
const OUT_MAX: usize = 1024 * 1024;
/// What the pdus may be.
const LIMITS: Limits = Limits {
    pdu_max: PDU_MAX_DEFAULT,
    password_max: PASSWORD_MAX_LENIENT,
};

/// Runs `body` on a thread of its own, with a runtime of its own.
pub(crate) fn on_a_thread<T, F>(
    name: &str,
    body: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>>,
{
    Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        LocalSet::new().block_on(&runtime, async move { body().await })
    })
}

/// Wakes one task of the same thread. Rung any number of times before the task runs, it wakes it once.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        if !self.rung.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// Whether it was rung since the last look; if not, `cx` is woken when it is.
    fn look(&self, cx: &Context<'_>) -> bool {
        if self.rung.replace(false) {
            return true;
        }
        let mut waker = self.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        false
    }

    /// Waits until it is rung.
    pub(crate) async fn rung(&self) {
        poll_fn(|cx| {
            if self.look(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// One connection. The two buffers are apart, so that what is read may be answered in place.
pub(crate) struct Wire {
    socket: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) out: Vec<u8>,
    pub(crate) bell: Rc<Bell>,
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off; it is moved forward only when something is due earlier.
    armed: Duration,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, clock: &Clock) -> io::Result<Self> {
        // A whole turn is written at once; waiting for more would only hold it back (interop §5).
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            inbox: Inbox {
                octets: vec![0; INBOX_LEN],
                start: 0,
                end: 0,
            },
            out: Vec::new(),
            bell: Rc::default(),
            clock: clock.clone(),
            timer: Box::pin(tokio::time::sleep_until(clock.instant(Duration::ZERO))),
            armed: Duration::MAX,
        })
    }

    /// Waits until octets have come, old ones could be written, the bell was rung, or it is `until`. The
    /// end of the stream is an error.
    pub(crate) async fn wait(&mut self, until: Option<Duration>) -> io::Result<()> {
        if let Some(until) = until
            && (until < self.armed || self.timer.is_elapsed())
        {
            self.timer.as_mut().reset(self.clock.instant(until));
            self.armed = until;
        }
        poll_fn(|cx| self.poll(cx, until.is_some())).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, timed: bool) -> Poll<io::Result<()>> {
        let mut ready = false;
        if !self.out.is_empty() && self.socket.poll_write_ready(cx)?.is_ready() {
            ready |= self.flush()? > 0;
        }
        if self.out.len() < OUT_MAX
            && let Poll::Ready(count) = self.inbox.poll_fill(&mut self.socket, cx)?
        {
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready = true;
        }
        ready |= self.bell.look(cx);
        ready |= timed && self.timer.as_mut().poll(cx).is_ready();
        if ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ends the connection with a reset, without what was not sent.
    pub(crate) fn reset(self) -> io::Result<()> {
        self.socket.set_zero_linger()
    }

    /// Writes what the socket takes; the rest leaves when it can.
    pub(crate) fn flush(&mut self) -> io::Result<usize> {
        if self.out.is_empty() {
            return Ok(0);
        }
        match self.socket.try_write(&self.out) {
            Ok(count) if count == self.out.len() => {
                self.out.clear();
                Ok(count)
            }
            Ok(count) => {
                self.out.drain(..count);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// What has arrived and was not read yet.
pub(crate) struct Inbox {
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

/// One PDU, or its header and what is wrong with its body.
pub(crate) type Read<'a> = Result<Pdu<'a>, (Header, BodyError)>;

impl Inbox {
    fn poll_fill(&mut self, socket: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.octets.len() - self.end < READ_MIN {
            self.octets.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let mut space = ReadBuf::new(&mut self.octets[self.end..]);
        match Pin::new(socket).poll_read(cx, &mut space)? {
            Poll::Ready(()) => {
                let count = space.filled().len();
                self.end += count;
                Poll::Ready(Ok(count))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The next whole PDU; an error when the framing is lost.
    pub(crate) fn next(&mut self) -> Result<Option<Read<'_>>, FrameError> {
        match cut(&self.octets[self.start..self.end], LIMITS.pdu_max) {
            Cut::NeedMore(_) => Ok(None),
            Cut::Broken(error) => Err(error),
            Cut::Frame { header, body } => {
                self.start += header.length as usize;
                Ok(Some(
                    Pdu::decode(header, body, &LIMITS).map_err(|error| (header, error)),
                ))
            }
        }
    }

    /// Forgets what has arrived.
    pub(crate) fn discard(&mut self) {
        self.start = self.end;
    }

    /// The next whole PDU as it is, its body not read; an error when the framing is lost.
    pub(crate) fn next_frame(&mut self) -> Result<Option<(Header, &[u8])>, FrameError> {
        match cut(&self.octets[self.start..self.end], LIMITS.pdu_max) {
            Cut::NeedMore(_) => Ok(None),
            Cut::Broken(error) => Err(error),
            Cut::Frame { header, body } => {
                self.start += header.length as usize;
                Ok(Some((header, body.0)))
            }
        }
    }

    /// Whether a PDU has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        self.start != self.end
    }
}
