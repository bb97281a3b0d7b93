//! One end of a connection: frames in, octets out.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_codec::frame::{Cut, PDU_MAX_DEFAULT, cut};
use tidegate_codec::header::{CommandId, HEADER_LEN, Header};
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::{Limits, Operation, Pdu, encode_empty};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tag;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::DEADLINE;

const LIMITS: Limits = Limits {
    pdu_max: PDU_MAX_DEFAULT,
    password_max: PASSWORD_MAX_LENIENT,
};

/// One PDU as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// All of its octets, header included.
    pub octets: Vec<u8>,
}

impl Frame {
    /// The PDU, which must be readable.
    #[track_caller]
    pub fn pdu(&self) -> Pdu<'_> {
        let body = tidegate_codec::octets::Body(&self.octets[HEADER_LEN..]);
        Pdu::decode(self.header, body, &LIMITS)
            .unwrap_or_else(|error| panic!("{self:?} is unreadable: {error}"))
    }

    /// Its command_id.
    pub const fn id(&self) -> CommandId {
        self.header.command_id
    }

    /// Its command_status.
    pub const fn status(&self) -> CommandStatus {
        self.header.status
    }

    /// Its sequence_number.
    pub const fn sequence(&self) -> u32 {
        self.header.sequence
    }

    /// The body of a submit_sm or deliver_sm.
    #[track_caller]
    pub fn sm(&self) -> Sm<'_> {
        match self.pdu().operation {
            Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => sm,
            _ => panic!("{self:?} is neither submit_sm nor deliver_sm"),
        }
    }

    /// The text of a submit_sm or deliver_sm, wherever it stands.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.sm().text().0).into_owned()
    }

    /// The message_id of a response; empty where there is none.
    #[track_caller]
    pub fn message_id(&self) -> String {
        match self.pdu().operation {
            Operation::SubmitSmResp(body) | Operation::DeliverSmResp(body) | Operation::DataSmResp(body) => {
                let id = body.map(|body| body.message_id);
                String::from_utf8_lossy(id.unwrap_or_default().as_bytes()).into_owned()
            }
            _ => panic!("{self:?} carries no message_id"),
        }
    }

    /// The id that a receipt names: its TLV's, else its text's.
    #[track_caller]
    pub fn receipted_id(&self) -> String {
        let sm = self.sm();
        let (id, state) = (sm.tlvs.get(Tag::RECEIPTED_MESSAGE_ID), None);
        let receipt = tidegate_codec::receipt::read_receipt(sm.esm_class, sm.text().0, id, state, None, true);
        let receipt = receipt.unwrap_or_else(|| panic!("{self:?} is no receipt"));
        String::from_utf8_lossy(receipt.id()).into_owned()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[status={} sequence={} octets={}]",
            self.id(),
            self.status(),
            self.sequence(),
            self.octets.len()
        )
    }
}

/// A connection, and what it does with PDUs before the test sees them.
#[derive(Debug)]
pub struct Peer {
    /// What panics call it.
    pub name: String,
    /// Answer enquire_link at once, and do not show it.
    pub answers_enquire_link: bool,
    /// Answer every deliver_sm with this status as soon as it is read; `None`: the test answers.
    pub answers: Option<CommandStatus>,
    socket: TcpStream,
    inbox: Vec<u8>,
    /// Answers that the peer gives by itself and that are not written yet.
    outbox: Vec<u8>,
    /// Frames that were read while the test waited for another one.
    kept: VecDeque<Frame>,
    sequence: u32,
    ended: bool,
}

