//! Opt-outs, contacts and consents by command: the acceptance cases of compliance.md §2.5, §2.6 and §3 that need no socket.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_gateway::clock::Now;
use tidegate_gateway::control::{Batch, Deed, DeedKind, Override, Row, act};
use tidegate_gateway::gate::Gate;
use tidegate_store::spool::Begin;
use tidegate_store::standing::{Change, Origin, Private, Scope, Via, What};

use super::rig::{OF_A, OF_B, OPTED_OUT, R, R2, Rig, S, bound, config, sm, submit_as};
use super::*;

fn row(line: u64, cells: &[(&str, &str)]) -> Row {
    let cells: BTreeMap<_, _> = cells.iter().copied().collect();
    Row {
        line,
        cells: cells
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect(),
    }
}

fn deed(kind: DeedKind, account: &str, cells: &[(&str, &str)]) -> Deed {
    Deed {
        rows: vec![row(1, cells)],
        ..Deed::new(kind, account)
    }
}

fn file(attest: Option<&str>) -> Option<Batch> {
    Some(Batch {
        batch: "batch-1".to_owned(),
        digest: "ab".repeat(32),
        attest: attest.map(str::to_owned),
    })
}

async fn done(rig: &Rig, deed: Deed) -> Map<String, Value> {
    act(&rig.world.hub, &deed).await.unwrap()
}

fn overridden(approvers: &[&str]) -> Deed {
    Deed {
        by_override: Some(Override {
            approvers: approvers.iter().map(|name| (*name).to_owned()).collect(),
            evidence: "ticket 7".to_owned(),
        }),
        ..deed(DeedKind::OptOutRemove, "A", &[("number", NUMBER)])
    }
}

const NUMBER: &str = "+1 (555) 010-0123";

#[test]
fn opt_c26_an_account_lifts_what_it_imported_and_not_what_a_recipient_said() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 61).await;
        rig.stop(R, S).await;
        let remove = || deed(DeedKind::OptOutRemove, "A", &[("number", "0015550100123")]);
        let refused = act(&rig.world.hub, &remove()).await.unwrap_err();
        assert!(refused.contains("recipient"), "{refused}");
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        let imported = Deed {
            file: file(None),
            ..deed(DeedKind::OptOutImport, "A", &[("number", "15550100124")])
        };
        assert_eq!(done(&rig, imported).await["entered"], 1);
        assert_eq!(rig.submit(S, R2).await, OPTED_OUT);
        let remove = deed(DeedKind::OptOutRemove, "A", &[("number", "15550100124")]);
        assert_eq!(done(&rig, remove).await["blocked"], false);
        rig.sees_next(S, R2).await;
        let mut rig = rig.killed(62).await;
        rig.sees_next(S, R2).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn opt_c27_two_approvers_lift_once_in_thirty_days_over_a_restart_too() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 63).await;
        rig.stop(R, S).await;
        for approvers in [&["anna", " Anna "][..], &["anna"], &["anna", ""]] {
            let refused = act(&rig.world.hub, &overridden(approvers)).await.unwrap_err();
            assert!(refused.contains("two different approvers"), "{refused}");
        }
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        assert_eq!(done(&rig, overridden(&["anna", "berta"])).await["blocked"], false);
        let mut rig = rig.killed_for(Duration::from_hours(29 * 24), 64).await;
        rig.sees_next(S, R).await;
        rig.stop(R, S).await;
        let refused = act(&rig.world.hub, &overridden(&["anna", "clara"]))
            .await
            .unwrap_err();
        assert!(refused.contains("30 days"), "{refused}");
        let rig = rig.killed_for(Duration::from_hours(25), 71).await;
        assert_eq!(done(&rig, overridden(&["anna", "clara"])).await["blocked"], false);
    });
}

