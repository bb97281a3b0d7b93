//! The story of one receipt: read, matched to its leg, the leg ended, the DLR written for its account.

mod late;

use std::time::Duration;

use smallvec::SmallVec;
use tidegate_codec::address::{ADDR_DATA, ADDR_SM, Address};
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::receipt::{ReceiptReading, ReceiptText, canonical};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{EsmClass, InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::quote::Quote;
use tidegate_store::record::{EntryKind, Form, Sink, Stage};
use tidegate_store::spool::{Ending, NewEntry, Pending, Refused};

use crate::carrier::{PEN_WAIT, Penned};
use crate::clock::Now;
use crate::gate::Gate;
use crate::telemetry::words::{HeldEnd, ReceiptKind};
use crate::turn::{Owed, Promise};

pub(crate) use late::Late;
pub use late::ReceiptIds;

/// Longest `err:` that is passed on, in octets.
const ERR_MAX: usize = 8;

/// What a receipt says, apart from whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptNote {
    /// The state it names.
    pub state: MessageState,
    /// Whether that is the end.
    pub is_final: bool,
    /// Its `err`, as text.
    pub err: SmallVec<[u8; ERR_MAX]>,
    /// When it was done by the carrier's word, in unix milliseconds.
    pub done_ms: Option<u64>,
    /// Network error code, if it came as a TLV.
    pub network_error: Option<[u8; 3]>,
}

impl ReceiptNote {
    /// An end that we state ourselves.
    pub fn new(state: MessageState) -> Self {
        Self {
            state,
            is_final: true,
            err: SmallVec::new(),
            done_ms: None,
            network_error: None,
        }
    }

    /// The same with the status that led to it, as three decimal digits (design §5).
    pub fn with_status(mut self, status: CommandStatus) -> Self {
        self.err = SmallVec::from_slice(format!("{:03}", status.0 % 1000).as_bytes());
        self
    }
}

impl<D: Disk> Gate<D> {
    /// A carrier delivers a receipt.
    pub(crate) fn receipt(
        &mut self,
        now: Now,
        carrier: usize,
        owed: Owed,
        reading: &ReceiptReading<'_>,
        network_error: Option<[u8; 3]>,
    ) {
        let base = self.config.carriers[carrier].id_base.receipt;
        let note = ReceiptNote {
            state: reading.state,
            is_final: reading.is_final,
            err: reading.err.iter().copied().take(ERR_MAX).collect(),
            done_ms: reading.text.done_unix_ms(now.unix_ms, 0),
            network_error,
        };
        let name = self.carriers[carrier].name;
        let candidates = std::iter::once(reading.id()).chain(reading.other_id());
        let mut ids = ReceiptIds::new();
        for id in candidates.filter(|id| !id.is_empty()) {
            let id = canonical(id, base);
            if let Some(leg) = self.spool.index().find_carrier_id(name, id.as_bytes()) {
                // What its first id says in a file goes before what its other one says here.
                if note.is_final && !ids.is_empty() && self.spool.may_wait(name, &ids) {
                    ids.extend(MessageIdText::new(id.as_bytes()).ok());
                    return self.receipt_elsewhere(now, carrier, owed, note, ids, false);
                }
                return self.receipt_for(now, carrier, leg, owed, &note);
            }
            ids.extend(MessageIdText::new(id.as_bytes()).ok().filter(|id| !id.is_empty()));
        }
        // Early, most likely, if something of this carrier is under way.
        if self.carriers[carrier].is_waiting(&self.links) {
            self.carriers[carrier].tally.receipts.add(ReceiptKind::Early);
            self.pen_receipt(now, carrier, owed, note, ids, true);
        } else {
            self.receipt_elsewhere(now, carrier, owed, note, ids, false);
        }
    }

