//! Our contract with one SMSC.

mod read;
mod texts;
mod verdicts;
mod writing;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::identity::SystemId;
pub use tidegate_codec::receipt::IdBase;
use tidegate_codec::values::InterfaceVersion;

use crate::country_rates::CountryRates;
use crate::endpoint::Endpoint;
use crate::tls::{CarrierTls, Exception};

pub(crate) use read::{INSTEAD, name, read};
pub(crate) use texts::ALPHABETS;
pub use texts::{LongMessages, Texts};
pub use verdicts::{StatusMeaning, Verdicts};
pub use writing::{AddedTlv, CarrierNumbers, TonNpi, Writing};

/// One `[[carrier]]`. Its `name` is unique in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Key `name`, required: what routes, logs and metrics call it.
    pub name: CarrierName,
    /// Key `addresses`, required, 1 to 16: `host:port`, tried in turn from the first.
    pub addresses: Vec<Endpoint>,
    /// Key `local_address`, default absent (the system chooses): the address to connect from, where the
    /// carrier's allow-list wants one.
    pub local_address: Option<IpAddr>,
    /// Key `tls`, default absent: plain TCP.
    pub tls: Option<CarrierTls>,
    /// Key `clear_text`, required without `tls` where an address is not this machine: `{ name = "…", until = … }`, in whose name
    /// and until when its links may be in clear text (SEC-1). No new one is made afterwards, and what an account that asks for
    /// TLS 1.3 sends, by its `min_transport` or by its retention profile, never goes there.
    pub clear_text: Option<Exception>,
    /// Key `binds`, default `"trx"`.
    pub binds: CarrierBinds,
    /// Key `links`, default 1, 1 to 64: links at a time; with `"tx+rx"` pairs of connections.
    pub links: usize,
    /// Key `window`, default 10, 1 to 10 000: submits of one link that may stand unanswered. 10 is the
    /// guideline of 3.4 (interop quirk 31); more throws a carrier that did not agree to it.
    pub window: usize,
    /// Key `rate`, parts per second over all links, default 0 (`None`: as the window allows), at most
    /// 1 000 000.
    pub rate: Option<NonZeroU32>,
    /// Key `country_rates`, default `{}`: the same to some countries, evenly: with hardly a burst, unlike `rate`. What goes
    /// to a country whose rate is used up waits, and nothing else waits for it.
    pub country_rates: CountryRates,
    /// Key `opted_out_codes`, default `[]`, at most 64 of 1 to 8 characters: codes in the `err:` of its receipts that mean
    /// that the recipient has opted out there (OPT-28). Numbers are equal whatever zeros stand before them.
    pub opted_out_codes: Vec<String>,
    /// Key `system_id`, required: our name there.
    pub system_id: SystemId,
    /// Key `password_file` or `password_env`, exactly one: where the password is found.
    pub password: SecretSource,
    /// Key `system_type`, default empty: at most 12 printable ASCII characters.
    pub system_type: String,
    /// Key `addr_ton`, default 0: TON of the bind's address_range.
    pub addr_ton: Ton,
    /// Key `addr_npi`, default 0: NPI of the bind's address_range.
    pub addr_npi: Npi,
    /// Key `address_range`, default empty: at most 40 printable ASCII characters, as the carrier says.
    pub address_range: String,
    /// Key `interface_version`, `"3.3"`, `"3.4"` or `"5.0"`, default `"3.4"`: what we bind with. 3.3 has
    /// no bind_transceiver, so it wants `binds = "tx+rx"`.
    pub interface_version: InterfaceVersion,
    /// Key `assume_version`, the same words, default `"3.4"`: what a carrier speaks whose bind response
    /// has no sc_interface_version. By the text that means no TLVs, in practice most are 3.4
    /// (smpp-session §7.4).
    pub assume_version: InterfaceVersion,
    /// Key `default_validity`, default 24 h or `max_validity` if that is less, 1 s to 30 d: of messages
    /// for which neither the submit nor its account states one.
    pub default_validity: Duration,
    /// Key `max_validity`, default 72 h, 1 s to 30 d: longer ones are cut to it at hand-over.
    pub max_validity: Duration,
    /// Key `receipt_deadline`, default 74 h, 1 s to 31 d: from hand-over; a leg that asked for a receipt
    /// and has none by then is UNKNOWN (failures only asked: ACCEPTED). The default is `max_validity` and
    /// two hours, since an EXPIRED comes when the validity is over.
    pub receipt_deadline: Duration,
    /// Key `request_receipts`, default `"as-asked"`.
    pub request_receipts: ReceiptRequest,
    /// Table `id_base`, default both as given.
    pub id_base: IdBases,
    /// Key `unanswered`, default `"resend"`: what becomes of a submit without an answer (interop #30).
    pub unanswered: Unanswered,
    /// Key `connect`, default 10 s, 100 ms to 5 min: for one address's TCP connection.
    pub connect: Duration,
    /// Key `bind_response`, default 10 s, 100 ms to 5 min: for the answer to our bind.
    pub bind_response: Duration,
    /// Key `enquire_link`, default 30 s, 100 ms to 1 h: silence after which we ask. Longer than
    /// `enquire_link_response`.
    pub enquire_link: Duration,
    /// Key `enquire_link_response`, default 10 s, 50 ms to 10 min: then the link is dead.
    pub enquire_link_response: Duration,
    /// Key `response`, default 30 s, 100 ms to 10 min: for the answer to a submit; then `unanswered`
    /// says what happens.
    pub response: Duration,
    /// Key `reconnect_min`, default 5 s, 10 ms to 1 h: pause before the first attempt after a lost link;
    /// doubles, with jitter, up to `reconnect_max` (smpp-session §6).
    pub reconnect_min: Duration,
    /// Key `reconnect_max`, default 60 s, 10 ms to 1 h, not below `reconnect_min`.
    pub reconnect_max: Duration,
    /// Key `detect_receipts_by_text`, default false: deliveries with esm_class 0 whose text reads as a
    /// receipt are receipts (interop quirk 9). Off, because an MO may begin with `id:`.
    pub detect_receipts_by_text: bool,
    /// Table `verdicts`, default as most carriers mean their statuses.
    pub verdicts: Verdicts,
    /// Key `max_attempts`, default 10, 1 to 1 000: hand-overs of one leg that may end in Retry, or without an
    /// answer, before it is given up. Throttling and lost links do not count (interop #25, #32).
    pub max_attempts: u32,
    /// Key `retry_min`, default 5 s, 10 ms to 24 h: pause of a leg after its first Retry; doubles up to
    /// `retry_max`.
    pub retry_min: Duration,
    /// Key `retry_max`, default 10 min, 10 ms to 24 h, not below `retry_min`.
    pub retry_max: Duration,
    /// How addresses and TLVs are written there.
    pub writing: Writing,
    /// How texts are written there.
    pub texts: Texts,
    /// Key `prices`, default absent: a file of comma-separated values, what a part costs by network or prefix.
    pub prices: Option<PathBuf>,
    /// Key `takes_over`, default `[]`, at most 64: names of carriers that the file no longer has, none in two lists. What
    /// waits for one of them when a reload takes it away goes here, whatever the routes say; without a place to go the
    /// reload is refused while something waits.
    pub takes_over: Vec<CarrierName>,
}

