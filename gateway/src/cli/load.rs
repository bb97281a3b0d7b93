//! `tidegate load`: simulated ESMEs that load a gateway, ours or another, and follow every message to its
//! receipt.

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use rand_core::Rng as _;
use serde_json::json;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_codec::values::RegisteredDelivery;

use super::{Outcome, Refusal, values};
use crate::load::{self, Binding, Coding, Display, Load};
use crate::random;

/// Where the password comes from when no argument says it.
const PASSWORD_ENV: &str = "TIDEGATE_LOAD_PASSWORD";
/// Connections of one run, at most.
const CONNECTIONS_MAX: usize = 10_000;

/// What the clients are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to bind, as host:port.
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// The account.
    #[arg(long, value_name = "ID")]
    system_id: SystemId,
    /// Its password. Others on this machine may see it here; --password-file and the environment variable
    /// TIDEGATE_LOAD_PASSWORD are safer.
    #[arg(long, conflicts_with = "password_file")]
    password: Option<String>,
    /// A file with the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How many accounts: ID, ID1, ID2 and so on, all with the same password.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    accounts: u16,
    /// Binds of each account.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    binds: u16,
    /// What a bind is: one transceiver, or a transmitter and a receiver.
    #[arg(long, value_enum, default_value_t)]
    bind_kind: Binding,
    /// Submits that each bind may have unanswered.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    window: u16,
    /// Messages to send, over all binds; 200000 unless there is a duration.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    messages: Option<u32>,
    /// Send nothing new after so long (90s, 15m, 2h); with --messages, whichever ends first.
    #[arg(long, value_parser = values::duration)]
    duration: Option<Duration>,
    /// Messages a second over all binds, whatever the peer does; latencies count from when each was due. 0 is as
    /// fast as the windows allow.
    #[arg(long, default_value = "0", value_parser = values::rate)]
    rate: f64,
    /// Units of a message's alphabet (an extension character of GSM 03.38 takes two); its first 25 say which one it is.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(25..=32_000))]
    length: u16,
    /// The alphabet of the messages.
    #[arg(long, value_enum, default_value_t)]
    coding: Coding,
    /// Which receipts to ask for.
    #[arg(long, value_enum, default_value_t)]
    receipts: Receipts,
    /// A text to send, filled up to the length; {number} is the message's number, {to} its recipient, {random:6} six
    /// digits. Given several times, the texts take turns.
    #[arg(long, value_name = "TEXT")]
    template: Vec<String>,
    /// Who sends: digits, or up to 11 characters.
    #[arg(long, value_name = "ADDR", default_value = "447700900999", value_parser = values::address)]
    sender: AddressBuf,
    /// The number that marks the messages of this run; random unless given.
    #[arg(long)]
    run: Option<u32>,
    /// How long a bind or a submit may go unanswered.
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    response_timeout: Duration,
    /// How long to wait when nothing moves on any more.
    #[arg(long, default_value = "30s", value_parser = values::duration)]
    patience: Duration,
    /// Write the latencies there, as a log of HDR histograms, one a second.
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
}

/// Which receipts are asked for.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Receipts {
    /// For every message, whatever becomes of it.
    #[default]
    Final,
    /// For messages that fail. Those that come are counted, none is waited for.
    Failure,
    /// None.
    None,
}

impl Receipts {
    const fn registered_delivery(self) -> RegisteredDelivery {
        match self {
            Self::Final => RegisteredDelivery::FINAL,
            Self::Failure => RegisteredDelivery(2),
            Self::None => RegisteredDelivery::NONE,
        }
    }
}

pub(super) fn run(args: Args, json: bool) -> Result<Outcome, Refusal> {
    let stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    let (options, exposed) = options(args)?;
    let clients = Load::start(options)?;
    // Programs read the one object; people see how far it is.
    Display::new(stderr, is_terminal, !json || is_terminal).follow(&clients)?;
    let report = clients.join()?;
    let mut outcome = Outcome::new(report.to_string(), report.json());
    outcome.failed = report.problem().is_some();
    if exposed {
        outcome
            .warnings
            .push("others than its owner can read the password's file".to_owned());
    }
    Ok(outcome)
}

/// What the arguments say, and whether others can read the password.
fn options(args: Args) -> Result<(load::Options, bool), Refusal> {
    let server = resolve(&args.server)?;
    let found = values::password(args.password, args.password_file, Some(PASSWORD_ENV))?;
    let (password, exposed) = found.ok_or_else(|| {
        let reason = format!("no password: give --password-file, --password or {PASSWORD_ENV}");
        Refusal::new(reason, json!({}))
    })?;
    let connections = usize::from(args.accounts) * usize::from(args.binds) * args.bind_kind.kinds().len();
    if connections > CONNECTIONS_MAX {
        let reason = format!("{connections} connections are more than {CONNECTIONS_MAX}");
        return Err(Refusal::new(reason, json!({})));
    }
    let run = match args.run {
        Some(run) => run,
        None => random::generator()?.next_u32(),
    };
    let endless = if args.duration.is_some() {
        u32::MAX
    } else {
        200_000
    };
    let options = load::Options {
        accounts: args.accounts,
        binds: args.binds.into(),
        binding: args.bind_kind,
        window: args.window.into(),
        messages: args.messages.unwrap_or(endless),
        duration: args.duration,
        rate: args.rate,
        run,
        length: args.length.into(),
        coding: args.coding,
        templates: args.template,
        sender: args.sender,
        registered_delivery: args.receipts.registered_delivery(),
        response_timeout: args.response_timeout,
        reconnect: Duration::from_millis(50),
        patience: args.patience,
        fails_fast: true,
        heeds_signals: true,
        hdr: args.hdr,
        ..load::Options::new(server, args.system_id, password)?
    };
    Ok((options, exposed))
}

fn resolve(server: &str) -> Result<SocketAddr, Refusal> {
    let refusal = |why: String| Refusal::new(format!("{server}: {why}"), json!({}));
    server
        .to_socket_addrs()
        .map_err(|error| refusal(error.to_string()))?
        .next()
        .ok_or_else(|| refusal("no such host".to_owned()))
}
