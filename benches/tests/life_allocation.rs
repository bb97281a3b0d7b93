//! A message's whole life allocates nothing: what it takes was there before it. What remains is a turn's, for some hundred messages at
//! a time, and the tables' that grow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use tidegate_benches::life::{Life, ROUND, Receipts};

/// Rounds until tables have grown and what is kept for later use is there, and rounds that count.
const ROUNDS: u64 = 40;

#[test]
fn a_whole_life_allocates_less_than_once_in_twenty_messages() {
    for receipts in [Receipts::Final, Receipts::None] {
        let dir = tempfile::tempdir().unwrap();
        let mut life = Life::new(dir.path(), receipts).unwrap();
        for _ in 0..ROUNDS {
            life.round().unwrap();
        }
        let counted = measure(|| {
            for _ in 0..ROUNDS {
                life.round().unwrap();
            }
        });
        let messages = ROUNDS * ROUND as u64;
        assert!(
            counted.count_total * 20 < messages,
            "{receipts:?}, {messages} messages: {counted:?}"
        );
    }
}
