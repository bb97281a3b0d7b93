//! The process itself: its number and the sockets it listens on.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use toml::de::DeValue;

use crate::problem::Fault;
use crate::section::Section;
use crate::tls::{self, ListenerTls};
use crate::value::{integer, socket_address};

/// Table `[node]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Key `id`, 0 to 255, default 0: the node's 8 bits of every message id (design: 41 bits of time,
    /// 8 of node, 14 of sequence). Two nodes that share carriers or clients must differ.
    pub id: u8,
}

/// One `[[listen]]`: a socket for ESMEs. At least one is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Key `address`, required: IP address and port. 2775 is SMPP's port by IANA. Port 0 lets
    /// the system choose.
    pub address: SocketAddr,
    /// Key `tls`, default absent: plain TCP. TLS is spoken from the first octet on (smpp-session.md §10).
    pub tls: Option<ListenerTls>,
}

/// Table `[http]`: where `/metrics`, `/healthz` and `/readyz` answer; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Key `address`, default `127.0.0.1:9100`. It asks for no password, so keep it on a private address.
    pub address: SocketAddr,
    /// Key `admin_address`, default absent: where the verbs of the control socket are done over HTTP for whoever has a token.
    /// Without `admin_tls` on loopback only: tokens would go over the network in clear text.
    pub admin_address: Option<SocketAddr>,
    /// Key `admin_tls`, default absent: what a `[[listen]]` has as its `tls`, of the admin listener.
    pub admin_tls: Option<ListenerTls>,
    /// Key `admin_max_per_ip`, default 8, 1 to 32: connections of one address to the admin listener that are served at a time;
    /// one more is closed at once. It serves 32 in all. Of IPv6 a /64 counts as one address. Streams of the board do not
    /// count: tokens bound them.
    pub admin_max_per_ip: usize,
}

const HTTP_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9100));

pub(crate) fn read_node(mut section: Section<'_>) -> Node {
    let node = Node {
        id: section.or("id", 0, integer(0..=u8::MAX)),
    };
    section.finish(&[]);
    node
}

/// Reads both kinds of sockets, because no two may share an address.
pub(crate) fn read_sockets(root: &mut Section<'_>) -> (Vec<Listener>, Http) {
    if !root.has("listen") {
        root.missing(
            "listen",
            "add `[[listen]]` with `address = \"0.0.0.0:2775\"`, or nobody can bind",
        );
    }
    let mut taken = HashMap::new();
    let mut take = |section: &Section<'_>, address: SocketAddr| {
        if address.port() != 0 {
            section.once(
                "address",
                &mut taken,
                address,
                "is taken",
                "give each socket its own port",
            );
        }
    };

    let mut listeners = Vec::new();
    for mut section in root.each("listen") {
        let remedy = "write `address = \"0.0.0.0:2775\"`";
        let tls = tls::read_listener(&mut section, "tls");
        if let Some(address) = section.required("address", remedy, socket_address) {
            take(&section, address);
            listeners.push(Listener { address, tls });
        }
        section.finish(&[]);
    }
    let mut section = root.section("http");
    let address = section.or("address", HTTP_ADDRESS, socket_address);
    take(&section, address);
    let (admin_address, admin_tls) = read_admin(&mut section);
    if let Some(address) = admin_address {
        take(&section, address);
    }
    let admin_max_per_ip = section.or("admin_max_per_ip", 8, integer(1..=32));
    section.finish(&[]);
    let http = Http {
        address,
        admin_address,
        admin_tls,
        admin_max_per_ip,
    };
    (listeners, http)
}

/// Where the admin listener is, and what it is protected by.
fn read_admin(section: &mut Section<'_>) -> (Option<SocketAddr>, Option<ListenerTls>) {
    let tls = tls::read_listener(section, "admin_tls");
    let reads = if section.has("admin_tls") {
        socket_address
    } else {
        loopback_address
    };
    let address = section.optional("admin_address", reads);
    if section.has("admin_tls") && !section.has("admin_address") {
        section.missing(
            "admin_address",
            "say where the admin listener is: `admin_address = \"0.0.0.0:9105\"`",
        );
    }
    (address, tls)
}

/// A socket that only this machine reaches.
fn loopback_address(value: &DeValue<'_>) -> Result<SocketAddr, Fault> {
    let address = socket_address(value)?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(Fault::new(
            format!("{} is not on loopback", address.ip()),
            "use 127.0.0.1 or [::1], or give it a certificate: `admin_tls = { certificate = \"…\", key = \"…\" }`",
        ))
    }
}

/// Why a process that runs cannot take another value of a key of `[http]` over, if it cannot.
pub(crate) fn why_restart(key: &str) -> Option<&'static str> {
    let is_taken_over = matches!(key, "admin_tls" | "admin_max_per_ip");
    (!is_taken_over).then_some("who watches the process asks there")
}
