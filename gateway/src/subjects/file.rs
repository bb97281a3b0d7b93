//! Where the register lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Register;
use crate::small_file;

pub(super) const FILE: &str = "subject-register";
/// Octets of the file at most: more than [`super::ROWS_MAX`] rows with all their texts.
const FILE_MAX: u64 = 128 << 20;
const VERSION: u64 = 1;

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of people's requests cannot be read from {path}: {why}. Nothing is started, so that no request and no date is \
     forgotten: put the file back as it was, with its key ring"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

impl Unreadable {
    pub(super) fn new(path: &Path, why: String) -> Self {
        Self {
            path: path.display().to_string(),
            why,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Filed<R> {
    version: u64,
    register: R,
}

/// Octets as hexadecimal digits.
pub(super) mod digits {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::control::{hex, unhex};

    pub(crate) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(octets))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        unhex(&text).ok_or_else(|| D::Error::custom("no hexadecimal digits"))
    }
}

/// Rows by their numbers, which are shared in memory and not in the file.
pub(super) mod rows {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::subjects::RequestRow;

    type Rows = BTreeMap<u32, Arc<RequestRow>>;

    pub(crate) fn serialize<S: Serializer>(rows: &Rows, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(rows.iter().map(|(id, row)| (id, &**row)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Rows, D::Error> {
        let rows = BTreeMap::<u32, RequestRow>::deserialize(from)?;
        Ok(rows.into_iter().map(|(id, row)| (id, Arc::new(row))).collect())
    }
}

pub(super) fn open(path: &Path) -> Result<Register, Unreadable> {
    let text = small_file::read(path, FILE_MAX).map_err(|error| Unreadable::new(path, error.to_string()))?;
    match text {
        None => Ok(Register::default()),
        Some(text) => {
            read(&text).ok_or_else(|| Unreadable::new(path, "it is not as it was written".to_owned()))
        }
    }
}

pub(super) fn written(register: &Register) -> io::Result<String> {
    let version = VERSION;
    let line = serde_json::to_string(&Filed { version, register })?;
    Ok(small_file::summed(&line))
}

fn read(text: &str) -> Option<Register> {
    let filed: Filed<Register> = serde_json::from_str(small_file::unsummed(text)?).ok()?;
    (filed.version == VERSION).then_some(filed.register)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use super::super::{Asker, How, Kept, Ready, RequestRow, Right};
    use super::*;

    pub(crate) fn some() -> Register {
        let row = RequestRow {
            right: Right::Erase,
            asker: Asker::Account,
            account: Some("shop".to_owned()),
            place: Some("DE".to_owned()),
            is_minor: true,
            number: vec![0, 255, 7],
            proof: vec![9],
            who: "socket 0".to_owned(),
            received_ms: 1,
            due_ms: 2,
            most_ms: 3,
            clock: "a law".to_owned(),
            extended: Some((2, "many".to_owned())),
            verified_ms: Some(2),
            run_ms: Some(4),
            format: Some("csv".to_owned()),
            note: None,
            order: Some(7),
            export: Some(u64::MAX),
            ready: Some(Ready {
                at_ms: 4,
                ends_ms: 9,
                unreadable: 1,
            }),
            restriction: Some(3),
            told: 0,
            kept: vec![Kept {
                class: "meta".to_owned(),
                records: 2,
                until_ms: Some(9),
                by: "a floor".to_owned(),
            }],
            answered_ms: Some(5),
            ended: None,
            why: None,
        };
        let over = RequestRow {
            number: Vec::new(),
            proof: Vec::new(),
            ended: Some((9, How::Refused)),
            why: Some("no proof".to_owned()),
            ..row.clone()
        };
        Register {
            last: 2,
            requests: BTreeMap::from([(1, Arc::new(row)), (2, Arc::new(over))]),
        }
    }

    #[test]
    fn what_was_written_is_read_and_whatever_is_cut_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(open(&path).unwrap(), Register::default());
        for register in [Register::default(), some()] {
            small_file::replace(&path, &written(&register).unwrap()).unwrap();
            assert_eq!(open(&path).unwrap(), register);
        }
        let text = fs::read_to_string(&path).unwrap();
        for end in [0, 1, text.len() / 2, text.len() - 1] {
            fs::write(&path, &text[..end]).unwrap();
            assert!(open(&path).is_err(), "{end}");
        }
        fs::write(&path, text.replace("\"due_ms\":2", "\"due_ms\":9")).unwrap();
        assert!(open(&path).is_err());
        let line = text
            .lines()
            .next()
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        fs::write(&path, small_file::summed(&line)).unwrap();
        assert!(open(&path).is_err(), "another version");
    }
}
