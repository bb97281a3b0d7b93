//! Who is restricted (DSR-4): nothing is sent there, and what comes from there is kept and not handed on.

use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{DataSm, Sm};
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
        source.is_some_and(|source| self.is_source_restricted(account, source))
    }

    fn is_source_restricted(&self, account: NameId, source: AddressBuf) -> bool {
        let place = self.account_named(account);
        self.is_named_restricted(account, &self.recipient(place, source))
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
