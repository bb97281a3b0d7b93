//! Handing legs over to a carrier: who goes next, on which link, and in which words.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::time::write_relative;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_config::ReceiptRequest;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::names::NameId;
use tidegate_store::record::{Form, Stage};
use tidegate_store::spool::Target;

use super::read_ahead::ReadAhead;
use super::{Popped, READ_BACK_MAX, Ready};
use crate::addressing::Words;
use crate::admission::Country;
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::{Gate, at};
use crate::life::is_in_line;
use crate::links::{LinkId, Ticket};
use crate::mt::HOT_MAX;
use crate::plain::{data_without_v5, plain, without_v5};
use crate::router::CarrierIndex;
use crate::wording::{Rules, Wording, word};

impl<D: Disk> Gate<D> {
    /// Hands over what waits, as far as links have room and the carriers' rates allow.
    pub(crate) fn dispatch_all(&mut self, now: Now) {
        // What a broken spool hands over it could not note, and would hand over again after the restart.
        if self.stopping || self.spool.is_broken() {
            return;
        }
        for carrier in 0..self.carriers.len() {
            self.dispatch(now, carrier);
        }
    }

    pub(super) fn dispatch(&mut self, now: Now, carrier: usize) {
        let (mut sent, mut ahead) = (false, ReadAhead::default());
        let mut cuts = Cuts::new(self, carrier);
        while !self.carriers[carrier].waiting.queue.is_empty()
            && self.spool.has_batch_room()
            && self.spool.has_progress_room()
        {
            let state = &mut self.carriers[carrier];
            let Some(link) = state.next_link(&self.links) else {
                break;
            };
            // Only what is written costs the carrier's rate, not what is read back first or has ended.
            if state.flow.ready_at() > now.monotonic {
                break;
            }
            // And only that counts as its account's share. Whether a long text goes as it is, and a part at all, shows later.
            let index = self.spool.index();
            let shows_later = |leg: &Leg| leg.part().is_some() || cuts.is_cut(leg);
            let parts = |leg, has_body: bool| match index.get(leg) {
                Some(leg) if has_body && !shows_later(leg) => leg.parts(),
                _ => 0,
            };
            let countries = &state.countries;
            let is_open = |country| {
                countries.ready_at(country) <= now.monotonic && !ahead.is_enough(country, countries)
            };
            let popped = state.waiting.queue.pop(&self.weights, is_open, parts);
            let Some(Popped { leg, body, country }) = popped else {
                break;
            };
            let Some((account, later, part_of)) = index
                .get(leg)
                .filter(|leg| body.is_some() || is_in_line(leg, now))
                .map(|leg| (leg.account, shows_later(leg), leg.part().map(|_| leg.message)))
            else {
                self.hot_octets = self.hot_octets.saturating_sub(body.map_or(0, |body| body.len()));
                continue;
            };
            match body {
                Some(body) => {
                    // The parts of a text go on one link, in their order; while that is full others go on.
                    let link = match part_of {
                        Some(message) => state.link_of(message, &self.links),
                        None if later && cuts.room == 0 => None,
                        None => index.get(leg).is_none_or(|leg| cuts.lets_go(leg)).then_some(link),
                    };
                    let to = index.get(leg).map(|leg| leg.envelope.addresses.destination());
                    let offered = match link {
                        Some(link) => self.offer(now, carrier, link, country, leg, body),
                        None => Offered::Held(body),
                    };
                    let queue = &mut self.carriers[carrier].waiting.queue;
                    match offered {
                        Offered::Sent(parts) if later => queue.charge(parts, &self.weights),
                        Offered::Sent(_) | Offered::Over => {}
                        Offered::Cut(parts) => cuts.note(account, to, parts),
                        Offered::Held(body) => {
                            self.hot_octets = self.hot_octets.saturating_sub(body.len());
                            self.put_back(carrier, leg, Some(body));
                            self.carriers[carrier].waiting.queue.pass_over(account, country);
                        }
                    }
                    sent = true;
                }
                None if self.reading + self.wanted.len() < READ_BACK_MAX => {
                    self.spool.set_leased(leg, true);
                    self.wanted.push(Target::Leg(leg));
                    ahead.note(country);
                    self.note_reading(carrier, leg);
                }
                // As much as may be is being read back; the rest keeps its place, and those go on whose bodies are here.
                None => {
                    self.put_back(carrier, leg, None);
                    self.carriers[carrier].waiting.queue.pass_over(account, country);
                }
            }
        }
        self.carriers[carrier].waiting.queue.resume();
        if sent {
            self.carriers[carrier].next_link += 1;
        }
    }

