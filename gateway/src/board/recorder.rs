//! The loop's side: notes every second, and puts together what is shown.

use std::mem::size_of;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_config::AccountState as Configured;
use tidegate_store::disk::Disk;
use tidegate_store::spool::Refused;

use super::Board;
use super::alarms::{self, Seen};
use super::counts::{AccountCounts, CarrierCounts, GateCounts, Grows as _, States, statuses};
use super::history::{History, MINUTES, Minutes, POINT_EVERY, POINTS, Point};
use super::ring::Ring;
use super::rows::{AccountRow, CarrierRow, Marks, RECENT, SECONDS, Spreads, long, rate, rounded, short};
use super::shot::{Account, Carrier, Shot, Times, Totals};
use crate::clock::Now;
use crate::gate::Gate;
use crate::http::Health;
use crate::measured::Measured;
use crate::telemetry::histogram::{Short, Spread};
use crate::telemetry::state_label;

/// The publishing that drives this comes four times as often, and never quite in time.
const SECOND: Duration = Duration::from_millis(900);
const MINUTE: Duration = Duration::from_secs(60);
/// Histograms are noted so often; what is shown spans one to two of it.
const SPREAD_EVERY: Duration = Duration::from_secs(30);
/// Statuses that are told of each side.
const STATUSES_MAX: usize = 8;

/// See the [module](super).
pub struct Recorder {
    board: Arc<Board>,
    health: Arc<Health>,
    /// Whether the start found damage.
    is_damaged: bool,
    started: Duration,
    last: Duration,
    minute: Duration,
    point: Duration,
    spread: Duration,
    seconds: Ring<Duration, SECONDS>,
    accounts: Vec<AccountRow>,
    carriers: Vec<CarrierRow>,
    account_counts: Vec<AccountCounts>,
    carrier_counts: Vec<CarrierCounts>,
    gate: Marks<GateCounts>,
    states: Marks<States>,
    syncs: Spreads<Spread<Short>>,
    /// By minute: what was answered to ESMEs, and by carriers.
    statuses: Ring<[Vec<(CommandStatus, u64)>; 2], RECENT>,
    points: Ring<Point, POINTS>,
    at_point: (AccountCounts, u64),
    history: Arc<History>,
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
            history: Arc::default(),
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

    fn shot<D: Disk>(&self, gate: &Gate<D>, measured: &Measured, now: Now) -> Shot {
        let span = self
            .seconds
            .oldest()
            .map_or(Duration::ZERO, |then| now.monotonic.saturating_sub(*then));
        let accounts: Vec<Account> = (0..gate.accounts().len())
            .map(|place| self.account(gate, measured, place, span))
            .collect();
        let carriers: Vec<Carrier> = (0..gate.carriers().len())
            .map(|place| self.carrier(gate, measured, place, span, now))
            .collect();
        let totals = self.totals(gate, measured, (&accounts, &carriers), span, now);
        let gate_counts = self.gate.recently(&GateCounts::of(gate.tally()));
        let seen = Seen {
            is_audit_failing: self.health.is_audit_failing(),
            is_damaged: self.is_damaged || gate.tally().unreadable > 0,
            broken_10m: gate_counts.broken,
            full_10m: gate_counts.full,
            certificates: gate.certificates(),
            now_s: now.unix_ms / 1_000,
        };
        let (alarms, more_alarms) = alarms::alarms(&totals, &accounts, &carriers, &seen);
        Shot {
            at_ms: now.unix_ms,
            version: env!("CARGO_PKG_VERSION"),
            up_for_s: now.monotonic.saturating_sub(self.started).as_secs(),
            alarms,
            more_alarms,
            totals,
            accounts,
            carriers,
            point: self.points.iter().last().copied(),
            taken: now.monotonic,
            history: Arc::clone(&self.history),
            json: OnceLock::new(),
        }
    }

