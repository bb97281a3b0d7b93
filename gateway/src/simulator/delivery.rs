//! What a carrier owes its peers: receipts and MOs, dealt out over the links that receive, held back where
//! they are due later, and offered again until they are answered.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_codec::values::MessageState;

use super::mo::Mo;
use crate::traffic::wire::Bell;

/// Deliveries that a carrier owes at most; with so many outstanding it takes and makes no message.
pub(super) const OWED_MAX: usize = 1 << 20;
/// Accounts that a carrier tells apart; it lets no further one bind.
const ACCOUNTS_MAX: usize = 1 << 16;
/// So many go to one receiver before the next one has its turn: all links carry some, and each still has
/// something to batch.
const IN_A_ROW: usize = 8;

/// One of the accounts that have bound, by the order of their first binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account(u32);

/// Something to be delivered.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    Receipt(Receipt),
    Mo(Mo),
}

impl Delivery {
    /// It is sent now. Tells whether it was before.
    pub(super) const fn send(&mut self) -> bool {
        let sent = match self {
            Self::Receipt(receipt) => &mut receipt.sent,
            Self::Mo(mo) => &mut mo.sent,
        };
        mem::replace(sent, true)
    }
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
    /// The link that brought the message, and whose link that was: no other account's gets the receipt.
    pub(super) link: u64,
    pub(super) account: Account,
    /// It was sent before.
    pub(super) sent: bool,
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

/// The links of one account that receive, and what waits until there is one.
#[derive(Default)]
struct Pool {
    receivers: Vec<Receiver>,
    /// Whose turn it is, and for how many deliveries it has been.
    turn: usize,
    in_a_row: usize,
    homeless: VecDeque<Delivery>,
}

/// A delivery that is due later; the number keeps those due together in order.
struct Held {
    due: Duration,
    number: u64,
    delivery: Delivery,
}

/// Everything that is owed and stands in no link's window.
pub(super) struct Deliveries {
    accounts: HashMap<SystemId, Account>,
    pools: Vec<Pool>,
    receivers: usize,
    /// The pool that the last MO went to, and MOs for which no link receives.
    mo_turn: usize,
    homeless: VecDeque<Delivery>,
    held: BinaryHeap<Reverse<Held>>,
    numbered: u64,
    /// Rung when something was held back.
    pub(super) bell: Rc<Bell>,
    /// Receipts never go to the link of their message while another one receives (interop quirk 4).
    elsewhere: bool,
}

impl Pool {
    /// Gives a delivery to the link whose turn it is; back when there is none.
    fn assign(&mut self, delivery: Delivery, elsewhere: bool) {
        let count = self.receivers.len();
        if count == 0 {
            self.homeless.push_back(delivery);
            return;
        }
        if self.in_a_row >= IN_A_ROW {
            (self.turn, self.in_a_row) = (self.turn + 1, 0);
        }
        if self.turn >= count {
            self.turn = 0;
        }
        self.in_a_row += 1;
        let mut at = self.turn;
        if elsewhere
            && let Delivery::Receipt(receipt) = &delivery
            && self.receivers[at].key == receipt.link
        {
            at = (at + 1) % count;
        }
        let receiver = &mut self.receivers[at];
        receiver.queue.push_back(delivery);
        receiver.bell.ring();
    }
}

impl Deliveries {
    pub(super) fn new(elsewhere: bool) -> Self {
        Self {
            accounts: HashMap::new(),
            pools: Vec::new(),
            receivers: 0,
            mo_turn: 0,
            homeless: VecDeque::new(),
            held: BinaryHeap::new(),
            numbered: 0,
            bell: Rc::default(),
            elsewhere,
        }
    }

    /// Whether any link receives.
    pub(super) const fn has_receiver(&self) -> bool {
        self.receivers > 0
    }

    // ===== links =====

