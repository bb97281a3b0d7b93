//! What tells one message of a demo from the next: `T`, the run, the number in it, a checksum, then
//! filler up to the length of an ordinary message.

use std::ops::Range;

/// Octets of a token; the filler follows.
pub const TOKEN_LEN: usize = 25;

/// Where run and number stand in the text.
const NAME: Range<usize> = 1..17;
/// Where the checksum stands.
const CHECKSUM: Range<usize> = 17..TOKEN_LEN;

/// Ordinary text in characters that every alphabet of SMPP has in the same place.
const FILLER: &[u8] = b" The tide turns twice a day and waits for nobody, and what it brings in \
it takes out again, all but what was made fast before the water came.";

/// One message of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Which run of the clients.
    pub run: u32,
    /// Which message of the run, from 0.
    pub n: u32,
}

/// What a text says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Exactly what was written.
    Intact(Token),
    /// A token whose text or recipient is not the one it was written for.
    Altered,
    /// No token: a message of somebody else.
    Unmarked,
}

impl Token {
    /// Appends the text of this message to `destination`, `length` octets or as many as a token has.
    pub fn write(self, destination: &[u8], length: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'T');
        hex(self.run, out);
        hex(self.n, out);
        hex(0, out);
        let mut rest = length.saturating_sub(TOKEN_LEN);
        while rest > 0 {
            let piece = rest.min(FILLER.len());
            out.extend_from_slice(&FILLER[..piece]);
            rest -= piece;
        }
        let sum = checksum(&out[start..], destination);
        out[start..][CHECKSUM].copy_from_slice(&digits(sum));
    }

    /// Reads the token that begins `text` and checks it against the text and the recipient's digits.
    pub fn read(text: &[u8], destination: &[u8]) -> Reading {
        if text.len() < TOKEN_LEN || text[0] != b'T' {
            return Reading::Unmarked;
        }
        let word = |range: Range<usize>| unhex(&text[range]);
        let (Some(run), Some(n), Some(sum)) = (word(1..9), word(9..17), word(CHECKSUM)) else {
            return Reading::Unmarked;
        };
        if checksum(text, destination) == sum {
            Reading::Intact(Self { run, n })
        } else {
            Reading::Altered
        }
    }

    /// The recipient of this message: a number that no network gives to anybody (`+44 7700 9xxxxx`).
    pub fn destination(self) -> [u8; 12] {
        let mut number = *b"447700900000";
        let mut rest = self.n % 100_000;
        for digit in number[7..].iter_mut().rev() {
            *digit = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        number
    }
}

/// Over everything but the checksum itself.
fn checksum(text: &[u8], destination: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&text[NAME]);
    hasher.update(&text[TOKEN_LEN..]);
    hasher.update(destination);
    hasher.finalize()
}

fn hex(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&digits(value));
}

fn digits(value: u32) -> [u8; 8] {
    std::array::from_fn(|index| b"0123456789abcdef"[(value >> (28 - 4 * index) & 0xf) as usize])
}

fn unhex(octets: &[u8]) -> Option<u32> {
    octets.iter().try_fold(0, |value, octet| {
        let digit = match octet {
            b'0'..=b'9' => octet - b'0',
            b'a'..=b'f' => octet - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token {
        run: 0xdead_beef,
        n: 123_456,
    };

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let destination = TOKEN.destination();
        assert_eq!(&destination, b"447700923456");
        for length in [0, TOKEN_LEN, 100, 250] {
            let mut text = Vec::new();
            TOKEN.write(&destination, length, &mut text);
            assert_eq!(text.len(), length.max(TOKEN_LEN));
            assert!(text.starts_with(b"Tdeadbeef0001e240"));
            assert_eq!(Token::read(&text, &destination), Reading::Intact(TOKEN));
        }
    }

    #[test]
    fn any_octet_that_changes_is_noticed() {
        let destination = TOKEN.destination();
        let mut text = Vec::new();
        TOKEN.write(&destination, 100, &mut text);
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 0x01;
            assert_ne!(Token::read(&other, &destination), Reading::Intact(TOKEN), "{at}");
        }
        assert_eq!(Token::read(&text[..99], &destination), Reading::Altered);
        assert_eq!(Token::read(&text, b"447700900000"), Reading::Altered);
        assert_eq!(Token::read(b"Hello", &destination), Reading::Unmarked);
    }
}
