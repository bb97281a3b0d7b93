//! Whether a message costs the same however much of something there is: binds, accounts, carriers, opt-outs, octets of a
//! text. Of each several amounts, one gateway each, clients that keep a thousand messages under way.
//!
//! What comes before the first message and after the last, binds above all, is taken off: each point is the difference of
//! a long run and a short one of the same clients, after one that nobody counts; passwords were computed before.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::curves_plot::{self, Curve};
use super::gateway::{ACCOUNT, Gateway, LINK};
use super::matrix::Cell;
use super::options::Options;
use super::process::Process;
use super::run::{self, Clients};
use super::summary::{Spread, short};
use super::system::Usage;
use super::{Fallible, Places, figures, say};
use figures::key;

/// Messages of a long run.
const MESSAGES: u32 = 300_000;
/// Binds of an account, and connections in all: as many as the configuration allows an account.
const BINDS_MAX: i64 = 10_000;
/// How long a list of ten million may take to be taken in.
const IMPORT_DEADLINE: Duration = Duration::from_secs(1_800);
/// Carriers of a route.
const ROUTE_MAX: usize = 16;
/// What the clients' recipients begin with; five digits follow, which count.
const RECIPIENTS: &str = "4477009";
/// The first number of a list of opt-outs: none of the clients' recipients.
const FIRST_NUMBER: u64 = 4_479_000_000_000;

/// What there is more and more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Binds,
    Accounts,
    Carriers,
    OptOuts,
    Octets,
}

/// All curves, by the word for each on the command line and in the tables, and their amounts.
const CURVES: [(Of, &str, &[u32]); 5] = [
    (Of::Binds, "binds", &[1, 10, 100, 1_000]),
    (Of::Accounts, "accounts", &[1, 10, 100, 1_000]),
    (Of::Carriers, "carriers", &[1, 4, 20, 200]),
    (Of::OptOuts, "opt-outs", &[0, 100_000, 1_000_000, 10_000_000]),
    (Of::Octets, "octets", &[25, 100, 160, 459]),
];

/// Whether there is such a curve.
pub(super) fn is_known(word: &str) -> bool {
    CURVES.iter().any(|(_, name, _)| *name == word)
}

/// One amount of something, as the clients and the configuration have it.
#[derive(Clone, Copy, Debug)]
struct Point {
    of: Of,
    amount: u32,
}

impl Point {
    /// A thousand messages under way.
    fn clients(self) -> Fallible<Clients> {
        let (accounts, binds, window) = match self.of {
            // Of one account. Ten thousand that connect at once do not all get in at once: the bench `binds` has them.
            Of::Binds => (1, self.amount, (1_000 / self.amount).max(1)),
            Of::Accounts => (
                self.amount,
                (10 / self.amount).max(1),
                (1_000 / self.amount.max(10)).max(1),
            ),
            Of::Carriers | Of::OptOuts | Of::Octets => (1, 10, 100),
        };
        let length = if self.of == Of::Octets { self.amount } else { 100 };
        let cell: Cell = format!("{binds}x{window},length={length}").parse()?;
        Ok(Clients { cell, accounts })
    }

    /// Whether it takes so long to be got ready that it is measured once only.
    const fn takes_minutes(self) -> bool {
        matches!(self.of, Of::OptOuts) && self.amount >= 1_000_000
    }

    /// How many carriers there are, each a process: receipts come back over any link of a carrier, and belong to that carrier.
    const fn carriers(self) -> u32 {
        match self.of {
            Of::Carriers => self.amount,
            _ => 1,
        }
    }

    fn configure(self, config: &mut Table, addresses: &[SocketAddr]) -> Fallible<()> {
        let accounts = sections(config, "account")?;
        let first = accounts
            .first()
            .cloned()
            .ok_or("config/bench.toml has no account")?;
        accounts.clear();
        let count = self.clients()?.accounts;
        for number in 0..count {
            let mut account = first.clone();
            let account_fields = account.as_table_mut().ok_or("an account is no table")?;
            let id = account_name(number);
            account_fields.insert("system_id".to_owned(), Value::String(id));
            account_fields.insert("max_binds".to_owned(), Value::Integer(BINDS_MAX));
            accounts.push(account);
        }
        let limits = config.get_mut("limits").and_then(Value::as_table_mut);
        let limits = limits.ok_or("config/bench.toml has no [limits]")?;
        for key in [
            "max_connections",
            "max_connections_per_ip",
            "max_unbound_per_ip",
            "bind_queue",
        ] {
            limits.insert(key.to_owned(), Value::Integer(BINDS_MAX));
        }
        if self.of == Of::Carriers {
            several_carriers(config, addresses)?;
        } else {
            let carrier = sections(config, "carrier")?
                .first_mut()
                .and_then(Value::as_table_mut);
            let carrier = carrier.ok_or("config/bench.toml has no carrier")?;
            let addresses = addresses.iter().map(|address| Value::String(address.to_string()));
            carrier.insert("addresses".to_owned(), Value::Array(addresses.collect()));
        }
        Ok(())
    }

