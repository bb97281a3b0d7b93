//! The records of a block, field by field: what is alike stands together, so that it packs well.
//!
//! Numbers are LEB128, differences zigzag before that. Texts that come again and again (senders, carriers, service types)
//! stand once and are named by their place.

use smallvec::SmallVec;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;
use zeroize::Zeroize;

use super::meta::{Meta, MetaRef, Place, Text, TextRef};
use crate::message_id::MessageId;
use crate::record::{Direction, Form};

/// In the octet of a record's form: it is a message from a handset. A version that knows none reads a block with one as no block
/// of ours: it tells so and leaves it.
const MO: u8 = 0x80;

/// How many columns a block has.
const COLUMNS: usize = 24;

mod at {
    //! Which column holds what.
    pub(super) const ID: usize = 0;
    pub(super) const LEG: usize = 1;
    pub(super) const ACCEPTED: usize = 2;
    pub(super) const FINAL: usize = 3;
    pub(super) const EXPIRES: usize = 4;
    pub(super) const STATE: usize = 5;
    pub(super) const ATTEMPTS: usize = 6;
    pub(super) const FORM: usize = 7;
    pub(super) const VERSION: usize = 8;
    pub(super) const ID_FORM: usize = 9;
    pub(super) const REGISTERED: usize = 10;
    pub(super) const PRIORITY: usize = 11;
    pub(super) const CATEGORY: usize = 12;
    pub(super) const PARTS: usize = 13;
    pub(super) const CODING: usize = 14;
    pub(super) const SERVICE: usize = 15;
    pub(super) const SOURCE: usize = 16;
    pub(super) const DESTINATION: usize = 17;
    pub(super) const CARRIER: usize = 18;
    pub(super) const CARRIER_ID: usize = 19;
    pub(super) const CHARGE: usize = 20;
    pub(super) const PLACE: usize = 21;
    pub(super) const TEXTS: usize = 22;
    pub(super) const BODY: usize = 23;
}

/// Records that are being gathered. What it holds is wiped when it is dropped.
#[derive(Default)]
pub(super) struct Columns {
    columns: [Vec<u8>; COLUMNS],
    /// Texts that stand once, in the order of their places.
    texts: Vec<Vec<u8>>,
    /// Which of them was the last of each kind: the next is mostly the same.
    last: [usize; KINDS],
    last_id: u64,
    count: u16,
    /// Octets of all columns.
    octets: usize,
}

/// Texts that come again and again: senders, service types, carriers.
const KINDS: usize = 3;

impl Drop for Columns {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Columns {
    /// How many records it holds.
    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    /// Octets so far.
    pub(super) const fn len(&self) -> usize {
        self.octets
    }

    /// Takes all out, and wipes it; the room stays for others.
    pub(super) fn wipe(&mut self) {
        self.columns.iter_mut().for_each(Zeroize::zeroize);
        self.texts.iter_mut().for_each(Zeroize::zeroize);
        self.texts.clear();
        self.last = [0; KINDS];
        (self.last_id, self.count, self.octets) = (0, 0, 0);
    }

