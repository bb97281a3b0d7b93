//! cancel_sm: of one message by its id, or of all that wait between two addresses.

use std::collections::VecDeque;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::pdu::ancillary::CancelSm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState};
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::MessageId;
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::Pending;

use super::query::unnamed;
use crate::admission::widen;
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::turn::{Owed, Promise};

/// Cancels of all between two addresses that are under way or wait for their turn.
const CANCELS_MAX: usize = 256;
/// What one turn does for them, in legs that are looked at: a millisecond or two, however many wait between the two.
const WORK_MAX: usize = 4_096;
/// What ending a leg counts as, beside looking at one.
const END_WORK: usize = 3;

/// A cancel of all that waits between two addresses.
#[derive(Debug)]
struct Sweep {
    owed: Owed,
    account: usize,
    addresses: Addresses,
    service_type: ServiceType,
    /// What was submitted behind the cancel is not meant: its id is not below this.
    before: MessageId,
    /// Something was ended.
    has_ended: bool,
}

impl Sweep {
    /// Whether a leg between the two numbers is meant. TON and NPI that are both 0 say nothing, as where an id is given.
    fn is_meant(&self, leg: &Leg) -> bool {
        let is_same = |given: AddressBuf, of: AddressBuf| {
            let (ton, npi) = (given.ton(), given.npi());
            (ton.0, npi.0) == (0, 0) || (ton, npi) == (of.ton(), of.npi())
        };
        let addresses = &leg.envelope.addresses;
        leg.message < self.before
            && (self.service_type.is_default() || leg.envelope.service_type == self.service_type)
            && is_same(self.addresses.source(), addresses.source())
            && is_same(self.addresses.destination(), addresses.destination())
    }
}

/// Cancels of all between two addresses, done one after the other.
#[derive(Debug)]
pub(crate) struct Sweeps {
    waiting: VecDeque<Sweep>,
    /// The first of them is walking along its legs.
    is_walking: bool,
    /// What this turn may still do.
    left: usize,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            is_walking: false,
            left: WORK_MAX,
        }
    }
}

impl<D: Disk> Gate<D> {
    /// Ends what no carrier has yet, with the state DELETED. A leg that is with a carrier, on a carrier link, or being
    /// read back on its way there cannot be called back. All that is still under way is ended, or nothing is and the
    /// cancel fails: its answer is true of every recipient that memory knows. (Recipients that wait for their receipts
    /// in files count as finished.) With a destination it is about that one only.
    ///
    /// Without an id it means every message that waits between two addresses: see [`Gate::sweep`].
    pub(super) fn cancel(&mut self, now: Now, owed: Owed, account: usize, cancel: &CancelSm<'_>) {
        let failed = CommandStatus::RCANCELFAIL;
        if cancel.message_id.is_empty() {
            return self.sweep(now, owed, account, cancel);
        }
        let message = match self.message_named(account, cancel.message_id.as_bytes(), cancel.source) {
            Ok(message) => message,
            Err(why) => return self.not_done(owed, unnamed(why, failed)),
        };
        if let Err(refusal) = self.may_change() {
            return self.not_done(owed, refusal.status(InterfaceVersion::V3_4));
        }
        let to_any = cancel.destination.addr.is_empty();
        let to = self
            .addressing_of(account)
            .destination_meant(widen(cancel.destination));
        let is_meant = |leg: &Leg| to_any || to.is(&leg.envelope.addresses.destination());
        let meant = self
            .spool
            .index()
            .legs_of(message)
            .filter(|(_, leg)| is_meant(leg));
        let ours: Option<Vec<(u16, LegId)>> = meant
            .map(|(id, leg)| self.is_ours(now, id, leg).then_some((leg.leg, id)))
            .collect();
        let Some(mut legs) = ours.filter(|legs| !legs.is_empty()) else {
            return self.not_done(owed, failed);
        };
        // The index names them in no order, and their DLRs follow this one.
        legs.sort_unstable();
        let note = ReceiptNote::new(MessageState::Deleted);
        for (_, leg) in legs {
            if self.end_ours(now, leg, &note, true).is_err() {
                return self.not_done(owed, CommandStatus::RSYSERR);
            }
        }
        self.promises.push(Promise::Change { owed, leg: None });
    }

