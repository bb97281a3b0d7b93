//! Whether a PDU fits a peer's version: commands, statuses, values, TLVs.

use crate::error::Field;
use crate::header::CommandId;
use crate::pdu::message::ShortMessage;
use crate::pdu::{Operation, Pdu};
use crate::status::CommandStatus;
use crate::tlv::Tag;
use crate::values::{InterfaceVersion, MessageState};

/// What of a PDU a peer of some version must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A command that it does not know.
    #[error("{0} is not of that version")]
    Command(CommandId),
    /// A status that it does not know.
    #[error("{0} is not of that version")]
    Status(CommandStatus),
    /// A TLV of a later version, or any TLV to a peer of 3.3.
    #[error("{0:?} is not of that version")]
    Tlv(Tag),
    /// A message_id longer than its field.
    #[error("a message_id of {0} octets is too long for that version")]
    MessageId(usize),
    /// A text longer than its field.
    #[error("a short_message of {0} octets is too long for that version")]
    ShortMessage(usize),
    /// More destinations than its submit_multi has.
    #[error("{0} destinations are too many for that version")]
    Destinations(usize),
    /// A value that the field has in a later version only.
    #[error("{0:?} has no such value in that version")]
    Value(Field),
}

impl Pdu<'_> {
    /// Whether a peer of this version may be sent this PDU.
    ///
    /// # Errors
    ///
    /// The first reason why it may not.
    pub fn fits(&self, version: InterfaceVersion) -> Result<(), Unfit> {
        let operation = &self.operation;
        let command = operation.command_id();
        if !version.has_command(command) {
            return Err(Unfit::Command(command));
        }
        // The status of a request says nothing.
        if command.is_response() && !version.has_status(self.status) {
            return Err(Unfit::Status(self.status));
        }
        let id = message_id(operation).len();
        if id >= version.message_id_max() {
            return Err(Unfit::MessageId(id));
        }
        let text = text_len(operation);
        if text > version.short_message_max() {
            return Err(Unfit::ShortMessage(text));
        }
        if let Operation::SubmitMulti(multi) = operation
            && multi.destinations.len() > version.destinations_max()
        {
            return Err(Unfit::Destinations(multi.destinations.len()));
        }
        if let Some(field) = late_value(operation, version) {
            return Err(Unfit::Value(field));
        }
        if let Operation::SubmitMultiResp(Some(body)) = operation
            && let Some(unsuccess) = body.unsuccess().find(|one| !version.has_status(one.status))
        {
            return Err(Unfit::Status(unsuccess.status));
        }
        fit_tlvs(operation, version)
    }
}

/// No TLV of a later version, and none in the form of a later version. What is no TLV any more counts as well: a peer
/// would read it as one.
fn fit_tlvs(operation: &Operation<'_>, version: InterfaceVersion) -> Result<(), Unfit> {
    let tlvs = operation.tlvs();
    let is_late = |tag: Tag, value: &[u8]| match (tag, value) {
        // One octet in 3.4, four in 5.0; none in 3.4, one in 5.0.
        (Tag::MS_VALIDITY, value) => !version.is_v5() && value.len() > 1,
        (Tag::ALERT_ON_MESSAGE_DELIVERY, value) => !version.is_v5() && !value.is_empty(),
        (Tag::MESSAGE_STATE, [state]) => !has_state(version, *state),
        _ => false,
    };
    for tlv in tlvs {
        if !version.may_carry(tlv.tag) || is_late(tlv.tag, tlv.value.0) {
            return Err(Unfit::Tlv(tlv.tag));
        }
    }
    // replace_sm has its one TLV since 5.0 (smpp-pdus.md §4.5).
    let has_none = !version.has_tlvs() || (matches!(operation, Operation::ReplaceSm(_)) && !version.is_v5());
    let first = tlvs
        .as_bytes()
        .first_chunk()
        .map_or(0, |tag| u16::from_be_bytes(*tag));
    let framed: usize = tlvs.iter().map(|tlv| 4 + tlv.value.0.len()).sum();
    let is_framed = framed == tlvs.as_bytes().len();
    if (has_none && !tlvs.is_empty()) || !is_framed {
        return Err(Unfit::Tlv(Tag(first)));
    }
    Ok(())
}

fn has_state(version: InterfaceVersion, state: u8) -> bool {
    MessageState::from_octet(state).is_none_or(|state| version.has_state(state))
}

/// The first mandatory field with a value that a peer of this version does not know (smpp-pdus.md §4.2, §6).
fn late_value(operation: &Operation<'_>, version: InterfaceVersion) -> Option<Field> {
    let is_v3_3 = !version.has_tlvs();
    let id = message_id(operation);
    if is_v3_3 && !id.iter().all(u8::is_ascii_hexdigit) {
        return Some(Field::MessageId);
    }
    let sm = match operation {
        Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => sm,
        Operation::SubmitMulti(multi) => &multi.message,
        Operation::QuerySmResp(Some(body)) => {
            return (!has_state(version, body.message_state)).then_some(Field::MessageState);
        }
        _ => return None,
    };
    let priority_max = match (is_v3_3, version.is_v5()) {
        (true, _) => 1,
        (_, true) => 4,
        _ => 3,
    };
    let receipts = sm.registered_delivery.0;
    let has_receipts = if is_v3_3 {
        receipts <= 1
    } else {
        version.is_v5() || receipts & 3 != 3
    };
    let is_delivery = matches!(operation, Operation::DeliverSm(_)) && !version.is_v5();
    if sm.priority_flag > priority_max {
        Some(Field::PriorityFlag)
    } else if !has_receipts {
        Some(Field::RegisteredDelivery)
    } else if sm.sm_default_msg_id == u8::MAX && !version.is_v5() || is_delivery && sm.sm_default_msg_id != 0
    {
        Some(Field::SmDefaultMsgId)
    } else if is_delivery && !sm.schedule_delivery_time.is_empty() {
        Some(Field::ScheduleDeliveryTime)
    } else if is_delivery && !sm.validity_period.is_empty() {
        Some(Field::ValidityPeriod)
    } else if is_delivery && sm.replace_if_present_flag != 0 {
        Some(Field::ReplaceIfPresentFlag)
    } else {
        None
    }
}

fn message_id<'a>(operation: &Operation<'a>) -> &'a [u8] {
    match operation {
        Operation::SubmitSmResp(Some(body))
        | Operation::DeliverSmResp(Some(body))
        | Operation::DataSmResp(Some(body)) => body.message_id.as_bytes(),
        Operation::SubmitMultiResp(Some(body)) => body.message_id.as_bytes(),
        Operation::QuerySm(query) => query.message_id.as_bytes(),
        Operation::QuerySmResp(Some(body)) => body.message_id.as_bytes(),
        Operation::CancelSm(cancel) => cancel.message_id.as_bytes(),
        Operation::ReplaceSm(replace) => replace.message_id.as_bytes(),
        // Broadcasts are of 5.0, where every id fits; the rest has none.
        _ => &[],
    }
}

fn text_len(operation: &Operation<'_>) -> usize {
    let text = match operation {
        Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => sm.short_message,
        Operation::SubmitMulti(multi) => multi.message.short_message,
        Operation::ReplaceSm(replace) => replace.short_message,
        _ => ShortMessage::default(),
    };
    text.as_bytes().len()
}
