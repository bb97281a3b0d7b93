//! The retention sweep at the control socket: what is due, a sweep now, a clock that is right, and what is left of
//! messages that were de-identified.
//!
//! ```text
//! {"version":1,"verb":"retention plan"}
//! {"version":1,"verb":"stats","account":"shop"}
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Cells, Direction, Kept, Order, PeriodKey, Report};
use tokio::sync::oneshot;

use super::Answer;
use super::rebuild::rebuild;
use super::request::{Keys, line};
use super::steering::fields;
use crate::serve::Hub;
use crate::sweep::{SweepOrder, plan};

/// Messages that a cell must have that tells networks apart (EXP-4).
const CELL_MIN: u64 = 10;
/// Octets of a reason.
const REASON_MAX: usize = 200;
/// Rows of an answer.
const ROWS_MAX: usize = 10_000;

/// What is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retain {
    /// What is due now, and next.
    Plan,
    /// A sweep, now.
    Sweep,
    /// Another key for each living lot of history.
    RotateData {
        /// Of this account only.
        account: Option<String>,
        /// Of this class only.
        class: Option<Kept>,
    },
    /// The same, and what is kept of an account that is in no configuration goes, too.
    Forget {
        /// The account.
        account: String,
        /// A ticket, a matter: 1 to 200 octets.
        reason: String,
    },
    /// The clock is right, although it has jumped.
    ConfirmClock,
    /// Indexes and filters of the history anew.
    Rebuild {
        /// Of files that begin on this day only.
        period: Option<String>,
        /// Not the filters.
        index_only: bool,
    },
    /// What is left of messages that were de-identified.
    Stats {
        /// Of this account only.
        account: Option<String>,
    },
}

impl Retain {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Plan => "retention plan",
            Self::Sweep => "retention sweep",
            Self::RotateData { .. } => "key rotate-data",
            Self::Forget { .. } => "retention forget",
            Self::ConfirmClock => "retention confirm-clock",
            Self::Rebuild { .. } => "store rebuild",
            Self::Stats { .. } => "stats",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Plan | Self::Stats { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::Stats { account } => json!({ "account": account }),
            Self::RotateData { account, class } => {
                json!({ "account": account, "class": class.map(Kept::word) })
            }
            Self::Forget { account, reason } => json!({ "account": account, "reason": reason }),
            Self::Rebuild { period, index_only } => json!({ "period": period, "index_only": index_only }),
            Self::Plan | Self::Sweep | Self::ConfirmClock => json!({}),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        Some(match verb {
            "retention plan" => Ok(Self::Plan),
            "retention sweep" => Ok(Self::Sweep),
            "retention forget" => Keys(request).needed("account").and_then(|account| {
                let reason = Keys(request).needed("reason")?;
                match (1..=REASON_MAX).contains(&reason.len()) {
                    true => Ok(Self::Forget { account, reason }),
                    false => Err(format!("\"reason\" has 1 to {REASON_MAX} octets")),
                }
            }),
            "retention confirm-clock" => Ok(Self::ConfirmClock),
            "key rotate-data" => {
                let class = Keys(request).one_of("class", &Kept::ALL, Kept::word);
                let account = Keys(request).text("account");
                class.and_then(|class| {
                    Ok(Self::RotateData {
                        account: account?,
                        class,
                    })
                })
            }
            "store rebuild" => Keys(request).text("period").and_then(|period| {
                let index_only = Keys(request).flag("index_only")?;
                Ok(Self::Rebuild { period, index_only })
            }),
            "stats" => Keys(request)
                .text("account")
                .map(|account| Self::Stats { account }),
            _ => return None,
        })
    }
}

/// Does it.
pub(super) async fn retain<D: Disk>(hub: &Hub<D>, retain: &Retain) -> Answer {
    match retain {
        Retain::Plan => plan(hub).await,
        Retain::RotateData { account, class } => {
            let account = account.as_deref().map(str::parse).transpose();
            let account: Option<SystemId> = account.map_err(|_| "there is no such account".to_owned())?;
            ordered(hub, |answer| SweepOrder::RotateData(account, *class, answer)).await
        }
        Retain::Sweep => ordered(hub, |answer| SweepOrder::Run(None, answer)).await,
        Retain::Forget { account, .. } => {
            let account = unknown(hub, account)?;
            if let Some(exports) = hub.exports() {
                exports.give_up(Some(account), u64::MAX);
            }
            ordered(hub, |answer| SweepOrder::Run(Some(account), answer)).await
        }
        Retain::ConfirmClock => ordered(hub, SweepOrder::ConfirmClock).await,
        Retain::Rebuild { period, index_only } => rebuild(hub, period.as_deref(), *index_only).await,
        Retain::Stats { account } => stats(hub, account.as_deref()).await,
    }
}

/// The name of an account that is in no configuration: rules say nothing about what is kept of it.
fn unknown<D: Disk>(hub: &Hub<D>, name: &str) -> Result<SystemId, String> {
    let account: SystemId = name
        .parse()
        .map_err(|_| "\"account\" is no account's name".to_owned())?;
    let is_known = hub.look(|gate, _| {
        let mut accounts = gate.config().accounts.iter();
        accounts.any(|there| there.system_id == account)
    });
    match is_known {
        true => Err(format!(
            "account {account} is in the configuration: its rules and instructions say what is kept of it"
        )),
        false => Ok(account),
    }
}

