//! Numbers in the journal that an account may see no longer (PSN-3): what is sealed of them goes, what stands for them stays.
//!
//! Numbers are sealed under keys of their account, so one person's go by sealing all others' of the account anew: a key is made,
//! each file with something under an older one is written beside itself and put in its place, and then the older keys are
//! destroyed. A file is a step, and each step may be done again: what lies under a key that is not its account's newest is moved
//! by whatever run comes next, whoever is in it, and the key is destroyed then. Public parts stay octet for octet, and batches
//! keep their numbers.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use super::journal::{
    Holds, Journal, Record, aad, file_name, header, numbers, put_sealed, read_header, read_record,
};
use super::{Private, What};
use crate::disk::{Access, Disk, DiskFile};
use crate::keyring::{Destroyed, KeyRing, KeyRingError, Owner};
use crate::pseudonym::{Pseudonym, Secret};
use crate::seal::{KeyId, Purpose};
use crate::segment::{self, BatchHeader, Found, HEADER_LEN, Scan};

/// Whose numbers are to go.
#[derive(Clone)]
pub struct Forgotten {
    /// This account's only; else all accounts'.
    pub account: Option<SystemId>,
    /// In the form in which people are known.
    pub person: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forgotten(***)")
    }
}

/// One step.
#[derive(Clone, Debug)]
pub enum Forget {
    /// Names keys that are no account's newest: what lies under them is moved by [`Forget::Rewrite`], and then they are to go.
    Stale,
    /// Looks through the first file behind this number for accounts that hold numbers of these people under their newest key: it
    /// is to be followed by another.
    Look(u64, Vec<Forgotten>),
    /// Makes new keys of these accounts, at that time in unix milliseconds, and names those that are older now.
    Renew(Vec<SystemId>, u64),
    /// Seals anew what lies under any key that is not its account's newest in the first file behind this number, without those
    /// people's.
    Rewrite(u64, Vec<Forgotten>),
    /// Has registers of the journal made anew and destroys these keys, under which nothing lies any more.
    Finish(Vec<KeyId>),
    /// Names the keys that go with an account that is closed for good.
    Keys(SystemId),
    /// Destroys them: all its numbers go, and what finds recipients in its history once that is empty.
    Close(SystemId),
}

/// What a step did.
#[derive(Debug)]
pub enum ForgetReport {
    /// Those keys.
    Keys(Vec<KeyId>),
    /// Which file was looked through, `None` behind the last, and which accounts hold numbers of those people under their newest
    /// key.
    Looked(Option<u64>, BTreeSet<SystemId>),
    /// Which file that was, the keys under which something lies in it now, and how many records lost their numbers.
    Rewritten(Option<u64>, BTreeSet<KeyId>, u64),
    /// Keys that are gone.
    Gone(Vec<Destroyed>),
}

/// Why a step was not done. It may be done again.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// A file.
    #[error("the journal of opt-outs: {0}")]
    Io(#[from] io::Error),
    /// The key ring.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// Numbers of somebody may lie where it cannot be read.
    #[error(
        "the journal of opt-outs: file {0:016x} has damage, or numbers that their key does not open: nothing of it is sealed anew"
    )]
    Damaged(u64),
}

/// For which accounts a number goes.
#[derive(Clone, Default)]
struct Of {
    all: bool,
    some: HashSet<SystemId>,
}

impl Of {
    fn add(&mut self, account: Option<SystemId>) {
        match account {
            None => self.all = true,
            Some(account) => {
                self.some.insert(account);
            }
        }
    }

    fn has(&self, account: SystemId) -> bool {
        self.all || self.some.contains(&account)
    }
}

/// Whose numbers are to go, by all that stands for them: each record asks, however many people there are.
struct People {
    /// In order.
    numbers: Vec<(Zeroizing<Vec<u8>>, Of)>,
    names: HashMap<Pseudonym, Of>,
}

impl People {
    fn new<D: Disk>(mut people: Vec<Forgotten>, ring: &KeyRing<D>) -> Self {
        let suppression: Vec<_> = ring.secrets().iter().map(Secret::suppression).collect();
        let mut known = Self {
            numbers: Vec::with_capacity(people.len()),
            names: HashMap::new(),
        };
        people.sort_by(|one, other| one.person.cmp(&other.person));
        for Forgotten { account, person } in people {
            for of in &suppression {
                known.names.entry(of.of(&person)).or_default().add(account);
            }
            match known.numbers.last_mut() {
                Some((last, of)) if *last == person => of.add(account),
                _ => {
                    let mut of = Of::default();
                    of.add(account);
                    known.numbers.push((person, of));
                }
            }
        }
        known
    }

    fn has(&self, record: &Record<'_>, number: &[u8]) -> bool {
        let is_meant = |of: &Of| of.has(record.account);
        let at = self
            .numbers
            .binary_search_by(|(person, _)| person.as_slice().cmp(number));
        let by_number = at.ok().and_then(|at| self.numbers.get(at));
        by_number.is_some_and(|(_, of)| is_meant(of))
            || self.names.get(&record.change.who).is_some_and(is_meant)
    }