    /// What is to be there before the first message.
    async fn prepare(self, gateway: &Gateway, places: &Places) -> Fallible<()> {
        if self.of != Of::OptOuts || self.amount == 0 {
            return Ok(());
        }
        let list = list(places, self.amount)?;
        let args = [
            "optout".as_ref(),
            "import".as_ref(),
            "--config".as_ref(),
            gateway.config().as_os_str(),
            "--account".as_ref(),
            ACCOUNT.0.as_ref(),
            list.as_os_str(),
        ];
        let import = Process::start("optout import", &places.tidegate, args, &places.top)?;
        let ended = import.finish(IMPORT_DEADLINE).await?;
        fs::remove_file(list)?;
        ended.fault.map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// One at each address, of one link each, that take turns message by message.
fn several_carriers(config: &mut Table, addresses: &[SocketAddr]) -> Fallible<()> {
    let carriers = sections(config, "carrier")?;
    let first = carriers
        .first()
        .cloned()
        .ok_or("config/bench.toml has no carrier")?;
    carriers.clear();
    let mut names = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        let mut carrier = first.clone();
        let fields = carrier.as_table_mut().ok_or("a carrier is no table")?;
        let name = format!("sink{number}");
        fields.insert("name".to_owned(), Value::String(name.clone()));
        fields.insert("links".to_owned(), Value::Integer(1));
        let address = Value::Array(vec![Value::String(address.to_string())]);
        fields.insert("addresses".to_owned(), address);
        carriers.push(carrier);
        names.push(Value::String(name));
    }
    let routes = config.get_mut("route").and_then(Value::as_table_mut);
    let routes = routes
        .and_then(|routes| routes.get_mut("mt"))
        .and_then(Value::as_array_mut)
        .ok_or("config/bench.toml has no [[route.mt]]")?;
    let first = routes
        .first()
        .cloned()
        .ok_or("config/bench.toml has no [[route.mt]]")?;
    routes.clear();
    // A route has so many at most: each hundredth of the recipients, a thousand in a row, goes to the next lot.
    let lots: Vec<&[Value]> = names.chunks(ROUTE_MAX).collect();
    for (hundredth, lot) in (0..100).zip(lots.iter().cycle()) {
        let mut route = first.clone();
        let fields = route.as_table_mut().ok_or("a route is no table")?;
        fields.insert(
            "prefix".to_owned(),
            Value::String(format!("{RECIPIENTS}{hundredth:02}")),
        );
        fields.insert("carriers".to_owned(), Value::Array(lot.to_vec()));
        fields.insert("choose".to_owned(), Value::String("round-robin".to_owned()));
        routes.push(route);
    }
    Ok(())
}

/// The accounts of the clients, as these call them.
fn account_name(number: u32) -> String {
    match number {
        0 => ACCOUNT.0.to_owned(),
        _ => format!("{}{number}", ACCOUNT.0),
    }
}

/// A list of so many numbers.
fn list(places: &Places, amount: u32) -> Fallible<PathBuf> {
    let path = places.scratch.join("opt-outs.csv");
    let mut file = BufWriter::new(File::create(&path)?);
    writeln!(file, "number")?;
    for number in FIRST_NUMBER..FIRST_NUMBER + u64::from(amount) {
        writeln!(file, "+{number}")?;
    }
    file.flush()?;
    Ok(path)
}

fn sections<'a>(config: &'a mut Table, name: &str) -> Fallible<&'a mut Vec<Value>> {
    let found = config.get_mut(name).and_then(Value::as_array_mut);
    Ok(found.ok_or_else(|| format!("config/bench.toml has no [[{name}]]"))?)
}

/// What came of a point: CPU of the gateway for a message in µs, messages a second, milliseconds to the response at the 99th
/// percentile, resident MiB at most.
type Measured = [f64; 4];

/// Runs the curves that are named, or all, and returns their tables and the picture of them.
pub(super) async fn run(options: &Options, places: &Places) -> Fallible<(String, String)> {
    let mut text = String::new();
    let mut curves: Vec<Curve> = Vec::new();
    for (of, name, amounts) in CURVES {
        if !options.curves.is_empty() && !options.curves.iter().any(|word| word == name) {
            continue;
        }
        writeln!(
            text,
            "| {name} | clients | CPU µs/msg | msg/s | submit to response, p99 ms | RSS peak, MiB |"
        )?;
        writeln!(text, "|--:|---|--:|--:|--:|--:|")?;
        let mut measured = vec![Vec::new(); amounts.len()];
        for repetition in 1..=options.repeat {
            for (amount, measured) in amounts.iter().zip(&mut measured) {
                let point = Point { of, amount: *amount };
                if repetition > 1 && point.takes_minutes() {
                    continue;
                }
                let figures = measure(point, options.messages.unwrap_or(MESSAGES), places).await?;
                say(&format!(
                    "repetition {repetition}, {amount} {name}: {} µs/msg, {} msg/s",
                    short(figures[0]),
                    short(figures[1])
                ));
                measured.push(figures);
            }
        }
        let mut points = Vec::new();
        for (amount, measured) in amounts.iter().zip(&measured) {
            let Clients { cell, accounts } = Point { of, amount: *amount }.clients()?;
            let spread_of =
                |of: usize| Spread::of(measured.iter().filter_map(|figures| figures.get(of)).copied());
            points.extend(spread_of(0).map(|spread| (*amount, spread)));
            let spread =
                |of| spread_of(of).map_or_else(|| "n/a".to_owned(), |spread: Spread| spread.to_string());
            writeln!(
                text,
                "| {amount} | {accounts} × {}×{} | {} | {} | {} | {} |",
                cell.binds,
                cell.window,
                spread(0),
                spread(1),
                spread(2),
                spread(3)
            )?;
        }
        curves.push((name, points));
        text.push('\n');
    }
    Ok((text, curves_plot::svg(&curves)))
}

