//! Small files of the data directory that are replaced as a whole: what was there, or what is new, and nothing between.

pub(crate) mod register;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// What stands in a file, up to `max` octets; `None` where there is none.
///
/// # Errors
///
/// It cannot be read, is longer, or is no text.
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max {
        let why = format!("longer than {max} octets");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(text))
}

/// Puts a text in the place of what a file holds, for its owner alone. Blocks until it is on disk.
///
/// # Errors
///
/// What the system said. The old text stands, unless only the directory could not be synced.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn sum(line: &str) -> String {
    let digest = Sha256::digest(line.as_bytes());
    digest.iter().fold(String::new(), |mut text, octet| {
        // A String takes everything.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A line and, behind it, its SHA-256: a file that was cut short, or changed in a letter, shows it.
pub(crate) fn summed(line: &str) -> String {
    format!("{line}\n{}\n", sum(line))
}

/// The line of such a file; `None` where it is not as it was written.
pub(crate) fn unsummed(text: &str) -> Option<&str> {
    let (line, rest) = text.split_once('\n')?;
    (rest.strip_suffix('\n') == Some(sum(line).as_str())).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders");
        assert_eq!(read(&path, 4).unwrap(), None);
        for text in ["one", "four", ""] {
            replace(&path, text).unwrap();
            assert_eq!(read(&path, 4).unwrap().as_deref(), Some(text));
        }
        replace(&path, "five5").unwrap();
        assert!(read(&path, 4).is_err());
        fs::write(&path, [0xff]).unwrap();
        assert!(read(&path, 4).is_err(), "no text");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
