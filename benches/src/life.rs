//! Whole lives of messages through a gate, octets in and octets out, without sockets: an ESME that keeps a window full, a
//! carrier that answers at once, the spool on a real disk, the keeper's chores in between on the same thread. What it costs is
//! what the gateway costs but for the kernel and tokio, and is the same in every run; a benchmark and a test say it of one and
//! the same thing.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::{Bind, BindResp};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu, encode_empty};
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, EsmClass, InterfaceVersion, MessageState, RegisteredDelivery};
use tidegate_gateway::clock::Now;
use tidegate_gateway::gate::Gate;
use tidegate_gateway::keeping::{Closures, Keeping};
use tidegate_gateway::links::LinkId;
use tidegate_gateway::sweep::{Found, Place};
use tidegate_gateway::tables::Tables;
use tidegate_store::disk::RealDisk;
use tidegate_store::message_id::Permutation;
use tidegate_store::spool::{Begin, Chore, Finished, Keeper};

use crate::rig::Rig;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Messages of a round: they are submitted together, as those of a few full windows are.
pub const ROUND: usize = 200;
/// Octets of a text.
const TEXT_LEN: usize = 100;
/// Turns without anything to do until a round is given up.
const PATIENCE: usize = 1_000;
/// Messages of more rounds than any bench has.
const LEGS_MAX: usize = 1 << 20;
/// 2026-11-30, noon.
const START_MS: u64 = 1_796_040_000_000;
/// Digits of a recipient and of a carrier's id that differ from message to message.
const DIGITS: usize = 8;

/// Whether the ESME asks for receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// One for each message, which the carrier sends with its answer.
    Final,
    /// None, and the carrier sends none.
    None,
}

/// A PDU whose sequence number, and a number somewhere in its body, are written anew for each message.
#[derive(Debug)]
struct Template {
    octets: Vec<u8>,
    /// Where [`DIGITS`] digits of that number stand.
    digits: Vec<usize>,
}

impl Template {
    fn new(status: CommandStatus, operation: Operation<'_>) -> Self {
        let octets = encoded(status, 0, operation);
        let windows = octets.windows(DIGITS).enumerate();
        let digits = windows.filter(|(_, window)| *window == [b'#'; DIGITS]);
        let digits = digits.map(|(place, _)| place).collect();
        Self { octets, digits }
    }

    fn write(&self, sequence: u32, number: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.octets);
        let pdu = &mut out[begin..];
        pdu[12..16].copy_from_slice(&sequence.to_be_bytes());
        let (mut digits, mut rest) = ([0; DIGITS], number);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for place in &self.digits {
            pdu[*place..*place + DIGITS].copy_from_slice(&digits);
        }
    }
}

/// One of the two peers: what it has to say, and what it heard.
#[derive(Debug)]
struct Peer {
    link: LinkId,
    /// Octets on their way to the gate.
    says: Vec<u8>,
    /// What the gate wrote to it in this turn.
    heard: Vec<u8>,
    sequence: u32,
}

impl Peer {
    fn new(link: LinkId) -> Self {
        Self {
            link,
            says: Vec::new(),
            heard: Vec::new(),
            sequence: 1,
        }
    }

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }
}

/// A gate with an ESME and a carrier.
#[expect(
    missing_debug_implementations,
    reason = "of a gate of a bench there is nothing to print"
)]
pub struct Life {
    gate: Gate<RealDisk>,
    keeper: Keeper<RealDisk>,
    rng: ChaCha20Rng,
    now: Now,
    esme: Peer,
    carrier: Peer,
    submit: Template,
    answer: Template,
    /// `None`: it sends none.
    receipt: Option<Template>,
    /// Messages so far.
    messages: u64,
    /// Of these, what was heard of them: by the carrier, and answers and receipts by the ESME.
    carried: u64,
    answered: u64,
    receipted: u64,
    dirty: Vec<LinkId>,
}

