//! Where the register lies: a line of JSON and the SHA-256 of that line, replaced as a whole.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Register;
use crate::small_file;

pub(super) const FILE: &str = "access-register";
/// Octets of the file at most: more than [`super::ROWS_MAX`] grants with all their texts.
const FILE_MAX: u64 = 8 << 20;
const VERSION: u64 = 1;

/// The register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the register of break-glass cannot be read from {path}: {why}. Nothing is started, so that no account that is to be told is \
     forgotten: put the file back as it was, or remove it and tell them by the audit log"
)]
pub struct Unreadable {
    path: String,
    why: String,
}

#[derive(Serialize, Deserialize)]
struct Filed<R> {
    version: u64,
    register: R,
}

pub(super) fn open(path: &Path) -> Result<Register, Unreadable> {
    let unreadable = |why: String| Unreadable {
        path: path.display().to_string(),
        why,
    };
    let text = small_file::read(path, FILE_MAX).map_err(|error| unreadable(error.to_string()))?;
    match text {
        None => Ok(Register::default()),
        Some(text) => read(&text).ok_or_else(|| unreadable("it is not as it was written".to_owned())),
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
