//! A clock that a test sets by a file.
//!
//! The file has one line or two, each an instant as RFC 3339 has it. The first is what the wall clock says. The second is
//! where the monotonic clock stands; without it both stand at the first: so much time has passed. Both stand still until
//! the file says something else. Time that has passed does not come back: a file that says so is not believed, and one
//! that cannot be read changes nothing. What the wall clock claims may jump either way, that is what a second line is for.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Octets of a file at most: two instants have less than a hundred.
const FILE_MAX: u64 = 256;

/// See the [module](self).
#[derive(Debug)]
pub struct Told {
    file: PathBuf,
    start_ms: u64,
    unix_ms: AtomicU64,
    passed_ms: AtomicU64,
    /// What was wrong when it was last read: it is said once.
    wrong: Mutex<Option<String>>,
}

/// Why a file says no time.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// It cannot be read.
    #[error("the clock's file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something else stands in it.
    #[error("the clock's file has one instant, or two lines with one each, such as 2026-12-24T18:00:00Z")]
    NoInstant,
}

/// What a file says, in unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instants {
    wall_ms: u64,
    monotonic_ms: u64,
}

impl Told {
    /// Reads a file for the first time.
    ///
    /// # Errors
    ///
    /// It cannot be read, or does not say.
    pub fn open(file: PathBuf) -> Result<Self, ToldError> {
        let said = read(&file)?;
        Ok(Self {
            file,
            start_ms: said.monotonic_ms,
            unix_ms: AtomicU64::new(said.wall_ms),
            passed_ms: AtomicU64::new(said.monotonic_ms),
            wrong: Mutex::default(),
        })
    }

    /// What the wall clock says.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::Relaxed)
    }

    /// How much time has passed since the first reading.
    pub fn passed(&self) -> Duration {
        Duration::from_millis(
            self.passed_ms
                .load(Ordering::Relaxed)
                .saturating_sub(self.start_ms),
        )
    }

    /// Reads it again. Says whether it says something else now.
    pub fn read_again(&self) -> bool {
        let stands = self.passed_ms.load(Ordering::Relaxed);
        let wrong = match read(&self.file) {
            Ok(said) if said.monotonic_ms >= stands => {
                self.passed_ms.store(said.monotonic_ms, Ordering::Relaxed);
                let was = self.unix_ms.swap(said.wall_ms, Ordering::Relaxed);
                self.note(None);
                return was != said.wall_ms || stands != said.monotonic_ms;
            }
            Ok(_) => "time that has passed does not come back".to_owned(),
            Err(error) => error.to_string(),
        };
        self.note(Some(wrong));
        false
    }

    /// Notes what is wrong, and says it if that is new.
    fn note(&self, wrong: Option<String>) -> bool {
        let mut known = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == wrong {
            return false;
        }
        if let Some(wrong) = &wrong {
            tracing::warn!(file = %self.file.display(), %wrong, "the clock stays where it was");
        }
        *known = wrong;
        true
    }
}

fn read(file: &PathBuf) -> Result<Instants, ToldError> {
    let mut text = String::new();
    File::open(file)?.take(FILE_MAX).read_to_string(&mut text)?;
    instants(&text).ok_or(ToldError::NoInstant)
}

