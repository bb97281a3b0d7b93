//! Scopes: how wide something that is remembered of a person reaches (OPT-10), by what it is named, and what lies in what.

use std::fmt;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::{FIRST, Pseudonym};
use crate::record::{self, RecordError};

/// Longest name of a scope in octets: a system_id, a slash and the name of a pool.
pub const SCOPE_NAME_MAX: usize = 64;

/// Begins the name of a sender that goes by a pseudonym.
const UNLISTED: u8 = b'~';
/// Octets of such a name: the pseudonym's digits behind it.
const UNLISTED_LEN: usize = 33;
/// Octets of one of a later generation: its two digits, too.
const UNLISTED_LATER_LEN: usize = UNLISTED_LEN + 2;

/// How wide something reaches (OPT-10), wide to narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ScopeKind {
    /// The whole platform.
    Global = 0,
    /// One legal entity over several accounts.
    Brand = 1,
    /// One account.
    Account = 2,
    /// A group of senders of one account.
    Pool = 3,
    /// One source address.
    Sender = 4,
}

impl ScopeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Global, Self::Brand, Self::Account, Self::Pool, Self::Sender];

    const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Global,
            1 => Self::Brand,
            2 => Self::Account,
            3 => Self::Pool,
            4 => Self::Sender,
            _ => return None,
        })
    }

    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Brand => "brand",
            Self::Account => "account",
            Self::Pool => "pool",
            Self::Sender => "sender",
        }
    }
}

/// A scope. Senders are addresses of ours, not of people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    kind: ScopeKind,
    /// What most are named by fits in here, a system_id or an address: every message makes scopes of its account and its
    /// sender, and a start one of each change in the journal.
    name: SmallVec<[u8; 16]>,
}

impl Scope {
    fn new(kind: ScopeKind, name: &[u8]) -> Self {
        Self {
            kind,
            name: SmallVec::from_slice(name.get(..SCOPE_NAME_MAX).unwrap_or(name)),
        }
    }

    /// From what [`Scope::kind`] and [`Scope::name`] say.
    pub(super) fn from_parts(kind: u8, name: &[u8]) -> Option<Self> {
        Some(Self::new(ScopeKind::from_octet(kind)?, name))
    }

    /// Everything.
    pub fn global() -> Self {
        Self::new(ScopeKind::Global, b"")
    }

    /// A brand by its name.
    pub fn brand(name: &str) -> Self {
        Self::new(ScopeKind::Brand, name.as_bytes())
    }

    /// An account by its system_id.
    pub fn account(name: &str) -> Self {
        Self::new(ScopeKind::Account, name.as_bytes())
    }

    /// A pool of an account.
    pub fn pool(account: &str, pool: &str) -> Self {
        Self::new(ScopeKind::Pool, format!("{account}/{pool}").as_bytes())
    }

    /// A sender in its canonical form: digits, or letters as they are.
    pub fn sender(address: &[u8]) -> Self {
        Self::new(ScopeKind::Sender, address)
    }

    /// A sender by a pseudonym of its address: nobody says that it is ours, so it may be a person's.
    pub fn unlisted_sender(address: &Pseudonym) -> Self {
        let mut name = vec![UNLISTED];
        let later = (address.generation() != FIRST).then(|| address.generation());
        for octet in address.octets().iter().copied().chain(later) {
            let digit = |place: u8| b"0123456789abcdef"[usize::from(place)];
            name.extend_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
        }
        Self::new(ScopeKind::Sender, &name)
    }

    /// Whether it is a sender by a pseudonym. No address is as long.
    pub fn is_unlisted(&self) -> bool {
        self.generation().is_some()
    }

    /// The generation of the pseudonym that a sender goes by.
    pub(super) fn generation(&self) -> Option<u8> {
        if self.kind != ScopeKind::Sender || self.name.first() != Some(&UNLISTED) {
            return None;
        }
        match self.name.len() {
            UNLISTED_LEN => Some(FIRST),
            UNLISTED_LATER_LEN => {
                let digits = std::str::from_utf8(self.name.get(UNLISTED_LEN..)?).ok()?;
                u8::from_str_radix(digits, 16).ok()
            }
            _ => None,
        }
    }

    /// Whether it is a pool of this account.
    pub fn is_pool_of(&self, account: &Self) -> bool {
        let rest = self.name.strip_prefix(&*account.name);
        self.kind == ScopeKind::Pool && rest.is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// How wide it is.
    pub const fn kind(&self) -> ScopeKind {
        self.kind
    }

    /// Its name; empty for [`ScopeKind::Global`].
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        record::put_short(out, &self.name);
    }

    #[inline]
    pub(super) fn get(fields: &mut &[u8]) -> Result<Self, RecordError> {
        let kind = ScopeKind::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?;
        let name = record::get_short(fields)?;
        if name.len() > SCOPE_NAME_MAX {
            return Err(RecordError::Malformed);
        }
        Ok(Self::new(kind, name))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if !self.name.is_empty() {
            write!(f, " {}", String::from_utf8_lossy(&self.name).escape_debug())?;
        }
        Ok(())
    }
}

