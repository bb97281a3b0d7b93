//! The gateway as a process, with a copy of `config/bench.toml`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_codec::header::{CommandId, HEADER_LEN};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use toml::{Table, Value};

use super::metrics::{self, Metrics};
use super::process::{DEADLINE, Process, free_addr};
use super::watchers::Watchers;
use super::{Fallible, LOOK, Places};

/// The account and its password in `config/bench.toml`.
pub(super) const ACCOUNT: (&str, &str) = ("load", "secret");
/// What it binds to the carrier with, there and in the file beside.
pub(super) const LINK: (&str, &str) = ("tidegate", "secret");
/// The gateway publishes its counts every 250 ms; after so long they are all there.
pub(super) const PUBLISHED: Duration = Duration::from_millis(300);

/// A gateway that runs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) smpp: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
    has_carrier: bool,
}

impl Gateway {
    /// Starts one in the empty scratch directory, with ports of its own, and waits until it is ready and bound to the carrier.
    pub(super) async fn start(places: &Places, carrier: SocketAddr, pacing_us: u32) -> Fallible<Self> {
        let (smpp, http) = (free_addr()?, free_addr()?);
        let text = fs::read_to_string(places.top.join("config/bench.toml"))?;
        let text = copy(&text, &places.scratch, [smpp, http, carrier], pacing_us)?;
        Self::begin(places, smpp, http, &text, true).await
    }

    /// The same with room for so many messages, and a carrier that is not there.
    pub(super) async fn start_for(places: &Places, carrier: SocketAddr, messages: u32) -> Fallible<Self> {
        let (smpp, http) = (free_addr()?, free_addr()?);
        let text = fs::read_to_string(places.top.join("config/bench.toml"))?;
        let text = copy(&text, &places.scratch, [smpp, http, carrier], 500)?;
        let mut config: Table = text.parse()?;
        set(
            &mut config,
            "storage",
            "max_unfinished",
            Value::Integer(messages.into()),
        )?;
        let limit = Value::String(format!("{}MiB", messages / 1000 + 2048));
        set(&mut config, "storage", "limit", limit)?;
        // Nobody waits for it to look again.
        for key in ["reconnect_min", "reconnect_max"] {
            set(&mut config, "carrier", key, Value::String("100ms".to_owned()))?;
        }
        Self::begin(places, smpp, http, &config.to_string(), false).await
    }

    /// The same as [`Gateway::start`] with a configuration that is changed.
    pub(super) async fn start_with(
        places: &Places,
        change: impl FnOnce(&mut Table) -> Fallible<()>,
    ) -> Fallible<Self> {
        let (smpp, http) = (free_addr()?, free_addr()?);
        let text = fs::read_to_string(places.top.join("config/bench.toml"))?;
        let mut config: Table = text.parse()?;
        change(&mut config)?;
        place(&mut config, &places.scratch, [smpp, http], 500)?;
        Self::begin(places, smpp, http, &config.to_string(), true).await
    }

    async fn begin(
        places: &Places,
        smpp: SocketAddr,
        http: SocketAddr,
        text: &str,
        has_carrier: bool,
    ) -> Fallible<Self> {
        let config = places.scratch.join("bench.toml");
        let admin = free_addr()?;
        let mut text: Table = text.parse()?;
        set(
            &mut text,
            "http",
            "admin_address",
            Value::String(admin.to_string()),
        )?;
        fs::write(&config, text.to_string())?;
        let mut gateway = Self {
            process: serve(places, &config)?,
            smpp,
            http,
            admin,
            config,
            has_carrier,
        };
        gateway.ready().await?;
        gateway.bind().await?;
        sleep(PUBLISHED).await;
        Ok(gateway)
    }

    /// The same as [`Gateway::start`] with an account whose records are kept for so long.
    pub(super) async fn start_keeping(places: &Places, carrier: SocketAddr, length: &str) -> Fallible<Self> {
        let (smpp, http) = (free_addr()?, free_addr()?);
        let text = fs::read_to_string(places.top.join("config/bench.toml"))?;
        let text = copy(&text, &places.scratch, [smpp, http, carrier], 500)?;
        Self::begin(places, smpp, http, &keeping(&text, length)?, true).await
    }