    /// What stays of what is sealed with a change; `None` where all of it does. Evidence of a consent stays (CON-1): of that only
    /// number and network address go.
    fn left(&self, record: &Record<'_>, private: &Private) -> Option<Private> {
        let left = match record.change.what {
            What::Consent { .. } => Private {
                source: private.source.clone(),
                facts: private.facts.clone(),
                ..Private::default()
            },
            _ => Private::default(),
        };
        (self.has(record, &private.number) && left != *private).then_some(left)
    }
}

/// The key under which an account's numbers are sealed from now on.
fn newest<D: Disk>(ring: &KeyRing<D>, account: SystemId) -> Option<KeyId> {
    ring.newest(Owner::OptOuts(account)).map(|key| key.id())
}

/// What is sealed with a record; `None` where nothing is, or its key is gone.
fn opened<D: Disk>(
    ring: &KeyRing<D>,
    number: u64,
    record: &Record<'_>,
) -> Result<Option<Private>, ForgetError> {
    if record.sealed.is_empty() || !ring.has(record.key) {
        return Ok(None);
    }
    let key = ring.get(record.key).ok_or(ForgetError::Damaged(number))?;
    let mut sealed = Zeroizing::new(record.sealed.to_vec());
    let mut plain = key
        .open(&aad(record.account, record.id), &mut sealed, Purpose::Sweep)
        .map_err(|_| ForgetError::Damaged(number))?;
    Private::get(&mut plain)
        .map(Some)
        .map_err(|_| ForgetError::Damaged(number))
}

