//! TLS towards ESMEs (SEC-1): what the configured files make, and the handshakes.
//!
//! Files are read at the start and at every reload, away from the loop. What they make is kept whole: a handshake begins
//! with one and ends with it, whatever a reload does meanwhile, and open links are not touched. Sessions are not resumed:
//! binds last for days, so it would save nothing, and every handshake asks for the certificates that hold now.

mod expiry;
mod files;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, PeerIncompatible, ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use tidegate_config::{Config, Exception, Listener, ListenerTls, Transport};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::telemetry::words::Handshake;
use files::Files;

/// What the files of one listener make.
pub struct ServerTls {
    tls13: Arc<ServerConfig>,
    /// With TLS 1.2, as long as its exception holds.
    tls12: Option<(Arc<ServerConfig>, Exception)>,
    /// What the files held.
    digest: [u8; 32],
    expires_s: u64,
}

/// All that the files of a configuration make.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// In the order of the listeners; `None` is plain TCP.
    pub(crate) listen: Vec<Option<Arc<ServerTls>>>,
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, by the configuration: the listener's address.
    pub owner: String,
    /// Unix time in seconds from which on it does not hold, or one that leads from it to its CA.
    pub expires_s: u64,
}

/// Files that cannot be used, each with its key, its path and why.
#[derive(Debug)]
pub struct TlsProblems(Vec<String>);

impl TlsProblems {
    /// One line each.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.0
    }
}

impl fmt::Display for TlsProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for TlsProblems {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// The gateway's own clock, for certificates.
#[derive(Debug)]
struct Dates(Clock);

impl TimeProvider for Dates {
    fn current_time(&self) -> Option<UnixTime> {
        let now = Duration::from_millis(self.0.now().unix_ms);
        Some(UnixTime::since_unix_epoch(now))
    }
}

impl Tls {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    ///
    /// Every file that cannot be had or used.
    pub(crate) fn load(config: &Config, clock: &Clock) -> Result<Self, TlsProblems> {
        let mut problems = Vec::new();
        let mut listen = Vec::new();
        for (place, listener) in config.listen.iter().enumerate() {
            let made = listener.tls.as_ref().map(|tls| {
                let key = format!("listen[{place}].tls");
                ServerTls::load(&key, tls, clock).map_err(|problem| problems.push(problem))
            });
            listen.push(made.and_then(Result::ok).map(Arc::new));
        }
        if problems.is_empty() {
            Ok(Self { listen })
        } else {
            Err(TlsProblems(problems))
        }
    }

    /// When the certificates end, by the listeners that they are made for.
    pub(crate) fn certificates(&self, listeners: &[Listener]) -> Vec<Certificate> {
        let made = listeners.iter().zip(&self.listen);
        made.filter_map(|(listener, tls)| {
            Some(Certificate {
                owner: listener.address.to_string(),
                expires_s: tls.as_ref()?.expires_s,
            })
        })
        .collect()
    }
}

impl ServerTls {
    fn load(key: &str, tls: &ListenerTls, clock: &Clock) -> Result<Self, String> {
        let mut files = Files::of(key);
        let chain = files.certificates("certificate", &tls.certificate)?;
        let private = files.private_key("key", &tls.key)?;
        let provider = Arc::new(ring::default_provider());
        let verifier = match &tls.client_ca {
            None => Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>,
            Some(path) => {
                let roots = Arc::new(files.roots("client_ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let verifier = if tls.client_required {
                    verifier
                } else {
                    verifier.allow_unauthenticated()
                };
                verifier
                    .build()
                    .map_err(|error| format!("{key}.client_ca {}: {error}", path.display()))?
            }
        };
        let expires_s = files.expires_s("certificate", &tls.certificate, &chain, clock.now().unix_ms)?;
        let make = |versions: &[&'static SupportedProtocolVersion]| {
            let made = server_config(&provider, clock, versions, Arc::clone(&verifier));
            let made = made.and_then(|made| made.with_single_cert(chain.clone(), private.clone_key()));
            let mut made = made.map_err(|error| {
                let (certificate, private) = (tls.certificate.display(), tls.key.display());
                format!("{key}: {certificate} and {private} do not go together: {error}")
            })?;
            made.session_storage = Arc::new(NoServerSessionStorage {});
            made.send_tls13_tickets = 0;
            Ok::<_, String>(Arc::new(made))
        };
        let tls12 = match &tls.tls12 {
            Some(exception) => Some((make(&[&TLS13, &TLS12])?, exception.clone())),
            None => None,
        };
        Ok(Self {
            tls13: make(&[&TLS13])?,
            tls12,
            digest: files.digest(),
            expires_s,
        })
    }

    /// What a handshake that begins now is made with.
    pub(crate) fn config(&self, unix_ms: u64) -> Arc<ServerConfig> {
        let older = self
            .tls12
            .as_ref()
            .filter(|(_, exception)| exception.holds(unix_ms));
        Arc::clone(older.map_or(&self.tls13, |(both, _)| both))
    }
}

type Unfinished = rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>;

fn server_config(
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
    versions: &[&'static SupportedProtocolVersion],
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Unfinished, rustls::Error> {
    let dates = Arc::new(Dates(clock.clone()));
    let builder = ServerConfig::builder_with_details(Arc::clone(provider), dates);
    let builder = builder.with_protocol_versions(versions)?;
    Ok(builder.with_client_cert_verifier(verifier))
}

/// Shakes hands with a client, within this time.
///
/// # Errors
///
/// Why it came to nothing, as it is counted.
pub(crate) async fn accept(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    within: Duration,
) -> Result<(TlsStream<TcpStream>, Transport), Handshake> {
    match tokio::time::timeout(within, TlsAcceptor::from(config).accept(stream)).await {
        Err(_) => Err(Handshake::TimedOut),
        Ok(Err(error)) => Err(failure(&error)),
        Ok(Ok(stream)) => {
            let transport = match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Transport::Tls13,
                _ => Transport::Tls12,
            };
            Ok((stream, transport))
        }
    }
}

/// Why a handshake came to nothing.
fn failure(error: &std::io::Error) -> Handshake {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(
            rustls::Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            )
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        ) => Handshake::Version,
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            ),
        ) => Handshake::Certificate,
        _ => Handshake::Failed,
    }
}
