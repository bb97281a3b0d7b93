//! What ESMEs ask about messages that they submitted before: query_sm, replace_sm; cancel_sm beside it
//! ([`super::cancel`]).
//!
//! Only the owner is answered; ids that are unknown, another account's, finished or purged look alike (design §5).
//! So does a message that has waited for its receipts for longer than `receipt_hot` and lies in a waiting file: its
//! query fails with 0x67; to cancel or replace it is too late anyway.

use std::ops::Range;

use bytes::Bytes;
use tidegate_codec::header::HEADER_LEN;
use tidegate_codec::pdu::ancillary::{QuerySm, QuerySmResp, ReplaceSm};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::time::SmppTime;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{DataCoding, InterfaceVersion, RegisteredDelivery};
use tidegate_config::AccountState;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::names::NameId;
use tidegate_store::quote::Quote;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::spool::{ChangedLeg, Refused, Target};

use crate::admission::{Submission, parts, parts_of};
use crate::clock::Now;
use crate::gate::Gate;
use crate::ids::Unnamed;
use crate::life::Standing;
use crate::refusal::Refusal;
use crate::turn::{Owed, Promise};

/// Messages that are being read back to get another text, at a time.
const REPLACING_MAX: usize = 256;

/// A leg that is to get another text, until its old one has been read back.
#[derive(Debug)]
pub(crate) struct Replacement {
    owed: Owed,
    due_ms: u64,
    expires_ms: u64,
    registered_delivery: RegisteredDelivery,
    /// What takes short_message's place, and message_payload's.
    short_message: Vec<u8>,
    payload: Option<Vec<u8>>,
}

impl<D: Disk> Gate<D> {
    /// Says where a message stands. One of several recipients is under way as long as one leg of it is.
    pub(super) fn query(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        query: &QuerySm<'_>,
        version: InterfaceVersion,
    ) {
        let message = match self.message_named(account, query.message_id.as_bytes(), query.source) {
            Ok(message) => message,
            Err(why) => return self.not_done(owed, unnamed(why, CommandStatus::RQUERYFAIL)),
        };
        // One that is under way anywhere is under way.
        let standing = self
            .spool
            .index()
            .legs_of(message)
            .map(|(_, leg)| Standing::of(leg, now.unix_ms))
            .max()
            .unwrap_or(Standing::Waiting);
        let state = standing.message_state(version);
        let answer = QuerySmResp {
            message_id: query.message_id,
            message_state: state.octet(),
            ..QuerySmResp::default()
        };
        self.respond(
            owed.link,
            owed.response,
            owed.sequence,
            CommandStatus::ROK,
            |out| answer.encode(out),
        );
    }

    /// Gives a message that no carrier has yet another text, and new dates where they are given. What it was
    /// submitted with otherwise stays, data_coding and the other TLVs too (3.4 §4.10).
    ///
    /// It costs what a submission costs: room in the spool and one message of the account's rate; and as it has to be
    /// read back first, only so many are under way at a time.
    pub(super) fn replace(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        replace: &ReplaceSm<'_>,
        version: InterfaceVersion,
    ) {
        match self.may_replace(now, owed, account, replace, version) {
            Ok((leg, replacement)) => {
                // Nobody else takes it up from here on, and what of it stands in a queue is passed over.
                self.spool.set_leased(leg, true);
                self.replacing.insert(leg, replacement);
                self.wanted.push(Target::Leg(leg));
            }
            Err(status) => self.not_done(owed, status),
        }
    }

