//! Has the keeper make the filters of the history's closed periods, some blocks at a time, and tells what there is.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report};

use crate::serve::Hub;
use crate::telemetry::HistoryMetrics;

/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What lies between two steps, for all others who want something of the keeper.
const PAUSE: Duration = Duration::from_millis(5);

/// Goes on until the gateway ends.
pub(crate) async fn tend<D: Disk>(hub: Rc<Hub<D>>, metrics: HistoryMetrics) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        loop {
            let order = Order::Filters(hub.now().unix_ms);
            let more = match hub.ask_history(order).await {
                Ok(Report::Filters(more, filters, octets)) => {
                    metrics.tell(&filters, octets);
                    more
                }
                Ok(_) => false,
                // The gateway ends: nothing of it fails but that.
                Err(_) => return,
            };
            if !more {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
