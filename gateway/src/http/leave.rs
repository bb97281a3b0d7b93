//! An answer that goes on for as long as its reader likes, such as a stream of events, leaves the bounds of ordinary requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::crowd::Place;

/// A connection's leave: every request finds it among its extensions. Who takes it has a bound of its own.
#[derive(Clone, Debug)]
pub struct Leave(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The connection's place among those that are served at a time.
    place: Mutex<Option<Place>>,
    is_taken: AtomicBool,
    cut: Notify,
}

impl Leave {
    pub(crate) fn new(place: Option<Place>) -> Self {
        Self(Arc::new(Inner {
            place: Mutex::new(place),
            is_taken: AtomicBool::new(false),
            cut: Notify::new(),
        }))
    }

    /// From now on the connection takes nobody's place, and has time.
    pub fn take(&self) {
        self.0.is_taken.store(true, Ordering::Relaxed);
        drop(self.0.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends the connection, whatever waits to be written.
    pub fn cut(&self) {
        self.0.cut.notify_one();
    }

    /// Whether it was taken.
    pub(super) fn is_taken(&self) -> bool {
        self.0.is_taken.load(Ordering::Relaxed)
    }

    /// Done when the connection is to end.
    pub(crate) async fn ended(&self) {
        self.0.cut.notified().await;
    }
}
