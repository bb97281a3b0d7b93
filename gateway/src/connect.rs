//! Keeping a carrier's links: connect, bind, run, and after its end again; as many as the configuration asks for, made
//! with what it says now.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rand_chacha::ChaCha20Rng;
use tidegate_codec::values::BindKind;
use tidegate_config::{Carrier, CarrierBinds, CarrierName, Endpoint, Host, Transport};
use tidegate_store::disk::Disk;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::spawn_local;
use tokio_rustls::client::TlsStream;

use crate::carrier::Reconnect;
use crate::gate::Gate;
use crate::link;
use crate::links::{End, LinkId};
use crate::random;
use crate::serve::Hub;
use crate::telemetry::words::{Handshake, LinkClosed, Side, Word};
use crate::tls::{self, ClientTls};

/// How often it is looked whether a link that took another one's place is bound.
const LOOK: Duration = Duration::from_millis(20);

/// The slots for links of all carriers, each kept by one task.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Carrier's place and number of the link, of those that have their task.
    kept: RefCell<HashSet<(usize, usize)>>,
    /// Told when the configuration has changed.
    changes: watch::Sender<u64>,
    changed: Cell<u64>,
    /// Whoever replaces a link of a carrier holds its lock: the others carry on meanwhile.
    turns: RefCell<HashMap<usize, Arc<Mutex<()>>>>,
    /// What connections to carriers are sealed with, of those that have it.
    tls: RefCell<HashMap<CarrierName, Arc<ClientTls>>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            kept: RefCell::default(),
            changes: watch::Sender::new(0),
            changed: Cell::new(0),
            turns: RefCell::default(),
            tls: RefCell::default(),
        }
    }
}

impl Slots {
    /// What new connections to carriers are sealed with, in the order of the configuration.
    pub(crate) fn set_tls(&self, configured: &[Carrier], tls: &[Option<Arc<ClientTls>>]) {
        let sealed = configured.iter().zip(tls);
        let sealed = sealed.filter_map(|(carrier, tls)| Some((carrier.name.clone(), tls.clone()?)));
        *self.tls.borrow_mut() = sealed.collect();
    }

    fn turn(&self, carrier: usize) -> Arc<Mutex<()>> {
        Arc::clone(self.turns.borrow_mut().entry(carrier).or_default())
    }
}

/// The links that a carrier's configuration asks for, as what we bind each.
pub fn link_kinds(binds: CarrierBinds, links: usize) -> Vec<BindKind> {
    let kinds: &[BindKind] = match binds {
        CarrierBinds::Transceiver => &[BindKind::Transceiver],
        CarrierBinds::Pair => &[BindKind::Transmitter, BindKind::Receiver],
    };
    (0..links).flat_map(|_| kinds.iter().copied()).collect()
}

/// Starts a task for every slot that has none, and has the others look at the configuration. On a `LocalSet`.
pub fn fill<D: Disk + 'static>(hub: &Rc<Hub<D>>, rng: &mut ChaCha20Rng, stop: &watch::Receiver<bool>) {
    let slots = &hub.slots;
    slots.changed.set(slots.changed.get() + 1);
    slots.changes.send_replace(slots.changed.get());
    for slot in hub.look(|gate, _| gate.link_slots()) {
        if slots.kept.borrow_mut().insert(slot) {
            let (hub, rng, stop) = (Rc::clone(hub), random::fork(rng), stop.clone());
            spawn_local(async move {
                keep(&hub, slot, rng, stop).await;
                hub.slots.kept.borrow_mut().remove(&slot);
            });
        }
    }
}

/// Fills the slots of carriers that an operator has go on, as often as that happens. On a `LocalSet`.
pub async fn refill<D: Disk + 'static>(hub: Rc<Hub<D>>, mut rng: ChaCha20Rng, stop: watch::Receiver<bool>) {
    loop {
        hub.relink.notified().await;
        fill(&hub, &mut rng, &stop);
    }
}

/// What a link is made with.
struct Plan {
    carrier: Carrier,
    kind: BindKind,
    revision: u64,
}

impl<D: Disk> Gate<D> {
    fn link_slots(&self) -> Vec<(usize, usize)> {
        let places = self.config.carriers.iter().zip(&self.carriers).enumerate();
        places
            .filter(|(_, (_, state))| !state.removed && !state.is_drained)
            .flat_map(|(place, (config, _))| {
                (0..link_kinds(config.binds, config.links).len()).map(move |slot| (place, slot))
            })
            .collect()
    }

