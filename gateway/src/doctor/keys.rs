//! The key ring and what opens it: both copies there and alike, the key-encryption key the right one, and how old it is.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use rustix::process::geteuid;
use tidegate_config::{KekSource, Storage};
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::{Keks, KeyRing, KeyRingError, Survey, Tier, survey};

use super::{Finding, Site, length};
use crate::installation::{self, tiers};
use crate::kek::{self, SourceError};

/// At least so often it is to be rotated, or what was erased stays in old copies of the ring (OPERATIONS.md, "Rotating it").
const ROTATE_S: u64 = 30 * 86_400;
/// Looks beside a gateway that changes the ring: copies differ between two of its writes.
const LOOKS: usize = 3;

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let (storage, now_ms) = (&config.storage, site.clock.now().unix_ms);
        let is_running = site.running.is_there();
        let found = match survey_calmly(&storage.key_ring) {
            Ok(found) => found,
            Err(error) => return vec![no_ring(&error, storage)],
        };
        let mut findings = vec![judge(&found, is_running, now_ms)];
        if let Some(why) = not_as_root(storage) {
            findings.push(Finding::skipped(why));
            return findings;
        }
        let main = |keks: &Keks| KeyRing::look(&RealDisk, &storage.key_ring, keks).map(|keys| keys.len());
        findings.push(opened_by(&storage.kek, main, is_running));
        for tier in Tier::ALL {
            let of_tier = tier_findings(storage, tier, &found, is_running, now_ms);
            findings.extend(of_tier.into_iter().map(|mut finding| {
                finding.found = format!("tier {}: {}", tier.word(), finding.found);
                finding
            }));
        }
        findings
    })
}

/// Whether the key of a source opens a ring, which says how many keys it holds.
fn opened_by(
    source: &KekSource,
    ring: impl FnOnce(&Keks) -> Result<usize, KeyRingError>,
    is_running: bool,
) -> Finding {
    match kek::read(&RealDisk, source) {
        Ok(key) => opens(ring(&Keks::from(key)), is_running),
        // A unit has an environment of its own.
        Err(error @ SourceError::NotSet) => Finding::warning(
            format!("{error}, as far as this process can see; whether it opens the ring is not known"),
            "see that the gateway's unit sets it, and run this with it",
        ),
        Err(error) => Finding::error(
            error.to_string(),
            "put the key-encryption key where the configuration says, from where its copy is kept; nothing opens without it",
        ),
    }
}

/// The ring of a tier, whether it has one of its own, and whether the main one still holds keys of its owners; `main` is that.
fn tier_findings(
    storage: &Storage,
    tier: Tier,
    main: &Survey,
    is_running: bool,
    now_ms: u64,
) -> Vec<Finding> {
    let (ring, word) = (tier.dir(&storage.key_ring), tier.word());
    let found = survey_calmly(&ring);
    let is_made = main.tiers.contains(&tier) || !matches!(found, Err(KeyRingError::Missing { .. }));
    let Some(source) = tiers::source(storage, tier) else {
        return vec![if is_made {
            Finding::error(
                "its ring was made, and the configuration names no key-encryption key for it: a start is refused",
                format!("set storage.{word}_kek_file (or {word}_kek_env, {word}_kek_command) as it was"),
            )
        } else {
            Finding::warning(
                "no key-encryption key of its own: what opens messages opens its records, too",
                format!(
                    "set storage.{word}_kek_file, run `tidegate init --tiers`, restart, then rotate the main key (ENC-5)"
                ),
            )
        }];
    };
    let found = match found {
        Ok(found) => found,
        Err(KeyRingError::Missing { .. }) if !is_made => {
            let is_absent = source.file().is_some_and(|file| !file.exists());
            return vec![if is_absent && !storage.auto_init {
                Finding::error(
                    "its key-encryption key is not there, and its ring was never made: a start is refused",
                    "run `tidegate init --tiers` with this configuration, once",
                )
            } else {
                Finding::ok("no ring yet; the next start makes it and takes its keys over")
            }];
        }
        Err(error) => return vec![no_ring(&error, storage)],
    };
    let look = |keks: &Keks| KeyRing::look_at_tier(&RealDisk, &storage.key_ring, tier, keks);
    let mut findings = vec![
        judge(&found, is_running, now_ms),
        opened_by(source, look, is_running),
    ];
    let left = Tier::ALL.into_iter().zip(main.of_tiers);
    let left: u64 = left.filter(|(of, _)| *of == tier).map(|(_, keys)| keys).sum();
    if left > 0 {
        findings.push(Finding::warning(
            format!("the main ring still holds keys of it: {left}"),
            "restart the gateway: a start takes them over; then rotate the main key-encryption key",
        ));
    }
    findings
}

