//! MO: which account a handset's message belongs to, and which of its binds.
//!
//! Of the routes whose conditions a message meets, that of the lowest order takes it, of the same order the most
//! specific one (see [`MoRoute`]). Then the instructions of its account are asked, once. Called numbers are looked up in
//! hash tables, one for each order: a look-up costs a step for each length of a prefix that there is, and a comparison for
//! each route to a number that fits.

use std::cmp::Reverse;
use std::hash::Hasher as _;
use std::num::NonZeroU32;

use hashbrown::{HashMap, HashSet};
use siphasher::sip::SipHasher13;
use tidegate_codec::identity::SystemId;
use tidegate_config::{Config, Instruction, Instructions, MoConditions, MoRoute, NumberPattern};
use tidegate_store::record::Sink;

use super::route::digits;

/// What is known of a message from a handset.
#[derive(Clone, Copy)]
pub struct MoFacts<'a> {
    /// Which carrier delivers it.
    pub carrier: &'a str,
    /// The called number, with or without `+`.
    pub called: &'a [u8],
    /// The handset's number, likewise.
    pub sender: &'a [u8],
    /// The first word of its text, see [`first_word`](tidegate_config::first_word); empty when it has none.
    pub word: &'a str,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoWay<'r> {
    /// Who gets it.
    pub account: SystemId,
    /// Which of the account's binds.
    pub sink: Sink,
    /// The version of the instructions that were asked; empty when there are none.
    pub document: &'r str,
}

/// Why a route or a rule does not take a message, or that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoWhy {
    /// It takes it.
    Takes,
    /// It would, were it not behind another.
    Behind,
    /// Another number was called.
    Number,
    /// Another carrier delivers it.
    Carrier,
    /// The handset is none of its.
    Sender,
    /// The text begins with another word, or with none.
    Keyword,
    /// It is closed at this hour.
    Closed,
}

impl MoWhy {
    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Takes => "takes it",
            Self::Behind => "would take it, but stands behind the one that does",
            Self::Number => "no: another number",
            Self::Carrier => "no: another carrier",
            Self::Sender => "no: not in senders",
            Self::Keyword => "no: not in keywords",
            Self::Closed => "no: not its days and hours",
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct MoRouter {
    routes: Vec<Route>,
    /// By order, lowest first.
    tables: Vec<Table>,
    documents: HashMap<SystemId, Document>,
    /// Every word that anything asks for.
    keywords: HashSet<String>,
    /// The minute for which it is known what is open, in minutes of unix time.
    minute: u64,
}

#[derive(Debug)]
struct Route {
    carrier: Option<String>,
    conditions: Conditions,
    account: SystemId,
}

/// The places of routes, the most specific first.
#[derive(Debug, Default)]
struct Table {
    order: u16,
    exact: HashMap<Vec<u8>, Vec<usize>>,
    prefixes: HashMap<Vec<u8>, Vec<usize>>,
    /// Lengths of prefixes that there are, the longest first.
    lengths: Vec<usize>,
}

#[derive(Debug)]
struct Document {
    version: String,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    number: NumberPattern,
    conditions: Conditions,
    account: SystemId,
    sink: Sink,
}

/// Conditions, and whether their hours are now.
#[derive(Debug)]
struct Conditions {
    asked: MoConditions,
    is_open: bool,
}

impl MoRouter {
    /// Builds the tables. What has hours is closed until [`MoRouter::set_time`].
    pub fn new(config: &Config) -> Self {
        let routes = &config.mo_routes;
        let mut by_specificity: Vec<usize> = (0..routes.len()).collect();
        by_specificity.sort_by_key(|place| (routes[*place].order, specificity(&routes[*place]), *place));
        let mut tables: Vec<Table> = Vec::new();
        for place in by_specificity {
            let route = &routes[place];
            if tables.last().is_none_or(|table| table.order != route.order) {
                tables.push(Table {
                    order: route.order,
                    ..Table::default()
                });
            }
            if let Some(table) = tables.last_mut() {
                table.add(&route.number, place);
            }
        }
        let documents = config.instructions.iter();
        let documents: HashMap<_, _> = documents
            .map(|document| (document.account, Document::new(document)))
            .collect();
        let of_rules = config.instructions.iter().flat_map(|document| &document.rules);
        let asked = routes.iter().map(|route| &route.conditions);
        let asked = asked.chain(of_rules.map(|rule| &rule.conditions));
        Self {
            keywords: asked.flat_map(|asked| asked.keywords.iter().cloned()).collect(),
            routes: routes.iter().map(Route::new).collect(),
            tables,
            documents,
            minute: u64::MAX,
        }
    }

