//! The gateway: sockets, tasks, time and policy over [`tidegate_codec`], [`tidegate_config`] and
//! [`tidegate_store`].
//!
//! Start at [`gate`]: the whole gateway as one value. [`serve`] drives it, [`run`] starts and ends it, the
//! files named after what happens ([`mt`], [`dlr`], [`mo`]) tell a message's story.

pub mod abuse;
pub mod access;
pub mod addressing;
pub mod admin;
pub mod admission;
mod asked;
pub mod audit;
pub mod bans;
pub mod board;
pub mod bucket;
pub mod carrier;
pub mod cli;
pub mod clock;
pub mod connect;
pub mod control;
pub mod credentials;
pub mod demo;
pub mod disclosures;
pub mod dlr;
pub mod doctor;
pub mod documents;
pub mod esme;
pub mod explain;
pub mod exports;
mod filters;
pub mod gate;
pub mod hardening;
pub mod hold;
pub mod hours;
pub mod http;
pub mod ids;
pub mod installation;
pub mod keeper;
pub mod keeping;
pub mod kek;
mod keywords;
mod last_timer;
pub mod late;
pub mod legal;
pub mod life;
pub mod link;
pub mod links;
pub mod listen;
pub mod load;
mod logged;
pub mod measured;
pub mod mo;
pub mod mt;
pub mod notices;
pub mod number;
pub mod orders;
pub mod origin;
pub mod outbox;
mod plain;
pub mod publish;
pub mod quota;
pub mod random;
pub mod refusal;
pub mod register;
pub mod reload;
pub mod retention;
pub mod router;
pub mod run;
mod screening;
pub mod secret;
pub mod serve;
pub mod simulator;
mod small_file;
pub mod standing;
mod start_remedy;
pub mod subjects;
pub mod sweep;
pub mod tables;
pub mod tally;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod traffic;
pub mod turn;
mod wording;

#[cfg(test)]
mod testing;
