//! Whose keys there are, how old they are, and what is left of those that are destroyed.

use sha2::{Digest, Sha256};
use tidegate_codec::identity::SystemId;

use super::period::PeriodOwner;
use super::slot::OwnerTag;
use super::tier::Tier;
use crate::seal::KeyId;

/// The kind of the owners of the secrets behind pseudonyms.
pub(super) const PSEUDONYMS: u8 = 6;
/// The kind of the owners of what finds recipients in histories.
pub(super) const INDEX: u8 = 12;
/// The kind of the owner of opted-out numbers' keys.
pub(super) const OPT_OUTS: u8 = 7;
/// The kind of the owner of periods' keys.
pub(super) const HISTORY: u8 = 8;
/// The kind of the owner of exports' keys.
pub(super) const EXPORTS: u8 = 15;
/// The kind of the owner of holds' keys.
pub(super) const HOLDS: u8 = 13;
/// The kind of the owner of keys of orders to erase.
pub(super) const ERASURES: u8 = 14;
/// The kind of the owner of disclosures' keys.
pub(super) const DISCLOSURES: u8 = 18;
/// The kind of the owner of keys of people's requests.
pub(super) const SUBJECTS: u8 = 16;
/// The kind of the owners of keys of restrictions.
pub(super) const RESTRICTIONS: u8 = 17;
/// The kind of the owner of keys of consents' evidence.
pub(super) const CONSENTS: u8 = 19;
/// The kind of the owners of marks: that a tier's ring was made, and which one it is.
pub(super) const TIERS: u8 = 20;
/// What a fingerprint is made of before the slot's octets.
const FINGERPRINT_LABEL: &[u8] = b"tidegate key fingerprint 1\0";

/// Whose key it is. Later kinds (an account's class and period, for one) get further numbers and the
/// slot's octets of text; no new form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The spool's segments: a new key with each segment, destroyed with the last record under it.
    Spool,
    /// The permutation of message ids: made with the ring, never made again, never destroyed.
    MessageId,
    /// Waiting files: a key for each hour of deadlines, destroyed when the hour's files are gone.
    Waiting,
    /// Outbox files: a key for each hour in which the last entry of a run ends, destroyed when the hour's files are
    /// gone.
    Outbox,
    /// The first secret behind pseudonyms: made once (PSN-4). See [`KeyRing::destroy_generation`](super::KeyRing::destroy_generation).
    Pseudonyms,
    /// That of a later generation.
    Generation(u8),
    /// What finds recipients in an account's history, where the secret that it was made of is gone: destroyed when the account is
    /// closed for good and its history is empty.
    Index(SystemId),
    /// Numbers of opted-out people that an account may still see: destroyed when others are sealed anew without one's, or with the
    /// account (PSN-3).
    OptOuts(SystemId),
    /// Evidence of consents that an account has recorded: destroyed when others are sealed anew without what is over, and so with the
    /// last of them. A consent has an end of its own, later than what goes with the account (compliance.md §7, class `consent`).
    Consents(SystemId),
    /// The seed that signs the audit log's checkpoints: one key, kept.
    Audit,
    /// What lies in the history of one account, of one class, from one period: destroyed when the period's time is over.
    Period(PeriodOwner),
    /// An export, by its number: destroyed at its end date, or before (EXP-2).
    Export(u64),
    /// A legal hold, by its number: what is held, and whom it is about. Destroyed with its release.
    Hold(u32),
    /// An order to erase a person, by its number: whom it is about. Destroyed when it is done.
    Erasure(u32),
    /// A disclosure, by its number: whom it is about. Destroyed when the register forgets it.
    Disclosure(u32),
    /// A person's request, by its number: whom it is about and how that was proved. Destroyed when it ends (DSR-2).
    Subject(u32),
    /// A restriction of a person, by its number: whom it is about. Destroyed when it is lifted.
    Restriction(u32),
    /// The mark of the main ring that a tier's ring was made beside it (ENC-6): it seals nothing, and is never destroyed.
    Tier(Tier),
}

impl Owner {
    pub(super) fn tag(self) -> OwnerTag {
        OwnerTag::plain(match self {
            Self::Spool => 1,
            Self::MessageId => 2,
            Self::Waiting => 3,
            Self::Outbox => 4,
            Self::Pseudonyms => PSEUDONYMS,
            Self::Generation(generation) => return OwnerTag::named(PSEUDONYMS, &[generation]),
            Self::Index(account) => return OwnerTag::named(INDEX, account.as_bytes()),
            Self::OptOuts(account) => return OwnerTag::named(OPT_OUTS, account.as_bytes()),
            Self::Consents(account) => return OwnerTag::named(CONSENTS, account.as_bytes()),
            Self::Audit => 5,
            Self::Hold(number) => return OwnerTag::named(HOLDS, &number.to_be_bytes()),
            Self::Erasure(number) => return OwnerTag::named(ERASURES, &number.to_be_bytes()),
            Self::Disclosure(number) => return OwnerTag::named(DISCLOSURES, &number.to_be_bytes()),
            Self::Subject(number) => return OwnerTag::named(SUBJECTS, &number.to_be_bytes()),
            Self::Restriction(number) => return OwnerTag::named(RESTRICTIONS, &number.to_be_bytes()),
            Self::Tier(tier) => return OwnerTag::named(TIERS, &[tier.number()]),
            Self::Period(owner) => return owner.tag(HISTORY),
            Self::Export(number) => return OwnerTag::named(EXPORTS, &number.to_be_bytes()),
        })
    }
}

/// Kinds of owners, by their number in the files, and the words for them in reports.
pub const OWNERS: [(u8, &str); 17] = [
    (1, "spool"),
    (2, "message_id"),
    (3, "waiting"),
    (4, "outbox"),
    (5, "audit"),
    (PSEUDONYMS, "pseudonyms"),
    (OPT_OUTS, "opt_outs"),
    (INDEX, "index"),
    (HISTORY, "history"),
    (EXPORTS, "exports"),
    (HOLDS, "holds"),
    (ERASURES, "erasures"),
    (DISCLOSURES, "disclosures"),
    (SUBJECTS, "subjects"),
    (RESTRICTIONS, "restrictions"),
    (CONSENTS, "consents"),
    (TIERS, "tiers"),
];

/// How many keys the owners of one kind have, and how old they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    /// Keys.
    pub keys: u32,
    /// When the oldest of them was made, in unix milliseconds; none without a key.
    pub oldest_ms: Option<u64>,
    /// When the newest of them was made, the one that seals: the same way.
    pub newest_ms: Option<u64>,
}

/// What is left of a destroyed key, for a certificate of erasure (ERA-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// Its name.
    pub id: KeyId,
    /// What [`KeyRing::fingerprint`] said of it before.
    pub fingerprint: Fingerprint,
}

/// The first 8 octets of SHA-256 over a label and a key as it lay wrapped in its slot: it tells which slot was
/// overwritten and nothing about the key.
pub type Fingerprint = [u8; 8];

/// A fingerprint of what is wrapped.
pub(super) fn fingerprint(wrapped: &[u8]) -> Fingerprint {
    let digest = Sha256::new()
        .chain_update(FINGERPRINT_LABEL)
        .chain_update(wrapped)
        .finalize();
    let mut first = Fingerprint::default();
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    first
}
