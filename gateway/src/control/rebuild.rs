//! `store rebuild` at the control socket: the history's indexes and filters are made anew while the gateway runs.
//!
//! ```text
//! {"version":1,"verb":"store rebuild","period":"2026-03-02","index_only":true}
//! ```

use serde_json::json;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, PeriodKey, Rebuild, Report};

use super::Answer;
use super::steering::fields;
use crate::serve::Hub;

const FOREIGN: &str = "history answers something else";

/// Those that are meant: all, or those that begin on a day.
///
/// # Errors
///
/// There are none of that day.
pub(crate) fn meant(files: Vec<PeriodKey>, day: Option<&str>) -> Result<Vec<PeriodKey>, String> {
    let Some(day) = day else { return Ok(files) };
    let meant: Vec<PeriodKey> = files.into_iter().filter(|file| file.name() == day).collect();
    match meant.is_empty() {
        true => Err(format!(
            "the history has no file that begins on {day:?}: a day as in 2026-03-02, of a week its Monday"
        )),
        false => Ok(meant),
    }
}

/// How the first piece of each is made.
pub(crate) const fn first(index_only: bool) -> Rebuild {
    match index_only {
        true => Rebuild::Index,
        false => Rebuild::IndexAndFilter,
    }
}

/// Does it, a piece of the keeper's time after the other; each file is told in the log.
pub(super) async fn rebuild<D: Disk>(hub: &Hub<D>, day: Option<&str>, index_only: bool) -> Answer {
    let Report::Periods(files) = hub.ask_history(Order::Periods).await? else {
        return Err(FOREIGN.to_owned());
    };
    let files = meant(files, day)?;
    let count = files.len();
    for file in files {
        let mut how = first(index_only);
        loop {
            let Report::Rebuilt(more) = hub.ask_history(Order::Rebuild(file.clone(), how)).await? else {
                return Err(FOREIGN.to_owned());
            };
            if !more {
                break;
            }
            how = Rebuild::GoOn;
        }
        tracing::info!(%file, "the index of finished messages is made anew");
    }
    let filters = loop {
        let Report::Filters(more, counts, _) = hub.ask_history(Order::Filters(hub.now().unix_ms)).await?
        else {
            return Err(FOREIGN.to_owned());
        };
        if !more || index_only {
            break counts.filters;
        }
    };
    Ok(fields(json!({ "files": count, "filters": filters })))
}