    /// What the link of a slot is to be made with now; `None` when there is no such slot any more.
    fn link_plan(&self, (place, slot): (usize, usize)) -> Option<Plan> {
        let state = self.carriers.get(place)?;
        if state.removed || state.is_drained {
            return None;
        }
        let carrier = self.config.carriers.get(place)?;
        Some(Plan {
            kind: link_kinds(carrier.binds, carrier.links).get(slot).copied()?,
            carrier: carrier.clone(),
            revision: state.revision,
        })
    }

    fn is_settled(&self, id: LinkId) -> bool {
        self.links
            .get(id)
            .is_none_or(|link| link.was_bound || link.end.is_some())
    }
}

/// Keeps one link of a carrier connected and bound until `stop`, or until the configuration has no place for it. The
/// addresses are tried in turn.
async fn keep<D: Disk>(
    hub: &Rc<Hub<D>>,
    slot: (usize, usize),
    mut rng: ChaCha20Rng,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = hub.slots.changes.subscribe();
    let mut tries: Option<(u64, usize, Reconnect)> = None;
    // Held from before a link is left until another has taken its place.
    let mut turn: Option<OwnedMutexGuard<()>> = None;
    loop {
        changes.mark_unchanged();
        let Some(plan) = hub.look(|gate, _| gate.link_plan(slot)) else {
            return;
        };
        let Plan {
            carrier: config,
            kind,
            revision,
        } = &plan;
        let (min, max) = (config.reconnect_min, config.reconnect_max);
        let (_, tried, reconnect) = match &mut tries {
            Some(tries) if tries.0 == *revision => tries,
            tries => tries.insert((*revision, 0, Reconnect::new(min, max))),
        };
        reconnect.set_pauses(min, max);
        let Some(endpoint) = config.addresses.get(*tried % config.addresses.len().max(1)) else {
            return;
        };
        *tried += 1;
        let connected = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = outdated(hub, slot, *revision, &mut changes) => continue,
            connected = reach(hub, config, endpoint) => connected,
        };
        let mut link = None;
        let (end, was_bound) = match connected {
            Ok(stream) => match hub.with_gate(|gate, now| gate.open_carrier(now, slot.0, *kind)) {
                Some(id) => {
                    link = Some(hub.look(|gate, _| gate.link_number(id)));
                    run(hub, slot, *revision, (id, stream), &mut changes, &mut turn).await
                }
                None => return,
            },
            Err(Unreached::Io(error)) => {
                tracing::warn!(carrier = %config.name, address = %endpoint, kind = ?error.kind(), "cannot connect");
                (End::Lost, false)
            }
            Err(Unreached::Late) => {
                tracing::warn!(carrier = %config.name, address = %endpoint, "no connection in time");
                (End::Lost, false)
            }
            Err(Unreached::Clear) => {
                tracing::error!(carrier = %config.name, address = %endpoint, "not spoken to in clear text: its exception (clear_text) is over, or it has none");
                (End::Lost, false)
            }
            Err(Unreached::Handshake(result, why)) => {
                hub.look(|gate, _| gate.tally_mut().handshakes.add((Side::Carrier, result)));
                tracing::warn!(carrier = %config.name, address = %endpoint, why, "no TLS handshake");
                (End::Handshake, false)
            }
        };
        if *stop.borrow() {
            return;
        }
        if !is_current(hub, slot, *revision) {
            tracing::info!(carrier = %config.name, link, "carrier link left for a change of the configuration, or an operator's word");
            continue;
        }
        turn = None;
        let pause = reconnect.after(end, was_bound, &mut rng);
        tracing::info!(carrier = %config.name, link, end = LinkClosed::from(end).label(), ?pause, "carrier link ended");
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = outdated(hub, slot, *revision, &mut changes) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs a link to its end. When the configuration has another one for its slot it is left: nothing new goes to it, what
/// is under way is waited for, then it is unbound; of one carrier one after the other.
async fn run<D: Disk>(
    hub: &Rc<Hub<D>>,
    slot: (usize, usize),
    revision: u64,
    (id, stream): (LinkId, Stream),
    changes: &mut watch::Receiver<u64>,
    turn: &mut Option<OwnedMutexGuard<()>>,
) -> (End, bool) {
    if let Some(address) = stream.peer() {
        hub.look(|gate, _| gate.connected(id, address));
    }
    let mut running = pin!(async {
        match stream {
            Stream::Clear(stream) => link::run(Rc::clone(hub), id, stream).await,
            Stream::Sealed(stream) => {
                hub.look(|gate, _| gate.secured(id, Transport::Tls13, None));
                link::run_sealed(Rc::clone(hub), id, *stream).await
            }
        }
    });
    if turn.is_some() {
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = settled(hub, id) => {}
        }
        *turn = None;
    }
    tokio::select! {
        biased;
        ended = &mut running => return ended,
        () = outdated(hub, slot, revision, changes) => {}
    }
    // One that nothing follows waits for nobody.
    if hub.look(|gate, _| gate.link_plan(slot)).is_some() {
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            held = hub.slots.turn(slot.0).lock_owned() => *turn = Some(held),
        }
    }
    hub.with_gate(|gate, now| gate.leave_link(now, id));
    running.await
}

