//! Where the register lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::history::Kept;
use tidegate_store::message_id::MessageId;

use super::{HoldRow, OrderRow, Register, RestrictionRow};
use crate::control::{hex, unhex};
use crate::small_file;

pub(super) const FILE: &str = "legal-register";
/// Octets of the file at most.
const FILE_MAX: u64 = 128 << 20;
/// Of a register without restrictions.
const VERSION: u64 = 1;
/// Of one with some: a version of the gateway that knows none is not to start with it.
const WITH_RESTRICTIONS: u64 = 2;

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of legal holds and erasures cannot be read from {path}: {why}. Nothing is started, so that no hold is \
     forgotten and nothing that is held is destroyed: put the file back as it was, with its key ring"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

impl Unreadable {
    pub(super) fn new(path: &Path, why: String) -> Self {
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

pub(super) fn written(register: &Register) -> String {
    let holds: Map<String, Value> = register
        .holds
        .iter()
        .map(|(id, row)| (id.to_string(), hold_shown(row)))
        .collect();
    let orders: Map<String, Value> = register
        .orders
        .iter()
        .map(|(id, row)| (id.to_string(), order_shown(row)))
        .collect();
    let mut all = json!({ "version": VERSION, "last": register.last, "holds": holds, "orders": orders });
    if !register.restrictions.is_empty() {
        let restrictions: Map<String, Value> = register
            .restrictions
            .iter()
            .map(|(id, row)| (id.to_string(), restriction_shown(row)))
            .collect();
        all["version"] = json!(WITH_RESTRICTIONS);
        all["restrictions"] = Value::Object(restrictions);
    }
    let line = all.to_string();
    small_file::summed(&line)
}

fn hold_shown(row: &HoldRow) -> Value {
    json!({
        "matter": row.matter,
        "account": row.account.as_ref().map(SystemId::as_str),
        "message": row.message.map(|id| id.0),
        "class": row.class.map(Kept::word),
        "from_ms": row.from_ms,
        "until_ms": row.until_ms,
        "future": row.future,
        "sealed": hex(&row.sealed),
        "who": row.who,
        "why": row.why,
        "review_ms": row.review_ms,
        "taken_ms": row.taken_ms,
        "released_ms": row.released_ms,
    })
}

fn order_shown(row: &OrderRow) -> Value {
    json!({
        "account": row.account.as_ref().map(SystemId::as_str),
        "sealed": hex(&row.sealed),
        "who": row.who,
        "why": row.why,
        "asked_ms": row.asked_ms,
        "lots": row.lots,
        "records": row.records,
        "executed_ms": row.executed_ms,
    })
}

fn restriction_shown(row: &RestrictionRow) -> Value {
    json!({
        "account": row.account.as_ref().map(SystemId::as_str),
        "sealed": hex(&row.sealed),
        "who": row.who,
        "why": row.why,
        "since_ms": row.since_ms,
        "lifted_ms": row.lifted_ms,
        "notice": row.notice,
    })
}

fn rows<R>(
    object: &Map<String, Value>,
    key: &str,
    read: impl Fn(&Value) -> Option<R>,
) -> Option<BTreeMap<u32, R>> {
    let rows = object.get(key)?.as_object()?.iter();
    rows.map(|(id, row)| Some((id.parse().ok()?, read(row)?)))
        .collect()
}

fn read(text: &str) -> Option<Register> {
    let line = small_file::unsummed(text)?;
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let restrictions = match object.get("version")?.as_u64()? {
        VERSION => BTreeMap::new(),
        WITH_RESTRICTIONS => rows(&object, "restrictions", restriction_of)?,
        _ => return None,
    };
    Some(Register {
        last: u32::try_from(object.get("last")?.as_u64()?).ok()?,
        holds: rows(&object, "holds", hold_of)?,
        orders: rows(&object, "orders", order_of)?,
        restrictions,
    })
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

fn hold_of(row: &Value) -> Option<HoldRow> {
    Some(HoldRow {
        matter: text(&row["matter"])?,
        account: maybe(&row["account"], |name| name.as_str()?.parse().ok())?,
        message: maybe(&row["message"], |id| id.as_u64().map(MessageId))?,
        class: maybe(&row["class"], |class| {
            let word = class.as_str()?;
            Kept::ALL.into_iter().find(|kept| kept.word() == word)
        })?,
        from_ms: maybe(&row["from_ms"], Value::as_u64)?,
        until_ms: maybe(&row["until_ms"], Value::as_u64)?,
        future: row["future"].as_bool()?,
        sealed: unhex(row["sealed"].as_str()?)?,
        who: text(&row["who"])?,
        why: text(&row["why"])?,
        review_ms: row["review_ms"].as_u64()?,
        taken_ms: row["taken_ms"].as_u64()?,
        released_ms: maybe(&row["released_ms"], Value::as_u64)?,
    })
}

fn order_of(row: &Value) -> Option<OrderRow> {
    Some(OrderRow {
        account: maybe(&row["account"], |name| name.as_str()?.parse().ok())?,
        sealed: unhex(row["sealed"].as_str()?)?,
        who: text(&row["who"])?,
        why: text(&row["why"])?,
        asked_ms: row["asked_ms"].as_u64()?,
        lots: row["lots"].as_u64()?,
        records: row["records"].as_u64()?,
        executed_ms: maybe(&row["executed_ms"], Value::as_u64)?,
    })
}

fn restriction_of(row: &Value) -> Option<RestrictionRow> {
    Some(RestrictionRow {
        account: maybe(&row["account"], |name| name.as_str()?.parse().ok())?,
        sealed: unhex(row["sealed"].as_str()?)?,
        who: text(&row["who"])?,
        why: text(&row["why"])?,
        since_ms: row["since_ms"].as_u64()?,
        lifted_ms: maybe(&row["lifted_ms"], Value::as_u64)?,
        notice: maybe(&row["notice"], text)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    pub(crate) fn some() -> Register {
        let hold = HoldRow {
            matter: "2026/17".to_owned(),
            account: Some("shop".parse().unwrap()),
            message: Some(MessageId(u64::MAX >> 1)),
            class: Some(Kept::Body),
            from_ms: Some(1),
            until_ms: None,
            future: true,
            sealed: vec![0, 255, 7],
            who: "socket 0".to_owned(),
            why: "a claim".to_owned(),
            review_ms: 9,
            taken_ms: 8,
            released_ms: None,
        };
        let order = OrderRow {
            account: None,
            sealed: Vec::new(),
            who: "token a".to_owned(),
            why: "asked".to_owned(),
            asked_ms: 5,
            lots: 2,
            records: 3,
            executed_ms: Some(6),
        };
        Register {
            last: 2,
            holds: BTreeMap::from([(1, hold)]),
            orders: BTreeMap::from([(2, order)]),
            restrictions: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_written_is_read_and_whatever_is_cut_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(open(&path).unwrap(), Register::default());
        let restriction = RestrictionRow {
            account: Some("shop".parse().unwrap()),
            sealed: vec![1, 2],
            who: "token a".to_owned(),
            why: "contested".to_owned(),
            since_ms: 5,
            lifted_ms: None,
            notice: None,
        };
        let lifted = RestrictionRow {
            sealed: Vec::new(),
            lifted_ms: Some(6),
            notice: Some("letter".to_owned()),
            ..restriction.clone()
        };
        let restrictions = BTreeMap::from([(1, restriction), (2, lifted)]);
        let with_some = Register {
            restrictions,
            ..some()
        };
        for register in [Register::default(), with_some, some()] {
            small_file::replace(&path, &written(&register)).unwrap();
            assert_eq!(open(&path).unwrap(), register);
        }
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            fs::write(&path, &whole[..place]).unwrap();
            let refused = open(&path).unwrap_err().to_string();
            assert!(refused.contains(FILE) && refused.contains("no hold"), "{refused}");
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(open(&path).is_err(), "octet {place}");
        }
    }
}
