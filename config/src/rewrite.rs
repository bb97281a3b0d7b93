//! Rewriting of addresses: named lists of rules that accounts and carriers refer to.

use std::collections::HashMap;

use tidegate_codec::address::{ADDR_SM, Npi, Ton};
use toml::de::DeValue;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{choice, integer, shown, text, text_of};

/// Rewrites of a file, and rules of one of them.
const REWRITES_MAX: usize = 256;
const RULES_MAX: usize = 256;
/// Characters of an address in submit_sm and deliver_sm.
const ADDRESS_MAX: usize = ADDR_SM - 1;

/// One `[[rewrite]]`. Its `name` is unique in the file; a file has 256 at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Key `name`, required: what accounts, carriers and `then` call it.
    pub name: RewriteName,
    /// Key `rules`, required, 1 to 256: the first that fits changes the address, and no other of this list does; once
    /// for the source and once for the destination.
    pub rules: Vec<RewriteRule>,
    /// Key `then`, default absent: another one, which goes on with what this one made of both addresses. No rewrite is
    /// reached twice.
    pub then: Option<RewriteName>,
}

/// A name: 1 to 32 of `a`–`z`, `0`–`9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RewriteName(String);

impl RewriteName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One rule. Texts are up to 20 printable ASCII characters. A rule that says nothing but where it fits keeps addresses
/// from those behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewriteRule {
    /// Key `address`, required, `"source"` or `"destination"`: which of the two.
    pub address: Side,
    /// Key `begins`, default `""` (any): it fits addresses that begin so, compared octet by octet.
    pub begins: String,
    /// Keys `strip`, `prefix` and `replace`.
    pub change: Change,
    /// Key `ton`, 0 to 255, default absent (as it was): TON from then on.
    pub ton: Option<Ton>,
    /// Key `npi`, 0 to 255, default absent (as it was): NPI from then on.
    pub npi: Option<Npi>,
}

/// Which address of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender.
    Source,
    /// The recipient.
    Destination,
}

/// What becomes of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Key `strip`, default 0, up to 20: so many characters are taken away in front; then key `prefix`, default empty, is
    /// put there.
    Front {
        /// Characters that are taken away.
        strip: usize,
        /// What is put in front.
        prefix: String,
    },
    /// Key `replace`, default absent: this in its place, with neither of the others.
    Whole(String),
}

/// The names that accounts and carriers may use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<RewriteName>,
    /// Some name could not be read, so none can be called undeclared.
    incomplete: bool,
}

impl Names {
    /// Key `rewrite` of an account or carrier.
    pub(crate) fn read(&self, section: &mut Section<'_>) -> Option<RewriteName> {
        section.optional("rewrite", |value| self.declared(name(value)?))
    }

    fn declared(&self, name: RewriteName) -> Result<RewriteName, Fault> {
        if self.incomplete || self.names.contains(&name) {
            return Ok(name);
        }
        let what = format!("there is no rewrite {}", shown::value(name.as_str()));
        Err(Fault::new(
            what,
            "add a `[[rewrite]]` of this name, or correct the name",
        ))
    }
}

pub(crate) fn read(root: &mut Section<'_>) -> (Vec<Rewrite>, Names) {
    let mut sections = root.each("rewrite");
    let mut names = Names {
        names: Vec::new(),
        incomplete: root.damaged(),
    };
    if sections.len() > REWRITES_MAX {
        let what = format!("{} rewrites", sections.len());
        root.problem(
            "rewrite",
            Fault::new(what, format!("write {REWRITES_MAX} at most")),
        );
    }
    let (mut seen, mut named) = (HashMap::new(), Vec::new());
    for section in &mut sections {
        let name = section.required("name", "name the rewrite: `name = \"…\"`", name);
        match &name {
            Some(name) => {
                section.once(
                    "name",
                    &mut seen,
                    name.clone(),
                    "is taken",
                    "give each a name of its own",
                );
                section.name("rewrite", name.as_str());
                names.names.push(name.clone());
            }
            None => names.incomplete = true,
        }
        named.push(name);
    }
    let (mut rewrites, mut places) = (Vec::new(), Vec::new());
    for (mut section, name) in sections.into_iter().zip(named) {
        let then = section.optional("then", |value| names.declared(self::name(value)?));
        let rules = read_rules(&mut section);
        if let Some(name) = name {
            rewrites.push(Rewrite { name, rules, then });
            places.push(section);
        } else {
            section.finish(&[]);
        }
    }
    refuse_cycles(&rewrites, &places);
    for section in places {
        section.finish(&[("rule", "write `[[rewrite.rules]]`, once for each")]);
    }
    (rewrites, names)
}

