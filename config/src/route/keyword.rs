//! The first word of a text from a handset, and the words that routes may ask for.

use crate::problem::Fault;
use crate::value::shown;
use crate::words::{AccountWords, Words, normalise};

/// Most characters of a keyword. A text's first word that is longer is none.
pub const KEYWORD_MAX: usize = 32;

/// Writes the first word of a text as keywords are compared: in small letters, without the punctuation around it.
/// What is no word (`***`) is passed over. Empty when there is none, or when it is longer than [`KEYWORD_MAX`].
pub fn first_word(text: &str, out: &mut String) {
    out.clear();
    let bare = |word: &str| -> Option<(usize, usize)> {
        let start = word.find(char::is_alphanumeric)?;
        let end = word.rfind(char::is_alphanumeric)?;
        Some((start, end + word.get(end..)?.chars().next()?.len_utf8()))
    };
    let found = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .find_map(|word| bare(word).and_then(|(start, end)| word.get(start..end)));
    if let Some(word) = found.filter(|word| word.chars().take(KEYWORD_MAX + 1).count() <= KEYWORD_MAX) {
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
}

/// One keyword, as it is compared.
pub(super) fn keyword(text: &str) -> Result<String, Fault> {
    let mut word = String::new();
    first_word(text, &mut word);
    let is_whole = || text.chars().flat_map(char::to_lowercase).eq(word.chars());
    if word.is_empty() || !is_whole() {
        return Err(Fault::new(
            format!("{} is no keyword", shown::value(text)),
            format!(
                "write one word of up to {KEYWORD_MAX} characters that begins and ends with a letter or a digit"
            ),
        ));
    }
    let mut normal = String::new();
    normalise(text, &mut normal);
    match Words::shipped().reserved(&normal) {
        Some(why) => Err(Fault::new(
            format!("{} {why}: it may mean nothing else", shown::value(text)),
            "choose another word; without keywords a route takes these texts as well",
        )),
        None => Ok(word),
    }
}

/// What is wrong with keywords of routes or rules of an account whose own words are `own`.
pub(super) fn collision(own: Option<&AccountWords>, keywords: &[String]) -> Option<Fault> {
    let own = own?;
    let (keyword, (word, does)) = keywords
        .iter()
        .find_map(|keyword| Some((keyword, own.in_the_way(keyword)?)))?;
    Some(Fault::new(
        format!(
            "{} is in the way of the account's own {}, which {does} (OPT-2)",
            shown::value(keyword),
            shown::value(word),
        ),
        "choose another word, here or in the account",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_compared_without_case_and_without_what_stands_around_it() {
        for (text, word) in [
            ("PIZZA two please", "pizza"),
            ("  \"Pizza!\"\r\n", "pizza"),
            ("*** taxi", "taxi"),
            ("\u{a1}Caf\u{e9}!", "caf\u{e9}"),
            ("T-Shirt, red", "t-shirt"),
            ("24", "24"),
            ("\u{41c}\u{418}\u{420}", "\u{43c}\u{438}\u{440}"),
            ("", ""),
            ("?! ...", ""),
            ("a23456789012345678901234567890123 b", ""),
        ] {
            let mut found = "left over".to_owned();
            first_word(text, &mut found);
            assert_eq!(found, word, "{text}");
        }
    }

    #[test]
    fn words_that_end_a_subscription_are_no_keywords_however_they_are_written() {
        for text in [
            "STOP",
            "stop",
            "\u{ff33}\u{ff34}\u{ff2f}\u{ff30}",
            "Arr\u{ea}t",
            "ARRE\u{302}T",
            "opt-out",
            "OptOut",
            "opt",
            "StopAll",
            "unsubscribe",
            "s\u{200b}top",
            "END",
            "Baja",
            "S.T.O.P",
        ] {
            let fault = keyword(text).unwrap_err();
            assert!(format!("{fault:?}").contains("OPT-3"), "{text}: {fault:?}");
        }
        for text in ["help", "INFO", "Aide", "START", "unstop"] {
            assert!(format!("{:?}", keyword(text)).contains("OPT-2"), "{text}");
        }
        for text in ["stopwatch", "yes", "weekend"] {
            assert_eq!(keyword(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_keyword_is_one_word() {
        assert_eq!(keyword("T-Shirt").as_deref(), Ok("t-shirt"));
        for text in [
            "",
            " ",
            "two words",
            "pizza!",
            "-x",
            "!",
            "a23456789012345678901234567890123",
        ] {
            assert!(keyword(text).is_err(), "{text}");
        }
    }
}
