//! Where the truth lies on disk, and how much of it there may be.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::size::{GIB, MIB, TIB, write};
use crate::value::{boolean, duration, integer, path, size, text_of};

/// Table `[storage]`; required for its three paths. Relative paths count from the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Key `data`, required: the data directory; one process at a time holds its lock.
    pub data: PathBuf,
    /// Key `key_ring`, required: the directory of the key ring's two copies. Neither inside `data` nor
    /// around it, or a backup of the data would carry the keys that are meant to end it (ERA-1).
    pub key_ring: PathBuf,
    /// Key `kek_file`, `kek_env` or `kek_command`, exactly one: where the key is found that wraps the keys of the main ring
    /// (ENC-2).
    pub kek: KekSource,
    /// Key `legal_kek_file`, `legal_kek_env` or `legal_kek_command`, at most one, default none: the same of the ring of tier
    /// `legal` (holds, orders to erase, restrictions, disclosures), in `legal` below `key_ring`. Another key than any other
    /// ring's (ENC-5). Without it the tier's keys lie in the main ring.
    pub legal_kek: Option<KekSource>,
    /// Key `subrec_kek_file`, `subrec_kek_env` or `subrec_kek_command`: the same of tier `subrec` (requests of people).
    pub subrec_kek: Option<KekSource>,
    /// Key `limit`, octets, default 8 GiB, at most 1024 TiB: spool, waiting and outbox files, history with its vault, and
    /// exports together. At least
    /// (`reserve_segments` + 2) × `segment_size`; intake stops at `limit` less the reserve (0x14).
    pub limit: u64,
    /// Key `segment_size`, octets, default 64 MiB, 1 MiB to 1 GiB: one file of the spool.
    pub segment_size: u64,
    /// Key `reserve_segments`, default 4, 1 to 1024: what only endings may still fill, so that a full
    /// disk can drain.
    pub reserve_segments: u32,
    /// Key `turn_pacing`, default 0.5 ms, 0 to 100 ms: the shortest time from turn to turn, 0 for as fast
    /// as they come. A full loop does not feel it; a light load costs 14–40 % less CPU.
    pub turn_pacing: Duration,
    /// Key `lazy_flush`, default 10 ms, 1 ms to 1 s: when traffic stops, hand-overs and settlements that
    /// no turn has taken along are synced after this long. What is unsynced at a crash may double.
    pub lazy_flush: Duration,
    /// Key `auto_init`, default false: make data directory, key ring and KEK at the first start when all
    /// are absent or empty. Data without its ring always refuses to start (ENC-6).
    pub auto_init: bool,
    /// Key `accept_damaged_opt_outs`, default false: start although stretches of the journal of opt-outs cannot be read.
    /// Who stood there alone would be sent to again (GEN-1).
    pub accept_damaged_opt_outs: bool,
    /// Key `max_unfinished`, legs, default 2 000 000, 1 000 to 200 000 000: the bound of the index of
    /// unfinished work, receipts awaited for up to `receipt_hot` included; at it intake answers 0x14. From three
    /// quarters of it on that is answered to accounts that have more than an even share among those that have any, and
    /// one more, so that one account's backlog does not keep out the others. About
    /// 160 octets of memory a leg that waits and 200 one that a carrier has, so the default may grow to 400 MB.
    pub max_unfinished: usize,
    /// Key `receipt_hot`, default 10 min, 1 s to 31 d: how long a message that a carrier has waits for its
    /// receipt in memory. Then it moves to a file, if its receipt deadline is more than an hour away, and costs
    /// about 4 octets of memory instead of 200; a receipt that comes later costs a few reads.
    /// DLRs and MOs that nobody fetches for so long move to files too, once an account has a thousand of them.
    pub receipt_hot: Duration,
}

/// Where a key-encryption key is found: 32 octets. It cannot be printed, since people sometimes write the key itself where
/// its place belongs.
#[derive(Clone, PartialEq, Eq)]
pub enum KekSource {
    /// `kek_file`: a file of exactly 32 octets, made once by `tidegate init` with mode 0600. Inside neither `data` nor
    /// `key_ring`, or a backup of those would open itself.
    File(PathBuf),
    /// `kek_env`: an environment variable of 64 hex digits; a name of letters, digits and `_`.
    Env(String),
    /// `kek_command`: a program and its arguments, 32 at most of 1024 octets each; it writes 32 octets, or 64 hex digits,
    /// to its standard output and ends in good order within 30 seconds. No shell is between.
    Command(Vec<String>),
}

impl KekSource {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) | Self::Command(_) => None,
        }
    }

    /// Whether it is the same place, by its text.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => plain(one) == plain(two),
            _ => self == other,
        }
    }

    /// Checks the name of an environment variable.
    ///
    /// # Errors
    ///
    /// What is wrong with it; it is not repeated, since it may be the key itself.
    pub fn env(name: &str) -> Result<Self, &'static str> {
        if is_variable(name) {
            Ok(Self::Env(name.to_owned()))
        } else {
            Err("not the name of an environment variable")
        }
    }
}

