//! Whether all that lies under one key is due: the sweep removes nothing smaller.

use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_store::history::{AddUp, Kept, Lot};
use tidegate_store::rules::{Action, Class, Decision, Facts, Instruction, State, decide};

use super::{Keeping, Terms, class_of};

/// How a lot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Every record of it is gone for every reader, the last of them since this instant (unix milliseconds).
    Due {
        /// Since when.
        since_ms: u64,
        /// Whether it is de-identified.
        add_up: AddUp,
    },
    /// Some of it may be read until this instant, if rules stay as they are.
    Until(u64),
    /// Some of it has no date: it is kept until somebody deletes it.
    Undated,
    /// Its account is gone from the configuration, or has no rule for its class any more. Nobody reads it; and nothing
    /// says that it may be removed, either.
    WithoutRule,
}

impl Keeping {
    /// Whether instructions of its account say different things of texts of a lot: then each is judged by its message.
    pub(crate) fn tells_texts_apart(&self, lot: &Lot) -> bool {
        lot.class == Kept::Body
            && self.accounts.get(&lot.account).is_some_and(|terms| {
                let kinds = terms.kinds(Class::Body);
                kinds.senders.len() > 1 || kinds.categories.len() > 1
            })
    }

    /// Closed accounts of which what is no longer needed is due (class `account.other`), and no hold keeps it: they see no
    /// numbers of opt-outs any more (PSN-3).
    pub(crate) fn closed_for_good(&self, now_ms: u64) -> Vec<SystemId> {
        let accounts = self.accounts.keys().copied();
        accounts
            .filter(|account| self.is_closed_for_good(*account, now_ms))
            .collect()
    }

    /// Whether an account is one of these: nobody reads what goes with it, swept or not (RET-4).
    pub(crate) fn is_closed_for_good(&self, account: SystemId, now_ms: u64) -> bool {
        let now_ms = self.believed.at(now_ms);
        let (Some(terms), Some(closed_ms)) = (self.accounts.get(&account), self.closures.of(account)) else {
            return false;
        };
        let mut facts = Facts::new(account, Class::AccountOther);
        facts.at.purpose_ended_ms = Some(closed_ms);
        let holds = self.claims.holds();
        let (rules, instructions) = (&terms.rules, &terms.instructions);
        decide(&facts, rules, instructions, holds, &[], Some(closed_ms), now_ms).state == State::Due
    }

    /// Whether rules say anything of an account.
    pub(crate) fn knows(&self, account: SystemId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// How a lot stands at a time, in unix milliseconds.
    ///
    /// Rules are asked about the record that could be kept longest: one that was accepted at the last instant of the
    /// lot's period and ended as late as any of the lot; and, where the account has instructed something for senders or
    /// categories, about one for each of those that may be meant. The latest of the answers holds, for later records
    /// are never due earlier.
    pub fn lot(&self, lot: &Lot, now_ms: u64) -> Stands {
        let now_ms = self.believed.at(now_ms);
        let Some(terms) = self.accounts.get(&lot.account) else {
            return Stands::WithoutRule;
        };
        let closed_ms = self.closures.of(lot.account);
        let (mut last_ms, mut add_up) = (0, AddUp::No);
        let class = class_of(lot.class);
        for facts in terms.kinds(class).facts(lot, class) {
            let decision = terms.decision(&facts, closed_ms, now_ms);
            match (decision.due_ms, decision.state) {
                (Some(due_ms), _) => last_ms = last_ms.max(due_ms),
                (None, State::NotStored) => return Stands::WithoutRule,
                (None, _) => return Stands::Undated,
            }
            if decision.action == Action::Deidentify {
                add_up = AddUp::Yes;
            }
        }
        if last_ms <= now_ms {
            Stands::Due {
                since_ms: last_ms,
                add_up,
            }
        } else {
            Stands::Until(last_ms)
        }
    }
}

/// What instructions of an account tell records of a class apart by.
struct Kinds {
    senders: Vec<Vec<u8>>,
    categories: Vec<Option<Category>>,
}

impl Terms {
    fn decision(&self, facts: &Facts<'_>, closed_ms: Option<u64>, now_ms: u64) -> Decision<'_> {
        decide(
            facts,
            &self.rules,
            &self.instructions,
            &[],
            &[],
            closed_ms,
            now_ms,
        )
    }

    /// All that are to be asked about, those that nothing is instructed for included. Configurations instruct nothing
    /// about single messages.
    fn kinds(&self, class: Class) -> Kinds {
        let mut kinds = Kinds {
            senders: vec![Vec::new()],
            categories: vec![None],
        };
        let of_class = |instruction: &&Instruction| instruction.class == class;
        for instruction in self.instructions.iter().filter(of_class) {
            if let Some(senders) = &instruction.senders {
                kinds.senders.push(senders.text.to_vec());
                if senders.is_prefix {
                    // One that only begins so: the address itself may have an instruction of its own. No address has a
                    // NUL.
                    kinds.senders.push([&senders.text[..], b"\0"].concat());
                }
            }
            if let Some(category) = instruction.category
                && !kinds.categories.contains(&Some(category))
            {
                kinds.categories.push(Some(category));
            }
        }
        kinds.senders.sort_unstable();
        kinds.senders.dedup();
        kinds
    }
}

impl Kinds {
    /// The record of each kind that could be kept longest of a lot.
    fn facts(&self, lot: &Lot, class: Class) -> impl Iterator<Item = Facts<'_>> {
        let accepted_ms = lot.last_ms.min(lot.end_ms().saturating_sub(1));
        let (account, final_ms) = (lot.account, lot.last_ms);
        self.senders.iter().flat_map(move |sender| {
            self.categories.iter().map(move |category| {
                let mut facts = Facts::new(account, class).of_sender(sender);
                facts.category = *category;
                facts.at.accepted_ms = Some(accepted_ms);
                facts.at.received_ms = Some(accepted_ms);
                facts.at.final_ms = Some(final_ms);
                facts
            })
        })
    }
}
