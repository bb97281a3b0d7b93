//! Octets that a well-behaved session never writes: what some carriers make of sequence numbers, headers and
//! bodies (interop quirks 15, 16, 18–21, 23, 29 and 36). The session underneath stays a tidy one.

use std::collections::VecDeque;

use tidegate_codec::header::{CommandId, HEADER_LEN, Header};
use tidegate_codec::pdu::bind::BindResp;
use tidegate_codec::pdu::encode;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::InterfaceVersion;

use super::options::{Options, VersionShown};
use super::quirk::{Quirk, Quirks};
use crate::traffic::wire::Read;

/// Bit 31 of a sequence number, which 3.4 forbids.
const HIGH: u32 = 0x8000_0000;
/// A command that no version of SMPP knows.
const UNKNOWN_COMMAND: CommandId = CommandId(0x0001_0203);
/// The number of requests that no session sent, so that their answers meet nothing of ours.
const FOREIGN_SEQUENCE: u32 = 0x7fff_fffe;
/// One delivery in so many has a broken PDU behind it.
const BAD_LENGTH_EVERY: u32 = 1_000;
/// One delivery, or answer, in so many has a strange PDU behind it.
const STRANGE_EVERY: u32 = 100;

/// One link's octets, as its peer sees them.
#[derive(Debug)]
pub(super) struct Disguise {
    quirks: Quirks,
    /// Whether sequence numbers of requests are other than the session believes.
    renumbers: bool,
    /// Requests of ours that wait for their answer: what each is, and its number in the session. Bounded by
    /// the session's window and one enquire_link and unbind.
    waiting: VecDeque<(CommandId, u32)>,
    deliveries: u32,
    answers: u32,
}

