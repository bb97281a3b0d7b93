//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.
//!
//! It serves whoever reaches the address, so it is bounded on every side: [`CONNECTIONS_MAX`] at a time
//! (further ones wait in the listener's backlog), one request each, [`HEAD_TIME`] for its head and [`REQUEST_TIME`] for all of
//! it, and a head of [`HEAD_MAX`] octets. Bodies of requests are never read. Nothing here waits for the loop: what
//! it shows is counted or noted elsewhere.

mod connection;
mod crowd;
mod health;
mod leave;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::telemetry::{HttpMetrics, Telemetry};

use connection::Door;

pub use connection::Seal;
pub use health::{CarrierLinks, Health, Phase, SpoolState, TURN_MISSING};
pub use leave::Leave;

/// Connections served at a time. A scraper needs one.
pub const CONNECTIONS_MAX: usize = 64;
/// From accepting a connection to the last octet of its answer.
pub const REQUEST_TIME: Duration = Duration::from_secs(5);
/// From accepting a connection to the last octet of its request's head.
pub const HEAD_TIME: Duration = Duration::from_secs(2);
/// Connections of the listener for metrics, and their times.
const LIMITS: Limits = Limits {
    connections: CONNECTIONS_MAX,
    head: HEAD_TIME,
    answer: REQUEST_TIME,
    whole: REQUEST_TIME,
    unread: None,
};
/// Octets of a request's line and headers; also what is buffered of a connection.
pub const HEAD_MAX: usize = 8 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// After a failed accept (no file descriptors left, mostly) the next try waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener serves at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's backlog.
    pub connections: usize,
    /// From accepting a connection, or from the end of its handshake, to the last octet of its request's head.
    pub head: Duration,
    /// For sending the answer: who does not read it is closed.
    pub answer: Duration,
    /// From the same beginning to the last octet of the answer.
    pub whole: Duration,
    /// What the system may hold for who does not read; `None` leaves it to the system.
    pub unread: Option<Unread>,
}

/// What the system may hold for a peer that does not read: by itself it is megabytes, and for as long as the peer likes.
#[derive(Clone, Copy, Debug)]
pub struct Unread {
    /// Octets that are held to be sent, roughly: the system takes its own share of them, too.
    pub octets: usize,
    /// A peer whose system acknowledges or has room for nothing for so long is gone.
    pub within: Duration,
}

impl Unread {
    fn bound(self, stream: &TcpStream) -> io::Result<()> {
        let millis = u32::try_from(self.within.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_socket_send_buffer_size(stream, self.octets)?;
        sockopt::set_tcp_user_timeout(stream, millis)?;
        Ok(())
    }
}

/// A listening socket that nobody is served at yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
}

#[derive(Clone)]
struct Shown {
    health: Arc<Health>,
    telemetry: Telemetry,
}

impl HttpServer {
    /// Listens; port 0 lets the system choose. On a tokio runtime.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Takes a socket that listens already, in non-blocking mode. On a tokio runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then finishes what has begun, which takes [`REQUEST_TIME`] at most.
    pub async fn serve(self, health: Arc<Health>, telemetry: Telemetry, stop: impl Future<Output = ()>) {
        let counted = HttpMetrics::new(&telemetry, "metrics");
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(Shown { health, telemetry });
        self.serve_door(
            &Door::new(router, LIMITS, counted, None),
            LIMITS.connections,
            stop,
        )
        .await;
    }

    /// Serves what a router does until `stop` is done, then finishes what has begun. Connections are protected by what `seal` has
    /// when they come.
    pub async fn serve_router(
        self,
        router: Router,
        limits: Limits,
        (metrics, seal): (HttpMetrics, watch::Receiver<Seal>),
        stop: impl Future<Output = ()>,
    ) {
        let door = Door::new(router, limits, metrics, Some(seal));
        self.serve_door(&door, limits.connections, stop).await;
    }

    async fn serve_door(self, door: &Door, most: usize, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(most));
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = self.accept(&places) => match accepted {
                    Ok((stream, place)) => {
                        if let Some(serving) = door.admit(stream, place) {
                            connections.spawn(serving);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "http: cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Nobody new, as soon as it is known that we go.
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    /// The next connection, once there is a place for it.
    async fn accept(&self, places: &Arc<Semaphore>) -> io::Result<(Accepted, Option<OwnedSemaphorePermit>)> {
        // It is never closed.
        let place = Arc::clone(places).acquire_owned().await.ok();
        let (stream, peer) = self.listener.accept().await?;
        Ok(((stream, peer.ip()), place))
    }
}

/// A connection and where it comes from.
type Accepted = (TcpStream, IpAddr);

type Answer = Result<(StatusCode, [(header::HeaderName, &'static str); 1], String), Infallible>;

/// The text form of Prometheus has a version of its own.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let text = shown.telemetry.render();
    Answer::Ok((StatusCode::OK, [(header::CONTENT_TYPE, METRICS_TYPE)], text))
}

async fn healthz(State(shown): State<Shown>) -> impl IntoResponse {
    answer(shown.health.alive())
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    answer(shown.health.ready())
}

fn answer((yes, text): (bool, String)) -> Answer {
    let status = if yes {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, [(header::CONTENT_TYPE, TEXT_TYPE)], text))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_stages;
