//! The retention sweep on a gateway with real files and sockets, whose wall clock is set by the test.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Map, Value, json};
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{EsmClass, MessageState};
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::{self, Find, Reading, Retain, Steer, Verb};
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{Cursor, History, Kept, Query};
use tidegate_store::keyring::{Kek, KeyRing, KeyRingError, PIECE, Tier};
use tidegate_store::seal::Purpose;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::ancillary::{ask as ask_esme, query};
use crate::control::tidegate;
use crate::local::{Changes, Local};

pub(crate) const FROM: &str = "447700900001";
pub(crate) const TO: &str = "447700900123";
pub(crate) const TEXT: &str = "canary text that goes";
pub(crate) const DAY_MS: u64 = 24 * 3_600_000;

pub(crate) type Answer = Result<Map<String, Value>, String>;

/// A gateway by a clock of the test's, with a carrier and a client.
pub(crate) struct Scene {
    pub(crate) local: Local,
    pub(crate) clock: Clock,
    pub(crate) smsc: ScriptedSmsc,
    pub(crate) esme: ScriptedEsme,
}

impl Scene {
    pub(crate) async fn new(account: &str) -> Self {
        Self::with(Changes {
            account,
            ..Changes::default()
        })
        .await
    }

    pub(crate) async fn with(changes: Changes<'_>) -> Self {
        let mut smsc = ScriptedSmsc::listen().await;
        let mut local = Local::start_with(smsc.addr(), changes);
        smsc.expect_binds(1).await;
        local.stop();
        let clock = Clock::virtual_from(Clock::machine().now().unix_ms);
        local.start_at(clock.clone());
        smsc.expect_binds(1).await;
        Self::bound(local, clock, smsc).await
    }

    /// The same at a time of which the test says what it is, from its first start on.
    pub(crate) async fn new_at(account: &str, unix_ms: u64) -> Self {
        let mut smsc = ScriptedSmsc::listen().await;
        let changes = Changes {
            account,
            ..Changes::default()
        };
        let clock = Clock::virtual_from(unix_ms);
        let local = Local::start_with_clock(smsc.addr(), changes, clock.clone());
        smsc.expect_binds(1).await;
        Self::bound(local, clock, smsc).await
    }

    /// With a client bound to a gateway that runs.
    pub(crate) async fn bound(local: Local, clock: Clock, smsc: ScriptedSmsc) -> Self {
        let esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
        Self {
            local,
            clock,
            smsc,
            esme,
        }
    }

    /// Ends the gateway and starts it again.
    pub(crate) fn restart(&mut self) {
        self.local.stop();
        self.local.start_at(self.clock.clone());
    }

    /// Binds another client in the place of the one before.
    pub(crate) async fn bind(&mut self) {
        self.esme = ScriptedEsme::bound(self.local.esme(), "load", "secret").await;
    }

    pub(crate) async fn ask(&self, verb: Verb) -> Answer {
        let data = self.local.dir.path().join("data");
        let asked = tokio::task::spawn_blocking(move || control::ask(&data, &verb));
        asked.await.unwrap().map_err(|error| error.to_string())
    }

    pub(crate) async fn retain(&self, retain: Retain) -> Answer {
        self.ask(Verb::Retain(retain)).await
    }

    /// The message with its text, for a purpose.
    pub(crate) async fn show(&self, id: &str) -> Answer {
        let reading = Reading::read(Some("legal".to_owned()), Some("matter 1".to_owned())).unwrap();
        self.ask(Verb::Steer(Steer::MessageShow {
            id: id.to_owned(),
            account: None,
            reading,
        }))
        .await
    }

