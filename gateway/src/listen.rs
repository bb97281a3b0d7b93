//! Taking ESMEs' connections in, as many as the limits allow.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tidegate_config::{Limits, Listener};
use tidegate_store::disk::Disk;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::link;
use crate::origin::{Crowd, Origin};
use crate::serve::Hub;
use crate::telemetry::words::ConnectionRefused;

/// Pause after a failed accept: out of file descriptors, mostly, and a tight loop would not mend that.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets where ESMEs connect, by the address that the configuration gives.
#[derive(Debug, Default)]
pub(crate) struct Listeners(RefCell<Vec<(SocketAddr, watch::Sender<bool>)>>);

impl Listeners {
    /// Whether one listens there.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        self.0.borrow().iter().any(|(there, _)| *there == address)
    }

    /// Closes those that the configuration does not have. Connections that came through them stay.
    pub(crate) fn close_others(&self, configured: &[Listener]) {
        self.0.borrow_mut().retain(|(address, close)| {
            let stays = configured.iter().any(|there| there.address == *address);
            if !stays {
                close.send_replace(true);
            }
            stays
        });
    }
}

/// Takes connections from a socket until `stop`, or until the configuration does not have its address any more. On a
/// `LocalSet`.
pub(crate) fn open<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    address: SocketAddr,
    listener: std::net::TcpListener,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let (close, mut closed) = watch::channel(false);
    hub.listeners.0.borrow_mut().push((address, close));
    let running = run(Rc::clone(hub), listener, stop.clone());
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
pub async fn run<D: Disk>(hub: Rc<Hub<D>>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(id) = admit(&hub, peer.ip()) {
                    // A turn's output leaves in one write; Nagle would hold it back (interop part 5).
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY");
                    }
                    let hub = Rc::clone(&hub);
                    spawn_local(link::run(hub, id, stream));
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

/// A connection that ended before it was taken says nothing about the next one.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn admit<D: Disk>(hub: &Hub<D>, ip: IpAddr) -> Option<crate::links::LinkId> {
    hub.with_gate(|gate, now| {
        let origin = Origin::from(ip);
        let refusal = if gate.is_stopping() {
            Some(ConnectionRefused::ShuttingDown)
        } else if gate.is_banned(now, origin) {
            Some(ConnectionRefused::Banned)
        } else {
            over_a_limit(&gate.config().limits, gate.crowd(origin))
        };
        if let Some(reason) = refusal {
            gate.connection_refused(reason);
            return None;
        }
        Some(gate.open_esme(now, ip))
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
