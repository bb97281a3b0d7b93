//! What the links of a simulated carrier share: its ids, its books, and what it owes.

use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::status::CommandStatus;

use super::body::Writer;
use super::delivery::{Account, Deliveries, Delivery, OWED_MAX, Receipt, Stage};
use super::mo::{self, Mo, Schedule};
use super::options::{Countdown, Options};
use super::quirk::Quirk;
use super::report::{Counts, Report, Shown};
use super::throttle::Throttle;
use crate::clock::Now;
use crate::traffic::marks::Marks;
use crate::traffic::wire::Bell;

/// One carrier.
pub(super) struct Centre {
    pub(super) options: Options,
    pub(super) report: Report,
    shown: Arc<Shown>,
    pub(super) rng: ChaCha8Rng,
    pub(super) next_id: u64,
    /// Deliveries that are not answered, wherever they are.
    pub(super) owed: usize,
    /// Of these, receipts, MOs, and receipts that only repeat another, which nobody waits for.
    receipts_owed: u64,
    mo_owed: u64,
    again_owed: u64,
    pub(super) deliveries: Deliveries,
    schedule: Schedule,
    pub(super) throttle: Option<Throttle>,
    pub(super) resets: Countdown,
    pub(super) unbinds: Countdown,
    pub(super) silences: Countdown,
    /// Links that serve, bound or not.
    links: Vec<(u64, Rc<Bell>)>,
    /// Links below this key are to end.
    ended_below: u64,
    bound: usize,
    /// Since when a link receives; MOs of the time before are not made up for.
    receives_since: Option<Duration>,
    writer: Writer,
    /// The run that the last message belonged to, and its marks: messages come run by run.
    pub(super) run: Option<(u32, Marks)>,
    /// Octets that the marks of all runs take.
    pub(super) marks_memory: usize,
}

impl Centre {
    pub(super) fn new(options: Options, now: Now, shown: Arc<Shown>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        Self {
            next_id: options
                .first_id
                .unwrap_or_else(|| now.unix_ms.saturating_mul(1000)),
            report: Report::default(),
            shown,
            owed: 0,
            receipts_owed: 0,
            mo_owed: 0,
            again_owed: 0,
            deliveries: Deliveries::new(options.has(Quirk::ReceiptElsewhere)),
            schedule: Schedule::new(&options.mo),
            throttle: options.rate.map(|(rate, _)| Throttle::new(rate, now.monotonic)),
            resets: Countdown::new(options.faults.reset_every, &mut rng),
            unbinds: Countdown::new(options.faults.unbind_every, &mut rng),
            silences: Countdown::new(options.faults.silent_every, &mut rng),
            links: Vec::new(),
            ended_below: 0,
            bound: 0,
            receives_since: None,
            writer: Writer::default(),
            run: None,
            marks_memory: 0,
            rng,
            options,
        }
    }

    // ===== links =====

    /// A connection came: its key.
    pub(super) fn arrive(&mut self) -> u64 {
        self.report.links += 1;
        self.report.links
    }

    pub(super) fn serve(&mut self, key: u64, bell: &Rc<Bell>) {
        self.links.push((key, Rc::clone(bell)));
    }

    pub(super) const fn is_ended(&self, key: u64) -> bool {
        key < self.ended_below
    }

    pub(super) fn drop_links(&mut self) {
        self.ended_below = self.report.links + 1;
        for (_, bell) in &self.links {
            bell.ring();
        }
    }

    /// Whether a bind is accepted, and as whose.
    pub(super) fn judge_bind(&mut self, bind: &Bind<'_>) -> Result<Account, CommandStatus> {
        let verdict = self.verdict_on(bind);
        self.report.binds_refused += u64::from(verdict.is_err());
        verdict
    }

    fn verdict_on(&mut self, bind: &Bind<'_>) -> Result<Account, CommandStatus> {
        if let Some(status) = self.options.refuse_binds {
            return Err(status);
        }
        if let Some((system_id, password)) = &self.options.credentials {
            if bind.system_id.as_bytes() != system_id.as_bytes() {
                return Err(CommandStatus::RINVSYSID);
            }
            if bind.password.as_bytes() != password.expose() {
                return Err(CommandStatus::RINVPASWD);
            }
        }
        match self.options.binds_max {
            Some(most) if self.bound >= most => Err(CommandStatus::RALYBND),
            _ => {
                // An empty one names nobody, and all that bind so are one.
                let system_id = SystemId::new(bind.system_id.as_bytes()).unwrap_or(self.options.name);
                let account = self.deliveries.account(&system_id);
                account.ok_or(CommandStatus::RBINDFAIL)
            }
        }
    }

    /// A bind was accepted; with a bell it receives.
    pub(super) fn bound(&mut self, now: Now, key: u64, account: Account, receives: Option<&Rc<Bell>>) {
        self.report.binds += 1;
        self.bound += 1;
        if let Some(bell) = receives {
            self.receives_since.get_or_insert(now.monotonic);
            self.deliveries.start_receiving(key, account, bell);
            // There may be MOs to make.
            self.deliveries.bell.ring();
        }
        self.show();
    }

    /// A link unbinds, falls silent or has ended: others take its deliveries.
    pub(super) fn stop_receiving(&mut self, key: u64, account: Account) {
        self.deliveries.stop_receiving(key, account);
        if !self.deliveries.has_receiver() {
            self.receives_since = None;
        }
    }

