//! The fixed words that labels may hold, besides names from the configuration.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::Counter;
use tidegate_codec::header::CommandId;
use tidegate_codec::session::CloseReason;
use tidegate_codec::status::CommandStatus;

use super::Telemetry;
use super::names::Metric;

/// A closed set of label values.
pub trait Word: Copy + 'static {
    /// All of them, in the order of [`Word::index`].
    const ALL: &'static [Self];

    /// The label's value.
    fn label(self) -> &'static str;

    /// Place in [`Word::ALL`].
    fn index(self) -> usize;
}

macro_rules! words {
    ($(#[doc = $doc:literal] $name:ident { $(#[doc = $what:literal] $variant:ident $label:literal)* })*) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $name { $(#[doc = $what] $variant),* }

            impl Word for $name {
                const ALL: &'static [Self] = &[$(Self::$variant),*];

                fn label(self) -> &'static str {
                    match self { $(Self::$variant => $label),* }
                }

                fn index(self) -> usize {
                    self as usize
                }
            }
        )*
    };
}

words! {
    /// Which side of the gateway a connection is on.
    Side {
        /// A client's.
        Esme "esme"
        /// A carrier's.
        Carrier "carrier"
        /// That of who runs it: the admin listener.
        Admin "admin"
    }

    /// Why a connection was closed before anything was read.
    ConnectionRefused {
        /// `limits.max_connections`.
        Full "full"
        /// `limits.max_connections_per_ip`.
        PerIp "per_ip"
        /// `limits.max_unbound_per_ip`.
        UnboundPerIp "unbound_per_ip"
        /// Too many binds from there have failed.
        Banned "banned"
        /// `limits.max_handshakes`.
        Handshakes "handshakes"
        /// The gateway is going down.
        ShuttingDown "shutting_down"
    }

    /// What ended a connection.
    LinkClosed {
        /// The TLS handshake came to nothing.
        Handshake "handshake"
        /// The framing was lost.
        BrokenFraming "broken_framing"
        /// Not bound in time.
        SessionInit "session_init"
        /// enquire_link was not answered.
        EnquireLink "enquire_link"
        /// A PDU was begun and not finished in time.
        PduRead "pdu_read"
        /// Unbound in good order.
        Unbound "unbound"
        /// Our unbind was not answered in time.
        UnbindWait "unbind_wait"
        /// Too many faulty requests in a row.
        Faults "faults"
        /// The peer asked for a bind that was not there to be asked for.
        Outbind "outbind"
        /// The peer closed without an unbind, or the connection broke.
        Lost "lost"
        /// The peer did not read what we wrote.
        Stalled "stalled"
        /// A bind was refused.
        BindRefused "bind_refused"
        /// Not bound when too many binds from there had failed.
        Banned "banned"
        /// The grace period of a shutdown was over.
        Shutdown "shutdown"
        /// A reload took it away before it was bound.
        Reload "reload"
    }

    /// Which standing rule refused a message.
    StandingRule {
        /// The country, or the number, is not open to the account.
        Country "country"
        /// The country needs an approval.
        Approval "approval"
        /// The recipient has opted out.
        OptOut "opt_out"
        /// The recipient is restricted.
        Restricted "restricted"
        /// It is marketing outside its recipient's hours.
        Hours "hours"
        /// It is marketing without a consent.
        Consent "consent"
        /// Its recipient has had as many as may be.
        Cap "cap"
        /// Somebody seems to pump codes.
        Pumping "pumping"
        /// A rule about content.
        Content "content"
        /// The sender is suspended.
        Sender "sender"
    }

    /// What is a sign that somebody pumps codes.
    AbuseRule {
        /// Too many to one number.
        Number "number"
        /// Too many to numbers that differ in their last four digits only.
        Prefix "prefix"
        /// Numbers that follow each other.
        Run "run"
        /// Hardly any that arrive, to a country or to such numbers.
        Completion "completion"
        /// More to a country than it gets in a day.
        Country "country"
        /// To a number of a kind that takes no messages.
        Suspect "suspect"
        /// To a country that is new to the account.
        NewCountry "new_country"
        /// Few of the account's arrive, wherever they go.
        Delivered "delivered"
        /// What a text says.
        Content "content"
    }

    /// Which table of the watch had no room.
    AbuseTable {
        /// Of numbers.
        Numbers "numbers"
        /// Of prefixes.
        Prefixes "prefixes"
        /// Of how many arrive.
        Completions "completions"
        /// Of countries and their days.
        Countries "countries"
        /// Of texts and their senders.
        Texts "texts"
    }

    /// What a handset's message was taken for.
    HandsetWord {
        /// No more messages.
        OptOut "opt_out"
        /// Messages again.
        OptIn "opt_in"
        /// Help.
        Help "help"
        /// Yes; to no question that waits for it it means nothing.
        Yes "yes"
        /// A phrase at which somebody should look.
        Flag "flag"
        /// One that had come before.
        Again "again"
        /// A carrier's receipt that says that its recipient has opted out.
        Carrier "carrier"
    }

    /// Why a held message is held no longer.
    HeldEnd {
        /// A person has released it.
        Released "released"
        /// A person has rejected it.
        Rejected "rejected"
        /// Its validity is over.
        Expired "expired"
        /// Its client has taken it back, or its account was closed.
        Deleted "deleted"
        /// It could not be read.
        Unreadable "unreadable"
    }

    /// What became of an answer of ourselves to a handset.
    ReplyEnd {
        /// It went out.
        Sent "sent"
        /// The account gives none.
        SwitchedOff "off"
        /// There were enough of them in a day.
        Enough "enough"
        /// No route leads back.
        NoRoute "no_route"
        /// The spool was full.
        NoRoom "no_room"
        /// The addresses or the text fit no message.
        Unwritable "unwritable"
        /// It would have asked somebody who has opted out.
        OptedOut "opted_out"
        /// It would have asked on behalf of an account that is suspended.
        Suspended "suspended"
    }

    /// What became of an attempt to bind.
    BindResult {
        /// Bound.
        Granted "granted"
        /// Wrong password.
        Denied "denied"
        /// Too many binds wait for their check.
        Busy "busy"
        /// From an address that the account does not allow.
        Address "address"
        /// The account is suspended.
        Suspended "suspended"
        /// A kind of bind that the account does not allow.
        Kind "kind"
        /// Over a connection that is less protected than the account asks for.
        Transport "transport"
        /// `max_binds`.
        TooMany "too_many"
    }

    /// What became of a TLS handshake.
    Handshake {
        /// TLS 1.3.
        Tls13 "tls1.3"
        /// TLS 1.2, by an exception.
        Tls12 "tls1.2"
        /// The peer offers no version that may be.
        Version "version"
        /// A certificate that is missing or not good.
        Certificate "certificate"
        /// Not in time.
        TimedOut "timed_out"
        /// Something else: no TLS at all, mostly, or the peer has gone.
        Failed "failed"
    }

    /// Why a connection to an HTTP listener came to no answer that was read.
    HttpCut {
        /// One connection of its address more than there may be.
        Address "address"
        /// One handshake more than there may be.
        Handshakes "handshakes"
        /// The TLS handshake came to nothing.
        Handshake "handshake"
        /// The head of its request was not there in time.
        Head "head"
        /// Its request was not answered in time.
        Request "request"
        /// It did not read its answer in time.
        Answer "answer"
        /// It was no HTTP, or a head too large.
        Malformed "malformed"
        /// The peer closed it.
        Gone "gone"
    }

    /// What became of a reload.
    ReloadResult {
        /// The file holds from now on.
        Applied "applied"
        /// Nothing was changed.
        Refused "refused"
    }

    /// Whose rate a submission is above.
    ThrottledBy {
        /// `link_rate`.
        Link "link"
        /// The account's `rate`.
        Account "account"
        /// The account's `country_rates`.
        Country "country"
        /// `limits.country_rates`.
        GatewayCountry "gateway_country"
    }

    /// What a carrier's answer to a submit means.
    Answered {
        /// It took the message.
        Accepted "accepted"
        /// It asks for less.
        Slow "slow"
        /// It may take the message later.
        Retry "retry"
        /// It will never take the message.
        Reject "reject"
        /// The link must be made anew.
        Relink "relink"
        /// Nobody knows: the answer could not be read.
        Unreadable "unreadable"
        /// It came when nobody waited for it any more.
        Late "late"
    }

    /// Kinds of receipts from carriers.
    ReceiptKind {
        /// A final state.
        Final "final"
        /// A state on the way.
        Intermediate "intermediate"
        /// For nothing we know.
        Orphan "orphan"
        /// Before the answer to its submit.
        Early "early"
        /// Refused because the pen is full.
        Refused "refused"
    }

    /// What became of a receipt whose leg may lie in a waiting file.
    LateReceipt {
        /// Its leg lay there.
        Found "found"
        /// It lay there and had ended.
        Ended "ended"
        /// It did not lie there after all.
        NotFound "not_found"
        /// A file could not be read: sent back.
        Failed "failed"
        /// Too many at once: sent back.
        Refused "refused"
    }

    /// Why the spool takes nothing in.
    SpoolCause {
        /// The disk's budget or the index is at its bound, or the disk is full.
        Full "full"
        /// A sync failed.
        Broken "broken"
    }

    /// What a start found.
    Recovered {
        /// Messages without a final state.
        Leg "leg"
        /// Receipts and messages that nobody fetched.
        Entry "entry"
        /// Messages that wait for a receipt in files.
        Waiting "waiting"
    }

    /// Damage that a start or a read found.
    Damage {
        /// A stretch of a segment that is no batch.
        Stretch "stretch"
        /// A batch that is missing.
        Gap "gap"
        /// A record that does not open.
        Record "record"
        /// A waiting file, or a part or record of one.
        Waiting "waiting"
        /// An outbox file, or a part or record of one.
        Outbox "outbox"
        /// The counts of used parts.
        Usage "usage"
        /// A stretch of the journal of opt-outs.
        OptOuts "opt_outs"
        /// What the history was to hold, a text at the least.
        History "history"
    }
}

