//! What the bodies begin with: the public vectors, in the form that each body reads.

use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use tidegate_store::record::VERSION;

use crate::session::lives;

const PDUS: [&str; 2] = [
    include_str!("../../codec/testdata/pdu-valid.json"),
    include_str!("../../codec/testdata/pdu-malformed.json"),
];
const STREAMS: &str = include_str!("../../codec/testdata/pdu-stream.json");
const TEXTS: &str = include_str!("../../codec/testdata/text.json");
const WORDS: &str = include_str!("../../config/testdata/words.tsv");
const RECEIPTS: &str = include_str!("../../codec/testdata/dlr-time.json");
const CONFIGURATIONS: [&str; 4] = [
    include_str!("../../config/tidegate.toml"),
    include_str!("../../config/bench.toml"),
    MINIMAL,
    FILED,
];
/// What a configuration must have and no more, so that a change is likely to matter.
const MINIMAL: &str = r#"storage = { data = "d", key_ring = "k", kek_file = "f" }
listen = [{ address = "[::]:0" }]
[[account]]
system_id = "a"
binds = ["rx"]
password_hashes = ["$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0"]
[[carrier]]
name = "c"
addresses = ["localhost:1"]
system_id = "t"
password_file = "p"
"#;
/// A file that names itself as one of instructions.
const FILED: &str = r#"version = "1"
[[account]]
system_id = "a"
[[instructions]]
account = "a"
file = "f"
[[rule]]
number = "4477*"
senders = ["1*"]
to_bind = "b"
"#;

/// The seeds of a target, always the same and in the same order.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = match target {
        "pdu" => pdus(),
        "stream" => streams(),
        "session" => sessions(),
        "text" => texts(),
        "udh" => messages().into_iter().map(|(_, message)| message).collect(),
        "reassembly" => reassemblies(),
        "receipt" => receipts(),
        "config" => CONFIGURATIONS.map(|text| text.as_bytes().to_vec()).to_vec(),
        "segment" => segments(),
        "record" => records(),
        "words" => words(),
        _ => Vec::new(),
    };
    seeds.push(Vec::new());
    seeds
}

fn vectors(text: &str) -> Vec<Value> {
    let vectors: Result<Vec<Value>, _> = serde_json::from_str(text);
    assert!(vectors.is_ok(), "the vectors are lists");
    vectors.unwrap_or_default()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits: Vec<u8> = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn pdus() -> Vec<Vec<u8>> {
    let pdus = PDUS.into_iter().chain([STREAMS]).flat_map(vectors);
    pdus.map(|vector| hex(&vector["hex"])).collect()
}

/// The streams in the chunks of their vectors; and PDUs, three at a time, in chunks that end within headers.
fn streams() -> Vec<Vec<u8>> {
    let input = |sizes: &[u8], stream: &[u8]| {
        let count = u8::try_from(sizes.len()).unwrap_or(0);
        [&[0, count], sizes, stream].concat()
    };
    let mut all = Vec::new();
    for vector in vectors(STREAMS) {
        let chunks = vector["chunks"].as_array().cloned().unwrap_or_default();
        let sizes = chunks.iter().take(7).filter_map(Value::as_u64);
        let sizes: Vec<u8> = sizes.map(|size| u8::try_from(size).unwrap_or(u8::MAX)).collect();
        all.push(input(&sizes, &hex(&vector["hex"])));
    }
    all.extend(pdus().chunks(3).map(|some| input(&[3, 13, 64], &some.concat())));
    all
}

/// Lives of both sides, by octets and by operations.
fn sessions() -> Vec<Vec<u8>> {
    let (lives, pdus) = (lives(), pdus());
    let mut all = Vec::new();
    for choice in 0..16 {
        if choice & 4 == 0 {
            all.push([&[choice][..], &lives.concat()].concat());
            all.extend(
                pdus.chunks(8)
                    .map(|some| [&[choice][..], &some.concat()].concat()),
            );
            continue;
        }
        // Bound by either side, then each PDU in turn with time, requests and answers between them.
        // What begins with 0 to 2 reads a PDU, and what begins with 3 or 4 the number of one.
        for operation in (3..=255_u8).filter(|operation| operation & 0x0f > 2).step_by(3) {
            let mut input = vec![choice, 0x28];
            for life in &lives {
                input.push(0);
                input.extend_from_slice(life);
                input.push(operation);
                if operation & 0x0f <= 4 {
                    input.push(1);
                }
                input.extend_from_slice(&[0x09, 0x07, 0x0c]);
            }
            all.push(input);
        }
    }
    all
}

/// Messages of the text vectors with their data_coding.
pub fn messages() -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    for vector in vectors(TEXTS) {
        let expect = &vector["expect"];
        for part in expect["segments"].as_array().into_iter().flatten() {
            let data_coding = expect["data_coding"].as_u64().unwrap_or(0);
            let message = hex(&part["short_message_hex"]);
            all.push((u8::try_from(data_coding).unwrap_or(0), message));
        }
    }
    all
}

