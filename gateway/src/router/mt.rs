//! MT: what is known of a message → the carriers that it may take.
//!
//! Of the routes whose conditions a message meets, that of the lowest order takes it, of the same order that with the
//! longest prefix, of the same prefix the one that stands first. One trie over digits for each order: a look-up costs
//! a step per digit, and a comparison for each route that stands on the way. Routes are asked again whenever a message
//! is put in line, so all that they may ask for is kept with it.

use hashbrown::HashSet;
use tidegate_codec::identity::SystemId;
use tidegate_config::{Config, MtRoute};

use super::CarrierIndex;
use super::place::{Place, World};
use super::route::{Facts, LOTS, Route, Way, Why, digits};
use crate::tables::Tables;

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
    /// The minute for which it is known which routes are open, in minutes of unix time.
    minute: u64,
    /// Some route asks where recipients are.
    asks_for_places: bool,
    /// Of each route, whose turn the next message gets.
    turns: Vec<u8>,
    kept_out: KeptOut,
}

/// Whose messages may not go to which carriers (SEC-1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptOut {
    /// Accounts that ask for TLS 1.3; empty where no carrier is in clear text.
    accounts: HashSet<SystemId>,
    /// Of each carrier, whether it is in clear text by an exception.
    in_clear: Vec<bool>,
}

impl KeptOut {
    /// What a configuration says.
    pub fn of(config: &Config) -> Self {
        let carriers = config.carriers.iter();
        let in_clear: Vec<bool> = carriers.map(|carrier| carrier.clear_text.is_some()).collect();
        let accounts = config.accounts.iter();
        let accounts = accounts.filter(|account| account.transport.keeps_out_clear_text());
        let accounts = accounts.map(|account| account.system_id);
        Self {
            accounts: if in_clear.contains(&true) {
                accounts.collect()
            } else {
                HashSet::new()
            },
            in_clear,
        }
    }

    /// Whether any carrier is kept from an account's messages.
    pub fn is_strict(&self, account: Option<SystemId>) -> bool {
        !self.accounts.is_empty() && account.is_some_and(|account| self.accounts.contains(&account))
    }

