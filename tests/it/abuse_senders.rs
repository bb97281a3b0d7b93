//! Single senders of an account that are suspended, by a rule or by hand (compliance.md FRD-5).

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::pdu::multi::Destination;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::MessageState;
use tidegate_gateway::abuse::Outcome;
use tidegate_gateway::control::{Casing, MeantSender, Steer, Verb};
use tidegate_gateway::orders::{Halt, SENDERS_MAX, Sender};
use tidegate_store::audit::{Field, Kind, Value as Held, read};
use tidegate_store::disk::RealDisk;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, ScriptedEsme, ScriptedSmsc};

use crate::abuse::{
    BAD_LINK, case, case_with, code, cut_off, decide, notices, restore, screened, so_many_steps, steps, trip,
};
use crate::ancillary::{ask, multi_of, number, outcome, query, replace, replacement};
use crate::control::{logged, ran};
use crate::local::{Changes, Local};
use crate::steered::{account, audit, refused, steer};
use crate::sweeps::{FROM, Scene, TEXT, TO};

const SUSPENDED: CommandStatus = CommandStatus(0x0404);
const RUN_OF_3: &str = "abuse = { run = 3, run_action = \"suspend_sender\" }";
/// Another sender of the same account.
const OTHER: &str = "447700900777";
const A_WHILE: Duration = Duration::from_millis(60);

fn suspend(sender: &str) -> Steer {
    Steer::SenderSuspend {
        account: "load".to_owned(),
        sender: sender.to_owned(),
    }
}

fn restore_sender(sender: MeantSender) -> Steer {
    Steer::SenderRestore {
        account: "load".to_owned(),
        sender,
    }
}

fn address(sender: &str) -> MeantSender {
    MeantSender::Address(sender.to_owned())
}

fn named(told: &Value) -> MeantSender {
    MeantSender::Named(Sender::read(told.as_str().unwrap()).unwrap())
}

fn halt(is_halted: bool) -> Steer {
    let carrier = "sink".to_owned();
    if is_halted {
        let how = Halt::Pause;
        Steer::CarrierHalt { carrier, how }
    } else {
        Steer::CarrierResume { carrier }
    }
}

/// From a name, as SMPP writes one.
fn from_name<'a>(name: &'a str, to: &'a str, text: &'a str) -> Sm<'a> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, name.as_bytes()).unwrap(),
        ..message("1", to, text)
    }
}

