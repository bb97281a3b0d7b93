//! What the router does with a message, route by route.

use tidegate_codec::address::Ton;
use tidegate_codec::identity::SystemId;
use tidegate_codec::values::DataCoding;
use tidegate_store::service_type::ServiceType;

use std::io::Write as _;
use std::sync::LazyLock;

use super::{CarrierIndex, Facts, KeptOut, LOTS, MtRouter, Place, Tried, Why, World, lot_of_part};
use crate::tables::Tables;

/// Routes over carriers `a` to `d`.
fn router(routes: &str) -> MtRouter {
    router_with("", routes)
}

/// The same with `b` and `d` in clear text, and an account `strict` that asks for TLS 1.3.
fn guarded(routes: &str) -> MtRouter {
    let bench = include_str!("../../../config/bench.toml");
    let hash = bench.lines().find(|line| line.contains("$argon2id$")).unwrap();
    let account = format!(
        "[[account]]\nsystem_id = \"strict\"\n{hash}\ncategory = \"transactional\"\nmin_transport = \"tls1.3\"\n\
         transport_exception = {{ min_transport = \"clear\", name = \"a while\", until = 2999-12-31 }}\n"
    );
    router_with(&account, routes)
}

fn router_with(account: &str, routes: &str) -> MtRouter {
    let excepted = |name: &str| match name {
        "b" | "d" if !account.is_empty() => "clear_text = { name = \"a line\", until = 2999-12-31 }\n",
        _ => "",
    };
    let carriers: String = ["a", "b", "c", "d"]
        .map(|name| format!("{}prices = \"p.csv\"\n{}", carrier(name), excepted(name)))
        .concat();
    let base = include_str!("../../../config/bench.toml")
        .replace("[[route.mt]]\nprefix = \"\"\ncarriers = [\"sink\"]\n", "");
    let text = format!("{base}\n[tables]\nnetworks = \"n.csv\"\n{account}{carriers}{routes}");
    let mut config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let index = |name: &str| ["a", "b", "c", "d"].iter().position(|known| *known == name);
    let mut router = MtRouter::new(&config.mt_routes, |name| index(name).map(CarrierIndex));
    // Those of the test stand behind that of the bench.
    config
        .carriers
        .retain(|carrier| index(carrier.name.as_str()).is_some());
    router.keep_out(KeptOut::of(&config));
    router.set_time(0);
    router
}

fn carrier(name: &str) -> String {
    format!(
        "[[carrier]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:1\"]\nsystem_id = \"t\"\npassword_env = \"P\"\n"
    )
}

fn route(keys: &str) -> String {
    format!("[[route.mt]]\n{}\n", keys.replace("; ", "\n"))
}

const FACTS: Facts<'static> = Facts {
    account: None,
    source_ton: Ton::ALPHANUMERIC,
    source: b"Shop",
    destination_ton: Ton::UNKNOWN,
    destination: b"447700900123",
    service_type: ServiceType::DEFAULT,
    data_coding: DataCoding(0),
    category: None,
    place: None,
    parts: 1,
    lot: 0,
};

static NO_TABLES: LazyLock<Tables> = LazyLock::new(Tables::default);

/// Every carrier is up, and there are no tables.
fn all() -> World<'static, fn(CarrierIndex) -> bool> {
    World {
        is_up: |_| true,
        tables: &NO_TABLES,
    }
}

fn to(destination: &[u8]) -> Facts<'_> {
    Facts { destination, ..FACTS }
}

fn first(router: &MtRouter, facts: &Facts<'_>) -> Option<usize> {
    router.find(facts, &all()).first().map(|carrier| carrier.0)
}

#[test]
fn the_longest_prefix_wins_and_the_empty_one_takes_the_rest() {
    let long = route("prefix = \"4477\"; carriers = [\"b\"]");
    let only = router(&long);
    let both = router(&format!("{}{long}", route("prefix = \"\"; carriers = [\"a\"]")));
    for (destination, with, without) in [
        (&b"447700900123"[..], Some(1), Some(1)),
        (b"+447700900123", Some(1), Some(1)),
        (b"4477", Some(1), Some(1)),
        (b"447", Some(0), None),
        (b"45770", Some(0), None),
        (b"44a77", Some(0), None),
        (b"", Some(0), None),
    ] {
        assert_eq!(first(&both, &to(destination)), with, "{destination:?}");
        assert_eq!(first(&only, &to(destination)), without, "{destination:?}");
    }
}

