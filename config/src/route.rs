//! Which way messages go. Looking a number up is the gateway's business; here the tables are checked.

use std::collections::HashMap;

use tidegate_codec::identity::SystemId;

use crate::account::system_id;
use crate::carrier::{self, CarrierName};
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{shown, text};

/// One `[[route.mt]]`: the longest prefix of the destination wins. Prefixes are unique in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtRoute {
    /// Key `prefix`, required: 0 to 15 digits of an international number without `+`; empty is the
    /// default route.
    pub prefix: String,
    /// Key `carriers`, required, 1 to 16, no name twice: the first that is up takes the message, the
    /// others are for fail-over, in this order.
    pub carriers: Vec<CarrierName>,
}

/// One `[[route.mo]]`: whose messages those to a called number are. The most specific wins: exact before
/// prefix, longer before shorter, with a carrier before without. Unique by number and carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoRoute {
    /// Key `number`, required.
    pub number: NumberPattern,
    /// Key `carrier`, default absent (all): only what this carrier delivers.
    pub carrier: Option<CarrierName>,
    /// Key `account`, required: who gets the messages.
    pub account: SystemId,
}

/// Called numbers: at most 20 digits, with `*` at the end for every continuation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberPattern {
    /// This number only.
    Exact(String),
    /// Every number that begins so; empty (`"*"`) is every number.
    Prefix(String),
}

/// The names that routes may use, as far as the file declares them.
pub(crate) struct Declared {
    pub(crate) carriers: Vec<CarrierName>,
    pub(crate) accounts: Vec<SystemId>,
    /// Some name could not be read, so none can be called undeclared.
    pub(crate) incomplete: bool,
}

pub(crate) fn read_mt(sections: Vec<Section<'_>>, declared: &Declared) -> Vec<MtRoute> {
    let mut seen = HashMap::new();
    let mut routes = Vec::new();
    for mut section in sections {
        let prefix = section.required(
            "prefix",
            "write the digits that destinations begin with; `prefix = \"\"` is the default route",
            text(prefix),
        );
        if let Some(prefix) = &prefix {
            let fault = "is routed already";
            section.once(
                "prefix",
                &mut seen,
                prefix.clone(),
                fault,
                "list all its carriers there",
            );
        }
        if !section.has("carriers") {
            section.missing(
                "carriers",
                "list carriers, the preferred first: `carriers = [\"…\"]`",
            );
        }
        let mut listed = Vec::new();
        let carriers = section.list("carriers", 1..=16, |value| {
            let name = declared.carrier(carrier::name(value)?)?;
            if listed.contains(&name) {
                return Err(Fault::new(
                    format!("{} stands in the list twice", shown::value(name.as_str())),
                    "keep its first place",
                ));
            }
            listed.push(name.clone());
            Ok(name)
        });
        section.finish(&[(
            "carrier",
            "write a list, the preferred first: `carriers = [\"…\"]`",
        )]);
        if let (Some(prefix), Some(carriers)) = (prefix, carriers) {
            routes.push(MtRoute { prefix, carriers });
        }
    }
    routes
}

pub(crate) fn read_mo(sections: Vec<Section<'_>>, declared: &Declared) -> Vec<MoRoute> {
    let mut seen = HashMap::new();
    let mut routes = Vec::new();
    for mut section in sections {
        let number = section.required(
            "number",
            "write the called number, or its beginning and `*`",
            text(number_pattern),
        );
        let carrier = section.optional("carrier", |value| declared.carrier(carrier::name(value)?));
        let account = section.required("account", "name the account that gets these messages", |value| {
            declared.account(system_id(value)?)
        });
        if let Some(number) = &number {
            let key = (number.clone(), carrier.clone());
            let fault = "is routed already for the same carrier";
            section.once("number", &mut seen, key, fault, "keep one of the two");
        }
        section.finish(&[]);
        if let (Some(number), Some(account)) = (number, account) {
            routes.push(MoRoute {
                number,
                carrier,
                account,
            });
        }
    }
    routes
}

impl Declared {
    fn carrier(&self, name: CarrierName) -> Result<CarrierName, Fault> {
        if self.incomplete || self.carriers.contains(&name) {
            return Ok(name);
        }
        let names = self.carriers.iter().map(CarrierName::as_str);
        Err(undeclared("carrier", name.as_str(), &names.collect::<Vec<_>>()))
    }

    fn account(&self, name: SystemId) -> Result<SystemId, Fault> {
        if self.incomplete || self.accounts.contains(&name) {
            return Ok(name);
        }
        let names = self.accounts.iter().map(SystemId::as_str);
        Err(undeclared("account", name.as_str(), &names.collect::<Vec<_>>()))
    }
}

/// Most names that a remedy lists.
const NAMES_MAX: usize = 8;

fn undeclared(kind: &str, name: &str, names: &[&str]) -> Fault {
    let remedy = if names.is_empty() {
        format!("add a `[[{kind}]]` of this name")
    } else {
        let some = &names[..names.len().min(NAMES_MAX)];
        let more = if names.len() > NAMES_MAX { ", …" } else { "" };
        format!(
            "add a `[[{kind}]]` of this name or use one of: {}{more}",
            some.join(", ")
        )
    };
    Fault::new(format!("there is no {kind} {}", shown::value(name)), remedy)
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

fn number_pattern(text: &str) -> Result<NumberPattern, Fault> {
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
