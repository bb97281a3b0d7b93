//! What a file says of TLS.

use super::MINIMAL;
use crate::{Config, Host, Transport, parse};

/// 2027-03-31, 24:00 UTC.
const END_OF_MARCH_MS: u64 = 1_806_537_600_000;

fn with(table: &str, keys: &str) -> String {
    assert!(MINIMAL.contains(table));
    MINIMAL.replacen(table, &format!("{table}\n{keys}"), 1)
}

fn listening(keys: &str) -> Result<Config, String> {
    parse(&with("[[listen]]", keys)).map_err(|problems| problems.to_string())
}

fn account(keys: &str) -> Result<Config, String> {
    parse(&with("[[account]]", keys)).map_err(|problems| problems.to_string())
}

#[test]
fn a_listener_without_the_key_is_plain_and_an_account_takes_any() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.listen[0].tls, None);
    assert_eq!(config.accounts[0].transport.min, Transport::Clear);
    assert_eq!(config.accounts[0].transport.allows(Transport::Clear, 0), Ok(None));
}

#[test]
fn tls_1_2_is_an_exception_with_a_name_and_a_last_day() {
    let files = "certificate = \"c.pem\", key = \"k.pem\"";
    let config = listening(&format!(
        "tls = {{ {files}, tls12 = {{ name = \"old\", until = 2027-03-31 }} }}"
    ));
    let tls = config.unwrap().listen[0].tls.clone().unwrap();
    let exception = tls.tls12.unwrap();
    assert_eq!(
        (exception.name.as_str(), exception.ends_ms),
        ("old", END_OF_MARCH_MS)
    );
    assert!(exception.holds(END_OF_MARCH_MS - 1) && !exception.holds(END_OF_MARCH_MS));
    for (keys, problem) in [
        ("tls12 = { name = \"old\" }", "until"),
        ("tls12 = { until = 2027-03-31 }", "name"),
        ("tls12 = { name = \"\", until = 2027-03-31 }", "is no name"),
        ("tls12 = { name = \"old\", until = \"2027-03-31\" }", "no day"),
        ("min_version = \"1.2\"", "write `tls12"),
        ("client_certificate = \"optional\"", "client_ca"),
    ] {
        let told = listening(&format!("tls = {{ {files}, {keys} }}")).unwrap_err();
        assert!(told.contains(problem), "{keys}: {told}");
    }
    assert!(listening("tls = {}").unwrap_err().contains("certificate"));
}

#[test]
fn a_carrier_has_a_ca_and_both_files_of_its_own_or_none() {
    let carrier = |keys: &str| {
        let text = with("[[carrier]]", &format!("tls = {{ {keys} }}"));
        parse(&text).map_err(|problems| problems.to_string())
    };
    let config = carrier("ca = \"ca.pem\", server_name = \"smsc.example.net\"").unwrap();
    let tls = config.carriers[0].tls.clone().unwrap();
    assert_eq!(tls.server_name, Some(Host::Name("smsc.example.net".to_owned())));
    assert_eq!(tls.own, None);
    let own = "ca = \"ca.pem\", certificate = \"c.pem\", key = \"k.pem\"";
    assert!(
        carrier(own).unwrap().carriers[0]
            .tls
            .clone()
            .unwrap()
            .own
            .is_some()
    );
    for (keys, problem) in [
        ("server_name = \"smsc.example.net\"", "ca: missing"),
        ("ca = \"ca.pem\", key = \"k.pem\"", "certificate: missing"),
        ("ca = \"ca.pem\", certificate = \"c.pem\"", "key: missing"),
        (
            "ca = \"ca.pem\", server_name = \"smsc.example.net:2775\"",
            "is no host",
        ),
        ("ca = \"ca.pem\", verify = false", "always checked"),
    ] {
        let told = carrier(keys).unwrap_err();
        assert!(told.contains(problem), "{keys}: {told}");
    }
}

#[test]
fn an_account_asks_for_more_but_for_as_long_as_its_exception_lasts() {
    let config = account(
        "min_transport = \"tls1.3\"\n\
         transport_exception = { min_transport = \"tls1.2\", name = \"old\", until = 2027-03-31 }",
    );
    let asks = config.unwrap().accounts[0].transport.clone();
    let (during, behind) = (END_OF_MARCH_MS - 1, END_OF_MARCH_MS);
    assert_eq!(asks.allows(Transport::Tls13, behind), Ok(None));
    let by = asks.allows(Transport::Tls12, during).unwrap();
    assert_eq!(by.map(|exception| exception.name.as_str()), Some("old"));
    assert!(asks.allows(Transport::Tls12, behind).is_err());
    assert!(asks.allows(Transport::Clear, during).is_err());
    let none = "transport_exception = { min_transport = \"clear\", name = \"old\", until = 2027-03-31 }";
    assert!(account(none).unwrap_err().contains("excepts nothing"));
}

