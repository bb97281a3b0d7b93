//! A gateway with `config/compliance.toml`, an ESME of account A and a carrier, for the acceptance cases of compliance.md:
//! accounts A and B, A's senders 55555 and 55556 in one pool and +1 800 555 0199 outside it, B's 55557.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::{BindKind, DataCoding, InterfaceVersion, RegisteredDelivery};
use tidegate_config::Config;

use super::*;
use crate::wire::{Frame, Wire, bind};

pub(super) const OPTED_OUT: CommandStatus = CommandStatus(0x0401);
pub(super) const R: &[u8] = b"15550100123";
pub(super) const R2: &[u8] = b"15550100124";
pub(super) const DUTCH: &[u8] = b"31612345678";
pub(super) const S: &[u8] = b"55555";
pub(super) const S2: &[u8] = b"55556";
pub(super) const TOLL_FREE: &[u8] = b"18005550199";
pub(super) const OF_B: &[u8] = b"55557";

/// The shipped configuration, with lines behind those of the first account, or elsewhere.
pub(super) fn config(lines: &[(&str, &str)]) -> Config {
    let mut text = include_str!("../../../config/compliance.toml").to_owned();
    for (line, behind) in lines {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, &format!("{line}\n{behind}"), 1);
    }
    tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) const OF_A: &str = "system_id = \"A\"";
pub(super) const OF_P: &str = "name = \"p\"";

pub(super) struct Rig {
    pub(super) world: World,
    pub(super) setup: Setup,
    pub(super) a: Wire,
    pub(super) smsc: Wire,
    pub(super) sequence: u32,
    /// What came to A, and to the carrier, while something else was waited for; answered.
    pub(super) came: VecDeque<Frame>,
    pub(super) sent: VecDeque<Frame>,
}

pub(super) fn number(digits: &[u8]) -> Address<'_> {
    let ton = if digits.len() > 6 {
        Ton::INTERNATIONAL
    } else {
        Ton::UNKNOWN
    };
    Address::new(ton, Npi::ISDN, digits).unwrap()
}

