//! `tidegate load` as a process: against our gateway, and against peers that are no gateway at all. Whatever
//! the peer does, it ends in good time, says what was wrong, and its exit status is the verdict.

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidegate_codec::header::{CommandId, HEADER_LEN, Header};
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::{encode, encode_empty};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_tests::process::free_addr;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Short enough to see the end of every kind of patience, long enough for a busy machine to bind.
const QUICK: &str = "--window 10 --messages 50 --response-timeout 400ms --patience";

/// Starts it; the password comes from the environment.
fn start(server: SocketAddr, arguments: &str) -> Child {
    Command::new(Process::built())
        .args(["load", "--system-id", "load", "--server", &server.to_string()])
        .args(arguments.split_whitespace())
        .env("TIDEGATE_LOAD_PASSWORD", "secret")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it ends.
async fn end(child: Child) -> Output {
    let id = Pid::from_child(&child);
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    match tokio::time::timeout(DEADLINE, waiting).await {
        Ok(output) => output.unwrap(),
        Err(_) => {
            kill_process(id, Signal::KILL).unwrap();
            panic!("it did not end in {DEADLINE:?}");
        }
    }
}

/// The one object on standard output, and the exit status.
fn report(output: &Output) -> (Value, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"));
    (report, output.status.code())
}

async fn run(server: SocketAddr, arguments: &str) -> (Value, Option<i32>) {
    report(&end(start(server, &format!("{arguments} --json"))).await)
}

/// What a peer does with each PDU: octets to send back, or `None` to close the connection.
type Manners = fn(Header) -> Option<Vec<u8>>;

/// A listener with such manners, for as long as the test runs.
async fn peer(manners: Manners) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, manners));
        }
    });
    addr
}

async fn converse(mut socket: TcpStream, manners: Manners) {
    let mut header = [0; HEADER_LEN];
    while socket.read_exact(&mut header).await.is_ok() {
        let header = Header::read(&header);
        let mut body = vec![0; header.length as usize - HEADER_LEN];
        if socket.read_exact(&mut body).await.is_err() {
            return;
        }
        let Some(octets) = manners(header) else { return };
        if socket.write_all(&octets).await.is_err() {
            return;
        }
    }
}

fn answer(header: Header, status: CommandStatus, sequence: u32, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let response = header.command_id.response().unwrap();
    encode(response, status, sequence, &mut out, |out| {
        out.extend_from_slice(body);
    });
    Some(out)
}

/// Binds and unbinds as it should be, for peers that misbehave later only.
fn well(header: Header) -> Option<Vec<u8>> {
    let body: &[u8] = if header.command_id == CommandId::BIND_TRANSCEIVER {
        b"peer\0"
    } else {
        b""
    };
    answer(header, CommandStatus::ROK, header.sequence, body)
}

fn is_submit(header: Header) -> bool {
    header.command_id == CommandId::SUBMIT_SM
}

#[tokio::test]
async fn every_message_through_a_gateway_is_followed_to_its_receipt() {
    let secret = Password::new(b"secret", PASSWORD_MAX).unwrap();
    let carrier = Simulator::start(simulator::Options::new("tidegate".parse().unwrap(), secret)).unwrap();
    let process = Process::start(Process::built(), |places| places.config(&[carrier.addr()], "")).await;
    let server = process.smpp();
    let (report, status) = run(server, "--messages 3000 --binds 4").await;
    assert_eq!((status, &report["problem"]), (Some(0), &Value::Null), "{report}");
    for key in ["messages", "submitted", "acknowledged", "receipts"] {
        assert_eq!(report[key], 3000, "{key}: {report}");
    }
    assert_eq!(report["receipts_by_state"]["DELIVRD"], 3000);
    for key in [
        "lost",
        "refused",
        "in_doubt",
        "repeated_receipts",
        "unknown_receipts",
        "disconnects",
    ] {
        assert_eq!(report[key], 0, "{key}: {report}");
    }
    assert!(report["receipt_ms"]["p50"].as_f64() >= report["response_ms"]["p50"].as_f64());
    assert!(report["cpu_us_per_message"].as_f64().unwrap() > 0.0);

    // Another alphabet, another kind of bind, an open loop, and the log of latencies.
    let log = process.dir().join("latencies.hlog");
    let log = log.display();
    let open = format!(
        "--messages 500 --rate 2000 --bind-kind tx+rx --binds 2 --coding ucs2 --length 60 --template No.{{number}} --hdr {log}"
    );
    let (report, status) = run(server, &open).await;
    assert_eq!(
        (status, &report["receipts"]),
        (Some(0), &Value::from(500)),
        "{report}"
    );
    assert_eq!(report["bound"], 4, "{report}");
    let elapsed = report["elapsed_s"].as_f64().unwrap();
    assert!(elapsed >= 499.0 / 2000.0, "{report}");
    let log = std::fs::read_to_string(log.to_string()).unwrap();
    assert!(
        log.contains("Tag=response,") && log.contains("Tag=receipt,"),
        "{log}"
    );

    // For people, and without receipts.
    let output = end(start(server, "--messages 100 --receipts none")).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("acknowledged") && text.trim_end().ends_with("followed to its end"),
        "{text}"
    );
    let carrier = carrier.stop().unwrap();
    assert_eq!(
        (carrier.submitted, carrier.repeated, carrier.altered),
        (3600, 0, 0)
    );
}

