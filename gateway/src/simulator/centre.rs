//! What the links of a simulated carrier share: its ids, its books, and the receipts it owes.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{EsmClass, InterfaceVersion, MessageState, ReceiptWish};

use crate::clock::Now;
use crate::simulator::{Counts, Options, Report, Shown};
use crate::traffic::marks::Marks;
use crate::traffic::token::{Reading, Token};
use crate::traffic::wire::Bell;

/// Receipts that a carrier owes at most; with so many outstanding it takes no message.
const OWED_MAX: usize = 1 << 20;
/// Runs whose messages are told apart; a carrier that has seen so many counts further ones as unmarked.
const RUNS_MAX: usize = 256;
/// So many receipts go to one receiver before the next one has its turn: all links carry some, and each
/// still has something to batch.
const IN_A_ROW: usize = 8;

/// A receipt that is owed.
#[derive(Debug)]
pub(super) struct Receipt {
    id: u64,
    from: AddressBuf,
    to: AddressBuf,
    accepted_ms: u64,
}

/// A link that receives.
struct Receiver {
    key: u64,
    bell: Rc<Bell>,
    queue: VecDeque<Receipt>,
}

/// One carrier.
pub(super) struct Centre {
    pub(super) options: Options,
    report: Report,
    shown: Arc<Shown>,
    next_id: u64,
    owed: usize,
    receivers: Vec<Receiver>,
    /// Whose turn it is, and for how many receipts still.
    turn: (usize, usize),
    /// Receipts for which no link receives.
    homeless: VecDeque<Receipt>,
    /// Receipts held back, and refused ones that are tried again: each list with one delay, so in order.
    later: VecDeque<(Duration, Receipt)>,
    again: VecDeque<(Duration, Receipt)>,
    pub(super) held_back: Rc<Bell>,
    /// Links that serve, bound or not.
    links: Vec<(u64, Rc<Bell>)>,
    /// Links below this key are to end.
    ended_below: u64,
    bound: u64,
    text: Vec<u8>,
    tlvs: Vec<u8>,
    body: Vec<u8>,
    /// The run that the last message belonged to, and its marks: messages come run by run.
    run: Option<(u32, Marks)>,
}

impl Centre {
    pub(super) fn new(options: Options, now: Now, shown: Arc<Shown>) -> Self {
        Self {
            next_id: options
                .first_id
                .unwrap_or_else(|| now.unix_ms.saturating_mul(1000)),
            options,
            report: Report::default(),
            shown,
            owed: 0,
            receivers: Vec::new(),
            turn: (0, IN_A_ROW),
            homeless: VecDeque::new(),
            later: VecDeque::new(),
            again: VecDeque::new(),
            held_back: Rc::default(),
            links: Vec::new(),
            ended_below: 0,
            bound: 0,
            text: Vec::new(),
            tlvs: Vec::new(),
            body: Vec::new(),
            run: None,
        }
    }

    // ===== links =====

    /// A connection came: its key.
    pub(super) fn arrive(&mut self) -> u64 {
        self.report.links += 1;
        self.report.links
    }

    pub(super) fn serve(&mut self, key: u64, bell: &Rc<Bell>) {
        self.links.push((key, Rc::clone(bell)));
    }

    pub(super) const fn is_ended(&self, key: u64) -> bool {
        key < self.ended_below
    }

    pub(super) fn drop_links(&mut self) {
        self.ended_below = self.report.links + 1;
        for (_, bell) in &self.links {
            bell.ring();
        }
    }

    pub(super) fn judge_bind(&self, bind: &Bind<'_>) -> Result<(), CommandStatus> {
        if let Some(status) = self.options.refuse_binds {
            return Err(status);
        }
        if bind.system_id.as_bytes() != self.options.system_id.as_bytes() {
            return Err(CommandStatus::RINVSYSID);
        }
        if bind.password.as_bytes() != self.options.password.expose() {
            return Err(CommandStatus::RINVPASWD);
        }
        Ok(())
    }

