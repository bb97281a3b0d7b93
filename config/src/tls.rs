//! TLS (SEC-1): what a listener and a carrier link are made of, and what an account asks of its binds.
//!
//! TLS 1.3 is the rule. Below it is an exception with a name and a last day, so that none outlives who asked for it.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::endpoint::{Endpoint, Host};
use crate::problem::Fault;
use crate::retention::RetentionProfile;
use crate::section::Section;
use crate::value::{choice, day, path, shown, text_of};

/// Most characters of an exception's name.
const NAME_MAX: usize = 200;
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// How a connection is protected; each is better than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Not at all.
    Clear,
    /// By TLS 1.2.
    Tls12,
    /// By TLS 1.3.
    Tls13,
}

const TRANSPORTS: &[(&str, Transport)] = &[
    ("clear", Transport::Clear),
    ("tls1.2", Transport::Tls12),
    ("tls1.3", Transport::Tls13),
];

impl Transport {
    /// As the file has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Tls12 => "tls1.2",
            Self::Tls13 => "tls1.3",
        }
    }
}

/// Who may do for a while what nobody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Key `name`, required, 1 to 200 characters: for whom, and who agreed to it.
    pub name: String,
    /// Key `until`, required, such as `2027-03-31`: its last day, in UTC. Here its end, in unix milliseconds.
    pub ends_ms: u64,
}

impl Exception {
    /// Whether it still holds.
    pub const fn holds(&self, unix_ms: u64) -> bool {
        unix_ms < self.ends_ms
    }
}

/// Key `tls` of a `[[listen]]`, or `admin_tls` of `[http]`, default absent: plain TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// Key `certificate`, required: a file of PEM, the listener's certificate and behind it those that lead to its CA.
    pub certificate: PathBuf,
    /// Key `key`, required: a file of PEM, the certificate's private key.
    pub key: PathBuf,
    /// Key `tls12`, default absent: TLS 1.2 is accepted, too, by this exception.
    pub tls12: Option<Exception>,
    /// Key `client_ca`, default absent: a file of PEM with the CAs of clients' certificates; without it no client is asked
    /// for one.
    pub client_ca: Option<PathBuf>,
    /// Key `client_certificate`, default `"required"`, with `client_ca` only. `"optional"`: a client may have none, but none
    /// that is not good.
    pub client_required: bool,
}

/// Keys `min_transport` and `transport_exception` of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTransport {
    /// Key `min_transport`, `"clear"`, `"tls1.2"` or `"tls1.3"`: what its binds need at least; any other gets 0x0D. The default, and the
    /// least that it may be, is what the account's retention profile asks for (`min_tls`); without a profile `"clear"`.
    pub min: Transport,
    /// Key `transport_exception`, default absent: `{ min_transport = "…", name = "…", until = … }`, what they need at least as
    /// long as it holds. It is below `min_transport`.
    pub exception: Option<(Transport, Exception)>,
}

impl AccountTransport {
    /// Everything goes.
    pub const ANY: Self = Self {
        min: Transport::Clear,
        exception: None,
    };

    /// Whether carriers in clear text by an exception are not for its messages: it asks for TLS 1.3, by itself or by its retention
    /// profile (SEC-1). That it may do with less for a while changes nothing.
    pub fn keeps_out_clear_text(&self) -> bool {
        self.min == Transport::Tls13
    }

    /// Whether a bind over this is good enough at this time, and by which exception if it is only by one.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn allows(&self, transport: Transport, unix_ms: u64) -> Result<Option<&Exception>, TooWeak> {
        if transport >= self.min {
            return Ok(None);
        }
        let excepted = self.exception.as_ref();
        let excepted = excepted.filter(|(min, exception)| transport >= *min && exception.holds(unix_ms));
        excepted.map(|(_, exception)| Some(exception)).ok_or(TooWeak)
    }
}

/// A bind over less than its account asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooWeak;

/// Key `tls` of a `[[carrier]]`, default absent: plain TCP. TLS 1.3 only, and the carrier's certificate is always checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierTls {
    /// Key `server_name`, default the host of each address: the name, or IP address, that the carrier's certificate must have.
    /// A name is told to the carrier in the handshake (SNI).
    pub server_name: Option<Host>,
    /// Key `ca`, required: a file of PEM with the CAs of which the carrier's certificate must be.
    pub ca: PathBuf,
    /// Keys `certificate` and `key`, default absent, both or none: files of PEM, our own certificate with those that lead to its
    /// CA, and its private key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Reads the key `tls` of a `[[carrier]]`.
