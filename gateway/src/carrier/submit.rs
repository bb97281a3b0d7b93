//! The words in which a leg goes to a carrier.

use std::time::Duration;

use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::time::write_relative;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{InterfaceVersion, RegisteredDelivery};
use tidegate_config::ReceiptRequest;
use tidegate_store::record::Form;

use crate::addressing::Words;
use crate::plain::{data_without_v5, plain, without_v5};

/// What is asked of the carrier for what the ESME asked of us.
pub(super) fn asked_for(request: ReceiptRequest, registered: u8) -> RegisteredDelivery {
    match request {
        ReceiptRequest::AsAsked => RegisteredDelivery(registered),
        ReceiptRequest::Always => RegisteredDelivery((registered & !0x03) | 0x01),
    }
}

/// Writes a submit_sm or data_sm towards a carrier: the octets as they came, but for what is ours to say
/// there: the addresses, which receipts, how much validity is left, and no schedule, since we kept it.
pub(super) fn write_submit(
    out: &mut Vec<u8>,
    form: Form,
    body: &[u8],
    words: &Words<'_>,
    registered_delivery: RegisteredDelivery,
    remaining: Duration,
    version: InterfaceVersion,
) {
    let (mut scratch, mut tlvs) = (Vec::new(), Vec::new());
    let registered_delivery = if version.has_tlvs() {
        registered_delivery
    } else {
        registered_delivery.plain()
    };
    match form {
        Form::Sm => {
            // The body was read when it came in.
            let sm = if version.has_tlvs() {
                Sm::decode(body)
                    .ok()
                    .map(|sm| without_v5(sm, version, &mut scratch))
            } else {
                plain(form, body)
            };
            let Some(sm) = sm else { return };
            let validity = write_relative(remaining);
            // What 3.3 does not have it does not get from us, either.
            let tlvs = if version.has_tlvs() {
                words.tlvs(sm.tlvs, &mut tlvs)
            } else {
                sm.tlvs
            };
            Sm {
                // They were admitted, or rewritten, to fit.
                source: words.source.as_field().unwrap_or(sm.source),
                destination: words.destination.as_field().unwrap_or(sm.destination),
                registered_delivery,
                validity_period: COctets::new(&validity).unwrap_or_default(),
                schedule_delivery_time: COctets::EMPTY,
                tlvs,
                ..sm
            }
            .encode(out);
            set_time_to_live(out, tlvs, remaining);
        }
        Form::DataSm => {
            let Ok(sm) = DataSm::decode(body) else { return };
            let sm = data_without_v5(sm, version, &mut scratch);
            let tlvs = words.tlvs(sm.tlvs, &mut tlvs);
            DataSm {
                source: words.source.as_field().unwrap_or(sm.source),
                destination: words.destination.as_field().unwrap_or(sm.destination),
                registered_delivery,
                tlvs,
                ..sm
            }
            .encode(out);
            set_time_to_live(out, tlvs, remaining);
        }
    }
}

