//! What real carriers do, one case each: every quirk, dialect and form of ids that the simulated carrier
//! knows, with a gateway between it and its clients. Nothing may be lost, altered, or doubled without reason.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum as _;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_gateway::demo::report::Outcome;
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::simulator::{
    Delay, Dialect, Faults, IdForm, MoOptions, Options, Profile, Quirk, Report, Share, Simulator,
};
use tidegate_tests::ScriptedEsme;

use crate::local::{Changes, Local};

/// Messages of one case.
const MESSAGES: u32 = 300;
const LINKS: u64 = 2;
/// Submits that each link may have unanswered, as [`Local`]'s configuration says.
const WINDOW: u64 = 50;

/// A carrier, what the gateway is told about it, and what is expected.
struct Case {
    name: String,
    options: Options,
    /// Keys of the carrier in the configuration.
    keys: &'static str,
    messages: u32,
    /// Whether links end, by whose doing whatever.
    links_end: bool,
    /// Whether the carrier takes none of the messages.
    is_refused: bool,
}

impl Case {
    fn new(name: impl std::fmt::Debug, change: impl FnOnce(&mut Options)) -> Self {
        let secret = Password::new(b"secret", PASSWORD_MAX).unwrap();
        let mut options = Options::new("tidegate".parse().unwrap(), secret);
        change(&mut options);
        Self {
            name: format!("{name:?}"),
            options,
            keys: "",
            messages: MESSAGES,
            links_end: false,
            is_refused: false,
        }
    }

    fn quirk(quirk: Quirk) -> Self {
        Self::new(quirk, |options| options.quirks = [quirk].into_iter().collect())
    }

    /// Runs it; gives both ends' reports when nothing is amiss.
    fn run(self) -> (load::Report, Report) {
        let name = self.name;
        let carrier = Simulator::start(self.options).unwrap();
        let keys = format!("links = {LINKS}\n{}", self.keys);
        let changes = Changes {
            carrier: &keys,
            ..Changes::default()
        };
        let mut local = Local::start_with(carrier.addr(), changes);
        let secret = Password::new(b"secret", PASSWORD_MAX).unwrap();
        let options = load::Options::new(local.esme(), "load".parse().unwrap(), secret).unwrap();
        let clients = Load::run(load::Options {
            binds: 2,
            window: 50,
            messages: self.messages,
            run: 7,
            ..options
        })
        .unwrap();
        local.stop();
        let carrier = carrier.stop().unwrap();
        let outcome = Outcome::new(&clients, Some(&carrier));
        let told = format!("{name}\n{outcome}{carrier}");
        assert!(!clients.gave_up, "{told}");
        assert_eq!(outcome.acknowledged, u64::from(self.messages), "{told}");
        let refused = if self.is_refused { self.messages } else { 0 };
        assert_eq!((outcome.lost, outcome.altered), (u64::from(refused), 0), "{told}");
        assert_eq!(outcome.receipts, u64::from(self.messages), "{told}");
        // What stood in the window of a link that ended may have been taken, and what was not answered was.
        let in_doubt = (carrier.links - LINKS) * WINDOW + carrier.unanswered;
        assert!(outcome.doubled <= in_doubt, "{told}");
        assert!(self.links_end || carrier.links == LINKS, "{told}");
        assert_eq!((clients.disconnects, clients.mobile_originated), (0, 0), "{told}");
        (clients, carrier)
    }
}

/// Asks often enough that quirks of enquire_link show while receipts are awaited.
const ENQUIRE: &str = "enquire_link = \"100ms\"\nenquire_link_response = \"80ms\"";

