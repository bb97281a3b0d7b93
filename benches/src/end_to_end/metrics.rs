//! What the gateway tells over HTTP: whether it is ready, and its metrics.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Fallible;

/// How long one page may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Octets of a page that are read.
const PAGE_MAX: u64 = 4 << 20;

/// The page under a path, with its status.
pub(super) async fn get(server: SocketAddr, path: &str) -> Fallible<(u16, String)> {
    let getting = async {
        let mut socket = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.take(PAGE_MAX).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(DEADLINE, getting).await??;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let page = answer.split_once("\r\n\r\n").map(|(_, page)| page.to_owned());
    Ok(status.zip(page).ok_or("this is no HTTP")?)
}

/// The metrics of a moment.
#[derive(Debug)]
pub(super) struct Metrics(String);

impl Metrics {
    pub(super) async fn read(server: SocketAddr) -> Fallible<Self> {
        match get(server, "/metrics").await? {
            (200, page) => Ok(Self(page)),
            (status, page) => Err(format!("/metrics answers {status}: {page}").into()),
        }
    }

    /// The sum of all series of this name. A name that is not there is an error: the bench would otherwise
    /// report noughts after somebody renamed it.
    pub(super) fn sum(&self, name: &str) -> Fallible<f64> {
        let mut values = self
            .0
            .lines()
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let of = series.split('{').next()?;
                (of == name).then(|| value.parse::<f64>().ok()).flatten()
            })
            .peekable();
        if values.peek().is_none() {
            return Err(format!("the gateway has no metric {name}").into());
        }
        Ok(values.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_are_summed_and_others_are_not() {
        let text = "# HELP a_total A\n# TYPE a_total counter\na_total 3\nab_total 40\nlinks{carrier=\"x y\"} 4\nlinks{carrier=\"b\"} 2\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a_total").unwrap().to_string(), "3");
        assert_eq!(metrics.sum("links").unwrap().to_string(), "6");
        assert!(metrics.sum("a").is_err());
    }
}
