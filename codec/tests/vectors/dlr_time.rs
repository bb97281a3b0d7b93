//! dlr-time.json: 22 receipt texts, 20 times, 5 pairs of ids.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value;
use tidegate_codec::error::Field;
use tidegate_codec::receipt::{IdBase, Receipt, canonical};
use tidegate_codec::time::SmppTime;

use crate::json::{name, vectors};

/// 2026-11-24T12:00:00Z.
const NOW: u64 = 1_795_521_600_000;

/// The vectors of one kind; together the kinds are the whole file.
fn of_kind(kind: &str, count: usize) -> Vec<Value> {
    let mut all = vectors(include_str!("../../testdata/dlr-time.json"));
    assert_eq!(all.len(), 22 + 20 + 5);
    all.retain(|vector| vector["kind"] == kind);
    assert_eq!(all.len(), count, "{kind}");
    all
}

fn unix_ms(text: &str) -> u64 {
    let at: Timestamp = text.parse().unwrap();
    at.as_millisecond().try_into().unwrap()
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
    for vector in &of_kind("dlr", 22) {
        let name = name(vector);
        let expect = &vector["expect"];
        let got = Receipt::parse_text(vector["text"].as_str().unwrap().as_bytes());
        assert_eq!(got.is_some(), expect["is_receipt"].as_bool().unwrap(), "{name}");
        let Some(receipt) = got else { continue };
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
        let state = receipt.state().map(|state| u64::from(state.octet()));
        assert_eq!(state, expect["state"].as_u64(), "{name}");

        let format = match expect["date_format"].as_str().unwrap() {
            "YYMMDDhhmm" => "%y%m%d%H%M",
            "YYMMDDhhmmss" => "%y%m%d%H%M%S",
            "YYYYMMDDhhmm" => "%Y%m%d%H%M",
            "zero" => "",
            other => panic!("{name}: {other}"),
        };
        let submitted = std::str::from_utf8(receipt.submit_date).unwrap();
        // A carrier's unset clock (1970) is no date.
        let expect = DateTime::strptime(format, submitted)
            .ok()
            .filter(|at| at.year() > 1970)
            .map(|at| u64::try_from(Offset::UTC.to_timestamp(at).unwrap().as_millisecond()).unwrap());
        assert_eq!(receipt.submit_unix_ms(NOW, 0), expect, "{name}");
        assert_eq!(
            expect.is_none(),
            format.is_empty() || submitted.starts_with("70"),
            "{name}"
        );
    }
}

#[test]
fn every_id_vector_matches_as_it_says() {
    for vector in &of_kind("dlr_id", 5) {
        let (response, receipt) = match vector["notes"][0].as_str() {
            Some("hex in resp, decimal in receipt") => (IdBase::Hex, IdBase::Decimal),
            _ => (IdBase::AsGiven, IdBase::AsGiven),
        };
        let id = |key: &str| vector[key].as_str().unwrap().as_bytes();
        let matches = canonical(id("resp_id"), response) == canonical(id("receipt_id"), receipt);
        assert_eq!(
            matches,
            vector["expect"]["match"].as_bool().unwrap(),
            "{}",
            vector["name"]
        );
        if response == IdBase::Hex {
            // The setting did it, not a guess.
            let guess =
                canonical(id("resp_id"), IdBase::AsGiven) == canonical(id("receipt_id"), IdBase::AsGiven);
            assert!(!guess, "{}", vector["name"]);
        }
    }
}

#[test]
fn every_time_vector_reads_as_it_says() {
    for vector in &of_kind("time", 20) {
        let name = name(vector);
        let expect = &vector["expect"];
        let got = SmppTime::parse(vector["text"].as_str().unwrap().as_bytes(), NOW);
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
        match (got.unwrap(), expect["form"].as_str().unwrap()) {
            (SmppTime::Absolute { unix_ms: at, .. }, "absolute") => {
                assert_eq!(at, unix_ms(expect["utc"].as_str().unwrap()), "{name}");
            }
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
}
