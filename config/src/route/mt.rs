//! Which carriers messages to handsets may take, and on which conditions.

use std::collections::HashMap;

use super::conditions::conditions;
use super::{Conditions, Declared, name_and_order};
use crate::carrier::{self, CarrierName};
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{choice, integer, shown, text};

/// One `[[route.mt]]`. Of those whose conditions a message meets, that of the lowest `order` takes it; of the same
/// order that with the longest prefix; of the same prefix the one that stands first. The order, the prefix and the
/// conditions together are unique in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtRoute {
    /// Key `name`, 1 to 32 of a-z, 0-9, _ and -, unique, default the place in the file: `mt[0]`. What people are told.
    pub name: String,
    /// Key `order`, default 100, 0 to 10 000: lower is asked first.
    pub order: u16,
    /// Key `prefix`, required: 0 to 15 digits of an international number without `+`; empty is every
    /// number.
    pub prefix: String,
    /// What else must hold.
    pub conditions: Conditions,
    /// Key `carriers`, required, 1 to 16, no name twice. With `max_price` those of them that are not too dear.
    pub carriers: Vec<CarrierName>,
    /// Key `choose`, default `"in-order"`, or `"weighted"` where there are `weights`.
    pub choose: Choose,
}

/// Which of a route's carriers comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choose {
    /// No weights: the first that is up takes the message, the others stand by in this order.
    InOrder,
    /// They take turns; the parts of one long message have one turn together. Those behind it in the list stand by,
    /// then those in front of it.
    RoundRobin,
    /// The cheapest for the recipient first, by the carriers' `prices`; those without a price stand behind, equal ones in
    /// the order of the list.
    LeastCost,
    /// Recipients are shared out by weight, one for each carrier, 1 to 1 000. The same recipient always has the same
    /// carrier first, so that the parts of a long message go one way; those behind it in the list stand by, then
    /// those in front of it.
    Weighted(Vec<u16>),
}

pub(crate) fn read_mt(sections: Vec<Section<'_>>, declared: &Declared) -> Vec<MtRoute> {
    let (mut seen, mut names) = (HashMap::new(), HashMap::new());
    let mut routes = Vec::new();
    for (place, mut section) in sections.into_iter().enumerate() {
        let (name, order) = name_and_order(&mut section, &mut names);
        let prefix = section.required(
            "prefix",
            "write the digits that destinations begin with; `prefix = \"\"` is the default route",
            text(prefix),
        );
        let conditions = conditions(&mut section, declared);
        if let Some(prefix) = &prefix {
            section.once(
                "prefix",
                &mut seen,
                (order, prefix.clone(), conditions.clone()),
                "is routed already",
                "list all its carriers there, or let the two differ in their conditions",
            );
        }
        let carriers = carriers(&mut section, declared);
        let choose = choose(&mut section, carriers.as_ref().map(Vec::len));
        let is_priced = |carrier: &CarrierName| declared.priced.contains(carrier);
        if choose == Choose::LeastCost && !carriers.iter().flatten().any(is_priced) {
            let remedy = "add `prices = \"…\"` to the carriers that have some";
            section.problem("choose", Fault::new("none of these carriers has a price", remedy));
        }
        if conditions.max_price.is_some() && !carriers.iter().flatten().any(is_priced) {
            let fault = "none of these carriers has a price, so that the route takes nothing";
            let remedy = "add `prices = \"…\"` to the carriers that have some";
            section.problem("max_price", Fault::new(fault, remedy));
        }
        section.finish(&[
            (
                "carrier",
                "write a list, the preferred first: `carriers = [\"…\"]`",
            ),
            ("account", "write a list: `accounts = [\"…\"]`"),
            ("sender", "write a list: `senders = [\"…\"]`"),
            ("priority", "routes are asked by `order`, lower first"),
            (
                "price",
                "write the most that a part may cost: `max_price = 0.0325`",
            ),
        ]);
        if let (Some(prefix), Some(carriers)) = (prefix, carriers) {
            routes.push(MtRoute {
                name: name.unwrap_or_else(|| format!("mt[{place}]")),
                order,
                prefix,
                conditions,
                carriers,
                choose,
            });
        }
    }
    routes
}

fn carriers(section: &mut Section<'_>, declared: &Declared) -> Option<Vec<CarrierName>> {
    if !section.has("carriers") {
        section.missing(
            "carriers",
            "list carriers, the preferred first: `carriers = [\"…\"]`",
        );
    }
    let mut listed = Vec::new();
    section.list("carriers", 1..=16, |value| {
        let name = declared.carrier(carrier::name(value)?)?;
        if listed.contains(&name) {
            return Err(Fault::new(
                format!("{} stands in the list twice", shown::value(name.as_str())),
                "keep its first place",
            ));
        }
        listed.push(name.clone());
        Ok(name)
    })
}

/// `carriers` is how many there are, if they could be read.
fn choose(section: &mut Section<'_>, carriers: Option<usize>) -> Choose {
    #[derive(Clone, Copy, PartialEq)]
    enum How {
        InOrder,
        RoundRobin,
        LeastCost,
        Weighted,
    }
    const WORDS: &[(&str, How)] = &[
        ("in-order", How::InOrder),
        ("round-robin", How::RoundRobin),
        ("least-cost", How::LeastCost),
        ("weighted", How::Weighted),
    ];
    let how = section.optional("choose", choice(WORDS));
    let weights = section
        .list("weights", 0..=16, integer(1..=1_000))
        .unwrap_or_default();
    match (how, weights.is_empty()) {
        (None | Some(How::InOrder), true) => Choose::InOrder,
        (Some(How::RoundRobin), true) => Choose::RoundRobin,
        (Some(How::LeastCost), true) => Choose::LeastCost,
        (Some(How::Weighted), true) => {
            let remedy = "add one for each carrier, in their order: `weights = [2, 1]`";
            section.problem("choose", Fault::new("\"weighted\" without weights", remedy));
            Choose::InOrder
        }
        (None | Some(How::Weighted), false) => {
            if let Some(carriers) = carriers.filter(|carriers| *carriers != weights.len()) {
                let fault = format!("{} for {carriers} carriers", weights.len());
                section.problem("weights", Fault::new(fault, "give one for each, in their order"));
            }
            Choose::Weighted(weights)
        }
        (Some(How::InOrder | How::RoundRobin | How::LeastCost), false) => {
            let remedy = "leave `weights` empty, or write `choose = \"weighted\"`";
            section.problem("weights", Fault::new("would count for nothing here", remedy));
            Choose::Weighted(weights)
        }
    }
}

fn prefix(text: &str) -> Result<String, Fault> {
    if text.len() > 15 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::new(
            format!("{} is no prefix", shown::value(text)),
            "write up to 15 digits with the country code, without + or 00",
        ));
    }
    Ok(text.to_owned())
}
