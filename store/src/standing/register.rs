//! The register: the journal's opt-outs and consents by account, for lists and searches.
//!
//! ```text
//! o │ n u8 │ account │ who × 16 │ kind u8 │ scope → origins u8 │ categories u8 │ at u64 │ via u8 │ id u64 │ key u32 │ sealed
//! c │ n u8 │ account │ who × 16 │ id u64          → p u16 │ public part │ key u32 │ sealed
//! w │ who × 16 │ kind u8 │ n u8 │ scope │ account   → nothing: whose entry of a person there is in a scope
//! v │ who × 16 │ account                          → nothing: who has recorded a consent of a person
//! u │ scope                                       → nothing: a sender by a pseudonym that some entry is about
//! s │ scope                                       → what such a sender is called here, where it has been renamed
//! t │ scope                                       → as what a sender that is called so here goes now
//! n │ n u8 │ account │ key u32                    → opt-outs under this key u64
//! p                                               → format u8 │ rewritten u32 │ file u64 │ batch in u64 │ at u64 │ end u64 │ last id u64 │ header
//! q                                               → the same of where the changes end that are being put here
//! ```
//!
//! It is made from the journal alone, which is the truth, and follows it by itself a little at a time, whatever the message
//! path does; what cannot be read of it is dropped and made anew. Numbers stand in it sealed, as in the journal (P4).

use std::collections::btree_map::{Entry as Slot, IntoIter};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk, DiskFile};
use crate::message_id::MessageId;
use crate::pseudonym::{PSEUDONYM_LEN, Pseudonym};
use crate::record::{self, RecordError};
use crate::seal::{KeyId, Purpose, SealKey};
use crate::segment::{BATCH_HEADER_LEN, Found, HEADER_LEN, Scan};
use crate::tree::{self, BATCH_MAX, Batch, Tree, TreeError};

use super::journal::{Holds, Record, Synced, file_name, numbers, open_private, read_record};
use super::{Change, Origins, Private, Scope, Via, What};

/// Octets of a file that are read at a time; the journal's batches have at most a few of these.
const WINDOW: usize = 1 << 20;
/// No batch of the journal is longer.
const WINDOW_MAX: usize = 16 << 20;
/// Keys that one step changes at most, before what one change brings with it.
const STEP: usize = if cfg!(test) { 16 } else { BATCH_MAX / 2 };
/// Changes that one step looks at.
const STEP_CHANGES: u64 = 2_000;
/// Changes that are gathered where they only add, as an import does.
const BULK_CHANGES: u64 = if cfg!(test) { 300 } else { 50_000 };
/// Octets of them, each counted with [`CHANGE_ROOM`].
const BULK_OCTETS: usize = 16 << 20;
/// What a change takes besides what is sealed of it: two keys, its public part, and the trees that they stand in.
const CHANGE_ROOM: usize = 400;
/// Accounts whose entries one change lifts at most; a scope has rarely more than one that entered anything.
const LIFTED_MAX: usize = 256;
/// Entries that a page looks at for each that it may show, where numbers are not kept any more.
const LOOKED_AT: usize = 16;
/// The form of all this: another one is made anew.
const FORMAT: u8 = 5;

/// Why the register does not answer.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The index; it is made anew.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The journal could not be read.
    #[error("the journal of opt-outs: {0}")]
    Journal(#[from] io::Error),
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Changes of the journal that were taken in.
    pub changes: u64,
    /// Whether the register holds all that is synced in the journal.
    pub is_level: bool,
}

/// An entry that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// By whom it was made.
    pub origins: Origins,
    /// Of which categories, a bit each; 0 is all.
    pub categories: u8,
    /// When it was made first, in unix milliseconds.
    pub at_ms: u64,
    /// How it came about first.
    pub via: Via,
    /// The number and what else is known, as far as keys open it.
    pub private: Private,
}

/// Some entries of an account, those of a person together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Whose number is known, in the order of who and where.
    pub entries: Vec<(Pseudonym, Scope, Kept)>,
    /// Behind whom the next page begins, if there is one.
    pub next: Option<Pseudonym>,
    /// All of the account's.
    pub total: u64,
    /// Those whose numbers are not kept any more.
    pub hashed: u64,
}

/// Numbers of people.
#[derive(Default)]
pub struct Numbers {
    /// Their digits; one may stand there several times.
    pub numbers: Vec<Vec<u8>>,
    /// Behind which place the next ones stand, if there are any.
    pub next: Option<Vec<u8>>,
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Numbers({})", self.numbers.len())
    }
}

/// Where in the journal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: u64,
    /// The last batch that was looked at is in this file and begins here, and its header is this.
    batch_in: u64,
    batch_at: u64,
    header: [u8; BATCH_HEADER_LEN],
    /// What is to be read next.
    end: u64,
    last: u64,
    /// How often the journal had been written anew.
    rewritten: u32,
}

/// See the [module](self).
pub struct Register<D: Disk> {
    disk: D,
    journal: PathBuf,
    index: PathBuf,
    synced: Synced,
    open: Option<Open>,
}