async fn ordered<D: Disk>(hub: &Hub<D>, order: impl FnOnce(oneshot::Sender<Answer>) -> SweepOrder) -> Answer {
    let orders = hub.sweep().ok_or("this gateway has no retention sweep")?;
    let (answer, answered) = oneshot::channel();
    let given = orders.try_send(order(answer));
    given.map_err(|_| "the sweep is busy with other requests, or the gateway ends")?;
    answered
        .await
        .unwrap_or_else(|_| Err("the gateway ends".to_owned()))
}

/// What the statistics tell apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    /// The day, counted from 1970.
    pub(crate) day: u32,
    is_mo: bool,
    country: [u8; 2],
    state: u8,
    /// `None` stands for all those that have too few messages.
    network: Option<u32>,
}

/// Counts by day, direction, country, state and network; a network with fewer than [`CELL_MIN`] messages is not told apart from
/// others.
fn shown(cells: &Cells) -> BTreeMap<Shown, u64> {
    let mut all: BTreeMap<Shown, u64> = BTreeMap::new();
    for (cell, count) in cells {
        let key = Shown {
            day: cell.day,
            is_mo: cell.is_mo,
            country: cell.place.country,
            state: cell.state,
            network: Some(cell.place.network),
        };
        *all.entry(key).or_default() += count;
    }
    let mut shown: BTreeMap<Shown, u64> = BTreeMap::new();
    for (key, count) in all {
        let network = key.network.filter(|_| count >= CELL_MIN);
        *shown.entry(Shown { network, ..key }).or_default() += count;
    }
    shown
}

/// The same as rows, with the names of their columns.
pub(crate) fn shown_cells(cells: &Cells) -> impl Iterator<Item = (Shown, Map<String, Value>)> {
    shown(cells).into_iter().map(|(key, count)| {
        let state = tidegate_codec::values::MessageState::from_octet(key.state);
        let network = match key.network {
            Some(0) => json!(null),
            Some(network) => json!(network),
            None => json!("other"),
        };
        let country = key.country;
        let direction = match key.is_mo {
            true => Direction::Mo,
            false => Direction::Mt,
        };
        let row = json!({
            "day": PeriodKey::name_of_day(key.day),
            "direction": direction.word(),
            "country": (country != [0; 2]).then(|| String::from_utf8_lossy(&country).into_owned()),
            "network": network,
            "status": state.map(tidegate_codec::values::MessageState::stat),
            "messages": count,
        });
        (key, fields(row))
    })
}

async fn stats<D: Disk>(hub: &Hub<D>, account: Option<&str>) -> Answer {
    // One that is gone from the configuration has statistics all the same.
    let whose: Option<SystemId> = match account {
        None => None,
        Some(name) => Some(
            name.parse()
                .map_err(|_| format!("there is no account {name:?}"))?,
        ),
    };
    let Report::Stats(all) = hub.ask_history(Order::Stats).await? else {
        return Err("history answers something else".to_owned());
    };
    let (mut rows, mut messages, mut more) = (Vec::new(), 0u64, 0u64);
    for (account, cells) in all
        .iter()
        .filter(|(of, _)| whose.is_none_or(|whose| whose == *of))
    {
        for (_, mut row) in shown_cells(cells) {
            messages += row.get("messages").and_then(Value::as_u64).unwrap_or(0);
            if rows.len() == ROWS_MAX {
                more += 1;
                continue;
            }
            row.insert("account".to_owned(), json!(account.as_str()));
            rows.push(Value::Object(row));
        }
    }
    Ok(fields(
        json!({ "rows": rows, "messages": messages, "more": more }),
    ))
}

#[cfg(test)]
mod tests {
    use tidegate_store::history::{Cell, Place};

    use super::*;

    #[test]
    fn networks_with_few_messages_are_not_told_apart() {
        let cell = |network: u32, parts: u8| Cell {
            day: 1,
            place: Place {
                country: *b"GB",
                network,
            },
            is_mo: false,
            sender_ton: 1,
            state: 2,
            parts,
        };
        let cells = Cells::from([(cell(1, 1), 6), (cell(1, 2), 4), (cell(2, 1), 9), (cell(3, 1), 2)]);
        let told: Vec<_> = shown(&cells)
            .into_iter()
            .map(|(key, count)| (key.network, count))
            .collect();
        assert_eq!(told, [(None, 11), (Some(1), 10)]);
        // What handsets wrote is not added to what was sent to them.
        let both = [false, true].map(|is_mo| (Cell { is_mo, ..cell(1, 1) }, 10));
        let told: Vec<_> = shown_cells(&Cells::from(both))
            .map(|(_, row)| (row["direction"].clone(), row["messages"].clone()))
            .collect();
        assert_eq!(told, [(json!("mt"), json!(10)), (json!("mo"), json!(10))]);
    }
}
