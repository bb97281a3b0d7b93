//! What the audit log holds of sweeps: no number, no text, no id of a message.

use std::collections::BTreeSet;

use tidegate_store::audit::{Actor, Entry, Field, Kind, Logged, Value, read};
use tidegate_store::disk::Disk;
use tidegate_store::history::PeriodKey;
use tidegate_store::keyring::Destroyed;

use super::Place;
use super::note::{Going, Sum};
use crate::audit::word;
use crate::control::key_word;

const BEGUN: &str = "begun";
pub(super) const ERASED: &str = "erased";
const SEALING_ANEW: &str = "sealing anew";
const SEALED_ANEW: &str = "sealed anew";
const REMOVED: &str = "removed";

fn entry(outcome: &str) -> Entry {
    Entry::new(Kind::Sweep, Actor::System).with(Field::Outcome, word(outcome))
}

/// A key as the log names it: with what told its slot from all others.
fn key(going: &Going) -> String {
    let print: String = going.print.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} {print}", going.key)
}

fn of_swept(outcome: &str, file: &PeriodKey, going: &Going) -> Entry {
    let why = if going.is_added_up { "deidentify" } else { "purge" };
    of_lot(outcome, why, file, going)
}

fn of_lot(outcome: &str, why: &str, file: &PeriodKey, going: &Going) -> Entry {
    entry(outcome)
        .of(Some(going.account))
        .with(Field::Scope, word(file.class.word()))
        .with(Field::Policy, word(&file.length))
        .with(Field::Reason, word(why))
        .with(Field::First, Value::Time(going.from_ms))
        .with(Field::Last, Value::Time(going.to_ms))
        .with(Field::RingKey, word(&key(going)))
        .with(Field::Count, Value::Count(going.records))
        .with(Field::Octets, Value::Count(going.octets))
}

/// A run has something to do.
pub(super) fn started() -> Entry {
    entry("sweep begins")
}

/// It has come to its end.
pub(super) fn ended(outcome: &str, sum: Sum) -> Entry {
    entry(outcome)
        .with(Field::Size, Value::Count(sum.lots))
        .with(Field::Count, Value::Count(sum.records))
        .with(Field::Octets, Value::Count(sum.octets))
}

/// A lot is about to go.
pub(super) fn begun(file: &PeriodKey, going: &Going) -> Entry {
    of_swept(BEGUN, file, going)
}

/// Its key is destroyed: the certificate of its erasure (ERA-6).
pub(super) fn erased(file: &PeriodKey, going: &Going) -> Entry {
    of_swept(ERASED, file, going)
}

/// A lot is about to be sealed anew without what goes of it.
pub(super) fn sealing_anew(file: &PeriodKey, going: &Going) -> Entry {
    of_lot(SEALING_ANEW, "another key", file, going)
}

/// That is done, and the key that it had is destroyed.
pub(super) fn sealed_anew(file: &PeriodKey, going: &Going) -> Entry {
    of_lot(SEALED_ANEW, "another key", file, going)
}

/// A file is gone.
pub(super) fn removed(file: &PeriodKey, sum: Sum) -> Entry {
    ended(REMOVED, sum).with(Field::File, word(&file.to_string()))
}

/// Keys under which nothing lies are to go, or are gone.
pub(super) fn unused(outcome: &str, keys: usize) -> Entry {
    Entry::new(Kind::KeyEvent, Actor::System)
        .with(
            Field::Reason,
            word("keys of ended periods under which nothing lies"),
        )
        .with(Field::Outcome, word(outcome))
        .with(Field::Count, Value::Count(keys as u64))
}

/// What a run has entered already of something that may be half done.
#[derive(Debug, Default)]
pub(super) struct Entered {
    erased: BTreeSet<String>,
    removed: u64,
}

impl Entered {
    /// Reads the whole log. Blocks; it is read only behind a run that was cut off.
    ///
    /// # Errors
    ///
    /// The log's directory cannot be read.
    pub(super) fn read<D: Disk>(place: &Place<D>, file: Option<&PeriodKey>) -> std::io::Result<Self> {
        let mut entered = Self::default();
        let name = file.map(PeriodKey::to_string);
        let text = |logged: &Logged, field: Field| {
            logged.entry.details.iter().find_map(|(of, value)| match value {
                Value::Word(word) if *of == field => Some(word.as_str().to_owned()),
                _ => None,
            })
        };
        // What is damaged in it is said where it is opened.
        read(&place.disk, &place.audit, |logged| {
            // Numbers of people go by orders.
            if !matches!(logged.entry.kind, Kind::Sweep | Kind::Erasure) {
                return;
            }
            match text(logged, Field::Outcome).as_deref() {
                Some(ERASED | SEALED_ANEW) => entered.erased.extend(text(logged, Field::RingKey)),
                Some(REMOVED) if name.is_some() && text(logged, Field::File) == name => {
                    entered.removed = logged.time_ms;
                }
                _ => {}
            }
        })?;
        Ok(entered)
    }

    pub(super) fn has(&self, going: &Going) -> bool {
        self.erased.contains(&key(going))
    }

    /// The same of a key of numbers.
    pub(super) fn has_key(&self, key: &Destroyed) -> bool {
        matches!(key_word(key), Value::Word(word) if self.erased.contains(word.as_str()))
    }

    /// Whether the file's removal stands there, entered at this time or later.
    pub(super) fn has_removal_since(&self, since_ms: u64) -> bool {
        self.removed != 0 && self.removed >= since_ms
    }
}
