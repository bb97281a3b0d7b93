//! What a carrier owes its peers: receipts and MOs, dealt out over the links that receive, held back where
//! they are due later, and offered again until they are answered.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::values::MessageState;

use super::mo::Mo;
use crate::traffic::wire::Bell;

/// Deliveries that a carrier owes at most; with so many outstanding it takes and makes no message.
pub(super) const OWED_MAX: usize = 1 << 20;
/// So many go to one receiver before the next one has its turn: all links carry some, and each still has
/// something to batch.
const IN_A_ROW: usize = 8;

/// Something to be delivered.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    Receipt(Receipt),
    Mo(Mo),
}

/// A receipt that is owed.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    pub(super) id: u64,
    pub(super) from: AddressBuf,
    pub(super) to: AddressBuf,
    pub(super) accepted_ms: u64,
    pub(super) state: MessageState,
    pub(super) stage: Stage,
    /// The link that brought the message.
    pub(super) link: u64,
}

/// Which of the receipts of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// An intermediate notification, esm_class 0x20.
    Intermediate,
    /// A receipt that says that the message is on its way.
    Buffered,
    /// The receipt with the final state.
    Final,
    /// The same once more.
    Again,
}

/// A link that receives.
struct Receiver {
    key: u64,
    bell: Rc<Bell>,
    queue: VecDeque<Delivery>,
}

/// A delivery that is due later; the number keeps those due together in order.
struct Held {
    due: Duration,
    number: u64,
    delivery: Delivery,
}

/// Everything that is owed and stands in no link's window.
pub(super) struct Deliveries {
    receivers: Vec<Receiver>,
    /// Whose turn it is, and for how many deliveries still.
    turn: (usize, usize),
    /// Those for which no link receives.
    homeless: VecDeque<Delivery>,
    held: BinaryHeap<Reverse<Held>>,
    numbered: u64,
    /// Rung when something was held back.
    pub(super) bell: Rc<Bell>,
    /// Receipts never go to the link of their message while another one receives (interop quirk 4).
    pub(super) elsewhere: bool,
}

impl Deliveries {
    pub(super) fn new(elsewhere: bool) -> Self {
        Self {
            receivers: Vec::new(),
            turn: (0, IN_A_ROW),
            homeless: VecDeque::new(),
            held: BinaryHeap::new(),
            numbered: 0,
            bell: Rc::default(),
            elsewhere,
        }
    }

    /// Whether any link receives.
    pub(super) const fn has_receiver(&self) -> bool {
        !self.receivers.is_empty()
    }

    // ===== links =====

    pub(super) fn start_receiving(&mut self, key: u64, bell: &Rc<Bell>) {
        self.receivers.push(Receiver {
            key,
            bell: Rc::clone(bell),
            queue: VecDeque::new(),
        });
        for delivery in mem::take(&mut self.homeless) {
            self.assign(delivery);
        }
    }

    /// A link receives no more: others take what was meant for it.
    pub(super) fn stop_receiving(&mut self, key: u64) {
        if let Some(at) = self.receivers.iter().position(|receiver| receiver.key == key) {
            for delivery in self.receivers.remove(at).queue {
                self.assign(delivery);
            }
        }
    }

    // ===== deliveries =====

    /// Gives a delivery to the link whose turn it is.
    pub(super) fn assign(&mut self, delivery: Delivery) {
        let count = self.receivers.len();
        if count == 0 {
            self.homeless.push_back(delivery);
            return;
        }
        let (at, left) = self.turn;
        self.turn = if left > 1 {
            (at, left - 1)
        } else {
            ((at + 1) % count, IN_A_ROW)
        };
        let mut at = at % count;
        if self.elsewhere
            && let Delivery::Receipt(receipt) = &delivery
            && self.receivers[at].key == receipt.link
        {
            at = (at + 1) % count;
        }
        let receiver = &mut self.receivers[at];
        receiver.queue.push_back(delivery);
        receiver.bell.ring();
    }

