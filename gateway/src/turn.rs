//! One turn of the loop, as a function of what the gate holds and what time it is.
//!
//! [`Gate::begin_turn`] makes one batch of all that was staged since the last; the driver commits it, here
//! or on another thread; [`Gate::finish_turn`] keeps or breaks the promises that hung on it, then hands legs
//! to carriers and DLRs to ESMEs. Writing to the sockets comes last, once per link.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tidegate_codec::header::CommandId;
use tidegate_codec::session::State;
use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::outbox::EntryId;
use tidegate_store::record::RecordError;
use tidegate_store::spool::{Begin, CommitDone, CommitOutcome, Pending, ReadBack, Target};
use tokio::sync::mpsc;

use crate::clock::Now;
use crate::gate::{Gate, at};
use crate::ids::Id;
use crate::links::{End, LinkId};
use crate::mt::{Cut, Multi};
use crate::telemetry::words::SpoolCause;

/// How often links' timers, dates and pens are looked at. Everything they hold is far slower.
const TICK: Duration = Duration::from_millis(20);
/// Legs whose date has come that one turn takes up.
const DUE_MAX: usize = 1_000;

/// An answer that is owed to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Where.
    pub link: LinkId,
    /// Under which number.
    pub sequence: u32,
    /// With which command.
    pub response: CommandId,
}

/// What a peer is told when the batch is on disk, and only then.
#[derive(Clone, Debug)]
pub enum Promise {
    /// An ESME's submission (P1).
    Submit {
        /// Its answer.
        owed: Owed,
        /// Whose.
        account: usize,
        /// The leg it became.
        leg: LegId,
        /// Its id.
        id: Id,
        /// Where its body lies in the turn's hot octets; `None` when it is to be read back.
        body: Option<Range<usize>>,
        /// It stands for messages that end in the same batch.
        takes_a_place: bool,
    },
    /// A submission that came before, perhaps in this very batch (P1).
    Again {
        /// Its answer.
        owed: Owed,
        /// Whose.
        account: usize,
        /// The id of that one.
        id: Id,
    },
    /// An ESME's submit_multi (P1).
    Multi {
        /// Its answer.
        owed: Owed,
        /// Whose.
        account: usize,
        /// What was taken, and what was not.
        multi: Box<Multi>,
    },
    /// A held leg was released.
    Released {
        /// Which.
        leg: LegId,
    },
    /// A change of a message that an ESME asked for and that is staged (P1).
    Change {
        /// Its answer.
        owed: Owed,
        /// Of a replaced leg: the leg, and where its body lies in the turn's hot octets.
        leg: Option<(LegId, Range<usize>)>,
    },
    /// An operator's test message (P1): its answer is read from the control socket.
    Test {
        /// Whose.
        account: usize,
        /// The leg it became.
        leg: LegId,
        /// Its id.
        id: Id,
        /// Where its body lies in the turn's hot octets.
        body: Range<usize>,
    },
    /// An answer of ourselves to a handset: nobody waits for it.
    Reply {
        /// Whose.
        account: usize,
        /// The leg it became.
        leg: LegId,
        /// Where its body lies in the turn's hot octets.
        body: Range<usize>,
    },
    /// What a command changes of standing data.
    Deed {
        /// Hears whether it is on disk.
        done: mpsc::Sender<bool>,
    },
    /// A message that was cut: nobody is answered, but its parts go on.
    InParts(Cut),
    /// A carrier's delivery (P2).
    Delivery {
        /// Its answer.
        owed: Owed,
        /// Whose.
        carrier: usize,
    },
}

/// What a submission is answered with whose batch did not reach the disk.
const fn failure(outcome: CommitOutcome) -> CommandStatus {
    match outcome {
        CommitOutcome::Full => CommandStatus::RMSGQFUL,
        _ => CommandStatus::RSYSERR,
    }
}

