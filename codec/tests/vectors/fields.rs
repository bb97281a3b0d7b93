//! The fields of a PDU as the vectors name and write them.

use serde_json::{Value, json};
use tidegate_codec::address::Address;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::{Bind, BindResp};
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::pdu::multi::{Destination, SubmitMulti, Unsuccess};

/// A field's text as the vectors give it: Latin-1, without NUL.
pub(crate) fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The fields of a PDU under the vectors' names.
pub(crate) fn fields(operation: &Operation<'_>) -> Vec<(&'static str, Value)> {
    fn text<const MAX: usize>(octets: &COctets<'_, MAX>) -> Value {
        Value::from(latin1(octets.as_bytes()))
    }
    fn bind(b: &Bind<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("system_id", text(&b.system_id)),
            ("password", text(&b.password)),
            ("system_type", text(&b.system_type)),
            ("interface_version", b.interface_version.0.into()),
            ("addr_ton", b.addr_ton.0.into()),
            ("addr_npi", b.addr_npi.0.into()),
            ("address_range", text(&b.address_range)),
        ]
    }
    fn sm(s: &Sm<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("service_type", text(&s.service_type)),
            ("source_addr_ton", s.source.ton.0.into()),
            ("source_addr_npi", s.source.npi.0.into()),
            ("source_addr", text(&s.source.addr)),
            ("dest_addr_ton", s.destination.ton.0.into()),
            ("dest_addr_npi", s.destination.npi.0.into()),
            ("destination_addr", text(&s.destination.addr)),
            ("esm_class", s.esm_class.0.into()),
            ("protocol_id", s.protocol_id.into()),
            ("priority_flag", s.priority_flag.into()),
            ("schedule_delivery_time", text(&s.schedule_delivery_time)),
            ("validity_period", text(&s.validity_period)),
            ("registered_delivery", s.registered_delivery.0.into()),
            ("replace_if_present_flag", s.replace_if_present_flag.into()),
            ("data_coding", s.data_coding.0.into()),
            ("sm_default_msg_id", s.sm_default_msg_id.into()),
            ("sm_length", s.short_message.as_bytes().len().into()),
            ("short_message_hex", hex(s.short_message.as_bytes()).into()),
        ]
    }
    fn data_sm(s: &DataSm<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("service_type", text(&s.service_type)),
            ("source_addr_ton", s.source.ton.0.into()),
            ("source_addr_npi", s.source.npi.0.into()),
            ("source_addr", text(&s.source.addr)),
            ("dest_addr_ton", s.destination.ton.0.into()),
            ("dest_addr_npi", s.destination.npi.0.into()),
            ("destination_addr", text(&s.destination.addr)),
            ("esm_class", s.esm_class.0.into()),
            ("registered_delivery", s.registered_delivery.0.into()),
            ("data_coding", s.data_coding.0.into()),
        ]
    }
    fn from(source: &Address<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("source_addr_ton", source.ton.0.into()),
            ("source_addr_npi", source.npi.0.into()),
            ("source_addr", text(&source.addr)),
        ]
    }
    fn multi(m: &SubmitMulti<'_>) -> Vec<(&'static str, Value)> {
        let destination = |destination| match destination {
            Destination::Sme(to) => {
                json!({"dest_flag": 1, "dest_addr_ton": to.ton.0, "dest_addr_npi": to.npi.0,
                "destination_addr": text(&to.addr)})
            }
            Destination::List(name) => json!({"dest_flag": 2, "dl_name": text(&name)}),
        };
        let mut fields = sm(&m.message);
        fields.retain(|(name, _)| !name.starts_with("dest"));
        fields.push(("number_of_dests", m.destinations.len().into()));
        fields.push(("dest_addresses", m.destinations.iter().map(destination).collect()));
        fields
    }
    fn unsuccess(u: Unsuccess<'_>) -> Value {
        json!({"dest_addr_ton": u.address.ton.0, "dest_addr_npi": u.address.npi.0,
            "destination_addr": text(&u.address.addr), "error_status_code": u.status.0})
    }
    match operation {
        Operation::Bind(_, b) => bind(b),
        Operation::BindResp(_, Some(BindResp { system_id, .. })) => vec![("system_id", text(system_id))],
        Operation::SubmitSm(s) | Operation::DeliverSm(s) => sm(s),
        Operation::DataSm(s) => data_sm(s),
        Operation::SubmitMulti(s) => multi(s),
        Operation::SubmitMultiResp(Some(body)) => vec![
            ("message_id", text(&body.message_id)),
            ("no_unsuccess", body.unsuccess().count().into()),
            ("unsuccess_sme", body.unsuccess().map(unsuccess).collect()),
        ],
        Operation::QuerySm(q) => [vec![("message_id", text(&q.message_id))], from(&q.source)].concat(),
        Operation::QuerySmResp(Some(body)) => vec![
            ("message_id", text(&body.message_id)),
            ("final_date", text(&body.final_date)),
            ("message_state", body.message_state.into()),
            ("error_code", body.error_code.into()),
        ],
        Operation::CancelSm(c) => [
            vec![
                ("service_type", text(&c.service_type)),
                ("message_id", text(&c.message_id)),
                ("dest_addr_ton", c.destination.ton.0.into()),
                ("dest_addr_npi", c.destination.npi.0.into()),
                ("destination_addr", text(&c.destination.addr)),
            ],
            from(&c.source),
        ]
        .concat(),
        Operation::ReplaceSm(r) => [
            vec![
                ("message_id", text(&r.message_id)),
                ("schedule_delivery_time", text(&r.schedule_delivery_time)),
                ("validity_period", text(&r.validity_period)),
                ("registered_delivery", r.registered_delivery.0.into()),
                ("sm_default_msg_id", r.sm_default_msg_id.into()),
                ("sm_length", r.short_message.as_bytes().len().into()),
                ("short_message_hex", hex(r.short_message.as_bytes()).into()),
            ],
            from(&r.source),
        ]
        .concat(),
        Operation::SubmitSmResp(Some(body))
        | Operation::DeliverSmResp(Some(body))
        | Operation::DataSmResp(Some(body))
        | Operation::BroadcastSmResp(Some(body))
        | Operation::QueryBroadcastSmResp(Some(body)) => vec![("message_id", text(&body.message_id))],
        Operation::Outbind(o) => vec![("system_id", text(&o.system_id)), ("password", text(&o.password))],
        Operation::AlertNotification(a) => vec![
            ("source_addr_ton", a.source.ton.0.into()),
            ("source_addr_npi", a.source.npi.0.into()),
            ("source_addr", text(&a.source.addr)),
            ("esme_addr_ton", a.esme.ton.0.into()),
            ("esme_addr_npi", a.esme.npi.0.into()),
            ("esme_addr", text(&a.esme.addr)),
        ],
        Operation::BroadcastSm(b) => [
            vec![
                ("service_type", text(&b.service_type)),
                ("message_id", text(&b.message_id)),
                ("priority_flag", b.priority_flag.into()),
                ("schedule_delivery_time", text(&b.schedule_delivery_time)),
                ("validity_period", text(&b.validity_period)),
                ("replace_if_present_flag", b.replace_if_present_flag.into()),
                ("data_coding", b.data_coding.0.into()),
                ("sm_default_msg_id", b.sm_default_msg_id.into()),
            ],
            from(&b.source),
        ]
        .concat(),
        Operation::QueryBroadcastSm(q) => {
            [vec![("message_id", text(&q.message_id))], from(&q.source)].concat()
        }
        Operation::CancelBroadcastSm(c) => [
            vec![
                ("service_type", text(&c.service_type)),
                ("message_id", text(&c.message_id)),
            ],
            from(&c.source),
        ]
        .concat(),
        _ => Vec::new(),
    }
}
