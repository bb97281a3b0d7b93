//! The gateway's side of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_store::audit::Actor;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::{Answer, CONNECTIONS_MAX, IDLE, LINE_MAX, Request, VERSION, Verb, path};

/// How often it is looked whether who asked is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A socket that nobody is served at yet. Its file goes when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: std::os::unix::net::UnixListener,
    path: PathBuf,
    /// Who is served, besides root.
    owner: u32,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The next start would remove it, too.
        let _ = fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Listens in a data directory whose lock we hold: a socket that is there already is of a process that has ended.
    /// Fails where the path is longer than a socket's may be (some 100 octets).
    pub fn bind(data: &Path) -> io::Result<Self> {
        let path = path(data);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = std::os::unix::net::UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        // Who was quicker than the mode, in a directory that others can enter, is turned away by name.
        let owner = fs::metadata(&path)?.uid();
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path, owner })
    }
}

/// Serves until `stopped` says so. On a tokio runtime.
pub async fn serve(listener: Listener, requests: mpsc::Sender<Request>, mut stopped: watch::Receiver<bool>) {
    let socket = match listener.socket.try_clone().and_then(UnixListener::from_std) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the control socket cannot be served"),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    if uid.is_some_and(|uid| uid == 0 || uid == listener.owner) {
                        connections.spawn(talk(stream, uid, requests.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "control: cannot accept");
                    tokio::time::sleep(IDLE / 300).await;
                }
            },
        }
    }
}

/// One connection: requests and answers in turn.
async fn talk(mut stream: UnixStream, uid: Option<u32>, requests: mpsc::Sender<Request>) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        // A request may bear a key.
        let mut line = Zeroizing::new(Vec::new());
        let limit = LINE_MAX as u64;
        let mut limited = (&mut reader).take(limit);
        let read = tokio::time::timeout(IDLE, limited.read_until(b'\n', &mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            return;
        }
        let is_whole = line.ends_with(b"\n");
        let answer = if is_whole {
            tokio::select! {
                answer = ask_loop(&line, uid, &requests) => answer,
                // Nobody is to be answered: what was asked for stops, too.
                () = hung_up(&writer) => return,
            }
        } else {
            Err(format!("a request is one line of at most {LINE_MAX} octets"))
        };
        let mut out = shown(answer).to_string();
        out.push('\n');
        let written = tokio::time::timeout(IDLE, writer.write_all(out.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) || !is_whole {
            return;
        }
    }
}

/// Done when the other side is gone; one that only says no more still waits for its answer.
async fn hung_up(writer: &WriteHalf<'_>) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        if !matches!(writer.ready(Interest::WRITABLE).await, Ok(ready) if !ready.is_write_closed()) {
            return;
        }
    }
}

async fn ask_loop(line: &[u8], uid: Option<u32>, requests: &mpsc::Sender<Request>) -> Answer {
    let verb = Verb::read(line)?;
    let (answer, answered) = oneshot::channel();
    let who = Actor::Operator(uid);
    let request = Request {
        verb,
        who,
        role: None,
        answer,
    };
    requests
        .try_send(request)
        .map_err(|_| "the gateway is busy with other requests, or ends".to_owned())?;
    answered
        .await
        .unwrap_or_else(|_| Err("the gateway ends".to_owned()))
}

fn shown(answer: Answer) -> Value {
    match answer {
        Ok(done) => json!({ "version": VERSION, "done": done }),
        Err(why) => json!({ "version": VERSION, "refused": why }),
    }
}
