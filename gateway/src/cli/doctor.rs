//! `tidegate doctor`: whether machine, configuration and data are fit for a gateway, check by check, and nothing changed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Found, Outcome, Refusal};
use crate::clock::Clock;
use crate::doctor::{Finding, Level, Site};
use crate::hardening::harden;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration's file; without it only the machine is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    // Keys are read below.
    let hardened = harden();
    let site = Site::new(args.config.as_deref(), Clock::machine(), hardened);
    Ok(told(&site.examine()))
}

fn told(findings: &[(&'static str, Finding)]) -> Outcome {
    let count = |level: Level| findings.iter().filter(|(_, found)| found.level == level).count();
    let levels = [Level::Ok, Level::Skipped, Level::Warning, Level::Error];
    let [ok, skipped, warning, error] = levels.map(count);
    let mut text = String::new();
    for (check, Finding { level, found, remedy }) in findings {
        text.push_str(&format!("{:<8}{check}: {found}\n", level.word()));
        if let Some(remedy) = remedy {
            text.push_str(&format!("{:<8}→ {remedy}\n", ""));
        }
    }
    text.push_str(&format!(
        "ok: {ok}, skipped: {skipped}, warnings: {warning}, errors: {error}"
    ));
    let shown: Vec<Value> = findings
        .iter()
        .map(|(check, Finding { level, found, remedy })| {
            json!({ "check": check, "level": level.word(), "found": found, "remedy": remedy })
        })
        .collect();
    let mut outcome = Outcome::new(
        text,
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "checks": shown,
            "counts": { "ok": ok, "skipped": skipped, "warning": warning, "error": error },
        }),
    );
    if error > 0 {
        outcome.failed = true;
        outcome
            .fields
            .insert("problem".to_owned(), json!(format!("errors: {error}")));
    } else if warning > 0 {
        outcome.found = Found::Warnings;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level) -> (&'static str, Finding) {
        let remedy = (level >= Level::Warning).then(|| "do it".to_owned());
        let found = "seen".to_owned();
        ("clock", Finding { level, found, remedy })
    }

    #[test]
    fn the_worst_finding_is_the_exit_status() {
        let of = |levels: &[Level]| {
            let found: Vec<_> = levels.iter().copied().map(finding).collect();
            let outcome = told(&found);
            (outcome.failed, outcome.found == Found::Warnings)
        };
        assert_eq!(of(&[Level::Ok, Level::Skipped]), (false, false));
        assert_eq!(of(&[Level::Ok, Level::Warning]), (false, true));
        assert_eq!(of(&[Level::Warning, Level::Error]), (true, false));
    }

    #[test]
    fn a_remedy_stands_below_what_it_is_for() {
        let outcome = told(&[finding(Level::Ok), finding(Level::Error)]);
        assert_eq!(
            outcome.text,
            "ok      clock: seen\nerror   clock: seen\n        → do it\nok: 1, skipped: 0, warnings: 0, errors: 1"
        );
        assert_eq!(outcome.fields["checks"][0]["remedy"], Value::Null);
        assert_eq!(outcome.fields["counts"]["error"], 1);
    }
}
