//! MT: what is known of a message → the carriers that it may take.
//!
//! Of the routes whose conditions a message meets, that of the lowest order takes it, of the same order that with the
//! longest prefix, of the same prefix the one that stands first. One trie over digits for each order: a look-up costs
//! a step per digit, and a comparison for each route that stands on the way. Routes are asked again whenever a message
//! is put in line, so all that they may ask for is kept with it.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidegate_codec::address::Ton;
use tidegate_codec::identity::SystemId;
use tidegate_codec::values::DataCoding;
use tidegate_config::{Choose, Conditions, MtRoute, SenderPattern, SenderType};
use tidegate_store::service_type::ServiceType;

use super::CarrierIndex;

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose it is; `None` for one whose account is no more.
    pub account: Option<SystemId>,
    /// TON of its sender.
    pub source_ton: Ton,
    /// Its sender.
    pub source: &'a [u8],
    /// Its recipient. A leading `+` is no digit and is skipped (interop quirk 37); any other character ends the
    /// prefix.
    pub destination: &'a [u8],
    /// Which service it belongs to.
    pub service_type: ServiceType,
    /// How its text is written.
    pub data_coding: DataCoding,
}

/// The carriers that a message may take, and where in the list its own order begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    carriers: &'a [CarrierIndex],
    first: usize,
}

impl<'a> Way<'a> {
    /// None.
    pub const NONE: Self = Self {
        carriers: &[],
        first: 0,
    };

    /// The carriers in fail-over order, from the one whose turn it is after so many attempts; each once.
    pub fn in_order(self, attempts: u16) -> impl Iterator<Item = CarrierIndex> + 'a {
        let count = self.carriers.len();
        let skip = (self.first + usize::from(attempts)) % count.max(1);
        self.carriers.iter().copied().cycle().skip(skip).take(count)
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
}

/// One route that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its place in the configuration.
    pub route: usize,
    /// What came of it.
    pub why: Why,
}

/// See the [module](self).
#[derive(Debug)]
pub struct MtRouter {
    routes: Vec<Route>,
    /// By order, lowest first.
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Route {
    prefix: String,
    conditions: Conditions,
    service_types: Vec<ServiceType>,
    carriers: Vec<CarrierIndex>,
    /// Up to and with each carrier, the sum of weights; empty where the order of the list counts.
    weights: Vec<u32>,
}

#[derive(Debug)]
struct Table {
    order: u16,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Index of the node behind each digit; 0, the root, stands for none.
    next: [u32; 10],
    /// In the file's order.
    routes: Vec<usize>,
}

impl MtRouter {
    /// Builds the tables; `index` tells a carrier's place, and the configuration guarantees that it has one.
    pub fn new(routes: &[MtRoute], index: impl Fn(&str) -> Option<CarrierIndex>) -> Self {
        let mut tables: Vec<Table> = Vec::new();
        for (place, route) in routes.iter().enumerate() {
            let at = match tables.binary_search_by_key(&route.order, |table| table.order) {
                Ok(at) => at,
                Err(at) => {
                    tables.insert(at, Table::new(route.order));
                    at
                }
            };
            let leaf = tables[at].node(route.prefix.as_bytes());
            tables[at].nodes[leaf].routes.push(place);
        }
        let routes = routes.iter().map(|route| Route::new(route, &index)).collect();
        Self { routes, tables }
    }

    /// Whether messages that may go to one of two carriers may go to the other, too.
    pub fn share_a_route(&self, one: CarrierIndex, other: CarrierIndex) -> bool {
        let has_both = |route: &Route| route.carriers.contains(&one) && route.carriers.contains(&other);
        self.routes.iter().any(has_both)
    }

