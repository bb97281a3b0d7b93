//! Taking ESMEs' connections in, as many as the limits allow.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::{Limits, Listener};
use tidegate_store::disk::Disk;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::MissedTickBehavior;

use crate::link;
use crate::links::{End, LinkId};
use crate::origin::{Crowd, Origin};
use crate::serve::Hub;
use crate::telemetry::words::{ConnectionRefused, Side, Word as _};
use crate::tls::{self, ServerTls};

/// Connections taken in one go, also such as are closed at once; then whoever is here already has a turn.
const ACCEPTED_AT_ONCE: u32 = 8;
/// Connections let in within [`ACCEPT_PACE`]; what more there are wait in the backlog. When a thousand come at once, each bind
/// answered is work for the loop, and who is bound already would wait behind all of them. What is closed at once does not
/// count: whoever is banned or over a limit must not be able to hold the others up.
const ADMITTED_AT_ONCE: u32 = 2;
/// How long a socket is let be after so many: 500 connections a second.
const ACCEPT_PACE: Duration = Duration::from_millis(4);
/// Connections that the system keeps until they are taken: eight seconds' worth. (It takes no more than its `somaxconn` says.)
/// One that finds no place there tries again after a second, then after three.
const BACKLOG: i32 = 4_096;
/// Pause after a failed accept: out of file descriptors, mostly, and a tight loop would not mend that.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets where ESMEs connect, by the address that the configuration gives.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    open: RefCell<Vec<Open>>,
    /// TLS handshakes under way.
    handshakes: Rc<Cell<usize>>,
}

/// One of them.
#[derive(Debug)]
struct Open {
    address: SocketAddr,
    close: watch::Sender<bool>,
    tls: Secured,
}

/// What new connections of a listener are protected by; `None` is nothing. A reload changes it.
type Secured = Rc<RefCell<Option<Arc<ServerTls>>>>;

/// A handshake that is counted as long as it lasts.
struct UnderWay(Rc<Cell<usize>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Listeners {
    /// Whether one listens there.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        self.open.borrow().iter().any(|there| there.address == address)
    }

    /// Closes those that the configuration does not have. Connections that came through them stay.
    pub(crate) fn close_others(&self, configured: &[Listener]) {
        self.open.borrow_mut().retain(|open| {
            let stays = configured.iter().any(|there| there.address == open.address);
            if !stays {
                open.close.send_replace(true);
            }
            stays
        });
    }

    /// What those in the place of each of the configuration's listeners are protected by: new connections at once. Of an
    /// address that stands there twice (port 0) the first is the first.
    pub(crate) fn set_tls(&self, configured: &[Listener], tls: &[Option<Arc<ServerTls>>]) {
        let open = self.open.borrow();
        let mut taken = vec![false; open.len()];
        for (listener, tls) in configured.iter().zip(tls) {
            let is_it = |place: &usize| !taken[*place] && open[*place].address == listener.address;
            if let Some(place) = (0..open.len()).find(is_it) {
                taken[place] = true;
                open[place].tls.borrow_mut().clone_from(tls);
            }
        }
    }

    fn begin_handshake(&self) -> UnderWay {
        self.handshakes.set(self.handshakes.get() + 1);
        UnderWay(Rc::clone(&self.handshakes))
    }
}

/// Takes connections from a socket until `stop`, or until the configuration does not have its address any more. On a
/// `LocalSet`.
pub(crate) fn open<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    address: SocketAddr,
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerTls>>,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    // The standard library asks for 128.
    rustix::net::listen(&listener, BACKLOG)?;
    let listener = TcpListener::from_std(listener)?;
    let (close, mut closed) = watch::channel(false);
    let tls = Rc::new(RefCell::new(tls));
    let opened = Open {
        address,
        close,
        tls: Rc::clone(&tls),
    };
    hub.listeners.open.borrow_mut().push(opened);
    let running = run(Rc::clone(hub), listener, tls, stop.clone());
    spawn_local(async move {
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => {}
            () = running => {}
        }
    });
    Ok(())
}