    pub(super) fn push_meta(&mut self, meta: &MetaRef<'_>) {
        let form = match meta.direction {
            Direction::Mt => meta.form as u8,
            Direction::Mo => meta.form as u8 | MO,
        };
        self.begin(meta.id, meta.leg, meta.accepted_ms, meta.final_ms, form);
        let (source, service, carrier) = (
            self.place_of(0, &address(meta.source)),
            self.place_of(1, &meta.service_type),
            self.place_of(2, meta.carrier.as_bytes()),
        );
        let columns = &mut self.columns;
        put_difference(&mut columns[at::EXPIRES], meta.accepted_ms, meta.expires_ms);
        put(&mut columns[at::ATTEMPTS], meta.attempts.into());
        for (column, octet) in [
            (at::STATE, meta.state as u8),
            (at::VERSION, meta.interface_version),
            (at::ID_FORM, meta.id_form),
            (at::REGISTERED, meta.registered_delivery),
            (at::PRIORITY, meta.priority),
            (at::CATEGORY, meta.category),
            (at::PARTS, meta.parts),
            (at::CODING, meta.data_coding),
        ] {
            columns[column].push(octet);
        }
        put(&mut columns[at::SOURCE], source);
        put(&mut columns[at::SERVICE], service);
        put(&mut columns[at::CARRIER], carrier);
        let destination = &mut columns[at::DESTINATION];
        destination.extend_from_slice(&[meta.destination.ton().0, meta.destination.npi().0]);
        put_signs(destination, meta.destination.as_bytes());
        put_signs(&mut columns[at::CARRIER_ID], meta.carrier_id);
        put(&mut columns[at::CHARGE], meta.settled.into());
        put(&mut columns[at::CHARGE], meta.released.into());
        columns[at::PLACE].extend_from_slice(&meta.place.country);
        put(&mut columns[at::PLACE], meta.place.network.into());
        self.measure();
    }

    /// Once for each record: who gathers asks for it more often.
    fn measure(&mut self) {
        self.octets = self.columns.iter().map(Vec::len).sum();
    }

    pub(super) fn push_text(&mut self, text: &TextRef<'_>) {
        self.begin(
            text.id,
            text.leg,
            text.accepted_ms,
            text.final_ms,
            text.form as u8,
        );
        put(&mut self.columns[at::BODY], text.body.len() as u64);
        self.columns[at::BODY].extend_from_slice(text.body);
        self.measure();
    }

    fn begin(&mut self, id: MessageId, leg: u16, accepted_ms: u64, final_ms: u64, form: u8) {
        let columns = &mut self.columns;
        put_difference(&mut columns[at::ID], self.last_id, id.0);
        self.last_id = id.0;
        put(&mut columns[at::LEG], leg.into());
        put_difference(&mut columns[at::ACCEPTED], id.ms(), accepted_ms);
        put_difference(&mut columns[at::FINAL], accepted_ms, final_ms);
        columns[at::FORM].push(form);
        self.count += 1;
    }

    /// The place of a text that comes again and again. A block has a few of each kind, looked through in the order in
    /// which they came.
    fn place_of(&mut self, kind: usize, text: &[u8]) -> u64 {
        let last = self.last[kind];
        if self.texts.get(last).is_some_and(|there| there == text) {
            return last as u64;
        }
        let found = self.texts.iter().position(|there| there == text);
        let place = found.unwrap_or_else(|| {
            put(&mut self.columns[at::TEXTS], text.len() as u64);
            self.columns[at::TEXTS].extend_from_slice(text);
            self.texts.push(text.to_vec());
            self.texts.len() - 1
        });
        self.last[kind] = place;
        place as u64
    }

    /// All columns, each behind its length.
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() + 3 * COLUMNS);
        for column in &self.columns {
            put(&mut out, column.len() as u64);
            out.extend_from_slice(column);
        }
        out
    }
}

/// Records as they are read, one after the other.
pub(super) struct Reading<'a> {
    columns: [&'a [u8]; COLUMNS],
    texts: Vec<&'a [u8]>,
    last_id: u64,
    left: u16,
}

struct Common {
    id: MessageId,
    leg: u16,
    accepted_ms: u64,
    final_ms: u64,
    form: Form,
    direction: Direction,
}

impl<'a> Reading<'a> {
    /// `None` when it is none of ours.
    pub(super) fn new(mut octets: &'a [u8], count: u16) -> Option<Self> {
        let mut columns = [&[][..]; COLUMNS];
        for column in &mut columns {
            *column = take_text(&mut octets)?;
        }
        let mut texts = Vec::new();
        let mut rest = columns[at::TEXTS];
        while !rest.is_empty() {
            texts.push(take_text(&mut rest)?);
        }
        octets.is_empty().then_some(Self {
            columns,
            texts,
            last_id: 0,
            left: count,
        })
    }

