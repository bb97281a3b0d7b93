//! Legal holds, orders to erase a person and restrictions of one (LEG-1 to LEG-4, ERA-4, DSR-4): a register of all three, and
//! what they say of records and messages.
//!
//! The register ([`file`]) is one small file. Whom a matter is about stands in it sealed under a key of the matter's own,
//! which goes with it: what is over names nobody, and a rotation of the pseudonyms' secret changes nothing. From the
//! moment that a matter is in it, [`Claims`] has the rules decide by it, for readers, for what is filed and for the sweep.

mod claims;
mod file;
mod restricted;

#[cfg(test)]
pub(crate) use file::tests::some as file_tests_some;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, whom};
use tidegate_store::keyring::{KeyRing, Owner};
use tidegate_store::message_id::MessageId;
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

pub use crate::small_file::register::Unreadable;
use crate::small_file::register::{Durable, digits};
pub use claims::Claims;
pub(crate) use claims::{is_like, tail};

/// Matters that are open at most: each record that is looked at is asked about all of them.
pub const OPEN_MAX: usize = 1_000;
/// Restrictions that hold at most: their numbers are in memory.
pub const RESTRICTED_MAX: usize = 10_000;
/// Holds and orders that a register knows at most, those included that are over.
const ROWS_MAX: usize = 50_000;
/// The same of restrictions. They have a share of their own, and those that were lifted make room for others, the first of them
/// first: the audit log still has them.
const RESTRICTION_ROWS_MAX: usize = 2 * RESTRICTED_MAX;
/// Octets of a matter's name, of a reason and of who asked.
pub const TEXT_MAX: usize = 200;
/// How long after it was asked for an order keeps what ends late from being filed, in milliseconds: 70 days, as long as a
/// message may take to end.
pub const LATE_MS: u64 = 70 * 24 * 3_600_000;

/// A legal hold, as the register has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRow {
    /// The matter that it is for.
    pub matter: String,
    /// Of this account only.
    #[serde(default, with = "file::account")]
    pub account: Option<SystemId>,
    /// Of this message only.
    #[serde(default, with = "file::message")]
    pub message: Option<MessageId>,
    /// Of this class only.
    #[serde(default, with = "file::class")]
    pub class: Option<Kept>,
    /// Accepted at this instant or later, in unix milliseconds.
    pub from_ms: Option<u64>,
    /// Accepted before this instant.
    pub until_ms: Option<u64>,
    /// Whether what comes later is held, too.
    pub future: bool,
    /// About this person only: sealed under the hold's key. Empty once it is released.
    #[serde(with = "digits")]
    pub sealed: Vec<u8>,
    /// Who took it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it is to be looked at again.
    pub review_ms: u64,
    /// When it was taken.
    pub taken_ms: u64,
    /// When it was released.
    pub released_ms: Option<u64>,
}

/// An order to erase a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Of this account only.
    #[serde(default, with = "file::account")]
    pub account: Option<SystemId>,
    /// Whom, sealed under the order's key. Empty once nothing of before can end any more.
    #[serde(with = "digits")]
    pub sealed: Vec<u8>,
    /// Who ordered it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it was asked for, in unix milliseconds.
    pub asked_ms: u64,
    /// Lots that were sealed anew without the person.
    pub lots: u64,
    /// Records that went.
    pub records: u64,
    /// When all that was there was gone.
    pub executed_ms: Option<u64>,
}

/// A restriction of a person: nothing of them is processed but kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestrictionRow {
    /// For this account only.
    #[serde(default, with = "file::account")]
    pub account: Option<SystemId>,
    /// Whom, sealed under the restriction's key. Empty once it is lifted.
    #[serde(with = "digits")]
    pub sealed: Vec<u8>,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
    /// Since when, in unix milliseconds.
    pub since_ms: u64,
    /// When it was lifted.
    pub lifted_ms: Option<u64>,
    /// How the person was told before that.
    pub notice: Option<String>,
}

/// All of them, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The last number that was given.
    pub last: u32,
    /// Holds.
    pub holds: BTreeMap<u32, HoldRow>,
    /// Orders to erase.
    pub orders: BTreeMap<u32, OrderRow>,
    /// Restrictions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restrictions: BTreeMap<u32, RestrictionRow>,
}

