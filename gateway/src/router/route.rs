//! One route to carriers: which messages it takes, and which of its carriers comes first.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidegate_codec::address::Ton;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::Coding;
use tidegate_codec::values::DataCoding;
use tidegate_config::{CarrierName, Choose, Conditions, MtRoute, Price, SenderPattern, SenderType};
use tidegate_store::service_type::ServiceType;

use super::CarrierIndex;
use super::place::{Place, World};
use crate::tables::{MccMnc, Tables};

/// What is known of a message. Not to be printed (P4).
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Whose it is; `None` for one whose account is no more.
    pub account: Option<SystemId>,
    /// TON of its sender.
    pub source_ton: Ton,
    /// Its sender.
    pub source: &'a [u8],
    /// TON of its recipient.
    pub destination_ton: Ton,
    /// Its recipient. A leading `+` is no digit and is skipped (interop quirk 37); any other character ends the
    /// prefix.
    pub destination: &'a [u8],
    /// Which service it belongs to.
    pub service_type: ServiceType,
    /// How its text is written.
    pub data_coding: DataCoding,
    /// What it is for; `None` of one that came before messages had a category.
    pub category: Option<Category>,
    /// Where its recipient is, if somebody has looked already.
    pub place: Option<Place>,
    /// Parts that it counts as.
    pub parts: u8,
    /// Whose turn it is of carriers that take turns: the same for all parts of one long message.
    pub lot: u8,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}

/// Lots are numbers below this one, which every small number of carriers divides.
pub const LOTS: u8 = 240;

/// The carriers that a message may take, and where in the list its own order begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// Its route's place in the configuration.
    route: Option<usize>,
    carriers: &'a [CarrierIndex],
    first: usize,
    /// Where prices have a say.
    order: Option<Order>,
}

/// Carriers of a route, at most: what the configuration takes.
const CARRIERS_MAX: usize = 16;

/// Places in a route's list of carriers, as prices leave and order them for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    places: [u8; CARRIERS_MAX],
    len: usize,
}

impl Order {
    /// So many places, as they stand.
    fn as_it_stands(len: usize) -> Self {
        let mut places = [u8::MAX; CARRIERS_MAX];
        for (place, number) in places.iter_mut().take(len).zip(0..) {
            *place = number;
        }
        Self {
            places,
            len: len.min(CARRIERS_MAX),
        }
    }

    /// Those of them that are to stay.
    fn retain(self, stays: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self {
            places: [u8::MAX; CARRIERS_MAX],
            len: 0,
        };
        let places = self.places.iter().take(self.len);
        let places = places.filter(|place| stays(usize::from(**place)));
        for (slot, place) in kept.places.iter_mut().zip(places) {
            *slot = *place;
            kept.len += 1;
        }
        kept
    }
}

impl<'a> Way<'a> {
    /// None.
    pub const NONE: Self = Self {
        route: None,
        carriers: &[],
        first: 0,
        order: None,
    };

    /// The carriers in fail-over order, from the one whose turn it is after so many attempts; each once.
    pub fn in_order(self, attempts: u16) -> impl Iterator<Item = CarrierIndex> + 'a {
        let count = count(self.carriers, self.order);
        // No division where none is needed: it is dearer than all the rest of this.
        let wrapped = move |place: usize| {
            if place < count {
                place
            } else {
                place % count.max(1)
            }
        };
        let skip = wrapped(self.first + usize::from(attempts));
        (0..count).filter_map(move |step| {
            let place = place(wrapped(skip + step), self.order)?;
            self.carriers.get(place).copied()
        })
    }

    /// Its route's place in the configuration.
    pub const fn route(self) -> Option<usize> {
        self.route
    }

    /// The one that is asked first.
    pub fn first(self) -> Option<CarrierIndex> {
        self.in_order(0).next()
    }
}

/// How many carriers of a list there are for a message.
fn count(carriers: &[CarrierIndex], order: Option<Order>) -> usize {
    order.map_or(carriers.len(), |order| order.len)
}

/// Where in the list the one stands that is next after so many.
fn place(after: usize, order: Option<Order>) -> Option<usize> {
    match order {
        Some(order) => order.places.get(after).copied().map(usize::from),
        None => Some(after),
    }
}

