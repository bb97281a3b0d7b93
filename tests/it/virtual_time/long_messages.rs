//! Long texts towards carriers that want them in parts: each part a leg, one outcome.

use tidegate_codec::pdu::ancillary::{CancelSm, QuerySm};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::tlv::{Tag, append};
use tidegate_codec::values::RegisteredDelivery;
use tidegate_config::{Config, LongMessages, PartsOutcome};

use super::*;
use crate::wire::{Frame, Wire};

fn config(outcome: PartsOutcome, window: usize) -> Config {
    let mut config = bench_config();
    config.carriers[0].texts.long_messages = LongMessages::Udh8;
    config.carriers[0].window = window;
    config.accounts[0].long_message_outcome = outcome;
    config
}

async fn world(config: Config) -> (World, Wire, Wire) {
    let setup = Setup::new(config, 1 << 20, 1 << 28);
    let clock = Clock::virtual_from(START_MS);
    let world = World::start_with(&setup, FaultyDisk::new(), clock, 3).unwrap();
    let mut smsc = world.smsc();
    smsc.accept_bind().await;
    let mut esme = world.esme();
    esme.bind(b"secret").await;
    (world, smsc, esme)
}

/// Submits a text of so many parts, each of another letter, and returns its id.
async fn submit(esme: &mut Wire, sequence: u32, parts: usize) -> Vec<u8> {
    let text: Vec<u8> = (b'a'..).take(parts).flat_map(|letter| [letter; 153]).collect();
    submit_text(esme, sequence, &text).await
}

async fn submit_text(esme: &mut Wire, sequence: u32, text: &[u8]) -> Vec<u8> {
    let mut tlvs = Vec::new();
    assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, text));
    let sm = Sm {
        short_message: Default::default(),
        tlvs: Tlvs::new(&tlvs),
        ..message()
    };
    esme.send(CommandStatus::ROK, sequence, Operation::SubmitSm(sm))
        .await;
    let frame = esme.expect(CommandId::SUBMIT_SM_RESP).await;
    match frame.pdu().operation {
        Operation::SubmitSmResp(Some(body)) => body.message_id.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Which part a submit is, of how many, and its letter.
fn part(frame: &Frame) -> (u8, u8, u8) {
    let sm = frame.sm();
    let text = sm.text().0;
    assert!(sm.esm_class.has_udh() && text[..3] == [5, 0, 3], "{text:?}");
    (text[5], text[4], text[6])
}

async fn receipt(smsc: &mut Wire, sequence: u32, id: &[u8], state: MessageState) {
    smsc.send_receipt(sequence, id, state).await;
    let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
    assert_eq!(answer.pdu().status, CommandStatus::ROK);
}

async fn quiet(esme: &mut Wire) {
    let dlr = tokio::time::timeout(Duration::from_millis(500), esme.expect(CommandId::DELIVER_SM)).await;
    assert!(dlr.is_err(), "the outcome is not known yet");
}

fn is_empty(world: &World) -> bool {
    world
        .hub
        .with_gate(|gate, _| gate.spool().index().is_empty() && gate.spool().outbox().is_empty())
}

#[test]
fn the_parts_go_in_order_on_one_link_and_the_message_has_arrived_when_all_have() {
    scenario(|| async {
        let (world, first, mut esme) = world(config(PartsOutcome::All, 500)).await;
        let mut second = world.smsc();
        second.accept_bind().await;
        let mut links = [first, second];
        let mut served = [0; 2];
        for message in 0..8 {
            let id = submit(&mut esme, 2 + message, 4).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let [one, two] = &mut links;
            let (place, frame) = tokio::select! {
                frame = one.take_submit(b"c-1") => (0, frame),
                frame = two.take_submit(b"c-1") => (1, frame),
            };
            served[place] += 1;
            let smsc = &mut links[place];
            assert_eq!(part(&frame), (1, 4, b'a'));
            let reference = frame.sm().text().0[3];
            for number in 2..=4 {
                let frame = smsc.take_submit(format!("c-{number}").as_bytes()).await;
                assert_eq!(part(&frame), (number, 4, b'a' + number - 1));
                assert_eq!(frame.sm().text().0[3], reference);
                assert_eq!(frame.sm().registered_delivery, RegisteredDelivery::FINAL);
            }
            for (sequence, number) in [(1, 3), (2, 1), (3, 4)] {
                let id = format!("c-{number}");
                receipt(smsc, sequence, id.as_bytes(), MessageState::Delivered).await;
            }
            quiet(&mut esme).await;
            receipt(smsc, 4, b"c-2", MessageState::Delivered).await;
            assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
        }
        assert!(
            served.iter().all(|count| *count > 0),
            "both links are used: {served:?}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_empty(&world));
    });
}

#[test]
fn the_first_part_that_fails_is_the_end_of_all_and_the_rest_is_not_sent() {
    scenario(|| async {
        let (world, mut smsc, mut esme) = world(config(PartsOutcome::All, 1)).await;
        let id = submit(&mut esme, 2, 4).await;
        assert_eq!(part(&smsc.take_submit(b"c-1").await), (1, 4, b'a'));
        let frame = smsc.expect(CommandId::SUBMIT_SM).await;
        assert_eq!(part(&frame), (2, 4, b'b'));
        let refusal = Operation::SubmitSmResp(None);
        smsc.send(CommandStatus::RINVDSTADR, frame.pdu().sequence, refusal)
            .await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Rejected));
        let more = tokio::time::timeout(Duration::from_secs(5), smsc.expect(CommandId::SUBMIT_SM)).await;
        assert!(more.is_err(), "nobody wants the rest");
        // The first one's receipt still comes, and says nothing to anybody.
        receipt(&mut smsc, 1, b"c-1", MessageState::Delivered).await;
        quiet(&mut esme).await;
        assert!(is_empty(&world));
    });
}

