//! What counts as a sign that somebody pumps codes, and what follows from it (compliance.md FRD-3, FRD-5, FRD-6).

use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use crate::country_rates::{self, CountryRates};
use crate::problem::Fault;
use crate::retention::{Period, period};
use crate::section::Section;
use crate::value::duration::{hours, minutes};
use crate::value::{choice, duration, integer, shown, text};

/// Table `[abuse]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abuse {
    /// What holds for accounts that say nothing else in their own `abuse`.
    pub rules: AbuseRules,
    /// Key `review_within`, default `"P3D"`, more than nothing: so soon a person is to decide about a suspension.
    pub review_within: Period,
    /// Key `keep_cases`, default `"P12M"`: how long a case is kept once it is decided (FRD-7).
    pub keep_cases: Period,
}

/// Keys of `[abuse]`, and of an account's `abuse`, where what is left out is what `[abuse]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbuseRules {
    /// Key `watch`, default `"otp"`: which messages are watched.
    pub watch: Watch,
    /// Key `number_limit`, messages, default 3, 0 (`None`: no limit) to 1 000: to one number in any `number_within`.
    pub number_limit: Option<NonZeroU16>,
    /// Key `number_within`, default 10 min, 1 min to 1 d.
    pub number_within: Duration,
    /// Key `back_off`, default 1 min, 1 s to 1 d: each message over that limit doubles how long its number gets none,
    pub back_off: Duration,
    /// Key `back_off_max`, default 32 min, `back_off` to 1 d: up to this.
    pub back_off_max: Duration,
    /// Key `number_action`, default `"throttle"`.
    pub number_action: AbuseAction,
    /// Key `prefix_limit`, messages, default 20, 0 (`None`: no limit) to 60 000: in any hour to the numbers that differ in their
    /// last four digits only.
    pub prefix_limit: Option<NonZeroU16>,
    /// Key `prefix_action`, default `"throttle"`.
    pub prefix_action: AbuseAction,
    /// Key `run`, numbers, default 5, 0 (`None`: never) or 2 to 32: so many that follow each other, in an hour.
    pub run: Option<NonZeroU8>,
    /// Key `run_action`, default `"observe"`.
    pub run_action: AbuseAction,
    /// Key `completion`, percent, default 10, 0 (`None`: never) to 100: fewer that a receipt calls delivered,
    pub completion: Option<NonZeroU8>,
    /// Key `completion_over`, messages, default 200, 10 to 60 000: of so many that have ended, to one country or to one prefix,
    pub completion_over: u16,
    /// Key `completion_block`, default 24 h, 1 min to 30 d: close it for so long.
    pub completion_block: Duration,
    /// Key `completion_action`, default `"throttle"`.
    pub completion_action: AbuseAction,
    /// Key `country_day`, default `{}` (no limits): messages to each country in a day of UTC, such as `{ KE = 500, "*" = 5000 }`,
    /// each 0 (no limit) to 1 000 000. What `"*"` names is what all others share.
    pub country_day: CountryRates,
    /// Key `country_action`, default `"throttle"`.
    pub country_action: AbuseAction,
    /// Key `suspect_numbers`, at most 256, first digits of international numbers of kinds that take no messages or cost who calls
    /// back; default the codes that ITU-T E.164 gives to no country's telephones: freephone, shared cost and
    /// premium rate.
    pub suspect_numbers: Vec<String>,
    /// Key `suspect_action`, default `"observe"`.
    pub suspect_action: AbuseAction,
    /// Key `new_country_after`, messages, default 1 000, 0 (`None`: never) to 1 000 000: from so many on, a country to which
    /// the account has sent nothing yet is a sign.
    pub new_country_after: Option<NonZeroU32>,
    /// Key `new_country_action`, default `"observe"`, the only one as long as what is known of countries ends with the process.
    pub new_country_action: AbuseAction,
    /// Key `delivered`, percent, default 30, 0 (`None`: never) to 100: fewer that a receipt calls delivered,
    pub delivered: Option<NonZeroU8>,
    /// Key `delivered_over`, messages, default 1 000, 10 to 60 000: of so many that have ended, wherever they went.
    pub delivered_over: u16,
    /// Key `delivered_action`, default `"observe"`.
    pub delivered_action: AbuseAction,
    /// Key `held_max`, messages, default 1 000, 0 (none) to 100 000: of the account so many may be held at a time. What is beyond is
    /// refused.
    pub held_max: u32,
}

