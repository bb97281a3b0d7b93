//! A carrier's centre that does what a test tells it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::BindResp;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{BindKind, EsmClass, MessageState};
use tokio::net::TcpListener;

use crate::DEADLINE;
use crate::peer::{Frame, Peer};

/// A date for receipts, 2026-11-24 09:00 UTC.
const DATE_MS: u64 = 1_795_510_800_000;

/// How a receipt is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Appendix B's text and the TLVs.
    Both,
    /// Appendix B's text alone, as before 3.4.
    Text,
    /// The TLVs alone.
    Tlvs,
    /// A text of another form, with `{id}` and `{stat}` where they belong, and no TLVs.
    Wording(&'static str),
}

/// One connection of the centre.
#[derive(Debug)]
pub struct Link {
    /// Its number, from 0, in the order of connecting.
    pub number: usize,
    /// What it is bound as.
    pub kind: Option<BindKind>,
    /// The connection.
    pub peer: Peer,
}

/// A message that the centre got and has not answered.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The link that it came on.
    pub link: usize,
    /// The submit_sm.
    pub frame: Frame,
}

impl Submit {
    /// The message.
    #[track_caller]
    pub fn sm(&self) -> Sm<'_> {
        self.frame.sm()
    }

    /// Its text.
    #[track_caller]
    pub fn text(&self) -> String {
        self.frame.text()
    }
}

/// An SMSC on a free port. It does anything, accepting connections included, only while a test waits for
/// one of its `expect_…`; then it accepts connections and answers binds as it is set to.
#[derive(Debug)]
pub struct ScriptedSmsc {
    /// The status that binds are refused with.
    pub refuses_binds: Option<CommandStatus>,
    listener: Option<TcpListener>,
    addr: SocketAddr,
    links: Vec<Option<Link>>,
    /// What came while the test waited for something else.
    kept: Vec<(usize, Frame)>,
    /// Who bound, in order: link, kind, system_id, password.
    binds: Vec<(usize, BindKind, String, String)>,
    sequence: u32,
}

