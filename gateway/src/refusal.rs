//! Why we say no to a submission, and the only place where that becomes a `command_status`.

use tidegate_codec::error::BodyError;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;

/// A refusal: synchronous, nothing was stored, no DLR follows (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The account is suspended or closing.
    Suspended,
    /// The sender is suspended, for this account (FRD-5).
    SenderSuspended,
    /// The recipient has opted out; with the vendors' status for it, or the plain one of 3.4.
    OptedOut {
        /// The account wants ESME_RSUBMITFAIL.
        plain: bool,
    },
    /// The recipient is restricted (DSR-4): nothing of the person is processed but kept.
    Restricted,
    /// It is marketing, and its recipient's hours are over for now (QH-7).
    OutsideHours,
    /// It is marketing, and no consent of its recipient is on record (CON-4).
    NoConsent,
    /// Its recipient has had as many as may be (CAP-1).
    OverCap,
    /// Somebody seems to pump codes (FRD-3).
    Pumping,
    /// A rule about content says no to its text (FRD-4).
    Content,
    /// Above the account's rate, or the link has too many unanswered.
    Throttled,
    /// The account has used its quota of the day or the month. It opens again when that is over, not before.
    Quota,
    /// The spool, the index or the disk's budget is full.
    Full,
    /// The disk failed.
    Broken,
    /// The sender is empty or not the account's to use.
    Sender,
    /// The recipient is empty or no address.
    Recipient,
    /// The recipient's country, or number, is not open to the account (FRD-1).
    Country,
    /// The recipient's country needs an approval that the account does not have yet (FRD-2).
    NotApproved,
    /// It says to be for what is no category.
    Category,
    /// It says to be for what the account's messages may not say.
    CategoryNotAllowed,
    /// No route leads to the recipient.
    NoRoute,
    /// Text both in short_message and in message_payload on a bind before 5.0.
    TwoTexts,
    /// priority_flag out of range.
    Priority,
    /// schedule_delivery_time cannot be read, or lies beyond the validity.
    Schedule,
    /// validity_period cannot be read, or is over.
    Validity,
    /// replace_if_present_flag is neither 0 nor 1, or set where it is not offered.
    Replace,
    /// More messages wait between the two numbers than a submission may look at to take their place.
    ReplacesTooMany,
    /// A predefined message is asked for; there are none.
    DefaultMessage,
    /// The body cannot be read.
    Body(BodyError),
}

impl Refusal {
    /// Why, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Suspended => "the account is suspended or closing",
            Self::SenderSuspended => "the sender is suspended: see `account show`",
            Self::OptedOut { .. } => "the recipient has opted out",
            Self::Restricted => "the recipient is restricted: nothing may be sent there for now",
            Self::OutsideHours => {
                "outside the hours in which its recipient may get marketing: see `tidegate hours`"
            }
            Self::NoConsent => "marketing, and its recipient has not consented to it: see `consent`",
            Self::OverCap => {
                "its recipient has had as many as `caps`, or the law's cap in [sending_hours], allows"
            }
            Self::Pumping => {
                "too many codes to its number or to those around it, or its country: see [abuse]"
            }
            Self::Content => "what its text says, or the links in it: see [screening]",
            Self::Throttled => "above the account's rate",
            Self::Quota => "the account has used its quota of the day or the month",
            Self::Full => "no room to store it",
            Self::Broken => "the disk failed",
            Self::Sender => "not a sender that the account may use",
            Self::Recipient => "not a number that can receive messages",
            Self::Country => {
                "the recipient's country is not open to the account: see its `countries` and `number_modes`"
            }
            Self::NotApproved => {
                "the recipient's country needs an approval that the account does not have yet: see its `approvals`"
            }
            Self::Category => "its category, TLV 0x3C01, is none of 1 to 4 in one octet",
            Self::CategoryNotAllowed => "its category is none of the account's `categories`",
            Self::NoRoute => "no route takes it",
            Self::TwoTexts => "text both in short_message and in message_payload",
            Self::Priority => "priority_flag out of range",
            Self::Schedule => "schedule_delivery_time cannot be read, or lies beyond the validity",
            Self::Validity => "validity_period cannot be read, or is over",
            Self::Replace => "replace_if_present_flag is not offered there",
            Self::ReplacesTooMany => "too many messages wait between the two numbers to take their place",
            Self::DefaultMessage => "there are no predefined messages",
            Self::Body(_) => "the body cannot be read",
        }
    }

    /// What the ESME is told.
    pub const fn status(self, version: InterfaceVersion) -> CommandStatus {
        use CommandStatus as S;
        match self {
            // Vendor range, compliance.md §18: suspended.
            Self::Suspended | Self::SenderSuspended => CommandStatus(0x0404),
            // OPT-16 and compliance.md §18.
            Self::OptedOut { plain: false } => CommandStatus(0x0401),
            Self::OptedOut { plain: true } => S::RSUBMITFAIL,
            // DSR-4 and compliance.md §18.
            Self::Restricted => CommandStatus(0x0405),
            // QH-7 and compliance.md §18.
            Self::OutsideHours => CommandStatus(0x0402),
            // Vendor range as well, the next that is free. Not 0x0401: a client that drops a number for ever at that would
            // drop those of people who have only not been asked.
            Self::NoConsent => CommandStatus(0x040b),
            // CAP-2 and compliance.md §18.
            Self::OverCap => CommandStatus(0x0406),
            // FRD-5 and compliance.md §18.
            Self::Pumping => CommandStatus(0x0409),
            // FRD-4 and compliance.md §18.
            Self::Content => CommandStatus(0x0407),
            Self::Throttled => S::RTHROTTLED,
            // Vendor range as well. 0x58 and 0x14 would be tried again until midnight, and 0x0408 is for money.
            Self::Quota => CommandStatus(0x040a),
            Self::Full => S::RMSGQFUL,
            Self::Broken => S::RSYSERR,
            Self::Sender => S::RINVSRCADR,
            Self::Recipient | Self::NoRoute => S::RINVDSTADR,
            // Vendor range, compliance.md §18: destination not approved. Another status for what is blocked would tell a
            // client what to ask for, but it knows none, and either way an operator opens it.
            Self::Country | Self::NotApproved => CommandStatus(0x0403),
            Self::Category => S::RINVOPTPARAMVAL,
            Self::CategoryNotAllowed => S::ROPTPARNOTALLWD,
            Self::TwoTexts => S::RINVMSGLEN,
            Self::Priority => S::RINVPRTFLG,
            Self::Schedule => S::RINVSCHED,
            Self::Validity => S::RINVEXPIRY,
            Self::Replace => S::RINVREPFLAG,
            Self::ReplacesTooMany => S::RINVSUBREP,
            Self::DefaultMessage => S::RINVDFTMSGID,
            Self::Body(error) => {
                let status = error.status();
                // 3.4 peers are not told what only 5.0 defines.
                if version.is_v5() || status.is_known_before_v5() {
                    status
                } else {
                    S::RSUBMITFAIL
                }
            }
        }
    }
}

impl From<tidegate_store::spool::Refused> for Refusal {
    fn from(refused: tidegate_store::spool::Refused) -> Self {
        match refused {
            tidegate_store::spool::Refused::Full => Self::Full,
            tidegate_store::spool::Refused::Broken => Self::Broken,
        }
    }
}
