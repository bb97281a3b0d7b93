//! What is done when an operator steers the gateway.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::values::BindKind;
use tidegate_store::audit::Actor;
use tidegate_store::disk::Disk;

use super::filed::message_show;
use super::given_up::GivingUp;
use super::listing::instant;
use super::shown::state_word;
use super::steer::{MeantSender, Steer};
use super::{Answer, accessing, closing, finished, not_done, pages};
use crate::audit::AuditHandle;
use crate::clock::Now;
use crate::gate::Gate;
use crate::last_timer::LastTimer;
use crate::links::{LinkId, Peer};
use crate::orders::{By, Orders, OrdersFile, Sender, SenderOrder, Suspending, TooMany, sender_in};
use crate::serve::Hub;
use crate::telemetry::log::{self, Changed};

/// What was typed for a sender and is none.
const NO_SENDER: &str = "\"address\" is no sender: a number, or a name of at most 64 octets";
/// Grants of break-glass that are told of one account: the last ones.
const GRANTS_SHOWN: usize = 20;

/// Does it.
pub(super) async fn steer<D: Disk + 'static>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    steer: &Steer,
    giving_up: &GivingUp,
) -> Answer {
    match steer {
        Steer::CarrierList => Ok(pages::carriers(hub).await),
        Steer::QueueList { page } => pages::queues(hub, page).await,
        Steer::AccountList { page } => Ok(pages::accounts(hub, page).await),
        Steer::BindList {
            account,
            carrier,
            page,
        } => pages::binds(hub, account.as_deref(), carrier.as_deref(), page).await,
        Steer::MessageShow {
            id,
            account,
            reading: None,
        } => message_show(hub, audit, who, id, account.as_deref()).await,
        Steer::MessageShow {
            id,
            account,
            reading: Some(reading),
        } => finished::read_one(hub, (audit, who), id, account.as_deref(), reading).await,
        Steer::MessageFind(find) => finished::find(hub, (audit, who), find).await,
        Steer::AccountShow { account } => {
            let mut told = hub.look(|gate, now| gate.account_told(now, account))?;
            let case = hub.cases().and_then(|cases| cases.open_of(account, None));
            told.insert("case".to_owned(), json!(case));
            told.insert("suspended_senders".to_owned(), senders_told(hub, account));
            let grants = hub
                .access()
                .map_or(Vec::new(), |access| access.list(Some(account)));
            let now_ms = hub.believed_ms();
            let last = grants.iter().rev().take(GRANTS_SHOWN);
            let last = last.map(|(number, grant)| accessing::shown(*number, grant, now_ms));
            told.insert("break_glass".to_owned(), last.collect());
            Ok(told)
        }
        Steer::AccountClose {
            account, returned, ..
        } => closing::close(hub, steer, (account, *returned), giving_up).await,
        Steer::CarrierHalt { .. }
        | Steer::CarrierResume { .. }
        | Steer::AccountSuspend { .. }
        | Steer::AccountRestore { .. }
        | Steer::SenderSuspend { .. }
        | Steer::SenderRestore { .. } => order(hub, steer, giving_up).await,
        Steer::CarrierRate { carrier, per_second } => {
            hub.with_gate(|gate, now| gate.set_carrier_rate(now, carrier, *per_second))
        }
        Steer::AccountLimit { account, per_second } => {
            hub.with_gate(|gate, now| gate.set_account_rate(now, account, *per_second))
        }
        Steer::BindClose { number } => hub.with_gate(|gate, now| gate.close_bind(now, *number)),
        Steer::LogFilter { filter, length } => log_filter(&hub.log_timer, filter.as_deref(), *length),
    }
}

/// An account's senders that are suspended, by whom, and by what name it lists them.
fn senders_told<D: Disk>(hub: &Hub<D>, account: &str) -> Value {
    let cases = hub.cases();
    hub.look(|gate, _| {
        let place = gate.account_by_text(account);
        let mut senders = gate.orders().senders_of(account).peekable();
        // Once for all of them: each name takes a hash under each secret.
        let listed = match (place, senders.peek()) {
            (Some(place), Some(_)) => gate.listed_senders(place),
            _ => HashMap::new(),
        };
        let row = |(sender, order): (Sender, SenderOrder)| {
            json!({
                "sender": sender.text(),
                "listed_as": listed.get(&sender),
                "since": order.since_ms().map(instant),
                "by_operator": order.operator_ms.is_some(),
                "by_case": order.case_ms.is_some(),
                "case": cases.as_ref().and_then(|cases| cases.open_of(account, Some(sender))),
            })
        };
        senders.map(row).collect()
    })
}

