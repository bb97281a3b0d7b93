//! Who has consented to an account's marketing (CON-3, CON-4).

use tidegate_codec::category::Category;
use tidegate_config::ConsentMode;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::standing::{Scope, Stand};

use super::opt_out::bit;
use super::recipient::Recipient;
use crate::gate::Gate;
use crate::refusal::Refusal;

impl<D: Disk> Gate<D> {
    /// Whether marketing may come in without regard to its hours: in mode `require` only with a consent on record.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoConsent`].
    pub(crate) fn consent_to(
        &mut self,
        account: usize,
        recipient: &Recipient,
        category: Category,
    ) -> Result<(), Refusal> {
        let mode = self.config.accounts[account].consent;
        let is_asked = mode != ConsentMode::Off && category == Category::Marketing;
        if !is_asked || self.has_consented(account, recipient) {
            return Ok(());
        }
        if mode == ConsentMode::Require {
            return Err(Refusal::NoConsent);
        }
        self.accounts[account].tally.unconsented += 1;
        Ok(())
    }

    /// Whether a consent of a person stands to this very scope, to all of these categories (a bit each; 0 is all there are).
    pub(crate) fn consents_to(&self, who: &Pseudonym, scope: &Scope, categories: u8) -> bool {
        let standing = self.spool.standing();
        standing.scopes().find(scope).is_some_and(|id| {
            let stands = standing.consents().of(who);
            let holds_all = |stand: &Stand| {
                stand.categories == 0 || categories != 0 && stand.categories & categories == categories
            };
            stands.iter().any(|stand| stand.scope == id && holds_all(stand))
        })
    }

    /// Whether a recipient has consented to marketing of this account, or of its brand.
    pub(super) fn has_consented(&self, account: usize, recipient: &Recipient) -> bool {
        let config = &self.config.accounts[account];
        let standing = self.spool.standing();
        let stands = standing.consents().of(recipient.who(standing));
        if stands.is_empty() {
            return false;
        }
        let whole = Scope::account(config.system_id.as_str());
        let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
        let marketing = bit(Some(Category::Marketing));
        stands.iter().any(|stand| {
            let scope = standing.scopes().scope(stand.scope);
            stand.covers(marketing) && (scope == Some(&whole) || scope.is_some() && scope == brand.as_ref())
        })
    }
}
