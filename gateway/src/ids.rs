//! Message ids as ESMEs know them: given out, written, and read back.

use smallvec::SmallVec;
use tidegate_codec::address::Address;
use tidegate_codec::values::InterfaceVersion;
use tidegate_config::MessageIdForm;
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::message_id::{IdText, MessageId, PublicId};
use tidegate_store::names::NameId;
use tidegate_store::spool::MovedLeg;

use crate::admission::widen;
use crate::clock::Now;
use crate::gate::Gate;

/// How an id is written, as records hold it.
const DECIMAL: u8 = 0;
const HEX: u8 = 1;
const HEX8: u8 = 2;
/// An id that is further ahead than this is none of ours, however far the clock was set back.
const AHEAD_MAX_MS: u64 = 24 * 3_600 * 1_000;

/// A message id, and how it is written for its ESME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// Which message.
    pub message: MessageId,
    /// How it is written; this file's code.
    pub form: u8,
}

/// Why an id names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// It cannot be one of ours (0x0C).
    NoId,
    /// No unfinished message of this account and this sender has it. Foreign, purged and finished ones look
    /// alike (design §5, TEN-C01).
    Unknown,
}

impl<D: Disk> Gate<D> {
    /// A new message id for a session of this version. Ids of 8 digits are unique among the account's messages
    /// in memory: one that is taken is passed over.
    pub(crate) fn new_id(&mut self, now: Now, account: usize, version: InterfaceVersion) -> Id {
        let form = form(self.config.accounts[account].message_id, version);
        let name = self.accounts[account].name;
        loop {
            let message = self.spool.next_id(now.unix_ms);
            if form == HEX8 {
                let place = (name, self.short(message));
                if self.short_ids.contains_key(&place) {
                    continue;
                }
                self.short_ids.insert(place, message);
            }
            return Id { message, form };
        }
    }

