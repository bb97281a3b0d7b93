//! Keeping a link to a carrier: connect, bind, run, and after its end again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use tidegate_codec::values::BindKind;
use tidegate_config::{Carrier, Endpoint, Host};
use tidegate_store::disk::Disk;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::carrier::Reconnect;
use crate::link;
use crate::links::End;
use crate::serve::Hub;
use crate::telemetry::words::{LinkClosed, Word};

/// Keeps one link slot of a carrier connected and bound until `stop`. The addresses are tried in turn.
pub async fn run<D: Disk>(
    hub: Rc<Hub<D>>,
    carrier: usize,
    kind: BindKind,
    mut rng: ChaCha20Rng,
    mut stop: watch::Receiver<bool>,
) {
    let Some(config) = hub.with_gate(|gate, _| gate.config().carriers.get(carrier).cloned()) else {
        return;
    };
    let mut reconnect = Reconnect::new(config.reconnect_min, config.reconnect_max);
    let mut addresses = config.addresses.iter().cycle();
    loop {
        let Some(endpoint) = addresses.next() else { return };
        let connected = tokio::select! {
            connected = tokio::time::timeout(config.connect, connect(&config, endpoint)) => connected,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (end, was_bound) = match connected {
            Ok(Ok(stream)) => match hub.with_gate(|gate, now| gate.open_carrier(now, carrier, kind)) {
                Some(id) => link::run(Rc::clone(&hub), id, stream).await,
                None => return,
            },
            Ok(Err(error)) => {
                tracing::warn!(carrier = %config.name, address = %endpoint, kind = ?error.kind(), "cannot connect");
                (End::Lost, false)
            }
            Err(_) => {
                tracing::warn!(carrier = %config.name, address = %endpoint, "no connection in time");
                (End::Lost, false)
            }
        };
        if *stop.borrow() {
            return;
        }
        let pause = reconnect.after(end, was_bound, &mut rng);
        tracing::info!(carrier = %config.name, end = LinkClosed::from(end).label(), ?pause, "carrier link ended");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connect(config: &Carrier, endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(endpoint).await? {
        match open(address, config.local_address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
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