/// Reports each cycle once, with the way around it, at the `then` of the one that stands first in the file.
fn refuse_cycles(rewrites: &[Rewrite], sections: &[Section<'_>]) {
    let place = |name: &RewriteName| rewrites.iter().position(|rewrite| rewrite.name == *name);
    for (first, section) in sections.iter().enumerate() {
        let (mut way, mut at) = (vec![first], first);
        while let Some(next) = rewrites.get(at).and_then(|rewrite| place(rewrite.then.as_ref()?)) {
            if next == first {
                way.push(first);
                let names = way.iter().filter_map(|place| rewrites.get(*place));
                let names: Vec<&str> = names.map(|rewrite| rewrite.name.as_str()).collect();
                let what = format!("goes round in a circle: {}", names.join(" → "));
                section.problem("then", Fault::new(what, "let one of them end without `then`"));
                break;
            }
            // Into a circle that this one is not part of, or that began before.
            if next < first || way.contains(&next) {
                break;
            }
            way.push(next);
            at = next;
        }
    }
}

fn read_rules(section: &mut Section<'_>) -> Vec<RewriteRule> {
    if !section.has("rules") {
        section.missing(
            "rules",
            "add a rule: `rules = [{ address = \"destination\", begins = \"…\", strip = 1 }]`",
        );
    }
    let sections = section.each("rules");
    if section.has("rules") && sections.is_empty() {
        section.problem("rules", Fault::new("no rules", "add one, or remove the rewrite"));
    }
    if sections.len() > RULES_MAX {
        let what = format!("{} rules", sections.len());
        section.problem(
            "rules",
            Fault::new(what, format!("write {RULES_MAX} at most, or go on with `then`")),
        );
    }
    sections.into_iter().filter_map(read_rule).collect()
}

fn read_rule(mut section: Section<'_>) -> Option<RewriteRule> {
    let address = section.required(
        "address",
        "write `address = \"source\"` or `address = \"destination\"`",
        choice(&[("source", Side::Source), ("destination", Side::Destination)]),
    );
    let begins = section.or("begins", String::new(), text(part));
    let strip = section.optional("strip", integer(0..=ADDRESS_MAX));
    let prefix = section.optional("prefix", text(part));
    let replace = section.optional("replace", text(part));
    if replace.is_some() && (strip.is_some() || prefix.is_some()) {
        section.problem(
            "replace",
            Fault::new(
                "takes the place of the whole address",
                "write `replace`, or `strip` and `prefix`",
            ),
        );
    }
    if replace.as_ref().is_some_and(String::is_empty) {
        section.problem(
            "replace",
            Fault::new("is empty", "write the address that is to stand there"),
        );
    }
    let ton = section.optional("ton", integer(0..=u8::MAX)).map(Ton);
    let npi = section.optional("npi", integer(0..=u8::MAX)).map(Npi);
    section.finish(&[
        ("source", "write `address = \"source\"`"),
        ("destination", "write `address = \"destination\"`"),
    ]);
    let change = match replace {
        Some(whole) => Change::Whole(whole),
        None => Change::Front {
            strip: strip.unwrap_or(0),
            prefix: prefix.unwrap_or_default(),
        },
    };
    Some(RewriteRule {
        address: address?,
        begins,
        change,
        ton,
        npi,
    })
}

fn part(text: &str) -> Result<String, Fault> {
    let fits = text.len() <= ADDRESS_MAX && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if !fits {
        return Err(Fault::new(
            format!("{} is no part of an address", shown::value(text)),
            format!("write up to {ADDRESS_MAX} printable ASCII characters"),
        ));
    }
    Ok(text.to_owned())
}

fn name(value: &DeValue<'_>) -> Result<RewriteName, Fault> {
    let text = text_of(value)?;
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if !fits {
        return Err(Fault::new(
            format!("{} is no name of a rewrite", shown::value(text)),
            "use 1 to 32 of a–z, 0–9, _ and -",
        ));
    }
    Ok(RewriteName(text.to_owned()))
}
