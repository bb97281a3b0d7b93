//! A file system of its own: an ext4 image on a loop device. Needs root.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

fn run(program: &str, words: &[&OsStr]) -> Result<(), String> {
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
pub(crate) struct Volume {
    dir: TempDir,
    number: u32,
}

impl Volume {
    /// Makes and mounts one of so many octets; says why that cannot be done here.
    pub(crate) fn make(octets: u64) -> Result<Self, String> {
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
        image.set_len(octets).map_err(|error| error.to_string())?;
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), volume.image().as_os_str()],
        )?;
        volume.mount()?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub(crate) fn mounted(&self) -> PathBuf {
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

    /// From now on nothing can be written there.
    pub(crate) fn mount_read_only(&self) -> Result<(), String> {
        let mounted = self.mounted();
        run(
            "mount",
            &["-o".as_ref(), "remount,ro".as_ref(), mounted.as_os_str()],
        )
    }

    /// Goes on with what the image holds now; what the system has in memory of the mounted one is lost.
    pub(crate) fn cut(&mut self) {
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
