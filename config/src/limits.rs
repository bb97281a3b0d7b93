//! The named bounds of the process towards ESMEs (promise P6: every queue and wait has one).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use tidegate_codec::identity::{PASSWORD_MAX, PASSWORD_MAX_LENIENT};

use crate::account::network;
use crate::country_rates::{self, CountryRates};
use crate::section::Section;
use crate::value::duration::{hours, minutes};
use crate::value::{duration, duration_or_off, integer};

/// Table `[limits]`; may be absent. Timers follow smpp-session §6: the specifications fix no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Key `session_init`, default 5 s, 100 ms to 5 min: from connection to bind, then the connection is
    /// closed (interop #37: sockets that never bind).
    pub session_init: Duration,
    /// Key `enquire_link`, default 30 s, 100 ms to 1 h: silence after which we ask. Longer than
    /// `enquire_link_response`.
    pub enquire_link: Duration,
    /// Key `enquire_link_response`, default 10 s, 50 ms to 10 min: how long we wait for the answer; then
    /// the link is dead (interop #36).
    pub enquire_link_response: Duration,
    /// Key `inactivity`, default off ("0s"), else 1 s to 24 h: time without a message, enquire_link not
    /// counted, after which we unbind. Off, because receivers of a quiet account are idle for days.
    pub inactivity: Option<Duration>,
    /// Key `response`, default 30 s, 100 ms to 10 min: how long a deliver_sm towards an ESME may stay
    /// unanswered before it is offered again.
    pub response: Duration,
    /// Key `pdu_read`, default 10 s, 100 ms to 5 min: from a PDU's first octet to its last; then the
    /// connection is closed. Holds for carrier links, too.
    pub pdu_read: Duration,
    /// Key `unbind_wait`, default 5 s, 50 ms to 1 min: from our unbind to its answer, then the connection
    /// is closed. Holds for carrier links, too.
    pub unbind_wait: Duration,
    /// Key `shutdown_grace`, default 10 s, 0 to 10 min: how long an orderly shutdown waits for windows to
    /// drain.
    pub shutdown_grace: Duration,
    /// Key `tls_handshake`, default 5 s, 100 ms to 1 min: from connection to the end of the TLS handshake, else the
    /// connection is closed. Never longer than `session_init`, which begins with it.
    pub tls_handshake: Duration,
    /// Key `max_handshakes`, default 256, 1 to 100 000: TLS handshakes of ESMEs under way at a time; one more connection is
    /// closed at once.
    pub max_handshakes: usize,
    /// Key `max_connections`, default 10 000, 1 to 1 000 000: ESME connections, bound or not; one more
    /// is closed at once. The process needs as many file descriptors.
    pub max_connections: usize,
    /// Key `max_unbound_per_ip`, default 16, 1 to 1 000 000: connections of one address that have not
    /// bound yet (interop #37).
    pub max_unbound_per_ip: usize,
    /// Key `max_connections_per_ip`, default 1 000, 1 to 1 000 000: connections of one address, bound or not. Of IPv6 a
    /// /64 counts as one address, here and for `max_unbound_per_ip`.
    pub max_connections_per_ip: usize,
    /// Key `ban_after`, default 10, 0 to 10 000 (0, `None`: no bans): binds from one address that fail within
    /// `ban_window` before its new connections are closed for a while. Those fail that have a wrong password or name, or
    /// come from where their account does not allow.
    pub ban_after: Option<u32>,
    /// Key `ban_window`, default 10 min, 1 s to 24 h. So long after its last ban, too, an address begins anew if a bind
    /// from there has succeeded since.
    pub ban_window: Duration,
    /// Key `ban_min`, default 1 min, 1 s to 30 d, not above `ban_max`: the first ban; each further one is twice as long.
    pub ban_min: Duration,
    /// Key `ban_max`, default 1 h, 1 s to 30 d: the longest. So long after its last ban an address begins anew.
    pub ban_max: Duration,
    /// Key `never_ban`, default `["127.0.0.0/8", "::1"]`, at most 256: networks or single addresses that are never
    /// banned, such as one that many customers share; see [`Limits::never_bans`].
    pub never_ban: Vec<IpNet>,
    /// Key `pdu_max`, octets, default 70 000, 1 024 to 1 048 576: a larger command_length is answered with
    /// generic_nack 0x02 and the connection closed, before anything is allocated. The default holds a
    /// full message_payload (65 535) and other TLVs.
    pub pdu_max: usize,
    /// Key `esme_window`, default 1 000, 1 to 10 000: submits of one ESME link that may stand unanswered;
    /// past it we stop reading, then answer 0x58 (smpp-session §5). Accounts may differ.
    pub esme_window: usize,
    /// Key `delivery_window`, default 100, 1 to 10 000: deliveries to one ESME link that may stand
    /// unanswered. The guideline of 10 gives 250 receipts/s at 40 ms of distance, too few for one link
    /// that submits more. Accounts may differ.
    pub delivery_window: usize,
    /// Key `throttle_after`, default 1 000, 1 to 1 000 000: a link that was answered 0x58 so many times more often than
    /// its messages were taken is not read for `throttle_hold`. The default is a full window of refusals.
    pub throttle_after: u32,
    /// Key `throttle_hold`, default 1 s, "0s" off (`None`), else 10 ms to 1 min, not above `throttle_hold_max`: doubles
    /// with each time in a row; who was not held for a minute begins anew. Never longer than half of `response` and of
    /// `inactivity`, since answers lie unread meanwhile.
    pub throttle_hold: Option<Duration>,
    /// Key `throttle_hold_max`, default 8 s, 10 ms to 1 min: the longest. An enquire_link waits for so long, too.
    pub throttle_hold_max: Duration,
    /// Key `throttle_close_after`, default 0 (`None`: never), at most 1 000: holds in a row behind which a link that
    /// still goes on is unbound.
    pub throttle_close_after: Option<u32>,
    /// Key `country_rates`, parts per second to each country over all accounts, default `{}`; see [`CountryRates`].
    pub country_rates: CountryRates,
    /// Key `password_max`, octets with the NUL, default 9, 9 to 65: the longest password field of a bind.
    /// 9 is the specification's (SEC-2); raise it for accounts whose passwords are longer. Over-long ones
    /// are refused, never cut.
    pub password_max: usize,
    /// Key `bind_queue`, default 1 000, 1 to 100 000: binds that wait for the check of their password,
    /// 19 ms of CPU each (SEC-3); one more is refused.
    pub bind_queue: usize,
    /// Key `bind_wait`, default 5 s, 100 ms to 1 min: how long clients wait for a bind's answer; when the
    /// queue is longer than this the newest is checked first.
    pub bind_wait: Duration,
}

