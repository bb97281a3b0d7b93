//! The files that ship: complete, true to the code's defaults, and what they say they are.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use tidegate_codec::values::BindKind;
use toml::de::{DeTable, DeValue};

use super::MINIMAL;
use crate::problem::Report;
use crate::{
    CarrierBinds, CarrierName, Config, Country, CountryModes, IdBase, MessageIdForm, NumberPattern,
    ReceiptRequest, SecretSource, Unanswered, parse, parse_with,
};

pub(super) const EXAMPLE: &str = include_str!("../../tidegate.toml");
pub(super) const BENCH: &str = include_str!("../../bench.toml");
const COMPLIANCE: &str = include_str!("../../compliance.toml");
/// What is in the files that the example names.
fn document(path: &Path) -> Result<String, String> {
    let text = match path.to_str() {
        Some("./example-hours.toml") => {
            "[[rule]]\njurisdiction = \"ZA\"\nhours = \"08:00-20:00\"\nsource = \"-\"\nchecked = \"2026-11-29\"\n"
        }
        Some("./content.toml") => include_str!("../../data/content.toml"),
        _ => "version = \"1\"\n[[rule]]\n",
    };
    Ok(text.to_owned())
}
const BENCH_PASSWORD: &[u8] = include_bytes!("../../bench-sink.password");

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every key that the code asks for, as `carrier.window`.
fn schema() -> BTreeSet<String> {
    // Some keys are asked for inside a list's tables only, so the file must have one of each.
    let text = uncommented();
    let (tree, syntax) = DeTable::parse_recoverable(&text);
    let report = Report::new(&text, &syntax);
    crate::read(&report, &tree, &document).unwrap();
    report.asked.into_inner()
}

fn written(table: &DeTable<'_>, prefix: &str, out: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => written(inner, &format!("{path}."), out),
            DeValue::Array(items) => {
                for item in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    written(item, &format!("{path}."), out);
                }
            }
            _ => {}
        }
        out.insert(path);
    }
}

/// Lines such as `#local_address = …`: settings without a default, to be uncommented.
fn commented_out() -> Vec<&'static str> {
    EXAMPLE
        .lines()
        .filter(|line| {
            line.strip_prefix('#')
                .is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
        })
        .collect()
}

/// All optional keys at once; of the two places for a password the file is one too many here.
fn uncommented() -> String {
    EXAMPLE
        .split_inclusive('\n')
        .map(|line| {
            if commented_out().contains(&line.trim_end()) {
                &line[1..]
            } else {
                line
            }
        })
        .collect()
}

#[test]
fn the_example_holds_the_codes_own_defaults() {
    // Whatever the example writes beside the required keys must be what leaving it out would give.
    let minimal =
        format!("{MINIMAL}[[instructions]]\naccount = \"example\"\nversion = \"1\"\n[[instructions.rule]]\n");
    // What it says has none, and is better had.
    let but_for = |line: &&str| !line.contains("# default: none") || line.starts_with('#');
    let plain: Vec<&str> = EXAMPLE.lines().filter(but_for).collect();
    assert_eq!(
        EXAMPLE.lines().count() - plain.len(),
        2,
        "a key-encryption key for each tier"
    );
    assert!(good(&plain.join("\n")) == good(&minimal));
}

#[test]
fn the_example_shows_every_key_there_is() {
    let mut shown = BTreeSet::new();
    written(
        &DeTable::parse(&uncommented()).unwrap().into_inner(),
        "",
        &mut shown,
    );
    assert_eq!(shown, schema());
    assert!(
        shown.len() > 90,
        "the schema is read from the wrong place: {}",
        shown.len()
    );
}

#[test]
fn every_commented_key_works_when_its_mark_is_taken_away() {
    for line in commented_out() {
        let mut text = EXAMPLE.replace(line, &line[1..]);
        if line.starts_with("#password_file") {
            text = text.replace("password_env =", "#password_env =");
        }
        if line.starts_with("#kek_") {
            text = text.replace("\nkek_file =", "\n#kek_file =");
        }
        for tier in ["legal", "subrec"] {
            if line.starts_with(&format!("#{tier}_kek_")) {
                text = text.replace(&format!("\n{tier}_kek_file ="), &format!("\n#{tier}_kek_file ="));
            }
        }
        if line.starts_with("#rewrite = \"") {
            text = text.replace("#rewrite = [", "rewrite = [");
        }
        if line.starts_with("#max_price") {
            text = text.replace("#prices =", "prices =");
        }
        if line.starts_with("#ported") {
            text = text.replace("#networks =", "networks =");
        }
        if line.starts_with("#admin_tls") {
            text = text.replace("#admin_address =", "admin_address =");
        }
        // Both ask for more than is written there.
        if line.starts_with("#transport_exception") || line.starts_with("#retention") {
            text = text.replace("min_transport = \"clear\"", "min_transport = \"tls1.3\"");
        }
        if line.starts_with("#retention = ") {
            text = text.replace("#retention_profile =", "retention_profile =");
        }
        if line.contains("-instructions.toml") {
            let from = text.find("version = \"1\"").unwrap();
            text.truncate(from);
        }
        let config = parse_with(&text, &document);
        let config = config.unwrap_or_else(|problems| panic!("{line}: {problems}"));
        assert_ne!(config, good(EXAMPLE), "{line}");
    }
    assert_eq!(commented_out().len(), 60);
}

