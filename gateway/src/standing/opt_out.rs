//! Who has opted out of what (OPT-10 to OPT-16): asked when a message comes in, and again before it is handed over where
//! somebody has opted out since.

use smallvec::SmallVec;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::category::Category;
use tidegate_codec::values::MessageState;
use tidegate_config::{Account, Country, OptOutScope, OptedOut, SenderPattern, SenderSettings};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::record::Stage;
use tidegate_store::spool::Refused;
use tidegate_store::standing::{Origin, Origins, Scope, ScopeKind, Scopes, Stand};

use crate::addressing::is_number_like;
use crate::clock::Now;
use crate::gate::Gate;
use crate::mo::hash_of;
use crate::number::{E164, E164_MAX, SHORT_CODE_MAX, plan};
use crate::refusal::Refusal;
use crate::standing::recipient::Recipient;

/// In the category of an envelope: the message was taken in although its recipient had opted out, to be rejected by a DLR.
pub(crate) const OPTED_OUT: u8 = 0x80;
/// In its place: an answer of ourselves to a handset's message. It goes to people who have opted out, too (OPT-19, OPT-22).
pub(crate) const REPLY: u8 = 0x40;

/// Senders that the configuration does not list and that have scopes of their own at most: whoever can have messages
/// delivered to us would fill memory and journal otherwise. Over it an opt-out reaches further instead.
pub(crate) const UNLISTED_MAX: usize = 10_000;
/// With fewer digits a sender of an account is no person's number, even if no list has it.
const NUMBER_MIN: usize = 7;

/// A number in the form in which people are known: canonical, or as it is written where it cannot be.
pub(crate) type Person = SmallVec<[u8; 16]>;

/// A person's number (OPT-27): one function for submits, messages of handsets, commands and files.
pub(crate) fn person(ton: Ton, npi: Npi, octets: &[u8], home: Option<Country>) -> Person {
    match number(ton, npi, octets, home) {
        Some(number) => SmallVec::from_slice(E164::as_bytes(&number)),
        None => SmallVec::from_slice(octets.strip_prefix(b"+").unwrap_or(octets)),
    }
}

/// The same as a number; `None` of what is none, and of one within a country that is not known: read as an international
/// one it would be somebody else's.
pub(crate) fn number(ton: Ton, npi: Npi, octets: &[u8], home: Option<Country>) -> Option<E164> {
    if !is_foreign_or_known(ton, octets, home) {
        return None;
    }
    plan().canonical(ton, npi, octets, home).ok()
}

/// Whether it is no number within a country that is not known.
pub(super) fn is_foreign_or_known(ton: Ton, octets: &[u8], home: Option<Country>) -> bool {
    ton != Ton::NATIONAL || home.is_some() || octets.starts_with(b"+")
}

/// The same of a number that somebody typed or that stands in a file; `None` where it is none. A trunk zero in brackets is
/// not dialled from abroad.
pub(crate) fn written_person(text: &str, home: Option<Country>) -> Option<Person> {
    let text = text.trim();
    let has_code = text.starts_with('+') || text.starts_with("00");
    let plain = if has_code {
        text.replace("(0)", "")
    } else {
        text.to_owned()
    };
    let form = |c: char| {
        matches!(
            c,
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{2010}' | '\u{2011}'
        )
    };
    let digits: String = plain.chars().filter(|c| !form(*c)).collect();
    let person = person(Ton::UNKNOWN, Npi::UNKNOWN, digits.as_bytes(), home);
    let is_number = person.iter().all(u8::is_ascii_digit);
    (is_number && (SHORT_CODE_MAX + 1..=E164_MAX).contains(&person.len())).then_some(person)
}

/// A sender as somebody typed it: a number where it looks like one.
pub(crate) fn written_sender(text: &str, home: Option<Country>) -> Option<Scope> {
    let octets = text.trim().as_bytes();
    let is_number = is_number_like(octets);
    let ton = if is_number {
        Ton::UNKNOWN
    } else {
        Ton::ALPHANUMERIC
    };
    let address = AddressBuf::new(ton, Npi::UNKNOWN, octets).ok()?;
    (!octets.is_empty()).then(|| sender(&address, home))
}

