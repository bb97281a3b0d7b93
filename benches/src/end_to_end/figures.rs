//! What the clients and the carrier report, as figures and as what is wrong with a run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fallible;
use super::matrix::{Cell, Receipts};

/// What a figure is called in the JSON; the tables and plots take it by the same name.
pub(super) mod key {
    pub(in super::super) const RATE: &str = "msgs_per_s";
    pub(in super::super) const CPU: &str = "cpu_us_per_msg";
    pub(in super::super) const RESPONSE: [&str; 3] =
        ["response_p50_ms", "response_p99_ms", "response_p99_9_ms"];
    pub(in super::super) const RECEIPT: [&str; 3] = ["receipt_p50_ms", "receipt_p99_ms", "receipt_p99_9_ms"];
    pub(in super::super) const RSS: &str = "rss_peak_octets";
    pub(in super::super) const DEVICE_PER_STORED: &str = "device_octets_per_stored_octet";
    pub(in super::super) const DEVICE_PER_MESSAGE: &str = "device_octets_per_msg";
    pub(in super::super) const STORED_PER_MESSAGE: &str = "stored_octets_per_msg";
    pub(in super::super) const SYNCS: &str = "syncs";
    pub(in super::super) const SYNC_RATE: &str = "syncs_per_s";
    pub(in super::super) const DRAINED: &str = "drained_s";
    pub(in super::super) const LOAD_CPU: &str = "load_cpu_us_per_msg";
    pub(in super::super) const CARRIER_CPU: &str = "carrier_cpu_us_per_msg";
    pub(in super::super) const LOST: &str = "lost";
    pub(in super::super) const ALTERED: &str = "altered";
    pub(in super::super) const REPEATED: &str = "repeated";
    pub(in super::super) const ELAPSED: &str = "elapsed_s";
}

/// Figures by name.
pub(super) type Figures = BTreeMap<&'static str, f64>;

/// The report of the clients or the carrier.
pub(super) fn report(of: &str, output: &str) -> Fallible<Value> {
    let report = serde_json::from_str(output);
    Ok(report.map_err(|error| format!("{of} made no report: {error}; it wrote {:?}", output.trim()))?)
}

/// The figures that clients and carrier report. Whatever else they count is not copied: these are what is shown.
pub(super) fn read(load: &Value, carrier: &Value, cell: &Cell) -> Fallible<Figures> {
    let mut wanted = vec![
        (load, key::RATE, "/msgs_per_s"),
        (load, key::ELAPSED, "/elapsed_s"),
        (load, key::LOST, "/lost"),
        (load, key::LOAD_CPU, "/cpu_us_per_message"),
        (load, key::RESPONSE[0], "/response_ms/p50"),
        (load, key::RESPONSE[1], "/response_ms/p99"),
        (load, key::RESPONSE[2], "/response_ms/p99_9"),
        (load, "in_doubt", "/in_doubt"),
        (load, "resubmitted", "/resubmitted"),
        (load, "repeated_receipts", "/repeated_receipts"),
        (carrier, key::ALTERED, "/altered"),
        (carrier, key::REPEATED, "/repeated"),
        (carrier, key::CARRIER_CPU, "/cpu_us_per_message"),
    ];
    if cell.receipts == Receipts::Final {
        wanted.extend([
            (load, key::RECEIPT[0], "/receipt_ms/p50"),
            (load, key::RECEIPT[1], "/receipt_ms/p99"),
            (load, key::RECEIPT[2], "/receipt_ms/p99_9"),
        ]);
    }
    let mut figures = Figures::new();
    for (report, name, place) in wanted {
        figures.insert(name, number(report, place)?);
    }
    Ok(figures)
}

