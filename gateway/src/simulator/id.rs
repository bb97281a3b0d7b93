//! Message ids as carriers write them: the same number in another base, case or length, or no number at
//! all (interop quirks 1, 2 and #13).

use clap::ValueEnum;

/// The longest id that is written here, in octets.
pub(super) const ID_LEN_MAX: usize = 36;

const HEX: &[u8; 16] = b"0123456789abcdef";
const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A way to write an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IdForm {
    /// Decimal digits.
    #[default]
    Decimal,
    /// Hexadecimal digits in lower case.
    Hex,
    /// Hexadecimal digits in upper case.
    UpperHex,
    /// Decimal with zeros in front, 20 digits.
    Padded,
    /// Decimal of 23 digits, more than 64 bits hold.
    Long,
    /// A UUID.
    Uuid,
}

/// An id as octets, without a heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdText {
    octets: [u8; ID_LEN_MAX],
    start: usize,
}

impl IdText {
    /// Writes `id` in this form.
    pub(super) fn new(id: u64, form: IdForm) -> Self {
        let mut text = Self {
            octets: [b'0'; ID_LEN_MAX],
            start: ID_LEN_MAX,
        };
        match form {
            IdForm::Decimal => text.decimal(id, 1),
            IdForm::Hex => text.hex(id, HEX, 1),
            IdForm::UpperHex => text.hex(id, UPPER_HEX, 1),
            IdForm::Padded => text.decimal(id, 20),
            IdForm::Long => {
                text.decimal(id, 20);
                text.front(b"987");
            }
            IdForm::Uuid => {
                // The last 64 bits hold the number: 4 digits, a hyphen, 12 digits.
                text.hex(id & 0xffff_ffff_ffff, HEX, 12);
                text.front(b"-");
                text.hex(id >> 48, HEX, 4);
                text.front(b"5ca1ab1e-71de-4a7e-");
            }
        }
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Puts `value` in front, with at least `least` digits.
    fn decimal(&mut self, value: u64, least: usize) {
        // The array is full of zeros.
        let padded = self.start - least;
        self.front(itoa::Buffer::new().format(value).as_bytes());
        self.start = self.start.min(padded);
    }

    /// Puts `value` in front, with at least `least` digits.
    fn hex(&mut self, mut value: u64, alphabet: &[u8; 16], least: usize) {
        let mut written = 0;
        while value > 0 || written < least {
            self.front(&[alphabet[usize::try_from(value & 0xf).unwrap_or(0)]]);
            value >>= 4;
            written += 1;
        }
    }

    /// Puts `octets` in front; no form is longer than [`ID_LEN_MAX`].
    fn front(&mut self, octets: &[u8]) {
        let end = self.start;
        self.start -= octets.len();
        self.octets[self.start..end].copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_writes_the_number_its_own_way() {
        for (form, text) in [
            (IdForm::Decimal, "3735928559"),
            (IdForm::Hex, "deadbeef"),
            (IdForm::UpperHex, "DEADBEEF"),
            (IdForm::Padded, "00000000003735928559"),
            (IdForm::Long, "98700000000003735928559"),
            (IdForm::Uuid, "5ca1ab1e-71de-4a7e-0000-0000deadbeef"),
        ] {
            let id = IdText::new(0xdead_beef, form);
            assert_eq!(std::str::from_utf8(id.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn the_smallest_and_the_largest_number_fit_every_form() {
        for form in IdForm::value_variants() {
            assert!(!IdText::new(0, *form).as_bytes().is_empty());
            assert!(IdText::new(u64::MAX, *form).as_bytes().len() <= ID_LEN_MAX);
        }
        assert_eq!(
            IdText::new(u64::MAX, IdForm::Decimal).as_bytes(),
            b"18446744073709551615"
        );
    }
}
