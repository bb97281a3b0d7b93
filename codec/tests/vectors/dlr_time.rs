//! dlr-time.json: 22 receipt texts, 20 times, 5 pairs of ids, or more of each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value;
use tidegate_codec::error::Field;
use tidegate_codec::receipt::{IdBase, Receipt, canonical};
use tidegate_codec::time::SmppTime;

use crate::json::name;
use crate::of_file;

/// 2026-11-24T12:00:00Z.
const NOW: u64 = 1_795_521_600_000;

/// The kinds of vectors and how many of each are public; together they are the whole file.
const KINDS: [(&str, usize); 3] = [("dlr", 22), ("time", 20), ("dlr_id", 5)];

/// The vectors of one kind.
fn of_kind(kind: &str) -> Vec<Value> {
    let text = include_str!("../../testdata/dlr-time.json");
    let mut all = of_file(
        "dlr-time.json",
        text,
        KINDS.map(|(_, public)| public).iter().sum(),
    );
    for vector in &all {
        let known = KINDS.iter().any(|(kind, _)| vector["kind"] == *kind);
        assert!(known, "{}: a kind that nobody runs", name(vector));
    }
    all.retain(|vector| vector["kind"] == kind);
    for (known, public) in KINDS {
        assert!(known != kind || all.len() >= public, "{kind}: {}", all.len());
    }
    println!("dlr-time.json, {kind}: {} vectors", all.len());
    all
}

/// Words outside Appendix B whose meaning is a reading of ours: vectors may leave it open.
const VENDORS_WORDS: [&[u8]; 6] = [b"FAILED", b"BUFFRED", b"NOCRED", b"SYSERR", b"DND_REJECTED", b"0"];

/// What a vector expects, in the century nearest to now: one that turns at the year 38, as 3.4 suggests, means
/// the same field, but a schedule or a validity is read by the nearest century.
fn nearest_century(text: &str) -> u64 {
    let at = Offset::UTC.to_datetime(text.parse().unwrap());
    let now = i64::try_from(NOW).unwrap();
    let centuries = [-100, 0, 100].map(|years| {
        let at = at.saturating_add(Span::new().years(years));
        Offset::UTC.to_timestamp(at).unwrap().as_millisecond()
    });
    let nearest = centuries.into_iter().min_by_key(|at| at.abs_diff(now));
    nearest.unwrap().try_into().unwrap()
}

fn field<'a>(receipt: &Receipt<'a>, name: &str) -> &'a [u8] {
    match name {
        "id" => receipt.id,
        "sub" => receipt.sub,
        "dlvrd" => receipt.dlvrd,
        "submit_date" => receipt.submit_date,
        "done_date" => receipt.done_date,
        "stat" => receipt.stat,
        "err" => receipt.err,
        "text" => receipt.text,
        other => panic!("{other}"),
    }
}

#[test]
fn every_receipt_vector_reads_as_it_says() {
    let (mut receipts, mut messages, mut formats) = (0, 0, BTreeSet::new());
    for vector in &of_kind("dlr") {
        let name = name(vector);
        let expect = &vector["expect"];
        let got = Receipt::parse_text(vector["text"].as_str().unwrap().as_bytes());
        assert_eq!(got.is_some(), expect["is_receipt"].as_bool().unwrap(), "{name}");
        let Some(receipt) = got else {
            messages += 1;
            continue;
        };
        receipts += 1;
        for key in [
            "id",
            "sub",
            "dlvrd",
            "submit_date",
            "done_date",
            "stat",
            "err",
            "text",
        ] {
            let expect = expect["fields"][key].as_str().unwrap_or_default();
            assert_eq!(field(&receipt, key), expect.as_bytes(), "{name} {key}");
        }
        // Where a vector names no state, ours may know the word of a single vendor.
        let vendors = VENDORS_WORDS
            .iter()
            .any(|word| receipt.stat.eq_ignore_ascii_case(word));
        let state = receipt.state().map(|state| u64::from(state.octet()));
        let left_open = vendors && matches!(expect["state"].as_u64(), None | Some(7));
        assert!(
            left_open || state == expect["state"].as_u64(),
            "{name}: {state:?}"
        );

        // All zeros, or no dates at all, are no format.
        let format = match expect["date_format"].as_str().unwrap_or("zero") {
            "YYMMDDhhmm" => "%y%m%d%H%M",
            "YYMMDDhhmmss" => "%y%m%d%H%M%S",
            "YYYYMMDDhhmm" => "%Y%m%d%H%M",
            "YYYYMMDDhhmmss" => "%Y%m%d%H%M%S",
            "zero" => "",
            other => panic!("{name}: {other}"),
        };
        formats.insert(format);
        let submitted = std::str::from_utf8(receipt.submit_date).unwrap();
        // A carrier's unset clock (1970) is no date.
        let expect = DateTime::strptime(format, submitted)
            .ok()
            .filter(|at| at.year() > 1970)
            .map(|at| u64::try_from(Offset::UTC.to_timestamp(at).unwrap().as_millisecond()).unwrap());
        assert_eq!(receipt.submit_unix_ms(NOW, 0), expect, "{name}");
        let is_date = !submitted.trim_matches('0').is_empty() && !submitted.starts_with("70");
        assert_eq!(expect.is_some(), is_date && !format.is_empty(), "{name}");
    }
    assert!(receipts > messages && messages > 0, "{receipts} and {messages}");
    assert!(formats.len() >= 4, "{formats:?}");
}

