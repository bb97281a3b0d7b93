//! Standing data: what is remembered of people beyond any message of theirs. Opt-outs, consent, replies that were given.
//!
//! A [`Change`] is a record in the same append of the [spool](crate::spool) as the message that causes it (P2), and what
//! memory knows follows that append. Afterwards the keeper copies it, in the spool's order, to the [journal](journal),
//! which is kept for ever; until that is synced its segment stays. A start reads the journal and then what the spool
//! holds beyond it, so every change counts once, wherever a process was cut off.
//!
//! What can block is true from the moment it is staged, so that nothing of the same turn passes it; what frees, from the
//! moment it is on disk.

mod asked;
mod change;
mod ends;
mod evidence;
mod forget;
mod generations;
mod intake;
mod journal;
mod journal_format;
#[cfg(test)]
mod journal_look;
mod people;
mod register;
mod replies;
mod scope;
mod sent;
mod withdrawn;

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tidegate_codec::identity::SystemId;

use crate::message_id::MessageId;
use crate::pseudonym::{Pseudonym, Secret};

pub use asked::{ASKED_EVERY_MS, Asked, Awaited, PENDING_MS};
pub use change::{Change, Grant, Origin, Origins, What};
pub use ends::{Ends, ended};
pub use evidence::{Fact, Private, Via};
pub use forget::{Forget, ForgetError, ForgetReport, Forgotten, Going, Holders, Lost};
use generations::Generations;
pub use generations::Held;
pub(crate) use intake::Intake;
pub use journal::JournalError;
pub(crate) use journal::{Holds, Journal};
#[cfg(test)]
pub(crate) use journal_look::look;
use people::{Deed, Step};
pub use people::{People, Stand};
pub use register::{Followed, Kept, Numbers, Page, Register, RegisterError};
pub use replies::Replies;
pub use scope::{SCOPE_NAME_MAX, Scope, ScopeId, ScopeKind, ScopeTable, Scopes};
pub use sent::{Counts, DAY_MS, Lately, Sent};
use withdrawn::{Withdrawn, bits};

/// Changes that may wait for the journal, about 200 octets each: more are not taken in.
const DUE_MAX: usize = 65_536;
/// Of these one chore takes at most so many.
pub(crate) const CHORE_MAX: usize = 1_024;
/// Events of handsets whose numbers are remembered, so that a repeated one changes nothing (OPT-17).
const EVENTS_MAX: usize = 65_536;
/// For how long an operator may not lift another's entry of the same person again, in milliseconds: 30 days (OPT-24).
pub const OVERRIDE_EVERY_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// Stands for the account where a change has none: of a sender that nobody owns, of the whole platform.
pub fn nobody() -> Option<SystemId> {
    SystemId::new(b"*").ok()
}

/// A change that is on disk in the spool and not yet in the journal.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) id: MessageId,
    pub(crate) account: SystemId,
    pub(crate) segment: u64,
    pub(crate) change: Change,
}

/// All of it in memory.
#[derive(Debug)]
pub struct Standing {
    generations: Generations,
    scopes: ScopeTable,
    opt_outs: People,
    consents: People,
    replies: Replies,
    asked: Asked,
    sent: Sent,
    /// Numbers of handsets' events, and when they came; oldest first in `events_in_order`.
    events: HashMap<u64, u64>,
    events_in_order: VecDeque<(u64, u64)>,
    pub(crate) due: VecDeque<Due>,
    /// Changes that a chore has.
    pub(crate) out: usize,
    /// Changes for the journal that this process has known to be on disk, and how many of them the journal holds.
    known: u64,
    journaled: u64,
    pub(crate) failed_ms: Option<u64>,
    /// The newest change that can block, so that what was judged after it need not be judged again.
    newest_block: Option<MessageId>,
    /// Of whom an operator lifted what was not the account's, and when. Each takes two approvers, so there are few; what is
    /// older than [`OVERRIDE_EVERY_MS`] goes.
    overrides: HashMap<Pseudonym, u64>,
    /// Who took a consent back, and has not given it anew since: what a list says of before then brings nothing back. For
    /// ever, 40 octets each.
    withdrawn: HashMap<Pseudonym, SmallVec<[(ScopeId, Withdrawn); 1]>>,
    /// Something was said of a consent, be it long ago.
    has_consents: bool,
}

