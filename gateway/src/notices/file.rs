//! Where the register lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{About, New, Notice, Register, Sent};
use crate::small_file;

pub(super) const FILE: &str = "notices";
/// Octets of the file at most.
const FILE_MAX: u64 = 64 << 20;
const VERSION: u64 = 1;

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of notices to accounts cannot be read from {path}: {why}. Nothing is started, so that nobody who is to be \
     told is forgotten: put the file back as it was, or remove it and tell them by the audit log"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

pub(super) fn open(path: &Path) -> Result<Register, Unreadable> {
    let unreadable = |why: String| Unreadable {
        path: path.display().to_string(),
        why,
    };
    let text = small_file::read(path, FILE_MAX).map_err(|error| unreadable(error.to_string()))?;
    match text {
        None => Ok(Register::default()),
        Some(text) => read(&text).ok_or_else(|| unreadable("it is not as it was written".to_owned())),
    }
}

pub(super) fn written(register: &Register) -> String {
    let all: Map<String, Value> = register
        .all
        .iter()
        .map(|(number, notice)| (number.to_string(), shown(notice)))
        .collect();
    let line = json!({ "version": VERSION, "last": register.last, "notices": all }).to_string();
    small_file::summed(&line)
}

fn shown(notice: &Notice) -> Value {
    let sent = notice.sent.as_ref();
    json!({
        "account": notice.new.account,
        "about": notice.new.about.word(),
        "reference": notice.new.reference,
        "text": notice.new.text,
        "due_ms": notice.new.due_ms,
        "made_ms": notice.made_ms,
        "sent": sent.map(|sent| json!({ "at_ms": sent.at_ms, "how": sent.how, "who": sent.who })),
    })
}

fn read(text: &str) -> Option<Register> {
    let object: Map<String, Value> = serde_json::from_str(small_file::unsummed(text)?).ok()?;
    if object.get("version")?.as_u64() != Some(VERSION) {
        return None;
    }
    let all = object.get("notices")?.as_object()?.iter();
    let all = all.map(|(number, notice)| Some((number.parse().ok()?, notice_of(notice)?)));
    Some(Register {
        last: object.get("last")?.as_u64()?,
        all: all.collect::<Option<_>>()?,
    })
}

fn notice_of(notice: &Value) -> Option<Notice> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let about = notice["about"].as_str()?;
    let sent = match &notice["sent"] {
        Value::Null => None,
        sent => Some(Sent {
            at_ms: sent["at_ms"].as_u64()?,
            how: text(&sent["how"])?,
            who: text(&sent["who"])?,
        }),
    };
    Some(Notice {
        new: New {
            account: text(&notice["account"])?,
            about: About::ALL.into_iter().find(|one| one.word() == about)?,
            reference: text(&notice["reference"])?,
            text: text(&notice["text"])?,
            due_ms: notice["due_ms"].as_u64()?,
        },
        made_ms: notice["made_ms"].as_u64()?,
        sent,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_changed_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let new = New {
            account: "load".to_owned(),
            about: About::Disclosure,
            reference: "disclosure 1".to_owned(),
            text: "told".to_owned(),
            due_ms: 2,
        };
        let notice = Notice {
            new,
            made_ms: 1,
            sent: None,
        };
        let register = Register {
            last: 7,
            all: [(7, notice)].into(),
        };
        let good = written(&register);
        fs::write(&path, &good).unwrap();
        assert_eq!(open(&path).unwrap(), register);
        for place in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[place] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(open(&path).is_err(), "octet {place}");
        }
    }
}
