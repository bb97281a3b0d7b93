//! The tables against naive ones, and what is told of broken files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Tables from the texts of files, with the problems that they have.
struct Files<'a> {
    networks: &'a str,
    ported: &'a str,
    prices: &'a str,
}

impl Files<'_> {
    fn load(&self) -> Result<Tables, TableProblems> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = tidegate_config::parse(include_str!("../../../config/bench.toml")).unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            (!text.is_empty()).then(|| fs::write(&file, text).map(|()| file).unwrap())
        };
        config.tables.networks = write("networks.csv", self.networks);
        config.tables.ported = write("ported.csv", self.ported);
        config.carriers[0].prices = write("prices.csv", self.prices);
        Tables::load(&config)
    }

    /// What is told, without the directory.
    fn told(&self) -> String {
        let problems = self.load().err().unwrap().to_string();
        let short = |line: &str| {
            let (key, rest) = line.split_once(": ").unwrap();
            let (file, what) = rest.split_once(": ").unwrap();
            assert_eq!(Path::new(file).extension().unwrap(), "csv");
            format!("{key}: {what}\n")
        };
        problems.lines().map(short).collect()
    }
}

const NETWORKS: &str = "prefix,from,to,network,country\n\
    44,,,23410,GB\n\
    4477,,,23415,GB\n\
    ,447700100,447700199,23433,GB\n\
    447700150,,,23420,GB\n\
    1,,,310410,US\n";
const CARRIER: CarrierIndex = CarrierIndex(0);

#[test]
fn the_most_specific_row_says_the_network_and_a_ported_number_goes_before() {
    let files = Files {
        networks: NETWORKS,
        ported: "number,network\n447700150123,310410\n447700900123,23410\n44770090012,23420\n",
        prices: "network,prefix,price\n23415,,0.03\n,44,0.05\n,4477009,0.0475\n,1,1\n310410,,0\n",
    };
    let tables = files.load().unwrap_or_else(|problems| panic!("{problems}"));
    let found = |digits: &str| {
        let found = tables.find(digits.as_bytes())?;
        let network = tables.network(found.network).unwrap();
        Some((
            network.mcc_mnc.to_string(),
            network.country.as_str(),
            found.source,
        ))
    };
    let prefix = |code: &str| Some((code.to_owned(), "GB", Source::Prefix));
    assert_eq!(found("44"), prefix("23410"));
    assert_eq!(found("447"), prefix("23410"));
    assert_eq!(found("+447700900124"), prefix("23415"));
    assert_eq!(found("4477001001"), prefix("23433"));
    assert_eq!(found("44770019"), prefix("23433"), "as a text it is in the range");
    assert_eq!(found("447700200000"), prefix("23415"));
    assert_eq!(found("447700150999"), prefix("23420"));
    assert_eq!(found("447700151000"), prefix("23433"));
    let ported = Some(("310410".to_owned(), "US", Source::Ported));
    assert_eq!(found("+447700150123"), ported);
    assert_eq!(found("447700900123").unwrap().2, Source::Ported);
    assert_eq!(found("44770090012").unwrap().2, Source::Ported);
    for none in ["", "4", "0447700900123", "33123", "Shop", "4477x"] {
        assert_eq!(found(none), None, "{none}");
    }
    assert_eq!(found("447700150123456789"), prefix("23420"));

    let price = |digits: &str| {
        let price = tables.price(CARRIER, tables.network_of(digits.as_bytes()), digits.as_bytes());
        price.map(|price| price.to_string())
    };
    assert_eq!(price("447700900124").as_deref(), Some("0.03"), "its network's");
    assert_eq!(
        price("447700900123").as_deref(),
        Some("0.0475"),
        "its network has none"
    );
    assert_eq!(price("447700150124").as_deref(), Some("0.05"));
    assert_eq!(price("447700150123").as_deref(), Some("0"));
    assert_eq!(price("33123"), None);
    assert_eq!(tables.price(CarrierIndex(7), None, b"44"), None);
    let sizes = [tables.networks_size(), tables.ported_size(), tables.prices_size()];
    assert_eq!(sizes.map(|size| size.rows), [5, 3, 5]);
    assert_eq!(
        tables.octets(),
        sizes.iter().map(|size| size.octets).sum::<usize>()
    );
}

