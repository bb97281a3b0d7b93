//! `rusmppc` as an ESME with a window of one: commands as JSON lines on stdin, what happens as JSON lines on
//! stdout. The vocabulary is the same for all ESME peers (`tests/interop/README.md`, "How to add a peer").

use std::collections::HashMap;
use std::io::Write as _;
use std::str::FromStr as _;

use rusmpp::extra::concatenation::SubmitSmMultipartExt as _;
use rusmpp::pdus::{BindReceiver, BindTransceiver, BindTransmitter, DeliverSmResp, SubmitSm, SubmitSmResp};
use rusmpp::tlvs::{MessageSubmissionRequestTlvValue as SubmitTlv, Tlv, TlvTag, TlvValue};
use rusmpp::types::{AnyOctetString, COctetString, OctetString};
use rusmpp::values::{
    DataCoding, EsmClass, InterfaceVersion, MessagePayload, Npi, PriorityFlag, RegisteredDelivery, Ton,
    UserMessageReference,
};
use rusmpp::{Command, CommandId, Pdu};
use rusmppc::error::Error;
use rusmppc::{Client, ConnectionBuilder, Event};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The vendor's TLV that passes unchanged.
const VENDOR: TlvTag = TlvTag::Other(0x1400);

/// Characters of a text that fit in one submit_sm, unpacked; octets in UCS-2.
const GSM_SIZE: usize = 160;

/// Writes one event; every field of `more` is added to it.
fn emit(event: &str, link: &str, port: u16, more: Value) {
    let mut line = json!({ "event": event, "link": link, "port": port });
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    let mut stdout = std::io::stdout().lock();
    // The run has ended if nobody reads.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(digits: &str) -> Outcome<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let octets = pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    octets.collect()
}

/// A number of an order; 0 if it has none.
fn number<T: TryFrom<u64> + Default>(order: &Value, name: &str) -> T {
    let number = order[name].as_u64().and_then(|number| T::try_from(number).ok());
    number.unwrap_or_default()
}

fn text<'a>(order: &'a Value, name: &str) -> &'a str {
    order[name].as_str().unwrap_or_default()
}

fn tlv_fields(tlvs: &[Tlv], fields: &mut Map<String, Value>) {
    for tlv in tlvs {
        let (name, value) = match tlv.value() {
            Some(TlvValue::MessagePayload(payload)) => {
                ("message_payload", json!(hex(payload.value.as_ref())))
            }
            Some(TlvValue::ReceiptedMessageId(id)) => ("receipted_message_id", json!(id.as_str())),
            Some(TlvValue::MessageState(state)) => ("message_state", json!(u8::from(*state))),
            Some(TlvValue::UserMessageReference(reference)) => {
                ("user_message_reference", json!(reference.value))
            }
            Some(TlvValue::SarMsgRefNum(reference)) => ("sar_msg_ref_num", json!(reference)),
            Some(TlvValue::SarTotalSegments(total)) => ("sar_total_segments", json!(total)),
            Some(TlvValue::SarSegmentSeqnum(number)) => ("sar_segment_seqnum", json!(number)),
            Some(TlvValue::NetworkErrorCode(code)) => {
                let octets = [&[u8::from(code.network_type)][..], &code.error_code.to_be_bytes()].concat();
                ("network_error_code", json!(hex(&octets)))
            }
            Some(TlvValue::Other { tag, value }) if *tag == VENDOR => {
                ("vendor_1400", json!(hex(value.as_ref())))
            }
            _ => continue,
        };
        fields.insert(name.to_owned(), value);
    }
}

/// The fields that submit_sm and deliver_sm share.
macro_rules! message_fields {
    ($command:literal, $pdu:expr) => {{
        let pdu = $pdu;
        let mut fields = json!({
            "command": $command,
            "status": 0,
            "source_addr_ton": u8::from(pdu.source_addr_ton),
            "source_addr_npi": u8::from(pdu.source_addr_npi),
            "source_addr": pdu.source_addr.as_str(),
            "dest_addr_ton": u8::from(pdu.dest_addr_ton),
            "dest_addr_npi": u8::from(pdu.dest_addr_npi),
            "destination_addr": pdu.destination_addr.as_str(),
            "esm_class": u8::from(pdu.esm_class),
            "protocol_id": pdu.protocol_id,
            "priority_flag": u8::from(pdu.priority_flag),
            "registered_delivery": u8::from(pdu.registered_delivery),
            "data_coding": u8::from(pdu.data_coding),
            "short_message": hex(pdu.short_message().as_ref()),
        });
        if let Value::Object(fields) = &mut fields {
            tlv_fields(pdu.tlvs(), fields);
        }
        fields
    }};
}

