//! `tidegate spool`: what is under way, and whether the files that hold it are sound.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::{Keks, KeyRing};
use tidegate_store::seal::KeyId;
use tidegate_store::spool::{Fault, FooterState, SegmentReport, verify};
use tidegate_store::waiting::{RunFault, RunReport, verify_runs};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::{control, installation, kek};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Read every file of spool, waiting messages and outbox and name what is damaged; changes nothing, and may be run beside a gateway.
    Verify(ConfigFile),
    /// Ask the running gateway what is under way: by state, account, carrier and age; no bodies, no numbers.
    Inspect(ConfigFile),
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Verify(file) => verify_files(file),
        Verb::Inspect(file) => inspect(file),
    }
}

fn verify_files(file: &ConfigFile) -> Result<Outcome, Refusal> {
    let storage = read_config(&file.config)?.storage;
    let keks = Keks::from(kek::read(&RealDisk, &storage.kek)?);
    let look = || KeyRing::look(&RealDisk, &storage.key_ring, &keks);
    let (keys, missed) = (RefCell::new(look()?), RefCell::new(BTreeSet::new()));
    // A gateway makes new keys meanwhile: each that is not known is looked for once more.
    let key = |id: KeyId| {
        if !keys.borrow().contains_key(&id) && missed.borrow_mut().insert(id) {
            keys.replace(look().ok()?);
        }
        keys.borrow().get(&id).cloned()
    };
    let key = &key;
    let dir = installation::spool_dir(&storage);
    let (mut text, mut segments) = (String::new(), Vec::new());
    let (mut count, mut octets, mut batches, mut records, mut faults, mut torn) = (0u64, 0, 0, 0, 0, 0);
    verify(&RealDisk, &dir, key, |report| {
        count += 1;
        octets += report.octets;
        batches += report.batches;
        records += report.records;
        faults += report.fault_count;
        torn += report.torn_octets;
        put_segment(&mut text, &report);
        segments.push(shown(&report));
    })
    .map_err(|error| Refusal::new(format!("{}: {error}", dir.display()), json!({})))?;
    let mut runs = Vec::new();
    let mut run_octets = 0;
    for dir in [
        installation::waiting_dir(&storage),
        installation::outbox_dir(&storage),
    ] {
        let kind = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        verify_runs(&RealDisk, &dir, key, |report| {
            run_octets += report.octets;
            records += report.records;
            faults += report.fault_count;
            put_run(&mut text, &kind, &report);
            runs.push(shown_run(&kind, &report));
        })
        .map_err(|error| Refusal::new(format!("{}: {error}", dir.display()), json!({})))?;
    }
    // A String takes everything.
    let _ = write!(
        text,
        "{count} segments of {octets} octets, {batches} batches, {} waiting and outbox files of {run_octets} octets, {records} records, faults: {faults}",
        runs.len()
    );
    if torn > 0 {
        let _ = write!(
            text,
            "; {torn} octets of a write that was cut off, or is going on"
        );
    }
    let mut outcome = Outcome::new(
        text,
        json!({
            "segments": segments,
            "files": runs,
            "octets": octets,
            "batches": batches,
            "records": records,
            "torn_octets": torn,
            "faults": faults,
        }),
    );
    if faults > 0 {
        outcome.failed = true;
        outcome
            .fields
            .insert("problem".to_owned(), json!(format!("faults: {faults}")));
    }
    Ok(outcome)
}