/// Why the key's program is not run here, where it is not: as root it would do whatever the data's owner has put in its place.
pub(crate) fn not_as_root(storage: &Storage) -> Option<String> {
    let owner = fs::metadata(&storage.data)
        .or_else(|_| fs::metadata(&storage.key_ring))
        .ok()?;
    let tiers = Tier::ALL
        .into_iter()
        .filter_map(|tier| tiers::source(storage, tier));
    let mut all = std::iter::once(&storage.kek).chain(tiers);
    all.find_map(|kek| may_run(kek, geteuid().as_raw(), owner.uid(), owner.gid()))
}

fn may_run(kek: &KekSource, me: u32, owner: u32, group: u32) -> Option<String> {
    let is_command = matches!(kek, KekSource::Command(_));
    (is_command && me == 0 && owner != 0).then(|| {
        format!(
            "the key's program is not run as root, since the data is of user {owner}: run this as the gateway's user (setpriv \
             --reuid={owner} --regid={group} --clear-groups -- tidegate …)"
        )
    })
}

fn survey_calmly(ring: &Path) -> Result<Survey, KeyRingError> {
    let mut found = survey(&RealDisk, ring);
    for _ in 1..LOOKS {
        match &found {
            Ok(ring) if ring.differing == 0 => break,
            Err(KeyRingError::Missing { .. } | KeyRingError::Version { .. }) => break,
            Ok(_) | Err(_) => found = survey(&RealDisk, ring),
        }
    }
    found
}

fn no_ring(error: &KeyRingError, storage: &Storage) -> Finding {
    let has_data = [
        installation::spool_dir(storage),
        installation::standing_dir(storage),
    ]
    .iter()
    .any(|dir| fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some()))
        || storage.data.join("layout").exists();
    match error {
        KeyRingError::Missing { .. } if !has_data && storage.auto_init => {
            Finding::ok("there is none yet; the first start makes it")
        }
        KeyRingError::Missing { .. } if !has_data => Finding::warning(
            "there is none yet, and no data",
            "run `tidegate init` with this configuration, once",
        ),
        KeyRingError::Version { .. } => Finding::error(
            error.to_string(),
            "start the version that wrote it, or a newer one (CHANGELOG.md)",
        ),
        KeyRingError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Finding::error(error.to_string(), "run this as root or as the gateway's user")
        }
        _ => Finding::error(
            error.to_string(),
            "restore the ring from the backup of the same day; nothing is made in its place, since only it opens the data",
        ),
    }
}

fn judge(found: &Survey, is_running: bool, now_ms: u64) -> Finding {
    let Survey {
        there,
        differing,
        version: _,
        kek,
        keys,
        spool_keys: _,
        tiers: _,
        of_tiers: _,
        newest_ms: _,
    } = found;
    let since = kek
        .since_ms
        .map(|since_ms| now_ms.saturating_sub(since_ms) / 1000);
    let age = since.map_or_else(
        || "for unknown time".to_owned(),
        |age| format!("for {}", length(age)),
    );
    let shown = format!("keys: {keys}; key-encryption key {} wraps them {age}", kek.number);
    let missing = there.iter().zip(["ring.a", "ring.b"]).find(|(there, _)| !**there);
    if let Some((_, name)) = missing {
        let found = format!("{shown}; {name} is missing, and there is one copy only");
        return if is_running {
            // It writes on in a file without a name.
            Finding::error(
                found,
                "back the other copy up now, then restart the gateway: a start makes the file anew",
            )
        } else {
            Finding::warning(
                found,
                "back the other copy up; the next start makes the file anew. Find out who removed it",
            )
        };
    }
    if *differing > 0 {
        let found = format!("{shown}; the two copies differ at {differing} places");
        return Finding::warning(
            found,
            "back both up; the next start repairs one from the other, and refuses by name what neither has",
        );
    }
    if let Some((next, _)) = kek.next
        && !is_running
    {
        return Finding::warning(
            format!("{shown}; a rotation to key {next} was interrupted"),
            "destroy neither key; start with --new-kek-file, as OPERATIONS.md says (When a rotation was interrupted)",
        );
    }
    if since.is_some_and(|age| age > ROTATE_S) {
        return Finding::warning(
            format!("{shown}, longer than 30 days: what was erased opens from older copies of the ring"),
            "tidegate key rotate-kek, with --tier for a tier's",
        );
    }
    Finding::ok(format!("{shown}; both copies agree"))
}

