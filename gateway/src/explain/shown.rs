//! An explanation as text for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// What [`explain`](super::explain) answered, for people. Parts that are missing are left out.
pub fn shown(told: &Map<String, Value>) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = put(&mut out, told);
    out.truncate(out.trim_end().len());
    out
}

fn put(out: &mut String, told: &Map<String, Value>) -> std::fmt::Result {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let key = |key: &str| told.get(key).map(word).unwrap_or_default();
    let list = |key: &str| {
        told.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let address = |address: Option<&Value>| {
        let field = |field: &str| address.and_then(|address| address.get(field)).map(word);
        let field = |name: &str| field(name).unwrap_or_default();
        let digits = field("address");
        let shown = if digits.is_empty() {
            "no address".to_owned()
        } else {
            digits
        };
        format!("{shown} (TON {}, NPI {})", field("ton"), field("npi"))
    };
    writeln!(out, "asked: the {}, at {}", key("asked"), key("at"))?;
    writeln!(
        out,
        "message: of {}, from {} to {}",
        key("account"),
        address(told.get("from")),
        address(told.get("to"))
    )?;
    let kept = told
        .get("kept")
        .filter(|kept| kept["from"] != told["from"] || kept["to"] != told["to"]);
    if let Some(kept) = kept {
        let (from, to) = (address(kept.get("from")), address(kept.get("to")));
        writeln!(out, "kept as: from {from} to {to}")?;
    }
    writeln!(
        out,
        "text: octets {}, data_coding {}, parts {}, for {}",
        key("octets"),
        key("data_coding"),
        key("parts"),
        key("category")
    )?;
    writeln!(
        out,
        "recipient: country {}, network {}",
        key("country"),
        key("network")
    )?;
    writeln!(out, "\nroutes, as they are asked:")?;
    for route in list("routes") {
        let field = |field: &str| route.get(field).map(word).unwrap_or_default();
        let prefix = field("prefix");
        let prefix = if prefix.is_empty() { "\"\"" } else { &prefix };
        writeln!(
            out,
            "  {} (order {}, prefix {prefix}): {}",
            field("route"),
            field("order"),
            field("why")
        )?;
    }
    if key("routes_of_other_prefixes") != "0" {
        writeln!(out, "  of other prefixes: {}", key("routes_of_other_prefixes"))?;
    }
    let carriers = list("carriers");
    let chosen = list("routes")
        .into_iter()
        .find(|route| route["why"] == "takes it");
    match &chosen {
        Some(route) => writeln!(out, "\ncarriers, {}:", word(&route["choose"]))?,
        None => writeln!(out, "\ncarriers: none")?,
    }
    for (number, carrier) in (1..).zip(carriers) {
        let state = match carrier["up"] {
            Value::Bool(true) => ", up",
            Value::Bool(false) => ", down",
            _ => "",
        };
        let price = if carrier["price"].is_null() {
            String::new()
        } else {
            format!(", price {}", word(&carrier["price"]))
        };
        let rate = &carrier["country_rate"];
        let rate = match (&rate["parts"], &rate["country"]) {
            (Value::Null, _) => String::new(),
            (parts, Value::Null) => format!(", {parts}/s to countries without a rate of their own"),
            (parts, country) => format!(", {parts}/s to {}", word(country)),
        };
        writeln!(
            out,
            "  {number}. {}{state}{price}{rate}",
            word(&carrier["carrier"])
        )?;
        let text = &carrier["text"];
        if let Some(parts) = text["parts"].as_array() {
            let part = |part: &Value| {
                format!(
                    "{} octets (data_coding {})",
                    word(&part["octets"]),
                    word(&part["data_coding"])
                )
            };
            let parts: Vec<String> = parts.iter().map(part).collect();
            writeln!(
                out,
                "     text as {}: {}",
                word(&text["long_messages"]),
                parts.join(", ")
            )?;
        }
        let is_other = |key: &str| told.get("kept").is_some_and(|kept| kept[key] != carrier[key]);
        if carrier["to"].is_null() {
            writeln!(out, "     its rewriting leaves no address")?;
        } else if is_other("from") || is_other("to") {
            let (from, to) = (address(carrier.get("from")), address(carrier.get("to")));
            writeln!(out, "     from {from} to {to}")?;
        }
    }
    for carrier in list("in_clear_text") {
        writeln!(
            out,
            "  not {}: it is in clear text, and the account, or its retention profile, asks for TLS 1.3",
            word(&carrier)
        )?;
    }
    for carrier in list("too_dear") {
        let most = chosen
            .as_ref()
            .map(|route| word(&route["max_price"]))
            .unwrap_or_default();
        let why = match &carrier["price"] {
            Value::Null => format!("a price that is not known is not at most {most}"),
            price => format!("price {} is more than {most}", word(price)),
        };
        writeln!(out, "  not {}: {why}", word(&carrier["carrier"]))?;
    }
    let admission = &told.get("admission").cloned().unwrap_or_default();
    let field = |field: &str| admission.get(field).map(word).unwrap_or_default();
    if admission["admitted"] == true {
        writeln!(
            out,
            "\nadmission: yes, due {}, expires {}",
            field("due"),
            field("expires")
        )
    } else {
        let name = if admission["name"].is_null() {
            "of our own".to_owned()
        } else {
            field("name")
        };
        writeln!(
            out,
            "\nadmission: no, {} {name}: {}",
            field("status"),
            field("why")
        )
    }
}
