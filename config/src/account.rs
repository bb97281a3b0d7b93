//! What a customer's `system_id` may do.

mod caps;
mod category;
mod consent;
mod destinations;
mod numbering;
mod opt_outs;
mod retention;

use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use ipnet::IpNet;
use tidegate_codec::identity::SystemId;
use tidegate_codec::text::DefaultAlphabet;
use tidegate_codec::values::BindKind;

use crate::abuse::{self, AbuseRules};
use crate::content::ScreeningMode;
use crate::country::Country;
use crate::country_rates::{self, CountryRates};
use crate::limits::Limits;
use crate::password_hash::PasswordHash;
use crate::problem::Fault;
use crate::quota::{self, Quota};
use crate::retention::Retention;
use crate::rewrite::Names;
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::tls::{self, AccountTransport};
use crate::value::duration::hours;
use crate::value::{boolean, choice, duration, duration_or_off, integer, shown, text, text_of};
use crate::words::{self, AccountWords};

pub use caps::{Cap, CapRules, OverCap};
pub(crate) use category::CATEGORIES;
pub use category::{CategoryRules, SenderSettings, may_be_marketing};
pub use consent::ConsentMode;
pub use destinations::{Approval, CountryMode, CountryModes, Destinations};
pub use numbering::{AccountNumbers, CountrySender, Numbering};
pub use opt_outs::{OptIn, OptOutRules, OptOutScope, OptedOut};
pub use retention::{RetentionInstruction, RetentionTerms};

/// One `[[account]]`. Its `system_id` is unique in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Key `system_id`, required: 1 to 15 printable ASCII characters.
    pub system_id: SystemId,
    /// Key `password_hashes`, required: one or two, both valid, so that a password can be changed with
    /// overlap (SEC-5). `tidegate hash-password` makes them.
    pub password_hashes: Vec<PasswordHash>,
    /// Key `state`, default `"active"`.
    pub state: AccountState,
    /// Key `max_binds`, default 10, 1 to 10 000: binds at a time, of all kinds together.
    pub max_binds: usize,
    /// Key `binds`, default all of `["tx", "rx", "trx"]`.
    pub binds: BindKinds,
    /// Key `rate`, parts per second over all binds, default 0 (`None`: no limit), at most 1 000 000.
    pub rate: Option<NonZeroU32>,
    /// Keys `quota_day`, `quota_month`, `quota_zone`: parts that may be accepted in a day and in a month.
    pub quota: Quota,
    /// Key `link_rate`, parts per second of each bind by itself, default 0 (`None`: no limit), at most 1 000 000.
    pub link_rate: Option<NonZeroU32>,
    /// Key `country_rates`, parts per second to each country over all binds, default `{}`; see [`CountryRates`].
    pub country_rates: CountryRates,
    /// Key `weight`, default 1, 1 to 1 000: the account's share, in parts, of a carrier that several wait for, against
    /// the weights of the others. Where nobody waits it changes nothing.
    pub weight: NonZeroU16,
    /// Key `window`, 1 to 10 000, default `limits.esme_window`: unanswered submits of one link.
    pub window: usize,
    /// Key `delivery_window`, 1 to 10 000, default `limits.delivery_window`: unanswered deliveries to one
    /// link.
    pub delivery_window: usize,
    /// Key `allow_ips`, default `[]` (any), at most 256: networks or single addresses to bind from; see
    /// [`Account::allows_ip`].
    pub allow_ips: Vec<IpNet>,
    /// What its connections must be protected by.
    pub transport: AccountTransport,
    /// Key `message_id`, default `"decimal"`: how the account sees our message ids.
    pub message_id: MessageIdForm,
    /// Key `default_validity`, 1 s to 30 d, not above `max_validity`, default absent: validity of submits
    /// that state none. Absent: the default of the route's first carrier.
    pub default_validity: Option<Duration>,
    /// Key `max_validity`, default 72 h, 1 s to 30 d: longer ones are cut to it.
    pub max_validity: Duration,
    /// Key `outbox_max`, entries, default 1 000 000, 1 to 100 000 000: deliveries that may wait for a
    /// bind. At it a receipt makes no entry (the state stays queryable, `outbox_overflow` alarms) and an
    /// MO is answered 0x64 (design §5.9).
    pub outbox_max: usize,
    /// Key `outbox_ttl`, default 72 h, 1 s to 31 d: an entry that nobody fetched for so long is swept and
    /// counted (interop #17 asks for days).
    pub outbox_ttl: Duration,
    /// Key `duplicate_window`, default `"0s"` (`None`: every submit is a message of its own), 1 s to 24 h: for so
    /// long the same body from the same account is the same message, and its id is answered again. A restart
    /// forgets.
    pub duplicate_window: Option<Duration>,
    /// Key `receipt_text`, default `false`: whether receipts quote the first 20 characters of their message. These are
    /// then kept, sealed on disk and in memory, until the message is final.
    pub receipt_text: bool,
    /// Key `default_alphabet`, default `"gsm7"`: what `data_coding` 0 means in its texts.
    pub default_alphabet: DefaultAlphabet,
    /// Key `long_message_outcome`, default `"all"`: what a message has come to whose text a carrier gets in parts.
    pub long_message_outcome: PartsOutcome,
    /// Key `outside_hours`, default `"defer"`: what becomes of marketing outside the hours of its recipient (QH-7).
    pub outside_hours: OutsideHours,
    /// Key `consent`, default `"off"`: whether marketing needs its recipient's consent (CON-4), given to the account or its
    /// brand.
    pub consent: ConsentMode,
    /// How many of its messages one person may get.
    pub caps: CapRules,
    /// Key `screening`, default `"off"`: whether its texts are looked at (FRD-4), where its terms allow that.
    pub screening: ScreeningMode,
    /// Key `abuse`, default `{}`: what is otherwise for it than in `[abuse]`.
    pub abuse: AbuseRules,
    /// Key `senders`, default `[]` (any), at most 1 024: source addresses the account may use, exact or
    /// with a `*` at the end, compared with the source as it is kept (behind rewriting, and canonical where numbers are);
    /// see [`Account::allows_sender`].
    pub senders: Vec<SenderPattern>,
    /// How it writes addresses.
    pub numbering: Numbering,
    /// What its messages are for.
    pub category: CategoryRules,
    /// Where they may go.
    pub destinations: Destinations,
    /// What opt-outs of its recipients reach, and what they are told.
    pub opt_outs: OptOutRules,
    /// What words mean in texts to it.
    pub words: AccountWords,
    /// How long what is stored of it is kept.
    pub retention: RetentionTerms,
}

