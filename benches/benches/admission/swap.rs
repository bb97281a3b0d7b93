//! Other tables in the place of these, while 20 000 look-ups a second go on.

use std::fmt::Write as _;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use tidegate_gateway::tables::Tables;

use super::data::{Made, Seeded};
use super::lookups::{Digits, numbers};
use super::{Fallible, nanoseconds, now, percentile};

/// From one look-up to the next.
const EVERY: Duration = Duration::from_micros(50);
const QUIET: Duration = Duration::from_secs(5);

/// What look-ups took from when they were due, in nanoseconds.
struct Took {
    sorted: Vec<u64>,
    /// The longest exchange of one for the other.
    exchange: Duration,
}

pub(crate) fn report(tables: Tables, made: &Made) -> Fallible<String> {
    let digits = numbers(made, &mut Seeded::new(8), 4);
    let mut tables = Arc::new(tables);
    let (done, quiet) = sync_channel(1);
    let quiet = thread::scope(|scope| {
        scope.spawn(move || {
            thread::park_timeout(QUIET);
            drop(done);
        });
        look_up(&mut tables, &digits, &quiet, |_| ())
    });
    let (loaded, fresh) = sync_channel(1);
    let (give_back, old) = sync_channel::<Arc<Tables>>(1);
    let swapped = thread::scope(|scope| {
        // As the keeper does it: loads, hands over, and lets go of the old ones.
        let keeper = scope.spawn(move || {
            let began = now();
            let tables = Tables::load(&made.config).map_err(|problems| problems.to_string())?;
            let took = began.elapsed();
            loaded.send(Arc::new(tables)).map_err(|error| error.to_string())?;
            drop(old.recv());
            Ok::<_, String>(took)
        });
        let swapped = look_up(&mut tables, &digits, &fresh, |old| drop(give_back.send(old)));
        keeper
            .join()
            .map_err(|_| "the loading thread failed")?
            .map(|took| (swapped, took))
            .map_err(Into::<Box<dyn std::error::Error>>::into)
    });
    let (swapped, took) = swapped?;
    let mut out = "| 20 000 look-ups a second, ns from when each was due | p50 | p99 | p99.9 |\n".to_owned();
    out += "|---|--:|--:|--:|\n";
    for (name, took) in [
        ("nothing else", &quiet),
        ("others are loaded, put in place, the old ones let go", &swapped),
    ] {
        let [p50, p99, p999] = [500, 990, 999].map(|permille| percentile(&took.sorted, permille));
        writeln!(out, "| {name} | {p50} | {p99} | {p999} |")?;
    }
    writeln!(
        out,
        "\nThe loading beside it took {:.1} s, the exchange itself {} ns.",
        took.as_secs_f64(),
        swapped.exchange.as_nanos()
    )?;
    Ok(out)
}

/// Looks up at an even pace until who sends tables is gone.
fn look_up(
    tables: &mut Arc<Tables>,
    digits: &[Digits],
    fresh: &Receiver<Arc<Tables>>,
    give_back: impl Fn(Arc<Tables>),
) -> Took {
    let (mut took, mut exchange) = (Vec::new(), Duration::ZERO);
    let mut due = now() + EVERY;
    for digits in digits.iter().cycle() {
        while now() < due {
            spin_loop();
        }
        match fresh.try_recv() {
            Ok(fresh) => {
                let began = now();
                let old = std::mem::replace(tables, fresh);
                give_back(old);
                exchange = exchange.max(began.elapsed());
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        black_box(tables.find(black_box(digits.get())));
        took.push(nanoseconds(due.elapsed()));
        due += EVERY;
    }
    took.sort_unstable();
    Took {
        sorted: took,
        exchange,
    }
}