/// Where the ESME said `qos_time_to_live`, says what is left of it: it beats the validity in 5.0 and is all
/// that data_sm has, and as it came it would begin anew at the carrier. `tlvs` were written to `out` last.
fn set_time_to_live(out: &mut [u8], tlvs: Tlvs<'_>, remaining: Duration) {
    let mut at = out.len().saturating_sub(tlvs.as_bytes().len());
    for tlv in tlvs {
        at += 4;
        if tlv.tag == Tag::QOS_TIME_TO_LIVE
            && let Some(value) = out.get_mut(at..at + 4).filter(|_| tlv.value.0.len() == 4)
        {
            // Rounded up, and never 0, which would be "not at all".
            let seconds = remaining.as_millis().div_ceil(1000).max(1);
            value.copy_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        }
        at += tlv.value.0.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::address::{Address, AddressBuf, Npi, Ton};
    use tidegate_codec::pdu::message::ShortMessage;
    use tidegate_codec::tlv;
    use tidegate_config::{AddedTlv, Writing};

    /// The addresses that a body of either kind begins with, as admitted; the carrier wants nothing.
    fn as_it_came(body: &[u8]) -> Words<'static> {
        static WRITING: std::sync::LazyLock<Writing> = std::sync::LazyLock::new(Writing::default);
        let sm = DataSm::decode(body).map(|sm| (sm.source.to_buf(), sm.destination.to_buf()));
        let (source, destination) = Sm::decode(body)
            .map(|sm| (sm.source.to_buf(), sm.destination.to_buf()))
            .or(sm)
            .unwrap();
        Words {
            source,
            destination,
            writing: &WRITING,
        }
    }

    fn submitted() -> Vec<u8> {
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
        let mut body = Vec::new();
        Sm {
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
            validity_period: COctets::new(b"000002000000000R").unwrap(),
            registered_delivery: RegisteredDelivery(0),
            short_message: ShortMessage::new(b"\x00hello\xff").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        }
        .encode(&mut body);
        body
    }

    #[test]
    fn a_forwarded_message_keeps_its_octets_and_says_what_validity_is_left() {
        let (body, mut out) = (submitted(), Vec::new());
        let left = Duration::from_secs(90);
        write_submit(
            &mut out,
            Form::Sm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            left,
            InterfaceVersion::V3_4,
        );
        let (before, after) = (Sm::decode(&body).unwrap(), Sm::decode(&out).unwrap());
        assert_eq!(after.validity_period.as_bytes(), b"000000000130000R");
        assert_eq!(after.registered_delivery, RegisteredDelivery(1));
        assert!(
            after.schedule_delivery_time.is_empty(),
            "the schedule was ours to keep"
        );
        let restored = Sm {
            validity_period: before.validity_period,
            schedule_delivery_time: before.schedule_delivery_time,
            registered_delivery: before.registered_delivery,
            ..after
        };
        assert_eq!(restored, before, "everything else is as it came");
    }

    #[test]
    fn what_is_left_of_a_time_to_live_is_said_and_its_neighbours_stay() {
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
        assert!(tlv::append(
            &mut tlvs,
            Tag::QOS_TIME_TO_LIVE,
            &3600u32.to_be_bytes()
        ));
        assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"hello"));
        let mut body = Vec::new();
        DataSm {
            tlvs: Tlvs::new(&tlvs),
            ..DataSm::default()
        }
        .encode(&mut body);
        let mut out = vec![1, 2, 3];
        let left = Duration::from_millis(59_001);
        write_submit(
            &mut out,
            Form::DataSm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            left,
            InterfaceVersion::V3_4,
        );
        let after = DataSm::decode(&out[3..]).unwrap();
        assert_eq!(after.tlvs.long(Tag::QOS_TIME_TO_LIVE), Some(60));
        assert_eq!(after.tlvs.get(Tag(0x1400)), Some(&b"vendor"[..]));
        assert_eq!(after.tlvs.message_payload().unwrap().0, b"hello");
    }

    #[test]
    fn a_message_is_written_with_the_addresses_that_are_kept_and_all_else_stays() {
        let body = submitted();
        let writing = Writing {
            drop_tlvs: vec![Tag(0x1400)],
            add_tlvs: vec![AddedTlv {
                tag: Tag(0x1401),
                value: b"ours".to_vec(),
            }],
            ..Writing::default()
        };
        let words = Words {
            source: AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Shop").unwrap(),
            destination: AddressBuf::new(Ton::NATIONAL, Npi::ISDN, b"7700900123").unwrap(),
            writing: &writing,
        };
        let (left, before) = (Duration::from_secs(1), Sm::decode(&body).unwrap());
        for (version, has_tlvs) in [(InterfaceVersion::V3_4, true), (InterfaceVersion::V3_3, false)] {
            let mut out = Vec::new();
            write_submit(
                &mut out,
                Form::Sm,
                &body,
                &words,
                RegisteredDelivery(1),
                left,
                version,
            );
            let after = Sm::decode(&out).unwrap();
            assert_eq!(Ok(after.source), words.source.as_field());
            assert_eq!(Ok(after.destination), words.destination.as_field());
            assert_eq!(after.short_message, before.short_message);
            // What 3.3 does not have nobody adds, either.
            let tlvs: Vec<(u16, &[u8])> = after.tlvs.iter().map(|tlv| (tlv.tag.0, tlv.value.0)).collect();
            let wanted: &[(u16, &[u8])] = if has_tlvs { &[(0x1401, b"ours")] } else { &[] };
            assert_eq!(tlvs, wanted);
        }
    }

    #[test]
    fn a_3_3_carrier_sees_no_tlv() {
        let (body, mut out) = (submitted(), Vec::new());
        write_submit(
            &mut out,
            Form::Sm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            Duration::from_secs(1),
            InterfaceVersion::V3_3,
        );
        assert!(Sm::decode(&out).unwrap().tlvs.is_empty());
    }

    #[test]
    fn receipts_are_asked_for_as_configured_without_losing_the_other_bits() {
        assert_eq!(asked_for(ReceiptRequest::AsAsked, 0x12), RegisteredDelivery(0x12));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x12), RegisteredDelivery(0x11));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x00), RegisteredDelivery(0x01));
    }
}
