//! Receipts and times as the references state them, statement by statement: what carriers write, and what we
//! write ourselves. The public vectors (tests/vectors.rs) hold the same statements by example.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "receipts/dialects.rs"]
mod dialects;
#[path = "receipts/ids.rs"]
mod ids;
#[path = "receipts/kinds.rs"]
mod kinds;
#[path = "receipts/times.rs"]
mod times;
