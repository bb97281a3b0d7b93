//! One-octet fields with a meaning: esm_class, registered_delivery, data_coding, versions, states.
//!
//! ```
//! use tidegate_codec::values::{EsmClass, InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
//!
//! assert!(EsmClass(0x44).is_receipt() && EsmClass(0x44).has_udh());
//! // What 3 asks for depends on the version.
//! let asked = RegisteredDelivery(3);
//! assert_eq!(asked.wish(InterfaceVersion::V5_0), ReceiptWish::OnSuccess);
//! assert_eq!(asked.wish(InterfaceVersion::V3_4), ReceiptWish::Always);
//! // Peers write odd versions.
//! assert_eq!(InterfaceVersion(0x22).normalised(), InterfaceVersion::V3_3);
//! assert_eq!(MessageState::from_octet(2).map(MessageState::stat), Some("DELIVRD"));
//! assert_eq!(MessageState::from_octet(77), None);
//! ```
//!
//! **Errors.** None: each of these holds any octet, and reserved values stay as they came. Only
//! [`MessageState`] has a closed list.

use std::fmt;

/// `esm_class` (SMPP 3.4 §5.2.12): mode, message type and features of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EsmClass(pub u8);

impl EsmClass {
    /// Bits 5–2, the message type. Peers set mode or feature bits on receipts as well (0x44 is seen),
    /// so the type is tested by mask, never by equality (interop quirk 9).
    const TYPE_MASK: u8 = 0x3c;
    /// An SMSC delivery receipt with default mode and no features.
    pub const RECEIPT: Self = Self(0x04);
    /// A deliver_sm that is an intermediate delivery notification (3.4 §5.2.12).
    pub const INTERMEDIATE: Self = Self(0x20);
    /// The user data begins with a header (bit 6).
    pub const UDHI: u8 = 0x40;

    /// The message is a delivery receipt.
    pub const fn is_receipt(self) -> bool {
        self.0 & Self::TYPE_MASK == 0x04
    }

    /// The message is an intermediate notification.
    pub const fn is_intermediate(self) -> bool {
        self.0 & Self::TYPE_MASK == 0x20
    }

    /// The user data begins with a header.
    pub const fn has_udh(self) -> bool {
        self.0 & Self::UDHI != 0
    }

    /// The mode bits (1–0): 0 default, 1 datagram, 2 forward, 3 store and forward.
    pub const fn mode(self) -> u8 {
        self.0 & 0x03
    }
}

/// `registered_delivery` (SMPP 3.4 §5.2.17): which receipts the sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RegisteredDelivery(pub u8);

/// What bits 1–0 of `registered_delivery` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptWish {
    /// No receipt.
    Never,
    /// A receipt for success and failure.
    Always,
    /// A receipt for failure only.
    OnFailure,
    /// A receipt for success only; SMPP 5.0. Reserved in 3.4, where it reads as [`ReceiptWish::Always`].
    OnSuccess,
}

impl RegisteredDelivery {
    /// Nothing is asked for.
    pub const NONE: Self = Self(0);
    /// A receipt for success and failure.
    pub const FINAL: Self = Self(1);

    /// The wish for a final receipt, read by the rules of the session's version.
    pub const fn wish(self, version: InterfaceVersion) -> ReceiptWish {
        match self.0 & 0x03 {
            0 => ReceiptWish::Never,
            1 => ReceiptWish::Always,
            2 => ReceiptWish::OnFailure,
            _ if version.is_v5() => ReceiptWish::OnSuccess,
            _ => ReceiptWish::Always,
        }
    }

