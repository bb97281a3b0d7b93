//! Opt-outs in the data path: what is sent no more, when it is submitted and when it is handed over. The acceptance cases of
//! compliance.md §2, each by its id; `opt_outs_heard` has those of what counts as an opt-out, `opt_outs_scopes` of how wide
//! one reaches, `opt_outs_answered` of what the person is answered, `opt_outs_kept` of what it outlives, and
//! `opt_outs_by_command` of commands.

use std::time::Duration;

use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::tlv::{Tag, append};
use tidegate_codec::values::RegisteredDelivery;

use super::rig::*;
use super::*;
use crate::wire::octets;

#[test]
fn opt_c01_after_a_stop_nothing_more_goes_there() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 1).await;
        rig.sees_next(S, R).await;
        rig.stop(R, S).await;
        let used = |rig: &Rig| {
            rig.world.hub.with_gate(|gate, now| {
                let name = gate.accounts()[0].name;
                let day = u32::try_from(now.unix_ms / 86_400_000).unwrap();
                let period = tidegate_store::usage::Period { day, month: 0 };
                gate.spool().used(name, period)
            })
        };
        let before = used(&rig);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        assert_eq!(used(&rig), before, "what is refused is not counted");
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn opt_c14_a_thousand_that_wait_for_their_carrier_are_rejected_when_it_comes_back() {
    scenario(|| async {
        let setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 12).unwrap();
        let mut a = bound(&world, b"A").await;
        for sequence in 2..1_002 {
            let wished = RegisteredDelivery(u8::from(sequence % 2 == 0));
            let sm = Sm {
                registered_delivery: wished,
                ..sm(S, R)
            };
            assert_eq!(submit_as(&mut a, sequence, sm).await, CommandStatus::ROK);
        }
        // The other carrier's link brings the STOP: messages back come on any.
        let mut other = world.smsc_of(1);
        other.accept_bind().await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        // It is staged before that link gets its first.
        other.send(CommandStatus::ROK, 5, Operation::DeliverSm(mo)).await;
        let mut seen = 0;
        loop {
            let frame = other.next().await;
            match frame.pdu().operation {
                Operation::SubmitSm(sm) => {
                    assert_eq!(sm.destination.addr.as_bytes(), R);
                    seen += 1;
                }
                Operation::DeliverSmResp(_) => break,
                ref other => panic!("{other:?}"),
            }
        }
        let mut rejected = 0;
        let mut texts = 0;
        while rejected < 500 - seen / 2 - seen % 2 {
            let frame = a.expect(CommandId::DELIVER_SM).await;
            let sequence = frame.pdu().sequence;
            let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
            a.send(CommandStatus::ROK, sequence, answer).await;
            let text = text_of(&frame);
            rejected += usize::from(text.contains("stat:REJECTD"));
            texts += usize::from(text == "STOP");
        }
        assert!(seen <= 10, "what a window holds when the STOP comes: {seen}");
        assert_eq!(texts, 1);
        // Behind them all nothing went out but the confirmation.
        let reply = other.take_submit(b"c-r").await;
        assert!(text_of(&reply).starts_with("Example A"), "{}", text_of(&reply));
    });
}

