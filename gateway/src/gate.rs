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

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::pdu::{Limits, Read, read};
use tidegate_codec::session::{Event, Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tidegate_config::{AccountState as ConfiguredState, Config, Excepted, Transport};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::message_id::{MessageId, Permutation};
use tidegate_store::names::NameId;
use tidegate_store::outbox::EntryId;
use tidegate_store::spool::{Spool, Target};
use tokio::sync::oneshot;

use crate::abuse::{Abuse, AccountWatch};
use crate::addressing::Addressing;
use crate::admission::{AccountRates, CountryBuckets};
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
use crate::links::{End, LinkId, Links, Peer, Ticket};
use crate::mt::Duplicates;
use crate::orders::{Closed as SendersClosed, Orders};
use crate::quota::Calendar;
use crate::router::{CarrierIndex, KeptOut, MoRouter, MtRouter};
use crate::screening::Screen;
use crate::standing::Standing;
use crate::tables::Tables;
use crate::tally::{AccountTally, GateTally, counted_command};
use crate::telemetry::words::{ConnectionRefused, Handshake, Side};
use crate::tls::Certificate;
use crate::trace::{Direction, Traces};
use crate::turn::Promises;

/// Octets that may wait for one link to be written before no more is read from it.
const OUT_MAX: usize = 1 << 20;
/// Requests of one carrier link that may be unanswered: receipts and MOs that wait for a commit, or in the pen.
pub(crate) const CARRIER_UNANSWERED_MAX: usize = 5_000;

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
    /// What the file says that it may do; what holds stands in [`Gate::config`].
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

/// A bind whose password is to be checked outside the loop.
#[derive(Debug)]
pub struct BindCheck {
    /// Which link waits.
    pub link: LinkId,
    /// Who it says it is; `None` for what cannot be a system_id, to be checked all the same (SEC-4).
    pub system_id: Option<SystemId>,
    /// With which secret.
    pub password: Password,
    /// What kind of bind.
    pub kind: BindKind,
}

/// What [`Gate::input`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Octets that were consumed.
    pub used: usize,
    /// What to do next.
    pub flow: ReadFlow,
}