    /// Whether this one is.
    pub fn keeps(&self, account: Option<SystemId>, CarrierIndex(carrier): CarrierIndex) -> bool {
        self.is_strict(account) && self.in_clear.get(carrier).copied().unwrap_or(false)
    }
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
    /// Builds the tables; `index` tells a carrier's place, and the configuration guarantees that it has one. Routes
    /// with hours are closed until [`MtRouter::set_time`].
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
        let routes: Vec<Route> = routes.iter().map(|route| Route::new(route, &index)).collect();
        Self {
            asks_for_places: routes.iter().any(Route::asks_for_places),
            turns: vec![0; routes.len()],
            routes,
            tables,
            minute: u64::MAX,
            kept_out: KeptOut::default(),
        }
    }

    /// Keeps messages from carriers that are not for them.
    pub fn keep_out(&mut self, kept_out: KeptOut) {
        for route in &mut self.routes {
            route.set_in_clear(|CarrierIndex(place)| kept_out.in_clear.get(place).copied().unwrap_or(false));
        }
        self.kept_out = kept_out;
    }

    /// Whose messages may not go to which carriers.
    pub const fn kept_out(&self) -> &KeptOut {
        &self.kept_out
    }

    /// Opens and closes routes by their hours; to be called before the first look-up and then at least once a minute.
    /// Costs next to nothing but once a minute. Says whether any opened or closed.
    pub fn set_time(&mut self, unix_ms: u64) -> bool {
        let minute = unix_ms / 60_000;
        if std::mem::replace(&mut self.minute, minute) == minute {
            return false;
        }
        let mut has_changed = false;
        for route in &mut self.routes {
            has_changed |= route.set_time(unix_ms);
        }
        has_changed
    }

    /// Whether messages that may go to one of two carriers may go to the other, too.
    pub fn share_a_route(&self, one: CarrierIndex, other: CarrierIndex) -> bool {
        self.routes.iter().any(|route| route.has(one) && route.has(other))
    }

    /// Whether any route opens and closes by the hour: what waits may stand where no route leads now.
    pub fn has_hours(&self) -> bool {
        self.routes.iter().any(Route::has_hours)
    }

    /// Whether a route opens or closes with a carrier's state: then anything that waits may have another way.
    pub fn asks_for(&self, carrier: CarrierIndex) -> bool {
        self.routes.iter().any(|route| route.asks_for(carrier))
    }

    /// The carriers that a message may take; none when no route takes it.
    pub fn find(&self, facts: &Facts<'_>, world: &World<'_, impl Fn(CarrierIndex) -> bool>) -> Way<'_> {
        let place = self.place(facts, world.tables);
        let is_strict = self.kept_out.is_strict(facts.account);
        let taken = |table: &Table| {
            table.on_the_way(facts.destination, |node| {
                let mut routes = node.routes.iter().map(|number| (*number, &self.routes[*number]));
                routes.find(|(_, route)| route.judge(facts, is_strict, &place, world) == Why::Takes)
            })
        };
        self.tables
            .iter()
            .find_map(taken)
            .map_or(Way::NONE, |(number, route)| {
                route.way(number, facts, is_strict, &place, world.tables)
            })
    }

    /// Of each route, the lot of the next message that it takes.
    pub fn turns(&self) -> &[u8] {
        &self.turns
    }

    /// The lot of a message that comes in and that a route takes: the next one gets another.
    pub fn take_turn(&mut self, route: usize) -> u8 {
        let Some(turn) = self.turns.get_mut(route) else {
            return 0;
        };
        std::mem::replace(turn, (*turn + 1) % LOTS)
    }

    /// Where a recipient is, if any route asks for it.
    fn place(&self, facts: &Facts<'_>, tables: &Tables) -> Place {
        if let Some(place) = facts.place {
            place
        } else if self.asks_for_places {
            Place::of(tables, facts.destination_ton, facts.destination)
        } else {
            Place::default()
        }
    }

    /// Every route in the order in which they are asked, with what came of it.
    pub fn explain(&self, facts: &Facts<'_>, world: &World<'_, impl Fn(CarrierIndex) -> bool>) -> Vec<Tried> {
        let there = self.place(facts, world.tables);
        let is_strict = self.kept_out.is_strict(facts.account);
        let mut order: Vec<(u16, usize)> = Vec::with_capacity(self.routes.len());
        for table in &self.tables {
            let of_table = table.nodes.iter().flat_map(|node| &node.routes);
            order.extend(of_table.map(|place| (table.order, *place)));
        }
        order.sort_by_key(|(order, place)| {
            (
                *order,
                std::cmp::Reverse(self.routes[*place].prefix.len()),
                *place,
            )
        });
        let mut is_taken = false;
        let judge = |(_, place): (u16, usize)| {
            let route = &self.routes[place];
            let has_prefix = digits(facts.destination).starts_with(route.prefix.as_bytes());
            let mut why = if has_prefix {
                route.judge(facts, is_strict, &there, world)
            } else {
                Why::Prefix
            };
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
    fn on_the_way<'t, T>(
        &'t self,
        destination: &[u8],
        mut ask: impl FnMut(&'t Node) -> Option<T>,
    ) -> Option<T> {
        // A prefix has at most 15 digits.
        let mut way = [0_u32; 16];
        let (mut length, mut at) = (1, 0);
        for octet in digits(destination) {
            let Some(digit) = digit(*octet) else { break };
            let next = self.nodes[at].next[digit];
            if next == 0 {
                break;
            }
            let Some(place) = way.get_mut(length) else { break };
            *place = next;
            at = next as usize;
            length += 1;
        }
        way[..length]
            .iter()
            .rev()
            .find_map(|at| ask(&self.nodes[*at as usize]))
    }
}

fn digit(octet: u8) -> Option<usize> {
    octet.is_ascii_digit().then(|| usize::from(octet - b'0'))
}
