//! A peer of the gateway in virtual time: octets over a pipe, and what ESMEs and SMSCs say.

use std::collections::VecDeque;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::{Bind, BindResp};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode_empty, read};
use tidegate_codec::receipt::{ReceiptText, read_receipt};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{BindKind, EsmClass, InterfaceVersion, MessageState, RegisteredDelivery};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::world::START_MS;

/// A peer that speaks octets.
pub(crate) struct Wire {
    stream: DuplexStream,
    held: Vec<u8>,
    frames: VecDeque<Frame>,
}

/// A PDU, owned: its octets.
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl Frame {
    pub(crate) fn pdu(&self) -> Pdu<'_> {
        match read(&self.0, &Limits::default()) {
            Read::Pdu(pdu) => pdu,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn sm(&self) -> Sm<'_> {
        match self.pdu().operation {
            Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => sm,
            other => panic!("{other:?}"),
        }
    }
}

/// The octets of a PDU.
pub(crate) fn octets(status: CommandStatus, sequence: u32, operation: Operation<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Pdu {
        status,
        sequence,
        operation,
    }
    .encode(&mut out);
    out
}

/// The octets of a PDU without a body.
pub(crate) fn empty(id: CommandId, status: CommandStatus, sequence: u32) -> Vec<u8> {
    let mut out = Vec::new();
    encode_empty(id, status, sequence, &mut out);
    out
}

/// A bind.
pub(crate) fn bind<'a>(system_id: &'a [u8], password: &'a [u8], version: InterfaceVersion) -> Bind<'a> {
    Bind {
        system_id: COctets::new(system_id).unwrap(),
        password: COctets::new(password).unwrap(),
        system_type: COctets::EMPTY,
        interface_version: version,
        addr_ton: Ton::UNKNOWN,
        addr_npi: Npi::UNKNOWN,
        address_range: COctets::EMPTY,
        tlvs: Tlvs::NONE,
    }
}

