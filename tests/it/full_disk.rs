//! A file system that is really full: nothing that was acknowledged is lost, nothing has to be deleted by hand, and what
//! was refused is taken again when there is room. Needs root for a file system of its own; else it says SKIPPED.

use std::collections::BTreeSet;

use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::volume::Volume;

/// Octets of the file system, and of a text: full after a thousand messages.
const IMAGE: u64 = 32 << 20;
const TEXT: usize = 20_000;

#[tokio::test]
async fn a_full_file_system_is_drained_without_a_hand_and_takes_messages_again() {
    let volume = match Volume::make(IMAGE) {
        Ok(volume) => volume,
        Err(why) => return eprintln!("SKIPPED: no ext4 image can be mounted here: {why}"),
    };
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let mounted = volume.mounted().display().to_string();
    let mut process = Process::start(Process::built(), |places| {
        let dir = places.dir.display();
        // The budget of the configuration is never reached; the file system's is.
        places
            .config(&[smsc.addr()], "")
            .replace(&format!("{dir}/data"), &format!("{mounted}/data"))
            .replace(
                "auto_init = true\n",
                "auto_init = true\nsegment_size = \"1MiB\"\nlimit = \"1GiB\"\n",
            )
    })
    .await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let mut waiting = BTreeSet::new();
    let status = loop {
        let mut text = format!("{:08}", waiting.len());
        text.push_str(&"x".repeat(TEXT));
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, text.as_bytes()));
        let sm = Sm {
            tlvs: Tlvs::new(&tlvs),
            short_message: ShortMessage::new(b"").unwrap(),
            registered_delivery: RegisteredDelivery::FINAL,
            ..message("447700900001", "447700900002", "")
        };
        let sequence = esme.submit(sm).await;
        let answer = esme.expect_submit_resp(sequence).await;
        if !answer.status().is_ok() {
            break answer.status();
        }
        waiting.insert(format!("{:08}", waiting.len()));
        assert!(waiting.len() < 10_000, "it is never full");
    };
    assert_eq!(status, CommandStatus::RMSGQFUL);
    assert!(waiting.len() > 400, "{}", waiting.len());
    // Health is told four times a second.
    let told = async { while process.get("/readyz").await.unwrap().0 != 503 {} };
    tokio::time::timeout(DEADLINE, told).await.unwrap();
    // A kill in this state changes nothing.
    process.kill();
    process.spawn();
    process.alive().await;
    smsc.reopen().await;
    let count = waiting.len();
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    for number in 0..count {
        let submit = smsc.expect_submit().await;
        let text = submit.sm().tlvs.message_payload().unwrap().0[..8].to_vec();
        assert!(waiting.remove(&String::from_utf8(text).unwrap()), "it came twice");
        let id = format!("c-{number}");
        smsc.answer(&submit, &id).await;
        let sequence = smsc
            .receipt(&submit, &id, MessageState::Delivered, Dialect::Both)
            .await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        esme.expect_deliver().await;
    }
    assert!(waiting.is_empty());
    esme.submit_ok(message("447700900001", "447700900002", "again"))
        .await;
    assert!(process.stop().await.success());
}
