//! The story of one message, as a trace and as `message show` tell it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_a_message_is_told_in_order_until_it_is_finished() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        carrier: "retry_min = \"50ms\"",
        ..Changes::default()
    };
    let mut local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let id = esme.submit_ok(receipted(FROM, TO, TEXT)).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, CARRIER_ID).await;
    let ask_for = |id: &str| Trace::Message {
        id: id.to_owned(),
        account: None,
    };
    let mut told = Map::new();
    until("it is handed over", async || {
        told = done(&local, ask_for(&id)).await;
        let steps = told["steps"].as_array().unwrap();
        steps.iter().any(|step| step["what"] == "handed over")
    })
    .await;
    let steps = told["steps"].as_array().unwrap();
    let whats: Vec<&str> = steps.iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["stored", "put off", "handed over"], "{told:?}");
    let times: Vec<&str> = steps.iter().map(|step| step["time"].as_str().unwrap()).collect();
    assert!(
        times.is_sorted() && times[0] >= &told["accepted"].as_str().unwrap()[..19],
        "{times:?}"
    );
    assert_eq!(
        (&steps[2]["carrier"], &steps[2]["attempts"]),
        (&json!("sink"), &json!(2))
    );
    let now = &told["now"][0];
    assert_eq!(now["state"], "handed over, waiting for a receipt");
    assert_eq!(now["carriers"], json!([{ "carrier": "sink", "state": "up" }]));
    assert_eq!(now["to"], json!({ "ton": 1, "npi": 1, "length": 12 }));
    let text = Value::Object(told.clone()).to_string();
    for canary in [FROM, TO, TEXT, CARRIER_ID] {
        assert!(!text.contains(canary), "{canary}: {text}");
    }
    // The same after a restart, from the same files.
    local.restart();
    smsc.expect_binds(2).await;
    let again = done(&local, ask_for(&id)).await;
    assert_eq!(again["steps"], told["steps"]);
    let link = *smsc.bound().last().unwrap();
    smsc.receipt_on(link, &submit, CARRIER_ID, MessageState::Delivered, Dialect::Both)
        .await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    esme.expect_receipt(&id).await;
    let why = refused(&local, ask_for(&id)).await;
    assert!(
        why.contains("no unfinished message") && why.contains("message show"),
        "{why}"
    );
    let why = refused(&local, ask_for("no id")).await;
    assert!(why.contains("no unfinished message"), "{why}");
}

fn message_of(id: &str) -> Trace {
    Trace::Message {
        id: id.to_owned(),
        account: None,
    }
}

