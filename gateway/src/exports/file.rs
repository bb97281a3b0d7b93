//! The file of an export: a head in clear, which names no person, and rows in sealed frames.
//!
//! ```text
//! "tidexp1\n" │ n u32 │ head: n octets of JSON │ frames │ 0 u32, rows u64, unreadable u64
//! frame:  n u32 │ n octets, sealed: { 1 for the last or 0, u8 │ text }
//! ```
//!
//! Integers are big endian. Frame 0 holds the head once more, so that nobody changes it unnoticed; rows begin in frame 1. Each is bound
//! to the account and its number, and the last says that it is: what was cut off or put elsewhere does not open. While a file is made its
//! name ends in `.making`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::seal::{Aad, Purpose, SealKey};

use super::{Export, Format, OCTETS_MAX, State, What};

pub(super) const DIR: &str = "exports";
const SUFFIX: &str = "export";
const MAKING: &str = "making";
const MAGIC: &[u8; 8] = b"tidexp1\n";
/// What kind of record a frame is, beside those of the store.
const AAD_KIND: u8 = 0xe0;
const VERSION: u8 = 1;
/// Octets of rows before a frame is closed: a row is never cut.
const FRAME: usize = 24 * 1024;
/// Octets of a frame at most: one row may be long.
const FRAME_MAX: u32 = 1 << 20;
const HEAD_MAX: u32 = 4_096;
/// What stands behind the last frame.
const TRAILER: usize = 20;

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number: when it was begun, in unix milliseconds, unless another has that.
    pub number: u64,
    /// Whose.
    pub account: SystemId,
    /// For this disclosure only (LEG-7).
    pub disclosure: Option<u32>,
    /// Of one person only: for this request.
    pub request: Option<u32>,
    /// Of what.
    pub what: What,
    /// How it is written.
    pub format: Format,
    /// Of messages that ended from then on, in unix milliseconds.
    pub since_ms: u64,
    /// And until then.
    pub until_ms: u64,
    /// Nobody reads it from then on.
    pub ends_ms: u64,
}

impl Head {
    fn octets(&self) -> Vec<u8> {
        let mut head = json!({
            "number": self.number,
            "account": self.account.as_str(),
            "what": self.what.word(),
            "format": self.format.word(),
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "ends_ms": self.ends_ms,
        });
        if let Some(disclosure) = self.disclosure {
            head["disclosure"] = json!(disclosure);
        }
        if let Some(request) = self.request {
            head["request"] = json!(request);
        }
        head.to_string().into_bytes()
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let head: Value = serde_json::from_slice(octets).ok()?;
        let word = |key: &str| head[key].as_str();
        Some(Self {
            number: head["number"].as_u64()?,
            account: SystemId::new(word("account")?.as_bytes()).ok()?,
            disclosure: match &head["disclosure"] {
                Value::Null => None,
                disclosure => Some(u32::try_from(disclosure.as_u64()?).ok()?),
            },
            request: match &head["request"] {
                Value::Null => None,
                request => Some(u32::try_from(request.as_u64()?).ok()?),
            },
            what: What::ALL
                .into_iter()
                .find(|what| word("what") == Some(what.word()))?,
            format: Format::ALL
                .into_iter()
                .find(|format| word("format") == Some(format.word()))?,
            since_ms: head["since_ms"].as_u64()?,
            until_ms: head["until_ms"].as_u64()?,
            ends_ms: head["ends_ms"].as_u64()?,
        })
    }

    fn aad(&self, frame: u32) -> Aad {
        Aad {
            account: Some(self.account),
            kind: AAD_KIND,
            version: VERSION,
            id: frame.into(),
            leg: 0,
        }
    }
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(number.to_string()).with_extension(SUFFIX)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What there is, by number.
pub(super) fn found(dir: &Path) -> io::Result<BTreeMap<u64, Export>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let export = match extension {
            Some(SUFFIX) => kept(&path),
            Some(MAKING) => Err(invalid("it was not made to its end")),
            // Nothing of ours.
            _ => continue,
        };
        match export {
            Ok(export) => drop(found.insert(export.head.number, export)),
            Err(error) => {
                tracing::warn!(%error, "an export is removed: it can be made anew");
                if let Err(error) = fs::remove_file(&path) {
                    tracing::error!(%error, "an export that cannot be read cannot be removed, either");
                }
            }
        }
    }
    Ok(found)
}

