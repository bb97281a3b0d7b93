//! Opt-outs in the data path: the acceptance cases of compliance.md §2, each by its id.

use std::time::Duration;

use rand_core::SeedableRng as _;
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::tlv::{Tag, append};
use tidegate_codec::values::{DataCoding, RegisteredDelivery};
use tidegate_store::audit::{Field, Kind, Source, Value};
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Change, Origin, Private, Scope, Via, What, nobody};

use super::rig::*;
use super::*;
use crate::wire::{Wire, octets};

/// A number that no configuration has.
const NOBODYS: &[u8] = b"447700900999";

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
fn opt_c02_spellings_of_stop_are_stop() {
    let spellings = [
        " stop. ",
        "\"Stop\"",
        "\u{ff33}\u{ff34}\u{ff2f}\u{ff30}",
        "S\u{200b}TOP",
        "ARR\u{ca}T",
        "\u{a1}BAJA!",
        "OptOut",
        "opt-out",
        "STOP \u{1f64f}",
    ];
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 2).await;
        for (n, spelling) in spellings.iter().enumerate() {
            let from = format!("1555010{n:04}").into_bytes();
            rig.mo(&from, S, spelling).await;
            rig.take_reply(S, &from).await;
            assert_eq!(rig.submit(S, &from).await, OPTED_OUT, "{spelling:?}");
        }
    });
}

#[test]
fn opt_c03_conversation_is_no_stop_and_goes_on() {
    let texts = [
        "stop by at 5",
        "end of June works",
        "cancel my 3pm",
        "don't stop",
        "STOPWATCH",
        "pit stop",
    ];
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 3).await;
        for (n, text) in texts.iter().enumerate() {
            let from = format!("1555010{n:04}").into_bytes();
            rig.mo(&from, S, text).await;
            rig.sees_next(S, &from).await;
        }
    });
}

#[test]
fn opt_c04_a_phrase_counts_in_plus_one_and_is_flagged_elsewhere() {
    scenario(|| async {
        let flags = config(&[(OF_A, "opt_out_phrases = \"flag\"")]);
        let mut rig = Rig::new(flags, 4).await;
        rig.mo(R, S, "please stop texting me").await;
        rig.take_reply(S, R).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.mo(DUTCH, S, "please stop texting me").await;
        rig.sees_next(S, DUTCH).await;
        let flagged = rig.world.hub.with_gate(|gate, _| {
            let words = gate.tally().handset_words.iter();
            words.filter(|(word, _)| format!("{word:?}") == "Flag").count()
        });
        assert_eq!(flagged, 1);
    });
}

#[test]
fn opt_c05_stop_in_ucs2_and_in_message_payload() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 5).await;
        let ucs2: Vec<u8> = "STOP".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let mo = Sm {
            data_coding: DataCoding(8),
            short_message: ShortMessage::new(&ucs2).unwrap(),
            ..sm(R, S)
        };
        assert!(rig.deliver(mo).await.is_ok());
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"STOP"));
        let mo = Sm {
            short_message: ShortMessage::default(),
            tlvs: Tlvs::new(&tlvs),
            ..sm(R2, S)
        };
        rig.take_reply(S, R).await;
        assert!(rig.deliver(mo).await.is_ok());
        assert_eq!(rig.submit(S, R2).await, OPTED_OUT);
    });
}

#[test]
fn opt_c09_in_plus_one_the_account_is_blocked_and_elsewhere_the_pool() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 6).await;
        rig.stop(R, S).await;
        assert_eq!(rig.submit(S2, R).await, OPTED_OUT);
        assert_eq!(rig.submit(TOLL_FREE, R).await, OPTED_OUT);
        rig.stop(DUTCH, S).await;
        assert_eq!(rig.submit(S, DUTCH).await, OPTED_OUT);
        assert_eq!(rig.submit(S2, DUTCH).await, OPTED_OUT);
        rig.sees_next(TOLL_FREE, DUTCH).await;
    });
}

