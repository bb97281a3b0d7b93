//! What the unit tests of several modules share.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};

use crate::addresses::Addresses;
use crate::index::{KnownAs, Leg, Location};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::{Envelope, Form, Stage};
use crate::seal::{KeyId, SealKey};
use crate::service_type::ServiceType;

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(42)
}

pub(crate) fn key(id: u32) -> SealKey {
    SealKey::new(KeyId(id), &[u8::try_from(id).unwrap(); 32])
}

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

pub(crate) fn leg(message: u64, leg: u16) -> Leg {
    Leg {
        message: MessageId(message),
        leg,
        account: NameId(0),
        carrier: None,
        envelope: envelope(),
        stage: Stage::Waiting,
        leased: false,
        attempts: 0,
        due_ms: 100_000,
        at: Location::default(),
        weight: 0,
        born: 0,
        revision: 0,
        known_as: KnownAs::default(),
    }
}
