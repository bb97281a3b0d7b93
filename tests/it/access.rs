//! Break-glass: a token of role operate at what its role does not open, for a while (GEN-3).

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::{Accessing, Noticing, Steer, Verb};
use tidegate_store::audit::{Field, Kind, Value as Held, read};
use tidegate_store::disk::RealDisk;
use tidegate_tests::DEADLINE;

use crate::admin::{post, token};
use crate::sweeps::{DAY_MS, Scene, TEXT, TO};

/// What the audit log holds of grants: what became of them, and of which.
fn entries(scene: &Scene) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let dir = scene.local.dir.path().join("data/audit");
    read(&RealDisk, &dir, |logged| {
        let mut of = (String::new(), 0);
        for (field, held) in &logged.entry.details {
            match (field, held) {
                (Field::Outcome, Held::Word(word)) => word.as_str().clone_into(&mut of.0),
                (Field::Sequence, Held::Count(number)) => of.1 = *number,
                _ => {}
            }
        }
        if logged.entry.kind == Kind::BreakGlass {
            found.push(of);
        }
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn break_glass_lets_one_token_at_one_account_and_ends_at_its_time_over_a_restart_too() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (id, _) = scene.deliver("c-1").await;
    let ops = token(&scene.local, "ops", Role::Operate).await;
    let others = token(&scene.local, "others", Role::Operate).await;
    let board = token(&scene.local, "board", Role::Read).await;
    let body = json!({ "id": id, "account": "load", "purpose": "support", "reason": "INC-7" }).to_string();
    let no_account = json!({ "id": id, "purpose": "support", "reason": "INC-7" }).to_string();
    let show = "/v1/message/show";
    let mut at = scene.local.admin();
    assert_eq!(post(at, &ops, show, &body).await.0, 403);
    let grant = |class: &str, seconds: u64| {
        json!({ "account": "load", "class": class, "reason": "lost", "ticket": "INC-7", "for_s": seconds })
            .to_string()
    };
    let begin = "/v1/access/break-glass";
    assert_eq!(post(at, &board, begin, &grant("meta", 300)).await.0, 403);
    let (status, told) = post(at, &ops, begin, &grant("meta", 600)).await;
    assert_eq!((status, &told["token"]), (200, &json!("ops")), "{told}");
    let shown = |told: &Value| {
        (
            told["legs"][0]["to"].clone(),
            told["legs"][0]["text"]["shown"].clone(),
        )
    };
    // Numbers, and no further; named, and nobody else.
    let (status, told) = post(at, &ops, show, &body).await;
    assert_eq!((status, shown(&told)), (200, (json!(TO), Value::Null)));
    assert_eq!(post(at, &ops, show, &no_account).await.0, 403);
    // What is only kept of people is shown for legal claims: not by a word of one's own.
    let legal = body.replace("support", "legal");
    assert_eq!(post(at, &ops, show, &legal).await.0, 403);
    assert_eq!(post(at, &others, show, &body).await.0, 403);
    let export = json!({ "account": "load", "reason": "INC-7" }).to_string();
    assert_eq!(post(at, &ops, "/v1/export/create", &export).await.0, 403);
    assert_eq!(post(at, &ops, begin, &grant("body", 300)).await.0, 200);

    scene.restart();
    at = scene.local.admin();
    let begun_ms = scene.clock.now().unix_ms;
    let (status, told) = post(at, &ops, show, &body).await;
    assert_eq!((status, shown(&told)), (200, (json!(TO), json!(TEXT))));
    scene.set(begun_ms + 300_000);
    let (status, told) = post(at, &ops, show, &body).await;
    assert_eq!((status, shown(&told)), (200, (json!(TO), Value::Null)));
    scene.set(begun_ms + 600_000);
    assert_eq!(post(at, &ops, show, &body).await.0, 403);

    // Another token of that name is somebody else's.
    let again_ms = scene.clock.now().unix_ms;
    assert_eq!(post(at, &others, begin, &grant("body", 600)).await.0, 200);
    assert_eq!(post(at, &others, show, &body).await.0, 200);
    let name = "others".to_owned();
    scene.ask(Verb::TokenRevoke { name }).await.unwrap();
    let others = token(&scene.local, "others", Role::Operate).await;
    assert_eq!(post(at, &others, show, &body).await.0, 403);
    // A clock that is set back to before it began stops one, and one that has jumped begins none.
    assert_eq!(post(at, &others, begin, &grant("body", 600)).await.0, 200);
    assert_eq!(post(at, &others, show, &body).await.0, 200);
    scene.set(again_ms - 60_000);
    assert_eq!(post(at, &others, show, &body).await.0, 403);
    scene.set(again_ms + 30 * DAY_MS);
    let late = token(&scene.local, "late", Role::Operate).await;
    assert_eq!(post(at, &late, begin, &grant("meta", 600)).await.0, 409);
    scene.set(again_ms + 700_000);

    // The account is told of both, and sees both.
    let told = scene
        .ask(Verb::Notice(Noticing::List { account: None }))
        .await
        .unwrap();
    let notices = told["notices"].as_array().unwrap().iter();
    let about: Vec<&Value> = notices.map(|notice| &notice["about"]).collect();
    assert_eq!(about, [&json!("access"); 4]);
    let account = "load".to_owned();
    let told = scene
        .ask(Verb::Steer(Steer::AccountShow { account }))
        .await
        .unwrap();
    assert_eq!(told["break_glass"].as_array().unwrap().len(), 4);
    let looking = async {
        loop {
            let list = Accessing::List { account: None };
            let told = scene.ask(Verb::Access(list)).await.unwrap();
            let grants = told["grants"].as_array().unwrap().clone();
            if grants.iter().all(|grant| grant["ended_by"].is_string()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.expect("they end");
    let mut log = entries(&scene);
    let used = log.iter().filter(|(outcome, _)| outcome == "used").count();
    log.retain(|(outcome, _)| outcome != "used");
    log.sort_unstable();
    let of = |outcome: &str, number: u64| (outcome.to_owned(), number);
    let begun = (1..=4).map(|number| of("begun", number));
    let ended = (1..=4).map(|number| of("ended", number));
    assert_eq!(log, begun.chain(ended).collect::<Vec<_>>());
    assert_eq!(used, 5);
}
