//! What counts as an opt-out, and as taking it back: words in all spellings, codes of carriers, one after the other.

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::tlv::{Tag, append};
use tidegate_codec::values::DataCoding;

use super::rig::*;
use super::*;
use crate::wire::{Wire, octets};

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
