//! Disclosures to authorities, on a gateway with real files whose clock is set by the test (compliance.md §14).

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_codec::status::CommandStatus;
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::{DecisionAsk, Disclosing, DisclosureAsk, Noticing, Verb};
use tidegate_gateway::disclosures::{Basis, Decision, Told};
use tidegate_gateway::exports::Format;
use tidegate_tests::DEADLINE;

use crate::exports::{is_for, rows};
use crate::history::is_on_disk;
use crate::sweeps::{Answer, DAY_MS, Scene, TEXT, TO};

const OTHER: &str = "447700900456";
const FIXED: &str = "retention_profile = \"fixed-term\"";

impl Scene {
    async fn disclose(&self, wanted: Disclosing) -> Answer {
        self.ask(Verb::Disclose(wanted)).await
    }

    /// What is asked for of a person's messages with their texts; its number.
    pub(crate) async fn opened(&self, basis: Basis, since_ms: u64) -> u32 {
        let now_ms = self.clock.now().unix_ms;
        let ask = DisclosureAsk {
            authority: "a court, 12 Gs 3".to_owned(),
            basis,
            account: "load".to_owned(),
            to: Some(format!("+{TO}")),
            texts: true,
            since_ms,
            until_ms: now_ms + DAY_MS,
            fields: None,
        };
        let told = self.disclose(Disclosing::Open(Box::new(ask))).await.unwrap();
        u32::try_from(told["number"].as_u64().unwrap()).unwrap()
    }

    pub(crate) async fn decide(&self, number: u32, decision: Decision, fields: Option<&[&str]>) -> Answer {
        let fields = fields.map(|fields| fields.iter().map(|field| (*field).to_owned()).collect());
        let ask = DecisionAsk {
            number,
            decision,
            reason: "read by counsel".to_owned(),
            reviewer: Some("Ana".to_owned()),
            without_texts: false,
            since_ms: None,
            until_ms: None,
            fields,
        };
        self.disclose(Disclosing::Decide(Box::new(ask))).await
    }

    async fn approve(&self, number: u32, name: &str) -> Answer {
        let approver = Some(name.to_owned());
        self.disclose(Disclosing::Approve { number, approver }).await
    }

    async fn produce(&self, number: u32) -> Answer {
        self.disclose(Disclosing::Produce {
            number,
            format: Format::Csv,
            fields: None,
            days: None,
        })
        .await
    }

    async fn shown(&self, number: u32) -> Value {
        let reason = None;
        let told = self.disclose(Disclosing::Show { number, reason }).await;
        Value::Object(told.unwrap())
    }

