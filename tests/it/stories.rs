//! One story for each profile of retention, told by a script: an account is opened, people are written to and write, one opts out, one
//! asks what is kept, one is erased, one is held, the account is handed over what is kept of it and is closed; two years go by,
//! and at each stage it is read what the profile's table in PRIVACY.md says, before the sweep as well as behind it.

use serde_json::{Map, Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{Deed, DeedKind, Matter, Noticing, Retain, Row, Verb};
use tidegate_gateway::exports::{Format, What};
use tidegate_gateway::subjects::{Asker, Right};
use tidegate_store::audit::{CHECKPOINTS_DIR, public_key, verify};
use tidegate_store::disk::RealDisk;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme};

use crate::ancillary::{ask as ask_esme, query};
use crate::canaries::found_in;
use crate::closing::close;
use crate::exports::{made, rows};
use crate::local::Changes;
use crate::sweeps::{DAY_MS, FROM, Scene, TEXT, TO, blocks, ring_of, text_of, texts_of};

const ERASED: &str = "447700900456";
const HELD: &str = "447700900789";
const STOPPED: &str = "447700900246";
const ERASED_TEXT: &str = "canary text of who is erased";
const HELD_TEXT: &str = "canary text of who is held";
const WRITTEN: &str = "canary text of a handset";
const OPTED_OUT: CommandStatus = CommandStatus(0x0401);
/// When each of them is closed, in days.
const CLOSED: u64 = 20;
const SUCCESSOR: &str = "[[account]]\nsystem_id = \"heir\"\npassword_hashes = [\"@hash@\"]\ncategory = \"transactional\"\n\
    brand = \"shoes\"\n";

/// What may be read at a time, in days after the account's messages: text, record, and what is kept with the account itself.
type Stage = (u64, bool, bool, bool);

struct Story {
    profile: &'static str,
    /// In their order; those of before the closure come before [`CLOSED`].
    stages: &'static [Stage],
    /// Whether its records become statistics where they end.
    is_counted: bool,
}

impl Story {
    fn at(&self, day: u64) -> Stage {
        let mut stages = self.stages.iter().rev();
        *stages.find(|stage| stage.0 <= day).unwrap()
    }
}

/// Everything is sent before anything is waited for. The ids of what went to the three.
async fn traffic(scene: &mut Scene) -> Vec<String> {
    let sent = [(TO, TEXT), (ERASED, ERASED_TEXT), (HELD, HELD_TEXT)];
    let mut ids = Vec::new();
    for (n, (to, text)) in sent.into_iter().enumerate() {
        let carriers = format!("c-{n}");
        let id = scene.esme.submit_ok(message(FROM, to, text)).await;
        let submit = scene.smsc.expect_submit().await;
        scene.smsc.answer(&submit, &carriers).await;
        scene
            .smsc
            .receipt(&submit, &carriers, MessageState::Delivered, Dialect::Both)
            .await;
        let receipt = scene.esme.expect_receipt(&id).await;
        scene.esme.answer(&receipt, CommandStatus::ROK).await;
        ids.push(id);
    }
    scene.smsc.expect_binds(2).await;
    for (from, text) in [(TO, WRITTEN), (STOPPED, "STOP")] {
        scene.write(from, text).await;
        let came = scene.esme.expect_deliver().await;
        scene.esme.answer(&came, CommandStatus::ROK).await;
    }
    for (number, count) in [(TO, 2), (ERASED, 1), (HELD, 1), (STOPPED, 1)] {
        scene.kept_of(number, count).await;
    }
    ids
}

async fn is_blocked(scene: &Scene, account: &str) -> bool {
    let mut deed = Deed::new(DeedKind::OptOutCheck, account);
    let cells = Map::from_iter([("number".to_owned(), json!(format!("+{STOPPED}")))]);
    deed.rows = vec![Row { line: 1, cells }];
    scene.ask(Verb::Deed(Box::new(deed))).await.unwrap()["blocked"] == true
}

async fn notices(scene: &Scene) -> usize {
    let list = Verb::Notice(Noticing::List { account: None });
    let told = scene.ask(list).await.unwrap();
    told["notices"].as_array().unwrap().len()
}

/// Whether the text is read, whether the record is, and whether numbers of opt-outs and what the account was told are.
async fn read(scene: &Scene, id: &str) -> (bool, bool, bool) {
    let told = scene.show(id).await;
    let has_text = told.is_ok() && text_of(&told)["shown"] == TEXT;
    let has_record = told.is_ok_and(|told| told["legs"][0]["to"] == TO);
    let (total, hashed) = scene.opt_outs().await;
    assert!(
        total != 0 && (hashed == 0 || hashed == total),
        "{hashed} of {total}"
    );
    let has_numbers = hashed == 0;
    assert_eq!(notices(scene).await, usize::from(has_numbers));
    (has_text, has_record, has_numbers)
}