impl Standing {
    /// With nobody in it: the newest secret behind pseudonyms, and older ones that live, oldest first.
    pub(crate) fn new(newest: &Secret, older: &[Secret]) -> Self {
        Self {
            generations: Generations::new(newest, older),
            sent: Sent::new(newest, older),
            scopes: ScopeTable::default(),
            opt_outs: People::default(),
            consents: People::default(),
            replies: Replies::default(),
            asked: Asked::default(),
            events: HashMap::new(),
            events_in_order: VecDeque::new(),
            due: VecDeque::new(),
            out: 0,
            known: 0,
            journaled: 0,
            failed_ms: None,
            newest_block: None,
            overrides: HashMap::new(),
            withdrawn: HashMap::new(),
            has_consents: false,
        }
    }

    /// Until when no operator may lift for this person again what others made, in unix milliseconds (OPT-24).
    pub fn overridden_until(&self, who: &Pseudonym) -> Option<u64> {
        let at_ms = self.overrides.get(who)?;
        Some(at_ms.saturating_add(OVERRIDE_EVERY_MS))
    }

    /// Who has opted out, and of what.
    pub const fn opt_outs(&self) -> &People {
        &self.opt_outs
    }

    /// Who has consented, and to what.
    pub const fn consents(&self) -> &People {
        &self.consents
    }

    /// Whether the journal may hold anything of a consent.
    pub const fn has_consents(&self) -> bool {
        self.has_consents
    }

    /// Scopes and what lies within what.
    pub const fn scopes(&self) -> &ScopeTable {
        &self.scopes
    }

    /// Replies that were given of ourselves.
    pub const fn replies(&self) -> &Replies {
        &self.replies
    }

    /// Who was asked for a consent.
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// What was handed over to people whose messages are counted.
    pub const fn sent(&self) -> &Sent {
        &self.sent
    }

    /// The newest change that can block: a message with a later id was judged by all there are.
    pub const fn newest_block(&self) -> Option<MessageId> {
        self.newest_block
    }

    /// Whether a handset's event has been taken in before (OPT-17). `event` 0 is none.
    pub fn is_known_event(&self, event: u64) -> bool {
        event != 0 && self.events.contains_key(&event)
    }

    /// Changes on disk that the journal does not hold yet.
    pub fn waiting(&self) -> usize {
        self.due.len() + self.out
    }

    /// How many changes the journal must hold so that all that is on disk now is in it: see [`journaled`](Self::journaled).
    /// What comes later, or counts for a while only, is not waited for.
    pub const fn known(&self) -> u64 {
        self.known
    }

    /// How many changes have been put into the journal, in the order in which they became known.
    pub const fn journaled(&self) -> u64 {
        self.journaled
    }

    /// A change is on disk and due.
    pub(crate) fn owe(&mut self, due: Due) {
        self.known += u64::from(!due.change.is_passing());
        self.due.push_back(due);
    }

    /// What was due is in its journal.
    pub(crate) fn paid(&mut self, done: &[Due]) {
        let lasting = done.iter().filter(|due| !due.change.is_passing());
        self.journaled += lasting.count() as u64;
    }

