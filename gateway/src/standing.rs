//! Standing rules: what may be sent to whom at all, whichever way it would go. They are asked when a message comes in, and
//! again before it is handed over, since what holds by then may be something else (design §5).

pub(crate) mod caps;
mod consent;
mod country;
mod hours;
pub(crate) mod opt_out;
mod recipient;
mod restricted;

use std::fmt;

use hashbrown::HashMap;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_config::{Config, ConsentMode, Country, OutsideHours};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;

use crate::addressing::AccountAddressing;
use crate::clock::Now;
use crate::gate::Gate;
use crate::hours::Hours;
use crate::mo::Owners;
use crate::number::{SHORT_CODE_MAX, plan};
use crate::refusal::Refusal;
use crate::router::Place;
use crate::telemetry::words::StandingRule;

use caps::Capped;

pub use country::CountryRules;
pub(crate) use recipient::Recipient;

/// Everybody's rules: made once from the configuration, and then only read.
#[derive(Debug)]
pub struct Standing {
    /// By an account's place in the configuration.
    accounts: Vec<CountryRules>,
    /// Accounts that list a number as a sender of theirs, by its canonical form.
    owners: HashMap<Box<[u8]>, Owners>,
    /// Accounts that list all senders that begin so, as the file writes it.
    beginnings: HashMap<Box<[u8]>, Owners>,
    /// When marketing may be sent.
    hours: Hours,
}

/// A message that is about to come in, or to leave. Not to be printed (P4).
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Whom it is for, as it is kept.
    pub recipient: &'a AddressBuf,
    /// In which country, as far as that is known.
    pub country: Option<Country>,
    /// What it is for; `None` of one that came before messages had a category.
    pub category: Option<Category>,
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("category", &self.category)
            .finish_non_exhaustive()
    }
}

/// What is to be noted of a message that may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// It is counted apart, with its country.
    pub monitored: bool,
}

impl Standing {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let of = |account| CountryRules::new(account, &config.compliance);
        let mut owners: HashMap<Box<[u8]>, Owners> = HashMap::new();
        let mut beginnings: HashMap<Box<[u8]>, Owners> = HashMap::new();
        let add = |places: &mut Owners, place| {
            if !places.contains(&place) {
                places.push(place);
            }
        };
        for (place, account) in config.accounts.iter().enumerate() {
            for sender in opt_out::senders(account) {
                add(owners.entry(sender.name().into()).or_default(), place);
            }
            for beginning in opt_out::beginnings(account) {
                add(beginnings.entry(beginning.as_bytes().into()).or_default(), place);
            }
        }
        Self {
            accounts: config.accounts.iter().map(of).collect(),
            owners,
            beginnings,
            hours: Hours::new(&config.sending_hours),
        }
    }

    /// Accounts that list a sender as theirs, by its canonical form.
    pub(crate) fn owners_of(&self, sender: &[u8]) -> Owners {
        self.owners.get(sender).cloned().unwrap_or_default()
    }

    /// Accounts that list a sender as theirs, by its canonical form: itself, or how it begins, there or as it was written.
    pub(crate) fn listed_by(&self, sender: &[u8], written: &[u8]) -> Owners {
        let mut found = self.owners_of(sender);
        // The file may write it with a plus.
        for text in [sender, &[b"+", sender].concat(), written] {
            let beginnings = (1..=text.len()).filter_map(|len| self.beginnings.get(text.get(..len)?));
            for place in beginnings.flatten() {
                if !found.contains(place) {
                    found.push(*place);
                }
            }
        }
        found
    }

    /// Those of an account, by its place.
    pub fn of_account<'s>(
        &'s self,
        account: usize,
        addressing: AccountAddressing<'s>,
    ) -> AccountStanding<'s> {
        AccountStanding {
            countries: self.accounts.get(account),
            hours: &self.hours,
            addressing,
        }
    }
}

/// The rules of one account.
#[derive(Clone, Copy, Debug)]
pub struct AccountStanding<'s> {
    countries: Option<&'s CountryRules>,
    hours: &'s Hours,
    addressing: AccountAddressing<'s>,
}

impl AccountStanding<'_> {
    /// Whether nothing can be refused.
    pub fn is_open(&self) -> bool {
        self.countries.is_none_or(CountryRules::are_open)
    }

    /// Whether a message may come in, or leave.
    ///
    /// # Errors
    ///
    /// [`Refusal::Country`] and [`Refusal::NotApproved`].
    pub fn may(&self, asked: &Asked<'_>, now: Now) -> Result<Noted, Refusal> {
        let Some(rules) = self.countries else {
            return Ok(Noted::default());
        };
        let number = || self.addressing.number_of(asked.recipient);
        let octets = asked.recipient.as_bytes();
        // A short code is one of the networks at home.
        let is_short = octets.len() <= SHORT_CODE_MAX && octets.first() != Some(&b'+');
        let country = asked.country.or_else(|| rules.home().filter(|_| is_short));
        let monitored = rules.may(country, number, now)?;
        Ok(Noted { monitored })
    }
}