#[test]
fn the_worst_is_known_when_all_have_ended_whatever_came_first() {
    for order in [[0, 1, 2], [2, 1, 0]] {
        scenario(|| async {
            let (world, mut smsc, mut esme) = world(config(PartsOutcome::Worst, 500)).await;
            let id = submit(&mut esme, 2, 3).await;
            for id in [b"c-0", b"c-1", b"c-2"] {
                smsc.take_submit(id).await;
            }
            let states = [
                MessageState::Delivered,
                MessageState::Undeliverable,
                MessageState::Expired,
            ];
            for (sequence, place) in (1..).zip(order) {
                quiet(&mut esme).await;
                let id = format!("c-{place}");
                receipt(&mut smsc, sequence, id.as_bytes(), states[place]).await;
            }
            assert_eq!(esme.take_dlr().await, (id, MessageState::Undeliverable));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(is_empty(&world));
        });
    }
}

#[test]
fn where_one_part_decides_only_its_receipt_is_asked_for() {
    for (outcome, decides) in [(PartsOutcome::First, 0), (PartsOutcome::Last, 2)] {
        scenario(|| async {
            let (world, mut smsc, mut esme) = world(config(outcome, 500)).await;
            let id = submit(&mut esme, 2, 3).await;
            for (place, id) in [b"c-0", b"c-1", b"c-2"].into_iter().enumerate() {
                let frame = smsc.take_submit(id).await;
                let asked = frame.sm().registered_delivery == RegisteredDelivery::FINAL;
                assert_eq!(asked, place == decides);
            }
            quiet(&mut esme).await;
            let name = format!("c-{decides}");
            receipt(&mut smsc, 1, name.as_bytes(), MessageState::Expired).await;
            assert_eq!(esme.take_dlr().await, (id, MessageState::Expired));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(is_empty(&world));
        });
    }
}

