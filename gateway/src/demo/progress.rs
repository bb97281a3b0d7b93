//! How far a demo is, in one line that is written over itself.

use std::io::{self, Write};
use std::time::Duration;

use crate::load::{self, Load, grouped};
use crate::simulator::{self, Simulator};

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR: u64 = 24;
/// Back to the beginning of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";

/// What a line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Messages of the run.
    pub messages: u64,
    /// The clients' figures.
    pub clients: load::Counts,
    /// The carrier's figures.
    pub carrier: simulator::Counts,
}

/// The line for `state`, without an end.
pub fn line(state: &State) -> String {
    let load::Counts {
        acknowledged,
        receipts,
        throttled,
        elapsed_ms,
        ..
    } = state.clients;
    let share = (receipts * BAR).checked_div(state.messages).unwrap_or(0).min(BAR);
    let bar: String = (0..BAR).map(|at| if at < share { '#' } else { '.' }).collect();
    let rate = (receipts * 1000).checked_div(elapsed_ms).unwrap_or(0);
    let mut line = format!(
        "[{bar}] acknowledged {}, handed over {}, receipts {} of {}, {}/s",
        grouped(acknowledged),
        grouped(state.carrier.unique),
        grouped(receipts),
        grouped(state.messages),
        grouped(rate),
    );
    if throttled > 0 {
        line.push_str(&format!(", throttled {}", grouped(throttled)));
    }
    line
}

/// Shows lines on a terminal, and nothing anywhere else.
#[derive(Debug)]
pub struct Progress<W> {
    writer: W,
    is_terminal: bool,
    shown: bool,
}

impl<W: Write> Progress<W> {
    /// Whether `writer` is a terminal only the caller knows.
    pub const fn new(writer: W, is_terminal: bool) -> Self {
        Self {
            writer,
            is_terminal,
            shown: false,
        }
    }

    /// Writes the line for `state` over the one before.
    pub fn show(&mut self, state: &State) -> io::Result<()> {
        if self.is_terminal {
            self.shown = true;
            write!(self.writer, "{CLEAR}{}", line(state))?;
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Takes the line away, so that something else may be written.
    pub fn clear(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.shown) {
            write!(self.writer, "{CLEAR}")?;
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Shows how far the clients are until they are done, then takes the line away.
    pub fn follow(&mut self, messages: u64, clients: &Load, carrier: Option<&Simulator>) -> io::Result<()> {
        while !clients.wait(INTERVAL) {
            self.show(&State {
                messages,
                clients: clients.counts(),
                carrier: carrier.map(Simulator::counts).unwrap_or_default(),
            })?;
        }
        self.clear()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> State {
        State {
            messages: 20_000,
            clients: load::Counts {
                submitted: 12_000,
                acknowledged: 11_900,
                receipts: 10_000,
                elapsed_ms: 500,
                ..load::Counts::default()
            },
            carrier: simulator::Counts {
                unique: 11_000,
                ..simulator::Counts::default()
            },
        }
    }

    #[test]
    fn half_way_the_bar_is_half_full() {
        assert_eq!(
            line(&half()),
            "[############............] acknowledged 11 900, handed over 11 000, receipts 10 000 of 20 000, 20 000/s"
        );
        assert!(line(&State::default()).starts_with("[........................]"));
    }

    #[test]
    fn only_a_terminal_sees_it_and_it_goes_without_a_trace() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, true);
        progress.show(&half()).unwrap();
        progress.clear().unwrap();
        progress.clear().unwrap();
        assert!(out.starts_with(CLEAR.as_bytes()) && out.ends_with(CLEAR.as_bytes()));
        assert_eq!(out.iter().filter(|octet| **octet == b'\r').count(), 2);
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, false);
        progress.show(&half()).unwrap();
        progress.clear().unwrap();
        assert!(out.is_empty());
    }
}
