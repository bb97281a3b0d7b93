//! Receipts that come when their leg lies in a waiting file: the files are asked, the carrier waits, and what is
//! found ends like any other leg. The loop never reads a file for it; foreign ids are told apart in memory.

use hashbrown::HashMap;
use smallvec::SmallVec;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;
use tidegate_store::spool::{Back, MovedLeg};
use tidegate_store::waiting::Answer;

use super::ReceiptNote;
use crate::clock::Now;
use crate::gate::Gate;
use crate::telemetry::words::{LateReceipt, ReceiptKind};
use crate::turn::Owed;

/// The ids under which a receipt may mean a leg: its own, and the other one that it may bring.
pub type ReceiptIds = SmallVec<[MessageIdText; 2]>;

/// A receipt that waits for an answer of the files.
#[derive(Debug)]
struct Asked {
    carrier: usize,
    owed: Owed,
    note: ReceiptNote,
    ids: ReceiptIds,
    /// For the second time.
    again: bool,
}

/// Receipts that wait for an answer of the files; the spool bounds how many
/// ([`QUESTIONS_MAX`](tidegate_store::waiting::QUESTIONS_MAX)).
#[derive(Debug, Default)]
pub(crate) struct Late {
    last_token: u64,
    asked: HashMap<u64, Asked>,
}

impl<D: Disk> Gate<D> {
    /// A receipt whose id memory does not know: the waiting files may. `again` says that they did not before.
    pub(super) fn receipt_elsewhere(
        &mut self,
        now: Now,
        carrier: usize,
        owed: Owed,
        note: ReceiptNote,
        ids: ReceiptIds,
        again: bool,
    ) {
        let name = self.carriers[carrier].name;
        if !note.is_final {
            if !self.spool.may_wait(name, &ids) {
                return self.receipt_unknown(now, carrier, owed, note, ids);
            }
            // Nothing that is stored changes by it, whosever it is.
            self.carriers[carrier]
                .tally
                .receipts
                .add(ReceiptKind::Intermediate);
            return self.respond_delivery(owed, CommandStatus::ROK);
        }
        let token = self.late.last_token + 1;
        match self.spool.ask(token, name, &ids) {
            Ok(false) => self.receipt_unknown(now, carrier, owed, note, ids),
            Ok(true) => {
                self.late.last_token = token;
                let asked = Asked {
                    carrier,
                    owed,
                    note,
                    ids,
                    again,
                };
                self.late.asked.insert(token, asked);
            }
            Err(_) => {
                self.tally.late_receipts.add(LateReceipt::Refused);
                self.refuse_receipt(carrier, owed);
            }
        }
    }

    /// Receipts that have waited for the answer to a submit for a moment: their legs may lie in files.
    pub(crate) fn ask_for_penned(&mut self, now: Now) {
        for carrier in 0..self.carriers.len() {
            while let Some((id, ids)) = self.carriers[carrier].pen.next_to_ask(now.monotonic) {
                if !self.spool.may_wait(self.carriers[carrier].name, &ids) {
                    continue;
                }
                for penned in self.carriers[carrier].pen.take(&id) {
                    let owed = Owed {
                        link: penned.link,
                        sequence: penned.sequence,
                        response: penned.response,
                    };
                    self.receipt_elsewhere(now, carrier, owed, penned.note, penned.ids, false);
                }
            }
        }
    }

    /// The waiting files have been asked.
    pub fn late_found(&mut self, now: Now, answers: Vec<Answer>) {
        for Answer { token, found } in answers {
            let Some(asked) = self.late.asked.remove(&token) else {
                continue;
            };
            let Asked {
                carrier,
                owed,
                note,
                ids,
                again,
            } = asked;
            match found.map(|found| found.map(|leg| self.spool.bring_back(leg))) {
                Ok(Some(Back::Fresh(leg))) => {
                    self.tally.late_receipts.add(LateReceipt::Found);
                    self.receipt_for(now, carrier, leg, owed, &note);
                    // If it could not be ended now, it lies where it lay.
                    self.spool.let_go(leg);
                }
                Ok(Some(Back::There(leg))) => {
                    self.tally.late_receipts.add(LateReceipt::Found);
                    self.receipt_for(now, carrier, leg, owed, &note);
                }
                // It came twice, and the first has ended the leg: perhaps not on disk yet.
                Ok(Some(Back::Ended)) => {
                    self.tally.late_receipts.add(LateReceipt::Ended);
                    self.orphan(owed, carrier);
                }
                // Its leg may have moved to a file while the others were asked.
                Ok(None) if !again => {
                    self.receipt_elsewhere(now, carrier, owed, note, ids, true);
                }
                Ok(None) => {
                    self.tally.late_receipts.add(LateReceipt::NotFound);
                    self.receipt_unknown(now, carrier, owed, note, ids);
                }
                Err(error) => {
                    let name = &self.config.carriers[carrier].name;
                    tracing::warn!(carrier = %name, %error, "a waiting file cannot be read now");
                    self.tally.late_receipts.add(LateReceipt::Failed);
                    self.refuse_receipt(carrier, owed);
                }
            }
        }
    }

    /// It cannot be judged now: the carrier keeps it and sends it again.
    fn refuse_receipt(&mut self, carrier: usize, owed: Owed) {
        self.carriers[carrier].tally.receipts.add(ReceiptKind::Refused);
        self.respond_delivery(owed, CommandStatus::RX_T_APPN);
    }

    /// Legs have left memory for the waiting files.
    pub fn legs_moved(&mut self, legs: Vec<MovedLeg>) {
        for leg in legs {
            self.release_moved_id(leg);
        }
    }
}
