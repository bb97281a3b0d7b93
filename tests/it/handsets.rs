//! Messages from handsets against running gateways: which account's socket they come out of, and which of its binds.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const HANDSET: &str = "447700900002";
const A_WHILE: Duration = Duration::from_millis(60);

/// A gateway with the accounts `load` and `shop`, both of the number 60777, by keywords; whatever else is sent to it is
/// `load`'s.
const ROUTES: &str = r#"
[[account]]
system_id = "shop"
password_hashes = ["@hash@"]
[[route.mo]]
name = "orders"
number = "60777"
keywords = ["Pizza", "Été"]
account = "shop"
[[route.mo]]
number = "60777"
account = "load"
"#;

const KITCHEN: &str = r#"
[[instructions]]
account = "load"
version = "2026-07"
[[instructions.rule]]
keywords = ["cook"]
to_bind = "kitchen"
[[instructions.rule]]
senders = ["33*"]
to_account = "shop"
"#;

async fn world(extra: &str) -> (Local, ScriptedSmsc) {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        extra,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    (local, smsc)
}

/// Delivers it, and the answer must be success.
async fn mo(smsc: &mut ScriptedSmsc, sm: Sm<'_>) {
    let sequence = smsc.deliver(0, sm).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

#[tokio::test]
async fn two_accounts_share_a_number_by_keywords_in_any_coding() {
    let (local, mut smsc) = world(ROUTES).await;
    let mut load = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut shop = ScriptedEsme::bound(local.esme(), "shop", "secret").await;
    let sm = |text| message(HANDSET, "60777", text);
    let mut payload = Vec::new();
    assert!(append(&mut payload, Tag::MESSAGE_PAYLOAD, b"PIZZA, in a payload"));
    let octets = |octets| ShortMessage::new(octets).unwrap();
    for of_shop in [
        sm("\"pizza\" two please"),
        Sm {
            tlvs: Tlvs::new(&payload),
            ..sm("")
        },
        Sm {
            data_coding: DataCoding(8),
            short_message: octets(b"\0\xc9\0T\0\xc9\0!"),
            ..sm("")
        },
        Sm {
            esm_class: EsmClass(EsmClass::UDHI),
            short_message: octets(b"\x05\0\x03\x2a\x02\x01Pizza of two par"),
            ..sm("")
        },
        Sm {
            esm_class: EsmClass(EsmClass::UDHI),
            short_message: octets(b"\x05\0\x03\x2a\x02\x02ts"),
            ..sm("")
        },
    ] {
        mo(&mut smsc, of_shop).await;
        // It comes as it was sent.
        let came = shop.expect_deliver().await;
        assert_eq!(came.sm().short_message, of_shop.short_message);
        assert_eq!(
            came.sm().tlvs.get(Tag::MESSAGE_PAYLOAD),
            of_shop.tlvs.get(Tag::MESSAGE_PAYLOAD)
        );
    }
    for of_load in [
        sm("hello"),
        sm("a pizza"),
        sm("STOP pizza"),
        Sm {
            data_coding: DataCoding(4),
            ..sm("pizza")
        },
    ] {
        mo(&mut smsc, of_load).await;
        assert_eq!(
            load.expect_deliver().await.sm().short_message,
            of_load.short_message
        );
    }
    shop.expect_silence(A_WHILE).await;
    load.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn instructions_pick_the_bind_and_another_takes_over_while_it_is_away() {
    let (local, mut smsc) = world(&format!("{ROUTES}{KITCHEN}")).await;
    let sm = |text| message(HANDSET, "60777", text);
    let mut office = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "office").await;
    // While nobody of that name is bound, anybody gets it.
    mo(&mut smsc, sm("cook 0")).await;
    assert_eq!(office.expect_deliver().await.text(), "cook 0");
    let mut kitchen = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "kitchen").await;
    for number in 1..6 {
        let text = format!("cook {number}");
        mo(&mut smsc, message(HANDSET, "60777", &text)).await;
        assert_eq!(kitchen.expect_deliver().await.text(), text);
    }
    // To another account, by the handset.
    let mut shop = ScriptedEsme::bound(local.esme(), "shop", "secret").await;
    mo(&mut smsc, message("33612345678", "60777", "bonjour")).await;
    assert_eq!(shop.expect_deliver().await.text(), "bonjour");
    office.expect_silence(A_WHILE).await;
    // What it had and did not answer, and what comes then, is anybody's when it has gone.
    kitchen.answers = None;
    mo(&mut smsc, sm("cook 6")).await;
    assert_eq!(kitchen.expect_deliver().await.text(), "cook 6");
    drop(kitchen);
    assert_eq!(office.expect_deliver().await.text(), "cook 6");
    mo(&mut smsc, sm("cook 7")).await;
    assert_eq!(office.expect_deliver().await.text(), "cook 7");
}

