//! submit_multi: one message, one id, a leg for each recipient (3.4 §4.5).

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;
use tidegate_codec::address::Address;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::multi::{Destination, SubmitMulti, Unsuccess, write_resp};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;

use crate::admission::Submission;
use crate::clock::Now;
use crate::gate::Gate;
use crate::ids::Id;
use crate::links::LinkId;
use crate::refusal::Refusal;
use crate::turn::{Owed, Promise};

/// What became of a submit_multi's recipients.
#[derive(Clone, Debug)]
pub struct Multi {
    /// The id that all of them share.
    pub id: Id,
    /// Those that were taken, and where their bodies lie in the turn's hot octets.
    legs: Vec<(LegId, Range<usize>)>,
    /// `unsuccess_sme` fields of those that were not, and how many.
    refused: Vec<u8>,
    refusals: u8,
}

impl<D: Disk> Gate<D> {
    /// Takes in a message for several recipients: each is asked for like a submit_sm of its own, and those that
    /// are refused are named in the response. When none is taken, the response is a refusal: with the status
    /// that all have, or else `ESME_RSUBMITFAIL`.
    ///
    /// There are no distribution lists, and the response could not name one: a request with one is refused whole. So is
    /// one with `replace_if_present_flag`, which must be 0 here in 3.4.
    pub(crate) fn submit_multi(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        request: &SubmitMulti<'_>,
        version: InterfaceVersion,
    ) {
        if request.message.replace_if_present_flag != 0 {
            return self.submission_failed(owed, account, Refusal::Replace.status(version));
        }
        let mut recipients: SmallVec<[Address<'_>; 16]> = SmallVec::new();
        for destination in request.destinations.iter() {
            match destination {
                Destination::Sme(address) => recipients.push(address),
                Destination::List(_) => {
                    return self.submission_failed(owed, account, CommandStatus::RCNTSUBDL);
                }
            }
        }
        let mut body = std::mem::take(&mut self.scratch);
        let (mut id, mut legs) = (None, Vec::with_capacity(recipients.len()));
        let (mut refused, mut refusals, mut statuses) =
            (Vec::new(), 0, SmallVec::<[CommandStatus; 4]>::new());
        for (number, destination) in (0..).zip(recipients) {
            body.clear();
            let message = Sm {
                destination,
                ..request.message
            };
            message.encode(&mut body);
            let submission = Submission::from_sm(&message, version, &body);
            match self.submit_leg(now, (owed.link, account), &submission, &mut id, number) {
                Ok(leg) => legs.push((leg, self.hot.keep(&body))),
                Err(refusal) => {
                    self.count_intake(refusal);
                    let status = refusal.status(version);
                    self.log_refused(owed.link, account, status);
                    self.accounts[account].tally.refused.add(status);
                    let address = destination;
                    Unsuccess { address, status }.encode(&mut refused);
                    refusals += 1;
                    if !statuses.contains(&status) {
                        statuses.push(status);
                    }
                }
            }
        }
        self.scratch = body;
        match id {
            Some(id) if !legs.is_empty() => {
                let multi = Box::new(Multi {
                    id,
                    legs,
                    refused,
                    refusals,
                });
                self.promises.push(Promise::Multi { owed, account, multi });
            }
            id => {
                if let Some(id) = id {
                    self.forget_id(account, id);
                }
                // Each was counted already.
                let status = match statuses.as_slice() {
                    [status] => *status,
                    _ => CommandStatus::RSUBMITFAIL,
                };
                self.respond(owed.link, owed.response, owed.sequence, status, |_| {});
            }
        }
    }

    /// One recipient. The id is made for the first that is taken.
    fn submit_leg(
        &mut self,
        now: Now,
        (link, account): (LinkId, usize),
        submission: &Submission<'_>,
        id: &mut Option<Id>,
        number: u16,
    ) -> Result<LegId, Refusal> {
        // One PDU of 255 long texts must not make a batch without bound; the rest may come again (P6).
        if !self.spool.has_batch_room() {
            return Err(Refusal::Throttled);
        }
        let admitted = self.may_submit(now, Some(link), account, submission)?;
        let id = match id {
            Some(id) => *id,
            None => *id.insert(self.new_id(now, account, submission.version)),
        };
        self.store(now, account, submission, admitted, id, number)
    }

    /// The message is on disk: answers, and puts its legs in line.
    pub(crate) fn multi_submitted(
        &mut self,
        now: Now,
        owed: Owed,
        account: usize,
        multi: Multi,
        hot: &Bytes,
    ) {
        let text = self.id_text(multi.id.message, multi.id.form);
        // An id of ours has 20 octets at most.
        let id = MessageIdField::new(text.as_bytes()).unwrap_or_default();
        self.respond(
            owed.link,
            owed.response,
            owed.sequence,
            CommandStatus::ROK,
            |out| write_resp(out, id, multi.refusals, &multi.refused),
        );
        for (leg, body) in multi.legs {
            self.accepted(now, account, leg, Some(hot.slice(body)));
        }
    }
}
