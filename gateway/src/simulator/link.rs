//! One link of the simulated carrier, and the clockwork for what is due later.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::session::{Answer, Event, Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;
use tokio::net::TcpStream;

use super::centre::Centre;
use super::delivery::{Account, Delivery};
use super::disguise::Disguise;
use super::id::IdText;
use super::intake::{Fault, From, Submission};
use super::options::{UNANSWERED_MAX, VersionShown};
use super::quirk::Quirk;
use crate::clock::{Clock, Now};
use crate::traffic::wire::{Bell, Read, Wire};

/// As good as never: no run of a simulator lasts a century.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How much sooner than the answer a receipt leaves that comes first (interop quirk 3).
const HEAD_START: Duration = Duration::from_millis(20);

/// An answer to a submit that is held back: when it leaves, to which request, and what it says.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HeldBack {
    due: Duration,
    sequence: u32,
    command: u32,
    answer: Result<u64, u32>,
}

struct Link {
    key: u64,
    session: Session<Delivery>,
    disguise: Disguise,
    answers: BinaryHeap<Reverse<HeldBack>>,
    /// Empty between turns; kept for its memory.
    sending: Vec<Delivery>,
    /// Whose it is, once it is bound.
    account: Option<Account>,
    may_tlvs: bool,
    /// Nothing is heard or said any more: half open.
    silent: bool,
    /// The connection is to be reset.
    reset: bool,
    /// The session is being ended in order.
    unbinds: bool,
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: TcpStream, key: u64, centre: Rc<RefCell<Centre>>, clock: Clock) {
    let mut link = Link::new(key, &centre.borrow(), clock.now());
    // However a connection ends, what is not answered goes over another one.
    let _ = link.drive(socket, &centre, &clock).await;
    let unanswered = link.session.drain();
    centre.borrow_mut().leave(key, link.account, unanswered);
}

/// Sends deliveries on their way when their time comes.
pub(super) async fn send_held_back(centre: Rc<RefCell<Centre>>, clock: Clock) {
    let bell = Rc::clone(&centre.borrow().deliveries.bell);
    loop {
        let next = centre.borrow_mut().release(clock.now());
        match next {
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(clock.instant(due)) => {}
                () = bell.rung() => {}
            },
            None => bell.rung().await,
        }
    }
}

impl Link {
    fn new(key: u64, centre: &Centre, now: Now) -> Self {
        let options = &centre.options;
        let mut timing = Timing::default();
        if options.has(Quirk::NeverEnquires) {
            timing.enquire_link = NEVER;
        }
        let rules = Rules {
            window: options.window,
            unanswered_max: UNANSWERED_MAX,
            timing,
            assume_version: InterfaceVersion::V3_4,
        };
        Self {
            key,
            session: Session::new(Role::Smsc, rules, Monotonic(now.monotonic)),
            disguise: Disguise::new(options),
            answers: BinaryHeap::new(),
            sending: Vec::new(),
            account: None,
            may_tlvs: false,
            silent: false,
            reset: false,
            unbinds: false,
        }
    }

    async fn drive(&mut self, socket: TcpStream, centre: &RefCell<Centre>, clock: &Clock) -> io::Result<()> {
        let mut wire = Wire::new(socket, clock)?;
        centre.borrow_mut().serve(self.key, &wire.bell);
        self.disguise.opened(&mut wire.out);
        wire.flush()?;
        loop {
            let timers = self.session.poll_timeout().map(|at| at.0);
            let answer = self.answers.peek().map(|Reverse(held)| held.due);
            let until = timers.into_iter().chain(answer).min();
            wire.wait(if self.silent { None } else { until }).await?;
            if centre.borrow().is_ended(self.key) {
                return Ok(());
            }
            if self.silent {
                wire.inbox.discard();
                continue;
            }
            let goes_on = self.turn(clock.now(), &mut wire, &mut centre.borrow_mut());
            if self.reset {
                return wire.reset();
            }
            // Others that are ready take in what they have first, so that the receipts that this makes
            // leave with this link's answers, and each link writes once.
            tokio::task::yield_now().await;
            if goes_on && !self.silent {
                self.send_deliveries(clock.now(), &mut centre.borrow_mut(), &mut wire.out);
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
                    if self.silent || self.reset {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    centre.report.broken_framing += 1;
                    let _ = self.session.handle_broken(error, &mut wire.out);
                    return false;
                }
            }
        }
        self.session.set_partial(at, wire.inbox.is_partial());
        let start = wire.out.len();
        while let Some(event) = self.session.handle_timeout(at, &mut wire.out) {
            match event {
                Event::Close(_) => return false,
                Event::Answered { ticket, .. } => centre.answered(now, ticket, None),
                _ => {}
            }
        }
        if !self.disguise.is_none() {
            self.disguise.wrote(start, &mut wire.out);
        }
        while let Some(Reverse(held)) = self
            .answers
            .peek()
            .is_some_and(|Reverse(held)| held.due <= now.monotonic)
            .then(|| self.answers.pop())
            .flatten()
        {
            let answer = held.answer.map_err(CommandStatus);
            self.respond(
                CommandId(held.command),
                held.sequence,
                answer,
                centre,
                &mut wire.out,
            );
        }
        centre.show();
        true
    }