impl Register {
    /// Holds that hold.
    pub fn active(&self) -> impl Iterator<Item = (u32, &HoldRow)> {
        let active = self.holds.iter().filter(|(_, hold)| hold.released_ms.is_none());
        active.map(|(id, hold)| (*id, hold))
    }

    /// Orders that still say something of records.
    pub fn standing(&self) -> impl Iterator<Item = (u32, &OrderRow)> {
        let standing = self.orders.iter().filter(|(_, order)| !order.sealed.is_empty());
        standing.map(|(id, order)| (*id, order))
    }

    /// Restrictions that hold.
    pub fn restricting(&self) -> impl Iterator<Item = (u32, &RestrictionRow)> {
        let restricting = self.restrictions.iter();
        restricting
            .filter(|(_, row)| row.lifted_ms.is_none())
            .map(|(id, row)| (*id, row))
    }

    /// Whether there is room for one more hold or order.
    pub fn has_room(&self) -> bool {
        self.active().count() + self.standing().count() < OPEN_MAX
            && self.holds.len() + self.orders.len() < ROWS_MAX
    }

    /// The same for a restriction.
    pub fn has_room_for_restriction(&self) -> bool {
        self.restricting().count() < RESTRICTED_MAX
    }

    /// Enters a restriction in the place of the first that was lifted, should there be very many.
    pub fn restrict(&mut self, id: u32, row: RestrictionRow) {
        if self.restrictions.len() >= RESTRICTION_ROWS_MAX {
            let mut rows = self.restrictions.iter();
            let lifted = rows.find(|(_, row)| row.lifted_ms.is_some()).map(|(id, _)| *id);
            if let Some(lifted) = lifted {
                self.restrictions.remove(&lifted);
            }
        }
        self.restrictions.insert(id, row);
    }
}

/// The register with whom its matters are about.
#[cfg_attr(test, derive(Default))]
pub struct State {
    /// What the file holds.
    pub(crate) register: Durable<Register>,
    /// The people of open matters, in the form in which people are known.
    pub people: BTreeMap<u32, Zeroizing<Vec<u8>>>,
}

impl State {
    /// What they say of records.
    pub fn claims(&self) -> Arc<Claims> {
        Arc::new(Claims::new(&self.register, &self.people))
    }
}

/// The register, of which changes go one after the other.
pub struct Legal(Mutex<State>);

impl Legal {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not as it was written, or a matter's key is not in the ring: nothing is started then, for a
    /// hold that is forgotten would destroy evidence.
    pub fn open<D: Disk>(data: &Path, ring: &KeyRing<D>) -> Result<Self, Unreadable> {
        let register = Durable::<Register>::open(data)?;
        let holds = ring.holds().map(|(id, _)| id);
        let others = ring.erasures().chain(ring.restrictions());
        if holds.chain(others).any(|id| id > register.last) {
            return Err(register.unreadable(
                "the key ring has keys of holds, of orders to erase or of restrictions that it knows nothing of: it is missing, or older than the ring",
            ));
        }
        let mut people = BTreeMap::new();
        let holds = register
            .active()
            .map(|(id, row)| (id, Owner::Hold(id), &row.sealed));
        let orders = register
            .standing()
            .map(|(id, row)| (id, Owner::Erasure(id), &row.sealed));
        let restrictions = register.restricting();
        let restrictions = restrictions.map(|(id, row)| (id, Owner::Restriction(id), &row.sealed));
        for (id, owner, sealed) in holds.chain(orders).chain(restrictions) {
            let person = whom(ring, owner, sealed).ok_or_else(|| {
                register.unreadable(format!("the key ring does not open whom matter {id} is about"))
            })?;
            if !person.is_empty() {
                people.insert(id, person);
            }
        }
        Ok(Self(Mutex::new(State { register, people })))
    }

    /// As it is, for who changes it, too.
    pub async fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().await
    }

    /// The same at a start, before anybody else has it.
    pub fn claims_at_start(&mut self) -> Arc<Claims> {
        self.0.get_mut().claims()
    }
}