pub(super) fn sm<'a>(from: &'a [u8], to: &'a [u8]) -> Sm<'a> {
    Sm {
        source: Address::new(number(from).ton, Npi::ISDN, from).unwrap(),
        destination: Address::new(number(to).ton, Npi::ISDN, to).unwrap(),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}

pub(super) async fn bound(world: &World, system_id: &[u8]) -> Wire {
    let mut esme = world.esme();
    let bind = bind(system_id, b"secret", InterfaceVersion::V3_4);
    let bind = Operation::Bind(BindKind::Transceiver, bind);
    esme.send(CommandStatus::ROK, 1, bind).await;
    let answer = esme.expect(CommandId::BIND_TRANSCEIVER_RESP).await;
    assert!(answer.pdu().status.is_ok());
    esme
}

pub(super) async fn submit_as(esme: &mut Wire, sequence: u32, sm: Sm<'_>) -> CommandStatus {
    esme.send(CommandStatus::ROK, sequence, Operation::SubmitSm(sm))
        .await;
    esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status
}

pub(super) async fn answer_mo(esme: &mut Wire, frame: &Frame) {
    let answer = Operation::DeliverSmResp(Some(MessageIdResp::default()));
    esme.send(CommandStatus::ROK, frame.pdu().sequence, answer).await;
}

pub(super) async fn answer_enquiry(wire: &mut Wire, frame: &Frame) {
    assert_eq!(frame.pdu().operation.command_id(), CommandId::ENQUIRE_LINK);
    wire.send_empty(CommandId::ENQUIRE_LINK_RESP, frame.pdu().sequence)
        .await;
}

pub(super) fn text_of(frame: &Frame) -> String {
    String::from_utf8_lossy(frame.sm().text().0).into_owned()
}

fn clock_at(since_start: Duration) -> Clock {
    Clock::virtual_from(START_MS + u64::try_from(since_start.as_millis()).unwrap())
}

impl Rig {
    pub(super) async fn new(config: Config, seed: u64) -> Self {
        Self::new_at(config, Duration::ZERO, seed).await
    }

    /// Begins so long after the start.
    pub(super) async fn new_at(config: Config, since_start: Duration, seed: u64) -> Self {
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        Self::on(setup, FaultyDisk::new(), clock_at(since_start), seed).await
    }

    pub(super) async fn on(setup: Setup, disk: FaultyDisk, clock: Clock, seed: u64) -> Self {
        let world = World::start_with(&setup, disk, clock, seed).unwrap();
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let a = bound(&world, b"A").await;
        Self {
            world,
            setup,
            a,
            smsc,
            sequence: 10,
            came: VecDeque::new(),
            sent: VecDeque::new(),
        }
    }

    pub(super) fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) async fn submit(&mut self, from: &[u8], to: &[u8]) -> CommandStatus {
        let sequence = self.next();
        let sm = Operation::SubmitSm(sm(from, to));
        self.a.send(CommandStatus::ROK, sequence, sm).await;
        loop {
            let frame = self.a.next().await;
            match frame.pdu().operation.command_id() {
                CommandId::SUBMIT_SM_RESP => return frame.pdu().status,
                CommandId::DELIVER_SM => {
                    answer_mo(&mut self.a, &frame).await;
                    self.came.push_back(frame);
                }
                _ => answer_enquiry(&mut self.a, &frame).await,
            }
        }
    }

    /// Submits a message that the carrier must get next: nothing else was on its way there.
    pub(super) async fn sees_next(&mut self, from: &[u8], to: &[u8]) {
        assert_eq!(self.submit(from, to).await, CommandStatus::ROK);
        let taken = self.take().await;
        let taken = taken.sm();
        assert_eq!(
            (taken.source.addr.as_bytes(), taken.destination.addr.as_bytes()),
            (from, to)
        );
    }

    /// What the carrier gets next.
    pub(super) async fn take(&mut self) -> Frame {
        if let Some(frame) = self.sent.pop_front() {
            return frame;
        }
        let id = format!("c-{}", self.next());
        self.smsc.take_submit(id.as_bytes()).await
    }

    pub(super) async fn deliver(&mut self, mo: Sm<'_>) -> CommandStatus {
        let sequence = self.next();
        self.smsc
            .send(CommandStatus::ROK, sequence, Operation::DeliverSm(mo))
            .await;
        loop {
            let frame = self.smsc.next().await;
            let (status, submitted) = (frame.pdu().status, frame.pdu().sequence);
            match frame.pdu().operation.command_id() {
                CommandId::DELIVER_SM_RESP => return status,
                CommandId::SUBMIT_SM => {
                    let body = MessageIdResp {
                        message_id: COctets::new(b"c").unwrap(),
                        tlvs: Tlvs::NONE,
                    };
                    let answer = Operation::SubmitSmResp(Some(body));
                    self.smsc.send(CommandStatus::ROK, submitted, answer).await;
                    self.sent.push_back(frame);
                }
                _ => answer_enquiry(&mut self.smsc, &frame).await,
            }
        }
    }

    /// A handset's text; the message itself comes out at A.
    pub(super) async fn mo(&mut self, from: &[u8], to: &[u8], text: &str) {
        let (octets, data_coding) = if text.is_ascii() {
            (text.as_bytes().to_vec(), DataCoding(0))
        } else {
            (
                text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                DataCoding(8),
            )
        };
        let mo = Sm {
            short_message: ShortMessage::new(&octets).unwrap(),
            data_coding,
            registered_delivery: RegisteredDelivery::default(),
            ..sm(from, to)
        };
        assert_eq!(self.deliver(mo).await, CommandStatus::ROK, "{text:?}");
        let forwarded = self.take_mo().await;
        assert_eq!(forwarded.sm().text().0, octets, "as it came");
    }

    pub(super) async fn take_mo(&mut self) -> Frame {
        if let Some(frame) = self.came.pop_front() {
            return frame;
        }
        let frame = self.a.expect(CommandId::DELIVER_SM).await;
        answer_mo(&mut self.a, &frame).await;
        frame
    }

    /// Takes an answer of the gateway itself to a handset.
    pub(super) async fn take_reply(&mut self, from: &[u8], to: &[u8]) -> String {
        let frame = self.take().await;
        let reply = frame.sm();
        assert_eq!(
            (reply.source.addr.as_bytes(), reply.destination.addr.as_bytes()),
            (from, to)
        );
        assert!(reply.text().0.len() <= 160 && reply.registered_delivery == RegisteredDelivery::default());
        text_of(&frame)
    }

    pub(super) async fn stop(&mut self, from: &[u8], to: &[u8]) {
        self.mo(from, to, "STOP").await;
        self.take_reply(to, from).await;
    }

    /// Lets time go by; whoever asks whether the links live is answered.
    pub(super) async fn after(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            never = self.a.keep_alive() => match never {},
            never = self.smsc.keep_alive() => match never {},
        }
    }

    /// Ends it as a kill does, and starts it again on what the disk holds.
    pub(super) async fn killed(self, seed: u64) -> Self {
        let clock = self.world.clock.clone();
        let disk = self.world.kill();
        Self::on(self.setup, disk, clock, seed).await
    }

    /// The same, so much later.
    pub(super) async fn killed_for(self, time: Duration, seed: u64) -> Self {
        let then = self.world.clock.now().unix_ms + u64::try_from(time.as_millis()).unwrap();
        let disk = self.world.kill();
        Self::on(self.setup, disk, Clock::virtual_from(then), seed).await
    }

    /// The same, and it is started again so long after the first start.
    pub(super) async fn killed_until(mut self, since_start: Duration, seed: u64) -> Self {
        // What rides along with the next batch is on disk by then.
        self.after(Duration::from_secs(1)).await;
        let disk = self.world.kill();
        Self::on(self.setup, disk, clock_at(since_start), seed).await
    }

    /// Sleeps until so long after the start, with every link alive.
    pub(super) async fn until(&mut self, since_start: Duration) {
        let now_ms = self.world.hub.with_gate(|_, now| now.unix_ms);
        let then_ms = START_MS + u64::try_from(since_start.as_millis()).unwrap();
        let left = Duration::from_millis(then_ms.checked_sub(now_ms).unwrap());
        let (a, smsc) = (&mut self.a, &mut self.smsc);
        let alive = async { tokio::join!(a.keep_alive(), smsc.keep_alive()) };
        assert!(tokio::time::timeout(left, alive).await.is_err());
    }

    /// How many messages the gateway has.
    pub(super) fn waiting(&self) -> usize {
        self.world.hub.with_gate(|gate, _| gate.spool().index().len())
    }

    /// The sum of what standing rules have refused of account A.
    pub(super) fn refused(&self) -> u64 {
        self.world.hub.with_gate(|gate, _| {
            let tally = &gate.accounts()[0].tally;
            tally.standing_refused.iter().map(|(_, count)| count).sum()
        })
    }
}
