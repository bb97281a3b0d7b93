//! Links to ESMEs: binding them, taking what they submit, hearing what they say to deliveries.

pub(crate) mod cancel;
pub(crate) mod query;

use std::net::IpAddr;

use tidegate_codec::header::CommandId;
use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password, SystemId};
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::session::{Answer, Event, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;
use tidegate_config::{Account, AccountState as ConfiguredState, Transport};
use tidegate_store::disk::Disk;
use tidegate_store::spool::Target;

use crate::admission::Submission;
use crate::bucket::Bucket;
use crate::clock::Now;
use crate::credentials::Credential;
use crate::gate::{BindCheck, Gate, at};
use crate::links::{LinkId, Peer, Ticket};
use crate::origin::Origin;
use crate::router::bind_tag;
use crate::telemetry::words::{BindResult, Word};
use crate::turn::Owed;

/// What our bind responses call us.
const OUR_NAME: &[u8] = b"tidegate";

/// Why an account in this state may have no bind of this kind from there, over such a connection; `None` if it may. How many it
/// has is another question.
pub(crate) fn may_be_bound(
    config: &Account,
    state: ConfiguredState,
    ip: IpAddr,
    kind: BindKind,
    transport: Transport,
    now: Now,
) -> Option<BindResult> {
    let is_suspended = match state {
        ConfiguredState::Active => false,
        ConfiguredState::Suspended => true,
        // It may still fetch what is its own.
        ConfiguredState::Closing => !kind.can_receive(),
    };
    if is_suspended {
        Some(BindResult::Suspended)
    } else if !config.allows_ip(ip) {
        Some(BindResult::Address)
    } else if !config.binds.allows(kind) {
        Some(BindResult::Kind)
    } else if config.transport.allows(transport, now.unix_ms).is_err() {
        Some(BindResult::Transport)
    } else {
        None
    }
}

impl<D: Disk> Gate<D> {
    pub(crate) fn esme_event(
        &mut self,
        now: Now,
        id: LinkId,
        ip: IpAddr,
        account: Option<usize>,
        event: Event<'_, Ticket>,
        body: &[u8],
    ) {
        match event {
            Event::BindRequested { kind, bind } => self.bind_requested(id, kind, &bind),
            Event::Request { sequence, operation } => {
                let Some(account) = account else { return };
                self.esme_request(now, id, account, sequence, &operation, body);
            }
            Event::Answered {
                ticket: Ticket::Entry(entry, octets),
                sequence,
                took,
                answer,
            } => {
                let is_silent = self.links.get_mut(id).is_some_and(|link| {
                    if answer == Answer::Expired {
                        let sent = now.monotonic.saturating_sub(took);
                        link.late.give_up(sequence, Target::Entry(entry), sent);
                    } else {
                        link.late.heard(now.monotonic);
                    }
                    link.late.is_silent()
                });
                self.entry_answered(now, id, entry, octets, &answer);
                if is_silent && let Some(account) = account {
                    // A receiver that takes deliveries and answers none keeps them from those that would (interop
                    // quirk 30).
                    let name = self.config.accounts[account].system_id;
                    let link = self.link_number(id);
                    tracing::warn!(account = %name, link, "a link that answers no delivery is unbound");
                    self.leave_esme(now, id, ip, account);
                }
            }
            Event::PeerUnbound => {
                // Nothing new is delivered here; the session answers when nothing is owed any more.
                self.esme_closed(id, account);
                if let Some(link) = self.links.get_mut(id) {
                    link.peer = Peer::Esme { ip, account: None };
                }
            }
            Event::Answered {
                ticket: Ticket::Leg(leg, octets),
                ..
            } => {
                // Legs go to carriers only; should one ever come back here, it is not lost.
                self.leg_in_doubt(now, leg, octets, Peer::Esme { ip, account });
            }
            Event::Unexpected(pdu) => {
                let late = self
                    .links
                    .get_mut(id)
                    .and_then(|link| link.late.take(pdu.sequence));
                match late {
                    Some(Target::Entry(entry)) => self.entry_answered_late(now, entry, &pdu),
                    _ => self.tally.dropped += 1,
                }
            }
            Event::None
            | Event::Bound { .. }
            | Event::BindRefused(_)
            | Event::Refused { .. }
            | Event::Dropped(_)
            | Event::Notified(_)
            | Event::Outbind(_)
            | Event::Close(_) => {}
        }
    }

    /// Passwords are checked outside the loop; until then the session waits in its binding state.
    fn bind_requested(&mut self, id: LinkId, kind: BindKind, bind: &Bind<'_>) {
        let system_id = SystemId::new(bind.system_id.as_bytes()).ok();
        if let Some(link) = self.links.get_mut(id) {
            link.bind_tag = bind_tag(bind.system_type.as_bytes());
        }
        // The decoder has held the password to the configured length.
        match Password::new(bind.password.as_bytes(), PASSWORD_MAX_LENIENT) {
            Ok(password) => self.bind_checks.push(BindCheck {
                link: id,
                system_id,
                password,
                kind,
            }),
            Err(_) => self.refuse_bind(id, CommandStatus::RINVPASWD, "malformed"),
        }
    }

    /// The password of a bind was checked: `Some(true)` right, `Some(false)` wrong, `None` nobody had time.
    ///
    /// Everything that would tell a guesser more than "no" is asked only behind a right password (SEC-4).
    pub fn bind_checked(&mut self, now: Now, id: LinkId, system_id: Option<SystemId>, granted: Option<bool>) {
        // One that is being closed is bound no more.
        let Some(link) = self.links.get(id).filter(|link| link.end.is_none()) else {
            return;
        };
        let transport = link.transport;
        let (Peer::Esme { ip, .. }, State::Binding { kind, .. }) = (link.peer, link.session.state()) else {
            return;
        };
        let account = system_id.and_then(|system_id| self.account_of(system_id));
        // A reload may have come between the check and its answer: a hash that is not the account's any more opens nothing.
        let granted = granted.map(|granted| granted && self.is_current(link.credential, account));
        let result = match granted {
            None => Some(BindResult::Busy),
            Some(false) => Some(BindResult::Denied),
            Some(true) => None,
        };
        match (account, result) {
            (Some(place), Some(result)) => self.accounts[place].tally.binds.add(result),
            (None, _) => self.tally.binds_unknown += 1,
            (Some(_), None) => {}
        }
        let name = account.map(|place| self.config.accounts[place].system_id);
        let Some(granted) = granted.filter(|_| !self.stopping) else {
            self.bind_notes.refused(now.unix_ms, ip, name, "busy");
            return self.refuse_bind(id, CommandStatus::RSYSERR, "busy");
        };
        let origin = Origin::from(ip);
        let (Some(place), true) = (account, granted) else {
            self.bind_notes.refused(now.unix_ms, ip, name, "denied");
            self.refuse_bind(id, CommandStatus::RBINDFAIL, "denied");
            return self.bind_failed(now, origin);
        };
        let config = &self.config.accounts[place];
        let state = &mut self.accounts[place];
        let refusal = if let Some(refusal) = may_be_bound(config, config.state, ip, kind, transport, now) {
            Some(refusal)
        } else if state.links.len() >= config.max_binds {
            Some(BindResult::TooMany)
        } else {
            None
        };
        if let Some(reason) = refusal {
            state.tally.binds.add(reason);
            self.bind_notes.refused(now.unix_ms, ip, name, reason.label());
            self.refuse_bind(id, CommandStatus::RBINDFAIL, reason.label());
            // A password in the wrong hands; the others are the operator's own settings.
            if reason == BindResult::Address {
                self.bind_failed(now, origin);
            }
            return;
        }
        self.bans.succeeded(origin);
        let exception = config.transport.allows(transport, now.unix_ms).ok().flatten();
        let of_listener = || self.links.get(id)?.exception.as_deref();
        let by = exception
            .map(|exception| exception.name.as_str())
            .or_else(of_listener);
        self.bind_notes.accepted(now.unix_ms, ip, config.system_id, by);
        state.tally.binds.add(BindResult::Granted);
        state.links.push(id);
        let (window, unanswered) = (config.delivery_window, config.window);
        let bucket = Bucket::new(config.link_rate);
        // A constant of 8 printable characters.
        let Ok(name) = SystemId::new(OUR_NAME) else { return };
        if let Some(link) = self.links.get_mut(id) {
            link.peer = Peer::Esme {
                ip,
                account: Some(place),
            };
            link.session.set_limits(window, unanswered);
            link.bucket = bucket;
            link.bound_ms = now.unix_ms;
            link.session.accept_bind(at(now), &name, &mut link.out);
            self.links.touch(id);
        }
        let link = self.link_number(id);
        tracing::info!(account = %self.config.accounts[place].system_id, link, %ip, kind = kind.label(), "bound");
        self.deliver_to(now, place);
    }

    /// Whether a password that was right by this hash still is; one of which nobody said which hash it was, is.
    fn is_current(&self, by: Option<Credential>, account: Option<usize>) -> bool {
        let config = account.and_then(|place| self.config.accounts.get(place));
        match (by, config) {
            (Some(by), Some(config)) => by.is_among(&config.password_hashes),
            _ => true,
        }
    }

    /// A link's password is right by this hash of its account.
    pub fn set_credential(&mut self, id: LinkId, by: Credential) {
        if let Some(link) = self.links.get_mut(id) {
            link.credential = Some(by);
        }
    }

    /// Unbinds a link at once, and has nothing more of it be done: its account, its password, its place or an operator's word
    /// speaks against it. A client may go on for `limits.unbind_wait` before it is cut off; each request until then is
    /// refused, and it may still answer what it was sent, and unbind.
    pub(crate) fn shut_esme(&mut self, now: Now, id: LinkId, account: usize) {
        if let Some(link) = self.links.get_mut(id) {
            link.is_barred = true;
        }
        self.unbind_esme(now, id, account);
    }

    /// Unbinds a link that is one too many. What it submits until it has answered is judged by what its account may do.
    pub(crate) fn unbind_esme(&mut self, now: Now, id: LinkId, account: usize) {
        self.esme_closed(id, Some(account));
        if let Some(link) = self.links.get_mut(id) {
            link.session.unbind(at(now), &mut link.out);
            self.links.touch(id);
        }
    }

    fn refuse_bind(&mut self, id: LinkId, status: CommandStatus, reason: &'static str) {
        if let Some(link) = self.links.get_mut(id) {
            link.session.refuse_bind(status, &mut link.out);
            let link = link.number;
            self.links.touch(id);
            tracing::info!(link, reason, "bind refused");
        }
    }

    fn esme_request(
        &mut self,
        now: Now,
        id: LinkId,
        account: usize,
        sequence: u32,
        operation: &Operation<'_>,
        body: &[u8],
    ) {
        let Some(link) = self.links.get(id) else {
            return;
        };
        if link.is_barred {
            return self.refuse_barred(id, account, sequence, operation.command_id());
        }
        let version = link.session.version();
        let owed = |response| Owed {
            link: id,
            sequence,
            response,
        };
        match operation {
            Operation::SubmitSm(sm) => {
                let submission = Submission::from_sm(sm, version, body);
                self.submit(now, id, account, sequence, CommandId::SUBMIT_SM_RESP, &submission);
            }
            Operation::DataSm(sm) => {
                let submission = Submission::from_data_sm(sm, version, body);
                self.submit(now, id, account, sequence, CommandId::DATA_SM_RESP, &submission);
            }
            Operation::SubmitMulti(multi) => {
                let owed = owed(CommandId::SUBMIT_MULTI_RESP);
                self.submit_multi(now, owed, account, multi, version);
            }
            Operation::QuerySm(query) => {
                self.query(now, owed(CommandId::QUERY_SM_RESP), account, query, version);
            }
            Operation::CancelSm(cancel) => self.cancel(now, owed(CommandId::CANCEL_SM_RESP), account, cancel),
            Operation::ReplaceSm(replace) => {
                let owed = owed(CommandId::REPLACE_SM_RESP);
                self.replace(now, owed, account, replace, version);
            }
            // The session hands on nothing else in this direction; what it may learn to hand on is refused
            // here by its name until it is built.
            other => {
                let response = other.command_id().response().unwrap_or(CommandId::GENERIC_NACK);
                self.respond(id, response, sequence, CommandStatus::RINVCMDID, |_| {});
            }
        }
    }

    /// Says no to whatever is asked for on a link whose right was taken back, as a session does behind an unbind.
    fn refuse_barred(&mut self, id: LinkId, account: usize, sequence: u32, command: CommandId) {
        let owed = Owed {
            link: id,
            sequence,
            response: command.response().unwrap_or(CommandId::GENERIC_NACK),
        };
        let status = CommandStatus::RINVBNDSTS;
        match command {
            CommandId::SUBMIT_SM | CommandId::DATA_SM | CommandId::SUBMIT_MULTI => {
                self.submission_failed(owed, account, status);
            }
            _ => self.not_done(owed, status),
        }
    }

    /// Writes an answer that is owed, if its link is still there.
    pub(crate) fn respond(
        &mut self,
        id: LinkId,
        response: CommandId,
        sequence: u32,
        status: CommandStatus,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(link) = self.links.get_mut(id) {
            link.hold.answered(response, status);
            link.session
                .respond(response, sequence, status, &mut link.out, body);
            self.links.touch(id);
        }
    }

    /// Unbinds a link of an account: nothing new is delivered there, what is owed still goes out.
    pub(crate) fn leave_esme(&mut self, now: Now, id: LinkId, ip: IpAddr, account: usize) {
        self.esme_closed(id, Some(account));
        if let Some(link) = self.links.get_mut(id) {
            link.peer = Peer::Esme { ip, account: None };
            link.session.unbind(at(now), &mut link.out);
            self.links.touch(id);
        }
    }

    pub(crate) fn esme_closed(&mut self, id: LinkId, account: Option<usize>) {
        if let Some(state) = account.and_then(|account| self.accounts.get_mut(account)) {
            state.links.retain(|link| *link != id);
        }
    }
}
