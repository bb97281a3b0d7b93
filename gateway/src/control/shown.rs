//! How carriers, accounts, binds, queues and one message stand, for who steers the gateway. Of a message there is what was
//! decided about it: no body, and of a number only its kind and length, as logs have it (P4).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::session::State;
use tidegate_config::AccountState as ConfiguredState;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::names::NameId;

use super::listing::instant;
use super::steering::fields;
use crate::clock::Now;
use crate::connect::link_kinds;
use crate::gate::{Gate, at};
use crate::life::Standing;
use crate::links::{Link, LinkId, Peer};
use crate::orders::Halt;
use crate::router::CarrierIndex;

/// Legs that one answer tells of a message.
const LEGS_MAX: usize = 1_000;

/// What an account may do, in the configuration's words.
pub(super) const fn state_word(state: ConfiguredState) -> &'static str {
    match state {
        ConfiguredState::Active => "active",
        ConfiguredState::Suspended => "suspended",
        ConfiguredState::Closing => "closing",
    }
}

/// Where a leg stands, for people.
pub(crate) const fn standing_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Scheduled => "scheduled",
        Standing::Held => "held for a person to look at",
        Standing::Waiting => "waiting for a carrier",
        Standing::BackingOff => "waiting for another try",
        Standing::Leased => "sent, not answered yet",
        Standing::InParts => "going out in parts",
        Standing::HandedOver => "handed over, waiting for a receipt",
    }
}

/// How many there are, and when the oldest of those that are next was accepted, in unix milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    count: usize,
    oldest_ms: Option<u64>,
}

/// Links of one carrier by what they are about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkStates {
    binding: usize,
    bound: usize,
    unbinding: usize,
}

impl LinkStates {
    fn add(&mut self, link: &Link) {
        match link.session.state() {
            State::Bound(_) if !link.leaving => self.bound += 1,
            State::Bound(_) | State::Unbinding { .. } => self.unbinding += 1,
            State::Open | State::Outbound | State::Binding { .. } => self.binding += 1,
            State::Closed => {}
        }
    }
}

/// Whose links are meant; all where neither is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    account: Option<usize>,
    carrier: Option<usize>,
}

impl Whose {
    /// Whether one with such a peer is. Both at once are none; a client that is being unbound is nobody's.
    pub(super) fn has(self, peer: Peer) -> bool {
        match peer {
            Peer::Esme { account: None, .. } => false,
            Peer::Esme { account, .. } => {
                self.carrier.is_none() && (self.account.is_none() || self.account == account)
            }
            Peer::Carrier { carrier, .. } => {
                self.account.is_none() && self.carrier.is_none_or(|meant| meant == carrier)
            }
        }
    }
}

fn age_s(now: Now, since_ms: Option<u64>) -> Option<u64> {
    since_ms.map(|since_ms| now.unix_ms.saturating_sub(since_ms) / 1_000)
}

/// An address as logs have it.
pub(super) fn masked(address: &AddressBuf) -> Value {
    json!({
        "ton": address.ton().0,
        "npi": address.npi().0,
        "length": address.as_bytes().len(),
    })
}

