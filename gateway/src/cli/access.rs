//! `tidegate access`: who may open records of people, by role, and break-glass in the running gateway.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::hold::shown;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::access::table::{FileOf, TABLE};
use crate::access::{Depth, SECONDS_MAX, SECONDS_MIN};
use crate::admin::name;
use crate::control::{self, Accessing};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which role may open which records, for which purpose.
    Table,
    /// Let a token of role operate at an account's finished messages for a while. The account is told.
    BreakGlass {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose messages.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: String,
        /// How far: meta, numbers; or body, numbers and texts.
        #[arg(long, value_name = "WORD", value_parser = depth)]
        class: Depth,
        /// Why.
        #[arg(long)]
        reason: String,
        /// The ticket that it is for.
        #[arg(long)]
        ticket: String,
        /// For how long, 4h at most.
        #[arg(long = "for", value_name = "TIME", value_parser = length)]
        length: Duration,
        /// Which token.
        #[arg(long, value_parser = name)]
        token: String,
    },
    /// Show who was let at which account's messages, and who still is.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// This account only.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
    },
    /// End one before its time.
    End {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u64,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

fn depth(word: &str) -> Result<Depth, &'static str> {
    let mut all = Depth::ALL.into_iter();
    all.find(|depth| depth.word() == word).ok_or("meta or body")
}

fn length(text: &str) -> Result<Duration, &'static str> {
    let length = super::values::duration(text)?;
    let fits = (SECONDS_MIN..=SECONDS_MAX).contains(&length.as_secs());
    fits.then_some(length).ok_or("a time of 5m to 4h")
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::Table => return Ok(table()),
        Verb::BreakGlass {
            file,
            account,
            class,
            reason,
            ticket,
            length,
            token,
        } => {
            let wanted = Accessing::BreakGlass {
                account: account.clone(),
                class: *class,
                reason: reason.clone(),
                ticket: ticket.clone(),
                seconds: length.as_secs(),
                token: Some(token.clone()),
            };
            (file, wanted)
        }
        Verb::List { file, account } => {
            let account = account.clone();
            (file, Accessing::List { account })
        }
        Verb::End { file, number, reason } => {
            let (number, reason) = (*number, reason.clone());
            (file, Accessing::End { number, reason })
        }
    };
    let data = read_config(&file.config)?.storage.data;
    let fields = control::ask(&data, &control::Verb::Access(wanted))?;
    Ok(Outcome {
        text: shown(&fields),
        fields,
        ..Outcome::default()
    })
}

fn table() -> Outcome {
    let mut text = String::new();
    for right in TABLE {
        // A String takes everything.
        let _ = writeln!(
            text,
            "{:<19} {:<8} opens {:<22} for {:<31}{} ({})",
            right.verb,
            right.role.word(),
            match right.file {
                None => right.classes.join(", "),
                Some(file) => format!("{} of {}", right.classes.join(", "), file.word()),
            },
            right.purposes.join(", "),
            if right.glass { "; break-glass" } else { "" },
            right.source,
        );
    }
    let rights = TABLE.iter().map(|right| {
        json!({
            "verb": right.verb,
            "role": right.role.word(),
            "file": right.file.map(FileOf::word),
            "classes": right.classes,
            "purposes": right.purposes,
            "break_glass": right.glass,
            "source": right.source,
        })
    });
    Outcome::new(text.trim_end(), json!({ "rights": rights.collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `control/exporting.rs` enforces, as `exports::is_for` of the tests with a process finds it.
    #[test]
    fn the_table_says_of_each_kind_of_file_who_reads_it() {
        let told = table();
        let rights = told.fields["rights"].as_array().unwrap();
        let reading = rights.iter().filter(|right| right["verb"] == "export read");
        let reading: Vec<_> = reading
            .map(|right| (right["file"].as_str().unwrap(), right["role"].as_str().unwrap()))
            .collect();
        assert_eq!(
            reading,
            [
                ("account", "privacy"),
                ("disclosure", "legal"),
                ("request", "subject")
            ]
        );
        assert!(told.text.contains("export of disclosure"), "{}", told.text);
    }
}
