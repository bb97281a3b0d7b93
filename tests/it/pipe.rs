//! The gateway's end of a connection, which whoever kills the gateway can close.
//!
//! A killed gateway's streams would close in the order in which a hash table drops them, by chance; here they close
//! in the order in which they were made.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

type Shared = RefCell<Option<DuplexStream>>;

/// A stream that [`Pipes::close`] ends.
pub(crate) struct Pipe(Rc<Shared>);

/// All pipes of one gateway.
#[derive(Clone, Default)]
pub(crate) struct Pipes(Rc<RefCell<Vec<Weak<Shared>>>>);

impl Pipes {
    /// A pipe around a stream.
    pub(crate) fn add(&self, stream: DuplexStream) -> Pipe {
        let shared = Rc::new(RefCell::new(Some(stream)));
        let mut all = self.0.borrow_mut();
        all.retain(|pipe| pipe.strong_count() > 0);
        all.push(Rc::downgrade(&shared));
        Pipe(shared)
    }

    /// Closes them, in the order in which they were made.
    pub(crate) fn close(&self) {
        for pipe in self.0.borrow_mut().drain(..) {
            if let Some(pipe) = pipe.upgrade() {
                pipe.take();
            }
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_read(context, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.0.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_write(context, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
