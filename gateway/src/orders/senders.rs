//! Single senders of accounts that are suspended (FRD-5): by an operator, by a case of abuse, or by both, each by itself.
//!
//! A sender may be a person's number, so what orders, cases and signals hold of one is its [`Sender`]: a pseudonym under the
//! secret that opt-outs go by (PSN-3), with the generation of that secret, which cannot be retired while an order names it
//! (PSN-4). Two senders are the same where a handset shows the same: numbers in their canonical form, whatever the TON says of
//! them, and names without the spaces around them and without regard to case. Opt-outs tell names apart as they are written.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::{Map, Value, json};
use smallvec::SmallVec;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_config::Country;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::{FIRST, PSEUDONYM_LEN, Pseudonym};
use tidegate_store::standing::Scope;

use super::{ORDERS_MAX, Orders, TooMany};
use crate::addressing::is_number_like;
use crate::control::{hex, unhex};
use crate::gate::Gate;
use crate::standing::opt_out;

/// Senders of one account that may be suspended at a time: each of its messages is held against all of them.
pub const SENDERS_MAX: usize = 100;

/// What stands for a sender. It prints as nothing: it may be of a person's number (PSN-5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sender {
    octets: [u8; PSEUDONYM_LEN],
    generation: u8,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender(***)")
    }
}

impl From<&Pseudonym> for Sender {
    fn from(name: &Pseudonym) -> Self {
        Self {
            octets: *name.octets(),
            generation: name.generation(),
        }
    }
}

impl Sender {
    /// Its pseudonym's octets.
    pub const fn octets(&self) -> &[u8; PSEUDONYM_LEN] {
        &self.octets
    }

    /// The generation of the secret that it was made under.
    pub const fn generation(&self) -> u8 {
        self.generation
    }

    /// For files and operators: 32 hexadecimal digits, and two more of a generation that is not the first.
    pub fn text(&self) -> String {
        let mut octets = self.octets.to_vec();
        if self.generation != FIRST {
            octets.push(self.generation);
        }
        hex(&octets)
    }

    /// Reads that; `None` of what is none.
    pub fn read(text: &str) -> Option<Self> {
        let octets = unhex(text)?;
        let (of, generation) = match octets.split_at_checked(PSEUDONYM_LEN)? {
            (of, []) => (of, FIRST),
            (of, [generation]) if *generation > FIRST => (of, *generation),
            _ => return None,
        };
        Some(Self {
            octets: of.try_into().ok()?,
            generation,
        })
    }
}

/// Who has suspended a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An operator.
    Operator,
    /// A case of abuse.
    Case,
}

/// That a sender is suspended: by one of the two, or by both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderOrder {
    /// Since when an operator has, in unix milliseconds.
    pub operator_ms: Option<u64>,
    /// Since when a case has.
    pub case_ms: Option<u64>,
}

impl SenderOrder {
    const fn by(&mut self, by: By) -> &mut Option<u64> {
        match by {
            By::Operator => &mut self.operator_ms,
            By::Case => &mut self.case_ms,
        }
    }

    /// Since when, by whomever.
    pub fn since_ms(&self) -> Option<u64> {
        self.operator_ms.into_iter().chain(self.case_ms).min()
    }
}

/// Those of all accounts, by their names.
pub(super) type Senders = BTreeMap<String, BTreeMap<Sender, SenderOrder>>;

impl Orders {
    /// Suspends a sender of an account. Since when does not change with the second time.
    ///
    /// # Errors
    ///
    /// There are [`SENDERS_MAX`] of the account, or too many orders.
    pub fn suspend_sender(
        &mut self,
        account: &str,
        sender: Sender,
        by: By,
        now_ms: u64,
    ) -> Result<(), TooMany> {
        let of = self.senders.get(account);
        let is_there = of.is_some_and(|of| of.contains_key(&sender));
        if !is_there && of.is_some_and(|of| of.len() >= SENDERS_MAX) {
            return Err(TooMany);
        }
        self.has_room(is_there)?;
        let of = self.senders.entry(account.to_owned()).or_default();
        of.entry(sender).or_default().by(by).get_or_insert(now_ms);
        Ok(())
    }

