//! Lists that may be long: looked through a little between two turns, and told a page at a time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_store::disk::Disk;
use tokio::task::yield_now;

use super::Answer;
use super::request::Page;
use super::shown::LinkStates;
use super::steering::fields;
use crate::links::LinkId;
use crate::serve::Hub;

/// Links that are looked at between two turns.
const LINKS_AT_ONCE: usize = 4_096;
/// Accounts and links that are told between two turns.
const ROWS_AT_ONCE: usize = 128;

/// Cuts what is one row longer than a page; whether there is more.
fn cut<T>(rows: &mut Vec<T>, limit: usize) -> bool {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// Those of the lowest numbers, one more than a page has.
struct Lowest {
    links: BTreeMap<u64, LinkId>,
    count: usize,
}

impl Lowest {
    fn offer(&mut self, number: u64, link: LinkId) {
        self.links.insert(number, link);
        if self.links.len() > self.count {
            self.links.pop_last();
        }
    }
}

/// All carriers, and orders about those that there are not.
pub(super) async fn carriers<D: Disk>(hub: &Hub<D>) -> Map<String, Value> {
    let (mut links, mut first) = (Vec::new(), 0);
    while hub.look(|gate, _| gate.add_links(&mut links, first, LINKS_AT_ONCE)) {
        first += LINKS_AT_ONCE;
        yield_now().await;
    }
    let mut rows = Vec::new();
    for place in 0..hub.look(|gate, _| gate.carriers().len()) {
        let links: LinkStates = links.get(place).copied().unwrap_or_default();
        rows.extend(hub.look(|gate, now| gate.carrier_shown(now, place, links)));
        yield_now().await;
    }
    rows.extend(hub.look(|gate, _| gate.other_carriers_shown()));
    fields(json!({ "carriers": rows }))
}

/// A page of what waits, by the names of carrier and account.
pub(super) async fn queues<D: Disk>(hub: &Hub<D>, page: &Page<String>) -> Answer {
    let after = page.after.as_deref().map(|after| {
        after
            .split_once('/')
            .ok_or_else(|| format!("\"after\" is {after:?}: not CARRIER/ACCOUNT, as the page before said"))
    });
    let after = after.transpose()?;
    let from = after.map_or("", |(carrier, _)| carrier);
    let places = hub.look(|gate, _| gate.carriers_from(from));
    let (mut rows, limit) = (Vec::new(), page.limit());
    for (name, place) in places {
        let after = after.filter(|(carrier, _)| *carrier == name);
        let after = after.map(|(_, account)| account);
        // One more than the page has.
        let count = limit + 1 - rows.len();
        rows.extend(hub.look(|gate, now| gate.queues_shown(now, place, after, count)));
        if rows.len() > limit {
            break;
        }
        yield_now().await;
    }
    let has_more = cut(&mut rows, limit);
    let next = rows.last().filter(|_| has_more).map(|row| {
        let name = |key: &str| row[key].as_str().unwrap_or_default();
        format!("{}/{}", name("carrier"), name("account"))
    });
    let unrouted = hub.look(|gate, _| gate.unrouted.len());
    Ok(fields(
        json!({ "queues": rows, "unrouted": unrouted, "next": next }),
    ))
}

/// A page of the accounts, by their names. Orders about those that there are not come among them.
pub(super) async fn accounts<D: Disk>(hub: &Hub<D>, page: &Page<String>) -> Map<String, Value> {
    let limit = page.limit();
    let mut names = hub.look(|gate, _| gate.accounts_behind(page.after.as_deref(), limit + 1));
    let has_more = cut(&mut names, limit);
    let mut rows = Vec::new();
    for some in names.chunks(ROWS_AT_ONCE) {
        hub.look(|gate, _| rows.extend(some.iter().map(|name| gate.account_shown(name))));
        yield_now().await;
    }
    let next = names.last().filter(|_| has_more);
    fields(json!({ "accounts": rows, "next": next }))
}

/// A page of the links that are bound, by their numbers: all, or those of one account, or those to one carrier.
pub(super) async fn binds<D: Disk>(
    hub: &Hub<D>,
    account: Option<&str>,
    carrier: Option<&str>,
    page: &Page<u64>,
) -> Answer {
    let meant = hub.look(|gate, _| gate.whose_links(account, carrier))?;
    let (after, limit) = (page.after.unwrap_or(0), page.limit());
    let mut lowest = Lowest {
        links: BTreeMap::new(),
        count: limit + 1,
    };
    let (mut first, mut places) = (0, 1);
    while first < places {
        hub.look(|gate, _| {
            for (id, link) in gate.links.slice(first, LINKS_AT_ONCE) {
                if link.number > after && link.session.state().kind().is_some() && meant.has(link.peer) {
                    lowest.offer(link.number, id);
                }
            }
            places = gate.links.places();
        });
        first += LINKS_AT_ONCE;
        yield_now().await;
    }
    let mut found: Vec<(u64, LinkId)> = lowest.links.into_iter().collect();
    let has_more = cut(&mut found, limit);
    let mut rows = Vec::new();
    for some in found.chunks(ROWS_AT_ONCE) {
        // One that has gone meanwhile is not told.
        hub.look(|gate, now| rows.extend(some.iter().filter_map(|(_, id)| gate.bind_shown(now, *id))));
        yield_now().await;
    }
    let next = found.last().filter(|_| has_more).map(|(number, _)| number);
    Ok(fields(json!({ "binds": rows, "next": next })))
}
