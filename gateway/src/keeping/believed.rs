//! Which time it is for what goes by rules of retention: never earlier than it has been (RET-9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A wall clock that goes forward by more at a time is not believed until an operator says that it is right (RET-9).
pub const JUMP_MAX_MS: u64 = 24 * 3_600_000;

/// The latest time that is believed, shared by all who ask. Cheap to clone; all clones are the same.
///
/// Readers go by the wall clock or by this, whichever is later: a clock that is set back brings nothing back. A clock
/// that has jumped hides what is due by it, but is not kept in mind, so that what it has hidden is there again once it
/// is set right.
#[derive(Clone, Debug, Default)]
pub struct Believed(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen_ms: AtomicU64,
    is_doubted: AtomicBool,
}

impl Believed {
    /// With the latest time that was seen, in unix milliseconds; 0 where nobody knows, and then none is kept in mind.
    pub fn since(seen_ms: u64) -> Self {
        let believed = Self::default();
        believed.0.seen_ms.store(seen_ms, Ordering::Relaxed);
        believed
    }

    /// The latest time that is believed.
    pub fn seen_ms(&self) -> u64 {
        self.0.seen_ms.load(Ordering::Relaxed)
    }

    /// What the time is where the wall clock says this.
    pub fn at(&self, now_ms: u64) -> u64 {
        let seen_ms = self.seen_ms();
        if seen_ms != 0 && now_ms > seen_ms && now_ms - seen_ms <= JUMP_MAX_MS {
            self.raise(now_ms);
        }
        now_ms.max(seen_ms)
    }

    /// It is that late, or later.
    pub(crate) fn raise(&self, now_ms: u64) {
        self.0.seen_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Whether a wall clock that says this is doubted, also where that was not looked at yet.
    pub fn doubts(&self, now_ms: u64) -> bool {
        self.is_doubted() || now_ms.saturating_sub(self.seen_ms()) > JUMP_MAX_MS
    }

    /// Whether the wall clock has jumped and nobody has said yet that it is right.
    pub fn is_doubted(&self) -> bool {
        self.0.is_doubted.load(Ordering::Relaxed)
    }

    pub(crate) fn doubt(&self, is_doubted: bool) {
        self.0.is_doubted.store(is_doubted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_a_jump_is_not_kept_in_mind() {
        let believed = Believed::since(1_000);
        assert_eq!(
            (believed.at(900), believed.at(2_000), believed.at(900)),
            (1_000, 2_000, 2_000)
        );
        let day_on = 2_000 + JUMP_MAX_MS;
        assert_eq!((believed.at(day_on + 1), believed.seen_ms()), (day_on + 1, 2_000));
        assert_eq!(
            (believed.at(day_on), believed.clone().seen_ms()),
            (day_on, day_on)
        );
        let nobody_knows = Believed::since(0);
        assert_eq!((nobody_knows.at(5_000), nobody_knows.seen_ms()), (5_000, 0));
    }
}
