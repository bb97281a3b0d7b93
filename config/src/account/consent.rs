//! Whether marketing needs its recipient's consent (CON-4).

use crate::section::Section;
use crate::value::choice;

/// What becomes of marketing to a recipient without a consent on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentMode {
    /// `"off"`: nobody asks for one.
    Off,
    /// `"warn"`: it goes, and is counted.
    Warn,
    /// `"require"`: it is refused with 0x040B, and ends as REJECTED where the consent was withdrawn while it waited.
    Require,
}

pub(super) fn read(section: &mut Section<'_>) -> ConsentMode {
    section.or(
        "consent",
        ConsentMode::Off,
        choice(&[
            ("off", ConsentMode::Off),
            ("warn", ConsentMode::Warn),
            ("require", ConsentMode::Require),
        ]),
    )
}
