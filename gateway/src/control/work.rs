//! What the loop does for the control socket, a little in every turn.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidegate_codec::values::MessageState;
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::spawn_local;

use super::census::Census;
use super::disclosed::disclose;
use super::exporting::export;
use super::given_up::GivingUp;
use super::keys::ordered;
use super::legal::matter;
use super::noted::Noted;
use super::people::act;
use super::retention::retain;
use super::steering;
use super::subjecting::subject;
use super::suppression;
use super::test_message::follow;
use super::{
    Answer, CONNECTIONS_MAX, Request, Selection, Verb, accessing, casing, noticing, trace, withheld,
};
use crate::access::end_of_token;
use crate::admin::{self, Tokens};
use crate::audit::{AuditHandle, actor};
use crate::clock::Now;
use crate::control::not_done;
use crate::dlr::ReceiptNote;
use crate::explain::{Live, Question, explain};
use crate::gate::Gate;
use crate::keeper::RingOrder;
use crate::life::is_in_line;
use crate::quota;
use crate::random::fork;
use crate::reload::Reloader;
use crate::router::CarrierIndex;
use crate::serve::Hub;

/// Requests under way at most: one for each connection of both doors, and some that nobody waits for any more.
const UNDER_WAY_MAX: usize = 2 * (CONNECTIONS_MAX + admin::LIMITS.connections);
/// Places of the tables that are looked at between two turns: a fraction of a millisecond.
const LOOK_MAX: usize = 4_096;
/// Accounts whose use is told between two turns.
const USAGE_MAX: usize = 128;
/// Messages that are ended or moved between two turns.
const CHANGE_MAX: usize = 500;
/// How long to wait where a batch has no room.
const PAUSE: Duration = Duration::from_millis(20);
/// And how long at most.
pub(super) const FULL_MAX: Duration = Duration::from_secs(10);

/// Answers requests until nobody can ask any more. As many are under way as there are connections, and those that were given
/// up and have not come to where they can stop; [`UNDER_WAY_MAX`] in all. Changes go one after the other.
pub async fn answer<D: Disk + 'static>(
    hub: Rc<Hub<D>>,
    reloader: Reloader<D>,
    audit: AuditHandle,
    requests: mpsc::Receiver<Request>,
) {
    let changing = Rc::new(Mutex::new(reloader));
    let explaining = Arc::new(Mutex::new(()));
    let begin = |request| {
        let (changing, explaining) = (Rc::clone(&changing), Arc::clone(&explaining));
        answer_one(Rc::clone(&hub), changing, explaining, audit.clone(), request)
    };
    each(requests, UNDER_WAY_MAX, begin).await;
}

/// Begins the work of each request, so many at a time: what comes beyond them waits in the channel, whose bound refuses more.
async fn each<R, F>(mut requests: mpsc::Receiver<R>, most: usize, begin: impl Fn(R) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let places = Arc::new(Semaphore::new(most));
    loop {
        // Before a request is taken out: what waits is what was not begun. It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(request) = requests.recv().await else {
            return;
        };
        let work = begin(request);
        spawn_local(async move {
            work.await;
            drop(place);
        });
    }
}

