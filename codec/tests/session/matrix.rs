//! Every command in every state, for both roles and all versions, against tables written from the reference
//! (smpp-pdus.md §3, smpp-session.md §2, §8 and §9; SMPP 3.4 §2.3, 5.0 §2.4) and not from the code.

use tidegate_codec::header::CommandId;
use tidegate_codec::session::{Role, Session, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{End, Seen, at, bind, rules};

const VERSIONS: [InterfaceVersion; 3] = [
    InterfaceVersion::V3_3,
    InterfaceVersion::V3_4,
    InterfaceVersion::V5_0,
];

/// The columns. `a_*`: we have asked to unbind and the peer has not answered; `left`: the peer has unbound and was
/// answered (UNBOUND).
const STATES: [&str; 11] = [
    "open", "outb", "bing", "tx", "rx", "trx", "a_tx", "a_rx", "a_trx", "left", "closed",
];

/// What becomes of a command that comes to an SMSC.
///
/// `yes` it is served or handed on (a command that is not offered is refused by its name) · `no` its own response,
/// RINVBNDSTS · `twice` its own response, RALYBND · `nack` generic_nack, RINVCMDID · `drop` counted, no answer ·
/// `idle` nobody waits for it, no answer · `-` nothing at all.
const SMSC_HEARS: &str = "
                        open outb bing  tx    rx    trx   a_tx a_rx a_trx left closed
bind_receiver           yes  yes  twice twice twice twice no   no   no    no   -
bind_transmitter        yes  yes  twice twice twice twice no   no   no    no   -
bind_transceiver        yes  yes  twice twice twice twice no   no   no    no   -
query_sm                no   no   no    yes   no    yes   yes  no   yes   no   -
submit_sm               no   no   no    yes   no    yes   yes  no   yes   no   -
deliver_sm              no   no   no    no    no    no    no   no   no    no   -
unbind                  no   no   no    yes   yes   yes   yes  yes  yes   no   -
replace_sm              no   no   no    yes   no    yes   yes  no   yes   no   -
cancel_sm               no   no   no    yes   no    yes   yes  no   yes   no   -
outbind                 drop drop drop  drop  drop  drop  drop drop drop  drop -
enquire_link            yes  yes  yes   yes   yes   yes   yes  yes  yes   yes  -
submit_multi            no   no   no    yes   no    yes   yes  no   yes   no   -
param_retrieve          nack nack nack  nack  nack  nack  nack nack nack  nack -
query_last_msgs         nack nack nack  nack  nack  nack  nack nack nack  nack -
query_msg_details       nack nack nack  nack  nack  nack  nack nack nack  nack -
alert_notification      drop drop drop  drop  drop  drop  drop drop drop  drop -
data_sm                 no   no   no    yes   no    yes   yes  no   yes   no   -
broadcast_sm            no   no   no    yes   no    yes   yes  no   yes   no   -
query_broadcast_sm      no   no   no    yes   no    yes   yes  no   yes   no   -
cancel_broadcast_sm     no   no   no    yes   no    yes   yes  no   yes   no   -
0x0000000a              nack nack nack  nack  nack  nack  nack nack nack  nack -
0x00010200              nack nack nack  nack  nack  nack  nack nack nack  nack -
0x01000001              nack nack nack  nack  nack  nack  nack nack nack  nack -
generic_nack            idle idle idle  idle  idle  idle  idle idle idle  idle -
bind_receiver_resp      idle idle idle  idle  idle  idle  idle idle idle  idle -
bind_transmitter_resp   idle idle idle  idle  idle  idle  idle idle idle  idle -
bind_transceiver_resp   idle idle idle  idle  idle  idle  idle idle idle  idle -
query_sm_resp           idle idle idle  idle  idle  idle  idle idle idle  idle -
submit_sm_resp          idle idle idle  idle  idle  idle  idle idle idle  idle -
deliver_sm_resp         idle idle idle  idle  idle  idle  idle idle idle  idle -
unbind_resp             idle idle idle  idle  idle  idle  idle idle idle  idle -
replace_sm_resp         idle idle idle  idle  idle  idle  idle idle idle  idle -
cancel_sm_resp          idle idle idle  idle  idle  idle  idle idle idle  idle -
enquire_link_resp       -    -    -     -     -     -     -    -    -     -    -
submit_multi_resp       idle idle idle  idle  idle  idle  idle idle idle  idle -
data_sm_resp            idle idle idle  idle  idle  idle  idle idle idle  idle -
broadcast_sm_resp       idle idle idle  idle  idle  idle  idle idle idle  idle -
query_broadcast_sm_resp idle idle idle  idle  idle  idle  idle idle idle  idle -
cancel_broadcast_sm_resp idle idle idle idle  idle  idle  idle idle idle  idle -
0x8000000b              drop drop drop  drop  drop  drop  drop drop drop  drop -
0x80000102              drop drop drop  drop  drop  drop  drop drop drop  drop -
0x81000001              drop drop drop  drop  drop  drop  drop drop drop  drop -
";

/// The same for an ESME that has opened its connection itself; `close` ends the session. 3.4's data_sm on any bind and
/// submit_sm as what handsets write (interop quirk 41) are taken on purpose.
const ESME_HEARS: &str = "
                        open  outb bing tx   rx   trx  a_tx a_rx a_trx left closed
bind_receiver           no    no   no   no   no   no   no   no   no    no   -
bind_transmitter        no    no   no   no   no   no   no   no   no    no   -
bind_transceiver        no    no   no   no   no   no   no   no   no    no   -
query_sm                no    no   no   no   no   no   no   no   no    no   -
submit_sm               no    no   no   no   yes  yes  no   yes  yes   no   -
deliver_sm              no    no   no   no   yes  yes  no   yes  yes   no   -
unbind                  no    no   no   yes  yes  yes  yes  yes  yes   no   -
replace_sm              no    no   no   no   no   no   no   no   no    no   -
cancel_sm               no    no   no   no   no   no   no   no   no    no   -
outbind                 close drop drop drop drop drop drop drop drop  drop -
enquire_link            yes   yes  yes  yes  yes  yes  yes  yes  yes   yes  -
submit_multi            no    no   no   no   no   no   no   no   no    no   -
param_retrieve          nack  nack nack nack nack nack nack nack nack  nack -
query_last_msgs         nack  nack nack nack nack nack nack nack nack  nack -
query_msg_details       nack  nack nack nack nack nack nack nack nack  nack -
alert_notification      drop  drop drop drop yes  yes  drop yes  yes   drop -
data_sm                 no    no   no   yes  yes  yes  yes  yes  yes   no   -
broadcast_sm            no    no   no   no   no   no   no   no   no    no   -
query_broadcast_sm      no    no   no   no   no   no   no   no   no    no   -
cancel_broadcast_sm     no    no   no   no   no   no   no   no   no    no   -
0x0000000a              nack  nack nack nack nack nack nack nack nack  nack -
0x00010200              nack  nack nack nack nack nack nack nack nack  nack -
0x01000001              nack  nack nack nack nack nack nack nack nack  nack -
generic_nack            idle  idle idle idle idle idle idle idle idle  idle -
bind_receiver_resp      idle  idle idle idle idle idle idle idle idle  idle -
bind_transmitter_resp   idle  idle idle idle idle idle idle idle idle  idle -
bind_transceiver_resp   idle  idle idle idle idle idle idle idle idle  idle -
query_sm_resp           idle  idle idle idle idle idle idle idle idle  idle -
submit_sm_resp          idle  idle idle idle idle idle idle idle idle  idle -
deliver_sm_resp         idle  idle idle idle idle idle idle idle idle  idle -
unbind_resp             idle  idle idle idle idle idle idle idle idle  idle -
replace_sm_resp         idle  idle idle idle idle idle idle idle idle  idle -
cancel_sm_resp          idle  idle idle idle idle idle idle idle idle  idle -
enquire_link_resp       -     -    -    -    -    -    -    -    -     -    -
submit_multi_resp       idle  idle idle idle idle idle idle idle idle  idle -
data_sm_resp            idle  idle idle idle idle idle idle idle idle  idle -
broadcast_sm_resp       idle  idle idle idle idle idle idle idle idle  idle -
query_broadcast_sm_resp idle  idle idle idle idle idle idle idle idle  idle -
cancel_broadcast_sm_resp idle idle idle idle idle idle idle idle idle  idle -
0x8000000b              drop  drop drop drop drop drop drop drop drop  drop -
0x80000102              drop  drop drop drop drop drop drop drop drop  drop -
0x81000001              drop  drop drop drop drop drop drop drop drop  drop -
";

/// What we may send by the letter: the versions that allow it, oldest first (`3` for 3.3, `4` for 3.4, `5` for 5.0).
const SMSC_SAYS: &str = "
                        open outb bing tx  rx  trx a_tx a_rx a_trx left closed
bind_receiver           -    -    -    -   -   -   -    -    -     -    -
bind_transmitter        -    -    -    -   -   -   -    -    -     -    -
bind_transceiver        -    -    -    -   -   -   -    -    -     -    -
query_sm                -    -    -    -   -   -   -    -    -     -    -
submit_sm               -    -    -    -   -   -   -    -    -     -    -
deliver_sm              -    -    -    -   345 345 -    -    -     -    -
unbind                  -    -    -    345 345 345 -    -    -     -    -
replace_sm              -    -    -    -   -   -   -    -    -     -    -
cancel_sm               -    -    -    -   -   -   -    -    -     -    -
outbind                 4    -    -    -   -   -   -    -    -     -    -
enquire_link            -    -    5    345 345 345 5    5    5     5    -
submit_multi            -    -    -    -   -   -   -    -    -     -    -
param_retrieve          -    -    -    -   -   -   -    -    -     -    -
query_last_msgs         -    -    -    -   -   -   -    -    -     -    -
query_msg_details       -    -    -    -   -   -   -    -    -     -    -
alert_notification      -    -    -    -   45  45  -    -    -     -    -
data_sm                 -    -    -    4   45  45  -    -    -     -    -
broadcast_sm            -    -    -    -   -   -   -    -    -     -    -
query_broadcast_sm      -    -    -    -   -   -   -    -    -     -    -
cancel_broadcast_sm     -    -    -    -   -   -   -    -    -     -    -
0x0000000a              -    -    -    -   -   -   -    -    -     -    -
0x00010200              -    -    -    -   -   -   -    -    -     -    -
0x01000001              -    -    -    -   -   -   -    -    -     -    -
";

/// Before a bind no version was spoken, which is 3.4: outbind asks for a receiver there.
const ESME_SAYS: &str = "
                        open outb bing tx  rx  trx a_tx a_rx a_trx left closed
bind_receiver           4    4    -    -   -   -   -    -    -     -    -
bind_transmitter        4    -    -    -   -   -   -    -    -     -    -
bind_transceiver        4    -    -    -   -   -   -    -    -     -    -
query_sm                -    -    -    345 -   345 -    -    -     -    -
submit_sm               -    -    -    345 -   345 -    -    -     -    -
deliver_sm              -    -    -    -   -   -   -    -    -     -    -
unbind                  -    -    -    345 345 345 -    -    -     -    -
replace_sm              -    -    -    345 -   345 -    -    -     -    -
cancel_sm               -    -    -    345 -   345 -    -    -     -    -
outbind                 -    -    -    -   -   -   -    -    -     -    -
enquire_link            -    -    5    345 345 345 5    5    5     5    -
submit_multi            -    -    -    345 -   345 -    -    -     -    -
param_retrieve          -    -    -    -   -   -   -    -    -     -    -
query_last_msgs         -    -    -    -   -   -   -    -    -     -    -
query_msg_details       -    -    -    -   -   -   -    -    -     -    -
alert_notification      -    -    -    -   -   -   -    -    -     -    -
data_sm                 -    -    -    45  4   45  -    -    -     -    -
broadcast_sm            -    -    -    5   -   5   -    -    -     -    -
query_broadcast_sm      -    -    -    5   -   5   -    -    -     -    -
cancel_broadcast_sm     -    -    -    5   -   5   -    -    -     -    -
0x0000000a              -    -    -    -   -   -   -    -    -     -    -
0x00010200              -    -    -    -   -   -   -    -    -     -    -
0x01000001              -    -    -    -   -   -   -    -    -     -    -
";

/// Ids by name; the three of 3.3 that later versions dropped are ids of no command here.
fn command(name: &str) -> CommandId {
    let hex = match name {
        "param_retrieve" => "00000022",
        "query_last_msgs" => "00000023",
        "query_msg_details" => "00000024",
        _ => name.trim_start_matches("0x"),
    };
    if let Ok(id) = u32::from_str_radix(hex, 16) {
        return CommandId(id);
    }
    let ids = (0..=0x1ff).chain(0x8000_0000..=0x8000_01ff).map(CommandId);
    ids.into_iter()
        .find(|id| id.name() == Some(name))
        .unwrap_or_else(|| panic!("no command {name}"))
}

/// Every cell of a table: command, state, what stands there.
fn cells(table: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut rows = table.lines().filter(|line| !line.is_empty());
    let states: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
    assert_eq!(states, STATES);
    let mut cells = Vec::new();
    for row in rows {
        let mut row = row.split_whitespace();
        let name = row.next().unwrap();
        let values: Vec<&str> = row.collect();
        assert_eq!(values.len(), STATES.len(), "{name}");
        cells.extend(
            STATES
                .iter()
                .zip(values)
                .map(|(state, value)| (name, *state, value)),
        );
    }
    cells
}

/// A session in the state of a column, nothing owed and nothing written.
fn end_in(role: Role, version: InterfaceVersion, state: &str) -> End {
    let kind = match state {
        "tx" | "a_tx" => BindKind::Transmitter,
        "rx" | "a_rx" => BindKind::Receiver,
        _ => BindKind::Transceiver,
    };
    let binding = |role| {
        let mut end = End::new(role);
        let mut asked = Vec::new();
        let mut esme = Session::<u32>::new(Role::Esme, rules(), at(0));
        esme.bind(at(0), kind, &bind(version), &mut asked);
        match role {
            Role::Smsc => end.take(at(0), &asked),
            Role::Esme => end.session.bind(at(0), kind, &bind(version), &mut end.out),
        }
        end
    };
    let bound = |role| {
        let mut smsc = binding(Role::Smsc);
        smsc.accept(at(0));
        if role == Role::Smsc {
            return smsc;
        }
        let mut esme = binding(Role::Esme);
        esme.take(at(0), &smsc.out);
        esme
    };
    let mut end = match state {
        "open" => End::new(role),
        "outb" if role == Role::Smsc => {
            let mut end = End::new(role);
            assert!(end.session.outbind(&mut end.out, |_| {}));
            end
        }
        "outb" => {
            let mut end = End::with(Session::await_outbind(rules(), at(0)));
            end.hear(at(0), CommandId::OUTBIND, CommandStatus::ROK, 1);
            end
        }
        "bing" => binding(role),
        "tx" | "rx" | "trx" => bound(role),
        "a_tx" | "a_rx" | "a_trx" => {
            let mut end = bound(role);
            end.session.unbind(at(0), &mut end.out);
            end
        }
        "left" => {
            let mut end = bound(role);
            end.hear(at(0), CommandId::UNBIND, CommandStatus::ROK, 1);
            end
        }
        _ => {
            let mut end = bound(role);
            assert_eq!(end.session.drain().count(), 0);
            end
        }
    };
    let name = match end.session.state() {
        State::Open => "open",
        State::Outbound => "outb",
        State::Binding { .. } => "bing",
        State::Bound(_) => &state[state.len() - kind.label().len()..],
        State::Unbinding { left: true, .. } => "left",
        State::Unbinding { .. } => state,
        State::Closed => "closed",
    };
    assert_eq!(name, state, "{role:?}");
    assert_eq!(end.session.state().kind().unwrap_or(kind), kind);
    end.out.clear();
    end.seen.clear();
    end
}

/// What became of a command, in the words of the tables.
fn heard(end: &mut End, id: CommandId) -> &'static str {
    // A number of the peer's own that is none of ours.
    let sequence = 0x8765_4321;
    let before = end.session.state();
    end.hear(at(1), id, CommandStatus::ROK, sequence);
    let (seen, written) = (end.news(), end.written());
    let own = id.response();
    let ok = CommandStatus::ROK;
    match (&seen[..], &written[..]) {
        ([], []) => "-",
        ([], [(answer, status, number)]) if Some(*answer) == own && *status == ok && *number == sequence => {
            "yes"
        }
        ([Seen::BindRequested(_) | Seen::Outbind | Seen::Notified(_)], []) => "yes",
        ([Seen::Request(number)], []) if *number == sequence => "yes",
        ([Seen::PeerUnbound], [(answer, status, number)])
            if Some(*answer) == own && *status == ok && *number == sequence =>
        {
            "yes"
        }
        ([Seen::Dropped(dropped)], []) if *dropped == id => "drop",
        ([Seen::Unexpected], []) => "idle",
        ([Seen::Close(_)], []) => "close",
        ([Seen::Refused(refused, said)], [(answer, status, number)])
            if *refused == id && said == status && *number == sequence =>
        {
            assert_eq!(end.session.state(), before, "{id}");
            match (*answer, *status) {
                // Known, and not offered by this machine.
                (answer, CommandStatus::RINVCMDID) if Some(answer) == own => "yes",
                (answer, CommandStatus::RINVBNDSTS) if Some(answer) == own => "no",
                (answer, CommandStatus::RALYBND) if Some(answer) == own => "twice",
                (CommandId::GENERIC_NACK, CommandStatus::RINVCMDID) => "nack",
                other => panic!("{id}: {other:?}"),
            }
        }
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn every_command_in_every_state_is_treated_as_the_reference_says() {
    let mut seen = 0;
    for (role, table) in [(Role::Smsc, SMSC_HEARS), (Role::Esme, ESME_HEARS)] {
        for version in VERSIONS {
            for (name, state, expected) in cells(table) {
                let mut end = end_in(role, version, state);
                let got = heard(&mut end, command(name));
                assert_eq!(got, expected, "{name} to {role:?} in {state}, {version:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 2 * 3 * 42 * 11);
}

#[test]
fn every_command_that_we_may_send_is_one_that_the_reference_allows() {
    let mut seen = 0;
    for (role, table) in [(Role::Smsc, SMSC_SAYS), (Role::Esme, ESME_SAYS)] {
        for (name, state, expected) in cells(table) {
            let mut allowed = String::new();
            for (version, digit) in VERSIONS.into_iter().zip(['3', '4', '5']) {
                let end = end_in(role, version, state);
                // Nobody knows the version before a bind.
                let spoken = end.session.version() == version;
                if spoken && end.session.may_send(command(name)) {
                    allowed.push(digit);
                }
            }
            let allowed = if allowed.is_empty() { "-" } else { &allowed };
            assert_eq!(allowed, expected, "{name} from {role:?} in {state}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * 23 * 11);
}

/// The tables leave no command out, and name none twice.
#[test]
fn the_tables_name_every_command() {
    let ids: Vec<CommandId> = (0..=0x1ff)
        .chain(0x8000_0000..=0x8000_01ff)
        .map(CommandId)
        .filter(|id| id.is_known())
        .collect();
    assert_eq!(ids.len(), 33);
    for (table, with_responses) in [
        (SMSC_HEARS, true),
        (ESME_HEARS, true),
        (SMSC_SAYS, false),
        (ESME_SAYS, false),
    ] {
        let named: Vec<CommandId> = cells(table)
            .iter()
            .step_by(STATES.len())
            .map(|(name, ..)| command(name))
            .collect();
        for id in ids.iter().filter(|id| with_responses || !id.is_response()) {
            assert_eq!(named.iter().filter(|named| *named == id).count(), 1, "{id}");
        }
    }
}
