//! Whose a handset's message is, and which bind gets it.

use std::num::NonZeroU32;

use tidegate_codec::identity::SystemId;
use tidegate_store::record::Sink;

use super::{MoFacts, MoRouter, MoWhy, bind_tag};

const HOUR: u64 = 3_600_000;

fn router(routes: &str) -> MoRouter {
    let base = include_str!("../../../config/bench.toml");
    let config = tidegate_config::parse(&format!("{base}\n{routes}"));
    let mut router = MoRouter::new(&config.unwrap_or_else(|problems| panic!("{problems}")));
    router.set_time(12 * HOUR);
    router
}

fn route(keys: &str) -> String {
    format!("[[route.mo]]\n{}\n", keys.replace("; ", "\n"))
}

fn rule(keys: &str) -> String {
    format!("[[instructions.rule]]\n{}\n", keys.replace("; ", "\n"))
}

const FACTS: MoFacts<'static> = MoFacts {
    carrier: "sink",
    called: b"447700900123",
    sender: b"447700900999",
    word: "pizza",
};

fn account(router: &MoRouter, facts: &MoFacts<'_>) -> Option<String> {
    router.find(facts).map(|way| way.account.to_string())
}

#[test]
fn a_called_number_belongs_to_the_most_specific_route() {
    let router = router(
        &[
            "number = \"4477*\"; account = \"load1\"",
            "number = \"447700900123\"; account = \"load2\"",
            "number = \"4477*\"; carrier = \"sink\"; account = \"load3\"",
        ]
        .map(route)
        .concat(),
    );
    let account = |carrier, called| {
        account(
            &router,
            &MoFacts {
                carrier,
                called,
                ..FACTS
            },
        )
    };
    assert_eq!(account("sink", b"447700900123").as_deref(), Some("load2"));
    assert_eq!(account("sink", b"+447700900124").as_deref(), Some("load3"));
    assert_eq!(account("other", b"447700900124").as_deref(), Some("load1"));
    assert_eq!(account("sink", b"33123"), None);
    assert_eq!(account("sink", b""), None);
    assert!(!router.asks_for_words());
}

#[test]
fn each_place_of_the_precedence_holds_against_the_next() {
    // The first takes it from the second, whichever stands first in the file.
    for (before, behind) in [
        (
            "order = 99; number = \"*\"; senders = [\"44*\"]",
            "number = \"447700900123\"",
        ),
        (
            "number = \"447700900123\"",
            "number = \"4477*\"; carrier = \"sink\"",
        ),
        ("number = \"4477*\"", "number = \"447*\"; carrier = \"sink\""),
        (
            "number = \"4477*\"; carrier = \"sink\"",
            "number = \"4477*\"; keywords = [\"pizza\"]",
        ),
        (
            "number = \"44*\"; keywords = [\"pizza\"]",
            "number = \"44*\"; senders = [\"44*\"]",
        ),
        (
            "number = \"44*\"; senders = [\"44*\"]",
            "number = \"44*\"; hours = \"08:00-20:00\"",
        ),
        ("number = \"44*\"; hours = \"08:00-20:00\"", "number = \"44*\""),
    ] {
        let (first, second) = (
            route(&format!("account = \"load1\"; {before}")),
            route(&format!("account = \"load2\"; {behind}")),
        );
        for text in [format!("{first}{second}"), format!("{second}{first}")] {
            let router = router(&text);
            assert_eq!(
                account(&router, &FACTS).as_deref(),
                Some("load1"),
                "{before} | {behind}"
            );
        }
    }
    let tie = ["load1", "load2"].map(|name| {
        route(&format!(
            "account = \"{name}\"; number = \"44*\"; senders = [\"{}*\"]",
            if name == "load1" { "44" } else { "447" }
        ))
    });
    assert_eq!(account(&router(&tie.concat()), &FACTS).as_deref(), Some("load1"));
}

