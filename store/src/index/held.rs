//! Legs that wait for their release, by account, so that who decides finds them without a look at all that is unfinished.

use std::collections::{BTreeMap, BTreeSet};

use crate::message_id::MessageId;
use crate::names::NameId;

use super::Leg;

/// Held legs: some 32 octets each. Nothing here bounds them; who accepts them asks [`HeldLegs::len_of`] first.
#[derive(Debug, Default)]
pub struct HeldLegs {
    by_account: BTreeMap<NameId, BTreeSet<(MessageId, u16)>>,
    len: usize,
}

impl HeldLegs {
    /// How many are held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many an account has.
    pub fn len_of(&self, account: NameId) -> usize {
        self.by_account.get(&account).map_or(0, BTreeSet::len)
    }

    /// An account's, by message and number of the leg from this one on: the oldest first, as ids grow.
    pub fn of(
        &self,
        account: NameId,
        from: (MessageId, u16),
    ) -> impl Iterator<Item = (MessageId, u16)> + use<'_> {
        let of = self.by_account.get(&account);
        of.into_iter().flat_map(move |of| of.range(from..).copied())
    }

    /// Accounts that have some, by their numbers.
    pub fn accounts(&self) -> impl Iterator<Item = NameId> + use<'_> {
        self.by_account.keys().copied()
    }

    pub(super) fn add(&mut self, leg: &Leg) {
        let of = self.by_account.entry(leg.account).or_default();
        self.len += usize::from(of.insert((leg.message, leg.leg)));
    }

    pub(super) fn remove(&mut self, leg: &Leg) {
        if let Some(of) = self.by_account.get_mut(&leg.account) {
            self.len -= usize::from(of.remove(&(leg.message, leg.leg)));
            if of.is_empty() {
                self.by_account.remove(&leg.account);
            }
        }
    }
}
