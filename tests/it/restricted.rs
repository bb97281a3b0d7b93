//! What handsets write in the history of their account, and the restriction of a person, on a gateway with real files.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_gateway::control::{Deed, DeedKind, Find, Matter, Reading, Retain, Steer, Verb};
use tidegate_gateway::exports::{Format, What};
use tidegate_gateway::orders::Halt;
use tidegate_gateway::subjects::{Asker, Right};
use tidegate_tests::DEADLINE;
use tidegate_tests::esme::message;

use crate::exports::{made, rows};
use crate::sweeps::{Answer, FROM, Scene, TEXT, TO};

const OURS: &str = "12345";
const WRITTEN: &str = "canary text of a handset";
const FIXED: &str = "retention_profile = \"fixed-term\"";

impl Scene {
    /// A message from a handset, which its carrier gets rid of.
    pub(crate) async fn write(&mut self, from: &str, text: &str) {
        let link = self.smsc.bound()[0];
        let sequence = self.smsc.deliver(link, message(from, OURS, text)).await;
        assert_eq!(self.smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    }

    /// What is found of a number, for a purpose.
    async fn find(&self, number: &str, purpose: &str) -> Vec<Value> {
        let reading = Reading::read(Some(purpose.to_owned()), Some("case 1".to_owned())).unwrap();
        let find = Find {
            account: "load".to_owned(),
            to: Some(number.to_owned()),
            since_ms: Some(0),
            until_ms: None,
            limit: None,
            reading,
        };
        let told = self.ask(Verb::Steer(Steer::MessageFind(find))).await.unwrap();
        told["messages"].as_array().unwrap().clone()
    }

    /// Asks until so many are there: what ends is filed within a second or two.
    pub(crate) async fn kept_of(&self, number: &str, count: usize) -> Vec<Value> {
        let looking = async {
            loop {
                let found = self.find(number, "support").await;
                if found.len() == count {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        found.unwrap_or_else(|_| panic!("{count} of {number} are kept"))
    }

    /// How many opt-outs the account is told of, and of how many not whose they are.
    pub(crate) async fn opt_outs(&self) -> (Value, Value) {
        let deed = Deed::new(DeedKind::OptOutExport, "load");
        let told = self.ask(Verb::Deed(Box::new(deed))).await.unwrap();
        (told["total"].clone(), told["hashed"].clone())
    }

    async fn read(&self, id: &str, purpose: &str) -> Map<String, Value> {
        let reading = Reading::read(Some(purpose.to_owned()), Some("case 1".to_owned())).unwrap();
        let show = Steer::MessageShow {
            id: id.to_owned(),
            account: None,
            reading,
        };
        self.ask(Verb::Steer(show)).await.unwrap()
    }

    pub(crate) async fn restrict(&self, to: &str, account: Option<&str>) -> Answer {
        self.ask(Verb::Matter(Matter::RestrictAdd {
            to: format!("+{to}"),
            account: account.map(str::to_owned),
            reason: "accuracy is contested".to_owned(),
        }))
        .await
    }
}

fn id_of(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handset_writes_is_kept_by_its_number_exported_and_erased_with_the_person() {
    let mut scene = Scene::new(FIXED).await;
    scene.smsc.expect_binds(2).await;
    scene.write(TO, WRITTEN).await;
    let came = scene.esme.expect_deliver().await;
    assert_eq!(came.text(), WRITTEN);
    scene.esme.answer(&came, CommandStatus::ROK).await;
    let found = scene.kept_of(TO, 1).await;
    assert_eq!(
        (
            &found[0]["direction"],
            &found[0]["state"],
            &found[0]["restricted"]
        ),
        (&json!("mo"), &json!("ACCEPTD"), &json!(false))
    );
    assert!(
        scene.find(OURS, "support").await.is_empty(),
        "it is the handset's"
    );
    let told = scene.read(&id_of(&found[0]), "support").await;
    let leg = &told["legs"][0];
    assert_eq!(
        (&leg["from"], &leg["to"], &leg["text"]["shown"]),
        (&json!(TO), &json!(OURS), &json!(WRITTEN))
    );
    let export = made(&scene, What::Texts, Format::Csv).await;
    let text = rows(&scene, export).await.unwrap();
    assert!(
        text.contains(",mo,") && text.contains(WRITTEN) && text.contains(TO),
        "{text}"
    );
    // What is erased of the person is this as well, and the number that an opt-out keeps (PSN-3).
    scene.write(TO, "STOP").await;
    let came = scene.esme.expect_deliver().await;
    scene.esme.answer(&came, CommandStatus::ROK).await;
    scene.kept_of(TO, 2).await;
    assert_eq!(scene.opt_outs().await, (json!(1), json!(0)));
    let erase = Matter::EraseAdd {
        to: format!("+{TO}"),
        account: None,
        reason: "asked for".to_owned(),
    };
    scene.ask(Verb::Matter(erase)).await.unwrap();
    assert!(scene.find(TO, "support").await.is_empty());
    scene.retain(Retain::Sweep).await.unwrap();
    let orders = scene.ask(Verb::Matter(Matter::EraseList)).await.unwrap();
    assert_eq!(
        (&orders["orders"][0]["state"], &orders["orders"][0]["records"]),
        (&json!("executed"), &json!(2)),
        "{orders:?}"
    );
    assert_eq!(scene.opt_outs().await, (json!(1), json!(1)));
    let status = scene.esme.submit_refused(message(OURS, TO, TEXT)).await;
    assert_eq!(status, CommandStatus(0x0401), "nobody is less opted out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dsr_c06_of_a_restricted_person_nothing_is_processed_but_kept_until_it_is_lifted_with_a_notice() {
    let mut scene = Scene::new(FIXED).await;
    scene.smsc.expect_binds(2).await;
    // What is on its way is turned back before it is handed over.
    let halt = Steer::CarrierHalt {
        carrier: "sink".to_owned(),
        how: Halt::Pause,
    };
    scene.ask(Verb::Steer(halt)).await.unwrap();
    let waiting = scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    let request = scene
        .open(Right::Restrict, Asker::Account, Some("load"), TO)
        .await;
    scene.verify(request).await;
    let told = scene.run(request).await.unwrap();
    assert_eq!(told["state"], "done");
    let id = u32::try_from(told["restriction"].as_u64().unwrap()).unwrap();
    let again = scene.restrict(TO, Some("load")).await.unwrap();
    assert_eq!((&again["id"], &again["is_new"]), (&json!(id), &json!(false)));
    let resume = Steer::CarrierResume {
        carrier: "sink".to_owned(),
    };
    scene.ask(Verb::Steer(resume)).await.unwrap();
    let dlr = scene.esme.expect_receipt(&waiting).await;
    assert!(dlr.text().contains("stat:REJECTD"), "{}", dlr.text());
    let status = scene.esme.submit_refused(message(FROM, TO, TEXT)).await;
    assert_eq!(status, CommandStatus(0x0405));
    // What the person writes is taken, heeded, kept, and not shown; what somebody else writes comes.
    for (from, text) in [(TO, WRITTEN), (TO, "STOP"), ("447700900456", "of somebody else")] {
        scene.write(from, text).await;
    }
    let came = scene.esme.expect_deliver().await;
    assert_eq!(came.text(), "of somebody else");
    scene.esme.answer(&came, CommandStatus::ROK).await;
    let found = scene.kept_of(TO, 3).await;
    assert!(found.iter().all(|row| row["restricted"] == true), "{found:?}");
    let of_handset = found.iter().find(|row| row["direction"] == "mo").unwrap();
    let told = scene.read(&id_of(of_handset), "support").await;
    let shown = Value::Object(told.clone()).to_string();
    assert_eq!(told["legs"][0]["restricted"], true);
    assert!(
        !shown.contains(TO) && !shown.contains("canary") && !shown.contains("STOP"),
        "{shown}"
    );
    let told = scene.read(&id_of(of_handset), "legal").await;
    assert_eq!(
        (&told["legs"][0]["from"], &told["legs"][0]["restricted"]),
        (&json!(TO), &json!(true))
    );
    assert_ne!(told["legs"][0]["text"], Value::Null);
    let export = made(&scene, What::Texts, Format::Csv).await;
    let text = rows(&scene, export).await.unwrap();
    assert!(text.contains("of somebody else") && !text.contains(TO), "{text}");
    // Lists of who has opted out say how many entries are left out.
    let deed = Deed::new(DeedKind::OptOutExport, "load");
    let told = scene.ask(Verb::Deed(Box::new(deed))).await.unwrap();
    assert_eq!(
        (&told["total"], &told["entries"], &told["restricted"]),
        (&json!(1), &json!([]), &json!(1))
    );
    // The person is told what there is, and that nothing is done with it.
    let report = scene.report().await;
    let marks: Vec<&Value> = report
        .iter()
        .filter(|row| row["class"] == "restriction")
        .collect();
    assert_eq!(marks.len(), 1, "{report:?}");
    assert_eq!(marks[0]["standing"], "restricted");
    assert!(report.iter().any(|row| row["text"] == WRITTEN), "{report:?}");
    // It holds behind a restart.
    scene.restart();
    scene.smsc.expect_binds(3).await;
    scene.bind().await;
    let status = scene.esme.submit_refused(message(FROM, TO, TEXT)).await;
    assert_eq!(status, CommandStatus(0x0405));
    // Nobody's number is in the register, nor in its list; and it ends with a notice only.
    let list = scene.ask(Verb::Matter(Matter::RestrictList)).await.unwrap();
    assert_eq!(list["active"], 1);
    assert!(!Value::Object(list).to_string().contains(TO));
    let lift = |notice: &str| {
        Verb::Matter(Matter::RestrictLift {
            id,
            notice: notice.to_owned(),
            reason: "settled".to_owned(),
        })
    };
    assert!(scene.ask(lift(" ")).await.unwrap_err().contains("notice"));
    let status = scene.esme.submit_refused(message(FROM, TO, TEXT)).await;
    assert_eq!(status, CommandStatus(0x0405));
    scene.ask(lift("letter of 3 May")).await.unwrap();
    let list = scene.ask(Verb::Matter(Matter::RestrictList)).await.unwrap();
    let row = &list["restrictions"][0];
    assert_eq!(
        (&list["active"], &row["notice"]),
        (&json!(0), &json!("letter of 3 May"))
    );
    assert_ne!(row["lifted"], Value::Null);
    assert_eq!(scene.opt_outs().await, (json!(1), json!(0)));
    // What was said while it held still counts: the person has opted out.
    let status = scene.esme.submit_refused(message(OURS, TO, TEXT)).await;
    assert_eq!(status, CommandStatus(0x0401));
    let told = scene.read(&id_of(of_handset), "support").await;
    assert_eq!(told["legs"][0]["from"], TO);
}