#[test]
fn every_key_of_the_example_says_whether_it_may_be_left_out() {
    for (index, line) in EXAMPLE.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains('#')) else {
            continue;
        };
        let told = line.contains("# default") || line.contains("# required");
        let above = EXAMPLE.lines().take(index).collect::<Vec<_>>().join(" ");
        let told_above = ["password_hashes", "password_env"].contains(&key) && above.contains("# required");
        assert!(told || told_above, "line {}: {key}", index + 1);
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    // The doc comments name these values; a change here is a change there and in the example.
    let config = good(MINIMAL);
    assert_eq!(config.node.id, 0);
    assert_eq!(config.http.address.to_string(), "127.0.0.1:9100");
    let storage = &config.storage;
    assert_eq!(storage.limit, 8 << 30);
    assert_eq!(storage.segment_size, 64 << 20);
    assert_eq!(storage.reserve_segments, 4);
    assert_eq!(storage.turn_pacing, Duration::from_micros(500));
    assert_eq!(storage.lazy_flush, Duration::from_millis(10));
    assert!(!storage.auto_init);
    assert_eq!(storage.max_unfinished, 2_000_000);
    assert_eq!(storage.receipt_hot, Duration::from_secs(600));
    let audit = &config.audit;
    assert_eq!(audit.checkpoint_every, 1_000);
    assert_eq!(audit.origin(&config.node), "tidegate/node-0");
    assert_eq!(audit.checkpoint_interval, Duration::from_secs(60));
    assert_eq!(audit.checkpoint_directory, None);
    let limits = &config.limits;
    assert_eq!(limits.inactivity, None);
    assert_eq!((limits.pdu_max, limits.password_max), (70_000, 9));
    let account = &config.accounts[0];
    assert_eq!((account.window, account.delivery_window), (1_000, 100));
    assert_eq!((account.rate, account.max_binds), (None, 10));
    assert_eq!(account.message_id, MessageIdForm::Decimal);
    assert_eq!(account.default_validity, None);
    let carrier = &config.carriers[0];
    assert_eq!(carrier.default_validity, Duration::from_secs(24 * 3600));
    assert_eq!(carrier.receipt_deadline, Duration::from_secs(74 * 3600));
    assert_eq!(carrier.unanswered, Unanswered::Resend);
    assert_eq!(carrier.id_base.response, IdBase::AsGiven);
    assert_eq!(config.mo_routes[0].number, NumberPattern::Prefix(String::new()));
}

#[test]
fn the_load_test_finds_what_it_relies_on() {
    let config = good(BENCH);
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:2775");
    assert_eq!(config.http.address.to_string(), "127.0.0.1:9100");

    let mut names = vec!["load".to_owned()];
    names.extend((1..=16).map(|number| format!("load{number}")));
    let accounts: Vec<String> = config.accounts.iter().map(|a| a.system_id.to_string()).collect();
    assert_eq!(accounts, names);
    // The example documents the password of this very hash; the gateway's tests verify it.
    let hash = &good(EXAMPLE).accounts[0].password_hashes[0];
    for account in &config.accounts {
        assert_eq!(account.password_hashes, std::slice::from_ref(hash));
        assert_eq!(
            (account.max_binds, account.window, account.rate),
            (64, 2_000, None)
        );
        assert!(account.allows_ip(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))));
        assert!(account.allows_sender(b"anybody", || None));
        for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
            assert!(account.binds.allows(kind));
        }
    }
    let binds = 17 * 64;
    assert!(config.limits.max_connections >= binds);
    assert!(config.limits.max_unbound_per_ip >= binds);
    assert!(config.limits.max_connections_per_ip >= binds);
    assert!(config.limits.bind_queue >= binds);

    assert_eq!(config.carriers.len(), 1);
    let sink = &config.carriers[0];
    assert_eq!(sink.name.as_str(), "sink");
    assert_eq!(sink.addresses.len(), 1);
    assert_eq!(sink.addresses[0].to_string(), "127.0.0.1:2900");
    assert_eq!(sink.system_id.as_str(), "tidegate");
    assert_eq!(
        sink.password,
        SecretSource::File("config/bench-sink.password".into())
    );
    assert_eq!(BENCH_PASSWORD.trim_ascii_end(), b"secret");
    assert_eq!(sink.binds, CarrierBinds::Transceiver);
    assert_eq!((sink.links, sink.window, sink.rate), (4, 500, None));
    assert_eq!(sink.request_receipts, ReceiptRequest::AsAsked);
    assert_eq!(config.mt_routes.len(), 1);
    assert_eq!(config.mt_routes[0].prefix, "");
    assert_eq!(config.mt_routes[0].carriers, std::slice::from_ref(&sink.name));

    let storage = &config.storage;
    assert_eq!(storage.data, Path::new("target/bench-data"));
    assert_eq!(storage.key_ring, Path::new("target/bench-keys"));
    assert!(storage.kek.file().unwrap().starts_with("target"));
    assert!(storage.auto_init);
    // Durability exactly as in production.
    let production = good(MINIMAL).storage;
    assert_eq!(
        (
            storage.turn_pacing,
            storage.lazy_flush,
            storage.limit,
            storage.segment_size
        ),
        (
            production.turn_pacing,
            production.lazy_flush,
            production.limit,
            production.segment_size
        )
    );
    assert_eq!(storage.reserve_segments, production.reserve_segments);
}

