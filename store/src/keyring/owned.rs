//! Keys by their owners, wherever these have theirs (ENC-5): which there are, and who has one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use super::owner::{
    CONSENTS, DISCLOSURES, ERASURES, EXPORTS, HOLDS, OPT_OUTS, Owner, RESTRICTIONS, SUBJECTS,
};
use super::{Held, KeyRing};
use crate::disk::Disk;
use crate::seal::{KeyId, SealKey};

impl<D: Disk> KeyRing<D> {
    /// The key of an owner that was made last. Not for periods: see [`KeyRing::period_key_of`].
    pub fn newest(&self, owner: Owner) -> Option<Arc<SealKey>> {
        self.of(owner).next_back().map(|(_, held)| Arc::clone(&held.key))
    }

    /// All keys of an owner, oldest first. Not for periods: see [`KeyRing::periods`].
    pub fn live(&self, owner: Owner) -> Vec<KeyId> {
        self.of(owner).map(|(id, _)| *id).collect()
    }

    /// The keys of an owner, oldest first, in the ring that has them.
    pub(super) fn of(&self, owner: Owner) -> impl DoubleEndedIterator<Item = (&KeyId, &Held)> {
        let tag = owner.tag();
        let keys = self.of_kind(tag.kind).keys.iter();
        keys.filter(move |(_, held)| held.owner == tag)
    }

    /// The keys of holds, by the numbers of these.
    pub fn holds(&self) -> impl Iterator<Item = (u32, KeyId)> + '_ {
        let of_holds = self.of_kind(HOLDS).keys.iter();
        let of_holds = of_holds.filter(|(_, held)| held.owner.kind == HOLDS);
        of_holds.filter_map(|(id, held)| Some((held.owner.number()?, *id)))
    }

    /// The orders to erase that have a key, by their numbers.
    pub fn erasures(&self) -> impl Iterator<Item = u32> + '_ {
        self.numbered(ERASURES)
    }

    /// The restrictions that have a key, by their numbers.
    pub fn restrictions(&self) -> impl Iterator<Item = u32> + '_ {
        self.numbered(RESTRICTIONS)
    }

    /// The numbers of the owners of one kind.
    fn numbered(&self, kind: u8) -> impl Iterator<Item = u32> + '_ {
        let of_kind = self.of_kind(kind).keys.values();
        let of_kind = of_kind.filter(move |held| held.owner.kind == kind);
        of_kind.filter_map(|held| held.owner.number())
    }

    /// The disclosures that have a key, by their numbers.
    pub fn disclosures(&self) -> impl Iterator<Item = u32> + '_ {
        self.numbered(DISCLOSURES)
    }

    /// The requests of people that have a key, by their numbers.
    pub fn subjects(&self) -> impl Iterator<Item = u32> + '_ {
        self.numbered(SUBJECTS)
    }

    /// Whether there is a key of any account's opt-outs or consents: then something was written under it.
    pub fn has_opt_outs(&self) -> bool {
        self.of_people().next().is_some()
    }

    /// The keys of accounts' opt-outs and consents, in no order.
    pub(crate) fn of_people(&self) -> impl Iterator<Item = (Owner, KeyId)> + '_ {
        self.keys.iter().filter_map(|(id, held)| {
            let account = || SystemId::new(held.owner.text()).ok();
            let owner = match held.owner.kind {
                OPT_OUTS => Owner::OptOuts(account()?),
                CONSENTS => Owner::Consents(account()?),
                _ => return None,
            };
            Some((owner, *id))
        })
    }

    /// The exports that have a key, by their numbers.
    pub fn exports(&self) -> BTreeSet<u64> {
        let of_exports = self.keys.values().filter(|held| held.owner.kind == EXPORTS);
        let number = |held: &Held| Some(u64::from_be_bytes(held.owner.text().try_into().ok()?));
        of_exports.filter_map(number).collect()
    }
}
