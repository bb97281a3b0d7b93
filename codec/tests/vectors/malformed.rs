//! pdu-malformed.json: 95 faults or more, each with its class, what to do, and what to answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_codec::error::BodyError;
use tidegate_codec::header::Header;
use tidegate_codec::pdu::strict::{self, Action, Finding};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};

use crate::json::{name, octets};
use crate::of_file;

fn all() -> Vec<Value> {
    let text = include_str!("../../testdata/pdu-malformed.json");
    of_file("pdu-malformed.json", text, 95)
}

/// The action as the vectors spell it, and the answer.
fn spelt(action: Action) -> (&'static str, Option<Header>) {
    match action {
        Action::Wait(_) => ("wait_for_more", None),
        Action::NackAndClose(answer) => ("nack_and_close", Some(answer)),
        Action::Nack(answer) => ("nack_keep_open", Some(answer)),
        Action::Reject(answer) => ("reject_keep_open", Some(answer)),
        Action::Tolerate => ("tolerate", None),
        Action::Drop => ("drop", None),
    }
}

/// `reply` and `also_acceptable`, as command and status.
fn acceptable(expect: &Value) -> Vec<(&str, u64)> {
    std::iter::once(&expect["reply"])
        .chain(expect["also_acceptable"].as_array().into_iter().flatten())
        .filter_map(|reply| Some((reply["command"].as_str()?, reply["status"].as_u64()?)))
        .collect()
}

#[test]
fn a_strict_reader_finds_the_class_the_action_and_an_acceptable_answer() {
    let mut actions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut classes: BTreeSet<&str> = BTreeSet::new();
    let all = all();
    for vector in &all {
        let (name, expect) = (name(vector), &vector["expect"]);
        let octets = octets(&vector["hex"]);
        let Err(Finding { class, action }) = strict::read(&octets, &Limits::default()) else {
            panic!("{name} passes for a PDU");
        };
        assert_eq!(Some(class.name()), expect["error"].as_str(), "{name}");
        let (spelt, answer) = spelt(action);
        assert_eq!(Some(spelt), expect["action"].as_str(), "{name}");
        assert_eq!(answer.is_some(), expect["reply"].is_object(), "{name}");
        if let Some(answer) = answer {
            let ours = (answer.command_id.name().unwrap(), u64::from(answer.status.0));
            assert!(acceptable(expect).contains(&ours), "{name}: {ours:?}");
            let reply = &expect["reply"];
            assert_eq!(Some(u64::from(answer.sequence)), reply["seq"].as_u64(), "{name}");
            let close = matches!(action, Action::NackAndClose(_));
            assert_eq!(Some(close), reply["close"].as_bool(), "{name}");
            assert_eq!(answer.length, 16, "a refusal has no body");
        }
        if let Action::Wait(whole) = action {
            assert_eq!(Some(whole as u64), expect["need"].as_u64(), "{name}");
            assert_eq!(Some(octets.len() as u64), expect["have"].as_u64(), "{name}");
        }
        *actions.entry(spelt).or_default() += 1;
        classes.insert(class.name());
    }
    assert_eq!(actions.values().sum::<usize>(), all.len());
    for action in [
        "wait_for_more",
        "nack_and_close",
        "nack_keep_open",
        "reject_keep_open",
        "drop",
    ] {
        assert!(actions.contains_key(action), "{action} is right for some fault");
    }
    // As many as the public faults have.
    assert!(classes.len() >= 11, "{classes:?}");
}

/// The reader for traffic takes some of them, and agrees about the rest.
#[test]
fn the_lenient_reader_agrees_about_what_it_refuses() {
    let (mut refused, mut broken, mut waiting, mut unknown, mut taken) = (0, 0, 0, 0, 0);
    let all = all();
    for vector in &all {
        let (name, expect) = (name(vector), &vector["expect"]);
        let octets = octets(&vector["hex"]);
        let error = expect["error"].as_str().unwrap();
        let judge = |fault: BodyError| {
            assert_eq!(fault.class().name(), error, "{name}");
            let status = u64::from(fault.status().0);
            assert!(
                expect["reply"].is_null() || acceptable(expect).iter().any(|reply| reply.1 == status),
                "{name}: {:?}",
                fault.status()
            );
        };
        match read(&octets, &Limits::default()) {
            Read::NeedMore(_) => {
                assert_eq!(error, "incomplete", "{name}");
                waiting += 1;
            }
            Read::Broken(fault) => {
                assert!(error.starts_with("command_length_too_"), "{name}");
                assert_eq!(
                    Some(u64::from(fault.sequence)),
                    expect["reply"]["seq"].as_u64(),
                    "{name}"
                );
                broken += 1;
            }
            Read::BadBody(header, fault) => {
                assert_eq!(header.length as usize, octets.len(), "{name}");
                judge(fault);
                refused += 1;
            }
            Read::Pdu(Pdu {
                operation: Operation::Unknown(..),
                ..
            }) => {
                assert_eq!(error, "unknown_command_id", "{name}");
                unknown += 1;
            }
            // A response must not be lost to its body, nor any PDU to what peers are known for.
            Read::Pdu(pdu)
                if pdu.operation.strict().is_ok()
                    && (pdu.operation.command_id().is_response() || expect["action"] == "tolerate") =>
            {
                assert!(
                    matches!(expect["action"].as_str(), Some("drop" | "tolerate")),
                    "{name}"
                );
                taken += 1;
            }
            Read::Pdu(pdu) => {
                judge(pdu.operation.strict().expect_err(name));
                taken += 1;
            }
        }
    }
    let outcomes = [waiting, broken, unknown, refused, taken];
    assert_eq!(outcomes.iter().sum::<usize>(), all.len());
    assert!(outcomes.iter().all(|&count| count > 0), "{outcomes:?}");
    // Each of these faults has one outcome, and each of these outcomes only that fault.
    let expected = |matches: fn(&str) -> bool| {
        all.iter()
            .filter(|vector| vector["expect"]["error"].as_str().is_some_and(matches))
            .count()
    };
    assert_eq!(waiting, expected(|error| error == "incomplete"));
    assert_eq!(broken, expected(|error| error.starts_with("command_length_too_")));
    assert_eq!(unknown, expected(|error| error == "unknown_command_id"));
}
