//! What a message of a handset means for who sent it: no more messages, messages again, help (compliance.md §2).
//!
//! Everything that follows is staged with the message itself: on disk together, or not at all (P2, OPT-14).

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::tlv::Tag;
use tidegate_codec::values::MessageState;
use tidegate_config::{Country, Meaning, OptIn};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::spool::Refused;
use tidegate_store::standing::{
    Change, Grant, Origin, Origins, Private, Scope, ScopeKind, Via, What, nobody,
};

use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;
use crate::keywords::Text;
use crate::number::SHORT_CODE_MAX;
use crate::standing::opt_out::{Person, is_plus_one, is_toll_free, number, person, pool, reach, sender};
use crate::telemetry::words::HandsetWord;
use crate::turn::Owed;

use super::reply::Kind;

/// Accounts that have one sender.
pub(crate) type Owners = SmallVec<[usize; 1]>;

/// Who writes to whom.
pub(super) struct Pair {
    /// Our number, as it was called.
    pub(super) called: AddressBuf,
    /// The same as a scope: by its name where the configuration lists it, else by a pseudonym.
    pub(super) sender: Scope,
    /// The scope that it was, or will be, the other way round.
    other: Scope,
    /// Whether it is toll-free in +1.
    is_toll_free: bool,
    /// The handset's number.
    pub(super) person: Person,
    pub(super) who: Pseudonym,
    /// Whether a reply can go back there at all (OPT-20).
    pub(super) is_handset: bool,
}

impl Pair {
    /// Our number as it is, listed or not.
    pub(super) fn plain(&self) -> &Scope {
        if self.sender.is_unlisted() {
            &self.other
        } else {
            &self.sender
        }
    }
}

/// Who writes to which number of ours.
struct Called {
    address: AddressBuf,
    sender: Scope,
    person: Person,
    /// Whose national numbers are meant.
    home: Option<Country>,
}

/// What a message was taken for.
pub(super) enum Heeded {
    /// Nothing to be kept beyond the message.
    Nothing,
    /// Something is staged.
    Staged,
    /// It came before, and all that it said is on disk or staged: it is not taken in again (OPT-17).
    Known,
}

/// A code as it is compared: without blanks around it and zeros before it.
fn number_of(code: &[u8]) -> &[u8] {
    let code = code.trim_ascii();
    let zeros = code.iter().take_while(|octet| **octet == b'0').count();
    code.get(zeros..).unwrap_or_default()
}

/// A reply that is due once the message itself is staged.
pub(super) struct Due {
    pub(super) account: usize,
    pub(super) kind: Kind,
    pub(super) confirmed: Option<Scope>,
}

/// What became of a word that begins a subscription, or of a yes.
enum OptedIn {
    /// Nothing is to be kept of it.
    No,
    /// It is staged: what stood against messages is lifted, or a consent is recorded.
    Staged,
    /// The person is to be asked first.
    Asks,
}