pub(crate) fn read(mut section: Section<'_>) -> Limits {
    let milliseconds = Duration::from_millis;
    let seconds = Duration::from_secs;
    let (enquire_link, enquire_link_response) = read_enquire_link(&mut section);
    let (throttle_hold, throttle_hold_max) = read_throttle_hold(&mut section);
    let (ban_min, ban_max) = read_ban_length(&mut section);
    let loopback = || {
        vec![
            IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpAddr::V6(Ipv6Addr::LOCALHOST).into(),
        ]
    };
    let limits = Limits {
        session_init: section.or(
            "session_init",
            seconds(5),
            duration(milliseconds(100)..=minutes(5)),
        ),
        enquire_link,
        enquire_link_response,
        inactivity: section.or("inactivity", None, duration_or_off(seconds(1)..=hours(24))),
        response: section.or("response", seconds(30), duration(milliseconds(100)..=minutes(10))),
        pdu_read: section.or("pdu_read", seconds(10), duration(milliseconds(100)..=minutes(5))),
        unbind_wait: section.or("unbind_wait", seconds(5), duration(milliseconds(50)..=minutes(1))),
        shutdown_grace: section.or(
            "shutdown_grace",
            seconds(10),
            duration(Duration::ZERO..=minutes(10)),
        ),
        tls_handshake: section.or(
            "tls_handshake",
            seconds(5),
            duration(milliseconds(100)..=minutes(1)),
        ),
        max_handshakes: section.or("max_handshakes", 256, integer(1..=100_000)),
        max_connections: section.or("max_connections", 10_000, integer(1..=1_000_000)),
        max_unbound_per_ip: section.or("max_unbound_per_ip", 16, integer(1..=1_000_000)),
        max_connections_per_ip: section.or("max_connections_per_ip", 1_000, integer(1..=1_000_000)),
        ban_after: Some(section.or("ban_after", 10, integer(0..=10_000))).filter(|failures| *failures > 0),
        ban_window: section.or("ban_window", minutes(10), duration(seconds(1)..=hours(24))),
        ban_min,
        ban_max,
        never_ban: section
            .list("never_ban", 0..=256, network)
            .unwrap_or_else(loopback),
        pdu_max: section.or("pdu_max", 70_000, integer(1_024..=1_048_576)),
        esme_window: section.or("esme_window", 1_000, integer(1..=10_000)),
        delivery_window: section.or("delivery_window", 100, integer(1..=10_000)),
        throttle_after: section.or("throttle_after", 1_000, integer(1..=1_000_000)),
        throttle_hold,
        throttle_hold_max,
        throttle_close_after: Some(section.or("throttle_close_after", 0, integer(0..=1_000)))
            .filter(|holds| *holds > 0),
        country_rates: country_rates::read(&mut section),
        password_max: section.or(
            "password_max",
            PASSWORD_MAX,
            integer(PASSWORD_MAX..=PASSWORD_MAX_LENIENT),
        ),
        bind_queue: section.or("bind_queue", 1_000, integer(1..=100_000)),
        bind_wait: section.or("bind_wait", seconds(5), duration(milliseconds(100)..=minutes(1))),
    };
    section.finish(&[]);
    limits
}

