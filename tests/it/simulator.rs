//! The simulated carrier as an ESME sees it, spoken to in octets and without a gateway between, and
//! `tidegate simulate-smsc` as a process.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::BindKind;
use tidegate_gateway::simulator::{Delay, Faults, MoOptions, Options, Quirk, Simulator};
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

/// A carrier for anybody.
fn carrier(change: impl FnOnce(&mut Options)) -> Simulator {
    let mut options = Options::open("simulator".parse().unwrap());
    change(&mut options);
    Simulator::start(options).unwrap()
}

fn with(quirk: Quirk) -> Simulator {
    carrier(|options| options.quirks = [quirk].into_iter().collect())
}

fn plain() -> Sm<'static> {
    message("447700900001", "447700900002", "hello")
}

/// The sar_* TLVs of one part of three.
fn part(number: u8) -> Vec<u8> {
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag::SAR_MSG_REF_NUM, &[0, 7]));
    assert!(tlv::append(&mut tlvs, Tag::SAR_TOTAL_SEGMENTS, &[3]));
    assert!(tlv::append(&mut tlvs, Tag::SAR_SEGMENT_SEQNUM, &[number]));
    tlvs
}

#[tokio::test]
async fn a_long_message_has_the_receipt_of_one_part_where_the_carrier_is_like_that() {
    for (quirk, receipted) in [(Quirk::FirstPartOnly, 0), (Quirk::LastPartOnly, 2)] {
        let carrier = with(quirk);
        let mut esme = ScriptedEsme::bound(carrier.addr(), "one", "").await;
        let mut ids = Vec::new();
        for number in 1..=3 {
            let tlvs = part(number);
            ids.push(
                esme.submit_ok(Sm {
                    tlvs: Tlvs::new(&tlvs),
                    ..plain()
                })
                .await,
            );
        }
        // Receipts come in the order of their messages: behind this one's there is none of a part.
        let whole = esme.submit_ok(plain()).await;
        let told = [
            esme.expect_deliver().await.receipted_id(),
            esme.expect_deliver().await.receipted_id(),
        ];
        assert_eq!(told, [ids[receipted].clone(), whole], "{quirk:?}");
    }
}

#[tokio::test]
async fn a_plus_is_refused_where_the_carrier_is_like_that() {
    let carrier = with(Quirk::RefusePlus);
    let mut esme = ScriptedEsme::bound(carrier.addr(), "one", "").await;
    let plus = message("447700900001", "+447700900002", "hello");
    assert_eq!(esme.submit_refused(plus).await, CommandStatus(0x94));
    esme.submit_ok(plain()).await;
}

#[tokio::test]
async fn a_refused_bind_has_a_body_where_the_carrier_is_like_that() {
    for (quirks, length) in [(vec![Quirk::BindErrorWithBody], 16 + 10), (vec![], 16)] {
        let carrier = carrier(|options| {
            options.refuse_binds = Some(CommandStatus::RBINDFAIL);
            options.quirks = quirks.into_iter().collect();
        });
        let mut esme = ScriptedEsme::connect(carrier.addr()).await;
        let answer = esme.try_bind(BindKind::Transceiver, "one", "").await;
        assert_eq!(
            (answer.status(), answer.octets.len()),
            (CommandStatus::RBINDFAIL, length)
        );
    }
}

#[tokio::test]
async fn a_receipt_that_comes_first_does_so_however_long_it_is_held_back() {
    let carrier = carrier(|options| {
        options.quirks = [Quirk::ReceiptFirst].into_iter().collect();
        options.receipt_delay = Delay::exactly(Duration::from_millis(60));
    });
    let mut esme = ScriptedEsme::bound(carrier.addr(), "one", "").await;
    let sequence = esme.submit(plain()).await;
    let mut order = Vec::new();
    for _ in 0..2 {
        let frame = esme.expect("a receipt or an answer", |_| true).await;
        order.push(frame.id().is_response());
    }
    assert_eq!(order, [false, true], "the answer to {sequence} comes last");
}

