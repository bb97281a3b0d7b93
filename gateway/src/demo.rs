//! The peers of `tidegate demo`: a simulated carrier and simulated clients over real sockets, what each
//! of them counts, and the table that both counts add up to.
//!
//! ```text
//!  clients ── submit_sm ──► gateway ── submit_sm ──► carrier
//!          ◄─ resp, DLR ───         ◄─ resp, receipt ─
//! ```
//!
//! Both ends run on threads of their own and know nothing of the gateway between them, so that they may
//! as well be bound to each other, or to a gateway in another process. Every message carries a [`token`],
//! by which each end tells which of them it has seen, how often, and whether unchanged.

pub mod carrier;
pub mod clients;
pub mod marks;
pub mod progress;
pub mod report;
pub mod token;

mod bind;
mod book;
mod centre;
mod link;
mod wire;

#[cfg(test)]
mod tests;