#[test]
fn opt_c10_another_account_may_send_and_sees_nothing_of_it() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 7).await;
        rig.stop(R, S).await;
        let mut b = bound(&rig.world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
        let taken = rig.take().await;
        assert_eq!(taken.sm().source.addr.as_bytes(), OF_B);
    });
}

/// OPT-26: a successor of the same brand finds what recipients have said to an account that is closed since.
#[test]
fn what_was_said_to_a_closed_account_holds_for_its_brand_and_a_start_to_a_successor_lifts_it() {
    const HEIR: &str = "brand = \"shoes\"\nopt_out_scope = \"brand\"";
    scenario(|| async {
        for (of_b, is_heir) in [(HEIR, true), ("brand = \"hats\"", false)] {
            let brands = [
                (OF_A, "brand = \"shoes\"\nopt_out_scope = \"account\""),
                ("system_id = \"B\"", of_b),
            ];
            let mut rig = Rig::new(config(&brands), 71).await;
            rig.stop(R, S).await;
            let mut b = bound(&rig.world, b"B").await;
            assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
            rig.take().await;
            rig.world.hub.with_gate(|gate, now| {
                let mut orders = gate.orders().clone();
                orders.close("A", now.unix_ms).unwrap();
                gate.obey(now, orders);
            });
            let refused = if is_heir { OPTED_OUT } else { CommandStatus::ROK };
            assert_eq!(submit_as(&mut b, 3, sm(OF_B, R)).await, refused, "{of_b}");
            assert_eq!(
                submit_as(&mut b, 4, sm(OF_B, R2)).await,
                CommandStatus::ROK,
                "{of_b}"
            );
            if !is_heir {
                continue;
            }
            rig.take().await;
            let mo = Sm {
                short_message: ShortMessage::new(b"START").unwrap(),
                registered_delivery: RegisteredDelivery::default(),
                ..sm(R, OF_B)
            };
            assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
            let came = b.expect(CommandId::DELIVER_SM).await;
            answer_mo(&mut b, &came).await;
            assert_eq!(submit_as(&mut b, 5, sm(OF_B, R)).await, CommandStatus::ROK);
        }
    });
}

#[test]
fn opt_c12_a_stop_that_cannot_be_stored_is_not_acknowledged_nor_confirmed() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 8).await;
        let mo = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        let full = std::io::ErrorKind::StorageFull;
        rig.world.disk.fail_on(Op::Write, "spool", 0, 1, full);
        assert_eq!(rig.deliver(mo()).await, CommandStatus::RX_T_APPN);
        // Nothing is confirmed, and nobody is blocked by what did not happen.
        rig.sees_next(S, R).await;
        assert_eq!(
            rig.deliver(mo()).await,
            CommandStatus::ROK,
            "its carrier tries again"
        );
        assert!(rig.take_reply(S, R).await.starts_with("Example A"));
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn opt_c13_a_stop_outlives_a_kill_right_behind_its_acknowledgement() {
    scenario(|| async {
        for journaled in [false, true] {
            let mut rig = Rig::new(config(&[]), 9).await;
            let mo = Sm {
                short_message: ShortMessage::new(b"STOP").unwrap(),
                ..sm(R, S)
            };
            assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
            rig.take_mo().await;
            rig.take_reply(S, R).await;
            if journaled {
                rig.after(Duration::from_secs(2)).await;
            }
            let mut rig = rig.killed(10).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT);
            assert_eq!(rig.submit(S2, R).await, OPTED_OUT);
            let mut rig = rig.killed(11).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT, "and another one");
        }
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

#[test]
fn opt_c19_of_start_and_stop_in_one_segment_the_later_holds_and_repeats_change_nothing() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 17).await;
        let mo = |text: &'static [u8]| Sm {
            short_message: ShortMessage::new(text).unwrap(),
            ..sm(R, S)
        };
        let both = |one: &'static [u8], other: &'static [u8], sequence: u32| {
            let one = octets(CommandStatus::ROK, sequence, Operation::DeliverSm(mo(one)));
            let other = octets(CommandStatus::ROK, sequence + 1, Operation::DeliverSm(mo(other)));
            [one, other].concat()
        };
        let answers = async |smsc: &mut Wire, count: usize| {
            let (mut answered, mut replies) = (0, 0);
            while answered < count {
                let frame = smsc.next().await;
                let pdu = frame.pdu();
                match pdu.operation {
                    Operation::DeliverSmResp(_) => {
                        assert!(pdu.status.is_ok());
                        answered += 1;
                    }
                    Operation::SubmitSm(_) => replies += 1,
                    ref other => panic!("{other:?}"),
                }
            }
            replies
        };
        rig.smsc.write(&both(b"START", b"STOP", 100)).await.unwrap();
        answers(&mut rig.smsc, 2).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.smsc.write(&both(b"STOP", b"START", 110)).await.unwrap();
        answers(&mut rig.smsc, 2).await;
        assert_eq!(rig.submit(S, R).await, CommandStatus::ROK);
        // A carrier that missed our answer sends the STOP of before once more, under its number.
        let again = octets(CommandStatus::ROK, 110, Operation::DeliverSm(mo(b"STOP")));
        rig.smsc.write(&again).await.unwrap();
        answers(&mut rig.smsc, 1).await;
        assert_eq!(rig.submit(S, R).await, CommandStatus::ROK, "it changes nothing");
    });
}

