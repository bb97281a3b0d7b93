//! Who may send which command in which state (smpp-pdus.md §3; SMPP 3.4 §2.3, 5.0 §2.4).
//!
//! Two tables on purpose: what a peer may send is read liberally, what we may send is held to the text.

use crate::header::CommandId;
use crate::session::state::{Role, State};
use crate::values::{BindKind, InterfaceVersion};

/// Whether the peer may send this request to us now. Session commands (bind, unbind, enquire_link, outbind) are not
/// judged here. Versions make no difference: what an older peer should not know is taken all the same
/// (smpp-session.md §7.5).
pub(super) const fn peer_may_send(role: Role, state: State, command: CommandId) -> bool {
    // A peer that said unbind has said that nothing follows; one that we asked may still finish.
    let kind = match state {
        State::Bound(kind)
        | State::Unbinding {
            kind, left: false, ..
        } => kind,
        _ => return false,
    };
    match role {
        Role::Smsc => kind.can_submit() && (is_submission(command) || is_broadcast(command)),
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

/// Whether we may send this request, by the letter of `version`.
pub(super) const fn we_may_send(
    role: Role,
    version: InterfaceVersion,
    state: State,
    command: CommandId,
) -> bool {
    let (v3_4, v5) = (version.has_tlvs(), version.is_v5());
    match (state, command) {
        (State::Closed, _) => false,
        (State::Bound(_), CommandId::ENQUIRE_LINK | CommandId::UNBIND) => true,
        // 3.4 has it in bound states only.
        (_, CommandId::ENQUIRE_LINK) => v5,
        (State::Open, CommandId::OUTBIND) => matches!(role, Role::Smsc) && v3_4,
        (State::Open, CommandId::BIND_RECEIVER | CommandId::BIND_TRANSMITTER) => matches!(role, Role::Esme),
        (State::Open, CommandId::BIND_TRANSCEIVER) => matches!(role, Role::Esme) && v3_4,
        // In 3.4 an outbind asks for a receiver.
        (State::Outbound, CommandId::BIND_RECEIVER) => matches!(role, Role::Esme) && v3_4,
        (State::Outbound, CommandId::BIND_TRANSMITTER | CommandId::BIND_TRANSCEIVER) => {
            matches!(role, Role::Esme) && v5
        }
        (State::Bound(kind), CommandId::DATA_SM) => v3_4 && may_send_data_sm(role, v5, kind),
        (State::Bound(kind), _) => match role {
            Role::Esme => kind.can_submit() && (is_submission(command) || (v5 && is_broadcast(command))),
            Role::Smsc => {
                kind.can_receive()
                    && (matches!(command, CommandId::DELIVER_SM)
                        || (v3_4 && matches!(command, CommandId::ALERT_NOTIFICATION)))
            }
        },
        _ => false,
    }
}

/// 3.4 has data_sm for both sides on every bind, 5.0 for each in its own direction.
const fn may_send_data_sm(role: Role, v5: bool, kind: BindKind) -> bool {
    match role {
        Role::Esme => !v5 || kind.can_submit(),
        Role::Smsc => !v5 || kind.can_receive(),
    }
}

const fn is_submission(command: CommandId) -> bool {
    matches!(
        command,
        CommandId::SUBMIT_SM
            | CommandId::SUBMIT_MULTI
            | CommandId::DATA_SM
            | CommandId::QUERY_SM
            | CommandId::CANCEL_SM
            | CommandId::REPLACE_SM
    )
}

pub(super) const fn is_broadcast(command: CommandId) -> bool {
    matches!(
        command,
        CommandId::BROADCAST_SM | CommandId::QUERY_BROADCAST_SM | CommandId::CANCEL_BROADCAST_SM
    )
}
