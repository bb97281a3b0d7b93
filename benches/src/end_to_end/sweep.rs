//! What a retention sweep costs those who submit meanwhile (RET-C17): a day of records that are due goes while messages
//! are accepted at a steady rate, beside the same without a sweep.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::Value;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::Clock;
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{Bucket, Finished, History, Keep, Kept, Place};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::message_id::{MessageId, MessageIds};
use tidegate_store::record::{Envelope, Final, Form};
use tidegate_store::service_type::ServiceType;
use tokio::time::{sleep, timeout};

use super::figures;
use super::gateway::{ACCOUNT, Gateway, LINK};
use super::matrix::Cell;
use super::process::Process;
use super::{Fallible, Places, run, say};

/// Messages a second.
const RATES: [u32; 2] = [2_000, 20_000];
/// How long they come, in seconds; the sweep begins after so many.
const SECONDS: u32 = 20;
const BEGINS: Duration = Duration::from_secs(5);
/// A sweep that takes longer is none that anybody waits for.
const SWEEP_MAX: Duration = Duration::from_secs(600);
const DAY_MS: u64 = 24 * 3_600_000;
/// How long ago the day was.
const DAYS_AGO: u64 = 40;
/// What its files are called by: days of a rule of ninety days.
const LENGTH: &str = "P90D";
/// Records between two syncs.
const BATCH: u64 = 100_000;

/// What one rate came to.
struct Figures {
    rate: u32,
    /// p50 and p99 from submit to response, in milliseconds, without a sweep and with one.
    alone: [f64; 2],
    beside: [f64; 2],
    refused: f64,
    took: Duration,
    swept: Value,
    /// Octets of the day's files.
    files: u64,
}

impl Figures {
    fn row(&self) -> Fallible<String> {
        let of = |key: &str| -> Fallible<u64> {
            let count = self.swept.get(key).and_then(Value::as_u64);
            Ok(count.ok_or_else(|| format!("the sweep says nothing of {key}: {}", self.swept))?)
        };
        let [alone, alone99] = self.alone;
        let [beside, beside99] = self.beside;
        Ok(format!(
            "| {} | {alone:.2} / {alone99:.2} | {beside:.2} / {beside99:.2} | {} | {:.2} | {} | {} | {} | {} |\n",
            self.rate,
            self.refused,
            self.took.as_secs_f64(),
            of("records")?,
            of("counted")?,
            of("octets")?,
            self.files
        ))
    }
}

/// Measures each rate with so many records that are due; a table.
pub(super) async fn run(records: u32, places: &Places) -> Fallible<String> {
    let mut text = "| msg/s | accept p50 / p99, ms | the same beside a sweep | refused | sweep, s | records | counted | \
                    octets given back | octets of the day's files |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for rate in RATES {
        places.empty()?;
        let row = measure(rate, records, places).await?.row()?;
        say(row.trim_end());
        text.push_str(&row);
    }
    places.empty()?;
    Ok(text)
}

async fn measure(rate: u32, records: u32, places: &Places) -> Fallible<Figures> {
    let cell: Cell = format!("8x100,rate={rate}").parse()?;
    let messages = rate * SECONDS;
    let (_carrier, address) = run::carrier(places, LINK).await?;
    let gateway = Gateway::start_keeping(places, address, KEEP_LONG).await?;
    let mut gateway = gateway
        .again(places, || file(&places.scratch, records.into()))
        .await?;
    let files = octets_below(&places.scratch.join(format!("data/history/meta-{LENGTH}")))?;
    let (alone, refused) = load(places, &cell, messages, &mut gateway).await?;
    if refused > 0.0 {
        return Err(format!(
            "{refused} messages are refused without a sweep: this machine is too slow for {rate}"
        )
        .into());
    }
    gateway.keep(KEEP_SHORT)?;
    let config = gateway.config().to_owned();
    let sweeping = async {
        sleep(BEGINS).await;
        said(places, &["reload"], &config).await?;
        let clock = Clock::machine();
        let begin = clock.now().monotonic;
        let swept = said(places, &["retention", "sweep"], &config).await?;
        Fallible::Ok((swept, clock.now().monotonic.saturating_sub(begin)))
    };
    let (loaded, swept) = tokio::join!(load(places, &cell, messages, &mut gateway), sweeping);
    let ((beside, refused), (swept, took)) = (loaded?, swept?);
    if BEGINS + took > Duration::from_secs(SECONDS.into()) {
        say(&format!("{rate}: the sweep went on after the last message"));
    }
    gateway.process.kill().await?;
    Ok(Figures {
        rate,
        alone,
        beside,
        refused,
        took,
        swept,
        files,
    })
}