/// A sender of ours: canonical where it is a number, else as it is written.
pub(crate) fn sender(address: &AddressBuf, home: Option<Country>) -> Scope {
    if address.ton() == Ton::ALPHANUMERIC {
        return Scope::sender(address.as_bytes());
    }
    Scope::sender(&person(address.ton(), address.npi(), address.as_bytes(), home))
}

/// Whether a number is one of +1.
pub(crate) fn is_plus_one(person: &[u8]) -> bool {
    person.len() == 11 && person.first() == Some(&b'1')
}

/// Whether a sender is toll-free in +1: the network handles STOP and START there, and answers itself (OPT-23).
pub(crate) fn is_toll_free(sender: &Scope) -> bool {
    let digits = sender.name();
    let area = digits.get(1..4).filter(|_| is_plus_one(digits));
    matches!(
        area,
        Some(b"800" | b"833" | b"844" | b"855" | b"866" | b"877" | b"888")
    )
}

/// All that an account lists of senders.
fn patterns(account: &Account) -> impl Iterator<Item = &SenderPattern> {
    let settings = account.category.sender_settings.iter();
    account
        .senders
        .iter()
        .chain(settings.map(|settings| &settings.sender))
}

/// How senders begin that an account lists by that alone.
pub(crate) fn beginnings(account: &Account) -> impl Iterator<Item = &str> {
    patterns(account).filter_map(|pattern| match pattern {
        SenderPattern::Exact(_) => None,
        SenderPattern::Prefix(beginning) => Some(beginning.as_str()),
    })
}

/// The senders that an account lists, without those that only begin somehow.
pub(crate) fn senders(account: &Account) -> impl Iterator<Item = Scope> {
    let home = account.numbering.country;
    patterns(account).filter_map(move |pattern| match pattern {
        SenderPattern::Exact(text) => {
            let is_number = is_number_like(text.as_bytes());
            let ton = if is_number {
                Ton::UNKNOWN
            } else {
                Ton::ALPHANUMERIC
            };
            let address = AddressBuf::new(ton, Npi::UNKNOWN, text.as_bytes()).ok()?;
            Some(sender(&address, home))
        }
        SenderPattern::Prefix(_) => None,
    })
}

/// The pool of a sender of an account; a sender without one is a pool of its own.
pub(crate) fn pool(account: &Account, sender: &Scope) -> Option<Scope> {
    let rules = &account.category;
    // The file may write it with a plus.
    let settings = rules.settings_of(sender.name());
    let settings = settings.or_else(|| rules.settings_of(&[b"+", sender.name()].concat()))?;
    let pool = settings.pool.as_deref()?;
    Some(Scope::pool(account.system_id.as_str(), pool))
}

/// How far an opt-out of this person by a message to this sender reaches (OPT-11).
pub(crate) fn reach(account: &Account, sender: &Scope, person: &[u8], everything: bool) -> Scope {
    let whole = || Scope::account(account.system_id.as_str());
    let plus_one = is_plus_one(person);
    let wanted = match account.opt_outs.scope {
        Some(OptOutScope::Brand) => OptOutScope::Brand,
        _ if everything => OptOutScope::Account,
        Some(OptOutScope::Sender) if plus_one => OptOutScope::Pool,
        Some(scope) => scope,
        None if plus_one => OptOutScope::Account,
        None => OptOutScope::Pool,
    };
    match wanted {
        OptOutScope::Brand => account.opt_outs.brand.as_deref().map_or_else(whole, Scope::brand),
        OptOutScope::Account => whole(),
        OptOutScope::Pool => pool(account, sender).unwrap_or_else(|| sender.clone()),
        OptOutScope::Sender => sender.clone(),
    }
}

/// The bit of a category in an entry.
pub(crate) fn bit(category: Option<Category>) -> u8 {
    category.map_or(0, |category| 1 << (category.octet() - 1))
}

