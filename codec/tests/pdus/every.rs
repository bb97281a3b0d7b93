//! One PDU of each of the 33 commands, made of the same owned parts.

use tidegate_codec::address::{ADDR_DATA, ADDR_SM, Address, Npi, Ton};
use tidegate_codec::identity::{PASSWORD_MAX, SYSTEM_ID_MAX, SYSTEM_TYPE_MAX};
use tidegate_codec::message_id::{MESSAGE_ID_MAX, MessageIdField};
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::alert::AlertNotification;
use tidegate_codec::pdu::ancillary::{CancelSm, QuerySm, QuerySmResp, ReplaceSm};
use tidegate_codec::pdu::bind::{ADDRESS_RANGE_MAX, Bind, BindResp};
use tidegate_codec::pdu::broadcast::{BroadcastSm, CancelBroadcastSm, QueryBroadcastSm};
use tidegate_codec::pdu::message::{DataSm, SERVICE_TYPE_MAX, ShortMessage, Sm, TIME_MAX};
use tidegate_codec::pdu::multi::{
    DL_NAME_MAX, Destination, Destinations, SubmitMulti, SubmitMultiResp, Unsuccess,
};
use tidegate_codec::pdu::outbind::Outbind;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::{BindKind, DataCoding, EsmClass, InterfaceVersion, RegisteredDelivery};

/// What the fields hold. Every string fits its field: `MAX` of the field, less one for the NUL.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) system_id: Vec<u8>,
    pub(crate) password: Vec<u8>,
    pub(crate) system_type: Vec<u8>,
    pub(crate) address_range: Vec<u8>,
    pub(crate) service_type: Vec<u8>,
    /// Two addresses that fit a submit_sm, and two that fit a data_sm.
    pub(crate) short: [(u8, u8, Vec<u8>); 2],
    pub(crate) wide: [(u8, u8, Vec<u8>); 2],
    pub(crate) times: [Vec<u8>; 2],
    pub(crate) message_id: Vec<u8>,
    pub(crate) dl_name: Vec<u8>,
    /// The fields of one octet, in the order in which a PDU needs them.
    pub(crate) octets: [u8; 8],
    pub(crate) text: Vec<u8>,
    pub(crate) statuses: Vec<u32>,
    pub(crate) tlvs: Vec<(u16, Vec<u8>)>,
}

/// Longest octets of each string in [`Parts`], as their fields allow.
pub(crate) const LONGEST: [usize; 10] = [
    SYSTEM_ID_MAX - 1,
    PASSWORD_MAX - 1,
    SYSTEM_TYPE_MAX - 1,
    ADDRESS_RANGE_MAX - 1,
    SERVICE_TYPE_MAX - 1,
    ADDR_SM - 1,
    ADDR_DATA - 1,
    TIME_MAX - 1,
    MESSAGE_ID_MAX - 1,
    DL_NAME_MAX - 1,
];

/// What is encoded beforehand, because PDUs borrow it.
pub(crate) struct Encoded {
    tlvs: Vec<u8>,
    destinations: (u8, Vec<u8>),
    unsuccess: (u8, Vec<u8>),
}

fn field<const MAX: usize>(octets: &[u8]) -> COctets<'_, MAX> {
    COctets::new(octets).unwrap()
}

fn address<const MAX: usize>((ton, npi, addr): &(u8, u8, Vec<u8>)) -> Address<'_, MAX> {
    Address::new(Ton(*ton), Npi(*npi), addr).unwrap()
}

impl Parts {
    pub(crate) fn encoded(&self) -> Encoded {
        let mut tlvs = Vec::new();
        for (tag, value) in &self.tlvs {
            assert!(append(&mut tlvs, Tag(*tag), value));
        }
        let (mut destinations, mut unsuccess) = (Vec::new(), Vec::new());
        Destination::Sme(address(&self.short[1])).encode(&mut destinations);
        Destination::List(field(&self.dl_name)).encode(&mut destinations);
        for status in &self.statuses {
            Unsuccess {
                address: address(&self.short[1]),
                status: CommandStatus(*status),
            }
            .encode(&mut unsuccess);
        }
        Encoded {
            tlvs,
            destinations: (2, destinations),
            unsuccess: (u8::try_from(self.statuses.len()).unwrap(), unsuccess),
        }
    }

    fn sm<'a>(&'a self, tlvs: Tlvs<'a>) -> Sm<'a> {
        let [
            esm_class,
            protocol_id,
            priority_flag,
            registered,
            replace,
            coding,
            default,
            _,
        ] = self.octets;
        Sm {
            service_type: field(&self.service_type),
            source: address(&self.short[0]),
            destination: address(&self.short[1]),
            esm_class: EsmClass(esm_class),
            protocol_id,
            priority_flag,
            schedule_delivery_time: field(&self.times[0]),
            validity_period: field(&self.times[1]),
            registered_delivery: RegisteredDelivery(registered),
            replace_if_present_flag: replace,
            data_coding: DataCoding(coding),
            sm_default_msg_id: default,
            short_message: ShortMessage::new(&self.text).unwrap(),
            tlvs,
        }
    }