    fn send_deliveries(&mut self, now: Now, centre: &mut Centre, out: &mut Vec<u8>) {
        let room = self.session.room();
        let Some(account) = self.account.filter(|_| room > 0) else {
            return;
        };
        centre
            .deliveries
            .hand_out(self.key, account, room, &mut self.sending);
        for mut delivery in self.sending.drain(..) {
            // The session keeps the delivery, so what it says is written down first.
            let (command, body) = centre.write(&mut delivery, now, self.may_tlvs);
            let at = Monotonic(now.monotonic);
            let start = out.len();
            let sent = self.session.request(at, command, delivery, out, |out| {
                out.extend_from_slice(body);
            });
            debug_assert!(sent.is_ok(), "there was room");
            if !self.disguise.is_none() {
                self.disguise.wrote(start, out);
                self.disguise.delivered(out);
            }
        }
    }

    /// One PDU; `false` at the end of the session.
    fn handle(
        &mut self,
        now: Now,
        mut pdu: Read<'_>,
        out: &mut Vec<u8>,
        bell: &Rc<Bell>,
        centre: &mut Centre,
    ) -> bool {
        let at = Monotonic(now.monotonic);
        let start = out.len();
        self.disguise.recognise(&mut pdu);
        match self.session.handle(at, pdu, out) {
            Event::Request { sequence, operation } => match Submission::of(&operation) {
                Some(submission) => {
                    let command = operation.command_id().response();
                    self.take(
                        now,
                        &submission,
                        command.unwrap_or(CommandId::GENERIC_NACK),
                        sequence,
                        out,
                        centre,
                    );
                }
                None => {
                    centre.report.faulty_requests += 1;
                    let response = operation.command_id().response();
                    let response = response.unwrap_or(CommandId::GENERIC_NACK);
                    self.session
                        .respond(response, sequence, CommandStatus::RINVCMDID, out, |_| {});
                }
            },
            Event::Answered { ticket, answer, .. } => {
                let status = match answer {
                    Answer::Response(status, _) | Answer::Nack(status) => Some(status),
                    Answer::Unreadable(_) | Answer::Expired => None,
                };
                centre.answered(now, ticket, status);
            }
            Event::BindRequested { kind, bind } => {
                match centre.judge_bind(&bind) {
                    Ok(account) => {
                        let us = centre.options.name;
                        self.session.accept_bind(at, &us, out);
                        self.account = Some(account);
                        self.may_tlvs = self.session.version().has_tlvs()
                            && !matches!(centre.options.version_shown, VersionShown::Always(version) if !version.has_tlvs());
                        let bell = kind.can_receive().then_some(bell);
                        centre.bound(now, self.key, account, bell);
                    }
                    Err(status) => self.session.refuse_bind(status, out),
                }
                self.disguise.bind_answered(&centre.options, start, out);
                if self.account.is_some() && centre.options.faults.dead {
                    self.fall_silent(centre);
                }
            }
            Event::PeerUnbound => self.stop_receiving(centre),
            Event::Close(_) => return false,
            Event::Refused { .. } => centre.report.faulty_requests += 1,
            Event::Unexpected(_) => centre.report.unexpected_answers += 1,
            Event::None
            | Event::Bound { .. }
            | Event::BindRefused(_)
            | Event::Dropped(_)
            | Event::Notified(_)
            | Event::Outbind(_) => {
                if !self.disguise.is_none() {
                    self.disguise.wrote(start, out);
                }
            }
        }
        true
    }

    fn take(
        &mut self,
        now: Now,
        submission: &Submission<'_>,
        command: CommandId,
        sequence: u32,
        out: &mut Vec<u8>,
        centre: &mut Centre,
    ) {
        let from = From {
            key: self.key,
            account: self.account.unwrap_or_default(),
            version: self.session.version(),
            waiting: self.session.unanswered(),
        };
        let taken = centre.take(now, submission, from);
        match taken.fault {
            Some(Fault::Reset) => {
                self.reset = true;
                return;
            }
            Some(Fault::Silence) => return self.fall_silent(centre),
            Some(Fault::Unbind) | None => {}
        }
        if let Some(answer) = taken.answer {
            let mut delay = centre.options.response_delay.draw(&mut centre.rng);
            if centre.options.has(Quirk::ReceiptFirst) {
                delay = delay.max(taken.receipt_delay + HEAD_START);
            }
            if delay.is_zero() {
                self.respond(command, sequence, answer, centre, out);
            } else {
                let due = now.monotonic + delay;
                self.answers.push(Reverse(HeldBack {
                    due,
                    sequence,
                    command: command.0,
                    answer: answer.map_err(|status| status.0),
                }));
            }
        }
        if taken.fault == Some(Fault::Unbind) && !self.unbinds {
            self.unbinds = true;
            centre.report.links_unbound += 1;
            let start = out.len();
            self.session.unbind(Monotonic(now.monotonic), out);
            if !self.disguise.is_none() {
                self.disguise.wrote(start, out);
            }
            self.stop_receiving(centre);
        }
    }

    fn stop_receiving(&self, centre: &mut Centre) {
        if let Some(account) = self.account {
            centre.stop_receiving(self.key, account);
        }
    }

    fn fall_silent(&mut self, centre: &mut Centre) {
        self.silent = true;
        centre.report.links_silent += 1;
        self.stop_receiving(centre);
    }

    fn respond(
        &mut self,
        command: CommandId,
        sequence: u32,
        answer: Result<u64, CommandStatus>,
        centre: &Centre,
        out: &mut Vec<u8>,
    ) {
        let (status, id) = match answer {
            Ok(id) => (CommandStatus::ROK, Some(id)),
            Err(status) => (status, None),
        };
        let start = out.len();
        self.session.respond(command, sequence, status, out, |out| {
            if let Some(id) = id {
                out.extend_from_slice(IdText::new(id, centre.options.response_id).as_bytes());
                out.push(0);
            }
        });
        if !self.disguise.is_none() {
            self.disguise.submit_answered(start, out);
        }
    }
}
