//! Standing orders of the operator: carriers that are to get nothing, accounts, or single senders of theirs ([`senders`]), that
//! may submit nothing.
//!
//! They outlive a restart and a reload ([`file`]), until they are taken back. An order that names what the configuration does
//! not have is kept and does nothing. A carrier that is halted counts as one that is down, so that routes and fail-over treat
//! it as ever; a suspended account is one whose `state` says so.

mod file;
mod senders;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_config::{AccountState as ConfiguredState, Config};
use tidegate_store::disk::Disk;

use crate::clock::Now;
use crate::gate::Gate;
use crate::links::{LinkId, Peer};

pub use file::{OrdersFile, Unreadable};
pub use senders::{By, SENDERS_MAX, Sender, SenderOrder};
pub(crate) use senders::{Closed, sender_in};

/// Carriers and accounts that orders may name: as many as a process can number.
pub const ORDERS_MAX: usize = 65_535;

/// How a carrier is halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It gets nothing new; its links stay.
    Pause,
    /// It gets nothing new, and once it has answered everything its links are unbound, too.
    Drain,
}

impl Halt {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Pause, Self::Drain];

    /// For files and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Drain => "draining",
        }
    }
}

/// That a carrier is halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halted {
    /// How.
    pub how: Halt,
    /// Since when, in unix milliseconds.
    pub since_ms: u64,
}

/// All standing orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    carriers: BTreeMap<String, Halted>,
    /// Suspended by an operator; since when, in unix milliseconds.
    accounts: BTreeMap<String, u64>,
    /// Suspended by a case of abuse; since when. Each of the two is taken back by itself.
    by_case: BTreeMap<String, u64>,
    /// The same of those that are closed, for ever.
    closed: BTreeMap<String, u64>,
    /// Single senders that are suspended, by their accounts.
    senders: senders::Senders,
}

/// There are [`ORDERS_MAX`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Orders {
    /// Halts a carrier, or halts it otherwise. Since when it is halted does not change with the how.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn halt(&mut self, carrier: &str, how: Halt, now_ms: u64) -> Result<(), TooMany> {
        let since_ms = self.halted(carrier).map_or(now_ms, |halted| halted.since_ms);
        self.has_room(self.carriers.contains_key(carrier))?;
        self.carriers.insert(carrier.to_owned(), Halted { how, since_ms });
        Ok(())
    }

    /// Takes that back; says whether it was halted.
    pub fn resume(&mut self, carrier: &str) -> bool {
        self.carriers.remove(carrier).is_some()
    }

    /// Suspends an account, on an operator's word.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn suspend(&mut self, account: &str, now_ms: u64) -> Result<(), TooMany> {
        self.has_room(self.accounts.contains_key(account))?;
        self.accounts.entry(account.to_owned()).or_insert(now_ms);
        Ok(())
    }

    /// Takes that back; says whether it was suspended so.
    pub fn restore(&mut self, account: &str) -> bool {
        self.accounts.remove(account).is_some()
    }

    /// Suspends an account by a case of abuse, whether or not an operator has.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn suspend_by_case(&mut self, account: &str, now_ms: u64) -> Result<(), TooMany> {
        self.has_room(self.by_case.contains_key(account))?;
        self.by_case.entry(account.to_owned()).or_insert(now_ms);
        Ok(())
    }

    /// Takes that back; says whether it was suspended so.
    pub fn restore_by_case(&mut self, account: &str) -> bool {
        self.by_case.remove(account).is_some()
    }

    /// Closes an account, once: nothing takes it back.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn close(&mut self, account: &str, now_ms: u64) -> Result<(), TooMany> {
        self.has_room(self.closed.contains_key(account))?;
        self.closed.entry(account.to_owned()).or_insert(now_ms);
        Ok(())
    }

    /// Since when an account is closed.
    pub fn closed_ms(&self, account: &str) -> Option<u64> {
        self.closed.get(account).copied()
    }

    /// All closed accounts by name, and since when.
    pub fn closed(&self) -> impl Iterator<Item = (&str, u64)> {
        self.closed
            .iter()
            .map(|(name, since_ms)| (name.as_str(), *since_ms))
    }

    /// Whether a carrier is halted, and how.
    pub fn halted(&self, carrier: &str) -> Option<Halted> {
        self.carriers.get(carrier).copied()
    }

    /// Since when an account is suspended, by whomever.
    pub fn suspended_ms(&self, account: &str) -> Option<u64> {
        let by = [&self.accounts, &self.by_case];
        by.into_iter()
            .filter_map(|suspended| suspended.get(account).copied())
            .min()
    }

    /// All halted carriers by name.
    pub fn carriers(&self) -> impl Iterator<Item = (&str, Halted)> {
        self.carriers
            .iter()
            .map(|(name, halted)| (name.as_str(), *halted))
    }

    /// All accounts that an operator has suspended by name, and since when.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.accounts
            .iter()
            .map(|(name, since_ms)| (name.as_str(), *since_ms))
    }

    /// The same of those that a case of abuse has.
    pub fn by_case(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_case
            .iter()
            .map(|(name, since_ms)| (name.as_str(), *since_ms))
    }

    /// Whether an operator has suspended an account.
    pub fn is_suspended(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// Whether a case of abuse has.
    pub fn is_suspended_by_case(&self, account: &str) -> bool {
        self.by_case.contains_key(account)
    }

    fn len(&self) -> usize {
        let named = self.carriers.len() + self.accounts.len() + self.by_case.len() + self.closed.len();
        named + self.senders_len()
    }

    fn has_room(&self, is_there: bool) -> Result<(), TooMany> {
        if self.len() >= ORDERS_MAX && !is_there {
            Err(TooMany)
        } else {
            Ok(())
        }
    }
}