#[test]
fn no_quirk_of_a_carrier_loses_doubles_or_alters_a_message() {
    for quirk in Quirk::value_variants() {
        let mut case = Case::quirk(*quirk);
        match quirk {
            Quirk::StrayOctet | Quirk::NeverEnquires | Quirk::EnquireSequence | Quirk::HighSequence => {
                case.keys = ENQUIRE;
                case.options.receipt_delay = Delay::exactly(Duration::from_millis(350));
            }
            // A delivery is an MO until the operator says that this carrier's receipts look like that.
            Quirk::ReceiptAsMessage => case.keys = "detect_receipts_by_text = true",
            Quirk::BadLength => (case.messages, case.links_end) = (3_000, true),
            Quirk::ErrorWithId | Quirk::ErrorWithTlv => {
                case.options.refusals = vec![(CommandStatus::RTHROTTLED, Share::one_in(20))];
            }
            // Every message has a validity; what the carrier refuses ends, and its client is told so.
            Quirk::RefuseValidity => case.is_refused = true,
            _ => {}
        }
        let name = case.name.clone();
        let (clients, carrier) = case.run();
        let refused = if *quirk == Quirk::RefuseValidity {
            MESSAGES
        } else {
            0
        };
        assert_eq!(clients.not_delivered, u64::from(refused), "{name}");
        // A second receipt for one message is not passed on (interop quirk 12).
        assert_eq!(clients.repeated_receipts, 0, "{name}");
        match quirk {
            Quirk::BadLength => assert!(carrier.links > LINKS, "{name}"),
            Quirk::ErrorWithId | Quirk::ErrorWithTlv => assert!(!carrier.refused.is_empty(), "{name}"),
            _ => {}
        }
    }
}

#[test]
fn every_dialect_of_receipts_is_understood() {
    for dialect in Dialect::value_variants() {
        for (share, failed) in [("0", 0), ("100%", u64::from(MESSAGES))] {
            let case = Case::new(dialect, |options| {
                options.dialect = *dialect;
                options.failures.0 = share.parse().unwrap();
            });
            let (clients, _) = case.run();
            assert_eq!(clients.not_delivered, failed, "{dialect:?}");
        }
    }
}

#[test]
fn ids_in_two_forms_are_matched_where_the_configuration_says_so_and_like_ones_always() {
    let like: Vec<_> = IdForm::value_variants()
        .iter()
        .map(|form| (*form, *form, ""))
        .collect();
    let decimal_hex = "id_base = { response = \"decimal\", receipt = \"hex\" }";
    let hex_decimal = "id_base = { response = \"hex\", receipt = \"decimal\" }";
    let unlike = [
        (IdForm::Decimal, IdForm::Hex, decimal_hex),
        (IdForm::Decimal, IdForm::UpperHex, decimal_hex),
        (IdForm::Hex, IdForm::Decimal, hex_decimal),
        (IdForm::UpperHex, IdForm::Padded, hex_decimal),
        (IdForm::Hex, IdForm::UpperHex, ""),
        (IdForm::Padded, IdForm::Decimal, ""),
    ];
    for (response, receipt, keys) in like.into_iter().chain(unlike) {
        let mut case = Case::new((response, receipt), |options| {
            (options.response_id, options.receipt_id) = (response, receipt);
        });
        case.keys = keys;
        case.run();
    }
}

#[test]
fn a_carrier_that_fails_in_any_way_costs_doubles_within_the_bound_and_no_message() {
    let every = |count| NonZeroU32::new(count);
    let retry = "retry_min = \"10ms\"\nretry_max = \"50ms\"\nmax_attempts = 1000";
    let faults = |name: &'static str, faults: Faults| Case::new(name, |options| options.faults = faults);
    let none = Faults::default();
    let mut cases = vec![
        faults(
            "resets",
            Faults {
                reset_every: every(100),
                ..none
            },
        ),
        faults(
            "unbinds",
            Faults {
                unbind_every: every(100),
                ..none
            },
        ),
        faults(
            "silences",
            Faults {
                silent_every: every(150),
                ..none
            },
        ),
        Case::new("unanswered", |options| options.unanswered = Share::one_in(100)),
    ];
    for case in &mut cases {
        (case.links_end, case.messages) = (true, 1_000);
        case.keys = "response = \"200ms\"\nenquire_link = \"200ms\"\nenquire_link_response = \"100ms\"";
    }
    cases[3].links_end = false;
    let mut flaky = Case::new("flaky", |options| {
        *options = options.clone().with(Profile::Flaky);
        // As often as few messages need it.
        options.faults.reset_every = every(100);
        options.faults.unbind_every = every(300);
    });
    (flaky.links_end, flaky.messages) = (true, 1_000);
    cases.push(flaky);
    let mut throttling = Case::new("throttling", |options| {
        *options = options.clone().with(Profile::Throttling);
        // Slower than any machine that runs this.
        options.rate = every(100).map(|rate| (rate, CommandStatus::RTHROTTLED));
    });
    throttling.messages = 300;
    cases.push(throttling);
    cases.push(Case::new("a full queue", |options| {
        options.rate = every(200).map(|rate| (rate, CommandStatus::RMSGQFUL));
    }));
    cases.push(Case::new("a narrow window", |options| {
        options.submits_max = Some((10, CommandStatus::RTHROTTLED));
        options.response_delay = Delay::exactly(Duration::from_millis(5));
    }));
    // Whatever is above the window makes a pause, and pauses grow.
    cases.last_mut().unwrap().messages = 120;
    for case in &mut cases[4..] {
        case.keys = retry;
    }
    for case in cases {
        let (name, links_end) = (case.name.clone(), case.links_end);
        let (_, carrier) = case.run();
        assert_eq!(carrier.links_dropped() > 0, links_end, "{name}: {carrier}");
        let others = carrier.unanswered + carrier.refused.values().sum::<u64>();
        assert!(links_end || others > 0, "{name}: {carrier}");
    }
}

