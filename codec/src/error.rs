//! What can be wrong with a body, and the one place where that becomes a `command_status`.
//!
//! ```
//! use tidegate_codec::error::{BodyError, Fault, Field};
//! use tidegate_codec::pdu::message::Sm;
//! use tidegate_codec::status::CommandStatus;
//!
//! // A service_type of six octets without its NUL, where five have room.
//! let error = Sm::decode(b"longer\0").unwrap_err();
//! assert_eq!(error, BodyError { field: Field::ServiceType, fault: Fault::TooLong });
//! assert_eq!(error.status(), CommandStatus::RINVSERTYP);
//! assert_eq!(error.to_string(), "ServiceType is TooLong");
//! ```
//!
//! Errors name fields and lengths, never what a field holds.

use std::fmt;

use crate::status::CommandStatus;
use crate::tlv::Tag;

/// A field of a PDU body, named as the specification names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the specification's field names")]
pub enum Field {
    SystemId,
    Password,
    SystemType,
    InterfaceVersion,
    AddrTon,
    AddrNpi,
    AddressRange,
    ServiceType,
    SourceAddrTon,
    SourceAddrNpi,
    SourceAddr,
    DestAddrTon,
    DestAddrNpi,
    DestinationAddr,
    EsmClass,
    ProtocolId,
    PriorityFlag,
    ScheduleDeliveryTime,
    ValidityPeriod,
    RegisteredDelivery,
    ReplaceIfPresentFlag,
    DataCoding,
    SmDefaultMsgId,
    SmLength,
    ShortMessage,
    MessageId,
    NumberOfDests,
    DestFlag,
    DlName,
    NoUnsuccess,
    ErrorStatusCode,
    FinalDate,
    MessageState,
    ErrorCode,
    EsmeAddrTon,
    EsmeAddrNpi,
    EsmeAddr,
    /// The optional parameters as a whole.
    Tlvs,
}

impl Field {
    /// The status that a bad value of this field deserves (smpp-status.md, "Which status to return").
    pub const fn status(self) -> CommandStatus {
        use CommandStatus as S;
        match self {
            Self::SystemId => S::RINVSYSID,
            Self::Password => S::RINVPASWD,
            Self::SystemType => S::RINVSYSTYP,
            Self::ServiceType => S::RINVSERTYP,
            Self::SourceAddrTon => S::RINVSRCTON,
            Self::SourceAddrNpi => S::RINVSRCNPI,
            Self::SourceAddr => S::RINVSRCADR,
            Self::DestAddrTon => S::RINVDSTTON,
            Self::DestAddrNpi => S::RINVDSTNPI,
            Self::DestinationAddr => S::RINVDSTADR,
            Self::EsmClass => S::RINVESMCLASS,
            Self::PriorityFlag => S::RINVPRTFLG,
            Self::ScheduleDeliveryTime => S::RINVSCHED,
            Self::ValidityPeriod => S::RINVEXPIRY,
            Self::RegisteredDelivery => S::RINVREGDLVFLG,
            Self::ReplaceIfPresentFlag => S::RINVREPFLAG,
            Self::SmDefaultMsgId => S::RINVDFTMSGID,
            Self::SmLength | Self::ShortMessage => S::RINVMSGLEN,
            Self::MessageId => S::RINVMSGID,
            Self::NumberOfDests => S::RINVNUMDESTS,
            Self::DestFlag => S::RINVDESTFLAG,
            Self::DlName => S::RINVDLNAME,
            Self::Tlvs => S::RINVOPTPARSTREAM,
            Self::InterfaceVersion
            | Self::AddrTon
            | Self::AddrNpi
            | Self::AddressRange
            | Self::ProtocolId
            | Self::DataCoding
            | Self::NoUnsuccess
            | Self::ErrorStatusCode
            | Self::FinalDate
            | Self::MessageState
            | Self::ErrorCode
            // Of alert_notification, which nobody answers.
            | Self::EsmeAddrTon
            | Self::EsmeAddrNpi
            | Self::EsmeAddr => S::RINVCMDLEN,
        }
    }
}

/// How a field or a TLV is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The body ends inside the field.
    Truncated,
    /// A C-Octet String without its NUL.
    Unterminated,
    /// A C-Octet String longer than the field allows.
    TooLong,
    /// A value that says what follows, and that the field cannot have.
    Value,
    /// One to three octets where a TLV header needs four.
    TlvHeader,
    /// A TLV that is longer than what is left of the PDU.
    TlvOverrun,
    /// A known TLV with a length that its type cannot have.
    TlvLength,
    /// A TLV that the PDU must have is not there.
    TlvMissing,
}

/// A body that cannot be read, though its framing is intact: answer it, the session lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyError {
    /// Where.
    pub field: Field,
    /// What.
    pub fault: Fault,
}

impl BodyError {
    /// The status of the response (smpp-session.md §3).
    pub const fn status(self) -> CommandStatus {
        match (self.fault, self.field) {
            (Fault::Truncated, Field::ShortMessage) => CommandStatus::RINVMSGLEN,
            (Fault::Truncated | Fault::Unterminated, _) => CommandStatus::RINVCMDLEN,
            (Fault::TooLong | Fault::Value, field) => field.status(),
            (Fault::TlvHeader | Fault::TlvOverrun, _) => CommandStatus::RINVOPTPARSTREAM,
            (Fault::TlvLength, _) => CommandStatus::RINVPARLEN,
            (Fault::TlvMissing, _) => CommandStatus::RMISSINGOPTPARAM,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is {:?}", self.field, self.fault)
    }
}

impl fmt::Debug for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BodyError {}

/// A TLV whose value has a length that its type cannot have: what a getter of [`crate::tlv::Tlvs`] says
/// instead of a value. Whether that is worth refusing the PDU is the reader's choice (smpp-tlvs.md, rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{tag:?} of {length} octets")]
pub struct TlvError {
    /// Which.
    pub tag: Tag,
    /// Octets of its value.
    pub length: usize,
}

impl TlvError {
    /// The status of the response, if the PDU is refused for it.
    pub const fn status(self) -> CommandStatus {
        CommandStatus::RINVPARLEN
    }
}

impl From<TlvError> for BodyError {
    fn from(_: TlvError) -> Self {
        Self {
            field: Field::Tlvs,
            fault: Fault::TlvLength,
        }
    }
}