#[tokio::test]
async fn a_gateway_that_refuses_the_password_is_not_asked_again() {
    let secret = Password::new(b"other", PASSWORD_MAX).unwrap();
    let carrier = Simulator::start(simulator::Options::new("load".parse().unwrap(), secret)).unwrap();
    let (report, status) = run(carrier.addr(), "--binds 2 --patience 1h").await;
    assert_eq!(status, Some(1));
    let problem = format!("{}: bind refused: RINVPASWD (0x0e)", carrier.addr());
    assert_eq!(report["problem"], problem, "{report}");
    assert_eq!(
        (&report["binds_refused"], &report["submitted"]),
        (&2.into(), &0.into())
    );
}

#[tokio::test]
async fn where_nobody_listens_it_says_so() {
    let nobody = free_addr();
    let (report, status) = run(nobody, "--patience 1h").await;
    assert_eq!(status, Some(1));
    let problem = format!("{nobody}: cannot connect: connection refused");
    assert_eq!(report["problem"], problem, "{report}");
}

#[tokio::test]
async fn a_peer_that_never_binds_is_named_with_what_it_does() {
    let cases: [(&str, Manners); 5] = [
        ("the peer did not answer the bind in 0.4 s", |_| Some(Vec::new())),
        (
            "the peer does not speak SMPP: a PDU cannot have 1213486160 octets (it says \"HTTP\")",
            |_| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ),
        (
            "the peer closed the connection before it answered the bind",
            |_| None,
        ),
        ("bind refused: RINVSYSID (0x0f)", |header| {
            answer(header, CommandStatus::RINVSYSID, header.sequence, b"")
        }),
        (
            "did not answer the bind in 0.4 s, only requests that were never made (1)",
            |header| answer(header, CommandStatus::ROK, header.sequence + 7, b"peer\0"),
        ),
    ];
    for (what, manners) in cases {
        let addr = peer(manners).await;
        let (report, status) = run(addr, &format!("{QUICK} 1h --binds 2")).await;
        let problem = report["problem"].as_str().unwrap_or_default();
        assert_eq!(status, Some(1), "{what}: {report}");
        assert!(
            problem.starts_with(&addr.to_string()) && problem.contains(what),
            "{what}: {report}"
        );
        assert_eq!(
            (&report["bound"], &report["submitted"]),
            (&0.into(), &0.into()),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_misbehaves_once_it_is_bound_is_named_with_what_it_does() {
    let cases: [(&str, &str, Manners); 9] = [
        (
            "the connection was lost: the peer has fallen silent",
            "disconnects",
            |header| {
                if is_submit(header) {
                    Some(Vec::new())
                } else {
                    well(header)
                }
            },
        ),
        ("ids given twice: 49", "repeated_ids", |header| {
            if is_submit(header) {
                answer(header, CommandStatus::ROK, header.sequence, b"1\0")
            } else {
                well(header)
            }
        }),
        ("messages not answered: 50", "in_doubt", |header| {
            if is_submit(header) {
                Some(Vec::new())
            } else {
                well(header)
            }
        }),
        (
            "answers to requests that were never made: ",
            "unexpected",
            |header| {
                if is_submit(header) {
                    answer(header, CommandStatus::ROK, header.sequence + 1_000_000, b"1\0")
                } else {
                    well(header)
                }
            },
        ),
        ("answers \"not now\": ", "throttled", |header| {
            if is_submit(header) {
                answer(header, CommandStatus::RTHROTTLED, header.sequence, b"")
            } else {
                well(header)
            }
        }),
        (
            "the framing was lost: a PDU cannot have 0 octets",
            "disconnects",
            |header| {
                if is_submit(header) {
                    Some(vec![0; 64])
                } else {
                    well(header)
                }
            },
        ),
        ("the connection was lost: the peer ", "disconnects", |header| {
            if is_submit(header) { None } else { well(header) }
        }),
        ("answers without a message_id: 50", "lost", well),
        ("messages refused: RINVDSTADR (0x0b) 50", "refused", |header| {
            if is_submit(header) {
                answer(header, CommandStatus::RINVDSTADR, header.sequence, b"")
            } else {
                well(header)
            }
        }),
    ];
    for (what, figure, manners) in cases {
        let addr = peer(manners).await;
        let (report, status) = run(addr, &format!("{QUICK} 700ms --binds 2")).await;
        let problem = report["problem"].as_str().unwrap_or_default();
        assert_eq!(status, Some(1), "{what}: {report}");
        assert!(
            problem.starts_with(&addr.to_string()) && problem.contains(what),
            "{what}: {report}"
        );
        assert!(report[figure].as_u64().unwrap() > 0, "{what}: {report}");
    }
}

#[tokio::test]
async fn a_receipt_that_never_comes_is_a_message_lost() {
    let addr = peer(|header| {
        if is_submit(header) {
            // Ids are unique over both binds only by chance; that is not the matter here.
            answer(
                header,
                CommandStatus::ROK,
                header.sequence,
                format!("{}\0", header.sequence).as_bytes(),
            )
        } else {
            well(header)
        }
    })
    .await;
    let (report, status) = run(addr, &format!("{QUICK} 700ms --binds 1")).await;
    assert_eq!((status, &report["lost"]), (Some(1), &50.into()), "{report}");
    let problem = report["problem"].as_str().unwrap();
    assert!(
        problem.contains("gave up after 0.7 s without progress"),
        "{problem}"
    );
    assert!(
        problem.contains("acknowledged messages without a receipt: 50"),
        "{problem}"
    );
    let (report, status) = run(addr, &format!("{QUICK} 700ms --binds 1 --receipts none")).await;
    assert_eq!(
        (status, &report["acknowledged"]),
        (Some(0), &50.into()),
        "{report}"
    );
}

#[tokio::test]
async fn a_bind_that_never_comes_about_is_told_though_the_others_did_all_the_work() {
    let secret = Password::new(b"secret", PASSWORD_MAX).unwrap();
    let mut options = simulator::Options::new("load".parse().unwrap(), secret);
    options.binds_max = Some(1);
    let carrier = Simulator::start(options).unwrap();
    let (report, status) = run(carrier.addr(), "--binds 2 --messages 50").await;
    let problem = format!(
        "{}: never bound: 1 of 2 connections; bind refused: RALYBND (0x05)",
        carrier.addr()
    );
    assert_eq!(
        (status, &report["problem"]),
        (Some(1), &problem.into()),
        "{report}"
    );
    assert_eq!(
        (&report["binds_asked"], &report["binds_ever"], &report["receipts"]),
        (&2.into(), &1.into(), &50.into()),
        "{report}"
    );
}

/// Left out, the messages that a stalled peer held back longest would be missing from every figure.
#[tokio::test]
async fn what_was_due_and_never_sent_is_told() {
    let addr = peer(|header| {
        if is_submit(header) {
            Some(Vec::new())
        } else {
            well(header)
        }
    })
    .await;
    let stalled = "--binds 1 --window 10 --rate 100 --duration 500ms --receipts none --patience 2s";
    let (report, status) = run(addr, stalled).await;
    let counts = (&report["messages"], &report["submitted"], &report["unanswered"]);
    assert_eq!(counts, (&10.into(), &10.into(), &10.into()), "{report}");
    assert_eq!((status, &report["not_sent"]), (Some(1), &41.into()), "{report}");
    let problem = report["problem"].as_str().unwrap();
    assert!(problem.contains("messages due and never sent: 41"), "{problem}");
}

/// Commands that nobody knows, ids without NUL, messages that come as submit_sm: odd, and nothing to part for.
#[tokio::test]
async fn a_peer_that_is_only_odd_is_put_up_with() {
    let addr = peer(|header| {
        if header.command_id.is_response() {
            return Some(Vec::new());
        }
        let mut out = well(header)?;
        if is_submit(header) {
            let id = format!("id-{}", header.sequence);
            out = answer(header, CommandStatus::ROK, header.sequence, id.as_bytes())?;
            encode(
                CommandId::SUBMIT_SM,
                CommandStatus::ROK,
                header.sequence,
                &mut out,
                |out| {
                    Sm::default().encode(out);
                },
            );
        }
        if header.command_id == CommandId::BIND_TRANSCEIVER {
            for sequence in 1..=150 {
                encode_empty(CommandId(0x999), CommandStatus::ROK, sequence, &mut out);
            }
        }
        Some(out)
    })
    .await;
    let (report, status) = run(addr, "--binds 1 --window 10 --messages 50 --receipts none").await;
    assert_eq!((status, &report["problem"]), (Some(0), &Value::Null), "{report}");
    for (figure, count) in [
        ("acknowledged", 50),
        ("without_id", 0),
        ("mobile_originated", 50),
        ("unreadable", 150),
        ("disconnects", 0),
    ] {
        assert_eq!(report[figure], count, "{figure}: {report}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_late_settles_its_message_and_is_none_to_nothing() {
    let mut smsc = ScriptedSmsc::listen().await;
    let arguments = "--binds 1 --window 2 --messages 2 --response-timeout 400ms --receipts none --json";
    let child = start(smsc.addr(), arguments);
    let (late, other) = (smsc.expect_submit().await, smsc.expect_submit().await);
    // The link is alive; it is this answer alone that is late.
    smsc.answer(&other, "other").await;
    let again = smsc.expect_submit().await;
    assert_eq!(again.text(), late.text());
    smsc.answer(&late, "late").await;
    smsc.answer(&again, "again").await;
    let (report, status) = report(&end(child).await);
    assert_eq!((status, &report["problem"]), (Some(0), &Value::Null), "{report}");
    for (figure, count) in [
        ("acknowledged", 2),
        ("in_doubt", 1),
        ("resubmitted", 1),
        ("late_answers", 1),
        ("unexpected", 0),
        ("disconnects", 0),
    ] {
        assert_eq!(report[figure], count, "{figure}: {report}");
    }
    // From the first submit, not from the second.
    assert!(
        report["response_ms"]["max"].as_f64().unwrap() >= 400.0,
        "{report}"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_named_before_anything_is_sent() {
    let arguments = "--hdr no-such-directory/latencies.hlog";
    let (report, status) = run(free_addr(), arguments).await;
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(
        status == Some(1) && reason.contains("cannot write latencies to no-such-directory/latencies.hlog: "),
        "{report}"
    );
}

#[tokio::test]
async fn a_signal_ends_it_once_what_was_sent_has_its_receipt() {
    ended_by_a_signal("--duration 1h", None).await;
}

#[tokio::test]
async fn a_signal_before_the_number_asked_for_is_told() {
    ended_by_a_signal("--messages 5", Some("ended by a signal: 1 of 5 messages sent")).await;
}

async fn ended_by_a_signal(arguments: &str, problem: Option<&str>) {
    let mut smsc = ScriptedSmsc::listen().await;
    // The second message is due in a quarter of an hour.
    let child = start(
        smsc.addr(),
        &format!("--binds 1 --rate 0.001 --run 7 --json {arguments}"),
    );
    let submit = smsc.expect_submit().await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    smsc.answer(&submit, "c-1").await;
    let receipt = smsc
        .receipt(&submit, "c-1", MessageState::Undeliverable, Dialect::Text)
        .await;
    assert_eq!(smsc.expect_deliver_resp(receipt).await, CommandStatus::ROK);
    // It goes by itself: nothing is left to wait for.
    smsc.expect_end_of(submit.link).await;
    let (report, status) = report(&end(child).await);
    let problem = problem.map(|problem| format!("{}: {problem}", smsc.addr()));
    assert_eq!(report["run"], 7, "{report}");
    assert_eq!(report["problem"].as_str(), problem.as_deref(), "{report}");
    assert_eq!(status, Some(i32::from(problem.is_some())), "{report}");
    assert_eq!(
        (&report["messages"], &report["receipts"]),
        (&1.into(), &1.into()),
        "{report}"
    );
    assert_eq!(report["receipts_by_state"]["UNDELIV"], 1, "{report}");
}
