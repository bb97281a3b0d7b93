//! One row about a person: what is wrong with it, or what it changes.

use tidegate_codec::category::Category;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::spool::Refused;
use tidegate_store::standing::{Change, Fact, Grant, Origin, Origins, Private, Scope, ScopeKind, Via, What};

use super::deed::{Deed, DeedKind, Row};
use super::people::{hex, kind_of};
use crate::clock::Now;
use crate::gate::Gate;
use crate::standing::opt_out::{Person, bit, is_plus_one, pool, reach, written_person, written_sender};

/// Why a row is bad. Nothing of what stands there is repeated (P4).
pub(super) const NO_NUMBER: &str =
    "no telephone number: digits with their country code, or of the account's country";
/// The same of a scope.
pub(super) const NO_SCOPE: &str = "no scope: one of sender, pool, account, brand, global";

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It is staged.
    Taken,
    /// It stands already.
    Already,
    /// The person has opted out: nothing is granted, whatever the file says (OPT-27).
    Suppressed,
    /// The person took the consent back later than it says (CON-2).
    Withdrawn,
    /// The file does not say that the person has consented.
    NoConsent,
}

impl Done {
    /// Whether it is true only once all that memory knows is on disk.
    pub(super) const fn rests_on_disk(self) -> bool {
        match self {
            Self::Taken | Self::Already | Self::Suppressed | Self::Withdrawn => true,
            Self::NoConsent => false,
        }
    }
}

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It makes no sense.
    Bad(&'static str),
    /// There is no room now.
    Full,
    /// Nothing can be written any more.
    Broken,
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::Broken => Self::Broken,
        }
    }
}

impl<D: Disk> Gate<D> {
    /// Stages what a row says.
    pub(super) fn take_row(
        &mut self,
        now: Now,
        account: usize,
        deed: &Deed,
        row: &Row,
    ) -> Result<Done, Fault> {
        // What stands in memory may not be on disk, and nobody will know before a restart.
        if self.spool.is_broken() {
            return Err(Fault::Broken);
        }
        if !self.spool.has_batch_room() {
            return Err(Fault::Full);
        }
        let home = self.config.accounts[account].numbering.country;
        let number = row.get("number").ok_or(Fault::Bad("no number"))?;
        let person = written_person(number, home).ok_or(Fault::Bad(NO_NUMBER))?;
        let who = self.spool.standing().who(&person);
        let at_ms = match row.get("time") {
            None => now.unix_ms,
            Some(text) => given_at(text)
                .filter(|at_ms| *at_ms <= now.unix_ms)
                .ok_or(Fault::Bad(
                    "no time that has been, such as 2026-11-24T18:00:00-05:00",
                ))?,
        };
        let category = match row.get("category") {
            None => None,
            Some(word) => Some(Category::from_word(word).ok_or(Fault::Bad("no category"))?),
        };
        match deed.kind {
            DeedKind::OptOutAdd | DeedKind::OptOutImport => {
                let origin = deed.origin.unwrap_or(match deed.kind {
                    DeedKind::OptOutImport => Origin::Import,
                    _ => Origin::Account,
                });
                self.suppress_row(now, account, deed, row, &person, who, origin, at_ms)
            }
            DeedKind::ContactImport => {
                let consents = match row.get("opted_in").map(str::to_lowercase).as_deref() {
                    Some("true" | "yes" | "1" | "t" | "y") => true,
                    Some("false" | "no" | "0" | "f" | "n") => false,
                    Some(_) => return Err(Fault::Bad("opted_in is neither true nor false")),
                    // A file that tells how somebody consented says that it was done.
                    None => ["source", "ip", "time", "method", "disclosure"]
                        .iter()
                        .any(|column| row.get(column).is_some()),
                };
                if self.spool.standing().opt_outs().knows(&who) && self.is_suppressed(account, &who, row) {
                    return Ok(Done::Suppressed);
                }
                if !consents {
                    return Ok(Done::NoConsent);
                }
                let scope = self.consented_to(account, row)?;
                let withdrawn = self.spool.standing().withdrawn_at(&who, &scope, bit(category));
                // A row without a time may be of any.
                if withdrawn.is_some_and(|then| row.get("time").is_none() || at_ms <= then) {
                    return Ok(Done::Withdrawn);
                }
                self.consent_row(now, account, deed, row, who, Grant::Given, category, at_ms)
            }
            DeedKind::ConsentGrant => {
                self.consent_row(now, account, deed, row, who, Grant::Given, category, at_ms)
            }
            DeedKind::ConsentWithdraw => {
                self.consent_row(now, account, deed, row, who, Grant::Withdrawn, category, at_ms)
            }
            _ => Err(Fault::Bad("nothing to be done with rows")),
        }
    }

