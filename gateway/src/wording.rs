//! How the text of a message is written towards a carrier: in which alphabet, whole or in parts, and by what its parts
//! are told to belong together.
//!
//! What cannot be written as the carrier wants it goes as it came: a text in an alphabet that nobody here reads, a part
//! that would be too long for one, a header that is broken. The carrier then judges it, as it would without us.

use tidegate_codec::octets::Body;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::text::ucs2::ByteOrder;
use tidegate_codec::text::{
    Alphabet, Carriage, Charset, Coding, DefaultAlphabet, Element, Peer, Place, Reading, Reference, Shifts,
    Split, SplitRules, Udh, pack, read, udh,
};
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{DataCoding, EsmClass, InterfaceVersion};
use tidegate_config::{LongMessages, Texts};
use tidegate_store::record::Form;

/// Octets that short_message holds for every version.
const SHORT_MAX: usize = 254;
/// What says that a part is one, and the text itself: written anew where the text is.
const OF_THE_TEXT: [Tag; 4] = [
    Tag::MESSAGE_PAYLOAD,
    Tag::SAR_MSG_REF_NUM,
    Tag::SAR_TOTAL_SEGMENTS,
    Tag::SAR_SEGMENT_SEQNUM,
];

/// How it is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// What the carrier wants.
    pub(crate) texts: Texts,
    /// What `data_coding` 0 means to the account whose message it is.
    pub(crate) account: DefaultAlphabet,
    /// What the link speaks.
    pub(crate) version: InterfaceVersion,
    /// What the parts of a text that is cut have in common.
    pub(crate) reference: u16,
}

/// A message with its text as the carrier wants it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Wording {
    /// As it came.
    AsItCame,
    /// The PDU's body with another text.
    Rewritten(Vec<u8>),
    /// Bodies of its parts in their order, two at the least, each written as the account writes: it is worded by
    /// itself when it is handed over.
    Cut(Vec<Vec<u8>>),
}

impl std::fmt::Debug for Wording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AsItCame => f.write_str("AsItCame"),
            Self::Rewritten(body) => write!(f, "Rewritten[{}]", body.len()),
            Self::Cut(parts) => write!(f, "Cut[{}]", parts.len()),
        }
    }
}

/// A body that was taken in, apart from its addresses.
struct Message<'a> {
    sm: Pdu<'a>,
    data_coding: DataCoding,
    esm_class: EsmClass,
    octets: Body<'a>,
    tlvs: Tlvs<'a>,
    in_payload: bool,
    /// Whether the peer has message_payload.
    has_tlvs: bool,
}

enum Pdu<'a> {
    Sm(Sm<'a>),
    DataSm(DataSm<'a>),
}

/// A text in the alphabet in which it goes on.
struct Text<'a> {
    data_coding: DataCoding,
    charset: Charset,
    octets: std::borrow::Cow<'a, [u8]>,
    /// Its septets are packed when everything else is done.
    packs: bool,
    is_other: bool,
}

/// Words a body as the rules say.
pub(crate) fn word(rules: &Rules, form: Form, body: &[u8]) -> Wording {
    let Some(message) = Message::of(form, body, rules.version.has_tlvs()) else {
        return Wording::AsItCame;
    };
    let peer = Peer {
        default_alphabet: rules.account,
        ..Peer::default()
    };
    let reading = read(message.data_coding, message.esm_class, message.octets.0, peer);
    if reading.broken_header {
        return Wording::AsItCame;
    }
    let as_it_is = Text::as_it_is(&message, &reading);
    // Where the other alphabet makes it too long the text stays in its own.
    transcoded(rules, &message, &reading)
        .and_then(|text| worded(rules, &message, &reading, &text))
        .or_else(|| worded(rules, &message, &reading, &as_it_is))
        .unwrap_or(Wording::AsItCame)
}

fn worded(rules: &Rules, message: &Message<'_>, reading: &Reading<'_>, text: &Text<'_>) -> Option<Wording> {
    match reading.place(&message.tlvs) {
        Some(place) => part(rules, message, reading, text, place),
        None => whole(rules, message, reading, text),
    }
}

