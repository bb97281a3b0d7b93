//! What a trace tells of one PDU: lengths, codes and kinds, and nothing that anybody wrote.

use serde_json::{Map, Value, json};
use smallvec::SmallVec;
use tidegate_codec::address::Address;
use tidegate_codec::frame::{Cut, cut};
use tidegate_codec::header::Header;
use tidegate_codec::octets::Body;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::pdu::multi::SubmitMulti;
use tidegate_codec::pdu::{Limits, Operation, Pdu};
use tidegate_codec::tlv::{Tag, Tlvs};

use crate::control::instant;

/// TLVs of one PDU that are named; more are counted.
const TLVS_MAX: usize = 32;
/// Octets of a TLV's tag and length.
const TLV_HEAD: usize = 4;
/// Tags that are left to vendors (SMPP 3.4 §5.3.2).
const VENDOR_TAGS: std::ops::RangeInclusive<u16> = 0x1400..=0x3fff;

/// Which way a PDU went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// A number as logs have it: of which kind, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masked {
    ton: u8,
    npi: u8,
    length: usize,
}

impl<const MAX: usize> From<Address<'_, MAX>> for Masked {
    fn from(address: Address<'_, MAX>) -> Self {
        Self {
            ton: address.ton.0,
            npi: address.npi.0,
            length: address.addr.as_bytes().len(),
        }
    }
}

impl Masked {
    fn shown(self) -> Value {
        json!({ "ton": self.ton, "npi": self.npi, "length": self.length })
    }
}

/// One PDU, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    at_ms: u64,
    link: u64,
    direction: Direction,
    header: Option<Header>,
    source: Option<Masked>,
    destination: Option<Masked>,
    /// Of a submit_multi.
    recipients: Option<usize>,
    esm_class: Option<u8>,
    data_coding: Option<u8>,
    registered_delivery: Option<u8>,
    /// Octets of the text, wherever it stands.
    text: Option<usize>,
    /// Tags and lengths.
    tlvs: SmallVec<[(u16, usize); 4]>,
    /// Those that are not named.
    more_tlvs: usize,
    fault: Option<&'static str>,
}

impl Seen {
    /// Looks at the first PDU of some octets, at this unix time in milliseconds, on the link of this number; says how many
    /// octets it took. `None` where none is whole.
    pub fn first(
        octets: &[u8],
        limits: &Limits,
        at_ms: u64,
        link: u64,
        direction: Direction,
    ) -> Option<(Self, usize)> {
        let mut seen = Self {
            at_ms,
            link,
            direction,
            header: None,
            source: None,
            destination: None,
            recipients: None,
            esm_class: None,
            data_coding: None,
            registered_delivery: None,
            text: None,
            tlvs: SmallVec::new(),
            more_tlvs: 0,
            fault: None,
        };
        match cut(octets, limits.pdu_max) {
            Cut::NeedMore(_) => None,
            Cut::Broken(_) => {
                seen.fault = Some("its length cannot be: the framing is lost");
                Some((seen, octets.len()))
            }
            Cut::Frame { header, body } => {
                seen.header = Some(header);
                seen.look_into(header, body, limits);
                Some((seen, header.length as usize))
            }
        }
    }

    fn look_into(&mut self, header: Header, body: Body<'_>, limits: &Limits) {
        match Pdu::decode(header, body, limits).map(|pdu| pdu.operation) {
            Err(_) => self.fault = Some("its body cannot be read"),
            Ok(Operation::SubmitSm(sm) | Operation::DeliverSm(sm)) => self.note_sm(&sm),
            Ok(Operation::DataSm(sm)) => self.note_data(&sm),
            Ok(Operation::SubmitMulti(multi)) => self.note_multi(&multi),
            Ok(operation) => self.note_tlvs(tlvs_of(&operation)),
        }
    }

    fn note_sm(&mut self, sm: &Sm<'_>) {
        self.source = Some(sm.source.into());
        self.destination = Some(sm.destination.into());
        self.esm_class = Some(sm.esm_class.0);
        self.data_coding = Some(sm.data_coding.0);
        self.registered_delivery = Some(sm.registered_delivery.0);
        self.text = Some(sm.text().0.len());
        self.note_tlvs(sm.tlvs);
    }

