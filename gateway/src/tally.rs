//! What the loop counts: plain numbers, published to the metrics a few times a second.
//!
//! A counter that is one addition costs nothing per message; the exporter's handles are atomics.

use std::sync::Arc;

use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;

use crate::telemetry::histogram::{Long, Short, Sizes, Spread};
use crate::telemetry::words::{
    AbuseRule, Answered, BindResult, ConnectionRefused, HandsetWord, Handshake, HeldEnd, LateReceipt,
    LinkClosed, ReceiptKind, ReloadResult, ReplyEnd, Side, SpoolCause, StandingRule, ThrottledBy,
};

/// Counts by a label of few values. The labels come from code and protocol tables; what is outside them
/// shares one place, so the size is bounded whatever a peer sends.
#[derive(Clone, Debug)]
pub struct Counts<K>(Vec<(K, u64)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Labels that one [`Counts`] keeps apart at most.
const LABELS_MAX: usize = 256;

impl<K: Clone + PartialEq> Counts<K> {
    /// Adds one.
    pub fn add(&mut self, key: K) {
        self.add_times(key, 1);
    }

    /// Adds so many.
    pub fn add_times(&mut self, key: K, times: u64) {
        let at = match self.0.iter().position(|(found, _)| *found == key) {
            Some(at) => at,
            None if self.0.len() < LABELS_MAX => {
                self.0.push((key, 0));
                self.0.len() - 1
            }
            None => LABELS_MAX - 1,
        };
        self.0[at].1 += times;
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        self.0.iter().cloned()
    }

    /// The count of one label.
    pub fn count_of(&self, key: &K) -> u64 {
        self.0
            .iter()
            .find(|(found, _)| found == key)
            .map_or(0, |(_, count)| *count)
    }
}

impl<K: Copy + PartialEq> Counts<K> {
    /// The same, by a label that is a word.
    pub fn get(&self, key: K) -> u64 {
        self.count_of(&key)
    }
}

/// A peer's status as it is counted: all that SMPP does not know are one, or a peer that makes some up would take every
/// place there is.
pub const fn counted(status: CommandStatus) -> CommandStatus {
    match status.name() {
        Some(_) => status,
        None => CommandStatus(u32::MAX),
    }
}

/// A peer's command as it is counted, for the same reason.
pub const fn counted_command(command: CommandId) -> CommandId {
    if command.is_known() {
        command
    } else {
        CommandId(u32::MAX)
    }
}

/// What is counted for an account.
#[derive(Clone, Debug, Default)]
pub struct AccountTally {
    /// Submissions accepted and synced.
    pub accepted: u64,
    /// Submissions that had come before, answered with the id of then.
    pub duplicates: u64,
    /// Times that a message was put off until its recipient's hours begin.
    pub deferred: u64,
    /// Marketing that was accepted without a consent, where the account is only warned.
    pub unconsented: u64,
    /// Submissions refused, by what was answered.
    pub refused: Counts<CommandStatus>,
    /// Messages that a standing rule refused, when they came or before they were handed over.
    pub standing_refused: Counts<StandingRule>,
    /// Signs that somebody pumps codes through it.
    pub abuse_signals: Counts<AbuseRule>,
    /// Messages that hit rules about content, by the ids of these.
    pub content_hits: Counts<Arc<str>>,
    /// Messages that were taken in and held.
    pub held: u64,
    /// Held ones that are held no longer, by why.
    pub held_ended: Counts<HeldEnd>,
    /// Messages to countries that are monitored, by these; `None` is no country.
    pub monitored: Counts<Option<[u8; 2]>>,
    /// Messages above a rate, by whose.
    pub throttled: Counts<ThrottledBy>,
    /// Times that a link was not read for a while because it went on past 0x58.
    pub holds: u64,
    /// Links that were unbound because that did not help.
    pub flooders_unbound: u64,
    /// Binds, by how they went.
    pub binds: Counts<BindResult>,
    /// DLRs that an ESME took.
    pub dlrs: u64,
    /// MOs that an ESME took.
    pub mos: u64,
    /// Entries that were not made because the outbox was at its bound.
    pub overflow: u64,
    /// Entries that nobody fetched in time.
    pub expired: u64,
    /// Messages of restricted people that an account was not shown.
    pub mos_withheld: u64,
    /// Deliveries that an ESME answered with an error.
    pub deliveries_refused: Counts<CommandStatus>,
    /// Legs that ended, by their state.
    pub finals: Counts<MessageState>,
    /// Legs written to a link again after a try that failed.
    pub retries: u64,
    /// From acceptance until a carrier has it.
    pub handover: Spread<Long>,
    /// From acceptance to the receipt that ends a message.
    pub receipt: Spread<Long>,
}

/// What is counted for a carrier.
#[derive(Clone, Debug, Default)]
pub struct CarrierTally {
    /// Legs written to a link.
    pub offered: u64,
    /// Messages whose text was cut into parts.
    pub cut: u64,
    /// Answers, by what they meant.
    pub answers: Counts<Answered>,
    /// Statuses other than zero, as they came.
    pub statuses: Counts<CommandStatus>,
    /// Submits whose answer never came, or whose link broke.
    pub unanswered: u64,
    /// Answers for nothing we wait for.
    pub unexpected: u64,
    /// Legs written to a link after a try that failed, here or elsewhere.
    pub retries: u64,
    /// Receipts for what we know, by what they tell.
    pub receipt_states: Counts<MessageState>,
    /// Receipts, by what they are.
    pub receipts: Counts<ReceiptKind>,
    /// MOs put into an outbox.
    pub mos: u64,
    /// MOs that no account owns.
    pub mos_unowned: u64,
    /// Deliveries refused because we cannot store, or the account's outbox is full.
    pub deliveries_refused: u64,
    /// TLVs of deliveries and answers that are faulty.
    pub tlv_faults: u64,
    /// Binds that it refused, by status.
    pub binds_refused: Counts<CommandStatus>,
    /// Times that a link was begun.
    pub connects: u64,
    /// How long answers took.
    pub response: Spread<Short>,
    /// From acceptance until this carrier has it.
    pub handover: Spread<Long>,
    /// From acceptance to the receipt that ends a leg.
    pub receipt: Spread<Long>,
}

/// What is counted for the gateway as a whole.
#[derive(Clone, Debug, Default)]
pub struct GateTally {
    /// TLS handshakes, by what became of them.
    pub handshakes: Counts<(Side, Handshake)>,
    /// Batches synced.
    pub batches: u64,
    /// Octets of those.
    pub batch_octets: u64,
    /// Records in those.
    pub batch_records: u64,
    /// Turns.
    pub turns: u64,
    /// Connections of ESMEs taken in.
    pub connections: u64,
    /// Connections closed at once because of a limit.
    pub connections_refused: Counts<ConnectionRefused>,
    /// Links that ended, by why.
    pub links_ended: Counts<(Side, LinkClosed)>,
    /// Requests that the session refused, by command and status.
    pub refused: Counts<(CommandId, CommandStatus)>,
    /// PDUs without answer and meaning here.
    pub dropped: u64,
    /// Records that could not be read: their legs were ended.
    pub unreadable: u64,
    /// Questions to the waiting files, by what became of them.
    pub late_receipts: Counts<LateReceipt>,
    /// Batches that could not be synced.
    pub commit_failures: Counts<SpoolCause>,
    /// Messages of handsets that mean something to the gateway itself.
    pub handset_words: Counts<HandsetWord>,
    /// Opt-outs that reach further, since there was no room for the called number itself.
    pub opt_outs_widened: u64,
    /// Answers of ourselves to handsets, by what became of them.
    pub replies: Counts<ReplyEnd>,
    /// Submissions and MOs refused because of the spool.
    pub intake_refused: Counts<SpoolCause>,
    /// PDUs that a trace had no room for.
    pub trace_dropped: u64,
    /// Bans after failed binds.
    pub bans: u64,
    /// Binds with a system_id that is no account's.
    pub binds_unknown: u64,
    /// Reloads, by what became of them.
    pub reloads: Counts<ReloadResult>,
    /// When the last of them was applied, in unix milliseconds; 0 before the first.
    pub reloaded_ms: u64,
    /// How long batches took.
    pub sync: Spread<Short>,
    /// Records in a batch.
    pub batch_sizes: Spread<Sizes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_make_up_takes_one_place() {
        let (mut statuses, mut commands) = (Counts::default(), Counts::default());
        for number in 0..1_000 {
            statuses.add(counted(CommandStatus(0x400 + number)));
            commands.add(counted_command(CommandId(0x500 + number)));
        }
        statuses.add(counted(CommandStatus::RTHROTTLED));
        commands.add(counted_command(CommandId::SUBMIT_SM));
        assert_eq!(statuses.get(CommandStatus::RTHROTTLED), 1);
        assert_eq!(commands.get(CommandId::SUBMIT_SM), 1);
        assert_eq!((statuses.iter().count(), commands.iter().count()), (2, 2));
    }
}
