//! From what the loop counts to what Prometheus reads, a few times a second.

use std::sync::Arc;

use tidegate_config::{Config, Excepted};
use tidegate_store::disk::Disk;
use tidegate_store::spool::{HistoryCounts, Recovered, Refused};
use tidegate_store::usage::Used;
use tidegate_store::waiting::WaitingCounts;

use crate::carrier::CarrierState;
use crate::clock::Now;
use crate::gate::{AccountState, Gate};
use crate::http::{CarrierLinks, Health, SpoolState};
use crate::measured::Measured;
use crate::tally::{AccountTally, CarrierTally, Counts, GateTally};
use crate::telemetry::words::{self, AbuseTable, Damage, Word as _};
use crate::telemetry::{AccountMetrics, CarrierMetrics, GateMetrics, Telemetry};
use crate::tls::Certificate;

/// Lines are looked at once in so many publishings: there may be a thousand at each carrier.
const LOOK_AT_LINES: u32 = 4;

/// Publishes the counts of one gate. It remembers what it has published and adds the difference.
pub struct Publisher {
    /// Publishings so far.
    times: u32,
    health: Arc<Health>,
    telemetry: Telemetry,
    gate: (GateMetrics, GateTally),
    certificates: Arc<[Certificate]>,
    exceptions: Arc<[Excepted]>,
    waiting: WaitingCounts,
    parked: WaitingCounts,
    history: HistoryCounts,
    accounts: Vec<(AccountMetrics, AccountTally)>,
    carriers: Vec<(CarrierMetrics, CarrierTally)>,
    measured: Measured,
}

impl Publisher {
    /// Makes the handles of everything that the configuration names, and publishes what the start found.
    pub fn new(config: &Config, telemetry: &Telemetry, health: Arc<Health>, found: &Recovered) -> Self {
        let gate = GateMetrics::new(telemetry);
        gate.recovered
            .of(words::Recovered::Leg)
            .increment(found.legs as u64);
        gate.recovered
            .of(words::Recovered::Entry)
            .increment(found.entries as u64);
        gate.recovered
            .of(words::Recovered::Waiting)
            .increment(found.waiting);
        gate.damage.of(Damage::Waiting).increment(found.waiting_damaged);
        gate.damage.of(Damage::OptOuts).increment(found.standing_damaged);
        gate.damage
            .of(Damage::Usage)
            .increment(u64::from(found.usage_lost));
        gate.damage.of(Damage::Stretch).increment(found.damaged as u64);
        gate.damage.of(Damage::Gap).increment(found.gaps);
        gate.damage.of(Damage::Record).increment(found.unreadable as u64);
        let mut publisher = Self {
            times: 0,
            health,
            telemetry: telemetry.clone(),
            gate: (gate, GateTally::default()),
            certificates: Arc::default(),
            exceptions: Arc::default(),
            waiting: WaitingCounts::default(),
            parked: WaitingCounts::default(),
            history: HistoryCounts::default(),
            accounts: Vec::new(),
            carriers: Vec::new(),
            measured: Measured::default(),
        };
        publisher.add_new(config);
        publisher
    }

    /// Makes the handles of accounts and carriers that came since: they keep their places, and new ones come behind.
    fn add_new(&mut self, config: &Config) {
        for account in config.accounts.iter().skip(self.accounts.len()) {
            let metrics = AccountMetrics::new(&self.telemetry, &account.system_id);
            self.accounts.push((metrics, AccountTally::default()));
        }
        for carrier in config.carriers.iter().skip(self.carriers.len()) {
            let metrics = CarrierMetrics::new(&self.telemetry, &carrier.name);
            self.carriers.push((metrics, CarrierTally::default()));
        }
    }

    /// Publishes what was counted since the last time, and how things stand.
    pub fn publish<D: Disk>(&mut self, gate: &mut Gate<D>, now: Now) {
        self.publish_gate(gate, now);
        self.publish_certificates(gate.certificates());
        self.publish_exceptions(gate.exceptions());
        self.publish_waiting(gate.spool().waiting());
        self.publish_parked(gate.spool().parked());
        self.publish_history(gate.spool().history());
        let config = Arc::clone(gate.config());
        self.add_new(&config);
        self.gate.0.outbox_filed.set(float(gate.spool().outbox().filed()));
        self.measured.take(gate, now);
        if self.times.is_multiple_of(LOOK_AT_LINES) {
            self.measured.take_oldest(gate, now);
        }
        self.times = self.times.wrapping_add(1);
        self.publish_accounts(gate.accounts());
        self.publish_carriers(gate.carriers(), &config);
        self.health.set_spool(match gate.spool().intake() {
            Ok(()) => SpoolState::Open,
            Err(Refused::Full) => SpoolState::Full,
            Err(Refused::Broken) => SpoolState::Broken,
        });
        self.health.turned(now);
    }

