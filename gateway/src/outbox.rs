//! DLRs and MOs on their way to an ESME: any receiver of the account takes them, inside its window, until
//! they are settled.

use bytes::Bytes;
use hashbrown::HashSet;
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::session::Answer;
use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;
use tidegate_store::names::NameId;
use tidegate_store::outbox::EntryId;
use tidegate_store::record::{EntryKind, Form, Sink};
use tidegate_store::spool::Target;

use crate::carrier::READ_BACK_MAX;
use crate::clock::Now;
use crate::gate::{Gate, at};
use crate::links::{Link, LinkId, Ticket};
use crate::mt::HOT_MAX;
use crate::plain::{plain, write_without_v5};
use crate::tally::counted;

/// How long a link gets no deliveries after it answered one with "later".
const LATER: std::time::Duration = std::time::Duration::from_secs(1);
/// Entries that one turn gives up at most because nobody fetched them.
const EXPIRE_MAX: usize = 500;

impl<D: Disk> Gate<D> {
    /// Keeps the body of a staged entry at hand until its batch is on disk.
    pub(crate) fn stage_entry_body(&mut self, entry: EntryId, body: &[u8]) {
        let body = self.hot.keep(body);
        self.promises.entries.push((entry, body));
    }

    /// The entry is on disk: its body waits in memory, as far as there is room.
    pub(crate) fn entry_synced(&mut self, entry: EntryId, body: Bytes) {
        if self.hot_octets < HOT_MAX && self.spool.outbox().get(entry).is_some() {
            let body = self.hot.to_wait(body);
            self.hot_octets += body.len();
            self.hot_entries.insert(entry, body);
        }
    }

    pub(crate) fn take_hot(&mut self, entry: EntryId) -> Option<Bytes> {
        let body = self.hot_entries.remove(&entry)?;
        self.hot_octets = self.hot_octets.saturating_sub(body.len());
        Some(body)
    }

    /// Gives every account what waits for it, as far as its receivers have room.
    pub(crate) fn deliver_all(&mut self, now: Now) {
        if self.spool.outbox().is_empty() {
            return;
        }
        for account in 0..self.accounts.len() {
            if !self.accounts[account].links.is_empty() {
                self.deliver_to(now, account);
            }
        }
    }

    /// Gives one account what waits for it, the oldest first of those sinks that have a receiver with room.
    pub(crate) fn deliver_to(&mut self, now: Now, account: usize) {
        let name = self.accounts[account].name;
        let outbox = self.spool.outbox();
        let reading = &mut self.accounts[account].reading;
        reading.retain(|entry| outbox.get(*entry).is_some());
        if !reading.is_empty() {
            return;
        }
        // Whoever has room has room for what is for any bind.
        if self.next_receiver(now, account, Sink::Bind).is_none() {
            return;
        }
        // Sinks that take nothing now: as many as the account's routes name.
        let mut full: Vec<Sink> = Vec::new();
        while let Some(sink) = self.spool.next_sink(name, &full) {
            let Some(link) = self.next_receiver(now, account, sink) else {
                if sink == Sink::Bind {
                    // Then nobody has room.
                    return;
                }
                full.push(sink);
                continue;
            };
            let Some(entry) = self.spool.take_entry(name, sink) else {
                full.push(sink);
                continue;
            };
            let reading = self.accounts[account].reading.len();
            let may_read = self.wanted.len() + self.reading < READ_BACK_MAX;
            match self.take_hot(entry) {
                Some(body) if reading == 0 => self.deliver_on(now, link, entry, body),
                None if may_read => {
                    self.wanted.push(Target::Entry(entry));
                    self.accounts[account].reading.push(entry);
                }
                hot => {
                    if let Some(body) = hot {
                        self.entry_synced(entry, body);
                    }
                    self.spool.return_entry(entry);
                    break;
                }
            }
        }
    }

    /// The body of an entry could not be read for now: what is younger need not wait for it any longer.
    pub(crate) fn entry_unread(&mut self, entry: EntryId) {
        if let Some(place) = self
            .spool
            .outbox()
            .get(entry)
            .and_then(|entry| self.account_named(entry.account))
        {
            self.accounts[place].reading.retain(|reading| *reading != entry);
        }
    }

