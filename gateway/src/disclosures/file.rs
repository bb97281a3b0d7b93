//! Where the register lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Register;
use crate::small_file;

pub(super) const FILE: &str = "disclosure-register";
/// Octets of the file at most: more than [`super::ROWS_MAX`] rows with all their texts.
const FILE_MAX: u64 = 64 << 20;
const VERSION: u64 = 1;

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of disclosures cannot be read from {path}: {why}. Nothing is started, so that no account that is to be told \
     is forgotten: put the file back as it was, with its key ring"
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

pub(super) fn open(path: &Path) -> Result<Register, Unreadable> {
    let text = small_file::read(path, FILE_MAX).map_err(|error| Unreadable::new(path, error.to_string()))?;
    match text {
        None => Ok(Register::default()),
        Some(text) => {
            read(&text).ok_or_else(|| Unreadable::new(path, "it is not as it was written".to_owned()))
        }
    }
}

pub(super) fn written(register: &Register) -> serde_json::Result<String> {
    let version = VERSION;
    let line = serde_json::to_string(&Filed { version, register })?;
    Ok(small_file::summed(&line))
}

fn read(text: &str) -> Option<Register> {
    let filed: Filed<Register> = serde_json::from_str(small_file::unsummed(text)?).ok()?;
    (filed.version == VERSION).then_some(filed.register)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::some;
    use super::*;

    #[test]
    fn what_was_written_is_read_and_whatever_is_cut_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(open(&path).unwrap(), Register::default());
        for register in [Register::default(), some()] {
            small_file::replace(&path, &written(&register).unwrap()).unwrap();
            assert_eq!(open(&path).unwrap(), register);
        }
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..place]).unwrap();
            let refused = open(&path).unwrap_err().to_string();
            assert!(
                refused.contains(FILE) && refused.contains("no account"),
                "{refused}"
            );
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(open(&path).is_err(), "octet {place}");
        }
        let other = written(&some())
            .unwrap()
            .replace("\"version\":1", "\"version\":2");
        let line = other.lines().next().unwrap();
        fs::write(&path, small_file::summed(line)).unwrap();
        assert!(open(&path).is_err(), "another version");
    }
}