/// Why a route does not take a message, or that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It takes it.
    Takes,
    /// It would, were it not behind another.
    Behind,
    /// Its prefix is another.
    Prefix,
    /// The account is none of its.
    Account,
    /// The sender is none of its.
    Sender,
    /// The sender is of another type.
    SenderType,
    /// The service is none of its.
    ServiceType,
    /// The text is written otherwise.
    DataCoding,
    /// The message is of another class, or of none.
    Class,
    /// It is for something else.
    Category,
    /// It has fewer or more parts.
    Parts,
    /// The route is closed at this hour.
    Closed,
    /// The recipient is in another country, or nobody knows in which.
    Country,
    /// The recipient is in another network, or nobody knows in which.
    Network,
    /// A carrier that must be up is down, or the other way round.
    CarrierState,
    /// Its carriers are dearer, or nobody knows what they take.
    Price,
    /// Its carriers are in clear text, and the account asks for TLS 1.3.
    ClearText,
}

impl Why {
    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Takes => "takes it",
            Self::Behind => "would take it, but stands behind the one that does",
            Self::Prefix => "no: another prefix",
            Self::Account => "no: not in accounts",
            Self::Sender => "no: not in senders",
            Self::SenderType => "no: not in sender_types",
            Self::ServiceType => "no: not in service_types",
            Self::DataCoding => "no: not in data_codings",
            Self::Class => "no: not in classes",
            Self::Category => "no: not in categories",
            Self::Parts => "no: fewer than min_parts or more than max_parts",
            Self::Closed => "no: not its days and hours",
            Self::Country => "no: not in countries",
            Self::Network => "no: not in networks",
            Self::CarrierState => "no: not the state of carriers that up and down ask for",
            Self::Price => "no: no carrier is known to take at most max_price",
            Self::ClearText => {
                "no: its carriers are in clear text, and the account, or its retention profile, asks for TLS 1.3"
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) prefix: String,
    conditions: Conditions,
    service_types: Vec<ServiceType>,
    networks: Vec<MccMnc>,
    /// Mobile country codes alone.
    mccs: Vec<u16>,
    carriers: Vec<CarrierIndex>,
    share: Share,
    /// Carriers that must be up, and such that must be down.
    up: Vec<CarrierIndex>,
    down: Vec<CarrierIndex>,
    /// Whether its hours are now.
    is_open: bool,
    /// Whether it takes all that has its prefix, at its hours.
    takes_all: bool,
    /// Places of carriers that are in clear text, a bit each.
    in_clear: u16,
}

// A place of a carrier has a bit.
const _: () = assert!(CARRIERS_MAX <= u16::BITS as usize);

/// Which of a route's carriers comes first.
#[derive(Debug)]
enum Share {
    First,
    Turns,
    Cheapest,
    /// By these weights.
    Weights(Vec<u16>),
}

impl Route {
    pub(super) fn new(route: &MtRoute, index: impl Fn(&str) -> Option<CarrierIndex>) -> Self {
        let places = |names: &[CarrierName]| {
            let place = |carrier: &CarrierName| index(carrier.as_str());
            names.iter().filter_map(place).collect()
        };
        let (networks, networks_alone) = (
            route.conditions.networks.iter(),
            route.conditions.networks.iter().filter(|code| code.len() == 3),
        );
        Self {
            prefix: route.prefix.clone(),
            // The configuration has only such as fit.
            service_types: route
                .conditions
                .service_types
                .iter()
                .filter_map(|service| ServiceType::new(service.as_bytes()))
                .collect(),
            networks: networks
                .filter_map(|code| MccMnc::read(code.as_bytes()))
                .collect(),
            mccs: networks_alone.filter_map(|code| code.parse().ok()).collect(),
            carriers: places(&route.carriers),
            share: match &route.choose {
                Choose::InOrder => Share::First,
                Choose::RoundRobin => Share::Turns,
                Choose::LeastCost => Share::Cheapest,
                Choose::Weighted(weights) => Share::Weights(weights.clone()),
            },
            up: places(&route.conditions.up),
            down: places(&route.conditions.down),
            is_open: route.conditions.window.is_none(),
            takes_all: route.conditions.ask_for_nothing(),
            in_clear: 0,
            conditions: route.conditions.clone(),
        }
    }

    /// Says which carriers are in clear text.
    pub(super) fn set_in_clear(&mut self, is_in_clear: impl Fn(CarrierIndex) -> bool) {
        let bits = self.carriers.iter().enumerate();
        let bits = bits.filter(|(_, carrier)| is_in_clear(**carrier));
        self.in_clear = bits.fold(0, |bits, (place, _)| bits | (1 << place));
    }

