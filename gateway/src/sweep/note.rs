//! What the sweep keeps on disk for itself: how late it was, and what it was about to do.

use serde_json::{Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::history::{AddUp, Kept, Lot, PeriodKey};
use tidegate_store::keyring::{Destroyed, Fingerprint};
use tidegate_store::seal::KeyId;

use super::rotate::Rotating;
use crate::small_file;

/// Of one with a sum behind it. Those of before have none.
const VERSION: u64 = 2;
const VERSION_UNSUMMED: u64 = 1;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The latest time that was believed, in unix milliseconds.
    pub(super) seen_ms: u64,
    /// What may be half done.
    pub(super) pending: Option<Pending>,
    /// The rotation of data keys that is under way.
    pub(super) rotating: Option<Rotating>,
}

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Keys of lots of a file are destroyed.
    Erase(PeriodKey, Vec<Going>),
    /// A lot of a file is sealed anew under another key.
    Rekey(PeriodKey, Going),
    /// Keys of numbers of people are destroyed, of this account only.
    Numbers(Option<SystemId>, Vec<Destroyed>),
    /// A file goes; noted at this time of the wall clock.
    Remove(PeriodKey, Sum, u64),
}

/// A lot that goes, as the audit log tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Going {
    pub(super) account: SystemId,
    pub(super) key: KeyId,
    pub(super) print: Fingerprint,
    /// Its period, in unix milliseconds.
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) records: u64,
    pub(super) octets: u64,
    pub(super) is_added_up: bool,
}

impl Going {
    pub(super) fn new(lot: &Lot, print: Fingerprint, add_up: AddUp) -> Self {
        Self {
            account: lot.account,
            key: lot.key,
            print,
            from_ms: u64::from(lot.period) * HOUR_MS,
            to_ms: lot.end_ms(),
            records: lot.records,
            octets: lot.octets,
            is_added_up: add_up == AddUp::Yes,
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) lots: u64,
    pub(super) records: u64,
    pub(super) octets: u64,
}

impl Note {
    pub(super) fn octets(&self) -> Vec<u8> {
        let pending = self.pending.as_ref().map(|pending| match pending {
            Pending::Erase(file, lots) => json!({
                "erase": file_shown(file),
                "lots": lots.iter().map(going_shown).collect::<Vec<_>>(),
            }),
            Pending::Rekey(file, lot) => json!({
                "rekey": file_shown(file),
                "lot": going_shown(lot),
            }),
            Pending::Numbers(account, keys) => json!({
                "numbers": keys.iter().map(key_shown).collect::<Vec<_>>(),
                "account": account.as_ref().map(SystemId::as_str),
            }),
            Pending::Remove(file, sum, noted_ms) => json!({
                "remove": file_shown(file),
                "noted_ms": noted_ms,
                "lots": sum.lots,
                "records": sum.records,
                "octets": sum.octets,
            }),
        });
        let rotating = self.rotating.as_ref().map(|rotating| {
            json!({
                "since_ms": rotating.since_ms,
                "account": rotating.account.as_ref().map(SystemId::as_str),
                "class": rotating.class.map(Kept::word),
            })
        });
        let note = json!({
            "version": VERSION,
            "seen_ms": self.seen_ms,
            "pending": pending,
            "rotating": rotating,
        });
        small_file::summed(&note.to_string()).into_bytes()
    }

