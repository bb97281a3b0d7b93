//! Submissions that come twice: within an account's `duplicate_window` the same PDU body is the same message, and its
//! id is answered again. For clients that submit anew whatever was not answered, or not in time.
//!
//! Bodies are known by a keyed fingerprint only, in memory: a restart forgets them. What ended badly, or was
//! cancelled or replaced, is forgotten at once, since the same text then is another try.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use hashbrown::HashMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::Rng;
use sha2::Sha256;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_store::disk::Disk;
use tidegate_store::message_id::MessageId;
use tidegate_store::spool::Pending;

use crate::admission::Submission;
use crate::clock::Now;
use crate::gate::Gate;
use crate::ids::Id;
use crate::turn::{Owed, Promise};

/// Messages that are remembered, over all accounts, at about 150 octets each; of more the oldest are forgotten.
const KNOWN_MAX: usize = 1_000_000;

/// What a body is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// The messages of late, by their fingerprints.
pub struct Duplicates {
    key: Hmac<Sha256>,
    known: HashMap<Fingerprint, Known>,
    fingerprints: HashMap<MessageId, Fingerprint>,
    /// As they came in. Those that were forgotten meanwhile are met here last.
    order: VecDeque<(Duration, MessageId)>,
    max: usize,
}

#[derive(Clone, Copy)]
struct Known {
    id: Id,
    until: Duration,
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duplicates[{}]", self.known.len())
    }
}

impl Duplicates {
    /// None known; the key of this process's life is drawn here.
    pub fn new(rng: &mut impl Rng) -> Self {
        Self::with_room(rng, KNOWN_MAX)
    }

    fn with_room(rng: &mut impl Rng, max: usize) -> Self {
        let mut key = [0; 64];
        rng.fill_bytes(&mut key);
        Self {
            key: Hmac::new(&key.into()),
            known: HashMap::new(),
            fingerprints: HashMap::new(),
            order: VecDeque::new(),
            max,
        }
    }

    /// The fingerprint of what an account submits.
    pub fn fingerprint(&self, account: usize, submission: &Submission<'_>) -> Fingerprint {
        let mut mac = self.key.clone();
        mac.update(&account.to_be_bytes());
        mac.update(&[submission.form as u8]);
        mac.update(submission.body.0);
        let mut out = [0; 16];
        for (out, octet) in out.iter_mut().zip(mac.finalize().into_bytes()) {
            *out = octet;
        }
        Fingerprint(out)
    }

    /// The message with this fingerprint, at monotonic time `now`.
    pub fn find(&self, now: Duration, fingerprint: Fingerprint) -> Option<Id> {
        let known = self.known.get(&fingerprint)?;
        (now < known.until).then_some(known.id)
    }

    /// Remembers a message for `window`.
    pub fn note(&mut self, now: Duration, window: Duration, fingerprint: Fingerprint, id: Id) {
        while let Some((until, oldest)) = self.order.front().copied()
            && (until <= now || self.order.len() >= self.max)
        {
            self.order.pop_front();
            self.forget(oldest);
        }
        let until = now.saturating_add(window);
        if let Some(before) = self.known.insert(fingerprint, Known { id, until }) {
            self.fingerprints.remove(&before.id.message);
        }
        self.fingerprints.insert(id.message, fingerprint);
        self.order.push_back((until, id.message));
    }

    /// A message that came to nothing, or was changed: the next like it is a new one.
    pub fn forget(&mut self, message: MessageId) {
        if let Some(fingerprint) = self.fingerprints.remove(&message) {
            self.known.remove(&fingerprint);
        }
    }
}

impl<D: Disk> Gate<D> {
    /// What a submission is known by, where its account looks for duplicates.
    pub(super) fn fingerprint(&self, account: usize, submission: &Submission<'_>) -> Option<Fingerprint> {
        let window = self.config.accounts[account].duplicate_window;
        window.map(|_| self.duplicates.fingerprint(account, submission))
    }

