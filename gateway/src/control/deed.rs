//! What a command does about people: opt-outs, contacts, consents. Its form on the control socket.
//!
//! ```text
//! {"version":1,"verb":"optout add","account":"A","origin":"account","terms":{…},"rows":[{"line":1,"number":"…",…}]}
//! ```
//!
//! Rows have the columns of a file; a command for one person has one row.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use tidegate_store::standing::Origin;

use super::VERSION;

/// Rows of one request.
pub const ROWS_MAX: usize = 500;
/// Octets of one value of a row, and of a term.
pub const VALUE_MAX: usize = 255;
/// Columns that rows may have.
pub const COLUMNS: [&str; 12] = [
    "number",
    "scope",
    "sender",
    "source",
    "ip",
    "time",
    "method",
    "disclosure",
    "recorded_by",
    "valid_as_of",
    "category",
    "opted_in",
];

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeedKind {
    /// A person gets nothing any more.
    OptOutAdd,
    /// What the account, or an operator with two approvers, takes back.
    OptOutRemove,
    /// Whether a person has opted out.
    OptOutCheck,
    /// A page of an account's opt-outs.
    OptOutList,
    /// The same, to be taken away.
    OptOutExport,
    /// A list of opt-outs.
    OptOutImport,
    /// A list of contacts.
    ContactImport,
    /// What is recorded of a person's consent.
    ConsentList,
    /// A consent.
    ConsentGrant,
    /// A consent is taken back.
    ConsentWithdraw,
    /// Somebody is asked for a consent.
    ConsentAsk,
}

impl DeedKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OptOutAdd,
        Self::OptOutRemove,
        Self::OptOutCheck,
        Self::OptOutList,
        Self::OptOutExport,
        Self::OptOutImport,
        Self::ContactImport,
        Self::ConsentList,
        Self::ConsentGrant,
        Self::ConsentWithdraw,
        Self::ConsentAsk,
    ];

    /// Whether its rows are those of a file.
    const fn is_import(self) -> bool {
        matches!(self, Self::OptOutImport | Self::ContactImport)
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(self) -> bool {
        matches!(
            self,
            Self::OptOutCheck | Self::OptOutList | Self::OptOutExport | Self::ConsentList
        )
    }

    /// How many rows it may have.
    const fn rows(self) -> RangeInclusive<usize> {
        match self {
            Self::OptOutImport | Self::ContactImport => 0..=ROWS_MAX,
            Self::OptOutList | Self::OptOutExport => 0..=0,
            Self::OptOutAdd
            | Self::OptOutRemove
            | Self::OptOutCheck
            | Self::ConsentList
            | Self::ConsentGrant
            | Self::ConsentWithdraw
            | Self::ConsentAsk => 1..=1,
        }
    }

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OptOutAdd => "optout add",
            Self::OptOutRemove => "optout remove",
            Self::OptOutCheck => "optout check",
            Self::OptOutList => "optout list",
            Self::OptOutExport => "optout export",
            Self::OptOutImport => "optout import",
            Self::ContactImport => "contact import",
            Self::ConsentList => "consent list",
            Self::ConsentGrant => "consent grant",
            Self::ConsentWithdraw => "consent withdraw",
            Self::ConsentAsk => "consent ask",
        }
    }
}

/// One row: values by column. Not to be printed (P4).
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file; 1 of a command.
    pub line: u64,
    /// What stands in it, without empty values.
    pub cells: Map<String, Value>,
}

impl Row {
    /// What stands in a column.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.cells.get(column).and_then(Value::as_str)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({}, {} values)", self.line, self.cells.len())
    }
}

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Which.
    pub kind: DeedKind,
    /// Whose people.
    pub account: String,
    /// Who is to count as having made an entry; `None` where it does not matter.
    pub origin: Option<Origin>,
    /// Approvers and evidence of an override.
    pub by_override: Option<Override>,
    /// What holds for all rows of a file.
    pub file: Option<Batch>,
    /// Whom, and what.
    pub rows: Vec<Row>,
    /// Of a list: behind which place, as the page before it said.
    pub after: Option<String>,
    /// Of a list: so many entries at most.
    pub limit: Option<usize>,
}

/// On whose word an operator lifts what is not the account's (OPT-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Two or more, by name.
    pub approvers: Vec<String>,
    /// Where the evidence lies.
    pub evidence: String,
}

/// A file, of which a request brings a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The batch's name.
    pub batch: String,
    /// SHA-256 of the file in hex; only a keyed hash of it is kept.
    pub digest: String,
    /// On what lawful basis the account has the contacts (CON-6).
    pub attest: Option<String>,
}

fn origin_of(word: &str) -> Option<Origin> {
    Origin::ALL.into_iter().find(|origin| origin.word() == word)
}

