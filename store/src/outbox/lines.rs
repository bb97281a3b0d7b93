//! The lines in which entries wait, one for each sink of each account.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{Entry, EntryId, LineOf};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::Sink;
use crate::slots::Slots;

/// So many lines an account keeps although nothing waits in them.
const KEPT: usize = 16;

/// What waits for one sink of an account.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sink: Sink,
    /// Entries that no bind has taken, oldest first. Ended ones are shed when met.
    pub(super) queue: VecDeque<EntryId>,
    /// Entries in memory, those on a bind included.
    pub(super) in_memory: usize,
    /// Of these, what has come back from files and no bind has taken.
    pub(super) returned: usize,
    /// Entries that lie in files and are not in memory.
    pub(super) in_files: usize,
    /// None of these is older.
    pub(super) first: MessageId,
}

impl Line {
    const fn new(sink: Sink) -> Self {
        Self {
            sink,
            queue: VecDeque::new(),
            in_memory: 0,
            returned: 0,
            in_files: 0,
            first: MessageId(0),
        }
    }

    /// Forgets what has ended at its front.
    pub(super) fn shed(&mut self, entries: &Slots<Entry>) {
        while self.queue.front().is_some_and(|id| entries.get(id.0).is_none()) {
            self.queue.pop_front();
        }
    }

    /// The oldest entry that no bind has, or one that none of those in files is older than.
    pub(super) fn oldest(&mut self, entries: &Slots<Entry>) -> Option<MessageId> {
        self.shed(entries);
        let filed = (self.in_files > 0).then_some(self.first);
        let front = self.queue.front().and_then(|id| entries.get(id.0));
        let waits = front.map(|entry| entry.id);
        waits.into_iter().chain(filed).min()
    }

    fn is_idle(&self) -> bool {
        self.in_memory == 0 && self.in_files == 0
    }
}

/// Those of all accounts. An account has a few: of binds with a tag there are as many as its routes name.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<NameId, Vec<Line>>);

impl Lines {
    /// The lines of an account.
    pub(super) fn of(&self, account: NameId) -> &[Line] {
        self.0.get(&account).map_or(&[], Vec::as_slice)
    }

    /// The lines of an account.
    pub(super) fn of_mut(&mut self, account: NameId) -> &mut [Line] {
        self.0.get_mut(&account).map_or(&mut [], Vec::as_mut_slice)
    }

    /// One line, if anything ever stood there.
    pub(super) fn get(&self, of: LineOf) -> Option<&Line> {
        self.of(of.account).iter().find(|line| line.sink == of.sink)
    }

    /// One line, if anything ever stood there.
    pub(super) fn get_mut(&mut self, of: LineOf) -> Option<&mut Line> {
        let mut lines = self.of_mut(of.account).iter_mut();
        lines.find(|line| line.sink == of.sink)
    }

    /// One line. Tags come and go with routes: those for which nothing waits any more make room for a new one.
    pub(super) fn make(&mut self, of: LineOf) -> &mut Line {
        let lines = self.0.entry(of.account).or_default();
        let found = lines.iter().position(|line| line.sink == of.sink);
        let place = found.unwrap_or_else(|| {
            if lines.len() >= KEPT {
                lines.retain(|line| !line.is_idle());
            }
            lines.push(Line::new(of.sink));
            lines.len() - 1
        });
        &mut lines[place]
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NameId, &Line)> {
        let all = self.0.iter();
        all.flat_map(|(account, lines)| lines.iter().map(|line| (*account, line)))
    }
}
