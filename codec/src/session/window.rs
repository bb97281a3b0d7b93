//! Requests sent and not yet answered, found again by sequence number (SMPP 3.4 §2.8, smpp-session.md §4–5).

use std::collections::VecDeque;

use crate::header::CommandId;
use crate::session::timers::Monotonic;

/// Highest sequence number that we give to a request; behind it comes 1 again (3.4 §3.2).
const SEQUENCE_MAX: u32 = 0x7fff_ffff;

/// Slots of a new ring; a power of two.
const RING_MIN: usize = 4;

/// A request in the window.
#[derive(Debug)]
struct Slot<T> {
    sequence: u32,
    command: CommandId,
    sent: Monotonic,
    ticket: T,
}

/// The window: at most `limit` requests at once. `T` is what the owner wants back with the answer.
///
/// Sequence numbers are given in order, so the ring slot `sequence mod ring size` finds a request
/// without hashing. The ring is at least twice what waits in it, and grows to twice the window, so an idle
/// link holds little; where a slot is still taken by a straggler, the number is skipped, which also keeps
/// the rule that a waiting number is never reused.
#[derive(Debug)]
pub struct Window<T> {
    limit: usize,
    waiting: usize,
    next: u32,
    ring: Vec<Option<Slot<T>>>,
    /// Sequence numbers in the order of sending; answered ones are dropped lazily from the front.
    order: VecDeque<u32>,
}

impl<T> Window<T> {
    /// A window of `limit` requests, at least one.
    pub fn new(limit: usize) -> Self {
        let mut ring = Vec::new();
        ring.resize_with(RING_MIN, || None);
        Self {
            limit: limit.max(1),
            waiting: 0,
            next: 1,
            ring,
            order: VecDeque::new(),
        }
    }

    /// Requests waiting for their answer.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many more may be sent now.
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.waiting)
    }

    /// Changes the limit; what waits beyond a lower one is still answered.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    /// The next free sequence number, for requests that do not count against the window too
    /// (enquire_link, unbind, bind).
    pub fn next_sequence(&mut self) -> u32 {
        loop {
            let sequence = self.next;
            self.next = if sequence == SEQUENCE_MAX { 1 } else { sequence + 1 };
            // At most half of the slots are taken, so this ends.
            if self.ring[self.index(sequence)].is_none() {
                return sequence;
            }
        }
    }

    /// Takes a request in and names its sequence number.
    ///
    /// # Errors
    ///
    /// The window is full; the ticket comes back.
    pub fn insert(&mut self, now: Monotonic, command: CommandId, ticket: T) -> Result<u32, T> {
        if self.room() == 0 {
            return Err(ticket);
        }
        if (self.waiting + 1) * 2 > self.ring.len() {
            self.grow();
        }
        let sequence = self.next_sequence();
        let index = self.index(sequence);
        self.ring[index] = Some(Slot {
            sequence,
            command,
            sent: now,
            ticket,
        });
        self.waiting += 1;
        // Answered numbers are normally shed by `oldest`; should nobody ask for it, they are shed here
        // before the queue outgrows the ring.
        if self.order.len() >= self.ring.len() {
            let ring = &self.ring;
            self.order.retain(|sequence| holds(ring, *sequence));
        }
        self.order.push_back(sequence);
        Ok(sequence)
    }

    /// Whether a request waits that this response answers: its number and its command are both the request's. A
    /// number alone may be a confused peer's own, and a wrong yes would lose the message.
    pub fn awaits(&self, sequence: u32, response: CommandId) -> bool {
        self.ring[self.index(sequence)]
            .as_ref()
            .is_some_and(|slot| slot.sequence == sequence && slot.command.response() == Some(response))
    }

    /// Takes the request with this number out: its ticket and when it was sent.
    pub fn take(&mut self, sequence: u32) -> Option<(T, Monotonic)> {
        let index = self.index(sequence);
        let slot = self.ring[index].take_if(|slot| slot.sequence == sequence)?;
        self.waiting -= 1;
        Some((slot.ticket, slot.sent))
    }

    /// The request that waits longest: its number and when it was sent.
    pub fn oldest(&mut self) -> Option<(u32, Monotonic)> {
        while let Some(&sequence) = self.order.front() {
            match &self.ring[self.index(sequence)] {
                Some(slot) if slot.sequence == sequence => return Some((sequence, slot.sent)),
                _ => self.order.pop_front(),
            };
        }
        None
    }

    /// Hands every waiting ticket back, oldest first: the connection is gone and answers never cross
    /// sessions.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(move || {
            let (sequence, _) = self.oldest()?;
            self.take(sequence).map(|(ticket, _)| ticket)
        })
    }

    /// Doubles the ring. What differs in the old slots differs in the new ones.
    fn grow(&mut self) {
        let mut ring = Vec::new();
        ring.resize_with(self.ring.len() * 2, || None);
        let mask = ring.len() - 1;
        for slot in self.ring.drain(..).flatten() {
            let index = slot.sequence as usize & mask;
            ring[index] = Some(slot);
        }
        self.ring = ring;
    }

    fn index(&self, sequence: u32) -> usize {
        sequence as usize & (self.ring.len() - 1)
    }
}