async fn show(local: &Local, id: &str, account: Option<&str>) -> Result<Map<String, Value>, String> {
    let (id, account) = (id.to_owned(), account.map(str::to_owned));
    let shown = ask(
        local,
        Verb::Steer(Steer::MessageShow {
            id,
            account,
            reading: None,
        }),
    )
    .await;
    shown.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_a_waiting_file_is_shown_and_traced_as_one_in_memory() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        storage: "receipt_hot = \"1s\"",
        ..Changes::default()
    };
    let mut local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    local.stop();
    let clock = Clock::virtual_from(START_MS);
    local.start_at(clock.clone());
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let id = esme.submit_ok(receipted(FROM, TO, TEXT)).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, CARRIER_ID).await;
    let mut hot = Map::new();
    until("it is handed over", async || {
        hot = show(&local, &id, None).await.unwrap();
        hot["legs"][0]["state"] == "handed over, waiting for a receipt"
    })
    .await;
    let traced = done(&local, message_of(&id)).await;
    // Few that wait move after a minute more than `receipt_hot`.
    clock.set_wall_by(120_000);
    let file = |local: &Local| {
        let files = local.files();
        files
            .iter()
            .any(|path| path.extension().is_some_and(|suffix| suffix == "waiting"))
    };
    until("it lies in a file", async || file(&local)).await;
    assert_eq!(show(&local, &id, None).await.unwrap(), hot);
    assert_eq!(show(&local, &id, Some("load")).await.unwrap(), hot);
    let told = done(&local, message_of(&id)).await;
    assert_eq!(told["now"], traced["now"], "{told:?}");
    let whats = |told: &Map<String, Value>| -> Vec<String> {
        let steps = told["steps"].as_array().unwrap();
        steps
            .iter()
            .map(|step| step["what"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(whats(&told), ["stored", "handed over", "moved to a waiting file"]);
    // The same after a restart.
    local.stop();
    local.start_at(clock.clone());
    smsc.expect_binds(3).await;
    assert_eq!(show(&local, &id, None).await.unwrap(), hot);
    // Of another account, and of nobody, there is none.
    let why = show(&local, &id, Some("other")).await.unwrap_err();
    assert!(why.contains("other"), "{why}");
    let why = show(&local, "1234567890123456789", None).await.unwrap_err();
    assert!(why.contains("waiting file"), "{why}");
    let link = *smsc.bound().last().unwrap();
    smsc.receipt_on(link, &submit, CARRIER_ID, MessageState::Delivered, Dialect::Both)
        .await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    esme.expect_receipt(&id).await;
    // Whether the file says so already or not.
    assert!(show(&local, &id, None).await.is_err());
    local.stop();
    // Records were opened for it.
    assert!(audit(&local).contains("message show"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_a_message_to_several_names_each_recipient() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let recipients = ["447700900456", "447700900457", "447700900458"];
    let destinations = recipients.map(|digits| Destination::Sme(number(digits)));
    let answer = multi_of(&mut esme, receipted(FROM, "", TEXT), &destinations).await;
    let (id, refused) = outcome(&answer);
    assert_eq!(refused, []);
    // The second is refused, the others are taken.
    let mut taken = Vec::new();
    for _ in 0..3 {
        let submit = smsc.expect_submit().await;
        let to = String::from_utf8(submit.sm().destination.addr.as_bytes().to_vec()).unwrap();
        if to == recipients[1] {
            smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
        } else {
            smsc.answer(&submit, &format!("{CARRIER_ID}-{to}")).await;
            taken.push(to);
        }
    }
    assert_eq!(taken.len(), 2);
    let mut told = Map::new();
    until("all three are answered", async || {
        told = done(&local, message_of(&id)).await;
        let steps = told["steps"].as_array().unwrap();
        let count = |what: &str| steps.iter().filter(|step| step["what"] == what).count();
        count("handed over") == 2 && count("ended") == 1
    })
    .await;
    let steps = told["steps"].as_array().unwrap();
    let of = |recipient: u64| -> Vec<&str> {
        let its = steps.iter().filter(|step| step["recipient"] == recipient);
        its.map(|step| step["what"].as_str().unwrap()).collect()
    };
    assert_eq!(of(0), ["stored", "handed over"], "{told:?}");
    assert_eq!(of(1), ["stored", "ended"], "{told:?}");
    assert_eq!(of(2), ["stored", "handed over"], "{told:?}");
    let ended = steps.iter().find(|step| step["what"] == "ended").unwrap();
    assert_eq!(ended["state"], "rejected");
    let now: Vec<u64> = told["now"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leg| leg["recipient"].as_u64().unwrap())
        .collect();
    assert_eq!(now, [0, 2]);
    let text = Value::Object(told.clone()).to_string();
    for number in recipients {
        assert!(!text.contains(number), "{text}");
    }
    local.stop();
    // That it was asked for is entered, with who and what, and no id of the message.
    let log = audit(&local);
    let (asked, done) = (log.matches("asked").count(), log.matches("done").count());
    assert!(asked >= 1 && asked == done, "{asked} asked, {done} done");
    assert_eq!(log.matches("trace").count(), asked + done);
    assert!(!log.contains(&id));
}
