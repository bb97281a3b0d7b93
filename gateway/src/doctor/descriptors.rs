//! How many file descriptors a process may have, against the binds, links and files of the configuration.

use std::fs;

use rustix::process::{Resource, getrlimit};
use tidegate_config::Config;

use super::{Finding, Site};
use crate::connect::link_kinds;
use crate::http::CONNECTIONS_MAX as HTTP_MAX;

/// Files, listeners and pages besides clients and links: segments, runs, blocks and indexes while they are read.
const BESIDES: u64 = 256;

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let running = site
            .running
            .pid()
            .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok())
            .and_then(|limits| soft_limit(&limits));
        let is_running = running.is_some();
        let limit = running.unwrap_or_else(|| getrlimit(Resource::Nofile).current.or(Some(u64::MAX)));
        vec![judge(limit.unwrap_or(u64::MAX), is_running, Wanted::of(config))]
    })
}

/// What a configuration may come to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    /// Clients at most.
    binds: u64,
    /// Links to carriers.
    links: u64,
}

impl Wanted {
    fn of(config: &Config) -> Self {
        let sum = |counts: &mut dyn Iterator<Item = usize>| counts.map(|count| count as u64).sum::<u64>();
        let binds = sum(&mut config.accounts.iter().map(|account| account.max_binds));
        Self {
            binds: binds.min(config.limits.max_connections as u64),
            links: sum(&mut config
                .carriers
                .iter()
                .map(|carrier| link_kinds(carrier.binds, carrier.links).len())),
        }
    }
}

/// The soft limit of a process, by its lines of limits; the inner `None` is no limit.
fn soft_limit(limits: &str) -> Option<Option<u64>> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    match line.split_whitespace().nth(3)? {
        "unlimited" => Some(None),
        count => count.parse().ok().map(Some),
    }
}

fn judge(limit: u64, is_running: bool, wanted: Wanted) -> Finding {
    let whose = if is_running {
        "the gateway that runs"
    } else {
        "a process started here"
    };
    let Wanted { binds, links } = wanted;
    let (least, all) = (links + BESIDES, links + BESIDES + HTTP_MAX as u64 + binds);
    let found =
        format!("{whose} may have {limit} file descriptors, for up to {binds} binds and {links} links");
    let remedy = format!(
        "set LimitNOFILE={} in the unit, or more",
        all.next_power_of_two().max(4_096)
    );
    match limit {
        _ if limit < least => Finding::error(found, remedy),
        _ if limit < all => Finding::warning(found, remedy),
        _ => Finding::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_limit_below_the_binds_is_a_warning_and_one_below_the_files_an_error() {
        let wanted = Wanted {
            binds: 5_000,
            links: 10,
        };
        for (limit, level) in [
            (256, Level::Error),
            (1_024, Level::Warning),
            (65_536, Level::Ok),
            (u64::MAX, Level::Ok),
        ] {
            let found = judge(limit, false, wanted);
            assert_eq!(found.level, level, "{found:?}");
        }
        let remedy = judge(1_024, true, wanted).remedy.unwrap();
        assert!(remedy.contains("LimitNOFILE=8192"), "{remedy}");
    }

    #[test]
    fn the_limit_of_a_process_is_read_as_the_system_writes_it() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(Some(1_024)));
        assert_eq!(soft_limit(&text.replace("1024  ", "unlimited")), Some(None));
        assert_eq!(soft_limit(""), None);
        let own = fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(soft_limit(&own), Some(getrlimit(Resource::Nofile).current));
    }

    #[test]
    fn no_more_clients_are_reckoned_with_than_may_connect() {
        let text = include_str!("../../../config/bench.toml");
        let mut config = tidegate_config::parse(text).unwrap();
        config.limits.max_connections = 3;
        assert_eq!(Wanted::of(&config).binds, 3);
        config.limits.max_connections = 1_000_000;
        let sum: usize = config.accounts.iter().map(|account| account.max_binds).sum();
        assert_eq!(Wanted::of(&config).binds, sum as u64);
    }
}