pub(crate) fn read_carrier(section: &mut Section<'_>) -> Option<CarrierTls> {
    if !section.has("tls") {
        return None;
    }
    let mut tls = section.section("tls");
    let server_name = tls.optional("server_name", Host::read);
    let ca = tls.required(
        "ca",
        "name the file with the CAs of the carrier's certificate",
        path,
    );
    let certificate = tls.optional("certificate", path);
    let key = tls.optional("key", path);
    for (has, other) in [("certificate", "key"), ("key", "certificate")] {
        if tls.has(has) && !tls.has(other) {
            tls.missing(
                other,
                "name both files, of the certificate and of its private key, or neither",
            );
        }
    }
    tls.finish(&[(
        "verify",
        "the carrier's certificate is always checked: for one that no CA issued, name the certificate itself as `ca`",
    )]);
    Some(CarrierTls {
        server_name,
        ca: ca?,
        own: certificate.zip(key),
    })
}

/// Reads the key `clear_text` of a `[[carrier]]`.
pub(crate) fn read_clear_text(section: &mut Section<'_>, addresses: &[Endpoint]) -> Option<Exception> {
    let exception = read_exception(section, "clear_text");
    if section.has("tls") {
        if section.has("clear_text") {
            let fault = Fault::new(
                "excepts nothing: the links have `tls`",
                "take one of the two away",
            );
            section.problem("clear_text", fault);
        }
    } else if !section.has("clear_text") && addresses.iter().any(|there| !there.host().is_loopback()) {
        section.missing(
            "tls",
            "name the CAs of its certificate: `tls = { ca = \"…\" }`; or say who agreed to clear text, and until when: \
             `clear_text = { name = \"…\", until = 2027-03-31 }`",
        );
    }
    exception
}

/// Reads the key of a listener, `tls` or `admin_tls`.
pub(crate) fn read_listener(section: &mut Section<'_>, key: &'static str) -> Option<ListenerTls> {
    if !section.has(key) {
        return None;
    }
    let mut tls = section.section(key);
    let certificate = tls.required("certificate", "name the file of the certificate", path);
    let key = tls.required("key", "name the file of the certificate's private key", path);
    let tls12 = read_exception(&mut tls, "tls12");
    let client_ca = tls.optional("client_ca", path);
    let how = choice(&[("required", true), ("optional", false)]);
    let client_required = tls.or("client_certificate", true, how);
    if tls.has("client_certificate") && client_ca.is_none() {
        tls.missing("client_ca", "name the file with the CAs of clients' certificates");
    }
    tls.finish(&[(
        "min_version",
        "TLS 1.3 is the least; for 1.2 write `tls12 = { name = \"…\", until = 2027-03-31 }`",
    )]);
    Some(ListenerTls {
        certificate: certificate?,
        key: key?,
        tls12,
        client_ca,
        client_required,
    })
}

fn read_exception(section: &mut Section<'_>, key: &'static str) -> Option<Exception> {
    if !section.has(key) {
        return None;
    }
    let mut table = section.section(key);
    let exception = exception(&mut table);
    table.finish(&[]);
    exception
}

fn exception(table: &mut Section<'_>) -> Option<Exception> {
    let name = table.required("name", "say for whom it is, and who agreed: `name = \"…\"`", name);
    let until = table.required("until", "give its last day: `until = 2027-03-31`", day);
    Some(Exception {
        name: name?,
        ends_ms: until? + DAY_MS,
    })
}

fn name(value: &DeValue<'_>) -> Result<String, Fault> {
    let text = text_of(value)?;
    let fits = (1..=NAME_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        Fault::new(
            format!("{} is no name", shown::value(text)),
            format!("give 1 to {NAME_MAX} characters"),
        )
    })
}

/// Reads what an account asks of its binds: what its profile does, or more (SEC-1).
pub(crate) fn read_account(
    section: &mut Section<'_>,
    profile: Option<&RetentionProfile>,
) -> AccountTransport {
    let least = profile.map_or(Transport::Clear, |profile| profile.min_tls.transport());
    let mut min = section.or("min_transport", least, choice(TRANSPORTS));
    if let Some(profile) = profile.filter(|_| min < least) {
        let fault = Fault::new(
            format!(
                "{} is less than {}, which {} asks for",
                min.label(),
                least.label(),
                profile.name
            ),
            "take it away; what is to do with less for a while is an exception: \
             `transport_exception = { min_transport = \"clear\", name = \"…\", until = 2027-03-31 }`",
        );
        section.problem("min_transport", fault);
        min = least;
    }
    let mut excepted = None;
    if section.has("transport_exception") {
        let mut table = section.section("transport_exception");
        let remedy = "say what is enough for so long: `min_transport = \"tls1.2\"` or \"clear\"";
        let lower = table.required("min_transport", remedy, choice(TRANSPORTS));
        if let Some(lower) = lower.filter(|lower| *lower >= min) {
            table.problem(
                "min_transport",
                Fault::new(
                    format!("{} excepts nothing from {}", lower.label(), min.label()),
                    "set it below what the account or its profile asks for, or take the exception away",
                ),
            );
        }
        excepted = lower.zip(exception(&mut table));
        table.finish(&[]);
    }
    AccountTransport {
        min,
        exception: excepted,
    }
}