    fn account<D: Disk>(&self, gate: &Gate<D>, measured: &Measured, place: usize, span: Duration) -> Account {
        let (state, config) = (&gate.accounts()[place], &gate.config().accounts[place]);
        let (row, counts) = (&self.accounts[place], &self.account_counts[place]);
        let now = measured.accounts.get(place).copied().unwrap_or_default();
        let (lately, recently) = (row.marks.lately(counts), row.marks.recently(counts));
        let (handover, receipt) = row.spreads.old();
        let is_bound = now.bound.iter().sum::<usize>() > 0;
        let health = match config.state {
            _ if state.removed => "removed",
            Configured::Suspended => "suspended",
            _ if recently.overflow > 0 => "overflow",
            Configured::Closing => "closing",
            Configured::Active if is_bound => "bound",
            Configured::Active => "unbound",
        };
        Account {
            name: config.system_id.as_str().to_owned(),
            health,
            binds: now.bound,
            max_binds: config.max_binds,
            window: now.window,
            accepted_s: rate(lately.accepted, span),
            delivered_s: rate(lately.delivered, span),
            refused_s: rate(lately.refused, span),
            receipts_s: rate(lately.dlrs, span),
            mo_s: rate(lately.mos, span),
            unfinished: now.unfinished,
            oldest_ms: measured.account_oldest_ms.get(place).copied().unwrap_or_default(),
            outbox: now.outbox,
            handover: long(&state.tally.handover, handover),
            receipt: long(&state.tally.receipt, receipt),
            accepted_10m: recently.accepted,
            refused_10m: recently.refused,
            throttled_10m: recently.throttled,
            standing_refused_10m: recently.standing,
            opted_out_refused_10m: recently.opted_out,
            delivered_10m: recently.delivered,
            failed_10m: recently.failed,
            retries_10m: recently.retries,
            overflow_10m: recently.overflow,
            used: [now.used.day, now.used.month],
        }
    }

    fn carrier<D: Disk>(
        &self,
        gate: &Gate<D>,
        measured: &Measured,
        place: usize,
        span: Duration,
        now: Now,
    ) -> Carrier {
        let (state, config) = (&gate.carriers()[place], &gate.config().carriers[place]);
        let (row, counts) = (&self.carriers[place], &self.carrier_counts[place]);
        let measure = measured.carriers.get(place).copied().unwrap_or_default();
        let (lately, recently) = (row.marks.lately(counts), row.marks.recently(counts));
        let (response, receipt) = row.spreads.old();
        let down_for = row
            .down_since
            .map(|since| now.monotonic.saturating_sub(since).as_secs());
        let mut carrier = Carrier {
            name: config.name.as_str().to_owned(),
            health: "up",
            links: [measure.bound.iter().sum(), measure.wanted],
            down_for_s: down_for,
            window: measure.window,
            handed_over_s: rate(lately.accepted, span),
            delivered_s: rate(lately.delivered, span),
            mo_s: rate(lately.mos, span),
            queue: measure.queue,
            oldest_ms: measured.carrier_oldest_ms.get(place).copied().unwrap_or_default(),
            response: short(&state.tally.response, response),
            receipt: long(&state.tally.receipt, receipt),
            answers_10m: recently.answers,
            refused_10m: recently.refused,
            unanswered_10m: recently.unanswered,
            slowed_10m: recently.slow,
            retries_10m: recently.retries,
            delivered_10m: recently.delivered,
            failed_10m: recently.failed,
        };
        let [bound, wanted] = carrier.links;
        carrier.health = match () {
            () if state.removed => "removed",
            () if alarms::is_down(&carrier) => "down",
            () if alarms::is_refusing(&carrier) => "refuses",
            () if bound < wanted => "degraded",
            () if measure.is_slowed => "slowed",
            () => "up",
        };
        carrier
    }

