//! Numbers in the journal that an account may see no longer (PSN-3): what is sealed of them goes, what stands for them stays.
//!
//! Numbers are sealed under keys of their account, so one person's go by sealing all others' of the account anew: a key is made,
//! each file with something under an older one is written beside itself and put in its place, and then the older keys are
//! destroyed. A file is a step, and each step may be done again: what lies under a key that is not its account's newest is moved
//! by whatever run comes next, whoever is in it, and the key is destroyed then. Public parts stay octet for octet, and batches
//! keep their numbers.
//!
//! Evidence of consents lies under keys of its own, for it has its own end ([`Ends`]), and goes the same way. What an earlier version
//! sealed of it with all else of its account is under no newest key of its own, so it is moved, too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use super::ends::Fate;
use super::journal::{
    Holds, Journal, Record, aad, file_name, header, numbers, owner_of, put_sealed, read_header, read_record,
};
use super::{Ends, Private, What};
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

/// What is to go.
#[derive(Clone, Debug, Default)]
pub struct Going {
    /// The numbers of these people.
    pub people: Vec<Forgotten>,
    /// What was said of consents that are over.
    pub consents: Option<Ends>,
}

impl From<Vec<Forgotten>> for Going {
    fn from(people: Vec<Forgotten>) -> Self {
        Self {
            people,
            consents: None,
        }
    }
}

/// Accounts under whose newest keys something lies that is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Under those of opt-outs.
    pub opt_outs: BTreeSet<SystemId>,
    /// Under those of consents.
    pub consents: BTreeSet<SystemId>,
    /// Records of consents that are over, of each account, whatever they lie under.
    pub over: BTreeMap<SystemId, u64>,
}

impl Holders {
    /// With those of another file.
    pub fn add(&mut self, other: Self) {
        self.opt_outs.extend(other.opt_outs);
        self.consents.extend(other.consents);
        for (account, count) in other.over {
            *self.over.entry(account).or_default() += count;
        }
    }

    fn has(&self, owner: Owner) -> bool {
        match owner {
            Owner::Consents(account) => self.consents.contains(&account),
            Owner::OptOuts(account) => self.opt_outs.contains(&account),
            _ => false,
        }
    }

    fn note(&mut self, owner: Owner) {
        match owner {
            Owner::Consents(account) => drop(self.consents.insert(account)),
            Owner::OptOuts(account) => drop(self.opt_outs.insert(account)),
            _ => {}
        }
    }

    fn owners(&self) -> impl Iterator<Item = Owner> + '_ {
        let opt_outs = self.opt_outs.iter().copied().map(Owner::OptOuts);
        opt_outs.chain(self.consents.iter().copied().map(Owner::Consents))
    }
}

/// One step.
#[derive(Clone, Debug)]
pub enum Forget {
    /// Names keys that are no account's newest: what lies under them is moved by [`Forget::Rewrite`], and then they are to go.
    Stale,
    /// Learns of withdrawals in the last file before this number. From the newest file to the oldest.
    Withdrawn(u64, Ends),
    /// Looks through the first file behind this number for accounts that hold something of that under their newest keys: these are
    /// to be followed by others.
    Look(u64, Going),
    /// Makes new keys of these accounts, at that time in unix milliseconds, and names those that are older now.
    Renew(Holders, u64),
    /// Seals anew what lies under any key that is not its account's newest in the first file behind this number, without what is to
    /// go, at that time in unix milliseconds.
    Rewrite(u64, Going, u64),
    /// Names the keys of consents under which nothing lies: none of these does, and nothing came since [`Forget::Stale`].
    Spare(BTreeSet<KeyId>),
    /// Has registers of the journal made anew and destroys these keys, under which nothing lies any more.
    Finish(Vec<KeyId>),
    /// Names the keys that go with an account that is closed for good.
    Keys(SystemId),
    /// Destroys them, once no consent lies under them any more ([`Forget::Rewrite`]): all its numbers go, and what finds recipients in its history once that is empty.
    Close(SystemId),
}

