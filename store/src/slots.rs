//! Values in numbered slots that are reused; the generation in a number tells an old holder that its value
//! is gone.
//!
//! Slot numbers are small and dense on purpose: lists by date and by segment are threaded through arrays
//! beside the table ([`crate::chain`]), and hash tables hold four octets for each entry.

/// A value's number; never given to another value in this process's life, but for 2^32 reuses of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId {
    slot: u32,
    generation: u32,
}

impl SlotId {
    /// The slot alone, for tables beside this one.
    pub const fn slot(self) -> u32 {
        self.slot
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by [`SlotId`].
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slots<T> {
    /// Octets of memory that a place costs.
    #[cfg(test)]
    pub(crate) const PLACE: usize = size_of::<Slot<T>>();

    /// How many values there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a value in. The caller bounds their count, far below 2^32.
    pub fn insert(&mut self, value: T) -> SlotId {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.value = Some(value);
            return SlotId {
                slot,
                generation: place.generation,
            };
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            value: Some(value),
        });
        SlotId { slot, generation: 0 }
    }

    /// Takes a value out.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let place = self
            .slots
            .get_mut(id.slot as usize)
            .filter(|place| place.generation == id.generation)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.len -= 1;
        Some(value)
    }

    /// A value, unless it is gone.
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let place = self.slots.get(id.slot as usize)?;
        place.value.as_ref().filter(|_| place.generation == id.generation)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let place = self.slots.get_mut(id.slot as usize)?;
        place.value.as_mut().filter(|_| place.generation == id.generation)
    }

    /// What is in a slot now, whoever put it there.
    pub fn at(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    /// The number of what is in a slot now.
    pub fn id_at(&self, slot: u32) -> SlotId {
        SlotId {
            slot,
            generation: self.slots.get(slot as usize).map_or(0, |place| place.generation),
        }
    }

    /// How many places there are, free ones included.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// The values of `count` places from `first` on: whoever goes through all in slices meets each that stays.
    pub fn slice(&self, first: usize, count: usize) -> impl Iterator<Item = (SlotId, &T)> {
        let places = self.slots.get(first..).unwrap_or_default().iter().take(count);
        let numbers = u32::try_from(first).unwrap_or(u32::MAX)..;
        places.zip(numbers).filter_map(|(place, slot)| {
            let generation = place.generation;
            Some((SlotId { slot, generation }, place.value.as_ref()?))
        })
    }

    /// All values, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.slots.iter().zip(0u32..).filter_map(|(place, slot)| {
            Some((
                SlotId {
                    slot,
                    generation: place.generation,
                },
                place.value.as_ref()?,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_does_not_answer_for_its_predecessor() {
        let mut slots = Slots::default();
        let old = slots.insert('a');
        assert_eq!(slots.remove(old), Some('a'));
        let new = slots.insert('b');
        assert_eq!(old.slot(), new.slot(), "slots are reused");
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&'b')));
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.len(), 1);
        assert_eq!((slots.at(new.slot()), slots.id_at(new.slot())), (Some(&'b'), new));
    }

    #[test]
    fn only_what_is_there_is_walked() {
        let mut slots = Slots::default();
        let ids: Vec<SlotId> = ['a', 'b', 'c']
            .into_iter()
            .map(|value| slots.insert(value))
            .collect();
        slots.remove(ids[1]);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(ids[0], &'a'), (ids[2], &'c')]);
    }
}
