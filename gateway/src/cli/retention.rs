//! `tidegate retention`: the rules of retention, and what they say of a record.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_config::{DataClass, Retention, RetentionProfile, RetentionRule, RuleAfter, RuleKind};
use tidegate_store::rules::{Action, Class, Decision, Erasure, Facts, Scope, decide};

use super::values::time;
use super::{ConfigFile, Outcome, Refusal, object, read_config, sweep};
use crate::clock::Clock;
use crate::control::Retain;
use crate::retention::{instructions_of, rules_of};

/// Octets of a source address (3.4 §4.4.1), without its NUL.
const SENDER_MAX: usize = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show the profiles, rule by rule, with where each comes from, and what jurisdictions add.
    Profiles(ConfigFile),
    /// Say of a record of an account whether it is kept, until when, and by which rules.
    Explain(Box<Explain>),
    /// Show what is due now and what is next, in the running gateway, by account, class and file.
    Plan(ConfigFile),
    /// Have the running gateway remove what is due now, and say what it did.
    Sweep(Sweep),
    /// Tell the running gateway that its clock is right, although it has jumped: sweeps go on.
    ConfirmClock(ConfigFile),
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// Whose record it is.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: SystemId,
    /// What it is, such as body, meta or account.core.
    #[arg(long, value_parser = class)]
    class: Class,
    /// The source address of its message.
    #[arg(long, value_name = "ADDRESS", value_parser = sender)]
    sender: Option<String>,
    /// What its message was for: marketing, transactional, otp or emergency.
    #[arg(long, value_parser = category)]
    category: Option<Category>,
    /// When its message was accepted, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    accepted: Option<u64>,
    /// When its message came from a handset.
    #[arg(long, value_name = "TIME", value_parser = time)]
    received: Option<u64>,
    /// When its message was final, or its validity ended.
    #[arg(long, value_name = "TIME", value_parser = time)]
    r#final: Option<u64>,
    /// When it was made; by default when its message was accepted or received.
    #[arg(long, value_name = "TIME", value_parser = time)]
    created: Option<u64>,
    /// When it was last used.
    #[arg(long, value_name = "TIME", value_parser = time)]
    last_used: Option<u64>,
    /// When the account was closed: a consent that was to it has no purpose from then on.
    #[arg(long, value_name = "TIME", value_parser = time)]
    closed: Option<u64>,
    /// When the account or its provider was disconnected.
    #[arg(long, value_name = "TIME", value_parser = time)]
    disconnected: Option<u64>,
    /// When its purpose ended: a consent was withdrawn, a token revoked.
    #[arg(long, value_name = "TIME", value_parser = time)]
    purpose_ended: Option<u64>,
    /// When somebody with a right to it asked to have it erased.
    #[arg(long, value_name = "TIME", value_parser = time)]
    erasure: Option<u64>,
    /// As things stand then; by default now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
}

/// What a sweep removes besides what is due.
#[derive(Debug, clap::Args)]
pub(super) struct Sweep {
    #[command(flatten)]
    file: ConfigFile,
    /// All that is kept of this account, too, which must be in no configuration any more; it is not counted in the statistics.
    #[arg(long, value_name = "ACCOUNT", requires = "reason")]
    forget_account: Option<String>,
    /// Why: a ticket, a matter; it is entered in the audit log.
    #[arg(long, value_name = "TEXT", requires = "forget_account")]
    reason: Option<String>,
}

impl Sweep {
    fn wanted(&self) -> Retain {
        match (&self.forget_account, &self.reason) {
            (Some(account), Some(reason)) => Retain::Forget {
                account: account.clone(),
                reason: reason.clone(),
            },
            _ => Retain::Sweep,
        }
    }
}

fn class(word: &str) -> Result<Class, String> {
    Class::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.iter().map(|class| class.word()).collect();
        format!("one of {}", words.join(", "))
    })
}

fn sender(text: &str) -> Result<String, String> {
    let fits =
        (1..=SENDER_MAX).contains(&text.len()) && text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("1 to {SENDER_MAX} printable ASCII characters"))
}

