//! The session machine: alone, in pairs joined by their octets, and fed with anything; all in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod anything;
mod bind;
mod bodies;
mod ends;
mod faults;
mod matrix;
mod numbers;
mod outbind;
mod pairs;
mod party;
mod timers;
mod unbind;
mod window;
