//! Which carriers a message may take, and which account a handset's message belongs to.
//!
//! Tables are built once from the configuration and then only read.

mod mo;
mod mt;
mod place;
mod route;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_mo;

pub use mo::{MoFacts, MoRouter, MoWay, MoWhy, bind_tag};
pub use mt::{KeptOut, MtRouter, Tried};
pub use place::{Place, World};
pub use route::{Facts, LOTS, Way, Why, lot_of_part};

/// A carrier's place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierIndex(pub usize);
