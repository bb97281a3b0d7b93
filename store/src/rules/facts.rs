//! What rules have to know of a record, and what is asked about records from outside: holds and erasures.

use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;

use super::class::{Anchor, Class};
use crate::message_id::MessageId;
use crate::pseudonym::Pseudonym;

/// What rules have to know of one record.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// Whose it is.
    pub account: SystemId,
    /// What it is.
    pub class: Class,
    /// The source address of its message; empty where there is none.
    pub sender: &'f [u8],
    /// What its message was for.
    pub category: Option<Category>,
    /// Its message.
    pub message: Option<MessageId>,
    /// Who it is about; a number never gets here.
    pub recipient: Option<Pseudonym>,
    /// What happened when.
    pub at: Instants,
}

/// When it happened what rules count from, in milliseconds since 1970 UTC; `None` where it did not, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instants {
    /// Its message was accepted.
    pub accepted_ms: Option<u64>,
    /// How long its message is valid from then on, in milliseconds.
    pub validity_ms: Option<u64>,
    /// Its message came from a handset.
    pub received_ms: Option<u64>,
    /// Its message reached a final state.
    pub final_ms: Option<u64>,
    /// It was made; without this, when its message was accepted or received.
    pub created_ms: Option<u64>,
    /// It was last used.
    pub last_used_ms: Option<u64>,
    /// The account or its provider was disconnected.
    pub disconnected_ms: Option<u64>,
    /// Somebody instructed it.
    pub instructed_ms: Option<u64>,
    /// What it was for ended.
    pub purpose_ended_ms: Option<u64>,
}

impl<'f> Facts<'f> {
    /// Of a record of which nothing more is known yet.
    pub fn new(account: SystemId, class: Class) -> Self {
        Self {
            account,
            class,
            sender: &[],
            category: None,
            message: None,
            recipient: None,
            at: Instants::default(),
        }
    }

    /// The same, of a message of this source.
    #[must_use]
    pub fn of_sender(self, sender: &'f [u8]) -> Self {
        Self { sender, ..self }
    }

    /// When what an anchor names happened; `closure` is when the account was closed. `final` is `accepted` and the
    /// validity at the latest (compliance.md §7.2).
    pub fn instant(&self, anchor: Anchor, closure: Option<u64>) -> Option<u64> {
        let at = &self.at;
        match anchor {
            Anchor::Accepted => at.accepted_ms,
            Anchor::Received => at.received_ms,
            Anchor::Final => {
                let accepted = at.accepted_ms;
                let latest = accepted.and_then(|from| Some(from.saturating_add(at.validity_ms?)));
                at.final_ms.into_iter().chain(latest).min()
            }
            Anchor::Created => at.created_ms.or(at.accepted_ms).or(at.received_ms),
            Anchor::LastUsed => at.last_used_ms,
            Anchor::Closed => closure,
            Anchor::Disconnected => at.disconnected_ms,
            Anchor::Instructed => at.instructed_ms,
            Anchor::PurposeEnded => at.purpose_ended_ms,
        }
    }

    /// Since when it has been there, for all that is known.
    fn since_ms(&self) -> u64 {
        let Instants {
            accepted_ms,
            received_ms,
            created_ms,
            ..
        } = self.at;
        let known = [accepted_ms, received_ms, created_ms].into_iter().flatten();
        known.min().unwrap_or(0)
    }
}

/// Which records are meant (LEG-1). All that is named must fit; what is not named fits every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Of this account.
    pub account: Option<SystemId>,
    /// About this person.
    pub recipient: Option<Pseudonym>,
    /// Of this message.
    pub message: Option<MessageId>,
    /// Of this class.
    pub class: Option<Class>,
    /// That came at this instant or later, in milliseconds since 1970 UTC.
    pub from_ms: Option<u64>,
    /// That came before this instant.
    pub until_ms: Option<u64>,
}

impl Scope {
    /// Whether a record is meant.
    pub fn covers(&self, facts: &Facts<'_>) -> bool {
        let since_ms = facts.since_ms();
        self.account.is_none_or(|of| of == facts.account)
            && self.recipient.is_none_or(|of| facts.recipient == Some(of))
            && self.message.is_none_or(|of| facts.message == Some(of))
            && self.class.is_none_or(|of| of == facts.class)
            && self.from_ms.is_none_or(|from_ms| since_ms >= from_ms)
            && self.until_ms.is_none_or(|until_ms| since_ms < until_ms)
    }
}

/// A legal hold (LEG-1): what it covers and was not gone when it was taken is kept until it is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The matter that it is for.
    pub matter: Box<str>,
    /// What it covers.
    pub scope: Scope,
    /// Records that come later are covered, too.
    pub future: bool,
    /// When it was taken, by its place in the audit log, in milliseconds since 1970 UTC.
    pub taken_ms: u64,
    /// When it was released; `None` while it holds.
    pub released_ms: Option<u64>,
}

impl Hold {
    /// Whether it covers a record that was there when it was taken, or one that came later.
    pub fn covers(&self, facts: &Facts<'_>) -> bool {
        self.scope.covers(facts) && (self.future || facts.since_ms() <= self.taken_ms)
    }
}

/// A request to erase that was granted: what it covers is to go at once, where no floor forbids it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// What the request is called.
    pub request: Box<str>,
    /// What it covers; of that, what was there when it was made.
    pub scope: Scope,
    /// When it was made, in milliseconds since 1970 UTC.
    pub requested_ms: u64,
}

impl Erasure {
    /// Whether it covers a record.
    pub fn covers(&self, facts: &Facts<'_>) -> bool {
        self.scope.covers(facts) && facts.since_ms() <= self.requested_ms
    }
}