impl<D: Disk> Gate<D> {
    /// Reads a message of a handset and stages what it says. `way` is the account that gets it. Suspended accounts' are
    /// heeded like all others (OPT-30). Where the message itself finds no room, it is not `is_whole`: its carrier sends it again,
    /// and then it is a new one.
    pub(super) fn heed(
        &mut self,
        now: Now,
        owed: Owed,
        text: &Text<'_>,
        way: Option<usize>,
        is_whole: bool,
    ) -> Result<(Heeded, Option<(Pair, Due)>), Refused> {
        let config = Arc::clone(&self.config);
        let (called, owners) = self.called_of(text, way);
        let own = owners.first().map(|account| &config.accounts[*account].words);
        let plus_one = is_plus_one(&called.person);
        let meaning = self.keywords.meaning(now, text, own, plus_one);
        let word = match meaning {
            Meaning::Nothing => return Ok((Heeded::Nothing, None)),
            Meaning::Yes { .. } => HandsetWord::Yes,
            Meaning::Flag { .. } => HandsetWord::Flag,
            Meaning::OptOut(_) => HandsetWord::OptOut,
            Meaning::OptIn { .. } => HandsetWord::OptIn,
            Meaning::Help { .. } => HandsetWord::Help,
        };
        // Nobody subscribes with an account that is closed.
        if word != HandsetWord::OptOut && way.is_some_and(|account| self.accounts[account].is_closed) {
            return Ok((Heeded::Nothing, None));
        }
        let pair = self.pair_of(text, called);
        let (everything, kind) = match meaning {
            Meaning::OptOut(found) => (found.everything, Kind::OptedOut(found.languages.first())),
            Meaning::Help { languages, .. } => (false, Kind::Help(languages.first())),
            _ => (false, Kind::OptedIn),
        };
        let event = if is_whole { self.event_of(owed, text) } else { 0 };
        if self.spool.standing().is_known_event(event) {
            self.tally.handset_words.add(HandsetWord::Again);
            return Ok((Heeded::Known, None));
        }
        let (mut confirmed, mut asker) = (None, None);
        let opted_in = match word {
            HandsetWord::OptOut => {
                let scope = self.opt_out(now, event, &pair, &owners, everything)?;
                confirmed = Some(scope);
                OptedIn::No
            }
            HandsetWord::OptIn => self.opt_in(now, event, &pair, &owners)?,
            HandsetWord::Yes => {
                asker = self.say_yes(now, event, &pair, &owners)?;
                if asker.is_some() {
                    OptedIn::Staged
                } else {
                    OptedIn::No
                }
            }
            _ => OptedIn::No,
        };
        let staged = word == HandsetWord::OptOut || matches!(opted_in, OptedIn::Staged);
        self.tally.handset_words.add(word);
        let kind = match opted_in {
            OptedIn::Asks => Kind::Ask,
            _ => kind,
        };
        // The network answers itself on toll-free numbers (OPT-23).
        let is_answered = match word {
            HandsetWord::OptOut | HandsetWord::OptIn => !pair.is_toll_free,
            HandsetWord::Yes => staged && !pair.is_toll_free,
            HandsetWord::Help => true,
            _ => false,
        };
        // A yes is answered by who asked.
        let answers = asker.as_ref().or_else(|| owners.first());
        let due = answers
            .filter(|_| is_answered && pair.is_handset)
            .map(|account| Due {
                account: *account,
                kind,
                confirmed,
            });
        let heeded = if staged { Heeded::Staged } else { Heeded::Nothing };
        Ok((heeded, due.map(|due| (pair, due))))
    }

    /// Who writes to which number, and whose that is: of those who list it as a sender; else of who gets the message.
    fn called_of(&self, text: &Text<'_>, way: Option<usize>) -> (Called, Owners) {
        let carrier = &self.config.carriers[text.carrier];
        let account = way.map(|account| &self.config.accounts[account]);
        let home = carrier
            .writing
            .country
            .or_else(|| account.and_then(|account| account.numbering.country));
        let called = text.called.to_buf();
        let sender = sender(&called, home);
        let (ton, npi) = text.sender_ton_npi;
        let person = person(ton, npi, text.sender, home);
        let mut owners = self.standing.owners_of(sender.name());
        if owners.is_empty() {
            owners.extend(way);
        }
        let called = Called {
            address: called,
            sender,
            person,
            home,
        };
        (called, owners)
    }

    /// The same with what only a message that means something needs: most mean nothing.
    fn pair_of(&self, text: &Text<'_>, called: Called) -> Pair {
        let Called {
            address,
            sender,
            person,
            home,
        } = called;
        let (ton, npi) = text.sender_ton_npi;
        let is_ours = !self.standing.owners_of(&person).is_empty();
        let is_number = number(ton, npi, text.sender, home).is_some();
        let (is_toll_free, unlisted) = (is_toll_free(&sender), self.unlisted(&sender));
        let (sender, other) = if self.is_listed(&sender) {
            (sender, unlisted)
        } else {
            (unlisted, sender)
        };
        Pair {
            called: address,
            sender,
            other,
            is_toll_free,
            who: self.spool.standing().who(&person),
            is_handset: is_number && person.len() > SHORT_CODE_MAX && !is_ours,
            person,
        }
    }

