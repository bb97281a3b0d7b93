//! The fuzz bodies over every seed, those cut, the committed corpus, and sessions of arbitrary operations.

#![allow(clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "the last name printed is that of the file that failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tidegate_fuzz::{TARGETS, committed, lives, messages, seeds};

fn every_body(octets: &[u8]) {
    for target in TARGETS {
        (target.body)(octets);
    }
}

#[test]
fn the_vectors_are_all_among_the_seeds() {
    let count = |target| seeds(target).len() - 1;
    assert_eq!(count("pdu"), 152 + 95 + 14);
    assert_eq!((count("udh"), messages().len()), (56, 56));
    assert_eq!(count("receipt"), 3 * 2 * (22 + 20 + 5) + 2);
    for target in TARGETS {
        let seeds = seeds(target.name);
        let different: BTreeSet<_> = seeds.iter().collect();
        assert!(different.len() > 3, "{}", target.name);
    }
}

#[test]
fn the_seeds_keep_every_invariant() {
    for target in TARGETS {
        for octets in seeds(target.name) {
            every_body(&octets);
        }
    }
}

#[test]
fn what_is_committed_keeps_every_invariant() {
    for target in TARGETS {
        for (name, octets) in committed(target.name).expect("a readable corpus") {
            println!("{}/{name}", target.name);
            every_body(&octets);
        }
    }
}

#[test]
fn pdus_and_streams_cut_at_every_length_keep_every_invariant() {
    for (target, body) in [
        ("pdu", tidegate_fuzz::pdu as fn(&[u8])),
        ("stream", tidegate_fuzz::stream),
    ] {
        for octets in seeds(target).iter().filter(|octets| octets.len() < 1000) {
            (0..octets.len()).for_each(|len| body(&octets[..len]));
        }
    }
}

#[test]
fn the_messages_keep_every_invariant_whatever_their_peer_means() {
    for (data_coding, message) in messages() {
        let mut input = [&[data_coding, 0, 0], &message[..]].concat();
        for (esm_class, choice) in [0, 0x40]
            .into_iter()
            .flat_map(|esm| (0..=255).map(move |choice| (esm, choice)))
        {
            input[1] = esm_class;
            input[2] = choice;
            tidegate_fuzz::text(&input);
        }
    }
}

#[test]
fn every_target_has_a_wrapper_and_every_corpus_a_target() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(top.join("libfuzzer/Cargo.toml")).expect("a manifest");
    let readme = fs::read_to_string(top.join("README.md")).expect("a document");
    for target in TARGETS {
        assert!(
            readme.contains(&format!("| {} |", target.name)),
            "{}",
            target.name
        );
        let wrapper = top.join(format!("libfuzzer/fuzz_targets/{}.rs", target.name));
        let text = fs::read_to_string(&wrapper).unwrap_or_else(|error| panic!("{}: {error}", target.name));
        assert!(text.contains(&format!("tidegate_fuzz::{}(", target.name)));
        assert!(manifest.contains(&format!("\nname = \"{}\"\n", target.name)));
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for directory in fs::read_dir(top.join("corpus")).expect("a corpus") {
        let name = directory.expect("an entry").file_name();
        assert!(TARGETS.iter().any(|target| target.name == name), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
}