impl std::fmt::Debug for KekSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File(***)",
            Self::Env(_) => "Env(***)",
            Self::Command(_) => "Command(***)",
        })
    }
}

/// Whether it can be the name of an environment variable: letters, digits and `_`, at most 128.
pub(crate) fn is_variable(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Why a process that runs cannot take a key of this table over; `None` where it can.
pub(crate) fn why_restart(key: &str) -> Option<&'static str> {
    match key {
        "data" | "key_ring" => Some("files that are open stay where they are"),
        "kek" | "kek_file" | "kek_env" | "kek_command" => Some(
            "the key-encryption key is read at the start; `tidegate key rotate-kek` has another take over",
        ),
        "legal_kek" | "legal_kek_file" | "legal_kek_env" | "legal_kek_command" | "subrec_kek"
        | "subrec_kek_file" | "subrec_kek_env" | "subrec_kek_command" => Some(
            "the key-encryption key of a tier is read at the start; `tidegate key rotate-kek --tier` has another take over",
        ),
        "segment_size" => Some("a batch fits the segments that were there when the spool was opened"),
        _ => None,
    }
}

const LIMIT: u64 = 8 * GIB;
const SEGMENT_SIZE: u64 = 64 * MIB;
const RESERVE_SEGMENTS: u32 = 4;
const TURN_PACING: Duration = Duration::from_micros(500);
const LAZY_FLUSH: Duration = Duration::from_millis(10);
const MAX_UNFINISHED: usize = 2_000_000;
const RECEIPT_HOT: Duration = Duration::from_secs(10 * 60);

pub(crate) fn read(mut section: Section<'_>) -> Option<Storage> {
    let data = section.required("data", "name the data directory: `[storage] data = \"…\"`", path);
    let key_ring = section.required(
        "key_ring",
        "name a directory outside the data directory: `[storage] key_ring = \"…\"`",
        path,
    );
    let kek = read_kek(&mut section, KEK);
    let legal_kek = read_kek(&mut section, LEGAL_KEK);
    let subrec_kek = read_kek(&mut section, SUBREC_KEK);
    keep_apart(&section, "data", data.as_deref(), "key_ring", key_ring.as_deref());
    let of_rings = [(KEK, &kek), (LEGAL_KEK, &legal_kek), (SUBREC_KEK, &subrec_kek)];
    for ([name, _, _], kek) in of_rings {
        let file = kek.as_ref().and_then(KekSource::file);
        keep_apart(&section, "data", data.as_deref(), name, file);
        keep_apart(&section, "key_ring", key_ring.as_deref(), name, file);
    }
    one_for_each(&section, &of_rings);

    let segment_size = section.or("segment_size", SEGMENT_SIZE, size(MIB..=GIB));
    let reserve_segments = section.or("reserve_segments", RESERVE_SEGMENTS, integer(1..=1024));
    let limit = section.or("limit", LIMIT, size(MIB..=1024 * TIB));
    // The newest segment and the one that copying forward empties stand beside the reserve.
    let least = (u64::from(reserve_segments) + 2) * segment_size;
    if limit < least {
        section.problem(
            "limit",
            Fault::new(
                format!("{} is less than reserve_segments + 2 segments", write(limit)),
                format!("give at least \"{}\", or fewer or smaller segments", write(least)),
            ),
        );
    }
    let turn_pacing = section.or(
        "turn_pacing",
        TURN_PACING,
        duration(Duration::ZERO..=Duration::from_millis(100)),
    );
    let lazy_flush = section.or(
        "lazy_flush",
        LAZY_FLUSH,
        duration(Duration::from_millis(1)..=Duration::from_secs(1)),
    );
    let auto_init = section.or("auto_init", false, boolean);
    let accept_damaged_opt_outs = section.or("accept_damaged_opt_outs", false, boolean);
    let max_unfinished = section.or("max_unfinished", MAX_UNFINISHED, integer(1_000..=200_000_000));
    let receipt_hot = section.or(
        "receipt_hot",
        RECEIPT_HOT,
        duration(Duration::from_secs(1)..=Duration::from_secs(31 * 24 * 3600)),
    );
    section.finish(&[]);

    Some(Storage {
        data: data?,
        key_ring: key_ring?,
        kek: kek?,
        legal_kek,
        subrec_kek,
        limit,
        segment_size,
        reserve_segments,
        turn_pacing,
        lazy_flush,
        auto_init,
        accept_damaged_opt_outs,
        max_unfinished,
        receipt_hot,
    })
}

