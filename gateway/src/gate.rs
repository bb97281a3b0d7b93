//! The gateway as one value: links, accounts, carriers and the spool, without a socket or a clock.
//!
//! Whoever drives it ([`crate::serve`], or a test in virtual time) feeds it octets and time and takes octets
//! and work from it:
//!
//! ```text
//!   octets in ─► input ─► session ─► esme / carrier ─► mt · mo · dlr ─► spool (staged)
//!                                                                          │ begin_turn
//!   octets out ◄─ take_output ◄─ finish_turn: promises kept, legs and ◄─ commit (write + sync)
//!                                DLRs put into links' output
//! ```
//!
//! Nothing is promised to a peer before the commit that holds it is done (P1, P2): what is owed waits as a
//! [`Promise`](crate::turn::Promise).

mod account;
mod links;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::pdu::Limits;
use tidegate_codec::session::Monotonic;
use tidegate_config::{Config, Excepted};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::message_id::{MessageId, Permutation};
use tidegate_store::names::NameId;
use tidegate_store::outbox::EntryId;
use tidegate_store::spool::{Spool, Target};
use tokio::sync::oneshot;

use crate::abuse::Abuse;
use crate::addressing::Addressing;
use crate::admission::CountryBuckets;
use crate::audit::BindNotes;
use crate::bans::Bans;
use crate::carrier::{CarrierState, Pinned, Weights};
use crate::clock::Now;
use crate::control::Watched;
use crate::dlr::{DlrParts, Late};
use crate::esme::cancel::Sweeps;
use crate::esme::query::Replacement;
use crate::hold::Patience;
use crate::hot::Hot;
use crate::keeping::Keeping;
use crate::keywords::Keywords;
use crate::links::Links;
use crate::mt::Duplicates;
use crate::orders::Orders;
use crate::router::{CarrierIndex, KeptOut, MoRouter, MtRouter};
use crate::screening::Screen;
use crate::standing::Standing;
use crate::tables::Tables;
use crate::tally::GateTally;
use crate::tls::Certificate;
use crate::trace::Traces;
use crate::turn::Promises;

pub use account::AccountState;
pub use links::{BindCheck, Input, ReadFlow};
pub(crate) use links::{CARRIER_UNANSWERED_MAX, carrier_timing, esme_timing};

