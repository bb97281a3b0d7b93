//! What a peer of SMPP 3.3, 3.4 or 5.0 may be sent (smpp-pdus.md §6, smpp-session.md §7). Reading does not
//! ask: a PDU of any version is read whoever sends it.
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::tlv::Tag;
//! use tidegate_codec::values::InterfaceVersion;
//!
//! assert!(!InterfaceVersion::V3_3.has_command(CommandId::DATA_SM));
//! assert!(!InterfaceVersion::V3_3.may_carry(Tag(0x1400)), "no TLV at all, not even a vendor's");
//! assert!(!InterfaceVersion::V3_4.may_carry(Tag::CONGESTION_STATE));
//! assert_eq!(InterfaceVersion::V3_4.short_message_max(), 254);
//! ```
//!
//! **Errors.** [`Unfit`]: the first reason found, not all of them.
//!
//! **Limits.** [`MESSAGE_ID_MAX_V3_3`], [`SHORT_MESSAGE_MAX_V3`], [`DESTINATIONS_MAX_V3_4`].

mod fit;

use crate::address::{ADDR_SM, Address};
use crate::header::CommandId;
use crate::message_id::MESSAGE_ID_MAX;
use crate::octets::COctets;
use crate::pdu::message::{DataSm, SHORT_MESSAGE_MAX, ShortMessage, Sm};
use crate::status::CommandStatus;
use crate::tlv::{Tag, Tlvs};
use crate::values::{InterfaceVersion, MessageState, RegisteredDelivery};

pub use fit::Unfit;

/// Size of a `message_id` field with its NUL in 3.3: eight hexadecimal digits (smpp-pdus.md §6).
pub const MESSAGE_ID_MAX_V3_3: usize = 9;
/// Longest short_message in octets before 5.0 (smpp-pdus.md §4.2). The 140 or 160 of 3.3 are what its
/// networks took, not what the field holds.
pub const SHORT_MESSAGE_MAX_V3: usize = 254;
/// Most destinations of a submit_multi in 3.4; 3.3 and 5.0 have one more (smpp-pdus.md §6).
pub const DESTINATIONS_MAX_V3_4: usize = 254;

impl CommandId {
    /// The version that first has this command; `None` for ids of no PDU. Responses are as old as their
    /// requests.
    pub const fn since(self) -> Option<InterfaceVersion> {
        if !self.is_known() {
            return None;
        }
        Some(match self.request() {
            Self::BROADCAST_SM | Self::QUERY_BROADCAST_SM | Self::CANCEL_BROADCAST_SM => {
                InterfaceVersion::V5_0
            }
            Self::BIND_TRANSCEIVER | Self::OUTBIND | Self::ALERT_NOTIFICATION | Self::DATA_SM => {
                InterfaceVersion::V3_4
            }
            _ => InterfaceVersion::V3_3,
        })
    }
}

impl InterfaceVersion {
    /// Whether a peer of this version knows the command.
    pub const fn has_command(self, command: CommandId) -> bool {
        match command.since() {
            Some(since) => since.0 <= self.normalised().0,
            None => false,
        }
    }

    /// Whether a PDU to a peer of this version may carry the TLV: none to 3.3, and to 3.4 none that 5.0
    /// defines (congestion_state above all). What no specification defines is the peers' own affair.
    pub const fn may_carry(self, tag: Tag) -> bool {
        match tag.since() {
            Some(since) => since.0 <= self.normalised().0,
            None => self.has_tlvs(),
        }
    }

    /// Whether a peer of this version knows the status.
    pub const fn has_status(self, status: CommandStatus) -> bool {
        self.is_v5() || status.is_known_before_v5()
    }

    /// Whether a peer of this version knows the state: SCHEDULED and SKIPPED are of 5.0.
    pub const fn has_state(self, state: MessageState) -> bool {
        self.is_v5() || !matches!(state, MessageState::Scheduled | MessageState::Skipped)
    }

    /// Longest short_message in octets.
    pub const fn short_message_max(self) -> usize {
        if self.is_v5() {
            SHORT_MESSAGE_MAX
        } else {
            SHORT_MESSAGE_MAX_V3
        }
    }

