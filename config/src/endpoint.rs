//! Where a carrier listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use toml::de::DeValue;

use crate::problem::Fault;
use crate::value::{shown, text_of};

/// A host and a port, `host:port`. Names are resolved at each connection attempt, not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

/// The host of an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A name for the resolver: labels of letters, digits, `-` and `_`, at most 253 characters.
    Name(String),
}

impl Host {
    /// A host without a port.
    pub(crate) fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let text = text_of(value)?;
        let ip = text.parse().ok().map(Self::Ip);
        ip.or_else(|| is_name(text).then(|| Self::Name(text.to_owned())))
            .ok_or_else(|| {
                Fault::new(
                    format!("{} is no host", shown::value(text)),
                    "write \"smsc.example.net\" or an IP address, without a port",
                )
            })
    }
}

impl Endpoint {
    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let text = text_of(value)?;
        Self::parse(text).ok_or_else(|| {
            Fault::new(
                format!("{} is no host with a port", shown::value(text)),
                "write \"smsc.example.net:2775\", \"192.0.2.7:2775\" or \"[2001:db8::7]:2775\"",
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let plain = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| plain && *port != 0)?;
        let host = if let Some(inner) = host.strip_prefix('[') {
            Host::Ip(IpAddr::V6(inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?))
        } else if let Ok(ip) = host.parse::<Ipv4Addr>() {
            Host::Ip(IpAddr::V4(ip))
        } else {
            is_name(host).then(|| Host::Name(host.to_owned()))?
        };
        Some(Self { host, port })
    }
}

impl Host {
    /// Whether it is this machine, by its address or as `localhost`. Any other name may be anywhere.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// A literal address's family and the local address's must agree; a name may have both.
    pub(crate) fn reachable_from(&self, local: IpAddr) -> bool {
        match self {
            Self::Ip(ip) => ip.is_ipv4() == local.is_ipv4(),
            Self::Name(_) => true,
        }
    }
}

fn is_name(name: &str) -> bool {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // `10.0.0.256` is a slip of the pen, not a name: no top-level domain is a number.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label_fits) && !name.rsplit('.').next().is_some_and(is_number)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_read_and_print_alike() {
        for text in [
            "127.0.0.1:2900",
            "[2001:db8::7]:2775",
            "smsc-1.example.net:2775",
            "localhost:1",
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        for text in [
            "",
            ":2775",
            "localhost",
            "localhost:0",
            "localhost:+1",
            "localhost:70000",
            "10.0.0.256:1",
            "2001:db8::7:2775",
            "[::1:2775",
            "[1.2.3.4]:1",
            "a..b:1",
            "-a:1",
            "a b:1",
            "smpp://a:1",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
