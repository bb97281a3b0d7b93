//! Parts that accounts have used, by day and month: what quotas are held against, exact over a crash.
//!
//! A batch says itself what its new legs count as, in one [record](crate::record::Kind::Counted) for each account and
//! period, so that what is on disk counts and what is not does not. Copies, changes and ends of legs count nothing.
//! A [footer](crate::spool) repeats the sums of its segment. Before a segment goes, a *snapshot* that holds its sums
//! is synced; it names the last segment that it counts, and a start adds what later ones say. So each part counts
//! once, whatever was copied forward and wherever a process was cut off.
//!
//! In memory a leg counts from the moment it is staged, and no more when its batch does not reach the disk: a quota of
//! N admits N, within one batch as well.
//!
//! Of each account the two newest days and months that something was counted in are kept, so that a clock that is set
//! back over midnight finds what it left.

mod files;
mod recount;

use std::collections::BTreeMap;

pub(crate) use files::{Snapshot, UsageFiles};
pub use recount::{AccountUsage, recount};

use crate::names::{NameId, Names};
use crate::spool::Part;

/// A day and a month in which parts count, as numbers that only the caller understands: of which calendar and zone
/// they are does not matter here, but later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period {
    /// The day.
    pub day: u32,
    /// The month.
    pub month: u32,
}

/// What an account has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Parts of the day.
    pub day: u64,
    /// Parts of the month.
    pub month: u64,
}

/// Parts that count in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// In which.
    pub period: Period,
    /// How many.
    pub parts: u64,
}

/// What an account's new legs of one batch count as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StagedCount {
    pub(crate) account: NameId,
    pub(crate) counted: Counted,
    /// Of these, parts of legs that are staged again when the disk is full.
    kept: u64,
}

impl StagedCount {
    /// The part that a full disk gives back.
    pub(crate) const fn intake(&self) -> Counted {
        Counted {
            period: self.counted.period,
            parts: self.counted.parts - self.kept,
        }
    }

    /// Leaves the part that is staged again; `false` when there is none.
    pub(crate) const fn keep_endings(&mut self) -> bool {
        self.counted.parts = self.kept;
        self.kept > 0
    }
}

/// Parts of the day, or month, of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    number: u32,
    parts: u64,
}

/// The two newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slots([Slot; 2]);

impl Slots {
    fn of(&self, number: u32) -> u64 {
        let Self([one, other]) = self;
        match number {
            _ if one.number == number => one.parts,
            _ if other.number == number => other.parts,
            _ => 0,
        }
    }

    /// The place of a number; the older one makes room for one that has none.
    fn place(&mut self, number: u32) -> &mut u64 {
        let Self([one, other]) = self;
        let slot = if one.number == number || (other.number != number && one.number < other.number) {
            one
        } else {
            other
        };
        if slot.number != number {
            *slot = Slot { number, parts: 0 };
        }
        &mut slot.parts
    }

    fn newest(&self) -> u32 {
        let Self([one, other]) = self;
        one.number.max(other.number)
    }
}

/// What one account has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    days: Slots,
    months: Slots,
}

impl Totals {
    fn used(&self, period: Period) -> Used {
        Used {
            day: self.days.of(period.day),
            month: self.months.of(period.month),
        }
    }

    fn add(&mut self, Counted { period, parts }: Counted) {
        for place in [self.days.place(period.day), self.months.place(period.month)] {
            *place = place.saturating_add(parts);
        }
    }

    fn take(&mut self, Counted { period, parts }: Counted) {
        for place in [self.days.place(period.day), self.months.place(period.month)] {
            *place = place.saturating_sub(parts);
        }
    }

    /// Whether it says anything of a day that is not long over. The days of the caller's zones are within one of ours.
    fn is_recent(&self, now_ms: u64) -> bool {
        let newest = u64::from(self.days.newest());
        newest > 0 && newest + KEPT_DAYS >= now_ms / DAY_MS
    }
}

