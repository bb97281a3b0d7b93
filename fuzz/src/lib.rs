//! Fuzz bodies. Each takes octets as an attacker would choose them and asserts an invariant; the libFuzzer wrappers
//! in `libfuzzer/` only call them. Seeds, committed inputs and seeded mutation run as ordinary tests (`tests/`).

#![allow(clippy::panic, reason = "a body fails by panicking")]

mod config;
mod mutate;
mod pdu;
mod receipt;
mod seeds;
mod session;
mod store;
mod stream;
mod text;
mod words;

pub use config::config;
pub use mutate::Mutator;
pub use pdu::pdu;
pub use receipt::receipt;
pub use seeds::{committed, messages, seeds};
pub use session::{lives, session};
pub use store::{record, segment};
pub use stream::stream;
pub use text::{reassembly, text, udh};
pub use words::words;

/// A body and the name under which its inputs and its libFuzzer wrapper are found.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its function.
    pub name: &'static str,
    /// What is run with each input.
    pub body: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), body: $name }),*];
    };
}

targets! { pdu stream session text udh reassembly receipt config segment record words }
