//! What the board notes of the loop's tallies: sums of counters, so that a difference is a rate.

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;

use crate::tally::{AccountTally, CarrierTally, Counts, GateTally};
use crate::telemetry::words::{Answered, HandsetWord, SpoolCause, StandingRule};

/// States that a receipt may tell.
pub(super) const STATES: usize = MessageState::ALL.len();

/// Counters that only grow.
pub(super) trait Grows: Copy + Default {
    /// What was added since `old`.
    fn since(&self, old: &Self) -> Self;

    /// Both together.
    fn plus(&self, other: &Self) -> Self;
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $what:literal])* $field:ident)* })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub(super) struct $name { $($(#[doc = $what])* pub(super) $field: u64),* }

            impl Grows for $name {
                fn since(&self, old: &Self) -> Self {
                    Self { $($field: self.$field.saturating_sub(old.$field)),* }
                }

                fn plus(&self, other: &Self) -> Self {
                    Self { $($field: self.$field.saturating_add(other.$field)),* }
                }
            }
        )*
    };
}

counters! {
    /// Of an account.
    AccountCounts {
        /// Submissions accepted.
        accepted
        /// Submissions refused, whatever was answered.
        refused
        /// Submissions above a rate.
        throttled
        /// Messages that a standing rule refused.
        standing
        /// Of these, to people who have opted out.
        opted_out
        /// Legs that ended delivered.
        delivered
        /// Legs that ended any other way but "accepted".
        failed
        /// DLRs that an ESME took.
        dlrs
        /// MOs that an ESME took.
        mos
        /// Legs sent again.
        retries
        /// Entries given up because its outbox is full.
        overflow
    }
    /// Of a carrier.
    CarrierCounts {
        /// Legs written to a link.
        offered
        /// Answers to them, whatever they mean.
        answers
        /// Answers that took the message.
        accepted
        /// Answers that ask for less.
        slow
        /// Answers that refuse it, for now or for ever.
        refused
        /// Submits without an answer.
        unanswered
        /// Legs sent again.
        retries
        /// Receipts that say delivered.
        delivered
        /// Receipts that end a message any other way.
        failed
        /// MOs.
        mos
    }
    /// Of the gateway.
    GateCounts {
        /// Submissions that were refused because the spool had no room: a batch without room is tried again.
        full
        /// Submissions and batches that it could not write.
        broken
        /// Records that could not be read.
        unreadable
        /// Batches synced.
        batches
        /// Records in these.
        records
        /// Opt-outs by handsets and carriers.
        opt_outs
        /// Connections of ESMEs that were closed at once.
        connections_refused
    }
}

impl AccountCounts {
    pub(super) fn of(tally: &AccountTally) -> Self {
        let delivered = tally.finals.get(MessageState::Delivered);
        let accepted = tally.finals.get(MessageState::Accepted);
        Self {
            accepted: tally.accepted,
            refused: total(&tally.refused),
            throttled: total(&tally.throttled),
            standing: total(&tally.standing_refused),
            opted_out: tally.standing_refused.get(StandingRule::OptOut),
            delivered,
            failed: total(&tally.finals).saturating_sub(delivered + accepted),
            dlrs: tally.dlrs,
            mos: tally.mos,
            retries: tally.retries,
            overflow: tally.overflow,
        }
    }
}

/// Receipts, by the state's octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct States(pub(super) [u64; STATES]);

impl States {
    pub(super) fn of(tally: &CarrierTally) -> Self {
        Self(MessageState::ALL.map(|state| tally.receipt_states.get(state)))
    }
}

impl Grows for States {
    fn since(&self, old: &Self) -> Self {
        let mut added = *self;
        for (new, old) in added.0.iter_mut().zip(old.0) {
            *new = new.saturating_sub(old);
        }
        added
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (sum, other) in sum.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(other);
        }
        sum
    }
}

/// States that end a message; "accepted" is one only where nobody asked for more.
const FAILED: [MessageState; 6] = [
    MessageState::Expired,
    MessageState::Deleted,
    MessageState::Undeliverable,
    MessageState::Unknown,
    MessageState::Rejected,
    MessageState::Skipped,
];

impl CarrierCounts {
    pub(super) fn of(tally: &CarrierTally) -> Self {
        let failed = FAILED.map(|state| tally.receipt_states.get(state));
        Self {
            offered: tally.offered,
            answers: total(&tally.answers),
            accepted: tally.answers.get(Answered::Accepted),
            slow: tally.answers.get(Answered::Slow),
            refused: tally.answers.get(Answered::Reject) + tally.answers.get(Answered::Retry),
            unanswered: tally.unanswered,
            retries: tally.retries,
            delivered: tally.receipt_states.get(MessageState::Delivered),
            failed: failed.iter().sum(),
            mos: tally.mos,
        }
    }
}

impl GateCounts {
    pub(super) fn of(tally: &GateTally) -> Self {
        let broken =
            tally.intake_refused.get(SpoolCause::Broken) + tally.commit_failures.get(SpoolCause::Broken);
        let words = [HandsetWord::OptOut, HandsetWord::Carrier];
        Self {
            full: tally.intake_refused.get(SpoolCause::Full),
            broken,
            unreadable: tally.unreadable,
            batches: tally.batches,
            records: tally.batch_records,
            opt_outs: words.map(|word| tally.handset_words.get(word)).iter().sum(),
            connections_refused: total(&tally.connections_refused),
        }
    }
}

/// Statuses with how often each came, of all accounts or carriers together.
pub(super) fn statuses<'a>(
    counts: impl Iterator<Item = &'a Counts<CommandStatus>>,
) -> Vec<(CommandStatus, u64)> {
    let mut sums = Counts::default();
    for (status, times) in counts.flat_map(Counts::iter) {
        sums.add_times(status, times);
    }
    sums.iter().collect()
}

fn total<K: Copy + PartialEq>(counts: &Counts<K>) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}