    /// Size of a `message_id` field with its NUL.
    pub const fn message_id_max(self) -> usize {
        if self.has_tlvs() {
            MESSAGE_ID_MAX
        } else {
            MESSAGE_ID_MAX_V3_3
        }
    }

    /// Most destinations of one submit_multi.
    pub const fn destinations_max(self) -> usize {
        match self.normalised() {
            Self::V3_4 => DESTINATIONS_MAX_V3_4,
            _ => u8::MAX as usize,
        }
    }

    /// The session's version: the lower of what both sides speak (smpp-session.md §7).
    pub const fn with(self, other: Self) -> Self {
        let (ours, theirs) = (self.normalised(), other.normalised());
        if ours.0 < theirs.0 { ours } else { theirs }
    }
}

impl<'a> Sm<'a> {
    /// The message as a peer of 3.3 can hold it: no TLV, a text that stood in message_payload moved to
    /// short_message, receipts asked for or not, one of two priorities. `None` where it has no room for the text or
    /// knows no such predefined message: half a text would be worse than none. SAR parameters go with the other TLVs:
    /// of a long message cut by them each part arrives, as a message of its own.
    pub fn plain(self) -> Option<Self> {
        (self.sm_default_msg_id != u8::MAX).then_some(())?;
        Some(Self {
            priority_flag: self.priority_flag.min(1),
            registered_delivery: self.registered_delivery.plain(),
            short_message: plain_text(self.text().0)?,
            tlvs: Tlvs::NONE,
            ..self
        })
    }
}

impl RegisteredDelivery {
    /// As 3.3 knows it: a receipt or none (smpp-pdus.md §6). Which one is wanted only at success or failure is asked
    /// for as well.
    pub const fn plain(self) -> Self {
        Self((self.0 & 3 != 0) as u8)
    }
}

impl<'a> DataSm<'a> {
    /// The message as a submit_sm or deliver_sm of 3.3, which has no data_sm. `None` where the text or an
    /// address is longer than 3.3 has room for.
    pub fn plain(self) -> Option<Sm<'a>> {
        Some(Sm {
            service_type: self.service_type,
            source: plain_address(self.source)?,
            destination: plain_address(self.destination)?,
            esm_class: self.esm_class,
            registered_delivery: self.registered_delivery.plain(),
            data_coding: self.data_coding,
            short_message: plain_text(self.tlvs.message_payload().unwrap_or_default().0)?,
            ..Sm::default()
        })
    }
}

fn plain_text(octets: &[u8]) -> Option<ShortMessage<'_>> {
    (octets.len() <= InterfaceVersion::V3_3.short_message_max())
        .then(|| ShortMessage::new(octets))
        .flatten()
}

