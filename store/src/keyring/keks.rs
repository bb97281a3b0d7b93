//! The key-encryption keys of a ring: one, or two while a rotation is under way.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::kek::Kek;

/// What opens a ring. Clones are the same thing: what looks into the files beside the open ring has what the ring has,
/// before, during and after a rotation.
#[derive(Clone)]
pub struct Keks(Arc<Mutex<Vec<Arc<Kek>>>>);

impl From<Kek> for Keks {
    fn from(kek: Kek) -> Self {
        Self(Arc::new(Mutex::new(vec![Arc::new(kek)])))
    }
}

impl Keks {
    /// Adds the other one of an interrupted rotation; which of them is the new one, the ring knows.
    #[must_use]
    pub fn with(self, other: impl Into<Arc<Kek>>) -> Self {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(other.into());
        self
    }

    pub(super) fn all(&self) -> Vec<Arc<Kek>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, keks: Vec<Arc<Kek>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keks;
    }
}

impl fmt::Debug for Keks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keks(***)")
    }
}
