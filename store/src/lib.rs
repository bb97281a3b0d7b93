//! Everything Tidegate keeps on disk.
//!
//! The truth is a log of small checksummed files, the [spool](crate::spool); memory follows it
//! ([`index`], [`outbox`]). Bodies, addresses and carriers' ids are [sealed](crate::seal) before the first
//! write, under keys that lie in a [ring](crate::keyring) of their own.
//!
//! Nothing here reads a clock or makes randomness: `now` is an argument in milliseconds since 1970 UTC,
//! and so is the source of randomness. What touches a file goes through [`disk`], which has a twin in
//! memory that forgets and fails on command.

pub mod addresses;
pub mod audit;
mod by_hash;
pub mod chain;
pub mod disk;
mod footer;
pub mod history;
pub mod index;
pub mod keyring;
pub mod lock;
pub mod message_id;
pub mod names;
pub mod outbox;
mod pairs;
pub mod progress;
pub mod pseudonym;
pub mod quote;
pub mod record;
pub mod rules;
pub mod seal;
pub mod segment;
pub mod service_type;
pub mod slots;
pub mod spool;
pub mod standing;
pub mod tree;
pub mod usage;
pub mod waiting;
mod wiped;

#[cfg(test)]
mod testing;
