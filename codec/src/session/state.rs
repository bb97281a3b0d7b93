//! The states of a session and what may be said in each (SMPP 3.4 §2.2–2.3, smpp-session.md §1–2).

use crate::header::CommandId;
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

/// Whether we refuse this request without looking into it: broadcasts, and the two that have no response
/// and are dropped.
pub(crate) const fn is_not_offered(command: CommandId) -> bool {
    matches!(
        command,
        CommandId::OUTBIND
            | CommandId::ALERT_NOTIFICATION
            | CommandId::BROADCAST_SM
            | CommandId::QUERY_BROADCAST_SM
            | CommandId::CANCEL_BROADCAST_SM
    )
}

/// Whether the peer may send this request to us now (the matrix of smpp-pdus.md §3). Session commands
/// (bind, unbind, enquire_link, outbind) are not judged here.
pub(crate) const fn peer_may_send(role: Role, state: State, command: CommandId) -> bool {
    // A peer that said unbind has said that nothing follows; one that we asked may still finish.
    let kind = match state {
        State::Bound(kind) | State::Unbinding { kind, owed: None, .. } => kind,
        _ => return false,
    };
    match role {
        Role::Smsc => {
            kind.can_submit()
                && matches!(
                    command,
                    CommandId::SUBMIT_SM
                        | CommandId::SUBMIT_MULTI
                        | CommandId::DATA_SM
                        | CommandId::QUERY_SM
                        | CommandId::CANCEL_SM
                        | CommandId::REPLACE_SM
                        | CommandId::BROADCAST_SM
                        | CommandId::QUERY_BROADCAST_SM
                        | CommandId::CANCEL_BROADCAST_SM
                )
        }
        // 3.4 lets an SMSC send data_sm on any bind; so do we (liberal in what is accepted). Some carriers
        // send what their handsets wrote as submit_sm (interop quirk 41).
        Role::Esme => {
            matches!(command, CommandId::DATA_SM)
                || (kind.can_receive()
                    && matches!(
                        command,
                        CommandId::DELIVER_SM | CommandId::SUBMIT_SM | CommandId::ALERT_NOTIFICATION
                    ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_not_submit_and_a_transmitter_is_sent_nothing() {
        let bound = |kind| State::Bound(kind);
        assert!(peer_may_send(
            Role::Smsc,
            bound(BindKind::Transmitter),
            CommandId::SUBMIT_SM
        ));
        assert!(peer_may_send(
            Role::Smsc,
            bound(BindKind::Transceiver),
            CommandId::REPLACE_SM
        ));
        assert!(!peer_may_send(
            Role::Smsc,
            bound(BindKind::Receiver),
            CommandId::SUBMIT_SM
        ));
        assert!(!peer_may_send(
            Role::Smsc,
            bound(BindKind::Transceiver),
            CommandId::DELIVER_SM
        ));
        assert!(!peer_may_send(Role::Smsc, State::Open, CommandId::SUBMIT_SM));
        assert!(peer_may_send(
            Role::Esme,
            bound(BindKind::Receiver),
            CommandId::DELIVER_SM
        ));
        assert!(!peer_may_send(
            Role::Esme,
            bound(BindKind::Transmitter),
            CommandId::DELIVER_SM
        ));
        assert!(peer_may_send(
            Role::Esme,
            bound(BindKind::Transceiver),
            CommandId::SUBMIT_SM
        ));
        assert!(!peer_may_send(
            Role::Esme,
            bound(BindKind::Transmitter),
            CommandId::SUBMIT_SM
        ));
    }

    #[test]
    fn after_its_unbind_a_peer_has_nothing_more_to_say() {
        let kind = BindKind::Transceiver;
        let theirs = State::Unbinding {
            kind,
            owed: Some(1),
            asked: None,
        };
        let ours = State::Unbinding {
            kind,
            owed: None,
            asked: Some(1),
        };
        assert!(!peer_may_send(Role::Smsc, theirs, CommandId::SUBMIT_SM));
        assert!(peer_may_send(Role::Smsc, ours, CommandId::SUBMIT_SM));
    }
}
