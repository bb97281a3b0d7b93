//! Links to carriers: binding to them, handing legs over, hearing their answers and deliveries.

mod answers;
mod cuts;
mod dates;
mod dispatch;
mod failover;
mod flow;
mod pen;
mod queue;
mod read_ahead;
mod reconnect;
mod submit;
mod turns;
mod verdict;

use std::num::NonZeroU32;
use std::time::Duration;

use hashbrown::HashMap;
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::Password;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::receipt::{read_receipt, receipt_text};
use tidegate_codec::session::Event;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::text::Peer;
use tidegate_codec::tlv::{NetworkErrorCode, Tag, Tlvs};
use tidegate_codec::values::BindKind;
use tidegate_config::Carrier;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::message_id::MessageId;
use tidegate_store::names::NameId;
use tidegate_store::record::Form;
use tidegate_store::spool::Target;

use crate::admission::{CountryBuckets, widen};
use crate::clock::Now;
use crate::gate::{Gate, at};
use crate::keywords::Text;
use crate::links::{End, Link, LinkId, Links, Ticket};
use crate::orders::{Halt, Halted};
use crate::router::CarrierIndex;
use crate::tally::{CarrierTally, counted};
use crate::turn::Owed;

use answers::Asked;
use cuts::Cutting;
pub(crate) use failover::Pinned;
pub use failover::Waiting;
pub use flow::Flow;
pub use pen::{PEN_MAX, PEN_WAIT, Pen, Penned};
pub use queue::{Popped, Queue, Ready};
pub use reconnect::Reconnect;
pub use turns::Weights;
pub use verdict::Verdict;

/// Legs and entries that are read back from the spool at once, over all carriers and accounts.
pub(crate) const READ_BACK_MAX: usize = 1024;
/// A leg that its carrier answered "slow".
#[derive(Clone, Copy, Debug)]
struct Slowed {
    /// How often.
    times: u16,
    /// When first, in monotonic time.
    first: Duration,
    /// It was told so while others passed: it is the leg and not the carrier.
    alone: bool,
}

/// A carrier while the gateway runs.
#[derive(Debug)]
pub struct CarrierState {
    /// Its number in the spool.
    pub name: NameId,
    /// Our secret there.
    pub(crate) password: Password,
    /// Its links that are bound and take submits.
    pub links: Vec<LinkId>,
    /// Its links that are bound in any way.
    pub bound: Vec<LinkId>,
    /// Its links on which answers may still come: those that took submits, until they are closed.
    answering: Vec<LinkId>,
    next_link: usize,
    /// What waits for room.
    pub waiting: Waiting,
    /// Texts that are being cut for it.
    pub(crate) cutting: Cutting,
    /// How fast it is fed.
    pub flow: Flow,
    /// How fast it is fed with what goes to some countries.
    pub countries: CountryBuckets,
    /// Receipts ahead of their time.
    pub pen: Pen,
    /// Legs that wait and were told "slow".
    slowed: HashMap<LegId, Slowed>,
    /// Whether it was up at the last look for fail-over.
    was_up: bool,
    /// How often what its links are made with has changed.
    pub(crate) revision: u64,
    /// The configuration no longer has it. Its place stays: nobody else gets it.
    pub removed: bool,
    /// Then, who takes over what waits for it; else its messages' routes say.
    pub(crate) goes_to: Option<CarrierIndex>,
    /// An operator has said that it is to get nothing.
    pub(crate) halted: Option<Halted>,
    /// It was drained, and has no links until it is resumed.
    pub(crate) is_drained: bool,
    /// In place of its configured rate, until it is reset or the process ends.
    pub(crate) rate_override: Option<NonZeroU32>,
    /// What is counted.
    pub tally: CarrierTally,
}

impl CarrierState {
    pub(crate) fn new(name: NameId, config: &Carrier, password: Password) -> Self {
        Self {
            name,
            password,
            links: Vec::new(),
            bound: Vec::new(),
            answering: Vec::new(),
            next_link: 0,
            waiting: Waiting::default(),
            cutting: Cutting::default(),
            flow: Flow::new(config.rate),
            countries: CountryBuckets::even(&config.country_rates),
            pen: Pen::default(),
            slowed: HashMap::new(),
            was_up: false,
            revision: 0,
            removed: false,
            goes_to: None,
            halted: None,
            is_drained: false,
            rate_override: None,
            tally: CarrierTally::default(),
        }
    }

    /// Whether legs can be handed to it: a link takes submits, it does not say "slow" for ever, and no operator has
    /// halted it.
    pub fn is_up(&self, now: Now) -> bool {
        self.halted.is_none() && !self.links.is_empty() && !self.flow.is_stuck(now.monotonic)
    }

    /// An operator halts it, or has it go on.
    pub(crate) fn set_halted(&mut self, now: Now, halted: Option<Halted>) {
        // It may have come up since the last look for fail-over: what was placed here meanwhile is to be looked at.
        self.was_up |= halted.is_some() && self.is_up(now);
        self.halted = halted;
        self.is_drained &= halted.is_some_and(|halted| halted.how == Halt::Drain);
    }

