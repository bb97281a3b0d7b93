//! The whole gateway on one thread, in virtual time, over pipes and a disk in memory: proof that the seams
//! (disk, clock, randomness, stream, turn, keeper) hold together, and minutes of waiting in a moment.

mod late;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::Password;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::{Bind, BindResp};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode_empty, read};
use tidegate_codec::receipt::{ReceiptText, read_receipt};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, EsmClass, InterfaceVersion, MessageState, RegisteredDelivery};
use tidegate_config::Config;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::gate::Gate;
use tidegate_gateway::serve::Hub;
use tidegate_gateway::{keeper, link};
use tidegate_store::disk::{FaultyDisk, Op};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::spool::{Options, Spool};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

/// 2026-11-24, in unix milliseconds.
const START_MS: u64 = 1_795_478_400_000;

/// A receipt deadline that virtual time reaches in a moment.
const DEADLINE: &str = "20m";

/// The bench's configuration with a receipt deadline.
fn config(deadline: &str) -> Config {
    let text = include_str!("../../config/bench.toml");
    let key = format!("name = \"sink\"\nreceipt_deadline = \"{deadline}\"");
    let text = text.replacen("name = \"sink\"", &key, 1);
    tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A gateway in memory.
struct World {
    hub: Rc<Hub<FaultyDisk>>,
    disk: FaultyDisk,
    clock: Clock,
    // Dropping it would ask for the end.
    _stop: watch::Sender<bool>,
}

impl World {
    /// Starts a gateway on what `disk` holds.
    fn start(disk: FaultyDisk, clock: Clock, seed: u64) -> Self {
        Self::with(disk, clock, seed, DEADLINE)
    }

    fn with(disk: FaultyDisk, clock: Clock, seed: u64, deadline: &str) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let config = Arc::new(config(deadline));
        let (kek, ring) = (Path::new("kek"), Path::new("keys"));
        let now_ms = clock.now().unix_ms;
        let ring = if disk.octets(kek).is_some() {
            KeyRing::open(&disk, ring, Kek::read(&disk, kek).unwrap()).unwrap()
        } else {
            KeyRing::create(
                &disk,
                ring,
                Kek::create(&disk, kek, &mut rng).unwrap(),
                now_ms,
                &mut rng,
            )
            .unwrap()
        };
        let permutation = ring.permutation();
        let options = Options {
            dir: "spool".into(),
            node: 0,
            segment_size: 1 << 20,
            limit: 1 << 28,
            reserve_segments: 4,
            max_legs: 10_000,
            waiting_dir: "waiting".into(),
            receipt_hot_ms: 60_000,
        };
        let (spool, own, _) = Spool::open(disk.clone(), options, ring, now_ms, &mut rng).unwrap();
        let passwords = vec![Password::new(b"secret", 9).unwrap()];
        let gate = Gate::new(
            config,
            spool,
            permutation,
            passwords,
            ChaCha20Rng::seed_from_u64(seed + 1),
        );
        let gate = gate.unwrap_or_else(|_| panic!("few names"));
        let ends = keeper::ends();
        let (checks, mut to_check) = mpsc::channel(64);
        let hub = Hub::new(gate, clock.clone(), ends.handle, checks);
        let (stop, stopped) = watch::channel(false);
        tokio::task::spawn_local(keeper::run(own, ends.inbox, ChaCha20Rng::seed_from_u64(seed + 2)));
        tokio::task::spawn_local(Rc::clone(&hub).hear_keeper(ends.done));
        tokio::task::spawn_local(Rc::clone(&hub).run_turns(Duration::ZERO, stopped, Duration::from_secs(5)));
        let checker = Rc::clone(&hub);
        tokio::task::spawn_local(async move {
            while let Some(check) = to_check.recv().await {
                let granted = check.password.expose() == b"secret";
                checker.bind_checked(check.link, check.system_id, Some(granted));
            }
        });
        Self {
            hub,
            disk,
            clock,
            _stop: stop,
        }
    }

    /// An ESME's connection.
    fn esme(&self) -> Wire {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let id = self
            .hub
            .with_gate(|gate, now| gate.open_esme(now, [127, 0, 0, 1].into()));
        tokio::task::spawn_local(link::run(Rc::clone(&self.hub), id, theirs));
        Wire::new(ours)
    }

    /// The other end of a link to the carrier.
    fn smsc(&self) -> Wire {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let open =
            |gate: &mut Gate<FaultyDisk>, now| gate.open_carrier(now, 0, BindKind::Transceiver).unwrap();
        let id = self.hub.with_gate(open);
        tokio::task::spawn_local(link::run(Rc::clone(&self.hub), id, theirs));
        Wire::new(ours)
    }
}

