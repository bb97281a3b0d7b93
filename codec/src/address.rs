//! SME addresses: TON, NPI and the address itself (SMPP 3.4 §4.1, §5.2.5–5.2.8).
//!
//! ```
//! use tidegate_codec::address::{ADDR_DATA, ADDR_SM, Address, Npi, Ton};
//!
//! let address = Address::<ADDR_SM>::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?;
//! // A copy that outlives the frame, and goes into wider fields too.
//! let kept = address.to_buf();
//! assert_eq!(kept.as_field::<ADDR_SM>(), Ok(address));
//! assert_eq!(kept.as_field::<ADDR_DATA>()?.addr.as_bytes(), b"447700900123");
//! assert!(!format!("{address:?} {kept:?}").contains("4477"));
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```
//!
//! **Errors.** [`OctetsError`]: too long for the field, or a NUL inside. Types of number, numbering plans and
//! the characters of an address are taken as they come.
//!
//! **Limits.** 20 octets in submit_sm and deliver_sm, 64 in data_sm and alert_notification.

use std::fmt;

use crate::octets::{COctets, OctetsError};

/// Type of number. Any octet may arrive; refusing one is policy, not decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ton(pub u8);

impl Ton {
    /// Nothing is known about the number.
    pub const UNKNOWN: Self = Self(0);
    /// Full international number, sent without `+`.
    pub const INTERNATIONAL: Self = Self(1);
    /// Number without its country code.
    pub const NATIONAL: Self = Self(2);
    /// Meaningful inside one network only.
    pub const NETWORK_SPECIFIC: Self = Self(3);
    /// Subscriber number without area code.
    pub const SUBSCRIBER: Self = Self(4);
    /// A name, at most 11 characters on GSM.
    pub const ALPHANUMERIC: Self = Self(5);
    /// Short code.
    pub const ABBREVIATED: Self = Self(6);
}

/// Numbering plan indicator. Any octet may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Npi(pub u8);

impl Npi {
    /// Nothing is known about the plan.
    pub const UNKNOWN: Self = Self(0);
    /// ISDN, E.163/E.164: telephone numbers.
    pub const ISDN: Self = Self(1);
}

/// Size of an address field in submit_sm and deliver_sm, with its NUL (3.4 §5.2.8).
pub const ADDR_SM: usize = 21;
/// Size of an address field in data_sm and alert_notification, with its NUL.
pub const ADDR_DATA: usize = 65;

/// An address inside a PDU, borrowed from the frame. `MAX` is the field's size with its NUL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Address<'a, const MAX: usize = ADDR_SM> {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// The number or name; may be empty (the SMSC then uses its default).
    pub addr: COctets<'a, MAX>,
}

impl<'a, const MAX: usize> Address<'a, MAX> {
    /// An address from parts.
    ///
    /// # Errors
    ///
    /// `addr` is too long for the field or has a NUL inside.
    pub fn new(ton: Ton, npi: Npi, addr: &'a [u8]) -> Result<Self, OctetsError> {
        Ok(Self {
            ton,
            npi,
            addr: COctets::new(addr)?,
        })
    }

    /// Appends TON, NPI and address to a body under construction.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.ton.0);
        out.push(self.npi.0);
        self.addr.encode(out);
    }

    /// A copy that outlives the frame.
    pub fn to_buf(self) -> AddressBuf {
        AddressBuf(Buf::new(self.ton, self.npi, self.addr.as_bytes()))
    }
}

impl<const MAX: usize> fmt::Debug for Address<'_, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Address[ton={} npi={} len={}]",
            self.ton.0,
            self.npi.0,
            self.addr.len()
        )
    }
}

/// An owned address of up to 64 octets. What fits a submit_sm needs no allocation, and it is 24 octets in all: every
/// unfinished message holds two of them in memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AddressBuf(Buf);

/// Octets of an address of a submit_sm, without NUL.
pub const SHORT_MAX: usize = ADDR_SM - 1;

// An address is always of the shorter form that holds it, so that equal ones are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Buf {
    Short {
        ton: Ton,
        npi: Npi,
        len: u8,
        octets: [u8; SHORT_MAX],
    },
    Long {
        ton: Ton,
        npi: Npi,
        octets: Box<[u8]>,
    },
}

impl Buf {
    fn new(ton: Ton, npi: Npi, addr: &[u8]) -> Self {
        let mut octets = [0; SHORT_MAX];
        match (octets.get_mut(..addr.len()), u8::try_from(addr.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(addr);
                Self::Short {
                    ton,
                    npi,
                    len,
                    octets,
                }
            }
            _ => Self::Long {
                ton,
                npi,
                octets: addr.into(),
            },
        }
    }
}

impl Default for AddressBuf {
    fn default() -> Self {
        Self(Buf::new(Ton::default(), Npi::default(), b""))
    }
}

/// Whether one of sixteen octets is NUL; for fewer the rest is to be set.
const fn has_nul(octets: u128) -> bool {
    const ONES: u128 = u128::from_ne_bytes([0x01; 16]);
    const HIGHS: u128 = u128::from_ne_bytes([0x80; 16]);
    octets.wrapping_sub(ONES) & !octets & HIGHS != 0
}

impl AddressBuf {
    /// Checks that the octets fit the widest address field (64 without NUL).
    ///
    /// # Errors
    ///
    /// More than 64 octets, or a NUL inside.
    pub fn new(ton: Ton, npi: Npi, addr: &[u8]) -> Result<Self, OctetsError> {
        Ok(Address::<ADDR_DATA>::new(ton, npi, addr)?.to_buf())
    }

    /// One that fits a submit_sm: the first `len` of these octets. `None` for more than there are, or a NUL among them.
    ///
    /// For what is read back from tables, message after message: all octets at once, not one by one.
    pub fn short(ton: Ton, npi: Npi, octets: [u8; SHORT_MAX], len: usize) -> Option<Self> {
        const LOW: usize = size_of::<u128>();
        if len > SHORT_MAX {
            return None;
        }
        let (low, high) = octets.split_first_chunk::<LOW>()?;
        let high = u32::from_le_bytes(*high.first_chunk()?);
        let low = u128::from_le_bytes(*low);
        // Of each octet that counts all bits are set.
        let bits = u32::try_from(8 * len).ok()?;
        let low_mask = u128::MAX.checked_shl(bits).map_or(u128::MAX, |behind| !behind);
        let high_bits = bits.saturating_sub(u128::BITS);
        let high_mask = u32::MAX.checked_shl(high_bits).map_or(u32::MAX, |behind| !behind);
        if len > SHORT_MAX
            || has_nul(low | !low_mask)
            || has_nul(u128::from(high | !high_mask) | !u128::from(u32::MAX))
        {
            return None;
        }
        let mut octets = [0; SHORT_MAX];
        let (low_place, high_place) = octets.split_at_mut(LOW);
        low_place.copy_from_slice(&(low & low_mask).to_le_bytes());
        high_place.copy_from_slice(&(high & high_mask).to_le_bytes());
        Some(Self(Buf::Short {
            ton,
            npi,
            len: u8::try_from(len).ok()?,
            octets,
        }))
    }

    /// Type of number.
    pub const fn ton(&self) -> Ton {
        match self.0 {
            Buf::Short { ton, .. } | Buf::Long { ton, .. } => ton,
        }
    }

    /// Numbering plan.
    pub const fn npi(&self) -> Npi {
        match self.0 {
            Buf::Short { npi, .. } | Buf::Long { npi, .. } => npi,
        }
    }

    /// The octets of the number or name.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Buf::Short { len, octets, .. } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Buf::Long { octets, .. } => octets,
        }
    }

    /// As a field of a PDU.
    ///
    /// # Errors
    ///
    /// The field of that PDU is too narrow: data_sm allows 64 octets, deliver_sm 20.
    pub fn as_field<const MAX: usize>(&self) -> Result<Address<'_, MAX>, OctetsError> {
        Address::new(self.ton(), self.npi(), self.as_bytes())
    }
}

impl fmt::Debug for AddressBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Address[ton={} npi={} len={}]",
            self.ton().0,
            self.npi().0,
            self.as_bytes().len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_one_is_the_same_however_it_was_made() {
        let (ton, npi) = (Ton::INTERNATIONAL, Npi::ISDN);
        let whole = *b"12345678901234567890";
        for len in 0..=SHORT_MAX {
            let made = AddressBuf::short(ton, npi, whole, len).unwrap();
            assert_eq!(made, AddressBuf::new(ton, npi, &whole[..len]).unwrap(), "{len}");
        }
        for len in [SHORT_MAX + 1, usize::MAX] {
            assert_eq!(AddressBuf::short(ton, npi, whole, len), None);
        }
        let holed = *b"123\x005678901234567890";
        assert_eq!(AddressBuf::short(ton, npi, holed, 5), None);
        assert_eq!(AddressBuf::short(ton, npi, holed, 3).unwrap().as_bytes(), b"123");
    }

    #[test]
    fn an_address_shows_its_shape_and_never_its_digits() {
        let address = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap();
        assert_eq!(format!("{address:?}"), "Address[ton=1 npi=1 len=12]");
    }

    #[test]
    fn a_data_sm_address_does_not_slip_into_a_deliver_sm() {
        let long = AddressBuf::new(Ton::UNKNOWN, Npi::UNKNOWN, &[b'1'; 30]).unwrap();
        assert!(long.as_field::<ADDR_SM>().is_err());
        assert!(long.as_field::<ADDR_DATA>().is_ok());
    }

    #[test]
    fn an_address_of_any_length_comes_back() {
        for len in 0..ADDR_DATA {
            let octets = vec![b'7'; len];
            let address = AddressBuf::new(Ton(9), Npi(18), &octets).unwrap();
            assert_eq!(
                (address.ton(), address.npi(), address.as_bytes()),
                (Ton(9), Npi(18), &octets[..])
            );
            assert_eq!(address, AddressBuf::new(Ton(9), Npi(18), &octets).unwrap());
            assert_ne!(address, AddressBuf::new(Ton(9), Npi(1), &octets).unwrap());
        }
        assert!(AddressBuf::new(Ton(9), Npi(18), &[b'7'; ADDR_DATA]).is_err());
        assert_eq!(AddressBuf::default().as_bytes(), b"");
    }

    #[test]
    fn two_addresses_stay_inside_the_budget_of_an_index_entry() {
        assert_eq!(size_of::<AddressBuf>(), 24);
    }
}
