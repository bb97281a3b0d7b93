//! What only we do: the path of a stream, and a session's part of it.

use std::hint::black_box;

use tidegate_codec::frame::{Cut, cut};
use tidegate_codec::pdu::{Limits, Operation, Read, read};
use tidegate_codec::session::{Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::values::InterfaceVersion;

use super::cases;
use super::contest::Contest;

/// PDUs of the stream: what one read of a busy socket brings.
const PIPELINED: usize = 100;

pub(crate) fn contests() -> Vec<Contest> {
    vec![
        stream("submit_sm of 140 octets", cases::submit_sm()),
        stream("submit_sm_resp", cases::submit_sm_resp()),
        session(),
    ]
}

/// One of many pipelined PDUs: cut off, its header read, and what routing asks for: who, to whom, how coded.
fn stream(name: &str, octets: Vec<u8>) -> Contest {
    let all = octets.repeat(PIPELINED);
    let (mut at, limits) = (0, Limits::default());
    let (all_2, mut at_2) = (all.clone(), 0);
    Contest::new(format!("of a stream, one of {PIPELINED} {name}"))
        .ours("tidegate: frame, header, fields for routing", move || {
            if at == all.len() {
                at = 0;
            }
            let Read::Pdu(pdu) = read(black_box(&all[at..]), &limits) else {
                unreachable!("written by us");
            };
            at += octets.len();
            match pdu.operation {
                Operation::SubmitSm(sm) => {
                    black_box((sm.source, sm.destination, sm.data_coding, sm.esm_class));
                }
                Operation::SubmitSmResp(body) => {
                    black_box((pdu.sequence, pdu.status, body.map(|body| body.message_id)));
                }
                _ => unreachable!(),
            }
        })
        .ours("tidegate: frame and header", move || {
            if at_2 == all_2.len() {
                at_2 = 0;
            }
            let Cut::Frame { header, .. } = cut(black_box(&all_2[at_2..]), u32::MAX) else {
                unreachable!("written by us");
            };
            at_2 += header.length as usize;
            black_box(header);
        })
}

/// A submit_sm through the server's session, which refuses it: nobody is bound.
fn session() -> Contest {
    let (octets, limits) = (cases::submit_sm(), Limits::default());
    let rules = Rules {
        window: 100,
        unanswered_max: 100,
        timing: Timing::default(),
        assume_version: InterfaceVersion::V3_4,
    };
    let mut session: Session<u64> = Session::new(Role::Smsc, rules, Monotonic::ZERO);
    let mut out = Vec::with_capacity(512);
    Contest::new("decode a submit_sm and refuse it in a session").ours("tidegate", move || {
        out.clear();
        if let Read::Pdu(pdu) = read(black_box(&octets), &limits) {
            let _ = black_box(session.handle(Monotonic::ZERO, Ok(pdu), &mut out));
        }
        assert!(!out.is_empty());
    })
}