impl From<CloseReason> for LinkClosed {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Broken(_) => Self::BrokenFraming,
            CloseReason::SessionInit => Self::SessionInit,
            CloseReason::EnquireLink => Self::EnquireLink,
            CloseReason::PduRead => Self::PduRead,
            CloseReason::Unbound => Self::Unbound,
            CloseReason::UnbindWait => Self::UnbindWait,
            CloseReason::Faults => Self::Faults,
            CloseReason::Outbind => Self::Outbind,
        }
    }
}

/// One counter for each word of a set, all there from the start, so that a rate is never missing.
#[derive(Clone, Debug)]
pub struct Family<W: Word> {
    counters: Box<[Counter]>,
    words: PhantomData<W>,
}

impl<W: Word> Family<W> {
    /// `labels` are those before the word's own, which is the last that `metric` declares.
    pub(super) fn new(telemetry: &Telemetry, metric: &Metric, labels: &[(&'static str, &str)]) -> Self {
        let last = metric.labels.last().copied().unwrap_or_default();
        let counters = W::ALL.iter().map(|word| {
            let mut labels = labels.to_vec();
            labels.push((last, word.label()));
            telemetry.counter(metric, &labels)
        });
        Self {
            counters: counters.collect(),
            words: PhantomData,
        }
    }

    /// The counter of a word.
    pub fn of(&self, word: W) -> &Counter {
        &self.counters[word.index()]
    }
}

/// One counter for each command_status, made when it is first needed: there are sixty, and most never
/// come. Only `other` is there from the start, so that the metric is. Those that SMPP does not define share the label `other`, or a peer could make series at will.
#[derive(Debug)]
pub(super) struct Statuses {
    telemetry: Telemetry,
    metric: &'static Metric,
    /// The label before `status`: its name and value.
    owner: (&'static str, String),
    /// In the order of [`CommandStatus::ALL`], `other` last.
    counters: Box<[OnceLock<Counter>]>,
}

impl Statuses {
    pub(super) fn new(telemetry: &Telemetry, metric: &'static Metric, owner: (&'static str, &str)) -> Self {
        let statuses = Self {
            telemetry: telemetry.clone(),
            metric,
            owner: (owner.0, owner.1.to_owned()),
            counters: (0..=CommandStatus::ALL.len()).map(|_| OnceLock::new()).collect(),
        };
        statuses.count(CommandStatus(u32::MAX), 0);
        statuses
    }

    pub(super) fn count(&self, status: CommandStatus, times: u64) {
        let place = CommandStatus::ALL.binary_search(&status);
        let place = place.unwrap_or(CommandStatus::ALL.len());
        let counter = self.counters[place].get_or_init(|| {
            let label = CommandStatus::ALL.get(place).and_then(|status| status.name());
            let owner = (self.owner.0, self.owner.1.as_str());
            let labels = [owner, ("status", label.unwrap_or("other"))];
            self.telemetry.counter(self.metric, &labels)
        });
        counter.increment(times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<W: Word>() {
        for (index, word) in W::ALL.iter().enumerate() {
            assert_eq!(word.index(), index, "{}", word.label());
            assert!(
                W::ALL[..index].iter().all(|other| other.label() != word.label()),
                "{} stands for two things",
                word.label()
            );
        }
    }

    #[test]
    fn every_word_has_its_own_label_and_place() {
        check::<LinkClosed>();
        check::<BindResult>();
        check::<ThrottledBy>();
        check::<Answered>();
        check::<ReceiptKind>();
        check::<LateReceipt>();
    }

    #[test]
    fn the_codec_and_the_metrics_call_an_end_by_the_same_word() {
        for reason in [
            CloseReason::SessionInit,
            CloseReason::EnquireLink,
            CloseReason::PduRead,
            CloseReason::Unbound,
            CloseReason::UnbindWait,
            CloseReason::Faults,
            CloseReason::Outbind,
        ] {
            assert_eq!(LinkClosed::from(reason).label(), reason.label());
        }
    }

    #[test]
    fn statuses_are_in_the_order_that_the_search_needs() {
        assert!(CommandStatus::ALL.is_sorted());
    }
}

/// One counter for each command and status that a session refused. Commands are labelled by their name,
/// ids of no command share one label, so the series are bounded by what SMPP defines.
#[derive(Debug)]
pub(super) struct Requests {
    telemetry: Telemetry,
    counters: Mutex<HashMap<(&'static str, &'static str), Counter>>,
}

impl Requests {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let requests = Self {
            telemetry: telemetry.clone(),
            counters: Mutex::default(),
        };
        // The metric is there from the start.
        requests.count(CommandId(u32::MAX), CommandStatus(u32::MAX), 0);
        requests
    }

    pub(super) fn count(&self, command: CommandId, status: CommandStatus, times: u64) {
        let labels = (
            command.name().unwrap_or("unknown"),
            status.name().unwrap_or("other"),
        );
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let labels = [("command", labels.0), ("status", labels.1)];
            self.telemetry.counter(&super::names::REQUESTS_REFUSED, &labels)
        };
        counters.entry(labels).or_insert_with(make).increment(times);
    }
}
