//! The gate's links: how they are opened and closed, and how what they receive comes to sessions, and from there to
//! [`crate::esme`] and [`crate::carrier`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::pdu::{Read, read};
use tidegate_codec::session::{Event, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tidegate_config::{Config, Excepted, Transport};
use tidegate_store::disk::Disk;

use super::{Gate, at};
use crate::clock::Now;
use crate::links::{End, LinkId, Peer, Ticket};
use crate::tally::counted_command;
use crate::telemetry::words::{ConnectionRefused, Handshake, Side};
use crate::tls::Certificate;
use crate::trace::Direction;

/// Octets that may wait for one link to be written before no more is read from it.
const OUT_MAX: usize = 1 << 20;
/// Requests of one carrier link that may be unanswered: receipts and MOs that wait for a commit, or in the pen.
pub(crate) const CARRIER_UNANSWERED_MAX: usize = 5_000;

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

impl<D: Disk> Gate<D> {
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