impl<D: Disk> Gate<D> {
    /// Whether the recipient has opted out of messages of this account, sender and category.
    pub(crate) fn has_opted_out(
        &self,
        account: usize,
        source: impl FnOnce() -> AddressBuf,
        recipient: &Recipient,
        category: Option<Category>,
    ) -> bool {
        let standing = self.spool.standing();
        let people = standing.opt_outs();
        if people.is_empty() || !people.knows(recipient.who(standing)) {
            return false;
        }
        let home = self.config.accounts[account].numbering.country;
        let (who, sender) = (recipient.who(standing), sender(&source(), home));
        self.is_against(who, account, &sender, category).is_some()
    }

    /// What a person has said against messages of this account, sender and category.
    pub(crate) fn is_against(
        &self,
        who: &Pseudonym,
        account: usize,
        sender: &Scope,
        category: Option<Category>,
    ) -> Option<Stand> {
        let people = self.spool.standing().opt_outs();
        if !people.knows(who) {
            return None;
        }
        let (scopes, bit) = (self.scopes_of(account, sender), bit(category));
        people.of(who).into_iter().find(|stand| {
            let holds = || scopes.contains(&stand.scope) || self.is_inherited(account, *stand);
            stand.covers(bit) && holds()
        })
    }

    /// Whether an entry holds for an account because the person said so to another one of its brand, which is closed since: from
    /// its closure on that stands for the whole brand, so that a successor finds it (OPT-26).
    pub(crate) fn is_inherited(&self, account: usize, stand: Stand) -> bool {
        let config = &self.config.accounts[account];
        let Some(brand) = config.opt_outs.brand.as_deref().map(Scope::brand) else {
            return false;
        };
        let is_recipients = stand.origins.contains(Origins::of(Origin::Recipient));
        let scope = self.spool.standing().scopes().scope(stand.scope);
        is_recipients && scope.is_some_and(|scope| self.was_left_to(scope, &brand))
    }

    /// Whether a scope is one of a closed account of a brand, or lies in one.
    pub(crate) fn was_left_to(&self, scope: &Scope, brand: &Scope) -> bool {
        let table = self.spool.standing().scopes();
        let (Some(id), Some(brand)) = (table.find(scope), table.find(brand)) else {
            return false;
        };
        let wider = std::iter::once(&id).chain(table.parents(id));
        wider.into_iter().any(|id| {
            let account = table
                .scope(*id)
                .filter(|scope| scope.kind() == ScopeKind::Account);
            let name = account.and_then(|scope| std::str::from_utf8(scope.name()).ok());
            name.is_some_and(|name| self.orders.closed_ms(name).is_some())
                && table.parents(*id).contains(&brand)
        })
    }

    /// Whether an account lists a sender, canonical and as it was written; `None` where nobody does.
    pub(crate) fn lists(&self, account: usize, sender: &Scope, written: &[u8]) -> Option<bool> {
        let mut owners = self.standing.listed_by(sender.name(), written);
        owners.retain(|place| !self.accounts[*place].removed);
        (!owners.is_empty()).then(|| owners.contains(&account))
    }

    /// Whether a sender is an account's alone, and as far as is known has always been: what was said of it was said to no
    /// other.
    pub(crate) fn is_only_of(&self, account: usize, sender: &Scope) -> bool {
        let name = sender.name();
        let is_anothers = if sender.is_unlisted() {
            let mut others = (0..self.config.accounts.len()).filter(|place| *place != account);
            others.any(|place| self.may_list(place, sender))
        } else {
            let others = self.standing.listed_by(name, name);
            others.iter().any(|place| *place != account)
        };
        let table = self.spool.standing().scopes();
        let whole = Scope::account(self.config.accounts[account].system_id.as_str());
        let parents = table.find(sender).map_or(&[][..], |id| table.parents(id));
        !is_anothers
            && parents
                .iter()
                .filter_map(|id| table.scope(*id))
                .all(|wider| wider.kind() != ScopeKind::Account || *wider == whole)
    }

    /// All scopes that messages of this account under this sender fall under: by the configuration, and by what it has
    /// said before.
    pub(crate) fn scopes_of(&self, account: usize, sender: &Scope) -> Scopes {
        let config = &self.config.accounts[account];
        let table = self.spool.standing().scopes();
        let mut scopes = self.scopes_under(&Scope::account(config.system_id.as_str()), sender);
        let pool = pool(config, sender);
        let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
        for scope in pool.iter().chain(&brand) {
            scopes.extend(table.find(scope));
        }
        scopes
    }