impl Disguise {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            quirks: options.quirks,
            renumbers: options.has(Quirk::HighSequence) || options.has(Quirk::ZeroSequence),
            waiting: VecDeque::new(),
            deliveries: 0,
            answers: 0,
        }
    }

    /// Whether octets leave as the session writes them.
    pub(super) const fn is_none(&self) -> bool {
        self.quirks.is_empty()
    }

    // ===== what leaves =====

    /// A connection was taken.
    pub(super) fn opened(&self, out: &mut Vec<u8>) {
        if self.quirks.has(Quirk::EnquireBeforeBind) {
            encode(
                CommandId::ENQUIRE_LINK,
                CommandStatus::ROK,
                FOREIGN_SEQUENCE,
                out,
                |_| {},
            );
        }
    }

    /// The answer to a bind was written from `start` on.
    pub(super) fn bind_answered(&self, options: &Options, start: usize, out: &mut Vec<u8>) {
        let Some(header) = header_at(out, start) else {
            return;
        };
        if !header.status.is_ok() {
            if self.quirks.has(Quirk::BindErrorWithBody) {
                out.truncate(start);
                encode(header.command_id, header.status, header.sequence, out, |out| {
                    out.extend_from_slice(options.name.as_bytes());
                    out.push(0);
                });
            }
            return;
        }
        let version = match options.version_shown {
            VersionShown::Peers => None,
            VersionShown::Absent => Some(None),
            VersionShown::Always(version) => Some(Some(version)),
        };
        if let Some(version) = version {
            out.truncate(start);
            encode(header.command_id, header.status, header.sequence, out, |out| {
                write_bind_resp(options, version, out);
            });
        }
        if self.quirks.has(Quirk::UnknownCommand) {
            unknown_command(out);
        }
    }

    /// An answer to a submit was written from `start` on.
    pub(super) fn submit_answered(&mut self, start: usize, out: &mut Vec<u8>) {
        let Some(header) = header_at(out, start) else {
            return;
        };
        self.answers = self.answers.wrapping_add(1);
        if header.status.is_ok() {
            if self.quirks.has(Quirk::MissingNul) && out.last() == Some(&0) {
                out.pop();
                set_length(out, start);
            }
        } else if self.quirks.has(Quirk::ErrorWithId) {
            out.extend_from_slice(b"none\0");
            set_length(out, start);
        } else if self.quirks.has(Quirk::ErrorWithTlv) {
            // One octet always fits.
            let _ = tlv::append(out, Tag::DELIVERY_FAILURE_REASON, &[2]);
            set_length(out, start);
        }
        if self.quirks.has(Quirk::StrayAnswer) && self.answers.is_multiple_of(STRANGE_EVERY) {
            encode(
                CommandId::SUBMIT_SM_RESP,
                CommandStatus::ROK,
                header.sequence ^ 0x4000_0000,
                out,
                |out| out.extend_from_slice(b"stray\0"),
            );
        }
    }

    /// A delivery was written.
    pub(super) fn delivered(&mut self, out: &mut Vec<u8>) {
        self.deliveries = self.deliveries.wrapping_add(1);
        if self.quirks.has(Quirk::UnknownCommand) && self.deliveries.is_multiple_of(STRANGE_EVERY) {
            unknown_command(out);
        }
        if self.quirks.has(Quirk::BadLength) && self.deliveries.is_multiple_of(BAD_LENGTH_EVERY) {
            let header = Header {
                length: 8,
                command_id: CommandId::ENQUIRE_LINK,
                status: CommandStatus::ROK,
                sequence: FOREIGN_SEQUENCE,
            };
            header.write(out);
        }
    }

    /// The session wrote these PDUs, from `start` on: answers of its own, requests.
    pub(super) fn wrote(&mut self, start: usize, out: &mut Vec<u8>) {
        let mut at = start;
        while let Some(header) = header_at(out, at) {
            let end = at + header.length as usize;
            if header.length < 16 {
                return;
            }
            if self.renumbers && !header.command_id.is_response() && header.sequence != FOREIGN_SEQUENCE {
                self.renumber(header, at, out);
            }
            if header.command_id == CommandId::ENQUIRE_LINK_RESP {
                if self.quirks.has(Quirk::EnquireSequence) {
                    set_sequence(out, at, header.sequence.wrapping_add(1000));
                }
                if self.quirks.has(Quirk::StrayOctet) {
                    out.insert(end, 0);
                    out[at..at + 4].copy_from_slice(&(header.length + 1).to_be_bytes());
                    at = end + 1;
                    continue;
                }
            }
            at = end;
        }
    }

    fn renumber(&mut self, header: Header, at: usize, out: &mut [u8]) {
        if self.quirks.has(Quirk::HighSequence) {
            set_sequence(out, at, header.sequence | HIGH);
        } else {
            self.waiting.push_back((header.command_id, header.sequence));
            set_sequence(out, at, 0);
        }
    }

    // ===== what comes =====

    /// Gives an answer the number that the session knows its request by.
    pub(super) fn recognise(&mut self, read: &mut Read<'_>) {
        if !self.renumbers {
            return;
        }
        let (id, sequence) = match read {
            Ok(pdu) => (pdu.operation.command_id(), &mut pdu.sequence),
            Err((header, _)) => (header.command_id, &mut header.sequence),
        };
        if !id.is_response() {
            return;
        }
        if self.quirks.has(Quirk::HighSequence) {
            *sequence &= !HIGH;
        } else if *sequence == 0 {
            // All look alike, so answers are taken to come in the order of their requests.
            let at = self
                .waiting
                .iter()
                .position(|(request, _)| request.response() == Some(id) || id == CommandId::GENERIC_NACK);
            if let Some((_, known)) = at.and_then(|at| self.waiting.remove(at)) {
                *sequence = known;
            }
        }
    }
}

fn write_bind_resp(options: &Options, version: Option<InterfaceVersion>, out: &mut Vec<u8>) {
    let mut tlvs = Vec::new();
    if let Some(version) = version {
        // One octet always fits.
        let _ = tlv::append(&mut tlvs, Tag::SC_INTERFACE_VERSION, &[version.0]);
    }
    BindResp {
        system_id: options.name.as_field(),
        tlvs: Tlvs::new(&tlvs),
    }
    .encode(out);
}

fn unknown_command(out: &mut Vec<u8>) {
    encode(
        UNKNOWN_COMMAND,
        CommandStatus::ROK,
        FOREIGN_SEQUENCE,
        out,
        |out| {
            out.extend_from_slice(b"vendor\0");
        },
    );
}

