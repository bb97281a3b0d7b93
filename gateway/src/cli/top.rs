//! `tidegate top`: the board of the running gateway in a terminal.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::{cursor, execute, queue, style, terminal};
use serde_json::{Map, Value};

use super::top_screen::{Look, lines};
use super::values::duration;
use super::{Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError};

/// How often keys are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without news for so long it is said.
const STALE: Duration = Duration::from_secs(4);
/// Columns where there is no terminal.
const WIDTH: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration's file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// From one look to the next; the gateway has a new one every second.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    interval: Duration,
    /// Print one look as text, and end; so it is without a terminal, and with --json.
    #[arg(long)]
    once: bool,
}

type Board = Map<String, Value>;
type Told = Result<Board, AskError>;

pub(super) fn run(args: &Args, json: bool) -> Result<Outcome, Refusal> {
    let data = read_config(&args.config)?.storage.data;
    let first = control::ask(&data, &control::Verb::Board)?;
    if args.once || json || !io::stdout().is_terminal() {
        let look = Look {
            width: WIDTH,
            height: usize::MAX,
            has_colour: false,
            is_utf8: is_utf8(),
        };
        return Ok(Outcome {
            text: lines(&first, look, None).join("\n"),
            fields: first,
            ..Outcome::default()
        });
    }
    let ((tell, told), (ask_again, asked)) = (sync_channel(1), sync_channel(1));
    // It may wait for an answer; keys are heeded meanwhile. It ends with the process.
    thread::spawn(move || ask_on(&data, &asked, &tell));
    let asking = Asking {
        ask_again,
        told,
        interval: args.interval,
    };
    let ended = Screen::open().and_then(|mut screen| watch(&mut screen, first, &asking));
    ended.map_err(|error| Refusal::from(io::Error::new(error.kind(), format!("the terminal: {error}"))))?;
    Ok(Outcome::default())
}

/// Asks whenever it is told to, until nobody listens.
fn ask_on(data: &Path, asked: &Receiver<()>, tell: &SyncSender<Told>) {
    while asked.recv().is_ok() {
        if tell.send(control::ask(data, &control::Verb::Board)).is_err() {
            return;
        }
    }
}

/// The ends of who asks.
struct Asking {
    ask_again: SyncSender<()>,
    told: Receiver<Told>,
    interval: Duration,
}

/// Shows what is told until somebody has had enough.
fn watch(screen: &mut Screen, mut board: Board, asking: &Asking) -> io::Result<()> {
    let clock = Clock::machine();
    let (mut heard, mut problem, mut is_new) = (clock.now().monotonic, None, true);
    let mut ask_at = Some(heard + asking.interval);
    loop {
        let now = clock.now().monotonic;
        if ask_at.is_some_and(|at| now >= at) {
            ask_at = None;
            // Room for one, and none is under way.
            let _ = asking.ask_again.try_send(());
        }
        match asking.told.try_recv() {
            Ok(Ok(new)) => {
                (board, problem, is_new) = (new, None, true);
                (heard, ask_at) = (now, Some(now + asking.interval));
            }
            Ok(Err(error)) => {
                (problem, is_new) = (Some(error.to_string()), true);
                ask_at = Some(now + asking.interval);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        let quiet = now.saturating_sub(heard);
        if is_new || quiet > STALE {
            let age = format!("NO NEWS for {} s", quiet.as_secs());
            let note = match &problem {
                Some(why) => Some(format!("{age}: {why}")),
                None => (quiet > STALE).then_some(age),
            };
            screen.draw(&board, note.as_deref())?;
        }
        is_new = false;
        if poll(LOOK_EVERY)? {
            match read()? {
                Event::Key(key) if is_end(key) => return Ok(()),
                Event::Resize(..) => is_new = true,
                _ => {}
            }
        }
    }
}

fn is_end(key: KeyEvent) -> bool {
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && (is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

/// The terminal, given back as it was when this is dropped.
struct Screen {
    out: io::Stdout,
    has_colour: bool,
    is_utf8: bool,
}

impl Screen {
    fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut screen = Self {
            out: io::stdout(),
            // https://no-color.org: set to anything but nothing.
            has_colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            is_utf8: is_utf8(),
        };
        execute!(screen.out, terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    fn draw(&mut self, board: &Board, note: Option<&str>) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let look = Look {
            width: usize::from(width),
            height: usize::from(height),
            has_colour: self.has_colour,
            is_utf8: self.is_utf8,
        };
        queue!(self.out, terminal::BeginSynchronizedUpdate)?;
        for (row, line) in (0..height).zip(lines(board, look, note)) {
            // Line by line, so that nothing flickers.
            queue!(
                self.out,
                cursor::MoveTo(0, row),
                style::Print(line),
                terminal::Clear(terminal::ClearType::UntilNewLine)
            )?;
        }
        queue!(
            self.out,
            terminal::Clear(terminal::ClearType::FromCursorDown),
            terminal::EndSynchronizedUpdate
        )?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What fails here has no terminal any more.
        let _ = execute!(self.out, terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// Whether the locale says that more than ASCII can be shown.
fn is_utf8() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    named.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8")
    })
}
