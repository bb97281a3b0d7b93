//! The submit_sm of a run, made ready: what differs from message to message is written into a copy.

use std::ops::Range;

use tidegate_codec::address::{Address, AddressBuf, Npi, Ton};
use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::pdu::encode;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{DataCoding, RegisteredDelivery};

use crate::load::options::Options;
use crate::load::template::{Template, TemplateError};
use crate::traffic::coding::Coding;
use crate::traffic::token::{Token, checksum_in, fill, renumber, seal};

/// Longest text that stands in short_message; a longer one goes into message_payload (3.4 §4.4.1).
const SHORT_MAX: usize = 254;
/// Longest text, token included: what leaves room for every other field in a PDU of 70 000 octets.
pub(super) const LONGEST: usize = 65_534;
/// Where the sequence_number stands in a PDU.
const SEQUENCE: Range<usize> = 12..HEADER_LEN;

/// The submit_sm of a run.
pub(super) struct Submits {
    run: u32,
    fields: Fields,
    /// Octets that a text is filled up to.
    fill_to: usize,
    texts: Vec<Text>,
    /// Kept for their memory.
    rest: Vec<u8>,
    text: Vec<u8>,
    tlvs: Vec<u8>,
}

/// What all messages have alike.
struct Fields {
    sender: AddressBuf,
    registered_delivery: RegisteredDelivery,
    coding: Coding,
}

enum Text {
    Constant(Box<Prepared>),
    Varying(Template),
}

impl Submits {
    /// Makes everything ready; says which template cannot be, counted from 1.
    pub(super) fn new(options: &Options) -> Result<Self, (usize, TemplateError)> {
        let coding = options.coding;
        let mut submits = Self {
            run: options.run,
            fields: Fields {
                sender: options.sender.clone(),
                registered_delivery: options.registered_delivery,
                coding,
            },
            fill_to: options
                .length
                .saturating_mul(coding.width().octets())
                .min(LONGEST),
            texts: Vec::new(),
            rest: Vec::new(),
            text: Vec::new(),
            tlvs: Vec::new(),
        };
        let mut texts = options.templates.as_slice();
        let filler_only = [String::new()];
        if texts.is_empty() {
            texts = &filler_only;
        }
        for (number, text) in (1..).zip(texts) {
            let template = Template::parse(text, coding).map_err(|error| (number, error))?;
            if coding.width().token_len() + template.longest() > LONGEST {
                return Err((number, TemplateError::TooLong(LONGEST)));
            }
            let text = if template.is_constant() {
                Text::Constant(Box::new(submits.prepare(&template)))
            } else {
                Text::Varying(template)
            };
            submits.texts.push(text);
        }
        Ok(submits)
    }

    /// Appends the PDU of message `n`.
    pub(super) fn write(&mut self, n: u32, sequence: u32, out: &mut Vec<u8>) {
        let count = self.texts.len();
        let index = if count == 1 { 0 } else { n as usize % count };
        match &self.texts[index] {
            Text::Constant(prepared) => prepared.write(n, sequence, out),
            Text::Varying(template) => {
                let token = Token { run: self.run, n };
                let to = token.destination();
                compose(token, &to, template, self.fill_to, &mut self.rest, &mut self.text);
                self.fields.write(sequence, &to, &self.text, &mut self.tlvs, out);
            }
        }
    }

    fn prepare(&mut self, template: &Template) -> Prepared {
        let first = Token { run: self.run, n: 0 };
        let to = first.destination();
        compose(first, &to, template, self.fill_to, &mut self.rest, &mut self.text);
        let mut pdu = Vec::new();
        self.fields.write(0, &to, &self.text, &mut self.tlvs, &mut pdu);
        // Behind service_type, the sender's two octets, its number and NUL come the recipient's two.
        let sender = self.fields.sender.as_bytes().len();
        Prepared {
            to_at: HEADER_LEN + 1 + 2 + sender + 1 + 2,
            // Short or long, the text is the last thing in the PDU.
            text_at: pdu.len() - self.text.len(),
            sums: Sums::new(self.fields.coding, &self.text),
            coding: self.fields.coding,
            pdu,
        }
    }
}

