//! How long what is stored is kept: five profiles that come with the program, with dates and sources, what
//! jurisdictions add to them, and what an operator adds to both (compliance.md §7). What a rule means for a record is
//! the store's business.

mod period;
mod read;
#[cfg(test)]
mod tests;
mod words;

use std::sync::LazyLock;
use std::time::Duration;

use jiff::civil::Date;
use toml::de::DeTable;

use crate::country::Country;
use crate::hours::Jurisdiction;
use crate::problem::Report;
use crate::section::Section;
use crate::tls::Transport;
use crate::value::{duration, integer};

pub use period::Period;
pub(crate) use period::period;
pub(crate) use read::is_delivered;
pub(crate) use words::CLASSES;
pub use words::{DataClass, RuleAction, RuleAnchor, RuleKind, Standing};

/// The profiles and overlays that come with the program.
const RULES: &str = include_str!("../data/retention.toml");
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
const SWEEP_BUDGET: usize = 10_000;

/// Table `[retention]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The program's own, and tables `[[retention.profile]]`, at most 64.
    pub profiles: Vec<RetentionProfile>,
    /// The program's own, and tables `[[retention.overlay]]`, at most 512, which add to them.
    pub overlays: Vec<RetentionOverlay>,
    /// Key `sweep_every`, default 1 h, 1 min to 12 h: how often what is due is removed (RET-4).
    pub sweep_every: Duration,
    /// Key `sweep_budget`, default 10 000, 1 to 1 000 000: lots that one sweep removes at most; the next goes on (RET-6).
    pub sweep_budget: usize,
}

/// What holds for the accounts that name it (compliance.md §7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionProfile {
    /// Key `name`, required, 1 to 32 of a-z, 0-9, _ and -, and none of the program's own five.
    pub name: String,
    /// Tables `rule`, at most 128. A class without one is not stored (RET-1).
    pub rules: Vec<RetentionRule>,
    /// Key `erasure_sla`, required: within what time of its due date nobody can bring a record back (RET-4).
    pub erasure_sla: Period,
    /// Key `request_due`, required: within what time a person's request is answered (DSR-1).
    pub request_due: Period,
    /// Key `request_due_max`, default absent (`request_due`): the same with an extension, in total.
    pub request_due_max: Option<Period>,
    /// Key `notice_before_change`, required.
    pub notice: Notice,
    /// Key `age`, default `[]` (none asked for), at most 64 of `{ years = 16, countries = ["FR"], or_local = true }`:
    /// how old a person is at least (DSR-6).
    pub ages: Vec<AgeRule>,
    /// Key `min_tls`, required: `"1.2"`, `"1.3"`, or `"secure"` for any TLS: what binds of its accounts need at least, but by
    /// a `transport_exception`.
    pub min_tls: MinTls,
    /// Key `source`, required, 1 to 200 characters: where the profile comes from.
    pub source: String,
    /// Key `checked`, required, such as `"2026-11-29"`: when somebody last looked there.
    pub checked: Date,
}

/// One row (compliance.md §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Key `class`, required: of what; at most one limit of each.
    pub class: DataClass,
    /// Key `kind`, required.
    pub kind: RuleKind,
    /// Key `anchor`, required: from when it counts.
    pub anchor: RuleAnchor,
    /// Key `after`, required.
    pub after: RuleAfter,
    /// Key `action`, required: `"keep"` of a floor, one of the others else.
    pub action: RuleAction,
    /// Key `extend`, default false, of a limit only: an account's instruction may move it later.
    pub extend: bool,
    /// Key `shorten`, default false, of a limit only: an account's instruction may move it earlier.
    pub shorten: bool,
    /// Key `why`, default empty, up to 200 characters.
    pub why: String,
    /// Key `source`, required, 1 to 200 characters: where it comes from.
    pub source: String,
    /// Key `standing`, required: how sure it is. It is for people; nothing goes by it.
    pub standing: Standing,
    /// Key `checked`, required, such as `"2026-11-29"`: when somebody last looked there.
    pub checked: Date,
}

/// A rule of a jurisdiction, for every profile: a floor or a ceiling, with the keys of a profile's rules and
/// `jurisdiction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionOverlay {
    /// Key `jurisdiction`, required: a country as `"US"`, or a state of the USA or a province of Canada as `"US-FL"`.
    pub jurisdiction: Jurisdiction,
    /// The rule.
    pub rule: RetentionRule,
}

/// How long after its anchor a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAfter {
    /// A duration of ISO 8601, such as `"P90D"`.
    Period(Period),
    /// `"no-store"`, of a limit of `body` or `attach` only: not stored beyond delivery.
    NoStore,
    /// `"never"`: of a limit until deleted, of a floor for ever.
    Never,
}

