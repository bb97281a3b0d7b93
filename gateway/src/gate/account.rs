//! An account as the gate has it.

use std::num::NonZeroU32;

use tidegate_config::AccountState as ConfiguredState;
use tidegate_store::names::NameId;
use tidegate_store::outbox::EntryId;

use crate::abuse::AccountWatch;
use crate::admission::AccountRates;
use crate::clock::Now;
use crate::links::LinkId;
use crate::orders::Closed as SendersClosed;
use crate::quota::Calendar;
use crate::tally::AccountTally;

/// An account while the gateway runs.
#[derive(Debug)]
pub struct AccountState {
    /// Its number in the spool.
    pub name: NameId,
    /// Its rates.
    pub rates: AccountRates,
    /// The day and month that its quota is of.
    pub calendar: Calendar,
    /// Its bound links.
    pub links: Vec<LinkId>,
    /// Whose turn it is to take deliveries.
    pub next_receiver: usize,
    /// Entries whose bodies are on their way from disk: what is younger waits for them.
    pub(crate) reading: Vec<EntryId>,
    /// The configuration no longer has it. Its place stays: nobody else gets it, and what waits for it waits on.
    pub removed: bool,
    /// What the file says that it may do; what holds stands in [`Gate::config`](super::Gate::config).
    pub(crate) by_file: ConfiguredState,
    /// It is closed, for good ([`crate::orders`]).
    pub(crate) is_closed: bool,
    /// In place of its configured rate, until it is reset or the process ends.
    pub(crate) rate_override: Option<NonZeroU32>,
    /// What it has shown of abuse.
    pub(crate) abuse: AccountWatch,
    /// Its senders that may submit nothing.
    pub(crate) senders: SendersClosed,
    /// What is counted.
    pub tally: AccountTally,
}

impl AccountState {
    pub(crate) fn new(name: NameId, config: &tidegate_config::Account) -> Self {
        Self {
            name,
            rates: AccountRates::new(config),
            calendar: Calendar::default(),
            links: Vec::new(),
            next_receiver: 0,
            reading: Vec::new(),
            removed: false,
            by_file: config.state,
            is_closed: false,
            rate_override: None,
            abuse: AccountWatch::default(),
            senders: SendersClosed::default(),
            tally: AccountTally::default(),
        }
    }

    /// Sets the rate that holds in place of the configured one, or takes that back.
    pub(crate) fn set_rate_override(
        &mut self,
        now: Now,
        configured: Option<NonZeroU32>,
        rate: Option<NonZeroU32>,
    ) {
        self.rate_override = rate;
        self.rates.all.set_rate(now.monotonic, rate.or(configured));
    }
}
