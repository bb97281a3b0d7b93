//! Messages from handsets on their way to the [history](crate::history).
//!
//! What the history is to hold of one is known when it comes: it is filed by what it was then, and whether the account
//! fetches it changes none of that. So it goes as a record of its own, in the batch that acknowledges the message, and by the
//! same rules as what ended in a waiting file: its segment stays until the history has noted it.

use std::sync::Arc;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::disk::Disk;
use crate::history;
use crate::index::Location;
use crate::message_id::MessageId;
use crate::quote::Quote;
use crate::record::{Direction, Envelope, Final, FinishedLeg, Head, Kind, LegRecord, Payload, Stage};

use super::filing::{Source, Unfiled};
use super::staging::{Part, Staged};
use super::{Refused, Spool, newest_key};

/// A message from a handset, as the history is to hold it. Its envelope's times say when it came and until when it may be fetched.
#[derive(Clone)]
pub struct Received<'a> {
    /// What it is.
    pub envelope: Envelope,
    /// The carrier that brought it.
    pub carrier: &'a str,
    /// The PDU's body as it came.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Received(***)")
    }
}

impl<D: Disk> Spool<D> {
    /// Whether the history is to hold anything of what handsets write to an account.
    pub fn keeps_received(&self, account: SystemId) -> bool {
        let name = self.names.find(account.as_str());
        name.is_some_and(|name| self.filing.keeps(name).any())
    }

    /// Stages a message from a handset for the history alone: no account is to fetch it. Without a rule nothing of it is
    /// stored (RET-1).
    ///
    /// # Errors
    ///
    /// As those of [`Spool::deliver`].
    pub fn keep_received(
        &mut self,
        now_ms: u64,
        account: SystemId,
        received: &Received<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        if !self.keeps_received(account) {
            return Ok(());
        }
        self.intake()?;
        let id = self.ids.next(now_ms);
        self.stage_received(now_ms, (id, account), received, rng)
    }

    pub(super) fn stage_received(
        &mut self,
        now_ms: u64,
        (id, account): (MessageId, SystemId),
        received: &Received<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        let name = self.names.intern(account.as_str()).ok_or(Refused::Full)?;
        if !self.filing.keeps(name).any() {
            return Ok(());
        }
        let envelope = &received.envelope;
        let with_body = self.filing.keeps_body(name, envelope.service_type);
        let end = Final {
            // Taken for the account. Whether it has been fetched is not the history's to say.
            state: MessageState::Accepted,
            at_ms: envelope.accepted_ms,
            attempts: 0,
            settled: 0,
            released: 0,
        };
        let leg = LegRecord {
            envelope: envelope.clone(),
            stage: Stage::HandedOver,
            attempts: 0,
            due_ms: envelope.expires_ms,
            carrier: received.carrier,
            carrier_id: &[],
            quote: Quote::NONE,
            progress: None,
            body: if with_body { received.body } else { &[] },
        };
        let head = Head {
            kind: Kind::Received,
            id,
            leg: 0,
            account,
        };
        let key = newest_key(&self.active, self.next.as_ref());
        let payload = Payload::Finished(FinishedLeg { end, leg });
        let range = self.staging.write(&head, &payload, key, rng)?;
        let finished = history::Finished {
            id,
            leg: 0,
            account,
            direction: Direction::Mo,
            envelope: envelope.clone(),
            end,
            carrier: Arc::from(received.carrier),
            carrier_id: MessageIdText::default(),
        };
        self.filing.unfiled += 1;
        let unfiled = Unfiled {
            source: Source::Known {
                finished,
                at: Location::default(),
                leg: None,
            },
            with_body,
            batch: 0,
            owed_in: 0,
        };
        let staged = Staged::Finished(Box::new(unfiled));
        self.staging.push(now_ms, staged, Part::Intake, range, true);
        Ok(())
    }
}