fn opens(keys: Result<usize, KeyRingError>, is_running: bool) -> Finding {
    match keys {
        // It has both.
        Err(error @ KeyRingError::KekMissing { .. }) if is_running => Finding::skipped(format!(
            "{error}: the gateway that runs has both, and goes on with it"
        )),
        Ok(_) => Finding::ok("the key-encryption key opens the ring"),
        Err(error @ (KeyRingError::WrongKek { .. } | KeyRingError::KekMissing { .. })) => Finding::error(
            error.to_string(),
            "find the key of that number and fingerprint (audit log, `tidegate key show`), and put it where the configuration says",
        ),
        Err(error) => Finding::error(
            error.to_string(),
            "restore the ring from the backup of the same day",
        ),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_store::keyring::{KekState, Rotated};

    use super::super::Level;
    use super::*;

    const NOW_MS: u64 = 1_795_478_400_000;

    fn ring() -> Survey {
        Survey {
            there: [true; 2],
            differing: 0,
            version: 2,
            kek: KekState {
                number: 1,
                fingerprint: [0; 8],
                since_ms: Some(NOW_MS - 86_400_000),
                next: None,
                rotated: Rotated::default(),
                slots: 64,
            },
            keys: 9,
            spool_keys: 1,
            tiers: Vec::new(),
            of_tiers: [0; 2],
            newest_ms: None,
        }
    }

    #[test]
    fn what_is_not_as_it_is_to_be_with_the_ring_is_told() {
        let change = |change: &dyn Fn(&mut Survey)| {
            let mut found = ring();
            change(&mut found);
            found
        };
        for (found, is_running, level) in [
            (ring(), false, Level::Ok),
            (change(&|ring| ring.there = [true, false]), false, Level::Warning),
            (change(&|ring| ring.there = [false, true]), true, Level::Error),
            (change(&|ring| ring.differing = 2), false, Level::Warning),
            (
                change(&|ring| ring.kek.next = Some((2, [1; 8]))),
                false,
                Level::Warning,
            ),
            (change(&|ring| ring.kek.next = Some((2, [1; 8]))), true, Level::Ok),
            (
                change(&|ring| ring.kek.since_ms = Some(NOW_MS - 31 * 86_400_000)),
                false,
                Level::Warning,
            ),
        ] {
            let told = judge(&found, is_running, NOW_MS);
            assert_eq!(told.level, level, "{told:?}");
        }
        let missing = judge(&change(&|ring| ring.there = [true, false]), false, NOW_MS);
        assert!(missing.found.contains("ring.b is missing"), "{missing:?}");
    }

    #[test]
    fn a_ring_that_is_not_there_is_in_order_only_before_the_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../../../config/tidegate.toml");
        let mut storage = tidegate_config::parse(text).unwrap().storage;
        (storage.data, storage.key_ring) = (dir.path().join("data"), dir.path().join("keys"));
        let told = |storage: &Storage| no_ring(&survey_calmly(&storage.key_ring).unwrap_err(), storage).level;
        storage.auto_init = true;
        assert_eq!(told(&storage), Level::Ok);
        storage.auto_init = false;
        assert_eq!(told(&storage), Level::Warning);
        fs::create_dir(&storage.data).unwrap();
        fs::write(storage.data.join("layout"), "").unwrap();
        assert_eq!(told(&storage), Level::Error);
    }

    #[test]
    fn a_tier_is_told_apart_by_whether_it_has_a_key_of_its_own_and_whether_it_was_used() {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../../../config/tidegate.toml");
        let mut storage = tidegate_config::parse(text).unwrap().storage;
        (storage.data, storage.key_ring) = (dir.path().join("data"), dir.path().join("keys"));
        let kek = |name: &str| KekSource::File(dir.path().join(name));
        storage.kek = kek("kek");
        (storage.legal_kek, storage.subrec_kek) = (Some(kek("legal")), None);
        let mut rng = crate::random::generator().unwrap();
        installation::init(&storage, NOW_MS, &mut rng).unwrap();
        let told = |storage: &Storage, tier: Tier| {
            let main = survey_calmly(&storage.key_ring).unwrap();
            let told = tier_findings(storage, tier, &main, false, NOW_MS);
            told.into_iter()
                .map(|finding| (finding.level, finding.found))
                .collect::<Vec<_>>()
        };
        let levels = |storage: &Storage, tier: Tier| -> Vec<Level> {
            told(storage, tier).into_iter().map(|(level, _)| level).collect()
        };
        assert_eq!(levels(&storage, Tier::Legal), [Level::Ok, Level::Ok]);
        assert_eq!(levels(&storage, Tier::Subrec), [Level::Warning]);
        // Asked for, and not there yet; with its key there; then without the key of one that was used, or its place.
        storage.subrec_kek = Some(kek("subrec"));
        let found = told(&storage, Tier::Subrec);
        assert!(
            found[0].0 == Level::Error && found[0].1.contains("never made"),
            "{found:?}"
        );
        fs::write(dir.path().join("subrec"), [7; 32]).unwrap();
        assert_eq!(levels(&storage, Tier::Subrec), [Level::Ok]);
        fs::write(dir.path().join("legal"), [7; 32]).unwrap();
        let found = told(&storage, Tier::Legal);
        assert!(
            found[1].0 == Level::Error && found[1].1.contains("another key"),
            "{found:?}"
        );
        fs::remove_file(dir.path().join("legal")).unwrap();
        assert_eq!(levels(&storage, Tier::Legal), [Level::Ok, Level::Error]);
        storage.legal_kek = None;
        assert_eq!(levels(&storage, Tier::Legal), [Level::Error]);
        storage.legal_kek = Some(kek("subrec"));
        for name in ["ring.a", "ring.b"] {
            fs::remove_file(storage.key_ring.join("legal").join(name)).unwrap();
        }
        assert_eq!(
            levels(&storage, Tier::Legal),
            [Level::Error],
            "it was made before"
        );
    }

    #[test]
    fn another_key_is_an_error_that_names_the_right_one() {
        let wrong = KeyRingError::WrongKek {
            dir: "keys".into(),
            number: 3,
            fingerprint: [0xab; 8],
        };
        let told = opens(Err(wrong), true);
        assert!(
            told.level == Level::Error && told.found.contains("number 3"),
            "{told:?}"
        );
        assert_eq!(opens(Ok(2), false).level, Level::Ok);
    }

    #[test]
    fn the_other_key_of_a_rotation_is_missed_only_where_no_gateway_has_it() {
        let missing = || {
            Err(KeyRingError::KekMissing {
                dir: "keys".into(),
                is_new: true,
                number: 2,
                fingerprint: [0xab; 8],
                keys: 3,
            })
        };
        assert_eq!(opens(missing(), true).level, Level::Skipped);
        assert_eq!(opens(missing(), false).level, Level::Error);
    }

    #[test]
    fn root_runs_no_program_beside_data_of_somebody_else() {
        let (program, file) = (
            KekSource::Command(vec!["key".to_owned()]),
            KekSource::File("kek".into()),
        );
        for (kek, me, owner, runs) in [
            (&program, 0, 7, false),
            (&program, 0, 0, true),
            (&program, 7, 7, true),
            (&file, 0, 7, true),
        ] {
            let why = may_run(kek, me, owner, 8);
            assert_eq!(why.is_none(), runs, "{why:?}");
            assert!(why.is_none_or(|why| why.contains("--reuid=7 --regid=8")));
        }
    }
}
