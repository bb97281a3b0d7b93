//! Admission and routing of a message, by what its account asks for.

use std::fmt::Write as _;
use std::hint::black_box;

use tidegate_benches::contest::{self, Contest};
use tidegate_benches::desk::{Asker, Desk};

use super::Fallible;

const ROUNDS: usize = 60;

pub(crate) fn report() -> Fallible<String> {
    let mut out = "| a message, admitted and routed | ns | instructions |\n|---|--:|--:|\n".to_owned();
    for figures in contest()?.run(ROUNDS)?.figures {
        let [low, middle, high] = figures.ns;
        let count = figures
            .instructions
            .map_or("SKIPPED".to_owned(), |count| format!("{count:.0}"));
        writeln!(
            out,
            "| {} | {middle:.0} ({low:.0}–{high:.0}) | {count} |",
            figures.who
        )?;
    }
    Ok(out)
}

/// One kind of account alone.
pub(crate) fn turn(arguments: &[String]) -> Fallible<()> {
    contest::turn(vec![contest()?], arguments)
}

fn contest() -> Fallible<Contest> {
    let mut contest = Contest::new("message");
    for (who, asker) in [
        ("typical account", Asker::Typical),
        ("the same, with rates and senders by country", Asker::ByCountry),
        ("account that asks for nothing, one route", Asker::Plain),
    ] {
        let dir = tempfile::tempdir()?;
        let mut desk = Desk::new(asker, dir.path())?;
        contest = contest.ours(who, move || {
            let _ = black_box(desk.take());
        });
    }
    Ok(contest)
}
