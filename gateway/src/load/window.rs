//! The submits of one connection that wait for their answer.

use std::collections::BTreeMap;

/// A submit that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    /// Which message.
    pub(super) n: u32,
    /// Since when its latency counts, in microseconds.
    pub(super) since: u64,
    /// When it was sent, in microseconds.
    pub(super) sent: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Zero where the slot is free: no PDU of ours has that number.
    sequence: u32,
    flight: Flight,
}

const FREE: Slot = Slot {
    sequence: 0,
    flight: Flight {
        n: 0,
        since: 0,
        sent: 0,
    },
};

/// The last number before 1 comes again (3.4 §5.1.4).
const SEQUENCE_MAX: u32 = 0x7fff_ffff;

/// The window of one connection. A number's slot follows from the number, so that an answer is found by one
/// look, in whichever order answers come.
pub(super) struct Window {
    /// Twice the window, as a power of two: the next free slot is never far.
    slots: Vec<Slot>,
    limit: usize,
    waiting: usize,
    sequence: u32,
    /// Submits that were given up, by their number: an answer may come all the same (interop 36). As many as two
    /// windows hold, at most.
    overdue: BTreeMap<u32, Flight>,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            slots: vec![FREE; (2 * limit).next_power_of_two()],
            limit,
            waiting: 0,
            sequence: 0,
            overdue: BTreeMap::new(),
        }
    }

    /// How many more may be sent.
    pub(super) const fn room(&self) -> usize {
        self.limit.saturating_sub(self.waiting)
    }

    /// How many wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The next number, for any request.
    pub(super) const fn next_sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= SEQUENCE_MAX {
            1
        } else {
            self.sequence + 1
        };
        self.sequence
    }

    /// A submit is sent under the number that this returns. Only while there is room.
    pub(super) fn add(&mut self, flight: Flight) -> u32 {
        loop {
            let sequence = self.next_sequence();
            let slot = self.slot(sequence);
            // Taken by one that waits for a full round already: half of the slots are free.
            if slot.sequence == 0 {
                *slot = Slot { sequence, flight };
                self.waiting += 1;
                return sequence;
            }
        }
    }

    /// The submit with this number was answered; `None` when nobody waits for it.
    pub(super) fn take(&mut self, sequence: u32) -> Option<Flight> {
        let slot = self.slot(sequence);
        if sequence == 0 || slot.sequence != sequence {
            return None;
        }
        slot.sequence = 0;
        let flight = slot.flight;
        self.waiting -= 1;
        Some(flight)
    }

    /// Takes out all that were sent up to this moment, in no particular order.
    pub(super) fn take_sent_until(&mut self, sent: u64) -> impl Iterator<Item = Flight> {
        let waiting = &mut self.waiting;
        self.slots
            .iter_mut()
            .filter(move |slot| slot.sequence != 0 && slot.flight.sent <= sent)
            .map(|slot| {
                slot.sequence = 0;
                *waiting -= 1;
                slot.flight
            })
    }

    /// Gives up all that were sent up to this moment. A late answer to one is still known for what it is.
    pub(super) fn give_up_sent_until(&mut self, sent: u64, mut given_up: impl FnMut(Flight)) {
        for slot in &mut self.slots {
            if slot.sequence != 0 && slot.flight.sent <= sent {
                self.overdue.insert(slot.sequence, slot.flight);
                slot.sequence = 0;
                self.waiting -= 1;
                given_up(slot.flight);
            }
        }
        while self.overdue.len() > 2 * self.limit {
            self.overdue.pop_first();
        }
    }

    /// A submit with this number that was given up before; each once.
    pub(super) fn take_overdue(&mut self, sequence: u32) -> Option<Flight> {
        self.overdue.remove(&sequence)
    }

    fn slot(&mut self, sequence: u32) -> &mut Slot {
        let mask = self.slots.len() - 1;
        &mut self.slots[sequence as usize & mask]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flight(n: u32) -> Flight {
        Flight {
            n,
            since: 0,
            sent: n as u64,
        }
    }

    #[test]
    fn answers_in_any_order_find_their_submit_once() {
        let mut window = Window::new(3);
        let numbers: Vec<u32> = (0..3).map(|n| window.add(flight(n))).collect();
        assert_eq!((numbers.as_slice(), window.room()), (&[1, 2, 3][..], 0));
        assert_eq!(window.take(2), Some(flight(1)));
        for unknown in [2, 0, 4, 1 + 8, u32::MAX] {
            assert_eq!(window.take(unknown), None, "{unknown}");
        }
        assert_eq!((window.room(), window.waiting()), (1, 2));
    }

    #[test]
    fn one_that_is_never_answered_blocks_no_other() {
        let mut window = Window::new(2);
        let stuck = window.add(flight(7));
        for n in 0..1000 {
            let sequence = window.add(flight(n));
            assert_eq!(window.take(sequence), Some(flight(n)));
        }
        assert_eq!(window.take(stuck), Some(flight(7)));
        assert_eq!(window.room(), 2);
    }

    #[test]
    fn the_numbers_begin_anew_behind_the_last() {
        let mut window = Window::new(1);
        window.sequence = SEQUENCE_MAX - 1;
        let last = window.add(flight(1));
        assert_eq!(last, SEQUENCE_MAX);
        assert!(window.take(last).is_some());
        assert_eq!(window.add(flight(2)), 1);
    }

    #[test]
    fn those_that_wait_for_too_long_come_out_and_are_known_when_they_are_answered_late() {
        let mut window = Window::new(4);
        let numbers = [10, 20, 30].map(|n| window.add(flight(n)));
        let mut late = Vec::new();
        window.give_up_sent_until(20, |flight| late.push(flight.n));
        assert_eq!((late.as_slice(), window.waiting()), (&[10, 20][..], 1));
        assert_eq!(window.take(numbers[0]), None);
        assert_eq!(window.take_overdue(numbers[0]), Some(flight(10)));
        assert_eq!(window.take_overdue(numbers[0]), None);
        assert_eq!(window.take_sent_until(u64::MAX).count(), 1);
        assert_eq!(window.room(), 4);
    }

    #[test]
    fn only_the_last_that_were_given_up_are_remembered() {
        let mut window = Window::new(2);
        let numbers: Vec<u32> = (0..20)
            .map(|n| {
                let number = window.add(flight(n));
                window.give_up_sent_until(u64::MAX, |_| {});
                number
            })
            .collect();
        assert_eq!(window.overdue.len(), 4);
        assert_eq!(window.take_overdue(numbers[15]), None);
        assert_eq!(window.take_overdue(numbers[16]), Some(flight(16)));
    }
}
