//! Consent in the data path: the acceptance cases of compliance.md §3, each by its id.

use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::tlv::append;
use tidegate_store::standing::{Change, Grant, Private, Scope, Via, What};

use super::rig::*;
use super::*;
use crate::wire::Wire;

/// Where what does not say is marketing.
const NEW_YORK: &[u8] = b"12125550123";
const BOSTON: &[u8] = b"16175550123";
const NO_CONSENT: CommandStatus = CommandStatus(0x040b);

/// What a person says of a scope.
async fn says(rig: &Rig, person: &[u8], scope: Scope, grant: Grant, categories: u8) {
    rig.world.hub.with_gate(|gate, now| {
        let change = Change {
            who: gate.spool().standing().who(person),
            at_ms: now.unix_ms,
            event: 0,
            via: Via::Command,
            what: What::Consent {
                grant,
                scope,
                categories,
            },
            private: Private::default(),
        };
        let account = SystemId::new(b"A").unwrap();
        let mut rng = tidegate_gateway::random::generator().unwrap();
        let spool = gate.spool_mut();
        assert!(
            spool
                .remember(now.unix_ms, account, change, true, &mut rng)
                .is_ok()
        );
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn submit_for(esme: &mut Wire, sequence: u32, category: Category) -> CommandStatus {
    let mut tlvs = Vec::new();
    assert!(append(&mut tlvs, CATEGORY, &[category.octet()]));
    let said = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..sm(S, NEW_YORK)
    };
    submit_as(esme, sequence, said).await
}

#[test]
fn con_c02_marketing_needs_a_grant_that_was_not_withdrawn() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "consent = \"require\"")]), 201).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT);
        assert_eq!(
            submit_for(&mut rig.a, 2, Category::Transactional).await,
            CommandStatus::ROK
        );
        rig.take().await;
        let whole = || Scope::account("A");
        says(&rig, NEW_YORK, whole(), Grant::Given, 0b10).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT, "to something else");
        says(&rig, NEW_YORK, whole(), Grant::Given, 0b1).await;
        rig.sees_next(S, NEW_YORK).await;
        assert_eq!(rig.submit(S, BOSTON).await, NO_CONSENT, "nobody else's");
        let mut rig = rig.killed(202).await;
        rig.sees_next(S, NEW_YORK).await;
        says(&rig, NEW_YORK, whole(), Grant::Withdrawn, 0).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT);
        assert_eq!(rig.refused(), 1, "since the restart");
    });
}

#[test]
fn con_c02_what_waits_is_dropped_when_the_grant_is_withdrawn() {
    scenario(|| async {
        let brand = "consent = \"require\"\nbrand = \"Example\"";
        let mut rig = Rig::new(config(&[(OF_A, brand)]), 203).await;
        says(&rig, NEW_YORK, Scope::brand("Other"), Grant::Given, 0).await;
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT, "of another brand");
        says(&rig, NEW_YORK, Scope::brand("Example"), Grant::Given, 0).await;
        let later = Sm {
            schedule_delivery_time: COctets::new(b"000000000010000R").unwrap(),
            ..sm(S, NEW_YORK)
        };
        assert_eq!(submit_as(&mut rig.a, 2, later).await, CommandStatus::ROK);
        says(&rig, NEW_YORK, Scope::brand("Example"), Grant::Withdrawn, 0).await;
        assert_eq!(rig.a.take_dlr().await.1, MessageState::Rejected);
    });
}

#[test]
fn con_4_a_warning_is_counted_and_the_message_goes() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "consent = \"warn\"")]), 204).await;
        rig.sees_next(S, NEW_YORK).await;
        says(&rig, NEW_YORK, Scope::account("A"), Grant::Given, 0).await;
        rig.sees_next(S, NEW_YORK).await;
        let warned = rig
            .world
            .hub
            .with_gate(|gate, _| gate.accounts()[0].tally.unconsented);
        assert_eq!((warned, rig.refused()), (1, 0));
    });
}
