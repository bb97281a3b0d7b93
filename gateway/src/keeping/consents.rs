//! How what was said of a consent stands (compliance.md §7, class `consent`): the reader, `retention plan` and the sweep ask here; and
//! what was entered in the audit log (class `audit`).

use std::sync::Arc;

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;
use tidegate_config::Config;
use tidegate_store::rules::{Class, Decision, Facts, Hold, Scope as Covered, State, decide};
use tidegate_store::standing::{Ends, Scope, ScopeKind};

use super::{Closures, Keeping, Told};

/// Accounts of each brand.
pub(super) type Brands = HashMap<Box<str>, Vec<SystemId>>;

pub(super) fn brands_of(config: &Config) -> Brands {
    let mut brands = Brands::new();
    for account in &config.accounts {
        if let Some(brand) = &account.opt_outs.brand {
            let accounts = brands.entry(brand.as_str().into()).or_default();
            accounts.push(account.system_id);
        }
    }
    brands
}

/// Since when nobody needs a consent to a scope for its accounts are closed, in unix milliseconds: one to a brand as long as one of
/// its accounts is open, or the one that recorded it, whichever brand that is of by now.
fn needless_since(brands: &Brands, closures: &Closures, account: SystemId, scope: &Scope) -> Option<u64> {
    if scope.kind() != ScopeKind::Brand {
        return closures.of(account);
    }
    let name = std::str::from_utf8(scope.name()).ok()?;
    let mut last_ms = None;
    for account in brands.get(name)?.iter().chain([&account]) {
        last_ms = last_ms.max(Some(closures.of(*account)?));
    }
    last_ms
}

impl Keeping {
    /// How something that an account recorded of a consent to a scope stands, by when it was said and when the consent was taken
    /// back, in unix milliseconds; `None` of an account without rules. A hold that may be about the account's consents keeps all of
    /// them, whomever of its people it names: they are known by pseudonyms here.
    pub(crate) fn consent(
        &self,
        account: SystemId,
        scope: &Scope,
        (said_ms, back_ms): (u64, Option<u64>),
        now_ms: u64,
    ) -> Option<Told> {
        let terms = self.accounts.get(&account)?;
        let closed_ms = self.closures.of(account);
        let needless_ms = needless_since(&self.brands, &self.closures, account, scope);
        let mut facts = Facts::new(account, Class::Consent);
        facts.at.created_ms = Some(said_ms);
        facts.at.purpose_ended_ms = back_ms.into_iter().chain(needless_ms).min();
        let now_ms = self.believed.at(now_ms);
        let by = |holds: &[Hold]| {
            let decision: Decision<'_> = decide(
                &facts,
                &terms.rules,
                &terms.instructions,
                holds,
                &[],
                closed_ms,
                now_ms,
            );
            Told::of(&decision)
        };
        let told = by(&[]);
        if told.state != State::Due || self.claims.holds().is_empty() {
            return Some(told);
        }
        let widened = self.claims.holds().iter().map(|hold| Hold {
            scope: Covered {
                recipient: None,
                ..hold.scope.clone()
            },
            ..hold.clone()
        });
        // What is asked about is there: a hold that was taken when it was due, and had not gone, keeps it, too.
        let wide = widened.filter(|hold| hold.covers(&facts)).map(|hold| Hold {
            future: true,
            taken_ms: 0,
            ..hold
        });
        Some(by(&wide.collect::<Vec<_>>()))
    }

    /// Whether it may be read still: nothing says that it is over, or it is not over yet (RET-4).
    pub(crate) fn may_read_consent(
        &self,
        account: SystemId,
        scope: &Scope,
        times: (u64, Option<u64>),
        now_ms: u64,
    ) -> bool {
        let told = self.consent(account, scope, times, now_ms);
        told.is_none_or(|told| matches!(told.state, State::Live | State::Restricted))
    }

    /// Whether what was entered in the audit log until then is over now (class `audit`), both in unix milliseconds: by the rules of
    /// every account, of which there must be one, and while no hold may be about any of it. Files hold entries of all, and go as a
    /// whole.
    pub(crate) fn is_audit_over(&self, entered_ms: u64, now_ms: u64) -> bool {
        let may_keep = |hold: &Hold| {
            let is_meant = hold.scope.class.is_none_or(|class| class == Class::Audit);
            is_meant && hold.scope.message.is_none() && hold.released_ms.is_none()
        };
        if self.accounts.is_empty() || self.claims.holds().iter().any(may_keep) {
            return false;
        }
        let now_ms = self.believed.at(now_ms);
        self.accounts.iter().all(|(account, terms)| {
            let mut facts = Facts::new(*account, Class::Audit);
            facts.at.created_ms = Some(entered_ms);
            let (rules, instructions) = (&terms.rules, &terms.instructions);
            decide(&facts, rules, instructions, &[], &[], None, now_ms).state == State::Due
        })
    }

    /// What a sweep at this time, in unix milliseconds, takes for over.
    pub(crate) fn ends_of_consents(self: &Arc<Self>, now_ms: u64) -> Ends {
        let keeping = Arc::clone(self);
        Ends::new(move |account, scope, said_ms, back_ms| {
            let told = keeping.consent(account, scope, (said_ms, back_ms), now_ms);
            told.is_some_and(|told| told.state == State::Due)
        })
    }
}
