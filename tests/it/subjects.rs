//! Requests of people about what is kept of them, on a gateway with real files whose clock is set by the test.

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::{
    Deed, DeedKind, Exporting, HoldAsk, Matter, Noticing, OpenAsk, Reading, Retain, Row, Subjecting, Verb,
    instant,
};
use tidegate_gateway::subjects::{Asker, Right};
use tidegate_tests::DEADLINE;

use crate::exports::{is_for, rows};
use crate::history::is_on_disk;
use crate::sweeps::{Answer, DAY_MS, Scene, TEXT, TO, ring_of};

const OTHER: &str = "447700900456";
/// Records stay a month, whoever asks to have them gone.
const FLOOR: &str = "retention_profile = \"fixed-term\"\ncountry = \"GB\"\n\
    transport_exception = { min_transport = \"clear\", name = \"a test on loopback\", until = 2999-12-31 }\n\
    [[retention.overlay]]\njurisdiction = \"GB\"\nclass = \"meta\"\nkind = \"floor\"\nanchor = \"final\"\nafter = \"P30D\"\n\
    action = \"keep\"\nwhy = \"proof\"\nsource = \"a law of the test\"\nstanding = \"default\"\nchecked = \"2026-11-29\"";

impl Scene {
    async fn subject(&self, wanted: Subjecting) -> Answer {
        self.ask(Verb::Subject(wanted)).await
    }

    pub(crate) async fn open(&self, right: Right, asker: Asker, account: Option<&str>, to: &str) -> u32 {
        let ask = OpenAsk {
            right,
            to: format!("+{to}"),
            account: account.map(str::to_owned),
            asker,
            place: Some("GB".to_owned()),
            is_minor: right == Right::Erase && account.is_none(),
            received_ms: None,
        };
        let told = self.subject(Subjecting::Open(Box::new(ask))).await.unwrap();
        u32::try_from(told["id"].as_u64().unwrap()).unwrap()
    }

    pub(crate) async fn verify(&self, id: u32) {
        let proof = format!("a code sent to +{TO}");
        self.subject(Subjecting::Verify { id, proof }).await.unwrap();
    }

    pub(crate) async fn run(&self, id: u32) -> Answer {
        let (format, note) = (None, None);
        self.subject(Subjecting::Run { id, format, note }).await
    }

    async fn refuse(&self, id: u32) -> Answer {
        let reason = "asked for twice".to_owned();
        self.subject(Subjecting::Refuse { id, reason }).await
    }

    async fn request(&self, id: u32) -> Map<String, Value> {
        let reading = None;
        self.subject(Subjecting::Show { id, reading }).await.unwrap()
    }

