//! Texts in a carrier's own alphabet and form, in octets over real sockets.

use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::{DataCoding, EsmClass, MessageState};
use tidegate_tests::Dialect;
use tidegate_tests::esme::message;

use crate::ancillary::bound;
use crate::local::Changes;

fn text(data_coding: u8, esm_class: u8, octets: &[u8]) -> Sm<'_> {
    Sm {
        data_coding: DataCoding(data_coding),
        esm_class: EsmClass(esm_class),
        short_message: ShortMessage::new(octets).unwrap(),
        ..message("Shop", "447700900123", "")
    }
}

#[tokio::test]
async fn a_carrier_gets_texts_in_its_alphabet_and_what_cannot_be_written_so_as_it_came() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        carrier: "default_alphabet = \"latin1\"\ntranscode = true\nlong_messages = \"udh8\"",
        ..Changes::default()
    })
    .await;
    let full = [&b"\x05\x00\x03\x2a\x02\x01"[..], &[0x65; 152], b"\x10"].concat();
    for (given, wanted) in [
        // é and @ of the GSM alphabet; Δ, which Latin-1 does not have.
        ((0, 0, &b"caf\x05\x00"[..]), (0, 0, &b"caf\xe9@"[..])),
        ((0, 0, b"\x10"), (8, 0, b"\x03\x94")),
        // Another reference for the parts of a client.
        (
            (0, 0x40, b"\x06\x08\x04\x01\x02\x02\x01caf\x05"),
            (0, 0x40, b"\x05\x00\x03\x03\x02\x01caf\xe9"),
        ),
        // Binary, a header that is none, and a part that would be too long in UCS-2.
        ((4, 0, b"caf\x05"), (4, 0, b"caf\x05")),
        ((0, 0x40, b"\x09\x05"), (0, 0x40, b"\x09\x05")),
        ((0, 0x40, &full), (0, 0x40, &full)),
    ] {
        let (data_coding, esm_class, octets) = given;
        let id = esme.submit_ok(text(data_coding, esm_class, octets)).await;
        let submit = smsc.expect_submit().await;
        let sm = submit.sm();
        assert_eq!((sm.data_coding.0, sm.esm_class.0, sm.text().0), wanted);
        smsc.answer(&submit, "1").await;
        smsc.receipt(&submit, "1", MessageState::Delivered, Dialect::Both)
            .await;
        let dlr = esme.expect_receipt(&id).await;
        esme.answer(&dlr, tidegate_codec::status::CommandStatus::ROK)
            .await;
    }
}
