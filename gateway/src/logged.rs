//! What the log says of single messages: those that were refused, or have failed, at level `debug`. Every line names what it is
//! about by the same fields: `message_id` (its id, as its client was given it), `account`, `carrier`, `link` (its number, as in
//! `bind list`). While nobody listens, one comparison is all that a line costs.

use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::IdText;
use tracing::{Level, enabled};

use crate::carrier::Verdict;
use crate::gate::Gate;
use crate::links::{LinkId, Peer};
use crate::telemetry::state_label;

/// A carrier's answer to a leg; `None`s where none came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) carrier: usize,
    pub(crate) link: LinkId,
    pub(crate) status: Option<CommandStatus>,
    pub(crate) verdict: Option<Verdict>,
}

impl<D: Disk> Gate<D> {
    /// A link's number; 0 where it is gone.
    pub(crate) fn link_number(&self, id: LinkId) -> u64 {
        self.links.get(id).map_or(0, |link| link.number)
    }

    /// The id of a leg's message, as its client was given it.
    pub(crate) fn id_of(&self, leg: &Leg) -> IdText {
        self.id_text(leg.message, leg.envelope.id_form)
    }

    /// A submission, or a recipient of it, is refused.
    pub(crate) fn log_refused(&self, link: LinkId, account: usize, status: CommandStatus) {
        if enabled!(Level::DEBUG) {
            let account = self.config.accounts[account].system_id;
            let link = self.link_number(link);
            tracing::debug!(%account, link, %status, "a message is refused");
        }
    }

    /// The session refused a request.
    pub(crate) fn log_request_refused(
        &self,
        link: LinkId,
        peer: Peer,
        command: CommandId,
        status: CommandStatus,
    ) {
        if enabled!(Level::DEBUG) {
            let link = self.link_number(link);
            let command = command.name();
            let (account, carrier) = self.names_of(peer);
            tracing::debug!(account, carrier, link, command, %status, "a request is refused");
        }
    }

    fn names_of(&self, peer: Peer) -> (Option<&str>, Option<&str>) {
        match peer {
            Peer::Esme { account, .. } => {
                let name = account.map(|place| self.config.accounts[place].system_id.as_str());
                (name, None)
            }
            Peer::Carrier { carrier, .. } => (None, Some(self.config.carriers[carrier].name.as_str())),
        }
    }

    /// A carrier did not take a leg.
    pub(crate) fn log_try(&self, leg: LegId, said: Said) {
        if enabled!(Level::DEBUG)
            && let Some(found) = self.spool.index().get(leg)
        {
            let Said {
                carrier,
                link,
                status,
                verdict,
            } = said;
            let carrier = self.config.carriers[carrier].name.as_str();
            tracing::debug!(
                message_id = %self.id_of(found),
                account = self.spool.names().name(found.account),
                carrier,
                link = self.link_number(link),
                recipient = found.whole(),
                part = found.part(),
                attempts = found.attempts,
                status = status.map(tracing::field::display),
                verdict = verdict.map(tracing::field::debug),
                "a carrier did not take a message"
            );
        }
    }

    /// A leg ended otherwise than it should.
    pub(crate) fn log_end(&self, leg: &Leg, state: MessageState) {
        if enabled!(Level::DEBUG) && !matches!(state, MessageState::Delivered | MessageState::Accepted) {
            tracing::debug!(
                message_id = %self.id_of(leg),
                account = self.spool.names().name(leg.account),
                carrier = leg.carrier.map(|carrier| self.spool.names().name(carrier)),
                recipient = leg.whole(),
                part = leg.part(),
                attempts = leg.attempts,
                state = state_label(state),
                "a message has failed"
            );
        }
    }
}