/// A file that was made to its end.
fn kept(path: &Path) -> io::Result<Export> {
    let mut file = File::open(path)?;
    let octets = file.metadata()?.len();
    let (mut magic, mut length) = ([0; MAGIC.len()], [0; 4]);
    file.read_exact(&mut magic)?;
    file.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if magic != *MAGIC || length > HEAD_MAX {
        return Err(invalid("it is no export of this version"));
    }
    let mut head = vec![0; length as usize];
    file.read_exact(&mut head)?;
    let head = Head::read(&head).ok_or_else(|| invalid("its head says nothing"))?;
    if path.file_stem().and_then(|stem| stem.to_str()) != Some(&head.number.to_string()) {
        return Err(invalid("it lies under another's name"));
    }
    // The head's copy is passed over.
    file.read_exact(&mut magic[..4])?;
    let copy = u32::from_be_bytes([magic[0], magic[1], magic[2], magic[3]]);
    let first_at = file.stream_position()? + u64::from(copy);
    let trailer_at = octets.checked_sub(TRAILER as u64).filter(|at| *at >= first_at);
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::Start(
        trailer_at.ok_or_else(|| invalid("it was cut off"))?,
    ))?;
    file.read_exact(&mut trailer)?;
    let word = |at: usize| {
        let octets = trailer.get(at..at + 8).and_then(|octets| octets.try_into().ok());
        octets.map_or(0, u64::from_be_bytes)
    };
    Ok(Export {
        head,
        state: State::Ready { first_at },
        rows: word(4),
        octets,
        unreadable: word(12),
        goes_on: None,
        is_fetched: false,
        is_given_up: false,
    })
}

/// A file that is being made. Its calls block.
pub(super) struct Sheet {
    head: Head,
    dir: PathBuf,
    file: BufWriter<File>,
    key: Arc<SealKey>,
    rng: ChaCha20Rng,
    text: String,
    frame: u32,
    octets: u64,
    first_at: u64,
    rows: u64,
}

/// What a file has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) rows: u64,
    pub(super) octets: u64,
    pub(super) first_at: u64,
}

impl Sheet {
    pub(super) fn begin(dir: &Path, head: Head, key: Arc<SealKey>, rng: ChaCha20Rng) -> io::Result<Self> {
        if !dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            if let Some(parent) = dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path(dir, head.number).with_extension(MAKING))?;
        let mut sheet = Self {
            dir: dir.to_owned(),
            file: BufWriter::new(file),
            key,
            rng,
            text: String::new(),
            frame: 0,
            octets: 0,
            first_at: 0,
            rows: 0,
            head,
        };
        let head = sheet.head.octets();
        sheet.write(MAGIC)?;
        sheet.write(&length(head.len())?.to_be_bytes())?;
        sheet.write(&head)?;
        sheet.text = String::from_utf8(head).unwrap_or_default();
        sheet.close_frame(false)?;
        sheet.first_at = sheet.octets;
        Ok(sheet)
    }

    /// Whose it is, how many rows it has, and octets of its frames so far.
    pub(super) const fn so_far(&self) -> (u64, u64, u64) {
        (self.head.number, self.rows, self.octets)
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.octets += octets.len() as u64;
        self.file.write_all(octets)
    }

    fn close_frame(&mut self, is_last: bool) -> io::Result<()> {
        let (aad, text) = (self.head.aad(self.frame), std::mem::take(&mut self.text));
        let mut sealed = Vec::with_capacity(text.len() + 64);
        let plain = |out: &mut Vec<u8>| {
            out.push(u8::from(is_last));
            out.extend_from_slice(text.as_bytes());
        };
        self.key
            .seal(&aad, &mut self.rng, &mut sealed, plain)
            .map_err(io::Error::other)?;
        self.frame += 1;
        self.write(&length(sealed.len())?.to_be_bytes())?;
        self.write(&sealed)
    }

    /// A row, or what stands above all rows.
    pub(super) fn put(&mut self, row: &str, is_row: bool) -> io::Result<()> {
        if self.octets + self.text.len() as u64 + row.len() as u64 > OCTETS_MAX {
            return Err(io::Error::other(
                "it would have more than 1 GiB: ask for a shorter time",
            ));
        }
        self.text.push_str(row);
        self.rows += u64::from(is_row);
        match self.text.len() >= FRAME {
            true => self.close_frame(false),
            false => Ok(()),
        }
    }

    /// All is written; it is there under its name when this returns.
    pub(super) fn finish(mut self, unreadable: u64) -> io::Result<Done> {
        self.close_frame(true)?;
        self.write(&[0; 4])?;
        self.write(&self.rows.to_be_bytes())?;
        self.write(&unreadable.to_be_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let made = path(&self.dir, self.head.number);
        fs::rename(made.with_extension(MAKING), made)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(Done {
            rows: self.rows,
            octets: self.octets,
            first_at: self.first_at,
        })
    }
}

/// Takes a file away, made or not.
pub(super) fn remove(dir: &Path, number: u64) -> io::Result<()> {
    let made = path(dir, number);
    for path in [made.with_extension(MAKING), made] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn length(octets: usize) -> io::Result<u32> {
    let length = u32::try_from(octets).ok();
    length
        .filter(|length| *length <= FRAME_MAX)
        .ok_or_else(|| io::Error::other("a row of more than 1 MiB"))
}

/// Rows that were read, and where the next lie.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) text: String,
    pub(crate) next_at: Option<u64>,
}