/// What the account instructs before the sweep, and what makes the day due.
const KEEP_LONG: &str = "P1Y";
const KEEP_SHORT: &str = "P30D";

/// Has the clients send, and waits for their end; p50 and p99 to the response, and how many were refused.
async fn load(
    places: &Places,
    cell: &Cell,
    messages: u32,
    gateway: &mut Gateway,
) -> Fallible<([f64; 2], f64)> {
    let clients = run::load(places, cell, messages, gateway.smpp)?;
    let ended = clients.finish(run::patience(cell, messages)).await?;
    gateway.process.must_run()?;
    let report = figures::report("the load", &ended.output)?;
    let number = |place: &str| figures::number(&report, place);
    if number("/lost")? > 0.0 {
        return Err(format!("messages are lost: {report}").into());
    }
    let response = [number("/response_ms/p50")?, number("/response_ms/p99")?];
    Ok((response, number("/refused")?))
}

/// What a verb says in JSON.
async fn said(places: &Places, verb: &[&str], config: &Path) -> Fallible<Value> {
    let config = config.display().to_string();
    let args = verb.iter().copied().chain(["--json", "--config", &config]);
    let verb = Process::start("the verb", &places.tidegate, args, &places.top)?;
    let ended = timeout(SWEEP_MAX, verb.finish(SWEEP_MAX)).await??;
    match ended.fault {
        Some(fault) => Err(fault.into()),
        None => figures::report("the verb", &ended.output),
    }
}

/// Files a day's records of the account as the keeper would have, with a gateway that does not run.
fn file(scratch: &Path, records: u64) -> Fallible<()> {
    let kek = Kek::read(&RealDisk, &scratch.join("kek/kek"))?;
    let mut ring = KeyRing::open(&RealDisk, &scratch.join("keys"), kek)?;
    let root = scratch.join("data/history");
    let mut history = History::open(RealDisk, root.clone(), Some(root.join("index")))?;
    let (position, mut rng) = (history.position(), ChaCha20Rng::seed_from_u64(1));
    let now_ms = Clock::machine().now().unix_ms;
    let begin_ms = (now_ms / DAY_MS - DAYS_AGO) * DAY_MS;
    let plan = |finished: &Finished, class: Kept, _: u64| {
        (class == Kept::Meta).then(|| Keep {
            anchor_ms: finished.envelope.accepted_ms,
            bucket: Bucket::Day,
            length: LENGTH.into(),
            place: Place {
                country: *b"GB",
                network: 234_015,
            },
        })
    };
    let mut ids = MessageIds::new(1, 0);
    for n in 0..records {
        let accepted_ms = begin_ms + n * (DAY_MS - 60_000) / records.max(1);
        let finished = finished(ids.next(accepted_ms), accepted_ms, n)?;
        history.take_in(&finished, None, &plan, &mut ring, now_ms, &mut rng)?;
        if n % BATCH == BATCH - 1 {
            history.settle(position, &mut ring, now_ms, &mut rng)?;
        }
    }
    Ok(history.settle(position, &mut ring, now_ms, &mut rng)?)
}

fn finished(id: MessageId, accepted_ms: u64, n: u64) -> Fallible<Finished> {
    let source = AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate")?;
    // Spread over numbers, as people are.
    let to = format!("447{:09}", n.wrapping_mul(0x9e37_79b9) % 1_000_000_000);
    let destination = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, to.as_bytes())?;
    let carrier_id = format!("{:016x}", id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Ok(Finished {
        id,
        leg: 0,
        account: SystemId::new(ACCOUNT.0.as_bytes())?,
        envelope: Envelope {
            addresses: Addresses::new(&source, &destination),
            form: Form::Sm,
            interface_version: 0x34,
            id_form: 0,
            registered_delivery: 1,
            priority: 0,
            category: 1,
            parts: 1,
            data_coding: 0,
            lot: 0,
            service_type: ServiceType::default(),
            charge: 0,
            accepted_ms,
            expires_ms: accepted_ms + DAY_MS,
        },
        end: Final {
            state: MessageState::Delivered,
            at_ms: accepted_ms + 2_000 + n % 9_000,
            attempts: 1,
            settled: 0,
            released: 0,
        },
        carrier: "sink".into(),
        carrier_id: MessageIdText::new(carrier_id.as_bytes())?,
    })
}

fn octets_below(dir: &Path) -> Fallible<u64> {
    let mut octets = 0;
    for entry in fs::read_dir(dir)? {
        octets += entry?.metadata()?.len();
    }
    Ok(octets)
}
