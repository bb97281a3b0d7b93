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

/// How many octets a character of a text takes: what a reader has to know of its `data_coding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// The default alphabet unpacked, ASCII, Latin-1.
    One,
    /// UCS-2, most significant octet first.
    Two,
}

impl Width {
    /// Of a text with this `data_coding`: UCS-2 is 0x08, or 0x18 to 0x1b with a message class.
    pub(crate) const fn of(data_coding: u8) -> Self {
        match data_coding {
            0x08 | 0x18..=0x1b => Self::Two,
            _ => Self::One,
        }
    }

    /// Octets of one character.
    pub(crate) const fn octets(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Octets of a token.
    pub(crate) const fn token_len(self) -> usize {
        TOKEN_LEN * self.octets()
    }

    /// Appends `characters`, all of them ASCII.
    fn write(self, characters: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::One => out.extend_from_slice(characters),
            Self::Two => out.extend(characters.iter().flat_map(|character| [0, *character])),
        }
    }
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

    /// Appends the token of this message and behind it `rest`, which is encoded already.
    pub(crate) fn write_in(self, width: Width, destination: &[u8], rest: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        width.write(b"T", out);
        for word in [self.run, self.n, 0] {
            width.write(&digits(word), out);
        }
        out.extend_from_slice(rest);
        let sum = checksum_in(width, &out[start..], destination);
        seal(width, sum, &mut out[start..]);
    }

    /// As [`Token::read`], for a text in the alphabet that this `data_coding` names.
    pub fn read_as(data_coding: u8, text: &[u8], destination: &[u8]) -> Reading {
        if Width::of(data_coding) == Width::One {
            return Self::read(text, destination);
        }
        let Some(head) = text.first_chunk::<{ 2 * TOKEN_LEN }>() else {
            return Reading::Unmarked;
        };
        let mut characters = [0; TOKEN_LEN];
        for (character, octets) in characters.iter_mut().zip(head.as_chunks::<2>().0) {
            let [0, ascii] = *octets else {
                return Reading::Unmarked;
            };
            *character = ascii;
        }
        let word = |range: Range<usize>| unhex(&characters[range]);
        let (b'T', Some(run), Some(n), Some(sum)) = (characters[0], word(1..9), word(9..17), word(CHECKSUM))
        else {
            return Reading::Unmarked;
        };
        if checksum_in(Width::Two, text, destination) == sum {
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

/// As [`checksum`], for a text whose characters have this width.
pub(crate) fn checksum_in(width: Width, text: &[u8], destination: &[u8]) -> u32 {
    let octets = width.octets();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&text[NAME.start * octets..NAME.end * octets]);
    hasher.update(&text[width.token_len()..]);
    hasher.update(destination);
    hasher.finalize()
}

/// Writes the checksum into the token that begins `text`.
pub(crate) fn seal(width: Width, sum: u32, text: &mut [u8]) {
    put(width, CHECKSUM.start, sum, text);
}

/// Writes another number into the token that begins `text`; its checksum is no longer right then.
pub(crate) fn renumber(width: Width, n: u32, text: &mut [u8]) {
    put(width, NAME.start + 8, n, text);
}

/// Eight digits from the character `at` on. In UCS-2 the upper octets are zero already.
fn put(width: Width, at: usize, value: u32, text: &mut [u8]) {
    let digits = digits(value);
    match width {
        Width::One => text[at..at + digits.len()].copy_from_slice(&digits),
        Width::Two => {
            for (octets, digit) in text[2 * at..].as_chunks_mut::<2>().0.iter_mut().zip(digits) {
                octets[1] = digit;
            }
        }
    }
}

/// Appends filler of `octets`, or one less where characters have two.
pub(crate) fn fill(width: Width, octets: usize, out: &mut Vec<u8>) {
    let mut rest = octets / width.octets();
    while rest > 0 {
        let piece = rest.min(FILLER.len());
        width.write(&FILLER[..piece], out);
        rest -= piece;
    }
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

    #[test]
    fn what_is_written_with_one_octet_a_character_is_what_the_plain_writer_writes() {
        let destination = TOKEN.destination();
        let (mut plain, mut rest, mut text) = (Vec::new(), Vec::new(), Vec::new());
        TOKEN.write(&destination, 300, &mut plain);
        fill(Width::One, 300 - TOKEN_LEN, &mut rest);
        TOKEN.write_in(Width::One, &destination, &rest, &mut text);
        assert_eq!(text, plain);
        assert_eq!(Token::read_as(0x00, &text, &destination), Reading::Intact(TOKEN));
    }

    #[test]
    fn a_ucs2_token_is_read_as_it_was_written_and_any_octet_that_changes_is_noticed() {
        let destination = TOKEN.destination();
        let (mut rest, mut text) = (Vec::new(), Vec::new());
        fill(Width::Two, 51, &mut rest);
        assert_eq!(rest.len(), 50);
        TOKEN.write_in(Width::Two, &destination, &rest, &mut text);
        assert!(text.starts_with(b"\0T\0d\0e\0a\0d"));
        let read = |text: &[u8]| Token::read_as(0x08, text, &destination);
        assert_eq!(read(&text), Reading::Intact(TOKEN));
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 0x01;
            assert_ne!(read(&other), Reading::Intact(TOKEN), "{at}");
        }
        assert_eq!(read(&text[..99]), Reading::Altered);
        assert_eq!(read(&text[..49]), Reading::Unmarked);
        assert_eq!(Token::read(&text, &destination), Reading::Unmarked);
    }

    #[test]
    fn a_renumbered_and_sealed_text_is_that_of_the_other_message() {
        let destination = TOKEN.destination();
        for width in [Width::One, Width::Two] {
            let (mut text, mut other) = (Vec::new(), Vec::new());
            TOKEN.write_in(width, &destination, b"ab", &mut text);
            let next = Token { n: 7, ..TOKEN };
            next.write_in(width, &destination, b"ab", &mut other);
            renumber(width, 7, &mut text);
            assert_ne!(text, other);
            let sum = checksum_in(width, &text, &destination);
            seal(width, sum, &mut text);
            assert_eq!(text, other);
        }
    }

    #[test]
    fn ucs2_is_told_by_its_data_coding() {
        for (data_coding, width) in [
            (0, Width::One),
            (3, Width::One),
            (8, Width::Two),
            (0x19, Width::Two),
            (0xf0, Width::One),
        ] {
            assert_eq!(Width::of(data_coding), width, "{data_coding:#x}");
        }
    }
}
