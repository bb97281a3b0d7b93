//! The rotation of key-encryption keys beside the keeper's chores: a piece after each chore, and one after the other
//! while there is none. Each ring has one of its own, that of messages and those of tiers (ENC-5).

use std::cell::RefCell;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use serde_json::{Map, Value as Json, json};
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{Kek, KekState, KeyRing, PIECE, Progress, Rotated, Tier};
use tidegate_store::pseudonym::Secret;
use tidegate_store::spool::Keeper;
use tokio::sync::oneshot;

use super::exports::{self, ExportKeys};
use crate::audit::Log;
use crate::control::{Answer, NewKek};

/// What is wanted of the key ring by who does not have it.
#[derive(Debug)]
pub enum RingOrder {
    /// How the key-encryption key stands.
    State(oneshot::Sender<Answer>),
    /// To begin a rotation.
    Rotate {
        /// Of which ring: a tier's, or the main one's.
        tier: Option<Tier>,
        /// To which.
        kek: NewKek,
        /// When it is, unix milliseconds.
        now_ms: u64,
        /// Where the answer goes, when it has ended: how it stands then.
        answer: oneshot::Sender<Answer>,
    },
    /// What is wanted of the keys of exports.
    Exports(ExportKeys),
    /// To make the next generation of the suppression key.
    NewGeneration {
        /// When it is, unix milliseconds.
        now_ms: u64,
        /// Where its secret goes, once it is synced.
        answer: oneshot::Sender<Result<Secret, String>>,
    },
    /// To destroy a generation of the suppression key, which the journal says is retired.
    DestroyGeneration {
        /// Which.
        generation: u8,
        /// When it is, unix milliseconds.
        now_ms: u64,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
}

/// A rotation's part of the keeper's work.
pub(super) struct Rotation<D: Disk> {
    log: Option<Rc<RefCell<Log<D>>>>,
    /// Which rings' go no further before a restart, and why.
    failed: Vec<(Option<Tier>, String)>,
    /// What the audit log could not take yet.
    unsaid: Vec<Entry>,
    /// Who waits for the end of which.
    waiting: Vec<(Option<Tier>, oneshot::Sender<Answer>)>,
}

impl<D: Disk> Rotation<D> {
    /// Of a ring that was just opened: one that was interrupted goes on.
    pub(super) fn of(keeper: &Keeper<D>, log: Option<Rc<RefCell<Log<D>>>>) -> Self {
        let mut rotation = Self {
            log,
            failed: Vec::new(),
            unsaid: Vec::new(),
            waiting: Vec::new(),
        };
        for tier in keeper.ring().parts() {
            let Some(ring) = keeper.ring().part(tier) else {
                continue;
            };
            if ring.is_rotating() {
                let tier_word = tier.map(Tier::word);
                tracing::warn!(
                    tier = tier_word,
                    "an interrupted rotation of a key-encryption key goes on"
                );
                rotation.unsaid.push(entry(tier, &ring.kek_state(), GOES_ON));
            }
        }
        rotation
    }

    /// Whether there is a piece to be done.
    pub(super) fn is_due(&self, keeper: &Keeper<D>) -> bool {
        self.due(keeper.ring()).is_some()
    }

    /// The ring that is next: one after the other.
    fn due(&self, ring: &KeyRing<D>) -> Option<Option<Tier>> {
        let has_failed = |tier: Option<Tier>| self.failed.iter().any(|(of, _)| *of == tier);
        let mut rotating = ring
            .parts()
            .filter(|tier| ring.part(*tier).is_some_and(KeyRing::is_rotating));
        rotating.find(|tier| !has_failed(*tier))
    }

    /// How all of them stand.
    fn shown(&self, ring: &KeyRing<D>) -> Map<String, Json> {
        let failed = |tier: Option<Tier>| {
            let mut failed = self.failed.iter();
            failed.find(|(of, _)| *of == tier).map(|(_, why)| why.as_str())
        };
        let mut fields = shown(None, &ring.kek_state(), failed(None));
        let tiers = Tier::ALL.into_iter().filter_map(|tier| {
            let state = ring.part(Some(tier))?.kek_state();
            Some(Json::Object(shown(Some(tier), &state, failed(Some(tier)))))
        });
        fields.insert("tiers".to_owned(), tiers.collect());
        fields
    }

    fn enter(&self, entries: &[Entry]) -> Result<(), String> {
        match &self.log {
            Some(log) if !entries.is_empty() => log.borrow_mut().enter(entries),
            _ => Ok(()),
        }
    }

    /// Tells the audit log what it could not take before.
    pub(super) fn say(&mut self) {
        if self.unsaid.is_empty() {
            return;
        }
        match self.enter(&self.unsaid) {
            Ok(()) => self.unsaid.clear(),
            // The log itself has said more.
            Err(error) => tracing::warn!(
                error,
                "a rotation of the key-encryption key is not in the audit log yet"
            ),
        }
    }