    /// The account of this name; `None` for one more than can be told apart.
    pub(super) fn account(&mut self, system_id: &SystemId) -> Option<Account> {
        if let Some(known) = self.accounts.get(system_id) {
            return Some(*known);
        }
        let number = self.pools.len();
        let account = Account(u32::try_from(number).ok().filter(|_| number < ACCOUNTS_MAX)?);
        self.accounts.insert(*system_id, account);
        self.pools.push(Pool::default());
        Some(account)
    }

    pub(super) fn start_receiving(&mut self, key: u64, account: Account, bell: &Rc<Bell>) {
        let Some(pool) = self.pools.get_mut(account.0 as usize) else {
            return;
        };
        pool.receivers.push(Receiver {
            key,
            bell: Rc::clone(bell),
            queue: VecDeque::new(),
        });
        self.receivers += 1;
        let homeless = [mem::take(&mut pool.homeless), mem::take(&mut self.homeless)];
        for delivery in homeless.into_iter().flatten() {
            self.assign(delivery);
        }
    }

    /// A link receives no more: others take what was meant for it.
    pub(super) fn stop_receiving(&mut self, key: u64, account: Account) {
        let Some(pool) = self.pools.get_mut(account.0 as usize) else {
            return;
        };
        if let Some(at) = pool.receivers.iter().position(|receiver| receiver.key == key) {
            self.receivers -= 1;
            for delivery in pool.receivers.remove(at).queue {
                self.assign(delivery);
            }
        }
    }

    // ===== deliveries =====

    /// Gives a receipt to a link of the account that sent the message, an MO to any.
    pub(super) fn assign(&mut self, delivery: Delivery) {
        let at = match &delivery {
            Delivery::Receipt(receipt) => receipt.account.0 as usize,
            Delivery::Mo(_) if self.receivers == 0 => {
                self.homeless.push_back(delivery);
                return;
            }
            Delivery::Mo(_) => {
                self.next_pool();
                self.mo_turn
            }
        };
        if let Some(pool) = self.pools.get_mut(at) {
            pool.assign(delivery, self.elsewhere);
        }
    }