    /// Gives it to a link when it is due.
    pub(super) fn hold(&mut self, due: Duration, delivery: Delivery) {
        self.numbered += 1;
        self.held.push(Reverse(Held {
            due,
            number: self.numbered,
            delivery,
        }));
        self.bell.ring();
    }

    /// Hands out what was held back until now; tells when there is more.
    pub(super) fn release(&mut self, now: Duration) -> Option<Duration> {
        while self.held.peek().is_some_and(|Reverse(held)| held.due <= now) {
            if let Some(Reverse(held)) = self.held.pop() {
                self.assign(held.delivery);
            }
        }
        self.held.peek().map(|Reverse(held)| held.due)
    }

    /// Moves what this link is to send to `out`, at most `room` of it.
    pub(super) fn hand_out(&mut self, key: u64, room: usize, out: &mut Vec<Delivery>) {
        if let Some(receiver) = self.receivers.iter_mut().find(|receiver| receiver.key == key) {
            let count = room.min(receiver.queue.len());
            out.extend(receiver.queue.drain(..count));
        }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(id: u64, link: u64) -> Delivery {
        Delivery::Receipt(Receipt {
            id,
            from: AddressBuf::default(),
            to: AddressBuf::default(),
            accepted_ms: 0,
            state: MessageState::Delivered,
            stage: Stage::Final,
            link,
        })
    }

    fn ids(deliveries: &mut Deliveries, key: u64) -> Vec<u64> {
        let mut out = Vec::new();
        deliveries.hand_out(key, usize::MAX, &mut out);
        out.iter()
            .map(|delivery| match delivery {
                Delivery::Receipt(receipt) => receipt.id,
                Delivery::Mo(_) => panic!("no MO was made"),
            })
            .collect()
    }

    #[test]
    fn links_take_turns_and_what_a_link_leaves_goes_to_the_others() {
        let mut deliveries = Deliveries::new(false);
        deliveries.assign(receipt(0, 1));
        let bell = Rc::default();
        deliveries.start_receiving(1, &bell);
        deliveries.start_receiving(2, &bell);
        for id in 1..16 {
            deliveries.assign(receipt(id, 1));
        }
        assert_eq!(ids(&mut deliveries, 1), (0..8).collect::<Vec<_>>());
        deliveries.stop_receiving(2);
        assert_eq!(ids(&mut deliveries, 1), (8..16).collect::<Vec<_>>());
        deliveries.stop_receiving(1);
        deliveries.assign(receipt(16, 1));
        deliveries.start_receiving(3, &bell);
        assert_eq!(ids(&mut deliveries, 3), [16]);
    }

    #[test]
    fn a_receipt_goes_elsewhere_only_while_there_is_an_elsewhere() {
        let mut deliveries = Deliveries::new(true);
        let bell = Rc::default();
        deliveries.start_receiving(1, &bell);
        deliveries.assign(receipt(0, 1));
        assert_eq!(ids(&mut deliveries, 1), [0]);
        deliveries.start_receiving(2, &bell);
        for id in 1..40 {
            deliveries.assign(receipt(id, 1));
        }
        assert_eq!(ids(&mut deliveries, 1), [] as [u64; 0]);
        assert_eq!(ids(&mut deliveries, 2).len(), 39);
    }

    #[test]
    fn what_is_held_back_comes_when_it_is_due_and_in_order() {
        let mut deliveries = Deliveries::new(false);
        deliveries.start_receiving(1, &Rc::default());
        let ms = Duration::from_millis;
        for (due, id) in [(20, 3), (10, 1), (10, 2)] {
            deliveries.hold(ms(due), receipt(id, 1));
        }
        assert_eq!(deliveries.release(ms(9)), Some(ms(10)));
        assert_eq!(ids(&mut deliveries, 1), [] as [u64; 0]);
        assert_eq!(deliveries.release(ms(10)), Some(ms(20)));
        assert_eq!(ids(&mut deliveries, 1), [1, 2]);
        assert_eq!(deliveries.release(ms(20)), None);
        assert_eq!(ids(&mut deliveries, 1), [3]);
    }
}
