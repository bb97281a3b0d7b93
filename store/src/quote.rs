//! The beginning of a message, which its receipts are to quote: kept for accounts that ask for it, until the message
//! is final.

use std::fmt;

use hashbrown::HashMap;

/// Characters that a receipt may quote (smpp-dlr.md §5), an octet each.
const MAX: usize = 20;

/// The first characters of a message; empty where nothing is to be quoted. Shows its length only (P4).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    len: u8,
    octets: [u8; MAX],
}

impl Quote {
    /// None.
    pub const NONE: Self = Self {
        len: 0,
        octets: [0; MAX],
    };

    /// From the first octets that there are; what is beyond twenty is left out.
    pub fn of(text: impl IntoIterator<Item = u8>) -> Self {
        let mut quote = Self::NONE;
        for (place, octet) in quote.octets.iter_mut().zip(text) {
            *place = octet;
            quote.len += 1;
        }
        quote
    }

    /// From a record; `None` for what no quote holds.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        (octets.len() <= MAX).then(|| Self::of(octets.iter().copied()))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len().min(MAX)).unwrap_or_default()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is nothing to quote.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quote[{}]", self.len)
    }
}

/// How many parts the table has, as a power of two: it grows a part at a time, as [`ByHash`](crate::by_hash) does.
const PARTS_SHIFT: u32 = 8;

/// Quotes by their leg's slot; some 45 octets each, and nothing for a leg that has none.
#[derive(Debug)]
pub(crate) struct Quotes {
    parts: Box<[HashMap<u32, Quote>]>,
}

impl Default for Quotes {
    fn default() -> Self {
        let parts = (0..1 << PARTS_SHIFT).map(|_| HashMap::new());
        Self {
            parts: parts.collect(),
        }
    }
}

const fn part(slot: u32) -> usize {
    slot as usize & ((1 << PARTS_SHIFT) - 1)
}

impl Quotes {
    /// Keeps a slot's quote, instead of any before.
    pub(crate) fn set(&mut self, slot: u32, quote: Quote) {
        if quote.is_empty() {
            self.remove(slot);
        } else {
            self.parts[part(slot)].insert(slot, quote);
        }
    }

    /// A slot's quote.
    pub(crate) fn get(&self, slot: u32) -> Quote {
        self.parts[part(slot)].get(&slot).copied().unwrap_or_default()
    }

    /// Forgets it.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.parts[part(slot)].remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_twenty_octets_at_the_most_and_shows_none_of_them() {
        let long = Quote::of(*b"Your code is 123456, do not share it");
        assert_eq!(long.as_bytes(), b"Your code is 123456,");
        assert_eq!(Quote::read(long.as_bytes()), Some(long));
        assert_eq!(Quote::read(&[b'x'; 21]), None);
        assert_eq!(format!("{long:?} {:?}", Quote::NONE), "Quote[20] Quote[0]");
    }

    #[test]
    fn a_slot_that_is_used_again_quotes_nothing_of_its_predecessor() {
        let mut quotes = Quotes::default();
        quotes.set(7, Quote::of(*b"old"));
        quotes.set(7 + 256, Quote::of(*b"other"));
        assert_eq!(quotes.get(7).as_bytes(), b"old");
        quotes.set(7, Quote::NONE);
        assert!(quotes.get(7).is_empty());
        quotes.remove(7 + 256);
        assert!(
            quotes.parts.iter().all(HashMap::is_empty),
            "nothing is left behind"
        );
    }
}
