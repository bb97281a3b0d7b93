//! The fuzz bodies over every public vector, those cut and changed, and arbitrary octets.

use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../codec/testdata/pdu-valid.json"),
        include_str!("../../codec/testdata/pdu-malformed.json"),
        include_str!("../../codec/testdata/pdu-stream.json"),
    ];
    let mut all = Vec::new();
    for text in texts {
        let vectors: Value = serde_json::from_str(text).expect("testdata is JSON");
        for vector in vectors.as_array().expect("an array") {
            let hex = vector["hex"].as_str().expect("hex");
            let octet = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex");
            all.push((0..hex.len() / 2).map(octet).collect());
        }
    }
    assert_eq!(all.len(), 152 + 95 + 14);
    all
}

fn every_body(octets: &[u8]) {
    tidegate_fuzz::pdu(octets);
    tidegate_fuzz::receipt(octets);
    tidegate_fuzz::segment(octets);
    tidegate_fuzz::text(octets);
    tidegate_fuzz::udh(octets);
    tidegate_fuzz::reassembly(octets);
    for choice in 0..16 {
        let mut input = vec![choice];
        input.extend_from_slice(octets);
        tidegate_fuzz::session(&input);
    }
}

/// PDUs that take a session through its life: which operations stand between them is the test's choice.
fn lives() -> Vec<Vec<u8>> {
    let pdu = |id: u32, sequence: u32, body: &[u8]| {
        let length = u32::try_from(16 + body.len()).expect("short");
        let words = [length, id, 0, sequence].map(u32::to_be_bytes).concat();
        [&words[..], body].concat()
    };
    let bind = b"load\0secret\0\0\x34\0\0\0";
    let sm = b"\0\0\0\0\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\x05hello";
    vec![
        pdu(0x09, 1, bind),
        pdu(0x02, u32::MAX, bind),
        pdu(0x04, 0, sm),
        pdu(0x05, 0x8000_0000, sm),
        pdu(0x0b, 5, b"smsc\0secret\0"),
        pdu(0x8000_0009, 1, b"smsc\0\x02\x10\0\x01\x34"),
        pdu(0x8000_0004, 2, b"id\0"),
        pdu(0x8000_0005, 1, b"\0"),
        pdu(0x15, 7, b""),
        pdu(0x06, 8, b""),
    ]
}

/// Messages of the text vectors, in front of them data_coding, esm_class and a choice.
fn messages() -> Vec<Vec<u8>> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../codec/testdata/text.json")).expect("testdata is JSON");
    let mut all = Vec::new();
    for vector in vectors.as_array().expect("an array") {
        for part in vector["expect"]["segments"].as_array().into_iter().flatten() {
            let hex = part["short_message_hex"].as_str().expect("hex");
            let octet = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex");
            let data_coding = vector["expect"]["data_coding"].as_u64().expect("a number");
            let mut message = vec![u8::try_from(data_coding).expect("an octet"), 0x40, 0xff];
            message.extend((0..hex.len() / 2).map(octet));
            all.push(message);
        }
    }
    assert_eq!(all.len(), 56);
    all
}

#[test]
fn the_messages_keep_every_invariant_whatever_their_peer_means() {
    for mut message in messages() {
        for (esm_class, choice) in [0, 0x40]
            .into_iter()
            .flat_map(|esm| (0..=255).map(move |choice| (esm, choice)))
        {
            message[1] = esm_class;
            message[2] = choice;
            tidegate_fuzz::text(&message);
        }
        tidegate_fuzz::udh(&message[3..]);
        tidegate_fuzz::reassembly(&message);
    }
}

#[test]
fn the_vectors_keep_every_invariant() {
    vectors().iter().for_each(|octets| every_body(octets));
}

proptest! {
    #[test]
    fn vectors_with_octets_changed_keep_every_invariant(
        pick in 0usize..261,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut octets = vectors().swap_remove(pick);
        if !octets.is_empty() {
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
        }
        every_body(&octets);
    }

    #[test]
    fn messages_with_octets_changed_and_any_coding_keep_every_invariant(
        pick in 0usize..56,
        head in any::<[u8; 3]>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        times in 1usize..6,
    ) {
        let message = messages().swap_remove(pick);
        let mut octets = [&head[..], &message[3..].repeat(times)].concat();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        tidegate_fuzz::text(&octets);
        tidegate_fuzz::udh(&octets[3..]);
        tidegate_fuzz::reassembly(&octets);
    }

    #[test]
    fn a_session_under_any_operations_keeps_every_invariant(
        choice in any::<u8>(),
        operations in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>(), any::<u8>()), 0..120),
    ) {
        let lives = lives();
        let mut input = vec![choice | 4];
        for (operation, which, sequence) in operations {
            input.push(operation);
            match operation & 0x0f {
                // These read a whole PDU, those its number.
                0..=2 => input.extend_from_slice(&lives[which.index(lives.len())]),
                3 | 4 => input.push(sequence & 7),
                _ => {}
            }
        }
        tidegate_fuzz::session(&input);
    }

    #[test]
    fn arbitrary_octets_keep_every_invariant(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        every_body(&octets);
    }
}
