//! What a route to carriers may ask of a message, besides its prefix.

use tidegate_codec::address::Ton;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::Class;
use toml::de::DeValue;

use super::{Declared, Window};
use crate::account::{CATEGORIES, system_id};
use crate::carrier::{self, CarrierName};
use crate::country::Country;
use crate::price::{Price, price};
use crate::problem::Fault;
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::value::{choice, integer, shown, text};

/// What must hold for a message besides its prefix. An empty list asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Key `accounts`, default `[]`, at most 1 024: whose messages. Sorted.
    pub accounts: Vec<SystemId>,
    /// Key `senders`, default `[]`, at most 1 024: source addresses, exact or with a `*` at the end.
    pub senders: Vec<SenderPattern>,
    /// Key `sender_types`, default `[]`: kinds of source addresses.
    pub sender_types: Vec<SenderType>,
    /// Key `service_types`, default `[]`, at most 64, of up to 5 characters; `""` is the default service.
    pub service_types: Vec<String>,
    /// Key `data_codings`, default `[]`, at most 256, 0 to 255: how the text is written.
    pub data_codings: Vec<u8>,
    /// Key `classes`, default `[]`, of 0 to 3: message class, 0 is "flash"; messages without one meet none of them.
    pub classes: Vec<Class>,
    /// Key `categories`, default `[]`, of `"marketing"`, `"transactional"`, `"otp"` and `"emergency"`: what the message is
    /// for. One that came before messages had a category meets none of them.
    pub categories: Vec<Category>,
    /// Keys `min_parts`, default 1, and `max_parts`, default 255: how many parts the message counts as.
    pub parts: (u8, u8),
    /// Keys `days`, `hours` and `zone`: when a message is put in line for a carrier. `None` is always.
    pub window: Option<Window>,
    /// Key `countries`, default `[]`, at most 256, two letters each: where the recipient is, by the network's row in
    /// `[tables]`, else by its country code.
    pub countries: Vec<Country>,
    /// Key `networks`, default `[]`, at most 1 024: the recipient's network by `[tables]`, MCC and MNC (5 or 6 digits) or
    /// an MCC alone (3 digits).
    pub networks: Vec<String>,
    /// Key `up`, default `[]`, at most 16: carriers that must all be up.
    pub up: Vec<CarrierName>,
    /// Key `down`, default `[]`, at most 16: carriers that must all be down.
    pub down: Vec<CarrierName>,
    /// Key `max_price`, default absent (any price, and none): a decimal such as `0.0325`, in the unit of the carriers'
    /// `prices`. Only carriers that take at most that for one part to the recipient are taken, and the route takes a
    /// message only while it has one; a price that is not known is not at most anything.
    pub max_price: Option<Price>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            senders: Vec::new(),
            sender_types: Vec::new(),
            service_types: Vec::new(),
            data_codings: Vec::new(),
            classes: Vec::new(),
            categories: Vec::new(),
            parts: PARTS,
            window: None,
            countries: Vec::new(),
            networks: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            max_price: None,
        }
    }
}

impl Conditions {
    /// Whether every message meets them that comes at their hours.
    pub fn ask_for_nothing(&self) -> bool {
        let without_hours = Self {
            window: None,
            ..self.clone()
        };
        without_hours == Self::default()
    }
}

/// As few parts and as many as a message may have.
const PARTS: (u8, u8) = (1, u8::MAX);

/// What kind of address a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderType {
    /// TON 5, or anything that is no number.
    Alphanumeric,
    /// A number of at most 6 digits, or one of TON 3 (network specific) or 6 (abbreviated).
    Short,
    /// Every other number.
    Number,
    /// No address: the carrier's default.
    None,
}

impl SenderType {
    /// Of a source address.
    pub fn of(ton: Ton, address: &[u8]) -> Self {
        let digits = address.strip_prefix(b"+").unwrap_or(address);
        if address.is_empty() {
            Self::None
        } else if ton == Ton::ALPHANUMERIC || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            Self::Alphanumeric
        } else if digits.len() <= SHORT_MAX || matches!(ton, Ton::NETWORK_SPECIFIC | Ton::ABBREVIATED) {
            Self::Short
        } else {
            Self::Number
        }
    }

    /// As the file has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alphanumeric => "alphanumeric",
            Self::Short => "short",
            Self::Number => "number",
            Self::None => "none",
        }
    }
}

/// Digits of the longest short code.
const SHORT_MAX: usize = 6;

