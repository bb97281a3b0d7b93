//! The story of one MT: submitted, stored, promised, put in line for a carrier.

use bytes::Bytes;
use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;
use tidegate_config::MessageIdForm;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::{IdText, MessageId, PublicId};
use tidegate_store::names::NameId;
use tidegate_store::record::Envelope;

use crate::admission::{Submission, admit};
use crate::carrier::Ready;
use crate::clock::Now;
use crate::gate::Gate;
use crate::links::LinkId;
use crate::refusal::Refusal;
use crate::router::CarrierIndex;
use crate::telemetry::words::SpoolCause;
use crate::turn::{Owed, Promise};

/// Octets of bodies that wait for a carrier in memory; what is beyond is read back from the spool.
pub(crate) const HOT_MAX: usize = 64 << 20;

/// Places of a carrier's queue that may be taken by legs that have ended, beyond as many as there are living
/// ones.
const QUEUE_SLACK: usize = 1024;

/// Bodies that may wait as parts of their batch's octets. One that waits holds back all octets of its batch, so
/// beyond these each gets a copy of its own; [`HOT_MAX`] would bound nothing otherwise.
pub(crate) const SHARED_MAX: usize = 2048;

/// How an id is written, as records hold it.
const DECIMAL: u8 = 0;
const HEX: u8 = 1;
const HEX8: u8 = 2;

impl<D: Disk> Gate<D> {
    /// Takes a submission in: the answer leaves with the turn's commit, a refusal at once.
    pub(crate) fn submit(
        &mut self,
        now: Now,
        link: LinkId,
        account: usize,
        sequence: u32,
        response: CommandId,
        submission: &Submission<'_>,
    ) {
        let version = submission.version;
        match self.admit(now, account, submission) {
            Ok((leg, message, id_form)) => {
                let start = self.hot.len();
                self.hot.extend_from_slice(submission.body.0);
                let owed = Owed {
                    link,
                    sequence,
                    response,
                };
                self.promises.push(Promise::Submit {
                    owed,
                    account,
                    leg,
                    message,
                    id_form,
                    body: start..self.hot.len(),
                });
            }
            Err(refusal) => {
                self.count_intake(refusal);
                let status = refusal.status(version);
                self.accounts[account].tally.refused.add(status);
                self.respond(link, response, sequence, status, |_| {});
            }
        }
    }