#[test]
fn a_lower_order_is_asked_before_a_longer_prefix() {
    let routes = [
        route("prefix = \"447700\"; carriers = [\"a\"]"),
        route("order = 99; prefix = \"44\"; carriers = [\"b\"]"),
        route("order = 101; prefix = \"447700900123\"; carriers = [\"c\"]"),
    ];
    let router = router(&routes.concat());
    assert_eq!(first(&router, &to(b"447700900123")), Some(1));
    assert_eq!(first(&router, &to(b"33")), None);
}

#[test]
fn each_condition_lets_by_what_it_does_not_mean() {
    let account = SystemId::new(b"load").unwrap();
    let met = Facts {
        account: Some(account),
        source_ton: Ton::INTERNATIONAL,
        source: b"447700900999",
        service_type: ServiceType::new(b"OTP").unwrap(),
        data_coding: DataCoding(0x18),
        parts: 3,
        ..FACTS
    };
    for (condition, why) in [
        ("accounts = [\"load\"]", Why::Account),
        ("senders = [\"4477009009*\"]", Why::Sender),
        ("sender_types = [\"number\"]", Why::SenderType),
        ("service_types = [\"OTP\"]", Why::ServiceType),
        ("data_codings = [0x18]", Why::DataCoding),
        ("classes = [0]", Why::Class),
        ("min_parts = 3", Why::Parts),
    ] {
        let rest = route("prefix = \"\"; carriers = [\"a\"]");
        let one = route(&format!("{condition}; prefix = \"44\"; carriers = [\"b\"]"));
        let router = router(&format!("{rest}{one}"));
        assert_eq!(first(&router, &met), Some(1), "{condition}");
        assert_eq!(first(&router, &FACTS), Some(0), "{condition}");
        let takes = |route| Tried {
            route,
            why: Why::Takes,
        };
        let tried = router.explain(&FACTS, &all());
        assert_eq!(tried, [Tried { route: 1, why }, takes(0)], "{condition}");
        let behind = Tried {
            route: 0,
            why: Why::Behind,
        };
        assert_eq!(router.explain(&met, &all()), [takes(1), behind], "{condition}");
        let elsewhere = router.explain(
            &Facts {
                destination: b"33",
                ..met
            },
            &all(),
        );
        assert_eq!(elsewhere[0].why, Why::Prefix, "{condition}");
    }
}

#[test]
fn of_the_same_prefix_the_first_that_holds_takes_it() {
    let routes = [
        route("senders = [\"Bank*\"]; prefix = \"44\"; carriers = [\"a\"]"),
        route("senders = [\"S*\"]; prefix = \"44\"; carriers = [\"b\"]"),
        route("prefix = \"44\"; carriers = [\"c\"]"),
    ];
    let router = router(&routes.concat());
    assert_eq!(first(&router, &FACTS), Some(1));
    let other = Facts {
        source: b"X",
        ..FACTS
    };
    assert_eq!(first(&router, &other), Some(2));
}

#[test]
fn weights_share_recipients_out_and_one_recipient_always_goes_the_same_way() {
    let router = router(&route(
        "prefix = \"\"; carriers = [\"a\", \"b\", \"c\"]; weights = [6, 3, 1]",
    ));
    let mut counts = [0_i32; 3];
    for number in 0..10_000 {
        let plain = format!("44770{number:07}");
        let way = router.find(&to(plain.as_bytes()), &all());
        let order: Vec<usize> = way.in_order(0).map(|carrier| carrier.0).collect();
        counts[order[0]] += 1;
        // Those behind it in the list stand by, then those in front of it.
        assert_eq!(order[1..], [(order[0] + 1) % 3, (order[0] + 2) % 3]);
        let again: Vec<usize> = way.in_order(1).map(|carrier| carrier.0).collect();
        assert_eq!(again[0], order[1]);
        let plus = format!("+{plain}");
        assert_eq!(router.find(&to(plus.as_bytes()), &all()), way);
    }
    for (count, expected) in counts.into_iter().zip([6_000, 3_000, 1_000]) {
        assert!((count - expected).abs() < 200, "{counts:?}");
    }
}

