//! How carriers, accounts, binds, queues and one message stand, for who steers the gateway. Of a message there is what was
//! decided about it: no body, and of a number only its kind and length, as logs have it (P4).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::session::State;
use tidegate_codec::values::BindKind;
use tidegate_config::AccountState as ConfiguredState;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::names::NameId;

use super::Answer;
use super::listing::instant;
use super::steer::Page;
use super::steering::fields;
use crate::clock::Now;
use crate::connect::link_kinds;
use crate::gate::{Gate, at};
use crate::life::Standing;
use crate::links::{Link, Peer};
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
pub(super) const fn standing_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Scheduled => "scheduled",
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
struct LinkStates {
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

fn age_s(now: Now, since_ms: Option<u64>) -> Option<u64> {
    since_ms.map(|since_ms| now.unix_ms.saturating_sub(since_ms) / 1_000)
}

/// An address as logs have it.
fn masked(address: &AddressBuf) -> Value {
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

    /// All carriers, and orders about those that there are not.
    pub(super) fn carriers_shown(&self, now: Now) -> Map<String, Value> {
        let mut links = vec![LinkStates::default(); self.carriers.len()];
        for (_, link) in self.links.iter() {
            if let Peer::Carrier { carrier, .. } = link.peer
                && let Some(states) = links.get_mut(carrier)
            {
                states.add(link);
            }
        }
        let places = self.carriers.iter().enumerate();
        let places = places.filter(|(_, state)| !state.removed);
        let rows = places.map(|(place, _)| self.carrier_shown(now, place, links[place]));
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
        fields(json!({ "carriers": rows.chain(others).collect::<Vec<_>>() }))
    }

    fn carrier_shown(&self, now: Now, place: usize, links: LinkStates) -> Value {
        let (config, state) = (&self.config.carriers[place], &self.carriers[place]);
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
        json!({
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
        })
    }

    /// What waits, by carrier and account.
    pub(super) fn queues_shown(&self, now: Now) -> Map<String, Value> {
        let names = self.spool.names();
        let mut rows = Vec::new();
        for (place, config) in self.config.carriers.iter().enumerate() {
            for (account, line) in self.lines_of(place) {
                rows.push(json!({
                    "carrier": config.name.as_str(),
                    "account": names.name(account),
                    "waiting": line.count,
                    "oldest_s": age_s(now, line.oldest_ms),
                }));
            }
        }
        fields(json!({ "queues": rows, "unrouted": self.unrouted.len() }))
    }

    /// Some accounts by name, behind one; the name of the last where there are more. Orders about those that there are not
    /// come among them.
    pub(super) fn accounts_shown(&self, after: Option<&str>, count: usize) -> (Vec<Value>, Option<String>) {
        let configured = self.account_by_id.values();
        let configured =
            configured.map(|place| (self.config.accounts[*place].system_id.as_str(), Some(*place)));
        let is_there = |name: &str| self.account_by_text(name).is_some();
        let ordered = self.orders().accounts().filter(|(name, _)| !is_there(name));
        let all = configured.chain(ordered.map(|(name, _)| (name, None)));
        let mut all: Vec<_> = all
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .collect();
        all.sort_unstable();
        let rows = all.iter().take(count);
        let rows = rows
            .map(|(name, place)| self.account_shown(name, *place))
            .collect();
        let last = all
            .get(..count)
            .and_then(<[_]>::last)
            .filter(|_| all.len() > count);
        (rows, last.map(|(name, _)| (*name).to_owned()))
    }

    fn account_shown(&self, name: &str, place: Option<usize>) -> Value {
        let suspended = self.orders().suspended_ms(name).map(instant);
        let Some(place) = place else {
            return json!({ "account": name, "is_configured": false, "suspended": suspended });
        };
        let (config, state) = (&self.config.accounts[place], &self.accounts[place]);
        json!({
            "account": name,
            "is_configured": true,
            "state": state_word(config.state),
            "suspended": suspended,
            "binds": state.links.len(),
            "unfinished": self.spool.index().len_of(state.name),
            "outbox": self.spool.outbox().waiting_for(state.name),
            "per_second": state.rate_override.or(config.rate),
            "configured_per_second": config.rate,
        })
    }

    /// A page of the links that are bound, by their numbers.
    pub(super) fn binds_shown(
        &self,
        now: Now,
        account: Option<&str>,
        carrier: Option<&str>,
        page: &Page<u64>,
    ) -> Answer {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let carrier = carrier.map(|name| self.known_carrier(name)).transpose()?;
        let is_meant = |link: &Link| match link.peer {
            Peer::Esme { account: None, .. } => false,
            Peer::Esme { account: its, .. } => carrier.is_none() && (account.is_none() || its == account),
            Peer::Carrier { carrier: its, .. } => {
                account.is_none() && carrier.is_none_or(|meant| meant == its)
            }
        };
        let after = page.after.unwrap_or(0);
        let bound = self.links.iter().map(|(_, link)| link);
        let bound = bound.filter(|link| link.session.state().kind().is_some() && is_meant(link));
        let mut bound: Vec<&Link> = bound.filter(|link| link.number > after).collect();
        bound.sort_unstable_by_key(|link| link.number);
        let more = bound.len() > page.limit();
        bound.truncate(page.limit());
        let next = bound.last().filter(|_| more).map(|link| link.number);
        let rows: Vec<Value> = bound.into_iter().map(|link| self.bind_shown(now, link)).collect();
        Ok(fields(json!({ "binds": rows, "next": next })))
    }

    fn bind_shown(&self, now: Now, link: &Link) -> Value {
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
        json!({
            "number": link.number,
            "account": account,
            "carrier": carrier,
            "address": link.address.map(|address| address.to_string()),
            "bind": link.session.state().kind().map(BindKind::label),
            "transport": link.transport.label(),
            "since": instant(link.bound_ms),
            "is_leaving": is_leaving,
            "window_used": link.session.waiting(),
            "unanswered": link.session.unanswered(),
            "deliveries_waiting": deliveries,
            "silent_s": at(now).since(link.session.heard_at()).as_secs(),
        })
    }

    /// Where an unfinished message stands.
    pub(super) fn message_shown(&self, now: Now, id: &str, account: Option<&str>) -> Answer {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let message = self.message_called(id.as_bytes(), account).ok_or(
            "no unfinished message in memory has this id; ids of 8 digits are known with their account only, and what \
             has waited for its receipt for longer than `receipt_hot` lies in a file",
        )?;
        let index = self.spool.index();
        let wholes: Vec<(LegId, &Leg)> = index.legs_of(message).collect();
        let parts = wholes
            .iter()
            .flat_map(|(_, leg)| index.parts_of(message, leg.whole()));
        let mut legs: Vec<(LegId, &Leg)> = wholes.iter().copied().chain(parts).take(LEGS_MAX + 1).collect();
        let more = legs.len() > LEGS_MAX;
        legs.truncate(LEGS_MAX);
        legs.sort_unstable_by_key(|(_, leg)| (leg.whole(), leg.part()));
        let Some((_, first)) = legs.first() else {
            return Err("it has just ended".to_owned());
        };
        let envelope = &first.envelope;
        let category = Category::from_octet(envelope.category).map(Category::word);
        Ok(fields(json!({
            "id": id,
            "account": self.spool.names().name(first.account),
            "accepted": instant(envelope.accepted_ms),
            "expires": instant(envelope.expires_ms),
            "category": category,
            "parts": envelope.parts,
            "legs": legs.iter().map(|(_, leg)| self.leg_shown(now, leg)).collect::<Vec<_>>(),
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
