//! Which forms the files of the data directory have, against those that this program reads (docs/formats.md).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

use super::{Finding, Level, Site};
use crate::installation::{LAYOUT, LAYOUT_FILE};

/// Files that are looked into, of one directory.
const FILES_MAX: usize = 10_000;
/// Octets that a form is told by.
const HEAD: usize = 9;
/// The version in files that have an octet for it; there has been no other.
const VERSION: u8 = 1;
/// Octets of a register at most: the largest may have so many.
const REGISTER_MAX: u64 = 128 << 20;
/// How all marks but that of an export begin.
const OURS: &[u8] = b"TG";
/// Files that a finding names.
const NAMED_MAX: usize = 3;

/// Files that begin with a mark of their form.
struct Marked {
    dir: &'static str,
    /// How names of such files end, or all of the name.
    name: &'static str,
    /// What they may begin with; all read by this program.
    marks: &'static [&'static [u8]],
    /// Where an octet has their version, if one has.
    version_at: Option<usize>,
}

const MARKED: &[Marked] = &[
    marked("spool", ".spool", &[b"TGSPOOL1"], None),
    marked("waiting", ".waiting", &[b"TGWAIT01"], None),
    marked("outbox", ".waiting", &[b"TGWAIT01"], None),
    marked("usage", "usage-a", &[b"TGUS"], Some(4)),
    marked("usage", "usage-b", &[b"TGUS"], Some(4)),
    marked("standing", ".standing", &[b"TGSTAND1", b"TGSTAND2"], None),
    marked("standing", ".sent", &[b"TGSTAND1", b"TGSTAND2"], None),
    marked("history", "position", &[b"TGHIST01", b"TGHIST02"], None),
    marked("history/*", ".blocks", &[b"TGHB"], Some(8)),
    marked("history/*", ".filter", &[b"TGHF"], Some(8)),
    marked("history/*", ".draft", &[b"TGHB"], Some(8)),
    // Its first octets are a length and a sum.
    marked("history", "stats", &[b""], Some(8)),
    marked("history/vault", ".sealed", &[b"TGHB"], Some(8)),
    marked("audit", ".log", &[b"TGAU"], Some(4)),
    marked("audit", "next", &[b"TGAU"], Some(4)),
    marked("audit", "signing-key", &[b"TGAK"], Some(4)),
    marked("audit", "anchor", &[b"TGAA"], Some(4)),
    marked("exports", ".export", &[b"tidexp1\n"], None),
];

const fn marked(
    dir: &'static str,
    name: &'static str,
    marks: &'static [&'static [u8]],
    version_at: Option<usize>,
) -> Marked {
    Marked {
        dir,
        name,
        marks,
        version_at,
    }
}

/// Registers, a line of JSON each, and the last version of each that this program reads.
const REGISTERS: &[(&str, u64)] = &[
    ("operator-orders", 4),
    ("legal-register", 2),
    ("cases", 3),
    ("notices", 1),
    ("subject-register", 1),
    ("disclosure-register", 1),
    ("access-register", 1),
    ("history/sweep", 2),
];

/// What was found in a data directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    /// Whether its layout is the one that this program knows; none where it has no file of that.
    layout: Option<bool>,
    /// Files by the mark of their form.
    known: BTreeMap<String, u64>,
    /// Files of another form, with their marks.
    unknown: Vec<String>,
    /// Files that could not be read.
    unread: Vec<String>,
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| vec![judge(&Facts::of(&config.storage.data))])
}

/// What a start would be refused for, if files are of a form that this program does not know.
pub(crate) fn unknown_form(data: &Path) -> Option<String> {
    let found = judge(&Facts::of(data));
    (found.level == Level::Error).then_some(found.found)
}

impl Facts {
    fn of(data: &Path) -> Self {
        let layout = open_regular(&data.join(LAYOUT_FILE)).ok().and_then(|file| {
            let mut octets = Vec::new();
            file.take(LAYOUT.len() as u64 + 1).read_to_end(&mut octets).ok()?;
            Some(octets)
        });
        let mut facts = Self {
            layout: layout.map(|octets| octets == LAYOUT),
            ..Self::default()
        };
        for form in MARKED {
            for dir in dirs(data, form.dir) {
                let files = fs::read_dir(dir).into_iter().flatten().flatten();
                let named = files.filter(|file| file.file_name().to_string_lossy().ends_with(form.name));
                for file in named.take(FILES_MAX) {
                    facts.take_marked(form, &file.path(), data);
                }
            }
        }
        for (name, last) in REGISTERS {
            facts.take_register(&data.join(name), name, *last);
        }
        facts
    }