    fn may_replace(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        replace: &ReplaceSm<'_>,
        version: InterfaceVersion,
    ) -> Result<(LegId, Replacement), CommandStatus> {
        let failed = CommandStatus::RREPLACEFAIL;
        // Another text is what a submission would bring.
        if self.config.accounts[account].state != AccountState::Active {
            return Err(Refusal::Suspended.status(version));
        }
        let message = self
            .message_named(account, replace.message_id.as_bytes(), replace.source)
            .map_err(|why| unnamed(why, failed))?;
        self.may_change()
            .and_then(|()| self.spool.intake().map_err(Refusal::from))
            .map_err(|refusal| refusal.status(version))?;
        if self.replacing.len() >= REPLACING_MAX {
            return Err(Refusal::Throttled.status(version));
        }
        self.with_buckets(Some(owed.link), account, |buckets| buckets.fits(now.monotonic, 1))
            .map_err(|refusal| refusal.status(version))?;
        if replace.sm_default_msg_id != 0 {
            return Err(Refusal::DefaultMessage.status(version));
        }
        let payload = replace.tlvs.message_payload();
        let text = replace.short_message.as_bytes();
        if payload.is_some() && !text.is_empty() && !version.is_v5() {
            return Err(Refusal::TwoTexts.status(version));
        }
        let mut legs = self.spool.index().legs_of(message);
        // One text for some recipients of a message and another for the rest is not what anybody asks for.
        let (Some((leg, found)), None) = (legs.next(), legs.next()) else {
            return Err(failed);
        };
        let standing = Standing::of(found, now.unix_ms);
        // What a person is to look at stays what it is.
        if !standing.is_ours() || standing == Standing::Held || found.envelope.form != Form::Sm {
            return Err(failed);
        }
        if self.is_sender_closed(account, &found.envelope.addresses.source()) {
            return Err(Refusal::SenderSuspended.status(version));
        }
        let max = self.config.accounts[account].max_validity;
        let (due_ms, expires_ms) =
            dates(found, replace, max, now.unix_ms).map_err(|refusal| refusal.status(version))?;
        let octets = payload.map_or(text.len(), |payload| payload.0.len());
        let parts = parts_of(octets, DataCoding(found.envelope.data_coding));
        drop(legs);
        self.with_buckets(Some(owed.link), account, |buckets| {
            buckets.take_unaddressed(now.monotonic, u32::from(parts))
        })
        .map_err(|refusal| refusal.status(version))?;
        let replacement = Replacement {
            owed,
            due_ms,
            expires_ms,
            registered_delivery: replace.registered_delivery,
            // 5.0 lets message_payload win.
            short_message: if payload.is_some() {
                Vec::new()
            } else {
                text.to_vec()
            },
            payload: payload.map(|payload| payload.0.to_vec()),
        };
        Ok((leg, replacement))
    }

    /// The body of a leg that is to be replaced has been read back.
    pub(crate) fn replace_read(&mut self, now: Now, leg: LegId, old: Bytes, replacement: &Replacement) {
        let owed = replacement.owed;
        let Some(found) = self.spool.index().get(leg) else {
            return self.not_done(owed, CommandStatus::RREPLACEFAIL);
        };
        let name = found.account;
        let mut envelope = found.envelope.clone();
        envelope.registered_delivery = replacement.registered_delivery.0;
        envelope.expires_ms = replacement.expires_ms;
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let is_written = write_replaced(&mut body, &old, replacement);
        // It brings TLVs that the replace_sm did not.
        let is_too_long = body.len() + HEADER_LEN > self.config.limits.pdu_max;
        let before = envelope.parts;
        let version = InterfaceVersion(envelope.interface_version);
        let mut is_screened_out = false;
        if let Ok(sm) = Sm::decode(&body) {
            let submission = Submission::from_sm(&sm, version, &body);
            envelope.parts = parts(&submission);
            // What may not come in must not come in this way either.
            if let Some(account) = self.account_named(name) {
                let source = envelope.addresses.source();
                let screened = self.screen(now, account, &submission, &source);
                // What would be held comes in by a submission only: this one would go on beside its text.
                let screened = match screened {
                    Ok(true) => Err(Refusal::Content),
                    other => other,
                };
                is_screened_out = screened
                    .inspect_err(|refusal| self.note_standing(account, *refusal))
                    .is_err();
            }
        }
        // What a quota has counted is what was submitted: more than that cannot come in this way.
        let quota = self
            .account_named(name)
            .map(|account| &self.config.accounts[account].quota);
        let is_counted = quota.is_some_and(|quota| !quota.is_none());
        let is_beyond = is_counted && envelope.parts > before;
        let staged = if is_written && !is_too_long && !is_beyond && !is_screened_out {
            let changed = ChangedLeg {
                quote: self.quote_again(&envelope, name, &body),
                envelope,
                due_ms: replacement.due_ms,
                body: &body,
            };
            self.spool.replace(now.unix_ms, leg, changed, &mut self.rng)
        } else {
            Ok(None)
        };
        let hot: Range<usize> = self.hot.keep(&body);
        self.scratch = body;
        let status = match staged {
            Ok(Some(leg)) => {
                // The old text would be another message now, and the new one was not submitted.
                if let Some(replaced) = self.spool.index().get(leg) {
                    self.duplicates.forget(replaced.message);
                }
                let leg = Some((leg, hot));
                return self.promises.push(Promise::Change { owed, leg });
            }
            Ok(None) if is_too_long => CommandStatus::RINVMSGLEN,
            Ok(None) if is_screened_out => Refusal::Content.status(version),
            Ok(None) => CommandStatus::RREPLACEFAIL,
            Err(Refused::Full) => CommandStatus::RMSGQFUL,
            Err(Refused::Broken) => CommandStatus::RSYSERR,
        };
        // It goes on as it was.
        self.hot.forget_from(hot.start);
        self.spool.set_leased(leg, false);
        self.line_up_in_front(now, leg, Some(old));
        self.not_done(owed, status);
    }

