//! What the rules that stand behind every message cost it: where a recipient's hours are looked up, and all of them as the
//! gate asks them, when a message comes in and before it is handed over.
//!
//!     cargo bench -p tidegate-benches --bench standing

use std::collections::HashSet;
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidegate_benches::contest::{self, Contest};
use tidegate_benches::rig::Rig;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::identity::{Password, SystemId};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::values::InterfaceVersion;
use tidegate_config::SendingHours;
use tidegate_gateway::admission::Submission;
use tidegate_gateway::clock::Now;
use tidegate_gateway::gate::Gate;
use tidegate_gateway::hours::{Hints, Hours};
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::RealDisk;
use tidegate_store::index::LegId;
use tidegate_store::message_id::Permutation;
use tidegate_store::quote::Quote;
use tidegate_store::record::{Envelope, Form};
use tidegate_store::service_type::ServiceType;
use tidegate_store::spool::NewLeg;
use tidegate_store::standing::{Change, Grant, Origin, Private, Scope, Via, What};
use tidegate_store::usage::Period;

/// What may fail here fails the run.
type Fallible<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 60;
/// More than any cache of the processor's keeps of their ways through the table.
const NUMBERS: usize = 1 << 16;
/// Messages of a gate, each to somebody else: more than it remembers the pseudonyms of. And people who have opted out there.
const MESSAGES: usize = 1 << 14;
/// Messages that come in until one of them leaves: eight windows of a hundred.
const UNDER_WAY: usize = 800;
const OPT_OUTS: usize = 1 << 14;
/// Changes of one commit.
const BATCH: usize = 1_024;
/// A Monday noon in New York. In the first seven of every thirty days a cap asks for one pseudonym more; this is none of them.
const NOON_MS: u64 = 1_784_563_200_000;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [turn, rest @ ..] = arguments.as_slice()
        && turn == "--turn"
    {
        let contests = match rest.first().map(String::as_str) {
            Some("hours") => vec![hours()],
            _ => vec![gate(rest.get(1).map(String::as_str))?],
        };
        return contest::turn(contests, rest);
    }
    // `cargo test` runs benches too, to see that they start.
    if arguments.iter().any(|argument| argument == "--test") {
        return Ok(());
    }
    print("hours of a recipient", &mut hours())?;
    print("all that is asked of a message", &mut gate(None)?)
}

fn print(title: &str, contest: &mut Contest) -> Fallible<()> {
    let mut out = std::io::stdout();
    writeln!(out, "| {title} | ns | instructions |\n|---|--:|--:|")?;
    for figures in contest.run(ROUNDS)?.figures {
        let [low, middle, high] = figures.ns;
        let count = figures.instructions;
        let count = count.map_or("SKIPPED".to_owned(), |count| format!("{count:.0}"));
        writeln!(
            out,
            "| {} | {middle:.0} ({low:.0}–{high:.0}) | {count} |",
            figures.who
        )?;
    }
    writeln!(out)?;
    Ok(())
}

/// Which rules there are for the account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// None, and nobody has opted out.
    Off,
    /// It sends codes and the like, to its own country, and many have opted out.
    Typical,
    /// The same of marketing: with consent only, in its hours, under a cap.
    Marketing,
}

/// What a message does in a turn of a gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    ComesIn,
    /// So long after it came in that nothing of it is remembered.
    Leaves,
    /// The same, and people have opted out since it came in.
    LeavesSince,
    /// One comes in, and one leaves that came in a moment ago.
    Both,
}

/// Each is asked for by name: a gate takes a while to make.
const TURNS: [(&str, Rules, Turn); 10] = [
    ("comes in, no rules", Rules::Off, Turn::ComesIn),
    ("comes in, country and opt-outs", Rules::Typical, Turn::ComesIn),
    (
        "comes in, marketing: consent, hours and cap, too",
        Rules::Marketing,
        Turn::ComesIn,
    ),
    ("leaves long after, no rules", Rules::Off, Turn::Leaves),
    (
        "leaves long after, country and opt-outs",
        Rules::Typical,
        Turn::Leaves,
    ),
    (
        "leaves long after, country and opt-outs, somebody opted out since",
        Rules::Typical,
        Turn::LeavesSince,
    ),
    (
        "leaves long after, marketing: consent, hours and cap, too",
        Rules::Marketing,
        Turn::Leaves,
    ),
    ("both, no rules", Rules::Off, Turn::Both),
    ("both, country and opt-outs", Rules::Typical, Turn::Both),
    (
        "both, marketing: consent, hours and cap, too",
        Rules::Marketing,
        Turn::Both,
    ),
];