/// A scope's number, valid while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub u32);

/// Scopes of one account and sender, wide to narrow.
pub type Scopes = SmallVec<[ScopeId; 8]>;

/// Scopes by number, and which lie within which.
#[derive(Debug, Default)]
pub struct ScopeTable {
    by_scope: HashMap<Scope, ScopeId>,
    pub(super) scopes: Vec<Scope>,
    /// The one that was interned last: what stands in a row in the journal is mostly of one.
    newest: ScopeId,
    /// What a scope lies in, or has lain in: a change of membership frees nobody (OPT-11).
    parents: HashMap<ScopeId, SmallVec<[ScopeId; 2]>>,
    /// Senders by a pseudonym among them.
    unlisted: usize,
}

impl ScopeTable {
    /// The number of a scope, a new one if it is new.
    #[inline]
    pub(super) fn intern(&mut self, scope: &Scope) -> ScopeId {
        if self.scope(self.newest) == Some(scope) {
            return self.newest;
        }
        self.newest = self.number(scope);
        self.newest
    }

    fn number(&mut self, scope: &Scope) -> ScopeId {
        if let Some(id) = self.by_scope.get(scope) {
            return *id;
        }
        // Four thousand million of them would be 200 GB of records.
        let id = ScopeId(u32::try_from(self.scopes.len()).unwrap_or(u32::MAX));
        self.scopes.push(scope.clone());
        self.by_scope.insert(scope.clone(), id);
        self.unlisted += usize::from(scope.is_unlisted());
        id
    }

    /// The number of a scope that some entry or membership names.
    pub fn find(&self, scope: &Scope) -> Option<ScopeId> {
        self.by_scope.get(scope).copied()
    }

    /// How many senders by a pseudonym there are.
    pub const fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// A scope by its number.
    pub fn scope(&self, id: ScopeId) -> Option<&Scope> {
        self.scopes.get(id.0 as usize)
    }

    /// What a scope lies in, or has lain in.
    pub fn parents(&self, id: ScopeId) -> &[ScopeId] {
        self.parents.get(&id).map_or(&[], SmallVec::as_slice)
    }

    /// Whether one lies in the other, or has.
    pub fn lies_in(&self, child: &Scope, parent: &Scope) -> bool {
        match (self.find(child), self.find(parent)) {
            (Some(child), Some(parent)) => self.parents(child).contains(&parent),
            _ => false,
        }
    }

    /// All that a message of an account under a sender falls under, as far as entries name it: everything, the account,
    /// its brands, the sender, its pools. Of other accounts that have had the sender, none: what was said to them is theirs.
    pub fn of(&self, account: &Scope, sender: &Scope) -> Scopes {
        let mut found = Scopes::new();
        for scope in [&Scope::global(), account, sender] {
            if let Some(id) = self.find(scope) {
                found.push(id);
                let wider = self.parents(id).iter().copied();
                found.extend(wider.filter(|id| {
                    self.scope(*id).is_some_and(|wider| match wider.kind() {
                        ScopeKind::Pool => wider.is_pool_of(account),
                        kind => kind == ScopeKind::Brand,
                    })
                }));
            }
        }
        found
    }

    /// Whether that is new.
    pub(super) fn join(&mut self, child: &Scope, parent: &Scope) -> bool {
        let (child, parent) = (self.intern(child), self.intern(parent));
        let parents = self.parents.entry(child).or_default();
        let is_new = !parents.contains(&parent);
        if is_new {
            parents.push(parent);
        }
        is_new
    }

    /// It was not noted after all.
    pub(super) fn part(&mut self, child: &Scope, parent: &Scope) {
        if let (Some(child), Some(parent)) = (self.find(child), self.find(parent))
            && let Some(parents) = self.parents.get_mut(&child)
        {
            parents.retain(|there| *there != parent);
        }
    }

    /// A sender goes by another pseudonym; what named it before finds it still.
    pub(super) fn rename(&mut self, from: &Pseudonym, to: &Pseudonym) {
        let (old, new) = (Scope::unlisted_sender(from), Scope::unlisted_sender(to));
        if let Some(id) = self.find(&old)
            && self.find(&new).is_none()
            && let Some(scope) = self.scopes.get_mut(id.0 as usize)
        {
            scope.clone_from(&new);
            self.by_scope.insert(new, id);
        }
    }

    /// How many senders go by a pseudonym of a generation.
    pub(super) fn unlisted_of(&self, generation: u8) -> usize {
        if self.unlisted == 0 {
            return 0;
        }
        let senders = self
            .scopes
            .iter()
            .filter(|scope| scope.kind() == ScopeKind::Sender);
        senders
            .filter(|scope| scope.generation() == Some(generation))
            .count()
    }
}
