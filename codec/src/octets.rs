//! C-Octet Strings: the NUL-terminated fields that fill SMPP bodies.
//!
//! ```
//! use tidegate_codec::octets::{COctets, OctetsError};
//!
//! // A field of 6 octets holds 5 and the NUL.
//! let field = COctets::<6>::new(b"CMT")?;
//! let mut out = Vec::new();
//! field.encode(&mut out);
//! assert_eq!(out, b"CMT\0");
//! assert_eq!(COctets::<6>::new(b"longer"), Err(OctetsError::TooLong { len: 6, max: 6 }));
//! assert_eq!(COctets::<6>::new(b"a\0b"), Err(OctetsError::InnerNul));
//! # Ok::<(), OctetsError>(())
//! ```
//!
//! **Errors.** [`OctetsError`], when a value is made; one that was made can be written.
//!
//! **Limits.** `MAX` counts the NUL, as the specifications do.

use std::fmt;

/// The octets of a C-Octet String without the closing NUL; at most `MAX - 1` of them, none zero.
///
/// `MAX` is the specification's size *including* the NUL. The octets may be a number, a name or a
/// password, so `Debug` shows their count only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct COctets<'a, const MAX: usize>(&'a [u8]);

/// Why octets cannot be a C-Octet String of a given size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OctetsError {
    /// Longer than the field allows.
    #[error("{len} octets do not fit a field of {max} with its NUL")]
    TooLong {
        /// Octets given, without NUL.
        len: usize,
        /// The field's size with NUL.
        max: usize,
    },
    /// A NUL inside would end the field early.
    #[error("a NUL octet inside")]
    InnerNul,
}

impl<'a, const MAX: usize> COctets<'a, MAX> {
    /// The empty string: one NUL on the wire.
    pub const EMPTY: COctets<'static, MAX> = COctets(&[]);

    /// Checks length and content.
    ///
    /// # Errors
    ///
    /// `MAX` octets or more, or a NUL inside.
    pub fn new(octets: &'a [u8]) -> Result<Self, OctetsError> {
        if octets.len() >= MAX {
            return Err(OctetsError::TooLong {
                len: octets.len(),
                max: MAX,
            });
        }
        if has_nul(octets) {
            return Err(OctetsError::InnerNul);
        }
        Ok(Self(octets))
    }

    /// As [`COctets::new`] for octets that a decoder has already measured and found free of NUL.
    pub(crate) const fn from_checked(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The octets, without NUL.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Number of octets, without NUL.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the field holds nothing but its NUL.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the field to a body under construction, NUL included.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Most fields of most PDUs are empty: no call to copy nothing.
        if !self.0.is_empty() {
            out.extend_from_slice(self.0);
        }
        out.push(0);
    }
}

impl<const MAX: usize> Default for COctets<'_, MAX> {
    fn default() -> Self {
        Self(&[])
    }
}

impl<const MAX: usize> fmt::Debug for COctets<'_, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "COctets[{}]", self.0.len())
    }
}

/// Whether there is a NUL among the octets of a field. They are few: eight at a time in registers are faster than a
/// search made for long texts.
#[inline]
fn has_nul(octets: &[u8]) -> bool {
    let Some(last) = octets.last_chunk::<8>() else {
        return octets.contains(&0);
    };
    // The last eight may be in a word before, too.
    let (words, _) = octets.as_chunks::<8>();
    zeros(*last) | words.iter().fold(0, |found, word| found | zeros(*word)) != 0
}

/// Not 0 where an octet is. The lowest bit that is set stands at the first of them; those above it may be wrong.
#[inline]
pub(crate) const fn zeros(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_le_bytes(word);
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Text of a message as it stands in a PDU. Shows its length only (P4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Body<'a>(pub &'a [u8]);

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body[{}]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_never_exceeds_its_size_and_never_holds_a_nul() {
        assert!(COctets::<4>::new(b"abc").is_ok());
        assert_eq!(
            COctets::<4>::new(b"abcd"),
            Err(OctetsError::TooLong { len: 4, max: 4 })
        );
        assert_eq!(COctets::<9>::new(b"a\0b"), Err(OctetsError::InnerNul));
    }

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        for length in 0..40 {
            // 0x01 and 0x80 are what a search by words takes for zeros when it is wrong.
            for other in [0x01, 0x80, 0xff, b'7'] {
                let mut octets = vec![other; length];
                assert!(COctets::<65>::new(&octets).is_ok(), "{octets:?}");
                for nul in 0..length {
                    octets[nul] = 0;
                    assert_eq!(
                        COctets::<65>::new(&octets),
                        Err(OctetsError::InnerNul),
                        "{octets:?}"
                    );
                    octets[nul] = other;
                }
            }
        }
    }

    #[test]
    fn nothing_that_may_be_personal_is_printed() {
        let number = COctets::<21>::new(b"447700900123").unwrap();
        assert_eq!(format!("{number:?} {:?}", Body(b"hello")), "COctets[12] Body[5]");
    }
}