    fn common(&mut self) -> Option<Common> {
        self.left = self.left.checked_sub(1)?;
        let columns = &mut self.columns;
        let id = MessageId(take_difference(&mut columns[at::ID], self.last_id)?);
        self.last_id = id.0;
        let accepted_ms = take_difference(&mut columns[at::ACCEPTED], id.ms())?;
        let form = octet(&mut columns[at::FORM])?;
        Some(Common {
            id,
            leg: u16::try_from(take(&mut columns[at::LEG])?).ok()?,
            accepted_ms,
            final_ms: take_difference(&mut columns[at::FINAL], accepted_ms)?,
            form: Form::from_octet(form & !MO)?,
            direction: match form & MO {
                0 => Direction::Mt,
                _ => Direction::Mo,
            },
        })
    }

    fn text(&mut self, column: usize) -> Option<&'a [u8]> {
        let place = usize::try_from(take(&mut self.columns[column])?).ok()?;
        self.texts.get(place).copied()
    }

    /// The next record of a message; `None` at the end, or where it makes no sense.
    pub(super) fn meta(&mut self) -> Option<Meta> {
        let Common {
            id,
            leg,
            accepted_ms,
            final_ms,
            form,
            direction,
        } = self.common()?;
        let [ton, npi, source @ ..] = self.text(at::SOURCE)? else {
            return None;
        };
        let source = AddressBuf::new(Ton(*ton), Npi(*npi), source).ok()?;
        let service_type = *self.text(at::SERVICE)?.first_chunk()?;
        let carrier = std::str::from_utf8(self.text(at::CARRIER)?).ok()?.to_owned();
        let columns = &mut self.columns;
        let (ton, npi) = (
            octet(&mut columns[at::DESTINATION])?,
            octet(&mut columns[at::DESTINATION])?,
        );
        let signs = take_signs(&mut columns[at::DESTINATION])?;
        let destination = AddressBuf::new(Ton(ton), Npi(npi), &signs).ok()?;
        let carrier_id = MessageIdText::new(&take_signs(&mut columns[at::CARRIER_ID])?).ok()?;
        let country = [octet(&mut columns[at::PLACE])?, octet(&mut columns[at::PLACE])?];
        Some(Meta {
            id,
            leg,
            direction,
            source,
            destination,
            accepted_ms,
            final_ms,
            expires_ms: take_difference(&mut columns[at::EXPIRES], accepted_ms)?,
            state: MessageState::from_octet(octet(&mut columns[at::STATE])?)?,
            attempts: u16::try_from(take(&mut columns[at::ATTEMPTS])?).ok()?,
            form,
            interface_version: octet(&mut columns[at::VERSION])?,
            id_form: octet(&mut columns[at::ID_FORM])?,
            registered_delivery: octet(&mut columns[at::REGISTERED])?,
            priority: octet(&mut columns[at::PRIORITY])?,
            category: octet(&mut columns[at::CATEGORY])?,
            parts: octet(&mut columns[at::PARTS])?,
            data_coding: octet(&mut columns[at::CODING])?,
            service_type,
            carrier,
            carrier_id,
            settled: u32::try_from(take(&mut columns[at::CHARGE])?).ok()?,
            released: u32::try_from(take(&mut columns[at::CHARGE])?).ok()?,
            place: Place {
                country,
                network: u32::try_from(take(&mut columns[at::PLACE])?).ok()?,
            },
        })
    }

    /// The next text; the same.
    pub(super) fn next_text(&mut self) -> Option<Text> {
        let Common {
            id,
            leg,
            accepted_ms,
            final_ms,
            form,
            ..
        } = self.common()?;
        let body = take_text(&mut self.columns[at::BODY])?.to_vec();
        Some(Text {
            id,
            leg,
            accepted_ms,
            final_ms,
            form,
            body,
        })
    }
}