    /// The carriers that a message may take; none when no route takes it.
    pub fn find(&self, facts: &Facts<'_>) -> Way<'_> {
        let taken = |table: &Table| {
            table.on_the_way(facts.destination, |node| {
                let mut routes = node.routes.iter().map(|place| &self.routes[*place]);
                routes.find(|route| route.judge(facts) == Why::Takes)
            })
        };
        self.tables
            .iter()
            .find_map(taken)
            .map_or(Way::NONE, |route| route.way(facts.destination))
    }

    /// Every route in the order in which they are asked, with what came of it.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<Tried> {
        let mut order: Vec<(u16, usize)> = Vec::with_capacity(self.routes.len());
        for table in &self.tables {
            let of_table = table.nodes.iter().flat_map(|node| &node.routes);
            order.extend(of_table.map(|place| (table.order, *place)));
        }
        order.sort_by_key(|(order, place)| {
            (*order, std::cmp::Reverse(self.routes[*place].prefix.len()), *place)
        });
        let mut is_taken = false;
        let judge = |(_, place): (u16, usize)| {
            let route = &self.routes[place];
            let has_prefix = digits(facts.destination).starts_with(route.prefix.as_bytes());
            let mut why = if has_prefix { route.judge(facts) } else { Why::Prefix };
            if why == Why::Takes && std::mem::replace(&mut is_taken, true) {
                why = Why::Behind;
            }
            Tried { route: place, why }
        };
        order.into_iter().map(judge).collect()
    }
}

impl Table {
    fn new(order: u16) -> Self {
        Self {
            order,
            nodes: vec![Node::default()],
        }
    }

    /// The node behind a prefix, made where it is missing.
    fn node(&mut self, prefix: &[u8]) -> usize {
        let mut at = 0;
        for digit in prefix.iter().filter_map(|octet| digit(*octet)) {
            let next = self.nodes[at].next[digit] as usize;
            at = if next == 0 {
                self.nodes.push(Node::default());
                let made = self.nodes.len() - 1;
                // Prefixes of a configuration file make far fewer than 2^32 nodes.
                self.nodes[at].next[digit] = u32::try_from(made).unwrap_or(0);
                made
            } else {
                next
            };
        }
        at
    }

    /// Asks the nodes on the way to a destination, from the longest prefix to the shortest.
    fn on_the_way<'t, T>(&'t self, destination: &[u8], mut ask: impl FnMut(&'t Node) -> Option<T>) -> Option<T> {
        // A prefix has at most 15 digits.
        let mut way = [0_usize; 16];
        let mut length = 1;
        for octet in digits(destination) {
            let Some(digit) = digit(*octet) else { break };
            let next = self.nodes[way[length - 1]].next[digit] as usize;
            if next == 0 {
                break;
            }
            let Some(place) = way.get_mut(length) else { break };
            *place = next;
            length += 1;
        }
        way[..length].iter().rev().find_map(|at| ask(&self.nodes[*at]))
    }
}

impl Route {
    fn new(route: &MtRoute, index: impl Fn(&str) -> Option<CarrierIndex>) -> Self {
        let place = |carrier: &tidegate_config::CarrierName| index(carrier.as_str());
        let mut sum = 0;
        let weights = match &route.choose {
            Choose::InOrder => Vec::new(),
            Choose::Weighted(weights) => weights
                .iter()
                .map(|weight| {
                    sum += u32::from(*weight);
                    sum
                })
                .collect(),
        };
        Self {
            prefix: route.prefix.clone(),
            conditions: route.conditions.clone(),
            // The configuration has only such as fit.
            service_types: route
                .conditions
                .service_types
                .iter()
                .filter_map(|service| ServiceType::new(service.as_bytes()))
                .collect(),
            carriers: route.carriers.iter().filter_map(place).collect(),
            weights,
        }
    }