/// What a hold has sealed: whether a text, whether a record.
async fn sealed(scene: &Scene, id: u32) -> (bool, bool) {
    let reason = "matter 17".to_owned();
    let told = scene.matter(Matter::HoldShow { id, reason }).await.unwrap();
    let told = Value::Object(told).to_string();
    (told.contains(HELD_TEXT), told.contains(HELD))
}

/// Each file of the data, by name and content.
fn nothing_is_plain(scene: &Scene, when: &str) {
    let all = [TO, ERASED, HELD, STOPPED, TEXT, ERASED_TEXT, HELD_TEXT, WRITTEN];
    let data = scene.local.dir.path().join("data");
    assert_eq!(found_in(&data, &all), [""; 0], "{when}");
}

/// Somebody asks the platform, which the account is told; the account asks for what is kept of somebody, and has another erased.
async fn people_ask(scene: &Scene, story: &Story, erased: &str) {
    let asked = scene.open(Right::Access, Asker::Recipient, None, TO).await;
    scene.verify(asked).await;
    assert_eq!(scene.run(asked).await.unwrap()["state"], "pointed");
    let (number, how) = (1, "e-mail".to_owned());
    scene
        .ask(Verb::Notice(Noticing::Sent { number, how }))
        .await
        .unwrap();

    let report = json!(scene.report().await).to_string();
    let (_, has_text, ..) = story.at(0);
    for (told, is_there) in [
        (TO, true),
        (TEXT, has_text),
        (WRITTEN, has_text),
        (ERASED, false),
        (HELD_TEXT, false),
    ] {
        assert_eq!(report.contains(told), is_there, "{told}: {report}");
    }

    let erasure = scene
        .open(Right::Erase, Asker::Account, Some("load"), ERASED)
        .await;
    scene.verify(erasure).await;
    scene.run(erasure).await.unwrap();
    assert!(scene.show(erased).await.is_err(), "gone for every reader");
    scene.retain(Retain::Sweep).await.unwrap();
    scene.until_it_is(erasure, "done").await;
}

async fn tell(story: &Story) {
    let account = format!(
        "retention_profile = \"{}\"\nbrand = \"shoes\"\nopt_out_scope = \"account\"",
        story.profile
    );
    let mut scene = Scene::with(Changes {
        account: &account,
        extra: SUCCESSOR,
        ..Changes::default()
    })
    .await;
    let ids = traffic(&mut scene).await;
    let began_ms = scene.clock.now().unix_ms;
    let [id, erased, held] = &ids[..] else {
        unreachable!()
    };
    nothing_is_plain(&scene, "as it came");
    let to_who_stopped = || message(FROM, STOPPED, "after the STOP");
    assert_eq!(scene.esme.submit_refused(to_who_stopped()).await, OPTED_OUT);
    assert!(!is_blocked(&scene, "heir").await, "it was not said to that");
    people_ask(&scene, story, erased).await;
    let hold = scene.hold("2026/17", HELD).await;

    let mut is_closed = false;
    for (n, stage) in (1..).zip(story.stages) {
        let (day, ..) = *stage;
        // Each an hour later in its day than the one before, since time passes for real, too.
        scene.set(began_ms + day * DAY_MS + n * 3_600_000);
        if day >= CLOSED && !is_closed {
            let (_, has_text, has_record, _) = story.at(CLOSED - 1);
            scene.retain(Retain::ConfirmClock).await.unwrap();
            let export = made(&scene, What::Texts, Format::Jsonl).await;
            let handed_over = rows(&scene, export).await.unwrap();
            assert_eq!(
                (handed_over.contains(TEXT), handed_over.contains(TO)),
                (has_text, has_record)
            );
            assert!(!handed_over.contains(ERASED));
            close(&scene, Some(export)).await.unwrap();
            is_closed = true;
        }
        let (_, has_text, has_record, _) = *stage;
        // While there is a hold that may be about the account, nothing goes that is the account's own (LEG-1).
        let expected = (has_text, has_record, true);
        let when = format!("{}, day {day}", story.profile);
        assert_eq!(read(&scene, id).await, expected, "{when}, without a sweep");
        if !is_closed {
            let state = ask_esme(&mut scene.esme, query(id, FROM)).await.status();
            assert_eq!(
                state,
                CommandStatus::RQUERYFAIL,
                "{when}: what has ended is as good as unknown"
            );
        }
        scene.sweep_at(scene.clock.now().unix_ms).await;
        assert_eq!(read(&scene, id).await, expected, "{when}, swept");
        // What is held is the legal reader's only from its date on, and all of it is kept.
        let (_, was_kept, ..) = story.at(0);
        assert_eq!(
            sealed(&scene, hold).await,
            (was_kept && !has_text, !has_record),
            "{when}, held"
        );
        assert!(scene.show(erased).await.is_err(), "{when}");
        assert!(is_blocked(&scene, "load").await && is_blocked(&scene, "heir").await == is_closed);
    }
    end(scene, story, (id, held, hold)).await;
}

