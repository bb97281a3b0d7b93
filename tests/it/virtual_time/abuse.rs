//! How many codes arrive, and what closes where hardly any do (compliance.md FRD-3), in the data path.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::address::Address;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::values::{DataCoding, RegisteredDelivery};
use tidegate_gateway::control::{HeldMessage, Page, Withheld, withheld};
use tidegate_gateway::orders::{Halt, Orders};
use tidegate_gateway::withheld::Verdict;
use tidegate_store::audit::{Actor, Field, Value as Held, read};

use super::rig::*;
use super::*;

const PUMPING: CommandStatus = CommandStatus(0x0409);
const CONTENT: CommandStatus = CommandStatus(0x0407);
const FRENCH: &[u8] = b"33612345678";

/// A code with a receipt; taken by the carrier under this id, and told to have come to this.
async fn ends(rig: &mut Rig, to: &[u8], id: &str, state: MessageState) {
    let sequence = rig.next();
    let code = Sm {
        registered_delivery: RegisteredDelivery(1),
        ..sm(S, to)
    };
    assert!(submit_as(&mut rig.a, sequence, code).await.is_ok(), "{id}");
    rig.smsc.take_submit(id.as_bytes()).await;
    let sequence = rig.next();
    rig.smsc.send_receipt(sequence, id.as_bytes(), state).await;
    rig.smsc.expect(CommandId::DELIVER_SM_RESP).await;
    assert_eq!(rig.a.take_dlr().await.1, state);
}

#[test]
fn a_country_in_which_hardly_any_code_arrives_is_closed_for_a_while_and_no_other() {
    scenario(|| async {
        let keys = "category = \"otp\"\n\
                    abuse = { number_limit = 0, prefix_limit = 0, run = 0, completion_over = 10, \
                    completion_block = \"5m\", country_day = { FR = 2 } }";
        let mut rig = Rig::new(config(&[(OF_A, keys)]), 311).await;
        for n in 0..9 {
            let to = format!("3161234{n}000");
            ends(
                &mut rig,
                to.as_bytes(),
                &format!("d-{n}"),
                MessageState::Undeliverable,
            )
            .await;
        }
        // What nobody asked a receipt for says nothing.
        assert_eq!(rig.submit(S, DUTCH).await, CommandStatus::ROK);
        rig.take().await;
        assert_eq!(rig.submit(S, DUTCH).await, CommandStatus::ROK);
        rig.take().await;
        // The tenth of ten: one in ten would be enough.
        ends(&mut rig, DUTCH, "d-9", MessageState::Expired).await;
        assert_eq!(rig.submit(S, DUTCH).await, PUMPING);
        for _ in 0..2 {
            rig.sees_next(S, FRENCH).await;
        }
        assert_eq!(rig.submit(S, FRENCH).await, PUMPING, "over its budget");
        rig.after(Duration::from_mins(4)).await;
        assert_eq!(rig.submit(S, DUTCH).await, PUMPING);
        rig.after(Duration::from_mins(1)).await;
        rig.sees_next(S, DUTCH).await;
    });
}

/// A carrier that is down for an hour is not the account's doing, and neither is what an operator ends.
#[test]
fn what_no_carrier_had_closes_no_country_whatever_becomes_of_it() {
    scenario(|| async {
        let keys = "category = \"otp\"\n\
                    abuse = { number_limit = 0, prefix_limit = 0, run = 0, completion_over = 10 }";
        let mut rig = Rig::new(config(&[(OF_A, keys)]), 312).await;
        rig.world.hub.with_gate(|gate, now| {
            let mut orders = Orders::default();
            let name = gate.config().carriers[0].name.clone();
            orders.halt(name.as_str(), Halt::Pause, now.unix_ms).unwrap();
            gate.obey(now, orders);
        });
        for n in 0..15 {
            let to = format!("3161234{n:02}00");
            let sequence = rig.next();
            let code = Sm {
                registered_delivery: RegisteredDelivery(1),
                validity_period: COctets::new(b"000000000200000R").unwrap(),
                ..sm(S, to.as_bytes())
            };
            assert!(submit_as(&mut rig.a, sequence, code).await.is_ok());
        }
        let ended = async {
            for _ in 0..15 {
                assert_eq!(rig.a.take_dlr().await.1, MessageState::Expired);
            }
        };
        tokio::select! {
            () = ended => {}
            never = rig.smsc.keep_alive() => match never {},
        }
        let obey =
            |gate: &mut tidegate_gateway::gate::Gate<FaultyDisk>, now| gate.obey(now, Orders::default());
        rig.world.hub.with_gate(obey);
        rig.sees_next(S, DUTCH).await;
    });
}

