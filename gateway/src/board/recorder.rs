//! The loop's side: notes every second, and puts together what is shown.

use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Disk;

use super::Board;
use super::counts::{AccountCounts, CarrierCounts, GateCounts, Grows as _, States, statuses};
use super::history::{History, MINUTES, Minutes, POINT_EVERY, POINTS, Point};
use super::ring::Ring;
use super::rows::{AccountRow, CarrierRow, Marks, RECENT, SECONDS, Spreads, rate};
use crate::clock::Now;
use crate::gate::Gate;
use crate::http::Health;
use crate::measured::Measured;
use crate::telemetry::histogram::{Short, Spread};

/// The publishing that drives this comes four times as often, and never quite in time.
const SECOND: Duration = Duration::from_millis(900);
const MINUTE: Duration = Duration::from_secs(60);
/// Histograms are noted so often; what is shown spans one to two of it.
const SPREAD_EVERY: Duration = Duration::from_secs(30);

/// See the [module](super).
pub struct Recorder {
    pub(super) board: Arc<Board>,
    pub(super) health: Arc<Health>,
    /// Whether the start found damage.
    pub(super) is_damaged: bool,
    pub(super) started: Duration,
    pub(super) last: Duration,
    pub(super) minute: Duration,
    pub(super) point: Duration,
    pub(super) spread: Duration,
    pub(super) seconds: Ring<Duration, SECONDS>,
    pub(super) accounts: Vec<AccountRow>,
    pub(super) carriers: Vec<CarrierRow>,
    pub(super) account_counts: Vec<AccountCounts>,
    pub(super) carrier_counts: Vec<CarrierCounts>,
    pub(super) gate: Marks<GateCounts>,
    pub(super) states: Marks<States>,
    pub(super) syncs: Spreads<Spread<Short>>,
    /// By minute: what was answered to ESMEs, and by carriers.
    pub(super) statuses: Ring<[Vec<(CommandStatus, u64)>; 2], RECENT>,
    pub(super) points: Ring<Point, POINTS>,
    pub(super) at_point: (AccountCounts, u64),
    pub(super) history: Arc<History>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.board.end();
    }
}

impl Recorder {
    /// Nothing noted yet.
    pub fn new(board: Arc<Board>, health: Arc<Health>, is_damaged: bool, now: Now) -> Self {
        let mut seconds = Ring::default();
        (0..SECONDS).for_each(|_| seconds.push(now.monotonic));
        let mut statuses = Ring::default();
        (0..RECENT).for_each(|_| statuses.push([Vec::new(), Vec::new()]));
        let at = now.monotonic;
        Self {
            board,
            health,
            is_damaged,
            started: at,
            last: at,
            minute: at,
            point: at,
            spread: at,
            seconds,
            accounts: Vec::new(),
            carriers: Vec::new(),
            account_counts: Vec::new(),
            carrier_counts: Vec::new(),
            gate: Marks::default(),
            states: Marks::default(),
            syncs: Spreads::default(),
            statuses,
            points: Ring::default(),
            at_point: Default::default(),
            history: Arc::new(History::new(&Ring::default(), Vec::new(), Vec::new())),
        }
    }

    /// Octets that are kept for so many accounts and carriers, whether or not anybody watches.
    pub const fn octets(accounts: usize, carriers: usize) -> usize {
        // Of each row also the minutes that are shown, which are a copy.
        let account = size_of::<AccountRow>()
            + (SECONDS + RECENT + 1) * size_of::<AccountCounts>()
            + 2 * MINUTES * size_of::<f32>();
        let carrier = size_of::<CarrierRow>()
            + (SECONDS + RECENT + 1) * size_of::<CarrierCounts>()
            + 2 * MINUTES * size_of::<f32>();
        let statuses = 2 * RECENT * CommandStatus::ALL.len() * size_of::<(CommandStatus, u64)>();
        let points = 2 * POINTS * size_of::<Point>();
        let own = size_of::<Self>() + (SECONDS + RECENT) * (size_of::<GateCounts>() + size_of::<States>());
        accounts * account + carriers * carrier + statuses + points + own
    }

    /// To be called a few times a second with what was just published; does its work once a second.
    pub fn note<D: Disk>(&mut self, gate: &Gate<D>, measured: &Measured, now: Now) {
        if now.monotonic.saturating_sub(self.last) < SECOND {
            return;
        }
        self.last = now.monotonic;
        self.count(gate);
        if self.board.is_watched(now) {
            let shot = self.shot(gate, measured, now);
            self.board.show(shot);
        }
        self.keep(gate, measured, now);
    }

