//! Files that the configuration names and that are part of it: the instructions of accounts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use tidegate_config::{Config, Problems, parse_with};

/// Octets of one such file, at most: some hundred rules with long lists of senders have a tenth of that.
const DOCUMENT_MAX: u64 = 16 << 20;

/// Reads a configuration from its text and the files that it names. Reads from the disk, so not on the loop's thread.
///
/// # Errors
///
/// Everything that is wrong with any of them.
pub fn parse(text: &str) -> Result<Config, Problems> {
    parse_with(text, &document)
}

fn document(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    // A pipe without a writer would be waited for without end.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err("not a file".to_owned()),
        _ => {}
    }
    let read = File::open(path).and_then(|file| file.take(DOCUMENT_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(octets) if octets as u64 > DOCUMENT_MAX => Err(format!("longer than {DOCUMENT_MAX} octets")),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