/// Turns of a gate with these rules: admission whole, as the rules are a part of it, and what is asked before a hand-over.
fn gate(only: Option<&str>) -> Fallible<Contest> {
    let mut contest = Contest::new("gate");
    for (who, rules, turn) in TURNS {
        if only.is_some_and(|only| only != who) {
            continue;
        }
        let (mut scene, mut at) = (Scene::new(rules, turn == Turn::LeavesSince)?, 0);
        contest = contest.ours(who, move || {
            at = (at + 1) % MESSAGES;
            match turn {
                Turn::ComesIn => black_box(scene.comes_in(at)),
                Turn::Leaves | Turn::LeavesSince => black_box(scene.leaves(at)),
                Turn::Both => {
                    black_box(scene.comes_in(at));
                    black_box(scene.leaves((at + MESSAGES - UNDER_WAY) % MESSAGES))
                }
            };
        });
    }
    Ok(contest)
}

/// A gate, messages that come in, and the same in its spool.
struct Scene {
    gate: Gate<RealDisk>,
    now: Now,
    /// Bodies of submit_sm.
    bodies: Vec<Vec<u8>>,
    legs: Vec<LegId>,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// `since`: people opt out when the messages have come in, and not before.
    fn new(rules: Rules, since: bool) -> Fallible<Self> {
        let dir = tempfile::tempdir()?;
        let config = tidegate_config::parse(&text(rules))?;
        let mut rig = Rig::create(dir.path(), 2 * MESSAGES, NOON_MS)?;
        let account = SystemId::new(b"shop")?;
        let people = numbers(&AREA_CODES);
        let recipients: Vec<_> = people.iter().take(MESSAGES).collect();
        let bodies: Vec<_> = recipients.iter().map(|number| body(&number[..])).collect();
        let mut legs = Vec::new();
        if since {
            accept(&mut rig, account, rules, &bodies, &mut legs)?;
        }
        let (scope, digits) = (Scope::account("shop"), people.iter().skip(MESSAGES));
        let opted_out = What::Suppress {
            scope: scope.clone(),
            origin: Origin::Recipient,
            categories: 0,
        };
        let consented = What::Consent {
            grant: Grant::Given,
            scope,
            categories: 0,
        };
        if rules != Rules::Off {
            remember(&mut rig, account, digits.take(OPT_OUTS), &opted_out)?;
        }
        if rules == Rules::Marketing {
            remember(&mut rig, account, recipients.iter().copied(), &consented)?;
        }
        if !since {
            accept(&mut rig, account, rules, &bodies, &mut legs)?;
        }
        while rig.turn(NOON_MS)? {}
        // As the gateway does every second: the caps' codes are those of this month.
        rig.spool.forget_replies(NOON_MS);
        let passwords = vec![Password::new(b"secret", 9)?];
        let permutation = Permutation::new(&[1; 32]);
        let gate = Gate::new(config.into(), rig.spool, permutation, passwords, rig.rng);
        let mut scene = Self {
            gate: gate.map_err(|_| "too many names")?,
            now: Now {
                monotonic: Duration::from_secs(3_600),
                unix_ms: NOON_MS + 1_000,
            },
            bodies,
            legs,
            _dir: dir,
        };
        for at in 0..MESSAGES {
            if !scene.comes_in(at) || !scene.leaves(at) {
                return Err(format!("message {at} is refused").into());
            }
        }
        Ok(scene)
    }

    fn comes_in(&mut self, at: usize) -> bool {
        let Some(Ok(sm)) = self.bodies.get(at).map(|body| Sm::decode(body)) else {
            return false;
        };
        let submission = Submission::from_sm(&sm, InterfaceVersion::V3_4, &[]);
        self.gate.may_submit(self.now, None, 0, &submission).is_ok()
    }

    fn leaves(&self, at: usize) -> bool {
        let leg = self
            .legs
            .get(at)
            .and_then(|leg| self.gate.spool().index().get(*leg));
        leg.zip(self.bodies.get(at))
            .is_some_and(|(leg, body)| self.gate.may_leave(self.now, leg, body))
    }
}

fn remember<'n>(
    rig: &mut Rig,
    account: SystemId,
    numbers: impl Iterator<Item = &'n [u8; 11]>,
    what: &What,
) -> Fallible<()> {
    for (place, digits) in numbers.enumerate() {
        let change = Change {
            who: rig.spool.standing().who(digits),
            at_ms: NOON_MS,
            event: 0,
            via: Via::File,
            what: what.clone(),
            private: Private::default(),
        };
        rig.spool.remember(NOON_MS, account, change, true, &mut rig.rng)?;
        if place.is_multiple_of(BATCH) {
            rig.turn(NOON_MS)?;
        }
    }
    rig.turn(NOON_MS)?;
    Ok(())
}