#[test]
fn tests_of_the_rules_find_what_they_rely_on() {
    let config = good(COMPLIANCE);
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:2776");
    assert_eq!(config.http.address.to_string(), "127.0.0.1:9101");
    assert_eq!(config.storage.data, Path::new("target/compliance-data"));
    assert_eq!(config.storage.key_ring, Path::new("target/compliance-keys"));
    assert!(config.storage.auto_init && config.storage.kek.file().unwrap().starts_with("target"));
    let hash = &good(EXAMPLE).accounts[0].password_hashes[0];
    let home = Country::new("US");
    for (account, name, own, others) in [
        (
            &config.accounts[0],
            "A",
            &["55555", "55556", "18005550199"][..],
            "55557",
        ),
        (&config.accounts[1], "B", &["55557"], "55555"),
    ] {
        assert_eq!((account.system_id.as_str(), account.max_binds), (name, 4));
        assert_eq!(account.password_hashes, std::slice::from_ref(hash));
        assert!(
            own.iter()
                .all(|sender| account.allows_sender(sender.as_bytes(), || home))
        );
        assert!(!account.allows_sender(others.as_bytes(), || home));
        assert_eq!(account.numbering.country, home);
        assert_eq!(account.destinations.modes(home), CountryModes::ALL);
    }
    for (carrier, name, port) in [(&config.carriers[0], "p", 2901), (&config.carriers[1], "q", 2902)] {
        assert_eq!((carrier.name.as_str(), carrier.links), (name, 1));
        assert_eq!(carrier.addresses[0].to_string(), format!("127.0.0.1:{port}"));
        assert_eq!(
            carrier.password,
            SecretSource::File("config/bench-sink.password".into())
        );
        assert_eq!(
            (carrier.system_id.as_str(), carrier.binds),
            ("tidegate", CarrierBinds::Transceiver)
        );
    }
    let profiles = [
        ("bound", "instruction-bound", "55561"),
        ("instructed", "as-instructed", "55562"),
        ("anonymise", "anonymise-30", "55563"),
        ("fixed", "fixed-term", "55564"),
        ("until-deleted", "until-deleted", "55565"),
    ];
    assert_eq!(config.accounts.len(), 2 + profiles.len());
    for (account, (name, profile, sender)) in config.accounts[2..].iter().zip(profiles) {
        assert_eq!((account.system_id.as_str(), account.max_binds), (name, 4));
        assert_eq!(account.retention.profile.as_deref(), Some(profile));
        assert!(account.allows_sender(sender.as_bytes(), || home));
        assert!(!account.allows_sender(b"55557", || home));
        assert_eq!(account.retention.jurisdiction[0].to_string(), "US");
        let route = config
            .mo_routes
            .iter()
            .find(|route| route.account == account.system_id);
        assert_eq!(
            route.map(|route| &route.number),
            Some(&NumberPattern::Exact(sender.to_owned()))
        );
    }
    let [route] = &config.mt_routes[..] else { panic!() };
    let names: Vec<&str> = route.carriers.iter().map(CarrierName::as_str).collect();
    assert_eq!((route.prefix.as_str(), &names[..]), ("", &["p", "q"][..]));
}

#[test]
fn a_configuration_on_a_screen_tells_no_secret() {
    let debug = format!("{:?}", good(EXAMPLE));
    assert!(debug.contains("PasswordHash(***)"));
    assert!(!debug.contains("argon2id") && !debug.contains("nnI+s8"));
}