#[test]
fn opt_c19_a_repeat_by_its_own_id_changes_nothing_over_a_restart_either() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 18).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"mo-1\0"));
        let stop = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..sm(R, S)
        };
        assert!(rig.deliver(stop()).await.is_ok());
        rig.take_mo().await;
        rig.take_reply(S, R).await;
        rig.mo(R, S, "START").await;
        rig.take_reply(S, R).await;
        rig.after(Duration::from_secs(1)).await;
        let mut rig = rig.killed(19).await;
        assert!(rig.deliver(stop()).await.is_ok());
        rig.sees_next(S, R).await;
    });
}

#[test]
fn opt_c20_yes_means_nothing_without_a_question_and_start_lifts() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 20).await;
        rig.stop(R, S).await;
        rig.mo(R, S, "YES").await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.mo(R, S, "START").await;
        let reply = rig.take_reply(S, R).await;
        assert!(reply.contains("messages again"), "{reply}");
        rig.sees_next(S, R).await;
        rig.sees_next(S2, R).await;
        let consents = rig
            .world
            .hub
            .with_gate(|gate, _| gate.spool().standing().consents().len());
        assert_eq!(consents, 1, "the grant is on record");
    });
}

#[test]
fn a_start_to_another_number_of_the_account_lifts_what_was_said_to_the_first() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 21).await;
        rig.stop(R, S).await;
        rig.mo(R, S2, "UNSTOP").await;
        rig.take_reply(S2, R).await;
        rig.sees_next(S, R).await;
        rig.sees_next(TOLL_FREE, R).await;
        // And of another country: the pool, not what was said to another.
        rig.stop(DUTCH, S).await;
        rig.mo(DUTCH, TOLL_FREE, "STOP").await;
        rig.mo(DUTCH, S2, "START").await;
        rig.take_reply(S2, DUTCH).await;
        rig.sees_next(S, DUTCH).await;
        assert_eq!(rig.submit(TOLL_FREE, DUTCH).await, OPTED_OUT);
    });
}

