//! How an operator steers the running gateway: carriers, accounts, binds, one message, queues, the log. Its form on the
//! control socket.
//!
//! ```text
//! {"version":1,"verb":"carrier rate","carrier":"sink","per_second":50}
//! ```

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_store::audit::WORD_MAX;

use super::finished::REASON_MAX;
use super::finished::{FOUND_MAX, Find, Reading};
use super::request::{Keys, Page, line};
use crate::orders::{Halt, Sender};

/// The fastest rate that may be set, in parts a second: as in the configuration.
pub const RATE_MAX: u32 = 1_000_000;
/// Octets of a filter for the log at most: the audit log has it whole, in one word.
pub const FILTER_MAX: usize = WORD_MAX;
/// The longest time for which the log may be filtered otherwise: a day.
pub const FILTER_FOR_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A sender that is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeantSender {
    /// By its address: a number, or a name.
    Address(String),
    /// By what stands for it in lists and cases: nobody may know its address.
    Named(Sender),
}

/// What is to be done, or looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steer {
    /// How each carrier stands.
    CarrierList,
    /// A carrier gets nothing new.
    CarrierHalt {
        /// Which.
        carrier: String,
        /// How.
        how: Halt,
    },
    /// It goes on.
    CarrierResume {
        /// Which.
        carrier: String,
    },
    /// Another rate holds for a carrier.
    CarrierRate {
        /// Which.
        carrier: String,
        /// In parts; `None`: the configured one again.
        per_second: Option<NonZeroU32>,
    },
    /// How accounts stand.
    AccountList {
        /// Which of them.
        page: Page<String>,
    },
    /// An account submits nothing any more.
    AccountSuspend {
        /// Which.
        account: String,
        /// Its binds are closed as well.
        unbind: bool,
    },
    /// It may again.
    AccountRestore {
        /// Which.
        account: String,
    },
    /// Of an account one sender submits nothing any more.
    SenderSuspend {
        /// Which account.
        account: String,
        /// Which sender: a number, or a name, as it is kept.
        sender: String,
    },
    /// It may again.
    SenderRestore {
        /// Which account.
        account: String,
        /// Which sender.
        sender: MeantSender,
    },
    /// An account ends, for good.
    AccountClose {
        /// Which.
        account: String,
        /// Why: 1 to 200 octets.
        reason: String,
        /// What was handed over to it before (DSR-7): an export, or nothing, as it declined.
        returned: Option<u64>,
    },
    /// How one account stands, and when what is kept of it goes.
    AccountShow {
        /// Which.
        account: String,
    },
    /// Another rate holds for an account.
    AccountLimit {
        /// Which.
        account: String,
        /// In parts; `None`: the configured one again.
        per_second: Option<NonZeroU32>,
    },
    /// Who is bound.
    BindList {
        /// Of this account only.
        account: Option<String>,
        /// To this carrier only.
        carrier: Option<String>,
        /// Which of them.
        page: Page<u64>,
    },
    /// A link is unbound and closed.
    BindClose {
        /// Its number, from the list.
        number: u64,
    },
    /// Where a message stands that is not finished.
    MessageShow {
        /// Its id, as its account was given it.
        id: String,
        /// Whose; needed for ids of 8 digits only.
        account: Option<String>,
        /// Why its numbers and its text are to be shown, of one that is finished.
        reading: Option<Reading>,
    },
    /// Finished messages, as far as rules keep them.
    MessageFind(Find),
    /// What waits, by carrier and account.
    QueueList {
        /// Which of it, behind `CARRIER/ACCOUNT`.
        page: Page<String>,
    },
    /// What is logged.
    LogFilter {
        /// Other than by now; `None` only asks.
        filter: Option<String>,
        /// And for how long.
        length: Option<Duration>,
    },
}

