//! The gateway as a process: started with a configuration of its own, waited for, killed, started again.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::DEADLINE;

/// Pause between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// A hash of the password "secret", the one of `config/bench.toml`.
const SECRET: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0";

/// Where a process has its things.
#[derive(Clone, Debug)]
pub struct Places {
    /// A directory of its own.
    pub dir: PathBuf,
    /// Where it is to listen for ESMEs.
    pub smpp: SocketAddr,
    /// Where it is to answer HTTP.
    pub http: SocketAddr,
}

impl Places {
    /// A configuration with the account `load`, password `secret`, and one carrier at each of these
    /// addresses, in fail-over order, with quick reconnects; `more` stands at the end of it.
    pub fn config(&self, carriers: &[SocketAddr], more: &str) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "[[listen]]\naddress = \"{}\"\n\n[http]\naddress = \"{}\"\n\n\
             [storage]\ndata = \"{dir}/data\"\nkey_ring = \"{dir}/keys\"\nkek_file = \"{dir}/kek/kek\"\n\
             legal_kek_file = \"{dir}/kek/legal\"\nsubrec_kek_file = \"{dir}/kek/subrec\"\nauto_init = true\n\n\
             [[account]]\nsystem_id = \"load\"\npassword_hashes = [\"{SECRET}\"]\nmax_binds = 64\ncategory = \"transactional\"\n\n",
            self.smpp, self.http
        );
        let mut names = Vec::new();
        for (index, address) in carriers.iter().enumerate() {
            let name = format!("\"c{index}\"");
            write!(
                text,
                "[[carrier]]\nname = {name}\naddresses = [\"{address}\"]\nsystem_id = \"tidegate\"\n\
                 password_file = \"{dir}/carrier.password\"\nlinks = 2\nwindow = 100\n\
                 reconnect_min = \"50ms\"\nreconnect_max = \"200ms\"\n\n"
            )
            .unwrap();
            names.push(name);
        }
        write!(
            text,
            "[[route.mt]]\nprefix = \"\"\ncarriers = [{}]\n\n\
             [[route.mo]]\nnumber = \"*\"\naccount = \"load\"\n\n{more}",
            names.join(", ")
        )
        .unwrap();
        text
    }
}

/// A gateway that may run. Dropped, it is killed, and its directory goes.
#[derive(Debug)]
pub struct Process {
    places: Places,
    binary: PathBuf,
    child: Option<Child>,
    _dir: TempDir,
}

impl Process {
    /// The binary that the workspace built for the running test.
    pub fn built() -> PathBuf {
        let test = std::env::current_exe().unwrap();
        // target/<profile>/deps/<test>
        let binary = test.ancestors().nth(2).unwrap().join("tidegate");
        assert!(
            binary.is_file(),
            "{} is not built: cargo build -p tidegate-gateway",
            binary.display()
        );
        binary
    }

    /// Makes a directory with the configuration in it, and the carriers' password "secret"; starts nothing.
    pub fn prepare(binary: impl Into<PathBuf>, config: impl FnOnce(&Places) -> String) -> Self {
        let dir = tempfile::Builder::new().prefix("tidegate-").tempdir().unwrap();
        let places = Places {
            dir: dir.path().to_owned(),
            smpp: free_addr(),
            http: free_addr(),
        };
        fs::write(dir.path().join("tidegate.toml"), config(&places)).unwrap();
        fs::write(dir.path().join("carrier.password"), "secret\n").unwrap();
        Self {
            places,
            binary: binary.into(),
            child: None,
            _dir: dir,
        }
    }

    /// Prepares, starts and waits until it is ready.
    pub async fn start(binary: impl Into<PathBuf>, config: impl FnOnce(&Places) -> String) -> Self {
        let mut process = Self::prepare(binary, config);
        process.spawn();
        process.ready().await;
        process
    }

    // ===== questions =====

    /// Where ESMEs bind.
    pub const fn smpp(&self) -> SocketAddr {
        self.places.smpp
    }

    /// Where it answers HTTP.
    pub const fn http(&self) -> SocketAddr {
        self.places.http
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.places.dir
    }

    /// Its configuration, to be changed between two starts.
    pub fn config(&self) -> PathBuf {
        self.places.dir.join("tidegate.toml")
    }

    /// The process id.
    #[track_caller]
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the process runs").id()
    }

    /// Everything that it wrote to stderr, over all starts.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.log("stderr")).unwrap_or_default()
    }

    /// Everything that it wrote to stdout, over all starts.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.log("stdout")).unwrap_or_default()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.places.dir.join(name)
    }

    fn open_log(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(self.log(name)).unwrap()
    }

    /// The metrics, once there is something among them.
    pub async fn metrics_with(&self, what: &str) -> String {
        let looking = async {
            loop {
                let (_, page) = self.get("/metrics").await.unwrap();
                if page.contains(what) {
                    return page;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        found.unwrap_or_else(|_| panic!("not among the metrics in {DEADLINE:?}: {what}"))
    }

    /// Gets a page: status and body; an error while nobody answers.
    pub async fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut socket = TcpStream::connect(self.places.http).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status
            .zip(body)
            .ok_or_else(|| std::io::Error::other("this is no HTTP"))
    }

    // ===== life =====

    /// Starts it and does not wait.
    pub fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    /// Starts it with variables in its environment, and does not wait.
    pub fn spawn_with(&mut self, environment: &[(&str, &str)]) {
        self.launch(&[], environment);
    }

    /// Starts it with more options, and does not wait.
    pub fn spawn_told(&mut self, options: &[&str]) {
        self.launch(options, &[]);
    }

    fn launch(&mut self, options: &[&str], environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        let child = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(self.config())
            .args(options)
            .envs(environment.iter().copied())
            .current_dir(&self.places.dir)
            .stdin(Stdio::null())
            .stdout(self.open_log("stdout"))
            .stderr(self.open_log("stderr"))
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.binary.display()));
        self.child = Some(child);
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self) {
        self.says_yes("/readyz").await;
    }

    /// Waits until `/healthz` says yes: it runs, whether or not it takes messages.
    pub async fn alive(&mut self) {
        self.says_yes("/healthz").await;
    }

    async fn says_yes(&mut self, page: &str) {
        let looking = async {
            loop {
                if let Some(status) = self.try_wait() {
                    return Err(status);
                }
                if matches!(self.get(page).await, Ok((200, _))) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(Ok(())) => {}
            Ok(Err(status)) => panic!("it ended ({status}) before {page} said yes:\n{}", self.stderr()),
            Err(_) => panic!("{page} did not say yes in {DEADLINE:?}:\n{}", self.stderr()),
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        let looking = async {
            loop {
                if let Some(status) = self.try_wait() {
                    return status;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(status) => {
                self.child = None;
                status
            }
            Err(_) => panic!("it did not end in {DEADLINE:?}:\n{}", self.stderr()),
        }
    }

    /// SIGKILL: it ends where it stands.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait().await
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Starts it again in the same directory, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.ready().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address that was free a moment ago.
pub fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}