#[test]
fn opt_c21_one_confirmation_in_a_day_at_any_hour() {
    scenario(|| async {
        let codes = config(&[(OF_A, "category = \"otp\"")]);
        // 23:00 in New York.
        let setup = Setup::new(codes, 1 << 20, 1 << 28);
        let night = Clock::virtual_from(START_MS + 4 * 3_600_000 - 60_000);
        let mut rig = Rig::on(setup, FaultyDisk::new(), night, 22).await;
        rig.mo(R, S, "STOP").await;
        let reply = rig.take_reply(S, R).await;
        assert!(reply.starts_with("Example A: you are unsubscribed"), "{reply}");
        assert!(!reply.contains("http") && !reply.contains("www"));
        rig.mo(R, S, "STOP").await;
        rig.sees_next(S, R2).await;
        rig.after(Duration::from_secs(1)).await;
        // A kill does not let a second one out.
        let mut rig = rig.killed(23).await;
        rig.mo(R, S, "STOP").await;
        rig.sees_next(S, R2).await;
        rig.after(Duration::from_secs(1)).await;
        let next_day = Clock::virtual_from(START_MS + 28 * 3_600_000);
        let mut rig = Rig::on(rig.setup, rig.world.kill(), next_day, 24).await;
        rig.mo(R, S, "STOP").await;
        rig.take_reply(S, R).await;
    });
}

#[test]
fn opt_c23_the_language_of_the_keyword_and_help_for_whoever_asks() {
    scenario(|| async {
        let canadian = b"16135550123";
        let mut rig = Rig::new(config(&[]), 24).await;
        rig.mo(canadian, S, "ARRET").await;
        assert!(rig.take_reply(S, canadian).await.contains("desinscrit"));
        rig.mo(R, S, "STOP").await;
        assert!(rig.take_reply(S, R).await.contains("unsubscribed"));
        rig.mo(R, S, "HELP").await;
        let help = rig.take_reply(S, R).await;
        // `@` is an octet of zero in the alphabet.
        assert!(help.contains("help\0example.com"), "{help:?}");
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn five_answers_in_a_day_and_none_to_our_own_numbers() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 25).await;
        for _ in 0..5 {
            rig.mo(R, S, "HELP").await;
            rig.take_reply(S, R).await;
        }
        rig.mo(R, S, "HELP").await;
        rig.mo(TOLL_FREE, S, "HELP").await;
        rig.mo(OF_B, S, "HELP").await;
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn an_answer_that_finds_no_carrier_in_five_minutes_is_not_sent_late() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 26).await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        let sequence = rig.next();
        let octets = octets(CommandStatus::ROK, sequence, Operation::DeliverSm(mo));
        rig.smsc.write(&octets).await.unwrap();
        let link = std::mem::replace(&mut rig.smsc, Wire::new(tokio::io::duplex(64).0));
        drop(link);
        rig.take_mo().await;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(301)) => {}
            never = rig.a.keep_alive() => match never {},
        }
        let mut smsc = rig.world.smsc();
        smsc.accept_bind().await;
        rig.smsc = smsc;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT, "it was heard");
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn opt_c25_on_toll_free_the_network_answers_and_we_follow() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 27).await;
        rig.mo(R, TOLL_FREE, "STOP").await;
        assert_eq!(rig.submit(TOLL_FREE, R).await, OPTED_OUT);
        rig.mo(R, TOLL_FREE, "UNSTOP").await;
        rig.sees_next(TOLL_FREE, R).await;
    });
}

#[test]
fn opt_c31_a_carrier_s_code_means_an_opt_out_where_it_is_listed() {
    scenario(|| async {
        for (codes, listed) in [("opted_out_codes = [\"21610\"]", true), ("", false)] {
            let mut rig = Rig::new(config(&[(OF_P, codes)]), 28).await;
            assert_eq!(rig.submit(S, R).await, CommandStatus::ROK);
            rig.smsc.take_submit(b"c-1").await;
            let text = b"id:c-1 sub:001 dlvrd:000 submit date:2611240000 done date:2611240000 stat:UNDELIV err:21610 text:";
            let receipt = Sm {
                esm_class: tidegate_codec::values::EsmClass::RECEIPT,
                short_message: ShortMessage::new(text).unwrap(),
                ..sm(R, S)
            };
            assert_eq!(rig.deliver(receipt).await, CommandStatus::ROK);
            assert_eq!(rig.a.take_dlr().await.1, MessageState::Undeliverable);
            let expected = if listed { OPTED_OUT } else { CommandStatus::ROK };
            assert_eq!(rig.submit(S, R).await, expected, "{codes}");
        }
    });
}

