//! `service_type` in as little memory as it needs: every unfinished leg holds one.

use std::fmt;

/// Octets of a `service_type`, without NUL (3.4 §5.2.11).
const MAX: usize = 5;

/// Which service a message belongs to, as submitted; empty is the default one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ServiceType([u8; MAX]);

impl ServiceType {
    /// The default one.
    pub const DEFAULT: Self = Self([0; MAX]);

    /// From a field's octets without its NUL; `None` for what no field holds.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let mut padded = [0; MAX];
        padded.get_mut(..octets.len())?.copy_from_slice(octets);
        (!octets.contains(&0)).then_some(Self(padded))
    }

    /// Whether it is the default one.
    pub fn is_default(self) -> bool {
        self == Self::DEFAULT
    }

    /// All five octets, as records hold them.
    pub(crate) const fn padded(self) -> [u8; MAX] {
        self.0
    }

    /// From what [`ServiceType::padded`] gave.
    pub const fn from_padded(octets: [u8; MAX]) -> Self {
        Self(octets)
    }
}

// A client may write anything into it (P4).
impl fmt::Debug for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.0.iter().filter(|octet| **octet != 0).count();
        write!(f, "ServiceType[{len}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_a_field_holds_and_shows_its_length_only() {
        let of = |octets: &[u8]| ServiceType::new(octets);
        assert_ne!(of(b"CMT"), of(b"CM"));
        assert_eq!(of(b""), Some(ServiceType::DEFAULT));
        assert_eq!((of(b"123456"), of(b"a\0b")), (None, None));
        let vma = of(b"VMA44").unwrap();
        assert_eq!(ServiceType::from_padded(vma.padded()), vma);
        assert_eq!(format!("{vma:?}"), "ServiceType[5]");
    }
}