    /// What speaks against it besides its prefix, the cheapest question first.
    fn judge(&self, facts: &Facts<'_>) -> Why {
        let Conditions {
            accounts,
            senders,
            sender_types,
            data_codings,
            ..
        } = &self.conditions;
        let is_of = |account: SystemId| accounts.binary_search(&account).is_ok();
        if !accounts.is_empty() && !facts.account.is_some_and(is_of) {
            return Why::Account;
        }
        if !data_codings.is_empty() && !data_codings.contains(&facts.data_coding.0) {
            return Why::DataCoding;
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
        Why::Takes
    }

    /// Shared out by the recipient where the carriers have weights.
    fn way(&self, destination: &[u8]) -> Way<'_> {
        let first = match self.weights.last() {
            Some(sum) => {
                let share = share(digits(destination), *sum);
                self.weights.partition_point(|upto| *upto <= share)
            }
            None => 0,
        };
        Way {
            carriers: &self.carriers,
            first,
        }
    }
}

/// A number below `sum` that is always the same for a recipient, whatever the process: parts of one message may come
/// before and after a restart.
fn share(digits: &[u8], sum: u32) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(digits);
    let scaled = (u128::from(hasher.finish()) * u128::from(sum)) >> 64;
    u32::try_from(scaled).unwrap_or(0)
}

/// Without the `+` that some write.
fn digits(destination: &[u8]) -> &[u8] {
    destination.strip_prefix(b"+").unwrap_or(destination)
}

