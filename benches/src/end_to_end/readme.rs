//! The part of `benches/README.md` that the bench writes: between two marks, and nothing else.

use std::fs;
use std::path::Path;

use super::Fallible;

/// The file, from the top of the tree.
pub(super) const FILE: &str = "benches/README.md";
/// The plot, from the top of the tree; the file names it relative to itself.
pub(super) const PLOT: &str = "benches/end_to_end.svg";

const BEGIN: &str = "<!-- end_to_end: begin; written by the bench with --write -->";
const END: &str = "<!-- end_to_end: end -->";
const IMAGE: &str =
    "![Throughput, CPU per message and latency of gateway and relay, by cell](end_to_end.svg)";

/// Puts these results in the place of those that are there.
pub(super) fn write(file: &Path, results: &str) -> Fallible<()> {
    let old = fs::read_to_string(file)?;
    fs::write(file, replace(&old, results).ok_or("the two marks are not there")?)?;
    Ok(())
}

fn replace(old: &str, results: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{IMAGE}\n\n{results}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let old = format!("# A\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let new = replace(&old, "new").unwrap();
        assert!(new.starts_with("# A\n\n") && new.ends_with("\n\nmore\n") && !new.contains("old"));
        assert_eq!(replace(&new, "new").unwrap(), new, "twice is as once");
        assert_eq!(replace("# A\n", "new"), None);
    }

    #[test]
    fn the_readme_has_the_marks() {
        assert!(replace(include_str!("../../README.md"), "new").is_some());
    }
}