#[test]
fn opt_c28_an_upload_of_somebody_who_has_opted_out_changes_nothing_for_them() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 65).await;
        rig.stop(R, S).await;
        let contacts = |attest| Deed {
            file: file(attest),
            rows: vec![
                row(2, &[("number", NUMBER), ("opted_in", "true")]),
                row(3, &[("number", "15550100124"), ("opted_in", "yes")]),
                row(4, &[("number", "not a number"), ("opted_in", "yes")]),
                row(5, &[("number", "15550100125")]),
            ],
            ..Deed::new(DeedKind::ContactImport, "A")
        };
        let told = done(&rig, contacts(Some("web form of 2026"))).await;
        let counts = ["suppressed", "entered", "bad", "without_consent"].map(|key| told[key].clone());
        assert_eq!(counts, [1, 1, 1, 1].map(Value::from));
        assert_eq!(told["bad_rows"][0]["line"], 4);
        assert!(!told["bad_rows"].to_string().contains("not a number"));
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        rig.sees_next(S, R2).await;
    });
}

#[test]
fn con_c04_without_an_attestation_nothing_is_stored() {
    scenario(|| async {
        let rig = Rig::new(config(&[]), 66).await;
        for attest in [None, Some(" ")] {
            let contacts = Deed {
                file: file(attest),
                ..deed(
                    DeedKind::ContactImport,
                    "A",
                    &[("number", NUMBER), ("opted_in", "true")],
                )
            };
            let refused = act(&rig.world.hub, &contacts).await.unwrap_err();
            assert!(refused.contains("lawful basis"), "{refused}");
        }
        rig.world
            .hub
            .look(|gate, _| assert!(gate.spool().standing().consents().is_empty()));
    });
}

#[test]
fn opt_c35_by_a_form_it_is_the_recipient_s_word() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 67).await;
        let form = Deed {
            origin: Some(Origin::Recipient),
            ..deed(
                DeedKind::OptOutAdd,
                "A",
                &[
                    ("number", NUMBER),
                    ("sender", "55555"),
                    ("source", "https://example.com/stop"),
                    ("ip", "192.0.2.7"),
                ],
            )
        };
        assert_eq!(done(&rig, form.clone()).await["entered"], 1);
        assert_eq!(done(&rig, form).await["already"], 1);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        let check = done(
            &rig,
            deed(DeedKind::OptOutCheck, "A", &[("number", "1.555.010.0123")]),
        )
        .await;
        assert_eq!(check["entries"][0]["origins"], json!(["recipient"]));
        assert_eq!(check["entries"][0]["scope"], "account");
        let remove = deed(DeedKind::OptOutRemove, "A", &[("number", NUMBER)]);
        assert!(
            act(&rig.world.hub, &remove)
                .await
                .unwrap_err()
                .contains("recipient")
        );
        let mut rig = rig.killed(68).await;
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        // A START lifts it as if it had been a STOP.
        rig.mo(R, S, "START").await;
        rig.take_reply(S, R).await;
        rig.sees_next(S, R).await;
    });
}

#[test]
fn what_waits_is_stopped_by_a_command_and_other_accounts_neither_see_nor_touch_it() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "opt_out_scope = \"account\"")]), 69).await;
        let add = deed(DeedKind::OptOutAdd, "A", &[("number", NUMBER)]);
        assert_eq!(done(&rig, add).await["entered"], 1);
        let check = done(&rig, deed(DeedKind::OptOutCheck, "B", &[("number", NUMBER)])).await;
        assert_eq!(
            (&check["blocked"], &check["entries"]),
            (&json!(false), &json!([]))
        );
        let removed = done(&rig, deed(DeedKind::OptOutRemove, "B", &[("number", NUMBER)])).await;
        assert_eq!(removed["removed"], 0);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
        let of_others = deed(
            DeedKind::OptOutAdd,
            "B",
            &[
                ("number", "15550100124"),
                ("sender", "55555"),
                ("scope", "sender"),
            ],
        );
        let refused = act(&rig.world.hub, &of_others).await.unwrap_err();
        assert!(refused.contains("not the account's"), "{refused}");
        let mut b = bound(&rig.world, b"B").await;
        assert_eq!(submit_as(&mut b, 2, sm(OF_B, R)).await, CommandStatus::ROK);
    });
}