#[test]
fn carriers_that_take_turns_take_all_parts_of_a_message_together() {
    let router = router(&route(
        "prefix = \"\"; carriers = [\"a\", \"b\", \"c\"]; choose = \"round-robin\"",
    ));
    let way = |lot| {
        let way = router.find(&Facts { lot, ..FACTS }, &all());
        way.in_order(0).map(|carrier| carrier.0).collect::<Vec<_>>()
    };
    assert_eq!(
        [way(0), way(1), way(2), way(3)],
        [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    );
    // Each route counts for itself, and goes round at the end of the lots as well.
    let mut two = self::router(
        &[
            route("prefix = \"1\"; carriers = [\"a\"]"),
            route("prefix = \"2\"; carriers = [\"a\"]"),
        ]
        .concat(),
    );
    let turns: Vec<u8> = (0..=LOTS).map(|_| two.take_turn(1)).collect();
    assert_eq!((turns[0], turns[1], turns[239], turns[240]), (0, 1, LOTS - 1, 0));
    assert_eq!((two.turns()[0], two.take_turn(0), two.turns()[0]), (0, 0, 1));
    assert_eq!(usize::from(LOTS) % 3, 0);
    let number = b"447700900123";
    assert_eq!(lot_of_part(number, 7), lot_of_part(b"+447700900123", 7));
    let lots: std::collections::BTreeSet<u8> =
        (0..200).map(|reference| lot_of_part(number, reference)).collect();
    assert!(lots.len() > 90 && lots.iter().all(|lot| *lot < LOTS), "{lots:?}");
}

#[test]
fn a_route_is_open_at_its_hours_only() {
    let open = route("hours = \"08:00-20:00\"; prefix = \"\"; order = 1; carriers = [\"a\"]");
    let mut router = router(&format!("{open}{}", route("prefix = \"\"; carriers = [\"b\"]")));
    let hour = 3_600_000;
    for (at, carrier) in [
        (8 * hour - 1, 1),
        (8 * hour, 0),
        (20 * hour - 1, 0),
        (20 * hour, 1),
        (32 * hour, 0),
    ] {
        router.set_time(at);
        assert_eq!(first(&router, &FACTS), Some(carrier), "{at}");
    }
    router.set_time(0);
    assert_eq!(router.explain(&FACTS, &all())[0].why, Why::Closed);
}

#[test]
fn a_route_may_ask_for_the_state_of_other_carriers() {
    let routes = [
        route("down = [\"b\"]; order = 1; prefix = \"\"; carriers = [\"a\"]"),
        route("up = [\"b\", \"d\"]; order = 2; prefix = \"\"; carriers = [\"b\"]"),
        route("prefix = \"\"; carriers = [\"c\"]"),
    ];
    let router = router(&routes.concat());
    for (up, carrier) in [(&[1, 3][..], 1), (&[1], 2), (&[3], 0), (&[], 0)] {
        let world = World {
            is_up: |carrier: CarrierIndex| up.contains(&carrier.0),
            tables: &NO_TABLES,
        };
        assert_eq!(
            router.find(&FACTS, &world).first(),
            Some(CarrierIndex(carrier)),
            "{up:?}"
        );
    }
    assert!(router.asks_for(CarrierIndex(1)) && router.asks_for(CarrierIndex(3)));
    assert!(!router.asks_for(CarrierIndex(0)) && !router.asks_for(CarrierIndex(2)));
}

#[test]
fn two_carriers_of_any_one_route_share_it() {
    let routes = [
        route("prefix = \"44\"; carriers = [\"a\", \"b\"]"),
        route("prefix = \"\"; carriers = [\"b\", \"c\"]"),
    ];
    let router = router(&routes.concat());
    let share = |one, other| router.share_a_route(CarrierIndex(one), CarrierIndex(other));
    assert!(share(0, 1) && share(2, 1) && !share(0, 2));
}

/// Tables of two British networks, one ported number, and prices of the carriers a to c.
fn tables() -> (tempfile::TempDir, Tables) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        path.display().to_string()
    };
    let networks = file(
        "networks",
        "prefix,network,country\n4477,23415,GB\n4478,23410,GB\n49151,26201,DE\n",
    );
    let ported = file("ported", "number,network\n447700900123,23410\n");
    let prices = [
        file("a", "network,prefix,price\n23415,,0.03\n,44,0.05\n"),
        file("b", "network,prefix,price\n,44,0.04\n"),
        file("c", "network,prefix,price\n23410,,0.01\n"),
    ];
    let base = include_str!("../../../config/bench.toml")
        .replace("[[route.mt]]\nprefix = \"\"\ncarriers = [\"sink\"]\n", "");
    let carriers: String = ["a", "b", "c"]
        .iter()
        .zip(prices)
        .map(|(name, prices)| format!("{}prices = \"{prices}\"\n", carrier(name)))
        .collect();
    let base = base.replace("[[carrier]]", &format!("{carriers}[[carrier]]"));
    let route = "[[route.mt]]\nprefix = \"\"\ncarriers = [\"a\"]\n";
    let text = format!("{base}\n[tables]\nnetworks = \"{networks}\"\nported = \"{ported}\"\n{route}");
    let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let tables = Tables::load(&config).unwrap_or_else(|problems| panic!("{problems}"));
    (dir, tables)
}