/// A text that stands alone.
fn whole(rules: &Rules, message: &Message<'_>, reading: &Reading<'_>, text: &Text<'_>) -> Option<Wording> {
    let header = reading.header.map(header_octets).unwrap_or_default();
    let fits = text.units() <= text.charset.unit().room(header.len());
    let long = rules.texts.long_messages;
    match long {
        LongMessages::Udh8 | LongMessages::Udh16 | LongMessages::Sar if !fits => {
            return cut(rules, message, reading, text).map(Wording::Cut);
        }
        _ => {}
    }
    let in_payload = match long {
        LongMessages::AsReceived => message.in_payload,
        LongMessages::Payload => message.in_payload || !fits,
        // Who wants parts may know no message_payload.
        LongMessages::Udh8 | LongMessages::Udh16 | LongMessages::Sar => false,
    };
    if !text.is_other && (in_payload == message.in_payload || message.is_data()) {
        return Some(Wording::AsItCame);
    }
    let octets = text.behind(header);
    message
        .with(text.data_coding, message.esm_class, &octets, None, in_payload)
        .map(Wording::Rewritten)
}

/// Parts of a text that is too long for one.
fn cut(rules: &Rules, message: &Message<'_>, reading: &Reading<'_>, text: &Text<'_>) -> Option<Vec<Vec<u8>>> {
    let carriage = match rules.texts.long_messages {
        LongMessages::Udh16 => Carriage::Udh16,
        LongMessages::Sar if reading.header.is_none() && rules.version.has_tlvs() => Carriage::Sar,
        _ => Carriage::Udh8,
    };
    let by = SplitRules {
        carriage,
        reference: rules.reference,
        parts_max: u8::MAX,
    };
    // Octets of which nobody here knows where a character ends.
    let is_binary = reading.coding.alphabet == Alphabet::Binary && !reading.coding.compressed;
    if text.charset == Charset::Opaque && !is_binary {
        return None;
    }
    let parts = Split::new(text.charset, reading.header, &text.octets, by).ok()?;
    let mut bodies = Vec::with_capacity(parts.len());
    for part in parts {
        let mut octets = Vec::with_capacity(160);
        if text.packs && !text.is_other {
            part.write_packed(&mut octets);
        } else {
            part.write(&mut octets);
        }
        if text.is_other {
            // Each is kept as the account writes it, for whichever carrier may get it in the end.
            let header = octets.len() - part.text.0.len();
            octets.truncate(header);
            let peer = Peer {
                default_alphabet: rules.account,
                ..Peer::default()
            };
            let mut words = String::new();
            text.charset.decode(part.text.0, &mut words)?;
            Charset::of(reading.coding, peer, Shifts::NONE, header)
                .encode(&words, &mut octets)
                .ok()?;
        }
        let esm_class = with_header(message.esm_class, part.has_header());
        bodies.push(message.with(message.data_coding, esm_class, &octets, part.sar(), false)?);
    }
    (bodies.len() > 1).then_some(bodies)
}

/// A part of a longer text.
fn part(
    rules: &Rules,
    message: &Message<'_>,
    reading: &Reading<'_>,
    text: &Text<'_>,
    place: Place,
) -> Option<Wording> {
    // Without TLVs there are no SAR parameters.
    let as_it_is = match carriage_of(place) {
        Carriage::Sar if !rules.version.has_tlvs() => [Carriage::Udh8],
        carriage => [carriage],
    };
    let wanted: &[Carriage] = match rules.texts.long_messages {
        LongMessages::AsReceived | LongMessages::Payload => &as_it_is,
        LongMessages::Udh8 => &[Carriage::Udh8],
        // All parts of a text are to have references of one kind, and none knows of the others: a header that a full one
        // has no room for is given to none.
        LongMessages::Udh16 => match place.reference() {
            Reference::Udh16(_) => &[Carriage::Udh16],
            Reference::Udh8(_) | Reference::Sar(_) => &[Carriage::Udh8],
        },
        LongMessages::Sar => &[Carriage::Sar, Carriage::Udh8],
    };
    let (octets, place) = wanted
        .iter()
        .find_map(|carriage| carried(rules, reading, text, place, *carriage))?;
    let sar = Some(place).filter(|place| matches!(place.reference(), Reference::Sar(_)));
    if !text.is_other && octets == message.octets.0 && reading.place(&message.tlvs) == Some(place) {
        return Some(Wording::AsItCame);
    }
    let esm_class = with_header(message.esm_class, sar.is_none());
    let in_payload = message.in_payload && !rules.texts.wants_parts();
    message
        .with(text.data_coding, esm_class, &octets, sar, in_payload)
        .map(Wording::Rewritten)
}

