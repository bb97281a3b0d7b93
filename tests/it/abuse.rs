//! Signs of abuse, what follows from them, and what a person decides (compliance.md §15).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tidegate_codec::category::Category;
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion, MessageState, RegisteredDelivery};
use tidegate_gateway::abuse::Outcome;
use tidegate_gateway::control::{Casing, Noticing, Page, Retain, Steer, Verb};
use tidegate_gateway::explain::Question;
use tidegate_gateway::refusal::Refusal;
use tidegate_store::audit::{Actor, Field, Kind, Value as Held, read};
use tidegate_store::disk::RealDisk;
use tidegate_tests::esme::message;
use tidegate_tests::smsc::Submit;
use tidegate_tests::{DEADLINE, Dialect, ScriptedEsme};

use crate::ancillary::{replace, replacement};
use crate::control::{done, logged};
use crate::local::Changes;
use crate::sweeps::{Answer, DAY_MS, FROM, Scene, TEXT, TO, text_of};

const PUMPING: CommandStatus = CommandStatus(0x0409);
const SUSPENDED: CommandStatus = CommandStatus(0x0404);
/// Tag, length and value that say that a message is a code.
const OTP: &[u8] = &[0x3C, 0x01, 0, 1, Category::Otp.octet()];
const RUN_OF_3: &str = "abuse = { run = 3, run_action = \"suspend\" }";

pub(crate) fn code(to: &str) -> Sm<'_> {
    Sm {
        tlvs: Tlvs::new(OTP),
        ..message(FROM, to, "12 is your code")
    }
}

pub(crate) async fn case(scene: &Scene, wanted: Casing) -> Answer {
    scene.ask(Verb::Case(wanted)).await
}

pub(crate) fn all() -> Casing {
    Casing::List {
        page: Page::default(),
    }
}

pub(crate) async fn decide(scene: &Scene, outcome: Outcome) -> Answer {
    let wanted = Casing::Decide {
        id: 1,
        outcome,
        reviewer: "Ana Ruiz".to_owned(),
        reason: "a campaign of theirs".to_owned(),
    };
    case(scene, wanted).await
}