    /// How things stand with accounts and carriers, as it was published.
    pub const fn measured(&self) -> &Measured {
        &self.measured
    }

    fn publish_accounts(&mut self, states: &[AccountState]) {
        let measured = self
            .measured
            .accounts
            .iter()
            .zip(&self.measured.account_oldest_ms);
        for (((metrics, old), state), (now, oldest_ms)) in self.accounts.iter_mut().zip(states).zip(measured)
        {
            publish_account(metrics, old, state);
            for (gauge, count) in metrics.binds.iter().zip(now.bound) {
                gauge.set(float(count));
            }
            for (gauge, count) in metrics.window.iter().zip(now.window) {
                gauge.set(float(count));
            }
            metrics.unfinished.set(float(now.unfinished));
            metrics.outbox.set(float(now.outbox));
            metrics.oldest.set(seconds(*oldest_ms));
            metrics.suspended.set(flag(now.is_suspended));
            metrics.suspended_senders.set(float(now.suspended_senders));
            metrics.held_now.set(float(now.held));
            metrics.held_oldest.set(seconds(now.held_oldest_ms));
            publish_used(metrics, now.used);
        }
    }

    fn publish_carriers(&mut self, states: &[CarrierState], config: &Config) {
        let measured = self
            .measured
            .carriers
            .iter()
            .zip(&self.measured.carrier_oldest_ms);
        let configured = states.iter().zip(&config.carriers);
        for (((metrics, old), (state, config)), (now, oldest_ms)) in
            self.carriers.iter_mut().zip(configured).zip(measured)
        {
            publish_carrier(metrics, old, &state.tally);
            for (gauge, count) in metrics.links_bound.iter().zip(now.bound) {
                gauge.set(float(count));
            }
            let [used, size] = now.window;
            metrics.window.set(float(used));
            metrics.window_size.set(float(size));
            metrics.links_wanted.set(float(now.wanted));
            metrics.queue.set(float(now.queue));
            metrics.oldest.set(seconds(*oldest_ms));
            metrics.slow.set(flag(now.is_slowed));
            metrics.halted.set(flag(now.is_halted));
            if state.removed && state.bound.is_empty() {
                self.health.forget_carrier(&config.name);
                continue;
            }
            let links = CarrierLinks {
                bound: state.bound.len(),
                wanted: now.wanted,
            };
            self.health.set_carrier(&config.name, links);
        }
    }

    fn publish_gate<D: Disk>(&mut self, gate: &mut Gate<D>, now: Now) {
        let (metrics, old) = &mut self.gate;
        let new = gate.tally();
        metrics.sync_seconds.publish(&new.sync, &old.sync);
        metrics.batch_sizes.publish(&new.batch_sizes, &old.batch_sizes);
        metrics.turns.increment(new.turns - old.turns);
        metrics.batches.increment(new.batches - old.batches);
        metrics
            .batch_octets
            .increment(new.batch_octets - old.batch_octets);
        metrics.records.increment(new.batch_records - old.batch_records);
        metrics
            .connections_accepted
            .increment(new.connections - old.connections);
        metrics
            .binds_unknown
            .increment(new.binds_unknown - old.binds_unknown);
        metrics
            .damage
            .of(Damage::Record)
            .increment(new.unreadable - old.unreadable);
        each(
            &new.connections_refused,
            &old.connections_refused,
            |reason, times| {
                metrics.connections_refused.of(reason).increment(times);
            },
        );
        each(&new.commit_failures, &old.commit_failures, |cause, times| {
            metrics.commit_failures.of(cause).increment(times);
        });
        each(&new.late_receipts, &old.late_receipts, |result, times| {
            metrics.late_receipts.of(result).increment(times);
        });
        each(&new.handshakes, &old.handshakes, |(side, result), times| {
            metrics.handshakes[side.index()].of(result).increment(times);
        });
        each(&new.reloads, &old.reloads, |result, times| {
            metrics.reloads.of(result).increment(times);
        });
        metrics.reloaded_at.set(seconds(new.reloaded_ms));
        each(&new.handset_words, &old.handset_words, |word, times| {
            metrics.handset_words.of(word).increment(times);
        });
        for table in AbuseTable::ALL {
            metrics
                .abuse_evicted
                .of(*table)
                .absolute(gate.abuse.evicted(*table));
        }
        each(&new.replies, &old.replies, |result, times| {
            metrics.replies.of(result).increment(times);
        });
        let standing = gate.spool().standing();
        metrics.opt_outs.set(float(standing.opt_outs().len()));
        metrics.standing_waiting.set(float(standing.waiting()));
        each(&new.intake_refused, &old.intake_refused, |cause, times| {
            metrics.intake_refused.of(cause).increment(times);
        });
        each(&new.links_ended, &old.links_ended, |(side, reason), times| {
            metrics.link_closed(side, reason, times);
        });
        each(&new.refused, &old.refused, |(command, status), times| {
            metrics.refused(command, status, times);
        });
        metrics
            .opt_outs_widened
            .increment(new.opt_outs_widened - old.opt_outs_widened);
        metrics.traces.set(float(gate.traces().len()));
        metrics
            .trace_dropped
            .increment(new.trace_dropped - old.trace_dropped);
        metrics.bans.increment(new.bans - old.bans);
        metrics.banned.set(float(gate.banned(now)));
        metrics.dropped.increment(new.dropped - old.dropped);
        let penned: usize = gate.carriers().iter().map(|carrier| carrier.pen.len()).sum();
        metrics.receipts_penned.set(float(penned));
        metrics.connections.set(float(gate.esme_links()));
        metrics.spool_segments.set(float(gate.spool().segments()));
        metrics.unfinished.set(float(gate.spool().index().len()));
        metrics.outbox_entries.set(float(gate.spool().outbox().len()));
        let spool = gate.spool();
        for (gauge, octets) in [
            (&metrics.spool_octets, spool.octets()),
            (&metrics.storage_used, spool.occupied()),
            (&metrics.storage_intake_limit, spool.intake_limit()),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "a disk of 2^53 octets")]
            gauge.set(octets as f64);
        }
        let tables = gate.tables();
        let sizes = [tables.networks_size(), tables.ported_size(), tables.prices_size()];
        for ((rows, octets), size) in metrics.tables.iter().zip(sizes) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            rows.set(size.rows as f64);
            octets.set(float(size.octets));
        }
        *old = gate.tally().clone();
    }
}

