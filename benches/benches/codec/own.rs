//! What only we do: the path of a stream, and a session's part of it.

use std::hint::black_box;

use tidegate_codec::frame::{Cut, cut};
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::{Limits, Read, read};
use tidegate_codec::session::{Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::values::InterfaceVersion;

use super::cases;
use tidegate_benches::contest::Contest;

/// PDUs of the stream: what one read of a busy socket brings.
const PIPELINED: usize = 100;

pub(crate) fn contests() -> Vec<Contest> {
    vec![
        stream("submit_sm of 140 octets", &cases::submit_sm()),
        stream("submit_sm_resp", &cases::submit_sm_resp()),
        session(),
    ]
}

/// Takes the next of pipelined PDUs, from the first again behind the last.
fn next_of(all: &[u8], at: &mut usize) -> usize {
    let here = if *at == all.len() { 0 } else { *at };
    *at = here;
    here
}

/// One of many pipelined PDUs: read as a whole; cut off, its header read, and what routing asks for: who, to whom, how
/// coded; cut off and its header read.
fn stream(name: &str, octets: &[u8]) -> Contest {
    let all = octets.repeat(PIPELINED);
    let limits = Limits::default();
    let (length, mut at) = (octets.len(), 0);
    let (all_2, mut at_2) = (all.clone(), 0);
    let (all_3, mut at_3) = (all.clone(), 0);
    Contest::new(format!("of a stream, one of {PIPELINED} {name}"))
        .ours("tidegate: read as a whole", move || {
            let here = next_of(&all, &mut at);
            assert!(matches!(
                black_box(read(black_box(&all[here..]), &limits)),
                Read::Pdu(_)
            ));
            at += length;
        })
        .ours("tidegate: frame, header, fields for routing", move || {
            let here = next_of(&all_2, &mut at_2);
            let Cut::Frame { header, body } = cut(black_box(&all_2[here..]), limits.pdu_max) else {
                unreachable!("written by us");
            };
            match header.command_id {
                CommandId::SUBMIT_SM => match Sm::decode(body.0) {
                    Ok(sm) => {
                        black_box((
                            header.sequence,
                            sm.source,
                            sm.destination,
                            sm.data_coding,
                            sm.esm_class,
                        ));
                    }
                    Err(error) => unreachable!("{error}"),
                },
                _ => {
                    black_box((header.command_id, header.status, header.sequence));
                }
            }
            at_2 += header.length as usize;
        })
        .ours("tidegate: frame and header", move || {
            let here = next_of(&all_3, &mut at_3);
            let Cut::Frame { header, .. } = cut(black_box(&all_3[here..]), limits.pdu_max) else {
                unreachable!("written by us");
            };
            at_3 += header.length as usize;
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
