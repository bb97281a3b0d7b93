//! What outlasts messages: changes of [standing data](crate::standing) on their way through the spool to the journal.

use std::io;

use rand_core::CryptoRng;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;

use crate::audit::{self, Actor, Entry, Field, Source, Value, Word};
use crate::disk::Disk;
use crate::footer::{self, Item};
use crate::message_id::MessageId;
use crate::pseudonym::{PSEUDONYM_LEN, Pseudonym, Secret};
use crate::record::{Head, Kind, Payload};
use crate::standing::{CHORE_MAX, Change, Due, Grant, Origins, Private, Scope, Via, What, nobody};

use super::chores::{Chore, ChoreDone, ChoreError, Finished, Outcome, Task};
use super::staging::{Part, Staged, StagedChange};
use super::upkeep::is_too_soon;
use super::{Refused, Spool, newest_key};

/// People who are renamed between two turns.
const RENAMED_AT_ONCE: usize = 256;

impl<D: Disk> Chore<D> {
    /// What the audit log must hold before this chore is done (AUD-1): each entry names its place in the spool, so that one
    /// that comes twice over a crash is entered once. `None` for chores of another kind.
    pub fn to_be_audited(&self) -> Option<Vec<Entry>> {
        match &self.0 {
            Task::Journal { items, .. } => Some(items.iter().filter_map(entry_of).collect()),
            _ => None,
        }
    }

    /// The chore undone, where the audit log did not take its entries: it is tried again.
    ///
    /// # Errors
    ///
    /// Chores of another kind are given back.
    pub fn refused(self, why: io::Error) -> Result<ChoreDone<D>, Self> {
        match self.0 {
            Task::Journal { items, .. } => Ok(ChoreDone {
                outcome: Outcome::Journal {
                    done: Vec::new(),
                    left: items,
                    result: Err(why),
                },
                kept_octets: None,
            }),
            task => Err(Self(task)),
        }
    }
}

/// What of a change the audit log tells: pseudonyms and names only.
fn entry_of(due: &Due) -> Option<Entry> {
    let change = &due.change;
    let (kind, scope) = match &change.what {
        What::Suppress { scope, .. } => (audit::Kind::OptOutAdded, scope),
        What::Lift { scope, .. } => (audit::Kind::OptOutRemoved, scope),
        What::Consent { grant, scope, .. } => match grant {
            Grant::Given | Grant::Renewed => (audit::Kind::ConsentGranted, scope),
            Grant::Withdrawn => (audit::Kind::ConsentWithdrawn, scope),
        },
        What::Member { child, parent } => {
            let entry = Entry::new(audit::Kind::PolicyChanged, Actor::System)
                .with(Field::From, scope_word(child))
                .with(Field::To, scope_word(parent))
                .with(Field::At, Value::Time(change.at_ms));
            return Some(Entry {
                source: Some(Source(due.id.0, 0)),
                ..entry.of(Some(due.account))
            });
        }
        // Of a generation of the suppression key the verb's entry tells.
        What::Replied { .. }
        | What::Asked { .. }
        | What::Sent { .. }
        | What::Renamed { .. }
        | What::Retired { .. } => return None,
    };
    // Who at the command line it was, is in the entry of the command.
    let actor = match change.via {
        Via::Message => Actor::Handset,
        Via::Receipt | Via::Configuration | Via::HandOver => Actor::System,
        Via::Command | Via::File => Actor::Operator(None),
    };
    let mut entry = Entry::new(kind, actor)
        .with(Field::Scope, scope_word(scope))
        .with(Field::Medium, Value::Word(Word::of_name(change.via.word())))
        .with(Field::At, Value::Time(change.at_ms));
    let (said, categories) = match &change.what {
        What::Suppress {
            origin, categories, ..
        } => (Origins::of(*origin), *categories),
        What::Lift { origins, .. } => (*origins, 0),
        What::Consent { categories, .. } => (Origins::default(), *categories),
        _ => (Origins::default(), 0),
    };
    if let What::Lift { .. } = &change.what {
        let words = said.iter().map(|origin| Word::of_name(origin.word()));
        entry = entry.with(Field::Strength, Value::Words(words.collect()));
    } else if let Some(origin) = said.iter().next() {
        entry = entry.with(Field::Strength, Value::Word(Word::of_name(origin.word())));
    }
    // None is all of them.
    let named = (1..=8_u8).filter(|octet| categories & (1 << (octet - 1)) != 0);
    let named = named.filter_map(Category::from_octet);
    let words: Vec<Word> = named.map(|category| Word::of_name(category.word())).collect();
    if !words.is_empty() {
        entry = entry.with(Field::Category, Value::Words(words));
    }
    Some(Entry {
        subject: Some(*change.who.octets()),
        source: Some(Source(due.id.0, 0)),
        ..entry.of(Some(due.account))
    })
}