    /// A carrier did not take a leg: back to its place in the queue, or to another carrier if this one is down.
    pub(super) fn give_back(&mut self, now: Now, carrier: usize, leg: LegId, body: Bytes) {
        let state = &self.carriers[carrier];
        let to = if state.is_up(now) {
            None
        } else if state.removed {
            Some(CarrierIndex(carrier))
        } else {
            self.spool
                .index()
                .get(leg)
                .and_then(|found| self.choose_up(now, found))
        };
        let here = CarrierIndex(carrier);
        let is_elsewhere = |found: &Leg| {
            !self.pinned.has(leg) && self.is_routed(now, found) && !self.is_routed_to(now, found, here)
        };
        // A reload may have taken this carrier off its route since.
        if to.is_none() && !self.spool.index().get(leg).is_some_and(is_elsewhere) {
            return self.put_back(carrier, leg, Some(body));
        }
        self.spool.set_leased(leg, false);
        self.pinned.set(leg, false, self.spool.index());
        let body = (self.hot_octets < HOT_MAX).then_some(body);
        self.place(now, leg, body, to, false);
    }

    /// Whether the carrier was asked for a receipt of this leg.
    pub(super) fn is_receipt_asked_for(&self, carrier: usize, leg: LegId) -> bool {
        self.spool.index().get(leg).is_some_and(|found| {
            let request = self.config.carriers[carrier].request_receipts;
            let version = InterfaceVersion(found.envelope.interface_version);
            asked_for(request, found.envelope.registered_delivery).wish(version) != ReceiptWish::Never
        })
    }