/// Suspends an account and unbinds its links, or a sender of it alone, on the word of a case.
///
/// # Errors
///
/// In words for an operator.
pub(crate) async fn suspend_by_case<D: Disk>(
    hub: &Hub<D>,
    account: &str,
    sender: Option<Sender>,
) -> Result<(), String> {
    let file = hub.orders().ok_or("this gateway keeps no orders")?;
    let _alone = file.turn().await;
    // One that the configuration has no longer may come back.
    let ordered = |gate: &Gate<D>, now: Now| {
        let mut orders = gate.orders().clone();
        let suspended = match sender {
            None => orders.suspend_by_case(account, now.unix_ms),
            Some(sender) => orders.suspend_sender(account, sender, By::Case, now.unix_ms),
        };
        suspended.map_err(too_many)?;
        Ok(orders)
    };
    let unbound = |gate: &mut Gate<D>, now: Now, _: &Orders| {
        if let Some(place) = gate.account_by_text(account).filter(|_| sender.is_none()) {
            gate.unbind_all(now, place);
        }
    };
    give(hub, &file, &GivingUp::default(), ordered, unbound).await
}

/// Takes that back, and nothing that an operator has said.
///
/// # Errors
///
/// In words for an operator.
pub(crate) async fn restore_by_case<D: Disk>(
    hub: &Hub<D>,
    account: &str,
    sender: Option<Sender>,
) -> Result<(), String> {
    let file = hub.orders().ok_or("this gateway keeps no orders")?;
    let _alone = file.turn().await;
    let ordered = |gate: &Gate<D>, _: Now| {
        let mut orders = gate.orders().clone();
        match sender {
            None => orders.restore_by_case(account),
            Some(sender) => orders.restore_sender(account, sender, By::Case),
        };
        Ok(orders)
    };
    give(hub, &file, &GivingUp::default(), ordered, |_, _, _| ()).await
}

/// Who is suspended by a case is restored by who decides it (FRD-6).
fn may_be_restored<D: Disk>(hub: &Hub<D>, steer: &Steer) -> Result<(), String> {
    let (account, sender) = match steer {
        Steer::AccountRestore { account } => (account, None),
        Steer::SenderRestore { account, sender } => {
            let sender = hub.look(|gate, _| gate.sender_meant(gate.orders(), account, sender))?;
            (account, Some(sender))
        }
        _ => return Ok(()),
    };
    match hub.cases().and_then(|cases| cases.open_of(account, sender)) {
        Some(id) => Err(format!(
            "it is suspended by case {id}, which a person is to decide: `tidegate case decide {id}`"
        )),
        None => Ok(()),
    }
}

/// Changes the standing orders: on disk first, so that what holds now holds after a restart, too. May be given up until it is
/// written.
pub(super) async fn order<D: Disk>(hub: &Hub<D>, steer: &Steer, giving_up: &GivingUp) -> Answer {
    let file = hub.orders().ok_or("this gateway keeps no orders")?;
    let _alone = file.turn().await;
    may_be_restored(hub, steer)?;
    let ordered = |gate: &Gate<D>, now: Now| gate.ordered(now, steer);
    let told = |gate: &mut Gate<D>, now: Now, before: &Orders| gate.order_told(now, steer, before);
    give(hub, &file, giving_up, ordered, told).await
}

/// Has other orders hold, in their turn; what is told of it is told once they do.
async fn give<D: Disk, T>(
    hub: &Hub<D>,
    file: &Arc<OrdersFile>,
    giving_up: &GivingUp,
    ordered: impl FnOnce(&Gate<D>, Now) -> Result<Orders, String>,
    told: impl FnOnce(&mut Gate<D>, Now, &Orders) -> T,
) -> Result<T, String> {
    let (before, orders, suspending) = hub.look(|gate, now| {
        let before = gate.orders().clone();
        let orders = ordered(gate, now)?;
        let suspending = gate.suspending(&orders);
        Ok::<_, String>((before, orders, suspending))
    })?;
    giving_up.end();
    let mut made = None;
    // What was given back by a write that failed may stand in the file.
    if orders != before || file.is_uncertain() {
        let (written, file) = (orders.clone(), Arc::clone(file));
        let writing = move || {
            file.write(&written)?;
            Ok::<_, io::Error>(suspending.map(Suspending::config))
        };
        made = tokio::task::spawn_blocking(writing)
            .await
            .map_err(|error| not_done(&error).to_owned())?
            .map_err(|error| {
                format!(
                    "not done: the orders cannot be written: {error}; until an order can be, a restart may find this one"
                )
            })?;
    }
    let told = hub.with_gate(|gate, now| {
        gate.obey_made(now, orders, made);
        told(gate, now, &before)
    });
    hub.relink.notify_one();
    Ok(told)
}

