//! The story of one MO: from a carrier's deliver_sm into the outbox of the account that owns the number, or of the one
//! to which that account's instructions give it.

mod ask;
mod heed;
mod kept;
mod own;
mod reply;

use smallvec::SmallVec;
use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;
use tidegate_store::record::{EntryKind, Form};
use tidegate_store::spool::{NewEntry, Pending};

use crate::clock::Now;
use crate::gate::Gate;
use crate::keywords::Text;
use crate::number::{E164, plan};
use crate::router::MoFacts;
use crate::turn::{Owed, Promise};

pub(crate) use ask::Question;
use heed::Heeded;
pub(crate) use heed::Owners;
pub(crate) use reply::hash_of;

impl<D: Disk> Gate<D> {
    /// A carrier delivers a message from a handset. It is answered when it is on disk (P2); the octets go
    /// on as they came (GEN-4).
    pub(crate) fn mobile_originated(
        &mut self,
        now: Now,
        owed: Owed,
        text: &Text<'_>,
        form: Form,
        body: &[u8],
    ) {
        let carrier = text.carrier;
        self.mo.set_time(now.unix_ms);
        let config = &self.config.carriers[carrier];
        // Where the carrier's country is known numbers are looked at in their canonical form, however the carrier writes
        // them; called ones as they came, too, and short codes, and what else has no such form.
        let called = text.called.addr.as_bytes();
        let home = config.writing.country;
        let canonical_of = |(ton, npi), octets| {
            let home = home?;
            plan().canonical(ton, npi, octets, Some(home)).ok()
        };
        let canonical = canonical_of((text.called.ton, text.called.npi), called);
        let sender = canonical_of(text.sender_ton_npi, text.sender);
        let mut facts = MoFacts {
            carrier: config.name.as_str(),
            called,
            sender: sender.as_ref().map_or(text.sender, E164::as_bytes),
            word: self.keywords.read(now, &self.mo, text),
        };
        if let Some(number) = &canonical {
            facts.called = number.as_bytes();
        }
        let mut way = self.mo.find(&facts);
        if way.is_none() && canonical.is_some() {
            facts.called = called;
            way = self.mo.find(&facts);
        }
        // What a closed account would get is nobody's to keep, either; opt-outs are heard all the same (OPT-30).
        let place = way.as_ref().and_then(|way| self.account_of(way.account));
        let heard_by = place.filter(|place| self.accounts[*place].is_closed);
        let Some(way) = way.filter(|_| heard_by.is_none()) else {
            // A refusal would only bring it back for days; it is counted, and nobody's to keep. What it says still counts.
            self.carriers[carrier].tally.mos_unowned += 1;
            return match self.heed(now, owed, text, heard_by, true) {
                Ok((Heeded::Nothing, None)) => self.respond_delivery(owed, CommandStatus::ROK),
                Ok((Heeded::Known, _)) => self.respond_after_commit(owed, carrier),
                Ok((_, reply)) => {
                    if let Some((pair, due)) = reply {
                        self.reply(now, &pair, due);
                    }
                    self.promises.push(Promise::Delivery { owed, carrier });
                }
                Err(_) => self.refuse_delivery(owed, carrier),
            };
        };
        let (account, sink) = (way.account, way.sink);
        let document: SmallVec<[u8; 32]> = SmallVec::from_slice(way.document.as_bytes());
        let place = self.account_of(account);
        let Some(place) = place else {
            return self.respond_delivery(owed, CommandStatus::RX_T_APPN);
        };
        let written_by = self.written_by(text, place);
        // First what it says: should the message itself find no room, the person is heard all the same.
        let is_restricted = self.is_restricted(place, &self.recipient(Some(place), written_by.clone()));
        let has_room = is_restricted
            || self.spool.outbox().waiting_for(self.accounts[place].name)
                < self.config.accounts[place].outbox_max;
        let reply = match self.heed(now, owed, text, Some(place), has_room) {
            Ok((Heeded::Known, _)) => return self.respond_after_commit(owed, carrier),
            Ok((_, reply)) => reply.filter(|_| !is_restricted),
            Err(_) => return self.refuse_delivery(owed, carrier),
        };
        let config = std::sync::Arc::clone(&self.config);
        let of_account = &config.accounts[place];
        let ttl_ms = u64::try_from(of_account.outbox_ttl.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = now.unix_ms.saturating_add(ttl_ms);
        let name = config.carriers[carrier].name.as_str();
        let received = Self::received(now, text, &written_by, expires_ms, (name, form, body));
        if is_restricted {
            // Kept, and shown to nobody (DSR-4).
            let kept = self
                .spool
                .keep_received(now.unix_ms, account, &received, &mut self.rng);
            if kept.is_err() {
                return self.refuse_delivery(owed, carrier);
            }
            self.accounts[place].tally.mos_withheld += 1;
            return self.respond_after_commit(owed, carrier);
        }
        let waiting = self.spool.outbox().waiting_for(self.accounts[place].name);
        let entry = NewEntry {
            kind: EntryKind::Mo,
            sink,
            form,
            expires_ms,
            document: &document,
            body,
        };
        tracing::trace!(%account, instructions = %String::from_utf8_lossy(&document), "MO");
        // Over the bound the carrier keeps it and tries again (design §5.9).
        let staged = if waiting < of_account.outbox_max {
            self.spool
                .deliver_received(now.unix_ms, account, &entry, &received, &mut self.rng)
                .ok()
        } else {
            self.accounts[place].tally.overflow += 1;
            None
        };
        match staged {
            Some(entry) => {
                self.carriers[carrier].tally.mos += 1;
                self.stage_entry_body(entry, body);
                if let Some((pair, due)) = reply {
                    self.reply(now, &pair, due);
                }
                self.promises.push(Promise::Delivery { owed, carrier });
            }
            None => self.refuse_delivery(owed, carrier),
        }
    }

    fn refuse_delivery(&mut self, owed: Owed, carrier: usize) {
        self.carriers[carrier].tally.deliveries_refused += 1;
        self.respond_delivery(owed, CommandStatus::RX_T_APPN);
    }

    /// Acknowledges what came before, and is perhaps still on its way to the disk (P2).
    fn respond_after_commit(&mut self, owed: Owed, carrier: usize) {
        if self.spool.pending() == Pending::Nothing {
            self.respond_delivery(owed, CommandStatus::ROK);
        } else {
            self.promises.push(Promise::Delivery { owed, carrier });
        }
    }
}