    /// Has the account's records kept for so long in its configuration, from the next reload on.
    pub(super) fn keep(&self, length: &str) -> Fallible<()> {
        let text = fs::read_to_string(&self.config)?;
        Ok(fs::write(&self.config, keeping(&text, length)?)?)
    }

    /// Its configuration.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Kills it and starts it again on what it left behind.
    pub(super) async fn restart(self, places: &Places) -> Fallible<Self> {
        self.again(places, || Ok(())).await
    }

    /// The same with something done between.
    pub(super) async fn again(
        self,
        places: &Places,
        between: impl FnOnce() -> Fallible<()>,
    ) -> Fallible<Self> {
        let Self {
            process,
            smpp,
            http,
            admin,
            config,
            has_carrier,
        } = self;
        process.kill().await?;
        between()?;
        let mut gateway = Self {
            process: serve(places, &config)?,
            smpp,
            http,
            admin,
            config,
            has_carrier,
        };
        gateway.ready().await?;
        Ok(gateway)
    }

    /// Has it scraped, and its dashboard looked at.
    pub(super) async fn watched(&self, places: &Places, number: u32) -> Fallible<Watchers> {
        Watchers::start(places, &self.config, self.http, self.admin, number).await
    }

    pub(super) async fn metrics(&self) -> Fallible<Metrics> {
        Metrics::read(self.http).await
    }

