//! A configuration file of any octets.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use tidegate_config::{
    Account, Carrier, Config, KekSource, Limits, Problems, RewriteName, Storage, parse, parse_with,
};

/// Stands where a secret may stand. No word of a problem holds it by chance.
const SECRET: &str = "Xq7Zw9Kj3V";

/// Any text is a configuration within its bounds or is refused with problems that can be shown, each with a remedy;
/// and whatever stands behind a key named after a password is never repeated in one. Where it names a file, that has the
/// same text.
pub fn config(octets: &[u8]) {
    // What is not UTF-8 never comes as far as the reader.
    let text = String::from_utf8_lossy(octets);
    match parse_with(&text, &|_| Ok(text.to_string())) {
        Ok(config) => whole(&config),
        Err(problems) => shown(&text, &problems),
    }
    if let Some(text) = with_secrets(&text)
        && let Err(problems) = parse(&text)
    {
        assert!(!problems.to_string().contains(SECRET), "a secret is repeated");
    }
}

fn shown(text: &str, problems: &Problems) {
    let problems = problems.as_slice();
    assert!(!problems.is_empty());
    let lines = text.split('\n').count();
    for problem in problems {
        assert!(!problem.what.is_empty() && !problem.remedy.is_empty());
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)));
        assert!(!problem.to_string().chars().any(char::is_control), "{problem:?}");
        assert!(!problem.what.starts_with("not understood"), "{problem:?}");
    }
    assert!(problems.is_sorted_by_key(|problem| (&problem.file, problem.line.unwrap_or(usize::MAX))));
}

