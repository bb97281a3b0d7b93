//! The least that each command must say, octet by octet (smpp-pdus.md §4).

use tidegate_codec::header::CommandId;

const BIND: &[u8] = b"load\0secret\0\0\x34\0\0\0";
const SM: &[u8] = b"\0\0\0\0\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\x05hello";
const DATA_SM: &[u8] = b"\0\0\0\0\x01\x01447700900123\0\0\0\0";
const SUBMIT_MULTI: &[u8] = b"\0\0\0\0\x01\x01\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\0";
const QUERY: &[u8] = b"1\0\0\0\0";
const CANCEL_SM: &[u8] = b"\x001\0\0\0\0\0\0\0";
const REPLACE_SM: &[u8] = b"1\0\0\0\0\0\0\0\0\x05hello";
const OUTBIND: &[u8] = b"smsc\0secret\0";
const ALERT_NOTIFICATION: &[u8] = b"\x01\x01447700900123\0\0\0load\0";
/// With its four mandatory TLVs: area, content type, repetitions, interval.
const BROADCAST_SM: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0\
    \x06\x06\0\x02\0\x01\x06\x01\0\x03\0\0\x01\x06\x04\0\x02\0\x01\x06\x05\0\x03\x08\0\x01";
const CANCEL_BROADCAST_SM: &[u8] = b"\x001\0\0\0\0";

/// The body of a request; none for those that have none and for ids of no command.
pub(crate) fn body_of(command: CommandId) -> Vec<u8> {
    match command {
        CommandId::BIND_RECEIVER | CommandId::BIND_TRANSMITTER | CommandId::BIND_TRANSCEIVER => BIND,
        CommandId::SUBMIT_SM | CommandId::DELIVER_SM => SM,
        CommandId::DATA_SM => DATA_SM,
        CommandId::SUBMIT_MULTI => SUBMIT_MULTI,
        CommandId::QUERY_SM | CommandId::QUERY_BROADCAST_SM => QUERY,
        CommandId::CANCEL_SM => CANCEL_SM,
        CommandId::REPLACE_SM => REPLACE_SM,
        CommandId::OUTBIND => OUTBIND,
        CommandId::ALERT_NOTIFICATION => ALERT_NOTIFICATION,
        CommandId::BROADCAST_SM => BROADCAST_SM,
        CommandId::CANCEL_BROADCAST_SM => CANCEL_BROADCAST_SM,
        _ => &[],
    }
    .to_vec()
}