    fn take_marked(&mut self, form: &Marked, path: &Path, data: &Path) {
        let name = || path.strip_prefix(data).unwrap_or(path).display().to_string();
        let mut head = Vec::with_capacity(HEAD);
        match open_regular(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head)) {
            Ok(_) => {}
            // It has gone since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => return self.unread.push(name()),
        }
        // Reserved, and not begun; or cut off before its first octets were synced.
        if head.len() < HEAD || head.iter().all(|octet| *octet == 0) {
            return;
        }
        let version = form
            .version_at
            .map(|at| head.get(at).copied().unwrap_or_default());
        match form.marks.iter().find(|mark| head.starts_with(mark)) {
            Some(mark) if version.is_none_or(|version| version == VERSION) => {
                let version = version.map_or_else(String::new, |version| format!(" {version}"));
                let mark = if mark.is_empty() {
                    form.name.to_owned()
                } else {
                    shown(mark)
                };
                *self.known.entry(format!("{mark}{version}")).or_default() += 1;
            }
            // Octets of what is no form of ours may be anything, a text of somebody's among it.
            Some(_) | None if !head.starts_with(OURS) => self.unknown.push(name()),
            Some(_) | None => self.unknown.push(format!("{} ({})", name(), shown(&head))),
        }
    }

    fn take_register(&mut self, path: &Path, name: &str, last: u64) {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let mut line = String::new();
        let read =
            open_regular(path).and_then(|file| BufReader::new(file.take(REGISTER_MAX)).read_line(&mut line));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => return self.unread.push(name.to_owned()),
        }
        match serde_json::from_str::<Versioned>(&line) {
            Ok(Versioned { version }) if (1..=last).contains(&version) => {
                *self.known.entry(format!("{name} {version}")).or_default() += 1;
            }
            Ok(Versioned { version }) => self.unknown.push(format!("{name} (version {version})")),
            Err(_) => self.unread.push(name.to_owned()),
        }
    }
}

/// Opens a file, and nothing else that may lie there by its name: a link to another place, or a pipe that nobody writes to.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// The directory, or of `DIR/*` each below it.
fn dirs(data: &Path, dir: &str) -> Vec<PathBuf> {
    let Some(above) = dir.strip_suffix("/*") else {
        return vec![data.join(dir)];
    };
    let all = fs::read_dir(data.join(above)).into_iter().flatten().flatten();
    all.map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .take(FILES_MAX)
        .collect()
}

/// A mark's letters, and its other octets as numbers.
fn shown(mark: &[u8]) -> String {
    mark.iter()
        .map(|octet| match octet {
            b'!'..=b'~' => char::from(*octet).to_string(),
            b'\n' => String::new(),
            other => format!(" {other}"),
        })
        .collect()
}

