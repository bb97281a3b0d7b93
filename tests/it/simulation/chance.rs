//! Everything that is left to chance in a run comes from its seed, through one of these per actor.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A source of chance.
pub(crate) struct Chance(ChaCha20Rng);

impl Chance {
    /// The source of one actor in the run of `seed`.
    pub(crate) fn new(seed: u64, actor: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(actor);
        Self(rng)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let count = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.below(count)).unwrap()]
    }

    /// So many octets.
    pub(crate) fn octets(&mut self, count: u64) -> Vec<u8> {
        let mut octets = vec![0; usize::try_from(count).unwrap()];
        self.0.fill_bytes(&mut octets);
        octets
    }

    /// The generator itself, for those that take one.
    pub(crate) fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.0
    }
}
