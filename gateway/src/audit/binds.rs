//! Binds on their way into the audit log: taken note of between two turns, entered by a task of its own.
//!
//! Accepted binds are entered one by one, refused ones by address, account and minute. What does not fit into these bounds
//! is counted together, never dropped; and what could not be written is tried again.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tokio::sync::oneshot;

use super::AuditHandle;
use crate::origin::Origin;
use crate::serve::Hub;

/// Accepted binds, and bans, that wait one by one.
const SINGLE_MAX: usize = 1_024;
/// Addresses with accounts whose refused binds are counted apart.
const ROWS_MAX: usize = 4_096;
/// How long refused binds are gathered, in milliseconds.
const GATHERED_MS: u64 = 60_000;
/// Entries that are written together.
const GROUP_MAX: usize = 256;
/// How often notes are entered.
const ENTER_EVERY: Duration = Duration::from_secs(1);

/// Whose binds are counted together. Without an address: of all for whom there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Whose {
    kind: Kind,
    ip: Option<IpAddr>,
    account: Option<SystemId>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    count: u64,
    first_ms: u64,
    last_ms: u64,
    reason: &'static str,
}

/// Notes of binds and bans.
#[derive(Debug, Default)]
pub struct BindNotes {
    single: Vec<Entry>,
    rows: HashMap<Whose, Row>,
    /// Handed out, and not known to be entered.
    unwritten: Vec<Entry>,
}

impl BindNotes {
    /// A bind was accepted; by this exception, its account's or its listener's, if the connection is less than TLS 1.3 by one (SEC-1).
    pub(crate) fn accepted(&mut self, unix_ms: u64, ip: IpAddr, account: SystemId, exception: Option<&str>) {
        if self.single.len() < SINGLE_MAX {
            let actor = Actor::Peer(ip.to_canonical());
            let entry = Entry::new(Kind::BindAccepted, actor).of(Some(account));
            let entry = entry.with(Field::First, Value::Time(unix_ms));
            self.single.push(match exception {
                Some(name) => entry.with(Field::Reason, Value::Word(Word::of_name(name))),
                None => entry,
            });
        } else {
            self.count(Kind::BindAccepted, unix_ms, ip, Some(account), "");
        }
    }

    /// A bind was refused. Of an account only if there is one: what else was tried is repeated nowhere.
    pub(crate) fn refused(
        &mut self,
        unix_ms: u64,
        ip: IpAddr,
        account: Option<SystemId>,
        reason: &'static str,
    ) {
        self.count(Kind::BindRefused, unix_ms, ip, account, reason);
    }

    /// An origin was banned for what it did.
    pub(crate) fn banned(&mut self, unix_ms: u64, origin: Origin, length: Duration) {
        if self.single.len() < SINGLE_MAX {
            let entry = Entry::new(Kind::BanSet, Actor::System)
                .with(Field::Address, Value::Word(Word::of_name(&origin.to_string())))
                .with(Field::Seconds, Value::Count(length.as_secs()));
            self.single.push(entry);
        } else {
            self.count(Kind::BanSet, unix_ms, origin.address(), None, "");
        }
    }

    fn count(
        &mut self,
        kind: Kind,
        now_ms: u64,
        ip: IpAddr,
        account: Option<SystemId>,
        reason: &'static str,
    ) {
        let mut whose = Whose {
            kind,
            ip: Some(ip.to_canonical()),
            account,
        };
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&whose) {
            (whose.ip, whose.account) = (None, None);
        }
        let row = self.rows.entry(whose).or_insert(Row {
            count: 0,
            first_ms: now_ms,
            last_ms: now_ms,
            reason,
        });
        row.count += 1;
        (row.last_ms, row.reason) = (now_ms, reason);
    }

    /// What is to be entered now, again until [`BindNotes::entered`]; with `all` what is still being gathered, too.
    fn due(&mut self, now_ms: u64, all: bool) -> Vec<Entry> {
        if !self.unwritten.is_empty() {
            return self.unwritten.clone();
        }
        let count = self.single.len().min(GROUP_MAX);
        self.unwritten.extend(self.single.drain(..count));
        // A clock that was set back does not keep them for ever.
        let is_due = |row: &Row| all || now_ms.abs_diff(row.first_ms) >= GATHERED_MS;
        let rows = self.rows.iter().filter(|(_, row)| is_due(row));
        let due: Vec<Whose> = rows.map(|(whose, _)| *whose).take(GROUP_MAX - count).collect();
        for whose in due {
            let Some(row) = self.rows.remove(&whose) else {
                continue;
            };
            let actor = whose.ip.map_or(Actor::System, Actor::Peer);
            let mut entry = Entry::new(whose.kind, actor)
                .of(whose.account)
                .with(Field::Count, Value::Count(row.count))
                .with(Field::First, Value::Time(row.first_ms))
                .with(Field::Last, Value::Time(row.last_ms));
            if !row.reason.is_empty() {
                entry = entry.with(Field::Reason, Value::Word(Word::of_name(row.reason)));
            }
            self.unwritten.push(entry);
        }
        self.unwritten.clone()
    }

    fn entered(&mut self) {
        self.unwritten.clear();
    }
}

