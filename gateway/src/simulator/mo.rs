//! Mobile-originated messages: how many are due, and what handsets and their carriers make of them
//! (interop quirks 9, 22, 24–28).

use std::time::Duration;

use tidegate_codec::tlv::{self, Tag};
use tidegate_codec::values::{DataCoding, EsmClass};

use super::options::{MoOptions, Options};
use super::quirk::Quirk;
use crate::traffic::coding::Coding;

/// A message or part of one that a handset sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mo {
    /// Which message, from 0.
    pub(super) n: u32,
    /// Which part of it, from 1; 0 for messages of one part.
    pub(super) part: u8,
    /// It was sent before.
    pub(super) sent: bool,
}

/// Parts of the messages that come in parts.
pub(super) const PARTS: u8 = 2;

/// Octets of a text that a handset is told to send, at most: with all that quirks add it fits short_message.
const TEXT_MAX: usize = 200;

/// The octets of a text and their data_coding: GSM 03.38 where that has all of it, else UCS-2.
fn encoded(text: &str) -> (Vec<u8>, DataCoding) {
    let (octets, coding) = match Coding::Gsm7.encode_all(text) {
        Some(octets) => (octets, Coding::Gsm7),
        // It has all there is.
        None => (Coding::Ucs2.encode_all(text).unwrap_or_default(), Coding::Ucs2),
    };
    (octets, DataCoding(coding.data_coding()))
}

/// Whether this text can be sent.
pub(super) fn check(text: &str) -> Result<(), String> {
    let length = encoded(text).0.len();
    if length > TEXT_MAX {
        return Err(format!(
            "the text of MOs has {length} octets; {TEXT_MAX} are the most"
        ));
    }
    Ok(())
}

/// The text in its octets, and what the PDU says about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MoText {
    pub(super) octets: Vec<u8>,
    pub(super) esm_class: EsmClass,
    pub(super) data_coding: DataCoding,
}

/// When messages are due.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Option<Duration>,
    left: u32,
    next: Duration,
    made: u32,
}

impl Schedule {
    pub(super) fn new(options: &MoOptions) -> Self {
        Self {
            interval: options.rate.map(|rate| Duration::from_secs(1) / rate.get()),
            left: options.messages.unwrap_or(u32::MAX),
            next: Duration::ZERO,
            made: 0,
        }
    }

    /// Whether all that were asked for are made, where a number was named.
    pub(super) const fn is_over(&self) -> bool {
        self.interval.is_none() || self.left == 0
    }

    /// The next message, if one is due at `now`; those of the time before `since` are not made up for.
    pub(super) fn take(&mut self, since: Duration, now: Duration) -> Option<u32> {
        let interval = self.interval?;
        self.next = self.next.max(since);
        if self.left == 0 || self.next > now {
            return None;
        }
        self.next += interval;
        self.left -= 1;
        self.made += 1;
        Some(self.made - 1)
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.is_over()).then_some(self.next)
    }
}

/// Whether messages come in parts.
pub(super) const fn in_parts(options: &Options) -> bool {
    options.has(Quirk::MoSplitPair) || options.has(Quirk::MoUdh16) || options.has(Quirk::MoSarBackwards)
}

/// Whether the parts come in reverse.
pub(super) const fn backwards(options: &Options) -> bool {
    options.has(Quirk::MoSarBackwards)
}

/// What `mo` says; TLVs that belong to it go to `tlvs`.
pub(super) fn write(mo: Mo, options: &Options, tlvs: &mut Vec<u8>) -> MoText {
    let mut text = match &options.mo.text {
        Some(text) => text.clone(),
        None => format!("MO {}", mo.n),
    };
    if options.has(Quirk::MoLikeReceipt) {
        text.insert_str(0, "id:4711 stat:DELIVRD ");
    }
    let mut out = MoText::default();
    if options.has(Quirk::MoSplitPair) {
        return split_pair(mo, &text);
    }
    (out.octets, out.data_coding) = encoded(&text);
    if options.has(Quirk::MoAlphabet) {
        // `@` and `é` in GSM 03.38 and in Latin-1.
        out.octets.extend_from_slice(&[0x00, 0x05, 0xe9]);
    }
    if options.has(Quirk::MoClass) {
        let codings = [0x11, 0xf1, 0xf5];
        out.data_coding = DataCoding(codings[mo.n as usize % codings.len()]);
    }
    let reference = u8::try_from(mo.n % 256).unwrap_or(0);
    if options.has(Quirk::MoUdh16) {
        // Application ports in front, then the 16-bit reference.
        let header = [
            12, 0x05, 4, 0x15, 0x8a, 0, 0, 0x08, 4, 0x4d, reference, PARTS, mo.part,
        ];
        out.octets.splice(0..0, header);
        out.esm_class = EsmClass(0x48);
    }
    if options.has(Quirk::MoUnflaggedUdh) {
        out.octets.splice(0..0, [5, 0, 3, reference, 1, 1]);
    }
    if options.has(Quirk::MoSarBackwards) {
        // Two octets and one always fit.
        let _ = tlv::append(tlvs, Tag::SAR_MSG_REF_NUM, &[0x4d, reference]);
        let _ = tlv::append(tlvs, Tag::SAR_TOTAL_SEGMENTS, &[PARTS]);
        let _ = tlv::append(tlvs, Tag::SAR_SEGMENT_SEQNUM, &[mo.part]);
    }
    out
}

