//! Numbers as the tables compare them.
//!
//! Prefixes and ranges are compared as texts: 447 stands before 4470, and 4470 before 44700. So the first
//! [`KEY_DIGITS`] digits make a number to the base 11, with 0 for "no digit here": keys are ordered as the texts
//! are, and what begins with a prefix is one span of them. Whole numbers are compared as integers; an
//! international number never begins with 0 (E.164), so no two digit strings are the same one.

/// Most digits of an international number (E.164 §6).
pub(super) const NUMBER_DIGITS: usize = 15;
/// Most digits of a prefix or of a range's ends: with more, key and value would not fit 64 bits.
pub(super) const KEY_DIGITS: usize = 14;
/// Keys are below this, 11^14.
pub(super) const KEYS: u64 = POWERS[KEY_DIGITS];

const POWERS: [u64; KEY_DIGITS + 1] = {
    let mut powers = [1; KEY_DIGITS + 1];
    let mut at = 1;
    while at <= KEY_DIGITS {
        powers[at] = powers[at - 1] * 11;
        at += 1;
    }
    powers
};

/// A number that is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// As an integer; 0 for what is no international number.
    pub(super) value: u64,
    /// Its first digits as a key.
    pub(super) key: u64,
}

impl Number {
    /// Reads digits; a `+` before them is skipped. `None` for anything that is not all digits.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let digits = octets.strip_prefix(b"+").unwrap_or(octets);
        let (head, tail) = digits.split_at(digits.len().min(KEY_DIGITS));
        let (mut value, mut key) = (0, 0);
        for octet in head {
            let digit = digit(*octet)?;
            value = value * 10 + digit;
            key = key * 11 + digit + 1;
        }
        key *= POWERS.get(KEY_DIGITS - head.len())?;
        match tail {
            [] => {}
            [last] => value = value * 10 + digit(*last)?,
            _ => {
                tail.iter().try_for_each(|octet| digit(*octet).map(|_| ()))?;
                value = 0;
            }
        }
        if digits.first().is_none_or(|first| *first == b'0') {
            value = 0;
        }
        Some(Self { value, key })
    }
}

/// The keys of all numbers that begin with the given digits: the first, and how many.
///
/// `None` unless there are 1 to [`KEY_DIGITS`] digits and the first is not 0.
pub(super) fn span(prefix: &[u8]) -> Option<(u64, u64)> {
    if prefix.is_empty() || prefix.len() > KEY_DIGITS || prefix.first() == Some(&b'0') {
        return None;
    }
    let key = prefix
        .iter()
        .try_fold(0, |key, octet| Some(key * 11 + digit(*octet)? + 1))?;
    let width = POWERS.get(KEY_DIGITS - prefix.len())?;
    Some((key * width, *width))
}

/// A whole number of 1 to [`NUMBER_DIGITS`] digits, the first not 0.
pub(super) fn whole(digits: &[u8]) -> Option<u64> {
    let plain = digits.first().is_some_and(u8::is_ascii_digit) && digits.len() <= NUMBER_DIGITS;
    let number = plain.then(|| Number::read(digits)).flatten()?;
    (number.value != 0).then_some(number.value)
}

fn digit(octet: u8) -> Option<u64> {
    let digit = octet.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_ordered_as_texts_and_a_prefix_is_one_span(
            one in "[1-9][0-9]{0,13}",
            other in "[1-9][0-9]{0,14}",
        ) {
            let (start, width) = span(one.as_bytes()).unwrap();
            let key = Number::read(other.as_bytes()).unwrap().key;
            prop_assert_eq!((start..start + width).contains(&key), other.starts_with(&one));
            prop_assert!(start + width <= KEYS);
            if other.len() <= KEY_DIGITS {
                prop_assert_eq!(start.cmp(&key), one.cmp(&other));
            }
        }
    }

    #[test]
    fn no_two_digit_strings_are_the_same_whole_number() {
        for none in ["", "0", "0447", "+447", "44a", "1234567890123456", "４４７"] {
            assert_eq!(whole(none.as_bytes()), None, "{none}");
        }
        assert_eq!(whole(b"999999999999999"), Some(999_999_999_999_999));
        assert_eq!(whole(b"7"), Some(7));
    }

    #[test]
    fn what_is_looked_up_may_be_anything() {
        let value = |text: &[u8]| Number::read(text).map(|number| number.value);
        assert_eq!(value(b"+447700900123"), Some(447_700_900_123));
        assert_eq!(value(b"123456789012345"), Some(123_456_789_012_345));
        assert_eq!(value(b"1234567890123456"), Some(0));
        assert_eq!(value(b"00447700900123"), Some(0));
        assert_eq!(value(b""), Some(0));
        assert_eq!(value(b"4477x"), None);
        assert_eq!(value(b"12345678901234567x"), None);
        assert_eq!(value(b"Shop"), None);
        assert_eq!(value(&[b'9'; 300]), Some(0));
    }
}