    /// # Errors
    ///
    /// It is none of ours, in words for an operator.
    pub(super) fn read(octets: &[u8]) -> Result<Self, String> {
        // A digit that changed would have a clock of next year be believed, and all be removed by it.
        let text = str::from_utf8(octets).map_err(|error| error.to_string())?;
        let (line, version) = match small_file::unsummed(text) {
            Some(line) => (line, VERSION),
            None => (text, VERSION_UNSUMMED),
        };
        let note: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if note["version"] != version {
            return Err("it is of another version".to_owned());
        }
        let read = || {
            Some(Self {
                seen_ms: note["seen_ms"].as_u64()?,
                pending: match &note["pending"] {
                    Value::Null => None,
                    pending => Some(pending_of(pending)?),
                },
                // Notes of before have none.
                rotating: match &note["rotating"] {
                    Value::Null => None,
                    rotating => Some(rotating_of(rotating)?),
                },
            })
        };
        read().ok_or_else(|| "it does not say what it should".to_owned())
    }
}

fn file_shown(file: &PeriodKey) -> Value {
    json!({ "class": file.class.word(), "length": &*file.length, "day": file.day })
}

fn going_shown(going: &Going) -> Value {
    json!({
        "account": going.account.as_str(),
        "key": going.key.0,
        "print": going.print,
        "from_ms": going.from_ms,
        "to_ms": going.to_ms,
        "records": going.records,
        "octets": going.octets,
        "is_added_up": going.is_added_up,
    })
}

fn key_shown(key: &Destroyed) -> Value {
    json!({ "key": key.id.0, "print": key.fingerprint })
}

fn key_of(value: &Value) -> Option<Destroyed> {
    Some(Destroyed {
        id: KeyId(u32::try_from(value["key"].as_u64()?).ok()?),
        fingerprint: print_of(&value["print"])?,
    })
}

fn print_of(value: &Value) -> Option<Fingerprint> {
    let octets = value.as_array()?.iter();
    let octets: Vec<u8> = octets
        .map(|octet| u8::try_from(octet.as_u64()?).ok())
        .collect::<Option<_>>()?;
    octets.try_into().ok()
}

fn pending_of(value: &Value) -> Option<Pending> {
    if let Some(keys) = value.get("numbers") {
        let account = match &value["account"] {
            Value::Null => None,
            name => Some(name.as_str()?.parse().ok()?),
        };
        let keys = keys.as_array()?.iter().map(key_of);
        return Some(Pending::Numbers(account, keys.collect::<Option<_>>()?));
    }
    if let Some(file) = value.get("erase") {
        let lots = value["lots"].as_array()?.iter().map(going_of);
        return Some(Pending::Erase(file_of(file)?, lots.collect::<Option<_>>()?));
    }
    if let Some(file) = value.get("rekey") {
        return Some(Pending::Rekey(file_of(file)?, going_of(&value["lot"])?));
    }
    let sum = Sum {
        lots: value["lots"].as_u64()?,
        records: value["records"].as_u64()?,
        octets: value["octets"].as_u64()?,
    };
    let noted_ms = value["noted_ms"].as_u64()?;
    Some(Pending::Remove(file_of(value.get("remove")?)?, sum, noted_ms))
}

fn rotating_of(value: &Value) -> Option<Rotating> {
    Some(Rotating {
        since_ms: value["since_ms"].as_u64()?,
        account: match &value["account"] {
            Value::Null => None,
            name => Some(name.as_str()?.parse().ok()?),
        },
        class: match &value["class"] {
            Value::Null => None,
            word => Some(class_of(word)?),
        },
    })
}

fn class_of(word: &Value) -> Option<Kept> {
    let word = word.as_str()?;
    Kept::ALL.into_iter().find(|class| class.word() == word)
}

fn file_of(value: &Value) -> Option<PeriodKey> {
    Some(PeriodKey {
        class: class_of(&value["class"])?,
        length: value["length"].as_str()?.into(),
        day: u32::try_from(value["day"].as_u64()?).ok()?,
    })
}

fn going_of(value: &Value) -> Option<Going> {
    Some(Going {
        account: value["account"].as_str()?.parse().ok()?,
        key: KeyId(u32::try_from(value["key"].as_u64()?).ok()?),
        print: print_of(&value["print"])?,
        from_ms: value["from_ms"].as_u64()?,
        to_ms: value["to_ms"].as_u64()?,
        records: value["records"].as_u64()?,
        octets: value["octets"].as_u64()?,
        is_added_up: value["is_added_up"].as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_what_is_read_and_all_else_is_an_error() {
        let file = PeriodKey {
            class: Kept::Meta,
            length: "P30D".into(),
            day: 20_758,
        };
        let going = Going {
            account: "shop".parse().unwrap(),
            key: KeyId(7),
            print: [0, 1, 2, 3, 4, 5, 6, 255],
            from_ms: 1,
            to_ms: 2,
            records: 3,
            octets: 4,
            is_added_up: true,
        };
        let gone = Destroyed {
            id: KeyId(9),
            fingerprint: [9; 8],
        };
        let sum = Sum {
            lots: 1,
            records: 2,
            octets: 3,
        };
        for pending in [
            None,
            Some(Pending::Rekey(file.clone(), going.clone())),
            Some(Pending::Erase(file.clone(), vec![going.clone(), going])),
            Some(Pending::Remove(file, sum, 9)),
            Some(Pending::Numbers(None, Vec::new())),
            Some(Pending::Numbers(Some("shop".parse().unwrap()), vec![gone])),
        ] {
            let note = Note {
                seen_ms: u64::MAX,
                rotating: pending.is_some().then(|| Rotating {
                    since_ms: 5,
                    account: Some("shop".parse().unwrap()),
                    class: Some(Kept::Meta),
                }),
                pending,
            };
            let octets = note.octets();
            assert_eq!(Note::read(&octets), Ok(note.clone()));
            for place in 0..octets.len() {
                assert!(Note::read(&octets[..place]).is_err(), "{place}");
                let mut changed = octets.clone();
                changed[place] ^= 1;
                assert!(Note::read(&changed).is_err(), "{place}");
            }
            // As it was written before, and what it does not say then.
            let text = String::from_utf8(octets).unwrap();
            let line = small_file::unsummed(&text).unwrap();
            let old = line.replace("\"version\":2", "\"version\":1");
            assert_eq!(Note::read(old.as_bytes()), Ok(note.clone()));
            assert!(Note::read(line.as_bytes()).is_err());
            if note.pending.is_some() {
                for (from, to) in [
                    ("meta", "mete"),
                    ("\"records\":", "\"record\":"),
                    ("\"version\":1", "\"version\":3"),
                ] {
                    let is_said = old.contains(from);
                    let changed = old.replace(from, to);
                    assert_eq!(Note::read(changed.as_bytes()).is_err(), is_said, "{from}");
                }
            }
        }
    }
}
