//! The file that is produced for a disclosure (LEG-7): an export of one account that has one person's messages, or all, of the time
//! and in the columns that were decided on, and no more. Its rows' SHA-256 goes into the register of disclosures before anybody can
//! read it.
//!
//! What a hold has sealed is given where a law asks for it, too: it is kept for that.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;
use tidegate_store::disk::Disk;
use tidegate_store::history::{
    Cursor, Kept, Looked, Meta, Order, Query, Report, Text, VaultCursor, VaultOrder, VaultReport,
};
use tidegate_store::message_id::MessageId;
use tidegate_store::seal::Purpose;
use zeroize::Zeroizing;

use super::file::{Done, Sheet};
use super::making::{AT_ONCE, FOREIGN, PAUSE, entry_of, is_wanted, message, put, rules, texts_of};
use super::rows::{above_of, row_of};
use super::{Exports, Head, What};
use crate::audit::AuditHandle;
use crate::control::{hex, text_of};
use crate::disclosures::{self, Produced, Step};
use crate::keeping::{Ended, Keeping};
use crate::legal::tail;
use crate::serve::Hub;
use crate::standing::opt_out::person;

/// Messages of holds that are given at most; more are asked for in shorter times.
const HELD_MAX: usize = 10_000;
/// Octets of texts that holds have sealed, at most: these are in memory while a file is made.
const HELD_OCTETS_MAX: usize = 64 << 20;
/// Records that history gives at most where holds may have sealed others: which these were is in memory while a file is made.
const GIVEN_MAX: usize = 1_000_000;

/// What is produced for a disclosure.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Disclosed {
    /// Its number.
    pub(crate) disclosure: u32,
    /// Of this person only, in the form in which people are known.
    pub(crate) person: Option<Zeroizing<Vec<u8>>>,
    /// In these columns.
    pub(crate) fields: Vec<String>,
    /// A law asks for it: with what holds have sealed, and with what is only kept of people who are restricted (DSR-4). Nothing else
    /// opens that, an emergency neither.
    pub(crate) by_law: bool,
    /// Who has it produced.
    pub(crate) who: String,
}

impl std::fmt::Debug for Disclosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disclosed({}, ***)", self.disclosure)
    }
}

/// A sheet, and the hash of its rows.
struct Hashed {
    sheet: Sheet,
    hash: Sha256,
}

impl Hashed {
    async fn put<D: Disk>(
        self,
        (hub, exports): (&Hub<D>, &Exports),
        rows: Vec<String>,
        are_rows: bool,
    ) -> Result<Self, String> {
        let Self { sheet, mut hash } = self;
        for row in &rows {
            hash.update(row.as_bytes());
        }
        let sheet = put(hub, exports, sheet, rows, are_rows).await?;
        Ok(Self { sheet, hash })
    }
}

/// Which message, to which of its recipients.
type Key = (MessageId, u16);

impl Disclosed {
    /// Whether an address is the person's, however it is written; everybody's, where none is meant.
    fn is(&self, address: &AddressBuf, home: Option<Country>) -> bool {
        let Some(number) = &self.person else { return true };
        let octets = address.as_bytes();
        // Nothing is reckoned for all others.
        let is_near = tail(octets).is_some_and(|tail| number.ends_with(&tail));
        is_near && *person(address.ton(), address.npi(), octets, home) == ***number
    }