/// See the [module](self).
pub struct Gate<D: Disk> {
    /// With every account and carrier in its place, those that the file no longer has included ([`crate::reload`]).
    pub(crate) config: Arc<Config>,
    pub(crate) spool: Spool<D>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) permutation: Permutation,
    pub(crate) mt: MtRouter,
    pub(crate) mo: MoRouter,
    pub(crate) keywords: Keywords,
    /// How accounts and carriers write addresses.
    pub(crate) addressing: Addressing,
    /// What may be sent to whom.
    pub(crate) standing: Standing,
    /// Networks, ported numbers and prices.
    pub(crate) tables: Arc<Tables>,
    pub(crate) accounts: Vec<AccountState>,
    /// Those that the configuration has.
    pub(crate) account_by_id: HashMap<SystemId, usize>,
    pub(crate) account_by_name: HashMap<NameId, usize>,
    /// What all accounts together may send to each country.
    pub(crate) country_rates: CountryBuckets,
    /// Unfinished messages that each account may have where places are scarce.
    pub(crate) even_share: usize,
    /// With links that go on past 0x58.
    pub(crate) patience: Patience,
    /// Whose binds have failed.
    pub(crate) bans: Bans,
    /// Binds that the audit log is to hold.
    pub(crate) bind_notes: BindNotes,
    pub(crate) carriers: Vec<CarrierState>,
    /// What operators have halted and suspended.
    pub(crate) orders: Orders,
    /// How accounts share a carrier that all of them wait for.
    pub(crate) weights: Weights,
    /// What is kept of what has ended.
    pub(crate) keeping: Option<Arc<Keeping>>,
    pub(crate) links: Links,
    pub(crate) promises: Promises,
    /// Bodies of the batch that is being staged, for their way on without the disk.
    pub(crate) hot: Hot,
    /// Bodies of entries that wait, as far as memory is given to them.
    pub(crate) hot_entries: HashMap<EntryId, Bytes>,
    pub(crate) hot_octets: usize,
    /// Records whose bodies are to be read back.
    pub(crate) wanted: Vec<Target>,
    /// Those whose file could not be read; asked for again at the next tick. As many as were being read.
    pub(crate) unread: Vec<Target>,
    /// How many are being read.
    pub(crate) reading: usize,
    /// Held legs that are read for somebody who waits to see them, or has gone meanwhile: until what was read has come, so that it
    /// is not taken for what a carrier waits for.
    pub(crate) looks: HashMap<LegId, oneshot::Sender<Bytes>>,
    /// Legs that get another text once their old one is read; each is a request that its link waits for, so
    /// there are as many as windows allow.
    pub(crate) replacing: HashMap<LegId, Replacement>,
    /// Cancels of all that waits between two addresses.
    pub(crate) sweeps: Sweeps,
    /// Legs that are being read back, and for which carrier.
    pub(crate) reading_for: HashMap<LegId, CarrierIndex>,
    /// Legs in line where an operator has put them.
    pub(crate) pinned: Pinned,
    /// Legs in line to whose recipient no route leads: other routes may. Ended ones are shed.
    pub(crate) unrouted: VecDeque<LegId>,
    /// How many of them are to be looked at.
    pub(crate) unrouted_left: usize,
    pub(crate) bind_checks: Vec<BindCheck>,
    /// Ids of 8 digits in use, per account, and whose they are: they are unique while the message is in memory.
    pub(crate) short_ids: HashMap<(NameId, u32), MessageId>,
    /// Messages of late, for accounts that look for duplicates.
    pub(crate) duplicates: Duplicates,
    /// Signs of abuse.
    pub(crate) abuse: Abuse,
    /// What texts are looked at for.
    pub(crate) screen: Screen,
    /// Messages that operators sent to see what becomes of them.
    pub(crate) watched: Watched,
    /// A DLR under construction; kept for its capacity.
    pub(crate) scratch: Vec<u8>,
    /// What it is put together of.
    pub(crate) dlr_parts: DlrParts,
    pub(crate) next_tick: Duration,
    /// Since when what is staged waits for something urgent; `None` where something is, or nothing is staged.
    pub(crate) lazy_since: Option<Duration>,
    /// Receipts that wait for an answer of the waiting files.
    pub(crate) late: Late,
    pub(crate) tally: GateTally,
    /// PDUs that an operator has written down.
    pub(crate) traces: Traces,
    pub(crate) stopping: bool,
    certificates: Arc<[Certificate]>,
    exceptions: Arc<[Excepted]>,
    /// The last turn had something to commit and could not.
    pub(crate) blocked: bool,
    pub(crate) limits: Limits,
    /// What the parts of the next text that is cut have in common.
    pub(crate) next_reference: u16,
    /// Of this process: what tells its handsets' messages from those of others.
    pub(crate) salt: u64,
    /// Scopes that the configuration has are still to be noted as lying in others.
    pub(crate) members_due: bool,
}