/// The text with every value of a key named after a password replaced; `None` when it has none.
fn with_secrets(text: &str) -> Option<String> {
    if text.contains(SECRET) {
        return None;
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("password") {
        let key = at + "password".len();
        let name = rest[key..].trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
        let value = name.trim_start_matches([' ', '\t']).strip_prefix('=');
        let from = rest.len() - value.map_or(name.len(), str::len);
        out.push_str(&rest[..from]);
        rest = &rest[from..];
        if value.is_some() {
            let end = rest.find([',', '}', ']', '#', '\n', '\r']).unwrap_or(rest.len());
            // Quotes and brackets stay, and what stands between them is the secret, once.
            let inner = rest[..end].trim_matches([' ', '\t', '[', '"', '\'']);
            out.push_str(&rest[..end].replacen(inner, SECRET, usize::from(!inner.is_empty())));
            rest = &rest[end..];
        }
    }
    (out.contains(SECRET)).then(|| out + rest)
}

fn seconds(from: u64, to: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

fn whole(config: &Config) {
    limits(&config.limits);
    storage(&config.storage);
    assert!(!config.listen.is_empty());
    let mut sockets = HashSet::from([config.http.address]);
    for listener in &config.listen {
        assert!(listener.address.port() == 0 || sockets.insert(listener.address));
    }
    let accounts: HashSet<_> = config.accounts.iter().map(|account| account.system_id).collect();
    assert_eq!(accounts.len(), config.accounts.len());
    config.accounts.iter().for_each(account);
    let carriers: HashSet<_> = config.carriers.iter().map(|carrier| &carrier.name).collect();
    assert_eq!(carriers.len(), config.carriers.len());
    config.carriers.iter().for_each(carrier);
    rewrites(config);

    let submits = config.accounts.iter().any(|account| account.binds.can_submit());
    assert!(!submits || !config.mt_routes.is_empty());
    let mut prefixes = HashSet::new();
    for route in &config.mt_routes {
        assert!(prefixes.insert(&route.prefix) && route.prefix.len() <= 15);
        assert!(!route.carriers.is_empty() && route.carriers.iter().all(|name| carriers.contains(name)));
    }
    for route in &config.mo_routes {
        assert!(accounts.contains(&route.account));
        assert!(route.carrier.as_ref().is_none_or(|name| carriers.contains(name)));
    }
    for document in &config.instructions {
        assert!(accounts.contains(&document.account) && (1..=32).contains(&document.version.len()));
        assert!(document.rules.iter().all(|rule| accounts.contains(&rule.account)));
    }
    let debug = format!("{config:?}");
    let mut hashes = config
        .accounts
        .iter()
        .flat_map(|account| &account.password_hashes);
    assert!(
        hashes.all(|hash| !debug.contains(hash.expose())),
        "a hash is printed"
    );
}

fn limits(limits: &Limits) {
    assert!((1024..=1_048_576).contains(&limits.pdu_max) && (9..=65).contains(&limits.password_max));
    assert!((1..=10_000).contains(&limits.esme_window) && (1..=10_000).contains(&limits.delivery_window));
    assert!((1..=1_000_000).contains(&limits.max_connections));
    assert!((1..=1_000_000).contains(&limits.max_unbound_per_ip));
    assert!((1..=1_000_000).contains(&limits.max_connections_per_ip));
    assert!(limits.ban_min <= limits.ban_max);
    assert!(seconds(1, 30 * 24 * 3600).contains(&limits.ban_min));
    assert!(
        limits
            .throttle_hold
            .is_none_or(|hold| hold <= limits.throttle_hold_max)
    );
    assert!((1..=100_000).contains(&limits.bind_queue));
    assert!(limits.enquire_link_response < limits.enquire_link);
    assert!(
        limits
            .inactivity
            .is_none_or(|time| seconds(1, 24 * 3600).contains(&time))
    );
    for time in [
        limits.session_init,
        limits.pdu_read,
        limits.response,
        limits.bind_wait,
    ] {
        assert!(!time.is_zero() && time <= Duration::from_secs(600));
    }
}

fn storage(storage: &Storage) {
    assert!((u64::from(storage.reserve_segments) + 2) * storage.segment_size <= storage.limit);
    assert!((1 << 20..=1 << 30).contains(&storage.segment_size));
    assert!(
        storage.turn_pacing <= Duration::from_millis(100) && storage.lazy_flush <= Duration::from_secs(1)
    );
    assert!((1_000..=200_000_000).contains(&storage.max_unfinished));
    let paths: Vec<&Path> = [storage.data.as_path(), &storage.key_ring]
        .into_iter()
        .chain(storage.kek.file())
        .chain(storage.legal_kek.as_ref().and_then(KekSource::file))
        .chain(storage.subrec_kek.as_ref().and_then(KekSource::file))
        .collect();
    for (index, path) in paths.iter().enumerate() {
        assert!(!path.as_os_str().is_empty() && !paths[..index].contains(path));
    }
}

fn account(account: &Account) {
    assert!((1..=15).contains(&account.system_id.as_str().len()));
    assert!((1..=2).contains(&account.password_hashes.len()));
    assert!((1..=10_000).contains(&account.max_binds) && (1..=10_000).contains(&account.window));
    assert!((1..=10_000).contains(&account.delivery_window));
    assert!(account.rate.is_none_or(|rate| rate.get() <= 1_000_000));
    let validity = seconds(1, 30 * 24 * 3600);
    assert!(validity.contains(&account.max_validity));
    assert!(
        account
            .default_validity
            .is_none_or(|default| default <= account.max_validity)
    );
    assert!(account.allow_ips.len() <= 256 && account.senders.len() <= 1024);
    let numbering = &account.numbering;
    assert!(numbering.senders_by_country.len() <= 1024);
    let source = numbering.default_source.as_ref();
    assert!(source.is_none_or(|source| (1..=20).contains(&source.len())));
    assert!((1..=100_000_000).contains(&account.outbox_max));
}

fn carrier(carrier: &Carrier) {
    assert!((1..=16).contains(&carrier.addresses.len()));
    assert!(carrier.addresses.iter().all(|address| address.port() > 0));
    assert!((1..=64).contains(&carrier.links) && (1..=10_000).contains(&carrier.window));
    assert!(carrier.default_validity <= carrier.max_validity);
    assert!(carrier.reconnect_min <= carrier.reconnect_max && carrier.retry_min <= carrier.retry_max);
    assert!(!carrier.reconnect_min.is_zero() && !carrier.retry_min.is_zero());
    assert!(carrier.enquire_link_response < carrier.enquire_link);
    assert!((1..=1_000).contains(&carrier.max_attempts));
    assert!(carrier.system_type.len() <= 12 && carrier.address_range.len() <= 40);
    assert!(carrier.writing.drop_tlvs.len() <= 64 && carrier.writing.add_tlvs.len() <= 16);
    assert!(carrier.writing.add_tlvs.iter().all(|tlv| tlv.value.len() <= 255));
}

/// Names lead somewhere, and never round in a circle.
fn rewrites(config: &Config) {
    let place = |name: &RewriteName| config.rewrites.iter().position(|rewrite| rewrite.name == *name);
    assert!(config.rewrites.len() <= 256);
    for rewrite in &config.rewrites {
        assert!((1..=256).contains(&rewrite.rules.len()));
        let (mut at, mut steps) = (rewrite, 0);
        while let Some(then) = &at.then {
            at = &config.rewrites[place(then).unwrap_or_else(|| panic!("{then:?} leads nowhere"))];
            steps += 1;
            assert!(steps < config.rewrites.len());
        }
    }
    let of_accounts = config
        .accounts
        .iter()
        .filter_map(|account| account.numbering.rewrite.as_ref());
    let of_carriers = config
        .carriers
        .iter()
        .filter_map(|carrier| carrier.writing.rewrite.as_ref());
    assert!(of_accounts.chain(of_carriers).all(|name| place(name).is_some()));
}
