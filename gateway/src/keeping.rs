//! What is kept of finished messages, for whom and how long: the rules of retention as the store asks them, for each message
//! that ends, and as whoever reads one asks them again (RET-3, RET-4).

mod believed;
mod closures;
mod consents;
mod lots;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_config::{Config, Country};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Bucket, Fate, Fates, Finished, Keep, Kept, Meta, Place, Text};
use tidegate_store::message_id::MessageId;
use tidegate_store::rules::{
    self, After, Anchor, By, Class, Decision, Facts, Instruction, Kind, RuleSet, Span, State, Wish, bucket,
    decide,
};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::Keeps;

use crate::gate::Gate;
use crate::legal::Claims;
use crate::number::plan;
use crate::retention::{instructions_of, rules_of};
use crate::standing::opt_out;
use crate::tables::Tables;

pub use believed::{Believed, JUMP_MAX_MS};
pub use closures::Closures;
pub use lots::Stands;

/// How long a record is kept that no rule ever ends.
const FOR_EVER: &str = "for-ever";

/// See the [module](self). Made of a configuration and a register of holds, and never changed.
pub struct Keeping {
    accounts: Arc<HashMap<SystemId, Terms>>,
    claims: Arc<Claims>,
    tables: Arc<Tables>,
    believed: Believed,
    closures: Closures,
    brands: Arc<consents::Brands>,
}

/// What holds for an account.
struct Terms {
    rules: RuleSet,
    instructions: Vec<Instruction>,
    /// Lengths of these in words, as history files by them; nobody writes them anew for each message.
    lengths: Vec<(Span, Arc<str>)>,
    for_ever: Arc<str>,
    /// Service types of messages that say of themselves that they are not stored.
    unstored: Vec<ServiceType>,
    /// Where its national numbers are at home.
    home: Option<Country>,
}

/// What rules have to know of a finished message.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'e> {
    /// Whose.
    pub account: SystemId,
    /// Which.
    pub id: MessageId,
    /// The account's own address in it: its sender, or the number that a handset wrote to.
    pub source: &'e [u8],
    /// The person whom it is about, where that is known: its recipient, or the handset that wrote it.
    pub to: Option<&'e AddressBuf>,
    /// What it was for; the gateway's own code.
    pub category: u8,
    /// Its service type.
    pub service_type: ServiceType,
    /// When it was accepted, in unix milliseconds.
    pub accepted_ms: u64,
    /// When its validity ends, in unix milliseconds.
    pub expires_ms: u64,
    /// When it ended, in unix milliseconds.
    pub final_ms: u64,
}

/// How something that is kept stands, for the person whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: State,
    /// When it goes, in unix milliseconds; `None` where nothing says so.
    pub(crate) due_ms: Option<u64>,
    /// By which rules; of holds nothing.
    pub(crate) by: String,
}

impl Told {
    fn of(decision: &Decision<'_>) -> Self {
        let told = decision.by.iter().filter(|by| !matches!(by, By::Hold(_)));
        let by: Vec<String> = told.map(ToString::to_string).collect();
        Self {
            state: decision.state,
            due_ms: decision.due_ms.filter(|due_ms| *due_ms != u64::MAX),
            by: by.join("; "),
        }
    }
}

impl<'e> Ended<'e> {
    /// Of a record of history.
    pub fn of(account: SystemId, meta: &'e Meta) -> Self {
        Self {
            account,
            id: meta.id,
            source: meta.own().as_bytes(),
            to: Some(meta.person()),
            category: meta.category,
            service_type: ServiceType::from_padded(meta.service_type),
            accepted_ms: meta.accepted_ms,
            expires_ms: meta.expires_ms,
            final_ms: meta.final_ms,
        }
    }

    /// Of a text of which nothing more is known: no sender, and not whom it was to.
    fn of_text(account: SystemId, text: &Text) -> Self {
        Self {
            account,
            id: text.id,
            source: &[],
            to: None,
            // None of the codes.
            category: u8::MAX,
            service_type: ServiceType::default(),
            accepted_ms: text.accepted_ms,
            expires_ms: text.final_ms,
            final_ms: text.final_ms,
        }
    }

    fn facts(&self, class: Class) -> Facts<'e> {
        let mut facts = Facts::new(self.account, class).of_sender(self.source);
        facts.category = Category::from_octet(self.category);
        facts.message = Some(self.id);
        facts.at.accepted_ms = Some(self.accepted_ms);
        // What is taken from a handset is received when it is accepted, and what a client submits as well.
        facts.at.received_ms = Some(self.accepted_ms);
        facts.at.validity_ms = Some(self.expires_ms.saturating_sub(self.accepted_ms));
        facts.at.final_ms = Some(self.final_ms);
        facts
    }
}

