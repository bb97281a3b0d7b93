//! Whom a message is for, as all rules ask: its number and its pseudonym, each reckoned once, and only if a rule asks for it.

use std::cell::OnceCell;
use std::fmt;

use smallvec::SmallVec;
use tidegate_codec::address::AddressBuf;
use tidegate_config::Country;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::Standing;

use super::opt_out::{Person, is_foreign_or_known};
use crate::number::{E164, plan};

/// See the [module](self). It prints nothing of the person (P4).
#[derive(Clone)]
pub(crate) struct Recipient {
    address: AddressBuf,
    home: Option<Country>,
    number: OnceCell<Option<E164>>,
    who: OnceCell<Pseudonym>,
}

impl Recipient {
    /// An address in the form that is kept; `home` is the account's, whose numbers may be national.
    pub(crate) fn new(address: AddressBuf, home: Option<Country>) -> Self {
        Self {
            address,
            home,
            number: OnceCell::new(),
            who: OnceCell::new(),
        }
    }

    /// As it is kept.
    pub(crate) fn address(&self) -> &AddressBuf {
        &self.address
    }

    /// Its number; `None` of what is none.
    pub(crate) fn number(&self) -> Option<&E164> {
        let number = || {
            let (ton, npi) = (self.address.ton(), self.address.npi());
            plan()
                .canonical(ton, npi, self.address.as_bytes(), self.home)
                .ok()
        };
        self.number.get_or_init(number).as_ref()
    }

    /// The same, and `None` of a number within a country that is not known.
    pub(crate) fn subscriber(&self) -> Option<&E164> {
        let is_known = is_foreign_or_known(self.address.ton(), self.address.as_bytes(), self.home);
        self.number().filter(|_| is_known)
    }

    /// In the form in which people are known (OPT-27): what [`person`](super::opt_out::person) says.
    pub(crate) fn person(&self) -> Person {
        let octets = self.address.as_bytes();
        let written = octets.strip_prefix(b"+").unwrap_or(octets);
        SmallVec::from_slice(self.subscriber().map_or(written, E164::as_bytes))
    }

    /// What stands for the person in opt-outs and consents.
    pub(crate) fn who(&self, standing: &Standing) -> &Pseudonym {
        self.who.get_or_init(|| standing.who(&self.person()))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::opt_out;
    use tidegate_codec::address::{Npi, Ton};

    /// One person by every way in (OPT-27).
    #[test]
    fn a_recipient_is_the_person_whom_messages_of_handsets_and_commands_know() {
        let us = Country::new("US");
        for (ton, octets, home) in [
            (Ton::INTERNATIONAL, "12025550123", None),
            (Ton::INTERNATIONAL, "+12025550123", us),
            (Ton::NATIONAL, "2025550123", us),
            (Ton::NATIONAL, "2025550123", None),
            (Ton::NATIONAL, "+12025550123", None),
            (Ton::UNKNOWN, "0012025550123", us),
            (Ton::UNKNOWN, "12025550123", us),
            (Ton::UNKNOWN, "55555", us),
            (Ton::ALPHANUMERIC, "Shop", us),
            (Ton::UNKNOWN, "", None),
        ] {
            let address = AddressBuf::new(ton, Npi::ISDN, octets.as_bytes()).unwrap();
            let recipient = Recipient::new(address, home);
            assert_eq!(
                recipient.person(),
                opt_out::person(ton, Npi::ISDN, octets.as_bytes(), home),
                "{ton:?} {octets} {home:?}"
            );
            assert_eq!(
                recipient.subscriber().copied(),
                opt_out::number(ton, Npi::ISDN, octets.as_bytes(), home)
            );
        }
    }
}