#[test]
fn opt_c32_of_a_suspended_account_opt_outs_are_heard_and_its_messages_wait() {
    scenario(|| async {
        let setup = Setup::new(config(&[(OF_A, "state = \"suspended\"")]), 1 << 20, 1 << 28);
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 29).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        smsc.send(CommandStatus::ROK, 5, Operation::DeliverSm(mo)).await;
        smsc.expect(CommandId::DELIVER_SM_RESP).await;
        let setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
        let mut rig = Rig::on(setup, world.kill(), clock, 30).await;
        assert_eq!(text_of(&rig.take_mo().await), "STOP");
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn a_sender_that_leaves_its_pool_or_account_takes_its_opt_outs_along() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 31).await;
        rig.stop(DUTCH, S).await;
        // Both codes are in other pools now: who stopped the first is not sent to by the second either.
        let text =
            include_str!("../../../config/compliance.toml").replace("pool = \"codes\"", "pool = \"new\"");
        let moved = tidegate_config::parse(&text).unwrap();
        let passwords = vec![tidegate_codec::identity::Password::new(b"secret", 9).unwrap(); 2];
        let taken = rig
            .world
            .hub
            .with_gate(|gate, now| gate.reconfigure(now, &moved, passwords, false));
        assert!(taken.is_ok());
        assert_eq!(rig.submit(S2, DUTCH).await, OPTED_OUT);
        // B has the number now. What was said to it holds; what was said to A is A's.
        rig.setup = Setup::new(moved, 1 << 20, 1 << 28);
        let text = include_str!("../../../config/compliance.toml")
            .replacen("senders = [\"55555\", \"55556\"", "senders = [\"55556\"", 1)
            .replacen("senders = [\"55557\"]", "senders = [\"55557\", \"55555\"]", 1);
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        rig.after(Duration::from_secs(1)).await;
        let mut rig = rig.killed(32).await;
        let mut b = bound(&rig.world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(S, DUTCH)).await, OPTED_OUT);
        assert_eq!(submit_as(&mut b, 3, sm(OF_B, DUTCH)).await, CommandStatus::ROK);
        assert_eq!(rig.take().await.sm().source.addr.as_bytes(), OF_B);
    });
}

#[test]
fn a_stop_to_a_number_that_nobody_owns_holds_for_whoever_has_it_later() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 33).await;
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, b"77777")
        };
        assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
        let text = include_str!("../../../config/compliance.toml").replacen(
            "\"55556\", \"18",
            "\"55556\", \"77777\", \"18",
            1,
        );
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        let mut rig = rig.killed(34).await;
        assert_eq!(rig.submit(b"77777", R).await, OPTED_OUT);
        rig.sees_next(S, R).await;
        // And it is lifted there, although it was written down when nobody had the number.
        let start = Sm {
            short_message: ShortMessage::new(b"START").unwrap(),
            ..sm(R, b"77777")
        };
        assert_eq!(rig.deliver(start).await, CommandStatus::ROK);
        rig.take_reply(b"77777", R).await;
        rig.sees_next(b"77777", R).await;
    });
}