    /// Sets the rate that holds in place of the configured one, or takes that back.
    pub(crate) fn set_rate_override(
        &mut self,
        now: Now,
        configured: Option<NonZeroU32>,
        rate: Option<NonZeroU32>,
    ) {
        self.rate_override = rate;
        self.flow.set_rate(now.monotonic, rate.or(configured));
    }

    /// Submits on its links that it has not answered.
    pub(crate) fn unanswered(&self, links: &Links) -> usize {
        let links = self.answering.iter().filter_map(|id| links.get(*id));
        links.map(|link| link.session.waiting()).sum()
    }

    /// Whether an answer is under way that may make an unknown receipt known.
    pub(crate) fn is_waiting(&self, links: &Links) -> bool {
        self.answering
            .iter()
            .any(|id| links.get(*id).is_some_and(|link| link.session.waiting() > 0))
    }

    /// Whether a submit that was sent before `then` is still unanswered.
    pub(crate) fn is_waiting_since(&self, links: &mut Links, then: Duration) -> bool {
        self.answering.iter().any(|id| {
            let link = links.get_mut(*id);
            link.and_then(|link| link.session.waiting_since())
                .is_some_and(|sent| sent.0 <= then)
        })
    }

    /// The link that the parts of one message go to, if it has room: the same for all of them while links neither come nor
    /// go.
    fn link_of(&self, message: MessageId, links: &Links) -> Option<LinkId> {
        // The bits of an id are not as good as chance: of most, the lowest are 0.
        let mixed = message.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let place = usize::try_from(mixed)
            .unwrap_or_default()
            .checked_rem(self.links.len())?;
        let id = *self.links.get(place)?;
        let has_room = |link: &Link| link.end.is_none() && link.session.room() > 0;
        links.get(id).is_some_and(has_room).then_some(id)
    }

    /// The next link with room, in turn.
    fn next_link(&mut self, links: &Links) -> Option<LinkId> {
        let count = self.links.len();
        for step in 0..count {
            let place = (self.next_link + step) % count;
            let id = self.links[place];
            if links
                .get(id)
                .is_some_and(|link| link.end.is_none() && link.session.room() > 0)
            {
                // The batch goes on here; the next one begins with the next link.
                self.next_link = place;
                return Some(id);
            }
        }
        None
    }
}

impl<D: Disk> Gate<D> {
    // ===== binding =====

    pub(crate) fn carrier_bind(&mut self, now: Now, id: LinkId, carrier: usize, kind: BindKind) {
        let config = &self.config.carriers[carrier];
        let bind = Bind {
            system_id: config.system_id.as_field(),
            password: self.carriers[carrier].password.as_field(),
            system_type: COctets::new(config.system_type.as_bytes()).unwrap_or_default(),
            interface_version: config.interface_version,
            addr_ton: config.addr_ton,
            addr_npi: config.addr_npi,
            address_range: COctets::new(config.address_range.as_bytes()).unwrap_or_default(),
            tlvs: Tlvs::NONE,
        };
        if let Some(link) = self.links.get_mut(id) {
            link.session.bind(at(now), kind, &bind, &mut link.out);
            self.links.touch(id);
        }
    }

    pub(crate) fn carrier_closed(&mut self, id: LinkId, carrier: usize) {
        self.carrier_unbound(id, carrier);
        self.carriers[carrier].answering.retain(|link| *link != id);
    }

    /// Nothing new goes to a link; what it answers still counts.
    pub(crate) fn carrier_unbound(&mut self, id: LinkId, carrier: usize) {
        let state = &mut self.carriers[carrier];
        let had_links = !state.links.is_empty();
        state.links.retain(|link| *link != id);
        // It may have come up since the last look for fail-over, too: what was placed here meanwhile is to be looked at.
        state.was_up |= had_links && state.links.is_empty();
        state.bound.retain(|link| *link != id);
    }

