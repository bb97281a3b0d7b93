//! Who is restricted (DSR-4): nothing is sent there, and what comes from there is kept and not handed on.

use hashbrown::HashSet;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_config::Country;
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::names::NameId;
use tidegate_store::record::Form;

use super::Recipient;
use crate::gate::Gate;

impl<D: Disk> Gate<D> {
    /// Whether somebody is restricted for an account, by its place.
    pub(crate) fn is_restricted(&self, account: usize, person: &Recipient) -> bool {
        self.restricts(self.config.accounts[account].system_id, person)
    }

    /// The same of the recipient of a leg, whose account the configuration may no longer have.
    pub(super) fn is_leg_restricted(&self, leg: &Leg, recipient: &Recipient) -> bool {
        !self.restricts_nobody() && self.is_named_restricted(leg.account, recipient)
    }

    /// Whether an MO that waits for its account is from somebody who is restricted by now.
    pub(crate) fn is_mo_restricted(&self, account: NameId, form: Form, body: &[u8]) -> bool {
        if self.restricts_nobody() {
            return false;
        }
        let source = match form {
            Form::Sm => Sm::decode(body).ok().map(|sm| sm.source.to_buf()),
            Form::DataSm => DataSm::decode(body).ok().map(|sm| sm.source.to_buf()),
        };
        // It was read when it came.
        source.is_some_and(|source| self.is_source_restricted(account, &source))
    }

    /// A national number was written in the carrier's country where that is known, else in the account's; which carrier brought it is
    /// not kept with what waits. So it is withheld if it is a restricted person's in any of these.
    fn is_source_restricted(&self, account: NameId, source: &AddressBuf) -> bool {
        let of_account = self
            .account_named(account)
            .map(|account| &self.config.accounts[account]);
        let carriers = self.config.carriers.iter();
        let homes = carriers
            .map(|carrier| carrier.writing.country)
            .chain([of_account.and_then(|account| account.numbering.country), None]);
        let homes: HashSet<Option<Country>> = homes.collect();
        homes
            .into_iter()
            .any(|home| self.is_named_restricted(account, &Recipient::new(source.clone(), home)))
    }

    fn is_named_restricted(&self, account: NameId, person: &Recipient) -> bool {
        let name = self.spool.names().name(account);
        SystemId::new(name.as_bytes()).is_ok_and(|account| self.restricts(account, person))
    }

    fn restricts_nobody(&self) -> bool {
        let keeping = self.keeping();
        keeping.is_none_or(|keeping| keeping.claims().restrict_nobody())
    }

    fn restricts(&self, account: SystemId, person: &Recipient) -> bool {
        let written = person.address().as_bytes();
        self.keeping()
            .is_some_and(|keeping| keeping.claims().restrict(account, written, || person.person()))
    }
}