/// A part whose place is told this way; `None` where it would not fit one part then.
fn carried(
    rules: &Rules,
    reading: &Reading<'_>,
    text: &Text<'_>,
    place: Place,
    carriage: Carriage,
) -> Option<(Vec<u8>, Place)> {
    let number = match place.reference() {
        Reference::Udh8(number) => u16::from(number),
        Reference::Udh16(number) | Reference::Sar(number) => number,
    };
    let [high, low] = number.to_be_bytes();
    let reference = match carriage {
        // Both halves count, or every 256th text would have the same.
        Carriage::Udh8 => Reference::Udh8(high ^ low),
        Carriage::Udh16 => Reference::Udh16(number),
        Carriage::Sar | Carriage::SarWide | Carriage::Payload => Reference::Sar(number),
    };
    let place = Place::new(reference, place.total(), place.sequence())?;
    let others = reading.header.into_iter().flat_map(|header| header.elements());
    let others = others.filter(|element| !matches!(element.id(), 0x00 | 0x08));
    let mut header = Vec::new();
    if matches!(reference, Reference::Sar(_)) {
        // SAR parameters never go with a header.
        if others.count() > 0 || !rules.version.has_tlvs() {
            return None;
        }
    } else {
        udh::write(
            std::iter::once(Element::Concatenation(place)).chain(others),
            &mut header,
        )
        .ok()?;
    }
    // The message centre makes a header of SAR parameters.
    let on_air = if header.is_empty() { 6 } else { header.len() };
    if text.units() > text.charset.unit().room(on_air) {
        return None;
    }
    Some((text.behind(header), place))
}

const fn carriage_of(place: Place) -> Carriage {
    match place.reference() {
        Reference::Udh8(_) => Carriage::Udh8,
        Reference::Udh16(_) => Carriage::Udh16,
        Reference::Sar(_) => Carriage::Sar,
    }
}

const fn with_header(esm_class: EsmClass, has_header: bool) -> EsmClass {
    if has_header {
        EsmClass(esm_class.0 | EsmClass::UDHI)
    } else {
        EsmClass(esm_class.0 & !EsmClass::UDHI)
    }
}

/// A header as it stands in front of its text.
fn header_octets(header: Udh<'_>) -> Vec<u8> {
    let elements = header.as_bytes();
    // Its length came as an octet.
    let length = u8::try_from(elements.len()).unwrap_or(u8::MAX);
    std::iter::once(length).chain(elements.iter().copied()).collect()
}

/// The text in the carrier's default alphabet, or in UCS-2 where that lacks a character; `None` where it is to stay as it
/// is: in UCS-2, of a class or with an indication of its own, written with national tables, not readable, or right already.
fn transcoded(rules: &Rules, message: &Message<'_>, reading: &Reading<'_>) -> Option<Text<'static>> {
    if !rules.texts.transcode {
        return None;
    }
    let Coding {
        alphabet,
        class: None,
        waiting: None,
        ..
    } = reading.coding
    else {
        return None;
    };
    let theirs = rules.texts.default_alphabet;
    match alphabet {
        Alphabet::Default if theirs == rules.account => return None,
        Alphabet::Default | Alphabet::Ascii | Alphabet::Latin1 | Alphabet::Cyrillic | Alphabet::Hebrew => {}
        _ => return None,
    }
    let has_tables = |header: Udh<'_>| {
        header
            .elements()
            .any(|element| matches!(element.id(), 0x24 | 0x25))
    };
    if reading.header.is_some_and(has_tables) || message.octets.0.is_empty() {
        return None;
    }
    let mut words = String::new();
    if reading.charset.decode(reading.text.0, &mut words) != Some(0) {
        return None;
    }
    let packs = theirs == DefaultAlphabet::Gsm7Packed;
    let peer = Peer {
        default_alphabet: if packs { DefaultAlphabet::Gsm7 } else { theirs },
        ..Peer::default()
    };
    let default = Charset::of(Coding::of(DataCoding(0)), peer, Shifts::NONE, 0);
    let mut octets = Vec::with_capacity(2 * words.len());
    let (data_coding, charset) = match default.encode(&words, &mut octets) {
        Ok(()) => (DataCoding(0), default),
        Err(_) => {
            let ucs2 = Charset::Ucs2(ByteOrder::Big);
            ucs2.encode(&words, &mut octets).ok()?;
            (DataCoding(8), ucs2)
        }
    };
    Some(Text {
        data_coding,
        charset,
        octets: octets.into(),
        packs: packs && data_coding == DataCoding(0),
        is_other: true,
    })
}