/// What a step did.
#[derive(Debug)]
pub enum ForgetReport {
    /// Those keys.
    Keys(Vec<KeyId>),
    /// Which file was looked through, `None` behind the last, and which accounts hold something that is to go.
    Looked(Option<u64>, Holders),
    /// Which file that was, `None` before the first, and what is known of withdrawals now.
    Withdrawn(Option<u64>, Ends),
    /// Which file that was, the keys under which something lies in it now, and what became of its records.
    Rewritten(Option<u64>, BTreeSet<KeyId>, Lost),
    /// Keys that are gone.
    Gone(Vec<Destroyed>),
}

/// What became of the records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many of each account went, or lost something.
    pub of: BTreeMap<SystemId, u64>,
    /// Stretches and records that cannot be read, or that their key does not open: they are there as they were.
    pub damaged: u64,
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
    /// A file does not say which journal it is of.
    #[error("the journal of opt-outs: the beginning of file {0:016x} has damage: nothing is sealed anew")]
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

/// The key under which what is sealed with such a record is sealed from now on.
fn newest<D: Disk>(ring: &KeyRing<D>, record: &Record<'_>) -> Option<KeyId> {
    let owner = owner_of(record.account, &record.change);
    ring.newest(owner).map(|key| key.id())
}

/// Whether that is how a record is sealed already.
fn is_newest<D: Disk>(ring: &KeyRing<D>, record: &Record<'_>) -> bool {
    !record.sealed.is_empty() && newest(ring, record) == Some(record.key)
}

/// What becomes of a record by its consent's end. What lies under a key that is gone is bare already.
fn fate<D: Disk>(ring: &KeyRing<D>, consents: Option<&Ends>, record: &Record<'_>) -> Fate {
    match consents.map_or(Fate::Stays, |ends| ends.fate(record)) {
        Fate::Bare if !ring.has(record.key) => Fate::Stays,
        fate => fate,
    }
}

/// It is there, and its key does not open it.
struct Unopened;

