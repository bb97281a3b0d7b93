//! The words of rules: what is kept, from when it counts, what becomes of it.

use std::fmt;

/// An enum of words as rules and people write them.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As rules and people write it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// A class of data, which has rules of its own (compliance.md §7.1).
    Class {
        /// Texts of messages; also what a receipt quotes of one, and parameters that nobody knows (RET-2).
        Body = "body",
        /// Media, transcripts.
        Attach = "attach",
        /// Records of messages, with numbers.
        Meta = "meta",
        /// Counters and rated records, for billing.
        Usage = "usage",
        /// Aggregates.
        Stats = "stats",
        /// Invoices and the ledger.
        Billing = "billing",
        /// Of an account's profile what tax and audit need.
        AccountCore = "account.core",
        /// The rest of an account's profile.
        AccountOther = "account.other",
        /// Secrets and tokens.
        Cred = "cred",
        /// Proofs of identity, registrations.
        Subrec = "subrec",
        /// Tickets.
        Support = "support",
        /// Addresses of peers, the log of commands.
        Access = "access",
        /// The audit log.
        Audit = "audit",
        /// Opt-outs.
        Optout = "optout",
        /// Consents.
        Consent = "consent",
        /// Numbers, names and attributes of people.
        Contact = "contact",
        /// Conversations that were imported.
        Convo = "convo",
        /// Instructions for routes.
        Route = "route",
        /// Signals and cases of fraud.
        Fraud = "fraud",
        /// Codes for one use.
        Otp = "otp",
        /// Holds, requests and disclosures.
        Legal = "legal",
        /// Files that were produced for somebody.
        Export = "export",
        /// Operational logs.
        Trace = "trace",
    }
}

words! {
    /// The instant from which a rule counts (compliance.md §7.2).
    Anchor {
        /// A message was accepted.
        Accepted = "accepted",
        /// A message came from a handset.
        Received = "received",
        /// A message reached its final state; when its validity ends, at the latest.
        Final = "final",
        /// The record was made.
        Created = "created",
        /// It was last used.
        LastUsed = "last_used",
        /// The account was closed.
        Closed = "closed",
        /// The account or its provider was disconnected.
        Disconnected = "disconnected",
        /// Somebody instructed it.
        Instructed = "instructed",
        /// What it was for has ended: a consent was withdrawn, a token revoked.
        PurposeEnded = "purpose_ended",
    }
}

words! {
    /// What becomes of a record when it is due (compliance.md §7.2). The later in this order beats the earlier when
    /// both are wanted at one instant.
    Action {
        /// Nothing: it stays.
        Keep = "keep",
        /// What tells people apart goes; what is left is `stats`, or masked.
        Deidentify = "deidentify",
        /// It goes.
        Purge = "purge",
    }
}

words! {
    /// How a rule binds (compliance.md §7.2).
    Kind {
        /// Act then; an instruction may move it where the rule lets it.
        Limit = "limit",
        /// Not before.
        Floor = "floor",
        /// Never later, whatever instructions say.
        Ceiling = "ceiling",
    }
}