    /// The next of an account's receivers that has room, in turn. What is for binds of one tag waits while one of them
    /// is bound, and goes to any receiver while none is.
    fn next_receiver(&mut self, now: Now, account: usize, sink: Sink) -> Option<LinkId> {
        let Self { accounts, links, .. } = self;
        let state = accounts.get_mut(account)?;
        let receiver = |id: LinkId| {
            let receives = |link: &&Link| {
                let kind = link.session.state().kind();
                link.end.is_none() && kind.is_some_and(tidegate_codec::values::BindKind::can_receive)
            };
            links.get(id).filter(receives)
        };
        let tag = match sink {
            Sink::Bind => None,
            Sink::BindOf(tag) => {
                let is_of = |id: &LinkId| receiver(*id).is_some_and(|link| link.bind_tag == Some(tag));
                state.links.iter().any(is_of).then_some(tag)
            }
        };
        let takes = |link: &Link| {
            link.deliver_after <= now.monotonic
                && link.session.room() > 0
                && tag.is_none_or(|tag| link.bind_tag == Some(tag))
        };
        let count = state.links.len();
        for step in 0..count {
            let place = (state.next_receiver + step) % count;
            let id = state.links[place];
            if receiver(id).is_some_and(takes) {
                state.next_receiver = place;
                return Some(id);
            }
        }
        None
    }

    /// Writes an entry to a link. What a 3.3 peer must not see is left out; what it cannot hold at all ends
    /// as if it had said so.
    fn deliver_on(&mut self, now: Now, id: LinkId, entry: EntryId, body: Bytes) {
        let Some((form, kind, account)) = self
            .spool
            .outbox()
            .get(entry)
            .map(|entry| (entry.form, entry.kind, entry.account))
        else {
            return;
        };
        if kind == EntryKind::Mo && self.is_mo_restricted(account, form, &body) {
            // Who wrote it was restricted while it waited. What is kept of it is in history.
            if let Some(place) = self.account_named(account) {
                self.accounts[place].tally.mos_withheld += 1;
            }
            let _ = self.spool.fetched(now.unix_ms, entry, &mut self.rng);
            return;
        }
        let Some(link) = self.links.get_mut(id) else {
            return self.entry_undelivered(entry, body);
        };
        let version = link.session.version();
        let has_tlvs = version.has_tlvs();
        let octets = body.clone();
        let narrow = if has_tlvs { None } else { plain(form, &octets) };
        if !has_tlvs && narrow.is_none() {
            let refused = Answer::Nack(CommandStatus::RINVMSGLEN);
            return self.entry_answered(now, id, entry, body, &refused);
        }
        let command = match form {
            Form::DataSm if has_tlvs => CommandId::DATA_SM,
            _ => CommandId::DELIVER_SM,
        };
        let ticket = Ticket::Entry(entry, body);
        let sent = link
            .session
            .request(at(now), command, ticket, &mut link.out, |out| match narrow {
                Some(sm) => sm.encode(out),
                // DLRs are ours: nothing in them is of 5.0.
                None if version.is_v5() || kind == EntryKind::Dlr => out.extend_from_slice(&octets),
                None => write_without_v5(out, form, &octets, version),
            });
        match sent {
            Ok(_) => self.links.touch(id),
            Err(_) => self.entry_undelivered(entry, octets),
        }
    }

    /// Bodies that were read back: to receivers with room, the rest back in line as it stood.
    pub(crate) fn entries_read(&mut self, now: Now, entries: Vec<(EntryId, Bytes)>) {
        if entries.is_empty() {
            return;
        }
        let read: HashSet<EntryId> = entries.iter().map(|(entry, _)| *entry).collect();
        for state in &mut self.accounts {
            state.reading.retain(|entry| !read.contains(entry));
        }
        let mut left: Vec<(EntryId, Bytes)> = Vec::new();
        for (entry, body) in entries {
            let found = self.spool.outbox().get(entry);
            let Some((account, sink)) = found.map(|entry| (entry.account, entry.sink)) else {
                continue;
            };
            match self
                .account_named(account)
                .and_then(|place| self.next_receiver(now, place, sink))
            {
                Some(link) => self.deliver_on(now, link, entry, body),
                None => left.push((entry, body)),
            }
        }
        for (entry, body) in left.into_iter().rev() {
            self.entry_undelivered(entry, body);
        }
    }

    /// Entries that nobody fetches lie in files from now on.
    pub(crate) fn entries_parked(&mut self, entries: &[EntryId]) {
        for entry in entries {
            self.take_hot(*entry);
        }
    }

    /// Entries of an account have come back from files, to be delivered next.
    pub(crate) fn entries_returned(&mut self, now: Now, account: NameId, entries: Vec<(EntryId, Vec<u8>)>) {
        for (entry, body) in entries {
            self.entry_synced(entry, body.into());
        }
        if let Some(place) = self.account_named(account) {
            self.deliver_to(now, place);
        }
    }

