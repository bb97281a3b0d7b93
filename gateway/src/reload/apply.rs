//! Taking a configuration over, in one step.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use tidegate_codec::identity::Password;
use tidegate_codec::session::State;
use tidegate_config::{Account, AccountState as ConfiguredState, Carrier, CarrierName, Config, Diff, Quota};
use tidegate_store::disk::Disk;

use crate::addressing::Addressing;
use crate::carrier::CarrierState;
use crate::clock::Now;
use crate::esme::may_be_bound;
use crate::gate::{
    AccountState, CARRIER_UNANSWERED_MAX, Gate, TooManyNames, carrier_timing, esme_timing, pdu_limits,
    routers,
};
use crate::hold::Patience;
use crate::links::{End, LinkId, Peer};
use crate::quota::Calendar;
use crate::router::CarrierIndex;
use crate::run::spool_options;
use crate::standing::Standing;

impl AccountState {
    /// Takes over what it holds of an account's values. Every key is named, so that a new one has to be thought about:
    /// `_` stands for what is read where it is needed, or handed to open links.
    fn take(&mut self, now: Now, old: &Account, new: &Account) {
        let Account {
            system_id: _,
            password_hashes: _,
            state: _,
            max_binds: _,
            binds: _,
            rate,
            link_rate: _,
            country_rates,
            weight: _,
            window: _,
            delivery_window: _,
            allow_ips: _,
            transport: _,
            message_id: _,
            default_validity: _,
            max_validity: _,
            outbox_max: _,
            outbox_ttl: _,
            duplicate_window: _,
            receipt_text: _,
            default_alphabet: _,
            long_message_outcome: _,
            outside_hours: _,
            consent: _,
            caps: _,
            screening: _,
            abuse: _,
            senders: _,
            quota:
                Quota {
                    day: _,
                    month: _,
                    zone,
                },
            numbering: _,
            category: _,
            destinations: _,
            opt_outs: _,
            words: _,
            retention: _,
        } = old;
        if *zone != new.quota.zone {
            self.calendar = Calendar::default();
        }
        if (rate, country_rates) != (&new.rate, &new.country_rates) {
            self.rates.set_rates(now.monotonic, new);
            if let Some(rate) = self.rate_override {
                self.rates.all.set_rate(now.monotonic, Some(rate));
            }
        }
    }
}

impl<D: Disk> Gate<D> {
    /// Carriers whose password is another one although the file says the same of it.
    pub(super) fn other_passwords(&self, new: &Config, passwords: &[Password], diff: &Diff) -> Vec<String> {
        let places = self.config.carriers.iter().zip(&self.carriers);
        let places: HashMap<&CarrierName, &CarrierState> =
            places.map(|(carrier, state)| (&carrier.name, state)).collect();
        let is_told = |key: &str| diff.changes().iter().any(|change| change.key == key);
        let carriers = new.carriers.iter().zip(passwords);
        carriers
            .filter(|(carrier, password)| {
                let state = places.get(&carrier.name);
                state.is_some_and(|state| !state.removed && state.password != **password)
            })
            .map(|(carrier, _)| format!("carrier.{}.password", carrier.name))
            .filter(|key| !is_told(key))
            .map(|key| format!("{key}: changed where it is kept"))
            .collect()
    }

    /// Takes a configuration over, with its carriers' passwords in its order: what it says holds for the next PDU of
    /// every link. Links of carriers are replaced by who keeps them ([`crate::connect`]). With other ways
    /// what waits is looked at again.
    ///
    /// # Errors
    ///
    /// The new names are too many; nothing is changed.
    pub fn reconfigure(
        &mut self,
        now: Now,
        new: &Config,
        passwords: Vec<Password>,
        has_other_ways: bool,
    ) -> Result<(), TooManyNames> {
        let accounts = new.accounts.iter().map(|account| account.system_id.as_str());
        let carriers = new.carriers.iter().map(|carrier| carrier.name.as_str());
        for name in accounts.chain(carriers) {
            self.spool.intern(name).ok_or(TooManyNames)?;
        }
        let config = Arc::new(placed(&self.config, new));
        let old = std::mem::replace(&mut self.config, config);
        self.limits = pdu_limits(&self.config);
        self.patience = Patience::from(&self.config.limits);
        self.country_rates
            .set_rates(now.monotonic, &self.config.limits.country_rates);
        if old.storage != self.config.storage {
            self.spool.set_bounds(&spool_options(&self.config));
        }
        let (mt, mo) = routers(&self.config);
        // A carrier, or what an account asks for, may be another.
        let has_other_ways = has_other_ways || mt.kept_out() != self.mt.kept_out();
        (self.mt, self.mo) = (mt, mo);
        self.mt.set_time(now.unix_ms);
        self.addressing = Addressing::new(&self.config);
        self.standing = Standing::new(&self.config);
        self.screen.take(&self.config.screening);
        self.members_due = true;
        self.take_accounts(now, &old, new);
        self.take_carriers(now, &old, new, passwords);
        self.take_links(now);
        self.obey_again(now);
        if has_other_ways {
            self.unrouted_left = self.unrouted.len();
        }
        for state in &mut self.carriers {
            if has_other_ways || state.removed {
                state.waiting.reroute();
            }
        }
        Ok(())
    }

