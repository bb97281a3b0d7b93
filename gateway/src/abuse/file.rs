//! How the file of the register of cases has what it holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;

use super::cases::{Case, Decision, NotSuspended, Outcome, Register, Unsuspended};
use crate::control::{hex, unhex};
use crate::orders::Sender;
use crate::small_file::register::{Filed, Form};
use crate::telemetry::words::{AbuseRule, Word as _};

impl Filed for Register {
    const FILE: &'static str = "cases";
    const FILE_MAX: u64 = 32 << 20;
    const VERSIONS: &'static [u64] = &[1, 2, 3];
    const FORM: Form = Form::Beside;
    const NAME: &'static str = "cases";
    const FULL_NAME: &'static str = "cases of abuse";
    const AT_STAKE: &'static str = "nobody who is suspended is left without a review: put the file back, or remove it and take \
                                    the suspensions back by hand; who has a case is in the audit log";

    /// A register without cases of single senders is one of the first version, and one of whose cases all suspended somebody is of
    /// the second at most: a program that knows no others may read it, and only then.
    fn version(&self) -> u64 {
        let has = |is_so: fn(&Case) -> bool| self.cases.values().any(is_so);
        if has(|case| case.not_suspended.is_some()) {
            3
        } else if has(|case| case.sender.is_some()) {
            2
        } else {
            1
        }
    }
}

/// Cases by their numbers.
pub(super) mod rows {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::*;

    pub(crate) fn serialize<S: Serializer>(cases: &BTreeMap<u32, Case>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(cases.iter().map(|(id, case)| (id, shown(case))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u32, Case>, D::Error> {
        let rows = BTreeMap::<u32, Value>::deserialize(from)?.into_iter();
        let cases = rows.map(|(id, row)| Some((id, case_of(&row)?)));
        cases
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("no case"))
    }
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
    use super::*;
    use crate::small_file::register::tests::{is_written_to_the_octet, only_what_was_written_is_read};
    use crate::small_file::summed;

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
    fn only_what_was_written_is_read_and_senders_take_another_version() {
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
        let mut of_account = not_suspended.clone();
        of_account.cases.get_mut(&2).unwrap().sender = None;
        for (register, version) in [
            (&Register::default(), 1),
            (&some(), 1),
            (&of_sender, 2),
            (&not_suspended, 3),
            (&of_account, 3),
        ] {
            assert_eq!(register.version(), version, "{register:?}");
        }
        only_what_was_written_is_read(&[some(), of_sender, not_suspended, of_account]);
        for line in [
            r#"{"cases":{"7":{"account":"shop","answer":null,"content":null,"count":5,"country":null,"decision":null,"limit":5,"notice":4,"opened_ms":7,"restored_ms":null,"review_ms":9,"rule":"number","score":0,"subject":"a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7","suspended_ms":8}},"last":7,"version":1}"#,
            r#"{"cases":{"10":{"account":"shop","answer":5,"content":null,"count":5,"country":null,"decision":{"at_ms":10,"outcome":"reversed","reason":"a campaign","reviewer":"anna","who":"token a"},"limit":5,"notice":4,"opened_ms":7,"restored_ms":11,"review_ms":9,"rule":"run","score":3,"subject":null,"suspended_ms":8},"2":{"account":"shop","answer":null,"content":"feed-7","count":5,"country":"KE","decision":null,"limit":5,"notice":null,"opened_ms":7,"restored_ms":null,"review_ms":9,"rule":"run","score":3,"sender":"00112233445566778899aabbccddeeff","subject":"a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7","suspended_ms":8}},"last":10,"version":2}"#,
            r#"{"cases":{"2":{"account":"shop","answer":null,"content":null,"count":5,"country":"KE","decision":null,"limit":5,"not_suspended":{"at_ms":8,"why":"secret gone"},"notice":4,"opened_ms":7,"restored_ms":null,"review_ms":9,"rule":"country","score":0,"sender":"00112233445566778899aabbccddeeff","subject":null,"suspended_ms":null}},"last":2,"version":3}"#,
        ] {
            is_written_to_the_octet::<Register>(&summed(line));
        }
    }
}
