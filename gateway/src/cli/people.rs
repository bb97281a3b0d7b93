//! What the verbs about people share: files of rows, a little at a time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_config::Config;

use super::people_rows::Rows;
use super::{Outcome, Refusal};
use crate::control::{self, AskError, Batch, COLUMNS, Deed, ROWS_MAX, Row, VALUE_MAX};

/// Octets of the rows of one request, well below what the socket takes.
const REQUEST_MAX: usize = 32 * 1024;
/// Bad rows that are told; of others only how many.
const BAD_MAX: usize = 100;

/// Asks the gateway that runs.
pub(super) fn ask(config: &Config, deed: &Deed) -> Result<Map<String, Value>, Refusal> {
    let verb = control::Verb::Deed(Box::new(deed.clone()));
    control::ask(&config.storage.data, &verb).map_err(|error| match error {
        AskError::NotRunning { data } => Refusal::new(
            format!(
                "no gateway runs on {data}: start it. Opt-outs and consents are read and changed by a running one, which \
                 knows what is not in the journal yet and enters in the audit log who asked"
            ),
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

/// What the columns of a file are.
struct Columns {
    by_place: Vec<Option<&'static str>>,
    /// By its first line, and not only as rows without one have them.
    is_named: bool,
}

impl Columns {
    /// `None` where the line names no columns. `renamed` are those that the file calls otherwise.
    fn of(line: &[String], renamed: &[(String, &'static str)]) -> Option<Self> {
        let name = |text: &String| {
            let text = text.trim().to_lowercase();
            let own = renamed.iter().find(|(name, _)| name.to_lowercase() == text);
            let is_renamed = |column: &&str| renamed.iter().any(|(_, of)| of == column);
            own.map(|(_, column)| *column).or_else(|| {
                let known = COLUMNS.into_iter().filter(|column| !is_renamed(column));
                known.into_iter().find(|column| *column == text)
            })
        };
        let by_place: Vec<Option<&'static str>> = line.iter().map(name).collect();
        by_place.contains(&Some("number")).then_some(Self {
            by_place,
            is_named: true,
        })
    }

    /// Those of a file whose first line is a row: `bare` ones by their places.
    fn bare(bare: &[&'static str]) -> Self {
        Self {
            by_place: bare.iter().map(|column| Some(*column)).collect(),
            is_named: false,
        }
    }

    /// Whether a line of the file calls a column so.
    fn names(&self, column: &str) -> bool {
        self.is_named && self.by_place.contains(&Some(column))
    }

    fn row(&self, line: u64, values: &[String]) -> Result<Row, &'static str> {
        let mut cells = Map::new();
        for (place, value) in values.iter().enumerate() {
            let value = value.trim();
            // A row may name its values itself, where nobody else does: `opted_in=true`. Under a name `?time=7` is part of
            // a URL.
            let named = value.split_once('=').filter(|_| !self.is_named);
            let named = named.and_then(|(name, rest)| {
                let column = COLUMNS.into_iter().find(|column| *column == name.trim())?;
                Some((column, rest.trim()))
            });
            let (column, value) = match (named, self.by_place.get(place)) {
                (Some((column, value)), _) => (column, value),
                (None, Some(Some(column))) => (*column, value),
                (None, Some(None)) => continue,
                (None, None) if value.is_empty() => continue,
                (None, None) => return Err("more values than there are columns"),
            };
            if value.len() > VALUE_MAX {
                return Err("a value of more than 255 octets");
            }
            if !value.is_empty() && cells.insert(column.to_owned(), json!(value)).is_some() {
                return Err("two values of the same column");
            }
        }
        Ok(Row { line, cells })
    }
}

/// A file, to be read from its beginning, and its hash: of the same octets, whatever becomes of the name meanwhile.
fn opened(path: &Path) -> io::Result<(File, String)> {
    let mut file = File::open(path)?;
    // Before anything is read: what cannot be read twice, such as a pipe, is refused whole.
    file.rewind()?;
    let digest = digest_of(&mut file)?;
    file.rewind()?;
    Ok((file, digest))
}

fn digest_of(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
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
    let (file, digest) = opened(path).map_err(unread)?;
    deed.file = Some(Batch { digest, ..batch });
    let mut input = Rows::new(BufReader::new(file));
    let (mut report, mut columns, mut octets) = (Report::default(), None, 0);
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
    while let Some((number, values)) = input.next().map_err(unread)? {
        let values = match values {
            Ok(values) => values,
            Err(reason) => {
                report.bad(number, reason);
                continue;
            }
        };
        octets += 64 + values.iter().map(|value| 2 * value.len()).sum::<usize>();
        if columns.is_none() {
            let named = Columns::of(&values, renamed);
            let found = columns.insert(named.unwrap_or_else(|| Columns::bare(bare)));
            if let Some((name, _)) = renamed.iter().find(|(_, column)| !found.names(column)) {
                let reason = format!("{}: its first line has no column {name:?}", path.display());
                return Err(Refusal::new(reason, json!({})));
            }
            if found.is_named {
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
        ..Outcome::default()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_row_names_its_values_by_the_header_or_itself() {
        let values = |text: &str| -> Vec<String> { text.split('|').map(str::to_owned).collect() };
        let renamed = [("opted in".to_owned(), "opted_in")];
        let columns = Columns::of(&values("Number| opted in |source|x|opted_in"), &renamed).unwrap();
        assert!(columns.names("opted_in") && columns.names("source") && !columns.names("time"));
        let url = "https://example.com/form?time=7";
        for source in [url, "time=7"] {
            let row = columns
                .row(2, &values(&format!("+1 (555) 010-0123|yes|{source}|7|no")))
                .unwrap();
            assert_eq!(row.get("number"), Some("+1 (555) 010-0123"));
            assert_eq!(
                (row.get("opted_in"), row.get("source")),
                (Some("yes"), Some(source))
            );
            assert_eq!(row.get("time"), None, "a value and no column");
        }
        assert!(Columns::of(&values("15550100123|x"), &[]).is_none());
        let bare = Columns::bare(&["number", "opted_in"]);
        assert!(!bare.names("opted_in"));
        for text in ["15550100123|opted_in=true", "15550100123||opted_in=true"] {
            let row = bare.row(1, &values(text)).unwrap();
            assert_eq!(row.get("opted_in"), Some("true"), "{text}");
        }
        assert!(bare.row(1, &values("15550100123|true|x")).is_err());
    }

    #[test]
    fn a_column_that_is_there_twice_makes_a_row_bad() {
        let values = |text: &str| -> Vec<String> { text.split('|').map(str::to_owned).collect() };
        let bare = Columns::bare(&["number", "opted_in"]);
        assert!(bare.row(1, &values("15550100123|false|opted_in=true")).is_err());
        let named = Columns::of(&values("number|opted_in|Opted_In"), &[]).unwrap();
        assert!(named.row(1, &values("15550100123|false|true")).is_err());
        assert!(named.row(1, &values("15550100123|false|")).is_ok());
    }

    #[test]
    fn a_file_is_read_from_its_beginning_once_its_hash_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        std::fs::write(&path, "abc").unwrap();
        let (mut file, digest) = opened(&path).unwrap();
        assert_eq!(
            digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // Another file under its name by now.
        std::fs::rename(&path, dir.path().join("old.csv")).unwrap();
        std::fs::write(&path, "xyz").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"15550100123\n").unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        assert!(opened(Path::new(&path)).is_err());
        let mut left = Vec::new();
        reader.read_to_end(&mut left).unwrap();
        assert_eq!(left.len(), 12, "nothing of it was read");
    }
}
