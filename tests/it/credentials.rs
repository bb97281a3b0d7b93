//! Passwords, by the cases of the rules: what is stored of them, what is told of them, and many at once.

use std::fs;
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::BindKind;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::credentials::hash_password;
use tidegate_gateway::random::generator;
use tidegate_tests::{ScriptedEsme, ScriptedSmsc};
use tokio::task::JoinSet;

use crate::local::{Changes, Local};

/// As long as the specification lets one be.
const EIGHT: &str = "Qx7_pw9Z";
/// Accounts that come back at once, and binds of each.
const ACCOUNTS: usize = 50;
const BINDS: usize = 10;

async fn start(limits: &str, extra: &str) -> Local {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let changes = Changes {
        limits,
        extra,
        ..Changes::default()
    };
    Local::start_with(smsc.addr(), changes)
}

fn account(name: &str, hash: &str) -> String {
    format!("[[account]]\nsystem_id = \"{name}\"\npassword_hashes = [\"{hash}\"]\nmax_binds = 100\n")
}

async fn status(local: &Local, system_id: &str, password: &str) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    let answer = esme.try_bind(BindKind::Transceiver, system_id, password).await;
    answer.status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c02_a_password_of_nine_is_refused_and_none_is_on_the_disk() {
    let password = Password::new(EIGHT.as_bytes(), PASSWORD_MAX).unwrap();
    let hash = hash_password(&password, &mut generator().unwrap()).unwrap();
    let costs = hash.strip_prefix("$argon2id$v=19$m=").unwrap();
    assert!(costs.split(',').next().unwrap().parse::<u32>().unwrap() >= 19_456);
    let weak = account("weak", &hash.replacen("m=19456", "m=19455", 1));
    let text = include_str!("../../config/bench.toml").to_owned() + &weak;
    let told = tidegate_config::parse(&text).unwrap_err().to_string();
    assert!(told.contains("out of bounds"), "{told}");

    let mut local = start("", &account("eight", &hash)).await;
    assert_eq!(status(&local, "eight", EIGHT).await, CommandStatus::ROK);
    // Its first eight are right: cut it would be let in.
    let nine = format!("{EIGHT}!");
    assert_ne!(status(&local, "eight", &nine).await, CommandStatus::ROK);
    local.stop();
    for path in local.files() {
        let octets = fs::read(&path).unwrap();
        let is_there = octets.windows(EIGHT.len()).any(|part| part == EIGHT.as_bytes());
        assert!(!is_there, "{} holds a password", path.display());
    }
}

/// The quarters of what was measured.
fn quarters(mut took: Vec<Duration>) -> [f64; 3] {
    took.sort_unstable();
    [1, 2, 3].map(|quarter| took[took.len() * quarter / 4].as_secs_f64())
}

/// Tries alternate, so that what else the machine does is felt by both; how far it scatters them is the noise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c03_an_unknown_name_and_a_wrong_password_look_alike() {
    let local = start("", "").await;
    let clock = Clock::machine();
    let mut took: [Vec<Duration>; 2] = Default::default();
    for number in 0..200 {
        // Neither is always the one behind the other.
        let place = (number + number / 2) % 2;
        let mut esme = ScriptedEsme::connect(local.esme()).await;
        let begun = clock.now().monotonic;
        let name = ["load", "nobody"][place];
        let answer = esme.try_bind(BindKind::Transceiver, name, "wrong").await;
        took[place].push(clock.now().monotonic - begun);
        assert_eq!(answer.status(), CommandStatus::RBINDFAIL);
    }
    let [known, unknown] = took.map(quarters);
    let spread = |[first, _, third]: [f64; 3]| third - first;
    let noise = spread(known).max(spread(unknown)).max(known[1] / 10.0);
    assert!(
        (known[1] - unknown[1]).abs() <= noise,
        "quarters: {known:?} s and {unknown:?} s"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c04_five_hundred_that_come_back_at_once_are_bound_and_hold_up_nobody() {
    let accounts: String = (0..ACCOUNTS)
        .map(|number| account(&format!("client{number}"), "@hash@"))
        .collect();
    let limits = "max_unbound_per_ip = 1000\nsession_init = \"1m\"\nbind_wait = \"1m\"";
    let local = start(limits, &accounts).await;
    let at = local.esme();
    let mut bound = ScriptedEsme::bound(at, "load", "secret").await;
    let mut binding = JoinSet::new();
    for number in 0..ACCOUNTS * BINDS {
        binding.spawn(async move {
            let mut esme = ScriptedEsme::connect(at).await;
            let name = format!("client{}", number % ACCOUNTS);
            let answer = esme.try_bind(BindKind::Transceiver, &name, "secret").await;
            (answer.status(), esme)
        });
    }
    let clock = Clock::machine();
    let now = || clock.now().monotonic;
    let begun = now();
    let mut links = Vec::new();
    let mut slowest = Duration::ZERO;
    while !binding.is_empty() {
        let asked = now();
        let sequence = bound.request(Operation::EnquireLink(Tlvs::NONE)).await;
        bound.expect_answer(CommandId::ENQUIRE_LINK_RESP, sequence).await;
        slowest = slowest.max(now() - asked);
        while let Some(done) = binding.try_join_next() {
            let (status, esme) = done.unwrap();
            assert_eq!(status, CommandStatus::ROK);
            links.push(esme);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(links.len(), ACCOUNTS * BINDS);
    let took = now() - begun;
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(
        slowest < Duration::from_secs(1),
        "an enquire_link was answered after {slowest:?}"
    );
}
