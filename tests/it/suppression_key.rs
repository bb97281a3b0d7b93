//! Generations of the suppression key of a gateway that runs (PSN-4): rotated, rewritten, retired, killed in between.

use serde_json::{Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme, ScriptedSmsc};

use crate::control::{done, refused};
use crate::kek::{key_events, until};

const FROM: &str = "447700900001";
const ANNA: &str = "15550100123";
const BERT: &str = "15550100124";
const OPTED_OUT: CommandStatus = CommandStatus(0x0401);

/// Generation and opt-outs of each.
fn generations(told: &Value) -> Vec<(u64, u64)> {
    let all = told["suppression"].as_array().unwrap();
    all.iter()
        .map(|one| {
            (
                one["generation"].as_u64().unwrap(),
                one["opt_outs"].as_u64().unwrap(),
            )
        })
        .collect()
}

async fn is_refused(process: &Process, to: &str) -> bool {
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let sequence = esme.submit(message(FROM, to, "hello")).await;
    esme.expect_submit_resp(sequence).await.status() == OPTED_OUT
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_c07_who_opted_out_before_a_rotation_is_refused_and_rewritten_before_the_old_key_goes() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    for number in [ANNA, BERT] {
        done(&process, &["optout", "add", number, "--account", "load"]);
    }
    done(
        &process,
        &[
            "consent",
            "grant",
            ANNA,
            "--account",
            "load",
            "--recorded-by",
            "anna",
        ],
    );
    assert_eq!(generations(&done(&process, &["key", "show"])), [(1, 2)]);
    let rotated = done(&process, &["key", "rotate-suppression"]);
    assert_eq!(generations(&rotated), [(1, 2), (2, 0)]);
    // A kill right behind it, and then a submit to one of them: the entry is rewritten.
    process.kill();
    process.spawn();
    process.ready().await;
    assert!(is_refused(&process, ANNA).await);
    until("the entry is rewritten", || {
        generations(&done(&process, &["key", "show"])) == [(1, 1), (2, 1)]
    })
    .await;
    let why = refused(&process, &["key", "retire-suppression", "1"]);
    assert!(why.contains("1 people who have opted out"), "{why}");
    // By whichever name: a list, and a check.
    let listed = done(&process, &["optout", "list", "--account", "load"]);
    assert_eq!(listed["total"], 2, "{listed}");
    let records = done(&process, &["consent", "list", ANNA, "--account", "load"]);
    assert_eq!(records["records"].as_array().unwrap().len(), 1, "{records}");
    let rewritten = done(&process, &["key", "rotate-suppression", "--rewrite", "--no-new"]);
    assert_eq!(generations(&rewritten), [(1, 0), (2, 2)], "{rewritten}");
    assert!(rewritten["looked_for"].as_u64().unwrap() >= 2);
    let retired = done(&process, &["key", "retire-suppression", "1"]);
    assert_eq!(generations(&retired), [(2, 2)]);
    assert_eq!(retired["destroyed"].as_array().unwrap().len(), 1, "{retired}");
    process.kill();
    process.spawn();
    process.ready().await;
    for number in [ANNA, BERT] {
        assert!(is_refused(&process, number).await);
    }
    let removed = done(&process, &["optout", "remove", BERT, "--account", "load"]);
    assert_eq!(removed["removed"], 1, "{removed}");
    assert!(!is_refused(&process, BERT).await);
    let events = key_events(&process);
    for verb in [
        "key rotate-suppression",
        "key rewrite-suppression",
        "key retire-suppression",
    ] {
        assert!(events.contains(verb), "{events}");
    }
    assert_eq!(
        json!(generations(&done(&process, &["key", "show"]))),
        json!([[2, 1]])
    );
}