/// Accounts whose state changes, and the configuration that is to be copied for it. With many accounts and routes that takes
/// milliseconds, which the loop does not have.
#[derive(Debug)]
pub(crate) struct Suspending {
    of: Arc<Config>,
    other: Vec<(usize, ConfiguredState)>,
}

/// A configuration that was made of another one.
#[derive(Debug)]
pub(crate) struct Made {
    of: Arc<Config>,
    config: Arc<Config>,
}

impl Suspending {
    /// Makes it, on any thread.
    pub(crate) fn config(self) -> Made {
        Made {
            config: with_states(&self.of, &self.other),
            of: self.of,
        }
    }
}

fn with_states(config: &Config, other: &[(usize, ConfiguredState)]) -> Arc<Config> {
    let mut config = config.clone();
    for (place, state) in other {
        if let Some(account) = config.accounts.get_mut(*place) {
            account.state = *state;
        }
    }
    Arc::new(config)
}

impl<D: Disk> Gate<D> {
    /// The orders that hold.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Has other orders hold, from the next hand-over and the next PDU on. Links of carriers that are resumed are made by
    /// who keeps them ([`crate::connect`]).
    pub fn obey(&mut self, now: Now, orders: Orders) {
        self.orders = orders;
        self.obey_again(now);
    }

    /// The same, with the configuration that was [made](Suspending::config) for these orders on another thread. If it has
    /// become another one meanwhile, it is made here.
    pub(crate) fn obey_made(&mut self, now: Now, orders: Orders, made: Option<Made>) {
        if let Some(made) = made
            && Arc::ptr_eq(&made.of, &self.config)
        {
            self.config = made.config;
        }
        self.obey(now, orders);
    }

    /// What is to be made for other orders; `None` where no account's state changes.
    pub(crate) fn suspending(&self, orders: &Orders) -> Option<Suspending> {
        let other = self.other_states(orders);
        let config = || Arc::clone(&self.config);
        (!other.is_empty()).then(|| Suspending { of: config(), other })
    }

    /// The same where carriers and accounts have changed.
    pub(crate) fn obey_again(&mut self, now: Now) {
        let config = Arc::clone(&self.config);
        for (carrier, state) in config.carriers.iter().zip(&mut self.carriers) {
            state.set_halted(now, self.orders.halted(carrier.name.as_str()));
        }
        self.suspend_accounts();
        for (account, state) in self.config.accounts.iter().zip(&mut self.accounts) {
            let name = account.system_id.as_str();
            state.is_closed = self.orders.closed_ms(name).is_some();
            let senders = self.orders.senders_of(name);
            state.senders.obey(senders.map(|(sender, _)| sender));
        }
        if let Some(keeping) = self.keeping() {
            let closed = self.orders.closed();
            let named = closed.filter_map(|(name, since_ms)| Some((name.parse().ok()?, since_ms)));
            keeping.closures().replace(named);
        }
        self.end_drains(now);
    }