    /// Whether anything that stands against messages of the account does so here: of the row's sender, or of any.
    fn is_suppressed(&self, account: usize, who: &Pseudonym, row: &Row) -> bool {
        !self
            .concerning(account, who, self.sender_of(account, row).ok().flatten().as_ref())
            .is_empty()
    }

    /// The sender that a row names, which must be the account's.
    pub(super) fn sender_of(&self, account: usize, row: &Row) -> Result<Option<Scope>, &'static str> {
        let home = self.config.accounts[account].numbering.country;
        let Some(text) = row.get("sender") else {
            return Ok(None);
        };
        let sender = written_sender(text, home).ok_or("no sender")?;
        let is_listed = self.lists(account, &sender, text.trim().as_bytes());
        // Whoever lists none may use any that nobody lists.
        is_listed
            .unwrap_or(self.config.accounts[account].senders.is_empty())
            .then_some(Some(sender))
            .ok_or("the sender is not the account's")
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one entry")]
    fn suppress_row(
        &mut self,
        now: Now,
        account: usize,
        deed: &Deed,
        row: &Row,
        person: &Person,
        who: Pseudonym,
        origin: Origin,
        at_ms: u64,
    ) -> Result<Done, Fault> {
        let config = std::sync::Arc::clone(&self.config);
        let config = &config.accounts[account];
        let sender = self.sender_of(account, row).map_err(Fault::Bad)?;
        let whole = || Scope::account(config.system_id.as_str());
        let needed = || sender.clone().ok_or(Fault::Bad("this scope needs a sender"));
        let kind = match row.get("scope") {
            None => None,
            Some(word) => Some(kind_of(word).ok_or(Fault::Bad(NO_SCOPE))?),
        };
        let scope = match kind {
            None => sender
                .as_ref()
                .map_or_else(whole, |sender| reach(config, sender, person, false)),
            // Numbers of +1 have the pool at least (OPT-11).
            Some(ScopeKind::Sender) if !is_plus_one(person) => needed()?,
            Some(ScopeKind::Sender | ScopeKind::Pool) => {
                let sender = needed()?;
                pool(config, &sender).unwrap_or(sender)
            }
            Some(ScopeKind::Account) => whole(),
            Some(ScopeKind::Brand) => {
                let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
                brand.ok_or(Fault::Bad("the account has no brand"))?
            }
            // One slip in a file would stop everybody's messages.
            Some(ScopeKind::Global) if deed.kind == DeedKind::OptOutImport => {
                return Err(Fault::Bad("no file opts anybody out of the whole platform"));
            }
            Some(ScopeKind::Global) => Scope::global(),
        };
        // What a person says to a number holds whoever has it later, as by a message.
        let also = sender.filter(|sender| origin == Origin::Recipient && *sender != scope);
        let mut done = Done::Already;
        for scope in std::iter::once(scope).chain(also) {
            // What may be a person's number is not written down in clear (P4).
            let scope = match scope.kind() {
                ScopeKind::Sender => self.sent_under(scope),
                _ => scope,
            };
            if self.is_one_too_many(&scope) {
                return Err(Fault::Bad(
                    "too many senders that no account lists: list it, or opt out of the account",
                ));
            }
            let standing = self.spool.standing();
            let stands = standing.scopes().find(&scope).is_some_and(|id| {
                let all = standing.opt_outs().of(&who);
                all.iter().any(|stand| {
                    stand.scope == id && stand.categories == 0 && stand.origins.contains(Origins::of(origin))
                })
            });
            if stands {
                continue;
            }
            if matches!(scope.kind(), ScopeKind::Sender | ScopeKind::Pool) {
                self.join(now, account, &scope, &whole())?;
            }
            let what = What::Suppress {
                scope,
                origin,
                categories: 0,
            };
            self.note_deed(now, account, deed, row, who, what, at_ms)?;
            done = Done::Taken;
        }
        Ok(done)
    }

