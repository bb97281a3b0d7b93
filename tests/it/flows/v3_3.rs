//! Clients and carriers of version 3.3.

use super::*;

#[tokio::test]
async fn a_3_3_client_gets_short_hexadecimal_ids_and_never_a_tlv() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut clients = Vec::new();
    for kind in [BindKind::Transmitter, BindKind::Receiver] {
        let mut esme = ScriptedEsme::connect(local.esme()).await;
        let answer = esme
            .try_bind_as(kind, "load", "secret", InterfaceVersion::V3_3)
            .await;
        assert_eq!(answer.status(), CommandStatus::ROK);
        // The system_id and nothing behind its NUL.
        let nul = answer.octets[HEADER_LEN..].iter().position(|octet| *octet == 0);
        assert_eq!(nul, Some(answer.octets.len() - HEADER_LEN - 1));
        clients.push(esme);
    }
    let [tx, rx] = &mut clients[..] else {
        unreachable!()
    };
    let (id, submit) = handed_over(tx, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    assert!(
        id.len() == 8 && id.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{id}"
    );
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    let dlr = rx.expect_deliver().await;
    assert!(dlr.sm().tlvs.is_empty());
    assert!(dlr.text().starts_with(&format!("id:{id} ")), "{}", dlr.text());
    assert!(dlr.text().contains(" stat:DELIVRD "), "{}", dlr.text());

    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1401), b"vendor"));
    let sent = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "STOP")
    };
    smsc.deliver(0, sent).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(
        (delivery.text().as_str(), delivery.sm().tlvs.is_empty()),
        ("STOP", true)
    );
}

#[tokio::test]
async fn a_3_3_client_gets_an_mo_of_any_form_as_a_deliver_sm_with_its_text() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    let kind = BindKind::Receiver;
    let answer = rx
        .try_bind_as(kind, "load", "secret", InterfaceVersion::V3_3)
        .await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"in a TLV"));
    let sent = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "")
    };
    smsc.deliver(0, sent).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(delivery.sm().short_message.as_bytes(), b"in a TLV");
    assert!(delivery.sm().tlvs.is_empty());

    let wide = |octets: &'static [u8]| {
        tidegate_codec::address::Address::new(sent.source.ton, sent.source.npi, octets).unwrap()
    };
    let data = DataSm {
        source: wide(TO.as_bytes()),
        destination: wide(b"12345"),
        data_coding: DataCoding(0x04),
        tlvs: Tlvs::new(&tlvs),
        ..DataSm::default()
    };
    smsc.link(0).peer.request(Operation::DataSm(data)).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(delivery.sm().short_message.as_bytes(), b"in a TLV");
    assert_eq!(
        (delivery.sm().source, delivery.sm().data_coding),
        (sent.source, DataCoding(0x04))
    );
    assert!(delivery.sm().tlvs.is_empty());
}

#[tokio::test]
async fn a_3_3_carrier_gets_the_text_of_a_payload_or_the_message_ends() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(
        smsc.addr(),
        carrier("interface_version = \"3.3\"\nbinds = \"tx+rx\""),
    );
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (mut short, mut long) = (Vec::new(), Vec::new());
    assert!(tlv::append(&mut short, Tag::MESSAGE_PAYLOAD, b"in a TLV"));
    assert!(tlv::append(&mut long, Tag::MESSAGE_PAYLOAD, &[b'x'; 255]));
    esme.submit_ok(message_with(&short)).await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.sm().short_message.as_bytes(), b"in a TLV");
    assert!(submit.sm().tlvs.is_empty());
    let id = esme.submit_ok(message_with(&long)).await;
    let dlr = esme.expect_deliver().await;
    assert_dlr(&dlr, &id, MessageState::Undeliverable, Some("001"));
    smsc.expect_no_submit(A_WHILE).await;
}
