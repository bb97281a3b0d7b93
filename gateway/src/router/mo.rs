//! MO: which account a handset's message belongs to.

use tidegate_codec::identity::SystemId;
use tidegate_config::{MoRoute, NumberPattern};

/// MO: called number → account.
#[derive(Debug)]
pub struct MoRouter {
    /// Most specific first: exact before prefix, longer before shorter, with a carrier before without.
    routes: Vec<MoRoute>,
}

impl MoRouter {
    /// Sorts the routes once, so that the first match is the right one.
    pub fn new(routes: &[MoRoute]) -> Self {
        let mut routes = routes.to_vec();
        routes.sort_by_key(|route| {
            let (prefix, length) = match &route.number {
                NumberPattern::Exact(number) => (false, number.len()),
                NumberPattern::Prefix(prefix) => (true, prefix.len()),
            };
            (prefix, std::cmp::Reverse(length), route.carrier.is_none())
        });
        Self { routes }
    }

    /// The account that owns the called number, as seen from this carrier.
    pub fn account(&self, carrier: &str, number: &[u8]) -> Option<SystemId> {
        let number = number.strip_prefix(b"+").unwrap_or(number);
        let found = self.routes.iter().find(|route| {
            let matches = match &route.number {
                NumberPattern::Exact(exact) => exact.as_bytes() == number,
                NumberPattern::Prefix(prefix) => number.starts_with(prefix.as_bytes()),
            };
            matches && route.carrier.as_ref().is_none_or(|only| only.as_str() == carrier)
        })?;
        Some(found.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(routes: &str) -> tidegate_config::Config {
        let base = include_str!("../../../config/bench.toml");
        tidegate_config::parse(&format!("{base}\n{routes}")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn a_called_number_belongs_to_the_most_specific_route() {
        let config = config(
            "[[route.mo]]\nnumber = \"4477*\"\naccount = \"load1\"\n\
             [[route.mo]]\nnumber = \"447700900123\"\naccount = \"load2\"\n\
             [[route.mo]]\nnumber = \"4477*\"\ncarrier = \"sink\"\naccount = \"load3\"\n",
        );
        let router = MoRouter::new(&config.mo_routes);
        let account = |carrier, number: &[u8]| router.account(carrier, number).map(|id| id.to_string());
        assert_eq!(account("sink", b"447700900123").as_deref(), Some("load2"));
        assert_eq!(account("sink", b"+447700900124").as_deref(), Some("load3"));
        assert_eq!(account("other", b"447700900124").as_deref(), Some("load1"));
        assert_eq!(account("sink", b"33123"), None);
    }
}
