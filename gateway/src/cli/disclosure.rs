//! `tidegate disclosure`: what authorities and others ask for, and what became of it, in the running gateway.

use clap::{Args, Subcommand};

use super::hold::shown;
use super::values::time;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, DecisionAsk, Disclosing, DisclosureAsk, EXPORT_DAYS_MAX};
use crate::disclosures::{Basis, Decision, Told};
use crate::exports::Format;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Enter what somebody asks for. Nothing is given by that.
    Open(Box<Open>),
    /// Allow an emergency's disclosure; two different approvers are needed.
    Approve {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u32,
        /// Who approves.
        #[arg(long, value_name = "NAME")]
        approver: String,
    },
    /// Decide: object, give less, or give what is asked for.
    Decide(Box<Decide>),
    /// Say what becomes of the notice to the account: one of the three.
    Notify {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u32,
        #[command(flatten)]
        told: Notice,
    },
    /// Have the file made, as a sealed export; `export list` says when it is ready, `export fetch` writes it.
    Produce {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u32,
        /// csv or jsonl.
        #[arg(long, value_name = "WORD", default_value = "csv", value_parser = format)]
        format: Format,
        /// These columns only, of those that were decided on.
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        fields: Option<Vec<String>>,
        /// How many days it may be read, 7 at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=EXPORT_DAYS_MAX))]
        days: Option<u64>,
    },
    /// Say that it is over. The file must have been made, and the notice decided on.
    Complete {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u32,
    },
    /// Say what a review found of an emergency's disclosure, within a day.
    Review {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u32,
        /// What was found.
        #[arg(long, value_name = "TEXT")]
        finding: String,
        /// Who reviewed it: none of its approvers.
        #[arg(long, value_name = "NAME")]
        reviewer: String,
    },
    /// Show all of them, without anybody's number.
    List(ConfigFile),
    /// Show one with all its steps.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        number: u32,
        /// Why it is to be said whom it is about; entered in the audit log as reading.
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Open {
    #[command(flatten)]
    file: ConfigFile,
    /// Who asks, with the reference.
    #[arg(long, value_name = "TEXT")]
    authority: String,
    /// law, agreement, security, harm or emergency.
    #[arg(long, value_name = "WORD", value_parser = basis)]
    basis: Basis,
    /// Of which account.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: String,
    /// About the person with this number only.
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// With texts.
    #[arg(long)]
    texts: bool,
    /// Of messages that ended then or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: u64,
    /// And then or before.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: u64,
    /// These columns only, such as to,ended,state.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    #[command(flatten)]
    file: ConfigFile,
    /// Its number, from the list.
    number: u32,
    /// objected, narrowed or complied.
    #[arg(value_parser = decision)]
    decision: Decision,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Who decided.
    #[arg(long, value_name = "NAME")]
    reviewer: String,
    /// Narrowed: without texts.
    #[arg(long)]
    without_texts: bool,
    /// Narrowed: of messages that ended then or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<u64>,
    /// Narrowed: and then or before.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
    /// Narrowed: these columns only.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Option<Vec<String>>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Notice {
    /// The account was told, in this way.
    #[arg(long, value_name = "HOW")]
    sent: Option<String>,
    /// It is told then, and not before.
    #[arg(long, value_name = "TIME", value_parser = time)]
    delayed_until: Option<u64>,
    /// It must not be told, by this law or order.
    #[arg(long, value_name = "LAW")]
    prohibited_by: Option<String>,
}

impl Notice {
    fn told(&self) -> Result<Told, Refusal> {
        match (&self.sent, self.delayed_until, &self.prohibited_by) {
            (Some(how), _, _) => Ok(Told::Sent { how: how.clone() }),
            (_, Some(until_ms), _) => Ok(Told::Delayed { until_ms }),
            (_, _, Some(law)) => Ok(Told::Prohibited { law: law.clone() }),
            // The command line asks for one.
            _ => Err(Refusal::new(
                "say what becomes of the notice",
                serde_json::Value::Null,
            )),
        }
    }
}

fn basis(word: &str) -> Result<Basis, &'static str> {
    let mut all = Basis::ALL.iter().copied();
    all.find(|one| one.word() == word)
        .ok_or("law, agreement, security, harm or emergency")
}

fn decision(word: &str) -> Result<Decision, &'static str> {
    let mut all = Decision::ALL.iter().copied();
    all.find(|one| one.word() == word)
        .ok_or("objected, narrowed or complied")
}

fn format(word: &str) -> Result<Format, &'static str> {
    let mut all = Format::ALL.into_iter();
    all.find(|one| one.word() == word).ok_or("csv or jsonl")
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::Open(open) => {
            let ask = DisclosureAsk {
                authority: open.authority.clone(),
                basis: open.basis,
                account: open.account.clone(),
                to: open.to.clone(),
                texts: open.texts,
                since_ms: open.since,
                until_ms: open.until,
                fields: open.fields.clone(),
            };
            (&open.file, Disclosing::Open(Box::new(ask)))
        }
        Verb::Approve {
            file,
            number,
            approver,
        } => {
            let (number, approver) = (*number, Some(approver.clone()));
            (file, Disclosing::Approve { number, approver })
        }
        Verb::Decide(decide) => {
            let ask = DecisionAsk {
                number: decide.number,
                decision: decide.decision,
                reason: decide.reason.clone(),
                reviewer: Some(decide.reviewer.clone()),
                without_texts: decide.without_texts,
                since_ms: decide.since,
                until_ms: decide.until,
                fields: decide.fields.clone(),
            };
            (&decide.file, Disclosing::Decide(Box::new(ask)))
        }
        Verb::Notify { file, number, told } => {
            let (number, told) = (*number, told.told()?);
            (file, Disclosing::Notify { number, told })
        }
        Verb::Produce {
            file,
            number,
            format,
            fields,
            days,
        } => {
            let wanted = Disclosing::Produce {
                number: *number,
                format: *format,
                fields: fields.clone(),
                days: *days,
            };
            (file, wanted)
        }
        Verb::Complete { file, number } => (file, Disclosing::Complete { number: *number }),
        Verb::Review {
            file,
            number,
            finding,
            reviewer,
        } => {
            let wanted = Disclosing::Review {
                number: *number,
                finding: finding.clone(),
                reviewer: Some(reviewer.clone()),
            };
            (file, wanted)
        }
        Verb::List(file) => (file, Disclosing::List),
        Verb::Show { file, number, reason } => {
            let (number, reason) = (*number, reason.clone());
            (file, Disclosing::Show { number, reason })
        }
    };
    let data = read_config(&file.config)?.storage.data;
    let fields = control::ask(&data, &control::Verb::Disclose(wanted))?;
    Ok(Outcome {
        text: shown(&fields),
        fields,
        ..Outcome::default()
    })
}
