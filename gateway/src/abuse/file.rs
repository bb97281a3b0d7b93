//! Where the register of cases lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;

use super::cases::{Case, Decision, NotSuspended, Outcome, Register, Unsuspended};
use crate::control::{hex, unhex};
use crate::orders::Sender;
use crate::small_file;
use crate::telemetry::words::{AbuseRule, Word as _};

pub(super) const FILE: &str = "cases";
/// Octets of the file at most: as many cases as there may be, each with long texts.
const FILE_MAX: u64 = 32 << 20;
/// A register without cases of single senders is one of the first version, and one of whose cases all suspended somebody is of the
/// second at most: a program that knows no others may read it, and only then.
const VERSIONS: [u64; 3] = [1, 2, 3];

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of cases of abuse cannot be read from {path}: {why}. Nothing is started, so that nobody who is suspended is \
     left without a review: put the file back, or remove it and take the suspensions back by hand; who has a case is in \
     the audit log"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

impl Unreadable {
    fn new(path: &Path, why: String) -> Self {
        Self {
            path: path.display().to_string(),
            why,
        }
    }
}

pub(super) fn open(path: &Path) -> Result<Register, Unreadable> {
    let text = small_file::read(path, FILE_MAX).map_err(|error| Unreadable::new(path, error.to_string()))?;
    match text {
        None => Ok(Register::default()),
        Some(text) => {
            read(&text).ok_or_else(|| Unreadable::new(path, "it is not as it was written".to_owned()))
        }
    }
}