    /// Opens and closes by hours; to be called before a look-up. Costs next to nothing but once a minute.
    pub fn set_time(&mut self, unix_ms: u64) {
        let minute = unix_ms / 60_000;
        if std::mem::replace(&mut self.minute, minute) == minute {
            return;
        }
        let rules = self
            .documents
            .values_mut()
            .flat_map(|document| &mut document.rules);
        let rules = rules.map(|rule| &mut rule.conditions);
        for conditions in self
            .routes
            .iter_mut()
            .map(|route| &mut route.conditions)
            .chain(rules)
        {
            conditions.set_time(unix_ms);
        }
    }

    /// Whether anything asks for words: if not, texts need not be read.
    pub fn asks_for_words(&self) -> bool {
        !self.keywords.is_empty()
    }

    /// Whether anything asks for this word.
    pub fn asks_for(&self, word: &str) -> bool {
        self.keywords.contains(word)
    }

    /// Where a message goes; `None` when no route takes it.
    pub fn find(&self, facts: &MoFacts<'_>) -> Option<MoWay<'_>> {
        let takes = |place: &&usize| self.routes[**place].judge(facts) == MoWhy::Takes;
        let taken = self
            .tables
            .iter()
            .find_map(|table| table.fitting(digits(facts.called)).find(takes))?;
        let owner = self.routes[*taken].account;
        let Some(document) = self.documents.get(&owner) else {
            return Some(MoWay {
                account: owner,
                sink: Sink::Bind,
                document: "",
            });
        };
        let rule = document
            .rules
            .iter()
            .find(|rule| rule.judge(facts) == MoWhy::Takes);
        let (account, sink) = rule.map_or((owner, Sink::Bind), |rule| (rule.account, rule.sink));
        Some(MoWay {
            account,
            sink,
            document: &document.version,
        })
    }

    /// Every route, by its place in the configuration, in the order in which they are asked, with what came of it.
    pub fn explain(&self, facts: &MoFacts<'_>) -> Vec<(usize, MoWhy)> {
        let number = digits(facts.called);
        let order = self.tables.iter().flat_map(|table| {
            let others = table
                .all()
                .filter(|place| table.fitting(number).all(|fits| fits != *place));
            let fits = table
                .fitting(number)
                .map(|place| (*place, self.routes[*place].judge(facts)));
            fits.chain(others.map(|place| (*place, MoWhy::Number)))
                .collect::<Vec<_>>()
        });
        behind_the_first(order)
    }

    /// Every rule of an account's instructions in their order, with what came of it; `None` without instructions.
    pub fn explain_instructions(
        &self,
        account: SystemId,
        facts: &MoFacts<'_>,
    ) -> Option<Vec<(usize, MoWhy)>> {
        let rules = self.documents.get(&account)?.rules.iter();
        Some(behind_the_first(rules.map(|rule| rule.judge(facts)).enumerate()))
    }
}

fn behind_the_first(tried: impl Iterator<Item = (usize, MoWhy)>) -> Vec<(usize, MoWhy)> {
    let mut is_taken = false;
    let mark = |(place, why)| {
        let is_behind = why == MoWhy::Takes && std::mem::replace(&mut is_taken, true);
        (place, if is_behind { MoWhy::Behind } else { why })
    };
    tried.map(mark).collect()
}

/// The number of a bind's tag, the `system_type` with which it bound: the same in every process. `None` for none.
pub fn bind_tag(system_type: &[u8]) -> Option<NonZeroU32> {
    if system_type.is_empty() {
        return None;
    }
    let mut hasher = SipHasher13::new();
    hasher.write(system_type);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    Some(NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN))
}

/// Smaller for what is to be asked first.
fn specificity(route: &MoRoute) -> impl Ord + use<> {
    let (is_prefix, length) = match &route.number {
        NumberPattern::Exact(number) => (false, number.len()),
        NumberPattern::Prefix(prefix) => (true, prefix.len()),
    };
    let MoConditions {
        keywords,
        senders,
        window,
    } = &route.conditions;
    let conditions = (keywords.is_empty(), senders.is_empty(), window.is_none());
    (is_prefix, Reverse(length), route.carrier.is_none(), conditions)
}

impl Table {
    fn add(&mut self, number: &NumberPattern, place: usize) {
        let (table, number) = match number {
            NumberPattern::Exact(number) => (&mut self.exact, number),
            NumberPattern::Prefix(prefix) => {
                // They come by falling length.
                if self.lengths.last() != Some(&prefix.len()) {
                    self.lengths.push(prefix.len());
                }
                (&mut self.prefixes, prefix)
            }
        };
        table.entry(number.as_bytes().to_vec()).or_default().push(place);
    }

