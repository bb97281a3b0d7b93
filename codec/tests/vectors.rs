//! The public vectors (codec/testdata, where they come from: their `source` fields): what other
//! implementations' test suites and the specifications say, read by ours. Every vector of every file is
//! read, at least as many as are public; longer files of the same format pass the same tests. With
//! `--nocapture` the counts are shown. text.json has a test of its own (tests/text.rs).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run shows how many vectors it has read")]

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

/// The vectors of a file, of which `public` are known: a longer file of the same format passes the same
/// tests, a shorter one has lost something. The count is printed, so that a run shows what it has read.
fn of_file(file: &str, text: &str, public: usize) -> Vec<serde_json::Value> {
    let all = json::vectors(text);
    assert!(all.len() >= public, "{file}: {} vectors, not {public}", all.len());
    println!("{file}: {} vectors", all.len());
    all
}