    fn totals<D: Disk>(
        &self,
        gate: &Gate<D>,
        measured: &Measured,
        (accounts, carriers): (&[Account], &[Carrier]),
        span: Duration,
        now: Now,
    ) -> Totals {
        let sum = |of: fn(&Account) -> f64| rounded(accounts.iter().map(of).sum());
        let account = |of: fn(&Account) -> u64| accounts.iter().map(of).sum();
        let carrier = |of: fn(&Carrier) -> u64| carriers.iter().map(of).sum();
        let counts = GateCounts::of(gate.tally());
        let (recently, lately) = (self.gate.recently(&counts), self.gate.lately(&counts));
        let failed = self.account_counts.iter().zip(&self.accounts);
        let failed = failed.map(|(counts, row)| row.marks.lately(counts).failed).sum();
        let (spool, standing) = (gate.spool(), gate.spool().standing());
        let links = carriers.iter().fold([0, 0], |[bound, wanted], carrier| {
            [bound + carrier.links[0], wanted + carrier.links[1]]
        });
        let [refusals, errors] = self.statuses_since(gate);
        Totals {
            accepted_s: sum(|account| account.accepted_s),
            handed_over_s: rounded(carriers.iter().map(|carrier| carrier.handed_over_s).sum()),
            delivered_s: sum(|account| account.delivered_s),
            failed_s: rate(failed, span),
            refused_s: sum(|account| account.refused_s),
            receipts_s: sum(|account| account.receipts_s),
            mo_s: sum(|account| account.mo_s),
            queue: queue(measured),
            oldest_ms: measured
                .carrier_oldest_ms
                .iter()
                .copied()
                .max()
                .unwrap_or_default(),
            unfinished: spool.index().len() as u64 + spool.waiting().legs,
            outbox: spool.outbox().len(),
            binds: accounts.iter().flat_map(|account| account.binds).sum(),
            links,
            connections: gate.esme_links(),
            accepted_10m: account(|account| account.accepted_10m),
            refused_10m: account(|account| account.refused_10m),
            throttled_10m: account(|account| account.throttled_10m),
            standing_refused_10m: account(|account| account.standing_refused_10m),
            opted_out_refused_10m: account(|account| account.opted_out_refused_10m),
            slowed_10m: carrier(|carrier| carrier.slowed_10m),
            errors_10m: carrier(|carrier| carrier.refused_10m + carrier.unanswered_10m),
            retries_10m: carrier(|carrier| carrier.retries_10m),
            opt_outs_10m: recently.opt_outs,
            connections_refused_10m: recently.connections_refused,
            opt_outs: standing.opt_outs().len(),
            banned: gate.banned(now),
            spool: match spool.intake() {
                Ok(()) => "open",
                Err(Refused::Full) => "full",
                Err(Refused::Broken) => "broken",
            },
            spool_octets: spool.octets(),
            spool_limit: gate.config().storage.limit,
            sync: short(&gate.tally().sync, self.syncs.old()),
            batch_records: rate(lately.records, Duration::from_secs(lately.batches)),
            receipts_10m: told_states(&self.states.recently(&states(gate))),
            refusals_10m: refusals,
            carrier_errors_10m: errors,
        }
    }

    /// What was answered in the last ten minutes besides ROK: to ESMEs, and by carriers.
    fn statuses_since<D: Disk>(&self, gate: &Gate<D>) -> [Vec<Times>; 2] {
        let [to_esmes, by_carriers] = all_statuses(gate);
        let old = self.statuses.oldest();
        [
            most(&to_esmes, old.map_or(&[], |old| &old[0])),
            most(&by_carriers, old.map_or(&[], |old| &old[1])),
        ]
    }
}

fn is_due(last: &mut Duration, every: Duration, now: Now) -> bool {
    let is_due = now.monotonic.saturating_sub(*last) >= every;
    if is_due {
        *last = now.monotonic;
    }
    is_due
}

fn queue(measured: &Measured) -> usize {
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

fn states<D: Disk>(gate: &Gate<D>) -> States {
    let mut sum = States::default();
    for state in gate.carriers() {
        sum = sum.plus(&States::of(&state.tally));
    }
    sum
}

/// The states that were told, the most frequent first.
fn told_states(states: &States) -> Vec<Times> {
    let told = MessageState::ALL
        .iter()
        .zip(states.0)
        .map(|(state, times)| Times {
            name: state_label(*state),
            times,
        });
    let mut told: Vec<Times> = told.filter(|state| state.times > 0).collect();
    told.sort_by_key(|state| std::cmp::Reverse(state.times));
    told
}

fn all_statuses<D: Disk>(gate: &Gate<D>) -> [Vec<(CommandStatus, u64)>; 2] {
    [
        statuses(gate.accounts().iter().map(|state| &state.tally.refused)),
        statuses(gate.carriers().iter().map(|state| &state.tally.statuses)),
    ]
}

/// The statuses that came most often since `old`.
fn most(new: &[(CommandStatus, u64)], old: &[(CommandStatus, u64)]) -> Vec<Times> {
    let before = |status| {
        old.iter()
            .find(|(of, _)| *of == status)
            .map_or(0, |(_, times)| *times)
    };
    let added = new.iter().map(|(status, times)| Times {
        name: status.name().unwrap_or("other"),
        times: times.saturating_sub(before(*status)),
    });
    let mut added: Vec<Times> = added.filter(|status| status.times > 0).collect();
    added.sort_by_key(|status| std::cmp::Reverse(status.times));
    added.truncate(STATUSES_MAX);
    added
}
