//! What Prometheus' own tool says of the rules and of a page. `tests/interop/promtool` fetches it, where it can be had.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::{scrape, top};

/// What `.ci/run` found, or what stands on the path.
fn promtool() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("TIDEGATE_PROMTOOL").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(
            named.is_file(),
            "TIDEGATE_PROMTOOL is no file: {}",
            named.display()
        );
        return Ok(named);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join("promtool"))
        .find(|file| file.is_file());
    found.ok_or_else(|| "promtool is not on the PATH, and TIDEGATE_PROMTOOL does not name it".to_owned())
}

/// Runs it at the top of the tree: what it printed. It fails when promtool does.
fn run(tool: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(tool)
        .args(arguments)
        .current_dir(top())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is dropped at once, so that promtool sees an end; what ends without having read all of it says why.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}\n{said}",
        output.status
    );
    written.unwrap();
    said.into_owned()
}

#[tokio::test]
async fn promtool_finds_no_fault_with_rules_and_metrics() {
    let tool = match promtool() {
        Ok(tool) => tool,
        Err(why) => return eprintln!("SKIPPED: 3 checks of promtool: {why}"),
    };
    let said = run(&tool, &["check", "rules", "docs/alerts.yml"], "");
    let rules = fs::read_to_string(top().join("docs/alerts.yml")).unwrap();
    let rules = rules
        .lines()
        .filter(|line| line.trim_start().starts_with("- alert:"));
    assert!(said.contains(&format!("{} rules found", rules.count())), "{said}");
    println!("check rules: {}", said.trim());
    let said = run(&tool, &["test", "rules", "docs/alerts.test.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
    println!("test rules: {}", said.trim());
    let said = run(&tool, &["check", "metrics"], &scrape().await);
    assert_eq!(said.trim(), "", "of a page");
    println!("check metrics: nothing to say");
}
