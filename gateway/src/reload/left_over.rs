//! Work that a carrier would leave behind if it went: what waits for it, what its links have not answered, and what it
//! has and owes a receipt for.

use tidegate_config::{CarrierName, Config};
use tidegate_store::disk::Disk;
use tidegate_store::record::Stage;

use crate::gate::Gate;
use crate::serve::Hub;
use crate::telemetry::words::Answered;

/// Places of the index that are looked at between two turns.
const LOOK_MAX: usize = 4_096;

/// What was found about one carrier.
#[derive(Debug)]
pub(super) struct Looked {
    place: usize,
    /// Messages that it has, and whose receipt is to come, as far as memory knows.
    handed_over: u64,
    /// What it had taken when the looking began.
    taken: u64,
}

/// Whether another carrier says that it takes over from this one.
pub(super) fn is_taken_over(name: &CarrierName, new: &Config) -> bool {
    let mut carriers = new.carriers.iter();
    carriers.any(|carrier| carrier.takes_over.contains(name))
}

/// Those of which nobody says where their work goes.
pub(super) fn without_a_taker(removed: &[CarrierName], new: &Config) -> Vec<CarrierName> {
    let left = removed.iter().filter(|name| !is_taken_over(name, new));
    left.cloned().collect()
}

/// Looks for what carriers have, a little between two turns.
pub(super) async fn look<D: Disk>(hub: &Hub<D>, names: &[CarrierName]) -> Vec<Looked> {
    let mut looked: Vec<Looked> = hub.look(|gate, _| {
        let places = gate.config.carriers.iter().enumerate();
        let removed = places.filter(|(_, carrier)| names.contains(&carrier.name));
        let begin = |(place, _)| Looked {
            place,
            handed_over: 0,
            taken: gate.taken_by(place),
        };
        removed.map(begin).collect()
    });
    if looked.is_empty() {
        return looked;
    }
    let mut first = 0;
    while hub.look(|gate, _| gate.count_handed_over(&mut looked, first)) {
        first += LOOK_MAX;
        tokio::task::yield_now().await;
    }
    looked
}

impl<D: Disk> Gate<D> {
    fn taken_by(&self, place: usize) -> u64 {
        self.carriers[place].tally.answers.get(Answered::Accepted)
    }

    fn count_handed_over(&self, looked: &mut [Looked], first: usize) -> bool {
        let index = self.spool.index();
        for (_, leg) in index.slice(first, LOOK_MAX) {
            if leg.stage == Stage::HandedOver
                && let Some(carrier) = leg.carrier
                && let Some(looked) = looked
                    .iter_mut()
                    .find(|looked| self.carriers[looked.place].name == carrier)
            {
                looked.handed_over += 1;
            }
        }
        first + LOOK_MAX < index.places()
    }

    /// Why these carriers cannot go: at this moment.
    pub(super) fn left_over(&self, looked: &[Looked]) -> Vec<String> {
        let mut reasons = Vec::new();
        let index = self.spool.index();
        // Which carrier has them stands in the files.
        let filed = self.spool.waiting().legs;
        for looked in looked {
            let state = &self.carriers[looked.place];
            let name = &self.config.carriers[looked.place].name;
            let mut work = Vec::new();
            if state.waiting.has_any(|leg| index.get(leg).is_some()) {
                work.push(format!("up to {} messages wait for it", state.waiting.len()));
            }
            let unanswered = state.unanswered(&self.links);
            if unanswered > 0 {
                work.push(format!("{unanswered} messages are with it and not answered"));
            }
            // What it took since was perhaps looked for in vain.
            let handed_over = looked.handed_over + (self.taken_by(looked.place) - looked.taken);
            if handed_over > 0 {
                work.push(format!("up to {handed_over} messages wait for its receipts"));
            }
            if filed > 0 {
                work.push(format!(
                    "some of {filed} messages in waiting files may wait for its receipts"
                ));
            }
            if !work.is_empty() {
                reasons.push(format!(
                    "carrier.{name} cannot go: {}; say with `takes_over = [\"{name}\"]` which carrier takes over, or keep it \
                     until it has ended its work",
                    work.join(", ")
                ));
            }
        }
        reasons
    }
}