    /// What a file of it has, once it is made.
    pub(crate) async fn produced(&self, number: u32) -> (Value, String) {
        self.produce(number).await.unwrap();
        let looking = async {
            loop {
                let produced = self.shown(number).await["produced"][0].clone();
                let export = produced["export"].as_str().map(|export| export.parse().unwrap());
                // It is in the register before it may be read.
                match export {
                    Some(export) if rows(self, export).await.is_ok() => return (produced, export),
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let (produced, export) = tokio::time::timeout(DEADLINE, looking).await.expect("it is made");
        let text = rows(self, export).await.unwrap();
        (produced, text)
    }

    /// What the account is to be told of disclosures: how that stands, and of which.
    async fn notices(&self) -> Vec<(String, String)> {
        let told = self
            .ask(Verb::Notice(Noticing::List { account: None }))
            .await
            .unwrap();
        let notices = told["notices"].as_array().unwrap().iter();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        notices
            .map(|notice| (word(&notice["state"]), word(&notice["reference"])))
            .collect()
    }

    fn exported(&self) -> usize {
        fs::read_dir(self.local.dir.path().join("data/exports")).map_or(0, Iterator::count)
    }
}

fn refused(answer: Answer, word: &str) {
    let why = answer.unwrap_err();
    assert!(why.contains(word), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enc_5_the_file_of_a_disclosure_is_for_role_legal_alone() {
    let mut scene = Scene::new(FIXED).await;
    scene.deliver("c-1").await;
    let number = scene.opened(Basis::Law, 0).await;
    scene
        .decide(number, Decision::Narrowed, Some(&["id", "to", "text"]))
        .await
        .unwrap();
    let (produced, _) = scene.produced(number).await;
    let export = produced["export"].as_str().unwrap().parse().unwrap();
    is_for(&scene, export, Role::Legal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leg_c01_without_a_decision_about_the_notice_nothing_completes_and_what_is_delayed_is_told_at_its_date()
 {
    let mut scene = Scene::new(FIXED).await;
    let (id, _) = scene.deliver("c-1").await;
    scene.deliver_to("c-2", OTHER, "of somebody else").await;

    // What is objected to leaves no file.
    let objected = scene.opened(Basis::Law, 0).await;
    refused(scene.produce(objected).await, "before it is decided");
    scene.decide(objected, Decision::Objected, None).await.unwrap();
    refused(scene.produce(objected).await, "objected");
    assert_eq!(scene.exported(), 0);

    let number = scene.opened(Basis::Law, 0).await;
    refused(scene.decide(number, Decision::Narrowed, None).await, "less than");
    let fields = ["id", "to", "text"];
    scene
        .decide(number, Decision::Narrowed, Some(&fields))
        .await
        .unwrap();
    let (produced, text) = scene.produced(number).await;
    // The person's messages in these columns, and no others.
    assert_eq!(text, format!("id,to,text\r\n{id},{TO},{TEXT}\r\n"));
    let digest: String = Sha256::digest(text.as_bytes())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert_eq!(
        (&produced["rows"], &produced["fields"], &produced["sha256"]),
        (&json!(1), &json!(fields), &json!(digest))
    );

    let complete = || scene.disclose(Disclosing::Complete { number });
    refused(complete().await, "decision about the notice");
    let until_ms = scene.clock.now().unix_ms + 2 * DAY_MS;
    let told = Told::Delayed { until_ms };
    scene.disclose(Disclosing::Notify { number, told }).await.unwrap();
    let opened = scene.shown(number).await["opened"]["at"]
        .as_str()
        .unwrap()
        .to_owned();
    let waiting = vec![("waiting".to_owned(), format!("disclosure {number} of {opened}"))];
    // Who is not to know of it yet sees nothing, and has no number for it.
    assert_eq!(scene.notices().await, []);
    let how = "e-mail".to_owned();
    let sent = Noticing::Sent { number: 1, how };
    refused(scene.ask(Verb::Notice(sent)).await, "no such notice");
    assert_eq!(complete().await.unwrap()["state"], "completed");
    refused(scene.produce(number).await, "completed");

    // A kill between the decision and its notice: the register of notices is as it was before.
    scene.local.stop();
    let data = scene.local.dir.path().join("data");
    assert!(!is_on_disk(&data, TO));
    fs::remove_file(data.join("notices")).unwrap();
    let path = data.join("disclosure-register");
    let line = fs::read_to_string(&path).unwrap();
    let line = line
        .lines()
        .next()
        .unwrap()
        .replace("\"is_made\":true", "\"is_made\":false");
    let sum: String = Sha256::digest(line.as_bytes())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    fs::write(&path, format!("{line}\n{sum}\n")).unwrap();
    scene.local.start_at(scene.clock.clone());
    assert_eq!(scene.notices().await, []);
    scene.set(until_ms);
    let looking = async {
        while scene.notices().await != waiting {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.expect("it is made");
    // What was told is not delayed any more.
    let told = scene
        .ask(Verb::Notice(Noticing::List { account: None }))
        .await
        .unwrap();
    let sent = Noticing::Sent {
        number: told["notices"][0]["number"].as_u64().unwrap(),
        how: "e-mail".to_owned(),
    };
    scene.ask(Verb::Notice(sent)).await.unwrap();
    let until_ms = until_ms + DAY_MS;
    let told = Told::Delayed { until_ms };
    let later = Disclosing::Notify { number, told };
    refused(scene.disclose(later).await, "told already");
    let shown = scene.shown(number).await;
    assert_eq!(
        (&shown["to"], &shown["is_about_a_person"]),
        (&Value::Null, &json!(true))
    );
    let reason = Some("asked by the person".to_owned());
    let told = scene.disclose(Disclosing::Show { number, reason }).await.unwrap();
    assert_eq!(told["to"], TO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leg_c02_an_emergency_takes_two_approvers_and_is_reviewed_within_a_day() {
    let mut scene = Scene::new(FIXED).await;
    scene.deliver("c-1").await;
    let number = scene.opened(Basis::Emergency, 0).await;
    refused(
        scene.decide(number, Decision::Complied, None).await,
        "two different approvers",
    );
    scene.approve(number, "Ana").await.unwrap();
    refused(scene.approve(number, " ana ").await, "approved it already");
    refused(scene.produce(number).await, "two different approvers");
    assert_eq!(scene.exported(), 0);
    let approved_ms = scene.clock.now().unix_ms;
    let told = scene.approve(number, "ben").await.unwrap();
    assert_eq!(
        (&told["approvers"], &told["state"]),
        (&json!(2), &json!("decided"))
    );

    let (_, text) = scene.produced(number).await;
    assert!(text.contains(TEXT), "{text}");
    let told = Told::Prohibited {
        law: "section 1".to_owned(),
    };
    scene.disclose(Disclosing::Notify { number, told }).await.unwrap();
    scene.disclose(Disclosing::Complete { number }).await.unwrap();
    assert_eq!(scene.notices().await, []);

    let review = |name: &str| {
        scene.disclose(Disclosing::Review {
            number,
            finding: "it was right".to_owned(),
            reviewer: Some(name.to_owned()),
        })
    };
    let listed = || async {
        let told = scene.disclose(Disclosing::List).await.unwrap();
        (
            told["open"].clone(),
            told["disclosures"][0]["is_review_overdue"].clone(),
        )
    };
    // It is completed, and open until it is reviewed.
    assert_eq!(listed().await, (json!(1), json!(false)));
    scene.set(approved_ms + DAY_MS + 60_000);
    assert_eq!(listed().await, (json!(1), json!(true)));
    refused(review("ANA").await, "somebody else");
    review("cy").await.unwrap();
    assert_eq!(listed().await, (json!(0), json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handset_wrote_is_its_writer_s_what_is_restricted_takes_a_law_and_a_released_hold_ends_the_file()
 {
    const WRITTEN: &str = "written by a handset";
    let mut scene = Scene::new(FIXED).await;
    scene.smsc.expect_binds(2).await;
    for (from, text) in [(TO, WRITTEN), (OTHER, "written by somebody else")] {
        scene.write(from, text).await;
        let came = scene.esme.expect_deliver().await;
        scene.esme.answer(&came, CommandStatus::ROK).await;
        scene.kept_of(from, 1).await;
    }
    let hold = scene.hold("2026/17", OTHER).await;
    let mut numbers = Vec::new();
    for basis in [Basis::Agreement, Basis::Law] {
        let number = scene.opened(basis, 0).await;
        scene
            .decide(number, Decision::Narrowed, Some(&["from", "text"]))
            .await
            .unwrap();
        numbers.push(number);
    }
    let given = format!("from,text\r\n{TO},{WRITTEN}\r\n");
    let (_, text) = scene.produced(numbers[0]).await;
    assert_eq!(text, given);

    // What is only kept of a person takes a law.
    scene.restrict(TO, None).await.unwrap();
    let (first, text) = scene.produced(numbers[1]).await;
    assert_eq!(text, given);
    let fetched = scene.shown(numbers[1]).await["produced"][0]["fetched"].clone();
    assert!(fetched.is_string(), "{fetched}");
    let number = scene.opened(Basis::Security, 0).await;
    let fields = Some(&["from", "text"][..]);
    scene.decide(number, Decision::Narrowed, fields).await.unwrap();
    let (_, text) = scene.produced(number).await;
    assert_eq!(text, "from,text\r\n");

    // The one before is there until there is another, and no longer.
    let first: u64 = first["export"].as_str().unwrap().parse().unwrap();
    scene.set(scene.clock.now().unix_ms + 1_000);
    scene.produce(numbers[1]).await.unwrap();
    let looking = async {
        while rows(&scene, first).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .expect("the one before ends");
    let shown = scene.shown(numbers[1]).await;
    let produced = shown["produced"].as_array().unwrap();
    assert_eq!((produced.len(), &produced[1]["fetched"]), (2, &Value::Null));
    let last: u64 = produced[1]["export"].as_str().unwrap().parse().unwrap();

    // What only a hold had kept may be in it: with the hold it is nobody's, and what nobody had is not completed with.
    let told = Told::Sent {
        how: "a letter".to_owned(),
    };
    let number = numbers[1];
    scene.disclose(Disclosing::Notify { number, told }).await.unwrap();
    scene.release(hold).await.unwrap();
    assert!(rows(&scene, last).await.is_err());
    refused(
        scene.disclose(Disclosing::Complete { number }).await,
        "nobody fetched it",
    );
}