#[test]
fn numbers_that_take_nothing_are_closed_where_that_is_asked_for() {
    scenario(|| async {
        let keys = "category = \"otp\"\n\
                    abuse = { number_limit = 0, prefix_limit = 0, run = 0, suspect_numbers = [\"33700\"], \
                    suspect_action = \"throttle\", new_country_after = 2 }";
        let mut rig = Rig::new(config(&[(OF_A, keys)]), 325).await;
        for to in [DUTCH, FRENCH, FRENCH, DUTCH] {
            rig.sees_next(S, to).await;
        }
        assert_eq!(rig.submit(S, b"33700123456").await, PUMPING);
        // A country that is new is a sign, and no more than that.
        rig.sees_next(S, b"4520123456").await;
        rig.sees_next(S, FRENCH).await;
    });
}

/// Rules that refuse, by themselves or together.
const RULES: &str = r#"
version = "1"
refuse_at = 60
[[domains]]
id = "blocked"
score = 100
action = "refuse"
domains = ["blocked.invalid"]
source = "-"
checked = "2026-11-30"
[[domains]]
id = "shortener"
score = 30
domains = ["bit.ly"]
source = "-"
checked = "2026-11-30"
[[words]]
id = "gambling"
score = 30
words = ["casino"]
source = "-"
checked = "2026-11-30"
[[senders]]
id = "snowshoe"
score = 1
action = "refuse"
senders = 3
within = "1h"
source = "-"
checked = "2026-11-30"
"#;

/// The configuration with these rules, and this screening of A.
fn screened(mode: &str) -> tidegate_config::Config {
    let text =
        include_str!("../../../config/tidegate.toml").replace("#file = \"./content.toml\"", "file = \"c\"");
    let with_rules = tidegate_config::parse_with(&text, &|_| Ok(RULES.to_owned()));
    let mut config = config(&[(OF_A, &format!("screening = \"{mode}\""))]);
    config.screening = with_rules
        .unwrap_or_else(|problems| panic!("{problems}"))
        .screening;
    config
}

async fn say(rig: &mut Rig, from: &[u8], text: &str) -> CommandStatus {
    let sequence = rig.next();
    let said = Sm {
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        ..sm(from, DUTCH)
    };
    let status = submit_as(&mut rig.a, sequence, said).await;
    if status.is_ok() {
        rig.take().await;
    }
    status
}

#[test]
fn a_text_is_refused_by_a_rule_about_content_or_by_what_several_add_up_to() {
    scenario(|| async {
        let mut rig = Rig::new(screened("on"), 321).await;
        for (text, expected) in [
            ("Your code is 7", CommandStatus::ROK),
            ("Go to http://a.blocked.invalid/x", CONTENT),
            ("See bit.ly/x", CommandStatus::ROK),
            ("Our casino is open", CommandStatus::ROK),
            ("Our casino: bit.ly/x", CONTENT),
            ("Your code is 8", CommandStatus::ROK),
        ] {
            assert_eq!(say(&mut rig, S, text).await, expected, "{text}");
        }
        // What cannot be read is not looked at.
        let sequence = rig.next();
        let binary = Sm {
            short_message: ShortMessage::new(b"blocked.invalid").unwrap(),
            data_coding: DataCoding(4),
            ..sm(S, DUTCH)
        };
        assert!(submit_as(&mut rig.a, sequence, binary).await.is_ok());
        rig.take().await;
    });
}

#[test]
fn one_text_from_many_senders_is_refused_from_one_of_them_on_and_no_other_text_is() {
    scenario(|| async {
        let mut rig = Rig::new(screened("on"), 322).await;
        let text = |code: u32| format!("Dear friend, {code} is your lucky number today");
        let senders: [&[u8]; 3] = [b"55555", b"55556", b"18005550199"];
        for (sender, expected) in senders
            .into_iter()
            .zip([CommandStatus::ROK, CommandStatus::ROK, CONTENT])
        {
            for code in 1..3 {
                assert_eq!(say(&mut rig, sender, &text(code)).await, expected);
            }
        }
        assert_eq!(
            say(&mut rig, senders[2], "Another text of more than five words").await,
            CommandStatus::ROK
        );
        rig.after(Duration::from_mins(61)).await;
        assert_eq!(say(&mut rig, senders[2], &text(7)).await, CommandStatus::ROK);
    });
}

#[test]
fn without_its_terms_nobody_looks_and_an_account_that_is_observed_is_only_counted() {
    scenario(|| async {
        for (mode, seed) in [("off", 323), ("observe", 324)] {
            let mut rig = Rig::new(screened(mode), seed).await;
            for text in ["Go to blocked.invalid", "Our casino: bit.ly/x"] {
                assert_eq!(say(&mut rig, S, text).await, CommandStatus::ROK, "{mode}");
            }
        }
    });
}

