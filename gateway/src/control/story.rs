//! What is known of one unfinished message, in order: what the spool's records tell, and how it stands now. No text, no
//! number, no carrier's id (P4).

use serde_json::{Map, Value, json};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::record::Stage;
use tidegate_store::spool::{Step, Story, Told, Wanted};

use super::Answer;
use super::listing::instant;
use super::steering::fields;
use crate::clock::Now;
use crate::gate::Gate;
use crate::router::CarrierIndex;
use crate::serve::Hub;
use crate::telemetry::state_label;

/// Legs whose way is told: of a message to more the first ones.
const WAYS_MAX: usize = 100;

const NOT_THERE: &str = "no unfinished message in memory has this id. The history of finished ones is not built yet; ids of 8 digits are known with \
                         their account only, and what has waited for its receipt for longer than `receipt_hot` lies in a file";

/// Tells it.
pub(super) async fn story_of<D: Disk>(hub: &Hub<D>, id: &str, account: Option<&str>) -> Answer {
    let wanted = hub.look(|gate, _| gate.story_wanted(id, account))?;
    let records = hub.records().ok_or("this gateway's records cannot be read")?;
    let story = records.story(wanted.clone()).await?;
    // It may have ended meanwhile: what the records tell is told all the same.
    let ways = hub.look(|gate, now| gate.ways_shown(now, &wanted));
    Ok(shown(id, &wanted, &story, &ways))
}

fn shown(id: &str, wanted: &Wanted, story: &Story, ways: &[Value]) -> Map<String, Value> {
    let mut steps = Vec::new();
    for told in &story.steps {
        steps.push(step_shown(told));
    }
    fields(json!({
        "id": id,
        "account": wanted.account.as_str(),
        "accepted": instant(wanted.message.ms()),
        "steps": steps,
        "now": ways,
        "has_more": story.has_more,
        "damaged": story.damaged,
    }))
}

const fn written_words(stage: Stage, is_first: bool) -> &'static str {
    match (stage, is_first) {
        (Stage::Waiting, true) => "stored",
        (Stage::Waiting, false) => "stored again",
        (Stage::HandedOver, _) => "stored again, handed over",
        (Stage::InParts, _) => "stored again, in parts",
    }
}

fn step_shown(told: &Told) -> Value {
    let [part, recipient] = told.leg.to_be_bytes();
    let is_receipt = matches!(told.step, Step::Receipt(_) | Step::ReceiptDone(_));
    let (mut carrier, mut attempts, mut until_ms, mut state) = (None, None, None, None);
    let what = match &told.step {
        Step::Written {
            stage,
            attempts: tries,
            is_first,
        } => {
            attempts = Some(*tries);
            written_words(*stage, *is_first)
        }
        Step::HandedOver {
            carrier: to,
            attempts: tries,
            deadline_ms,
        } => {
            (carrier, attempts, until_ms) = (Some(to), Some(*tries), Some(*deadline_ms));
            "handed over"
        }
        Step::PutOff {
            due_ms,
            attempts: tries,
        } => {
            (attempts, until_ms) = (Some(*tries), Some(*due_ms));
            "put off"
        }
        Step::Filed => "moved to a waiting file",
        Step::Ended {
            state: how,
            done_ms,
            attempts: tries,
        } => {
            (attempts, until_ms, state) = (Some(*tries), Some(*done_ms), Some(state_label(*how)));
            "ended"
        }
        Step::Receipt(_) => "receipt made",
        Step::ReceiptDone(_) => "receipt fetched or given up",
        Step::Unreadable => "a record that cannot be read",
    };
    json!({
        "time": instant(told.at_ms),
        "what": what,
        "recipient": (!is_receipt).then_some(recipient),
        "part": (!is_receipt && part != 0).then_some(part),
        "carrier": carrier,
        "attempts": attempts,
        "date": until_ms.map(instant),
        "state": state,
    })
}

impl<D: Disk> Gate<D> {
    /// What is to be looked for.
    fn story_wanted(&self, id: &str, account: Option<&str>) -> Result<Wanted, String> {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let message = self.message_called(id.as_bytes(), account).ok_or(NOT_THERE)?;
        let index = self.spool.index();
        let leg = index
            .legs_of(message)
            .map(|(_, leg)| leg)
            .next()
            .ok_or(NOT_THERE)?;
        let name = self.spool.names().name(leg.account);
        Ok(Wanted {
            message,
            account: name.parse().map_err(|_| NOT_THERE)?,
            called: self.id_text(message, leg.envelope.id_form).as_bytes().to_vec(),
            first: self.spool.first_segment(message).unwrap_or_default(),
        })
    }

    /// How its legs stand, and which way each may go: its route, and how each carrier of that stands.
    fn ways_shown(&self, now: Now, wanted: &Wanted) -> Vec<Value> {
        let index = self.spool.index();
        let wholes: Vec<(LegId, &Leg)> = index.legs_of(wanted.message).collect();
        let parts = wholes
            .iter()
            .flat_map(|(_, leg)| index.parts_of(wanted.message, leg.whole()));
        let mut legs: Vec<&Leg> = wholes.iter().copied().chain(parts).map(|(_, leg)| leg).collect();
        legs.sort_unstable_by_key(|leg| (leg.whole(), leg.part()));
        legs.into_iter()
            .take(WAYS_MAX)
            .map(|leg| self.way_shown(now, leg))
            .collect()
    }

    fn way_shown(&self, now: Now, leg: &Leg) -> Value {
        let way = self.way_of(now, leg);
        let route = way.route().and_then(|place| self.config.mt_routes.get(place));
        let carriers: Vec<Value> = way
            .in_order(leg.attempts)
            .map(|CarrierIndex(place)| {
                json!({
                    "carrier": self.config.carriers[place].name.as_str(),
                    "state": self.carrier_word(now, place),
                })
            })
            .collect();
        let mut row = fields(self.leg_shown(now, leg));
        row.insert("route".to_owned(), json!(route.map(|route| &route.name)));
        row.insert("carriers".to_owned(), Value::Array(carriers));
        Value::Object(row)
    }
}