impl Steer {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::CarrierList => "carrier list",
            Self::CarrierHalt { how: Halt::Pause, .. } => "carrier pause",
            Self::CarrierHalt { how: Halt::Drain, .. } => "carrier drain",
            Self::CarrierResume { .. } => "carrier resume",
            Self::CarrierRate { .. } => "carrier rate",
            Self::AccountList { .. } => "account list",
            Self::AccountSuspend { .. } => "account suspend",
            Self::AccountRestore { .. } => "account restore",
            Self::SenderSuspend { .. } => "account suspend-sender",
            Self::SenderRestore { .. } => "account restore-sender",
            Self::AccountClose { .. } => "account close",
            Self::AccountShow { .. } => "account show",
            Self::AccountLimit { .. } => "account limit",
            Self::BindList { .. } => "bind list",
            Self::BindClose { .. } => "bind close",
            Self::MessageShow { .. } => "message show",
            Self::MessageFind(_) => "message find",
            Self::QueueList { .. } => "queue list",
            Self::LogFilter { .. } => "log filter",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(
            self,
            Self::CarrierList
                | Self::AccountList { .. }
                | Self::AccountShow { .. }
                | Self::BindList { .. }
                | Self::MessageShow { .. }
                | Self::MessageFind(_)
                | Self::QueueList { .. }
                | Self::LogFilter { filter: None, .. }
        )
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::CarrierList => json!({}),
            Self::CarrierHalt { carrier, .. } | Self::CarrierResume { carrier } => {
                json!({ "carrier": carrier })
            }
            Self::CarrierRate { carrier, per_second } => json!({
                "carrier": carrier,
                "per_second": per_second,
                "reset": per_second.is_none(),
            }),
            Self::AccountList { page } | Self::QueueList { page } => {
                json!({ "after": page.after, "limit": page.limit })
            }
            Self::AccountSuspend { account, unbind } => json!({ "account": account, "unbind": unbind }),
            Self::AccountRestore { account } | Self::AccountShow { account } => json!({ "account": account }),
            Self::SenderSuspend { account, sender } => json!({ "account": account, "address": sender }),
            Self::SenderRestore { account, sender } => match sender {
                MeantSender::Address(address) => json!({ "account": account, "address": address }),
                MeantSender::Named(sender) => json!({ "account": account, "sender": sender.text() }),
            },
            Self::AccountClose {
                account,
                reason,
                returned,
            } => json!({
                "account": account,
                "reason": reason,
                "returned": returned.map(|export| export.to_string()),
                "declined": returned.is_none(),
            }),
            Self::AccountLimit { account, per_second } => json!({
                "account": account,
                "per_second": per_second,
                "reset": per_second.is_none(),
            }),
            Self::BindList {
                account,
                carrier,
                page,
            } => json!({
                "account": account,
                "carrier": carrier,
                "after": page.after,
                "limit": page.limit,
            }),
            Self::BindClose { number } => json!({ "number": number }),
            Self::MessageShow { id, account, reading } => json!({
                "id": id,
                "account": account,
                "purpose": reading.as_ref().map(Reading::word),
                "reason": reading.as_ref().map(|reading| &reading.reason),
            }),
            Self::MessageFind(find) => json!({
                "account": find.account,
                "to": find.to,
                "since_ms": find.since_ms,
                "until_ms": find.until_ms,
                "limit": find.limit,
                "purpose": find.reading.as_ref().map(Reading::word),
                "reason": find.reading.as_ref().map(|reading| &reading.reason),
            }),
            Self::LogFilter { filter, length } => json!({
                "filter": filter,
                "for_s": length.as_ref().map(Duration::as_secs),
            }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "carrier list" => Ok(Self::CarrierList),
            "queue list" => keys.named_page().map(|page| Self::QueueList { page }),
            "carrier pause" => keys.halt(Halt::Pause),
            "carrier drain" => keys.halt(Halt::Drain),
            "carrier resume" => keys
                .needed("carrier")
                .map(|carrier| Self::CarrierResume { carrier }),
            "carrier rate" => keys.carrier_rate(),
            "account list" => keys.named_page().map(|page| Self::AccountList { page }),
            "account suspend" => keys.account_suspend(),
            "account restore" => keys
                .needed("account")
                .map(|account| Self::AccountRestore { account }),
            "account suspend-sender" => keys.sender_suspend(),
            "account restore-sender" => keys.sender_restore(),
            "account close" => keys.account_close(),
            "account show" => keys
                .needed("account")
                .map(|account| Self::AccountShow { account }),
            "account limit" => keys.account_limit(),
            "bind list" => keys.bind_list(),
            "bind close" => keys.bind_close(),
            "message show" => keys.message_show(),
            "message find" => keys.message_find(),
            "log filter" => keys.log_filter(),
            _ => return None,
        })
    }
}