    /// To whom a row's consent is.
    fn consented_to(&self, account: usize, row: &Row) -> Result<Scope, Fault> {
        let config = &self.config.accounts[account];
        match row.get("scope").map(kind_of) {
            None | Some(Some(ScopeKind::Account)) => Ok(Scope::account(config.system_id.as_str())),
            Some(Some(ScopeKind::Brand)) => {
                let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
                brand.ok_or(Fault::Bad("the account has no brand"))
            }
            Some(_) => Err(Fault::Bad("consent is to an account or its brand")),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one record")]
    fn consent_row(
        &mut self,
        now: Now,
        account: usize,
        deed: &Deed,
        row: &Row,
        who: Pseudonym,
        grant: Grant,
        category: Option<Category>,
        at_ms: u64,
    ) -> Result<Done, Fault> {
        let scope = self.consented_to(account, row)?;
        let categories = bit(category);
        let standing = self.spool.standing();
        let stands = standing.scopes().find(&scope).is_some_and(|id| {
            let all = standing.consents().of(&who);
            all.iter()
                .any(|stand| stand.scope == id && stand.covers(categories))
        });
        let grant = match grant {
            Grant::Given if stands => Grant::Renewed,
            // Whatever stands: a grant that is staged counts only from the disk on, and would outlive a withdrawal that
            // was not recorded behind it.
            grant => grant,
        };
        let what = What::Consent {
            grant,
            scope,
            categories,
        };
        self.note_deed(now, account, deed, row, who, what, at_ms)?;
        Ok(Done::Taken)
    }

    /// Stages a change with all that is told of how it came about.
    #[expect(clippy::too_many_arguments, reason = "all of it is one change")]
    pub(super) fn note_deed(
        &mut self,
        now: Now,
        account: usize,
        deed: &Deed,
        row: &Row,
        who: Pseudonym,
        what: What,
        at_ms: u64,
    ) -> Result<(), Fault> {
        let private = self.told_of(account, deed, row);
        let change = Change {
            who,
            at_ms,
            event: 0,
            via: if deed.file.is_some() {
                Via::File
            } else {
                Via::Command
            },
            what,
            private,
        };
        let system_id = self.config.accounts[account].system_id;
        self.spool
            .remember(now.unix_ms, system_id, change, true, &mut self.rng)?;
        Ok(())
    }

    /// What is kept of how it came about.
    pub(super) fn told_of(&self, account: usize, deed: &Deed, row: &Row) -> Private {
        let home = self.config.accounts[account].numbering.country;
        let number = row.get("number").and_then(|text| written_person(text, home));
        let text = |column: &str| row.get(column).unwrap_or_default().as_bytes().to_vec();
        let mut facts: Vec<(Fact, Vec<u8>)> = Fact::ALL
            .into_iter()
            .filter_map(|fact| Some((fact, row.get(fact.word())?.as_bytes().to_vec())))
            .collect();
        if let Some(file) = &deed.file {
            // A hash without a key would tell whether a list was this one.
            let keyed = self.spool.standing().who(file.digest.as_bytes());
            facts.push((Fact::Batch, file.batch.as_bytes().to_vec()));
            facts.push((Fact::File, hex(keyed.octets()).into_bytes()));
        }
        if let Some(by) = &deed.by_override {
            let names = by.approvers.join(", ").into_bytes();
            facts.push((Fact::RecordedBy, names));
        }
        let source = match &deed.by_override {
            Some(by) => by.evidence.as_bytes().to_vec(),
            None => text("source"),
        };
        Private {
            number: number.map(|number| number.to_vec()).unwrap_or_default(),
            source,
            address: text("ip"),
            facts,
        }
    }
}

/// An instant with its offset.
fn given_at(text: &str) -> Option<u64> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}