    /// A receipt that is for nothing in the files. Its id may have become known while they were asked. If nothing of
    /// this carrier is under way, nothing will make it known: an orphan.
    fn receipt_unknown(&mut self, now: Now, carrier: usize, owed: Owed, note: ReceiptNote, ids: ReceiptIds) {
        let (index, name) = (self.spool.index(), self.carriers[carrier].name);
        if let Some(leg) = ids
            .iter()
            .find_map(|id| index.find_carrier_id(name, id.as_bytes()))
        {
            return self.receipt_for(now, carrier, leg, owed, &note);
        }
        if self.carriers[carrier].is_waiting(&self.links) {
            return self.pen_receipt(now, carrier, owed, note, ids, false);
        }
        self.orphan(owed, carrier);
    }

    /// A receipt waits for its id to become known; `ask` says whether the files are still to be asked for it.
    fn pen_receipt(
        &mut self,
        now: Now,
        carrier: usize,
        owed: Owed,
        note: ReceiptNote,
        ids: ReceiptIds,
        ask: bool,
    ) {
        let Some(id) = ids.first().cloned() else {
            return self.orphan(owed, carrier);
        };
        let Owed {
            link,
            sequence,
            response,
        } = owed;
        let state = &mut self.carriers[carrier];
        let penned = Penned {
            link,
            sequence,
            response,
            note,
            ids,
        };
        if !state.pen.insert(now.monotonic, id, penned, ask) {
            state.tally.receipts.add(ReceiptKind::Refused);
            self.respond_delivery(owed, CommandStatus::RX_T_APPN);
        }
    }

    /// A receipt for nothing we know is acknowledged. It may be one that came twice: then the first is
    /// perhaps still to be synced, and this answer waits for the same commit (P2). With a broken spool nobody knows:
    /// what ended in the batch that failed is unknown here, and will be known again after the restart.
    fn orphan(&mut self, owed: Owed, carrier: usize) {
        if self.spool.is_broken() {
            return self.not_now(owed, carrier);
        }
        self.carriers[carrier].tally.receipts.add(ReceiptKind::Orphan);
        if self.spool.pending() == Pending::Nothing {
            self.respond_delivery(owed, CommandStatus::ROK);
        } else {
            self.promises.push(Promise::Delivery { owed, carrier });
        }
    }

    /// A receipt cannot be kept now: the carrier keeps it.
    fn not_now(&mut self, owed: Owed, carrier: usize) {
        self.carriers[carrier].tally.deliveries_refused += 1;
        self.respond_delivery(owed, CommandStatus::RX_T_APPN);
    }

    /// The leg of a receipt is known.
    fn receipt_for(&mut self, now: Now, carrier: usize, leg: LegId, owed: Owed, note: &ReceiptNote) {
        if !note.is_final {
            self.carriers[carrier]
                .tally
                .receipts
                .add(ReceiptKind::Intermediate);
            self.carriers[carrier].tally.receipt_states.add(note.state);
            return self.intermediate(now, carrier, leg, owed, note);
        }
        if self.spool.is_broken() || !self.spool.has_progress_room() {
            return self.not_now(owed, carrier);
        }
        let tally = &mut self.carriers[carrier].tally;
        tally.receipts.add(ReceiptKind::Final);
        tally.receipt_states.add(note.state);
        if let Some(found) = self.spool.index().get(leg) {
            tally
                .receipt
                .add(now.unix_ms.saturating_sub(found.envelope.accepted_ms));
        }
        let heeded = self.heed_receipt(now, carrier, leg, note);
        match heeded.and_then(|()| self.end_leg(now, leg, note, true)) {
            Ok(()) => self.promises.push(Promise::Delivery { owed, carrier }),
            Err(_) => self.respond_delivery(owed, CommandStatus::RX_T_APPN),
        }
    }

