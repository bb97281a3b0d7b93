//! What an account's recipients' opt-outs reach, and what they are told (compliance.md §2).

use tidegate_codec::text::{Shifts, gsm7};

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{boolean, choice, shown, text, text_of};

/// Most octets of the names of brands and pools.
pub(super) const NAME_MAX: usize = 32;
/// Most octets of the name of a programme, and of where to get help.
const PROGRAMME_MAX: usize = 40;
/// Septets of one part of a text (23.038): a reply has no more (OPT-19).
const REPLY_MAX: usize = 160;
/// What stands for the programme, and for where to get help, in the text of a reply.
const MARKS: [&str; 2] = ["{program}", "{contact}"];

/// What opt-outs of an account's recipients reach, and what they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutRules {
    /// Key `brand`, default absent: the legal entity that this account belongs to, 1 to 32 ASCII characters. Accounts of one
    /// name are one for opt-outs of brand scope.
    pub brand: Option<String>,
    /// Key `opt_out_scope`, default absent: how far an opt-out by message reaches: `"sender"`, `"pool"`, `"account"` or
    /// `"brand"`. Absent: the account for numbers of +1, the pool elsewhere (OPT-11). Numbers of +1 have the pool at least.
    pub scope: Option<OptOutScope>,
    /// Key `opted_out`, default `"refuse"`: what a submit to somebody who has opted out is answered with (OPT-16).
    pub opted_out: OptedOut,
    /// Key `automatic_replies`, default true: whether opt-outs are confirmed and calls for help answered (OPT-19, OPT-22).
    pub replies: bool,
    /// Key `program`, default the `system_id`: how the programme is named in replies, 1 to 40 characters of GSM 7 bit.
    pub program: Option<String>,
    /// Key `contact`, default absent: where to get help, in replies to HELP; 1 to 40 characters of GSM 7 bit.
    pub contact: Option<String>,
    /// Key `opt_out_text`, default by the keyword's language: the confirmation. As all of these: at most 160 septets of GSM 7
    /// bit with `{program}` and `{contact}` filled in; no links.
    pub opt_out_text: Option<String>,
    /// Key `opt_in_text`: the answer to START.
    pub opt_in_text: Option<String>,
    /// Key `help_text`: the answer to HELP.
    pub help_text: Option<String>,
    /// Key `opt_in`, default `"resume"`: what START, or a word that begins a subscription, does of somebody who has said
    /// nothing before.
    pub opt_in: OptIn,
    /// Key `ask_text`, default in English: what somebody is asked who is to confirm a consent by YES (CON-5).
    pub ask_text: Option<String>,
}

/// What a word that begins a subscription does of somebody against whom nothing stands (OPT-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// `"resume"`: nothing: it only takes back what the person had said.
    Resume,
    /// `"consent"`: it is a consent to the account's messages.
    Consent,
    /// `"ask"`: the person is asked, once in 30 days, and consents by a YES within 24 hours (double opt-in, CON-5).
    Ask,
}

/// How far an opt-out by message reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOutScope {
    /// The source address only.
    Sender,
    /// Its pool.
    Pool,
    /// All of the account.
    Account,
    /// All accounts of its brand.
    Brand,
}

/// What a submit to somebody who has opted out is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptedOut {
    /// `"refuse"`: status 0x0401.
    Refuse,
    /// `"submit-fail"`: status 0x45, ESME_RSUBMITFAIL.
    SubmitFail,
    /// `"accept"`: an id, and a DLR REJECTD if one was asked for.
    Accept,
}

impl OptOutRules {
    /// The text of a reply with its marks filled in.
    pub fn fill(&self, template: &str, system_id: &str) -> String {
        let program = self.program.as_deref().unwrap_or(system_id);
        let contact = self.contact.as_deref().unwrap_or_default();
        let [program_mark, contact_mark] = MARKS;
        template
            .replace(program_mark, program)
            .replace(contact_mark, contact)
    }
}

pub(super) fn read(section: &mut Section<'_>, system_id: &str) -> OptOutRules {
    let brand = section.optional("brand", text(name));
    let scope = section.optional(
        "opt_out_scope",
        choice(&[
            ("sender", OptOutScope::Sender),
            ("pool", OptOutScope::Pool),
            ("account", OptOutScope::Account),
            ("brand", OptOutScope::Brand),
        ]),
    );
    if scope == Some(OptOutScope::Brand) && brand.is_none() {
        let fault = Fault::new(
            "the account has no brand",
            "add `brand = \"…\"`, or widen to \"account\"",
        );
        section.problem("opt_out_scope", fault);
    }
    let opted_out = section.or(
        "opted_out",
        OptedOut::Refuse,
        choice(&[
            ("refuse", OptedOut::Refuse),
            ("submit-fail", OptedOut::SubmitFail),
            ("accept", OptedOut::Accept),
        ]),
    );
    let mut rules = OptOutRules {
        brand,
        scope,
        opted_out,
        replies: section.or("automatic_replies", true, boolean),
        program: section.optional("program", text(gsm(PROGRAMME_MAX))),
        contact: section.optional("contact", text(gsm(PROGRAMME_MAX))),
        opt_out_text: None,
        opt_in_text: None,
        help_text: None,
        opt_in: section.or(
            "opt_in",
            OptIn::Resume,
            choice(&[
                ("resume", OptIn::Resume),
                ("consent", OptIn::Consent),
                ("ask", OptIn::Ask),
            ]),
        ),
        ask_text: None,
    };
    let reply = |rules: &OptOutRules, value: &str| -> Result<String, Fault> {
        let filled = rules.fill(value, system_id);
        gsm(REPLY_MAX)(&filled)?;
        let has_link = ["http", "www.", "://"]
            .iter()
            .any(|link| filled.to_ascii_lowercase().contains(link));
        if has_link {
            return Err(Fault::new(
                "a link in a reply that must only confirm",
                "leave it out (OPT-19)",
            ));
        }
        Ok(value.to_owned())
    };
    let opt_out_text = section.optional("opt_out_text", |value| reply(&rules, text_of(value)?));
    let opt_in_text = section.optional("opt_in_text", |value| reply(&rules, text_of(value)?));
    let help_text = section.optional("help_text", |value| reply(&rules, text_of(value)?));
    let ask_text = section.optional("ask_text", |value| reply(&rules, text_of(value)?));
    rules.opt_out_text = opt_out_text;
    rules.opt_in_text = opt_in_text;
    rules.help_text = help_text;
    rules.ask_text = ask_text;
    rules
}

/// The name of a brand or pool: no slash, which parts an account from its pool.
pub(super) fn name(value: &str) -> Result<String, Fault> {
    let is_one = (1..=NAME_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'/');
    if is_one {
        Ok(value.to_owned())
    } else {
        Err(Fault::new(
            format!("{} is no name", shown::value(value)),
            format!("use 1 to {NAME_MAX} ASCII letters, digits or signs but `/`"),
        ))
    }
}

/// A text of so many septets at most.
fn gsm(max: usize) -> impl Fn(&str) -> Result<String, Fault> {
    move |value| {
        let remedy = || format!("use 1 to {max} characters of the GSM 7 bit alphabet on one line");
        match gsm7::septets(value, Shifts::default()) {
            Ok(septets) if (1..=max).contains(&septets) && !value.contains(char::is_control) => {
                Ok(value.to_owned())
            }
            Ok(septets) => Err(Fault::new(format!("{septets} septets"), remedy())),
            Err(_) => Err(Fault::new("a character that GSM 7 bit does not have", remedy())),
        }
    }
}
