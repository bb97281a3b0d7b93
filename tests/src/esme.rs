//! A client that does what a test tells it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion, RegisteredDelivery};
use tokio::net::TcpStream;

use crate::peer::{Frame, Peer, empty_id};

/// An ESME on one connection. Deliveries are answered with success as they come, unless the test sets
/// [`Peer::answers`] to another status or to `None`; either way they are collected for
/// [`ScriptedEsme::expect_deliver`].
#[derive(Debug)]
pub struct ScriptedEsme(Peer);

impl Deref for ScriptedEsme {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.0
    }
}

impl DerefMut for ScriptedEsme {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.0
    }
}

impl ScriptedEsme {
    /// Connects and says nothing.
    pub async fn connect(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).await;
        let socket = socket.unwrap_or_else(|error| panic!("esme: cannot connect to {server}: {error}"));
        let mut peer = Peer::new("esme", socket);
        peer.answers = Some(CommandStatus::ROK);
        Self(peer)
    }

    /// Connects and binds as transceiver, which must succeed.
    pub async fn bound(server: SocketAddr, system_id: &str, password: &str) -> Self {
        let mut esme = Self::connect(server).await;
        esme.bind_trx(system_id, password).await;
        esme
    }

    /// Asks to be bound with SMPP 3.4, and gives the answer whatever it says.
    pub async fn try_bind(&mut self, kind: BindKind, system_id: &str, password: &str) -> Frame {
        self.try_bind_as(kind, system_id, password, InterfaceVersion::V3_4)
            .await
    }

    /// Asks to be bound with this version, and gives the answer whatever it says.
    pub async fn try_bind_as(
        &mut self,
        kind: BindKind,
        system_id: &str,
        password: &str,
        interface_version: InterfaceVersion,
    ) -> Frame {
        self.try_bind_with(kind, bind(system_id, password, interface_version))
            .await
    }

    /// Asks to be bound in these words, and gives the answer whatever it says.
    async fn try_bind_with(&mut self, kind: BindKind, bind: Bind<'_>) -> Frame {
        let system_id = bind.system_id;
        let operation = Operation::Bind(kind, bind);
        let answer = operation.command_id().response().unwrap();
        let sequence = self.request(operation).await;
        let frame = self.expect_answer(answer, sequence).await;
        if frame.status().is_ok() {
            let system_id = String::from_utf8_lossy(system_id.as_bytes());
            self.0.name = format!("esme {system_id} ({})", kind.label());
        }
        frame
    }

    /// Binds, which must succeed.
    pub async fn bind(&mut self, kind: BindKind, system_id: &str, password: &str) {
        let status = self.try_bind(kind, system_id, password).await.status();
        assert!(
            status.is_ok(),
            "the {} bind of {system_id} got {status}",
            kind.label()
        );
    }

    /// Connects and binds as receiver with a `system_type`, which must succeed.
    pub async fn receiver_of(server: SocketAddr, system_id: &str, password: &str, system_type: &str) -> Self {
        let mut esme = Self::connect(server).await;
        let bind = Bind {
            system_type: COctets::new(system_type.as_bytes()).unwrap(),
            ..bind(system_id, password, InterfaceVersion::V3_4)
        };
        let status = esme.try_bind_with(BindKind::Receiver, bind).await.status();
        assert!(
            status.is_ok(),
            "the bind of {system_id} as {system_type} got {status}"
        );
        esme
    }

    /// Binds as transceiver, which must succeed.
    pub async fn bind_trx(&mut self, system_id: &str, password: &str) {
        self.bind(BindKind::Transceiver, system_id, password).await;
    }

    /// Binds as transmitter, which must succeed.
    pub async fn bind_tx(&mut self, system_id: &str, password: &str) {
        self.bind(BindKind::Transmitter, system_id, password).await;
    }

    /// Binds as receiver, which must succeed.
    pub async fn bind_rx(&mut self, system_id: &str, password: &str) {
        self.bind(BindKind::Receiver, system_id, password).await;
    }

    /// Sends a submit_sm and does not wait: its sequence number.
    pub async fn submit(&mut self, sm: Sm<'_>) -> u32 {
        self.request(Operation::SubmitSm(sm)).await
    }

    /// The answer to a submit_sm.
    pub async fn expect_submit_resp(&mut self, sequence: u32) -> Frame {
        self.expect_answer(CommandId::SUBMIT_SM_RESP, sequence).await
    }

    /// Submits and waits for the answer, which must be success: the message_id.
    pub async fn submit_ok(&mut self, sm: Sm<'_>) -> String {
        let sequence = self.submit(sm).await;
        let answer = self.expect_submit_resp(sequence).await;
        assert!(
            answer.status().is_ok(),
            "{}: the submit got {}",
            self.0.name,
            answer.status()
        );
        let id = answer.message_id();
        assert!(!id.is_empty(), "{}: success without a message_id", self.0.name);
        id
    }

    /// Submits and waits for the answer, which must be an error: its status.
    pub async fn submit_refused(&mut self, sm: Sm<'_>) -> CommandStatus {
        let sequence = self.submit(sm).await;
        let answer = self.expect_submit_resp(sequence).await;
        assert!(!answer.status().is_ok(), "{}: the submit was taken", self.0.name);
        answer.status()
    }

    /// The next delivery, answered or not as [`Peer::answers`] says.
    pub async fn expect_deliver(&mut self) -> Frame {
        self.expect_id(CommandId::DELIVER_SM).await
    }

    /// The receipt for this message; other deliveries are kept.
    pub async fn expect_receipt(&mut self, message_id: &str) -> Frame {
        let what = format!("receipt for {message_id}");
        self.expect(&what, |frame| {
            frame.id() == CommandId::DELIVER_SM
                && frame.sm().esm_class.is_receipt()
                && frame.receipted_id() == message_id
        })
        .await
    }

    /// Answers a delivery that was withheld.
    pub async fn answer(&mut self, delivery: &Frame, status: CommandStatus) {
        self.send(
            status,
            delivery.sequence(),
            Operation::DeliverSmResp(empty_id(status)),
        )
        .await;
    }

    /// Unbinds in order: the connection is closed when this returns. What came before is given back.
    pub async fn unbind(mut self) -> Vec<Frame> {
        let sequence = self.request(Operation::Unbind(Tlvs::NONE)).await;
        self.expect_answer(CommandId::UNBIND_RESP, sequence).await;
        self.0.kept().iter().cloned().collect()
    }
}

fn bind<'a>(system_id: &'a str, password: &'a str, interface_version: InterfaceVersion) -> Bind<'a> {
    Bind {
        system_id: COctets::new(system_id.as_bytes()).unwrap(),
        password: COctets::new(password.as_bytes()).unwrap(),
        system_type: COctets::EMPTY,
        interface_version,
        addr_ton: Ton::UNKNOWN,
        addr_npi: Npi::UNKNOWN,
        address_range: COctets::EMPTY,
        tlvs: Tlvs::NONE,
    }
}

/// A text message between two international numbers, with a receipt asked for.
pub fn message<'a>(source: &'a str, destination: &'a str, text: &'a str) -> Sm<'a> {
    let number = |number: &'a str| Address::new(Ton::INTERNATIONAL, Npi::ISDN, number.as_bytes()).unwrap();
    Sm {
        source: number(source),
        destination: number(destination),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        ..Sm::default()
    }
}
