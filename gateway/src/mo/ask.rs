//! Asking somebody whether messages are wanted (double opt-in, CON-5): a yes within 24 hours is the consent, and anything
//! else, or silence, is none.

use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_config::AccountState;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Fact, Private, Scope, Via, What};

use crate::clock::Now;
use crate::gate::Gate;
use crate::standing::opt_out::Person;
use crate::telemetry::words::ReplyEnd;

use super::heed::Pair;
use super::own::{Note, Own};
use super::reply::{Kind, hash_of};

/// A question that finds no carrier for so long, in milliseconds, is not sent: who filled in a form an hour ago does not
/// expect it any more.
const WITHIN_MS: u64 = 60 * 60 * 1000;

/// Whom to ask, and for what.
pub(crate) struct Question<'a> {
    /// Who asks.
    pub(crate) account: usize,
    /// Under which sender, as it stands in the message.
    pub(crate) from: &'a AddressBuf,
    /// The same as a scope.
    pub(crate) sender: &'a Scope,
    /// The number to ask.
    pub(crate) person: &'a Person,
    /// The same under a pseudonym.
    pub(crate) who: Pseudonym,
    /// To whom a yes consents.
    pub(crate) scope: Scope,
    /// To which categories, a bit each; 0 is all.
    pub(crate) categories: u8,
    /// How it came about, and what is kept of that.
    pub(crate) via: Via,
    /// Likewise.
    pub(crate) private: Private,
}

impl<D: Disk> Gate<D> {
    /// Stages the question and that it was asked, which is what a yes is held against. It is no answer of the kind that
    /// opt-outs let through: somebody who has opted out is never asked (OPT-25), not even where that was said meanwhile.
    ///
    /// # Errors
    ///
    /// Why it is not asked.
    pub(crate) fn ask(&mut self, now: Now, question: Question<'_>) -> Result<(), ReplyEnd> {
        let Question {
            account,
            from,
            sender,
            person,
            who,
            scope,
            categories,
            via,
            mut private,
        } = question;
        if self.config.accounts[account].state != AccountState::Active {
            return Err(ReplyEnd::Suspended);
        }
        // Of anything that is the account's: a yes would be to all of it.
        if self.is_against(&who, account, sender, None).is_some()
            || !self.concerning(account, &who, None).is_empty()
        {
            return Err(ReplyEnd::OptedOut);
        }
        let asker = Scope::account(self.config.accounts[account].system_id.as_str());
        let standing = self.spool.standing();
        let known = standing.scopes().find(&asker);
        if !standing.asked().may_ask(&who, known, now.unix_ms) {
            return Err(ReplyEnd::Enough);
        }
        let words = self.worded(account, Kind::Ask);
        // What the person says yes to is what it was asked (CON-1), unless there is more of it elsewhere.
        if !private.facts.iter().any(|(fact, _)| *fact == Fact::Disclosure) {
            let disclosure = words.as_bytes().to_vec();
            private.facts.push((Fact::Disclosure, disclosure));
        }
        let note = Note {
            what: What::Asked {
                // Of its pseudonym, as where it may be a person's number (PSN-1).
                sender: hash_of(&self.unlisted(sender)),
                asker,
                scope,
                categories,
            },
            via,
            private,
        };
        let own = Own {
            account,
            from,
            person,
            who,
            words: &words,
            category: Category::Transactional.octet(),
            within_ms: WITHIN_MS,
        };
        self.send_own(now, &own, note)
    }

    /// Asks somebody who has sent a word that begins a subscription.
    pub(super) fn ask_back(&mut self, now: Now, account: usize, pair: &Pair) -> Result<(), ReplyEnd> {
        let mut private = Private::number(&pair.person);
        private.facts.push((Fact::Method, b"keyword".to_vec()));
        private.facts.push((Fact::Sender, pair.plain().name().to_vec()));
        let scope = Scope::account(self.config.accounts[account].system_id.as_str());
        let question = Question {
            account,
            from: &pair.called,
            sender: pair.plain(),
            person: &pair.person,
            who: pair.who,
            scope,
            categories: 0,
            via: Via::Message,
            private,
        };
        self.ask(now, question)
    }
}
