//! What a message is for. SMPP has no field for it, so a parameter of the vendors' range says it.
//!
//! ```
//! use tidegate_codec::category::{CATEGORY, Category};
//! use tidegate_codec::tlv::{Tlvs, append};
//!
//! let mut octets = Vec::new();
//! assert!(append(&mut octets, CATEGORY, &[Category::Otp.octet()]));
//! assert_eq!(Category::of_tlvs(Tlvs::new(&octets)), Ok(Some(Category::Otp)));
//! ```
//!
//! **Errors.** [`UnknownCategory`], for a value of another length, or of no meaning.

use std::fmt;

use crate::tlv::{Tag, Tlvs};

/// The parameter in which an ESME says it: one octet, see [`Category::octet`]. Of the vendors' range (3.4 §5.3.2), and not
/// one of those that carriers are known to ask for: Indian ones take 0x1400 to 0x1402.
pub const CATEGORY: Tag = Tag(0x3c01);

/// What a message is for, as rules about messages ask (compliance.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Advertising, and whatever else nobody asked for just now.
    Marketing,
    /// What the recipient's own business brings about: orders, appointments, accounts.
    Transactional,
    /// A password for one use.
    Otp,
    /// Danger to life or property.
    Emergency,
}

/// What is there is no category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no category: one octet, 1 to 4")]
pub struct UnknownCategory;

impl Category {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Marketing, Self::Transactional, Self::Otp, Self::Emergency];

    /// As it stands in the parameter and in records: 1 to 4. 0 is "not said" in records.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Marketing => 1,
            Self::Transactional => 2,
            Self::Otp => 3,
            Self::Emergency => 4,
        }
    }

    /// The one of an octet; `None` for 0 and for what has no meaning.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Marketing),
            2 => Some(Self::Transactional),
            3 => Some(Self::Otp),
            4 => Some(Self::Emergency),
            _ => None,
        }
    }

    /// As configurations and people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Transactional => "transactional",
            Self::Otp => "otp",
            Self::Emergency => "emergency",
        }
    }

    /// The one of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.word() == word)
    }

    /// What a message says; `None` for one that does not.
    ///
    /// # Errors
    ///
    /// It says what is no category.
    pub fn of_tlvs(tlvs: Tlvs<'_>) -> Result<Option<Self>, UnknownCategory> {
        match tlvs.get(CATEGORY) {
            None => Ok(None),
            Some([octet]) => Self::from_octet(*octet).map(Some).ok_or(UnknownCategory),
            Some(_) => Err(UnknownCategory),
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::append;

    #[test]
    fn octets_and_words_name_one_category_each() {
        for (octet, category) in (1..).zip(Category::ALL) {
            assert_eq!(category.octet(), octet);
            assert_eq!(Category::from_octet(octet), Some(category));
            assert_eq!(Category::from_word(category.word()), Some(category));
        }
        assert_eq!((Category::from_octet(0), Category::from_octet(5)), (None, None));
        assert_eq!(Category::from_word("OTP"), None);
        assert!(Tag::VENDOR.contains(&CATEGORY.0) && CATEGORY.name().is_none());
    }

    #[test]
    fn a_parameter_of_another_length_or_value_is_no_category() {
        let said = |value: &[u8]| {
            let mut octets = Vec::new();
            assert!(append(&mut octets, CATEGORY, value));
            Category::of_tlvs(Tlvs::new(&octets))
        };
        assert_eq!(said(&[1]), Ok(Some(Category::Marketing)));
        for value in [&b""[..], &[0], &[5], &[0, 1], b"otp"] {
            assert_eq!(said(value), Err(UnknownCategory), "{value:?}");
        }
        assert_eq!(Category::of_tlvs(Tlvs::NONE), Ok(None));
    }
}
