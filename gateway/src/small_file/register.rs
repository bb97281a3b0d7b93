//! Registers: a line of JSON and its SHA-256, read at a start and replaced as a whole with each change.
//!
//! Legal holds, requests of people, disclosures, cases of abuse, break-glass and notices lie so. The first three and notices are
//! a [`Durable`], which lets nothing be seen that is not on disk; what they have beside their rows (a lock, whom rows are about)
//! is their own. Cases and break-glass are asked by who cannot wait for a write: each has a cell of its own for what is seen, and
//! puts into it what [`OnDisk`] gives back once it is written.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::not_done;
use crate::small_file;

/// Where the keys of a register stand in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Beside `version`, all of them by the alphabet.
    Beside,
    /// Below `register`, as they are declared.
    Below,
}

/// What a register holds, and how its file has it (docs/formats.md).
pub(crate) trait Filed: Serialize + DeserializeOwned + Clone + Default + Send + 'static {
    /// Its file's name in the data directory.
    const FILE: &'static str;
    /// Octets of the file at most: more than as many rows as there may be, with all their texts.
    const FILE_MAX: u64;
    /// The versions that are read, each where it is the one that what the file holds is written in.
    const VERSIONS: &'static [u64] = &[1];
    /// Where its keys stand.
    const FORM: Form;
    /// What it is a register of, for operators.
    const NAME: &'static str;
    /// The same where nothing else says what is meant.
    const FULL_NAME: &'static str = Self::NAME;
    /// What a start without it would put at stake, and what is done where it cannot be read.
    const AT_STAKE: &'static str;

    /// The version that what it holds is written in: the lowest that has it, so that an older program reads what it knows.
    fn version(&self) -> u64 {
        1
    }
}

/// A register is there, and cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error("the register of {name} cannot be read from {path}: {why}. Nothing is started, so that {at_stake}")]
pub struct Unreadable {
    name: &'static str,
    path: String,
    why: String,
    at_stake: &'static str,
}

/// The file of a register.
pub(crate) struct OnDisk<T> {
    path: PathBuf,
    of: PhantomData<fn() -> T>,
}

impl<T: Filed> OnDisk<T> {
    /// That of a data directory, with what it holds: nothing where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written.
    pub(crate) fn open(data: &Path) -> Result<(Self, T), Unreadable> {
        let (path, of) = (data.join(T::FILE), PhantomData);
        let file = Self { path, of };
        let text = small_file::read(&file.path, T::FILE_MAX);
        let register = match text.map_err(|error| file.unreadable(error.to_string()))? {
            None => T::default(),
            Some(text) => read(&text).ok_or_else(|| file.unreadable("it is not as it was written"))?,
        };
        Ok((file, register))
    }

    /// Why nothing is started with it.
    pub(crate) fn unreadable(&self, why: impl Into<String>) -> Unreadable {
        Unreadable {
            name: T::FULL_NAME,
            path: self.path.display().to_string(),
            why: why.into(),
            at_stake: T::AT_STAKE,
        }
    }

    /// Puts a register in the place of what the file holds; gives it back once it is on disk, to be seen from then on.
    ///
    /// # Errors
    ///
    /// In words for an operator; the file may hold it all the same.
    pub(crate) async fn write(&self, register: T) -> Result<T, String> {
        let (register, ()) = self.write_made(move || Ok((register, ()))).await?;
        Ok(register)
    }

    /// The same with what `make` makes on another thread, and what it says of it.
    ///
    /// # Errors
    ///
    /// As `make` and [`Self::write`] say.
    pub(crate) async fn write_made<R: Send + 'static>(
        &self,
        make: impl FnOnce() -> Result<(T, R), String> + Send + 'static,
    ) -> Result<(T, R), String> {
        let path = self.path.clone();
        // A text of several MB where there is much: it is not made on the loop, either.
        let writing = move || {
            let made = make()?;
            put(&path, &made.0)
                .map_err(|error| format!("the register of {} cannot be written: {error}", T::NAME))?;
            Ok::<_, String>(made)
        };
        let written = tokio::task::spawn_blocking(writing).await;
        written.map_err(|error| not_done(&error).to_owned())?
    }
}

impl<T> fmt::Debug for OnDisk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnDisk({})", self.path.display())
    }
}

/// A register as it is: what is seen of it is on disk.
#[derive(Debug)]
pub(crate) struct Durable<T> {
    file: OnDisk<T>,
    register: T,
    writes: u64,
    /// A write has begun and not come to a good end: the file holds the register before or behind it, nobody knows which.
    is_uncertain: bool,
}

impl<T: Filed> Durable<T> {
    /// See [`OnDisk::open`].
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn open(data: &Path) -> Result<Self, Unreadable> {
        let (file, register) = OnDisk::open(data)?;
        Ok(Self {
            file,
            register,
            writes: 0,
            is_uncertain: false,
        })
    }

    /// See [`OnDisk::unreadable`].
    pub(crate) fn unreadable(&self, why: impl Into<String>) -> Unreadable {
        self.file.unreadable(why)
    }

    /// Changes it once the change is on disk; says what `change` says.
    ///
    /// # Errors
    ///
    /// In words for an operator: nothing is changed, though the file may hold it all the same.
    pub(crate) async fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R, String> {
        let mut next = self.register.clone();
        let told = change(&mut next);
        self.replace(next).await?;
        Ok(told)
    }