    pub(crate) fn carrier_event(
        &mut self,
        now: Now,
        id: LinkId,
        carrier: usize,
        kind: BindKind,
        event: Event<'_, Ticket>,
        body: &[u8],
    ) {
        match event {
            Event::Bound { version, .. } => {
                let name = &self.config.carriers[carrier].name;
                let link = self.link_number(id);
                tracing::info!(carrier = %name, link, kind = kind.label(), ?version, "bound to carrier");
                if let Some(link) = self.links.get_mut(id) {
                    link.was_bound = true;
                    link.bound_ms = now.unix_ms;
                }
                let state = &mut self.carriers[carrier];
                state.bound.push(id);
                if kind.can_submit() {
                    state.links.push(id);
                    state.answering.push(id);
                }
            }
            Event::BindRefused(status) => {
                let name = &self.config.carriers[carrier].name;
                let link = self.link_number(id);
                tracing::warn!(carrier = %name, link, kind = kind.label(), %status, "carrier refused the bind");
                self.carriers[carrier].tally.binds_refused.add(counted(status));
                if let Some(link) = self.links.get_mut(id) {
                    link.refused = Some(status);
                }
                self.links.end(id, End::BindRefused(status));
            }
            Event::Answered {
                ticket: Ticket::Leg(leg, octets),
                sequence,
                took,
                answer,
            } => {
                self.carriers[carrier].tally.response.took(took);
                self.hot_octets = self.hot_octets.saturating_sub(octets.len());
                let asked = Asked {
                    link: id,
                    carrier,
                    sequence,
                    took,
                };
                self.leg_answered(now, asked, leg, octets, &answer);
            }
            Event::Answered {
                ticket: Ticket::Entry(entry, octets),
                ..
            } => {
                // Entries go to ESMEs only; should one ever come back here, it is not lost.
                self.entry_undelivered(entry, octets);
            }
            Event::Request { sequence, operation } => {
                self.carrier_request(now, id, carrier, sequence, &operation, body);
            }
            Event::Unexpected(pdu) => {
                let late = self.links.get_mut(id).and_then(|link| {
                    link.late.heard(now.monotonic);
                    link.late.take(pdu.sequence)
                });
                match late {
                    Some(Target::Leg(leg)) => self.leg_answered_late(now, carrier, leg, &pdu),
                    _ => self.carriers[carrier].tally.unexpected += 1,
                }
                if pdu.operation.strict().is_err() {
                    self.carriers[carrier].tally.tlv_faults += 1;
                }
            }
            // The carrier leaves: nothing new on this link, what is answered still counts.
            Event::PeerUnbound => self.carrier_unbound(id, carrier),
            Event::None
            | Event::BindRequested { .. }
            | Event::Refused { .. }
            | Event::Dropped(_)
            | Event::Notified(_)
            | Event::Outbind(_)
            | Event::Close(_) => {}
        }
    }

    // ===== deliveries =====

    fn carrier_request(
        &mut self,
        now: Now,
        id: LinkId,
        carrier: usize,
        sequence: u32,
        operation: &Operation<'_>,
        body: &[u8],
    ) {
        if operation.strict().is_err() {
            self.carriers[carrier].tally.tlv_faults += 1;
        }
        let peer = Peer {
            default_alphabet: self.config.carriers[carrier].texts.default_alphabet,
            ..Peer::default()
        };
        let (form, message) = match operation {
            // As submit_sm it is the same message from a handset (interop quirk 41).
            Operation::DeliverSm(sm) | Operation::SubmitSm(sm) => {
                let message = Text {
                    carrier,
                    called: widen(sm.destination),
                    sender: sm.source.addr.as_bytes(),
                    sender_ton_npi: (sm.source.ton, sm.source.npi),
                    data_coding: sm.data_coding,
                    peer,
                    esm_class: sm.esm_class,
                    octets: sm.text().0,
                    tlvs: sm.tlvs,
                };
                (Form::Sm, message)
            }
            Operation::DataSm(sm) => {
                let message = Text {
                    carrier,
                    called: sm.destination,
                    sender: sm.source.addr.as_bytes(),
                    sender_ton_npi: (sm.source.ton, sm.source.npi),
                    data_coding: sm.data_coding,
                    peer,
                    esm_class: sm.esm_class,
                    octets: sm.tlvs.message_payload().unwrap_or_default().0,
                    tlvs: sm.tlvs,
                };
                (Form::DataSm, message)
            }
            other => {
                let response = other.command_id().response().unwrap_or(CommandId::GENERIC_NACK);
                return self.respond(id, response, sequence, CommandStatus::RINVCMDID, |_| {});
            }
        };
        let owed = Owed {
            link: id,
            sequence,
            response: operation
                .command_id()
                .response()
                .unwrap_or(CommandId::GENERIC_NACK),
        };
        let Text {
            data_coding,
            esm_class,
            octets,
            tlvs,
            ..
        } = message;
        // One of a wrong length says nothing, and its receipt still counts.
        let network_error = tlvs
            .network_error_code()
            .ok()
            .flatten()
            .map(NetworkErrorCode::octets);
        let by_text = self.config.carriers[carrier].detect_receipts_by_text;
        let mut scratch = String::new();
        // A message from a handset is no receipt.
        let text = if by_text || esm_class.is_receipt() || esm_class.is_intermediate() {
            receipt_text(data_coding, esm_class, octets, peer, &mut scratch)
        } else {
            octets
        };
        let reading = read_receipt(
            esm_class,
            text,
            tlvs.get(Tag::RECEIPTED_MESSAGE_ID),
            tlvs.octet(Tag::MESSAGE_STATE),
            network_error,
            by_text,
        );
        match reading {
            Some(reading) => self.receipt(now, carrier, owed, &reading, network_error),
            None => self.mobile_originated(now, owed, &message, form, body),
        }
    }
}
