//! The register's thread: it follows the journal of opt-outs and consents into an index of its own, and answers what is
//! listed and searched there. Neither the loop nor the keeper waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use smallvec::SmallVec;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::seal::{KeyId, Purpose, SealKey};
use tidegate_store::standing::{Change, Followed, Numbers, Page, Register};
use tokio::sync::oneshot;

use crate::control::{Answer, told, unhex};

/// Questions that may wait.
const QUESTIONS_MAX: usize = 16;
/// How often it is looked whether the journal has grown.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pause between two steps while it is behind: an index of millions is made beside traffic.
const PAUSE: Duration = Duration::from_millis(5);
/// Steps that a question waits for, some seconds: those of some gatherings of an import. Behind by more, it is told so.
const STEPS_MAX: usize = 1_000;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a failure: a disk that is full, or an index that is made anew, gets no better by being asked at once.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

/// Keys that open numbers.
pub type Keys = BTreeMap<KeyId, Arc<SealKey>>;

/// What is looked for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Opt-outs of an account.
    Page {
        /// Behind whom.
        after: Option<Pseudonym>,
        /// So many, and all of the last person.
        limit: usize,
    },
    /// All that an account recorded of a person's consent.
    Consents {
        /// Whose, by each name that the person may go by.
        whos: SmallVec<[Pseudonym; 2]>,
    },
    /// Numbers of all accounts.
    Numbers {
        /// Behind this place, in hex digits.
        after: Option<String>,
        /// Of so many entries.
        limit: usize,
    },
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// Opt-outs.
    Page(Page),
    /// Consents, oldest first.
    Consents(Vec<Change>),
    /// Numbers.
    Numbers(Numbers),
}

struct Question {
    account: SystemId,
    purpose: Purpose,
    wanted: Wanted,
    answer: oneshot::Sender<Answer>,
}

/// The asking end.
#[derive(Clone)]
pub struct Handle(SyncSender<Question>);

/// The register's end.
pub struct Inbox(Receiver<Question>);

/// Both ends.
pub fn ends() -> (Handle, Inbox) {
    let (ask, questions) = sync_channel(QUESTIONS_MAX);
    (Handle(ask), Inbox(questions))
}

impl Handle {
    /// Looks something up, in all that the journal holds by then.
    ///
    /// # Errors
    ///
    /// Why there is no answer, in words.
    pub async fn ask(&self, account: SystemId, purpose: Purpose, wanted: Wanted) -> Answer {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            account,
            purpose,
            wanted,
            answer,
        };
        self.0
            .try_send(question)
            .map_err(|_| "the register of opt-outs is busy, or ends".to_owned())?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the register of opt-outs ends".to_owned()),
            Err(_) => Err("the register of opt-outs does not answer: ask again later".to_owned()),
        }
    }
}

/// Follows and answers until the asking ends are gone. Blocks its thread. `keys` reads the keys as they are: one that was
/// destroyed opens nothing from then on.
pub fn run<D: Disk>(mut register: Register<D>, inbox: &Inbox, keys: impl Fn() -> Result<Keys, String>) {
    let mut pause = PAUSE;
    let mut has_failed = false;
    loop {
        match inbox.0.recv_timeout(pause) {
            // Who asked has gone.
            Ok(question) if question.answer.is_closed() => {}
            Ok(question) => {
                let answer = answered(&mut register, &question, &keys);
                // Who has gone need not hear it.
                let _ = question.answer.send(answer);
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let followed = register.follow();
                match &followed {
                    Ok(_) => has_failed = false,
                    Err(error) if !has_failed => {
                        tracing::warn!(%error, "the register of opt-outs does not follow their journal");
                        has_failed = true;
                    }
                    Err(_) => {}
                }
                pause = match followed {
                    Ok(Followed { is_level: false, .. }) => PAUSE,
                    Ok(_) => LOOK_EVERY,
                    Err(_) => FAILED_PAUSE,
                };
            }
        }
    }
}

fn answered<D: Disk>(
    register: &mut Register<D>,
    question: &Question,
    keys: impl Fn() -> Result<Keys, String>,
) -> Answer {
    let words = |error: tidegate_store::standing::RegisterError| format!("{error}; ask again");
    // What comes meanwhile nobody asked for.
    let newest = register.newest();
    let mut steps = 0;
    while !register.follow().map_err(words)?.is_level && !register.holds(newest) {
        steps += 1;
        if steps >= STEPS_MAX || question.answer.is_closed() {
            return Err(
                "the register of opt-outs is behind their journal, or is being made anew from it: ask again later"
                    .to_owned(),
            );
        }
    }
    let (account, purpose, keys) = (question.account, question.purpose, keys()?);
    match &question.wanted {
        Wanted::Page { after, limit } => register
            .page(account, after.as_ref(), *limit, &keys, purpose)
            .map(Found::Page),
        Wanted::Consents { whos } => {
            // What was said by an older name is older.
            let all = whos
                .iter()
                .rev()
                .map(|who| register.consents(account, who, &keys, purpose));
            let all: Result<Vec<Vec<Change>>, _> = all.collect();
            all.map(|all| Found::Consents(all.concat()))
        }
        Wanted::Numbers { after, limit } => {
            let after = match after.as_deref().map(unhex) {
                None => None,
                Some(Some(after)) => Some(after),
                Some(None) => return Err("\"after\" is no place".to_owned()),
            };
            register
                .numbers(after.as_deref(), *limit, &keys, purpose)
                .map(Found::Numbers)
        }
    }
    .map(|found| told(&found))
    .map_err(words)
}