    /// Whether a carrier, by its place among those of the route, may take a message of an account that asks for TLS 1.3, or not.
    const fn may_carry(&self, place: usize, is_strict: bool) -> bool {
        !is_strict || self.in_clear & (1 << place) == 0
    }

    /// Opens or closes it; says whether that changed anything.
    pub(super) fn set_time(&mut self, unix_ms: u64) -> bool {
        let window = self.conditions.window.as_ref();
        let is_open = window.is_none_or(|window| window.is_open(unix_ms));
        std::mem::replace(&mut self.is_open, is_open) != is_open
    }

    pub(super) const fn has_hours(&self) -> bool {
        self.conditions.window.is_some()
    }

    /// Whether messages may go to this carrier.
    pub(super) fn has(&self, carrier: CarrierIndex) -> bool {
        self.carriers.contains(&carrier)
    }

    /// Whether it opens or closes with this carrier's state.
    pub(super) fn asks_for(&self, carrier: CarrierIndex) -> bool {
        self.up.contains(&carrier) || self.down.contains(&carrier)
    }

    /// Whether it asks where recipients are.
    pub(super) fn asks_for_places(&self) -> bool {
        let conditions = &self.conditions;
        let is_cheapest = matches!(self.share, Share::Cheapest);
        let has_most = conditions.max_price.is_some();
        is_cheapest || has_most || !conditions.countries.is_empty() || !conditions.networks.is_empty()
    }

