//! One connection: what arrives on it and what it sends, turn by turn. It reads no clock and no socket.
//!
//! The two PDUs that there are millions of, submit_sm_resp and deliver_sm, are read where they lie and
//! answered out of a template; the rest goes through the codec.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::header::{CommandId, Header};
use tidegate_codec::message_id::MESSAGE_ID_MAX;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::{Operation, Pdu, encode_empty};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::clock::Now;
use crate::load::bind::{Run, Who};
use crate::load::book::{Book, micros};
use crate::load::options::Options;
use crate::load::receipt::{Delivery, read_data, read_deliver};
use crate::load::silence::{Means, Silence};
use crate::load::submit::Submits;
use crate::load::trouble::Trouble;
use crate::load::window::{Flight, Window};
use crate::traffic::wire::{Bell, Wire};

/// An unbind waits no longer for its answer.
const UNBIND_TIMEOUT: Duration = Duration::from_secs(2);
/// Behind so much that the peer has not read nothing more is submitted.
const OUT_MAX: usize = 512 * 1024;
/// So many deliveries in a row that cannot be read end a connection.
const UNREADABLE_MAX: u32 = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The bind waits for its answer.
    Binding {
        sequence: u32,
        until: Duration,
    },
    Bound,
    Unbinding {
        until: Duration,
    },
}

/// One connection of a run.
pub(super) struct Connection {
    who: Who,
    state: State,
    was_bound: bool,
    past: Past,
    bell: Rc<Bell>,
    window: Window,
    response_timeout: Duration,
    throttle_pause: Duration,
    /// Nothing is submitted before, because the server asked for a pause.
    paused_until: Duration,
    /// When to look for submits that wait for too long.
    expiry: Duration,
    silence: Silence,
    /// Answers to nothing, before it was bound.
    unexpected: u64,
    unreadable: u32,
}

/// What has become of the connections before this one, in the same place.
#[derive(Clone, Copy, Default)]
pub(super) struct Past {
    /// There was an outcome, whichever.
    pub(super) tried: bool,
    /// One was bound.
    pub(super) bound: bool,
}

impl Connection {
    /// One that is not bound yet.
    pub(super) fn new(run: &Run, who: Who, past: Past, bell: &Rc<Bell>) -> Self {
        Self {
            who,
            state: State::Bound,
            was_bound: false,
            past,
            bell: Rc::clone(bell),
            window: Window::new(run.options.window),
            response_timeout: run.options.response_timeout,
            throttle_pause: run.options.throttle_pause,
            paused_until: Duration::ZERO,
            expiry: Duration::ZERO,
            silence: Silence::default(),
            unexpected: 0,
            unreadable: 0,
        }
    }

    pub(super) const fn was_bound(&self) -> bool {
        self.was_bound
    }