fn category(word: &str) -> Result<Category, String> {
    Category::from_word(word).ok_or_else(|| "marketing, transactional, otp or emergency".to_owned())
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Profiles(args) => {
            let retention = read_config(&args.config)?.retention;
            Ok(Outcome {
                text: table(&retention),
                fields: object(json!({
                    "profiles": retention.profiles.iter().map(profile_fields).collect::<Vec<_>>(),
                    "overlays": retention.overlays.iter().map(|overlay| {
                        let mut fields = rule_fields(&overlay.rule);
                        fields.insert("jurisdiction".to_owned(), json!(overlay.jurisdiction.to_string()));
                        Value::Object(fields)
                    }).collect::<Vec<_>>(),
                })),
                ..Outcome::default()
            })
        }
        Verb::Explain(args) => explain(args),
        Verb::Plan(file) => sweep::run(file, Retain::Plan),
        Verb::Sweep(args) => sweep::run(&args.file, args.wanted()),
        Verb::ConfirmClock(file) => sweep::run(file, Retain::ConfirmClock),
    }
}

fn explain(args: &Explain) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let mut accounts = config.accounts.iter();
    let account = accounts
        .find(|account| account.system_id == args.account)
        .ok_or_else(|| Refusal::new(format!("no account is called {}", args.account), json!({})))?;
    let rules = rules_of(&config.retention, account);
    let instructions = instructions_of(&config.retention, account);
    let mut facts =
        Facts::new(account.system_id, args.class).of_sender(args.sender.as_deref().unwrap_or("").as_bytes());
    facts.category = args.category;
    facts.at.accepted_ms = args.accepted;
    facts.at.received_ms = args.received;
    facts.at.final_ms = args.r#final;
    facts.at.created_ms = args.created;
    facts.at.last_used_ms = args.last_used;
    facts.at.disconnected_ms = args.disconnected;
    facts.at.purpose_ended_ms = args.purpose_ended;
    if args.class == Class::Consent {
        // What is closed needs none any more.
        facts.at.purpose_ended_ms = args.purpose_ended.into_iter().chain(args.closed).min();
    }
    let erasures: Vec<Erasure> = args
        .erasure
        .map(|requested_ms| Erasure {
            request: "--erasure".into(),
            scope: Scope::default(),
            requested_ms,
        })
        .into_iter()
        .collect();
    let now_ms = args.at.unwrap_or_else(|| Clock::machine().now().unix_ms);
    let decision = decide(&facts, &rules, &instructions, &[], &erasures, args.closed, now_ms);
    let by: Vec<String> = decision.by.iter().map(ToString::to_string).collect();
    let profile = account.retention.profile.as_deref();
    let due = decision.due_ms.and_then(utc);
    Ok(Outcome {
        text: format!(
            "account: {}, profile {}\nclass: {}\nat: {}\nstate: {}\ndue: {}\nby:\n  {}",
            account.system_id,
            profile.unwrap_or("none"),
            args.class,
            utc(now_ms).unwrap_or_default(),
            decision.state.word(),
            due_words(&decision),
            by.join("\n  "),
        ),
        fields: object(json!({
            "account": account.system_id.as_str(),
            "profile": profile,
            "class": args.class.word(),
            "at": utc(now_ms),
            "state": decision.state.word(),
            "due": due,
            "action": action_word(&decision),
            "by": by,
        })),
        ..Outcome::default()
    })
}

