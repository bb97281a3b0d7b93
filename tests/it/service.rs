//! What the gateway tells a service manager, as a unit with `Type=notify` needs it (sd_notify(3)).

use rustix::process::Signal;
use tidegate_tests::DEADLINE;
use tidegate_tests::process::{Process, free_addr};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// The next thing that it is told.
async fn told(manager: &UnixDatagram) -> String {
    let mut octets = [0; 512];
    let len = timeout(DEADLINE, manager.recv(&mut octets))
        .await
        .expect("a word in time")
        .expect("a datagram");
    String::from_utf8_lossy(&octets[..len]).into_owned()
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
