//! Which role may open which records, and for what (GEN-3): the one place where that stands. Sources are of compliance.md.

use crate::admin::Role;

/// Purposes for which a finished message is read, as `message show` takes them.
const READING: &[&str] = &["support", "billing", "fraud", "legal"];

/// Purposes for which a grant of break-glass lets anybody read: what is only kept of people who are restricted is shown for legal
/// claims (DSR-4), and nobody gets at it by a word of his own.
pub const BY_GLASS: &[&str] = &["support", "fraud"];

/// What a sealed file was made for. It lies under a key of its own in the ring of messages, and is as much of a tier as what it
/// was made of (ENC-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOf {
    /// An account's export.
    Account,
    /// What a disclosure hands over.
    Disclosure,
    /// What a person asked for.
    Request,
}

impl FileOf {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Account, Self::Disclosure, Self::Request];

    /// For people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Disclosure => "disclosure",
            Self::Request => "request",
        }
    }

    /// Who may list, read and end such a file at the admin listener.
    pub const fn role(self) -> Role {
        match self {
            Self::Account => Role::Privacy,
            Self::Disclosure => Role::Legal,
            Self::Request => Role::Subject,
        }
    }
}

/// What a verb opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// Of a verb of sealed files: those that this row is about. Such a verb has a row for each.
    pub file: Option<FileOf>,
    /// Classes of data.
    pub classes: &'static [&'static str],
    /// What it is opened for.
    pub purposes: &'static [&'static str],
    /// Who may, at the admin listener. Whoever can open the control socket may all of it.
    pub role: Role,
    /// Whether break-glass lets a token of role operate at it.
    pub glass: bool,
    /// Why it is so.
    pub source: &'static str,
}

const fn right(
    verb: &'static str,
    classes: &'static [&'static str],
    purposes: &'static [&'static str],
    source: &'static str,
) -> Right {
    Right {
        verb,
        file: None,
        classes,
        purposes,
        role: Role::Privacy,
        glass: false,
        source,
    }
}

/// The same of what lies under the keys of a tier, which has a role of its own (ENC-5).
const fn of_tier(role: Role, right: Right) -> Right {
    Right { role, ..right }
}

/// A reading of files that were made for this.
const fn reading_of(file: FileOf, source: &'static str) -> Right {
    Right {
        file: Some(file),
        role: file.role(),
        ..right("export read", &["export"], &["export"], source)
    }
}

/// All verbs that open records of people. One that opens them and does not stand here is refused by a test.
pub const TABLE: &[Right] = &[
    Right {
        glass: true,
        ..right("message show", &["meta", "body"], READING, "GEN-3, AUD-4")
    },
    Right {
        glass: true,
        ..right("message find", &["meta"], READING, "GEN-3")
    },
    of_tier(
        Role::Legal,
        right("hold show", &["meta", "body"], &["legal"], "LEG-2, ENC-5"),
    ),
    right("export create", &["meta", "body", "stats"], &["export"], "EXP-2"),
    reading_of(FileOf::Account, "EXP-2"),
    reading_of(FileOf::Disclosure, "EXP-2, LEG-5, ENC-5"),
    reading_of(FileOf::Request, "EXP-2, DSR-2, ENC-5"),
    of_tier(
        Role::Legal,
        right(
            "disclosure produce",
            &["meta", "body"],
            &["legal"],
            "LEG-5, LEG-7, ENC-5",
        ),
    ),
    of_tier(
        Role::Legal,
        right("disclosure show", &["legal"], &["legal"], "LEG-5, ENC-5"),
    ),
    of_tier(
        Role::Subject,
        right(
            "subject run",
            &["meta", "body", "optout", "consent"],
            &["export"],
            "DSR-1, DSR-2, ENC-5",
        ),
    ),
    of_tier(
        Role::Subject,
        right("subject show", &["subrec"], READING, "DSR-2, ENC-5"),
    ),
    right("case show", &["fraud"], &["fraud"], "FRD-7"),
    right("case signals", &["fraud"], &["fraud"], "FRD-7"),
    right("held show", &["meta", "body"], &["fraud"], "FRD-5, GEN-3"),
    right("optout check", &["optout"], &["support"], "OPT-24"),
    right("optout list", &["optout"], &["support"], "OPT-24"),
    right("optout export", &["optout"], &["export"], "OPT-24"),
    right("consent list", &["consent"], &["support"], "CON-1"),
];