    /// A number for this very message, which goes to disk: nothing of the person's may be in it that could be counted through
    /// (PSN-1). By the id that its carrier gives it, or where it gives none by its place on its
    /// connection. 0 is none.
    fn event_of(&self, owed: Owed, text: &Text<'_>) -> u64 {
        let mut hash = SipHasher13::new();
        hash.write(self.config.carriers[text.carrier].name.as_str().as_bytes());
        match text
            .tlvs
            .get(Tag::RECEIPTED_MESSAGE_ID)
            .filter(|id| !id.is_empty())
        {
            Some(id) => {
                hash.write_u8(1);
                hash.write(id);
            }
            None => {
                hash.write_u64(self.salt);
                owed.link.hash(&mut hash);
                hash.write_u32(owed.sequence);
                hash.write(text.called.addr.as_bytes());
                hash.write(text.sender);
                hash.write(text.octets);
            }
        }
        hash.finish().max(1)
    }

    /// A final receipt may say that its recipient has opted out at the carrier (OPT-28): by a code of the carrier's list.
    pub(crate) fn heed_receipt(
        &mut self,
        now: Now,
        carrier: usize,
        leg: LegId,
        note: &ReceiptNote,
    ) -> Result<(), Refused> {
        let codes = &self.config.carriers[carrier].opted_out_codes;
        if codes.is_empty() || note.state == MessageState::Delivered {
            return Ok(());
        }
        let network_error = note
            .network_error
            .map(|[_, high, low]| u16::from_be_bytes([high, low]).to_string());
        let of_network = network_error.as_deref().map(str::as_bytes);
        let is_said = |code: &String| {
            let code = number_of(code.as_bytes());
            code == number_of(&note.err) || of_network.is_some_and(|found| code == number_of(found))
        };
        if !codes.iter().any(is_said) {
            return Ok(());
        }
        let Some(found) = self.spool.index().get(leg) else {
            return Ok(());
        };
        let Some(account) = self.account_named(found.account) else {
            return Ok(());
        };
        let addresses = &found.envelope.addresses;
        let (called, recipient) = (addresses.source(), addresses.destination());
        let config = &self.config.accounts[account];
        let home = config.numbering.country;
        let sender = sender(&called, home);
        let person = person(recipient.ton(), recipient.npi(), recipient.as_bytes(), home);
        let who = self.spool.standing().who(&person);
        let mut reached = reach(config, &sender, &person, false);
        if reached.kind() == ScopeKind::Sender {
            reached = self.sent_under(reached);
        }
        let config = &self.config.accounts[account];
        if self.is_one_too_many(&reached) {
            reached = Scope::account(config.system_id.as_str());
            self.tally.opt_outs_widened += 1;
        }
        let change = Change {
            who,
            at_ms: now.unix_ms,
            event: 0,
            via: Via::Receipt,
            what: What::Suppress {
                scope: reached,
                origin: Origin::Carrier,
                categories: 0,
            },
            private: Private::number(&person),
        };
        let system_id = config.system_id;
        self.spool
            .remember(now.unix_ms, system_id, change, true, &mut self.rng)?;
        self.tally.handset_words.add(HandsetWord::Carrier);
        Ok(())
    }

    /// Stages an opt-out: as far as it reaches at each account that has the number, and at the number itself, so that it
    /// holds whoever has it later. Says how far it reaches at the first.
    fn opt_out(
        &mut self,
        now: Now,
        event: u64,
        pair: &Pair,
        owners: &Owners,
        everything: bool,
    ) -> Result<Scope, Refused> {
        if self.is_one_too_many(&pair.sender) {
            return self.opt_out_widely(now, event, pair, owners, everything);
        }
        let mut reached = None;
        for account in owners {
            let config = &self.config.accounts[*account];
            let scope = reach(config, &pair.sender, &pair.person, everything);
            let account_scope = Scope::account(config.system_id.as_str());
            let pool = pool(config, &pair.sender);
            self.join(now, *account, &pair.sender, &account_scope)?;
            if let Some(pool) = pool {
                self.join(now, *account, &pair.sender, &pool)?;
                self.join(now, *account, &pool, &account_scope)?;
            }
            if scope != pair.sender {
                self.suppress(now, Some(*account), event, pair, scope.clone())?;
            }
            reached.get_or_insert(scope);
        }
        let first = owners.first().copied();
        self.suppress(now, first, event, pair, pair.sender.clone())?;
        Ok(reached.unwrap_or_else(|| pair.sender.clone()))
    }