const DAY_MS: u64 = 86_400_000;
/// What was counted last so many days ago is of neither this month nor the one before it.
const KEPT_DAYS: u64 = 63;

/// Totals by the number of a name, of which there are 65 535 at most.
#[derive(Debug, Default)]
struct Table(Vec<Totals>);

impl Table {
    fn of(&self, account: NameId) -> Totals {
        self.0.get(usize::from(account.0)).copied().unwrap_or_default()
    }

    fn place(&mut self, account: NameId) -> &mut Totals {
        let place = usize::from(account.0);
        if self.0.len() <= place {
            self.0.resize(place + 1, Totals::default());
        }
        &mut self.0[place]
    }
}

/// The counts in memory.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// All: on disk, on its way and staged.
    all: Table,
    /// Of closed segments.
    closed: Table,
    /// Of what the active segment holds on disk.
    active: BTreeMap<(NameId, Period), u64>,
    /// By account, where its count stands in the batch that is staged; checked before it is believed.
    staged_at: Vec<u32>,
    /// The last segment that the synced snapshot counts.
    saved: u64,
}

impl Usage {
    pub(crate) fn used(&self, account: NameId, period: Period) -> Used {
        self.all.of(account).used(period)
    }

    /// What is remembered of an account: days, months.
    #[cfg(test)]
    pub(crate) fn slots(&self, account: NameId) -> [BTreeMap<u32, u64>; 2] {
        let Totals { days, months } = self.all.of(account);
        [days, months].map(|Slots(slots)| {
            let used = slots.into_iter().filter(|slot| slot.parts > 0);
            used.map(|slot| (slot.number, slot.parts)).collect()
        })
    }

    pub(crate) const fn saved(&self) -> u64 {
        self.saved
    }

    pub(crate) fn set_saved(&mut self, segment: u64) {
        self.saved = self.saved.max(segment);
    }

    // ===== while a start reads =====

    /// What a snapshot holds of an account.
    pub(crate) fn restore(&mut self, account: NameId, totals: Totals) {
        *self.all.place(account) = totals;
        *self.closed.place(account) = totals;
    }

    /// What a segment of an earlier process says.
    pub(crate) fn found(&mut self, account: NameId, counted: Counted) {
        self.all.place(account).add(counted);
        self.closed.place(account).add(counted);
    }

    // ===== one batch after the other =====

    /// Counts a leg that is staged, in `staged` as well.
    pub(crate) fn stage(
        &mut self,
        staged: &mut Vec<StagedCount>,
        account: NameId,
        counted: Counted,
        part: Part,
    ) {
        self.all.place(account).add(counted);
        let kept = if part == Part::Ending { counted.parts } else { 0 };
        let place = usize::from(account.0);
        if self.staged_at.len() <= place {
            self.staged_at.resize(place + 1, u32::MAX);
        }
        let at = &mut self.staged_at[place];
        match staged.get_mut(*at as usize) {
            Some(found) if found.account == account && found.counted.period == counted.period => {
                found.counted.parts += counted.parts;
                found.kept += kept;
            }
            _ => {
                *at = u32::try_from(staged.len()).unwrap_or(u32::MAX);
                staged.push(StagedCount {
                    account,
                    counted,
                    kept,
                });
            }
        }
    }

    /// What was staged is on disk.
    pub(crate) fn synced(&mut self, count: &StagedCount) {
        let StagedCount {
            account,
            counted: Counted { period, parts },
            ..
        } = *count;
        *self.active.entry((account, period)).or_default() += parts;
    }

    /// What was staged will not be there.
    pub(crate) fn take_back(&mut self, account: NameId, counted: Counted) {
        self.all.place(account).take(counted);
    }

    /// The active segment is closed: what it counts, for its footer.
    pub(crate) fn close(&mut self) -> Vec<(NameId, Counted)> {
        let active = std::mem::take(&mut self.active).into_iter();
        let counts: Vec<_> = active
            .map(|((account, period), parts)| (account, Counted { period, parts }))
            .collect();
        for (account, counted) in &counts {
            self.closed.place(*account).add(*counted);
        }
        counts
    }

