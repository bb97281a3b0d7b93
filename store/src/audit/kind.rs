//! What happened, and what details say: the kinds of entries and their fields, by number and word.

use std::fmt;

/// An enumeration whose members have an octet on disk and a word for people; neither ever changes its meaning.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $octet:literal $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$member_doc])* $member),* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$member),*];

            /// Its octet on disk.
            pub const fn octet(self) -> u8 {
                match self { $(Self::$member => $octet),* }
            }

            /// The member of an octet.
            pub const fn of(octet: u8) -> Option<Self> {
                match octet { $($octet => Some(Self::$member),)* _ => None }
            }

            /// Its word, for people and programs.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$member => $word),* }
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
    /// What happened (AUD-1).
    Kind {
        /// A gateway started.
        Started = 1 "started",
        /// It ended in good order.
        Stopped = 2 "stopped",
        /// A client's bind was accepted.
        BindAccepted = 3 "bind-accepted",
        /// Binds were refused: one entry for an address, a name and a minute.
        BindRefused = 4 "bind-refused",
        /// An operator had the gateway do something that has no kind of its own.
        OperatorVerb = 5 "operator-verb",
        /// A configuration is taken over; its keys are named.
        ReloadApplied = 6 "reload-applied",
        /// A configuration was refused.
        ReloadRefused = 7 "reload-refused",
        /// A policy changed.
        PolicyChanged = 8 "policy-changed",
        /// An instruction changed.
        InstructionChanged = 9 "instruction-changed",
        /// A recipient opted out.
        OptOutAdded = 10 "opt-out-added",
        /// An opt-out was lifted.
        OptOutRemoved = 11 "opt-out-removed",
        /// An opt-out holds for something else now.
        OptOutRescoped = 12 "opt-out-rescoped",
        /// A recipient consented.
        ConsentGranted = 13 "consent-granted",
        /// A recipient withdrew consent.
        ConsentWithdrawn = 14 "consent-withdrawn",
        /// Contacts were imported.
        ContactsImported = 15 "contacts-imported",
        /// A rule was overridden.
        Override = 16 "override",
        /// A person read what is kept about people, or this log.
        Read = 17 "read",
        /// Data was exported.
        Export = 18 "export",
        /// A sweep removed data.
        Sweep = 19 "sweep",
        /// A key was made, rotated or destroyed.
        KeyEvent = 20 "key-event",
        /// Work was moved to another carrier.
        WorkMoved = 21 "work-moved",
        /// Work was ended as expired.
        WorkExpired = 22 "work-expired",
        /// An address was banned.
        BanSet = 23 "ban-set",
        /// A ban was lifted.
        BanLifted = 24 "ban-lifted",
        /// A checkpoint was asked for.
        Checkpoint = 25 "checkpoint",
        /// Links may be in clear text by an exception.
        ClearText = 26 "clear-text-exception",
        /// This log was found damaged, and goes on behind the damage.
        LogDamaged = 27 "log-damaged",
        /// It could not be written for a while.
        LogFailed = 28 "log-failed",
        /// Less than TLS 1.3 is enough by an exception.
        OlderTls = 29 "older-tls-exception",
        /// A legal hold was taken or released.
        Hold = 33 "hold",
        /// A person is to be erased, or is.
        Erasure = 34 "erasure",
        /// A person's request came, or something was done about it.
        Request = 40 "request",
        /// A person is restricted, or no more.
        Restriction = 41 "restriction",
        /// A case of abuse: an account is suspended by a signal, and what a person decides.
        AbuseCase = 42 "abuse-case",
        /// A step of a disclosure of data to an authority (LEG-5).
        Disclosure = 43 "disclosure",
        /// Somebody was let at records that his role does not open, or used that, or it ended.
        BreakGlass = 44 "break-glass",
    }
}

words! {
    /// What a detail says.
    Field {
        /// A verb of the command line or the control socket.
        Verb = 1 "verb",
        /// Keys of a configuration.
        Keys = 2 "keys",
        /// How many.
        Count = 3 "count",
        /// More than are named.
        More = 4 "more",
        /// The first time, unix milliseconds.
        First = 5 "first",
        /// The last time, unix milliseconds.
        Last = 6 "last",
        /// A network address.
        Address = 7 "address",
        /// From where.
        From = 8 "from",
        /// To where.
        To = 9 "to",
        /// A length of time in seconds.
        Seconds = 10 "seconds",
        /// Why.
        Reason = 11 "reason",
        /// How it went.
        Outcome = 12 "outcome",
        /// Of which scope.
        Scope = 13 "scope",
        /// How strong.
        Strength = 14 "strength",
        /// A sender of ours.
        Sender = 15 "sender",
        /// A brand.
        Brand = 16 "brand",
        /// By which way it came.
        Medium = 17 "medium",
        /// Of which category.
        Category = 18 "category",
        /// A country.
        Country = 19 "country",
        /// A size: entries that a checkpoint signs, for one.
        Size = 20 "size",
        /// A hash.
        Digest = 21 "digest",
        /// A file, by its name only.
        File = 22 "file",
        /// A ciphertext under a key that can be destroyed.
        Sealed = 23 "sealed",
        /// Whether the process before ended in good order.
        Clean = 24 "clean",
        /// A version.
        Version = 25 "version",
        /// Octets.
        Octets = 26 "octets",
        /// A sequence number of this log.
        Sequence = 27 "sequence",
        /// A key of the ring, by its name.
        RingKey = 28 "key",
        /// A policy.
        Policy = 29 "policy",
        /// A carrier.
        Carrier = 30 "carrier",
        /// The command_status that was answered.
        Status = 31 "status",
        /// When it was done, unix milliseconds: it may be entered later.
        At = 32 "at",
        /// What records were opened for (GEN-3).
        Purpose = 33 "purpose",
        /// Which message, by the id that its client was given.
        Message = 34 "message",
        /// Who allowed it.
        Approvers = 48 "approvers",
        /// Where the evidence for it lies.
        Evidence = 49 "evidence",
    }
}