/// On the stack, as long as it is no longer than a submit_sm has it.
fn address(address: &AddressBuf) -> SmallVec<[u8; 24]> {
    let mut octets = SmallVec::new();
    octets.extend_from_slice(&[address.ton().0, address.npi().0]);
    octets.extend_from_slice(address.as_bytes());
    octets
}

/// A number, seven bits to an octet, the lowest first.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let octet = octet(from)?;
        let bits = u64::from(octet & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What has to be added to one number for the other, small for a small one of either sign.
fn put_difference(out: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from).cast_signed();
    put(out, (difference << 1 ^ difference >> 63).cast_unsigned());
}

fn take_difference(octets: &mut &[u8], from: u64) -> Option<u64> {
    let zigzag = take(octets)?;
    let difference = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
    Some(from.wrapping_add(difference))
}

fn octet(from: &mut &[u8]) -> Option<u8> {
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(*first)
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(from)?).ok()?;
    let (text, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(text)
}

/// Decimal digits, two to an octet, or any octets: the length says which, as 2 · length + (1 for digits).
fn put_signs(out: &mut Vec<u8>, signs: &[u8]) {
    let is_number = signs.iter().all(u8::is_ascii_digit);
    put(out, 2 * signs.len() as u64 + u64::from(is_number));
    if !is_number {
        return out.extend_from_slice(signs);
    }
    for pair in signs.chunks(2) {
        let low = pair.get(1).map_or(0xf, |digit| digit & 0xf);
        out.push(pair[0] << 4 | low);
    }
}