    /// What the receipts of a replaced message are to quote: the beginning of its new text, where its account asks for that.
    fn quote_again(&self, envelope: &Envelope, account: NameId, body: &[u8]) -> Quote {
        let account = self.account_named(account);
        match (account, Sm::decode(body)) {
            (Some(account), Ok(sm)) => {
                let version = InterfaceVersion(envelope.interface_version);
                self.quote_of(account, &Submission::from_sm(&sm, version, body))
            }
            _ => Quote::NONE,
        }
    }

    /// The leg of a replacement could not be read, or has ended. What there is of it goes on as it was.
    pub(crate) fn replace_failed(&mut self, now: Now, leg: LegId) -> bool {
        let Some(replacement) = self.replacing.remove(&leg) else {
            return false;
        };
        self.spool.set_leased(leg, false);
        self.line_up_in_front(now, leg, None);
        self.not_done(replacement.owed, CommandStatus::RREPLACEFAIL);
        true
    }

    /// Whether a change can be written down now.
    pub(crate) fn may_change(&self) -> Result<(), Refusal> {
        if self.stopping || self.spool.is_broken() {
            return Err(Refusal::Broken);
        }
        if !self.spool.has_progress_room() {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    pub(crate) fn not_done(&mut self, owed: Owed, status: CommandStatus) {
        self.tally.refused.add((owed.response.request(), status));
        self.respond(owed.link, owed.response, owed.sequence, status, |_| {});
    }
}

pub(super) fn unnamed(why: Unnamed, failed: CommandStatus) -> CommandStatus {
    match why {
        Unnamed::NoId => CommandStatus::RINVMSGID,
        Unnamed::Unknown => failed,
    }
}

/// When to hand a replaced leg over, and when to give up: as given, or as it was.
fn dates(
    leg: &Leg,
    replace: &ReplaceSm<'_>,
    max: std::time::Duration,
    now_ms: u64,
) -> Result<(u64, u64), Refusal> {
    let schedule =
        SmppTime::parse(replace.schedule_delivery_time.as_bytes(), now_ms).map_err(|_| Refusal::Schedule)?;
    let validity =
        SmppTime::parse(replace.validity_period.as_bytes(), now_ms).map_err(|_| Refusal::Validity)?;
    let waits = leg.due_ms < leg.envelope.expires_ms;
    let due_ms = match schedule.resolve(now_ms) {
        Some(given) => given.max(now_ms),
        None if waits => leg.due_ms,
        None => now_ms,
    };
    let latest = now_ms.saturating_add(u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
    let expires_ms = match validity.resolve(now_ms) {
        Some(given) if given <= now_ms => return Err(Refusal::Validity),
        Some(given) => given.min(latest),
        None => leg.envelope.expires_ms,
    };
    if due_ms >= expires_ms {
        return Err(Refusal::Schedule);
    }
    Ok((due_ms, expires_ms))
}

/// Writes the submit_sm body with its new text; `false` when the old one cannot be read.
fn write_replaced(out: &mut Vec<u8>, old: &[u8], replacement: &Replacement) -> bool {
    let Ok(sm) = Sm::decode(old) else { return false };
    let mut tlvs = Vec::with_capacity(sm.tlvs.as_bytes().len());
    for tlv in sm.tlvs.iter().filter(|tlv| tlv.tag != Tag::MESSAGE_PAYLOAD) {
        // It came out of a PDU.
        let _ = tlv::append(&mut tlvs, tlv.tag, tlv.value.0);
    }
    if let Some(payload) = &replacement.payload {
        let _ = tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, payload);
    }
    let Some(short_message) = ShortMessage::new(&replacement.short_message) else {
        return false;
    };
    Sm {
        registered_delivery: replacement.registered_delivery,
        short_message,
        tlvs: Tlvs::new(&tlvs),
        ..sm
    }
    .encode(out);
    true
}