impl<D: Disk> Journal<D> {
    /// Does a step. Blocks.
    ///
    /// # Errors
    ///
    /// [`ForgetError`].
    pub(crate) fn forget(
        &mut self,
        step: Forget,
        ring: &mut KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<ForgetReport, ForgetError> {
        Ok(match step {
            Forget::Stale => {
                let stale = ring
                    .opt_outs()
                    .filter(|(account, key)| newest(ring, *account) != Some(*key));
                ForgetReport::Keys(stale.map(|(_, key)| key).collect())
            }
            Forget::Look(behind, people) => {
                let people = People::new(people, ring);
                let Some((number, octets)) = self.file_behind(behind)? else {
                    return Ok(ForgetReport::Looked(None, BTreeSet::new()));
                };
                let mut accounts = BTreeSet::new();
                each_record(&octets, number, |record| {
                    if !accounts.contains(&record.account)
                        && let Some(private) = opened(ring, number, record)?
                        && people.left(record, &private).is_some()
                        && newest(ring, record.account) == Some(record.key)
                    {
                        accounts.insert(record.account);
                    }
                    Ok(())
                })?;
                ForgetReport::Looked(Some(number), accounts)
            }
            Forget::Renew(accounts, now_ms) => {
                let mut older = Vec::new();
                for account in accounts {
                    let owner = Owner::OptOuts(account);
                    older.extend(ring.live(owner));
                    ring.make(owner, now_ms, rng)?;
                }
                ForgetReport::Keys(older)
            }
            Forget::Rewrite(behind, people) => {
                let people = People::new(people, ring);
                let Some((number, octets)) = self.file_behind(behind)? else {
                    return Ok(ForgetReport::Rewritten(None, BTreeSet::new(), 0));
                };
                let rewritten = self.rewrite(number, &octets, &people, ring, rng);
                if rewritten.is_err() {
                    // The run ends here, and some files are others already.
                    self.tell_registers();
                }
                let (used, lost) = rewritten?;
                ForgetReport::Rewritten(Some(number), used, lost)
            }
            Forget::Finish(keys) => {
                if !keys.is_empty() {
                    self.count_rewriting()?;
                }
                self.tell_registers();
                ForgetReport::Gone(ring.destroy_many(&keys)?)
            }
            Forget::Keys(account) => ForgetReport::Keys(ring.of_closed(account)),
            Forget::Close(account) => ForgetReport::Gone(ring.destroy_many(&ring.of_closed(account))?),
        })
    }

    fn file_behind(&self, behind: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut numbers = numbers(self.disk(), self.dir(), Holds::Lasting)?.into_iter();
        let Some(number) = numbers.find(|number| *number > behind) else {
            return Ok(None);
        };
        let path = self.dir().join(file_name(Holds::Lasting, number));
        Ok(Some((
            number,
            segment::read_all(&self.disk().open(&path, Access::Read)?)?,
        )))
    }

    /// Writes a file anew, if anything in it lies under a key that is not its account's newest; the keys that are used in it then,
    /// and how many records have lost something.
    fn rewrite(
        &mut self,
        number: u64,
        octets: &[u8],
        people: &People,
        ring: &KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<(BTreeSet<KeyId>, u64), ForgetError> {
        // What lies under a key that is gone opens for nobody, and stays as it is.
        let is_old = |record: &Record<'_>| {
            !record.sealed.is_empty()
                && ring.has(record.key)
                && newest(ring, record.account) != Some(record.key)
        };
        let (mut used, mut has_old) = (BTreeSet::new(), false);
        each_record(octets, number, |record| {
            if !record.sealed.is_empty() {
                used.insert(record.key);
                has_old |= is_old(record);
            }
            Ok(())
        })?;
        if !has_old {
            return Ok((used, 0));
        }
        // Before any file is another: whatever becomes of this run, a register of what was before is none of what is there then.
        self.count_rewriting()?;
        let mut new = self.header_of(number)?.to_vec();
        let mut lost = 0;
        used.clear();
        for part in Scan::new(octets, number) {
            let Found::Batch { header, at } = part else {
                return Err(ForgetError::Damaged(number));
            };
            let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
            let (mut records, mut account) = (Vec::with_capacity(batch.len()), None);
            while !batch.is_empty() {
                let whole = batch;
                let record =
                    read_record(&mut batch, &mut account).map_err(|_| ForgetError::Damaged(number))?;
                let as_it_is = whole.get(..whole.len() - batch.len()).unwrap_or_default();
                let private = match is_old(&record) {
                    true => opened(ring, number, &record)?,
                    false => None,
                };
                let Some(private) = private else {
                    if !record.sealed.is_empty() {
                        used.insert(record.key);
                    }
                    records.extend_from_slice(as_it_is);
                    continue;
                };
                let left = people.left(&record, &private);
                lost += u64::from(left.is_some());
                let left = left.unwrap_or(private);
                let key = ring
                    .newest(Owner::OptOuts(record.account))
                    .filter(|_| !left.is_empty());
                used.extend(key.as_ref().map(|key| key.id()));
                put_sealed(&mut records, as_it_is, &record, (key.as_deref(), &left), rng)?;
            }
            let len = u32::try_from(records.len()).map_err(io::Error::other)?;
            new.extend_from_slice(&BatchHeader { len, ..header }.octets(&records));
            new.extend_from_slice(&records);
        }
        if number == self.number() {
            // What comes next goes into a file of its own.
            self.leave_file();
        }
        self.replace(number, &new)?;
        Ok((used, lost))
    }

    fn header_of(&self, number: u64) -> io::Result<[u8; HEADER_LEN]> {
        let path = self.dir().join(file_name(Holds::Lasting, number));
        let mut octets = [0; HEADER_LEN];
        let read = self.disk().open(&path, Access::Read)?.read_at(&mut octets, 0)?;
        match read == HEADER_LEN {
            true => Ok(octets),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says in the first file that the journal is written anew: registers of what it was before are none of it. Once a run; those
    /// that are open hear of it from [`Self::tell_registers`], when no more files change.
    fn count_rewriting(&mut self) -> Result<(), ForgetError> {
        if self.untold().is_some() {
            return Ok(());
        }
        let Some((number, mut octets)) = self.file_behind(0)? else {
            return Ok(());
        };
        let (node, generation, check, count) =
            read_header(&octets, number).ok_or(ForgetError::Damaged(number))?;
        let count = count.wrapping_add(1);
        let header = header(node, number, (generation, &check), count);
        octets
            .get_mut(..HEADER_LEN)
            .ok_or(ForgetError::Damaged(number))?
            .copy_from_slice(&header);
        if number == self.number() {
            self.leave_file();
        }
        self.replace(number, &octets)?;
        self.set_untold(Some(count));
        Ok(())
    }

    fn tell_registers(&mut self) {
        if let Some(count) = self.untold() {
            self.is_rewritten(count);
            self.set_untold(None);
        }
    }

    fn replace(&self, number: u64, octets: &[u8]) -> io::Result<()> {
        let path = self.dir().join(file_name(Holds::Lasting, number));
        let new = path.with_extension("new");
        match self.disk().unlink(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk().create(&new, 0o600, 0)?;
        file.write_at(&[IoSlice::new(octets)], 0)?;
        file.sync_all()?;
        self.disk().rename(&new, &path)?;
        self.disk().sync_dir(self.dir())
    }
}

/// How often a journal was written anew, as its first file says.
pub(super) fn rewritten<D: Disk>(disk: &D, dir: &Path) -> io::Result<u32> {
    let Some(number) = numbers(disk, dir, Holds::Lasting)?.first().copied() else {
        return Ok(0);
    };
    let file = disk.open(&dir.join(file_name(Holds::Lasting, number)), Access::Read)?;
    let mut octets = [0; HEADER_LEN];
    file.read_at(&mut octets, 0)?;
    Ok(read_header(&octets, number).map_or(0, |(_, _, _, count)| count))
}

/// Gives each record of a file.
fn each_record(
    octets: &[u8],
    number: u64,
    mut each: impl FnMut(&Record<'_>) -> Result<(), ForgetError>,
) -> Result<(), ForgetError> {
    let mut account = None;
    for part in Scan::new(octets, number) {
        let Found::Batch { header, at } = part else {
            return Err(ForgetError::Damaged(number));
        };
        let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
        while !batch.is_empty() {
            let record = read_record(&mut batch, &mut account).map_err(|_| ForgetError::Damaged(number))?;
            each(&record)?;
        }
    }
    Ok(())
}