impl Keys<'_> {
    /// One of the two, so that what was left out by mistake takes no limit away.
    fn rate(&self) -> Result<Option<NonZeroU32>, String> {
        let rate = self.number("per_second")?;
        match (rate, self.flag("reset")?) {
            (None, true) => Ok(None),
            (Some(rate), false) => u32::try_from(rate)
                .ok()
                .filter(|rate| *rate <= RATE_MAX)
                .and_then(NonZeroU32::new)
                .map(Some)
                .ok_or_else(|| format!("\"per_second\" is 1 to {RATE_MAX}")),
            _ => Err("either \"per_second\" or \"reset\": true".to_owned()),
        }
    }

    fn halt(&self, how: Halt) -> Result<Steer, String> {
        let carrier = self.needed("carrier")?;
        Ok(Steer::CarrierHalt { carrier, how })
    }

    fn carrier_rate(&self) -> Result<Steer, String> {
        Ok(Steer::CarrierRate {
            carrier: self.needed("carrier")?,
            per_second: self.rate()?,
        })
    }

    fn named_page(&self) -> Result<Page<String>, String> {
        Ok(Page {
            after: self.text("after")?,
            limit: self.limit()?,
        })
    }

    fn account_suspend(&self) -> Result<Steer, String> {
        Ok(Steer::AccountSuspend {
            account: self.needed("account")?,
            unbind: self.flag("unbind")?,
        })
    }

    fn sender_suspend(&self) -> Result<Steer, String> {
        Ok(Steer::SenderSuspend {
            account: self.needed("account")?,
            sender: self.needed("address")?,
        })
    }

    fn sender_restore(&self) -> Result<Steer, String> {
        let sender = match (self.text("address")?, self.text("sender")?) {
            (Some(address), None) => MeantSender::Address(address),
            (None, Some(text)) => MeantSender::Named(
                Sender::read(&text)
                    .ok_or("\"sender\" is what `account show` has for one: hexadecimal digits")?,
            ),
            _ => return Err("either \"address\" or \"sender\"".to_owned()),
        };
        Ok(Steer::SenderRestore {
            account: self.needed("account")?,
            sender,
        })
    }

    fn account_close(&self) -> Result<Steer, String> {
        let returned = match (self.text("returned")?, self.flag("declined")?) {
            (None, true) => None,
            (Some(export), false) => Some(export.parse().map_err(|_| {
                "\"returned\" is the number of an export, as `export list` tells it".to_owned()
            })?),
            _ => {
                return Err(
                    "either \"returned\", the export that the account was given, or \"declined\", as it wanted none"
                        .to_owned(),
                );
            }
        };
        let reason = self.needed("reason")?;
        if !(1..=REASON_MAX).contains(&reason.len()) {
            return Err(format!("\"reason\" is 1 to {REASON_MAX} octets"));
        }
        Ok(Steer::AccountClose {
            account: self.needed("account")?,
            reason,
            returned,
        })
    }

    fn account_limit(&self) -> Result<Steer, String> {
        Ok(Steer::AccountLimit {
            account: self.needed("account")?,
            per_second: self.rate()?,
        })
    }

    fn bind_list(&self) -> Result<Steer, String> {
        Ok(Steer::BindList {
            account: self.text("account")?,
            carrier: self.text("carrier")?,
            page: Page {
                after: self.number("after")?,
                limit: self.limit()?,
            },
        })
    }

    fn bind_close(&self) -> Result<Steer, String> {
        let number = self.needed_number("number")?;
        Ok(Steer::BindClose { number })
    }

    fn message_show(&self) -> Result<Steer, String> {
        Ok(Steer::MessageShow {
            id: self.needed("id")?,
            account: self.text("account")?,
            reading: Reading::read(self.text("purpose")?, self.text("reason")?)?,
        })
    }

    fn message_find(&self) -> Result<Steer, String> {
        let limit = self.number("limit")?;
        if limit.is_some_and(|limit| !(1..=FOUND_MAX as u64).contains(&limit)) {
            return Err(format!("\"limit\" is a number up to {FOUND_MAX}"));
        }
        Ok(Steer::MessageFind(Find {
            account: self.needed("account")?,
            to: self.text("to")?,
            since_ms: self.number("since_ms")?,
            until_ms: self.number("until_ms")?,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            reading: Reading::read(self.text("purpose")?, self.text("reason")?)?,
        }))
    }

    fn log_filter(&self) -> Result<Steer, String> {
        let filter = match self.given("filter") {
            None => None,
            Some(Value::String(text)) if text.len() <= FILTER_MAX => Some(text.clone()),
            Some(_) => return Err(format!("\"filter\" is a text of at most {FILTER_MAX} octets")),
        };
        let seconds = self.number("for_s")?;
        let most = FILTER_FOR_MAX.as_secs();
        if seconds.is_some_and(|seconds| !(1..=most).contains(&seconds)) {
            return Err(format!("\"for_s\" is a number of seconds up to {most}"));
        }
        if filter.is_none() && seconds.is_some() {
            return Err("\"for_s\" is of a \"filter\"".to_owned());
        }
        Ok(Steer::LogFilter {
            filter,
            length: seconds.map(Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Steer> {
        let (carrier, account) = ("sink".to_owned(), "load".to_owned());
        let rate = NonZeroU32::new(50);
        let halts = Halt::ALL.map(|how| Steer::CarrierHalt {
            carrier: carrier.clone(),
            how,
        });
        let rates = [rate, None].map(|per_second| Steer::CarrierRate {
            carrier: carrier.clone(),
            per_second,
        });
        let limits = [rate, None].map(|per_second| Steer::AccountLimit {
            account: account.clone(),
            per_second,
        });
        let filters = [(None, None), (Some("debug"), None), (Some("debug"), Some(60))];
        let filters = filters.map(|(filter, seconds)| Steer::LogFilter {
            filter: filter.map(str::to_owned),
            length: seconds.map(Duration::from_secs),
        });
        let mut all = vec![
            Steer::CarrierList,
            Steer::CarrierResume {
                carrier: carrier.clone(),
            },
            Steer::AccountList {
                page: Page {
                    after: Some(account.clone()),
                    limit: Some(7),
                },
            },
            Steer::AccountSuspend {
                account: account.clone(),
                unbind: true,
            },
            Steer::AccountRestore {
                account: account.clone(),
            },
            Steer::SenderSuspend {
                account: account.clone(),
                sender: "ACME".to_owned(),
            },
            Steer::SenderRestore {
                account: account.clone(),
                sender: MeantSender::Address("ACME".to_owned()),
            },
            Steer::SenderRestore {
                account: account.clone(),
                sender: MeantSender::Named(Sender::read("00112233445566778899aabbccddeeff").unwrap()),
            },
            Steer::BindList {
                account: Some(account.clone()),
                carrier: None,
                page: Page {
                    after: Some(3),
                    limit: None,
                },
            },
            Steer::BindClose { number: 7 },
            Steer::MessageShow {
                id: "1234".to_owned(),
                account: None,
                reading: None,
            },
            Steer::MessageShow {
                id: "1234".to_owned(),
                account: Some("a".to_owned()),
                reading: Reading::read(Some("legal".to_owned()), Some("matter 7".to_owned())).unwrap(),
            },
            Steer::MessageFind(Find {
                account: "a".to_owned(),
                to: Some("+447700900123".to_owned()),
                since_ms: Some(1),
                until_ms: None,
                limit: Some(7),
                reading: Reading::read(Some("fraud".to_owned()), Some("case 7".to_owned())).unwrap(),
            }),
            Steer::QueueList {
                page: Page {
                    after: Some(format!("{carrier}/{account}")),
                    limit: None,
                },
            },
        ];
        all.extend(halts.into_iter().chain(rates).chain(limits).chain(filters));
        all
    }

    #[test]
    fn what_is_asked_is_what_is_understood() {
        for steer in all() {
            let request = steer.request();
            let request = request.as_object().unwrap();
            assert_eq!(Steer::read(steer.word(), request), Some(Ok(steer)));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        let long = "x".repeat(256);
        for (verb, request, word) in [
            ("carrier pause", json!({}), "carrier"),
            ("carrier pause", json!({ "carrier": 7 }), "carrier"),
            ("carrier drain", json!({ "carrier": long }), "255"),
            ("carrier rate", json!({ "carrier": "a" }), "reset"),
            ("carrier rate", json!({ "carrier": "a", "per_second": 0 }), "1 to"),
            (
                "carrier rate",
                json!({ "carrier": "a", "per_second": 1_000_001 }),
                "1000000",
            ),
            (
                "carrier rate",
                json!({ "carrier": "a", "per_second": 1.5 }),
                "whole",
            ),
            (
                "carrier rate",
                json!({ "carrier": "a", "per_second": 5, "reset": true }),
                "either",
            ),
            (
                "account limit",
                json!({ "account": "a", "reset": "yes" }),
                "reset",
            ),
            (
                "account suspend",
                json!({ "account": "a", "unbind": 1 }),
                "unbind",
            ),
            ("account list", json!({ "limit": 0 }), "limit"),
            ("bind list", json!({ "limit": 1_001 }), "1000"),
            ("bind list", json!({ "after": -1 }), "after"),
            ("bind close", json!({}), "number"),
            ("message show", json!({ "account": "a" }), "id"),
            (
                "log filter",
                json!({ "filter": "x".repeat(FILTER_MAX + 1) }),
                "120",
            ),
            (
                "log filter",
                json!({ "filter": "debug", "for_s": 86_401 }),
                "86400",
            ),
            ("log filter", json!({ "for_s": 60 }), "filter"),
        ] {
            let refusal = Steer::read(verb, request.as_object().unwrap())
                .unwrap()
                .unwrap_err();
            assert!(refusal.contains(word), "{verb} {request}: {refusal}");
        }
    }
}