/// `None` where nothing is ever done by what is known.
fn action_word(decision: &Decision<'_>) -> Option<&'static str> {
    let acts = decision.due_ms.is_some() && decision.action != Action::Keep;
    acts.then(|| decision.action.word())
}

fn due_words(decision: &Decision<'_>) -> String {
    match (decision.due_ms.and_then(utc), action_word(decision)) {
        (Some(due), Some(action)) => format!("{due}, {action}"),
        (Some(due), None) => due,
        (None, _) => "no date".to_owned(),
    }
}

fn profile_fields(profile: &RetentionProfile) -> Value {
    let ages = profile.ages.iter().map(|age| {
        json!({
            "years": age.years,
            "countries": age.countries.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "or_local": age.or_local,
        })
    });
    json!({
        "name": profile.name,
        "erasure_sla": profile.erasure_sla.to_string(),
        "request_due": profile.request_due.to_string(),
        "request_due_max": profile.request_due_max.map(|max| max.to_string()),
        "notice_before_change": profile.notice.to_string(),
        "age": ages.collect::<Vec<_>>(),
        "min_tls": profile.min_tls.word(),
        "source": profile.source,
        "checked": profile.checked.to_string(),
        "rules": profile.rules.iter().map(|rule| Value::Object(rule_fields(rule))).collect::<Vec<_>>(),
        "missing": profile.missing().map(DataClass::word).collect::<Vec<_>>(),
    })
}

fn rule_fields(rule: &RetentionRule) -> Map<String, Value> {
    object(json!({
        "class": rule.class.word(),
        "kind": rule.kind.word(),
        "anchor": rule.anchor.word(),
        "after": rule.after.to_string(),
        "action": rule.action.word(),
        "extend": rule.extend,
        "shorten": rule.shorten,
        "why": rule.why,
        "source": rule.source,
        "standing": rule.standing.word(),
        "checked": rule.checked.to_string(),
    }))
}

fn table(retention: &Retention) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = put(&mut out, retention);
    out.truncate(out.trim_end().len());
    out
}

fn put(out: &mut String, retention: &Retention) -> std::fmt::Result {
    for profile in &retention.profiles {
        writeln!(
            out,
            "{}: {}, checked {}",
            profile.name, profile.source, profile.checked
        )?;
        for rule in &profile.rules {
            put_rule(out, rule)?;
        }
        let missing: Vec<&str> = profile.missing().map(DataClass::word).collect();
        if !missing.is_empty() {
            writeln!(out, "  not stored: {}", missing.join(", "))?;
        }
        write!(
            out,
            "  erasure_sla {}, request_due {}",
            profile.erasure_sla, profile.request_due
        )?;
        if let Some(max) = profile.request_due_max {
            write!(out, " to {max}")?;
        }
        write!(out, ", notice_before_change {}", profile.notice)?;
        for age in &profile.ages {
            write!(out, ", age {}", age.years)?;
            if age.or_local {
                write!(out, " or local")?;
            }
            if !age.countries.is_empty() {
                let countries: Vec<String> = age.countries.iter().map(ToString::to_string).collect();
                write!(out, " ({})", countries.join(" "))?;
            }
        }
        writeln!(out, ", min_tls {}\n", profile.min_tls.word())?;
    }
    for overlay in &retention.overlays {
        writeln!(out, "jurisdiction {}:", overlay.jurisdiction)?;
        put_rule(out, &overlay.rule)?;
    }
    Ok(())
}

fn put_rule(out: &mut String, rule: &RetentionRule) -> std::fmt::Result {
    write!(out, "  {:13} {:7} ", rule.class.word(), rule.kind.word())?;
    match (rule.after, rule.kind) {
        (RuleAfter::Period(after), _) => {
            write!(out, "{}+{after} {}", rule.anchor.word(), rule.action.word())?;
        }
        (RuleAfter::NoStore, _) => write!(out, "not stored beyond delivery")?,
        (RuleAfter::Never, RuleKind::Floor) => write!(out, "without end")?,
        (RuleAfter::Never, _) => write!(out, "until deleted")?,
    }
    if rule.kind == RuleKind::Limit {
        match (rule.extend, rule.shorten) {
            (true, true) => write!(out, ", by instruction")?,
            (true, false) => write!(out, ", longer by instruction")?,
            (false, true) => write!(out, ", shorter by instruction")?,
            (false, false) => {}
        }
    }
    if !rule.why.is_empty() {
        write!(out, ": {}", rule.why)?;
    }
    writeln!(
        out,
        " [{}: {}, {}]",
        rule.standing.word(),
        rule.source,
        rule.checked
    )
}

/// `None` for what no calendar has.
fn utc(unix_ms: u64) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.to_string())
}
