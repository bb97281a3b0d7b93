//! Whether the listeners' addresses are free, or held by the gateway that runs.
//!
//! An address is bound and not listened on, with the option that a gateway has, so that neither a client nor a gateway that starts
//! at the same moment meets anybody.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use rustix::process::geteuid;
use tidegate_config::Config;

use super::{Finding, Running, Site};

/// Ports below are for root and who has CAP_NET_BIND_SERVICE, unless the system was told otherwise.
const PRIVILEGED: u16 = 1024;

/// Whose an address is that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Ours,
    Other,
    /// The system does not say to this user.
    Unknown,
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let owner = fs::metadata(&config.storage.data).map(|data| data.uid()).ok();
        addresses(config)
            .into_iter()
            .map(|(key, address)| {
                let bound = try_bind(address);
                let holder = site
                    .running
                    .pid()
                    .map_or(Holder::Unknown, |pid| holder(pid, address));
                let user = (geteuid().as_raw(), owner);
                judge(&key, address, bound, holder, &site.running, user)
            })
            .collect()
    })
}

fn addresses(config: &Config) -> Vec<(String, SocketAddr)> {
    let listeners = config.listen.iter().enumerate();
    let mut all: Vec<_> = listeners
        .map(|(place, listener)| (format!("listen[{place}]"), listener.address))
        .collect();
    all.push(("http.address".to_owned(), config.http.address));
    all.extend(
        config
            .http
            .admin_address
            .map(|address| ("http.admin_address".to_owned(), address)),
    );
    all
}

fn try_bind(address: SocketAddr) -> Result<(), Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)
}

/// Whether a process has the socket that listens at an address.
fn holder(pid: u32, address: SocketAddr) -> Holder {
    let table = match address {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    let Some(inode) = fs::read_to_string(table)
        .ok()
        .and_then(|table| listener(&table, address))
    else {
        return Holder::Unknown;
    };
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Holder::Unknown;
    };
    let wanted = format!("socket:[{inode}]");
    let is_it =
        |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str());
    match open.flatten().any(is_it) {
        true => Holder::Ours,
        false => Holder::Other,
    }
}

/// The inode of the socket that listens at an address, by the lines of `/proc/net/tcp` or `tcp6`.
fn listener(table: &str, address: SocketAddr) -> Option<u64> {
    // Words of four octets, each in the order of the machine.
    let wanted: String = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
    .as_chunks::<4>()
    .0
    .iter()
    .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
    .collect();
    let wanted = format!("{wanted}:{:04X}", address.port());
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&wanted.as_str()) && words.get(3) == Some(&"0A");
        words.get(9)?.parse().ok().filter(|_| is_it)
    })
}

fn judge(
    key: &str,
    address: SocketAddr,
    bound: Result<(), Errno>,
    holder: Holder,
    running: &Running,
    (me, owner): (u32, Option<u32>),
) -> Finding {
    let what = format!("{key}, {address}");
    if address.port() == 0 {
        return Finding::ok(format!("{what}: any port that is free"));
    }
    match (bound, holder) {
        (Ok(()), _) if running.is_there() => Finding::warning(
            format!("{what}: nobody listens there, though the gateway runs"),
            "reload it, or restart it, to have it listen where the configuration says",
        ),
        (Ok(()), _) if me == 0 && owner != Some(0) && address.port() < PRIVILEGED => Finding::warning(
            format!(
                "{what}: free for root, and the gateway's user may not listen below {PRIVILEGED} by itself"
            ),
            "take a port from 1024 on, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE; then run this as the gateway's user",
        ),
        (Ok(()), _) => Finding::ok(format!("{what}: free")),
        (Err(Errno::ADDRINUSE), Holder::Ours) => {
            Finding::ok(format!("{what}: held by the gateway that runs"))
        }
        (Err(Errno::ADDRINUSE), Holder::Unknown) if running.is_there() => {
            Finding::ok(format!("{what}: in use, and the gateway runs"))
        }
        (Err(Errno::ADDRINUSE), Holder::Other | Holder::Unknown) => Finding::error(
            format!("{what}: another process listens there"),
            "find it with `ss -ltnp`; end it, or give the gateway another address",
        ),
        (Err(Errno::ADDRNOTAVAIL), _) => Finding::error(
            format!("{what}: this machine has no such address"),
            "give it one of `ip address`, or 0.0.0.0 or [::] for all",
        ),
        // Asked before it is looked whether anybody has it: the gateway has a right that this process has not.
        (Err(Errno::ACCESS | Errno::PERM), Holder::Ours | Holder::Unknown) if running.is_there() => {
            Finding::ok(format!("{what}: not for this user to try, and the gateway runs"))
        }
        (Err(Errno::ACCESS | Errno::PERM), _) => Finding::error(
            format!("{what}: this user may not listen there"),
            "take a port from 1024 on, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ),
        (Err(error), _) => Finding::error(
            format!("{what}: {error}"),
            "give the gateway an address that it can listen on",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Level;
    use super::*;

    const RUNS: Running = Running::Answers {
        pid: Some(7),
        version: None,
    };

    #[test]
    fn a_port_in_use_is_an_error_unless_it_is_the_gateways_own() {
        let address = "127.0.0.1:2775".parse().unwrap();
        let in_use = Err(Errno::ADDRINUSE);
        for (bound, holder, running, level) in [
            (Ok(()), Holder::Unknown, Running::Nobody, Level::Ok),
            (Ok(()), Holder::Unknown, RUNS, Level::Warning),
            (in_use, Holder::Unknown, Running::Nobody, Level::Error),
            (in_use, Holder::Other, RUNS, Level::Error),
            (in_use, Holder::Ours, RUNS, Level::Ok),
            (in_use, Holder::Unknown, RUNS, Level::Ok),
            (Err(Errno::ADDRNOTAVAIL), Holder::Unknown, RUNS, Level::Error),
            (Err(Errno::ACCESS), Holder::Unknown, Running::Nobody, Level::Error),
            (Err(Errno::ACCESS), Holder::Other, RUNS, Level::Error),
            (Err(Errno::ACCESS), Holder::Ours, RUNS, Level::Ok),
            (Err(Errno::ACCESS), Holder::Unknown, RUNS, Level::Ok),
        ] {
            let found = judge("listen[0]", address, bound, holder, &running, (7, Some(7)));
            assert_eq!(found.level, level, "{found:?}");
        }
    }

    #[test]
    fn what_root_may_listen_on_is_not_said_to_be_in_order_for_the_gateways_user() {
        for (port, me, owner, level) in [
            (775, 0, Some(7), Level::Warning),
            (775, 0, None, Level::Warning),
            (775, 0, Some(0), Level::Ok),
            (775, 7, Some(7), Level::Ok),
            (2775, 0, Some(7), Level::Ok),
        ] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let user = (me, owner);
            let found = judge(
                "listen[0]",
                address,
                Ok(()),
                Holder::Unknown,
                &Running::Nobody,
                user,
            );
            assert_eq!(found.level, level, "{found:?}");
        }
    }

    #[test]
    fn who_listens_is_known_by_the_socket() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 shows the rest.
            let Ok(listener) = TcpListener::bind(any) else {
                continue;
            };
            let address = listener.local_addr().unwrap();
            assert_eq!(try_bind(address), Err(Errno::ADDRINUSE));
            assert_eq!(holder(std::process::id(), address), Holder::Ours, "{address}");
            assert_ne!(holder(1, address), Holder::Ours);
            drop(listener);
            assert_eq!(try_bind(address), Ok(()));
        }
    }
}
