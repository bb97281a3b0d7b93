//! Certificates and keys from files of PEM.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::expiry;

/// Octets of a file that is read: some hundred certificates.
const FILE_MAX: u64 = 1 << 20;
/// Room that a file's end is looked for in.
const READ_MORE: usize = 64;

/// A certificate with its key, as handshakes use it. rustls would take the key for good and leave it in freed memory.
///
/// # Errors
///
/// The key is none that can sign, or of another certificate.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'_>,
) -> Result<Arc<SingleCertAndKey>, rustls::Error> {
    let made = CertifiedKey::new(chain, any_supported_type(key)?);
    match made.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(SingleCertAndKey::from(made)))
        }
        Err(error) => Err(error),
    }
}

/// The files under one key of the configuration.
pub(super) struct Files<'a> {
    key: &'a str,
    digest: Sha256,
}

impl<'a> Files<'a> {
    pub(super) fn of(key: &'a str) -> Self {
        Self {
            key,
            digest: Sha256::new(),
        }
    }

    /// A digest of all that was read.
    pub(super) fn digest(self) -> [u8; 32] {
        self.digest.finalize().into()
    }

    fn problem(&self, key: &str, path: &Path, why: impl std::fmt::Display) -> String {
        format!("{}.{key}: {}: {why}", self.key, path.display())
    }

    fn read(&mut self, key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut octets = Zeroizing::new(Vec::new());
        let read = File::open(path).and_then(|file| {
            // Enough room at once: a vector that grows leaves copies.
            let length = file.metadata()?.len().min(FILE_MAX);
            octets.reserve(usize::try_from(length).unwrap_or_default() + READ_MORE);
            file.take(FILE_MAX + 1).read_to_end(&mut octets)
        });
        let length = read.map_err(|error| self.problem(key, path, error))? as u64;
        if length > FILE_MAX {
            return Err(self.problem(key, path, format!("longer than {FILE_MAX} octets")));
        }
        self.digest.update(length.to_be_bytes());
        self.digest.update(&*octets);
        Ok(octets)
    }

    /// One certificate or more.
    pub(super) fn certificates(
        &mut self,
        key: &str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, String> {
        let octets = self.read(key, path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
        let found = found.map_err(|error| self.problem(key, path, error))?;
        if found.is_empty() {
            return Err(self.problem(key, path, "holds no certificate (PEM)"));
        }
        Ok(found)
    }

    /// The first private key, wiped when it is dropped.
    pub(super) fn private_key(
        &mut self,
        key: &str,
        path: &Path,
    ) -> Result<Zeroizing<PrivateKeyDer<'static>>, String> {
        let octets = self.read(key, path)?;
        let exposed = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if exposed {
            tracing::warn!(
                key = self.key,
                "the file of the private key can be read by others"
            );
        }
        // What is wrong with it is not repeated: it is a secret.
        PrivateKeyDer::from_pem_slice(&octets)
            .map(Zeroizing::new)
            .map_err(|_| self.problem(key, path, "holds no private key (PEM)"))
    }

    /// Certificates of CAs.
    pub(super) fn roots(&mut self, key: &str, path: &Path) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(key, path)? {
            let added = roots.add(certificate);
            added.map_err(|error| self.problem(key, path, error))?;
        }
        Ok(roots)
    }

    /// When the first certificate of a chain ends, in unix seconds. One that has ended is told and used: whoever peers are,
    /// they judge it, and a gateway that does not start serves nobody else either.
    pub(super) fn expires_s(
        &self,
        key: &str,
        path: &Path,
        chain: &[CertificateDer<'_>],
        now_ms: u64,
    ) -> Result<u64, String> {
        let ends = chain.iter().map(|certificate| expiry::not_after(certificate));
        let ends: Option<Vec<u64>> = ends.collect();
        let first = ends.and_then(|ends| ends.into_iter().min());
        let first = first.ok_or_else(|| self.problem(key, path, "holds what is no certificate"))?;
        if first <= now_ms / 1000 {
            tracing::error!(key = self.key, "the certificate has expired");
        }
        Ok(first)
    }
}