    /// Puts rows in, until there are no more, and enters that in the register of disclosures.
    pub(super) async fn fill<D: Disk + 'static>(
        &self,
        (hub, audit): (&Rc<Hub<D>>, &AuditHandle),
        exports: &Exports,
        sheet: Sheet,
        head: &Head,
    ) -> Result<(Done, u64), String> {
        let columns: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let home = hub.look(|gate, _| {
            let mut accounts = gate.config().accounts.iter();
            let account = accounts.find(|account| account.system_id == head.account)?;
            account.numbering.country
        });
        let hash = Sha256::new();
        let first = vec![above_of(&columns, head.format)];
        let mut hashed = Hashed { sheet, hash }.put((hub, exports), first, false).await?;
        let holds = match self.by_law {
            true => holds_of(hub, head.account).await,
            false => Vec::new(),
        };
        let (mut given, mut held, mut unreadable) = (BTreeSet::new(), 0, 0);
        let begun_ms = hub.now().unix_ms;
        // Once for all slices: a text has dates of its own, and may be sealed where its record is not.
        let sealed = match head.what {
            What::Texts => texts_in_holds(hub, exports, (&holds, head), |_| true).await?,
            _ => BTreeMap::new(),
        };
        let query = Query::Account {
            account: head.account,
            from_ms: head.since_ms,
            to_ms: head.until_ms,
        };
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let looked = hub.history_slice(&query, Kept::Meta, Purpose::Legal, at).await?;
            cursor = looked.next;
            unreadable += looked.unreadable;
            // Others may hold since the slice before.
            let keeping = rules(hub)?;
            let mut metas: Vec<Meta> = Vec::new();
            for (at, (_, meta)) in looked.metas.into_iter().enumerate() {
                let is_meant = self.is_meant(&meta, head, (home, &keeping));
                let ended = Ended::of(head.account, &meta);
                if is_meant && keeping.may_be_read(&ended, Kept::Meta, hub.now().unix_ms) {
                    metas.push(meta);
                }
                if at % AT_ONCE == AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            let mut texts = BTreeMap::new();
            if head.what == What::Texts && !metas.is_empty() {
                unreadable += texts_of(hub, &keeping, head, &metas, &mut texts).await?;
            }
            if head.what == What::Texts && !holds.is_empty() {
                let is_lacking = |meta: &&Meta| !texts.contains_key(&(meta.id, meta.leg));
                // What was still in history when the holds were read may have gone into them since.
                let since: BTreeSet<Key> = metas
                    .iter()
                    .filter(is_lacking)
                    .map(|meta| ((meta.id, meta.leg), meta))
                    .filter(|(key, meta)| {
                        let ended = Ended::of(head.account, meta);
                        !sealed.contains_key(key) && keeping.may_be_read(&ended, Kept::Body, begun_ms)
                    })
                    .map(|(key, _)| key)
                    .collect();
                let since = match since.is_empty() {
                    true => BTreeMap::new(),
                    false => texts_in_holds(hub, exports, (&holds, head), |key| since.contains(key)).await?,
                };
                let found: Vec<(Key, String)> = metas
                    .iter()
                    .filter(is_lacking)
                    .filter_map(|meta| {
                        let key = (meta.id, meta.leg);
                        let text = sealed.get(&key).or_else(|| since.get(&key))?;
                        text_of(text, meta.data_coding).map(|(shown, _)| (key, shown))
                    })
                    .collect();
                held += found.len() as u64;
                texts.extend(found);
            }
            for metas in metas.chunks(AT_ONCE) {
                let rows = metas.iter().map(|meta| {
                    let text = texts.get(&(meta.id, meta.leg));
                    row_of(&columns, head.format, &message(hub, meta, text))
                });
                hashed = hashed.put((hub, exports), rows.collect(), true).await?;
            }
            if !holds.is_empty() {
                given.extend(metas.iter().map(|meta| (meta.id, meta.leg)));
                if given.len() > GIVEN_MAX {
                    return Err(format!(
                        "there are more than {GIVEN_MAX} of these messages, and holds may have sealed others: narrow the time"
                    ));
                }
            }
            is_wanted(exports, head)?;
            tokio::time::sleep(PAUSE).await;
        }
        if !holds.is_empty() {
            let (metas, lost) = self
                .sealed_in_holds(hub, exports, (&holds, head), home, &given)
                .await?;
            drop(given);
            unreadable += lost;
            held += metas.len() as u64;
            let is_since = |key: &Key| metas.contains_key(key) && !sealed.contains_key(key);
            let since = match head.what == What::Texts && metas.keys().any(is_since) {
                true => texts_in_holds(hub, exports, (&holds, head), is_since).await?,
                false => BTreeMap::new(),
            };
            let metas: Vec<(&Key, &Meta)> = metas.iter().collect();
            for metas in metas.chunks(AT_ONCE) {
                let rows = metas.iter().map(|(key, meta)| {
                    let text = sealed.get(*key).or_else(|| since.get(*key));
                    let text = text.and_then(|text| text_of(text, meta.data_coding));
                    let text = text.map(|(shown, _)| shown);
                    row_of(&columns, head.format, &message(hub, meta, text.as_ref()))
                });
                hashed = hashed.put((hub, exports), rows.collect(), true).await?;
                is_wanted(exports, head)?;
            }
        }
        let Hashed { sheet, hash } = hashed;
        let done = tokio::task::spawn_blocking(move || sheet.finish(unreadable)).await;
        let done = done.map_err(|error| crate::control::not_done(&error).to_owned())?;
        let done = done.map_err(|error| error.to_string())?;
        let digest: [u8; 32] = hash.finalize().into();
        let produced = Produced {
            export: head.number,
            fields: self.fields.clone(),
            rows: done.rows,
            held,
            unreadable,
            sha256: hex(&digest),
            fetched_ms: None,
            step: Step {
                at_ms: hub.believed_ms(),
                who: self.who.clone(),
            },
        };
        let is_wanted = || is_wanted(exports, head);
        let entry = entry_of(head, Some(&done));
        disclosures::made(
            hub,
            audit,
            (self.disclosure, produced),
            (digest, entry),
            is_wanted,
        )
        .await?;
        Ok((done, unreadable))
    }

    /// Whether a record is of the time and about the person, who is the sender of what a handset wrote, and not only kept.
    fn is_meant(&self, meta: &Meta, head: &Head, (home, keeping): (Option<Country>, &Keeping)) -> bool {
        (head.since_ms..=head.until_ms).contains(&meta.final_ms)
            && self.is(meta.person(), home)
            && (self.by_law || !keeping.is_restricted(head.account, meta.person()))
    }

    /// Records that holds have sealed of it, but for what was given already; and how many blocks did not open. A text without its
    /// record says nothing of whom it was to, and is not given.
    async fn sealed_in_holds<D: Disk>(
        &self,
        hub: &Hub<D>,
        exports: &Exports,
        (holds, head): (&[u32], &Head),
        home: Option<Country>,
        given: &BTreeSet<Key>,
    ) -> Result<(BTreeMap<Key, Meta>, u64), String> {
        let (mut held, mut unreadable) = (BTreeMap::new(), 0);
        let keeping = rules(hub)?;
        for hold in holds {
            unreadable += each_of_hold(hub, (exports, head), *hold, |looked| {
                for (account, meta) in looked.metas {
                    let key = (meta.id, meta.leg);
                    let is_ours = account == head.account && !given.contains(&key);
                    if is_ours && self.is_meant(&meta, head, (home, &keeping)) {
                        held.entry(key).or_insert(meta);
                    }
                }
                has_room(held.len(), 0)
            })
            .await?;
        }
        Ok((held, unreadable))
    }
}