async fn answer_one<D: Disk + 'static>(
    hub: Rc<Hub<D>>,
    changing: Rc<Mutex<Reloader<D>>>,
    explaining: Arc<Mutex<()>>,
    audit: AuditHandle,
    request: Request,
) {
    let Request {
        verb,
        who,
        role,
        mut answer,
    } = request;
    let noted = Noted::of(&hub, &verb, &who);
    let giving_up = GivingUp::default();
    let work = async {
        // Before its effect can be seen (AUD-1), and without it there is none (AUD-6).
        if let Some(noted) = &noted {
            audit.enter(vec![noted.asked()]).await?;
        }
        match &verb {
            Verb::Inspect => Ok(inspect(&hub).await),
            Verb::Board => board(&hub).await,
            Verb::Explain(question) => explain_route(&hub, explaining, question).await,
            Verb::Send { message, receipt } => {
                hub.with_gate(|gate, now| gate.send_test(now, message, *receipt))
            }
            Verb::Follow { number, known } => follow(&hub, *number, known).await,
            Verb::Usage { account } => usage(&hub, account.as_deref()).await,
            Verb::Expire(selection) => {
                let _alone = changing.lock().await;
                expire(&hub, selection).await
            }
            Verb::Move { from, to, account } => {
                let _alone = changing.lock().await;
                carry_over(&hub, from, to, account.as_deref()).await
            }
            Verb::Reload { dry_run, file } => {
                let mut reloader = changing.lock().await;
                Ok(reloader.reload(*dry_run, file.as_deref(), &who).await.shown())
            }
            Verb::AuditCheckpoint => audit.checkpoint().await,
            Verb::AuditRead => Ok(Map::new()),
            // What only looks holds up nothing that changes.
            Verb::Deed(deed) if deed.kind.is_reading() => act(&hub, deed).await,
            Verb::Deed(deed) => {
                let _alone = changing.lock().await;
                act(&hub, deed).await
            }
            Verb::Steer(steer) => steering::steer(&hub, (&audit, &who), steer, &giving_up).await,
            Verb::Trace(trace) => {
                // What is in the audit log begins, or ends.
                if !trace.is_reading() {
                    giving_up.end();
                }
                trace::trace(&hub, trace).await
            }
            Verb::Retain(wanted) => retain(&hub, wanted).await,
            Verb::Export(exporting) => {
                // Half of it is never left lying.
                if !exporting.is_reading() {
                    giving_up.end();
                }
                export(&hub, (&audit, &who, role), exporting).await
            }
            Verb::Matter(wanted) => {
                // What is on disk and in the audit log is to hold, whoever waits for it.
                if !wanted.is_reading() {
                    giving_up.end();
                }
                matter(&hub, &audit, &who, wanted).await
            }
            Verb::Case(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                casing::case(&hub, (&audit, &who), wanted).await
            }
            Verb::Withheld(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                withheld(&hub, (&audit, &who), wanted).await
            }
            Verb::Subject(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                subject(&hub, (&audit, &who), wanted).await
            }
            Verb::Notice(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                noticing::notice(&hub, &who, wanted).await
            }
            Verb::Access(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                accessing::access(&hub, (&audit, &who), wanted).await
            }
            Verb::Disclose(wanted) => {
                if !wanted.is_reading() {
                    giving_up.end();
                }
                disclose(&hub, (&audit, &who), wanted).await
            }
            Verb::KekState => {
                let mut told = ordered(&hub, RingOrder::State).await?;
                told.insert("suppression".to_owned(), suppression::shown(&hub));
                Ok(told)
            }
            // What is in the ring is taken over, and what is retired goes, whoever waits for it.
            Verb::RotateSuppression => {
                let _alone = changing.lock().await;
                giving_up.end();
                suppression::rotate(&hub).await
            }
            Verb::RetireSuppression(generation) => {
                let _alone = changing.lock().await;
                giving_up.end();
                suppression::retire(&hub, *generation).await
            }
            Verb::RewriteSuppression => suppression::rewrite(&hub).await,
            // The keeper does one at a time, and nothing else waits for it.
            Verb::RotateKek(tier, kek) => {
                let (tier, kek, now_ms) = (*tier, kek.clone(), hub.now().unix_ms);
                let order = |answer| RingOrder::Rotate {
                    tier,
                    kek,
                    now_ms,
                    answer,
                };
                ordered(&hub, order).await
            }
            Verb::BanList => Ok(hub.look(|gate, now| gate.bans_shown(now))),
            Verb::BanAdd { origin, length } => hub
                .with_gate(|gate, now| gate.ban(now, *origin, *length))
                .map(|()| counted("banned", 1)),
            Verb::BanRemove { origin } => {
                let removed = hub.with_gate(|gate, now| gate.bans.remove(now.monotonic, *origin));
                Ok(Map::from_iter([("removed".to_owned(), json!(removed))]))
            }
            Verb::TokenAdd { name, role, days } => {
                let _alone = changing.lock().await;
                let (name, role, days, now_ms) = (name.clone(), *role, *days, hub.now().unix_ms);
                let mut rng = hub.with_gate(|gate, _| fork(&mut gate.rng));
                with_tokens(&hub, move |tokens| {
                    tokens.add(&name, role, days, now_ms, &mut rng)
                })
                .await
            }
            Verb::TokenList => with_tokens(&hub, |tokens| Ok(tokens.list())).await,
            Verb::TokenRevoke { name } => {
                let _alone = changing.lock().await;
                let of = name.clone();
                let revoke = move |tokens: &Tokens| {
                    let revoked = tokens.revoke(&of)?;
                    Ok(Map::from_iter([("revoked".to_owned(), json!(revoked))]))
                };
                giving_up.end();
                let revoked = with_tokens(&hub, revoke).await?;
                end_of_token(&hub, (&audit, &who), name).await?;
                Ok(revoked)
            }
        }
    };
    // Who has gone stops what was asked for, between two steps.
    let done = giving_up.or_done(&mut answer, work).await;
    if let Some(noted) = noted.and_then(|noted| noted.ended(done.as_ref()))
        && let Err(error) = audit.enter(vec![noted]).await
    {
        tracing::error!(
            error,
            "what became of a request cannot be entered in the audit log"
        );
    }
    if !matches!(&verb, Verb::Steer(steer) if steer.is_reading())
        && !matches!(&verb, Verb::Trace(trace) if trace.is_reading())
        && !matches!(&verb, Verb::Retain(retain) if retain.is_reading())
        && !matches!(&verb, Verb::Export(exporting) if exporting.is_reading())
        && !matches!(&verb, Verb::Matter(matter) if matter.is_reading())
        && !matches!(&verb, Verb::Subject(wanted) if wanted.is_reading())
        && !matches!(&verb, Verb::Notice(wanted) if wanted.is_reading())
        && !matches!(&verb, Verb::Case(wanted) if wanted.is_reading())
        && !matches!(&verb, Verb::Withheld(wanted) if wanted.is_reading())
        && !matches!(&verb, Verb::Access(wanted) if wanted.is_reading())
        && !matches!(&verb, Verb::Disclose(wanted) if wanted.is_reading())
        && !matches!(
            verb,
            Verb::Inspect
                | Verb::Board
                | Verb::Explain(_)
                | Verb::Follow { .. }
                | Verb::Usage { .. }
                | Verb::BanList
                | Verb::KekState
                | Verb::TokenList
        )
    {
        let is_done = done.as_ref().is_some_and(Result::is_ok);
        let what = match &verb {
            Verb::RotateKek(..) => json!("key rotate-kek"),
            verb => verb.request()["verb"].clone(),
        };
        let who = actor(&who);
        tracing::info!(verb = %what, who, is_done, "an operator's request");
    }
    if let Some(done) = done {
        let _ = answer.send(done);
    }
}

