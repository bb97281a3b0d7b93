//! A bind that takes what is for it and answers nothing: the account's other binds go on.

use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::{BindKind, InterfaceVersion};

use super::*;
use crate::wire::{Wire, bind};
use crate::world::bench_config_lines;

/// More than a turn used to look at on its way to another bind's, and more than four runs of an outbox file.
const STUCK: u32 = 1_200;
/// More than a run.
const OTHERS: u32 = 400;

fn setup() -> Setup {
    let routes = "\n[[route.mo]]\nnumber = \"*\"\naccount = \"load\"\n[[instructions]]\naccount = \"load\"\n\
                  version = \"1\"\n[[instructions.rule]]\nkeywords = [\"cook\"]\nto_bind = \"kitchen\"";
    let account = ("system_id = \"load\"", "delivery_window = 10");
    let config = bench_config_lines(&[("carriers = [\"sink\"]", routes), account]);
    Setup::new(config, 64 << 10, 1 << 28)
}

async fn deliver(smsc: &mut Wire, word: &str, numbers: std::ops::Range<u32>) {
    // Many at a time: the bind that answers nothing is given up after a while.
    for first in numbers.clone().step_by(100) {
        let some = first..numbers.end.min(first + 100);
        for number in some.clone() {
            let text = format!("{word} {number}");
            let mo = Sm {
                short_message: ShortMessage::new(text.as_bytes()).unwrap(),
                ..message()
            };
            smsc.send(CommandStatus::ROK, number + 1, Operation::DeliverSm(mo))
                .await;
        }
        for _ in some {
            assert!(smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status.is_ok());
        }
    }
}

async fn bound_as(world: &World, system_type: &[u8]) -> Wire {
    let mut esme = world.esme();
    let bind = Bind {
        system_type: COctets::new(system_type).unwrap(),
        ..bind(b"load", b"secret", InterfaceVersion::V3_4)
    };
    let kind = BindKind::Transceiver;
    esme.send(CommandStatus::ROK, 1, Operation::Bind(kind, bind))
        .await;
    let answer = esme.expect(CommandId::BIND_TRANSCEIVER_RESP).await;
    assert!(answer.pdu().status.is_ok());
    esme
}

/// Takes what comes for this word, in order.
async fn take(esme: &mut Wire, word: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let frame = esme.expect(CommandId::DELIVER_SM).await;
        assert_eq!(frame.sm().text().0, format!("{word} {number}").as_bytes());
        let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
        esme.send(CommandStatus::ROK, frame.pdu().sequence, answer).await;
    }
}

/// How many entries wait for the kitchen, in memory, and how many of all lie in files.
fn waiting(world: &World) -> (usize, usize) {
    world.hub.with_gate(|gate, _| {
        let outbox = gate.spool().outbox();
        let cook = |entry: &&tidegate_store::outbox::Entry| entry.sink != tidegate_store::record::Sink::Bind;
        (outbox.iter().filter(cook).count(), outbox.filed())
    })
}

#[test]
fn a_bind_that_answers_nothing_holds_up_no_other_of_its_account() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let before = World::start_with(&setup(), FaultyDisk::new(), clock.clone(), 1).unwrap();
        let mut smsc = before.smsc();
        smsc.accept_bind().await;
        let kitchen = bound_as(&before, b"kitchen").await;
        let mut office = bound_as(&before, b"office").await;
        deliver(&mut smsc, "cook", 0..STUCK).await;
        assert_eq!(waiting(&before), (STUCK as usize, 0));
        deliver(&mut smsc, "desk", 0..3).await;
        take(&mut office, "desk", 0..3).await;
        // A receipt is for any bind; the one with room gets it.
        office.submit(2).await;
        smsc.take_submit(b"c-1").await;
        smsc.send_receipt(7, b"c-1", MessageState::Delivered).await;
        office.take_dlr().await;

        // Nobody is there for a while: what waits lies in files.
        drop((kitchen, office));
        tokio::time::sleep(Duration::from_secs(1)).await;
        deliver(&mut smsc, "desk", 3..OTHERS).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let (_, filed) = waiting(&before);
        assert!(filed >= 1_024 + 256, "{filed}");
        let disk = before.disk.crash();
        drop((before, smsc));

        let after = World::start_with(&setup(), disk, clock, 2).unwrap();
        assert!(!after.recovered.is_alarming(), "{:?}", after.recovered);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        let mut kitchen = bound_as(&after, b"kitchen").await;
        let mut office = bound_as(&after, b"office").await;
        deliver(&mut smsc, "desk", OTHERS..OTHERS + 3).await;
        take(&mut office, "desk", 3..OTHERS + 3).await;
        let (cook, filed) = waiting(&after);
        assert!(
            filed > 0 && cook < STUCK as usize,
            "{cook} in memory, {filed} in files"
        );
        take(&mut kitchen, "cook", 0..STUCK).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(waiting(&after), (0, 0));
    });
}
