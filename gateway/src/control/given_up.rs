//! Whether what was asked for may still be given up, as whoever asked has gone: a client that waited long enough would take an
//! order that comes to hold later for one that was refused.

use std::cell::Cell;
use std::future::{Future, pending};

use tokio::sync::oneshot;

use super::Answer;

/// Until when work may stop halfway.
#[derive(Debug, Default)]
pub(super) struct GivingUp {
    is_over: Cell<bool>,
}

impl GivingUp {
    /// From here on the work goes on to its end: what is on disk is to hold, too. Nothing may be awaited between the last look
    /// at whether it is still wanted and this.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    /// Does the work, unless whoever waits for its answer goes while it may stop: `None`. Asked whenever the work goes on, and
    /// before it, so that what it awaited last has no effect that nobody wants.
    pub(super) async fn or_done(
        &self,
        answer: &mut oneshot::Sender<Answer>,
        work: impl Future<Output = Answer>,
    ) -> Option<Answer> {
        let gone = async {
            answer.closed().await;
            if self.is_over.get() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = gone => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// What becomes of work that waits for something while its asker goes, and for which it is too late to stop before or
    /// not; and whether it had its effect.
    async fn left(is_too_late: bool) -> (Option<Answer>, bool) {
        let giving_up = GivingUp::default();
        let (mut answer, asker) = oneshot::channel();
        let (go_on, waited_for) = oneshot::channel::<()>();
        let is_done = Cell::new(false);
        let work = async {
            if is_too_late {
                giving_up.end();
            }
            let _ = waited_for.await;
            is_done.set(true);
            Ok(Map::new())
        };
        let both = async {
            // Both at once: who goes counts first.
            drop(asker);
            let _ = go_on.send(());
        };
        let (done, ()) = tokio::join!(giving_up.or_done(&mut answer, work), both);
        (done, is_done.get())
    }

    #[tokio::test]
    async fn who_goes_stops_what_may_stop_and_nothing_else() {
        assert_eq!(left(false).await, (None, false));
        assert_eq!(left(true).await, (Some(Ok(Map::new())), true));
    }
}
