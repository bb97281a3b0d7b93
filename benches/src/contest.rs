//! A contest: one operation over the same octets, done by several implementations.

mod measure;

use std::error::Error;

pub use measure::{Figures, Results, counted};

/// Does the operation as many times as it is told.
pub type Run = Box<dyn FnMut(u32)>;

/// One implementation.
#[expect(missing_debug_implementations, reason = "holds closures")]
pub struct Contestant {
    /// The crate, and what of it where it has several ways.
    pub who: &'static str,
    /// Whether it is ours.
    pub ours: bool,
    /// The operation.
    pub run: Run,
}

/// One operation.
#[expect(missing_debug_implementations, reason = "holds closures")]
pub struct Contest {
    /// What is done; no other contest of the bench has this name.
    pub name: String,
    /// Who does it.
    pub contestants: Vec<Contestant>,
}

impl Contest {
    /// One without contestants.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            contestants: Vec::new(),
        }
    }

    /// One of ours; the first of them is what the others are compared with.
    #[must_use]
    pub fn ours(self, who: &'static str, once: impl FnMut() + 'static) -> Self {
        self.add(who, true, repeat(once))
    }

    /// Somebody else's.
    #[must_use]
    pub fn theirs(self, who: &'static str, once: impl FnMut() + 'static) -> Self {
        self.add(who, false, repeat(once))
    }

    /// One that does as many operations as it is told, by a loop of its own.
    #[must_use]
    pub fn add(mut self, who: &'static str, ours: bool, run: Run) -> Self {
        self.contestants.push(Contestant { who, ours, run });
        self
    }
}

/// Runs one contestant alone, for the counter of instructions: `arguments` are the contest, who, and how many operations,
/// as [`Contest::run`] hands them to `--turn` of the same program.
///
/// # Errors
///
/// There is none of these names.
pub fn turn(mut contests: Vec<Contest>, arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [name, who, times] = arguments else {
        return Err("--turn CONTEST WHO N".into());
    };
    let contest = contests.iter_mut().find(|contest| contest.name == *name);
    let contestants = &mut contest.ok_or("no such contest")?.contestants;
    let contestant = contestants.iter_mut().find(|contestant| contestant.who == who);
    (contestant.ok_or("no such contestant")?.run)(times.parse()?);
    Ok(())
}

/// The loop stands on this side of the call through a pointer: what is measured is compiled as one piece.
fn repeat(mut once: impl FnMut() + 'static) -> Run {
    Box::new(move |times| {
        for _ in 0..times {
            once();
        }
    })
}
