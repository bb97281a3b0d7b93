//! The parts of `README.md` that benches write: each between its two marks, and nothing else.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Puts a bench's results in the place of those that are there.
///
/// # Errors
///
/// The file cannot be read or written, or has no marks of this bench.
pub fn write(file: &Path, bench: &str, results: &str) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(file)?;
    fs::write(
        file,
        replace(&old, bench, results).ok_or("the two marks are not there")?,
    )?;
    Ok(())
}

fn replace(old: &str, bench: &str, results: &str) -> Option<String> {
    let begin = format!("<!-- {bench}: begin; written by the bench with --write -->");
    let end = format!("<!-- {bench}: end -->");
    let (before, rest) = old.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{results}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let old =
            "# A\n\n<!-- b: begin; written by the bench with --write -->\nold\n<!-- b: end -->\n\nmore\n";
        let new = replace(old, "b", "new").unwrap();
        assert!(new.starts_with("# A\n\n") && new.ends_with("\n\nmore\n") && !new.contains("old"));
        assert_eq!(replace(&new, "b", "new").unwrap(), new, "twice is as once");
        assert_eq!(replace("# A\n", "b", "new"), None);
        assert_eq!(replace(old, "c", "new"), None);
    }

    #[test]
    fn the_readme_has_the_marks() {
        for bench in ["admission", "codec", "end_to_end", "history", "messages"] {
            assert!(
                replace(include_str!("../README.md"), bench, "new").is_some(),
                "{bench}"
            );
        }
    }
}
