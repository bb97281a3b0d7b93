//! Late receipts: the waiting files are asked, and what they hold comes back into the index to end.

use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::index::{KnownAs, Leg, LegId, Location};
use crate::names::NameId;
use crate::record::Stage;
use crate::waiting::{FoundLeg, WaitingCounts};

use super::{Refused, Spool};

/// A leg that was found in a waiting file, in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// It has come back for this: end it, or [`Spool::let_go`] of it.
    Fresh(LegId),
    /// It was there already, and stays until it ends.
    There(LegId),
    /// It has ended meanwhile.
    Ended,
}

impl<D: Disk> Spool<D> {
    /// Asks the waiting files for the leg that a carrier knows by one of these ids, in their canonical form. The
    /// answer comes with [`Finished::Found`] under `token`.
    ///
    /// `Ok(false)` when there is none as far as memory knows: nothing is asked.
    pub fn ask(&mut self, token: u64, carrier: NameId, ids: &[MessageIdText]) -> Result<bool, Refused> {
        let Some(question) = self.waits.question(token, self.names.name(carrier), ids) else {
            return Ok(false);
        };
        if self.broken {
            return Err(Refused::Broken);
        }
        if !self.waits.may_ask() {
            return Err(Refused::Full);
        }
        self.waits.asked += 1;
        self.waits.questions.push(question);
        Ok(true)
    }

    /// Whether the waiting files may hold a leg that a carrier knows by one of these ids.
    pub fn may_wait(&self, carrier: NameId, ids: &[MessageIdText]) -> bool {
        self.waits.question(0, self.names.name(carrier), ids).is_some()
    }

    /// Puts a leg that was found into the index, so that it can be ended like any other.
    pub fn bring_back(&mut self, found: FoundLeg) -> Back {
        if self.waits.is_ended(found.id, found.leg) {
            return Back::Ended;
        }
        if let Some(there) = self.index.find(found.id, found.leg) {
            return Back::There(there);
        }
        let names = (
            self.names.intern(found.account.as_str()),
            self.names.intern(&found.carrier),
        );
        let (Some(account), carrier) = names else {
            return Back::Ended;
        };
        let leg = self
            .index
            .insert(as_leg(&found, account, carrier), found.carrier_id);
        self.index.set_quote(leg, found.quote);
        self.waits.back.insert(leg, found.place);
        self.filing.keep_body(leg, account, found.body.0);
        Back::Fresh(leg)
    }

    /// How a leg that was [looked up](crate::waiting::look_up) stands, as the index would have it; `None` of one that has ended
    /// meanwhile. One that has come back is told as the index has it.
    pub fn filed(&self, found: &FoundLeg) -> Option<Leg> {
        if self.waits.is_ended(found.id, found.leg) {
            return None;
        }
        if let Some(there) = self.index.find(found.id, found.leg) {
            return self.index.get(there).cloned();
        }
        let account = self.names.find(found.account.as_str())?;
        Some(as_leg(found, account, self.names.find(&found.carrier)))
    }

    /// A leg that has come back and did not end lies in its file only, as before.
    pub fn let_go(&mut self, leg: LegId) {
        if self.waits.back.remove(&leg).is_some() {
            self.index.remove(leg);
            self.filing.take_body(leg);
        }
    }

    /// What is counted of the waiting files.
    pub fn waiting(&self) -> WaitingCounts {
        self.waits.counts()
    }
}

/// A leg that lies in a waiting file only.
fn as_leg(found: &FoundLeg, account: NameId, carrier: Option<NameId>) -> Leg {
    Leg {
        message: found.id,
        leg: found.leg,
        account,
        carrier,
        envelope: found.envelope.clone(),
        stage: Stage::HandedOver,
        leased: false,
        attempts: found.attempts,
        due_ms: found.due_ms,
        at: Location::default(),
        weight: 0,
        born: 0,
        revision: 0,
        known_as: KnownAs::default(),
    }
}