fn header_at(out: &[u8], at: usize) -> Option<Header> {
    out.get(at..)?.first_chunk::<HEADER_LEN>().map(Header::read)
}

/// The PDU that begins at `start` ends with the buffer.
fn set_length(out: &mut [u8], start: usize) {
    // No PDU of ours comes near 4 GiB.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn set_sequence(out: &mut [u8], start: usize, sequence: u32) {
    out[start + 12..start + 16].copy_from_slice(&sequence.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use tidegate_codec::identity::SystemId;
    use tidegate_codec::pdu::{Limits, Pdu, Read as Whole, read};

    use super::*;

    fn disguise(quirk: Quirk) -> Disguise {
        Disguise::new(&Options {
            quirks: [quirk].into_iter().collect(),
            ..Options::open(SystemId::new(b"simulator").unwrap())
        })
    }

    fn pdu(octets: &[u8]) -> Pdu<'_> {
        match read(octets, &Limits::default()) {
            Whole::Pdu(pdu) => pdu,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_hidden_from_the_peer_and_found_again() {
        for (quirk, seen) in [(Quirk::HighSequence, 0x8000_0007), (Quirk::ZeroSequence, 0)] {
            let mut disguise = disguise(quirk);
            let mut out = Vec::new();
            encode(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 6, &mut out, |_| {});
            let start = out.len();
            encode(CommandId::DELIVER_SM, CommandStatus::ROK, 7, &mut out, |_| {});
            encode(
                CommandId::SUBMIT_SM_RESP,
                CommandStatus::ROK,
                99,
                &mut out,
                |_| {},
            );
            disguise.wrote(0, &mut out);
            assert_eq!(header_at(&out, start).unwrap().sequence, seen, "{quirk:?}");
            assert_eq!(
                header_at(&out, start + 16).unwrap().sequence,
                99,
                "answers keep theirs"
            );
            // The answers come in another order.
            for (command, number) in [(CommandId::DELIVER_SM_RESP, 7), (CommandId::ENQUIRE_LINK_RESP, 6)] {
                let wire = if seen == 0 { 0 } else { number | HIGH };
                let mut answer = Vec::new();
                encode(command, CommandStatus::ROK, wire, &mut answer, |_| {});
                let mut read: Read<'_> = Ok(pdu(&answer));
                disguise.recognise(&mut read);
                assert_eq!(read.unwrap().sequence, number, "{quirk:?}");
            }
        }
    }

    #[test]
    fn a_stray_octet_belongs_to_its_pdu_and_what_follows_stays_whole() {
        let mut out = Vec::new();
        for sequence in [1, 2] {
            encode(
                CommandId::ENQUIRE_LINK_RESP,
                CommandStatus::ROK,
                sequence,
                &mut out,
                |_| {},
            );
        }
        disguise(Quirk::StrayOctet).wrote(0, &mut out);
        assert_eq!(out.len(), 34);
        assert_eq!((pdu(&out).sequence, pdu(&out[17..]).sequence), (1, 2));
        assert_eq!(header_at(&out, 0).unwrap().length, 17);
    }

    #[test]
    fn answers_are_changed_in_their_last_octets_only() {
        let answered = |quirk, status, body: &[u8]| {
            let mut out = Vec::new();
            encode(CommandId::SUBMIT_SM_RESP, status, 5, &mut out, |out| {
                out.extend_from_slice(body);
            });
            disguise(quirk).submit_answered(0, &mut out);
            assert_eq!(header_at(&out, 0).unwrap().length as usize, out.len());
            out[16..].to_vec()
        };
        assert_eq!(answered(Quirk::MissingNul, CommandStatus::ROK, b"42\0"), b"42");
        assert_eq!(
            answered(Quirk::ErrorWithId, CommandStatus::RSYSERR, b""),
            b"none\0"
        );
        assert_eq!(
            answered(Quirk::ErrorWithTlv, CommandStatus::RSYSERR, b""),
            [4, 0x25, 0, 1, 2]
        );
        assert_eq!(answered(Quirk::ErrorWithId, CommandStatus::ROK, b"42\0"), b"42\0");
    }
}
