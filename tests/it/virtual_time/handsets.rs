//! Hours at which messages from handsets are another account's, and binds whose messages lie in files meanwhile.

use std::sync::Arc;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tidegate_gateway::keeping::{Believed, Closures, Keeping};
use tidegate_gateway::legal::{Claims, Register, RestrictionRow};
use tidegate_gateway::tables::Tables;

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

/// DSR-4, where the carrier and not the account says in whose country a number was written.
#[test]
fn what_waits_of_somebody_who_is_restricted_meanwhile_is_not_handed_over() {
    let config = bench_config_lines(&[
        ("name = \"sink\"", "country = \"GB\""),
        (
            "carriers = [\"sink\"]",
            "\n[[route.mo]]\nnumber = \"*\"\naccount = \"load\"",
        ),
    ]);
    let setup = Setup::new(config, 64 << 10, 1 << 28);
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock, 1).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let numbers = ["07700 900123", "07700900124"];
        for (sequence, number) in (1..).zip(numbers) {
            let mo = Sm {
                source: Address::new(Ton::NATIONAL, Npi::ISDN, number.as_bytes()).unwrap(),
                short_message: ShortMessage::new(number.as_bytes()).unwrap(),
                ..message()
            };
            smsc.send(CommandStatus::ROK, sequence, Operation::DeliverSm(mo))
                .await;
            assert!(smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status.is_ok());
        }
        assert_eq!(waiting(&world).0, 2);
        let mut register = Register::default();
        let row = RestrictionRow {
            account: None,
            sealed: Vec::new(),
            who: String::new(),
            why: String::new(),
            since_ms: START_MS,
            lifted_ms: None,
            notice: None,
        };
        register.restrict(1, row);
        let people = [(1, b"447700900123".to_vec().into())].into();
        let tables = Arc::new(Tables::default());
        let keeping = Keeping::new(
            &setup.config,
            tables,
            Believed::since(START_MS),
            Closures::default(),
        );
        let keeping = Arc::new(keeping.with_claims(Arc::new(Claims::new(&register, &people))));
        world.hub.look(|gate, _| gate.set_keeping(&keeping));
        let mut esme = world.esme();
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        let frame = esme.expect(CommandId::DELIVER_SM).await;
        assert_eq!(frame.sm().text().0, numbers[1].as_bytes());
        let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
        esme.send(CommandStatus::ROK, frame.pdu().sequence, answer).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(waiting(&world), (0, 0));
        let withheld = world.hub.look(|gate, _| gate.accounts()[0].tally.mos_withheld);
        assert_eq!(withheld, 1);
    });
}
