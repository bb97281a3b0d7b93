//! What is new in a version stays between those who speak it (smpp-session.md §7).

use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tidegate_tests::esme::message;
use tidegate_tests::{Frame, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";

/// One TLV of 3.4, one of 5.0, a vendor's.
fn tlvs() -> Vec<u8> {
    let mut octets = Vec::new();
    for (tag, value) in [
        (Tag::USER_MESSAGE_REFERENCE, &[0, 9][..]),
        (Tag::BILLING_IDENTIFICATION, b"\x80bill"),
        (Tag(0x1400), b"vendor"),
    ] {
        assert!(append(&mut octets, tag, value));
    }
    octets
}

#[track_caller]
fn assert_tags(frame: &Frame, tags: &[Tag]) {
    let found: Vec<Tag> = frame.sm().tlvs.iter().map(|tlv| tlv.tag).collect();
    assert_eq!(found, tags);
}

/// The scripted carrier speaks 3.4.
#[tokio::test]
async fn what_an_esme_of_5_0_submits_goes_to_a_carrier_of_3_4_without_what_that_does_not_know() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), Changes::default());
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    let bind = esme.try_bind_as(BindKind::Transceiver, "load", "secret", InterfaceVersion::V5_0);
    assert_eq!(bind.await.status(), CommandStatus::ROK);
    let tlvs = tlvs();
    let with_tlvs = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(FROM, TO, "hello")
    };
    esme.submit_ok(with_tlvs).await;
    let submit = smsc.expect_submit().await;
    assert_tags(&submit.frame, &[Tag::USER_MESSAGE_REFERENCE, Tag(0x1400)]);
    assert_eq!(submit.text(), "hello");
    smsc.answer(&submit, "c-1").await;

    let long = [b'x'; 255];
    let with_long = Sm {
        short_message: ShortMessage::new(&long).unwrap(),
        ..message(FROM, TO, "")
    };
    esme.submit_ok(with_long).await;
    let submit = smsc.expect_submit().await;
    assert!(submit.sm().short_message.as_bytes().is_empty());
    assert_tags(&submit.frame, &[Tag::MESSAGE_PAYLOAD]);
    assert_eq!(submit.text().as_bytes(), long);
    smsc.answer(&submit, "c-2").await;
}

#[tokio::test]
async fn what_a_carrier_delivers_goes_whole_to_an_esme_of_5_0_and_without_tlvs_of_5_0_to_one_of_3_4() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), Changes::default());
    smsc.expect_binds(1).await;
    let link = smsc.bound()[0];
    let tlvs = tlvs();
    let from_handset = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "hello")
    };
    for (version, tags) in [
        (
            InterfaceVersion::V3_4,
            &[Tag::USER_MESSAGE_REFERENCE, Tag(0x1400)][..],
        ),
        (
            InterfaceVersion::V5_0,
            &[
                Tag::USER_MESSAGE_REFERENCE,
                Tag::BILLING_IDENTIFICATION,
                Tag(0x1400),
            ],
        ),
    ] {
        let mut esme = ScriptedEsme::connect(local.esme()).await;
        let bind = esme.try_bind_as(BindKind::Transceiver, "load", "secret", version);
        assert_eq!(bind.await.status(), CommandStatus::ROK);
        let sequence = smsc.deliver(link, from_handset).await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        let delivery = esme.expect_deliver().await;
        assert_tags(&delivery, tags);
        assert_eq!(delivery.text(), "hello");
        esme.unbind().await;
    }
}
