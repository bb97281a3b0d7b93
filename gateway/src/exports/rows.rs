//! Rows of an export: which columns there are, and how they are written (EXP-1).

use serde_json::{Map, Value};

use super::{Format, What};

/// Columns of an export, the declared fields of this sink (GEN-6): what the account sent and was told, and nothing of carriers.
pub(crate) const fn columns(what: What) -> &'static [&'static str] {
    const MESSAGES: [&str; 12] = [
        "id",
        "recipient",
        "direction",
        "accepted",
        "ended",
        "from",
        "to",
        "country",
        "category",
        "parts",
        "state",
        "text",
    ];
    match what {
        What::Texts => &MESSAGES,
        What::Messages => MESSAGES.split_at(MESSAGES.len() - 1).0,
        What::Statistics => &["day", "direction", "country", "network", "status", "messages"],
        What::Person => &[
            "class",
            "standing",
            "account",
            "id",
            "recipient",
            "at",
            "ended",
            "from",
            "to",
            "state",
            "text",
            "detail",
            "purpose",
            "source",
            "sinks",
            "due",
            "by",
        ],
    }
}

/// What stands above all rows.
pub(super) fn above(what: What, format: Format) -> String {
    above_of(columns(what), format)
}

/// The same of some columns.
pub(super) fn above_of(columns: &[&str], format: Format) -> String {
    match format {
        Format::Csv => line(columns.iter().map(|column| (*column).to_owned())),
        Format::Jsonl => String::new(),
    }
}

/// A row; of the fields those count that are columns.
pub(super) fn row(what: What, format: Format, fields: &Map<String, Value>) -> String {
    row_of(columns(what), format, fields)
}

/// The same of some columns.
pub(super) fn row_of(columns: &[&str], format: Format, fields: &Map<String, Value>) -> String {
    let values = columns
        .iter()
        .map(|column| (*column, fields.get(*column).unwrap_or(&Value::Null)));
    match format {
        Format::Csv => line(values.map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => field(text),
            other => other.to_string(),
        })),
        Format::Jsonl => {
            let object: Map<String, Value> = values
                .map(|(column, value)| (column.to_owned(), value.clone()))
                .collect();
            format!("{}\n", Value::Object(object))
        }
    }
}

fn line(values: impl Iterator<Item = String>) -> String {
    let mut line = values.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A value for a spreadsheet (EXP-1): one that it would take for a formula gets an apostrophe before it.
pub(crate) fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A number as digits, without what a spreadsheet would compute with; another address as it is.
pub(super) fn number(address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    match text.strip_prefix('+') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit()) => {
            digits.to_owned()
        }
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Map<String, Value> {
        let Value::Object(fields) =
            json!({ "id": "1", "recipient": 0, "from": "=cmd", "to": "447700900123", "text": text })
        else {
            unreachable!()
        };
        fields
    }

    /// As a program reads them that knows RFC 4180 and nothing of us.
    fn read_back(text: &str) -> Vec<Vec<String>> {
        let mut reader = csv_core::Reader::new();
        let (mut rows, mut row, mut value) = (Vec::new(), Vec::new(), Vec::new());
        let (mut input, mut octets) = (text.as_bytes(), [0; 1024]);
        loop {
            let (result, read, written) = reader.read_field(input, &mut octets);
            input = &input[read..];
            value.extend_from_slice(&octets[..written]);
            match result {
                csv_core::ReadFieldResult::Field { record_end } => {
                    row.push(String::from_utf8(std::mem::take(&mut value)).unwrap());
                    if record_end {
                        rows.push(std::mem::take(&mut row));
                    }
                }
                csv_core::ReadFieldResult::End => return rows,
                csv_core::ReadFieldResult::InputEmpty | csv_core::ReadFieldResult::OutputFull => {}
            }
        }
    }

    #[test]
    fn exp_c01_what_is_written_as_csv_is_read_back_and_no_spreadsheet_computes_it() {
        let texts = [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("-1+1", "'-1+1"),
            ("a,\"b\"\nc", "a,\"b\"\nc"),
        ];
        let mut text = above(What::Texts, Format::Csv);
        for (sent, _) in texts {
            text.push_str(&row(What::Texts, Format::Csv, &fields(sent)));
        }
        let rows = read_back(&text);
        assert_eq!(rows.len(), 1 + texts.len());
        assert_eq!(rows[0], columns(What::Texts));
        for ((_, written), row) in texts.iter().zip(&rows[1..]) {
            assert_eq!(row.len(), rows[0].len());
            assert_eq!(row.last().unwrap(), written);
            assert_eq!((row[5].as_str(), row[6].as_str()), ("'=cmd", "447700900123"));
        }
    }

    #[test]
    fn columns_are_those_of_what_was_asked_for() {
        let json = row(What::Messages, Format::Jsonl, &fields("a"));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(json.get("text").is_none());
        assert_eq!((&json["from"], &json["state"]), (&json!("=cmd"), &Value::Null));
        assert_eq!(
            (number(b"+447700900123"), number(b"+1x")),
            ("447700900123".to_owned(), "+1x".to_owned())
        );
    }
}
