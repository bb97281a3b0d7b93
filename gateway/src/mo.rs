//! The story of one MO: from a carrier's deliver_sm into the outbox of the account that owns the number.

use tidegate_codec::address::{ADDR_DATA, Address};
use tidegate_codec::identity::SystemId;
use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;
use tidegate_store::record::{EntryKind, Form};
use tidegate_store::spool::NewEntry;

use crate::clock::Now;
use crate::gate::Gate;
use crate::number::plan;
use crate::turn::{Owed, Promise};

impl<D: Disk> Gate<D> {
    /// The account that owns a called number. Where the carrier's country is known it is looked up in its canonical form
    /// first, however the carrier writes it; short codes, and what else has none, as they came.
    fn owner_of(&self, carrier: usize, called: Address<'_, ADDR_DATA>) -> Option<SystemId> {
        let config = &self.config.carriers[carrier];
        let label = config.name.as_str();
        let octets = called.addr.as_bytes();
        let canonical = config
            .writing
            .country
            .and_then(|home| plan().canonical(called.ton, called.npi, octets, Some(home)).ok());
        canonical
            .and_then(|number| self.mo.account(label, number.as_bytes()))
            .or_else(|| self.mo.account(label, octets))
    }

    /// A carrier delivers a message from a handset. It is answered when it is on disk (P2); the octets go
    /// on as they came (GEN-4).
    pub(crate) fn mobile_originated(
        &mut self,
        now: Now,
        carrier: usize,
        owed: Owed,
        called: Address<'_, ADDR_DATA>,
        form: Form,
        body: &[u8],
    ) {
        let Some(account) = self.owner_of(carrier, called) else {
            // A refusal would only bring it back for days; it is counted, and nobody's to keep.
            self.carriers[carrier].tally.mos_unowned += 1;
            return self.respond_delivery(owed, CommandStatus::ROK);
        };
        let place = self.account_of(account);
        let Some(place) = place else {
            return self.respond_delivery(owed, CommandStatus::RX_T_APPN);
        };
        let config = &self.config.accounts[place];
        let ttl_ms = u64::try_from(config.outbox_ttl.as_millis()).unwrap_or(u64::MAX);
        let waiting = self.spool.outbox().waiting_for(self.accounts[place].name);
        let entry = NewEntry {
            kind: EntryKind::Mo,
            form,
            expires_ms: now.unix_ms.saturating_add(ttl_ms),
            body,
        };
        // Over the bound the carrier keeps it and tries again (design §5.9).
        let staged = if waiting < config.outbox_max {
            self.spool
                .deliver(now.unix_ms, account, &entry, &mut self.rng)
                .ok()
        } else {
            self.accounts[place].tally.overflow += 1;
            None
        };
        match staged {
            Some(entry) => {
                self.carriers[carrier].tally.mos += 1;
                self.stage_entry_body(entry, body);
                self.promises.push(Promise::Delivery { owed, carrier });
            }
            None => {
                self.carriers[carrier].tally.deliveries_refused += 1;
                self.respond_delivery(owed, CommandStatus::RX_T_APPN);
            }
        }
    }
}
