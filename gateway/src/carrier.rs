//! Links to carriers: binding to them, handing legs over, hearing their answers and deliveries.

mod flow;
mod pen;
mod queue;
mod reconnect;
mod verdict;

use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use rand_core::Rng;
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::Password;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::receipt::{canonical, read_receipt};
use tidegate_codec::session::{Answer, Event};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::time::write_relative;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{BindKind, EsmClass, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_config::{Carrier, ReceiptRequest, Unanswered};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::names::NameId;
use tidegate_store::record::{Form, Stage};
use tidegate_store::spool::Target;

use crate::clock::Now;
use crate::dlr::{ReceiptNote, delivery_response};
use crate::gate::{Gate, at};
use crate::links::{End, LinkId, Links, Peer, Ticket};
use crate::mt::HOT_MAX;
use crate::plain::plain;
use crate::tally::{CarrierTally, sample};
use crate::telemetry::words::Answered;
use crate::turn::Owed;

pub use flow::Flow;
pub use pen::{PEN_MAX, PEN_WAIT, Pen, Penned};
pub use queue::{Queue, Ready};
pub use reconnect::Reconnect;
pub use verdict::Verdict;

/// Legs and entries that are read back from the spool at once, over all carriers and accounts.
pub(crate) const READ_BACK_MAX: usize = 1024;
/// "Slow" answers to one leg after which it is tried elsewhere (design §5.7).
const SLOW_MAX: u16 = 3;
/// Legs of one carrier for which "slow" answers are counted.
const SLOWED_MAX: usize = 10_000;

/// A carrier while the gateway runs.
#[derive(Debug)]
pub struct CarrierState {
    /// Its number in the spool.
    pub name: NameId,
    /// Our secret there.
    password: Password,
    /// Its links that are bound and take submits.
    pub links: Vec<LinkId>,
    /// Its links that are bound in any way.
    pub bound: Vec<LinkId>,
    /// Its links on which answers may still come: those that took submits, until they are closed.
    answering: Vec<LinkId>,
    next_link: usize,
    /// What waits for room.
    pub queue: Queue,
    /// How fast it is fed.
    pub flow: Flow,
    /// Receipts ahead of their time.
    pub pen: Pen,
    /// How often legs that wait were told "slow", and when first.
    slowed: HashMap<LegId, (u16, Duration)>,
    /// Whether it was up when its queue was last looked through for fail-over.
    was_up: bool,
    /// It has lost a link, or legs came back into its queue: those that wait are to be looked at again, should it be down.
    came_back: bool,
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
            queue: Queue::default(),
            flow: Flow::new(config.rate),
            pen: Pen::default(),
            slowed: HashMap::new(),
            was_up: false,
            came_back: false,
            tally: CarrierTally::default(),
        }
    }

    /// Whether legs can be handed to it: a link takes submits and it does not say "slow" for ever.
    pub fn is_up(&self, now: Now) -> bool {
        !self.links.is_empty() && !self.flow.is_stuck(now.monotonic)
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
    fn carrier_unbound(&mut self, id: LinkId, carrier: usize) {
        let state = &mut self.carriers[carrier];
        state.came_back = true;
        state.links.retain(|link| *link != id);
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
                tracing::info!(carrier = %name, kind = kind.label(), ?version, "bound to carrier");
                if let Some(link) = self.links.get_mut(id) {
                    link.was_bound = true;
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
                tracing::warn!(carrier = %name, kind = kind.label(), %status, "carrier refused the bind");
                self.carriers[carrier].tally.binds_refused.add(status);
                if let Some(link) = self.links.get_mut(id) {
                    link.refused = Some(status);
                }
                self.links.end(id, End::BindRefused(status));
            }
            Event::Answered {
                ticket: Ticket::Leg(leg, octets),
                took,
                answer,
            } => {
                sample(&mut self.carriers[carrier].tally.response_seconds, took);
                self.hot_octets = self.hot_octets.saturating_sub(octets.len());
                self.leg_answered(now, id, carrier, leg, octets, &answer);
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
                self.carriers[carrier].tally.unexpected += 1;
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
        let (form, esm_class, text, tlvs, called): (Form, EsmClass, &[u8], Tlvs<'_>, &[u8]) = match operation
        {
            Operation::DeliverSm(sm) => (
                Form::Sm,
                sm.esm_class,
                sm.text().0,
                sm.tlvs,
                sm.destination.addr.as_bytes(),
            ),
            Operation::DataSm(sm) => {
                let text = sm.tlvs.message_payload().unwrap_or_default();
                (
                    Form::DataSm,
                    sm.esm_class,
                    text.0,
                    sm.tlvs,
                    sm.destination.addr.as_bytes(),
                )
            }
            other => {
                let response = other.command_id().response().unwrap_or(CommandId::GENERIC_NACK);
                return self.respond(id, response, sequence, CommandStatus::RINVCMDID, |_| {});
            }
        };
        let owed = Owed {
            link: id,
            sequence,
            response: delivery_response(form),
        };
        let network_error = tlvs.network_error_code();
        let reading = read_receipt(
            esm_class,
            text,
            tlvs.receipted_message_id(),
            tlvs.octet(Tag::MESSAGE_STATE),
            network_error,
            self.config.carriers[carrier].detect_receipts_by_text,
        );
        match reading {
            Some(reading) => self.receipt(now, carrier, owed, &reading, network_error),
            None => self.mobile_originated(now, carrier, owed, called, form, body),
        }
    }

    // ===== handing over =====

    /// Hands over what waits, as far as links have room and the carriers' rates allow.
    pub(crate) fn dispatch_all(&mut self, now: Now) {
        // What a broken spool hands over it could not note, and would hand over again after the restart.
        if self.stopping || self.spool.is_broken() {
            return;
        }
        for carrier in 0..self.carriers.len() {
            self.dispatch(now, carrier);
        }
    }

    fn dispatch(&mut self, now: Now, carrier: usize) {
        let mut sent = false;
        while !self.carriers[carrier].queue.is_empty()
            && self.spool.has_batch_room()
            && self.spool.has_progress_room()
        {
            let state = &mut self.carriers[carrier];
            let Some(link) = state.next_link(&self.links) else {
                break;
            };
            // Only what is written costs the carrier's rate, not what is read back first or has ended.
            if state.flow.ready_at() > now.monotonic {
                break;
            }
            let Some(Ready { leg, body, .. }) = state.queue.pop() else {
                break;
            };
            match body {
                Some(body) => {
                    self.offer(now, carrier, link, leg, body);
                    sent = true;
                }
                None if self.reading + self.wanted.len() < READ_BACK_MAX => {
                    self.spool.set_leased(leg, true);
                    self.wanted.push(Target::Leg(leg));
                }
                // As much as may be is being read back; the rest keeps its place.
                None => {
                    self.put_back(carrier, leg, None);
                    break;
                }
            }
        }
        if sent {
            self.carriers[carrier].next_link += 1;
        }
    }

    /// A carrier did not take a leg: back to its place in the queue.
    fn give_back(&mut self, carrier: usize, leg: LegId, body: Bytes) {
        self.carriers[carrier].came_back = true;
        self.put_back(carrier, leg, Some(body));
    }

    /// Whether the carrier was asked for a receipt of this leg.
    fn is_receipt_asked_for(&self, carrier: usize, leg: LegId) -> bool {
        self.spool.index().get(leg).is_some_and(|found| {
            let request = self.config.carriers[carrier].request_receipts;
            let version = tidegate_codec::values::InterfaceVersion(found.envelope.interface_version);
            asked_for(request, found.envelope.registered_delivery).wish(version) != ReceiptWish::Never
        })
    }

    /// Puts a leg back into its carrier's queue, where it stood.
    fn put_back(&mut self, carrier: usize, leg: LegId, body: Option<Bytes>) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let (account, priority, message) = (found.account, found.envelope.priority, found.message);
        self.spool.set_leased(leg, false);
        let body = body.filter(|_| self.hot_octets < HOT_MAX);
        self.hot_octets += body.as_ref().map_or(0, Bytes::len);
        self.carriers[carrier]
            .queue
            .put_back(account, priority, Ready { leg, message, body });
    }

    /// A body that was read back: back in front, with it.
    pub(crate) fn leg_read(&mut self, now: Now, leg: LegId, body: Bytes) {
        self.spool.set_leased(leg, false);
        self.line_up_in_front(now, leg, Some(body));
    }

    /// Writes a leg to a link. `body` was counted as hot memory while it waited, and is until the answer.
    fn offer(&mut self, now: Now, carrier: usize, id: LinkId, leg: LegId, body: Bytes) {
        let Some(found) = self.spool.index().get(leg) else {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            return;
        };
        let (form, expires_ms) = (found.envelope.form, found.envelope.expires_ms);
        if expires_ms <= now.unix_ms {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            return self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
        }
        let config = &self.config.carriers[carrier];
        let registered = asked_for(config.request_receipts, found.envelope.registered_delivery);
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let with_tlvs = link.session.version().has_tlvs();
        let octets = body.clone();
        let remaining = Duration::from_millis(expires_ms - now.unix_ms);
        let ticket = Ticket::Leg(leg, body);
        // 3.3 has no data_sm, and room for a short text only (smpp-session.md §7).
        let (command, unwritable) = match form {
            Form::Sm => {
                let fits = with_tlvs || plain(form, &octets).is_some();
                (CommandId::SUBMIT_SM, (!fits).then_some(CommandStatus::RINVMSGLEN))
            }
            Form::DataSm => (
                CommandId::DATA_SM,
                (!with_tlvs).then_some(CommandStatus::RINVCMDID),
            ),
        };
        if let Some(status) = unwritable {
            self.hot_octets = self.hot_octets.saturating_sub(octets.len());
            let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
            return self.end_quietly(now, leg, &note);
        }
        let sent = link
            .session
            .request(at(now), command, ticket, &mut link.out, |out| {
                write_submit(out, form, &octets, registered, remaining, with_tlvs);
            });
        match sent {
            Ok(_) => {
                self.links.touch(id);
                self.spool.set_leased(leg, true);
                let state = &mut self.carriers[carrier];
                state.flow.take(now.monotonic);
                state.tally.offered += 1;
            }
            Err(_) => {
                self.hot_octets = self.hot_octets.saturating_sub(octets.len());
                self.put_back(carrier, leg, Some(octets));
            }
        }
    }

    // ===== answers =====

    fn leg_answered(
        &mut self,
        now: Now,
        id: LinkId,
        carrier: usize,
        leg: LegId,
        body: Bytes,
        answer: &Answer<'_>,
    ) {
        let (status, message_id) = match answer {
            Answer::Response(status, operation) => {
                if operation.strict().is_err() {
                    self.carriers[carrier].tally.tlv_faults += 1;
                }
                let id = match operation {
                    Operation::SubmitSmResp(Some(body)) | Operation::DataSmResp(Some(body)) => {
                        body.message_id.as_bytes()
                    }
                    _ => &[],
                };
                (*status, id)
            }
            Answer::Nack(status) => (*status, &[][..]),
            Answer::Unreadable(_) | Answer::Expired => {
                if matches!(answer, Answer::Unreadable(_)) {
                    self.carriers[carrier].tally.answers.add(Answered::Unreadable);
                }
                self.carriers[carrier].tally.unanswered += 1;
                return self.leg_unanswered(now, carrier, leg, body);
            }
        };
        let state = &mut self.carriers[carrier];
        let verdict = Verdict::of(status);
        if verdict != Verdict::Slow && !state.slowed.is_empty() {
            state.slowed.remove(&leg);
        }
        state.tally.answers.add(verdict.into());
        if !status.is_ok() {
            state.tally.statuses.add(status);
        }
        match verdict {
            Verdict::Accepted => {
                state.flow.accepted();
                self.leg_accepted(now, carrier, leg, message_id);
            }
            Verdict::Slow => {
                state.flow.slow(now.monotonic);
                self.leg_slowed(now, carrier, leg, body);
            }
            Verdict::Retry => self.leg_failed(now, carrier, leg, status),
            Verdict::Reject => {
                let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
                self.end_quietly(now, leg, &note);
            }
            Verdict::Relink => {
                self.give_back(carrier, leg, body);
                if let Some(link) = self.links.get_mut(id) {
                    link.relinked = true;
                    link.session.unbind(at(now), &mut link.out);
                    self.links.touch(id);
                }
                self.carrier_unbound(id, carrier);
            }
        }
    }

    /// The carrier has the leg. Where no receipt was asked for, that is its end (design §5.6).
    fn leg_accepted(&mut self, now: Now, carrier: usize, leg: LegId, message_id: &[u8]) {
        if !self.is_receipt_asked_for(carrier, leg) {
            return self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Accepted));
        }
        let config = &self.config.carriers[carrier];
        let id = canonical(message_id, config.id_base.response);
        let id = MessageIdText::new(id.as_bytes()).unwrap_or_default();
        let wait = u64::try_from(config.receipt_deadline.as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = now.unix_ms.saturating_add(wait);
        let name = self.carriers[carrier].name;
        // A broken spool cannot note it: after the restart the leg is handed over again.
        let _ = self
            .spool
            .hand_over(now.unix_ms, leg, name, id.clone(), deadline_ms, &mut self.rng);
        if !id.is_empty() {
            self.receipts_released(now, carrier, leg, &id);
        }
    }

    /// The carrier is full. The leg keeps its place; one that is told so again and again while others pass
    /// is tried elsewhere.
    fn leg_slowed(&mut self, now: Now, carrier: usize, leg: LegId, body: Bytes) {
        let index = self.spool.index();
        let state = &mut self.carriers[carrier];
        if state.slowed.len() >= SLOWED_MAX {
            // Those that ended elsewhere are shed; should all live, they are counted anew.
            state.slowed.retain(|leg, _| index.get(*leg).is_some());
            if state.slowed.len() >= SLOWED_MAX {
                state.slowed.clear();
            }
        }
        let (times, first) = state.slowed.entry(leg).or_insert((0, now.monotonic));
        *times = times.saturating_add(1);
        let many = *times >= SLOW_MAX && state.flow.has_passed_since(*first);
        if many {
            state.slowed.remove(&leg);
            return self.leg_failed(now, carrier, leg, CommandStatus::RTHROTTLED);
        }
        self.give_back(carrier, leg, body);
    }

    /// The try failed: again after a pause that doubles, on the next carrier, until the attempts are over.
    fn leg_failed(&mut self, now: Now, carrier: usize, leg: LegId, status: CommandStatus) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let config = &self.config.carriers[carrier];
        let attempts = u32::from(found.attempts) + 1;
        if attempts >= config.max_attempts {
            let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
            return self.end_quietly(now, leg, &note);
        }
        let pause = config
            .retry_min
            .saturating_mul(1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX))
            .min(config.retry_max);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        // Up to a quarter more, so that what failed together does not come back together.
        let jitter = u64::from(self.rng.next_u32()) % (pause_ms / 4 + 1);
        let due_ms = now.unix_ms.saturating_add(pause_ms).saturating_add(jitter);
        let _ = self.spool.retry(now.unix_ms, leg, due_ms, true, &mut self.rng);
    }

    /// No answer came: whether the carrier has the leg is unknown, and what follows is the operator's choice
    /// (interop #30, quirk 35).
    pub(crate) fn leg_unanswered(&mut self, now: Now, carrier: usize, leg: LegId, body: Bytes) {
        match self.config.carriers[carrier].unanswered {
            Unanswered::Resend => self.give_back(carrier, leg, body),
            Unanswered::Wait if self.is_receipt_asked_for(carrier, leg) => {
                self.leg_accepted(now, carrier, leg, &[]);
            }
            // Nothing will ever tell what became of it.
            Unanswered::Wait => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown)),
            Unanswered::Fail => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown)),
        }
    }

    /// A link broke with the leg on it.
    pub(crate) fn leg_in_doubt(&mut self, now: Now, leg: LegId, body: Bytes, peer: Peer) {
        self.hot_octets = self.hot_octets.saturating_sub(body.len());
        match peer {
            Peer::Carrier { carrier, .. } => {
                self.carriers[carrier].tally.unanswered += 1;
                self.leg_unanswered(now, carrier, leg, body);
            }
            Peer::Esme { .. } => {
                self.spool.set_leased(leg, false);
                self.line_up(now, leg, Some(body));
            }
        }
    }

    // ===== dates =====

    /// Acts on legs whose date has come, a bounded number per turn.
    pub(crate) fn due_legs(&mut self, now: Now, max: usize) {
        // While nothing can be written they keep their dates, or what ends would pile up in one batch.
        if self.spool.is_broken() || !self.spool.has_batch_room() {
            return;
        }
        if self
            .spool
            .index()
            .next_due_ms()
            .is_none_or(|due| due > now.unix_ms)
        {
            return;
        }
        for leg in self.spool.index().due(now.unix_ms, max) {
            let Some(found) = self.spool.index().get(leg) else {
                continue;
            };
            let wish = RegisteredDelivery(found.envelope.registered_delivery).wish(
                tidegate_codec::values::InterfaceVersion(found.envelope.interface_version),
            );
            match found.stage {
                Stage::Waiting if found.envelope.expires_ms <= now.unix_ms => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
                }
                Stage::Waiting => self.line_up(now, leg, None),
                // Silence of a carrier that reports failures only is good news (design §5.6).
                Stage::HandedOver if wish == ReceiptWish::OnFailure => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Accepted));
                }
                Stage::HandedOver => {
                    self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown));
                }
            }
        }
    }

    /// Moves what waits for a carrier that is down to the next of its route that is up.
    ///
    /// Only when a carrier has come up or gone down, or something came back into its queue: what was placed
    /// since is where it belongs, and to look through all that waits at every tick would cost everything.
    pub(crate) fn fail_over(&mut self, now: Now) {
        let mut changed = false;
        for state in &mut self.carriers {
            let is_up = state.is_up(now);
            changed |= std::mem::replace(&mut state.was_up, is_up) != is_up;
        }
        for carrier in 0..self.carriers.len() {
            let state = &mut self.carriers[carrier];
            let came_back = std::mem::take(&mut state.came_back);
            if !(changed || came_back)
                || state.queue.is_empty()
                || state.is_up(now)
                || !self.carriers.iter().any(|other| other.is_up(now))
            {
                continue;
            }
            let waiting: Vec<Ready> = self.carriers[carrier].queue.drain().collect();
            for Ready { leg, body, .. } in waiting {
                self.hot_octets = self
                    .hot_octets
                    .saturating_sub(body.as_ref().map_or(0, Bytes::len));
                self.line_up(now, leg, body);
            }
        }
    }
}

