//! PDUs through us and through the SMPP crates of others. All read the same octets, and write the values that they
//! read; before anything is measured, what they write is compared with the octets.

use std::hint::black_box;

use bytes::BytesMut;
use rusmpp_core::command::{borrowed, owned};
use rusmpp_core::decode::borrowed::DecodeWithLength as _;
use rusmpp_core::decode::owned::DecodeWithLength as _;
use rusmpp_core::encode::Encode;
use smpp_codec::pdus::{DeliverSmRequest, SubmitSmRequest, SubmitSmResponse};
use smpp34::{CommandHeader, deliver_sm, submit_sm, submit_sm_resp};
use tidegate_codec::pdu::{Limits, Pdu, Read, read};

use super::cases;
use tidegate_benches::contest::{Contest, Run};

/// PDUs that stand in the buffer from which the owned decoder of rusmpp-core cuts them.
const POOL: usize = 64;
/// TLVs that its borrowed decoder has room for in a PDU.
const TLVS: usize = 16;
/// Octets of the buffers that are written into.
const ROOM: usize = 1024;

/// What the PDUs of a case are: the crates that have no type for any PDU must be told.
#[derive(Clone, Copy)]
enum Kind {
    Submit,
    SubmitResp,
    Deliver,
}

/// Its name, what its PDUs are, and their octets.
type Case = (&'static str, Kind, fn() -> Vec<u8>);

/// One PDU or, for the long message, three.
const CASES: [Case; 5] = [
    ("a submit_sm of 140 octets", Kind::Submit, cases::submit_sm),
    (
        "a submit_sm of 140 octets with 3 TLVs",
        Kind::Submit,
        cases::submit_sm_tlvs,
    ),
    (
        "a receipt: deliver_sm of 118 octets with 2 TLVs",
        Kind::Deliver,
        cases::receipt,
    ),
    ("a submit_sm_resp", Kind::SubmitResp, cases::submit_sm_resp),
    (
        "a message in 3 parts: 3 submit_sm",
        Kind::Submit,
        cases::three_parts,
    ),
];

pub(crate) fn contests() -> Vec<Contest> {
    let mut all = Vec::new();
    for (name, kind, case) in CASES {
        all.push(decode(name, kind, pdus(case())));
    }
    for (name, kind, case) in CASES {
        all.push(encode(name, kind, &pdus(case())));
    }
    all
}

/// The PDUs of a stream. They stay as long as the program.
fn pdus(octets: Vec<u8>) -> Vec<&'static [u8]> {
    let mut rest: &'static [u8] = octets.leak();
    let mut all = Vec::new();
    while let Some(length) = rest.first_chunk() {
        let (pdu, behind) = rest.split_at(u32::from_be_bytes(*length) as usize);
        all.push(pdu);
        rest = behind;
    }
    all
}

/// `once` for each PDU.
fn over<T: 'static>(all: Vec<T>, mut once: impl FnMut(&T) + 'static) -> impl FnMut() + 'static {
    move || {
        for pdu in &all {
            once(black_box(pdu));
        }
    }
}

fn decode(name: &str, kind: Kind, all: Vec<&'static [u8]>) -> Contest {
    let limits = Limits::default();
    let pool = owned_pool(&all);
    Contest::new(format!("decode {name}"))
        .ours(
            "tidegate",
            over(all.clone(), move |pdu| {
                assert!(matches!(black_box(read(pdu, &limits)), Read::Pdu(_)));
            }),
        )
        .ours(
            "tidegate, and all TLVs judged, as what an ESME sends is",
            over(all.clone(), move |pdu| match black_box(read(pdu, &limits)) {
                Read::Pdu(pdu) => assert!(pdu.operation.strict().is_ok()),
                other => unreachable!("{other:?}"),
            }),
        )
        .theirs(
            "rusmpp-core 0.4, borrowed",
            over(all.clone(), |pdu| {
                let pdu = &pdu[4..];
                assert!(black_box(borrowed::Command::<TLVS>::decode(pdu, pdu.len())).is_ok());
            }),
        )
        .add("rusmpp-core 0.4, owned", false, pool)
        .theirs(
            "smpp34 1.5",
            over(all.clone(), move |pdu| {
                let _ = black_box(Smpp34::decode(kind, pdu));
            }),
        )
        .theirs(
            "smpp-codec 0.2",
            over(all, move |pdu| {
                let _ = black_box(SmppCodec::decode(kind, pdu));
            }),
        )
}