impl ScriptedSmsc {
    /// Listens on a free port.
    pub async fn listen() -> Self {
        Self::listen_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens here, as a centre does that comes back.
    pub async fn listen_on(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await;
        let listener = listener.unwrap_or_else(|error| panic!("smsc: cannot listen on {addr}: {error}"));
        Self {
            refuses_binds: None,
            addr: listener.local_addr().unwrap(),
            listener: Some(listener),
            links: Vec::new(),
            kept: Vec::new(),
            binds: Vec::new(),
            sequence: 0,
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections; those that are there stay. [`ScriptedSmsc::reopen`] undoes it.
    pub fn stop_listening(&mut self) {
        self.listener = None;
    }

    /// Listens again, on the same port.
    pub async fn reopen(&mut self) {
        self.listener = Some(TcpListener::bind(self.addr).await.unwrap());
    }

    /// The connection with this number, which must still be there.
    #[track_caller]
    pub fn link(&mut self, number: usize) -> &mut Link {
        let link = self.links.get_mut(number).and_then(Option::as_mut);
        link.unwrap_or_else(|| panic!("smsc: link {number} is not there"))
    }

    /// Numbers of the connections that are bound.
    pub fn bound(&self) -> Vec<usize> {
        let bound = self.links.iter().flatten().filter(|link| link.kind.is_some());
        bound.map(|link| link.number).collect()
    }

    /// system_id and password of every bind that came, refused ones included.
    pub fn credentials(&self) -> Vec<(String, String)> {
        let binds = self.binds.iter();
        binds
            .map(|(.., system_id, password)| (system_id.clone(), password.clone()))
            .collect()
    }

    // ===== waiting =====

    /// Waits until this many binds have come in all, refused ones included.
    pub async fn expect_binds(&mut self, count: usize) {
        self.wait(&format!("{count} binds"), |smsc| {
            (smsc.binds.len() >= count).then_some(())
        })
        .await;
    }

    /// The next message, from whichever link.
    pub async fn expect_submit(&mut self) -> Submit {
        let (link, frame) = self
            .expect("submit_sm", |frame| frame.id() == CommandId::SUBMIT_SM)
            .await;
        Submit { link, frame }
    }

    /// The message with this text; others are kept.
    pub async fn expect_submit_of(&mut self, text: &str) -> Submit {
        let is_it = |frame: &Frame| frame.id() == CommandId::SUBMIT_SM && frame.text() == text;
        let (link, frame) = self.expect("submit_sm with the text", is_it).await;
        Submit { link, frame }
    }

    /// The answer to a delivery.
    pub async fn expect_deliver_resp(&mut self, sequence: u32) -> CommandStatus {
        let what = format!("deliver_sm_resp {sequence}");
        let is_it = |frame: &Frame| frame.id() == CommandId::DELIVER_SM_RESP && frame.sequence() == sequence;
        self.expect(&what, is_it).await.1.status()
    }

    /// Waits until the other side has closed this connection.
    pub async fn expect_end_of(&mut self, number: usize) {
        self.wait(&format!("end of link {number}"), |smsc| {
            smsc.links[number].is_none().then_some(())
        })
        .await;
    }

    /// Makes sure that no message comes for so long.
    pub async fn expect_no_submit(&mut self, lasting: Duration) {
        let is_submit = |kept: &(usize, Frame)| kept.1.id() == CommandId::SUBMIT_SM;
        let found = |smsc: &mut Self| smsc.kept.iter().any(is_submit).then_some(());
        let mut found = found;
        let came = tokio::time::timeout(lasting, self.until(&mut found)).await;
        assert!(came.is_err(), "smsc: a submit_sm came, none should have");
    }

    /// The first frame that is what the test waits for, and its link.
    pub async fn expect(&mut self, what: &str, mut is_it: impl FnMut(&Frame) -> bool) -> (usize, Frame) {
        self.wait(what, |smsc| {
            let at = smsc.kept.iter().position(|(_, frame)| is_it(frame))?;
            Some(smsc.kept.remove(at))
        })
        .await
    }

    async fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        match tokio::time::timeout(DEADLINE, self.until(&mut found)).await {
            Ok(found) => found,
            Err(_) => panic!("smsc: no {what} in {DEADLINE:?}; {:?} came", self.kept),
        }
    }

    async fn until<T>(&mut self, found: &mut impl FnMut(&mut Self) -> Option<T>) -> T {
        poll_fn(|cx| {
            loop {
                if let Some(found) = found(self) {
                    return Poll::Ready(found);
                }
                if !self.poll_once(cx) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Takes one connection or one frame; tells whether there was any.
    fn poll_once(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(listener) = &self.listener
            && let Poll::Ready(Ok((socket, _))) = listener.poll_accept(cx)
        {
            let number = self.links.len();
            let peer = Peer::new(format!("smsc link {number}"), socket);
            self.links.push(Some(Link {
                number,
                kind: None,
                peer,
            }));
            return true;
        }
        for number in 0..self.links.len() {
            let Some(link) = &mut self.links[number] else {
                continue;
            };
            match link.peer.poll_next(cx) {
                Poll::Pending => {}
                Poll::Ready(None) => {
                    self.links[number] = None;
                    return true;
                }
                Poll::Ready(Some(frame)) => {
                    self.take(number, frame);
                    self.link(number).peer.poll_outbox(cx);
                    return true;
                }
            }
        }
        false
    }

    fn take(&mut self, number: usize, frame: Frame) {
        let refuses = self.refuses_binds;
        let link = self.link(number);
        let sequence = frame.sequence();
        match frame.pdu().operation {
            Operation::Bind(kind, bind) => {
                let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                let bound = (
                    number,
                    kind,
                    text(bind.system_id.as_bytes()),
                    text(bind.password.as_bytes()),
                );
                let status = refuses.unwrap_or(CommandStatus::ROK);
                link.kind = status.is_ok().then_some(kind);
                let mut tlvs = Vec::new();
                assert!(tlv::append(
                    &mut tlvs,
                    Tag::SC_INTERFACE_VERSION,
                    &[bind.interface_version.0]
                ));
                let body = status.is_ok().then(|| BindResp {
                    system_id: COctets::new(b"smsc").unwrap(),
                    tlvs: if bind.interface_version.has_tlvs() {
                        Tlvs::new(&tlvs)
                    } else {
                        Tlvs::NONE
                    },
                });
                link.peer.queue(status, sequence, Operation::BindResp(kind, body));
                self.binds.push(bound);
            }
            Operation::Unbind(_) => {
                link.kind = None;
                link.peer
                    .queue(CommandStatus::ROK, sequence, Operation::UnbindResp(Tlvs::NONE));
            }
            _ => self.kept.push((number, frame)),
        }
    }

    // ===== answering =====

    /// Takes a message and gives it this id.
    pub async fn answer(&mut self, submit: &Submit, id: &str) {
        let body = MessageIdResp {
            message_id: MessageIdField::new(id.as_bytes()).unwrap(),
            tlvs: Tlvs::NONE,
        };
        let operation = Operation::SubmitSmResp(Some(body));
        let peer = &mut self.link(submit.link).peer;
        peer.send(CommandStatus::ROK, submit.frame.sequence(), operation)
            .await;
    }

    /// Refuses a message.
    pub async fn refuse(&mut self, submit: &Submit, status: CommandStatus) {
        let peer = &mut self.link(submit.link).peer;
        peer.send(status, submit.frame.sequence(), Operation::SubmitSmResp(None))
            .await;
    }

    // ===== delivering =====

    /// Sends the receipt for a message that got this id, on the link that it came on: its sequence number.
    pub async fn receipt(&mut self, submit: &Submit, id: &str, state: MessageState, dialect: Dialect) -> u32 {
        self.receipt_on(submit.link, submit, id, state, dialect).await
    }

    /// Sends the receipt on another link.
    pub async fn receipt_on(
        &mut self,
        link: usize,
        submit: &Submit,
        id: &str,
        state: MessageState,
        dialect: Dialect,
    ) -> u32 {
        let (mut text, mut tlvs) = (Vec::new(), Vec::new());
        if matches!(dialect, Dialect::Both | Dialect::Text) {
            ReceiptText::new(id.as_bytes(), state, DATE_MS, DATE_MS).write(&mut text);
        }
        if let Dialect::Wording(wording) = dialect {
            let worded = wording.replace("{id}", id).replace("{stat}", state.stat());
            text.extend_from_slice(worded.as_bytes());
        }
        if matches!(dialect, Dialect::Both | Dialect::Tlvs) {
            let id = format!("{id}\0");
            assert!(tlv::append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, id.as_bytes()));
            assert!(tlv::append(&mut tlvs, Tag::MESSAGE_STATE, &[state.octet()]));
        }
        let original = submit.sm();
        let sm = Sm {
            source: original.destination,
            destination: original.source,
            esm_class: EsmClass::RECEIPT,
            short_message: ShortMessage::new(&text).unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        self.deliver(link, sm).await
    }

    /// Sends any deliver_sm, a message from a handset for one: its sequence number, unique over all links.
    pub async fn deliver(&mut self, link: usize, sm: Sm<'_>) -> u32 {
        self.sequence += 1;
        let sequence = self.sequence;
        let peer = &mut self.link(link).peer;
        peer.send(CommandStatus::ROK, sequence, Operation::DeliverSm(sm))
            .await;
        sequence
    }

    // ===== breaking =====

    /// Closes a connection without unbind.
    pub fn drop_link(&mut self, number: usize) {
        self.link(number);
        self.links[number] = None;
    }

    /// Ends a connection with a reset.
    #[track_caller]
    pub fn reset_link(&mut self, number: usize) {
        self.link(number);
        if let Some(link) = self.links[number].take() {
            link.peer.reset();
        }
    }

    /// Begins to write a PDU, and closes the connection in the middle of it.
    pub async fn drop_link_within(&mut self, number: usize, pdu: &Pdu<'_>, after: usize) {
        let mut octets = Vec::new();
        pdu.encode(&mut octets);
        self.link(number).peer.send_octets(&octets[..after]).await;
        self.drop_link(number);
    }

    /// Closes every connection without unbind.
    pub fn drop_all(&mut self) {
        self.links.iter_mut().for_each(|link| *link = None);
    }
}