#[test]
fn what_of_a_message_is_left_goes_on_after_a_power_cut_and_its_outcome_counts_what_was() {
    scenario(|| async {
        let config = config(PartsOutcome::Worst, 2);
        let (world, mut smsc, mut esme) = world(config.clone()).await;
        let id = submit(&mut esme, 2, 4).await;
        smsc.take_submit(b"c-1").await;
        smsc.take_submit(b"c-2").await;
        let (third, fourth) = (smsc.next().await, smsc.next().await);
        assert_eq!((part(&third).0, part(&fourth).0), (3, 4));
        receipt(&mut smsc, 1, b"c-1", MessageState::Expired).await;
        // Hand-overs are flushed.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let clock = world.clock.clone();
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let after = World::start_with(&setup, world.kill().crash(), clock, 4).unwrap();
        // The whole, and the three parts that have not ended.
        assert_eq!(after.recovered.legs, 4);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        // What stood in the window goes out again.
        for (number, id) in [(3, b"c-3"), (4, b"c-4")] {
            assert_eq!(part(&smsc.take_submit(id).await).0, number);
        }
        for (sequence, id) in [(1, b"c-3"), (2, b"c-2"), (3, b"c-4")] {
            quiet(&mut esme).await;
            receipt(&mut smsc, sequence, id, MessageState::Delivered).await;
        }
        assert_eq!(esme.take_dlr().await, (id, MessageState::Expired));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_empty(&after));
    });
}

#[test]
fn parts_whose_receipts_come_late_are_found_in_files() {
    scenario(|| async {
        let mut config = config(PartsOutcome::All, 500);
        // Only what has an hour before it leaves memory.
        config.carriers[0].receipt_deadline = Duration::from_secs(2 * 3600);
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock, 3).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = submit(&mut esme, 2, 2).await;
        smsc.take_submit(b"c-1").await;
        smsc.take_submit(b"c-2").await;
        for _ in 0..30 {
            let sleep =
                tokio::time::timeout(Duration::from_secs(10), smsc.expect(CommandId::SUBMIT_SM)).await;
            assert!(sleep.is_err());
            let sleep =
                tokio::time::timeout(Duration::from_secs(10), esme.expect(CommandId::DELIVER_SM)).await;
            assert!(sleep.is_err());
        }
        let (hot, filed) = world
            .hub
            .with_gate(|gate, _| (gate.spool().index().len(), gate.spool().waiting().legs));
        assert_eq!((hot, filed), (1, 2), "the whole stays");
        receipt(&mut smsc, 1, b"c-2", MessageState::Delivered).await;
        quiet(&mut esme).await;
        receipt(&mut smsc, 2, b"c-1", MessageState::Delivered).await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
    });
}

/// A long text and a short one behind it, to the same recipient, in one turn.
#[test]
fn a_short_text_does_not_overtake_the_long_one_before_it() {
    scenario(|| async {
        let (_world, mut smsc, mut esme) = world(config(PartsOutcome::All, 500)).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &[b'a'; 300]));
        let long = Sm {
            short_message: Default::default(),
            tlvs: Tlvs::new(&tlvs),
            ..message()
        };
        let mut both = crate::wire::octets(CommandStatus::ROK, 2, Operation::SubmitSm(long));
        both.extend(crate::wire::octets(
            CommandStatus::ROK,
            3,
            Operation::SubmitSm(message()),
        ));
        esme.write(&both).await.unwrap();
        assert_eq!(part(&smsc.take_submit(b"c-1").await).0, 1);
        assert_eq!(part(&smsc.take_submit(b"c-2").await).0, 2);
        assert_eq!(smsc.take_submit(b"c-3").await.sm().text().0, b"hello");
    });
}

