//! Each rule for a single value refused by example: key, line and a word of the remedy.

use super::MINIMAL;
use super::problems::{one, with};

#[test]
fn values_out_of_bounds_and_of_the_wrong_kind() {
    // Inserted after the line that opens the table: (that line, text to insert, key, word).
    let cases = [
        (
            "[storage]\n",
            "limit = \"383MiB\"",
            "storage.limit",
            "at least \"384MiB\"",
        ),
        ("[storage]\n", "limit = 8", "storage.limit", "GiB"),
        ("[storage]\n", "limit = \"8GB\"", "storage.limit", "GiB"),
        (
            "[storage]\n",
            "segment_size = \"512KiB\"",
            "storage.segment_size",
            "\"1MiB\" to \"1GiB\"",
        ),
        (
            "[storage]\n",
            "reserve_segments = 0",
            "storage.reserve_segments",
            "from 1",
        ),
        (
            "[storage]\n",
            "reserve_segments = 200",
            "storage.limit",
            "at least \"12928MiB\"",
        ),
        (
            "[storage]\n",
            "turn_pacing = \"1s\"",
            "storage.turn_pacing",
            "\"100ms\"",
        ),
        (
            "[storage]\n",
            "turn_pacing = 0.5",
            "storage.turn_pacing",
            "number and one of us, ms",
        ),
        (
            "[storage]\n",
            "lazy_flush = \"10 ms\"",
            "storage.lazy_flush",
            "number and one of",
        ),
        (
            "[storage]\n",
            "auto_init = \"yes\"",
            "storage.auto_init",
            "without quotes",
        ),
        (
            "[storage]\n",
            "max_unfinished = \"many\"",
            "storage.max_unfinished",
            "without quotes",
        ),
        ("[storage]\n", "receipt_hot = \"0s\"", "storage.receipt_hot", "1s"),
        (
            "[[account]]\n",
            "state = \"actve\"",
            "account[0].state",
            "\"suspended\"",
        ),
        ("[[account]]\n", "max_binds = 0", "account[0].max_binds", "from 1"),
        ("[[account]]\n", "binds = []", "account[0].binds", "1 to 3"),
        (
            "[[account]]\n",
            "binds = [\"tx\", \"trx2\"]",
            "account[0].binds[1]",
            "\"trx\"",
        ),
        ("[[account]]\n", "binds = \"trx\"", "account[0].binds", "[ … ]"),
        ("[[account]]\n", "rate = -1", "account[0].rate", "from 0"),
        ("[[account]]\n", "weight = 0", "account[0].weight", "from 1"),
        (
            "[[account]]\n",
            "link_rate = 2_000_000",
            "account[0].link_rate",
            "to 1000000",
        ),
        (
            "[[account]]\n",
            "country_rates = 50",
            "account[0].country_rates",
            "name = value",
        ),
        (
            "[[account]]\n",
            "country_rates = { UK = 50 }",
            "account[0].country_rates.UK",
            "GB",
        ),
        (
            "[[account]]\n",
            "country_rates = { gb = 50 }",
            "account[0].country_rates.gb",
            "write \"GB\"",
        ),
        (
            "[[account]]\n",
            "country_rates = { GB = \"50\" }",
            "account[0].country_rates.GB",
            "from 0",
        ),
        (
            "[[account]]\n",
            "window = 10_001",
            "account[0].window",
            "to 10000",
        ),
        (
            "[[account]]\n",
            "allow_ips = [\"10.0.0.1/8\"]",
            "account[0].allow_ips[0]",
            "10.0.0.0/8",
        ),
        (
            "[[account]]\n",
            "allow_ips = [\"10.0.0.1\", 7]",
            "account[0].allow_ips[1]",
            "quotes",
        ),
        (
            "[[account]]\n",
            "message_id = \"Hex\"",
            "account[0].message_id",
            "\"hex8\"",
        ),
        (
            "[[account]]\n",
            "default_validity = \"73h\"",
            "account[0].default_validity",
            "at most max_validity",
        ),
        (
            "[[account]]\n",
            "max_validity = \"31d\"",
            "account[0].max_validity",
            "\"30d\"",
        ),
        (
            "[[account]]\n",
            "outbox_max = 0",
            "account[0].outbox_max",
            "from 1",
        ),
        (
            "[[account]]\n",
            "outbox_ttl = \"0s\"",
            "account[0].outbox_ttl",
            "from \"1s\"",
        ),
        (
            "[[account]]\n",
            "senders = [\"*\"]",
            "account[0].senders[0]",
            "leave the list empty",
        ),
        (
            "[[carrier]]\n",
            "links = 65",
            "carrier.example.links",
            "from 1 to 64",
        ),
        (
            "[[carrier]]\n",
            "window = 0",
            "carrier.example.window",
            "from 1 to 10000",
        ),
        (
            "[[carrier]]\n",
            "binds = \"rx\"",
            "carrier.example.binds",
            "tx+rx",
        ),
        (
            "[[carrier]]\n",
            "local_address = \"::1\"",
            "carrier.example.addresses[0]",
            "for both",
        ),
        (
            "[[carrier]]\n",
            "local_address = \"127.0.0.1:1\"",
            "carrier.example.local_address",
            "without a port",
        ),
        (
            "[[carrier]]\n",
            "system_type = \"thirteen-char\"",
            "carrier.example.system_type",
            "at most 12",
        ),
        (
            "[[carrier]]\n",
            "address_range = \"^\u{e9}\"",
            "carrier.example.address_range",
            "ASCII",
        ),
        (
            "[[carrier]]\n",
            "addr_ton = 256",
            "carrier.example.addr_ton",
            "to 255",
        ),
        (
            "[[carrier]]\n",
            "interface_version = 3.4",
            "carrier.example.interface_version",
            "\"3.4\"",
        ),
        (
            "[[carrier]]\n",
            "interface_version = \"3.3\"",
            "carrier.example.interface_version",
            "tx+rx",
        ),
        (
            "[[carrier]]\n",
            "id_base.response = \"hex\"",
            "carrier.example.id_base",
            "both",
        ),
        (
            "[[carrier]]\n",
            "id_base = \"hex\"",
            "carrier.example.id_base",
            "table",
        ),
        (
            "[[carrier]]\n",
            "unanswered = \"retry\"",
            "carrier.example.unanswered",
            "\"resend\"",
        ),
        (
            "[[carrier]]\n",
            "default_validity = \"80h\"",
            "carrier.example.default_validity",
            "max_validity",
        ),
        (
            "[[carrier]]\n",
            "reconnect_min = \"2m\"",
            "carrier.example.reconnect_min",
            "at most reconnect_max",
        ),
        (
            "[[carrier]]\n",
            "retry_max = \"1s\"",
            "carrier.example.retry_max",
            "at most retry_max",
        ),
        (
            "[[carrier]]\n",
            "enquire_link = \"10s\"",
            "carrier.example.enquire_link",
            "less than",
        ),
        (
            "[[carrier]]\n",
            "password_file = \"p\"",
            "carrier.example.password_env",
            "keep",
        ),
        (
            "[[carrier]]\n",
            "country_rates = { AQ = 1 }",
            "carrier.example.country_rates.AQ",
            "numbers of its own; \"*\"",
        ),
        (
            "[[carrier]]\n",
            "country_rates = { FR = 1_000_001 }",
            "carrier.example.country_rates.FR",
            "to 1000000",
        ),
        (
            "[[carrier]]\n",
            "prices = \"\"",
            "carrier.example.prices",
            "name a file",
        ),
        (
            "[[route.mo]]\n",
            "carrier = \"nobody\"",
            "route.mo[0].carrier",
            "use one of: example",
        ),
    ];
    for (table, line, key, word) in cases {
        let opened = MINIMAL[..MINIMAL.find(table).unwrap()].lines().count() + 1;
        let text = MINIMAL.replace(table, &format!("{table}{line}\n"));
        let at = match key {
            // Said where the file sets a value, which for these stands elsewhere.
            "carrier.example.addresses[0]" => opened + 3,
            "carrier.example.password_env" => opened + 5,
            "storage.limit" if line.starts_with("reserve") => opened,
            _ => opened + 1,
        };
        one(&text, key, at, word);
    }
}