    /// Remembers a submission that was staged.
    pub(super) fn note_fingerprint(
        &mut self,
        now: Now,
        account: usize,
        fingerprint: Option<Fingerprint>,
        id: Id,
    ) {
        if let (Some(fingerprint), Some(window)) =
            (fingerprint, self.config.accounts[account].duplicate_window)
        {
            self.duplicates.note(now.monotonic, window, fingerprint, id);
        }
    }

    /// Answers a submission that came before with the id of that one; not before that one is on disk (P1).
    pub(super) fn submitted_before(&mut self, owed: Owed, account: usize, id: Id) {
        self.accounts[account].tally.duplicates += 1;
        if self.spool.pending() == Pending::Nothing {
            self.answer_id(owed, id);
        } else {
            self.promises.push(Promise::Again { owed, account, id });
        }
    }

    /// Answers with success and a message id.
    pub(crate) fn answer_id(&mut self, owed: Owed, id: Id) {
        let text = self.id_text(id.message, id.form);
        let Owed {
            link,
            sequence,
            response,
        } = owed;
        self.respond(link, response, sequence, CommandStatus::ROK, |out| {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        });
    }

    /// A leg has ended: where it was not delivered, the same text is not the same message any more.
    pub(crate) fn forget_failed(&mut self, message: MessageId, state: MessageState) {
        if !matches!(
            state,
            MessageState::Delivered | MessageState::Accepted | MessageState::Unknown
        ) {
            self.duplicates.forget(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn duplicates(max: usize) -> Duplicates {
        Duplicates::with_room(&mut ChaCha20Rng::seed_from_u64(1), max)
    }

    fn print(number: u8) -> Fingerprint {
        Fingerprint([number; 16])
    }

    const fn id(message: u64) -> Id {
        Id {
            message: MessageId(message),
            form: 0,
        }
    }

    #[test]
    fn a_message_is_known_for_its_window() {
        let mut known = duplicates(10);
        known.note(SECOND, SECOND * 10, print(1), id(1));
        assert_eq!(known.find(SECOND * 10, print(1)), Some(id(1)));
        assert_eq!(known.find(SECOND * 10, print(2)), None);
        assert_eq!(known.find(SECOND * 11, print(1)), None);
        known.note(SECOND * 12, SECOND, print(2), id(2));
        assert_eq!(
            (known.known.len(), known.fingerprints.len(), known.order.len()),
            (1, 1, 1)
        );
    }

    #[test]
    fn what_is_forgotten_and_comes_again_is_the_new_one() {
        let mut known = duplicates(10);
        known.note(SECOND, SECOND * 10, print(1), id(1));
        known.forget(MessageId(1));
        assert_eq!(known.find(SECOND, print(1)), None);
        known.note(SECOND, SECOND * 20, print(1), id(2));
        // The first one's turn comes, and is not the second's.
        known.note(SECOND * 12, SECOND, print(3), id(3));
        assert_eq!(known.find(SECOND * 12, print(1)), Some(id(2)));
        known.forget(MessageId(1));
        assert_eq!(known.find(SECOND * 12, print(1)), Some(id(2)));
    }

    #[test]
    fn an_expired_one_that_comes_again_is_replaced() {
        let mut known = duplicates(10);
        known.note(SECOND, SECOND * 10, print(9), id(9));
        known.note(SECOND, SECOND, print(1), id(1));
        known.note(SECOND * 3, SECOND * 10, print(1), id(2));
        known.forget(MessageId(1));
        assert_eq!(known.find(SECOND * 4, print(1)), Some(id(2)));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut known = duplicates(3);
        for number in 1..=5 {
            known.note(SECOND, SECOND, print(number), id(number.into()));
        }
        assert_eq!(known.find(SECOND, print(2)), None);
        assert_eq!(known.find(SECOND, print(3)), Some(id(3)));
        assert_eq!((known.known.len(), known.order.len()), (3, 3));
    }
}
