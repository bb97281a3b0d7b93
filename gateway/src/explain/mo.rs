//! Why a message from a handset would go where it goes: routes, then the instructions of the account. Asked of a
//! configuration; what is bound now counts for nothing.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::text::{Carriage, Peer, encode};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::EsmClass;
use tidegate_config::{AccountWords, Carrier, Config, Instructions, first_word};

use super::time;
use crate::clock::Now;
use crate::keywords::{Keywords, Text};
use crate::number::{E164, plan};
use crate::router::{MoFacts, MoRouter, MoWhy};

/// Digits of a number of +1, the 1 with them.
const NANP_DIGITS: usize = 11;

/// A message that a handset might send.
#[derive(Clone, PartialEq, Eq)]
pub struct MoQuestion {
    /// The called number, with or without `+`.
    pub number: String,
    /// The handset's number, likewise.
    pub from: String,
    /// Which carrier delivers it; by default none that a route asks for.
    pub carrier: Option<String>,
    /// Its text.
    pub text: String,
    /// When, in unix milliseconds; by default now.
    pub at_ms: Option<u64>,
}

/// Answers a question, as an object that [`shown_mo`] turns into text.
///
/// # Errors
///
/// What is wrong with the question, in words.
pub fn explain_mo(config: &Config, question: &MoQuestion, now: Now) -> Result<Map<String, Value>, String> {
    let carrier = question.carrier.as_deref().unwrap_or_default();
    let mut known = config.carriers.iter().map(|carrier| carrier.name.as_str());
    if question.carrier.is_some() && !known.any(|name| name == carrier) {
        return Err(format!("there is no carrier {carrier:?}"));
    }
    let unix_ms = question.at_ms.unwrap_or(now.unix_ms);
    let mut router = MoRouter::new(config);
    router.set_time(unix_ms);
    let mut word = String::new();
    first_word(&question.text, &mut word);
    let is_it = |known: &&Carrier| known.name.as_str() == carrier;
    let home = config
        .carriers
        .iter()
        .find(is_it)
        .and_then(|carrier| carrier.writing.country);
    let canonical_of = |octets| {
        let home = home?;
        plan()
            .canonical(Ton::UNKNOWN, Npi::UNKNOWN, octets, Some(home))
            .ok()
    };
    let (called, sender) = (question.number.as_bytes(), question.from.as_bytes());
    let (canonical, canonical_sender) = (canonical_of(called), canonical_of(sender));
    let mut facts = MoFacts {
        carrier,
        called: canonical.as_ref().map_or(called, E164::as_bytes),
        sender: canonical_sender.as_ref().map_or(sender, E164::as_bytes),
        word: &word,
    };
    if router.find(&facts).is_none() {
        facts.called = called;
    }
    let tried = router.explain(&facts);
    let near = tried.iter().filter(|(_, why)| *why != MoWhy::Number);
    let routes: Vec<Value> = near
        .filter_map(|(place, why)| Some((config.mo_routes.get(*place)?, why)))
        .map(|(route, why)| {
            json!({
                "route": route.name,
                "order": route.order,
                "number": route.number.written(),
                "carrier": route.carrier.as_ref().map(tidegate_config::CarrierName::as_str),
                "account": route.account.as_str(),
                "last_resort": route.is_last_resort(),
                "why": why.word(),
            })
        })
        .collect();
    let taken = tried.iter().find(|(_, why)| *why == MoWhy::Takes);
    let owner = taken.and_then(|(place, _)| Some(config.mo_routes.get(*place)?.account));
    let is_plus_one = |number: &E164| number.as_bytes().first() == Some(&b'1');
    let plus_one = canonical_sender.as_ref().map_or_else(
        || {
            let digits = sender.strip_prefix(b"+").unwrap_or(sender);
            digits.len() == NANP_DIGITS && digits.first() == Some(&b'1')
        },
        is_plus_one,
    );
    let words = config
        .accounts
        .iter()
        .find(|account| Some(account.system_id) == owner);
    let words = words.map(|account| &account.words);
    let document = config
        .instructions
        .iter()
        .find(|document| Some(document.account) == owner);
    let rules = document.and_then(|document| router.explain_instructions(document.account, &facts));
    let rules = rules.unwrap_or_default();
    let told = json!({
        "at": time(unix_ms),
        "number": question.number,
        "from": question.from,
        "carrier": question.carrier,
        "word": word,
        "means": meaning(&question.text, words, plus_one, now),
        "routes": routes,
        "routes_of_other_numbers": tried.len() - routes.len(),
        "owner": owner.map(|owner| owner.to_string()),
        "instructions": document.map(|document| shown_document(document, &rules)),
        "goes_to": router.find(&facts).map(|way| {
            let rule = rules.iter().find(|(_, why)| *why == MoWhy::Takes);
            let rule = rule.and_then(|(place, _)| document?.rules.get(*place));
            json!({ "account": way.account.as_str(), "bind": rule.and_then(|rule| rule.bind.as_deref()) })
        }),
    });
    match told {
        Value::Object(told) => Ok(told),
        _ => Ok(Map::new()),
    }
}

