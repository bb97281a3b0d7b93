//! What a carrier's status means for a leg: what the carrier's configuration says of it, or else one table (design
//! §5.7, smpp-status.md).

use tidegate_codec::status::CommandStatus;
use tidegate_config::{StatusMeaning, Verdicts};

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
    /// Reads a status.
    pub fn of(status: CommandStatus, configured: &Verdicts) -> Self {
        if status.is_ok() {
            return Self::Accepted;
        }
        configured
            .listed(status)
            .map(Self::from)
            .or_else(|| Self::usual(status))
            .unwrap_or_else(|| Self::from(configured.unknown))
    }

    /// What an error means at most carriers. `None` for reserved and vendor values; by default they are tried again,
    /// as often as the carrier's `max_attempts` says: a refusal would lose what a pause might save.
    fn usual(status: CommandStatus) -> Option<Self> {
        use CommandStatus as S;
        Some(match status {
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
            // Temporary ones, and those that another carrier may take (source, service_type).
            _ if status.name().is_some() => Self::Retry,
            _ => return None,
        })
    }
}

impl From<StatusMeaning> for Verdict {
    fn from(meaning: StatusMeaning) -> Self {
        match meaning {
            StatusMeaning::Slow => Self::Slow,
            StatusMeaning::Retry => Self::Retry,
            StatusMeaning::Reject => Self::Reject,
            StatusMeaning::Relink => Self::Relink,
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

    fn usual(status: u32) -> Verdict {
        Verdict::of(CommandStatus(status), &Verdicts::default())
    }

    #[test]
    fn full_carriers_slow_us_down_and_fail_no_message() {
        assert_eq!(usual(0x58), Verdict::Slow);
        assert_eq!(usual(0x14), Verdict::Slow);
    }

    #[test]
    fn what_is_unknown_is_tried_again() {
        for status in [0x94, 0x0401, 0x0500, 0xffff_ffff] {
            assert_eq!(usual(status), Verdict::Retry, "{status:#x}");
        }
        assert_eq!(usual(0x08), Verdict::Retry);
        assert_eq!(
            usual(0x0a),
            Verdict::Retry,
            "another carrier may allow the sender"
        );
        assert_eq!(usual(0x0b), Verdict::Reject);
        assert_eq!(usual(0x04), Verdict::Relink);
    }

    #[test]
    fn a_carrier_may_mean_otherwise() {
        let verdicts = Verdicts::new([(0x45, StatusMeaning::Slow)], StatusMeaning::Reject);
        let of = |status| Verdict::of(CommandStatus(status), &verdicts);
        assert_eq!(of(0x45), Verdict::Slow);
        assert_eq!(of(0x94), Verdict::Reject);
        assert_eq!(of(0x08), Verdict::Retry, "what SMPP knows is not unknown");
        assert_eq!(of(0), Verdict::Accepted);
    }
}