    /// What an account may do is its `state`, as all ask that already.
    fn suspend_accounts(&mut self) {
        let other = self.other_states(&self.orders);
        if !other.is_empty() {
            self.config = with_states(&self.config, &other);
        }
    }

    /// Accounts whose state is another one by these orders, and which.
    fn other_states(&self, orders: &Orders) -> Vec<(usize, ConfiguredState)> {
        let held = |system_id: &SystemId, by_file: ConfiguredState| {
            let name = system_id.as_str();
            match orders.suspended_ms(name).or_else(|| orders.closed_ms(name)) {
                Some(_) => ConfiguredState::Suspended,
                None => by_file,
            }
        };
        let places = self.config.accounts.iter().zip(&self.accounts);
        places
            .map(|(account, state)| (account.state, held(&account.system_id, state.by_file)))
            .enumerate()
            .filter(|(_, (is, should_be))| is != should_be)
            .map(|(place, (_, should_be))| (place, should_be))
            .collect()
    }

    /// Unbinds the links of carriers that are being drained and have answered everything.
    pub(crate) fn end_drains(&mut self, now: Now) {
        for carrier in 0..self.carriers.len() {
            let state = &self.carriers[carrier];
            let is_draining = state.halted.is_some_and(|halted| halted.how == Halt::Drain);
            if !is_draining || state.is_drained || state.unanswered(&self.links) > 0 {
                continue;
            }
            self.carriers[carrier].is_drained = true;
            let name = &self.config.carriers[carrier].name;
            tracing::info!(carrier = %name, "drained: everything is answered, its links are unbound");
            let is_its = |id: &LinkId| {
                let link = self.links.get(*id);
                link.is_some_and(
                    |link| matches!(link.peer, Peer::Carrier { carrier: its, .. } if its == carrier),
                )
            };
            let links: Vec<LinkId> = self.links.ids().into_iter().filter(is_its).collect();
            for link in links {
                self.leave_link(now, link);
            }
        }
    }

    /// Unbinds an account's links; says how many.
    pub(crate) fn unbind_all(&mut self, now: Now, account: usize) -> usize {
        let links = self.accounts[account].links.clone();
        for link in &links {
            self.shut_esme(now, *link, account);
        }
        links.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_is_given_again_keeps_its_date_and_taken_back_leaves_nothing() {
        let mut orders = Orders::default();
        orders.halt("a", Halt::Pause, 7).unwrap();
        orders.halt("a", Halt::Drain, 9).unwrap();
        orders.suspend("x", 7).unwrap();
        orders.suspend("x", 9).unwrap();
        let halted = Halted {
            how: Halt::Drain,
            since_ms: 7,
        };
        assert_eq!(orders.halted("a"), Some(halted));
        orders.close("x", 7).unwrap();
        orders.close("x", 9).unwrap();
        assert_eq!(orders.suspended_ms("x"), Some(7));
        assert!(orders.resume("a") && !orders.resume("a"));
        assert!(orders.restore("x") && !orders.restore("x"));
        // But for the one that nothing takes back.
        assert_eq!(orders.closed().collect::<Vec<_>>(), [("x", 7)]);
        let mut closed = Orders::default();
        closed.close("x", 7).unwrap();
        assert_eq!(orders, closed);
    }

    #[test]
    fn who_suspends_an_account_takes_back_only_that() {
        let mut orders = Orders::default();
        orders.suspend("x", 9).unwrap();
        orders.suspend_by_case("x", 7).unwrap();
        orders.suspend_by_case("x", 8).unwrap();
        assert_eq!(orders.suspended_ms("x"), Some(7));
        assert!(orders.restore_by_case("x") && !orders.restore_by_case("x"));
        assert_eq!(orders.suspended_ms("x"), Some(9));
        assert!(orders.restore("x"));
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn there_are_so_many_and_those_that_are_there_can_be_changed() {
        let mut orders = Orders::default();
        for n in 0..ORDERS_MAX {
            orders.halt(&format!("c{n}"), Halt::Pause, 0).unwrap();
        }
        assert_eq!(orders.suspend("x", 0), Err(TooMany));
        assert_eq!(orders.suspend_by_case("x", 0), Err(TooMany));
        assert_eq!(orders.halt("more", Halt::Pause, 0), Err(TooMany));
        assert_eq!(orders.halt("c7", Halt::Drain, 0), Ok(()));
    }
}
