//! The peers that the tests script: an ESME and an SMSC that speak octets over real sockets and do
//! nothing of their own accord that a test did not ask for, and the gateway as a process of its own.
//!
//! Everything here waits for at most [`DEADLINE`] and then panics, saying who waited for what and what
//! came instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this runs inside tests, which fail by panicking"
)]

pub mod esme;
pub mod peer;
pub mod process;
pub mod smsc;

use std::time::Duration;

pub use esme::ScriptedEsme;
pub use peer::{Frame, Peer};
pub use process::{Places, Process};
pub use smsc::{Dialect, ScriptedSmsc};

/// How long a peer waits for what it expects: far longer than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A key of an account whose retention profile asks for TLS (SEC-1) and whose test binds in clear text.
pub const IN_CLEAR_TEXT: &str =
    "transport_exception = { min_transport = \"clear\", name = \"a test on loopback\", until = 2999-12-31 }";

#[cfg(test)]
mod tests;