    /// Puts a leg back into its carrier's queue, where it stood.
    pub(super) fn put_back(&mut self, carrier: usize, leg: LegId, body: Option<Bytes>) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let (account, priority) = (found.account, found.envelope.priority);
        let (message, number) = (found.message, found.leg);
        let country = self.rated_at(carrier, found);
        self.carriers[carrier].waiting.has_pinned |= self.pinned.has(leg);
        self.spool.set_leased(leg, false);
        let body = body.filter(|_| self.hot_octets < HOT_MAX);
        self.hot_octets += body.as_ref().map_or(0, Bytes::len);
        self.carriers[carrier].waiting.queue.put_back(
            account,
            country,
            priority,
            Ready {
                leg,
                message,
                number,
                body,
            },
        );
    }

    /// A body that was read back: back in front, with it.
    pub(crate) fn leg_read(&mut self, now: Now, leg: LegId, body: Bytes) {
        let stood_at = self.reading_for.remove(&leg);
        // A late answer may have said meanwhile that a carrier has it.
        let Some(found) = self
            .spool
            .index()
            .get(leg)
            .filter(|leg| leg.stage == Stage::Waiting)
        else {
            return;
        };
        let is_kept = |to: &CarrierIndex| {
            let state = &self.carriers[to.0];
            // Who takes over for one that is gone, `place` knows.
            state.goes_to.is_some() || (self.pinned.has(leg) && state.is_up(now))
        };
        let kept = stood_at.filter(is_kept);
        let to = kept.or_else(|| self.choose_up(now, found));
        // Nobody takes it now: then it need not fill memory either.
        let body = Some(body).filter(|_| to.is_some() || self.hot_octets < HOT_MAX);
        self.spool.set_leased(leg, false);
        if kept.is_none() {
            self.pinned.set(leg, false, self.spool.index());
        }
        self.place(now, leg, body, to, true);
    }

    /// A body is read back for a carrier. What an operator has put in line there goes there, whatever the route says, and
    /// where another has taken over, to that.
    fn note_reading(&mut self, carrier: usize, leg: LegId) {
        if self.reading_for.len() >= 2 * READ_BACK_MAX {
            let index = self.spool.index();
            self.reading_for
                .retain(|leg, _| index.get(*leg).is_some_and(|leg| leg.leased));
        }
        self.reading_for.insert(leg, CarrierIndex(carrier));
    }

    /// Writes a leg to a link, or its text in parts into the next batch. `body` was counted as hot memory while it waited,
    /// and is until the answer.
    fn offer(
        &mut self,
        now: Now,
        carrier: usize,
        id: LinkId,
        country: Option<Country>,
        leg: LegId,
        body: Bytes,
    ) -> Offered {
        let Some(found) = self.spool.index().get(leg).filter(|leg| is_in_line(leg, now)) else {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            return Offered::Over;
        };
        let (form, expires_ms) = (found.envelope.form, found.envelope.expires_ms);
        let parts = found.parts();
        if expires_ms <= now.unix_ms {
            self.hot_octets = self.hot_octets.saturating_sub(body.len());
            self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Expired));
            return Offered::Over;
        }
        let config = &self.config.carriers[carrier];
        let registered = asked_for(config.request_receipts, found.envelope.registered_delivery);
        let Some(link) = self.links.get_mut(id) else {
            return Offered::Held(body);
        };
        let version = link.session.version();
        let with_tlvs = version.has_tlvs();
        let wording = if config.texts.is_as_received() {
            Wording::AsItCame
        } else {
            let account = self.account_by_name.get(&found.account);
            let rules = Rules {
                texts: config.texts,
                account: account
                    .map(|place| self.config.accounts[*place].default_alphabet)
                    .unwrap_or_default(),
                version,
                reference: self.next_reference,
            };
            word(&rules, form, &body)
        };
        let octets = match wording {
            Wording::AsItCame => body.clone(),
            Wording::Rewritten(octets) => octets.into(),
            Wording::Cut(bodies) => return self.offer_parts(now, carrier, leg, body, &bodies),
        };
        let remaining = Duration::from_millis(expires_ms - now.unix_ms);
        let ticket_len = body.len();
        let ticket = Ticket::Leg(leg, body.clone());
        let words = self
            .addressing
            .towards(carrier, &config.writing, &found.envelope.addresses);
        // 3.3 has no data_sm, and room for a short text only (smpp-session.md §7).
        let (command, unwritable) = match form {
            Form::Sm => {
                let fits = with_tlvs || plain(form, &octets).is_some();
                (CommandId::SUBMIT_SM, (!fits).then_some(CommandStatus::RINVMSGLEN))
            }
            Form::DataSm => (
                CommandId::DATA_SM,
                (!with_tlvs).then_some(CommandStatus::RINVCMDID),
            ),
        };
        let words = match (words, unwritable) {
            (Ok(words), None) => words,
            (Err(status), _) | (Ok(_), Some(status)) => {
                self.hot_octets = self.hot_octets.saturating_sub(ticket_len);
                let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
                self.end_quietly(now, leg, &note);
                return Offered::Over;
            }
        };
        let sent = link
            .session
            .request(at(now), command, ticket, &mut link.out, |out| {
                write_submit(out, form, &octets, &words, registered, remaining, version);
            });
        match sent {
            Ok(_) => {
                self.links.touch(id);
                self.spool.set_leased(leg, true);
                let state = &mut self.carriers[carrier];
                state.flow.take(now.monotonic, parts);
                state.countries.book(now.monotonic, country, parts);
                state.tally.offered += 1;
                Offered::Sent(parts)
            }
            Err(_) => Offered::Held(body),
        }
    }

    /// Stages the parts of a text in place of the whole; they stand in line once they are on disk.
    fn offer_parts(
        &mut self,
        now: Now,
        carrier: usize,
        leg: LegId,
        body: Bytes,
        bodies: &[Vec<u8>],
    ) -> Offered {
        if !self.has_room_for_parts(bodies.len()) {
            return Offered::Held(body);
        }
        self.next_reference = self.next_reference.wrapping_add(1);
        match self.go_in_parts(now, carrier, leg, bodies) {
            Ok(()) => {
                self.hot_octets = self.hot_octets.saturating_sub(body.len());
                self.carriers[carrier].tally.cut += 1;
                Offered::Cut(bodies.len())
            }
            // A restart finds the whole.
            Err(_) => Offered::Held(body),
        }
    }
}

