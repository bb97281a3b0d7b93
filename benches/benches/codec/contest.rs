//! A contest: one operation over the same octets, done by several implementations.

/// Does the operation as many times as it is told.
pub(crate) type Run = Box<dyn FnMut(u32)>;

/// One implementation.
pub(crate) struct Contestant {
    /// The crate, and what of it where it has several ways.
    pub(crate) who: &'static str,
    /// Whether it is ours.
    pub(crate) ours: bool,
    pub(crate) run: Run,
}

/// One operation.
pub(crate) struct Contest {
    pub(crate) name: String,
    pub(crate) contestants: Vec<Contestant>,
}

impl Contest {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            contestants: Vec::new(),
        }
    }

    /// One of ours; the first of them is what the others are compared with.
    pub(crate) fn ours(self, who: &'static str, once: impl FnMut() + 'static) -> Self {
        self.add(who, true, repeat(once))
    }

    /// Somebody else's.
    pub(crate) fn theirs(self, who: &'static str, once: impl FnMut() + 'static) -> Self {
        self.add(who, false, repeat(once))
    }

    pub(crate) fn add(mut self, who: &'static str, ours: bool, run: Run) -> Self {
        self.contestants.push(Contestant { who, ours, run });
        self
    }
}

/// The loop stands on this side of the call through a pointer: what is measured is compiled as one piece.
fn repeat(mut once: impl FnMut() + 'static) -> Run {
    Box::new(move |times| {
        for _ in 0..times {
            once();
        }
    })
}