/// Which rule a refusal is counted for.
pub(crate) const fn rule_of(refusal: Refusal) -> Option<StandingRule> {
    match refusal {
        Refusal::Country => Some(StandingRule::Country),
        Refusal::NotApproved => Some(StandingRule::Approval),
        Refusal::OptedOut { .. } => Some(StandingRule::OptOut),
        Refusal::Restricted => Some(StandingRule::Restricted),
        Refusal::OutsideHours => Some(StandingRule::Hours),
        Refusal::NoConsent => Some(StandingRule::Consent),
        Refusal::OverCap => Some(StandingRule::Cap),
        Refusal::Pumping => Some(StandingRule::Pumping),
        Refusal::Content => Some(StandingRule::Content),
        Refusal::SenderSuspended => Some(StandingRule::Sender),
        _ => None,
    }
}

/// A leg that is about to be handed over.
#[derive(Debug)]
pub(crate) struct Leaving<'l> {
    leg: &'l Leg,
    /// Whose it is; `None`: the configuration no longer has its account.
    account: Option<usize>,
    recipient: Recipient,
}

impl<D: Disk> Gate<D> {
    /// What the rules ask about a leg before it is handed over.
    pub(crate) fn leaving<'l>(&self, leg: &'l Leg) -> Leaving<'l> {
        let account = self.account_named(leg.account);
        Leaving {
            leg,
            account,
            recipient: self.recipient(account, leg.envelope.addresses.destination()),
        }
    }

    /// A recipient of an account's.
    pub(crate) fn recipient(&self, account: Option<usize>, address: AddressBuf) -> Recipient {
        let home = account.and_then(|account| self.config.accounts[account].numbering.country);
        Recipient::new(address, home)
    }

    /// Why a leg that was let in may not leave any more, and whose it is; `None` if it may.
    pub(crate) fn stands_in_the_way(
        &self,
        now: Now,
        leaving: &Leaving<'_>,
    ) -> Option<(Option<usize>, Refusal)> {
        let Leaving {
            leg,
            account,
            recipient,
        } = leaving;
        let account = *account;
        if self.is_leg_restricted(leg, recipient) {
            return Some((account, Refusal::Restricted));
        }
        if leg.envelope.category == opt_out::REPLY {
            return None;
        }
        let is_marked = leg.envelope.category & opt_out::OPTED_OUT != 0;
        if is_marked || self.opted_out_since(account, leg, recipient) {
            let plain = Refusal::OptedOut { plain: false };
            return Some((
                account,
                account.map_or(plain, |account| self.opted_out_refusal(account)),
            ));
        }
        let account = account?;
        if let Some(refusal) = self.marketing_refused(now, account, leg, recipient) {
            return Some((Some(account), refusal));
        }
        let standing = self.standing.of_account(account, self.addressing_of(account));
        if standing.is_open() {
            return None;
        }
        let address = recipient.address();
        let there = Place::of(&self.tables, address.ton(), address.as_bytes()).country;
        let asked = Asked {
            recipient: address,
            country: there.or_else(|| plan().country_of(recipient.number()?)),
            category: Category::from_octet(leg.envelope.category),
        };
        Some((Some(account), standing.may(&asked, now).err()?))
    }

    /// Whether a leg might leave now: what its hand-over asks of all these rules, and nothing else of it.
    pub fn may_leave(&self, now: Now, leg: &Leg, body: &[u8]) -> bool {
        let leaving = self.leaving(leg);
        self.stands_in_the_way(now, &leaving).is_none()
            && self.opens_later(now, &leaving).is_none()
            && matches!(self.capped(now, &leaving, body), Capped::May(_))
    }

    /// The same of what marketing alone is asked for.
    fn marketing_refused(
        &self,
        now: Now,
        account: usize,
        leg: &Leg,
        recipient: &Recipient,
    ) -> Option<Refusal> {
        if leg.envelope.category != Category::Marketing.octet() || self.has_begun(leg) {
            return None;
        }
        let config = &self.config.accounts[account];
        if config.consent == ConsentMode::Require && !self.has_consented(account, recipient) {
            return Some(Refusal::NoConsent);
        }
        let is_late = config.outside_hours == OutsideHours::Reject
            && self
                .standing
                .of_account(account, self.addressing_of(account))
                .shut_until(recipient, now.unix_ms)
                .is_some();
        is_late.then_some(Refusal::OutsideHours)
    }

    /// Counts what a standing rule refuses.
    pub(crate) fn note_standing(&mut self, account: usize, refusal: Refusal) {
        if let Some(rule) = rule_of(refusal) {
            self.accounts[account].tally.standing_refused.add(rule);
        }
    }
}
