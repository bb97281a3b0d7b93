//! From what the [`Recorder`] has noted to what is shown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_config::AccountState as Configured;
use tidegate_store::disk::Disk;
use tidegate_store::spool::Refused;

use super::Recorder;
use super::alarms::{self, Seen};
use super::counts::{GateCounts, States};
use super::recorder::{all_statuses, queue, states};
use super::rows::{long, rate, rounded, short};
use super::shot::{Account, Carrier, Shot, Times, Totals};
use crate::clock::Now;
use crate::gate::Gate;
use crate::measured::Measured;
use crate::telemetry::state_label;

/// Statuses that are told of each side.
const STATUSES_MAX: usize = 8;

impl Recorder {
    /// This second, for who watches.
    pub(super) fn shot<D: Disk>(&self, gate: &Gate<D>, measured: &Measured, now: Now) -> Shot {
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
            is_damaged: self.is_damaged || is_damaged(gate),
            broken_10m: gate_counts.broken,
            full_10m: gate_counts.full,
            is_filling: gate.spool().occupied() > gate.spool().intake_limit() / 5 * 4,
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
            _ if gate.orders().closed_ms(config.system_id.as_str()).is_some() => "closed",
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
        let mut carrier = Carrier {
            name: config.name.as_str().to_owned(),
            health: "up",
            links: [measure.bound.iter().sum(), measure.wanted],
            down_for_s: None,
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
        if alarms::is_down(&carrier) {
            let down_for = row.down_since.map(|since| now.monotonic.saturating_sub(since));
            carrier.down_for_s = down_for.map(|down_for| down_for.as_secs());
        }
        let [bound, wanted] = carrier.links;
        carrier.health = match () {
            () if state.removed => "removed",
            () if measure.is_halted && wanted == 0 => "drained",
            () if measure.is_halted => "paused",
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
            spool_octets: spool.occupied(),
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

/// Whether something on disk could not be read since the start, as the metric of that name counts it.
fn is_damaged<D: Disk>(gate: &Gate<D>) -> bool {
    let spool = gate.spool();
    gate.tally().unreadable > 0 || spool.waiting().damaged > 0 || spool.parked().damaged > 0
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
