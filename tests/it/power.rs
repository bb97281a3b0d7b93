//! Power cuts on a real file system: an ext4 image on a loop device, copied at the moment of the kill. What the system
//! only held in memory is not in the copy, which a kill alone never shows. Needs root; else it says SKIPPED.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_gateway::demo::report::Outcome;
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_tests::Process;

/// Cuts of the ordinary run; `TIDEGATE_POWER_CUTS` says otherwise.
const CUTS: u32 = 3;
/// Messages per cut.
const MESSAGES: u32 = 3_000;
/// Octets of the image.
const IMAGE: u64 = 400 << 20;

fn secret() -> Password {
    Password::new(b"secret", PASSWORD_MAX).unwrap()
}

fn run(program: &str, words: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// A file system in a file, mounted. Unmounted when dropped, whatever happens.
struct Volume {
    dir: TempDir,
    number: u32,
}

impl Volume {
    /// Makes and mounts it; says why that cannot be done here.
    fn make() -> Result<Self, String> {
        if !rustix::process::getuid().is_root() {
            return Err("not root".to_owned());
        }
        let dir = tempfile::Builder::new()
            .prefix("tidegate-power-")
            .tempdir()
            .map_err(|error| error.to_string())?;
        let volume = Self { dir, number: 0 };
        std::fs::create_dir(volume.mounted()).map_err(|error| error.to_string())?;
        let image = File::create(volume.image()).map_err(|error| error.to_string())?;
        image.set_len(IMAGE).map_err(|error| error.to_string())?;
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), volume.image().as_os_str()],
        )?;
        volume.mount()?;
        Ok(volume)
    }

    fn mounted(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join(format!("{}.img", self.number))
    }

    fn mount(&self) -> Result<(), String> {
        let (image, mounted) = (self.image(), self.mounted());
        run(
            "mount",
            &[
                "-o".as_ref(),
                "loop".as_ref(),
                image.as_os_str(),
                mounted.as_os_str(),
            ],
        )
    }

    /// Goes on with what the image holds now; what the system has in memory of the mounted one is lost.
    fn cut(&mut self) {
        let before = self.image();
        self.number += 1;
        std::fs::copy(&before, self.image()).unwrap();
        unmount(&self.mounted()).unwrap();
        std::fs::remove_file(before).unwrap();
        self.mount().unwrap();
    }
}

fn unmount(path: &Path) -> Result<(), String> {
    run("umount", &[path.as_os_str()])
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Its user may be ending still: then it goes as soon as that has.
        if unmount(&self.mounted()).is_err() {
            let _ = run("umount", &["-l".as_ref(), self.mounted().as_os_str()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_on_a_real_file_system_loses_nothing_that_was_acknowledged() {
    let mut volume = match Volume::make() {
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