/// What is cut while legs are handed over to one carrier.
struct Cuts {
    /// Whether it wants long texts in parts.
    wants_parts: bool,
    /// Parts for which its links had room: no more are cut at a time, and the rest waits as it is.
    room: usize,
    /// Whose texts were cut and for whom: what was accepted behind them goes behind their parts.
    to: SmallVec<[(NameId, AddressBuf); 2]>,
}

impl Cuts {
    fn new<D: Disk>(gate: &Gate<D>, carrier: usize) -> Self {
        let wants_parts = gate.config.carriers[carrier].texts.wants_parts();
        let links = gate.carriers[carrier].links.iter();
        let rooms = links
            .filter_map(|id| gate.links.get(*id))
            .map(|link| link.session.room());
        Self {
            wants_parts,
            room: if wants_parts { rooms.sum() } else { 0 },
            to: SmallVec::new(),
        }
    }

    /// Whether a leg may be cut here.
    fn is_cut(&self, leg: &Leg) -> bool {
        self.wants_parts && leg.part().is_none() && leg.envelope.parts > 1
    }

    /// Whether no text to the same recipient was cut before it.
    fn lets_go(&self, leg: &Leg) -> bool {
        self.to.is_empty()
            || !self
                .to
                .contains(&(leg.account, leg.envelope.addresses.destination()))
    }

    fn note(&mut self, account: NameId, to: Option<AddressBuf>, parts: usize) {
        self.room = self.room.saturating_sub(parts);
        self.to.extend(to.map(|to| (account, to)));
    }
}

/// What became of a leg that a link had room for.
enum Offered {
    /// It was written, so many parts of it.
    Sent(u32),
    /// It goes on in so many parts, which stand in line once they are on disk.
    Cut(usize),
    /// It cannot be written now: it keeps its place, and its account lets others go first.
    Held(Bytes),
    /// It has ended, or goes another way.
    Over,
}

/// What is asked of the carrier for what the ESME asked of us.
fn asked_for(request: ReceiptRequest, registered: u8) -> RegisteredDelivery {
    match request {
        ReceiptRequest::AsAsked => RegisteredDelivery(registered),
        ReceiptRequest::Always => RegisteredDelivery((registered & !0x03) | 0x01),
    }
}

