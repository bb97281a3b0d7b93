//! From the table `[[carrier]]` to a [`Carrier`].

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::identity::SYSTEM_TYPE_MAX;
use tidegate_codec::values::InterfaceVersion;
use toml::de::DeValue;

use super::{Carrier, CarrierBinds, CarrierName, IdBase, IdBases, ReceiptRequest, SecretSource, Unanswered};
use crate::account::system_id;
use crate::country_rates;
use crate::endpoint::Endpoint;
use crate::limits::read_enquire_link;
use crate::problem::Fault;
use crate::rewrite::Names;
use crate::section::Section;
use crate::storage::is_variable;
use crate::value::duration::{hours, minutes};
use crate::value::{boolean, choice, duration, integer, path, printable, shown, text_of};

const LINKS: usize = 1;
const WINDOW: usize = 10;
const DEFAULT_VALIDITY: Duration = hours(24);
const MAX_VALIDITY: Duration = hours(72);
const RECEIPT_DEADLINE: Duration = hours(74);
const CONNECT: Duration = Duration::from_secs(10);
const BIND_RESPONSE: Duration = Duration::from_secs(10);
const RESPONSE: Duration = Duration::from_secs(30);
const RECONNECT: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60);
const MAX_ATTEMPTS: u32 = 10;
const RETRY: RangeInclusive<Duration> = Duration::from_secs(5)..=minutes(10);
/// Codes of receipts that mean an opt-out, and characters of one.
const CODES_MAX: usize = 64;
const CODE_MAX: usize = 8;
/// Carriers that one may take over.
const TAKES_OVER_MAX: usize = 64;
/// Size of an address_range field without its NUL (SMPP 3.4 §5.2.7).
const ADDRESS_RANGE_MAX: usize = 40;

const VERSIONS: &[(&str, InterfaceVersion)] = &[
    ("3.3", InterfaceVersion::V3_3),
    ("3.4", InterfaceVersion::V3_4),
    ("5.0", InterfaceVersion::V5_0),
];
const ID_BASES: &[(&str, IdBase)] = &[
    ("as-given", IdBase::AsGiven),
    ("decimal", IdBase::Decimal),
    ("hex", IdBase::Hex),
];

/// What people write instead of the right key, with what to do.
pub(crate) const INSTEAD: &[(&str, &str)] = &[
    (
        "password",
        "passwords do not stand in the file: name its file with `password_file` or its environment \
         variable with `password_env`",
    ),
    ("address", "write a list: `addresses = [\"host:port\"]`"),
    ("host", "write `addresses = [\"host:port\"]`"),
    ("port", "write `addresses = [\"host:port\"]`"),
];

