//! National language tables and how a message asks for them (3GPP TS 23.038 §6.2.1.2, 23.040 §9.2.3.24.15 and
//! 16).

use super::table::{LOCKING, SINGLE, Table};

/// A language with tables of its own; its value is the identifier in information elements 0x24 and 0x25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the languages")]
pub enum Language {
    Turkish = 1,
    /// Has a single shift table only.
    Spanish = 2,
    Portuguese = 3,
    Bengali = 4,
    Gujarati = 5,
    Hindi = 6,
    Kannada = 7,
    Malayalam = 8,
    Oriya = 9,
    Punjabi = 10,
    Tamil = 11,
    Telugu = 12,
    Urdu = 13,
}

impl Language {
    /// All languages in the order of their identifier.
    pub const ALL: [Self; 13] = [
        Self::Turkish,
        Self::Spanish,
        Self::Portuguese,
        Self::Bengali,
        Self::Gujarati,
        Self::Hindi,
        Self::Kannada,
        Self::Malayalam,
        Self::Oriya,
        Self::Punjabi,
        Self::Tamil,
        Self::Telugu,
        Self::Urdu,
    ];

    /// From the octet of an information element; `None` for 0 and for reserved values, which leave the
    /// default tables in force.
    pub fn from_identifier(identifier: u8) -> Option<Self> {
        let at = usize::from(identifier).checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    /// The octet of an information element, 1 to 13.
    pub const fn identifier(self) -> u8 {
        self as u8
    }

    /// Whether the language has a locking table.
    pub const fn has_locking(self) -> bool {
        !matches!(self, Self::Spanish)
    }
}

/// The tables that a message of GSM septets is written with. The default value is the default alphabet with
/// its extension, which needs no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shifts {
    /// What follows an escape: the table of a language, else the default extension.
    pub single: Option<Language>,
    /// What all other septets are: the table of a language, else the default alphabet. A language without a
    /// locking table leaves the default alphabet in force.
    pub locking: Option<Language>,
}

impl Shifts {
    /// The default alphabet and its extension.
    pub const NONE: Self = Self {
        single: None,
        locking: None,
    };

    /// The information elements that tell of these tables take so many octets of a header: 3 for each.
    pub const fn header_octets(self) -> usize {
        3 * (self.single.is_some() as usize + self.locking.is_some() as usize)
    }

    /// (locking, single shift).
    #[inline]
    pub(super) fn tables(self) -> (&'static Table, &'static Table) {
        let row = |language: Option<Language>| language.map_or(0, |language| usize::from(language as u8));
        (
            LOCKING.get(row(self.locking)).unwrap_or(&LOCKING[0]),
            SINGLE.get(row(self.single)).unwrap_or(&SINGLE[0]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_1_to_13_and_nothing_else() {
        for identifier in 0..=255 {
            let language = Language::from_identifier(identifier);
            assert_eq!(language.is_some(), (1..=13).contains(&identifier));
            assert!(language.is_none_or(|language| language.identifier() == identifier));
        }
    }

    #[test]
    fn each_shift_costs_three_octets() {
        for (single, locking, octets) in [
            (None, None, 0),
            (Some(Language::Urdu), None, 3),
            (None, Some(Language::Urdu), 3),
            (Some(Language::Urdu), Some(Language::Tamil), 6),
        ] {
            assert_eq!(Shifts { single, locking }.header_octets(), octets);
        }
    }
}