    /// Routes to numbers that fit, the most specific first.
    fn fitting<'t>(&'t self, number: &'t [u8]) -> impl Iterator<Item = &'t usize> {
        let prefixes = self
            .lengths
            .iter()
            .filter_map(|length| self.prefixes.get(number.get(..*length)?));
        self.exact.get(number).into_iter().chain(prefixes).flatten()
    }

    /// All its routes in the file's order.
    fn all(&self) -> impl Iterator<Item = &usize> {
        let mut all: Vec<&usize> = self
            .exact
            .values()
            .chain(self.prefixes.values())
            .flatten()
            .collect();
        all.sort_unstable();
        all.into_iter()
    }
}

impl Route {
    fn new(route: &MoRoute) -> Self {
        Self {
            carrier: route.carrier.as_ref().map(|carrier| carrier.as_str().to_owned()),
            conditions: Conditions::new(&route.conditions),
            account: route.account,
        }
    }

    /// What speaks against it besides the called number.
    fn judge(&self, facts: &MoFacts<'_>) -> MoWhy {
        if self.carrier.as_ref().is_some_and(|only| only != facts.carrier) {
            return MoWhy::Carrier;
        }
        self.conditions.judge(facts)
    }
}

impl Document {
    fn new(document: &Instructions) -> Self {
        let rule = |rule: &Instruction| Rule {
            number: rule.number.clone(),
            conditions: Conditions::new(&rule.conditions),
            account: rule.account,
            sink: rule
                .bind
                .as_ref()
                .and_then(|bind| bind_tag(bind.as_bytes()))
                .map_or(Sink::Bind, Sink::BindOf),
        };
        Self {
            version: document.version.clone(),
            rules: document.rules.iter().map(rule).collect(),
        }
    }
}

impl Rule {
    fn judge(&self, facts: &MoFacts<'_>) -> MoWhy {
        if !self.number.matches(digits(facts.called)) {
            return MoWhy::Number;
        }
        self.conditions.judge(facts)
    }
}

impl Conditions {
    fn new(asked: &MoConditions) -> Self {
        Self {
            asked: asked.clone(),
            is_open: asked.window.is_none(),
        }
    }

    fn set_time(&mut self, unix_ms: u64) {
        let window = self.asked.window.as_ref();
        self.is_open = window.is_none_or(|window| window.is_open(unix_ms));
    }

    fn judge(&self, facts: &MoFacts<'_>) -> MoWhy {
        let MoConditions {
            keywords,
            senders,
            window: _,
        } = &self.asked;
        if !self.is_open {
            return MoWhy::Closed;
        }
        let is_asked_for = |word: &str| keywords.binary_search_by(|one| one.as_str().cmp(word)).is_ok();
        if !keywords.is_empty() && !is_asked_for(facts.word) {
            return MoWhy::Keyword;
        }
        let sender = digits(facts.sender);
        if !senders.is_empty() && !senders.iter().any(|pattern| pattern.matches(sender)) {
            return MoWhy::Sender;
        }
        MoWhy::Takes
    }
}
