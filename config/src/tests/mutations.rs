//! Whatever the file holds, `parse` returns.

use proptest::prelude::*;

use super::MINIMAL;
use super::examples::{BENCH, EXAMPLE};
use crate::parse;

/// Pieces that hurt parsers, and words of the schema in places where they do not belong.
const PIECES: &[&str] = &[
    "",
    "\n",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\",
    "\\u0000",
    "\0",
    "é",
    "-1",
    "0x",
    "1e400",
    "nan",
    "99999999999999999999",
    "true",
    "1979-05-27",
    "[account]\n",
    "[[account]]\n",
    "[route]\n",
    "[[route.mt]]\n",
    "[storage.data]\n",
    "route.mt = 1\n",
    "window = []\n",
    "rate = {}\n",
    "\r",
    "\u{feff}",
    "\"*\"",
    "\"0s\"",
    "\"9999999999d\"",
    "\"16777216TiB\"",
    "\"$argon2id$v=19$\"",
    "\"::\"",
];

fn char_boundary(text: &str, near: usize) -> usize {
    let mut at = near % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

proptest! {
    #[test]
    fn a_spoilt_example_never_panics(
        which in 0..3_usize,
        cuts in proptest::collection::vec((any::<usize>(), 0..60_usize, 0..PIECES.len()), 1..6),
    ) {
        let mut text = [EXAMPLE, MINIMAL, BENCH][which].to_owned();
        for (at, len, piece) in cuts {
            let from = char_boundary(&text, at);
            let to = char_boundary(&text, (from + len).min(text.len()));
            text.replace_range(from..to.max(from), PIECES[piece]);
        }
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.as_slice().is_empty());
            let lines = text.lines().count().max(1) + 1;
            for problem in problems.as_slice() {
                prop_assert!(!problem.what.is_empty() && !problem.remedy.is_empty());
                prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)));
                prop_assert!(!problem.to_string().chars().any(char::is_control), "{:?}", problem.to_string());
            }
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_number_anywhere_is_taken_or_refused(number in any::<i64>(), line in any::<prop::sample::Index>()) {
        let lines: Vec<&str> = EXAMPLE.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).collect();
        let line = line.get(&lines);
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let _ = parse(&EXAMPLE.replace(line, &format!("{key} = {number}")));
        let _ = parse(&EXAMPLE.replace(line, &format!("{key} = \"{number}s\"")));
        let _ = parse(&EXAMPLE.replace(line, &format!("{key} = [\"{number}MiB\"]")));
    }
}
