//! Messages that a rule about abuse has held (FRD-5): taken in, acknowledged and synced like any other, and handed over to nobody
//! until a person has released them.
//!
//! That one is held is its stage in the spool, in the record that accepts it; so it is held after any crash. A release is the
//! whole leg once more, as one that waits, and nobody hands it on before that is synced. Its validity, and with it its receipt, run as ever.

use bytes::Bytes;
use tidegate_codec::values::{InterfaceVersion, MessageState};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::message_id::MessageId;
use tidegate_store::record::Stage;
use tidegate_store::spool::{Refused, Target};
use tokio::sync::oneshot;

use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::telemetry::words::HeldEnd;
use crate::turn::Promise;

/// Messages that are held, over all accounts: with what stands in the index, some 20 MB. Each account has its own `held_max`.
pub const HELD_MAX: usize = 100_000;

/// Decisions about them at a time that are not known to be on disk: each is followed until it is, or until nothing can be.
pub(crate) const JUDGED_MAX: usize = 64;

/// Held messages that are read for somebody at a time.
const LOOKS_MAX: usize = 16;

impl HeldEnd {
    /// By the final state of one that has ended held.
    pub(crate) const fn of(state: MessageState) -> Self {
        match state {
            MessageState::Rejected => Self::Rejected,
            MessageState::Expired => Self::Expired,
            MessageState::Deleted => Self::Deleted,
            _ => Self::Unreadable,
        }
    }
}

/// What a person decides of a held message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Release,
    /// It ends as REJECTED, with a receipt if one was asked for.
    Reject,
}

impl<D: Disk> Gate<D> {
    /// Whether one more message of an account may be held.
    pub(crate) fn may_hold(&self, account: usize) -> bool {
        let held = self.spool.index().held();
        let max = usize::try_from(self.config.accounts[account].abuse.held_max).unwrap_or(usize::MAX);
        held.len() < HELD_MAX && held.len_of(self.accounts[account].name) < max
    }

    /// The legs of a message that are held, by their numbers.
    pub(crate) fn held_legs(&self, message: MessageId) -> Vec<LegId> {
        let legs = self.spool.index().legs_of(message);
        let mut held: Vec<(u16, LegId)> = legs
            .filter(|(_, leg)| leg.stage == Stage::Held && !leg.leased)
            .map(|(id, leg)| (leg.leg, id))
            .collect();
        held.sort_unstable();
        held.into_iter().map(|(_, id)| id).collect()
    }

    /// Stages that one leg goes on, with its body as it was read; `false` if it has ended meanwhile, or was released.
    ///
    /// # Errors
    ///
    /// The spool takes nothing now: it stays held.
    pub(crate) fn release_held(&mut self, now: Now, leg: LegId, body: &[u8]) -> Result<bool, Refused> {
        let Some(found) = self.spool.index().get(leg) else {
            return Ok(false);
        };
        // The client's own date still counts; what is over ends by its own.
        let has_date = found.due_ms > now.unix_ms && found.due_ms < found.envelope.expires_ms;
        let due_ms = if has_date { found.due_ms } else { now.unix_ms };
        let account = self.account_named(found.account);
        let released = self
            .spool
            .release(now.unix_ms, leg, due_ms, body, &mut self.rng)?;
        let Some(leg) = released else { return Ok(false) };
        self.promises.push(Promise::Released { leg });
        if let Some(account) = account {
            self.accounts[account].tally.held_ended.add(HeldEnd::Released);
        }
        Ok(true)
    }

    /// Stages that one leg ends as REJECTED; `false` if it has ended meanwhile, or was released.
    ///
    /// # Errors
    ///
    /// The spool takes nothing now: it stays held.
    pub(crate) fn reject_held(&mut self, now: Now, leg: LegId) -> Result<bool, Refused> {
        let Some(found) = self.spool.index().get(leg).filter(|leg| leg.stage == Stage::Held) else {
            return Ok(false);
        };
        // As a rule about content says it to who submits.
        let status = Refusal::Content.status(InterfaceVersion(found.envelope.interface_version));
        let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
        self.end_leg(now, leg, &note, true)?;
        Ok(true)
    }

    /// Has the body of a held leg read back for somebody to look at; it stays where it is.
    pub(crate) fn read_for_a_look(
        &mut self,
        leg: LegId,
        look: oneshot::Sender<Bytes>,
    ) -> Result<(), &'static str> {
        const BUSY: &str = "others look at held messages at this moment: ask again";
        if let Some(before) = self.looks.get_mut(&leg) {
            if !before.is_closed() {
                return Err(BUSY);
            }
            // It is being read already, for one who has gone.
            *before = look;
            return Ok(());
        }
        if self.looks.len() >= LOOKS_MAX {
            return Err(BUSY);
        }
        self.looks.insert(leg, look);
        self.wanted.push(Target::Leg(leg));
        Ok(())
    }

    /// The release of a leg is on disk: it goes on from here.
    pub(crate) fn released(&mut self, now: Now, leg: LegId) {
        self.spool.set_leased(leg, false);
        self.set_out(now, leg, None);
    }
}