#[test]
fn over_the_bound_of_numbers_that_nobody_owns_an_opt_out_reaches_everything_and_none_is_lost() {
    const BOUND: usize = 10_000;
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 46).await;
        let mut chance = rand_chacha::ChaCha20Rng::seed_from_u64(46);
        let stop = |to: &'static [u8], from: &'static [u8]| Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(from, to)
        };
        assert_eq!(rig.deliver(stop(b"77777", R2)).await, CommandStatus::ROK);
        let unlisted = |rig: &Rig| {
            let hub = &rig.world.hub;
            hub.with_gate(|gate, _| gate.spool().standing().scopes().unlisted())
        };
        assert_eq!(unlisted(&rig), 1);
        // As if as many others had been called.
        let mut places = 1..u128::try_from(BOUND).unwrap();
        while unlisted(&rig) < BOUND {
            rig.world.hub.with_gate(|gate, now| {
                for place in places.by_ref().take(500) {
                    let number = Pseudonym::from_octets(place.to_be_bytes());
                    let change = Change {
                        who: number,
                        at_ms: now.unix_ms,
                        event: 0,
                        via: Via::Message,
                        what: What::Suppress {
                            scope: Scope::unlisted_sender(&number),
                            origin: Origin::Recipient,
                            categories: 0,
                        },
                        private: Private::default(),
                    };
                    let nobody = nobody().unwrap();
                    let spool = gate.spool_mut();
                    spool
                        .remember(now.unix_ms, nobody, change, false, &mut chance)
                        .unwrap();
                }
            });
            rig.after(Duration::from_millis(200)).await;
        }
        // One that is known has its own, a new one has not.
        assert_eq!(rig.deliver(stop(b"77777", R)).await, CommandStatus::ROK);
        rig.sees_next(S, R).await;
        let widened = |rig: &Rig| rig.world.hub.with_gate(|gate, _| gate.tally().opt_outs_widened);
        assert_eq!(widened(&rig), 0);
        assert_eq!(rig.deliver(stop(b"77778", R)).await, CommandStatus::ROK);
        assert_eq!((unlisted(&rig), widened(&rig)), (BOUND, 1));
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.after(Duration::from_secs(2)).await;
        let mut rig = rig.killed(47).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.sees_next(S, DUTCH).await;
    });
}

/// What the audit log holds of opt-outs: their places in the spool, of which none may be twice.
fn entered(disk: &FaultyDisk) -> Vec<(Source, String)> {
    let mut found = Vec::new();
    let bad = tidegate_store::audit::read(disk, "audit".as_ref(), |logged| {
        if logged.entry.kind == Kind::OptOutAdded {
            let scope = logged.entry.details.iter().find_map(|detail| match detail {
                (Field::Scope, Value::Word(word)) => Some(word.as_str().to_owned()),
                _ => None,
            });
            found.push((logged.entry.source.unwrap(), scope.unwrap()));
        }
    });
    assert_eq!(bad.unwrap(), None);
    found
}

#[test]
fn a_stop_is_acknowledged_while_the_audit_log_fails_and_entered_once_when_it_works_again() {
    for (op, with_kill) in [
        (Op::Write, false),
        (Op::Sync, false),
        (Op::Write, true),
        (Op::Sync, true),
    ] {
        scenario(|| async {
            let mut setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
            setup.is_audited = true;
            let clock = Clock::virtual_from(START_MS);
            let mut rig = Rig::on(setup, FaultyDisk::new(), clock, 48).await;
            let waiting = |rig: &Rig| {
                let hub = &rig.world.hub;
                hub.with_gate(|gate, _| gate.spool().standing().waiting())
            };
            rig.after(Duration::from_secs(5)).await;
            assert!(!rig.world.health.ready().1.contains("audit"));
            rig.world
                .disk
                .fail_on(op, "audit", 0, 1 << 30, std::io::ErrorKind::Other);
            let before = entered(&rig.world.disk.crash()).len();
            rig.stop(R, S).await;
            rig.after(Duration::from_secs(90)).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT);
            assert!(waiting(&rig) > 0, "it waits in the spool");
            assert!(rig.world.health.ready().1.contains("audit log failing"));
            assert_eq!(entered(&rig.world.disk.crash()).len(), before);
            rig.world.disk.heal();
            if with_kill {
                rig = rig.killed(49).await;
            }
            rig.after(Duration::from_secs(120)).await;
            assert_eq!(waiting(&rig), 0, "{op:?}");
            assert!(!rig.world.health.ready().1.contains("audit"));
            let rig = rig.killed(50).await;
            let found = entered(&rig.world.disk.crash());
            let mut scopes: Vec<&str> = found.iter().map(|(_, scope)| scope.as_str()).collect();
            scopes.sort_unstable();
            assert_eq!(scopes, ["account A", "sender 55555"], "{op:?}: each once");
            assert!(found[0].0 < found[1].0);
        });
    }
}

