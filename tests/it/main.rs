//! The one integration binary: a module per theme.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod ancillary;
mod answers;
mod bans;
mod canary;
mod carriers;
mod control;
mod crash;
mod duplicates;
mod explain;
mod faults;
mod flows;
mod full_disk;
mod handsets;
mod house;
mod independent;
mod kill;
mod load;
mod local;
mod numbers;
mod outbox;
mod pending;
mod pipe;
mod power;
mod quotas;
mod quoted;
mod reload;
mod routes;
mod simulation;
mod simulator;
mod sweep;
mod versions;
mod virtual_time;
mod volume;
mod wire;
mod world;
