//! Following single things through the gateway, on an operator's word: what the records tell of one unfinished message
//! ([`Records`]), and which PDUs pass on the links of one account or carrier for a while ([`Traces`]).
//!
//! ```text
//!  octets in ─► Gate::input ─┐ one branch on a bool           channel of LINES_MAX
//!                            ├──────► Traces ─► Seen ─► try_send ═════════════════► a thread a trace ─► traces/*.jsonl
//!  octets out ─► Hub::write ─┘                    full: dropped and counted
//! ```
//!
//! What leaves the loop's thread is a [`Seen`]: lengths, codes and kinds. No text, no digits, no password and no id of a
//! carrier's is in it (P4), so that no line can hold any. The message path never waits for a trace.

mod file;
mod records;
mod running;
mod seen;
mod tend;

use std::time::Duration;

pub use file::{Files, Kept};
pub(crate) use file::{Why, Writer};
pub use records::Records;
pub(crate) use running::{Running, Whose};
pub use running::{TraceOf, Traces};
pub use seen::{Direction, Seen};
pub use tend::tend;

/// PDU traces at a time.
pub const RUNNING_MAX: usize = 4;
/// The longest PDU trace.
pub const FOR_MAX: Duration = Duration::from_secs(15 * 60);
/// Octets of a trace's file where nobody says how many.
pub const LIMIT_DEFAULT: u64 = 16 << 20;
/// The fewest: room for the first line and the last, and some between.
pub const LIMIT_MIN: u64 = 4 << 10;
/// The most.
pub const LIMIT_MAX: u64 = 64 << 20;
/// Files of traces at a time, those that are written included: 1 GiB at most.
pub const FILES_MAX: usize = 16;
/// How long a file is kept once its trace has ended.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Lines that may wait to be written, for each trace: a few hundred octets each.
const LINES_MAX: usize = 4_096;
