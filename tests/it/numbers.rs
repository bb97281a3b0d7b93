//! Numbers as clients write them and as carriers want them, in octets over real sockets.

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::ancillary::{CancelSm, QuerySm};
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme};

use crate::ancillary::{ask, bound, waiting};
use crate::local::Changes;

const CANONICAL: &str = "numbers = \"canonical\"\ncountry = \"GB\"\ncountries = \"all\"";
const NUMBER: &str = "447700900123";

fn address<const MAX: usize>(ton: u8, npi: u8, octets: &str) -> Address<'_, MAX> {
    Address::new(Ton(ton), Npi(npi), octets.as_bytes()).unwrap()
}

fn from_to<'a>(source: Address<'a>, destination: Address<'a>, text: &'a str) -> Sm<'a> {
    Sm {
        source,
        destination,
        ..message("", "", text)
    }
}

#[tokio::test]
async fn a_canonical_account_and_a_national_carrier_each_write_numbers_in_their_way() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        account: CANONICAL,
        carrier: "numbers = \"national\"\ncountry = \"GB\"\n\
                  source_ton_npi = { alphanumeric = [5, 9] }\n\
                  destination_ton_npi = { number = [2, 8], short = [3, 1] }",
        ..Changes::default()
    })
    .await;
    let at_the_carrier = [
        // As the client writes it, and as the carrier gets it.
        (address(0, 0, "+447700900123"), address(2, 8, "7700900123")),
        (address(0, 0, "07700900123"), address(2, 8, "7700900123")),
        (address(2, 1, "7700900123"), address(2, 8, "7700900123")),
        (address(0, 0, "00447700900123"), address(2, 8, "7700900123")),
        // Another country's has its code. TON and NPI go by what it is.
        (address(0, 0, "0033612345678"), address(2, 8, "33612345678")),
        (address(0, 0, "80888"), address(3, 1, "80888")),
    ];
    for (number, (given, wanted)) in at_the_carrier.into_iter().enumerate() {
        let text = format!("number {number}");
        let id = esme.submit_ok(from_to(address(0, 0, "Shop"), given, &text)).await;
        let submit = smsc.expect_submit_of(&text).await;
        assert_eq!(submit.sm().source, address(5, 9, "Shop"), "{text}");
        assert_eq!(submit.sm().destination, wanted, "{text}");
        smsc.answer(&submit, &text).await;
        smsc.receipt(&submit, &text, MessageState::Delivered, Dialect::Both)
            .await;
        // The receipt is about the canonical number, whatever was written on either side.
        let dlr = esme.expect_receipt(&id).await;
        assert_eq!(dlr.sm().destination, address(5, 0, "Shop"), "{text}");
        let kept = match number {
            0..=3 => address(1, 1, NUMBER),
            4 => address(1, 1, "33612345678"),
            _ => address(0, 0, "80888"),
        };
        assert_eq!(dlr.sm().source, kept, "{text}");
        esme.answer(&dlr, CommandStatus::ROK).await;
    }
}

#[tokio::test]
async fn what_is_not_touched_reaches_the_carrier_octet_by_octet() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    for (source, destination) in [
        (
            address(7, 9, "+44 Shop, and more"),
            address(0, 18, "+447700900123"),
        ),
        (address(0, 0, ""), address(3, 0, "12345678901234567890")),
    ] {
        let sent = from_to(source, destination, "as it is");
        esme.submit_ok(sent).await;
        let submit = smsc.expect_submit().await;
        assert_eq!(
            (submit.sm().source, submit.sm().destination),
            (source, destination)
        );
        smsc.answer(&submit, "1").await;
    }
}

