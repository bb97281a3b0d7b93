//! What runs come to, counted.

/// What a run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) submitted: u64,
    pub(crate) taken: u64,
    pub(crate) refused: u64,
    pub(crate) doubtful: u64,
    pub(crate) handed_over: u64,
    pub(crate) doubles: u64,
    pub(crate) dlrs: u64,
    pub(crate) dlrs_again: u64,
    pub(crate) mos: u64,
    pub(crate) cancelled: u64,
    pub(crate) replaced: u64,
    pub(crate) restarts: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) disk_faults: u64,
    pub(crate) clock_steps: u64,
    pub(crate) reloads: u64,
    /// Segments that were made.
    pub(crate) segments: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.submitted, other.submitted),
            (&mut self.taken, other.taken),
            (&mut self.refused, other.refused),
            (&mut self.doubtful, other.doubtful),
            (&mut self.handed_over, other.handed_over),
            (&mut self.doubles, other.doubles),
            (&mut self.dlrs, other.dlrs),
            (&mut self.dlrs_again, other.dlrs_again),
            (&mut self.mos, other.mos),
            (&mut self.cancelled, other.cancelled),
            (&mut self.replaced, other.replaced),
            (&mut self.restarts, other.restarts),
            (&mut self.kills, other.kills),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.disk_faults, other.disk_faults),
            (&mut self.clock_steps, other.clock_steps),
            (&mut self.reloads, other.reloads),
            (&mut self.segments, other.segments),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }
}