#[test]
fn without_files_there_is_nothing_to_find() {
    let files = Files {
        networks: "",
        ported: "",
        prices: "prefix,price\n44,0.05\n",
    };
    let tables = files.load().unwrap();
    assert_eq!(tables.find(b"447700900123"), None);
    let price = tables.price(CARRIER, None, b"447700900123").unwrap();
    assert_eq!((price.to_string().as_str(), price.millionths()), ("0.05", 50_000));
    assert_eq!(Tables::default().find(b"447700900123"), None);
    assert_eq!(Tables::default().octets(), 0);
}

#[test]
fn a_broken_row_is_told_with_its_line_and_column() {
    let cases = [
        (
            "prefix,network\n44,23410\n",
            "line 1, country: the header does not have this column",
        ),
        (
            "from,network,country\n44,23410,GB\n",
            "line 1, to: the header does not have this column",
        ),
        (
            "prefix,network,country\n44,23410,GB\n4x,23410,GB\n",
            "line 3, prefix: no prefix: write",
        ),
        (
            "prefix,network,country\n044,23410,GB\n",
            "line 2, prefix: no prefix: write",
        ),
        (
            "prefix,network,country\n,23410,GB\n",
            "line 2, prefix: neither a prefix nor a range",
        ),
        (
            "prefix,network,country\n44,2341,GB\n",
            "line 2, network: no MCC and MNC",
        ),
        (
            "prefix,network,country\n44,23410,gb\n",
            "line 2, country: no country",
        ),
        (
            "prefix,network,country\n44,23410,GB\n#\n\n45,23410,DK\n",
            "line 5, country: another than line 2 has",
        ),
        (
            "prefix,network,country\n44,23410,GB\n33,20801,FR\n44,23415,GB\n",
            "line 4: the same numbers as in line 2",
        ),
        (
            "from,to,network,country\n4470,4480,23410,GB\n4480,4490,23415,GB\n",
            "line 3: overlaps line 2",
        ),
        (
            "from,to,network,country\n4470,4469,23410,GB\n",
            "line 2, to: less than `from`",
        ),
        (
            "from,to,network,country\n4470,44699,23410,GB\n",
            "line 2, to: not as many digits",
        ),
        (
            "prefix,from,to,network,country\n44,45,46,23410,GB\n",
            "line 2, prefix: a prefix and a range",
        ),
    ];
    for (networks, expected) in cases {
        let files = Files {
            networks,
            ported: "",
            prices: "",
        };
        let told = files.told();
        assert!(
            told.starts_with(&format!("tables.networks: {expected}")),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn all_files_are_told_of_at_once_and_no_number_is_repeated() {
    let files = Files {
        networks: NETWORKS,
        ported: "number,network\n447700900123,23410\n447700900124,26201\n44770090012x,23410\n0447700,2\n\
                 447700900123,23415\n447700900125,23410\n447700900123,23410\n",
        prices: "network,price\n23410,0.0000001\n26201,0.1\n23415,0.1\n23415,0.1\n23433,-1\n",
    };
    assert_eq!(
        files.told(),
        "tables.ported: line 3, network: not in `tables.networks`\n\
         tables.ported: line 4, number: no number: write up to 15 digits, the country code first\n\
         tables.ported: line 5, number: no number: write up to 15 digits, the country code first\n\
         tables.ported: line 5, network: no MCC and MNC: write 5 or 6 digits\n\
         tables.ported: line 6, number: the same number as in line 2\n\
         tables.ported: line 8, number: the same number as in line 2\n\
         carrier.sink.prices: line 2, price: no price: write a decimal such as 0.0325\n\
         carrier.sink.prices: line 3, network: not in `tables.networks`\n\
         carrier.sink.prices: line 5, network: priced in line 4 already\n\
         carrier.sink.prices: line 6, price: no price: write a decimal such as 0.0325\n"
    );
    let problems = format!("{:?}", files.load().err().unwrap());
    assert!(!problems.contains("4477009"), "{problems}");
}

#[test]
fn of_many_problems_the_first_are_told_and_the_rest_counted() {
    let rows = "4x,23410,GB\n".repeat(1_000);
    let broken = format!("prefix,network,country\n{rows}44,23410,GB\n");
    let files = Files {
        networks: &broken,
        ported: "number,network\n447700900123,23415\n",
        prices: "network,price\n23415,1\n",
    };
    let problems = files.load().err().unwrap();
    // Networks of broken rows are not said to be unknown.
    assert_eq!(problems.files().len(), 1);
    assert_eq!(
        (problems.files()[0].listed.len(), problems.files()[0].more),
        (PROBLEMS_MAX, 980)
    );
    assert!(files.told().ends_with("and 980 more\n"));
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let mut config = tidegate_config::parse(include_str!("../../../config/bench.toml")).unwrap();
    config.tables.networks = Some("nowhere/networks.csv".into());
    config.tables.ported = Some("nowhere/ported.csv".into());
    let problems = Tables::load(&config).err().unwrap().to_string();
    assert!(
        problems.contains("tables.networks: nowhere/networks.csv: cannot be read"),
        "{problems}"
    );
    assert!(
        problems.contains("tables.ported: nowhere/ported.csv: cannot be read"),
        "{problems}"
    );
}

#[test]
fn prices_are_read_exactly_or_not_at_all() {
    for (text, written) in [
        ("0", "0"),
        ("12.50", "12.5"),
        ("0.000001", "0.000001"),
        ("999999.999999", ""),
    ] {
        let price = Price::parse(text.as_bytes()).unwrap();
        assert_eq!(price.to_string(), if written.is_empty() { text } else { written });
    }
    for none in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "0.0000001",
        "1234567",
        " 1",
        "1.2.3",
        "１",
    ] {
        assert_eq!(Price::parse(none.as_bytes()), None, "{none}");
    }
}

/// A row of networks: the first and last beginning that it holds for.
type Row = (String, String);

/// Digits of few kinds, so that they meet.
fn digits(most: usize) -> impl Strategy<Value = String> {
    let digit = prop_oneof![Just('0'), Just('1'), Just('5'), Just('9')];
    (
        prop_oneof![Just('1'), Just('9')],
        prop::collection::vec(digit, 0..most),
    )
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect())
}

fn row() -> impl Strategy<Value = Row> {
    let range = (digits(4), digits(4)).prop_map(|(one, other)| {
        let width = one.len().min(other.len());
        let (one, other) = (one[..width].to_owned(), other[..width].to_owned());
        if one < other { (one, other) } else { (other, one) }
    });
    prop_oneof![3 => digits(5).prop_map(|prefix| (prefix.clone(), prefix)), 1 => range]
}

/// As a text the number is not before the row's first beginning, and its own beginning not after the last.
fn holds(row: &Row, number: &str) -> bool {
    number >= row.0.as_str() && number[..number.len().min(row.1.len())] <= *row.1
}

/// Whether all that one row holds for is held by the other, too. Numbers in the rows are short: all
/// beginnings of a few digits more tell.
fn probes() -> Vec<String> {
    let mut probes = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..6 {
        probes = probes
            .iter()
            .flat_map(|text| "0159".chars().map(move |digit| format!("{text}{digit}")))
            .collect();
        all.extend(probes.iter().filter(|text| !text.starts_with('0')).cloned());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn networks_are_those_of_a_naive_table(rows in prop::collection::vec(row(), 1..14)) {
        let probes = probes();
        // Rows that overlap without nesting, or are the same, are left out as the loading would refuse them.
        let mut kept: Vec<(Row, Vec<bool>)> = Vec::new();
        for row in rows {
            let held: Vec<bool> = probes.iter().map(|number| holds(&row, number)).collect();
            let fits = kept.iter().all(|(_, other)| {
                let both = || held.iter().zip(other);
                let apart = both().all(|(one, other)| !(*one && *other));
                let within = both().all(|(one, other)| !*one || *other);
                let around = both().all(|(one, other)| *one || !*other);
                apart || within != around
            });
            if fits {
                kept.push((row, held));
            }
        }
        let mut text = "prefix,from,to,network,country\n".to_owned();
        for (index, ((from, to), _)) in kept.iter().enumerate() {
            text += &match from == to {
                true => format!("{from},,,{},GB\n", 10_000 + index),
                false => format!(",{from},{to},{},GB\n", 10_000 + index),
            };
        }
        let files = Files { networks: &text, ported: "", prices: "" };
        let tables = files.load().unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let extents: Vec<usize> = kept.iter().map(|(_, held)| held.iter().filter(|held| **held).count()).collect();
        for (at, number) in probes.iter().enumerate() {
            let holding = kept.iter().zip(&extents).enumerate().filter(|(_, ((_, held), _))| held[at]);
            let innermost = holding.min_by_key(|(_, (_, extent))| **extent);
            let expected = innermost.map(|(index, _)| (10_000 + index).to_string());
            let found = tables.network_of(number.as_bytes());
            let found = found.map(|index| tables.network(index).unwrap().mcc_mnc.to_string());
            prop_assert_eq!(found, expected, "{}\n{}", number, text);
        }
    }

    #[test]
    fn ported_numbers_are_those_of_a_map(
        rows in prop::collection::hash_map("[1-9][0-9]{0,2}|[1-9][0-9]{9,14}", 0..3_usize, 0..200),
        others in prop::collection::vec("[0-9]{1,16}", 50),
    ) {
        let codes = ["23410", "23415", "310410"];
        let text: String = rows.iter().map(|(number, code)| format!("{number},{}\n", codes[*code])).collect();
        let files = Files { networks: NETWORKS, ported: &format!("number,network\n{text}"), prices: "" };
        let tables = files.load().unwrap_or_else(|problems| panic!("{problems}"));
        prop_assert_eq!(tables.ported_size().rows, rows.len() as u64);
        let longer = rows.keys().map(|number| format!("{number}0"));
        let padded = rows.keys().map(|number| format!("0{number}"));
        for number in rows.keys().cloned().chain(others).chain(longer).chain(padded) {
            let found = tables.find(number.as_bytes()).filter(|found| found.source == Source::Ported);
            let found = found.map(|found| tables.network(found.network).unwrap().mcc_mnc.to_string());
            prop_assert_eq!(found, rows.get(&number).map(|code| codes[*code].to_owned()), "{}", number);
        }
    }

    #[test]
    fn prices_are_those_of_the_longest_prefix(
        rows in prop::collection::hash_map("[1-3]{1,5}", 0..1_000_000_u64, 1..40),
        asked in prop::collection::vec("[1-3]{1,8}", 50),
    ) {
        let text: String = rows
            .iter()
            .map(|(prefix, price)| format!("{prefix},{}.{:06}\n", price / 1_000, price % 1_000))
            .collect();
        let files = Files { networks: "", ported: "", prices: &format!("prefix,price\n{text}") };
        let tables = files.load().unwrap_or_else(|problems| panic!("{problems}"));
        for number in asked.iter().chain(rows.keys()) {
            let longest = (1..=number.len()).rev().find_map(|length| rows.get(&number[..length]));
            let expected = longest.map(|price| price / 1_000 * 1_000_000 + price % 1_000);
            let found = tables.price(CARRIER, None, number.as_bytes()).map(Price::millionths);
            prop_assert_eq!(found, expected, "{}", number);
        }
    }

    #[test]
    fn whatever_stands_in_a_file_loading_returns(
        networks in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec("[0-9a-z,\"#\r\n ]{0,12}", 0..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = tidegate_config::parse(include_str!("../../../config/bench.toml")).unwrap();
        let file = |name: &str, text: &[u8]| {
            let file = dir.path().join(name);
            fs::write(&file, text).map(|()| file).unwrap()
        };
        let spoilt = format!("number,network\n{}", pieces.concat());
        config.tables.networks = Some(file("networks.csv", &networks));
        config.tables.ported = Some(file("ported.csv", spoilt.as_bytes()));
        if let Err(problems) = Tables::load(&config) {
            prop_assert!(problems.files().iter().all(|file| !file.listed.is_empty()));
        }
    }
}