/// The promises of the batch that is being staged, and of the one on its way.
#[derive(Debug, Default)]
pub struct Promises {
    staged: Vec<Promise>,
    /// Entries of the batch with their bodies in the hot octets.
    pub(crate) entries: Vec<(EntryId, Range<usize>)>,
    committing: Vec<Promise>,
    committing_entries: Vec<(EntryId, Range<usize>)>,
    hot: Bytes,
}

impl Promises {
    /// Owes an answer from the next commit on.
    pub fn push(&mut self, promise: Promise) {
        self.staged.push(promise);
    }
}

impl<D: Disk> Gate<D> {
    /// Has it heard what becomes of everything that memory knows and the disk may not: of the batch on its way, and of what
    /// is staged for the next. Says how many answers come; none where all is on disk.
    pub(crate) fn hear_of_batches(&mut self, done: &mpsc::Sender<bool>) -> usize {
        let promise = || Promise::Deed { done: done.clone() };
        let (is_committing, is_staged) = (
            self.spool.is_committing(),
            self.spool.pending() != Pending::Nothing,
        );
        if is_committing {
            self.promises.committing.push(promise());
        }
        // A promise with nothing staged would be kept by whatever is staged next, perhaps never.
        if is_staged {
            self.promises.staged.push(promise());
        }
        usize::from(is_committing) + usize::from(is_staged)
    }

    /// Looks at timers and dates, if it is time, and makes a batch if one is due: at once where a peer
    /// waits, after `lazy_flush` where nobody does.
    pub fn begin_turn(&mut self, now: Now) -> Begin<D> {
        self.tally.turns += 1;
        if now.monotonic >= self.next_tick {
            self.next_tick = now.monotonic + TICK;
            self.tick(now);
        }
        self.sweep_on(now);
        let lazy = self.config.storage.lazy_flush;
        let pending = self.spool.pending();
        // By the clock that nobody sets: one that stands, or was set back, makes nothing wait until it has caught up.
        let since = match pending {
            Pending::Lazy(_) => *self.lazy_since.get_or_insert(now.monotonic),
            _ => {
                self.lazy_since = None;
                now.monotonic
            }
        };
        let due = match pending {
            Pending::Nothing => false,
            Pending::Urgent => true,
            Pending::Lazy(_) => now.monotonic >= since.saturating_add(lazy) || self.stopping,
        };
        if !due {
            return Begin::Nothing;
        }
        let begun = self.spool.begin_commit(now.unix_ms);
        self.blocked = !matches!(begun, Begin::Commit(_));
        if let Begin::Commit(commit) = &begun {
            self.lazy_since = None;
            self.tally.batch_octets += commit.octets();
            self.tally.batch_records += commit.records() as u64;
            self.tally.batch_sizes.add(commit.records() as u64);
            let promises = &mut self.promises;
            std::mem::swap(&mut promises.staged, &mut promises.committing);
            std::mem::swap(&mut promises.entries, &mut promises.committing_entries);
            promises.hot = self.hot.batch();
        }
        begun
    }

