//! What a carrier takes for a part, by network or prefix.

use std::io::Read;

use hashbrown::HashMap;
use tidegate_config::Price;

use super::csv::Rows;
use super::digits::{KEY_DIGITS, Number, span};
use super::networks::{MccMnc, NetworkIndex, Networks};
use super::problem::FileProblems;
use super::spans::{Span, steps};
use super::steps::{NONE, Steps};

/// Rows of a file of prices, at most: 24 octets each while it is read, some 27 afterwards.
pub const PRICE_ROWS_MAX: u64 = 2_000_000;
/// Different prices of one carrier, at most.
pub const PRICES_MAX: usize = 16_000;

const _: () = assert!(PRICES_MAX < NONE as usize);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// Each price once.
    list: Vec<Price>,
    /// Places in the list, by network; [`NONE`] where there is none.
    by_network: Box<[u16]>,
    by_prefix: Steps,
    pub(super) rows: u64,
}

impl Prices {
    /// Reads a file: columns `network` or `prefix`, or both with either filled in each row, and `price`. With
    /// `lenient` a network that is not known is no problem.
    pub(super) fn read(
        input: impl Read,
        networks: &Networks,
        lenient: bool,
        problems: &mut FileProblems,
    ) -> Self {
        let mut prices = Self {
            by_network: vec![NONE; networks.list.len()].into(),
            ..Self::default()
        };
        let mut rows = Rows::new(input, PRICE_ROWS_MAX);
        let Some([network, prefix, price]) = rows.header(["network", "prefix", "price"], problems) else {
            return prices;
        };
        if network.is_none() && prefix.is_none() {
            problems.row(rows.line(), "the header has neither `network` nor `prefix`");
        }
        if price.is_none() {
            problems.value(rows.line(), "price", "the header does not have this column");
        }
        if !problems.is_empty() {
            return prices;
        }
        let mut spans = Vec::new();
        let (mut places, mut lines) = (HashMap::new(), HashMap::new());
        while rows.advance(problems) {
            prices.rows += 1;
            let line = rows.line();
            let of = read_of(rows.value(network), rows.value(prefix), networks, lenient);
            let of = of.map_err(|(column, what)| problems.value(line, column, what));
            let Some(price) = Price::parse(rows.value(price)) else {
                problems.value(line, "price", "no price: write a decimal such as 0.0325");
                continue;
            };
            let place = places.get(&price).copied().or_else(|| {
                let place = u16::try_from(prices.list.len()).ok();
                let place = place.filter(|place| usize::from(*place) < PRICES_MAX)?;
                prices.list.push(price);
                places.insert(price, place);
                Some(place)
            });
            let Some(value) = place else {
                problems.value(line, "price", format!("more than {PRICES_MAX} different prices"));
                continue;
            };
            match of {
                Err(()) | Ok(Of::Unknown) => {}
                Ok(Of::Prefix(start, width)) => spans.push(Span {
                    start,
                    end: start + width,
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    value,
                }),
                Ok(Of::Network(index)) => {
                    if let Some(first) = lines.insert(index, line) {
                        problems.value(line, "network", format!("priced in line {first} already"));
                    }
                    if let Some(place) = prices.by_network.get_mut(usize::from(index.0)) {
                        *place = value;
                    }
                }
            }
        }
        prices.by_prefix = steps(spans, problems);
        prices
    }

    /// The network's price if it has one, else that of the longest prefix: a ported number keeps its prefix, but it
    /// is its network that is paid.
    pub(super) fn of(
        &self,
        network: Option<NetworkIndex>,
        number: impl FnOnce() -> Option<Number>,
    ) -> Option<Price> {
        let by_network = network
            .and_then(|index| self.by_network.get(usize::from(index.0)))
            .filter(|place| **place != NONE);
        let place = match by_network {
            Some(place) => *place,
            None => self.by_prefix.at(number()?.key)?,
        };
        self.list.get(usize::from(place)).copied()
    }

    pub(super) fn octets(&self) -> usize {
        self.list.capacity() * size_of::<Price>() + size_of_val(&*self.by_network) + self.by_prefix.octets()
    }
}

/// Of what a row has the price.
enum Of {
    Network(NetworkIndex),
    /// First key and how many.
    Prefix(u64, u64),
    /// A network that is not known, where that is no problem.
    Unknown,
}

fn read_of(
    network: &[u8],
    prefix: &[u8],
    networks: &Networks,
    lenient: bool,
) -> Result<Of, (&'static str, String)> {
    match (network.is_empty(), prefix.is_empty()) {
        (true, true) => Err(("network", "neither a network nor a prefix in this row".to_owned())),
        (false, false) => Err((
            "network",
            "a network and a prefix in one row: keep one".to_owned(),
        )),
        (true, false) => span(prefix)
            .map(|(start, width)| Of::Prefix(start, width))
            .ok_or_else(|| {
                let what = format!("no prefix: write 1 to {KEY_DIGITS} digits that do not begin with 0");
                ("prefix", what)
            }),
        (false, true) => {
            let code = MccMnc::read(network)
                .ok_or_else(|| ("network", "no MCC and MNC: write 5 or 6 digits".to_owned()))?;
            match networks.index_of(code) {
                Some(index) => Ok(Of::Network(index)),
                None if lenient => Ok(Of::Unknown),
                None => Err(("network", "not in `tables.networks`".to_owned())),
            }
        }
    }
}
