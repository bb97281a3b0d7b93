//! `tidegate hash-password`: a password in, a line for `password_hashes` out. The password is no argument,
//! since those end up in the shell's history and in process lists.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use serde_json::json;
use tidegate_codec::identity::{PASSWORD_MAX, PASSWORD_MAX_LENIENT, Password};
use zeroize::Zeroizing;

use super::{Outcome, Refusal};
use crate::credentials;
use crate::random;

/// Octets of a password that fits every bind (3.4 §5.2.2).
const USUAL: usize = PASSWORD_MAX - 1;
/// Octets of the longest one that a listener can be told to take.
const LONGEST: usize = PASSWORD_MAX_LENIENT - 1;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read the password from standard input, up to the line's end, although it is a terminal.
    #[arg(long)]
    stdin: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let typed = if args.stdin || !io::stdin().is_terminal() {
        read_line()?
    } else {
        ask()?
    };
    if typed.is_empty() {
        return Err(Refusal::new("the password is empty", json!({})));
    }
    let password = Password::new(typed.as_slice(), PASSWORD_MAX_LENIENT).map_err(|_| {
        Refusal::new(
            format!("the password has more than {LONGEST} octets or holds a NUL"),
            json!({}),
        )
    })?;
    let hash = credentials::hash_password(&password, &mut random::generator()?)?;
    let mut outcome = Outcome::new(hash.clone(), json!({ "hash": hash }));
    if password.expose().len() > USUAL {
        outcome.warnings.push(format!(
            "longer than {USUAL} octets, which is all that SMPP's password field holds: set \
             `limits.password_max`, and make sure that the client sends it whole"
        ));
    }
    if !password.expose().iter().all(|octet| (0x20..0x7f).contains(octet)) {
        outcome
            .warnings
            .push("not printable ASCII throughout: clients may send other octets for it".to_owned());
    }
    Ok(outcome)
}

/// The first line of standard input without its end. At most one octet more than fits, in one buffer that
/// is wiped.
fn read_line() -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut line = Zeroizing::new(Vec::with_capacity(2 * PASSWORD_MAX_LENIENT));
    let most = PASSWORD_MAX_LENIENT as u64 + 1;
    io::stdin().lock().take(most).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}

/// Twice, without echo.
fn ask() -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let once = |prompt| rpassword::prompt_password(prompt).map(|text| Zeroizing::new(text.into_bytes()));
    let first = once("Password: ")?;
    if *first != *once("Again: ")? {
        return Err(Refusal::new("the two are not the same", json!({})));
    }
    Ok(first)
}
