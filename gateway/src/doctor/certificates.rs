//! Certificates and their keys: that they can be read and belong together, and when they end.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tidegate_config::Config;

use super::directories::{Owner, exposed, keep_to_owner};
use super::{Finding, Site, length};
use crate::board::CERTIFICATE_S;
use crate::telemetry::words::Word as _;
use crate::tls::{Certificate, Tls};

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let owner = Owner::of(config);
        let files = keys(config).filter_map(|path| Some((path, fs::metadata(path).ok()?)));
        let mut found: Vec<Finding> = files
            .filter(|(_, data)| exposed(data.mode(), data.gid(), owner) != 0)
            .map(|(path, data)| {
                Finding::warning(
                    format!(
                        "{}: others than the gateway can get at the private key",
                        path.display()
                    ),
                    keep_to_owner(path, data.uid(), owner),
                )
            })
            .collect();
        match Tls::load(config, &site.clock) {
            Ok(tls) => {
                let now_s = site.clock.now().unix_ms / 1000;
                let all = tls.certificates(config);
                if all.is_empty() {
                    found.push(Finding::ok("none of ours"));
                }
                found.extend(all.iter().map(|certificate| judge(certificate, now_s)));
            }
            Err(problems) => found.extend(problems.into_lines().into_iter().map(|line| {
                Finding::error(
                    line,
                    "put certificate and key there, both PEM and of one pair; a start needs them",
                )
            })),
        }
        found
    })
}

/// Files of private keys.
fn keys(config: &Config) -> impl Iterator<Item = &Path> {
    let listeners = config.listen.iter().filter_map(|listener| listener.tls.as_ref());
    let listeners = listeners
        .chain(&config.http.admin_tls)
        .map(|tls| tls.key.as_path());
    let carriers = config.carriers.iter().filter_map(|carrier| carrier.tls.as_ref());
    listeners.chain(carriers.filter_map(|tls| Some(tls.own.as_ref()?.1.as_path())))
}

fn judge(certificate: &Certificate, now_s: u64) -> Finding {
    let Certificate {
        side,
        name,
        expires_s,
    } = certificate;
    let what = format!("{} {name}", side.label());
    let remedy = "renew it, put it in place of the old one, and `tidegate reload`";
    match expires_s.checked_sub(now_s) {
        None | Some(0) => Finding::error(
            format!(
                "{what}: ended {} ago; peers refuse it",
                length(now_s.saturating_sub(*expires_s))
            ),
            remedy,
        ),
        Some(left) if left < CERTIFICATE_S => {
            Finding::warning(format!("{what}: ends in {}", length(left)), remedy)
        }
        Some(left) => Finding::ok(format!("{what}: ends in {}", length(left))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::telemetry::words::Side;

    #[test]
    fn a_certificate_is_judged_by_the_days_it_has_left() {
        let now_s = 1_800_000_000;
        for (expires_s, level) in [
            (now_s - 1, Level::Error),
            (now_s, Level::Error),
            (now_s + 86_400, Level::Warning),
            (now_s + 13 * 86_400, Level::Warning),
            (now_s + 60 * 86_400, Level::Ok),
        ] {
            let certificate = Certificate {
                side: Side::Esme,
                name: "127.0.0.1:2775".to_owned(),
                expires_s,
            };
            let found = judge(&certificate, now_s);
            assert_eq!(found.level, level, "{found:?}");
        }
    }
}