#[test]
fn required_values_that_are_wrong() {
    let cases = [
        (
            "data = \"./tidegate-data\"",
            "data = \"\"",
            "storage.data",
            "name a file or directory",
        ),
        (
            "key_ring = \"./tidegate-keys\"",
            "key_ring = \"tidegate-data/k\"",
            "storage.key_ring",
            "separate places",
        ),
        (
            "kek_file = \"./tidegate-kek/kek\"",
            "kek_file = \"./tidegate-keys/kek\"",
            "storage.kek_file",
            "inside `key_ring`",
        ),
        (
            "kek_file = \"./tidegate-kek/kek\"",
            "kek_file = \"./x/../tidegate-data/kek\"",
            "storage.kek_file",
            "inside `data`",
        ),
        (
            "address = \"127.0.0.1:2775\"",
            "address = \"localhost\"",
            "listen[0].address",
            "0.0.0.0:2775",
        ),
        (
            "system_id = \"example\"",
            "system_id = \"sixteen-letters-\"",
            "account[0].system_id",
            "at most 15",
        ),
        (
            "system_id = \"tidegate\"",
            "system_id = \"\"",
            "carrier.example.system_id",
            "1 to 15",
        ),
        (
            "addresses = [\"127.0.0.1:2900\"]",
            "addresses = []",
            "carrier.example.addresses",
            "1 to 16",
        ),
        (
            "addresses = [\"127.0.0.1:2900\"]",
            "addresses = [\"localhost:1\", \"b\"]",
            "carrier.example.addresses[1]",
            "host with a port",
        ),
        (
            "password_env = \"TIDEGATE_EXAMPLE_PASSWORD\"",
            "password_env = \"my secret\"",
            "carrier.example.password_env",
            "variable's name",
        ),
        (
            "prefix = \"\"",
            "prefix = \"+44\"",
            "route.mt[0].prefix",
            "without +",
        ),
        (
            "carriers = [\"example\"]",
            "carriers = [\"exmaple\"]",
            "route.mt[0].carriers[0]",
            "use one of: example",
        ),
        (
            "carriers = [\"example\"]",
            "carriers = [\"example\", \"example\"]",
            "route.mt[0].carriers[1]",
            "first place",
        ),
        (
            "prefix = \"\"",
            "order = 10_001\nprefix = \"\"",
            "route.mt[0].order",
            "0 to 10000",
        ),
        (
            "prefix = \"\"",
            "name = \"UK\"\nprefix = \"\"",
            "route.mt[0].name",
            "a-z",
        ),
        (
            "prefix = \"\"",
            "accounts = [\"exmaple\"]\nprefix = \"\"",
            "route.mt[0].accounts[0]",
            "use one of: example",
        ),
        (
            "prefix = \"\"",
            "senders = [\"*\"]\nprefix = \"\"",
            "route.mt[0].senders[0]",
            "1 to 20",
        ),
        (
            "prefix = \"\"",
            "sender_types = [\"long\"]\nprefix = \"\"",
            "route.mt[0].sender_types[0]",
            "\"alphanumeric\"",
        ),
        (
            "prefix = \"\"",
            "service_types = [\"sixsix\"]\nprefix = \"\"",
            "route.mt[0].service_types[0]",
            "up to 5",
        ),
        (
            "prefix = \"\"",
            "data_codings = [256]\nprefix = \"\"",
            "route.mt[0].data_codings[0]",
            "0 to 255",
        ),
        (
            "prefix = \"\"",
            "weights = [1, 2]\nprefix = \"\"",
            "route.mt[0].weights",
            "one for each",
        ),
        (
            "prefix = \"\"",
            "classes = [4]\nprefix = \"\"",
            "route.mt[0].classes[0]",
            "0 to 3",
        ),
        (
            "prefix = \"\"",
            "max_parts = 2\nmin_parts = 3\nprefix = \"\"",
            "route.mt[0].max_parts",
            "at most",
        ),
        (
            "prefix = \"\"",
            "days = [\"monday\"]\nprefix = \"\"",
            "route.mt[0].days[0]",
            "\"mon\"",
        ),
        (
            "prefix = \"\"",
            "hours = \"8-20\"\nprefix = \"\"",
            "route.mt[0].hours",
            "22:00-06:00",
        ),
        (
            "prefix = \"\"",
            "zone = \"London\"\nprefix = \"\"",
            "route.mt[0].zone",
            "Europe/London",
        ),
        (
            "prefix = \"\"",
            "countries = [\"UK\"]\nprefix = \"\"",
            "route.mt[0].countries[0]",
            "GB",
        ),
        (
            "prefix = \"\"",
            "networks = [\"23415\"]\nprefix = \"\"",
            "route.mt[0].networks",
            "[tables]",
        ),
        (
            "prefix = \"\"",
            "networks = [\"2341\"]\nprefix = \"\"",
            "route.mt[0].networks[0]",
            "23415",
        ),
        (
            "prefix = \"\"",
            "choose = \"least-cost\"\nprefix = \"\"",
            "route.mt[0].choose",
            "prices",
        ),
        (
            "prefix = \"\"",
            "weights = [1]\nchoose = \"least-cost\"\nprefix = \"\"",
            "route.mt[0].weights",
            "leave",
        ),
        (
            "prefix = \"\"",
            "max_price = 0.03\nprefix = \"\"",
            "route.mt[0].max_price",
            "prices",
        ),
        (
            "prefix = \"\"",
            "max_price = \"0.03\"\nprefix = \"\"",
            "route.mt[0].max_price",
            "without quotes",
        ),
        (
            "prefix = \"\"",
            "max_price = 1e-2\nprefix = \"\"",
            "route.mt[0].max_price",
            "0.0325",
        ),
        (
            "prefix = \"\"",
            "max_price = -1\nprefix = \"\"",
            "route.mt[0].max_price",
            "0.0325",
        ),
        (
            "prefix = \"\"",
            "up = [\"exmaple\"]\nprefix = \"\"",
            "route.mt[0].up[0]",
            "use one of: example",
        ),
        (
            "prefix = \"\"",
            "choose = \"random\"\nprefix = \"\"",
            "route.mt[0].choose",
            "\"round-robin\"",
        ),
        (
            "prefix = \"\"",
            "choose = \"weighted\"\nprefix = \"\"",
            "route.mt[0].choose",
            "one for each",
        ),
        (
            "prefix = \"\"",
            "weights = [1]\nchoose = \"round-robin\"\nprefix = \"\"",
            "route.mt[0].weights",
            "leave",
        ),
        (
            "number = \"*\"",
            "number = \"1*2\"",
            "route.mo[0].number",
            "at the end",
        ),
        (
            "account = \"example\"",
            "account = \"somebody\"",
            "route.mo[0].account",
            "[[account]]",
        ),
    ];
    for (line, new, key, word) in cases {
        let at = MINIMAL[..MINIMAL.find(line).unwrap()].lines().count() + 1;
        one(&with(line, new), key, at, word);
    }
}

