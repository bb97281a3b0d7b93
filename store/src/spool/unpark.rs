//! Entries come back from outbox files when a bind has room, and stand in line where they stood.

use crate::disk::Disk;
use crate::index::Location;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::{Entry, EntryId, LineOf};
use crate::record::Sink;
use crate::waiting::entries::EntryBunch;
use crate::waiting::{Failed, Order};

use super::Spool;
use super::chores::{ChoreError, Finished, Task};
use super::parked::ASIDE_MS;

/// A line's entries go on coming back from files when fewer than this are left.
const RETURNED_MIN: usize = 512;
/// A run that could not be read is tried again after this long, and after a minute of that once a minute.
const TRY_AGAIN_MS: u64 = 1_000;

impl<D: Disk> Spool<D> {
    /// The sink of an account for which the oldest entry waits that no bind has, but for those in `without`.
    pub fn next_sink(&mut self, account: NameId, without: &[Sink]) -> Option<Sink> {
        self.outbox.next_sink(account, without)
    }

    /// Takes the oldest entry that waits for a sink of an account, for a bind; it stays unsettled. None, too, while that
    /// one is on its way back from a file: then [`Finished::Returned`] says when to ask again.
    pub fn take_entry(&mut self, account: NameId, sink: Sink) -> Option<EntryId> {
        let line = LineOf { account, sink };
        let (is_filed, returned) = self.outbox.filed_and_returned(line);
        if is_filed && returned < RETURNED_MIN {
            self.parked.want(line);
        }
        self.outbox.take(line)
    }

    /// Somebody waits for this one.
    pub(super) fn load_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if self.parked.loading {
            return None;
        }
        // Each in its turn; those that cannot be served now stay in line.
        for _ in 0..self.parked.wanted.len() {
            let line = self.parked.wanted.pop_front()?;
            if self.parked.left_of(line).0 == 0 {
                continue;
            }
            let Some((number, run)) = self.parked.next_run(line, now_ms) else {
                self.parked.wanted.push_back(line);
                continue;
            };
            let (hour, from) = (run.hour, run.next);
            self.parked.loading = true;
            return Some(Task::Parked(Order::Load {
                hour,
                run: number,
                from,
            }));
        }
        None
    }

    /// Entries have come back: they stand in line where they stood.
    pub(super) fn loaded(
        &mut self,
        now_ms: u64,
        number: u64,
        loaded: Result<EntryBunch, Failed>,
    ) -> Finished {
        self.parked.loading = false;
        let Some(run) = self.parked.runs.get_mut(&number) else {
            return Finished::Nothing;
        };
        let line = run.line;
        let bunch = match loaded {
            Ok(bunch) => bunch,
            Err(failed) => {
                run.failed = run.failed.saturating_add(1);
                let pause = if run.is_aside() { ASIDE_MS } else { TRY_AGAIN_MS };
                run.retry_ms = Some(now_ms.saturating_add(pause));
                self.parked.want(line);
                self.count_files(line);
                return Finished::Failed(ChoreError::outbox(failed));
            }
        };
        (run.failed, run.retry_ms) = (0, None);
        (run.next, run.left) = (bunch.next, bunch.rest);
        if let Some(last) = bunch.entries.last() {
            run.first = MessageId(last.id.0 + 1);
        }
        let (mut returned, mut in_line) = (Vec::new(), Vec::new());
        for entry in bunch.entries {
            if self.parked.waits.is_ended(entry.id, 0) || self.outbox.find(entry.id).is_some() {
                continue;
            }
            // What has come to its end is not delivered any more: its date settles it.
            let is_over = entry.expires_ms <= now_ms;
            let id = self.outbox.insert(Entry {
                id: entry.id,
                account: line.account,
                kind: entry.kind,
                sink: entry.sink,
                form: entry.form,
                expires_ms: entry.expires_ms,
                at: Location::default(),
                born: 0,
                revision: 0,
                taken: is_over,
                in_file: true,
            });
            self.parked.back.insert(id, entry.place);
            if !is_over {
                in_line.push(id);
                returned.push((id, entry.body));
            }
        }
        self.outbox.enqueue_returned(&in_line);
        self.count_files(line);
        Finished::Returned(line.account, returned)
    }
}
