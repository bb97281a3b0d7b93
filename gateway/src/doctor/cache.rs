//! Whether what is synced is kept by the disk, and not by a cache that a power cut empties.

use super::device::Device;
use super::mount::Mount;
use super::{Finding, Site, nearest};

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let dir = nearest(&config.storage.data);
        let forgoes = Mount::of(&dir).is_some_and(|mount| mount.forgoes_flushes());
        vec![Device::of(&dir).map_or_else(
            || Finding::skipped("the kernel names no disk under this file system"),
            |device| judge(&device, forgoes),
        )]
    })
}

fn judge(device: &Device, forgoes_flushes: bool) -> Finding {
    let Device {
        name,
        has_cache,
        has_fua,
    } = device;
    if !has_cache {
        return Finding::ok(format!(
            "{name} says that it has no cache that a power cut empties, so that the kernel sends it no flush: see that this is so \
             (a battery, capacitors, the host of a virtual disk)"
        ));
    }
    let fua = if *has_fua { "with" } else { "without" };
    if forgoes_flushes {
        return Finding::error(
            format!("{name} has a cache that a power cut empties, and the mount has it not flushed"),
            "mount the file system without nobarrier and barrier=0",
        );
    }
    Finding::ok(format!(
        "{name} has a cache that a power cut empties, {fua} a way past it (FUA); each sync flushes it"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_cache_that_is_not_flushed_is_an_error() {
        let device = |has_cache: bool| Device {
            name: "sda".to_owned(),
            has_cache,
            has_fua: false,
        };
        for (has_cache, forgoes, level) in [
            (true, false, Level::Ok),
            (true, true, Level::Error),
            (false, true, Level::Ok),
            (false, false, Level::Ok),
        ] {
            assert_eq!(judge(&device(has_cache), forgoes).level, level);
        }
        assert!(judge(&device(false), false).found.contains("see that this is so"));
    }
}
