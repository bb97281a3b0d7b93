//! The table of words, and texts with what they mean.
#![allow(clippy::print_stdout, reason = "how many texts were read is a result, too")]

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!("../../testdata/words.tsv");

fn normal(text: &str) -> String {
    let mut out = String::new();
    normalise(text, &mut out);
    out
}

fn flagging() -> AccountWords {
    AccountWords {
        opt_out_phrases: OptOutPhrases::Flag,
        ..AccountWords::default()
    }
}

/// A text of the vectors, without its escapes.
fn plain(text: &str) -> String {
    let Some((before, rest)) = text.split_once('\\') else {
        return text.to_owned();
    };
    let (said, rest) = match rest.split_at(1) {
        ("n", rest) => ("\n".to_owned(), rest),
        ("r", rest) => ("\r".to_owned(), rest),
        ("t", rest) => ("\t".to_owned(), rest),
        ("u", rest) => {
            let (hex, rest) = rest[1..].split_once('}').unwrap();
            let c = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
            (c.unwrap().to_string(), rest)
        }
        ("*", rest) => {
            // A repeated text may have an escape of its own.
            let (times, rest) = rest[1..].split_once('|').unwrap();
            let inner = rest
                .find("\\u")
                .filter(|at| *at == 0)
                .and_then(|_| rest.find('}'));
            let end = inner.map_or(0, |end| end + 1);
            let end = end + rest[end..].find('}').unwrap();
            (
                plain(&rest[..end]).repeat(times.parse().unwrap()),
                &rest[end + 1..],
            )
        }
        (other, _) => panic!("no escape: {other}"),
    };
    before.to_owned() + &said + &plain(rest)
}

#[test]
fn every_text_of_the_vectors_means_what_stands_there() {
    let words = Words::shipped();
    let (flagging, usual) = (flagging(), AccountWords::default());
    let mut count = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, text, meaning, flagged] = columns[..] else {
            panic!("four columns: {line}");
        };
        let normal = normal(&plain(text));
        let means = |plus_one, own| words.meaning(&normal, Extent::Whole, plus_one, own).to_string();
        assert_eq!(means(true, None), meaning, "{line}");
        assert_eq!(
            means(true, Some(&flagging)),
            meaning,
            "+1, whatever the account says: {line}"
        );
        assert_eq!(means(false, Some(&usual)), meaning, "{line}");
        let flagged = if flagged == "=" { meaning } else { flagged };
        assert_eq!(means(false, Some(&flagging)), flagged, "{line}");
        count += 1;
    }
    println!("words: {count} texts");
    assert!(count > 200, "the vectors are read from the wrong place: {count}");
}

#[test]
fn the_table_is_whole() {
    let text = include_str!("../../data/keywords.toml");
    let words = Words::read(text).unwrap_or_else(|problems| panic!("{problems}"));
    // What the rules name: OPT-1, §2.1, OPT-6, OPT-7, OPT-8.
    let per_se = words.keywords.iter().filter(|keyword| keyword.per_se);
    let per_se: Vec<&str> = per_se.map(|keyword| &*keyword.word).collect();
    assert_eq!(
        per_se,
        [
            "cancel",
            "end",
            "opt out",
            "optout",
            "quit",
            "revoke",
            "stop",
            "unsubscribe"
        ]
    );
    let leading = words.keywords.iter().filter(|keyword| keyword.leads);
    let leading: Vec<&str> = leading.map(|keyword| &*keyword.word).collect();
    assert_eq!(leading, ["arret", "baja", "sair", "stop", "stopp", "unsubscribe"]);
    assert_eq!(words.keywords.len(), 33);
    let count = |phrases: &Phrases| phrases.0.iter().map(Vec::len).sum::<usize>();
    assert_eq!(
        (
            count(&words.guards),
            count(&words.negations),
            count(&words.phrases)
        ),
        (8, 3, 14)
    );
}

#[test]
fn a_faulty_table_is_told_with_its_lines() {
    let row = "languages = [\"en\"], source = \"s\", standing = \"read\", checked = \"2026-11-29\"";
    for (table, key, why) in [
        (
            format!("help = [{{ word = \"Help\", {row} }}]"),
            "help[0].word",
            "\"help\"",
        ),
        (
            format!("help = [{{ word = \"\", {row} }}]"),
            "help[0].word",
            "compared",
        ),
        (
            format!("help = [{{ word = \"a\", tier = 2, {row} }}]"),
            "help[0].tier",
            "unknown",
        ),
        (
            format!("opt_out = [{{ word = \"a\", tier = 3, {row} }}]"),
            "opt_out[0].tier",
            "1 to 2",
        ),
        (
            format!("guards = [{{ word = \"a\", {row} }}]"),
            "guards[0].languages",
            "unknown",
        ),
        (
            format!("help = [{{ word = \"a\", {row} }}]\nconfirm = [{{ word = \"a\", {row} }}]"),
            "confirm[0].word",
            "already",
        ),
        (
            format!(
                "help = [{{ word = \"a\", {} }}]",
                row.replace("2026-11-29", "2026-11-31")
            ),
            "help[0].checked",
            "no day",
        ),
        (
            format!("help = [{{ word = \"a\", {} }}]", row.replace("\"s\"", "\"\"")),
            "help[0].source",
            "empty",
        ),
        (
            format!("help = [{{ word = \"a\", {} }}]", row.replace("\"en\"", "\"xx\"")),
            "help[0].languages[0]",
            "xx",
        ),
    ] {
        let problems = Words::read(&table).unwrap_err();
        let [problem] = problems.as_slice() else {
            panic!("one: {problems}");
        };
        assert!(
            problem.key == key && problem.to_string().contains(why),
            "{problem}"
        );
        assert!(problem.line.is_some());
    }
}

