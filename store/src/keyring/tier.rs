//! Tiers (ENC-5): keys of what is kept of people apart from messages lie in rings of their own, each under a key-encryption
//! key of its own. Who has the ring of messages and what opens it opens nothing of them.
//!
//! A tier's ring has the form of any ring, in a directory below that of the main one. Instead of the key of message ids it begins
//! with a *mark* that names its tier and the main ring that it belongs to, and the main ring has a mark that says that the
//! tier's was made: one that is missing later is told from one that never was (ENC-6). Names of keys are of ranges that do not
//! meet, so that each key is in one place.
//!
//! A tier that is attached for the first time takes over what the main ring holds for its owners: same names, same octets,
//! same age, since what they have sealed says under which name. They are written and synced in the tier's ring before they are
//! overwritten in the main one, so wherever that is cut off the next start does the rest.
//!
//! Who attaches is told of each [`Step`] between what it made and what says that it is made: the mark of a ring, the
//! overwriting of keys. A step that nobody took note of is told again by the next start, and one that was noted is told again only
//! where the cut came right behind the note.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::KeyRingError;
use super::files::{self, Found};
use super::kek::Kek;
use super::keks::Keks;
use super::owner::{DISCLOSURES, ERASURES, HOLDS, Owner, RESTRICTIONS, SUBJECTS, TIERS};
use super::slot::{Content, OwnerTag};
use super::{Fresh, KEPT_OPEN_MAX, KeyRing, wrapped_key};
use crate::disk::Disk;
use crate::seal::{KEY_LEN, KeyId};

/// A class of data whose keys lie apart (compliance.md §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// `legal`: holds, orders to erase, restrictions, disclosures.
    Legal,
    /// `subrec`: requests of people, with the proof of who asked.
    Subrec,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Legal, Self::Subrec];

    /// For people, files and configurations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Legal => "legal",
            Self::Subrec => "subrec",
        }
    }

    /// The directory of its ring, below that of the main one.
    pub fn dir(self, key_ring: &Path) -> PathBuf {
        key_ring.join(self.word())
    }

    /// Its number in files.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Legal => 1,
            Self::Subrec => 2,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.number() == number)
    }

    /// The tier of a kind of owners; none of those whose keys messages need.
    pub(super) const fn of_kind(kind: u8) -> Option<Self> {
        match kind {
            HOLDS | ERASURES | DISCLOSURES | RESTRICTIONS => Some(Self::Legal),
            SUBJECTS => Some(Self::Subrec),
            _ => None,
        }
    }

    /// The tier whose ring a mark of the main one is about.
    pub(super) fn of_mark(tag: &OwnerTag) -> Option<Self> {
        match tag.text() {
            [number] if tag.kind == TIERS => Self::of_number(*number),
            _ => None,
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Legal => 0,
            Self::Subrec => 1,
        }
    }
}

impl FromStr for Tier {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tier = Self::ALL.into_iter().find(|tier| tier.word() == text);
        tier.ok_or("one of legal, subrec")
    }
}

/// Which ring it is, and so what its first key is and which names it gives out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// That of messages.
    Main,
    /// A tier's, beside the main ring of this id.
    Of(Tier, [u8; 16]),
}

impl Part {
    /// The owner of the key that it is made with, and that is never destroyed.
    pub(super) fn first_owner(self) -> OwnerTag {
        match self {
            Self::Main => Owner::MessageId.tag(),
            Self::Of(tier, main) => {
                let mut text = [tier.number(); 17];
                text[1..].copy_from_slice(&main);
                OwnerTag::named(TIERS, &text)
            }
        }
    }

    /// The name of that key.
    pub(super) const fn first_key(self) -> u32 {
        match self {
            Self::Main => 1,
            Self::Of(Tier::Legal, _) => 0xE000_0000,
            Self::Of(Tier::Subrec, _) => 0xF000_0000,
        }
    }

    /// The first name that it may not give out.
    pub(super) const fn end(self) -> u32 {
        match self {
            Self::Main => 0xE000_0000,
            Self::Of(Tier::Legal, _) => 0xF000_0000,
            Self::Of(Tier::Subrec, _) => u32::MAX,
        }
    }
}

/// The rings of tiers beside the main one.
pub(super) type Tiers<D> = [Option<Box<KeyRing<D>>>; Tier::ALL.len()];

/// What attaching a tier's ring has done, and goes on from when it was taken note of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its ring is made.
    Made,
    /// So many keys of the main ring lie in its ring now, too, and are overwritten in the main one next. Of those that a cut left in
    /// the main ring it is told once more.
    TakenOver(usize),
}

/// What attaching a tier's ring came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Whether its ring was made.
    pub made: bool,
    /// Keys that were taken over from the main ring. Older copies of that still hold them, until its key-encryption key is
    /// rotated.
    pub taken_over: usize,
}

