//! Message ids as SMPP carries them: opaque text of up to 64 octets (interop #13).
//!
//! ```
//! use tidegate_codec::message_id::MessageIdText;
//!
//! let id = MessageIdText::new(b"01a2-b3")?;
//! let mut out = Vec::new();
//! id.as_field().encode(&mut out);
//! assert_eq!(out, b"01a2-b3\0");
//! assert!(MessageIdText::new(&[b'7'; 65]).is_err());
//! assert_eq!(format!("{id:?}"), "MessageIdText[7]");
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```
//!
//! An id is compared octet by octet here. Whether two spellings are one id is a question for receipts:
//! [`crate::receipt::canonical`].
//!
//! **Errors.** [`OctetsError`]: more than 64 octets, or a NUL inside.

use std::fmt;

use smallvec::SmallVec;

use crate::octets::{COctets, OctetsError};

/// Size of a `message_id` field with its NUL (SMPP 3.4 §5.2.23).
pub const MESSAGE_ID_MAX: usize = 65;

/// A message id inside a PDU, borrowed from the frame.
pub type MessageIdField<'a> = COctets<'a, MESSAGE_ID_MAX>;

/// A message id as text, as a carrier gave it or as we give it to an ESME; at most 64 octets.
///
/// Ids of up to 22 octets need no allocation. A carrier's id is that carrier's data, so `Debug` shows
/// the length only.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MessageIdText(SmallVec<[u8; 22]>);

impl Clone for MessageIdText {
    fn clone(&self) -> Self {
        // Whole: smallvec's own way is octet by octet.
        Self(SmallVec::from_slice(&self.0))
    }
}

impl MessageIdText {
    /// Checks length and that no NUL is inside.
    ///
    /// # Errors
    ///
    /// More than 64 octets, or a NUL inside.
    pub fn new(octets: &[u8]) -> Result<Self, OctetsError> {
        MessageIdField::new(octets)?;
        Ok(Self(SmallVec::from_slice(octets)))
    }

    /// The octets without NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a field of a PDU.
    pub fn as_field(&self) -> MessageIdField<'_> {
        COctets::from_checked(&self.0)
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for MessageIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageIdText[{}]", self.0.len())
    }
}