#[test]
fn of_a_capped_carrier_one_link_is_used_and_the_others_come_to_no_harm() {
    let mut case = Case::new("capped", |options| {
        *options = options.clone().with(Profile::Capped);
    });
    case.keys = "window = 10\nretry_min = \"10ms\"\nretry_max = \"50ms\"\nmax_attempts = 1000";
    case.links_end = true;
    let (_, carrier) = case.run();
    assert_eq!((carrier.binds, carrier.repeated), (1, 0), "{carrier}");
    assert!(carrier.binds_refused > 0, "{carrier}");
}

// ===== messages from handsets =====

#[tokio::test]
async fn every_mo_that_a_carrier_makes_of_a_message_arrives_as_it_was_sent() {
    const COUNT: u32 = 10;
    for quirk in Quirk::value_variants() {
        let case = Case::new(quirk, |options| {
            options.quirks = [*quirk].into_iter().collect();
            options.mo = MoOptions {
                rate: NonZeroU32::new(1_000),
                messages: Some(COUNT),
                ..options.mo.clone()
            };
        });
        let carrier = Simulator::start(case.options).unwrap();
        let local = Local::start(carrier.addr(), "");
        let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
        let parts = matches!(quirk, Quirk::MoSplitPair | Quirk::MoUdh16 | Quirk::MoSarBackwards);
        let expected = if parts { 2 * COUNT } else { COUNT };
        let mut texts = Vec::new();
        for _ in 0..expected {
            let frame = esme.expect_deliver().await;
            let Operation::DeliverSm(sm) = frame.pdu().operation else {
                panic!("{quirk:?}: no deliver_sm: {frame:?}");
            };
            assert!(!sm.esm_class.is_receipt(), "{quirk:?}");
            let text = sm.text().0;
            match quirk {
                Quirk::MoClass => assert!(matches!(sm.data_coding.0, 0x11 | 0xf1 | 0xf5)),
                Quirk::MoSplitPair => assert_eq!((sm.data_coding.0, sm.esm_class.0), (8, 0x40)),
                Quirk::MoUdh16 => assert_eq!((sm.esm_class.0, text[0]), (0x48, 12)),
                Quirk::MoUnflaggedUdh => assert_eq!((sm.esm_class.0, text[0]), (0, 5)),
                Quirk::MoAlphabet => assert!(text.ends_with(&[0x00, 0x05, 0xe9])),
                Quirk::MoLikeReceipt => assert!(text.starts_with(b"id:4711 stat:DELIVRD MO ")),
                _ => assert!(text.starts_with(b"MO "), "{quirk:?}"),
            }
            texts.push(text.to_vec());
        }
        texts.sort();
        texts.dedup();
        let distinct = if *quirk == Quirk::MoSarBackwards {
            COUNT
        } else {
            expected
        };
        assert_eq!(texts.len(), distinct as usize, "{quirk:?}: each comes once");
    }
}
