//! Lists of people by the command line, against a real process: what goes in comes out, for its own account only.

use std::fs;

use serde_json::{Value, json};
use tidegate_tests::{Process, ScriptedSmsc};

use crate::control::tidegate;

fn asked(process: &Process, words: &[&str]) -> Value {
    let output = tidegate(process, &[words, &["--account", "load", "--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn con_c01_what_is_uploaded_can_be_read_and_a_withdrawal_keeps_the_grant() {
    let smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    let path = process.dir().join("contacts.csv");
    let text = "number,opted_in,source,ip,time\n\
                +1 (555) 010-0123,true,https://example.com/form,192.0.2.7,2026-01-02T03:04:05-05:00\n\
                \"15550100124,true,x,y,z\n\
                12,true,,,\n";
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let refused = asked(&process, &["contact", "import", &path]);
    assert_eq!(refused["refused"], true, "con_c04: {refused}");
    let told = asked(
        &process,
        &["contact", "import", &path, "--attest", "web form of 2026"],
    );
    assert_eq!((&told["entered"], &told["bad"]), (&json!(1), &json!(2)), "{told}");
    let lines: Vec<_> = told["bad_rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["line"].clone())
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&json!(3)) && lines.contains(&json!(4)), "{told}");
    let withdrawn = asked(
        &process,
        &["consent", "withdraw", "15550100123", "--recorded-by", "anna"],
    );
    assert_eq!(withdrawn["entered"], 1, "{withdrawn}");
    let listed = asked(&process, &["consent", "list", "0015550100123"]);
    let records = listed["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{listed}");
    let given = &records[0];
    assert_eq!(
        (&given["grant"], &given["source"]),
        (&json!("given"), &json!("https://example.com/form"))
    );
    assert_eq!(
        (&given["ip"], &given["time"]),
        (&json!("192.0.2.7"), &json!("2026-01-02T03:04:05-05:00"))
    );
    assert!(
        given["batch"].is_string() && given["file"].as_str().unwrap().len() == 32,
        "{listed}"
    );
    assert_eq!(
        (&records[1]["grant"], &records[1]["recorded_by"]),
        (&json!("withdrawn"), &json!("anna"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opt_outs_are_imported_listed_by_pages_and_exported() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    let path = process.dir().join("opt-outs.csv");
    let mut text = "number,source\n".to_owned();
    // More than one request's worth.
    for n in 0..1_200 {
        text.push_str(&format!("+1 555 010 {n:04},=HYPERLINK(x)\n"));
    }
    text.push_str("nobody,x\n");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let told = asked(&process, &["optout", "import", &path]);
    assert_eq!(
        (&told["entered"], &told["bad"], &told["rows"]),
        (&json!(1_200), &json!(1), &json!(1_201)),
        "{told}"
    );
    let again = asked(&process, &["optout", "import", &path]);
    assert_eq!((&again["entered"], &again["already"]), (&json!(0), &json!(1_200)));
    let removed = asked(&process, &["optout", "remove", "15550100007"]);
    assert_eq!(removed["removed"], 1, "{removed}");
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let mut words = vec!["optout", "list", "--limit", "500"];
        if !after.is_empty() {
            words.extend(["--after", &after]);
        }
        let page = asked(&process, &words);
        assert_eq!((&page["total"], &page["hashed"]), (&json!(1_199), &json!(0)));
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 500);
        seen.extend(
            entries
                .iter()
                .map(|entry| entry["number"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 1_199);
    assert!(!seen.contains(&"15550100007".to_owned()));
    let export = tidegate(&process, &["optout", "export", "--account", "load"]);
    let text = String::from_utf8(export.stdout).unwrap();
    assert_eq!(text.lines().count(), 1_200);
    assert!(
        text.contains("\n15550100008,account,load,import,") && text.contains(",'=HYPERLINK(x),"),
        "{text}"
    );
    // The register is an index: damaged or gone at the next start it is made anew.
    for spoil in [Some("conf"), None] {
        process.kill();
        let register = process.dir().join("data/register");
        match spoil {
            Some(file) => fs::write(register.join(file), [0x5a; 4_096]).unwrap(),
            None => fs::remove_dir_all(&register).unwrap(),
        }
        process.spawn();
        process.ready().await;
        let page = asked(&process, &["optout", "list", "--limit", "10"]);
        assert_eq!(page["total"], 1_199, "{spoil:?}");
        assert_eq!(page["entries"].as_array().unwrap().len(), 10);
    }
    // P4: what the log holds of it.
    assert!(!process.stderr().contains("15550100"), "a number is in the log");
}
