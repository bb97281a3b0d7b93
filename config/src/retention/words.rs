//! The words of rules of retention, as files have them. What they mean stands with the store's types of the same words.

/// An enum of words as files write them.
macro_rules! words {
    ($(#[$of:meta])* $name:ident, $all:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is its word")]
        pub enum $name {
            $($variant,)*
        }

        /// Each with its word.
        pub(crate) const $all: &[(&str, $name)] = &[$(($word, $name::$variant),)*];

        impl $name {
            /// As files write it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                $all.iter().find(|(known, _)| *known == word).map(|(_, one)| *one)
            }
        }
    };
}

words! {
    /// A class of data (compliance.md §7.1): `"body"`, `"attach"`, `"meta"`, `"usage"`, `"stats"`, `"billing"`,
    /// `"account.core"`, `"account.other"`, `"cred"`, `"subrec"`, `"support"`, `"access"`, `"audit"`, `"optout"`,
    /// `"consent"`, `"contact"`, `"convo"`, `"route"`, `"fraud"`, `"otp"`, `"legal"`, `"export"` or `"trace"`.
    DataClass, CLASSES {
        Body = "body",
        Attach = "attach",
        Meta = "meta",
        Usage = "usage",
        Stats = "stats",
        Billing = "billing",
        AccountCore = "account.core",
        AccountOther = "account.other",
        Cred = "cred",
        Subrec = "subrec",
        Support = "support",
        Access = "access",
        Audit = "audit",
        Optout = "optout",
        Consent = "consent",
        Contact = "contact",
        Convo = "convo",
        Route = "route",
        Fraud = "fraud",
        Otp = "otp",
        Legal = "legal",
        Export = "export",
        Trace = "trace",
    }
}

words! {
    /// From when a rule counts: `"accepted"`, `"received"`, `"final"`, `"created"`, `"last_used"`, `"closed"`,
    /// `"disconnected"`, `"instructed"` or `"purpose_ended"`.
    RuleAnchor, ANCHORS {
        Accepted = "accepted",
        Received = "received",
        Final = "final",
        Created = "created",
        LastUsed = "last_used",
        Closed = "closed",
        Disconnected = "disconnected",
        Instructed = "instructed",
        PurposeEnded = "purpose_ended",
    }
}

words! {
    /// How a rule binds: `"limit"`, act then; `"floor"`, not before; `"ceiling"`, never later, whatever instructions
    /// say.
    RuleKind, KINDS {
        Limit = "limit",
        Floor = "floor",
        Ceiling = "ceiling",
    }
}

words! {
    /// What becomes of a record: `"purge"`, `"deidentify"` or `"keep"`.
    RuleAction, ACTIONS {
        Keep = "keep",
        Deidentify = "deidentify",
        Purge = "purge",
    }
}

words! {
    /// How sure a row is: `"published"` in service terms, `"default"` of ours and for each operator to confirm,
    /// `"retold"` in secondary sources only, `"decided"` from other rules.
    Standing, STANDINGS {
        Published = "published",
        Default = "default",
        Retold = "retold",
        Decided = "decided",
    }
}