#[tokio::test]
async fn no_account_gets_the_receipts_of_another() {
    let carrier = carrier(|_| {});
    let mut one = ScriptedEsme::bound(carrier.addr(), "one", "").await;
    let mut two = ScriptedEsme::bound(carrier.addr(), "two", "").await;
    let mut ids = [Vec::new(), Vec::new()];
    for _ in 0..20 {
        ids[0].push(one.submit_ok(plain()).await);
        ids[1].push(two.submit_ok(plain()).await);
    }
    for (esme, ids) in [&mut one, &mut two].into_iter().zip(ids) {
        let mut told = Vec::new();
        for _ in &ids {
            told.push(esme.expect_deliver().await.receipted_id());
        }
        assert_eq!(told, ids);
    }
}

#[tokio::test]
async fn what_a_handset_sends_is_in_the_alphabet_that_has_it() {
    for (text, coding, octets) in [("1 €", 0, &b"1 \x1be"[..]), ("ą", 8, &[0x01, 0x05])] {
        let carrier = carrier(|options| {
            options.mo = MoOptions {
                rate: std::num::NonZeroU32::new(100),
                messages: Some(1),
                text: Some(text.to_owned()),
                ..options.mo.clone()
            };
        });
        let mut esme = ScriptedEsme::bound(carrier.addr(), "one", "").await;
        let mo = esme.expect_deliver().await;
        let sm = mo.sm();
        assert_eq!((sm.data_coding.0, sm.text().0), (coding, octets), "{text}");
        esme.unbind().await;
        let report = carrier.stop().unwrap();
        assert_eq!(
            (report.mo, report.mo_owed, report.mo_resent),
            (1, 0, 0),
            "{report}"
        );
    }
}

/// However many messages stand behind the one that ends a session, it is ended once.
#[tokio::test]
async fn an_unbind_is_counted_once() {
    let carrier = carrier(|options| {
        options.faults = Faults {
            unbind_every: std::num::NonZeroU32::new(1),
            ..Faults::default()
        };
    });
    let mut esme = ScriptedEsme::bound(carrier.addr(), "one", "").await;
    for _ in 0..5 {
        esme.submit(plain()).await;
    }
    esme.expect_id(tidegate_codec::header::CommandId::UNBIND).await;
    esme.expect_end().await;
    let report = carrier.stop().unwrap();
    assert_eq!((report.links_unbound, report.links), (1, 1), "{report}");
    // Nobody bound again, so nobody took these.
    assert_eq!(
        report.receipts + report.receipts_owed,
        report.unmarked,
        "{report}"
    );
}

// ===== the process =====

fn command(arguments: &str) -> Command {
    let mut command = Command::new(Process::built());
    command
        .arg("simulate-smsc")
        .args(arguments.split_whitespace())
        .arg("--json")
        .stdin(Stdio::null());
    command
}

fn report(output: &Output) -> (Value, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (report, output.status.code())
}

#[test]
fn what_cannot_be_is_refused_before_anybody_is_kept_waiting() {
    let other = carrier(|_| {});
    let taken = format!("--listen {}", other.addr());
    for (arguments, why) in [
        (taken.as_str(), "cannot listen on 127.0.0.1:"),
        (
            "--listen 127.0.0.1:0 --refuse RSYSERR=60% --refuse RTHROTTLED=41%",
            "101.0000 of 100 % of messages are to be refused",
        ),
    ] {
        let (report, status) = report(&command(arguments).output().unwrap());
        let reason = report["reason"].as_str().unwrap();
        assert!(status == Some(1) && reason.starts_with(why), "{report}");
    }
}

#[tokio::test]
async fn a_run_that_ends_before_its_messages_came_says_so() {
    for (arguments, signal, problem) in [
        ("--messages 2", true, Some("1 of 2 messages were taken")),
        (
            "--messages 2 --duration 300ms",
            false,
            Some("1 of 2 messages were taken"),
        ),
        ("--messages 1", false, None),
        ("", true, None),
    ] {
        let mut child = tokio::process::Command::from(command(&format!("--listen 127.0.0.1:0 {arguments}")))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = stderr.next_line().await.unwrap().unwrap();
        let addr = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        let mut esme = ScriptedEsme::bound(addr, "one", "").await;
        let id = esme.submit_ok(plain()).await;
        esme.expect_receipt(&id).await;
        esme.unbind().await;
        if signal {
            let id = i32::try_from(child.id().unwrap()).unwrap();
            kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        }
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .await
            .unwrap();
        let status = child.wait().await.unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["problem"].as_str(), problem, "{arguments}: {report}");
        assert_eq!(status.code(), Some(i32::from(problem.is_some())), "{arguments}");
    }
}