    /// All that closed segments count, `segment` being the newest of them; but for what is long over.
    pub(crate) fn snapshot(&self, names: &Names, segment: u64, now_ms: u64) -> Snapshot {
        let of = |(place, totals): (usize, &Totals)| {
            let name = names.name(NameId(u16::try_from(place).ok()?));
            (!name.is_empty()).then(|| (name.to_owned(), *totals))
        };
        let recent = |(_, totals): &(usize, &Totals)| totals.is_recent(now_ms);
        Snapshot {
            segment,
            accounts: self
                .closed
                .0
                .iter()
                .enumerate()
                .filter(recent)
                .filter_map(of)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(day: u32, month: u32, parts: u64) -> Counted {
        Counted {
            period: Period { day, month },
            parts,
        }
    }

    #[test]
    fn a_new_day_begins_at_nothing_and_the_one_before_stays_for_a_clock_that_is_set_back() {
        let mut totals = Totals::default();
        totals.add(counted(10, 1, 5));
        totals.add(counted(11, 1, 2));
        assert_eq!(
            totals.used(Period { day: 10, month: 1 }),
            Used { day: 5, month: 7 }
        );
        assert_eq!(
            totals.used(Period { day: 11, month: 1 }),
            Used { day: 2, month: 7 }
        );
        totals.add(counted(12, 2, 1));
        assert_eq!(
            totals.used(Period { day: 10, month: 1 }),
            Used { day: 0, month: 7 }
        );
        assert_eq!(
            totals.used(Period { day: 11, month: 1 }),
            Used { day: 2, month: 7 }
        );
        assert_eq!(
            totals.used(Period { day: 12, month: 2 }),
            Used { day: 1, month: 1 }
        );
        totals.add(counted(11, 1, 1));
        assert_eq!(
            totals.used(Period { day: 11, month: 1 }),
            Used { day: 3, month: 8 }
        );
    }

    #[test]
    fn a_count_that_is_given_back_leaves_what_else_was_staged() {
        let (mut usage, mut staged) = (Usage::default(), Vec::new());
        let (load, bank) = (NameId(0), NameId(3));
        let day = Period { day: 9, month: 1 };
        for (account, part) in [
            (load, Part::Intake),
            (bank, Part::Intake),
            (load, Part::Ending),
            (load, Part::Intake),
        ] {
            usage.stage(&mut staged, account, counted(9, 1, 2), part);
        }
        assert_eq!(staged.len(), 2, "one record for each account");
        assert_eq!(usage.used(load, day).day, 6);
        for count in &staged {
            usage.take_back(count.account, count.intake());
        }
        staged.retain_mut(StagedCount::keep_endings);
        assert_eq!((usage.used(load, day).day, usage.used(bank, day).month), (2, 0));
        // The place that was remembered is another account's now, or nobody's.
        usage.stage(&mut staged, bank, counted(9, 1, 1), Part::Intake);
        assert_eq!(
            staged.iter().map(|count| count.counted.parts).collect::<Vec<_>>(),
            [2, 1]
        );
    }

    #[test]
    fn a_snapshot_leaves_out_what_is_long_over_and_who_was_never_counted() {
        let mut names = Names::default();
        let (load, sink, bank) = (
            names.intern("load").unwrap(),
            names.intern("sink").unwrap(),
            names.intern("bank").unwrap(),
        );
        assert_eq!(sink.0, 1, "a carrier between two accounts");
        let mut usage = Usage::default();
        usage.found(load, counted(100, 3, 1));
        usage.found(bank, counted(100 + 64, 5, 1));
        let held = |day: u64| {
            let accounts = usage.snapshot(&names, 4, day * DAY_MS).accounts;
            accounts.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(held(163), ["load", "bank"]);
        assert_eq!(held(164), ["bank"]);
    }
}