#[test]
fn a_full_disk_refuses_a_command_and_it_is_not_done() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 70).await;
        rig.sees_next(S, R).await;
        rig.world
            .disk
            .fail_on(Op::Write, "spool", 0, 1, std::io::ErrorKind::StorageFull);
        let add = || deed(DeedKind::OptOutAdd, "A", &[("number", NUMBER)]);
        let refused = act(&rig.world.hub, &add()).await.unwrap_err();
        assert!(refused.contains("disk"), "{refused}");
        rig.after(Duration::from_secs(5)).await;
        assert_eq!(done(&rig, add()).await["entered"], 1);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

/// Somebody's opt-out that is staged and not on disk yet.
fn staged(gate: &mut Gate<FaultyDisk>, now: Now) {
    let change = Change {
        who: gate.spool().standing().who(R),
        at_ms: now.unix_ms,
        event: 0,
        via: Via::Message,
        what: What::Suppress {
            scope: Scope::account("A"),
            origin: Origin::Account,
            categories: 0,
        },
        private: Private::number(R),
    };
    let mut rng = tidegate_gateway::random::generator().unwrap();
    let account = SystemId::new(b"A").unwrap();
    let spool = gate.spool_mut();
    spool
        .remember(now.unix_ms, account, change, true, &mut rng)
        .unwrap();
}

fn is_against(rig: &Rig) -> bool {
    rig.world.hub.look(|gate, _| {
        let standing = gate.spool().standing();
        standing.opt_outs().knows(&standing.who(R))
    })
}

#[test]
fn what_stands_already_is_told_only_when_it_is_on_disk() {
    scenario(|| async {
        let rig = Rig::new(config(&[]), 72).await;
        let add = || deed(DeedKind::OptOutAdd, "A", &[("number", NUMBER)]);
        let no_room = || {
            let disk = &rig.world.disk;
            disk.fail_on(Op::Write, "spool", 0, 1, std::io::ErrorKind::StorageFull);
        };
        // Staged for the next batch.
        rig.world.hub.look(staged);
        no_room();
        let refused = act(&rig.world.hub, &add()).await.unwrap_err();
        assert!(refused.contains("disk") && !is_against(&rig), "{refused}");
        rig.world.hub.look(staged);
        assert_eq!(done(&rig, add()).await["already"], 1);
        assert!(is_against(&rig));
        assert_eq!(
            done(&rig, add()).await["already"],
            1,
            "with nothing staged, at once"
        );
    });
}

#[test]
fn what_stands_already_by_a_batch_on_its_way_waits_for_it() {
    scenario(|| async {
        let rig = Rig::new(config(&[]), 73).await;
        let hub = &rig.world.hub;
        for is_full in [true, false] {
            let commit = hub.look(|gate, now| {
                staged(gate, now);
                let Begin::Commit(commit) = gate.begin_turn(now) else {
                    panic!("nothing on its way")
                };
                commit
            });
            let arrives = async {
                if is_full {
                    let disk = &rig.world.disk;
                    disk.fail_on(Op::Write, "spool", 0, 1, std::io::ErrorKind::StorageFull);
                }
                let done = commit.run();
                hub.with_gate(|gate, now| gate.commit_done(now, done, Duration::ZERO));
            };
            let add = deed(DeedKind::OptOutAdd, "A", &[("number", NUMBER)]);
            let (told, ()) = tokio::join!(act(hub, &add), arrives);
            assert_eq!(told.is_err(), is_full, "{told:?}");
            assert_eq!(is_against(&rig), !is_full);
        }
    });
}