/// Which messages are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// `"off"`: none.
    Off,
    /// `"otp"`: those of category otp.
    Otp,
    /// `"all"`: those of every category.
    All,
}

/// What follows from a signal. It is counted in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbuseAction {
    /// `"observe"`: nothing else.
    Observe,
    /// `"hold"`: the message is taken in, and handed over once a person has released it.
    Hold,
    /// `"throttle"`: the message is refused with 0x0409.
    Throttle,
    /// `"refuse"`, of rules about content alone: it is refused with 0x0407.
    Refuse,
    /// `"suspend_sender"`: so is it, and its sender is suspended, of this account, until a person has decided (FRD-5, FRD-6).
    SuspendSender,
    /// `"suspend"`: so is it, and its account is suspended until a person has decided (FRD-6).
    Suspend,
}

impl AbuseAction {
    const WORDS: [(&'static str, Self); 5] = [
        (Self::Observe.word(), Self::Observe),
        (Self::Hold.word(), Self::Hold),
        (Self::Throttle.word(), Self::Throttle),
        (Self::SuspendSender.word(), Self::SuspendSender),
        (Self::Suspend.word(), Self::Suspend),
    ];

    /// Those of rules about content.
    pub(crate) const OF_CONTENT: [(&'static str, Self); 5] = [
        (Self::Observe.word(), Self::Observe),
        (Self::Hold.word(), Self::Hold),
        (Self::Refuse.word(), Self::Refuse),
        (Self::SuspendSender.word(), Self::SuspendSender),
        (Self::Suspend.word(), Self::Suspend),
    ];

    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Hold => "hold",
            Self::Throttle => "throttle",
            Self::Refuse => "refuse",
            Self::SuspendSender => "suspend_sender",
            Self::Suspend => "suspend",
        }
    }

    /// Whether the message that it follows from is refused.
    pub const fn refuses(self) -> bool {
        match self {
            Self::Observe | Self::Hold => false,
            Self::Throttle | Self::Refuse | Self::SuspendSender | Self::Suspend => true,
        }
    }

    /// Whether what a rule found too few receipts of is closed to the account for a while, or what goes there held. Of a sender
    /// that is suspended the account's others go on.
    pub const fn closes(self) -> bool {
        match self {
            Self::Observe | Self::SuspendSender => false,
            Self::Hold | Self::Throttle | Self::Refuse | Self::Suspend => true,
        }
    }

    /// What follows for a message to what is closed so.
    #[must_use]
    pub const fn of_closed(self) -> Self {
        match self {
            Self::Hold => Self::Hold,
            _ => Self::Throttle,
        }
    }
}

const NUMBER_LIMIT: u16 = 3;
const NUMBER_WITHIN: Duration = minutes(10);
const BACK_OFF: Duration = minutes(1);
const BACK_OFF_MAX: Duration = minutes(32);
const PREFIX_LIMIT: u16 = 20;
const RUN: u8 = 5;
/// What the gateway remembers of a prefix.
const RUN_MAX: u8 = 32;
const COMPLETION: u8 = 10;
const COMPLETION_OVER: u16 = 200;
const COMPLETION_BLOCK: Duration = hours(24);
/// ITU-T E.164, list of assigned codes: universal freephone, shared cost, international premium rate. Satellites and
/// international networks have handsets that take messages.
const SUSPECT_NUMBERS: [&str; 3] = ["800", "808", "979"];
/// A country closed for being new stays closed until one gets through, and a restart makes all of them usual again.
const NEW_COUNTRY_ACTIONS: [(&str, AbuseAction); 1] = [("observe", AbuseAction::Observe)];
const SUSPECT_MAX: usize = 256;
/// Digits of a number (E.164) at most.
const DIGITS_MAX: usize = 15;
const NEW_COUNTRY_AFTER: u32 = 1_000;
const DELIVERED: u8 = 30;
const DELIVERED_OVER: u16 = 1_000;
const HELD_MAX: u32 = 1_000;
const REVIEW_WITHIN: &str = "P3D";
const KEEP_CASES: &str = "P12M";

