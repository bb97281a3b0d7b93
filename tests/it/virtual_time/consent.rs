//! Consent in the data path: the acceptance cases of compliance.md §3, each by its id.

use serde_json::json;
use tidegate_codec::category::{CATEGORY, Category};
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::tlv::append;
use tidegate_gateway::control::{Deed, DeedKind, Row, act};
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

const ASKS: &str =
    "consent = \"require\"\nopt_in = \"ask\"\nopt_in_keywords = [\"JOIN\"]\nconfirm_keywords = [\"DEAL\"]";

fn question(person: &str, sender: &str) -> Deed {
    let cells = [
        ("number", person),
        ("sender", sender),
        ("source", "https://example.com/form"),
    ];
    let cells = cells.map(|(key, value)| (key.to_owned(), json!(value)));
    Deed {
        rows: vec![Row {
            line: 1,
            cells: cells.into_iter().collect(),
        }],
        ..Deed::new(DeedKind::ConsentAsk, "A")
    }
}

#[test]
fn con_c03_join_is_asked_back_and_yes_consents() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, ASKS)]), 210).await;
        rig.mo(NEW_YORK, S, "YES").await;
        rig.mo(NEW_YORK, S, "Join").await;
        let asked = rig.take_reply(S, NEW_YORK).await;
        assert!(asked.starts_with("Example A: reply YES"), "{asked}");
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT, "silence is none");
        rig.mo(NEW_YORK, S, "ok, why not").await;
        rig.mo(BOSTON, S, "YES").await;
        rig.mo(NEW_YORK, S2, "YES").await;
        assert_eq!(rig.submit(S, NEW_YORK).await, NO_CONSENT, "nor is anything else");
        // The question is known after a kill as well, and one is enough.
        rig.after(Duration::from_secs(1)).await;
        let mut rig = rig.killed(211).await;
        rig.mo(NEW_YORK, S, "JOIN").await;
        rig.mo(NEW_YORK, S, "deal").await;
        let heard = rig.take_reply(S, NEW_YORK).await;
        assert!(heard.contains("you are subscribed"), "{heard}");
        rig.sees_next(S, NEW_YORK).await;
        assert_eq!(rig.submit(S, BOSTON).await, NO_CONSENT);
        let mut rig = rig.killed(212).await;
        rig.sees_next(S, NEW_YORK).await;
    });
}

#[test]
fn con_c03_yes_after_a_day_and_a_second_grants_nothing() {
    scenario(|| async {
        // A start and a bind take a few milliseconds.
        for (late_ms, grants) in [(-500, true), (1_000, false)] {
            let rig = Rig::new(config(&[(OF_A, ASKS)]), 213).await;
            let told = act(&rig.world.hub, &question("+12125550123", "55555"))
                .await
                .unwrap();
            let until_ms = told["until_ms"].as_u64().unwrap();
            let clock = Clock::virtual_from(until_ms.strict_add_signed(late_ms));
            let mut rig = Rig::on(rig.setup, rig.world.kill(), clock, 214).await;
            let mo = Sm {
                short_message: ShortMessage::new(b"YES").unwrap(),
                ..sm(NEW_YORK, S)
            };
            assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
            rig.take_mo().await;
            let consents = rig
                .world
                .hub
                .with_gate(|gate, _| gate.spool().standing().consents().len());
            assert_eq!(consents, usize::from(grants), "{late_ms} ms late");
        }
    });
}

#[test]
fn con_5_nobody_is_asked_twice_in_thirty_days_nor_who_has_opted_out() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "consent = \"require\"")]), 215).await;
        let ask = |rig: &Rig, person| {
            let hub = rig.world.hub.clone();
            async move { act(&hub, &question(person, "55555")).await }
        };
        assert_eq!(ask(&rig, "+12125550123").await.unwrap()["asked"], 1);
        assert!(rig.take_reply(S, NEW_YORK).await.contains("reply YES"));
        let again = ask(&rig, "+12125550123").await.unwrap_err();
        assert!(again.contains("30 days"), "{again}");
        // A STOP between question and yes is the last word.
        rig.mo(NEW_YORK, S, "STOP").await;
        rig.take_reply(S, NEW_YORK).await;
        rig.mo(NEW_YORK, S, "YES").await;
        assert_eq!(rig.submit(S, NEW_YORK).await, OPTED_OUT);
        rig.mo(BOSTON, S2, "STOP").await;
        rig.take_reply(S2, BOSTON).await;
        let refused = ask(&rig, "+16175550123").await.unwrap_err();
        assert!(refused.contains("OPT-25"), "{refused}");
        // Outside +1 a STOP reaches a pool; a yes would be to all of the account.
        rig.mo(DUTCH, TOLL_FREE, "STOP").await;
        let refused = ask(&rig, "+31612345678").await.unwrap_err();
        assert!(refused.contains("OPT-25"), "{refused}");
        let foreign = act(&rig.world.hub, &question("+13125550123", "55557")).await;
        assert!(foreign.unwrap_err().contains("not the account's"));
        let letters = act(&rig.world.hub, &question("+13125550123", "Shop")).await;
        assert!(letters.is_err());
        rig.mo(R2, S, "HELP").await;
        assert!(
            rig.take_reply(S, R2).await.contains("help"),
            "and nothing went out before"
        );
    });
}

#[test]
fn opt_18_start_of_who_said_nothing_is_a_consent_where_the_account_wants_it() {
    scenario(|| async {
        for (lines, consents) in [("", 0), ("opt_in = \"consent\"", 1)] {
            let mut rig = Rig::new(config(&[(OF_A, lines)]), 216).await;
            rig.mo(NEW_YORK, S, "START").await;
            let known = rig
                .world
                .hub
                .with_gate(|gate, _| gate.spool().standing().consents().len());
            assert_eq!(known, consents, "{lines}");
        }
    });
}

/// Two accounts of a brand have one number: a yes is to who asked, and what one of them is told is no answer to the other.
#[test]
fn con_5_a_yes_is_to_who_asked_and_anothers_opt_out_leaves_it_open() {
    scenario(|| async {
        let shared = [
            (OF_A, "consent = \"require\""),
            (
                "system_id = \"B\"",
                "consent = \"require\"\nprogram = \"Example B\"",
            ),
        ];
        let text = include_str!("../../../config/compliance.toml");
        assert!(text.contains("system_id = \"B\""));
        let mut rig = Rig::new(config(&shared), 217).await;
        let asks = Deed {
            account: "B".to_owned(),
            ..question("+12125550123", "55557")
        };
        assert_eq!(act(&rig.world.hub, &asks).await.unwrap()["asked"], 1);
        assert!(rig.take_reply(OF_B, NEW_YORK).await.contains("reply YES"));
        // An opt-out of A's.
        let stop = Deed {
            kind: DeedKind::OptOutAdd,
            ..question("+12125550123", "55555")
        };
        assert_eq!(act(&rig.world.hub, &stop).await.unwrap()["entered"], 1);
        let mo = Sm {
            short_message: ShortMessage::new(b"YES").unwrap(),
            ..sm(NEW_YORK, OF_B)
        };
        assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
        let heard = rig.take_reply(OF_B, NEW_YORK).await;
        assert!(heard.contains("subscribed"), "{heard}");
        let consents = rig.world.hub.with_gate(|gate, _| {
            let standing = gate.spool().standing();
            let stands = standing.consents().of(&standing.who(NEW_YORK));
            let scopes = stands
                .iter()
                .filter_map(|stand| standing.scopes().scope(stand.scope));
            scopes.cloned().collect::<Vec<_>>()
        });
        assert_eq!(consents, [Scope::account("B")]);
    });
}