impl<'a> Text<'a> {
    /// The text as the account writes it; packed septets one by one, since a header of another length moves them.
    fn as_it_is(message: &Message<'a>, reading: &Reading<'a>) -> Self {
        let mut text = Self {
            data_coding: message.data_coding,
            charset: reading.charset,
            octets: reading.text.0.into(),
            packs: false,
            is_other: false,
        };
        if let Charset::Gsm7Packed { shifts, fill } = reading.charset {
            let mut septets = Vec::with_capacity(160);
            pack::unpack_without_count(reading.text.0, fill, &mut septets);
            text.charset = Charset::Gsm7(shifts);
            text.octets = septets.into();
            text.packs = true;
        }
        text
    }

    /// How long it is on air.
    fn units(&self) -> usize {
        self.charset.units(&self.octets)
    }

    /// Header and text.
    fn behind(&self, header: Vec<u8>) -> Vec<u8> {
        let header_len = header.len();
        let (mut out, from) = (header, header_len);
        let fill = pack::fill_bits(from);
        out.extend_from_slice(&self.octets);
        if self.packs {
            pack::pack_from_without_count(from, fill, &mut out);
        }
        out
    }
}

impl<'a> Message<'a> {
    fn of(form: Form, body: &'a [u8], has_tlvs: bool) -> Option<Self> {
        // The body was read when it came in.
        Some(match form {
            Form::Sm => {
                let sm = Sm::decode(body).ok()?;
                Self {
                    data_coding: sm.data_coding,
                    esm_class: sm.esm_class,
                    octets: sm.text(),
                    tlvs: sm.tlvs,
                    in_payload: sm.tlvs.message_payload().is_some(),
                    has_tlvs,
                    sm: Pdu::Sm(sm),
                }
            }
            Form::DataSm => {
                let sm = DataSm::decode(body).ok()?;
                Self {
                    data_coding: sm.data_coding,
                    esm_class: sm.esm_class,
                    octets: sm.tlvs.message_payload().unwrap_or_default(),
                    tlvs: sm.tlvs,
                    in_payload: true,
                    has_tlvs,
                    sm: Pdu::DataSm(sm),
                }
            }
        })
    }

    const fn is_data(&self) -> bool {
        matches!(self.sm, Pdu::DataSm(_))
    }

    /// The body with another text. A data_sm has room for it in message_payload only, and so has a submit_sm for a long
    /// one.
    fn with(
        &self,
        data_coding: DataCoding,
        esm_class: EsmClass,
        octets: &[u8],
        sar: Option<Place>,
        in_payload: bool,
    ) -> Option<Vec<u8>> {
        if octets.len() > SHORT_MAX && !self.has_tlvs {
            return None;
        }
        let short_message =
            ShortMessage::new(octets).filter(|_| !in_payload && octets.len() <= SHORT_MAX && !self.is_data());
        let mut tlvs = Vec::with_capacity(self.tlvs.as_bytes().len() + octets.len() + 20);
        for tlv in self.tlvs.iter().filter(|tlv| !OF_THE_TEXT.contains(&tlv.tag)) {
            // They came out of a PDU.
            let _ = append(&mut tlvs, tlv.tag, tlv.value.0);
        }
        if let Some(place) = sar {
            place.append_tlvs(&mut tlvs);
        }
        // In another alphabet it may be too long for a TLV.
        if short_message.is_none() && !append(&mut tlvs, Tag::MESSAGE_PAYLOAD, octets) {
            return None;
        }
        let mut out = Vec::with_capacity(tlvs.len() + octets.len() + 80);
        match self.sm {
            Pdu::Sm(sm) => Sm {
                data_coding,
                esm_class,
                short_message: short_message.unwrap_or_default(),
                tlvs: Tlvs::new(&tlvs),
                ..sm
            }
            .encode(&mut out),
            Pdu::DataSm(sm) => DataSm {
                data_coding,
                esm_class,
                tlvs: Tlvs::new(&tlvs),
                ..sm
            }
            .encode(&mut out),
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests;