/// Active holds that may cover what is an account's.
async fn holds_of<D: Disk>(hub: &Hub<D>, account: SystemId) -> Vec<u32> {
    let Some(legal) = hub.legal() else {
        return Vec::new();
    };
    let state = legal.state().await;
    let active = state.register.active();
    let may_cover = active.filter(|(_, hold)| hold.account.is_none_or(|of| of == account));
    may_cover.map(|(id, _)| id).collect()
}

/// Texts that holds have sealed of messages of the account, of the time, and of those that are meant.
async fn texts_in_holds<D: Disk>(
    hub: &Hub<D>,
    exports: &Exports,
    (holds, head): (&[u32], &Head),
    is_meant: impl Fn(&Key) -> bool,
) -> Result<BTreeMap<Key, Text>, String> {
    let (mut texts, mut octets) = (BTreeMap::new(), 0);
    for hold in holds {
        each_of_hold(hub, (exports, head), *hold, |looked| {
            for (account, text) in looked.texts {
                let key = (text.id, text.leg);
                let is_of_time = (head.since_ms..=head.until_ms).contains(&text.final_ms);
                if account == head.account && is_of_time && is_meant(&key) {
                    octets += text.body.len();
                    texts.insert(key, text);
                }
            }
            has_room(texts.len(), octets)
        })
        .await?;
    }
    Ok(texts)
}