#[tokio::test]
async fn what_cannot_be_made_canonical_is_refused() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        account: "numbers = \"canonical\"\ncountry = \"GB\"\ncountries = \"all\"\nshort_codes = false\ndefault_source = \"Tidegate\"\n\
                  senders_by_country = [{ sender = \"Shop\", countries = [\"GB\"] }, \
                  { sender = \"Tidegate\", countries = [\"GB\", \"FR\"] }, { sender = \"4477*\", countries = [\"FR\"] }]",
        ..Changes::default()
    })
    .await;
    let (gb, fr) = (address(0, 0, "07700900123"), address(0, 0, "+33612345678"));
    let shop = address(0, 0, "Shop");
    for (source, destination, status) in [
        (shop, address(0, 0, "80888"), CommandStatus::RINVDSTADR),
        (shop, address(0, 0, "+4477"), CommandStatus::RINVDSTADR),
        (shop, address(1, 1, "Bob"), CommandStatus::RINVDSTADR),
        (address(0, 0, "Twelve chars"), gb, CommandStatus::RINVSRCADR),
        (address(5, 0, "back`tick"), gb, CommandStatus::RINVSRCADR),
        // Towards some countries only.
        (shop, fr, CommandStatus::RINVSRCADR),
        (address(0, 0, "07700900001"), gb, CommandStatus::RINVSRCADR),
        (address(5, 0, "Other"), gb, CommandStatus::RINVSRCADR),
    ] {
        let refused = esme.submit_refused(from_to(source, destination, "no")).await;
        assert_eq!(refused, status);
    }
    for (source, destination, wanted) in [
        (shop, gb, address(5, 0, "Shop")),
        (address(0, 0, ""), fr, address(5, 0, "Tidegate")),
        (address(0, 0, "07700900001"), fr, address(1, 1, "447700900001")),
    ] {
        esme.submit_ok(from_to(source, destination, "yes")).await;
        let submit = smsc.expect_submit().await;
        assert_eq!(submit.sm().source, wanted);
        smsc.answer(&submit, "1").await;
    }
}

fn query<'a>(id: &'a str, source: Address<'a>) -> Operation<'a> {
    Operation::QuerySm(QuerySm {
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source,
        tlvs: Tlvs::NONE,
    })
}

async fn cancel(
    esme: &mut ScriptedEsme,
    id: &str,
    source: Address<'_>,
    destination: Address<'_>,
) -> CommandStatus {
    let cancel = CancelSm {
        service_type: COctets::EMPTY,
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source,
        destination,
        tlvs: Tlvs::NONE,
    };
    ask(esme, Operation::CancelSm(cancel)).await.status()
}

#[tokio::test]
async fn a_message_is_found_again_in_whatever_way_its_numbers_are_written() {
    let (_local, _smsc, mut esme) = waiting(Changes {
        account: CANONICAL,
        ..Changes::default()
    })
    .await;
    let (national, plus) = (address(0, 0, "07700900001"), address(0, 0, "+447700900001"));
    let to = [address(2, 1, "7700900123"), address(1, 1, NUMBER)];
    let quiet = |sm| Sm {
        registered_delivery: RegisteredDelivery(0),
        ..sm
    };
    let id = esme.submit_ok(quiet(from_to(national, to[0], "one"))).await;
    for source in [national, plus, address(1, 1, "447700900001")] {
        let answer = ask(&mut esme, query(&id, source)).await;
        assert_eq!(answer.status(), CommandStatus::ROK);
    }
    let other = ask(&mut esme, query(&id, address(0, 0, "07700900002"))).await;
    assert_eq!(other.status(), CommandStatus::RQUERYFAIL);
    // The other recipient's is not meant.
    let wrong = address(0, 0, "07700900124");
    assert_eq!(
        cancel(&mut esme, &id, plus, wrong).await,
        CommandStatus::RCANCELFAIL
    );
    assert_eq!(cancel(&mut esme, &id, plus, to[1]).await, CommandStatus::ROK);
    // All between two numbers.
    let id = esme.submit_ok(quiet(from_to(plus, to[1], "two"))).await;
    assert_eq!(cancel(&mut esme, "", national, to[0]).await, CommandStatus::ROK);
    let gone = ask(&mut esme, query(&id, plus)).await;
    assert_eq!(gone.status(), CommandStatus::RQUERYFAIL);
    // One that takes the place of what waits between the same two.
    let first = esme.submit_ok(quiet(from_to(plus, to[1], "three"))).await;
    let second = Sm {
        replace_if_present_flag: 1,
        ..quiet(from_to(national, to[0], "four"))
    };
    let second = esme.submit_ok(second).await;
    let replaced = ask(&mut esme, query(&first, plus)).await;
    assert_eq!(replaced.status(), CommandStatus::RQUERYFAIL);
    assert_eq!(
        ask(&mut esme, query(&second, plus)).await.status(),
        CommandStatus::ROK
    );
}