    /// Takes the outcome of a commit in, which took so long.
    pub fn commit_done(&mut self, now: Now, done: CommitDone<D>, took: Duration) {
        self.tally.sync.took(took);
        let outcome = self.spool.finish_commit(done);
        // What was given back is tried again at the next tick, not at once.
        self.blocked = outcome != CommitOutcome::Synced;
        let mut promises = std::mem::take(&mut self.promises.committing);
        let mut entries = std::mem::take(&mut self.promises.committing_entries);
        let hot = std::mem::take(&mut self.promises.hot);
        match outcome {
            CommitOutcome::Synced => self.tally.batches += 1,
            CommitOutcome::Full => {
                self.tally.commit_failures.add(SpoolCause::Full);
                // Some of them may have been in the batch.
                self.members_due = true;
            }
            CommitOutcome::Broken => self.tally.commit_failures.add(SpoolCause::Broken),
        }
        if outcome == CommitOutcome::Synced {
            for (entry, body) in entries.drain(..) {
                self.entry_synced(entry, hot.slice(body));
            }
        }
        for promise in promises.drain(..) {
            match (promise, outcome) {
                (
                    Promise::Submit {
                        owed,
                        account,
                        leg,
                        id,
                        body,
                        ..
                    },
                    CommitOutcome::Synced,
                ) => {
                    let body = body.map(|body| hot.slice(body));
                    self.submitted(now, owed, account, leg, id, body);
                }
                // Staged again with the ends of what it stands for: its answer leaves with a later commit, and its
                // body is read back from disk then.
                (
                    Promise::Submit {
                        owed,
                        account,
                        leg,
                        id,
                        takes_a_place: true,
                        ..
                    },
                    CommitOutcome::Full,
                ) => {
                    self.promises.push(Promise::Submit {
                        owed,
                        account,
                        leg,
                        id,
                        body: None,
                        takes_a_place: true,
                    });
                }
                (
                    Promise::Submit {
                        owed, account, id, ..
                    },
                    failed,
                ) => {
                    self.forget_id(account, id);
                    self.duplicates.forget(id.message);
                    self.submission_failed(owed, account, failure(failed));
                }
                (Promise::Again { owed, id, .. }, CommitOutcome::Synced) => self.answer_id(owed, id),
                (Promise::Again { owed, account, .. }, failed) => {
                    self.submission_failed(owed, account, failure(failed));
                }
                (Promise::Multi { owed, account, multi }, CommitOutcome::Synced) => {
                    self.multi_submitted(now, owed, account, *multi, &hot);
                }
                (Promise::Multi { owed, account, multi }, failed) => {
                    self.forget_id(account, multi.id);
                    self.submission_failed(owed, account, failure(failed));
                }
                (Promise::Change { owed, leg }, CommitOutcome::Synced) => {
                    self.respond(
                        owed.link,
                        owed.response,
                        owed.sequence,
                        CommandStatus::ROK,
                        |_| {},
                    );
                    if let Some((leg, body)) = leg {
                        self.set_out(now, leg, Some(hot.slice(body)));
                    }
                }
                (Promise::Released { leg }, CommitOutcome::Synced) => self.released(now, leg),
                // It is staged again.
                (Promise::Released { leg }, CommitOutcome::Full) => {
                    self.promises.push(Promise::Released { leg });
                }
                // A restart finds it held, or released.
                (Promise::Released { .. }, CommitOutcome::Broken) => {}
                // What ends or changes something is staged again: its answer leaves with a later commit. The body
                // is read back from disk then.
                (Promise::Change { owed, .. }, CommitOutcome::Full) => {
                    self.promises.push(Promise::Change { owed, leg: None });
                }
                (Promise::Change { owed, .. }, failed) => {
                    self.respond(owed.link, owed.response, owed.sequence, failure(failed), |_| {});
                }
                (
                    Promise::Test {
                        account,
                        leg,
                        id,
                        body,
                    },
                    CommitOutcome::Synced,
                ) => {
                    self.test_stored(id.message, true);
                    self.accepted(now, account, leg, Some(hot.slice(body)));
                }
                (Promise::Test { account, id, .. }, _) => {
                    self.forget_id(account, id);
                    self.test_stored(id.message, false);
                }
                (Promise::Reply { account, leg, body }, CommitOutcome::Synced) => {
                    self.accepted(now, account, leg, Some(hot.slice(body)));
                }
                (Promise::Reply { .. }, _) => {}
                // Who has gone need not hear it.
                (Promise::Deed { done }, outcome) => {
                    let _ = done.try_send(matches!(outcome, CommitOutcome::Synced));
                }
                (Promise::InParts(cut), CommitOutcome::Synced) => self.cut_stored(now, cut, &hot),
                // It is staged again.
                (Promise::InParts(cut), CommitOutcome::Full) => {
                    self.promises.push(Promise::InParts(cut.without_bodies()));
                }
                (Promise::InParts(_), CommitOutcome::Broken) => {}
                (Promise::Delivery { owed, .. }, CommitOutcome::Synced) => {
                    self.respond_delivery(owed, CommandStatus::ROK);
                }
                (Promise::Delivery { owed, carrier }, CommitOutcome::Full | CommitOutcome::Broken) => {
                    self.carriers[carrier].tally.deliveries_refused += 1;
                    self.respond_delivery(owed, CommandStatus::RX_T_APPN);
                }
            }
        }
        // Of a batch that was given back the ranges mean nothing any more: the next commit has other octets,
        // and these entries are read back from disk.
        entries.clear();
        // The vectors go back into use, so that a turn allocates nothing.
        self.promises.committing = promises;
        self.promises.committing_entries = entries;
    }

