//! Addresses on their way: as an account writes them, as they are kept, as a carrier wants them.
//!
//! What is kept is what was admitted. A submit's source and destination are completed, rewritten and made canonical
//! before anything is asked about them ([`Addressing::admitted`]), and query_sm, cancel_sm and replace_sm are read the
//! same way; the body stays as it came. At the hand-over the body gets the addresses that are kept, in the carrier's
//! words ([`Addressing::towards`]).

mod rewriting;
mod writing;

use tidegate_codec::address::{ADDR_DATA, Address, AddressBuf, Npi, Ton};
use tidegate_codec::text::{Shifts, SingleOctet, gsm7};
use tidegate_config::rewrite::Side;
use tidegate_config::{AccountNumbers, Config, Country, Numbering};
use tidegate_store::disk::Disk;

use crate::gate::Gate;
use crate::number::{E164, NotANumber, plan};
use crate::refusal::Refusal;
use rewriting::{Rewrite, Rewrites};

pub(crate) use writing::Words;

/// Characters of a sender's name on GSM: 11 septets (3GPP TS 23.040 §9.1.2.5).
const NAME_MAX: usize = 11;

/// Everybody's addresses: built once from the configuration, and then only read.
#[derive(Debug)]
pub struct Addressing {
    rewrites: Rewrites,
    /// By an account's place in the configuration, and by a carrier's.
    of_account: Vec<Option<Rewrite>>,
    of_carrier: Vec<Option<Rewrite>>,
}

impl Addressing {
    /// Finds the rewrites by their names, and reads the rules of numbers, so that no message waits for that.
    pub fn new(config: &Config) -> Self {
        let _ = plan();
        let rewrites = Rewrites::new(&config.rewrites);
        let accounts = config.accounts.iter().map(|account| &account.numbering.rewrite);
        let carriers = config.carriers.iter().map(|carrier| &carrier.writing.rewrite);
        Self {
            of_account: accounts.map(|name| rewrites.named(name.as_ref()?)).collect(),
            of_carrier: carriers.map(|name| rewrites.named(name.as_ref()?)).collect(),
            rewrites,
        }
    }

    /// What an account's addresses become.
    pub fn of_account<'c>(&'c self, account: usize, config: &'c Numbering) -> AccountAddressing<'c> {
        AccountAddressing {
            config,
            rewrites: &self.rewrites,
            rewrite: self.of_account.get(account).copied().flatten(),
        }
    }
}

/// What one account's addresses become. See [`Numbering`].
#[derive(Clone, Copy, Debug)]
pub struct AccountAddressing<'c> {
    config: &'c Numbering,
    rewrites: &'c Rewrites,
    rewrite: Option<Rewrite>,
}

impl AccountAddressing<'_> {
    /// The source as it is kept.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sender`]: rewriting left nothing of it or made it longer than 20 characters, or it should be canonical
    /// and is neither a number, a short code nor a name that a handset can show.
    pub fn source(&self, address: Address<'_, ADDR_DATA>) -> Result<AddressBuf, Refusal> {
        let given = match &self.config.default_source {
            Some(default) if address.addr.is_empty() => default_source(default),
            _ => address.to_buf(),
        };
        let address = self.rewritten(Side::Source, given).ok_or(Refusal::Sender)?;
        match self.config.numbers {
            AccountNumbers::AsGiven => Ok(address),
            AccountNumbers::Canonical => {
                canonical_source(address, self.config.country).ok_or(Refusal::Sender)
            }
        }
    }

    /// The destination as it is kept.
    ///
    /// # Errors
    ///
    /// [`Refusal::Recipient`]: as [`AccountAddressing::source`] for rewriting; or it should be canonical and is neither a
    /// number nor a short code that the account may use.
    pub fn destination(&self, address: Address<'_, ADDR_DATA>) -> Result<AddressBuf, Refusal> {
        let address = self
            .rewritten(Side::Destination, address.to_buf())
            .ok_or(Refusal::Recipient)?;
        if self.config.numbers == AccountNumbers::AsGiven {
            return Ok(address);
        }
        match number(&address, self.config.country) {
            Ok(number) => Ok(canonical(&number)),
            Err(NotANumber::ShortCode) if self.config.short_codes => Ok(address),
            Err(_) => Err(Refusal::Recipient),
        }
    }

    /// A source by which a message is named that was submitted before.
    pub(crate) fn source_meant(&self, address: Address<'_, ADDR_DATA>) -> Meant {
        Meant::new(self.source(address), address)
    }

    /// A destination, the same.
    pub(crate) fn destination_meant(&self, address: Address<'_, ADDR_DATA>) -> Meant {
        Meant::new(self.destination(address), address)
    }

    /// A recipient's number, in the form that is kept; `None` of what is none.
    pub(crate) fn number_of(&self, destination: &AddressBuf) -> Option<E164> {
        number(destination, self.config.country).ok()
    }

    /// The country of a recipient, in the form that is kept.
    pub fn country_of(&self, destination: &AddressBuf) -> Option<Country> {
        plan().country_of(&self.number_of(destination)?)
    }

    fn rewritten(&self, side: Side, address: AddressBuf) -> Option<AddressBuf> {
        match self.rewrite {
            None => Some(address),
            Some(rewrite) => self.rewrites.apply(rewrite, side, address),
        }
    }
}