impl<D: Disk> Gate<D> {
    /// A gate over an opened spool. What the spool still holds goes on where it stood.
    pub fn new(
        config: Arc<Config>,
        mut spool: Spool<D>,
        permutation: Permutation,
        carrier_passwords: Vec<Password>,
        mut rng: ChaCha20Rng,
    ) -> Result<Self, TooManyNames> {
        let (mut accounts, mut weights) = (Vec::new(), Weights::default());
        let (mut account_by_id, mut account_by_name) = (HashMap::new(), HashMap::new());
        for account in &config.accounts {
            let name = spool.intern(account.system_id.as_str()).ok_or(TooManyNames)?;
            account_by_id.insert(account.system_id, accounts.len());
            account_by_name.insert(name, accounts.len());
            weights.set(name, account.weight);
            accounts.push(AccountState::new(name, account));
        }
        let mut carriers = Vec::new();
        for (carrier, password) in config.carriers.iter().zip(carrier_passwords) {
            let name = spool.intern(carrier.name.as_str()).ok_or(TooManyNames)?;
            carriers.push(CarrierState::new(name, carrier, password));
        }
        let limits = pdu_limits(&config);
        let (mt, mo) = routers(&config);
        let duplicates = Duplicates::new(&mut rng);
        let abuse = Abuse::new(&mut rng);
        let screen = Screen::new(&config.screening, &mut rng);
        // Where the last process left off is not known.
        let next_reference = u16::try_from(rng.next_u32() >> 16).unwrap_or_default();
        let salt = rng.next_u64();
        let max = spool.index().max();
        let mut gate = Self {
            mt,
            mo,
            keywords: Keywords::default(),
            addressing: Addressing::new(&config),
            standing: Standing::new(&config),
            tables: Arc::default(),
            spool,
            rng,
            permutation,
            accounts,
            account_by_id,
            account_by_name,
            // Until they are counted, half for each of two.
            even_share: if config.accounts.len() < 2 {
                usize::MAX
            } else {
                max / 2
            },
            bans: Bans::default(),
            bind_notes: BindNotes::default(),
            patience: Patience::from(&config.limits),
            country_rates: CountryBuckets::new(&config.limits.country_rates),
            carriers,
            orders: Orders::default(),
            weights,
            keeping: None,
            links: Links::default(),
            promises: Promises::default(),
            hot: Hot::default(),
            hot_entries: HashMap::new(),
            hot_octets: 0,
            wanted: Vec::new(),
            unread: Vec::new(),
            reading: 0,
            looks: HashMap::new(),
            replacing: HashMap::new(),
            sweeps: Sweeps::default(),
            reading_for: HashMap::new(),
            pinned: Pinned::default(),
            unrouted: VecDeque::new(),
            unrouted_left: 0,
            bind_checks: Vec::new(),
            short_ids: HashMap::new(),
            duplicates,
            abuse,
            screen,
            watched: Watched::default(),
            scratch: Vec::new(),
            dlr_parts: DlrParts::default(),
            next_tick: Duration::ZERO,
            lazy_since: None,
            late: Late::default(),
            tally: GateTally::default(),
            traces: Traces::default(),
            stopping: false,
            certificates: Arc::default(),
            exceptions: Arc::default(),
            blocked: false,
            limits,
            next_reference,
            salt,
            members_due: true,
            config,
        };
        gate.recall_short_ids();
        Ok(gate)
    }

    // ===== questions =====

    /// The configuration, with every account and carrier in its place; those that a reload has removed keep theirs, and
    /// their last values.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The spool, to look at.
    pub fn spool(&self) -> &Spool<D> {
        &self.spool
    }

    /// The spool, for its driver: chores and commits.
    pub fn spool_mut(&mut self) -> &mut Spool<D> {
        &mut self.spool
    }

    /// Networks, ported numbers and prices.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Puts other tables in the place of those that are there, from the next look-up on. What comes back is best
    /// let go of on another thread: the system takes milliseconds to get a hundred megabytes back.
    #[must_use = "dropping large tables takes milliseconds"]
    pub fn replace_tables(&mut self, tables: Arc<Tables>) -> Arc<Tables> {
        std::mem::replace(&mut self.tables, tables)
    }

    /// What is counted for the gateway as a whole.
    pub fn tally(&self) -> &GateTally {
        &self.tally
    }

    /// The same, for who counts outside.
    pub fn tally_mut(&mut self) -> &mut GateTally {
        &mut self.tally
    }

    /// Accounts, each in its place of [`Gate::config`].
    pub fn accounts(&self) -> &[AccountState] {
        &self.accounts
    }

    /// Carriers, each in its place of [`Gate::config`].
    pub fn carriers(&self) -> &[CarrierState] {
        &self.carriers
    }

    /// How many connections of ESMEs there are, bound or not.
    pub const fn esme_links(&self) -> usize {
        self.links.esmes()
    }

    /// How many links there are, bound or not.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn account_of(&self, id: SystemId) -> Option<usize> {
        self.account_by_id.get(&id).copied()
    }

    pub(crate) fn account_named(&self, name: NameId) -> Option<usize> {
        self.account_by_name.get(&name).copied()
    }
}

/// More accounts and carriers, with those that old records name, than a process can number (65 535).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNames;

/// Both routing tables of a configuration.
pub(crate) fn routers(config: &Config) -> (MtRouter, MoRouter) {
    let place = |name: &str| {
        let carriers = &config.carriers;
        let found = carriers.iter().position(|carrier| carrier.name.as_str() == name);
        found.map(CarrierIndex)
    };
    let mut mt = MtRouter::new(&config.mt_routes, place);
    mt.keep_out(KeptOut::of(config));
    (mt, MoRouter::new(config))
}

/// What a PDU may be.
pub(crate) fn pdu_limits(config: &Config) -> Limits {
    Limits {
        pdu_max: u32::try_from(config.limits.pdu_max).unwrap_or(u32::MAX),
        password_max: config.limits.password_max,
    }
}

/// The session's time.
pub(crate) const fn at(now: Now) -> Monotonic {
    Monotonic(now.monotonic)
}
