//! The key-encryption key, had from where the configuration says it is: a file, an environment variable or a program.
//!
//! No error repeats what was found, or a variable's name: people sometimes write the key itself where its place belongs.
//!
//! The variable is not taken out of the environment: that cannot be done safely while other threads may read it, and
//! the system shows the environment that the process was started with all the same.
//! [`harden`](crate::hardening::harden) lets nobody but root look there.

use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tidegate_config::KekSource;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{Kek, KekError};
use zeroize::Zeroizing;

/// Octets of a key.
const KEY_LEN: usize = 32;
/// How long a program may take.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// How often it is looked whether a program that has said everything has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What a program may write at most: 64 hex digits and a line end, and one octet to see that there is more.
const OUTPUT_MAX: usize = 2 * KEY_LEN + 3;

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KekError),
    /// The variable is not in the environment.
    #[error("key-encryption key: the environment variable that is named for it is not set")]
    NotSet,
    /// The variable holds something else.
    #[error("key-encryption key: its environment variable must hold exactly 64 hex digits")]
    NoHex,
    /// The program could not be started, or its output not be read.
    #[error("key-encryption key: its program {program}: {source}")]
    Command {
        /// The program, without its arguments.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended with an error, or was killed. What it said of that is not repeated: it may hold secrets.
    #[error("key-encryption key: its program {program} failed ({status}); run it by hand to see why")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
    },
    /// The program took too long and was killed.
    #[error("key-encryption key: its program {program} did not end within {} s", limit.as_secs())]
    Slow {
        /// The program.
        program: String,
        /// How long it may take.
        limit: Duration,
    },
    /// The program wrote something else.
    #[error("key-encryption key: its program {program} must write exactly 32 octets, or 64 hex digits")]
    Output {
        /// The program.
        program: String,
    },
}

/// Has the key from its source. Blocks, up to half a minute for a program.
///
/// # Errors
///
/// See [`SourceError`].
pub fn read<D: Disk>(disk: &D, source: &KekSource) -> Result<Kek, SourceError> {
    octets(disk, source).map(|octets| Kek::new(&octets))
}

/// The same, before a cipher is made of it.
///
/// # Errors
///
/// See [`SourceError`].
pub fn octets<D: Disk>(disk: &D, source: &KekSource) -> Result<Zeroizing<[u8; KEY_LEN]>, SourceError> {
    match source {
        KekSource::File(path) => Ok(Kek::read_octets(disk, path)?),
        KekSource::Env(name) => {
            let value = std::env::var_os(name).ok_or(SourceError::NotSet)?;
            hex(&Zeroizing::new(value.into_vec())).ok_or(SourceError::NoHex)
        }
        KekSource::Command(words) => command(words, COMMAND_TIME),
    }
}

/// 64 hex digits.
pub(crate) fn hex(text: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let digit = |octet: u8| {
        char::from(octet)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != KEY_LEN || !rest.is_empty() {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (to, [high, low]) in key.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(key)
}

fn command(words: &[String], limit: Duration) -> Result<Zeroizing<[u8; KEY_LEN]>, SourceError> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |source| SourceError::Command {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(&program)
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Not ours to repeat: it may say what it should not.
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let output = listen(&mut child).map_err(failed)?;
    let slow = |mut child: Child| {
        // It may have ended just now.
        let _ = child.kill();
        let _ = child.wait();
        Err(SourceError::Slow {
            program: program.clone(),
            limit,
        })
    };
    let Ok(output) = output.recv_timeout(limit) else {
        return slow(child);
    };
    let output = output.map_err(failed)?;
    // One that writes more than it may is stuck with it, or has died of it: whichever, this is no key.
    if output.len() == OUTPUT_MAX {
        let _ = slow(child);
        return Err(SourceError::Output { program });
    }
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if waited >= limit {
            return slow(child);
        }
        pause();
        waited += LOOK_EVERY;
    };
    if !status.success() {
        let status = status.to_string();
        return Err(SourceError::Failed { program, status });
    }
    let line = output.strip_suffix(b"\n").unwrap_or(&output);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match <&[u8; KEY_LEN]>::try_from(output.as_slice()) {
        Ok(raw) => Ok(Zeroizing::new(*raw)),
        Err(_) => hex(line).ok_or(SourceError::Output { program }),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "without a handler of SIGCHLD a child's end can be asked for and not waited for with a limit"
)]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

type Output = io::Result<Zeroizing<Vec<u8>>>;

/// Reads what a program writes, on a thread that may outlast it.
fn listen(child: &mut Child) -> io::Result<mpsc::Receiver<Output>> {
    let stdout = child.stdout.take();
    let (done, output) = mpsc::sync_channel(1);
    let read = move || {
        // Enough room at once: a vector that grows leaves copies.
        let mut octets = Zeroizing::new(Vec::with_capacity(OUTPUT_MAX + 32));
        let read = stdout.map_or(Ok(0), |stdout| {
            stdout.take(OUTPUT_MAX as u64).read_to_end(&mut octets)
        });
        let _ = done.send(read.map(|_| octets));
    };
    std::thread::Builder::new().name("kek".to_owned()).spawn(read)?;
    Ok(output)
}

/// A source that a start of a command names: at most one of its three options.
#[derive(Debug, Default, clap::Args)]
pub struct NewKek {
    /// The other key-encryption key of a rotation: a file of 32 octets.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_kek_env", "new_kek_command"])]
    new_kek_file: Option<std::path::PathBuf>,
    /// The same: an environment variable of 64 hex digits.
    #[arg(long, value_name = "NAME", conflicts_with = "new_kek_command")]
    new_kek_env: Option<String>,
    /// The same: a program and its arguments, one option for each word; it writes 32 octets or 64 hex digits.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    new_kek_command: Vec<String>,
}

impl NewKek {
    /// What was named, if anything.
    ///
    /// # Errors
    ///
    /// What is wrong with the variable's name.
    pub fn source(&self) -> Result<Option<KekSource>, &'static str> {
        match (&self.new_kek_file, &self.new_kek_env, &self.new_kek_command[..]) {
            (Some(path), _, _) => Ok(Some(KekSource::File(path.clone()))),
            (None, Some(name), _) => KekSource::env(name).map(Some),
            (None, None, []) => Ok(None),
            (None, None, words) => Ok(Some(KekSource::Command(words.to_vec()))),
        }
    }
}

