//! What `tidegate simulate-smsc` can be told, and what that makes of a carrier.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password, SystemId};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState};

use super::{Refusal, values};
use crate::simulator::{
    Delay, Dialect, Faults, IdForm, MoOptions, Options, Profile, Quirk, Share, VersionShown,
};

/// How the carrier behaves. An option that is named overrides what the profile says.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:2900")]
    pub(super) listen: SocketAddr,
    /// Ready-made behaviour; options below change it.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// A single oddity of real carriers; may be given more than once.
    #[arg(long = "quirk", value_enum, value_name = "NAME")]
    quirks: Vec<Quirk>,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The only system_id that may bind; any may without.
    #[arg(long, value_name = "ID", help_heading = "Binds")]
    system_id: Option<SystemId>,
    /// Its password. Process lists show it: for test passwords only.
    #[arg(
        long,
        requires = "system_id",
        conflicts_with = "password_file",
        help_heading = "Binds"
    )]
    password: Option<String>,
    /// A file with its password in the first line.
    #[arg(long, requires = "system_id", value_name = "FILE", help_heading = "Binds")]
    password_file: Option<PathBuf>,
    /// system_id in bind responses.
    #[arg(long, default_value = "simulator", value_name = "ID", help_heading = "Binds")]
    name: SystemId,
    /// Refuse every bind with this status.
    #[arg(long, value_name = "STATUS", value_parser = error_status, help_heading = "Binds")]
    refuse_binds: Option<CommandStatus>,
    /// Links that may be bound at a time; 0x05 for one more.
    #[arg(long, value_name = "N", help_heading = "Binds")]
    max_binds: Option<usize>,
    /// sc_interface_version in bind responses; the peer's own without this option.
    #[arg(long, value_name = "none|3.3|3.4|5.0", value_parser = version, help_heading = "Binds")]
    answer_version: Option<VersionShown>,

    /// How long a submit waits for its answer.
    #[arg(long, value_name = "TIME", value_parser = values::delay, help_heading = "Answers")]
    response_delay: Option<Duration>,
    /// By how much longer at most, evenly spread.
    #[arg(long, value_name = "TIME", value_parser = values::delay, help_heading = "Answers")]
    response_jitter: Option<Duration>,
    /// Refuse a share of all messages with a status, as in `RSYSERR=2%`; may be given more than once, up to 100 % together
    /// with what the profile refuses.
    #[arg(long, value_name = "STATUS=SHARE", value_parser = refusal, help_heading = "Answers")]
    refuse: Vec<(CommandStatus, Share)>,
    /// Messages a second, with one second's worth at once after a quiet time; more are refused.
    #[arg(long, value_name = "N", help_heading = "Answers")]
    rate: Option<NonZeroU32>,
    /// What messages above the rate are refused with; RTHROTTLED unless given.
    #[arg(long, value_name = "STATUS", value_parser = error_status, help_heading = "Answers")]
    throttle_status: Option<CommandStatus>,
    /// Submits that may be unanswered on a link; one more is refused. Those that are never answered (--unanswered) keep
    /// their place for good.
    #[arg(long, value_name = "N", help_heading = "Answers")]
    max_window: Option<usize>,
    /// What submits above the window are refused with; RMSGQFUL unless given.
    #[arg(long, value_name = "STATUS", value_parser = error_status, help_heading = "Answers")]
    window_status: Option<CommandStatus>,
    /// Take this share of all messages and never answer.
    #[arg(long, value_name = "SHARE", help_heading = "Answers")]
    unanswered: Option<Share>,
    /// How ids are written in answers.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Answers"
    )]
    response_id: IdForm,

    /// How receipts are worded.
    #[arg(long, value_enum, default_value_t, help_heading = "Receipts")]
    dialect: Dialect,
    /// How ids are written in receipts.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Receipts"
    )]
    receipt_id: IdForm,
    /// How long a receipt is held back.
    #[arg(long, value_name = "TIME", value_parser = values::delay, help_heading = "Receipts")]
    receipt_delay: Option<Duration>,
    /// By how much longer at most, evenly spread.
    #[arg(long, value_name = "TIME", value_parser = values::delay, help_heading = "Receipts")]
    receipt_jitter: Option<Duration>,
    /// Messages that are not delivered.
    #[arg(long, value_name = "SHARE", default_value = "0", help_heading = "Receipts")]
    failures: Share,
    /// What the receipts of those tell, in the word of a receipt.
    #[arg(long, value_name = "STAT", value_parser = state, default_value = "UNDELIV", help_heading = "Receipts")]
    failure_state: MessageState,
    /// Receipts that are never sent.
    #[arg(long, value_name = "SHARE", default_value = "0", help_heading = "Receipts")]
    lose_receipts: Share,
    /// Deliveries that may be unanswered on a link.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = clap::value_parser!(u16).range(1..=10_000),
        help_heading = "Receipts"
    )]
    window: u16,

    /// Reset a link every so many messages, give or take half, without answering the last one.
    #[arg(long, value_name = "N", help_heading = "Faults")]
    reset_every: Option<NonZeroU32>,
    /// Unbind a link every so many messages.
    #[arg(long, value_name = "N", help_heading = "Faults")]
    unbind_every: Option<NonZeroU32>,
    /// Let a link fall silent, half open, every so many messages.
    #[arg(long, value_name = "N", help_heading = "Faults")]
    silent_every: Option<NonZeroU32>,

    /// Messages a second that handsets send.
    #[arg(long, value_name = "N", help_heading = "Mobile-originated messages")]
    mo_rate: Option<NonZeroU32>,
    /// How many in all; without end without.
    #[arg(
        long,
        value_name = "N",
        requires = "mo_rate",
        help_heading = "Mobile-originated messages"
    )]
    mo_messages: Option<u32>,
    /// Who sends.
    #[arg(
        long,
        default_value = "+447700900001",
        value_name = "ADDR",
        value_parser = values::address,
        help_heading = "Mobile-originated messages"
    )]
    mo_from: AddressBuf,
    /// The number that is called.
    #[arg(
        long,
        default_value = "12345",
        value_name = "ADDR",
        value_parser = values::address,
        help_heading = "Mobile-originated messages"
    )]
    mo_to: AddressBuf,
    /// The text, up to 200 octets, in GSM 03.38 if that has all of it and in UCS-2 if not; numbered ones without.
    #[arg(long, value_name = "TEXT", help_heading = "Mobile-originated messages")]
    mo_text: Option<String>,

    /// End after this time.
    #[arg(long, value_name = "TIME", value_parser = values::duration, help_heading = "End")]
    pub(super) duration: Option<Duration>,
    /// End when so many messages are taken and all that is owed for them is delivered.
    #[arg(long, value_name = "N", help_heading = "End")]
    pub(super) messages: Option<u64>,
    /// With --messages: end, and fail, when nothing happens for so long.
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "30s", help_heading = "End")]
    pub(super) patience: Duration,
}