    /// Takes that back; says whether it was suspended so.
    pub fn restore_sender(&mut self, account: &str, sender: Sender, by: By) -> bool {
        let Some(of) = self.senders.get_mut(account) else {
            return false;
        };
        let Some(order) = of.get_mut(&sender) else {
            return false;
        };
        let was = order.by(by).take().is_some();
        if order.since_ms().is_none() {
            of.remove(&sender);
        }
        if of.is_empty() {
            self.senders.remove(account);
        }
        was
    }

    /// Whether a sender of an account is suspended, and by whom.
    pub fn sender(&self, account: &str, sender: &Sender) -> Option<SenderOrder> {
        self.senders.get(account)?.get(sender).copied()
    }

    /// Suspended senders of an account.
    pub fn senders_of(&self, account: &str) -> impl Iterator<Item = (Sender, SenderOrder)> {
        let of = self.senders.get(account).into_iter().flatten();
        of.map(|(sender, order)| (*sender, *order))
    }

    /// Accounts of which senders are suspended, by name.
    pub fn accounts_with_senders(&self) -> impl Iterator<Item = &str> {
        self.senders.keys().map(String::as_str)
    }

    /// Generations of the secrets by whose pseudonyms senders are suspended.
    pub fn generations(&self) -> impl Iterator<Item = u8> {
        let all = self.senders.values().flat_map(BTreeMap::keys);
        all.map(|sender| sender.generation)
    }

    /// How many senders are suspended by a pseudonym of a generation.
    pub fn senders_under(&self, generation: u8) -> usize {
        self.generations().filter(|of| *of == generation).count()
    }

    pub(super) fn senders_len(&self) -> usize {
        self.senders.values().map(BTreeMap::len).sum()
    }

    pub(super) fn written_senders(&self) -> Map<String, Value> {
        let of = |of: &BTreeMap<Sender, SenderOrder>| -> Map<String, Value> {
            let row =
                |order: &SenderOrder| json!({ "operator_ms": order.operator_ms, "case_ms": order.case_ms });
            of.iter()
                .map(|(sender, order)| (sender.text(), row(order)))
                .collect()
        };
        let all = self.senders.iter();
        all.map(|(name, senders)| (name.clone(), Value::Object(of(senders))))
            .collect()
    }
}

/// What a file says of them; `None` where that makes no sense.
pub(super) fn read(senders: &Map<String, Value>) -> Option<Senders> {
    let date = |value: &Value| match value {
        Value::Null => Some(None),
        value => value.as_u64().map(Some),
    };
    let row = |(sender, order): (&String, &Value)| {
        let order = SenderOrder {
            operator_ms: date(order.get("operator_ms")?)?,
            case_ms: date(order.get("case_ms")?)?,
        };
        order.since_ms()?;
        Some((Sender::read(sender)?, order))
    };
    let of = |(name, senders): (&String, &Value)| {
        let senders = senders.as_object()?;
        let is_bounded = (1..=SENDERS_MAX).contains(&senders.len());
        let senders = senders.iter().map(row).collect::<Option<_>>()?;
        is_bounded.then(|| (name.clone(), senders))
    };
    if senders.len() > ORDERS_MAX {
        return None;
    }
    senders.iter().map(of).collect()
}

/// Senders of one account whose messages are refused.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// By orders that hold.
    ordered: Vec<Sender>,
    /// By signals whose suspension does not hold yet, [`SENDERS_MAX`] at most.
    tripped: Vec<Sender>,
}

impl Closed {
    /// How many wait for their suspension.
    pub(crate) const fn tripped(&self) -> usize {
        self.tripped.len()
    }

    const fn is_empty(&self) -> bool {
        self.ordered.is_empty() && self.tripped.is_empty()
    }

    /// By the orders that hold now.
    pub(super) fn obey(&mut self, ordered: impl Iterator<Item = Sender>) {
        self.ordered.clear();
        self.ordered.extend(ordered);
    }

    /// A signal has this one suspended: nothing of it comes in from here on. `false`: there is no room.
    pub(crate) fn trip(&mut self, sender: Sender) -> bool {
        if self.tripped.contains(&sender) {
            return true;
        }
        let has_room = self.tripped.len() + self.ordered.len() < SENDERS_MAX;
        if has_room {
            self.tripped.push(sender);
        }
        has_room
    }

    /// Its suspension holds, or is taken back.
    pub(crate) fn end_trip(&mut self, sender: &Sender) {
        self.tripped.retain(|tripped| tripped != sender);
    }
}

