//! What a real process writes down: a number and a text are in no file of its data (ERA-7, DISK), and in no log or metric,
//! whatever comes over its sockets (LOG-1).

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::peer::octets_of;
use tidegate_tests::{DEADLINE, Dialect, IN_CLEAR_TEXT, Peer, Process, ScriptedEsme, ScriptedSmsc};

use crate::canary::spellings;
use crate::control::{logged, ran, tidegate};

const NUMBER: &str = "447700918273";
const OPTED_OUT: &str = "447700919182";
const TEXT: &str = "Canary-Disk-6174-pangolin";
const MO_TEXT: &str = "Canary-Mo-5829-numbat";
const SHORT_CODE: &str = "60777";

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// As [`spellings`], with what begins in the middle of an octet: digits behind one more, septets behind any number of bits.
fn needles(text: &str) -> Vec<Vec<u8>> {
    let mut all = spellings(text);
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        all.extend(spellings(&text[1..text.len() - 1]).split_off(5));
    }
    for shift in 1..7 {
        let (mut packed, mut bits, mut held) = (Vec::new(), shift, 0u32);
        for octet in text.bytes() {
            held |= u32::from(octet & 0x7f) << bits;
            bits += 7;
            while bits >= 8 {
                packed.push(u8::try_from(held & 0xff).unwrap());
                held >>= 8;
                bits -= 8;
            }
        }
        // The first octet has bits of what stands before.
        all.push(packed.split_off(1));
    }
    all.retain(|needle| needle.len() >= 5);
    all
}

/// The needles of texts, each told by its text and itself.
struct Needles {
    all: Vec<(String, Vec<u8>)>,
    /// Whether one begins with these two octets.
    begins: Vec<bool>,
}

impl Needles {
    fn of(texts: &[&str]) -> Self {
        let of_text = |text: &&str| {
            let told = |needle: Vec<u8>| (format!("{text} as {needle:02x?}"), needle);
            needles(text).into_iter().map(told).collect::<Vec<_>>()
        };
        let all: Vec<_> = texts.iter().flat_map(of_text).collect();
        let mut begins = vec![false; 1 << 16];
        for (_, needle) in &all {
            begins[usize::from(u16::from_be_bytes([needle[0], needle[1]]))] = true;
        }
        Self { all, begins }
    }

    /// Those that stand somewhere in these octets.
    fn in_octets(&self, octets: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        let mut last = 0u16;
        for (at, octet) in octets.iter().enumerate() {
            last = last << 8 | u16::from(*octet);
            if at > 0 && self.begins[usize::from(last)] {
                let all = self.all.iter();
                let here = all.filter(|(_, needle)| octets[at - 1..].starts_with(needle));
                found.extend(here.map(|(told, _)| told.as_str()));
            }
        }
        found
    }
}

/// Which of the texts are in files below a directory.
pub(crate) fn found_in(dir: &Path, texts: &[&str]) -> Vec<String> {
    let (needles, mut found) = (Needles::of(texts), Vec::new());
    for path in files(dir) {
        // Unlinked meanwhile.
        let Ok(octets) = fs::read(&path) else { continue };
        let name = path.display().to_string();
        // Room that is not written yet; a zero of UTF-16 is none.
        let last = octets.iter().rposition(|octet| *octet != 0);
        let end = last.map_or(0, |at| (at + 2).min(octets.len()));
        for part in [&octets[..end], name.as_bytes()] {
            let told = needles.in_octets(part).into_iter();
            found.extend(told.map(|told| format!("{name}: {told}")));
        }
    }
    found
}

