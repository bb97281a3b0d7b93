//! Answers of ourselves to handsets: that an opt-out or opt-in was heard, and help (OPT-19, OPT-20, OPT-22).

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidegate_config::Language;
use tidegate_store::disk::Disk;
use tidegate_store::standing::{Private, Scope, Via, What};

use crate::clock::Now;
use crate::gate::Gate;
use crate::standing::opt_out::REPLY;
use crate::telemetry::words::ReplyEnd;

use super::heed::{Due, Pair};
use super::own::{Note, Own};

/// An answer is handed to a carrier within five minutes of the message, or not at all (OPT-19).
const WITHIN_MS: u64 = 5 * 60 * 1000;
/// Answers of any kind to one person under one sender in 24 hours (OPT-20).
const PER_DAY: usize = 5;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To an opt-out, in the language of its keyword.
    OptedOut(Option<Language>),
    /// To an opt-in.
    OptedIn,
    /// To a call for help, in the language of its keyword.
    Help(Option<Language>),
    /// Whether messages are wanted; a yes is a consent.
    Ask,
}

impl Kind {
    /// What is said where the account says nothing itself. Letters without accents: they are the same in every alphabet.
    const fn text(self) -> &'static str {
        use Language as L;
        match self {
            Self::OptedOut(Some(L::French)) => {
                "{program}: vous etes desinscrit et ne recevrez plus de messages. Repondez START pour vous reinscrire, AIDE pour de l'aide."
            }
            Self::OptedOut(Some(L::Spanish)) => {
                "{program}: se ha dado de baja y no recibira mas mensajes. Responda START para volver a recibirlos."
            }
            Self::OptedOut(Some(L::Portuguese)) => {
                "{program}: voce foi removido e nao recebera mais mensagens. Responda START para voltar a receber."
            }
            Self::OptedOut(Some(L::German)) => {
                "{program}: Sie sind abgemeldet und erhalten keine Nachrichten mehr. Mit START melden Sie sich wieder an."
            }
            Self::OptedOut(_) => {
                "{program}: you are unsubscribed and will get no more messages. Reply START to resubscribe, HELP for help."
            }
            Self::OptedIn => {
                "{program}: you are subscribed and will get messages again. Reply STOP to end them, HELP for help."
            }
            Self::Ask => {
                "{program}: reply YES to confirm that you want our messages. Reply STOP to get none, HELP for help."
            }
            Self::Help(Some(L::French)) => {
                "{program}: aide {contact}. Repondez ARRET pour ne plus recevoir de messages."
            }
            Self::Help(Some(L::Spanish)) => {
                "{program}: ayuda {contact}. Responda BAJA para no recibir mas mensajes."
            }
            Self::Help(Some(L::Portuguese)) => {
                "{program}: ajuda {contact}. Responda SAIR para nao receber mais mensagens."
            }
            Self::Help(Some(L::German)) => {
                "{program}: Hilfe {contact}. Antworten Sie STOPP, um keine Nachrichten mehr zu erhalten."
            }
            Self::Help(_) => {
                "{program}: help {contact}. Reply STOP to end messages. Message and data rates may apply."
            }
        }
    }
}

impl<D: Disk> Gate<D> {
    /// Stages an answer to a handset's message, behind what the message itself has staged. Nobody waits for it: where it
    /// may not or cannot be given, there is none, and that is counted.
    pub(super) fn reply(&mut self, now: Now, pair: &Pair, due: Due) {
        let ended = self.try_reply(now, pair, due).err().unwrap_or(ReplyEnd::Sent);
        self.tally.replies.add(ended);
    }

    fn try_reply(&mut self, now: Now, pair: &Pair, due: Due) -> Result<(), ReplyEnd> {
        let Due {
            account,
            kind,
            confirmed,
        } = due;
        let config = &self.config.accounts[account];
        if !config.opt_outs.replies {
            return Err(ReplyEnd::SwitchedOff);
        }
        let standing = self.spool.standing();
        let sender = hash_of(&pair.sender);
        let mut senders = self.hashes_of(pair.plain());
        senders.push(sender);
        let scope = confirmed.as_ref().and_then(|scope| standing.scopes().find(scope));
        if !standing
            .replies()
            .allow(&pair.who, &senders, PER_DAY, scope, now.unix_ms)
        {
            return Err(ReplyEnd::Enough);
        }
        if kind == Kind::Ask {
            return self.ask_back(now, account, pair);
        }
        let words = self.worded(account, kind);
        // Noted first: without that there is no reply, and nobody gets more of them than may be.
        let note = Note {
            what: What::Replied { sender, confirmed },
            via: Via::Message,
            private: Private::default(),
        };
        let own = Own {
            account,
            from: &pair.called,
            person: &pair.person,
            who: pair.who,
            words: &words,
            category: REPLY,
            within_ms: WITHIN_MS,
        };
        self.send_own(now, &own, note)
    }

    /// The text of an answer of an account: its own, or what is said where it says nothing.
    pub(super) fn worded(&self, account: usize, kind: Kind) -> String {
        let config = &self.config.accounts[account];
        let rules = &config.opt_outs;
        let own = match kind {
            Kind::OptedOut(_) => &rules.opt_out_text,
            Kind::OptedIn => &rules.opt_in_text,
            Kind::Help(_) => &rules.help_text,
            Kind::Ask => &rules.ask_text,
        };
        let template = own.as_deref().unwrap_or(kind.text());
        let words = rules.fill(template, config.system_id.as_str());
        if rules.contact.is_none() {
            words.replacen(" .", ".", 1)
        } else {
            words
        }
    }
}

/// A sender under which replies are counted.
pub(crate) fn hash_of(sender: &Scope) -> u64 {
    let mut hash = SipHasher13::new();
    hash.write(sender.name());
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::text::{Shifts, gsm7};

    /// OPT-19: one part, in letters that are the same in every alphabet, and no link, however long the account's names are.
    #[test]
    fn every_answer_of_ours_fits_one_part_whatever_the_account_is_called() {
        use Language as L;
        let config = tidegate_config::parse(include_str!("../../../config/compliance.toml")).unwrap();
        let mut rules = config.accounts[0].opt_outs.clone();
        rules.program = Some("p".repeat(40));
        rules.contact = Some("c".repeat(40));
        let languages = [
            L::English,
            L::French,
            L::Spanish,
            L::Portuguese,
            L::German,
            L::Norwegian,
        ];
        let of = |language| [Kind::OptedOut(Some(language)), Kind::Help(Some(language))];
        let kinds = languages.into_iter().flat_map(of);
        let kinds = kinds.chain([Kind::OptedOut(None), Kind::Help(None), Kind::OptedIn, Kind::Ask]);
        for kind in kinds {
            let text = rules.fill(kind.text(), "A");
            let septets = gsm7::septets(&text, Shifts::default()).unwrap();
            assert!(septets <= 160, "{kind:?}: {septets}");
            assert!(text.starts_with("pppp") && !text.contains("http") && text.is_ascii());
            assert!(!text.contains('{'), "{text}");
        }
    }
}