#[test]
fn every_id_vector_matches_as_it_says() {
    let (mut matching, mut differing, mut converted) = (0, 0, 0);
    for vector in &of_kind("dlr_id") {
        let says = |what: &str| {
            let notes = vector["notes"].as_array().into_iter().flatten();
            notes.filter_map(Value::as_str).any(|note| note.contains(what))
        };
        // The notes are the carrier's settings, as in `hex in resp, decimal in receipt`.
        let base = |place: &str| match () {
            () if says(&format!("hex in {place}")) => IdBase::Hex,
            () if says(&format!("decimal in {place}")) => IdBase::Decimal,
            () => IdBase::AsGiven,
        };
        let (response, receipt) = (base("resp"), base("receipt"));
        let id = |key: &str| vector[key].as_str().unwrap().as_bytes();
        let matches = canonical(id("resp_id"), response) == canonical(id("receipt_id"), receipt);
        assert_eq!(
            matches,
            vector["expect"]["match"].as_bool().unwrap(),
            "{}",
            vector["name"]
        );
        matching += usize::from(matches);
        differing += usize::from(!matches);
        if matches && response != receipt {
            converted += 1;
            // The setting did it, not a guess.
            let guess =
                canonical(id("resp_id"), IdBase::AsGiven) == canonical(id("receipt_id"), IdBase::AsGiven);
            assert!(!guess, "{}", vector["name"]);
        }
    }
    assert!(matching > converted && converted > 0 && differing > 0);
}

#[test]
fn every_time_vector_reads_as_it_says() {
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let all = of_kind("time");
    for vector in &all {
        let name = name(vector);
        let expect = &vector["expect"];
        let text = vector["text"].as_str().unwrap();
        let got = SmppTime::parse(text.as_bytes(), NOW);
        let form = expect["form"].as_str().unwrap_or("error");
        *outcomes.entry(form).or_default() += 1;
        if expect["error"].is_string() {
            assert!(got.is_err(), "{name}");
            for (field, key) in [
                (Field::ScheduleDeliveryTime, "status_if_schedule"),
                (Field::ValidityPeriod, "status_if_validity"),
            ] {
                let status = u64::from(field.status().0);
                assert_eq!(Some(status), expect[key].as_u64(), "{name}: {key}");
            }
            continue;
        }
        match (got.unwrap(), form) {
            (SmppTime::Absolute { unix_ms: at, .. }, "absolute") => {
                let expect = nearest_century(expect["utc"].as_str().unwrap());
                assert_eq!(at, expect, "{name}");
            }
            // An empty field is no time, whatever a vector calls that.
            (SmppTime::Unset, _) if text.is_empty() => {}
            (
                SmppTime::Relative {
                    years,
                    months,
                    days,
                    hours,
                    minutes,
                    seconds,
                },
                "relative",
            ) => {
                let fields = ["years", "months", "days", "hours", "minutes", "seconds"];
                let expect = fields.map(|field| expect[field].as_u64().unwrap());
                let got = [years, months, days, hours, minutes, seconds].map(u64::from);
                assert_eq!(got, expect, "{name}");
            }
            (got, form) => panic!("{name}: {got:?}, not {form}"),
        }
    }
    assert_eq!(outcomes.values().sum::<usize>(), all.len());
    for outcome in ["absolute", "relative", "error"] {
        assert!(outcomes.contains_key(outcome), "{outcome} is the outcome of some");
    }
}