/// Whether the audit log names this pseudonym as the sender of a case or of an operator's verb: so often.
fn entered(scene: &Scene, sender: &str) -> usize {
    let mut found = 0;
    let dir = scene.local.dir.path().join("data/audit");
    read(&RealDisk, &dir, |logged| {
        let is_it = |held: &Held| matches!(held, Held::Pseudonym(octets) if Sender::read(sender).unwrap().octets() == octets);
        let mut details = logged.entry.details.iter();
        if matches!(logged.entry.kind, Kind::AbuseCase | Kind::OperatorVerb)
            && details.any(|(of, held)| *of == Field::Sender && is_it(held))
        {
            found += 1;
        }
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_a_rule_suspends_one_sender_with_notice_until_a_person_takes_it_back() {
    let mut scene = Scene::new(RUN_OF_3).await;
    // Accepted, and waiting for its carrier, when its sender is suspended: it goes on, as of an account.
    scene.ask(Verb::Steer(halt(true))).await.unwrap();
    let waiting = scene
        .esme
        .submit_ok(message(FROM, "447700910999", "accepted before"))
        .await;
    scene.ask(Verb::Steer(halt(false))).await.unwrap();
    let first = scene.smsc.expect_submit_of("accepted before").await;
    trip(&mut scene).await;
    // From the signal on, whatever it is; and nobody is unbound.
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        SUSPENDED
    );
    let opened = case_with(&scene, |case| case["notice"] == 1).await;
    let sender = opened["sender"].as_str().unwrap().to_owned();
    assert_eq!(
        [&opened["state"], &opened["rule"], &opened["listed_as"]],
        [&json!("open"), &json!("run"), &Value::Null]
    );
    assert_eq!(scene.esme.submit_refused(code("447700950001")).await, SUSPENDED);
    // The account's other senders go on, codes included.
    let of_other = Sm {
        source: number(OTHER),
        ..code("447700960001")
    };
    scene.esme.submit_ok(of_other).await;
    scene.smsc.expect_submit().await;
    scene.esme.submit_ok(from_name("ACME", TO, "by a name")).await;
    scene.smsc.expect_submit_of("by a name").await;
    // Receipts of what it had sent, and what handsets write to it, come as ever.
    scene.smsc.answer(&first, "c-first").await;
    let (state, dialect) = (MessageState::Delivered, Dialect::Both);
    scene.smsc.receipt(&first, "c-first", state, dialect).await;
    scene.esme.expect_receipt(&waiting).await;
    let link = *scene.smsc.bound().last().unwrap();
    let sequence = scene.smsc.deliver(link, message(TO, FROM, "STOP")).await;
    assert_eq!(scene.smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);

    let told = notices(&scene).await;
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains("one of the senders") && text.contains("ask for a review") && text.contains("case 1"),
        "{text}"
    );
    assert!(!text.contains(FROM) && !text.contains(&sender), "{text}");
    let show = Steer::AccountShow {
        account: "load".to_owned(),
    };
    let shown = scene.ask(Verb::Steer(show.clone())).await.unwrap();
    let row = &shown["suspended_senders"][0];
    assert_eq!(
        [
            &shown["state"],
            &shown["case"],
            &row["sender"],
            &row["case"],
            &row["by_case"],
            &row["by_operator"]
        ],
        [
            &json!("active"),
            &Value::Null,
            &json!(sender),
            &json!(1),
            &json!(true),
            &json!(false)
        ]
    );
    // Nobody restores it past the review; what an operator says of it besides stays.
    let order = Verb::Steer(restore_sender(named(&json!(sender))));
    assert!(scene.ask(order).await.unwrap_err().contains("case 1"));
    scene.restart();
    scene.bind().await;
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        SUSPENDED
    );
    let decided = decide(&scene, Outcome::Reversed).await.unwrap();
    assert_eq!(
        [&decided["sender"], &decided["is_suspended"]],
        [&json!(sender), &json!(false)]
    );
    let shown = scene.ask(Verb::Steer(show)).await.unwrap();
    assert_eq!(shown["suspended_senders"], json!([]));
    // What led to it counts no longer: with what was noted before this were the third in a row. STOP was heard meanwhile.
    scene.esme.submit_ok(code("447700900202")).await;
    let signals = case(&scene, Casing::Signals { account: None }).await.unwrap();
    assert_eq!(signals["signals"], json!([]));
    let stopped = scene.esme.submit_refused(message(FROM, TO, TEXT)).await;
    assert_eq!(stopped, CommandStatus(0x0401));
    case_with(&scene, |case| case["answer"] == 2).await;
    let steps: Vec<(String, bool)> = steps(&scene);
    let found: Vec<_> = steps.iter().map(|(what, by)| (what.as_str(), *by)).collect();
    let expected = [
        ("suspended", false),
        ("notice", false),
        ("reversed", true),
        ("restored", false),
        ("notice", false),
    ];
    assert_eq!(found, expected);
    // All of these, and that an operator tried: asked, and refused.
    assert_eq!(entered(&scene, &sender), expected.len() + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_what_one_sender_does_suspends_no_other_and_each_has_a_case_of_its_own() {
    let keys = "abuse = { watch = \"all\", number_limit = 0, prefix_limit = 0, run = 0, \
                suspect_numbers = [\"979\"], suspect_action = \"suspend_sender\" }";
    let mut scene = Scene::new(keys).await;
    let pumping = CommandStatus(0x0409);
    for sender in [FROM, OTHER] {
        let bad = message(sender, "979123456789", TEXT);
        assert_eq!(scene.esme.submit_refused(bad).await, pumping);
        assert_eq!(scene.esme.submit_refused(bad).await, SUSPENDED);
    }
    let both = async {
        while case(&scene, crate::abuse::all()).await.unwrap()["open"] != 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, both).await.expect("two cases");
    case_with(&scene, |case| case["notice"] != Value::Null).await;
    // The first is taken back, and the second stays.
    decide(&scene, Outcome::Reversed).await.unwrap();
    scene.esme.submit_ok(message(FROM, TO, "again")).await;
    scene.smsc.expect_submit_of("again").await;
    assert_eq!(
        scene.esme.submit_refused(message(OTHER, TO, TEXT)).await,
        SUSPENDED
    );
    let cases = case(&scene, crate::abuse::all()).await.unwrap();
    assert_eq!(cases["open"], 1);
    let rows = cases["cases"].as_array().unwrap();
    assert!(
        rows.len() == 2 && rows[0]["sender"] != rows[1]["sender"],
        "{rows:?}"
    );
    // An account that is restored has no say over its senders.
    restore(&scene).await.unwrap();
    assert_eq!(
        scene.esme.submit_refused(message(OTHER, TO, TEXT)).await,
        SUSPENDED
    );
}

/// Neither the orders' file can be written at first, nor then that of the notices, and each time the process ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_a_senders_suspension_that_was_cut_off_goes_on_at_the_next_start_and_nothing_slips_through() {
    let mut scene = Scene::new(RUN_OF_3).await;
    let (in_the_way, opened) = cut_off(&mut scene).await;
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        SUSPENDED
    );
    scene.esme.submit_ok(message(OTHER, TO, TEXT)).await;
    let refused = decide(&scene, Outcome::Reversed).await.unwrap_err();
    assert!(refused.contains("being suspended"), "{refused}");
    so_many_steps(&scene, 2).await;
    // So it is after a start that can write as little.
    scene.restart();
    scene.bind().await;
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        SUSPENDED
    );
    scene.esme.submit_ok(message(OTHER, TO, TEXT)).await;
    so_many_steps(&scene, 4).await;
    scene.local.stop();
    fs::remove_dir(&in_the_way[0]).unwrap();
    fs::create_dir(&in_the_way[1]).unwrap();
    scene.local.start_at(scene.clock.clone());
    let held = case_with(&scene, |case| case["suspended"] != Value::Null).await;
    assert_eq!(held["notice"], Value::Null);
    so_many_steps(&scene, 7).await;
    scene.local.stop();
    fs::remove_dir(&in_the_way[1]).unwrap();
    scene.local.start_at(scene.clock.clone());
    let told = case_with(&scene, |case| case["notice"] == 1).await;
    assert_eq!(
        (&told["opened"], &told["sender"]),
        (&opened["opened"], &opened["sender"])
    );
    assert_eq!(notices(&scene).await.len(), 1);
    scene.bind().await;
    assert_eq!(
        scene.esme.submit_refused(message(FROM, TO, TEXT)).await,
        SUSPENDED
    );
    // The files hold no number.
    for file in ["cases", "notices", "operator-orders"] {
        let kept = fs::read_to_string(scene.local.dir.path().join("data").join(file)).unwrap();
        assert!(!kept.contains("7700900001"), "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_an_operator_suspends_is_refused_in_every_form_and_waits_no_restart_out() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start_with(
        smsc.addr(),
        Changes {
            account: "country = \"GB\"\nsenders = [\"447700900001\", \"+447700900001\", \"07700900001\", \"447700900777\", \"ACME\", \"Acme\"]",
            ..Changes::default()
        },
    );
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    steer(&local, halt(true)).await;
    let waiting = esme.submit_ok(message(FROM, TO, "accepted before")).await;
    // As a person writes it.
    let told = steer(&local, suspend("+44 7700 900001".replace(' ', "").as_str())).await;
    let sender = told["sender"].clone();
    assert_eq!(steer(&local, suspend(FROM)).await["since"], told["since"]);
    let national = Sm {
        source: Address::new(Ton::NATIONAL, Npi::ISDN, b"07700900001").unwrap(),
        ..message(FROM, TO, TEXT)
    };
    let unknown = Sm {
        source: Address::new(Ton::UNKNOWN, Npi::UNKNOWN, b"+447700900001").unwrap(),
        ..message(FROM, TO, TEXT)
    };
    assert_eq!(esme.submit_refused(message(FROM, TO, TEXT)).await, SUSPENDED);
    assert_eq!(esme.submit_refused(unknown).await, SUSPENDED);
    assert_eq!(esme.submit_refused(national).await, SUSPENDED);
    let data_sm = DataSm {
        source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, FROM.as_bytes()).unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, TO.as_bytes()).unwrap(),
        tlvs: Tlvs::new(b"\x04\x24\x00\x01x"),
        ..DataSm::default()
    };
    assert_eq!(
        ask(&mut esme, Operation::DataSm(data_sm)).await.status(),
        SUSPENDED
    );
    let recipients = [
        Destination::Sme(number(TO)),
        Destination::Sme(number("447700900124")),
    ];
    let multi = multi_of(&mut esme, message(FROM, "", TEXT), &recipients).await;
    assert_eq!(multi.status(), SUSPENDED);
    let multi = multi_of(&mut esme, message(OTHER, "", TEXT), &recipients).await;
    assert_eq!(outcome(&multi).1, []);
    // Another text for what waits would come in that way; to ask and to call back is as ever.
    assert_eq!(
        replace(&mut esme, replacement(&waiting, "another text")).await,
        SUSPENDED
    );
    assert_eq!(
        ask(&mut esme, query(&waiting, FROM)).await.status(),
        CommandStatus::ROK
    );
    // A name is the same sender in other letters, too.
    steer(&local, suspend("ACME")).await;
    assert_eq!(esme.submit_refused(from_name("ACME", TO, TEXT)).await, SUSPENDED);
    assert_eq!(esme.submit_refused(from_name("Acme", TO, TEXT)).await, SUSPENDED);

    local.restart();
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    assert_eq!(esme.submit_refused(message(FROM, TO, TEXT)).await, SUSPENDED);
    esme.submit_ok(message(OTHER, TO, "of another")).await;
    steer(&local, halt(false)).await;
    smsc.expect_submit_of("accepted before").await;
    let load = account(&local, "load").await;
    assert_eq!(
        (&load["state"], &load["senders_suspended"]),
        (&json!("active"), &json!(2))
    );
    let show = Steer::AccountShow {
        account: "load".to_owned(),
    };
    let shown = steer(&local, show).await;
    let mut listed: Vec<_> = shown["suspended_senders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["listed_as"].as_str().unwrap(),
                row["by_operator"] == true,
                &row["case"],
            )
        })
        .collect();
    listed.sort_unstable_by_key(|(name, ..)| *name);
    assert_eq!(listed, [(FROM, true, &Value::Null), ("ACME", true, &Value::Null)]);

    // By what stands for it, or by its address; the second time there is nothing to take back.
    assert_eq!(
        steer(&local, restore_sender(named(&sender))).await["restored"],
        true
    );
    assert_eq!(
        steer(&local, restore_sender(address(FROM))).await["restored"],
        false
    );
    assert_eq!(
        steer(&local, restore_sender(address("ACME"))).await["restored"],
        true
    );
    esme.submit_ok(message(FROM, TO, "again")).await;
    esme.submit_ok(from_name("ACME", TO, "again, by its name")).await;
    for (order, said) in [
        (suspend(&"x".repeat(65)), "no sender"),
        (suspend(""), "no sender"),
    ] {
        let why = refused(&local, order).await;
        assert!(why.contains(said), "{why}");
    }
    // There is a bound, and it is said.
    for n in 0..SENDERS_MAX {
        steer(&local, suspend(&format!("NAME{n}"))).await;
    }
    let why = refused(&local, suspend("ONE MORE")).await;
    assert!(why.contains("take some back"), "{why}");
    local.stop();
    let log = audit(&local);
    for words in [
        "account suspend-sender",
        "account restore-sender",
        "asked",
        "done",
    ] {
        assert!(log.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_sender_is_one_after_a_kill_and_by_a_later_generation_of_its_pseudonym() {
    let (mut smsc, mut process) = logged(|config| config, "").await;
    let told = ran(&process, &["account", "suspend-sender", "load", "+447700900001"]);
    assert!(told.contains("is suspended since"), "{told}");
    process.kill();
    process.restart().await;
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    assert_eq!(esme.submit_refused(message(FROM, TO, TEXT)).await, SUSPENDED);
    // By whichever generation of the secret it goes, and that one cannot be retired.
    ran(&process, &["key", "rotate-suppression"]);
    assert_eq!(esme.submit_refused(message(FROM, TO, TEXT)).await, SUSPENDED);
    let told = crate::control::refused(&process, &["key", "retire-suppression", "1"]);
    assert!(told.contains("1 suspended senders"), "{told}");
    let counted = r#"tidegate_account_standing_refused_total{account="load",rule="sender"} 2"#;
    let page = process.metrics_with(counted).await;
    let gauge = r#"tidegate_account_suspended_senders{account="load"} 1"#;
    assert!(page.contains(gauge), "{page}");
    let told = ran(&process, &["account", "restore-sender", "load", FROM]);
    assert!(told.contains("may submit again"), "{told}");
    esme.submit_ok(message(FROM, TO, TEXT)).await;
    ran(&process, &["key", "retire-suppression", "1"]);
    process.kill();
    let log = process.stderr() + &process.stdout();
    assert!(!log.contains("7700900001") && !page.contains("7700900001"));
    let files = fs::read_dir(process.dir().join("data/audit")).unwrap();
    let mut files = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file());
    assert!(files.all(|path| !String::from_utf8_lossy(&fs::read(path).unwrap()).contains("7700900001")));
    smsc.expect_no_submit(A_WHILE).await;
}

/// Has the register of cases name each sender by a pseudonym of a generation that the ring has not, as one that is older than the
/// ring may.
fn of_another_generation(cases: &std::path::Path) {
    let text = fs::read_to_string(cases).unwrap();
    let mut register: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    for case in register["cases"].as_object_mut().unwrap().values_mut() {
        case["sender"] = json!(format!("{}09", case["sender"].as_str().unwrap()));
    }
    let line = register.to_string();
    let sum: String = Sha256::digest(line.as_bytes())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    fs::write(cases, format!("{line}\n{sum}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_whose_sender_nobody_can_name_any_more_says_that_nothing_is_suspended_and_so_does_its_notice()
{
    let mut scene = Scene::new(RUN_OF_3).await;
    let data = scene.local.dir.path().join("data");
    let in_the_way = data.join("operator-orders.new");
    fs::create_dir(&in_the_way).unwrap();
    trip(&mut scene).await;
    case_with(&scene, |case| case["suspended"].is_null()).await;
    so_many_steps(&scene, 2).await;
    scene.local.stop();
    fs::remove_dir(&in_the_way).unwrap();
    of_another_generation(&data.join("cases"));
    scene.local.start_at(scene.clock.clone());
    scene.esme = ScriptedEsme::bound(scene.local.esme(), "load", "secret").await;
    let told = case_with(&scene, |case| case["notice"] == 1).await;
    assert_eq!(
        [&told["state"], &told["suspended"]],
        [&json!("not suspended"), &Value::Null]
    );
    let why = told["not_suspended"].as_str().unwrap();
    assert!(why.contains("secret is gone"), "{why}");
    let notice = notices(&scene).await[0]["text"].as_str().unwrap().to_owned();
    assert!(
        notice.contains("not suspended") && notice.contains("case 1") && !notice.contains("0x0404"),
        "{notice}"
    );
    // Nothing is refused, and no order names it, which no start would take.
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    let orders = fs::read_to_string(data.join("operator-orders")).unwrap_or_default();
    assert!(!orders.contains("load"), "{orders}");
    // So it stays over a start, entered and told once.
    scene.local.stop();
    scene.local.start_at(scene.clock.clone());
    let again = case_with(&scene, |_| true).await;
    assert_eq!(again, told);
    let list = case(&scene, crate::abuse::all()).await.unwrap();
    assert_eq!(
        [&list["open"], &list["cases"][0]["state"]],
        [&json!(1), &json!("not suspended")]
    );
    let decided = decide(&scene, Outcome::Reversed).await.unwrap();
    assert_eq!(decided["is_suspended"], false);
    let over = case_with(&scene, |case| case["answer"] == 2).await;
    assert_eq!(over["state"], "reversed");
    let answer = notices(&scene).await[1]["text"].as_str().unwrap().to_owned();
    assert!(answer.contains("nothing was suspended"), "{answer}");
    let steps = steps(&scene);
    let found: Vec<&str> = steps.iter().map(|(what, _)| what.as_str()).collect();
    let expected = [
        "suspended",
        "suspension failed",
        "not suspended",
        "notice",
        "reversed",
        "signals forgotten",
        "notice",
    ];
    assert_eq!(found, expected);
}

/// As programs before wrote it, of a sender that they could not suspend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_that_was_filed_as_suspended_and_has_suspended_nobody_is_put_right_by_a_start() {
    let mut scene = Scene::new(RUN_OF_3).await;
    let data = scene.local.dir.path().join("data");
    trip(&mut scene).await;
    case_with(&scene, |case| case["notice"] == 1).await;
    scene.local.stop();
    of_another_generation(&data.join("cases"));
    fs::remove_file(data.join("operator-orders")).unwrap();
    scene.local.start_at(scene.clock.clone());
    scene.esme = ScriptedEsme::bound(scene.local.esme(), "load", "secret").await;
    let told = case_with(&scene, |case| case["notice"] == 2).await;
    assert_eq!(
        [&told["state"], &told["suspended"]],
        [&json!("not suspended"), &Value::Null]
    );
    let notices = notices(&scene).await;
    let notice = notices[1]["text"].as_str().unwrap();
    assert!(
        notice.contains("not suspended") && notice.contains("case 1"),
        "{notice}"
    );
    scene.esme.submit_ok(message(FROM, TO, TEXT)).await;
    let found = || {
        steps(&scene)
            .into_iter()
            .map(|(what, _)| what)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(), ["suspended", "notice", "not suspended", "notice"]);
}

/// FRD-4: what a text says, of one sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_a_rule_about_content_suspends_the_sender_of_the_text_and_nobody_else() {
    let (_rules, mut scene) = screened("suspend_sender", "senders = [\"ACME\", \"OTHER\"]").await;
    let later = Sm {
        schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
        ..from_name("ACME", TO, TEXT)
    };
    scene.esme.submit_ok(later).await;
    let bad = from_name("ACME", TO, BAD_LINK);
    assert_eq!(scene.esme.submit_refused(bad).await, CommandStatus(0x0407));
    assert_eq!(
        scene.esme.submit_refused(from_name("ACME", TO, TEXT)).await,
        SUSPENDED
    );
    scene.esme.submit_ok(from_name("OTHER", TO, TEXT)).await;
    let opened = case_with(&scene, |case| case["notice"] == 1).await;
    assert_eq!(
        [&opened["listed_as"], &opened["evidence"]["content"]],
        [&json!("ACME"), &json!("feed-7")]
    );
    // A name that the account lists itself is told.
    let text = notices(&scene).await[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("the sender ACME"), "{text}");
    let signals = case(&scene, Casing::Signals { account: None }).await.unwrap();
    let signal = &signals["signals"][0];
    assert_eq!(
        [&signal["action"], &signal["sender"]],
        [&json!("suspend_sender"), &opened["sender"]]
    );
    // Upheld it stays, until an operator takes it back.
    decide(&scene, Outcome::Upheld).await.unwrap();
    assert_eq!(
        scene.esme.submit_refused(from_name("ACME", TO, TEXT)).await,
        SUSPENDED
    );
    let told = scene
        .ask(Verb::Steer(restore_sender(address("ACME"))))
        .await
        .unwrap();
    assert_eq!(told["restored"], true);
    scene.esme.submit_ok(from_name("ACME", TO, TEXT)).await;
}

/// A handset shows the same, so it is the same sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_a_suspended_sender_comes_in_neither_as_a_name_nor_in_other_letters() {
    let mut scene = Scene::new("").await;
    for sender in [FROM, "Acme"] {
        steer(&scene.local, suspend(sender)).await;
    }
    let plus = format!("+{FROM}");
    for name in [FROM, &plus, "Acme", "ACME", "acme "] {
        let status = scene.esme.submit_refused(from_name(name, TO, TEXT)).await;
        assert_eq!(status, SUSPENDED, "{name}");
    }
    for name in ["Acme2", OTHER] {
        scene.esme.submit_ok(from_name(name, TO, TEXT)).await;
        scene.smsc.expect_submit().await;
    }
    steer(&scene.local, restore_sender(address("ACME"))).await;
    scene.esme.submit_ok(from_name("Acme", TO, TEXT)).await;
}

/// One account's senders leave room for the cases of others: beyond so many that nobody has decided a rule refuses and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frd_c05_so_many_senders_of_an_account_wait_for_a_decision_and_further_ones_are_only_refused() {
    let mut scene = Scene::new(RUN_OF_3).await;
    let from = |n: u32| format!("4477009008{n:02}");
    for n in 0..11 {
        for to in 0..3 {
            let (from, to) = (from(n), format!("4479{n:02}000{}", 200 + to));
            let code = Sm {
                source: number(&from),
                ..code(&to)
            };
            let sequence = scene.esme.submit(code).await;
            let answer = scene.esme.expect_submit_resp(sequence).await;
            assert_eq!(
                answer.status().is_ok(),
                to.ends_with("200") || to.ends_with("201"),
                "{n} {to}"
            );
        }
        let from = from(n);
        let text = Sm {
            source: number(&from),
            ..message(FROM, TO, TEXT)
        };
        let sequence = scene.esme.submit(text).await;
        let answer = scene.esme.expect_submit_resp(sequence).await;
        assert_eq!(
            answer.status(),
            if n < 10 { SUSPENDED } else { CommandStatus::ROK },
            "{n}"
        );
    }
    let opened = case_with(&scene, |case| case["id"] == 1).await;
    assert_eq!(opened["state"], "open");
}