impl Peer {
    /// A peer on this socket.
    pub fn new(name: impl Into<String>, socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            name: name.into(),
            answers_enquire_link: true,
            answers: None,
            socket,
            inbox: Vec::new(),
            outbox: Vec::new(),
            kept: VecDeque::new(),
            sequence: 0,
            ended: false,
        }
    }

    /// Our end of the connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next sequence number of our own requests.
    pub const fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    // ===== out =====

    /// Writes octets as they are: half a PDU, several, nonsense.
    pub async fn send_octets(&mut self, octets: &[u8]) {
        // What is queued was owed before.
        let mut all = std::mem::take(&mut self.outbox);
        all.extend_from_slice(octets);
        let sent = tokio::time::timeout(DEADLINE, self.socket.write_all(&all)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("{}: cannot write: {error}", self.name),
            Err(_) => panic!(
                "{}: {} octets were not taken in {DEADLINE:?}",
                self.name,
                octets.len()
            ),
        }
    }

    /// Writes one PDU.
    pub async fn send(&mut self, status: CommandStatus, sequence: u32, operation: Operation<'_>) {
        self.send_octets(&octets_of(status, sequence, operation)).await;
    }

    /// Writes a request with the next sequence number, and tells it.
    pub async fn request(&mut self, operation: Operation<'_>) -> u32 {
        let sequence = self.next_sequence();
        self.send(CommandStatus::ROK, sequence, operation).await;
        sequence
    }

    /// Writes a PDU that is only a header.
    pub async fn send_empty(&mut self, id: CommandId, status: CommandStatus, sequence: u32) {
        let mut octets = Vec::new();
        encode_empty(id, status, sequence, &mut octets);
        self.send_octets(&octets).await;
    }

    /// Leaves a PDU to be written as soon as the test waits for something.
    pub fn queue(&mut self, status: CommandStatus, sequence: u32, operation: Operation<'_>) {
        self.outbox.extend(octets_of(status, sequence, operation));
    }

    // ===== in =====

    /// The next frame; `None` when the other side has closed the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        match tokio::time::timeout(DEADLINE, poll_fn(|cx| self.poll_next(cx))).await {
            Ok(frame) => frame,
            Err(_) => panic!("{}: nothing came in {DEADLINE:?}", self.name),
        }
    }

    /// The first frame that is what the test waits for; others are kept for later.
    pub async fn expect(&mut self, what: &str, mut is_it: impl FnMut(&Frame) -> bool) -> Frame {
        if let Some(at) = self.kept.iter().position(&mut is_it) {
            return self.kept.remove(at).unwrap();
        }
        let waited = tokio::time::timeout(DEADLINE, async {
            loop {
                let frame = poll_fn(|cx| self.poll_unkept(cx)).await?;
                if is_it(&frame) {
                    return Some(frame);
                }
                self.kept.push_back(frame);
            }
        });
        match waited.await {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("{}: closed before {what} came; {:?} did", self.name, self.kept),
            Err(_) => panic!("{}: no {what} in {DEADLINE:?}; {:?} came", self.name, self.kept),
        }
    }

    /// The first PDU with this command_id.
    pub async fn expect_id(&mut self, id: CommandId) -> Frame {
        self.expect(&id.to_string(), |frame| frame.id() == id).await
    }

    /// The first PDU with this command_id and sequence number.
    pub async fn expect_answer(&mut self, id: CommandId, sequence: u32) -> Frame {
        let what = format!("{id} {sequence}");
        self.expect(&what, |frame| frame.id() == id && frame.sequence() == sequence)
            .await
    }

    /// Waits for the other side to close, and gives what came before.
    pub async fn expect_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Makes sure that nothing comes for so long, and the connection stays.
    pub async fn expect_silence(&mut self, lasting: Duration) {
        match tokio::time::timeout(lasting, poll_fn(|cx| self.poll_next(cx))).await {
            Err(_) => {}
            Ok(Some(frame)) => panic!("{}: {frame:?} came, nothing should have", self.name),
            Ok(None) => panic!("{}: closed, should have stayed", self.name),
        }
    }

    /// Frames that came and were not asked for yet.
    pub const fn kept(&self) -> &VecDeque<Frame> {
        &self.kept
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        match self.kept.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.poll_unkept(cx),
        }
    }

    /// Reads until a frame is there that the test should see. Loses nothing when it is given up.
    pub(crate) fn poll_unkept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            self.poll_outbox(cx);
            if let Some(frame) = self.cut() {
                if self.shows(&frame) {
                    self.poll_outbox(cx);
                    return Poll::Ready(Some(frame));
                }
                continue;
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let mut octets = [0; 16 * 1024];
            let mut space = ReadBuf::new(&mut octets);
            match Pin::new(&mut self.socket).poll_read(cx, &mut space) {
                Poll::Pending => return Poll::Pending,
                // A reset is an end like any other.
                Poll::Ready(read) => {
                    self.ended = read.is_err() || space.filled().is_empty();
                    self.inbox.extend_from_slice(space.filled());
                }
            }
        }
    }

    fn cut(&mut self) -> Option<Frame> {
        match cut(&self.inbox, LIMITS.pdu_max) {
            Cut::NeedMore(_) => None,
            Cut::Broken(error) => panic!("{}: the other side lost the framing: {error}", self.name),
            Cut::Frame { header, .. } => {
                let rest = self.inbox.split_off(header.length as usize);
                let octets = std::mem::replace(&mut self.inbox, rest);
                Some(Frame { header, octets })
            }
        }
    }

    /// Answers what the peer answers by itself; tells whether the test is shown the frame.
    fn shows(&mut self, frame: &Frame) -> bool {
        match (frame.id(), self.answers) {
            (CommandId::ENQUIRE_LINK, _) if self.answers_enquire_link => {
                let id = CommandId::ENQUIRE_LINK_RESP;
                encode_empty(id, CommandStatus::ROK, frame.sequence(), &mut self.outbox);
                false
            }
            (CommandId::DELIVER_SM, Some(status)) => {
                let answer = octets_of(
                    status,
                    frame.sequence(),
                    Operation::DeliverSmResp(empty_id(status)),
                );
                self.outbox.extend(answer);
                true
            }
            _ => true,
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub(crate) fn poll_outbox(&mut self, cx: &mut Context<'_>) {
        while !self.outbox.is_empty() {
            match tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.socket), cx, &self.outbox) {
                Poll::Ready(Ok(count)) if count > 0 => drop(self.outbox.drain(..count)),
                // The end of the connection shows when it is read.
                Poll::Ready(_) => self.outbox.clear(),
                Poll::Pending => return,
            }
        }
    }

    /// Closes with a reset: what is on its way in either direction is lost.
    pub fn reset(self) {
        // The connection ends the hard way or, where the system refuses that, the plain way.
        let _: io::Result<()> = self.socket.set_zero_linger();
    }
}

/// The body that a deliver_sm_resp has: an empty id, or nothing behind an error.
pub(crate) fn empty_id<'a>(
    status: CommandStatus,
) -> Option<tidegate_codec::pdu::response::MessageIdResp<'a>> {
    status.is_ok().then(Default::default)
}

/// A PDU as octets.
pub fn octets_of(status: CommandStatus, sequence: u32, operation: Operation<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    Pdu {
        status,
        sequence,
        operation,
    }
    .encode(&mut octets);
    octets
}
