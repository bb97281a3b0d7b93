//! What a carrier's status means for a leg: one table (design §5.7, smpp-status.md).

use tidegate_codec::status::CommandStatus;

use crate::telemetry::words::Answered;

/// What to do with a leg, and with the carrier, after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The carrier has it.
    Accepted,
    /// The carrier is full: slow down and offer it again; no failure of the message.
    Slow,
    /// Try again later, on the next carrier.
    Retry,
    /// It will never be taken: REJECTD.
    Reject,
    /// The session or its configuration is at fault: bind anew; no failure of the message.
    Relink,
}

impl Verdict {
    /// Reads a status. Unknown and vendor values are tried again, as often as the carrier's `max_attempts`
    /// says: a refusal would lose what a pause might save.
    pub const fn of(status: CommandStatus) -> Self {
        use CommandStatus as S;
        match status {
            S::ROK => Self::Accepted,
            S::RTHROTTLED | S::RMSGQFUL => Self::Slow,
            S::RINVBNDSTS | S::RALYBND | S::RBINDFAIL | S::RINVPASWD | S::RINVSYSID | S::RINVSYSTYP => {
                Self::Relink
            }
            S::RINVMSGLEN
            | S::RINVCMDLEN
            | S::RINVCMDID
            | S::RINVPRTFLG
            | S::RINVREGDLVFLG
            | S::RINVDSTADR
            | S::RINVNUMDESTS
            | S::RINVDLNAME
            | S::RINVDESTFLAG
            | S::RINVSUBREP
            | S::RINVESMCLASS
            | S::RCNTSUBDL
            | S::RINVDSTTON
            | S::RINVDSTNPI
            | S::RINVREPFLAG
            | S::RINVNUMMSGS
            | S::RINVSCHED
            | S::RINVEXPIRY
            | S::RINVDFTMSGID
            | S::RX_P_APPN
            | S::RX_R_APPN
            | S::RINVOPTPARSTREAM
            | S::ROPTPARNOTALLWD
            | S::RINVPARLEN
            | S::RMISSINGOPTPARAM
            | S::RINVOPTPARAMVAL
            | S::RSERTYPUNAUTH
            | S::RPROHIBITED
            | S::RSERTYPDENIED
            | S::RINVDCS
            | S::RINVSRCADDRSUBUNIT
            | S::RINVDSTADDRSUBUNIT => Self::Reject,
            // Temporary ones, those that another carrier may take (source, service_type), and the unknown.
            _ => Self::Retry,
        }
    }
}

impl From<Verdict> for Answered {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Accepted,
            Verdict::Slow => Self::Slow,
            Verdict::Retry => Self::Retry,
            Verdict::Reject => Self::Reject,
            Verdict::Relink => Self::Relink,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_carriers_slow_us_down_and_fail_no_message() {
        assert_eq!(Verdict::of(CommandStatus::RTHROTTLED), Verdict::Slow);
        assert_eq!(Verdict::of(CommandStatus::RMSGQFUL), Verdict::Slow);
    }

    #[test]
    fn what_is_unknown_is_tried_again() {
        for status in [0x94, 0x0401, 0x0500, 0xffff_ffff] {
            assert_eq!(Verdict::of(CommandStatus(status)), Verdict::Retry, "{status:#x}");
        }
        assert_eq!(Verdict::of(CommandStatus::RSYSERR), Verdict::Retry);
        assert_eq!(
            Verdict::of(CommandStatus::RINVSRCADR),
            Verdict::Retry,
            "another carrier may allow the sender"
        );
        assert_eq!(Verdict::of(CommandStatus::RINVDSTADR), Verdict::Reject);
        assert_eq!(Verdict::of(CommandStatus::RINVBNDSTS), Verdict::Relink);
    }
}