/// The class of the rules for what history keeps.
pub const fn class_of(kept: Kept) -> Class {
    match kept {
        Kept::Meta => Class::Meta,
        Kept::Body => Class::Body,
    }
}

fn service_types(texts: &[String]) -> Vec<ServiceType> {
    let types = texts.iter().map(|text| ServiceType::new(text.as_bytes()));
    types.flatten().collect()
}

/// Lengths by which what history keeps may be filed, each once.
fn lengths_of(rules: &RuleSet, instructions: &[Instruction]) -> Vec<(Span, Arc<str>)> {
    let of_rules = Kept::ALL.iter().flat_map(|kept| rules.of(class_of(*kept)));
    let of_rules = of_rules.filter_map(|rule| match rule.after {
        After::Span(span) => Some(span),
        After::Never | After::NoStore => None,
    });
    let of_account = instructions
        .iter()
        .filter_map(|instruction| match instruction.wish {
            Wish::After(span) => Some(span),
            Wish::NoStore => None,
        });
    let mut lengths: Vec<(Span, Arc<str>)> = Vec::new();
    for span in of_rules.chain(of_account) {
        if !lengths.iter().any(|(there, _)| *there == span) {
            lengths.push((span, span.to_string().into()));
        }
    }
    lengths
}

impl Terms {
    /// A length in words.
    fn length(&self, span: Option<Span>) -> Arc<str> {
        let Some(span) = span else {
            return Arc::clone(&self.for_ever);
        };
        match self.lengths.iter().find(|(there, _)| *there == span) {
            Some((_, length)) => Arc::clone(length),
            None => span.to_string().into(),
        }
    }
}

impl Keeping {
    /// By a configuration; `tables` say where numbers are at home, `believed` how late it is, `closures` which accounts are closed.
    pub fn new(config: &Config, tables: Arc<Tables>, believed: Believed, closures: Closures) -> Self {
        let terms = config.accounts.iter().filter_map(|account| {
            account.retention.profile.as_ref()?;
            let rules = rules_of(&config.retention, account);
            let instructions = instructions_of(&config.retention, account);
            let terms = Terms {
                lengths: lengths_of(&rules, &instructions),
                for_ever: FOR_EVER.into(),
                rules,
                instructions,
                unstored: service_types(&account.retention.no_store_service_types),
                home: account.numbering.country,
            };
            Some((account.system_id, terms))
        });
        Self {
            accounts: Arc::new(terms.collect()),
            claims: Arc::default(),
            tables,
            believed,
            closures,
            brands: Arc::new(consents::brands_of(config)),
        }
    }

    /// Which accounts are closed, for whoever goes by these rules.
    pub const fn closures(&self) -> &Closures {
        &self.closures
    }

    /// The same, by what another register of holds and erasures says.
    #[must_use]
    pub fn with_claims(&self, claims: Arc<Claims>) -> Self {
        Self {
            accounts: Arc::clone(&self.accounts),
            tables: Arc::clone(&self.tables),
            believed: self.believed.clone(),
            closures: self.closures.clone(),
            brands: Arc::clone(&self.brands),
            claims,
        }
    }

    /// What holds and erasures say.
    pub const fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    /// How late it is for whoever goes by these rules.
    pub const fn believed(&self) -> &Believed {
        &self.believed
    }

    /// What an account may want kept: what no rule and no instruction of it stores is not even looked at.
    pub fn keeps(&self, account: SystemId) -> Keeps {
        let stores = |class: Class| {
            let Some(terms) = self.accounts.get(&account) else {
                return false;
            };
            let limits = terms
                .rules
                .of(class)
                .iter()
                .filter(|rule| rule.kind == Kind::Limit);
            let mut stores = limits.map(|rule| rule.after != After::NoStore);
            let of_class = |instruction: &&Instruction| instruction.class == class;
            let mut instructed = terms.instructions.iter().filter(of_class);
            // What is not stored by its limit may have to be, by a floor.
            let has_floor = terms.rules.of(class).iter().any(|rule| {
                rule.kind == Kind::Floor && !matches!(rule.after, After::NoStore | After::Span(Span::ZERO))
            });
            // An account instructs nothing about what has no rule.
            match stores.next() {
                None => false,
                Some(stored) => {
                    stored
                        || has_floor
                        || instructed.any(|instruction| matches!(instruction.wish, Wish::After(_)))
                }
            }
        };
        Keeps {
            meta: stores(Class::Meta),
            body: stores(Class::Body),
        }
    }

