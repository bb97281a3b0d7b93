//! The life of a leg, as one state machine.
//!
//! ```text
//!                    submit_sm · data_sm · submit_multi, synced (P1)
//!                          │ a date of the ESME's to come
//!          ┌───────────────┴───────────────┐
//!          ▼                               ▼
//!      ┌─────────┐       its date      ┌───────────┐
//!   ┌─►│ waiting │◄────────────────────│ scheduled │  replace_sm: another text, other dates; a leg that waits
//!   │  └─────────┘                     └───────────┘  or is scheduled stays what it is, under the same id
//!   │   │ a link has room
//!   │   ▼
//!   │  ┌────────┐  slow · relink · the link broke (unanswered = "resend")
//!   ├──│ leased │  in memory only: after a crash it waits again, and may go out twice
//!   │  └────────┘
//!   │   │     │ retry · no answer in time (unanswered = "resend")
//!   │   │     ▼
//!   │   │   ┌────────────┐  a pause that doubles, then the next carrier of the route; a late answer
//!   └───┼───│ backing off│  "accepted" still leads to handed over
//!       │   └────────────┘
//!       │ accepted · no answer (unanswered = "wait")
//!       ▼
//!      ┌─────────────┐
//!      │ handed over │  where a receipt was asked for; else it ends here
//!      └─────────────┘
//! ```
//!
//! What a rule about abuse has held ([`crate::withheld`]) is *held* from its acceptance on, and waiting, or scheduled, once a
//! person has released it; a start finds it held until that is synced.
//!
//! Where its carrier wants a text in parts, a leg about to be handed over goes from *waiting* to *in parts* instead: from
//! then on its parts, legs of their own, live this life, and it ends with an outcome made of theirs ([`crate::mt`]).
//!
//! From every state one way leads to each final state, and all of them through one function,
//! [`Gate::end_leg`](crate::gate::Gate), over the spool's `settle`: the state and the DLR are one append (P3).
//!
//! | what happens | in | final state |
//! |---|---|---|
//! | a final receipt | handed over | as it says: DELIVERED, EXPIRED, DELETED, UNDELIVERABLE, ACCEPTED, UNKNOWN, REJECTED, SKIPPED |
//! | the receipt deadline | handed over | UNKNOWN; ACCEPTED where failures only were asked for (design §5.6) |
//! | accepted, and no receipt was asked for | leased | ACCEPTED |
//! | a status that rejects | leased, backing off (late) | REJECTED |
//! | tries are over | leased | UNDELIVERABLE after an error, UNKNOWN after silence |
//! | unanswered = "fail" | leased | UNDELIVERABLE |
//! | unanswered = "wait", and no receipt was asked for | leased | UNKNOWN |
//! | the validity ends | waiting, scheduled, held, backing off | EXPIRED |
//! | cancel_sm, or a submit_sm that takes its place | waiting, scheduled, held, backing off | DELETED |
//! | a person rejects it | held | REJECTED |
//! | its parts have ended, as far as its account waits for them | in parts | as `long_message_outcome` says |
//! | cancel_sm before a part has left | in parts | DELETED |
//! | the last date of its parts is over and an end was lost | in parts | UNKNOWN, or the failure of one that is known |
//! | another part failed and the account wants all or none ("all"), and no carrier has this one | waiting, backing off (parts) | DELETED, without a DLR |
//! | a 3.3 carrier cannot hold it | waiting | UNDELIVERABLE |
//! | its record cannot be read | waiting | UNDELIVERABLE, quarantined once |
//!
//! No state is without a date: scheduled and backing off have their own, waiting and held have the end of the validity,
//! handed over has the receipt deadline, in parts has one behind all that its parts can have, and leased has the response timer of its link. A message is final when all
//! its legs are.

use tidegate_codec::values::{InterfaceVersion, MessageState};
use tidegate_store::index::Leg;
use tidegate_store::record::Stage;

use crate::clock::Now;

/// Where an unfinished leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// The ESME's own date has not come yet.
    Scheduled,
    /// Until somebody releases it.
    Held,
    /// In line for a carrier.
    Waiting,
    /// After a try that failed, until the next one.
    BackingOff,
    /// On a carrier link, unanswered; or being read back on its way there.
    Leased,
    /// Its parts are under way.
    InParts,
    /// A carrier has it, and a receipt may come.
    HandedOver,
}

impl Standing {
    /// Where a leg stands at this unix time.
    pub fn of(leg: &Leg, now_ms: u64) -> Self {
        // What is in line has the end of its validity for its date.
        let has_date = leg.due_ms > now_ms && leg.due_ms < leg.envelope.expires_ms;
        Self::from_parts(leg.stage, leg.leased, has_date, leg.attempts)
    }

    const fn from_parts(stage: Stage, leased: bool, has_date: bool, attempts: u16) -> Self {
        match stage {
            Stage::HandedOver => Self::HandedOver,
            Stage::InParts => Self::InParts,
            Stage::Held => Self::Held,
            Stage::Waiting if leased => Self::Leased,
            Stage::Waiting if has_date && attempts == 0 => Self::Scheduled,
            Stage::Waiting if has_date => Self::BackingOff,
            Stage::Waiting => Self::Waiting,
        }
    }

    /// Whether nobody but us has the leg now: it can be called back and changed.
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Scheduled | Self::Held | Self::Waiting | Self::BackingOff
        )
    }

    /// What query_sm says of it. SCHEDULED is a state since 5.0 only.
    pub const fn message_state(self, version: InterfaceVersion) -> MessageState {
        match self {
            Self::Scheduled if version.is_v5() => MessageState::Scheduled,
            _ => MessageState::Enroute,
        }
    }
}

/// Whether what stands in a queue may be handed over from there: it may have gone another way since, wait for a date
/// of its own, or be under way elsewhere.
pub fn is_in_line(leg: &Leg, now: Now) -> bool {
    Standing::of(leg, now.unix_ms) == Standing::Waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_stands_in_one_place_and_only_what_is_ours_can_be_changed() {
        let all = [
            (Standing::Scheduled, Stage::Waiting, false, true, 0, true),
            (Standing::Waiting, Stage::Waiting, false, false, 0, true),
            (Standing::Waiting, Stage::Waiting, false, false, 3, true),
            (Standing::BackingOff, Stage::Waiting, false, true, 3, true),
            (Standing::Leased, Stage::Waiting, true, true, 0, false),
            (Standing::HandedOver, Stage::HandedOver, false, true, 1, false),
            (Standing::HandedOver, Stage::HandedOver, true, false, 0, false),
            (Standing::InParts, Stage::InParts, false, true, 0, false),
            (Standing::InParts, Stage::InParts, true, false, 0, false),
            (Standing::Held, Stage::Held, false, true, 0, true),
            (Standing::Held, Stage::Held, false, false, 0, true),
        ];
        for (standing, stage, leased, has_date, attempts, is_ours) in all {
            assert_eq!(Standing::from_parts(stage, leased, has_date, attempts), standing);
            assert_eq!(standing.is_ours(), is_ours, "{standing:?}");
        }
    }

    #[test]
    fn who_does_not_know_scheduled_hears_enroute() {
        let state = |version| Standing::Scheduled.message_state(version);
        assert_eq!(state(InterfaceVersion::V5_0), MessageState::Scheduled);
        assert_eq!(state(InterfaceVersion::V3_4), MessageState::Enroute);
        assert_eq!(
            Standing::BackingOff.message_state(InterfaceVersion::V5_0),
            MessageState::Enroute
        );
    }
}
