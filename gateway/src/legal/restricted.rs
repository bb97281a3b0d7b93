//! Of whom nothing is processed beyond keeping it (DSR-4): asked for each message, so one who is not among them costs a look at
//! the end of the number.

use hashbrown::{HashMap, HashSet};
use tidegate_codec::identity::SystemId;
use tidegate_store::pseudonym::Pseudonym;

use super::claims::{TAIL, pseudonym, tail};

/// See the [module](self). What stands for people is in memory only and of no secret, so it knows no generations.
#[derive(Default)]
pub(super) struct Restricted {
    everywhere: HashSet<Pseudonym>,
    by_account: HashMap<SystemId, HashSet<Pseudonym>>,
    /// How their numbers end.
    tails: HashSet<[u8; TAIL]>,
}

impl Restricted {
    /// Restricts a person, for an account or for all.
    pub(super) fn add(&mut self, account: Option<SystemId>, person: &[u8]) {
        // Numbers that somebody typed have more digits.
        let Some(tail) = tail(person) else {
            return;
        };
        self.tails.insert(tail);
        let people = match account {
            None => &mut self.everywhere,
            Some(account) => self.by_account.entry(account).or_default(),
        };
        people.insert(pseudonym(person));
    }

    /// Whether nobody is.
    pub(super) fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// Whether the person is restricted for an account, whose number is written like this.
    pub(super) fn has<P: AsRef<[u8]>>(
        &self,
        account: SystemId,
        written: &[u8],
        person: impl FnOnce() -> P,
    ) -> bool {
        if self.is_empty() || !tail(written).is_some_and(|tail| self.tails.contains(&tail)) {
            return false;
        }
        let who = pseudonym(person().as_ref());
        let of_account = self.by_account.get(&account);
        self.everywhere.contains(&who) || of_account.is_some_and(|people| people.contains(&who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_restricted_for_the_account_or_for_all_and_nobody_else_is() {
        let (shop, bank): (SystemId, SystemId) = ("shop".parse().unwrap(), "bank".parse().unwrap());
        let mut restricted = Restricted::default();
        let never = || -> &[u8] { panic!("nobody is looked up in an empty set") };
        assert!(!restricted.has(shop, b"12025550123", never));
        restricted.add(Some(shop), b"12025550123");
        restricted.add(None, b"447700900777");
        let is_it =
            |account, written: &[u8], person: &'static [u8]| restricted.has(account, written, || person);
        assert!(is_it(shop, b"+12025550123", b"12025550123"));
        for written in [&b"+1 202-555-0123"[..], b"1 (202) 555 012.3 ", b"202555012 3"] {
            assert!(is_it(shop, written, b"12025550123"), "however it is written");
        }
        assert!(!is_it(bank, b"+12025550123", b"12025550123"), "another's");
        assert!(is_it(bank, b"07700900777", b"447700900777"));
        assert!(
            !is_it(shop, b"13025550123", b"13025550123"),
            "whose number ends alike"
        );
        assert!(!is_it(shop, b"123", b"123"));
        assert!(
            !restricted.has(shop, b"447700900778", never),
            "whose number ends otherwise"
        );
    }
}
