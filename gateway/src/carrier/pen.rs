//! Receipts that overtook the answer to their submit (measured: 12–46 % with several links): they wait,
//! unanswered, for the id to become known.
//!
//! Or it is known in a waiting file. That is asked only of those that have waited a moment: most are early, their
//! answers come within milliseconds, and each question costs a probe per waiting file.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdText;

use crate::dlr::{ReceiptIds, ReceiptNote};
use crate::links::LinkId;

/// How long a receipt waits: nearly all answers come within it (design §4).
pub const PEN_WAIT: Duration = Duration::from_secs(1);
/// How long one waits before the waiting files are asked for it.
pub(super) const ASK_AFTER: Duration = Duration::from_millis(40);
/// Receipts of one carrier that wait at most; behind it they are answered RX_T_APPN.
pub const PEN_MAX: usize = 10_000;

/// A receipt that waits.
#[derive(Clone, Debug)]
pub struct Penned {
    /// Where its answer is owed.
    pub link: LinkId,
    /// Under which number.
    pub sequence: u32,
    /// With which command.
    pub response: CommandId,
    /// What it says.
    pub note: ReceiptNote,
    /// All ids that it names.
    pub ids: ReceiptIds,
}

/// The pen of one carrier.
#[derive(Debug, Default)]
pub struct Pen {
    waiting: HashMap<MessageIdText, VecDeque<Penned>>,
    order: VecDeque<(Duration, MessageIdText)>,
    /// Those for which the waiting files are to be asked, and when.
    to_ask: VecDeque<(Duration, MessageIdText)>,
    len: usize,
}

impl Pen {
    /// Lets a receipt wait until `now + PEN_WAIT`; false when the pen is full. `ask` says whether the waiting files
    /// are still to be asked for it.
    pub fn insert(&mut self, now: Duration, id: MessageIdText, penned: Penned, ask: bool) -> bool {
        // What was taken leaves its date behind for a moment, so the second is held to the bound by itself.
        if self.len >= PEN_MAX || self.to_ask.len() >= PEN_MAX {
            return false;
        }
        if ask {
            self.to_ask.push_back((now + ASK_AFTER, id.clone()));
        }
        self.len += 1;
        self.order.push_back((now + PEN_WAIT, id.clone()));
        self.waiting.entry(id).or_default().push_back(penned);
        true
    }

    /// How many receipts wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits, which is the usual case.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes what waits for an id that has become known.
    pub fn take(&mut self, id: &MessageIdText) -> VecDeque<Penned> {
        let taken = self.waiting.remove(id).unwrap_or_default();
        self.len -= taken.len();
        taken
    }

    /// An id for which the files are to be asked now, with what its first receipt names.
    pub fn next_to_ask(&mut self, now: Duration) -> Option<(MessageIdText, ReceiptIds)> {
        loop {
            if self.to_ask.front()?.0 > now {
                return None;
            }
            let (_, id) = self.to_ask.pop_front()?;
            if let Some(penned) = self.waiting.get(&id).and_then(VecDeque::front) {
                let ids = penned.ids.clone();
                return Some((id, ids));
            }
        }
    }

    /// Takes one receipt whose time is over.
    pub fn take_expired(&mut self, now: Duration) -> Option<Penned> {
        loop {
            let (until, _) = self.order.front()?;
            if *until > now {
                return None;
            }
            let (_, id) = self.order.pop_front()?;
            // Those that were taken meanwhile left only their date behind. Receipts of one id are as old as
            // their dates, so the first that waits is the one whose date this is, or a younger one that
            // then goes a little early.
            let Some(all) = self.waiting.get_mut(&id) else {
                continue;
            };
            let Some(penned) = all.pop_front() else { continue };
            if all.is_empty() {
                self.waiting.remove(&id);
            }
            self.len -= 1;
            return Some(penned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::tests_link_id;
    use tidegate_codec::values::MessageState;

    fn penned(sequence: u32) -> Penned {
        let note = ReceiptNote::new(MessageState::Delivered);
        Penned {
            link: tests_link_id(),
            sequence,
            response: CommandId::DELIVER_SM_RESP,
            note,
            ids: ReceiptIds::new(),
        }
    }

    fn id(text: &[u8]) -> MessageIdText {
        MessageIdText::new(text).unwrap()
    }

    const T0: Duration = Duration::ZERO;

    #[test]
    fn a_receipt_is_taken_by_its_id_once() {
        let mut pen = Pen::default();
        assert!(pen.insert(T0, id(b"1"), penned(1), true));
        assert!(pen.insert(T0, id(b"1"), penned(2), true));
        assert_eq!(pen.take(&id(b"2")).len(), 0);
        assert_eq!(pen.take(&id(b"1")).len(), 2);
        assert!(pen.is_empty() && pen.take(&id(b"1")).is_empty());
        assert!(pen.take_expired(T0 + PEN_WAIT).is_none());
    }

    #[test]
    fn a_receipt_waits_a_second_and_no_longer() {
        let mut pen = Pen::default();
        assert!(pen.insert(T0, id(b"1"), penned(1), true));
        assert!(pen.take_expired(PEN_WAIT - Duration::from_millis(1)).is_none());
        assert_eq!(pen.take_expired(PEN_WAIT).map(|penned| penned.sequence), Some(1));
        assert!(pen.is_empty());
    }

    #[test]
    fn the_files_are_asked_once_for_what_still_waits_after_a_moment() {
        let mut pen = Pen::default();
        assert!(pen.insert(T0, id(b"1"), penned(1), true));
        assert!(pen.insert(T0, id(b"2"), penned(2), true));
        assert!(pen.insert(T0, id(b"3"), penned(3), false));
        assert!(pen.next_to_ask(ASK_AFTER - Duration::from_millis(1)).is_none());
        // The answer to its submit has come.
        assert_eq!(pen.take(&id(b"1")).len(), 1);
        assert_eq!(pen.next_to_ask(ASK_AFTER).map(|(id, _)| id), Some(id(b"2")));
        assert!(pen.next_to_ask(PEN_WAIT).is_none());
        assert_eq!(pen.len(), 2, "to ask takes nothing out");
    }

    #[test]
    fn the_pen_is_bounded() {
        let mut pen = Pen::default();
        for n in 0..PEN_MAX {
            assert!(pen.insert(T0, id(n.to_string().as_bytes()), penned(0), true));
        }
        assert!(!pen.insert(T0, id(b"x"), penned(7), true));
    }
}