/// What `rusmppc` hands out as an event.
fn incoming(command: &Command) -> Value {
    let mut fields = match command.pdu() {
        Some(Pdu::DeliverSm(deliver)) => message_fields!("deliver_sm", deliver),
        Some(Pdu::EnquireLink) => json!({ "command": "enquire_link" }),
        Some(Pdu::Unbind) => json!({ "command": "unbind" }),
        _ => json!({ "command": format!("{:?}", command.id()) }),
    };
    fields["status"] = json!(u32::from(command.status()));
    fields["sequence"] = json!(command.sequence_number());
    fields
}

/// An answer as an event: what `rusmppc` returned for a request, or the error answer in what it refused.
fn answered<T>(command: &str, outcome: Result<T, Error>, fields: impl FnOnce(T) -> Value) -> Outcome<Value> {
    let mut event = match outcome {
        Ok(answer) => {
            let mut event = fields(answer);
            event["status"] = json!(0);
            event
        }
        Err(Error::UnexpectedResponse { response }) => json!({
            "status": u32::from(response.status()),
            "sequence": response.sequence_number(),
        }),
        Err(error) => return Err(error.into()),
    };
    event["command"] = json!(format!("{command}_resp"));
    Ok(event)
}

/// One session.
struct Link {
    name: String,
    port: u16,
    client: Client,
    reference: u8,
}