    /// What speaks against it besides its prefix, the cheapest question first. `place` is where the recipient is, if any
    /// route asks for that; `is_strict` says that carriers in clear text are none for it.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        is_strict: bool,
        place: &Place,
        world: &World<'_, impl Fn(CarrierIndex) -> bool>,
    ) -> Why {
        // Every condition by its name, so that a new one cannot be forgotten here. Those that are not used from here
        // are used in the form that they have in this route.
        let Conditions {
            accounts,
            senders,
            sender_types,
            service_types: _,
            data_codings,
            classes,
            categories,
            parts: (min_parts, max_parts),
            window: _,
            countries,
            networks: _,
            up: _,
            down: _,
            max_price,
        } = &self.conditions;
        if !self.is_open {
            return Why::Closed;
        }
        if is_strict && !(0..self.carriers.len()).any(|place| self.may_carry(place, is_strict)) {
            return Why::ClearText;
        }
        if self.takes_all {
            return Why::Takes;
        }
        if !(*min_parts..=*max_parts).contains(&facts.parts) {
            return Why::Parts;
        }
        let is_of = |account: SystemId| accounts.binary_search(&account).is_ok();
        if !accounts.is_empty() && !facts.account.is_some_and(is_of) {
            return Why::Account;
        }
        if !data_codings.is_empty() && !data_codings.contains(&facts.data_coding.0) {
            return Why::DataCoding;
        }
        let class = || Coding::of(facts.data_coding).class;
        if !classes.is_empty() && !class().is_some_and(|class| classes.contains(&class)) {
            return Why::Class;
        }
        if !categories.is_empty()
            && !facts
                .category
                .is_some_and(|category| categories.contains(&category))
        {
            return Why::Category;
        }
        if !self.service_types.is_empty() && !self.service_types.contains(&facts.service_type) {
            return Why::ServiceType;
        }
        let sender_type = || SenderType::of(facts.source_ton, facts.source);
        if !sender_types.is_empty() && !sender_types.contains(&sender_type()) {
            return Why::SenderType;
        }
        let fits = |pattern: &SenderPattern| pattern.matches(facts.source);
        if !senders.is_empty() && !senders.iter().any(fits) {
            return Why::Sender;
        }
        if !countries.is_empty() && !place.country.is_some_and(|country| countries.contains(&country)) {
            return Why::Country;
        }
        let is_named =
            |network: MccMnc| self.networks.contains(&network) || self.mccs.contains(&network.mcc());
        if !self.conditions.networks.is_empty() && !place.network.is_some_and(is_named) {
            return Why::Network;
        }
        let is_down = |carrier: &CarrierIndex| !world.is_up(*carrier);
        if self.up.iter().any(is_down) || !self.down.iter().all(is_down) {
            return Why::CarrierState;
        }
        let price = |carrier: &CarrierIndex| price_of(*carrier, facts, place, world.tables);
        let mut carriers = self.carriers.iter().enumerate();
        let is_one = |(place, carrier): (usize, &CarrierIndex)| {
            self.may_carry(place, is_strict) && self.may_cost(price(carrier))
        };
        if max_price.is_some() && !carriers.any(is_one) {
            return Why::Price;
        }
        Why::Takes
    }

    /// Whether it takes a carrier that asks for this price. One that nobody knows is no low one.
    fn may_cost(&self, price: Option<Price>) -> bool {
        let most = self.conditions.max_price;
        most.is_none_or(|most| price.is_some_and(|price| price <= most))
    }

    /// Shared out by the recipient where the carriers have weights, by the lot where they take turns; among those that
    /// are not too dear, and not in clear text where that is not for the message.
    pub(super) fn way(
        &self,
        route: usize,
        facts: &Facts<'_>,
        is_strict: bool,
        at: &Place,
        tables: &Tables,
    ) -> Way<'_> {
        let is_priced = self.conditions.max_price.is_some() || matches!(self.share, Share::Cheapest);
        let order = is_priced.then(|| self.by_price(facts, at, tables));
        let order = if is_strict && self.in_clear != 0 {
            let order = order.unwrap_or_else(|| Order::as_it_stands(self.carriers.len()));
            Some(order.retain(|place| self.may_carry(place, is_strict)))
        } else {
            order
        };
        let count = count(&self.carriers, order);
        let first = match &self.share {
            Share::First | Share::Cheapest => 0,
            Share::Turns => usize::from(facts.lot) % count.max(1),
            Share::Weights(weights) => {
                let weight = |step| {
                    let weight = place(step, order).and_then(|place| weights.get(place));
                    weight.copied().map_or(0, u32::from)
                };
                let mut left = share(digits(facts.destination), (0..count).map(weight).sum());
                let is_there = |step: &usize| match left.checked_sub(weight(*step)) {
                    Some(rest) => {
                        left = rest;
                        false
                    }
                    None => true,
                };
                (0..count).find(is_there).unwrap_or(0)
            }
        };
        Way {
            route: Some(route),
            carriers: &self.carriers,
            first,
            order,
        }
    }

    /// Places of the carriers that are not too dear: as they stand, or the cheapest first, those without a price last
    /// and equal ones as they stand.
    fn by_price(&self, facts: &Facts<'_>, at: &Place, tables: &Tables) -> Order {
        let is_cheapest = matches!(self.share, Share::Cheapest);
        let mut priced = [(u64::MAX, u8::MAX); CARRIERS_MAX];
        let with_price = |(number, carrier): (u8, &CarrierIndex)| {
            let price = price_of(*carrier, facts, at, tables);
            let key = if is_cheapest {
                price.map_or(u64::MAX, Price::millionths)
            } else {
                0
            };
            self.may_cost(price).then_some((key, number))
        };
        let mut len = 0;
        for (slot, found) in priced
            .iter_mut()
            .zip((0..).zip(&self.carriers).filter_map(with_price))
        {
            *slot = found;
            len += 1;
        }
        // Behind them stands nothing.
        if let Some(priced) = priced.get_mut(..len) {
            priced.sort_unstable();
        }
        Order {
            places: priced.map(|(_, number)| number),
            len,
        }
    }
}

/// What a carrier takes for a part to the recipient, as far as that is known: nothing is, of what is no international
/// number.
fn price_of(carrier: CarrierIndex, facts: &Facts<'_>, at: &Place, tables: &Tables) -> Option<Price> {
    let digits = digits(facts.destination);
    let price = || tables.price(carrier, at.index, digits);
    at.is_international.then(price).flatten()
}

/// A number below `sum` that is always the same for a recipient, whatever the process: parts of one message may come
/// before and after a restart.
fn share(digits: &[u8], sum: u32) -> u32 {
    let scaled = (u128::from(hash(digits, 0)) * u128::from(sum)) >> 64;
    u32::try_from(scaled).unwrap_or(0)
}

/// The lot of one part of a long message: that of all its parts, which their recipient and reference tell.
pub fn lot_of_part(destination: &[u8], reference: u16) -> u8 {
    let lot = hash(digits(destination), reference) % u64::from(LOTS);
    u8::try_from(lot).unwrap_or(0)
}

fn hash(digits: &[u8], reference: u16) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(digits);
    hasher.write_u16(reference);
    hasher.finish()
}

/// Without the `+` that some write.
pub(super) fn digits(destination: &[u8]) -> &[u8] {
    destination.strip_prefix(b"+").unwrap_or(destination)
}
