//! Clients that bind, and then do next to nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::header::{CommandId, HEADER_LEN, Header};
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tidegate_gateway::clock::Clock;
use tidegate_tests::esme::message;
use tidegate_tests::peer::octets_of;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::Fallible;

/// A client asks so often whether its gateway is there.
const ASKS_EVERY: Duration = Duration::from_secs(30);
/// After a refusal, or none at all.
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of a PDU that is read here.
const PDU_MAX: usize = 4_096;

/// Octets both ways.
pub(crate) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Octets for S {}
/// A bind's connection.
pub(crate) type Link = Box<dyn Octets>;

/// Where to come in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// What idle clients have asked and been asked.
#[derive(Default)]
pub(crate) struct Counts {
    asked: AtomicU64,
    answered: AtomicU64,
    questions: AtomicU64,
}

impl Counts {
    pub(crate) fn clear(&self) {
        for count in [&self.asked, &self.answered, &self.questions] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Asked, answered by the gateway, and asked by it.
    pub(crate) fn all(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.asked), read(&self.answered), read(&self.questions))
    }
}

/// Binds, again and again with a pause, and says how many connections it took.
pub(crate) async fn until_bound(door: &Door, account: &str, patience: Duration) -> Fallible<(Link, u32)> {
    for connections in 1..=1_000 {
        if let Ok(Ok(link)) = timeout(patience, bind(door, account)).await {
            return Ok((link, connections));
        }
        sleep(PAUSE).await;
    }
    Err(format!("{account} is not bound").into())
}

async fn bind(door: &Door, account: &str) -> Fallible<Link> {
    let stream = TcpStream::connect(door.address).await?;
    stream.set_nodelay(true)?;
    let mut link: Link = match &door.tls {
        Some((tls, name)) => Box::new(tls.connect(name.clone(), stream).await?),
        None => Box::new(stream),
    };
    let bind = Bind {
        system_id: COctets::new(account.as_bytes())?,
        password: COctets::new(b"secret")?,
        interface_version: InterfaceVersion::V3_4,
        system_type: COctets::EMPTY,
        addr_ton: Ton::UNKNOWN,
        addr_npi: Npi::UNKNOWN,
        address_range: COctets::EMPTY,
        tlvs: Tlvs::NONE,
    };
    let octets = octets_of(
        CommandStatus::ROK,
        1,
        Operation::Bind(BindKind::Transceiver, bind),
    );
    link.write_all(&octets).await?;
    let header = next(&mut link).await?;
    if !header.status.is_ok() {
        return Err(format!("a bind of {account} was answered with {}", header.status).into());
    }
    Ok(link)
}

/// The header of the next PDU; what stands behind it is skipped.
async fn next(link: &mut Link) -> Fallible<Header> {
    let mut head = [0; HEADER_LEN];
    link.read_exact(&mut head).await?;
    let header = Header::read(&head);
    let mut body = vec![0; (header.length as usize).saturating_sub(HEADER_LEN).min(PDU_MAX)];
    link.read_exact(&mut body).await?;
    Ok(header)
}

/// Answers what is asked, and asks now and then; for ever.
pub(crate) async fn idle(mut link: Link, counts: Arc<Counts>) -> Fallible<()> {
    let mut sequence = 1;
    // Not all at once: as clients that came one after the other.
    let mut asks = interval(ASKS_EVERY);
    asks.tick().await;
    loop {
        let mut head = [0; HEADER_LEN];
        let header = tokio::select! {
            read = link.read_exact(&mut head) => {
                read?;
                Header::read(&head)
            }
            _ = asks.tick() => {
                sequence += 1;
                link.write_all(&octets_of(CommandStatus::ROK, sequence, Operation::EnquireLink(Tlvs::NONE))).await?;
                counts.asked.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        match header.command_id {
            CommandId::ENQUIRE_LINK => {
                let octets = octets_of(
                    CommandStatus::ROK,
                    header.sequence,
                    Operation::EnquireLinkResp(Tlvs::NONE),
                );
                link.write_all(&octets).await?;
                counts.questions.fetch_add(1, Ordering::Relaxed);
            }
            CommandId::ENQUIRE_LINK_RESP => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
            }
            other => return Err(format!("an idle bind was sent {other:?}").into()),
        }
    }
}

/// Submits at a distance, whatever the gateway does, until told to stop: when each was due, and what its response took.
pub(crate) async fn paced(
    link: Link,
    distance: Duration,
    mut stop: watch::Receiver<bool>,
) -> Fallible<Vec<(Duration, Duration)>> {
    let (mut read, mut write) = tokio::io::split(link);
    let (mut due, mut answers) = (VecDeque::new(), Vec::new());
    let mut ticks = interval(distance);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let clock = Clock::machine();
    let (start, mut sequence) = (clock.now().monotonic, 0);
    let mut head = [0; HEADER_LEN];
    let mut have = 0;
    let mut is_over = false;
    while !is_over || !due.is_empty() {
        tokio::select! {
            // Whole heads only, whatever else wakes us between two octets of one.
            got = read.read(head.get_mut(have..).unwrap_or_default()) => {
                have += got?;
                if have < HEADER_LEN {
                    continue;
                }
                have = 0;
                let header = Header::read(&head);
                let mut body = vec![0; (header.length as usize).saturating_sub(HEADER_LEN).min(PDU_MAX)];
                read.read_exact(&mut body).await?;
                if header.command_id == CommandId::SUBMIT_SM_RESP {
                    if !header.status.is_ok() {
                        return Err(format!("a submit was answered with {}", header.status).into());
                    }
                    let at: Duration = due.pop_front().ok_or("a response to nothing")?;
                    answers.push((at, (clock.now().monotonic - start).saturating_sub(at)));
                }
            }
            _ = ticks.tick(), if !is_over => {
                due.push_back(distance * sequence);
                sequence += 1;
                let sm = message("447700900001", "447700900002", "The quick brown fox jumps over the lazy dog");
                write.write_all(&octets_of(CommandStatus::ROK, sequence + 1, Operation::SubmitSm(sm))).await?;
            }
            _ = stop.changed(), if !is_over => is_over = true,
        }
    }
    Ok(answers)
}