impl Publisher {
    /// They change with a reload only.
    fn publish_certificates(&mut self, new: &Arc<[Certificate]>) {
        if Arc::ptr_eq(new, &self.certificates) {
            return;
        }
        let metrics = &self.gate.0;
        for gone in self.certificates.iter() {
            metrics.certificate(gone.side, &gone.name, None);
        }
        for there in new.iter() {
            metrics.certificate(there.side, &there.name, Some(there.expires_s));
        }
        self.certificates = Arc::clone(new);
    }

    /// So do these.
    fn publish_exceptions(&mut self, new: &Arc<[Excepted]>) {
        if Arc::ptr_eq(new, &self.exceptions) {
            return;
        }
        let metrics = &self.gate.0;
        for gone in self.exceptions.iter() {
            metrics.exception(&gone.key, None);
        }
        for there in new.iter() {
            metrics.exception(&there.key, Some(there.exception.ends_ms / 1000));
        }
        self.exceptions = Arc::clone(new);
    }

    fn publish_waiting(&mut self, new: WaitingCounts) {
        let (metrics, old) = (&self.gate.0, self.waiting);
        metrics.waiting_moved.increment(new.moved - old.moved);
        metrics.waiting_expired.increment(new.passed - old.passed);
        metrics
            .damage
            .of(Damage::Waiting)
            .increment(new.damaged - old.damaged);
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 of anything")]
        let float = |n: u64| n as f64;
        metrics.waiting.set(float(new.legs));
        metrics.waiting_files.set(float(new.files as u64));
        metrics.waiting_octets.set(float(new.octets));
        metrics.waiting_memory.set(float(new.memory));
        self.waiting = new;
    }

    fn publish_history(&mut self, new: HistoryCounts) {
        let (metrics, old) = (&self.gate.0, self.history);
        metrics.history_filed.increment(new.filed - old.filed);
        metrics.history_failures.increment(new.failed - old.failed);
        metrics
            .damage
            .of(Damage::History)
            .increment(new.unreadable - old.unreadable);
        metrics.history_unfiled.set(float(new.unfiled));
        self.history = new;
    }

    fn publish_parked(&mut self, new: WaitingCounts) {
        let (metrics, old) = (&self.gate.0, self.parked);
        metrics.outbox_moved.increment(new.moved - old.moved);
        metrics
            .damage
            .of(Damage::Outbox)
            .increment(new.damaged - old.damaged);
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 of anything")]
        let float = |n: u64| n as f64;
        metrics.outbox_files.set(float(new.files as u64));
        metrics.outbox_octets.set(float(new.octets));
        self.parked = new;
    }
}

