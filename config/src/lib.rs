//! Tidegate's configuration: one TOML file, read whole, every problem reported at once.
//!
//! [`parse_with`] turns the text into a [`Config`] or into [`Problems`], each with key, line and remedy. The
//! conversion is the check: what a [`Config`] holds is within its bounds and refers to things that exist.
//! Unknown keys are problems, because a misspelt bound is no bound. Nothing here touches a disk, an
//! environment or a clock; secrets appear as hashes or as the place where they are found.
//!
//! `config/tidegate.toml` shows every key with its default. The way of the data: `section` hands out one
//! table's values, `value` converts single ones, [`node`], [`storage`], [`limits`], [`compliance`],
//! [`abuse`], [`account`], [`audit`], [`carrier`], [`rewrite`], [`route`], [`tables`], [`tls`], [`words`],
//! [`hours`], [`content`] and [`retention`] say what the keys mean,
//! `problem` gathers what is wrong; [`exceptions`] says what is less than TLS 1.3 by leave;
//! [`diff`](mod@diff) compares two files for a reload.

pub mod abuse;
pub mod account;
pub mod audit;
pub mod carrier;
pub mod compliance;
pub mod content;
pub mod country;
pub mod country_rates;
pub mod diff;
pub mod endpoint;
pub mod exceptions;
pub mod expectations;
pub mod hours;
pub mod limits;
pub mod node;
pub mod password_hash;
pub mod price;
pub mod problem;
pub mod quota;
pub mod requests;
pub mod retention;
pub mod rewrite;
pub mod route;
mod section;
pub mod sender;
pub mod storage;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod tls;
mod value;
pub mod words;

use std::collections::HashMap;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

pub use abuse::{Abuse, AbuseAction, AbuseRules, Watch};
pub use account::{
    Account, AccountNumbers, AccountState, Approval, BindKinds, Cap, CapRules, CategoryRules, ConsentMode,
    CountryMode, CountryModes, CountrySender, Destinations, MessageIdForm, Numbering, OptIn, OptOutRules,
    OptOutScope, OptedOut, OutsideHours, OverCap, PartsOutcome, RetentionInstruction, RetentionTerms,
    SenderSettings, may_be_marketing,
};
pub use audit::Audit;
pub use carrier::{
    AddedTlv, Carrier, CarrierBinds, CarrierName, CarrierNumbers, IdBase, IdBases, LongMessages,
    ReceiptRequest, SecretSource, StatusMeaning, Texts, TonNpi, Unanswered, Verdicts, Writing,
};
pub use compliance::Compliance;
pub use content::{
    CONTENT_RULES_MAX, ContentKind, ContentRule, ContentRules, Phrases, Screening, ScreeningMode,
};
pub use country::Country;
pub use country_rates::CountryRates;
pub use diff::{Change, Diff, diff};
pub use endpoint::{Endpoint, Host};
pub use exceptions::Excepted;
pub use hours::{HoursRule, Jurisdiction, Region, SendingHours};
pub use limits::Limits;
pub use node::{Http, Listener, Node};
pub use password_hash::PasswordHash;
pub use price::Price;
pub use problem::{Problem, Problems};
pub use quota::{Quota, QuotaZone};
pub use requests::{RequestClock, request_clock};
pub use retention::{
    AgeRule, DataClass, MinTls, Notice, Period, Retention, RetentionOverlay, RetentionProfile, RetentionRule,
    RuleAction, RuleAfter, RuleAnchor, RuleKind, Standing,
};
pub use rewrite::{Rewrite, RewriteName, RewriteRule};
pub use route::{
    Choose, Conditions, Instruction, Instructions, KEYWORD_MAX, MoConditions, MoRoute, MtRoute,
    NumberPattern, SenderType, Window, first_word,
};
pub use sender::SenderPattern;
pub use storage::{KekSource, Storage};
pub use tables::Tables;
pub use tls::{AccountTransport, CarrierTls, Exception, ListenerTls, TooWeak, Transport};
pub use value::duration::parse as parse_duration;
pub use value::size::parse as parse_size;
pub use words::{AccountWords, Extent, Language, Languages, Meaning, OptOut, OptOutPhrases, Tier, Words};

use problem::Report;
use rewrite::Names;
use route::Declared;
use section::Section;

/// A configuration that holds. Made by [`parse_with`], or of another one by [`Diff::apply`]; its fields are for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Table `[node]`.
    pub node: Node,
    /// Tables `[[listen]]`, at least one.
    pub listen: Vec<Listener>,
    /// Table `[http]`.
    pub http: Http,
    /// Table `[storage]`.
    pub storage: Storage,
    /// Table `[limits]`.
    pub limits: Limits,
    /// Table `[compliance]`.
    pub compliance: Compliance,
    /// Tables `[[rewrite]]`, in the file's order.
    pub rewrites: Vec<Rewrite>,
    /// Table `[abuse]`.
    pub abuse: Abuse,
    /// Table `[screening]`.
    pub screening: Screening,
    /// Table `[audit]`.
    pub audit: Audit,
    /// Table `[tables]`.
    pub tables: Tables,
    /// Table `[sending_hours]`.
    pub sending_hours: SendingHours,
    /// Table `[retention]`.
    pub retention: Retention,
    /// Tables `[[account]]`, in the file's order.
    pub accounts: Vec<Account>,
    /// Tables `[[carrier]]`, in the file's order.
    pub carriers: Vec<Carrier>,
    /// Tables `[[route.mt]]`, in the file's order. At least one if any account may submit.
    pub mt_routes: Vec<MtRoute>,
    /// Tables `[[route.mo]]`, in the file's order.
    pub mo_routes: Vec<MoRoute>,
    /// Tables `[[instructions]]`, in the file's order, at most one for an account.
    pub instructions: Vec<Instructions>,
}