    /// Hands on what can go on: legs to carriers, DLRs and MOs to ESMEs.
    pub fn finish_turn(&mut self, now: Now) {
        self.due_legs(now, DUE_MAX);
        self.dispatch_all(now);
        // What still waits now may be asked for by its numbers.
        self.spool.pair_up();
        self.deliver_all(now);
        self.allow_sweeping();
    }

    /// When something happens next without input, in monotonic time.
    pub fn next_deadline(&self, now: Now) -> Duration {
        let lazy = self.config.storage.lazy_flush;
        match self.spool.pending() {
            // A cancel that one turn could not end.
            _ if self.is_sweeping() && !self.blocked => now.monotonic,
            Pending::Nothing => self.next_tick,
            // Nothing can be written before the keeper has made a segment, and its word wakes the loop.
            Pending::Urgent if self.blocked => self.next_tick,
            Pending::Urgent => now.monotonic,
            Pending::Lazy(_) => self.next_tick.min(now.monotonic + lazy),
        }
    }

    /// Records whose bodies are wanted back from disk; the driver makes a chore of them.
    pub fn take_wanted(&mut self) -> Vec<Target> {
        let mut wanted = std::mem::take(&mut self.wanted);
        // What has ended meanwhile is not read, so it must not count as being read either: nothing would
        // ever take it off the count, and at its bound nothing is read back any more.
        wanted.retain(|target| match target {
            Target::Leg(leg) => {
                let is_there = self.spool.index().get(*leg).is_some();
                if !is_there {
                    self.looks.remove(leg);
                }
                is_there
            }
            Target::Entry(entry) => self.spool.outbox().get(*entry).is_some(),
        });
        self.reading += wanted.len();
        wanted
    }

    /// Records that were read back.
    pub fn read_back(&mut self, now: Now, found: Vec<ReadBack>) {
        self.reading = self.reading.saturating_sub(found.len());
        let (mut legs, mut entries) = (Vec::new(), Vec::new());
        for read in found {
            let here = self.spool.is_at(&read);
            match (read.target, read.body) {
                (Target::Leg(leg), Ok(body)) if self.looks.contains_key(&leg) => {
                    if let Some(look) = self.looks.remove(&leg) {
                        // Who has gone need not see it.
                        let _ = look.send(body.into());
                    }
                }
                (Target::Leg(leg), Ok(body)) => legs.push((leg, body.into())),
                (Target::Entry(entry), Ok(body)) => entries.push((entry, body.into())),
                // It moved while it was read: its new place is asked for.
                (target, Err(_)) if !here => self.wanted.push(target),
                // Nothing is known about the record: no file descriptors left, perhaps. It is asked for again,
                // but not at once.
                // Whoever looks asks again, and no more hangs on it: what a carrier waits for is read by itself.
                (Target::Leg(leg), Err(RecordError::Io(_))) if self.looks.remove(&leg).is_some() => {}
                (Target::Leg(leg), Err(RecordError::Io(_))) if self.replace_failed(now, leg) => {}
                (Target::Leg(leg), Err(RecordError::Io(_))) if self.is_over(now, leg) => {
                    // Its date ends it.
                    self.spool.set_leased(leg, false);
                }
                (target, Err(RecordError::Io(_))) => {
                    if let Target::Entry(entry) = target {
                        self.entry_unread(entry);
                    }
                    self.unread.push(target);
                }
                (target, Err(_)) => self.unreadable(now, target),
            }
        }
        // Each goes to the front of its line, so the last goes first.
        for (leg, body) in legs.into_iter().rev() {
            match self.replacing.remove(&leg) {
                Some(replacement) => self.replace_read(now, leg, body, &replacement),
                None => self.leg_read(now, leg, body),
            }
        }
        self.entries_read(now, entries);
    }