/// An address by which an ESME names what it submitted: read as at the submit, and as it stands there, since the
/// account's settings may have been others then.
#[derive(Clone, Debug)]
pub(crate) struct Meant {
    read: Option<AddressBuf>,
    given: AddressBuf,
}

impl Meant {
    fn new(read: Result<AddressBuf, Refusal>, given: Address<'_, ADDR_DATA>) -> Self {
        Self {
            read: read.ok(),
            given: given.to_buf(),
        }
    }

    /// What was kept of it, by today's settings.
    pub(crate) fn kept(&self) -> &AddressBuf {
        self.read.as_ref().unwrap_or(&self.given)
    }

    /// Whether an address that is kept is meant. TON and NPI say nothing here: clients leave them out.
    pub(crate) fn is(&self, kept: &AddressBuf) -> bool {
        let octets = kept.as_bytes();
        self.kept().as_bytes() == octets || self.given.as_bytes() == octets
    }
}

impl<D: Disk> Gate<D> {
    /// What an account's addresses become.
    pub(crate) fn addressing_of(&self, account: usize) -> AccountAddressing<'_> {
        let config = &self.config.accounts[account].numbering;
        self.addressing.of_account(account, config)
    }
}

fn number(address: &AddressBuf, home: Option<Country>) -> Result<E164, NotANumber> {
    plan().canonical(address.ton(), address.npi(), address.as_bytes(), home)
}

fn canonical(number: &E164) -> AddressBuf {
    // Digits that fit every field.
    AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, number.as_bytes()).unwrap_or_default()
}

/// The configuration's text with the TON and NPI of what it is.
fn default_source(text: &str) -> AddressBuf {
    let (ton, npi) = match text.as_bytes() {
        digits if !is_number_like(digits) => (Ton::ALPHANUMERIC, Npi::UNKNOWN),
        digits if digits.len() > crate::number::SHORT_CODE_MAX => (Ton::INTERNATIONAL, Npi::ISDN),
        _ => (Ton::UNKNOWN, Npi::ISDN),
    };
    // The configuration holds it to 20 characters.
    AddressBuf::new(ton, npi, text.as_bytes()).unwrap_or_default()
}

/// Whether an address consists of digits, perhaps behind a `+`.
pub(crate) fn is_number_like(address: &[u8]) -> bool {
    let digits = address.strip_prefix(b"+").unwrap_or(address);
    // To the end: they are few, and nearly always all are digits.
    let others = digits
        .iter()
        .fold(false, |others, octet| others | !octet.is_ascii_digit());
    !digits.is_empty() && !others
}

/// A source in its canonical form: a number with TON and NPI 1, a name with TON 5 and NPI 0, and a short code as it came.
/// None at all stays none: the carrier has a default then.
fn canonical_source(address: AddressBuf, home: Option<Country>) -> Option<AddressBuf> {
    if address.as_bytes().is_empty() {
        return Some(address);
    }
    let is_named = address.ton() == Ton::ALPHANUMERIC;
    match number(&address, home) {
        // Clients that say "alphanumeric" of everything do so of numbers, too.
        Ok(number) => return Some(canonical(&number)),
        Err(NotANumber::ShortCode) => return Some(address),
        // Spaces and hyphens alone do not make a name of a number that is none.
        Err(NotANumber::Impossible) if !is_named => return None,
        Err(_) => {}
    }
    let name = address.as_bytes();
    if is_number_like(name) && !is_named {
        return None;
    }
    let is_short = septets(name).is_some_and(|septets| septets <= NAME_MAX);
    is_short.then(|| AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, name).ok())?
}

/// How many septets a name takes in the GSM alphabet, its octets being Latin-1, as clients write them; `None` for what
/// that alphabet does not have, and for line ends.
fn septets(name: &[u8]) -> Option<usize> {
    // Of letters, digits, spaces, hyphens and full stops, which nearly all names are made of, each is one.
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b' ' | b'-' | b'.');
    if name.iter().all(is_plain) {
        return Some(name.len());
    }
    name.iter().try_fold(0, |septets, octet| {
        let character = SingleOctet::Latin1.character(*octet)?;
        if character.is_control() {
            return None;
        }
        let mut room = [0; 4];
        let text: &str = character.encode_utf8(&mut room);
        Some(septets + gsm7::septets(text, Shifts::NONE).ok()?)
    })
}

#[cfg(test)]
mod tests;