/// Done when the configuration has no place for what this revision made.
async fn outdated<D: Disk>(
    hub: &Hub<D>,
    slot: (usize, usize),
    revision: u64,
    changes: &mut watch::Receiver<u64>,
) {
    while is_current(hub, slot, revision) {
        // The sender lives in the hub.
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn is_current<D: Disk>(hub: &Hub<D>, slot: (usize, usize), revision: u64) -> bool {
    let plan = hub.look(|gate, _| gate.link_plan(slot));
    plan.is_some_and(|plan| plan.revision == revision)
}

/// Done when a link is bound, or will not be.
async fn settled<D: Disk>(hub: &Hub<D>, id: LinkId) {
    while !hub.look(|gate, _| gate.is_settled(id)) {
        tokio::time::sleep(LOOK).await;
    }
}

/// A connection to a carrier.
enum Stream {
    Clear(TcpStream),
    Sealed(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The other end, unless it has gone already.
    fn peer(&self) -> Option<SocketAddr> {
        let stream = match self {
            Self::Clear(stream) => stream,
            Self::Sealed(stream) => stream.get_ref().0,
        };
        stream.peer_addr().ok()
    }
}

/// Why there is none.
enum Unreached {
    Io(io::Error),
    Late,
    /// It is elsewhere, and nothing lets it be in clear text.
    Clear,
    Handshake(Handshake, &'static str),
}

/// Connects, and shakes hands where the configuration has TLS: each within `connect`.
async fn reach<D: Disk>(hub: &Hub<D>, config: &Carrier, endpoint: &Endpoint) -> Result<Stream, Unreached> {
    let exception = config.clear_text.as_ref();
    let may_leave = config.tls.is_some() || exception.is_some_and(|it| it.holds(hub.now().unix_ms));
    let connecting = tokio::time::timeout(config.connect, connect(config, endpoint, may_leave));
    let stream = connecting.await.map_err(|_| Unreached::Late)??;
    if config.tls.is_none() {
        return Ok(Stream::Clear(stream));
    }
    let tls = hub.slots.tls.borrow().get(&config.name).cloned();
    // It is set with the configuration; without it nothing is said in clear.
    let tls = tls.ok_or(Unreached::Handshake(Handshake::Failed, "its files are not read"))?;
    match tls::connect(&tls, endpoint.host(), stream, config.connect).await {
        Ok(stream) => Ok(Stream::Sealed(Box::new(stream))),
        Err((result, why)) => Err(Unreached::Handshake(result, why)),
    }
}

/// Connects to the first address that takes it; to one that is not this machine if it `may_leave` it.
async fn connect(config: &Carrier, endpoint: &Endpoint, may_leave: bool) -> Result<TcpStream, Unreached> {
    let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut last = Unreached::Io(error);
    for address in resolve(endpoint).await.map_err(Unreached::Io)? {
        if !may_leave && !address.ip().to_canonical().is_loopback() {
            last = Unreached::Clear;
            continue;
        }
        match open(address, config.local_address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Unreached::Io(error),
        }
    }
    Err(last)
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    match endpoint.host() {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, endpoint.port())]),
        Host::Name(name) => Ok(tokio::net::lookup_host((name.as_str(), endpoint.port()))
            .await?
            .collect()),
    }
}

async fn open(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await
}
