//! An account that is away for long: what waits for it lies in files, and comes in order when it is back.

use tidegate_codec::pdu::message::{ShortMessage, Sm};

use super::*;
use crate::wire::Wire;
use crate::world::bench_config_lines;

/// More than two runs: a run has 256 at least with segments of 64 KiB.
const COUNT: u32 = 700;

fn setup() -> Setup {
    let route = "\n[[route.mo]]\nnumber = \"*\"\naccount = \"load\"";
    let config = bench_config_lines(&[("carriers = [\"sink\"]", route)]);
    Setup::new(config, 64 << 10, 1 << 28)
}

async fn deliver(smsc: &mut Wire, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let text = number.to_string();
        let mo = Sm {
            short_message: ShortMessage::new(text.as_bytes()).unwrap(),
            ..message()
        };
        smsc.send(CommandStatus::ROK, number + 1, Operation::DeliverSm(mo))
            .await;
        assert!(smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status.is_ok());
    }
}

async fn take(esme: &mut Wire) -> u32 {
    let frame = esme.expect(CommandId::DELIVER_SM).await;
    let number = std::str::from_utf8(frame.sm().text().0).unwrap().parse();
    esme.send(
        CommandStatus::ROK,
        frame.pdu().sequence,
        Operation::DeliverSmResp(Some(MessageIdResp::default())),
    )
    .await;
    number.unwrap()
}

/// Entries in memory, and in files.
fn waiting(world: &World) -> (usize, usize) {
    world.hub.with_gate(|gate, _| {
        let outbox = gate.spool().outbox();
        (outbox.iter().count(), outbox.in_files(gate.accounts()[0].name))
    })
}

#[test]
fn what_waits_for_an_account_that_is_away_lies_in_files_and_comes_in_order() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let before = World::start_with(&setup(), FaultyDisk::new(), clock.clone(), 1).unwrap();
        let mut smsc = before.smsc();
        smsc.accept_bind().await;
        deliver(&mut smsc, 0..COUNT).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let (memory, files) = waiting(&before);
        assert!(
            files >= 512 && memory < 256,
            "{memory} in memory, {files} in files"
        );
        assert_eq!(memory + files, COUNT as usize);
        // The account comes for a moment, and takes some.
        let mut esme = before.esme();
        esme.bind(b"secret").await;
        for number in 0..100 {
            assert_eq!(take(&mut esme).await, number);
        }
        drop(esme);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let disk = before.disk.crash();
        drop((before, smsc));

        let after = World::start_with(&setup(), disk, clock, 2).unwrap();
        assert!(!after.recovered.is_alarming(), "{:?}", after.recovered);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        deliver(&mut smsc, COUNT..COUNT + 5).await;
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        for number in 100..COUNT + 5 {
            assert_eq!(take(&mut esme).await, number);
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(waiting(&after), (0, 0));
        let files = after.disk.paths();
        assert!(files.iter().all(|path| !path.starts_with("outbox")), "{files:?}");
    });
}