    /// The same by what is on record only: under the sender's name, and under its pseudonym where it was once not listed.
    fn scopes_under(&self, account: &Scope, sender: &Scope) -> Scopes {
        let table = self.spool.standing().scopes();
        let mut scopes = table.of(account, sender);
        if table.unlisted() > 0 {
            scopes.extend(table.of(account, &self.unlisted(sender)));
        }
        scopes
    }

    /// Whether an account lists now what goes by this pseudonym. Where it has beginnings of senders nobody can say that it
    /// does not.
    pub(crate) fn may_list(&self, account: usize, unlisted: &Scope) -> bool {
        let config = &self.config.accounts[account];
        let has_beginning = |pattern: &SenderPattern| matches!(pattern, SenderPattern::Prefix(_));
        let mut settings = config.category.sender_settings.iter();
        config.senders.iter().any(has_beginning)
            || settings.any(|settings| has_beginning(&settings.sender))
            || senders(config).any(|sender| self.unlisted(&sender) == *unlisted)
    }

    /// A sender by its pseudonym.
    pub(crate) fn unlisted(&self, sender: &Scope) -> Scope {
        self.spool.standing().unlisted_sender(sender.name())
    }

    /// By which numbers a sender that may be a person's stands in what is remembered of questions and answers: one for each
    /// generation of the suppression key.
    pub(crate) fn hashes_of(&self, sender: &Scope) -> SmallVec<[u64; 2]> {
        let names = self.spool.standing().unlisted_names(sender.name());
        names.iter().map(hash_of).collect()
    }

    /// Has those go by the newest generation's names who were found by an older one's. What the spool does not take now comes
    /// when they are found again.
    pub(crate) fn rename_seen(&mut self, now: Now) {
        let _ = self.spool.rename_seen(now.unix_ms, &mut self.rng);
    }

    /// Stages that a generation of the suppression key is needed by nothing; `false` where that is known.
    pub(crate) fn retire_generation(&mut self, now: Now, generation: u8) -> Result<bool, String> {
        // Those as well that no order names yet.
        let suspended = self.orders.senders_under(generation) + self.tripped_under(generation);
        if suspended > 0 {
            // Nobody knows which sender is meant once the secret is gone.
            return Err(format!(
                "generation {generation} is needed: {suspended} suspended senders; `account restore-sender` and suspend them anew"
            ));
        }
        self.spool
            .retire_generation(now.unix_ms, generation, &mut self.rng)
    }

    /// Whether the configuration says that a sender is ours: lists it, or has a pattern that it fits.
    pub(crate) fn is_listed(&self, sender: &Scope) -> bool {
        let name = sender.name();
        let fits = |pattern: &SenderPattern| {
            matches!(pattern, SenderPattern::Prefix(_))
                && (pattern.matches(name) || pattern.matches(&[b"+", name].concat()))
        };
        let has_pattern = |account: &Account| {
            let mut settings = account.category.sender_settings.iter();
            account.senders.iter().any(fits) || settings.any(|settings| fits(&settings.sender))
        };
        !self.standing.owners_of(name).is_empty() || self.config.accounts.iter().any(has_pattern)
    }

    /// As what a sender under which an account has sent is written down: what may be a person's number by its pseudonym.
    pub(crate) fn sent_under(&self, sender: Scope) -> Scope {
        let digits = sender.name().iter().filter(|octet| octet.is_ascii_digit());
        if digits.count() < NUMBER_MIN || self.is_listed(&sender) {
            sender
        } else {
            self.unlisted(&sender)
        }
    }

    /// Whether there is no room for a scope of its own for this sender.
    pub(crate) fn is_one_too_many(&self, sender: &Scope) -> bool {
        let table = self.spool.standing().scopes();
        sender.is_unlisted() && table.unlisted() >= UNLISTED_MAX && table.find(sender).is_none()
    }