/// Reads a configuration that names no instructions' files, or says everything that is wrong with it.
///
/// # Errors
///
/// Every problem with its key and line; a file that it names is one.
pub fn parse(text: &str) -> Result<Config, Problems> {
    parse_with(text, &|_| Err("files are not read here".to_owned()))
}

/// What gives the text of a file that a configuration names, or says why it cannot be had. Files of passwords and tables
/// are not asked for: who uses them reads them.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

/// The same of a configuration that may name files; their texts are part of it.
///
/// # Errors
///
/// Every problem with its key and line, and the file if it is another one.
pub fn parse_with(text: &str, files: ReadFile<'_>) -> Result<Config, Problems> {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let report = Report::new(text, &syntax);
    let config = read(&report, &tree, files);
    report.conclude(config)
}

fn read(report: &Report, tree: &Spanned<DeTable<'_>>, files: ReadFile<'_>) -> Option<Config> {
    let mut root = Section::root(report, tree.get_ref());
    let node = node::read_node(root.section("node"));
    let (listen, http) = node::read_sockets(&mut root);
    let storage = storage::read(root.section("storage"));
    let limits = limits::read(root.section("limits"));
    let compliance = compliance::read(root.section("compliance"));
    let abuse = abuse::read(root.section("abuse"));
    let screening = content::read(root.section("screening"), files);
    let audit = audit::read(root.section("audit"));
    let tables = tables::read(root.section("tables"));
    let sending_hours = hours::read(root.section("sending_hours"), files);
    let retention = retention::read(root.section("retention"));

    let mut declared = Declared {
        carriers: Vec::new(),
        accounts: Vec::new(),
        incomplete: root.damaged(),
        has_networks: tables.networks.is_some(),
        priced: Vec::new(),
        words: HashMap::new(),
    };
    let (rewrites, names) = rewrite::read(&mut root);
    let accounts = read_accounts(
        &mut root,
        &limits,
        &names,
        (&retention, &abuse.rules),
        &mut declared,
    );
    let words = accounts
        .iter()
        .map(|account| (account.system_id, account.words.clone()));
    declared.words = words.collect();
    let carriers = read_carriers(&mut root, &names, &mut declared);
    let priced = carriers.iter().filter(|carrier| carrier.prices.is_some());
    declared.priced = priced.map(|carrier| carrier.name.clone()).collect();

    let mut route = root.section("route");
    let mt_sections = route.each("mt");
    if mt_sections.is_empty() && accounts.iter().any(|account| account.binds.can_submit()) {
        route.missing(
            "mt",
            "add `[[route.mt]]` with `prefix = \"\"` and `carriers = [\"…\"]`, or no submit can go anywhere",
        );
    }
    let mt_routes = route::read_mt(mt_sections, &declared);
    let mo_routes = route::read_mo(route.each("mo"), &declared);
    route.finish(&[]);
    let instructions = route::read_instructions(root.each("instructions"), &declared, files);
    root.finish(&[
        ("accounts", "write `[[account]]`, once for each"),
        ("carriers", "write `[[carrier]]`, once for each"),
        ("rewrites", "write `[[rewrite]]`, once for each"),
        ("routes", "write `[[route.mt]]` or `[[route.mo]]`, once for each"),
    ]);

    Some(Config {
        node,
        listen,
        http,
        storage: storage?,
        limits,
        compliance,
        rewrites,
        abuse,
        screening,
        audit,
        tables,
        sending_hours,
        retention,
        accounts,
        carriers,
        mt_routes,
        mo_routes,
        instructions,
    })
}

fn read_accounts(
    root: &mut Section<'_>,
    limits: &Limits,
    rewrites: &Names,
    (retention, abuse): (&Retention, &AbuseRules),
    declared: &mut Declared,
) -> Vec<Account> {
    let mut seen = HashMap::new();
    let mut accounts = Vec::new();
    for mut section in root.each("account") {
        let remedy = "name the account: `system_id = \"…\"`, 1 to 15 characters";
        let system_id = section.required("system_id", remedy, account::system_id);
        match system_id {
            Some(system_id) => {
                let remedy = "give each account its own system_id; two passwords of one account stand in \
                              its `password_hashes`";
                section.once("system_id", &mut seen, system_id, "is taken", remedy);
                declared.accounts.push(system_id);
            }
            None => declared.incomplete = true,
        }
        accounts.extend(account::read(
            &mut section,
            system_id,
            limits,
            rewrites,
            (retention, abuse),
        ));
        section.finish(account::INSTEAD);
    }
    accounts
}

fn read_carriers(root: &mut Section<'_>, rewrites: &Names, declared: &mut Declared) -> Vec<Carrier> {
    let mut seen = HashMap::new();
    let mut sections = root.each("carrier");
    let mut names = Vec::new();
    for section in &mut sections {
        let name = section.required("name", "name the carrier: `name = \"…\"`", carrier::name);
        match &name {
            Some(name) => {
                let remedy = "give each carrier its own name; several hosts of one carrier stand in its \
                              `addresses`";
                section.once("name", &mut seen, name.clone(), "is taken", remedy);
                declared.carriers.push(name.clone());
                section.name("carrier", name.as_str());
            }
            None => declared.incomplete = true,
        }
        names.push(name);
    }
    let mut taken_over = Vec::new();
    let mut carriers = Vec::new();
    for (mut section, name) in sections.into_iter().zip(names) {
        carriers.extend(carrier::read(
            &mut section,
            name,
            rewrites,
            &declared.carriers,
            &mut taken_over,
        ));
        section.finish(carrier::INSTEAD);
    }
    carriers
}