#[test]
fn a_message_can_be_called_back_until_one_of_its_parts_has_left() {
    scenario(|| async {
        let (world, mut smsc, mut esme) = world(config(PartsOutcome::All, 1)).await;
        // A short one fills the window while the parts of the long one are written down.
        esme.submit(2).await;
        let first = smsc.expect(CommandId::SUBMIT_SM).await;
        let id = submit(&mut esme, 3, 2).await;
        let status = async |esme: &mut Wire, sequence| {
            let query = QuerySm {
                message_id: COctets::new(&id).unwrap(),
                source: message().source,
                tlvs: Tlvs::NONE,
            };
            esme.send(CommandStatus::ROK, sequence, Operation::QuerySm(query))
                .await;
            esme.expect(CommandId::QUERY_SM_RESP).await.pdu().status
        };
        let cancel = async |esme: &mut Wire, sequence| {
            let cancel = CancelSm {
                service_type: COctets::EMPTY,
                message_id: COctets::new(&id).unwrap(),
                source: message().source,
                destination: message().destination,
                tlvs: Tlvs::NONE,
            };
            esme.send(CommandStatus::ROK, sequence, Operation::CancelSm(cancel))
                .await;
            esme.expect(CommandId::CANCEL_SM_RESP).await.pdu().status
        };
        let body = MessageIdResp {
            message_id: COctets::new(b"c-0").unwrap(),
            tlvs: Tlvs::NONE,
        };
        let sequence = first.pdu().sequence;
        smsc.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body)))
            .await;
        let part_one = smsc.expect(CommandId::SUBMIT_SM).await;
        assert_eq!(part(&part_one).0, 1);
        assert_eq!(status(&mut esme, 10).await, CommandStatus::ROK, "under way");
        assert_eq!(
            cancel(&mut esme, 11).await,
            CommandStatus::RCANCELFAIL,
            "one has left"
        );
        // Its link breaks, and it is ours again.
        drop(smsc);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(cancel(&mut esme, 12).await, CommandStatus::ROK);
        assert_eq!(esme.take_dlr().await, (id.clone(), MessageState::Deleted));
        assert_eq!(status(&mut esme, 13).await, CommandStatus::RQUERYFAIL);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let more = tokio::time::timeout(Duration::from_secs(5), smsc.expect(CommandId::SUBMIT_SM)).await;
        assert!(more.is_err(), "none of it is sent");
        receipt(&mut smsc, 1, b"c-0", MessageState::Delivered).await;
        esme.take_dlr().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_empty(&world));
    });
}

#[test]
fn a_carrier_that_takes_over_gets_the_parts_that_are_left_in_its_own_way() {
    scenario(|| async {
        let mut config = bench_config_lines(&[(
            "window = 500",
            "[[carrier]]\nname = \"next\"\naddresses = [\"127.0.0.1:2901\"]\nsystem_id = \"tidegate\"\n\
                 password_file = \"config/bench-sink.password\"",
        )]);
        config.carriers[0].window = 1;
        config.carriers[0].texts.long_messages = LongMessages::Udh8;
        config.carriers[1].texts.long_messages = LongMessages::Sar;
        config.mt_routes[0].carriers = config
            .carriers
            .iter()
            .map(|carrier| carrier.name.clone())
            .collect();
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock, 13).unwrap();
        let mut first = world.smsc();
        first.accept_bind().await;
        let mut next = world.smsc_of(1);
        next.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = submit(&mut esme, 2, 3).await;
        let frame = first.take_submit(b"a-1").await;
        let reference = u16::from(frame.sm().text().0[3]);
        assert_eq!(part(&first.expect(CommandId::SUBMIT_SM).await).0, 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
        for (number, letter) in [(2, b'b'), (3, b'c')] {
            let frame = next.take_submit(format!("b-{number}").as_bytes()).await;
            let sm = frame.sm();
            let sar = (
                sm.tlvs.short(Tag::SAR_MSG_REF_NUM),
                sm.tlvs.octet(Tag::SAR_TOTAL_SEGMENTS),
                sm.tlvs.octet(Tag::SAR_SEGMENT_SEQNUM),
            );
            assert_eq!(sar, (Some(reference), Some(3), Some(number)));
            assert!(!sm.esm_class.has_udh() && sm.text().0 == [letter; 153]);
        }
        for (sequence, id) in [(1, b"b-2"), (2, b"b-3")] {
            receipt(&mut next, sequence, id, MessageState::Delivered).await;
        }
        let mut first = world.smsc();
        first.accept_bind().await;
        receipt(&mut first, 1, b"a-1", MessageState::Delivered).await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
    });
}

