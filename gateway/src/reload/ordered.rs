//! What an operator has ordered of carriers and accounts that a new configuration does not have: an order is about a name, and
//! who moves the name's work to another one must not lift it unawares.

use tidegate_codec::identity::SystemId;
use tidegate_config::{CarrierName, Config};
use tidegate_store::disk::Disk;

use super::left_over::is_taken_over;
use crate::gate::Gate;

impl<D: Disk> Gate<D> {
    /// Why halted carriers cannot go to those that take over from them: at this moment.
    pub(super) fn halted_and_taken_over(&self, removed: &[CarrierName], new: &Config) -> Vec<String> {
        let taken = removed.iter().filter(|name| is_taken_over(name, new));
        let halted = taken.filter_map(|name| Some((name, self.orders().halted(name.as_str())?)));
        halted
            .map(|(name, halted)| {
                format!(
                    "carrier.{name} cannot go: it is {} by an operator, and who takes over would send what waits for it; \
                     `tidegate carrier resume {name}` first, or keep it",
                    halted.how.word()
                )
            })
            .collect()
    }

    /// Orders that would be about nothing, one line each: they are kept, and hold for no other name.
    pub(super) fn orders_without_a_name(
        &self,
        carriers: &[CarrierName],
        accounts: &[SystemId],
    ) -> Vec<String> {
        let orders = self.orders();
        let halted = carriers.iter().filter_map(|name| {
            let how = orders.halted(name.as_str())?.how.word();
            Some(format!("orders.carrier.{name}: {how} by an operator"))
        });
        let suspended = accounts
            .iter()
            .filter(|name| orders.is_suspended(name.as_str()))
            .map(|name| format!("orders.account.{name}: suspended by an operator"));
        let by_case = accounts
            .iter()
            .filter(|name| orders.is_suspended_by_case(name.as_str()))
            .map(|name| format!("orders.account.{name}: suspended by a case of abuse"));
        let closed = accounts
            .iter()
            .filter(|name| orders.closed_ms(name.as_str()).is_some())
            .map(|name| format!("orders.account.{name}: closed by an operator"));
        let senders = accounts.iter().filter_map(|name| {
            let count = orders.senders_of(name.as_str()).count();
            (count > 0).then(|| format!("orders.account.{name}: senders that are suspended: {count}"))
        });
        halted
            .chain(suspended)
            .chain(by_case)
            .chain(senders)
            .chain(closed)
            .map(|line| {
                format!("{line}; this is kept until the name comes back, and holds for no other name")
            })
            .collect()
    }
}
