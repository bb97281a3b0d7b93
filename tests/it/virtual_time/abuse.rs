//! How many codes arrive, and what closes where hardly any do (compliance.md FRD-3), in the data path.

use std::time::Duration;

use tidegate_codec::pdu::message::Sm;
use tidegate_codec::values::RegisteredDelivery;
use tidegate_gateway::orders::{Halt, Orders};

use super::rig::*;
use super::*;

const PUMPING: CommandStatus = CommandStatus(0x0409);
const FRENCH: &[u8] = b"33612345678";

/// A code with a receipt; taken by the carrier under this id, and told to have come to this.
async fn ends(rig: &mut Rig, to: &[u8], id: &str, state: MessageState) {
    let sequence = rig.next();
    let code = Sm {
        registered_delivery: RegisteredDelivery(1),
        ..sm(S, to)
    };
    assert!(submit_as(&mut rig.a, sequence, code).await.is_ok(), "{id}");
    rig.smsc.take_submit(id.as_bytes()).await;
    let sequence = rig.next();
    rig.smsc.send_receipt(sequence, id.as_bytes(), state).await;
    rig.smsc.expect(CommandId::DELIVER_SM_RESP).await;
    assert_eq!(rig.a.take_dlr().await.1, state);
}

#[test]
fn a_country_in_which_hardly_any_code_arrives_is_closed_for_a_while_and_no_other() {
    scenario(|| async {
        let keys = "category = \"otp\"\n\
                    abuse = { number_limit = 0, prefix_limit = 0, run = 0, completion_over = 10, \
                    completion_block = \"5m\", country_day = { FR = 2 } }";
        let mut rig = Rig::new(config(&[(OF_A, keys)]), 311).await;
        for n in 0..9 {
            let to = format!("3161234{n}000");
            ends(
                &mut rig,
                to.as_bytes(),
                &format!("d-{n}"),
                MessageState::Undeliverable,
            )
            .await;
        }
        // What nobody asked a receipt for says nothing.
        assert_eq!(rig.submit(S, DUTCH).await, CommandStatus::ROK);
        rig.take().await;
        assert_eq!(rig.submit(S, DUTCH).await, CommandStatus::ROK);
        rig.take().await;
        // The tenth of ten: one in ten would be enough.
        ends(&mut rig, DUTCH, "d-9", MessageState::Expired).await;
        assert_eq!(rig.submit(S, DUTCH).await, PUMPING);
        for _ in 0..2 {
            rig.sees_next(S, FRENCH).await;
        }
        assert_eq!(rig.submit(S, FRENCH).await, PUMPING, "over its budget");
        rig.after(Duration::from_mins(4)).await;
        assert_eq!(rig.submit(S, DUTCH).await, PUMPING);
        rig.after(Duration::from_mins(1)).await;
        rig.sees_next(S, DUTCH).await;
    });
}

/// A carrier that is down for an hour is not the account's doing, and neither is what an operator ends.
#[test]
fn what_no_carrier_had_closes_no_country_whatever_becomes_of_it() {
    scenario(|| async {
        let keys = "category = \"otp\"\n\
                    abuse = { number_limit = 0, prefix_limit = 0, run = 0, completion_over = 10 }";
        let mut rig = Rig::new(config(&[(OF_A, keys)]), 312).await;
        rig.world.hub.with_gate(|gate, now| {
            let mut orders = Orders::default();
            let name = gate.config().carriers[0].name.clone();
            orders.halt(name.as_str(), Halt::Pause, now.unix_ms).unwrap();
            gate.obey(now, orders);
        });
        for n in 0..15 {
            let to = format!("3161234{n:02}00");
            let sequence = rig.next();
            let code = Sm {
                registered_delivery: RegisteredDelivery(1),
                validity_period: COctets::new(b"000000000200000R").unwrap(),
                ..sm(S, to.as_bytes())
            };
            assert!(submit_as(&mut rig.a, sequence, code).await.is_ok());
        }
        let ended = async {
            for _ in 0..15 {
                assert_eq!(rig.a.take_dlr().await.1, MessageState::Expired);
            }
        };
        tokio::select! {
            () = ended => {}
            never = rig.smsc.keep_alive() => match never {},
        }
        let obey =
            |gate: &mut tidegate_gateway::gate::Gate<FaultyDisk>, now| gate.obey(now, Orders::default());
        rig.world.hub.with_gate(obey);
        rig.sees_next(S, DUTCH).await;
    });
}
