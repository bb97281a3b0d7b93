//! Who looks on while messages flow: a scraper of `/metrics` and one open dashboard. What they cost is what a cell
//! with `watched` uses more than the same without.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::gateway::{Gateway, LINK};
use super::options::Options;
use super::process::{DEADLINE, Process};
use super::system::Usage;
use super::{Fallible, Places, metrics, run};

/// Between two scrapes: Prometheus's own default is a minute, what people set is 15 s; this is far more often than either.
const SCRAPE: Duration = Duration::from_secs(1);

/// How long a gateway without traffic is looked at, watched and not.
const STRETCH: Duration = Duration::from_secs(10);

/// What watching costs by itself: CPU of a gateway without traffic, in turn alone and watched. A run under full load does
/// not show it: two such runs differ by more than it is.
pub(super) async fn run(options: &Options, places: &Places) -> Fallible<String> {
    let (_carrier, address) = run::carrier(places, LINK).await?;
    let gateway = Gateway::start(places, address, 500).await?;
    // So that the page has what traffic leaves there.
    let cell = options.cells.first().ok_or("no cell")?;
    run::load(places, cell, 20_000, gateway.smpp)?
        .finish(run::patience(cell, 20_000))
        .await?;
    let mut lines = String::new();
    for repetition in 1..=options.repeat {
        let id = run::quiet(gateway.process.id())
            .await
            .map(|_| gateway.process.id())?;
        let alone = used(id).await?;
        let watchers = gateway.watched(places, repetition).await?;
        let watched = used(id).await?;
        watchers.stop()?;
        lines.push_str(&format!(
            "{repetition}: alone {alone:.2} ms of CPU a second, scraped every second and with a dashboard open {watched:.2}\n"
        ));
    }
    gateway.process.kill().await?;
    Ok(lines)
}

/// Milliseconds of CPU that a process uses in a second.
async fn used(id: u32) -> Fallible<f64> {
    let before = Usage::read(id)?;
    sleep(STRETCH).await;
    let used = Usage::read(id)?.since(&before);
    Ok(used.as_secs_f64() * 1e3 / STRETCH.as_secs_f64())
}

/// Watchers at work until dropped.
#[derive(Debug)]
pub(super) struct Watchers {
    tasks: JoinSet<()>,
}

impl Watchers {
    /// Scrapes a gateway every second, and holds its dashboard's stream open; both have been answered once when this returns.
    pub(super) async fn start(
        places: &Places,
        config: &Path,
        http: SocketAddr,
        admin: SocketAddr,
        number: u32,
    ) -> Fallible<Self> {
        let token = token(places, config, number).await?;
        let mut tasks = JoinSet::new();
        metrics::get(http, "/metrics").await?;
        tasks.spawn(async move {
            let mut scrapes = interval(SCRAPE);
            scrapes.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                scrapes.tick().await;
                // Whoever misses one has the next.
                let _ = metrics::get(http, "/metrics").await;
            }
        });
        let mut board = timeout(DEADLINE, board(admin, &token)).await??;
        tasks.spawn(async move {
            let mut events = vec![0; 64 << 10];
            while board.read(&mut events).await.is_ok_and(|octets| octets > 0) {}
        });
        Ok(Self { tasks })
    }

    /// Ends them, and says if one had ended by itself: then nothing was watched.
    pub(super) fn stop(mut self) -> Fallible<()> {
        if self.tasks.try_join_next().is_some() {
            return Err("the dashboard's stream ended while messages flowed".into());
        }
        Ok(())
    }
}

/// A token for the dashboard, as an operator makes one.
async fn token(places: &Places, config: &Path, number: u32) -> Fallible<String> {
    let config = config.as_os_str();
    let name = format!("watcher{number}");
    let words = ["token", "add", &name, "--role", "read", "--config"].map(AsRef::as_ref);
    let args = words.into_iter().chain([config]);
    let made = Process::start("token add", &places.tidegate, args, &places.top)?
        .finish(DEADLINE)
        .await?;
    if let Some(fault) = made.fault {
        return Err(fault.into());
    }
    // Alone on standard output; what is said about it goes elsewhere.
    let token = made.output.split_whitespace().last();
    Ok(token.ok_or("token add printed none")?.to_owned())
}

/// Opens the stream behind the dashboard and reads until its first event.
async fn board(admin: SocketAddr, token: &str) -> Fallible<TcpStream> {
    let mut socket = TcpStream::connect(admin).await?;
    let request = format!(
        "GET /v1/board HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.windows(6).any(|octets| octets == b"event:") {
        if answer.len() > 1 << 20 || socket.read_buf(&mut answer).await? == 0 {
            let head = String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer));
            return Err(format!("the dashboard's stream does not begin: {head}").into());
        }
    }
    Ok(socket)
}