    fn decide(&self, ended: &Ended<'_>, class: Class, now_ms: u64) -> Option<Decision<'_>> {
        let terms = self.accounts.get(&ended.account)?;
        Some(self.decide_by(terms, ended, class, now_ms))
    }

    fn decide_by<'k>(
        &'k self,
        terms: &'k Terms,
        ended: &Ended<'_>,
        class: Class,
        now_ms: u64,
    ) -> Decision<'k> {
        let facts = self.facts(terms, ended, class);
        let (holds, erasures) = (self.claims.holds(), self.claims.erasures());
        let (rules, instructions) = (&terms.rules, &terms.instructions);
        let now_ms = self.believed.at(now_ms);
        let closed_ms = self.closures.of(ended.account);
        decide(&facts, rules, instructions, holds, erasures, closed_ms, now_ms)
    }

    fn facts<'e>(&self, terms: &Terms, ended: &Ended<'e>, class: Class) -> Facts<'e> {
        let mut facts = ended.facts(class);
        facts.recipient = ended.to.and_then(|to| self.claims.recipient(to, terms.home));
        facts
    }

    /// The orders to erase that cover a message.
    pub(crate) fn orders_about(&self, ended: &Ended<'_>) -> Fates {
        match self.accounts.get(&ended.account) {
            Some(terms) => self.claims.orders(&self.facts(terms, ended, Class::Meta)),
            None => Fates::new(),
        }
    }

    /// What becomes of a record where the sweep comes by: what is held goes to the vault once it is due (LEG-2).
    pub(crate) fn fate(&self, ended: &Ended<'_>, kept: Kept, now_ms: u64) -> Fate {
        let Some(decision) = self.decide(ended, class_of(kept), now_ms) else {
            return Fate::Stay;
        };
        match decision.state {
            State::Live | State::Restricted => Fate::Stay,
            State::Due | State::NotStored => Fate::Go,
            State::Sealed => {
                let holds = decision.by.iter().filter_map(|by| match by {
                    By::Hold(hold) => Some(*hold),
                    _ => None,
                });
                Fate::Vault(self.claims.numbers(holds))
            }
        }
    }

    /// The same of a text without its message's record.
    pub(crate) fn fate_of_text(&self, account: SystemId, text: &Text, now_ms: u64) -> Fate {
        self.fate(&Ended::of_text(account, text), Kept::Body, now_ms)
    }

    /// Whether a message says of itself that its body is not stored (RET-5).
    fn is_unstored(&self, ended: &Ended<'_>) -> bool {
        let terms = self.accounts.get(&ended.account);
        terms.is_some_and(|terms| terms.unstored.contains(&ended.service_type))
    }

    /// Whether the person of a message is restricted for its account (DSR-4): only for legal claims it is shown.
    pub fn is_restricted(&self, account: SystemId, person: &AddressBuf) -> bool {
        let home = self.accounts.get(&account).and_then(|terms| terms.home);
        let octets = person.as_bytes();
        let person = || opt_out::person(person.ton(), person.npi(), octets, home);
        self.claims.restrict(account, octets, person)
    }

    /// Whether a record of a class may be read now, by whom its class is for.
    pub fn may_be_read(&self, ended: &Ended<'_>, kept: Kept, now_ms: u64) -> bool {
        if kept == Kept::Body && self.is_unstored(ended) {
            return false;
        }
        let decision = self.decide(ended, class_of(kept), now_ms);
        decision.is_some_and(|decision| decision.state == State::Live)
    }

    /// How a record stands, for the person whom it is about: when it goes, and by which rules. No hold is told of.
    pub(crate) fn told(&self, ended: &Ended<'_>, kept: Kept, now_ms: u64) -> Option<Told> {
        if kept == Kept::Body && self.is_unstored(ended) {
            return None;
        }
        self.decide(ended, class_of(kept), now_ms)
            .map(|decision| Told::of(&decision))
    }

    /// The same of what is kept of an account's people in a class beside messages: by when it was made, and when what it was for
    /// ended, as far as either is known.
    pub(crate) fn told_of_class(
        &self,
        account: SystemId,
        class: Class,
        (created_ms, purpose_ended_ms): (Option<u64>, Option<u64>),
        now_ms: u64,
    ) -> Option<Told> {
        let terms = self.accounts.get(&account)?;
        let mut facts = Facts::new(account, class);
        facts.at.created_ms = created_ms;
        facts.at.purpose_ended_ms = purpose_ended_ms;
        let (rules, instructions) = (&terms.rules, &terms.instructions);
        let decision = decide(&facts, rules, instructions, &[], &[], None, now_ms);
        Some(Told::of(&decision))
    }

    /// Where a class of a message that has ended is kept; nowhere without a rule, and not once it is due (RET-1, RET-8).
    fn plan(&self, finished: &Finished, kept: Kept, now_ms: u64) -> Option<Keep> {
        let (source, to) = (finished.own(), finished.person());
        let ended = Ended {
            account: finished.account,
            id: finished.id,
            source: source.as_bytes(),
            to: Some(&to),
            category: finished.envelope.category,
            service_type: finished.envelope.service_type,
            accepted_ms: finished.envelope.accepted_ms,
            expires_ms: finished.envelope.expires_ms,
            final_ms: finished.end.at_ms,
        };
        let terms = self.accounts.get(&finished.account)?;
        if kept == Kept::Body && terms.unstored.contains(&ended.service_type) {
            return None;
        }
        let class = class_of(kept);
        let decision = self.decide_by(terms, &ended, class, now_ms);
        if matches!(decision.state, State::NotStored | State::Due) {
            return None;
        }
        // Holds and erasures say whether it is kept; where it lies is for the rules: what it is filed by is what ends it, and
        // nothing that holds it longer lies with what goes before it. Where a floor is behind the limit, that is the floor.
        let facts = ended.facts(class);
        let (rules, instructions) = (&terms.rules, &terms.instructions);
        let is_by_rules_alone = self.claims.holds().is_empty()
            && self.claims.erasures().is_empty()
            && self.closures.of(finished.account).is_none();
        let decision = match is_by_rules_alone {
            // That was all that was asked.
            true => decision,
            false => decide(
                &facts,
                rules,
                instructions,
                &[],
                &[],
                None,
                self.believed.at(now_ms),
            ),
        };
        let date = |(anchor, span): &(Anchor, Option<Span>)| match (facts.instant(*anchor, None), span) {
            (Some(from_ms), Some(span)) => span.after(from_ms),
            _ => u64::MAX,
        };
        let ends = decision.by.iter().filter_map(|by| match by {
            By::Instruction(instruction, rule) => match instruction.wish {
                Wish::After(span) => Some((rule.anchor, Some(span))),
                Wish::NoStore => None,
            },
            By::Rule(rule) => match rule.after {
                After::Span(span) => Some((rule.anchor, Some(span))),
                After::Never => Some((rule.anchor, None)),
                After::NoStore => None,
            },
            By::Refused(..) | By::Erasure(_) | By::Hold(_) | By::NoRule(..) => None,
        });
        // Of those that end it together the first.
        let (anchor, span) = ends.reduce(|first, other| match date(&other) > date(&first) {
            true => other,
            false => first,
        })?;
        // What counts from an account's closure has no date while it is open: it is filed by its end.
        let (anchor_ms, span) = match facts.instant(anchor, None) {
            Some(anchor_ms) => (anchor_ms, span),
            None => (facts.instant(Anchor::Final, None)?, None),
        };
        Some(Keep {
            anchor_ms,
            bucket: span.map_or(Bucket::Week, |span| match bucket(span) {
                rules::Bucket::Hour => Bucket::Hour,
                rules::Bucket::Day => Bucket::Day,
                rules::Bucket::IsoWeek => Bucket::Week,
            }),
            length: terms.length(span),
            place: match kept {
                Kept::Meta => self.place(terms, finished),
                // A text has none.
                Kept::Body => Place::default(),
            },
        })
    }

    /// Where the person of a message is at home, by today's tables.
    fn place(&self, terms: &Terms, finished: &Finished) -> Place {
        let home = terms.home;
        let to = finished.person();
        let Ok(number) = plan().canonical(to.ton(), to.npi(), to.as_bytes(), home) else {
            return Place::default();
        };
        let network = self
            .tables
            .network_of(number.as_bytes())
            .and_then(|network| self.tables.network(network));
        let country = network
            .map(|network| network.country)
            .or_else(|| plan().country_of(&number));
        let letters = country.and_then(|country| country.as_str().as_bytes().first_chunk().copied());
        Place {
            country: letters.unwrap_or_default(),
            network: network.map_or(0, |network| network.mcc_mnc.number()),
        }
    }
}

impl<D: Disk> Gate<D> {
    /// Where an account's national numbers are at home.
    pub(crate) fn home_of(&self, account: SystemId) -> Option<Country> {
        let mut accounts = self.config.accounts.iter();
        accounts
            .find(|there| there.system_id == account)?
            .numbering
            .country
    }

    /// Has other rules hold for what ends from now on, and for whoever reads what has ended.
    pub fn set_keeping(&mut self, keeping: &Arc<Keeping>) {
        let of_plan = Arc::clone(keeping);
        self.spool
            .set_plan(Arc::new(move |finished: &Finished, kept, now_ms| {
                of_plan.plan(finished, kept, now_ms)
            }));
        for (place, account) in self.config.accounts.iter().enumerate() {
            let keeps = keeping.keeps(account.system_id);
            self.spool.set_keeps(self.accounts[place].name, keeps);
            let unstored = service_types(&account.retention.no_store_service_types);
            self.spool.set_no_bodies(self.accounts[place].name, unstored);
        }
        self.keeping = Some(Arc::clone(keeping));
    }

    /// What rules hold for what has ended; a gateway of tests may have none.
    pub const fn keeping(&self) -> Option<&Arc<Keeping>> {
        self.keeping.as_ref()
    }
}