impl Args {
    /// The carrier that this describes, but for who may bind.
    pub(super) fn options(&self) -> Options {
        let mut options = Options::open(self.name).with(self.profile);
        options.listen = self.listen;
        options.version_shown = self.answer_version.unwrap_or(VersionShown::Peers);
        options.refuse_binds = self.refuse_binds;
        options.binds_max = self.max_binds.or(options.binds_max);
        change(
            &mut options.response_delay,
            self.response_delay,
            self.response_jitter,
        );
        change(
            &mut options.receipt_delay,
            self.receipt_delay,
            self.receipt_jitter,
        );
        options.refusals.extend(self.refuse.iter().copied());
        override_limit(
            &mut options.rate,
            self.rate,
            self.throttle_status,
            CommandStatus::RTHROTTLED,
        );
        override_limit(
            &mut options.submits_max,
            self.max_window,
            self.window_status,
            CommandStatus::RMSGQFUL,
        );
        options.unanswered = self.unanswered.unwrap_or(options.unanswered);
        options.response_id = self.response_id;
        options.receipt_id = self.receipt_id;
        options.dialect = self.dialect;
        options.failures = (self.failures, self.failure_state);
        options.lost_receipts = self.lose_receipts;
        options.window = usize::from(self.window);
        options.faults = Faults {
            reset_every: self.reset_every.or(options.faults.reset_every),
            unbind_every: self.unbind_every.or(options.faults.unbind_every),
            silent_every: self.silent_every.or(options.faults.silent_every),
            dead: options.faults.dead,
        };
        options.mo = MoOptions {
            rate: self.mo_rate,
            messages: self.mo_messages,
            from: self.mo_from.clone(),
            to: self.mo_to.clone(),
            text: self.mo_text.clone(),
        };
        options.quirks = self.quirks.iter().copied().collect();
        options.seed = self.seed;
        options
    }

    /// Who may bind, if not everybody, and whether others can read the password's file.
    pub(super) fn credentials(&self) -> Result<(Option<(SystemId, Password)>, bool), Refusal> {
        let Some(system_id) = self.system_id else {
            return Ok((None, false));
        };
        let found = values::password(self.password.clone(), self.password_file.clone(), None)?;
        let (password, exposed) = found.map_or_else(
            || Ok((Password::new(b"", PASSWORD_MAX_LENIENT)?, false)),
            Ok::<_, Refusal>,
        )?;
        Ok((Some((system_id, password)), exposed))
    }
}