#[test]
fn the_cheapest_carrier_for_the_recipients_network_comes_first_and_who_has_no_price_last() {
    let (_dir, tables) = tables();
    let world = World {
        is_up: |_| true,
        tables: &tables,
    };
    let router = router(&route(
        "prefix = \"\"; carriers = [\"d\", \"a\", \"b\", \"c\"]; choose = \"least-cost\"",
    ));
    for (destination, order) in [
        (&b"447700900999"[..], [0, 1, 3, 2]),
        // Ported: a pays by the prefix now.
        (b"+447700900123", [2, 1, 0, 3]),
        (b"447900900123", [1, 0, 3, 2]),
        (b"33700000000", [3, 0, 1, 2]),
    ] {
        let way = router.find(&to(destination), &world);
        let found: Vec<usize> = way.in_order(0).map(|carrier| carrier.0).collect();
        assert_eq!(found, order, "{destination:?}");
        let after_two: Vec<usize> = way.in_order(2).map(|carrier| carrier.0).collect();
        assert_eq!(
            after_two,
            [order[2], order[3], order[0], order[1]],
            "{destination:?}"
        );
    }
}

#[test]
fn a_route_with_a_most_takes_no_dearer_carrier_however_it_chooses_and_after_no_failure() {
    let (_dir, tables) = tables();
    let world = World {
        is_up: |_| true,
        tables: &tables,
    };
    let all = "prefix = \"\"; carriers = [\"d\", \"a\", \"b\", \"c\"]";
    let (here, ported) = (&b"447700900999"[..], &b"+447700900123"[..]);
    let prices: Vec<_> = [here, ported]
        .iter()
        .map(|number| {
            let there = Place::of(&tables, Ton::UNKNOWN, number);
            [0, 1, 2, 3].map(|carrier| {
                let price = tables.price(CarrierIndex(carrier), there.index, number);
                price.map_or("none".to_owned(), |price| price.to_string())
            })
        })
        .collect();
    let relied_on = [["0.03", "0.04", "none", "none"], ["0.05", "0.04", "0.01", "none"]];
    assert_eq!(prices, relied_on);
    for (keys, number, order) in [
        // The list's order, but for those that are too dear.
        ("max_price = 0.04", here, &[0, 1][..]),
        ("max_price = 0.04", ported, &[1, 2]),
        ("max_price = 0.039999", here, &[0]),
        ("max_price = 9", here, &[0, 1]),
        ("max_price = 0.04; choose = \"least-cost\"", ported, &[2, 1]),
        ("max_price = 0.04; choose = \"round-robin\"", ported, &[1, 2]),
        (
            "max_price = 0.04; weights = [1000, 1000, 1, 1000]",
            ported,
            &[2, 1],
        ),
    ] {
        let router = router(&route(&format!("{keys}; {all}")));
        let way = router.find(&to(number), &world);
        for attempts in 0..5 {
            let found: Vec<usize> = way.in_order(attempts).map(|carrier| carrier.0).collect();
            let mut turned = order.to_vec();
            turned.rotate_left(usize::from(attempts) % order.len());
            assert_eq!(found, turned, "{keys} after {attempts}");
        }
    }
    // Turns are of those that are left, and so are shares.
    let taking_turns = router(&route(&format!(
        "max_price = 0.04; choose = \"round-robin\"; {all}"
    )));
    for (lot, first) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        let facts = Facts { lot, ..to(ported) };
        assert_eq!(
            taking_turns.find(&facts, &world).first(),
            Some(CarrierIndex(first))
        );
    }
    // Without such a carrier the next route is asked.
    let routes = [
        route(&format!("order = 1; max_price = 0.01; {all}")),
        route("prefix = \"\"; carriers = [\"d\"]"),
    ];
    let both = router(&routes.concat());
    for (number, first, why) in [
        (here, 3, Why::Price),
        (ported, 2, Why::Takes),
        (b"33700000000", 3, Why::Price),
        (b"60777", 3, Why::Price),
    ] {
        assert_eq!(both.find(&to(number), &world).first(), Some(CarrierIndex(first)));
        assert_eq!(both.explain(&to(number), &world)[0].why, why);
    }
}