impl<D: Disk> KeyRing<D> {
    /// Attaches the ring of a tier, which from then on has the keys of its owners; makes it where it never was, under the first of
    /// these key-encryption keys, and takes over what the main ring holds for them. `now_ms` in unix milliseconds.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::TierMissing`]: it was there before. [`KeyRingError::SharedKek`]: its key-encryption key is another ring's,
    /// too. [`KeyRingError::Foreign`]: what lies there belongs to another tier or another main ring. [`KeyRingError::Clash`]: it
    /// has another key under a name of one that it is to take over. Others as with [`KeyRing::open`] and [`KeyRing::make`].
    pub fn attach(
        &mut self,
        disk: &D,
        tier: Tier,
        keks: impl Into<Keks>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Attached, KeyRingError> {
        self.attach_noting(disk, tier, keks, now_ms, rng, |_| Ok(()))
    }

    /// The same; `note` is told of each step as soon as it is on disk, and where it fails nothing goes on.
    ///
    /// # Errors
    ///
    /// As with [`KeyRing::attach`], and what `note` says.
    pub fn attach_noting<E: From<KeyRingError>>(
        &mut self,
        disk: &D,
        tier: Tier,
        keks: impl Into<Keks>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
        mut note: impl FnMut(Step) -> Result<(), E>,
    ) -> Result<Attached, E> {
        let (keks, dir) = (keks.into(), tier.dir(&self.dir));
        let part = Part::Of(tier, self.header.ring);
        let is_there = files::any(disk, &dir)?;
        if !is_there {
            if self.has_mark(tier) {
                return Err(KeyRingError::TierMissing { dir }.into());
            }
            let first = keks.all().into_iter().next().ok_or(KeyRingError::Cipher)?;
            self.keep_apart(Some(tier), &first)?;
            Self::create_part(disk, &dir, part, &first, now_ms, rng)?;
        }
        let ring = Self::open_part(disk, &dir, part, keks)?;
        for kek in std::iter::once(&ring.kek).chain(&ring.next_kek) {
            self.keep_apart(Some(tier), kek)?;
        }
        // Files without a mark are what a cut has left of a start that made them; or the main ring is an older one, and then the tier's has
        // keys, or never had any and nothing is lost by saying so twice.
        let is_new = !self.has_mark(tier) && ring.keys.keys().all(|id| *id == ring.permanent);
        // Names that were taken over stay given out, also where an older main ring is back, that would begin before them again.
        let below = ring.keys.range(..KeyId(Part::Main.end())).next_back();
        if let Some((id, _)) = below {
            self.header.next_key = self.header.next_key.max(id.0 + 1);
        }
        if let Some(place) = self.tiers.get_mut(tier.place()) {
            *place = Some(Box::new(ring));
        }
        if is_new {
            note(Step::Made)?;
        }
        // Before its ring has a key that is nowhere else.
        if !self.has_mark(tier) {
            self.make_all(&[(Owner::Tier(tier), None)], now_ms, rng)?;
        }
        let ids = self.give_copies(tier, rng)?;
        if !ids.is_empty() {
            note(Step::TakenOver(ids.len()))?;
            self.destroy_these(&ids)?;
        }
        Ok(Attached {
            made: is_new,
            taken_over: ids.len(),
        })
    }

    /// What attaching a tier's ring would come to at most: one that is there and not marked may have been made long ago. Nothing is made
    /// or changed.
    pub fn to_attach(&self, tier: Tier) -> Attached {
        let of_tier = self.keys.values();
        let of_tier = of_tier.filter(|held| Tier::of_kind(held.owner.kind) == Some(tier));
        Attached {
            made: !self.has_mark(tier),
            taken_over: of_tier.count(),
        }
    }

    /// Sees as [`KeyRing::look`] does whether a tier's ring would be attached beside the main ring in `key_ring`, and says how
    /// many keys it holds. It changes nothing.
    ///
    /// # Errors
    ///
    /// As with [`KeyRing::attach`], but for what only making or taking over can meet.
    pub fn look_at_tier(disk: &D, key_ring: &Path, tier: Tier, keks: &Keks) -> Result<usize, KeyRingError> {
        let main = Found::open(disk, key_ring)?.header.ring;
        super::look_at(disk, &tier.dir(key_ring), Part::Of(tier, main), keks).map(|keys| keys.len())
    }

    /// Whether the ring of a tier was made beside this one.
    pub fn has_mark(&self, tier: Tier) -> bool {
        self.of(Owner::Tier(tier)).next().is_some()
    }

    /// Whether this key-encryption key wraps the ring, or takes over.
    pub fn is_wrapped_under(&self, kek: &Kek) -> bool {
        let mut marks = std::iter::once(&self.header.kek).chain(&self.header.next_kek);
        marks.any(|mark| mark.is_of(kek, &self.header.ring))
    }

    /// Which rings there are: the main one (`None`), and those of tiers that are attached.
    pub fn parts(&self) -> impl Iterator<Item = Option<Tier>> + '_ {
        let all = std::iter::once(None).chain(Tier::ALL.map(Some));
        all.filter(|part| self.part(*part).is_some())
    }