#[test]
fn the_admin_listener_leaves_loopback_with_tls_only() {
    let http =
        |keys: &str| parse(&format!("{MINIMAL}[http]\n{keys}")).map_err(|problems| problems.to_string());
    let tls = "admin_tls = { certificate = \"c.pem\", key = \"k.pem\" }";
    for address in [
        "0.0.0.0:9105",
        "192.0.2.7:9105",
        "[::]:9105",
        "[2001:db8::7]:9105",
    ] {
        let told = http(&format!("admin_address = \"{address}\"")).unwrap_err();
        assert!(
            told.contains("not on loopback") && told.contains("admin_tls = {"),
            "{told}"
        );
        let config = http(&format!("admin_address = \"{address}\"\n{tls}")).unwrap();
        assert!(config.http.admin_tls.is_some());
    }
    for address in ["127.0.0.1:9105", "[::1]:9105"] {
        let config = http(&format!("admin_address = \"{address}\"")).unwrap();
        assert_eq!(config.http.admin_tls, None);
    }
    assert!(http(tls).unwrap_err().contains("http.admin_address"));
    let told = http("admin_address = \"127.0.0.1:9105\"\nadmin_tls = { key = \"k.pem\" }").unwrap_err();
    assert!(told.contains("certificate"), "{told}");
}

#[test]
fn a_carrier_elsewhere_has_tls_or_an_exception_for_clear_text() {
    let at = |address: &str, keys: &str| {
        let text = with("[[carrier]]", keys).replace("127.0.0.1:2900", address);
        parse(&text).map_err(|problems| problems.to_string())
    };
    let clear = "clear_text = { name = \"leased line\", until = 2027-03-31 }";
    let tls = "tls = { ca = \"ca.pem\" }";
    for address in [
        "192.0.2.7:2775",
        "smsc.example.net:2775",
        "[2001:db8::7]:2775",
        "[::ffff:192.0.2.7]:2775",
    ] {
        let told = at(address, "").unwrap_err();
        assert!(
            told.contains("carrier.example.tls: missing") && told.contains("clear_text = {"),
            "{told}"
        );
        assert!(at(address, tls).is_ok(), "{address}");
        let config = at(address, clear).unwrap();
        let exception = config.carriers[0].clear_text.clone().unwrap();
        assert_eq!(
            (exception.name.as_str(), exception.ends_ms),
            ("leased line", END_OF_MARCH_MS)
        );
    }
    for address in [
        "127.0.0.1:2775",
        "[::1]:2775",
        "localhost:2775",
        "[::ffff:127.0.0.1]:2775",
    ] {
        assert!(at(address, "").is_ok(), "{address}");
    }
    let told = at("192.0.2.7:2775", &format!("{tls}\n{clear}")).unwrap_err();
    assert!(told.contains("excepts nothing"), "{told}");
    let told = at("192.0.2.7:2775", "clear_text = { name = \"leased line\" }").unwrap_err();
    assert!(told.contains("until") && !told.contains("tls: missing"), "{told}");
}

#[test]
fn every_exception_of_a_file_is_told_with_its_key() {
    let tls12 = "certificate = \"c.pem\", key = \"k.pem\", tls12 = { name = \"old\", until = 2027-03-31 }";
    let text = with("[[listen]]", &format!("tls = {{ {tls12} }}"));
    let text = text.replacen(
        "[[account]]",
        "[[account]]\nmin_transport = \"tls1.3\"\n\
         transport_exception = { min_transport = \"clear\", name = \"old\", until = 2027-03-31 }",
        1,
    );
    let text = text.replacen(
        "[[carrier]]",
        "[[carrier]]\nclear_text = { name = \"old\", until = 2027-03-31 }",
        1,
    );
    let text = format!("{text}[http]\nadmin_address = \"192.0.2.7:9105\"\nadmin_tls = {{ {tls12} }}\n");
    let config = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let told = config.exceptions();
    let keys: Vec<_> = told.iter().map(|it| (it.key.as_str(), it.least)).collect();
    let expected = [
        ("listen[0].tls.tls12", Transport::Tls12),
        ("http.admin_tls.tls12", Transport::Tls12),
        ("account.example.transport_exception", Transport::Clear),
        ("carrier.example.clear_text", Transport::Clear),
    ];
    assert_eq!(keys, expected);
    assert!(told.iter().all(|it| it.exception.ends_ms == END_OF_MARCH_MS));
    assert_eq!(parse(MINIMAL).unwrap().exceptions(), []);
}