/// The other key-encryption keys of rotations that were interrupted, of whichever rings: each ring takes the one that it knows.
#[derive(Debug, Default, clap::Args)]
pub struct OtherKeks {
    /// The other key-encryption key of an interrupted rotation: a file of 32 octets. Once for each ring whose rotation was
    /// interrupted, the main one or a tier's; which it is the ring knows.
    #[arg(long = "new-kek-file", value_name = "FILE")]
    files: Vec<std::path::PathBuf>,
    /// The same: an environment variable of 64 hex digits.
    #[arg(long = "new-kek-env", value_name = "NAME")]
    envs: Vec<String>,
    /// The same: one program and its arguments, one option for each word; it writes 32 octets or 64 hex digits.
    #[arg(long = "new-kek-command", value_name = "WORD", allow_hyphen_values = true)]
    command: Vec<String>,
}

impl OtherKeks {
    /// What was named.
    ///
    /// # Errors
    ///
    /// What is wrong with a variable's name.
    pub fn sources(&self) -> Result<Vec<KekSource>, &'static str> {
        let files = self.files.iter().cloned().map(KekSource::File).map(Ok);
        let envs = self.envs.iter().map(|name| KekSource::env(name));
        let command = (!self.command.is_empty()).then(|| Ok(KekSource::Command(self.command.clone())));
        files.chain(envs).chain(command).collect()
    }
}

/// Where a key is, for people: never what it is.
pub fn place(source: &KekSource) -> String {
    match source {
        KekSource::File(path) => Path::display(path).to_string(),
        KekSource::Env(_) => "of an environment variable".to_owned(),
        KekSource::Command(_) => "of a program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_store::disk::RealDisk;

    fn shell(script: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, SourceError> {
        let words = ["sh", "-c", script].map(str::to_owned);
        command(&words, Duration::from_secs(20))
    }

    #[test]
    fn a_program_writes_octets_or_hex_digits() {
        let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
        let key = shell(&format!("printf {digits}")).unwrap();
        assert_eq!(
            key[..12],
            [
                0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xab, 0xcd, 0xef, 0x01
            ]
        );
        assert_eq!(shell(&format!("echo {digits}")).unwrap(), key);
        assert_eq!(
            *shell("printf '01234567890123456789012345678901'").unwrap(),
            *b"01234567890123456789012345678901"
        );
        let other = "0123456789abcdefABCDEF012345678g".repeat(2);
        for script in [
            "true",
            "printf 0123456789012345678901234567890",
            &format!("echo {other}"),
            "cat /dev/zero",
        ] {
            let told = shell(script).unwrap_err();
            assert!(matches!(told, SourceError::Output { .. }), "{script}: {told}");
        }
    }

    #[test]
    fn a_program_that_fails_or_stays_is_told_of_without_its_words() {
        let told = shell("echo secret words; echo more secrets >&2; exit 3").unwrap_err();
        assert!(matches!(&told, SourceError::Failed { .. }));
        assert!(!told.to_string().contains("secret") && told.to_string().contains("exit status: 3"));
        let words = ["/nowhere/at/all".to_owned(), "secret".to_owned()];
        let told = command(&words, COMMAND_TIME).unwrap_err();
        assert!(matches!(told, SourceError::Command { .. }) && !told.to_string().contains("secret"));
        let stays = ["sh", "-c", "exec sleep 600"].map(str::to_owned);
        let told = command(&stays, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(told, SourceError::Slow { .. }), "{told}");
        // One that has said everything and does not end.
        let stays = ["sh", "-c", "exec sleep 600 >&-"].map(str::to_owned);
        let told = command(&stays, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(told, SourceError::Slow { .. }), "{told}");
    }

    #[test]
    fn a_variable_that_is_not_there_or_holds_no_key_is_told_of_without_it() {
        let told = read(&RealDisk, &KekSource::Env("TIDEGATE_NOT_THERE".to_owned())).unwrap_err();
        assert!(matches!(told, SourceError::NotSet) && !told.to_string().contains("TIDEGATE_NOT"));
        // One that every process has.
        let told = read(&RealDisk, &KekSource::Env("PATH".to_owned())).unwrap_err();
        assert!(matches!(told, SourceError::NoHex));
    }
}
