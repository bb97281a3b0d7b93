//! Addresses and TLVs in a carrier's words.

use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::category::CATEGORY;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_config::rewrite::Side;
use tidegate_config::{CarrierNumbers, TonNpi, Writing};
use tidegate_store::addresses::Addresses;

use super::{Addressing, is_number_like, number};
use crate::number::{E164_MAX, SHORT_CODE_MAX, plan};

/// A message in a carrier's words.
#[derive(Clone, Debug)]
pub(crate) struct Words<'c> {
    pub(crate) source: AddressBuf,
    pub(crate) destination: AddressBuf,
    pub(crate) writing: &'c Writing,
}

impl Words<'_> {
    /// The TLVs of the message without what is for us and those that the carrier does not want, and with those that it
    /// wants. `scratch` holds them where they are others than before.
    pub(crate) fn tlvs<'a>(&self, tlvs: Tlvs<'a>, scratch: &'a mut Vec<u8>) -> Tlvs<'a> {
        let (dropped, added) = (&self.writing.drop_tlvs, &self.writing.add_tlvs);
        if dropped.is_empty() && added.is_empty() && tlvs.get(CATEGORY).is_none() {
            return tlvs;
        }
        let is_kept = |tag: Tag| {
            tag != CATEGORY && !dropped.contains(&tag) && !added.iter().any(|added| added.tag == tag)
        };
        scratch.clear();
        for tlv in tlvs {
            if is_kept(tlv.tag) {
                // It came out of a PDU.
                let _ = append(scratch, tlv.tag, tlv.value.0);
            }
        }
        for tlv in added {
            // The configuration holds it to 255 octets.
            let _ = append(scratch, tlv.tag, &tlv.value);
        }
        Tlvs::new(scratch)
    }
}

impl Addressing {
    /// The addresses of a message in the words of a carrier.
    ///
    /// # Errors
    ///
    /// What the message ends with where rewriting left nothing of an address, or more than fits.
    pub(crate) fn towards<'c>(
        &self,
        carrier: usize,
        writing: &'c Writing,
        kept: &Addresses,
    ) -> Result<Words<'c>, CommandStatus> {
        let write = |side, address: AddressBuf, ton_npi: &TonNpi| {
            let address = match writing.numbers {
                CarrierNumbers::AsGiven => address,
                _ => in_form(writing, address),
            };
            let address = match self.of_carrier.get(carrier).copied().flatten() {
                Some(rewrite) => self.rewrites.apply(rewrite, side, address)?,
                None => address,
            };
            Some(with_ton_npi(ton_npi, address))
        };
        let source = write(Side::Source, kept.source(), &writing.source_ton_npi);
        let destination = write(
            Side::Destination,
            kept.destination(),
            &writing.destination_ton_npi,
        );
        Ok(Words {
            source: source.ok_or(CommandStatus::RINVSRCADR)?,
            destination: destination.ok_or(CommandStatus::RINVDSTADR)?,
            writing,
        })
    }
}

/// A number as the carrier wants numbers; what is no international number as it is.
fn in_form(writing: &Writing, address: AddressBuf) -> AddressBuf {
    if address.ton() == Ton::ALPHANUMERIC {
        return address;
    }
    let Ok(number) = number(&address, None) else {
        return address;
    };
    let digits = number.as_bytes();
    let mut room = [b'+'; E164_MAX + 1];
    let (ton, octets) = match writing.numbers {
        CarrierNumbers::AsGiven | CarrierNumbers::International => (Ton::INTERNATIONAL, digits),
        CarrierNumbers::Plus => {
            let (_, behind) = room.split_at_mut(1);
            for (place, digit) in behind.iter_mut().zip(digits) {
                *place = *digit;
            }
            (Ton::INTERNATIONAL, room.get(..=digits.len()).unwrap_or_default())
        }
        CarrierNumbers::National => {
            let home = writing.country;
            let national = home.and_then(|country| plan().national_of(&number, country));
            national.map_or((Ton::INTERNATIONAL, digits), |digits| (Ton::NATIONAL, digits))
        }
    };
    // Some digits fit every field.
    AddressBuf::new(ton, Npi::ISDN, octets).unwrap_or(address)
}

/// The same address with the TON and NPI that the carrier wants for what it is.
fn with_ton_npi(ton_npi: &TonNpi, address: AddressBuf) -> AddressBuf {
    if *ton_npi == TonNpi::default() {
        return address;
    }
    let octets = address.as_bytes();
    let says_number = matches!(address.ton(), Ton::INTERNATIONAL | Ton::NATIONAL);
    let says_short = matches!(address.ton(), Ton::NETWORK_SPECIFIC | Ton::ABBREVIATED);
    let wanted = if octets.is_empty() {
        None
    } else if address.ton() == Ton::ALPHANUMERIC || !is_number_like(octets) {
        ton_npi.alphanumeric
    } else if says_short || (octets.len() <= SHORT_CODE_MAX && !says_number) {
        ton_npi.short
    } else {
        ton_npi.number
    };
    match wanted {
        Some((ton, npi)) => AddressBuf::new(ton, npi, octets).unwrap_or(address),
        None => address,
    }
}
