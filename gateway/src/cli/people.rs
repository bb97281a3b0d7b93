//! What the verbs about people share: files of rows, a little at a time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_config::Config;

use super::{Outcome, Refusal};
use crate::control::{self, AskError, Batch, COLUMNS, Deed, ROWS_MAX, Row, VALUE_MAX};

/// Octets of one line.
const LINE_MAX: u64 = 4_096;
/// Octets of the rows of one request, well below what the socket takes.
const REQUEST_MAX: usize = 32 * 1024;
/// Bad rows that are told; of others only how many.
const BAD_MAX: usize = 100;

/// Asks the gateway that runs.
pub(super) fn ask(config: &Config, deed: &Deed) -> Result<Map<String, Value>, Refusal> {
    let verb = control::Verb::Deed(Box::new(deed.clone()));
    control::ask(&config.storage.data, &verb).map_err(|error| match error {
        AskError::NotRunning { data } => Refusal::new(
            format!("no gateway runs on {data}; opt-outs and consents are read and changed by a running one"),
            json!({}),
        ),
        other => other.into(),
    })
}

/// A row of a command.
pub(super) fn row(cells: &[(&str, Option<&str>)]) -> Row {
    let given = cells
        .iter()
        .filter_map(|(column, value)| Some(((*column).to_owned(), json!((*value)?))));
    Row {
        line: 1,
        cells: given.collect(),
    }
}

/// Values of a line of comma-separated values (RFC 4180); `None` where a quote is not closed.
fn values(line: &str) -> Option<Vec<String>> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            _ => value.push(c),
        }
    }
    values.push(value);
    (!quoted).then_some(values)
}

/// What the columns of a file are: by its first line, or without one a number and then `columns`.
struct Columns(Vec<Option<&'static str>>);

impl Columns {
    /// `Ok` where the line names columns.
    fn of(line: &[String], renamed: &[(String, &'static str)]) -> Option<Self> {
        let name = |text: &String| {
            let text = text.trim().to_lowercase();
            let own = renamed.iter().find(|(name, _)| name.to_lowercase() == text);
            own.map(|(_, column)| *column)
                .or_else(|| COLUMNS.into_iter().find(|column| *column == text))
        };
        let named: Vec<Option<&'static str>> = line.iter().map(name).collect();
        named.contains(&Some("number")).then_some(Self(named))
    }

    fn row(&self, line: u64, values: &[String]) -> Result<Row, &'static str> {
        let mut cells = Map::new();
        for (place, value) in values.iter().enumerate() {
            let value = value.trim();
            // A row may name its values itself: `opted_in=true`.
            let named = value.split_once('=');
            let named = named.and_then(|(name, rest)| {
                let column = COLUMNS.into_iter().find(|column| *column == name.trim())?;
                Some((column, rest.trim()))
            });
            let (column, value) = match (named, self.0.get(place)) {
                (Some((column, value)), _) => (column, value),
                (None, Some(Some(column))) => (*column, value),
                (None, Some(None)) => continue,
                (None, None) if value.is_empty() => continue,
                (None, None) => return Err("more values than there are columns"),
            };
            if value.len() > VALUE_MAX {
                return Err("a value of more than 255 octets");
            }
            if !value.is_empty() {
                cells.insert(column.to_owned(), json!(value));
            }
        }
        Ok(Row { line, cells })
    }
}

/// A line without its end; `None` at the end of the file. What is longer than a line may be is skipped, and told as bad.
fn line(input: &mut impl BufRead) -> io::Result<Option<Result<String, &'static str>>> {
    let mut octets = Vec::new();
    if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut octets)? == 0 {
        return Ok(None);
    }
    if !octets.ends_with(b"\n") && octets.len() as u64 >= LINE_MAX {
        loop {
            let mut more = Vec::new();
            let read = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut more)?;
            if read == 0 || more.ends_with(b"\n") {
                return Ok(Some(Err("a line of more than 4096 octets")));
            }
        }
    }
    let text = String::from_utf8(octets).map_err(|_| "a line that is not UTF-8");
    Ok(Some(
        text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()),
    ))
}

fn digest_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hash.update(chunk.get(..read).unwrap_or_default());
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect())
}

/// What has become of a file by now.
#[derive(Default)]
struct Report {
    counts: BTreeMap<String, u64>,
    bad: u64,
    bad_rows: Vec<Value>,
}

impl Report {
    fn bad(&mut self, line: u64, reason: &str) {
        *self.counts.entry("rows".to_owned()).or_default() += 1;
        self.bad += 1;
        if self.bad_rows.len() < BAD_MAX {
            self.bad_rows.push(json!({ "line": line, "reason": reason }));
        }
    }

    fn add(&mut self, told: &Map<String, Value>) {
        for (key, value) in told {
            match (key.as_str(), value) {
                ("bad", count) => self.bad += count.as_u64().unwrap_or_default(),
                ("bad_rows", Value::Array(rows)) => {
                    let room = BAD_MAX.saturating_sub(self.bad_rows.len());
                    self.bad_rows.extend(rows.iter().take(room).cloned());
                }
                (_, count) => {
                    *self.counts.entry(key.clone()).or_default() += count.as_u64().unwrap_or_default();
                }
            }
        }
    }

