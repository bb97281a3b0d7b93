//! One connection of an HTTP listener: a handshake where there is TLS, one request, its answer; each with a time of its own.
//!
//! Whoever reaches the address may begin a request, and only some may have one done: who dawdles before it is known who he is
//! keeps a place for the time of a head, not for that of the longest verb.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tidegate_config::Transport;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::crowd::{Crowd, FromHere, Place};
use super::leave::Leave;
use super::{HEAD_MAX, HEADERS_MAX, Limits};
use crate::clock::Clock;
use crate::telemetry::HttpMetrics;
use crate::telemetry::words::{Handshake, HttpCut};
use crate::tls::{self, ServerTls};

/// What new connections of a listener are protected by. A reload changes it.
#[derive(Clone, Debug)]
pub struct Seal {
    /// `None` is nothing.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Time of a handshake.
    pub(crate) within: Duration,
    /// Handshakes at a time; one more connection is closed at once.
    pub(crate) handshakes: usize,
    /// Connections of one address at a time; one more is closed at once.
    pub(crate) per_address: usize,
    /// Says whether an exception of its TLS still holds.
    pub(crate) clock: Clock,
}

/// What the connections of a listener share.
#[derive(Debug)]
pub(super) struct Door {
    router: Router,
    limits: Limits,
    metrics: HttpMetrics,
    seal: Option<watch::Receiver<Seal>>,
    /// Places of handshakes: as many as connections, of which a [`Seal`] may allow fewer.
    shaking: Arc<Semaphore>,
    crowd: Crowd,
}

/// A handshake that is to be made.
struct Handshaking {
    seal: Seal,
    tls: Arc<ServerTls>,
    _place: OwnedSemaphorePermit,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its request is not read yet.
    Head,
    /// Its request is answered.
    Work,
    /// Its answer is sent.
    Answer,
}

impl Door {
    pub(super) fn new(
        router: Router,
        limits: Limits,
        metrics: HttpMetrics,
        seal: Option<watch::Receiver<Seal>>,
    ) -> Self {
        Self {
            router,
            limits,
            metrics,
            seal,
            shaking: Arc::new(Semaphore::new(limits.connections)),
            crowd: Crowd::default(),
        }
    }

    /// Takes a connection in; what is to be done of it. `None` is a connection that is closed: it, or its handshake, would be one too
    /// many.
    ///
    /// `place` is its own among those that are served at a time, until it is over or takes [leave](Leave).
    pub(super) fn admit(
        &self,
        (stream, from): (TcpStream, IpAddr),
        place: Option<OwnedSemaphorePermit>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.metrics.accepted.increment(1);
        if let Some(unread) = self.limits.unread
            && let Err(error) = unread.bound(&stream)
        {
            // It is served all the same: every stage has a time of its own.
            tracing::debug!(%error, "http: what the system holds for a connection is not bounded");
        }
        // Before its handshake is made: that costs most.
        let from_here = match self.enter(from) {
            Ok(from_here) => from_here,
            Err(cut) => {
                self.metrics.cut.of(cut).increment(1);
                return None;
            }
        };
        let handshaking = match self.handshaking() {
            Ok(handshaking) => handshaking,
            Err(cut) => {
                self.metrics.cut.of(cut).increment(1);
                return None;
            }
        };
        let (router, limits, metrics) = (self.router.clone(), self.limits, self.metrics.clone());
        let leave = Leave::new(Some(Place::new(place, from_here)));
        Some(async move {
            let cut = match handshaking {
                None => serve(stream, router, limits, leave).await,
                Some(handshaking) => match handshaking.shake(stream, &metrics).await {
                    Some(stream) => serve(stream, router, limits, leave).await,
                    None => Some(HttpCut::Handshake),
                },
            };
            if let Some(cut) = cut {
                metrics.cut.of(cut).increment(1);
            }
        })
    }

    /// A connection's place among those of its address, where there is a bound of them.
    fn enter(&self, from: IpAddr) -> Result<Option<FromHere>, HttpCut> {
        let Some(most) = self.seal.as_ref().map(|seal| seal.borrow().per_address) else {
            return Ok(None);
        };
        let here = self.crowd.enter(from, most);
        here.map(Some).ok_or(HttpCut::Address)
    }

