//! Bodies on their way from the PDU that brought them to the one that takes them on, without the disk: those of a batch lie
//! together, and each goes on as a part of these octets.
//!
//! A part that waits holds back all that was in memory with it: a line of messages for a carrier that is down, each of
//! another batch, would keep every one of those batches. So the batches that are still in use are counted, each as large as the
//! memory that it lies in, and beyond [`PINNED_MAX`] a body that is to wait gets a copy of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// Octets of batches that bodies in waiting may hold back.
pub(crate) const PINNED_MAX: usize = 16 << 20;

/// The bodies of the batch that is being staged.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    staged: BytesMut,
    /// Where the memory ends that the last batch lay in, and how large it was. Batches may share it; each is counted with all of
    /// it, which is rather too much.
    end: usize,
    room: usize,
    /// Octets of memory behind the batches that somebody still holds a part of.
    pinned: Arc<AtomicUsize>,
}

/// The octets of one batch. Dropped with the last part of it.
struct Batch {
    octets: Bytes,
    room: usize,
    pinned: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Batch {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.pinned.fetch_sub(self.room, Ordering::Relaxed);
    }
}

impl Hot {
    /// Takes a body in; says where it lies in the batch.
    pub(crate) fn keep(&mut self, body: &[u8]) -> Range<usize> {
        let start = self.staged.len();
        self.staged.extend_from_slice(body);
        start..self.staged.len()
    }

    /// Lets go what was taken in last, from `start` on: it is not staged after all.
    pub(crate) fn forget_from(&mut self, start: usize) {
        self.staged.truncate(start);
    }

    /// All bodies of the batch; the next one begins.
    pub(crate) fn batch(&mut self) -> Bytes {
        let end = self.staged.as_ptr().addr() + self.staged.capacity();
        if end != self.end {
            // Another memory, or the same cut elsewhere: what is in front of a batch is not told.
            (self.end, self.room) = (end, self.staged.capacity().max(self.room / 2));
        }
        let room = self.room;
        let octets = self.staged.split().freeze();
        // The next turn will bring about as much: room for it now, while there is nothing to be moved.
        self.staged.reserve(octets.len());
        if octets.is_empty() {
            return octets;
        }
        self.pinned.fetch_add(room, Ordering::Relaxed);
        let pinned = Arc::clone(&self.pinned);
        Bytes::from_owner(Batch { octets, room, pinned })
    }

    /// A body of a batch, which is to wait: as it is, or a copy of its own where too much is held back already.
    pub(crate) fn to_wait(&self, body: Bytes) -> Bytes {
        if self.pinned.load(Ordering::Relaxed) > PINNED_MAX {
            Bytes::copy_from_slice(&body)
        } else {
            body
        }
    }

    #[cfg(test)]
    pub(crate) fn pinned(&self) -> usize {
        self.pinned.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of one body that waits among others that do not.
    fn one_of_many(hot: &mut Hot, others: usize) -> Bytes {
        let body = hot.keep(&[7; 100]);
        hot.keep(&vec![8; others]);
        let batch = hot.batch();
        let body = hot.to_wait(batch.slice(body));
        assert_eq!(body, [7; 100].as_slice());
        body
    }

    #[test]
    fn what_waits_holds_back_no_more_than_is_said() {
        let mut hot = Hot::default();
        let others = 300_000;
        let waiting: Vec<Bytes> = (0..2_000).map(|_| one_of_many(&mut hot, others)).collect();
        // The batch that is being handed out comes on top.
        assert!(hot.pinned() <= PINNED_MAX + 2 * others, "{}", hot.pinned());
        assert!(hot.pinned() > PINNED_MAX / 2, "{}", hot.pinned());
        assert!(waiting.iter().all(|body| body.len() == 100));
        drop(waiting);
        assert_eq!(hot.pinned(), 0);
    }

    #[test]
    fn batches_that_nobody_holds_are_not_counted_and_their_memory_is_used_again() {
        let mut hot = Hot::default();
        drop(one_of_many(&mut hot, 50_000));
        for _ in 0..100 {
            drop(one_of_many(&mut hot, 50_000));
        }
        assert_eq!(hot.pinned(), 0);
        assert!(hot.staged.capacity() < 400_000, "{}", hot.staged.capacity());
    }

    #[test]
    fn small_batches_count_the_memory_that_a_large_one_has_left_them() {
        let mut hot = Hot::default();
        drop(one_of_many(&mut hot, 1 << 20));
        let waiting: Vec<Bytes> = (0..100).map(|_| one_of_many(&mut hot, 0)).collect();
        // Any of them may be the one that holds the megabyte back: none is told to be small, and most get copies.
        assert!(hot.pinned() > PINNED_MAX / 2, "{}", hot.pinned());
        drop(waiting);
        assert_eq!(hot.pinned(), 0);
    }

    #[test]
    fn what_was_not_staged_after_all_is_not_in_the_batch() {
        let mut hot = Hot::default();
        let first = hot.keep(b"one");
        let second = hot.keep(b"two");
        hot.forget_from(second.start);
        let third = hot.keep(b"three");
        let batch = hot.batch();
        assert_eq!(
            (batch.slice(first), batch.slice(third)),
            (Bytes::from_static(b"one"), Bytes::from_static(b"three"))
        );
        assert!(hot.batch().is_empty(), "the next one has nothing of it");
        drop(batch);
        assert_eq!(hot.pinned(), 0);
    }
}
