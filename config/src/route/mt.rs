//! Which carriers messages to handsets may take, and on which conditions.

use std::collections::HashMap;

use tidegate_codec::address::Ton;
use tidegate_codec::identity::SystemId;

use super::Declared;
use crate::account::system_id;
use crate::carrier::{self, CarrierName};
use crate::problem::Fault;
use crate::section::Section;
use crate::sender::SenderPattern;
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
    /// Key `carriers`, required, 1 to 16, no name twice.
    pub carriers: Vec<CarrierName>,
    /// Key `weights`.
    pub choose: Choose,
}

/// What must hold for a message besides its prefix. An empty list asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
}

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

/// Which of a route's carriers comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choose {
    /// No weights: the first that is up takes the message, the others stand by in this order.
    InOrder,
    /// Recipients are shared out by weight, one for each carrier, 1 to 1 000. The same recipient always has the same
    /// carrier first, so that the parts of a long message go one way; those behind it in the list stand by, then
    /// those in front of it.
    Weighted(Vec<u16>),
}

pub(crate) fn read_mt(sections: Vec<Section<'_>>, declared: &Declared) -> Vec<MtRoute> {
    let (mut seen, mut names) = (HashMap::new(), HashMap::new());
    let mut routes = Vec::new();
    for (place, mut section) in sections.into_iter().enumerate() {
        let name = section.optional("name", text(route_name));
        if let Some(name) = &name {
            let remedy = "give each route its own name, or none";
            section.once("name", &mut names, name.clone(), "is taken", remedy);
        }
        let order = section.or("order", 100, integer(0..=10_000));
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
        section.finish(&[
            (
                "carrier",
                "write a list, the preferred first: `carriers = [\"…\"]`",
            ),
            ("account", "write a list: `accounts = [\"…\"]`"),
            ("sender", "write a list: `senders = [\"…\"]`"),
            ("priority", "routes are asked by `order`, lower first"),
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

fn conditions(section: &mut Section<'_>, declared: &Declared) -> Conditions {
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
    Conditions {
        accounts,
        senders: senders.unwrap_or_default(),
        sender_types: sender_types.unwrap_or_default(),
        service_types: service_types.unwrap_or_default(),
        data_codings: data_codings.unwrap_or_default(),
    }
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
    let weights = section
        .list("weights", 0..=16, integer(1..=1_000))
        .unwrap_or_default();
    if weights.is_empty() {
        return Choose::InOrder;
    }
    if let Some(carriers) = carriers.filter(|carriers| *carriers != weights.len()) {
        let fault = format!("{} for {carriers} carriers", weights.len());
        section.problem("weights", Fault::new(fault, "give one for each, in their order"));
    }
    Choose::Weighted(weights)
}

fn route_name(text: &str) -> Result<String, Fault> {
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

fn service_type(text: &str) -> Result<String, Fault> {
    if text.len() <= 5 && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no service_type", shown::value(text)),
        "write up to 5 printable ASCII characters",
    ))
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