async fn inspect<D: Disk>(hub: &Hub<D>) -> Map<String, Value> {
    let (mut census, mut first) = (Census::default(), 0);
    while hub.look(|gate, now| census.take(gate, now, first, LOOK_MAX)) {
        first += LOOK_MAX;
        tokio::task::yield_now().await;
    }
    hub.look(|gate, _| census.shown(gate))
}

/// The board of this second.
async fn board<D: Disk>(hub: &Hub<D>) -> Answer {
    let board = hub.board().ok_or("this gateway has no board")?;
    board.shown(hub.now()).await
}

/// Answers for the messages that might come now, with what the gateway has at this moment. Ten thousand routes take
/// milliseconds to set up and to ask, so that is done on a thread where nobody waits for it.
async fn explain_route<D: Disk>(hub: &Hub<D>, explaining: Arc<Mutex<()>>, question: &Question) -> Answer {
    // One at a time, those that nobody waits for any more included.
    let alone = explaining.lock_owned().await;
    let (config, tables, live, now) = hub.look(|gate, now| {
        let (config, tables) = (Arc::clone(gate.config()), Arc::clone(gate.tables()));
        (config, tables, gate.live(now, &question.account), now)
    });
    let question = question.clone();
    let told = tokio::task::spawn_blocking(move || {
        let told = explain(&config, &tables, live, &question, now);
        drop(alone);
        told
    });
    told.await
        .unwrap_or_else(|error| Err(not_done(&error).to_owned()))
}

/// Does something about the admin listener's tokens where nobody waits for the disk.
async fn with_tokens<D: Disk>(hub: &Hub<D>, work: impl FnOnce(&Tokens) -> Answer + Send + 'static) -> Answer {
    let tokens = hub
        .tokens()
        .ok_or("this gateway has no admin listener: `http.admin_address`")?;
    tokio::task::spawn_blocking(move || work(&tokens))
        .await
        .unwrap_or_else(|error| Err(not_done(&error).to_owned()))
}

async fn usage<D: Disk>(hub: &Hub<D>, account: Option<&str>) -> Answer {
    let (mut next, end) = match account {
        Some(name) => {
            let place = hub.look(|gate, _| gate.account_by_text(name));
            let place = place.ok_or_else(|| format!("there is no account {name:?}"))?;
            (place, place + 1)
        }
        None => (0, usize::MAX),
    };
    let mut rows = Vec::new();
    loop {
        let seen = hub.look(|gate, now| {
            let places = next..end.min(gate.accounts().len()).min(next + USAGE_MAX);
            let row = |place: usize| {
                let state = &gate.accounts()[place];
                let used = |period| gate.spool().used(state.name, period);
                Value::Object(quota::shown(&gate.config().accounts[place], now, used))
            };
            let count = places.len();
            rows.extend(places.map(row));
            count
        });
        if seen == 0 {
            let mut out = Map::new();
            out.insert("accounts".to_owned(), Value::Array(rows));
            return Ok(out);
        }
        next += seen;
        tokio::task::yield_now().await;
    }
}

