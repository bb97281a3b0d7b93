//! What both simulated ends share ([`crate::simulator`], [`crate::load`]): messages that say which one
//! they are, sets of them, and a socket with one read and one write per wake.

pub mod coding;
pub mod marks;
pub mod token;

pub(crate) mod wire;
