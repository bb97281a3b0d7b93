//! The command line's side of the control socket.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Verb, path};

/// How long an answer may take: millions of messages are gone through a little at a time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no gateway runs on {data}; start it, or read the files with `tidegate spool verify`")]
    NotRunning {
        /// The data directory.
        data: String,
    },
    /// The gateway said no.
    #[error("{0}")]
    Refused(String),
    /// The socket failed.
    #[error("the control socket: {0}")]
    Io(#[from] io::Error),
    /// Something else answered.
    #[error("what answers on the control socket is no gateway of this version")]
    Foreign,
}

/// Asks the gateway that runs on a data directory.
pub fn ask(data: &Path, verb: &Verb) -> Result<Map<String, Value>, AskError> {
    ask_within(data, verb, PATIENCE)
}

/// The same, and gives up where the next octet takes longer than `patience`.
pub(crate) fn ask_within(
    data: &Path,
    verb: &Verb,
    patience: Duration,
) -> Result<Map<String, Value>, AskError> {
    let mut stream = match UnixStream::connect(path(data)) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            let data = data.display().to_string();
            return Err(AskError::NotRunning { data });
        }
        connected => connected?,
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = zeroize::Zeroizing::new(verb.request().to_string());
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let Ok(Value::Object(mut answer)) = serde_json::from_str(&answer) else {
        return Err(AskError::Foreign);
    };
    match (answer.remove("done"), answer.remove("refused")) {
        (Some(Value::Object(done)), _) => Ok(done),
        (_, Some(Value::String(why))) => Err(AskError::Refused(why)),
        _ => Err(AskError::Foreign),
    }
}