impl Life {
    /// With `config/bench.toml` and everything that is stored in `dir`, both links bound.
    ///
    /// # Errors
    ///
    /// The disk's, and a bind that is refused.
    pub fn new(dir: &Path, receipts: Receipts) -> Fallible<Self> {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/bench.toml"))?;
        let config = Arc::new(tidegate_config::parse(&text)?);
        let rig = Rig::create(dir, LEGS_MAX, START_MS)?;
        let passwords = vec![tidegate_codec::identity::Password::new(b"secret", 9)?];
        let (permutation, rng) = (Permutation::new(&[1; 32]), rig.rng.clone());
        let gate = Gate::new(Arc::clone(&config), rig.spool, permutation, passwords, rig.rng);
        let mut gate = gate.map_err(|_| "too many names")?;
        let place = Place {
            disk: RealDisk,
            history: dir.join("history"),
            audit: dir.join("audit"),
        };
        let found = Found::read(&place, START_MS);
        let keeping = Keeping::new(
            &config,
            Arc::new(Tables::default()),
            found.believed,
            Closures::default(),
        );
        gate.set_keeping(&Arc::new(keeping));
        let now = Now {
            monotonic: Duration::from_secs(3_600),
            unix_ms: START_MS,
        };
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let esme = gate.open_esme(now, ip);
        gate.connected(esme, SocketAddr::new(ip, 1));
        let carrier = gate
            .open_carrier(now, 0, BindKind::Transceiver)
            .ok_or("no carrier")?;
        let [submit, answer, receipt] = templates(receipts)?;
        let mut life = Self {
            gate,
            keeper: rig.keeper,
            rng,
            now,
            esme: Peer::new(esme),
            carrier: Peer::new(carrier),
            submit,
            answer,
            receipt: (receipts == Receipts::Final).then_some(receipt),
            messages: 0,
            carried: 0,
            answered: 0,
            receipted: 0,
            dirty: Vec::new(),
        };
        life.bind()?;
        Ok(life)
    }

