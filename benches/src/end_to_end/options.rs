//! The command line.

use std::path::PathBuf;

use super::Fallible;
use super::curves;
use super::matrix::{self, Cell};

const USAGE: &str = "\
options:
  --quick         few cells, few messages, once: under a minute, to see that everything works
  --cells A B …   only these, in place of the matrix: BINDSxWINDOW and, behind commas, receipts=final|none,
                  rate=N (messages a second, open loop; 0: as fast as answers come), pacing=500us, length=N, watched (scraped
                  every second, a dashboard open)
  --messages N    messages of every run; by default some seconds' worth of each cell
  --repeat N      runs of each cell, gateway and relay each (3)
  --kills N       instead: one run of the first cell with N times SIGKILL in its middle; nothing may be lost
  --backlog N     instead: N messages that wait for a carrier that is down; memory, CPU beside a spool that is next to
                  empty, and the time of a start
  --sweep N       instead: N records that are due go while messages come at 2 000 and 20 000 a second, beside the same without
  --watchers      instead: what a scraper and an open dashboard cost a gateway without traffic
  --soak MINUTES  instead: the first cell, which needs a rate, for so long; memory, CPU and latency over time
  --curves [NAME …] instead: what a message costs with more and more binds, accounts, carriers, opt-outs, octets
  --json FILE     write conditions and all runs there
  --write         put table and plot into benches/README.md and benches/end_to_end.svg
  --program FILE  the program to measure (target/release/tidegate)
  --list          print the cells and end";

/// What is to be run.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) cells: Vec<Cell>,
    pub(super) messages: Option<u32>,
    pub(super) repeat: u32,
    pub(super) kills: u32,
    pub(super) backlog: u32,
    pub(super) sweep: u32,
    pub(super) watchers: bool,
    pub(super) soak: u32,
    pub(super) is_curves: bool,
    /// Which; none stands for all.
    pub(super) curves: Vec<String>,
    pub(super) json: Option<PathBuf>,
    pub(super) write: bool,
    pub(super) program: Option<PathBuf>,
    pub(super) list: bool,
}

impl Options {
    pub(super) fn read(args: &[String]) -> Fallible<Self> {
        let mut options = Self {
            cells: Vec::new(),
            messages: None,
            repeat: 3,
            kills: 0,
            backlog: 0,
            sweep: 0,
            watchers: false,
            soak: 0,
            is_curves: false,
            curves: Vec::new(),
            json: None,
            write: false,
            program: None,
            list: false,
        };
        let mut matrix: &[&str] = &matrix::FULL;
        // What stands for several options comes first, so that the others may differ from it in any order.
        if args.iter().any(|arg| arg == "--quick") {
            matrix = &matrix::QUICK;
            options.messages = Some(matrix::QUICK_MESSAGES);
            options.repeat = 1;
        }
        let mut args = args.iter().peekable();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            let number = |text: &str| {
                text.parse::<u32>()
                    .map_err(|_| format!("{arg} {text}: no number"))
            };
            match arg.as_str() {
                "--cells" => {
                    while let Some(cell) = args.next_if(|next| !next.starts_with("--")) {
                        options.cells.push(cell.parse()?);
                    }
                }
                "--curves" => {
                    options.is_curves = true;
                    while let Some(curve) = args.next_if(|next| curves::is_known(next)) {
                        options.curves.push(curve.clone());
                    }
                }
                "--messages" => options.messages = Some(number(value()?)?.max(1)),
                "--repeat" => options.repeat = number(value()?)?.max(1),
                "--backlog" => options.backlog = number(value()?)?,
                "--sweep" => options.sweep = number(value()?)?,
                "--soak" => options.soak = number(value()?)?,
                "--kills" => options.kills = number(value()?)?,
                "--json" => options.json = Some(value()?.into()),
                "--program" => options.program = Some(value()?.into()),
                "--watchers" => options.watchers = true,
                "--write" => options.write = true,
                "--list" => options.list = true,
                // What cargo adds, and what has been seen to.
                "--bench" | "--quick" => {}
                other => return Err(format!("unknown option {other}\n{USAGE}").into()),
            }
        }
        if options.cells.is_empty() {
            for cell in matrix {
                options.cells.push(cell.parse()?);
            }
        }
        Ok(options)
    }

    pub(super) fn messages_of(&self, cell: &Cell) -> u32 {
        self.messages.unwrap_or_else(|| cell.messages())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Fallible<Options> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&args)
    }

    #[test]
    fn nothing_said_is_the_full_matrix_three_times() {
        let options = read("--bench").unwrap();
        assert_eq!(options.cells.len(), matrix::FULL.len());
        assert_eq!((options.repeat, options.kills, options.write), (3, 0, false));
    }

    #[test]
    fn cells_end_where_the_next_option_begins() {
        let options = read("--cells 1x10 8x100,receipts=none --messages 500 --repeat 2").unwrap();
        let names: Vec<String> = options.cells.iter().map(Cell::to_string).collect();
        assert_eq!(names, ["1x10", "8x100,receipts=none"]);
        assert_eq!(options.messages_of(&options.cells[0]), 500);
        assert_eq!(options.repeat, 2);
    }

    #[test]
    fn quick_may_stand_anywhere_and_yields_to_what_is_said() {
        let options = read("--repeat 2 --quick --json out.json").unwrap();
        assert_eq!((options.repeat, options.cells.len()), (2, matrix::QUICK.len()));
        assert_eq!(options.messages, Some(matrix::QUICK_MESSAGES));
        assert_eq!(options.json.unwrap().to_str(), Some("out.json"));
    }

    #[test]
    fn what_it_does_not_know_it_refuses() {
        for line in [
            "--messages",
            "--messages many",
            "--fast",
            "--cells fast",
            "--json",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
