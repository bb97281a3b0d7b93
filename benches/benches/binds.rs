//! What binds cost: ten thousand that do nothing, in clear text and over TLS, and a thousand that come at once, of a few
//! accounts and of a thousand. The gateway is a process of its own, in production's durability; its clients are here.
//!
//!     cargo build --release && cargo bench -p tidegate-benches --bench binds [-- idle | tls | storm]

#[path = "binds/client.rs"]
mod client;
#[path = "binds/site.rs"]
mod site;

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tidegate_gateway::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::sleep;

use client::{Counts, Door, idle, paced, until_bound};
use site::Site;

/// What may fail here fails the run.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Binds that do nothing, of so many accounts.
const IDLE: usize = 10_000;
const IDLE_ACCOUNTS: usize = 10;
/// How long they are looked at: two of the gateway's questions, and as many of each client.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// Binds at a time while all of them come.
const COMING: usize = 64;
/// Binds that come at once.
const STORM: usize = 1_000;
/// A client that has no answer by then closes and comes again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Submits of the link that is bound already: a second of them at this distance before a storm, and all through it.
const PACE: Duration = Duration::from_millis(2);
const BEFORE: Duration = Duration::from_secs(3);

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs benches too, to see that they start.
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    let asked = |name: &str| {
        let mut cases = arguments.iter().filter(|argument| !argument.starts_with('-'));
        cases.clone().next().is_none() || cases.any(|case| case == name)
    };
    let Some(binary) = site::binary() else {
        writeln!(
            std::io::stdout(),
            "SKIPPED: no target/release/tidegate; cargo build --release"
        )?;
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut out = std::io::stdout();
        if asked("idle") || asked("tls") {
            writeln!(out, "| {IDLE} idle binds | KiB each | CPU of one core | enquire_links answered | asked of clients |\n|---|--:|--:|--:|--:|")?;
        }
        if asked("idle") {
            writeln!(out, "{}", idle_binds(&binary, false).await?)?;
        }
        if asked("tls") {
            writeln!(out, "{}", idle_binds(&binary, true).await?)?;
        }
        if asked("storm") {
            writeln!(out, "\n| {STORM} binds at once | s until all are bound | connections | submit to response, before: p50, p99 | during |\n|---|--:|--:|--:|--:|")?;
            for accounts in [50, STORM] {
                writeln!(out, "{}", storm(&binary, accounts).await?)?;
            }
        }
        Ok(())
    })
}

async fn idle_binds(binary: &std::path::Path, tls: bool) -> Fallible<String> {
    let site = Site::start(binary, IDLE_ACCOUNTS).await?;
    let door = site.door(tls)?;
    // What the first of each account brings is paid once: passwords, certificates, tables.
    let counts = Arc::new(Counts::default());
    let mut clients = JoinSet::new();
    bind_many(&door, &site, &counts, &mut clients, IDLE_ACCOUNTS).await?;
    let before = site.resident()?;
    bind_many(&door, &site, &counts, &mut clients, IDLE).await?;
    sleep(Duration::from_secs(2)).await;
    let clock = Clock::machine();
    let (after, cpu, start) = (site.resident()?, site.cpu()?, clock.now().monotonic);
    counts.clear();
    sleep(IDLE_FOR).await;
    let share = (site.cpu()? - cpu).as_secs_f64() / (clock.now().monotonic - start).as_secs_f64();
    if let Some(ended) = clients.try_join_next() {
        return Err(format!("a bind has ended: {ended:?}").into());
    }
    let (asked, answered, questions) = counts.all();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each = after.saturating_sub(before) as f64 / (IDLE - IDLE_ACCOUNTS) as f64 / 1024.0;
    let how = if tls { "TLS 1.3" } else { "clear text" };
    let still = site.resident()?.max(after) / (1 << 20);
    Ok(format!(
        "| {how} ({still} MiB in all) | {each:.1} | {:.1} % | {answered} of {asked} | {questions} |",
        share * 100.0
    ))
}

/// Binds until so many are, each then idle on a task of its own.
async fn bind_many(
    door: &Door,
    site: &Site,
    counts: &Arc<Counts>,
    clients: &mut JoinSet<Fallible<()>>,
    many: usize,
) -> Fallible<()> {
    let mut coming = JoinSet::new();
    for number in clients.len()..many {
        while coming.len() >= COMING {
            let link = coming.join_next().await.ok_or("nobody comes")???;
            clients.spawn(idle(link, Arc::clone(counts)));
        }
        let (door, account) = (door.clone(), site.account(number));
        coming.spawn(async move { until_bound(&door, &account, PATIENCE).await.map(|(link, _)| link) });
    }
    while let Some(link) = coming.join_next().await {
        clients.spawn(idle(link??, Arc::clone(counts)));
    }
    Ok(())
}

async fn storm(binary: &std::path::Path, accounts: usize) -> Fallible<String> {
    let site = Site::start(binary, accounts).await?;
    let door = site.door(false)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    // On a thread of its own, as another process would be: a thousand clients of one process hold each other up.
    let (here, (is_bound, bound)) = (door.clone(), tokio::sync::oneshot::channel());
    let steady = std::thread::spawn(move || -> Fallible<_> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (link, _) = until_bound(&here, "steady", PATIENCE).await?;
            let _ = is_bound.send(());
            paced(link, PACE, stopped).await
        })
    });
    bound.await?;
    sleep(BEFORE).await;
    let clock = Clock::machine();
    let start = clock.now().monotonic;
    let mut coming = JoinSet::new();
    for number in 0..STORM {
        let (door, account) = (door.clone(), site.account(number));
        coming.spawn(async move { until_bound(&door, &account, PATIENCE).await });
    }
    let (mut links, mut connections) = (Vec::new(), 0);
    while let Some(link) = coming.join_next().await {
        let (link, tries) = link??;
        connections += tries;
        links.push(link);
    }
    let took = clock.now().monotonic - start;
    let _ = stop.send(true);
    let answers = steady.join().map_err(|_| "the steady client has failed")??;
    let quiet: Vec<_> = answers
        .iter()
        .filter(|(at, _)| *at < BEFORE)
        .map(|(_, took)| *took)
        .collect();
    let stormy: Vec<_> = answers
        .iter()
        .filter(|(at, _)| *at >= BEFORE)
        .map(|(_, took)| *took)
        .collect();
    Ok(format!(
        "| of {accounts} accounts | {:.1} | {connections} | {} | {} |",
        took.as_secs_f64(),
        percentiles(quiet),
        percentiles(stormy)
    ))
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    format!(
        "{:.2}, {:.2} ms",
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3
    )
}