/// A gateway that holds what goes to such numbers, and whose reads come so late.
async fn holding(late_ms: u64, seed: u64) -> Rig {
    holding_in(1 << 20, late_ms, seed).await
}

/// The same with segments of so many octets.
async fn holding_in(segment_size: u64, late_ms: u64, seed: u64) -> Rig {
    let keys = "category = \"otp\"\n\
                abuse = { number_limit = 0, prefix_limit = 0, run = 0, suspect_numbers = [\"33700\"], \
                suspect_action = \"hold\" }";
    let mut setup = Setup::new(config(&[(OF_A, keys)]), segment_size, 1 << 28);
    setup.keeper_late_ms = late_ms..=late_ms;
    setup.is_audited = true;
    Rig::on(setup, FaultyDisk::new(), Clock::virtual_from(START_MS), seed).await
}

async fn ask(rig: &Rig, wanted: Withheld) -> Result<Map<String, Value>, String> {
    let who = Actor::Operator(Some(0));
    withheld(&rig.world.hub, (&rig.world.audit, &who), &wanted).await
}

async fn held_ids(rig: &Rig) -> Vec<String> {
    let (account, page) = (None, Page::default());
    let told = ask(rig, Withheld::List { account, page }).await.unwrap();
    let rows = told["messages"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn named(id: &str) -> HeldMessage {
    HeldMessage {
        id: id.to_owned(),
        account: None,
    }
}

fn show(id: &str) -> Withheld {
    Withheld::Show {
        message: named(id),
        reason: "a review".to_owned(),
    }
}

fn release(id: &str) -> Withheld {
    judge(id, Verdict::Release)
}

fn judge(id: &str, verdict: Verdict) -> Withheld {
    Withheld::Judge {
        verdict,
        message: named(id),
        reviewer: "Ana Ruiz".to_owned(),
        reason: "a campaign".to_owned(),
    }
}

/// Whether the audit log has a word.
fn is_entered(rig: &Rig, word: &str) -> bool {
    let paths = rig.world.disk.paths().into_iter();
    let mut logs = paths
        .filter(|path| path.starts_with("audit"))
        .filter_map(|path| rig.world.disk.octets(&path));
    logs.any(|octets| String::from_utf8_lossy(&octets).contains(word))
}

/// Who has gone while what they look at is being read must not have it sent twice: it may be released, and at its carrier, by then.
#[test]
fn frd_c06_a_look_that_nobody_waits_for_any_more_sends_what_was_released_once() {
    scenario(|| async {
        let mut rig = holding(500, 327).await;
        for to in [b"33700123456", b"33700123457"] {
            assert_eq!(rig.submit(S, to).await, CommandStatus::ROK);
        }
        let ids = held_ids(&rig).await;
        for id in &ids {
            let gone = tokio::time::timeout(Duration::from_millis(100), ask(&rig, show(id))).await;
            assert!(gone.is_err(), "it is being read");
        }
        assert_eq!(ask(&rig, release(&ids[0])).await.unwrap()["released"], 1);
        rig.take().await;
        let twice =
            tokio::time::timeout(Duration::from_secs(20), rig.smsc.expect(CommandId::SUBMIT_SM)).await;
        assert!(twice.is_err(), "it came twice");
    });
}

/// How often the audit log has each outcome of decisions about held messages.
fn outcomes(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    read(&rig.world.disk, std::path::Path::new("audit"), |logged| {
        let details = &logged.entry.details;
        let of = |field: Field| {
            details.iter().find_map(|(of, value)| match value {
                Held::Word(word) if *of == field => Some(word.as_str().to_owned()),
                _ => None,
            })
        };
        if of(Field::Verb).is_some_and(|verb| verb == "held release" || verb == "held reject") {
            found.extend(of(Field::Outcome));
        }
    })
    .unwrap();
    found
}

/// The log must not say that nothing was done of what is tried again, and says when it is done.
#[test]
fn frd_c06_a_decision_that_a_full_disk_holds_up_is_entered_as_begun_and_takes_effect() {
    scenario(|| async {
        let mut rig = holding(0, 328).await;
        assert_eq!(rig.submit(S, b"33700123456").await, CommandStatus::ROK);
        let ids = held_ids(&rig).await;
        let full = std::io::ErrorKind::StorageFull;
        rig.world.disk.fail_on(Op::Write, "spool", 0, 1 << 30, full);
        let why = ask(&rig, release(&ids[0])).await.unwrap_err();
        assert!(why.contains("tried again"), "{why}");
        let tries = || rig.world.disk.counts().writes;
        let before = tries();
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Given back again and again, and nothing turns in place meanwhile: a try at each tick, and at each look.
        let tried = tries() - before;
        assert!((5..400).contains(&tried), "{tried}");
        assert_eq!(outcomes(&rig), ["asked", "begun"]);
        rig.world.disk.heal();
        rig.take().await;
        assert!(is_entered(&rig, "begun") && !is_entered(&rig, "refused"));
        // It is one decision, and ends once.
        assert_eq!(outcomes(&rig), ["asked", "begun", "done"]);
        assert!(ask(&rig, release(&ids[0])).await.is_err());
    });
}

/// What is staged while there is no segment for it is neither kept nor given back, for as long as that lasts.
#[test]
fn frd_c06_a_decision_for_which_no_segment_can_be_made_is_answered_in_time_and_takes_effect() {
    scenario(|| async {
        let mut rig = holding_in(16 << 10, 0, 331).await;
        for _ in 0..150 {
            assert_eq!(rig.submit(S, b"33700123456").await, CommandStatus::ROK);
        }
        let full = std::io::ErrorKind::StorageFull;
        rig.world.disk.fail_on(Op::Create, "spool", 0, 1 << 30, full);
        // From the last segment on nothing is taken in; what ends something goes on until that is full, too.
        let (id, why, took) = loop {
            let id = held_ids(&rig).await.remove(0);
            let before = rig.world.clock.now().monotonic;
            if let Err(why) = ask(&rig, judge(&id, Verdict::Reject)).await {
                break (id, why, rig.world.clock.now().monotonic - before);
            }
        };
        assert!(why.contains("tried again"), "{why}");
        assert!(took < Duration::from_secs(15), "{took:?}");
        let last = |count| {
            let outcomes = outcomes(&rig);
            outcomes[outcomes.len() - count..].to_vec()
        };
        assert_eq!(last(2), ["asked", "begun"]);
        let turns = || rig.world.hub.look(|gate, _| gate.tally().turns);
        let before = turns();
        tokio::time::sleep(Duration::from_secs(20)).await;
        // Nor does the loop do nothing else meanwhile: it turns at each tick.
        assert!(turns() - before < 2_000, "{}", turns() - before);
        assert_eq!(last(2), ["asked", "begun"]);
        rig.world.disk.heal();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(last(3), ["asked", "begun", "done"]);
        assert!(ask(&rig, judge(&id, Verdict::Reject)).await.is_err());
    });
}

/// Nothing is tried again by a process whose sync has failed.
#[test]
fn frd_c06_a_decision_that_a_failed_sync_loses_is_entered_as_failed_and_said_to_need_a_restart() {
    scenario(|| async {
        let mut rig = holding(0, 330).await;
        for to in [b"33700123456", b"33700123457"] {
            assert_eq!(rig.submit(S, to).await, CommandStatus::ROK);
        }
        let ids = held_ids(&rig).await;
        let other = std::io::ErrorKind::Other;
        rig.world.disk.fail_on(Op::Sync, "spool", 0, 1, other);
        let why = ask(&rig, release(&ids[0])).await.unwrap_err();
        assert!(
            why.contains("only a restart") && !why.contains("tried again"),
            "{why}"
        );
        assert_eq!(outcomes(&rig), ["asked", "failed"]);
        // Nor is anything decided after that.
        let why = ask(&rig, release(&ids[1])).await.unwrap_err();
        assert!(
            why.contains("only a restart") && why.contains("stays held"),
            "{why}"
        );
        assert_eq!(outcomes(&rig)[2..], ["asked", "refused"]);
    });
}

/// What was done of a part is not told as the whole.
#[test]
fn frd_c06_a_decision_that_comes_to_some_recipients_only_says_how_many_are_left() {
    scenario(|| async {
        let mut rig = holding(0, 329).await;
        let mut octets = Vec::new();
        for to in [&b"33700123456"[..], b"33700123457"] {
            Destination::Sme(number(to)).encode(&mut octets);
        }
        let multi = Operation::SubmitMulti(SubmitMulti {
            message: Sm {
                destination: Address::default(),
                ..sm(S, b"1")
            },
            destinations: Destinations::new(2, &octets).unwrap(),
        });
        let sequence = rig.next();
        rig.a.send(CommandStatus::ROK, sequence, multi).await;
        rig.a.expect(CommandId::SUBMIT_MULTI_RESP).await;
        let ids = held_ids(&rig).await;
        assert_eq!(ids.len(), 2);
        let other = std::io::ErrorKind::Other;
        rig.world.disk.fail_on(Op::Read, "spool", 1, 1, other);
        let told = ask(&rig, release(&ids[0])).await.unwrap();
        assert_eq!((&told["released"], &told["left"]), (&json!(1), &json!(1)));
        assert!(is_entered(&rig, "done in part"));
        rig.take().await;
        assert_eq!(held_ids(&rig).await.len(), 1);
        let told = ask(&rig, release(&ids[0])).await.unwrap();
        assert_eq!((&told["released"], &told["left"]), (&json!(1), &json!(0)));
        rig.take().await;
    });
}
