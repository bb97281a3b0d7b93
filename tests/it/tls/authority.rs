//! A CA of one test, and the certificates that it issues.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// 2099-12-31, when every certificate that is issued here ends.
pub(crate) const EXPIRES_S: u64 = 4_102_358_400;

/// What a client offers, or a server takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    fn only(self) -> [&'static SupportedProtocolVersion; 1] {
        match self {
            Self::Tls12 => [&TLS12],
            Self::Tls13 => [&TLS13],
        }
    }
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` and its key, both PEM.
    fn issued(&self) -> (String, String) {
        self.issued_until(2099)
    }

    /// The same until the last day of a year.
    fn issued_until(&self, year: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes one to `name.pem` and `name.key`.
    pub(crate) fn issue(&self, dir: &Path, name: &str) {
        self.issue_until(dir, name, 2099);
    }

    /// The same, of one that ends with a year.
    pub(crate) fn issue_until(&self, dir: &Path, name: &str, year: i32) {
        let (certificate, key) = self.issued_until(year);
        fs::write(dir.join(format!("{name}.pem")), certificate).unwrap();
        fs::write(dir.join(format!("{name}.key")), key).unwrap();
    }

    /// A server with a certificate for `localhost` that takes one version; clients need a certificate of another CA if there is
    /// one.
    pub(crate) fn server(&self, version: Version, clients: Option<&Self>) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&version.only())
            .unwrap();
        let server = match clients {
            None => server.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                server.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (chain, key) = self.read();
        Arc::new(server.with_single_cert(chain, key).unwrap())
    }

    /// A new certificate and its key, as rustls takes them.
    fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.issued();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        (vec![certificate], key)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A client that trusts this CA and offers one version, with a certificate of another CA if there is one.
    pub(crate) fn client(&self, version: Version, certified_by: Option<&Self>) -> Arc<ClientConfig> {
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&version.only())
            .unwrap()
            .with_root_certificates(self.roots());
        Arc::new(match certified_by {
            None => client.with_no_client_auth(),
            Some(by) => {
                let (chain, key) = by.read();
                client.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }
}
