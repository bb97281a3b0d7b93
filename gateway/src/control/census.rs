//! What is under way, counted: by state, account, carrier and age. No body, no number, no id.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::outbox::Entry;
use tidegate_store::record::EntryKind;

use crate::clock::Now;
use crate::gate::Gate;
use crate::life::Standing;

/// Ages are told apart at these many milliseconds.
const AGES: [(u64, &str); 6] = [
    (60_000, "under 1 min"),
    (600_000, "under 10 min"),
    (3_600_000, "under 1 h"),
    (6 * 3_600_000, "under 6 h"),
    (24 * 3_600_000, "under 1 d"),
    (72 * 3_600_000, "under 3 d"),
];
const OLDEST: &str = "3 d and more";
/// The age of entries that lie in files: older than `receipt_hot`, and not looked at one by one.
const IN_FILES: &str = "in files";

/// Counts, a slice at a time.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// By state, account, carrier that has it, age.
    legs: BTreeMap<(&'static str, String, String, usize), u64>,
    /// By account, kind, age.
    entries: BTreeMap<(String, &'static str, usize), u64>,
}

impl Census {
    /// Counts what `count` places of both tables hold from `first` on; `false` when there are none any more.
    pub(super) fn take<D: Disk>(&mut self, gate: &Gate<D>, now: Now, first: usize, count: usize) -> bool {
        let spool = gate.spool();
        let (index, outbox) = (spool.index(), spool.outbox());
        for (_, leg) in index.slice(first, count) {
            self.leg(gate, leg, now.unix_ms);
        }
        for (_, entry) in outbox.slice(first, count) {
            self.entry(gate, entry, now.unix_ms);
        }
        first + count < index.places().max(outbox.places())
    }

    fn leg<D: Disk>(&mut self, gate: &Gate<D>, leg: &Leg, now_ms: u64) {
        let names = gate.spool().names();
        let standing = match Standing::of(leg, now_ms) {
            Standing::Scheduled => "scheduled",
            Standing::Held => "held",
            Standing::Waiting => "waiting",
            Standing::BackingOff => "backing off",
            Standing::Leased => "leased",
            Standing::InParts => "in parts",
            Standing::HandedOver => "handed over",
        };
        let carrier = leg.carrier.map_or("", |carrier| names.name(carrier));
        let account = names.name(leg.account);
        let age = age(now_ms.saturating_sub(leg.envelope.accepted_ms));
        let key = (standing, account.to_owned(), carrier.to_owned(), age);
        *self.legs.entry(key).or_default() += 1;
    }

    fn entry<D: Disk>(&mut self, gate: &Gate<D>, entry: &Entry, now_ms: u64) {
        let kind = match entry.kind {
            EntryKind::Dlr => "dlr",
            EntryKind::Mo => "mo",
        };
        let account = gate.spool().names().name(entry.account);
        let age = age(now_ms.saturating_sub(entry.id.ms()));
        *self.entries.entry((account.to_owned(), kind, age)).or_default() += 1;
    }

    /// All of it, with what the gateway knows as a whole.
    pub(super) fn shown<D: Disk>(self, gate: &Gate<D>) -> Map<String, Value> {
        let legs: Vec<Value> = self
            .legs
            .into_iter()
            .map(|((state, account, carrier, age), count)| {
                json!({
                    "state": state,
                    "account": account,
                    "carrier": carrier,
                    "age": name_of(age),
                    "count": count,
                })
            })
            .collect();
        let entries: Vec<Value> = self
            .entries
            .into_iter()
            .map(|((account, kind, age), count)| {
                json!({ "account": account, "kind": kind, "age": name_of(age), "count": count })
            })
            .collect();
        let filed = gate.accounts().iter().filter_map(|state| {
            let count = gate.spool().outbox().in_files(state.name);
            let account = gate.spool().names().name(state.name);
            (count > 0).then(|| json!({ "account": account, "kind": "any", "age": IN_FILES, "count": count }))
        });
        let entries: Vec<Value> = entries.into_iter().chain(filed).collect();
        let queues: Map<String, Value> = gate
            .config()
            .carriers
            .iter()
            .zip(gate.carriers())
            .filter(|(_, state)| !state.removed || !state.waiting.is_empty())
            .map(|(config, state)| (config.name.to_string(), json!(state.waiting.len())))
            .collect();
        let spool = gate.spool();
        let mut out = Map::new();
        for (key, value) in [
            ("legs", json!(legs)),
            ("outbox", json!(entries)),
            ("queues", Value::Object(queues)),
            ("segments", json!(spool.segments())),
            ("octets", json!(spool.octets())),
            ("occupied", json!(spool.occupied())),
            ("intake_limit", json!(spool.intake_limit())),
            ("intake", json!(spool.intake().is_ok())),
        ] {
            out.insert(key.to_owned(), value);
        }
        out
    }
}

fn age(ms: u64) -> usize {
    AGES.iter()
        .position(|(limit, _)| ms < *limit)
        .unwrap_or(AGES.len())
}

fn name_of(age: usize) -> &'static str {
    AGES.get(age).map_or(OLDEST, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_begin_where_the_one_before_ends() {
        assert_eq!(name_of(age(0)), "under 1 min");
        assert_eq!(name_of(age(60_000)), "under 10 min");
        assert_eq!(name_of(age(72 * 3_600_000 - 1)), "under 3 d");
        assert_eq!(name_of(age(u64::MAX)), OLDEST);
    }
}