pub(super) fn conditions(section: &mut Section<'_>, declared: &Declared) -> Conditions {
    const SENDER_TYPES: &[(&str, SenderType)] = &[
        (SenderType::Alphanumeric.word(), SenderType::Alphanumeric),
        (SenderType::Short.word(), SenderType::Short),
        (SenderType::Number.word(), SenderType::Number),
        (SenderType::None.word(), SenderType::None),
    ];
    let accounts = section.list("accounts", 0..=1_024, |value| declared.account(system_id(value)?));
    let mut accounts = accounts.unwrap_or_default();
    accounts.sort_unstable();
    let senders = section.list("senders", 0..=1_024, text(SenderPattern::parse));
    let sender_types = section.list("sender_types", 0..=4, choice(SENDER_TYPES));
    let service_types = section.list("service_types", 0..=64, text(service_type));
    let data_codings = section.list("data_codings", 0..=256, integer(0..=255));
    let classes = section.list("classes", 0..=4, class);
    let categories = section.list("categories", 0..=CATEGORIES.len(), choice(CATEGORIES));
    let parts = (
        section.or("min_parts", PARTS.0, integer(1..=PARTS.1)),
        section.or("max_parts", PARTS.1, integer(1..=PARTS.1)),
    );
    if parts.0 > parts.1 {
        let fault = format!("{} to {} parts", parts.0, parts.1);
        section.problem(
            "max_parts",
            Fault::new(fault, "set min_parts to at most max_parts"),
        );
    }
    let window = Window::read(section);
    let countries = section.list("countries", 0..=256, text(Country::parse));
    let networks = section.list("networks", 0..=1_024, text(network));
    if networks.as_ref().is_some_and(|networks| !networks.is_empty()) && !declared.has_networks {
        let remedy = "add `[tables]` with `networks = \"…\"`";
        section.problem(
            "networks",
            Fault::new("no file says which numbers are whose", remedy),
        );
    }
    let mut carriers = |key| {
        let names = section.list(key, 0..=16, |value| declared.carrier(carrier::name(value)?));
        names.unwrap_or_default()
    };
    let (up, down) = (carriers("up"), carriers("down"));
    Conditions {
        accounts,
        senders: senders.unwrap_or_default(),
        sender_types: sender_types.unwrap_or_default(),
        service_types: service_types.unwrap_or_default(),
        data_codings: data_codings.unwrap_or_default(),
        classes: classes.unwrap_or_default(),
        categories: categories.unwrap_or_default(),
        parts,
        window,
        countries: countries.unwrap_or_default(),
        networks: networks.unwrap_or_default(),
        up,
        down,
        max_price: section.optional("max_price", price),
    }
}

fn network(text: &str) -> Result<String, Fault> {
    if matches!(text.len(), 3 | 5 | 6) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no network", shown::value(text)),
        "write its MCC and MNC, such as \"23415\", or an MCC alone, \"234\"",
    ))
}

fn class(value: &DeValue<'_>) -> Result<Class, Fault> {
    let class: u8 = integer(0..=3)(value)?;
    Ok(match class {
        0 => Class::Flash,
        1 => Class::Mobile,
        2 => Class::Sim,
        _ => Class::Terminal,
    })
}

/// A `service_type`: up to five printable characters.
pub(crate) fn service_type(text: &str) -> Result<String, Fault> {
    if text.len() <= 5 && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no service_type", shown::value(text)),
        "write up to 5 printable ASCII characters",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_type_is_told_by_its_characters_and_its_ton() {
        for (ton, address, kind) in [
            (Ton::ALPHANUMERIC, &b"Shop"[..], SenderType::Alphanumeric),
            (Ton::ALPHANUMERIC, b"447700900123", SenderType::Alphanumeric),
            (Ton::UNKNOWN, b"Shop", SenderType::Alphanumeric),
            (Ton::UNKNOWN, b"+", SenderType::Alphanumeric),
            (Ton::UNKNOWN, b"60777", SenderType::Short),
            (Ton::ABBREVIATED, b"12345678", SenderType::Short),
            (Ton::NATIONAL, b"7700900", SenderType::Number),
            (Ton::INTERNATIONAL, b"+447700900123", SenderType::Number),
            (Ton::ALPHANUMERIC, b"", SenderType::None),
        ] {
            assert_eq!(SenderType::of(ton, address), kind, "{ton:?} {address:?}");
        }
    }
}