fn instants(text: &str) -> Option<Instants> {
    let mut lines = text.lines().map(str::trim);
    let wall_ms = tidegate_config::expectations::time(lines.next()?)?;
    let monotonic_ms = match lines.next() {
        None | Some("") => wall_ms,
        Some(line) => tidegate_config::expectations::time(line)?,
    };
    lines.all(str::is_empty).then_some(Instants {
        wall_ms,
        monotonic_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// 2026-11-24, at midnight.
    const START: u64 = 1_795_478_400_000;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock");
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    #[test]
    fn one_instant_is_both_clocks_and_two_are_one_each() {
        let both = |wall_ms, monotonic_ms| {
            Some(Instants {
                wall_ms,
                monotonic_ms,
            })
        };
        for (text, expected) in [
            ("2026-11-24T00:00:00Z", both(START, START)),
            ("2026-11-24T01:00:00+01:00\n", both(START, START)),
            ("2026-11-24T00:00:00Z\n\n", both(START, START)),
            (
                "2026-11-25T00:00:00Z\n2026-11-24T00:00:00.250Z\n",
                both(START + 86_400_000, START + 250),
            ),
            ("", None),
            ("\n2026-11-24T00:00:00Z", None),
            ("2026-11-24", None),
            ("2026-11-24T00:00:00", None),
            ("2026-11-24T00:00:00Z\ntomorrow", None),
            (
                "2026-11-24T00:00:00Z\n2026-11-24T00:00:00Z\n2026-11-24T00:00:00Z",
                None,
            ),
            ("1969-11-24T00:00:00Z", None),
        ] {
            assert_eq!(instants(text), expected, "{text:?}");
        }
    }

    #[test]
    fn time_that_has_passed_does_not_come_back_and_the_wall_may_jump() {
        let (_dir, path) = file("2026-11-24T00:00:00Z");
        let told = Told::open(path.clone()).unwrap();
        let say = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let is_new = told.read_again();
            (is_new, told.unix_ms() - START, told.passed().as_secs())
        };
        assert_eq!(say("2026-11-24T00:00:00Z"), (false, 0, 0));
        assert_eq!(say("2026-11-24T00:01:00Z"), (true, 60_000, 60));
        assert_eq!(say("2026-11-24T00:00:59Z"), (false, 60_000, 60), "back");
        assert_eq!(say("soon"), (false, 60_000, 60), "no time");
        assert_eq!(
            say("2026-11-24T03:00:00Z\n2026-11-24T00:01:01Z"),
            (true, 10_800_000, 61),
            "a jump"
        );
        assert_eq!(
            say("2026-11-24T00:00:30Z\n2026-11-24T00:01:01Z"),
            (true, 30_000, 61),
            "a jump back"
        );
        assert_eq!(
            say("2026-11-24T00:00:31Z"),
            (false, 30_000, 61),
            "the monotonic clock back"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(!told.read_again());
        assert_eq!((told.unix_ms() - START, told.passed().as_secs()), (30_000, 61));
    }

    #[test]
    fn what_is_wrong_is_said_once_and_again_after_it_was_right() {
        let (_dir, path) = file("2026-11-24T00:00:00Z");
        let told = Told::open(path).unwrap();
        let wrong = || Some("wrong".to_owned());
        assert!(told.note(wrong()));
        assert!(!told.note(wrong()));
        assert!(told.note(None) && told.note(wrong()));
    }

    #[test]
    fn a_gateway_does_not_start_by_a_clock_that_says_nothing() {
        let (dir, path) = file("now");
        assert!(matches!(Clock::told(path), Err(ToldError::NoInstant)));
        assert!(matches!(
            Clock::told(dir.path().join("none")),
            Err(ToldError::Io(_))
        ));
        let (_dir, long) = file(&format!("2026-11-24T00:00:00Z{}", " ".repeat(1 << 20)));
        assert!(Clock::told(long).is_ok(), "no more is read than two lines need");
    }

    /// Timers of links run on while the file stands still, and do not jump when it does.
    #[tokio::test(start_paused = true)]
    async fn the_monotonic_clock_is_the_machine_s() {
        let (_dir, path) = file("2026-11-24T00:00:00Z");
        let clock = Clock::told(path.clone()).unwrap();
        tokio::time::advance(Duration::from_secs(90)).await;
        let now = clock.now();
        assert_eq!((now.monotonic, now.unix_ms), (Duration::from_secs(90), START));
        assert_eq!(clock.passed(), Duration::ZERO);
        std::fs::write(&path, "2026-11-25T00:00:00Z").unwrap();
        let clone = clock.clone();
        assert!(clone.read_again());
        let now = clock.now();
        assert_eq!(
            (now.monotonic, now.unix_ms),
            (Duration::from_secs(90), START + 86_400_000)
        );
        assert_eq!(clock.passed(), Duration::from_hours(24));
    }
}
