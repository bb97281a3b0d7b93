//! One bind of the simulated clients: bound, and bound again whenever its connection ends.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::receipt::read_receipt;
use tidegate_codec::session::{Answer, Event, Monotonic, Role, Rules, Session, State, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{BindKind, InterfaceVersion, MessageState};
use tokio::net::TcpStream;

use crate::clock::{Clock, Now};
use crate::load::Options;
use crate::load::book::Book;
use crate::traffic::token::Token;
use crate::traffic::wire::{Bell, Read, Wire};

/// Deliveries may come as fast as they like: each is answered in the turn that reads it.
const UNANSWERED_MAX: usize = 1;
/// A bind waits no longer for its answer; argon2 takes its time when many bind at once.
const BIND_TIMEOUT: Duration = Duration::from_secs(30);
/// A submit that was not answered for so long is in doubt.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// An unbind waits no longer for its answer.
const UNBIND_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a new connection grows to so many times the first one.
const BACK_OFF_MAX: u32 = 100;

struct Client {
    options: Rc<Options>,
    book: Rc<RefCell<Book>>,
    clock: Clock,
    /// A bind of this client was answered before.
    tried: bool,
    text: Vec<u8>,
}

/// Keeps one bind until the run is over.
pub(super) async fn keep_bound(options: Rc<Options>, book: Rc<RefCell<Book>>, clock: Clock) {
    let mut pause = options.reconnect;
    let mut client = Client {
        options,
        book,
        clock,
        tried: false,
        text: Vec::new(),
    };
    let bell = Rc::<Bell>::default();
    client.book.borrow_mut().joined(&bell);
    while !client.is_over() {
        let was_bound = match TcpStream::connect(client.options.server).await {
            Ok(socket) => client.serve(socket, &bell).await,
            Err(_) => false,
        };
        let first = client.options.reconnect;
        pause = if was_bound {
            first
        } else {
            (pause * 2).min(first * BACK_OFF_MAX)
        };
        let until = client.clock.instant(client.clock.now().monotonic + pause);
        // The bell also rings for messages to be sent, which others do meanwhile.
        while !client.is_over() && tokio::time::timeout_at(until, bell.rung()).await.is_ok() {}
    }
}

/// One connection of a client.
struct Connection {
    session: Session<u32>,
    /// Nothing is submitted before, because the server asked for a pause.
    paused_until: Duration,
    was_bound: bool,
    unbinding: bool,
}

impl Client {
    fn is_over(&self) -> bool {
        self.book.borrow().is_over()
    }

    /// Serves a connection to its end; tells whether it was bound.
    async fn serve(&mut self, socket: TcpStream, bell: &Rc<Bell>) -> bool {
        let rules = Rules {
            window: self.options.window,
            unanswered_max: UNANSWERED_MAX,
            timing: Timing {
                session_init: BIND_TIMEOUT,
                response: RESPONSE_TIMEOUT,
                unbind_wait: UNBIND_TIMEOUT,
                ..Timing::default()
            },
            assume_version: InterfaceVersion::V3_4,
        };
        let mut connection = Connection {
            session: Session::new(Role::Esme, rules, Monotonic(self.clock.now().monotonic)),
            paused_until: Duration::ZERO,
            was_bound: false,
            unbinding: false,
        };
        // However it ended, what was not answered is in doubt.
        let _ = self.drive(socket, bell, &mut connection).await;
        let unanswered = connection.session.drain();
        self.book
            .borrow_mut()
            .disconnected(connection.was_bound, unanswered);
        connection.was_bound
    }

    async fn drive(
        &mut self,
        socket: TcpStream,
        bell: &Rc<Bell>,
        connection: &mut Connection,
    ) -> io::Result<()> {
        let mut wire = Wire::new(socket, &self.clock)?;
        wire.bell = Rc::clone(bell);
        let at = Monotonic(self.clock.now().monotonic);
        let bind = Bind {
            system_id: self.options.system_id.as_field(),
            password: self.options.password.as_field(),
            system_type: COctets::EMPTY,
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        connection
            .session
            .bind(at, BindKind::Transceiver, &bind, &mut wire.out);
        wire.flush()?;
        loop {
            let timers = connection.session.poll_timeout().map(|at| at.0);
            let paused = (!connection.paused_until.is_zero()).then_some(connection.paused_until);
            wire.wait(timers.into_iter().chain(paused).min()).await?;
            let now = self.clock.now();
            let book = Rc::clone(&self.book);
            let goes_on = self.turn(now, &mut wire, connection, &mut book.borrow_mut());
            wire.flush()?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Everything that one wake brings; `false` at the end of the session.
    fn turn(&mut self, now: Now, wire: &mut Wire, connection: &mut Connection, book: &mut Book) -> bool {
        let at = Monotonic(now.monotonic);
        loop {
            match wire.inbox.next() {
                Ok(Some(pdu)) => {
                    if !self.handle(now, pdu, &mut wire.out, connection, book) {
                        return false;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let _ = connection.session.handle_broken(error, &mut wire.out);
                    return false;
                }
            }
        }
        connection.session.set_partial(at, wire.inbox.is_partial());
        while let Some(event) = connection.session.handle_timeout(at, &mut wire.out) {
            match event {
                Event::Close(_) => return false,
                Event::Answered { ticket, .. } => book.doubt(ticket),
                _ => {}
            }
        }
        self.submit(now, &mut wire.out, connection, book);
        book.settle(now);
        if book.is_over() && !connection.unbinding {
            connection.unbinding = true;
            connection.session.unbind(at, &mut wire.out);
            // Before it is bound there is nothing to end in order.
            return matches!(connection.session.state(), State::Unbinding { .. });
        }
        true
    }

    /// Fills the window.
    fn submit(&mut self, now: Now, out: &mut Vec<u8>, connection: &mut Connection, book: &mut Book) {
        if now.monotonic < connection.paused_until {
            return;
        }
        connection.paused_until = Duration::ZERO;
        let at = Monotonic(now.monotonic);
        for _ in 0..connection.session.room() {
            let Some(n) = book.next(now) else { return };
            let token = Token {
                run: self.options.run,
                n,
            };
            let number = token.destination();
            self.text.clear();
            token.write(&number, self.options.length, &mut self.text);
            let sm = Sm {
                source: self.options.sender.as_field().unwrap_or_default(),
                destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, &number).unwrap_or_default(),
                registered_delivery: self.options.registered_delivery,
                short_message: ShortMessage::new(&self.text).unwrap_or_default(),
                ..Sm::default()
            };
            let sent = connection
                .session
                .request(at, CommandId::SUBMIT_SM, n, out, |out| sm.encode(out));
            debug_assert!(sent.is_ok(), "there was room");
        }
    }

    /// One PDU; `false` at the end of the session.
    fn handle(
        &mut self,
        now: Now,
        pdu: Read<'_>,
        out: &mut Vec<u8>,
        connection: &mut Connection,
        book: &mut Book,
    ) -> bool {
        match connection.session.handle(Monotonic(now.monotonic), pdu, out) {
            Event::Answered { ticket, took, answer } => match answer {
                Answer::Response(status, Operation::SubmitSmResp(Some(body))) if status.is_ok() => {
                    match MessageIdText::new(body.message_id.as_bytes()) {
                        Ok(id) => book.acknowledged(now, ticket, took, id),
                        Err(_) => book.doubt(ticket),
                    }
                }
                Answer::Response(status, _) | Answer::Nack(status) if !status.is_ok() => {
                    if book.refused(now, ticket, status) {
                        connection.paused_until = now.monotonic + self.options.throttle_pause;
                    }
                }
                Answer::Response(..) | Answer::Nack(_) | Answer::Unreadable(_) | Answer::Expired => {
                    book.doubt(ticket);
                }
            },
            Event::Request { sequence, operation } => {
                if let Operation::DeliverSm(sm) = &operation {
                    delivered(now, sm, book);
                }
                let response = operation.command_id().response();
                let response = response.unwrap_or(CommandId::DELIVER_SM_RESP);
                connection
                    .session
                    .respond(response, sequence, CommandStatus::ROK, out, |out| out.push(0));
            }
            Event::Bound { .. } => {
                connection.was_bound = true;
                book.bind_answered(now, true, !self.tried);
                self.tried = true;
            }
            Event::BindRefused(_) => {
                book.bind_answered(now, false, !self.tried);
                self.tried = true;
                return false;
            }
            Event::Close(_) => return false,
            Event::None
            | Event::BindRequested { .. }
            | Event::Unexpected(_)
            | Event::Refused { .. }
            | Event::Dropped(_)
            | Event::PeerUnbound => {}
        }
        true
    }
}

fn delivered(now: Now, sm: &Sm<'_>, book: &mut Book) {
    let id = sm.tlvs.receipted_message_id();
    let state = sm.tlvs.octet(Tag::MESSAGE_STATE);
    // With both TLVs there the text has nothing to add, and is not worth the reading.
    let text = if id.is_some() && state.is_some() {
        &[][..]
    } else {
        sm.text().0
    };
    match read_receipt(sm.esm_class, text, id, state, None, false) {
        Some(receipt) if receipt.is_final => match MessageIdText::new(receipt.id()) {
            Ok(id) => book.receipt(now, id, receipt.state),
            Err(_) => book.receipt(now, MessageIdText::default(), MessageState::Unknown),
        },
        Some(_) => {}
        None => book.mobile_originated(),
    }
}
