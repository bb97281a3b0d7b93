//! What the process forbids itself before it holds a secret.
//!
//! A core file would hold keys, passwords and texts of messages, on a disk that nobody sweeps; a debugger of the same user could
//! read them. Neither keeps root out.

use rustix::io;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// What came of it: `Ok` where the system did it.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Hardened {
    no_core: io::Result<()>,
    not_dumpable: io::Result<()>,
}

/// Has the system write no core file of this process, now or later, and let no other process of the same user look into it
/// (`RLIMIT_CORE`, `PR_SET_DUMPABLE`).
pub fn harden() -> Hardened {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Hardened {
        no_core: setrlimit(Resource::Core, none),
        not_dumpable: set_dumpable_behavior(DumpableBehavior::NotDumpable),
    }
}

impl Hardened {
    /// Whether the system did both.
    pub const fn is_whole(self) -> bool {
        self.no_core.is_ok() && self.not_dumpable.is_ok()
    }

    /// Says it in the log. What could not be done is an error there and keeps nobody's messages waiting.
    pub fn log(self) {
        match (self.no_core, self.not_dumpable) {
            (Ok(()), Ok(())) => {
                tracing::info!("no core files, and no look into this process from outside");
            }
            (no_core, not_dumpable) => {
                tracing::error!(
                    ?no_core,
                    ?not_dumpable,
                    "core files could not be forbidden: they would hold keys and texts"
                );
            }
        }
    }
}