struct Open {
    tree: Tree,
    place: Place,
    bulk: Option<Bulk>,
}

impl<D: Disk> Register<D> {
    pub(crate) const fn new(disk: D, journal: PathBuf, index: PathBuf, synced: Synced) -> Self {
        Self {
            disk,
            journal,
            index,
            synced,
            open: None,
        }
    }

    /// Nothing that is read of the index is believed any more: it is made anew.
    fn give_up(&mut self) -> Result<(), RegisterError> {
        self.open = None;
        tree::remove(&self.index)?;
        Ok(())
    }

    /// How far the journal is synced now, for [`Register::holds`].
    pub fn newest(&self) -> (u64, u64) {
        self.synced.get()
    }

    /// Whether it has come as far as the journal was synced then.
    pub fn holds(&self, (number, end): (u64, u64)) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let place = &open.place;
            place.number > number || place.number == number && place.end >= end
        })
    }

    /// Takes in some of what the journal holds beyond it. What cannot be read of the register itself is made anew.
    ///
    /// # Errors
    ///
    /// The next step tries again, from the journal's beginning where the index is to blame.
    pub fn follow(&mut self) -> Result<Followed, RegisterError> {
        let mut open = match self.open.take() {
            Some(open) if open.place.rewritten == self.synced.rewritten() => open,
            // Numbers were taken out of the journal: none of them stays here, sealed or not.
            Some(stale) => {
                drop(stale);
                self.give_up()?;
                self.opened()?
            }
            None => self.opened()?,
        };
        let followed = self.step(&mut open);
        self.open = Some(open);
        self.checked(followed)
    }

    fn checked<T>(&mut self, result: Result<T, RegisterError>) -> Result<T, RegisterError> {
        match &result {
            // Nobody knows what sled makes of it in memory; what is on disk is whole.
            Err(RegisterError::Tree(error)) if error.is_of_disk() => self.open = None,
            Err(RegisterError::Tree(_)) => self.give_up()?,
            _ => {}
        }
        result
    }

    fn opened(&self) -> Result<Open, RegisterError> {
        match self.read_open() {
            Ok(Some(open)) => return Ok(open),
            Ok(None) => {}
            Err(RegisterError::Tree(error)) if !error.is_of_disk() => {
                tracing::warn!(%error, "the register of opt-outs is made anew from the journal");
            }
            Err(error) => return Err(error),
        }
        tree::remove(&self.index)?;
        Ok(Open {
            tree: Tree::open(&self.index)?,
            place: Place {
                rewritten: self.synced.rewritten(),
                ..Place::START
            },
            bulk: None,
        })
    }

    /// What is there, if it goes on where this journal has been.
    fn read_open(&self) -> Result<Option<Open>, RegisterError> {
        let tree = Tree::open(&self.index)?;
        let Some(octets) = tree.get(b"p")? else {
            return Ok(None);
        };
        let Some(place) = Place::read(&octets) else {
            return Ok(None);
        };
        // Where it was cut, what it holds goes on to there.
        let is_until_there = match tree.get(b"q")? {
            Some(octets) => match Place::read(&octets) {
                Some(until) => self.was_at(&until)?,
                None => false,
            },
            None => true,
        };
        let is_of_this = place.rewritten == self.synced.rewritten() && self.was_at(&place)?;
        if !is_of_this || !is_until_there {
            tracing::warn!("the register of opt-outs is of another journal, and is made anew");
            return Ok(None);
        }
        Ok(Some(Open {
            tree,
            place,
            bulk: None,
        }))
    }

    /// Whether the journal holds the batch that was read last: one that came from a backup may not.
    fn was_at(&self, place: &Place) -> Result<bool, RegisterError> {
        if place.batch_in == 0 {
            return Ok(place.last == 0);
        }
        let path = self.journal.join(file_name(Holds::Lasting, place.batch_in));
        let file = match self.disk.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let mut header = [0; BATCH_HEADER_LEN];
        let read = file.read_at(&mut header, place.batch_at)?;
        Ok(read == header.len() && header == place.header)
    }

    fn step(&self, open: &mut Open) -> Result<Followed, RegisterError> {
        if let Some(bulk) = open.bulk.take() {
            return bulk.go_on(open);
        }
        let mut step = Step::new(open);
        loop {
            let (number, end) = self.synced.get();
            let place = &mut step.place;
            if place.number > number || (place.number == number && place.end >= end) {
                step.is_level = true;
                break;
            }
            let mut window = self.window(place, (number, end))?;
            if window.octets.is_empty() {
                if !self.next_file(place, number)? {
                    step.is_level = true;
                    break;
                }
                continue;
            }
            let is_full = step.take(&mut window)?;
            if is_full {
                break;
            }
        }
        if !step.is_exact && step.keys() > STEP {
            return Bulk::from(step).go_on(open);
        }
        step.settle()?;
        let (place, changes, is_level) = (step.place, step.changes, step.is_level);
        let batch = step.batch();
        if open.place != place {
            open.tree.apply(batch)?;
        }
        open.place = place;
        Ok(Followed { changes, is_level })
    }

    /// The next file there is, up to the one that is being written.
    fn next_file(&self, place: &mut Place, newest: u64) -> Result<bool, RegisterError> {
        let next = numbers(&self.disk, &self.journal, Holds::Lasting)?
            .into_iter()
            .find(|number| *number > place.number && *number <= newest);
        let Some(next) = next else {
            return Ok(false);
        };
        place.number = next;
        place.end = HEADER_LEN as u64;
        Ok(true)
    }

    /// Octets of the journal from where it was left, at least a whole batch if there is one.
    fn window(&self, place: &Place, (newest, synced): (u64, u64)) -> Result<Window, RegisterError> {
        let empty = Window {
            octets: Vec::new(),
            at: place.end,
            is_last: true,
        };
        if place.number == 0 {
            return Ok(empty);
        }
        let path = self.journal.join(file_name(Holds::Lasting, place.number));
        let file = match self.disk.open(&path, Access::Read) {
            // A hole in the journal is told by the start.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            opened => opened?,
        };
        let len = file.len()?;
        let until = if place.number == newest {
            len.min(synced)
        } else {
            len
        };
        let mut size = WINDOW;
        loop {
            let left = usize::try_from(until.saturating_sub(place.end)).unwrap_or(usize::MAX);
            let mut octets = vec![0; size.min(left)];
            let read = file.read_at(&mut octets, place.end)?;
            octets.truncate(read);
            let is_last = read == left;
            let has_batch =
                Scan::within(&octets, place.number).any(|part| matches!(part, Found::Batch { .. }));
            if !has_batch && is_last {
                return Ok(empty);
            }
            if has_batch || size >= WINDOW_MAX {
                return Ok(Window {
                    octets,
                    at: place.end,
                    is_last,
                });
            }
            size *= 4;
        }
    }

    /// An account's entries behind a person.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Tree`]: the register is made anew, ask again.
    pub fn page(
        &mut self,
        account: SystemId,
        after: Option<&Pseudonym>,
        limit: usize,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Page, RegisterError> {
        let page = match &self.open {
            Some(open) => open.page(account, after, limit, keys, purpose),
            None => Ok(Page::default()),
        };
        self.checked(page.map_err(RegisterError::Tree))
    }

    /// Numbers of opt-outs and consents of all accounts, as far as keys open them, behind a place, and the next one.
    ///
    /// # Errors
    ///
    /// As [`Register::page`].
    pub fn numbers(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Numbers, RegisterError> {
        let found = match &self.open {
            Some(open) => open.numbers(after, limit, keys, purpose),
            None => Ok(Numbers::default()),
        };
        self.checked(found.map_err(RegisterError::Tree))
    }

    /// All that an account recorded of a person's consent, oldest first (CON-2).
    ///
    /// # Errors
    ///
    /// As [`Register::page`].
    pub fn consents(
        &mut self,
        account: SystemId,
        who: &Pseudonym,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Vec<Change>, RegisterError> {
        let found = match &self.open {
            Some(open) => open.consents(account, who, keys, purpose),
            None => Ok(Vec::new()),
        };
        self.checked(found.map_err(RegisterError::Tree))
    }
}

impl Open {
    fn page(
        &self,
        account: SystemId,
        after: Option<&Pseudonym>,
        limit: usize,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Page, TreeError> {
        let mut page = Page::default();
        let counts = key_of(b'n', account);
        self.tree.scan(&counts, None, |key, value| {
            let count = value
                .first_chunk()
                .map_or(0, |octets| u64::from_be_bytes(*octets));
            let under = key.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
            page.total += count;
            if !keys.contains_key(&KeyId(under)) {
                page.hashed += count;
            }
            true
        })?;
        let prefix = key_of(b'o', account);
        let from = after.map(|who| {
            let mut key = prefix.clone();
            key.extend_from_slice(who.octets());
            // Behind every scope of this person.
            key.push(u8::MAX);
            key
        });
        let (mut last, mut looked_at, mut is_over) = (None, 0, true);
        self.tree.scan(&prefix, from.as_deref(), |key, value| {
            let Some((who, scope)) = who_and_scope(&prefix, key) else {
                return true;
            };
            let is_enough = page.entries.len() >= limit || looked_at >= limit.saturating_mul(LOOKED_AT);
            if is_enough && last.is_some_and(|last| last != who) {
                is_over = false;
                return false;
            }
            looked_at += 1;
            last = Some(who);
            if let Some(entry) = Entry::read(value) {
                let kept = entry.kept(account, keys, purpose);
                if !kept.private.number.is_empty() {
                    page.entries.push((who, scope, kept));
                }
            }
            true
        })?;
        for (_, scope, _) in &mut page.entries {
            if scope.is_unlisted()
                && let Some(name) = self.tree.get(&sender_key(b't', scope))?
            {
                *scope = Scope::sender(&name);
            }
        }
        page.next = last.filter(|_| !is_over);
        Ok(page)
    }

    fn numbers(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Numbers, TreeError> {
        let (mut found, mut looked_at, mut last) = (Vec::new(), 0, None);
        for kind in [b"c", b"o"] {
            let is_behind = after.is_some_and(|after| !after.starts_with(kind) && after > &kind[..]);
            if is_behind || looked_at >= limit {
                continue;
            }
            let after = after.filter(|after| after.starts_with(kind));
            self.tree.scan(kind, after, |key, value| {
                looked_at += 1;
                let number = number_of(key, value, keys, purpose);
                found.extend(number.filter(|number| !number.is_empty()));
                last = Some(key.to_vec());
                looked_at < limit
            })?;
        }
        Ok(Numbers {
            numbers: found,
            next: last.filter(|_| looked_at >= limit),
        })
    }

    fn consents(
        &self,
        account: SystemId,
        who: &Pseudonym,
        keys: &BTreeMap<KeyId, Arc<SealKey>>,
        purpose: Purpose,
    ) -> Result<Vec<Change>, TreeError> {
        let mut prefix = key_of(b'c', account);
        prefix.extend_from_slice(who.octets());
        let mut found = Vec::new();
        self.tree.scan(&prefix, None, |key, value| {
            let id = key.last_chunk().map_or(0, |octets| u64::from_be_bytes(*octets));
            found.extend(read_consent(value, account, MessageId(id), keys, purpose).ok());
            true
        })?;
        Ok(found)
    }
}

/// Octets of a file.
struct Window {
    octets: Vec<u8>,
    at: u64,
    /// They go as far as the file, or what is synced of it.
    is_last: bool,
}

/// Changes that are gathered for one batch of the index; what it says of a key comes before what stands there. Where they only
/// add, what stands there is not asked until all are gathered, and they may be more than a batch takes: a [`Bulk`].
struct Step<'a> {
    open: &'a Open,
    place: Place,
    changes: u64,
    is_level: bool,
    /// Whether something is taken away or renamed.
    is_exact: bool,
    /// Opt-outs that were added, without what stands in the index. None where it is exact.
    added: BTreeMap<Vec<u8>, (SystemId, Entry)>,
    /// Octets of what was added.
    octets: usize,
    opt_outs: HashMap<Vec<u8>, Option<Entry>>,
    /// What stands behind other keys, or no more.
    others: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    counts: HashMap<(SystemId, KeyId), u64>,
    /// Whose entries there are now, or no more, by [`whose_key`].
    whose: BTreeMap<Vec<u8>, bool>,
}

impl<'a> Step<'a> {
    fn new(open: &'a Open) -> Self {
        Self {
            open,
            place: open.place,
            changes: 0,
            is_level: false,
            is_exact: false,
            added: BTreeMap::new(),
            octets: 0,
            opt_outs: HashMap::new(),
            others: BTreeMap::new(),
            counts: HashMap::new(),
            whose: BTreeMap::new(),
        }
    }

    fn keys(&self) -> usize {
        self.added.len() + self.opt_outs.len() + self.others.len() + self.counts.len() + self.whose.len()
    }

    fn is_full(&self) -> bool {
        if self.is_exact {
            self.keys() >= STEP || self.changes >= STEP_CHANGES
        } else {
            self.changes >= BULK_CHANGES || self.octets >= BULK_OCTETS
        }
    }

    /// Whether a change has to wait for the next step.
    fn is_full_for(&self, what: &What) -> bool {
        // What was added so far does not fit into one batch with what it is to be taken from.
        self.is_full() || (!self.is_exact && !only_adds(what) && self.keys() >= STEP)
    }

    /// Takes in the batches of a window; says whether it is enough for one step.
    fn take(&mut self, window: &mut Window) -> Result<bool, RegisterError> {
        let mut end = None;
        for part in Scan::within(&window.octets, self.place.number) {
            // What is damaged is told by the start; here nothing more can be made of it.
            let Found::Batch { header, at } = part else {
                continue;
            };
            let until = at + header.len as usize;
            let begin = at - BATCH_HEADER_LEN;
            let mut batch = window.octets.get(at..until).unwrap_or_default();
            let mut account = None;
            let head = window
                .octets
                .get(begin..at)
                .and_then(|octets| octets.first_chunk());
            if let Some(head) = head {
                self.place.batch_in = self.place.number;
                self.place.batch_at = window.at + begin as u64;
                self.place.header = *head;
            }
            while !batch.is_empty() {
                let Ok(record) = read_record(&mut batch, &mut account) else {
                    break;
                };
                if record.id.0 <= self.place.last {
                    continue;
                }
                // What is left of a batch is read again by the next step.
                if self.is_full_for(&record.change.what) {
                    self.place.end = window.at + begin as u64;
                    return Ok(true);
                }
                self.place.last = record.id.0;
                self.changes += 1;
                self.record(&record)?;
            }
            end = Some(until);
            self.place.end = window.at + until as u64;
        }
        if end.is_none() && !window.is_last {
            self.place.end = window.at + window.octets.len() as u64;
        }
        Ok(self.is_full())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), TreeError> {
        let account = record.account;
        if !only_adds(&record.change.what) {
            self.settle()?;
        }
        self.octets += record.sealed.len() + CHANGE_ROOM;
        match &record.change.what {
            What::Suppress {
                scope,
                origin,
                categories,
            } => {
                let scope = &self.called_here(scope)?;
                if scope.is_unlisted() {
                    self.others.insert(sender_key(b'u', scope), Some(Vec::new()));
                }
                let key = opt_out_key(account, &record.change.who, scope);
                let whose = whose_key(&record.change.who, scope, account);
                let entry = Entry::new(record, Origins::of(*origin), *categories);
                if self.is_exact {
                    self.put_opt_out(key, account, entry)?;
                } else {
                    match self.added.entry(key) {
                        Slot::Vacant(slot) => drop(slot.insert((account, entry))),
                        Slot::Occupied(mut slot) => slot.get_mut().1.add(&entry),
                    }
                }
                self.whose.insert(whose, true);
            }
            What::Lift { scope, origins } => {
                let scope = &self.called_here(scope)?;
                for account in self.whose_are(&record.change.who, scope)? {
                    let key = opt_out_key(account, &record.change.who, scope);
                    let Some(present) = self.opt_out(&key)? else {
                        continue;
                    };
                    let mut entry = present.clone();
                    entry.origins = entry.origins.without(*origins);
                    let left = (!entry.origins.is_empty()).then_some(entry);
                    self.count(account, Some(&present), left.as_ref())?;
                    if left.is_none() {
                        self.whose
                            .insert(whose_key(&record.change.who, scope, account), false);
                    }
                    self.opt_outs.insert(key, left);
                }
            }
            What::Consent { .. } | What::Asked { .. } => {
                let mut key = key_of(b'c', account);
                key.extend_from_slice(record.change.who.octets());
                key.extend_from_slice(&record.id.0.to_be_bytes());
                self.others.insert(key, Some(put_consent(record)));
                self.others
                    .insert(consents_key(&record.change.who, account), Some(Vec::new()));
            }
            What::Renamed { to } => {
                self.rename_sender(&record.change.who, to)?;
                self.rename_opt_outs(&record.change.who, to)?;
                self.rename_consents(&record.change.who, to)?;
            }
            What::Replied { .. } | What::Sent { .. } | What::Member { .. } | What::Retired { .. } => {}
        }
        Ok(())
    }

    /// An opt-out goes to what stands there.
    fn put_opt_out(&mut self, key: Vec<u8>, account: SystemId, added: Entry) -> Result<(), TreeError> {
        let present = self.opt_out(&key)?;
        let entry = match &present {
            None => added,
            Some(there) => {
                let mut entry = there.clone();
                entry.add(&added);
                entry
            }
        };
        self.count(account, present.as_ref(), Some(&entry))?;
        self.opt_outs.insert(key, Some(entry));
        Ok(())
    }

    /// From here on the order matters: what was added so far goes to what stands in the index.
    fn settle(&mut self) -> Result<(), TreeError> {
        self.is_exact = true;
        for (key, (account, entry)) in std::mem::take(&mut self.added) {
            self.put_opt_out(key, account, entry)?;
        }
        Ok(())
    }

    /// As what a scope stands here: a sender that was renamed as it was called first, since nothing finds all that is about it.
    fn called_here(&self, scope: &Scope) -> Result<Scope, TreeError> {
        if !scope.is_unlisted() {
            return Ok(scope.clone());
        }
        let name = self.other(&sender_key(b's', scope))?;
        Ok(name.map_or_else(|| scope.clone(), |name| Scope::sender(&name)))
    }

    fn rename_sender(&mut self, from: &Pseudonym, to: &Pseudonym) -> Result<(), TreeError> {
        let here = self.called_here(&Scope::unlisted_sender(from))?;
        if self.other(&sender_key(b'u', &here))?.is_some() {
            let now = Scope::unlisted_sender(to);
            let called = Some(here.name().to_vec());
            self.others.insert(sender_key(b's', &now), called);
            self.others
                .insert(sender_key(b't', &here), Some(now.name().to_vec()));
        }
        Ok(())
    }

    /// All entries of a person go over to the other name, one by one to what stands there.
    fn rename_opt_outs(&mut self, from: &Pseudonym, to: &Pseudonym) -> Result<(), TreeError> {
        let mut prefix = vec![b'w'];
        prefix.extend_from_slice(from.octets());
        let mut places = BTreeSet::new();
        self.open.tree.scan(&prefix, None, |key, _| {
            places.extend(scope_and_account(&prefix, key));
            true
        })?;
        for (key, is_there) in self.whose.range(prefix.clone()..) {
            let Some(place) = scope_and_account(&prefix, key) else {
                break;
            };
            if *is_there {
                places.insert(place);
            } else {
                places.remove(&place);
            }
        }
        for (scope, account) in places {
            let (old, new) = (
                opt_out_key(account, from, &scope),
                opt_out_key(account, to, &scope),
            );
            self.whose.insert(whose_key(from, &scope, account), false);
            let Some(entry) = self.opt_out(&old)? else {
                continue;
            };
            let present = self.opt_out(&new)?;
            let merged = present
                .as_ref()
                .map_or_else(|| entry.clone(), |there| there.with(&entry));
            self.count(account, Some(&entry), None)?;
            self.count(account, present.as_ref(), Some(&merged))?;
            self.whose.insert(whose_key(to, &scope, account), true);
            self.opt_outs.insert(old, None);
            self.opt_outs.insert(new, Some(merged));
        }
        Ok(())
    }

    fn rename_consents(&mut self, from: &Pseudonym, to: &Pseudonym) -> Result<(), TreeError> {
        let mut prefix = vec![b'v'];
        prefix.extend_from_slice(from.octets());
        for recorded in self.others_from(&prefix)?.into_keys() {
            let account = recorded.strip_prefix(&*prefix);
            let Some(account) = account.and_then(|name| SystemId::new(name).ok()) else {
                continue;
            };
            let mut old = key_of(b'c', account);
            old.extend_from_slice(from.octets());
            for (key, value) in self.others_from(&old)? {
                let mut new = key_of(b'c', account);
                new.extend_from_slice(to.octets());
                new.extend_from_slice(key.get(old.len()..).unwrap_or_default());
                self.others.insert(key, None);
                self.others.insert(new, Some(value));
            }
            self.others.insert(recorded, None);
            self.others.insert(consents_key(to, account), Some(Vec::new()));
        }
        Ok(())
    }

    fn other(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        match self.others.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.open.tree.get(key),
        }
    }

    fn others_from(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, TreeError> {
        let mut found = BTreeMap::new();
        self.open.tree.scan(prefix, None, |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            true
        })?;
        let changed = self.others.range(prefix.to_vec()..);
        for (key, value) in changed.take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => drop(found.insert(key.clone(), value.clone())),
                None => drop(found.remove(key)),
            }
        }
        Ok(found)
    }

    /// Accounts that have an entry of a person in a scope.
    fn whose_are(&self, who: &Pseudonym, scope: &Scope) -> Result<BTreeSet<SystemId>, TreeError> {
        let prefix = whose_prefix(who, scope);
        let account = |key: &[u8]| SystemId::new(key.strip_prefix(&*prefix)?).ok();
        let mut accounts = BTreeSet::new();
        self.open.tree.scan(&prefix, None, |key, _| {
            accounts.extend(account(key));
            accounts.len() < LIFTED_MAX
        })?;
        for (key, is_there) in self.whose.range(prefix.clone()..) {
            let Some(account) = account(key) else { break };
            if *is_there {
                accounts.insert(account);
            } else {
                accounts.remove(&account);
            }
        }
        Ok(accounts)
    }

    fn opt_out(&self, key: &[u8]) -> Result<Option<Entry>, TreeError> {
        match self.opt_outs.get(key) {
            Some(entry) => Ok(entry.clone()),
            None => Ok(self.open.tree.get(key)?.and_then(|value| Entry::read(&value))),
        }
    }

    /// Counts an entry under the key that seals its number: no longer there, and here now.
    fn count(
        &mut self,
        account: SystemId,
        from: Option<&Entry>,
        to: Option<&Entry>,
    ) -> Result<(), TreeError> {
        if let (Some(from), Some(to)) = (from, to)
            && from.key == to.key
        {
            return Ok(());
        }
        if let Some(from) = from {
            let count = self.count_of(account, from.key)?;
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            *self.count_of(account, to.key)? += 1;
        }
        Ok(())
    }

    fn count_of(&mut self, account: SystemId, key: KeyId) -> Result<&mut u64, TreeError> {
        if !self.counts.contains_key(&(account, key)) {
            let value = self.open.tree.get(&count_key(account, key))?;
            let count = value.as_deref().and_then(<[u8]>::first_chunk);
            let count = count.map_or(0, |octets| u64::from_be_bytes(*octets));
            self.counts.insert((account, key), count);
        }
        Ok(self.counts.entry((account, key)).or_default())
    }

    fn batch(self) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in &self.others {
            put_other(&mut batch, key, value.as_deref());
        }
        for (key, is_there) in &self.whose {
            put_whose(&mut batch, key, *is_there);
        }
        let place = self.place;
        self.put_opt_outs(&mut batch);
        batch.put(b"p", &place.octets());
        debug_assert!(batch.len() <= BATCH_MAX + 3 * LIFTED_MAX);
        batch
    }

    /// Entries, and how many there are: never in two batches.
    fn put_opt_outs(self, batch: &mut Batch) {
        for (key, entry) in &self.opt_outs {
            match entry {
                Some(entry) => batch.put(key, &entry.octets()),
                None => batch.remove(key),
            }
        }
        for ((account, key), count) in &self.counts {
            batch.put(&count_key(*account, *key), &count.to_be_bytes());
        }
    }
}