/// A peer that speaks octets.
struct Wire {
    stream: DuplexStream,
    held: Vec<u8>,
}

/// A PDU, owned: its octets.
struct Frame(Vec<u8>);

impl Frame {
    fn pdu(&self) -> Pdu<'_> {
        match read(&self.0, &Limits::default()) {
            Read::Pdu(pdu) => pdu,
            other => panic!("{other:?}"),
        }
    }

    fn sm(&self) -> Sm<'_> {
        match self.pdu().operation {
            Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => sm,
            other => panic!("{other:?}"),
        }
    }
}

impl Wire {
    fn new(stream: DuplexStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
        }
    }

    async fn send(&mut self, status: CommandStatus, sequence: u32, operation: Operation<'_>) {
        let mut out = Vec::new();
        Pdu {
            status,
            sequence,
            operation,
        }
        .encode(&mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn send_empty(&mut self, id: CommandId, sequence: u32) {
        let mut out = Vec::new();
        encode_empty(id, CommandStatus::ROK, sequence, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next PDU of this command; enquire_link on the way is answered.
    async fn expect(&mut self, id: CommandId) -> Frame {
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

    async fn next(&mut self) -> Frame {
        loop {
            if let Some(length) = self
                .held
                .first_chunk()
                .map(|word| u32::from_be_bytes(*word) as usize)
                && self.held.len() >= length
            {
                return Frame(self.held.drain(..length).collect());
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the gateway closed the connection");
            self.held.extend_from_slice(&chunk[..count]);
        }
    }

    async fn bind(&mut self, password: &[u8]) -> CommandStatus {
        let bind = Bind {
            system_id: COctets::new(b"load").unwrap(),
            password: COctets::new(password).unwrap(),
            system_type: COctets::EMPTY,
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::EMPTY,
            tlvs: Tlvs::NONE,
        };
        self.send(
            CommandStatus::ROK,
            1,
            Operation::Bind(BindKind::Transceiver, bind),
        )
        .await;
        self.expect(CommandId::BIND_TRANSCEIVER_RESP).await.pdu().status
    }

    /// As SMSC: takes the gateway's bind.
    async fn accept_bind(&mut self) {
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
    async fn submit(&mut self, sequence: u32) -> Vec<u8> {
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
    async fn take_submit(&mut self, id: &[u8]) -> Frame {
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
    async fn send_receipt(&mut self, sequence: u32, id: &[u8], state: MessageState) {
        let mut text = Vec::new();
        ReceiptText::new(id, state, START_MS, START_MS).write(&mut text);
        let sm = Sm {
            esm_class: EsmClass::RECEIPT,
            short_message: ShortMessage::new(&text).unwrap(),
            ..message()
        };
        self.send(CommandStatus::ROK, sequence, Operation::DeliverSm(sm))
            .await;
    }

    /// As ESME: takes one DLR: its id and state.
    async fn take_dlr(&mut self) -> (Vec<u8>, MessageState) {
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
            sm.tlvs.receipted_message_id(),
            None,
            None,
            false,
        );
        let reading = reading.unwrap();
        (reading.id().to_vec(), reading.state)
    }
}

fn message() -> Sm<'static> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}

/// Runs a scenario on one thread in virtual time.
fn scenario<F: Future<Output = ()>>(run: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async { run().await });
}

#[test]
fn a_message_goes_out_and_its_receipt_comes_back() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock, 1);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        assert_eq!(esme.bind(b"wrong").await, CommandStatus::RBINDFAIL);
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        let id = esme.submit(2).await;
        let forwarded = smsc.take_submit(b"c-1").await;
        assert_eq!(forwarded.sm().text().0, b"hello");
        smsc.send_receipt(7, b"c-1", MessageState::Delivered).await;
        assert_eq!(
            smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
            CommandStatus::ROK
        );
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.hub.with_gate(|gate, _| {
            assert!(gate.spool().index().is_empty() && gate.spool().outbox().is_empty());
        });
    });
}

#[test]
fn a_receipt_that_overtakes_its_answer_finds_its_message() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 2);
        let (mut smsc, mut other) = (world.smsc(), world.smsc());
        smsc.accept_bind().await;
        other.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        // Which link got it is the gateway's choice; the receipt comes on the other one, first.
        let (mut first, mut second) = (smsc, other);
        let frame = tokio::select! {
            frame = first.expect(CommandId::SUBMIT_SM) => frame,
            frame = second.expect(CommandId::SUBMIT_SM) => {
                std::mem::swap(&mut first, &mut second);
                frame
            }
        };
        second.send_receipt(1, b"c-9", MessageState::Undeliverable).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = MessageIdResp {
            message_id: COctets::new(b"c-9").unwrap(),
            tlvs: Tlvs::NONE,
        };
        first
            .send(
                CommandStatus::ROK,
                frame.pdu().sequence,
                Operation::SubmitSmResp(Some(body)),
            )
            .await;
        assert_eq!(
            second.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
            CommandStatus::ROK
        );
        assert_eq!(esme.take_dlr().await, (id, MessageState::Undeliverable));
    });
}