    fn take_accounts(&mut self, now: Now, old: &Config, new: &Config) {
        let config = Arc::clone(&self.config);
        let there: HashSet<_> = new.accounts.iter().map(|account| account.system_id).collect();
        self.account_by_id.clear();
        for (place, account) in config.accounts.iter().enumerate() {
            if place == self.accounts.len() {
                // It was interned a moment ago.
                let Some(name) = self.spool.intern(account.system_id.as_str()) else {
                    continue;
                };
                self.account_by_name.insert(name, place);
                self.accounts.push(AccountState::new(name, account));
            }
            let state = &mut self.accounts[place];
            state.removed = !there.contains(&account.system_id);
            if !state.removed {
                self.account_by_id.insert(account.system_id, place);
            }
            state.by_file = account.state;
            if let Some(old) = old.accounts.get(place) {
                state.take(now, old, account);
            }
            self.weights.set(self.accounts[place].name, account.weight);
        }
    }

    fn take_carriers(&mut self, now: Now, old: &Config, new: &Config, passwords: Vec<Password>) {
        let config = Arc::clone(&self.config);
        let carriers = new.carriers.iter().map(|carrier| &carrier.name);
        let mut passwords: HashMap<&CarrierName, Password> = carriers.zip(passwords).collect();
        for (place, carrier) in config.carriers.iter().enumerate() {
            let password = passwords.remove(&carrier.name);
            if place == self.carriers.len() {
                // It was interned a moment ago, and every carrier of the file has a password.
                if let (Some(name), Some(password)) = (self.spool.intern(carrier.name.as_str()), password) {
                    self.carriers.push(CarrierState::new(name, carrier, password));
                }
                continue;
            }
            let state = &mut self.carriers[place];
            state.removed = password.is_none();
            state.goes_to = None;
            let (Some(password), Some(old)) = (password, old.carriers.get(place)) else {
                continue;
            };
            if old.rate != carrier.rate && state.rate_override.is_none() {
                state.flow.set_rate(now.monotonic, carrier.rate);
            }
            let (rates, others) = (&old.country_rates, &carrier.country_rates);
            if rates != others {
                state.countries.set_rates(now.monotonic, others);
                // What waits stands in line by the countries that had a rate of their own.
                if !rates.names().eq(others.names()) {
                    state.waiting.reroute();
                }
            }
            if needs_other_links(old, carrier) || state.password != password {
                state.password = password;
                state.revision += 1;
            }
        }
        for (taker, carrier) in config.carriers.iter().enumerate() {
            if self.carriers[taker].removed {
                continue;
            }
            for name in &carrier.takes_over {
                let places = config.carriers.iter();
                if let Some(place) = places
                    .map(|carrier| &carrier.name)
                    .position(|there| there == name)
                {
                    self.carriers[place].goes_to = Some(CarrierIndex(taker));
                }
            }
        }
    }

    /// Open links get the limits and timers that hold now; those that may not be there any more are unbound.
    fn take_links(&mut self, now: Now) {
        let config = Arc::clone(&self.config);
        for id in self.links.ids() {
            let Some(link) = self.links.get_mut(id) else {
                continue;
            };
            // One that is being unbound already may still ask for something.
            let bound = match link.session.state() {
                State::Bound(kind) | State::Unbinding { kind, .. } => Some(kind),
                _ => None,
            };
            match link.peer {
                Peer::Esme { ip, account } => {
                    link.session.set_timing(esme_timing(&config));
                    let (Some(account), Some(kind)) = (account, bound) else {
                        continue;
                    };
                    let configured = &config.accounts[account];
                    link.session
                        .set_limits(configured.delivery_window, configured.window);
                    link.bucket.set_rate(now.monotonic, configured.link_rate);
                    let removed = self.accounts[account].removed;
                    // Whom an operator has suspended keeps the binds that it was left.
                    let state = self.accounts[account].by_file;
                    let refusal = may_be_bound(configured, state, ip, kind, link.transport, now);
                    // A password that was taken back opens nothing, and what it opened is shut (SEC-5).
                    let revoked = link
                        .credential
                        .is_some_and(|by| !by.is_among(&configured.password_hashes));
                    if removed || revoked || refusal.is_some() {
                        let link = link.number;
                        tracing::info!(account = %configured.system_id, link, removed, revoked, ?refusal, "unbound by a reload");
                        self.shut_esme(now, id, account);
                    }
                }
                Peer::Carrier { carrier, .. } => {
                    let configured = &config.carriers[carrier];
                    link.session.set_timing(carrier_timing(&config, configured));
                    link.session.set_limits(configured.window, CARRIER_UNANSWERED_MAX);
                    if self.carriers[carrier].removed {
                        self.leave_link(now, id);
                    }
                }
            }
            self.links.touch(id);
            self.links.arm(id);
        }
        // The first to come stay.
        for (account, configured) in config.accounts.iter().enumerate() {
            while self.accounts[account].links.len() > configured.max_binds {
                let Some(last) = self.accounts[account].links.last().copied() else {
                    break;
                };
                let link = self.link_number(last);
                tracing::info!(account = %configured.system_id, link, "unbound by a reload: max_binds");
                self.unbind_esme(now, last, account);
            }
        }
    }

