//! Which files hold the big tables. Reading those is the gateway's business.

use std::path::PathBuf;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::path;

/// Table `[tables]`, files of comma-separated values with a header line; may be absent. What stands in them is
/// checked when they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Key `networks`, default absent: which network and country a number belongs to, by prefix or range.
    pub networks: Option<PathBuf>,
    /// Key `ported`, default absent: numbers that left the network of their prefix; asked before prefixes.
    /// Needs `networks`, which says what networks there are.
    pub ported: Option<PathBuf>,
}

pub(crate) fn read(mut section: Section<'_>) -> Tables {
    let tables = Tables {
        networks: section.optional("networks", path),
        ported: section.optional("ported", path),
    };
    if section.has("ported") && !section.has("networks") {
        section.problem(
            "ported",
            Fault::new(
                "no file says what networks there are",
                "add `networks = \"…\"`, the prefixes of those networks",
            ),
        );
    }
    section.finish(&[(
        "prices",
        "prices are a carrier's: write `prices = \"…\"` in its `[[carrier]]`",
    )]);
    tables
}