#[tokio::test]
async fn a_bind_without_room_keeps_its_own_waiting_and_nobody_elses() {
    let extra = format!("{ROUTES}{KITCHEN}");
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        account: "delivery_window = 1",
        extra: &extra,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut kitchen = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "kitchen").await;
    let mut office = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "office").await;
    kitchen.answers = None;
    let sm = |text| message(HANDSET, "60777", text);
    for text in ["cook 1", "cook 2", "cook 3"] {
        mo(&mut smsc, sm(text)).await;
    }
    let held = kitchen.expect_deliver().await;
    assert_eq!(held.text(), "cook 1");
    for number in 0..3 {
        let text = format!("hello {number}");
        mo(&mut smsc, message(HANDSET, "60777", &text)).await;
        assert_eq!(office.expect_deliver().await.text(), text);
    }
    kitchen.expect_silence(A_WHILE).await;
    kitchen.answers = Some(CommandStatus::ROK);
    kitchen.answer(&held, CommandStatus::ROK).await;
    for text in ["cook 2", "cook 3"] {
        assert_eq!(kitchen.expect_deliver().await.text(), text);
    }
    office.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn which_bind_a_message_is_for_outlives_a_restart() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), &format!("{ROUTES}{KITCHEN}"));
    smsc.expect_binds(1).await;
    mo(&mut smsc, message(HANDSET, "60777", "cook")).await;
    local.restart();
    // The kitchen comes first: what waits is given out to whoever is there.
    let mut kitchen = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "kitchen").await;
    let mut office = ScriptedEsme::receiver_of(local.esme(), "load", "secret", "office").await;
    assert_eq!(kitchen.expect_deliver().await.text(), "cook");
    office.expect_silence(A_WHILE).await;
}

#[test]
fn explain_mo_tells_every_route_and_every_rule() {
    let carrier = "127.0.0.1:1".parse().unwrap();
    let process = Process::prepare(Process::built(), |places| {
        let extra = format!("{ROUTES}{KITCHEN}").replace("@hash@", &crate::local::secret_hash());
        places.config(&[carrier], &extra)
    });
    let ask = |json: bool, more: &[&str]| {
        let config = process.config();
        let mut args = if json { vec!["--json"] } else { Vec::new() };
        args.extend(["route", "explain-mo", "--config", config.to_str().unwrap()]);
        args.extend(["--from", "+447700900002", "--at", "2026-12-02T12:00:00Z"]);
        args.extend(more);
        let output = Command::new(Process::built()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = ask(false, &["--number", "+60777", "--text", "Cook for two"]);
    let expected = "\
message: to +60777, from +447700900002, by carrier none that a route asks for, at 2026-12-02T12:00:00Z
first word: cook
means: nothing

routes, as they are asked:
  orders (order 100, number 60777, account shop): no: not in keywords
  mo[2] (order 100, number 60777, account load): takes it
  mo[0] (order 100, number *, last resort, account load): would take it, but stands behind the one that does

instructions of load, version 2026-07:
  rule[0] (account load, bind kitchen): takes it
  rule[1] (account shop, bind any): no: not in senders

goes to: account load, its receivers of system_type kitchen, any while none is bound
";
    assert_eq!(printed, expected);
    let told: Value = serde_json::from_str(&ask(true, &["--number", "60777", "--text", "pizza"])).unwrap();
    assert_eq!(told["goes_to"]["account"], "shop", "{told}");
    assert_eq!(told["instructions"], Value::Null, "{told}");
    let told: Value = serde_json::from_str(&ask(true, &["--number", "4711", "--text", "cook"])).unwrap();
    assert_eq!(told["instructions"]["version"], "2026-07", "{told}");
    assert_eq!(told["goes_to"]["bind"], "kitchen", "{told}");
    let printed = ask(false, &["--number", "4711", "--text", " Arr\u{ea}t\u{a0}! "]);
    assert!(
        printed.contains("\nmeans: opt-out (tier 1, arret, fr)\n"),
        "{printed}"
    );
}