impl Link {
    /// Connects and binds; deliveries, enquire_link and unbind are answered as they come.
    async fn bind(name: String, order: &Value) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", number(order, "port"))).await?;
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let builder = ConnectionBuilder::new()
            .no_enquire_link_interval()
            .disable_auto_enquire_link_response()
            .disable_interface_version_check();
        let (client, mut events) = builder.connected(stream);
        let (answering, link) = (client.clone(), name.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Incoming(command) => {
                        emit("in", &link, port, incoming(&command));
                        let sequence = command.sequence_number();
                        let answered = match command.id() {
                            CommandId::DeliverSm => {
                                answering
                                    .deliver_sm_resp(sequence, DeliverSmResp::default())
                                    .await
                            }
                            CommandId::EnquireLink => answering.enquire_link_resp(sequence).await,
                            CommandId::Unbind => answering.unbind_resp(sequence).await,
                            _ => Ok(()),
                        };
                        if let Err(error) = answered {
                            emit("error", &link, port, json!({ "text": error.to_string() }));
                        }
                    }
                    Event::Error(error) => emit("error", &link, port, json!({ "text": error.to_string() })),
                }
            }
            emit("closed", &link, port, json!({}));
        });

        let system_id = COctetString::from_str(text(order, "system_id"))?;
        let password = COctetString::from_str(text(order, "password"))?;
        let version = InterfaceVersion::from(number::<u8>(order, "interface_version"));
        // The three kinds differ in their types only.
        macro_rules! bind {
            ($request:ident, $send:ident, $command:literal) => {{
                let request = $request::builder()
                    .system_id(system_id)
                    .password(password)
                    .interface_version(version)
                    .build();
                answered($command, client.$send(request).await, |answer| {
                    json!({
                        "system_id": answer.system_id.as_str(),
                        "sc_interface_version": answer.sc_interface_version().map(u8::from),
                    })
                })?
            }};
        }
        let event = match text(order, "kind") {
            "transmitter" => bind!(BindTransmitter, bind_transmitter, "bind_transmitter"),
            "receiver" => bind!(BindReceiver, bind_receiver, "bind_receiver"),
            _ => bind!(BindTransceiver, bind_transceiver, "bind_transceiver"),
        };
        emit("in", &name, port, event);
        Ok(Self {
            name,
            port,
            client,
            reference: 0,
        })
    }

    /// Submits a text as `rusmpp` encodes and cuts it, or octets as they are given; waits for each answer.
    async fn submit(&mut self, order: &Value) -> Outcome {
        let coding = number::<u8>(order, "data_coding");
        let mut submit = SubmitSm::builder()
            .source_addr_ton(Ton::from(number::<u8>(order, "source_addr_ton")))
            .source_addr_npi(Npi::from(number::<u8>(order, "source_addr_npi")))
            .source_addr(COctetString::from_str(text(order, "source_addr"))?)
            .dest_addr_ton(Ton::from(number::<u8>(order, "dest_addr_ton")))
            .dest_addr_npi(Npi::from(number::<u8>(order, "dest_addr_npi")))
            .destination_addr(COctetString::from_str(text(order, "destination_addr"))?)
            .esm_class(EsmClass::from(number::<u8>(order, "esm_class")))
            .priority_flag(PriorityFlag::from(number::<u8>(order, "priority_flag")))
            .registered_delivery(RegisteredDelivery::from(number::<u8>(
                order,
                "registered_delivery",
            )))
            .data_coding(DataCoding::from(coding))
            .build();
        if let Some(digits) = order["short_message"].as_str() {
            submit.set_short_message(OctetString::from_vec(octets(digits)?)?);
        }
        if let Some(digits) = order["message_payload"].as_str() {
            let payload = MessagePayload::new(AnyOctetString::from_vec(octets(digits)?));
            submit.push_tlv(SubmitTlv::MessagePayload(payload));
        }
        if let Some(digits) = order["vendor_1400"].as_str() {
            let value = AnyOctetString::from_vec(octets(digits)?);
            submit.push_tlv(SubmitTlv::Other { tag: VENDOR, value });
        }
        if !order["user_message_reference"].is_null() {
            let reference = UserMessageReference::new(number(order, "user_message_reference"));
            submit.push_tlv(SubmitTlv::UserMessageReference(reference));
        }
        if !order["sar_msg_ref_num"].is_null() {
            submit.push_tlv(SubmitTlv::SarMsgRefNum(number(order, "sar_msg_ref_num")));
            submit.push_tlv(SubmitTlv::SarTotalSegments(number(order, "sar_total_segments")));
            submit.push_tlv(SubmitTlv::SarSegmentSeqnum(number(order, "sar_segment_seqnum")));
        }
        self.reference = self.reference.wrapping_add(1);
        let submits = match (order["text"].as_str(), DataCoding::from(coding)) {
            (None, _) => vec![submit],
            (Some(text), DataCoding::Ucs2) => submit
                .multipart(text)
                .reference_u8(self.reference)
                .ucs2()
                .build()?,
            (Some(text), _) => {
                let parts = submit.multipart(text).reference_u8(self.reference);
                parts
                    .max_short_message_size(GSM_SIZE)
                    .gsm7bit_unpacked()
                    .build()?
            }
        };
        self.emit("submitted", json!({ "parts": submits.len() }));
        for submit in submits {
            self.emit("out", message_fields!("submit_sm", &submit));
            let answer = self.client.submit_sm(submit).await;
            let fields = |answer: SubmitSmResp| json!({ "message_id": answer.message_id().as_str() });
            self.emit("in", answered("submit_sm", answer, fields)?);
        }
        Ok(())
    }

    /// Sends what has no body, and waits for the answer.
    async fn ask(&self, what: &str) -> Outcome {
        let answer = match what {
            "unbind" => self.client.unbind().await,
            _ => self.client.enquire_link().await,
        };
        self.emit("in", answered(what, answer, |()| json!({}))?);
        if what == "unbind" {
            self.client.close().await?;
        }
        Ok(())
    }

    fn emit(&self, event: &str, more: Value) {
        emit(event, &self.name, self.port, more);
    }
}

async fn obey(links: &mut HashMap<String, Link>, order: &Value) -> Outcome {
    let name = order["link"].as_str().unwrap_or("main");
    if order["do"] == "bind" {
        let link = Link::bind(name.to_owned(), order).await?;
        links.insert(name.to_owned(), link);
        return Ok(());
    }
    let link = links.get_mut(name).ok_or("no such link")?;
    match text(order, "do") {
        "submit" => link.submit(order).await,
        what => link.ask(what).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut links = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let order: Value = serde_json::from_str(&line)?;
        if let Err(error) = obey(&mut links, &order).await {
            let cause = error.source().map(ToString::to_string);
            emit(
                "error",
                "",
                0,
                json!({ "text": error.to_string(), "cause": cause }),
            );
        }
    }
    Ok(())
}