    /// Goes on to the next pool in which a link receives; there is one.
    fn next_pool(&mut self) {
        for _ in 0..self.pools.len() {
            self.mo_turn = (self.mo_turn + 1) % self.pools.len();
            if !self.pools[self.mo_turn].receivers.is_empty() {
                return;
            }
        }
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
    pub(super) fn hand_out(&mut self, key: u64, account: Account, room: usize, out: &mut Vec<Delivery>) {
        let pool = self.pools.get_mut(account.0 as usize);
        if let Some(receiver) = pool.and_then(|pool| pool.receivers.iter_mut().find(|one| one.key == key)) {
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

    /// Deliveries with two accounts.
    fn with_accounts(elsewhere: bool) -> (Deliveries, [Account; 2]) {
        let mut deliveries = Deliveries::new(elsewhere);
        let accounts = ["one", "two"].map(|name| deliveries.account(&name.parse().unwrap()).unwrap());
        (deliveries, accounts)
    }

    fn receipt(id: u64, link: u64, account: Account) -> Delivery {
        Delivery::Receipt(Receipt {
            id,
            from: AddressBuf::default(),
            to: AddressBuf::default(),
            accepted_ms: 0,
            state: MessageState::Delivered,
            stage: Stage::Final,
            link,
            account,
            sent: false,
        })
    }

    /// Ids of receipts and numbers of MOs.
    fn handed_out(deliveries: &mut Deliveries, key: u64, account: Account) -> Vec<u64> {
        let mut out = Vec::new();
        deliveries.hand_out(key, account, usize::MAX, &mut out);
        out.iter()
            .map(|delivery| match delivery {
                Delivery::Receipt(receipt) => receipt.id,
                Delivery::Mo(mo) => mo.n.into(),
            })
            .collect()
    }

    #[test]
    fn links_take_turns_and_what_a_link_leaves_goes_to_the_others() {
        let (mut deliveries, [one, _]) = with_accounts(false);
        deliveries.assign(receipt(0, 1, one));
        let bell = Rc::default();
        deliveries.start_receiving(1, one, &bell);
        deliveries.start_receiving(2, one, &bell);
        for id in 1..16 {
            deliveries.assign(receipt(id, 1, one));
        }
        assert_eq!(handed_out(&mut deliveries, 1, one), (0..8).collect::<Vec<_>>());
        deliveries.stop_receiving(2, one);
        assert_eq!(handed_out(&mut deliveries, 1, one), (8..16).collect::<Vec<_>>());
        deliveries.stop_receiving(1, one);
        assert!(!deliveries.has_receiver());
        deliveries.assign(receipt(16, 1, one));
        deliveries.start_receiving(3, one, &bell);
        assert_eq!(handed_out(&mut deliveries, 3, one), [16]);
    }

    #[test]
    fn a_receipt_waits_for_a_link_of_its_own_account_and_an_mo_takes_any() {
        let (mut deliveries, [one, two]) = with_accounts(false);
        deliveries.start_receiving(1, one, &Rc::default());
        deliveries.assign(receipt(7, 2, two));
        for n in 0..2 {
            deliveries.assign(Delivery::Mo(Mo {
                n,
                part: 0,
                sent: false,
            }));
        }
        assert_eq!(handed_out(&mut deliveries, 1, one), [0, 1]);
        deliveries.stop_receiving(1, one);
        deliveries.assign(Delivery::Mo(Mo {
            n: 2,
            part: 0,
            sent: false,
        }));
        deliveries.start_receiving(3, two, &Rc::default());
        assert_eq!(handed_out(&mut deliveries, 3, two), [7, 2]);
        assert_eq!(deliveries.account(&"one".parse().unwrap()), Some(one));
    }

    #[test]
    fn a_receipt_goes_elsewhere_only_while_there_is_an_elsewhere() {
        let (mut deliveries, [one, _]) = with_accounts(true);
        let bell = Rc::default();
        deliveries.start_receiving(1, one, &bell);
        deliveries.assign(receipt(0, 1, one));
        assert_eq!(handed_out(&mut deliveries, 1, one), [0]);
        deliveries.start_receiving(2, one, &bell);
        for id in 1..40 {
            deliveries.assign(receipt(id, 1, one));
        }
        assert_eq!(handed_out(&mut deliveries, 1, one), [] as [u64; 0]);
        assert_eq!(handed_out(&mut deliveries, 2, one).len(), 39);
    }

    #[test]
    fn what_is_held_back_comes_when_it_is_due_and_in_order() {
        let (mut deliveries, [one, _]) = with_accounts(false);
        deliveries.start_receiving(1, one, &Rc::default());
        let ms = Duration::from_millis;
        for (due, id) in [(20, 3), (10, 1), (10, 2)] {
            deliveries.hold(ms(due), receipt(id, 1, one));
        }
        assert_eq!(deliveries.release(ms(9)), Some(ms(10)));
        assert_eq!(handed_out(&mut deliveries, 1, one), [] as [u64; 0]);
        assert_eq!(deliveries.release(ms(10)), Some(ms(20)));
        assert_eq!(handed_out(&mut deliveries, 1, one), [1, 2]);
        assert_eq!(deliveries.release(ms(20)), None);
        assert_eq!(handed_out(&mut deliveries, 1, one), [3]);
    }

    #[test]
    fn accounts_are_bounded() {
        let mut deliveries = Deliveries::new(false);
        for number in 0..ACCOUNTS_MAX {
            assert!(deliveries.account(&number.to_string().parse().unwrap()).is_some());
        }
        assert_eq!(deliveries.account(&"more".parse().unwrap()), None);
        assert!(deliveries.account(&"7".parse().unwrap()).is_some());
    }

    #[test]
    fn a_delivery_knows_whether_it_was_sent_before() {
        let mut delivery = receipt(1, 1, Account::default());
        assert!(!delivery.send() && delivery.send());
    }
}
