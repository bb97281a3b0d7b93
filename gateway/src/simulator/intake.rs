//! A carrier takes a message, or refuses it, and accounts for it.

use std::time::Duration;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{
    DataCoding, EsmClass, InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery,
};

use super::centre::Centre;
use super::delivery::{Account, Delivery, OWED_MAX, Receipt, Stage};
use super::options::Share;
use super::quirk::Quirk;
use crate::clock::Now;
use crate::traffic::marks::Marks;
use crate::traffic::token::{Reading, Token};

/// Runs whose messages are told apart; a carrier that has seen so many counts further ones as unmarked.
const RUNS_MAX: usize = 256;
/// Octets of memory for telling messages apart, over all runs: 512 million messages numbered from 0. Behind that
/// numbers that need more are counted as unmarked.
const MARKS_MEMORY: usize = 64 << 20;
/// The status that carriers invent for a number that begins with `+` (interop quirk 37).
const VENDOR_STATUS: CommandStatus = CommandStatus(0x94);

/// What of a submit_sm or data_sm a carrier looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission<'a> {
    text: &'a [u8],
    from: (&'a [u8], [u8; 2]),
    to: (&'a [u8], [u8; 2]),
    esm_class: EsmClass,
    data_coding: DataCoding,
    registered_delivery: RegisteredDelivery,
    has_validity: bool,
    tlvs: Tlvs<'a>,
}

impl<'a> Submission<'a> {
    /// The submission in `operation`, if it is one.
    pub(super) fn of(operation: &Operation<'a>) -> Option<Self> {
        match operation {
            Operation::SubmitSm(sm) => Some(Self {
                text: sm.text().0,
                from: (sm.source.addr.as_bytes(), [sm.source.ton.0, sm.source.npi.0]),
                to: (
                    sm.destination.addr.as_bytes(),
                    [sm.destination.ton.0, sm.destination.npi.0],
                ),
                esm_class: sm.esm_class,
                data_coding: sm.data_coding,
                registered_delivery: sm.registered_delivery,
                has_validity: !sm.validity_period.is_empty(),
                tlvs: sm.tlvs,
            }),
            Operation::DataSm(sm) => Some(Self {
                text: sm.tlvs.message_payload().unwrap_or_default().0,
                from: (sm.source.addr.as_bytes(), [sm.source.ton.0, sm.source.npi.0]),
                to: (
                    sm.destination.addr.as_bytes(),
                    [sm.destination.ton.0, sm.destination.npi.0],
                ),
                esm_class: sm.esm_class,
                data_coding: sm.data_coding,
                registered_delivery: sm.registered_delivery,
                has_validity: sm.tlvs.get(Tag::QOS_TIME_TO_LIVE).is_some(),
                tlvs: sm.tlvs,
            }),
            _ => None,
        }
    }

    /// The header in front of the text, its length octet left out, and the text behind it.
    fn header(&self) -> (&'a [u8], &'a [u8]) {
        match self.text.split_first() {
            Some((length, rest)) if self.esm_class.has_udh() => rest
                .split_at_checked(usize::from(*length))
                .unwrap_or((&[], self.text)),
            _ => (&[], self.text),
        }
    }

    /// Which part of how many this is, by sar_* TLVs or by a concatenation header.
    fn part(&self) -> Option<(u8, u8)> {
        let sar = self
            .tlvs
            .octet(Tag::SAR_SEGMENT_SEQNUM)
            .zip(self.tlvs.octet(Tag::SAR_TOTAL_SEGMENTS));
        sar.or_else(|| {
            let mut elements = self.header().0;
            while let [element, length, rest @ ..] = elements {
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                match (element, value) {
                    (0x00, [_, total, part]) | (0x08, [_, _, total, part]) => return Some((*part, *total)),
                    _ => elements = rest,
                }
            }
            None
        })
    }
}

/// What becomes of a submit.
pub(super) struct Taken {
    /// The answer; `None`: it is never answered.
    pub(super) answer: Option<Result<u64, CommandStatus>>,
    /// What the link does besides.
    pub(super) fault: Option<Fault>,
    /// How long its receipt is held back, if it has one.
    pub(super) receipt_delay: Duration,
}

/// The link that brings a message.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) key: u64,
    pub(super) account: Account,
    pub(super) version: InterfaceVersion,
    /// Submits that wait for their answer.
    pub(super) waiting: usize,
}

/// What a link does to its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Reset,
    Unbind,
    Silence,
}

impl Centre {
    /// Takes a message, or refuses it.
    pub(super) fn take(&mut self, now: Now, submission: &Submission<'_>, from: From) -> Taken {
        self.report.submitted += 1;
        if let Some(status) = self.refusal(now, submission, from.waiting) {
            *self.report.refused.entry(status.0).or_default() += 1;
            return Taken {
                answer: Some(Err(status)),
                fault: None,
                receipt_delay: Duration::ZERO,
            };
        }
        self.account(submission);
        let id = self.next_id;
        self.next_id += 1;
        let receipt_delay = self.owe_receipt(now, submission, from, id);
        let fault = self.fault();
        let answer = if self.options.unanswered.falls(&mut self.rng) {
            self.report.unanswered += 1;
            None
        } else {
            Some(Ok(id))
        };
        Taken {
            answer,
            fault,
            receipt_delay,
        }
    }

