//! Power cuts on a real file system: an ext4 image on a loop device, copied at the moment of the kill. What the system
//! only held in memory is not in the copy, which a kill alone never shows. Needs root; else it says SKIPPED.

use std::time::Duration;

use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_gateway::demo::report::Outcome;
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_tests::Process;

use crate::volume::Volume;

/// Cuts of the ordinary run; `TIDEGATE_POWER_CUTS` says otherwise.
const CUTS: u32 = 3;
/// Messages per cut.
const MESSAGES: u32 = 3_000;
/// Octets of the image.
const IMAGE: u64 = 400 << 20;

fn secret() -> Password {
    Password::new(b"secret", PASSWORD_MAX).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_on_a_real_file_system_loses_nothing_that_was_acknowledged() {
    let mut volume = match Volume::make(IMAGE) {
        Ok(volume) => volume,
        Err(why) => return eprintln!("SKIPPED: no ext4 image can be mounted here: {why}"),
    };
    let cuts = std::env::var("TIDEGATE_POWER_CUTS").ok();
    let cuts = cuts.and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    let carrier = Simulator::start(simulator::Options::new("tidegate".parse().unwrap(), secret())).unwrap();
    let mounted = volume.mounted().display().to_string();
    let mut process = Process::start(Process::built(), |places| {
        let dir = places.dir.display();
        places
            .config(&[carrier.addr()], "")
            .replace(&format!("{dir}/data"), &format!("{mounted}/data"))
            .replace(&format!("{dir}/keys"), &format!("{mounted}/keys"))
            .replace(
                "auto_init = true\n",
                "auto_init = true\nsegment_size = \"1MiB\"\nlimit = \"128MiB\"\n",
            )
    })
    .await;
    let clients = Load::start(load::Options {
        binds: 4,
        window: 50,
        messages: cuts * MESSAGES,
        run: 7,
        ..load::Options::new(process.smpp(), "load".parse().unwrap(), secret()).unwrap()
    })
    .unwrap();
    for cut in 1..=cuts {
        let acknowledged = u64::from(cuts * MESSAGES) * u64::from(cut) / u64::from(cuts + 1);
        while clients.counts().acknowledged < acknowledged && !clients.wait(Duration::from_millis(2)) {}
        process.kill();
        volume.cut();
        process.spawn();
        process.ready().await;
    }
    while !clients.wait(Duration::from_millis(100)) {}
    let outcome = Outcome::new(&clients.join().unwrap(), Some(&carrier.stop().unwrap()));
    println!(
        "{cuts} power cuts: acknowledged {}, lost {}, altered {}, doubled {}",
        outcome.acknowledged, outcome.lost, outcome.altered, outcome.doubled
    );
    assert_eq!(
        outcome.acknowledged,
        u64::from(cuts * MESSAGES),
        "{}",
        process.stderr()
    );
    assert_eq!(
        (outcome.lost, outcome.altered),
        (0, 0),
        "{outcome}\n{}",
        process.stderr()
    );
    assert!(process.stop().await.success());
}
