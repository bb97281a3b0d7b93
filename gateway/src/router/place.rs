//! Where a recipient is: its network and country, as far as tables and the rules of numbers tell.

use tidegate_codec::address::{Npi, Ton};
use tidegate_config::Country;

use super::CarrierIndex;
use super::route::digits;
use crate::number::{SHORT_CODE_MAX, plan};
use crate::tables::{MccMnc, NetworkIndex, Tables};

/// What routes ask besides the message: which carriers are up, and where numbers are.
#[derive(Clone, Copy, Debug)]
pub struct World<'t, F> {
    /// Whether a carrier takes messages now.
    pub is_up: F,
    /// Networks, ported numbers and prices.
    pub tables: &'t Tables,
}

impl<F: Fn(CarrierIndex) -> bool> World<'_, F> {
    pub(super) fn is_up(&self, carrier: CarrierIndex) -> bool {
        (self.is_up)(carrier)
    }
}

/// Where a recipient is; nothing is known of short codes and of numbers without their country code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Whether it is an international number at all.
    pub is_international: bool,
    /// Its network's place in the tables.
    pub index: Option<NetworkIndex>,
    /// Its network.
    pub network: Option<MccMnc>,
    /// Its country: the network's, else that of its country code and area code.
    pub country: Option<Country>,
}

impl Place {
    /// Of a recipient as it is kept.
    pub fn of(tables: &Tables, ton: Ton, destination: &[u8]) -> Self {
        let digits = digits(destination);
        let is_short = digits.len() <= SHORT_CODE_MAX && digits.len() == destination.len();
        let is_elsewhere = matches!(ton, Ton::NATIONAL | Ton::NETWORK_SPECIFIC | Ton::ABBREVIATED);
        if is_short || is_elsewhere {
            return Self::default();
        }
        let index = tables.network_of(digits);
        let network = index.and_then(|index| tables.network(index));
        let by_rules = || {
            let number = plan()
                .canonical(Ton::INTERNATIONAL, Npi::ISDN, digits, None)
                .ok()?;
            plan().country_of(&number)
        };
        Self {
            is_international: true,
            index,
            network: network.map(|network| network.mcc_mnc),
            country: network.map(|network| network.country).or_else(by_rules),
        }
    }
}