    /// Asks to be bound.
    pub(super) fn bind(&mut self, now: Now, options: &Options, out: &mut Vec<u8>) {
        let sequence = self.window.next_sequence();
        let until = now.monotonic + self.response_timeout;
        self.state = State::Binding { sequence, until };
        self.silence.heard(now.monotonic);
        let bind = Bind {
            system_id: self.who.system_id.as_field(),
            password: options.password.as_field(),
            system_type: COctets::EMPTY,
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        let operation = Operation::Bind(self.who.kind, bind);
        Pdu {
            status: CommandStatus::ROK,
            sequence,
            operation,
        }
        .encode(out);
    }

    /// The stream has ended, or failed.
    pub(super) fn ended(&self, error: &io::Error) -> Trouble {
        match (self.was_bound, error.kind()) {
            (false, _) => Trouble::ClosedUnbound,
            (true, io::ErrorKind::UnexpectedEof) => Trouble::Lost("the peer closed it"),
            (true, io::ErrorKind::ConnectionReset) => Trouble::Lost("the peer reset it"),
            (true, _) => Trouble::Lost("the system says that it is broken"),
        }
    }

    /// The connection is gone.
    pub(super) fn leave(&mut self, book: &mut Book) {
        if self.was_bound {
            book.disconnected(&self.bell, self.window.take_sent_until(u64::MAX));
        }
    }

    /// When it wants a turn although nothing arrives.
    pub(super) fn next_timer(&self) -> Duration {
        match self.state {
            State::Binding { until, .. } | State::Unbinding { until } => until,
            State::Bound => {
                let submits_wait = self.window.waiting() > 0;
                let mut at = self.silence.until(submits_wait);
                if submits_wait {
                    at = at.min(self.expiry);
                }
                if !self.paused_until.is_zero() {
                    at = at.min(self.paused_until);
                }
                at
            }
        }
    }

    /// Everything that one wake brings; `false` at the end that both sides wanted.
    pub(super) fn turn(
        &mut self,
        now: Now,
        wire: &mut Wire,
        book: &mut Book,
        submits: &mut Submits,
    ) -> Result<bool, Trouble> {
        book.look_at_the_clock(now);
        loop {
            match wire.inbox.next_frame() {
                Ok(Some((header, body))) => {
                    self.silence.heard(now.monotonic);
                    if !self.handle(now, header, body, &mut wire.out, book)? {
                        return Ok(false);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let status = CommandStatus::RINVCMDLEN;
                    encode_empty(CommandId::GENERIC_NACK, status, error.sequence, &mut wire.out);
                    return Err(Trouble::NotSmpp(error.length, self.was_bound));
                }
            }
        }
        self.look_at_timers(now, &mut wire.out, book)?;
        if self.state == State::Bound {
            self.submit(now, &mut wire.out, book, submits);
        }
        book.settle(now);
        if book.is_over() {
            return Ok(self.unbind(now, &mut wire.out));
        }
        Ok(true)
    }

    fn look_at_timers(&mut self, now: Now, out: &mut Vec<u8>, book: &mut Book) -> Result<(), Trouble> {
        match self.state {
            State::Binding { until, .. } => {
                if now.monotonic >= until {
                    return Err(Trouble::Silent(self.response_timeout, self.unexpected));
                }
            }
            // The run is over; whether the peer says good-bye is not worth a word.
            State::Unbinding { .. } => {}
            State::Bound => {
                if now.monotonic >= self.expiry {
                    self.expire(now, book)?;
                }
                match self.silence.look(now.monotonic, self.window.waiting() > 0) {
                    Means::Nothing => {}
                    Means::Ask => {
                        let sequence = self.window.next_sequence();
                        encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence, out);
                    }
                    Means::Gone => return Err(Trouble::Lost("the peer does not answer enquire_link")),
                }
            }
        }
        Ok(())
    }

    /// Gives up what was not answered in time. Where nothing at all came since it was sent, the link is as good
    /// as gone, and the system may not say so for hours.
    fn expire(&mut self, now: Now, book: &mut Book) -> Result<(), Trouble> {
        // Often enough to be no more than an eighth late.
        let step = self.response_timeout / 8;
        self.expiry = now.monotonic + step.clamp(Duration::from_millis(5), Duration::from_secs(1));
        let since = now.monotonic.saturating_sub(self.response_timeout);
        if since.is_zero() {
            return Ok(());
        }
        let (waiting, heard) = (self.window.waiting(), micros(self.silence.heard_at()));
        let mut is_silent = false;
        self.window.give_up_sent_until(micros(since), |flight| {
            is_silent |= heard < flight.sent;
            book.doubt(flight);
        });
        if self.window.waiting() < waiting {
            book.ring_submitters();
        }
        if is_silent {
            return Err(Trouble::Lost("the peer has fallen silent"));
        }
        Ok(())
    }

    /// Fills the window.
    fn submit(&mut self, now: Now, out: &mut Vec<u8>, book: &mut Book, submits: &mut Submits) {
        if !self.who.kind.can_submit() || now.monotonic < self.paused_until {
            book.pass_on();
            return;
        }
        self.paused_until = Duration::ZERO;
        let sent = micros(now.monotonic);
        for _ in 0..self.window.room() {
            if out.len() >= OUT_MAX {
                break;
            }
            let Some((n, since)) = book.next(now) else { break };
            let sequence = self.window.add(Flight { n, since, sent });
            submits.write(n, sequence, out);
        }
        book.pass_on();
    }

    /// Ends the session, the run being over; `false` when there is nothing to end in order, or it took too long.
    fn unbind(&mut self, now: Now, out: &mut Vec<u8>) -> bool {
        match self.state {
            State::Binding { .. } => false,
            State::Bound => {
                let until = now.monotonic + UNBIND_TIMEOUT;
                self.state = State::Unbinding { until };
                let sequence = self.window.next_sequence();
                encode_empty(CommandId::UNBIND, CommandStatus::ROK, sequence, out);
                true
            }
            State::Unbinding { until } => now.monotonic < until,
        }
    }

    /// One PDU; `false` at the end of the session.
    fn handle(
        &mut self,
        now: Now,
        header: Header,
        body: &[u8],
        out: &mut Vec<u8>,
        book: &mut Book,
    ) -> Result<bool, Trouble> {
        if let State::Binding { sequence, .. } = self.state {
            return self.handle_unbound(now, header, sequence, out, book);
        }
        match header.command_id {
            CommandId::SUBMIT_SM_RESP | CommandId::GENERIC_NACK => self.answered(now, header, body, book),
            CommandId::DELIVER_SM => {
                let read = read_deliver(body);
                let status = self.delivered(now, read, book)?;
                respond(CommandId::DELIVER_SM_RESP, header.sequence, status, out);
            }
            CommandId::DATA_SM => {
                let read = read_data(body);
                let status = self.delivered(now, read, book)?;
                respond(CommandId::DATA_SM_RESP, header.sequence, status, out);
            }
            // Some carriers bring messages this way (interop 41).
            CommandId::SUBMIT_SM => {
                let read = read_deliver(body);
                let status = self.delivered(now, read, book)?;
                respond(CommandId::SUBMIT_SM_RESP, header.sequence, status, out);
            }
            CommandId::UNBIND => {
                encode_empty(CommandId::UNBIND_RESP, CommandStatus::ROK, header.sequence, out);
                if self.state == State::Bound {
                    return Err(Trouble::Lost("the peer unbound"));
                }
                return Ok(false);
            }
            CommandId::UNBIND_RESP if self.state != State::Bound => return Ok(false),
            _ => self.control(header, out, book),
        }
        Ok(true)
    }

    /// Before the bind is answered.
    fn handle_unbound(
        &mut self,
        now: Now,
        header: Header,
        sequence: u32,
        out: &mut Vec<u8>,
        book: &mut Book,
    ) -> Result<bool, Trouble> {
        let expected = match self.who.kind {
            BindKind::Receiver => CommandId::BIND_RECEIVER_RESP,
            BindKind::Transmitter => CommandId::BIND_TRANSMITTER_RESP,
            BindKind::Transceiver => CommandId::BIND_TRANSCEIVER_RESP,
        };
        let is_answer = header.command_id == expected || header.command_id == CommandId::GENERIC_NACK;
        if header.sequence != sequence || !is_answer {
            self.control(header, out, book);
            return Ok(true);
        }
        // The status says everything; peers exist whose bodies cannot be read.
        if !header.status.is_ok() || header.command_id != expected {
            return Err(Trouble::Refused(header.status));
        }
        self.state = State::Bound;
        self.was_bound = true;
        book.bound(now, &self.bell, self.who.kind.can_submit(), !self.past.bound);
        if !self.past.tried {
            book.tried();
        }
        Ok(true)
    }

    /// What is neither a message nor an answer to one.
    fn control(&mut self, header: Header, out: &mut Vec<u8>, book: &mut Book) {
        match header.command_id {
            CommandId::ENQUIRE_LINK => {
                encode_empty(
                    CommandId::ENQUIRE_LINK_RESP,
                    CommandStatus::ROK,
                    header.sequence,
                    out,
                );
            }
            // That something came is all that it says.
            CommandId::ENQUIRE_LINK_RESP | CommandId::OUTBIND | CommandId::ALERT_NOTIFICATION => {}
            id if id.is_response() => {
                self.unexpected += 1;
                book.report.unexpected += 1;
            }
            _ => {
                let status = CommandStatus::RINVCMDID;
                encode_empty(CommandId::GENERIC_NACK, status, header.sequence, out);
                // Well framed and answered: nothing to part for.
                book.report.unreadable += 1;
            }
        }
    }

    fn unreadable(&mut self, book: &mut Book) -> Result<(), Trouble> {
        book.report.unreadable += 1;
        self.unreadable += 1;
        if self.unreadable >= UNREADABLE_MAX {
            return Err(Trouble::Lost("the peer's deliveries cannot be read"));
        }
        Ok(())
    }

    /// An answer to a submit.
    fn answered(&mut self, now: Now, header: Header, body: &[u8], book: &mut Book) {
        let is_success = header.command_id == CommandId::SUBMIT_SM_RESP && header.status.is_ok();
        let Some(flight) = self.window.take(header.sequence) else {
            match self.window.take_overdue(header.sequence) {
                Some(flight) => {
                    let id = is_success.then(|| id_of(body, book));
                    book.answered_late(now, self.who.account, flight, id);
                }
                None => book.report.unexpected += 1,
            }
            return;
        };
        if is_success {
            let id = id_of(body, book);
            book.acknowledged(now, self.who.account, flight, id);
        } else {
            // A nack refuses, whatever its status says.
            let status = if header.status.is_ok() {
                CommandStatus::RUNKNOWNERR
            } else {
                header.status
            };
            if book.refused(now, flight, status) {
                self.paused_until = now.monotonic + self.throttle_pause;
            }
        }
    }

    /// A delivery; what to answer it with.
    fn delivered(
        &mut self,
        now: Now,
        read: Result<Delivery<'_>, tidegate_codec::error::BodyError>,
        book: &mut Book,
    ) -> Result<CommandStatus, Trouble> {
        match read {
            Ok(Delivery::Receipt(id, state)) => book.receipt(now, self.who.account, id, state),
            Ok(Delivery::Intermediate) => {}
            Ok(Delivery::Message) => book.report.mobile_originated += 1,
            Err(error) => {
                self.unreadable(book)?;
                return Ok(error.status());
            }
        }
        self.unreadable = 0;
        Ok(CommandStatus::ROK)
    }
}

/// The id of a submit_sm_resp: up to its NUL, or to the end where a peer forgets that (interop 19).
fn id_of<'a>(body: &'a [u8], book: &mut Book) -> Option<&'a [u8]> {
    let end = body.iter().position(|octet| *octet == 0).unwrap_or(body.len());
    let id = &body[..end];
    // With its NUL an id has up to 65 octets (3.4 §4.4.2).
    book.report.oversized_ids += u64::from(id.len() >= MESSAGE_ID_MAX);
    (!id.is_empty()).then_some(id)
}

/// Answers a delivery: a header and, on success, an empty message_id (3.4 §4.6.2).
fn respond(command_id: CommandId, sequence: u32, status: CommandStatus, out: &mut Vec<u8>) {
    if status.is_ok() {
        let mut response = [0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        response[4..8].copy_from_slice(&command_id.0.to_be_bytes());
        response[12..16].copy_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&response);
    } else {
        encode_empty(command_id, status, sequence, out);
    }
}