    fn note_data(&mut self, sm: &DataSm<'_>) {
        self.source = Some(sm.source.into());
        self.destination = Some(sm.destination.into());
        self.esm_class = Some(sm.esm_class.0);
        self.data_coding = Some(sm.data_coding.0);
        self.registered_delivery = Some(sm.registered_delivery.0);
        self.text = Some(sm.tlvs.message_payload().map_or(0, |text| text.0.len()));
        self.note_tlvs(sm.tlvs);
    }

    fn note_multi(&mut self, multi: &SubmitMulti<'_>) {
        let recipients = multi.destinations.len();
        self.note_sm(&multi.message);
        self.destination = None;
        self.recipients = Some(recipients);
    }

    /// Tags and lengths, where the framing holds to the end and the tag is one that exists: else octets of a text that stands in
    /// the wrong place would be told as both.
    fn note_tlvs(&mut self, tlvs: Tlvs<'_>) {
        let octets = tlvs.iter().map(|tlv| TLV_HEAD + tlv.value.0.len());
        if octets.sum::<usize>() != tlvs.as_bytes().len() {
            self.fault = Some("its TLVs cannot be read");
            return;
        }
        for tlv in tlvs {
            let Tag(tag) = tlv.tag;
            let is_one = tlv.tag.name().is_some() || VENDOR_TAGS.contains(&tag);
            if is_one && self.tlvs.len() < TLVS_MAX {
                self.tlvs.push((tag, tlv.value.0.len()));
            } else {
                self.more_tlvs += 1;
            }
        }
    }

    /// When it passed, in unix milliseconds.
    pub const fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// As a line of a trace's file has it.
    pub fn shown(&self) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        };
        let direction = match self.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        put("time", Some(json!(instant(self.at_ms))));
        put("link", Some(json!(self.link)));
        put("direction", Some(json!(direction)));
        if let Some(header) = self.header {
            put("length", Some(json!(header.length)));
            // A header that names no command may be anything, such as the text of a PDU that said it was shorter.
            if let Some(command) = header.command_id.name() {
                put("command", Some(json!(command)));
                put("status", Some(json!(header.status.0)));
                put("sequence", Some(json!(header.sequence)));
            } else {
                put("fault", Some(json!("no command")));
            }
        }
        put("source", self.source.map(Masked::shown));
        put("destination", self.destination.map(Masked::shown));
        put("recipients", self.recipients.map(Value::from));
        put("esm_class", self.esm_class.map(Value::from));
        put("data_coding", self.data_coding.map(Value::from));
        put("registered_delivery", self.registered_delivery.map(Value::from));
        put("text", self.text.map(|octets| json!({ "length": octets })));
        let tlv = |(tag, length): &(u16, usize)| json!({ "tag": format!("0x{tag:04x}"), "length": length });
        let tlvs: Vec<Value> = self.tlvs.iter().map(tlv).collect();
        put("tlvs", (!tlvs.is_empty()).then_some(Value::Array(tlvs)));
        put("more_tlvs", (self.more_tlvs > 0).then(|| json!(self.more_tlvs)));
        put("fault", self.fault.map(Value::from));
        out
    }
}