/// Two years later: what was held goes with its release, what no date ends with an order, and of the account nothing is left but
/// what is to stay.
async fn end(mut scene: Scene, story: &Story, (id, held, hold): (&str, &str, u32)) {
    nothing_is_plain(&scene, "at the end");
    let (.., has_record, has_account) = *story.stages.last().unwrap();
    scene.release(hold).await.unwrap();
    assert_eq!(scene.vault(), 0);
    assert_eq!(scene.show(held).await.is_ok(), has_record);
    if has_record {
        for number in [TO, HELD, STOPPED] {
            let order = Matter::EraseAdd {
                to: format!("+{number}"),
                account: None,
                reason: "deleted".to_owned(),
            };
            scene.matter(order).await.unwrap();
        }
    }
    // What an order empties is a file that the next one removes.
    for _ in 0..2 {
        scene.retain(Retain::Sweep).await.unwrap();
    }
    for id in [id, held] {
        assert!(scene.show(id).await.is_err());
    }
    if !has_account {
        // Its date had come long before; the hold was all that kept it.
        assert_eq!(read(&scene, id).await, (false, false, false));
    }
    let stats = scene.retain(Retain::Stats { account: None }).await.unwrap();
    assert_eq!(stats["messages"] != 0, story.is_counted, "{stats:?}");
    // Who has opted out stays so, for the account's successor, too.
    let mut heir = ScriptedEsme::bound(scene.local.esme(), "heir", "secret").await;
    let refused = heir.submit_refused(message(FROM, STOPPED, "a new name")).await;
    assert_eq!(refused, OPTED_OUT);
    scene.local.stop();

    let ring = ring_of(scene.local.dir.path());
    assert_eq!(texts_of(&scene.history(), &ring), 0);
    assert_eq!(ring.periods().count() + ring.holds().count(), 0);
    assert_eq!(blocks(&scene.history(), ""), 0);
    assert!(has_account || !ring.has_opt_outs(), "nobody's number opens");
    nothing_is_plain(&scene, "behind it all");
    let dir = scene.local.dir.path().join("data/audit");
    let key = public_key(&RealDisk, &dir).unwrap().unwrap();
    let own = dir.join(CHECKPOINTS_DIR);
    let verdict = verify(&RealDisk, &dir, &[&own], None, &key).unwrap();
    assert!(verdict.first_bad.is_none() && verdict.entries > 50, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_instruction_bound_from_its_first_message_to_two_years_later() {
    tell(&Story {
        profile: "instruction-bound",
        stages: &[
            (0, true, true, true),
            (13, true, true, true),
            (15, false, true, true),
            (CLOSED, false, true, true),
            (CLOSED + 59, false, true, true),
            (CLOSED + 61, false, true, false),
            (98, false, false, false),
        ],
        is_counted: true,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clo_c03_an_account_of_as_instructed_from_its_first_message_to_two_years_later() {
    tell(&Story {
        profile: "as-instructed",
        stages: &[
            (0, false, true, true),
            (19, false, true, true),
            (CLOSED, false, false, true),
            (CLOSED + 59, false, false, true),
            (CLOSED + 61, false, false, false),
            (740, false, false, false),
        ],
        is_counted: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_anonymise_30_from_its_first_message_to_two_years_later() {
    tell(&Story {
        profile: "anonymise-30",
        stages: &[
            (0, true, true, true),
            (19, true, true, true),
            (CLOSED, true, true, false),
            (29, true, true, false),
            (32, false, false, false),
            (740, false, false, false),
        ],
        is_counted: true,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clo_c02_an_account_of_fixed_term_from_its_first_message_to_two_years_later() {
    tell(&Story {
        profile: "fixed-term",
        stages: &[
            (0, true, true, true),
            (CLOSED, true, true, true),
            (CLOSED + 29, true, true, true),
            (CLOSED + 30, true, true, false),
            (91, false, true, false),
            (740, false, false, false),
        ],
        is_counted: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_until_deleted_from_its_first_message_to_two_years_later() {
    tell(&Story {
        profile: "until-deleted",
        stages: &[
            (0, true, true, true),
            (CLOSED, true, true, true),
            (740, true, true, true),
        ],
        is_counted: false,
    })
    .await;
}