/// Reads one `[[carrier]]` whose name has been read already. `declared` has the names of all, `taken` gathers those that
/// are taken over.
pub(crate) fn read(
    section: &mut Section<'_>,
    name: Option<CarrierName>,
    rewrites: &Names,
    declared: &[CarrierName],
    taken: &mut Vec<CarrierName>,
) -> Option<Carrier> {
    let (addresses, local_address) = read_addresses(section);
    let tls = crate::tls::read_carrier(section);
    let clear_text = crate::tls::read_clear_text(section, addresses.as_deref().unwrap_or_default());
    let binds = section.or(
        "binds",
        CarrierBinds::Transceiver,
        choice(&[("trx", CarrierBinds::Transceiver), ("tx+rx", CarrierBinds::Pair)]),
    );
    let links = section.or("links", LINKS, integer(1..=64));
    let window = section.or("window", WINDOW, integer(1..=10_000));
    let rate = NonZeroU32::new(section.or("rate", 0, integer(0..=1_000_000)));
    let country_rates = country_rates::read(section);
    let opted_out_codes = section.list("opted_out_codes", 0..=CODES_MAX, printable(CODE_MAX));
    let system_id = section.required(
        "system_id",
        "write the name that the carrier gave you: `system_id = \"…\"`",
        system_id,
    );
    let password = read_password(section);
    let system_type = section.or("system_type", String::new(), printable(SYSTEM_TYPE_MAX - 1));
    let addr_ton = Ton(section.or("addr_ton", 0, integer(0..=u8::MAX)));
    let addr_npi = Npi(section.or("addr_npi", 0, integer(0..=u8::MAX)));
    let address_range = section.or("address_range", String::new(), printable(ADDRESS_RANGE_MAX));
    let interface_version = section.or("interface_version", InterfaceVersion::V3_4, choice(VERSIONS));
    if interface_version == InterfaceVersion::V3_3 && binds == CarrierBinds::Transceiver {
        section.problem(
            "interface_version",
            Fault::new(
                "SMPP 3.3 has no bind_transceiver",
                "add `binds = \"tx+rx\"`, or bind with \"3.4\"",
            ),
        );
    }
    let assume_version = section.or("assume_version", InterfaceVersion::V3_4, choice(VERSIONS));

    let validity = || duration(Duration::from_secs(1)..=hours(30 * 24));
    let max_validity = section.or("max_validity", MAX_VALIDITY, validity());
    let default_validity = section.or("default_validity", DEFAULT_VALIDITY.min(max_validity), validity());
    section.in_order(
        ("default_validity", default_validity),
        ("max_validity", max_validity),
        true,
    );
    let receipt_deadline = section.or(
        "receipt_deadline",
        RECEIPT_DEADLINE,
        duration(Duration::from_secs(1)..=hours(31 * 24)),
    );
    let request_receipts = section.or(
        "request_receipts",
        ReceiptRequest::AsAsked,
        choice(&[
            ("as-asked", ReceiptRequest::AsAsked),
            ("always", ReceiptRequest::Always),
        ]),
    );
    let id_base = read_id_bases(section);
    let unanswered = section.or(
        "unanswered",
        Unanswered::Resend,
        choice(&[
            ("resend", Unanswered::Resend),
            ("wait", Unanswered::Wait),
            ("fail", Unanswered::Fail),
        ]),
    );

    let answer = |most| duration(Duration::from_millis(100)..=most);
    let connect = section.or("connect", CONNECT, answer(minutes(5)));
    let bind_response = section.or("bind_response", BIND_RESPONSE, answer(minutes(5)));
    let (enquire_link, enquire_link_response) = read_enquire_link(section);
    let response = section.or("response", RESPONSE, answer(minutes(10)));
    let (reconnect_min, reconnect_max) =
        read_back_off(section, ["reconnect_min", "reconnect_max"], RECONNECT, hours(1));
    let detect_receipts_by_text = section.or("detect_receipts_by_text", false, boolean);
    let verdicts = super::verdicts::read(section);
    let max_attempts = section.or("max_attempts", MAX_ATTEMPTS, integer(1..=1_000));
    let (retry_min, retry_max) = read_back_off(section, ["retry_min", "retry_max"], RETRY, hours(24));
    let writing = super::writing::read(section, rewrites);
    let texts = super::texts::read(section);
    let prices = section.optional("prices", path);
    let takes_over = read_takes_over(section, declared, taken);

    Some(Carrier {
        name: name?,
        addresses: addresses?,
        local_address,
        tls,
        clear_text,
        binds,
        links,
        window,
        rate,
        country_rates,
        opted_out_codes: opted_out_codes.unwrap_or_default(),
        system_id: system_id?,
        password: password?,
        system_type,
        addr_ton,
        addr_npi,
        address_range,
        interface_version,
        assume_version,
        default_validity,
        max_validity,
        receipt_deadline,
        request_receipts,
        id_base,
        unanswered,
        connect,
        bind_response,
        enquire_link,
        enquire_link_response,
        response,
        reconnect_min,
        reconnect_max,
        detect_receipts_by_text,
        verdicts,
        max_attempts,
        retry_min,
        retry_max,
        writing,
        texts,
        prices,
        takes_over,
    })
}

/// A carrier's name, here and in routes.
pub(crate) fn name(value: &DeValue<'_>) -> Result<CarrierName, Fault> {
    let text = text_of(value)?;
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if !fits {
        return Err(Fault::new(
            format!("{} is no carrier name", shown::value(text)),
            "use 1 to 32 of a–z, 0–9, _ and -",
        ));
    }
    Ok(CarrierName(text.to_owned()))
}