/// Says which filter holds, or has another one hold, for so long.
fn log_filter(timer: &LastTimer, filter: Option<&str>, length: Option<Duration>) -> Answer {
    let told = |filter: String, length: Option<Duration>| {
        fields(json!({ "filter": filter, "for_s": length.as_ref().map(Duration::as_secs) }))
    };
    let log = log::filter().ok_or("this process logs nothing")?;
    let Some(filter) = filter else {
        return Ok(told(log.text(), None));
    };
    let Changed { number, text } = log.set(filter)?;
    // At a level that every filter lets through.
    tracing::error!(
        filter = text,
        "the log is filtered otherwise from now on, on an operator's word"
    );
    match length {
        Some(length) => timer.set(length, move || {
            if let Some(filter) = log.give_back(number) {
                tracing::error!(filter, "the log is filtered again as at the start");
            }
        }),
        None => timer.clear(),
    }
    Ok(told(text, length))
}

/// The keys of an object.
pub(crate) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn too_many(_: TooMany) -> String {
    "there are as many orders as there may be, of all or of this account's senders: take some back".to_owned()
}

impl<D: Disk> Gate<D> {
    /// The orders as they are to be. What is no longer configured can still be taken back.
    fn ordered(&self, now: Now, steer: &Steer) -> Result<Orders, String> {
        let mut orders = self.orders().clone();
        match steer {
            Steer::CarrierHalt { carrier, how } => {
                self.known_carrier(carrier)?;
                orders.halt(carrier, *how, now.unix_ms).map_err(too_many)?;
            }
            Steer::CarrierResume { carrier } => {
                if orders.halted(carrier).is_none() {
                    self.known_carrier(carrier)?;
                }
                orders.resume(carrier);
            }
            Steer::AccountSuspend { account, .. } => {
                self.known_account(account)?;
                orders.suspend(account, now.unix_ms).map_err(too_many)?;
            }
            Steer::AccountRestore { account } => {
                if orders.suspended_ms(account).is_none() {
                    self.known_account(account)?;
                }
                if orders.closed_ms(account).is_some() {
                    return Err("it is closed: nothing takes that back".to_owned());
                }
                orders.restore(account);
                // A case that nobody has decided refuses it before; what one has left is the operator's to end.
                orders.restore_by_case(account);
            }
            Steer::SenderSuspend { account, sender } => {
                let sender = self.sender_meant(&orders, account, &MeantSender::Address(sender.clone()))?;
                orders
                    .suspend_sender(account, sender, By::Operator, now.unix_ms)
                    .map_err(too_many)?;
            }
            Steer::SenderRestore { account, sender } => {
                let sender = self.sender_meant(&orders, account, sender)?;
                orders.restore_sender(account, sender, By::Operator);
                orders.restore_sender(account, sender, By::Case);
            }
            Steer::AccountClose { account, .. } => {
                self.known_account(account)?;
                orders.close(account, now.unix_ms).map_err(too_many)?;
            }
            _ => {}
        }
        Ok(orders)
    }