impl Default for AbuseRules {
    fn default() -> Self {
        Self {
            watch: Watch::Otp,
            number_limit: NonZeroU16::new(NUMBER_LIMIT),
            number_within: NUMBER_WITHIN,
            back_off: BACK_OFF,
            back_off_max: BACK_OFF_MAX,
            number_action: AbuseAction::Throttle,
            prefix_limit: NonZeroU16::new(PREFIX_LIMIT),
            prefix_action: AbuseAction::Throttle,
            run: NonZeroU8::new(RUN),
            run_action: AbuseAction::Observe,
            completion: NonZeroU8::new(COMPLETION),
            completion_over: COMPLETION_OVER,
            completion_block: COMPLETION_BLOCK,
            completion_action: AbuseAction::Throttle,
            country_day: CountryRates::default(),
            country_action: AbuseAction::Throttle,
            suspect_numbers: SUSPECT_NUMBERS.map(str::to_owned).into(),
            suspect_action: AbuseAction::Observe,
            new_country_after: NonZeroU32::new(NEW_COUNTRY_AFTER),
            new_country_action: AbuseAction::Observe,
            delivered: NonZeroU8::new(DELIVERED),
            delivered_over: DELIVERED_OVER,
            delivered_action: AbuseAction::Observe,
            held_max: HELD_MAX,
        }
    }
}

pub(crate) fn read(mut section: Section<'_>) -> Abuse {
    let rules = read_rules(&mut section, &AbuseRules::default());
    let mut named = |key, default: &str| {
        let named = section.optional(key, period);
        // What the program says itself is one; a test reads it.
        named.or_else(|| Period::parse(default))
    };
    let (review_within, keep_cases) = (
        named("review_within", REVIEW_WITHIN),
        named("keep_cases", KEEP_CASES),
    );
    let is_nothing = review_within.is_some_and(|period| period.parts() == (0, 0, 0));
    if is_nothing {
        let fault = Fault::new(
            "nobody decides in no time",
            "give them a day or more: `review_within = \"P3D\"`",
        );
        section.problem("review_within", fault);
    }
    section.finish(&[]);
    Abuse {
        rules,
        review_within: review_within.unwrap_or(Period::ZERO),
        keep_cases: keep_cases.unwrap_or(Period::ZERO),
    }
}

/// An account's own.
pub(crate) fn read_account(mut section: Section<'_>, defaults: &AbuseRules) -> AbuseRules {
    let rules = read_rules(&mut section, defaults);
    section.finish(&[
        ("review_within", "write it in `[abuse]`"),
        ("keep_cases", "write it in `[abuse]`"),
    ]);
    rules
}