    /// A link has ended, with these deliveries unanswered.
    pub(super) fn leave(
        &mut self,
        key: u64,
        account: Option<Account>,
        unanswered: impl Iterator<Item = Delivery>,
    ) {
        self.links.retain(|(other, _)| *other != key);
        match account {
            Some(account) => {
                self.bound -= 1;
                self.stop_receiving(key, account);
            }
            None => self.report.never_bound += 1,
        }
        for delivery in unanswered {
            self.deliveries.assign(delivery);
        }
        self.show();
    }

    // ===== deliveries =====

    /// From now on, or from `delay` on, this is to be delivered.
    pub(super) fn owe(&mut self, now: Now, delay: Duration, delivery: Delivery) {
        self.owed += 1;
        *self.owed_of(&delivery) += 1;
        if delay.is_zero() {
            self.deliveries.assign(delivery);
        } else {
            self.deliveries.hold(now.monotonic + delay, delivery);
        }
    }

    /// Hands out what was held back until now and makes the MOs that are due; tells when there is more.
    pub(super) fn release(&mut self, now: Now) -> Option<Duration> {
        let next = self.deliveries.release(now.monotonic);
        let Some(since) = self.receives_since else {
            return next;
        };
        while self.owed < OWED_MAX
            && let Some(n) = self.schedule.take(since, now.monotonic)
        {
            self.make_mo(now, n);
        }
        self.schedule.due().into_iter().chain(next).min()
    }

    fn make_mo(&mut self, now: Now, n: u32) {
        if !mo::in_parts(&self.options) {
            return self.owe(
                now,
                Duration::ZERO,
                Delivery::Mo(Mo {
                    n,
                    part: 0,
                    sent: false,
                }),
            );
        }
        for at in 1..=mo::PARTS {
            let part = if mo::backwards(&self.options) {
                mo::PARTS + 1 - at
            } else {
                at
            };
            self.owe(now, Duration::ZERO, Delivery::Mo(Mo { n, part, sent: false }));
        }
    }

    /// The count of what is owed that `delivery` belongs to.
    const fn owed_of(&mut self, delivery: &Delivery) -> &mut u64 {
        match delivery {
            Delivery::Receipt(Receipt {
                stage: Stage::Again, ..
            }) => &mut self.again_owed,
            Delivery::Receipt(_) => &mut self.receipts_owed,
            Delivery::Mo(_) => &mut self.mo_owed,
        }
    }

    /// The PDU that carries `delivery`, which is sent now: its command and its body.
    pub(super) fn write(&mut self, delivery: &mut Delivery, now: Now, may_tlvs: bool) -> (CommandId, &[u8]) {
        if delivery.send() {
            match delivery {
                Delivery::Receipt(_) => self.report.receipts_resent += 1,
                Delivery::Mo(_) => self.report.mo_resent += 1,
            }
        }
        self.writer.write(delivery, &self.options, now.unix_ms, may_tlvs)
    }

    /// A delivery was answered; `None`: not in time, or with something that cannot be read.
    pub(super) fn answered(&mut self, now: Now, delivery: Delivery, status: Option<CommandStatus>) {
        match status {
            Some(CommandStatus::ROK) => self.delivered(now, delivery),
            // "Later", and silence.
            None
            | Some(
                CommandStatus::RX_T_APPN
                | CommandStatus::RSYSERR
                | CommandStatus::RTHROTTLED
                | CommandStatus::RMSGQFUL,
            ) => {
                let due = now.monotonic + self.options.delivery_retry;
                self.deliveries.hold(due, delivery);
            }
            Some(status) => {
                self.settled(&delivery);
                let refused = match delivery {
                    Delivery::Receipt(_) => &mut self.report.receipts_refused,
                    Delivery::Mo(_) => &mut self.report.mo_refused,
                };
                *refused.entry(status.0).or_default() += 1;
            }
        }
    }

    fn settled(&mut self, delivery: &Delivery) {
        self.owed -= 1;
        *self.owed_of(delivery) -= 1;
    }

    fn delivered(&mut self, now: Now, delivery: Delivery) {
        self.settled(&delivery);
        match delivery {
            Delivery::Mo(_) => self.report.mo += 1,
            Delivery::Receipt(receipt) if receipt.stage == Stage::Final => {
                self.report.receipts += 1;
                if self.options.has(Quirk::ReceiptTwice) {
                    let again = Receipt {
                        stage: Stage::Again,
                        sent: false,
                        ..receipt
                    };
                    self.owe(now, Duration::ZERO, Delivery::Receipt(again));
                }
            }
            Delivery::Receipt(_) => {}
        }
    }

    // ===== figures =====

    pub(super) fn show(&self) {
        self.shown.set(Counts {
            submitted: self.report.submitted,
            taken: self.report.unique + self.report.repeated + self.report.altered + self.report.unmarked,
            unique: self.report.unique,
            repeated: self.report.repeated,
            receipts: self.report.receipts,
            owed: self.receipts_owed + self.mo_owed,
            mo: self.report.mo,
            bound: self.bound as u64,
        });
    }

    pub(super) fn take_report(&mut self) -> Report {
        self.report.taken.extend(self.run.take());
        self.report.receipts_owed = self.receipts_owed;
        self.report.mo_owed = self.mo_owed;
        mem::take(&mut self.report)
    }
}
