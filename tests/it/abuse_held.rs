//! Messages that a rule about abuse holds until a person has looked at them (compliance.md FRD-5).

use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::multi::Destination;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{HeldMessage, Page, Selection, Steer, Verb, Withheld};
use tidegate_gateway::withheld::Verdict;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme};

use crate::abuse::{BAD_LINK as BAD, screened, screening};
use crate::ancillary::{ask, cancel, multi_of, number, outcome, query, replace, replacement};
use crate::control::{logged, ran};
use crate::sweeps::{Answer, FROM, Scene, TEXT, TO};

const CONTENT: CommandStatus = CommandStatus(0x0407);
const A_WHILE: Duration = Duration::from_millis(100);

/// A gateway that holds what leads to a blocked domain.
async fn holding(account: &str) -> (NamedTempFile, Scene) {
    screened("hold", account).await
}

async fn list(scene: &Scene) -> Map<String, Value> {
    let (account, page) = (Some("load".to_owned()), Page::default());
    let verb = Verb::Withheld(Withheld::List { account, page });
    scene.ask(verb).await.unwrap()
}

fn named(id: &str) -> HeldMessage {
    HeldMessage {
        id: id.to_owned(),
        account: None,
    }
}

async fn judge(scene: &Scene, verdict: Verdict, id: &str) -> Answer {
    let verb = Verb::Withheld(Withheld::Judge {
        verdict,
        message: named(id),
        reviewer: "Ana Ruiz".to_owned(),
        reason: "a campaign of theirs".to_owned(),
    });
    scene.ask(verb).await
}

async fn show(scene: &Scene, id: &str) -> Answer {
    let (message, reason) = (named(id), "a review".to_owned());
    scene
        .ask(Verb::Withheld(Withheld::Show { message, reason }))
        .await
}

/// All that the audit log holds, as text; the gateway is stopped.
fn audit(scene: &Scene) -> String {
    crate::steered::audit(&scene.local)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c06_what_a_rule_holds_is_taken_in_and_goes_nowhere_until_a_person_lets_it() {
    let (_rules, mut scene) = holding("").await;
    let released = scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    let rejected = scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    let taken_back = scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    // It holds up nothing behind it.
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    scene.smsc.expect_submit_of(TEXT).await;
    scene.smsc.expect_no_submit(A_WHILE).await;
    let asked = ask(&mut scene.esme, query(&released, FROM)).await;
    assert_eq!(asked.status(), CommandStatus::ROK);

    let told = list(&scene).await;
    let rows = told["messages"].as_array().unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [released.as_str(), &rejected, &taken_back],
        "the oldest first"
    );
    assert_eq!((&told["held"], &told["next"]), (&json!(3), &Value::Null));
    let text = json!(told).to_string();
    assert!(!text.contains(TO) && !text.contains("parcel"), "{text}");
    // What it says is told to who says why.
    let shown = show(&scene, &released).await.unwrap();
    assert_eq!(
        [&shown["text"]["shown"], &shown["from"], &shown["to"]],
        [&json!(BAD), &json!(FROM), &json!([TO])]
    );
    assert!(
        show(&scene, "12345")
            .await
            .unwrap_err()
            .contains("no message of this id is held")
    );
    // Another text would be another message, and its client may take it back.
    let status = replace(&mut scene.esme, replacement(&released, "a harmless text")).await;
    assert_eq!(status, CommandStatus::RREPLACEFAIL);
    let status = cancel(&mut scene.esme, &taken_back, FROM, TO).await;
    assert_eq!(status, CommandStatus::ROK);
    scene.esme.expect_receipt(&taken_back).await;

    let told = judge(&scene, Verdict::Release, &released).await.unwrap();
    assert_eq!((&told["released"], &told["account"]), (&json!(1), &json!("load")));
    let submit = scene.smsc.expect_submit_of(BAD).await;
    assert!(
        judge(&scene, Verdict::Reject, &released).await.is_err(),
        "it is decided"
    );
    assert_eq!(
        judge(&scene, Verdict::Reject, &rejected).await.unwrap()["rejected"],
        1
    );
    let receipt = scene.esme.expect_receipt(&rejected).await;
    assert!(receipt.text().contains("stat:REJECTD"), "{}", receipt.text());
    scene.smsc.answer(&submit, "c-1").await;
    let (state, dialect) = (MessageState::Delivered, Dialect::Both);
    scene.smsc.receipt(&submit, "c-1", state, dialect).await;
    scene.esme.expect_receipt(&released).await;
    scene.smsc.expect_no_submit(A_WHILE).await;
    assert_eq!(list(&scene).await["held"], 0);
    scene.local.stop();
    let log = audit(&scene);
    for words in [
        "held show",
        "held release",
        "held reject",
        "Ana Ruiz",
        "a campaign of theirs",
        &released,
    ] {
        assert!(log.contains(words), "{words}");
    }
    assert!(!log.contains(TO) && !log.contains("parcel"));
}

