//! `command_status`: what a response says happened (SMPP 3.4 §5.1.3, 5.0 §4.7.6).
//!
//! ```
//! use tidegate_codec::status::CommandStatus;
//!
//! let status: CommandStatus = "RTHROTTLED".parse()?;
//! assert_eq!((status, status.0), (CommandStatus::RTHROTTLED, 0x58));
//! assert_eq!(status.to_string(), "ESME_RTHROTTLED(0x58)");
//! // Any 32 bits may come; a vendor's have no name.
//! let vendors = CommandStatus(0x0401);
//! assert!(CommandStatus::VENDOR.contains(&vendors.0) && !vendors.is_ok());
//! assert_eq!((vendors.name(), vendors.to_string()), (None, "0x401".to_owned()));
//! # Ok::<(), tidegate_codec::status::UnknownStatus>(())
//! ```
//!
//! **Errors.** [`UnknownStatus`], from text only.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A `command_status`. Any 32-bit value may arrive, so unknown and vendor codes survive and are echoed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommandStatus(pub u32);

/// Every status that SMPP 3.4 and 5.0 define: value, name without the `ESME_` prefix, meaning.
macro_rules! statuses {
    ($($value:literal $name:ident $doc:literal)*) => {
        impl CommandStatus {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The specification's name (`ESME_RTHROTTLED`), or `None` for reserved and vendor values.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("ESME_", stringify!($name))),)*
                    _ => None,
                }
            }

            /// All defined statuses in ascending order of value.
            pub const ALL: &'static [Self] = &[$(Self($value)),*];
        }
    };
}

statuses! {
    0x00000000 ROK "Success."
    0x00000001 RINVMSGLEN "Message length invalid."
    0x00000002 RINVCMDLEN "PDU length invalid."
    0x00000003 RINVCMDID "Command not known or not supported."
    0x00000004 RINVBNDSTS "Wrong bind state."
    0x00000005 RALYBND "Already bound."
    0x00000006 RINVPRTFLG "Priority_flag."
    0x00000007 RINVREGDLVFLG "Registered_delivery."
    0x00000008 RSYSERR "MC system error."
    0x0000000a RINVSRCADR "Source address."
    0x0000000b RINVDSTADR "Destination address."
    0x0000000c RINVMSGID "Message_id unknown/invalid."
    0x0000000d RBINDFAIL "Bind failed."
    0x0000000e RINVPASWD "Password."
    0x0000000f RINVSYSID "System_id."
    0x00000011 RCANCELFAIL "Cancel failed."
    0x00000013 RREPLACEFAIL "Replace failed."
    0x00000014 RMSGQFUL "Queue full (MC or destination)."
    0x00000015 RINVSERTYP "Service_type."
    0x00000033 RINVNUMDESTS "Number_of_dests."
    0x00000034 RINVDLNAME "Distribution list name."
    0x00000040 RINVDESTFLAG "Dest_flag."
    0x00000042 RINVSUBREP "Submit-with-replace not possible."
    0x00000043 RINVESMCLASS "Esm_class."
    0x00000044 RCNTSUBDL "Cannot submit to distribution list."
    0x00000045 RSUBMITFAIL "Submit failed (generic)."
    0x00000048 RINVSRCTON "Source TON."
    0x00000049 RINVSRCNPI "Source NPI."
    0x00000050 RINVDSTTON "Destination TON."
    0x00000051 RINVDSTNPI "Destination NPI."
    0x00000053 RINVSYSTYP "System_type."
    0x00000054 RINVREPFLAG "Replace_if_present_flag."
    0x00000055 RINVNUMMSGS "Number of messages."
    0x00000058 RTHROTTLED "Rate exceeded."
    0x00000061 RINVSCHED "Schedule_delivery_time."
    0x00000062 RINVEXPIRY "Validity_period."
    0x00000063 RINVDFTMSGID "Predefined message."
    0x00000064 RX_T_APPN "Receiver: temporary."
    0x00000065 RX_P_APPN "Receiver: permanent, this destination."
    0x00000066 RX_R_APPN "Receiver: reject this message."
    0x00000067 RQUERYFAIL "Query failed."
    0x000000c0 RINVOPTPARSTREAM "TLV section broken (5.0 calls it RINVTLVSTREAM)."
    0x000000c1 ROPTPARNOTALLWD "TLV not allowed (5.0 calls it RTLVNOTALLWD)."
    0x000000c2 RINVPARLEN "Parameter/TLV length (5.0 calls it RINVTLVLEN)."
    0x000000c3 RMISSINGOPTPARAM "Required TLV missing (5.0 calls it RMISSINGTLV)."
    0x000000c4 RINVOPTPARAMVAL "TLV value (5.0 calls it RINVTLVVAL)."
    0x000000fe RDELIVERYFAILURE "Transaction-mode delivery failed."
    0x000000ff RUNKNOWNERR "Unknown error."
    0x00000100 RSERTYPUNAUTH "Service_type not authorised."
    0x00000101 RPROHIBITED "Operation prohibited."
    0x00000102 RSERTYPUNAVAIL "Service_type unavailable."
    0x00000103 RSERTYPDENIED "Service_type denied (content)."
    0x00000104 RINVDCS "Data_coding."
    0x00000105 RINVSRCADDRSUBUNIT "Source subunit."
    0x00000106 RINVDSTADDRSUBUNIT "Destination subunit."
    0x00000107 RINVBCASTFREQINT "Broadcast_frequency_interval."
    0x00000108 RINVBCASTALIAS_NAME "Broadcast alias name."
    0x00000109 RINVBCASTAREAFMT "Area format."
    0x0000010a RINVNUMBCAST_AREAS "Number of areas."
    0x0000010b RINVBCASTCNTTYPE "Content type."
    0x0000010c RINVBCASTMSGCLASS "Message class."
    0x0000010d RBCASTFAIL "Broadcast failed."
    0x0000010e RBCASTQUERYFAIL "Broadcast query failed."
    0x0000010f RBCASTCANCELFAIL "Broadcast cancel failed."
    0x00000110 RINVBCAST_REP "Broadcast_rep_num."
    0x00000111 RINVBCASTSRVGRP "Service group."
    0x00000112 RINVBCASTCHANIND "Channel indicator."
}