fn accept(
    rig: &mut Rig,
    account: SystemId,
    rules: Rules,
    bodies: &[Vec<u8>],
    legs: &mut Vec<LegId>,
) -> Fallible<()> {
    let category = match rules {
        Rules::Marketing => Category::Marketing,
        Rules::Off | Rules::Typical => Category::Transactional,
    };
    for body in bodies {
        let sm = Sm::decode(body).map_err(|_| "a body that is none")?;
        let (from, to) = (sm.source, sm.destination);
        let source = AddressBuf::new(from.ton, from.npi, from.addr.as_bytes()).map_err(|_| "no address")?;
        let destination = AddressBuf::new(to.ton, to.npi, to.addr.as_bytes()).map_err(|_| "no address")?;
        let new = NewLeg {
            id: rig.spool.next_id(NOON_MS),
            leg: 0,
            account,
            envelope: Envelope {
                addresses: Addresses::new(&source, &destination),
                form: Form::Sm,
                interface_version: 0x34,
                id_form: 0,
                registered_delivery: 1,
                priority: 0,
                category: category.octet(),
                parts: 1,
                data_coding: 0,
                lot: 0,
                service_type: ServiceType::DEFAULT,
                charge: 0,
                accepted_ms: NOON_MS,
                expires_ms: NOON_MS + 3_600_000,
            },
            due_ms: NOON_MS,
            quote: Quote::NONE,
            body,
            period: Period::default(),
            takes_a_place: false,
            held: false,
        };
        legs.push(rig.spool.accept(NOON_MS, new, &mut rig.rng)?);
    }
    rig.turn(NOON_MS)?;
    Ok(())
}

/// The body of a submit_sm to a number.
fn body(number: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 1];
    body.extend_from_slice(b"12025550123\0\x01\x01");
    body.extend_from_slice(number);
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&[0, 0, 1, 0, 0, 0]);
    body.push(19);
    body.extend_from_slice(b"Your code is 123456");
    body
}

fn text(rules: Rules) -> String {
    let mut text = r#"
[[listen]]
address = "127.0.0.1:2775"
[storage]
data = "data"
key_ring = "keys"
kek_file = "kek"
[[carrier]]
name = "sink"
addresses = ["127.0.0.1:2900"]
system_id = "tidegate"
password_file = "password"
[[route.mt]]
prefix = ""
carriers = ["sink"]
[[account]]
system_id = "shop"
password_hashes = ["$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0"]
country = "US"
numbers = "canonical"
senders = ["12025550123"]
"#
    .to_owned();
    text.push_str(match rules {
        Rules::Off => "category = \"transactional\"\ncountries = \"all\"\n",
        Rules::Typical => "category = \"transactional\"\ncountries = { US = \"allow\", CA = \"monitor\", \"*\" = \"block\" }\n",
        Rules::Marketing => {
            r#"
category = "marketing"
countries = { US = "allow", CA = "monitor", "*" = "block" }
consent = "require"
caps = [{ category = "marketing", per_day = 3, per_week = 10 }]
"#
        }
    });
    text
}

fn hours() -> Contest {
    let mut contest = Contest::new("hours");
    for (who, codes) in [
        ("numbers of forty area codes", &AREA_CODES[..]),
        ("toll-free numbers", &["1800", "1833", "1844", "1855"][..]),
        ("numbers of France and India", &["336", "919"][..]),
        ("numbers of a country without rules", &["447"][..]),
    ] {
        let (judge, numbers, mut at) = (Hours::new(&SendingHours::default()), numbers(codes), 0);
        contest = contest.ours(who, move || {
            at = (at + 1) % NUMBERS;
            if let Some(number) = numbers.get(at) {
                black_box(judge.judge(number, &Hints::NONE, NOON_MS + at as u64));
            }
        });
    }
    contest
}

/// Of the biggest states, and of those with rules of their own.
const AREA_CODES: [&str; 40] = [
    "1201", "1203", "1205", "1206", "1208", "1212", "1213", "1214", "1215", "1216", "1225", "1228", "1240",
    "1248", "1281", "1301", "1303", "1305", "1312", "1313", "1347", "1401", "1404", "1405", "1407", "1410",
    "1412", "1415", "1423", "1469", "1480", "1502", "1504", "1512", "1602", "1702", "1713", "1718", "1813",
    "1917",
];

/// Eleven digits each, the same ones in every run.
fn numbers(codes: &[&str]) -> Vec<[u8; 11]> {
    let mut random = ChaCha20Rng::seed_from_u64(7);
    let number = |_| {
        let mut number = [b'2'; 11];
        let code = codes
            .get(random.next_u32() as usize % codes.len())
            .copied()
            .unwrap_or("1");
        for (place, digit) in number.iter_mut().enumerate() {
            let random = b'0' + (random.next_u32() % 10) as u8;
            *digit = code.as_bytes().get(place).copied().unwrap_or(random);
            // No exchange of +1 begins with 0 or 1.
            if place == 4 && code.len() == 4 {
                *digit = b'2' + (random - b'0') % 8;
            }
        }
        number
    };
    // Nobody twice: who has opted out is no recipient.
    let mut seen = HashSet::new();
    let all = (0..).map(number).filter(|number| seen.insert(*number));
    all.take(NUMBERS).collect()
}