    /// Whether a leg's recipient has opted out since it came in. What is partly handed over may end, but nothing begins
    /// (OPT-15).
    pub(crate) fn opted_out_since(&self, account: Option<usize>, leg: &Leg, recipient: &Recipient) -> bool {
        if self.spool.standing().newest_block() <= Some(leg.message) || self.has_begun(leg) {
            return false;
        }
        let addresses = &leg.envelope.addresses;
        let category = Category::from_octet(leg.envelope.category);
        match account {
            Some(account) => self.has_opted_out(account, || addresses.source(), recipient, category),
            // The configuration no longer has its account: what was said to it holds by its name.
            None => {
                let standing = self.spool.standing();
                let account = Scope::account(self.spool.names().name(leg.account));
                let scopes = self.scopes_under(&account, &sender(&addresses.source(), None));
                let stands = standing.opt_outs().of(recipient.who(standing));
                let bit = bit(category);
                stands
                    .into_iter()
                    .any(|stand| stand.covers(bit) && scopes.contains(&stand.scope))
            }
        }
    }

    /// How a submit to somebody who has opted out is refused.
    pub(crate) fn opted_out_refusal(&self, account: usize) -> Refusal {
        let plain = self.config.accounts[account].opt_outs.opted_out == OptedOut::SubmitFail;
        Refusal::OptedOut { plain }
    }

    /// Notes to which pool a sender belongs that only a pattern covers; the others are noted when the configuration comes.
    pub(crate) fn note_pool_of(
        &mut self,
        now: Now,
        account: usize,
        source: &AddressBuf,
    ) -> Result<(), Refused> {
        let settings = self.config.accounts[account]
            .category
            .settings_of(source.as_bytes());
        let is_pattern = |settings: &&SenderSettings| {
            matches!(settings.sender, SenderPattern::Prefix(_)) && settings.pool.is_some()
        };
        if settings.filter(is_pattern).is_none() {
            return Ok(());
        }
        let config = std::sync::Arc::clone(&self.config);
        let config = &config.accounts[account];
        let sender = sender(source, config.numbering.country);
        let whole = Scope::account(config.system_id.as_str());
        if let Some(pool) = pool(config, &sender) {
            self.join(now, account, &sender, &pool)?;
            self.join(now, account, &pool, &whole)?;
        }
        self.join(now, account, &sender, &whole)
    }

    /// Notes what of the configuration lies in what: senders in accounts and pools, accounts in brands. Once for each, for
    /// ever; what the spool does not take now comes with the next tick.
    pub(crate) fn note_members(&mut self, now: Now) {
        if !std::mem::take(&mut self.members_due) {
            return;
        }
        let config = std::sync::Arc::clone(&self.config);
        for (place, account) in config.accounts.iter().enumerate() {
            if self.accounts[place].removed {
                continue;
            }
            let whole = Scope::account(account.system_id.as_str());
            let brand = account.opt_outs.brand.as_deref().map(Scope::brand);
            let in_brand = brand.map(|brand| (whole.clone(), brand));
            let in_pools = senders(account).flat_map(|sender| {
                let pool = pool(account, &sender);
                let in_pool = pool.map(|pool| [(sender.clone(), pool.clone()), (pool, whole.clone())]);
                std::iter::once((sender, whole.clone())).chain(in_pool.into_iter().flatten())
            });
            for (child, parent) in in_brand.into_iter().chain(in_pools) {
                if self.join(now, place, &child, &parent).is_err() {
                    self.members_due = true;
                    return;
                }
            }
        }
    }

    /// Whether a part of the same text is at a carrier, or was.
    pub(super) fn has_begun(&self, leg: &Leg) -> bool {
        if leg.part().is_none() {
            return false;
        }
        let index = self.spool.index();
        let Some(whole) = index.find(leg.message, leg.whole()) else {
            return false;
        };
        // What ended at our side was at none.
        let was_there = |state| {
            !matches!(
                state,
                MessageState::Expired | MessageState::Rejected | MessageState::Deleted
            )
        };
        let arrived = index
            .progress(whole)
            .and_then(|progress| progress.so_far.as_ref())
            .is_some_and(|outcome| was_there(outcome.state));
        arrived
            || index.parts_of(leg.message, leg.whole()).any(|(id, part)| {
                let is_under_way = part.leased && !self.reading_for.contains_key(&id);
                is_under_way || part.stage == Stage::HandedOver
            })
    }
}
