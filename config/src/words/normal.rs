//! The form in which texts and words meet (OPT-4).

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Most octets of a text in this form; what stands behind them is not read. A text of 255 parts has at most 51 255.
pub const NORMAL_MAX: usize = 65_536;

/// Writes a text as words are compared: compatibility forms and case folded (Unicode NFKC and full case folding, of no
/// language), without accents, zero-width and control characters; a single blank for whatever else stands between
/// letters and digits, none at the ends. At most [`NORMAL_MAX`] octets. ` Arrêt! ` is `arret`, `don't` is `don t`.
///
/// It allocates only where `out` is too small.
pub fn normalise(text: &str, out: &mut String) {
    out.clear();
    let mut gap = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut len = first.len_utf8();
        match first {
            'a'..='z' | 'A'..='Z' | '0'..='9' => {
                let end = rest.bytes().position(|octet| !octet.is_ascii_alphanumeric());
                len = end.unwrap_or(rest.len()).min(NORMAL_MAX);
                put(rest.get(..len).unwrap_or_default(), &mut gap, out);
            }
            '\0'..='\x08' | '\x0e'..='\x1f' | '\x7f' => {}
            '\0'..='\x7f' => gap = true,
            _ if is_plain(first) => put(rest.get(..len).unwrap_or_default(), &mut gap, out),
            _ => put_folded(first, &mut gap, out),
        }
        if out.len() >= NORMAL_MAX {
            return;
        }
        rest = rest.get(len..).unwrap_or_default();
    }
}

/// Letters that are their own form: small ones of Cyrillic without marks, and ideographs. Those behind ASCII that come
/// most often.
const fn is_plain(c: char) -> bool {
    matches!(c, '\u{430}'..='\u{438}' | '\u{43a}'..='\u{44f}' | '\u{4e00}'..='\u{9fff}')
}

/// Composed or not is all the same once the marks are gone, and so is their order: each character is taken apart by
/// itself, and again behind the folding, which puts together.
fn put_folded(c: char, gap: &mut bool, out: &mut String) {
    let is_letter = |c: &char| !is_combining_mark(*c);
    let one = std::iter::once(c).filter(is_letter).nfkd().filter(is_letter);
    for c in one.default_case_fold().nfkd().filter(is_letter) {
        if is_unseen(c) {
            continue;
        }
        if c.is_alphanumeric() && !is_sign(c) {
            put(c.encode_utf8(&mut [0; 4]), gap, out);
        } else {
            *gap = true;
        }
    }
}

/// Appends letters; those of ASCII become small ones.
fn put(letters: &str, gap: &mut bool, out: &mut String) {
    if std::mem::take(gap) && !out.is_empty() {
        out.push(' ');
    }
    let from = out.len();
    out.push_str(letters);
    if let Some(letters) = out.get_mut(from..) {
        letters.make_ascii_lowercase();
    }
}

/// What takes no room: controls that are no white space, and what Unicode calls default ignorable.
fn is_unseen(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// What Unicode has among letters, and a reader among signs: apostrophes and the like, and pictures of letters.
const fn is_sign(c: char) -> bool {
    matches!(c, '\u{2b9}'..='\u{2ff}' | '\u{1f100}'..='\u{1f1ff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> String {
        let mut out = "left over".to_owned();
        normalise(text, &mut out);
        out
    }

    #[test]
    fn what_looks_like_a_word_is_that_word() {
        for (text, expected) in [
            ("", ""),
            (" \t\r\n ", ""),
            ("?!", ""),
            (" Stop. ", "stop"),
            ("\"STOP\"", "stop"),
            ("\u{ff33}\u{ff34}\u{ff2f}\u{ff30}", "stop"),
            ("\u{24c8}\u{1f143}\u{1d40e}\u{2119}", "stop"),
            ("s\u{200b}t\u{ad}o\u{2060}p\u{feff}", "stop"),
            ("s\u{0}t\u{7}o\u{7f}p\u{85}x", "stop x"),
            ("\u{202e}STOP\u{202c}\u{200f}", "stop"),
            ("ARR\u{ca}T", "arret"),
            ("ARRE\u{302}T", "arret"),
            ("\u{a1}BAJA!", "baja"),
            ("STOP \u{1f64f}\u{1f3fd}\u{fe0f}", "stop"),
            ("STOP\u{1f17f}\u{fe0f}STOP", "stop stop"),
            ("\u{1f1fa}\u{1f1f8}", ""),
            ("don\u{2019}t", "don t"),
            ("don\u{2bc}t", "don t"),
            ("don\u{b4}t", "don t"),
            ("Stra\u{df}e \u{1e9e}", "strasse ss"),
            ("\u{130}NFO", "info"),
            (
                "\u{3a3}\u{3a4}\u{39f}\u{3a0} \u{3c3}\u{3c2}",
                "\u{3c3}\u{3c4}\u{3bf}\u{3c0} \u{3c3}\u{3c3}",
            ),
            ("\u{421}\u{422}\u{41e}\u{41f}", "\u{441}\u{442}\u{43e}\u{43f}"),
            ("\u{505c}\u{6b62}", "\u{505c}\u{6b62}"),
            ("stop\u{2028}it\u{a0}now\u{3000}", "stop it now"),
            ("1\u{fe0f}\u{20e3} 24", "1 24"),
            ("\u{3164}\u{ffa0}", ""),
        ] {
            assert_eq!(normal(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_character_has_one_form() {
        let mut again = String::new();
        for c in '\0'..=char::MAX {
            let text = format!("a{c}b");
            let once = normal(&text);
            normalise(&once, &mut again);
            assert_eq!(once, again, "{c:?}");
            assert!(
                !once.contains("  ") && once.starts_with('a') && once.ends_with('b'),
                "{c:?}"
            );
        }
    }

    #[test]
    fn what_is_not_folded_would_stay_as_it_is() {
        for c in ('\0'..=char::MAX).filter(|c| is_plain(*c)) {
            let mut folded = String::new();
            put_folded(c, &mut false, &mut folded);
            assert_eq!(folded, c.to_string());
        }
    }

    #[test]
    fn a_text_is_read_up_to_its_bound() {
        for text in ["a", "\u{e9} ", "\u{fdfa}", "\u{300}", "\u{200b}"] {
            let long = text.repeat(NORMAL_MAX);
            assert!(normal(&long).len() < NORMAL_MAX + 64, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_text_stays_as_it_is(text in "\\PC{0,40}|(?s).{0,40}") {
            let once = normal(&text);
            prop_assert_eq!(&normal(&once), &once);
            prop_assert_eq!(once.trim(), &once);
        }
    }
}