/// A carrier's name: 1 to 32 of `a`–`z`, `0`–`9`, `_` and `-`, so that it can be a metric's label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierName(String);

impl CarrierName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CarrierName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The binds of one link to a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierBinds {
    /// `"trx"`: one connection, bound as transceiver.
    Transceiver,
    /// `"tx+rx"`: a pair of connections, transmitter and receiver.
    Pair,
}

/// Where a carrier's password is found. The file of the configuration never holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `password_file`: the file's content; one line end after it does not belong to it. Relative paths
    /// count from the working directory.
    File(PathBuf),
    /// `password_env`: an environment variable, a name of letters, digits and `_`.
    Env(String),
}

/// Not where it is: people sometimes write the password itself there.
impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File(***)",
            Self::Env(_) => "Env(***)",
        })
    }
}

/// Which receipts are asked of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptRequest {
    /// `"as-asked"`: registered_delivery as the ESME set it.
    AsAsked,
    /// `"always"`: a receipt for every message; the ESME still gets what it asked for only.
    Always,
}

/// How a carrier writes its message ids in two places, which often differ (interop quirk 1). Either both
/// as given or both a number, since only likes compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdBases {
    /// Key `response`: in submit_sm_resp.
    pub response: IdBase,
    /// Key `receipt`: in receipts.
    pub receipt: IdBase,
}

/// What becomes of a submit whose answer did not come. It may or may not have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// `"resend"`: back to the queue; rather a double than a loss.
    Resend,
    /// `"wait"`: until the receipt deadline, as if handed over.
    Wait,
    /// `"fail"`: UNDELIV.
    Fail,
}