    /// Ready, with every link to the carrier bound: the page then says this word and nothing else. Without a carrier it
    /// names that one, too.
    async fn ready(&mut self) -> Fallible<()> {
        let looking = async {
            loop {
                self.process.must_run()?;
                // While it starts nobody answers.
                if let Ok((200, page)) = metrics::get(self.http, "/readyz").await
                    && (page.trim() == "ready" || !self.has_carrier)
                {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        };
        match timeout(DEADLINE, looking).await {
            Ok(done) => done,
            Err(_) => Err(self.process.fault(&format!("is not ready in {DEADLINE:?}"))),
        }
    }

    /// Binds once and hangs up. The gateway computes a password, 19 ms of argon2, and then remembers it for
    /// minutes: that is part of no message.
    async fn bind(&self) -> Fallible<()> {
        self.bind_as(ACCOUNT.0).await
    }

    /// The same for another account with that password.
    pub(super) async fn bind_as(&self, system_id: &str) -> Fallible<()> {
        let pdu = bind_transceiver(system_id);
        let binding = async {
            let mut socket = TcpStream::connect(self.smpp).await?;
            socket.write_all(&pdu).await?;
            let mut header = [0; HEADER_LEN];
            socket.read_exact(&mut header).await?;
            std::io::Result::Ok(header)
        };
        let header = timeout(DEADLINE, binding).await??;
        let status = header.get(8..12).unwrap_or_default();
        if status != [0; 4] {
            return Err(self
                .process
                .fault(&format!("refuses the account's bind with {status:02x?}")));
        }
        Ok(())
    }
}

fn serve(places: &Places, config: &Path) -> Fallible<Process> {
    let config = config.as_os_str();
    let args = ["serve".as_ref(), "--config".as_ref(), config];
    Process::start("the gateway", &places.tidegate, args, &places.top)
}

/// The configuration with other places, ports and pacing; everything else is as it stands there.
fn copy(text: &str, dir: &Path, [smpp, http, carrier]: [SocketAddr; 3], pacing_us: u32) -> Fallible<String> {
    let mut config: Table = text.parse()?;
    let carrier = Value::Array(vec![Value::String(carrier.to_string())]);
    set(&mut config, "carrier", "addresses", carrier)?;
    place(&mut config, dir, [smpp, http], pacing_us)?;
    Ok(config.to_string())
}

/// Puts a configuration elsewhere, with ports of its own.
fn place(config: &mut Table, dir: &Path, ports: [SocketAddr; 2], pacing_us: u32) -> Fallible<()> {
    let [smpp, http] = ports.map(|port| Value::String(port.to_string()));
    let place = |name| Value::String(dir.join(name).display().to_string());
    set(config, "listen", "address", smpp)?;
    set(config, "http", "address", http)?;
    set(config, "storage", "data", place("data"))?;
    set(config, "storage", "key_ring", place("keys"))?;
    set(config, "storage", "kek_file", place("kek/kek"))?;
    let pacing = Value::String(format!("{pacing_us}us"));
    set(config, "storage", "turn_pacing", pacing)?;
    Ok(())
}

/// The configuration with rules for the first account's records, and its instruction how long they are kept.
fn keeping(text: &str, length: &str) -> Fallible<String> {
    let mut config: Table = text.parse()?;
    let table = |text: String| text.parse::<Table>().map(Value::Table);
    let exception =
        table("min_transport = \"clear\"\nname = \"a bench on loopback\"\nuntil = 2999-12-31".to_owned())?;
    let instruction = table(format!("class = \"meta\"\nafter = \"{length}\""))?;
    for (key, value) in [
        ("retention_profile", Value::String("instruction-bound".to_owned())),
        ("transport_exception", exception),
        ("retention", Value::Array(vec![instruction])),
    ] {
        set(&mut config, "account", key, value)?;
    }
    Ok(config.to_string())
}

/// Sets a key of a section, or of the first of several.
fn set(config: &mut Table, section: &str, key: &str, value: Value) -> Fallible<()> {
    let found = match config.get_mut(section) {
        Some(Value::Array(several)) => several.first_mut(),
        one => one,
    };
    let table = found
        .and_then(Value::as_table_mut)
        .ok_or_else(|| format!("config/bench.toml has no [{section}]"))?;
    table.insert(key.to_owned(), value);
    Ok(())
}

/// A bind_transceiver of an account with the password of [`ACCOUNT`], version 3.4.
fn bind_transceiver(system_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [system_id, ACCOUNT.1, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    // interface_version, addr_ton, addr_npi, address_range
    body.extend_from_slice(&[0x34, 0, 0, 0]);
    let length = u32::try_from(HEADER_LEN + body.len()).unwrap_or_default();
    let mut pdu = Vec::new();
    for word in [length, CommandId::BIND_TRANSCEIVER.0, 0, 1] {
        pdu.extend_from_slice(&word.to_be_bytes());
    }
    pdu.extend_from_slice(&body);
    pdu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_a_configuration_with_our_ports_places_and_pacing() {
        let text = include_str!("../../../config/bench.toml");
        let ports = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|port| port.parse().unwrap());
        let copied = copy(text, Path::new("elsewhere"), ports, 2000).unwrap();
        let (old, new): (Table, Table) = (text.parse().unwrap(), copied.parse().unwrap());
        assert_eq!(new["storage"]["turn_pacing"].as_str(), Some("2000us"));
        assert_eq!(new["storage"]["data"].as_str(), Some("elsewhere/data"));
        assert_eq!(new["listen"][0]["address"].as_str(), Some("127.0.0.1:1"));
        assert_eq!(new["carrier"][0]["addresses"][0].as_str(), Some("127.0.0.1:3"));
        assert_eq!(
            (&new["limits"], &new["account"]),
            (&old["limits"], &old["account"])
        );
    }

    #[test]
    fn the_account_instructs_how_long_its_records_are_kept() {
        let text = include_str!("../../../config/bench.toml");
        let kept = keeping(&keeping(text, "P1Y").unwrap(), "P30D").unwrap();
        let config = tidegate_config::parse(&kept).unwrap_or_else(|problems| panic!("{problems}"));
        let terms = &config.accounts[0].retention;
        assert_eq!(terms.instructions.len(), 1);
        assert_eq!(terms.profile.as_deref(), Some("instruction-bound"));
    }

    #[test]
    fn a_configuration_without_the_section_is_refused() {
        let ports = [SocketAddr::from(([127, 0, 0, 1], 1)); 3];
        assert!(copy("[http]\n", Path::new("."), ports, 0).is_err());
    }
}