/// Writes a submit_sm or data_sm towards a carrier: the octets as they came, but for what is ours to say
/// there: the addresses, which receipts, how much validity is left, and no schedule, since we kept it.
fn write_submit(
    out: &mut Vec<u8>,
    form: Form,
    body: &[u8],
    words: &Words<'_>,
    registered_delivery: RegisteredDelivery,
    remaining: Duration,
    version: InterfaceVersion,
) {
    let (mut scratch, mut tlvs) = (Vec::new(), Vec::new());
    let registered_delivery = if version.has_tlvs() {
        registered_delivery
    } else {
        registered_delivery.plain()
    };
    match form {
        Form::Sm => {
            // The body was read when it came in.
            let sm = if version.has_tlvs() {
                Sm::decode(body)
                    .ok()
                    .map(|sm| without_v5(sm, version, &mut scratch))
            } else {
                plain(form, body)
            };
            let Some(sm) = sm else { return };
            let validity = write_relative(remaining);
            // What 3.3 does not have it does not get from us, either.
            let tlvs = if version.has_tlvs() {
                words.tlvs(sm.tlvs, &mut tlvs)
            } else {
                sm.tlvs
            };
            Sm {
                // They were admitted, or rewritten, to fit.
                source: words.source.as_field().unwrap_or(sm.source),
                destination: words.destination.as_field().unwrap_or(sm.destination),
                registered_delivery,
                validity_period: COctets::new(&validity).unwrap_or_default(),
                schedule_delivery_time: COctets::EMPTY,
                tlvs,
                ..sm
            }
            .encode(out);
            set_time_to_live(out, tlvs, remaining);
        }
        Form::DataSm => {
            let Ok(sm) = DataSm::decode(body) else { return };
            let sm = data_without_v5(sm, version, &mut scratch);
            let tlvs = words.tlvs(sm.tlvs, &mut tlvs);
            DataSm {
                source: words.source.as_field().unwrap_or(sm.source),
                destination: words.destination.as_field().unwrap_or(sm.destination),
                registered_delivery,
                tlvs,
                ..sm
            }
            .encode(out);
            set_time_to_live(out, tlvs, remaining);
        }
    }
}