#[test]
fn a_withdrawal_counts_against_a_grant_that_is_not_on_disk_yet() {
    scenario(|| async {
        let rig = Rig::new(config(&[]), 74).await;
        let [grant, withdraw] = [DeedKind::ConsentGrant, DeedKind::ConsentWithdraw]
            .map(|kind| deed(kind, "A", &[("number", NUMBER)]));
        let (granted, withdrawn) = tokio::join!(act(&rig.world.hub, &grant), act(&rig.world.hub, &withdraw));
        assert_eq!(granted.unwrap()["entered"], 1);
        assert_eq!(withdrawn.unwrap()["entered"], 1);
        rig.world
            .hub
            .look(|gate, _| assert!(gate.spool().standing().consents().is_empty()));
    });
}

/// Of account C, which lists a code of A's, all numbers of Britain, and nothing else.
const OF_C: &str = "\n[[account]]\nsystem_id = \"C\"\nmax_binds = 4\ncountry = \"US\"\ncountries = \"all\"\nbrand = \"shoes\"\n\
                    password_hashes = [\"$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0\"]\n\
                    senders = [\"55556\", \"+4477*\", \"212*\"]\n";
/// And of D, which may use any.
const OF_D: &str = "\n[[account]]\nsystem_id = \"D\"\nmax_binds = 4\ncountry = \"US\"\ncountries = \"all\"\n\
                    password_hashes = [\"$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0\"]\n";
const LAST: &str = "senders = [\"55557\"]";

#[test]
fn a_sender_is_the_account_s_that_lists_it_or_where_nobody_does_of_one_that_lists_none() {
    scenario(|| async {
        let rig = Rig::new(config(&[(LAST, &[OF_C, OF_D].concat())]), 75).await;
        let of = |kind, account, sender| {
            deed(
                kind,
                account,
                &[
                    ("number", "+31 6 12345678"),
                    ("sender", sender),
                    ("scope", "sender"),
                ],
            )
        };
        for (account, sender, is_own) in [
            ("A", "55555", true),
            ("B", "55555", false),
            ("D", "55555", false),
            ("C", "55556", true),
            ("C", "+44 7700 900123", false),
            ("C", "+447700900123", true),
            ("C", "447700900124", true),
            ("C", "2125550123", true),
            ("C", "4420123456", false),
            ("D", "447700900123", false),
            ("C", "Shop", false),
            ("D", "Shop", true),
        ] {
            for kind in [DeedKind::OptOutAdd, DeedKind::OptOutCheck] {
                let told = act(&rig.world.hub, &of(kind, account, sender)).await;
                assert_eq!(told.is_ok(), is_own, "{account} {sender} {told:?}");
            }
        }
        // Without a sender an account sees all that is its own, by a beginning too, and nothing that may be another's.
        for (account, count) in [("A", 2), ("B", 0), ("C", 3), ("D", 1)] {
            let check = deed(DeedKind::OptOutCheck, account, &[("number", "31612345678")]);
            let told = done(&rig, check).await;
            let entries = told["entries"].as_array().unwrap();
            assert_eq!(entries.len(), count, "{account} {entries:?}");
        }
    });
}

