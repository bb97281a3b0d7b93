//! Hours of routes in virtual time: what no route takes at night goes out in the morning.

use tidegate_codec::pdu::message::Sm;

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