fn plain_address<const MAX: usize>(address: Address<'_, MAX>) -> Option<Address<'_, ADDR_SM>> {
    let addr = COctets::new(address.addr.as_bytes()).ok()?;
    Some(Address {
        ton: address.ton,
        npi: address.npi,
        addr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{ADDR_DATA, Npi, Ton};
    use crate::pdu::response::MessageIdResp;
    use crate::pdu::{Operation, Pdu};
    use crate::tlv::append;

    fn pdu(operation: Operation<'_>) -> Pdu<'_> {
        Pdu {
            status: CommandStatus::ROK,
            sequence: 1,
            operation,
        }
    }

    #[test]
    fn each_version_has_the_commands_of_its_specification() {
        let known = |version: InterfaceVersion| {
            (0..=0x200)
                .flat_map(|id| [CommandId(id), CommandId(id | 0x8000_0000)])
                .filter(|id| version.has_command(*id))
                .count()
        };
        // bind_transceiver and data_sm with their responses, outbind, alert_notification; then the six of
        // broadcasts.
        assert_eq!(known(InterfaceVersion::V3_3), 21);
        assert_eq!(known(InterfaceVersion::V3_4), 27);
        assert_eq!(known(InterfaceVersion::V5_0), 33);
        assert!(
            !InterfaceVersion::V5_0.has_command(CommandId(0x22)),
            "only 3.3 had it"
        );
    }

    #[test]
    fn tlvs_are_for_those_who_know_them() {
        let v3_4: Vec<Tag> = Tag::ALL
            .iter()
            .copied()
            .filter(|tag| InterfaceVersion::V3_4.may_carry(*tag))
            .collect();
        assert_eq!(v3_4.len(), 44);
        assert!(Tag::ALL.iter().all(|tag| InterfaceVersion::V5_0.may_carry(*tag)));
        assert!(!Tag::ALL.iter().any(|tag| InterfaceVersion::V3_3.may_carry(*tag)));
        assert!(InterfaceVersion::V3_4.may_carry(Tag(0x1400)));
    }

    #[test]
    fn what_a_peer_must_not_be_sent_is_named() {
        let (v3_3, v3_4, v5_0) = (
            InterfaceVersion::V3_3,
            InterfaceVersion::V3_4,
            InterfaceVersion::V5_0,
        );
        let mut octets = Vec::new();
        assert!(append(&mut octets, Tag::CONGESTION_STATE, &[80]));
        let link = pdu(Operation::EnquireLinkResp(Tlvs::new(&octets)));
        let congestion = Err(Unfit::Tlv(Tag::CONGESTION_STATE));
        assert_eq!(
            (link.fits(v3_3), link.fits(v3_4), link.fits(v5_0)),
            (congestion, congestion, Ok(()))
        );

        let data = pdu(Operation::DataSm(DataSm::default()));
        assert_eq!(data.fits(v3_3), Err(Unfit::Command(CommandId::DATA_SM)));
        assert_eq!(data.fits(v3_4), Ok(()));

        let text = ShortMessage::new(&[b'x'; 255]).unwrap();
        let long = pdu(Operation::SubmitSm(Sm {
            short_message: text,
            ..Sm::default()
        }));
        assert_eq!(
            (long.fits(v3_4), long.fits(v5_0)),
            (Err(Unfit::ShortMessage(255)), Ok(()))
        );

        let id = MessageIdResp {
            message_id: COctets::new(b"123456789").unwrap(),
            tlvs: Tlvs::NONE,
        };
        let mut answer = pdu(Operation::SubmitSmResp(Some(id)));
        assert_eq!(
            (answer.fits(v3_3), answer.fits(v3_4)),
            (Err(Unfit::MessageId(9)), Ok(()))
        );
        answer.status = CommandStatus::RINVDCS;
        assert_eq!(answer.fits(v3_4), Err(Unfit::Status(CommandStatus::RINVDCS)));
    }

    #[test]
    fn a_message_for_3_3_keeps_all_of_its_text_or_is_none() {
        for (length, fits) in [(0, true), (254, true), (255, false)] {
            let mut octets = Vec::new();
            assert!(append(&mut octets, Tag::MESSAGE_PAYLOAD, &vec![b'x'; length]));
            let tlvs = Tlvs::new(&octets);
            let narrow = Sm {
                tlvs,
                ..Sm::default()
            }
            .plain();
            assert_eq!(narrow.is_some(), fits, "{length}");
            let from_data = DataSm {
                tlvs,
                ..DataSm::default()
            }
            .plain();
            assert_eq!(from_data, narrow, "{length}");
            if let Some(sm) = narrow {
                assert_eq!((sm.short_message.as_bytes().len(), sm.tlvs), (length, Tlvs::NONE));
                assert_eq!(pdu(Operation::SubmitSm(sm)).fits(InterfaceVersion::V3_3), Ok(()));
            }
        }
        // The short_message of 5.0 has room for one octet more.
        for (length, fits) in [(254, true), (255, false)] {
            let octets = vec![b'x'; length];
            let sm = Sm {
                short_message: ShortMessage::new(&octets).unwrap(),
                ..Sm::default()
            };
            assert_eq!(sm.plain(), fits.then_some(sm), "{length}");
        }
        let wide = Address::<ADDR_DATA>::new(Ton::UNKNOWN, Npi::UNKNOWN, &[b'1'; 21]).unwrap();
        let far = DataSm {
            source: wide,
            ..DataSm::default()
        };
        assert_eq!(far.plain(), None);
    }

    #[test]
    fn a_session_speaks_the_lower_version() {
        let lower = InterfaceVersion(0x00).with(InterfaceVersion::V5_0);
        assert_eq!(lower, InterfaceVersion::V3_3);
        assert_eq!(
            InterfaceVersion(0x60).with(InterfaceVersion(0x40)),
            InterfaceVersion::V3_4
        );
    }
}