async fn measure(point: Point, messages: u32, places: &Places) -> Fallible<Measured> {
    places.empty()?;
    let (mut carriers, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..point.carriers() {
        let (carrier, address) = run::carrier(places, LINK).await?;
        carriers.push(carrier);
        addresses.push(address);
    }
    let mut gateway = Gateway::start_with(places, |config| point.configure(config, &addresses)).await?;
    point.prepare(&gateway, places).await?;
    // The register of opt-outs goes on with a list after the command that gave it has ended.
    run::quiet_within(gateway.process.id(), IMPORT_DEADLINE).await?;
    let clients = point.clients()?;
    // One after the other: of a thousand that come at once the gateway refuses those for which it has no time.
    for number in 0..clients.accounts {
        gateway.bind_as(&account_name(number)).await?;
    }
    let few = (clients.accounts * clients.cell.binds).max(1_000);
    let mut used = [Duration::ZERO; 3];
    let (mut rate, mut p99) = (0.0, 0.0);
    for (round, count) in [few, few, messages + few].into_iter().enumerate() {
        let id = gateway.process.id();
        let before = Usage::read(id)?;
        let load = clients.start(places, count, gateway.smpp)?;
        let ended = load.finish(run::patience(&clients.cell, messages)).await?;
        let after = run::quiet(id).await?;
        gateway.process.must_run()?;
        if let Some(fault) = ended.fault {
            return Err(format!("{fault}{}", ended.output).into());
        }
        let report = figures::report("the load", &ended.output)?;
        if figures::number(&report, "/lost")? > 0.0
            || figures::number(&report, "/acknowledged")? < f64::from(count)
        {
            return Err(format!("messages are lost or refused: {report}").into());
        }
        let read =
            |name: &str, place| figures::number(&report, place).map_err(|error| format!("{name}: {error}"));
        rate = read(key::RATE, "/msgs_per_s")?;
        p99 = read(key::RESPONSE[1], "/response_ms/p99")?;
        if let Some(used) = used.get_mut(round) {
            *used = after.since(&before);
        }
    }
    let memory = run::float(super::system::memory_peak(gateway.process.id())?) / f64::from(1 << 20);
    gateway.process.kill().await?;
    for carrier in carriers {
        let ended = carrier.stop().await?;
        let report = figures::report("a carrier", &ended.output)?;
        let wrong = figures::number(&report, "/repeated")? + figures::number(&report, "/altered")?;
        if ended.fault.is_some() || wrong > 0.0 {
            return Err(format!("a carrier was sent something twice, or altered: {report}").into());
        }
    }
    let [_, short, long] = used;
    let cpu = long.saturating_sub(short).as_secs_f64() * 1e6 / f64::from(messages);
    Ok([cpu, rate, p99, memory])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(of: Of, amount: u32) -> tidegate_config::Config {
        let mut config: Table = include_str!("../../../config/bench.toml").parse().unwrap();
        let point = Point { of, amount };
        let addresses = vec!["127.0.0.1:2900".parse().unwrap(); point.carriers() as usize];
        point.configure(&mut config, &addresses).unwrap();
        tidegate_config::parse(&config.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn each_point_is_a_configuration_that_has_what_it_says() {
        assert_eq!(configured(Of::Accounts, 1_000).accounts.len(), 1_000);
        let config = configured(Of::Carriers, 200);
        assert_eq!((config.carriers.len(), config.mt_routes.len()), (200, 100));
        let config = configured(Of::Binds, 1_000);
        assert_eq!((config.accounts.len(), config.carriers.len()), (1, 1));
    }

    #[test]
    fn clients_keep_a_thousand_under_way_where_they_can() {
        for (of, name, amounts) in CURVES {
            for amount in amounts {
                let Clients { cell, accounts } = Point { of, amount: *amount }.clients().unwrap();
                let places = accounts * cell.binds * cell.window;
                assert_eq!(places, 1_000, "{amount} {name}");
            }
        }
    }
}