    /// A state on the way. It changes nothing that is stored; an ESME that asked for such notifications is told
    /// (registered_delivery bit 4, interop #18), and only then something has to be synced before the answer.
    ///
    /// They never take the place of what is final: they fill half of the outbox at most, and where there is no room in
    /// it or in the spool they are given up, counted, and acknowledged, for the carrier would only repeat them.
    fn intermediate(&mut self, now: Now, carrier: usize, leg: LegId, owed: Owed, note: &ReceiptNote) {
        // Of a message in parts one tells where it stands, as long as the whole has not ended.
        let index = self.spool.index();
        let told = index.get(leg).and_then(|found| match found.part() {
            None => Some(leg),
            Some(1) => index.find(found.message, found.whole()),
            Some(_) => None,
        });
        let wanted = told
            .and_then(|leg| index.get(leg))
            .filter(|leg| RegisteredDelivery(leg.envelope.registered_delivery).wants_intermediate());
        let place = wanted.and_then(|leg| self.account_named(leg.account));
        let (Some(found), Some(place)) = (wanted, place) else {
            return self.respond_delivery(owed, CommandStatus::ROK);
        };
        let account = &self.config.accounts[place];
        if self.spool.outbox().waiting_for(found.account) >= account.outbox_max.div_ceil(2) {
            self.accounts[place].tally.overflow += 1;
            return self.respond_delivery(owed, CommandStatus::ROK);
        }
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let id = self.id_text(found.message, found.envelope.id_form);
        let quote = told.map_or(Quote::NONE, |leg| self.spool.index().quote(leg));
        let entry = NewEntry {
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form: self
                .dlr_parts
                .write(&mut body, found, id.as_bytes(), quote, note, now.unix_ms),
            expires_ms: now.unix_ms.saturating_add(millis(account.outbox_ttl)),
            document: &[],
            body: &body,
        };
        let system_id = account.system_id;
        let staged = self.spool.deliver(now.unix_ms, system_id, &entry, &mut self.rng);
        match staged {
            Ok(entry) => {
                self.stage_entry_body(entry, &body);
                self.promises.push(Promise::Delivery { owed, carrier });
            }
            Err(Refused::Full) => {
                self.accounts[place].tally.overflow += 1;
                self.respond_delivery(owed, CommandStatus::ROK);
            }
            Err(Refused::Broken) => self.not_now(owed, carrier),
        }
        self.scratch = body;
    }

    /// Receipts that waited for the id of a leg that was just handed over.
    pub(crate) fn receipts_released(&mut self, now: Now, carrier: usize, leg: LegId, id: &MessageIdText) {
        if self.carriers[carrier].pen.is_empty() {
            return;
        }
        for Penned {
            link,
            sequence,
            response,
            note,
            ..
        } in self.carriers[carrier].pen.take(id)
        {
            let owed = Owed {
                link,
                sequence,
                response,
            };
            // Only the first final one ends the leg; `end_leg` finds none the second time.
            self.receipt_for(now, carrier, leg, owed, &note);
        }
    }

    /// Receipts whose second is over. Where a submit that was under way when one came is still unanswered, the
    /// carrier is asked to send it again; otherwise nothing can make its id known any more, and to refuse an orphan
    /// for as long as there is traffic would bring it back for days.
    pub(crate) fn empty_pens(&mut self, now: Now) {
        for carrier in 0..self.carriers.len() {
            while let Some(penned) = self.carriers[carrier].pen.take_expired(now.monotonic) {
                let Penned {
                    link,
                    sequence,
                    response,
                    ..
                } = penned;
                let came = now.monotonic.saturating_sub(PEN_WAIT);
                let state = &mut self.carriers[carrier];
                let owed = Owed {
                    link,
                    sequence,
                    response,
                };
                if state.is_waiting_since(&mut self.links, came) {
                    state.tally.receipts.add(ReceiptKind::Refused);
                    self.respond_delivery(owed, CommandStatus::RX_T_APPN);
                } else {
                    self.orphan(owed, carrier);
                }
            }
        }
    }

    /// Answers a carrier's deliver_sm or data_sm.
    pub(crate) fn respond_delivery(&mut self, owed: Owed, status: CommandStatus) {
        let with_id = status.is_ok();
        self.respond(owed.link, owed.response, owed.sequence, status, |out| {
            // deliver_sm_resp carries an empty message_id (3.4 §4.6.2).
            if with_id {
                out.push(0);
            }
        });
    }