/// What is wrong with a run: nothing may be lost or altered, and everything must be answered, passed on once and,
/// where receipts are asked for, receipted. `again` allows messages to be passed on twice: after a kill that is right.
pub(super) fn faults(
    load: &Value,
    carrier: &Value,
    cell: &Cell,
    messages: u32,
    again: bool,
) -> Fallible<Vec<String>> {
    let messages = f64::from(messages);
    let mut wanted = vec![
        (load, "/lost", 0.0),
        (load, "/refused", 0.0),
        (load, "/acknowledged", messages),
        (carrier, "/altered", 0.0),
        (carrier, "/unmarked", 0.0),
        (carrier, "/unique", messages),
    ];
    if cell.receipts == Receipts::Final {
        wanted.push((load, "/receipts", messages));
    }
    if !again {
        wanted.push((carrier, "/repeated", 0.0));
    }
    let mut faults = Vec::new();
    for (report, place, right) in wanted {
        let found = number(report, place)?;
        if found != right {
            faults.push(format!(
                "{} is {found} and not {right}",
                place.trim_start_matches('/')
            ));
        }
    }
    for (who, report) in [("load", load), ("carrier", carrier)] {
        if let Some(problem) = report.get("problem").and_then(Value::as_str) {
            faults.push(format!("{who}: {problem}"));
        }
    }
    Ok(faults)
}

/// A number, or the sum of several by name.
pub(super) fn number(report: &Value, place: &str) -> Fallible<f64> {
    let found = match report.pointer(place) {
        Some(Value::Object(several)) => several.values().map(Value::as_f64).sum(),
        Some(one) => one.as_f64(),
        None => None,
    };
    Ok(found.ok_or_else(|| format!("no number at {place} of {report}"))?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reports() -> (Value, Value) {
        let load = json!({
            "messages": 10, "submitted": 10, "acknowledged": 10, "refused": {"0x58": 0}, "in_doubt": 0, "resubmitted": 0,
            "receipts": 10, "lost": 0, "repeated_receipts": 0, "elapsed_s": 0.5, "msgs_per_s": 20,
            "response_ms": {"p50": 1.5, "p90": 2, "p99": 3, "p99_9": 4, "max": 5},
            "receipt_ms": {"p50": 2.5, "p90": 3, "p99": 4, "p99_9": 5, "max": 6},
            "cpu_us_per_message": 1.25, "problem": null,
        });
        let carrier =
            json!({"unique": 10, "repeated": 0, "altered": 0, "unmarked": 0, "cpu_us_per_message": 0.75});
        (load, carrier)
    }

    fn cell(text: &str) -> Cell {
        text.parse().unwrap()
    }

    #[test]
    fn both_reports_become_figures_and_nothing_is_wrong() {
        let (load, carrier) = reports();
        let figures = read(&load, &carrier, &cell("8x100")).unwrap();
        for (name, value) in [
            (key::RATE, "20"),
            (key::RESPONSE[2], "4"),
            (key::RECEIPT[0], "2.5"),
            (key::LOAD_CPU, "1.25"),
            (key::CARRIER_CPU, "0.75"),
        ] {
            assert_eq!(figures[name].to_string(), value, "{name}");
        }
        assert!(
            faults(&load, &carrier, &cell("8x100"), 10, false)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn without_receipts_there_is_no_time_to_a_receipt() {
        let (mut load, carrier) = reports();
        (load["receipt_ms"], load["receipts"]) = (Value::Null, json!(0));
        let figures = read(&load, &carrier, &cell("8x100,receipts=none")).unwrap();
        assert!(!figures.contains_key(key::RECEIPT[0]));
        let none = cell("8x100,receipts=none");
        assert!(faults(&load, &carrier, &none, 10, false).unwrap().is_empty());
        assert_eq!(
            faults(&load, &carrier, &cell("8x100"), 10, false).unwrap(),
            ["receipts is 0 and not 10"]
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        let (mut load, mut carrier) = reports();
        (load["lost"], load["problem"]) = (json!(2), json!("gave up"));
        (carrier["altered"], carrier["repeated"]) = (json!(1), json!(3));
        let found = faults(&load, &carrier, &cell("8x100"), 10, false).unwrap();
        assert_eq!(
            found,
            [
                "lost is 2 and not 0",
                "altered is 1 and not 0",
                "repeated is 3 and not 0",
                "load: gave up"
            ]
        );
        carrier["repeated"] = json!(3);
        assert_eq!(
            faults(&load, &carrier, &cell("8x100"), 10, true).unwrap().len(),
            3
        );
    }

    #[test]
    fn a_report_that_lacks_something_names_it() {
        let (mut load, carrier) = reports();
        load["lost"] = Value::Null;
        let error = read(&load, &carrier, &cell("8x100")).unwrap_err();
        assert!(error.to_string().contains("/lost"), "{error}");
        assert!(report("the load", "no such verb").is_err());
    }
}