fn inspect(file: &ConfigFile) -> Result<Outcome, Refusal> {
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &control::Verb::Inspect)?;
    let mut text = String::new();
    let rows = |key: &str| {
        fields
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    // A String takes everything.
    for row in rows("legs") {
        let [state, account, carrier, age] =
            ["state", "account", "carrier", "age"].map(|key| word(&row, key));
        let carrier = if carrier.is_empty() { "-" } else { &carrier };
        let count = &row["count"];
        let _ = writeln!(
            text,
            "{state:<12} {account:<16} {carrier:<16} {age:<14} {count:>10}"
        );
    }
    for row in rows("outbox") {
        let [kind, account, age] = ["kind", "account", "age"].map(|key| word(&row, key));
        let count = &row["count"];
        let _ = writeln!(
            text,
            "outbox {kind:<5} {account:<16} {:<16} {age:<14} {count:>10}",
            "-"
        );
    }
    if let Some(queues) = fields.get("queues").and_then(Value::as_object) {
        for (carrier, count) in queues {
            let _ = writeln!(
                text,
                "in line for  {:<16} {carrier:<16} {:<14} {count:>10}",
                "-", "-"
            );
        }
    }
    let _ = write!(
        text,
        "{} segments, {} octets, all files {} octets of {} for intake, {}",
        fields["segments"],
        fields["octets"],
        fields["occupied"],
        fields["intake_limit"],
        if fields["intake"] == Value::Bool(true) {
            "takes messages"
        } else {
            "takes no messages"
        }
    );
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn put_segment(out: &mut String, report: &SegmentReport) {
    let footer = match report.footer {
        FooterState::Sound => "footer",
        FooterState::None => "no footer",
        FooterState::Damaged => "footer damaged",
    };
    let SegmentReport {
        number,
        octets,
        batches,
        records,
        ..
    } = report;
    let _ = writeln!(
        out,
        "segment {number:>8}  {octets:>12} octets  {batches:>8} batches  {records:>9} records  {footer}"
    );
    for fault in &report.faults {
        let _ = writeln!(out, "    {}", told(fault));
    }
    let named = report.faults.len() as u64;
    if report.fault_count > named {
        let _ = writeln!(out, "    and {} more", report.fault_count - named);
    }
}

fn put_run(out: &mut String, kind: &str, report: &RunReport) {
    let RunReport {
        name,
        octets,
        records,
        done,
        ..
    } = report;
    let _ = writeln!(
        out,
        "{kind:<7} {name}  {octets:>12} octets  {records:>9} records  {done:>9} done"
    );
    for fault in &report.faults {
        let _ = writeln!(out, "    {}", told_of_run(fault));
    }
    let named = report.faults.len() as u64;
    if report.fault_count > named {
        let _ = writeln!(out, "    and {} more", report.fault_count - named);
    }
}

fn told_of_run(fault: &RunFault) -> String {
    match fault {
        RunFault::Unreadable(kind) => format!("cannot be read: {kind}"),
        RunFault::Header => "its header is damaged in both places; a start sets it aside".to_owned(),
        RunFault::Aside => "a start could not read it and set it aside".to_owned(),
        RunFault::Key => "its key is not in the ring; a start sets it aside".to_owned(),
        RunFault::Marks(pages) => format!("pages of done marks that are lost: {pages}; receipts may double"),
        RunFault::Filter => "its filter is damaged; a start makes it anew".to_owned(),
        RunFault::Line { rank } => format!("the place of record {rank} is damaged"),
        RunFault::Record { rank, error } => format!("record {rank}: {error}"),
    }
}

fn shown_run(kind: &str, report: &RunReport) -> Value {
    json!({
        "kind": kind,
        "name": report.name,
        "octets": report.octets,
        "records": report.records,
        "done": report.done,
        "fault_count": report.fault_count,
        "faults": report.faults.iter().map(told_of_run).collect::<Vec<_>>(),
    })
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Unreadable(kind) => format!("cannot be read: {kind}"),
        Fault::Header => "the segment's header is damaged".to_owned(),
        Fault::Stretch { from, to } => format!("octets {from} to {to} are damaged"),
        Fault::Gap { missing, before } => format!("batches missing before number {before}: {missing}"),
        Fault::Record { at, error } => format!("record at octet {at}: {error}"),
        Fault::Footer => "the footer does not open; a start reads the batches instead".to_owned(),
    }
}

fn shown(report: &SegmentReport) -> Value {
    json!({
        "number": report.number,
        "octets": report.octets,
        "batches": report.batches,
        "records": report.records,
        "footer": match report.footer {
            FooterState::Sound => "sound",
            FooterState::None => "none",
            FooterState::Damaged => "damaged",
        },
        "torn_octets": report.torn_octets,
        "fault_count": report.fault_count,
        "faults": report.faults.iter().map(told).collect::<Vec<_>>(),
    })
}