fn judge(facts: &Facts) -> Finding {
    let Facts {
        layout,
        known,
        unknown,
        unread,
    } = facts;
    let some = |names: &[String]| {
        let more = if names.len() > NAMED_MAX { ", …" } else { "" };
        let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
        format!("{}{more}", shown.join(", "))
    };
    if *layout == Some(false) {
        return Finding::error(
            "the layout of the data directory is none that this program knows",
            "start the version that wrote it, or a newer one (CHANGELOG.md); or let storage.data name another directory",
        );
    }
    if !unknown.is_empty() {
        return Finding::error(
            format!("of a form that this program does not know: {}", some(unknown)),
            "do not start this program on it: start the version that wrote it, or a newer one (CHANGELOG.md)",
        );
    }
    if !unread.is_empty() {
        return Finding::warning(
            format!("cannot be read: {}", some(unread)),
            "run this as root or as the gateway's user; of a file that is damaged a start says what to do",
        );
    }
    let forms: Vec<String> = known
        .iter()
        .map(|(form, count)| format!("{form}: {count}"))
        .collect();
    match layout {
        Some(_) if forms.is_empty() => Finding::ok("layout 1, and nothing in it yet"),
        Some(_) => Finding::ok(format!("layout 1; files by form: {}", forms.join(", "))),
        None => Finding::ok("there is no data directory yet"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn data(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Facts) {
        let dir = tempfile::tempdir().unwrap();
        for (name, octets) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, octets).unwrap();
        }
        let facts = Facts::of(dir.path());
        (dir, facts)
    }

    #[test]
    fn forms_that_are_read_are_counted_and_another_is_an_error_by_its_name() {
        let sound: &[(&str, &[u8])] = &[
            ("layout", LAYOUT),
            ("spool/1.spool", b"TGSPOOL1...."),
            ("spool/2.spool", &[0; 64]),
            ("history/meta-P90D/2026-1.blocks", b"TGHB....\x01."),
            ("legal-register", b"{\"version\":2,\"last\":7}\nsum\n"),
        ];
        let (_dir, facts) = data(sound);
        assert!(facts.unknown.is_empty() && facts.unread.is_empty(), "{facts:?}");
        assert_eq!(
            facts
                .known
                .iter()
                .map(|(form, count)| (form.as_str(), *count))
                .collect::<Vec<_>>(),
            [("TGHB 1", 1), ("TGSPOOL1", 1), ("legal-register 2", 1)]
        );
        assert_eq!(judge(&facts).level, Level::Ok);
        for (name, octets) in [
            ("spool/1.spool", &b"TGSPOOL2...."[..]),
            ("history/meta-P90D/2026-1.blocks", b"TGHB....\x02."),
            ("legal-register", b"{\"version\":3}\n"),
            ("layout", b"tidegate data directory, layout 2\n"),
        ] {
            let mut files = sound.to_vec();
            files.push((name, octets));
            let told = judge(&data(&files).1);
            assert_eq!(told.level, Level::Error, "{told:?}");
            assert!(told.found.contains(name), "{told:?}");
        }
        let mut files = sound.to_vec();
        files.push(("cases", b"no JSON"));
        assert_eq!(judge(&data(&files).1).level, Level::Warning);
    }

    /// Files of the data directory in docs/formats.md that say which form they have.
    fn documented() -> BTreeSet<(String, String)> {
        let text = include_str!("../../../docs/formats.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `data/"));
        let mut all = BTreeSet::new();
        for row in rows {
            let (files, rest) = row.split_once(" |").unwrap();
            let form = rest.rsplit('|').nth(1).unwrap();
            if ![
                "TG",
                "tidexp",
                "`version`",
                "version octet",
                "as blocks",
                "the same",
            ]
            .iter()
            .any(|word| form.contains(word))
            {
                continue;
            }
            let mut dir = String::new();
            for file in format!("`{files}").split(", ").map(|file| file.trim_matches('`')) {
                let file = file.trim_start_matches('`');
                // A second file of a row lies where its first does.
                let name = file.rsplit_once('/').map_or(file, |(of, name)| {
                    dir = of.to_owned();
                    name
                });
                // Indexes are directories and can be made anew; a public key is a text, the socket no file.
                if name.is_empty() || name == ".pub" || name == "control" {
                    continue;
                }
                let end = name.rfind('.').map_or(name, |dot| &name[dot..]);
                all.insert((dir.replace("C-L", "*"), end.to_owned()));
            }
        }
        all
    }

    #[test]
    fn every_form_of_the_document_is_known_here_and_none_beside() {
        let marked = MARKED
            .iter()
            .map(|form| (form.dir.to_owned(), form.name.to_owned()));
        let registers = REGISTERS.iter().map(|(name, _)| {
            let (dir, name) = name.rsplit_once('/').unwrap_or(("", name));
            (dir.to_owned(), name.to_owned())
        });
        let known: BTreeSet<(String, String)> = marked.chain(registers).collect();
        let documented = documented();
        assert!(documented.len() > 20, "{documented:?}");
        assert_eq!(known, documented);
    }

    #[test]
    fn what_is_no_file_or_of_no_form_of_ours_is_neither_followed_nor_printed() {
        let (dir, _) = data(&[("layout", LAYOUT), ("spool/1.spool", b"+4366412345678")]);
        let told = judge(&Facts::of(dir.path()));
        assert_eq!(told.level, Level::Error);
        assert!(
            told.found.contains("1.spool") && !told.found.contains("4366"),
            "{told:?}"
        );
        let spool = dir.path().join("spool");
        fs::rename(spool.join("1.spool"), dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), spool.join("2.spool")).unwrap();
        let _pipe = std::os::unix::net::UnixListener::bind(spool.join("3.spool")).unwrap();
        let mut facts = Facts::of(dir.path());
        facts.unread.sort();
        assert_eq!(facts.unread, ["spool/2.spool", "spool/3.spool"]);
        assert!(facts.unknown.is_empty());
    }
}
