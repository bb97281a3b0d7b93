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
///    │ ▲                      ▲ │ refused: back to              │ or the inactivity timer
///    │ └──────────────────────┼─┤ where it was                  ▼
///    │ outbind                │ ▼          close ◄────────── Unbinding
///    └─────────────────────► Outbound
///   (timer session_init in the first three: close)
/// ```
///
/// The link may break anywhere; the owner then drops the session and drains its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Connected, nothing bound.
    Open,
    /// The SMSC has opened the connection and sent its outbind; a bind from the ESME is next. 5.0 has this state; to 3.4
    /// it is OPEN still (smpp-session.md §12), and nothing differs but that a second outbind is out of place.
    Outbound,
    /// A bind request is under way: as SMSC the owner checks it, as ESME the peer does.
    Binding {
        /// What kind of bind.
        kind: BindKind,
        /// The request's sequence number.
        sequence: u32,
    },
    /// Bound.
    Bound(BindKind),
    /// unbind was sent or received: no new requests, owed answers still go out. UNBOUND of the specification is the
    /// end of this, when nothing is owed and nothing asked any more.
    Unbinding {
        /// What the session was bound as.
        kind: BindKind,
        /// The peer's unbind that is still to be answered, after everything else that is owed.
        owed: Option<u32>,
        /// Our own unbind that the peer has not answered yet.
        asked: Option<u32>,
        /// The peer has said its last word, unbind or unbind_resp: nothing new is taken from it.
        left: bool,
    },
    /// To be closed; nothing is read or written any more.
    Closed,
}

impl State {
    /// The bind, while it lasts (being unbound included).
    pub const fn kind(self) -> Option<BindKind> {
        match self {
            Self::Bound(kind) | Self::Unbinding { kind, .. } => Some(kind),
            Self::Open | Self::Outbound | Self::Binding { .. } | Self::Closed => None,
        }
    }
}
