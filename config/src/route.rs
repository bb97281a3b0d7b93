//! Which way messages go. Looking a number up is the gateway's business; here the tables are checked.

mod conditions;
mod mt;
mod window;

use std::collections::HashMap;

use tidegate_codec::identity::SystemId;

use crate::account::system_id;
use crate::carrier::{self, CarrierName};
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{shown, text};

pub use conditions::{Conditions, SenderType};
pub(crate) use mt::read_mt;
pub use mt::{Choose, MtRoute};
pub use window::Window;

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