/// The only case, once it is as it should be.
pub(crate) async fn case_with(scene: &Scene, is_it: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            if let Ok(told) = case(scene, Casing::Show { id: 1 }).await {
                let told = Value::Object(told);
                if is_it(&told) {
                    return told;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    match found {
        Ok(told) => told,
        Err(_) => panic!("{:?}", case(scene, Casing::Show { id: 1 }).await),
    }
}

/// Three codes to numbers in a row, of which the last is one too many.
pub(crate) async fn trip(scene: &mut Scene) {
    for to in ["447700900200", "447700900201"] {
        scene.esme.submit_ok(code(to)).await;
        scene.smsc.expect_submit().await;
    }
    assert_eq!(scene.esme.submit_refused(code("447700900202")).await, PUMPING);
}

/// The same while orders cannot be written: what is in the way of these, and then of notices, and the case, of which nothing
/// is done.
pub(crate) async fn cut_off(scene: &mut Scene) -> ([PathBuf; 2], Value) {
    let data = scene.local.dir.path().join("data");
    let in_the_way = ["operator-orders.new", "notices.new"].map(|name| data.join(name));
    fs::create_dir(&in_the_way[0]).unwrap();
    trip(scene).await;
    let opened = case_with(scene, |_| true).await;
    assert_eq!(
        (&opened["suspended"], &opened["notice"]),
        (&Value::Null, &Value::Null)
    );
    (in_the_way, opened)
}

/// What a text leads to that breaks the rule of [`screening`].
pub(crate) const BAD_LINK: &str = "Your parcel: http://pay.blocked.example/x";

/// A file with a rule about content and what it does, and the table that names the file.
pub(crate) fn screening(action: &str) -> (NamedTempFile, String) {
    let rules = NamedTempFile::new().unwrap();
    let text = format!(
        "version = \"7\"\n[[domains]]\nid = \"feed-7\"\nscore = 90\naction = \"{action}\"\n\
         domains = [\"blocked.example\"]\nsource = \"-\"\nchecked = \"2026-11-30\"\n"
    );
    fs::write(rules.path(), text).unwrap();
    let table = format!("[screening]\nfile = \"{}\"\n", rules.path().display());
    (rules, table)
}

/// A gateway that does this about it, with keys of its account.
pub(crate) async fn screened(action: &str, account: &str) -> (NamedTempFile, Scene) {
    let (rules, extra) = screening(action);
    let account = format!("screening = \"on\"\n{account}");
    let changes = Changes {
        account: &account,
        extra: &extra,
        ..Changes::default()
    };
    (rules, Scene::with(changes).await)
}

/// An operator sends a message for the account.
async fn send(scene: &Scene, to: &str, category: Option<Category>) -> Answer {
    let question = Question {
        account: "load".to_owned(),
        from: format!("+{FROM}"),
        from_as: None,
        to: to.to_owned(),
        to_as: None,
        text: TEXT.to_owned(),
        data_coding: None,
        category,
        service_type: String::new(),
        at_ms: None,
    };
    let verb = Verb::Send {
        message: Box::new(question),
        receipt: false,
    };
    scene.ask(verb).await
}

pub(crate) async fn restore(scene: &Scene) -> Answer {
    let account = "load".to_owned();
    scene.ask(Verb::Steer(Steer::AccountRestore { account })).await
}

async fn bind_status(scene: &Scene) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(scene.local.esme()).await;
    let answer = esme.try_bind(BindKind::Transceiver, "load", "secret").await;
    answer.status()
}

pub(crate) async fn notices(scene: &Scene) -> Vec<Value> {
    let told = scene.ask(Verb::Notice(Noticing::List { account: None })).await;
    told.unwrap()["notices"].as_array().unwrap().clone()
}

/// What the audit log holds of cases, and whether a person did it.
pub(crate) fn steps(scene: &Scene) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let dir = scene.local.dir.path().join("data/audit");
    read(&RealDisk, &dir, |logged| {
        if logged.entry.kind != Kind::AbuseCase {
            return;
        }
        assert_eq!(logged.entry.account.unwrap().as_str(), "load");
        let mut details = logged.entry.details.iter();
        let outcome = details.find_map(|(of, held)| match held {
            Held::Word(word) if *of == Field::Outcome => Some(word.as_str().to_owned()),
            _ => None,
        });
        let is_person = matches!(logged.entry.actor, Actor::Operator(Some(_)));
        found.push((outcome.unwrap(), is_person));
    })
    .unwrap();
    found
}