/// What may stand for one sender.
pub(crate) type Names = SmallVec<[Sender; 2]>;

/// The one of these names by which an order knows a sender, else the newest.
pub(crate) fn sender_in(orders: &Orders, account: &str, names: &[Sender]) -> Option<Sender> {
    let mut known = names.iter();
    let known = known.find(|name| orders.sender(account, name).is_some());
    known.or(names.first()).copied()
}

impl<D: Disk> Gate<D> {
    /// What a sender of an account is compared by.
    fn compared(&self, account: usize, source: &AddressBuf) -> Scope {
        compared(source, self.config.accounts[account].numbering.country)
    }

    /// What may stand for a sender of an account: under each generation that lives, the newest first.
    fn names(&self, sender: &Scope) -> Names {
        let names = self.spool.standing().all_names(sender.name());
        names.iter().map(Sender::from).collect()
    }

    /// What stands for a sender of an account.
    pub(crate) fn sender_by_name(&self, account: usize, source: &AddressBuf) -> Option<Sender> {
        let name = self.config.accounts[account].system_id.as_str();
        let names = self.names(&self.compared(account, source));
        sender_in(&self.orders, name, &names)
    }

    /// What may stand for one as somebody typed it; `None` of what is none.
    pub(crate) fn written_sender(&self, account: usize, text: &str) -> Option<Names> {
        let home = self.config.accounts[account].numbering.country;
        let plain = without_signs(text.as_bytes());
        let plain = String::from_utf8(plain)
            .ok()
            .filter(|plain| is_number_like(plain.as_bytes()));
        let text = plain.as_deref().unwrap_or(text);
        Some(self.names(&folded(&opt_out::written_sender(text, home)?)))
    }

    /// Whether messages from a sender of an account are refused. One look where none of the account's is suspended.
    pub(crate) fn is_sender_closed(&self, account: usize, source: &AddressBuf) -> bool {
        let closed = &self.accounts[account].senders;
        if closed.is_empty() {
            return false;
        }
        let names = self.names(&self.compared(account, source));
        names
            .iter()
            .any(|name| closed.ordered.contains(name) || closed.tripped.contains(name))
    }

    /// How an account's configuration writes its senders, by all that may stand for them: for many of them at a time.
    pub(crate) fn listed_senders(&self, account: usize) -> HashMap<Sender, String> {
        let mut all = HashMap::new();
        for listed in opt_out::senders(&self.config.accounts[account]) {
            let text = String::from_utf8_lossy(listed.name());
            for name in self.names(&folded(&listed)) {
                // The first, as below.
                all.entry(name).or_insert_with(|| text.clone().into_owned());
            }
        }
        all
    }

    /// How an account's configuration writes a sender; `None` where it does not list it, so that it may be a person's.
    pub(crate) fn listed_sender(&self, account: usize, sender: &Sender) -> Option<String> {
        let mut listed = opt_out::senders(&self.config.accounts[account]);
        let found = listed.find(|listed| self.names(&folded(listed)).contains(sender));
        found.map(|found| String::from_utf8_lossy(found.name()).into_owned())
    }

    /// Senders that are to be suspended and that no order names yet, by a pseudonym of a generation.
    pub(crate) fn tripped_under(&self, generation: u8) -> usize {
        let tripped = self.accounts.iter().flat_map(|account| &account.senders.tripped);
        tripped.filter(|sender| sender.generation == generation).count()
    }

    /// Whether the secret is there still that a sender's pseudonym was made under.
    pub(crate) fn is_known(&self, sender: &Sender) -> bool {
        let generations = self.spool.standing().generations();
        generations
            .iter()
            .any(|(generation, _)| *generation == sender.generation)
    }
}

/// As a handset shows it: a client that calls a number a name is the same sender, and so is a name that differs in case only.
fn compared(source: &AddressBuf, home: Option<Country>) -> Scope {
    let plain = without_signs(source.as_bytes());
    let is_number = is_number_like(&plain);
    let octets = if is_number {
        &plain[..]
    } else {
        source.as_bytes().trim_ascii()
    };
    let (ton, npi) = if source.ton() == Ton::ALPHANUMERIC && is_number {
        (Ton::UNKNOWN, Npi::UNKNOWN)
    } else {
        (source.ton(), source.npi())
    };
    AddressBuf::new(ton, npi, octets).map_or_else(
        |_| folded(&opt_out::sender(source, home)),
        |address| folded(&opt_out::sender(&address, home)),
    )
}