    /// An intermediate notification is asked for (bit 4; the 3.4 heading that says bit 5 is wrong).
    pub const fn wants_intermediate(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// `data_coding` (SMPP 3.4 §5.2.19). Kept as it came; reading text is not this type's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct DataCoding(pub u8);

/// `interface_version`: what a peer says it speaks. Read leniently: 0x00 and 0x33 are 3.3, peers that
/// send 0x22 (34 decimal) or 0x03 exist (interop quirk 34).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceVersion(pub u8);

impl InterfaceVersion {
    /// SMPP 3.3.
    pub const V3_3: Self = Self(0x33);
    /// SMPP 3.4.
    pub const V3_4: Self = Self(0x34);
    /// SMPP 5.0.
    pub const V5_0: Self = Self(0x50);

    /// One of the three versions, whatever the octet: below 0x34 is 3.3, 0x34–0x4F is 3.4, the rest 5.0
    /// (smpp-session §7).
    pub const fn normalised(self) -> Self {
        match self.0 {
            0..=0x33 => Self::V3_3,
            0x34..=0x4f => Self::V3_4,
            _ => Self::V5_0,
        }
    }

    /// TLVs may be sent: 3.4 and later. A 3.3 peer must never see one.
    pub const fn has_tlvs(self) -> bool {
        self.0 >= Self::V3_4.0
    }

    /// SMPP 5.0 or later.
    pub const fn is_v5(self) -> bool {
        self.0 >= Self::V5_0.0
    }
}

impl fmt::Debug for InterfaceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceVersion({:#04x})", self.0)
    }
}

/// The state of a message (SMPP 3.4 §5.2.28; 0 and 9 are 5.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MessageState {
    /// Waiting for its scheduled time (5.0).
    Scheduled = 0,
    /// On its way.
    Enroute = 1,
    /// Arrived at the handset.
    Delivered = 2,
    /// Its validity ended first.
    Expired = 3,
    /// Cancelled.
    Deleted = 4,
    /// Cannot be delivered.
    Undeliverable = 5,
    /// Accepted on behalf of the subscriber; here also: a carrier took it and no receipt was asked for.
    Accepted = 6,
    /// Nobody can say.
    Unknown = 7,
    /// Refused.
    Rejected = 8,
    /// Left out on purpose (5.0).
    Skipped = 9,
}

impl MessageState {
    /// All states in the order of their value.
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Enroute,
        Self::Delivered,
        Self::Expired,
        Self::Deleted,
        Self::Undeliverable,
        Self::Accepted,
        Self::Unknown,
        Self::Rejected,
        Self::Skipped,
    ];

    /// From the octet of TLV `message_state` or query_sm_resp; `None` for reserved values.
    pub fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.get(usize::from(octet)).copied()
    }

    /// The octet on the wire.
    pub const fn octet(self) -> u8 {
        self as u8
    }

    /// Whether the message can change no more. ACCEPTED is final by 5.0; where a carrier uses it for
    /// "handed over", its receipt says so by its esm_class.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Enroute)
    }

    /// The `stat:` word of a receipt (3.4 Appendix B).
    pub const fn stat(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Enroute => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable => "UNDELIV",
            Self::Accepted => "ACCEPTD",
            Self::Unknown => "UNKNOWN",
            Self::Rejected => "REJECTD",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// What a bind may do (SMPP 3.4 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindKind {
    /// bind_transmitter: the ESME submits.
    Transmitter,
    /// bind_receiver: the ESME receives.
    Receiver,
    /// bind_transceiver: both; 3.4 and later.
    Transceiver,
}

impl BindKind {
    /// The ESME may submit on this bind.
    pub const fn can_submit(self) -> bool {
        matches!(self, Self::Transmitter | Self::Transceiver)
    }

    /// The ESME gets deliveries on this bind.
    pub const fn can_receive(self) -> bool {
        matches!(self, Self::Receiver | Self::Transceiver)
    }

    /// `tx`, `rx` or `trx`: the label for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Transmitter => "tx",
            Self::Receiver => "rx",
            Self::Transceiver => "trx",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_told_by_their_bits_not_by_equality() {
        for esm_class in [0x04, 0x44, 0x07, 0xc4] {
            assert!(EsmClass(esm_class).is_receipt(), "{esm_class:#x}");
        }
        assert!(!EsmClass(0x00).is_receipt());
        assert!(!EsmClass(0x08).is_receipt());
        assert!(EsmClass(0x20).is_intermediate() && !EsmClass(0x20).is_receipt());
    }

    #[test]
    fn every_version_octet_reads_as_one_of_three() {
        for (octet, version) in [
            (0, 0x33),
            (0x22, 0x33),
            (0x33, 0x33),
            (0x34, 0x34),
            (0x4f, 0x34),
            (0x50, 0x50),
            (0xff, 0x50),
        ] {
            assert_eq!(InterfaceVersion(octet).normalised(), InterfaceVersion(version));
        }
    }

    #[test]
    fn three_means_success_only_to_a_5_0_peer() {
        let three = RegisteredDelivery(3);
        assert_eq!(three.wish(InterfaceVersion::V3_4), ReceiptWish::Always);
        assert_eq!(three.wish(InterfaceVersion::V5_0), ReceiptWish::OnSuccess);
    }

    #[test]
    fn states_survive_the_wire() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::from_octet(state.octet()), Some(state));
        }
        assert_eq!(MessageState::from_octet(10), None);
    }
}