fn holds<T>(ring: &[Option<Slot<T>>], sequence: u32) -> bool {
    ring[sequence as usize & (ring.len() - 1)]
        .as_ref()
        .is_some_and(|slot| slot.sequence == sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic::ZERO;
    const SUBMIT: CommandId = CommandId::SUBMIT_SM;

    #[test]
    fn a_full_window_gives_the_ticket_back() {
        let mut window = Window::new(2);
        assert_eq!(window.insert(NOW, SUBMIT, 'a'), Ok(1));
        assert_eq!(window.insert(NOW, SUBMIT, 'b'), Ok(2));
        assert_eq!(window.insert(NOW, SUBMIT, 'c'), Err('c'));
        assert_eq!(window.take(1).map(|taken| taken.0), Some('a'));
        assert_eq!(window.take(1).map(|taken| taken.0), None);
        assert_eq!(window.insert(NOW, SUBMIT, 'c'), Ok(3));
    }

    #[test]
    fn a_lowered_limit_lets_nothing_new_in_until_answers_come() {
        let mut window = Window::new(4);
        for ticket in ['a', 'b', 'c'] {
            window.insert(NOW, SUBMIT, ticket).unwrap();
        }
        window.set_limit(2);
        assert_eq!((window.room(), window.insert(NOW, SUBMIT, 'd')), (0, Err('d')));
        window.take(1);
        window.take(2);
        assert_eq!(window.room(), 1);
    }

    #[test]
    fn numbers_wrap_to_one_and_skip_a_straggler() {
        let mut window = Window::new(2);
        assert_eq!(window.insert(NOW, SUBMIT, 'a'), Ok(1));
        window.next = SEQUENCE_MAX;
        assert_eq!(window.insert(NOW, SUBMIT, 'b'), Ok(SEQUENCE_MAX));
        assert!(window.take(SEQUENCE_MAX).is_some());
        // 1 still waits, so it is not given again.
        assert_eq!(window.insert(NOW, SUBMIT, 'c'), Ok(2));
    }

    #[test]
    fn numbers_that_wait_are_given_again_in_no_lap() {
        let mut window = Window::new(100);
        window.next = SEQUENCE_MAX - 150;
        let mut waiting = Vec::new();
        for step in 0..400_usize {
            let sequence = window.insert(NOW, SUBMIT, step).unwrap();
            assert!((1..=SEQUENCE_MAX).contains(&sequence), "{sequence:#x}");
            assert!(!waiting.contains(&sequence), "{sequence:#x} still waits");
            waiting.push(sequence);
            if waiting.len() == 100 {
                // Every seventh stays for good.
                waiting.retain(|sequence| sequence % 7 == 0 || window.take(*sequence).is_none());
            }
            let other = window.next_sequence();
            assert!(other > 0 && !waiting.contains(&other), "{other:#x} still waits");
            // Back before the seam, where stragglers of the lap before still wait.
            if step % 50 == 49 {
                window.next = SEQUENCE_MAX - 20;
            }
        }
        assert_eq!(window.waiting(), waiting.len());
    }

    #[test]
    fn a_response_is_awaited_by_number_and_command() {
        let mut window = Window::new(2);
        let sequence = window.insert(NOW, SUBMIT, ()).unwrap();
        assert!(window.awaits(sequence, CommandId::SUBMIT_SM_RESP));
        for (number, response) in [
            (sequence, CommandId::DELIVER_SM_RESP),
            (sequence, CommandId::GENERIC_NACK),
            (sequence, SUBMIT),
            (sequence + 1, CommandId::SUBMIT_SM_RESP),
            (sequence + 4, CommandId::SUBMIT_SM_RESP),
        ] {
            assert!(!window.awaits(number, response), "{number} {response}");
        }
    }

    #[test]
    fn a_number_of_another_lap_finds_nothing() {
        let mut window = Window::new(2);
        assert_eq!(window.insert(NOW, SUBMIT, 'a'), Ok(1));
        assert!(window.take(1 + 4).is_none());
        assert!(window.take(0xffff_fff1).is_none());
        assert_eq!(window.waiting(), 1);
    }

    #[test]
    fn the_order_queue_stays_bounded_when_nobody_asks_for_the_oldest() {
        let mut window = Window::new(100);
        for _ in 0..10_000 {
            let sequence = window.insert(NOW, SUBMIT, ()).unwrap();
            assert!(window.take(sequence).is_some());
        }
        assert_eq!(
            window.ring.len(),
            RING_MIN,
            "one request at a time needs no larger ring"
        );
        assert!(window.order.len() <= window.ring.len());
    }

    #[test]
    fn draining_hands_back_what_waits_oldest_first() {
        let mut window = Window::new(8);
        for ticket in 0..5 {
            window.insert(NOW, SUBMIT, ticket).unwrap();
        }
        window.take(2);
        assert_eq!(window.drain().collect::<Vec<_>>(), [0, 2, 3, 4]);
        assert_eq!(window.waiting(), 0);
    }
}