impl<D: Disk> Gate<D> {
    /// How a carrier stands, in one word.
    pub(super) fn carrier_word(&self, now: Now, place: usize) -> &'static str {
        let state = &self.carriers[place];
        match state.halted.map(|halted| halted.how) {
            Some(Halt::Drain) if state.is_drained => "drained",
            Some(how) => how.word(),
            None if state.is_up(now) => "up",
            None if state.links.is_empty() => "down",
            None => "stuck",
        }
    }

    /// What waits for one carrier, by account.
    fn lines_of(&self, carrier: usize) -> BTreeMap<NameId, Line> {
        let waiting = &self.carriers[carrier].waiting;
        let mut lines: BTreeMap<NameId, Line> = BTreeMap::new();
        for (account, count) in waiting.by_account() {
            lines.entry(account).or_default().count += count;
        }
        for (account, leg) in waiting.heads() {
            if let (Some(line), Some(leg)) = (lines.get_mut(&account), self.spool.index().get(leg)) {
                let accepted_ms = leg.envelope.accepted_ms;
                line.oldest_ms = Some(
                    line.oldest_ms
                        .map_or(accepted_ms, |oldest| oldest.min(accepted_ms)),
                );
            }
        }
        lines
    }

    /// Counts the links to carriers in some places, into what stands for each carrier; whether there are more places.
    pub(super) fn add_links(&self, states: &mut Vec<LinkStates>, first: usize, count: usize) -> bool {
        states.resize(self.carriers.len().max(states.len()), LinkStates::default());
        for (_, link) in self.links.slice(first, count) {
            if let Peer::Carrier { carrier, .. } = link.peer
                && let Some(states) = states.get_mut(carrier)
            {
                states.add(link);
            }
        }
        first + count < self.links.places()
    }

    /// Orders about carriers that there are not.
    pub(super) fn other_carriers_shown(&self) -> Vec<Value> {
        let is_there = |name: &str| self.carrier_by_text(name).is_some();
        let others = self.orders().carriers().filter(|(name, _)| !is_there(name));
        let others = others.map(|(name, halted)| {
            json!({
                "carrier": name,
                "is_configured": false,
                "state": halted.how.word(),
                "since": instant(halted.since_ms),
            })
        });
        others.collect()
    }

    /// One carrier with its links; `None` of one that a reload has removed.
    pub(super) fn carrier_shown(&self, now: Now, place: usize, links: LinkStates) -> Option<Value> {
        let (config, state) = (self.config.carriers.get(place)?, self.carriers.get(place)?);
        if state.removed {
            return None;
        }
        let wanted = if state.is_drained {
            0
        } else {
            link_kinds(config.binds, config.links).len()
        };
        let oldest_ms = self
            .lines_of(place)
            .values()
            .filter_map(|line| line.oldest_ms)
            .min();
        Some(json!({
            "carrier": config.name.as_str(),
            "is_configured": true,
            "state": self.carrier_word(now, place),
            "since": state.halted.map(|halted| instant(halted.since_ms)),
            "links": {
                "wanted": wanted,
                "binding": links.binding,
                "bound": links.bound,
                "unbinding": links.unbinding,
            },
            "window_used": state.unanswered(&self.links),
            "window_size": config.window * state.links.len(),
            "waiting": state.waiting.len(),
            "oldest_s": age_s(now, oldest_ms),
            "per_second": state.rate_override.or(config.rate),
            "configured_per_second": config.rate,
            "is_slowed": state.flow.is_slowed(now.monotonic),
        }))
    }

    /// Carriers by name, from one on, with their places. What waits for one that was removed is there as well.
    pub(super) fn carriers_from(&self, from: &str) -> Vec<(String, usize)> {
        let names = self.config.carriers.iter().map(|carrier| carrier.name.as_str());
        let names = names.enumerate().filter(|(_, name)| *name >= from);
        let mut names: Vec<_> = names.map(|(place, name)| (name.to_owned(), place)).collect();
        names.sort_unstable();
        names
    }

    /// What waits for one carrier, by accounts behind one, so many at most.
    pub(super) fn queues_shown(
        &self,
        now: Now,
        place: usize,
        after: Option<&str>,
        count: usize,
    ) -> Vec<Value> {
        let names = self.spool.names();
        let lines = self.lines_of(place).into_iter();
        let lines = lines.map(|(account, line)| (names.name(account), line));
        let mut lines: Vec<_> = lines
            .filter(|(account, _)| after.is_none_or(|after| *account > after))
            .collect();
        lines.sort_unstable_by_key(|(account, _)| *account);
        let row = |(account, line): (&str, Line)| {
            json!({
                "carrier": self.config.carriers[place].name.as_str(),
                "account": account,
                "waiting": line.count,
                "oldest_s": age_s(now, line.oldest_ms),
            })
        };
        lines.into_iter().take(count).map(row).collect()
    }

    /// Names of accounts behind one, in their order, so many at most. Those that only orders name are among them.
    pub(super) fn accounts_behind(&self, after: Option<&str>, count: usize) -> Vec<String> {
        let configured = self.account_by_id.keys().map(SystemId::as_str);
        let is_there = |name: &str| self.account_by_text(name).is_some();
        let orders = self.orders();
        let ordered = orders.accounts().map(|(name, _)| name);
        // One that is suspended twice, or suspended and closed, is named once.
        let by_case = orders.by_case().map(|(name, _)| name);
        let ordered = ordered.chain(by_case.filter(|name| !orders.is_suspended(name)));
        let closed = orders.closed().map(|(name, _)| name);
        let ordered = ordered.chain(closed.filter(|name| orders.suspended_ms(name).is_none()));
        let senders = orders.accounts_with_senders();
        let ordered = ordered.chain(
            senders.filter(|name| orders.suspended_ms(name).is_none() && orders.closed_ms(name).is_none()),
        );
        let all = configured.chain(ordered.filter(|name| !is_there(name)));
        let mut all: Vec<&str> = all
            .filter(|name| after.is_none_or(|after| *name > after))
            .collect();
        if all.len() > count {
            all.select_nth_unstable(count);
            all.truncate(count);
        }
        all.sort_unstable();
        all.into_iter().map(str::to_owned).collect()
    }

    /// One account, or an order about one that there is not.
    pub(super) fn account_shown(&self, name: &str) -> Value {
        let suspended = self.orders().suspended_ms(name).map(instant);
        let senders = self.orders().senders_of(name).count();
        let closed = self.orders().closed_ms(name).map(instant);
        let Some(place) = self.account_by_text(name) else {
            return json!({
                "account": name,
                "is_configured": false,
                "suspended": suspended,
                "senders_suspended": senders,
                "closed": closed,
            });
        };
        let (config, state) = (&self.config.accounts[place], &self.accounts[place]);
        json!({
            "account": name,
            "is_configured": true,
            "state": if closed.is_some() { "closed" } else { state_word(config.state) },
            "suspended": suspended,
            "senders_suspended": senders,
            "closed": closed,
            "binds": state.links.len(),
            "unfinished": self.spool.index().len_of(state.name),
            "outbox": self.spool.outbox().waiting_for(state.name),
            "per_second": state.rate_override.or(config.rate),
            "configured_per_second": config.rate,
        })
    }

    /// Which links are meant by these names.
    pub(super) fn whose_links(&self, account: Option<&str>, carrier: Option<&str>) -> Result<Whose, String> {
        Ok(Whose {
            account: account.map(|name| self.known_account(name)).transpose()?,
            carrier: carrier.map(|name| self.known_carrier(name)).transpose()?,
        })
    }

    /// One link; `None` of one that is gone, or not bound any more.
    pub(super) fn bind_shown(&self, now: Now, id: LinkId) -> Option<Value> {
        let link = self.links.get(id)?;
        let kind = link.session.state().kind()?;
        let (account, carrier, deliveries) = match link.peer {
            Peer::Esme { account, .. } => {
                let waiting = account.map(|place| self.spool.outbox().waiting_for(self.accounts[place].name));
                let name = account.map(|place| self.config.accounts[place].system_id.to_string());
                (name, None, waiting)
            }
            Peer::Carrier { carrier, .. } => {
                (None, Some(self.config.carriers[carrier].name.to_string()), None)
            }
        };
        let is_leaving = link.leaving || !matches!(link.session.state(), State::Bound(_));
        Some(json!({
            "number": link.number,
            "account": account,
            "carrier": carrier,
            "address": link.address.map(|address| address.to_string()),
            "bind": kind.label(),
            "transport": link.transport.label(),
            "since": instant(link.bound_ms),
            "is_leaving": is_leaving,
            "window_used": link.session.waiting(),
            "unanswered": link.session.unanswered(),
            "deliveries_waiting": deliveries,
            "silent_s": at(now).since(link.session.heard_at()).as_secs(),
        }))
    }

    /// Where an unfinished message in memory stands; `None` where none has this id.
    pub(super) fn message_shown(
        &self,
        now: Now,
        id: &str,
        account: Option<&str>,
    ) -> Result<Option<Map<String, Value>>, String> {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let Some(message) = self.message_called(id.as_bytes(), account) else {
            return Ok(None);
        };
        let index = self.spool.index();
        let wholes: Vec<(LegId, &Leg)> = index.legs_of(message).collect();
        let parts = wholes
            .iter()
            .flat_map(|(_, leg)| index.parts_of(message, leg.whole()));
        let legs = wholes.iter().copied().chain(parts).map(|(_, leg)| leg);
        Ok(self.legs_told(now, id, legs.take(LEGS_MAX + 1).collect()))
    }

    /// A message by its legs, wherever they lie; `None` where there are none.
    pub(super) fn legs_told(&self, now: Now, id: &str, mut legs: Vec<&Leg>) -> Option<Map<String, Value>> {
        let more = legs.len() > LEGS_MAX;
        legs.truncate(LEGS_MAX);
        legs.sort_unstable_by_key(|leg| (leg.whole(), leg.part()));
        let first = legs.first()?;
        let envelope = &first.envelope;
        let category = Category::from_octet(envelope.category).map(Category::word);
        Some(fields(json!({
            "id": id,
            "account": self.spool.names().name(first.account),
            "accepted": instant(envelope.accepted_ms),
            "expires": instant(envelope.expires_ms),
            "category": category,
            "parts": envelope.parts,
            "legs": legs.iter().map(|leg| self.leg_shown(now, leg)).collect::<Vec<_>>(),
            "has_more": more,
        })))
    }

    pub(super) fn leg_shown(&self, now: Now, leg: &Leg) -> Value {
        let standing = Standing::of(leg, now.unix_ms);
        let has_date = !matches!(standing, Standing::Waiting | Standing::Leased);
        let name = |CarrierIndex(place): CarrierIndex| self.config.carriers[place].name.to_string();
        let route: Vec<String> = self.in_order(now, leg).map(name).collect();
        json!({
            "recipient": leg.whole(),
            "part": leg.part(),
            "to": masked(&leg.envelope.addresses.destination()),
            "state": standing_words(standing),
            "carrier": leg.carrier.map(|carrier| self.spool.names().name(carrier)),
            "route": route,
            "attempts": leg.attempts,
            "next": has_date.then(|| instant(leg.due_ms)),
        })
    }
}
