//! A gateway in this process, on its own threads and real sockets, with everything in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::run::{Running, StartError, start};
use tidegate_gateway::telemetry::Telemetry;
use tidegate_tests::IN_CLEAR_TEXT;

/// The accounts' password hash: `secret`, as in the bench's configuration.
pub(crate) fn secret_hash() -> String {
    let bench = include_str!("../../config/bench.toml");
    let line = bench.lines().find(|line| line.contains("$argon2id$")).unwrap();
    line.split('"')
        .find(|part| part.starts_with("$argon2id$"))
        .unwrap()
        .to_owned()
}

/// Keys of a table and what they are unless `keys` says otherwise.
fn keys(defaults: &[&str], keys: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let given: Vec<String> = keys.lines().map(key).collect();
    let left = defaults.iter().filter(|line| !given.contains(&key(line)));
    left.copied().chain(keys.lines()).collect::<Vec<_>>().join("\n")
}

/// Where a configuration differs from [`Local`]'s own; TOML throughout.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes<'a> {
    /// Keys of the account `load`.
    pub(crate) account: &'a str,
    /// Keys of the carrier `sink`.
    pub(crate) carrier: &'a str,
    /// Keys of the storage.
    pub(crate) storage: &'a str,
    /// Keys of `[http]`.
    pub(crate) http: &'a str,
    /// Keys of the limits.
    pub(crate) limits: &'a str,
    /// More tables. `@hash@` stands for the hash of `secret`, `@password@` for the file that holds `secret`.
    pub(crate) extra: &'a str,
}

/// Among keys of the storage: tiers have no key-encryption keys of their own.
pub(crate) const NO_TIERS: &str = "# no tiers";

/// A file that the configuration names.
fn document(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The configuration of a gateway whose files lie in `dir`.
pub(crate) fn config(dir: &TempDir, carrier: SocketAddr, changes: Changes<'_>) -> String {
    fs::write(dir.path().join("carrier.password"), "secret").unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (data, ring, kek, password) = (
        path("data"),
        path("keys"),
        path("kek/kek"),
        path("carrier.password"),
    );
    let tiers = match changes.storage.contains(NO_TIERS) {
        true => String::new(),
        false => ["legal", "subrec"]
            .map(|tier| format!("{tier}_kek_file = \"{}\"\n", path(&format!("kek/{tier}"))))
            .concat(),
    };
    let hash = secret_hash();
    let extra = changes
        .extra
        .replace("@hash@", &hash)
        .replace("@password@", &password);
    let storage = keys(&["segment_size = \"1MiB\"", "limit = \"64MiB\""], changes.storage);
    let account = keys(
        &["max_binds = 8", "category = \"transactional\""],
        changes.account,
    );
    let in_clear_text = match account.contains("retention_profile") && !account.contains("transport") {
        true => IN_CLEAR_TEXT,
        false => "",
    };
    let carrier_defaults = [
        "links = 1",
        "window = 50",
        "reconnect_min = \"50ms\"",
        "reconnect_max = \"200ms\"",
    ];
    let carrier_keys = keys(&carrier_defaults, changes.carrier);
    let http = changes.http;
    // Scripted peers answer an unbind only while their test waits for something.
    let limits = keys(
        &["unbind_wait = \"50ms\"", "shutdown_grace = \"50ms\""],
        changes.limits,
    );
    format!(
        r#"
[[listen]]
address = "127.0.0.1:0"
[http]
address = "127.0.0.1:0"
admin_address = "127.0.0.1:0"
{http}
[storage]
data = "{data}"
key_ring = "{ring}"
kek_file = "{kek}"
{tiers}auto_init = true
{storage}
[limits]
{limits}
[[account]]
system_id = "load"
password_hashes = ["{hash}"]
{in_clear_text}
{account}
[[carrier]]
name = "sink"
addresses = ["{carrier}"]
system_id = "tidegate"
password_file = "{password}"
{carrier_keys}
[[route.mt]]
prefix = ""
carriers = ["sink"]
[[route.mo]]
number = "12345"
account = "load"
{extra}
"#
    )
}

/// A running gateway and its directory.
pub(crate) struct Local {
    running: Option<Running>,
    /// Where its files lie.
    pub(crate) dir: TempDir,
    text: String,
}

impl Local {
    /// Starts one towards a carrier.
    pub(crate) fn start(carrier: SocketAddr, extra: &str) -> Self {
        Self::start_with(
            carrier,
            Changes {
                extra,
                ..Changes::default()
            },
        )
    }

    /// Starts one whose configuration differs.
    pub(crate) fn start_with(carrier: SocketAddr, changes: Changes<'_>) -> Self {
        Self::start_with_clock(carrier, changes, Clock::machine())
    }

    /// The same by another clock.
    pub(crate) fn start_with_clock(carrier: SocketAddr, changes: Changes<'_>, clock: Clock) -> Self {
        Self::start_in(TempDir::new().unwrap(), carrier, changes, clock)
    }

    /// The same in a directory that may hold what an earlier one left.
    pub(crate) fn start_in(dir: TempDir, carrier: SocketAddr, changes: Changes<'_>, clock: Clock) -> Self {
        let text = config(&dir, carrier, changes);
        let mut local = Self {
            running: None,
            dir,
            text,
        };
        local.start_at(clock);
        local
    }

    /// Starts a gateway on the same directory.
    pub(crate) fn try_start(&self) -> Result<Running, StartError> {
        let config = tidegate_config::parse_with(&self.text, &document)
            .unwrap_or_else(|problems| panic!("{problems}"));
        start(config, &Telemetry::new(), Clock::machine())
    }

    /// Starts one that was stopped, by another clock.
    pub(crate) fn start_at(&mut self, clock: Clock) {
        let config = tidegate_config::parse_with(&self.text, &document)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let started = start(config, &Telemetry::new(), clock);
        self.running = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Where ESMEs connect.
    pub(crate) fn esme(&self) -> SocketAddr {
        self.running.as_ref().unwrap().listening[0]
    }

    /// The same of a listener in its place in the configuration.
    pub(crate) fn listening(&self, place: usize) -> SocketAddr {
        self.running.as_ref().unwrap().listening[place]
    }

    /// Where metrics are.
    pub(crate) fn http(&self) -> SocketAddr {
        self.running.as_ref().unwrap().http
    }

    /// Where verbs are done over HTTP.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin.unwrap()
    }

    /// Ends it in order; the directory stays.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Has the next start find something else in its configuration.
    pub(crate) fn edit(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from}");
        self.text = self.text.replacen(from, to, 1);
    }

    /// Ends it and starts it anew.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.running = Some(self.try_start().unwrap_or_else(|error| panic!("{error}")));
    }

    /// Every file under the directory.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(dir: PathBuf, out: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(path, out);
                } else if path.is_file() {
                    out.push(path);
                }
            }
        }
        let mut out = Vec::new();
        walk(self.dir.path().to_owned(), &mut out);
        out
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.stop();
    }
}
