//! Pseudonyms that were reckoned a moment ago. A message's recipient is asked about by several rules when it comes in, and by
//! all of them again before it leaves; every time it is two blocks of SHA-256.

use std::cell::{Cell, OnceCell};
use std::fmt;

use siphasher::sip128::{Hash128, SipHasher13};

use super::{Pseudonym, Pseudonyms};

/// People that are remembered, at 32 octets each: ten times those of eight full windows of a hundred, so that few push each
/// other out between coming in and leaving.
const SLOTS: usize = 8_192;

/// [`Pseudonyms`] with the latest at hand. No number stays here: what one is told by is a code itself, under a key that only
/// this process knows.
pub(crate) struct Memo {
    code: Pseudonyms,
    /// Of 128 bits: two people have the same one in no gateway's life.
    tag: SipHasher13,
    /// From the first question on.
    slots: OnceCell<Box<[Cell<Slot>]>>,
}

/// One that was reckoned; all zeros where none was.
#[derive(Clone, Copy)]
struct Slot {
    tag: Hash128,
    who: Pseudonym,
}

const EMPTY: Slot = Slot {
    tag: Hash128 { h1: 0, h2: 0 },
    who: Pseudonym::from_octets([0; super::PSEUDONYM_LEN]),
};

impl Memo {
    pub(crate) fn new(code: Pseudonyms) -> Self {
        // As good as random, and nobody else's.
        let key = *code.of(b"tidegate memo 1").octets();
        Self {
            code,
            tag: SipHasher13::new_with_key(&key),
            slots: OnceCell::new(),
        }
    }

    /// As [`Pseudonyms::of`].
    pub(crate) fn of(&self, digits: &[u8]) -> Pseudonym {
        let tag = self.tag.hash(digits);
        let slots = self.slots.get_or_init(|| vec![Cell::new(EMPTY); SLOTS].into());
        let place = usize::try_from(tag.h1 % SLOTS as u64);
        let Some(slot) = place.ok().and_then(|place| slots.get(place)) else {
            return self.code.of(digits);
        };
        let there = slot.get();
        if there.tag == tag {
            return there.who;
        }
        let who = self.code.of(digits);
        slot.set(Slot { tag, who });
        who
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.code, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pseudonym::Secret;
    use crate::seal::KeyId;

    #[test]
    fn what_is_remembered_is_what_would_be_reckoned_however_many_share_a_place() {
        let code = Secret::new(KeyId(9), &[7; 32]).suppression();
        let memo = Memo::new(code.clone());
        for _ in 0..3 {
            for number in 0..3 * SLOTS as u64 {
                let digits = (15_550_100_000 + number).to_string();
                assert_eq!(memo.of(digits.as_bytes()), code.of(digits.as_bytes()), "{number}");
            }
        }
    }

    #[test]
    fn a_number_comes_back_from_memory_and_a_longer_one_is_another() {
        let code = Secret::new(KeyId(9), &[7; 32]).suppression();
        let memo = Memo::new(code.clone());
        let who = memo.of(b"15550100123");
        let held = |memo: &Memo| {
            let slots = memo.slots.get().unwrap().iter();
            slots.filter(|slot| slot.get().who == who).count()
        };
        assert_eq!(held(&memo), 1);
        assert_eq!(memo.of(b"15550100123"), who);
        assert_eq!(held(&memo), 1);
        assert_eq!(memo.of(b"155501001230"), code.of(b"155501001230"));
        assert_eq!(memo.of(b""), code.of(b""));
    }

    /// The first slot's tag is all zeros: nothing may be found by it.
    #[test]
    fn an_empty_place_answers_to_nobody() {
        let code = Secret::new(KeyId(9), &[7; 32]).suppression();
        let memo = Memo::new(code);
        let nobody = Pseudonym::from_octets([0; 16]);
        assert!((0..1_000u32).all(|number| memo.of(&number.to_be_bytes()) != nobody));
    }
}