/// Of a text in the octets that a handset would send.
fn meaning(text: &str, words: Option<&AccountWords>, plus_one: bool, now: Now) -> String {
    let mut octets = Vec::new();
    let choice = encode(text, &[], Carriage::Payload, &mut octets);
    let message = Text {
        carrier: 0,
        called: Address::default(),
        sender: b"",
        sender_ton_npi: (Ton::UNKNOWN, Npi::UNKNOWN),
        data_coding: choice.data_coding(),
        peer: Peer::default(),
        esm_class: EsmClass(0),
        octets: &octets,
        tlvs: Tlvs::NONE,
    };
    Keywords::default()
        .meaning(now, &message, words, plus_one)
        .to_string()
}

fn shown_document(document: &Instructions, rules: &[(usize, MoWhy)]) -> Value {
    let rules = rules
        .iter()
        .filter_map(|(place, why)| Some((document.rules.get(*place)?, why)));
    let rules: Vec<Value> = rules
        .map(|(rule, why)| {
            json!({
                "rule": rule.name,
                "to_account": rule.account.as_str(),
                "to_bind": rule.bind,
                "why": why.word(),
            })
        })
        .collect();
    json!({ "version": document.version, "rules": rules })
}

/// What [`explain_mo`] answered, for people.
pub fn shown_mo(told: &Map<String, Value>) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = put(&mut out, &Value::Object(told.clone()));
    out.truncate(out.trim_end().len());
    out
}

fn put(out: &mut String, told: &Value) -> std::fmt::Result {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let or = |value: &Value, otherwise: &str| match value.as_str() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => otherwise.to_owned(),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    writeln!(
        out,
        "message: to {}, from {}, by carrier {}, at {}",
        or(&told["number"], "no number"),
        or(&told["from"], "no number"),
        or(&told["carrier"], "none that a route asks for"),
        word(&told["at"]),
    )?;
    writeln!(out, "first word: {}", or(&told["word"], "none"))?;
    writeln!(out, "means: {}", word(&told["means"]))?;
    writeln!(out, "\nroutes, as they are asked:")?;
    for route in list(&told["routes"]) {
        let last = if route["last_resort"] == true {
            ", last resort"
        } else {
            ""
        };
        writeln!(
            out,
            "  {} (order {}, number {}{last}, account {}): {}",
            word(&route["route"]),
            route["order"],
            word(&route["number"]),
            word(&route["account"]),
            word(&route["why"]),
        )?;
    }
    if told["routes_of_other_numbers"] != 0 {
        writeln!(out, "  of other numbers: {}", told["routes_of_other_numbers"])?;
    }
    let document = &told["instructions"];
    if document.is_object() {
        let (owner, version) = (word(&told["owner"]), word(&document["version"]));
        writeln!(out, "\ninstructions of {owner}, version {version}:")?;
        for rule in list(&document["rules"]) {
            writeln!(
                out,
                "  {} (account {}, bind {}): {}",
                word(&rule["rule"]),
                word(&rule["to_account"]),
                or(&rule["to_bind"], "any"),
                word(&rule["why"]),
            )?;
        }
    }
    match &told["goes_to"] {
        Value::Null => writeln!(out, "\ngoes to: nobody; it is acknowledged and counted"),
        way => {
            let bind = match way["bind"].as_str() {
                Some(bind) => format!("its receivers of system_type {bind}, any while none is bound"),
                None => "any of its receivers".to_owned(),
            };
            writeln!(out, "\ngoes to: account {}, {bind}", word(&way["account"]))
        }
    }
}