fn change(delay: &mut Delay, least: Option<Duration>, jitter: Option<Duration>) {
    delay.least = least.unwrap_or(delay.least);
    delay.jitter = jitter.unwrap_or(delay.jitter);
}

/// A limit and what is refused above it: both may come from the profile, from the command line, or one from each.
fn override_limit<T: Copy>(
    limit: &mut Option<(T, CommandStatus)>,
    most: Option<T>,
    status: Option<CommandStatus>,
    usual: CommandStatus,
) {
    let profile = *limit;
    *limit = most.or(profile.map(|(most, _)| most)).map(|most| {
        let status = status.or(profile.map(|(_, status)| status));
        (most, status.unwrap_or(usual))
    });
}

fn version(text: &str) -> Result<VersionShown, &'static str> {
    match text {
        "none" => Ok(VersionShown::Absent),
        "3.3" => Ok(VersionShown::Always(InterfaceVersion::V3_3)),
        "3.4" => Ok(VersionShown::Always(InterfaceVersion::V3_4)),
        "5.0" => Ok(VersionShown::Always(InterfaceVersion::V5_0)),
        _ => Err("give none, 3.3, 3.4 or 5.0"),
    }
}

fn refusal(text: &str) -> Result<(CommandStatus, Share), String> {
    let (status, share) = text
        .split_once('=')
        .ok_or("give STATUS=SHARE, such as RSYSERR=2%")?;
    Ok((error_status(status)?, share.parse()?))
}

fn error_status(text: &str) -> Result<CommandStatus, String> {
    let status: CommandStatus = text.parse().map_err(|error| format!("{error}"))?;
    if status.is_ok() {
        return Err("ESME_ROK refuses nothing".to_owned());
    }
    Ok(status)
}

fn state(text: &str) -> Result<MessageState, &'static str> {
    let is_named = |state: &&MessageState| state.is_final() && state.stat().eq_ignore_ascii_case(text);
    let state = MessageState::ALL.iter().find(is_named).copied();
    state.ok_or("give DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD or SKIPPED")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn options(line: &str) -> Options {
        let line = std::iter::once("simulate-smsc").chain(line.split_whitespace());
        Line::try_parse_from(line).unwrap().args.options()
    }

    #[test]
    fn an_option_overrides_the_profile_and_leaves_the_rest_of_it() {
        let flaky = options("--profile flaky");
        assert_eq!(flaky.faults.reset_every, NonZeroU32::new(10_000));
        let changed = options("--profile flaky --reset-every 7 --response-delay 2ms --refuse RTHROTTLED=1%");
        assert_eq!(changed.faults.reset_every, NonZeroU32::new(7));
        assert_eq!(changed.faults.unbind_every, flaky.faults.unbind_every);
        assert_eq!(changed.response_delay.least, Duration::from_millis(2));
        assert_eq!(changed.response_delay.jitter, flaky.response_delay.jitter);
        assert_eq!(changed.refusals.len(), flaky.refusals.len() + 1);
        let capped = options("--profile capped --max-window 3 --window-status 0x58");
        assert_eq!(capped.submits_max, Some((3, CommandStatus::RTHROTTLED)));
        assert_eq!(capped.binds_max, Some(1));
        let of_the_profile = options("--profile capped --window-status 0x45");
        assert_eq!(of_the_profile.submits_max, Some((10, CommandStatus(0x45))));
        let throttling = options("--profile throttling --throttle-status RMSGQFUL");
        assert_eq!(
            throttling.rate,
            NonZeroU32::new(500).map(|rate| (rate, CommandStatus::RMSGQFUL))
        );
        let usual = options("--rate 3");
        assert_eq!(
            usual.rate,
            NonZeroU32::new(3).map(|rate| (rate, CommandStatus::RTHROTTLED))
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "--password x",
            "--refuse RSYSERR",
            "--refuse ROK=1%",
            "--refuse-binds 0",
            "--rate 1 --throttle-status ROK",
            "--max-window 1 --window-status 0x0",
            "--refuse RSYSERR=101%",
            "--failure-state ENROUTE",
            "--answer-version 4",
            "--response-delay 5",
            "--quirk none-such",
            "--rate 0",
            "--mo-messages 5",
        ] {
            let words = std::iter::once("simulate-smsc").chain(line.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
