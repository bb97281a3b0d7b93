//! Rewriting by the rules of the configuration.

use tidegate_codec::address::{ADDR_SM, AddressBuf};
use tidegate_config::RewriteName;
use tidegate_config::rewrite::{Change, RewriteRule, Side};

/// Characters that a rewritten address may have: it must fit submit_sm.
const ADDRESS_MAX: usize = ADDR_SM - 1;

/// One rewrite of the configuration, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rewrite(usize);

/// All of them.
#[derive(Debug)]
pub(super) struct Rewrites {
    names: Vec<RewriteName>,
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    rules: Vec<RewriteRule>,
    then: Option<Rewrite>,
}

impl Rewrites {
    pub(super) fn new(config: &[tidegate_config::Rewrite]) -> Self {
        let names: Vec<RewriteName> = config.iter().map(|rewrite| rewrite.name.clone()).collect();
        let place = |name: &RewriteName| names.iter().position(|known| known == name).map(Rewrite);
        let lists = config.iter().map(|rewrite| List {
            rules: rewrite.rules.clone(),
            then: rewrite.then.as_ref().and_then(place),
        });
        Self {
            lists: lists.collect(),
            names,
        }
    }

    pub(super) fn named(&self, name: &RewriteName) -> Option<Rewrite> {
        self.names.iter().position(|known| known == name).map(Rewrite)
    }

    /// An address as a rewrite, and those behind it, leave it; `None` where one leaves nothing or more than fits.
    pub(super) fn apply(&self, first: Rewrite, side: Side, mut address: AddressBuf) -> Option<AddressBuf> {
        let mut next = Some(first);
        // The configuration has no circles, so none is met twice.
        for _ in 0..self.lists.len() {
            let Some(list) = next.and_then(|Rewrite(place)| self.lists.get(place)) else {
                break;
            };
            let fits = |rule: &&RewriteRule| {
                rule.address == side && address.as_bytes().starts_with(rule.begins.as_bytes())
            };
            if let Some(rule) = list.rules.iter().find(fits) {
                address = changed(rule, &address)?;
            }
            next = list.then;
        }
        Some(address)
    }
}

fn changed(rule: &RewriteRule, address: &AddressBuf) -> Option<AddressBuf> {
    let ton = rule.ton.unwrap_or(address.ton());
    let npi = rule.npi.unwrap_or(address.npi());
    let octets = address.as_bytes();
    let (front, rest) = match &rule.change {
        Change::Whole(whole) => (whole.as_bytes(), &[][..]),
        Change::Front { strip: 0, prefix } if prefix.is_empty() => {
            // Kept as it is, however long it came.
            return AddressBuf::new(ton, npi, octets).ok();
        }
        Change::Front { strip, prefix } => (prefix.as_bytes(), octets.get(*strip..)?),
    };
    let mut room = [0; ADDRESS_MAX];
    let length = front.len() + rest.len();
    let (first, behind) = room.split_at_mut_checked(front.len())?;
    first.copy_from_slice(front);
    behind.get_mut(..rest.len())?.copy_from_slice(rest);
    let octets = room.get(..length).filter(|octets| !octets.is_empty())?;
    AddressBuf::new(ton, npi, octets).ok()
}
