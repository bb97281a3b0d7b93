//! TLS towards ESMEs, carriers and operators (SEC-1): what the configured files make, and the handshakes.
//!
//! Files are read at the start and at every reload, away from the loop. What they make is kept whole: a handshake begins
//! with one and ends with it, whatever a reload does meanwhile, and open links are not touched. Sessions are not resumed:
//! binds last for days, so it would save nothing, and every handshake asks for the certificates that hold now.

mod expiry;
mod files;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, PeerIncompatible, ProtocolVersion, ServerConfig,
    SupportedProtocolVersion,
};
use tidegate_config::{CarrierTls, Config, Endpoint, Exception, Host, ListenerTls, Transport};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::admin;
use crate::clock::Clock;
use crate::http::Seal;
use crate::telemetry::words::{Handshake, Side};
use files::{Files, certified};

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
    /// Of the admin listener; `None` is plain TCP.
    pub(crate) admin: Option<Arc<ServerTls>>,
    /// In the order of the carriers; `None` is plain TCP.
    pub(crate) carriers: Vec<Option<Arc<ClientTls>>>,
    /// In the order of the listeners; `None` is plain TCP.
    pub(crate) listen: Vec<Option<Arc<ServerTls>>>,
}

/// What the files of one carrier make.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// The name that its certificate must have, unless that is the host of the address.
    server_name: Option<ServerName<'static>>,
    digest: [u8; 32],
    /// Of our own certificate.
    expires_s: Option<u64>,
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Towards whom it is used.
    pub side: Side,
    /// Where, by the configuration: the listener's address, or the carrier's name.
    pub name: String,
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

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
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
        let admin = config.http.admin_tls.as_ref().map(|tls| {
            ServerTls::load("http.admin_tls", tls, clock).map_err(|problem| problems.push(problem))
        });
        let admin = admin.and_then(Result::ok).map(Arc::new);
        let mut carriers = Vec::new();
        for carrier in &config.carriers {
            let made = carrier.tls.as_ref().map(|tls| {
                let key = format!("carrier.{}.tls", carrier.name);
                ClientTls::load(&key, tls, &carrier.addresses, clock)
                    .map_err(|problem| problems.push(problem))
            });
            carriers.push(made.and_then(Result::ok).map(Arc::new));
        }
        if problems.is_empty() {
            Ok(Self {
                admin,
                carriers,
                listen,
            })
        } else {
            Err(TlsProblems(problems))
        }
    }

    /// What the admin listener's connections are protected by, of the configuration that they are made for.
    pub(crate) fn admin_seal(&self, config: &Config, clock: &Clock) -> Seal {
        Seal {
            tls: self.admin.clone(),
            within: config.limits.tls_handshake,
            handshakes: config.limits.max_handshakes.min(admin::HANDSHAKES_MAX),
            per_address: config.http.admin_max_per_ip,
            clock: clock.clone(),
        }
    }

    /// When our certificates end, of the configuration that they are made for.
    pub(crate) fn certificates(&self, config: &Config) -> Vec<Certificate> {
        let listeners = config.listen.iter().zip(&self.listen);
        let listeners = listeners.filter_map(|(listener, tls)| {
            Some(Certificate {
                side: Side::Esme,
                name: listener.address.to_string(),
                expires_s: tls.as_ref()?.expires_s,
            })
        });
        let carriers = config.carriers.iter().zip(&self.carriers);
        let carriers = carriers.filter_map(|(carrier, tls)| {
            Some(Certificate {
                side: Side::Carrier,
                name: carrier.name.to_string(),
                expires_s: tls.as_ref()?.expires_s?,
            })
        });
        let admin = config.http.admin_address.iter().filter_map(|address| {
            Some(Certificate {
                side: Side::Admin,
                name: address.to_string(),
                expires_s: self.admin.as_ref()?.expires_s,
            })
        });
        listeners.chain(carriers).chain(admin).collect()
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
        let own =
            certified(chain, &private).map_err(|error| apart(key, &tls.certificate, &tls.key, &error))?;
        let make = |versions: &[&'static SupportedProtocolVersion]| {
            let made = server_config(&provider, clock, versions, Arc::clone(&verifier));
            let made = made.map_err(|error| format!("{key}: {error}"))?;
            let mut made = made.with_cert_resolver(Arc::<SingleCertAndKey>::clone(&own));
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

    /// The name of the exception by which a connection is protected by this.
    pub(crate) fn exception_for(&self, transport: Transport) -> Option<&str> {
        let (_, exception) = self.tls12.as_ref()?;
        (transport < Transport::Tls13).then_some(exception.name.as_str())
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

impl ClientTls {
    fn load(key: &str, tls: &CarrierTls, addresses: &[Endpoint], clock: &Clock) -> Result<Self, String> {
        let mut files = Files::of(key);
        let roots = files.roots("ca", &tls.ca)?;
        let dates = Arc::new(Dates(clock.clone()));
        let builder = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), dates);
        let builder = builder
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| format!("{key}: {error}"))?;
        let builder = builder.with_root_certificates(roots);
        let mut expires_s = None;
        let mut config = match &tls.own {
            None => builder.with_no_client_auth(),
            Some((certificate, private)) => {
                let chain = files.certificates("certificate", certificate)?;
                let now_ms = clock.now().unix_ms;
                expires_s = Some(files.expires_s("certificate", certificate, &chain, now_ms)?);
                let private_key = files.private_key("key", private)?;
                let own = certified(chain, &private_key);
                let own = own.map_err(|error| apart(key, certificate, private, &error))?;
                builder.with_client_cert_resolver(own)
            }
        };
        config.resumption = Resumption::disabled();
        let name = |host: &Host| {
            server_name(host).ok_or_else(|| format!("{key}.server_name: a name that no certificate can have"))
        };
        if tls.server_name.is_none() {
            for address in addresses {
                name(address.host())?;
            }
        }
        Ok(Self {
            config: Arc::new(config),
            server_name: tls.server_name.as_ref().map(name).transpose()?,
            digest: files.digest(),
            expires_s,
        })
    }
}

fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some(ServerName::from(*ip)),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

/// A certificate and a key that are not of each other.
fn apart(key: &str, certificate: &Path, private: &Path, error: &rustls::Error) -> String {
    let (certificate, private) = (certificate.display(), private.display());
    format!("{key}: {certificate} and {private} do not go together: {error}")
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

/// Shakes hands with a carrier, within this time. `host` is where we have connected to.
///
/// # Errors
///
/// Why it came to nothing: as it is counted, and more exactly for the log.
pub(crate) async fn connect(
    tls: &ClientTls,
    host: &Host,
    stream: TcpStream,
    within: Duration,
) -> Result<client::TlsStream<TcpStream>, (Handshake, &'static str)> {
    let name = tls.server_name.clone().or_else(|| server_name(host));
    let Some(name) = name else {
        return Err((Handshake::Failed, "the address has no name"));
    };
    let shaking = TlsConnector::from(Arc::clone(&tls.config)).connect(name, stream);
    match tokio::time::timeout(within, shaking).await {
        Err(_) => Err((Handshake::TimedOut, "not in time")),
        Ok(Err(error)) => Err((failure(&error), why(&error))),
        Ok(Ok(stream)) => Ok(stream),
    }
}

fn inner(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What is wrong with a carrier's certificate, in words of our own: rustls repeats what came over the wire.
fn why(error: &std::io::Error) -> &'static str {
    match inner(error) {
        Some(rustls::Error::InvalidCertificate(fault)) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate does not hold yet"
            }
            CertificateError::UnknownIssuer => "its certificate is of no CA in `ca`",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            _ => "its certificate is not good",
        },
        Some(rustls::Error::AlertReceived(_)) => "the carrier refused it",
        Some(_) => "the carrier speaks no TLS that may be",
        None => "the connection was lost",
    }
}

/// Why a handshake came to nothing.
fn failure(error: &std::io::Error) -> Handshake {
    match inner(error) {
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
