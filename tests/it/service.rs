//! What the gateway tells a service manager, as a unit with `Type=notify` needs it (sd_notify(3)).

use rustix::process::Signal;
use tidegate_tests::process::{Process, free_addr};
use tidegate_tests::{DEADLINE, ScriptedEsme};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const WATCHDOG: &str = "WATCHDOG=1\n";
/// Longer than a loop that turns is silent.
const SILENCE: std::time::Duration = std::time::Duration::from_millis(600);

/// The next thing that it is told.
async fn told(manager: &UnixDatagram) -> String {
    let mut octets = [0; 512];
    let len = timeout(DEADLINE, manager.recv(&mut octets))
        .await
        .expect("a word in time")
        .expect("a datagram");
    String::from_utf8_lossy(&octets[..len]).into_owned()
}

/// The same but that the loop lives.
async fn told_besides(manager: &UnixDatagram) -> String {
    loop {
        let said = told(manager).await;
        if said != WATCHDOG {
            return said;
        }
    }
}

/// One that asks for it hears again and again that the loop turns, in the grace of clients at the end, too; one that does not, never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_with_a_watchdog_hears_of_a_loop_that_turns_until_it_has_ended() {
    let grace = "[limits]\nshutdown_grace = \"2s\"\n";
    let mut process = Process::prepare(Process::built(), |places| places.config(&[free_addr()], grace));
    let place = process.dir().join("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    process.spawn_with(&[
        ("NOTIFY_SOCKET", place.to_str().expect("a path of text")),
        ("WATCHDOG_USEC", "300000"),
    ]);
    assert!(told(&manager).await.starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(told(&manager).await, WATCHDOG);
    }
    // Stopped as a whole it says nothing, and goes on when it does.
    process.signal(Signal::STOP);
    while timeout(SILENCE, manager.recv(&mut [0; 512])).await.is_ok() {}
    process.signal(Signal::CONT);
    assert_eq!(told(&manager).await, WATCHDOG);
    // A client that stays bound has its grace.
    let esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    process.signal(Signal::TERM);
    assert!(told_besides(&manager).await.starts_with("STOPPING=1\n"));
    assert_eq!(told(&manager).await, WATCHDOG);
    drop(esme);
    assert!(process.wait().await.success());
}

/// Fills what a manager has not read, until nobody can tell it anything without waiting.
fn fill(place: &std::path::Path) {
    loop {
        let other = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        other.set_nonblocking(true).expect("a socket");
        let mut sent = 0;
        while other.send_to(b"X=1\n", place).is_ok() {
            sent += 1;
        }
        // Each sender has a bound of its own, too.
        if sent == 0 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_that_does_not_read_holds_up_no_end() {
    for watchdog in [&[][..], &[("WATCHDOG_USEC", "300000")]] {
        let mut process = Process::prepare(Process::built(), |places| places.config(&[free_addr()], ""));
        let place = process.dir().join("notify");
        let manager = UnixDatagram::bind(&place).expect("a socket");
        let mut env = vec![("NOTIFY_SOCKET", place.to_str().expect("a path of text"))];
        env.extend(watchdog);
        process.spawn_with(&env);
        assert!(told(&manager).await.starts_with("READY=1\n"));
        fill(&place);
        process.signal(Signal::TERM);
        let ended = timeout(DEADLINE, process.wait()).await;
        assert!(ended.expect("it ends all the same").success());
        drop(manager);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hears_of_readiness_reload_and_end() {
    let mut process = Process::prepare(Process::built(), |places| places.config(&[free_addr()], ""));
    let place = process.dir().join("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    process.spawn_with(&[("NOTIFY_SOCKET", place.to_str().expect("a path of text"))]);
    assert!(told(&manager).await.starts_with("READY=1\n"));
    assert_eq!(
        process.get("/healthz").await.expect("an answer").0,
        200,
        "ready before it listens"
    );
    process.signal(Signal::HUP);
    let reloading = told(&manager).await;
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(
        told(&manager).await.starts_with("READY=1\n"),
        "the reload has ended"
    );
    process.signal(Signal::TERM);
    assert!(told(&manager).await.starts_with("STOPPING=1\n"));
    assert!(process.wait().await.success());
}