    fn fields(&self, batch: &str) -> Map<String, Value> {
        let mut fields: Map<String, Value> = self
            .counts
            .iter()
            .map(|(key, count)| (key.clone(), json!(count)))
            .collect();
        fields.insert("batch".to_owned(), json!(batch));
        fields.insert("bad".to_owned(), json!(self.bad));
        fields.insert("bad_rows".to_owned(), json!(self.bad_rows));
        fields
    }
}

/// Hands the rows of a file to the gateway, a part at a time, each answered when it is on disk. `renamed` are columns that
/// the file calls otherwise; `bare` are those of a file whose first line names none.
pub(super) fn import(
    config: &Config,
    path: &Path,
    mut deed: Deed,
    batch: Batch,
    renamed: &[(String, &'static str)],
    bare: &[&'static str],
) -> Result<Outcome, Refusal> {
    let unread =
        |error: io::Error| Refusal::new(format!("cannot read {}: {error}", path.display()), json!({}));
    let name = batch.batch.clone();
    deed.file = Some(Batch {
        digest: digest_of(path).map_err(unread)?,
        ..batch
    });
    let mut input = BufReader::new(File::open(path).map_err(unread)?);
    let (mut report, mut columns, mut number, mut octets) = (Report::default(), None, 0, 0);
    let send = |deed: &mut Deed, report: &mut Report| match ask(config, deed) {
        Ok(told) => {
            report.add(&told);
            deed.rows.clear();
            Ok(())
        }
        Err(mut refusal) => {
            refusal.fields.extend(report.fields(&name));
            Err(refusal)
        }
    };
    while let Some(text) = line(&mut input).map_err(unread)? {
        number += 1;
        let values = match text {
            Ok(text) => {
                let text = if number == 1 {
                    text.trim_start_matches('\u{feff}')
                } else {
                    &text
                };
                if text.trim().is_empty() || text.starts_with('#') {
                    continue;
                }
                octets += 2 * text.len() + 64;
                values(text).ok_or("a quote that is not closed")
            }
            Err(reason) => Err(reason),
        };
        let values = match values {
            Ok(values) => values,
            Err(reason) => {
                report.bad(number, reason);
                continue;
            }
        };
        if columns.is_none() {
            let named = Columns::of(&values, renamed);
            let is_head = named.is_some();
            columns = Some(named.unwrap_or_else(|| Columns(bare.iter().map(|name| Some(*name)).collect())));
            if is_head {
                continue;
            }
        }
        match columns.as_ref().map(|columns| columns.row(number, &values)) {
            Some(Ok(row)) => deed.rows.push(row),
            Some(Err(reason)) => report.bad(number, reason),
            None => {}
        }
        if deed.rows.len() >= ROWS_MAX || octets > REQUEST_MAX {
            octets = 0;
            send(&mut deed, &mut report)?;
        }
    }
    // An empty one as well: whether it may be imported at all is the gateway's to say.
    if !deed.rows.is_empty() || report.counts.is_empty() {
        send(&mut deed, &mut report)?;
    }
    let fields = report.fields(&name);
    let mut text = String::new();
    for (key, value) in fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "bad_rows" | "batch"))
    {
        // A String takes everything.
        let _ = write!(text, "{value} {}, ", key.replace('_', " "));
    }
    text.truncate(text.len().saturating_sub(2));
    for row in &report.bad_rows {
        let reason = row["reason"].as_str().unwrap_or_default();
        let _ = write!(text, "\nline {}: {reason}", row["line"]);
    }
    let mut warnings = Vec::new();
    if report.bad > 0 {
        warnings.push(format!("rows that were not taken: {}", report.bad));
    }
    Ok(Outcome {
        text,
        fields,
        warnings,
        failed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_values_by_the_header_or_itself() {
        let head = values("Number, opted in ,source,x").unwrap();
        let columns = Columns::of(&head, &[("opted in".to_owned(), "opted_in")]).unwrap();
        let row = columns
            .row(
                2,
                &values("\"+1 (555) 010-0123\",yes,\"a, \"\"b\"\"\",7").unwrap(),
            )
            .unwrap();
        assert_eq!(row.get("number"), Some("+1 (555) 010-0123"));
        assert_eq!(
            (row.get("opted_in"), row.get("source")),
            (Some("yes"), Some("a, \"b\""))
        );
        assert!(Columns::of(&values("15550100123,x").unwrap(), &[]).is_none());
        let bare = Columns(vec![Some("number")]);
        let row = bare
            .row(1, &values("15550100123,opted_in=true").unwrap())
            .unwrap();
        assert_eq!(row.get("opted_in"), Some("true"));
        assert!(bare.row(1, &values("15550100123,true").unwrap()).is_err());
        assert!(values("\"15550100123").is_none());
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_bad_and_the_next_is_read() {
        let mut octets = vec![b'1'; 10_000];
        octets.extend_from_slice(b"\n2\r\n\xff\n3");
        let mut input = &octets[..];
        let mut read = || line(&mut input).unwrap();
        assert!(read().unwrap().is_err());
        assert_eq!(read(), Some(Ok("2".to_owned())));
        assert!(read().unwrap().is_err());
        assert_eq!(read(), Some(Ok("3".to_owned())));
        assert_eq!(read(), None);
    }
}
