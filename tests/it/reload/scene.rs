//! A gateway that was started from a file, traffic through it, and what became of every message.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::{self, Verb};
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::run::{Running, start_from};
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_gateway::telemetry::Telemetry;
use tidegate_tests::{DEADLINE, ScriptedEsme, ScriptedSmsc};

use crate::local::secret_hash;

/// Messages that are under way while something changes, and how many a second: three seconds of them.
const MESSAGES: u32 = 1_200;
const RATE: f64 = 400.0;

/// A gateway with the accounts `load`, which submits all the time, and `shop`; and with the carriers `main`, which has
/// the traffic, `other`, which has nothing, and `hand`, which does what the test says, for numbers that begin with 49.
pub(crate) struct Scene {
    running: Option<Running>,
    dir: TempDir,
    pub(super) main: Simulator,
    pub(super) other: Simulator,
    pub(crate) hand: ScriptedSmsc,
    /// The file as it stands.
    pub(crate) text: String,
    load: Option<Load>,
}

fn simulator() -> Simulator {
    let options = simulator::Options {
        // On every address of this machine, so that it can be found at another one.
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..simulator::Options::open("smsc".parse().unwrap())
    };
    Simulator::start(options).unwrap()
}

impl Scene {
    /// Starts it, without traffic.
    pub(crate) async fn start() -> Self {
        let (main, other, hand) = (simulator(), simulator(), ScriptedSmsc::listen().await);
        let dir = TempDir::new().unwrap();
        let place = dir.path().display();
        let hash = secret_hash();
        let account = |name: &str| {
            format!(
                "[[account]]\nsystem_id = \"{name}\"\ncategory = \"transactional\"\npassword_hashes = [\"{hash}\"]\n"
            )
        };
        let carrier = |name: &str, port: u16| {
            format!(
                "[[carrier]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:{port}\"]\nsystem_id = \"tidegate\"\n\
                 password_file = \"{place}/{name}.password\"\nreconnect_min = \"20ms\"\nreconnect_max = \"100ms\"\n"
            )
        };
        for name in ["main", "other", "hand"] {
            fs::write(dir.path().join(format!("{name}.password")), "secret").unwrap();
        }
        let text = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[http]\naddress = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n\
             [storage]\ndata = \"{place}/data\"\nkey_ring = \"{place}/keys\"\nkek_file = \"{place}/kek/kek\"\n\
             auto_init = true\n[limits]\nunbind_wait = \"300ms\"\nshutdown_grace = \"50ms\"\n{}{}{}links = 2\nwindow = 50\n{}{}\
             [[route.mt]]\nprefix = \"\"\ncarriers = [\"main\"]\n[[route.mt]]\nprefix = \"49\"\ncarriers = [\"hand\"]\n\
             [[route.mo]]\nnumber = \"12345\"\naccount = \"shop\"\n",
            account("load"),
            account("shop"),
            carrier("main", main.addr().port()),
            carrier("other", other.addr().port()),
            carrier("hand", hand.addr().port()),
        );
        let mut scene = Self {
            running: None,
            dir,
            main,
            other,
            hand,
            text,
            load: None,
        };
        fs::write(scene.file(), &scene.text).unwrap();
        let config = tidegate_config::parse(&scene.text).unwrap_or_else(|problems| panic!("{problems}"));
        let running = start_from(Some(scene.file()), config, &Telemetry::new(), Clock::machine());
        scene.running = Some(running.unwrap_or_else(|error| panic!("{error}")));
        scene.hand.expect_binds(1).await;
        scene
    }

    /// Starts it, with messages of `load` under way.
    pub(super) async fn busy() -> Self {
        let mut scene = Self::start().await;
        let secret = Password::new(b"secret", PASSWORD_MAX).unwrap();
        let options = load::Options {
            binds: 2,
            messages: MESSAGES,
            rate: RATE,
            patience: Duration::from_secs(5),
            ..load::Options::new(scene.esme(), "load".parse().unwrap(), secret).unwrap()
        };
        scene.load = Some(Load::start(options).unwrap());
        scene.more_traffic().await;
        scene
    }

    // ===== places =====

    pub(super) fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("tidegate.toml")
    }

    pub(crate) fn esme(&self) -> SocketAddr {
        self.running.as_ref().unwrap().listening[0]
    }

    /// Where verbs are done over HTTP.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin.unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// An open bind of `shop`.
    pub(crate) async fn shop(&self) -> ScriptedEsme {
        ScriptedEsme::bound(self.esme(), "shop", "secret").await
    }

    // ===== changes =====

    /// Puts keys into the table that begins with this line.
    pub(crate) fn with(&self, line: &str, keys: &str) -> String {
        assert!(self.text.contains(line), "{line}");
        self.text.replacen(line, &format!("{line}\n{keys}"), 1)
    }

    /// Writes the file and has it read again.
    pub(crate) async fn reload(&mut self, text: &str) -> Map<String, Value> {
        fs::write(self.file(), text).unwrap();
        let outcome = self.ask(false).await;
        if outcome["applied"] == true {
            text.clone_into(&mut self.text);
        }
        outcome
    }

    /// The same; it must be taken over, and these are the lines that it has.
    pub(crate) async fn change(&mut self, text: &str, changes: &[&str]) {
        let outcome = self.reload(text).await;
        assert_eq!(outcome["reasons"], Value::Array(Vec::new()), "{outcome:?}");
        assert_eq!(outcome["applied"], true, "{outcome:?}");
        assert_eq!(lines(&outcome, "changes"), changes, "{outcome:?}");
    }

    /// The same; it must be refused, and each of these words must stand in a reason of its own.
    pub(crate) async fn refuse(&mut self, text: &str, words: &[&str]) {
        let outcome = self.reload(text).await;
        assert_eq!(outcome["applied"], false, "{outcome:?}");
        let reasons = lines(&outcome, "reasons");
        assert_eq!(reasons.len(), words.len(), "{reasons:?}");
        for (reason, word) in reasons.iter().zip(words) {
            assert!(reason.contains(word), "{word}: {reason}");
        }
        fs::write(self.file(), &self.text).unwrap();
    }

    pub(super) async fn ask(&self, dry_run: bool) -> Map<String, Value> {
        let (data, file) = (self.path("data"), Some(self.file()));
        let asking = move || control::ask(&data, &Verb::Reload { dry_run, file });
        tokio::task::spawn_blocking(asking).await.unwrap().unwrap()
    }

    // ===== traffic =====

    /// Waits until some more messages of `load` have been answered and receipted.
    pub(super) async fn more_traffic(&self) {
        let Some(load) = &self.load else { return };
        let (before, some) = (load.counts(), 50);
        self.until("more traffic", || {
            let now = load.counts();
            now.acknowledged >= before.acknowledged + some && now.receipts > before.receipts
        })
        .await;
    }

    /// Waits until a count of a simulator, a file or whatever else tells nobody is what it should be.
    pub(super) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let looking = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        assert!(found.is_ok(), "{what} has not come");
    }

    /// Waits until `/metrics` says so of this name and these labels: it is told a few times a second.
    pub(crate) async fn expect_metric(&self, name: &str, is_so: impl Fn(f64) -> bool) {
        let looking = async {
            while !self.metric(name).await.is_some_and(&is_so) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        assert!(found.is_ok(), "{name}: {:?}", self.metric(name).await);
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut socket = tokio::net::TcpStream::connect(self.running.as_ref().unwrap().http)
            .await
            .unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    }

    /// Waits for the end of the traffic: nothing of it is lost and nothing doubled, and no link of it was lost.
    pub(super) async fn end(self, name: &str) {
        self.end_with(name, true).await;
    }

    /// The same where a carrier has gone that still owed receipts.
    #[expect(clippy::print_stdout, reason = "the counts of each scenario are shown")]
    pub(super) async fn end_with(mut self, name: &str, all_receipts: bool) {
        if let Some(load) = self.load.take() {
            let clients = tokio::task::spawn_blocking(move || load.join().unwrap())
                .await
                .unwrap();
            let counts = [self.main.counts(), self.other.counts()];
            let reports = [self.main.stop().unwrap(), self.other.stop().unwrap()];
            let taken = reports
                .each_ref()
                .map(|report| report.taken.get(&clients.run).cloned().unwrap_or_default());
            let has = |n: &u32| taken.iter().any(|taken| taken.contains(*n));
            let lost = (0..=MESSAGES)
                .filter(|n| clients.acknowledged_marks.contains(*n) && !has(n))
                .count();
            let repeated: u64 = reports.iter().map(|report| report.repeated).sum();
            let doubled = repeated + taken[0].and(&taken[1]).len() + clients.repeated_receipts;
            let unreceipted = clients.acknowledged_marks.missing_in(&clients.receipt_marks);
            println!(
                "reload::{name}: submitted {} acknowledged {} taken {} + {} lost {lost} doubled {doubled} without receipt \
                 {unreceipted}",
                clients.submitted,
                clients.acknowledged,
                taken[0].len(),
                taken[1].len(),
            );
            assert_eq!((lost, doubled), (0, 0), "{name}: {counts:?}");
            assert_eq!(clients.acknowledged, u64::from(MESSAGES), "{name}");
            assert_eq!(clients.disconnects, 0, "{name}: open binds live on");
            assert!(unreceipted == 0 || !all_receipts, "{name}: {unreceipted}");
        }
        if let Some(running) = self.running.take() {
            tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
        }
    }
}

/// A list of texts in an answer.
pub(super) fn lines(outcome: &Map<String, Value>, key: &str) -> Vec<String> {
    let lines = outcome[key].as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}
