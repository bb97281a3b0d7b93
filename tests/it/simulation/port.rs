//! The writing end of one peer's connection: whoever has something to say there says it here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::wire::{Frame, Wire};

/// See the [module](self).
pub(crate) struct Port {
    /// A number of its own.
    pub(crate) number: u64,
    out: RefCell<Vec<u8>>,
    wake: Notify,
    open: Cell<bool>,
    cut: Cell<bool>,
    sequence: Cell<u32>,
}

/// What a connection's task is to do next.
pub(crate) enum Next {
    Frame(Frame),
    /// Something was said; it has been written.
    Wrote,
    /// It is over.
    End,
}

impl Port {
    pub(crate) fn new(number: u64) -> Rc<Self> {
        Rc::new(Self {
            number,
            out: RefCell::default(),
            wake: Notify::new(),
            open: Cell::new(true),
            cut: Cell::new(false),
            sequence: Cell::new(1),
        })
    }

    /// Says something; `false` when the connection is over.
    pub(crate) fn say(&self, octets: &[u8]) -> bool {
        if !self.is_open() {
            return false;
        }
        self.out.borrow_mut().extend_from_slice(octets);
        self.wake.notify_one();
        true
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.get() && !self.cut.get()
    }

    /// Ends the connection after the last word, which may be half a PDU.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.wake.notify_one();
    }

    /// A number for a request of ours.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.set(self.sequence.get() + 1);
        self.sequence.get()
    }

    /// The connection is over.
    pub(crate) fn close(&self) {
        self.open.set(false);
    }

    /// Waits for the peer, and writes what is said meanwhile.
    pub(crate) async fn next(&self, wire: &mut Wire) -> Next {
        tokio::select! {
            biased;
            () = self.wake.notified() => {
                let octets = self.out.take();
                let written = octets.is_empty() || wire.write(&octets).await.is_ok();
                if self.cut.get() || !written {
                    return Next::End;
                }
                Next::Wrote
            }
            frame = wire.try_next() => frame.map_or(Next::End, Next::Frame),
        }
    }
}