    /// Ends a leg through the spool's one settling function, with its DLR where one was asked for and the
    /// account's outbox has room. `urgent`: a carrier's answer waits for it. A leg that has ended already is left
    /// alone.
    pub(crate) fn end_leg(
        &mut self,
        now: Now,
        leg: LegId,
        note: &ReceiptNote,
        urgent: bool,
    ) -> Result<(), Refused> {
        let Some(found) = self.spool.index().get(leg) else {
            return Ok(());
        };
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let account = self.account_named(found.account);
        let mut form = None;
        let is_whole = found.part().is_none();
        if is_whole && is_wanted(found, note.state) {
            let configured = account.map(|place| &self.config.accounts[place]);
            // Entries of an account that the configuration no longer has are kept as long as the default.
            let (max, ttl) = configured.map_or((usize::MAX, 72 * 3600 * 1000), |account| {
                (account.outbox_max, millis(account.outbox_ttl))
            });
            if self.spool.outbox().waiting_for(found.account) < max {
                let id = self.id_text(found.message, found.envelope.id_form);
                let quote = self.spool.index().quote(leg);
                let written = self
                    .dlr_parts
                    .write(&mut body, found, id.as_bytes(), quote, note, now.unix_ms);
                form = Some((written, now.unix_ms.saturating_add(ttl)));
            } else if let Some(place) = account {
                self.accounts[place].tally.overflow += 1;
            }
        }
        let entry = form.map(|(form, expires_ms)| NewEntry {
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form,
            expires_ms,
            document: &[],
            body: &body,
        });
        let test_end = if is_whole { self.test_end(leg, note) } else { None };
        let ending = Ending {
            state: note.state,
            at_ms: note.done_ms.unwrap_or(now.unix_ms),
        };
        let settled = self
            .spool
            .settle(now.unix_ms, leg, ending, entry.as_ref(), urgent, &mut self.rng);
        if let Ok(Some((ended, entry))) = &settled {
            self.log_end(ended, note.state);
            // Nothing but a receipt is that urgent where a carrier has it.
            if let Some(place) = account.filter(|_| urgent && ended.stage == Stage::HandedOver) {
                self.watched_ended(now, place, ended, note.state);
            }
            if let Some(place) = account.filter(|_| is_whole) {
                let tally = &mut self.accounts[place].tally;
                tally.finals.add(note.state);
                if ended.stage == Stage::Held {
                    tally.held_ended.add(HeldEnd::of(note.state));
                }
                // A receipt is that urgent, and so is a cancel, which ends what no carrier has.
                if urgent && !ended.stage.is_ahead() {
                    let accepted_ms = ended.envelope.accepted_ms;
                    tally.receipt.add(now.unix_ms.saturating_sub(accepted_ms));
                }
            }
            if let Some((id, end)) = test_end {
                self.test_ended(id, end);
            }
            self.release_id(ended);
            if is_whole {
                self.forget_failed(ended.message, note.state);
            }
            if let Some(entry) = entry {
                self.stage_entry_body(*entry, &body);
            }
        }
        self.scratch = body;
        if let (false, Ok(Some((part, _)))) = (is_whole, &settled) {
            self.part_ended(now, part, note, urgent);
        }
        settled.map(|_| ())
    }