    /// Counts what the spool did not take in.
    pub(crate) fn count_intake(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Full => self.tally.intake_refused.add(SpoolCause::Full),
            Refusal::Broken => self.tally.intake_refused.add(SpoolCause::Broken),
            _ => {}
        }
    }

    fn admit(
        &mut self,
        now: Now,
        account: usize,
        submission: &Submission<'_>,
    ) -> Result<(LegId, MessageId, u8), Refusal> {
        if self.stopping {
            return Err(Refusal::Broken);
        }
        // Before the rate: what cannot be stored must not cost the account its tokens.
        self.spool.intake()?;
        let Self {
            config, accounts, mt, ..
        } = self;
        let configured = &config.accounts[account];
        let carriers = &config.carriers;
        let default_validity = |CarrierIndex(place): CarrierIndex| carriers[place].default_validity;
        let bucket = &mut accounts[account].bucket;
        let admitted = admit(configured, bucket, mt, default_validity, submission, now)?;
        let form = id_form(configured.message_id, submission.version);
        let (name, system_id) = (accounts[account].name, configured.system_id);
        let message = self.new_id(now, name, form);
        let envelope = Envelope {
            source: admitted.source,
            destination: admitted.destination,
            form: submission.form,
            interface_version: submission.version.0,
            id_form: form,
            registered_delivery: submission.registered_delivery.0,
            priority: submission.priority,
            category: 0,
            parts: admitted.parts,
            charge: 0,
            accepted_ms: now.unix_ms,
            expires_ms: admitted.expires_ms,
        };
        let body = submission.body.0;
        let accepted = self.spool.accept(
            now.unix_ms,
            message,
            0,
            system_id,
            envelope,
            admitted.due_ms,
            body,
            &mut self.rng,
        );
        match accepted {
            Ok(leg) => Ok((leg, message, form)),
            Err(refused) => {
                self.forget_short_id(name, message, form);
                Err(refused.into())
            }
        }
    }

    /// A new message id. Ids of 8 digits must be unique among the account's living messages, so one that
    /// is taken is passed over.
    fn new_id(&mut self, now: Now, account: NameId, form: u8) -> MessageId {
        loop {
            let id = self.spool.next_id(now.unix_ms);
            if form != HEX8 || self.short_ids.insert((account, self.short(id))) {
                return id;
            }
        }
    }

    /// The last 8 digits of an id.
    fn short(&self, id: MessageId) -> u32 {
        let PublicId(id) = self.permutation.public(id);
        // The low half, on purpose.
        u32::try_from(id & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn forget_short_id(&mut self, account: NameId, id: MessageId, form: u8) {
        if form == HEX8 {
            self.short_ids.remove(&(account, self.short(id)));
        }
    }

    /// A submission was not stored after all: its short id may be given again.
    pub(crate) fn forget_id(&mut self, account: usize, id: MessageId, form: u8) {
        let name = self.accounts[account].name;
        self.forget_short_id(name, id, form);
    }

    /// A leg has ended: its short id may be given again.
    pub(crate) fn release_id(&mut self, leg: &Leg) {
        self.forget_short_id(leg.account, leg.message, leg.envelope.id_form);
    }

    /// After a start: the short ids that are in use.
    pub(crate) fn recall_short_ids(&mut self) {
        let in_use: Vec<_> = self
            .spool
            .index()
            .iter()
            .filter(|(_, leg)| leg.envelope.id_form == HEX8)
            .map(|(_, leg)| (leg.account, self.short(leg.message)))
            .collect();
        self.short_ids.extend(in_use);
    }

    /// A message id as this message's ESME knows it.
    pub(crate) fn id_text(&self, id: MessageId, form: u8) -> IdText {
        let public = self.permutation.public(id);
        match form {
            HEX => public.hex(),
            HEX8 => public.hex8(),
            _ => public.decimal(),
        }
    }

    /// The message is on disk: answers, and puts it in line unless it is scheduled for later.
    pub(crate) fn submitted(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        leg: LegId,
        (message, id_form): (MessageId, u8),
        body: Bytes,
    ) {
        self.accounts[account].tally.accepted += 1;
        let id = self.id_text(message, id_form);
        self.respond(
            owed.link,
            owed.response,
            owed.sequence,
            CommandStatus::ROK,
            |out| {
                out.extend_from_slice(id.as_bytes());
                out.push(0);
            },
        );
        if self
            .spool
            .index()
            .get(leg)
            .is_some_and(|leg| leg.due_ms <= now.unix_ms)
        {
            let body = (self.hot_octets < HOT_MAX).then_some(body);
            self.line_up(now, leg, body);
        }
    }

    /// The same for a leg whose body was just read back: nothing of its queue is to overtake it again.
    pub(crate) fn line_up_in_front(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        self.place(now, leg, body, true);
    }

    /// Puts a leg in line for a carrier: the first of its route that is up, from the one whose turn it is
    /// after the tries that failed.
    pub(crate) fn line_up(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        self.place(now, leg, body, false);
    }

    fn place(&mut self, now: Now, leg: LegId, body: Option<Bytes>, in_front: bool) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let (account, priority, message) = (found.account, found.envelope.priority, found.message);
        let expires_ms = found.envelope.expires_ms;
        let carrier = self.choose_carrier(now, found);
        self.spool.set_due(leg, expires_ms);
        let Some(CarrierIndex(place)) = carrier else {
            return;
        };
        self.hot_octets += body.as_ref().map_or(0, Bytes::len);
        let body = if !in_front && self.carriers[place].queue.len() >= SHARED_MAX {
            body.map(|body| Bytes::copy_from_slice(&body))
        } else {
            body
        };
        let index = self.spool.index();
        let queue = &mut self.carriers[place].queue;
        // Legs that expire while their carrier is down end, but stand in its queue until they are met.
        if queue.len() > 2 * index.len() + QUEUE_SLACK {
            let shed = queue.shed(|leg| index.get(leg).is_some());
            self.hot_octets = self.hot_octets.saturating_sub(shed);
        }
        let ready = Ready { leg, message, body };
        if in_front {
            queue.put_back(account, priority, ready);
        } else {
            queue.push_back(account, priority, ready);
        }
    }

    /// `None` when no route leads to the recipient any more; the leg then waits for its expiry.
    fn choose_carrier(&self, now: Now, leg: &Leg) -> Option<CarrierIndex> {
        let route = self.mt.carriers(leg.envelope.destination.as_bytes());
        let first = usize::from(leg.attempts) % route.len().max(1);
        let in_order = || route.iter().cycle().skip(first).take(route.len());
        in_order()
            .find(|CarrierIndex(place)| self.carriers[*place].is_up(now))
            .or_else(|| in_order().next())
            .copied()
    }
}

/// How ids are written for a message: as the account wants it, but a 3.3 peer can hold 8 hexadecimal
/// digits only (smpp-pdus.md §6).
fn id_form(wanted: MessageIdForm, version: InterfaceVersion) -> u8 {
    match wanted {
        _ if !version.has_tlvs() => HEX8,
        MessageIdForm::Decimal => DECIMAL,
        MessageIdForm::Hex => HEX,
        MessageIdForm::Hex8 => HEX8,
    }
}