#[test]
fn opt_c15_scheduled_retried_and_rerouted_messages_are_dropped_at_dispatch() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 13).await;
        // One for later.
        let sequence = rig.next();
        let later = Sm {
            schedule_delivery_time: COctets::new(b"000000001000000R").unwrap(),
            ..sm(S, R)
        };
        assert_eq!(submit_as(&mut rig.a, sequence, later).await, CommandStatus::ROK);
        // One that its carrier does not take now.
        assert_eq!(rig.submit(S, R).await, CommandStatus::ROK);
        let frame = rig.smsc.expect(CommandId::SUBMIT_SM).await;
        let answered = frame.pdu().sequence;
        rig.smsc
            .send(CommandStatus::RSYSERR, answered, Operation::SubmitSmResp(None))
            .await;
        // One whose carrier goes away with it.
        assert_eq!(rig.submit(S2, R).await, CommandStatus::ROK);
        rig.smsc.expect(CommandId::SUBMIT_SM).await;
        let mut other = rig.world.smsc_of(1);
        other.accept_bind().await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        other.send(CommandStatus::ROK, 5, Operation::DeliverSm(mo)).await;
        other.expect(CommandId::DELIVER_SM_RESP).await;
        drop(std::mem::replace(&mut rig.smsc, other));
        let mut states = Vec::new();
        let mut replies = 0;
        while states.len() < 3 {
            tokio::select! {
                frame = rig.a.expect(CommandId::DELIVER_SM) => {
                    let sequence = frame.pdu().sequence;
                    let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
                    rig.a.send(CommandStatus::ROK, sequence, answer).await;
                    let text = text_of(&frame);
                    if text.contains("stat:") {
                        states.push(text);
                    }
                }
                frame = rig.smsc.next() => {
                    let pdu = frame.pdu();
                    let sequence = pdu.sequence;
                    match pdu.operation {
                        Operation::SubmitSm(sm) => {
                            assert!(sm.text().0.starts_with(b"Example A"), "only the confirmation goes out");
                            replies += 1;
                            let body = MessageIdResp { message_id: COctets::new(b"c").unwrap(), tlvs: Tlvs::NONE };
                            rig.smsc.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body))).await;
                        }
                        _ => rig.smsc.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await,
                    }
                }
            }
        }
        assert!(
            states.iter().all(|text| text.contains("stat:REJECTD")),
            "{states:?}"
        );
        assert_eq!(replies, 1);
    });
}

#[test]
fn opt_c17_of_several_recipients_the_one_who_has_opted_out_is_named() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 14).await;
        rig.stop(R, S).await;
        let mut octets = Vec::new();
        for digits in [R, R2] {
            Destination::Sme(number(digits)).encode(&mut octets);
        }
        let multi = SubmitMulti {
            message: sm(S, R),
            destinations: Destinations::new(2, &octets).unwrap(),
        };
        let sequence = rig.next();
        rig.a
            .send(CommandStatus::ROK, sequence, Operation::SubmitMulti(multi))
            .await;
        let frame = rig.a.expect(CommandId::SUBMIT_MULTI_RESP).await;
        let Operation::SubmitMultiResp(Some(answer)) = frame.pdu().operation else {
            panic!()
        };
        let refused: Vec<_> = answer.unsuccess().map(|one| (one.address, one.status)).collect();
        assert_eq!(refused, [(number(R), OPTED_OUT)]);
        let taken = rig.take().await;
        assert_eq!(taken.sm().destination.addr.as_bytes(), R2);
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn opt_c18_an_account_may_have_an_id_and_a_receipt_instead() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "opted_out = \"accept\"")]), 15).await;
        rig.stop(R, S).await;
        let used = |rig: &Rig| {
            rig.world.hub.with_gate(|gate, now| {
                let name = gate.accounts()[0].name;
                let day = u32::try_from(now.unix_ms / 86_400_000).unwrap();
                gate.spool()
                    .used(name, tidegate_store::usage::Period { day, month: 0 })
                    .day
            })
        };
        let before = used(&rig);
        assert_eq!(rig.submit(S, R).await, CommandStatus::ROK);
        assert_eq!(rig.a.take_dlr().await.1, MessageState::Rejected);
        assert_eq!(used(&rig), before, "no charge");
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn opt_16_an_account_may_have_the_plain_status_instead() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "opted_out = \"submit-fail\"")]), 16).await;
        rig.stop(R, S).await;
        assert_eq!(rig.submit(S, R).await, CommandStatus::RSUBMITFAIL);
    });
}