/// Without what people put between the digits of a number.
fn without_signs(octets: &[u8]) -> Vec<u8> {
    let is_sign = |octet: &u8| matches!(octet, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
    octets.iter().copied().filter(|octet| !is_sign(octet)).collect()
}

fn folded(sender: &Scope) -> Scope {
    Scope::sender(&sender.name().trim_ascii().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(octet: u8, generation: u8) -> Sender {
        Sender {
            octets: [octet; PSEUDONYM_LEN],
            generation,
        }
    }

    #[test]
    fn senders_are_the_same_where_a_handset_shows_the_same() {
        let home = Country::new("GB");
        let of = |ton, octets: &[u8]| compared(&AddressBuf::new(ton, Npi::ISDN, octets).unwrap(), home);
        let number = of(Ton::INTERNATIONAL, b"447700900123");
        for octets in [
            &b"447700900123"[..],
            b"+447700900123",
            b" +447700900123 ",
            b"+44 7700 900123",
            b"44-7700-900123",
            b"447700.900123",
            b"07700900123",
        ] {
            assert!(of(Ton::ALPHANUMERIC, octets) == number);
        }
        let name = of(Ton::ALPHANUMERIC, b"Shop");
        assert!(of(Ton::ALPHANUMERIC, b"SHOP ") == name && of(Ton::UNKNOWN, b"shop") == name);
        assert!(folded(&opt_out::written_sender("sHOP", home).unwrap()) == name);
        assert!(of(Ton::ALPHANUMERIC, b"Shop2") != name && of(Ton::ALPHANUMERIC, b"447700900124") != number);
    }

    #[test]
    fn a_sender_is_read_as_it_is_written_and_nothing_else_is_one() {
        for sender in [sender(0xA7, FIRST), sender(1, 2), sender(0, u8::MAX)] {
            assert_eq!(Sender::read(&sender.text()), Some(sender));
        }
        let first = sender(0xA7, FIRST).text();
        assert_eq!(first.len(), 32);
        for text in [
            "",
            "12345",
            &first[1..],
            &format!("{first}00"),
            &format!("{first}01"),
            &format!("{first}0203"),
            &first.replace('a', "+"),
        ] {
            assert_eq!(Sender::read(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", sender(7, 1)), "Sender(***)");
    }

    #[test]
    fn who_suspends_a_sender_takes_back_only_that_and_nothing_is_left_of_both() {
        let mut orders = Orders::default();
        let (one, other) = (sender(1, 1), sender(2, 1));
        orders.suspend_sender("x", one, By::Operator, 9).unwrap();
        orders.suspend_sender("x", one, By::Case, 7).unwrap();
        orders.suspend_sender("x", one, By::Case, 8).unwrap();
        orders.suspend_sender("x", other, By::Case, 8).unwrap();
        assert_eq!(orders.sender("x", &one).unwrap().since_ms(), Some(7));
        assert_eq!((orders.sender("y", &one), orders.senders_len()), (None, 2));
        assert!(orders.restore_sender("x", one, By::Case) && !orders.restore_sender("x", one, By::Case));
        assert_eq!(orders.sender("x", &one).unwrap().since_ms(), Some(9));
        assert!(orders.restore_sender("x", one, By::Operator));
        assert!(!orders.restore_sender("x", other, By::Operator));
        assert!(orders.restore_sender("x", other, By::Case) && !orders.restore_sender("y", other, By::Case));
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn an_account_has_so_many_and_those_that_are_there_can_be_changed() {
        let mut orders = Orders::default();
        let all: Vec<Sender> = (0..=SENDERS_MAX)
            .map(|n| sender(u8::try_from(n).unwrap(), 1))
            .collect();
        let (last, rest) = all.split_last().unwrap();
        for sender in rest {
            orders.suspend_sender("x", *sender, By::Operator, 7).unwrap();
        }
        assert_eq!(orders.suspend_sender("x", *last, By::Case, 7), Err(TooMany));
        assert_eq!(orders.suspend_sender("x", rest[0], By::Case, 7), Ok(()));
        assert_eq!(orders.suspend_sender("y", *last, By::Case, 7), Ok(()));
        assert_eq!(
            (orders.senders_under(1), orders.senders_under(2)),
            (SENDERS_MAX + 1, 0)
        );
    }
}