/// Where the ESME said `qos_time_to_live`, says what is left of it: it beats the validity in 5.0 and is all
/// that data_sm has, and as it came it would begin anew at the carrier. `tlvs` were written to `out` last.
fn set_time_to_live(out: &mut [u8], tlvs: Tlvs<'_>, remaining: Duration) {
    let mut at = out.len().saturating_sub(tlvs.as_bytes().len());
    for tlv in tlvs {
        at += 4;
        if tlv.tag == Tag::QOS_TIME_TO_LIVE
            && let Some(value) = out.get_mut(at..at + 4).filter(|_| tlv.value.0.len() == 4)
        {
            // Rounded up, and never 0, which would be "not at all".
            let seconds = remaining.as_millis().div_ceil(1000).max(1);
            value.copy_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        }
        at += tlv.value.0.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::address::{Address, AddressBuf, Npi, Ton};
    use tidegate_codec::pdu::message::ShortMessage;
    use tidegate_codec::tlv;
    use tidegate_config::{AddedTlv, Writing};

    /// The addresses that a body of either kind begins with, as admitted; the carrier wants nothing.
    fn as_it_came(body: &[u8]) -> Words<'static> {
        static WRITING: std::sync::LazyLock<Writing> = std::sync::LazyLock::new(Writing::default);
        let sm = DataSm::decode(body).map(|sm| (sm.source.to_buf(), sm.destination.to_buf()));
        let (source, destination) = Sm::decode(body)
            .map(|sm| (sm.source.to_buf(), sm.destination.to_buf()))
            .or(sm)
            .unwrap();
        Words {
            source,
            destination,
            writing: &WRITING,
        }
    }

    fn submitted() -> Vec<u8> {
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
        let mut body = Vec::new();
        Sm {
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
            validity_period: COctets::new(b"000002000000000R").unwrap(),
            registered_delivery: RegisteredDelivery(0),
            short_message: ShortMessage::new(b"\x00hello\xff").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        }
        .encode(&mut body);
        body
    }

    #[test]
    fn a_forwarded_message_keeps_its_octets_and_says_what_validity_is_left() {
        let (body, mut out) = (submitted(), Vec::new());
        let left = Duration::from_secs(90);
        write_submit(
            &mut out,
            Form::Sm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            left,
            InterfaceVersion::V3_4,
        );
        let (before, after) = (Sm::decode(&body).unwrap(), Sm::decode(&out).unwrap());
        assert_eq!(after.validity_period.as_bytes(), b"000000000130000R");
        assert_eq!(after.registered_delivery, RegisteredDelivery(1));
        assert!(
            after.schedule_delivery_time.is_empty(),
            "the schedule was ours to keep"
        );
        let restored = Sm {
            validity_period: before.validity_period,
            schedule_delivery_time: before.schedule_delivery_time,
            registered_delivery: before.registered_delivery,
            ..after
        };
        assert_eq!(restored, before, "everything else is as it came");
    }

    #[test]
    fn what_is_left_of_a_time_to_live_is_said_and_its_neighbours_stay() {
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
        assert!(tlv::append(
            &mut tlvs,
            Tag::QOS_TIME_TO_LIVE,
            &3600u32.to_be_bytes()
        ));
        assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"hello"));
        let mut body = Vec::new();
        DataSm {
            tlvs: Tlvs::new(&tlvs),
            ..DataSm::default()
        }
        .encode(&mut body);
        let mut out = vec![1, 2, 3];
        let left = Duration::from_millis(59_001);
        write_submit(
            &mut out,
            Form::DataSm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            left,
            InterfaceVersion::V3_4,
        );
        let after = DataSm::decode(&out[3..]).unwrap();
        assert_eq!(after.tlvs.long(Tag::QOS_TIME_TO_LIVE), Some(60));
        assert_eq!(after.tlvs.get(Tag(0x1400)), Some(&b"vendor"[..]));
        assert_eq!(after.tlvs.message_payload().unwrap().0, b"hello");
    }

    #[test]
    fn a_message_is_written_with_the_addresses_that_are_kept_and_all_else_stays() {
        let body = submitted();
        let writing = Writing {
            drop_tlvs: vec![Tag(0x1400)],
            add_tlvs: vec![AddedTlv {
                tag: Tag(0x1401),
                value: b"ours".to_vec(),
            }],
            ..Writing::default()
        };
        let words = Words {
            source: AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Shop").unwrap(),
            destination: AddressBuf::new(Ton::NATIONAL, Npi::ISDN, b"7700900123").unwrap(),
            writing: &writing,
        };
        let (left, before) = (Duration::from_secs(1), Sm::decode(&body).unwrap());
        for (version, has_tlvs) in [(InterfaceVersion::V3_4, true), (InterfaceVersion::V3_3, false)] {
            let mut out = Vec::new();
            write_submit(
                &mut out,
                Form::Sm,
                &body,
                &words,
                RegisteredDelivery(1),
                left,
                version,
            );
            let after = Sm::decode(&out).unwrap();
            assert_eq!(Ok(after.source), words.source.as_field());
            assert_eq!(Ok(after.destination), words.destination.as_field());
            assert_eq!(after.short_message, before.short_message);
            // What 3.3 does not have nobody adds, either.
            let tlvs: Vec<(u16, &[u8])> = after.tlvs.iter().map(|tlv| (tlv.tag.0, tlv.value.0)).collect();
            let wanted: &[(u16, &[u8])] = if has_tlvs { &[(0x1401, b"ours")] } else { &[] };
            assert_eq!(tlvs, wanted);
        }
    }

    #[test]
    fn a_3_3_carrier_sees_no_tlv() {
        let (body, mut out) = (submitted(), Vec::new());
        write_submit(
            &mut out,
            Form::Sm,
            &body,
            &as_it_came(&body),
            RegisteredDelivery(1),
            Duration::from_secs(1),
            InterfaceVersion::V3_3,
        );
        assert!(Sm::decode(&out).unwrap().tlvs.is_empty());
    }

    #[test]
    fn receipts_are_asked_for_as_configured_without_losing_the_other_bits() {
        assert_eq!(asked_for(ReceiptRequest::AsAsked, 0x12), RegisteredDelivery(0x12));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x12), RegisteredDelivery(0x11));
        assert_eq!(asked_for(ReceiptRequest::Always, 0x00), RegisteredDelivery(0x01));
    }
}