impl Deed {
    /// A deed with nothing but kind and account.
    pub fn new(kind: DeedKind, account: impl Into<String>) -> Self {
        Self {
            kind,
            account: account.into(),
            origin: None,
            by_override: None,
            file: None,
            rows: Vec::new(),
            after: None,
            limit: None,
        }
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut shown = row.cells.clone();
            shown.insert("line".to_owned(), json!(row.line));
            Value::Object(shown)
        });
        json!({
            "version": VERSION,
            "verb": self.kind.word(),
            "account": self.account,
            "origin": self.origin.map(Origin::word),
            "override": self.by_override.as_ref().map(|by| json!({
                "approvers": by.approvers,
                "evidence": by.evidence,
            })),
            "file": self.file.as_ref().map(|file| json!({
                "batch": file.batch,
                "digest": file.digest,
                "attest": file.attest,
            })),
            "rows": rows.collect::<Vec<_>>(),
            "after": self.after,
            "limit": self.limit,
        })
    }

    /// Reads a request's line, if it is a deed.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let kind = DeedKind::ALL.into_iter().find(|kind| kind.word() == verb)?;
        Some(Self::take(kind, request))
    }

    fn take(kind: DeedKind, request: &Map<String, Value>) -> Result<Self, String> {
        let origin = match request.get("origin") {
            None | Some(Value::Null) => None,
            Some(word) => {
                let origin = word.as_str().and_then(origin_of);
                Some(origin.ok_or("\"origin\" is one of recipient, carrier, account, import")?)
            }
        };
        let by_override = match request.get("override") {
            None | Some(Value::Null) => None,
            Some(_) if kind != DeedKind::OptOutRemove => {
                return Err(format!("\"override\" is of {}", DeedKind::OptOutRemove.word()));
            }
            Some(by) => {
                let names = by.get("approvers").and_then(Value::as_array);
                let names = names.into_iter().flatten().map(|name| short(Some(name)));
                let approvers = names.collect::<Option<_>>();
                Some(Override {
                    approvers: approvers.ok_or("\"approvers\" is a list of short texts")?,
                    evidence: short(by.get("evidence")).ok_or("\"evidence\" is a short text")?,
                })
            }
        };
        let file = match request.get("file") {
            None | Some(Value::Null) => None,
            Some(_) if !kind.is_import() => return Err("\"file\" is of imports".to_owned()),
            Some(file) => Some(Batch {
                batch: short(file.get("batch")).ok_or("\"batch\" is a short text")?,
                digest: short(file.get("digest")).ok_or("\"digest\" is a short text")?,
                attest: file.get("attest").and_then(|attest| short(Some(attest))),
            }),
        };
        let after = match request.get("after") {
            None | Some(Value::Null) => None,
            after => Some(short(after).ok_or("\"after\" is a short text")?),
        };
        let limit = match request.get("limit") {
            None | Some(Value::Null) => None,
            Some(limit) => {
                let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
                Some(limit.ok_or("\"limit\" is a number")?)
            }
        };
        let rows = match request.get("rows") {
            None | Some(Value::Null) => &[][..],
            Some(rows) => rows.as_array().ok_or("\"rows\" is a list")?,
        };
        let allowed = kind.rows();
        if !allowed.contains(&rows.len()) {
            let (least, most) = (allowed.start(), allowed.end());
            return Err(format!(
                "\"rows\" are {least} to {most} of {}, and not {}",
                kind.word(),
                rows.len()
            ));
        }
        let rows = rows.iter().map(row).collect::<Option<Vec<_>>>();
        Ok(Self {
            kind,
            account: short(request.get("account")).ok_or("\"account\" is missing")?,
            origin,
            by_override,
            file,
            rows: rows.ok_or("\"rows\" are objects with a line and short texts")?,
            after,
            limit,
        })
    }
}

fn short(text: Option<&Value>) -> Option<String> {
    let text = text.and_then(Value::as_str)?;
    (text.len() <= VALUE_MAX).then(|| text.to_owned())
}

fn row(row: &Value) -> Option<Row> {
    let mut cells = row.as_object()?.clone();
    let line = cells.remove("line").and_then(|line| line.as_u64())?;
    let fits = |(column, value): (&String, &Value)| {
        COLUMNS.contains(&column.as_str()) && value.as_str().is_some_and(|text| text.len() <= VALUE_MAX)
    };
    cells.iter().all(fits).then_some(Row { line, cells })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(kind: DeedKind) -> Deed {
        let cells = Map::from_iter([("number".to_owned(), json!("15550100123"))]);
        let row = Row { line: 1, cells };
        Deed {
            by_override: (kind == DeedKind::OptOutRemove).then(|| Override {
                approvers: vec!["anna".to_owned(), "berta".to_owned()],
                evidence: "ticket 7".to_owned(),
            }),
            file: kind.is_import().then(|| Batch {
                batch: "batch-1".to_owned(),
                digest: "ab".repeat(32),
                attest: Some("a form".to_owned()),
            }),
            rows: vec![row; *kind.rows().end()],
            ..Deed::new(kind, "A")
        }
    }

    fn read(deed: &Deed, key: &str, value: &Value) -> Result<Deed, String> {
        let mut request = deed.request();
        if !value.is_null() {
            request[key] = value.clone();
        }
        Deed::take(deed.kind, request.as_object().unwrap())
    }

    #[test]
    fn what_a_deed_may_not_have_is_refused_and_not_left_out() {
        for kind in DeedKind::ALL {
            let deed = deed(kind);
            assert_eq!(read(&deed, "", &Value::Null).as_ref(), Ok(&deed));
            let by = json!({ "approvers": ["anna"], "evidence": "x" });
            let file = json!({ "batch": "b", "digest": "d" });
            let row = json!({ "line": 1, "number": "15550100123" });
            let accepts = |key: &str, value: Value| read(&deed, key, &value).is_ok();
            assert_eq!(
                accepts("override", by),
                kind == DeedKind::OptOutRemove,
                "{kind:?}"
            );
            assert_eq!(accepts("file", file), kind.is_import(), "{kind:?}");
            assert!(!accepts("rows", row.clone()), "{kind:?}: no list");
            for count in [0, 1, 2, ROWS_MAX + 1] {
                let many = match kind {
                    DeedKind::OptOutImport | DeedKind::ContactImport => count <= ROWS_MAX,
                    DeedKind::OptOutList | DeedKind::OptOutExport => count == 0,
                    _ => count == 1,
                };
                assert_eq!(
                    accepts("rows", json!(vec![row.clone(); count])),
                    many,
                    "{kind:?} {count}"
                );
            }
        }
    }
}
