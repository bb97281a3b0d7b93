//! Every kind there and back, sealed, relabelled, and cut short.

use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_codec::values::MessageState;

use super::*;
use crate::quote::Quote;
use crate::testing::{envelope, key, rng};

fn head(kind: Kind) -> Head {
    Head {
        kind,
        id: MessageId(0x0123_4567_89ab_cdef),
        leg: 3,
        account: SystemId::new(b"load").unwrap(),
    }
}

fn payloads() -> Vec<(Kind, Payload<'static>)> {
    let leg = LegRecord {
        envelope: envelope(),
        stage: Stage::HandedOver,
        attempts: 2,
        due_ms: 77,
        carrier: "sink",
        carrier_id: b"4711",
        quote: Quote::of(*b"QUOTE-CANARY"),
        progress: None,
        body: b"BODY-CANARY",
    };
    let in_parts = LegRecord {
        stage: Stage::InParts,
        progress: Some(Progress::of(3)),
        ..leg.clone()
    };
    let handed = HandedOver {
        carrier: "sink",
        carrier_id: b"4711",
        deadline_ms: 9,
        attempts: 1,
    };
    let end = Final {
        state: MessageState::Delivered,
        at_ms: 5,
        attempts: 1,
        settled: 1,
        released: 0,
    };
    let entry = EntryRecord {
        kind: EntryKind::Mo,
        sink: Sink::BindOf(NonZeroU32::MAX),
        form: Form::DataSm,
        expires_ms: 8,
        document: b"2026-07-01.2",
        body: b"MO-CANARY",
    };
    vec![
        (
            Kind::Finished,
            Payload::Finished(FinishedLeg {
                end,
                leg: leg.clone(),
            }),
        ),
        (Kind::Progressed, Payload::Progressed(Progress::of(3))),
        (Kind::Leg, Payload::Leg(leg)),
        (Kind::Leg, Payload::Leg(in_parts)),
        (Kind::HandedOver, Payload::HandedOver(handed)),
        (
            Kind::Retry,
            Payload::Retry(Retry {
                due_ms: 1,
                attempts: 9,
            }),
        ),
        (Kind::Final, Payload::Final(end)),
        (Kind::Entry, Payload::Entry(entry)),
        (Kind::Settled, Payload::Settled),
    ]
}

#[test]
fn every_kind_comes_back_as_it_was_written() {
    let (key, mut rng) = (Arc::new(key(7)), rng());
    let mut octets = Vec::new();
    for (kind, payload) in payloads() {
        write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
    }
    let mut rest = octets.as_mut_slice();
    for (kind, payload) in payloads() {
        let (raw, behind) = cut(rest).unwrap();
        let raw = raw.unwrap();
        assert_eq!(raw.head, head(kind));
        assert_eq!(
            raw.open(Purpose::Deliver, |id| (id == KeyId(7)).then(|| key.clone())),
            Ok(payload)
        );
        rest = behind;
    }
    assert!(cut(rest).is_none());
}

#[test]
fn what_is_personal_is_sealed_before_it_is_anywhere() {
    let (key, mut rng) = (key(7), rng());
    let mut octets = Vec::new();
    for (kind, payload) in payloads() {
        write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
    }
    for canary in [&b"CANARY"[..], b"447700900123", b"Tide", b"4711"] {
        assert!(
            !octets.windows(canary.len()).any(|window| window == canary),
            "{canary:?}"
        );
    }
}

#[test]
fn a_relabelled_record_does_not_open() {
    let (key, mut rng) = (Arc::new(key(7)), rng());
    let (kind, payload) = payloads().remove(0);
    for (at, what) in [(7, "leg"), (15, "id"), (17, "account"), (40, "ciphertext")] {
        let mut octets = Vec::new();
        write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
        octets[at] ^= 1;
        let (raw, _) = cut(&mut octets).unwrap();
        let opened = raw.and_then(|raw| raw.open(Purpose::Deliver, |_| Some(key.clone())).map(|_| ()));
        assert!(
            matches!(opened, Err(RecordError::Sealed(_))),
            "{what}: {opened:?}"
        );
    }
}

#[test]
fn a_record_cut_short_anywhere_is_an_error_and_never_a_panic() {
    let (key, mut rng) = (Arc::new(key(7)), rng());
    for (kind, payload) in payloads() {
        let mut octets = Vec::new();
        write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
        for n in 0..octets.len() {
            let mut short = octets[..n].to_vec();
            assert!(cut(&mut short).is_none(), "{kind:?} at {n}");
            if n >= 4 {
                // The same with a length that fits: the fields run out instead.
                let length = u32::try_from(n - 4).unwrap();
                short[..4].copy_from_slice(&length.to_be_bytes());
                let (raw, _) = cut(&mut short).unwrap();
                let opened = raw.and_then(|raw| raw.open(Purpose::Sweep, |_| Some(key.clone())).map(|_| ()));
                assert!(
                    opened.is_err() || kind == Kind::Settled && n == octets.len(),
                    "{kind:?} at {n}"
                );
            }
        }
    }
}