    /// The handshake that a connection needs, if it needs one.
    fn handshaking(&self) -> Result<Option<Handshaking>, HttpCut> {
        let seal = self.seal.as_ref().map(|seal| seal.borrow().clone());
        let Some((tls, seal)) = seal.and_then(|seal| Some((seal.tls.clone()?, seal))) else {
            return Ok(None);
        };
        let under_way = self.limits.connections - self.shaking.available_permits();
        let place = Arc::clone(&self.shaking).try_acquire_owned();
        match place {
            Ok(place) if under_way < seal.handshakes => Ok(Some(Handshaking {
                seal,
                tls,
                _place: place,
            })),
            _ => Err(HttpCut::Handshakes),
        }
    }
}

impl Handshaking {
    /// Shakes hands, and counts what became of it.
    async fn shake(
        self,
        stream: TcpStream,
        metrics: &HttpMetrics,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let config = self.tls.config(self.seal.clock.now().unix_ms);
        let (result, stream) = match tls::accept(config, stream, self.seal.within).await {
            Ok((stream, Transport::Tls13)) => (Handshake::Tls13, Some(stream)),
            Ok((stream, _)) => (Handshake::Tls12, Some(stream)),
            Err(why) => (why, None),
        };
        metrics.handshakes.of(result).increment(1);
        stream
    }
}

/// Says how far a connection is.
struct Staged {
    router: TowerToHyperService<Router>,
    reached: Arc<watch::Sender<Stage>>,
}

impl Service<Request<Incoming>> for Staged {
    type Response = Response<axum::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.reached.send_replace(Stage::Work);
        let answering = self.router.call(request);
        let reached = Arc::clone(&self.reached);
        Box::pin(async move {
            let answer = answering.await;
            reached.send_replace(Stage::Answer);
            answer
        })
    }
}

/// One request and its answer; why there was none, for the count: the peer may be anyone.
pub(super) async fn serve<S>(stream: S, router: Router, limits: Limits, leave: Leave) -> Option<HttpCut>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let reached = Arc::new(watch::Sender::new(Stage::Head));
    let late = late(limits, reached.subscribe(), leave.clone());
    let service = Staged {
        router: TowerToHyperService::new(router.layer(Extension(leave))),
        reached,
    };
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX)
        // Its own timer would know of the head only.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        ended = connection => ended.err().map(|error| ended_by(&error)),
        cut = late => Some(cut),
    }
}

/// Done when a connection has been in one stage, or in all of them, for too long, unless it has taken leave; and when that has
/// ended.
async fn late(limits: Limits, stage: watch::Receiver<Stage>, leave: Leave) -> HttpCut {
    tokio::select! {
        cut = too_long(limits, stage, &leave) => cut,
        () = leave.ended() => HttpCut::Answer,
    }
}

async fn too_long(limits: Limits, stage: watch::Receiver<Stage>, leave: &Leave) -> HttpCut {
    let mut reached = stage.clone();
    let stages = async {
        let head = reached.wait_for(|stage| *stage != Stage::Head);
        if timeout(limits.head, head).await.is_err() {
            return HttpCut::Head;
        }
        // Without a sender the connection has ended, and nobody asks.
        let _ = reached.wait_for(|stage| *stage == Stage::Answer).await;
        sleep(limits.answer).await;
        HttpCut::Answer
    };
    let cut = timeout(limits.whole, stages).await;
    if leave.is_taken() {
        return std::future::pending().await;
    }
    match cut {
        Ok(cut) => cut,
        Err(_) if *stage.borrow() == Stage::Answer => HttpCut::Answer,
        Err(_) => HttpCut::Request,
    }
}

/// What hyper could not read it has answered with 400 or 431; the rest is a peer that has gone.
fn ended_by(error: &hyper::Error) -> HttpCut {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        HttpCut::Malformed
    } else {
        HttpCut::Gone
    }
}