/// It takes PDUs off the front of a buffer. Filling the buffer is one copy for [`POOL`] of them.
fn owned_pool(all: &[&'static [u8]]) -> Run {
    let one = all.concat();
    let pool = one.repeat(POOL);
    let lengths: Vec<usize> = all.iter().map(|pdu| pdu.len()).collect();
    let mut buffer = BytesMut::new();
    Box::new(move |times| {
        for _ in 0..times {
            if buffer.is_empty() {
                buffer = BytesMut::from(&pool[..]);
            }
            for length in &lengths {
                // What is left of the length is dropped, as its codec for tokio does it.
                let _ = buffer.split_to(4);
                assert!(black_box(owned::Command::decode(&mut buffer, length - 4)).is_ok());
            }
        }
    })
}

fn encode(name: &str, kind: Kind, all: &[&'static [u8]]) -> Contest {
    let limits = Limits::default();
    let ours: Vec<Pdu<'static>> = all
        .iter()
        .map(|pdu| match read(pdu, &limits) {
            Read::Pdu(pdu) => pdu,
            other => unreachable!("{other:?}"),
        })
        .collect();
    let borrowed: Vec<borrowed::Command<'static, TLVS>> = all
        .iter()
        .map(|pdu| read_by(borrowed::Command::decode(&pdu[4..], pdu.len() - 4)).0)
        .collect();
    let owned: Vec<owned::Command> = all
        .iter()
        .map(|pdu| {
            read_by(owned::Command::decode(
                &mut BytesMut::from(&pdu[4..]),
                pdu.len() - 4,
            ))
            .0
        })
        .collect();
    let smpp34: Vec<Smpp34> = all.iter().map(|pdu| Smpp34::decode(kind, pdu)).collect();
    let smpp_codec: Vec<SmppCodec> = all.iter().map(|pdu| SmppCodec::decode(kind, pdu)).collect();

    let (mut out, mut slice, mut slice_2) = (Vec::with_capacity(ROOM), [0; ROOM], [0; ROOM]);
    for (at, expected) in all.iter().enumerate() {
        out.clear();
        ours[at].encode(&mut out);
        assert_eq!(&out, expected);
        let length = write(&borrowed[at], &mut slice);
        assert_eq!(&slice[..length], *expected);
        let length = write(&owned[at], &mut slice);
        assert_eq!(&slice[..length], *expected);
        assert_eq!(smpp34[at].clone().encode(), *expected);
        out.clear();
        smpp_codec[at].encode(&mut out);
        assert_eq!(&out, expected);
    }

    let mut out_2 = Vec::with_capacity(ROOM);
    Contest::new(format!("encode {name}"))
        .ours(
            "tidegate",
            over(ours, move |pdu| {
                out.clear();
                pdu.encode(&mut out);
                black_box(&out);
            }),
        )
        .theirs(
            "rusmpp-core 0.4, borrowed",
            over(borrowed, move |pdu| {
                black_box(write(pdu, &mut slice));
            }),
        )
        .theirs(
            "rusmpp-core 0.4, owned",
            over(owned, move |pdu| {
                black_box(write(pdu, &mut slice_2));
            }),
        )
        .theirs(
            "smpp34 1.5, with a clone: encoding takes the value away",
            over(smpp34, |pdu| {
                black_box(pdu.clone().encode());
            }),
        )
        .theirs(
            "smpp-codec 0.2",
            over(smpp_codec, move |pdu| {
                out_2.clear();
                pdu.encode(&mut out_2);
                black_box(&out_2);
            }),
        )
}

/// The length in front is the caller's to write, as rusmpp-core's codec for tokio does it.
fn write(command: &impl Encode, out: &mut [u8; ROOM]) -> usize {
    let length = command.length() + 4;
    out[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    command.encode(&mut out[4..]) + 4
}

/// What was written by us all can read.
fn read_by<T, E: std::fmt::Debug>(read: Result<T, E>) -> T {
    match read {
        Ok(value) => value,
        Err(error) => unreachable!("{error:?}"),
    }
}

/// A value of smpp34.
#[derive(Clone)]
enum Smpp34 {
    Submit(submit_sm),
    SubmitResp(submit_sm_resp),
    Deliver(deliver_sm),
}

impl Smpp34 {
    fn decode(kind: Kind, pdu: &[u8]) -> Self {
        let header = read_by(CommandHeader::decode(pdu));
        match kind {
            Kind::Submit => Self::Submit(read_by(submit_sm::decode(header, pdu))),
            Kind::SubmitResp => Self::SubmitResp(read_by(submit_sm_resp::decode(header, pdu))),
            Kind::Deliver => Self::Deliver(read_by(deliver_sm::decode(header, pdu))),
        }
    }

    fn encode(self) -> Vec<u8> {
        match self {
            Self::Submit(pdu) => pdu.encode(),
            Self::SubmitResp(pdu) => pdu.encode(),
            Self::Deliver(pdu) => pdu.encode(),
        }
    }
}

/// A value of smpp-codec.
enum SmppCodec {
    Submit(SubmitSmRequest),
    SubmitResp(SubmitSmResponse),
    Deliver(DeliverSmRequest),
}

impl SmppCodec {
    fn decode(kind: Kind, pdu: &[u8]) -> Self {
        match kind {
            Kind::Submit => Self::Submit(read_by(SubmitSmRequest::decode(pdu))),
            Kind::SubmitResp => Self::SubmitResp(read_by(SubmitSmResponse::decode(pdu))),
            Kind::Deliver => Self::Deliver(read_by(DeliverSmRequest::decode(pdu))),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        read_by(match self {
            Self::Submit(pdu) => pdu.encode(out),
            Self::SubmitResp(pdu) => pdu.encode(out),
            Self::Deliver(pdu) => pdu.encode(out),
        });
    }
}
