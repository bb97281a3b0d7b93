//! How a run is going, once a second: one line over the last on a terminal, line under line elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use crate::load::{Counts, Load, grouped};

/// How often a line is written.
const INTERVAL: Duration = Duration::from_secs(1);
/// Back to the beginning of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";

pub(crate) struct Display<W> {
    writer: W,
    is_terminal: bool,
    is_on: bool,
    last: Counts,
}

impl<W: Write> Display<W> {
    pub(crate) fn new(writer: W, is_terminal: bool, is_on: bool) -> Self {
        Self {
            writer,
            is_terminal,
            is_on,
            last: Counts::default(),
        }
    }

    /// Shows how it is going until the clients are done.
    pub(crate) fn follow(&mut self, clients: &Load) -> io::Result<()> {
        while !clients.wait(INTERVAL) {
            if self.is_on {
                self.show(clients.counts())?;
            }
        }
        if self.is_on && self.is_terminal {
            write!(self.writer, "{CLEAR}")?;
            self.writer.flush()?;
        }
        Ok(())
    }

    fn show(&mut self, counts: Counts) -> io::Result<()> {
        let line = line(&counts, &self.last);
        self.last = counts;
        if self.is_terminal {
            write!(self.writer, "{CLEAR}{line}")?;
        } else {
            writeln!(self.writer, "{line}")?;
        }
        self.writer.flush()
    }
}

/// What there is to say, a second after `last`.
fn line(counts: &Counts, last: &Counts) -> String {
    let rate = counts.acknowledged.saturating_sub(last.acknowledged);
    let whole = counts.p99_us / 1000;
    let tenth = counts.p99_us / 100 % 10;
    let mut line = format!(
        "bound {}, acknowledged {} ({}/s), receipts {}, in flight {}, p99 {whole}.{tenth} ms",
        counts.bound,
        grouped(counts.acknowledged),
        grouped(rate),
        grouped(counts.receipts),
        grouped(
            counts
                .submitted
                .saturating_sub(counts.acknowledged + counts.refused)
        ),
    );
    for (name, count) in [("throttled", counts.throttled), ("backlog", counts.backlog)] {
        if count > 0 {
            line.push_str(&format!(", {name} {}", grouped(count)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        submitted: 12_103,
        acknowledged: 12_000,
        refused: 3,
        receipts: 11_000,
        throttled: 0,
        bound: 8,
        elapsed_ms: 1000,
        p99_us: 2345,
        backlog: 7,
    };

    #[test]
    fn a_line_tells_the_last_second_and_what_is_unusual() {
        let last = Counts {
            acknowledged: 2000,
            ..COUNTS
        };
        assert_eq!(
            line(&COUNTS, &last),
            "bound 8, acknowledged 12 000 (10 000/s), receipts 11 000, in flight 100, p99 2.3 ms, backlog 7"
        );
    }

    #[test]
    fn a_terminal_has_one_line_and_a_file_many() {
        for (is_terminal, ends) in [(true, 0), (false, 2)] {
            let mut out = Vec::new();
            let mut display = Display::new(&mut out, is_terminal, true);
            display.show(COUNTS).unwrap();
            display.show(COUNTS).unwrap();
            assert_eq!(out.iter().filter(|octet| **octet == b'\n').count(), ends);
        }
    }
}