fn digit(octet: u8) -> Option<usize> {
    octet.is_ascii_digit().then(|| usize::from(octet - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routes over carriers `a` to `d`.
    fn router(routes: &str) -> MtRouter {
        let carriers: String = ["a", "b", "c", "d"].map(carrier).concat();
        let base = include_str!("../../../config/bench.toml").replace("[[route.mt]]\nprefix = \"\"\ncarriers = [\"sink\"]\n", "");
        let text = format!("{base}\n{carriers}{routes}");
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let index = |name: &str| ["a", "b", "c", "d"].iter().position(|known| *known == name);
        MtRouter::new(&config.mt_routes, |name| index(name).map(CarrierIndex))
    }

    fn carrier(name: &str) -> String {
        format!(
            "[[carrier]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:1\"]\nsystem_id = \"t\"\npassword_env = \"P\"\n"
        )
    }

    fn route(keys: &str) -> String {
        format!("[[route.mt]]\n{}\n", keys.replace("; ", "\n"))
    }

    const FACTS: Facts<'static> = Facts {
        account: None,
        source_ton: Ton::ALPHANUMERIC,
        source: b"Shop",
        destination: b"447700900123",
        service_type: ServiceType::DEFAULT,
        data_coding: DataCoding(0),
    };

    fn to(destination: &[u8]) -> Facts<'_> {
        Facts {
            destination,
            ..FACTS
        }
    }

    fn first(router: &MtRouter, facts: &Facts<'_>) -> Option<usize> {
        router.find(facts).first().map(|carrier| carrier.0)
    }

    #[test]
    fn the_longest_prefix_wins_and_the_empty_one_takes_the_rest() {
        let long = route("prefix = \"4477\"; carriers = [\"b\"]");
        let only = router(&long);
        let all = router(&format!("{}{long}", route("prefix = \"\"; carriers = [\"a\"]")));
        for (destination, with, without) in [
            (&b"447700900123"[..], Some(1), Some(1)),
            (b"+447700900123", Some(1), Some(1)),
            (b"4477", Some(1), Some(1)),
            (b"447", Some(0), None),
            (b"45770", Some(0), None),
            (b"44a77", Some(0), None),
            (b"", Some(0), None),
        ] {
            assert_eq!(first(&all, &to(destination)), with, "{destination:?}");
            assert_eq!(first(&only, &to(destination)), without, "{destination:?}");
        }
    }

    #[test]
    fn a_lower_order_is_asked_before_a_longer_prefix() {
        let routes = [
            route("prefix = \"447700\"; carriers = [\"a\"]"),
            route("order = 99; prefix = \"44\"; carriers = [\"b\"]"),
            route("order = 101; prefix = \"447700900123\"; carriers = [\"c\"]"),
        ];
        let router = router(&routes.concat());
        assert_eq!(first(&router, &to(b"447700900123")), Some(1));
        assert_eq!(first(&router, &to(b"33")), None);
    }

    #[test]
    fn each_condition_lets_by_what_it_does_not_mean() {
        let account = SystemId::new(b"load").unwrap();
        let met = Facts {
            account: Some(account),
            source_ton: Ton::INTERNATIONAL,
            source: b"447700900999",
            service_type: ServiceType::new(b"OTP").unwrap(),
            data_coding: DataCoding(8),
            ..FACTS
        };
        for (condition, why) in [
            ("accounts = [\"load\"]", Why::Account),
            ("senders = [\"4477009009*\"]", Why::Sender),
            ("sender_types = [\"number\"]", Why::SenderType),
            ("service_types = [\"OTP\"]", Why::ServiceType),
            ("data_codings = [8]", Why::DataCoding),
        ] {
            let rest = route("prefix = \"\"; carriers = [\"a\"]");
            let one = route(&format!("{condition}; prefix = \"44\"; carriers = [\"b\"]"));
            let router = router(&format!("{rest}{one}"));
            assert_eq!(first(&router, &met), Some(1), "{condition}");
            assert_eq!(first(&router, &FACTS), Some(0), "{condition}");
            let takes = |route| Tried { route, why: Why::Takes };
            let tried = router.explain(&FACTS);
            assert_eq!(tried, [Tried { route: 1, why }, takes(0)], "{condition}");
            let behind = Tried { route: 0, why: Why::Behind };
            assert_eq!(router.explain(&met), [takes(1), behind], "{condition}");
            let elsewhere = router.explain(&Facts { destination: b"33", ..met });
            assert_eq!(elsewhere[0].why, Why::Prefix, "{condition}");
        }
    }

    #[test]
    fn of_the_same_prefix_the_first_that_holds_takes_it() {
        let routes = [
            route("senders = [\"Bank*\"]; prefix = \"44\"; carriers = [\"a\"]"),
            route("senders = [\"S*\"]; prefix = \"44\"; carriers = [\"b\"]"),
            route("prefix = \"44\"; carriers = [\"c\"]"),
        ];
        let router = router(&routes.concat());
        assert_eq!(first(&router, &FACTS), Some(1));
        let other = Facts { source: b"X", ..FACTS };
        assert_eq!(first(&router, &other), Some(2));
    }

    #[test]
    fn weights_share_recipients_out_and_one_recipient_always_goes_the_same_way() {
        let router = router(&route("prefix = \"\"; carriers = [\"a\", \"b\", \"c\"]; weights = [6, 3, 1]"));
        let mut counts = [0_i32; 3];
        for number in 0..10_000 {
            let plain = format!("44770{number:07}");
            let way = router.find(&to(plain.as_bytes()));
            let order: Vec<usize> = way.in_order(0).map(|carrier| carrier.0).collect();
            counts[order[0]] += 1;
            // Those behind it in the list stand by, then those in front of it.
            assert_eq!(order[1..], [(order[0] + 1) % 3, (order[0] + 2) % 3]);
            let again: Vec<usize> = way.in_order(1).map(|carrier| carrier.0).collect();
            assert_eq!(again[0], order[1]);
            let plus = format!("+{plain}");
            assert_eq!(router.find(&to(plus.as_bytes())), way);
        }
        for (count, expected) in counts.into_iter().zip([6_000, 3_000, 1_000]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }

    #[test]
    fn two_carriers_of_any_one_route_share_it() {
        let routes = [
            route("prefix = \"44\"; carriers = [\"a\", \"b\"]"),
            route("prefix = \"\"; carriers = [\"b\", \"c\"]"),
        ];
        let router = router(&routes.concat());
        let share = |one, other| router.share_a_route(CarrierIndex(one), CarrierIndex(other));
        assert!(share(0, 1) && share(2, 1) && !share(0, 2));
    }
}