fn put_other(batch: &mut Batch, key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => batch.put(key, value),
        None => batch.remove(key),
    }
}

fn put_whose(batch: &mut Batch, key: &[u8], is_there: bool) {
    if is_there {
        batch.put(key, b"");
    } else {
        batch.remove(key);
    }
}

/// Changes that only add and are more than a batch takes. They go into the index in the order of its keys, so that what lies
/// together is read and written together, a batch a step; the last one has the place. Cut between, they are gathered again
/// from the journal, and adding twice changes no more than once. Until then the index says how far it may go, so that a
/// journal that does not go so far is known for another one.
struct Bulk {
    others: IntoIter<Vec<u8>, Option<Vec<u8>>>,
    whose: IntoIter<Vec<u8>, bool>,
    added: IntoIter<Vec<u8>, (SystemId, Entry)>,
    place: Place,
    changes: u64,
}

impl From<Step<'_>> for Bulk {
    fn from(step: Step<'_>) -> Self {
        Self {
            others: step.others.into_iter(),
            whose: step.whose.into_iter(),
            added: step.added.into_iter(),
            place: step.place,
            changes: step.changes,
        }
    }
}

impl Bulk {
    /// Puts a batch of it into the index, and itself back, or the place where it ends.
    fn go_on(mut self, open: &mut Open) -> Result<Followed, RegisterError> {
        let mut batch = Batch::default();
        batch.put(b"q", &self.place.octets());
        while batch.len() < STEP
            && let Some((key, value)) = self.others.next()
        {
            put_other(&mut batch, &key, value.as_deref());
        }
        // Whose entries there are comes before the entries: one that is there alone is looked for in vain, no more.
        while batch.len() < STEP
            && let Some((key, is_there)) = self.whose.next()
        {
            put_whose(&mut batch, &key, is_there);
        }
        let mut step = Step::new(open);
        while batch.len() + step.keys() < STEP
            && let Some((key, (account, entry))) = self.added.next()
        {
            step.put_opt_out(key, account, entry)?;
        }
        step.put_opt_outs(&mut batch);
        let is_over = self.others.len() + self.whose.len() + self.added.len() == 0;
        if is_over {
            batch.remove(b"q");
            batch.put(b"p", &self.place.octets());
        }
        open.tree.apply(batch)?;
        let changes = if is_over { self.changes } else { 0 };
        if is_over {
            open.place = self.place;
        } else {
            open.bulk = Some(self);
        }
        // Nobody has looked whether the journal went on meanwhile.
        Ok(Followed {
            changes,
            is_level: false,
        })
    }
}