    /// Lets go of what counts no more; to be asked for now and then.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        self.replies.forget(now_ms);
        self.asked.forget(now_ms);
        self.sent.forget(now_ms);
    }

    /// Whether hand-overs may still be written down: they leave half of the room to opt-outs.
    pub(crate) fn has_room_for_counts(&self) -> bool {
        self.waiting() < DUE_MAX / 2
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting() < DUE_MAX
    }

    /// A change is staged: what it blocks is blocked from here on. Says what is to be undone should the disk be full.
    pub(crate) fn staged(&mut self, id: MessageId, change: &Change) -> Undo {
        let mut undo = Undo::default();
        self.generations.takes_off(change);
        if self.note_event(change) {
            undo.event = change.event();
        }
        if change.can_block() {
            self.newest_block = self.newest_block.max(Some(id));
        }
        match &change.what {
            What::Suppress {
                scope,
                origin,
                categories,
            } => {
                let scope = self.scopes.intern(scope);
                let stand = Stand::new(scope, Origins::of(*origin), *categories);
                undo.opt_out = self.opt_outs.add(&change.who, stand).then_some(scope);
                self.close_questions(&change.who, scope);
            }
            What::Replied { sender, confirmed } => {
                let confirmed = confirmed.as_ref().map(|scope| self.scopes.intern(scope));
                self.replies.add(&change.who, *sender, confirmed, change.at_ms);
                undo.reply = Some(*sender);
            }
            What::Asked { .. } => undo.asked = self.ask(change),
            What::Sent {
                subject,
                message,
                counts,
            } => {
                self.sent
                    .add(&change.who, *subject, *message, *counts, change.at_ms);
            }
            // A message that was judged under the narrower rule is judged again.
            What::Member { child, parent } => {
                undo.member = self.scopes.join(child, parent);
            }
            What::Consent { grant, .. } => {
                if *grant == Grant::Withdrawn {
                    self.withdraw(change);
                }
            }
            What::Lift { .. } => {}
            // Both are undone by nothing: what is written behind them is written on their word.
            What::Renamed { .. } => self.rename(change),
            What::Retired { generation, check } => self.retire(*generation, *check),
        }
        undo
    }

    /// A staged change is on disk.
    pub(crate) fn synced(&mut self, id: MessageId, account: SystemId, segment: u64, change: Change) {
        self.generations.lands(&change);
        self.apply(&change);
        self.owe(Due {
            id,
            account,
            segment,
            change,
        });
    }

    /// Takes a change in that is on disk: all effects, in the order of the disk.
    pub(crate) fn apply(&mut self, change: &Change) {
        self.rename(change);
        if let Some((among, step)) = self.apply_but_people(change) {
            self.take(among, &step);
        }
    }

    fn take(&mut self, among: Among, step: &Step) {
        match among {
            Among::OptOuts => self.opt_outs.take_step(step),
            Among::Consents => self.consents.take_step(step),
        }
    }

    /// All effects but the one on the set of people, which is given back.
    fn apply_but_people(&mut self, change: &Change) -> Option<(Among, Step)> {
        let step = |scope, deed| Step {
            who: change.who,
            scope,
            deed,
        };
        match &change.what {
            What::Suppress {
                scope,
                origin,
                categories,
            } => {
                let scope = self.scopes.intern(scope);
                self.close_questions(&change.who, scope);
                let deed = Deed::Add(Origins::of(*origin), *categories);
                return Some((Among::OptOuts, step(scope, deed)));
            }
            What::Lift { scope, origins } => {
                let found = self.scopes.find(scope);
                // An account's own lifts never name these.
                if change.via == Via::Command && origins.contains(Origins::of(Origin::Recipient)) {
                    self.overrides
                        .retain(|_, at_ms| at_ms.saturating_add(OVERRIDE_EVERY_MS) > change.at_ms);
                    self.overrides.insert(change.who, change.at_ms);
                }
                return Some((Among::OptOuts, step(found?, Deed::Lift(*origins))));
            }
            What::Consent {
                grant,
                scope,
                categories,
            } => {
                self.has_consents = true;
                match grant {
                    Grant::Given | Grant::Renewed => {
                        let scope = self.scopes.intern(scope);
                        self.asked.close(&change.who, |awaited| awaited.scope == scope);
                        if change.via != Via::File {
                            self.given_anew(change, scope, *categories);
                        }
                        let deed = Deed::Add(Origins::of(Origin::Recipient), *categories);
                        return Some((Among::Consents, step(scope, deed)));
                    }
                    Grant::Withdrawn => {
                        let scope = self.scopes.intern(scope);
                        self.note_withdrawn(change, scope, *categories);
                        return Some((Among::Consents, step(scope, Deed::Take(*categories))));
                    }
                }
            }
            // Were noted when they were staged.
            What::Replied { .. } | What::Asked { .. } | What::Sent { .. } => {}
            What::Member { child, parent } => {
                self.scopes.join(child, parent);
            }
            // Of who has to do with the sets of people, too.
            What::Renamed { .. } => {}
            What::Retired { generation, check } => self.retire(*generation, *check),
        }
        None
    }

    /// A change of an earlier process.
    pub(crate) fn found(&mut self, id: MessageId, change: &Change) {
        self.rename(change);
        if let Some((among, step)) = self.found_but_people(id, change) {
            self.take(among, &step);
        }
    }

    fn found_but_people(&mut self, id: MessageId, change: &Change) -> Option<(Among, Step)> {
        if change.can_block() {
            self.newest_block = self.newest_block.max(Some(id));
        }
        self.note_event(change);
        let left = self.apply_but_people(change);
        if let What::Replied { sender, confirmed } = &change.what {
            let confirmed = confirmed.as_ref().map(|scope| self.scopes.intern(scope));
            self.replies.add(&change.who, *sender, confirmed, change.at_ms);
        }
        self.ask(change);
        if let What::Sent {
            subject,
            message,
            counts,
        } = &change.what
        {
            self.sent
                .add(&change.who, *subject, *message, *counts, change.at_ms);
        }
        left
    }

    /// Remembers that somebody was asked; says by whom.
    fn ask(&mut self, change: &Change) -> Option<ScopeId> {
        let What::Asked {
            sender,
            asker,
            scope,
            categories,
        } = &change.what
        else {
            return None;
        };
        let awaited = Awaited {
            asker: self.scopes.intern(asker),
            scope: self.scopes.intern(scope),
            categories: *categories,
        };
        self.asked.add(&change.who, *sender, awaited, change.at_ms);
        Some(awaited.asker)
    }

    /// Somebody opted out of a scope: what an account asked for that this is about waits for no yes any more.
    fn close_questions(&mut self, who: &Pseudonym, scope: ScopeId) {
        let table = &self.scopes;
        let is_global = table
            .scope(scope)
            .is_some_and(|scope| scope.kind() == ScopeKind::Global);
        self.asked.close(who, |awaited| {
            let asker = awaited.asker;
            is_global
                || scope == asker
                || scope == awaited.scope
                || table.parents(scope).contains(&asker)
                || table.parents(asker).contains(&scope)
        });
    }

    /// A staged change will not be there.
    pub(crate) fn undo(&mut self, change: &Change, undo: &Undo) {
        self.generations.lands(change);
        if let Some(scope) = undo.opt_out
            && let What::Suppress { origin, .. } = &change.what
        {
            self.opt_outs.lift(&change.who, scope, Origins::of(*origin));
        }
        if let Some(sender) = undo.reply {
            self.replies.take_back(&change.who, sender, change.at_ms);
        }
        if let Some(asker) = undo.asked {
            self.asked.take_back(&change.who, asker, change.at_ms);
        }
        if undo.event != 0 {
            self.events.remove(&undo.event);
        }
        if undo.member
            && let What::Member { child, parent } = &change.what
        {
            self.scopes.part(child, parent);
        }
        // A consent that was withdrawn stays withdrawn until the next start: whoever withdrew it asks again.
    }

    fn note_event(&mut self, change: &Change) -> bool {
        let event = change.event();
        if event == 0 || self.events.insert(event, change.at_ms).is_some() {
            return false;
        }
        self.events_in_order.push_back((event, change.at_ms));
        if self.events_in_order.len() > EVENTS_MAX
            && let Some((oldest, at)) = self.events_in_order.pop_front()
            && self.events.get(&oldest) == Some(&at)
        {
            self.events.remove(&oldest);
        }
        true
    }
}

/// Which set of people.
#[derive(Clone, Copy)]
enum Among {
    OptOuts,
    Consents,
}

/// What a staged change made true before it was on disk.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    opt_out: Option<ScopeId>,
    reply: Option<u64>,
    asked: Option<ScopeId>,
    event: u64,
    member: bool,
}