#[test]
fn an_account_lifts_nothing_that_may_be_another_s_and_an_override_lifts_all() {
    scenario(|| async {
        let rig = Rig::new(config(&[(LAST, OF_C)]), 76).await;
        let of =
            |kind, cells: &[(&str, &str)]| deed(kind, "C", &[&[("number", "31612345678")], cells].concat());
        let imported = |scope: &str| Deed {
            file: file(None),
            ..of(DeedKind::OptOutImport, &[("scope", scope)])
        };
        let told = done(&rig, imported("global")).await;
        assert_eq!(
            (&told["entered"], &told["bad"]),
            (&json!(0), &json!(1)),
            "{told:?}"
        );
        assert_eq!(done(&rig, imported("brand")).await["entered"], 1);
        for cells in [
            &[("scope", "global")][..],
            &[("scope", "sender"), ("sender", "55556")],
        ] {
            assert_eq!(done(&rig, of(DeedKind::OptOutAdd, cells)).await["entered"], 1);
        }
        for cells in [
            &[][..],
            &[("scope", "brand")],
            &[("scope", "global")],
            &[("scope", "sender")],
        ] {
            let refused = act(&rig.world.hub, &of(DeedKind::OptOutRemove, cells))
                .await
                .unwrap_err();
            assert!(refused.contains("override"), "{cells:?} {refused}");
        }
        // What is its own goes, and the rest stays.
        let own = [("scope", "sender"), ("sender", "447700900123")];
        assert_eq!(done(&rig, of(DeedKind::OptOutAdd, &own)).await["entered"], 1);
        assert_eq!(done(&rig, of(DeedKind::OptOutAdd, &[])).await["entered"], 1);
        let told = done(&rig, of(DeedKind::OptOutRemove, &[])).await;
        let left = |told: &Map<String, Value>| told["entries"].as_array().unwrap().len();
        assert_eq!((&told["removed"], left(&told)), (&json!(2), 3), "{told:?}");
        let lifted = Deed {
            by_override: overridden(&["anna", "berta"]).by_override,
            ..of(DeedKind::OptOutRemove, &[])
        };
        let told = done(&rig, lifted).await;
        assert_eq!((&told["removed"], left(&told)), (&json!(3), 0), "{told:?}");
    });
}

#[test]
fn a_list_does_not_bring_back_what_was_withdrawn_later_over_a_restart_too() {
    scenario(|| async {
        let rig = Rig::new(config(&[(OF_A, "consent = \"require\"")]), 77).await;
        let (then, later) = ("2026-11-20T12:00:00-05:00", "2026-11-20T12:00:00.001-05:00");
        let of = |kind, time| deed(kind, "A", &[("number", NUMBER), ("time", time)]);
        let listed = |cells: &[(&str, &str)]| Deed {
            file: file(Some("web form of 2026")),
            ..deed(
                DeedKind::ContactImport,
                "A",
                &[&[("number", NUMBER), ("opted_in", "true")], cells].concat(),
            )
        };
        let counts =
            |told: &Map<String, Value>| ["entered", "withdrawn"].map(|key| told[key].as_u64().unwrap());
        assert_eq!(counts(&done(&rig, listed(&[])).await), [1, 0]);
        done(&rig, of(DeedKind::ConsentWithdraw, then)).await;
        let rig = rig.killed(78).await;
        for cells in [&[][..], &[("time", then)]] {
            assert_eq!(counts(&done(&rig, listed(cells)).await), [0, 1], "{cells:?}");
            let has = rig
                .world
                .hub
                .look(|gate, _| !gate.spool().standing().consents().is_empty());
            assert!(!has);
        }
        assert_eq!(counts(&done(&rig, listed(&[("time", later)])).await), [1, 0]);
        assert_eq!(
            counts(&done(&rig, listed(&[])).await),
            [0, 1],
            "what a file says does not end it"
        );
        done(&rig, of(DeedKind::ConsentGrant, later)).await;
        assert_eq!(counts(&done(&rig, listed(&[])).await), [1, 0]);
    });
}

#[test]
fn who_asks_for_a_list_waits_for_no_counts() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 79).await;
        rig.world
            .disk
            .fail_on(Op::Create, ".sent", 0, 1_000, std::io::ErrorKind::Other);
        // Florida has a cap of its own, so that it is counted.
        rig.sees_next(S, b"13055550123").await;
        let add = deed(DeedKind::OptOutAdd, "A", &[("number", NUMBER)]);
        assert_eq!(done(&rig, add).await["entered"], 1);
        // A gateway on a disk in memory has no register: what comes behind the waiting.
        let listed = act(&rig.world.hub, &Deed::new(DeedKind::OptOutList, "A")).await;
        assert!(listed.unwrap_err().contains("no register"));
        let waiting = rig.world.hub.look(|gate, _| gate.spool().standing().waiting());
        assert!(
            waiting > 0,
            "the message is counted, and nowhere on disk for good"
        );
    });
}