    fn is_over(&self, now: Now, leg: LegId) -> bool {
        let found = self.spool.index().get(leg);
        found.is_none_or(|leg| leg.envelope.expires_ms <= now.unix_ms)
    }

    /// A record that does not open is quarantined once and its leg ended, so that the queue goes on
    /// (ENC-4, design §5).
    pub fn unreadable(&mut self, now: Now, target: Target) {
        self.tally.unreadable += 1;
        match target {
            Target::Leg(leg) => {
                self.looks.remove(&leg);
                if let Some(found) = self.spool.index().get(leg) {
                    let account = self.spool.names().name(found.account);
                    tracing::error!(message_id = %self.id_of(found), account, "a message's record cannot be read: it is ended");
                }
                self.replace_failed(now, leg);
                let note = crate::dlr::ReceiptNote::new(tidegate_codec::values::MessageState::Undeliverable)
                    .with_status(CommandStatus::RSYSERR);
                self.end_quietly(now, leg, &note);
            }
            Target::Entry(entry) => {
                self.take_hot(entry);
                self.entry_unread(entry);
                let _ = self.spool.fetched(now.unix_ms, entry, &mut self.rng);
            }
        }
    }

    fn tick(&mut self, now: Now) {
        if self.mt.set_time(now.unix_ms) {
            self.unrouted_left = self.unrouted.len();
        }
        // Of ten thousand links a few are due at a time.
        for id in self.links.take_due(now.monotonic) {
            while let Some(link) = self.links.get_mut(id).filter(|link| link.end.is_none()) {
                let Some(event) = link.session.handle_timeout(at(now), &mut link.out) else {
                    break;
                };
                let peer = link.peer;
                self.event(now, id, peer, event, &[]);
            }
            self.links.touch(id);
            self.links.arm(id);
        }
        #[cfg(debug_assertions)]
        assert!(
            !self.links.oversleeps(now.monotonic),
            "a link's timers are looked at too late"
        );
        let leaving = if self.stopping {
            self.links.ids()
        } else {
            self.links.leaving()
        };
        for id in leaving {
            self.stop_idle(now, id);
        }
        self.count_shares();
        self.wanted.append(&mut self.unread);
        self.ask_for_penned(now);
        self.empty_pens(now);
        self.expire_entries(now);
        self.end_drains(now);
        self.fail_over(now);
        self.note_members(now);
        self.rename_seen(now);
        self.spool.forget_replies(now.unix_ms);
    }

    /// While stopping, or once it is to leave: a carrier link whose answers are all there is unbound.
    pub(crate) fn stop_idle(&mut self, now: Now, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && (self.stopping || link.leaving)
            && link.session.waiting() == 0
        {
            match link.session.state() {
                State::Bound(_) => {
                    link.session.unbind(at(now), &mut link.out);
                    self.links.touch(id);
                }
                State::Open | State::Outbound | State::Binding { .. } => {
                    let end = if self.stopping { End::Shutdown } else { End::Reload };
                    self.links.end(id, end);
                }
                _ => {}
            }
        }
    }
}