impl Place {
    /// Before everything.
    const START: Self = Self {
        number: 0,
        batch_in: 0,
        batch_at: 0,
        header: [0; BATCH_HEADER_LEN],
        end: 0,
        last: 0,
        rewritten: 0,
    };

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![FORMAT];
        octets.extend_from_slice(&self.rewritten.to_be_bytes());
        for word in [self.number, self.batch_in, self.batch_at, self.end, self.last] {
            octets.extend_from_slice(&word.to_be_bytes());
        }
        octets.extend_from_slice(&self.header);
        octets
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let mut fields = octets.strip_prefix(&[FORMAT])?;
        let rewritten = record::get_u32(&mut fields).ok()?;
        let mut word = || record::get_u64(&mut fields).ok();
        let [number, batch_in, batch_at, end, last] = [word()?, word()?, word()?, word()?, word()?];
        Some(Self {
            number,
            batch_in,
            batch_at,
            end,
            last,
            rewritten,
            header: fields.try_into().ok()?,
        })
    }
}

/// An opt-out as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    origins: Origins,
    categories: u8,
    at_ms: u64,
    via: u8,
    /// Of the change that brought the number.
    id: MessageId,
    key: KeyId,
    sealed: Vec<u8>,
}

impl Entry {
    fn new(record: &Record<'_>, origins: Origins, categories: u8) -> Self {
        Self {
            origins,
            categories,
            at_ms: record.change.at_ms,
            via: record.change.via as u8,
            id: record.id,
            key: record.key,
            sealed: record.sealed.to_vec(),
        }
    }

