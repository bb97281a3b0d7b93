//! What the unit tests of several modules share.

use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_store::addresses::Addresses;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::service_type::ServiceType;

pub(crate) fn envelope() -> Envelope {
    Envelope {
        addresses: Addresses::new(
            &AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
            &AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        ),
        form: Form::Sm,
        interface_version: 0x34,
        id_form: 0,
        registered_delivery: 1,
        priority: 0,
        category: 0,
        parts: 1,
        data_coding: 0,
        lot: 0,
        service_type: ServiceType::new(b"CMT").unwrap(),
        charge: 0,
        accepted_ms: 1_000,
        expires_ms: 100_000,
    }
}
