//! The bodies of deliveries: a receipt or an MO as the PDU that the carrier's quirks make of it.

use tidegate_codec::address::{ADDR_DATA, ADDR_SM, Address, AddressBuf, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{DataCoding, EsmClass, MessageState};

use super::delivery::{Delivery, Receipt, Stage};
use super::id::IdText;
use super::mo;
use super::options::Options;
use super::quirk::Quirk;
use super::receipt::{self, Facts};

/// A vendor's tag that no specification knows.
const VENDOR_TAG: Tag = Tag(0x1411);
/// A TLV whose value ends before its length says so.
const CUT_TLV: [u8; 6] = [0x14, 0x03, 0, 10, 1, 2];

/// Writes bodies into buffers that it keeps.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: Vec<u8>,
    tlvs: Vec<u8>,
    body: Vec<u8>,
}

impl Writer {
    /// The command that carries `delivery`, and its body. A peer of version 3.3 must see no TLV.
    pub(super) fn write(
        &mut self,
        delivery: &Delivery,
        options: &Options,
        now_unix_ms: u64,
        may_tlvs: bool,
    ) -> (CommandId, &[u8]) {
        self.text.clear();
        self.tlvs.clear();
        self.body.clear();
        let (from, to, esm_class, data_coding) = match delivery {
            Delivery::Receipt(receipt) => {
                let esm_class = self.write_receipt(receipt, options, now_unix_ms, may_tlvs);
                (&receipt.from, &receipt.to, esm_class, DataCoding(0))
            }
            Delivery::Mo(mo) => {
                let text = mo::write(*mo, options, &mut self.tlvs);
                if !may_tlvs {
                    self.tlvs.clear();
                }
                self.text.extend_from_slice(&text.octets);
                (&options.mo.from, &options.mo.to, text.esm_class, text.data_coding)
            }
        };
        let is_receipt = matches!(delivery, Delivery::Receipt(_));
        let as_data_sm = may_tlvs && is_receipt && options.has(Quirk::ReceiptDataSm);
        if may_tlvs {
            if options.has(Quirk::VendorTlv) {
                // Five octets always fit, and so does any text of ours.
                let _ = tlv::append(&mut self.tlvs, VENDOR_TAG, b"23415");
            }
            if as_data_sm || options.has(Quirk::PayloadAlways) || options.has(Quirk::BothTexts) {
                let _ = tlv::append(&mut self.tlvs, Tag::MESSAGE_PAYLOAD, &self.text);
                if !options.has(Quirk::BothTexts) {
                    self.text.clear();
                }
            }
            if options.has(Quirk::CutTlv) {
                self.tlvs.extend_from_slice(&CUT_TLV);
            }
        }
        let plus = is_receipt && options.has(Quirk::ReceiptPlus);
        let (with_plus_from, with_plus_to);
        let (from, to) = if plus {
            (with_plus_from, with_plus_to) = (plussed(from), plussed(to));
            (&with_plus_from, &with_plus_to)
        } else {
            (from, to)
        };
        if as_data_sm {
            DataSm {
                source: field::<ADDR_DATA>(from),
                destination: field::<ADDR_DATA>(to),
                esm_class,
                data_coding,
                tlvs: Tlvs::new(&self.tlvs),
                ..DataSm::default()
            }
            .encode(&mut self.body);
            return (CommandId::DATA_SM, &self.body);
        }
        Sm {
            source: field::<ADDR_SM>(from),
            destination: field::<ADDR_SM>(to),
            esm_class,
            data_coding,
            short_message: ShortMessage::new(&self.text).unwrap_or_default(),
            tlvs: Tlvs::new(&self.tlvs),
            ..Sm::default()
        }
        .encode(&mut self.body);
        let command = if !is_receipt && options.has(Quirk::MoSubmitSm) {
            CommandId::SUBMIT_SM
        } else {
            CommandId::DELIVER_SM
        };
        (command, &self.body)
    }

