//! Generations of the suppression key at the control socket (PSN-4): a new one, the rewriting of what stands under older
//! ones, and the end of one that nothing needs. The keeper has the ring, and the loop what is remembered of people.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::seal::Purpose;
use tidegate_store::standing::{Standing, nobody};
use tokio::sync::{mpsc, oneshot};

use super::Answer;
use super::keys::ordered;
use super::people::journaled;
use crate::keeper::RingOrder;
use crate::register::Wanted;
use crate::serve::Hub;
use crate::turn::Promise;

/// Entries of the register that are looked at in one go.
const LOOK_AT: usize = 1_000;
/// Pause between two tries to have renamed who was found.
const PAUSE: Duration = Duration::from_millis(5);
/// So many tries, some seconds: behind by more, the disk is full, or the journal fails.
const TRIES_MAX: u32 = 2_000;

/// What stands under each generation, oldest first.
pub(super) fn shown<D: Disk>(hub: &Hub<D>) -> Value {
    hub.look(|gate, now| {
        let standing = gate.spool().standing();
        let generations = standing.generations().into_iter();
        generations
            .map(|(generation, made_ms)| one(standing, generation, made_ms, now.unix_ms))
            .collect()
    })
}

fn one(standing: &Standing, generation: u8, made_ms: u64, now_ms: u64) -> Value {
    let held = standing.held_by(generation, now_ms);
    json!({
        "generation": generation,
        "since_ms": made_ms,
        "opt_outs": held.opt_outs,
        "consents": held.consents,
        "others": held.others,
        "senders": held.senders,
        "counted": held.counted,
    })
}

fn all<D: Disk>(hub: &Hub<D>) -> Map<String, Value> {
    Map::from_iter([("suppression".to_owned(), shown(hub))])
}

/// Makes a new generation: in the ring first, then for whoever is not known yet.
pub(super) async fn rotate<D: Disk>(hub: &Hub<D>) -> Answer {
    let orders = hub.key_ring().ok_or("this gateway has no keeper")?;
    let (answer, answered) = oneshot::channel();
    let now_ms = hub.now().unix_ms;
    let order = RingOrder::NewGeneration { now_ms, answer };
    let given = orders.try_send(order);
    given.map_err(|_| "the keeper is busy with other requests, or ends")?;
    let secret = answered
        .await
        .unwrap_or_else(|_| Err("the gateway ends".to_owned()))?;
    hub.with_gate(|gate, _| gate.spool_mut().adopt_generation(&secret));
    Ok(all(hub))
}

/// Ends a generation that nothing needs: the journal says so first, and then its secret is destroyed.
pub(super) async fn retire<D: Disk>(hub: &Hub<D>, generation: u8) -> Answer {
    // What is ordered from here on is ordered by the generations that are left.
    let orders = hub.orders();
    let _alone = match &orders {
        Some(orders) => Some(orders.turn().await),
        None => None,
    };
    let begun = hub.cases().map_or(0, |cases| cases.begun_under(generation));
    if begun > 0 {
        return Err(format!(
            "generation {generation} is needed: {begun} senders that cases are about to suspend; ask again"
        ));
    }
    let (done, mut is_done) = mpsc::channel(1);
    let is_staged = hub.with_gate(|gate, now| {
        let is_staged = gate.retire_generation(now, generation)?;
        if is_staged {
            gate.promises.push(Promise::Deed { done });
        }
        Ok::<_, String>(is_staged)
    })?;
    if is_staged && is_done.recv().await != Some(true) {
        return Err("it cannot be put on disk".to_owned());
    }
    journaled(hub).await?;
    let now_ms = hub.now().unix_ms;
    let destroyed = ordered(hub, |answer| RingOrder::DestroyGeneration {
        generation,
        now_ms,
        answer,
    })
    .await?;
    let mut told = all(hub);
    told.extend(destroyed);
    Ok(told)
}

/// Looks for everybody whose number an account may still see, so that who stands under an older generation goes by the newest.
/// Says how many numbers were looked for, and what still stands under each generation: whose number is kept nowhere is
/// rewritten when a message is for that number, or from it.
pub(super) async fn rewrite<D: Disk>(hub: &Hub<D>) -> Answer {
    journaled(hub).await?;
    let register = hub.listed().ok_or("this gateway has no register of opt-outs")?;
    let nobody: SystemId = nobody().ok_or("no account")?;
    let (mut after, mut looked_for) = (None, 0u64);
    loop {
        let wanted = Wanted::Numbers {
            after,
            limit: LOOK_AT,
        };
        let page = register.ask(nobody, Purpose::Sweep, wanted).await?;
        let numbers = page.get("numbers").and_then(Value::as_array);
        let numbers: Vec<&str> = numbers.into_iter().flatten().filter_map(Value::as_str).collect();
        hub.look(|gate, _| {
            for number in &numbers {
                gate.spool().standing().who(number.as_bytes());
            }
        });
        looked_for += numbers.len() as u64;
        renamed(hub).await?;
        after = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    journaled(hub).await?;
    let mut told = all(hub);
    told.insert("looked_for".to_owned(), json!(looked_for));
    Ok(told)
}

/// Waits until who was found is renamed.
async fn renamed<D: Disk>(hub: &Hub<D>) -> Result<(), String> {
    for _ in 0..TRIES_MAX {
        let is_over = hub.with_gate(|gate, now| {
            gate.rename_seen(now);
            !gate.spool().standing().has_seen()
        });
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("it cannot be stored now: what is rewritten is, the rest is to be asked for again".to_owned())
}