    /// One of each, bodies where there may be one.
    pub(crate) fn operations<'a>(&'a self, encoded: &'a Encoded) -> Vec<Operation<'a>> {
        let tlvs = Tlvs::new(&encoded.tlvs);
        let message_id: MessageIdField<'_> = field(&self.message_id);
        let source = address(&self.short[0]);
        let service_type = field(&self.service_type);
        let sm = self.sm(tlvs);
        let bind = Bind {
            system_id: field(&self.system_id),
            password: field(&self.password),
            system_type: field(&self.system_type),
            interface_version: InterfaceVersion(self.octets[7]),
            addr_ton: Ton(self.octets[0]),
            addr_npi: Npi(self.octets[1]),
            address_range: field(&self.address_range),
            tlvs,
        };
        let bind_resp = Some(BindResp {
            system_id: bind.system_id,
            tlvs,
        });
        let resp = Some(MessageIdResp { message_id, tlvs });
        let (count, destinations) = &encoded.destinations;
        let multi = SubmitMulti {
            message: Sm {
                destination: Address::default(),
                ..sm
            },
            destinations: Destinations::new(*count, destinations).unwrap(),
        };
        let (count, unsuccess) = &encoded.unsuccess;
        let multi_resp = SubmitMultiResp::new(message_id, *count, unsuccess, tlvs).unwrap();
        vec![
            Operation::Bind(BindKind::Receiver, bind),
            Operation::Bind(BindKind::Transmitter, bind),
            Operation::Bind(BindKind::Transceiver, bind),
            Operation::BindResp(BindKind::Receiver, bind_resp),
            Operation::BindResp(BindKind::Transmitter, bind_resp),
            Operation::BindResp(BindKind::Transceiver, bind_resp),
            Operation::Outbind(Outbind {
                system_id: bind.system_id,
                password: bind.password,
                tlvs,
            }),
            Operation::Unbind(tlvs),
            Operation::UnbindResp(tlvs),
            Operation::EnquireLink(tlvs),
            Operation::EnquireLinkResp(tlvs),
            Operation::GenericNack(tlvs),
            Operation::AlertNotification(AlertNotification {
                source: address(&self.wide[0]),
                esme: address(&self.wide[1]),
                tlvs,
            }),
            Operation::SubmitSm(sm),
            Operation::SubmitSmResp(resp),
            Operation::DeliverSm(sm),
            Operation::DeliverSmResp(resp),
            Operation::DataSm(DataSm {
                service_type,
                source: address(&self.wide[0]),
                destination: address(&self.wide[1]),
                esm_class: sm.esm_class,
                registered_delivery: sm.registered_delivery,
                data_coding: sm.data_coding,
                tlvs,
            }),
            Operation::DataSmResp(resp),
            Operation::SubmitMulti(multi),
            Operation::SubmitMultiResp(Some(multi_resp)),
            Operation::QuerySm(QuerySm {
                message_id,
                source,
                tlvs,
            }),
            Operation::QuerySmResp(Some(QuerySmResp {
                message_id,
                final_date: sm.schedule_delivery_time,
                message_state: self.octets[0],
                error_code: self.octets[1],
                tlvs,
            })),
            Operation::CancelSm(CancelSm {
                service_type,
                message_id,
                source,
                destination: sm.destination,
                tlvs,
            }),
            Operation::CancelSmResp(tlvs),
            Operation::ReplaceSm(ReplaceSm {
                message_id,
                source,
                schedule_delivery_time: sm.schedule_delivery_time,
                validity_period: sm.validity_period,
                registered_delivery: sm.registered_delivery,
                sm_default_msg_id: sm.sm_default_msg_id,
                short_message: sm.short_message,
                tlvs,
            }),
            Operation::ReplaceSmResp(tlvs),
            Operation::BroadcastSm(BroadcastSm {
                service_type,
                source,
                message_id,
                priority_flag: sm.priority_flag,
                schedule_delivery_time: sm.schedule_delivery_time,
                validity_period: sm.validity_period,
                replace_if_present_flag: sm.replace_if_present_flag,
                data_coding: sm.data_coding,
                sm_default_msg_id: sm.sm_default_msg_id,
                tlvs,
            }),
            Operation::BroadcastSmResp(resp),
            Operation::QueryBroadcastSm(QueryBroadcastSm {
                message_id,
                source,
                tlvs,
            }),
            Operation::QueryBroadcastSmResp(resp),
            Operation::CancelBroadcastSm(CancelBroadcastSm {
                service_type,
                message_id,
                source,
                tlvs,
            }),
            Operation::CancelBroadcastSmResp(tlvs),
        ]
    }
}
