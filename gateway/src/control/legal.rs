//! What legal holds, orders to erase and restrictions have in common at the control socket: who asks is answered next door.
//!
//! Each change stands in the audit log before it holds (AUD-1). No answer but that of `hold show` has a number of a person.

use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report, VaultOrder, VaultReport};
use tidegate_store::keyring::{Destroyed, Owner};
use zeroize::Zeroizing;

use super::legal_ask::Matter;
use super::{Answer, erasing, hex, holding, restricting};
use crate::audit::{AuditHandle, typed, word};
use crate::legal::{OPEN_MAX, Register, State};
use crate::serve::Hub;
use crate::standing::opt_out::written_person;

/// Rows of a list.
pub(super) const ROWS_MAX: usize = 10_000;
pub(super) const FOREIGN: &str = "history answers something else";
pub(super) const NO_REGISTER: &str = "this gateway has no register of holds";

/// Does it.
pub(super) async fn matter<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    who: &Actor,
    matter: &Matter,
) -> Answer {
    let legal = hub.legal().ok_or(NO_REGISTER)?;
    let by = (audit, who);
    let state = || legal.state();
    match matter {
        // Who adds has the register from where it is known what is meant.
        Matter::HoldAdd(ask) => holding::add(hub, legal, by, ask).await,
        Matter::HoldRelease { id, reason } => {
            holding::release(hub, &mut *state().await, by, *id, reason).await
        }
        Matter::HoldList => Ok(holding::list(&*state().await, hub.now().unix_ms)),
        // History is read for it: it has the register only to find the hold.
        Matter::HoldShow { id, reason } => holding::show(hub, legal, by, *id, reason).await,
        Matter::EraseAdd { to, account, reason } => {
            erasing::add(hub, legal, by, (to, account.as_deref()), reason).await
        }
        Matter::EraseList => Ok(erasing::list(&*state().await)),
        Matter::RestrictAdd { to, account, reason } => {
            restricting::add(hub, legal, by, (to, account.as_deref()), reason).await
        }
        Matter::RestrictLift { id, notice, reason } => {
            restricting::lift(hub, &mut *state().await, by, *id, (notice, reason)).await
        }
        Matter::RestrictList => Ok(restricting::list(&*state().await)),
    }
}

/// An entry of the log about a matter. What was typed stands in it without digits that may be a number.
pub(super) fn entry(kind: Kind, who: &Actor, outcome: &str, id: u32) -> Entry {
    Entry::new(kind, who.clone())
        .with(Field::Outcome, word(outcome))
        .with(Field::Sequence, Detail::Count(id.into()))
}

/// What is kept of what somebody typed: no number of a person.
pub(super) fn kept(text: &str) -> String {
    Word::new(text).as_str().to_owned()
}

/// A key that is destroyed, as the log names it.
pub(crate) fn key_word(destroyed: &Destroyed) -> Detail {
    word(&format!("{} {}", destroyed.id, hex(&destroyed.fingerprint)))
}

/// An entry of the log about a row of a register that is read for a purpose, with whom it is about.
pub(super) fn reading(who: &Actor, (verb, id): (&str, u32), (purpose, reason): (&str, &str)) -> Entry {
    Entry::new(Kind::Read, who.clone())
        .with(Field::Verb, word(verb))
        .with(Field::Sequence, Detail::Count(id.into()))
        .with(Field::Purpose, word(purpose))
        .with(Field::Reason, typed(reason))
}

/// Whose, and whom.
pub(super) type Named = (Option<SystemId>, Option<Zeroizing<Vec<u8>>>);

/// Whose, and whom: an account that there is, and a number in the form in which people are known.
pub(super) fn named<D: Disk>(hub: &Hub<D>, account: Option<&str>, to: Option<&str>) -> Result<Named, String> {
    let (whose, home) = match account {
        None => (None, None),
        Some(name) => hub.look(|gate, _| {
            let place = gate.known_account(name)?;
            let account = &gate.config().accounts[place];
            Ok::<_, String>((Some(account.system_id), account.numbering.country))
        })?,
    };
    let person = match to {
        None => None,
        Some(to) => {
            if home.is_none() && !to.trim_start().starts_with('+') {
                return Err(
                    "\"to\" is a number with + and the country's code where no account says whose it is"
                        .to_owned(),
                );
            }
            let person = written_person(to, home)
                .ok_or("\"to\" is no number of a person: that has more digits than a short code")?;
            Some(Zeroizing::new(person.to_vec()))
        }
    };
    Ok((whose, person))
}

/// A number for a matter. On disk before there is a key of it: a ring that has keys of later numbers shows a start that the
/// register is not the one that belongs to it.
pub(super) async fn next_number(state: &mut State) -> Result<u32, String> {
    let next = |register: &mut Register| {
        register.last += 1;
        register.last
    };
    state.register.change(next).await
}

/// Whether there is room for one more hold or order to erase.
pub(super) fn has_room(state: &State) -> Result<(), String> {
    match state.register.has_room() {
        true => Ok(()),
        false => Err(format!(
            "there are {OPEN_MAX} open holds and erasures already, or the register is full"
        )),
    }
}

/// Makes a matter's key, and seals under it whom it is about.
pub(super) async fn sealed<D: Disk>(
    hub: &Hub<D>,
    owner: Owner,
    person: Option<&Zeroizing<Vec<u8>>>,
) -> Result<Vec<u8>, String> {
    let text = person.cloned().unwrap_or_default();
    let order = Order::Vault(VaultOrder::Seal(owner, text, hub.now().unix_ms));
    match hub.ask_history(order).await? {
        Report::Vault(VaultReport::Sealed(sealed)) => Ok(sealed),
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Has what the register says now hold for everybody who asks the rules.
pub(crate) fn take_effect<D: Disk>(hub: &Hub<D>, state: &State) {
    hub.look(|gate, _| {
        if let Some(keeping) = gate.keeping().cloned() {
            gate.set_keeping(&Arc::new(keeping.with_claims(state.claims())));
        }
    });
}

/// Destroys the keys of holds that are over, with what they have sealed, and enters that; says how many there were.
///
/// # Errors
///
/// In words for an operator; the next sweep does it again.
pub(crate) async fn drop_released<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    state: &mut State,
) -> Result<u64, String> {
    state.register.make_certain().await?;
    let order = Order::Vault(VaultOrder::Keep {
        holds: state.register.active().map(|(id, _)| id).collect(),
        erasures: state.register.standing().map(|(id, _)| id).collect(),
        restrictions: state.register.restricting().map(|(id, _)| id).collect(),
    });
    let Report::Vault(VaultReport::Kept(destroyed)) = hub.ask_history(order).await? else {
        return Err(FOREIGN.to_owned());
    };
    let entries: Vec<Entry> = destroyed
        .iter()
        .map(|destroyed| {
            Entry::new(Kind::Hold, Actor::System)
                .with(Field::Outcome, word("erased"))
                .with(Field::RingKey, key_word(destroyed))
        })
        .collect();
    if !entries.is_empty() {
        audit.enter(entries).await?;
    }
    Ok(destroyed.len() as u64)
}