/// What an account may do at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Everything its other settings allow.
    Active,
    /// No binds and no submits; what waits for it is kept.
    Suspended,
    /// Binds to fetch what waits for it, but no submits.
    Closing,
}

/// What a message has come to whose parts are handed over one by one, each with an outcome of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsOutcome {
    /// `"all"`: it has arrived when all have; the first that fails is its end, and what no carrier has by then is not sent
    /// any more.
    All,
    /// `"first"`: what the first part comes to. Receipts are asked for of that one only.
    First,
    /// `"last"`: the same of the last part.
    Last,
    /// `"worst"`: all are sent, and when all have ended it is the worst of them.
    Worst,
}

/// What becomes of a message outside the hours in which its recipient may get it (QH-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideHours {
    /// `"defer"`: it is taken, and waits for the next opening and a time drawn from `sending_hours.jitter` behind it, as
    /// long as it is valid.
    Defer,
    /// `"reject"`: it is refused with 0x0402.
    Reject,
}

/// How message ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageIdForm {
    /// Decimal digits of 64 bits.
    Decimal,
    /// Hex digits of 64 bits.
    Hex,
    /// 8 hex digits, unique among the account's live messages: what SMPP 3.3 clients can hold.
    Hex8,
}

/// A set of kinds of bind, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindKinds {
    transmitter: bool,
    receiver: bool,
    transceiver: bool,
}

impl BindKinds {
    /// All three.
    pub const ALL: Self = Self {
        transmitter: true,
        receiver: true,
        transceiver: true,
    };

    /// Whether a bind of this kind is allowed.
    pub const fn allows(self, kind: BindKind) -> bool {
        match kind {
            BindKind::Transmitter => self.transmitter,
            BindKind::Receiver => self.receiver,
            BindKind::Transceiver => self.transceiver,
        }
    }