/// Whether to go on reading a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFlow {
    /// Read more.
    Continue,
    /// Keep what is left and try again after the next turn: a bound is reached.
    Pause,
    /// The same, and however long it lasts: the peer is held.
    Hold,
    /// The link is over; nothing more is read.
    End,
}

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

    /// What is under way on links that are bound.
    pub(crate) fn under_way(&self, links: &[LinkId]) -> UnderWay {
        let mut found = UnderWay::default();
        for link in links.iter().filter_map(|id| self.links.get(*id)) {
            if let Some(kind) = link.session.state().kind() {
                found.bound[kind as usize] += 1;
            }
            found.ours += link.session.waiting();
            found.theirs += link.session.unanswered();
        }
        found
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

    // ===== links =====

    /// Counts a connection that was closed because of a limit.
    pub fn connection_refused(&mut self, reason: ConnectionRefused) {
        self.tally.connections_refused.add(reason);
    }

    /// An ESME has connected.
    pub fn open_esme(&mut self, now: Now, ip: IpAddr) -> LinkId {
        let timing = esme_timing(&self.config);
        // The window is the account's, known once it binds; before that nothing is submitted or delivered.
        let rules = Rules {
            window: 1,
            unanswered_max: 1,
            timing,
            assume_version: InterfaceVersion::V3_4,
        };
        let session = Session::new(Role::Smsc, rules, at(now));
        self.tally.connections += 1;
        self.links.insert(session, Peer::Esme { ip, account: None })
    }

    /// The TLS handshake of a link is done; what it is protected by from now on, and by which exception of its listener if by one.
    pub fn secured(&mut self, id: LinkId, transport: Transport, exception: Option<&str>) {
        let result = match transport {
            Transport::Clear => return,
            Transport::Tls12 => Handshake::Tls12,
            Transport::Tls13 => Handshake::Tls13,
        };
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        link.transport = transport;
        link.exception = exception.map(Into::into);
        let side = match link.peer {
            Peer::Esme { .. } => Side::Esme,
            Peer::Carrier { .. } => Side::Carrier,
        };
        self.tally.handshakes.add((side, result));
    }

    /// Notes the other end of a link's connection.
    pub fn connected(&mut self, id: LinkId, address: SocketAddr) {
        if let Some(link) = self.links.get_mut(id) {
            link.address = Some(address);
        }
    }

    /// Whether a link is bound, or was.
    pub(crate) fn is_bound(&self, id: LinkId) -> bool {
        let link = self.links.get(id);
        link.is_some_and(|link| link.was_bound || link.session.state().kind().is_some())
    }

    /// When the certificates end that new handshakes are made with.
    pub fn certificates(&self) -> &Arc<[Certificate]> {
        &self.certificates
    }

    /// Others are used from now on.
    pub fn set_certificates(&mut self, certificates: Vec<Certificate>) {
        self.certificates = certificates.into();
    }

    /// What is less than TLS 1.3 by an exception, in the configuration that holds.
    pub fn exceptions(&self) -> &Arc<[Excepted]> {
        &self.exceptions
    }

    /// Sets it.
    pub fn set_exceptions(&mut self, exceptions: Vec<Excepted>) {
        self.exceptions = exceptions.into();
    }

    /// We have connected to a carrier: binds. `None` for one that the configuration does not have, or that was
    /// drained.
    pub fn open_carrier(&mut self, now: Now, carrier: usize, kind: BindKind) -> Option<LinkId> {
        let state = self.carriers.get(carrier)?;
        if state.removed || state.is_drained {
            return None;
        }
        let config = self.config.carriers.get(carrier)?;
        let timing = carrier_timing(&self.config, config);
        let rules = Rules {
            window: config.window,
            unanswered_max: CARRIER_UNANSWERED_MAX,
            timing,
            assume_version: config.assume_version,
        };
        let session = Session::new(Role::Esme, rules, at(now));
        let id = self.links.insert(session, Peer::Carrier { carrier, kind });
        self.carriers[carrier].tally.connects += 1;
        self.carrier_bind(now, id, carrier, kind);
        Some(id)
    }

    /// Takes what a link has received: every whole PDU in `octets`, as far as bounds allow. With `force` the
    /// bound on unanswered requests does not stop the reading; what is beyond it is then throttled.
    pub fn input(&mut self, now: Now, id: LinkId, octets: &[u8], force: bool) -> Input {
        let input = self.read_pdus(now, id, octets, force);
        self.links.arm(id);
        input
    }

    fn read_pdus(&mut self, now: Now, id: LinkId, octets: &[u8], force: bool) -> Input {
        let mut used = 0;
        loop {
            if self.is_held(now, id) {
                self.links.touch(id);
                let flow = ReadFlow::Hold;
                return Input { used, flow };
            }
            let Some(link) = self.links.get_mut(id) else {
                return Input {
                    used,
                    flow: ReadFlow::End,
                };
            };
            if link.end.is_some() {
                return Input {
                    used: octets.len(),
                    flow: ReadFlow::End,
                };
            }
            let full = (!force && link.session.is_saturated()) || link.out.len() > OUT_MAX;
            if full || !self.spool.has_batch_room() {
                link.session.set_partial(at(now), false);
                // Whoever waits for us to read is not silent: its answers to our enquire_links may lie there.
                if used < octets.len() {
                    link.session.set_heard(at(now));
                }
                self.links.touch(id);
                return Input {
                    used,
                    flow: ReadFlow::Pause,
                };
            }
            let rest = octets.get(used..).unwrap_or_default();
            if self.traces.is_on() {
                let from = (link.number, link.peer);
                self.tally.trace_dropped += self.traces.note(now, from, Direction::In, rest, &self.limits, 1);
            }
            let (length, event) = match read(rest, &self.limits) {
                Read::NeedMore(_) => {
                    if used > 0 {
                        link.session.set_partial(at(now), false);
                    }
                    link.session.set_partial(at(now), !rest.is_empty());
                    self.links.touch(id);
                    return Input {
                        used,
                        flow: ReadFlow::Continue,
                    };
                }
                Read::Broken(error) => (rest.len(), link.session.handle_broken(error, &mut link.out)),
                Read::BadBody(header, error) => {
                    let event = link.session.handle(at(now), Err((header, error)), &mut link.out);
                    (header.length as usize, event)
                }
                Read::Pdu(pdu) => {
                    let length = rest.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
                    (length, link.session.handle(at(now), Ok(pdu), &mut link.out))
                }
            };
            // Of any response, an enquire_link_resp as well: nothing else may be under way.
            if let (Peer::Carrier { carrier, .. }, Some(congestion)) = (link.peer, link.session.congestion())
                && congestion.said == at(now)
            {
                self.carriers[carrier]
                    .flow
                    .congestion(now.monotonic, congestion.state);
            }
            let body = rest
                .get(tidegate_codec::header::HEADER_LEN..length)
                .unwrap_or_default();
            let peer = link.peer;
            self.event(now, id, peer, event, body);
            used += length;
        }
    }

    /// What a session wants known or done.
    pub(crate) fn event(&mut self, now: Now, id: LinkId, peer: Peer, event: Event<'_, Ticket>, body: &[u8]) {
        match event {
            Event::None => {}
            Event::Close(reason) => self.links.end(id, End::Session(reason)),
            Event::Refused { command_id, status } => {
                self.log_request_refused(id, peer, command_id, status);
                self.tally.refused.add((counted_command(command_id), status));
                if status == CommandStatus::RTHROTTLED
                    && let Some(link) = self.links.get_mut(id)
                {
                    link.hold.throttled();
                }
            }
            Event::Dropped(_) | Event::Notified(_) => self.tally.dropped += 1,
            event => match peer {
                Peer::Esme { ip, account } => self.esme_event(now, id, ip, account, event, body),
                Peer::Carrier { carrier, kind } => self.carrier_event(now, id, carrier, kind, event, body),
            },
        }
    }

    /// The connection of a link is gone; says what ended it, and whether it had been bound to a carrier.
    pub fn closed(&mut self, now: Now, id: LinkId, why: End) -> Option<(End, bool)> {
        let mut link = self.links.remove(id)?;
        let was_bound = match link.peer {
            Peer::Esme { account, .. } => account.is_some(),
            Peer::Carrier { .. } => {
                (link.session.state().kind().is_some() || link.was_bound) && !link.relinked
            }
        };
        let why = match (link.refused, link.end) {
            (Some(status), _) => End::BindRefused(status),
            (None, Some(end)) => end,
            (None, None) => why,
        };
        let side = match link.peer {
            Peer::Esme { .. } => Side::Esme,
            Peer::Carrier { .. } => Side::Carrier,
        };
        self.tally.links_ended.add((side, why.into()));
        let tickets: Vec<Ticket> = link.session.drain().collect();
        match link.peer {
            Peer::Esme { account, .. } => self.esme_closed(id, account),
            Peer::Carrier { carrier, .. } => self.carrier_closed(id, carrier),
        }
        let mut entries = Vec::new();
        for ticket in tickets {
            match ticket {
                Ticket::Leg(leg, body) => self.leg_in_doubt(now, leg, body, link.peer),
                Ticket::Entry(entry, body) => entries.push((entry, body)),
            }
        }
        // Youngest first, each to the front: in the end they stand in the order in which they were sent.
        for (entry, body) in entries.into_iter().rev() {
            self.entry_undelivered(entry, body);
        }
        Some((why, was_bound))
    }

    /// Looks again at a link whose octets could not be taken before.
    pub fn touch(&mut self, id: LinkId) {
        self.links.touch(id);
    }

    /// Links with something to be written, or to be closed.
    pub fn take_dirty(&mut self, into: &mut Vec<LinkId>) {
        self.links.take_dirty(into);
    }

    /// Takes what is to be written to a link, leaving `spare` for the next; and whether to close it then.
    pub fn take_output(&mut self, id: LinkId, spare: Vec<u8>) -> Option<(Vec<u8>, bool)> {
        let link = self.links.get_mut(id)?;
        Some((std::mem::replace(&mut link.out, spare), link.end.is_some()))
    }

    /// Binds whose passwords are to be checked.
    pub fn take_bind_checks(&mut self) -> Vec<BindCheck> {
        std::mem::take(&mut self.bind_checks)
    }

    // ===== the end =====

    /// Begins the end: ESMEs are unbound, carriers get nothing new, what is under way is finished.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        for id in self.links.ids() {
            if let Some(link) = self.links.get_mut(id) {
                match link.peer {
                    Peer::Esme { account: None, .. } => self.links.end(id, End::Shutdown),
                    // A carrier's answers are worth waiting for: what is not answered may be sent twice.
                    Peer::Carrier { .. } if link.session.waiting() > 0 => {}
                    _ => {
                        link.session.unbind(at(now), &mut link.out);
                        self.links.touch(id);
                    }
                }
            }
        }
    }

    /// Whether the end has been asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }
}