    fn bind(&mut self) -> Fallible<()> {
        let bind = Bind {
            system_id: COctets::new(b"load")?,
            password: COctets::new(b"secret")?,
            system_type: COctets::EMPTY,
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        self.esme.says = encoded(
            CommandStatus::ROK,
            1,
            Operation::Bind(BindKind::Transceiver, bind),
        );
        self.turn()?;
        let asked = frames(&self.carrier.heard)
            .next()
            .ok_or("the gateway does not bind")?;
        let answer = BindResp {
            system_id: COctets::new(b"sink")?,
            tlvs: Tlvs::NONE,
        };
        let answer = Operation::BindResp(BindKind::Transceiver, Some(answer));
        self.carrier.says = encoded(CommandStatus::ROK, asked.sequence, answer);
        self.turn()?;
        for check in self.gate.take_bind_checks() {
            self.gate
                .bind_checked(self.now, check.link, check.system_id, Some(true));
        }
        self.turn()?;
        let bound = frames(&self.esme.heard).any(|frame| frame.is(CommandId::BIND_TRANSCEIVER_RESP, 0));
        bound.then_some(()).ok_or_else(|| "the bind is refused".into())
    }

    /// [`ROUND`] messages, from their submit to the last that is owed of them.
    ///
    /// # Errors
    ///
    /// One is refused or does not come to its end, or the disk's.
    pub fn round(&mut self) -> Fallible<()> {
        for _ in 0..ROUND {
            self.messages += 1;
            let sequence = self.esme.next();
            self.submit.write(sequence, self.messages, &mut self.esme.says);
        }
        for _ in 0..PATIENCE {
            self.turn()?;
            self.hear()?;
            let is_over = self.answered == self.messages
                && (self.receipt.is_none() || self.receipted == self.messages)
                && self.esme.says.is_empty()
                && self.carrier.says.is_empty()
                && self.gate.spool().index().is_empty();
            if is_over {
                return Ok(());
            }
        }
        Err(format!(
            "of {} messages {} are answered and {} receipted, {} not over",
            self.messages,
            self.answered,
            self.receipted,
            self.gate.spool().index().len()
        )
        .into())
    }

    /// One turn of the loop, a millisecond later.
    fn turn(&mut self) -> Fallible<()> {
        self.now.monotonic += Duration::from_millis(1);
        self.now.unix_ms += 1;
        for peer in [&mut self.esme, &mut self.carrier] {
            if !peer.says.is_empty() {
                let used = self.gate.input(self.now, peer.link, &peer.says, false).used;
                peer.says.drain(..used);
            }
        }
        if let Begin::Commit(commit) = self.gate.begin_turn(self.now) {
            let done = commit.run();
            self.gate.commit_done(self.now, done, Duration::from_micros(200));
        }
        self.gate.finish_turn(self.now);
        self.chores()?;
        self.gate.take_dirty(&mut self.dirty);
        for peer in [&mut self.esme, &mut self.carrier] {
            peer.heard.clear();
            if self.dirty.contains(&peer.link) {
                let spare = std::mem::take(&mut peer.heard);
                peer.heard = self.gate.take_output(peer.link, spare).ok_or("a link is gone")?.0;
            }
        }
        self.dirty.clear();
        Ok(())
    }

    fn chores(&mut self) -> Fallible<()> {
        let wanted = self.gate.take_wanted();
        let mut next = self.gate.spool().read_back(wanted);
        while let Some(chore) = next
            .take()
            .or_else(|| self.gate.spool_mut().next_chore(self.now.unix_ms))
        {
            self.chore(chore)?;
        }
        Ok(())
    }

    fn chore(&mut self, chore: Chore<RealDisk>) -> Fallible<()> {
        let done = self.keeper.run(chore, &mut self.rng);
        match self.gate.spool_mut().chore_done(done, self.now.unix_ms) {
            Finished::Failed(error) | Finished::NotReady(error) => return Err(error.into()),
            Finished::Read(found) => self.gate.read_back(self.now, found),
            _ => {}
        }
        Ok(())
    }

    /// What the peers say to what they were told in this turn.
    fn hear(&mut self) -> Fallible<()> {
        let (esme, carrier) = (&mut self.esme, &mut self.carrier);
        for frame in frames(&carrier.heard) {
            if frame.is(CommandId::SUBMIT_SM, 0) {
                // In the order in which they were submitted.
                self.carried += 1;
                let id = self.carried;
                self.answer.write(frame.sequence, id, &mut carrier.says);
                if let Some(receipt) = &self.receipt {
                    carrier.sequence += 1;
                    receipt.write(carrier.sequence, id, &mut carrier.says);
                }
            } else if frame.is(CommandId::ENQUIRE_LINK, 0) {
                let answer = CommandId::ENQUIRE_LINK_RESP;
                encode_empty(answer, CommandStatus::ROK, frame.sequence, &mut carrier.says);
            } else if !frame.is(CommandId::DELIVER_SM_RESP, 0) {
                return Err(format!("the carrier hears {frame:?}").into());
            }
        }
        for frame in frames(&esme.heard) {
            if frame.is(CommandId::SUBMIT_SM_RESP, 0) {
                self.answered += 1;
            } else if frame.is(CommandId::DELIVER_SM, 0) {
                self.receipted += 1;
                let answer = CommandId::DELIVER_SM_RESP;
                esme.says.extend_from_slice(&17_u32.to_be_bytes());
                esme.says.extend_from_slice(&answer.0.to_be_bytes());
                esme.says.extend_from_slice(&[0; 4]);
                esme.says.extend_from_slice(&frame.sequence.to_be_bytes());
                esme.says.push(0);
            } else if frame.is(CommandId::ENQUIRE_LINK, 0) {
                let answer = CommandId::ENQUIRE_LINK_RESP;
                encode_empty(answer, CommandStatus::ROK, frame.sequence, &mut esme.says);
            } else {
                return Err(format!("the ESME hears {frame:?}").into());
            }
        }
        Ok(())
    }
}

fn encoded(status: CommandStatus, sequence: u32, operation: Operation<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Pdu {
        status,
        sequence,
        operation,
    }
    .encode(&mut out);
    out
}

/// A submit_sm, its carrier's answer, and the receipt.
fn templates(receipts: Receipts) -> Fallible<[Template; 3]> {
    let registered_delivery = match receipts {
        Receipts::Final => RegisteredDelivery::FINAL,
        Receipts::None => RegisteredDelivery::default(),
    };
    let sender = Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate")?;
    let recipient = Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"4478########")?;
    let submit = Sm {
        source: sender,
        destination: recipient,
        registered_delivery,
        short_message: ShortMessage::new(&[b'x'; TEXT_LEN]).ok_or("the text is too long")?,
        ..Sm::default()
    };
    let id = b"c-000000########";
    let answer = MessageIdResp {
        message_id: COctets::new(id)?,
        tlvs: Tlvs::NONE,
    };
    let mut text = Vec::new();
    ReceiptText::new(id, MessageState::Delivered, START_MS, START_MS).write(&mut text);
    let receipt = Sm {
        source: recipient,
        destination: Address::new(Ton::UNKNOWN, Npi::UNKNOWN, b"Tidegate")?,
        esm_class: EsmClass::RECEIPT,
        short_message: ShortMessage::new(&text).ok_or("the receipt is too long")?,
        ..Sm::default()
    };
    Ok([
        Template::new(CommandStatus::ROK, Operation::SubmitSm(submit)),
        Template::new(CommandStatus::ROK, Operation::SubmitSmResp(Some(answer))),
        Template::new(CommandStatus::ROK, Operation::DeliverSm(receipt)),
    ])
}

/// The head of a PDU: what a peer needs of it to answer.
#[derive(Clone, Copy, Debug)]
struct Frame {
    id: CommandId,
    status: u32,
    sequence: u32,
}

impl Frame {
    fn is(&self, id: CommandId, status: u32) -> bool {
        self.id == id && self.status == status
    }
}

fn frames(mut octets: &[u8]) -> impl Iterator<Item = Frame> {
    std::iter::from_fn(move || {
        let head = octets.first_chunk::<16>()?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let frame = Frame {
            id: CommandId(word(4)),
            status: word(8),
            sequence: word(12),
        };
        octets = octets.get(word(0) as usize..).unwrap_or_default();
        Some(frame)
    })
}