    /// Ends every message of the account that waits between two addresses, and of one service_type if that is given
    /// (smpp-pdus.md §4.5). What a carrier has or is getting stays, and so does what is not on disk yet when its turn
    /// comes, or was submitted behind the cancel. The answer is success once all that was ended is on disk, and 0x11 where nothing
    /// was: also where an address is missing, which would be every message from, or to, anybody.
    fn sweep(&mut self, now: Now, owed: Owed, account: usize, cancel: &CancelSm<'_>) {
        if cancel.source.addr.is_empty() || cancel.destination.addr.is_empty() {
            return self.not_done(owed, CommandStatus::RCANCELFAIL);
        }
        let may = match self.may_change() {
            Ok(()) if self.sweeps.waiting.len() >= CANCELS_MAX => Err(Refusal::Throttled),
            may => may,
        };
        if let Err(refusal) = may {
            return self.not_done(owed, refusal.status(InterfaceVersion::V3_4));
        }
        let sweep = Sweep {
            owed,
            account,
            addresses: {
                let addressing = self.addressing_of(account);
                let source = addressing.source_meant(widen(cancel.source));
                let destination = addressing.destination_meant(widen(cancel.destination));
                Addresses::new(source.kept(), destination.kept())
            },
            service_type: ServiceType::new(cancel.service_type.as_bytes()).unwrap_or_default(),
            before: self.spool.next_id(now.unix_ms),
            has_ended: false,
        };
        self.sweeps.waiting.push_back(sweep);
        self.sweep_on(now);
    }

    /// A turn ends: so much may be done for cancels until the next one has.
    pub(crate) const fn allow_sweeping(&mut self) {
        self.sweeps.left = WORK_MAX;
    }

    /// Whether a cancel can go on at once.
    pub(crate) fn is_sweeping(&self) -> bool {
        !self.sweeps.waiting.is_empty() && self.has_sweep_room()
    }

    fn has_sweep_room(&self) -> bool {
        self.spool.is_broken() || self.spool.has_batch_room() && self.spool.has_progress_room()
    }

    /// Goes on with the cancels as far as this turn may.
    pub(crate) fn sweep_on(&mut self, now: Now) {
        while self.sweeps.left > 0 && self.has_sweep_room() {
            let Some(mut sweep) = self.sweeps.waiting.pop_front() else {
                return;
            };
            match self.sweep_slice(now, &mut sweep) {
                None => return self.sweeps.waiting.push_front(sweep),
                Some(status) => {
                    self.sweeps.is_walking = false;
                    self.swept(sweep.owed, status);
                }
            }
        }
    }

    /// Walks along a cancel's legs as far as this turn may, and ends those that are meant; says how it came out when
    /// all have been met.
    fn sweep_slice(&mut self, now: Now, sweep: &mut Sweep) -> Option<CommandStatus> {
        if self.spool.is_broken() {
            return Some(CommandStatus::RSYSERR);
        }
        if !std::mem::replace(&mut self.sweeps.is_walking, true) {
            let name = self.accounts[sweep.account].name;
            self.spool.begin_walk(name, &sweep.addresses);
        }
        let mut legs = Vec::new();
        while self.sweeps.left > 0
            && let Some(id) = self.spool.walk_on()
        {
            let mut work = 1;
            let index = self.spool.index();
            if let Some(leg) = index.get(id).filter(|leg| sweep.is_meant(leg)) {
                // Of a message in parts all is called back, or nothing.
                let whole = match leg.part() {
                    Some(_) => index
                        .find(leg.message, leg.whole())
                        .filter(|id| index.get(*id).is_some_and(|leg| self.is_ours(now, *id, leg))),
                    None => Some(id),
                };
                legs.extend(whole.map(|id| (leg.message, leg.whole(), id)));
                work += END_WORK;
            }
            self.sweeps.left = self.sweeps.left.saturating_sub(work);
        }
        // Their DLRs follow in the order in which they came, as far as one turn goes.
        legs.sort_unstable();
        legs.dedup();
        let note = ReceiptNote::new(MessageState::Deleted);
        for (_, _, leg) in legs {
            if self.end_ours(now, leg, &note, true).is_err() {
                return Some(CommandStatus::RSYSERR);
            }
            sweep.has_ended = true;
        }
        self.spool.is_walked().then_some(if sweep.has_ended {
            CommandStatus::ROK
        } else {
            CommandStatus::RCANCELFAIL
        })
    }

    fn swept(&mut self, owed: Owed, status: CommandStatus) {
        if !status.is_ok() {
            return self.not_done(owed, status);
        }
        // What it ended in turns before may be on disk already, with nothing staged behind it.
        if self.spool.pending() == Pending::Nothing {
            self.respond(owed.link, owed.response, owed.sequence, status, |_| {});
        } else {
            self.promises.push(Promise::Change { owed, leg: None });
        }
    }
}