    /// A later one of the same person and scope. Added twice it changes no more than once.
    fn add(&mut self, later: &Self) {
        self.origins = self.origins.with(later.origins);
        self.categories = match (self.categories, later.categories) {
            (0, _) | (_, 0) => 0,
            (one, other) => one | other,
        };
        if self.sealed.is_empty() {
            (self.id, self.key) = (later.id, later.key);
            self.sealed.clone_from(&later.sealed);
        }
    }

    /// With another of the same person and scope, whichever came first.
    fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.add(other);
        both.at_ms = both.at_ms.min(other.at_ms);
        both
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![self.origins.octet(), self.categories];
        octets.extend_from_slice(&self.at_ms.to_be_bytes());
        octets.push(self.via);
        octets.extend_from_slice(&self.id.0.to_be_bytes());
        octets.extend_from_slice(&self.key.0.to_be_bytes());
        octets.extend_from_slice(&self.sealed);
        octets
    }

    fn read(mut fields: &[u8]) -> Option<Self> {
        Some(Self {
            origins: Origins::from_octet(record::get_u8(&mut fields).ok()?),
            categories: record::get_u8(&mut fields).ok()?,
            at_ms: record::get_u64(&mut fields).ok()?,
            via: record::get_u8(&mut fields).ok()?,
            id: MessageId(record::get_u64(&mut fields).ok()?),
            key: KeyId(record::get_u32(&mut fields).ok()?),
            sealed: fields.to_vec(),
        })
    }

    fn kept(&self, account: SystemId, keys: &BTreeMap<KeyId, Arc<SealKey>>, purpose: Purpose) -> Kept {
        let private = open_private(keys, purpose, account, self.id, self.key, &self.sealed);
        Kept {
            origins: self.origins,
            categories: self.categories,
            at_ms: self.at_ms,
            via: Via::from_octet(self.via).unwrap_or(Via::Configuration),
            private: private.unwrap_or_default(),
        }
    }
}