    /// Waits until a request stands so.
    pub(crate) async fn until_it_is(&self, id: u32, state: &str) -> Map<String, Value> {
        let looking = async {
            loop {
                let told = self.request(id).await;
                if told["state"] == state {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(told) => told,
            Err(_) => panic!("{state}: {:?}", self.request(id).await),
        }
    }

    /// A request whose answer can be fetched, and the export that has it.
    async fn ready(&self, right: Right) -> (u32, u64) {
        let id = self.open(right, Asker::Account, Some("load"), TO).await;
        self.verify(id).await;
        self.run(id).await.unwrap();
        let told = self.until_it_is(id, "ready").await;
        assert_eq!(
            (&told["answered"], &told["unreadable"]),
            (&Value::Null, &json!(0))
        );
        (id, told["export"].as_str().unwrap().parse().unwrap())
    }

    /// Its rows; who has asked has them then, and the request ends.
    async fn fetched(&self, (id, export): (u32, u64)) -> Vec<Value> {
        let text = rows(self, export).await.unwrap();
        self.until_it_is(id, "done").await;
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What the account is handed over of the person, as rows.
    async fn handed_over(&self, right: Right) -> Vec<Value> {
        let ready = self.ready(right).await;
        self.fetched(ready).await
    }

    /// Waits until another export has the answer.
    async fn made_anew(&self, (id, before): (u32, u64)) -> u64 {
        let looking = async {
            loop {
                let told = self.until_it_is(id, "ready").await;
                let export = told["export"].as_str().unwrap().parse().unwrap();
                if export != before {
                    return export;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking)
            .await
            .expect("it is made anew")
    }

    /// The report of what is kept of the person.
    pub(crate) async fn report(&self) -> Vec<Value> {
        self.handed_over(Right::Access).await
    }

    async fn has_opted_out(&self, number: &str) -> bool {
        let cells = Map::from_iter([("number".to_owned(), json!(format!("+{number}")))]);
        let mut deed = Deed::new(DeedKind::OptOutCheck, "load");
        deed.rows = vec![Row { line: 1, cells }];
        self.ask(Verb::Deed(Box::new(deed))).await.unwrap()["blocked"] == true
    }
}

fn classes(rows: &[Value]) -> Vec<(String, String)> {
    let of = |row: &'_ Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, String)> = rows
        .iter()
        .map(|row| (of(row, "class"), of(row, "standing")))
        .collect();
    found.sort_unstable();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(class, standing): &(&str, &str)| ((*class).to_owned(), (*standing).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enc_5_a_report_is_for_role_subject_alone() {
    let mut scene = Scene::new(FLOOR).await;
    scene.deliver("c-1").await;
    let (id, export) = scene.ready(Right::Access).await;
    is_for(&scene, export, Role::Subject).await;
    // Who may has fetched it to its end.
    scene.until_it_is(id, "done").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dsr_c01_c03_a_report_has_all_of_a_person_and_after_an_erasure_suppression_and_floors() {
    let mut scene = Scene::new(FLOOR).await;
    let (message, accepted_ms) = scene.deliver("c-1").await;
    scene.deliver_to("c-2", OTHER, "somebody else's text").await;
    let objection = scene
        .open(Right::Object, Asker::Recipient, Some("load"), TO)
        .await;
    let access = scene.open(Right::Access, Asker::Account, Some("load"), TO).await;
    // Before verification nothing is returned or destroyed, and nothing is told but that it has come.
    for id in [objection, access] {
        let refused = scene.run(id).await.unwrap_err();
        assert!(refused.contains("not verified"), "{refused}");
        let told = scene.request(id).await;
        assert_eq!(told.keys().collect::<Vec<_>>(), ["due", "id", "state"]);
        assert_eq!(told["state"], "received");
    }
    assert!(!scene.has_opted_out(TO).await);
    scene.verify(objection).await;
    assert_eq!(scene.run(objection).await.unwrap()["state"], "done");
    assert!(scene.has_opted_out(TO).await);
    scene.refuse(access).await.unwrap();
    assert_eq!(scene.request(access).await["why"], "asked for twice");

    let report = scene.report().await;
    assert_eq!(
        classes(&report),
        pairs(&[("body", "live"), ("meta", "live"), ("optout", "live")]),
        "{report:?}"
    );
    for row in &report {
        for key in ["account", "purpose", "source", "sinks", "by"] {
            assert!(
                row[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}: {row}"
            );
        }
        assert_eq!(row["due"].is_string(), row["class"] != "optout", "{row}");
    }
    let text = json!(report).to_string();
    assert!(text.contains(TEXT) && text.contains(TO) && text.contains(&message));
    assert!(!text.contains(OTHER) && !text.contains("somebody else"));

    // To be taken elsewhere are the person's messages, and nobody else's.
    let (port, first) = scene.ready(Right::Port).await;
    // Exports are numbered by the time.
    scene.set(scene.clock.now().unix_ms + 1_000);
    // Somebody else's erasure takes exports along: nobody has read this one, so it is made anew, and nobody refuses it.
    let erase = Matter::EraseAdd {
        to: "+447700900789".to_owned(),
        account: None,
        reason: "asked for".to_owned(),
    };
    scene.ask(Verb::Matter(erase)).await.unwrap();
    let second = scene.made_anew((port, first)).await;
    let refused = scene.refuse(port).await.unwrap_err();
    assert!(refused.contains("is its answer"), "{refused}");
    let messages = scene.fetched((port, second)).await;
    let taken: Vec<(&Value, &Value)> = messages.iter().map(|row| (&row["to"], &row["text"])).collect();
    assert_eq!(taken, [(&json!(TO), &json!(TEXT))]);

    // What it cannot take along it says: the class, the floor and its end.
    let erasure = scene.open(Right::Erase, Asker::Account, Some("load"), TO).await;
    scene.verify(erasure).await;
    let told = scene.run(erasure).await.unwrap();
    assert_eq!(
        (&told["state"], &told["kept"][0]["class"]),
        (&json!("deferred"), &json!("meta"))
    );
    let refused = scene.refuse(erasure).await.unwrap_err();
    assert!(refused.contains("to erase is given"), "{refused}");
    let until = told["kept"][0]["until"].as_str().unwrap();
    // From the receipt's date, which has no seconds everywhere.
    let floor_ms = accepted_ms + 30 * DAY_MS - 120_000;
    assert!(
        instant(floor_ms).as_str() <= until && until < instant(floor_ms + DAY_MS).as_str(),
        "{until}"
    );
    assert_eq!(told["kept"].as_array().unwrap().len(), 1, "{told:?}");
    assert!(told["kept"][0]["by"].as_str().unwrap().contains("proof"));
    scene.retain(Retain::Sweep).await.unwrap();
    let report = scene.report().await;
    assert_eq!(
        classes(&report),
        pairs(&[("meta", "restricted"), ("optout", "live")]),
        "{report:?}"
    );
    assert!(!json!(report).to_string().contains(TO));
    assert_eq!(scene.request(erasure).await["state"], "deferred");
    // Executed when the floor ends, without being asked again: both times are told.
    scene.set(accepted_ms + 31 * DAY_MS);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    let told = scene.until_it_is(erasure, "done").await;
    assert!(
        told["asked"].as_str().unwrap() < told["executed"].as_str().unwrap(),
        "{told:?}"
    );
    assert_eq!(classes(&scene.report().await), pairs(&[("optout", "live")]));
    assert!(!is_on_disk(&scene.local.dir.path().join("data"), TO));
    scene.local.stop();
    assert_eq!(ring_of(scene.local.dir.path()).subjects().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dsr_c05_a_recipient_gets_no_data_of_an_account_and_the_account_is_told() {
    let mut scene = Scene::new("retention_profile = \"as-instructed\"").await;
    scene.deliver("c-1").await;
    let mut answers = Vec::new();
    let opted_out = "447700900111";
    let objection = scene
        .open(Right::Object, Asker::Recipient, Some("load"), opted_out)
        .await;
    scene.verify(objection).await;
    scene.run(objection).await.unwrap();
    for to in [TO, opted_out, OTHER] {
        let id = scene.open(Right::Access, Asker::Recipient, None, to).await;
        scene.verify(id).await;
        let mut told = scene.run(id).await.unwrap();
        for key in [
            "id", "received", "verified", "asked", "answered", "executed", "due",
        ] {
            assert!(told.remove(key).is_some_and(|value| !value.is_null()), "{key}");
        }
        answers.push(told);
    }
    assert_eq!(answers[0]["state"], "pointed");
    assert!(
        answers.iter().all(|told| *told == answers[0]),
        "of whom nothing is known is told the same"
    );
    let exports = scene.ask(Verb::Export(Exporting::List)).await.unwrap();
    assert_eq!(exports["exports"], json!([]));
    let told = scene
        .ask(Verb::Notice(Noticing::List { account: None }))
        .await
        .unwrap();
    let notices = told["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 2, "{told:?}");
    for notice in notices {
        // Who reads notices learns of no request which accounts have something of its person.
        assert!(
            !notice["reference"].as_str().unwrap().contains("request"),
            "{notice}"
        );
    }
    assert_ne!(notices[0]["reference"], notices[1]["reference"]);
    assert_eq!(
        (&notices[0]["account"], &notices[0]["about"]),
        (&json!("load"), &json!("request"))
    );
    assert!(!json!(told).to_string().contains(TO));

    // What a hold keeps is said to be kept, and nothing of the matter; a report does not have it.
    let hold = HoldAsk {
        matter: "2026/17".to_owned(),
        account: Some("load".to_owned()),
        to: Some(format!("+{TO}")),
        message: None,
        class: None,
        from_ms: None,
        until_ms: None,
        future: false,
        reason: "a claim".to_owned(),
        review_days: 30,
    };
    scene
        .ask(Verb::Matter(Matter::HoldAdd(Box::new(hold))))
        .await
        .unwrap();
    assert_eq!(scene.report().await.len(), 1);
    let id = scene.open(Right::Erase, Asker::Account, Some("load"), TO).await;
    scene.verify(id).await;
    let told = scene.run(id).await.unwrap();
    assert_eq!(
        (&told["state"], &told["kept"][0]["by"], &told["kept"][0]["until"]),
        (&json!("deferred"), &json!("a legal duty"), &Value::Null)
    );
    let report = scene.report().await;
    let told = json!([told, report]).to_string();
    assert!(report.is_empty() && !told.contains("2026/17"), "{told}");

    // An answer that an operator deletes is not made anew, and the request may be given up then.
    let (id, export) = scene.ready(Right::Access).await;
    scene
        .ask(Verb::Export(Exporting::Delete { export }))
        .await
        .unwrap();
    let told = scene.request(id).await;
    assert_eq!(
        (&told["state"], &told["export"]),
        (&json!("verified"), &Value::Null)
    );
    assert!(told["why"].as_str().unwrap().contains("was deleted"), "{told:?}");
    assert_eq!(scene.refuse(id).await.unwrap()["state"], "refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dsr_c09_a_minor_s_erasure_spans_accounts_goes_on_after_a_crash_and_leaves_suppression() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (message, _) = scene.deliver("c-1").await;
    let objection = scene.open(Right::Object, Asker::Recipient, None, TO).await;
    let first = scene.open(Right::Erase, Asker::Recipient, None, TO).await;
    let second = scene.open(Right::Erase, Asker::Recipient, None, TO).await;
    for id in [objection, first, second] {
        scene.verify(id).await;
    }
    scene.run(objection).await.unwrap();
    let reading = Reading::read(Some("legal".to_owned()), Some("a call".to_owned())).unwrap();
    let shown = scene
        .subject(Subjecting::Show { id: first, reading })
        .await
        .unwrap();
    assert_eq!((&shown["number"], &shown["minor"]), (&json!(TO), &json!(true)));
    // What was begun is on disk before there is an order; then the gateway ends.
    let blocked = scene.local.dir.path().join("data/legal-register.new");
    fs::create_dir(&blocked).unwrap();
    for id in [first, second] {
        let told = scene.run(id).await.unwrap();
        assert_eq!(
            (&told["state"], &told["order"]),
            (&json!("running"), &Value::Null)
        );
        assert!(
            told["waits_for"].as_str().unwrap().contains("register of holds"),
            "{told:?}"
        );
    }
    scene.local.stop();
    fs::remove_dir(&blocked).unwrap();
    scene.local.start_at(scene.clock.clone());
    let told = scene.until_it_is(first, "ordered").await;
    assert!(scene.show(&message).await.is_err(), "gone for every reader");
    // Both are kept, and one order is enough for both: it is no older than either.
    let joined = scene.until_it_is(second, "ordered").await;
    assert_eq!(joined["order"], told["order"]);
    let orders = scene.ask(Verb::Matter(Matter::EraseList)).await.unwrap();
    assert_eq!(
        (
            orders["orders"].as_array().unwrap().len(),
            &orders["orders"][0]["account"]
        ),
        (1, &Value::Null)
    );
    scene.retain(Retain::Sweep).await.unwrap();
    for id in [first, second] {
        scene.until_it_is(id, "done").await;
    }
    assert!(scene.has_opted_out(TO).await, "suppression stays");
    let list = Value::Object(scene.subject(Subjecting::List).await.unwrap());
    assert!(!list.to_string().contains(TO));
    scene.local.stop();
    assert_eq!(ring_of(scene.local.dir.path()).subjects().count(), 0);
}
