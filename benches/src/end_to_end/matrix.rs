//! What is measured: cells of binds × window × receipts × rate × pacing × length of the text.

use std::fmt;
use std::str::FromStr;

use tidegate_gateway::traffic::token::TOKEN_LEN;

/// The plain case, then what differs from it in one thing: which binds and windows clients come with, how
/// fast, what they want back, how long the texts are, and the one key of the gateway that trades CPU for time.
/// The full product would take hours and say no more.
pub(super) const FULL: [&str; 15] = [
    "8x100",
    "8x100,watched",
    "1x1",
    "1x10",
    "1x100",
    "16x100",
    "64x10",
    "8x100,receipts=none",
    "8x100,length=25",
    "8x100,length=160",
    "8x100,pacing=0us",
    "8x100,pacing=2000us",
    "8x100,rate=5000",
    "8x100,rate=5000,pacing=0us",
    "8x100,rate=5000,pacing=2000us",
];

/// Enough to see that all of it works.
pub(super) const QUICK: [&str; 3] = ["8x100", "1x10", "8x100,receipts=none"];
pub(super) const QUICK_MESSAGES: u32 = 20_000;

/// Messages of a cell without a rate: some seconds of work for two cores, at most and at least.
const MESSAGES: (u32, u32) = (5_000, 200_000);
/// The same for each message that may be under way at a time.
const MESSAGES_PER_PLACE: u32 = 500;
/// Seconds that a cell with a rate takes.
const PACED_SECONDS: u32 = 6;

/// The gateway's default pacing, which a cell has when it names none.
const PACING_US: u32 = 500;
/// The default length of a text.
const LENGTH: u32 = 100;

/// Which receipts the clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipts {
    Final,
    None,
}

impl Receipts {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::None => "none",
        }
    }
}

/// One setting. Its text, `8x100,receipts=none`, is its name in every output and what `--cells` takes; what is
/// as usual does not stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) binds: u32,
    pub(super) window: u32,
    pub(super) receipts: Receipts,
    /// Messages a second in an open loop, 0 for as fast as answers come.
    pub(super) rate: u32,
    /// The gateway's `storage.turn_pacing`, and the relay's.
    pub(super) pacing_us: u32,
    /// Octets of a text.
    pub(super) length: u32,
    /// Scraped every second, and with a dashboard open.
    pub(super) watched: bool,
}

impl Cell {
    /// How many messages make a run worth measuring.
    pub(super) fn messages(&self) -> u32 {
        if self.rate > 0 {
            return self.rate.saturating_mul(PACED_SECONDS);
        }
        let places = self.binds.saturating_mul(self.window);
        places
            .saturating_mul(MESSAGES_PER_PLACE)
            .clamp(MESSAGES.0, MESSAGES.1)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.binds, self.window)?;
        if self.receipts != Receipts::Final {
            write!(f, ",receipts={}", self.receipts.word())?;
        }
        if self.rate != 0 {
            write!(f, ",rate={}", self.rate)?;
        }
        if self.pacing_us != PACING_US {
            write!(f, ",pacing={}us", self.pacing_us)?;
        }
        if self.length != LENGTH {
            write!(f, ",length={}", self.length)?;
        }
        if self.watched {
            f.write_str(",watched")?;
        }
        Ok(())
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || {
            format!(
                "{text:?} is no cell: BINDSxWINDOW[,receipts=final|none][,rate=N][,pacing=500us][,length=N][,watched]"
            )
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| fault());
        let mut parts = text.split(',');
        let (binds, window) = parts
            .next()
            .and_then(|first| first.split_once('x'))
            .ok_or_else(fault)?;
        let mut cell = Self {
            binds: number(binds)?,
            window: number(window)?,
            receipts: Receipts::Final,
            rate: 0,
            pacing_us: PACING_US,
            length: LENGTH,
            watched: false,
        };
        for part in parts {
            if part == "watched" {
                cell.watched = true;
                continue;
            }
            match part.split_once('=').ok_or_else(fault)? {
                ("receipts", "final") => cell.receipts = Receipts::Final,
                ("receipts", "none") => cell.receipts = Receipts::None,
                ("rate", value) => cell.rate = number(value)?,
                ("pacing", value) => cell.pacing_us = number(value.strip_suffix("us").ok_or_else(fault)?)?,
                ("length", value) => {
                    cell.length = number(value)?;
                    if (cell.length as usize) < TOKEN_LEN {
                        return Err(format!(
                            "{text:?}: a text has {TOKEN_LEN} octets at least, which say which one it is"
                        ));
                    }
                }
                _ => return Err(fault()),
            }
        }
        if cell.binds == 0 || cell.window == 0 {
            return Err(fault());
        }
        Ok(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_reads_back_as_it_is_written() {
        for text in FULL.into_iter().chain(QUICK) {
            let cell: Cell = text.parse().unwrap();
            assert_eq!(cell.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_cell_is_refused_with_the_form_of_one() {
        for text in [
            "",
            "8",
            "8x",
            "0x10",
            "8x0",
            "8x100,rate",
            "8x100,colour=red",
            "8x100,receipts=some",
        ] {
            let fault = text.parse::<Cell>().unwrap_err();
            assert!(fault.contains("BINDSxWINDOW"), "{fault}");
        }
    }

    #[test]
    fn a_text_too_short_to_say_which_one_it_is_is_no_cell() {
        let fault = "8x100,length=24".parse::<Cell>().unwrap_err();
        assert!(fault.contains("25 octets at least"), "{fault}");
        assert_eq!("8x100,length=25".parse::<Cell>().unwrap().length, 25);
    }

    #[test]
    fn messages_grow_with_what_is_under_way_and_with_the_rate() {
        let messages = |text: &str| text.parse::<Cell>().unwrap().messages();
        assert_eq!(messages("1x1"), 5_000);
        assert_eq!(messages("1x100"), 50_000);
        assert_eq!(messages("8x100"), 200_000);
        assert_eq!(messages("8x100,rate=10000"), 60_000);
    }
}
