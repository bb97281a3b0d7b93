//! Whose messages those from handsets are.

use std::collections::HashMap;

use tidegate_codec::identity::SystemId;

use super::keyword::{collision, keyword};
use super::{Declared, Window, name_and_order};
use crate::account::system_id;
use crate::carrier::{self, CarrierName};
use crate::problem::Fault;
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::value::{shown, text};

/// One `[[route.mo]]`: whose messages those to a called number are. Of those whose conditions a message meets, that of
/// the lowest `order` takes it; of the same order the most specific: exact before prefix, longer before shorter, then
/// with a carrier before without, with keywords before without, with senders before without, with hours before
/// without; at last the one that stands first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoRoute {
    /// Key `name`, 1 to 32 of a-z, 0-9, _ and -, unique, default the place in the file: `mo[0]`. What people are told.
    pub name: String,
    /// Key `order`, default 100, 0 to 10 000: lower is asked first.
    pub order: u16,
    /// Key `number`, required.
    pub number: NumberPattern,
    /// Key `carrier`, default absent (all): only what this carrier delivers.
    pub carrier: Option<CarrierName>,
    /// What else must hold.
    pub conditions: MoConditions,
    /// Key `account`, required: who gets the messages.
    pub account: SystemId,
}

impl MoRoute {
    /// Whether it takes whatever comes: `number = "*"` and nothing else. Routes of a higher order are never asked.
    pub fn is_last_resort(&self) -> bool {
        self.number == NumberPattern::ANY && self.carrier.is_none() && self.conditions.is_empty()
    }
}

/// Called numbers: at most 20 digits, with `*` at the end for every continuation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberPattern {
    /// This number only.
    Exact(String),
    /// Every number that begins so; empty (`"*"`) is every number.
    Prefix(String),
}

impl NumberPattern {
    /// Every number.
    pub const ANY: Self = Self::Prefix(String::new());

    /// Whether a number, without its `+`, fits.
    pub fn matches(&self, number: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == number,
            Self::Prefix(prefix) => number.starts_with(prefix.as_bytes()),
        }
    }

    /// As the file has it.
    pub fn written(&self) -> String {
        match self {
            Self::Exact(exact) => exact.clone(),
            Self::Prefix(prefix) => format!("{prefix}*"),
        }
    }
}

/// What must hold for a message from a handset besides the called number. An empty list asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MoConditions {
    /// Key `keywords`, default `[]`, at most 256: the text's first word, without case and without punctuation around
    /// it. A text that cannot be read, and a part of a long text other than the first, has no first word. Sorted, in small
    /// letters. Words that end a subscription, ask for help or take one up again are refused (OPT-2, OPT-3).
    pub keywords: Vec<String>,
    /// Key `senders`, default `[]`, at most 1 024: numbers of handsets without `+`, exact or with a `*` at the end.
    pub senders: Vec<SenderPattern>,
    /// Keys `days`, `hours` and `zone`: when the message comes. `None` is always.
    pub window: Option<Window>,
}

impl MoConditions {
    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.keywords.is_empty() && self.senders.is_empty() && self.window.is_none()
    }

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keywords = section.list("keywords", 0..=256, text(keyword));
        let mut keywords = keywords.unwrap_or_default();
        keywords.sort_unstable();
        keywords.dedup();
        let senders = section.list("senders", 0..=1_024, text(handset));
        Self {
            keywords,
            senders: senders.unwrap_or_default(),
            window: Window::read(section),
        }
    }
}

pub(crate) fn read_mo(sections: Vec<Section<'_>>, declared: &Declared) -> Vec<MoRoute> {
    let (mut seen, mut names) = (HashMap::new(), HashMap::new());
    let mut routes = Vec::new();
    let mut read = Vec::new();
    for (place, mut section) in sections.into_iter().enumerate() {
        let (name, order) = name_and_order(&mut section, &mut names);
        let number = section.required(
            "number",
            "write the called number, or its beginning and `*`",
            text(number_pattern),
        );
        let carrier = section.optional("carrier", |value| declared.carrier(carrier::name(value)?));
        let conditions = MoConditions::read(&mut section);
        let account = section.required("account", "name the account that gets these messages", |value| {
            declared.account(system_id(value)?)
        });
        let own = account.and_then(|account| declared.words.get(&account));
        if let Some(fault) = collision(own, &conditions.keywords) {
            section.problem("keywords", fault);
        }
        if let Some(number) = &number {
            unique(&section, &mut seen, (order, number, &carrier), &conditions);
        }
        if let (Some(number), Some(account)) = (number, account) {
            routes.push(MoRoute {
                name: name.unwrap_or_else(|| format!("mo[{place}]")),
                order,
                number,
                carrier,
                conditions,
                account,
            });
        }
        read.push((section, order));
    }
    let last_resorts = routes.iter().filter(|route| route.is_last_resort());
    let last = last_resorts.map(|route| route.order).min().unwrap_or(u16::MAX);
    for (section, order) in read {
        if order > last {
            let fault = format!("is never asked: a route of order {last} takes every message");
            let remedy =
                format!("set it to at most {last}, or raise that of the route with `number = \"*\"`");
            section.problem("order", Fault::new(fault, remedy));
        }
        section.finish(&[("keyword", "write a list: `keywords = [\"…\"]`")]);
    }
    routes
}

/// What makes two routes ask for the same: order, number, carrier, and all conditions, with one keyword of each.
type Asked = (
    (u16, NumberPattern, Option<CarrierName>),
    Vec<SenderPattern>,
    Option<Window>,
    Option<String>,
);

fn unique(
    section: &Section<'_>,
    seen: &mut HashMap<Asked, Option<usize>>,
    (order, number, carrier): (u16, &NumberPattern, &Option<CarrierName>),
    conditions: &MoConditions,
) {
    let MoConditions {
        keywords,
        senders,
        window,
    } = conditions;
    let mut once = |key, keyword: Option<&String>, what: &str, remedy| {
        let asked = (
            (order, number.clone(), carrier.clone()),
            senders.clone(),
            window.clone(),
            keyword.cloned(),
        );
        section.once(key, seen, asked, what, remedy);
    };
    if keywords.is_empty() {
        let remedy = "keep one of the two, or let them differ in their conditions";
        once("number", None, "is routed already for the same carrier", remedy);
    }
    for keyword in keywords {
        let what = format!("{} is routed already, for the same number", shown::value(keyword));
        once("keywords", Some(keyword), &what, "keep it in one of the two");
    }
}

/// A `+` is no part of a number here, so that one in the file would fit nothing.
fn handset(text: &str) -> Result<SenderPattern, Fault> {
    if text.starts_with('+') {
        return Err(Fault::new("begins with +", "write the number without its +"));
    }
    SenderPattern::parse(text)
}

pub(super) fn number_pattern(text: &str) -> Result<NumberPattern, Fault> {
    let (digits, open) = match text.strip_suffix('*') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.len() > 20 || !digits.bytes().all(|b| b.is_ascii_digit()) || (digits.is_empty() && !open) {
        return Err(Fault::new(
            format!("{} is no called number", shown::value(text)),
            "write up to 20 digits without +, `*` at the end for every continuation",
        ));
    }
    Ok(if open {
        NumberPattern::Prefix(digits.to_owned())
    } else {
        NumberPattern::Exact(digits.to_owned())
    })
}
