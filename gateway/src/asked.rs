//! What is asked of history: each question goes to the keeper as an order, and its answer comes back to who asked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_store::disk::Disk;
use tidegate_store::history::{Cursor, Kept, Looked, Order, OrderError, Query, Report};
use tidegate_store::seal::Purpose;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::serve::Hub;

/// Orders that wait or are done at a time: the keeper has more to do.
const AT_ONCE: usize = 2;

type Told = Result<Report, OrderError>;

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) struct Asked {
    places: Arc<Semaphore>,
    /// With the place of each: it is free again when the order is done, not when who asked has gone.
    waiting: RefCell<BTreeMap<u64, (oneshot::Sender<Told>, OwnedSemaphorePermit)>>,
    next: Cell<u64>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: RefCell::default(),
            next: Cell::new(0),
        }
    }
}

impl Asked {
    /// An answer has come; who has gone does not want to know.
    pub(crate) fn answered(&self, number: u64, told: Told) {
        if let Some((who, _place)) = self.waiting.borrow_mut().remove(&number) {
            let _ = who.send(told);
        }
    }
}

impl<D: Disk> Hub<D> {
    /// Has history do something, and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub(crate) async fn ask_history(&self, order: Order) -> Result<Report, String> {
        let ends = || "the gateway ends".to_owned();
        let places = Arc::clone(&self.history.places);
        let place = places.acquire_owned().await.map_err(|_| ends())?;
        let number = self.history.next.get();
        self.history.next.set(number.wrapping_add(1));
        let (answer, told) = oneshot::channel();
        self.history.waiting.borrow_mut().insert(number, (answer, place));
        self.give_history(number, order);
        told.await.map_err(|_| ends())?.map_err(|error| error.to_string())
    }

    /// One slice of a look for finished messages.
    pub(crate) async fn history_slice(
        &self,
        query: &Query,
        class: Kept,
        purpose: Purpose,
        cursor: Cursor,
    ) -> Result<Looked, String> {
        let order = Order::Look {
            query: query.clone(),
            class,
            cursor,
            purpose,
        };
        match self.ask_history(order).await? {
            Report::Looked(looked) => Ok(looked),
            _ => Err("history answers something else".to_owned()),
        }
    }

    /// Looks for finished messages until `each` has enough and says so, slice by slice.
    pub(crate) async fn look_in_history(
        &self,
        query: &Query,
        class: Kept,
        purpose: Purpose,
        mut each: impl FnMut(Looked) -> bool,
    ) -> Result<(), String> {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let mut looked = self.history_slice(query, class, purpose, at).await?;
            cursor = looked.next.take();
            if each(looked) {
                break;
            }
        }
        Ok(())
    }
}
