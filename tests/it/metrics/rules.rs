//! The alert rules and the dashboard: they ask for metrics that exist, and every rule has its section in the guide.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ELSEWHERE, declared, document, metric_of, names_in, scrape};

/// The values of a key in the rules, each on one line of its own, or folded over the lines below it.
fn values_of(rules: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        let Some(value) = bare
            .trim_start_matches("- ")
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix(": "))
        else {
            continue;
        };
        let mut value = value.to_owned();
        if value == ">-" {
            value.clear();
            while let Some(more) = lines.next_if(|more| more.len() - more.trim_start().len() > indent) {
                value += more.trim();
                value.push(' ');
            }
        }
        found.push(value);
    }
    found
}

/// Every `expr` of a dashboard, wherever it stands.
fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "expr" || key == "query" => into.push(text.clone()),
                    value => expressions(value, into),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, into)),
        _ => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&document("docs/grafana/tidegate.json")).unwrap()
}

#[tokio::test]
async fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let page = scrape().await;
    let all = declared(&page);
    let is_histogram = |name: &str| all.get(name).is_some_and(|found| found.kind == "histogram");
    let rules = values_of(&document("docs/alerts.yml"), "expr");
    assert_eq!(rules.len(), 22);
    let mut panels = Vec::new();
    expressions(&dashboard(), &mut panels);
    assert!(panels.len() >= 30, "{}", panels.len());
    let mut asked = 0;
    for expression in rules.iter().chain(&panels) {
        for name in names_in(expression) {
            asked += 1;
            let metric = metric_of(name, is_histogram);
            let is_there = all.contains_key(metric) || ELSEWHERE.contains(&metric);
            assert!(is_there, "{name} does not exist: {expression}");
            // A histogram has no value of its own name.
            assert!(
                name != metric || !is_histogram(name),
                "{name} is a histogram: {expression}"
            );
        }
    }
    assert!(asked >= 40, "{asked}");
    // What a rule matches a label with is a label of that metric, or its alarm never comes.
    for (series, label) in [
        ("tidegate_spool_commit_failures_total{", "cause=\"broken\""),
        ("tidegate_intake_refused_total{", "cause=\"broken\""),
        ("tidegate_intake_refused_total{", "cause=\"full\""),
        ("tidegate_carrier_answers_total{", "verdict=\"reject\""),
        ("tidegate_carrier_answers_total{", "verdict=\"retry\""),
    ] {
        assert!(
            page.lines()
                .any(|line| line.starts_with(series) && line.contains(label)),
            "{series}{label}"
        );
    }
}

#[test]
fn every_rule_has_its_section_in_the_guide() {
    let rules = document("docs/alerts.yml");
    let tests = document("docs/alerts.test.yml");
    let guide = document("OPERATIONS.md");
    let names = values_of(&rules, "alert");
    let links = values_of(&rules, "runbook_url");
    assert_eq!((names.len(), links.len()), (22, 22));
    for (name, link) in names.iter().zip(&links) {
        assert_eq!(link, &format!("OPERATIONS.md#{}", name.to_lowercase()));
        let heading = format!("\n### {name}\n");
        assert_eq!(guide.matches(&heading).count(), 1, "{name}");
        let (_, section) = guide.split_once(&heading).unwrap();
        let section = section.split("\n#").next().unwrap();
        for part in ["*Means*", "*Look at*", "*Do*"] {
            assert!(section.contains(part), "{name}: {part}");
        }
        assert!(
            tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")),
            "{name} is never seen to come"
        );
        assert!(
            tests.contains(&format!("alertname: {name} }}")),
            "{name} is never seen to stay away"
        );
    }
    let headings = guide
        .lines()
        .filter(|line| line.starts_with("### Tidegate"))
        .count();
    assert_eq!(headings, names.len(), "a section of a rule that is gone");
}

#[test]
fn panels_of_the_dashboard_have_titles_ids_and_units() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is another's"
        );
        if panel["type"] != "row" {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}");
        }
    }
    let rows: Vec<&str> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        [
            "Alarms",
            "Traffic",
            "Carriers",
            "Accounts",
            "Latency",
            "Queues",
            "Spool",
            "Receipts",
            "Refusals and opt-outs",
            "Process"
        ]
    );
}