/// Accepts until `stop`. What is over a limit is closed at once and counted: before a bind nobody is owed
/// an answer.
async fn run<D: Disk>(hub: Rc<Hub<D>>, listener: TcpListener, tls: Secured, mut stop: watch::Receiver<bool>) {
    let mut pace = tokio::time::interval(ACCEPT_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut in_a_row, mut admitted) = (0, 0);
    loop {
        if admitted == ADMITTED_AT_ONCE {
            (in_a_row, admitted) = (0, 0);
            // At once where that long has gone by since the last time.
            pace.tick().await;
        }
        if in_a_row == ACCEPTED_AT_ONCE {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
        in_a_row += 1;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let tls = tls.borrow().clone();
                if let Some(id) = admit(&hub, peer, tls.is_some()) {
                    admitted += 1;
                    // A turn's output leaves in one write; Nagle would hold it back (interop part 5).
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY");
                    }
                    let hub = Rc::clone(&hub);
                    match tls {
                        None => drop(spawn_local(link::run(hub, id, stream))),
                        Some(tls) => {
                            // Here and not in its task: more may be accepted before that runs.
                            let tls = (tls, hub.listeners.begin_handshake());
                            drop(spawn_local(secure(hub, id, stream, tls, stop.clone())));
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "accept failed");
                if !is_passing(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Shakes hands and runs the link. Meanwhile it counts as one that is not bound; its time to bind runs.
async fn secure<D: Disk>(
    hub: Rc<Hub<D>>,
    id: LinkId,
    stream: TcpStream,
    (tls, under_way): (Arc<ServerTls>, UnderWay),
    mut stop: watch::Receiver<bool>,
) {
    let config = tls.config(hub.now().unix_ms);
    let within = hub.look(|gate, _| {
        let limits = &gate.config().limits;
        limits.tls_handshake.min(limits.session_init)
    });
    let shaken = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        shaken = tls::accept(config, stream, within) => Some(shaken),
    };
    drop(under_way);
    match shaken {
        Some(Ok((stream, transport))) => {
            hub.look(|gate, _| gate.secured(id, transport, tls.exception_for(transport)));
            link::run_sealed(hub, id, stream).await;
        }
        Some(Err(why)) => {
            hub.look(|gate, _| gate.tally_mut().handshakes.add((Side::Esme, why)));
            tracing::debug!(result = why.label(), "no TLS handshake");
            hub.closed(id, End::Handshake);
        }
        None => {
            hub.closed(id, End::Shutdown);
        }
    }
}

/// A connection that ended before it was taken says nothing about the next one.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn admit<D: Disk>(hub: &Hub<D>, peer: SocketAddr, is_sealed: bool) -> Option<LinkId> {
    let ip = peer.ip();
    let handshakes = hub.listeners.handshakes.get();
    hub.with_gate(|gate, now| {
        let origin = Origin::from(ip);
        let refusal = if gate.is_stopping() {
            Some(ConnectionRefused::ShuttingDown)
        } else if gate.is_banned(now, origin) {
            Some(ConnectionRefused::Banned)
        } else {
            let crowd = gate.crowd(origin);
            let limits = &gate.config().limits;
            let too_many = is_sealed && handshakes >= limits.max_handshakes;
            over_a_limit(limits, crowd).or_else(|| too_many.then_some(ConnectionRefused::Handshakes))
        };
        if let Some(reason) = refusal {
            gate.connection_refused(reason);
            return None;
        }
        let id = gate.open_esme(now, ip);
        gate.connected(id, peer);
        Some(id)
    })
}

fn over_a_limit(limits: &Limits, crowd: Crowd) -> Option<ConnectionRefused> {
    if crowd.all >= limits.max_connections {
        Some(ConnectionRefused::Full)
    } else if crowd.from_here >= limits.max_connections_per_ip {
        Some(ConnectionRefused::PerIp)
    } else if crowd.unbound_from_here >= limits.max_unbound_per_ip {
        Some(ConnectionRefused::UnboundPerIp)
    } else {
        None
    }
}