/// Two parts of UCS-2, between them the two halves of one character.
fn split_pair(mo: Mo, text: &str) -> MoText {
    let reference = u8::try_from(mo.n % 256).unwrap_or(0);
    let mut octets = vec![5, 0, 3, reference, PARTS, mo.part];
    // U+1F30A, a wave.
    let (high, low) = ([0xd8, 0x3c], [0xdf, 0x0a]);
    let plain = text.encode_utf16().flat_map(u16::to_be_bytes);
    if mo.part == 1 {
        octets.extend(plain);
        octets.extend_from_slice(&high);
    } else {
        octets.extend_from_slice(&low);
        octets.extend(plain);
    }
    MoText {
        octets,
        esm_class: EsmClass(EsmClass::UDHI),
        data_coding: DataCoding(8),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tidegate_codec::identity::SystemId;

    use super::*;

    fn options(quirk: Quirk) -> Options {
        Options {
            quirks: [quirk].into_iter().collect(),
            ..Options::open(SystemId::new(b"simulator").unwrap())
        }
    }

    #[test]
    fn messages_are_due_at_their_rate_and_not_for_time_without_a_receiver() {
        let mut schedule = Schedule::new(&MoOptions {
            rate: NonZeroU32::new(10),
            messages: Some(3),
            ..options(Quirk::MoClass).mo
        });
        let at = Duration::from_millis;
        assert_eq!(schedule.take(at(5_000), at(5_000)), Some(0));
        assert_eq!(schedule.take(at(5_000), at(5_050)), None);
        assert_eq!(schedule.due(), Some(at(5_100)));
        assert_eq!(schedule.take(at(5_000), at(5_200)), Some(1));
        assert_eq!(schedule.take(at(5_000), at(5_200)), Some(2));
        assert_eq!(schedule.take(at(5_000), at(9_000)), None);
        assert!(schedule.is_over() && schedule.due().is_none());
    }

    #[test]
    fn the_parts_of_a_split_pair_are_whole_only_together() {
        let options = options(Quirk::MoSplitPair);
        let units = |part| {
            let text = write(
                Mo {
                    n: 1,
                    part,
                    sent: false,
                },
                &options,
                &mut Vec::new(),
            );
            assert_eq!(text.octets[..6], [5, 0, 3, 1, 2, part]);
            let units = text.octets[6..].chunks(2);
            units
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                .collect::<Vec<_>>()
        };
        let (mut first, second) = (units(1), units(2));
        assert!(String::from_utf16(&first).is_err() && String::from_utf16(&second).is_err());
        first.extend(second);
        assert_eq!(String::from_utf16(&first).unwrap(), "MO 1\u{1f30a}MO 1");
    }

    #[test]
    fn sar_parts_say_which_they_are() {
        let mut tlvs = Vec::new();
        let mo = Mo {
            n: 1,
            part: 2,
            sent: false,
        };
        write(mo, &options(Quirk::MoSarBackwards), &mut tlvs);
        let tlvs = tlv::Tlvs::new(&tlvs);
        assert_eq!(tlvs.strict(), Ok(()));
        assert_eq!(tlvs.octet(Tag::SAR_SEGMENT_SEQNUM), Some(2));
        assert_eq!(tlvs.octet(Tag::SAR_TOTAL_SEGMENTS), Some(PARTS));
    }

    #[test]
    fn a_text_is_sent_in_the_alphabet_that_has_it_and_longer_than_a_pdu_not_at_all() {
        let mo = Mo {
            n: 0,
            part: 0,
            sent: false,
        };
        for (text, coding, octets) in [
            ("a@€", 0, &[0x61, 0x00, 0x1b, 0x65][..]),
            ("ł", 8, &[0x01, 0x42][..]),
        ] {
            let mut options = options(Quirk::NeverEnquires);
            options.mo.text = Some(text.to_owned());
            let written = write(mo, &options, &mut Vec::new());
            assert_eq!(
                (written.data_coding.0, written.octets.as_slice()),
                (coding, octets)
            );
        }
        assert!(check(&"x".repeat(200)).is_ok() && check(&"ł".repeat(100)).is_ok());
        assert!(check(&"x".repeat(201)).is_err() && check(&"ł".repeat(101)).is_err());
    }
}
