//! One thing that is to be done later: who sets another time for it takes the earlier one back.

use std::cell::Cell;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};

/// At most one task that waits. Belongs to the loop's thread.
#[derive(Default)]
pub(crate) struct LastTimer(Cell<Option<AbortHandle>>);

impl LastTimer {
    /// Does something after so long, and nothing of what was set before.
    pub(crate) fn set(&self, after: Duration, then: impl FnOnce() + 'static) {
        let task = spawn_local(async move {
            tokio::time::sleep(after).await;
            then();
        });
        self.replace(Some(task.abort_handle()));
    }

    /// Does nothing of it.
    pub(crate) fn clear(&self) {
        self.replace(None);
    }

    fn replace(&self, task: Option<AbortHandle>) {
        // One that has done its work is not there to be stopped.
        if let Some(before) = self.0.replace(task) {
            before.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_last_waits_and_is_done() {
        let scene = async {
            let (timer, done) = (LastTimer::default(), Rc::new(Cell::new(0)));
            for number in 1..=100 {
                let done = Rc::clone(&done);
                timer.set(Duration::from_secs(24 * 3_600), move || {
                    done.set(done.get() + number);
                });
            }
            // So many turns of the runtime and no time let those go that were taken back.
            for _ in 0..100 {
                yield_now().await;
            }
            // Ours, and that of the last.
            assert_eq!(Rc::strong_count(&done), 2);
            tokio::time::sleep(Duration::from_secs(25 * 3_600)).await;
            assert_eq!((done.get(), Rc::strong_count(&done)), (100, 1));
            let later = Rc::clone(&done);
            timer.set(Duration::from_secs(1), move || later.set(0));
            timer.clear();
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!((done.get(), Rc::strong_count(&done)), (100, 1));
        };
        LocalSet::new().run_until(scene).await;
    }
}