/// What is under way on some links.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnderWay {
    /// Links that are bound, by the place of their `BindKind`.
    pub(crate) bound: [usize; 3],
    /// Requests of ours without an answer.
    pub(crate) ours: usize,
    /// Requests of the peer that we have not answered.
    pub(crate) theirs: usize,
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

/// The timers of links to ESMEs.
pub(crate) fn esme_timing(config: &Config) -> Timing {
    let limits = &config.limits;
    Timing {
        session_init: limits.session_init,
        enquire_link: limits.enquire_link,
        enquire_link_response: limits.enquire_link_response,
        inactivity: limits.inactivity.unwrap_or_default(),
        response: limits.response,
        pdu_read: limits.pdu_read,
        unbind_wait: limits.unbind_wait,
        ..Timing::default()
    }
}

/// The timers of links to a carrier.
pub(crate) fn carrier_timing(config: &Config, carrier: &tidegate_config::Carrier) -> Timing {
    Timing {
        session_init: carrier.bind_response,
        enquire_link: carrier.enquire_link,
        enquire_link_response: carrier.enquire_link_response,
        response: carrier.response,
        pdu_read: config.limits.pdu_read,
        unbind_wait: config.limits.unbind_wait,
        ..Timing::default()
    }
}

/// The session's time.
pub(crate) const fn at(now: Now) -> Monotonic {
    Monotonic(now.monotonic)
}