#[test]
fn without_a_receipt_the_deadline_says_unknown() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 3);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        smsc.take_submit(b"c-1").await;
        let before = world.clock.now().unix_ms;
        let keep_alive = async {
            loop {
                let frame = smsc.expect(CommandId::ENQUIRE_LINK).await;
                let sequence = frame.pdu().sequence;
                smsc.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await;
            }
        };
        let dlr = tokio::select! {
            dlr = esme.take_dlr() => dlr,
            () = keep_alive => unreachable!(),
        };
        assert_eq!(dlr, (id, MessageState::Unknown));
        let waited = Duration::from_millis(world.clock.now().unix_ms - before);
        let deadline = config(DEADLINE).carriers[0].receipt_deadline;
        assert!(
            waited >= deadline && waited < deadline + Duration::from_secs(60),
            "{waited:?}"
        );
    });
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_is_handed_over_after_it() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 4);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let mut ids = vec![esme.submit(2).await, esme.submit(3).await];
        // Nothing but what was synced is left.
        let after = World::start(world.disk.crash(), clock, 5);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        for id in [b"c-1", b"c-2"] {
            assert_eq!(smsc.take_submit(id).await.sm().text().0, b"hello");
        }
        for (number, id) in [b"c-1", b"c-2"].iter().enumerate() {
            smsc.send_receipt(u32::try_from(number).unwrap() + 1, *id, MessageState::Delivered)
                .await;
            smsc.expect(CommandId::DELIVER_SM_RESP).await;
        }
        let mut again = after.esme();
        again.bind(b"secret").await;
        let mut received = vec![again.take_dlr().await.0, again.take_dlr().await.0];
        ids.sort();
        received.sort();
        assert_eq!(received, ids);
    });
}

#[test]
fn a_full_disk_sends_a_receipt_back_and_mixes_up_no_dlr_afterwards() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 6);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let mut ids = vec![esme.submit(2).await, esme.submit(3).await, esme.submit(4).await];
        for id in [b"c-1", b"c-2", b"c-3"] {
            smsc.take_submit(id).await;
        }
        // Hand-overs are flushed before the disk is made to refuse one write.
        tokio::time::sleep(Duration::from_millis(200)).await;
        world
            .disk
            .fail_next(Op::Write, 1, std::io::ErrorKind::StorageFull);
        smsc.send_receipt(1, b"c-1", MessageState::Delivered).await;
        let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::RX_T_APPN);
        for (sequence, id) in [(2, b"c-2"), (3, b"c-3")] {
            smsc.send_receipt(sequence, id, MessageState::Delivered).await;
            assert_eq!(
                smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
                CommandStatus::ROK
            );
        }
        // The ending that was given back was kept, so its DLR comes too, each once and with its own id.
        let mut received = Vec::new();
        for _ in 0..3 {
            received.push(esme.take_dlr().await.0);
        }
        ids.sort();
        received.sort();
        assert_eq!(received, ids);
    });
}