    /// The last 8 digits of an id.
    fn short(&self, id: MessageId) -> u32 {
        let PublicId(id) = self.permutation.public(id);
        // The low half, on purpose.
        u32::try_from(id & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Another message may have been given the same short id since, if this one left memory long ago.
    fn forget_short_id(&mut self, account: NameId, id: MessageId, form: u8) {
        if form == HEX8 {
            let place = (account, self.short(id));
            if self.short_ids.get(&place) == Some(&id) {
                self.short_ids.remove(&place);
            }
        }
    }

    /// A leg has left memory for a waiting file. What waits there keeps no short id, or each of these legs would
    /// cost more memory for it than for all the rest. With n of an account's messages waiting, the next has one
    /// of theirs with a chance of n in 2³² (for 100 000: one in 43 000); then two DLRs bear one id.
    pub(crate) fn release_moved_id(&mut self, leg: MovedLeg) {
        if leg.id_form == HEX8 && self.spool.index().legs_of(leg.message).next().is_none() {
            self.forget_short_id(leg.account, leg.message, HEX8);
        }
    }

    /// A submission was not stored after all: its short id may be given again.
    pub(crate) fn forget_id(&mut self, account: usize, id: Id) {
        let name = self.accounts[account].name;
        self.forget_short_id(name, id.message, id.form);
    }

    /// A leg has ended: when it was its message's last, the short id may be given again. What is left of its parts answers
    /// to nobody.
    pub(crate) fn release_id(&mut self, leg: &Leg) {
        if leg.envelope.id_form == HEX8 && self.spool.index().legs_of(leg.message).next().is_none() {
            self.forget_short_id(leg.account, leg.message, HEX8);
        }
    }

    /// After a start: the short ids that are in use.
    pub(crate) fn recall_short_ids(&mut self) {
        let in_use: Vec<_> = self
            .spool
            .index()
            .iter()
            .filter(|(_, leg)| leg.envelope.id_form == HEX8 && leg.part().is_none())
            .map(|(_, leg)| ((leg.account, self.short(leg.message)), leg.message))
            .collect();
        self.short_ids.extend(in_use);
    }

    /// A message id as this message's ESME knows it.
    pub(crate) fn id_text(&self, id: MessageId, form: u8) -> IdText {
        let public = self.permutation.public(id);
        match form {
            HEX => public.hex(),
            HEX8 => public.hex8(),
            _ => public.decimal(),
        }
    }

    /// The unfinished message that an ESME names by the id it was given and by its sender (smpp-pdus.md §4.5:
    /// a sender that was empty must be empty again; TON and NPI, which clients leave out here, say nothing).
    pub(crate) fn message_named(
        &self,
        account: usize,
        text: &[u8],
        source: Address<'_>,
    ) -> Result<MessageId, Unnamed> {
        let source = self.addressing_of(account).source_meant(widen(source));
        let name = self.accounts[account].name;
        let candidates = self.candidates(text, Some(name)).ok_or(Unnamed::NoId)?;
        let is_meant = |message: &MessageId| {
            self.spool.index().legs_of(*message).any(|(_, leg)| {
                self.is_called(*message, leg, text)
                    && leg.account == name
                    && source.is(&leg.envelope.addresses.source())
            })
        };
        candidates.into_iter().find(is_meant).ok_or(Unnamed::Unknown)
    }

    /// The unfinished message that an operator names by the id that its ESME was given, of this account if one is given. An
    /// id of 8 digits is an account's only.
    pub(crate) fn message_called(&self, text: &[u8], account: Option<usize>) -> Option<MessageId> {
        let name = account.map(|account| self.accounts[account].name);
        let is_meant = |message: &MessageId| {
            let mut legs = self.spool.index().legs_of(*message);
            legs.any(|(_, leg)| self.is_of(leg, text, account))
        };
        self.candidates(text, name)?.into_iter().find(is_meant)
    }

    /// Messages of up to now that may be called so, in memory or not; an id of 8 digits calls none, as what was behind it is not
    /// kept.
    pub(crate) fn messages_spelled(&self, now_ms: u64, text: &[u8]) -> SmallVec<[MessageId; 3]> {
        let latest_ms = now_ms.saturating_add(AHEAD_MAX_MS);
        let mut messages = self.candidates(text, None).unwrap_or_default();
        messages.retain(|message| message.ms() <= latest_ms);
        messages
    }

    /// Whether a leg, of an account if one is given, belongs to the message that its ESME calls so.
    pub(crate) fn is_of(&self, leg: &Leg, text: &[u8], account: Option<usize>) -> bool {
        let name = account.map(|account| self.accounts[account].name);
        self.is_called(leg.message, leg, text) && name.is_none_or(|name| leg.account == name)
    }

    /// Messages that may be called so; `None` for what is no id. The account's form may have changed since, so each that
    /// can be read is tried.
    fn candidates(&self, text: &[u8], account: Option<NameId>) -> Option<SmallVec<[MessageId; 3]>> {
        let whole = [PublicId::parse_decimal(text), PublicId::parse_hex(text)];
        let short = PublicId::parse_hex8(text);
        if whole.iter().all(Option::is_none) && short.is_none() {
            return None;
        }
        let short = short.zip(account);
        let short = short.and_then(|(short, account)| self.short_ids.get(&(account, short)).copied());
        let whole = whole.into_iter().flatten().map(|id| self.permutation.private(id));
        Some(whole.chain(short).collect())
    }

    fn is_called(&self, message: MessageId, leg: &Leg, text: &[u8]) -> bool {
        let given = self.id_text(message, leg.envelope.id_form);
        given.as_bytes().eq_ignore_ascii_case(text)
    }
}

/// How ids are written for a message: as the account wants it, but a 3.3 peer can hold 8 hexadecimal
/// digits only (smpp-pdus.md §6).
const fn form(wanted: MessageIdForm, version: InterfaceVersion) -> u8 {
    match wanted {
        _ if !version.has_tlvs() => HEX8,
        MessageIdForm::Decimal => DECIMAL,
        MessageIdForm::Hex => HEX,
        MessageIdForm::Hex8 => HEX8,
    }
}
