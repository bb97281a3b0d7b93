//! What an account wants done with its messages from handsets: a document of its own, with a version.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tidegate_codec::identity::SystemId;
use toml::de::DeTable;

use super::keyword::collision;
use super::mo::number_pattern;
use super::{Declared, MoConditions, NumberPattern, own_name};
use crate::ReadFile;
use crate::account::system_id;
use crate::problem::{Fault, Report};
use crate::section::Section;
use crate::value::{path, printable, shown, text};

/// One `[[instructions]]`: asked behind the route that says whose a message is, once; those of another account to which
/// a rule gives it are not asked. The first rule whose conditions a message meets takes it. Where none does, any
/// receiver of the account does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// Key `account`, required, unique: whose they are.
    pub account: SystemId,
    /// Key `file`, default absent: the document is a file of its own, which has the keys `version` and `rule` and no others.
    /// Relative paths count from the working directory. A reload reads it again, so that a customer's instructions change
    /// without a change of the configuration.
    pub file: Option<PathBuf>,
    /// Key `version`, required, here or in the file: 1 to 32 printable ASCII characters without blanks. It is kept with
    /// each message that they were asked for.
    pub version: String,
    /// Tables `[[instructions.rule]]`, or `[[rule]]` in the file, at most 256, in the order in which they stand there. Only
    /// the last may ask for nothing.
    pub rules: Vec<Instruction>,
}

/// One `[[instructions.rule]]`, or `[[rule]]` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Key `name`, 1 to 32 of a-z, 0-9, _ and -, unique in the document, default the place in it: `rule[0]`.
    pub name: String,
    /// Key `number`, default `"*"`: the called number.
    pub number: NumberPattern,
    /// What else must hold.
    pub conditions: MoConditions,
    /// Key `to_account`, default the account itself: who gets the message.
    pub account: SystemId,
    /// Key `to_bind`, default absent (any): 1 to 12 printable ASCII characters, the `system_type` with which the
    /// receiver has bound. While one of it is bound, no other gets the message; while none is, any receiver does.
    pub bind: Option<String>,
}

const VERSION_MAX: usize = 32;
const RULES_MAX: usize = 256;
/// A `system_type` without its end (3.4 §5.2.3).
const SYSTEM_TYPE_MAX: usize = 12;

pub(crate) fn read_instructions(
    sections: Vec<Section<'_>>,
    declared: &Declared,
    files: ReadFile<'_>,
) -> Vec<Instructions> {
    let mut seen = HashMap::new();
    let mut documents = Vec::new();
    for mut section in sections {
        let account = section.required("account", "name the account whose they are", |value| {
            declared.account(system_id(value)?)
        });
        if let Some(account) = account {
            let remedy = "keep one of the two: an account has one document";
            section.once("account", &mut seen, account, "has instructions already", remedy);
        }
        let file = section.optional("file", path);
        let document = if section.has("file") {
            for key in ["version", "rule"] {
                if section.has(key) {
                    let fault = Fault::new("stands in the file", "keep it there, or leave `file` out");
                    section.problem(key, fault);
                }
            }
            file.as_ref()
                .and_then(|file| read_file(&section, file, account, declared, files))
        } else {
            read_document(&mut section, account, declared)
        };
        section.finish(&[("rules", "write `[[instructions.rule]]`, once for each")]);
        if let (Some(account), Some((version, rules))) = (account, document) {
            documents.push(Instructions {
                account,
                file,
                version,
                rules,
            });
        }
    }
    documents
}

/// Reads a document that is a file; what is wrong with it is told with its name and its own lines.
fn read_file(
    section: &Section<'_>,
    file: &Path,
    account: Option<SystemId>,
    declared: &Declared,
    files: ReadFile<'_>,
) -> Option<(String, Vec<Instruction>)> {
    let text = files(file)
        .map_err(|why| {
            let fault = format!("{} cannot be read: {why}", shown::value(&file.to_string_lossy()));
            section.problem("file", Fault::new(fault, "name a file that can be read"));
        })
        .ok()?;
    let (tree, syntax) = DeTable::parse_recoverable(&text);
    let report = Report::new(&text, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let document = read_document(&mut root, account, declared);
    root.finish(&[
        ("rules", "write `[[rule]]`, once for each"),
        ("instructions", "write `[[rule]]`, once for each"),
        ("account", "the configuration says whose they are"),
    ]);
    section.problems_of(file, report);
    document
}

/// The keys that a document has wherever it stands.
fn read_document(
    section: &mut Section<'_>,
    account: Option<SystemId>,
    declared: &Declared,
) -> Option<(String, Vec<Instruction>)> {
    let version = section.required(
        "version",
        "name the version: `version = \"…\"`, another one for every change",
        text(version),
    );
    let rules = section.each("rule");
    if rules.len() > RULES_MAX {
        let fault = format!("{} rules", rules.len());
        section.problem("rule", Fault::new(fault, format!("keep at most {RULES_MAX}")));
    }
    let rules = read_rules(rules, account, declared);
    Some((version?, rules))
}

fn read_rules(
    sections: Vec<Section<'_>>,
    account: Option<SystemId>,
    declared: &Declared,
) -> Vec<Instruction> {
    let mut names = HashMap::new();
    let mut rules = Vec::new();
    let last = sections.len().saturating_sub(1);
    for (place, mut section) in sections.into_iter().enumerate() {
        let name = own_name(&mut section, &mut names, "rule");
        let has_number = section.has("number");
        let number = section.optional("number", text(number_pattern));
        let conditions = MoConditions::read(&mut section);
        let own = account.and_then(|account| declared.words.get(&account));
        if let Some(fault) = collision(own, &conditions.keywords) {
            section.problem("keywords", fault);
        }
        let is_any = number
            .as_ref()
            .map_or(!has_number, |number| *number == NumberPattern::ANY);
        if is_any && conditions.is_empty() && place < last {
            let fault = "takes every message, so that the rules behind it are never asked";
            section.problem(
                "number",
                Fault::new(fault, "ask for something, or let it be the last"),
            );
        }
        let to_account = section.optional("to_account", |value| declared.account(system_id(value)?));
        let bind = section.optional("to_bind", bind);
        section.finish(&[]);
        if let Some(account) = to_account.or(account) {
            rules.push(Instruction {
                name: name.unwrap_or_else(|| format!("rule[{place}]")),
                number: number.unwrap_or(NumberPattern::ANY),
                conditions,
                account,
                bind,
            });
        }
    }
    rules
}

fn bind(value: &toml::de::DeValue<'_>) -> Result<String, Fault> {
    let bind = printable(SYSTEM_TYPE_MAX)(value)?;
    if bind.is_empty() {
        let remedy = "name the system_type with which the client binds, or leave the key out";
        return Err(Fault::new("is empty", remedy));
    }
    Ok(bind)
}

fn version(text: &str) -> Result<String, Fault> {
    if (1..=VERSION_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no version", shown::value(text)),
        format!(
            "write 1 to {VERSION_MAX} printable ASCII characters without blanks, such as \"2026-07-01.2\""
        ),
    ))
}