/// What is sealed with a record; `None` where nothing is, or its key is gone.
fn opened<D: Disk>(ring: &KeyRing<D>, record: &Record<'_>) -> Result<Option<Private>, Unopened> {
    if record.sealed.is_empty() || !ring.has(record.key) {
        return Ok(None);
    }
    let key = ring.get(record.key).ok_or(Unopened)?;
    let mut sealed = Zeroizing::new(record.sealed.to_vec());
    let mut plain = key
        .open(&aad(record.account, record.id), &mut sealed, Purpose::Sweep)
        .map_err(|_| Unopened)?;
    Private::get(&mut plain).map(Some).map_err(|_| Unopened)
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
                self.sealed().clear();
                let stale = ring
                    .of_people()
                    .filter(|(owner, key)| ring.newest(*owner).is_none_or(|newest| newest.id() != *key));
                ForgetReport::Keys(stale.map(|(_, key)| key).collect())
            }
            Forget::Withdrawn(before, mut ends) => {
                let numbers = numbers(self.disk(), self.dir(), Holds::Lasting)?;
                let Some(number) = numbers.into_iter().rev().find(|number| *number < before) else {
                    return Ok(ForgetReport::Withdrawn(None, ends));
                };
                let mut learnt = Vec::new();
                each_record(&self.read(number)?, number, |record| {
                    if Ends::learns(&record.change) {
                        learnt.push((record.id, record.change.clone()));
                    }
                });
                ends.learn(learnt);
                ForgetReport::Withdrawn(Some(number), ends)
            }
            Forget::Look(behind, going) => {
                let (has_people, people) = (!going.people.is_empty(), People::new(going.people, ring));
                let Some((number, octets)) = self.file_behind(behind)? else {
                    return Ok(ForgetReport::Looked(None, Holders::default()));
                };
                let mut holders = Holders::default();
                let owners: HashMap<KeyId, Owner> =
                    ring.of_people().map(|(owner, key)| (key, owner)).collect();
                each_record(&octets, number, |record| {
                    let owner = owner_of(record.account, &record.change);
                    let is_over = fate(ring, going.consents.as_ref(), record) != Fate::Stays;
                    if is_over {
                        *holders.over.entry(record.account).or_default() += 1;
                    }
                    // Where an earlier version sealed it: by another owner's newest key, which is not stale and has to go, too.
                    let elsewhere = owners.get(&record.key).copied();
                    let elsewhere = elsewhere.filter(|real| *real != owner && !record.sealed.is_empty());
                    let is_known = holders.has(owner) && elsewhere.is_none_or(|real| holders.has(real));
                    if is_known || elsewhere.is_none() && !is_newest(ring, record) {
                        return;
                    }
                    let private = match has_people && !is_over {
                        // What its key does not open stays as it is, whoever it is of.
                        true => opened(ring, record).unwrap_or_default(),
                        false => None,
                    };
                    let loses = private.is_some_and(|private| people.left(record, &private).is_some());
                    if is_over || loses {
                        holders.note(owner);
                        elsewhere.into_iter().for_each(|real| holders.note(real));
                    }
                });
                ForgetReport::Looked(Some(number), holders)
            }
            Forget::Renew(holders, now_ms) => {
                let mut older = Vec::new();
                for owner in holders.owners() {
                    older.extend(ring.live(owner));
                    ring.make(owner, now_ms, rng)?;
                }
                ForgetReport::Keys(older)
            }
            Forget::Spare(used) => {
                let sealed = self.sealed();
                let of_consents = ring
                    .of_people()
                    .filter(|(owner, key)| matches!(owner, Owner::Consents(_)) && !sealed.contains(key));
                let spare = of_consents.map(|(_, key)| key).filter(|key| !used.contains(key));
                ForgetReport::Keys(spare.collect())
            }
            Forget::Rewrite(behind, going, now_ms) => {
                let people = People::new(going.people, ring);
                let Some((number, octets)) = self.file_behind(behind)? else {
                    return Ok(ForgetReport::Rewritten(None, BTreeSet::new(), Lost::default()));
                };
                let what = (&people, going.consents.as_ref(), now_ms);
                let rewritten = self.rewrite(number, &octets, what, ring, rng);
                if rewritten.is_err() {
                    // The run ends here, and some files are others already.
                    self.tell_registers();
                }
                let (used, lost) = rewritten?;
                ForgetReport::Rewritten(Some(number), used, lost)
            }
            Forget::Finish(mut keys) => {
                // Something came since that was named.
                keys.retain(|key| !self.sealed().contains(key));
                if !keys.is_empty() {
                    self.count_rewriting()?;
                }
                self.tell_registers();
                ForgetReport::Gone(ring.destroy_many(&keys)?)
            }
            Forget::Keys(account) => {
                ring.usable()?;
                ForgetReport::Keys(ring.of_closed(account))
            }
            Forget::Close(account) => ForgetReport::Gone(ring.destroy_many(&ring.of_closed(account))?),
        })
    }

    fn file_behind(&self, behind: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut numbers = numbers(self.disk(), self.dir(), Holds::Lasting)?.into_iter();
        let Some(number) = numbers.find(|number| *number > behind) else {
            return Ok(None);
        };
        Ok(Some((number, self.read(number)?)))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        let path = self.dir().join(file_name(Holds::Lasting, number));
        segment::read_all(&self.disk().open(&path, Access::Read)?)
    }

    /// Writes a file anew, if anything in it lies under a key that is not its account's newest; the keys that are used in it then,
    /// and what became of its records. What cannot be read is copied as it is, and so is what its key does not open: that key is used.
    fn rewrite(
        &mut self,
        number: u64,
        octets: &[u8],
        (people, consents, now_ms): (&People, Option<&Ends>, u64),
        ring: &mut KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<(BTreeSet<KeyId>, Lost), ForgetError> {
        // What lies under a key that is gone opens for nobody, and stays as it is.
        let is_old = |ring: &KeyRing<D>, record: &Record<'_>| {
            !record.sealed.is_empty() && ring.has(record.key) && newest(ring, record) != Some(record.key)
        };
        // What lies under the newest key of its account was not looked at before that was made: it waits for the next run.
        let fate = |ring: &KeyRing<D>, record: &Record<'_>| match is_newest(ring, record) {
            true => Fate::Stays,
            false => fate(ring, consents, record),
        };
        let (mut used, mut has_old, mut without) = (BTreeSet::new(), false, BTreeSet::new());
        let mut unopened = 0;
        let damaged = each_record(octets, number, |record| {
            has_old |= fate(ring, record) != Fate::Stays;
            if !record.sealed.is_empty() {
                used.insert(record.key);
                if is_old(ring, record) {
                    let opens = opened(ring, record).is_ok();
                    has_old |= opens;
                    unopened += u64::from(!opens);
                    let is_without = opens && newest(ring, record).is_none();
                    without.extend(is_without.then_some(record.account));
                }
            }
        });
        let mut lost = Lost {
            damaged: damaged + unopened,
            ..Lost::default()
        };
        if !has_old {
            return Ok((used, lost));
        }
        // What an earlier version sealed of consents; a key of opt-outs is there where anything lies under one.
        for account in without {
            ring.make(Owner::Consents(account), now_ms, rng)?;
        }
        // Before any file is another: whatever becomes of this run, a register of what was before is none of what is there then.
        self.count_rewriting()?;
        let mut new = self.header_of(number)?.to_vec();
        used.clear();
        for part in Scan::new(octets, number) {
            let (header, at) = match part {
                Found::Batch { header, at } => (header, at),
                Found::Damage { from, to } => {
                    new.extend_from_slice(octets.get(from..to).unwrap_or_default());
                    continue;
                }
            };
            let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
            let (mut records, mut account) = (Vec::with_capacity(batch.len()), None);
            while !batch.is_empty() {
                let whole = batch;
                let Ok(record) = read_record(&mut batch, &mut account) else {
                    // Nobody knows where it ends.
                    records.extend_from_slice(whole);
                    break;
                };
                let as_it_is = whole.get(..whole.len() - batch.len()).unwrap_or_default();
                let fate = fate(ring, &record);
                if fate != Fate::Stays {
                    *lost.of.entry(record.account).or_default() += 1;
                    if fate == Fate::Bare {
                        put_sealed(&mut records, as_it_is, &record, (None, &Private::default()), rng)?;
                    }
                    continue;
                }
                let private = match is_old(ring, &record) {
                    true => opened(ring, &record).unwrap_or_default(),
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
                if left.is_some() {
                    *lost.of.entry(record.account).or_default() += 1;
                }
                let left = left.unwrap_or(private);
                let key = ring
                    .newest(owner_of(record.account, &record.change))
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

    /// Seals evidence of consents under the keys of opt-outs, as versions did that had no others, and destroys the others.
    #[cfg(test)]
    pub(crate) fn seal_as_before(&mut self, ring: &mut KeyRing<D>, rng: &mut impl CryptoRng) {
        for number in numbers(self.disk(), self.dir(), Holds::Lasting).unwrap() {
            let octets = self.read(number).unwrap();
            let mut new = self.header_of(number).unwrap().to_vec();
            for part in Scan::new(&octets, number) {
                let Found::Batch { header, at } = part else {
                    panic!("damage");
                };
                let mut batch = &octets[at..at + header.len as usize];
                let (mut records, mut account) = (Vec::new(), None);
                while !batch.is_empty() {
                    let whole = batch;
                    let record = read_record(&mut batch, &mut account).unwrap();
                    let as_it_is = &whole[..whole.len() - batch.len()];
                    match opened(ring, &record).ok().flatten() {
                        Some(private) => {
                            let key = ring.newest(Owner::OptOuts(record.account)).unwrap();
                            let seal = (Some(&*key), &private);
                            put_sealed(&mut records, as_it_is, &record, seal, rng).unwrap();
                        }
                        None => records.extend_from_slice(as_it_is),
                    }
                }
                let len = u32::try_from(records.len()).unwrap();
                new.extend_from_slice(&BatchHeader { len, ..header }.octets(&records));
                new.extend_from_slice(&records);
            }
            if number == self.number() {
                self.leave_file();
            }
            self.replace(number, &new).unwrap();
        }
        let of_consents = ring
            .of_people()
            .filter(|(owner, _)| matches!(owner, Owner::Consents(_)));
        let keys: Vec<KeyId> = of_consents.map(|(_, key)| key).collect();
        ring.destroy_many(&keys).unwrap();
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

/// Gives each record of a file that can be read; how many stretches of it cannot.
fn each_record(octets: &[u8], number: u64, mut each: impl FnMut(&Record<'_>)) -> u64 {
    let (mut account, mut damaged) = (None, 0);
    for part in Scan::new(octets, number) {
        let Found::Batch { header, at } = part else {
            damaged += 1;
            continue;
        };
        let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
        while !batch.is_empty() {
            let Ok(record) = read_record(&mut batch, &mut account) else {
                damaged += 1;
                break;
            };
            each(&record);
        }
    }
    damaged
}
