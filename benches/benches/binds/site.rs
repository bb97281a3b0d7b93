//! A gateway with so many accounts, and a certificate.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tidegate_tests::Process;
use tidegate_tests::process::free_addr;
use tokio_rustls::TlsConnector;

use super::Fallible;
use super::client::Door;

/// A hash of the password "secret", the one of `config/bench.toml`.
const SECRET: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0";
const NAME: &str = "localhost";

/// A running gateway.
pub(crate) struct Site {
    process: Process,
    accounts: usize,
    tls: std::net::SocketAddr,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

/// The gateway that was built for this; `None` if there is none.
pub(crate) fn binary() -> Option<PathBuf> {
    // target/release/deps/<bench>
    let bench = std::env::current_exe().ok()?;
    let binary = bench.ancestors().nth(2)?.join("tidegate");
    binary.is_file().then_some(binary)
}

impl Site {
    pub(crate) async fn start(binary: &Path, accounts: usize) -> Fallible<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()])?;
        let tls = free_addr();
        let mut process = Process::prepare(binary, |places| {
            let dir = places.dir.display();
            let listen = format!(
                "[[listen]]\naddress = \"{tls}\"\n[listen.tls]\ncertificate = \"{dir}/cert.pem\"\nkey = \"{dir}/key.pem\"\n\n\
                 [limits]\nmax_connections = 20_000\nmax_unbound_per_ip = 20_000\nmax_connections_per_ip = 20_000\n\
                 max_handshakes = 1_000\nbind_queue = 4_096\n\n"
            );
            // Nothing is sent on, all is stored: no carrier listens there.
            let mut text = places.config(&[free_addr()], &listen);
            let account = |id: &str, binds: usize| {
                format!(
                    "[[account]]\nsystem_id = \"{id}\"\npassword_hashes = [\"{SECRET}\"]\nmax_binds = {binds}\n\
                     category = \"transactional\"\n\n"
                )
            };
            text.push_str(&account("steady", 1));
            for number in 0..accounts {
                let _ = write!(text, "{}", account(&format!("a{number}"), 10_000 / accounts));
            }
            text
        });
        let (key, certificate) = (process.dir().join("key.pem"), process.dir().join("cert.pem"));
        fs::write(certificate, cert.pem())?;
        fs::write(&key, signing_key.serialize_pem())?;
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        process.spawn();
        process.ready().await;
        Ok(Self {
            process,
            accounts,
            tls,
            certificate: cert.der().clone(),
        })
    }

    /// Where to come in.
    pub(crate) fn door(&self, tls: bool) -> Fallible<Door> {
        if !tls {
            return Ok(Door {
                address: self.process.smpp(),
                tls: None,
            });
        }
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Door {
            address: self.tls,
            tls: Some((TlsConnector::from(Arc::new(config)), ServerName::try_from(NAME)?)),
        })
    }

    /// The account of a bind: they take turns.
    pub(crate) fn account(&self, number: usize) -> String {
        format!("a{}", number % self.accounts)
    }

    /// Octets of memory that it has resident.
    pub(crate) fn resident(&self) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS")?
            .parse()?;
        Ok(kib * 1024)
    }

    /// Time of processors that it has taken.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(") ").ok_or("no stat")?.1;
        let mut times = fields.split(' ').skip(11).take(2);
        let mut ticks = || -> Fallible<u64> { Ok(times.next().ok_or("no times")?.parse()?) };
        let ticks = ticks()? + ticks()?;
        Ok(Duration::from_millis(
            ticks * 1_000 / rustix::param::clock_ticks_per_second(),
        ))
    }
}