    /// Puts another in its place once that is on disk.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub(crate) async fn replace(&mut self, next: T) -> Result<(), String> {
        self.is_uncertain = true;
        self.register = self.file.write(next).await?;
        (self.is_uncertain, self.writes) = (false, self.writes + 1);
        Ok(())
    }

    /// Has the file hold what is seen, where a write that failed may have left something else: before a key goes that this needs.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub(crate) async fn make_certain(&mut self) -> Result<(), String> {
        match self.is_uncertain {
            true => self.change(|_| ()).await,
            false => Ok(()),
        }
    }

    /// How often it was written since the start.
    pub(crate) const fn writes(&self) -> u64 {
        self.writes
    }
}

impl<T> Deref for Durable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.register
    }
}

/// Without a file, for tests of what is said of it.
#[cfg(test)]
impl<T: Filed> Default for Durable<T> {
    fn default() -> Self {
        Self::open(Path::new("no directory")).unwrap()
    }
}

#[cfg(test)]
impl<T> std::ops::DerefMut for Durable<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.register
    }
}

/// A line of the form [`Form::Below`].
#[derive(Serialize, Deserialize)]
struct Below<R> {
    version: u64,
    register: R,
}

fn put<T: Filed>(path: &Path, register: &T) -> io::Result<()> {
    let text = small_file::summed(&line(register)?);
    small_file::replace(path, &text)
}

fn line<T: Filed>(register: &T) -> serde_json::Result<String> {
    let version = register.version();
    match T::FORM {
        Form::Below => serde_json::to_string(&Below { version, register }),
        Form::Beside => {
            let mut all = serde_json::to_value(register)?;
            all["version"] = json!(version);
            Ok(all.to_string())
        }
    }
}

fn read<T: Filed>(text: &str) -> Option<T> {
    let line = small_file::unsummed(text)?;
    let (version, register) = match T::FORM {
        Form::Below => {
            let Below { version, register } = serde_json::from_str(line).ok()?;
            (version, register)
        }
        Form::Beside => {
            let all: Value = serde_json::from_str(line).ok()?;
            (all.get("version")?.as_u64()?, serde_json::from_value(all).ok()?)
        }
    };
    let register: T = register;
    // One that says a version and lacks what that one is for has lost it, or was never written.
    (T::VERSIONS.contains(&version) && register.version() == version).then_some(register)
}

/// Octets as hexadecimal digits.
pub(crate) mod digits {
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

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;

    /// Some registers are read as they were written; one that is cut or changed anywhere is refused, and one of another version.
    pub(crate) fn only_what_was_written_is_read<T: Filed + fmt::Debug + PartialEq>(some: &[T]) {
        let dir = tempfile::tempdir().unwrap();
        let open = || OnDisk::<T>::open(dir.path()).map(|(_, register)| register);
        assert_eq!(open().unwrap(), T::default(), "nothing is there");
        let path = dir.path().join(T::FILE);
        for register in [T::default()].iter().chain(some) {
            put(&path, register).unwrap();
            assert_eq!(open().unwrap(), *register);
        }
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            fs::write(&path, &whole[..place]).unwrap();
            let refused = open().unwrap_err().to_string();
            assert!(
                refused.contains(T::FILE) && refused.contains(T::AT_STAKE),
                "{refused}"
            );
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(open().is_err(), "octet {place}");
        }
        let text = String::from_utf8(whole).unwrap();
        let line = text.lines().next().unwrap();
        let own = some.last().map_or_else(|| T::default().version(), T::version);
        for version in (0..=T::VERSIONS.last().unwrap() + 1).filter(|version| *version != own) {
            let other = line.replace(&format!("\"version\":{own}"), &format!("\"version\":{version}"));
            assert_ne!(other, line);
            fs::write(&path, small_file::summed(&other)).unwrap();
            assert!(open().is_err(), "version {version}");
        }
    }

    /// A register that a version has written is written again to the octet.
    pub(crate) fn is_written_to_the_octet<T: Filed>(text: &str) {
        assert_eq!(
            small_file::summed(&line(&read::<T>(text).unwrap()).unwrap()),
            text
        );
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Names(Vec<String>);

    impl Filed for Names {
        const FILE: &'static str = "names";
        const FILE_MAX: u64 = 1 << 10;
        const FORM: Form = Form::Below;
        const NAME: &'static str = "names";
        const AT_STAKE: &'static str = "nobody is forgotten: put it back";
    }

    #[tokio::test]
    async fn nothing_is_seen_that_is_not_on_disk_and_what_may_not_be_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let mut names = Durable::<Names>::open(dir.path()).unwrap();
        let add = |names: &mut Names| names.0.push("ana".to_owned());
        names.change(add).await.unwrap();
        let path = dir.path().join(Names::FILE);
        let before = fs::read(&path).unwrap();
        // Nothing can be put there.
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("in the way")).unwrap();
        let why = names.change(add).await.unwrap_err();
        assert!(
            why.starts_with("the register of names cannot be written: "),
            "{why}"
        );
        assert_eq!((names.0.len(), names.writes()), (1, 1));
        assert!(names.make_certain().await.is_err());
        fs::remove_dir_all(&path).unwrap();
        names.make_certain().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), before);
        // Certain: nothing is written.
        names.make_certain().await.unwrap();
        assert_eq!(names.writes(), 2);
    }
}