    pub(super) fn bound(&mut self, key: u64, receives: bool, bell: &Rc<Bell>) {
        self.report.binds += 1;
        self.bound += 1;
        if receives {
            self.receivers.push(Receiver {
                key,
                bell: Rc::clone(bell),
                queue: VecDeque::new(),
            });
            for receipt in mem::take(&mut self.homeless) {
                self.assign(receipt);
            }
        }
    }

    /// A link unbinds or has ended: others take its receipts.
    pub(super) fn stop_receiving(&mut self, key: u64) {
        if let Some(at) = self.receivers.iter().position(|receiver| receiver.key == key) {
            for receipt in self.receivers.remove(at).queue {
                self.assign(receipt);
            }
        }
    }

    /// A link has ended, with these receipts unanswered.
    pub(super) fn leave(&mut self, key: u64, was_bound: bool, unanswered: impl Iterator<Item = Receipt>) {
        self.links.retain(|(other, _)| *other != key);
        self.bound -= u64::from(was_bound);
        self.stop_receiving(key);
        for receipt in unanswered {
            self.report.receipts_resent += 1;
            self.assign(receipt);
        }
        self.show();
    }

    // ===== messages =====

    /// Takes a message, and names its id, or refuses it.
    pub(super) fn take(
        &mut self,
        now: Now,
        sm: &Sm<'_>,
        version: InterfaceVersion,
    ) -> Result<u64, CommandStatus> {
        self.report.submitted += 1;
        if let Some(status) = self.refusal() {
            self.report.refused += 1;
            return Err(status);
        }
        self.account(sm);
        let id = self.next_id;
        self.next_id += 1;
        // Everything is delivered here, so nobody hears of failures.
        let wish = sm.registered_delivery.wish(version);
        if matches!(wish, ReceiptWish::Always | ReceiptWish::OnSuccess) {
            self.owed += 1;
            let receipt = Receipt {
                id,
                from: sm.destination.to_buf(),
                to: sm.source.to_buf(),
                accepted_ms: now.unix_ms,
            };
            if self.options.receipt_delay.is_zero() {
                self.assign(receipt);
            } else {
                self.later
                    .push_back((now.monotonic + self.options.receipt_delay, receipt));
                self.held_back.ring();
            }
        }
        Ok(id)
    }

    fn refusal(&self) -> Option<CommandStatus> {
        if self.owed >= OWED_MAX {
            return Some(CommandStatus::RMSGQFUL);
        }
        let count = self.report.submitted;
        self.options
            .refusals
            .iter()
            .find(|(_, one_in)| count.checked_rem(*one_in) == Some(0))
            .map(|(status, _)| *status)
    }

    fn account(&mut self, sm: &Sm<'_>) {
        match Token::read(sm.text().0, sm.destination.addr.as_bytes()) {
            Reading::Intact(token) => match self.marks(token.run).map(|marks| marks.insert(token.n)) {
                Some(true) => self.report.unique += 1,
                Some(false) => self.report.repeated += 1,
                None => self.report.unmarked += 1,
            },
            Reading::Altered => self.report.altered += 1,
            Reading::Unmarked => self.report.unmarked += 1,
        }
    }

    fn marks(&mut self, run: u32) -> Option<&mut Marks> {
        if self.run.as_ref().is_none_or(|(current, _)| *current != run) {
            let known = self.report.taken.remove(&run);
            let others = self.report.taken.len() + usize::from(self.run.is_some());
            if known.is_none() && others >= RUNS_MAX {
                return None;
            }
            let before = self.run.replace((run, known.unwrap_or_default()));
            self.report.taken.extend(before);
        }
        self.run.as_mut().map(|(_, marks)| marks)
    }

    // ===== receipts =====

