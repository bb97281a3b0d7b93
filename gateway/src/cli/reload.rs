//! `tidegate reload`: has the running gateway read its configuration again.

use std::path;

use serde_json::Value;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, Verb};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Only say what would change, and what speaks against it.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    // A file that does not hold is told here with its lines; the data directory in it says where to ask.
    let storage = read_config(&args.file.config)?.storage;
    let request = Verb::Reload {
        dry_run: args.dry_run,
        file: Some(path::absolute(&args.file.config)?),
    };
    let mut fields = control::ask(&storage.data, &request)?;
    fields.insert("dry_run".to_owned(), Value::Bool(args.dry_run));
    let lines = |key: &str| -> Vec<String> {
        let lines = fields.get(key).and_then(Value::as_array).into_iter().flatten();
        lines.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (mut text, reasons) = (lines("changes"), lines("reasons"));
    if !reasons.is_empty() {
        return Err(Refusal {
            reason: reasons.join("\n"),
            fields,
        });
    }
    text.push(match (text.len(), args.dry_run) {
        (0, _) => "nothing differs".to_owned(),
        (count, true) => format!("would be taken over; changes: {count}"),
        (count, false) => format!("taken over; changes: {count}"),
    });
    Ok(Outcome {
        text: text.join("\n"),
        fields,
        ..Outcome::default()
    })
}
