//! The tables, in Markdown.

use std::fmt::Write as _;

use super::figures::key;
use super::run::Subject::{self, Gateway, Relay};
use super::summary::{Row, Spread};

/// What stands where nothing was measured.
const NOTHING: &str = "n/a";
const MIB: f64 = 1.0 / (1024.0 * 1024.0);

/// One column: its heading, whose figure it shows, which, and times what.
type Column<'a> = (&'a str, Subject, &'a str, f64);

/// All tables. Each field is median (least–most) of the repetitions.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut section = |title: &str, columns: &[Column<'_>]| {
        let _ = writeln!(out, "**{title}**\n\n{}", table(rows, columns));
    };
    section(
        "Throughput, and CPU of the process between clients and carrier",
        &[
            ("msg/s, gateway", Gateway, key::RATE, 1.0),
            ("msg/s, relay", Relay, key::RATE, 1.0),
            ("CPU µs/msg, gateway", Gateway, key::CPU, 1.0),
            ("CPU µs/msg, relay", Relay, key::CPU, 1.0),
            ("lost", Gateway, key::LOST, 1.0),
            ("altered", Gateway, key::ALTERED, 1.0),
            ("repeated", Gateway, key::REPEATED, 1.0),
        ],
    );
    for (title, [p50, p99, p99_9]) in [
        ("Milliseconds from submit_sm to its response", key::RESPONSE),
        ("Milliseconds from submit_sm to its receipt", key::RECEIPT),
    ] {
        section(
            title,
            &[
                ("p50, gateway", Gateway, p50, 1.0),
                ("p99, gateway", Gateway, p99, 1.0),
                ("p99.9, gateway", Gateway, p99_9, 1.0),
                ("p50, relay", Relay, p50, 1.0),
                ("p99, relay", Relay, p99, 1.0),
                ("p99.9, relay", Relay, p99_9, 1.0),
            ],
        );
    }
    section(
        "Disk and memory of the gateway; CPU of clients and carrier in its runs",
        &[
            ("fdatasync/s", Gateway, key::SYNC_RATE, 1.0),
            ("stored octets/msg", Gateway, key::STORED_PER_MESSAGE, 1.0),
            ("device octets/msg", Gateway, key::DEVICE_PER_MESSAGE, 1.0),
            ("device ÷ stored", Gateway, key::DEVICE_PER_STORED, 1.0),
            ("RSS peak, MiB", Gateway, key::RSS, MIB),
            ("RSS peak of the relay, MiB", Relay, key::RSS, MIB),
            ("CPU µs/msg, clients", Gateway, key::LOAD_CPU, 1.0),
            ("CPU µs/msg, carrier", Gateway, key::CARRIER_CPU, 1.0),
        ],
    );
    out.trim_end().to_owned()
}

/// The first cell, the plain case, in a sentence.
pub(super) fn headline(rows: &[Row]) -> Option<String> {
    let row = rows.first()?;
    let figure = |subject, name| row.spread(subject, name).map(|spread: Spread| spread.to_string());
    Some(format!(
        "**{} msg/s at {} µs of CPU per message through the gateway, {} msg/s at {} µs through the bare relay** (`{}`: {} \
         binds, window {}, receipts: {}, texts of {} octets; every message stored and synced before its answer).",
        figure(Gateway, key::RATE)?,
        figure(Gateway, key::CPU)?,
        figure(Relay, key::RATE)?,
        figure(Relay, key::CPU)?,
        row.cell,
        row.cell.binds,
        row.cell.window,
        row.cell.receipts.word(),
        row.cell.length,
    ))
}

fn table(rows: &[Row], columns: &[Column<'_>]) -> String {
    let mut out = String::from("| cell |");
    for (heading, ..) in columns {
        let _ = write!(out, " {heading} |");
    }
    let _ = write!(out, "\n|---|{}", "--:|".repeat(columns.len()));
    for row in rows {
        let failed = if row.failed() { " **FAILED**" } else { "" };
        let _ = write!(out, "\n| `{}`{failed} |", row.cell);
        for (_, subject, figure, factor) in columns {
            let spread = row.spread(*subject, figure).map(|spread| spread.times(*factor));
            let text = spread.map_or_else(|| NOTHING.to_owned(), |spread| spread.to_string());
            let _ = write!(out, " {text} |");
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::end_to_end::summary::example;

    #[test]
    fn every_row_has_every_column() {
        let text = markdown(&example());
        let row = "| `8x100` | 33333 (25000–50000) | 100000 (50000–100000) | 3.00 (2.00–4.00) | 1.00 (1.00–2.00) | n/a |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| `8x100,receipts=none` **FAILED** |"), "{text}");
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let widths: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert_eq!(widths.len(), 4, "{table}");
            assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
    }

    #[test]
    fn the_headline_is_of_the_first_cell_and_absent_without_figures() {
        let rows = example();
        assert!(
            headline(&rows)
                .unwrap()
                .starts_with("**33333 (25000–50000) msg/s at 3.00")
        );
        assert_eq!(headline(&[]), None);
    }
}
