//! What reading and writing one PDU costs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
use tidegate_codec::receipt::Receipt;
use tidegate_codec::session::{Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, RegisteredDelivery};

fn submit() -> Vec<u8> {
    let text = [b'x'; 100];
    let sm = Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap_or_default(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap_or_default(),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(&text).unwrap_or_default(),
        ..Sm::default()
    };
    let mut out = Vec::new();
    Pdu {
        status: CommandStatus::ROK,
        sequence: 1,
        operation: Operation::SubmitSm(sm),
    }
    .encode(&mut out);
    out
}

fn codec(criterion: &mut Criterion) {
    let octets = submit();
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(octets.len() as u64));
    group.bench_function("read submit_sm", |bencher| {
        bencher.iter(|| black_box(read(black_box(&octets), &limits)));
    });
    let mut out = Vec::with_capacity(512);
    group.bench_function("read and write submit_sm", |bencher| {
        bencher.iter(|| {
            out.clear();
            if let Read::Pdu(pdu) = read(black_box(&octets), &limits) {
                pdu.encode(&mut out);
            }
            black_box(out.len())
        });
    });
    let receipt = b"id:1234567890 sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 stat:DELIVRD err:000 text:";
    group.throughput(Throughput::Elements(1));
    group.bench_function("read receipt text", |bencher| {
        bencher.iter(|| black_box(Receipt::parse_text(black_box(receipt))));
    });
    group.finish();
}

/// A submit_sm through the server's session: decoded, handed on, answered.
fn session(criterion: &mut Criterion) {
    let (octets, limits) = (submit(), Limits::default());
    let rules = Rules {
        window: 100,
        unanswered_max: 100,
        timing: Timing::default(),
        assume_version: InterfaceVersion::V3_4,
    };
    let now = Monotonic::ZERO;
    let mut session: Session<u64> = Session::new(Role::Esme, rules, now);
    let mut out = Vec::with_capacity(512);
    criterion.bench_function("session: refused request", |bencher| {
        bencher.iter(|| {
            out.clear();
            if let Read::Pdu(pdu) = read(black_box(&octets), &limits) {
                let _ = black_box(session.handle(now, Ok(pdu), &mut out));
            }
        });
    });
}

criterion_group!(benches, codec, session);
criterion_main!(benches);