    /// Asks until it says what is looked for.
    async fn until(&self, retain: Retain, is_it: impl Fn(&Map<String, Value>) -> bool) -> Map<String, Value> {
        let looking = async {
            loop {
                match self.retain(retain.clone()).await {
                    Ok(told) if is_it(&told) => return told,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(told) => told,
            Err(_) => panic!("{retain:?}: {:?}", self.retain(retain.clone()).await),
        }
    }

    /// A message on its way to its receipt; its id, and when it had just been accepted. It is filed then.
    pub(crate) async fn deliver(&mut self, carrier_id: &str) -> (String, u64) {
        self.deliver_to(carrier_id, TO, TEXT).await
    }

    /// The same to another number.
    pub(crate) async fn deliver_to(&mut self, carrier_id: &str, to: &str, text: &str) -> (String, u64) {
        let id = self.esme.submit_ok(message(FROM, to, text)).await;
        let accepted_ms = self.clock.now().unix_ms;
        let submit = self.smsc.expect_submit().await;
        self.smsc.answer(&submit, carrier_id).await;
        self.smsc
            .receipt(&submit, carrier_id, MessageState::Delivered, Dialect::Both)
            .await;
        self.esme.expect_receipt(&id).await;
        let looking = async {
            loop {
                match self.show(&id).await {
                    Ok(told) if told["is_finished"] == true => return,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, looking)
            .await
            .expect("it is filed");
        (id, accepted_ms)
    }

    /// Has the wall clock say this now.
    pub(crate) fn set(&self, unix_ms: u64) {
        let now_ms = self.clock.now().unix_ms;
        self.clock
            .set_wall_by(i64::try_from(unix_ms).unwrap() - i64::try_from(now_ms).unwrap());
    }

    pub(crate) fn history(&self) -> std::path::PathBuf {
        self.local.dir.path().join("data/history")
    }

    async fn found(&self) -> usize {
        let find = Find {
            account: "load".to_owned(),
            to: None,
            since_ms: Some(0),
            until_ms: None,
            limit: None,
            reading: None,
        };
        let told = self.ask(Verb::Steer(Steer::MessageFind(find))).await.unwrap();
        told["messages"].as_array().unwrap().len()
    }

    /// What the audit log holds of sweeps: outcome, class of data or file.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        use tidegate_store::audit::{Field, Kind, Value as Held, read};
        let mut found = Vec::new();
        let dir = self.local.dir.path().join("data/audit");
        read(&RealDisk, &dir, |logged| {
            let text = |field: Field| {
                let mut details = logged.entry.details.iter();
                details.find_map(|(of, held)| match held {
                    Held::Word(word) if *of == field => Some(word.as_str().to_owned()),
                    _ => None,
                })
            };
            if logged.entry.kind == Kind::Sweep {
                let what = text(Field::Scope)
                    .or_else(|| text(Field::File))
                    .unwrap_or_default();
                found.push((text(Field::Outcome).unwrap(), what));
            }
        })
        .unwrap();
        found
    }
}

fn due_lots(told: &Map<String, Value>, class: &str) -> u64 {
    let rows = told["accounts"].as_array().unwrap().iter();
    let of_class = rows.filter(|row| row["class"] == class);
    of_class.filter_map(|row| row["due_lots"].as_u64()).sum()
}

pub(crate) fn text_of(told: &Answer) -> Value {
    told.as_ref().unwrap()["legs"][0]["text"].clone()
}

pub(crate) fn ring_of(dir: &Path) -> KeyRing<RealDisk> {
    let kek = |name: &str| Kek::read(&RealDisk, &dir.join("kek").join(name)).unwrap();
    let mut ring = KeyRing::open(&RealDisk, &dir.join("keys"), kek("kek")).unwrap();
    for tier in Tier::ALL
        .into_iter()
        .filter(|tier| ring.has_mark(*tier))
        .collect::<Vec<_>>()
    {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        ring.attach(&RealDisk, tier, kek(tier.word()), 0, &mut rng)
            .unwrap();
    }
    ring
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Files of blocks of a class.
pub(crate) fn blocks(history: &Path, class: &str) -> usize {
    let groups = fs::read_dir(history).unwrap().map(|entry| entry.unwrap().path());
    groups
        .filter(|group| group.is_dir() && group.file_name().unwrap().to_string_lossy().starts_with(class))
        .flat_map(|group| fs::read_dir(group).unwrap())
        .filter(|file| file.as_ref().unwrap().path().extension() == Some("blocks".as_ref()))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c01_a_body_is_gone_at_its_date_and_after_the_sweep_for_every_copy_of_the_files() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    let due_ms = accepted_ms + 90 * DAY_MS;
    // Time passes for real between two looks.
    scene.set(due_ms - 20_000);
    assert_eq!(text_of(&scene.show(&id).await)["shown"], TEXT);
    scene.set(due_ms);
    assert_eq!(text_of(&scene.show(&id).await), Value::Null);
    let planned = scene
        .until(Retain::Plan, |told| due_lots(told, "body") == 1)
        .await;
    assert_eq!(
        (due_lots(&planned, "meta"), &planned["clock_believed"]),
        (0, &json!(false))
    );
    // No sweep has run: the clock jumped.
    let refused = scene.retain(Retain::Sweep).await.unwrap_err();
    assert!(refused.contains("confirm-clock"), "{refused}");
    assert_eq!(blocks(&scene.history(), "body-"), 1);
    let older = scene.local.dir.path().join("older");
    copy(&scene.history(), &older);
    let earlier = scene.local.dir.path().join("earlier");
    copy(&scene.local.dir.path().join("keys"), &earlier);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(
        (
            &swept["lots"],
            &swept["records"],
            &swept["files"],
            &swept["counted"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(0)),
        "{swept:?}"
    );
    let told = scene.show(&id).await;
    assert_eq!(text_of(&told), Value::Null);
    // RET-C02: of the same message all else is there.
    let leg = &told.unwrap()["legs"][0];
    assert_eq!((&leg["to"], &leg["state"]), (&json!(TO), &json!("DELIVRD")));
    let again = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!((&again["lots"], &again["files"]), (&json!(0), &json!(0)));
    let expected = [
        ("sweep begins", ""),
        ("begun", "body"),
        ("erased", "body"),
        ("removed", "body-P90D"),
        ("sweep ends", ""),
    ];
    let entries = scene.entries();
    assert_eq!(entries.len(), expected.len(), "{entries:?}");
    for ((outcome, what), (is, starts)) in entries.iter().zip(expected) {
        assert!(outcome == is && what.starts_with(starts), "{entries:?}");
    }
    scene.local.stop();
    // NOKEY: by today's ring neither today's files hold it nor an older copy of them.
    let dir = scene.local.dir.path();
    let mut ring = ring_of(dir);
    let classes: Vec<u8> = ring.periods().map(|(owner, _)| owner.class).collect();
    assert_eq!(classes, [Kept::Meta as u8]);
    for (files, lots_of_bodies) in [(&scene.history(), 0), (&older, 1)] {
        let mut history = History::open(RealDisk, files.clone(), None).unwrap();
        let bodies: Vec<_> = history
            .periods()
            .filter(|file| file.class == Kept::Body)
            .cloned()
            .collect();
        let lots: Vec<_> = bodies
            .iter()
            .flat_map(|file| history.lots(file, &ring).unwrap())
            .collect();
        assert_eq!(lots.len(), lots_of_bodies);
        assert!(lots.iter().all(|lot| !lot.is_there));
        assert_eq!(texts_of(files, &ring), 0);
    }
    // An earlier copy of the ring holds the key still, under the key-encryption key of that day,
    let then = Kek::read(&RealDisk, &dir.join("kek/kek")).unwrap();
    let before = KeyRing::open(&RealDisk, &earlier, then).unwrap();
    assert_eq!(
        texts_of(&older, &before),
        1,
        "what makes the rest of this mean something"
    );
    let slots: Vec<Vec<u8>> = [&earlier, &dir.join("keys")]
        .into_iter()
        .flat_map(|ring| wrapped_in(ring))
        .collect();
    // and when that is rotated and destroyed, today's opens nothing of it (KEY-C04).
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let now_ms = scene.clock.now().unix_ms;
    let new = [0x5A; 32];
    ring.begin_rotation(Kek::new(&new), now_ms, &mut rng).unwrap();
    while ring.is_rotating() {
        ring.rotate_piece(PIECE, &mut rng).unwrap();
    }
    drop(ring);
    let told = KeyRing::open(&RealDisk, &earlier, Kek::new(&new))
        .map(drop)
        .unwrap_err();
    assert!(matches!(told, KeyRingError::WrongKek { .. }), "{told}");
    let ring = KeyRing::open(&RealDisk, &dir.join("keys"), Kek::new(&new)).unwrap();
    assert_eq!(
        (texts_of(&scene.history(), &ring), texts_of(&older, &ring)),
        (0, 0)
    );
    let metas: Vec<_> = ring.periods().collect();
    assert_eq!(metas.len(), 1, "what is not due opens");
    // No key lies in the data, wrapped or not.
    let slots: Vec<Vec<u8>> = slots.into_iter().chain(wrapped_in(&dir.join("keys"))).collect();
    assert!(slots.len() > 10);
    for path in files_of(&dir.join("data")) {
        let octets = fs::read(&path).unwrap();
        let end = octets
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |at| at + 1);
        for slot in &slots {
            let is_there = octets[..end].windows(16).any(|window| window == &slot[..16]);
            assert!(!is_there, "a wrapped key is in {}", path.display());
        }
    }
}

/// How many texts of history files a ring opens.
pub(crate) fn texts_of(files: &Path, ring: &KeyRing<RealDisk>) -> usize {
    let mut history = History::open(RealDisk, files.to_owned(), None).unwrap();
    let query = Query::Account {
        account: "load".parse().unwrap(),
        from_ms: 0,
        to_ms: u64::MAX >> 1,
    };
    let (mut cursor, mut texts) = (Some(Cursor::default()), 0);
    while let Some(at) = cursor {
        let looked = history
            .look(&query, Kept::Body, at, ring, Purpose::Legal)
            .unwrap();
        texts += looked.texts.len();
        cursor = looked.next;
    }
    texts
}

/// What is wrapped in the slots of a ring's first file.
fn wrapped_in(ring: &Path) -> Vec<Vec<u8>> {
    let octets = fs::read(ring.join("ring.a")).unwrap();
    let slots = octets[512..].chunks(128).filter(|slot| slot[8] == 1);
    slots.map(|slot| slot[64..124].to_vec()).collect()
}

fn files_of(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_of(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// RET-4: nothing is swept while the clock is doubted, and what is due is gone for `message find` as for all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_and_not_swept_takes_no_place_of_what_may_be_read() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    // More of them than are asked for.
    scene.deliver("c-1").await;
    let (_, accepted_ms) = scene.deliver("c-2").await;
    scene.set(accepted_ms + 740 * DAY_MS);
    let (id, _) = scene.deliver("c-3").await;
    let find = Find {
        account: "load".to_owned(),
        to: None,
        since_ms: Some(0),
        until_ms: None,
        limit: Some(1),
        reading: None,
    };
    let told = scene.ask(Verb::Steer(Steer::MessageFind(find))).await.unwrap();
    let messages = told["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["id"]), (1, &json!(id)), "{told:?}");
    assert_eq!(told["has_more"], json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c02_after_its_last_date_nothing_is_left_and_a_late_receipt_makes_nothing() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    scene.set(accepted_ms + 91 * DAY_MS);
    assert_eq!(scene.found().await, 1);
    // Two years and the rest of a week: its key is a week's.
    scene.set(accepted_ms + 740 * DAY_MS);
    assert_eq!(scene.found().await, 0);
    scene.show(&id).await.unwrap_err();
    scene
        .until(Retain::Plan, |told| due_lots(told, "meta") == 1)
        .await;
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(
        (&swept["lots"], &swept["files"]),
        (&json!(2), &json!(2)),
        "{swept:?}"
    );
    assert_eq!(scene.retain(Retain::Plan).await.unwrap()["rows"], json!([]));
    assert_eq!(
        (
            blocks(&scene.history(), "body-"),
            blocks(&scene.history(), "meta-")
        ),
        (0, 0)
    );
    let answer = ask_esme(&mut scene.esme, query(&id, FROM)).await;
    assert_eq!(answer.status(), CommandStatus::RQUERYFAIL);
    // Its receipt once more, and that of another: the carrier has kept them for two years.
    for carrier_id in ["c-1", "c-2"] {
        let text = format!(
            "id:{carrier_id} sub:001 dlvrd:001 submit date:2611240000 done date:2611240000 stat:DELIVRD err:000 text:"
        );
        let sm = Sm {
            esm_class: EsmClass::RECEIPT,
            short_message: ShortMessage::new(text.as_bytes()).unwrap(),
            ..message(TO, FROM, "")
        };
        let link = scene.smsc.bound()[0];
        let sequence = scene.smsc.deliver(link, sm).await;
        assert_eq!(scene.smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    }
    let (other, _) = scene.deliver("c-3").await;
    assert_ne!(other, id);
    assert_eq!(scene.found().await, 1, "of the other message only");
    // No DLR came before the other's, which `deliver` has taken.
    let frames = scene.esme.unbind().await;
    assert!(
        frames
            .iter()
            .all(|frame| frame.pdu().operation.command_id() != CommandId::DELIVER_SM),
        "{}",
        frames.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c04_what_is_anonymised_leaves_statistics_and_nothing_else() {
    let mut scene = Scene::new("retention_profile = \"anonymise-30\"").await;
    let mut ids = Vec::new();
    for place in 0..3 {
        ids.push(scene.deliver(&format!("c-{place}")).await);
    }
    let (_, first_ms) = ids[0];
    scene.set(first_ms + 30 * DAY_MS - 60_000);
    assert_eq!(scene.found().await, 3);
    let stats = Retain::Stats { account: None };
    assert_eq!(scene.retain(stats.clone()).await.unwrap()["messages"], 0);
    scene.set(first_ms + 31 * DAY_MS);
    assert_eq!(scene.found().await, 0, "with no sweep");
    scene
        .until(Retain::Plan, |told| {
            due_lots(told, "meta") >= 1 && due_lots(told, "body") >= 1
        })
        .await;
    scene.retain(Retain::ConfirmClock).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(scene.retain(Retain::Plan).await.unwrap()["files"], 0);
    let told = scene.retain(stats.clone()).await.unwrap();
    assert_eq!(told["messages"], 3);
    let rows = told["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["status"] == "DELIVRD" && row["account"] == "load" && row["network"] == "other"),
        "{rows:?}"
    );
    for (id, _) in &ids {
        scene.show(id).await.unwrap_err();
    }
    // Once, over another sweep and a restart; of another account nothing.
    scene.retain(Retain::Sweep).await.unwrap();
    scene.restart();
    assert_eq!(scene.retain(stats).await.unwrap()["messages"], 3);
    let other = Retain::Stats {
        account: Some("other".to_owned()),
    };
    assert_eq!(scene.retain(other).await.unwrap()["messages"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c15_a_clock_that_jumps_removes_nothing_and_one_that_is_set_back_brings_nothing_back() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    scene.set(accepted_ms + 400 * DAY_MS);
    scene
        .until(Retain::Plan, |told| due_lots(told, "body") == 1)
        .await;
    for _ in 0..2 {
        let refused = scene.retain(Retain::Sweep).await.unwrap_err();
        assert!(refused.contains("has jumped"), "{refused}");
    }
    // A restart does not take it for granted, either.
    scene.restart();
    let refused = scene.retain(Retain::Sweep).await.unwrap_err();
    assert!(refused.contains("has jumped"), "{refused}");
    let (_, page) = tidegate_metrics(&scene).await;
    assert!(page.contains("\ntidegate_retention_clock_doubted 1\n"), "{page}");
    assert!(
        page.contains("\ntidegate_swept_lots_total{class=\"body\"} 0\n"),
        "{page}"
    );
    assert_eq!(blocks(&scene.history(), "body-"), 1);
    // It was wrong: nothing is lost, and sweeps go on without a word.
    scene.set(accepted_ms + 60_000);
    assert_eq!(text_of(&scene.show(&id).await)["shown"], TEXT);
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(swept["lots"], 0);
    // It is right: what is due goes, and an hour back nothing is there again.
    scene.set(accepted_ms + 90 * DAY_MS + 60_000);
    let confirmed = scene.retain(Retain::ConfirmClock).await.unwrap();
    assert_eq!(confirmed["was_doubted"], true);
    assert_eq!(text_of(&scene.show(&id).await), Value::Null);
    scene.set(accepted_ms + 90 * DAY_MS - 3_600_000);
    assert_eq!(text_of(&scene.show(&id).await), Value::Null);
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(swept["lots"], 1, "by the latest time that was believed");
    let (done, page) = tidegate_metrics(&scene).await;
    assert!(
        done && page.contains("\ntidegate_retention_clock_doubted 0\n"),
        "{page}"
    );
    assert!(
        page.contains("\ntidegate_swept_lots_total{class=\"body\"} 1\n"),
        "{page}"
    );
}

/// The metrics page, and whether there is one.
async fn tidegate_metrics(scene: &Scene) -> (bool, String) {
    let address = scene.local.http();
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let text = answer.await.unwrap();
    (text.starts_with("HTTP/1.1 200"), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_plans_sweeps_confirms_and_counts() {
    let smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    for (words, told) in [
        (&["retention", "plan"][..], "files: 0"),
        (&["retention", "sweep"], "lots: 0"),
        (&["retention", "confirm-clock"], "was believed already"),
        (&["stats", "--account", "load"], "messages: 0"),
    ] {
        let output = tidegate(&process, words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains(told),
            "{words:?}: {text}"
        );
    }
    let log = tidegate(&process, &["audit", "list", "--kind", "operator-verb"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    for (verb, entries) in [
        ("retention sweep", 2),
        ("retention confirm-clock", 2),
        ("retention plan", 0),
    ] {
        assert_eq!(log.matches(verb).count(), entries, "{verb}: {log}");
    }
}