impl Wire {
    pub(crate) fn new(stream: DuplexStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
            frames: VecDeque::new(),
        }
    }

    /// Writes octets as they are; an error says that the gateway has closed the connection.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(octets).await
    }

    pub(crate) async fn send(&mut self, status: CommandStatus, sequence: u32, operation: Operation<'_>) {
        self.write(&octets(status, sequence, operation)).await.unwrap();
    }

    pub(crate) async fn send_empty(&mut self, id: CommandId, sequence: u32) {
        self.write(&empty(id, CommandStatus::ROK, sequence))
            .await
            .unwrap();
    }

    /// The next PDU of this command; enquire_link on the way is answered.
    pub(crate) async fn expect(&mut self, id: CommandId) -> Frame {
        loop {
            let frame = self.next().await;
            let pdu = frame.pdu();
            if pdu.operation.command_id() == id {
                return frame;
            }
            assert_eq!(
                pdu.operation.command_id(),
                CommandId::ENQUIRE_LINK,
                "while waiting for {id}"
            );
            let sequence = pdu.sequence;
            self.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await;
        }
    }

    /// The sequence number of the next PDU, an enquire_link.
    pub(crate) async fn expect_enquiry(&mut self) -> u32 {
        let frame = self.next().await;
        assert_eq!(frame.pdu().operation.command_id(), CommandId::ENQUIRE_LINK);
        frame.pdu().sequence
    }

    /// Answers enquire_links, and lets nothing else come.
    pub(crate) async fn keep_alive(&mut self) -> std::convert::Infallible {
        loop {
            let sequence = self.expect_enquiry().await;
            self.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await;
        }
    }

    pub(crate) async fn next(&mut self) -> Frame {
        self.try_next().await.expect("the gateway closed the connection")
    }

    /// The next PDU; `None` when the gateway has closed the connection. May be dropped and asked again.
    pub(crate) async fn try_next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let mut chunk = [0; 16 << 10];
            let count = self.stream.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.held.extend_from_slice(&chunk[..count]);
            let mut rest = &self.held[..];
            while let Some(word) = rest.first_chunk() {
                let length = u32::from_be_bytes(*word) as usize;
                let Some((frame, behind)) = rest.split_at_checked(length) else {
                    break;
                };
                self.frames.push_back(Frame(frame.to_vec()));
                rest = behind;
            }
            let used = self.held.len() - rest.len();
            self.held.drain(..used);
        }
    }

    pub(crate) async fn bind(&mut self, password: &[u8]) -> CommandStatus {
        let bind = bind(b"load", password, InterfaceVersion::V3_4);
        self.send(
            CommandStatus::ROK,
            1,
            Operation::Bind(BindKind::Transceiver, bind),
        )
        .await;
        self.expect(CommandId::BIND_TRANSCEIVER_RESP).await.pdu().status
    }

    /// As SMSC: takes the gateway's bind.
    pub(crate) async fn accept_bind(&mut self) {
        let frame = self.expect(CommandId::BIND_TRANSCEIVER).await;
        let sequence = frame.pdu().sequence;
        let body = BindResp {
            system_id: COctets::new(b"sink").unwrap(),
            tlvs: Tlvs::NONE,
        };
        self.send(
            CommandStatus::ROK,
            sequence,
            Operation::BindResp(BindKind::Transceiver, Some(body)),
        )
        .await;
    }

    /// Submits one message and returns its id.
    pub(crate) async fn submit(&mut self, sequence: u32) -> Vec<u8> {
        self.send(CommandStatus::ROK, sequence, Operation::SubmitSm(message()))
            .await;
        let frame = self.expect(CommandId::SUBMIT_SM_RESP).await;
        let pdu = frame.pdu();
        assert_eq!((pdu.status, pdu.sequence), (CommandStatus::ROK, sequence));
        match pdu.operation {
            Operation::SubmitSmResp(Some(body)) => body.message_id.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// As SMSC: takes one submit_sm under this id.
    pub(crate) async fn take_submit(&mut self, id: &[u8]) -> Frame {
        let frame = self.expect(CommandId::SUBMIT_SM).await;
        let sequence = frame.pdu().sequence;
        let body = MessageIdResp {
            message_id: COctets::new(id).unwrap(),
            tlvs: Tlvs::NONE,
        };
        self.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body)))
            .await;
        frame
    }

    /// As SMSC: delivers a receipt; does not wait for its answer.
    pub(crate) async fn send_receipt(&mut self, sequence: u32, id: &[u8], state: MessageState) {
        self.send_receipt_of_two(sequence, None, id, state).await;
    }

    /// The same with one id in the TLV and another in the text.
    pub(crate) async fn send_receipt_of_two(
        &mut self,
        sequence: u32,
        tlv_id: Option<&[u8]>,
        id: &[u8],
        state: MessageState,
    ) {
        let (mut text, mut tlvs) = (Vec::new(), Vec::new());
        if let Some(id) = tlv_id {
            let id = [id, b"\0"].concat();
            assert!(tlv::append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, &id));
        }
        ReceiptText::new(id, state, START_MS, START_MS).write(&mut text);
        let sm = Sm {
            esm_class: EsmClass::RECEIPT,
            short_message: ShortMessage::new(&text).unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..message()
        };
        self.send(CommandStatus::ROK, sequence, Operation::DeliverSm(sm))
            .await;
    }

    /// As ESME: takes one DLR: its id and state.
    pub(crate) async fn take_dlr(&mut self) -> (Vec<u8>, MessageState) {
        let frame = self.expect(CommandId::DELIVER_SM).await;
        let sequence = frame.pdu().sequence;
        self.send(
            CommandStatus::ROK,
            sequence,
            Operation::DeliverSmResp(Some(MessageIdResp::default())),
        )
        .await;
        let sm = frame.sm();
        let reading = read_receipt(
            sm.esm_class,
            sm.text().0,
            sm.tlvs.get(Tag::RECEIPTED_MESSAGE_ID),
            None,
            None,
            false,
        );
        let reading = reading.unwrap();
        (reading.id().to_vec(), reading.state)
    }
}

pub(crate) fn message() -> Sm<'static> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}
