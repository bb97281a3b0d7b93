//! What is known of one unfinished message, in order: what the spool's records tell, and how it stands now. No text, no
//! number, no carrier's id (P4).

use serde_json::{Map, Value, json};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::record::Stage;
use tidegate_store::spool::{Step, Story, Told, Wanted};

use super::listing::instant;
use super::steering::fields;
use super::{Answer, filed};
use crate::clock::Now;
use crate::gate::Gate;
use crate::router::CarrierIndex;
use crate::serve::Hub;
use crate::telemetry::state_label;

/// Legs whose way is told: of a message to more the first ones.
const WAYS_MAX: usize = 100;

/// Tells it.
pub(super) async fn story_of<D: Disk>(hub: &Hub<D>, id: &str, account: Option<&str>) -> Answer {
    let (wanted, filed) = match hub.look(|gate, _| gate.story_wanted(id, account))? {
        Some(wanted) => (wanted, Vec::new()),
        None => {
            let legs = filed::look_up(hub, id, account).await;
            let legs = legs.map_err(|why| format!("{why}; {}", filed::ASK_SHOW))?;
            (hub.look(|gate, _| gate.filed_wanted(&legs))?, legs)
        }
    };
    let records = hub.records().ok_or(filed::NO_RECORDS)?;
    let story = records.story(wanted.clone()).await?;
    // It may have ended meanwhile: what the records tell is told all the same.
    let ways = hub.look(|gate, now| gate.ways_shown(now, &wanted, &filed));
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
        (Stage::Held, true) => "stored, held",
        (Stage::Held, false) => "stored again, held",
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
    /// What is to be looked for; `None` where no message in memory has this id.
    fn story_wanted(&self, id: &str, account: Option<&str>) -> Result<Option<Wanted>, String> {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let Some(message) = self.message_called(id.as_bytes(), account) else {
            return Ok(None);
        };
        let leg = self.spool.index().legs_of(message).map(|(_, leg)| leg).next();
        leg.map(|leg| self.wanted(leg, Some(self.spool.first_segment(message).unwrap_or_default())))
            .transpose()
    }

    /// The same of one whose legs lie in waiting files.
    fn filed_wanted(&self, legs: &[Leg]) -> Result<Wanted, String> {
        self.wanted(legs.first().ok_or(filed::ENDED)?, None)
    }

    fn wanted(&self, leg: &Leg, first: Option<u64>) -> Result<Wanted, String> {
        let name = self.spool.names().name(leg.account);
        Ok(Wanted {
            message: leg.message,
            account: name
                .parse()
                .map_err(|_| format!("{name:?} is no account's name"))?,
            called: self
                .id_text(leg.message, leg.envelope.id_form)
                .as_bytes()
                .to_vec(),
            first,
        })
    }

    /// How its legs stand, and which way each may go: its route, and how each carrier of that stands.
    fn ways_shown(&self, now: Now, wanted: &Wanted, filed: &[Leg]) -> Vec<Value> {
        let index = self.spool.index();
        let wholes: Vec<(LegId, &Leg)> = index.legs_of(wanted.message).collect();
        let parts = wholes
            .iter()
            .flat_map(|(_, leg)| index.parts_of(wanted.message, leg.whole()));
        let mut legs: Vec<&Leg> = wholes.iter().copied().chain(parts).map(|(_, leg)| leg).collect();
        legs.extend(
            filed
                .iter()
                .filter(|leg| index.find(leg.message, leg.leg).is_none()),
        );
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
