//! Who may send which command in which state (smpp-pdus.md §3; SMPP 3.4 §2.3, 5.0 §2.4).

use crate::header::CommandId;
use crate::session::state::{Role, State};

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
    use crate::values::BindKind;

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