    fn refusal(&mut self, now: Now, submission: &Submission<'_>, waiting: usize) -> Option<CommandStatus> {
        if self.owed >= OWED_MAX {
            return Some(CommandStatus::RMSGQFUL);
        }
        if let Some((most, status)) = self.options.submits_max
            && waiting > most
        {
            return Some(status);
        }
        if let Some((_, status)) = self.options.rate
            && let Some(throttle) = &mut self.throttle
            && !throttle.take(now.monotonic)
        {
            return Some(status);
        }
        if self.options.has(Quirk::RefusePlus) && submission.to.0.starts_with(b"+") {
            return Some(VENDOR_STATUS);
        }
        if self.options.has(Quirk::RefuseValidity) && submission.has_validity {
            return Some(CommandStatus::RINVEXPIRY);
        }
        Share::draw(&self.options.refusals, &mut self.rng)
    }

    fn fault(&mut self) -> Option<Fault> {
        let rng = &mut self.rng;
        if self.resets.tick(rng) {
            self.report.links_reset += 1;
            return Some(Fault::Reset);
        }
        if self.unbinds.tick(rng) {
            return Some(Fault::Unbind);
        }
        if self.silences.tick(rng) {
            return Some(Fault::Silence);
        }
        None
    }

    /// Tells how long the receipt is held back.
    fn owe_receipt(&mut self, now: Now, submission: &Submission<'_>, from: From, id: u64) -> Duration {
        let (share, failed) = self.options.failures;
        let fails = share.falls(&mut self.rng);
        let wanted = match submission.registered_delivery.wish(from.version) {
            _ if self.options.has(Quirk::Unsolicited) => true,
            ReceiptWish::Never => false,
            ReceiptWish::Always => true,
            ReceiptWish::OnFailure => fails,
            ReceiptWish::OnSuccess => !fails,
        };
        if !wanted || self.is_part_without_receipt(submission) {
            return Duration::ZERO;
        }
        if self.options.lost_receipts.falls(&mut self.rng) {
            self.report.receipts_lost += 1;
            return Duration::ZERO;
        }
        let address = |(addr, [ton, npi]): (&[u8], [u8; 2])| {
            // The fields of a PDU are no wider.
            AddressBuf::new(
                tidegate_codec::address::Ton(ton),
                tidegate_codec::address::Npi(npi),
                addr,
            )
            .unwrap_or_default()
        };
        let receipt = Receipt {
            id,
            from: address(submission.to),
            to: address(submission.from),
            accepted_ms: now.unix_ms,
            state: if fails { failed } else { MessageState::Delivered },
            stage: Stage::Final,
            link: from.key,
            account: from.account,
            sent: false,
        };
        let delay = self.options.receipt_delay.draw(&mut self.rng);
        if self.options.has(Quirk::IntermediateFirst) {
            self.owe(
                now,
                delay,
                Delivery::Receipt(Receipt {
                    stage: Stage::Intermediate,
                    ..receipt.clone()
                }),
            );
        }
        if self.options.has(Quirk::OddStat) {
            self.owe(
                now,
                delay,
                Delivery::Receipt(Receipt {
                    stage: Stage::Buffered,
                    ..receipt.clone()
                }),
            );
        }
        self.owe(now, delay, Delivery::Receipt(receipt));
        delay
    }

    /// A carrier that reports on one part of a long message says nothing of the others.
    fn is_part_without_receipt(&self, submission: &Submission<'_>) -> bool {
        let (first, last) = (
            self.options.has(Quirk::FirstPartOnly),
            self.options.has(Quirk::LastPartOnly),
        );
        if !first && !last {
            return false;
        }
        submission
            .part()
            .is_some_and(|(part, total)| !(first && part == 1 || last && part == total))
    }

    fn account(&mut self, submission: &Submission<'_>) {
        let text = submission.header().1;
        match Token::read_as(submission.data_coding.0, text, submission.to.0) {
            Reading::Intact(token) => match self.mark(token) {
                Some(true) => self.report.unique += 1,
                Some(false) => self.report.repeated += 1,
                None => self.report.unmarked += 1,
            },
            Reading::Altered => self.report.altered += 1,
            Reading::Unmarked => self.report.unmarked += 1,
        }
    }

    /// Tells whether a message is new; `None` where there is no room to know.
    fn mark(&mut self, token: Token) -> Option<bool> {
        let memory = self.marks_memory;
        let marks = self.marks(token.run)?;
        let growth = marks.growth(token.n);
        if growth > 0 && memory + growth > MARKS_MEMORY {
            return None;
        }
        let is_new = marks.insert(token.n);
        self.marks_memory += growth;
        Some(is_new)
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
}