/// Whether a change takes nothing away and moves nothing, so that it may be taken in twice, and before what stands there is
/// known.
const fn only_adds(what: &What) -> bool {
    !matches!(what, What::Lift { .. } | What::Renamed { .. })
}

fn key_of(kind: u8, account: SystemId) -> Vec<u8> {
    let mut key = vec![kind];
    record::put_short(&mut key, account.as_bytes());
    key
}

fn count_key(account: SystemId, under: KeyId) -> Vec<u8> {
    let mut key = key_of(b'n', account);
    key.extend_from_slice(&under.0.to_be_bytes());
    key
}

fn opt_out_key(account: SystemId, who: &Pseudonym, scope: &Scope) -> Vec<u8> {
    let mut key = key_of(b'o', account);
    key.extend_from_slice(who.octets());
    key.push(scope.kind() as u8);
    key.extend_from_slice(scope.name());
    key
}

fn whose_prefix(who: &Pseudonym, scope: &Scope) -> Vec<u8> {
    let mut key = vec![b'w'];
    key.extend_from_slice(who.octets());
    key.push(scope.kind() as u8);
    record::put_short(&mut key, scope.name());
    key
}

fn whose_key(who: &Pseudonym, scope: &Scope, account: SystemId) -> Vec<u8> {
    let mut key = whose_prefix(who, scope);
    key.extend_from_slice(account.as_bytes());
    key
}

