//! What history is to hold of a message from a handset, and whether its account may see it at all.

use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::Disk;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::Received;

use crate::clock::Now;
use crate::gate::Gate;
use crate::keywords::Text;
use crate::number::E164;
use crate::standing::opt_out;

impl<D: Disk> Gate<D> {
    /// Who wrote a message to an account: the number in its canonical form where it has one, since whose country a national one
    /// was written in is not known later.
    pub(super) fn written_by(&self, text: &Text<'_>, account: usize) -> AddressBuf {
        let of_carrier = self.config.carriers[text.carrier].writing.country;
        let home = of_carrier.or(self.config.accounts[account].numbering.country);
        let (ton, npi) = text.sender_ton_npi;
        let canonical = opt_out::number(ton, npi, text.sender, home)
            .and_then(|number| AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, E164::as_bytes(&number)).ok());
        // What came over the wire is no longer than an address may be.
        canonical.unwrap_or_else(|| AddressBuf::new(ton, npi, text.sender).unwrap_or_default())
    }

    /// A message from a handset, as history is to hold it.
    pub(super) fn received<'r>(
        now: Now,
        text: &Text<'_>,
        written_by: &AddressBuf,
        expires_ms: u64,
        (carrier, form, body): (&'r str, Form, &'r [u8]),
    ) -> Received<'r> {
        // Both PDUs begin with it.
        let service_type = body.split(|octet| *octet == 0).next().unwrap_or_default();
        Received {
            envelope: Envelope {
                addresses: Addresses::new(written_by, &text.called.to_buf()),
                form,
                interface_version: 0,
                id_form: 0,
                registered_delivery: 0,
                priority: 0,
                category: 0,
                parts: 1,
                data_coding: text.data_coding.0,
                lot: 0,
                service_type: ServiceType::new(service_type).unwrap_or_default(),
                charge: 0,
                accepted_ms: now.unix_ms,
                expires_ms,
            },
            carrier,
            body,
        }
    }
}
