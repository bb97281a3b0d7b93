//! What the clients are told to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::traffic::coding::Coding;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::{Password, SystemId, SystemIdError};
use tidegate_codec::octets::OctetsError;
use tidegate_codec::values::{BindKind, RegisteredDelivery};

/// How a bind is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Binding {
    /// One transceiver.
    #[default]
    Trx,
    /// A transmitter and a receiver, on two connections.
    #[value(name = "tx+rx")]
    Pair,
}

impl Binding {
    /// The connections that one bind takes.
    pub const fn kinds(self) -> &'static [BindKind] {
        match self {
            Self::Trx => &[BindKind::Transceiver],
            Self::Pair => &[BindKind::Transmitter, BindKind::Receiver],
        }
    }
}

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the gateway listens.
    pub server: SocketAddr,
    /// The account.
    pub system_id: SystemId,
    /// Its password, and that of the accounts beside it.
    pub password: Password,
    /// How many accounts: `system_id`, `system_id1`, `system_id2` and so on; at least one.
    pub accounts: u16,
    /// How many binds of each account.
    pub binds: usize,
    /// What a bind is.
    pub binding: Binding,
    /// Submits that may be unanswered on one bind.
    pub window: usize,
    /// How many messages, over all binds. In the report's marks only the first
    /// [`crate::traffic::marks::MARKS_MAX`] are.
    pub messages: u32,
    /// Submit nothing new when so much time has passed since the first submit; what was submitted until then
    /// is still followed to its receipt.
    pub duration: Option<Duration>,
    /// Messages a second over all binds, in an open loop ([`super::pace`]); zero is as fast as windows allow.
    pub rate: f64,
    /// What tells this run from others that the same carrier sees.
    pub run: u32,
    /// Characters of a message, that of the token ([`crate::traffic::token`]) included; shorter texts are filled up,
    /// longer ones stay. At least 25 are sent, at most 65 534 octets.
    pub length: usize,
    /// The alphabet of the messages.
    pub coding: Coding,
    /// Texts that follow the token, taken in turn ([`super::template`]).
    pub templates: Vec<String>,
    /// Who sends.
    pub sender: AddressBuf,
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// A bind that is not answered for so long has failed; a submit is in doubt, and its message is submitted
    /// again.
    pub response_timeout: Duration,
    /// How long a bind waits after an answer that says "slow down".
    pub throttle_pause: Duration,
    /// How long a bind waits before it connects again; doubled each time, up to a hundredfold.
    pub reconnect: Duration,
    /// When nothing has moved on for so long, the clients give up.
    pub patience: Duration,
    /// Give up early while nothing was ever bound: when each bind is refused for good (RALYBND, RBINDFAIL,
    /// RINVPASWD, RINVSYSID), the peer does not answer or does not speak SMPP, or after a few attempts to reach it.
    pub fails_fast: bool,
    /// SIGINT and SIGTERM end the run: the first submits nothing new, the second waits for nothing.
    pub heeds_signals: bool,
    /// Where to write the latencies, as a log of HDR histograms, one a second.
    pub hdr: Option<PathBuf>,
}

impl Options {
    /// Four binds with a window of 100 and 10 000 messages of 100 octets, receipts asked for.
    pub fn new(server: SocketAddr, system_id: SystemId, password: Password) -> Result<Self, OctetsError> {
        Ok(Self {
            server,
            system_id,
            password,
            accounts: 1,
            binds: 4,
            binding: Binding::Trx,
            window: 100,
            messages: 10_000,
            duration: None,
            rate: 0.0,
            run: 1,
            length: 100,
            coding: Coding::Gsm7,
            templates: Vec::new(),
            sender: AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900999")?,
            registered_delivery: RegisteredDelivery::FINAL,
            response_timeout: Duration::from_secs(60),
            throttle_pause: Duration::from_millis(50),
            reconnect: Duration::from_millis(20),
            patience: Duration::from_secs(30),
            fails_fast: false,
            heeds_signals: false,
            hdr: None,
        })
    }

    /// The accounts' names; fails when a number makes one longer than a `system_id` can be.
    pub fn system_ids(&self) -> Result<Vec<SystemId>, SystemIdError> {
        (0..self.accounts.max(1))
            .map(|number| match number {
                0 => Ok(self.system_id),
                _ => format!("{}{number}", self.system_id).parse(),
            })
            .collect()
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let password = Password::new(b"secret", tidegate_codec::identity::PASSWORD_MAX).unwrap();
        Self::new(nowhere, "load".parse().unwrap(), password).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_as_in_the_configuration_for_benches() {
        let mut options = Options::for_tests();
        options.accounts = 3;
        let names: Vec<String> = options
            .system_ids()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["load", "load1", "load2"]);
        options.system_id = "fifteen-letters".parse().unwrap();
        assert_eq!(options.system_ids(), Err(SystemIdError::TooLong));
    }
}
