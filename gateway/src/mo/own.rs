//! Messages of ourselves to handsets: no client submits them, and none hears of their end.

use tidegate_codec::address::{ADDR_SM, AddressBuf, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::InterfaceVersion;
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::quote::Quote;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::NewLeg;
use tidegate_store::standing::{Change, Private, Via, What};

use crate::clock::Now;
use crate::explain::written;
use crate::gate::Gate;
use crate::router::{CarrierIndex, Facts, World};
use crate::standing::opt_out::Person;
use crate::telemetry::words::ReplyEnd;
use crate::turn::Promise;

/// A message of ourselves.
pub(super) struct Own<'a> {
    /// On whose behalf.
    pub(super) account: usize,
    /// Under which sender.
    pub(super) from: &'a AddressBuf,
    /// To whom.
    pub(super) person: &'a Person,
    /// The same under a pseudonym.
    pub(super) who: Pseudonym,
    /// Its text: one part.
    pub(super) words: &'a str,
    /// As in an envelope.
    pub(super) category: u8,
    /// It is handed over within so many milliseconds, or not at all.
    pub(super) within_ms: u64,
}

/// What is to be remembered of its having been sent.
pub(super) struct Note {
    pub(super) what: What,
    pub(super) via: Via,
    pub(super) private: Private,
}

impl<D: Disk> Gate<D> {
    /// Stages a message of ourselves, and what is to be remembered of it before: without the one there is not the other.
    pub(super) fn send_own(&mut self, now: Now, own: &Own<'_>, note: Note) -> Result<(), ReplyEnd> {
        let account = own.account;
        // Nothing of a closed account goes out any more, whatever is heard for it.
        if self.accounts[account].is_closed {
            return Err(ReplyEnd::Suspended);
        }
        // What is remembered of it may use the reserve, and the message itself may not.
        self.spool.intake().map_err(|_| ReplyEnd::NoRoom)?;
        let config = &self.config.accounts[account];
        let mut text = Vec::new();
        let data_coding = written(own.words, config.default_alphabet, &mut text);
        let destination =
            AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, own.person).map_err(|_| ReplyEnd::Unwritable)?;
        let sm = Sm {
            source: own.from.as_field::<ADDR_SM>().map_err(|_| ReplyEnd::Unwritable)?,
            destination: destination
                .as_field::<ADDR_SM>()
                .map_err(|_| ReplyEnd::Unwritable)?,
            data_coding,
            short_message: ShortMessage::new(&text).ok_or(ReplyEnd::Unwritable)?,
            ..Sm::default()
        };
        let mut body = Vec::new();
        sm.encode(&mut body);
        let facts = Facts {
            account: Some(config.system_id),
            source_ton: own.from.ton(),
            source: own.from.as_bytes(),
            destination_ton: destination.ton(),
            destination: destination.as_bytes(),
            service_type: ServiceType::default(),
            category: None,
            data_coding,
            parts: 1,
            lot: 0,
            place: None,
        };
        let carriers = &self.carriers;
        let world = World {
            is_up: |CarrierIndex(place): CarrierIndex| carriers[place].is_up(now),
            tables: &self.tables,
        };
        if self.mt.find(&facts, &world).first().is_none() {
            return Err(ReplyEnd::NoRoute);
        }
        let system_id = config.system_id;
        let envelope = Envelope {
            addresses: Addresses::new(own.from, &destination),
            form: Form::Sm,
            interface_version: InterfaceVersion::V3_4.0,
            id_form: 0,
            registered_delivery: 0,
            priority: 0,
            category: own.category,
            parts: 1,
            data_coding: data_coding.0,
            lot: 0,
            service_type: ServiceType::default(),
            charge: 0,
            accepted_ms: now.unix_ms,
            expires_ms: now.unix_ms.saturating_add(own.within_ms),
        };
        let period = self.accounts[account].calendar.period(&config.quota, now);
        let id = self.spool.next_id(now.unix_ms);
        let change = Change {
            who: own.who,
            at_ms: now.unix_ms,
            event: 0,
            via: note.via,
            what: note.what,
            private: note.private,
        };
        self.spool
            .remember(now.unix_ms, system_id, change, true, &mut self.rng)
            .map_err(|_| ReplyEnd::NoRoom)?;
        let new = NewLeg {
            id,
            leg: 0,
            account: system_id,
            envelope,
            due_ms: now.unix_ms,
            quote: Quote::NONE,
            body: &body,
            period,
            takes_a_place: false,
            held: false,
        };
        let leg = self
            .spool
            .accept(now.unix_ms, new, &mut self.rng)
            .map_err(|_| ReplyEnd::NoRoom)?;
        let body = self.hot.keep(&body);
        self.promises.push(Promise::Reply { account, leg, body });
        Ok(())
    }
}