/// `ban_min` and `ban_max`.
fn read_ban_length(section: &mut Section<'_>) -> (Duration, Duration) {
    let bounds = || Duration::from_secs(1)..=hours(30 * 24);
    let min = section.or("ban_min", minutes(1), duration(bounds()));
    let max = section.or("ban_max", hours(1), duration(bounds()));
    section.in_order(("ban_min", min), ("ban_max", max), true);
    (min, max)
}

impl Limits {
    /// Whether an address is never banned. IPv4 addresses in IPv6 form count as IPv4.
    pub fn never_bans(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.never_ban.iter().any(|net| net.contains(&ip))
    }
}

/// `throttle_hold` and `throttle_hold_max`.
fn read_throttle_hold(section: &mut Section<'_>) -> (Option<Duration>, Duration) {
    let bounds = || Duration::from_millis(10)..=minutes(1);
    let hold = section.or(
        "throttle_hold",
        Some(Duration::from_secs(1)),
        duration_or_off(bounds()),
    );
    let most = section.or("throttle_hold_max", Duration::from_secs(8), duration(bounds()));
    if let Some(hold) = hold {
        section.in_order(("throttle_hold", hold), ("throttle_hold_max", most), true);
    }
    (hold, most)
}

/// The pair of timers that ESME limits and carriers share: (`enquire_link`, `enquire_link_response`).
pub(crate) fn read_enquire_link(section: &mut Section<'_>) -> (Duration, Duration) {
    let every = section.or(
        "enquire_link",
        Duration::from_secs(30),
        duration(Duration::from_millis(100)..=hours(1)),
    );
    let response = section.or(
        "enquire_link_response",
        Duration::from_secs(10),
        duration(Duration::from_millis(50)..=minutes(10)),
    );
    section.in_order(
        ("enquire_link_response", response),
        ("enquire_link", every),
        false,
    );
    (every, response)
}
