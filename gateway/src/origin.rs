//! Where ESMEs connect from, and how many connections there are of one place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tidegate_codec::session::State;
use tidegate_store::disk::Disk;

use crate::gate::Gate;
use crate::links::LinkId;

/// What counts as one place: an IPv4 address, or the /64 of an IPv6 one, inside which its owner has any address. IPv4
/// addresses in IPv6 form count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// One address.
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for Origin {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(upper) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*upper) << 64)),
        }
    }
}

/// Neither an address nor a /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address, such as 192.0.2.7 or 2001:db8::1 (which stands for its /64)")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        if let Some(prefix) = text.strip_suffix("/64") {
            return prefix.parse().map(Self::v6).map_err(|_| NoOrigin);
        }
        text.parse::<IpAddr>().map(Self::from).map_err(|_| NoOrigin)
    }
}

impl Origin {
    fn v6(ip: Ipv6Addr) -> Self {
        Self::from(IpAddr::V6(ip))
    }

    /// An address of it.
    pub const fn address(self) -> IpAddr {
        match self {
            Self::V4(ip) => IpAddr::V4(ip),
            Self::V6(upper) => IpAddr::V6(Ipv6Addr::from_bits((upper as u128) << 64)),
        }
    }
}

/// Connections of ESMEs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Bound or not.
    pub all: usize,
    /// Of one origin.
    pub from_here: usize,
    /// Of these, not bound yet (interop #37). Those that are being unbound are none: whoever leaves may come back at
    /// once.
    pub unbound_from_here: usize,
}

/// How many connections of ESMEs there are of each place, so that the next one is judged without looking at all.
#[derive(Debug, Default)]
pub(crate) struct Crowds {
    all: usize,
    /// Of the places that have any.
    of: HashMap<Origin, Here>,
}

/// Connections of one place.
#[derive(Debug, Default)]
struct Here {
    links: usize,
    /// Those that were not bound when they were last looked at: `max_unbound_per_ip` bounds them.
    unbound: Vec<LinkId>,
}

impl Crowds {
    /// One more, that is not bound.
    pub(crate) fn came(&mut self, id: LinkId, ip: IpAddr) {
        self.all += 1;
        let here = self.of.entry(Origin::from(ip)).or_default();
        here.links += 1;
        here.unbound.push(id);
    }

    /// One less.
    pub(crate) fn left(&mut self, id: LinkId, ip: IpAddr) {
        self.all -= 1;
        if let Entry::Occupied(mut entry) = self.of.entry(Origin::from(ip)) {
            let here = entry.get_mut();
            here.links -= 1;
            here.unbound.retain(|there| *there != id);
            if here.links == 0 {
                entry.remove();
            }
        }
    }

    /// How many there are.
    pub(crate) const fn all(&self) -> usize {
        self.all
    }

    /// Counts them; `is_unbound` says whether one is still there that may become bound.
    pub(crate) fn seen_from(&mut self, origin: Origin, is_unbound: impl Fn(LinkId) -> bool) -> Crowd {
        let mut crowd = Crowd {
            all: self.all,
            ..Crowd::default()
        };
        if let Some(here) = self.of.get_mut(&origin) {
            // Once bound, never unbound again.
            here.unbound.retain(|id| is_unbound(*id));
            crowd.from_here = here.links;
            crowd.unbound_from_here = here.unbound.len();
        }
        crowd
    }
}

impl<D: Disk> Gate<D> {
    /// Counts connections.
    pub fn crowd(&mut self, origin: Origin) -> Crowd {
        self.links.crowd(origin)
    }
}

/// Whether a link in this state may still become bound.
pub(crate) const fn may_bind(state: State) -> bool {
    matches!(state, State::Open | State::Outbound | State::Binding { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(ip: &str) -> Origin {
        Origin::from(ip.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_64_is_one_place_and_a_mapped_address_is_the_one_it_stands_for() {
        assert_eq!(origin("2001:db8:1:2::7"), origin("2001:db8:1:2:ffff::"));
        assert_ne!(origin("2001:db8:1:2::7"), origin("2001:db8:1:3::7"));
        assert_eq!(origin("::ffff:192.0.2.7"), origin("192.0.2.7"));
        assert_ne!(origin("192.0.2.7"), origin("192.0.2.8"));
    }

    #[test]
    fn what_is_shown_is_what_is_read() {
        for (ip, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(origin(ip).to_string(), shown);
            assert_eq!(shown.parse(), Ok(origin(ip)));
            assert_eq!(ip.parse(), Ok(origin(ip)));
            assert_eq!(Origin::from(origin(ip).address()), origin(ip));
        }
        for wrong in ["", "192.0.2.0/24", "192.0.2.7/64", "2001:db8::/48", "localhost"] {
            assert_eq!(wrong.parse::<Origin>(), Err(NoOrigin), "{wrong}");
        }
    }
}