#[test]
fn over_a_restart_nothing_that_came_later_overtakes_the_parts() {
    scenario(|| async {
        let config = config(PartsOutcome::All, 1);
        let (world, mut smsc, mut esme) = world(config.clone()).await;
        // The window is taken, so that the text is cut when time has gone on.
        esme.submit(2).await;
        let first = smsc.expect(CommandId::SUBMIT_SM).await;
        submit(&mut esme, 3, 3).await;
        esme.submit(4).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let body = MessageIdResp {
            message_id: COctets::new(b"c-0").unwrap(),
            tlvs: Tlvs::NONE,
        };
        let sequence = first.pdu().sequence;
        smsc.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body)))
            .await;
        assert_eq!(part(&smsc.expect(CommandId::SUBMIT_SM).await).0, 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let clock = world.clock.clone();
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let after = World::start_with(&setup, world.kill().crash(), clock, 4).unwrap();
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        for (number, id) in [(1, b"c-1"), (2, b"c-2"), (3, b"c-3")] {
            assert_eq!(part(&smsc.take_submit(id).await).0, number);
        }
        assert_eq!(smsc.take_submit(b"c-4").await.sm().text().0, b"hello");
    });
}

/// A part on a carrier link when the outcome became known: given back, it is not sent again.
#[test]
fn a_part_that_comes_back_after_the_outcome_is_known_is_not_sent_again() {
    scenario(|| async {
        let (world, mut smsc, mut esme) = world(config(PartsOutcome::All, 2)).await;
        let id = submit(&mut esme, 2, 2).await;
        let (one, two) = (smsc.next().await, smsc.next().await);
        let no = |status| (status, Operation::SubmitSmResp(None));
        let (status, refusal) = no(CommandStatus::RINVDSTADR);
        smsc.send(status, one.pdu().sequence, refusal).await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Rejected));
        let (status, slow) = no(CommandStatus::RTHROTTLED);
        smsc.send(status, two.pdu().sequence, slow).await;
        let more = tokio::time::timeout(Duration::from_secs(20), smsc.expect(CommandId::SUBMIT_SM)).await;
        assert!(more.is_err(), "nobody wants it any more");
        assert!(is_empty(&world));
    });
}

/// Answers enquire_links on both sides for so long.
async fn pass(seconds: u64, smsc: &mut Wire, esme: &mut Wire) {
    let both = async { tokio::join!(smsc.keep_alive(), esme.keep_alive()) };
    let over = tokio::time::timeout(Duration::from_secs(seconds), both).await;
    assert!(over.is_err());
}

#[test]
fn an_end_that_nobody_knows_is_no_failure() {
    scenario(|| async {
        let mut config = config(PartsOutcome::All, 2);
        config.carriers[0].response = Duration::from_secs(120);
        config.carriers[0].receipt_deadline = Duration::from_secs(60);
        let (_world, mut smsc, mut esme) = world(config).await;
        let id = submit(&mut esme, 2, 2).await;
        smsc.take_submit(b"c-1").await;
        let second = smsc.expect(CommandId::SUBMIT_SM).await;
        pass(40, &mut smsc, &mut esme).await;
        let body = MessageIdResp {
            message_id: COctets::new(b"c-2").unwrap(),
            tlvs: Tlvs::NONE,
        };
        let sequence = second.pdu().sequence;
        smsc.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body)))
            .await;
        // The first has no receipt by its deadline, which says nothing to the ESME; the second fails for certain.
        pass(40, &mut smsc, &mut esme).await;
        receipt(&mut smsc, 1, b"c-2", MessageState::Undeliverable).await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Undeliverable));
    });
}

/// One life of the gateway with a carrier that takes everything: what was sent of the text, and the ends that the ESME
/// heard of. It is over when nothing has been said for some seconds.
struct Life {
    /// Carrier's ids that were given out, with the part that each is of.
    taken: Vec<(String, u8)>,
    dlrs: Vec<(Vec<u8>, MessageState)>,
}