/// How the account is told before the profile changes, and how long what lengthens then waits (RET-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `"posted"`: it is published.
    Posted,
    /// `"advance-notice"`: the account is told before, by no set time.
    Advance,
    /// `"email-if-rights-change"`: by e-mail, where rights change.
    EmailIfRightsChange,
    /// A duration: so long before.
    Period(Period),
}

/// How old a person is at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeRule {
    /// Key `years`, required, 1 to 99.
    pub years: u8,
    /// Key `countries`, default `[]` (everywhere), at most 256.
    pub countries: Vec<Country>,
    /// Key `or_local`, default false: or what the law of the place says.
    pub or_local: bool,
}

/// What connections need at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinTls {
    /// `"1.2"`.
    Tls12,
    /// `"1.3"`.
    Tls13,
    /// `"secure"`: any TLS.
    Secure,
}

impl MinTls {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
            Self::Secure => "secure",
        }
    }

    /// What binds of its accounts need at least (SEC-1): of any TLS we speak none older than 1.2.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Tls12 | Self::Secure => Transport::Tls12,
            Self::Tls13 => Transport::Tls13,
        }
    }
}

impl Notice {
    /// How long what lengthens waits; `None` where no time is set.
    pub const fn period(self) -> Option<Period> {
        match self {
            Self::Period(period) => Some(period),
            Self::Posted | Self::Advance | Self::EmailIfRightsChange => None,
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Posted => f.write_str("posted"),
            Self::Advance => f.write_str("advance-notice"),
            Self::EmailIfRightsChange => f.write_str("email-if-rights-change"),
            Self::Period(period) => write!(f, "{period}"),
        }
    }
}

impl std::fmt::Display for RuleAfter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Period(period) => write!(f, "{period}"),
            Self::NoStore => f.write_str("no-store"),
            Self::Never => f.write_str("never"),
        }
    }
}

impl RuleAfter {
    /// Whether it may be later than another from the same anchor, on any day there is.
    pub fn may_exceed(self, other: Self) -> bool {
        match (self, other) {
            (Self::Period(period), Self::Period(other)) => period.may_exceed(other),
            (Self::NoStore, _) | (_, Self::Never) => false,
            (_, Self::NoStore) | (Self::Never, _) => true,
        }
    }
}

impl RetentionProfile {
    /// The limit of a class, of which there is one at most.
    pub fn limit(&self, class: DataClass) -> Option<&RetentionRule> {
        let mut rules = self.rules.iter();
        rules.find(|rule| (rule.class, rule.kind) == (class, RuleKind::Limit))
    }

    /// Classes without a rule, of which nothing is stored (RET-1).
    pub fn missing(&self) -> impl Iterator<Item = DataClass> {
        let classes = CLASSES.iter().map(|(_, class)| *class);
        classes.filter(|class| self.rules.iter().all(|rule| rule.class != *class))
    }
}

impl Retention {
    /// The profile of a name.
    pub fn profile(&self, name: &str) -> Option<&RetentionProfile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// What these jurisdictions add: of a state its country's, too.
    pub fn overlays_of<'r>(
        &'r self,
        jurisdictions: &'r [Jurisdiction],
    ) -> impl Iterator<Item = &'r RetentionOverlay> {
        self.overlays.iter().filter(|overlay| {
            let of = overlay.jurisdiction;
            jurisdictions.iter().any(|jurisdiction| {
                of == *jurisdiction || (of.region.is_none() && of.country == jurisdiction.country)
            })
        })
    }
}

impl Default for Retention {
    fn default() -> Self {
        shipped().clone()
    }
}

pub(crate) fn read(mut section: Section<'_>) -> Retention {
    let mut retention = shipped().clone();
    let own = read::profiles(&mut section, &retention.profiles);
    retention.profiles.extend(own);
    retention.overlays.extend(read::overlays(&mut section));
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
    retention.sweep_every = section.or("sweep_every", SWEEP_EVERY, duration(minute..=12 * hour));
    retention.sweep_budget = section.or("sweep_budget", SWEEP_BUDGET, integer(1..=1_000_000));
    section.finish(&[
        ("profiles", "write `[[retention.profile]]`, once for each"),
        ("overlays", "write `[[retention.overlay]]`, once for each"),
    ]);
    retention
}

/// The program's own, read once. A test holds that nothing is wrong with them.
fn shipped() -> &'static Retention {
    static OWN: LazyLock<Retention> = LazyLock::new(|| read_text(RULES).0);
    &OWN
}

fn read_text(text: &str) -> (Retention, Report) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let report = Report::new(text, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let retention = Retention {
        profiles: read::profiles(&mut root, &[]),
        overlays: read::overlays(&mut root),
        sweep_every: SWEEP_EVERY,
        sweep_budget: SWEEP_BUDGET,
    };
    root.finish(&[]);
    (retention, report)
}
