//! One link of the simulated carrier, and the clockwork for receipts that are held back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::Operation;
use tidegate_codec::session::{Answer, Event, Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;
use tokio::net::TcpStream;

use crate::clock::{Clock, Now};
use crate::simulator::centre::{Centre, Receipt, decimal};
use crate::traffic::wire::{Bell, Read, Wire};

/// Submits of one link that may wait for their answer, which only a delay makes them do.
const UNANSWERED_MAX: usize = 100_000;

/// An answer to a submit that is held back: when it leaves, and what it says.
type HeldBack = (Duration, u32, Result<u64, CommandStatus>);

struct Link {
    key: u64,
    session: Session<Receipt>,
    answers: VecDeque<HeldBack>,
    /// Empty between turns; kept for its memory.
    sending: Vec<Receipt>,
    was_bound: bool,
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: TcpStream, key: u64, centre: Rc<RefCell<Centre>>, clock: Clock) {
    let rules = Rules {
        window: centre.borrow().options.window,
        unanswered_max: UNANSWERED_MAX,
        timing: Timing::default(),
        assume_version: InterfaceVersion::V3_4,
    };
    let mut link = Link {
        key,
        session: Session::new(Role::Smsc, rules, Monotonic(clock.now().monotonic)),
        answers: VecDeque::new(),
        sending: Vec::new(),
        was_bound: false,
    };
    // However a connection ends, what is not answered goes over another one.
    let _ = link.drive(socket, &centre, &clock).await;
    let unanswered = link.session.drain();
    centre.borrow_mut().leave(key, link.was_bound, unanswered);
}

/// Sends receipts on their way when their time comes.
pub(super) async fn send_held_back(centre: Rc<RefCell<Centre>>, clock: Clock) {
    let bell = Rc::clone(&centre.borrow().held_back);
    loop {
        let next = centre.borrow_mut().release(clock.now());
        match next {
            // Each list is in order, so what is rung for later is due no earlier, but for the first of
            // the other list.
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(clock.instant(due)) => {}
                () = bell.rung() => {}
            },
            None => bell.rung().await,
        }
    }
}

impl Link {
    async fn drive(&mut self, socket: TcpStream, centre: &RefCell<Centre>, clock: &Clock) -> io::Result<()> {
        let mut wire = Wire::new(socket, clock)?;
        centre.borrow_mut().serve(self.key, &wire.bell);
        loop {
            let timers = self.session.poll_timeout().map(|at| at.0);
            let answer = self.answers.front().map(|(due, ..)| *due);
            wire.wait(timers.into_iter().chain(answer).min()).await?;
            let now = clock.now();
            let goes_on = self.turn(now, &mut wire, &mut centre.borrow_mut());
            if centre.borrow().is_ended(self.key) {
                return Ok(());
            }
            wire.flush()?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Everything that one wake brings; `false` at the end of the session.
    fn turn(&mut self, now: Now, wire: &mut Wire, centre: &mut Centre) -> bool {
        let at = Monotonic(now.monotonic);
        loop {
            match wire.inbox.next() {
                Ok(Some(pdu)) => {
                    if !self.handle(now, pdu, &mut wire.out, &wire.bell, centre) {
                        return false;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let _ = self.session.handle_broken(error, &mut wire.out);
                    return false;
                }
            }
        }
        self.session.set_partial(at, wire.inbox.is_partial());
        while let Some(event) = self.session.handle_timeout(at, &mut wire.out) {
            match event {
                Event::Close(_) => return false,
                Event::Answered { ticket, .. } => centre.answered(now, ticket, false),
                _ => {}
            }
        }
        while let Some((_, sequence, answer)) = self.answers.pop_front_if(|(due, ..)| *due <= now.monotonic) {
            self.respond(sequence, answer, &mut wire.out);
        }
        self.send_receipts(now, centre, &mut wire.out);
        centre.show();
        true
    }

    fn send_receipts(&mut self, now: Now, centre: &mut Centre, out: &mut Vec<u8>) {
        let room = self.session.room();
        if room == 0 {
            return;
        }
        let tlvs = self.session.version().has_tlvs();
        centre.hand_out(self.key, room, &mut self.sending);
        for receipt in self.sending.drain(..) {
            // The session keeps the receipt, so what it says is written down first.
            let body = centre.write_receipt(&receipt, now, tlvs);
            let at = Monotonic(now.monotonic);
            let sent = self
                .session
                .request(at, CommandId::DELIVER_SM, receipt, out, |out| {
                    out.extend_from_slice(body);
                });
            debug_assert!(sent.is_ok(), "there was room");
        }
    }

    /// One PDU; `false` at the end of the session.
    fn handle(
        &mut self,
        now: Now,
        pdu: Read<'_>,
        out: &mut Vec<u8>,
        bell: &Rc<Bell>,
        centre: &mut Centre,
    ) -> bool {
        let at = Monotonic(now.monotonic);
        match self.session.handle(at, pdu, out) {
            Event::Request {
                sequence,
                operation: Operation::SubmitSm(sm),
            } => {
                let answer = centre.take(now, &sm, self.session.version());
                let delay = centre.options.response_delay;
                if delay.is_zero() {
                    self.respond(sequence, answer, out);
                } else {
                    self.answers.push_back((now.monotonic + delay, sequence, answer));
                }
            }
            Event::Request { sequence, operation } => {
                let response = operation.command_id().response();
                let response = response.unwrap_or(CommandId::GENERIC_NACK);
                self.session
                    .respond(response, sequence, CommandStatus::RINVCMDID, out, |_| {});
            }
            Event::Answered { ticket, answer, .. } => {
                let success = matches!(answer, Answer::Response(status, _) if status.is_ok());
                centre.answered(now, ticket, success);
            }
            Event::BindRequested { kind, bind } => match centre.judge_bind(&bind) {
                Ok(()) => {
                    let us = centre.options.system_id;
                    self.session.accept_bind(at, &us, out);
                    self.was_bound = true;
                    centre.bound(self.key, kind.can_receive(), bell);
                }
                Err(status) => self.session.refuse_bind(status, out),
            },
            Event::PeerUnbound => centre.stop_receiving(self.key),
            Event::Close(_) => return false,
            Event::None
            | Event::Bound { .. }
            | Event::BindRefused(_)
            | Event::Unexpected(_)
            | Event::Refused { .. }
            | Event::Dropped(_) => {}
        }
        true
    }

    fn respond(&mut self, sequence: u32, answer: Result<u64, CommandStatus>, out: &mut Vec<u8>) {
        let (status, id) = match answer {
            Ok(id) => (CommandStatus::ROK, Some(id)),
            Err(status) => (status, None),
        };
        self.session
            .respond(CommandId::SUBMIT_SM_RESP, sequence, status, out, |out| {
                if let Some(id) = id {
                    out.extend_from_slice(decimal(id, &mut [0; 20]));
                    out.push(0);
                }
            });
    }
}
