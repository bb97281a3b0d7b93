//! What is due now, and what will be: for an operator who looks before a sweep does anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Lot, Order, Report};

use super::consents::over;
use super::told;
use crate::control::{Answer, instant};
use crate::keeping::Stands;
use crate::serve::Hub;

/// Rows of an answer; the accounts' sums cover all.
const ROWS_MAX: usize = 1_000;

/// What is counted of lots.
#[derive(Clone, Debug, Default)]
struct Counted {
    lots: u64,
    records: u64,
    octets: u64,
    due: [u64; 2],
    gone: u64,
    undated: u64,
    without_rule: u64,
    /// The earliest date of those that are not due.
    next_ms: Option<u64>,
}

impl Counted {
    fn add(&mut self, lot: &Lot, stands: Option<Stands>) {
        self.lots += 1;
        self.records += lot.records;
        self.octets += lot.octets;
        match stands {
            None => self.gone += 1,
            Some(Stands::Due { .. }) => {
                let [lots, records] = &mut self.due;
                *lots += 1;
                *records += lot.records;
            }
            Some(Stands::Until(due_ms)) => {
                self.next_ms = Some(self.next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms)));
            }
            Some(Stands::Undated) => self.undated += 1,
            Some(Stands::WithoutRule) => self.without_rule += 1,
        }
    }

    fn shown(&self, account: SystemId, class: Kept, is_known: bool) -> Value {
        let [due_lots, due_records] = self.due;
        json!({
            "account": account.as_str(),
            "class": class.word(),
            "lots": self.lots,
            "records": self.records,
            "octets": self.octets,
            "due_lots": due_lots,
            "due_records": due_records,
            "gone_lots": self.gone,
            "undated_lots": self.undated,
            "lots_without_rule": self.without_rule,
            "is_known": is_known,
            "next": self.next_ms.map(instant),
        })
    }
}

/// Goes through all files, one after the other.
///
/// # Errors
///
/// In words for an operator: a file cannot be read.
pub(crate) async fn plan<D: Disk>(hub: &Hub<D>) -> Answer {
    let keeping = hub
        .look(|gate, _| gate.keeping().cloned())
        .ok_or("this gateway keeps no finished messages")?;
    let Report::Periods(files) = hub.ask_history(Order::Periods).await? else {
        return Err("history answers something else".to_owned());
    };
    let is_doubted = keeping.believed().doubts(hub.now().unix_ms);
    let now_ms = keeping.believed().at(hub.now().unix_ms);
    let known: BTreeSet<SystemId> = hub.look(|gate, _| {
        let accounts = gate.config().accounts.iter();
        accounts.map(|account| account.system_id).collect()
    });
    let is_known = |account: SystemId| known.contains(&account);
    let mut sums: BTreeMap<(SystemId, Kept), Counted> = BTreeMap::new();
    let (mut rows, mut more) = (Vec::new(), 0u64);
    let count = files.len();
    for file in files {
        let Report::Lots(lots) = hub.ask_history(Order::Lots(file.clone())).await? else {
            return Err("history answers something else".to_owned());
        };
        let mut of_file: BTreeMap<SystemId, Counted> = BTreeMap::new();
        for lot in &lots {
            let stands = lot.is_there.then(|| keeping.lot(lot, now_ms));
            of_file.entry(lot.account).or_default().add(lot, stands);
            sums.entry((lot.account, lot.class)).or_default().add(lot, stands);
        }
        for (account, counted) in of_file {
            if rows.len() == ROWS_MAX {
                more += 1;
                continue;
            }
            let mut row = counted.shown(account, file.class, is_known(account));
            row["file"] = json!(file.to_string());
            rows.push(row);
        }
    }
    let accounts: Vec<Value> = sums
        .iter()
        .map(|((account, class), counted)| counted.shown(*account, *class, is_known(*account)))
        .collect();
    let consents: Vec<Value> = over(hub, now_ms)
        .await?
        .iter()
        .map(|(account, count)| json!({ "account": account.as_str(), "due": count }))
        .collect();
    Ok(told(json!({
        "at": instant(now_ms),
        "clock_believed": !is_doubted,
        "files": count,
        "accounts": accounts,
        "rows": rows,
        "more": more,
        "consents": consents,
    })))
}
