//! What stood in the way, in words that name it.

use std::fmt;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;

/// Why a connection did not come about, or ended on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection, in the system's words.
    Unreachable(String),
    /// The bind was answered with an error.
    Refused(CommandStatus),
    /// What came is no PDU: its first four octets, as the length that they would be, and whether the
    /// connection was bound before.
    NotSmpp(u32, bool),
    /// The connection ended before the bind was answered.
    ClosedUnbound,
    /// The bind was not answered in time; so many answers to something else were.
    Silent(Duration, u64),
    /// The connection ended after it was bound: why.
    Lost(&'static str),
}

impl Trouble {
    /// Whether trying again is hopeless while nothing was ever bound: the credentials are wrong, the account
    /// has no bind left, or this is no SMSC.
    pub(super) const fn is_for_good(&self) -> bool {
        match self {
            Self::Refused(status) => is_for_good(*status),
            Self::NotSmpp(..) | Self::Silent(..) => true,
            Self::Unreachable(_) | Self::ClosedUnbound | Self::Lost(_) => false,
        }
    }
}

/// Whether trying again cannot help: the credentials are wrong, or the account has no bind left.
const fn is_for_good(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::RALYBND
            | CommandStatus::RBINDFAIL
            | CommandStatus::RINVPASWD
            | CommandStatus::RINVSYSID
    )
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot connect: {why}"),
            Self::Refused(status) => write!(f, "bind refused: {}", status_name(*status)),
            Self::NotSmpp(length, was_bound) => {
                let what = if *was_bound {
                    "the framing was lost"
                } else {
                    "the peer does not speak SMPP"
                };
                write!(f, "{what}: a PDU cannot have {length} octets")?;
                let octets = length.to_be_bytes();
                match std::str::from_utf8(&octets) {
                    Ok(text) if octets.iter().all(u8::is_ascii_graphic) => {
                        write!(f, " (it says \"{text}\")")
                    }
                    _ => Ok(()),
                }
            }
            Self::ClosedUnbound => f.write_str("the peer closed the connection before it answered the bind"),
            Self::Silent(waited, others) => {
                write!(f, "the peer did not answer the bind in {}", seconds(*waited))?;
                if *others > 0 {
                    write!(f, ", only requests that were never made ({others})")?;
                }
                Ok(())
            }
            Self::Lost(why) => write!(f, "the connection was lost: {why}"),
        }
    }
}

/// `RINVPASWD (0x0e)`, or only the number where there is no name.
pub(super) fn status_name(status: CommandStatus) -> String {
    match status.name() {
        Some(name) => format!("{} ({:#04x})", name.trim_start_matches("ESME_"), status.0),
        None => format!("{:#04x}", status.0),
    }
}

/// `1.5 s`, for periods of patience.
pub(super) fn seconds(period: Duration) -> String {
    format!("{} s", period.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_names_what_it_is() {
        for (trouble, text) in [
            (
                Trouble::Refused(CommandStatus::RINVPASWD),
                "bind refused: RINVPASWD (0x0e)",
            ),
            (Trouble::Refused(CommandStatus(0x1234)), "bind refused: 0x1234"),
            (
                Trouble::NotSmpp(u32::from_be_bytes(*b"HTTP"), false),
                "the peer does not speak SMPP: a PDU cannot have 1213486160 octets (it says \"HTTP\")",
            ),
            (
                Trouble::NotSmpp(3, true),
                "the framing was lost: a PDU cannot have 3 octets",
            ),
        ] {
            assert_eq!(trouble.to_string(), text);
        }
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
    }

    #[test]
    fn what_a_later_bind_may_be_spared_is_not_for_good() {
        assert!(is_for_good(CommandStatus::RINVSYSID));
        assert!(!is_for_good(CommandStatus::RSYSERR) && !is_for_good(CommandStatus::RTHROTTLED));
    }
}