impl Life {
    /// Receipts of `owed`, and of all that is taken now, are sent until they are acknowledged.
    async fn live(&mut self, world: &World, esme: &mut Wire, owed: &mut Vec<String>) {
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        for _ in 0..100 {
            let heard = tokio::time::timeout(Duration::from_millis(200), smsc.try_next()).await;
            if let Ok(Some(frame)) = heard {
                let (sequence, command) = (frame.pdu().sequence, frame.pdu().operation.command_id());
                match command {
                    CommandId::SUBMIT_SM => {
                        let id = format!("c-{}", self.taken.len());
                        self.taken.push((id.clone(), part(&frame).0));
                        owed.push(id.clone());
                        let body = MessageIdResp {
                            message_id: COctets::new(id.as_bytes()).unwrap(),
                            tlvs: Tlvs::NONE,
                        };
                        let answer = Operation::SubmitSmResp(Some(body));
                        smsc.send(CommandStatus::ROK, sequence, answer).await;
                    }
                    CommandId::DELIVER_SM_RESP if frame.pdu().status.is_ok() => {
                        let number = usize::try_from(sequence).unwrap();
                        let id = &self.taken[number - 1].0;
                        owed.retain(|other| other != id);
                    }
                    CommandId::ENQUIRE_LINK => smsc.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await,
                    _ => {}
                }
            } else if heard.is_err() {
                for id in owed.iter() {
                    let number = self.taken.iter().position(|(other, _)| other == id).unwrap();
                    let sequence = u32::try_from(number + 1).unwrap();
                    smsc.send_receipt(sequence, id.as_bytes(), MessageState::Delivered)
                        .await;
                }
            } else {
                return;
            }
            let dlr = tokio::time::timeout(Duration::from_millis(50), esme.take_dlr()).await;
            self.dlrs.extend(dlr.ok());
        }
    }
}

/// Of a message that was acknowledged all parts reach the carrier and one outcome the ESME, wherever the power goes.
#[test]
fn a_power_cut_at_any_change_of_the_disk_loses_no_part_and_no_outcome() {
    let (mut positions, mut promised) = (0, 0);
    loop {
        let ran = std::rc::Rc::new(std::cell::Cell::new((false, false)));
        let told = std::rc::Rc::clone(&ran);
        scenario(|| async move {
            let config = config(PartsOutcome::All, 2);
            let setup = Setup::new(config, 1 << 20, 1 << 28);
            let clock = Clock::virtual_from(START_MS);
            let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 3).unwrap();
            let mut esme = world.esme();
            esme.bind(b"secret").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = world.disk.counts().changes;
            world.disk.cut_power_after(positions);
            let mut life = Life {
                taken: Vec::new(),
                dlrs: Vec::new(),
            };
            let mut owed = Vec::new();
            let mut tlvs = Vec::new();
            assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &[b'a'; 400]));
            let long = Sm {
                short_message: Default::default(),
                tlvs: Tlvs::new(&tlvs),
                ..message()
            };
            esme.send(CommandStatus::ROK, 2, Operation::SubmitSm(long)).await;
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            let is_promised = answer.pdu().status.is_ok();
            if is_promised {
                life.live(&world, &mut esme, &mut owed).await;
            }
            let was_cut = world.disk.counts().changes > before + positions;
            told.set((is_promised, was_cut));
            let after = World::start_with(&setup, world.kill().crash(), clock, 4).unwrap();
            let mut esme = after.esme();
            esme.bind(b"secret").await;
            life.live(&after, &mut esme, &mut owed).await;
            if is_promised {
                let sent = |number| life.taken.iter().any(|(_, part)| *part == number);
                assert!((1..=3).all(sent), "{positions}: {:?}", life.taken);
                let first = life.dlrs.first().expect("an outcome");
                assert_eq!(first.1, MessageState::Delivered, "{positions}");
                assert!(
                    life.dlrs.iter().all(|dlr| dlr == first),
                    "{positions}: one outcome"
                );
            }
            assert!(is_empty(&after), "{positions}: {owed:?} are owed");
        });
        let (is_promised, was_cut) = ran.get();
        promised += u32::from(is_promised);
        if !was_cut {
            break;
        }
        positions += 1;
    }
    println!("{positions} positions, {promised} promised");
    assert!(positions > 10 && promised > 5, "{positions} {promised}");
}