    /// Whether any of them can submit.
    pub const fn can_submit(self) -> bool {
        self.transmitter || self.transceiver
    }

    fn from_list(kinds: &[BindKind]) -> Self {
        Self {
            transmitter: kinds.contains(&BindKind::Transmitter),
            receiver: kinds.contains(&BindKind::Receiver),
            transceiver: kinds.contains(&BindKind::Transceiver),
        }
    }
}

impl Account {
    /// Whether the account may bind from this address. IPv4 addresses in IPv6 form count as IPv4, since
    /// that is how a listener on `[::]` sees them.
    pub fn allows_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allow_ips.is_empty() || self.allow_ips.iter().any(|net| net.contains(&ip))
    }

    /// Whether the account may submit with this source address to a recipient in this country. The country is asked
    /// for only where it decides; a recipient of no country is in none of those listed.
    pub fn allows_sender(&self, sender: &[u8], country: impl FnOnce() -> Option<Country>) -> bool {
        let by_country = &self.numbering.senders_by_country;
        if self.senders.is_empty() && by_country.is_empty() {
            return true;
        }
        if self.senders.iter().any(|pattern| pattern.matches(sender)) {
            return true;
        }
        let mut fitting = by_country
            .iter()
            .filter(|entry| entry.sender.matches(sender))
            .peekable();
        if fitting.peek().is_none() {
            return false;
        }
        country().is_some_and(|country| fitting.any(|entry| entry.countries.contains(&country)))
    }
}

const MAX_BINDS: usize = 10;
const MAX_VALIDITY: Duration = hours(72);
const OUTBOX_MAX: usize = 1_000_000;
const OUTBOX_TTL: Duration = hours(72);