fn sum(line: &str) -> String {
    let digest = Sha256::digest(line.as_bytes());
    digest.iter().fold(String::new(), |mut text, octet| {
        // A String takes everything.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

pub(super) fn written(register: &Register) -> String {
    let cases: Map<String, Value> = register
        .cases
        .iter()
        .map(|(id, case)| (id.to_string(), shown(case)))
        .collect();
    let [first, second, third] = VERSIONS;
    let has = |is_so: fn(&Case) -> bool| register.cases.values().any(is_so);
    let version = if has(|case| case.not_suspended.is_some()) {
        third
    } else if has(|case| case.sender.is_some()) {
        second
    } else {
        first
    };
    let line = json!({ "version": version, "last": register.last, "cases": cases }).to_string();
    format!("{line}\n{}\n", sum(&line))
}

fn shown(case: &Case) -> Value {
    let mut row = json!({
        "account": case.account.as_str(),
        "rule": case.rule.label(),
        "content": case.content.as_deref(),
        "score": case.score,
        "subject": case.subject.as_ref().map(|octets| hex(octets)),
        "country": case.country.map(|country| country.to_string()),
        "count": case.count,
        "limit": case.limit,
        "opened_ms": case.opened_ms,
        "review_ms": case.review_ms,
        "suspended_ms": case.suspended_ms,
        "notice": case.notice,
        "decision": case.decision.as_ref().map(|decision| json!({
            "outcome": decision.outcome.word(),
            "reviewer": decision.reviewer,
            "who": decision.who,
            "reason": decision.reason,
            "at_ms": decision.at_ms,
        })),
        "answer": case.answer,
        "restored_ms": case.restored_ms,
    });
    if let Some(sender) = &case.sender {
        row["sender"] = json!(sender.text());
    }
    if let Some(not) = &case.not_suspended {
        row["not_suspended"] = json!({ "why": not.why.word(), "at_ms": not.at_ms });
    }
    row
}

fn read(text: &str) -> Option<Register> {
    let (line, rest) = text.split_once('\n')?;
    if rest.strip_suffix('\n') != Some(sum(line).as_str()) {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    if !VERSIONS.contains(&object.get("version")?.as_u64()?) {
        return None;
    }
    let rows = object.get("cases")?.as_object()?.iter();
    let cases = rows.map(|(id, row)| Some((id.parse().ok()?, case_of(row)?)));
    Some(Register {
        last: small(object.get("last")?)?,
        cases: cases.collect::<Option<BTreeMap<_, _>>>()?,
    })
}

fn small(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// Something that may be missing; `None` when it is there and makes no sense.
fn maybe<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match value {
        Value::Null => Some(None),
        value => read(value).map(Some),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn case_of(row: &Value) -> Option<Case> {
    let word = row["rule"].as_str()?;
    Some(Case {
        account: row["account"].as_str()?.parse::<SystemId>().ok()?,
        sender: maybe(&row["sender"], |text| Sender::read(text.as_str()?))?,
        rule: *AbuseRule::ALL.iter().find(|rule| rule.label() == word)?,
        // Registers from before there were rules about content have none.
        content: maybe(&row["content"], |id| Some(id.as_str()?.into()))?,
        score: small(&row["score"])?,
        subject: maybe(&row["subject"], |digits| unhex(digits.as_str()?)?.try_into().ok())?,
        country: maybe(&row["country"], |letters| Country::new(letters.as_str()?))?,
        count: small(&row["count"])?,
        limit: small(&row["limit"])?,
        opened_ms: row["opened_ms"].as_u64()?,
        review_ms: row["review_ms"].as_u64()?,
        suspended_ms: maybe(&row["suspended_ms"], Value::as_u64)?,
        not_suspended: maybe(&row["not_suspended"], |not| {
            let word = not["why"].as_str()?;
            Some(NotSuspended {
                why: Unsuspended::ALL.into_iter().find(|why| why.word() == word)?,
                at_ms: not["at_ms"].as_u64()?,
            })
        })?,
        notice: maybe(&row["notice"], Value::as_u64)?,
        decision: maybe(&row["decision"], |decision| {
            let word = decision["outcome"].as_str()?;
            Some(Decision {
                outcome: Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)?,
                reviewer: text(&decision["reviewer"])?,
                who: text(&decision["who"])?,
                reason: text(&decision["reason"])?,
                at_ms: decision["at_ms"].as_u64()?,
            })
        })?,
        answer: maybe(&row["answer"], Value::as_u64)?,
        restored_ms: maybe(&row["restored_ms"], Value::as_u64)?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn some() -> Register {
        let open = Case {
            account: "shop".parse().unwrap(),
            sender: None,
            rule: AbuseRule::Run,
            content: None,
            score: 3,
            subject: Some([0xA7; 16]),
            country: Country::new("KE"),
            count: 5,
            limit: 5,
            opened_ms: 7,
            review_ms: 9,
            suspended_ms: Some(8),
            not_suspended: None,
            notice: None,
            decision: None,
            answer: None,
            restored_ms: None,
        };
        let decided = Case {
            subject: None,
            country: None,
            notice: Some(4),
            decision: Some(Decision {
                outcome: Outcome::Reversed,
                reviewer: "anna".to_owned(),
                who: "token a".to_owned(),
                reason: "a campaign that we knew of".to_owned(),
                at_ms: 10,
            }),
            answer: Some(5),
            restored_ms: Some(11),
            ..open.clone()
        };
        Register {
            last: 2,
            cases: BTreeMap::from([(1, decided), (2, open)]),
        }
    }

    #[test]
    fn what_was_written_is_read_and_whatever_is_cut_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(open(&path).unwrap(), Register::default());
        let mut of_sender = some();
        let sender = Sender::read("00112233445566778899aabbccddeeff");
        of_sender.cases.get_mut(&2).unwrap().sender = sender;
        let mut not_suspended = of_sender.clone();
        let of_it = not_suspended.cases.get_mut(&2).unwrap();
        of_it.suspended_ms = None;
        of_it.not_suspended = Some(NotSuspended {
            why: Unsuspended::SecretGone,
            at_ms: 8,
        });
        for (register, version) in [
            (Register::default(), 1),
            (of_sender, 2),
            (not_suspended, 3),
            (some(), 1),
        ] {
            let text = written(&register);
            assert!(text.contains(&format!("\"version\":{version}")), "{text}");
            small_file::replace(&path, &text).unwrap();
            assert_eq!(open(&path).unwrap(), register);
        }
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            fs::write(&path, &whole[..place]).unwrap();
            let refused = open(&path).unwrap_err().to_string();
            assert!(refused.contains(FILE) && refused.contains("review"), "{refused}");
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(open(&path).is_err(), "octet {place}");
        }
    }
}