/// With and without a header; as the alphabet of the SMSC, and cut in each way.
fn texts() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (data_coding, message) in messages() {
        for choice in [0x00, 0x04, 0x2c, 0x54, 0x64] {
            let head = [data_coding, 0x40 & choice, choice];
            all.push([&head[..], &message.repeat(1 + usize::from(choice >> 5))].concat());
        }
    }
    all
}

/// Parts in order, backwards and twice; and any octets.
fn reassemblies() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = messages().into_iter().map(|(_, message)| message).collect();
    for kind in 0..3 {
        let part = |sequence| [1, kind, 4, sequence, 100];
        let forwards: Vec<u8> = (1..=4).flat_map(part).collect();
        let backwards: Vec<u8> = (1..=4).rev().flat_map(part).collect();
        all.push([&forwards[..5], &forwards[..], &backwards].concat());
    }
    all
}

fn receipts() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for vector in vectors(RECEIPTS) {
        for text in [&vector["text"], &vector["receipt_id"]] {
            let text = text.as_str().unwrap_or_default().as_bytes();
            // As a message, a receipt with a state, an intermediate notification; the TLV's id is the text's beginning.
            for head in [[0, 0xff, 0], [4, 2, 9], [0x20, 1, 16]] {
                all.push([&head[..], text].concat());
            }
        }
    }
    // What is quoted is a receipt in parts.
    for text in [&b"42 stat:UNDELIV id:1"[..], b"7text:id:0 err:1 "] {
        all.push([&[4, 2, 1], text].concat());
    }
    all
}

/// Batches with damage before, between and behind them.
fn segments() -> Vec<Vec<u8>> {
    let piece = |octets: &[u8], odd: u8| {
        let len = u8::try_from(octets.len()).unwrap_or(0) & !1 | odd;
        [&[len][..], octets].concat()
    };
    let (batch, none) = (piece(&[b'r'; 40], 0), piece(b"", 0));
    let damage = piece(&[0xee; 23], 1);
    let looks_like_one = piece(b"TGB1TGB1 and no batch", 1);
    vec![
        [&batch[..], &none, &batch].concat(),
        [&looks_like_one[..], &batch, &looks_like_one].concat(),
        [&damage[..], &batch, &damage, &damage, &batch, &damage].concat(),
        [&none[..], &damage, &none].concat(),
    ]
}

/// A record of each kind, its fields filled with small numbers and short names.
fn records() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    // Behind the last kind, a leg in parts.
    for kind in 0..=11 {
        let (kind, in_parts) = if kind == 11 { (1, true) } else { (kind, false) };
        let mut record = vec![kind, VERSION, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 4];
        record.extend_from_slice(b"load");
        match kind {
            1 => {
                record.extend_from_slice(&[0, 0, 0, 7]);
                record.extend_from_slice(&[1 + u8::from(in_parts), 0, 0x34, 0, 1, 0, 0, 1, 0, 9]);
                record.extend_from_slice(&[0; 5 + 2 + 2 + 3 * 8]);
                record.extend_from_slice(b"\x04sink\x044711\x05hello");
                if in_parts {
                    record.extend_from_slice(b"\x03\x01\x01\x05\x03011\x01\x03\0\x0b\0\0\0\0\0\0\0\x08");
                }
                record.extend_from_slice(b"\x01\x01\x0c447700900123\x05\0\x04Tidebody");
            }
            2 => {
                record.extend_from_slice(&[0, 0, 0, 7]);
                record.extend_from_slice(&[0; 8 + 2]);
                record.extend_from_slice(b"\x04sink\x044711");
            }
            5 => record.extend_from_slice(b"\0\0\0\x07\x01\0\0\0\0\x01\0\0\0\0\0\0\0\x08\x02v1body"),
            _ => record.extend_from_slice(&[1; 40]),
        }
        let length = u32::try_from(record.len()).unwrap_or(0);
        all.push([&length.to_be_bytes()[..], &record].concat());
    }
    all.push(all.concat());
    all
}

/// The texts of the vectors, in UTF-8 and in UTF-16.
fn words() -> Vec<Vec<u8>> {
    let texts = WORDS.lines().filter(|line| !line.starts_with('#'));
    let texts = texts.filter_map(|line| line.split('\t').nth(1));
    let of = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_be_bytes);
        [
            [&[0], text.as_bytes()].concat(),
            std::iter::once(1).chain(units).collect(),
        ]
    };
    texts.flat_map(of).collect()
}

/// The committed inputs of a target, by file name: what was found, and what is worth keeping.
pub fn committed(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        all.push((
            entry.file_name().to_string_lossy().into_owned(),
            fs::read(entry.path())?,
        ));
    }
    all.sort();
    Ok(all)
}