#[test]
fn the_scan_finds_what_lies_in_a_file_in_any_spelling() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("below")).unwrap();
    for text in [NUMBER, TEXT] {
        for needle in needles(text) {
            let octets = [&[7; 100][..], &needle, &[0; 50]].concat();
            fs::write(dir.path().join("below/file"), octets).unwrap();
            let found = found_in(dir.path(), &[text]);
            assert!(!found.is_empty(), "{needle:02x?}");
        }
    }
    fs::write(dir.path().join("below/file"), b"447700918274").unwrap();
    assert_eq!(found_in(dir.path(), &[NUMBER, TEXT]), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_c01_a_number_and_a_text_are_in_no_file_from_their_acceptance_on() {
    let mut smsc = ScriptedSmsc::listen().await;
    let carrier = smsc.addr();
    let mut process = Process::start(Process::built(), |places| {
        let load = "category = \"transactional\"\n";
        places.config(&[carrier], "").replacen(
            load,
            &format!("{load}retention_profile = \"fixed-term\"\n{IN_CLEAR_TEXT}\n"),
            1,
        )
    })
    .await;
    smsc.expect_binds(1).await;
    let data = process.dir().join("data");
    let all = [NUMBER, OPTED_OUT, TEXT, MO_TEXT];
    let scan = |when: &str| assert_eq!(found_in(&data, &all), [""; 0], "{when}");
    ran(&process, &["optout", "add", OPTED_OUT, "--account", "load"]);
    ran(
        &process,
        &[
            "consent",
            "grant",
            NUMBER,
            "--account",
            "load",
            "--recorded-by",
            "anna",
        ],
    );
    ran(&process, &["trace", "pdus", "--account", "load", "--for", "10m"]);
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    // One that has come to its end, and lies in the history.
    let mut sm = message("Shop", NUMBER, TEXT);
    sm.registered_delivery = RegisteredDelivery::FINAL;
    let id = esme.submit_ok(sm).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c-1").await;
    smsc.receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    let mo = smsc
        .deliver(submit.link, message(NUMBER, SHORT_CODE, MO_TEXT))
        .await;
    assert_eq!(smsc.expect_deliver_resp(mo).await, CommandStatus::ROK);
    let is_filed = async {
        while !tidegate(&process, &["message", "find", "--account", "load", "--json"])
            .stdout
            .windows(id.len())
            .any(|window| window == id.as_bytes())
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, is_filed)
        .await
        .expect("it is filed");
    scan("at its end");
    // And one that waits for a carrier.
    smsc.stop_listening();
    smsc.drop_all();
    esme.submit_ok(message("Shop", NUMBER, TEXT)).await;
    scan("right after the acceptance");
    for part in ["spool", "history", "register", "standing", "audit", "traces"] {
        assert!(!files(&data.join(part)).is_empty(), "{part} was looked at");
    }
    process.kill();
    scan("after a kill");
    process.spawn();
    process.ready().await;
    scan("after the next start");
    assert!(process.stop().await.success());
    scan("after an orderly end");
}

/// PDUs whose bodies are no bodies, each with a number and a text in it.
fn malformed(kind: usize, sequence: u32, whole: &[u8]) -> Vec<u8> {
    let mut octets = whole.to_vec();
    match kind {
        // Cut off in the middle of the text.
        0 => octets.truncate(octets.len() - 5),
        // A service_type without an end.
        1 => octets[16..28].copy_from_slice(&NUMBER.as_bytes()[..12]),
        // More behind the text than there is a TLV for.
        2 => octets.extend_from_slice(NUMBER.as_bytes()),
        // No command that there is.
        _ => octets[4..8].copy_from_slice(&0x0000_0777u32.to_be_bytes()),
    }
    let len = u32::try_from(octets.len()).unwrap();
    octets[..4].copy_from_slice(&len.to_be_bytes());
    octets[12..16].copy_from_slice(&sequence.to_be_bytes());
    octets
}

/// So many PDUs, every second one malformed, and what is answered to the last is waited for.
async fn pour(peer: &mut Peer, count: usize, whole: impl Fn(u32) -> Vec<u8>) {
    for piece in 0..count / 50 {
        let mut octets = Vec::new();
        for n in 0..50 {
            let sequence = peer.next_sequence();
            let whole = whole(sequence);
            match n % 2 {
                0 => octets.extend_from_slice(&whole),
                _ => octets.extend(malformed((piece + n / 2) % 4, sequence, &whole)),
            }
        }
        peer.send_octets(&octets).await;
        let sequence = peer.next_sequence();
        peer.send_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence)
            .await;
        peer.expect_answer(CommandId::ENQUIRE_LINK_RESP, sequence).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_c01_ten_thousand_messages_at_trace_leave_no_number_text_or_password_in_log_and_metrics() {
    let (mut smsc, mut process) = logged(|config| config, "").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let mt = |sequence| {
        let sm = message(NUMBER, NUMBER, TEXT);
        octets_of(CommandStatus::ROK, sequence, Operation::SubmitSm(sm))
    };
    pour(&mut esme, 5_000, mt).await;
    let mo = |sequence| {
        let sm = message(NUMBER, SHORT_CODE, MO_TEXT);
        octets_of(CommandStatus::ROK, sequence, Operation::DeliverSm(sm))
    };
    let link = smsc.bound()[0];
    pour(&mut smsc.link(link).peer, 5_000, mo).await;
    // A wrong password is no less one.
    let mut other = ScriptedEsme::connect(process.smpp()).await;
    let kind = tidegate_codec::values::BindKind::Transceiver;
    let refused = other.try_bind(kind, "load", "Hu5h-hu5").await;
    assert!(!refused.status().is_ok());
    let (_, page) = process.get("/metrics").await.unwrap();
    process.kill();
    let log = process.stderr() + &process.stdout();
    assert!(
        log.contains("TRACE") && log.len() > 100_000,
        "{} octets",
        log.len()
    );
    let needles = Needles::of(&[NUMBER, TEXT, MO_TEXT, "Hu5h-hu5"]);
    assert_eq!(needles.in_octets(log.as_bytes()), [""; 0], "in the log");
    assert_eq!(needles.in_octets(page.as_bytes()), [""; 0], "in the metrics");
}