    /// The same where there is no room for the number itself: at each account that has it as a whole, or where none has it,
    /// everywhere. None is lost.
    fn opt_out_widely(
        &mut self,
        now: Now,
        event: u64,
        pair: &Pair,
        owners: &Owners,
        everything: bool,
    ) -> Result<Scope, Refused> {
        let mut reached = None;
        for account in owners {
            let config = &self.config.accounts[*account];
            let mut scope = reach(config, &pair.sender, &pair.person, everything);
            if scope == pair.sender {
                scope = Scope::account(config.system_id.as_str());
            }
            self.suppress(now, Some(*account), event, pair, scope.clone())?;
            reached.get_or_insert(scope);
        }
        if reached.is_none() {
            self.suppress(now, None, event, pair, Scope::global())?;
        }
        self.tally.opt_outs_widened += 1;
        Ok(reached.unwrap_or_else(Scope::global))
    }

    fn suppress(
        &mut self,
        now: Now,
        account: Option<usize>,
        event: u64,
        pair: &Pair,
        scope: Scope,
    ) -> Result<(), Refused> {
        let what = What::Suppress {
            scope,
            origin: Origin::Recipient,
            categories: 0,
        };
        self.remember(now, account, event, pair, what)
    }

    fn remember(
        &mut self,
        now: Now,
        account: Option<usize>,
        event: u64,
        pair: &Pair,
        what: What,
    ) -> Result<(), Refused> {
        let change = Change {
            who: pair.who,
            at_ms: now.unix_ms,
            event,
            via: Via::Message,
            what,
            private: Private::number(&pair.person),
        };
        let account = account
            .map(|account| self.config.accounts[account].system_id)
            .or_else(nobody)
            .ok_or(Refused::Broken)?;
        self.spool
            .remember(now.unix_ms, account, change, true, &mut self.rng)?;
        Ok(())
    }

    /// Notes that one scope lies in another, if that is not known yet: from then on it does for ever (OPT-11).
    pub(crate) fn join(
        &mut self,
        now: Now,
        account: usize,
        child: &Scope,
        parent: &Scope,
    ) -> Result<(), Refused> {
        if child == parent || self.spool.standing().scopes().lies_in(child, parent) {
            return Ok(());
        }
        let change = Change {
            who: Pseudonym::from_octets([0; 16]),
            at_ms: now.unix_ms,
            event: 0,
            via: Via::Configuration,
            what: What::Member {
                child: child.clone(),
                parent: parent.clone(),
            },
            private: Private::default(),
        };
        let account = self.config.accounts[account].system_id;
        self.spool
            .remember(now.unix_ms, account, change, false, &mut self.rng)?;
        Ok(())
    }

    /// Whether a sender is of these accounts and of no others: now, or where nobody lists it, as far as is known.
    fn is_theirs(&self, sender: &Scope, owners: &Owners) -> bool {
        if sender.is_unlisted() {
            let mut others = (0..self.config.accounts.len()).filter(|account| !owners.contains(account));
            if others.any(|account| self.may_list(account, sender)) {
                return false;
            }
        }
        let present = self.standing.owners_of(sender.name());
        if !present.is_empty() {
            return present.iter().all(|account| owners.contains(account));
        }
        let table = self.spool.standing().scopes();
        let Some(id) = table.find(sender) else {
            return false;
        };
        let mut accounts = table
            .parents(id)
            .iter()
            .filter_map(|id| table.scope(*id))
            .filter(|scope| scope.kind() == ScopeKind::Account)
            .peekable();
        let is_owner = |scope: &Scope| {
            owners
                .iter()
                .any(|account| Scope::account(self.config.accounts[*account].system_id.as_str()) == *scope)
        };
        accounts.peek().is_some() && accounts.all(is_owner)
    }