    fn assign(&mut self, receipt: Receipt) {
        if self.receivers.is_empty() {
            self.homeless.push_back(receipt);
            return;
        }
        let (at, left) = self.turn;
        self.turn = if left > 1 {
            (at, left - 1)
        } else {
            (at + 1, IN_A_ROW)
        };
        let at = at % self.receivers.len();
        let receiver = &mut self.receivers[at];
        receiver.queue.push_back(receipt);
        receiver.bell.ring();
    }

    /// Hands out what was held back until now; tells when there is more.
    pub(super) fn release(&mut self, now: Now) -> Option<Duration> {
        while let Some((_, receipt)) = self.later.pop_front_if(|(due, _)| *due <= now.monotonic) {
            self.assign(receipt);
        }
        while let Some((_, receipt)) = self.again.pop_front_if(|(due, _)| *due <= now.monotonic) {
            self.assign(receipt);
        }
        let next = |list: &VecDeque<(Duration, Receipt)>| list.front().map(|(due, _)| *due);
        next(&self.later).into_iter().chain(next(&self.again)).min()
    }

    /// Moves the receipts that this link is to send to `out`, at most `room` of them.
    pub(super) fn hand_out(&mut self, key: u64, room: usize, out: &mut Vec<Receipt>) {
        if let Some(receiver) = self.receivers.iter_mut().find(|receiver| receiver.key == key) {
            let count = room.min(receiver.queue.len());
            out.extend(receiver.queue.drain(..count));
        }
    }

    /// The body of the deliver_sm that carries `receipt`.
    pub(super) fn write_receipt(&mut self, receipt: &Receipt, now: Now, tlvs: bool) -> &[u8] {
        self.text.clear();
        self.tlvs.clear();
        self.body.clear();
        let mut digits = [0; 20];
        let id = decimal(receipt.id, &mut digits);
        let state = MessageState::Delivered;
        ReceiptText::new(id, state, receipt.accepted_ms, now.unix_ms).write(&mut self.text);
        if tlvs {
            let mut digits = [0; 21];
            digits[..id.len()].copy_from_slice(id);
            // An id of 20 digits with its NUL and one octet always fit.
            let _ = tlv::append(&mut self.tlvs, Tag::RECEIPTED_MESSAGE_ID, &digits[..=id.len()]);
            let _ = tlv::append(&mut self.tlvs, Tag::MESSAGE_STATE, &[state.octet()]);
        }
        Sm {
            source: receipt.from.as_field().unwrap_or_default(),
            destination: receipt.to.as_field().unwrap_or_default(),
            esm_class: EsmClass::RECEIPT,
            short_message: ShortMessage::new(&self.text).unwrap_or_default(),
            tlvs: Tlvs::new(&self.tlvs),
            ..Sm::default()
        }
        .encode(&mut self.body);
        &self.body
    }

    /// A receipt was answered, or not in time.
    pub(super) fn answered(&mut self, now: Now, receipt: Receipt, success: bool) {
        if success {
            self.owed -= 1;
            self.report.receipts += 1;
        } else {
            self.report.receipts_resent += 1;
            self.again
                .push_back((now.monotonic + self.options.receipt_retry, receipt));
            self.held_back.ring();
        }
    }

    // ===== figures =====

    pub(super) fn show(&self) {
        self.shown.set(Counts {
            unique: self.report.unique,
            repeated: self.report.repeated,
            receipts: self.report.receipts,
            bound: self.bound,
        });
    }

    pub(super) fn take_report(&mut self) -> Report {
        self.report.taken.extend(self.run.take());
        self.report.receipts_owed = self.owed as u64;
        mem::take(&mut self.report)
    }
}

/// `value` in decimal, at the end of `digits`.
pub(super) fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(value % 10) as usize];
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_decimal_numbers() {
        for value in [0, 7, 10, 1_764_000_000_000_000, u64::MAX] {
            assert_eq!(decimal(value, &mut [0; 20]), value.to_string().as_bytes());
        }
    }
}