/// Whatever counts as the outcome of a text in parts: none of them goes to who stopped before the first.
#[test]
fn a_stop_before_the_first_part_of_a_cut_text_stops_all_of_them() {
    for outcome in ["all", "first", "last", "worst"] {
        scenario(|| async {
            let config = config(&[
                (OF_A, &format!("long_message_outcome = \"{outcome}\"")),
                (OF_P, "long_messages = \"udh8\"\nwindow = 1"),
            ]);
            let mut rig = Rig::new(config, 43).await;
            // The window is taken, so that the parts wait.
            assert_eq!(rig.submit(S, R2).await, CommandStatus::ROK);
            let first = rig.smsc.expect(CommandId::SUBMIT_SM).await;
            let mut tlvs = Vec::new();
            assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &[b'a'; 400]));
            let long = Sm {
                short_message: ShortMessage::default(),
                tlvs: Tlvs::new(&tlvs),
                ..sm(S, R)
            };
            let sequence = rig.next();
            assert_eq!(submit_as(&mut rig.a, sequence, long).await, CommandStatus::ROK);
            // The carrier makes room for as long as the text takes to be cut, and no longer.
            let mo = Sm {
                short_message: ShortMessage::new(b"STOP").unwrap(),
                ..sm(R, TOLL_FREE)
            };
            let body = MessageIdResp {
                message_id: COctets::new(b"c").unwrap(),
                tlvs: Tlvs::NONE,
            };
            let answer = octets(
                CommandStatus::ROK,
                first.pdu().sequence,
                Operation::SubmitSmResp(Some(body)),
            );
            let stop = octets(CommandStatus::ROK, 500, Operation::DeliverSm(mo));
            rig.smsc.write(&[answer, stop].concat()).await.unwrap();
            rig.smsc.expect(CommandId::DELIVER_SM_RESP).await;
            let mut states = Vec::new();
            while states.is_empty() {
                let frame = rig.take_mo().await;
                if text_of(&frame).contains("stat:") {
                    states.push(text_of(&frame));
                }
            }
            assert!(states[0].contains("stat:REJECTD"), "{outcome}: {states:?}");
            rig.sees_next(S, R2).await;
        });
    }
}

/// Its name is known, if nothing else of it: what was said to it holds.
#[test]
fn what_waits_of_an_account_that_the_file_no_longer_has_is_held_back_as_well() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 44).unwrap();
        let mut a = bound(&world, b"A").await;
        assert_eq!(submit_as(&mut a, 2, sm(S, R)).await, CommandStatus::ROK);
        let mut b = bound(&world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
        let mut other = world.smsc_of(1);
        // Its link is not bound yet: no way leads anywhere, and what comes back does.
        let text = include_str!("../../../config/compliance.toml");
        let without = text.replacen(
            "[[account]]\nsystem_id = \"A\"",
            "[[account]]\nsystem_id = \"C\"",
            1,
        );
        let without = without.replace("account = \"A\"", "account = \"C\"");
        other.accept_bind().await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        // Staged with the turn in which the link takes its first messages.
        other.send(CommandStatus::ROK, 5, Operation::DeliverSm(mo)).await;
        drop(other);
        let setup = Setup::new(tidegate_config::parse(&without).unwrap(), 1 << 20, 1 << 28);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let world = World::start_with(&setup, world.kill(), clock, 45).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let c = bound(&world, b"C").await;
        let mut sent = Vec::new();
        let mut c = c;
        assert_eq!(submit_as(&mut c, 2, sm(S2, R2)).await, CommandStatus::ROK);
        while sent.last().is_none_or(|to: &Vec<u8>| to != R2) {
            let frame = smsc.take_submit(b"c").await;
            let sm = frame.sm();
            assert!(
                sm.source.addr.as_bytes() != S || sm.text().0.starts_with(b"Example A"),
                "of an account that is gone, to who stopped it"
            );
            sent.push(sm.destination.addr.as_bytes().to_vec());
        }
    });
}
