//! `tidegate completions`: what a shell needs to complete the command line, made of its definition.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Outcome, Refusal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
    let script = String::from_utf8(script)?;
    let fields = json!({ "shell": args.shell.to_string(), "script": script });
    Ok(Outcome::new(script.trim_end(), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_a_script_with_verbs_below_verbs_and_their_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = run(&Args { shell }).unwrap().text;
            for word in ["simulate-smsc", "rotate-kek", "if-absent"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
