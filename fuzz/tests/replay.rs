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
    for choice in 0..4 {
        let mut input = vec![choice];
        input.extend_from_slice(octets);
        tidegate_fuzz::session(&input);
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
    fn arbitrary_octets_keep_every_invariant(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        every_body(&octets);
    }
}
