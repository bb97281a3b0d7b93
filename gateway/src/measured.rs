//! How things stand with each account and carrier, measured once for all who show it: the metrics and the
//! [board](crate::board).

use tidegate_store::disk::Disk;
use tidegate_store::message_id::MessageId;
use tidegate_store::usage::Used;

use crate::clock::Now;
use crate::connect::link_kinds;
use crate::gate::Gate;

/// An account at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountNow {
    /// Its binds, in the order of `BindKind`.
    pub bound: [usize; 3],
    /// Submits that it has no answer to yet, and deliveries that it has not answered.
    pub window: [usize; 2],
    /// Its messages in memory without a final state.
    pub unfinished: usize,
    /// Receipts and MOs that wait for it.
    pub outbox: usize,
    /// What counts towards its quota.
    pub used: Used,
    /// Whether an operator has suspended it.
    pub is_suspended: bool,
    /// How many of its senders are.
    pub suspended_senders: usize,
    /// How many of its messages are held.
    pub held: usize,
    /// The age of the oldest of them, in milliseconds.
    pub held_oldest_ms: u64,
}

/// A carrier at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarrierNow {
    /// Its links, in the order of `BindKind`.
    pub bound: [usize; 3],
    /// Links that the configuration asks for; none of a carrier that it no longer has, or that was drained.
    pub wanted: usize,
    /// Submits under way, and how many may be.
    pub window: [usize; 2],
    /// What waits for it.
    pub queue: usize,
    /// Whether it is sent less because it asked for that.
    pub is_slowed: bool,
    /// Whether an operator has paused or drained it.
    pub is_halted: bool,
}

/// All of them, each in its place of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Accounts.
    pub accounts: Vec<AccountNow>,
    /// Carriers.
    pub carriers: Vec<CarrierNow>,
    /// How long what is next in line has waited, in milliseconds, by account; 0 where nothing stands in line.
    pub account_oldest_ms: Vec<u64>,
    /// The same by carrier.
    pub carrier_oldest_ms: Vec<u64>,
}

impl Measured {
    /// Measures all but the lines.
    pub fn take<D: Disk>(&mut self, gate: &mut Gate<D>, now: Now) {
        self.accounts.clear();
        for place in 0..gate.accounts().len() {
            let used = gate.used(place, now);
            self.accounts.push(account(gate, place, used, now));
        }
        self.carriers.clear();
        for place in 0..gate.carriers().len() {
            self.carriers.push(carrier(gate, place, now));
        }
        self.account_oldest_ms.resize(self.accounts.len(), 0);
        self.carrier_oldest_ms.resize(self.carriers.len(), 0);
    }

    /// Looks at the head of each line: there may be a thousand at each carrier.
    pub fn take_oldest<D: Disk>(&mut self, gate: &Gate<D>, now: Now) {
        self.account_oldest_ms.fill(0);
        self.carrier_oldest_ms.fill(0);
        let index = gate.spool().index();
        for (oldest_ms, state) in self.carrier_oldest_ms.iter_mut().zip(gate.carriers()) {
            for (account, leg) in state.waiting.heads() {
                let Some(leg) = index.get(leg) else {
                    continue;
                };
                let age_ms = now.unix_ms.saturating_sub(leg.envelope.accepted_ms);
                *oldest_ms = age_ms.max(*oldest_ms);
                let of_account = gate
                    .account_named(account)
                    .and_then(|place| self.account_oldest_ms.get_mut(place));
                if let Some(oldest_ms) = of_account {
                    *oldest_ms = age_ms.max(*oldest_ms);
                }
            }
        }
    }
}

fn account<D: Disk>(gate: &Gate<D>, place: usize, used: Used, now: Now) -> AccountNow {
    let state = &gate.accounts()[place];
    let held = gate.spool().index().held();
    let oldest = held.of(state.name, (MessageId(0), 0)).next();
    let under_way = gate.under_way(&state.links);
    let name = gate.config().accounts[place].system_id;
    AccountNow {
        bound: under_way.bound,
        window: [under_way.theirs, under_way.ours],
        unfinished: gate.spool().index().len_of(state.name),
        outbox: gate.spool().outbox().waiting_for(state.name),
        used,
        is_suspended: gate.orders().suspended_ms(name.as_str()).is_some(),
        suspended_senders: gate.orders().senders_of(name.as_str()).count(),
        held: held.len_of(state.name),
        held_oldest_ms: oldest.map_or(0, |(message, _)| now.unix_ms.saturating_sub(message.ms())),
    }
}

fn carrier<D: Disk>(gate: &Gate<D>, place: usize, now: Now) -> CarrierNow {
    let (state, config) = (&gate.carriers()[place], &gate.config().carriers[place]);
    // Of one that was drained none is missed.
    let wanted = if state.removed || state.is_drained {
        0
    } else {
        link_kinds(config.binds, config.links).len()
    };
    CarrierNow {
        bound: gate.under_way(&state.bound).bound,
        wanted,
        window: [state.unanswered(&gate.links), config.window * state.links.len()],
        queue: state.waiting.len(),
        is_slowed: state.flow.is_slowed(now.monotonic),
        is_halted: state.halted.is_some(),
    }
}
