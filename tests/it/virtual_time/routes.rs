//! Routes in virtual time: what no route takes at night goes out in the morning, and what may cost so much waits for a
//! carrier that takes no more.

use std::sync::Arc;

use tidegate_codec::pdu::message::Sm;
use tidegate_gateway::tables::Tables;

use super::*;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// Half a minute before the only route closes.
const BEFORE_ONE_MS: u64 = START_MS - START_MS % DAY_MS + 13 * HOUR_MS - 30_000;

#[test]
fn what_falls_due_while_its_route_is_closed_goes_out_when_it_opens() {
    scenario(|| async {
        let clock = Clock::virtual_from(BEFORE_ONE_MS);
        let lines = [("carriers = [\"sink\"]", "\nhours = \"12:00-13:00\"")];
        let setup = Setup::new(bench_config_lines(&lines), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 5).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let scheduled = Sm {
            schedule_delivery_time: COctets::new(b"000000000100000R").unwrap(),
            validity_period: COctets::new(b"000002000000000R").unwrap(),
            ..message()
        };
        esme.send(CommandStatus::ROK, 2, Operation::SubmitSm(scheduled))
            .await;
        assert!(esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status.is_ok());
        clock.set_wall_by(2 * 60_000);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let at_night = Operation::SubmitSm(message());
        esme.send(CommandStatus::ROK, 3, at_night).await;
        let status = esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status;
        assert_eq!(status, CommandStatus::RINVDSTADR, "the route is closed");
        let sent = tokio::time::timeout(Duration::from_millis(500), smsc.expect(CommandId::SUBMIT_SM)).await;
        assert!(sent.is_err(), "no route takes it now");
        clock.set_wall_by(i64::try_from(DAY_MS - HOUR_MS).unwrap());
        smsc.expect(CommandId::SUBMIT_SM).await;
    });
}

/// The dear one is up all the time and gets nothing: not what is submitted while the other is down, not what the other
/// left unanswered.
#[test]
fn what_may_cost_so_much_waits_for_a_carrier_that_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let prices = |name: &str, price: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("prefix,price\n1,{price}\n4,{price}\n")).unwrap();
        format!("prices = \"{}\"", path.display())
    };
    let (cheap, dear) = (prices("cheap", "0.02"), prices("dear", "0.020001"));
    let other = format!(
        "[[carrier]]\nname = \"next\"\naddresses = [\"127.0.0.1:2901\"]\nsystem_id = \"tidegate\"\n\
         password_file = \"config/bench-sink.password\"\n{dear}"
    );
    let lines = [("window = 500", other.as_str()), ("name = \"sink\"", &cheap)];
    let mut config = bench_config_lines(&lines);
    config.mt_routes[0].carriers = config
        .carriers
        .iter()
        .map(|carrier| carrier.name.clone())
        .collect();
    config.mt_routes[0].conditions.max_price = tidegate_config::Price::parse(b"0.02");
    let tables = Arc::new(Tables::load(&config).unwrap());
    scenario(|| async {
        let setup = Setup::new(config.clone(), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 6).unwrap();
        world
            .hub
            .with_gate(|gate, _| drop(gate.replace_tables(Arc::clone(&tables))));
        let (mut cheap, mut dear) = (world.smsc(), world.smsc_of(1));
        cheap.accept_bind().await;
        dear.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        esme.submit(2).await;
        cheap.expect(CommandId::SUBMIT_SM).await;
        drop(cheap);
        esme.submit(3).await;
        let strayed = tokio::time::timeout(Duration::from_secs(20), dear.expect(CommandId::SUBMIT_SM)).await;
        assert!(strayed.is_err(), "it costs more than the route allows");
        let mut again = world.smsc();
        again.accept_bind().await;
        for id in [b"c-1", b"c-2"] {
            again.take_submit(id).await;
        }
    });
}