fn read_rules(section: &mut Section<'_>, defaults: &AbuseRules) -> AbuseRules {
    let limit = |limit: Option<NonZeroU16>| limit.map_or(0, NonZeroU16::get);
    let percent = |limit: Option<NonZeroU8>| limit.map_or(0, NonZeroU8::get);
    let watch = section.or(
        "watch",
        defaults.watch,
        choice(&[("off", Watch::Off), ("otp", Watch::Otp), ("all", Watch::All)]),
    );
    let number_limit = section.or(
        "number_limit",
        limit(defaults.number_limit),
        integer(0..=1_000_u16),
    );
    let number_within = section.or(
        "number_within",
        defaults.number_within,
        duration(minutes(1)..=hours(24)),
    );
    let second = Duration::from_secs(1);
    let back_off = section.or("back_off", defaults.back_off, duration(second..=hours(24)));
    let back_off_max = section.or(
        "back_off_max",
        defaults.back_off_max,
        duration(second..=hours(24)),
    );
    // What is wrong with the defaults of an account is told where they stand.
    if section.has("back_off") || section.has("back_off_max") {
        section.in_order(("back_off", back_off), ("back_off_max", back_off_max), true);
    }
    let prefix_limit = section.or(
        "prefix_limit",
        limit(defaults.prefix_limit),
        integer(0..=60_000_u16),
    );
    let run = section.or("run", percent(defaults.run), integer(0..=RUN_MAX));
    if run == 1 && section.has("run") {
        let fault = Fault::new(
            format!("{} number follows nothing", shown::value("1")),
            format!("write 2 to {RUN_MAX}, or 0 for never"),
        );
        section.problem("run", fault);
    }
    let completion = section.or("completion", percent(defaults.completion), integer(0..=100_u8));
    let completion_over = section.or(
        "completion_over",
        defaults.completion_over,
        integer(10..=60_000_u16),
    );
    let completion_block = section.or(
        "completion_block",
        defaults.completion_block,
        duration(minutes(1)..=hours(30 * 24)),
    );
    let has_budgets = section.has("country_day");
    let budgets = country_rates::read_key(section, "country_day");
    let country_day = if has_budgets {
        budgets
    } else {
        defaults.country_day.clone()
    };
    let suspect_numbers = section
        .list("suspect_numbers", 0..=SUSPECT_MAX, text(first_digits))
        .unwrap_or_else(|| defaults.suspect_numbers.clone());
    let new_country_after = section.or(
        "new_country_after",
        defaults.new_country_after.map_or(0, NonZeroU32::get),
        integer(0..=1_000_000_u32),
    );
    let delivered = section.or("delivered", percent(defaults.delivered), integer(0..=100_u8));
    let delivered_over = section.or(
        "delivered_over",
        defaults.delivered_over,
        integer(10..=60_000_u16),
    );
    let held_max = section.or("held_max", defaults.held_max, integer(0..=100_000_u32));
    let new_country_action = section.or(
        "new_country_action",
        defaults.new_country_action,
        choice(const { &NEW_COUNTRY_ACTIONS }),
    );
    let mut action = |key, default| {
        let words = const { &AbuseAction::WORDS };
        section.or(key, default, choice(words))
    };
    AbuseRules {
        watch,
        number_limit: NonZeroU16::new(number_limit),
        number_within,
        back_off,
        back_off_max,
        number_action: action("number_action", defaults.number_action),
        prefix_limit: NonZeroU16::new(prefix_limit),
        prefix_action: action("prefix_action", defaults.prefix_action),
        run: NonZeroU8::new(run),
        run_action: action("run_action", defaults.run_action),
        completion: NonZeroU8::new(completion),
        completion_over,
        completion_block,
        completion_action: action("completion_action", defaults.completion_action),
        country_day,
        country_action: action("country_action", defaults.country_action),
        suspect_numbers,
        suspect_action: action("suspect_action", defaults.suspect_action),
        new_country_after: NonZeroU32::new(new_country_after),
        new_country_action,
        delivered: NonZeroU8::new(delivered),
        delivered_over,
        delivered_action: action("delivered_action", defaults.delivered_action),
        held_max,
    }
}

fn first_digits(text: &str) -> Result<String, Fault> {
    if (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not how an international number begins", shown::value(text)),
        "write digits without the plus: \"979\"",
    ))
}

impl AbuseRules {
    /// How many messages a country may get in a day, and whether it shares them with all that are not named; `None`: as many
    /// as come.
    pub fn budget_of(&self, country: Option<[u8; 2]>) -> Option<(NonZeroU32, bool)> {
        self.country_day.of(country)
    }

    /// Whether an international number, without the plus, is of a kind that takes no messages.
    pub fn is_suspect(&self, number: &[u8]) -> bool {
        self.suspect_numbers
            .iter()
            .any(|digits| number.starts_with(digits.as_bytes()))
    }
}