/// Reads a frame of rows. Blocks.
///
/// # Errors
///
/// There is none at this place, or it does not open.
pub(crate) fn read_frame(
    path: &Path,
    head: &Head,
    key: &SealKey,
    (frame, at): (u32, u64),
) -> io::Result<Frame> {
    let mut file = File::open(path)?;
    let mut open = |frame: u32, at: u64| -> io::Result<(bool, String, u64)> {
        file.seek(SeekFrom::Start(at))?;
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > FRAME_MAX {
            return Err(invalid("no frame begins there"));
        }
        let mut sealed = vec![0; length as usize];
        file.read_exact(&mut sealed)?;
        let opened = key.open(&head.aad(frame), &mut sealed, Purpose::Export);
        let (is_last, text) = opened
            .map_err(|error| invalid(&error.to_string()))?
            .split_first()
            .ok_or_else(|| invalid("an empty frame"))?;
        let text = String::from_utf8(text.to_vec()).map_err(|_| invalid("a frame that is no text"))?;
        Ok((*is_last != 0, text, at + 4 + u64::from(length)))
    };
    // What the head says in clear, nobody has changed.
    let own = head.octets();
    let (_, copy, _) = open(0, MAGIC.len() as u64 + 4 + own.len() as u64)?;
    if copy.as_bytes() != own {
        return Err(invalid("its head is not as it was written"));
    }
    if frame == 0 {
        return Err(invalid("rows begin with frame 1"));
    }
    let (is_last, text, next_at) = open(frame, at)?;
    Ok(Frame {
        text,
        next_at: (!is_last).then_some(next_at),
    })
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;
    use tidegate_store::seal::KeyId;

    use super::*;

    fn head() -> Head {
        Head {
            number: 7,
            account: SystemId::new(b"load").unwrap(),
            disclosure: Some(9),
            request: Some(9),
            what: What::Texts,
            format: Format::Csv,
            since_ms: 1,
            until_ms: 2,
            ends_ms: 3,
        }
    }

    fn made(dir: &Path, rows: usize) -> (SealKey, Done) {
        let key = Arc::new(SealKey::new(KeyId(5), &[7; 32]));
        let rng = ChaCha20Rng::seed_from_u64(1);
        let mut sheet = Sheet::begin(dir, head(), Arc::clone(&key), rng).unwrap();
        sheet.put("title\r\n", false).unwrap();
        for row in 0..rows {
            sheet
                .put(&format!("{row},447700900123 {}\r\n", "x".repeat(100)), true)
                .unwrap();
        }
        let done = sheet.finish(2).unwrap();
        (SealKey::new(KeyId(5), &[7; 32]), done)
    }

    fn all(dir: &Path, head: &Head, key: &SealKey, done: &Done) -> io::Result<String> {
        let (mut text, mut frame, mut at) = (String::new(), 1, done.first_at);
        loop {
            let read = read_frame(&path(dir, 7), head, key, (frame, at))?;
            text.push_str(&read.text);
            match read.next_at {
                Some(next) => (frame, at) = (frame + 1, next),
                None => return Ok(text),
            }
        }
    }

    #[test]
    fn rows_are_read_as_they_were_put_and_lie_nowhere_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("exports");
        let (key, done) = made(&dir, 1_000);
        let text = all(&dir, &head(), &key, &done).unwrap();
        assert!(text.starts_with("title\r\n0,447700900123"));
        assert_eq!(text.lines().count(), 1_001);
        let octets = fs::read(path(&dir, 7)).unwrap();
        assert!(!octets.windows(12).any(|part| part == b"447700900123"));
        let found = found(&dir).unwrap();
        let export = &found[&7];
        assert_eq!(
            (export.rows, export.unreadable, &export.head),
            (1_000, 2, &head())
        );
        assert_eq!(export.octets, octets.len() as u64);
        assert_eq!(
            export.state,
            State::Ready {
                first_at: done.first_at
            }
        );
    }

    #[test]
    fn what_was_cut_changed_or_put_elsewhere_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (key, done) = made(dir, 1_000);
        let later = Head { ends_ms: 4, ..head() };
        assert!(all(dir, &later, &key, &done).is_err());
        let other = SealKey::new(KeyId(5), &[8; 32]);
        assert!(all(dir, &head(), &other, &done).is_err());
        // The second frame in the place of the first.
        let first = read_frame(&path(dir, 7), &head(), &key, (1, done.first_at)).unwrap();
        assert!(read_frame(&path(dir, 7), &head(), &key, (1, first.next_at.unwrap())).is_err());
        let mut octets = fs::read(path(dir, 7)).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        fs::write(path(dir, 7), &octets).unwrap();
        assert!(all(dir, &head(), &key, &done).is_err());
        fs::write(path(dir, 7), &octets[..middle]).unwrap();
        assert!(all(dir, &head(), &key, &done).is_err());
    }

    #[test]
    fn what_was_not_made_to_its_end_goes_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(SealKey::new(KeyId(5), &[7; 32]));
        let sheet = Sheet::begin(dir.path(), head(), key, ChaCha20Rng::seed_from_u64(1)).unwrap();
        drop(sheet);
        assert_eq!(found(dir.path()).unwrap(), BTreeMap::new());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
