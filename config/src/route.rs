//! Which way messages go. Looking a number up is the gateway's business; here the tables are checked.

mod conditions;
mod instructions;
mod keyword;
mod mo;
mod mt;
mod window;

use std::collections::HashMap;

use tidegate_codec::identity::SystemId;

use crate::carrier::CarrierName;
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{integer, shown, text};
use crate::words::AccountWords;

pub(crate) use conditions::service_type;
pub use conditions::{Conditions, SenderType};
pub(crate) use instructions::read_instructions;
pub use instructions::{Instruction, Instructions};
pub use keyword::{KEYWORD_MAX, first_word};
pub(crate) use mo::read_mo;
pub use mo::{MoConditions, MoRoute, NumberPattern};
pub(crate) use mt::read_mt;
pub use mt::{Choose, MtRoute};
pub use window::Window;
pub(crate) use window::{bit, days, hours};

/// The names that routes may use, as far as the file declares them.
pub(crate) struct Declared {
    pub(crate) carriers: Vec<CarrierName>,
    pub(crate) accounts: Vec<SystemId>,
    /// Some name could not be read, so none can be called undeclared.
    pub(crate) incomplete: bool,
    /// There is a table of networks.
    pub(crate) has_networks: bool,
    /// Carriers with prices.
    pub(crate) priced: Vec<CarrierName>,
    /// The words that accounts have added.
    pub(crate) words: HashMap<SystemId, AccountWords>,
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

/// What routes to carriers and routes of messages from handsets begin with. `names` are those that are taken.
fn name_and_order(
    section: &mut Section<'_>,
    names: &mut HashMap<String, Option<usize>>,
) -> (Option<String>, u16) {
    let name = own_name(section, names, "route");
    (name, section.or("order", 100, integer(0..=10_000)))
}

/// The key `name` of a route or a rule.
fn own_name(
    section: &mut Section<'_>,
    names: &mut HashMap<String, Option<usize>>,
    of: &str,
) -> Option<String> {
    let name = section.optional("name", text(route_name))?;
    let remedy = format!("give each {of} its own name, or none");
    section.once("name", names, name.clone(), "is taken", &remedy);
    Some(name)
}

/// The name of a route, or of a rule.
pub(crate) fn route_name(text: &str) -> Result<String, Fault> {
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no name of a route", shown::value(text)),
        "write 1 to 32 of a-z, 0-9, _ and -",
    ))
}