fn scope_word(scope: &Scope) -> Value {
    Value::Word(Word::of_name(&scope.to_string()))
}

impl<D: Disk> Spool<D> {
    /// Stages a change of standing data, of whose account it may be the last trace. What it blocks is blocked at once; what
    /// it frees is free when it is on disk. `account` may be empty where no account has to do with it.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`], too, while the journal is behind by more than its bound.
    pub fn remember(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<MessageId, Refused> {
        self.may_progress()?;
        // It takes no place in the index, and what is reserved of the disk is for what ends work: opt-outs do.
        if !self.has_progress_room() || !self.standing.has_room() {
            return Err(Refused::Full);
        }
        self.stage_change(now_ms, account, change, (Part::Intake, urgent), rng)
    }

    /// The secret of a later generation is in the ring: who is not known yet goes by it from here on (PSN-4).
    pub fn adopt_generation(&mut self, secret: &Secret) {
        self.standing.adopt(secret);
    }

    /// Stages that those go by the newest generation's names who were found by an older one's, some of them; says how many. A
    /// full disk loses none of it: what comes behind is written by the new names. To be called now and then.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the others are found once more.
    pub fn rename_seen(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Result<usize, Refused> {
        let mut renamed = 0;
        if self.broken || !self.has_batch_room() || !self.has_progress_room() || !self.standing.has_room() {
            return Ok(renamed);
        }
        let account = nobody().ok_or(Refused::Broken)?;
        for (who, to) in self.standing.take_seen(RENAMED_AT_ONCE) {
            if self.standing.goes_by(&who) {
                self.stage_system((now_ms, false), account, who, What::Renamed { to }, rng)?;
                renamed += 1;
            }
        }
        Ok(renamed)
    }

    /// Stages that nothing needs a generation any more, if that is so: its secret may be destroyed once the journal holds
    /// that.
    ///
    /// # Errors
    ///
    /// What needs it still, or that it is none that may go, in words. `false`: it is retired already.
    pub fn retire_generation(
        &mut self,
        now_ms: u64,
        generation: u8,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, String> {
        let living = self.standing.generations();
        let (Some((oldest, _)), Some((newest, _))) = (living.first(), living.last()) else {
            return Err("there is no generation".to_owned());
        };
        let Some(check) = self.standing.check_of(generation) else {
            return match self.standing.knows_generation(generation) {
                true => Ok(false),
                false => Err(format!(
                    "there is no generation {generation} of the suppression key"
                )),
            };
        };
        if generation == *newest {
            return Err(format!(
                "generation {generation} is the newest: what is written now stands under it"
            ));
        }
        if generation != *oldest {
            return Err(format!("generation {oldest} is older, and goes first"));
        }
        let held = self.standing.held_by(generation, now_ms);
        if held.total() > 0 {
            return Err(format!(
                "generation {generation} is needed: {} people who have opted out, {} with a consent, {} otherwise remembered, {} senders, {} messages that count towards caps",
                held.opt_outs, held.consents, held.others, held.senders, held.counted
            ));
        }
        let account = nobody().ok_or("it cannot be stored")?;
        let what = What::Retired { generation, check };
        let who = Pseudonym::from_octets([0; PSEUDONYM_LEN]);
        self.stage_system((now_ms, true), account, who, what, rng)
            .map_err(|_| "it cannot be stored now".to_owned())?;
        Ok(true)
    }

    /// Stages a change of ourselves that a full disk does not lose.
    fn stage_system(
        &mut self,
        (now_ms, urgent): (u64, bool),
        account: SystemId,
        who: Pseudonym,
        what: What,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        self.may_progress()?;
        let change = Change {
            who,
            at_ms: now_ms,
            event: 0,
            via: Via::Command,
            what,
            private: Private::default(),
        };
        self.stage_change(now_ms, account, change, (Part::Ending, urgent), rng)?;
        Ok(())
    }

    /// Stages that a message was handed over which counts for a while. It counts at once; a full disk does not lose it, and
    /// while the journal is behind by half of its bound it counts until the next start only.
    ///
    /// # Errors
    ///
    /// [`Refused::Broken`].
    pub fn count_sent(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        self.may_progress()?;
        if !self.standing.has_room_for_counts() {
            let id = self.ids.next(now_ms);
            self.standing.staged(id, &change);
            return Ok(());
        }
        self.stage_change(now_ms, account, change, (Part::Ending, false), rng)?;
        Ok(())
    }

    fn stage_change(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        (part, urgent): (Part, bool),
        rng: &mut impl CryptoRng,
    ) -> Result<MessageId, Refused> {
        let id = self.ids.next(now_ms);
        let head = Head {
            kind: Kind::Standing,
            id,
            leg: 0,
            account,
        };
        let payload = Payload::Standing(change);
        let key = newest_key(&self.active, self.next.as_ref());
        let range = self.staging.write(&head, &payload, key, rng)?;
        let Payload::Standing(change) = payload else {
            return Err(Refused::Broken);
        };
        let undo = self.standing.staged(id, &change);
        let staged = Box::new(StagedChange {
            id,
            account,
            change,
            undo,
        });
        self.staging
            .push(now_ms, Staged::Standing(staged), part, range, urgent);
        Ok(id)
    }

    /// A change is on disk: it counts, and is due for the journal. Its footer repeats it, so that a start finds it without
    /// reading the segment.
    pub(super) fn standing_synced(&mut self, staged: StagedChange, segment: u64) {
        let StagedChange {
            id, account, change, ..
        } = staged;
        let item = Item::Standing { id, account, change };
        footer::put(&mut self.active.events, &item);
        if let Item::Standing { change, .. } = item {
            self.segments.owe(segment);
            self.standing.synced(id, account, segment, change);
        }
    }

    /// What is due for the journal, oldest first; one such chore is under way at a time, so that the order stays.
    pub(super) fn journal_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let standing = &mut self.standing;
        if standing.out > 0 || standing.due.is_empty() || is_too_soon(standing.failed_ms, now_ms) {
            return None;
        }
        let count = standing.due.len().min(CHORE_MAX);
        let items: Vec<Due> = standing.due.drain(..count).collect();
        standing.out = items.len();
        Some(Task::Journal { items, now_ms })
    }

    /// What its journal holds is paid for; the rest is due once more, in its order.
    pub(super) fn journal_done(
        &mut self,
        now_ms: u64,
        done: &[Due],
        left: Vec<Due>,
        result: io::Result<()>,
    ) -> Finished {
        self.standing.out = 0;
        self.standing.failed_ms = result.is_err().then_some(now_ms);
        done.iter().for_each(|item| self.segments.paid(item.segment));
        self.standing.paid(done);
        left.into_iter()
            .rev()
            .for_each(|item| self.standing.due.push_front(item));
        match result {
            Ok(()) => Finished::Journaled(done.len()),
            Err(source) => Finished::Failed(ChoreError::Journal { source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Origin;

    fn entry(via: Via, what: What) -> Entry {
        let change = Change {
            who: Pseudonym::from_octets([9; 16]),
            at_ms: 1_234,
            event: 0,
            via,
            what,
            private: Private::number(b"447700900123"),
        };
        let account = SystemId::new(b"shop").unwrap();
        let due = Due {
            id: MessageId(77),
            account,
            segment: 1,
            change,
        };
        let entry = entry_of(&due).unwrap();
        assert_eq!(
            (entry.account, entry.source),
            (Some(account), Some(Source(77, 0)))
        );
        assert!(
            entry.details.contains(&(Field::At, Value::Time(1_234))),
            "when it was done"
        );
        entry
    }

    fn words(words: &[&str]) -> Value {
        Value::Words(words.iter().map(|word| Word::of_name(word)).collect())
    }

    #[test]
    fn an_entry_says_who_when_what_of_and_against_whose_word() {
        let scope = Scope::account("shop");
        let suppress = |categories| What::Suppress {
            scope: scope.clone(),
            origin: Origin::Recipient,
            categories,
        };
        let of_handset = entry(Via::Message, suppress(0));
        assert_eq!(
            (of_handset.kind, of_handset.actor),
            (audit::Kind::OptOutAdded, Actor::Handset)
        );
        assert!(
            of_handset
                .details
                .iter()
                .all(|(field, _)| *field != Field::Category)
        );
        for via in [Via::Command, Via::File] {
            assert_eq!(entry(via, suppress(0)).actor, Actor::Operator(None));
        }
        let narrow = entry(Via::Receipt, suppress(0b101));
        let categories = words(&["marketing", "otp"]);
        assert_eq!(narrow.actor, Actor::System);
        assert!(
            narrow.details.contains(&(Field::Category, categories)),
            "{narrow:?}"
        );
        let strength = Value::Word(Word::of_name("recipient"));
        assert!(narrow.details.contains(&(Field::Strength, strength)));
        let origins = Origins::of(Origin::Carrier).with(Origins::of(Origin::Recipient));
        let lifted = entry(
            Via::Message,
            What::Lift {
                scope: scope.clone(),
                origins,
            },
        );
        let whose = words(&["recipient", "carrier"]);
        assert!(lifted.details.contains(&(Field::Strength, whose)), "{lifted:?}");
        let member = What::Member {
            child: Scope::sender(b"60777"),
            parent: scope,
        };
        assert_eq!(entry(Via::Configuration, member).kind, audit::Kind::PolicyChanged);
    }
}
