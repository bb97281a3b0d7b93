//! Who binds: `system_id` and the secret that goes with it.
//!
//! ```
//! use tidegate_codec::identity::{PASSWORD_MAX, PASSWORD_MAX_LENIENT, Password, SystemId, SystemIdError};
//!
//! let name = SystemId::new(b"shop")?;
//! assert_eq!((name.as_str(), name.as_field().as_bytes()), ("shop", &b"shop"[..]));
//! assert_eq!(SystemId::new(b"two words"), Err(SystemIdError::NotPrintable));
//!
//! // Eight octets by the specification; many accounts have more.
//! assert!(Password::new(b"nine long", PASSWORD_MAX).is_err());
//! let password = Password::new(b"nine long", PASSWORD_MAX_LENIENT)?;
//! assert!(!format!("{password:?}").contains("nine"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Errors.** [`SystemIdError`] and [`OctetsError`]; nothing is cut to fit.
//!
//! **Limits.** A [`SystemId`] has 1 to 15 octets, a [`Password`] at most 64.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::octets::{COctets, OctetsError};

/// Size of a `system_id` field with its NUL (SMPP 3.4 §5.2.1).
pub const SYSTEM_ID_MAX: usize = 16;
/// Size of a `system_type` field with its NUL (3.4 §5.2.3).
pub const SYSTEM_TYPE_MAX: usize = 13;
/// Size of a `password` field with its NUL by the specification (3.4 §5.2.2).
pub const PASSWORD_MAX: usize = 9;
/// Longest password field that a lenient server takes, with its NUL: many real accounts exceed 9.
pub const PASSWORD_MAX_LENIENT: usize = 65;

/// The name of an account or of our own side of a carrier bind: 1 to 15 printable ASCII octets.
///
/// It is a configured label, not personal data, so it may appear in logs and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SystemId {
    len: u8,
    octets: [u8; SYSTEM_ID_MAX - 1],
}

/// Why a text cannot be a `system_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemIdError {
    /// Nothing in it.
    #[error("a system_id has at least one character")]
    Empty,
    /// More than 15 characters.
    #[error("a system_id has at most 15 characters")]
    TooLong,
    /// A control character, a space or an octet above 0x7E.
    #[error("a system_id holds printable ASCII without spaces only")]
    NotPrintable,
}

impl SystemId {
    /// Checks length and characters.
    ///
    /// # Errors
    ///
    /// See [`SystemIdError`].
    pub fn new(octets: &[u8]) -> Result<Self, SystemIdError> {
        if octets.is_empty() {
            return Err(SystemIdError::Empty);
        }
        if octets.len() >= SYSTEM_ID_MAX {
            return Err(SystemIdError::TooLong);
        }
        if !octets.iter().all(u8::is_ascii_graphic) {
            return Err(SystemIdError::NotPrintable);
        }
        let mut own = [0; SYSTEM_ID_MAX - 1];
        own[..octets.len()].copy_from_slice(octets);
        #[expect(clippy::cast_possible_truncation, reason = "checked above: at most 15")]
        Ok(Self {
            len: octets.len() as u8,
            octets: own,
        })
    }

    /// The octets without NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        // Only printable ASCII passes `new`.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// As a field of a bind or its response.
    pub fn as_field(&self) -> COctets<'_, SYSTEM_ID_MAX> {
        COctets::from_checked(self.as_bytes())
    }
}

impl std::str::FromStr for SystemId {
    type Err = SystemIdError;

    fn from_str(text: &str) -> Result<Self, SystemIdError> {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemId({})", self.as_str())
    }
}

/// A password in memory: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Password(Vec<u8>);

impl Password {
    /// Checks that it fits the field that the peer accepts (`max` with NUL; see [`PASSWORD_MAX`] and
    /// [`PASSWORD_MAX_LENIENT`]). Over-long passwords are refused, never truncated (SEC-2).
    ///
    /// # Errors
    ///
    /// `max` octets or more, 65 or more whatever `max` is, or a NUL inside.
    pub fn new(octets: &[u8], max: usize) -> Result<Self, OctetsError> {
        let max = max.min(PASSWORD_MAX_LENIENT);
        if octets.len() >= max {
            return Err(OctetsError::TooLong {
                len: octets.len(),
                max,
            });
        }
        COctets::<PASSWORD_MAX_LENIENT>::new(octets)?;
        Ok(Self(octets.to_vec()))
    }

    /// The octets without NUL, for the one place that checks or sends them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As a field of a bind.
    pub fn as_field(&self) -> COctets<'_, PASSWORD_MAX_LENIENT> {
        COctets::from_checked(&self.0)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_id_holds_fifteen_printable_characters() {
        assert_eq!(SystemId::new(b"load16").unwrap().to_string(), "load16");
        assert!(SystemId::new(&[b'a'; 15]).is_ok());
        assert_eq!(SystemId::new(&[b'a'; 16]), Err(SystemIdError::TooLong));
        assert_eq!(SystemId::new(b""), Err(SystemIdError::Empty));
        // A newline in a name would let a peer write log lines of its own (LOG-2).
        assert_eq!(SystemId::new(b"a\nb"), Err(SystemIdError::NotPrintable));
    }

    #[test]
    fn a_password_is_refused_rather_than_cut_and_never_printed() {
        assert!(Password::new(b"12345678", PASSWORD_MAX).is_ok());
        assert!(Password::new(b"123456789", PASSWORD_MAX).is_err());
        let long = Password::new(b"123456789", PASSWORD_MAX_LENIENT).unwrap();
        assert_eq!(format!("{long:?}"), "Password(***)");
    }
}