async fn expire<D: Disk>(hub: &Hub<D>, selection: &Selection) -> Answer {
    let account = hub
        .look(|gate, _| gate.account_by_text(&selection.account))
        .ok_or_else(|| format!("there is no account {:?}", selection.account))?;
    let older_ms = u64::try_from(selection.older_than.as_millis()).unwrap_or(u64::MAX);
    let ended = end_waiting(hub, account, older_ms, MessageState::Expired).await?;
    Ok(counted("expired", ended))
}

/// Ends an account's waiting messages that are so old, with their DLRs; says how many.
///
/// # Errors
///
/// In words for an operator: the spool is full or broken. Those before have ended.
pub(super) async fn end_waiting<D: Disk>(
    hub: &Hub<D>,
    account: usize,
    older_ms: u64,
    state: MessageState,
) -> Result<u64, String> {
    let (mut first, mut ended, mut waited) = (0, 0u64, Duration::ZERO);
    loop {
        let step = hub.with_gate(|gate, now| gate.end_some(now, account, (older_ms, state), first));
        match step {
            Step::Done(count) => return Ok(ended + count),
            Step::Next(next, count) => {
                ended += count;
                (first, waited) = (next, Duration::ZERO);
                tokio::task::yield_now().await;
            }
            // A turn makes room, unless the disk has none.
            Step::Full if waited < FULL_MAX => {
                tokio::time::sleep(PAUSE).await;
                waited += PAUSE;
            }
            Step::Full => return Err(format!("the spool is full; ended before: {ended}")),
            Step::Broken => return Err(format!("the spool is broken; ended before: {ended}")),
        }
    }
}

async fn carry_over<D: Disk>(hub: &Hub<D>, from: &str, to: &str, account: Option<&str>) -> Answer {
    let carrier = |name: &str| {
        hub.look(|gate, _| gate.carrier_by_text(name))
            .ok_or_else(|| format!("there is no carrier {name:?}"))
    };
    let (from, to) = (carrier(from)?, carrier(to)?);
    if from == to {
        return Err("both carriers are the same".to_owned());
    }
    let account = match account {
        Some(name) => {
            let found = hub.look(|gate, _| gate.account_by_text(name));
            Some(found.ok_or_else(|| format!("there is no account {name:?}"))?)
        }
        None => None,
    };
    // As many as stand there now: what comes meanwhile is routed as ever.
    let mut left = hub.look(|gate, _| gate.carriers()[from].waiting.len());
    let mut moved = 0u64;
    while left > 0 {
        let count = left.min(CHANGE_MAX);
        moved += hub.with_gate(|gate, now| gate.move_some(now, from, to, account, count));
        left -= count;
        tokio::task::yield_now().await;
    }
    Ok(counted("moved", moved))
}

fn counted(what: &str, count: u64) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert(what.to_owned(), json!(count));
    out
}

/// How far a change has come.
enum Step {
    /// So many more, and that was all.
    Done(u64),
    /// Where to go on, and so many more.
    Next(usize, u64),
    /// No room in the batch now.
    Full,
    /// Nothing can be written down any more.
    Broken,
}

impl<D: Disk> Gate<D> {
    /// What an explanation asks for besides the configuration.
    fn live(&mut self, now: Now, account: &str) -> Option<Live> {
        let account = self.account_by_text(account)?;
        let used = self.used(account, now);
        Some(Live {
            is_up: self.carriers.iter().map(|carrier| carrier.is_up(now)).collect(),
            rates: self.accounts[account].rates.clone(),
            countries: self.country_rates.clone(),
            quota_left: quota::left(&self.config.accounts[account].quota, used),
            turns: self.mt.turns().to_vec(),
            claims: self
                .keeping()
                .map(|keeping| Arc::clone(keeping.claims()))
                .unwrap_or_default(),
        })
    }

    pub(crate) fn account_by_text(&self, name: &str) -> Option<usize> {
        self.account_of(name.parse().ok()?)
    }