    fn write_receipt(
        &mut self,
        receipt: &Receipt,
        options: &Options,
        now_unix_ms: u64,
        may_tlvs: bool,
    ) -> EsmClass {
        let odd = options.has(Quirk::OddStat);
        let delivered = receipt.state == MessageState::Delivered;
        let (state, word) = match receipt.stage {
            Stage::Intermediate => (MessageState::Enroute, None),
            Stage::Buffered => (MessageState::Enroute, Some("BUFFRED")),
            Stage::Final | Stage::Again if odd && delivered => (receipt.state, Some("DELIVERED")),
            Stage::Final | Stage::Again if odd => (receipt.state, Some("FAILED")),
            Stage::Final | Stage::Again => (receipt.state, None),
        };
        let err = match state {
            MessageState::Delivered if options.has(Quirk::ErrOnDelivered) => *b"002",
            MessageState::Delivered | MessageState::Enroute | MessageState::Accepted => *b"000",
            _ => *b"027",
        };
        let facts = Facts {
            id: IdText::new(receipt.id, options.receipt_id),
            state,
            submit_unix_ms: receipt.accepted_ms,
            done_unix_ms: now_unix_ms,
            err,
            word,
        };
        receipt::write(options.dialect, &facts, may_tlvs, &mut self.text, &mut self.tlvs);
        match receipt.stage {
            Stage::Intermediate => EsmClass(0x20),
            _ if options.has(Quirk::ReceiptAsMessage) => EsmClass(0),
            _ if options.has(Quirk::ReceiptWithUdhi) => EsmClass(0x44),
            _ => EsmClass::RECEIPT,
        }
    }
}

/// An address as a field; one that does not fit becomes empty.
fn field<const MAX: usize>(address: &AddressBuf) -> Address<'_, MAX> {
    address.as_field().unwrap_or_default()
}

/// The same number with a `+` and without its type (interop quirk 37).
fn plussed(address: &AddressBuf) -> AddressBuf {
    let mut octets = vec![b'+'];
    octets.extend_from_slice(address.as_bytes());
    AddressBuf::new(Ton::UNKNOWN, Npi::UNKNOWN, &octets).unwrap_or_else(|_| address.clone())
}

#[cfg(test)]
mod tests {
    use tidegate_codec::identity::SystemId;

    use super::super::delivery::Account;
    use super::*;

    fn delivery() -> Delivery {
        let address = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap();
        Delivery::Receipt(Receipt {
            id: 4711,
            from: address.clone(),
            to: address,
            accepted_ms: 1_795_521_000_000,
            state: MessageState::Delivered,
            stage: Stage::Final,
            link: 1,
            account: Account::default(),
            sent: false,
        })
    }

    fn written(quirks: &[Quirk], may_tlvs: bool) -> (CommandId, Vec<u8>) {
        let options = Options {
            quirks: quirks.iter().copied().collect(),
            ..Options::open(SystemId::new(b"simulator").unwrap())
        };
        let mut writer = Writer::default();
        let (command, body) = writer.write(&delivery(), &options, 1_795_521_630_000, may_tlvs);
        (command, body.to_vec())
    }

    #[test]
    fn a_receipt_is_a_deliver_sm_with_text_and_tlvs() {
        let (command, body) = written(&[], true);
        assert_eq!(command, CommandId::DELIVER_SM);
        let sm = Sm::decode(&body).unwrap();
        assert_eq!(
            sm.tlvs.receipted_message_id().unwrap().unwrap().as_bytes(),
            b"4711"
        );
        assert!(sm.text().0.starts_with(b"id:4711 sub:001 dlvrd:001 "));
        assert!(sm.esm_class.is_receipt());
        let (_, body) = written(&[Quirk::VendorTlv, Quirk::ReceiptDataSm], false);
        assert!(Sm::decode(&body).unwrap().tlvs.is_empty());
    }

    #[test]
    fn quirks_change_what_they_say_and_nothing_else() {
        let (command, body) = written(&[Quirk::ReceiptDataSm], true);
        assert_eq!(command, CommandId::DATA_SM);
        let sm = DataSm::decode(&body).unwrap();
        assert!(sm.tlvs.message_payload().unwrap().0.starts_with(b"id:4711 "));

        let sm = |body: &[u8]| Sm::decode(body).unwrap().short_message.as_bytes().len();
        assert!(sm(&written(&[Quirk::BothTexts], true).1) > 0);
        assert_eq!(sm(&written(&[Quirk::PayloadAlways], true).1), 0);

        let (_, body) = written(&[Quirk::CutTlv], true);
        let read = Sm::decode(&body).unwrap();
        assert!(read.tlvs.strict().is_err());
        assert_eq!(
            read.tlvs.receipted_message_id().unwrap().unwrap().as_bytes(),
            b"4711"
        );

        let (_, body) = written(&[Quirk::ReceiptPlus], true);
        let read = Sm::decode(&body).unwrap();
        assert_eq!(
            (read.source.ton, read.source.addr.as_bytes()),
            (Ton(0), &b"+447700900123"[..])
        );

        let (_, body) = written(&[Quirk::ReceiptAsMessage, Quirk::ErrOnDelivered], true);
        let read = Sm::decode(&body).unwrap();
        assert_eq!(read.esm_class, EsmClass(0));
        assert!(String::from_utf8_lossy(read.text().0).contains("stat:DELIVRD err:002"));
    }
}