/// Puts the text of one message together: token, template, filler.
fn compose(
    token: Token,
    to: &[u8],
    template: &Template,
    fill_to: usize,
    rest: &mut Vec<u8>,
    text: &mut Vec<u8>,
) {
    let width = template.width();
    rest.clear();
    text.clear();
    template.write(token.run, token.n, to, rest);
    let missing = fill_to.saturating_sub(width.token_len() + rest.len());
    fill(width, missing, rest);
    token.write_in(width, to, rest, text);
}

impl Fields {
    fn write(&self, sequence: u32, to: &[u8], text: &[u8], tlvs: &mut Vec<u8>, out: &mut Vec<u8>) {
        tlvs.clear();
        let short = if text.len() <= SHORT_MAX {
            text
        } else {
            // `LONGEST` octets fit a TLV.
            let _ = tlv::append(tlvs, Tag::MESSAGE_PAYLOAD, text);
            &[]
        };
        let sm = Sm {
            source: self.sender.as_field().unwrap_or_default(),
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, to).unwrap_or_default(),
            registered_delivery: self.registered_delivery,
            data_coding: DataCoding(self.coding.data_coding()),
            short_message: ShortMessage::new(short).unwrap_or_default(),
            tlvs: Tlvs::new(tlvs),
            ..Sm::default()
        };
        encode(CommandId::SUBMIT_SM, CommandStatus::ROK, sequence, out, |out| {
            sm.encode(out);
        });
    }
}

/// A PDU of which only sequence, recipient, number and checksum differ.
struct Prepared {
    pdu: Vec<u8>,
    to_at: usize,
    text_at: usize,
    coding: Coding,
    sums: Sums,
}

impl Prepared {
    fn write(&self, n: u32, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.pdu);
        let pdu = &mut out[start..];
        pdu[SEQUENCE].copy_from_slice(&sequence.to_be_bytes());
        let to = Token { run: 0, n }.destination();
        pdu[self.to_at..self.to_at + to.len()].copy_from_slice(&to);
        let text = &mut pdu[self.text_at..];
        renumber(self.coding.width(), n, text);
        seal(self.coding.width(), self.sums.of(n, &to), text);
    }
}

/// The checksum of each message of one text, without reading the text: a CRC is linear, so that what a
/// digit changes in it depends on that digit and its place only.
struct Sums {
    /// Of message 0 to the recipient of message 0.
    base: u32,
    /// What the octets of a number change, lowest first.
    number: [[u32; 256]; 4],
    /// What the last five digits of a recipient change.
    recipient: [[u32; 10]; 5],
}

/// Where the digits stand that differ between recipients.
const DIGITS_AT: usize = 7;

impl Sums {
    fn new(coding: Coding, text: &[u8]) -> Self {
        let width = coding.width();
        let mut text = text.to_vec();
        let mut sum = |n: u32, to: &[u8]| {
            renumber(width, n, &mut text);
            checksum_in(width, &text, to)
        };
        let zero = Token { run: 0, n: 0 }.destination();
        let base = sum(0, &zero);
        let number = std::array::from_fn(|place| {
            std::array::from_fn(|octet| {
                // An octet shifted by up to 24 bits fits 32.
                let n = u32::try_from(octet << (8 * place)).unwrap_or(0);
                sum(n, &zero) ^ base
            })
        });
        let recipient = std::array::from_fn(|place| {
            std::array::from_fn(|digit| {
                let mut to = zero;
                to[DIGITS_AT + place] = b"0123456789"[digit];
                sum(0, &to) ^ base
            })
        });
        Self {
            base,
            number,
            recipient,
        }
    }