/// kill -9 between acceptance and decision, and between decision and hand-over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c06_held_stays_held_and_released_goes_once_over_a_kill() {
    let (_rules, extra) = screening("hold");
    let with_screening = |config: String| {
        config.replacen(
            "system_id = \"load\"\n",
            "system_id = \"load\"\nscreening = \"on\"\n",
            1,
        )
    };
    let (mut smsc, mut process) = logged(with_screening, &extra).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let [released, rejected, held] = [
        esme.submit_ok(message(FROM, TO, BAD)).await,
        esme.submit_ok(message(FROM, TO, BAD)).await,
        esme.submit_ok(message(FROM, TO, BAD)).await,
    ];
    process.kill();
    process.restart().await;
    smsc.expect_binds(1).await;
    let told = ran(&process, &["held", "list"]);
    for id in [&released, &rejected, &held] {
        assert!(told.contains(id.as_str()), "{told}");
    }
    smsc.expect_no_submit(A_WHILE).await;
    ran(&process, &["carrier", "pause", "c0"]);
    let why = ["--reviewer", "Ana Ruiz", "--reason", "a campaign"];
    ran(
        &process,
        &[&["held", "release", released.as_str()][..], &why].concat(),
    );
    ran(
        &process,
        &[&["held", "reject", rejected.as_str()][..], &why].concat(),
    );
    process.kill();
    process.restart().await;
    smsc.expect_binds(1).await;
    let told = ran(&process, &["held", "list"]);
    assert!(
        told.contains(&held) && !told.contains(&released) && !told.contains(&rejected),
        "{told}"
    );
    let shown = ran(&process, &["held", "show", &held, "--reason", "a review"]);
    assert!(shown.contains(BAD), "{shown}");
    ran(&process, &["carrier", "resume", "c0"]);
    let submit = smsc.expect_submit_of(BAD).await;
    smsc.answer(&submit, "c-1").await;
    smsc.expect_no_submit(A_WHILE).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let receipt = esme.expect_receipt(&rejected).await;
    esme.answer(&receipt, CommandStatus::ROK).await;
    // Once it was handed over a kill brings it back no more.
    let counted = r#"tidegate_account_held_messages{account="load"} 1"#;
    let page = process.metrics_with(counted).await;
    process.kill();
    process.restart().await;
    smsc.expect_binds(1).await;
    smsc.expect_no_submit(A_WHILE).await;
    process.kill();
    let log = process.stderr() + &process.stdout();
    for text in [&log, &page] {
        assert!(!text.contains(TO) && !text.contains("parcel"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c06_the_validity_of_what_is_held_runs_and_a_clients_own_date_still_counts() {
    let (_rules, mut scene) = holding("").await;
    let start_ms = scene.clock.now().unix_ms;
    let short = Sm {
        validity_period: COctets::new(b"000000001000000R").unwrap(),
        ..message(FROM, TO, BAD)
    };
    let short = scene.esme.submit_ok(short).await;
    let dated = |time: &'static [u8]| Sm {
        schedule_delivery_time: COctets::new(time).unwrap(),
        ..message(FROM, TO, BAD)
    };
    // Decided before its date, and not before it.
    let early = scene.esme.submit_ok(dated(b"000000000500000R")).await;
    let late = scene.esme.submit_ok(dated(b"000000000500000R")).await;
    judge(&scene, Verdict::Release, &early).await.unwrap();
    scene.smsc.expect_no_submit(A_WHILE).await;
    scene.set(start_ms + 6 * 60_000);
    scene.smsc.expect_submit_of(BAD).await;
    // The date that has come changes nothing, over a restart either.
    scene.smsc.expect_no_submit(A_WHILE).await;
    scene.restart();
    scene.smsc.expect_binds(1).await;
    scene.bind().await;
    scene.set(start_ms + 11 * 60_000);
    let receipt = scene.esme.expect_receipt(&short).await;
    assert!(receipt.text().contains("stat:EXPIRED"), "{}", receipt.text());
    let told = list(&scene).await;
    assert_eq!(
        (&told["held"], &told["messages"][0]["id"]),
        (&json!(1), &json!(late))
    );
    judge(&scene, Verdict::Release, &late).await.unwrap();
    loop {
        // What the carrier had not answered before the restart comes again, and this one once.
        let submit = scene.smsc.expect_submit_of(BAD).await;
        scene
            .smsc
            .answer(&submit, &format!("c-{}", scene.clock.now().unix_ms))
            .await;
        if list(&scene).await["held"] == 0 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c06_so_many_are_held_and_what_is_beyond_is_refused() {
    let (_rules, mut scene) = holding("abuse = { held_max = 2 }").await;
    let first = scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    assert_eq!(scene.esme.submit_refused(message(FROM, TO, BAD)).await, CONTENT);
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    scene.smsc.expect_submit_of(TEXT).await;
    // Over a restart as well, and by pages.
    scene.restart();
    scene.bind().await;
    assert_eq!(scene.esme.submit_refused(message(FROM, TO, BAD)).await, CONTENT);
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = Page {
            after: after.take(),
            limit: Some(1),
        };
        let verb = Verb::Withheld(Withheld::List { account: None, page });
        let told = scene.ask(verb).await.unwrap();
        let rows = told["messages"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        assert!(rows.len() == 1 && ids.len() <= 2, "{told:?}");
        match told["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!((ids.len(), &ids[0]), (2, &first));
    judge(&scene, Verdict::Reject, &first).await.unwrap();
    scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    // What an operator ends, and what a closed account leaves, is not held any more.
    let verb = Verb::Expire(Selection {
        account: "load".to_owned(),
        older_than: Duration::ZERO,
    });
    let ended = scene.ask(verb).await.unwrap();
    assert!(ended["expired"].as_u64().unwrap() >= 2, "{ended:?}");
    assert_eq!(list(&scene).await["held"], 0);
    let last = scene.esme.submit_ok(message(FROM, TO, BAD)).await;
    let close = Steer::AccountClose {
        account: "load".to_owned(),
        reason: "it is over".to_owned(),
        returned: None,
    };
    scene.ask(Verb::Steer(close)).await.unwrap();
    assert_eq!(list(&scene).await["held"], 0);
    assert!(judge(&scene, Verdict::Release, &last).await.is_err());
}

/// FRD-3 with FRD-5: a signal holds, recipient by recipient.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c06_a_signal_holds_those_of_a_messages_recipients_that_it_is_about() {
    let keys = "abuse = { watch = \"all\", number_limit = 0, prefix_limit = 0, run = 0, held_max = 1, \
                suspect_numbers = [\"979\"], suspect_action = \"hold\" }";
    let mut scene = Scene::new(keys).await;
    let recipients = [
        Destination::Sme(number("979123456789")),
        Destination::Sme(number(TO)),
        Destination::Sme(number("979123456780")),
    ];
    let answer = multi_of(&mut scene.esme, message(FROM, "", TEXT), &recipients).await;
    let (id, refused) = outcome(&answer);
    // One may be held, and the other one is refused as what a signal throttles.
    assert_eq!(refused, [("979123456780".to_owned(), CommandStatus(0x0409))]);
    let submit = scene.smsc.expect_submit().await;
    assert_eq!(submit.sm().destination.addr.as_bytes(), TO.as_bytes());
    scene.smsc.expect_no_submit(A_WHILE).await;
    let told = list(&scene).await;
    assert_eq!(
        (&told["held"], &told["messages"][0]["recipient"]),
        (&json!(1), &json!(0))
    );
    let shown = show(&scene, &id).await.unwrap();
    assert_eq!(
        (&shown["to"], &shown["text"]["shown"]),
        (&json!(["979123456789"]), &json!(TEXT))
    );
    judge(&scene, Verdict::Release, &id).await.unwrap();
    let submit = scene.smsc.expect_submit().await;
    assert_eq!(submit.sm().destination.addr.as_bytes(), b"979123456789");
}
