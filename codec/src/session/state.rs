//! The states of a session (SMPP 3.4 §2.2–2.3, smpp-session.md §1).

use crate::values::BindKind;

/// Which end of the link we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We serve ESMEs: they bind to us.
    Smsc,
    /// We are an ESME: we bind to a carrier's SMSC.
    Esme,
}

/// Where a session stands.
///
/// ```text
///            bind request                 accepted
///   Open ──────────────────► Binding ──────────────────► Bound ─┐ unbind, from either side,
///    ▲                          │ refused                       │ or the inactivity timer
///    └──────────────────────────┘                               ▼
///   (timer session_init: close)            close ◄────────── Unbinding
/// ```
///
/// The link may break anywhere; the owner then drops the session and drains its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Connected, nothing bound.
    Open,
    /// A bind request is under way: as SMSC the owner checks it, as ESME the peer does.
    Binding {
        /// What kind of bind.
        kind: BindKind,
        /// The request's sequence number.
        sequence: u32,
    },
    /// Bound.
    Bound(BindKind),
    /// unbind was sent or received: no new requests, owed answers still go out.
    Unbinding {
        /// What the session was bound as.
        kind: BindKind,
        /// The peer's unbind that is still to be answered, after everything else that is owed.
        owed: Option<u32>,
        /// Our own unbind that the peer has not answered yet.
        asked: Option<u32>,
    },
    /// To be closed; nothing is read or written any more.
    Closed,
}

impl State {
    /// The bind, while it lasts (being unbound included).
    pub const fn kind(self) -> Option<BindKind> {
        match self {
            Self::Bound(kind) | Self::Unbinding { kind, .. } => Some(kind),
            Self::Open | Self::Binding { .. } | Self::Closed => None,
        }
    }
}