/// The number of an opt-out or a consent.
fn number_of(
    key: &[u8],
    value: &[u8],
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
) -> Option<Vec<u8>> {
    let (kind, mut rest) = key.split_first()?;
    let account = SystemId::new(record::get_short(&mut rest).ok()?).ok()?;
    let private = match kind {
        b'o' => Entry::read(value)?.kept(account, keys, purpose).private,
        _ => {
            let id = key.last_chunk().map(|octets| u64::from_be_bytes(*octets))?;
            read_consent(value, account, MessageId(id), keys, purpose)
                .ok()?
                .private
        }
    };
    Some(private.number)
}

fn scope_and_account(prefix: &[u8], key: &[u8]) -> Option<(Scope, SystemId)> {
    let (kind, mut rest) = key.strip_prefix(prefix)?.split_first()?;
    let name = record::get_short(&mut rest).ok()?;
    Some((Scope::from_parts(*kind, name)?, SystemId::new(rest).ok()?))
}

fn consents_key(who: &Pseudonym, account: SystemId) -> Vec<u8> {
    let mut key = vec![b'v'];
    key.extend_from_slice(who.octets());
    key.extend_from_slice(account.as_bytes());
    key
}

fn sender_key(kind: u8, sender: &Scope) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(sender.name());
    key
}

