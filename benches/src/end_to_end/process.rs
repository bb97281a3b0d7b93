//! A child process: started, listened to, waited for with a deadline, killed when dropped.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Fallible, LOOK};

/// Lines of a child's standard error that are kept to be shown when it fails.
const LINES_MAX: usize = 100;
/// Octets of a child's standard output that are read: one JSON object is far less.
const OUTPUT_MAX: u64 = 1 << 20;
/// How long a child may take to be ready, or to end when it was told to.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Addresses that are not given out again.
const LAST_MAX: usize = 100;

type Lines = Arc<Mutex<VecDeque<String>>>;

/// A child that may run. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    id: u32,
    lines: Lines,
    stderr: JoinHandle<()>,
    stdout: JoinHandle<String>,
}

/// What a child left that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it wrote to standard output.
    pub(super) output: String,
    /// Why that was no success.
    pub(super) fault: Option<String>,
}

impl Process {
    /// Starts it. Its standard error goes through a pipe, never to a file, so that what it logs is not
    /// taken for what it stores.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        dir: &Path,
    ) -> Fallible<Self> {
        let mut child = Command::new(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let id = child.id().ok_or("it has ended before it was asked for its id")?;
        let lines = Lines::default();
        let (stderr, stdout) = (child.stderr.take(), child.stdout.take());
        Ok(Self {
            name,
            child,
            id,
            stderr: tokio::spawn(keep_lines(stderr, Arc::clone(&lines))),
            stdout: tokio::spawn(keep_output(stdout)),
            lines,
        })
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    /// Waits until a line of its standard error begins so, and returns the rest of that line.
    pub(super) async fn says(&mut self, start: &str) -> Fallible<String> {
        let looking = async {
            loop {
                // Asked first: a child may say it and end before we have read what it said.
                let is_all = self.stderr.is_finished();
                if let Some(rest) = self.lines().iter().find_map(|line| line.strip_prefix(start)) {
                    return Ok(rest.to_owned());
                }
                if is_all {
                    self.must_run()?;
                }
                sleep(LOOK).await;
            }
        };
        match timeout(DEADLINE, looking).await {
            Ok(done) => done,
            Err(_) => Err(self.fault(&format!("has not said {start:?} in {DEADLINE:?}"))),
        }
    }

    /// Fails if it has ended.
    pub(super) fn must_run(&mut self) -> Fallible<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.fault(&format!("ended too early ({status})"))),
        }
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Fallible<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub(super) async fn finish(mut self, deadline: Duration) -> Fallible<Ended> {
        let status = match timeout(deadline, self.child.wait()).await {
            Ok(status) => status?,
            Err(_) => return Err(self.fault(&format!("has not ended in {deadline:?}"))),
        };
        // Whoever inherited the pipes could hold them open; nobody should, and nobody is waited for.
        let output = timeout(DEADLINE, &mut self.stdout).await??;
        let _ = timeout(DEADLINE, &mut self.stderr).await?;
        let fault = (!status.success()).then(|| self.fault(&format!("failed ({status})")).to_string());
        Ok(Ended { output, fault })
    }

    /// SIGTERM, and waits for its end in order.
    pub(super) async fn stop(self) -> Fallible<Ended> {
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("no process id")?, Signal::TERM)?;
        self.finish(DEADLINE).await
    }

    /// SIGKILL: it ends where it stands.
    pub(super) async fn kill(mut self) -> Fallible<ExitStatus> {
        self.child.start_kill()?;
        Ok(timeout(DEADLINE, self.child.wait()).await??)
    }

    /// An error about this child, with what it said last.
    pub(super) fn fault(&self, what: &str) -> Box<dyn std::error::Error> {
        let lines = self.lines();
        let said = lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        format!("{} {what}; its standard error:\n{said}", self.name).into()
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep_lines(stderr: Option<ChildStderr>, kept: Lines) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LINES_MAX {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

async fn keep_output(stdout: Option<ChildStdout>) -> String {
    let mut octets = Vec::new();
    if let Some(stdout) = stdout {
        // What cannot be read is missed by whoever reads the JSON, and named there.
        let _ = stdout.take(OUTPUT_MAX).read_to_end(&mut octets).await;
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// An address of this machine that was free a moment ago, and none of the last hundred: the system may give a port that was
/// let go again at once.
pub(super) fn free_addr() -> Fallible<SocketAddr> {
    static LAST: Mutex<VecDeque<SocketAddr>> = Mutex::new(VecDeque::new());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        if last.contains(&address) {
            continue;
        }
        last.push_back(address);
        if last.len() > LAST_MAX {
            last.pop_front();
        }
        return Ok(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("the shell", Path::new("/bin/sh"), ["-c", script], Path::new(".")).unwrap()
    }

    #[tokio::test]
    async fn a_success_gives_its_output() {
        let mut child = shell("echo ready to go >&2; echo '{}'");
        assert_eq!(child.says("ready ").await.unwrap(), "to go");
        let ended = child.finish(DEADLINE).await.unwrap();
        assert_eq!((ended.output.as_str(), ended.fault), ("{}\n", None));
    }

    #[tokio::test]
    async fn a_failure_is_told_with_what_the_child_said() {
        let ended = shell("echo the reason >&2; exit 3")
            .finish(DEADLINE)
            .await
            .unwrap();
        assert!(ended.fault.unwrap().contains("the reason"));
        let error = shell("echo other words >&2").says("ready").await.unwrap_err();
        assert!(error.to_string().contains("ended too early"), "{error}");
    }

    #[tokio::test]
    async fn who_waits_for_sigterm_gets_it_and_who_is_dropped_dies() {
        let mut child = shell("trap 'echo {}; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done");
        child.says("ready").await.unwrap();
        assert_eq!(child.stop().await.unwrap().output, "{}\n");
        let child = shell("exec sleep 600");
        let status = Path::new("/proc").join(child.id().to_string()).join("status");
        drop(child);
        // Killed, it is gone or a zombie that the runtime has yet to wait for.
        let gone = async {
            while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
                sleep(LOOK).await;
            }
        };
        timeout(DEADLINE, gone).await.unwrap();
    }
}