fn take_signs(from: &mut &[u8]) -> Option<Vec<u8>> {
    let word = take(from)?;
    let len = usize::try_from(word / 2).ok()?;
    if word % 2 == 0 {
        let (signs, rest) = from.split_at_checked(len)?;
        *from = rest;
        return Some(signs.to_vec());
    }
    let (pairs, rest) = from.split_at_checked(len.div_ceil(2))?;
    *from = rest;
    let digits = pairs.iter().flat_map(|pair| [pair >> 4, pair & 0xf]).take(len);
    digits.map(|digit| (digit < 10).then_some(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meta() -> impl Strategy<Value = Meta> {
        let address = || {
            (0..8u8, 0..20u8, "[0-9A-Za-z+]{0,20}").prop_map(|(ton, npi, text)| {
                AddressBuf::new(Ton(ton), Npi(npi), text.as_bytes()).unwrap_or_default()
            })
        };
        let times = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
        let octets = prop::array::uniform9(any::<u8>());
        let texts = ("[a-z-]{0,9}", "[0-9]{0,30}|[0-9a-zA-Z-]{0,30}");
        (
            times,
            address(),
            address(),
            octets,
            texts,
            any::<(u16, u16, u32, u32)>(),
        )
            .prop_map(
                |((id, accepted_ms, final_ms, expires_ms), source, destination, o, texts, n)| Meta {
                    id: MessageId(id >> 1),
                    leg: n.0,
                    direction: if n.1 % 2 == 0 {
                        Direction::Mt
                    } else {
                        Direction::Mo
                    },
                    source,
                    destination,
                    accepted_ms,
                    final_ms,
                    expires_ms,
                    state: MessageState::from_octet(o[0] % 9 + 1).unwrap_or(MessageState::Delivered),
                    attempts: n.1,
                    form: if o[1] < 128 { Form::Sm } else { Form::DataSm },
                    interface_version: o[2],
                    id_form: o[3],
                    registered_delivery: o[4],
                    priority: o[5],
                    category: o[6],
                    parts: o[7],
                    data_coding: o[8],
                    service_type: [o[0], 0, 0, 0, 0],
                    carrier: texts.0,
                    carrier_id: MessageIdText::new(texts.1.as_bytes()).unwrap_or_default(),
                    settled: n.2,
                    released: n.3,
                    place: Place {
                        country: [o[1], o[2]],
                        network: n.3,
                    },
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_gathered_reads_back(metas in prop::collection::vec(meta(), 0..40), cut in any::<prop::sample::Index>()) {
            let mut columns = Columns::default();
            metas.iter().for_each(|meta| columns.push_meta(&meta.by_ref()));
            let octets = columns.octets();
            // Room that others had before changes nothing.
            columns.wipe();
            prop_assert_eq!((columns.len(), columns.count()), (0, 0));
            metas.iter().for_each(|meta| columns.push_meta(&meta.by_ref()));
            prop_assert_eq!(&columns.octets(), &octets);
            prop_assert_eq!(columns.len(), columns.columns.iter().map(Vec::len).sum::<usize>());
            let mut reading = Reading::new(&octets, columns.count()).unwrap();
            for meta in &metas {
                prop_assert_eq!(&reading.meta().unwrap(), meta);
            }
            prop_assert!(reading.meta().is_none());
            // What is cut short is none, and nothing panics.
            if !octets.is_empty() {
                let short = &octets[..cut.index(octets.len())];
                prop_assert!(Reading::new(short, columns.count()).is_none());
            }
        }

        #[test]
        fn texts_read_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut columns = Columns::default();
            for (number, body) in bodies.iter().enumerate() {
                let id = MessageId(number as u64 * 77 + (1 << 40));
                let (leg, form) = (3, Form::Sm);
                columns.push_text(&TextRef { id, leg, accepted_ms: id.ms() + 1, final_ms: id.ms(), form, body });
            }
            let octets = columns.octets();
            let mut reading = Reading::new(&octets, columns.count()).unwrap();
            for body in &bodies {
                let text = reading.next_text().unwrap();
                prop_assert_eq!((&text.body, text.leg, text.final_ms), (body, 3, text.id.ms()));
            }
            prop_assert!(reading.next_text().is_none());
        }

        #[test]
        fn noise_is_none_and_no_panic(octets in prop::collection::vec(any::<u8>(), 0..200), count in 0..9u16) {
            if let Some(mut reading) = Reading::new(&octets, count) {
                while reading.meta().is_some() {}
            }
        }
    }

    /// What a message costs before it is packed and sealed: the bound leaves 120 for all of it.
    #[test]
    fn messages_of_one_account_take_little() {
        let mut columns = Columns::default();
        let mut id = 1u64 << 60;
        for number in 0..256u64 {
            id += 50_000 + number * 31 % 977;
            let digits = format!("4477{:08}", number * 7_919 % 100_000_000);
            let meta = Meta {
                id: MessageId(id),
                leg: 0,
                direction: Direction::Mt,
                source: AddressBuf::new(Ton(5), Npi(0), b"Example").unwrap(),
                destination: AddressBuf::new(Ton(1), Npi(1), digits.as_bytes()).unwrap(),
                accepted_ms: MessageId(id).ms(),
                final_ms: MessageId(id).ms() + 1_000 + number,
                expires_ms: MessageId(id).ms() + 86_400_000,
                state: MessageState::Delivered,
                attempts: 1,
                form: Form::Sm,
                interface_version: 0x34,
                id_form: 0,
                registered_delivery: 1,
                priority: 0,
                category: 1,
                parts: 1,
                data_coding: 0,
                service_type: [0; 5],
                carrier: "p".to_owned(),
                carrier_id: MessageIdText::new(format!("{:016}", number * 104_729).as_bytes()).unwrap(),
                settled: 0,
                released: 0,
                place: Place {
                    country: *b"GB",
                    network: 234_015,
                },
            };
            columns.push_meta(&meta.by_ref());
        }
        let packed = lz4_flex::compress(&columns.octets()).len();
        assert!(packed < 256 * 36, "{packed}");
    }
}