fn publish_account(metrics: &AccountMetrics, old: &mut AccountTally, state: &AccountState) {
    let new = &state.tally;
    metrics.retries.increment(new.retries - old.retries);
    metrics.handover_seconds.publish(&new.handover, &old.handover);
    metrics.receipt_seconds.publish(&new.receipt, &old.receipt);
    metrics.accepted.increment(new.accepted - old.accepted);
    metrics.deferred.increment(new.deferred - old.deferred);
    metrics.unconsented.increment(new.unconsented - old.unconsented);
    metrics.duplicates.increment(new.duplicates - old.duplicates);
    metrics.holds.increment(new.holds - old.holds);
    metrics
        .flooders_unbound
        .increment(new.flooders_unbound - old.flooders_unbound);
    metrics.dlr_delivered.increment(new.dlrs - old.dlrs);
    metrics.mo_delivered.increment(new.mos - old.mos);
    metrics.outbox_overflow.increment(new.overflow - old.overflow);
    metrics.outbox_expired.increment(new.expired - old.expired);
    metrics
        .mos_withheld
        .increment(new.mos_withheld - old.mos_withheld);
    each(&new.binds, &old.binds, |result, times| {
        metrics.bind_attempts.of(result).increment(times);
    });
    each(&new.standing_refused, &old.standing_refused, |rule, times| {
        metrics.standing_refused.of(rule).increment(times);
    });
    metrics.held.increment(new.held - old.held);
    each(&new.held_ended, &old.held_ended, |why, times| {
        metrics.held_ended.of(why).increment(times);
    });
    each(&new.abuse_signals, &old.abuse_signals, |rule, times| {
        metrics.abuse_signals.of(rule).increment(times);
    });
    each(&new.content_hits, &old.content_hits, |rule, times| {
        metrics.content_hits(&rule, times);
    });
    each(&new.monitored, &old.monitored, |country, times| {
        metrics.monitored(country, times);
    });
    each(&new.throttled, &old.throttled, |by, times| {
        metrics.throttled.of(by).increment(times);
    });
    each(&new.refused, &old.refused, |status, times| {
        metrics.refused(status, times);
    });
    each(
        &new.deliveries_refused,
        &old.deliveries_refused,
        |status, times| {
            metrics.delivery_refused(status, times);
        },
    );
    each(&new.finals, &old.finals, |state, times| {
        metrics.final_state(state, times);
    });
    *old = new.clone();
}

#[expect(clippy::cast_precision_loss, reason = "quotas are far below 2^53")]
fn publish_used(metrics: &AccountMetrics, used: Used) {
    let [day, month] = &metrics.quota_used;
    day.set(used.day as f64);
    month.set(used.month as f64);
}

fn publish_carrier(metrics: &CarrierMetrics, old: &mut CarrierTally, new: &CarrierTally) {
    metrics.response_seconds.publish(&new.response, &old.response);
    metrics.handover_seconds.publish(&new.handover, &old.handover);
    metrics.receipt_seconds.publish(&new.receipt, &old.receipt);
    metrics.retries.increment(new.retries - old.retries);
    each(&new.receipt_states, &old.receipt_states, |state, times| {
        metrics.receipt_state(state, times);
    });
    metrics.handed_over.increment(new.offered - old.offered);
    metrics.cut.increment(new.cut - old.cut);
    metrics.mo_received.increment(new.mos - old.mos);
    metrics.mo_unowned.increment(new.mos_unowned - old.mos_unowned);
    metrics.unanswered.increment(new.unanswered - old.unanswered);
    metrics.unexpected.increment(new.unexpected - old.unexpected);
    metrics.tlv_faults.increment(new.tlv_faults - old.tlv_faults);
    metrics
        .deliveries_refused
        .increment(new.deliveries_refused - old.deliveries_refused);
    metrics.connects.increment(new.connects - old.connects);
    each(&new.answers, &old.answers, |answer, times| {
        metrics.answers.of(answer).increment(times);
    });
    each(&new.receipts, &old.receipts, |kind, times| {
        metrics.receipts.of(kind).increment(times);
    });
    each(&new.statuses, &old.statuses, |status, times| {
        metrics.refused(status, times);
    });
    each(&new.binds_refused, &old.binds_refused, |status, times| {
        metrics.bind_refused(status, times);
    });
    *old = new.clone();
}

/// What was added to each label since `old`.
fn each<K: Clone + PartialEq>(new: &Counts<K>, old: &Counts<K>, mut publish: impl FnMut(K, u64)) {
    for (key, count) in new.iter() {
        let added = count - old.count_of(&key);
        if added > 0 {
            publish(key, added);
        }
    }
}

const fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^53")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_is_published() {
        let (mut old, mut new) = (Counts::default(), Counts::default());
        old.add('a');
        (0..3).for_each(|_| new.add('a'));
        new.add('b');
        let mut seen = Vec::new();
        each(&new, &old, |key, times| seen.push((key, times)));
        assert_eq!(seen, [('a', 2), ('b', 1)]);
    }
}