/// Reads one `[[account]]` whose name has been read already; `limits` fills the windows it does not set,
/// `profiles` are those that it may name.
pub(crate) fn read(
    section: &mut Section<'_>,
    system_id: Option<SystemId>,
    limits: &Limits,
    rewrites: &Names,
    (profiles, abuse): (&Retention, &AbuseRules),
) -> Option<Account> {
    if !section.has("password_hashes") {
        section.missing(
            "password_hashes",
            "run `tidegate hash-password` and write its output here: `password_hashes = [\"$argon2id$…\"]`",
        );
    }
    let password_hashes = section.list("password_hashes", 1..=2, text(PasswordHash::parse));
    let state = section.or(
        "state",
        AccountState::Active,
        choice(&[
            ("active", AccountState::Active),
            ("suspended", AccountState::Suspended),
            ("closing", AccountState::Closing),
        ]),
    );
    let max_binds = section.or("max_binds", MAX_BINDS, integer(1..=10_000));
    let binds = read_bind_kinds(section);
    let rate = NonZeroU32::new(section.or("rate", 0, integer(0..=1_000_000)));
    let quota = quota::read(section);
    let link_rate = NonZeroU32::new(section.or("link_rate", 0, integer(0..=1_000_000)));
    let country_rates = country_rates::read(section);
    let weight = NonZeroU16::new(section.or("weight", 1, integer(1..=1_000))).unwrap_or(NonZeroU16::MIN);
    let window = section.or("window", limits.esme_window, integer(1..=10_000));
    let delivery_window = section.or("delivery_window", limits.delivery_window, integer(1..=10_000));
    let allow_ips = section.list("allow_ips", 0..=256, network).unwrap_or_default();
    let message_id = section.or(
        "message_id",
        MessageIdForm::Decimal,
        choice(&[
            ("decimal", MessageIdForm::Decimal),
            ("hex", MessageIdForm::Hex),
            ("hex8", MessageIdForm::Hex8),
        ]),
    );
    let validity = || duration(Duration::from_secs(1)..=hours(30 * 24));
    let default_validity = section.optional("default_validity", validity());
    let max_validity = section.or("max_validity", MAX_VALIDITY, validity());
    if let Some(default) = default_validity {
        section.in_order(
            ("default_validity", default),
            ("max_validity", max_validity),
            true,
        );
    }
    let outbox_max = section.or("outbox_max", OUTBOX_MAX, integer(1..=100_000_000));
    let outbox_ttl = section.or(
        "outbox_ttl",
        OUTBOX_TTL,
        duration(Duration::from_secs(1)..=hours(31 * 24)),
    );
    let duplicate_window = section.or(
        "duplicate_window",
        None,
        duration_or_off(Duration::from_secs(1)..=hours(24)),
    );
    let receipt_text = section.or("receipt_text", false, boolean);
    let default_alphabet = section.or(
        "default_alphabet",
        DefaultAlphabet::Gsm7,
        choice(crate::carrier::ALPHABETS),
    );
    let long_message_outcome = section.or(
        "long_message_outcome",
        PartsOutcome::All,
        choice(&[
            ("all", PartsOutcome::All),
            ("first", PartsOutcome::First),
            ("last", PartsOutcome::Last),
            ("worst", PartsOutcome::Worst),
        ]),
    );
    let outside_hours = section.or(
        "outside_hours",
        OutsideHours::Defer,
        choice(&[("defer", OutsideHours::Defer), ("reject", OutsideHours::Reject)]),
    );
    let consent = consent::read(section);
    let caps = caps::read(section);
    let screening = section.or(
        "screening",
        ScreeningMode::Off,
        choice(const { &ScreeningMode::WORDS }),
    );
    let abuse = abuse::read_account(section.section("abuse"), abuse);
    let senders = section
        .list("senders", 0..=1_024, text(SenderPattern::parse))
        .unwrap_or_default();
    let numbering = numbering::read(section, &senders, rewrites);
    let category = category::read(section);
    let destinations = destinations::read(section, &numbering);
    let retention = retention::read(section, profiles, numbering.country);
    let profile = retention
        .profile
        .as_deref()
        .and_then(|name| profiles.profile(name));
    let transport = tls::read_account(section, profile);
    let opt_outs = opt_outs::read(section, system_id.as_ref().map_or("", SystemId::as_str));

    Some(Account {
        system_id: system_id?,
        password_hashes: password_hashes?,
        state,
        max_binds,
        binds,
        rate,
        quota,
        link_rate,
        country_rates,
        weight,
        window,
        delivery_window,
        allow_ips,
        transport,
        message_id,
        default_validity,
        max_validity,
        outbox_max,
        outbox_ttl,
        duplicate_window,
        receipt_text,
        default_alphabet,
        long_message_outcome,
        outside_hours,
        consent,
        caps,
        screening,
        abuse,
        senders,
        numbering,
        category,
        destinations,
        opt_outs,
        words: words::read(section),
        retention,
    })
}

/// What people write instead of the right key, with what to do.
pub(crate) const INSTEAD: &[(&str, &str)] = &[
    (
        "password",
        "passwords do not stand in the file: run `tidegate hash-password` and use `password_hashes`",
    ),
    (
        "password_hash",
        "write a list of one or two: `password_hashes = [\"…\"]`",
    ),
];

pub(crate) fn system_id(value: &toml::de::DeValue<'_>) -> Result<SystemId, Fault> {
    text_of(value)?
        .parse::<SystemId>()
        .map_err(|error| Fault::new(error.to_string(), "use 1 to 15 ASCII letters, digits or signs"))
}

fn read_bind_kinds(section: &mut Section<'_>) -> BindKinds {
    let kinds = section.list(
        "binds",
        1..=3,
        choice(&[
            ("tx", BindKind::Transmitter),
            ("rx", BindKind::Receiver),
            ("trx", BindKind::Transceiver),
        ]),
    );
    kinds.map_or(BindKinds::ALL, |kinds| BindKinds::from_list(&kinds))
}

pub(crate) fn network(value: &toml::de::DeValue<'_>) -> Result<IpNet, Fault> {
    let text = text_of(value)?;
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            Fault::new(
                format!("{} is no network", shown::value(text)),
                "write an address or a network, such as \"192.0.2.7\" or \"192.0.2.0/24\"",
            )
        })?;
    if net.trunc() != net {
        return Err(Fault::new(
            format!("{net} has bits set behind its prefix"),
            format!(
                "write \"{}\" for the network or \"{}\" for the one address",
                net.trunc(),
                net.addr()
            ),
        ));
    }
    Ok(net)
}