#[test]
fn tables_that_do_not_fit_together() {
    let at = MINIMAL.lines().count();
    let with = |lines: &str| format!("{MINIMAL}[tables]\n{lines}\n");
    one(&with("ported = \"p.csv\""), "tables.ported", at + 2, "networks");
    one(&with("networks = 1"), "tables.networks", at + 2, "double quotes");
    one(
        &with("prices = \"p.csv\""),
        "tables.prices",
        at + 2,
        "[[carrier]]",
    );
    let config = crate::parse(&with("networks = \"n.csv\"\nported = \"p.csv\"")).unwrap();
    assert_eq!(config.tables.networks.as_deref(), Some("n.csv".as_ref()));
    assert_eq!(config.tables.ported.as_deref(), Some("p.csv".as_ref()));
}

#[test]
fn limits_out_of_bounds() {
    for (line, key, word) in [
        ("ban_min = \"2h\"", "limits.ban_min", "at most ban_max"),
        (
            "never_ban = [\"10.0.0.1/8\"]",
            "limits.never_ban[0]",
            "10.0.0.0/8",
        ),
        ("throttle_after = 0", "limits.throttle_after", "from 1"),
        (
            "throttle_hold = \"9s\"",
            "limits.throttle_hold",
            "at most throttle_hold_max",
        ),
        (
            "country_rates = { XX = 1 }",
            "limits.country_rates.XX",
            "ISO 3166",
        ),
    ] {
        let text = format!("{MINIMAL}[limits]\n{line}\n");
        one(&text, key, text.lines().count(), word);
    }
}