    /// Nobody fetched these while they lay in files, and their time is over.
    pub(crate) fn entries_expired(&mut self, entries: &[(NameId, u64)]) {
        for (account, count) in entries {
            if let Some(place) = self.account_named(*account) {
                self.accounts[place].tally.expired += count;
            }
        }
    }

    /// An entry that no bind has settled goes back in front.
    pub(crate) fn entry_undelivered(&mut self, entry: EntryId, body: Bytes) {
        self.entry_synced(entry, body);
        self.spool.return_entry(entry);
    }

    /// An ESME has answered a delivery, or has not.
    pub(crate) fn entry_answered(
        &mut self,
        now: Now,
        id: LinkId,
        entry: EntryId,
        body: Bytes,
        answer: &Answer<'_>,
    ) {
        let ok = matches!(answer, Answer::Response(CommandStatus::ROK, _));
        if let Answer::Response(status, _) | Answer::Nack(status) = answer
            && !ok
            && let Some(place) = self
                .spool
                .outbox()
                .get(entry)
                .and_then(|entry| self.account_named(entry.account))
        {
            self.accounts[place]
                .tally
                .deliveries_refused
                .add(counted(*status));
        }
        if !ok && is_later(answer) {
            if let Some(link) = self.links.get_mut(id) {
                link.deliver_after = now.monotonic + LATER;
            }
            return self.entry_undelivered(entry, body);
        }
        self.entry_fetched(now, entry, ok);
    }

    /// An answer to a delivery that was given up came after all: a yes is a yes, wherever in memory the entry
    /// stands now. A no changes nothing, since it is being delivered again.
    pub(crate) fn entry_answered_late(&mut self, now: Now, entry: EntryId, pdu: &Pdu<'_>) {
        let is_delivery = matches!(
            pdu.operation,
            Operation::DeliverSmResp(_) | Operation::DataSmResp(_)
        );
        if is_delivery && pdu.status.is_ok() {
            self.take_hot(entry);
            self.entry_fetched(now, entry, true);
        }
    }

    /// Nobody needs an entry any more; `taken` says whether its ESME has it.
    fn entry_fetched(&mut self, now: Now, entry: EntryId, taken: bool) {
        let Some(found) = self.spool.outbox().get(entry) else {
            return;
        };
        let kind = found.kind;
        if let Some(place) = self.account_named(found.account) {
            let tally = &mut self.accounts[place].tally;
            match (taken, kind) {
                (true, EntryKind::Dlr) => tally.dlrs += 1,
                (true, EntryKind::Mo) => tally.mos += 1,
                (false, _) => {}
            }
        }
        // A broken spool cannot note it: the entry is delivered again after the restart.
        let _ = self.spool.fetched(now.unix_ms, entry, &mut self.rng);
    }

    /// Gives up what nobody fetched in time: settled and counted.
    pub(crate) fn expire_entries(&mut self, now: Now) {
        if !self.spool.has_batch_room() {
            return;
        }
        for entry in self.spool.outbox().expired(now.unix_ms, EXPIRE_MAX) {
            let account = self
                .spool
                .outbox()
                .get(entry)
                .and_then(|entry| self.account_named(entry.account));
            if self.spool.fetched(now.unix_ms, entry, &mut self.rng).is_err() {
                return;
            }
            self.take_hot(entry);
            if let Some(place) = account {
                self.accounts[place].tally.expired += 1;
            }
        }
    }
}

/// Whether an answer to a delivery says "later" rather than "never" (smpp-status.md; interop quirk 32).
fn is_later(answer: &Answer<'_>) -> bool {
    match answer {
        Answer::Response(status, _) | Answer::Nack(status) => !matches!(
            *status,
            CommandStatus::RX_P_APPN
                | CommandStatus::RX_R_APPN
                | CommandStatus::RINVCMDID
                | CommandStatus::RINVMSGLEN
                | CommandStatus::RINVDSTADR
                | CommandStatus::RINVSRCADR
                | CommandStatus::RINVESMCLASS
                | CommandStatus::RINVPARLEN
                | CommandStatus::RINVOPTPARAMVAL
                | CommandStatus::ROPTPARNOTALLWD
                | CommandStatus::RINVOPTPARSTREAM
        ),
        Answer::Unreadable(_) | Answer::Expired => true,
    }
}
