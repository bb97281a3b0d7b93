//! Which carriers a message may take, and which account a handset's message belongs to.
//!
//! Tables are built once from the configuration and then only read: a trie over digits for MT, so that a
//! look-up costs one step per digit and nothing per route.

use tidegate_codec::identity::SystemId;
use tidegate_config::{MoRoute, MtRoute, NumberPattern};

/// A carrier's place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierIndex(pub usize);

/// MT: destination → carriers in fail-over order.
#[derive(Debug)]
pub struct MtRouter {
    nodes: Vec<Node>,
    routes: Vec<Vec<CarrierIndex>>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Index of the node behind each digit; 0, the root, stands for none.
    next: [u32; 10],
    route: Option<usize>,
}

impl MtRouter {
    /// Builds the table; `index` tells a carrier's place, and the configuration guarantees that it has one.
    pub fn new(routes: &[MtRoute], index: impl Fn(&str) -> Option<CarrierIndex>) -> Self {
        let mut router = Self {
            nodes: vec![Node::default()],
            routes: Vec::new(),
        };
        for route in routes {
            let carriers = route
                .carriers
                .iter()
                .filter_map(|carrier| index(carrier.as_str()))
                .collect();
            router.routes.push(carriers);
            let leaf = router.node(route.prefix.as_bytes());
            router.nodes[leaf].route = Some(router.routes.len() - 1);
        }
        router
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

    /// Whether messages that may go to one of two carriers may go to the other, too.
    pub fn share_a_route(&self, one: CarrierIndex, other: CarrierIndex) -> bool {
        let has_both = |route: &Vec<CarrierIndex>| route.contains(&one) && route.contains(&other);
        self.routes.iter().any(has_both)
    }

    /// The carriers of the longest prefix of `destination`, in fail-over order; empty when no route
    /// matches. A leading `+` is no digit and is skipped (interop quirk 37); any other character ends the
    /// prefix.
    pub fn carriers(&self, destination: &[u8]) -> &[CarrierIndex] {
        let digits = destination.strip_prefix(b"+").unwrap_or(destination);
        let (mut at, mut best) = (0, self.nodes[0].route);
        for octet in digits {
            let Some(digit) = digit(*octet) else { break };
            at = self.nodes[at].next[digit] as usize;
            if at == 0 {
                break;
            }
            best = self.nodes[at].route.or(best);
        }
        best.map_or(&[], |route| &self.routes[route])
    }
}

fn digit(octet: u8) -> Option<usize> {
    octet.is_ascii_digit().then(|| usize::from(octet - b'0'))
}

/// MO: called number → account.
#[derive(Debug)]
pub struct MoRouter {
    /// Most specific first: exact before prefix, longer before shorter, with a carrier before without.
    routes: Vec<MoRoute>,
}

impl MoRouter {
    /// Sorts the routes once, so that the first match is the right one.
    pub fn new(routes: &[MoRoute]) -> Self {
        let mut routes = routes.to_vec();
        routes.sort_by_key(|route| {
            let (prefix, length) = match &route.number {
                NumberPattern::Exact(number) => (false, number.len()),
                NumberPattern::Prefix(prefix) => (true, prefix.len()),
            };
            (prefix, std::cmp::Reverse(length), route.carrier.is_none())
        });
        Self { routes }
    }

    /// The account that owns the called number, as seen from this carrier.
    pub fn account(&self, carrier: &str, number: &[u8]) -> Option<SystemId> {
        let number = number.strip_prefix(b"+").unwrap_or(number);
        let found = self.routes.iter().find(|route| {
            let matches = match &route.number {
                NumberPattern::Exact(exact) => exact.as_bytes() == number,
                NumberPattern::Prefix(prefix) => number.starts_with(prefix.as_bytes()),
            };
            matches && route.carrier.as_ref().is_none_or(|only| only.as_str() == carrier)
        })?;
        Some(found.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(routes: &str) -> tidegate_config::Config {
        let base = include_str!("../../config/bench.toml");
        tidegate_config::parse(&format!("{base}\n{routes}")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn the_longest_prefix_wins_and_the_empty_one_takes_the_rest() {
        let config = config("[[route.mt]]\nprefix = \"4477\"\ncarriers = [\"sink\"]\n");
        let mut routes = config.mt_routes.clone();
        // Two carriers by name are enough to tell the routes apart.
        let index = |name: &str| (name == "sink").then_some(CarrierIndex(0));
        let router = MtRouter::new(&routes, index);
        assert_eq!(router.carriers(b"447700900123"), [CarrierIndex(0)]);
        assert_eq!(router.carriers(b"+447700900123"), [CarrierIndex(0)]);
        routes.retain(|route| route.prefix == "4477");
        let router = MtRouter::new(&routes, index);
        assert_eq!(router.carriers(b"447"), []);
        assert_eq!(router.carriers(b"44770"), [CarrierIndex(0)]);
        assert_eq!(router.carriers(b"+4477"), [CarrierIndex(0)]);
        assert_eq!(router.carriers(b"45770"), []);
        assert_eq!(router.carriers(b"44a77"), []);
    }

    #[test]
    fn a_called_number_belongs_to_the_most_specific_route() {
        let config = config(
            "[[route.mo]]\nnumber = \"4477*\"\naccount = \"load1\"\n\
             [[route.mo]]\nnumber = \"447700900123\"\naccount = \"load2\"\n\
             [[route.mo]]\nnumber = \"4477*\"\ncarrier = \"sink\"\naccount = \"load3\"\n",
        );
        let router = MoRouter::new(&config.mo_routes);
        let account = |carrier, number: &[u8]| router.account(carrier, number).map(|id| id.to_string());
        assert_eq!(account("sink", b"447700900123").as_deref(), Some("load2"));
        assert_eq!(account("sink", b"+447700900124").as_deref(), Some("load3"));
        assert_eq!(account("other", b"447700900124").as_deref(), Some("load1"));
        assert_eq!(account("sink", b"33123"), None);
    }
}