/// Whose messages a carrier takes over: nobody's that still stands in the file, and nobody's that another one takes.
fn read_takes_over(
    section: &mut Section<'_>,
    declared: &[CarrierName],
    taken: &mut Vec<CarrierName>,
) -> Vec<CarrierName> {
    let takes_over = section.list("takes_over", 0..=TAKES_OVER_MAX, |value| {
        let name = name(value)?;
        if declared.contains(&name) {
            return Err(Fault::new(
                format!("carrier {} still stands in the file", shown::value(name.as_str())),
                "take its `[[carrier]]` away, too, or move its messages with `tidegate queue move`",
            ));
        }
        if taken.contains(&name) {
            return Err(Fault::new(
                format!("{} is taken over already", shown::value(name.as_str())),
                "name it once",
            ));
        }
        taken.push(name.clone());
        Ok(name)
    });
    takes_over.unwrap_or_default()
}

fn read_addresses(section: &mut Section<'_>) -> (Option<Vec<Endpoint>>, Option<IpAddr>) {
    let local_address = section.optional("local_address", |value| {
        let text = text_of(value)?;
        text.parse::<IpAddr>().map_err(|_| {
            Fault::new(
                format!("{} is no IP address", shown::value(text)),
                "write one of this machine's addresses, without a port",
            )
        })
    });
    if !section.has("addresses") {
        section.missing(
            "addresses",
            "say where the carrier listens: `addresses = [\"host:port\"]`",
        );
    }
    let addresses = section.list("addresses", 1..=16, |value| {
        let endpoint = Endpoint::read(value)?;
        match local_address {
            Some(local) if !endpoint.host().reachable_from(local) => Err(Fault::new(
                format!("{endpoint} cannot be reached from local_address {local}"),
                "use IPv4 for both or IPv6 for both",
            )),
            _ => Ok(endpoint),
        }
    });
    (addresses, local_address)
}

/// Exactly one of two keys. Neither value is repeated in a fault: it may be the password itself.
fn read_password(section: &mut Section<'_>) -> Option<SecretSource> {
    let file = section.optional("password_file", |value| path(value).map(SecretSource::File));
    let env = section.optional("password_env", |value| {
        let text = text_of(value)?;
        is_variable(text).then(|| SecretSource::Env(text.to_owned())).ok_or_else(|| {
            Fault::new(
                "not the name of an environment variable",
                "write the variable's name, letters, digits and _; the password stands in the environment",
            )
        })
    });
    match (section.has("password_file"), section.has("password_env")) {
        (true, true) => section.problem(
            "password_env",
            Fault::new(
                "two places for one password",
                "keep password_file or password_env",
            ),
        ),
        (false, false) => section.missing(
            "password_file",
            "name the file that holds the password, or its environment variable with `password_env`",
        ),
        _ => {}
    }
    file.or(env)
}

fn read_id_bases(section: &mut Section<'_>) -> IdBases {
    let mut table = section.section("id_base");
    let bases = IdBases {
        response: table.or("response", IdBase::AsGiven, choice(ID_BASES)),
        receipt: table.or("receipt", IdBase::AsGiven, choice(ID_BASES)),
    };
    table.finish(&[]);
    if (bases.response == IdBase::AsGiven) != (bases.receipt == IdBase::AsGiven) {
        section.problem(
            "id_base",
            Fault::new(
                "text on one side and a number on the other never match",
                "set both `response` and `receipt` to \"decimal\" or \"hex\", or leave both \"as-given\"",
            ),
        );
    }
    bases
}

fn read_back_off(
    section: &mut Section<'_>,
    [min_key, max_key]: [&'static str; 2],
    default: RangeInclusive<Duration>,
    most: Duration,
) -> (Duration, Duration) {
    let bounds = || duration(Duration::from_millis(10)..=most);
    let min = section.or(min_key, *default.start(), bounds());
    let max = section.or(max_key, *default.end(), bounds());
    section.in_order((min_key, min), (max_key, max), true);
    (min, max)
}