/// The power goes at every change of the disk in turn while a STOP comes in, goes to the journal and is confirmed. What was
/// acknowledged holds after the start, whatever else is lost.
#[test]
fn a_power_cut_at_any_step_of_a_stop_takes_none_that_was_acknowledged() {
    let (mut acknowledged, mut cuts) = (0, 0);
    for position in 0..200 {
        let told = std::cell::Cell::new((false, false));
        scenario(|| async {
            let mut rig = Rig::new(config(&[]), 40).await;
            rig.after(Duration::from_secs(1)).await;
            let before = rig.world.disk.counts().changes;
            rig.world.disk.cut_power_after(position);
            let mo = Sm {
                short_message: ShortMessage::new(b"STOP").unwrap(),
                ..sm(R, S)
            };
            let status = rig.deliver(mo).await;
            if status.is_ok() {
                // The journal, the hand-over of the answer, the settling of the message.
                for _ in 0..40 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            let was_cut = rig.world.disk.counts().changes > before + position;
            told.set((status.is_ok(), was_cut));
            let clock = rig.world.clock.clone();
            let disk = rig.world.kill().crash();
            let mut rig = Rig::on(rig.setup, disk, clock, 41).await;
            if status.is_ok() {
                assert_eq!(rig.submit(S, R).await, OPTED_OUT, "cut behind {position}");
                assert_eq!(rig.submit(S2, R).await, OPTED_OUT, "cut behind {position}");
            }
            // And what it comes to by then is whole: the next STOP and START are as good.
            for (text, expected) in [(&b"STOP"[..], OPTED_OUT), (b"START", CommandStatus::ROK)] {
                let mo = Sm {
                    short_message: ShortMessage::new(text).unwrap(),
                    ..sm(R2, S)
                };
                assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
                assert_eq!(rig.submit(S, R2).await, expected, "cut behind {position}");
            }
        });
        let (is_acknowledged, was_cut) = told.get();
        acknowledged += u32::from(is_acknowledged);
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    println!("a STOP: {cuts} cuts, {acknowledged} acknowledged before");
    assert!(
        cuts > 6 && acknowledged > 4,
        "{cuts} cuts, {acknowledged} acknowledged"
    );
}

/// Nobody's number stands on the disk as it is written: in digits, as UTF-16, or in semi-octets.
#[test]
fn who_has_opted_out_cannot_be_read_from_any_file() {
    scenario(|| async {
        let mut setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
        setup.is_audited = true;
        let mut rig = Rig::on(setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 42).await;
        rig.stop(R, S).await;
        // It may be a person's number that was called: nobody says that it is ours.
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, NOBODYS)
        };
        assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
        rig.after(Duration::from_secs(2)).await;
        let journaled = rig
            .world
            .hub
            .with_gate(|gate, _| gate.spool().standing().waiting());
        assert_eq!(journaled, 0);
        let utf16: Vec<u8> = R.iter().flat_map(|digit| [0, *digit]).collect();
        let semi_octets: Vec<u8> = R
            .chunks(2)
            .map(|pair| (pair.get(1).map_or(15, |digit| digit - b'0') << 4) | (pair[0] - b'0'))
            .collect();
        let disk = &rig.world.disk;
        let (mut files, mut octets) = (0, 0);
        for path in disk.paths() {
            let held = disk.octets(&path).unwrap_or_default();
            for (form, needle) in [
                ("digits", R),
                ("the called number", NOBODYS),
                ("UTF-16", &utf16),
                ("semi-octets", &semi_octets),
            ] {
                let found = held.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "{} holds it as {form}", path.display());
            }
            files += usize::from(path.starts_with("standing") || path.starts_with("audit"));
            octets += held.len();
        }
        assert!(
            files > 2 && octets > 1_000,
            "{files} files, {octets} octets were looked at"
        );
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

#[test]
fn a_start_lifts_nothing_that_was_said_to_another_account() {
    scenario(|| async {
        // The first code is B's now, and has been in A's pool.
        let mut rig = Rig::new(config(&[]), 46).await;
        rig.after(Duration::from_secs(1)).await;
        let text = include_str!("../../../config/compliance.toml")
            .replacen("senders = [\"55555\", \"55556\"", "senders = [\"55556\"", 1)
            .replacen("senders = [\"55557\"]", "senders = [\"55557\", \"55555\"]", 1)
            .replacen(
                "number = \"55555\"\naccount = \"A\"",
                "number = \"55555\"\naccount = \"B\"",
                1,
            );
        rig.setup = Setup::new(tidegate_config::parse(&text).unwrap(), 1 << 20, 1 << 28);
        let mut rig = rig.killed(47).await;
        let stop = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(DUTCH, S)
        };
        assert_eq!(rig.deliver(stop).await, CommandStatus::ROK);
        rig.take_reply(S, DUTCH).await;
        rig.mo(DUTCH, S2, "START").await;
        rig.take_reply(S2, DUTCH).await;
        let mut b = bound(&rig.world, b"B").await;
        let forwarded = b.expect(CommandId::DELIVER_SM).await;
        answer_mo(&mut b, &forwarded).await;
        assert_eq!(submit_as(&mut b, 2, sm(S, DUTCH)).await, OPTED_OUT);
        rig.sees_next(S2, DUTCH).await;
    });
}

/// The opt-out is heard; its message finds room with the repeat, and is confirmed then.
#[test]
fn a_stop_whose_message_found_no_room_is_taken_in_whole_when_it_comes_again() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "outbox_max = 1")]), 48).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"mo-9\0"));
        let stop = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..sm(R, S)
        };
        // The only place is taken by a message that its client does not answer.
        let other = Sm {
            short_message: ShortMessage::new(b"hello").unwrap(),
            ..sm(R2, S)
        };
        assert_eq!(rig.deliver(other).await, CommandStatus::ROK);
        let held = rig.a.expect(CommandId::DELIVER_SM).await;
        assert_eq!(rig.deliver(stop()).await, CommandStatus::RX_T_APPN);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT, "it is heard all the same");
        answer_mo(&mut rig.a, &held).await;
        rig.after(Duration::from_millis(100)).await;
        assert_eq!(rig.deliver(stop()).await, CommandStatus::ROK);
        assert_eq!(text_of(&rig.take_mo().await), "STOP");
        rig.take_reply(S, R).await;
        // And once more it is the one that came before.
        assert_eq!(rig.deliver(stop()).await, CommandStatus::ROK);
        rig.sees_next(S, R2).await;
    });
}

/// OPT-27: one person, however the number is written.
#[test]
fn a_person_is_the_same_in_every_spelling_of_the_number() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 49).await;
        let national = Sm {
            source: Address::new(Ton::NATIONAL, Npi::ISDN, b"5550100123").unwrap(),
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        assert_eq!(rig.deliver(national).await, CommandStatus::ROK);
        rig.take_mo().await;
        rig.take_reply(S, R).await;
        for (ton, spelling) in [
            (Ton::UNKNOWN, &b"+15550100123"[..]),
            (Ton::UNKNOWN, b"01115550100123"),
            (Ton::NATIONAL, b"15550100123"),
            (Ton::INTERNATIONAL, b"0015550100123"),
        ] {
            let sequence = rig.next();
            let sm = Sm {
                destination: Address::new(ton, Npi::ISDN, spelling).unwrap(),
                ..sm(S, R)
            };
            let status = submit_as(&mut rig.a, sequence, sm).await;
            assert_eq!(status, OPTED_OUT, "{ton:?} {}", String::from_utf8_lossy(spelling));
        }
    });
}