    fn of(&self, n: u32, to: &[u8; 12]) -> u32 {
        let mut sum = self.base;
        for (table, octet) in self.number.iter().zip(n.to_le_bytes()) {
            sum ^= table[usize::from(octet)];
        }
        for (table, digit) in self.recipient.iter().zip(&to[DIGITS_AT..]) {
            sum ^= table[usize::from(digit & 0x0f)];
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::frame::{Cut, cut};

    use super::*;
    use crate::traffic::token::Reading;

    const NUMBERS: [u32; 8] = [0, 1, 9, 255, 99_999, 100_000, 123_456, u32::MAX];

    fn submits(change: impl FnOnce(&mut Options)) -> Submits {
        let mut options = Options::for_tests();
        options.run = 0xdead_beef;
        change(&mut options);
        Submits::new(&options).unwrap()
    }

    /// The body of a message, behind a header that fits it.
    fn written(submits: &mut Submits, n: u32) -> Vec<u8> {
        let mut out = Vec::new();
        submits.write(n, 77, &mut out);
        let Cut::Frame { header, body } = cut(&out, 70_000) else {
            panic!("no PDU");
        };
        assert_eq!((header.command_id, header.sequence), (CommandId::SUBMIT_SM, 77));
        assert_eq!(header.length as usize, out.len());
        body.0.to_vec()
    }

    /// Checks that every message says which one it is, and returns the text of the last.
    fn read_back(submits: &mut Submits) -> (u8, Vec<u8>) {
        let mut last = None;
        for n in NUMBERS {
            let body = written(submits, n);
            let sm = Sm::decode(&body).unwrap();
            let token = Token { run: 0xdead_beef, n };
            let to = sm.destination.addr.as_bytes();
            assert_eq!(
                Token::read_as(sm.data_coding.0, sm.text().0, to),
                Reading::Intact(token)
            );
            assert_eq!(to, token.destination());
            assert_eq!(sm.registered_delivery, RegisteredDelivery::FINAL);
            assert_eq!(sm.source.addr.as_bytes(), b"447700900999");
            last = Some((sm.data_coding.0, sm.text().0.to_vec()));
        }
        last.unwrap()
    }

    #[test]
    fn every_message_of_a_prepared_text_reads_back_intact_in_every_coding_and_length() {
        for (coding, data_coding) in [(Coding::Gsm7, 0), (Coding::Latin1, 3), (Coding::Ucs2, 8)] {
            for length in [100, 254, 255, 1000] {
                let mut submits = submits(|options| {
                    options.coding = coding;
                    options.length = length;
                });
                let (read, text) = read_back(&mut submits);
                assert_eq!(read, data_coding);
                assert_eq!(text.len(), length * coding.width().octets());
            }
        }
    }

    #[test]
    fn a_length_below_a_token_is_a_token() {
        let (_, text) = read_back(&mut submits(|options| options.length = 0));
        assert_eq!(text.len(), 25);
    }

    #[test]
    fn a_long_text_stands_in_message_payload_and_a_short_one_does_not() {
        for (length, payload) in [(254, false), (255, true)] {
            let mut submits = submits(|options| options.length = length);
            let body = written(&mut submits, 3);
            let sm = Sm::decode(&body).unwrap();
            assert_eq!(sm.tlvs.message_payload().is_some(), payload);
            assert_eq!(sm.short_message.as_bytes().is_empty(), payload);
        }
    }

    #[test]
    fn templates_take_turns_behind_the_token() {
        let mut submits = submits(|options| {
            options.templates = vec![" Number {number} to {to}".to_owned(), " Plain".to_owned()];
        });
        let text = |submits: &mut Submits, n| {
            let body = written(submits, n);
            Sm::decode(&body).unwrap().text().0[25..].to_vec()
        };
        read_back(&mut submits);
        assert!(text(&mut submits, 4).starts_with(b" Number 4 to 447700900004 The tide"));
        assert!(text(&mut submits, 5).starts_with(b" Plain The tide"));
        assert_eq!(text(&mut submits, 4).len(), 75);
    }

    #[test]
    fn a_template_that_does_not_fit_is_named_by_its_number() {
        let mut options = Options::for_tests();
        options.templates = vec!["good".to_owned(), "{bad}".to_owned()];
        assert_eq!(Submits::new(&options).err(), Some((2, TemplateError::Place(1))));
        options.templates = vec!["x".repeat(LONGEST - 24)];
        assert_eq!(
            Submits::new(&options).err(),
            Some((1, TemplateError::TooLong(LONGEST)))
        );
    }
}