/// The TLVs of what has little else that is told.
fn tlvs_of<'a>(operation: &Operation<'a>) -> Tlvs<'a> {
    match operation {
        Operation::BindResp(_, Some(resp)) => resp.tlvs,
        Operation::SubmitSmResp(Some(resp))
        | Operation::DeliverSmResp(Some(resp))
        | Operation::DataSmResp(Some(resp)) => resp.tlvs,
        Operation::Unbind(tlvs)
        | Operation::UnbindResp(tlvs)
        | Operation::EnquireLink(tlvs)
        | Operation::EnquireLinkResp(tlvs)
        | Operation::CancelSmResp(tlvs)
        | Operation::ReplaceSmResp(tlvs)
        | Operation::GenericNack(tlvs) => *tlvs,
        _ => Tlvs::NONE,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::address::{Npi, Ton};
    use tidegate_codec::octets::COctets;
    use tidegate_codec::pdu::bind::Bind;
    use tidegate_codec::status::CommandStatus;
    use tidegate_codec::values::{BindKind, InterfaceVersion};

    use super::*;

    const AT_MS: u64 = 1_795_478_400_000;

    fn line(octets: &[u8]) -> Value {
        let (seen, took) = Seen::first(octets, &Limits::default(), AT_MS, 7, Direction::In).unwrap();
        assert_eq!(took, octets.len());
        Value::Object(seen.shown())
    }

    fn encoded(operation: Operation<'_>) -> Vec<u8> {
        let mut octets = Vec::new();
        let pdu = Pdu {
            status: CommandStatus::ROK,
            sequence: 9,
            operation,
        };
        pdu.encode(&mut octets);
        octets
    }

    #[test]
    fn a_message_is_told_by_kinds_and_lengths() {
        let mut tlvs = Vec::new();
        assert!(tidegate_codec::tlv::append(
            &mut tlvs,
            Tag::MESSAGE_PAYLOAD,
            b"a secret text"
        ));
        let sm = Sm {
            source: Address::new(Ton(1), Npi(1), b"447700900001").unwrap(),
            destination: Address::new(Ton(5), Npi(0), b"Quetzal").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        let octets = encoded(Operation::SubmitSm(sm));
        let line = line(&octets);
        let expected = json!({
            "time": "2026-11-24T00:00:00Z",
            "link": 7,
            "direction": "in",
            "command": "submit_sm",
            "status": 0,
            "sequence": 9,
            "length": octets.len(),
            "source": { "ton": 1, "npi": 1, "length": 12 },
            "destination": { "ton": 5, "npi": 0, "length": 7 },
            "esm_class": 0,
            "data_coding": 0,
            "registered_delivery": 0,
            "text": { "length": 13 },
            "tlvs": [{ "tag": "0x0424", "length": 13 }],
        });
        assert_eq!(line, expected);
    }

    /// A PDU that said it was shorter than it is leaves text where the next header is looked for.
    #[test]
    fn a_header_that_names_no_command_is_told_by_its_length_alone() {
        let octets = [&32u32.to_be_bytes()[..], b"447700900001", &[0; 16]].concat();
        let expected = json!({
            "time": "2026-11-24T00:00:00Z",
            "link": 7,
            "direction": "in",
            "length": 32,
        });
        let mut line = line(&octets);
        let fault = line.as_object_mut().unwrap().remove("fault").unwrap();
        assert_eq!(line, expected);
        assert!(fault.is_string() && !fault.to_string().contains("44"), "{fault}");
    }

    #[test]
    fn a_bind_is_told_without_its_password_and_nonsense_without_its_octets() {
        let bind = Bind {
            system_id: COctets::new(b"tidegate").unwrap(),
            password: COctets::new(b"hunter22").unwrap(),
            system_type: COctets::EMPTY,
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton(0),
            addr_npi: Npi(0),
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        let octets = encoded(Operation::Bind(BindKind::Transceiver, bind));
        let told = line(&octets).to_string();
        assert!(told.contains("bind_transceiver"), "{told}");
        assert!(!told.contains("hunter22") && !told.contains("tidegate"), "{told}");
        let mut cut_short = encoded(Operation::SubmitSm(Sm::default()));
        cut_short.truncate(20);
        cut_short[3] = 20;
        assert_eq!(line(&cut_short)["fault"], "its body cannot be read");
        // A text where TLVs belong.
        let stray = Sm {
            tlvs: Tlvs::new(b"\0a\0b\0c\0d stray"),
            ..Sm::default()
        };
        let told = line(&encoded(Operation::SubmitSm(stray)));
        assert!(told["fault"].is_string() && told.get("tlvs").is_none(), "{told}");
        let told = line(b"GET / HTTP/1.1\r\n\r\n");
        assert!(
            told["fault"].is_string() && told.get("command").is_none(),
            "{told}"
        );
        let half = encoded(Operation::SubmitSm(Sm::default()));
        assert!(
            Seen::first(
                &half[..half.len() - 1],
                &Limits::default(),
                AT_MS,
                1,
                Direction::Out
            )
            .is_none()
        );
    }
}