    /// What has become of an order, once it holds.
    fn order_told(&mut self, now: Now, steer: &Steer, before: &Orders) -> Map<String, Value> {
        let since = |since_ms: Option<u64>| json!(since_ms.map(instant));
        let told = match steer {
            Steer::CarrierHalt { carrier, .. } => {
                let place = self.carrier_by_text(carrier);
                let halted = self.orders().halted(carrier);
                json!({
                    "carrier": carrier,
                    "state": place.map(|place| self.carrier_word(now, place)),
                    "since": since(halted.map(|halted| halted.since_ms)),
                })
            }
            Steer::CarrierResume { carrier } => json!({
                "carrier": carrier,
                "resumed": before.halted(carrier).is_some(),
            }),
            Steer::AccountSuspend { account, unbind } => {
                let place = self.account_by_text(account).filter(|_| *unbind);
                let unbound = place.map_or(0, |place| self.unbind_all(now, place));
                json!({
                    "account": account,
                    "since": since(self.orders().suspended_ms(account)),
                    "unbound": unbound,
                })
            }
            Steer::AccountClose { account, .. } => json!({
                "account": account,
                "closed": since(self.orders().closed_ms(account)),
            }),
            Steer::AccountRestore { account } => {
                let place = self.account_by_text(account);
                let state = place.map(|place| state_word(self.config.accounts[place].state));
                if before.suspended_ms(account).is_some() {
                    // Else the next message, over what is closed still, would suspend it at once.
                    self.forget_signals(now, account, None);
                }
                json!({
                    "account": account,
                    "restored": before.suspended_ms(account).is_some(),
                    "state": state,
                })
            }
            Steer::SenderSuspend { account, sender } => {
                let meant = MeantSender::Address(sender.clone());
                let sender = self.sender_meant(self.orders(), account, &meant).ok();
                let order = sender.and_then(|sender| self.orders().sender(account, &sender));
                json!({
                    "account": account,
                    "sender": sender.map(|sender| sender.text()),
                    "since": since(order.and_then(|order| order.since_ms())),
                })
            }
            Steer::SenderRestore { account, sender } => {
                let sender = self.sender_meant(before, account, sender).ok();
                let was = sender.filter(|sender| before.sender(account, sender).is_some());
                if was.is_some() {
                    // Else what is counted still would suspend it with its next message.
                    self.forget_signals(now, account, was);
                }
                json!({
                    "account": account,
                    "sender": sender.map(|sender| sender.text()),
                    "restored": was.is_some(),
                })
            }
            _ => json!({}),
        };
        fields(told)
    }

    /// The sender that an operator means, as these orders name it: by its address, or by what stands for it in a list.
    pub(super) fn sender_meant(
        &self,
        orders: &Orders,
        account: &str,
        meant: &MeantSender,
    ) -> Result<Sender, String> {
        match meant {
            // Of an account that is gone there may be an order.
            MeantSender::Named(sender) => Ok(*sender),
            MeantSender::Address(text) => {
                let place = self.known_account(account)?;
                let names = self.written_sender(place, text);
                let found = names.and_then(|names| sender_in(orders, account, &names));
                Ok(found.ok_or(NO_SENDER)?)
            }
        }
    }

    pub(super) fn known_carrier(&self, name: &str) -> Result<usize, String> {
        self.carrier_by_text(name)
            .ok_or_else(|| format!("there is no carrier {name:?}"))
    }

    pub(super) fn known_account(&self, name: &str) -> Result<usize, String> {
        self.account_by_text(name)
            .ok_or_else(|| format!("there is no account {name:?}"))
    }

    fn set_carrier_rate(&mut self, now: Now, name: &str, rate: Option<NonZeroU32>) -> Answer {
        let place = self.known_carrier(name)?;
        let configured = self.config.carriers[place].rate;
        self.carriers[place].set_rate_override(now, configured, rate);
        Ok(fields(json!({
            "carrier": name,
            "per_second": rate.or(configured),
            "configured": configured,
        })))
    }

    fn set_account_rate(&mut self, now: Now, name: &str, rate: Option<NonZeroU32>) -> Answer {
        let place = self.known_account(name)?;
        let configured = self.config.accounts[place].rate;
        self.accounts[place].set_rate_override(now, configured, rate);
        Ok(fields(json!({
            "account": name,
            "per_second": rate.or(configured),
            "configured": configured,
        })))
    }

    fn link_numbered(&self, number: u64) -> Option<(LinkId, Peer, Option<BindKind>)> {
        let mut links = self.links.iter();
        let (id, link) = links.find(|(_, link)| link.number == number)?;
        Some((id, link.peer, link.session.state().kind()))
    }

    /// Whose a bind is: an account's, or a carrier's.
    pub(super) fn whose_link(&self, number: u64) -> (Option<String>, Option<String>) {
        match self.link_numbered(number) {
            Some((_, Peer::Esme { account, .. }, _)) => {
                let name = account.map(|place| self.config.accounts[place].system_id.to_string());
                (name, None)
            }
            Some((_, Peer::Carrier { carrier, .. }, _)) => {
                (None, Some(self.config.carriers[carrier].name.to_string()))
            }
            None => (None, None),
        }
    }

    /// Unbinds a bound link: a client's at once, a carrier's once it has answered everything.
    fn close_bind(&mut self, now: Now, number: u64) -> Answer {
        match self.link_numbered(number) {
            Some((
                id,
                Peer::Esme {
                    account: Some(account),
                    ..
                },
                Some(_),
            )) => self.shut_esme(now, id, account),
            Some((id, Peer::Carrier { .. }, Some(_))) => self.leave_link(now, id),
            _ => return Err(format!("there is no bind {number}: see `bind list`")),
        }
        Ok(fields(json!({ "closing": number })))
    }
}
