//! `tidegate subject`: requests of people about what is kept of them, in the running gateway.

use super::hold::shown;
use super::values::time;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, OpenAsk, Reading, Subjecting};
use crate::exports::Format;
use crate::subjects::{Asker, Right};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Take a request in: its clock runs from when it came.
    Open(Box<Open>),
    /// Say how identity, or authority, was verified: before that nothing is returned or destroyed.
    Verify {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, as `subject open` tells it.
        id: u32,
        /// How, such as "code sent to the number". It is sealed, and goes with the end of the request.
        #[arg(long)]
        proof: String,
    },
    /// Have it take longer, once and before its first date, where its place lets that be; the person is told why.
    Extend {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        id: u32,
        /// Why, as the person was told.
        #[arg(long)]
        reason: String,
    },
    /// Carry it out: what is begun is gone on with over a restart.
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        id: u32,
        /// csv or jsonl, of what is handed over.
        #[arg(long, value_name = "WORD", default_value = "jsonl", value_parser = format)]
        format: Format,
        /// Of a correction: what is wrong, and what was done about it.
        #[arg(long)]
        note: Option<String>,
    },
    /// Refuse it.
    Refuse {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        id: u32,
        /// Why, as the person was told.
        #[arg(long)]
        reason: String,
    },
    /// Show all requests and their dates, without anybody's number.
    List(ConfigFile),
    /// Show one; with a purpose its number and proof, too, which is entered in the audit log.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        id: u32,
        /// Why its person is looked at: support, billing, fraud or legal.
        #[arg(long, requires = "reason")]
        purpose: Option<String>,
        /// A ticket, a matter.
        #[arg(long, requires = "purpose")]
        reason: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Open {
    #[command(flatten)]
    file: ConfigFile,
    /// access, correct, erase, port, object or restrict.
    #[arg(value_parser = right)]
    right: Right,
    /// The person's number.
    number: String,
    /// About this account's data; without it the whole platform's.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: Option<String>,
    /// Who asks: the recipient, an account for its recipient, or the holder of an account.
    #[arg(long, value_name = "WORD", value_parser = asker)]
    from: Asker,
    /// Where the person is, such as DE or US-CA.
    #[arg(long)]
    place: Option<String>,
    /// Somebody below the age: an erasure that spans accounts and needs none's consent.
    #[arg(long)]
    minor: bool,
    /// When it came, such as 2026-01-31T00:00:00Z; now by default.
    #[arg(long, value_name = "TIME", value_parser = time)]
    received: Option<u64>,
}

fn right(word: &str) -> Result<Right, &'static str> {
    let found = Right::ALL.into_iter().find(|right| right.word() == word);
    found.ok_or("one of access, correct, erase, port, object, restrict")
}

fn asker(word: &str) -> Result<Asker, &'static str> {
    let found = Asker::ALL.into_iter().find(|asker| asker.word() == word);
    found.ok_or("one of recipient, account, holder")
}

fn format(word: &str) -> Result<Format, &'static str> {
    let found = Format::ALL.into_iter().find(|format| format.word() == word);
    found.ok_or("csv or jsonl")
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::Open(open) => {
            let ask = OpenAsk {
                right: open.right,
                to: open.number.clone(),
                account: open.account.clone(),
                asker: open.from,
                place: open.place.clone(),
                is_minor: open.minor,
                received_ms: open.received,
            };
            (&open.file, Subjecting::Open(Box::new(ask)))
        }
        Verb::Verify { file, id, proof } => {
            let (id, proof) = (*id, proof.clone());
            (file, Subjecting::Verify { id, proof })
        }
        Verb::Extend { file, id, reason } => {
            let (id, reason) = (*id, reason.clone());
            (file, Subjecting::Extend { id, reason })
        }
        Verb::Run {
            file,
            id,
            format,
            note,
        } => {
            let (id, format, note) = (*id, Some(*format), note.clone());
            (file, Subjecting::Run { id, format, note })
        }
        Verb::Refuse { file, id, reason } => {
            let (id, reason) = (*id, reason.clone());
            (file, Subjecting::Refuse { id, reason })
        }
        Verb::List(file) => (file, Subjecting::List),
        Verb::Show {
            file,
            id,
            purpose,
            reason,
        } => {
            let read = Reading::read(purpose.clone(), reason.clone());
            let reading = read.map_err(|why| Refusal::new(why, serde_json::Value::Null))?;
            (file, Subjecting::Show { id: *id, reading })
        }
    };
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &control::Verb::Subject(wanted))?;
    Ok(Outcome {
        text: shown(&fields),
        fields,
        ..Outcome::default()
    })
}