#[test]
fn a_route_may_ask_where_the_recipient_is() {
    let (_dir, tables) = tables();
    let world = World {
        is_up: |_| true,
        tables: &tables,
    };
    let routes = [
        route("order = 1; prefix = \"\"; networks = [\"23410\", \"262\"]; carriers = [\"a\"]"),
        route("order = 2; prefix = \"\"; countries = [\"GB\", \"US\"]; carriers = [\"b\"]"),
        route("prefix = \"\"; carriers = [\"c\"]"),
    ];
    let router = router(&routes.concat());
    for (destination, carrier) in [
        // Ported there, there by its prefix, and by its MCC alone.
        (&b"447700900123"[..], 0),
        (b"447800900123", 0),
        (b"4915112345678", 0),
        // By its network's row; by its country code, of which Canada has a part.
        (b"447700900999", 1),
        (b"442079460000", 1),
        (b"12125550123", 1),
        (b"14165550123", 2),
        (b"33700000000", 2),
        (b"60777", 2),
        // A short code that begins like a number.
        (b"44780", 2),
    ] {
        let found = router.find(&to(destination), &world).first();
        assert_eq!(found, Some(CarrierIndex(carrier)), "{destination:?}");
    }
    let why = |destination| router.explain(&to(destination), &world)[0].why;
    assert_eq!(
        (why(b"33700000000"), why(b"447700900123")),
        (Why::Network, Why::Takes)
    );
}

fn strict(destination: &[u8]) -> Facts<'_> {
    Facts {
        account: Some("strict".parse().unwrap()),
        ..to(destination)
    }
}

fn order(way: super::Way<'_>, attempts: u16) -> Vec<usize> {
    way.in_order(attempts).map(|carrier| carrier.0).collect()
}

#[test]
fn an_account_that_asks_for_tls_1_3_finds_no_carrier_in_clear_text_whatever_the_route() {
    let router = guarded(
        &[
            route("prefix = \"\"; carriers = [\"d\", \"a\", \"b\", \"c\"]"),
            route("prefix = \"33\"; carriers = [\"b\", \"d\"]"),
            route("prefix = \"49\"; carriers = [\"b\", \"c\", \"a\"]; choose = \"round-robin\""),
            route("prefix = \"39\"; carriers = [\"b\", \"d\"]; min_parts = 1"),
        ]
        .concat(),
    );
    let find = |facts: &Facts<'_>, attempts| order(router.find(facts, &all()), attempts);
    assert_eq!(find(&to(b"447700900123"), 0), [3, 0, 1, 2]);
    assert_eq!(find(&strict(b"447700900123"), 0), [0, 2]);
    // However often it has failed.
    assert_eq!(find(&strict(b"447700900123"), 1), [2, 0]);
    // A route without another carrier is passed over.
    assert_eq!(find(&to(b"33600000000"), 0), [1, 3]);
    for destination in [&b"33600000000"[..], b"39300000000"] {
        assert_eq!(find(&strict(destination), 0), [0, 2]);
        let tried = router.explain(&strict(destination), &all());
        let near: Vec<Why> = tried
            .iter()
            .map(|tried| tried.why)
            .filter(|why| *why != Why::Prefix)
            .collect();
        assert_eq!(near, [Why::ClearText, Why::Takes]);
    }
    for (lot, expected) in [(0, [2, 0]), (1, [0, 2]), (2, [2, 0])] {
        let facts = Facts {
            lot,
            ..strict(b"491700000001")
        };
        assert_eq!(find(&facts, 0), expected, "{lot}");
    }
    let kept_out = router.kept_out();
    let of = |account: &str, carrier| kept_out.keeps(account.parse().ok(), CarrierIndex(carrier));
    assert!(of("strict", 1) && of("strict", 3) && !of("strict", 0) && !of("load", 1));
}

#[test]
fn an_account_that_asks_for_tls_1_3_shares_and_pays_among_the_other_carriers_only() {
    let (_dir, tables) = tables();
    let world = World {
        is_up: |_| true,
        tables: &tables,
    };
    let router = guarded(
        &[
            route("prefix = \"4477\"; carriers = [\"d\", \"a\", \"b\", \"c\"]; choose = \"least-cost\""),
            route("prefix = \"491\"; carriers = [\"b\", \"a\", \"c\"]; weights = [90, 5, 5]"),
        ]
        .concat(),
    );
    let all_of = order(router.find(&to(b"447700900123"), &world), 0);
    let kept: Vec<usize> = all_of
        .iter()
        .copied()
        .filter(|place| [0, 2].contains(place))
        .collect();
    assert_eq!(order(router.find(&strict(b"447700900123"), &world), 0), kept);
    let mut counts = [0; 4];
    for number in 0..1_000 {
        let destination = format!("4917{number:07}");
        let way = router.find(&strict(destination.as_bytes()), &world);
        counts[way.first().unwrap().0] += 1;
    }
    assert!(counts[1] == 0 && counts[0] > 400 && counts[2] > 400, "{counts:?}");
}
