//! P4: a body and a number go every way there is, with logs at TRACE; then they are in no log, no metric and
//! no file, in whichever spelling.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::local::{Changes, Local};

const BODY: &str = "Canary-Body-4711-quetzal";
/// What its receipts quote.
const QUOTE: &str = "Canary-Body-4711-que";
const NUMBER: &str = "447700912345";
const SENDER: &str = "QuetzalSnd";
const MO_BODY: &str = "Canary-MO-0815-axolotl";

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The spellings in which a text could lie about: plain, UCS-2, packed septets, and for digits semi-octets.
pub(super) fn spellings(text: &str) -> Vec<Vec<u8>> {
    let mut all = vec![text.as_bytes().to_vec()];
    all.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    let hex: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
    all.push(hex.to_uppercase().into_bytes());
    all.push(hex.into_bytes());
    let (mut packed, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for octet in text.bytes() {
        held |= u32::from(octet & 0x7f) << bits;
        bits += 7;
        while bits >= 8 {
            packed.push(u8::try_from(held & 0xff).unwrap());
            held >>= 8;
            bits -= 8;
        }
    }
    all.push(packed);
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        let digit = |octet: u8| octet - b'0';
        all.push(
            text.as_bytes()
                .chunks(2)
                .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
                .collect(),
        );
        all.push(
            text.as_bytes()
                .chunks(2)
                .map(|pair| digit(pair[1]) << 4 | digit(pair[0]))
                .collect(),
        );
    }
    all
}

fn assert_absent(what: &str, octets: &[u8]) {
    for canary in [BODY, QUOTE, NUMBER, SENDER, MO_BODY] {
        for spelling in spellings(canary) {
            let found = octets.windows(spelling.len()).any(|window| window == spelling);
            assert!(!found, "{canary} is in {what} as {spelling:02x?}");
        }
    }
}

async fn metrics(addr: SocketAddr) -> Vec<u8> {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    answer
}

#[tokio::test]
async fn a_body_and_a_number_are_in_no_log_metric_or_file() {
    let log = Log::default();
    let writer = log.clone();
    // The process's one subscriber: the gateway logs from threads of its own.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let mut smsc = ScriptedSmsc::listen().await;
    // With receipts that quote their message, which is then kept beside the table too.
    let changes = Changes {
        account: "receipt_text = true",
        // And with texts that are read for their first word.
        extra: "[[route.mo]]\nnumber = \"12345\"\nkeywords = [\"pizza\"]\naccount = \"load\"\n\
                [[instructions]]\naccount = \"load\"\nversion = \"1\"\n[[instructions.rule]]\n\
                senders = [\"4477*\"]\nto_bind = \"kitchen\"\n",
        ..Changes::default()
    };
    let mut gateway = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(gateway.esme(), "load", "secret").await;
    let sm = |text| {
        let mut sm = message(SENDER, NUMBER, text);
        sm.registered_delivery = RegisteredDelivery::FINAL;
        sm
    };
    // Delivered, with its receipt quoting the text, as carriers do.
    let id = esme.submit_ok(sm(BODY)).await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.text(), BODY);
    smsc.answer(&submit, "c-1").await;
    let wording =
        Dialect::Wording("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:Canary-Body-4711-que");
    let receipt = smsc
        .receipt(&submit, "c-1", MessageState::Delivered, wording)
        .await;
    assert_eq!(smsc.expect_deliver_resp(receipt).await, CommandStatus::ROK);
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().ends_with(&format!(" text:{QUOTE}")));
    // Withheld: it stays in the outbox, on disk.
    drop(dlr);
    // Refused by the carrier, refused by us, malformed, and one that waits in the spool for ever.
    esme.submit_ok(sm(BODY)).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    let mut bad = sm(BODY);
    bad.priority_flag = 9;
    assert_eq!(esme.submit_refused(bad).await, CommandStatus::RINVPRTFLG);
    let mo = smsc.deliver(submit.link, message(NUMBER, "12345", MO_BODY)).await;
    assert_eq!(smsc.expect_deliver_resp(mo).await, CommandStatus::ROK);
    smsc.stop_listening();
    smsc.drop_all();
    esme.submit_ok(sm(BODY)).await;

    assert_absent("/metrics", &metrics(gateway.http()).await);
    let check_files = |gateway: &Local| {
        let files = gateway.files();
        assert!(
            files
                .iter()
                .any(|file| file.extension().is_some_and(|kind| kind == "spool")),
            "{files:?}"
        );
        for file in files {
            assert_absent("a file's name", file.display().to_string().as_bytes());
            match fs::read(&file) {
                Ok(octets) => assert_absent(&file.display().to_string(), &octets),
                // The keeper has unlinked an empty segment meanwhile.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", file.display()),
            }
        }
    };
    check_files(&gateway);
    // And after an end and a start, which reads, footers and reports.
    let mut gateway = tokio::task::spawn_blocking(move || {
        gateway.restart();
        gateway
    })
    .await
    .unwrap();
    check_files(&gateway);
    assert_absent("/metrics", &metrics(gateway.http()).await);
    tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap();
    let logged = log.0.lock().unwrap().clone();
    assert!(
        String::from_utf8_lossy(&logged).contains("bound"),
        "the log was seen"
    );
    assert_absent("the log", &logged);
}
