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
use super::making::{AT_ONCE, FOREIGN, PAUSE, is_wanted, message, put, rules, texts_of};
use super::rows::{above_of, row_of};
use super::{Exports, Head, What};
use crate::audit::AuditHandle;
use crate::control::{hex, text_of};
use crate::disclosures::{self, Produced, Step};
use crate::keeping::Ended;
use crate::serve::Hub;
use crate::standing::opt_out::person;

/// Messages of holds that are given at most; more are asked for in shorter times.
const HELD_MAX: usize = 10_000;
/// Digits at the end of a number that are the same however it is written.
const TAIL: usize = 4;

/// What is produced for a disclosure.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Disclosed {
    /// Its number.
    pub(crate) disclosure: u32,
    /// Of this person only, in the form in which people are known.
    pub(crate) person: Option<Zeroizing<Vec<u8>>>,
    /// In these columns.
    pub(crate) fields: Vec<String>,
    /// With what holds have sealed.
    pub(crate) with_held: bool,
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
    async fn put(self, rows: Vec<String>, are_rows: bool) -> Result<Self, String> {
        let Self { sheet, mut hash } = self;
        for row in &rows {
            hash.update(row.as_bytes());
        }
        let sheet = put(sheet, rows, are_rows).await?;
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
        let tail = number
            .get(number.len().saturating_sub(TAIL)..)
            .unwrap_or_default();
        octets.ends_with(tail) && *person(address.ton(), address.npi(), octets, home) == ***number
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
        let mut hashed = Hashed { sheet, hash }.put(first, false).await?;
        let holds = match self.with_held {
            true => holds_of(hub, head.account).await,
            false => Vec::new(),
        };
        let (mut given, mut held, mut unreadable) = (BTreeSet::new(), 0, 0);
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
                let is_meant = self.is_meant(&meta, head, home);
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
                // A text has dates of its own, and may be sealed where its record is not.
                let lacking = metas
                    .iter()
                    .filter(|meta| !texts.contains_key(&(meta.id, meta.leg)));
                let lacking = lacking
                    .map(|meta| ((meta.id, meta.leg), meta.data_coding))
                    .collect();
                let sealed = texts_in_holds(hub, &holds, head.account, &lacking).await?;
                held += sealed.len() as u64;
                texts.extend(sealed);
            }
            for metas in metas.chunks(AT_ONCE) {
                let rows = metas.iter().map(|meta| {
                    let text = texts.get(&(meta.id, meta.leg));
                    row_of(&columns, head.format, &message(hub, meta, text))
                });
                hashed = hashed.put(rows.collect(), true).await?;
            }
            if !holds.is_empty() {
                given.extend(metas.iter().map(|meta| (meta.id, meta.leg)));
            }
            is_wanted(exports, head)?;
            tokio::time::sleep(PAUSE).await;
        }
        if !holds.is_empty() {
            let (metas, lost) = self.sealed_in_holds(hub, (&holds, head), home, &given).await?;
            unreadable += lost;
            held += metas.len() as u64;
            let mut texts = BTreeMap::new();
            if head.what == What::Texts {
                let lacking = metas.iter().map(|(key, meta)| (*key, meta.data_coding)).collect();
                texts = texts_in_holds(hub, &holds, head.account, &lacking).await?;
            }
            let rows = metas
                .iter()
                .map(|(key, meta)| row_of(&columns, head.format, &message(hub, meta, texts.get(key))));
            hashed = hashed.put(rows.collect(), true).await?;
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
            step: Step {
                at_ms: super::time(hub),
                who: self.who.clone(),
            },
        };
        disclosures::made(hub, audit, (self.disclosure, produced), digest).await?;
        Ok((done, unreadable))
    }

    fn is_meant(&self, meta: &Meta, head: &Head, home: Option<Country>) -> bool {
        (head.since_ms..=head.until_ms).contains(&meta.final_ms) && self.is(meta.person(), home)
    }

    /// Records that holds have sealed of it, but for what was given already; and how many blocks did not open. A text without its
    /// record says nothing of whom it was to, and is not given.
    async fn sealed_in_holds<D: Disk>(
        &self,
        hub: &Hub<D>,
        (holds, head): (&[u32], &Head),
        home: Option<Country>,
        given: &BTreeSet<Key>,
    ) -> Result<(BTreeMap<Key, Meta>, u64), String> {
        let (mut held, mut unreadable) = (BTreeMap::new(), 0);
        for hold in holds {
            unreadable += each_of_hold(hub, *hold, |looked| {
                for (account, meta) in looked.metas {
                    let key = (meta.id, meta.leg);
                    let is_ours = account == head.account && !given.contains(&key);
                    if is_ours && self.is_meant(&meta, head, home) {
                        held.entry(key).or_insert(meta);
                    }
                }
                match held.len() > HELD_MAX {
                    true => Err(format!(
                        "holds have sealed more than {HELD_MAX} of these messages: narrow the time"
                    )),
                    false => Ok(()),
                }
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

/// Texts that holds have sealed of messages of an account, whose data codings are told.
async fn texts_in_holds<D: Disk>(
    hub: &Hub<D>,
    holds: &[u32],
    account: SystemId,
    lacking: &BTreeMap<Key, u8>,
) -> Result<BTreeMap<Key, String>, String> {
    let mut texts = BTreeMap::new();
    if lacking.is_empty() {
        return Ok(texts);
    }
    for hold in holds {
        each_of_hold(hub, *hold, |looked| {
            for (_, text) in looked.texts.iter().filter(|(of, _)| *of == account) {
                let Text { id, leg, .. } = text;
                if let Some(coding) = lacking.get(&(*id, *leg))
                    && let Some((shown, _)) = text_of(text, *coding)
                {
                    texts.insert((*id, *leg), shown);
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(texts)
}

/// Reads what a hold has sealed, slice by slice; says how many blocks did not open.
async fn each_of_hold<D: Disk>(
    hub: &Hub<D>,
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
            with_held: false,
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
