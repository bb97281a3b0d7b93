//! Carriers' passwords, read from where the configuration says they are.
//!
//! No error repeats the source: people sometimes write the password itself where its file or variable
//! belongs, and errors go to logs. The carrier's name says which one is meant.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password};
use tidegate_config::SecretSource;
use zeroize::Zeroizing;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("password_file cannot be read: {0}")]
    File(io::Error),
    /// The variable is not in the environment.
    #[error("the environment variable that password_env names is not set")]
    NotSet,
    /// More than 64 octets, or a NUL among them. Never cut (SEC-2).
    #[error("the password has more than {} octets or holds a NUL", PASSWORD_MAX_LENIENT - 1)]
    Unfit,
}

/// A password that was found.
#[derive(Debug)]
pub struct Found {
    /// The password.
    pub password: Password,
    /// Others than the file's owner can read it: a warning, since some systems hand out secrets so.
    pub exposed: bool,
}

/// Longest line end that does not belong to the password.
const LINE_END_MAX: usize = 2;

/// Reads a password, from the file or the environment of this process.
pub fn read(source: &SecretSource) -> Result<Found, SecretError> {
    read_with(source, |name| std::env::var_os(name))
}

fn read_with(
    source: &SecretSource,
    environment: impl FnOnce(&str) -> Option<OsString>,
) -> Result<Found, SecretError> {
    let (octets, exposed) = match source {
        SecretSource::File(path) => read_file(path).map_err(SecretError::File)?,
        SecretSource::Env(name) => {
            let value = environment(name).ok_or(SecretError::NotSet)?;
            (Zeroizing::new(value.into_vec()), false)
        }
    };
    let password = Password::new(without_line_end(&octets), PASSWORD_MAX_LENIENT);
    Ok(Found {
        password: password.map_err(|_| SecretError::Unfit)?,
        exposed,
    })
}

fn read_file(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, bool)> {
    let file = File::open(path)?;
    let exposed = file.metadata()?.permissions().mode() & 0o044 != 0;
    // One more than fits, to see that it does not. Enough room at once: a vector that grows leaves copies.
    let most = PASSWORD_MAX_LENIENT + LINE_END_MAX;
    let mut octets = Zeroizing::new(Vec::with_capacity(most + 32));
    file.take(most as u64).read_to_end(&mut octets)?;
    Ok((octets, exposed))
}

/// One line end, as editors and `echo` leave it, is not part of a password; a second one would be.
fn without_line_end(octets: &[u8]) -> &[u8] {
    let rest = octets.strip_suffix(b"\n").unwrap_or(octets);
    if rest.len() < octets.len() {
        rest.strip_suffix(b"\r").unwrap_or(rest)
    } else {
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn from_file(octets: &[u8], mode: u32) -> Result<Found, SecretError> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("password");
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&SecretSource::File(path))
    }

    #[test]
    fn one_line_end_is_not_part_of_the_password() {
        let long = [b'a'; 64];
        for (content, expected) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret\n\n", b"secret\n"),
            (b"secret\r", b"secret\r"),
            (b" secret ", b" secret "),
            (b"\n", b""),
            (&[&long[..], b"\r\n"].concat(), &long),
        ] {
            let found = from_file(content, 0o600).unwrap();
            assert_eq!(found.password.expose(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_cut() {
        for content in [
            &[b'a'; 65][..],
            &[b'a'; 66],
            &[b'a'; 67],
            &[b'a'; 5000],
            &[&[b'a'; 65][..], b"\n"].concat(),
            &[&[b'a'; 64][..], b"\r\n\n"].concat(),
            b"a\0b",
        ] {
            assert!(matches!(from_file(content, 0o600), Err(SecretError::Unfit)));
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_noticed() {
        for (mode, exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            assert_eq!(from_file(b"secret", mode).unwrap().exposed, exposed, "{mode:o}");
        }
    }

    #[test]
    fn a_variable_counts_as_a_file_does() {
        let source = SecretSource::Env("TIDEGATE_A".to_owned());
        let found = read_with(&source, |name| (name == "TIDEGATE_A").then(|| "secret\n".into())).unwrap();
        assert_eq!(found.password.expose(), b"secret");
        assert!(matches!(read_with(&source, |_| None), Err(SecretError::NotSet)));
    }

    #[test]
    fn an_error_does_not_say_where_the_password_was_sought() {
        // Here somebody wrote the password where its file belongs.
        let error = read(&SecretSource::File(PathBuf::from("hunter2/hunter2"))).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(
            told.contains("password_file") && !told.contains("hunter2"),
            "{told}"
        );
    }
}