/// What a verb opens: nothing, or a row, or one for each kind of file. Which of these a file is, is known where it is opened
/// (`control/exporting.rs`), and asked there once more.
pub fn rights_of(verb: &str) -> impl Iterator<Item = &'static Right> {
    TABLE.iter().filter(move |right| right.verb == verb)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::admin::VERBS;
    use crate::control::{self, Reading, Verb};

    /// Verbs that show nobody's number and no text, whatever role they need: of a trace, texts are left out and numbers masked;
    /// what is explained, sent or followed shows what was typed; a waiting message is shown masked.
    const OPEN_NOTHING: &[&str] = &[
        "board",
        "spool inspect",
        "account usage",
        "account list",
        "account show",
        "carrier list",
        "queue list",
        "bind list",
        "trace",
        "trace list",
        "trace pdus",
        "trace stop",
        "log filter",
        "retention plan",
        "stats",
        "route explain",
        "ban list",
        "ban add",
        "ban remove",
        "carrier pause",
        "carrier drain",
        "carrier resume",
        "carrier rate",
        "account suspend",
        "account restore",
        "account suspend-sender",
        "account restore-sender",
        "account limit",
        "case list",
        "held list",
        "held release",
        "held reject",
        "notice list",
        "notice sent",
        "bind close",
        "retention sweep",
        "retention confirm-clock",
        "queue expire",
        "queue move",
        "reload",
        "send",
        "follow",
        "audit checkpoint",
        "access break-glass",
        "access end",
        "access list",
        "account close",
        "retention forget",
        "optout add",
        "optout remove",
        "optout import",
        "contact import",
        "export list",
        "export delete",
        "hold add",
        "hold release",
        "hold list",
        "erase add",
        "erase list",
        "consent grant",
        "consent withdraw",
        "consent ask",
        "subject open",
        "subject verify",
        "subject extend",
        "subject refuse",
        "subject list",
        "case decide",
        "restrict add",
        "restrict lift",
        "restrict list",
        "disclosure open",
        "disclosure approve",
        "disclosure decide",
        "disclosure notify",
        "disclosure complete",
        "disclosure review",
        "disclosure list",
    ];

    /// Whose what a verb opens is (ENC-5).
    fn role_of_tier(verb: &str) -> Role {
        match verb.split_once(' ').map_or(verb, |(first, _)| first) {
            "hold" | "erase" | "restrict" | "disclosure" => Role::Legal,
            "subject" => Role::Subject,
            _ => Role::Privacy,
        }
    }

    fn asked(verb: &str, more: Value) -> Verb {
        let Value::Object(mut request) = more else {
            unreachable!()
        };
        request.insert("version".to_owned(), json!(control::VERSION));
        request.insert("verb".to_owned(), json!(verb));
        Verb::of_object(&request).unwrap_or_else(|why| panic!("{verb}: {why}"))
    }

    #[test]
    fn every_verb_that_opens_records_stands_in_the_table_and_is_judged_by_it() {
        let person = || json!([{ "line": 1, "number": "+15550100123" }]);
        let of_deed = || json!({ "account": "a", "rows": person() });
        let list = || json!({ "account": "a", "rows": [] });
        let reading =
            || json!({ "id": "1", "account": "a", "to": "+1", "purpose": "support", "reason": "t" });
        let reading_of_one = || json!({ "id": 1, "purpose": "legal", "reason": "t" });
        let of_one = || json!({ "number": 1, "id": 1, "export": "1", "reason": "t" });
        for (verb, request) in [
            ("message show", reading()),
            ("message find", reading()),
            ("hold show", of_one()),
            ("export create", json!({ "account": "a", "reason": "t" })),
            ("export read", of_one()),
            ("disclosure produce", of_one()),
            ("disclosure show", of_one()),
            ("subject run", of_one()),
            ("case show", of_one()),
            ("case signals", json!({})),
            ("held show", json!({ "id": "1", "reason": "t" })),
            ("subject show", reading_of_one()),
            ("optout check", of_deed()),
            ("optout list", list()),
            ("optout export", list()),
            ("consent list", of_deed()),
        ] {
            let asked = asked(verb, request);
            let opening = asked.opens().unwrap_or_else(|| panic!("{verb} opens nothing"));
            assert!(rights_of(opening.verb).count() > 0, "{verb}");
            assert_eq!(opening.verb, verb);
        }
        // Without a purpose, or a reason, they show nobody.
        for (verb, request) in [
            ("message show", json!({ "id": "1" })),
            ("message find", json!({ "account": "a" })),
            ("disclosure show", json!({ "number": 1 })),
            ("subject show", json!({ "id": 1 })),
        ] {
            assert!(asked(verb, request).opens().is_none(), "{verb}");
        }
        let table: BTreeSet<&str> = TABLE.iter().map(|right| right.verb).collect();
        assert_eq!((table.len(), TABLE.len()), (16, 18));
        for (verb, role) in VERBS {
            let is_open = table.contains(verb);
            assert!(!(is_open && OPEN_NOTHING.contains(verb)), "{verb}");
            assert!(
                is_open || OPEN_NOTHING.contains(verb),
                "{verb}: does it open records?"
            );
            // What opens records is nobody's without a purpose, or is for the role of its tier as a whole.
            let is_for_a_purpose = ["message show", "message find"].contains(verb);
            let of_its_tier = role_of_tier(verb);
            assert!(!is_open || *role == of_its_tier || is_for_a_purpose, "{verb}");
            // Nor is anything else about what a tier's keys seal for another role, whatever it shows.
            assert!(of_its_tier == Role::Privacy || *role == of_its_tier, "{verb}");
        }
        for right in TABLE {
            let (_, needed) = VERBS.iter().find(|(verb, _)| *verb == right.verb).unwrap();
            assert!(
                right.role.suffices(*needed) || right.file.is_some(),
                "{}",
                right.verb
            );
            let of_tier = right.file.map_or_else(|| role_of_tier(right.verb), FileOf::role);
            assert_eq!(right.role, of_tier, "{}", right.verb);
            assert!(
                !right.glass || right.role == Role::Privacy,
                "{}: no glass to a tier",
                right.verb
            );
            assert!(!right.purposes.is_empty() && !right.classes.is_empty() && !right.source.is_empty());
        }
        let reading: Vec<_> = rights_of("export read").map(|right| right.file).collect();
        assert_eq!(reading, FileOf::ALL.map(Some), "a row for each kind of file");
    }

    #[test]
    fn purposes_are_those_that_are_understood() {
        let is_read = |purpose: &str| {
            let read = Reading::read(Some(purpose.to_owned()), Some("t".to_owned()));
            matches!(read, Ok(Some(_)))
        };
        for purpose in [
            "deliver", "dlr", "support", "billing", "fraud", "legal", "sweep", "export",
        ] {
            assert_eq!(is_read(purpose), READING.contains(&purpose), "{purpose}");
        }
        assert!(BY_GLASS.iter().all(|purpose| READING.contains(purpose)));
        for (purpose, word) in [("support", Some("support")), ("legal", Some("legal"))] {
            let reading = json!({ "id": "1", "account": "a", "purpose": purpose, "reason": "t" });
            let asked = asked("message show", reading);
            assert_eq!(asked.opens().unwrap().purpose, word);
        }
        assert!(Verb::of_object(&Map::new()).is_err());
    }
}
