//! The second thread: everything that touches files other than the newest, in batches from and to the loop.
//!
//! The loop must never wait for it, so chores go through a bounded channel and outcomes come back through
//! another. In tests both ends run on one thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use tidegate_store::disk::Disk;
use tidegate_store::spool::{Chore, ChoreDone, Keeper};
use tokio::sync::mpsc;

use crate::audit::Log;
use crate::telemetry::KeyMetrics;

pub(crate) mod exports;
pub(crate) mod rotation;

pub use exports::ExportKeys;
pub use rotation::RingOrder;

use rotation::Rotation;

/// Chores that may wait for the keeper. The spool has a handful of kinds and one of each out at a time;
/// reading back adds a few.
pub const CHORES_MAX: usize = 16;
/// Orders about the key ring that may wait.
const ORDERS_MAX: usize = 4;

/// The loop's end of the keeper.
pub struct KeeperHandle<D: Disk> {
    chores: mpsc::Sender<Chore<D>>,
}

impl<D: Disk> KeeperHandle<D> {
    /// Whether a chore can be given now.
    pub fn has_room(&self) -> bool {
        self.chores.capacity() > 0
    }

    /// Gives a chore; the caller has asked [`KeeperHandle::has_room`]. A keeper that is gone (the gateway
    /// ends) drops it: chores are made anew at the next start.
    pub fn give(&self, chore: Chore<D>) {
        let _ = self.chores.try_send(chore);
    }
}

/// The two ends that the keeper's own side needs, and the handle for the loop.
pub struct Ends<D: Disk> {
    /// For the loop.
    pub handle: KeeperHandle<D>,
    /// Outcomes, for the loop.
    pub done: mpsc::Receiver<ChoreDone<D>>,
    /// For orders about the key ring.
    pub ring: mpsc::Sender<RingOrder>,
    /// For [`run`].
    pub inbox: Inbox<D>,
}

/// The keeper's end.
pub struct Inbox<D: Disk> {
    chores: mpsc::Receiver<Chore<D>>,
    done: mpsc::Sender<ChoreDone<D>>,
    orders: mpsc::Receiver<RingOrder>,
}

/// Makes both channels.
pub fn ends<D: Disk>() -> Ends<D> {
    let (chores, inbox) = mpsc::channel(CHORES_MAX);
    let (outbox, done) = mpsc::channel(CHORES_MAX);
    let (ring, orders) = mpsc::channel(ORDERS_MAX);
    Ends {
        handle: KeeperHandle { chores },
        done,
        ring,
        inbox: Inbox {
            chores: inbox,
            done: outbox,
            orders,
        },
    }
}

/// Does chores until the loop is gone. Blocks its thread while it does one. What the audit log must hold of a chore is
/// entered first; where it cannot be, the chore is tried again later, and until then what it is about stays where it is.
pub async fn run<D: Disk>(
    mut keeper: Keeper<D>,
    mut inbox: Inbox<D>,
    log: Option<Rc<RefCell<Log<D>>>>,
    mut rng: ChaCha20Rng,
    keys: KeyMetrics,
) {
    keys.publish(keeper.ring());
    let mut rotation = Rotation::of(&keeper, log.clone());
    let mut is_ordered = true;
    loop {
        let is_due = rotation.is_due(&keeper);
        let chore = tokio::select! {
            biased;
            chore = inbox.chores.recv() => match chore {
                Some(chore) => chore,
                None => break,
            },
            order = inbox.orders.recv(), if is_ordered => {
                match order {
                    Some(order) => rotation.obey(order, &mut keeper, &mut rng),
                    None => is_ordered = false,
                }
                keys.publish(keeper.ring());
                continue;
            }
            // Behind all that waits; and this thread has other work, too.
            () = tokio::task::yield_now(), if is_due => {
                rotation.step(&mut keeper, &mut rng);
                keys.publish(keeper.ring());
                continue;
            }
        };
        let entered = match (&log, chore.to_be_audited()) {
            (Some(log), Some(entries)) if !entries.is_empty() => log.borrow_mut().enter(&entries),
            _ => Ok(()),
        };
        let done = match entered {
            Ok(()) => keeper.run(chore, &mut rng),
            Err(why) => match chore.refused(io::Error::other(why)) {
                Ok(done) => done,
                Err(chore) => keeper.run(chore, &mut rng),
            },
        };
        if inbox.done.send(done).await.is_err() {
            break;
        }
        // Or chores that never end would hold it up.
        if rotation.is_due(&keeper) {
            rotation.step(&mut keeper, &mut rng);
        }
        keys.publish(keeper.ring());
    }
    // An end in good order leaves no ring that needs two keys: some seconds where there are a million keys.
    while rotation.is_due(&keeper) {
        rotation.step(&mut keeper, &mut rng);
    }
}