fn who_and_scope(prefix: &[u8], key: &[u8]) -> Option<(Pseudonym, Scope)> {
    let (who, scope) = key.strip_prefix(prefix)?.split_first_chunk::<PSEUDONYM_LEN>()?;
    let (kind, name) = scope.split_first()?;
    Some((Pseudonym::from_octets(*who), Scope::from_parts(*kind, name)?))
}

fn put_consent(record: &Record<'_>) -> Vec<u8> {
    let mut public = Vec::new();
    record.change.put_public(&mut public);
    let mut value = u16::try_from(public.len())
        .unwrap_or_default()
        .to_be_bytes()
        .to_vec();
    value.extend_from_slice(&public);
    value.extend_from_slice(&record.key.0.to_be_bytes());
    value.extend_from_slice(record.sealed);
    value
}

fn read_consent(
    mut value: &[u8],
    account: SystemId,
    id: MessageId,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
) -> Result<Change, RecordError> {
    let len = usize::from(record::get_u16(&mut value)?);
    let (mut public, mut rest) = value.split_at_checked(len).ok_or(RecordError::Malformed)?;
    let mut change = Change::get_public(&mut public)?;
    let key = KeyId(record::get_u32(&mut rest)?);
    change.private = open_private(keys, purpose, account, id, key, rest).unwrap_or_default();
    Ok(change)
}