    /// Stages that the person gets messages again: what the person, or a carrier for it, has said counts no more wherever
    /// an opt-out by a message to this number would reach now, and within (OPT-18). With something to lift it is a consent
    /// as well; of somebody who has said nothing before it is what the account makes of it.
    fn opt_in(&mut self, now: Now, event: u64, pair: &Pair, owners: &Owners) -> Result<OptedIn, Refused> {
        let origins = Origins::of(Origin::Recipient).with(Origins::of(Origin::Carrier));
        let mut lifted = false;
        let standing = self.spool.standing();
        let (table, stands) = (standing.scopes(), standing.opt_outs().of(&pair.who));
        let mut lifts: SmallVec<[(Option<usize>, Scope); 4]> = SmallVec::new();
        for stand in stands {
            let Some(scope) = table.scope(stand.scope) else {
                continue;
            };
            if stand.origins.without(origins) == stand.origins {
                continue;
            }
            if *scope == pair.sender || *scope == pair.other {
                lifts.push((owners.first().copied(), scope.clone()));
                continue;
            }
            let reopened = owners.iter().find(|account| {
                let config = &self.config.accounts[**account];
                let name = config.system_id.as_str();
                let reached = reach(config, &pair.sender, &pair.person, false);
                let whole = Scope::account(name);
                let is_wide = matches!(reached.kind(), ScopeKind::Account | ScopeKind::Brand);
                if reached.kind() == ScopeKind::Brand && self.was_left_to(scope, &reached) {
                    return true;
                }
                match scope.kind() {
                    ScopeKind::Global => false,
                    ScopeKind::Brand => *scope == reached,
                    ScopeKind::Account => *scope == whole,
                    ScopeKind::Pool => {
                        let has_it = is_wide || *scope == reached || table.lies_in(&pair.sender, scope);
                        has_it && scope.is_pool_of(&whole)
                    }
                    // What was said to a number is lifted by another one of the same reach only where nobody else has it.
                    ScopeKind::Sender => {
                        (is_wide || table.lies_in(scope, &reached)) && self.is_theirs(scope, owners)
                    }
                }
            });
            if let Some(account) = reopened {
                lifts.push((Some(*account), scope.clone()));
            }
        }
        for (account, scope) in lifts {
            self.remember(now, account, event, pair, What::Lift { scope, origins })?;
            lifted = true;
        }
        let Some(account) = owners.first().copied() else {
            return Ok(if lifted { OptedIn::Staged } else { OptedIn::No });
        };
        let mode = self.config.accounts[account].opt_outs.opt_in;
        // Whom something else stands against is neither asked nor taken at the word (OPT-25).
        if !lifted
            && (mode == OptIn::Resume || self.is_against(&pair.who, account, pair.plain(), None).is_some())
        {
            return Ok(OptedIn::No);
        }
        let scope = Scope::account(self.config.accounts[account].system_id.as_str());
        let stands = self.consents_to(&pair.who, &scope, 0);
        if !lifted && mode == OptIn::Ask && !stands {
            return Ok(OptedIn::Asks);
        }
        let what = What::Consent {
            grant: if stands { Grant::Renewed } else { Grant::Given },
            scope,
            categories: 0,
        };
        self.remember(now, Some(account), event, pair, what)?;
        Ok(OptedIn::Staged)
    }

    /// Stages the consent of somebody who was asked for it from this number within 24 hours (CON-5), and says who asked. To
    /// nobody's question it means nothing, and nothing of somebody who has opted out (OPT-18); that a STOP came between has
    /// closed the question.
    fn say_yes(
        &mut self,
        now: Now,
        event: u64,
        pair: &Pair,
        owners: &Owners,
    ) -> Result<Option<usize>, Refused> {
        let standing = self.spool.standing();
        let under = self.hashes_of(pair.plain());
        let Some(awaited) = standing.asked().awaits(&pair.who, &under, now.unix_ms) else {
            return Ok(None);
        };
        let table = standing.scopes();
        let (Some(asker), Some(scope)) = (
            table.scope(awaited.asker).cloned(),
            table.scope(awaited.scope).cloned(),
        ) else {
            return Ok(None);
        };
        // Who asked has the number no more: a consent is not inherited (CON-3).
        let is_asker = |account: &&usize| {
            let config = &self.config.accounts[**account];
            let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
            asker == Scope::account(config.system_id.as_str())
                && (scope == asker || Some(&scope) == brand.as_ref())
        };
        let Some(account) = owners.iter().find(is_asker).copied() else {
            return Ok(None);
        };
        if self.is_against(&pair.who, account, pair.plain(), None).is_some() {
            return Ok(None);
        }
        let stands = self.consents_to(&pair.who, &scope, awaited.categories);
        let what = What::Consent {
            grant: if stands { Grant::Renewed } else { Grant::Given },
            scope,
            categories: awaited.categories,
        };
        self.remember(now, Some(account), event, pair, what)?;
        Ok(Some(account))
    }
}