    pub(super) fn carrier_by_text(&self, name: &str) -> Option<usize> {
        let carriers = self.config().carriers.iter().zip(self.carriers());
        let mut places = carriers.map(|(carrier, state)| carrier.name.as_str() == name && !state.removed);
        places.position(|is_it| is_it)
    }

    /// Ends an account's waiting legs that are so old, from a place of the table on.
    fn end_some(
        &mut self,
        now: Now,
        account: usize,
        (older_ms, state): (u64, MessageState),
        first: usize,
    ) -> Step {
        if self.spool.is_broken() {
            return Step::Broken;
        }
        if !self.spool.has_batch_room() || !self.spool.has_progress_room() {
            return Step::Full;
        }
        let name = self.accounts[account].name;
        // Of a message in parts all is meant, or nothing.
        let is_meant = |id: LegId, leg: &Leg| {
            leg.account == name
                && leg.part().is_none()
                && self.is_ours(now, id, leg)
                && now.unix_ms.saturating_sub(leg.envelope.accepted_ms) >= older_ms
        };
        let index = self.spool.index();
        let legs: Vec<LegId> = index
            .slice(first, CHANGE_MAX)
            .filter(|(id, leg)| is_meant(*id, leg))
            .map(|(id, _)| id)
            .collect();
        let is_last = first + CHANGE_MAX >= index.places();
        for leg in &legs {
            let _ = self.end_ours(now, *leg, &ReceiptNote::new(state), false);
        }
        let count = legs.len() as u64;
        if is_last {
            Step::Done(count)
        } else {
            Step::Next(first + CHANGE_MAX, count)
        }
    }

    /// Takes so many legs from the front of one carrier's queue, all or one account's, and puts them behind the other's;
    /// says how many. They stay there as long as they wait: a try that fails, a carrier that comes or goes, and a
    /// restart ask the route again.
    fn move_some(&mut self, now: Now, from: usize, to: usize, account: Option<usize>, count: usize) -> u64 {
        let only = account.map(|account| self.accounts[account].name);
        let mut moved = 0;
        for _ in 0..count {
            let Some((leg, body)) = self.carriers[from].waiting.take(&self.weights, only) else {
                break;
            };
            let octets = body.as_ref().map_or(0, Bytes::len);
            self.hot_octets = self.hot_octets.saturating_sub(octets);
            // What has ended, or gone another way, stood there still.
            let found = self.spool.index().get(leg);
            if let Some(found) = found.filter(|leg| is_in_line(leg, now)) {
                // It may not go there: its route says where, as ever.
                let is_kept_out = self.is_kept_out(found, CarrierIndex(to));
                self.pinned.set(leg, !is_kept_out, self.spool.index());
                self.place(now, leg, body, (!is_kept_out).then_some(CarrierIndex(to)), false);
                moved += u64::from(!is_kept_out);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::sync::oneshot;
    use tokio::task::{LocalSet, yield_now};

    use super::*;

    #[tokio::test]
    async fn so_many_requests_are_under_way_and_the_next_waits_for_one_of_them() {
        let (ask, requests) = mpsc::channel(2);
        let begun: Rc<RefCell<Vec<u32>>> = Rc::default();
        let begins = Rc::clone(&begun);
        let begin = move |(number, over): (u32, oneshot::Receiver<()>)| {
            begins.borrow_mut().push(number);
            async move {
                let _ = over.await;
            }
        };
        let asking = async {
            let mut ends = Vec::new();
            let mut ask_next = |number| {
                let (end, over) = oneshot::channel();
                ends.push(end);
                ask.try_send((number, over)).is_ok()
            };
            for number in 0..3 {
                assert!(ask_next(number));
                yield_now().await;
                yield_now().await;
            }
            assert_eq!(*begun.borrow(), [0, 1, 2]);
            // Two may wait, and no more.
            assert!(ask_next(3) && ask_next(4));
            yield_now().await;
            assert!(!ask_next(5));
            assert_eq!(*begun.borrow(), [0, 1, 2]);
            // One that nobody waits for any more is under way until it ends.
            drop(ends.remove(1));
            while begun.borrow().len() < 4 {
                yield_now().await;
            }
            yield_now().await;
            assert_eq!(*begun.borrow(), [0, 1, 2, 3]);
            drop(ends);
            drop(ask);
        };
        let both = async { tokio::join!(each(requests, 3, begin), asking) };
        let local = LocalSet::new();
        let both = tokio::time::timeout(Duration::from_mins(1), local.run_until(both));
        assert!(both.await.is_ok());
    }
}
