//! What a reload reads from the disk, on a thread where that may take its time.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::identity::Password;
use tidegate_config::{Carrier, Config, Diff, diff};

use super::Reason;
use super::apply::placed;
use crate::clock::Clock;
use crate::documents;
use crate::run::StartError;
use crate::secret;
use crate::tables::Tables;
use crate::tls::Tls;

/// Octets of a file that is read; one of a hundred thousand accounts has a tenth of that.
const FILE_MAX: u64 = 256 << 20;

/// A file that was read and holds.
pub(super) struct Read {
    pub(super) config: Config,
    pub(super) diff: Diff,
    /// Carriers' passwords, in the order of the configuration.
    pub(super) passwords: Vec<Password>,
    /// Networks, ported numbers and prices, by the places that carriers have in this process.
    pub(super) tables: Arc<Tables>,
    /// What certificates and keys make.
    pub(super) tls: Tls,
}

/// Reads a file and what it refers to, or says everything that is wrong. `meant` is to be that very file; `now` is what
/// the gateway has, `old` what the file said when it was last taken over.
pub(super) fn read(
    path: &Path,
    meant: Option<&Path>,
    old: &Config,
    now: &Config,
    clock: &Clock,
) -> Result<Read, Vec<Reason>> {
    let shown = path.display();
    let reasons = |reason: String| vec![Reason::from(reason)];
    let cannot = |error: std::io::Error| reasons(format!("cannot read {shown}: {error}"));
    let found = fs::canonicalize(path).map_err(cannot)?;
    if meant.is_some_and(|meant| !fs::canonicalize(meant).is_ok_and(|meant| meant == found)) {
        return Err(reasons(format!(
            "this gateway was started with another file: {shown}"
        )));
    }
    if fs::metadata(&found).map_err(cannot)?.len() > FILE_MAX {
        return Err(reasons(format!("{shown} is longer than {FILE_MAX} octets")));
    }
    let text = fs::read_to_string(&found).map_err(cannot)?;
    let config = documents::parse(&text).map_err(|problems| {
        let problems = problems.as_slice().iter();
        problems.map(Reason::from).collect::<Vec<_>>()
    })?;
    let passwords = passwords(&config).map_err(|failed| {
        let failed = failed.iter().map(|error| Reason::from(error.to_string()));
        failed.collect::<Vec<_>>()
    })?;
    let tables = Tables::load(&placed(now, &config)).map_err(|problems| {
        let problems = problems.to_string();
        let lines = problems.lines().map(|line| Reason::from(line.to_owned()));
        lines.collect::<Vec<_>>()
    })?;
    let tls = Tls::load(&config, clock).map_err(|problems| {
        let lines = problems.into_lines().into_iter();
        lines.map(Reason::from).collect::<Vec<_>>()
    })?;
    Ok(Read {
        tls,
        tables: Arc::new(tables),
        diff: diff(old, &config),
        config,
        passwords,
    })
}

/// Carriers' passwords from where the configuration says they are, in its order; or every one that cannot be had.
pub(crate) fn passwords(config: &Config) -> Result<Vec<Password>, Vec<StartError>> {
    let read = |carrier: &Carrier| {
        let found = secret::read(&carrier.password).map_err(|source| StartError::Secret {
            carrier: carrier.name.to_string(),
            source,
        })?;
        if found.exposed {
            tracing::warn!(carrier = %carrier.name, "the password file can be read by others");
        }
        Ok(found.password)
    };
    let (mut passwords, mut failed) = (Vec::new(), Vec::new());
    for carrier in &config.carriers {
        match read(carrier) {
            Ok(password) => passwords.push(password),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() {
        Ok(passwords)
    } else {
        Err(failed)
    }
}