#[tokio::test]
async fn what_was_admitted_is_handed_over_behind_a_restart_too() {
    let (mut local, mut smsc, mut esme) = waiting(Changes {
        account: CANONICAL,
        carrier: "numbers = \"plus\"",
        ..Changes::default()
    })
    .await;
    let to = address(0, 0, "07700900123");
    let id = esme.submit_ok(from_to(address(0, 0, ""), to, "kept")).await;
    drop(esme);
    local.restart();
    smsc.reopen().await;
    let submit = smsc.expect_submit_of("kept").await;
    assert_eq!(submit.sm().destination, address(1, 1, "+447700900123"));
    assert_eq!(submit.sm().source, address(0, 0, ""));
    smsc.answer(&submit, "1").await;
    smsc.receipt(&submit, "1", MessageState::Delivered, Dialect::Both)
        .await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    assert_eq!(esme.expect_receipt(&id).await.sm().source, address(1, 1, NUMBER));
}

#[tokio::test]
async fn each_recipient_of_a_submit_multi_is_made_canonical_or_refused() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        account: CANONICAL,
        ..Changes::default()
    })
    .await;
    let mut destinations = Vec::new();
    for octets in ["07700900123", "+4477", "0033612345678"] {
        Destination::Sme(address(0, 0, octets)).encode(&mut destinations);
    }
    let multi = SubmitMulti {
        destinations: Destinations::new(3, &destinations).unwrap(),
        message: from_to(address(0, 0, "Shop"), address(0, 0, ""), "to all"),
    };
    let sequence = esme.request(Operation::SubmitMulti(multi)).await;
    let answer = esme.expect_answer(CommandId::SUBMIT_MULTI_RESP, sequence).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    match answer.pdu().operation {
        Operation::SubmitMultiResp(Some(body)) => {
            // The one that is refused is named as the client wrote it.
            let refused: Vec<_> = body.unsuccess().collect();
            assert_eq!(refused.len(), 1);
            assert_eq!(refused[0].address, address(0, 0, "+4477"));
            assert_eq!(refused[0].status, CommandStatus::RINVDSTADR);
        }
        other => panic!("{:?}", other.command_id()),
    }
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let submit = smsc.expect_submit().await;
        assert_eq!(
            (submit.sm().destination.ton, submit.sm().destination.npi),
            (Ton(1), Npi(1))
        );
        numbers.push(submit.sm().destination.addr.as_bytes().to_vec());
        smsc.answer(&submit, "1").await;
    }
    numbers.sort();
    assert_eq!(numbers, [&b"33612345678"[..], NUMBER.as_bytes()]);
}

