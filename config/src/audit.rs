//! The audit log's checkpoints: how often, where to, in whose name.

use std::path::PathBuf;
use std::time::Duration;

use crate::node::Node;
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{duration, integer, path, shown, text};

/// Table `[audit]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Key `checkpoint_every`, entries, default 1 000, 1 to 1 000 000: a checkpoint is signed after so many (AUD-2).
    pub checkpoint_every: u64,
    /// Key `checkpoint_interval`, default 1 min, 1 s to 1 d: and after so long, if there is an entry that none signs yet.
    pub checkpoint_interval: Duration,
    /// Key `checkpoint_directory`, default absent: checkpoints are dropped there besides, as files (AUD-3). It should be
    /// out of reach of whoever could edit the log.
    pub checkpoint_directory: Option<PathBuf>,
    /// Key `origin`, default `tidegate/node-` and the node's number ([`Audit::origin`]): the log's name in its
    /// checkpoints, 1 to 120 visible characters of ASCII without `+`.
    pub origin: Option<String>,
}

impl Audit {
    /// The log's name in its checkpoints.
    pub fn origin(&self, node: &Node) -> String {
        self.origin
            .clone()
            .unwrap_or_else(|| format!("tidegate/node-{}", node.id))
    }
}

/// Why a process that runs cannot take a key of this table over; `None` where it can.
pub(crate) fn why_restart(key: &str) -> Option<&'static str> {
    (key == "origin").then_some("the log that is open has a name")
}

const CHECKPOINT_EVERY: u64 = 1_000;
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
const ORIGIN_MAX: usize = 120;

pub(crate) fn read(mut section: Section<'_>) -> Audit {
    let audit = Audit {
        checkpoint_every: section.or("checkpoint_every", CHECKPOINT_EVERY, integer(1..=1_000_000)),
        checkpoint_interval: section.or(
            "checkpoint_interval",
            CHECKPOINT_INTERVAL,
            duration(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)),
        ),
        checkpoint_directory: section.optional("checkpoint_directory", path),
        origin: section.optional("origin", text(origin)),
    };
    section.finish(&[]);
    audit
}

fn origin(text: &str) -> Result<String, Fault> {
    let is_fit = |c: char| c.is_ascii_graphic() && c != '+';
    if (1..=ORIGIN_MAX).contains(&text.len()) && text.chars().all(is_fit) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} cannot name a log", shown::value(text)),
        format!(
            "write 1 to {ORIGIN_MAX} visible characters of ASCII without `+`, such as \"sms.example.org/audit\""
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn a_name_fits_into_a_signed_note() {
        for good in ["a", "sms.example.org/audit", "tidegate/node-255"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a+b", "a\nb", "ä", &"x".repeat(121)] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
