//! A quota in virtual time: what is left of it within one batch, over a power cut, and when the day is over.

use super::*;
use crate::wire::Wire;
use crate::world::bench_config_lines;

const DAY_MS: u64 = 86_400_000;
const SPENT: CommandStatus = CommandStatus(0x040a);

/// Less than an enquire_link waits for.
const LEFT_MS: u64 = 8_000;
/// Four hours east of UTC, where it is nearly midnight.
const BEFORE_MIDNIGHT_MS: u64 = START_MS - START_MS % DAY_MS + DAY_MS - 4 * 3_600_000 - LEFT_MS;

fn setup(quota: &str) -> Setup {
    let keys = format!("\n{quota}\nquota_zone = \"+04:00\"");
    Setup::new(
        bench_config_lines(&[("system_id = \"load\"", &keys)]),
        64 << 10,
        1 << 28,
    )
}

/// Submits so many in one write, which is one turn: how many were taken, all others being refused for the quota.
async fn submit_at_once(esme: &mut Wire, numbers: std::ops::Range<u32>) -> u32 {
    let count = numbers.len();
    let pdus =
        numbers.map(|number| crate::wire::octets(CommandStatus::ROK, number, Operation::SubmitSm(message())));
    esme.write(&pdus.collect::<Vec<_>>().concat()).await.unwrap();
    let mut taken = 0;
    for _ in 0..count {
        let status = esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status;
        assert!(status.is_ok() || status == SPENT, "{status}");
        taken += u32::from(status.is_ok());
    }
    taken
}

#[test]
fn a_day_s_quota_is_spent_within_one_batch_outlives_a_power_cut_and_opens_at_midnight_of_its_zone() {
    scenario(|| async {
        let clock = Clock::virtual_from(BEFORE_MIDNIGHT_MS);
        let setup = setup("quota_day = 5");
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 1).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        assert_eq!(submit_at_once(&mut esme, 2..4).await, 2);
        assert_eq!(submit_at_once(&mut esme, 4..14).await, 3);
        assert_eq!(submit_at_once(&mut esme, 14..16).await, 0);
        let disk = world.disk.crash();
        drop((world, smsc, esme));

        let world = World::start_with(&setup, disk, clock.clone(), 2).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        assert_eq!(submit_at_once(&mut esme, 2..4).await, 0);
        let until = BEFORE_MIDNIGHT_MS + LEFT_MS - clock.now().unix_ms;
        tokio::time::sleep(Duration::from_millis(until - 1000)).await;
        assert_eq!(submit_at_once(&mut esme, 4..6).await, 0, "a second is left");
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert_eq!(submit_at_once(&mut esme, 6..16).await, 5);
        // A clock that is set back finds the day before as it was left.
        clock.set_wall_by(-10_000);
        assert_eq!(submit_at_once(&mut esme, 16..18).await, 0);
        clock.set_wall_by(i64::try_from(DAY_MS).unwrap());
        assert_eq!(submit_at_once(&mut esme, 18..20).await, 0, "still that day");
        clock.set_wall_by(60_000);
        assert_eq!(submit_at_once(&mut esme, 20..22).await, 2);
    });
}

/// What a disk that is full gives back was not used.
#[test]
fn what_a_full_disk_gives_back_may_be_submitted_again() {
    scenario(|| async {
        let world = World::start_with(
            &setup("quota_month = 3"),
            FaultyDisk::new(),
            Clock::virtual_from(BEFORE_MIDNIGHT_MS),
            3,
        )
        .unwrap();
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        world
            .disk
            .fail_next(Op::Write, 1, std::io::ErrorKind::StorageFull);
        esme.send(CommandStatus::ROK, 2, Operation::SubmitSm(message()))
            .await;
        let status = esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status;
        assert_eq!(status, CommandStatus::RMSGQFUL);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(submit_at_once(&mut esme, 3..9).await, 3);
        // The next day is of the same month.
        world.clock.set_wall_by(120_000);
        assert_eq!(submit_at_once(&mut esme, 9..11).await, 0);
    });
}

/// Quotas are told of every account a few times a second.
#[test]
fn what_day_it_is_is_computed_once_for_an_account_that_nobody_uses() {
    scenario(|| async {
        let clock = Clock::virtual_from(BEFORE_MIDNIGHT_MS);
        let world = World::start_with(&setup("quota_day = 5"), FaultyDisk::new(), clock, 1).unwrap();
        let told = || {
            world.hub.look(|gate, now| {
                gate.used(1, now);
                gate.accounts()[1].calendar
            })
        };
        let today = told();
        let known = |gate: &tidegate_gateway::gate::Gate<FaultyDisk>| gate.accounts()[1].calendar;
        assert_eq!(world.hub.look(|gate, _| known(gate)), today);
        assert_ne!(today, tidegate_gateway::quota::Calendar::default());
        // Of UTC, that of this account.
        tokio::time::sleep(Duration::from_millis(4 * 3_600_000)).await;
        assert_eq!(told(), today);
        tokio::time::sleep(Duration::from_millis(LEFT_MS)).await;
        assert_ne!(told(), today);
    });
}
