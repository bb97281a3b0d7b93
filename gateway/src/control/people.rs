//! What the loop does about people for the control socket: each deed is staged, and answered when it is on disk.

use std::time::Duration;

use serde_json::{Map, Value, json};
use smallvec::SmallVec;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Origin, Origins, Scope, ScopeKind, Stand, What};
use tokio::sync::mpsc;

use super::Answer;
use super::deed::{Deed, DeedKind, Row};
use super::rows::{Done, Fault};
use crate::clock::Now;
use crate::gate::Gate;
use crate::serve::Hub;
use crate::standing::opt_out::{senders, written_person};
use crate::turn::Promise;

/// Rows that are taken between two turns: a few milliseconds.
const STEP: usize = 50;
/// Bad rows of a request that are told one by one.
const BAD_MAX: usize = 20;
/// How long to wait where a batch, or the journal, has no room.
const PAUSE: Duration = Duration::from_millis(20);
/// And how long at most.
const FULL_MAX: Duration = Duration::from_secs(10);
/// Approvers of an override at least.
const APPROVERS_MIN: usize = 2;

/// Does it.
pub async fn act<D: Disk>(hub: &Hub<D>, deed: &Deed) -> Answer {
    let account = hub
        .look(|gate, _| gate.account_by_text(&deed.account))
        .ok_or_else(|| format!("there is no account {:?}", deed.account))?;
    match deed.kind {
        DeedKind::OptOutAdd | DeedKind::ConsentGrant | DeedKind::ConsentWithdraw => {
            let mut told = take_rows(hub, account, deed).await?;
            if let Some(bad) = told.get("bad_rows").and_then(|rows| rows.get(0)) {
                return Err(bad["reason"].as_str().unwrap_or_default().to_owned());
            }
            for key in ["bad", "bad_rows", "rows"] {
                told.remove(key);
            }
            Ok(told)
        }
        DeedKind::OptOutImport | DeedKind::ContactImport => {
            if deed.file.is_none() {
                return Err("\"file\" is missing".to_owned());
            }
            let attest = deed.file.as_ref().and_then(|file| file.attest.as_deref());
            if deed.kind == DeedKind::ContactImport && attest.is_none_or(|text| text.trim().is_empty()) {
                return Err(
                    "nothing is imported without saying on what lawful basis the account has these contacts (--attest)"
                        .to_owned(),
                );
            }
            take_rows(hub, account, deed).await
        }
        DeedKind::ConsentAsk => super::ask::ask(hub, account, deed).await,
        DeedKind::OptOutRemove => remove(hub, account, deed).await,
        DeedKind::OptOutCheck => hub.look(|gate, _| gate.checked(account, deed)),
        DeedKind::OptOutList | DeedKind::OptOutExport | DeedKind::ConsentList => {
            super::listing::list(hub, account, deed).await
        }
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets of hex digits, two for each.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let octet = |[high, low]: &[u8; 2]| {
        let digit = |of: u8| char::from(of).to_digit(16);
        u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
    };
    rest.is_empty().then(|| pairs.iter().map(octet).collect())?
}

/// Waits until the journal holds all that is known now. Of what comes meanwhile nobody asked, and it may never end.
pub(crate) async fn journaled<D: Disk>(hub: &Hub<D>) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    let known = hub.look(|gate, _| gate.spool().standing().known());
    while hub.with_gate(|gate, _| gate.spool().standing().journaled()) < known {
        if waited >= FULL_MAX {
            return Err("the journal of opt-outs is behind: see the log, or ask again".to_owned());
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
    Ok(())
}

/// Rows that were taken together, and how to hear that all they rest on is on disk.
struct Staged {
    dones: Vec<Result<Done, (u64, &'static str)>>,
    is_done: mpsc::Receiver<bool>,
    batches: usize,
}

impl Staged {
    /// What became of them, once it is on disk; `None` where it cannot be put there.
    async fn on_disk(mut self) -> Option<Vec<Result<Done, (u64, &'static str)>>> {
        for _ in 0..self.batches {
            if self.is_done.recv().await != Some(true) {
                return None;
            }
        }
        Some(self.dones)
    }
}

/// What is on disk of a request.
#[derive(Default)]
struct Sums {
    taken: u64,
    already: u64,
    suppressed: u64,
    withdrawn: u64,
    without: u64,
    bad: u64,
    bad_rows: Vec<Value>,
}

impl Sums {
    async fn add(&mut self, staged: Option<Staged>) -> Result<(), String> {
        let Some(staged) = staged else {
            return Ok(());
        };
        let Some(dones) = staged.on_disk().await else {
            return Err(format!(
                "it cannot be put on disk; entered at least: {}",
                self.taken
            ));
        };
        for done in dones {
            match done {
                Ok(Done::Taken) => self.taken += 1,
                Ok(Done::Already) => self.already += 1,
                Ok(Done::Suppressed) => self.suppressed += 1,
                Ok(Done::Withdrawn) => self.withdrawn += 1,
                Ok(Done::NoConsent) => self.without += 1,
                Err((line, reason)) => {
                    self.bad += 1;
                    if self.bad_rows.len() < BAD_MAX {
                        self.bad_rows.push(json!({ "line": line, "reason": reason }));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes rows, a few at a time, and waits until all are on disk: the next few are taken while the last ones go there, and no
/// more.
async fn take_rows<D: Disk>(hub: &Hub<D>, account: usize, deed: &Deed) -> Answer {
    let (mut sums, mut before) = (Sums::default(), None);
    let (mut next, mut waited) = (0, Duration::ZERO);
    while next < deed.rows.len() {
        // As many batches as there may be that are not on disk.
        let (done, is_done) = mpsc::channel(2);
        let (dones, fault, batches) = hub.with_gate(|gate, now| {
            let rows = deed.rows.iter().skip(next).take(STEP);
            let (mut dones, mut fault) = (Vec::new(), None);
            for row in rows {
                match gate.take_row(now, account, deed, row) {
                    Ok(took) => dones.push(Ok(took)),
                    Err(Fault::Bad(why)) => dones.push(Err((row.line, why))),
                    Err(other) => {
                        fault = Some(other);
                        break;
                    }
                }
            }
            // What stands already may do so only in memory as yet, by somebody else's request or message.
            let batches = if dones
                .iter()
                .any(|done| matches!(done, Ok(done) if done.rests_on_disk()))
            {
                gate.hear_of_batches(&done)
            } else {
                0
            };
            (dones, fault, batches)
        });
        drop(done);
        next += dones.len();
        if !dones.is_empty() {
            waited = Duration::ZERO;
            let staged = Staged {
                dones,
                is_done,
                batches,
            };
            sums.add(before.replace(staged)).await?;
        }
        match fault {
            None => tokio::task::yield_now().await,
            // Turns make room in the batch, and the keeper in the journal, unless the disk has none.
            Some(Fault::Full) if waited < FULL_MAX => {
                tokio::time::sleep(PAUSE).await;
                waited += PAUSE;
            }
            Some(fault) => {
                sums.add(before).await?;
                let why = match fault {
                    Fault::Full => "full",
                    _ => "broken",
                };
                return Err(format!("the spool is {why}; entered at least: {}", sums.taken));
            }
        }
    }
    sums.add(before).await?;
    let mut told = Map::new();
    let counts = [
        ("rows", deed.rows.len() as u64),
        ("entered", sums.taken),
        ("already", sums.already),
        ("bad", sums.bad),
    ];
    told.extend(counts.map(|(key, count)| (key.to_owned(), json!(count))));
    if deed.kind == DeedKind::ContactImport {
        told.insert("suppressed".to_owned(), json!(sums.suppressed));
        told.insert("withdrawn".to_owned(), json!(sums.withdrawn));
        told.insert("without_consent".to_owned(), json!(sums.without));
    }
    told.insert("bad_rows".to_owned(), json!(sums.bad_rows));
    Ok(told)
}

async fn remove<D: Disk>(hub: &Hub<D>, account: usize, deed: &Deed) -> Answer {
    let (done, mut is_done) = mpsc::channel(1);
    let removed = hub.with_gate(|gate, now| {
        let lifted = gate.lift(now, account, deed)?;
        if lifted > 0 {
            gate.promises.push(Promise::Deed { done });
        }
        Ok::<_, String>(lifted)
    })?;
    if removed > 0 && is_done.recv().await != Some(true) {
        return Err("it cannot be put on disk".to_owned());
    }
    hub.look(|gate, _| {
        let mut told = gate.checked(account, deed)?;
        told.insert("removed".to_owned(), json!(removed));
        Ok(told)
    })
}

fn words(origins: Origins) -> Vec<&'static str> {
    origins.iter().map(Origin::word).collect()
}

impl<D: Disk> Gate<D> {
    /// Whom a row is about.
    pub(super) fn person_of(&self, account: usize, row: &Row) -> Result<Pseudonym, String> {
        let home = self.config.accounts[account].numbering.country;
        let number = row.get("number").ok_or("no number")?;
        let person = written_person(number, home).ok_or(super::rows::NO_NUMBER)?;
        Ok(self.spool.standing().who(&person))
    }

    /// The same by each name that the person goes by, or went.
    pub(super) fn all_names_of(&self, account: usize, row: &Row) -> Result<SmallVec<[Pseudonym; 2]>, String> {
        let home = self.config.accounts[account].numbering.country;
        let number = row.get("number").ok_or("no number")?;
        let person = written_person(number, home).ok_or(super::rows::NO_NUMBER)?;
        Ok(self.spool.standing().all_names(&person))
    }

    /// What an entry says that concerns an account, of one sender or of any (OPT-29): nothing that is another account's.
    pub(crate) fn concerning(
        &self,
        account: usize,
        who: &Pseudonym,
        sender: Option<&Scope>,
    ) -> Vec<(Scope, Stand)> {
        let config = &self.config.accounts[account];
        let standing = self.spool.standing();
        let (table, stands) = (standing.scopes(), standing.opt_outs().of(who));
        let of_sender = sender.map(|sender| self.scopes_of(account, sender));
        let whole = Scope::account(config.system_id.as_str());
        let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
        let mut found: Vec<(Scope, Stand)> = stands
            .into_iter()
            .filter_map(|stand| Some((table.scope(stand.scope)?.clone(), stand)))
            .filter(|(scope, stand)| match &of_sender {
                _ if self.is_inherited(account, *stand) => true,
                Some(scopes) => scopes.contains(&stand.scope),
                None => match scope.kind() {
                    ScopeKind::Global => true,
                    ScopeKind::Pool => scope.is_pool_of(&whole),
                    ScopeKind::Brand => brand.as_ref() == Some(scope) || table.lies_in(&whole, scope),
                    ScopeKind::Account => *scope == whole,
                    ScopeKind::Sender if scope.is_unlisted() => {
                        senders(config).any(|sender| self.unlisted(&sender) == *scope)
                            || config.senders.is_empty() && self.is_only_of(account, scope)
                    }
                    ScopeKind::Sender => self
                        .lists(account, scope, scope.name())
                        .unwrap_or_else(|| config.senders.is_empty() && self.is_only_of(account, scope)),
                },
            })
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    }

    /// Whether a person has opted out of what an account sends, and who said so.
    fn checked(&self, account: usize, deed: &Deed) -> Answer {
        let (who, sender) = self.asked_of(account, deed)?;
        let entries = self.concerning(account, &who, sender.as_ref());
        let shown = entries.iter().map(|(scope, stand)| {
            json!({
                "scope": scope.kind().word(),
                "name": String::from_utf8_lossy(scope.name()),
                "origins": words(stand.origins),
            })
        });
        Ok(Map::from_iter([
            ("blocked".to_owned(), json!(!entries.is_empty())),
            ("entries".to_owned(), Value::Array(shown.collect())),
        ]))
    }

    fn asked_of(&self, account: usize, deed: &Deed) -> Result<(Pseudonym, Option<Scope>), String> {
        let row = deed.rows.first().ok_or("\"rows\" is missing")?;
        Ok((self.person_of(account, row)?, self.sender_of(account, row)?))
    }

    /// Stages that entries of a person count no more: those of the account that it made or imported, or with two approvers
    /// all (OPT-24). Says how many.
    fn lift(&mut self, now: Now, account: usize, deed: &Deed) -> Result<u64, String> {
        let (who, sender) = self.asked_of(account, deed)?;
        let row = deed.rows.first().ok_or("\"rows\" is missing")?;
        let kind = match row.get("scope") {
            None => None,
            Some(word) => Some(kind_of(word).ok_or(super::rows::NO_SCOPE)?),
        };
        let mut found = self.concerning(account, &who, sender.as_ref());
        found.retain(|(scope, _)| kind.is_none_or(|kind| scope.kind() == kind));
        let own = Origins::of(Origin::Account).with(Origins::of(Origin::Import));
        let origins = match &deed.by_override {
            Some(by) => {
                let names = by.approvers.iter().map(|name| name.trim().to_lowercase());
                let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
                names.sort_unstable();
                names.dedup();
                if names.len() < APPROVERS_MIN {
                    return Err("an override takes two different approvers".to_owned());
                }
                if by.evidence.trim().is_empty() {
                    return Err("an override takes a reference to evidence".to_owned());
                }
                let until = self.spool.standing().overridden_until(&who);
                if until.is_some_and(|until| until > now.unix_ms) {
                    return Err("an override for this number was made within the last 30 days".to_owned());
                }
                Origins::ALL
            }
            None => {
                // What others share may be their entry as well: nobody knows any more who made it.
                let were_some = !found.is_empty();
                found.retain(|(scope, _)| match scope.kind() {
                    ScopeKind::Global | ScopeKind::Brand => false,
                    ScopeKind::Account | ScopeKind::Pool => true,
                    ScopeKind::Sender => self.is_only_of(account, scope),
                });
                if found.is_empty() && were_some {
                    return Err(
                        "what stands there is not of this account alone: only an override lifts it"
                            .to_owned(),
                    );
                }
                let all = found
                    .iter()
                    .fold(Origins::default(), |all, (_, stand)| all.with(stand.origins));
                let others = all.without(own);
                if let Some(strongest) = others.iter().next() {
                    return Err(format!(
                        "the entry is of origin {}: an account lifts only what it made or imported itself",
                        strongest.word()
                    ));
                }
                own
            }
        };
        if !self.spool.has_batch_room() {
            return Err("the gateway is busy: ask again".to_owned());
        }
        let mut removed = 0;
        for (scope, _) in found {
            let what = What::Lift { scope, origins };
            self.note_deed(now, account, deed, row, who, what, now.unix_ms)
                .map_err(|_| "it cannot be stored now".to_owned())?;
            removed += 1;
        }
        Ok(removed)
    }
}

pub(super) fn kind_of(word: &str) -> Option<ScopeKind> {
    ScopeKind::ALL.into_iter().find(|kind| kind.word() == word)
}