#[tokio::test]
async fn rewriting_applies_at_the_submit_and_at_the_hand_over() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        account: "rewrite = \"client\"",
        carrier: "numbers = \"plus\"\nrewrite = \"carrier\"\ndrop_tlvs = [0x1400]\n\
                  add_tlvs = [{ tag = 0x1401, text = \"ours\" }]",
        extra: "[[rewrite]]\nname = \"client\"\nthen = \"names\"\n\
                rules = [{ address = \"destination\", begins = \"9\", strip = 1, ton = 1, npi = 1 }]\n\
                [[rewrite]]\nname = \"names\"\nrules = [{ address = \"source\", begins = \"shop\", replace = \"Shop\" }]\n\
                [[rewrite]]\nname = \"carrier\"\n\
                rules = [{ address = \"destination\", begins = \"+33\", prefix = \"0123456789\" }]",
        ..Changes::default()
    })
    .await;
    let mut tlvs = Vec::new();
    assert!(append(&mut tlvs, Tag(0x1400), b"theirs"));
    assert!(append(&mut tlvs, Tag(0x1402), b"theirs"));
    let sent = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..from_to(address(5, 0, "shops"), address(0, 0, "9447700900123"), "hello")
    };
    esme.submit_ok(sent).await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.sm().source, address(5, 0, "Shop"));
    assert_eq!(submit.sm().destination, address(1, 1, "+447700900123"));
    let got: Vec<(u16, &[u8])> = submit
        .sm()
        .tlvs
        .iter()
        .map(|tlv| (tlv.tag.0, tlv.value.0))
        .collect();
    assert_eq!(got, [(0x1402, &b"theirs"[..]), (0x1401, b"ours")]);
    smsc.answer(&submit, "1").await;
    // The same as a data_sm.
    let data = DataSm {
        source: address(5, 0, "shops"),
        destination: address(0, 0, "9447700900123"),
        tlvs: Tlvs::new(&tlvs),
        ..DataSm::default()
    };
    let sequence = esme.request(Operation::DataSm(data)).await;
    let answer = esme.expect_answer(CommandId::DATA_SM_RESP, sequence).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    let (link, frame) = smsc
        .expect("a data_sm", |frame| frame.id() == CommandId::DATA_SM)
        .await;
    match frame.pdu().operation {
        Operation::DataSm(sm) => {
            assert_eq!(sm.source, address(5, 0, "Shop"));
            assert_eq!(sm.destination, address(1, 1, "+447700900123"));
            assert_eq!(sm.tlvs.get(Tag(0x1401)), Some(&b"ours"[..]));
            assert_eq!(sm.tlvs.get(Tag(0x1400)), None);
        }
        other => panic!("{:?}", other.command_id()),
    }
    let resp = Operation::DataSmResp(Some(tidegate_codec::pdu::response::MessageIdResp {
        message_id: MessageIdField::new(b"2").unwrap(),
        tlvs: Tlvs::NONE,
    }));
    let sequence = frame.sequence();
    smsc.link(link)
        .peer
        .send(CommandStatus::ROK, sequence, resp)
        .await;
    // What does not fit at this carrier any more ends, and its client is told so.
    let id = esme
        .submit_ok(from_to(
            address(5, 0, "Shop"),
            address(1, 1, "33612345678"),
            "too long",
        ))
        .await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:UNDELIV err:011 "), "{}", dlr.text());
    // At the submit nothing of it is taken in.
    let gone = from_to(address(5, 0, "Shop"), address(0, 0, "9"), "gone");
    assert_eq!(esme.submit_refused(gone).await, CommandStatus::RINVDSTADR);
}

#[tokio::test]
async fn a_called_number_finds_its_account_however_the_carrier_writes_it() {
    let (_local, mut smsc, mut esme) = bound(Changes {
        carrier: "country = \"GB\"",
        extra: "[[route.mo]]\nnumber = \"447700900*\"\naccount = \"load\"",
        ..Changes::default()
    })
    .await;
    for (called, text) in [
        (address(1, 1, NUMBER), "as it is"),
        (address(0, 0, "+447700900123"), "plus"),
        (address(0, 0, "00447700900123"), "international prefix"),
        (address(2, 1, "7700900123"), "national"),
        (address(0, 0, "07700900123"), "national prefix"),
        (address(3, 0, "12345"), "short code"),
    ] {
        let mo = Sm {
            registered_delivery: RegisteredDelivery(0),
            ..from_to(address(1, 1, "447700900001"), called, text)
        };
        let sequence = smsc.deliver(0, mo).await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        let delivered = esme.expect_deliver().await;
        assert_eq!(delivered.text(), text);
        // The octets go on as they came.
        assert_eq!(delivered.sm().destination, called);
        esme.answer(&delivered, CommandStatus::ROK).await;
    }
    let foreign = from_to(
        address(1, 1, "447700900001"),
        address(0, 0, "0033700900123"),
        "nobody's",
    );
    let sequence = smsc.deliver(0, foreign).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    let end = from_to(
        address(1, 1, "447700900001"),
        address(0, 0, "07700900124"),
        "the next",
    );
    smsc.deliver(0, end).await;
    assert_eq!(esme.expect_deliver().await.text(), "the next");
}
