//! With real argon2id, so only as many checks as each test needs.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::task::Waker;
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_config::Config;

const BENCH: &str = include_str!("../../../config/bench.toml");

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes(), PASSWORD_MAX_LENIENT).unwrap()
}

fn config() -> Config {
    tidegate_config::parse(BENCH).unwrap()
}

/// Of the one hash that all accounts of the bench have.
fn by() -> Credential {
    Credential::of(&config().accounts[0].password_hashes[0])
}

fn verifier(queue: usize) -> Verifier {
    let bounds = Bounds {
        queue,
        wait: Duration::from_secs(5),
        workers: 1,
    };
    let clock = Clock::virtual_from(0);
    Verifier::new(&config().accounts, bounds, clock, Handle::current(), &mut rng())
}

/// A runtime whose only blocking thread waits for what is returned to be dropped: until then no check
/// runs.
fn held() -> (tokio::runtime::Runtime, std::sync::mpsc::SyncSender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
    runtime.spawn_blocking(move || released.recv());
    (runtime, release)
}

fn poll(check: &mut Check) -> Poll<Verdict> {
    Pin::new(check).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn the_bench_accounts_bind_with_secret_and_with_nothing_else() {
    let verifier = verifier(10);
    assert_eq!(
        verifier.check(b"load16", password("secret")).await,
        Verdict::Granted(by())
    );
    for (name, text) in [
        ("load16", "Secret"),
        ("load16", ""),
        ("load16", "secret2"),
        ("load17", "secret"),
        ("", "secret"),
    ] {
        let verdict = verifier.check(name.as_bytes(), password(text)).await;
        assert_eq!(verdict, Verdict::Denied, "{name} {text}");
    }
    assert_eq!(verifier.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_right_password_is_known_at_once_until_it_is_forgotten() {
    let verifier = verifier(10);
    assert_eq!(
        verifier.check(b"load", password("secret")).await,
        Verdict::Granted(by())
    );
    let again = || verifier.check(b"load", password("secret"));
    assert_eq!(poll(&mut again()), Poll::Ready(Verdict::Granted(by())));
    // Not for another account, although it has the same hash.
    assert_eq!(
        poll(&mut verifier.check(b"load1", password("secret"))),
        Poll::Pending
    );
    tokio::time::advance(REMEMBERED).await;
    assert_eq!(poll(&mut again()), Poll::Pending);
}

#[test]
fn many_binds_of_one_account_share_a_check_and_one_too_many_is_told() {
    let (runtime, release) = held();
    let _inside = runtime.enter();
    let verifier = verifier(64);
    let mut checks: Vec<_> = (0..64)
        .map(|_| verifier.check(b"load", password("secret")))
        .collect();
    assert_eq!(verifier.waiting(), 64);
    let mut over = verifier.check(b"load1", password("secret"));
    assert_eq!(poll(&mut over), Poll::Ready(Verdict::Busy));
    drop(release);
    let first = checks.remove(0);
    assert_eq!(runtime.block_on(first), Verdict::Granted(by()));
    // The same check was all the others': none of them waits any more.
    assert_eq!(verifier.waiting(), 0);
    for check in checks {
        assert_eq!(runtime.block_on(check), Verdict::Granted(by()));
    }
}

#[test]
fn who_goes_gives_the_place_free() {
    let (runtime, release) = held();
    let _inside = runtime.enter();
    let verifier = verifier(2);
    let running = verifier.check(b"load", password("secret"));
    drop(verifier.check(b"load1", password("secret")));
    assert_eq!(verifier.waiting(), 1);
    let other = verifier.check(b"load2", password("secret"));
    drop(release);
    assert_eq!(runtime.block_on(running), Verdict::Granted(by()));
    assert_eq!(runtime.block_on(other), Verdict::Granted(by()));
    assert_eq!(verifier.waiting(), 0);
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (verifier, checks) = runtime.block_on(async {
        let verifier = verifier(10);
        let checks: Vec<_> = ["load", "load1", "load2"]
            .map(|name| verifier.check(name.as_bytes(), password("secret")))
            .into();
        (verifier, checks)
    });
    drop(runtime);
    drop(checks);
    assert_eq!(verifier.waiting(), 0);
}

#[test]
fn an_unknown_name_costs_what_some_account_costs_and_is_never_granted() {
    let one = BENCH.replace(
        "system_id = \"load2\"\npassword_hashes = [",
        "system_id = \"load2\"\npassword_hashes = [\"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
         AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", ",
    );
    let config = tidegate_config::parse(&one).unwrap();
    let accounts = Accounts::new(&config.accounts, &mut rng());
    let cost = |name: &str| accounts.work(name.as_bytes(), password("x")).hashes();
    assert_eq!((cost("load1"), cost("load2")), (1, 2));
    let names: Vec<String> = (0..200).map(|number| format!("nobody{number}")).collect();
    let costs: Vec<usize> = names.iter().map(|name| cost(name)).collect();
    assert!(
        costs.contains(&1) && costs.contains(&2),
        "one cost would stand out"
    );
    assert!(
        names.iter().zip(&costs).all(|(name, seen)| cost(name) == *seen),
        "asking twice would tell"
    );
    // The password of every account there is.
    assert_eq!(accounts.work(b"nobody", password("secret")).check(), Some(None));
    // And with no account at all.
    let none = Accounts::new(&[], &mut rng());
    assert_eq!(none.work(b"nobody", password("secret")).check(), Some(None));
}

#[test]
fn tags_keep_names_and_passwords_apart() {
    let accounts = Accounts::new(&config().accounts, &mut rng());
    assert_ne!(
        accounts.tag(b"ab", &password("c")),
        accounts.tag(b"a", &password("bc"))
    );
    let other = Accounts::new(&config().accounts, &mut ChaCha20Rng::seed_from_u64(8));
    assert_ne!(
        accounts.tag(b"load", &password("secret")),
        other.tag(b"load", &password("secret")),
        "a tag is worth nothing to another process"
    );
}

#[test]
fn what_was_remembered_goes_with_the_hashes_and_with_nothing_else() {
    let (runtime, release) = held();
    drop(release);
    let _inside = runtime.enter();
    let verifier = verifier(10);
    for name in [&b"load"[..], b"load1"] {
        let check = verifier.check(name, password("secret"));
        assert_eq!(runtime.block_on(check), Verdict::Granted(by()));
    }
    let hash = hash_password(&password("other"), &mut rng()).unwrap();
    let (before, rest) = BENCH.split_once("password_hashes = [\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let changed = tidegate_config::parse(&format!("{before}password_hashes = [\"{hash}\"{after}")).unwrap();
    verifier.set_accounts(&changed.accounts, Bounds::from(&changed.limits));
    assert_eq!(
        runtime.block_on(verifier.check(b"load", password("secret"))),
        Verdict::Denied
    );
    assert_eq!(
        runtime.block_on(verifier.check(b"load", password("other"))),
        Verdict::Granted(Credential::of(&changed.accounts[0].password_hashes[0]))
    );
    // Nobody has touched this one: no check is made.
    let known = verifier.check(b"load1", password("secret"));
    assert_eq!(verifier.waiting(), 0);
    assert_eq!(runtime.block_on(known), Verdict::Granted(by()));
    // An account that is gone is nobody.
    verifier.set_accounts(&changed.accounts[..1], Bounds::from(&changed.limits));
    assert_eq!(
        runtime.block_on(verifier.check(b"load1", password("secret"))),
        Verdict::Denied
    );
}

#[test]
fn a_check_of_hashes_that_are_gone_says_nothing() {
    let (runtime, release) = held();
    let _inside = runtime.enter();
    let verifier = verifier(10);
    let check = verifier.check(b"load", password("secret"));
    verifier.set_accounts(&config().accounts[1..], Bounds::from(&config().limits));
    drop(release);
    assert_eq!(runtime.block_on(check), Verdict::Busy);
}

#[test]
fn a_fresh_hash_is_one_that_the_configuration_takes_and_the_verifier_knows() {
    let mut rng = rng();
    let hash = hash_password(&password("pa$$w0rd"), &mut rng).unwrap();
    assert_ne!(
        hash,
        hash_password(&password("pa$$w0rd"), &mut rng).unwrap(),
        "a salt each"
    );
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let (before, rest) = BENCH.split_once("password_hashes = [\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let text = format!("{before}password_hashes = [\"{hash}\"{after}");
    let config = tidegate_config::parse(&text).unwrap();
    let accounts = Accounts::new(&config.accounts, &mut rng);
    let by = Credential::of(&config.accounts[0].password_hashes[0]);
    assert_eq!(
        accounts.work(b"load", password("pa$$w0rd")).check(),
        Some(Some(by))
    );
}
