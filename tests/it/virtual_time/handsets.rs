//! Hours at which messages from handsets are another account's, and binds whose messages lie in files meanwhile.

use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::{BindKind, InterfaceVersion};

use super::*;
use crate::wire::{Wire, bind};
use crate::world::bench_config_lines;

fn setup(routes: &str) -> Setup {
    let config = bench_config_lines(&[("carriers = [\"sink\"]", routes)]);
    Setup::new(config, 64 << 10, 1 << 28)
}

async fn deliver(smsc: &mut Wire, sequence: u32, text: &str) {
    let mo = Sm {
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        ..message()
    };
    smsc.send(CommandStatus::ROK, sequence, Operation::DeliverSm(mo))
        .await;
    assert!(smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status.is_ok());
}

/// Entries of the accounts `load` and `load1`.
fn waiting(world: &World) -> (usize, usize) {
    world.hub.with_gate(|gate, _| {
        let of = |place: usize| {
            let name = gate.accounts()[place].name;
            let outbox = gate.spool().outbox();
            let memory = outbox.iter().filter(|entry| entry.account == name);
            memory.count() + outbox.in_files(name)
        };
        (of(0), of(1))
    })
}

async fn bind_as(esme: &mut Wire, system_type: &[u8]) {
    let bind = Bind {
        system_type: COctets::new(system_type).unwrap(),
        ..bind(b"load", b"secret", InterfaceVersion::V3_4)
    };
    esme.send(
        CommandStatus::ROK,
        1,
        Operation::Bind(BindKind::Transceiver, bind),
    )
    .await;
    let answer = esme.expect(CommandId::BIND_TRANSCEIVER_RESP).await;
    assert!(answer.pdu().status.is_ok());
}

#[test]
fn an_hour_later_a_route_is_closed_and_another_takes_its_messages() {
    // The clock starts at midnight.
    assert_eq!(START_MS % 86_400_000, 0);
    let routes = "\n[[route.mo]]\nnumber = \"*\"\nhours = \"00:00-01:00\"\naccount = \"load\"\n\
                  [[route.mo]]\nnumber = \"*\"\naccount = \"load1\"";
    scenario(|| async {
        let world = World::start_with(
            &setup(routes),
            FaultyDisk::new(),
            Clock::virtual_from(START_MS),
            1,
        )
        .unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        deliver(&mut smsc, 1, "early").await;
        assert_eq!(waiting(&world), (1, 0));
        drop(smsc);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        deliver(&mut smsc, 1, "late").await;
        assert_eq!(waiting(&world), (1, 1));
    });
}

/// More than a run of an outbox file.
const COUNT: u32 = 400;

#[test]
fn what_is_for_a_bind_goes_to_it_out_of_files_as_well() {
    let routes = "\n[[route.mo]]\nnumber = \"*\"\naccount = \"load\"\n[[instructions]]\naccount = \"load\"\n\
                  version = \"1\"\n[[instructions.rule]]\nkeywords = [\"cook\"]\nto_bind = \"kitchen\"";
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let before = World::start_with(&setup(routes), FaultyDisk::new(), clock.clone(), 1).unwrap();
        let mut smsc = before.smsc();
        smsc.accept_bind().await;
        for number in 0..COUNT {
            deliver(&mut smsc, number + 1, &format!("cook {number}")).await;
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let files = before.disk.paths();
        assert!(files.iter().any(|path| path.starts_with("outbox")), "{files:?}");
        let disk = before.disk.crash();
        drop((before, smsc));

        let after = World::start_with(&setup(routes), disk, clock, 2).unwrap();
        let mut kitchen = after.esme();
        bind_as(&mut kitchen, b"kitchen").await;
        let mut office = after.esme();
        bind_as(&mut office, b"office").await;
        for number in 0..COUNT {
            let frame = tokio::select! {
                frame = kitchen.expect(CommandId::DELIVER_SM) => frame,
                _ = office.expect(CommandId::DELIVER_SM) => panic!("the office got {number}"),
            };
            assert_eq!(frame.sm().text().0, format!("cook {number}").as_bytes());
            let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
            kitchen
                .send(CommandStatus::ROK, frame.pdu().sequence, answer)
                .await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(waiting(&after), (0, 0));
    });
}
