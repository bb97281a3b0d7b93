//! Whether a process that dies leaves its memory, with keys and texts, in a core file.
//!
//! The program forbids it by itself before it reads a key (`hardening`); this process has done the same, so that it shows here.

use std::fs;

use super::{Finding, Site};

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let running = site
        .running
        .pid()
        .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok())
        .and_then(|limits| core_limit(&limits));
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    vec![judge(
        site.hardened.is_whole(),
        running.as_deref(),
        pattern.trim(),
    )]
}

/// How large a core file of a process may be, as its lines of limits say.
fn core_limit(limits: &str) -> Option<String> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))?;
    line.split_whitespace().nth(4).map(str::to_owned)
}

fn judge(is_hardened: bool, running: Option<&str>, pattern: &str) -> Finding {
    const REMEDY: &str = "set LimitCORE=0 in the unit and let no seccomp profile forbid prctl and setrlimit; \
                          `coredumpctl` and the directory of core_pattern may hold earlier ones";
    match running {
        _ if !is_hardened => Finding::error(
            format!(
                "core files cannot be forbidden here (core_pattern {pattern:?}): they would hold keys and texts"
            ),
            REMEDY,
        ),
        Some(limit) if limit != "0" => Finding::error(
            format!("the gateway that runs may leave core files (limit {limit}, core_pattern {pattern:?})"),
            REMEDY,
        ),
        Some(_) => Finding::ok("the gateway that runs leaves no core file"),
        None => Finding::ok("the program forbids core files, and looks into it, before it reads a key"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_core_file_that_may_come_to_be_is_an_error() {
        let line = "Max core file size        0                    0                    bytes     ";
        assert_eq!(core_limit(line).as_deref(), Some("0"));
        for (is_hardened, running, level) in [
            (true, None, Level::Ok),
            (true, Some("0"), Level::Ok),
            (true, Some("unlimited"), Level::Error),
            (false, None, Level::Error),
        ] {
            assert_eq!(judge(is_hardened, running, "core").level, level);
        }
    }
}