impl CommandStatus {
    /// First and last value that SMPP reserves for vendors (3.4 §5.1.3).
    pub const VENDOR: std::ops::RangeInclusive<u32> = 0x0400..=0x04ff;

    /// Whether the request succeeded.
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Whether a 3.4 peer knows this value: those from 0x100 up to 0x3FF are defined by 5.0 only
    /// (vendor codes are a matter between the two peers).
    pub const fn is_known_before_v5(self) -> bool {
        self.0 < 0x100 || self.0 >= 0x400
    }
}

impl FromStr for CommandStatus {
    type Err = UnknownStatus;

    /// `RTHROTTLED`, `ESME_RTHROTTLED`, `0x58` or `88`; names in any case.
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        if let Ok(number) = number {
            return Ok(Self(number));
        }
        let is_named = |status: &&Self| {
            status.name().is_some_and(|name| {
                name.eq_ignore_ascii_case(text) || name["ESME_".len()..].eq_ignore_ascii_case(text)
            })
        };
        Self::ALL.iter().find(is_named).copied().ok_or(UnknownStatus)
    }
}

/// A text that names no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownStatus;

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no status: give a name such as RTHROTTLED, or a number such as 0x58")
    }
}

impl Error for UnknownStatus {}

impl fmt::Display for CommandStatus {
    /// `ESME_RTHROTTLED(0x58)`, or only the number where there is no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}({:#x})", self.0),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Debug for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_48_statuses_of_3_4_and_19_of_5_0() {
        let (old, new): (Vec<CommandStatus>, Vec<CommandStatus>) = CommandStatus::ALL
            .iter()
            .partition(|status| status.is_known_before_v5());
        assert_eq!((old.len(), new.len()), (48, 19));
        assert!(CommandStatus::ALL.is_sorted());
    }

    #[test]
    fn the_values_are_hexadecimal_with_gaps() {
        assert_eq!(CommandStatus::RINVDSTTON, CommandStatus(0x50));
        assert_eq!(CommandStatus::RTHROTTLED.to_string(), "ESME_RTHROTTLED(0x58)");
        assert_eq!(CommandStatus(0x94).to_string(), "0x94");
    }

    #[test]
    fn a_status_is_read_by_name_and_by_number() {
        for text in ["RTHROTTLED", "esme_rthrottled", "0x58", "88"] {
            assert_eq!(text.parse(), Ok(CommandStatus::RTHROTTLED), "{text}");
        }
        assert_eq!("0x94".parse(), Ok(CommandStatus(0x94)));
        for text in ["", "0x", "-1", "ESME_", "ESME_ESME_ROK", "0x100000000"] {
            assert_eq!(text.parse::<CommandStatus>(), Err(UnknownStatus), "{text}");
        }
    }
}
