//! What accounts instruct (RET-5).

use std::fmt;

use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;

use super::class::Class;
use super::facts::Facts;
use super::span::Span;
use crate::message_id::MessageId;

/// What an account wants instead of a limit, where the limit lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Kept so long, from the limit's own anchor.
    After(Span),
    /// Not stored beyond delivery.
    NoStore,
}

/// Source addresses: one, or all that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senders {
    /// The address or its beginning.
    pub text: Box<[u8]>,
    /// Every continuation is meant, too.
    pub is_prefix: bool,
}

/// An instruction of an account for some of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Whose.
    pub account: SystemId,
    /// Of what.
    pub class: Class,
    /// Of messages of these senders only.
    pub senders: Option<Senders>,
    /// Of messages for this only.
    pub category: Option<Category>,
    /// Of this message only.
    pub message: Option<MessageId>,
    /// What is wanted.
    pub wish: Wish,
    /// Grows with every instruction of the account; of two that were given together the greater holds.
    pub version: u32,
    /// When it was given, in milliseconds since 1970 UTC. Of two for the same records the later holds, once it does.
    pub given_ms: u64,
    /// From when on it holds, for records that are there already, too. One that lengthens waits for the profile's
    /// `notice_before_change`; whoever makes an instruction reckons that.
    pub effective_ms: u64,
}

impl Senders {
    fn matches(&self, sender: &[u8]) -> bool {
        if self.is_prefix {
            sender.starts_with(&self.text)
        } else {
            *sender == *self.text
        }
    }
}

impl Instruction {
    /// Whether it is about this record.
    pub fn is_about(&self, facts: &Facts<'_>) -> bool {
        self.account == facts.account
            && self.class == facts.class
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| senders.matches(facts.sender))
            && self.category.is_none_or(|of| facts.category == Some(of))
            && self.message.is_none_or(|of| facts.message == Some(of))
    }

    /// Of several about one record the greatest holds: one about the message before one about its sender, that before
    /// one about its category, that before one about the account; of equals the last.
    pub fn rank(&self) -> impl Ord + use<> {
        let senders = self.senders.as_ref();
        (
            self.message.is_some(),
            senders.map(|senders| (!senders.is_prefix, senders.text.len())),
            self.category.is_some(),
            self.given_ms,
            self.version,
        )
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {} of the account", self.version)?;
        match self.wish {
            Wish::After(span) => write!(f, ": {span}"),
            Wish::NoStore => f.write_str(": not stored beyond delivery"),
        }
    }
}