/// Whether what holds have sealed can be in memory.
fn has_room(count: usize, octets: usize) -> Result<(), String> {
    match count > HELD_MAX || octets > HELD_OCTETS_MAX {
        true => Err(format!(
            "holds have sealed more than {HELD_MAX} of these messages, or 64 MiB of their texts: narrow the time"
        )),
        false => Ok(()),
    }
}

/// Reads what a hold has sealed, slice by slice; says how many blocks did not open.
async fn each_of_hold<D: Disk>(
    hub: &Hub<D>,
    (exports, head): (&Exports, &Head),
    hold: u32,
    mut each: impl FnMut(Looked) -> Result<(), String>,
) -> Result<u64, String> {
    let (mut unreadable, mut cursor) = (0, Some(VaultCursor::default()));
    while let Some(at) = cursor {
        let order = Order::Vault(VaultOrder::Read(hold, at, Purpose::Legal));
        let Report::Vault(VaultReport::Read(looked, next)) = hub.ask_history(order).await? else {
            return Err(FOREIGN.to_owned());
        };
        unreadable += looked.unreadable;
        cursor = next;
        each(looked)?;
        is_wanted(exports, head)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(unreadable)
}

/// The columns that are meant, in their order: all of them, or those that are named.
///
/// # Errors
///
/// One of them is none.
pub(crate) fn fields_of(texts: bool, named: Option<&[String]>) -> Result<Vec<String>, String> {
    let what = if texts { What::Texts } else { What::Messages };
    let all = super::columns(what);
    let Some(named) = named else {
        return Ok(all.iter().map(|column| (*column).to_owned()).collect());
    };
    if let Some(other) = named.iter().find(|name| !all.contains(&name.as_str())) {
        let other = Value::String(other.chars().take(20).collect());
        return Err(format!("{other} is no column of these: {}", all.join(", ")));
    }
    if named.is_empty() {
        return Err("\"fields\" names at least one column".to_owned());
    }
    let meant = all
        .iter()
        .filter(|column| named.iter().any(|name| name == *column));
    Ok(meant.map(|column| (*column).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use tidegate_codec::address::{Npi, Ton};

    use super::*;

    #[test]
    fn a_person_is_known_however_the_number_is_written_and_columns_by_their_names() {
        let disclosed = |person: Option<&[u8]>| Disclosed {
            disclosure: 1,
            person: person.map(|person| Zeroizing::new(person.to_vec())),
            fields: Vec::new(),
            by_law: false,
            who: String::new(),
        };
        let one = disclosed(Some(b"12025550123"));
        let us = Country::new("US");
        for (ton, octets, home, is) in [
            (Ton::INTERNATIONAL, "12025550123", None, true),
            (Ton::INTERNATIONAL, "+12025550123", None, true),
            (Ton::NATIONAL, "2025550123", us, true),
            (Ton::NATIONAL, "2125550123", us, false),
            (Ton::INTERNATIONAL, "442025550123", us, false),
        ] {
            let address = AddressBuf::new(ton, Npi::ISDN, octets.as_bytes()).unwrap();
            assert_eq!(one.is(&address, home), is, "{octets}");
            assert!(disclosed(None).is(&address, home));
        }
        assert!(!format!("{one:?}").contains("2025"), "no number in a log");

        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            fields_of(false, Some(&named(&["to", "ended"]))),
            Ok(named(&["ended", "to"]))
        );
        assert_eq!(fields_of(true, None).unwrap().last().unwrap(), "text");
        for (texts, names) in [(false, &["text"][..]), (true, &["carrier"]), (true, &[])] {
            assert!(fields_of(texts, Some(&named(names))).is_err(), "{names:?}");
        }
    }
}