/// Enters binds until `ended` says that the loop takes none any more, and what is left then.
pub async fn note_binds<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle, mut ended: oneshot::Receiver<()>) {
    let mut every = tokio::time::interval(ENTER_EVERY);
    let mut is_last = false;
    loop {
        if !is_last {
            tokio::select! {
                _ = every.tick() => {}
                _ = &mut ended => is_last = true,
            }
        }
        loop {
            let due = hub.look(|gate, now| gate.bind_notes.due(now.unix_ms, is_last));
            if due.is_empty() {
                break;
            }
            if let Err(error) = audit.enter(due).await {
                tracing::warn!(error, "binds cannot be entered in the audit log and wait");
                break;
            }
            hub.look(|gate, _| gate.bind_notes.entered());
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([192, 0, high, low])
    }

    fn counts(entries: &[Entry]) -> Vec<u64> {
        let count = |entry: &Entry| match entry.details.first() {
            Some((Field::Count, Value::Count(count))) => *count,
            _ => 1,
        };
        entries.iter().map(count).collect()
    }

    #[test]
    fn refused_binds_are_one_entry_for_address_account_and_minute() {
        let mut notes = BindNotes::default();
        let shop = SystemId::new(b"shop").ok();
        for second in 0..50 {
            notes.refused(second * 1_000, ip(1), shop, "denied");
        }
        notes.refused(2_000, ip(1), None, "denied");
        notes.refused(3_000, ip(2), shop, "denied");
        assert_eq!(notes.due(59_999, false), []);
        let due = notes.due(60_000, false);
        assert_eq!(counts(&due), [50]);
        let entry = &due[0];
        assert_eq!((entry.kind, entry.account), (Kind::BindRefused, shop));
        assert_eq!(entry.actor, Actor::Peer(ip(1)));
        assert!(entry.details.contains(&(Field::Last, Value::Time(49_000))));
        assert_eq!(notes.due(60_000, false), due, "until it is written");
        notes.entered();
        let mut rest = counts(&notes.due(63_000, false));
        rest.sort_unstable();
        assert_eq!(rest, [1, 1]);
        notes.entered();
        assert!(notes.rows.is_empty());
    }

    #[test]
    fn a_bind_by_an_exception_is_entered_with_its_name() {
        let mut notes = BindNotes::default();
        let shop = SystemId::new(b"shop").unwrap();
        notes.accepted(1, ip(1), shop, None);
        notes.accepted(1, ip(1), shop, Some("old terminals"));
        let due = notes.due(1, false);
        let reason = (Field::Reason, Value::Word(Word::of_name("old terminals")));
        let named: Vec<bool> = due.iter().map(|entry| entry.details.contains(&reason)).collect();
        assert_eq!(named, [false, true]);
    }

    #[test]
    fn accepted_binds_are_entered_one_by_one_and_none_is_dropped_over_the_bounds() {
        let mut notes = BindNotes::default();
        let shop = SystemId::new(b"shop").unwrap();
        let all = SINGLE_MAX + 2 * ROWS_MAX;
        for number in 0..all {
            notes.accepted(1, ip(u16::try_from(number).unwrap()), shop, None);
            notes.refused(1, ip(u16::try_from(number).unwrap()), None, "denied");
        }
        assert!(notes.single.len() <= SINGLE_MAX && notes.rows.len() <= ROWS_MAX + 2);
        let (mut accepted, mut refused, mut first) = (0, 0, None);
        loop {
            let due = notes.due(1, true);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= GROUP_MAX);
            first.get_or_insert_with(|| due[0].clone());
            for (entry, count) in due.iter().zip(counts(&due)) {
                match entry.kind {
                    Kind::BindAccepted => accepted += count,
                    _ => refused += count,
                }
            }
            notes.entered();
        }
        assert_eq!((accepted, refused), (all as u64, all as u64));
        let first = first.unwrap();
        assert_eq!((first.actor, first.account), (Actor::Peer(ip(0)), Some(shop)));
    }
}