/// The same, once there are so many.
pub(crate) async fn so_many_steps(scene: &Scene, count: usize) {
    let entered = async {
        while steps(scene).len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let entered = tokio::time::timeout(DEADLINE, entered).await;
    assert!(entered.is_ok(), "{:?}", steps(scene));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c02_codes_to_numbers_in_a_row_are_throttled_and_the_signal_names_pseudonyms_only() {
    let (_smsc, mut process) = logged(|config| config, "").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let numbers: Vec<String> = (0..25).map(|n| format!("4477009002{n:02}")).collect();
    for number in &numbers[..20] {
        esme.submit_ok(code(number)).await;
    }
    for number in &numbers[20..] {
        assert_eq!(esme.submit_refused(code(number)).await, PUMPING);
    }
    // What is no code is not watched, and neither is another prefix closed.
    esme.submit_ok(message(FROM, &numbers[24], TEXT)).await;
    esme.submit_ok(code("447700910200")).await;

    let told = done(&process, &["case", "signals"]);
    let signals = told["signals"].as_array().unwrap();
    let rows: Vec<_> = signals
        .iter()
        .map(|row| {
            (
                row["rule"].as_str().unwrap(),
                row["action"].as_str().unwrap(),
                &row["count"],
            )
        })
        .collect();
    assert_eq!(
        rows,
        [("run", "observe", &json!(5)), ("prefix", "throttle", &json!(20))]
    );
    let subject = signals[1]["subject"].as_str().unwrap();
    assert!(
        subject.len() == 32 && signals[0]["subject"] == subject,
        "{signals:?}"
    );

    let counted = r#"tidegate_account_abuse_signals_total{account="load",rule="prefix"} 5"#;
    let page = process.metrics_with(counted).await;
    process.kill();
    let log = process.stderr() + &process.stdout();
    assert!(log.contains("a sign of abuse"), "{log}");
    let prefix = &numbers[0][..8];
    for text in [&log, &page, &told.to_string()] {
        assert!(!text.contains(prefix) && !text.contains("is your code"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c03_a_rule_suspends_an_account_with_notice_until_a_person_takes_it_back() {
    let mut scene = Scene::new(RUN_OF_3).await;
    // What an operator sends for an account is none of its codes: else these two and the next one were three in a row.
    for to in ["+447700900198", "+447700900199"] {
        send(&scene, to, Some(Category::Otp)).await.unwrap();
        scene.smsc.expect_submit().await;
    }
    trip(&mut scene).await;
    let unbind = scene.esme.expect_id(CommandId::UNBIND).await;
    // A link that is on its way out submits nothing, and what an operator sends for it would be answered with 0x0404.
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        CommandStatus::RINVBNDSTS
    );
    assert_eq!(Refusal::Suspended.status(InterfaceVersion::V3_4), SUSPENDED);
    let sent = send(&scene, &format!("+{TO}"), None).await;
    assert!(sent.unwrap_err().contains(Refusal::Suspended.words()));
    let sequence = unbind.pdu().sequence;
    let (answer, ok) = (CommandId::UNBIND_RESP, CommandStatus::ROK);
    scene.esme.send_empty(answer, ok, sequence).await;
    let opened = case_with(&scene, |case| case["notice"] == 1).await;
    assert_eq!(
        [&opened["state"], &opened["rule"], &opened["evidence"]["count"]],
        [&json!("open"), &json!("run"), &json!(3)]
    );
    assert_eq!(opened["evidence"]["subject"].as_str().unwrap().len(), 32);
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    let told = notices(&scene).await;
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains("follow each other") && text.contains("ask for a review") && text.contains("case 1"),
        "{text}"
    );
    assert_eq!((told.len(), &told[0]["state"]), (1, &json!("waiting")));
    // A number may come again where the register was lost, and an old notice must not pass for that of a new case.
    let reference = format!("case 1 of {}", opened["opened"].as_str().unwrap());
    assert_eq!(told[0]["reference"], reference);
    // What handsets write still comes in.
    let link = *scene.smsc.bound().last().unwrap();
    let sequence = scene.smsc.deliver(link, message(TO, "12345", "hello")).await;
    assert_eq!(scene.smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);

    let account = "load".to_owned();
    let shown = scene.ask(Verb::Steer(Steer::AccountShow { account }));
    let shown = shown.await.unwrap();
    assert_eq!(
        (&shown["state"], &shown["case"]),
        (&json!("suspended"), &json!(1))
    );
    // Nobody restores it past the review.
    assert!(restore(&scene).await.unwrap_err().contains("case 1"));
    let decided = decide(&scene, Outcome::Reversed).await.unwrap();
    assert_ne!(decided["restored"], Value::Null);
    assert!(
        decide(&scene, Outcome::Upheld)
            .await
            .unwrap_err()
            .contains("was decided")
    );

    scene.bind().await;
    // The same number again: with what was noted before it would be the third in a row.
    scene.esme.submit_ok(code("447700900202")).await;
    let signals = case(&scene, Casing::Signals { account: None }).await.unwrap();
    assert_eq!(signals["signals"], json!([]));
    let closed = case_with(&scene, |case| case["answer"] == 2).await;
    assert_eq!(
        [&closed["decision"]["reviewer"], &closed["decision"]["outcome"]],
        [&json!("Ana Ruiz"), &json!("reversed")]
    );
    let expected = [
        ("suspended", false),
        ("notice", false),
        ("reversed", true),
        ("restored", false),
        ("notice", false),
    ];
    let steps = steps(&scene);
    let found: Vec<_> = steps.iter().map(|(what, by)| (what.as_str(), *by)).collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c04_while_it_is_suspended_bodies_end_at_their_dates_and_nothing_else_is_deleted() {
    let terms = "retention_profile = \"as-instructed\"\n\
                 retention = [{ class = \"body\", after = \"P30D\" }, { class = \"meta\", after = \"P10Y\" }]";
    let mut scene = Scene::new(&format!("{terms}\n{RUN_OF_3}")).await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    trip(&mut scene).await;
    case_with(&scene, |case| case["notice"] == 1).await;
    // Time passes for real between two looks.
    scene.set(accepted_ms + 30 * DAY_MS - 60_000);
    assert_eq!(text_of(&scene.show(&id).await)["shown"], TEXT);
    scene.set(accepted_ms + 40 * DAY_MS);
    let told = scene.show(&id).await;
    assert_eq!(text_of(&told), Value::Null);
    // Nobody is late by a clock that is doubted.
    let early = case_with(&scene, |_| true).await;
    assert_eq!(early["is_past_review"], json!(false));
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(
        (&swept["lots"], &swept["records"]),
        (&json!(1), &json!(1)),
        "{swept:?}"
    );
    let leg = &scene.show(&id).await.unwrap()["legs"][0];
    assert_eq!((&leg["to"], &leg["state"]), (&json!(TO), &json!("DELIVRD")));
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    let late = case_with(&scene, |_| true).await;
    assert_eq!(
        (&late["state"], &late["is_past_review"]),
        (&json!("open"), &json!(true))
    );
    // What is decided goes by a date of its own, and the suspension stays without it.
    decide(&scene, Outcome::Upheld).await.unwrap();
    case_with(&scene, |case| case["answer"] == 2).await;
    scene.set(accepted_ms + 500 * DAY_MS);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let gone = async {
        while case(&scene, all()).await.unwrap()["cases"] != json!([]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("it is removed");
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    // An operator's word ends it, and what led to it: the next code would be the third in a row again.
    restore(&scene).await.unwrap();
    scene.bind().await;
    scene.esme.submit_ok(code("447700900202")).await;
}

/// Neither the orders' file can be written at first, nor then that of the notices, and each time the process ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_that_was_cut_off_between_its_steps_goes_on_at_the_next_start() {
    let mut scene = Scene::new(RUN_OF_3).await;
    let (in_the_way, opened) = cut_off(&mut scene).await;
    // Its codes are refused meanwhile, wherever they go; the rest is as ever.
    assert_eq!(scene.esme.submit_refused(code("447700910000")).await, PUMPING);
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    let refused = decide(&scene, Outcome::Reversed).await.unwrap_err();
    assert!(refused.contains("being suspended"), "{refused}");
    // So they are after a start that can write as little.
    so_many_steps(&scene, 2).await;
    scene.restart();
    scene.bind().await;
    assert_eq!(scene.esme.submit_refused(code("447700910000")).await, PUMPING);

    so_many_steps(&scene, 4).await;
    scene.local.stop();
    fs::remove_dir(&in_the_way[0]).unwrap();
    fs::create_dir(&in_the_way[1]).unwrap();
    scene.local.start_at(scene.clock.clone());
    let held = case_with(&scene, |case| case["suspended"] != Value::Null).await;
    assert_eq!(held["notice"], Value::Null);
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);

    so_many_steps(&scene, 7).await;
    scene.local.stop();
    fs::remove_dir(&in_the_way[1]).unwrap();
    scene.local.start_at(scene.clock.clone());
    let told = case_with(&scene, |case| case["notice"] == 1).await;
    assert_eq!(told["opened"], opened["opened"]);
    assert_eq!(notices(&scene).await.len(), 1);
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    let steps: Vec<_> = steps(&scene).into_iter().map(|(what, _)| what).collect();
    let (suspended, failed) = ("suspended", "suspension failed");
    let first = [suspended, failed, suspended, failed, suspended];
    assert_eq!(steps[..5], first, "once for each start, whatever is tried again");
    assert_eq!(steps[5..], ["notice", "notice failed", "notice"]);
}

/// FRD-6: what was on its way counts no longer, and neither does a case take back what an operator has ordered. OPT-30: STOP is
/// heard meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_holds_for_what_is_on_its_way_and_an_operators_suspension_stays() {
    let keys = "abuse = { number_limit = 0, prefix_limit = 0, run = 0, completion_over = 10, completion_action = \"suspend\" }";
    let mut scene = Scene::new(keys).await;
    let mut sent = Vec::new();
    for n in 0..30 {
        let to = format!("4477009{n:02}200");
        let code = Sm {
            registered_delivery: RegisteredDelivery::FINAL,
            ..code(&to)
        };
        let id = scene.esme.submit_ok(code).await;
        let submit = scene.smsc.expect_submit().await;
        scene.smsc.answer(&submit, &format!("c-{n}")).await;
        sent.push((id, submit));
    }
    let (first, rest) = sent.split_at(10);
    let undeliverable = async |scene: &mut Scene, of: &[(String, Submit)], from: usize| {
        for (n, (id, submit)) in of.iter().enumerate() {
            let carrier_id = format!("c-{}", n + from);
            let (state, dialect) = (MessageState::Undeliverable, Dialect::Both);
            scene.smsc.receipt(submit, &carrier_id, state, dialect).await;
            scene.esme.expect_receipt(id).await;
        }
    };
    undeliverable(&mut scene, &first[..9], 0).await;
    // The last of them unbinds the client.
    let (_, submit) = &first[9];
    let (state, dialect) = (MessageState::Undeliverable, Dialect::Both);
    scene.smsc.receipt(submit, "c-9", state, dialect).await;
    case_with(&scene, |case| case["notice"] == 1).await;
    let suspend = Steer::AccountSuspend {
        account: "load".to_owned(),
        unbind: true,
    };
    scene.ask(Verb::Steer(suspend)).await.unwrap();
    let link = *scene.smsc.bound().last().unwrap();
    let sequence = scene.smsc.deliver(link, message(TO, FROM, "STOP")).await;
    assert_eq!(scene.smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);

    let told = decide(&scene, Outcome::Reversed).await.unwrap();
    assert_eq!(told["is_suspended"], json!(true));
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    let told = case_with(&scene, |case| case["answer"] == 2).await;
    assert_ne!(told["restored"], Value::Null);
    let answer = &notices(&scene).await[1];
    assert!(
        answer["text"].as_str().unwrap().contains("a person ordered"),
        "{answer}"
    );
    restore(&scene).await.unwrap();

    scene.bind().await;
    undeliverable(&mut scene, rest, 10).await;
    scene.esme.submit_ok(code("447700900200")).await;
    let refused = scene.esme.submit_refused(message(FROM, TO, TEXT)).await;
    assert_eq!(refused, CommandStatus(0x0401), "STOP was heard");
    let told = case(&scene, all()).await.unwrap();
    assert_eq!((&told["open"], &told["next"]), (&json!(0), &Value::Null));
    assert_eq!(told["cases"].as_array().unwrap().len(), 1);
}

const CONTENT: CommandStatus = CommandStatus(0x0407);

/// FRD-4 with FRD-6: what is kept of a text is the rule's id and its score, and a person decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_about_content_suspends_and_its_case_names_the_rule_and_nothing_of_the_text() {
    let (_rules, mut scene) = screened("suspend", "country = \"GB\"").await;
    let later = Sm {
        schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
        ..message(FROM, TO, TEXT)
    };
    let id = scene.esme.submit_ok(later).await;
    // Another text is looked at like the first one.
    let bad = replace(&mut scene.esme, replacement(&id, BAD_LINK)).await;
    assert_eq!(bad, CONTENT);
    let opened = case_with(&scene, |case| case["notice"] == 1).await;
    let evidence = &opened["evidence"];
    assert_eq!(
        [
            &opened["rule"],
            &evidence["content"],
            &evidence["count"],
            &evidence["subject"]
        ],
        [&json!("content"), &json!("feed-7"), &json!(90), &Value::Null]
    );
    let signals = case(&scene, Casing::Signals { account: None }).await.unwrap();
    assert_eq!(signals["signals"][0]["content"], "feed-7");
    let text = notices(&scene).await[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("a rule about content"), "{text}");
    let data = scene.local.dir.path().join("data");
    for file in ["cases", "notices"] {
        let kept = fs::read_to_string(data.join(file)).unwrap();
        assert!(
            !kept.contains("blocked.example") && !kept.contains("parcel"),
            "{kept}"
        );
    }
    // It is the same after a start, and what is reversed flows again.
    scene.restart();
    let again = case_with(&scene, |_| true).await;
    assert_eq!(again["evidence"], *evidence);
    decide(&scene, Outcome::Reversed).await.unwrap();
    case_with(&scene, |case| case["answer"] == 2).await;
    scene.bind().await;
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    // What is shorter than any person's number would be matched by nothing that asks by how numbers end.
    for short in ["112", "+112"] {
        let refused = scene.restrict(short, Some("load")).await.unwrap_err();
        assert!(refused.contains("no number of a person"), "{refused}");
    }
}
