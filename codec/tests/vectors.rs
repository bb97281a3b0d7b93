//! The public vectors (codec/testdata, where they come from: their `source` fields): what other
//! implementations' test suites and the specifications say, read by ours. Every vector of every file is
//! read, and their counts are asserted; text.json has a test of its own (tests/text.rs).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "vectors/dlr_time.rs"]
mod dlr_time;
#[path = "vectors/fields.rs"]
mod fields;
#[path = "vectors/json.rs"]
mod json;
#[path = "vectors/malformed.rs"]
mod malformed;
#[path = "vectors/stream.rs"]
mod stream;
#[path = "vectors/valid.rs"]
mod valid;