/// The keys that say where a key-encryption key is: a file, a variable, a program.
type KekKeys = [&'static str; 3];

const KEK: KekKeys = ["kek_file", "kek_env", "kek_command"];
const LEGAL_KEK: KekKeys = ["legal_kek_file", "legal_kek_env", "legal_kek_command"];
const SUBREC_KEK: KekKeys = ["subrec_kek_file", "subrec_kek_env", "subrec_kek_command"];

/// One of three keys, which must be there of the main ring. No value is repeated in a fault: it may be the key itself.
fn read_kek(section: &mut Section<'_>, keys: KekKeys) -> Option<KekSource> {
    let [file_key, env_key, command_key] = keys;
    let file = section.optional(file_key, |value| path(value).map(KekSource::File));
    let env = section.optional(env_key, |value| {
        KekSource::env(text_of(value)?).map_err(|what| {
            Fault::new(
                what,
                "write the variable's name, letters, digits and _; the key stands in the environment",
            )
        })
    });
    let words = section.list(command_key, 1..=32, |value| {
        let word = text_of(value)?;
        let fits = word.len() <= 1024 && !word.contains('\0');
        fits.then(|| word.to_owned()).ok_or_else(|| {
            Fault::new(
                "a word of more than 1024 octets, or with a NUL",
                "give shorter words",
            )
        })
    });
    if words
        .as_ref()
        .and_then(|words| words.first())
        .is_some_and(String::is_empty)
    {
        let remedy = format!("write `{command_key} = [\"program\", \"argument\"]`");
        section.problem(command_key, Fault::new("no program", remedy));
    }
    let given: Vec<&str> = keys.into_iter().filter(|key| section.has(key)).collect();
    match given[..] {
        [] if keys == KEK => section.missing(
            "kek_file",
            "name the file for the key-encryption key: `[storage] kek_file = \"…\"`; `tidegate init` makes it. \
             Or have it come from elsewhere with `kek_env` or `kek_command`",
        ),
        [] | [_] => {}
        [.., last] => section.problem(
            last,
            Fault::new(
                "two places for one key-encryption key",
                format!("keep one of {file_key}, {env_key} and {command_key}"),
            ),
        ),
    }
    file.or(env)
        .or_else(|| words.filter(|words| !words.is_empty()).map(KekSource::Command))
}

/// No two rings may have one key-encryption key (ENC-5): here by where it is, at a start by what it is.
fn one_for_each(section: &Section<'_>, of_rings: &[(KekKeys, &Option<KekSource>)]) {
    for (place, (keys, kek)) in of_rings.iter().enumerate() {
        let Some(kek) = kek else { continue };
        let mut others = of_rings.iter().take(place);
        let is_its = |other: &Option<KekSource>| other.as_ref().is_some_and(|other| kek.is_same(other));
        let Some((other, _)) = others.find(|(_, other)| is_its(other)) else {
            continue;
        };
        let which = match kek {
            KekSource::File(_) => 0,
            KekSource::Env(_) => 1,
            KekSource::Command(_) => 2,
        };
        if let (Some(key), Some(other)) = (keys.get(which), other.get(which)) {
            section.problem(
                key,
                Fault::new(
                    format!("is that of `{other}`, too"),
                    "give each ring a key-encryption key of its own: one for two keeps nothing apart",
                ),
            );
        }
    }
}

/// Neither path may be the other or lie inside it. By their text only, since reading a configuration
/// touches no disk: an absolute and a relative path, or a symbolic link, are not seen through here.
fn keep_apart(
    section: &Section<'_>,
    outer_key: &str,
    outer: Option<&Path>,
    inner_key: &str,
    inner: Option<&Path>,
) {
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return;
    };
    let what = if inside(inner, outer) {
        format!("lies inside `{outer_key}`")
    } else if inside(outer, inner) {
        format!("lies around `{outer_key}`")
    } else {
        return;
    };
    section.problem(
        inner_key,
        Fault::new(
            what,
            "keep data, key ring and key-encryption key in three separate places",
        ),
    );
}

/// Whether `inner` is `outer` or below it.
fn inside(inner: &Path, outer: &Path) -> bool {
    let (inner, outer) = (plain(inner), plain(outer));
    inner.first().is_some_and(is_root) == outer.first().is_some_and(is_root)
        && inner
            .strip_prefix(outer.as_slice())
            .is_some_and(|below| below.first() != Some(&Component::ParentDir))
}

/// The path's components without `.` and, where something stands before it, without `..`.
fn plain(path: &Path) -> Vec<Component<'_>> {
    let mut plain = Vec::new();
    for component in path.components() {
        match (component, plain.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                plain.pop();
            }
            (Component::ParentDir, Some(Component::RootDir)) => {} // above the root is the root
            _ => plain.push(component),
        }
    }
    plain
}

fn is_root(component: &Component<'_>) -> bool {
    matches!(component, Component::RootDir | Component::Prefix(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_where_they_lead() {
        for (inner, outer, expected) in [
            ("data", "./data", true),
            ("./x/../data/", "data", true),
            ("data/kek", "data", true),
            ("data/kek", ".", true),
            ("../kek", ".", false),
            ("../data", "data", false),
            ("../../kek", "..", false),
            ("../kek", "..", true),
            ("database", "data", false),
            ("data", "data/kek", false),
            ("/srv//data", "/srv/./data", true),
            ("/../srv/data", "/srv", true),
            ("/srv/data", "srv", false),
            ("data", "/", false),
        ] {
            assert_eq!(
                inside(Path::new(inner), Path::new(outer)),
                expected,
                "{inner} in {outer}"
            );
        }
    }
}
