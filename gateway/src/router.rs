//! Which carriers a message may take, and which account a handset's message belongs to.
//!
//! Tables are built once from the configuration and then only read.

mod mo;
mod mt;

pub use mo::MoRouter;
pub use mt::{Facts, MtRouter, Tried, Way, Why};

/// A carrier's place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierIndex(pub usize);