    /// The same where nobody waits for it. A spool that is broken cannot note it: the leg stays what it is
    /// and is taken up again after the restart.
    pub(crate) fn end_quietly(&mut self, now: Now, leg: LegId, note: &ReceiptNote) {
        let _ = self.end_leg(now, leg, note, false);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a final state of this leg makes a DLR.
fn is_wanted(leg: &Leg, state: MessageState) -> bool {
    let wish = RegisteredDelivery(leg.envelope.registered_delivery)
        .wish(InterfaceVersion(leg.envelope.interface_version));
    let success = matches!(state, MessageState::Delivered | MessageState::Accepted);
    // UNKNOWN is neither: who asked for failures only or successes only hears nothing of it (design §5.6).
    match wish {
        ReceiptWish::Never => false,
        ReceiptWish::Always => true,
        ReceiptWish::OnFailure => !success && state != MessageState::Unknown,
        ReceiptWish::OnSuccess => success,
    }
}

/// What a DLR is put together of, kept from one to the next so that none allocates.
#[derive(Debug, Default)]
pub(crate) struct DlrParts {
    tlvs: Vec<u8>,
    text: Vec<u8>,
}

impl DlrParts {
    /// Writes the DLR as the body of a deliver_sm: text form and TLVs (smpp-dlr.md §4–5). Addresses that a
    /// data_sm brought and a deliver_sm cannot hold make it a data_sm.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        leg: &Leg,
        id: &[u8],
        quote: Quote,
        note: &ReceiptNote,
        now_ms: u64,
    ) -> Form {
        let Self { tlvs, text } = self;
        tlvs.clear();
        text.clear();
        let mut id_value: SmallVec<[u8; 32]> = SmallVec::from_slice(id);
        id_value.push(0);
        // All of these are far below the 65 535 octets of a TLV.
        let _ = tlv::append(tlvs, Tag::RECEIPTED_MESSAGE_ID, &id_value);
        let _ = tlv::append(tlvs, Tag::MESSAGE_STATE, &[note.state.octet()]);
        if let Some(code) = note.network_error {
            let _ = tlv::append(tlvs, Tag::NETWORK_ERROR_CODE, &code);
        }
        let done_ms = note.done_ms.unwrap_or(now_ms);
        let mut receipt = ReceiptText::new(id, note.state, leg.envelope.accepted_ms, done_ms);
        receipt.text = quote.as_bytes();
        if !note.err.is_empty() {
            receipt.err = &note.err;
        }
        receipt.write(text);
        let esm_class = if note.is_final {
            EsmClass::RECEIPT
        } else {
            EsmClass::INTERMEDIATE
        };
        // The receipt goes the other way: from the recipient to the sender.
        let addresses = &leg.envelope.addresses;
        let (source, destination) = (addresses.destination(), addresses.source());
        if let (Ok(source), Ok(destination), Some(short_message)) = (
            source.as_field::<ADDR_SM>(),
            destination.as_field::<ADDR_SM>(),
            ShortMessage::new(text),
        ) {
            Sm {
                source,
                destination,
                esm_class,
                short_message,
                tlvs: Tlvs::new(tlvs),
                ..Sm::default()
            }
            .encode(out);
            return Form::Sm;
        }
        let _ = tlv::append(tlvs, Tag::MESSAGE_PAYLOAD, text);
        let wide = |address: &tidegate_codec::address::AddressBuf| {
            // Addresses came in through fields of this width.
            address
                .as_field::<ADDR_DATA>()
                .map(|field| field.addr.as_bytes().to_vec())
                .unwrap_or_default()
        };
        let (from, to) = (wide(&source), wide(&destination));
        DataSm {
            source: Address::new(source.ton(), source.npi(), &from).unwrap_or_default(),
            destination: Address::new(destination.ton(), destination.npi(), &to).unwrap_or_default(),
            esm_class,
            tlvs: Tlvs::new(tlvs),
            ..DataSm::default()
        }
        .encode(out);
        Form::DataSm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::receipt::read_receipt;

    #[test]
    fn a_status_becomes_three_digits_of_err() {
        let note = ReceiptNote::new(MessageState::Rejected).with_status(CommandStatus::RINVDSTADR);
        assert_eq!(note.err.as_slice(), b"011");
    }

    #[test]
    fn a_written_dlr_reads_back_with_text_and_tlvs_alike() {
        let text = ReceiptText::new(
            b"1234",
            MessageState::Delivered,
            1_790_000_000_000,
            1_790_000_060_000,
        );
        let mut out = Vec::new();
        text.write(&mut out);
        let reading = read_receipt(EsmClass::RECEIPT, &out, None, None, None, false).unwrap();
        assert_eq!(
            (reading.id(), reading.state, reading.is_final),
            (&b"1234"[..], MessageState::Delivered, true)
        );
    }
}