    /// Sums up the tallies of this moment.
    fn count<D: Disk>(&mut self, gate: &Gate<D>) {
        self.accounts
            .resize_with(gate.accounts().len(), AccountRow::default);
        self.carriers
            .resize_with(gate.carriers().len(), CarrierRow::default);
        self.account_counts.clear();
        let accounts = gate.accounts().iter();
        self.account_counts
            .extend(accounts.map(|state| AccountCounts::of(&state.tally)));
        self.carrier_counts.clear();
        let carriers = gate.carriers().iter();
        self.carrier_counts
            .extend(carriers.map(|state| CarrierCounts::of(&state.tally)));
    }

    /// Keeps what later seconds are measured against.
    fn keep<D: Disk>(&mut self, gate: &Gate<D>, measured: &Measured, now: Now) {
        let span = now.monotonic.saturating_sub(self.minute);
        let is_minute = span >= MINUTE;
        let is_spread = is_due(&mut self.spread, SPREAD_EVERY, now);
        for ((row, counts), state) in self
            .accounts
            .iter_mut()
            .zip(&self.account_counts)
            .zip(gate.accounts())
        {
            if is_minute {
                row.minutes
                    .push(per_second(row.marks.in_minute(counts).accepted, span));
            }
            row.marks.note(*counts, is_minute);
            if is_spread {
                row.turn(&state.tally);
            }
        }
        let carriers = self
            .carriers
            .iter_mut()
            .zip(&self.carrier_counts)
            .zip(gate.carriers());
        for (((row, counts), state), measured) in carriers.zip(&measured.carriers) {
            if is_minute {
                row.minutes
                    .push(per_second(row.marks.in_minute(counts).accepted, span));
            }
            row.marks.note(*counts, is_minute);
            if is_spread {
                row.turn(&state.tally);
            }
            let is_down = measured.wanted > 0 && state.bound.is_empty();
            row.down_since = is_down.then(|| row.down_since.unwrap_or(now.monotonic));
        }
        self.gate.note(GateCounts::of(gate.tally()), is_minute);
        self.states.note(states(gate), is_minute);
        self.seconds.push(now.monotonic);
        if is_spread {
            self.syncs.turn(&gate.tally().sync);
        }
        if is_minute {
            self.minute = now.monotonic;
            self.statuses.push(all_statuses(gate));
        }
        if now.monotonic.saturating_sub(self.point) >= POINT_EVERY || is_minute {
            self.add_point(gate, measured, now);
        }
    }

    fn add_point<D: Disk>(&mut self, gate: &Gate<D>, measured: &Measured, now: Now) {
        let span = now.monotonic.saturating_sub(self.point);
        let (sum, opt_outs) = (
            sum_of(&self.account_counts),
            GateCounts::of(gate.tally()).opt_outs,
        );
        let added = sum.since(&self.at_point.0);
        self.points.push(Point {
            at_s: now.unix_ms / 1_000,
            accepted: per_second(added.accepted, span),
            delivered: per_second(added.delivered, span),
            refused: per_second(added.refused, span),
            mo: per_second(added.mos, span),
            queue: queue(measured),
            opt_outs: opt_outs.saturating_sub(self.at_point.1),
        });
        self.at_point = (sum, opt_outs);
        self.point = now.monotonic;
        let minutes = |minutes: &Minutes| minutes.iter().copied().collect();
        let accounts = self.accounts.iter().map(|row| minutes(&row.minutes)).collect();
        let carriers = self.carriers.iter().map(|row| minutes(&row.minutes)).collect();
        self.history = Arc::new(History::new(&self.points, accounts, carriers));
    }
}

fn is_due(last: &mut Duration, every: Duration, now: Now) -> bool {
    let is_due = now.monotonic.saturating_sub(*last) >= every;
    if is_due {
        *last = now.monotonic;
    }
    is_due
}

pub(super) fn queue(measured: &Measured) -> usize {
    measured.carriers.iter().map(|carrier| carrier.queue).sum()
}

fn sum_of(counts: &[AccountCounts]) -> AccountCounts {
    counts
        .iter()
        .fold(AccountCounts::default(), |sum, counts| sum.plus(counts))
}

/// A rate with what a point has room for.
#[expect(clippy::cast_possible_truncation, reason = "a rate to seven digits")]
fn per_second(count: u64, span: Duration) -> f32 {
    rate(count, span) as f32
}

pub(super) fn states<D: Disk>(gate: &Gate<D>) -> States {
    let mut sum = States::default();
    for state in gate.carriers() {
        sum = sum.plus(&States::of(&state.tally));
    }
    sum
}

pub(super) fn all_statuses<D: Disk>(gate: &Gate<D>) -> [Vec<(CommandStatus, u64)>; 2] {
    [
        statuses(gate.accounts().iter().map(|state| &state.tally.refused)),
        statuses(gate.carriers().iter().map(|state| &state.tally.statuses)),
    ]
}
