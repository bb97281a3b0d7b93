//! One route to carriers: which messages it takes, and which of its carriers comes first.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidegate_codec::address::Ton;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::Coding;
use tidegate_codec::values::DataCoding;
use tidegate_config::{CarrierName, Choose, Conditions, MtRoute, SenderPattern, SenderType};
use tidegate_store::service_type::ServiceType;

use super::CarrierIndex;
use super::place::{Place, World};
use crate::tables::{MccMnc, Price, Tables};

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
    /// Places in the list, where the message has an order of its own.
    order: Option<[u8; CARRIERS_MAX]>,
}

/// Carriers of a route, at most: what the configuration takes.
const CARRIERS_MAX: usize = 16;

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
        let count = self.carriers.len();
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
            let place = wrapped(skip + step);
            let place = match self.order {
                Some(order) => usize::from(*order.get(place)?),
                None => place,
            };
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
            Self::Parts => "no: fewer than min_parts or more than max_parts",
            Self::Closed => "no: not its days and hours",
            Self::Country => "no: not in countries",
            Self::Network => "no: not in networks",
            Self::CarrierState => "no: not the state of carriers that up and down ask for",
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
}

/// Which of a route's carriers comes first.
#[derive(Debug)]
enum Share {
    First,
    Turns,
    Cheapest,
    /// By weight: up to and with each carrier, the sum of weights.
    Weights(Vec<u32>),
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
        let mut sum = 0;
        let mut upto = |weight: &u16| {
            sum += u32::from(*weight);
            sum
        };
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
                Choose::Weighted(weights) => Share::Weights(weights.iter().map(&mut upto).collect()),
            },
            up: places(&route.conditions.up),
            down: places(&route.conditions.down),
            is_open: route.conditions.window.is_none(),
            takes_all: route.conditions.ask_for_nothing(),
            conditions: route.conditions.clone(),
        }
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
        is_cheapest || !conditions.countries.is_empty() || !conditions.networks.is_empty()
    }

    /// What speaks against it besides its prefix, the cheapest question first. `place` is where the recipient is, if any
    /// route asks for that.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
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
            parts: (min_parts, max_parts),
            window: _,
            countries,
            networks: _,
            up: _,
            down: _,
        } = &self.conditions;
        if !self.is_open {
            return Why::Closed;
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
        Why::Takes
    }

    /// Shared out by the recipient where the carriers have weights, by the lot where they take turns.
    pub(super) fn way(&self, route: usize, facts: &Facts<'_>, place: &Place, tables: &Tables) -> Way<'_> {
        let first = match &self.share {
            Share::First | Share::Cheapest => 0,
            Share::Turns => usize::from(facts.lot) % self.carriers.len().max(1),
            Share::Weights(sums) => {
                let sum = sums.last().copied().unwrap_or(0);
                let share = share(digits(facts.destination), sum);
                sums.partition_point(|upto| *upto <= share)
            }
        };
        Way {
            route: Some(route),
            carriers: &self.carriers,
            first,
            order: matches!(self.share, Share::Cheapest).then(|| self.by_price(facts, place, tables)),
        }
    }

    /// Places of the carriers, the cheapest first, those without a price last; equal ones as they stand.
    fn by_price(&self, facts: &Facts<'_>, place: &Place, tables: &Tables) -> [u8; CARRIERS_MAX] {
        let digits = digits(facts.destination);
        let mut priced = [(u64::MAX, u8::MAX); CARRIERS_MAX];
        for ((slot, number), carrier) in priced.iter_mut().zip(0..).zip(&self.carriers) {
            let price = tables
                .price(*carrier, place.index, digits)
                .filter(|_| place.is_international);
            *slot = (price.map_or(u64::MAX, Price::millionths), number);
        }
        // Behind them stands nothing.
        if let Some(priced) = priced.get_mut(..self.carriers.len()) {
            priced.sort_unstable();
        }
        priced.map(|(_, number)| number)
    }
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