/// What is asked of the carrier for what the ESME asked of us.
fn asked_for(request: ReceiptRequest, registered: u8) -> RegisteredDelivery {
    match request {
        ReceiptRequest::AsAsked => RegisteredDelivery(registered),
        ReceiptRequest::Always => RegisteredDelivery((registered & !0x03) | 0x01),
    }
}

/// Writes a submit_sm or data_sm towards a carrier: the octets as they came, but for what is ours to say
/// there: which receipts, how much validity is left, and no schedule, since we kept it.
fn write_submit(
    out: &mut Vec<u8>,
    form: Form,
    body: &[u8],
    registered_delivery: RegisteredDelivery,
    remaining: Duration,
    with_tlvs: bool,
) {
    match form {
        Form::Sm => {
            // The body was read when it came in.
            let sm = if with_tlvs {
                Sm::decode(body).ok()
            } else {
                plain(form, body)
            };
            let Some(sm) = sm else { return };
            let validity = write_relative(remaining);
            Sm {
                registered_delivery,
                validity_period: COctets::new(&validity).unwrap_or_default(),
                schedule_delivery_time: COctets::EMPTY,
                ..sm
            }
            .encode(out);
        }
        Form::DataSm => {
            let Ok(sm) = DataSm::decode(body) else { return };
            DataSm {
                registered_delivery,
                ..sm
            }
            .encode(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::address::{Address, Npi, Ton};
    use tidegate_codec::pdu::message::ShortMessage;
    use tidegate_codec::tlv;

    fn submitted() -> Vec<u8> {
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
        let mut body = Vec::new();
        Sm {
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
            validity_period: COctets::new(b"000002000000000R").unwrap(),
            registered_delivery: RegisteredDelivery(0),
            short_message: ShortMessage::new(b"\x00hello\xff").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        }
        .encode(&mut body);
        body
    }

    #[test]
    fn a_forwarded_message_keeps_its_octets_and_says_what_validity_is_left() {
        let (body, mut out) = (submitted(), Vec::new());
        let left = Duration::from_secs(90);
        write_submit(&mut out, Form::Sm, &body, RegisteredDelivery(1), left, true);
        let (before, after) = (Sm::decode(&body).unwrap(), Sm::decode(&out).unwrap());
        assert_eq!(after.validity_period.as_bytes(), b"000000000130000R");
        assert_eq!(after.registered_delivery, RegisteredDelivery(1));
        assert!(
            after.schedule_delivery_time.is_empty(),
            "the schedule was ours to keep"
        );
        let restored = Sm {
            validity_period: before.validity_period,
            schedule_delivery_time: before.schedule_delivery_time,
            registered_delivery: before.registered_delivery,
            ..after
        };
        assert_eq!(restored, before, "everything else is as it came");
    }

    #[test]
    fn a_3_3_carrier_sees_no_tlv() {
        let (body, mut out) = (submitted(), Vec::new());
        write_submit(
            &mut out,
            Form::Sm,
            &body,
            RegisteredDelivery(1),
            Duration::from_secs(1),
            false,
        );
        assert!(Sm::decode(&out).unwrap().tlvs.is_empty());
    }

    #[test]
    fn receipts_are_asked_for_as_configured_without_losing_the_other_bits() {
        assert_eq!(asked_for(ReceiptRequest::AsAsked, 0x12), RegisteredDelivery(0x12));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x12), RegisteredDelivery(0x11));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x00), RegisteredDelivery(0x01));
    }
}
