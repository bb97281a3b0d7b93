//! What `tidegate demo` shows of a simulated carrier and simulated clients: both counts put together, and
//! how far they are.
//!
//! ```text
//!  load ── submit_sm ──► gateway ── submit_sm ──► simulator
//!       ◄─ resp, DLR ───         ◄─ resp, receipt ─
//! ```
//!
//! Both ends run on threads of their own and know nothing of the gateway between them, so that they may
//! as well be bound to each other, or to a gateway in another process.

pub mod progress;
pub mod report;

#[cfg(test)]
mod tests;
