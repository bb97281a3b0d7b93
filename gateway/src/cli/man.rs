//! `tidegate man`: the man pages, made of the definition of the command line, so that they say what `--help` says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;
use serde_json::json;

use super::{Cli, Outcome, Refusal};

/// What the foot of a page says it is of.
const SOURCE: &str = concat!("tidegate ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there. Pages that lie there already are replaced.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let shown = args.directory.display();
    let failed = |error: io::Error| Refusal::new(format!("{shown}: {error}"), json!({}));
    fs::create_dir_all(&args.directory).map_err(failed)?;
    // A page for `help help` would say nothing.
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut files = Vec::new();
    write(&cli, &args.directory, &mut files).map_err(failed)?;
    files.sort();
    Ok(Outcome::new(
        format!("{} pages in {shown}", files.len()),
        json!({ "directory": shown.to_string(), "files": files }),
    ))
}

/// The page of a verb and those of the verbs below it.
fn write(command: &clap::Command, directory: &Path, files: &mut Vec<String>) -> io::Result<()> {
    let page = Man::new(command.clone()).source(SOURCE).manual("Tidegate");
    page.generate_to(directory)?;
    files.push(page.get_filename());
    command
        .get_subcommands()
        .try_for_each(|below| write(below, directory, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_that_names_its_options() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("man");
        let outcome = run(&Args {
            directory: directory.clone(),
        })
        .unwrap();
        let there = fs::read_dir(&directory).unwrap().count();
        assert_eq!(outcome.fields["files"].as_array().map(Vec::len), Some(there));
        let page = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        assert!(
            page("tidegate.1").contains("tidegate\\-queue(1)"),
            "what is below is named"
        );
        assert!(page("tidegate-queue-list.1").contains("\\-\\-limit"));
        assert!(page("tidegate-init.1").contains("\\-\\-if\\-absent"));
        assert!(!directory.join("tidegate-help.1").exists());
    }
}