#[test]
fn a_condition_lets_by_what_it_does_not_mean() {
    for (condition, other, why) in [
        (
            "keywords = [\"taxi\", \"Pizza\"]",
            MoFacts {
                word: "pizzas",
                ..FACTS
            },
            MoWhy::Keyword,
        ),
        (
            "keywords = [\"pizza\"]",
            MoFacts { word: "", ..FACTS },
            MoWhy::Keyword,
        ),
        (
            "senders = [\"4477009*\"]",
            MoFacts {
                sender: b"+4477008",
                ..FACTS
            },
            MoWhy::Sender,
        ),
        (
            "carrier = \"sink\"",
            MoFacts {
                carrier: "other",
                ..FACTS
            },
            MoWhy::Carrier,
        ),
        (
            "number = \"4477*\"",
            MoFacts {
                called: b"4478",
                ..FACTS
            },
            MoWhy::Number,
        ),
    ] {
        let number = if condition.starts_with("number") {
            ""
        } else {
            "number = \"44*\"; "
        };
        let rest = route("number = \"*\"; account = \"load1\"");
        let router = router(&format!(
            "{rest}{}",
            route(&format!("account = \"load2\"; {number}{condition}"))
        ));
        assert_eq!(account(&router, &FACTS).as_deref(), Some("load2"), "{condition}");
        assert_eq!(account(&router, &other).as_deref(), Some("load1"), "{condition}");
        assert_eq!(
            router.explain(&FACTS),
            [(1, MoWhy::Takes), (0, MoWhy::Behind)],
            "{condition}"
        );
        let mut tried = router.explain(&other);
        tried.sort_unstable_by_key(|(place, _)| *place);
        assert_eq!(tried, [(0, MoWhy::Takes), (1, why)], "{condition}");
    }
}

#[test]
fn hours_open_and_close_routes_and_rules() {
    let mut router = router(
        &[
            route("number = \"*\"; hours = \"08:00-20:00\"; account = \"load1\""),
            route("number = \"*\"; account = \"load2\""),
            "[[instructions]]\naccount = \"load1\"\nversion = \"a\"\n".to_owned(),
            rule("hours = \"08:00-09:00\"; to_bind = \"early\""),
        ]
        .concat(),
    );
    let early = Sink::BindOf(bind_tag(b"early").unwrap());
    for (at, name, sink) in [
        (8 * HOUR - 1, "load2", Sink::Bind),
        (8 * HOUR, "load1", early),
        (9 * HOUR, "load1", Sink::Bind),
        (20 * HOUR, "load2", Sink::Bind),
    ] {
        router.set_time(at);
        let way = router.find(&FACTS).unwrap();
        assert_eq!((way.account.as_str(), way.sink), (name, sink), "{at}");
    }
}

#[test]
fn instructions_are_asked_once_and_their_version_is_told() {
    let router = router(
        &[
            route("number = \"*\"; account = \"load1\""),
            "[[instructions]]\naccount = \"load1\"\nversion = \"2026-07\"\n".to_owned(),
            rule("keywords = [\"Pizza\"]; to_bind = \"kitchen\""),
            rule("number = \"4478*\"; to_account = \"load2\""),
            rule("senders = [\"33*\"]; to_account = \"load3\"; to_bind = \"paris\""),
            // Those of the other account are not asked: it would send everything on.
            "[[instructions]]\naccount = \"load2\"\nversion = \"x\"\n".to_owned(),
            rule("to_account = \"load1\""),
        ]
        .concat(),
    );
    let tag = |name: &[u8]| bind_tag(name).map_or(Sink::Bind, Sink::BindOf);
    for (facts, name, sink) in [
        (FACTS, "load1", tag(b"kitchen")),
        (MoFacts { word: "", ..FACTS }, "load1", Sink::Bind),
        (
            MoFacts {
                word: "",
                called: b"+44789",
                ..FACTS
            },
            "load2",
            Sink::Bind,
        ),
        (
            MoFacts {
                word: "taxi",
                sender: b"+336",
                ..FACTS
            },
            "load3",
            tag(b"paris"),
        ),
    ] {
        let way = router.find(&facts).unwrap();
        assert_eq!(
            (way.account.as_str(), way.sink, way.document),
            (name, sink, "2026-07")
        );
    }
    assert!(router.asks_for("pizza") && !router.asks_for("taxi"));
    let owner = SystemId::new(b"load1").unwrap();
    let tried = router.explain_instructions(
        owner,
        &MoFacts {
            sender: b"33",
            ..FACTS
        },
    );
    assert_eq!(
        tried,
        Some(vec![(0, MoWhy::Takes), (1, MoWhy::Number), (2, MoWhy::Behind)])
    );
    let nobody = SystemId::new(b"load3").unwrap();
    assert_eq!(router.explain_instructions(nobody, &FACTS), None);
}

#[test]
fn tags_are_the_same_in_every_process() {
    assert_eq!(bind_tag(b""), None);
    assert_ne!(bind_tag(b"kitchen"), bind_tag(b"Kitchen"));
    // On disk: another number here would lose what waits.
    assert_eq!(bind_tag(b"kitchen").map(NonZeroU32::get), Some(1_451_646_961));
}