    /// A link to a carrier is left: nothing new goes to it, and it is unbound once everything on it is answered, or given
    /// up after `response`.
    pub(crate) fn leave_link(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let Peer::Carrier { carrier, .. } = link.peer else {
            return;
        };
        let is_bound = link.session.state().kind().is_some();
        self.links.leave(id);
        if !is_bound {
            return self.links.end(id, End::Reload);
        }
        self.carrier_unbound(id, carrier);
        self.stop_idle(now, id);
    }
}

/// The new configuration with every account and carrier that this process has had in its place. What the file no longer
/// has keeps the values that it had, but for that it may do nothing.
pub(super) fn placed(old: &Config, new: &Config) -> Config {
    let mut placed = new.clone();
    let mut accounts: HashMap<_, _> = new
        .accounts
        .iter()
        .map(|account| (account.system_id, account))
        .collect();
    placed.accounts = old.accounts.clone();
    for account in &mut placed.accounts {
        match accounts.remove(&account.system_id) {
            Some(new) => account.clone_from(new),
            None => account.state = ConfiguredState::Suspended,
        }
    }
    let added = new
        .accounts
        .iter()
        .filter(|account| accounts.contains_key(&account.system_id));
    placed.accounts.extend(added.cloned());
    let mut carriers: HashMap<_, _> = new
        .carriers
        .iter()
        .map(|carrier| (&carrier.name, carrier))
        .collect();
    placed.carriers = old.carriers.clone();
    for carrier in &mut placed.carriers {
        match carriers.remove(&carrier.name) {
            Some(new) => carrier.clone_from(new),
            None => {
                carrier.takes_over.clear();
                // Its file may be gone as well.
                carrier.prices = None;
            }
        }
    }
    let added = new
        .carriers
        .iter()
        .filter(|carrier| carriers.contains_key(&carrier.name));
    placed.carriers.extend(added.cloned());
    placed
}

/// Whether links that were made with the old values are to be replaced. Every key is named, so that a new one has to be
/// thought about: `_` stands for what open links learn at once.
fn needs_other_links(old: &Carrier, new: &Carrier) -> bool {
    let Carrier {
        name: _,
        addresses,
        local_address,
        // What stands in its files holds for links that are made from then on.
        tls,
        // Asked when a link is made.
        clear_text: _,
        binds,
        links: _,
        window: _,
        rate: _,
        country_rates: _,
        system_id,
        // What it says is compared where it was read.
        password: _,
        system_type,
        addr_ton,
        addr_npi,
        address_range,
        interface_version,
        assume_version,
        default_validity: _,
        max_validity: _,
        receipt_deadline: _,
        opted_out_codes: _,
        request_receipts: _,
        id_base: _,
        unanswered: _,
        connect: _,
        bind_response: _,
        enquire_link: _,
        enquire_link_response: _,
        response: _,
        reconnect_min: _,
        reconnect_max: _,
        detect_receipts_by_text: _,
        verdicts: _,
        max_attempts: _,
        retry_min: _,
        retry_max: _,
        writing: _,
        texts: _,
        prices: _,
        takes_over: _,
    } = old;
    (addresses, local_address, binds, system_id, system_type)
        != (
            &new.addresses,
            &new.local_address,
            &new.binds,
            &new.system_id,
            &new.system_type,
        )
        || (addr_ton, addr_npi, address_range) != (&new.addr_ton, &new.addr_npi, &new.address_range)
        || *tls != new.tls
        || (interface_version, assume_version) != (&new.interface_version, &new.assume_version)
}
