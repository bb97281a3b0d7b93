//! Carriers that come and go, throttle, reject, fail or say nothing, and what becomes of messages meanwhile.

use super::*;

#[tokio::test]
async fn a_message_waits_for_its_carrier_and_is_acknowledged_meanwhile() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    smsc.stop_listening();
    smsc.drop_all();
    for text in ["first", "second"] {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "first");
    assert_eq!(smsc.expect_submit().await.text(), "second");
}

#[tokio::test]
async fn the_next_carrier_takes_over_and_the_first_comes_back() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let extra = second(next.addr(), "");
    let local = Local::start(first.addr(), &extra);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    mo(&mut first, 0, "999", "bound").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (_, submit) = handed_over(&mut esme, &mut first, message(FROM, TO, "one"), "1").await;
    assert_eq!(submit.text(), "one");

    // One is unanswered when the first goes, one comes after that.
    esme.submit_ok(message(FROM, TO, "two")).await;
    first.expect_submit_of("two").await;
    first.stop_listening();
    first.drop_all();
    esme.submit_ok(message(FROM, TO, "three")).await;
    for text in ["two", "three"] {
        let submit = next.expect_submit_of(text).await;
        next.answer(&submit, text).await;
    }

    first.reopen().await;
    first.expect_binds(2).await;
    let link = first.bound()[0];
    mo(&mut first, link, "999", "bound again").await;
    esme.submit_ok(message(FROM, TO, "four")).await;
    first.expect_submit_of("four").await;
    next.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn what_a_throttling_carrier_turned_away_is_offered_again_and_none_is_lost_or_doubled() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    let mut ids = Vec::new();
    for text in &texts {
        ids.push(esme.submit_ok(message(FROM, TO, text)).await);
    }
    let mut taken = Vec::new();
    let mut throttled = 0;
    while taken.len() < texts.len() {
        let submit = smsc.expect_submit().await;
        if throttled < 3 {
            throttled += 1;
            smsc.refuse(&submit, CommandStatus::RTHROTTLED).await;
        } else {
            smsc.answer(&submit, &submit.text()).await;
            taken.push(submit);
        }
    }
    let mut got: Vec<String> = taken.iter().map(Submit::text).collect();
    got.sort();
    assert_eq!(got, texts);
    smsc.expect_no_submit(A_WHILE).await;
    for submit in &taken {
        let id = submit.text();
        receipt(&mut smsc, submit, &id, MessageState::Delivered).await;
    }
    for id in &ids {
        assert_dlr(&esme.expect_receipt(id).await, id, MessageState::Delivered, None);
    }
}

#[tokio::test]
async fn a_window_full_of_messages_that_come_back_keeps_its_order() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts: Vec<String> = (0..8).map(|number| format!("in order {number}")).collect();
    for text in &texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    let mut submits = Vec::new();
    for _ in &texts {
        submits.push(smsc.expect_submit().await);
    }
    for submit in &submits {
        smsc.refuse(submit, CommandStatus::RTHROTTLED).await;
    }
    let mut again = Vec::new();
    for _ in &texts {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, &submit.text()).await;
        again.push(submit.text());
    }
    // Those whose "slow" came first are offered again first; none overtakes inside one burst of answers.
    assert_eq!(again, texts);
}

#[tokio::test]
async fn a_rejection_makes_a_rejected_dlr_with_its_status() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Rejected,
        Some("011"),
    );
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_on_the_next_carrier_until_the_attempts_are_over() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let keys = "retry_min = \"10ms\"\nretry_max = \"20ms\"\nmax_attempts = 3";
    let extra = second(next.addr(), keys);
    let changes = Changes {
        carrier: keys,
        extra: &extra,
        ..Changes::default()
    };
    let local = Local::start_with(first.addr(), changes);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    mo(&mut first, 0, "999", "bound").await;
    mo(&mut next, 0, "999", "bound").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = next.expect_submit().await;
    next.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Undeliverable,
        Some("008"),
    );
    next.expect_no_submit(A_WHILE).await;

    let id = esme.submit_ok(message(FROM, TO, "Again")).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = next.expect_submit().await;
    next.answer(&submit, "n").await;
    receipt(&mut next, &submit, "n", MessageState::Delivered).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn a_carrier_that_calls_the_bind_invalid_is_bound_anew_and_gets_the_message_again() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVBNDSTS).await;
    smsc.expect_binds(2).await;
    let again = smsc.expect_submit().await;
    assert_eq!((again.text(), again.link), ("Hello".to_owned(), 1));
}

#[tokio::test]
async fn submits_without_an_answer_are_handed_over_again_as_soon_as_the_link_is_back() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts = ["first", "second", "third"];
    for text in texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    for text in texts {
        assert_eq!(smsc.expect_submit().await.text(), text);
    }
    // `expect_submit` waits for less than the timer for answers, which is 30 s.
    const { assert!(DEADLINE.as_secs() < 30) };
    smsc.reset_link(0);
    let mut got = Vec::new();
    for _ in texts {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, "c").await;
        got.push(submit.text());
    }
    got.sort();
    assert_eq!(got, texts);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_pair_of_binds_submits_on_the_one_and_hears_on_the_other() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), carrier("binds = \"tx+rx\""));
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    assert_eq!(smsc.link(submit.link).kind, Some(BindKind::Transmitter));
    let other = 1 - submit.link;
    assert_eq!(smsc.link(other).kind, Some(BindKind::Receiver));
    let sequence = smsc
        .receipt_on(other, &submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn a_carrier_link_never_holds_more_than_its_window() {
    let (_local, mut smsc, mut esme) = world(carrier("window = 3")).await;
    for text in ["1", "2", "3", "4", "5"] {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    let mut held = Vec::new();
    for text in ["1", "2", "3"] {
        held.push(smsc.expect_submit_of(text).await);
    }
    smsc.expect_no_submit(A_WHILE).await;
    smsc.answer(&held[1], "c-2").await;
    assert_eq!(smsc.expect_submit().await.text(), "4");
    smsc.expect_no_submit(A_WHILE).await;
    // A refusal frees a place as well.
    smsc.refuse(&held[0], CommandStatus::RINVDSTADR).await;
    assert_eq!(smsc.expect_submit().await.text(), "5");
}
