//! Letters of one script that look like those of another (UTS #39).

use unicode_security::MixedScript as _;
use unicode_security::skeleton;

/// Letters of a word at least, that it can be disguised: units and signs have fewer.
const LETTERS_MIN: usize = 3;

/// What a name looks like.
pub(super) fn skeleton_of(name: &str) -> String {
    skeleton(name).collect()
}

/// The small letter of ASCII that a letter of another alphabet looks like, if it is just that.
fn looks_like(c: char) -> Option<char> {
    if c.is_ascii() || !c.is_alphabetic() {
        return None;
    }
    let mut octets = [0; 4];
    let mut looks = skeleton(c.encode_utf8(&mut octets));
    match (looks.next(), looks.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some(letter.to_ascii_lowercase()),
        _ => None,
    }
}

/// Appends a piece of a text with the capitals that look like Latin ones as these, in words that have Latin letters: small, many
/// of them look like something else.
pub(super) fn undisguise_capitals(piece: &str, out: &mut String) {
    for word in piece.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let is_mixed = !word.is_ascii() && has_latin(word);
        out.extend(
            word.chars()
                .map(|c| capital_looks_like(c).filter(|_| is_mixed).unwrap_or(c)),
        );
    }
}

fn capital_looks_like(c: char) -> Option<char> {
    if !c.is_uppercase() {
        return None;
    }
    match looks_like(c) {
        // I and l look alike, and the small letter says which it is.
        Some('l') => c.to_lowercase().next().and_then(looks_like).or(Some('l')),
        looks => looks,
    }
}

fn has_latin(word: &str) -> bool {
    word.bytes().any(|octet| octet.is_ascii_alphabetic())
}

/// The words of a piece of a text.
pub(super) fn words_of(piece: &str) -> impl Iterator<Item = &str> {
    piece
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Whether letters of another script stand in a word among Latin ones, and look like these. Other mixtures are how people
/// write: Japanese beside names in Latin letters, or Greek in the GSM alphabet, which has Latin letters for half of it.
pub(super) fn is_disguised(word: &str) -> bool {
    !word.is_ascii()
        && has_latin(word)
        && word.chars().filter(|c| c.is_alphabetic()).count() >= LETTERS_MIN
        && !word.is_single_script()
        && word.chars().any(|c| looks_like(c).is_some())
}

/// The same of a host; or one of its labels is all of another script, and looks as if it were Latin.
pub(super) fn is_host_disguised(host: &str) -> bool {
    host.split('.').filter(|label| !label.is_ascii()).any(|label| {
        let looks_latin = || skeleton(label).all(|c| c.is_ascii());
        words_of(label).any(is_disguised) || (!has_latin(label) && looks_latin())
    })
}

/// Appends a word as it is meant: with the Latin letters that others in it stand for.
pub(super) fn undisguise(word: &str, out: &mut String) {
    let is_mixed = has_latin(word);
    let meant = word
        .chars()
        .map(|c| looks_like(c).filter(|_| is_mixed).unwrap_or(c));
    out.extend(meant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_disguised_by_letters_that_look_like_latin_ones_and_by_no_others() {
        for word in [
            "p\u{430}ypal",
            "\u{430}\u{440}\u{440}le",
            "G\u{43e}ogle",
            "c\u{431}\u{435}\u{440}",
        ] {
            assert!(is_disguised(word), "{word}");
        }
        for word in [
            "paypal",
            "caf\u{e9}",
            "k\u{131}br\u{131}s",
            "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}",
            "\u{4eca}\u{65e5}Apple\u{3092}",
            // As Greek is written in the GSM alphabet.
            "\u{394}EN",
            "k\u{3a9}",
            "\u{3a9}",
        ] {
            assert!(!is_disguised(word), "{word}");
        }
        let mut meant = String::new();
        undisguise("p\u{430}ypal", &mut meant);
        undisguise("\u{441}\u{43e}\u{440}", &mut meant);
        assert_eq!(meant, "paypal\u{441}\u{43e}\u{440}");
    }

    #[test]
    fn a_capital_is_what_it_looks_like_before_it_is_made_small() {
        for (written, meant) in [
            ("\u{412}ONUS", "bONUS"),
            ("CASI\u{41d}O", "CASIhO"),
            ("CAS\u{406}NO", "CASiNO"),
            ("FREE-SP\u{406}\u{39d}S", "FREE-SPinS"),
            (
                "\u{412}\u{41e}\u{41d} und \u{c4}rger",
                "\u{412}\u{41e}\u{41d} und \u{c4}rger",
            ),
        ] {
            let mut out = String::new();
            undisguise_capitals(written, &mut out);
            assert_eq!(out, meant);
        }
    }

    #[test]
    fn a_host_is_disguised_as_a_whole_as_well() {
        for host in ["p\u{430}ypal.com", "\u{430}\u{440}\u{440}\u{4cf}\u{435}.com"] {
            assert!(is_host_disguised(host), "{host}");
        }
        for host in [
            "m\u{fc}nchen.de",
            "\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.com",
            "\u{4eca}\u{65e5}.jp",
        ] {
            assert!(!is_host_disguised(host), "{host}");
        }
    }
}