#[test]
fn of_a_part_of_a_text_only_that_counts_which_more_text_cannot_take_back() {
    let words = Words::shipped();
    let means = |text, extent| words.meaning(&normal(text), extent, true, None).to_string();
    for (text, beginning, within) in [
        ("STOP", "opt-out (tier 1, stop, en or de)", "nothing"),
        ("STOP please", "nothing", "nothing"),
        ("HELP", "nothing", "nothing"),
        ("START", "nothing", "nothing"),
        ("yes", "nothing", "nothing"),
        (
            "and stop texting",
            "opt-out (tier 3, stop texting, en)",
            "opt-out (tier 3, stop texting, en)",
        ),
        ("do not stop texting", "nothing", "nothing"),
        ("", "nothing", "nothing"),
    ] {
        assert_eq!(means(text, Extent::Beginning), beginning, "{text}");
        assert_eq!(means(text, Extent::Within), within, "{text}");
    }
}

#[test]
fn an_account_adds_words_and_takes_none_away() {
    let words = Words::shipped();
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let own = AccountWords {
        opt_out_keywords: list(&["bye", "go away"]),
        // No configuration holds these two; were it so, the table comes first.
        opt_in_keywords: list(&["join", "stop"]),
        help_keywords: list(&["que"]),
        confirm_keywords: list(&["oui"]),
        opt_out_phrases: OptOutPhrases::OptOut,
    };
    for (text, meaning) in [
        ("BYE!", "opt-out (tier 1, bye)"),
        ("Go  away", "opt-out (tier 1, go away)"),
        ("bye bye", "nothing"),
        ("JOIN", "opt-in (join)"),
        ("Qu\u{e9}?", "help (que)"),
        ("oui", "yes (oui)"),
        ("stop", "opt-out (tier 1, stop, en or de)"),
        ("start", "opt-in (start)"),
    ] {
        let normal = normal(text);
        let meaning_of = |own| words.meaning(&normal, Extent::Whole, false, own).to_string();
        assert_eq!(meaning_of(Some(&own)), meaning, "{text}");
        if !["stop", "start"].contains(&text) {
            assert_eq!(meaning_of(None), "nothing", "{text}");
        }
    }
}

/// What may stand around and within a word without changing it.
fn around() -> impl Strategy<Value = String> {
    "[ !?.,;:*#\"'()\u{ab}\u{bb}\u{a1}\u{bf}\u{2026}\u{1f64f}\u{1f6d1}\n\t\u{a0}\u{200b}\u{200f}\u{feff}]{0,12}"
}

fn dressed(word: &str) -> impl Strategy<Value = String> + use<> {
    let letters: Vec<char> = word.chars().collect();
    let letter = (0_u8..4, 0_u8..5);
    prop::collection::vec(letter, letters.len()).prop_map(move |how| {
        let mut out = String::new();
        for (c, (case, behind)) in letters.iter().zip(how) {
            match (case, c) {
                (_, ' ') => out.push_str(" - "),
                (0, c) => out.extend(c.to_uppercase()),
                // Full width.
                (1, c) => out.extend(char::from_u32(u32::from(*c) - 0x20 + 0xff00)),
                (_, c) => out.push(*c),
            }
            out.push_str(["", "", "\u{200b}", "\u{301}", "\u{ad}"][usize::from(behind)]);
        }
        out
    })
}

proptest! {
    #[test]
    fn a_keyword_is_found_however_it_is_dressed(
        (word, written) in prop::sample::select(
            Words::shipped().keywords.iter().map(|keyword| keyword.word.to_string()).collect::<Vec<_>>()
        ).prop_flat_map(|word| (Just(word.clone()), dressed(&word))),
        before in around(),
        behind in around(),
    ) {
        let written = normal(&format!("{before}{written}{behind}"));
        let words = Words::shipped();
        prop_assert_eq!(&written, &word);
        prop_assert_eq!(
            words.meaning(&written, Extent::Whole, true, None),
            words.keyword(&word).unwrap().meaning()
        );
    }

    #[test]
    fn any_text_means_something(text in "(?s).{0,80}", extra in "(stop|don t|texting|me|remove|all| ){0,8}") {
        let flagging = flagging();
        for text in [text.clone(), format!("{text} {extra}"), extra.clone()] {
            let normal = normal(&text);
            for extent in [Extent::Whole, Extent::Beginning, Extent::Within] {
                let from_plus_one = Words::shipped().meaning(&normal, extent, true, Some(&flagging));
                let from_elsewhere = Words::shipped().meaning(&normal, extent, false, Some(&flagging));
                let is_flag = matches!(from_elsewhere, Meaning::Flag { .. });
                prop_assert!(is_flag || from_plus_one == from_elsewhere);
                let is_flag = matches!(from_plus_one, Meaning::Flag { .. });
                prop_assert!(!is_flag);
            }
        }
    }
}
