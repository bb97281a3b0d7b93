//! What is compared of a message on both sides of the gateway.

use tidegate_codec::address::Address;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::time::SmppTime;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::RegisteredDelivery;

/// A message PDU taken apart.
pub(crate) struct Message {
    pub(crate) source: Vec<u8>,
    pub(crate) destination: String,
    pub(crate) text: Vec<u8>,
    /// Everything that the gateway may not touch.
    pub(crate) rest: Vec<u8>,
    pub(crate) registered: u8,
    /// Milliseconds that its validity says are left.
    pub(crate) remaining_ms: Option<u64>,
}

impl Message {
    /// Reads a submit_sm, deliver_sm or data_sm; `None` for anything else.
    pub(crate) fn read(operation: &Operation<'_>, wall_ms: u64) -> Option<Self> {
        match operation {
            Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => Some(Self::of_sm(sm, wall_ms)),
            Operation::DataSm(sm) => Some(Self::of_data_sm(sm)),
            _ => None,
        }
    }

    fn of_sm(sm: &Sm<'_>, wall_ms: u64) -> Self {
        let mut rest = Vec::new();
        let kept = kept(sm.tlvs);
        Sm {
            source: Address::default(),
            destination: Address::default(),
            schedule_delivery_time: COctets::EMPTY,
            validity_period: COctets::EMPTY,
            registered_delivery: RegisteredDelivery::NONE,
            short_message: ShortMessage::default(),
            tlvs: Tlvs::new(&kept),
            ..*sm
        }
        .encode(&mut rest);
        let validity = SmppTime::parse(sm.validity_period.as_bytes(), wall_ms).unwrap();
        Self {
            source: sm.source.addr.as_bytes().to_vec(),
            destination: text(sm.destination.addr.as_bytes()),
            text: sm.text().0.to_vec(),
            rest,
            registered: sm.registered_delivery.0,
            remaining_ms: validity.resolve(wall_ms).map(|at| at.saturating_sub(wall_ms)),
        }
    }

    fn of_data_sm(sm: &DataSm<'_>) -> Self {
        let mut rest = vec![1];
        let kept = kept(sm.tlvs);
        DataSm {
            source: Address::default(),
            destination: Address::default(),
            registered_delivery: RegisteredDelivery::NONE,
            tlvs: Tlvs::new(&kept),
            ..*sm
        }
        .encode(&mut rest);
        Self {
            source: sm.source.addr.as_bytes().to_vec(),
            destination: text(sm.destination.addr.as_bytes()),
            text: sm.tlvs.message_payload().unwrap_or_default().0.to_vec(),
            rest,
            registered: sm.registered_delivery.0,
            remaining_ms: sm
                .tlvs
                .long(Tag::QOS_TIME_TO_LIVE)
                .map(|seconds| u64::from(seconds) * 1000),
        }
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// TLVs but for the text and for what is left of the validity.
fn kept(tlvs: Tlvs<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for found in tlvs {
        let value = match found.tag {
            Tag::MESSAGE_PAYLOAD | Tag::QOS_TIME_TO_LIVE => &[],
            _ => found.value.0,
        };
        assert!(tlv::append(&mut out, found.tag, value));
    }
    out
}