    /// The main ring (`None`), or an attached tier's; `None` of one that is not attached.
    pub fn part(&self, part: Option<Tier>) -> Option<&Self> {
        match part {
            None => Some(self),
            Some(tier) => self.tiers.get(tier.place())?.as_deref(),
        }
    }

    pub(super) fn part_mut(&mut self, part: Option<Tier>) -> Option<&mut Self> {
        match part {
            None => Some(self),
            Some(tier) => self.tiers.get_mut(tier.place())?.as_deref_mut(),
        }
    }

    /// The ring that has the keys of a kind of owners.
    pub(super) fn of_kind(&self, kind: u8) -> &Self {
        let tier = Tier::of_kind(kind).and_then(|tier| self.part(Some(tier)));
        tier.unwrap_or(self)
    }

    pub(super) fn of_kind_mut(&mut self, kind: u8) -> Result<&mut Self, KeyRingError> {
        let tier = Tier::of_kind(kind).filter(|tier| self.part(Some(*tier)).is_some());
        // It is there: it was asked for.
        self.part_mut(tier).ok_or(KeyRingError::Cipher)
    }

    /// Refuses a key-encryption key that another ring has: what is kept apart by two is not kept apart by one.
    pub(super) fn keep_apart(&self, part: Option<Tier>, kek: &Kek) -> Result<(), KeyRingError> {
        let parts = std::iter::once(None).chain(Tier::ALL.map(Some));
        for other in parts.filter(|other| *other != part) {
            if let Some(ring) = self.part(other)
                && ring.is_wrapped_under(kek)
            {
                return Err(KeyRingError::SharedKek {
                    dir: ring.dir.clone(),
                });
            }
        }
        Ok(())
    }

    /// Puts the keys of a tier's owners that are here into its ring as well; says which.
    fn give_copies(&mut self, tier: Tier, rng: &mut impl CryptoRng) -> Result<Vec<KeyId>, KeyRingError> {
        let of_tier = self.keys.iter();
        let of_tier = of_tier.filter(|(_, held)| Tier::of_kind(held.owner.kind) == Some(tier));
        let ids: Vec<KeyId> = of_tier.map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut keys = Vec::with_capacity(ids.len());
        for id in &ids {
            let lost = || KeyRingError::lost(&self.dir, vec![*id]);
            let wrapped = self.wrapped(*id).ok_or_else(lost)?;
            let kek = self.kek_of(wrapped.kek_number).ok_or_else(lost)?;
            let octets = wrapped.open(kek, &self.header.ring).ok_or_else(lost)?;
            keys.push((wrapped.key, wrapped.owner, wrapped.made_ms, octets));
        }
        let ring = self.part_mut(Some(tier)).ok_or(KeyRingError::Cipher)?;
        ring.take_over(keys, rng)?;
        Ok(ids)
    }

    /// Takes keys in under the names that they have, but for those that it has already: whoever hands them over overwrites
    /// them then, so they must be the same.
    fn take_over(&mut self, keys: Vec<Handed>, rng: &mut impl CryptoRng) -> Result<(), KeyRingError> {
        self.usable()?;
        for (id, owner, _, octets) in &keys {
            let Some(held) = self.keys.get(&KeyId(*id)) else {
                continue;
            };
            let lost = || KeyRingError::lost(&self.dir, vec![KeyId(*id)]);
            let wrapped = self.wrapped(KeyId(*id)).ok_or_else(lost)?;
            let kek = self.kek_of(wrapped.kek_number).ok_or_else(lost)?;
            if held.owner != *owner || wrapped.open(kek, &self.header.ring).ok_or_else(lost)? != *octets {
                return Err(KeyRingError::Clash {
                    dir: self.dir.clone(),
                    key: KeyId(*id),
                });
            }
        }
        let mut keys = keys;
        keys.retain(|(id, ..)| !self.keys.contains_key(&KeyId(*id)));
        if keys.is_empty() {
            return Ok(());
        }
        if self.kept_open() + keys.len() > KEPT_OPEN_MAX {
            return Err(self.full());
        }
        self.make_room(keys.len())?;
        let mut header = self.header.clone();
        header.generation += 1;
        let mut fresh = Vec::with_capacity(keys.len());
        for ((id, owner, made_ms, key), slot) in keys.into_iter().zip(self.free.iter().rev()) {
            let (wrapped, octets) =
                wrapped_key(self.sealing_kek(), &header.ring, id, (owner, key), made_ms, rng)
                    .ok_or(KeyRingError::Cipher)?;
            fresh.push(Fresh {
                period: None,
                slot: *slot as usize,
                wrapped,
                octets,
            });
        }
        let changes = fresh.iter().map(|key| (key.slot, Content::Live(key.wrapped)));
        self.change(Some(header), changes.collect())?;
        self.free.truncate(self.free.len() - fresh.len());
        for key in fresh {
            self.take_in(key);
        }
        Ok(())
    }
}

/// A key on its way from one ring to another: name, owner, when it was made, octets.
type Handed = (u32, OwnerTag, u64, Zeroizing<[u8; KEY_LEN]>);