    /// Does what was ordered.
    pub(super) fn obey(&mut self, order: RingOrder, keeper: &mut Keeper<D>, rng: &mut ChaCha20Rng) {
        match order {
            RingOrder::State(answer) => {
                let _ = answer.send(Ok(self.shown(keeper.ring())));
            }
            RingOrder::Rotate {
                tier,
                kek,
                now_ms,
                answer,
            } => match self.begin(tier, &kek, now_ms, keeper, rng) {
                Ok(()) => self.waiting.push((tier, answer)),
                Err(why) => drop(answer.send(Err(why))),
            },
            RingOrder::Exports(order) => exports::obey(order, keeper.ring_mut(), rng),
            RingOrder::NewGeneration { now_ms, answer } => {
                let made = keeper.make_generation(now_ms, rng);
                if let Ok(secret) = &made {
                    let generation = secret.generation();
                    tracing::info!(
                        generation,
                        "a new generation of the suppression key is in the ring"
                    );
                }
                // Who has gone finds it at the next start.
                let _ = answer.send(made.map_err(|error| error.to_string()));
            }
            RingOrder::DestroyGeneration {
                generation,
                now_ms,
                answer,
            } => {
                let gone = keeper.destroy_generation(generation, now_ms, rng);
                let told = gone.map_err(|error| error.to_string()).map(|gone| {
                    let destroyed = gone.iter().map(|key| json!(hex(&key.fingerprint)));
                    Map::from_iter([("destroyed".to_owned(), destroyed.collect())])
                });
                let _ = answer.send(told);
            }
        }
    }

    /// In the audit log before anything lies under the new key; where that cannot be, nothing is begun (AUD-6).
    fn begin(
        &self,
        tier: Option<Tier>,
        kek: &NewKek,
        now_ms: u64,
        keeper: &mut Keeper<D>,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), String> {
        // What is refused does not stand there as begun.
        let may = keeper.ring().may_rotate(tier, &Kek::new(kek.octets()));
        may.map_err(|error| error.to_string())?;
        if let Some(ring) = keeper.ring().part(tier) {
            self.enter(&[entry(tier, &ring.kek_state(), BEGINS)])?;
        }
        keeper
            .ring_mut()
            .begin_rotation_of(tier, Kek::new(kek.octets()), now_ms, rng)
            .map_err(|error| error.to_string())
    }

    /// Does one piece.
    pub(super) fn step(&mut self, keeper: &mut Keeper<D>, rng: &mut ChaCha20Rng) {
        let Some(tier) = self.due(keeper.ring()) else {
            return;
        };
        let Some(before) = keeper.ring().part(tier).map(KeyRing::kek_state) else {
            return;
        };
        let word = tier.map(Tier::word);
        let answer = match keeper.ring_mut().rotate_piece_of(tier, PIECE, rng) {
            Ok(Some(Progress::Ended(rotated))) => {
                tracing::info!(
                    tier = word,
                    keys = rotated.keys,
                    "the key-encryption key is rotated: the old one opens nothing"
                );
                self.unsaid.push(ended(tier, &before, rotated));
                let state = keeper.ring().part(tier).map_or(before, KeyRing::kek_state);
                Some(Ok(shown(tier, &state, None)))
            }
            Ok(_) => None,
            Err(error) => {
                tracing::error!(tier = word, %error, "the rotation of the key-encryption key stops until a restart");
                self.failed.push((tier, error.to_string()));
                Some(Err(format!(
                    "the rotation stops, and goes on after a restart with both keys: {error}"
                )))
            }
        };
        self.say();
        if let Some(answer) = answer {
            self.answer(tier, &answer);
        }
    }

    fn answer(&mut self, tier: Option<Tier>, answer: &Answer) {
        for (_, waiting) in self.waiting.extract_if(.., |(of, _)| *of == tier) {
            // Who has gone finds it in the audit log.
            let _ = waiting.send(answer.clone());
        }
    }
}

/// What the audit log has of a rotation.
pub(crate) const BEGINS: &str = "rotation of the key-encryption key is to begin";
/// The same.
pub(crate) const GOES_ON: &str = "rotation of the key-encryption key goes on after a start";
const ENDED: &str = "rotation of the key-encryption key ended";

/// How a key-encryption key is named in the audit log.
fn name(number: u32, fingerprint: &[u8]) -> Value {
    Value::Word(Word::of_name(&format!("{number} {}", hex(fingerprint))))
}

/// An entry about the keys of a ring, before a rotation or in it; of which tier's, it names, if it is one's.
pub(crate) fn entry(tier: Option<Tier>, state: &KekState, what: &str) -> Entry {
    let entry = Entry::new(Kind::KeyEvent, Actor::System)
        .with(Field::Reason, Value::Word(Word::of_name(what)))
        .with(Field::From, name(state.number, &state.fingerprint));
    let entry = match tier {
        Some(tier) => entry.with(Field::Scope, Value::Word(Word::of_name(tier.word()))),
        None => entry,
    };
    match &state.next {
        Some((number, fingerprint)) => entry.with(Field::To, name(*number, fingerprint)),
        None => entry,
    }
}

/// The entry about a rotation's end; `before` is how it stood before its last piece.
pub(crate) fn ended(tier: Option<Tier>, before: &KekState, rotated: Rotated) -> Entry {
    entry(tier, before, ENDED).with(Field::Count, Value::Count(rotated.keys))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// How that of a ring stands, for operators.
pub(crate) fn shown(tier: Option<Tier>, state: &KekState, failed: Option<&str>) -> Map<String, Json> {
    let next = state
        .next
        .map(|(number, fingerprint)| json!({ "number": number, "fingerprint": hex(&fingerprint) }));
    let fields = [
        ("tier", json!(tier.map(Tier::word))),
        ("number", json!(state.number)),
        ("fingerprint", json!(hex(&state.fingerprint))),
        ("since_ms", json!(state.since_ms)),
        ("next", json!(next)),
        ("slots", json!(state.slots)),
        ("slots_done", json!(state.rotated.slots)),
        ("keys_rewrapped", json!(state.rotated.keys)),
        ("failed", json!(failed)),
    ];
    fields
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}
